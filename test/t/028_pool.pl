# The pool of workers: what a user changes counts at once, and a stream that is stuck holds nobody else up.
use strict;
use warnings;

use List::Util qw(min);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('a:1', 'parts:4', 'locked:2', map { "$_:1" } qw(stuck1 stuck2 h1 h2 h3));
my $node   = new_node('pool', conf => "txpipe.max_workers = 2\n");
start_node($node);
kafka_server($node, 'shop', $broker);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE a (n int, m int);
SELECT txpipe.create_stream('a', 'shop', 'a', 'a', columns => '{"n": "n"}');
SQL

# --- what a user changes counts at once, and is no error ---

produce_lines($broker, 'a', 0, '{"n": 1}');
wait_for($node, 'SELECT count(*) = 1 FROM a', 'the first message is a row');
shortest(
	'a new definition counts within a second', 1,
	sub {
		my ($i) = @_;

		$node->safe_psql('postgres',
			qq{UPDATE txpipe.stream SET columns = '{"n": "n", "m": {"path": "x", "default": $i}}', epoch = epoch + 1});
		wait_until('a row of the new definition', sub {
			produce_lines($broker, 'a', 0, '{"n": 2}');
			return $node->safe_psql('postgres', "SELECT count(*) > 0 FROM a WHERE m = $i") eq 't';
		});
	});
shortest(
	'a pause counts within a second', 1,
	sub {
		$node->safe_psql('postgres', q{SELECT txpipe.resume_stream('a')});
		wait_for($node, 'SELECT workers = 1 FROM txpipe.stream_status', 'it is served');
		$node->safe_psql('postgres', q{SELECT txpipe.pause_stream('a')});
		wait_for($node, 'SELECT workers = 0 FROM txpipe.stream_status', 'nobody serves it');
	});
shortest(
	'resuming counts within a second', 1,
	sub {
		my ($i) = @_;

		$node->safe_psql('postgres', q{SELECT txpipe.pause_stream('a')});
		wait_for($node, 'SELECT workers = 0 FROM txpipe.stream_status', 'nobody serves it');
		produce_lines($broker, 'a', 0, '{"n": ' . (100 + $i) . '}');
		$node->safe_psql('postgres', q{SELECT txpipe.resume_stream('a')});
		wait_for($node, "SELECT count(*) = 1 FROM a WHERE n = 100 + $i", 'it goes on');
	});
is( $node->safe_psql('postgres', 'SELECT restarts, last_error IS NULL FROM txpipe.stream_status'),
	'0|t',
	'changes are no errors');
shortest(
	'a drop counts within a second', 1,
	sub {
		$node->safe_psql('postgres', q{SELECT txpipe.drop_stream('a')});
		wait_for($node, 'SELECT count(*) = 0 FROM txpipe.stream', 'it is gone');
		wait_for($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'}, 'and its worker');
		$node->safe_psql('postgres', q{SELECT txpipe.create_stream('a', 'shop', 'a', 'a', columns => '{"n": "n"}')});
		wait_for($node, 'SELECT workers = 1 FROM txpipe.stream_status', 'it is served');
	});

$node->safe_psql('postgres', q{SELECT txpipe.drop_stream('a')});

# --- streams that are stuck, and one without a broker, do not hold the others up ---

my @healthy = qw(h1 h2 h3);
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'};

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE gate (open bool);
CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM public.gate WHERE open) LOOP
		PERFORM pg_sleep(0.02); -- sleep-ok: what a slow trigger is
	END LOOP;
	RETURN NEW;
END $$;
CREATE SERVER nowhere FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE TABLE lost (n int);
SELECT txpipe.create_stream('lost', 'nowhere', 'lost', 'lost', paused => true);
SELECT txpipe.resume_stream('lost');
SQL
for my $stream (@healthy, 'stuck1', 'stuck2')
{
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE $stream (n int, sent timestamptz, stored timestamptz DEFAULT clock_timestamp());
SELECT txpipe.create_stream('$stream', 'shop', '$stream', '$stream',
	columns => '{"n": "n", "sent": "kafka_timestamp"}');
SQL
}
$node->safe_psql('postgres',
	"CREATE TRIGGER wait BEFORE INSERT ON $_ FOR EACH ROW EXECUTE FUNCTION wait_at_gate()")
  for 'stuck1', 'stuck2';

my $round = 0;

sub feed_healthy
{
	$round++;
	produce_lines($broker, $_, 0, "{\"n\": $round}") for @healthy;
	return;
}

# Until all of a round are stored; returns the longest time from the broker to the table, in seconds.
sub latency
{
	my $all = join ' UNION ALL ', map { "SELECT sent, stored FROM $_ WHERE n = $round" } @healthy;

	wait_for($node, "SELECT count(*) = 3 FROM ($all) s", "round $round is stored in all three");
	return $node->safe_psql('postgres', "SELECT round(extract(epoch FROM max(stored - sent)), 3) FROM ($all) s");
}

sub is_at
{
	return qq{SELECT count(*) = } . @_
	  . qq{ FROM pg_stat_activity WHERE state = 'active' AND query ~ '^stream (} . join('|', @_) . qq{): '};
}

feed_healthy();
latency();
wait_for($node, q{SELECT state = 'error' FROM txpipe.stream_status WHERE stream = 'lost'}, 'a stream has no broker');

my %latency;
for my $try (1 .. 4)
{
	my @stuck = $try % 2 ? ('stuck1') : ('stuck1', 'stuck2');

	$node->safe_psql('postgres', 'TRUNCATE gate');
	wait_for($node, $workers, 'the pool has its size', value => 2);
	feed_healthy();
	latency();
	produce_lines($broker, $_, 0, "{\"n\": $try}") for @stuck;
	feed_healthy();
	push @{ $latency{"@stuck"} }, latency();
	feed_healthy();
	latency();
	wait_for($node, is_at(@stuck), "@stuck are still stuck meanwhile");
	is($node->safe_psql('postgres', "SELECT count(*) FROM stuck1 WHERE n = $try"), '0', 'and have stored nothing');
	cmp_ok($node->safe_psql('postgres', $workers), '<=', 4, 'with at most twice the workers of the pool');
	$node->safe_psql('postgres', 'INSERT INTO gate VALUES (true)');
	wait_for($node, "SELECT count(*) = 1 FROM $_ WHERE n = $try", "$_ goes on") for @stuck;
	wait_for($node, $workers, 'the pool shrinks to its size', value => 2);
}
for my $stuck (sort keys %latency)
{
	cmp_ok(min(@{ $latency{$stuck} }), '<', 1, "while $stuck is stuck the others wait less than a second: @{ $latency{$stuck} }");
}
is( $node->safe_psql('postgres', 'SELECT sum(restarts) FROM txpipe.stream_status WHERE stream <> \'lost\''),
	'0', 'changing the worker is no error');

# --- a batch that takes too long is an error of its stream ---

$node->safe_psql('postgres', q{TRUNCATE gate;
	UPDATE txpipe.stream SET options = '{"batch_timeout_ms": 200}', epoch = epoch + 1 WHERE stream = 'stuck1'});
produce_lines($broker, 'stuck1', 0, '{"n": 100}');
wait_for($node, q{SELECT state = 'error' AND restarts >= 2 AND reason ~ '^57014: .*batch_timeout_ms' FROM txpipe.stream_status
	WHERE stream = 'stuck1'}, 'the batch is cancelled, again and again');
$node->safe_psql('postgres', 'INSERT INTO gate VALUES (true)');
wait_for($node, q{SELECT count(*) = 1 AND (SELECT state = 'running' AND reason IS NULL FROM txpipe.stream_status
	WHERE stream = 'stuck1') FROM stuck1 WHERE n = 100}, 'it goes on by itself');
is($node->safe_psql('postgres', q{SELECT count(*) FROM txpipe.dead_letter}), '0', 'a batch has a time limit, and no row is blamed for it');

$node->safe_psql('postgres', 'SELECT txpipe.drop_stream(stream) FROM txpipe.stream_status');

# --- a stream with workers of its own: they share its partitions, and take over from each other ---

my $sent = 0;

sub feed_parts
{
	for my $partition (0 .. 3)
	{
		produce_lines($broker, 'parts', $partition, map { '{"n": ' . ++$sent . '}' } 1 .. 250);
	}
	return;
}

sub parts_hold_all
{
	my ($what) = @_;

	wait_for_offset($node, 'parts', $sent);
	is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT n), max(n) FROM parts'),
		"$sent|$sent|$sent", "every message is there once $what");
	return;
}

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE parts (n int);
SELECT txpipe.create_stream('parts', 'shop', 'parts', 'parts', options => '{"workers": 3, "batch_rows": 10}');
SQL
wait_for($node, 'SELECT workers = 3 FROM txpipe.stream_status', 'it has three workers');
wait_for($node, $workers, 'and there are no others', value => 3);
feed_parts();
parts_hold_all('with three workers');
is($node->safe_psql('postgres', 'SELECT count(DISTINCT part) FROM txpipe.batch_history'), '3', 'all three took part');

feed_parts();
my $killed = worker_pid($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($killed)");
feed_parts();
parts_hold_all('after the end of one worker');
wait_for($node, 'SELECT workers = 3 FROM txpipe.stream_status', 'it has three again');
isnt(worker_pid($node, "pid = $killed"), $killed, 'one of them new');

# How many messages of a round each part reads, of the partitions that are its.
sub shares_are
{
	my ($workers, @shares) = @_;
	$node->safe_psql('postgres', 'DROP TABLE IF EXISTS before; CREATE TABLE before AS
		SELECT part, sum(messages) AS messages FROM txpipe.batch_history GROUP BY part');

	wait_for($node, "SELECT workers = $workers AND reason IS NULL FROM txpipe.stream_status", "$workers workers serve it");
	feed_parts();
	parts_hold_all("in shares of $workers");
	is( $node->safe_psql('postgres', qq{SELECT string_agg(messages::text, ' ' ORDER BY messages) FROM
			(SELECT sum(h.messages) - coalesce((SELECT messages FROM before b WHERE b.part = h.part), 0) AS messages
			FROM txpipe.batch_history h GROUP BY h.part) s WHERE messages > 0}),
		"@shares", "each partition is read by one of $workers workers");
	return;
}

sub set_workers
{
	my ($workers, $rate) = (@_, 0);

	$node->safe_psql('postgres', qq{SELECT txpipe.alter_stream('parts', options => '{"workers": $workers, "rows_per_second": $rate}')});
	return;
}

# Four partitions of 250 messages each.
shares_are(3, 250, 250, 500);
my $loaded = 0;
for my $workers (1, 3, 2, 3, 1, 2)
{
	feed_parts();
	# So slowly that they are at it however slow the machine is: a round would take ten seconds.
	set_workers($workers, 100);
	$loaded += $node->safe_psql('postgres', 'SELECT lag_messages > 0 FROM txpipe.stream_status') eq 't';
}
set_workers(2);
parts_hold_all('after changes while there was work');
cmp_ok($loaded, '>', 0, "$loaded of 6 changes came in the middle of the work");
shares_are(2, 500, 500);
set_workers(1);
feed_parts();
parts_hold_all('with one worker of the pool');
wait_for($node, $workers, 'which is the only one', value => 1);
is($node->safe_psql('postgres', 'SELECT restarts FROM txpipe.stream_status'), '0', 'none of it was an error');

# --- txpipe.max_workers counts at a reload, upwards and downwards ---

$node->safe_psql('postgres', 'CREATE TABLE crowd (n int)');
$node->safe_psql('postgres', "SELECT txpipe.create_stream('crowd_$_', 'shop', 'h$_', 'crowd')") for 1 .. 3;
for my $max (4, 1, 3, 2)
{
	$node->safe_psql('postgres', "ALTER SYSTEM SET txpipe.max_workers = $max; SELECT pg_reload_conf()");
	wait_for($node, $workers, "there are $max workers", value => $max);
	wait_for($node, q{SELECT count(*) FROM txpipe.stream_status WHERE stream ~ '^crowd' AND state = 'running' AND workers = 1}, 'which serve all streams', value => 3);
	pass("txpipe.max_workers = $max counts at a reload");
}
$node->safe_psql('postgres', "SELECT txpipe.drop_stream('crowd_$_')") for 1 .. 3;
$node->safe_psql('postgres', 'ALTER SYSTEM RESET txpipe.max_workers; SELECT pg_reload_conf()');

# --- a deadlock between workers has a winner, and nobody hears of it ---

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE locked (id int PRIMARY KEY, partition int, n int);
CREATE SEQUENCE tries_0;
CREATE SEQUENCE tries_1;
-- Each takes its lock, waits until the other has his, and then wants it, too: the first time.
CREATE FUNCTION embrace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(NEW.partition);
	IF nextval('public.tries_' || NEW.partition) = 1 THEN
		WHILE (SELECT count(*) < 2 FROM pg_locks WHERE locktype = 'advisory' AND granted) LOOP
			PERFORM pg_sleep(0.01); -- sleep-ok: what a slow trigger is
		END LOOP;
	END IF;
	PERFORM pg_advisory_xact_lock(1 - NEW.partition);
	RETURN NEW;
END $$;
CREATE TRIGGER embrace BEFORE INSERT ON locked FOR EACH ROW EXECUTE FUNCTION embrace();
SELECT txpipe.create_stream('locked', 'shop', 'locked', 'locked', options => '{"workers": 2, "mode": "upsert"}',
	columns => '{"id": "id", "partition": "kafka_partition", "n": "n"}');
SQL
wait_for($node, q{SELECT workers = 2 FROM txpipe.stream_status WHERE stream = 'locked'}, 'two workers upsert into one table');
produce_lines($broker, 'locked', $_, "{\"id\": $_, \"n\": 1}") for 0, 1;
wait_for($node, q{SELECT string_agg(id || ' ' || n, ', ' ORDER BY id) = '0 1, 1 1' FROM locked}, 'both come through');
is( $node->safe_psql('postgres', q{SELECT (SELECT last_value FROM tries_0) + (SELECT last_value FROM tries_1), state, restarts
		FROM txpipe.stream_status WHERE stream = 'locked'}),
	'3|running|0', 'one of them at the second try, which is no error');
like(slurp_file($node->logfile), qr/deadlock detected; the batch is read again/, 'it was a deadlock');
$node->safe_psql('postgres', q{SELECT txpipe.drop_stream('locked')});

# Two slots are left besides the launchers of txpipe and of logical replication.
set_workers(3);
$node->append_conf('postgresql.conf', 'max_worker_processes = 4');
$node->restart;
feed_parts();
parts_hold_all('with fewer workers than it asks for');
cmp_ok($node->safe_psql('postgres', $workers), '<=', 2, 'as many as there is room for');
wait_for($node, q{SELECT reason ~ '^[12] of 3 workers: no background worker is free, max_worker_processes is 4$' FROM txpipe.stream_status},
	'the status tells what is missing');
is($node->safe_psql('postgres', q{SELECT ok, hint ~ 'max_worker_processes' FROM txpipe.check_setup() WHERE item = 'workers'}),
	'f|t', 'and so does check_setup');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/, qr/canceling statement due to/);
stop_broker($broker);
done_testing();
