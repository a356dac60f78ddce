-- 32_unload.sql: taking loaded files back, loading them again, and using rejected rows after all.

CREATE FUNCTION txpipe.on_unload(feed text, step text, sql text, ordinal integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_on_unload';
COMMENT ON FUNCTION txpipe.on_unload(text, text, text, integer) IS
'Adds a step that takes a loaded file of the feed back, or replaces it; sql NULL removes it. A step is one SELECT,
INSERT, UPDATE, DELETE or MERGE, run once for a file that is unloaded, as the feed''s owner with search_path pg_catalog:
names need their schema. It sees the one-row relation "unloaded": file_id bigint, group_key text, job text (unload, reload
or run_hourly: another file takes its place). Steps run in order of
ordinal (default: behind the others). A step that returns rows returns (line_no bigint, outcome text, code text,
message text, column_name text, file_id bigint): lines of other loaded files of the same owner that are something else
now; outcome is what (loaded, duplicate, filtered or superseded), code what they were before. A feed with a target and
without such steps has the file''s rows deleted, by the target''s column file_id.
Errors: 42601 syntax, 22023 not one query, 42704 no such feed, 42501 not the owner';

CREATE FUNCTION txpipe.unload(file_id bigint)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_unload';
COMMENT ON FUNCTION txpipe.unload(bigint) IS
'Takes a loaded file back, in the present transaction: by the steps of on_unload(), else by deleting the rows with its
file_id from the feed''s target. Its rejected rows are deleted, its state is unloaded; its copy stays in the lake, and it
is not loaded again before reload(). The first of its duplicates, in the order of groups, is loaded in its place. Waits
for a load of the same group name. Constraints and triggers that the transaction has deferred are fired first, and from
then on its constraints are immediate, as after SET CONSTRAINTS ALL IMMEDIATE. Only for the owner of the feed.
Errors: 42704 no such file, 42501 another role''s, 55000 it is not loaded, or its feed has no way to take files back,
or clean_lake() was called in this transaction, 55006 called from a step';

CREATE FUNCTION txpipe.reload(file_id bigint)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_reload';
COMMENT ON FUNCTION txpipe.reload(bigint) IS
'Loads a file again from its copy in the lake, or from the landing directory when there is none, in the present
transaction; if it is loaded it is taken back first, as unload() does. Loads unloaded, failed, poison and rejected files,
too, and a changed one in the place of the loaded file of its name. A file whose content another file has loaded
meanwhile takes its place when it comes first in the order of groups, else it becomes its duplicate. A rejected file
that is over the limits again stays rejected; for others that is an error, and nothing changes. Deferred constraints of the
transaction as in unload(). Only for the owner of the feed.
Errors: 42704 no such file, 42501 another role''s, 55000 its state does not allow it, or clean_lake() was called in this
transaction, 58P01 it is in neither directory, 22000 it is over the reject limits now, 55006 called from a step, and whatever loading it raises';

CREATE FUNCTION txpipe.replay_rejected_rows(file_id bigint, line_nos bigint[] DEFAULT NULL, line text DEFAULT NULL,
    OUT replayed bigint, OUT failed bigint, OUT left_open bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_replay_rejected_rows';
COMMENT ON FUNCTION txpipe.replay_rejected_rows(bigint, bigint[], text) IS
'Reads open rejected rows of a loaded file again, from its copy in the lake, with the feed''s present mapping, rules and
steps, and loads them as the other rows of the file were, in the present transaction. line_nos: which; NULL: all. line: a
mended record for the one line in line_nos; it is kept beside the original. replayed: rows that are not rejected any
more; failed: those that are, with their reason updated unless a line was given; left_open: all open rows of the file.
The counts of the file move, what txpipe.file_rule counts is of the load. Each row is replayed once; reload() forgets
it. Deferred constraints of the transaction as in unload(). Only for the owner of the feed.
Errors: 42704 no such file, 42501 another role''s, 55000 it is not loaded, or clean_lake() was called in this transaction, 58P01 it is not in the lake any more, 22023 a
line without the number of one row, 55006 called from a step';

CREATE FUNCTION txpipe.dismiss_rejected_rows(file_id bigint, line_nos bigint[] DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_dismiss_rejected_rows';
COMMENT ON FUNCTION txpipe.dismiss_rejected_rows(bigint, bigint[]) IS
'Gives open rejected rows of a file up: they stay in txpipe.rejected_row, and are never replayed. line_nos: which; NULL:
all. Result: how many. Only for the owner of the feed. Errors: 42704 no such file, 42501 another role''s';
