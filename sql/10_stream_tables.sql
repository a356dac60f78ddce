-- 10_stream_tables.sql: what a stream is, how far it has come, and what it could not use.
--
-- The tables are the extension's own; people read the views of 40_status.sql, which show a stream to
-- those who may read its target. Names are kept beside OIDs, because OIDs do not survive a dump.

CREATE TABLE txpipe.stream (
    stream_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text NOT NULL UNIQUE CHECK (stream <> ''),
    owner_oid oid NOT NULL,
    owner_name name NOT NULL,
    server name NOT NULL,
    topic text NOT NULL CHECK (topic <> ''),
    target_oid oid NOT NULL,
    target_schema name NOT NULL,
    target_table name NOT NULL,
    format text NOT NULL CHECK (format IN ('json', 'csv', 'text', 'bytea', 'avro', 'protobuf')),
    columns jsonb CHECK (jsonb_typeof(columns) = 'object'),
    key_columns text[],
    start_at text NOT NULL DEFAULT 'earliest',
    options jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'),
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'error')),
    reason text,
    since timestamptz NOT NULL DEFAULT now(),
    restarts bigint NOT NULL DEFAULT 0,
    last_error text,
    last_error_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    epoch bigint NOT NULL DEFAULT 0,
    home uuid NOT NULL
) WITH (fillfactor = 50);
SELECT pg_catalog.pg_extension_config_dump('txpipe.stream', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.stream_stream_id_seq', '');
REVOKE ALL ON txpipe.stream FROM PUBLIC;
COMMENT ON TABLE txpipe.stream IS 'Definitions and states of streams: one row feeds one table from one topic';
COMMENT ON COLUMN txpipe.stream.stream_id IS 'Number of the stream';
COMMENT ON COLUMN txpipe.stream.stream IS 'Name of the stream, unique in the database';
COMMENT ON COLUMN txpipe.stream.owner_oid IS 'Role that everything touching the target runs as';
COMMENT ON COLUMN txpipe.stream.owner_name IS 'Name of that role when the stream was created';
COMMENT ON COLUMN txpipe.stream.server IS 'Foreign server of the wrapper txpipe_kafka: where the brokers are';
COMMENT ON COLUMN txpipe.stream.topic IS
    'Kafka topic, a list of topics with commas between, or a regular expression that begins with ^';
COMMENT ON COLUMN txpipe.stream.target_oid IS 'Table that receives the rows';
COMMENT ON COLUMN txpipe.stream.target_schema IS 'Schema of that table when the stream was created';
COMMENT ON COLUMN txpipe.stream.target_table IS 'Name of that table when the stream was created';
COMMENT ON COLUMN txpipe.stream.format IS 'Format of the messages: json, avro, protobuf, csv, text or bytea';
COMMENT ON COLUMN txpipe.stream.columns IS 'Mapping of columns to paths; NULL: fields match columns by name';
COMMENT ON COLUMN txpipe.stream.key_columns IS
    'Columns that identify a row in the modes upsert and upsert_delete; NULL: the primary key of the target';
COMMENT ON COLUMN txpipe.stream.start_at IS 'Where partitions without a stored offset begin: earliest, latest or a timestamp';
COMMENT ON COLUMN txpipe.stream.options IS 'Options of the stream, listed in txpipe.option';
COMMENT ON COLUMN txpipe.stream.state IS 'running (a worker serves it), paused (by a user), error (a worker retries with back-off)';
COMMENT ON COLUMN txpipe.stream.reason IS 'Why the stream is in this state';
COMMENT ON COLUMN txpipe.stream.since IS 'When it came into this state';
COMMENT ON COLUMN txpipe.stream.restarts IS 'How often it was opened again after an error';
COMMENT ON COLUMN txpipe.stream.last_error IS 'The last error, as a sentence';
COMMENT ON COLUMN txpipe.stream.last_error_at IS 'When that error happened';
COMMENT ON COLUMN txpipe.stream.created_at IS 'When the stream was created';
COMMENT ON COLUMN txpipe.stream.epoch IS
    'Grows with every change of definition or position: who serves the stream opens it anew';
COMMENT ON COLUMN txpipe.stream.home IS
    'Installation the stream belongs to (txpipe.installation); in any other it is a copy';

-- One row for each partition, updated once a batch: free space on the page keeps those updates HOT.
CREATE TABLE txpipe.stream_offset (
    stream_id integer NOT NULL REFERENCES txpipe.stream ON DELETE CASCADE,
    topic text NOT NULL,
    partition integer NOT NULL CHECK (partition >= 0),
    topic_id uuid,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    end_offset bigint NOT NULL DEFAULT -1,
    rows_total bigint NOT NULL DEFAULT 0,
    dead_letters_total bigint NOT NULL DEFAULT 0,
    bytes_total bigint NOT NULL DEFAULT 0,
    last_timestamp timestamptz,
    last_offset bigint,
    last_hash bigint,
    assignment text CHECK (assignment IN ('released', 'adopted')),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_id, topic, partition)
) WITH (fillfactor = 30);
SELECT pg_catalog.pg_extension_config_dump('txpipe.stream_offset', '');
REVOKE ALL ON txpipe.stream_offset FROM PUBLIC;
COMMENT ON TABLE txpipe.stream_offset IS 'Position of every stream in every partition, written in the commit that holds the rows';
COMMENT ON COLUMN txpipe.stream_offset.stream_id IS 'Stream';
COMMENT ON COLUMN txpipe.stream_offset.topic IS 'Kafka topic';
COMMENT ON COLUMN txpipe.stream_offset.partition IS 'Kafka partition';
COMMENT ON COLUMN txpipe.stream_offset.topic_id IS 'Id of the topic that is read, as Kafka gave it: a topic that is created anew has another; NULL: librdkafka (2.3) or the brokers (2.8) do not tell it';
COMMENT ON COLUMN txpipe.stream_offset.next_offset IS 'First offset not yet consumed';
COMMENT ON COLUMN txpipe.stream_offset.end_offset IS 'End of the partition (high watermark) as last heard; -1: not heard yet';
COMMENT ON COLUMN txpipe.stream_offset.rows_total IS 'Messages of this partition that became rows';
COMMENT ON COLUMN txpipe.stream_offset.dead_letters_total IS 'Messages of this partition stored as dead letters';
COMMENT ON COLUMN txpipe.stream_offset.bytes_total IS 'Bytes of keys and values of the messages consumed';
COMMENT ON COLUMN txpipe.stream_offset.last_timestamp IS 'Kafka timestamp of the last message consumed';
COMMENT ON COLUMN txpipe.stream_offset.last_offset IS 'Offset of the last message consumed; NULL: none yet';
COMMENT ON COLUMN txpipe.stream_offset.last_hash IS 'Hash of that message: tells a topic that was created anew';
COMMENT ON COLUMN txpipe.stream_offset.assignment IS
    'released: the stream does not read the partition, whatever its option partitions says; adopted: it does; NULL: the option decides';
COMMENT ON COLUMN txpipe.stream_offset.updated_at IS 'When this row last changed';

-- Not the keys themselves, which may be personal data. No foreign key: it would be checked for each; drop_stream, the one way to
-- delete a stream, deletes them, too.
CREATE TABLE txpipe.deleted_key (
    stream_id integer NOT NULL,
    key bytea NOT NULL,
    version numeric NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_id, key)
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.deleted_key', '');
REVOKE ALL ON txpipe.deleted_key FROM PUBLIC;
COMMENT ON TABLE txpipe.deleted_key IS
    'Rows that streams with the option version_column deleted: an older event does not bring them back';
COMMENT ON COLUMN txpipe.deleted_key.stream_id IS 'Stream';
COMMENT ON COLUMN txpipe.deleted_key.key IS 'SHA-256 of the row''s key';
COMMENT ON COLUMN txpipe.deleted_key.version IS 'Version of the deletion as a number: of a time the seconds since 1970, of an LSN its bytes';
COMMENT ON COLUMN txpipe.deleted_key.deleted_at IS 'When it was deleted here';

-- No foreign key: it would be checked for each letter, a third of the cost of a bad message. drop_stream, the one
-- way to delete a stream, deletes its letters, too. Numbers are cached for the same reason, so several workers' interleave.
CREATE TABLE txpipe.dead_letter_store (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY (CACHE 100) PRIMARY KEY,
    stream_id integer NOT NULL,
    kafka_topic text NOT NULL,
    kafka_partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    kafka_timestamp timestamptz,
    kafka_key bytea,
    kafka_headers jsonb,
    payload bytea,
    payload_fixed bytea,
    code text NOT NULL,
    message text NOT NULL,
    column_name text,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'dismissed')),
    attempts integer NOT NULL DEFAULT 0,
    stored_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    encrypted boolean NOT NULL DEFAULT false
);
-- What is open, by place; without the topic, which made it twice as slow. Not unique: a topic that was created anew
-- has other messages at the same offsets. It is the only index that finds the letters of a stream: the plan of
-- each new letter's search is kept and must not take another.
CREATE INDEX dead_letter_store_open_idx
    ON txpipe.dead_letter_store (stream_id, kafka_partition, kafka_offset) WHERE state = 'open';
SELECT pg_catalog.pg_extension_config_dump('txpipe.dead_letter_store', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.dead_letter_store_dead_letter_id_seq', '');
REVOKE ALL ON txpipe.dead_letter_store FROM PUBLIC;
COMMENT ON TABLE txpipe.dead_letter_store IS 'Messages that could not become rows, stored in the commit of their neighbours; read them in txpipe.dead_letter';
COMMENT ON COLUMN txpipe.dead_letter_store.dead_letter_id IS 'Number of the dead letter';
COMMENT ON COLUMN txpipe.dead_letter_store.stream_id IS 'Stream';
COMMENT ON COLUMN txpipe.dead_letter_store.kafka_topic IS 'Topic of the message';
COMMENT ON COLUMN txpipe.dead_letter_store.kafka_partition IS 'Partition of the message';
COMMENT ON COLUMN txpipe.dead_letter_store.kafka_offset IS 'Offset of the message';
COMMENT ON COLUMN txpipe.dead_letter_store.kafka_timestamp IS 'Timestamp of the message';
COMMENT ON COLUMN txpipe.dead_letter_store.kafka_key IS 'Key of the message, its bytes';
COMMENT ON COLUMN txpipe.dead_letter_store.kafka_headers IS 'Headers of the message';
COMMENT ON COLUMN txpipe.dead_letter_store.payload IS 'The message, its bytes unchanged; NULL: it had none';
COMMENT ON COLUMN txpipe.dead_letter_store.payload_fixed IS 'The message it was replayed with, where that was another';
COMMENT ON COLUMN txpipe.dead_letter_store.code IS 'Why: a code of the decoder, or the SQLSTATE PostgreSQL refused the row with';
COMMENT ON COLUMN txpipe.dead_letter_store.message IS 'Why, as a sentence';
COMMENT ON COLUMN txpipe.dead_letter_store.column_name IS 'Column at fault, where there is one';
COMMENT ON COLUMN txpipe.dead_letter_store.state IS 'open, replayed or dismissed';
COMMENT ON COLUMN txpipe.dead_letter_store.attempts IS 'How often it was replayed in vain';
COMMENT ON COLUMN txpipe.dead_letter_store.stored_at IS 'When it was stored';
COMMENT ON COLUMN txpipe.dead_letter_store.settled_at IS 'When it was replayed or dismissed';
COMMENT ON COLUMN txpipe.dead_letter_store.encrypted IS
    'kafka_key and payload are OpenPGP messages, kafka_headers is a string with one in hexadecimal';

