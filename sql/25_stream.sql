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
        if_not_exists boolean DEFAULT false, options jsonb DEFAULT '{}',
        target_schema name DEFAULT current_schema())
    RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_create_stream';
COMMENT ON FUNCTION txpipe.create_stream(text, text, text, regclass, text, jsonb, text[], text, boolean, boolean, jsonb, name) IS
    'Creates a stream from a Kafka topic into a table; the caller becomes its owner and needs USAGE on the '
    'server and INSERT on the table. target NULL: a table of the stream''s name is created in target_schema, its '
    'columns inferred from up to 1,000 messages of the topic (at most 5 s); 55000 when they do not tell, 42P07 when '
    'there is such a relation. format: json, avro, protobuf, csv, text or bytea. columns: {"column": "path"} or {"column": {"path": '
    '"…", "as": "…", "default": …}}, without a target also "type" (default text), with one for columns that it does not have and only '
    'on_batch() sees; NULL: fields match columns by '
    'name, columns with a default are left to it. key_columns: columns of a unique index that rows replace one '
    'another by (mode upsert; the default of the modes is the primary key); of an inferred table its primary key. '
    'start_at: earliest, latest, or a timestamp. Asks the brokers (at most 15 s) and looks at 100 messages (at most '
    '2 s) unless paused: a NOTICE names the columns that none of them fills. if_not_exists: a stream of that name is '
    'left as it is. options: see txpipe.option';

CREATE FUNCTION txpipe.test_stream(
        server text, topic text, target regclass DEFAULT NULL, format text DEFAULT 'json',
        columns jsonb DEFAULT NULL, max_messages integer DEFAULT 100, options jsonb DEFAULT '{}')
    RETURNS TABLE (
        kafka_topic text, kafka_partition integer, kafka_offset bigint, kafka_timestamp timestamptz,
        decoded jsonb, code text, message text, column_name text, payload_text text)
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_test_stream';
COMMENT ON FUNCTION txpipe.test_stream(text, text, regclass, text, jsonb, integer, jsonb) IS
    'What a stream with these arguments would make of the first messages of the topic, at most max_messages shared '
    'out over its partitions: the row as decoded, or code, message and column of the reason why it would be a dead '
    'letter. Nothing is written and no offset moves; constraints and triggers of the target are not tried. A NOTICE '
    'names the columns that none of the messages fills or, with target NULL, the columns create_stream would infer. '
    'payload_text is NULL where the message is no text. Needs what create_stream needs. Waits as peek does';

CREATE FUNCTION txpipe.pause_stream(stream text) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_pause_stream';
COMMENT ON FUNCTION txpipe.pause_stream(text) IS
    'Stops a stream after the batch at work, until resume_stream. For its owner and operators';

CREATE FUNCTION txpipe.resume_stream(stream text) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_resume_stream';
COMMENT ON FUNCTION txpipe.resume_stream(text) IS
    'Lets a paused stream go on where it stopped; one that is in error tries again at once. For its owner and operators';

CREATE FUNCTION txpipe.seek_stream(stream text, "position" text) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_seek_stream';
COMMENT ON FUNCTION txpipe.seek_stream(text, text) IS
    'Moves a stream, running or paused, to another place; rows that are read again are inserted again. position: '
    'earliest, latest, a timestamp (the first message not older), or offsets by partition ''{"0": 120}'', of a '
    'stream with several topics ''{"topic": {"0": 120}}''; partitions not named stay. Takes effect with the '
    'commit. Asks the brokers (at most 15 s). 22003 when a partition does not hold the offset, 42704 when there '
    'is no such partition, 55P03 when a batch at work does not end within 10 s. For its owner';

CREATE FUNCTION txpipe.release_partition(stream text, topic text, partition integer) RETURNS bigint
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_release_partition';
COMMENT ON FUNCTION txpipe.release_partition(text, text, integer) IS
    'Gives a partition away, whatever the option partitions says: from its commit on this server reads nothing of it, and the offset '
    'returned is the first that it has not read, for adopt_partition on another server. Rows and dead letters '
    'stay. The commit is on disk, and on a synchronous standby''s, before it is acknowledged, whatever synchronous_commit says. Asks no broker. 42704 when the stream has no place in the partition, 55000 when it does '
    'not read it, 55P03 when a batch at work does not end within 10 s, each of several. For the stream''s owner';

CREATE FUNCTION txpipe.adopt_partition(stream text, topic text, partition integer, next_offset bigint) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_adopt_partition';
COMMENT ON FUNCTION txpipe.adopt_partition(text, text, integer, bigint) IS
    'Takes a partition, whatever the option partitions says, and reads it from next_offset on, which is what release_partition returned on the server '
    'that had it: nobody else knows whether that one still reads. Asks the brokers (at most 15 s). 42704 when none of the '
    'stream''s topics has the partition, 55000 when the stream reads it already, 22003 when it ends before '
    'the offset or, with on_lost_offset stop, begins behind it, 55P03 when a batch at work does not end within 10 s, each of several. For the stream''s owner';

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
    'Removes a stream with its offsets, dead letters, logs, steps, rules and alerts; the target table and the files of its archive stay, '
    'and rows that wait for that stay until export_archive() has written them. 55P03 when a batch at work '
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
COMMENT ON FUNCTION txpipe.stream_workers(integer) IS 'Part of the view stream_status: number of workers that serve the stream at this moment';

CREATE FUNCTION txpipe.stream_rates(
        stream_id integer, OUT rows_1 double precision, OUT rows_10 double precision,
        OUT bytes_1 double precision, OUT bytes_10 double precision)
    LANGUAGE c VOLATILE STRICT SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_stream_rates';
COMMENT ON FUNCTION txpipe.stream_rates(integer) IS
    'Part of the view stream_status: messages that became rows, and bytes of messages, a second: over the last full second and the last ten. NULL '
    'where txpipe is not in shared_preload_libraries';

CREATE FUNCTION txpipe.stream_hindrance(
        OUT guard text, OUT guard_since timestamptz, OUT worker_shortage text)
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_stream_hindrance';
COMMENT ON FUNCTION txpipe.stream_hindrance() IS
    'Part of the view stream_status: what the streams of this database wait for: the guard that holds (txpipe.min_free_space, '
    'txpipe.max_replication_lag) and since when, and why there are fewer workers than wanted, '
    'or none: the server is a standby, or library and extension are of different versions. NULL: nothing';

CREATE FUNCTION txpipe.loaded_version() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_loaded_version';
COMMENT ON FUNCTION txpipe.loaded_version() IS
    'Part of check_setup(): the version of the library that this server, or without preloading this session, has loaded';

CREATE FUNCTION txpipe.guard_problem() RETURNS text
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_guard_problem';
COMMENT ON FUNCTION txpipe.guard_problem() IS
    'Part of check_setup(): what the guards txpipe.min_free_space and txpipe.max_replication_lag find at this moment; NULL: nothing';

CREATE FUNCTION txpipe.utf8(bytes bytea) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_utf8';
COMMENT ON FUNCTION txpipe.utf8(bytea) IS 'Part of views: the bytes as text where they are valid text, else NULL';

