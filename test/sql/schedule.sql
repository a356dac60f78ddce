-- The pg_cron jobs of schedule(), and what it says where it cannot install them.
\set VERBOSITY default
\set SHOW_CONTEXT never
-- Elsewhere than in pg_cron's own database there is nothing to see (expected/schedule_1.out).
SELECT current_setting('cron.database_name', true) IS DISTINCT FROM current_database() AS elsewhere \gset
\if :elsewhere
\quit
\endif
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS txpipe;
DROP EXTENSION IF EXISTS pg_cron;

SELECT * FROM txpipe.schedule();
SELECT * FROM txpipe.unschedule();
SELECT item, ok, detail, hint FROM txpipe.check_setup() WHERE item = 'pg_cron';
CREATE EXTENSION pg_cron;

CREATE TEMP TABLE installed AS SELECT * FROM txpipe.schedule();
SELECT job, job_id = jobid AS is_its_id FROM installed JOIN cron.job ON jobname = job ORDER BY job;
SELECT jobname, schedule, command, database = current_database() AS here, username = current_user AS mine, active
FROM cron.job ORDER BY jobname;
-- Again with other times: replaced, not added; NULL removes a job and leaves it out.
SELECT job FROM txpipe.schedule(ingest => '*/10 * * * *', b2b => NULL);
SELECT jobname, schedule FROM cron.job ORDER BY jobname;
SELECT job FROM txpipe.schedule(curated => '35 * * * *');
SELECT job FROM txpipe.schedule(ingest => 'hourly');
SELECT jobname, schedule FROM cron.job ORDER BY jobname;
SELECT item, ok, detail, hint FROM txpipe.check_setup() WHERE item = 'pg_cron';
SELECT * FROM txpipe.unschedule();
SELECT * FROM txpipe.unschedule();
SELECT jobname, schedule FROM cron.job ORDER BY jobname;

SELECT job, schedule, active, missed, next_due_at > now() AS has_next, problem FROM txpipe.job_status;

-- From a database that is not pg_cron's own.
\set home :DBNAME
CREATE DATABASE txpipe_regress_elsewhere;
\c txpipe_regress_elsewhere
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION txpipe;
SELECT job FROM txpipe.schedule(nightly => NULL);
SELECT job, schedule, active, missed, next_due_at > now() AS has_next, problem FROM txpipe.job_status;
SELECT job FROM txpipe.schedule(b2b => 'daily');
SELECT item, ok, detail, hint FROM txpipe.check_setup() WHERE item = 'pg_cron';
SELECT * FROM txpipe.unschedule();
SELECT * FROM txpipe.unschedule();
SELECT DISTINCT schedule FROM txpipe.job_status;
\c :home
DROP DATABASE txpipe_regress_elsewhere;

-- When jobs are due: the schedule, a moment, the last time at or before it, the next one after it.
SET timezone = 'UTC';
SELECT s.schedule, s.at, txpipe.cron_due(s.schedule, s.at) AS last, txpipe.cron_due(s.schedule, s.at, true) AS next
FROM (VALUES ('5 * * * *', timestamptz '2024-03-01 00:05'), ('5 * * * *', '2024-03-01 00:04:59'), ('*/20 9-17/4 * * mon-fri', '2024-03-02 12:00'),
             ('0 0 29 2 *', '2096-03-01'), ('0 0 29 2 *', '2100-03-01'), ('0 0 13 * 5', '2024-09-10'), ('0 0 */2 * 5', '2024-09-10'),
             ('59 23 31 dec 7', '2024-12-25 12:00'), ('@monthly', '2024-03-01'), ('30 seconds', '2024-03-01'), ('  0   12  * * *  ', '2024-03-01'),
             ('0 0 31 2 *', '2024-03-01'), ('@reboot', '2024-03-01'), ('hourly', '2024-03-01'), ('60 * * * *', '2024-03-01'),
             ('* * * *', '2024-03-01'), ('*/0 * * * *', '2024-03-01'), ('', '2024-03-01'), (NULL, '2024-03-01')) AS s(schedule, at);
