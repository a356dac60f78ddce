-- 30_feed.sql: defining feeds, and loading what has arrived.
--
-- Whoever may create feeds may read every file of the landing directory: EXECUTE is granted on purpose.

CREATE FUNCTION txpipe.natural_key(key text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(
        CASE WHEN part[1] IS NULL THEN part[2]
             ELSE lpad(length(ltrim(part[1], '0'))::text, 4, '0') || ltrim(part[1], '0') END,
        '' ORDER BY position), '')
    FROM regexp_matches(key, '([0-9]+)|([^0-9]+)', 'g') WITH ORDINALITY AS m (part, position)
$$;
COMMENT ON FUNCTION txpipe.natural_key(text) IS
'Part of run_hourly(): sort key in which digits compare as numbers: group2 comes before group10. Every run of digits becomes its
length in four digits and the run without leading zeros. Compare keys with COLLATE "C"';

CREATE FUNCTION txpipe.create_feed(feed text, file_pattern text, target regclass DEFAULT NULL,
    format text DEFAULT 'csv', columns jsonb DEFAULT NULL, group_name text DEFAULT NULL,
    required boolean DEFAULT true, step text DEFAULT NULL, after_load text DEFAULT 'archive',
    options jsonb DEFAULT '{}')
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_create_feed';
COMMENT ON FUNCTION txpipe.create_feed(text, text, regclass, text, jsonb, text, boolean, text, text, jsonb) IS
'Defines a feed, owned by the caller. file_pattern: regular expression that matches the whole path of a file below
the landing directory; its first capture group is the group key. A file that several patterns match belongs to the
feed of the lowest ordinal. target: table that receives the rows. format: csv or json (one object a line), plain
or packed with gzip or zstd. columns: {"column": "field"} or {"column": {"path": field or [alternatives], "as": conversion, "default": text,
"required": true, "type": type when there is no target, with its schema unless that is pg_catalog}}; NULL: fields match the target''s columns by name.
group_name: feeds of one group name load together, in the order of the option ordinal (default: the feed''s own
name). required: a group is complete only with a file of this feed. step: SQL of a step named load, as in on_load().
after_load: archive (the file leaves the landing directory, its copy stays in the lake) or keep. options: header, fields, encoding, ragged,
delimiter, quote, null, ordinal, on_change, duplicates, max_attempts, group_timeout, every, batch_rows, batch_bytes and others,
as in txpipe.option.
Errors: 22023 a value is not usable, 2201B the pattern is no regular expression, 42501 no right to insert into the
target or the group is another role''s, 42703 a mapped column does not exist, 42710 the feed exists';

CREATE FUNCTION txpipe.alter_feed(feed text, columns jsonb DEFAULT NULL, options jsonb DEFAULT NULL,
    file_pattern text DEFAULT NULL, after_load text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_alter_feed';
COMMENT ON FUNCTION txpipe.alter_feed(text, jsonb, jsonb, text, text) IS
'Changes a feed, which keeps its ledger, steps and rules. NULL: as it was. columns replaces the mapping (JSON null: fields
match the target''s columns by name); options are merged into those there are (JSON null takes one away); file_pattern
and after_load as in create_feed(), which checks as much; rules that are on must fit the new columns. Holds for files
loaded from then on, and for what reload() and replay_rejected_rows() read again; files that have settled keep their
group. after_load archive also removes the landing files that are loaded and were kept. Waits for a load of the same
group name. Errors: 22023 nothing to change, or a value is not usable, 2201B the pattern is no regular expression,
42703 a mapped column does not exist, or a rule needs one that is gone, 42704 no such feed, 42501 not the owner, or he
may not insert into the target';

CREATE FUNCTION txpipe.drop_feed(feed text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_drop_feed';
COMMENT ON FUNCTION txpipe.drop_feed(text) IS
'Drops a feed with its steps, its ledger of files and its rejected rows. Its target and the files stay, in the landing
directory and in the lake. Waits for a load that is under way. Errors: 42704 no such feed, 42501 not the owner';

CREATE FUNCTION txpipe.on_load(feed text, step text, sql text, ordinal integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_on_load';
COMMENT ON FUNCTION txpipe.on_load(text, text, text, integer) IS
'Adds a step to a feed or replaces it; sql NULL removes it. A step is one SELECT, INSERT, UPDATE, DELETE or MERGE,
run for every batch of a file, as the feed''s owner with search_path pg_catalog: names need their schema. It sees the
batch as the relation "batch": the mapped columns, file_id bigint, line_no bigint, group_key text. Steps run in order
of ordinal (default: behind the others); what they leave goes to the target, where there is one. A step that returns
rows returns (line_no bigint, outcome text, code text, message text, column_name text): those lines leave the batch;
outcome is duplicate, filtered, superseded or rejected, and rejected lines are kept in txpipe.rejected_row; or it is
warning: then the line stays, and its code is counted in txpipe.file_rule. With a
sixth column file_id bigint that is not NULL the row is about a line that was accounted for before, of another loaded
file of the same owner or of an earlier batch of this one: outcome is what it is now, code what it was before (loaded,
duplicate, filtered or superseded), and the counts of its file move.
Constraints are checked at the end of every batch, deferred ones too.
Errors: 42601 syntax, 22023 not one query, 42704 no such feed, 42501 not the owner';

CREATE FUNCTION txpipe.on_file_end(feed text, step text, sql text, ordinal integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_on_file_end';
COMMENT ON FUNCTION txpipe.on_file_end(text, text, text, integer) IS
'Adds a step that runs once behind the last batch of a file, in the same transaction, or replaces it; sql NULL removes
it. A step as in on_load(), over the relation "loaded": file_id bigint, group_key text, job text: run_hourly,
or reload or replay_rejected_rows, where somebody waits for this one file. It has one row, and several when groups are loaded together (txpipe.groups_per_transaction): the step then runs once behind the last of them. It may return
rows about lines of other loaded files, as on_unload() says. It runs again when rejected rows of the file were replayed.
Errors: 42601 syntax, 22023 not one query, 42704 no such feed, 42501 not the owner';

CREATE FUNCTION txpipe.on_run_end(feed text, step text, sql text, ordinal integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_on_run_end';
COMMENT ON FUNCTION txpipe.on_run_end(text, text, text, integer) IS
'Adds a step that run_hourly() runs at its end, whatever it loaded, or replaces it; sql NULL removes it. For what must not hold up
a load: it runs in a transaction of its own, behind the commit of the last group. A step is one SELECT, INSERT, UPDATE, DELETE or
MERGE, run as the feed''s owner with search_path pg_catalog: names need their schema. Its rows are ignored. The steps of the feeds of
one group name are one transaction; when one fails, it is undone and a WARNING says so, and the run goes on. They wait for the next
run while another session loads that group name. Errors: 42601 syntax, 22023 not one query, 42704 no such feed, 42501 not the owner';

CREATE PROCEDURE txpipe.run_hourly(max_groups integer DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'txpipe_run_hourly';
COMMENT ON PROCEDURE txpipe.run_hourly(integer) IS
'Enters what has arrived in txpipe.landing_directory into the ledger and loads every group that is complete, or
whose group_timeout is over (at most max_groups of them; NULL: all), in natural order of the
group keys, of feeds whose owner the caller is a member of.
Commits group by group, or up to txpipe.groups_per_transaction small groups together; a group that fails is undone alone
and tried again after a minute and then less often, until it is poison, and the others go on.
Files younger than txpipe.settle_time are waited for, at most a minute. Inside a transaction block or a function all is
done in that transaction, with its deferred constraints as in unload(), and landing files are removed by the next run. Runs at the same time never load twice:
a group in another run''s hands comes last.
Errors: 55000 a directory is not set, 58P01 it does not exist, 42501 the server may not use it, 22023 bad argument';
