-- 26_on_batch.sql: SQL on every batch of a stream.

CREATE FUNCTION txpipe.on_batch(
        stream text, step text, sql text, ordinal integer DEFAULT NULL, on_error text DEFAULT 'stop')
    RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_on_batch';
COMMENT ON FUNCTION txpipe.on_batch(text, text, text, integer, text) IS
    'Adds a step to a stream or replaces it; sql NULL removes it. A step is one SELECT, INSERT, UPDATE, DELETE or '
    'MERGE, run for every batch in the transaction that stores it, as the stream''s owner with search_path '
    'pg_catalog: names need their schema. It sees the batch as the relation "batch": the mapped columns, and, where '
    'none of them has the name, kafka_topic text, kafka_partition integer, kafka_offset bigint, kafka_timestamp '
    'timestamptz, kafka_key bytea, kafka_headers jsonb, and with the option rows kafka_row integer. ordinal: steps run in its order; the insert into the target '
    'has 0, so negative ones run before it; NULL: as it was, behind all others for a new step. A step named target '
    'takes the place of that insert. on_error, for errors that rows cause: stop (the batch is undone and the stream '
    'paused), skip (the step is undone for this batch, and counted) or dead_letter (the messages it fails for become '
    'dead letters, and the batch is written without them). Takes effect with the commit. Errors: 42601 syntax, 22023 '
    'not one query, or what else names and what it does would not work with the batch, 42704 no such stream or step, '
    '42501 not the owner';

CREATE FUNCTION txpipe.drop_step(stream text, step text) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_drop_step';
COMMENT ON FUNCTION txpipe.drop_step(text, text) IS
    'Removes a step from a stream, with its counts. Errors: 42704 no such stream or step, 42501 not the owner';

