
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

-- In the snapshot of the query that calls it, as all STABLE functions: no sale is in both, or in neither.
CREATE FUNCTION txpipe.unconfirmed_sales(source text, from_date date, to_date date)
RETURNS TABLE (transaction_date date, sales_agent_name text, branch_id integer, product_id bigint, product_name text,
               product_category text, offer_code text, units bigint, gross_amount numeric, discount_pct integer,
               total_paid numeric, is_online boolean, payment_method text, city text, state text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
BEGIN
    IF unconfirmed_sales.source = 'batch' THEN
        RETURN;
    ELSIF unconfirmed_sales.source IS DISTINCT FROM 'unified' THEN
        RAISE EXCEPTION 'source must be batch or unified, not %', coalesce(quote_literal(unconfirmed_sales.source), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'batch: what files brought; unified: with what was streamed since (txpipe.create_live_sales)';
    ELSIF NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('dwh') AND relname = 'sales') THEN
        RAISE EXCEPTION 'the warehouse has no unified view of sales yet'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'its owner calls txpipe.create_warehouse(), which adds it';
    END IF;
    RETURN QUERY
    SELECT s.transaction_date, coalesce(s.sales_agent_name, '(unknown)'), s.branch_id, s.product_id, s.product_name, s.product_category,
           s.offer_code, s.units::bigint, s.gross_amount, s.discount_pct, s.total_paid, s.is_online, s.payment_method, s.city, s.state
    FROM dwh.sales s
    WHERE s.source = 'speed'
      AND s.transaction_date BETWEEN coalesce(from_date, '-infinity') AND coalesce(to_date, 'infinity');
END
$body$;
COMMENT ON FUNCTION txpipe.unconfirmed_sales(text, date, date) IS
'Part of the reports: the sales between two days that were streamed and are in no file yet, where source is unified; none where it is
batch. Errors: 22023 another source, 55000 the warehouse has no dwh.sales';

CREATE FUNCTION txpipe.top_products(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                    top_n integer DEFAULT 10, source text DEFAULT 'batch')
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
        SELECT rank() OVER (ORDER BY sum(s.units) DESC) AS rank, s.product_id, s.product_name,
               sum(s.units)::bigint, sum(s.total_paid)
        FROM (SELECT p.product_id, p.product_name, s.units, s.total_paid
              FROM txpipe.whole_periods(from_date, to_date) w
              CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_product_offer r
                                  WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last OFFSET 0) s
              JOIN dwh.dim_product p ON p.product_key = s.product_key
              UNION ALL
              SELECT l.product_id, l.product_name, l.units, l.total_paid
              FROM txpipe.unconfirmed_sales(top_products.source, from_date, to_date) l) s
        GROUP BY s.product_id, s.product_name
    ) r
    WHERE top_products.top_n IS NULL OR r.rank <= top_products.top_n
    ORDER BY r.rank, r.product_id, r.product_name COLLATE "C";
END
$body$;
COMMENT ON FUNCTION txpipe.top_products(date, date, integer, text) IS
'Most selling products by units, between two days of sale. source: batch, or unified for what was streamed and is in no file
yet, too. Result: rank, product_id and product_name (two ids may
share a name), units (pieces), total_paid (money, exact)';

CREATE FUNCTION txpipe.top_offers(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                  top_n integer DEFAULT 10, source text DEFAULT 'batch')
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
        SELECT rank() OVER (ORDER BY sum(s.sales) DESC) AS rank, s.offer_code, s.discount_pct, sum(s.sales)::bigint
        FROM (SELECT o.offer_code, s.discount_pct, s.sales
              FROM txpipe.whole_periods(from_date, to_date) w
              CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_product_offer r
                                  WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last
                                    AND r.discount_pct > 0 OFFSET 0) s
              JOIN dwh.dim_offer o ON o.offer_key = s.offer_key
              UNION ALL
              SELECT l.offer_code, l.discount_pct, 1
              FROM txpipe.unconfirmed_sales(top_offers.source, from_date, to_date) l WHERE l.discount_pct > 0) s
        GROUP BY s.offer_code, s.discount_pct
    ) r
    WHERE top_offers.top_n IS NULL OR r.rank <= top_offers.top_n
    ORDER BY r.rank, r.offer_code COLLATE "C", r.discount_pct;
END
$body$;
COMMENT ON FUNCTION txpipe.top_offers(date, date, integer, text) IS
'Most redeemed offers between two days of sale; a redemption is a sale with a discount. source: as in top_products(). Result: rank, offer_code
(offer_1 to offer_5), discount_pct (per cent), redemptions (sales)';

CREATE FUNCTION txpipe.top_offers_by_product(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                             top_n integer DEFAULT 10, source text DEFAULT 'batch')
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
        SELECT s.product_id, s.product_name,
               rank() OVER (PARTITION BY s.product_id, s.product_name ORDER BY sum(s.sales) DESC) AS rank,
               s.offer_code, sum(s.sales)::bigint
        FROM (SELECT p.product_id, p.product_name, o.offer_code, s.sales
              FROM txpipe.whole_periods(from_date, to_date) w
              CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_product_offer r
                                  WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last
                                    AND r.discount_pct > 0 OFFSET 0) s
              JOIN dwh.dim_product p ON p.product_key = s.product_key
              JOIN dwh.dim_offer o ON o.offer_key = s.offer_key
              UNION ALL
              SELECT l.product_id, l.product_name, l.offer_code, 1
              FROM txpipe.unconfirmed_sales(top_offers_by_product.source, from_date, to_date) l WHERE l.discount_pct > 0) s
        GROUP BY s.product_id, s.product_name, s.offer_code
    ) r
    WHERE top_offers_by_product.top_n IS NULL OR r.rank <= top_offers_by_product.top_n
    ORDER BY r.product_id, r.product_name COLLATE "C", r.rank, r.offer_code COLLATE "C";
END
$body$;
COMMENT ON FUNCTION txpipe.top_offers_by_product(date, date, integer, text) IS
'Most redeemed offers of each product between two days of sale. source: as in top_products(). Result: product_id, product_name, rank within the
product, offer_code, redemptions (sales)';

CREATE FUNCTION txpipe.lowest_online_cities(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                            top_n integer DEFAULT 10, min_orders integer DEFAULT 1,
                                            include_unknown boolean DEFAULT true, source text DEFAULT 'batch')
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
        SELECT rank() OVER (ORDER BY sum(s.total_paid)) AS rank, s.city, s.state, sum(s.sales)::bigint,
               sum(s.units)::bigint, sum(s.total_paid)
        FROM (SELECT l.city, l.state, s.sales, s.units, s.total_paid
              FROM txpipe.whole_periods(from_date, to_date) w
              CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_online_city r
                                  WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last OFFSET 0) s
              JOIN dwh.dim_location l ON l.location_key = s.location_key
              UNION ALL
              SELECT l.city, l.state, 1, l.units, l.total_paid
              FROM txpipe.unconfirmed_sales(lowest_online_cities.source, from_date, to_date) l WHERE l.is_online) s
        WHERE include_unknown IS NOT FALSE OR s.city <> '(unknown)'
        GROUP BY s.city, s.state
        HAVING lowest_online_cities.min_orders IS NULL OR sum(s.sales) >= lowest_online_cities.min_orders
    ) r
    WHERE lowest_online_cities.top_n IS NULL OR r.rank <= lowest_online_cities.top_n
    ORDER BY r.rank, r.city COLLATE "C", r.state COLLATE "C";
END
$body$;
COMMENT ON FUNCTION txpipe.lowest_online_cities(date, date, integer, integer, boolean, text) IS
'Cities with the lowest online sales by amount paid, ascending, between two days of sale. min_orders: cities with fewer
orders in the range are left out and take no rank; include_unknown false: so are rows without a city. source: as in
top_products(). Result: rank, city
(with its state: names repeat; (unknown) where the address has none), state, orders (sales), units (pieces), total_paid
(money, exact). Errors: 22023 for a top_n or min_orders below 1; 42P01 without a warehouse.';

-- One definition for the report of a day and for the export of many days.
CREATE FUNCTION txpipe.b2b_lines(days date[], source text DEFAULT 'batch')
RETURNS TABLE (day date, sales_agent_name text, product_name text, total_sold_units bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET jit = off SET enable_indexscan = off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM txpipe.require_warehouse();
    RETURN QUERY
    SELECT s.day, s.name, s.product_name, sum(s.units)::bigint
    FROM (SELECT s.period AS day, a.name, p.product_name, s.units
          FROM (SELECT DISTINCT d FROM unnest(days) AS d) w
          CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_agent_product r
                              WHERE r.grain = 'day' AND r.period = w.d OFFSET 0) s
          JOIN (SELECT sales_agent_key, coalesce(name, '(unknown)') AS name FROM dwh.dim_sales_agent) a
              ON a.sales_agent_key = s.sales_agent_key
          JOIN dwh.dim_product p ON p.product_key = s.product_key
          UNION ALL
          SELECT l.transaction_date, l.sales_agent_name, l.product_name, l.units
          FROM txpipe.unconfirmed_sales(b2b_lines.source, NULL, NULL) l
          WHERE l.transaction_date = ANY (days) AND NOT l.is_online) s
    GROUP BY s.day, s.name, s.product_name
    ORDER BY s.day, s.name COLLATE "C", s.product_name COLLATE "C";
END
$body$;
COMMENT ON FUNCTION txpipe.b2b_lines(date[], text) IS 'The lines of txpipe.b2b_sales() for several days; part of it and of export_b2b()';

CREATE FUNCTION txpipe.b2b_sales(day date, source text DEFAULT 'batch')
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
                 FROM txpipe.b2b_lines(ARRAY[day], source) l;
END
$body$;
COMMENT ON FUNCTION txpipe.b2b_sales(date, text) IS
'What each sales agent sold in branches on one day of sale. source: as in top_products(). Result, ordered by the two names (C collation):
sales_agent_name ((unknown) while no delivery has named the agent), product_name (names, not ids), total_sold_units';
