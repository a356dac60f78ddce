-- 20_server.sql: where brokers are, who logs in, and what can be set.

CREATE FUNCTION txpipe.kafka_validator(options text[], catalog oid) RETURNS void
    LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_kafka_validator';
COMMENT ON FUNCTION txpipe.kafka_validator(text[], oid) IS
    'Part of CREATE SERVER and CREATE USER MAPPING: checks the options of servers and user mappings of the wrapper txpipe_kafka';

CREATE FOREIGN DATA WRAPPER txpipe_kafka VALIDATOR txpipe.kafka_validator;
COMMENT ON FOREIGN DATA WRAPPER txpipe_kafka IS
    'Connections to Kafka brokers; it has no foreign tables';

CREATE FUNCTION txpipe.list_options(
        OUT name text, OUT applies_to text, OUT type text, OUT default_value text, OUT unit text,
        OUT description text)
    RETURNS SETOF record
    LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_list_options';
COMMENT ON FUNCTION txpipe.list_options() IS 'Part of the view option: its rows';

CREATE VIEW txpipe.option AS SELECT * FROM txpipe.list_options();
GRANT SELECT ON txpipe.option TO PUBLIC;
COMMENT ON VIEW txpipe.option IS 'Every option of servers, user mappings, streams, feeds and object stores';
COMMENT ON COLUMN txpipe.option.name IS 'Name of the option';
COMMENT ON COLUMN txpipe.option.applies_to IS 'server, user mapping, stream, feed, message: one that is sent, object store, or object store mapping: of the wrapper txpipe_object';
COMMENT ON COLUMN txpipe.option.type IS 'text, secret, integer, boolean, character, choice, or file: a path on the server''s machine';
COMMENT ON COLUMN txpipe.option.default_value IS 'Value when it is not given; NULL: none';
COMMENT ON COLUMN txpipe.option.unit IS 'Unit of a number; the words of a choice';
COMMENT ON COLUMN txpipe.option.description IS 'What it does';

CREATE FUNCTION txpipe.topics(server text)
    RETURNS TABLE (topic text, partitions integer, messages bigint)
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_topics';
COMMENT ON FUNCTION txpipe.topics(text) IS
    'Topics of the brokers of a server: number of partitions, and of messages they hold now. Needs USAGE '
    'on the server. Waits at most 15 s; 08001 when no broker answers';

CREATE FUNCTION txpipe.peek(
        server text, topic text, max_messages integer DEFAULT 10, start_at text DEFAULT 'earliest',
        timeout interval DEFAULT '5 s')
    RETURNS TABLE (
        kafka_partition integer, kafka_offset bigint, kafka_timestamp timestamptz, key_text text,
        value_text text, headers jsonb, key bytea, value bytea)
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_peek';
COMMENT ON FUNCTION txpipe.peek(text, text, integer, text, interval) IS
    'Messages of a topic as they are, at most max_messages, shared out over its partitions; nothing is consumed '
    'or committed. start_at: earliest, latest (the newest messages), or a timestamp. key_text and value_text are '
    'NULL where the bytes are no text. Needs USAGE on the server. Returns when the ends of all partitions are '
    'reached, or with what is there after timeout, which begins with the brokers'' first answer; that is waited '
    'for at most 15 s. 08001 when no broker answers, 42704 when there is no such topic';

CREATE FUNCTION txpipe.produce(
        server text, topic text, value text, key text DEFAULT NULL, headers jsonb DEFAULT NULL,
        partition integer DEFAULT NULL, OUT kafka_partition integer, OUT kafka_offset bigint)
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_produce';
COMMENT ON FUNCTION txpipe.produce(text, text, text, text, jsonb, integer) IS
    'Sends one message and waits for the brokers'' acknowledgement: returns where it is. A NULL value is a '
    'tombstone; headers is an object of strings, null is a header without a value; without a partition the key chooses it. ROLLBACK does not '
    'take the message back. Waits at most 15 s. Errors: 25006 on a standby and in a read-only transaction';

CREATE FUNCTION txpipe.produce(
        server text, topic text, value jsonb, key text DEFAULT NULL, headers jsonb DEFAULT NULL,
        partition integer DEFAULT NULL, format text DEFAULT 'json', options jsonb DEFAULT '{}',
        OUT kafka_partition integer, OUT kafka_offset bigint)
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_produce_json';
COMMENT ON FUNCTION txpipe.produce(text, text, jsonb, text, jsonb, integer, text, jsonb) IS
    'The same with a value that is jsonb, such as to_jsonb of a row. format: json, or avro, encoded by the latest '
    'schema of the subject TOPIC-value in the server''s registry, or by the option avro_schema; options: '
    'txpipe.option where applies_to is message, key_format and others for the key, which is JSON then. With a registry the value is behind byte 0 and the schema''s '
    'number, as Confluent''s serializers write it. Nothing is sent where value or key does not fit its schema (22023, '
    'the detail names the field). Errors, too: 22023 format or options, 22P02 the key is no JSON, 42704 the registry has no such schema, 08006 '
    'it does not answer, 28000 it refuses user and password';

