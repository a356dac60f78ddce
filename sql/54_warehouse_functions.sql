
-- 54_warehouse_functions.sql: the functions that live in dwh. They use dwh and pg_catalog only.

CREATE FUNCTION txpipe.warehouse_functions()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
BEGIN
    -- The rule is txpipe.group_time's: one text, so that both always agree.
    EXECUTE format('CREATE OR REPLACE FUNCTION dwh.group_time(group_key text) RETURNS timestamptz '
                   'LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS %L',
                   (SELECT prosrc FROM pg_proc WHERE oid = 'txpipe.group_time(text)'::regprocedure));
    COMMENT ON FUNCTION dwh.group_time(text) IS
    'Time of a group of files, from its key. A key that holds YYYYMMDD[HH[MI]], with or without separators
    (2023-11-05T13, 20231105_13, 2023/11/05/13), is that time in UTC. Otherwise the last number in the key
    counts hours from 1970-01-01 00:00 UTC (group12 is 12:00), so that groups keep their order. Versions of
    branches and sales agents begin at these times; of two keys with the same time the later delivery counts.';

    CREATE OR REPLACE FUNCTION dwh.create_months(months date[])
    RETURNS TABLE (line_no bigint, outcome text, code text, message text, column_name text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $function$
    DECLARE
        first_day date;
        partition name;
    BEGIN
        FOR first_day IN
            SELECT DISTINCT date_trunc('month', m::timestamp)::date AS m FROM unnest(months) AS m ORDER BY m
        LOOP
            partition := 'fact_sales_' || to_char(first_day, 'YYYY_MM');
            CONTINUE WHEN to_regclass('dwh.' || partition) IS NOT NULL;
            -- Somebody may have made a partition for the month and others.
            IF NOT EXISTS (
                SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
                     regexp_match(pg_get_expr(c.relpartbound, c.oid), $r$FROM \('?([^')]+)'?\) TO \('?([^')]+)'?\)$r$) AS bound
                WHERE i.inhparent = 'dwh.fact_sales'::regclass AND bound IS NOT NULL
                  AND daterange(nullif(bound[1], 'MINVALUE')::date, nullif(bound[2], 'MAXVALUE')::date)
                      @> daterange(first_day, (first_day + interval '1 month')::date))
            THEN
                -- ATTACH lets readers and writers of the other months go on; PARTITION OF would not.
                EXECUTE format('CREATE TABLE dwh.%I (LIKE dwh.fact_sales INCLUDING ALL)', partition);
                -- It is read through its parent, whatever default privileges say.
                EXECUTE format('REVOKE ALL ON dwh.%I FROM PUBLIC', partition);
                EXECUTE format('ALTER TABLE dwh.fact_sales ATTACH PARTITION dwh.%I FOR VALUES FROM (%L) TO (%L)',
                               partition, first_day, (first_day + interval '1 month')::date);
            END IF;
            INSERT INTO dwh.dim_date
                SELECT d, extract(year FROM d), extract(quarter FROM d), extract(month FROM d),
                       to_char(d, 'FMMonth'), extract(day FROM d), extract(isoyear FROM d),
                       extract(week FROM d), extract(isodow FROM d), to_char(d, 'FMDay'),
                       extract(isodow FROM d) > 5
                FROM generate_series(first_day::timestamp, first_day + interval '1 month' - interval '1 day',
                                     interval '1 day') AS d
                ON CONFLICT DO NOTHING;
        END LOOP;
    END
    $function$;
    COMMENT ON FUNCTION dwh.create_months(date[]) IS
    'Makes the partitions of dwh.fact_sales for the months these dates are in, where no partition holds them, and their days
    in dwh.dim_date. Called by the load of sales; returns no rows, in the shape a step of a feed has.';
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_functions() IS 'Part of create_warehouse(): functions in dwh; replaces them when called again';
