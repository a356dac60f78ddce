-- 32_unload.sql: taking loaded files back, loading them again, and using rejected rows after all.

CREATE FUNCTION txpipe.on_unload(feed text, step text, sql text, ordinal integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_on_unload';
COMMENT ON FUNCTION txpipe.on_unload(text, text, text, integer) IS
'Adds a step that takes a loaded file of the feed back, or replaces it; sql NULL removes it. A step is one SELECT,
INSERT, UPDATE, DELETE or MERGE, run once for a file that is unloaded, as the feed''s owner with search_path pg_catalog:
names need their schema. It sees the one-row relation "unloaded": file_id bigint, group_key text. Steps run in order of
ordinal (default: behind the others). A step that returns rows returns (line_no bigint, outcome text, code text,
message text, column_name text, file_id bigint): lines of other loaded files of the same owner that are something else
now; outcome is what (loaded, duplicate, filtered or superseded), code what they were before. A feed with a target and
without such steps has the file''s rows deleted, by the target''s column file_id.
Errors: 42601 syntax, 22023 not one query, 42704 no such feed, 42501 not the owner';
