
-- 80_schedule.sql: the jobs of pg_cron, and what is tidied up regularly.
--
-- pg_cron is not required and lives in one database of a server (cron.database_name): it is asked through ask_cron().

CREATE FUNCTION txpipe.cron_database()
RETURNS text
LANGUAGE c STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_cron_database';
COMMENT ON FUNCTION txpipe.cron_database() IS 'Part of schedule(): the database of pg_cron (cron.database_name); NULL when pg_cron is not loaded';

CREATE FUNCTION txpipe.ask_cron(operation text, args text[])
RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_ask_cron';
COMMENT ON FUNCTION txpipe.ask_cron(text, text[]) IS
'Part of schedule(), job_status and housekeeping(): asks pg_cron about jobs of this database, as the current user; where pg_cron lives in
another database through a background worker, which commits on its own. operation: schedule (args: name, schedule or NULL, command
of each job), status (args: commands) or prune (args: an interval, commands). Errors: 0A000, 55000 or 3D000 where pg_cron is not
there, 42501 or 28000 where the role may not use it or reach its database, 53400 when no background worker is free, 42710 when another
database has a job of that name, 22023 for a bad schedule.';

CREATE FUNCTION txpipe.require_cron()
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    home text := txpipe.cron_database();
BEGIN
    IF home IS NULL THEN
        RAISE EXCEPTION 'pg_cron is not loaded, so nothing can be scheduled'
            USING ERRCODE = 'feature_not_supported',
                  HINT = format('ALTER SYSTEM SET shared_preload_libraries = ''pg_cron'', ''txpipe''; -- then restart the server '
                                'and CREATE EXTENSION pg_cron (Debian package postgresql-%s-cron)',
                                current_setting('server_version_num')::integer / 10000);
    ELSIF home = current_database() AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        RAISE EXCEPTION 'the extension pg_cron is not installed in this database'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'CREATE EXTENSION pg_cron';
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.require_cron() IS
'Part of schedule(): raises 0A000 or 55000 with a hint where no jobs can be scheduled with pg_cron';

CREATE FUNCTION txpipe.note_schedule(role name, jobs text[], schedules text[])
RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
    DELETE FROM txpipe.scheduled_job s USING unnest(jobs, schedules) AS w(job, schedule)
     WHERE s.role_name = note_schedule.role AND s.job = w.job AND s.schedule IS DISTINCT FROM w.schedule;
    INSERT INTO txpipe.scheduled_job (job, role_name, schedule)
    SELECT w.job, note_schedule.role, w.schedule FROM unnest(jobs, schedules) AS w(job, schedule) WHERE w.schedule IS NOT NULL
    ON CONFLICT DO NOTHING;
$body$;
COMMENT ON FUNCTION txpipe.note_schedule(name, text[], text[]) IS 'Part of schedule(): notes since when jobs have their schedules';

CREATE FUNCTION txpipe.change_jobs(schedules text[])
RETURNS TABLE (job text, job_id bigint, removed boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    -- Of one name there is one job in all databases together.
    suffix CONSTANT text := CASE WHEN txpipe.cron_database() <> current_database() THEN '@' || current_database() ELSE '' END;
    answer json;
BEGIN
    PERFORM txpipe.require_cron();
    answer := txpipe.ask_cron('schedule', ARRAY(
        SELECT p.part FROM txpipe.known_jobs() k
        CROSS JOIN LATERAL unnest(ARRAY['txpipe_' || k.job || suffix, schedules[k.ordinal], k.command]) WITH ORDINALITY AS p(part, n)
        ORDER BY k.ordinal, p.n));
    PERFORM txpipe.note_schedule(current_user, ARRAY(SELECT k.job FROM txpipe.known_jobs() k ORDER BY k.ordinal), schedules);
    RETURN QUERY SELECT * FROM json_to_recordset(answer) AS a(job text, job_id bigint, removed boolean);
END
$body$;
COMMENT ON FUNCTION txpipe.change_jobs(text[]) IS
'Part of schedule() and unschedule(): gives the caller''s jobs these schedules, in the order of known_jobs(); NULL removes a job';

CREATE FUNCTION txpipe.schedule(ingest text DEFAULT '5 * * * *', b2b text DEFAULT '0 1 * * *', nightly text DEFAULT '30 1 * * *',
                                housekeeping text DEFAULT '15 2 * * *', dashboard text DEFAULT '* * * * *',
                                curated text DEFAULT NULL, archive text DEFAULT NULL)
RETURNS TABLE (job text, job_id bigint)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT c.job, c.job_id FROM txpipe.change_jobs(ARRAY[ingest, b2b, nightly, housekeeping, dashboard, curated, archive]) c WHERE NOT c.removed
$body$;
COMMENT ON FUNCTION txpipe.schedule(text, text, text, text, text, text, text) IS
'Installs or updates the pg_cron jobs of this database, run as the caller: ingest (CALL txpipe.run_hourly()), b2b (SELECT
txpipe.export_b2b()), nightly (SELECT txpipe.take_nightly_report()), housekeeping (SELECT txpipe.housekeeping()), dashboard
(SELECT txpipe.export_dashboard()) and, where they are given a schedule, curated (SELECT txpipe.export_curated()) and archive (SELECT
txpipe.export_archive()). Arguments are cron schedules in GMT; NULL leaves a job out and removes an installed one. Jobs of
other roles and databases are not touched. Where pg_cron lives in another database the jobs have this one''s name behind
theirs, and ROLLBACK does not undo the call. Result: the jobs, and their numbers in cron.job. Errors: those of txpipe.ask_cron.
The caller needs EXECUTE on it and on change_jobs, require_cron, cron_database, ask_cron and note_schedule.';

CREATE FUNCTION txpipe.unschedule()
RETURNS SETOF text
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT c.job FROM txpipe.change_jobs(ARRAY[NULL, NULL, NULL, NULL, NULL, NULL, NULL]::text[]) c WHERE c.removed
$body$;
COMMENT ON FUNCTION txpipe.unschedule() IS
'Removes the pg_cron jobs that txpipe.schedule() installed as the caller in this database; returns their names. Errors: those of
txpipe.ask_cron';

CREATE FUNCTION txpipe.prune_streams()
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_prune_streams';
COMMENT ON FUNCTION txpipe.prune_streams() IS
'Part of housekeeping(): deletes what streams keep for a time (options history_days and dead_letter_days), as workers do every hour; returns
the number of records';

CREATE FUNCTION txpipe.prune_runs(keep interval)
RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
    WITH gone AS (
        DELETE FROM txpipe.run WHERE run_id IN (
            SELECT r.run_id FROM txpipe.run r
            WHERE r.finished_at < now() - prune_runs.keep AND r.run_id NOT IN (SELECT max(l.run_id) FROM txpipe.run l GROUP BY l.job)
            FOR UPDATE SKIP LOCKED)
        RETURNING 1)
    SELECT count(*) FROM gone
$body$;
COMMENT ON FUNCTION txpipe.prune_runs(interval) IS 'Part of housekeeping(): deletes old runs, but never the last one of a job; returns their number';

CREATE FUNCTION txpipe.log_housekeeping(message text)
RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
    INSERT INTO txpipe.run (job, state, message, started_at, finished_at)
    VALUES ('housekeeping', 'succeeded', log_housekeeping.message, now(), clock_timestamp())
$body$;
COMMENT ON FUNCTION txpipe.log_housekeeping(text) IS 'Part of housekeeping(): its run';

CREATE FUNCTION txpipe.housekeeping(keep interval DEFAULT '30 days', OUT what text, OUT removed bigint)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 4
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    summary text := '';
BEGIN
    IF keep IS NULL OR keep < interval '0' THEN
        RAISE EXCEPTION 'keep must not be negative or NULL' USING
            ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM txpipe.housekeeping(''30 days'')';
    END IF;
    FOREACH what IN ARRAY ARRAY['runs', 'records of streams', 'confirmed live sales', 'records of pg_cron']
    LOOP
        removed := CASE what WHEN 'runs' THEN txpipe.prune_runs(keep)
                             WHEN 'records of streams' THEN txpipe.prune_streams()
                             WHEN 'confirmed live sales' THEN txpipe.prune_live_sales()
                             ELSE txpipe.prune_cron(keep) END;
        summary := summary || format('%s%s %s', CASE WHEN summary <> '' THEN ', ' END, removed, what);
        RETURN NEXT;
    END LOOP;
    PERFORM txpipe.log_housekeeping(summary || ' removed');
END
$body$;
COMMENT ON FUNCTION txpipe.housekeeping(interval) IS
'Deletes what is kept for a time: runs (txpipe.run) and pg_cron''s records of the caller''s jobs that are older than keep, and what
streams keep (their options history_days and dead_letter_days say how long); of the caller''s own warehouse the live sales that files
brought (dwh.setting, keep_confirmed). The export log, the ledger of files with its events, rejected rows
and the lake stay. Result: what, removed (records). Errors: 22023 for a negative age. The caller needs EXECUTE on it and on
prune_runs, prune_streams, prune_live_sales, prune_cron, log_housekeeping, ask_cron, cron_database and known_jobs.';

CREATE FUNCTION txpipe.prune_cron(keep interval)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF txpipe.cron_database() IS NULL THEN
        RETURN 0;
    END IF;
    RETURN txpipe.ask_cron('prune', keep::text || ARRAY(SELECT k.command FROM txpipe.known_jobs() k))::bigint;
EXCEPTION WHEN object_not_in_prerequisite_state OR insufficient_privilege OR SQLSTATE '3D000'
            OR invalid_authorization_specification OR configuration_limit_exceeded OR too_many_connections THEN
    -- Whose jobs another scheduler runs has none there.
    RETURN 0;
END
$body$;
COMMENT ON FUNCTION txpipe.prune_cron(interval) IS
'Part of housekeeping(): deletes old records of the caller''s jobs in cron.job_run_details, where he can; returns their number';
