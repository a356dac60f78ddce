-- 41_archive_status.sql: what of streams is in archives, and what is still to come; shown to the owners of the rows.

-- From one hour to the next by the index, however many rows there are. An hour to come is of a clock that was ahead: who still inserts in it has its lock.
CREATE VIEW txpipe.archive_due WITH (security_barrier) AS
    WITH RECURSIVE due AS (
        SELECT a.shape_id, (SELECT min(r.hour) FROM txpipe.archive_row_store r WHERE r.shape_id = a.shape_id) AS hour
          FROM txpipe.archive_shape a
        UNION ALL
        SELECT d.shape_id, (SELECT min(r.hour) FROM txpipe.archive_row_store r WHERE r.shape_id = d.shape_id AND r.hour > d.hour)
          FROM due d WHERE d.hour IS NOT NULL
    )
    SELECT DISTINCT a.stream_id, a.stream, coalesce(s.owner_oid, a.owner_oid) AS owner_oid, coalesce(s.owner_name, a.owner_name) AS owner_name,
           d.hour, d.hour NOT BETWEEN clock_timestamp() - interval '1 hour' AND clock_timestamp() AS is_over
      FROM due d
      JOIN txpipe.archive_shape a USING (shape_id)
      LEFT JOIN txpipe.stream s USING (stream_id)
     WHERE d.hour IS NOT NULL;
REVOKE ALL ON txpipe.archive_due FROM PUBLIC;
COMMENT ON VIEW txpipe.archive_due IS 'Part of export_archive() and the view archive_hour: hours of all streams that have rows to be archived';
COMMENT ON COLUMN txpipe.archive_due.stream_id IS 'Stream, which may have been dropped';
COMMENT ON COLUMN txpipe.archive_due.stream IS 'Its name';
COMMENT ON COLUMN txpipe.archive_due.owner_oid IS 'Its owner';
COMMENT ON COLUMN txpipe.archive_due.owner_name IS 'Name of that role';
COMMENT ON COLUMN txpipe.archive_due.hour IS 'Hour in which the rows were inserted';
COMMENT ON COLUMN txpipe.archive_due.is_over IS 'Whether it is over';

CREATE VIEW txpipe.archive_hour WITH (security_barrier) AS
    SELECT d.stream, d.hour, d.is_over FROM txpipe.archive_due d WHERE txpipe.is_owner(d.owner_oid, d.owner_name);
GRANT SELECT ON txpipe.archive_hour TO PUBLIC;
COMMENT ON VIEW txpipe.archive_hour IS 'Hours of your streams whose rows export_archive() is still to write';
COMMENT ON COLUMN txpipe.archive_hour.stream IS 'Name of the stream, which may have been dropped';
COMMENT ON COLUMN txpipe.archive_hour.hour IS 'Hour in which the rows were inserted';
COMMENT ON COLUMN txpipe.archive_hour.is_over IS 'Whether it is over: the next export_archive() writes it, unless a transaction that inserted in it is still open';

CREATE VIEW txpipe.archive_row WITH (security_barrier) AS
    SELECT r.archive_row_id, a.stream, r.hour, r.kafka_topic, r.kafka_partition, r.kafka_offset, r.kafka_timestamp, r.kafka_row, r.kafka_tombstone,
           a.columns, a.types, a.encrypted, r.cells
      FROM txpipe.archive_shape a
      LEFT JOIN txpipe.stream s USING (stream_id)
      JOIN txpipe.archive_row_store r USING (shape_id)
     WHERE r.cells IS NOT NULL AND txpipe.is_owner(coalesce(s.owner_oid, a.owner_oid), coalesce(s.owner_name, a.owner_name));
GRANT SELECT ON txpipe.archive_row TO PUBLIC;
COMMENT ON VIEW txpipe.archive_row IS 'Rows of your streams that are in no file of their archive yet';
COMMENT ON COLUMN txpipe.archive_row.archive_row_id IS 'Number of the row';
COMMENT ON COLUMN txpipe.archive_row.stream IS 'Name of the stream, which may have been dropped';
COMMENT ON COLUMN txpipe.archive_row.hour IS 'Hour in which it was inserted';
COMMENT ON COLUMN txpipe.archive_row.kafka_topic IS 'Topic of the message';
COMMENT ON COLUMN txpipe.archive_row.kafka_partition IS 'Partition of the message';
COMMENT ON COLUMN txpipe.archive_row.kafka_offset IS 'Offset of the message';
COMMENT ON COLUMN txpipe.archive_row.kafka_timestamp IS 'Timestamp of the message';
COMMENT ON COLUMN txpipe.archive_row.kafka_row IS 'Number of the row in its message, where it may have several; else NULL';
COMMENT ON COLUMN txpipe.archive_row.kafka_tombstone IS 'Whether the message deletes, in mode upsert_delete; else NULL';
COMMENT ON COLUMN txpipe.archive_row.columns IS 'Columns of the target that the stream filled';
COMMENT ON COLUMN txpipe.archive_row.types IS 'Their types in the file';
COMMENT ON COLUMN txpipe.archive_row.encrypted IS 'Those that the mapping encrypted; NULL: none';
COMMENT ON COLUMN txpipe.archive_row.cells IS 'Their values as text';

CREATE VIEW txpipe.archive_file WITH (security_barrier) AS
    SELECT f.archive_file_id, f.stream, f.hour, f.directory || '/' || f.file AS path, f.rows, f.bytes, f.sha256, f.offsets, f.exported_at
      FROM txpipe.archive_file_store f
      LEFT JOIN txpipe.stream s USING (stream_id)
     WHERE txpipe.is_owner(coalesce(s.owner_oid, f.owner_oid), coalesce(s.owner_name, f.owner_name));
GRANT SELECT ON txpipe.archive_file TO PUBLIC;
COMMENT ON VIEW txpipe.archive_file IS 'Files of the archives of your streams; whether somebody has removed them since is not known';
COMMENT ON COLUMN txpipe.archive_file.archive_file_id IS 'Number of the file';
COMMENT ON COLUMN txpipe.archive_file.stream IS 'Name of the stream, which may have been dropped';
COMMENT ON COLUMN txpipe.archive_file.hour IS 'Hour whose rows it has, as they were inserted';
COMMENT ON COLUMN txpipe.archive_file.path IS 'Its path below txpipe.export_directory';
COMMENT ON COLUMN txpipe.archive_file.rows IS 'Rows in it';
COMMENT ON COLUMN txpipe.archive_file.bytes IS 'Its size';
COMMENT ON COLUMN txpipe.archive_file.sha256 IS 'SHA-256 of its bytes, hexadecimal';
COMMENT ON COLUMN txpipe.archive_file.offsets IS
    'First and last offset by topic and partition, {"topic": {"0": [first, last]}}, of all files that were written with it';
COMMENT ON COLUMN txpipe.archive_file.exported_at IS 'When the transaction began that wrote it';
