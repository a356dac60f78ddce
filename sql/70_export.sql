
-- 70_export.sql: the daily B2B files, and the log that knows which days changed since.

CREATE TABLE txpipe.export_log (
    export_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day date NOT NULL,
    version bigint NOT NULL,
    path text NOT NULL,
    rows bigint NOT NULL,
    sha256 bytea NOT NULL,
    exported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revision integer NOT NULL,
    reason text NOT NULL CHECK (reason IN ('first', 'revised', 'repeated', 'unchanged'))
);
CREATE INDEX export_log_day ON txpipe.export_log (day, export_id);
SELECT pg_catalog.pg_extension_config_dump('txpipe.export_log', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.export_log_export_id_seq', '');
REVOKE ALL ON txpipe.export_log FROM PUBLIC;
COMMENT ON TABLE txpipe.export_log IS 'Files written by export_b2b';
COMMENT ON COLUMN txpipe.export_log.export_id IS 'Number of the export';
COMMENT ON COLUMN txpipe.export_log.day IS 'Day of sale the file is about';
COMMENT ON COLUMN txpipe.export_log.version IS 'Version of the day (dwh.sales_day) the file holds; 0: the day had no sales';
COMMENT ON COLUMN txpipe.export_log.path IS 'Path of the file on the server';
COMMENT ON COLUMN txpipe.export_log.rows IS 'Lines after the header';
COMMENT ON COLUMN txpipe.export_log.sha256 IS 'SHA-256 of the file';
COMMENT ON COLUMN txpipe.export_log.exported_at IS 'When it was written';
COMMENT ON COLUMN txpipe.export_log.revision IS 'Revision of the day: 1 is b2b_sales_DAY.csv, 2 b2b_sales_DAY.r2.csv and so on';
COMMENT ON COLUMN txpipe.export_log.reason IS 'first (of the day), revised (its figures changed), repeated (asked for again, the same bytes), unchanged (the day changed, not its figures: nothing was written)';

CREATE FUNCTION txpipe.write_export(name text, content text)
RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_write_export';
COMMENT ON FUNCTION txpipe.write_export(text, text) IS
'Writes a UTF-8 file below txpipe.export_directory and returns its path. The file appears whole or not at all
(temporary name, fsync, rename) and replaces one of the same name. ROLLBACK does not undo it. Errors: 22023 for a
name that is not a plain file name, 25006 on a standby and in a read-only transaction, 55000 when txpipe.export_directory is not set,
58P01 when it does not exist.';

CREATE FUNCTION txpipe.publish_export(name text, content text, lines bigint, facts jsonb)
RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_publish_export';
COMMENT ON FUNCTION txpipe.publish_export(text, text, bigint, jsonb) IS
'As txpipe.write_export, and behind it the side file NAME.json, one JSON object: file, the members of facts, rows (lines), bytes,
sha256 (hexadecimal), written_at (UTC). An older side file is removed before the file is replaced: who sees one has the file it is
about. Errors: those of write_export; 22023 when facts is no object.';

CREATE FUNCTION txpipe.export_sha256(name text)
RETURNS bytea
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_export_sha256';
COMMENT ON FUNCTION txpipe.export_sha256(text) IS
'SHA-256 of a file below txpipe.export_directory; NULL when it is not there. Errors: those of txpipe.write_export';

-- Without a search_path of its own: the query is the caller's, as if he typed it.
CREATE FUNCTION txpipe.export_csv(query text, name text, profile text DEFAULT 'rfc4180')
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'txpipe_export_csv';
COMMENT ON FUNCTION txpipe.export_csv(text, text, text) IS
'Writes the rows of a query to a CSV file below txpipe.export_directory, in the order of the query (ORDER BY makes it stable), and
returns its path: RFC 4180 with CR LF, UTF-8, always a header; NULL is an empty field, an empty text "". It replaces a file of the
same name, whole or not at all; behind it comes the side file NAME.json (file, rows, bytes, sha256, written_at). Rows go to the file one by
one, however many they are. query: one SELECT, run as the caller, who may read and not write, not even through functions. profile:
rfc4180, or spreadsheet: with a byte-order mark, and an apostrophe before texts that begin with = + - @ tab or CR, which would be
formulas; columns of numbers stay as they are. Times are in the session''s TimeZone, dates and times in ISO style. ROLLBACK does not undo
it. Errors: those of txpipe.write_export; 22004 for NULL; 22023 for another profile or statement; 25006 when the query writes;
what the query itself raises.';

-- As export_csv.
CREATE FUNCTION txpipe.export_parquet(query text, dataset text, partition_by text[] DEFAULT NULL, sort_by text[] DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'txpipe_export_parquet';
COMMENT ON FUNCTION txpipe.export_parquet(text, text, text[], text[]) IS
'Writes the rows of a query to Parquet files in the directory DATASET below txpipe.export_directory, and returns the path of the
manifest, DATASET/_manifest.json (dataset, format, partition_by, columns with name and type, rows, bytes, written_at, parts with file, rows, bytes, sha256). Parts come
to their places when all are complete, then the manifest replaces the old one, then the parts of earlier exports are removed: who reads
by the manifest has all of one export. query: one SELECT, run as the caller, who may read and not write, not even through functions.
partition_by: columns (integers, dates, booleans, texts) that become directories column=value, as Hive has them, instead of columns of
the files; NULL is __HIVE_DEFAULT_PARTITION__. sort_by: columns by which the rows of a partition are sorted, ascending, texts by their
bytes, NULL last, so that readers skip what they do not look for; without both the order is the query''s. Types: boolean, smallint, integer,
bigint, real, double precision, numeric(p,s) as exact decimals up to 38 digits, date, timestamptz (UTC) and timestamp in microseconds,
text, varchar, char, json and jsonb as text, bytea, and domains over them. ROLLBACK does not undo it. Errors: those of txpipe.write_export;
22004 for NULL; 0A000 for a type that is not written; 22023 for another statement, a numeric without precision and scale, infinity, NaN of
numeric, or a partition that would be read as NULL; 22008 for a timestamp behind the year 294247; 42701 and 42703 for columns that are there
twice or not at all; 42883 for a column of sort_by without an order; 54000 for a text or binary of more than 256 MB; 25006 when the query writes; what the query itself raises.';

CREATE FUNCTION txpipe.read_manifest(dataset text, OUT directory text, OUT manifest text)
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_read_manifest';
COMMENT ON FUNCTION txpipe.read_manifest(text) IS
'The directory of a data set that txpipe.export_parquet wrote, and its manifest as JSON, NULL when there is none. dataset: its path below
txpipe.export_directory. Errors: 22004 for NULL, 22023 for a name that is not plain, 55000 when txpipe.export_directory is not set, 58P01 when it does not exist,
XX001 for a manifest that is not text in UTF-8.';

-- Who may write to the directory may write a manifest: nothing in one is taken as it is.
CREATE FUNCTION txpipe.parse_manifest(dataset text, manifest text)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    parsed jsonb;
    problem text;
    detail text;
BEGIN
    BEGIN
        parsed := manifest::jsonb;
        IF jsonb_typeof(parsed) <> 'object' THEN
            problem := 'It is not a JSON object.';
        END IF;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        problem := concat_ws(' ', 'It is not JSON: ' || SQLERRM || '.', nullif(detail, ''));
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'the manifest of data set "%" is damaged', dataset
            USING ERRCODE = 'data_corrupted', DETAIL = problem,
                  HINT = 'Find out who writes to the directory, remove the file, and export the data set again.';
    END IF;
    RETURN parsed;
END
$body$;
COMMENT ON FUNCTION txpipe.parse_manifest(text, text) IS
'Part of hive_ddl() and export_curated(): a manifest that was read, as JSON. Errors: XX001 for one that is no JSON object';

-- The types of columns in manifests (parquet_column.c) as Hive and Spark name them.
CREATE FUNCTION txpipe.hive_type(type text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT CASE WHEN type IN ('boolean', 'float', 'double', 'date', 'timestamp', 'string', 'binary')
                     OR type ~ '^decimal[(][0-9]{1,2},[0-9]{1,2}[)]$' THEN upper(type COLLATE "C")
                WHEN type = 'int32' THEN 'INT'
                WHEN type = 'int64' THEN 'BIGINT'
                WHEN type = 'json' THEN 'STRING'
                WHEN type = 'local_timestamp' THEN 'TIMESTAMP' END
$body$;
COMMENT ON FUNCTION txpipe.hive_type(text) IS 'Part of hive_ddl(): the type of a column in a manifest as Hive and Spark name it; NULL: it is none of ours';

CREATE FUNCTION txpipe.hive_name(name text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT '`' || replace(name, '`', '``') || '`'
$body$;
COMMENT ON FUNCTION txpipe.hive_name(text) IS 'Part of hive_ddl(): a name as an identifier of Hive and Spark';

-- CASE comes to each of them when those before hold.
CREATE FUNCTION txpipe.hive_fault(manifest jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT CASE WHEN jsonb_typeof(manifest -> 'columns') <> 'array' OR manifest -> 'columns' = '[]' THEN 'columns is not an array of columns.'
                WHEN c.first_wrong IS NOT NULL THEN c.first_wrong
                WHEN jsonb_typeof(manifest -> 'partition_by') IS DISTINCT FROM 'array' OR NOT c.names @> (manifest -> 'partition_by')
                     OR c.names <@ (manifest -> 'partition_by') THEN 'partition_by is not an array of some of the columns.' END
      FROM (SELECT (array_agg(format('Column %s has no name, or a type that is none of ours: %s.', n, left(v::text, 200)) ORDER BY n)
                    FILTER (WHERE jsonb_typeof(v -> 'name') IS DISTINCT FROM 'string' OR v ->> 'name' = ''
                                  OR jsonb_typeof(v -> 'type') IS DISTINCT FROM 'string' OR txpipe.hive_type(v ->> 'type') IS NULL))[1] AS first_wrong,
                   jsonb_agg(v -> 'name') AS names
              FROM jsonb_path_query(manifest, 'lax $.columns[*]') WITH ORDINALITY AS t (v, n)) c
$body$;
COMMENT ON FUNCTION txpipe.hive_fault(jsonb) IS 'Part of hive_ddl(): what is wrong with the columns of a manifest; NULL: nothing';

CREATE FUNCTION txpipe.hive_columns(manifest jsonb, OUT stored text, OUT partitions text)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
    SELECT string_agg(c.definition, E',\n    ' ORDER BY c.n) FILTER (WHERE c.partition IS NULL),
           string_agg(c.definition, ', ' ORDER BY c.partition) FILTER (WHERE c.partition IS NOT NULL)
      FROM (SELECT concat(txpipe.hive_name(v ->> 'name'), ' ', txpipe.hive_type(v ->> 'type')) AS definition, n,
                   array_position(ARRAY(SELECT jsonb_array_elements_text(manifest -> 'partition_by')), v ->> 'name') AS partition
              FROM jsonb_array_elements(manifest -> 'columns') WITH ORDINALITY AS t (v, n)) c
$body$;
COMMENT ON FUNCTION txpipe.hive_columns(jsonb) IS 'Part of hive_ddl(): the columns of the files and those of the directories, with their types';

CREATE FUNCTION txpipe.hive_ddl(dataset text, location text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    found CONSTANT record := txpipe.read_manifest(dataset);
    manifest CONSTANT jsonb := txpipe.parse_manifest(dataset, found.manifest);
    columns CONSTANT jsonb := manifest -> 'columns';
    fault CONSTANT text := txpipe.hive_fault(manifest);
    this_table CONSTANT text := txpipe.hive_name(substring(dataset FROM '[^/]*$'));
    parts record;
    twice text;
BEGIN
    IF found.manifest IS NULL THEN
        RAISE EXCEPTION 'there is no data set "%"', dataset
            USING ERRCODE = 'undefined_file', HINT = 'SELECT txpipe.export_parquet(query, dataset) writes one.';
    ELSIF columns IS NULL THEN
        RAISE EXCEPTION 'the manifest of data set "%" does not say which columns it has', dataset
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'It is of an earlier version of txpipe: export the data set again.';
    ELSIF fault IS NOT NULL THEN
        RAISE EXCEPTION 'the manifest of data set "%" is damaged', dataset
            USING ERRCODE = 'data_corrupted', DETAIL = fault,
                  HINT = 'Find out who writes to the directory, and export the data set again.';
    END IF;
    SELECT string_agg(c.names, '; ') INTO twice FROM (
        SELECT string_agg(v ->> 'name', ', ') AS names FROM jsonb_array_elements(columns) AS v
        GROUP BY lower(v ->> 'name') HAVING count(*) > 1) c;
    IF twice IS NOT NULL THEN
        RAISE EXCEPTION 'data set "%" has columns whose names differ in upper and lower case only', dataset
            USING ERRCODE = 'duplicate_column', DETAIL = format('They are: %s.', twice),
                  HINT = 'Hive and Spark do not tell such names apart: give the columns of the query others.';
    END IF;
    parts := txpipe.hive_columns(manifest);
    RETURN concat(format(E'CREATE EXTERNAL TABLE %s (\n    %s\n)', this_table, parts.stored),
                  E'\nPARTITIONED BY (' || parts.partitions || ')',
                  E'\nSTORED AS PARQUET\nLOCATION ''', replace(replace(coalesce(location, 'file://' || found.directory), '\', '\\'), '''', '\'''), ''';',
                  CASE WHEN parts.partitions IS NOT NULL THEN format(E'\nMSCK REPAIR TABLE %s SYNC PARTITIONS;', this_table) END);
END
$body$;
COMMENT ON FUNCTION txpipe.hive_ddl(text, text) IS
'The statements that make a data set of txpipe.export_parquet an external table of Hive or Spark SQL, named as the data set: CREATE EXTERNAL
TABLE with its columns and partitions as they were written, and, where there are partitions, MSCK REPAIR TABLE, which registers those that are
there; it is to be repeated after exports that bring or remove partitions. location: where the readers find the directory, by default
file:// and its path on this server. Errors: those of txpipe.read_manifest; 58P01 where there is no such data set, 55000 where its manifest is of
an earlier version and has no columns, XX001 where it is not what export_parquet writes, 42701 for columns whose names differ in upper and lower case only.
The caller needs EXECUTE on it and on read_manifest, parse_manifest, hive_type, hive_name, hive_fault and hive_columns.';

-- A field of RFC 4180.
CREATE FUNCTION txpipe.csv_field(value text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
    SELECT CASE WHEN value ~ '[",\r\n]' THEN '"' || replace(value, '"', '""') || '"' ELSE value END
$body$;
COMMENT ON FUNCTION txpipe.csv_field(text) IS 'Part of exports: a text as a field of CSV (RFC 4180), quoted where it must be';

-- The three writes below are all that an export needs of our tables. They run as the extension's owner and touch
-- nothing else, so that an export itself can run as the owner of dwh.
CREATE FUNCTION txpipe.begin_export(wait boolean)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    this_run bigint;
BEGIN
    -- One export at a time: the log must name the version that is in the file.
    IF wait THEN
        LOCK TABLE txpipe.export_log IN SHARE ROW EXCLUSIVE MODE;
    ELSE
        BEGIN
            LOCK TABLE txpipe.export_log IN SHARE ROW EXCLUSIVE MODE NOWAIT;
        EXCEPTION WHEN lock_not_available THEN
            INSERT INTO txpipe.run (job, state, message, finished_at)
            VALUES ('export_b2b', 'skipped', 'another export is running', clock_timestamp());
            RETURN NULL;
        END;
    END IF;
    INSERT INTO txpipe.run (job) VALUES ('export_b2b') RETURNING run_id INTO this_run;
    RETURN this_run;
END
$body$;
COMMENT ON FUNCTION txpipe.begin_export(boolean) IS
'Part of export_b2b(): returns the number of the run. While another export runs it waits, or returns NULL when it shall not';

CREATE FUNCTION txpipe.log_export(day date, version bigint, path text, rows bigint, sha256 bytea, revision integer, reason text)
RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
    INSERT INTO txpipe.export_log (day, version, path, rows, sha256, revision, reason)
    VALUES (log_export.day, log_export.version, log_export.path, log_export.rows, log_export.sha256, log_export.revision,
            log_export.reason)
$body$;
COMMENT ON FUNCTION txpipe.log_export(date, bigint, text, bigint, bytea, integer, text) IS
'Part of export_b2b(): notes a file in export_log';

CREATE FUNCTION txpipe.end_export(run_id bigint, files bigint, lines bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF files = 0 THEN
        DELETE FROM txpipe.run r WHERE r.run_id = end_export.run_id AND r.job = 'export_b2b';
    ELSE
        UPDATE txpipe.run r SET state = 'succeeded', finished_at = clock_timestamp(),
               message = format('%s lines in %s files', lines, files)
        WHERE r.run_id = end_export.run_id AND r.job = 'export_b2b';
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.end_export(bigint, bigint, bigint) IS 'Part of export_b2b(): ends its run, which vanishes when nothing was written';

CREATE FUNCTION txpipe.last_exports(OUT day date, OUT version bigint, OUT exported_at timestamptz, OUT revision integer,
                                    OUT sha256 bytea, OUT path text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT DISTINCT ON (l.day) l.day, l.version, l.exported_at, l.revision, l.sha256, l.path
    FROM txpipe.export_log l ORDER BY l.day, l.export_id DESC
$body$;
COMMENT ON FUNCTION txpipe.last_exports() IS 'Part of export_b2b(): the newest file of each day';

CREATE FUNCTION txpipe.b2b_file_name(day date, revision integer)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT concat('b2b_sales_', to_char(day::timestamp, 'YYYY-MM-DD'), CASE WHEN revision > 1 THEN '.r' || revision END, '.csv')
$body$;
COMMENT ON FUNCTION txpipe.b2b_file_name(date, integer) IS 'Part of export_b2b(): name of the file of a day, for revisions after the first with their number';

-- What it says of days, in one snapshot: the version of the log and what is in the file belong together.
CREATE FUNCTION txpipe.b2b_files(wanted date)
RETURNS TABLE (day date, version bigint, lines bigint, units bigint, body text, last_revision integer, last_sha256 bytea,
               last_path text)
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    WITH due AS MATERIALIZED (
        SELECT d.transaction_date AS day, d.version
        FROM dwh.sales_day d
        LEFT JOIN txpipe.last_exports() l ON l.day = d.transaction_date
        WHERE CASE WHEN b2b_files.wanted IS NULL
                   THEN l.day IS NULL OR l.version <> d.version OR l.exported_at < d.changed_at
                   ELSE d.transaction_date = b2b_files.wanted END
        UNION ALL
        SELECT b2b_files.wanted, 0
        WHERE NOT EXISTS (SELECT FROM dwh.sales_day d WHERE d.transaction_date = b2b_files.wanted)
          AND b2b_files.wanted IS NOT NULL
    ), content AS (
        SELECT b.day, count(*) AS lines, sum(b.total_sold_units)::bigint AS units,
               string_agg(format(E'%s,%s,%s\r\n', txpipe.csv_field(b.sales_agent_name),
                                 txpipe.csv_field(b.product_name), b.total_sold_units), ''
                          ORDER BY b.sales_agent_name COLLATE "C", b.product_name COLLATE "C") AS body
        FROM txpipe.b2b_lines(ARRAY(SELECT due.day FROM due)) b GROUP BY b.day
    )
    SELECT due.day, due.version, coalesce(c.lines, 0), coalesce(c.units, 0),
           E'sales_agent_name,product_name,total_sold_units\r\n' || coalesce(c.body, ''), l.revision, l.sha256, l.path
    FROM due
    LEFT JOIN content c ON c.day = due.day
    LEFT JOIN txpipe.last_exports() l ON l.day = due.day
    ORDER BY due.day
$body$;
COMMENT ON FUNCTION txpipe.b2b_files(date) IS
'Part of export_b2b(): content of the file of a day, or (NULL) of every day whose figures changed since its last file';

CREATE FUNCTION txpipe.export_b2b(day date DEFAULT NULL)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    files bigint := 0;
    lines bigint := 0;
    this_run bigint;
    file record;
    hash bytea;
    is_new boolean;
    number integer;
    path text;
BEGIN
    PERFORM txpipe.require_warehouse();
    -- What stands in dwh is its owner's: reading it with other rights would lend him those.
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'dwh' AND pg_get_userbyid(nspowner) = current_user) THEN
        RAISE EXCEPTION 'export_b2b must be called by the owner of the schema dwh' USING
            ERRCODE = 'insufficient_privilege',
            DETAIL = format('The owner is %s, the caller %s.', (SELECT quote_ident(pg_get_userbyid(nspowner))
                            FROM pg_namespace WHERE nspname = 'dwh'), quote_ident(current_user)),
            HINT = 'Let the owner schedule the export, or SET ROLE to him.';
    END IF;
    IF NOT isfinite(day) OR day < '0001-01-01' THEN
        RAISE EXCEPTION 'day must be a date of our era, not %', day USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'NULL exports every day whose figures changed.';
    END IF;
    this_run := txpipe.begin_export(wait => day IS NOT NULL);
    IF this_run IS NULL THEN
        RAISE NOTICE 'another export is running, which writes what is due' USING
            HINT = 'txpipe.run has the runs.';
        RETURN;
    END IF;
    FOR file IN SELECT * FROM txpipe.b2b_files(export_b2b.day)
    LOOP
        hash := sha256(convert_to(file.body, 'UTF8'));
        is_new := file.last_sha256 IS DISTINCT FROM hash;
        IF NOT is_new AND export_b2b.day IS NULL THEN
            PERFORM txpipe.log_export(file.day, file.version, file.last_path, file.lines, hash, file.last_revision, 'unchanged');
            CONTINUE;
        END IF;
        number := coalesce(file.last_revision + is_new::integer, 1);
        -- What is there stays, also where its export was rolled back or its log is lost.
        WHILE txpipe.export_sha256(txpipe.b2b_file_name(file.day, number)) <> hash LOOP
            number := number + 1;
        END LOOP;
        path := txpipe.publish_export(txpipe.b2b_file_name(file.day, number), file.body, file.lines,
                                      jsonb_build_object('day', file.day, 'revision', number, 'sum', file.units));
        PERFORM txpipe.log_export(file.day, file.version, path, file.lines, hash, number,
                                  CASE WHEN NOT is_new THEN 'repeated' WHEN number = 1 THEN 'first' ELSE 'revised' END);
        files := files + 1;
        lines := lines + file.lines;
        RETURN NEXT path;
    END LOOP;
    PERFORM txpipe.end_export(this_run, files, lines);
END
$body$;
COMMENT ON FUNCTION txpipe.export_b2b(date) IS
'Writes txpipe.b2b_sales() of a day to b2b_sales_YYYY-MM-DD.csv below txpipe.export_directory (RFC 4180, UTF-8,
always with its header) and returns the path. NULL, the default: every day whose figures changed since its last
file, oldest first; no rows when there is none, or while another export runs (a NOTICE says so). A file that is out is never
changed: other figures make b2b_sales_YYYY-MM-DD.r2.csv, .r3.csv and so on; the same figures, asked for again, the same
bytes under the same name. Behind each file comes NAME.json: file, day, revision, sum (of the units), rows, bytes, sha256,
written_at. ROLLBACK undoes the log, not the files: those days are written again.
For the owner of dwh, who needs EXECUTE on it and on publish_export, export_sha256, begin_export, log_export, end_export,
last_exports, b2b_files, b2b_file_name and csv_field. Errors: those of txpipe.write_export; 42P01 without a warehouse; 42501 for
others; 22023 for a date that is none.';
