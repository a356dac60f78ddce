# States of files and their history, groups that come late or not at all, changed files, crashes at `loading`.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node    = files_node('groups');
my $landing = $node->basedir . '/dirs/landing';

# name:state of the files whose names are like this, in the order they were first seen.
sub states
{
	return sql("SELECT string_agg(file_name || ':' || state, ' ' ORDER BY file_id) FROM txpipe.file "
		  . "WHERE file_name LIKE '$_[0]'");
}

# The states a file has had.
sub history
{
	return sql("SELECT string_agg(state, ' ' ORDER BY event_id) FROM txpipe.file_event WHERE file_name = '$_[0]'");
}

# A session that holds the gate's lock until it is told to go.
sub close_gate
{
	my ($number) = @_;
	my $holder = { in => "SELECT pg_advisory_lock($number);\n", out => '' };

	$holder->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$holder->{in}, '>', \$holder->{out});
	$holder->{run}->pump_nb;
	wait_until("gate $number is closed",
		sub { $holder->{run}->pump_nb; sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $number AND granted") });
	return $holder;
}

sub open_gate
{
	my ($holder) = @_;

	$holder->{in} .= "\\q\n";
	eval { $holder->{run}->finish };
	return;
}

# The process of a run that waits at a gate.
sub pid_at_gate
{
	my ($number) = @_;

	return wait_until("a run is at gate $number",
		sub { sql("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $number AND NOT granted LIMIT 1") });
}

# A step that waits while the gate is closed.
sub gate
{
	return "SELECT line_no, 'filtered', NULL::text, NULL::text, NULL::text FROM batch "
	  . "WHERE pg_advisory_xact_lock_shared($_[0]) IS NULL";
}

# --- every state, with its time ---

sql(<<'SQL');
CREATE TABLE a (id integer PRIMARY KEY, file_id bigint);
CREATE TABLE b (id integer, file_id bigint);
SELECT txpipe.create_feed('a', '(g[^/]*)/a[^/]*\.csv', 'a', group_name => 'pair', options => '{"ordinal": 1}');
SELECT txpipe.create_feed('b', '(g[^/]*)/b[^/]*\.csv', 'b', group_name => 'pair', options => '{"ordinal": 2}');
SQL
deliver('g1/a.csv', "id\n1\n1\n");
run_hourly();
is(history('g1/a.csv'), 'settling waiting', 'a file settles, then waits for its group');
deliver('g1/b.csv', "id\n1\n");
deliver('g2/b.csv', "id\n1\n");
run_hourly();
is(history('g1/a.csv'), 'settling waiting loading loaded_with_rejects', 'it is loading, then loaded, with rejects');
is(history('g1/b.csv'), 'settling waiting loading loaded', 'or without');
is(history('g2/b.csv'), 'settling duplicate', 'a duplicate is known as soon as it has settled');
is(sql("SELECT reason FROM txpipe.file_event WHERE file_name = 'g2/b.csv' AND state = 'duplicate'"),
	'same content as file 2, g1/b.csv', 'with the reason');
is(sql("SELECT bool_and(ordered) FROM (SELECT happened_at > lag(happened_at, 1, '-infinity') OVER "
		. "(PARTITION BY file_id ORDER BY event_id) AS ordered FROM txpipe.file_event) e"),
	't', 'each state has a time of its own');
deliver('g1/b.csv', "id\n1\n");
run_hourly();
is(states('g1/b%') . '; ' . history('g1/b.csv'), 'g1/b.csv:loaded; settling waiting loading loaded',
	'a file delivered once more has no new state');
sql('CREATE ROLE stranger LOGIN');
is($node->safe_psql('postgres', 'SELECT count(*) FROM txpipe.file_event', extra_params => [ '-U', 'stranger' ]), 0,
	'who may not read the target sees no events');

# Young files: a run with a long settle time does not wait for them.
sql("ALTER SYSTEM SET txpipe.settle_time = '2h'");
$node->reload;
wait_for($node, "SELECT current_setting('txpipe.settle_time') = '2h'", 'the setting is there');
deliver('g3/a.csv', "id\n30\n");
run_hourly();
deliver('g3/a.csv', "id\n30\n31\n");
run_hourly();
is(states('g3/%') . ' ' . sql("SELECT bytes FROM txpipe.file WHERE file_name = 'g3/a.csv'"), 'g3/a.csv:settling 9',
	'a young file settles, as it is now');
# Events are dumped; restoring the ledger makes none.
my ($restored, $trouble);
my $events = q{SELECT count(*), md5(string_agg(e::text, ' ' ORDER BY event_id)) FROM txpipe.file_event_store e};
sql('CREATE DATABASE copy');
ok(IPC::Run::run([ 'pg_dump', '-d', $node->connstr('postgres') ], '|', [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('copy') ],
	'>', \$restored, '2>', \$trouble), 'a dump is restored') or diag($trouble);
is($node->safe_psql('copy', $events), sql($events), 'with the history of its files');
sql('DROP DATABASE copy');
is(sql("SELECT string_agg(group_key, ' ') FROM txpipe.missing_group"), 'g2', 'and is not there for its group');
deliver('g4/a.csv', "id\n40\n");
run_hourly();
unlink "$landing/g4/a.csv";
sql('ALTER SYSTEM RESET txpipe.settle_time');
$node->reload;
wait_for($node, "SELECT current_setting('txpipe.settle_time') = '0'", 'the setting is there');
run_hourly();
is(history('g3/a.csv') . '; ' . history('g4/a.csv'), 'settling waiting; settling superseded',
	'it waits when it has settled, and is superseded when it is taken away');

# --- a crash while a file is loading ---

sql('CREATE TABLE gated (id integer PRIMARY KEY, file_id bigint)');
sql("SELECT txpipe.create_feed('gated', '(k[0-9]+)\\.csv', 'gated', options => '{\"batch_rows\": 2}', step => '" . (gate(71) =~ s/'/''/gr) . "')");
deliver('k1.csv', "id\n" . join('', map { "$_\n" } 1 .. 9));
my $gate = close_gate(71);
my $run  = start_sql('CALL txpipe.run_hourly()');
my $pid  = pid_at_gate(71);
is(states('k1%'), 'k1.csv:loading', 'others see that a file is loading');
kill 'KILL', $pid;
wait_until('the session is gone', sub { !process_lives($pid) });
eval { $run->{run}->finish };
wait_for($node, 'SELECT true', 'the server is back');
open_gate($gate);
is(states('k1%') . ' ' . sql('SELECT count(*) FROM gated'), 'k1.csv:loading 0', 'a crash leaves it loading, and no row');
run_hourly();
is(states('k1%') . ' ' . sql('SELECT count(*), sum(id) FROM gated'), 'k1.csv:loaded 9|45', 'the next run loads it whole');
is(sql("SELECT attempts FROM txpipe.file WHERE file_name = 'k1.csv'"), 2, 'at the second attempt');

# --- two runs at a time ---

sql('CREATE TABLE other (id integer, file_id bigint)');
sql("SELECT txpipe.create_feed('other', '(o[0-9]+)\\.csv', 'other')");
deliver('k2.csv', "id\n20\n");
deliver('k3.csv', "id\n30\n");
$gate = close_gate(71);
my $first = start_sql('CALL txpipe.run_hourly()');
pid_at_gate(71);
deliver('o1.csv', "id\n1\n");
my $second = start_sql('CALL txpipe.run_hourly()');
wait_for($node, "SELECT state = 'loaded' FROM txpipe.file WHERE file_name = 'o1.csv'", 'the second run loads what the first does not');
is(states('k2%'), 'k2.csv:loading', 'a run goes on with other groups while one is in other hands');
$second->{run}->finish;
open_gate($gate);
$first->{run}->finish;
my @loaded = map { $_->{err} =~ /loaded (\d) groups/ } $first, $second;
is($loaded[0] + $loaded[1], 3, 'both share the three groups');
like($second->{err}, qr/2 groups are left to another session/, 'the second does not wait for the first');
is(states('k_.csv') . ' ' . sql('SELECT count(*) FROM gated WHERE id >= 20'), 'k1.csv:loaded k2.csv:loaded k3.csv:loaded 2', 'once');

# Both see a new file; the one that waits for it to settle finds that the other has entered it.
sql("SELECT txpipe.create_feed('both', '(both)\\.csv', 'other', after_load => 'keep')");
deliver('both.csv', "id\n1\n");
{
	local $ENV{PGOPTIONS} = '-c txpipe.settle_time=3s';
	$first = start_sql('CALL txpipe.run_hourly()');
}
wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^CALL' AND wait_event = 'Extension'}, 'the first run waits');
run_hourly();
is(states('both%'), 'both.csv:loaded', 'a run does not wait for what another one waits for');
$first->{run}->finish;
is(states('both%') . ' ' . sql('SELECT count(*) FROM other') . " $first->{err}", 'both.csv:loaded 2 ', 'a file that two runs discover is entered once');

# --- groups that are late ---

sql(<<'SQL');
CREATE TABLE late (id integer, file_id bigint);
SELECT txpipe.create_feed('x1', '(t[0-9]+)/x1\.csv', 'late', group_name => 'trio', options => '{"ordinal": 1}');
SELECT txpipe.create_feed('x2', '(t[0-9]+)/x2\.csv', 'late', group_name => 'trio', options => '{"ordinal": 2, "group_timeout": "1 hour"}');
SELECT txpipe.create_feed('x3', '(t[0-9]+)/x3\.csv', 'late', group_name => 'trio', required => false);
SQL
deliver('t1/x1.csv', "id\n1\n");
deliver('t2/x1.csv', "id\n2\n");
run_hourly();
is(states('t_/%'), 't1/x1.csv:waiting t2/x1.csv:waiting', 'before its timeout a group waits');
sql(q{UPDATE txpipe.file_ledger SET arrived_at = arrived_at - interval '1 hour' WHERE group_key = 't1'});
run_hourly();
is(states('t_/%'), 't1/x1.csv:loaded t2/x1.csv:waiting', 'then what is there is loaded');
is(sql(q{SELECT reason FROM txpipe.file WHERE file_name = 't1/x1.csv'}), 'late: x2 missing', 'and marked');
is(sql(q{SELECT group_key, missing, present FROM txpipe.missing_group WHERE group_name = 'trio' ORDER BY 1}),
	"t1|{x2}|{x1}\nt2|{x2}|{x1}", 'both still miss a file');
deliver('t1/x3.csv', "id\n3\n");
run_hourly();
is(sql(q{SELECT state, reason FROM txpipe.file WHERE file_name = 't1/x3.csv'}), 'loaded|late: x2 missing', 'a late file is loaded by itself');
deliver('t1/x2.csv', "id\n4\n");
deliver('t2/x2.csv', "id\n5\n");
run_hourly();
is(sql(q{SELECT state, reason FROM txpipe.file WHERE file_name = 't1/x2.csv'}),
	'loaded|late: other files of its group were loaded before', 'the last one completes its group');
is(sql(q{SELECT state, reason IS NULL FROM txpipe.file WHERE group_key = 't2'}), "loaded|t\nloaded|t", 'one in time is no news');
is(sql('SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM late'), '1 2 3 4 5', 'every file once');
is(sql(q{SELECT count(*) FROM txpipe.missing_group WHERE group_name = 'trio'}), 0, 'nothing is missing any more');
sql(q{SELECT txpipe.create_feed('x4', '(t[0-9]+)/x4\.csv', 'late', group_name => 'trio')});
deliver('t2/x3.csv', "id\n6\n");
deliver('t3/x1.csv', "id\n7\n");
run_hourly();
is(states('t_/x3.csv') . ' ' . states('t3/%'), 't1/x3.csv:loaded t2/x3.csv:loaded t3/x1.csv:waiting',
	'a group that was loaded waits for nothing any more');

# --- groups that did not come ---

sql(q{SELECT txpipe.create_feed('hours', 'hours/(.*)\.csv', 'late', options => '{"every": "1 hour"}')});
sql(q{SELECT txpipe.create_feed('numbers', '(n[0-9]+)/.*', 'late', options => '{"every": "1 hour"}')});
my $hour = int(time() / 3600) * 3600;
my @key = map { my @t = gmtime($hour - $_ * 3600); sprintf('%04d-%02d-%02dT%02d', $t[5] + 1900, $t[4] + 1, @t[ 3, 2 ]) } 0 .. 5;
deliver("hours/$key[$_].csv", "id\n" . (100 + $_) . "\n") foreach 5, 3, 2;
deliver("n$_/a.csv", "id\n" . (200 + $_) . "\n") foreach 1, 4, 6;
run_hourly();
is( sql(qq{SELECT to_char(expected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24'), missing, present, group_key IS NULL FROM txpipe.missing_group
	WHERE group_name = 'hours' AND expected_at <= to_timestamp($hour) ORDER BY 1}),
	join("\n", map { "$key[$_]|{hours}|{}|t" } 4, 1, 0), 'hours without a group are listed up to now');
is(sql(q{SELECT string_agg((extract(epoch FROM expected_at) / 3600)::integer::text, ' ' ORDER BY expected_at) FROM txpipe.missing_group
	WHERE group_name = 'numbers'}), '2 3 5', 'numbered groups up to the last one seen');
deliver("hours/$key[4].csv", "id\n104\n");
run_hourly();
is(sql(qq{SELECT count(*) FROM txpipe.missing_group WHERE group_name = 'hours' AND expected_at <= to_timestamp($hour)}), 2, 'until it comes');
# Who may see one feed of a group learns nothing of the other.
sql(<<'SQL');
CREATE TABLE shown (id integer);
CREATE TABLE hidden (id integer);
CREATE ROLE peeper;
GRANT USAGE ON SCHEMA txpipe TO peeper;
GRANT SELECT ON shown TO peeper;
SELECT txpipe.create_feed('y1', '(y[0-9]+)/y1\.csv', 'shown', group_name => 'veiled', options => '{"ordinal": 1, "every": "1 hour"}');
SELECT txpipe.create_feed('y2', '(y[0-9]+)/y2\.csv', 'hidden', group_name => 'veiled', options => '{"ordinal": 2}');
SQL
deliver("y$_->[0]/$_->[1].csv", "id\n1$_->[0]\n") foreach [ 1, 'y1' ], [ 2, 'y2' ], [ 4, 'y1' ], [ 4, 'y2' ];
run_hourly();
my $veiled = q{SELECT coalesce(group_key, '?' || to_char(expected_at AT TIME ZONE 'UTC', 'HH24')), missing, present
	FROM txpipe.missing_group WHERE group_name = 'veiled' ORDER BY expected_at};
is(sql($veiled), "y1|{y2}|{y1}\ny2|{y1}|{y2}\n?03|{y1,y2}|{}", 'the owner sees which feeds are missing');
is(sql("SET ROLE peeper; $veiled"), "y1|{}|{y1}\n?02|{y1}|{}\n?03|{y1}|{}", 'others only those whose target they may read');

like(error_of($node, q{SELECT txpipe.create_feed('odd', '(q.*)', 'late', options => '{"every": "1 second"}')})->{hint},
	qr/60 seconds or more/, 'not every second');
is(error_of($node, q{SELECT txpipe.create_feed('odd', '(q.*)', 'late', options => '{"group_timeout": "soon"}')})->{state}, '22007',
	'what is no interval is refused');

# --- other content under a known name ---

sql(<<'SQL');
CREATE TABLE changing (id integer, feed text, file_id bigint);
CREATE VIEW changed_rows AS SELECT string_agg(id::text, ' ' ORDER BY id) AS ids FROM changing;
SELECT txpipe.create_feed('strict', 'c/(strict)\.csv', 'changing');
SELECT txpipe.create_feed('follow', 'c/(follow)\.csv', 'changing', after_load => 'keep', options => '{"on_change": "Replace"}');
SELECT txpipe.create_feed('ignore', 'c/(ignore)\.csv', 'changing', after_load => 'keep', options => '{"on_change": "ignore"}');
SQL
my $id = 1;
for my $round (1, 2)
{
	deliver("c/$_.csv", "id\n" . $id++ . "\n") foreach qw(strict follow ignore);
	run_hourly();
}
is(states('c/strict%'), 'c/strict.csv:loaded c/strict.csv:changed', 'changed content is kept back');
like(sql(q{SELECT reason FROM txpipe.file WHERE state = 'changed'}), qr/^file (\d+), which is loaded, .*reload\((?!\1\b)\d+\)/, 'and says how to accept it');
is(states('c/follow%'), 'c/follow.csv:superseded c/follow.csv:loaded', 'or takes the place of what was loaded');
is(states('c/ignore%'), 'c/ignore.csv:loaded c/ignore.csv:superseded', 'or is ignored');
is(sql('TABLE changed_rows'), '1 3 5', 'the tables have what the states say');
my $ledger = sql('SELECT md5(string_agg((to_jsonb(l) - $$matched_by$$)::text, $$ $$ ORDER BY file_id)) FROM txpipe.file_ledger l');
run_hourly();
is(sql('SELECT md5(string_agg((to_jsonb(l) - $$matched_by$$)::text, $$ $$ ORDER BY file_id)) FROM txpipe.file_ledger l'), $ledger, 'another run finds nothing');
sql(q{SELECT txpipe.reload(file_id) FROM txpipe.file WHERE state = 'changed'});
is(states('c/strict%') . ' ' . sql('TABLE changed_rows'), 'c/strict.csv:superseded c/strict.csv:loaded 3 4 5', 'reload accepts it');
deliver('c/follow.csv', "id\n2\n");
deliver('c/strict.csv', "id\n1\n");
run_hourly();
is(states('c/follow%') . ' ' . states('c/strict%'),
	'c/follow.csv:superseded c/follow.csv:superseded c/follow.csv:loaded c/strict.csv:superseded c/strict.csv:loaded c/strict.csv:changed',
	'the content it had before is a change, too');
deliver('c/strict.csv', "id\n4\n");
run_hourly();
is(states('c/strict%') . ' ' . sql('TABLE changed_rows'), 'c/strict.csv:superseded c/strict.csv:loaded c/strict.csv:superseded 2 3 4',
	'a change that is taken back is superseded');
deliver('c/strict.csv', "id\n9\n");
run_hourly();
unlink "$landing/c/strict.csv";
run_hourly();
is(sql(q{SELECT count(*) FROM txpipe.file WHERE state = 'changed'}), 0, 'so is one whose file is removed');

# --- files that fail for good ---

sql(q{CREATE TABLE fussy (id integer); CREATE TABLE checked (id integer, file_id bigint);
	SELECT txpipe.create_feed('good', '(p[0-9]+)/good\.csv', 'fussy', group_name => 'fussy', options => '{"max_attempts": 2}');
	SELECT txpipe.create_feed('bad', '(p[0-9]+)/bad\.csv', NULL, 'csv', '{"id": {"path": "id", "type": "integer"}}', 'fussy',
		step => 'INSERT INTO public.absent SELECT id FROM batch', options => '{"max_attempts": 2}')});
deliver('p1/good.csv', "id\n1\n");
deliver('p1/bad.csv',  "id\n2\n");
run_hourly();
is(states('p1/%'), 'p1/bad.csv:failed p1/good.csv:failed', 'a group that fails is tried again');
sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
run_hourly();
is(states('p1/%') . ' ' . sql(q{SELECT count(*) FROM txpipe.file WHERE state = 'poison' AND reason ~ 'absent'}),
	'p1/bad.csv:poison p1/good.csv:poison 2', 'but not more often than max_attempts');
sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'poison'});
run_hourly();
is(sql(q{SELECT string_agg(attempts::text, ' ') FROM txpipe.file WHERE group_key = 'p1'}), '2 2', 'poison is left alone');
sql('CREATE TABLE absent (id integer)');
deliver('p1/bad.csv', "id\n3\n");
run_hourly();
is(states('p1/%') . ' ' . sql('SELECT count(*) FROM fussy'), 'p1/bad.csv:superseded p1/good.csv:loaded p1/bad.csv:loaded 1',
	'a new file in the place of a bad one gives its group another chance');

sql("SELECT txpipe.create_feed('deadly', '(d[0-9]+)\\.csv', 'checked', options => '{\"max_attempts\": 1}', step => '" . (gate(72) =~ s/'/''/gr) . "')");
deliver('d1.csv', "id\n1\n");
$gate = close_gate(72);
$run  = start_sql('CALL txpipe.run_hourly()');
sql('SELECT pg_terminate_backend(' . pid_at_gate(72) . ')');
eval { $run->{run}->finish };
open_gate($gate);
run_hourly();
is(states('d1%'), 'd1.csv:poison', 'a file that ends its session is given up, too');
sql(q{SELECT txpipe.reload(file_id) FROM txpipe.file WHERE file_name = 'd1.csv'});
is(states('d1%') . ' ' . sql('SELECT count(*) FROM checked'), 'd1.csv:loaded 1', 'until somebody reloads it');

# --- the order of arrival, and repeated content ---

sql(<<'SQL');
CREATE TABLE kept_order (id integer, file_id bigint, group_key text);
SELECT txpipe.create_feed('order', '(r[0-9]+)/a.*\.csv', 'kept_order', group_name => 'order');
SELECT txpipe.create_feed('late_member', '(r[0-9]+)/b\.csv', 'kept_order', group_name => 'order');
CREATE TABLE repeated (id integer, group_key text);
SELECT txpipe.create_feed('repeated', '(s[0-9]+)/.*', 'repeated', options => '{"duplicates": "load"}');
CREATE TABLE no_way (id integer, group_key text);
SELECT txpipe.create_feed('no_way', '(u[0-9]+)/.*', 'no_way');
SQL
deliver("r10/$_->[0].csv", "id\n$_->[1]\n") foreach [ 'a', 1 ], [ 'b', 10 ];
deliver('r11/a.csv', "id\n1\n");
run_hourly();
is(sql('SELECT group_key FROM kept_order WHERE id = 1'), 'r10', 'what came first is loaded first');
deliver('r9/a.csv', "id\n1\n");
run_hourly();
is(states('r%/a.csv'), 'r10/a.csv:loaded r11/a.csv:duplicate r9/a.csv:duplicate', 'the same of an earlier group waits for the rest of its group');
ok(!-e "$landing/r9/a.csv", 'without its landing file');
deliver('r9/b.csv', "id\n9\n");
run_hourly();
is(states('r%/a.csv'), 'r10/a.csv:duplicate r11/a.csv:duplicate r9/a.csv:loaded', 'and then takes the place of the later one');
is(sql('SELECT group_key FROM kept_order WHERE id = 1'), 'r9', 'in the table, too');
is(sql(q{SELECT string_agg(DISTINCT o.file_name, ' ') FROM txpipe.file d JOIN txpipe.file o ON o.file_id = d.duplicate_of WHERE d.group_key LIKE 'r%'}),
	'r9/a.csv', 'all others are its duplicates');
is(history('r10/a.csv'), 'settling waiting loading loaded duplicate', 'the history says so');
run_hourly();
is(history('r10/a.csv'), 'settling waiting loading loaded duplicate', 'and it is over');
deliver("s$_->[0]/x.csv", "id\n$_->[1]\n") foreach [ 1, 1 ], [ 2, 2 ], [ 3, 1 ];
run_hourly();
is(sql(q{SELECT string_agg(group_key || id, ' ' ORDER BY group_key) FROM repeated}), 's11 s22 s31', 'a feed may load repeated content');
deliver('u2/x.csv', "id\n1\n");
run_hourly();
deliver('u1/x.csv', "id\n1\n");
run_hourly();
is(states('u%'), 'u2/x.csv:loaded u1/x.csv:duplicate', 'where nothing can be unloaded what came first stays');

# A file that cannot be unloaded keeps its place; that is tried again as failed groups are.
sql(q{SELECT txpipe.create_feed('stuck', '(v[0-9]+)/.*', 'no_way', options => '{"max_attempts": 2}');
	SELECT txpipe.on_unload('stuck', 'stuck', 'SELECT public.refuse() FROM unloaded');
	CREATE FUNCTION refuse() RETURNS integer LANGUAGE plpgsql AS $$BEGIN RAISE 'it stays'; END$$});
deliver('v2/x.csv', "id\n1\n");
run_hourly();
deliver('v1/x.csv', "id\n1\n");
like(run_hourly(), qr/group "v1" of "stuck" was not loaded: it stays/, 'a way that fails is reported');
is(states('v%'), 'v2/x.csv:loaded v1/x.csv:duplicate', 'and leaves all as it was');
is(run_hourly(), '', 'it is not tried again at once');
sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE group_key = 'v1'});
like(run_hourly(), qr/it stays/, 'but later');
sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE group_key = 'v1'});
is(run_hourly(), '', 'and not more often than max_attempts');

# What replaces a file with duplicates gives its content back to them.
deliver("c/more_$_.csv", "id\n7\n") foreach 1, 2;
sql(q{SELECT txpipe.create_feed('more', 'c/(more_.)\.csv', 'changing', options => '{"on_change": "replace"}')});
run_hourly();
deliver('c/more_1.csv', "id\n8\n");
run_hourly();
is(states('c/more%') . ' ' . sql('SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM changing WHERE id > 6'),
	'c/more_1.csv:superseded c/more_2.csv:loaded c/more_1.csv:loaded 7 8', 'the duplicate of a replaced file is loaded');

# The group key is cut out by characters, of which some have several bytes; a path belongs to the first feed that takes it.
sql(q{SELECT txpipe.create_feed('first', 'ä€/(é[0-9])ü/.*', 'changing', options => '{"ordinal": 1}'),
	txpipe.create_feed('second', 'ä€/([^/]+)/.*', 'changing', options => '{"ordinal": 2}')});
deliver("ä€/$_/ß.csv", "id\n10\n") foreach 'é1ü', 'é1';
run_hourly();
is(sql(q{SELECT string_agg(feed || ':' || group_key, ' ' ORDER BY feed) FROM txpipe.file WHERE file_name ~ 'ß'}), 'first:é1 second:é1',
	'group keys of paths beyond ASCII');

# A pattern whose group is not in the path does not take it.
sql(q{SELECT txpipe.create_feed('no_key', 'n/(x)?y\.csv', 'changing', options => '{"ordinal": 1}'),
	txpipe.create_feed('key', 'n/([^/]+)\.csv', 'changing', options => '{"ordinal": 2}')});
deliver('n/y.csv', "id\n11\n");
run_hourly();
is(sql(q{SELECT feed || ':' || group_key FROM txpipe.file WHERE file_name = 'n/y.csv'}), 'key:y', 'a path without a group key is left to the next feed');

# A file is read while the one before it is loaded; when that has changed its table, it is read anew.
sql(<<'SQL');
CREATE TABLE widened (id integer, file_id bigint);
CREATE FUNCTION widen() RETURNS boolean LANGUAGE plpgsql AS
	'BEGIN ALTER TABLE public.widened ADD COLUMN IF NOT EXISTS note text; RETURN false; END';
SELECT txpipe.create_feed('widens', '(w[0-9])/1\.csv', NULL, columns => '{"id": {"path": "id", "type": "integer"}}', group_name => 'widened',
	options => '{"ordinal": 1}');
SELECT txpipe.on_load('widens', 'widen', 'SELECT line_no, $$filtered$$, NULL::text, NULL::text, NULL::text FROM batch WHERE public.widen()');
SELECT txpipe.create_feed('is_widened', '(w[0-9])/2\.csv', 'widened', group_name => 'widened', options => '{"ordinal": 2}');
SQL
deliver('w1/1.csv', "id\n1\n");
deliver('w1/2.csv', "id,note\n2,new\n");
run_hourly();
is(sql('SELECT id, note FROM widened'), '2|new', 'a step that adds a column to the table of the next file');

# What cannot be read ahead yet is read when it is its turn.
sql(<<'SQL');
SELECT txpipe.create_feed('maps', '(m[0-9])/1\.csv', NULL, columns => '{"id": {"path": "id", "type": "integer"}}', group_name => 'mapped',
	options => '{"ordinal": 1}');
SELECT txpipe.on_load('maps', 'widen', 'SELECT line_no, $$filtered$$, NULL::text, NULL::text, NULL::text FROM batch WHERE public.widen()');
SELECT txpipe.create_feed('is_mapped', '(m[0-9])/2\.csv', 'widened', columns => '{"id": "id", "note": "note"}', group_name => 'mapped',
	options => '{"ordinal": 2}');
ALTER TABLE widened DROP COLUMN note;
SQL
deliver('m1/1.csv', "id\n1\n");
deliver('m1/2.csv', "id,note\n3,mapped\n");
is(run_hourly() =~ /not loaded/ ? 'not loaded' : sql('SELECT note FROM widened WHERE id = 3'), 'mapped', 'a step that adds a column the next feed names');

# What a file costs does not depend on how many others wait.
sub ledger_reads
{
	my ($files) = @_;

	deliver("many/$files.$_.csv", "id\n$files$_\n") foreach 1 .. $files;
	my $reads = sql(q{BEGIN; CALL txpipe.run_hourly();
		SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_all_tables WHERE relid = 'txpipe.file_ledger'::regclass; COMMIT});
	is(sql("SELECT count(*) FROM many WHERE id::text LIKE '$files%'"), $files, "$files files are loaded");
	return $reads / $files;
}
sql(q{CREATE TABLE many (id integer); SELECT txpipe.create_feed('many', 'many/(.*)[.]csv', 'many')});
my @reads = map { ledger_reads($_) } 40, 400;
cmp_ok($reads[1], '<', 2 * $reads[0], "for each of 400 files the ledger's rows are read about as often as for each of 40") or diag("@reads");

log_is_clean($node, qr/invalid value for option|invalid input syntax for type interval|terminating connection|was terminated|recovery|not yet accepting connections|starting up/);
$node->stop;
done_testing();
