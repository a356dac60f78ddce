
-- 48_job_status.sql: the jobs that schedule() installs, when they are due, and how their last runs went.

CREATE FUNCTION txpipe.known_jobs(OUT ordinal integer, OUT job text, OUT command text, OUT run_job text)
RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 7
SET search_path = pg_catalog, pg_temp
AS $body$
    VALUES (1, 'ingest', 'CALL txpipe.run_hourly()', 'run_hourly'),
           (2, 'b2b', 'SELECT txpipe.export_b2b()', 'export_b2b'),
           (3, 'nightly', 'SELECT txpipe.take_nightly_report()', 'take_nightly_report'),
           (4, 'housekeeping', 'SELECT txpipe.housekeeping()', 'housekeeping'),
           (5, 'dashboard', 'SELECT txpipe.export_dashboard()', 'export_dashboard'),
           (6, 'curated', 'SELECT txpipe.export_curated()', 'export_curated'),
           (7, 'archive', 'SELECT txpipe.export_archive()', 'export_archive')
$body$;
COMMENT ON FUNCTION txpipe.known_jobs() IS
'Part of schedule() and the view job_status: the jobs of txpipe.schedule(), in the order of its arguments: what each runs, and the name of its runs in txpipe.run';

CREATE TABLE txpipe.scheduled_job (
    job text NOT NULL,
    role_name name NOT NULL,
    schedule text NOT NULL,
    scheduled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, role_name)
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.scheduled_job', '');
REVOKE ALL ON txpipe.scheduled_job FROM PUBLIC;
GRANT SELECT ON txpipe.scheduled_job TO PUBLIC;
COMMENT ON TABLE txpipe.scheduled_job IS 'What schedule() was asked for; read it in txpipe.job_status';
COMMENT ON COLUMN txpipe.scheduled_job.job IS 'Job, an argument of txpipe.schedule()';
COMMENT ON COLUMN txpipe.scheduled_job.role_name IS 'Role that scheduled it, as which it runs';
COMMENT ON COLUMN txpipe.scheduled_job.schedule IS 'Its schedule';
COMMENT ON COLUMN txpipe.scheduled_job.scheduled_at IS 'Since when it has that schedule';

-- A list of numbers, ranges and steps; NULL when it is none.
CREATE FUNCTION txpipe.cron_field(field text, low integer, high integer, names text[] DEFAULT '{}')
RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    part text;
    piece text[];
    numbers integer[] := '{}';
    ends integer[];
BEGIN
    IF coalesce(field, '') = '' THEN
        RETURN NULL;
    END IF;
    FOREACH part IN ARRAY string_to_array(lower(field), ',')
    LOOP
        piece := regexp_match(part, '^(?:(\*)|(\d{1,2}|[a-z]{3,9})(?:-(\d{1,2}|[a-z]{3,9}))?)(?:/(\d{1,4}))?$');
        IF piece IS NULL OR piece[4]::integer = 0 THEN
            RETURN NULL;
        END IF;
        -- Both ends of the range: numbers, or names, which count from the lowest number.
        SELECT array_agg(CASE WHEN e.word ~ '\d' THEN e.word::integer ELSE array_position(names, left(e.word, 3)) - 1 + low END
                         ORDER BY e.ordinal)
            INTO ends FROM unnest(ARRAY[piece[2], coalesce(piece[3], piece[2])]) WITH ORDINALITY AS e(word, ordinal);
        IF piece[1] IS NOT NULL THEN
            ends := ARRAY[low, high];
        END IF;
        IF ends[1] IS NULL OR ends[2] IS NULL OR ends[1] < low OR ends[2] > high THEN
            RETURN NULL;
        END IF;
        numbers := numbers || ARRAY(SELECT generate_series(ends[1], ends[2], coalesce(piece[4]::integer, 1)));
    END LOOP;
    RETURN numbers;
END
$body$;
COMMENT ON FUNCTION txpipe.cron_field(text, integer, integer, text[]) IS
'Part of cron_due(): the numbers a field of a cron schedule stands for';

CREATE FUNCTION txpipe.cron_setting(setting text)
RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_cron_setting';
COMMENT ON FUNCTION txpipe.cron_setting(text) IS
'Part of the view job_status and of check_setup(): cron.host, .max_running_jobs, .timezone or .use_background_workers, which pg_cron may show to
superusers only; NULL where there is no such setting';

CREATE FUNCTION txpipe.cron_due(schedule text, at timestamptz, is_next boolean DEFAULT false)
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    zone CONSTANT text := coalesce(txpipe.cron_setting('timezone'), 'GMT');
    here CONSTANT timestamp := at AT TIME ZONE zone;
    fields text[] := regexp_split_to_array(trim(schedule, E' \t'), '\s+');
    minutes integer[];
    hours integer[];
    days integer[];
    months integer[];
    weekdays integer[];
    day date := here;
    is_day boolean;
    found timestamp;
BEGIN
    IF schedule ~ '^\s*\d+\s+seconds?\s*$' THEN
        RETURN at + make_interval(secs => fields[1]::integer) * CASE WHEN is_next THEN 1 ELSE -1 END;
    END IF;
    IF fields[1] LIKE '@%' THEN
        fields := string_to_array(CASE fields[1]
            WHEN '@yearly' THEN '0 0 1 1 *' WHEN '@annually' THEN '0 0 1 1 *' WHEN '@monthly' THEN '0 0 1 * *'
            WHEN '@weekly' THEN '0 0 * * 0' WHEN '@daily' THEN '0 0 * * *' WHEN '@midnight' THEN '0 0 * * *'
            WHEN '@hourly' THEN '0 * * * *' END, ' ');
    END IF;
    minutes := txpipe.cron_field(fields[1], 0, 59);
    hours := txpipe.cron_field(fields[2], 0, 23);
    days := txpipe.cron_field(fields[3], 1, 31);
    months := txpipe.cron_field(fields[4], 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}');
    weekdays := txpipe.cron_field(fields[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}');
    IF minutes IS NULL OR hours IS NULL OR days IS NULL OR months IS NULL OR weekdays IS NULL THEN
        RETURN NULL;
    END IF;
    IF 7 = ANY (weekdays) THEN
        weekdays := weekdays || 0;
    END IF;
    -- The longest wait for a day is that for the next 29th of February.
    FOR i IN 0 .. 2922 LOOP
        -- Day and weekday must both be right when one of them is open, else either of them.
        is_day := extract(month FROM day) = ANY (months)
            AND CASE WHEN fields[3] LIKE '*%' OR fields[5] LIKE '*%'
                     THEN extract(day FROM day) = ANY (days) AND extract(dow FROM day) = ANY (weekdays)
                     ELSE extract(day FROM day) = ANY (days) OR extract(dow FROM day) = ANY (weekdays) END;
        IF is_day THEN
            SELECT CASE WHEN is_next THEN min(t.t) FILTER (WHERE t.t > here) ELSE max(t.t) FILTER (WHERE t.t <= here) END INTO found
                FROM unnest(hours) AS h, unnest(minutes) AS m, LATERAL (SELECT day + make_time(h, m, 0)) AS t(t);
            IF found IS NOT NULL THEN
                RETURN found AT TIME ZONE zone;
            END IF;
        END IF;
        day := day + CASE WHEN is_next THEN 1 ELSE -1 END;
    END LOOP;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION txpipe.cron_due(text, timestamptz, boolean) IS
'Part of the view job_status: when a job with this cron schedule was due last, at or before a time, or (is_next) is due next after it. schedule: five fields (minute,
hour, day of the month, month, day of the week) in the zone cron.timezone, GMT where there is no such setting; @hourly and the
like; or N seconds, which count from the time given. NULL for what is no such schedule, and for @reboot.';

CREATE FUNCTION txpipe.list_jobs(OUT job text, OUT role_name name, OUT schedule text, OUT active boolean, OUT job_id bigint,
                                 OUT last_started_at timestamptz, OUT last_finished_at timestamptz, OUT last_state text,
                                 OUT last_message text, OUT last_due_at timestamptz, OUT next_due_at timestamptz,
                                 OUT missed boolean, OUT problem text)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 6
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    known json;
    why text;
BEGIN
    IF txpipe.cron_database() IS NULL THEN
        why := 'pg_cron is not loaded';
    ELSIF NOT has_function_privilege('txpipe.ask_cron(text, text[])', 'EXECUTE') THEN
        why := 'what pg_cron knows is not for this role';
    ELSE
        BEGIN
            known := txpipe.ask_cron('status', ARRAY(SELECT k.command FROM txpipe.known_jobs() k))::json;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS why = MESSAGE_TEXT;
        END;
    END IF;
    RETURN QUERY
    WITH asked AS (
        SELECT * FROM json_to_recordset(coalesce(known, '[]')) AS i(command text, job_id bigint, role name, schedule text,
            active boolean, started_at timestamptz, finished_at timestamptz, status text, message text)
    ), state AS (
        SELECT k.ordinal, k.job, coalesce(i.role, n.role_name) AS role_name, coalesce(i.schedule, n.schedule) AS schedule,
               i.active, i.job_id, i.job_id IS NULL AND n.job IS NOT NULL AS is_lost, n.scheduled_at,
               -- A run of ours that began in or after the last one of pg_cron knows more, unless that one was broken off.
               coalesce(r.started_at >= i.started_at AND i.status <> 'failed' OR i.started_at IS NULL, r.started_at > i.finished_at) AS is_ours,
               i.started_at, i.finished_at, i.status, i.message, r.started_at AS run_started_at, r.finished_at AS run_finished_at,
               r.state AS run_state, r.message AS run_message
          FROM txpipe.known_jobs() k
          LEFT JOIN asked i ON i.command = k.command
          LEFT JOIN txpipe.scheduled_job n ON n.job = k.job AND (n.role_name = i.role OR i.role IS NULL)
          LEFT JOIN LATERAL (SELECT t.* FROM txpipe.run t WHERE t.job = k.run_job ORDER BY t.run_id DESC LIMIT 1) r ON true
    )
    SELECT s.job, s.role_name, s.schedule, s.active, s.job_id,
           CASE WHEN s.is_ours THEN s.run_started_at ELSE s.started_at END,
           CASE WHEN s.is_ours THEN s.run_finished_at ELSE s.finished_at END,
           CASE WHEN s.is_ours THEN s.run_state ELSE s.status END,
           CASE WHEN s.is_ours THEN coalesce(s.run_message, s.message) ELSE s.message END,
           due.at, txpipe.cron_due(s.schedule, now(), true),
           CASE WHEN s.active THEN s.status IS DISTINCT FROM 'running' AND s.run_state IS DISTINCT FROM 'running'
                                   AND due.at > greatest(s.started_at, s.run_started_at, s.scheduled_at) END,
           CASE WHEN s.schedule IS NOT NULL OR known IS NULL THEN
               coalesce(why, CASE WHEN s.is_lost THEN 'pg_cron does not have this job: SELECT txpipe.schedule() installs it' END) END
      FROM state s
      -- pg_cron takes some time to begin.
      CROSS JOIN LATERAL (SELECT txpipe.cron_due(s.schedule, now() - interval '1 minute')) AS due(at)
     ORDER BY s.ordinal, s.role_name;
END
$body$;
COMMENT ON FUNCTION txpipe.list_jobs() IS 'Part of the view job_status: its rows';

CREATE VIEW txpipe.job_status AS
    SELECT job, role_name, schedule, active, job_id, last_started_at, last_finished_at, last_state, last_message, last_due_at,
           next_due_at, missed, problem
      FROM txpipe.list_jobs();
GRANT SELECT ON txpipe.job_status TO PUBLIC;
COMMENT ON VIEW txpipe.job_status IS
    'The jobs of txpipe.schedule() in this database, with their last runs: what pg_cron says of them, and txpipe.run';
COMMENT ON COLUMN txpipe.job_status.job IS 'Job: ingest, b2b, nightly, housekeeping, dashboard or curated; there is a row for each, scheduled or not';
COMMENT ON COLUMN txpipe.job_status.role_name IS 'Role it runs as';
COMMENT ON COLUMN txpipe.job_status.schedule IS 'Its schedule; NULL: it is not scheduled with pg_cron';
COMMENT ON COLUMN txpipe.job_status.active IS 'pg_cron runs it; NULL where pg_cron does not have it or was not asked';
COMMENT ON COLUMN txpipe.job_status.job_id IS 'Its number in cron.job';
COMMENT ON COLUMN txpipe.job_status.last_started_at IS 'When its last run began, of pg_cron''s or of any other scheduler''s that is in txpipe.run';
COMMENT ON COLUMN txpipe.job_status.last_finished_at IS 'When that run ended';
COMMENT ON COLUMN txpipe.job_status.last_state IS 'running, succeeded, failed or skipped; of pg_cron also starting, connecting and sending';
COMMENT ON COLUMN txpipe.job_status.last_message IS 'What it said, or went wrong with';
COMMENT ON COLUMN txpipe.job_status.last_due_at IS 'When it was due last, a minute ago or earlier';
COMMENT ON COLUMN txpipe.job_status.next_due_at IS 'When it is due next';
COMMENT ON COLUMN txpipe.job_status.missed IS 'It has not run since it was due last: the server or pg_cron was not running. The next run does what was left undone';
COMMENT ON COLUMN txpipe.job_status.problem IS 'Why pg_cron''s part of this row is missing';
