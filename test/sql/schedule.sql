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
SELECT job FROM txpipe.schedule(ingest => 'hourly');
SELECT jobname, schedule FROM cron.job ORDER BY jobname;
SELECT item, ok, detail, hint FROM txpipe.check_setup() WHERE item = 'pg_cron';
SELECT * FROM txpipe.unschedule();
SELECT * FROM txpipe.unschedule();
SELECT jobname, schedule FROM cron.job ORDER BY jobname;

-- From a database that is not pg_cron's own.
\set home :DBNAME
CREATE DATABASE txpipe_regress_elsewhere;
\c txpipe_regress_elsewhere
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION txpipe;
SELECT * FROM txpipe.schedule();
SELECT item, ok, hint IS NOT NULL AS has_hint FROM txpipe.check_setup() WHERE item ~ 'pg_cron';
\c :home
DROP DATABASE txpipe_regress_elsewhere;
