-- 33_lake.sql: how long the lake keeps its copies.

CREATE FUNCTION txpipe.clean_lake(older_than interval)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_clean_lake';
COMMENT ON FUNCTION txpipe.clean_lake(interval) IS
'Removes the copies in the lake of files that were loaded longer ago, of feeds whose owner the caller is a member of,
and returns how many copies go. Their rows, and those of their duplicates, then have no lake_path and say so in their
reason: such a file can be loaded again only when it is delivered again. A copy that a younger file shares stays. The
copies go when the transaction commits, and with them folders that are empty then; a crash in that moment may leave some
that no row names. Until the commit files cannot be loaded in this transaction (55000). Waits for loads of these feeds. Errors: 22023 older_than is NULL or negative, 55000 a directory is not set';
