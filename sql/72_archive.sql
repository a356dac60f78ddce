-- 72_archive.sql: archives of streams, hour by hour, as Parquet files below txpipe.export_directory.

-- Names that directories and the message's own data have; a column of such a name has underscores behind it.
CREATE FUNCTION txpipe.archive_name(name text, columns text[])
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT CASE WHEN lower(name) IN ('stream', 'date', 'hour', 'kafka_topic', 'kafka_partition', 'kafka_offset', 'kafka_timestamp', 'kafka_row', 'kafka_tombstone')
                THEN (SELECT name || repeat('_', min(n)) FROM generate_series(1, cardinality(columns) + 1) AS n WHERE name || repeat('_', n) <> ALL (columns))
                ELSE name END
$body$;
COMMENT ON FUNCTION txpipe.archive_name(text, text[]) IS 'Part of export_archive(): what a column of the target is called in the file';

-- What Parquet has no value for becomes NULL: one such row would keep its hour out of the archive.
CREATE FUNCTION txpipe.archive_query(shape_id integer, hour timestamptz)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT format('SELECT r.kafka_topic, r.kafka_partition, r.kafka_offset, CASE WHEN r.kafka_timestamp > ''-infinity'' AND r.kafka_timestamp < ''294247-01-01'' THEN r.kafka_timestamp END AS kafka_timestamp%s%s%s FROM txpipe.archive_row_store r WHERE r.shape_id = %s AND r.hour = %L AND r.cells IS NOT NULL',
                  CASE WHEN a.has_rows THEN ', r.kafka_row' END, CASE WHEN a.has_tombstones THEN ', r.kafka_tombstone' END,
                  string_agg(format(CASE WHEN c.type = 'date' THEN ', nullif(nullif(r.cells[%1$s]::date, ''infinity''), ''-infinity'') AS %3$I'
                                         WHEN c.type LIKE 'timestamp%' THEN ', CASE WHEN r.cells[%1$s]::%2$s > ''-infinity'' AND r.cells[%1$s]::%2$s < ''294247-01-01'' THEN r.cells[%1$s]::%2$s END AS %3$I'
                                         WHEN c.type LIKE 'numeric%' THEN ', nullif(r.cells[%1$s]::%2$s, ''NaN'') AS %3$I'
                                         ELSE ', r.cells[%1$s]::%2$s AS %3$I' END, c.n, c.type, txpipe.archive_name(c.name, a.columns)), '' ORDER BY c.n),
                  a.shape_id, archive_query.hour)
      FROM txpipe.archive_shape a LEFT JOIN unnest(a.columns, a.types) WITH ORDINALITY AS c (name, type, n) ON true
     WHERE a.shape_id = archive_query.shape_id
     GROUP BY a.shape_id
$body$;
COMMENT ON FUNCTION txpipe.archive_query(integer, timestamptz) IS 'Part of export_archive(): the rows of an hour that have these columns, with the types of the file';

CREATE FUNCTION txpipe.export_archive(stream text DEFAULT NULL)
RETURNS SETOF text
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_export_archive';
COMMENT ON FUNCTION txpipe.export_archive(text) IS
'Writes the rows of streams with the option archive as Parquet files below txpipe.export_directory: those that were inserted in an hour of UTC, by the
server''s clock, into raw/stream=…/date=YYYY-MM-DD/hour=HH/, sorted by topic, partition and offset. An hour is written when it is over and every
transaction that inserted in it has ended; others, and what is more than 1,000 hours, wait for the next call. In one transaction its rows leave txpipe.archive_row and its
files enter txpipe.archive_file; a call that ends in between, by a crash or ROLLBACK, is repeated by the next one with the same files. An hour that cannot be written is a WARNING, and waits; where none could be written its error is that of the call. stream: only
that one''s hours; NULL: of all streams whose owner the caller is or has the rights of. Result: the paths of the manifests of the hours written. Types that Parquet has not are
text, infinite times and NaN of numeric NULL; a column whose name directories or the message''s own data have gets an underscore. Errors: those of txpipe.export_parquet; 42704 no such
stream, 42501 for others, 25001 for another isolation than READ COMMITTED, 40001 when rows were erased meanwhile, 55000 where another database archives into the directory.';
