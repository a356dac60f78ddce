# Streams of several topics, limits of rows and bytes a second, and very large messages.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeTest;

my $broker = start_broker('shop_a:1', 'shop_b:2', 'web_1:1', 'slow:2', 'slow_bytes:1', 'fast:2', 'large:2');
my $node   = new_node('topics');
start_node($node);
$node->safe_psql('postgres',
	"CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka
	 OPTIONS (bootstrap_servers '$broker->{servers}', message_max_bytes '60000000')");

# Rows of a table by topic.
sub by_topic
{
	my ($table) = @_;

	return "SELECT string_agg(format('%s %s', kafka_topic, n), ', ' ORDER BY kafka_topic)
		FROM (SELECT kafka_topic, count(*) n FROM $table GROUP BY 1) x";
}

# --- a list ---

produce_lines($broker, 'shop_a', 0, map { qq({"n": $_}) } 1 .. 30);
produce_lines($broker, 'shop_b', $_, map { qq({"n": $_}) } 1 .. 20) for 0, 1;
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE listed (n int, kafka_topic text);
SELECT txpipe.create_stream('listed', 'shop', 'shop_a, shop_b', 'listed');
SQL
wait_for($node, by_topic('listed'), 'both topics are read', value => 'shop_a 30, shop_b 40');
is( $node->safe_psql('postgres',
		q{SELECT string_agg(format('%s/%s %s', topic, partition, next_offset), ', ' ORDER BY topic, partition)
		FROM txpipe.stream_partition WHERE stream = 'listed'}),
	'shop_a/0 30, shop_b/0 20, shop_b/1 20',
	'stream_partition has the partitions of both');
my $error = error_of($node, q{SELECT txpipe.create_stream('bad', 'shop', 'shop_a,shop_z', 'listed')});
is("$error->{state} $error->{message}", '42704 topic "shop_z" does not exist', 'a topic of a list that is not there is named');
$error = error_of($node, q{SELECT txpipe.create_stream('bad', 'shop', '^shop(', 'listed')});
is($error->{state}, '2201B', 'a pattern that is none is refused');

# --- a pattern; what appears later is read from its beginning ---

produce_lines($broker, 'web_1', 0, map { qq({"n": $_}) } 1 .. 10);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE web (n int, kafka_topic text);
SELECT txpipe.create_stream('web', 'shop', '^web_[0-9]+$', 'web', start_at => 'latest');
SQL
produce_lines($broker, 'web_1', 0, '{"n": 11}');
wait_for($node, by_topic('web'), 'the stream of a pattern runs', value => 'web_1 1');
my $begun = time();
topic_control($broker, 'topic web_22 2');
topic_control($broker, 'topic website 1');
produce_lines($broker, 'web_22', 1, map { qq({"n": $_}) } 1 .. 7);
produce_lines($broker, 'web_1',  0, '{"n": 12}');
wait_for($node, by_topic('web'), 'a new topic is read from its beginning, the old one from its end',
	value => 'web_1 2, web_22 7');
cmp_ok(time() - $begun, '<', 12, 'it was found within 10 s');
is( $node->safe_psql('postgres',
		q{SELECT string_agg(topic, ' ') FROM txpipe.stream_event WHERE stream = 'web' AND event = 'new_partition'}),
	'web_22', 'stream_event tells so');

# --- limits; the same messages without one show that it is the limit that takes time ---

# Seconds until all 600 messages of a stream are there. Offsets never run ahead of a limit, in rows.
sub seconds_for_600
{
	my ($stream, $limit) = @_;
	my $offsets =
	  "SELECT coalesce(sum(next_offset), 0) FROM txpipe.stream_partition WHERE stream = '$stream'";
	my $ahead = 0;
	my $start = time();

	$node->safe_psql('postgres', "SELECT txpipe.resume_stream('$stream')");
	wait_until(
		"all messages of $stream are rows",
		sub {
			my $n = $node->safe_psql('postgres', $offsets);

			# A second's worth may come at once.
			$ahead++ if $limit && $n > $limit * (time() - $start + 1);
			return $n == 600;
		});
	is($ahead, 0, "$stream: never more than the limit allows") if $limit;
	return time() - $start;
}

my @lines = map { sprintf '{"n": %3d}', $_ } 1 .. 300;
produce_lines($broker, $_, 0, @lines), produce_lines($broker, $_, 1, @lines) for 'slow', 'fast';
produce_lines($broker, 'slow_bytes', 0, @lines, @lines);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE paced (n int);
SELECT txpipe.create_stream('fast', 'shop', 'fast', 'paced', paused => true);
SELECT txpipe.create_stream('slow', 'shop', 'slow', 'paced', paused => true, options => '{"rows_per_second": 100}');
SELECT txpipe.create_stream('slow_bytes', 'shop', 'slow_bytes', 'paced', paused => true,
    options => '{"bytes_per_second": 1000}');
SQL
cmp_ok(seconds_for_600('fast'), '<', 4.9, 'no limit, no delay');
my $took = seconds_for_600('slow', 100);
cmp_ok($took, '>=', 4.9, '600 messages, 100 of them at once, 100 a second: 5 s');
cmp_ok($took, '<',  15,  '... and not much longer');
$took = seconds_for_600('slow_bytes', 100);
cmp_ok($took, '>=', 4.9, 'the same with 1000 bytes a second, 10 a message');
cmp_ok($took, '<',  15,  '... and not much longer');
is($node->safe_psql('postgres', 'SELECT count(*), sum(n) FROM paced'), '1800|270900', 'every message is there once');

# --- 50 MB in one message ---

sub most_memory_kb
{
	my ($status) = slurp_file("/proc/$_[0]/status") =~ /^VmHWM:\s+(\d+) kB/m;

	return $status;
}

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE large (n int, body text);
SELECT txpipe.create_stream('large', 'shop', 'large', 'large');
SQL
# Each in a partition of its own, which is more than the mock keeps of one.
$node->safe_psql('postgres', q{SELECT txpipe.produce('shop', 'large', '{"n": 1, "body": "' || repeat('x', 50000000) || '"}', partition => 0)});
wait_for($node, 'SELECT n, length(body) FROM large', 'a message of 50 MB is a row', value => '1|50000000');
$node->safe_psql('postgres', q{SELECT txpipe.produce('shop', 'large', '{"n": "?", "body": "' || repeat('x', 50000000) || '"}', partition => 1)});
wait_for($node, q{SELECT code, column_name, length(payload) FROM txpipe.dead_letter WHERE stream = 'large'},
	'one that cannot be a row is a dead letter', value => 'bad_value|n|50000022');
for my $pid (map { ($_, child_pid($_)) } split /\n/,
	$node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'}))
{
	my $mb = most_memory_kb($pid) / 1024;
	cmp_ok($mb, '<', 700, sprintf 'process %d never took more than 700 MB (%.0f)', $pid, $mb);
}

log_is_clean($node, qr/topic "shop_z" does not exist/, qr/not a valid pattern of topics/);
done_testing();
