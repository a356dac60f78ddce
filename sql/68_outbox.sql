-- 68_outbox.sql: messages to Kafka that are sent when, and only when, their transaction has committed.

CREATE TABLE txpipe.outbox_route (
    route_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_oid oid NOT NULL,
    owner_name name NOT NULL,
    server name NOT NULL,
    topic text NOT NULL CHECK (topic <> ''),
    home uuid NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    retry_at timestamptz,
    last_error text,
    last_error_at timestamptz,
    UNIQUE (owner_oid, server, topic, home)
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.outbox_route', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.outbox_route_route_id_seq', '');
REVOKE ALL ON txpipe.outbox_route FROM PUBLIC;
COMMENT ON TABLE txpipe.outbox_route IS 'Where messages of the outbox go: each topic is delivered in order, and tried again on its own';
COMMENT ON COLUMN txpipe.outbox_route.route_id IS 'Number of the route';
COMMENT ON COLUMN txpipe.outbox_route.owner_oid IS 'Role whose user mapping is used';
COMMENT ON COLUMN txpipe.outbox_route.owner_name IS 'Name of that role when the first message was put here';
COMMENT ON COLUMN txpipe.outbox_route.server IS 'Foreign server of the wrapper txpipe_kafka';
COMMENT ON COLUMN txpipe.outbox_route.topic IS 'Kafka topic';
COMMENT ON COLUMN txpipe.outbox_route.home IS 'Installation the messages belong to (txpipe.installation): a copy delivers none of them';
COMMENT ON COLUMN txpipe.outbox_route.failures IS 'Tries in a row that failed';
COMMENT ON COLUMN txpipe.outbox_route.retry_at IS 'Before this it is not tried again; NULL: at once';
COMMENT ON COLUMN txpipe.outbox_route.last_error IS 'Why the last try failed';
COMMENT ON COLUMN txpipe.outbox_route.last_error_at IS 'When that was';

CREATE TABLE txpipe.outbox_store (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    route_id integer NOT NULL REFERENCES txpipe.outbox_route,
    key text,
    value text,
    headers jsonb CHECK (jsonb_typeof(headers) = 'object'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz,
    last_error text,
    options jsonb
);
CREATE INDEX outbox_store_open_idx ON txpipe.outbox_store (route_id, outbox_id) WHERE delivered_at IS NULL;
CREATE INDEX outbox_store_delivered_idx ON txpipe.outbox_store (delivered_at) WHERE delivered_at IS NOT NULL;
SELECT pg_catalog.pg_extension_config_dump('txpipe.outbox_store', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.outbox_store_outbox_id_seq', '');
REVOKE ALL ON txpipe.outbox_store FROM PUBLIC;
COMMENT ON TABLE txpipe.outbox_store IS 'Messages to be sent after their transaction has committed, and those sent within the last day; read them in txpipe.outbox';
COMMENT ON COLUMN txpipe.outbox_store.outbox_id IS 'Number of the message';
COMMENT ON COLUMN txpipe.outbox_store.route_id IS 'Where it goes';
COMMENT ON COLUMN txpipe.outbox_store.key IS 'Key of the message';
COMMENT ON COLUMN txpipe.outbox_store.value IS 'Its value';
COMMENT ON COLUMN txpipe.outbox_store.headers IS 'Its headers; txpipe-id is added to them when it is sent';
COMMENT ON COLUMN txpipe.outbox_store.created_at IS 'When it was put here';
COMMENT ON COLUMN txpipe.outbox_store.delivered_at IS 'When the brokers acknowledged it; NULL: not yet';
COMMENT ON COLUMN txpipe.outbox_store.attempts IS 'How often it was sent';
COMMENT ON COLUMN txpipe.outbox_store.retry_at IS 'It was refused: before this it is not sent again';
COMMENT ON COLUMN txpipe.outbox_store.last_error IS 'Why they refused it, or why it could not be sent';
COMMENT ON COLUMN txpipe.outbox_store.options IS 'How value and key are written when it is sent: {"format": …, "registry": did the server name one, options of enqueue()}; NULL: as they are';

CREATE VIEW txpipe.outbox WITH (security_barrier) AS
    SELECT o.outbox_id, r.server, r.topic, o.key, o.value, o.headers, o.created_at, o.delivered_at, o.attempts,
           CASE WHEN o.delivered_at IS NULL THEN coalesce(o.last_error, r.last_error) END AS last_error,
           CASE WHEN o.delivered_at IS NULL THEN greatest(o.retry_at, r.retry_at) END AS retry_at,
           o.options ->> 'format' AS format,
           o.options ->> 'key_format' AS key_format
      FROM txpipe.outbox_store o
      JOIN txpipe.outbox_route r USING (route_id)
     WHERE txpipe.is_owner(r.owner_oid, r.owner_name);
GRANT SELECT ON txpipe.outbox TO PUBLIC;
COMMENT ON VIEW txpipe.outbox IS 'Your messages that are delivered after their transaction; delivered ones are kept for a day';
COMMENT ON COLUMN txpipe.outbox.outbox_id IS 'Number of the message';
COMMENT ON COLUMN txpipe.outbox.server IS 'Foreign server of the wrapper txpipe_kafka';
COMMENT ON COLUMN txpipe.outbox.topic IS 'Kafka topic it goes to';
COMMENT ON COLUMN txpipe.outbox.key IS 'Key of the message';
COMMENT ON COLUMN txpipe.outbox.value IS 'Its value';
COMMENT ON COLUMN txpipe.outbox.headers IS 'Its headers; txpipe-id is added to them when it is sent';
COMMENT ON COLUMN txpipe.outbox.created_at IS 'When it was put here';
COMMENT ON COLUMN txpipe.outbox.delivered_at IS 'When the brokers acknowledged it; NULL: not yet';
COMMENT ON COLUMN txpipe.outbox.attempts IS 'How often it was sent';
COMMENT ON COLUMN txpipe.outbox.last_error IS 'Why it was not delivered yet, where something failed';
COMMENT ON COLUMN txpipe.outbox.retry_at IS 'When it is tried again';
COMMENT ON COLUMN txpipe.outbox.format IS 'What its value becomes by a schema when it is sent: avro or json; NULL: it is sent as it is';
COMMENT ON COLUMN txpipe.outbox.key_format IS 'What its key becomes when it is sent: avro or json; text, NULL: it is sent as it is';

CREATE FUNCTION txpipe.enqueue(server text, topic text, value text, key text DEFAULT NULL, headers jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_enqueue';
COMMENT ON FUNCTION txpipe.enqueue(text, text, text, text, jsonb) IS
'Puts a message into the outbox: it is sent to the topic if this transaction commits, and then at least once, with the caller''s user mapping,
by a worker, or by deliver_outbox() where there is none. Messages of one caller and topic are sent in the order of their numbers. Each has a
header txpipe-id, the same whenever it is sent again, to tell duplicates by. headers: a JSON object of strings, null is a header without a value. Result: its number in
txpipe.outbox. Needs USAGE on the server. Errors: 42704 no such server, 22023 headers';

CREATE FUNCTION txpipe.enqueue(server text, topic text, value jsonb, key text DEFAULT NULL, headers jsonb DEFAULT NULL,
    format text DEFAULT 'json', options jsonb DEFAULT '{}')
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_enqueue_json';
COMMENT ON FUNCTION txpipe.enqueue(text, text, jsonb, text, jsonb, text, jsonb) IS
'The same with a value that is jsonb, such as to_jsonb of a row: format and options say how it and the key are written, as those of produce(). That is
done when the message is sent, by the schema as it is then. What does not fit its schema is not sent: it stays, with the reason in
txpipe.outbox.last_error, and holds up none behind it. A registry that does not answer holds up its topic. Errors: 42704 no such server, 22023 headers, format or options, 22P02 the key is no JSON';

-- No SET clause: a procedure with one could not commit before it waits.
CREATE PROCEDURE txpipe.deliver_outbox()
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'txpipe_deliver_outbox';
COMMENT ON PROCEDURE txpipe.deliver_outbox() IS
'Sends what waits in the outbox, of all owners, each with his own user mapping, in the calling session, also what would be tried again later.
Workers do so by themselves. Holds no transaction while it waits for the brokers, at most 15 s for each 500 messages. What fails is told
by a WARNING and in txpipe.outbox, and stays. Errors: 25001 inside a transaction block';
