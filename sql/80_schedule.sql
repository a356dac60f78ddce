
-- 80_schedule.sql: the pg_cron jobs, the only SQL that names pg_cron.
--
-- pg_cron lives in one database of a server (cron.database_name) and is not required, so its names stay
-- inside EXECUTE.

CREATE FUNCTION txpipe.require_cron()
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    home text := current_setting('cron.database_name', true);
BEGIN
    IF home IS NULL THEN
        RAISE EXCEPTION 'pg_cron is not loaded, so nothing can be scheduled'
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'ALTER SYSTEM SET shared_preload_libraries = ''pg_cron'', ''txpipe''; -- then restart the server '
                         'and CREATE EXTENSION pg_cron (Debian package postgresql-15-cron)';
    ELSIF home <> current_database() THEN
        RAISE EXCEPTION 'pg_cron lives in database "%", not in this one', home
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format($hint$psql -d '%s' -c "SELECT cron.schedule_in_database('txpipe_ingest', '5 * * * *', 'CALL txpipe.run_hourly()', %L), cron.schedule_in_database('txpipe_b2b', '0 1 * * *', 'SELECT txpipe.export_b2b()', %2$L)"$hint$,
                                home, current_database());
    ELSIF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        RAISE EXCEPTION 'the extension pg_cron is not installed in this database'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'CREATE EXTENSION pg_cron';
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.require_cron() IS
'Raises 0A000 or 55000 with a hint where this database cannot schedule jobs with pg_cron';

CREATE FUNCTION txpipe.schedule(ingest text DEFAULT '5 * * * *', b2b text DEFAULT '0 1 * * *')
RETURNS TABLE (job text, job_id bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    wanted record;
BEGIN
    PERFORM txpipe.require_cron();
    FOR wanted IN
        VALUES ('txpipe_ingest', ingest, 'CALL txpipe.run_hourly()'),
               ('txpipe_b2b', b2b, 'SELECT txpipe.export_b2b()')
    LOOP
        job := wanted.column1;
        IF wanted.column2 IS NULL THEN
            PERFORM txpipe.unschedule_job(job);
        ELSE
            BEGIN
                EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO job_id
                    USING job, wanted.column2, wanted.column3;
            EXCEPTION WHEN invalid_parameter_value OR raise_exception OR internal_error THEN
                RAISE EXCEPTION '"%" is not a schedule for job "%": %', wanted.column2, job, SQLERRM
                    USING ERRCODE = 'invalid_parameter_value',
                          HINT = 'five fields, in GMT: minute, hour, day of the month, month, day of the week; '
                                 '''5 * * * *'' is five minutes past every hour';
            END;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.schedule(text, text) IS
'Installs or replaces the pg_cron jobs of this database, run as the caller: ingest (CALL txpipe.run_hourly()) and b2b
(SELECT txpipe.export_b2b()). Arguments are cron schedules in GMT; NULL leaves a job out and removes an installed one.
Result: the jobs installed, and their ids in cron.job. Errors: 0A000 or 55000 where pg_cron is missing or lives in
another database, 22023 for a bad schedule.';

CREATE FUNCTION txpipe.unschedule_job(job text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    job_id bigint;
BEGIN
    EXECUTE 'SELECT jobid FROM cron.job WHERE jobname = $1 AND username = current_user AND database = current_database()'
        INTO job_id USING job;
    IF job_id IS NOT NULL THEN
        EXECUTE 'SELECT cron.unschedule($1)' USING job_id;
    END IF;
    RETURN job_id IS NOT NULL;
END
$body$;
COMMENT ON FUNCTION txpipe.unschedule_job(text) IS 'Removes one of the caller''s pg_cron jobs; false when it is not there';

CREATE FUNCTION txpipe.unschedule()
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    job text;
BEGIN
    PERFORM txpipe.require_cron();
    FOREACH job IN ARRAY ARRAY['txpipe_ingest', 'txpipe_b2b']
    LOOP
        IF txpipe.unschedule_job(job) THEN
            RETURN NEXT job;
        END IF;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.unschedule() IS 'Removes the pg_cron jobs that txpipe.schedule() installed as the caller; returns their names';
