-- 40_stream_status.sql: what people read. A stream is shown to those who may SELECT from its target, its
-- dead letters, which hold whole messages, to members of its owner.

CREATE FUNCTION txpipe.is_owner(owner oid, owner_name name) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_is_owner';
COMMENT ON FUNCTION txpipe.is_owner(oid, name) IS
    'Part of views: whether the caller may do what this role may: where its OID has the name, as it need not after a restore';

CREATE FUNCTION txpipe.may_read(table_schema name, table_name name) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_may_read';
COMMENT ON FUNCTION txpipe.may_read(name, name) IS 'Part of views: whether the caller may SELECT all rows of the table of that name';

CREATE VIEW txpipe.stream_status WITH (security_barrier) AS
    SELECT s.stream,
           CASE WHEN c.copied THEN 'paused' WHEN c.waits THEN 'waiting' ELSE s.state END AS state,
           CASE WHEN c.copied THEN 'copied'
                WHEN c.waits THEN h.guard
                WHEN s.reason IS NOT NULL OR s.state <> 'running' THEN s.reason
                WHEN w.workers = 0 THEN pg_catalog.concat_ws(': ', 'waiting for a worker', h.worker_shortage)
                WHEN w.workers < w.wanted AND h.worker_shortage IS NOT NULL
                THEN pg_catalog.format('%s of %s workers: %s', w.workers, w.wanted, h.worker_shortage)
           END AS reason,
           CASE WHEN c.waits AND NOT c.copied THEN h.guard_since ELSE s.since END AS since,
           w.workers,
           o.lag_messages,
           o.lag_seconds,
           coalesce(o.rows_total, 0) AS rows_total,
           coalesce(o.dead_letters_total, 0) AS dead_letters_total,
           s.restarts,
           s.last_error,
           s.last_error_at,
           coalesce(o.bytes_total, 0) AS bytes_total,
           d.open_dead_letters,
           r.rows_1::numeric(20,1) AS rows_per_second_1,
           r.rows_10::numeric(20,1) AS rows_per_second_10,
           r.bytes_1::numeric(20,1) AS bytes_per_second_1,
           r.bytes_10::numeric(20,1) AS bytes_per_second_10
      FROM txpipe.stream s
      CROSS JOIN txpipe.stream_hindrance() h
      CROSS JOIN LATERAL (
           SELECT txpipe.stream_workers(s.stream_id) AS workers,
                  coalesce((s.options ->> 'workers')::integer, 1) AS wanted) w
      -- What the first to serve or change it will find: see txpipe.installation.
      CROSS JOIN LATERAL (
           SELECT EXISTS (SELECT FROM txpipe.installation i
                           WHERE i.token <> s.home
                              OR i.database <> (SELECT d.oid FROM pg_catalog.pg_database d
                                                 WHERE d.datname = pg_catalog.current_database())) AS copied,
                  s.state = 'running' AND h.guard IS NOT NULL AS waits) c
      LEFT JOIN LATERAL (
           -- What was released is another server's to read.
           SELECT sum(CASE WHEN p.assignment = 'released' THEN 0 ELSE greatest(p.end_offset - p.next_offset, 0) END)::bigint
                      AS lag_messages,
                  -- Brokers and producers may be ahead of us.
                  greatest(extract(epoch FROM clock_timestamp() -
                      min(p.last_timestamp) FILTER (WHERE p.end_offset > p.next_offset
                                                            AND p.assignment IS DISTINCT FROM 'released')), 0)::numeric(20,3)
                      AS lag_seconds,
                  sum(p.rows_total)::bigint AS rows_total,
                  sum(p.dead_letters_total)::bigint AS dead_letters_total,
                  sum(p.bytes_total)::bigint AS bytes_total
             FROM txpipe.stream_offset p
            WHERE p.stream_id = s.stream_id) o ON true
      CROSS JOIN LATERAL (
           SELECT count(*) AS open_dead_letters FROM txpipe.dead_letter_store l
            WHERE l.stream_id = s.stream_id AND l.state = 'open') d
      CROSS JOIN LATERAL txpipe.stream_rates(s.stream_id) r
     WHERE txpipe.may_read(s.target_schema, s.target_table)
        OR txpipe.is_owner(s.owner_oid, s.owner_name);
GRANT SELECT ON txpipe.stream_status TO PUBLIC;
COMMENT ON VIEW txpipe.stream_status IS 'State, lag and totals of the streams whose target you may read';
COMMENT ON COLUMN txpipe.stream_status.stream IS 'Name of the stream';
COMMENT ON COLUMN txpipe.stream_status.state IS
    'running, paused, error, or waiting: for space on a disk or for standbys, it goes on by itself';
COMMENT ON COLUMN txpipe.stream_status.reason IS 'Why it is in this state';
COMMENT ON COLUMN txpipe.stream_status.since IS 'When it came into this state';
COMMENT ON COLUMN txpipe.stream_status.workers IS 'Workers that serve it now';
COMMENT ON COLUMN txpipe.stream_status.lag_messages IS 'Messages in the topic that are not yet in the table';
COMMENT ON COLUMN txpipe.stream_status.lag_seconds IS 'Age in seconds of the last message consumed, of the partition furthest behind; 0 without a lag';
COMMENT ON COLUMN txpipe.stream_status.rows_total IS 'Messages that became rows since the stream was created, including rows a BEFORE trigger dropped';
COMMENT ON COLUMN txpipe.stream_status.dead_letters_total IS 'Dead letters stored since the stream was created';
COMMENT ON COLUMN txpipe.stream_status.restarts IS 'How often it was opened again after an error';
COMMENT ON COLUMN txpipe.stream_status.last_error IS 'The last error: SQLSTATE and sentence';
COMMENT ON COLUMN txpipe.stream_status.last_error_at IS 'When that error happened';
COMMENT ON COLUMN txpipe.stream_status.bytes_total IS 'Bytes of keys and values read since the stream was created';
COMMENT ON COLUMN txpipe.stream_status.open_dead_letters IS 'Dead letters that are neither replayed nor dismissed';
COMMENT ON COLUMN txpipe.stream_status.rows_per_second_1 IS
    'Messages that became rows in the last full second; NULL: txpipe is not in shared_preload_libraries';
COMMENT ON COLUMN txpipe.stream_status.rows_per_second_10 IS 'The same a second, over the last ten';
COMMENT ON COLUMN txpipe.stream_status.bytes_per_second_1 IS 'Bytes of messages written in the last full second; NULL as above';
COMMENT ON COLUMN txpipe.stream_status.bytes_per_second_10 IS 'The same a second, over the last ten';

CREATE VIEW txpipe.stream_partition WITH (security_barrier) AS
    SELECT s.stream,
           o.topic,
           o.partition,
           o.next_offset,
           nullif(o.end_offset, -1) AS end_offset,
           CASE WHEN o.end_offset >= 0 AND o.assignment IS DISTINCT FROM 'released'
                THEN greatest(o.end_offset - o.next_offset, 0) END AS lag,
           o.rows_total,
           o.dead_letters_total,
           o.last_timestamp,
           o.updated_at,
           o.assignment
      FROM txpipe.stream_offset o
      JOIN txpipe.stream s USING (stream_id)
     WHERE txpipe.may_read(s.target_schema, s.target_table)
        OR txpipe.is_owner(s.owner_oid, s.owner_name);
GRANT SELECT ON txpipe.stream_partition TO PUBLIC;
COMMENT ON VIEW txpipe.stream_partition IS 'Position of streams in every partition';
COMMENT ON COLUMN txpipe.stream_partition.stream IS 'Name of the stream';
COMMENT ON COLUMN txpipe.stream_partition.topic IS 'Kafka topic';
COMMENT ON COLUMN txpipe.stream_partition.partition IS 'Kafka partition';
COMMENT ON COLUMN txpipe.stream_partition.next_offset IS 'First offset not yet consumed';
COMMENT ON COLUMN txpipe.stream_partition.end_offset IS 'End of the partition as last heard; NULL: not heard yet';
COMMENT ON COLUMN txpipe.stream_partition.lag IS 'Offsets between the two; NULL where the partition is released';
COMMENT ON COLUMN txpipe.stream_partition.rows_total IS 'Messages of the partition that became rows';
COMMENT ON COLUMN txpipe.stream_partition.dead_letters_total IS 'Dead letters of the partition';
COMMENT ON COLUMN txpipe.stream_partition.last_timestamp IS 'Kafka timestamp of the last message consumed';
COMMENT ON COLUMN txpipe.stream_partition.updated_at IS 'When the position last changed';
COMMENT ON COLUMN txpipe.stream_partition.assignment IS
    'released (another server may read it from next_offset), adopted, or NULL: the option partitions decides whether it is read';

CREATE VIEW txpipe.dead_letter WITH (security_barrier) AS
    SELECT d.dead_letter_id,
           s.stream,
           d.kafka_topic,
           d.kafka_partition,
           d.kafka_offset,
           d.kafka_timestamp,
           d.kafka_key,
           d.kafka_headers,
           d.payload,
           txpipe.utf8(d.payload) AS payload_text,
           d.code,
           d.message,
           d.column_name,
           d.state,
           d.stored_at,
           d.attempts,
           d.settled_at,
           d.payload_fixed,
           d.encrypted
      FROM txpipe.dead_letter_store d
      JOIN txpipe.stream s USING (stream_id)
     WHERE txpipe.is_owner(s.owner_oid, s.owner_name);
GRANT SELECT ON txpipe.dead_letter TO PUBLIC;
COMMENT ON VIEW txpipe.dead_letter IS 'Messages of your streams that could not become rows, with the reason';
COMMENT ON COLUMN txpipe.dead_letter.dead_letter_id IS 'Number of the dead letter';
COMMENT ON COLUMN txpipe.dead_letter.stream IS 'Name of the stream';
COMMENT ON COLUMN txpipe.dead_letter.kafka_topic IS 'Topic of the message';
COMMENT ON COLUMN txpipe.dead_letter.kafka_partition IS 'Partition of the message';
COMMENT ON COLUMN txpipe.dead_letter.kafka_offset IS 'Offset of the message';
COMMENT ON COLUMN txpipe.dead_letter.kafka_timestamp IS 'Timestamp of the message';
COMMENT ON COLUMN txpipe.dead_letter.kafka_key IS 'Key of the message, its bytes';
COMMENT ON COLUMN txpipe.dead_letter.kafka_headers IS 'Headers of the message';
COMMENT ON COLUMN txpipe.dead_letter.payload IS 'The message, its bytes unchanged; NULL: it had none';
COMMENT ON COLUMN txpipe.dead_letter.payload_text IS 'The same as text, where it is valid text';
COMMENT ON COLUMN txpipe.dead_letter.code IS 'Why: a code of the decoder, or the SQLSTATE PostgreSQL refused the row with';
COMMENT ON COLUMN txpipe.dead_letter.message IS 'Why, as a sentence';
COMMENT ON COLUMN txpipe.dead_letter.column_name IS 'Column at fault, where there is one';
COMMENT ON COLUMN txpipe.dead_letter.state IS 'open, replayed or dismissed';
COMMENT ON COLUMN txpipe.dead_letter.stored_at IS 'When it was stored';
COMMENT ON COLUMN txpipe.dead_letter.attempts IS 'How often it was replayed in vain';
COMMENT ON COLUMN txpipe.dead_letter.settled_at IS 'When it was replayed or dismissed';
COMMENT ON COLUMN txpipe.dead_letter.payload_fixed IS 'The message it was replayed with, where that was another; encrypted where the stream encrypted then';
COMMENT ON COLUMN txpipe.dead_letter.encrypted IS
    'The stream encrypts: kafka_key and payload are for txpipe.decrypt_bytes(), and so is kafka_headers, which is a string with the message in hexadecimal';

