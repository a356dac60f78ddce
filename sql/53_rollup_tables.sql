
-- 53_rollup_tables.sql: the rollups of dwh.fact_sales: sums by day, month and year.
--
-- All rollups have one shape: grain and period, the keys, four sums. list_rollups() says which there are; tables, views,
-- triggers, comparison and repair (59) are made from it, so a rollup is one line here.
--
-- A file of sales spread over two years changes thousands of sums. So small changes are only noted, in one table for all
-- rollups (dwh.rollup_delta), and folded into the sums (dwh.rollup_…_base) many at a time; a rollup is the view of both.

CREATE FUNCTION txpipe.list_rollups()
RETURNS TABLE (rollup text, keys text[], types text[], condition text, description text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    VALUES
    ('rollup_total', '{}'::text[], '{}'::text[], 'true', 'All sales of a period'),
    ('rollup_product_offer', '{product_key,offer_key,discount_pct}', '{integer,integer,integer}', 'true',
     'Sales by product and offer; the view dwh.rollup_product sums them by product'),
    ('rollup_online_city', '{location_key}', '{integer}', 'is_online',
     'Online sales by the city they were shipped to'),
    ('rollup_agent_product', '{sales_agent_key,product_key}', '{integer,integer}', 'NOT is_online',
     'Branch sales by version of the sales agent and product'),
    ('rollup_branch_channel_payment', '{branch_key,is_online,payment_method}',
     ARRAY['integer', 'boolean', 'text COLLATE "C"'], 'true', 'Sales by version of the branch, channel and payment method')
$body$;
COMMENT ON FUNCTION txpipe.list_rollups() IS
'Part of create_warehouse(): the rollups, each with its keys and their types, and which sales it sums';

-- Tables and views alike.
CREATE FUNCTION txpipe.comment_rollup(rollup text, description text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    about CONSTANT jsonb := '{
        "sign": "1: came, -1: left",
        "transaction_date": "Day of sale",
        "grain": "day, month or year",
        "period": "First day of the period",
        "product_key": "Product (dwh.dim_product)",
        "offer_key": "Offer redeemed (dwh.dim_offer)",
        "customer_key": "Person (dwh.dim_customer)",
        "discount_pct": "Rate of the offer when the sales were loaded, in per cent",
        "location_key": "City (dwh.dim_location)",
        "sales_agent_key": "Version of the sales agent (dwh.dim_sales_agent)",
        "branch_key": "Version of the branch (dwh.dim_branch)",
        "is_online": "Sold by the web shop; false: in a branch",
        "payment_method": "How it was paid",
        "sales": "Number of sales; a row without any is deleted",
        "units": "Pieces sold",
        "gross_amount": "Sum of gross_amount",
        "total_paid": "Sum of total_paid, exact"}';
    field record;
BEGIN
    FOR field IN
        SELECT c.relkind, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.oid = format('dwh.%I', rollup)::regclass AND a.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON %s dwh.%I IS %L', CASE field.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, rollup,
                       description);
        EXECUTE format('COMMENT ON COLUMN dwh.%I.%I IS %L', rollup, field.attname, about ->> field.attname::text);
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.comment_rollup(text, text) IS 'Part of create_warehouse(): describes a rollup and its columns';

CREATE FUNCTION txpipe.warehouse_rollup_table(rollup text, keys text[], types text[], description text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    -- A batch may change every sum of a page. With more than half of it free they stay there (HOT), though sums get longer,
    -- and the ranges that reports read stay together.
    EXECUTE format(
        'CREATE TABLE dwh.%I (grain text COLLATE "C" NOT NULL CHECK (grain IN (''day'', ''month'', ''year'')),'
        ' period date NOT NULL%s,'
        ' sales bigint NOT NULL, units bigint NOT NULL, gross_amount numeric NOT NULL,'
        ' total_paid numeric NOT NULL, PRIMARY KEY (%s)) WITH (fillfactor = 40)',
        rollup || '_base',
        (SELECT string_agg(format(', %I %s NOT NULL', k.name, k.type), '' ORDER BY k.n)
         FROM unnest(keys, types) WITH ORDINALITY AS k (name, type, n)),
        array_to_string('{grain,period}' || keys, ', '));
    PERFORM txpipe.comment_rollup(rollup || '_base', description || ', without the changes in dwh.rollup_delta: read dwh.'
                                  || rollup);
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_rollup_table(text, text[], text[], text) IS
'Part of create_warehouse(): the table of one rollup''s sums';

CREATE FUNCTION txpipe.warehouse_rollup_delta()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF to_regclass('dwh.rollup_delta') IS NULL THEN
        CREATE TABLE dwh.rollup_delta (
            sign smallint NOT NULL CHECK (sign IN (-1, 1)),
            transaction_date date NOT NULL,
            product_key integer NOT NULL,
            offer_key integer NOT NULL,
            discount_pct integer NOT NULL,
            location_key integer NOT NULL,
            sales_agent_key integer NOT NULL,
            branch_key integer NOT NULL,
            is_online boolean NOT NULL,
            payment_method text COLLATE "C" NOT NULL,
            units bigint NOT NULL,
            gross_amount numeric NOT NULL,
            total_paid numeric NOT NULL
        );
        -- It has no key, and what is folded is deleted, also where all tables are published.
        ALTER TABLE dwh.rollup_delta REPLICA IDENTITY FULL;
    END IF;
    PERFORM txpipe.comment_rollup('rollup_delta',
        'Sales that came to dwh.fact_sales or left it and are not in the sums dwh.rollup_…_base yet (dwh.fold_rollups)');
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_rollup_delta() IS 'Part of create_warehouse(): the table of changes to all rollups';

-- Marks are added, never changed, so that no writer waits for another. What the marks of a month come to (bit_xor) tells whether its
-- sales may have changed since somebody looked.
CREATE FUNCTION txpipe.warehouse_month_changes()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF to_regclass('dwh.month_change') IS NULL THEN
        CREATE TABLE dwh.month_change (month date NOT NULL, mark bigint NOT NULL);
        ALTER TABLE dwh.month_change REPLICA IDENTITY FULL;
    END IF;
    COMMENT ON TABLE dwh.month_change IS
    'Changes of the sales of a month, each a random mark: when bit_xor(mark) of a month is what it was, no statement addressed to dwh.fact_sales changed it';
    COMMENT ON COLUMN dwh.month_change.month IS 'First day of the month';
    COMMENT ON COLUMN dwh.month_change.mark IS 'Random number; several of a month may be replaced by their bit_xor';

    CREATE OR REPLACE FUNCTION dwh.note_months(days date[])
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $function$
    BEGIN
        INSERT INTO dwh.month_change (month, mark)
        SELECT m.month, ('x' || left(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint
        FROM (SELECT DISTINCT date_trunc('month', d::timestamp)::date AS month FROM unnest(days) AS d) m;
    END
    $function$;
    COMMENT ON FUNCTION dwh.note_months(date[]) IS 'Notes in dwh.month_change that sales of these days changed';

    CREATE OR REPLACE FUNCTION dwh.fold_months()
    RETURNS void
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $function$
        WITH gone AS (DELETE FROM dwh.month_change RETURNING month, mark)
        INSERT INTO dwh.month_change (month, mark) SELECT month, bit_xor(mark) FROM gone GROUP BY month
    $function$;
    COMMENT ON FUNCTION dwh.fold_months() IS 'Leaves one mark for each month in dwh.month_change, which says the same';
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_month_changes() IS 'Part of create_warehouse(): what tells which months of the fact changed';

-- One rollup as it is read: a row for each period and key.
CREATE FUNCTION txpipe.warehouse_rollup_view(rollup text, keys text[], condition text, description text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    -- A constant as the grain lets a query for one grain pass the other two by.
    EXECUTE format($sql$
        CREATE OR REPLACE VIEW dwh.%1$I AS
        SELECT grain, period, %2$s sum(sales)::bigint AS sales, sum(units)::bigint AS units,
               sum(gross_amount) AS gross_amount, sum(total_paid) AS total_paid
        FROM (SELECT grain, period, %2$s sales, units, gross_amount, total_paid FROM dwh.%3$I %4$s) s
        GROUP BY grain, period %5$s HAVING sum(sales) <> 0$sql$,
        rollup, array_to_string(keys || ''::text, ', '), rollup || '_base',
        (SELECT string_agg(format($sql$
              UNION ALL SELECT %L::text COLLATE "C", %s, %s sign::bigint, sign * units, sign * gross_amount, sign * total_paid
                        FROM dwh.rollup_delta WHERE %s$sql$,
              grain, CASE grain WHEN 'day' THEN 'transaction_date'
                     ELSE format('date_trunc(%L, transaction_date::timestamp)::date', grain) END,
              array_to_string(keys || ''::text, ', '), condition), '')
         FROM unnest('{day,month,year}'::text[]) AS grain),
        array_to_string(''::text || keys, ', '));
    PERFORM txpipe.comment_rollup(rollup, description || '. Kept by triggers of dwh.fact_sales');
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_rollup_view(text, text[], text, text) IS
'Part of create_warehouse(): the view of one rollup, sums and changes together';

CREATE FUNCTION txpipe.warehouse_rollups()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    wanted record;
    is_new boolean := false;
BEGIN
    PERFORM txpipe.warehouse_rollup_delta();
    PERFORM txpipe.warehouse_month_changes();
    FOR wanted IN SELECT * FROM txpipe.list_rollups() LOOP
        CONTINUE WHEN to_regclass(format('dwh.%I', wanted.rollup || '_base')) IS NOT NULL;
        PERFORM txpipe.warehouse_rollup_table(wanted.rollup, wanted.keys, wanted.types, wanted.description);
        PERFORM txpipe.warehouse_rollup_view(wanted.rollup, wanted.keys, wanted.condition, wanted.description);
        is_new := true;
    END LOOP;
    PERFORM txpipe.warehouse_rollup_audit();
    IF txpipe.warehouse_is_distributed() THEN
        PERFORM txpipe.warehouse_sales_moved();
    ELSE
        PERFORM txpipe.warehouse_rollup_triggers();
    END IF;
    IF is_new THEN
        PERFORM dwh.repair_rollups();
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_rollups() IS
'Part of create_warehouse(): rollups, their triggers and functions. Where tables are missing, they are made and filled;
otherwise only functions are replaced';

-- The last of what changes: a view that is replaced can be read again when the transaction has ended.
CREATE FUNCTION txpipe.warehouse_rollup_views()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM txpipe.warehouse_rollup_view(l.rollup, l.keys, l.condition, l.description) FROM txpipe.list_rollups() l;
    CREATE OR REPLACE VIEW dwh.rollup_product AS
        SELECT grain, period, product_key, sum(sales)::bigint AS sales, sum(units)::bigint AS units,
               sum(gross_amount) AS gross_amount, sum(total_paid) AS total_paid
        FROM dwh.rollup_product_offer GROUP BY grain, period, product_key;
    PERFORM txpipe.comment_rollup('rollup_product', 'Sales by product: dwh.rollup_product_offer over all offers');
    CREATE OR REPLACE VIEW dwh.rollup_customer AS
        SELECT 'day'::text AS grain, transaction_date AS period, customer_key, count(*) AS sales, sum(units) AS units,
               sum(gross_amount) AS gross_amount, sum(total_paid) AS total_paid
        FROM dwh.fact_sales GROUP BY transaction_date, customer_key;
    PERFORM txpipe.comment_rollup('rollup_customer',
        'Sales by person and day, from dwh.fact_sales: few persons buy twice a day, a table of their sums would be as long');
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_rollup_views() IS 'Part of create_warehouse(): rollups that are views';
