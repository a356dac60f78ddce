# Code that somebody plants where statements of another find objects by name: tables of windows, of steps and rules that were
# dropped, overloads that fit better, policies, casts and types. A sequence tells that it ran: ROLLBACK does not take it back.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $broker = start_broker(map { "$_:1" } qw(windows steps calls rules views casts));
my $node   = files_node('planted');

kafka_server($node, 'shop', $broker);
sql(<<'SQL');
CREATE ROLE clerk; CREATE ROLE mallory; CREATE ROLE helper; CREATE SCHEMA clerk AUTHORIZATION clerk;
GRANT CREATE, USAGE ON SCHEMA public TO clerk, mallory, helper;
GRANT USAGE ON SCHEMA txpipe TO clerk;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO clerk;
REVOKE EXECUTE ON FUNCTION txpipe.operate() FROM clerk;
GRANT USAGE ON FOREIGN SERVER shop TO clerk;
CREATE SEQUENCE public.loot; GRANT ALL ON SEQUENCE public.loot TO PUBLIC;
SET ROLE mallory;
CREATE FUNCTION public.plunder() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('public.loot'); RETURN coalesce(NEW, OLD); END$$;
SQL

# Makes a table and a stream of the topic's name, owned by clerk, and reads one message into it.
sub stream_runs
{
	my ($name, @then) = @_;

	sql("SET ROLE clerk; CREATE TABLE clerk.$name (id bigint, name text, at timestamptz)");
	sql("SET ROLE clerk; SELECT txpipe.create_stream('$name', 'shop', '$name', 'clerk.$name', paused => true); "
		  . join('; ', @then) . "; SELECT txpipe.resume_stream('$name')");
	produce_lines($broker, $name, 0, '{"id": 1, "name": "Ada", "at": "2026-01-01T00:00:00Z"}');
	wait_for_offset($node, $name, 1);
	return;
}

# The next message is not written, with this reason, and nothing of mallory's has run.
sub refuses
{
	my ($name, $reason, $what) = @_;

	produce_lines($broker, $name, 0, '{"id": 2, "name": "Alan", "at": "2026-01-01T00:10:00Z"}');
	wait_for($node, "SELECT concat(reason, last_error) ~ '$reason' FROM txpipe.stream_status WHERE stream = '$name'", $what);
	is(sql('SELECT is_called FROM loot'), 'f', "$what: nothing planted has run");
	is(sql("SELECT count(*) FROM clerk.$name"), '1', '... and nothing was written');
	return;
}

# What was in the way is gone: the stream goes on.
sub goes_on
{
	my ($name) = @_;

	sql("SET ROLE clerk; SELECT txpipe.resume_stream('$name')");
	wait_for_offset($node, $name, 2);
	is(sql("SELECT count(*) FROM clerk.$name"), '2', "$name goes on");
	return;
}


# --- tables of a window ---

stream_runs('windows', q{SELECT txpipe.create_window('win', 'windows', 'at', '1 hour', target_schema => 'public', emit => 'table')});
is(sql('SELECT sum(events) FROM public.win'), '1', 'a window in a schema where others may create');
my $columns = sql(q{SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) FROM pg_attribute
	WHERE attrelid = 'public.win'::regclass AND attnum > 0});
sql('SET ROLE clerk; DROP TABLE public.win');
sql(qq{SET ROLE mallory; CREATE TABLE public.win ($columns, UNIQUE (window_start)); GRANT ALL ON win TO clerk;
	CREATE TRIGGER a BEFORE INSERT OR DELETE ON win EXECUTE FUNCTION plunder(); CREATE TRIGGER b BEFORE INSERT OR DELETE OR UPDATE ON win FOR EACH ROW EXECUTE FUNCTION plunder()});
refuses('windows', 'table public.win belongs to "mallory"', 'a table put in the place of a window');
like(error_of($node, qq{SET ROLE clerk; SELECT $_})->{message}, qr/table public\.win belongs to "mallory"/, "refused: $_")
  foreach q{txpipe.rebuild_window('win')};
is(sql(q{SET ROLE clerk; SELECT count(*) FROM txpipe.check_window('win') WHERE kept IS NOT NULL}), '0', 'check_window() reads it and runs nothing');
sql(q{SET ROLE mallory; ALTER TABLE win ENABLE ROW LEVEL SECURITY;
	CREATE FUNCTION public.peeps() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('public.loot'); RETURN true; END$$;
	CREATE POLICY p ON win USING (public.peeps())});
like(error_of($node, q{SET ROLE clerk; SELECT * FROM txpipe.check_window('win')})->{message}, qr/would be affected by row-level security policy for table "win"/, '... nor its policy');
sql(q{SET ROLE clerk; SELECT * FROM txpipe."window"; SELECT length(txpipe.dashboard())});
sql(q{SET client_min_messages = error; SELECT length(txpipe.dashboard()); SELECT * FROM txpipe."window"});
my $report = sql(q{SET ROLE clerk; CALL txpipe.erase_subject('{"window_start": "2026-01-01 00:00:00+00"}', dry_run => false)});
like($report, qr/"place": "public.win", "action": "not searched: it belongs to another role/, 'erase_subject() leaves it alone');
is(sql('SELECT is_called FROM loot'), 'f', 'nothing of it has run');
sql(q{SET ROLE clerk; SELECT txpipe.drop_window('win', drop_tables => true)});
is(sql(q{SELECT count(*) FROM pg_class WHERE relname ~ '^win_' AND relkind = 'r'}), '0', 'drop_window() drops its own tables');
is(sql(q{SELECT relowner::regrole FROM pg_class WHERE relname = 'win'}), 'mallory', '... and not what is no longer his');
goes_on('windows');

# --- what a step writes to, and what it calls ---

sql('SET ROLE clerk; CREATE TABLE public.noted (id bigint)');
stream_runs('steps', q{SELECT txpipe.on_batch('steps', 'note', 'INSERT INTO public.noted SELECT id FROM batch')});
sql('SET ROLE clerk; DROP TABLE public.noted');
sql(q{SET ROLE mallory; CREATE TABLE public.noted (id bigint); GRANT ALL ON noted TO clerk; CREATE TRIGGER a BEFORE INSERT ON noted EXECUTE FUNCTION plunder()});
refuses('steps', 'table public.noted belongs to "mallory"', 'a table put in the place of one a step writes to');
my $error = error_of($node, q{SET ROLE clerk; SELECT txpipe.on_batch('steps', 'again', 'INSERT INTO public.noted SELECT id FROM batch')});
is($error->{state}, '42501', 'a new step is refused at once');
like($error->{hint}, qr/trusted_roles/, '... with what to do');
sql('SET ROLE mallory; DROP TABLE public.noted');
sql('SET ROLE clerk; CREATE TABLE public.noted (id bigint)');
goes_on('steps');

sql(q{SET ROLE clerk; CREATE FUNCTION public.keep(anyelement) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'});
stream_runs('calls', q{SELECT txpipe.on_batch('calls', 'call', 'SELECT public.keep(name), public.keep(''constant''::text) FROM batch')});
sql(q{SET ROLE mallory; CREATE FUNCTION public.keep(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM nextval('public.loot'); RETURN true; END$$});
is(error_of($node, q{SET ROLE clerk; SELECT txpipe.alter_stream('calls', options => '{"batch_rows": 100}')})->{state}, '42501', 'an overload is found when the stream is altered');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'});     # plans are made anew
refuses('calls', 'function public.keep\(pg_catalog.text\) belongs to "mallory"', 'an overload that fits better');
sql(q{SET ROLE mallory; DROP FUNCTION public.keep(text)});
goes_on('calls');

# --- what a rule reads ---

sql(q{SET ROLE clerk; CREATE TABLE public.watched (name text)});
stream_runs('rules', q{SELECT txpipe.create_rule('watch', 'rules', 'SELECT b.name AS subject FROM batch b JOIN public.watched USING (name)')});
sql('SET ROLE clerk; DROP TABLE public.watched');
sql(q{SET ROLE mallory; CREATE FUNCTION public.spy() RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('public.loot'); RETURN ''; END$$;
	CREATE VIEW public.watched AS SELECT public.spy() AS name; GRANT SELECT ON watched TO clerk});
refuses('rules', 'function public.spy\(\) belongs to "mallory"', 'a view put in the place of a table that a rule reads');
like(error_of($node, q{SET ROLE clerk; SELECT * FROM txpipe.test_rule('rules', 'SELECT b.name AS subject FROM batch b JOIN public.watched USING (name)')})->{message},
	qr/function public\.spy\(\) belongs/, 'test_rule() refuses it, too');
sql('SET ROLE mallory; DROP VIEW public.watched; CREATE TABLE public.watched (name text); GRANT SELECT ON watched TO clerk');
goes_on('rules');     # a plain table of another may be read

# --- implicit casts and domains, which no schema hides ---

sql(q{SET ROLE clerk; CREATE TABLE public.listed (name text)});
stream_runs('casts', q{SELECT txpipe.on_batch('casts', 'cast', 'SELECT count(*) FROM batch b JOIN public.listed l ON b.name = l.name')});
sql('SET ROLE clerk; DROP TABLE public.listed');
sql(q{SET ROLE mallory; CREATE TYPE public.trap AS (x text);
	CREATE FUNCTION public.spring(trap) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('public.loot'); RETURN ''; END$$;
	CREATE CAST (trap AS text) WITH FUNCTION spring(trap) AS IMPLICIT;
	CREATE TABLE public.listed (name trap); INSERT INTO listed VALUES (ROW('x')); GRANT SELECT ON listed TO clerk});
refuses('casts', 'function public.spring\(public.trap\) belongs to "mallory"', 'an implicit cast of a type that another made');
sql('SET ROLE mallory; DROP TABLE public.listed; CREATE TABLE public.listed (name text); GRANT SELECT ON listed TO clerk');
goes_on('casts');

sql(q{SET ROLE mallory; CREATE FUNCTION public.snoop(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM nextval('public.loot'); RETURN true; END$$;
	CREATE DOMAIN public.price AS text CHECK (public.snoop(VALUE)); CREATE TABLE public.priced (p public.price); GRANT SELECT ON priced TO clerk});
like(error_of($node, qq{SET ROLE clerk; SELECT txpipe.on_batch('casts', 'typed', \$\$$_->[0]\$\$)})->{message}, qr/type public\.priced? belongs to "mallory"/, "refused: $_->[1]")
  foreach [q{SELECT count(*) FROM batch b, jsonb_to_recordset('[{"a": "1"}]') AS x(a public.price)}, 'a type of a column definition list'],
  [q{SELECT count(*) FROM batch b, ROWS FROM (jsonb_to_recordset('[{"a": "1"}]') AS (a public.price[])) x}, 'an array of it'],
  [q{SELECT count(*) FROM batch b, XMLTABLE('/r' PASSING xml '<r>1</r>' COLUMNS a public.price PATH '.') x}, 'a type of XMLTABLE'],
  [q{SELECT count(jsonb_populate_record(p, '{"p": "1"}')) FROM batch b LEFT JOIN public.priced p ON true}, 'a type that an argument tells'];
is(sql('SELECT is_called FROM loot'), 'f', 'no domain was checked');

# Constants that analysis itself evaluates, before there is anything to look at.
sql(q{SET ROLE mallory; CREATE DOMAIN public.counted AS text CHECK (nextval('public.loot') > 0); CREATE TYPE public.pair AS (a public.price, b int);
	CREATE FUNCTION public.lesser(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'; CREATE DOMAIN public.bound AS int CHECK (public.snoop(VALUE::text));
	CREATE TYPE public.span AS RANGE (subtype = public.bound); CREATE TABLE public.prices (p public.price[]); GRANT SELECT ON prices TO clerk});
for ([q{SELECT count(*) FROM batch WHERE '{1}'::public.price[] IS NULL}, 'an array', 'function public.snoop'],
	[q{SELECT count(*) FROM batch WHERE '(1,2)'::public.pair IS NULL}, 'a composite', 'function public.snoop'],
	[q{SELECT count(*) FROM batch WHERE '[1,2)'::public.span IS NULL}, 'a range', 'function public.snoop'],
	[q{SELECT count(*) FROM batch WHERE '{1}'::public.counted[] IS NULL}, 'an array whose check calls a function of ours', 'function pg_catalog.nextval'],
	[q{SELECT count(*) FROM batch, public.prices WHERE p = '{1}'}, 'what is compared with a column of the type', 'function public.snoop'])
{
	my $error = error_of($node, qq{SET ROLE clerk; SELECT txpipe.on_batch('casts', 'constant', \$\$$_->[0]\$\$)});

	is($error->{state}, '42501', "a constant of $_->[1] is refused");
	like($error->{message}, qr/^\Q$_->[2]\E/, '... before its check runs');
	is(sql('SELECT is_called FROM loot'), 'f', '... which has not run');
}
sql(q{SET ROLE clerk; CREATE FUNCTION clerk.fine(text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RETURN length(VALUE) > 0 FROM (SELECT $1 AS value) v; END$$;
	CREATE DOMAIN clerk.name AS text CHECK (clerk.fine(VALUE)); SELECT txpipe.on_batch('casts', 'constant', $$SELECT count(*) FROM batch WHERE '{1}'::clerk.name[] IS NULL$$)});
is(sql(q{SET ROLE clerk; SELECT txpipe.drop_step('casts', 'constant')}), '', "one's own types serve as before");

# --- what the planner evaluates of a table that is read ---

sql(q{SET ROLE mallory; CREATE TABLE public.lookup (name text, n int); GRANT SELECT ON lookup TO clerk; CREATE INDEX ON lookup (lower(name)) WHERE n > 0});
sql(q{SET ROLE clerk; SELECT txpipe.on_batch('casts', 'read', 'SELECT count(*) FROM batch b JOIN public.lookup USING (name)')});
foreach ([q{CREATE INDEX odd ON lookup ((public.snoop('constant')))}, 'DROP INDEX odd', 'an expression of an index'],
	[q{CREATE INDEX odd ON lookup (name) WHERE public.snoop('constant')}, 'DROP INDEX odd', 'the predicate of an index'],
	[q{CREATE STATISTICS odd ON name, (public.snoop('constant')) FROM lookup}, 'DROP STATISTICS odd', 'an expression of statistics'],
	[q{ALTER TABLE lookup ADD CONSTRAINT odd CHECK (public.snoop('constant'))}, 'ALTER TABLE lookup DROP CONSTRAINT odd', 'a constraint'],
	[q{CREATE TABLE odd (CHECK (public.snoop('constant'))) INHERITS (lookup)}, 'DROP TABLE odd', 'a constraint of a child'])
{
	my ($plant, $remove, $what) = @$_;

	sql("SET ROLE mallory; $plant; SELECT setval('public.loot', 1, false)");
	like(error_of($node, q{SET ROLE clerk; SELECT txpipe.on_batch('casts', 'more', 'SELECT count(*) FROM batch b JOIN public.lookup USING (name)')})->{message},
		qr/function public\.snoop\(pg_catalog\.text\) belongs to "mallory"/, "refused: $what");
	is(sql('SELECT is_called FROM loot'), 'f', '... and not evaluated');
	sql("SET ROLE mallory; $remove");
}
sql(q{SELECT setval('public.loot', 1, false); CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
	CREATE FOREIGN TABLE public.outside (name public.price) SERVER files OPTIONS (program 'echo Ada'); ALTER FOREIGN TABLE public.outside OWNER TO mallory; GRANT SELECT ON public.outside TO clerk});
is(error_of($node, q{SET ROLE clerk; SELECT txpipe.on_batch('casts', 'more', 'SELECT count(*) FROM batch b JOIN public.outside USING (name)')})->{state}, '42501', 'refused: a foreign table');

# --- roles that the owner trusts ---

sql(q{SET ROLE helper; CREATE FUNCTION public.help(text) RETURNS text LANGUAGE sql AS 'SELECT $1'; CREATE TABLE public.helped (name text); GRANT INSERT ON helped TO clerk});
stream_runs('views');
is(error_of($node, q{SET ROLE clerk; SELECT txpipe.on_batch('views', 'help', 'INSERT INTO public.helped SELECT public.help(name) FROM batch')})->{state}, '42501', 'code of others is refused');
is(error_of($node, q{SET ROLE clerk; SELECT txpipe.alter_stream('views', options => '{"trusted_roles": "a,,"}')})->{state}, '22023', 'trusted_roles is a list of names');
my $unknown = error_of($node, q{SET ROLE clerk; SELECT txpipe.alter_stream('views', options => '{"trusted_roles": "helper, Helper, \\"Helper\\""}')});
is("$unknown->{state} $unknown->{message}", '42704 role "Helper" does not exist', '... of roles that exist');
is_deeply([ @{$unknown}{qw(detail hint)} ], [ 'The option trusted_roles names it.', 'Names with capital letters or spaces are written in double quotes.' ], '... says the error');
is(error_of($node, q{SET ROLE clerk; SELECT txpipe.create_feed('unknown', 'unknown_(.*)', 'clerk.views', options => '{"trusted_roles": "helpr"}')})->{state}, '42704', '... also of a feed');
is(error_of($node, q{SET ROLE clerk; SELECT txpipe.create_stream('unknown', 'shop', 'views', 'clerk.views', options => '{"trusted_roles": "helpr"}')})->{state}, '42704', '... and of a new stream');
sql(q{CREATE ROLE passing; SET ROLE clerk; SELECT txpipe.alter_stream('views', options => '{"trusted_roles": "passing, helper"}');
	SELECT txpipe.on_batch('views', 'help', 'INSERT INTO public.helped SELECT public.help(name) FROM batch')});
produce_lines($broker, 'views', 0, '{"id": 2, "name": "Alan", "at": "2026-01-01T00:10:00Z"}');
wait_for_offset($node, 'views', 2);
is(sql('SELECT name FROM helped'), 'Alan', 'a role that the owner names is trusted');
sql(q{DROP ROLE passing; SET ROLE clerk; SELECT txpipe.pause_stream('views'), txpipe.alter_stream('views', options => '{"batch_rows": 100}'), txpipe.resume_stream('views')});
produce_lines($broker, 'views', 0, '{"id": 3, "name": "Grace", "at": "2026-01-01T00:20:00Z"}');
wait_for_offset($node, 'views', 3);
is(sql('SELECT count(*) FROM helped'), '2', 'one that is dropped later is in the way of nothing');

# --- feeds: steps and rules ---

sql(q{SET ROLE clerk; CREATE TABLE clerk.items (id bigint, name text); CREATE TABLE public.seen (id bigint);
	CREATE FUNCTION public.fine(anyelement) RETURNS boolean LANGUAGE sql AS 'SELECT true';
	SELECT txpipe.create_feed('items', 'items_(.*)\.csv', 'clerk.items'); SELECT txpipe.on_load('items', 'see', 'INSERT INTO public.seen SELECT id FROM batch');
	SELECT txpipe.create_feed('checked', 'checked_(.*)\.csv', 'clerk.items'); SELECT txpipe.set_rule('checked', 'fine', 'NOT public.fine(name)');
	SELECT txpipe.on_run_end('checked', 'end', 'DELETE FROM public.seen WHERE false')});
deliver('items_1.csv', "id,name\n1,Ada\n");
deliver('checked_1.csv', "id,name\n2,Alan\n");
like(run_hourly(), qr{loaded 2 groups.* 0 groups failed}, 'feeds load');
is(sql('SELECT (SELECT count(*) FROM clerk.items), (SELECT count(*) FROM seen)'), '2|1', '... with their steps');
sql('SET ROLE clerk; DROP TABLE public.seen');
sql(q{SET ROLE mallory; CREATE TABLE public.seen (id bigint); GRANT ALL ON seen TO clerk; CREATE TRIGGER a BEFORE INSERT OR DELETE ON seen EXECUTE FUNCTION plunder();
	CREATE FUNCTION public.fine(text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('public.loot'); RETURN true; END$$});
deliver('items_2.csv', "id,name\n3,Grace\n");
deliver('checked_2.csv', "id,name\n4,Edsger\n");
my $said = run_hourly();
like($said, qr/table public\.seen belongs to "mallory".*\[42501\]/, 'a step of a feed');
like($said, qr/function public\.fine\(pg_catalog\.text\) belongs to "mallory".*\[42501\]/, 'a rule of a feed');
like($said, qr/steps at the end of the run of "checked" were undone.*public\.seen belongs/, 'a step at the end of a run');
like(error_of($node, q{SET ROLE clerk; SELECT txpipe.set_rule('checked', 'other', 'NOT public.fine(name)')})->{message}, qr/public\.fine\(pg_catalog\.text\) belongs/, 'a new rule is refused at once');
is(sql('SELECT is_called, (SELECT count(*) FROM clerk.items) FROM loot'), 'f|2', 'nothing of it has run, nothing was loaded');
sql('SET ROLE mallory; DROP TABLE public.seen; DROP FUNCTION public.fine(text)');
sql('SET ROLE clerk; CREATE TABLE public.seen (id bigint)');
sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
like(run_hourly(), qr{loaded 2 groups.* 0 groups failed}, 'when it is gone');
is(sql('SELECT count(*) FROM clerk.items'), '4', '... they load');

# --- what a kept plan uses changes while it waits for a lock, after the look at it ---

sql(q{SET ROLE clerk; CREATE TABLE clerk.numbers (id bigint); CREATE TABLE clerk.old (id bigint) PARTITION BY RANGE (id); CREATE TABLE clerk.old_1 PARTITION OF clerk.old DEFAULT;
	CREATE FUNCTION public.twice(bigint) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN 2 * $1; END';
	SELECT txpipe.create_feed('numbers', 'numbers_(.*)\.csv', 'clerk.numbers');
	SELECT txpipe.on_load('numbers', 'old', 'INSERT INTO clerk.old SELECT public.twice(id) FROM batch WHERE id NOT IN (SELECT id FROM clerk.old)')});
my $loader = $node->background_psql('postgres', on_error_stop => 0);
$loader->query('SET client_min_messages = warning');
# Each of these plans is for another number of rows, and the next is kept for twice as long.
deliver("numbers_$_.csv", join "\n", 'id', 1 .. ($_ % 2 == 0 ? 200 : 2), '') foreach 1 .. 8;
$loader->query('CALL txpipe.run_hourly()');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE clerk.old_1 IN ACCESS EXCLUSIVE MODE');
deliver('numbers_9.csv', join "\n", 'id', 1001 .. 1200, '');
my $loads = $loader->query_until(qr/begun/, "\\echo begun\nCALL txpipe.run_hourly();\n");
wait_for($node, q{SELECT count(*) FROM pg_locks WHERE relation = 'clerk.old_1'::regclass AND NOT granted}, 'the step waits', value => '1');
sql('SET ROLE clerk; DROP FUNCTION public.twice(bigint)');
sql(q{SET ROLE mallory; CREATE FUNCTION public.twice(bigint) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('public.loot'); RETURN $1; END$$});
$holder->query_safe('COMMIT');
$holder->quit;
$loader->query('SELECT 1');
$loader->quit;
is(sql('SELECT is_called FROM loot'), 'f', 'a kept plan that is made anew while it runs: nothing planted has run');
# A plan that was being made when the lock was waited for goes on with the function that is no more: PostgreSQL locks none.
my $gone = qr/cache lookup failed for function \d+ \[XX000\]/;
like(sql(q{SELECT reason FROM txpipe.file WHERE file_name = 'numbers_9.csv'}), qr/function public\.twice\(bigint\) belongs to "mallory".*\[42501\]|$gone/, '... and the file is refused');

# --- a target that another put in place of a dropped one, and erase_subject ---

sql(q{SET ROLE clerk; SELECT txpipe.pause_stream('views'); CREATE TABLE public.people (id bigint, name text);
	SELECT txpipe.create_feed('people', 'people_(.*)\.csv', 'public.people'); DROP TABLE public.people});
sql(q{SET ROLE mallory; CREATE TABLE public.people (id bigint, name text); INSERT INTO people VALUES (1, 'Ada'); GRANT ALL ON people TO clerk;
	CREATE TRIGGER a BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION plunder()});
like(sql(q{SET ROLE clerk; CALL txpipe.erase_subject('{"name": "Ada"}', dry_run => false)}), qr/"place": "public.people", "action": "not searched: it belongs to another role/,
	'erase_subject() leaves a target that is another table alone');
is(sql('SELECT is_called, (SELECT count(*) FROM people) FROM loot'), 'f|1', '... and runs none of its triggers');

$node->stop;
unlike(slurp_file($node->logfile) =~ s/$gone//gr, qr/PANIC|terminated by signal|server process .* exited with|\bXX\d{3}\b/, 'no server process died');
stop_broker($broker);
done_testing();
