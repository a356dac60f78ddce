
-- 60_reports.sql: the reports over dwh. They run as the caller, who needs SELECT on the tables of dwh.
--
-- Dates are inclusive, NULL is open-ended. Ties share a rank and top_n limits the rank, so a report may
-- have more rows than top_n. Reports read the rollups: the whole years of their range, then the whole months that are
-- left, then the days. OFFSET 0 keeps each of these a range of the rollup's index, whatever the planner knows of it; a bitmap
-- reads each page once, also where keys that came later lie apart (enable_indexscan); compiling what takes milliseconds would
-- take most of the time (jit).

CREATE FUNCTION txpipe.check_top_n(top_n integer)
RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF top_n < 1 THEN
        RAISE EXCEPTION 'top_n must be at least 1, not %', top_n
            USING ERRCODE = 'invalid_parameter_value', HINT = 'NULL reports every rank';
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.check_top_n(integer) IS 'Raises 22023 when top_n is below 1; part of the reports';

CREATE FUNCTION txpipe.whole_periods(from_date date, to_date date)
RETURNS TABLE (grain text, first date, last date)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    -- Beyond what a timestamp holds there are no sales, and date_trunc() knows no such date.
    low CONSTANT date := greatest(coalesce(from_date, '-infinity'), date '4000-01-01 BC');
    high CONSTANT date := least(coalesce(to_date, 'infinity'), date '200000-12-31');
    -- The first month and year that begin in the range, and the first that do not end in it.
    month_from date;
    month_to date;
    year_from date;
    year_to date;
BEGIN
    IF low > high THEN
        RETURN;
    END IF;
    month_from := date_trunc('month', low::timestamp + interval '1 month' - interval '1 day');
    month_to := date_trunc('month', high::timestamp + interval '1 day');
    IF month_from >= month_to THEN
        IF month_from > month_to THEN
            RETURN QUERY VALUES ('day', low, high);
        ELSE
            RETURN QUERY SELECT v.* FROM (VALUES ('day', low, month_from - 1), ('day', month_to, high)) v (g, f, l)
                         WHERE v.f <= v.l;
        END IF;
        RETURN;
    END IF;
    year_from := date_trunc('year', month_from::timestamp + interval '1 year' - interval '1 day');
    year_to := date_trunc('year', month_to::timestamp);
    IF year_from >= year_to THEN
        year_from := month_to;
        year_to := month_to;
    END IF;
    RETURN QUERY
    SELECT v.* FROM (VALUES ('day', low, month_from - 1), ('month', month_from, year_from - 1),
                            ('year', year_from, year_to - 1), ('month', year_to, month_to - 1),
                            ('day', month_to, high)) v (g, f, l)
    WHERE v.f <= v.l;
END
$body$;
COMMENT ON FUNCTION txpipe.whole_periods(date, date) IS
'Part of the reports: a range of days as ranges of whole years, months and days of the rollups, without overlap. Result:
grain, first and last period (compare period BETWEEN first AND last)';

CREATE FUNCTION txpipe.top_products(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                    top_n integer DEFAULT 10)
RETURNS TABLE (rank bigint, product_id bigint, product_name text, units bigint, total_paid numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_indexscan = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    PERFORM txpipe.check_top_n(top_products.top_n);
    RETURN QUERY
    SELECT r.* FROM (
        SELECT rank() OVER (ORDER BY sum(s.units) DESC) AS rank, p.product_id, p.product_name,
               sum(s.units)::bigint, sum(s.total_paid)
        FROM txpipe.whole_periods(from_date, to_date) w
        CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_product_offer r
                            WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last OFFSET 0) s
        JOIN dwh.dim_product p ON p.product_key = s.product_key
        GROUP BY p.product_id, p.product_name
    ) r
    WHERE top_products.top_n IS NULL OR r.rank <= top_products.top_n
    ORDER BY r.rank, r.product_id, r.product_name COLLATE "C";
END
$body$;
COMMENT ON FUNCTION txpipe.top_products(date, date, integer) IS
'Most selling products by units, between two days of sale. Result: rank, product_id and product_name (two ids may
share a name), units (pieces), total_paid (money, exact)';

CREATE FUNCTION txpipe.top_offers(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                  top_n integer DEFAULT 10)
RETURNS TABLE (rank bigint, offer_code text, discount_pct integer, redemptions bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_indexscan = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    PERFORM txpipe.check_top_n(top_offers.top_n);
    RETURN QUERY
    SELECT r.* FROM (
        SELECT rank() OVER (ORDER BY sum(s.sales) DESC) AS rank, o.offer_code, s.discount_pct, sum(s.sales)::bigint
        FROM txpipe.whole_periods(from_date, to_date) w
        CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_product_offer r
                            WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last
                              AND r.discount_pct > 0 OFFSET 0) s
        JOIN dwh.dim_offer o ON o.offer_key = s.offer_key
        GROUP BY o.offer_code, s.discount_pct
    ) r
    WHERE top_offers.top_n IS NULL OR r.rank <= top_offers.top_n
    ORDER BY r.rank, r.offer_code COLLATE "C", r.discount_pct;
END
$body$;
COMMENT ON FUNCTION txpipe.top_offers(date, date, integer) IS
'Most redeemed offers between two days of sale; a redemption is a sale with a discount. Result: rank, offer_code
(offer_1 to offer_5), discount_pct (per cent), redemptions (sales)';

CREATE FUNCTION txpipe.top_offers_by_product(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                             top_n integer DEFAULT 10)
RETURNS TABLE (product_id bigint, product_name text, rank bigint, offer_code text, redemptions bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_indexscan = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    PERFORM txpipe.check_top_n(top_offers_by_product.top_n);
    RETURN QUERY
    SELECT r.* FROM (
        SELECT p.product_id, p.product_name,
               rank() OVER (PARTITION BY p.product_id, p.product_name ORDER BY sum(s.sales) DESC) AS rank,
               o.offer_code, sum(s.sales)::bigint
        FROM txpipe.whole_periods(from_date, to_date) w
        CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_product_offer r
                            WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last
                              AND r.discount_pct > 0 OFFSET 0) s
        JOIN dwh.dim_product p ON p.product_key = s.product_key
        JOIN dwh.dim_offer o ON o.offer_key = s.offer_key
        GROUP BY p.product_id, p.product_name, o.offer_code
    ) r
    WHERE top_offers_by_product.top_n IS NULL OR r.rank <= top_offers_by_product.top_n
    ORDER BY r.product_id, r.product_name COLLATE "C", r.rank, r.offer_code COLLATE "C";
END
$body$;
COMMENT ON FUNCTION txpipe.top_offers_by_product(date, date, integer) IS
'Most redeemed offers of each product between two days of sale. Result: product_id, product_name, rank within the
product, offer_code, redemptions (sales)';

CREATE FUNCTION txpipe.lowest_online_cities(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                            top_n integer DEFAULT 10, min_orders integer DEFAULT 1,
                                            include_unknown boolean DEFAULT true)
RETURNS TABLE (rank bigint, city text, state text, orders bigint, units bigint, total_paid numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_indexscan = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    PERFORM txpipe.check_top_n(lowest_online_cities.top_n);
    IF lowest_online_cities.min_orders < 1 THEN
        RAISE EXCEPTION 'min_orders must be at least 1, not %', lowest_online_cities.min_orders
            USING ERRCODE = 'invalid_parameter_value', HINT = 'a city without orders in the range has no row; 1 reports all others';
    END IF;
    -- Cities left out take no rank.
    RETURN QUERY
    SELECT r.* FROM (
        SELECT rank() OVER (ORDER BY sum(s.total_paid)) AS rank, l.city, l.state, sum(s.sales)::bigint,
               sum(s.units)::bigint, sum(s.total_paid)
        FROM txpipe.whole_periods(from_date, to_date) w
        CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_online_city r
                            WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last OFFSET 0) s
        JOIN dwh.dim_location l ON l.location_key = s.location_key
        WHERE include_unknown IS NOT FALSE OR l.city <> '(unknown)'
        GROUP BY l.city, l.state
        HAVING lowest_online_cities.min_orders IS NULL OR sum(s.sales) >= lowest_online_cities.min_orders
    ) r
    WHERE lowest_online_cities.top_n IS NULL OR r.rank <= lowest_online_cities.top_n
    ORDER BY r.rank, r.city COLLATE "C", r.state COLLATE "C";
END
$body$;
COMMENT ON FUNCTION txpipe.lowest_online_cities(date, date, integer, integer, boolean) IS
'Cities with the lowest online sales by amount paid, ascending, between two days of sale. min_orders: cities with fewer
orders in the range are left out and take no rank; include_unknown false: so are rows without a city. Result: rank, city
(with its state: names repeat; (unknown) where the address has none), state, orders (sales), units (pieces), total_paid
(money, exact). Errors: 22023 for a top_n or min_orders below 1; 42P01 without a warehouse.';

-- One definition for the report of a day and for the export of many days.
CREATE FUNCTION txpipe.b2b_lines(days date[])
RETURNS TABLE (day date, sales_agent_name text, product_name text, total_sold_units bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_indexscan = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    RETURN QUERY
    SELECT s.period, a.name, p.product_name, sum(s.units)::bigint
    FROM (SELECT DISTINCT d FROM unnest(days) AS d) w
    CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_agent_product r
                        WHERE r.grain = 'day' AND r.period = w.d OFFSET 0) s
    JOIN (SELECT sales_agent_key, coalesce(name, '(unknown)') AS name FROM dwh.dim_sales_agent) a
        ON a.sales_agent_key = s.sales_agent_key
    JOIN dwh.dim_product p ON p.product_key = s.product_key
    GROUP BY s.period, a.name, p.product_name
    ORDER BY s.period, a.name COLLATE "C", p.product_name COLLATE "C";
END
$body$;
COMMENT ON FUNCTION txpipe.b2b_lines(date[]) IS 'The lines of txpipe.b2b_sales() for several days; part of it and of export_b2b()';

CREATE FUNCTION txpipe.b2b_sales(day date)
RETURNS TABLE (sales_agent_name text, product_name text, total_sold_units bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF day IS NULL THEN
        RAISE EXCEPTION 'day must not be NULL'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'name a day of sale: SELECT * FROM txpipe.b2b_sales(''2023-05-20'')';
    END IF;
    RETURN QUERY SELECT l.sales_agent_name, l.product_name, l.total_sold_units
                 FROM txpipe.b2b_lines(ARRAY[day]) l;
END
$body$;
COMMENT ON FUNCTION txpipe.b2b_sales(date) IS
'What each sales agent sold in branches on one day of sale. Result, ordered by the two names (C collation):
sales_agent_name ((unknown) while no delivery has named the agent), product_name (names, not ids), total_sold_units';
