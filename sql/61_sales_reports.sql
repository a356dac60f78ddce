-- 61_sales_reports.sql: further reports over dwh, in the manner of 60: dates inclusive, NULL open-ended, ties share a
-- rank, run as the caller. All but those about persons and single baskets read the rollups.

-- The rows of sales_trend(). A first or last period that the range cuts is compared with the same days of the other one.
CREATE FUNCTION txpipe.trend_periods(first_day date, last_day date, grain text)
RETURNS TABLE (period date, first date, last date, previous_first date, previous_last date, year_first date, year_last date)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 366
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    step CONSTANT interval := '1 ' || grain;
    -- The same week of a year before begins on a Monday, too.
    year CONSTANT interval := CASE grain WHEN 'week' THEN '364 days' ELSE '1 year' END;
BEGIN
    IF (last_day - first_day) / (CASE grain WHEN 'day' THEN 1 WHEN 'week' THEN 7 WHEN 'month' THEN 30 ELSE 365 END) >= 100000 THEN
        RAISE EXCEPTION 'the range has more than 100000 periods'
            USING ERRCODE = 'program_limit_exceeded',
                  HINT = 'name nearer days or a coarser grain; NULL begins with the first day of sale and ends with the last';
    END IF;
    RETURN QUERY
    SELECT s.period, s.first, s.last, (s.first - step)::date,
           (CASE WHEN s.is_whole THEN s.next - step - interval '1 day' ELSE s.last - step END)::date,
           (s.first - year)::date,
           (CASE WHEN s.is_whole THEN s.next - year - interval '1 day' ELSE s.last - year END)::date
    FROM (SELECT p::date AS period, greatest(p::date, first_day) AS first, least((p + step)::date - 1, last_day) AS last,
                 p + step AS next, grain <> 'day' AND (p + step)::date - 1 <= last_day AS is_whole
          FROM generate_series(date_trunc(grain, first_day::timestamp), last_day::timestamp, step) AS p) s;
END
$body$;
COMMENT ON FUNCTION txpipe.trend_periods(date, date, text) IS
'Part of sales_trend(): the periods of a range of days, each with the days of it, of the period before and of the year before
that its figures are about. Error: 54000 for more than 100,000';

CREATE FUNCTION txpipe.sales_trend(from_date date DEFAULT NULL, to_date date DEFAULT NULL, grain text DEFAULT 'day')
RETURNS TABLE (period date, sales bigint, units bigint, gross_amount numeric, total_paid numeric,
               previous_total_paid numeric, change_pct numeric, last_year_total_paid numeric, last_year_change_pct numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 366
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $body$
#variable_conflict use_column
DECLARE
    first_sale date;
    last_sale date;
    low date;
    high date;
    first_day date;
    last_day date;
BEGIN
    PERFORM txpipe.require_warehouse();
    IF sales_trend.grain IS NULL OR sales_trend.grain NOT IN ('day', 'week', 'month', 'year') THEN
        RAISE EXCEPTION 'grain must be day, week, month or year, not %', coalesce(quote_literal(sales_trend.grain), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'SELECT * FROM txpipe.sales_trend(grain => ''month'')';
    END IF;
    SELECT min(r.period), max(r.period) INTO first_sale, last_sale FROM dwh.rollup_total r WHERE r.grain = 'day';
    -- Beyond what a timestamp holds there are no sales, and date_trunc() knows no such date.
    first_day := CASE WHEN from_date > '-infinity' THEN greatest(from_date, date '4000-01-01 BC') ELSE first_sale END;
    last_day := CASE WHEN to_date < 'infinity' THEN least(to_date, date '200000-12-31') ELSE last_sale END;
    IF first_day IS NULL OR last_day IS NULL OR first_day > last_day THEN
        RETURN;
    END IF;
    -- Running sums, so that what any days add up to is the difference of two rows, however many periods share them.
    high := least(last_sale, last_day);
    low := least(high, greatest(first_sale, (date_trunc(sales_trend.grain, first_day::timestamp) - interval '1 year')::date) - 1);
    RETURN QUERY
    WITH running AS MATERIALIZED (
        SELECT d::date AS day, coalesce(sum(r.sales) OVER d, 0)::bigint AS sales, coalesce(sum(r.units) OVER d, 0)::bigint AS units,
               coalesce(sum(r.gross_amount) OVER d, 0.00) AS gross_amount, coalesce(sum(r.total_paid) OVER d, 0.0000) AS total_paid
        FROM generate_series(low::timestamp, high::timestamp, '1 day') AS d
        LEFT JOIN dwh.rollup_total r ON r.grain = 'day' AND r.period = d::date AND d::date > low
        WINDOW d AS (ORDER BY d)
    )
    SELECT c.period, c.sales, c.units, c.gross_amount, c.total_paid,
           c.previous, round(100 * (c.total_paid - c.previous) / nullif(c.previous, 0), 2),
           c.last_year, round(100 * (c.total_paid - c.last_year) / nullif(c.last_year, 0), 2)
    FROM (
        SELECT p.period, coalesce(t.sales - f.sales, 0) AS sales, coalesce(t.units - f.units, 0) AS units,
               coalesce(t.gross_amount - f.gross_amount, 0.00) AS gross_amount,
               coalesce(t.total_paid - f.total_paid, 0.0000) AS total_paid,
               CASE WHEN p.previous_last >= first_sale THEN pt.total_paid - pf.total_paid END AS previous,
               CASE WHEN p.year_last >= first_sale THEN yt.total_paid - yf.total_paid END AS last_year
        FROM txpipe.trend_periods(first_day, last_day, sales_trend.grain) p
        LEFT JOIN running f ON f.day = greatest(low, least(high, p.first - 1))
        LEFT JOIN running t ON t.day = greatest(low, least(high, p.last))
        LEFT JOIN running pf ON pf.day = greatest(low, least(high, p.previous_first - 1))
        LEFT JOIN running pt ON pt.day = greatest(low, least(high, p.previous_last))
        LEFT JOIN running yf ON yf.day = greatest(low, least(high, p.year_first - 1))
        LEFT JOIN running yt ON yt.day = greatest(low, least(high, p.year_last))
    ) c
    ORDER BY c.period;
END
$body$;
COMMENT ON FUNCTION txpipe.sales_trend(date, date, text) IS
'Sales by day, week (ISO: from Monday), month or year (grain) between two days of sale, beside those of the period before and of
the year before. Periods without sales have a row of zeros; a NULL date is the first or last day with sales. Where the range
cuts its first or last period, that row is about the days in the range, and compared with the same days of the other periods.
Result: period (its first day), sales, units (pieces), gross_amount and total_paid (money, exact), previous_total_paid (the
period before), change_pct (per cent, rounded to 2 decimals; NULL where there is nothing to compare with),
last_year_total_paid (same date, days of the month, or week 52 weeks before; both are NULL before the first sale of the
warehouse), last_year_change_pct. Errors: 22023 for another grain; 54000 for more than 100,000 periods; 42P01 without a
warehouse.';
