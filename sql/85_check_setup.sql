
-- 85_check_setup.sql: what a newcomer's installation still lacks.

CREATE FUNCTION txpipe.directory_problem(setting text, OUT directory text, OUT problem text, OUT hint text)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_directory_problem';
COMMENT ON FUNCTION txpipe.directory_problem(text) IS
'Part of check_setup(): what is wrong with the directory named by landing_directory, lake_directory or export_directory (txpipe.…), and what
mends it: not set, missing, no directory, not writable by the server. Problem and hint are NULL when all is well.';

CREATE FUNCTION txpipe.check_preload(OUT item text, OUT ok boolean, OUT detail text, OUT hint text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    libraries text := current_setting('shared_preload_libraries');
    library text[] := regexp_split_to_array(nullif(trim(libraries), ''), '\s*,\s*');
    limit_now integer := current_setting('max_worker_processes')::integer;
    own integer;
    needed integer;
    lacking boolean;
BEGIN
    item := 'preload';
    ok := coalesce('txpipe' = ANY (library), false);
    detail := format('shared_preload_libraries = %L', libraries);
    hint := NULL;
    IF NOT ok THEN
        SELECT format('ALTER SYSTEM SET shared_preload_libraries = %s; -- then restart the server',
                      string_agg(quote_literal(trim(l, '"')), ', ' ORDER BY l <> 'pg_cron', l = 'txpipe'))
            INTO hint FROM unnest(library || 'txpipe'::text) AS l;
    END IF;
    RETURN NEXT;

    item := 'workers';
    SELECT coalesce(sum((options ->> 'workers')::integer), 0) INTO own
        FROM txpipe.stream WHERE (options ->> 'workers')::integer > 1;
    needed := 1 + own + coalesce(current_setting('txpipe.max_workers', true), '2')::integer
              + coalesce('pg_cron' = ANY (library), false)::integer
              + CASE WHEN txpipe.cron_setting('use_background_workers') = 'on'
                     THEN least(txpipe.cron_setting('max_running_jobs')::integer, 4) ELSE 0 END
              + (current_setting('max_logical_replication_workers')::integer > 0)::integer;
    lacking := EXISTS (SELECT FROM txpipe.stream_hindrance() h WHERE h.worker_shortage ~ '^no background worker');
    ok := limit_now >= needed AND NOT lacking;
    detail := format('max_worker_processes = %s, of which the launcher, its workers and other libraries need %s '
                     '(%s of them streams of this database with workers of their own); parallel queries and other '
                     'databases use what is left%s', limit_now, needed, own,
                     CASE WHEN lacking THEN '; a worker that is wanted now could not be started' ELSE '' END);
    hint := CASE WHEN NOT ok THEN format('ALTER SYSTEM SET max_worker_processes = %s; -- then restart the server',
                                         CASE WHEN lacking THEN greatest(needed, limit_now) ELSE needed END + 4) END;
    RETURN NEXT;
END
$body$;
COMMENT ON FUNCTION txpipe.check_preload() IS 'Part of check_setup(): preloaded libraries and the budget of workers';

CREATE FUNCTION txpipe.check_version(OUT item text, OUT ok boolean, OUT detail text, OUT hint text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    files text := (SELECT e.default_version FROM pg_available_extensions e WHERE e.name = 'txpipe');
    library text := txpipe.loaded_version();
    here text := (SELECT x.extversion FROM pg_extension x WHERE x.extname = 'txpipe');
BEGIN
    item := 'version';
    ok := coalesce(library = here AND library = files, false);
    detail := format('library %s, extension %s, installed files %s', library, here, coalesce(files, 'none'));
    hint := CASE WHEN here IS DISTINCT FROM files AND library = files THEN 'ALTER EXTENSION txpipe UPDATE'
                 WHEN NOT ok THEN 'sudo systemctl restart postgresql' END;
END
$body$;
COMMENT ON FUNCTION txpipe.check_version() IS
'Part of check_setup(): that the library in memory, the extension of this database and the installed files are of one version';

CREATE FUNCTION txpipe.check_guards(OUT item text, OUT ok boolean, OUT detail text, OUT hint text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    problem text := txpipe.guard_problem();
    setting text := CASE WHEN problem ~ 'min_free_space' THEN 'min_free_space' ELSE 'max_replication_lag' END;
BEGIN
    item := 'guards';
    ok := problem IS NULL;
    detail := coalesce(problem, format('txpipe.min_free_space = %s, txpipe.max_replication_lag = %s; 0 is off',
                                       current_setting('txpipe.min_free_space'),
                                       current_setting('txpipe.max_replication_lag')));
    hint := CASE WHEN NOT ok THEN format('ALTER SYSTEM SET txpipe.%s = 0; SELECT pg_reload_conf(); -- if streams shall '
                                         'not wait for it', setting) END;
END
$body$;
COMMENT ON FUNCTION txpipe.check_guards() IS
'Part of check_setup(): what txpipe.min_free_space and txpipe.max_replication_lag find now';

CREATE FUNCTION txpipe.check_cron(OUT item text, OUT ok boolean, OUT detail text, OUT hint text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    failure text;
    records json;
BEGIN
    item := 'pg_cron';
    BEGIN
        PERFORM txpipe.require_cron();
        records := txpipe.ask_cron('status', ARRAY(SELECT k.command FROM txpipe.known_jobs() k))::json;
        ok := true;
        detail := CASE WHEN txpipe.cron_database() = current_database() THEN 'installed in this database'
                       ELSE format('installed in database "%s"', txpipe.cron_database()) END;
    EXCEPTION WHEN feature_not_supported OR object_not_in_prerequisite_state OR insufficient_privilege OR SQLSTATE '3D000'
                OR invalid_authorization_specification OR configuration_limit_exceeded OR too_many_connections THEN
        GET STACKED DIAGNOSTICS detail = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
        ok := false;
    END;
    RETURN NEXT;
    IF NOT ok THEN
        RETURN;
    END IF;

    item := 'pg_cron login';
    hint := NULL;
    IF txpipe.cron_setting('use_background_workers') = 'on' THEN
        detail := 'jobs run in background workers and need no login';
    ELSE
        detail := format('jobs log in to host %L without a password; pg_hba.conf must allow it (trust, peer or .pgpass)',
                         txpipe.cron_setting('host'));
        SELECT r.message INTO failure FROM json_to_recordset(records) AS r(status text, message text, started_at timestamptz)
            WHERE r.status = 'failed' AND r.message ~ 'connection failed|authentication|password'
            ORDER BY r.started_at DESC LIMIT 1;
        ok := failure IS NULL;
        IF NOT ok THEN
            detail := detail || '; the last job could not: ' || trim(failure, E'\n ');
            hint := 'ALTER SYSTEM SET cron.use_background_workers = on; -- then restart the server';
        END IF;
    END IF;
    RETURN NEXT;
END
$body$;
COMMENT ON FUNCTION txpipe.check_cron() IS 'Part of check_setup(): pg_cron and its login';

CREATE FUNCTION txpipe.check_brokers(OUT item text, OUT ok boolean, OUT detail text, OUT hint text)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    server name;
BEGIN
    FOR server IN
        SELECT s.srvname FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
        WHERE w.fdwname = 'txpipe_kafka' ORDER BY s.srvname
    LOOP
        item := format('brokers of server "%s"', server);
        BEGIN
            SELECT format('reachable, %s topics', count(*)) INTO detail FROM txpipe.topics(server::text);
            ok := true;
            hint := NULL;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
            ok := false;
            hint := format('ALTER SERVER %I OPTIONS (SET bootstrap_servers ''host:9092''); -- %s', server,
                           coalesce(nullif(hint, ''), 'where the brokers are'));
        END;
        RETURN NEXT;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.check_brokers() IS 'Part of check_setup(): the brokers of every server of txpipe_kafka';

CREATE FUNCTION txpipe.check_definitions(OUT item text, OUT ok boolean, OUT detail text, OUT hint text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    copies bigint;
    lost record;
BEGIN
    IF EXISTS (SELECT FROM txpipe.feed) THEN
        item := 'schedule';
        ok := EXISTS (SELECT FROM txpipe.job_status j WHERE j.job = 'ingest' AND j.active)
              OR EXISTS (SELECT FROM txpipe.total_store t WHERE t.job = 'run_hourly' AND t.last_at > now() - interval '1 day');
        detail := CASE WHEN ok THEN 'files are loaded by a schedule' ELSE 'there are feeds, and nothing calls txpipe.run_hourly()' END;
        hint := CASE WHEN NOT ok THEN 'SELECT * FROM txpipe.schedule(); -- or let another scheduler CALL txpipe.run_hourly()' END;
        RETURN NEXT;
    END IF;

    IF to_regclass('dwh.version') IS NOT NULL THEN
        item := 'warehouse';
        detail := CASE WHEN to_regclass('dwh.rollup_total') IS NULL THEN 'the warehouse has no rollups yet'
                       WHEN (SELECT count(*) < 3 FROM txpipe.feed f WHERE f.feed IN ('branches', 'sales_agents', 'sales_transactions'))
                       THEN 'feeds of the warehouse are missing' END;
        ok := detail IS NULL;
        hint := CASE WHEN NOT ok THEN (SELECT format('SET ROLE %I; SELECT txpipe.create_warehouse(); RESET ROLE', pg_get_userbyid(n.nspowner))
                                       FROM pg_namespace n WHERE n.nspname = 'dwh') END;
        detail := coalesce(detail, 'dwh has its tables and feeds');
        RETURN NEXT;
    END IF;

    SELECT count(*) INTO copies FROM txpipe.stream_status s WHERE s.reason = 'copied';
    IF copies > 0 THEN
        item := 'copied database';
        ok := false;
        detail := format('%s streams are paused, because this database is a copy of another one', copies);
        hint := 'SELECT txpipe.resume_stream(stream) FROM txpipe.stream_status WHERE reason = ''copied''; -- where the original reads on, both do';
        RETURN NEXT;
    END IF;

    FOR lost IN
        SELECT 'stream' AS kind, s.stream AS name, s.owner_name, r.rolname
          FROM txpipe.stream s LEFT JOIN pg_roles r ON r.oid = s.owner_oid WHERE r.rolname IS DISTINCT FROM s.owner_name
        UNION ALL
        SELECT 'feed', f.feed, f.owner_name, r.rolname
          FROM txpipe.feed f LEFT JOIN pg_roles r ON r.oid = f.owner_oid WHERE r.rolname IS DISTINCT FROM f.owner_name
        ORDER BY 1, 2
    LOOP
        item := format('owner of %s "%s"', lost.kind, lost.name);
        ok := false;
        detail := format('its owner "%s" does not exist any more', lost.owner_name)
                  || coalesce('; the role is called "' || lost.rolname || '" now', '');
        hint := CASE WHEN lost.rolname IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = lost.owner_name)
                     THEN format('ALTER ROLE %I RENAME TO %I', lost.rolname, lost.owner_name)
                     ELSE format('SELECT txpipe.drop_%s(%L); -- then create it again as the role it shall run as', lost.kind, lost.name) END;
        RETURN NEXT;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.check_definitions() IS
'Part of check_setup(): that somebody runs the load, that dwh has its rollups and feeds, whether this database is a copy, owners that are gone';

CREATE FUNCTION txpipe.check_setup(OUT item text, OUT ok boolean, OUT detail text, OUT hint text)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    setting text;
    earlier timestamptz;
BEGIN
    RETURN QUERY SELECT * FROM txpipe.check_preload();
    RETURN QUERY SELECT * FROM txpipe.check_version();
    RETURN QUERY SELECT * FROM txpipe.check_guards();
    RETURN QUERY SELECT * FROM txpipe.check_cron();
    FOREACH setting IN ARRAY ARRAY['landing_directory', 'lake_directory', 'export_directory']
    LOOP
        item := replace(setting, '_', ' ');
        SELECT d.problem IS NULL, coalesce(d.problem, d.directory), d.hint INTO ok, detail, hint
            FROM txpipe.directory_problem(setting) d;
        RETURN NEXT;
    END LOOP;
    RETURN QUERY SELECT * FROM txpipe.check_brokers();
    RETURN QUERY SELECT * FROM txpipe.check_definitions();

    -- The upper half of the system identifier is the time of initdb.
    item := 'clock';
    SELECT max(t) INTO earlier FROM (
        SELECT to_timestamp(system_identifier >> 32) AS t FROM pg_control_system()
        UNION ALL SELECT max(arrived_at) FROM txpipe.file_ledger
        UNION ALL SELECT max(updated_at) FROM txpipe.stream_offset) s;
    ok := clock_timestamp() >= earlier;
    detail := format('the server''s time is %s', clock_timestamp());
    hint := NULL;
    IF NOT ok THEN
        detail := detail || format(', before %s, which is stored here as past', earlier);
        hint := 'sudo timedatectl set-ntp true';
    END IF;
    RETURN NEXT;
END
$body$;
COMMENT ON FUNCTION txpipe.check_setup() IS
'What an installation needs, one line each: item, ok, detail, and a hint to paste where it is not ok. Looks at preloaded
libraries, the worker budget, versions, the guards, pg_cron and its login, the three directories, the brokers of every server, feeds
that nobody loads, a dwh without its feeds, streams of a copied database, owners that are gone, the clock.';

-- With the rights of the extension's owner, since a probe reads no target; so it gives numbers, no names and no messages.
CREATE FUNCTION txpipe.health_problems(OUT severity text, OUT problem text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
    WITH setup AS (
        SELECT 'txpipe' = ANY (regexp_split_to_array(trim(current_setting('shared_preload_libraries')), '\s*,\s*')) AS is_loaded,
               pg_postmaster_start_time() < clock_timestamp() - interval '1 minute' AS is_up,
               EXISTS (SELECT FROM txpipe.installation i
                        WHERE i.database <> (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) AS is_copy
    ), stream AS MATERIALIZED (
        SELECT s.state, s.reason, s.since, txpipe.stream_workers(s.stream_id) AS workers FROM txpipe.stream s
    ), run AS (
        SELECT t.job, max(t.last_at) FILTER (WHERE t.state = 'failed') AS failed_at,
               max(t.last_at) FILTER (WHERE t.state = 'succeeded') AS succeeded_at
          FROM txpipe.total_store t WHERE t.job IS NOT NULL GROUP BY t.job
    ), problem (severity, problem, number) AS (
        SELECT 'failing', 'streams in error', count(*) FROM stream s WHERE s.state = 'error'
        UNION ALL
        SELECT 'failing', 'streams paused by txpipe', count(*) FROM stream s
         WHERE s.state = 'paused' AND s.reason <> 'created paused' AND s.reason NOT LIKE 'paused by %'
        UNION ALL
        SELECT 'failing', 'running streams without a worker', count(*) FROM stream s, setup u
         WHERE s.state = 'running' AND s.workers = 0 AND u.is_loaded AND u.is_up AND NOT u.is_copy
           AND s.since < clock_timestamp() - interval '1 minute'
        UNION ALL
        SELECT 'failing', 'jobs whose last run failed', count(*) FROM run r WHERE r.failed_at > coalesce(r.succeeded_at, '-infinity')
        UNION ALL
        SELECT 'failing', 'files that failed too often', count(*) FROM txpipe.file_ledger l WHERE l.state = 'poison'
        UNION ALL
        SELECT 'degraded', 'streams wait: ' || h.guard, 1 FROM txpipe.stream_hindrance() h
         WHERE h.guard IS NOT NULL AND EXISTS (SELECT FROM stream s WHERE s.state = 'running')
        UNION ALL
        SELECT 'degraded', 'running streams, which nobody serves while txpipe is not in shared_preload_libraries', count(*)
          FROM stream s, setup u WHERE s.state = 'running' AND NOT u.is_loaded
        UNION ALL
        SELECT 'degraded', 'files that failed and are tried again', count(*) FROM txpipe.file_ledger l WHERE l.state = 'failed'
        UNION ALL
        SELECT 'degraded', 'hours of archives that wait to be written', count(*) FROM txpipe.archive_due d
         WHERE d.hour NOT BETWEEN clock_timestamp() - interval '4 hours' AND clock_timestamp()
        UNION ALL
        SELECT 'degraded', 'groups of files that are not complete', sum(g.incomplete) FROM txpipe.recent_missing_groups g
        UNION ALL
        SELECT 'degraded', 'groups of files that did not come', sum(g.missing) FROM txpipe.recent_missing_groups g
    )
    SELECT p.severity, CASE WHEN p.problem LIKE 'streams wait: %' THEN p.problem ELSE p.number || ' ' || p.problem END
      FROM problem p
     WHERE p.number > 0 AND NOT pg_is_in_recovery()
$body$;
COMMENT ON FUNCTION txpipe.health_problems() IS
'Part of health(): what is the matter, as numbers: severity (failing or degraded) and problem. None on a standby';

CREATE FUNCTION txpipe.health(fail boolean DEFAULT false, OUT ok boolean, OUT status text, OUT detail text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    SELECT coalesce(bool_and(p.severity <> 'failing'), true),
           CASE WHEN bool_or(p.severity = 'failing') THEN 'failing' WHEN count(*) > 0 THEN 'degraded' ELSE 'ok' END,
           coalesce(string_agg(p.problem, '; ' ORDER BY p.severity DESC, p.problem COLLATE "C"),
                    CASE WHEN pg_is_in_recovery() THEN 'a standby: streams and files are the primary''s' ELSE 'all is well' END)
        INTO ok, status, detail FROM txpipe.health_problems() p;
    IF fail AND NOT ok THEN
        RAISE EXCEPTION 'txpipe is not well: %', detail
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'docs/operations.md has what to do for each state.';
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.health(boolean) IS
'One row for probes: ok; status: ok, degraded (it goes on by itself, or something did not come) or failing (somebody must act: ok is
false); detail: what is the matter, in numbers and without names, so that any role with EXECUTE on it and on health_problems may ask.
Counts all streams, files and jobs of the database, whoever owns them; looks at no target and no broker, and costs the same with a
ledger of years. fail: raise 55000 instead of returning a row that is not ok: psql -c then exits with 1.';
