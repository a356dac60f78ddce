-- 41_stream_logs.sql: what happened, as people read it; shown as streams are.

CREATE VIEW txpipe.stream_event WITH (security_barrier) AS
    SELECT e.stream_event_id, s.stream, e.happened_at, e.event, e.message, e.topic, e.partition,
           e.from_offset, e.to_offset
      FROM txpipe.stream_event_store e
      JOIN txpipe.stream s USING (stream_id)
     WHERE txpipe.may_read(s.target_schema, s.target_table)
        OR txpipe.is_owner(s.owner_oid, s.owner_name);
GRANT SELECT ON txpipe.stream_event TO PUBLIC;
COMMENT ON VIEW txpipe.stream_event IS
    'What happened to the streams whose target you may read: errors, changes, lost offsets, new fields';
COMMENT ON COLUMN txpipe.stream_event.stream_event_id IS 'Number of the event';
COMMENT ON COLUMN txpipe.stream_event.stream IS 'Name of the stream';
COMMENT ON COLUMN txpipe.stream_event.happened_at IS 'When it happened';
COMMENT ON COLUMN txpipe.stream_event.event IS
    'error, recovered, paused, resumed, altered, sought, released, adopted, new_partition, new_field, lost_offset, recreated, unverifiable or copied';
COMMENT ON COLUMN txpipe.stream_event.message IS 'What happened, as a sentence';
COMMENT ON COLUMN txpipe.stream_event.topic IS 'Topic concerned, where it is one';
COMMENT ON COLUMN txpipe.stream_event.partition IS 'Partition concerned';
COMMENT ON COLUMN txpipe.stream_event.from_offset IS
    'First offset concerned: of a lost range, the first that was not read';
COMMENT ON COLUMN txpipe.stream_event.to_offset IS 'End of the range: the first offset after it';

CREATE VIEW txpipe.batch_history WITH (security_barrier) AS
    SELECT b.batch_id, s.stream, b.part, b.finished_at, b.batches, b.messages, b.rows, b.dead_letters,
           b.refused, b.bytes, b.gather_us, b.decode_us, b.wait_us, b.write_us, b.store_us, b.commit_us
      FROM txpipe.batch_history_store b
      JOIN txpipe.stream s USING (stream_id)
     WHERE txpipe.may_read(s.target_schema, s.target_table)
        OR txpipe.is_owner(s.owner_oid, s.owner_name);
GRANT SELECT ON txpipe.batch_history TO PUBLIC;
COMMENT ON VIEW txpipe.batch_history IS
    'Batches of the streams whose target you may read, with the time each stage took; small ones of a second share a row';
COMMENT ON COLUMN txpipe.batch_history.batch_id IS 'Number of the row, ascending';
COMMENT ON COLUMN txpipe.batch_history.stream IS 'Name of the stream';
COMMENT ON COLUMN txpipe.batch_history.part IS 'Part of the stream that read it, from 0; see the option workers';
COMMENT ON COLUMN txpipe.batch_history.finished_at IS 'When it, or the first of them, was written, right before its commit';
COMMENT ON COLUMN txpipe.batch_history.batches IS 'How many batches share the row; the other columns are their sums';
COMMENT ON COLUMN txpipe.batch_history.messages IS 'Messages in it';
COMMENT ON COLUMN txpipe.batch_history.rows IS 'Messages that became rows';
COMMENT ON COLUMN txpipe.batch_history.dead_letters IS 'Messages that became dead letters';
COMMENT ON COLUMN txpipe.batch_history.refused IS 'Dead letters that were decoded and then refused by PostgreSQL';
COMMENT ON COLUMN txpipe.batch_history.bytes IS 'Bytes of keys and values';
COMMENT ON COLUMN txpipe.batch_history.gather_us IS
    'Microseconds from its first message to its last, decoding included';
COMMENT ON COLUMN txpipe.batch_history.decode_us IS 'Microseconds spent decoding';
COMMENT ON COLUMN txpipe.batch_history.wait_us IS 'Microseconds from its last message until the worker took it up';
COMMENT ON COLUMN txpipe.batch_history.write_us IS
    'Microseconds for its rows: COPY or upsert, constraints, triggers';
COMMENT ON COLUMN txpipe.batch_history.store_us IS 'Microseconds for offsets, dead letters and fields';
COMMENT ON COLUMN txpipe.batch_history.commit_us IS
    'Microseconds the commit of the batch before took, of the same worker and stream; NULL: there was none';

CREATE VIEW txpipe.stream_field WITH (security_barrier) AS
    SELECT s.stream, f.path, f.json_types, f.occurrences, f.first_seen, f.last_seen, f.first_topic,
           f.first_partition, f.first_offset, f.last_topic, f.last_partition, f.last_offset
      FROM txpipe.stream_field_store f
      JOIN txpipe.stream s USING (stream_id)
     WHERE txpipe.may_read(s.target_schema, s.target_table)
        OR txpipe.is_owner(s.owner_oid, s.owner_name);
GRANT SELECT ON txpipe.stream_field TO PUBLIC;
COMMENT ON VIEW txpipe.stream_field IS
    'Every field ever seen in the messages of the streams whose target you may read';
COMMENT ON COLUMN txpipe.stream_field.stream IS 'Name of the stream';
COMMENT ON COLUMN txpipe.stream_field.path IS $$Path of the field, dotted; a dot in a name is written \.$$;
COMMENT ON COLUMN txpipe.stream_field.json_types IS
    'JSON types its values had: string, number, boolean, null, object, array';
COMMENT ON COLUMN txpipe.stream_field.occurrences IS 'Messages that had it';
COMMENT ON COLUMN txpipe.stream_field.first_seen IS 'When it was first seen';
COMMENT ON COLUMN txpipe.stream_field.last_seen IS 'When it was last seen';
COMMENT ON COLUMN txpipe.stream_field.first_topic IS 'Topic of the first message that had it';
COMMENT ON COLUMN txpipe.stream_field.first_partition IS 'Partition of that message';
COMMENT ON COLUMN txpipe.stream_field.first_offset IS 'Offset of that message';
COMMENT ON COLUMN txpipe.stream_field.last_topic IS 'Topic of the last message that had it';
COMMENT ON COLUMN txpipe.stream_field.last_partition IS 'Partition of that message';
COMMENT ON COLUMN txpipe.stream_field.last_offset IS 'Offset of that message';
