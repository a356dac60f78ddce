-- 34_rules.sql: cleaning rules of feeds, which one can list and change.

CREATE FUNCTION txpipe.set_rule(feed text, rule text, expression text, action text DEFAULT NULL,
    column_name text DEFAULT NULL, message text DEFAULT NULL, ordinal integer DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_set_rule';
COMMENT ON FUNCTION txpipe.set_rule(text, text, text, text, text, text, integer) IS
'Adds a rule to a feed or replaces it. expression: one SQL condition over the columns of "batch", as in on_load(); a row
for which it is true violates the rule, NULL does not. Subqueries may read tables, with their schema. It runs as the
feed''s owner, together with the feed''s other rules as one statement before its first step. action: reject (the line goes
to txpipe.rejected_row with the rule as its code; the first rule in order of ordinal counts), warn (it is loaded, and counted in
txpipe.file_rule) or off; NULL: as it was, reject for a new rule. Warnings are looked at in rows no rule rejects.
column_name: the column it is about. message: why a line is rejected; {expression} stands for a value of the row, {{ for a brace.
ordinal: NULL as it was, behind the others for a new rule. A row for which an expression raises an error is rejected with its SQLSTATE.
Errors: 42601 and 22023 not one condition, 42804 not boolean, 42703 no such column, 42704 no such feed, 42501 not the owner';

CREATE FUNCTION txpipe.set_rule_action(feed text, rule text, action text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_set_rule_action';
COMMENT ON FUNCTION txpipe.set_rule_action(text, text, text) IS
'Changes what a rule does to rows that violate it, from the next file on: reject, warn or off.
Errors: 22023 another action, 42704 no such feed or rule, 42501 not the owner';

CREATE FUNCTION txpipe.drop_rule(feed text, rule text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_drop_rule';
COMMENT ON FUNCTION txpipe.drop_rule(text, text) IS
'Removes a rule from a feed; what it counted stays in txpipe.file_rule. Errors: 42704 no such feed or rule, 42501 not the owner';

CREATE FUNCTION txpipe.rule_statement(feed text)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_rule_statement';
COMMENT ON FUNCTION txpipe.rule_statement(text) IS
'The statement that the rules of a feed make together, as it is run over "batch" before the feed''s first step; NULL when
no rule is on. Errors: 42704 no such feed, 42501 not the owner';

CREATE FUNCTION txpipe.validate_file(path text)
RETURNS TABLE (line_no bigint, outcome text, code text, column_name text, message text, line text)
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_validate_file';
COMMENT ON FUNCTION txpipe.validate_file(text) IS
'Loads a file of the landing directory (path: below it) as run_hourly would, as the owner of its feed, and undoes all of it:
rules, steps, constraints and triggers have their say, and only sequences move on. Returns the lines that would not be loaded,
at most 1000; bytes of a line that are not valid text are escaped as in bytea''s escape format. A NOTICE has the totals and what each
rule met. Waits for a load of the same group that is under way. What the caller''s transaction has deferred is checked before
the file, and stays deferred. Errors: 58P01 no such file, 42704 no feed takes it, 55006 called by a step, 55000 behind
clean_lake() in one transaction, 23503 and the like where the caller could not commit; and what would make the group fail';

