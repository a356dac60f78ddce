# Files into tables: groups, duplicates, rejected records, failures and crashes.
use strict;
use warnings;

use File::Copy qw(copy);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node    = files_node('feed');
my $dirs    = $node->basedir . '/dirs';
my $landing = "$dirs/landing";
my $lake    = "$dirs/lake";

# Files of a group, or all: feed, state and counts.
sub files
{
	my ($like) = @_;

	return sql(
		"SELECT string_agg(concat_ws(' ', file_name, state, rows_read, rows_loaded, rows_duplicate, rows_filtered, "
		  . "rows_superseded, rows_rejected), E'\\n' ORDER BY file_id) FROM txpipe.file WHERE file_name LIKE '$like'");
}

sub running_pid
{
	my ($condition) = @_;

	return wait_until(
		"a run is there: $condition",
		sub {
			sql("SELECT pid FROM pg_stat_activity WHERE query = 'CALL txpipe.run_hourly()' AND state = 'active' "
				  . "AND $condition LIMIT 1");
		});
}

sql(<<'SQL');
CREATE TABLE item (
    id integer PRIMARY KEY,
    name varchar(10),
    price numeric(8,2) CHECK (price <> 13),
    parent integer REFERENCES item DEFERRABLE INITIALLY DEFERRED,
    file_id bigint,
    group_key text
);
CREATE FUNCTION item_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name = 'raise' THEN
        RAISE EXCEPTION 'no % please', NEW.name;
    ELSIF NEW.name = 'drop' THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER item_check BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION item_check();
CREATE TABLE note (id integer, what text, file_id bigint, line_no bigint, group_key text, who name);
CREATE TABLE seen (id integer PRIMARY KEY);
SELECT txpipe.create_feed('items', '(g[^/]*)/items[^/]*\.csv', 'item',
    columns => '{"id": "id", "name": {"path": ["name", "title"]}, "price": "price", "parent": "parent"}', group_name => 'shop',
    options => '{"ragged": true, "ordinal": 2, "batch_rows": 4}');
SELECT txpipe.create_feed('notes', '(g[^/]*)/notes[^/]*\.json', NULL, 'json',
    '{"id": {"path": "id", "type": "integer", "required": true}, "what": "w.x"}', 'shop',
    step => 'INSERT INTO public.note SELECT *, current_user FROM batch', options => '{"ordinal": 1}');
SELECT txpipe.on_load('notes', 'odd', $$
    SELECT line_no, CASE id % 10 WHEN 1 THEN 'rejected' WHEN 3 THEN 'filtered' WHEN 5 THEN 'superseded'
                                 WHEN 7 THEN 'duplicate' END,
           'odd', format('%s is odd', id), 'id' FROM batch WHERE id % 2 = 1 AND id < 100 $$, 10);
SQL

# --- an incomplete group waits ---

my $items = deliver('g1/items.csv', <<'CSV');
id,name,price,parent
1,one,1.50,
2,"two ""2""",2,1
x,bad,1,
3,toolonganame,1,
4,four,1.001,
5,check,13,
1,again,1,
6,raise,1,
7,drop,1,
8,orphan,1,99
9,late,1,10
10,nine
CSV
run_hourly();
is(files('g1/%'), 'g1/items.csv waiting 0 0 0 0 0 0', 'a file waits for the rest of its group');
is(sql("SELECT group_key, missing FROM txpipe.missing_group"),
	'g1|{notes}', 'missing_group names the feed without a file');
ok(-e "$landing/g1/items.csv", 'a waiting file stays in the landing directory');
is(sql('SELECT count(*) FROM item'), 0, 'and nothing is loaded');

# --- a complete group is loaded whole; what cannot be used is kept ---

my $notes = deliver('g1/notes_1.json',
	qq({"id": 1}\n{"id": 2, "w": {"x": "two"}}\n{bad\n{"w": 1}\n{"id": 3}\n\n{"id": 5}\n{"id": 7}\n{"id": 8}\n{"id": 9, "w": {"x": "\xff"}}));
deliver('g1/.notes_2.json', '{"id": 100}');
symlink("$landing/g1/notes_1.json", "$landing/g1/notes_3.json");
like(run_hourly(), qr/loaded 1 groups: 2 files, 6 rows, 11 rejected; 0 groups failed/, 'the run sums up');
is(files('g1/%'), "g1/items.csv loaded_with_rejects 12 4 0 1 0 7\ng1/notes_1.json loaded_with_rejects 9 2 1 1 1 4",
	'every record is accounted for');
is(sql('SELECT id, name, price, parent, group_key FROM item ORDER BY id'),
	"1|one|1.50||g1\n2|two \"2\"|2.00|1|g1\n9|late|1.00|10|g1\n10|nine|||g1", 'good rows are there');
is( sql('SELECT line_no, code, column_name, line FROM txpipe.rejected_row JOIN txpipe.file USING (file_id) '
		  . "WHERE feed = 'items' ORDER BY 1"),
	join("\n",
		'4|bad_value|id|x,bad,1,', '5|too_long|name|3,toolonganame,1,', '6|excess_scale|price|4,four,1.001,',
		'7|23514||5,check,13,', '8|23505||1,again,1,', '9|P0001||6,raise,1,', '11|23503||8,orphan,1,99'),
	'rejected rows have line, code, column and record');
is( sql('SELECT line_no, code, column_name, line FROM txpipe.rejected_row JOIN txpipe.file USING (file_id) '
		  . "WHERE feed = 'notes' ORDER BY 1"),
	qq(1|odd|id|{"id": 1}\n3|bad_json||{bad\n4|missing_value|id|{"w": 1}\n10|bad_encoding||{"id": 9, "w": {"x": "\\377"}}),
	'so do those of a step; bytes that are no text are escaped');
is(sql('SELECT id, what, line_no, group_key, who FROM note ORDER BY 1'),
	"2|two|2|g1|" . $node->safe_psql('postgres', 'SELECT current_user') . "\n8||9|g1|" . sql('SELECT current_user'),
	'a step sees file_id, line_no and group_key');
is(slurp_file("$lake/" . sql("SELECT lake_path FROM txpipe.file WHERE file_name = 'g1/items.csv'")),
	$items, 'the lake has the bytes of the file');
like(sql("SELECT lake_path FROM txpipe.file WHERE file_name = 'g1/items.csv'"),
	qr{^raw/feed=items/date=\d{4}-\d\d-\d\d/hour=\d\d/items\.csv$}, 'under feed, date and hour');
ok(!-e "$landing/g1/items.csv" && !-e "$landing/g1/notes_1.json", 'loaded files leave the landing directory');
ok(-e "$landing/g1/.notes_2.json" && -l "$landing/g1/notes_3.json", 'hidden files and links are left alone');
is(sql("SELECT state, groups_loaded, groups_failed, rows_loaded FROM txpipe.run"), 'succeeded|1|0|6', 'the run is recorded');

# --- again, and the same again ---

my $before = sql('SELECT md5(string_agg(f::text, E\'\n\' ORDER BY file_id)) FROM txpipe.file f');
is(run_hourly(), '', 'a second run has nothing to say');
is(sql('SELECT md5(string_agg(f::text, E\'\n\' ORDER BY file_id)) FROM txpipe.file f'), $before, 'and changes nothing');
is(sql('SELECT count(*) FROM txpipe.run'), 1, 'and is not recorded');

deliver('g1/items.csv', $items);
run_hourly();
is(files('g1/items%'), 'g1/items.csv loaded_with_rejects 12 4 0 1 0 7', 'the same file under the same name is no news');
ok(!-e "$landing/g1/items.csv", 'and is removed: a crash before the removal is repaired');

deliver('g2/items.csv',     $items);
deliver('g2/notes.json',    $notes);
deliver('g3/items.csv',     "id,name\n31,c\n");
deliver('g3/notes.json',    $notes);
deliver('g10/items.csv',    "id,name\n101,later\n");
deliver('g10/notes.json',   "{\"id\": 110}\n");
deliver('g9/items_b.csv',   "id,name\n102,second\n");
deliver('g9/items_a.csv',   "id,name\n101,sooner\n");
deliver('g9/notes.json',    "{\"id\": 90}\n");
run_hourly();
is(files('g2/%'), "g2/items.csv duplicate 0 0 0 0 0 0\ng2/notes.json duplicate 0 0 0 0 0 0", 'duplicates are recognised');
is(files('g3/%'), "g3/items.csv loaded 1 1 0 0 0 0\ng3/notes.json duplicate 0 0 0 0 0 0",
	'and count as present for their group');
is(sql("SELECT reason, lake_path IS NOT NULL FROM txpipe.file WHERE file_name = 'g2/items.csv'"),
	'same content as file 1, g1/items.csv|t', 'their reason names the original');
ok(!-e "$landing/g2/items.csv" && !-e "$landing/g2/notes.json", 'they leave the landing directory');
is(sql('SELECT name, group_key FROM item WHERE id IN (101, 102) ORDER BY id'), "sooner|g9\nsecond|g9",
	'groups load in natural order of their keys');
is(sql("SELECT code FROM txpipe.rejected_row JOIN txpipe.file USING (file_id) WHERE group_key = 'g10'"), '23505',
	'the later group has the repeated row');

deliver('g3/items.csv', "id,name\n32,d\n");
run_hourly();
is(sql("SELECT string_agg(state, ' ' ORDER BY file_id) FROM txpipe.file WHERE file_name = 'g3/items.csv'"), 'loaded changed',
	'other content under the name of a loaded file is kept back');
sql("SELECT txpipe.reload(max(file_id)) FROM txpipe.file WHERE file_name = 'g3/items.csv'");
is(sql("SELECT string_agg(state, ' ' ORDER BY file_id) FROM txpipe.file WHERE file_name = 'g3/items.csv'"), 'superseded loaded',
	'until it is accepted');
is(sql("SELECT count(DISTINCT lake_path) FROM txpipe.file WHERE file_name IN ('g1/items.csv', 'g3/items.csv')"), 3,
	'every content has its own copy in the lake');

# --- content that waits elsewhere, and files overwritten while they wait ---

deliver('g20/items.csv', "id,name\n200,old\n");
run_hourly();
deliver('g20/items.csv', "id,name\n201,new\n");
deliver('g21/items.csv', "id,name\n201,new\n");
run_hourly();
is(sql("SELECT file_name, state FROM txpipe.file WHERE group_key IN ('g20', 'g21') ORDER BY file_id"),
	"g20/items.csv|superseded\ng20/items.csv|waiting\ng21/items.csv|duplicate", 'a file overwritten while it waits is superseded');
deliver('g21/notes.json', "{\"id\": 210}\n");
run_hourly();
is(sql("SELECT file_name, state FROM txpipe.file WHERE group_key IN ('g20', 'g21') ORDER BY file_id"),
	"g20/items.csv|superseded\ng20/items.csv|duplicate\ng21/items.csv|loaded\ng21/notes.json|loaded",
	'a complete group loads content that waits in another one');
deliver('g20/notes.json', "{\"id\": 200}\n");
run_hourly();
is(sql('SELECT id, group_key FROM item WHERE id BETWEEN 200 AND 209'), '201|g20', 'once, and with the earlier group when that is complete');
is(sql("SELECT count(*) FROM txpipe.missing_group"), 0, 'no group is incomplete');

# --- a file that still grows ---

sql("ALTER SYSTEM SET txpipe.settle_time = '2s'");
$node->reload;
wait_for($node, "SELECT current_setting('txpipe.settle_time') = '2s'", 'the setting is there');
deliver('g30/notes.json', "{\"id\": 300}\n");
deliver('g30/items.csv',  "id,name\n300,half");
my $session = start_sql('CALL txpipe.run_hourly()');
running_pid("wait_event = 'Extension'");
is(sql("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
		. "WHERE a.query = 'CALL txpipe.run_hourly()' AND l.locktype <> 'virtualxid'"),
	0, 'no lock is held while files settle');
open my $fh, '>>', "$landing/g30/items.csv" or die;
print $fh " done\n301,more\n";
close $fh;
$session->{run}->finish;
is(files('g30/%'), "g30/items.csv settling 0 0 0 0 0 0\ng30/notes.json waiting 0 0 0 0 0 0", 'a file that changed meanwhile is not taken');
sql('ALTER SYSTEM RESET txpipe.settle_time');
$node->reload;
wait_for($node, "SELECT current_setting('txpipe.settle_time') = '0'", 'the setting is there');
run_hourly();
is(sql('SELECT id, name FROM item WHERE id IN (300, 301) ORDER BY 1'), "300|half done\n301|more", 'it is taken when it is done');

# --- a file that was there long before has settled, whatever the time ---

sql("ALTER SYSTEM SET txpipe.settle_time = '5min'");
$node->reload;
wait_for($node, "SELECT current_setting('txpipe.settle_time') = '5min'", 'the setting is there');
deliver('g31/notes.json', "{\"id\": 310}\n");
deliver('g31/items.csv',  "id,name\n310,old\n");
utime((time - 3600) x 2, map { "$landing/g31/$_" } qw(notes.json items.csv)) == 2 or die "utime: $!";
run_hourly();
is(sql('SELECT name FROM item WHERE id = 310'), 'old', 'a file of an hour ago is loaded at once');
sql('ALTER SYSTEM RESET txpipe.settle_time');
$node->reload;
wait_for($node, "SELECT current_setting('txpipe.settle_time') = '0'", 'the setting is there');

# --- after_load => keep, several batches, text form ---

sql(<<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE kept (id integer, mood mood, note text, line_no integer);
SELECT txpipe.create_feed('kept', 'kept/(.*)\.csv', 'kept', after_load => 'keep',
    options => '{"batch_rows": 7, "delimiter": ";", "null": "-"}');
CREATE TABLE stepped (LIKE kept);
SELECT txpipe.create_feed('stepped', 'stepped/(.*)\.csv', 'stepped', options => '{"batch_rows": 7}',
    step => $$ SELECT line_no, 'duplicate', NULL::text, NULL::text, NULL::text FROM batch WHERE note = 'twice' $$);
SQL
deliver('kept/a.csv', "id;mood;note\n" . join('', map { $_ % 10 == 0 ? "$_;angry;-\n" : "$_;ok;\"tab\t back\\slash \n$_\"\n" } 1 .. 50));
deliver('stepped/a.csv', "id,mood,note\n" . join('', map { $_ % 10 == 0 ? "$_,angry,\n" : $_ % 5 == 0 ? "$_,sad,twice\n" : "$_,happy,\"a\tb\\N\"\n" } 1 .. 50));
run_hourly();
is(files('kept/%'), 'kept/a.csv loaded_with_rejects 50 45 0 0 0 5', 'rows of any type are loaded, in several batches');
is(sql("SELECT count(*), count(DISTINCT line_no), max(line_no) FROM kept WHERE note = E'tab\\t back\\\\slash \\n' || id"),
	'45|45|94', 'as they are, with their lines');
is(files('stepped/%'), 'stepped/a.csv loaded_with_rejects 50 40 5 0 0 5', 'with a target and steps the rows left by the steps are loaded');
is(sql("SELECT count(*), min(line_no) FROM stepped WHERE note = E'a\\tb\\\\N' AND mood = 'happy'"), '40|2', 'as they are, too');
is(sql("SELECT string_agg(DISTINCT code, ' ') FROM txpipe.rejected_row JOIN txpipe.file USING (file_id) WHERE feed IN ('kept', 'stepped')"),
	'22P02', 'a value PostgreSQL refuses rejects its row');
ok(-e "$landing/kept/a.csv", 'a feed may keep its files');
utime(undef, undef, "$landing/kept/a.csv");
run_hourly();
is(files('kept/%'), 'kept/a.csv loaded_with_rejects 50 45 0 0 0 5', 'a kept file is loaded once, even when it was touched');
deliver('kept/a.csv', "id;mood\n51;ok\n");
run_hourly();
is(files('kept/%'), "kept/a.csv loaded_with_rejects 50 45 0 0 0 5\nkept/a.csv changed 0 0 0 0 0 0", 'and kept back when it changed');

# --- a group that fails, while others go on ---

sql(q{SELECT txpipe.create_feed('fails', '(f[0-9]+)\.csv', NULL, 'csv', '{"id": {"path": "id", "type": "integer"}}',
	step => 'INSERT INTO public.missing SELECT id FROM batch')});
deliver('f1.csv',         "id\n1\n2\n");
deliver('g40/items.csv',  "id,name\n400,x\n");
deliver('g40/notes.json', "{\"id\": 400}\n");
like(run_hourly(), qr/WARNING:  group "f1" of "fails" was not loaded: f1.csv: relation "public.missing" does not exist \[42P01\]/,
	'a group that fails is a warning');
is(sql("SELECT state, reason, attempts, retry_at > now() FROM txpipe.file WHERE feed = 'fails'"),
	'failed|f1.csv: relation "public.missing" does not exist [42P01]|1|t', 'and says why, and is tried again later');
is(files('g40/items%'), 'g40/items.csv loaded 1 1 0 0 0 0', 'other groups are loaded');
is(sql('SELECT state, groups_loaded, groups_failed FROM txpipe.run ORDER BY run_id DESC LIMIT 1'), 'failed|1|1', 'the run failed in part');
run_hourly();
is(sql("SELECT attempts FROM txpipe.file WHERE feed = 'fails'"), 1, 'not before its time');
sql('CREATE TABLE missing (id integer)');
sql("UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'");
run_hourly();
is(sql("SELECT state, reason, attempts FROM txpipe.file WHERE feed = 'fails'"), 'loaded||2', 'it recovers');
is(sql('SELECT count(*) FROM missing'), 2, 'with all its rows, once');

# Wrong steps fail their group, with the step's name or the reason.
my $number = 2;
for my $case (
	[ "SELECT line_no FROM batch",                                                    'returns rows of another shape' ],
	[ "SELECT line_no, 'odd', ''::text, ''::text, ''::text FROM batch",               'unknown outcome "odd"' ],
	[ "SELECT 99::bigint, 'rejected', ''::text, ''::text, ''::text",                   'line 99, which is not in its batch' ],
	[ "SELECT 'of no consequence' FROM batch WHERE id < 0",                           undef ],
	[ "SELECT nix FROM batch",                                                        'column "nix" does not exist' ],
	[ "SELECT 1 FROM public.committing()",                                            'invalid transaction termination' ])
{
	my ($step, $reason) = @$case;

	sql('CREATE OR REPLACE FUNCTION committing() RETURNS SETOF integer LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$');
	sql("SELECT txpipe.on_load('fails', 'load', \$\$$step\$\$)");
	deliver("f$number.csv", "id\n$number\n");
	run_hourly();
	my $state = sql("SELECT state || ': ' || coalesce(reason, '') FROM txpipe.file WHERE file_name = 'f$number.csv'");
	defined $reason ? like($state, qr/^failed: .*\Q$reason\E/, "refused: $step") : is($state, 'loaded: ', "fine: $step");
	$number++;
}
sql("SELECT txpipe.drop_feed('fails')");

# --- whose rights ---

sql(<<'SQL');
CREATE ROLE clerk LOGIN;
CREATE TABLE ledger_of_clerk (id integer, who name);
CREATE TABLE secret (id integer);
GRANT INSERT ON ledger_of_clerk TO clerk;
GRANT EXECUTE ON FUNCTION txpipe.create_feed, txpipe.on_load TO clerk;
GRANT EXECUTE ON PROCEDURE txpipe.run_hourly TO clerk;
SET ROLE clerk;
SELECT txpipe.create_feed('clerk', '(c[0-9]+)\.csv', NULL, 'csv', '{"id": {"path": "id", "type": "integer"}}',
    step => 'INSERT INTO public.ledger_of_clerk SELECT id, current_user FROM batch');
SQL
deliver('c1.csv', "id\n1\n");
deliver('g50/notes.json', "{\"id\": 500}\n");
$node->safe_psql('postgres', 'CALL txpipe.run_hourly()', extra_params => [ '-U', 'clerk' ]);
is(sql('SELECT id, who FROM ledger_of_clerk'), '1|clerk', "a step runs as the feed's owner");
is(files('g50/%'), '', 'a run takes only what belongs to roles the caller is a member of');
sql("SELECT txpipe.on_load('clerk', 'load', 'INSERT INTO public.secret SELECT id FROM batch')");
deliver('c2.csv', "id\n2\n");
like(run_hourly(), qr/permission denied for table secret \[42501\]/, 'also when a superuser runs it');
is($node->safe_psql('postgres', 'SELECT count(*) FROM txpipe.file', extra_params => [ '-U', 'clerk' ]), 2,
	'the owner sees the files of his feeds only');
sql("SELECT txpipe.drop_feed('clerk')");
deliver('g50/items.csv', "id\n500\n");
run_hourly();

# --- in a transaction block ---

deliver('g60/notes.json', "{\"id\": 600}\n");
deliver('g60/items.csv',  "id,name\n600,x\n");
sql('BEGIN; CALL txpipe.run_hourly(); ROLLBACK');
is(files('g60/%'), '', 'a rollback undoes all of it');
my $err;
$node->psql('postgres', 'BEGIN; CALL txpipe.run_hourly(); COMMIT', stderr => \$err, on_error_die => 1);
like($err, qr/NOTICE:  all groups are loaded in the present transaction/, 'a transaction block is told');
is(sql('SELECT count(*) FROM item WHERE id = 600'), 1, 'a commit keeps all of it');
ok(-e "$landing/g60/items.csv", 'files stay until it is committed');
run_hourly();
ok(!-e "$landing/g60/items.csv", 'and are removed by the next run');
deliver('g61/notes.json', "{\"id\": 610}\n");
deliver('g61/items.csv',  "id,name\n610,x\n");
sql('DO $$ BEGIN BEGIN CALL txpipe.run_hourly(); EXCEPTION WHEN division_by_zero THEN NULL; END; END $$');
is(sql('SELECT count(*) FROM item WHERE id = 610'), 1, 'an exception block is no obstacle');

# --- two runs at a time, and crashes ---

sql(<<'SQL');
SELECT txpipe.create_feed('gate', '(w[0-9]+)\.csv', 'seen', options => '{"batch_rows": 2}',
    step => 'SELECT line_no, ''filtered'', NULL::text, NULL::text, NULL::text FROM batch WHERE pg_advisory_xact_lock_shared(4711) IS NULL');
SQL
my $rows = "id\n" . join('', map { "$_\n" } 1 .. 10);

sub start_blocked_run
{
	my ($lock) = @_;

	# A session that holds the gate's lock until it is told to go.
	my $holder = { in => "SELECT pg_advisory_lock(4711);\n", out => '' };
	$holder->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$holder->{in}, '>', \$holder->{out});
	$holder->{run}->pump_nb;
	wait_until('the gate is closed', sub { $holder->{run}->pump_nb; sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted") });
	my $run = start_sql('CALL txpipe.run_hourly()');
	$run->{holder} = $holder;
	$run->{pid}    = running_pid("wait_event = 'advisory'");
	return $run;
}

sub open_gate
{
	my ($run) = @_;

	$run->{holder}{in} .= "\\q\n";
	eval { $run->{holder}{run}->finish };
	return;
}

deliver('w1.csv', $rows);
my $first = start_blocked_run();
my $second = start_sql('CALL txpipe.run_hourly()');
$second->{run}->finish;
is($second->{err}, "NOTICE:  1 groups are left to another session, which is loading\n", 'of two runs the second leaves the group to the first');
open_gate($first);
$first->{run}->finish;
like($first->{err}, qr/^NOTICE:  loaded 1 groups: 1 files, 10 rows.*\n\z/, 'which loads it');
is(files('w1%'), 'w1.csv loaded 10 10 0 0 0 0', 'once');

# A cancelled run leaves the group for the next.
deliver('w2.csv', "id\n20\n");
$first = start_blocked_run();
sql("SELECT pg_cancel_backend($first->{pid})");
$first->{run}->finish;
open_gate($first);
like($first->{err}, qr/canceling statement due to user request/, 'a run can be cancelled');
is(files('w2%'), 'w2.csv loading 0 0 0 0 0 0', 'that is not a failure of the group');
run_hourly();
is(files('w2%'), 'w2.csv loaded 1 1 0 0 0 0', 'which the next run loads');
is(sql("SELECT count(*) FROM txpipe.run WHERE state = 'running'"), 0, 'and the cancelled one is not running any more');

# The child dies by a signal: the group fails, the server does not notice.
my $checkpointer = checkpointer_pid($node);
for my $signal (qw(KILL SEGV))
{
	my $name = $signal eq 'KILL' ? 'w3' : 'w4';

	deliver("$name.csv", "id\n" . join('', map { "${_}\n" } $name eq 'w3' ? 30 .. 39 : 40 .. 49));
	$first = start_blocked_run();
	kill $signal, child_pid($first->{pid});
	open_gate($first);
	$first->{run}->finish;
	is(sql("SELECT state FROM txpipe.file WHERE file_name = '$name.csv'"), 'failed', "a child that dies by SIG$signal fails the group");
	sql("UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'");
	run_hourly();
	is(files("$name%"), "$name.csv loaded 10 10 0 0 0 0", 'the next try loads it');
}
is(checkpointer_pid($node), $checkpointer, 'the server did not restart');

# The session dies: the server restarts, and the next run does it all once.
deliver('w5.csv', "id\n" . join('', map { "$_\n" } 50 .. 59));
$first = start_blocked_run();
my $child = child_pid($first->{pid});
ok($child, 'a child reads the file');
kill 'KILL', $first->{pid};
wait_for($node, 'SELECT true', 'the server is back');
wait_until('the child is gone', sub { !process_lives($child) });
eval { $first->{run}->finish };
open_gate($first);
is(sql('SELECT count(*) FROM seen WHERE id BETWEEN 50 AND 59'), 0, 'a crash during a load leaves no row');
ok(-e "$landing/w5.csv", 'and the file');
run_hourly();
is(files('w5%'), 'w5.csv loaded 10 10 0 0 0 0', 'the next run loads it whole');
is(sql("SELECT count(*) FROM txpipe.run WHERE state = 'running'"), 0, 'the dead run is recorded as such');
is(sql("SELECT count(*) FROM txpipe.run WHERE message = 'its session ended before it did'") >= 1, 1, 'with the reason');

# --- directories ---

# --- a broken file is taken back, and its group goes on ---

sql(q{CREATE TABLE back (id integer);
	SELECT txpipe.create_feed('back', '(b[0-9]+)/.*\.csv', 'back')});
deliver('b1/broken.csv', '');
run_hourly();
is(files('b1/%'), 'b1/broken.csv failed 0 0 0 0 0 0', 'an empty file fails its group');
unlink "$landing/b1/broken.csv";
deliver('b1/right.csv', "id\n1\n");
run_hourly();
is(files('b1/%'), "b1/broken.csv superseded 0 0 0 0 0 0\nb1/right.csv loaded 1 1 0 0 0 0",
	'without it the group loads');
deliver('b2/semicolons.csv', "id;x\n1;2\n");
deliver('b3/cr.csv', "id,x\r1,2\r2,3\r");
run_hourly();
is(files('b2/%') . '|' . files('b3/%'), 'b2/semicolons.csv failed 0 0 0 0 0 0|b3/cr.csv failed 0 0 0 0 0 0',
	'a wrong delimiter and CR line ends are no empty files');
is(sql(q{SELECT count(*) FROM txpipe.run WHERE message ~ 'failed with SQLSTATE'} ) > 0, 1, 'runs name the code');
is(sql(q{SELECT count(*) FROM txpipe.run WHERE message ~ 'Failing row'}), 0, 'and no data');

# --- what a feed's owner puts off to the commit runs as him, not as the caller ---

sql(<<'SQL');
CREATE ROLE mallory;
GRANT CREATE ON SCHEMA public TO mallory;
GRANT EXECUTE ON FUNCTION txpipe.create_feed, txpipe.on_load TO mallory;
SET SESSION AUTHORIZATION mallory;
CREATE TABLE evil (id integer);
CREATE TABLE later (id integer);
CREATE TABLE ran_as (who text);
CREATE FUNCTION put_off() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
	SET CONSTRAINTS ALL DEFERRED;
	INSERT INTO public.later VALUES (NEW.id);
	RETURN NULL;
END$$;
CREATE FUNCTION attack() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
	INSERT INTO public.ran_as VALUES (current_user);
	RETURN NULL;
END$$;
CREATE CONSTRAINT TRIGGER put_off AFTER INSERT ON evil DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION put_off();
CREATE CONSTRAINT TRIGGER attack AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION attack();
CREATE FUNCTION nest() RETURNS integer LANGUAGE plpgsql AS $$BEGIN
	CREATE TEMP TABLE IF NOT EXISTS planted (id integer);
	RETURN 1;
END$$;
SELECT txpipe.create_feed('evil', '(e[0-9]+)\.csv', 'evil');
SELECT txpipe.create_feed('planter', '(p[0-9]+)\.csv', NULL, 'csv', '{"id": {"path": "id", "type": "integer"}}',
	step => 'INSERT INTO public.ran_as SELECT $$never$$ FROM batch WHERE public.nest() = 2');
SQL
deliver('e1.csv', "id\n1\n");
deliver('p1.csv', "id\n1\n");
run_hourly();
is(sql('SELECT string_agg(who, $$ $$) FROM ran_as'), 'mallory', 'in the commit, too, it ran as the owner');
like(sql(q{SELECT reason FROM txpipe.file WHERE file_name = 'p1.csv'}), qr/use temporary objects in the session/,
	'and nothing is planted in the session of the caller');
is(sql('SELECT current_user, session_user'), 'postgres|postgres', 'the caller is himself again');
is(error_of($node, q{BEGIN; CALL txpipe.run_hourly(); COMMIT})->{state}, '25001',
	'in a block it is refused to others') if deliver('e2.csv', "id\n2\n");
run_hourly();

is(error_of($node, 'CALL txpipe.run_hourly(0)')->{state}, '22023', 'max_groups must make sense');
for my $case (
	[ 'landing', '',               '55000', qr/txpipe\.landing_directory is not set/ ],
	[ 'landing', "$dirs/nowhere",  '58P01', qr/cannot use the directory ".*nowhere" of txpipe\.landing_directory: No such file/ ],
	[ 'lake',    '',               '55000', qr/txpipe\.lake_directory is not set/ ],
	[ 'lake',    "$landing/lake",  '58P01', qr/cannot use the directory/ ],
	[ 'lake',    $landing,         '22023', qr/lies within/ ])
{
	my ($which, $path, $state, $message) = @$case;
	my $error = error_of($node, "SET txpipe.${which}_directory = '$path'; CALL txpipe.run_hourly()");

	is($error->{state}, $state, "$which directory '$path': SQLSTATE");
	like($error->{message}, $message, 'a sentence');
	ok($error->{hint}, 'a hint');
}
deliver('w6.csv', "id\n60\n");
is(sql("SET txpipe.lake_directory = '/proc'; SELECT 1"), 1, 'a lake that cannot be written');
isnt(error_of($node, "SET txpipe.lake_directory = '/proc'; CALL txpipe.run_hourly()"), undef, 'is an error') if $> != 0;
run_hourly();
is(files('w6%'), 'w6.csv loaded 1 1 0 0 0 0', 'afterwards all is well');

is(sql('SELECT count(*) FROM txpipe.file WHERE state LIKE \'loaded%\' AND rows_read <> rows_loaded + rows_duplicate + rows_filtered '
		. '+ rows_superseded + rows_rejected'),
	0, 'every record of every file is accounted for');
is(sql('SELECT count(*) FROM txpipe.file f WHERE rows_rejected <> (SELECT count(*) FROM txpipe.rejected_row r WHERE r.file_id = f.file_id)'),
	0, 'and every rejected one is kept');

# --- a step behind the last batch of a file ---

sql(<<'SQL');
CREATE TABLE counted (id int, file_id bigint);
CREATE TABLE file_count (group_key text, lines bigint);
SELECT txpipe.create_feed('counted', '(counted\d)/.*\.csv', 'counted', options => '{"batch_rows": 2}');
SELECT txpipe.on_file_end('counted', 'count', 'INSERT INTO public.file_count
	SELECT group_key, (SELECT count(*) FROM public.counted c WHERE c.file_id = l.file_id) FROM loaded l');
SQL
deliver('counted1/five.csv', "id\n1\n2\n3\n4\n5\n");
deliver('counted2/none.csv', "id\n");
run_hourly();
is(sql('TABLE file_count ORDER BY 1'), "counted1|5\ncounted2|0", 'it runs once for a file, and sees all of it');
sql(q{SELECT txpipe.on_file_end('counted', 'fail', 'INSERT INTO public.counted SELECT 1 / 0 FROM loaded')});
deliver('counted3/six.csv', "id\n6\n");
like(run_hourly(), qr/group "counted3" of "counted" was not loaded: .*division by zero/, 'its error fails the group');
is(sql('SELECT max(id), count(*) FROM counted'), '5|5', 'of which nothing is loaded');
sql(q{SELECT txpipe.drop_feed('counted')});

# --- memory that batches leave behind ---

# A statement with a transition table allocates in the context of its subtransaction.
sql(<<'SQL');
CREATE TABLE watched (id int);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM count(*) FROM came; RETURN NULL; END';
CREATE TRIGGER watch AFTER INSERT ON watched REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION watch();
CREATE TABLE context_count (group_key text, contexts bigint);
SELECT txpipe.create_feed('watched', '(watched\d)/.*\.csv', columns => '{"id": {"path": "id", "type": "integer"}}',
	step => 'INSERT INTO public.watched SELECT id FROM batch', options => '{"batch_rows": 2}');
SELECT txpipe.on_file_end('watched', 'contexts', 'INSERT INTO public.context_count SELECT group_key, (SELECT count(*)
	FROM pg_catalog.pg_backend_memory_contexts WHERE name = ''CurTransactionContext'') FROM loaded');
SQL
deliver('watched1/few.csv', join("\n", 'id', 1 .. 4) . "\n");
run_hourly();
deliver('watched2/many.csv', join("\n", 'id', 1 .. 100) . "\n");
run_hourly();
is(sql('SELECT count(*) FROM watched'), '104', 'all batches are loaded');
is(sql('SELECT count(DISTINCT contexts) FROM context_count'), '1', 'many batches leave no more memory behind than few');
sql(q{SELECT txpipe.drop_feed('watched')});

# --- plans that a session keeps ---

sql(<<'SQL');
CREATE TABLE again (id int);
CREATE FUNCTION nest(id int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
	IF id = 1 THEN PERFORM txpipe.validate_file('again2/two.csv'); END IF; RETURN true; END $$;
SELECT txpipe.create_feed('again', '(again\d)/.*\.csv', columns => '{"id": {"path": "id", "type": "integer"}}',
	step => 'INSERT INTO public.again SELECT id FROM batch WHERE public.nest(id)');
SQL
deliver("again$_->[0]/$_->[1].csv", "id\n$_->[0]\n") for [ 1, 'one' ], [ 2, 'two' ], [ 3, 'three' ], [ 4, 'four' ];
my $plans = q{SELECT 'plans ' || count(*) FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource' AND ident LIKE 'INSERT INTO public.again%'};
my $kept = sql("SET client_min_messages = warning; CALL txpipe.run_hourly(1); $plans; CALL txpipe.run_hourly(1); $plans;
	DROP TABLE again; CREATE TABLE again (at timestamptz DEFAULT now(), id int); $plans;
	SELECT txpipe.on_load('again', 'load', 'INSERT INTO public.again (id) SELECT id FROM batch') IS NULL; CALL txpipe.run_hourly(1); $plans;
	ALTER TABLE again DROP COLUMN at; CALL txpipe.run_hourly(1); SELECT string_agg(again::text, ' ' ORDER BY id) FROM again");
is($kept =~ s/\n[tf]?\n/\n/r, "plans 1\nplans 1\nplans 1\nplans 2\n(3) (4)", 'a plan is kept, follows its tables, and a step within itself has one of its own');
sql(q{SELECT txpipe.drop_feed('again')});

# --- steps at the end of a run ---

sql(<<'SQL');
CREATE TABLE ended (id int, rows bigint, xid xid8 DEFAULT pg_current_xact_id(), by name DEFAULT current_user);
CREATE TABLE ending (id int, xid xid8 DEFAULT pg_current_xact_id());
SELECT txpipe.create_feed('ending', '(ending\d)/.*\.csv', 'ending', columns => '{"id": "id"}');
SELECT txpipe.on_run_end('ending', 'note', 'INSERT INTO public.ended SELECT max(id), count(*) FROM public.ending');
SQL
deliver('ending1/one.csv', "id\n1\n2\n");
run_hourly();
is(sql('SELECT e.id, e.rows, e.xid > max(l.xid) FROM ended e, ending l GROUP BY 1, 2, e.xid'), '2|2|t', 'a step at the end of a run sees what it has committed');
run_hourly();
is(sql('SELECT count(*) FROM ended'), '2', '... and runs when nothing came');
is(sql(q{SELECT end_steps IS NULL, run_end_steps FROM txpipe.feed_status WHERE feed = 'ending'}), 't|{note}', '... and is listed');
sql(q{SELECT txpipe.on_run_end('ending', 'fail', 'SELECT 1 / 0')});
deliver('ending2/two.csv', "id\n3\n");
like(run_hourly(), qr/loaded 1 groups.*WARNING:  steps at the end of the run of "ending" were undone: step "fail": division by zero \[22012\]/s,
	'its failure is a warning');
is(sql('SELECT count(*) FROM ended') . sql('SELECT max(id) FROM ending'), '23', '... that undoes what the steps did, and no load');
is(sql("BEGIN; SELECT txpipe.on_run_end('ending', 'fail', NULL) IS NULL; CALL txpipe.run_hourly(); SELECT count(*) FROM ended; ROLLBACK; SELECT count(*) FROM ended")
	=~ s/.*\n(\d+\n\d+)$/$1/sr, "3\n2", 'in a block it is part of it');
sql(q{CREATE ROLE ender; GRANT INSERT, SELECT ON ended, ending TO ender; ALTER TABLE ended OWNER TO ender; ALTER TABLE ending OWNER TO ender;
	SELECT txpipe.on_run_end('ending', 'fail', NULL)});
sql(q{UPDATE txpipe.feed SET owner_oid = 'ender'::regrole, owner_name = 'ender' WHERE feed = 'ending'});
run_hourly();
is(sql('SELECT by FROM ended ORDER BY xid DESC LIMIT 1'), 'ender', 'it runs with the rights of the owner of the feed');
my $locker = $node->background_psql('postgres');
$locker->query_safe(q{BEGIN; SELECT FROM txpipe.feed WHERE feed = 'ending' FOR UPDATE});
run_hourly();
is(sql('SELECT count(*) FROM ended'), '3', 'who is at work on the feed is not waited for');
$locker->quit;
sql(q{SELECT txpipe.drop_feed('ending')});

log_is_clean($node, qr/canceling statement|terminating connection|division by zero|max_groups|txpipe\.\w+_directory|was terminated|recovery|not yet accepting connections|starting up|cannot use|only the owner of the feeds/);
$node->stop;
done_testing();
