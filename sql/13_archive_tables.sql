-- 13_archive_tables.sql: rows of streams with the option archive, from their batch until they are in a file, and those files.
--
-- A row is kept as the texts of its columns: exact, readable, and of whatever shape the target had when it came.

CREATE TABLE txpipe.archive_shape (
    shape_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id integer NOT NULL,
    stream text NOT NULL,
    owner_oid oid NOT NULL,
    owner_name name NOT NULL,
    columns text[] NOT NULL,
    types text[] NOT NULL,
    encrypted text[],
    has_rows boolean NOT NULL,
    has_tombstones boolean NOT NULL
);
CREATE INDEX archive_shape_stream_id_idx ON txpipe.archive_shape (stream_id);
SELECT pg_catalog.pg_extension_config_dump('txpipe.archive_shape', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.archive_shape_shape_id_seq', '');
REVOKE ALL ON txpipe.archive_shape FROM PUBLIC;
COMMENT ON TABLE txpipe.archive_shape IS
    'Which columns rows have that are to be archived; a stream has a further shape when its columns change. It outlives the stream while there are rows';
COMMENT ON COLUMN txpipe.archive_shape.shape_id IS 'Number of the shape';
COMMENT ON COLUMN txpipe.archive_shape.stream_id IS 'Stream, which may have been dropped';
COMMENT ON COLUMN txpipe.archive_shape.stream IS 'Its name';
COMMENT ON COLUMN txpipe.archive_shape.owner_oid IS 'Its owner; while there is the stream, that one''s counts';
COMMENT ON COLUMN txpipe.archive_shape.owner_name IS 'Name of that role';
COMMENT ON COLUMN txpipe.archive_shape.columns IS 'Columns of the target that the stream fills, in the order of cells';
COMMENT ON COLUMN txpipe.archive_shape.types IS 'Their types in the file; text for what Parquet has no type for';
COMMENT ON COLUMN txpipe.archive_shape.encrypted IS 'Those that the mapping encrypts; NULL: none';
COMMENT ON COLUMN txpipe.archive_shape.has_rows IS 'Whether a message may have several rows (option rows)';
COMMENT ON COLUMN txpipe.archive_shape.has_tombstones IS 'Whether rows may be deletions (mode upsert_delete)';

-- No foreign key: it would be checked for each row. By its number only an erasure looks for a row, so that has no index.
CREATE TABLE txpipe.archive_row_store (
    archive_row_id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000),
    shape_id integer NOT NULL,
    hour timestamptz NOT NULL,
    kafka_topic text NOT NULL,
    kafka_partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    kafka_timestamp timestamptz,
    kafka_row integer,
    kafka_tombstone boolean,
    cells text[]
);
CREATE INDEX archive_row_store_hour_idx ON txpipe.archive_row_store (shape_id, hour);
SELECT pg_catalog.pg_extension_config_dump('txpipe.archive_row_store', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.archive_row_store_archive_row_id_seq', '');
REVOKE ALL ON txpipe.archive_row_store FROM PUBLIC;
COMMENT ON TABLE txpipe.archive_row_store IS
    'Rows of streams with the option archive, inserted with their batch and deleted with the commit of export_archive() that knows their file; read them in txpipe.archive_row';
COMMENT ON COLUMN txpipe.archive_row_store.archive_row_id IS 'Number of the row';
COMMENT ON COLUMN txpipe.archive_row_store.shape_id IS 'Stream and columns (txpipe.archive_shape)';
COMMENT ON COLUMN txpipe.archive_row_store.hour IS 'Hour in which it was inserted, of the server''s clock';
COMMENT ON COLUMN txpipe.archive_row_store.kafka_topic IS 'Topic of the message';
COMMENT ON COLUMN txpipe.archive_row_store.kafka_partition IS 'Partition of the message';
COMMENT ON COLUMN txpipe.archive_row_store.kafka_offset IS 'Offset of the message';
COMMENT ON COLUMN txpipe.archive_row_store.kafka_timestamp IS 'Timestamp of the message';
COMMENT ON COLUMN txpipe.archive_row_store.kafka_row IS 'Number of the row in its message, where it may have several; else NULL';
COMMENT ON COLUMN txpipe.archive_row_store.kafka_tombstone IS 'Whether the message deletes, in mode upsert_delete; else NULL';
COMMENT ON COLUMN txpipe.archive_row_store.cells IS 'The values as text, in the order of the shape''s columns; NULL: erased, and to be written without';

-- Streams may be dropped; what is known of files stays.
CREATE TABLE txpipe.archive_file_store (
    archive_file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id integer NOT NULL,
    stream text NOT NULL,
    owner_oid oid NOT NULL,
    owner_name name NOT NULL,
    hour timestamptz NOT NULL,
    directory text NOT NULL,
    file text NOT NULL,
    rows bigint NOT NULL,
    bytes bigint NOT NULL,
    sha256 text NOT NULL,
    offsets jsonb NOT NULL,
    exported_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (directory, file)
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.archive_file_store', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.archive_file_store_archive_file_id_seq', '');
REVOKE ALL ON txpipe.archive_file_store FROM PUBLIC;
COMMENT ON TABLE txpipe.archive_file_store IS 'Files that export_archive() has written; read it in txpipe.archive_file';
COMMENT ON COLUMN txpipe.archive_file_store.archive_file_id IS 'Number of the file';
COMMENT ON COLUMN txpipe.archive_file_store.stream_id IS 'Stream, which may have been dropped';
COMMENT ON COLUMN txpipe.archive_file_store.stream IS 'Its name';
COMMENT ON COLUMN txpipe.archive_file_store.owner_oid IS 'Its owner';
COMMENT ON COLUMN txpipe.archive_file_store.owner_name IS 'Name of that role';
COMMENT ON COLUMN txpipe.archive_file_store.hour IS 'Hour whose rows it has, as they were inserted';
COMMENT ON COLUMN txpipe.archive_file_store.directory IS 'Where it is, below txpipe.export_directory';
COMMENT ON COLUMN txpipe.archive_file_store.file IS 'Its name there';
COMMENT ON COLUMN txpipe.archive_file_store.rows IS 'Rows in it';
COMMENT ON COLUMN txpipe.archive_file_store.bytes IS 'Its size';
COMMENT ON COLUMN txpipe.archive_file_store.sha256 IS 'SHA-256 of its bytes, hexadecimal';
COMMENT ON COLUMN txpipe.archive_file_store.offsets IS
    'First and last offset by topic and partition, {"topic": {"0": [first, last]}}, of all files that were written with it';
COMMENT ON COLUMN txpipe.archive_file_store.exported_at IS 'When the transaction began that wrote it';
