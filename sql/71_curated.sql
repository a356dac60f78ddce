
-- 71_curated.sql: the warehouse as Parquet files below txpipe.export_directory: the fact by month, the dimensions whole.
--
-- Which months are to be written again is told by their states, in the manifest and now: dwh.month_change has a random mark for
-- each change of a month, and a state is what the marks come to. So it does not matter which exports were rolled back, lost or
-- written elsewhere, and folding marks (dwh.fold_rollups) changes no state.

CREATE FUNCTION txpipe.write_zone(zone text, pieces text, tables regclass[], OUT path text, OUT written bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_write_zone';
COMMENT ON FUNCTION txpipe.write_zone(text, text, regclass[]) IS
'Part of export_curated(): writes data sets of Parquet files into the directory ZONE below txpipe.export_directory, of one snapshot. pieces: a
query with the columns dataset, query, partition_by, sort_by, state, is_current (the files of the last export have these rows) and parts (those
files: name, rows, bytes and sha256 of each), rows of one data set together. tables: those it reads, held before the snapshot is taken. Returns the path of the manifest, which is NULL while another export
of the zone is at work, and how many files were written. Errors: those of txpipe.export_parquet; 22023 for other columns of the query; 25001 for another isolation than READ COMMITTED.';

-- What Parquet has no value or type for becomes NULL or text.
CREATE FUNCTION txpipe.curated_columns(relation regclass)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
    SELECT string_agg(CASE
               WHEN a.atttypid IN ('date'::regtype, 'timestamptz'::regtype, 'timestamp'::regtype)
               THEN format('nullif(nullif(t.%1$I, ''infinity''), ''-infinity'') AS %1$I', a.attname)
               WHEN a.atttypid IN ('boolean'::regtype, 'smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'real'::regtype,
                                   'double precision'::regtype, 'text'::regtype, 'varchar'::regtype, 'json'::regtype, 'jsonb'::regtype,
                                   'bytea'::regtype) OR format_type(a.atttypid, a.atttypmod) ~ '^numeric\((\d|[12]\d|3[0-8]),\d+\)$'
               THEN format('t.%I', a.attname)
               ELSE format('t.%1$I::text AS %1$I', a.attname) END, ', ' ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
$body$;
COMMENT ON FUNCTION txpipe.curated_columns(regclass) IS 'Part of export_curated(): the columns of a table dwh.… as Parquet can have them';

-- Files that are not named and described as ours are none of the last export: what they were for is written anew.
CREATE FUNCTION txpipe.curated_parts(OUT dataset text, OUT directory text, OUT state text, OUT parts text[])
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT d ->> 'dataset', substring(p ->> 'file' FROM '^(.*)/'), min(p ->> 'state'),
           array_agg(v.value ORDER BY e.n, v.n)
      FROM jsonb_path_query(txpipe.parse_manifest('curated', (txpipe.read_manifest('curated')).manifest), 'lax $.datasets[*]') AS d,
           jsonb_path_query(d, 'lax $.parts[*]') WITH ORDINALITY AS e (p, n),
           unnest(ARRAY[p ->> 'file', p ->> 'rows', p ->> 'bytes', p ->> 'sha256']) WITH ORDINALITY AS v (value, n)
     GROUP BY 1, 2
    HAVING bool_and(coalesce(p ->> 'file' ~ '^(year=[0-9]{1,4}/month=[0-9]{1,2}/)?part-[0-9]{5,9}-[0-9a-f]{16}[.]parquet$' AND p ->> 'sha256' ~ '^[0-9a-f]{64}$'
                             AND p ->> 'rows' ~ '^[0-9]{1,18}$' AND p ->> 'bytes' ~ '^[0-9]{1,18}$', false))
$body$;
COMMENT ON FUNCTION txpipe.curated_parts() IS 'Part of export_curated(): the files of the last export, by data set and directory';

-- One row for each leaf of the fact, with the days it is for; NULL where its bounds do not say.
CREATE FUNCTION txpipe.fact_leaves(OUT leaf text, OUT days daterange)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
    SELECT concat_ws(':', c.oid, c.relfilenode, i.xmin), daterange(b.bound[1]::date, b.bound[2]::date)
      FROM pg_partition_tree('dwh.fact_sales') t JOIN pg_class c ON c.oid = t.relid
      LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
      LEFT JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), $r$^FOR VALUES FROM \('(\d{4}-\d\d-\d\d)'\) TO \('(\d{4}-\d\d-\d\d)'\)$$r$)
           AS b (bound) ON true
     WHERE t.isleaf
$body$;
COMMENT ON FUNCTION txpipe.fact_leaves() IS 'Part of export_curated(): the partitions of dwh.fact_sales, by their files and when they were attached, and the days they are for';

CREATE FUNCTION txpipe.curated_months(OUT month date, OUT state text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT m.month, md5(concat_ws(' ', 'form 1', txpipe.curated_columns('dwh.fact_sales'),
               (SELECT string_agg(format_type(a.atttypid, a.atttypmod), ',' ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = 'dwh.fact_sales'::regclass AND a.attnum > 0 AND NOT a.attisdropped),
               (SELECT bit_xor(c.mark) FROM dwh.month_change c WHERE c.month = m.month),
               (SELECT string_agg(l.leaf, ' ' ORDER BY l.leaf) FROM txpipe.fact_leaves() l
                 WHERE l.days && daterange(m.month, (m.month + interval '1 month')::date) IS NOT FALSE)))
      FROM (SELECT date_trunc('month', d.date::timestamp)::date AS month FROM dwh.dim_date d
            UNION SELECT c.month FROM dwh.month_change c
            UNION SELECT g::date FROM txpipe.fact_leaves() l, generate_series(date_trunc('month', lower(l.days)::timestamp), upper(l.days) - 1, '1 month') AS g
            UNION SELECT date_trunc('month', s.transaction_date::timestamp)::date FROM dwh.fact_sales s
                   WHERE (SELECT bool_or(l.days IS NULL) FROM txpipe.fact_leaves() l)) m
     CROSS JOIN LATERAL (SELECT FROM dwh.fact_sales f
                          WHERE f.transaction_date >= m.month AND f.transaction_date < m.month + interval '1 month' LIMIT 1) f
$body$;
COMMENT ON FUNCTION txpipe.curated_months() IS 'Part of export_curated(): months with sales, and a text that is another one when the sales of a month may have changed';

CREATE FUNCTION txpipe.curated_pieces(everything boolean)
RETURNS TABLE (dataset text, query text, partition_by text[], sort_by text[], state text, is_current boolean, parts text[])
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET datestyle = ISO
SET jit = off
AS $body$
    WITH last AS MATERIALIZED (SELECT * FROM txpipe.curated_parts()),
         months AS MATERIALIZED (SELECT * FROM txpipe.curated_months())
    (SELECT 'fact_sales', format('SELECT %s, %s AS year, %s AS month FROM dwh.fact_sales t WHERE t.transaction_date >= %L AND t.transaction_date < %L',
                                txpipe.curated_columns('dwh.fact_sales'), extract(year FROM m.month), extract(month FROM m.month),
                                m.month, (m.month + interval '1 month')::date),
            '{year,month}'::text[], '{transaction_date,transaction_id}'::text[], m.state, l.state = m.state AND NOT everything, l.parts
       FROM months m
       LEFT JOIN last l ON l.dataset = 'fact_sales' AND l.directory = concat('year=', extract(year FROM m.month), '/month=', extract(month FROM m.month))
      ORDER BY m.month)
    UNION ALL
    SELECT 'fact_sales', format('SELECT %s, 0 AS year, 0 AS month FROM dwh.fact_sales t WHERE false', txpipe.curated_columns('dwh.fact_sales')),
           '{year,month}', '{transaction_date,transaction_id}', NULL, false, NULL
     WHERE NOT EXISTS (SELECT FROM months)
    UNION ALL
    (SELECT d.name, format('SELECT %s FROM dwh.%I t', txpipe.curated_columns(format('dwh.%I', d.name)::regclass), d.name), NULL, ARRAY[d.key], NULL, false, l.parts
      FROM (VALUES ('dim_branch', 'branch_key'), ('dim_customer', 'customer_key'), ('dim_date', 'date'), ('dim_location', 'location_key'),
                   ('dim_offer', 'offer_key'), ('dim_product', 'product_key'), ('dim_sales_agent', 'sales_agent_key')) AS d (name, key)
      LEFT JOIN last l ON l.dataset = d.name AND l.directory IS NULL
      ORDER BY d.name)
$body$;
COMMENT ON FUNCTION txpipe.curated_pieces(boolean) IS
'Part of export_curated(): what is to be in the files, for txpipe.write_zone; everything: no file of the last export counts as current';

CREATE FUNCTION txpipe.log_curated(path text, written bigint, started_at timestamptz)
RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
    INSERT INTO txpipe.run (job, state, message, started_at, finished_at)
    VALUES ('export_curated', CASE WHEN log_curated.path IS NULL THEN 'skipped' ELSE 'succeeded' END,
            CASE WHEN log_curated.path IS NULL THEN 'another export is running' ELSE log_curated.written || ' files written' END,
            log_curated.started_at, clock_timestamp())
$body$;
COMMENT ON FUNCTION txpipe.log_curated(text, bigint, timestamptz) IS 'Part of export_curated(): its run';

CREATE FUNCTION txpipe.export_curated(everything boolean DEFAULT false)
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    started_at CONSTANT timestamptz := clock_timestamp();
    done record;
BEGIN
    PERFORM txpipe.require_warehouse_owner();
    IF to_regclass('dwh.month_change') IS NULL THEN
        RAISE EXCEPTION 'the warehouse does not note yet which months change'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'SELECT txpipe.create_warehouse() brings it up to date.';
    END IF;
    done := txpipe.write_zone('curated', format('SELECT * FROM txpipe.curated_pieces(%L)', coalesce(everything, false)),
        ARRAY['dwh.fact_sales', 'dwh.dim_branch', 'dwh.dim_customer', 'dwh.dim_date', 'dwh.dim_location', 'dwh.dim_offer', 'dwh.dim_product',
              'dwh.dim_sales_agent']::regclass[]);
    IF done.path IS NULL THEN
        RAISE NOTICE 'another export of the warehouse is running' USING HINT = 'txpipe.run has the runs.';
    END IF;
    PERFORM txpipe.log_curated(done.path, done.written, started_at);
    RETURN done.path;
END
$body$;
COMMENT ON FUNCTION txpipe.export_curated(boolean) IS
'Writes the warehouse as Parquet files below txpipe.export_directory: curated/fact_sales/year=…/month=…/, sorted by date and id, and the dimensions
whole (curated/dim_…), all of one snapshot, and returns the path of the manifest, curated/_manifest.json, which names the files of all; NULL while
another call is at work (a NOTICE says so). Only months whose sales changed since their files were written are written again, and
of dimensions those with other bytes; everything: all is written, and files with the same bytes stay. A month without sales has no files. The
manifest replaces the last one in one step; then come those of the data sets (curated/fact_sales/_manifest.json and so on, as of
txpipe.export_parquet), then the files that are in none any more go. Infinite dates are NULL, types that Parquet has not are text. ROLLBACK
does not undo it. For the owner of dwh, who needs EXECUTE on it and on require_warehouse_owner, write_zone, curated_pieces, curated_months, curated_parts,
curated_columns, fact_leaves, read_manifest, parse_manifest and log_curated. Errors: those of txpipe.write_zone and read_manifest; 42P01 and 55000 without a warehouse or with an older one, 42501 for others, XX001 for a manifest
of the last export that is not JSON.';
