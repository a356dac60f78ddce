# What the server runs out of, and what its roles lose: connections, background workers, time, privileges, owners. Streams and
# feeds say what is missing, lose and double nothing, and go on without a restart when it is there again.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $broker = start_broker('t:2', 'other:1', 'mine:1');
my $node   = files_node('limits');
my %sent   = (t => 0, other => 0, mine => 0);

sub send_some
{
	my ($topic) = @_;
	my $n = 100;

	produce_lines($broker, $topic, 0, map { '{"n": ' . ++$sent{$topic} . '}' } 1 .. $n);
	return;
}

sub all_there
{
	my ($stream, $what, %opt) = @_;

	wait_for($node, "SELECT state = 'running' AND reason IS NULL AND lag_messages = 0 AND rows_total = $sent{$stream}
		FROM txpipe.stream_status WHERE stream = '$stream'", "$what: all of $stream is read", %opt);
	is($node->safe_psql($opt{db} // 'postgres', "SELECT count(*), count(DISTINCT n), max(n) FROM $stream"), join('|', ($sent{$stream}) x 3),
		"$what: each message is a row once");
	return;
}

sub shows
{
	my ($stream, $reason, $what) = @_;

	wait_for($node, "SELECT state = 'error' AND reason ~ '$reason' FROM txpipe.stream_status WHERE stream = '$stream'", "$what: the status says so");
	pass("$what: the status says so");
	return;
}

kafka_server($node, 'shop', $broker);
sql(<<'SQL');
CREATE TABLE t (n int);
SELECT txpipe.create_stream('t', 'shop', 't', 't', options => '{"batch_rows": 20}');
SQL
send_some('t');
all_there('t', 'at first');

# --- no connection is left ---

$node->append_conf('postgresql.conf', "max_connections = 5\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0\nautovacuum = off\n"
	  . "txpipe.dashboard_interval = '1s'\n");
$node->restart;
my $watcher = $node->background_psql('postgres');
my @sessions = map { $node->background_psql('postgres') } 1 .. 4;
isnt($node->psql('postgres', 'SELECT 1', stderr => \my $refused), 0, 'no connection is left');
like($refused, qr/too many clients/, '... which the server says');
my $worker = $watcher->query(q{SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'});
my $page   = $node->basedir . '/dirs/export/dashboard.html';
unlink $page;
$watcher->query_safe("SELECT pg_terminate_backend($worker)");
wait_until('the worker has ended', sub { !process_lives($worker) });
send_some('t');
wait_until('streams go on with another worker', sub { $watcher->query('SELECT count(*) FROM t') eq $sent{t} });
isnt($watcher->query(q{SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'}), $worker, 'a worker needs no connection');
wait_until('the dashboard is written', sub { -s $page });
pass('nor does the dashboard that it writes');
$_->quit for @sessions;
$watcher->quit;
all_there('t', 'with connections again');

# --- no background worker is left: that of another database has the last ---

$node->append_conf('postgresql.conf', "max_worker_processes = 3\nmax_logical_replication_workers = 0\nmax_connections = 30\ntxpipe.dashboard_interval = 0\n");
$node->restart;
all_there('t', 'with three background workers');
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second',   'CREATE EXTENSION txpipe');
kafka_server($node, 'shop', $broker, 'second');
sub second { return $node->safe_psql('second', $_[0]) }
second(q{CREATE TABLE other (n int); SELECT txpipe.create_stream('other', 'shop', 'other', 'other')});
send_some('other');
all_there('other', 'with one worker each', db => 'second');
sql('CREATE DATABASE third');
$node->safe_psql('third', 'CREATE EXTENSION txpipe');
kafka_server($node, 'shop', $broker, 'third');
$node->safe_psql('third', q{CREATE TABLE mine (n int); SELECT txpipe.create_stream('mine', 'shop', 'mine', 'mine')});
wait_for($node, q{SELECT reason FROM txpipe.stream_status}, 'the third database is told that no worker is left', db => 'third',
	value => 'waiting for a worker: no background worker is free, max_worker_processes is 3');
send_some('mine');
is($node->safe_psql('third', q{SELECT ok, hint ~ 'max_worker_processes' FROM txpipe.check_setup() WHERE item = 'workers'}), 'f|t', 'check_setup says so, too');
second(q{SELECT txpipe.pause_stream('other')});
all_there('mine', 'when one is free', db => 'third');
$node->safe_psql('postgres', "DROP DATABASE $_") for 'second', 'third';
$sent{mine} = 0;

# --- time-outs of the database and of roles ---

$node->append_conf('postgresql.conf', "max_worker_processes = 24\nlog_min_error_statement = panic\n");
$node->restart;
sql(<<'SQL');
CREATE FUNCTION takes_its_time() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END$$; -- sleep-ok: what a slow trigger is
CREATE TRIGGER slow AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION takes_its_time();
CREATE TABLE item (id int, name text);
CREATE TRIGGER slow AFTER INSERT ON item FOR EACH STATEMENT EXECUTE FUNCTION takes_its_time();
SELECT txpipe.create_feed('item', 'item_([0-9]+)\.csv', 'item');
SQL
my $files = 0;

sub set_time_outs
{
	my ($value, @settings) = @_;
	my $action = $value ? "SET %1\$s = '$value'" : 'RESET %1$s';

	sql(join '; ', map { sprintf "ALTER DATABASE postgres $action; ALTER ROLE postgres $action", $_ } @settings);
	return;
}

# Batches and a file that take longer than any of these allows.
sub outlasts
{
	my ($how_it_ends, @settings) = @_;

	set_time_outs('150ms', @settings);
	my $since = sql('SELECT clock_timestamp()');
	$worker = worker_pid($node);
	sql("SELECT pg_terminate_backend($worker)");
	wait_until('the worker has ended', sub { !process_lives($worker) });
	send_some('t');
	wait_for($node, "SELECT count(*) = $sent{t} FROM t", 'batches that take longer are written');
	$worker = worker_pid($node);
	send_some('t');
	all_there('t', "with @settings");
	is(worker_pid($node), $worker, '... by one worker');
	is(sql(qq{SELECT count(*) FROM txpipe.stream_event WHERE event = 'error' AND happened_at > '$since'}), 0, '... and none was an error');

	deliver('item_' . ++$files . '.csv', "id,name\n$files,a\n");
	like((error_of($node, 'CALL txpipe.run_hourly()') // {})->{text} // 'nothing', $how_it_ends, 'run_hourly comes to its end, and says so');
	is(sql('SELECT count(*) FROM item'), $files - 1, '... nothing is loaded by halves');
	set_time_outs(undef, @settings);
	sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
	run_hourly();
	is(sql('SELECT count(*), count(DISTINCT id), (SELECT string_agg(DISTINCT state, $$ $$) FROM txpipe.file) FROM item'), "$files|$files|loaded",
		'... with time it is loaded, once');
	return;
}

outlasts(qr/canceling statement due to statement timeout/, 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
	'idle_session_timeout');
SKIP:
{
	skip 'transaction_timeout: PostgreSQL 17', 8 unless sql(q{SELECT count(*) FROM pg_settings WHERE name = 'transaction_timeout'});
	outlasts(qr/terminating connection due to transaction timeout/, 'transaction_timeout');
	# Ten transactions of 0.4 s.
	set_time_outs('3s', 'transaction_timeout');
	deliver('item_' . ++$files . '.csv', "id,name\n$files,a\n") for 1 .. 10;
	is(error_of($node, 'SET txpipe.groups_per_transaction = 1; CALL txpipe.run_hourly()'), undef, 'transaction_timeout counts anew with each group');
	is(sql('SELECT count(*), count(DISTINCT id) FROM item'), "$files|$files", '... and all are loaded');
	set_time_outs(undef, 'transaction_timeout');
}
sql('DROP TRIGGER slow ON t; DROP TRIGGER slow ON item');
sql(q{SELECT txpipe.drop_stream('t')});

# --- the owner of a stream loses this and that ---

sql(<<'SQL');
CREATE ROLE ann LOGIN;
GRANT USAGE ON FOREIGN SERVER shop TO ann;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO ann;
CREATE SCHEMA hers;
GRANT USAGE ON SCHEMA hers TO ann;
CREATE TABLE hers.mine (n int);
GRANT SELECT, INSERT ON hers.mine TO ann;
ALTER ROLE postgres SET search_path = public, hers;
SET ROLE ann;
SELECT txpipe.create_stream('mine', 'shop', 'mine', 'hers.mine', options => '{"batch_rows": 20}');
SQL
my $begins = qr/./;
wait_for_offset($node, 'mine', 100);
$sent{mine} = 100;
for my $case (
	[ 'INSERT on the table',  'REVOKE INSERT ON hers.mine FROM ann', '^42501: .*mine', 'GRANT INSERT ON hers.mine TO ann' ],
	[ 'USAGE of the schema',  'REVOKE USAGE ON SCHEMA hers FROM ann', '^(42501|42P01): .*(hers|mine)', 'GRANT USAGE ON SCHEMA hers TO ann', 1 ],
	[ 'USAGE of the server',  'REVOKE USAGE ON FOREIGN SERVER shop FROM ann', '^42501: .*shop', 'GRANT USAGE ON FOREIGN SERVER shop TO ann', 2 ])
{
	my ($what, $ddl, $reason, $repair, $open) = @$case;

	sql($ddl);
	# What is checked when a stream is opened counts from the next time on.
	if ($open)
	{
		$worker = worker_pid($node);
		sql("SELECT pg_terminate_backend($worker)");
	}
	send_some('mine');
	if (($open // 0) == 1)
	{
		# Targets are found by their OID: a schema's privilege may not matter.
		wait_for($node, "SELECT (state = 'error' AND reason ~ '$reason') OR rows_total = $sent{mine} FROM txpipe.stream_status WHERE stream = 'mine'",
			"the owner loses $what");
	}
	else
	{
		shows('mine', $reason, "the owner loses $what");
	}
	note(sql(q{SELECT state, reason FROM txpipe.stream_status WHERE stream = 'mine'}));
	sql($repair);
	all_there('mine', "the owner has $what again");
}
sub other_worker
{
	$worker = worker_pid($node);
	sql("SELECT pg_terminate_backend($worker)");
	wait_until('the worker has ended', sub { !process_lives($worker) });
	return;
}

sql('ALTER ROLE ann NOLOGIN');
other_worker();
send_some('mine');
all_there('mine', 'the owner may not log in');
# Name and OID make the owner: after a restore either may be another one's.
sql('ALTER ROLE ann RENAME TO eve');
other_worker();
send_some('mine');
shows('mine', '^42704: owner "ann" of stream "mine" does not exist any more. The role with its OID is now called "eve"', 'the owner is renamed');
sql('ALTER ROLE eve RENAME TO ann');
all_there('mine', 'the owner has its name back');

# Dropped: nobody inherits the stream, not even a role of the name. Another one goes on at its offsets.
sql('REASSIGN OWNED BY ann TO postgres; DROP OWNED BY ann; DROP ROLE ann');
send_some('mine');
shows('mine', '^42704: owner "ann" of stream "mine" does not exist any more', 'the role is dropped');
my $next = sql(q{SELECT jsonb_object_agg(partition, next_offset) FROM txpipe.stream_partition WHERE stream = 'mine'});
sql(<<"SQL");
SELECT txpipe.drop_stream('mine');
CREATE ROLE ann;
GRANT USAGE ON SCHEMA hers TO ann;
GRANT SELECT, INSERT ON hers.mine TO ann;
GRANT USAGE ON FOREIGN SERVER shop TO ann;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO ann;
SET ROLE ann;
SELECT txpipe.create_stream('mine', 'shop', 'mine', 'hers.mine', paused => true);
SELECT txpipe.seek_stream('mine', '$next');
SELECT txpipe.resume_stream('mine');
SQL
wait_for_offset($node, 'mine', $sent{mine});
is(sql('SELECT count(*), count(DISTINCT n), max(n) FROM mine'), join('|', ($sent{mine}) x 3), 'created anew at the offsets it had, each message is a row once');
is(sql('SELECT count(*) FROM txpipe.dead_letter'), 0, 'none of it made a dead letter');

# --- the owner of a feed ---

sql(<<'SQL');
CREATE TABLE hers.part (id int, name text);
GRANT SELECT, INSERT ON hers.part TO ann;
SET ROLE ann;
SELECT txpipe.create_feed('part', 'part_([0-9]+)\.csv', 'hers.part');
SQL
deliver('part_1.csv', "id,name\n1,a\n2,b\n");
sql('REVOKE INSERT ON hers.part FROM ann');
run_hourly();
is(sql(q{SELECT state, reason ~ 'permission denied for table part' FROM txpipe.file WHERE feed = 'part'}), 'failed|t', 'a feed whose owner may not insert fails and says so');
sql('GRANT INSERT ON hers.part TO ann');
sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
run_hourly();
is(sql(q{SELECT state, (SELECT count(*) FROM hers.part) FROM txpipe.file WHERE feed = 'part'}), 'loaded|2', '... and is loaded when he may');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to/, qr/too many clients/, qr/canceling statement due to statement timeout/, qr/remaining connection slots/);
stop_broker($broker);
done_testing();
