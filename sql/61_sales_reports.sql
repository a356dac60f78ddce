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

CREATE FUNCTION txpipe.sales_trend(from_date date DEFAULT NULL, to_date date DEFAULT NULL, grain text DEFAULT 'day',
                                   source text DEFAULT 'batch')
RETURNS TABLE (period date, sales bigint, units bigint, gross_amount numeric, total_paid numeric,
               previous_total_paid numeric, change_pct numeric, last_year_total_paid numeric, last_year_change_pct numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 366
SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_indexscan = off
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
    SELECT least(first_sale, min(l.transaction_date)), greatest(last_sale, max(l.transaction_date)) INTO first_sale, last_sale
    FROM txpipe.unconfirmed_sales(sales_trend.source, NULL, NULL) l;
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
        LEFT JOIN (SELECT s.period, sum(s.sales) AS sales, sum(s.units) AS units, sum(s.gross_amount) AS gross_amount,
                          sum(s.total_paid) AS total_paid
                   FROM (SELECT r.period, r.sales, r.units, r.gross_amount, r.total_paid FROM dwh.rollup_total r
                         WHERE r.grain = 'day' AND r.period > low AND r.period <= high
                         UNION ALL
                         SELECT l.transaction_date, 1, l.units, l.gross_amount, l.total_paid
                         FROM txpipe.unconfirmed_sales(sales_trend.source, low + 1, high) l) s
                   GROUP BY s.period) r ON r.period = d::date
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
COMMENT ON FUNCTION txpipe.sales_trend(date, date, text, text) IS
'Sales by day, week (ISO: from Monday), month or year (grain) between two days of sale, beside those of the period before and of
the year before. Periods without sales have a row of zeros; a NULL date is the first or last day with sales. Where the range
cuts its first or last period, that row is about the days in the range, and compared with the same days of the other periods.
source: as in top_products(). Result: period (its first day), sales, units (pieces), gross_amount and total_paid (money, exact), previous_total_paid (the
period before), change_pct (per cent, rounded to 2 decimals; NULL where there is nothing to compare with),
last_year_total_paid (same date, days of the month, or week 52 weeks before; both are NULL before the first sale of the
warehouse), last_year_change_pct. Errors: 22023 for another grain; 54000 for more than 100,000 periods; 42P01 without a
warehouse.';

CREATE FUNCTION txpipe.sales_by_category(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                         source text DEFAULT 'batch')
RETURNS TABLE (rank bigint, product_category text, sales bigint, units bigint, gross_amount numeric, total_paid numeric,
               share_pct numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20
SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_indexscan = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    RETURN QUERY
    SELECT rank() OVER (ORDER BY r.total_paid DESC), r.product_category, r.sales, r.units, r.gross_amount, r.total_paid,
           round(100 * r.total_paid / nullif(sum(r.total_paid) OVER (), 0), 2)
    FROM (
        SELECT s.product_category, sum(s.sales)::bigint AS sales, sum(s.units)::bigint AS units,
               sum(s.gross_amount) AS gross_amount, sum(s.total_paid) AS total_paid
        FROM (SELECT p.product_category, s.sales, s.units, s.gross_amount, s.total_paid
              FROM txpipe.whole_periods(from_date, to_date) w
              CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_product_offer r
                                  WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last OFFSET 0) s
              JOIN dwh.dim_product p ON p.product_key = s.product_key
              UNION ALL
              SELECT l.product_category, 1, l.units, l.gross_amount, l.total_paid
              FROM txpipe.unconfirmed_sales(sales_by_category.source, from_date, to_date) l) s
        GROUP BY s.product_category
    ) r
    ORDER BY 1, r.product_category COLLATE "C";
END
$body$;
COMMENT ON FUNCTION txpipe.sales_by_category(date, date, text) IS
'Sales by category of the product as it was sold, between two days of sale. source: as in top_products(). Result: rank (by total_paid), product_category,
sales, units (pieces), gross_amount and total_paid (money, exact), share_pct (of all total_paid, per cent, rounded to 2
decimals; NULL where nothing was paid). Error: 42P01 without a warehouse.';

CREATE FUNCTION txpipe.sales_by_branch(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                       source text DEFAULT 'batch')
RETURNS TABLE (rank bigint, branch_id integer, location text, class text, sales bigint, units bigint, gross_amount numeric,
               total_paid numeric, share_pct numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_indexscan = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    RETURN QUERY
    SELECT rank() OVER (ORDER BY r.total_paid DESC), r.branch_id, coalesce(b.location, '(unknown)'), b.class,
           r.sales, r.units, r.gross_amount, r.total_paid,
           round(100 * r.total_paid / nullif(sum(r.total_paid) OVER (), 0), 2)
    FROM (
        SELECT s.branch_id, sum(s.sales)::bigint AS sales, sum(s.units)::bigint AS units,
               sum(s.gross_amount) AS gross_amount, sum(s.total_paid) AS total_paid
        FROM (SELECT v.branch_id, s.sales, s.units, s.gross_amount, s.total_paid
              FROM txpipe.whole_periods(from_date, to_date) w
              CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_branch_channel_payment r
                                  WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last AND NOT r.is_online OFFSET 0) s
              JOIN dwh.dim_branch v ON v.branch_key = s.branch_key
              UNION ALL
              SELECT l.branch_id, 1, l.units, l.gross_amount, l.total_paid
              FROM txpipe.unconfirmed_sales(sales_by_branch.source, from_date, to_date) l WHERE NOT l.is_online) s
        GROUP BY s.branch_id
    ) r
    LEFT JOIN dwh.dim_branch b ON b.branch_id = r.branch_id AND b.valid_to = 'infinity'
    ORDER BY 1, r.branch_id;
END
$body$;
COMMENT ON FUNCTION txpipe.sales_by_branch(date, date, text) IS
'Sales of the branches, between two days of sale: a row for each branch, whatever its versions, with its location and class of
today; online sales are left out. source: as in top_products(). Result: rank (by total_paid), branch_id (NULL: sales that name no branch), location ((unknown)
while no delivery has named it), class, sales, units (pieces), gross_amount and total_paid (money, exact), share_pct (of
these branches'' total_paid, per cent, rounded to 2 decimals). Error: 42P01 without a warehouse.';

CREATE FUNCTION txpipe.sales_by_payment_method(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                               source text DEFAULT 'batch')
RETURNS TABLE (rank bigint, payment_method text, is_online boolean, sales bigint, units bigint, gross_amount numeric,
               total_paid numeric, share_pct numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20
SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_indexscan = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    RETURN QUERY
    SELECT rank() OVER (ORDER BY r.total_paid DESC), r.payment_method, r.is_online, r.sales, r.units, r.gross_amount,
           r.total_paid, round(100 * r.total_paid / nullif(sum(r.total_paid) OVER (), 0), 2)
    FROM (
        SELECT s.payment_method::text AS payment_method, s.is_online, sum(s.sales)::bigint AS sales,
               sum(s.units)::bigint AS units, sum(s.gross_amount) AS gross_amount, sum(s.total_paid) AS total_paid
        FROM (SELECT s.payment_method, s.is_online, s.sales, s.units, s.gross_amount, s.total_paid
              FROM txpipe.whole_periods(from_date, to_date) w
              CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_branch_channel_payment r
                                  WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last OFFSET 0) s
              UNION ALL
              SELECT l.payment_method COLLATE "C", l.is_online, 1, l.units, l.gross_amount, l.total_paid
              FROM txpipe.unconfirmed_sales(sales_by_payment_method.source, from_date, to_date) l) s
        GROUP BY s.payment_method, s.is_online
    ) r
    ORDER BY 1, r.payment_method COLLATE "C", r.is_online;
END
$body$;
COMMENT ON FUNCTION txpipe.sales_by_payment_method(date, date, text) IS
'Sales by payment method and channel, between two days of sale. source: as in top_products(). Result: rank (by total_paid), payment_method (as delivered;
(unknown) where it was empty), is_online (false: in a branch), sales, units (pieces), gross_amount and total_paid (money,
exact), share_pct (of all total_paid, per cent, rounded to 2 decimals). Error: 42P01 without a warehouse.';

CREATE FUNCTION txpipe.offer_discounts(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                       source text DEFAULT 'batch')
RETURNS TABLE (rank bigint, offer_code text, discount_pct integer, redemptions bigint, units bigint, gross_amount numeric,
               total_paid numeric, discount_given numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_indexscan = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    RETURN QUERY
    SELECT rank() OVER (ORDER BY sum(s.gross_amount - s.total_paid) DESC), s.offer_code, s.discount_pct,
           sum(s.sales)::bigint, sum(s.units)::bigint, sum(s.gross_amount), sum(s.total_paid),
           sum(s.gross_amount - s.total_paid)
    FROM (SELECT o.offer_code, s.discount_pct, s.sales, s.units, s.gross_amount, s.total_paid
          FROM txpipe.whole_periods(from_date, to_date) w
          CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_product_offer r
                              WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last
                                AND r.discount_pct > 0 OFFSET 0) s
          JOIN dwh.dim_offer o ON o.offer_key = s.offer_key
          UNION ALL
          SELECT l.offer_code, l.discount_pct, 1, l.units, l.gross_amount, l.total_paid
          FROM txpipe.unconfirmed_sales(offer_discounts.source, from_date, to_date) l WHERE l.discount_pct > 0) s
    GROUP BY s.offer_code, s.discount_pct
    ORDER BY 1, s.offer_code COLLATE "C", s.discount_pct;
END
$body$;
COMMENT ON FUNCTION txpipe.offer_discounts(date, date, text) IS
'What each offer cost, between two days of sale. source: as in top_products(). Result: rank (by discount_given), offer_code, discount_pct (per cent, as the
sales were loaded with), redemptions (sales), units (pieces), gross_amount, total_paid, and discount_given, their difference
(money, exact). Error: 42P01 without a warehouse.';

-- The two fractions are the lower and the upper middle of up to 10^9 orders, the same one where their number is odd.
CREATE FUNCTION txpipe.basket_value(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                    source text DEFAULT 'batch')
RETURNS TABLE (is_online boolean, orders bigint, units bigint, total_paid numeric, average_paid numeric, median_paid numeric,
               average_units numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    RETURN QUERY
    SELECT c.is_online, coalesce(s.orders, 0), coalesce(s.units, 0), coalesce(s.total_paid, 0.0000),
           round(s.total_paid / s.orders, 4), (s.middle[1] + s.middle[2]) * 0.5, round(s.units::numeric / s.orders, 4)
    FROM (VALUES (1, false), (2, true), (3, NULL)) AS c (n, is_online)
    LEFT JOIN (
        SELECT f.is_online, count(*) AS orders, sum(f.units) AS units, sum(f.total_paid) AS total_paid,
               percentile_disc(ARRAY[0.5, 0.5000000001]) WITHIN GROUP (ORDER BY f.total_paid) AS middle
        FROM (SELECT f.is_online, f.units, f.total_paid FROM dwh.fact_sales f
              WHERE f.transaction_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
              UNION ALL
              SELECT l.is_online, l.units::integer, l.total_paid FROM txpipe.unconfirmed_sales(basket_value.source, from_date, to_date) l) f
        GROUP BY GROUPING SETS ((f.is_online), ())
        HAVING count(*) > 0
    ) s ON s.is_online IS NOT DISTINCT FROM c.is_online
    ORDER BY c.n;
END
$body$;
COMMENT ON FUNCTION txpipe.basket_value(date, date, text) IS
'What an order is worth, by channel, between two days of sale; an order is a sale. Reads the facts of these days. source: as in
top_products(). Result, always
three rows: is_online (false: in branches, true: online, NULL: both), orders, units (pieces), total_paid (money, exact),
average_paid (money, rounded to 4 decimals), median_paid (money, exact: the middle one, or the mean of the two), average_units
(pieces, rounded to 4 decimals); the last three are NULL without orders. Error: 42P01 without a warehouse.';

CREATE FUNCTION txpipe.customer_totals(from_date date, to_date date)
RETURNS TABLE (rank bigint, customer_key bigint, sales bigint, units bigint, total_paid numeric, segment text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10000
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    RETURN QUERY
    SELECT r.rank, r.customer_key, r.sales, r.units, r.total_paid,
           CASE WHEN r.is_frequent AND r.is_top THEN 'champion' WHEN r.is_frequent THEN 'loyal'
                WHEN r.is_top THEN 'big_spender' ELSE 'occasional' END
    FROM (
        SELECT c.*, rank() OVER paid AS rank, (rank() OVER paid - 1) * 4 < count(*) OVER () AS is_top,
               (rank() OVER (ORDER BY c.sales) - 1) * 2 >= count(*) OVER () AS is_frequent
        FROM (SELECT f.customer_key, count(*) AS sales, sum(f.units) AS units, sum(f.total_paid) AS total_paid
              FROM dwh.fact_sales f
              WHERE f.transaction_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity')
                AND f.customer_key <> -1
              GROUP BY f.customer_key) c
        WINDOW paid AS (ORDER BY c.total_paid DESC)
    ) r;
END
$body$;
COMMENT ON FUNCTION txpipe.customer_totals(date, date) IS
'Part of top_customers() and customer_segments(): the persons who bought in a range of days, each with rank and segment';

CREATE FUNCTION txpipe.top_customers(from_date date DEFAULT NULL, to_date date DEFAULT NULL, top_n integer DEFAULT 10)
RETURNS TABLE (rank bigint, customer_key bigint, customer_id bigint, first_name text, last_name text, email text,
               sales bigint, units bigint, total_paid numeric, segment text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.check_top_n(top_customers.top_n);
    PERFORM txpipe.require_warehouse();
    IF NOT has_table_privilege('dwh.dim_customer', 'SELECT') THEN
        RETURN QUERY
        SELECT t.rank, t.customer_key, c.customer_id, NULL, NULL, NULL, t.sales, t.units, t.total_paid, t.segment
        FROM txpipe.customer_totals(from_date, to_date) t
        CROSS JOIN LATERAL (SELECT d.customer_id FROM dwh.dim_customer d WHERE d.customer_key = t.customer_key OFFSET 0) c
        WHERE top_customers.top_n IS NULL OR t.rank <= top_customers.top_n
        ORDER BY t.rank, t.customer_key;
        RETURN;
    END IF;
    -- OFFSET 0: a few of all persons are looked up by their keys.
    RETURN QUERY
    SELECT t.rank, t.customer_key, c.customer_id, c.first_name, c.last_name, c.email, t.sales, t.units, t.total_paid, t.segment
    FROM txpipe.customer_totals(from_date, to_date) t
    CROSS JOIN LATERAL (SELECT c.* FROM dwh.dim_customer c WHERE c.customer_key = t.customer_key OFFSET 0) c
    WHERE top_customers.top_n IS NULL OR t.rank <= top_customers.top_n
    ORDER BY t.rank, t.customer_key;
END
$body$;
COMMENT ON FUNCTION txpipe.top_customers(date, date, integer) IS
'Persons who paid most, between two days of sale. Reads the facts of these days. A person is id, name and e-mail together,
because ids are given again; sales without a person are left out. Result: rank (by total_paid), customer_key, customer_id,
first_name, last_name, email (the three are NULL for those who may read only columns of dwh.dim_customer), sales, units
(pieces), total_paid (money, exact), segment (as in customer_segments(), of these days). Errors: 22023 for a top_n below 1; 42P01 without a warehouse.';

CREATE FUNCTION txpipe.customer_segments(from_date date DEFAULT NULL, to_date date DEFAULT NULL)
RETURNS TABLE (segment text, customers bigint, sales bigint, units bigint, total_paid numeric, average_paid numeric,
               share_pct numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 4
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $body$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT s.segment, count(t.customer_key), coalesce(sum(t.sales), 0)::bigint, coalesce(sum(t.units), 0)::bigint,
           coalesce(sum(t.total_paid), 0.0000), round(avg(t.total_paid), 4),
           round(100 * coalesce(sum(t.total_paid), 0) / nullif(sum(sum(t.total_paid)) OVER (), 0), 2)
    FROM (VALUES (1, 'champion'), (2, 'loyal'), (3, 'big_spender'), (4, 'occasional')) AS s (n, segment)
    LEFT JOIN txpipe.customer_totals(from_date, to_date) t ON t.segment = s.segment
    GROUP BY s.n, s.segment
    ORDER BY s.n;
END
$body$;
COMMENT ON FUNCTION txpipe.customer_segments(date, date) IS
'Persons by how often and how much they bought between two days of sale. Reads the facts of these days. Frequent is who
has more sales than at least half of these persons, top is of whom fewer than a quarter paid more: champion (both), loyal
(frequent), big_spender (top), occasional (neither). Result, always four rows: segment, customers (persons), sales, units
(pieces), total_paid (money, exact), average_paid (a person, rounded to 4 decimals; NULL for none), share_pct (of all
total_paid, per cent, rounded to 2 decimals). Error: 42P01 without a warehouse.';
