# Exactly once while worker and child are killed: 200,000 messages over 8 partitions, 1 % broken.
#
# Message o of partition p has the id 8 * o + p, so what must be there is a query, not a list. Kills of the
# child must not restart the server; kills of the worker do (PostgreSQL's rule), and nothing is lost either.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeTest;

my $partitions = 8;
my $kills      = $ENV{TXPIPE_TEST_LONG} ? 60 : 12;
my $in_flight  = q{state = 'active' AND xact_start IS NOT NULL AND query LIKE '%events%'};

# The messages of a stream named events: (per partition) $n messages; damaged where id % 100 = 7.
sub produce_all
{
	my ($broker, $n) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();

	for my $p (0 .. $partitions - 1)
	{
		open my $fh, '>', "$dir/$p" or die "$dir/$p: $!";
		for my $o (0 .. $n - 1)
		{
			my $id = $partitions * $o + $p;
			print $fh $id % 100 == 7
			  ? ($id % 200 == 7 ? qq({"id": $id, "v": \n) : qq({"id": "n$id", "v": "x"}\n))
			  : qq({"id": $id, "v": "value $id"}\n);
		}
		close $fh;
		cmp_ok(-s "$dir/$p", '<', 3 * 1024 * 1024, "partition $p stays below what the broker keeps");
		produce_file($broker, 'events', $p, "$dir/$p");
	}
	return;
}

sub create_stream
{
	my ($node) = @_;

	# The trigger stretches every batch, so that a kill finds one in flight.
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE events (id bigint NOT NULL, v text, p integer, o bigint);
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN PERFORM pg_sleep(0.03); RETURN NULL; END $$; -- sleep-ok: makes the window, waits for nothing
CREATE TRIGGER slow AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION slow();
SELECT txpipe.create_stream('events', 'shop', 'events', 'events',
	columns => '{"id": "id", "v": "v", "p": "kafka_partition", "o": "kafka_offset"}',
	options => '{"batch_rows": 500, "linger_ms": 10}');
SQL
	return;
}

# One more than the messages consumed; 0 while the server restarts.
sub consumed
{
	my ($node) = @_;
	my $rc = $node->psql('postgres', 'SELECT coalesce(sum(next_offset), 0) FROM txpipe.stream_offset',
		stdout => \my $out);

	return $rc == 0 ? 1 + $out : 0;
}

# Stops a worker that has a child; with $want_batch one that made progress since the last kill and is in the
# middle of a batch, else as early as it can be caught. Returns (worker, child, batch in flight).
sub stop_worker
{
	my ($node, $want_batch) = @_;

	if ($want_batch)
	{
		my $before = wait_until('the server is up', sub { consumed($node) });
		wait_until('the stream makes progress', sub { consumed($node) > $before });
	}
	return @{
		wait_until(
			'a worker ' . ($want_batch ? 'has a batch in flight' : 'has a child'),
			sub {
				my $rc = $node->psql('postgres',
					"SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%' LIMIT 1",
					stdout => \my $worker);
				my $child = $rc == 0 && $worker && child_pid($worker) or return 0;

				kill 'STOP', $worker or return 0;
				# A process stopped inside its own entry, or with a lock, would block the look at it.
				my $rc2 = $node->psql('postgres', "SELECT ($in_flight)::int FROM pg_stat_activity WHERE pid = $worker",
					stdout => \my $busy, timeout => 5, timed_out => \my $stuck);
				if ($stuck || $rc2 != 0 || $busy eq '' || ($want_batch && !$busy))
				{
					kill 'CONT', $worker;
					return 0;
				}
				return [ $worker, $child, $busy ];
			}) };
}

sub kill_children
{
	my ($node, $count) = @_;
	my $checkpointer = checkpointer_pid($node);
	my $session      = $node->background_psql('postgres');
	my $pid          = $session->query('SELECT pg_backend_pid()');
	my ($done, $busy_kills) = (0, 0);

	while ($done < $count)
	{
		my ($worker, $child, $busy) = stop_worker($node, $done % 2);
		my $signal = int($done / 2) % 2 ? 'SEGV' : 'KILL';

		kill $signal, $child;
		kill 'CONT', $worker;
		$busy_kills++ if $busy;
		$done++;
		my $killed = time();
		wait_until('a new child is there',
			sub { my $w = worker_pid($node); my $c = $w && child_pid($w); $c && $c != $child });
		note sprintf 'child %d: SIG%s, batch in flight: %d, replaced after %.2f s', $child, $signal, $busy,
		  time() - $killed;
	}
	cmp_ok(2 * $busy_kills, '>=', $count, "$count kills of the child, $busy_kills with a batch in flight");
	is(checkpointer_pid($node), $checkpointer, 'the checkpointer is the same process');
	is($session->query('SELECT pg_backend_pid()'), $pid, 'an older session lives on');
	unlike(slurp_file($node->logfile), qr/terminating any other active server processes/,
		'the server was not restarted');
	$session->quit;
	return $done;
}

sub kill_workers
{
	my ($node, $count) = @_;
	my ($done, $busy_kills) = (0, 0);

	while ($done < $count)
	{
		my ($worker, $child, $busy) = stop_worker($node, $done % 2);
		my $signal = int($done / 2) % 2 ? 'SEGV' : 'KILL';

		kill $signal, $worker;
		kill 'CONT', $worker;
		$busy_kills++ if $busy;
		$done++;
		wait_until('the child of the dead worker ends', sub { !process_lives($child) });
		note "worker $worker: SIG$signal, batch in flight: $busy";
	}
	cmp_ok(2 * $busy_kills, '>=', $count, "$count kills of the worker, $busy_kills with a batch in flight");
	return $done;
}

# Every message is a row or a dead letter, once; nothing else is.
sub check_all
{
	my ($node, $n) = @_;
	my $total = $n * $partitions;

	wait_for($node, 'SELECT 1', 'the server is up', value => 1);
	$node->safe_psql('postgres', 'DROP TRIGGER slow ON events');
	wait_for($node, 'SELECT sum(next_offset) FROM txpipe.stream_offset', 'everything is consumed', value => $total);
	wait_for($node, q{SELECT lag_messages = 0 FROM txpipe.stream_status}, 'the lag is 0');
	is($node->safe_psql('postgres', q{SELECT messages FROM txpipe.topics('shop') WHERE topic = 'events'}),
		$total, 'the broker still has every message: its low watermarks are 0');

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE sent AS
SELECT p, o, $partitions * o + p AS id, ($partitions * o + p) % 100 = 7 AS broken
FROM generate_series(0, $partitions - 1) AS p, generate_series(0::bigint, $n - 1) AS o;
CREATE TABLE got AS
SELECT p, o, id, false AS broken, v FROM events
UNION ALL
SELECT kafka_partition, kafka_offset, substring(payload_text FROM '"id": "?n?([0-9]+)')::bigint, true, NULL
FROM txpipe.dead_letter WHERE stream = 'events';
SQL
	is($node->safe_psql('postgres', 'SELECT count(*) FROM got'), $total, "$total messages: as many rows and dead letters");
	is( $node->safe_psql('postgres',
			'SELECT count(*) FROM (SELECT p, o, id, broken FROM sent EXCEPT ALL SELECT p, o, id, broken FROM got) AS lost'),
		'0', 'no message is lost');
	is( $node->safe_psql('postgres',
			'SELECT count(*) FROM (SELECT p, o, id, broken FROM got EXCEPT ALL SELECT p, o, id, broken FROM sent) AS more'),
		'0', 'no message is double or made up');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM got WHERE NOT broken AND v IS DISTINCT FROM 'value ' || id}),
		'0', 'every row has the payload of its id');
	is( $node->safe_psql('postgres',
			'SELECT DISTINCT min(o), max(o), count(DISTINCT o) FROM got GROUP BY p'),
		"0|" . ($n - 1) . "|$n", 'the offsets of every partition are contiguous');
	is($node->safe_psql('postgres', 'SELECT count(*), min(next_offset), max(next_offset) FROM txpipe.stream_offset'),
		"$partitions|$n|$n", 'next_offset is the end of every partition');
	is($node->safe_psql('postgres', 'SELECT rows_total + dead_letters_total FROM txpipe.stream_status'),
		$total, 'the status counts what there is');
	return;
}

# No core files of processes that are killed on purpose.
system_or_bail('prlimit', '--core=0', '--pid', $$);

my $broker = start_broker("events:$partitions");
produce_all($broker, 25000);

my $node = new_node('kill');
start_node($node);
kafka_server($node, 'shop', $broker);
create_stream($node);
my $killed = kill_children($node, $kills);
$killed += kill_workers($node, $kills);
cmp_ok($killed, '>=', 20, "$killed kills in all");
check_all($node, 25000);
$node->stop('fast');
# A probe that found the worker stopped with a lock is given up, and its connection with it.
log_is_clean($node, qr/terminating .* due to/, qr/the database system is/, qr/txpipe_io/, qr/connection to client lost/);

# The postmaster as the reaper of orphans, as PID 1 of a container is.
my $container = new_node('container');
start_node($container, wrapper => 'subreaper');
kafka_server($container, 'shop', $broker);
create_stream($container);
kill_children($container, 6);
check_all($container, 25000);
$container->stop('fast');
log_is_clean($container, qr/terminating .* due to/, qr/txpipe_io/, qr/connection to client lost/);

stop_broker($broker);
done_testing();
