-- 12_stream_logs.sql: what happened to streams: events, batches, fields seen; and which installation this is.

CREATE TABLE txpipe.stream_event_store (
    stream_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id integer NOT NULL REFERENCES txpipe.stream ON DELETE CASCADE,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event text NOT NULL,
    message text NOT NULL,
    topic text,
    partition integer,
    from_offset bigint,
    to_offset bigint
);
CREATE INDEX stream_event_store_stream_id_idx ON txpipe.stream_event_store (stream_id, stream_event_id);
-- Error budgets count from there.
CREATE INDEX stream_event_store_resumed_idx ON txpipe.stream_event_store (stream_id, happened_at)
    WHERE event = 'resumed';
SELECT pg_catalog.pg_extension_config_dump('txpipe.stream_event_store', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.stream_event_store_stream_event_id_seq', '');
REVOKE ALL ON txpipe.stream_event_store FROM PUBLIC;
COMMENT ON TABLE txpipe.stream_event_store IS 'What happened to streams besides batches; read it in txpipe.stream_event';
COMMENT ON COLUMN txpipe.stream_event_store.stream_event_id IS 'Number of the event';
COMMENT ON COLUMN txpipe.stream_event_store.stream_id IS 'Stream';
COMMENT ON COLUMN txpipe.stream_event_store.happened_at IS 'When it happened';
COMMENT ON COLUMN txpipe.stream_event_store.event IS
    'error, recovered, paused, resumed, altered, sought, released, adopted, new_partition, new_field, lost_offset, recreated, unverifiable or copied';
COMMENT ON COLUMN txpipe.stream_event_store.message IS 'What happened, as a sentence';
COMMENT ON COLUMN txpipe.stream_event_store.topic IS 'Topic concerned, where it is one';
COMMENT ON COLUMN txpipe.stream_event_store.partition IS 'Partition concerned';
COMMENT ON COLUMN txpipe.stream_event_store.from_offset IS
    'First offset concerned: of a lost range, the first that was not read';
COMMENT ON COLUMN txpipe.stream_event_store.to_offset IS 'End of the range: the first offset after it';

CREATE TABLE txpipe.batch_history_store (
    batch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id integer NOT NULL REFERENCES txpipe.stream ON DELETE CASCADE,
    part integer NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    batches integer NOT NULL DEFAULT 1,
    messages bigint NOT NULL,
    rows bigint NOT NULL,
    dead_letters bigint NOT NULL,
    refused bigint NOT NULL,
    bytes bigint NOT NULL,
    gather_us bigint NOT NULL,
    decode_us bigint NOT NULL,
    wait_us bigint NOT NULL,
    write_us bigint NOT NULL,
    store_us bigint NOT NULL,
    commit_us bigint
);
CREATE INDEX batch_history_store_stream_id_idx ON txpipe.batch_history_store (stream_id, finished_at);
SELECT pg_catalog.pg_extension_config_dump('txpipe.batch_history_store', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.batch_history_store_batch_id_seq', '');
REVOKE ALL ON txpipe.batch_history_store FROM PUBLIC;
COMMENT ON TABLE txpipe.batch_history_store IS 'Every batch, written in its own commit; small ones of a second share a row; read it in txpipe.batch_history';
COMMENT ON COLUMN txpipe.batch_history_store.batch_id IS 'Number of the row, ascending';
COMMENT ON COLUMN txpipe.batch_history_store.stream_id IS 'Stream';
COMMENT ON COLUMN txpipe.batch_history_store.part IS
    'Part of the stream that read it, from 0; see the option workers';
COMMENT ON COLUMN txpipe.batch_history_store.finished_at IS 'When it, or the first of them, was written, right before its commit';
COMMENT ON COLUMN txpipe.batch_history_store.batches IS 'How many batches share the row; the other columns are their sums';
COMMENT ON COLUMN txpipe.batch_history_store.messages IS 'Messages in it';
COMMENT ON COLUMN txpipe.batch_history_store.rows IS 'Messages that became rows';
COMMENT ON COLUMN txpipe.batch_history_store.dead_letters IS 'Messages that became dead letters';
COMMENT ON COLUMN txpipe.batch_history_store.refused IS
    'Dead letters that were decoded and then refused by PostgreSQL';
COMMENT ON COLUMN txpipe.batch_history_store.bytes IS 'Bytes of keys and values';
COMMENT ON COLUMN txpipe.batch_history_store.gather_us IS
    'Microseconds from its first message to its last, decoding included';
COMMENT ON COLUMN txpipe.batch_history_store.decode_us IS 'Microseconds spent decoding';
COMMENT ON COLUMN txpipe.batch_history_store.wait_us IS
    'Microseconds from its last message until the worker took it up';
COMMENT ON COLUMN txpipe.batch_history_store.write_us IS
    'Microseconds for its rows: COPY or upsert, constraints, triggers';
COMMENT ON COLUMN txpipe.batch_history_store.store_us IS 'Microseconds for offsets, dead letters and fields';
COMMENT ON COLUMN txpipe.batch_history_store.commit_us IS
    'Microseconds the commit of the batch before took, of the same worker and stream; NULL: there was none';

CREATE TABLE txpipe.stream_field_store (
    stream_id integer NOT NULL REFERENCES txpipe.stream ON DELETE CASCADE,
    path text NOT NULL,
    json_types text[] NOT NULL,
    occurrences bigint NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    first_topic text,
    first_partition integer,
    first_offset bigint,
    last_topic text,
    last_partition integer,
    last_offset bigint,
    PRIMARY KEY (stream_id, path)
) WITH (fillfactor = 50);
SELECT pg_catalog.pg_extension_config_dump('txpipe.stream_field_store', '');
REVOKE ALL ON txpipe.stream_field_store FROM PUBLIC;
COMMENT ON TABLE txpipe.stream_field_store IS 'Every path seen in the JSON messages of a stream; read it in txpipe.stream_field';
COMMENT ON COLUMN txpipe.stream_field_store.stream_id IS 'Stream';
COMMENT ON COLUMN txpipe.stream_field_store.path IS $$Path of the field, dotted; a dot in a name is written \.$$;
COMMENT ON COLUMN txpipe.stream_field_store.json_types IS
    'JSON types its values had: string, number, boolean, null, object, array';
COMMENT ON COLUMN txpipe.stream_field_store.occurrences IS 'Messages that had it';
COMMENT ON COLUMN txpipe.stream_field_store.first_seen IS 'When it was first seen';
COMMENT ON COLUMN txpipe.stream_field_store.last_seen IS 'When it was last seen';
COMMENT ON COLUMN txpipe.stream_field_store.first_topic IS 'Topic of the first message that had it';
COMMENT ON COLUMN txpipe.stream_field_store.first_partition IS 'Partition of that message';
COMMENT ON COLUMN txpipe.stream_field_store.first_offset IS 'Offset of that message';
COMMENT ON COLUMN txpipe.stream_field_store.last_topic IS 'Topic of the last message that had it';
COMMENT ON COLUMN txpipe.stream_field_store.last_partition IS 'Partition of that message';
COMMENT ON COLUMN txpipe.stream_field_store.last_offset IS 'Offset of that message';

-- A restored stream names the installation it came from, which is not this one, and thereby tells that it is a
-- copy. A copy by TEMPLATE has the row, but is another database. pg_upgrade keeps both.
CREATE TABLE txpipe.installation (
    token uuid NOT NULL,
    database oid NOT NULL
); -- not dumped: see above
CREATE UNIQUE INDEX installation_one_row ON txpipe.installation ((true));
REVOKE ALL ON txpipe.installation FROM PUBLIC;
COMMENT ON TABLE txpipe.installation IS 'Identity of this installation: one row';
COMMENT ON COLUMN txpipe.installation.token IS 'Drawn when the extension is created, or a copy is noticed';
COMMENT ON COLUMN txpipe.installation.database IS 'OID of the database the token was drawn in';
INSERT INTO txpipe.installation
    SELECT pg_catalog.gen_random_uuid(), d.oid FROM pg_catalog.pg_database d
     WHERE d.datname = pg_catalog.current_database();
