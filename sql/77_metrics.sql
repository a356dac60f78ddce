-- 77_metrics.sql: what monitoring reads. Counters are kept as things happen, since the ledger is too long to be
-- added up every few seconds, and runs are deleted after a time.

CREATE TABLE txpipe.total_store (
    total_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feed_id integer REFERENCES txpipe.feed ON DELETE CASCADE,
    job text,
    state text NOT NULL,
    times bigint NOT NULL,
    rows_read bigint NOT NULL DEFAULT 0,
    rows_loaded bigint NOT NULL DEFAULT 0,
    rows_rejected bigint NOT NULL DEFAULT 0,
    last_at timestamptz NOT NULL,
    CHECK (num_nonnulls(feed_id, job) = 1)
);
CREATE INDEX total_store_feed ON txpipe.total_store (feed_id, state) WHERE feed_id IS NOT NULL;
CREATE INDEX total_store_job ON txpipe.total_store (job, state) WHERE job IS NOT NULL;
SELECT pg_catalog.pg_extension_config_dump('txpipe.total_store', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.total_store_total_id_seq', '');
REVOKE ALL ON txpipe.total_store FROM PUBLIC;
COMMENT ON TABLE txpipe.total_store IS
    'How often files of a feed and runs of a job came to a state; the rows of one feed or job and state are added up';
COMMENT ON COLUMN txpipe.total_store.total_id IS 'Number of the row';
COMMENT ON COLUMN txpipe.total_store.feed_id IS 'Feed; NULL: a job';
COMMENT ON COLUMN txpipe.total_store.job IS 'Job, as in txpipe.run';
COMMENT ON COLUMN txpipe.total_store.state IS 'The state, as in txpipe.file or txpipe.run';
COMMENT ON COLUMN txpipe.total_store.times IS 'How often it was reached';
COMMENT ON COLUMN txpipe.total_store.rows_read IS 'Records in the files that were loaded';
COMMENT ON COLUMN txpipe.total_store.rows_loaded IS 'Records of them that were loaded';
COMMENT ON COLUMN txpipe.total_store.rows_rejected IS 'Records of them that were rejected';
COMMENT ON COLUMN txpipe.total_store.last_at IS 'When the state was reached last';

-- Takes a row nobody else has locked, or begins another: loads side by side never wait for each other here.
CREATE FUNCTION txpipe.count_file()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    is_load CONSTANT integer := (NEW.state = 'loaded')::integer;
BEGIN
    UPDATE txpipe.total_store t
       SET times = t.times + 1, last_at = clock_timestamp(), rows_read = t.rows_read + is_load * NEW.rows_read,
           rows_loaded = t.rows_loaded + is_load * NEW.rows_loaded, rows_rejected = t.rows_rejected + is_load * NEW.rows_rejected
     WHERE t.total_id = (SELECT o.total_id FROM txpipe.total_store o WHERE o.feed_id = NEW.feed_id AND o.state = NEW.state
                         LIMIT 1 FOR UPDATE SKIP LOCKED);
    IF NOT FOUND THEN
        INSERT INTO txpipe.total_store (feed_id, state, times, rows_read, rows_loaded, rows_rejected, last_at)
        VALUES (NEW.feed_id, NEW.state, 1, is_load * NEW.rows_read, is_load * NEW.rows_loaded, is_load * NEW.rows_rejected,
                clock_timestamp());
    END IF;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION txpipe.count_file() IS 'Counts a file that came to a final state in txpipe.total_store';

CREATE TRIGGER count_arrival AFTER INSERT ON txpipe.file_ledger
    FOR EACH ROW WHEN (NEW.state NOT IN ('settling', 'waiting', 'loading') AND NEW.arrived_at >= pg_catalog.transaction_timestamp())
    EXECUTE FUNCTION txpipe.count_file();
CREATE TRIGGER count_state AFTER UPDATE OF state ON txpipe.file_ledger
    FOR EACH ROW WHEN (NEW.state <> OLD.state AND NEW.state NOT IN ('settling', 'waiting', 'loading'))
    EXECUTE FUNCTION txpipe.count_file();

CREATE FUNCTION txpipe.count_run()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    UPDATE txpipe.total_store t SET times = t.times + 1, last_at = clock_timestamp()
     WHERE t.total_id = (SELECT o.total_id FROM txpipe.total_store o WHERE o.job = NEW.job AND o.state = NEW.state
                         LIMIT 1 FOR UPDATE SKIP LOCKED);
    IF NOT FOUND THEN
        INSERT INTO txpipe.total_store (job, state, times, last_at) VALUES (NEW.job, NEW.state, 1, clock_timestamp());
    END IF;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION txpipe.count_run() IS 'Counts a run that ended in txpipe.total_store';

CREATE TRIGGER count_short_run AFTER INSERT ON txpipe.run
    FOR EACH ROW WHEN (NEW.state <> 'running' AND NEW.started_at >= pg_catalog.transaction_timestamp())
    EXECUTE FUNCTION txpipe.count_run();
CREATE TRIGGER count_run AFTER UPDATE OF state ON txpipe.run
    FOR EACH ROW WHEN (NEW.state <> OLD.state AND NEW.state <> 'running')
    EXECUTE FUNCTION txpipe.count_run();

-- As txpipe.missing_group has it, but only what the newest 2,000 files tell, and of a week.
CREATE VIEW txpipe.recent_missing_groups WITH (security_barrier) AS
    WITH feed AS MATERIALIZED (
        SELECT f.feed_id, f.group_name, f.required, (f.options->>'every')::interval AS every,
               txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table) AS visible
          FROM txpipe.feed f
    ), newest AS MATERIALIZED (
        SELECT l.feed_id, l.group_key, l.state, l.arrived_at FROM txpipe.file_ledger l ORDER BY l.file_id DESC LIMIT 2000
    ), delivery AS (
        SELECT f.group_name, min(f.every) AS every FROM feed f GROUP BY f.group_name HAVING pg_catalog.bool_or(f.visible)
    ), seen AS MATERIALIZED (
        SELECT DISTINCT f.group_name, n.group_key
          FROM newest n
          JOIN feed f USING (feed_id)
         WHERE n.state NOT IN ('settling', 'superseded')
    ), timed AS MATERIALIZED (
        SELECT s.group_name, d.every, txpipe.group_time(s.group_key) AT TIME ZONE 'UTC' AS at,
               NOT txpipe.group_is_numbered(s.group_key) AS dated
          FROM seen s
          JOIN delivery d USING (group_name)
         WHERE d.every IS NOT NULL
    ), span AS (
        SELECT t.group_name, t.every, coalesce(min(t.at) FILTER (WHERE t.dated), min(t.at)) AS first_at,
               CASE WHEN pg_catalog.bool_or(t.dated) THEN clock_timestamp() AT TIME ZONE 'UTC' - t.every
                    ELSE max(t.at) END AS last_at,
               -- Files older than these may be groups that are later than the first of these.
               CASE WHEN pg_catalog.bool_or(t.dated) AND (SELECT count(*) = 2000 FROM newest)
                    THEN (SELECT min(n.arrived_at) AT TIME ZONE 'UTC' FROM newest n) END AS known_from
          FROM timed t
         GROUP BY t.group_name, t.every
    ), expected AS (
        SELECT s.group_name, greatest(s.last_at - interval '7 days', s.known_from) AS counted_from,
               ARRAY(SELECT pg_catalog.generate_series(s.first_at, s.last_at, s.every)) AS steps
          FROM span s
    )
    SELECT d.group_name,
           (SELECT count(*) FROM seen s
             WHERE s.group_name = d.group_name
               AND EXISTS (SELECT FROM feed r
                            WHERE r.group_name = s.group_name AND r.required
                              AND NOT EXISTS (SELECT FROM txpipe.file_ledger l
                                               WHERE l.feed_id = r.feed_id AND l.group_key = s.group_key
                                                 AND l.state NOT IN ('settling', 'superseded')))) AS incomplete,
           (SELECT count(*) FROM expected e
              CROSS JOIN LATERAL pg_catalog.unnest(e.steps) WITH ORDINALITY AS step (at, number)
             WHERE e.group_name = d.group_name AND step.at >= e.counted_from
               AND NOT EXISTS (SELECT FROM timed t WHERE t.group_name = e.group_name
                                  AND pg_catalog.width_bucket(t.at, e.steps) = step.number)) AS missing
      FROM delivery d;
REVOKE ALL ON txpipe.recent_missing_groups FROM PUBLIC;
COMMENT ON VIEW txpipe.recent_missing_groups IS
    'How many groups of files are not complete or did not come, by the newest 2,000 files; txpipe.missing_group names them, however old';
COMMENT ON COLUMN txpipe.recent_missing_groups.group_name IS 'Group name of the feeds';
COMMENT ON COLUMN txpipe.recent_missing_groups.incomplete IS 'Groups that lack a file of a required feed';
COMMENT ON COLUMN txpipe.recent_missing_groups.missing IS
    'Groups of the last seven days (of numbered ones: up to the last seen) that were expected by the option every, whose time is over, and of which nothing came';

CREATE VIEW txpipe.metric WITH (security_barrier) AS
    -- Streams
    SELECT m.name, m.type, m.help, pg_catalog.jsonb_build_object('stream', s.stream) AS labels, m.value
      FROM txpipe.stream_status s
      CROSS JOIN LATERAL (VALUES
           ('txpipe_stream_lag_messages', 'gauge', 'Messages in the topic that are not yet in the table', s.lag_messages::double precision),
           ('txpipe_stream_lag_seconds', 'gauge', 'Age of the last message consumed, of the partition furthest behind', s.lag_seconds::double precision),
           ('txpipe_stream_rows_total', 'counter', 'Messages that became rows', s.rows_total::double precision),
           ('txpipe_stream_dead_letters_total', 'counter', 'Messages that could not become rows', s.dead_letters_total::double precision),
           ('txpipe_stream_open_dead_letters', 'gauge', 'Dead letters neither replayed nor dismissed', s.open_dead_letters::double precision),
           ('txpipe_stream_read_bytes_total', 'counter', 'Bytes of keys and values read', s.bytes_total::double precision),
           ('txpipe_stream_restarts_total', 'counter', 'How often the stream was opened again after an error', s.restarts::double precision),
           ('txpipe_stream_workers', 'gauge', 'Workers that serve the stream now', s.workers::double precision),
           ('txpipe_stream_last_error_timestamp_seconds', 'gauge', 'When the last error of the stream happened', extract(epoch FROM s.last_error_at)::double precision)
           ) AS m (name, type, help, value)
     WHERE m.value IS NOT NULL
    UNION ALL
    SELECT 'txpipe_stream_state', 'gauge', 'Whether the stream is in this state, 1 or 0',
           pg_catalog.jsonb_build_object('stream', s.stream, 'state', a.state), (s.state = a.state)::integer
      FROM txpipe.stream_status s
      CROSS JOIN (VALUES ('running'), ('waiting'), ('paused'), ('error')) AS a (state)
    -- Feeds
    UNION ALL
    SELECT m.name, m.type, m.help, pg_catalog.jsonb_build_object('feed', f.feed), m.value
      FROM txpipe.feed f
      CROSS JOIN LATERAL (
           SELECT coalesce(sum(t.rows_read), 0) AS rows_read, coalesce(sum(t.rows_loaded), 0) AS rows_loaded,
                  coalesce(sum(t.rows_rejected), 0) AS rows_rejected, max(t.last_at) AS last_at
             FROM txpipe.total_store t
            WHERE t.feed_id = f.feed_id AND t.state = 'loaded') t
      CROSS JOIN LATERAL (VALUES
           ('txpipe_feed_rows_read_total', 'counter', 'Records in the files that were loaded', t.rows_read::double precision),
           ('txpipe_feed_rows_loaded_total', 'counter', 'Records of files that were loaded', t.rows_loaded::double precision),
           ('txpipe_feed_rows_rejected_total', 'counter', 'Records of files that were rejected', t.rows_rejected::double precision),
           ('txpipe_feed_last_load_timestamp_seconds', 'gauge', 'When a file was loaded last', extract(epoch FROM t.last_at)::double precision)
           ) AS m (name, type, help, value)
     WHERE m.value IS NOT NULL
       AND txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table)
    UNION ALL
    SELECT 'txpipe_feed_files_total', 'counter', 'How often files came to this state',
           pg_catalog.jsonb_build_object('feed', f.feed, 'state', a.state),
           (SELECT coalesce(sum(t.times), 0)::double precision FROM txpipe.total_store t
             WHERE t.feed_id = f.feed_id AND t.state = a.state)
      FROM txpipe.feed f
      CROSS JOIN (VALUES ('loaded'), ('duplicate'), ('changed'), ('failed'), ('poison'), ('rejected'), ('superseded'),
                         ('unloaded')) AS a (state)
     WHERE txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table)
    UNION ALL
    SELECT 'txpipe_feed_open_files', 'gauge', 'Files in this state that are not yet settled for good',
           pg_catalog.jsonb_build_object('feed', f.feed, 'state', a.state),
           (SELECT count(*) FROM txpipe.file_ledger l
             WHERE l.feed_id = f.feed_id AND l.state = a.state
               AND l.state IN ('settling', 'waiting', 'loading', 'failed', 'poison'))
      FROM txpipe.feed f
      CROSS JOIN (VALUES ('settling'), ('waiting'), ('loading'), ('failed'), ('poison')) AS a (state)
     WHERE txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table)
    UNION ALL
    SELECT m.name, 'gauge', m.help, pg_catalog.jsonb_build_object('group_name', g.group_name), m.value
      FROM txpipe.recent_missing_groups g
      CROSS JOIN LATERAL (VALUES
           ('txpipe_incomplete_groups', 'Groups of files that lack one of a required feed', g.incomplete::double precision),
           ('txpipe_missing_groups', 'Groups of files that should have come in the last seven days and did not', g.missing::double precision)
           ) AS m (name, help, value)
    -- Runs and exports
    UNION ALL
    SELECT 'txpipe_runs_total', 'counter', 'Runs of the job that ended in this state',
           pg_catalog.jsonb_build_object('job', j.job, 'state', a.state),
           (SELECT coalesce(sum(t.times), 0)::double precision FROM txpipe.total_store t WHERE t.job = j.job AND t.state = a.state)
      FROM (SELECT DISTINCT t.job FROM txpipe.total_store t WHERE t.job IS NOT NULL) j
      CROSS JOIN (VALUES ('succeeded'), ('failed'), ('skipped')) AS a (state)
    UNION ALL
    SELECT 'txpipe_run_last_success_timestamp_seconds', 'gauge', 'When a run of the job succeeded last',
           pg_catalog.jsonb_build_object('job', t.job), extract(epoch FROM max(t.last_at))::double precision
      FROM txpipe.total_store t
     WHERE t.job IS NOT NULL AND t.state = 'succeeded'
     GROUP BY t.job
    UNION ALL
    SELECT 'txpipe_run_last_failure_timestamp_seconds', 'gauge', 'When a run of the job failed last',
           pg_catalog.jsonb_build_object('job', t.job), extract(epoch FROM max(t.last_at))::double precision
      FROM txpipe.total_store t
     WHERE t.job IS NOT NULL AND t.state = 'failed'
     GROUP BY t.job
    UNION ALL
    SELECT 'txpipe_export_last_day_timestamp_seconds', 'gauge', 'Start (UTC) of the latest day of sale that has a B2B file', '{}',
           extract(epoch FROM d.day)::double precision
      FROM (SELECT max(e.day) AS day FROM txpipe.export_log e) d
     WHERE d.day IS NOT NULL AND txpipe.may_read('dwh', 'sales_day')
    -- The installation
    UNION ALL
    SELECT 'txpipe_workers', 'gauge', 'Workers of streams in this database', '{}', count(*)
      FROM pg_catalog.pg_stat_activity a
     WHERE a.application_name LIKE 'txpipe worker %' AND a.datname = pg_catalog.current_database()
    UNION ALL
    SELECT 'txpipe_build_info', 'gauge', '1, with the versions of txpipe and of the server as labels',
           pg_catalog.jsonb_build_object('version', x.extversion, 'server_version', pg_catalog.current_setting('server_version')), 1
      FROM pg_catalog.pg_extension x
     WHERE x.extname = 'txpipe'
    -- Last: what came before has been computed by then.
    UNION ALL
    SELECT 'txpipe_scrape_duration_seconds', 'gauge', 'Time it took to collect these metrics', '{}',
           extract(epoch FROM clock_timestamp() - statement_timestamp())::double precision;
GRANT SELECT ON txpipe.metric TO PUBLIC;
COMMENT ON VIEW txpipe.metric IS
    'What monitoring reads, one sample a row: of the streams and feeds whose target you may read, of runs and of the installation';
COMMENT ON COLUMN txpipe.metric.name IS 'Name by the rules of Prometheus: prefix txpipe_, base units, _total for counters';
COMMENT ON COLUMN txpipe.metric.type IS 'counter (only grows, since the stream or feed was created or the job ran first) or gauge';
COMMENT ON COLUMN txpipe.metric.help IS 'What it is; one text a name';
COMMENT ON COLUMN txpipe.metric.labels IS
    'What it is about, a JSON object of texts: stream, feed, group_name, job, state or versions, never a file or a message';
COMMENT ON COLUMN txpipe.metric.value IS 'The value: seconds, bytes, messages, rows, files or times; a time as seconds since 1970-01-01 00:00 UTC';

CREATE FUNCTION txpipe.metrics()
RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET extra_float_digits = 1
AS $body$
    WITH sample AS MATERIALIZED (
        SELECT * FROM txpipe.metric
    ), line AS (
        SELECT s.name, s.type, s.help, coalesce('{' || l.labels || '}', '') AS labels,
               CASE s.value WHEN 'Infinity' THEN '+Inf' WHEN '-Infinity' THEN '-Inf' ELSE s.value::text END AS value
          FROM sample s
          CROSS JOIN LATERAL (
               SELECT string_agg(format('%s="%s"', e.key, replace(replace(replace(e.value, '\', '\\'), '"', '\"'), e'\n', '\n')),
                                 ',' ORDER BY e.key COLLATE "C") AS labels
                 FROM jsonb_each_text(s.labels) e) l
    )
    SELECT coalesce(string_agg(family.text, '' ORDER BY family.name COLLATE "C"), '')
      FROM (SELECT name,
                   format(e'# HELP %1$s %2$s\n# TYPE %1$s %3$s\n', name, replace(replace(min(help), '\', '\\'), e'\n', '\n'), min(type))
                   || string_agg(format(e'%s%s %s\n', name, labels, value), '' ORDER BY labels COLLATE "C") AS text
              FROM line GROUP BY name) family
$body$;
COMMENT ON FUNCTION txpipe.metrics() IS
'The rows of txpipe.metric in the text format of Prometheus (0.0.4), as the caller may see them: sorted by name and labels, HELP and TYPE
once a name. For a scraper of HTTP, or a file for node_exporter''s textfile collector.';
