-- 23_stream_steps.sql: the SQL that streams run on every batch, and what became of it.

CREATE TABLE txpipe.stream_step_store (
    stream_id integer NOT NULL REFERENCES txpipe.stream ON DELETE CASCADE,
    step text NOT NULL CHECK (step <> ''),
    kind text NOT NULL DEFAULT 'step' CHECK (kind IN ('step', 'rule')),
    ordinal integer NOT NULL,
    sql text NOT NULL,
    on_error text NOT NULL DEFAULT 'stop' CHECK (on_error IN ('stop', 'skip', 'dead_letter')),
    enabled boolean NOT NULL DEFAULT true,
    PRIMARY KEY (stream_id, step)
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.stream_step_store', '');
REVOKE ALL ON txpipe.stream_step_store FROM PUBLIC;
COMMENT ON TABLE txpipe.stream_step_store IS 'Statements that streams run on every batch; read them in txpipe.stream_step';
COMMENT ON COLUMN txpipe.stream_step_store.stream_id IS 'Stream';
COMMENT ON COLUMN txpipe.stream_step_store.step IS 'Name of the step; target replaces the insert into the target';
COMMENT ON COLUMN txpipe.stream_step_store.kind IS 'step, or rule: its rows become alerts';
COMMENT ON COLUMN txpipe.stream_step_store.ordinal IS 'Order of the steps; the insert into the target has 0. Rules run behind all steps';
COMMENT ON COLUMN txpipe.stream_step_store.sql IS 'One statement over the relation batch';
COMMENT ON COLUMN txpipe.stream_step_store.on_error IS 'What an error of the statement does: stop, skip or dead_letter';
COMMENT ON COLUMN txpipe.stream_step_store.enabled IS 'Whether it is run';

-- One row for each worker that a stream may have, so that they do not wait for one another; updated once a batch.
CREATE TABLE txpipe.stream_step_count (
    stream_id integer NOT NULL,
    step text NOT NULL,
    part integer NOT NULL,
    calls_total bigint NOT NULL,
    rows_total bigint NOT NULL,
    us_total bigint NOT NULL,
    last_us bigint NOT NULL,
    last_call timestamptz NOT NULL DEFAULT clock_timestamp(),
    errors_total bigint NOT NULL,
    last_error text,
    last_error_at timestamptz,
    PRIMARY KEY (stream_id, step, part),
    FOREIGN KEY (stream_id, step) REFERENCES txpipe.stream_step_store ON DELETE CASCADE
) WITH (fillfactor = 30);
SELECT pg_catalog.pg_extension_config_dump('txpipe.stream_step_count', '');
REVOKE ALL ON txpipe.stream_step_count FROM PUBLIC;
COMMENT ON TABLE txpipe.stream_step_count IS 'What steps did and how long it took, written in the commits of the batches; read it in txpipe.stream_step';
COMMENT ON COLUMN txpipe.stream_step_count.stream_id IS 'Stream';
COMMENT ON COLUMN txpipe.stream_step_count.step IS 'Step';
COMMENT ON COLUMN txpipe.stream_step_count.part IS 'Part of the stream, from 0, see the option workers; -1: replays of dead letters';
COMMENT ON COLUMN txpipe.stream_step_count.calls_total IS 'How often it ran';
COMMENT ON COLUMN txpipe.stream_step_count.rows_total IS 'Rows it processed';
COMMENT ON COLUMN txpipe.stream_step_count.us_total IS 'Microseconds it took in all';
COMMENT ON COLUMN txpipe.stream_step_count.last_us IS 'Microseconds it took for the last batch';
COMMENT ON COLUMN txpipe.stream_step_count.last_call IS 'When that was';
COMMENT ON COLUMN txpipe.stream_step_count.errors_total IS 'Times it failed and was skipped or stopped the stream, and messages it refused';
COMMENT ON COLUMN txpipe.stream_step_count.last_error IS 'The last of these errors';
COMMENT ON COLUMN txpipe.stream_step_count.last_error_at IS 'When that was';

