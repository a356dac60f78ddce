# Nobody is kept waiting: a database can be dropped, renamed or copied and the extension dropped while
# streams run and messages keep coming; and the server stops at once.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeTest;

my @databases = qw(ext gone stuck oldname source);
my $broker    = start_broker(map { "$_:2" } @databases);
my $node      = new_node('drop');
start_node($node);

# Producers that go on for the whole test.
my %producers;
for my $topic (@databases)
{
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		setpgrp(0, 0);
		open STDOUT, '>', '/dev/null';
		exec "$ENV{TXPIPE_TREE}/demo/produce", '--broker', $broker->{servers}, '--topic', $topic,
		  '--partitions', 2, '--rate', 300
		  or die "demo/produce: $!";
	}
	$producers{$pid} = 1;
}

END
{
	my $status = $?;

	kill 'KILL', map { -$_ } keys %producers;
	waitpid($_, 0) for keys %producers;
	$? = $status;
}

sub stream_in
{
	my ($db) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db,        'CREATE EXTENSION txpipe');
	kafka_server($node, 'shop', $broker, $db);
	$node->safe_psql($db, <<"SQL");
CREATE TABLE log (event text, customer text, at timestamp);
SELECT txpipe.create_stream('log', 'shop', '$db', 'log',
	columns => '{"event": "eventType", "customer": "customerId", "at": "timestamp"}');
SQL
	wait_for($node, 'SELECT count(*) > 100 FROM log', "rows arrive in $db", db => $db);
	return;
}

# Runs the statement while the stream is busy and says how long it took.
sub succeeds
{
	my ($what, $db, $sql) = @_;
	my $start = time();
	my $rc    = $node->psql($db, $sql, stderr => \my $err);
	my $took  = time() - $start;

	is($rc, 0, sprintf '%s succeeds while a stream runs (%.1f s)', $what, $took) or diag($err);
	return;
}

sub workers_of
{
	my ($db) = @_;

	return "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%' AND datname = '$db'";
}

# --- DROP EXTENSION leaves the user's table, and no worker ---

stream_in('ext');
succeeds('DROP EXTENSION', 'ext', 'DROP EXTENSION txpipe CASCADE');
wait_for($node, workers_of('ext'), 'the worker left', value => '0');
my $rows = $node->safe_psql('ext', 'SELECT count(*) FROM log');
cmp_ok($rows, '>', 100, 'the table keeps its rows');
is( $node->safe_psql('ext', q{SELECT count(*) FROM pg_depend WHERE refobjid = 'txpipe'::regnamespace}),
	'0', 'nothing is left in its schema');

# --- databases ---

stream_in('gone');
succeeds('DROP DATABASE', 'postgres', 'DROP DATABASE gone');
is($node->safe_psql('postgres', workers_of('gone')), '0', 'no worker is left of it');

# A batch that does not end is given up: nobody waits for it.
stream_in('stuck');
$node->safe_psql('stuck', <<'SQL');
CREATE FUNCTION never_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		PERFORM pg_sleep(1); -- sleep-ok: what a slow trigger is
	END LOOP;
END $$;
CREATE TRIGGER never_ends BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION never_ends();
SQL
wait_for($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'stuck' AND wait_event = 'PgSleep'},
	'a batch is stuck');
succeeds('DROP DATABASE', 'postgres', 'DROP DATABASE stuck');

stream_in('oldname');
succeeds('ALTER DATABASE RENAME', 'postgres', 'ALTER DATABASE oldname RENAME TO newname');
$rows = $node->safe_psql('newname', 'SELECT count(*) FROM log');
wait_for($node, "SELECT count(*) > $rows FROM log", 'the stream goes on under the new name', db => 'newname');

stream_in('source');
succeeds('CREATE DATABASE … TEMPLATE', 'postgres', 'CREATE DATABASE copy TEMPLATE source');
$rows = $node->safe_psql('source', 'SELECT count(*) FROM log');
wait_for($node, "SELECT count(*) > $rows FROM log", 'the source goes on', db => 'source');
# --- an idle server has no connection to a database without running streams ---

$node->safe_psql('source', "SELECT txpipe.pause_stream('log')");
wait_for($node, workers_of('source'), 'a pause ends the connection', value => '0');
$node->safe_psql('source', "SELECT txpipe.resume_stream('log')");
$rows = $node->safe_psql('source', 'SELECT count(*) FROM log');
wait_for($node, "SELECT count(*) > $rows FROM log", 'and resuming begins again', db => 'source');

# --- fast shutdown, with many streams, some of them without a broker ---

$node->safe_psql('source', <<'SQL');
CREATE SERVER nowhere FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
SELECT txpipe.create_stream('lost' || n, 'nowhere', 'lost', 'log', paused => true,
	columns => '{"event": "eventType"}', options => CASE n WHEN 1 THEN '{"workers": 3}' ELSE '{}' END::jsonb)
  FROM generate_series(1, 20) n;
SELECT txpipe.resume_stream('lost' || n) FROM generate_series(1, 20) n;
SQL
wait_for($node, q{SELECT count(*) = 20 FROM txpipe.stream_status WHERE state = 'error' AND stream ~ '^lost'},
	'twenty streams have no broker', db => 'source');
$rows = $node->safe_psql('source', 'SELECT count(*) FROM log');
wait_for($node, "SELECT count(*) > $rows FROM log", 'the one that has goes on', db => 'source');
wait_for($node, workers_of('source'), 'several workers serve them', db => 'source', value => 5);

my $start = time();
$node->stop('fast');
cmp_ok(time() - $start, '<', 2, 'a fast shutdown takes less than 2 s while streams run');

log_is_clean($node, qr/terminating .* due to administrator command/, qr/database "(gone|stuck)" does not exist/,
	qr/database "oldname" does not exist/);
stop_broker($broker);
done_testing();
