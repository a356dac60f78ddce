-- 46_progress.sql: how far the long calls of other sessions are. Kept in PostgreSQL's own progress slots, so it needs
-- no preloading and no table, and is there before anything is committed.

CREATE FUNCTION txpipe.session_progress(OUT pid integer, OUT job text, OUT state text, OUT unit text,
    OUT items_done bigint, OUT items_total bigint, OUT rows bigint, OUT rows_rejected bigint,
    OUT bytes_done bigint, OUT bytes_total bigint, OUT percent double precision, OUT rows_per_second double precision,
    OUT bytes_per_second double precision, OUT seconds_left double precision, OUT started_at timestamptz,
    OUT feed_id integer, OUT file_id bigint, OUT stream_id integer)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_session_progress';
COMMENT ON FUNCTION txpipe.session_progress() IS
'Part of the view progress: long calls of sessions of roles you are a member of, of all sessions for
pg_read_all_stats, and those at work on feeds and streams whose target you may read. Numbers of feed, file and stream
are 0 where there is none';

CREATE VIEW txpipe.progress WITH (security_barrier) AS
    SELECT p.pid,
           p.job,
           p.state,
           p.unit,
           p.items_done,
           p.items_total,
           p.rows,
           p.rows_rejected,
           p.bytes_done,
           p.bytes_total,
           p.percent::numeric(4,1) AS percent,
           p.rows_per_second::numeric(20,1) AS rows_per_second,
           p.bytes_per_second::numeric(20,1) AS bytes_per_second,
           p.started_at,
           greatest(clock_timestamp() - p.started_at, interval '0') AS elapsed,
           pg_catalog.make_interval(secs => ceil(p.seconds_left)) AS time_left,
           f.feed,
           f.group_name,
           l.group_key,
           l.file_name,
           s.stream
      FROM txpipe.session_progress() p
      LEFT JOIN txpipe.feed f ON f.feed_id = p.feed_id
            AND txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table)
      LEFT JOIN txpipe.file_ledger l ON l.file_id = p.file_id AND l.feed_id = f.feed_id
      LEFT JOIN txpipe.stream s ON s.stream_id = p.stream_id
            AND (txpipe.may_read(s.target_schema, s.target_table) OR txpipe.is_owner(s.owner_oid, s.owner_name));
GRANT SELECT ON txpipe.progress TO PUBLIC;
COMMENT ON VIEW txpipe.progress IS
'Long calls under way in this database, one row a session: run_hourly, reload, unload, validate_file, replay_rejected_rows,
replay_dead_letters. Rows of your own roles'' sessions, with pg_read_all_stats of all, and those at work on feeds and
streams whose target you may read; only these are named. A session with track_activities = off shows nothing';
COMMENT ON COLUMN txpipe.progress.pid IS 'Process of the session, as in pg_stat_activity';
COMMENT ON COLUMN txpipe.progress.job IS 'What was called';
COMMENT ON COLUMN txpipe.progress.state IS
'beginning, settling (new files are waited for and hashed), loading, unloading, checking or replaying; counts, rates and
time_left are of this state';
COMMENT ON COLUMN txpipe.progress.unit IS 'What items are: groups, files, rows or dead letters';
COMMENT ON COLUMN txpipe.progress.items_done IS 'Items done, whether they could be loaded or not';
COMMENT ON COLUMN txpipe.progress.items_total IS 'Items the call has to do, as far as it is known';
COMMENT ON COLUMN txpipe.progress.rows IS 'Records read so far, whatever became of them; those of groups that failed do not count';
COMMENT ON COLUMN txpipe.progress.rows_rejected IS 'Records of these that were rejected';
COMMENT ON COLUMN txpipe.progress.bytes_done IS 'Bytes of the files done, as they were delivered, up to the last batch';
COMMENT ON COLUMN txpipe.progress.bytes_total IS 'Bytes of all files the call has to do; 0: it counts items only';
COMMENT ON COLUMN txpipe.progress.percent IS 'Share done, by bytes where there are any, else by items; cut, not rounded';
COMMENT ON COLUMN txpipe.progress.rows_per_second IS 'Records read a second since this state began';
COMMENT ON COLUMN txpipe.progress.bytes_per_second IS 'Bytes a second since this state began; NULL: no bytes are counted';
COMMENT ON COLUMN txpipe.progress.started_at IS 'When the call began';
COMMENT ON COLUMN txpipe.progress.elapsed IS 'Since then';
COMMENT ON COLUMN txpipe.progress.time_left IS 'How long it takes at this rate; NULL: less than 0.5 per cent is done, which tells nothing';
COMMENT ON COLUMN txpipe.progress.feed IS 'Feed at work on; NULL: none, or you may not read its target';
COMMENT ON COLUMN txpipe.progress.group_name IS 'Group name of that feed';
COMMENT ON COLUMN txpipe.progress.group_key IS 'Group the file belongs to; NULL: it is not known outside the transaction yet';
COMMENT ON COLUMN txpipe.progress.file_name IS 'File at work on, below txpipe.landing_directory';
COMMENT ON COLUMN txpipe.progress.stream IS 'Stream whose dead letters are replayed';
