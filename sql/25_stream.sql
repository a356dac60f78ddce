-- 25_stream.sql: creating and steering streams.

CREATE FUNCTION txpipe.wake() RETURNS trigger
    LANGUAGE c SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_wake';
COMMENT ON FUNCTION txpipe.wake() IS 'Trigger: launcher and workers look at the streams again after the commit';

CREATE TRIGGER wake AFTER INSERT OR DELETE OR UPDATE OF state, epoch ON txpipe.stream
    FOR EACH STATEMENT EXECUTE FUNCTION txpipe.wake();

CREATE FUNCTION txpipe.create_stream(
        stream text, server text, topic text, target regclass DEFAULT NULL,
        format text DEFAULT 'json', columns jsonb DEFAULT NULL, key_columns text[] DEFAULT NULL,
        start_at text DEFAULT 'earliest', paused boolean DEFAULT false,
        if_not_exists boolean DEFAULT false, options jsonb DEFAULT '{}')
    RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_create_stream';
COMMENT ON FUNCTION txpipe.create_stream(text, text, text, regclass, text, jsonb, text[], text, boolean, boolean, jsonb) IS
    'Creates a stream from a Kafka topic into a table; the caller becomes its owner and needs USAGE on the '
    'server and INSERT on the table. format: json, csv, text or bytea. columns: {"column": "path"} or '
    '{"column": {"path": "…", "as": "…", "default": …}}; NULL: fields match columns by name, columns with a '
    'default are left to it. key_columns: columns of a unique index that rows replace one another by (mode '
    'upsert; the default of the modes is the primary key). start_at: earliest, latest, or a timestamp. Asks the '
    'brokers (at most 15 s) unless paused. options: see txpipe.option';

CREATE FUNCTION txpipe.pause_stream(stream text) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_pause_stream';
COMMENT ON FUNCTION txpipe.pause_stream(text) IS
    'Stops a stream after the batch at work, until resume_stream. For its owner';

CREATE FUNCTION txpipe.resume_stream(stream text) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_resume_stream';
COMMENT ON FUNCTION txpipe.resume_stream(text) IS
    'Lets a paused stream go on where it stopped; one that is in error tries again at once. For its owner';

CREATE FUNCTION txpipe.seek_stream(stream text, "position" text) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_seek_stream';
COMMENT ON FUNCTION txpipe.seek_stream(text, text) IS
    'Moves a stream, running or paused, to another place; rows that are read again are inserted again. position: '
    'earliest, latest, a timestamp (the first message not older), or offsets by partition ''{"0": 120}'', of a '
    'stream with several topics ''{"topic": {"0": 120}}''; partitions not named stay. Takes effect with the '
    'commit. Asks the brokers (at most 15 s). 22003 when a partition does not hold the offset, 42704 when there '
    'is no such partition, 55P03 when a batch at work does not end within 10 s. For its owner';

CREATE FUNCTION txpipe.alter_stream(
        stream text, columns jsonb DEFAULT NULL, options jsonb DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_alter_stream';
COMMENT ON FUNCTION txpipe.alter_stream(text, jsonb, jsonb) IS
    'Changes a stream, running or paused, which keeps its place. columns replaces the mapping (JSON null: fields '
    'match columns by name), options are merged into those there are (null takes one away). Checked as in '
    'create_stream; takes effect with the commit. For its owner';

CREATE FUNCTION txpipe.drop_stream(stream text) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_drop_stream';
COMMENT ON FUNCTION txpipe.drop_stream(text) IS
    'Removes a stream with its offsets, dead letters and logs; the target table stays. 55P03 when a batch at work '
    'does not end within 10 s. For its owner';

-- No SET clause: a procedure with one could not commit before it waits.
CREATE PROCEDURE txpipe.consume(
        stream text, max_messages integer DEFAULT 10000, timeout interval DEFAULT '10 s')
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'txpipe_consume';
COMMENT ON PROCEDURE txpipe.consume(text, integer, interval) IS
    'Reads one batch of at most max_messages messages in the calling session and needs no worker: rows, dead '
    'letters and offsets in one transaction. Waits at most timeout for the brokers and for a first message, '
    'without a lock when called outside of a transaction block. 55006 while the stream runs: pause it first';

CREATE FUNCTION txpipe.stream_workers(stream_id integer) RETURNS integer
    LANGUAGE c VOLATILE STRICT SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_stream_workers';
COMMENT ON FUNCTION txpipe.stream_workers(integer) IS 'Number of workers that serve the stream at this moment';

CREATE FUNCTION txpipe.stream_rates(
        stream_id integer, OUT rows_1 double precision, OUT rows_10 double precision,
        OUT bytes_1 double precision, OUT bytes_10 double precision)
    LANGUAGE c VOLATILE STRICT SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_stream_rates';
COMMENT ON FUNCTION txpipe.stream_rates(integer) IS
    'Messages that became rows, and bytes of messages, a second: over the last full second and the last ten. NULL '
    'where txpipe is not in shared_preload_libraries';

CREATE FUNCTION txpipe.utf8(bytes bytea) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_utf8';
COMMENT ON FUNCTION txpipe.utf8(bytea) IS 'The bytes as text where they are valid text, else NULL';

