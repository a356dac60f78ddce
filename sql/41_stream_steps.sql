-- 41_stream_steps.sql: the steps of streams, for those who may read the target; their SQL for the owner.

CREATE VIEW txpipe.stream_step WITH (security_barrier) AS
    SELECT s.stream, p.step, p.kind, p.ordinal, p.on_error,
           CASE WHEN txpipe.is_owner(s.owner_oid, s.owner_name) THEN p.sql END AS sql,
           coalesce(c.calls_total, 0) AS calls_total,
           coalesce(c.rows_total, 0) AS rows_total,
           coalesce(c.us_total, 0) / 1000000.0 AS seconds_total,
           c.last_us / 1000.0 AS last_ms,
           coalesce(c.errors_total, 0) AS errors_total,
           CASE WHEN txpipe.is_owner(s.owner_oid, s.owner_name) THEN c.last_error END AS last_error,
           c.last_error_at,
           p.enabled
      FROM txpipe.stream_step_store p
      JOIN txpipe.stream s USING (stream_id)
      CROSS JOIN LATERAL (
           SELECT sum(c.calls_total)::bigint AS calls_total, sum(c.rows_total)::bigint AS rows_total,
                  sum(c.us_total)::bigint AS us_total,
                  (pg_catalog.array_agg(c.last_us ORDER BY c.last_call DESC))[1] AS last_us,
                  sum(c.errors_total)::bigint AS errors_total,
                  (pg_catalog.array_agg(c.last_error ORDER BY c.last_error_at DESC NULLS LAST))[1] AS last_error,
                  max(c.last_error_at) AS last_error_at
             FROM txpipe.stream_step_count c
            WHERE c.stream_id = p.stream_id AND c.step = p.step) c
     WHERE txpipe.may_read(s.target_schema, s.target_table)
        OR txpipe.is_owner(s.owner_oid, s.owner_name);
GRANT SELECT ON txpipe.stream_step TO PUBLIC;
COMMENT ON VIEW txpipe.stream_step IS
    'SQL that runs on every batch of the streams whose target you may read, with what it did and how long it took';
COMMENT ON COLUMN txpipe.stream_step.stream IS 'Name of the stream';
COMMENT ON COLUMN txpipe.stream_step.step IS 'Name of the step; target stands for the insert into the target';
COMMENT ON COLUMN txpipe.stream_step.kind IS 'step, or rule: its rows become alerts';
COMMENT ON COLUMN txpipe.stream_step.ordinal IS
    'Order in which they run; the insert into the target has 0. Rules run behind all steps';
COMMENT ON COLUMN txpipe.stream_step.on_error IS 'What an error that rows cause does: stop, skip or dead_letter';
COMMENT ON COLUMN txpipe.stream_step.sql IS 'The statement; NULL unless the stream is yours';
COMMENT ON COLUMN txpipe.stream_step.calls_total IS 'How often it ran';
COMMENT ON COLUMN txpipe.stream_step.rows_total IS 'Rows it processed';
COMMENT ON COLUMN txpipe.stream_step.seconds_total IS 'Seconds it took in all';
COMMENT ON COLUMN txpipe.stream_step.last_ms IS 'Milliseconds it took for the last batch; NULL: it has not run yet';
COMMENT ON COLUMN txpipe.stream_step.errors_total IS
    'Times it failed and was skipped or stopped the stream, and messages it refused';
COMMENT ON COLUMN txpipe.stream_step.last_error IS
    'The last of these errors: SQLSTATE and sentence; NULL unless the stream is yours';
COMMENT ON COLUMN txpipe.stream_step.last_error_at IS 'When that was';
COMMENT ON COLUMN txpipe.stream_step.enabled IS 'Whether it is run';

