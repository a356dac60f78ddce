# A compacted topic: the log has gaps in its offsets, which are neither losses nor lag, and a stream can begin,
# and begin again, inside one.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeKafka;
use TxpipeTest;

need_kafka();
my $broker = start_kafka();
my $node   = new_node('compaction');

# A message of the active segment is never compacted: each segment holds a few messages only.
kafka_do($broker, [
	'create', 'stock', 1, 'cleanup.policy=compact', 'segment.bytes=2048', 'min.cleanable.dirty.ratio=0.01',
	'delete.retention.ms=0', 'min.compaction.lag.ms=0', 'segment.ms=200' ]);
start_node($node);
kafka_server($node, 'shop', $broker);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE stock (kafka_offset bigint PRIMARY KEY, item text NOT NULL, n integer NOT NULL);
CREATE TABLE by_hand (LIKE stock INCLUDING ALL);
SQL

my $n = 0;

# So many messages over ten keys, of which all but the last of each can be compacted away. Every 60th has a key
# of its own, which leaves it alone between two gaps.
sub fill
{
	my ($messages) = @_;
	my @batch;

	for (1 .. $messages)
	{
		my $item = ++$n % 60 == 0 ? "once$n" : 'i' . $n % 10;

		push @batch, [ "{\"item\": \"$item\", \"n\": $n}", $item ];
	}
	kafka_send($broker, 'stock', 0, @batch);
	return;
}

# Offset and value of what the log holds, as kcat reads it.
sub in_log
{
	my ($out, $err) = run_command([
		'kcat', '-C', '-q', '-e', '-b', $broker->{servers}, '-t', 'stock', '-o', 'beginning',
		'-f', '%o|%s\n' ]);

	return map { /^(\d+)\|.*"item": "(\w+)", "n": (\d+)/ ? "$1|$2|$3" : die "kcat: $_" } split /\n/, $out;
}

# Messages in one call arrive as one record batch, which is rewritten without them but keeps its end.
fill(40) for 1 .. 25;
wait_until('most messages are compacted away', sub { in_log() < 200 });
wait_until('the cleaner is done', sub { my @a = in_log(); my @b = in_log(); "@a" eq "@b" });

# --- a stream created after the compaction reads what is left, over all gaps ---

my $create = sub {
	my ($stream, $more) = @_;
	$node->safe_psql('postgres', "SELECT txpipe.create_stream('$stream', 'shop', 'stock', '$stream', columns =>
		'{\"kafka_offset\": \"kafka_offset\", \"item\": \"item\", \"n\": \"n\"}'$more)");
};

$create->('stock', '');
caught_up($node, $broker, 'stock', 'stock', 0);
my %last = ((map { ("i$_" => 1000 - (1000 - $_) % 10) } 0 .. 9), (map { ("once" . 60 * $_ => 60 * $_) } 1 .. 16));
is($node->safe_psql('postgres', 'SELECT item, max(n) FROM stock GROUP BY item ORDER BY item COLLATE "C"'),
	join("\n", map { "$_|$last{$_}" } sort keys %last), 'the last message of every key arrived');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM stock'), '<', 1000, 'after the compaction');
cmp_ok(
	$node->safe_psql('postgres',
		'SELECT count(*) FROM (SELECT kafka_offset - lag(kafka_offset) OVER (ORDER BY kafka_offset) AS step FROM stock) s
		WHERE step > 1'),
	'>=', 15, 'there are gaps between its messages');
is($node->safe_psql('postgres', 'SELECT count(*) = count(DISTINCT kafka_offset) FROM stock'), 't', 'none came twice');
is($node->safe_psql('postgres', q{SELECT state, lag_messages FROM txpipe.stream_status WHERE stream = 'stock'}),
	'running|0', 'a gap is no error and no lag');

# --- a stream that stands where the log has a gap by now ---

$create->('by_hand', ", start_at => 'latest'");
$node->safe_psql('postgres', q{SELECT txpipe.pause_stream('by_hand')});
fill(35);
$node->safe_psql('postgres', q{CALL txpipe.consume('by_hand', 15)});
is($node->safe_psql('postgres', 'SELECT count(*), max(n) FROM by_hand'), '15|1015', 'a batch by hand takes 15 messages');
my $next = $node->safe_psql('postgres',
	q{SELECT next_offset FROM txpipe.stream_partition WHERE stream = 'by_hand'});
fill(40) for 1 .. 10;
wait_until('the message it would read next is compacted away', sub { !grep { /^$next\|/ } in_log() });
$node->safe_psql('postgres', q{SELECT txpipe.resume_stream('by_hand')});
caught_up($node, $broker, 'by_hand', 'stock', 0);
is( $node->safe_psql('postgres', "SELECT string_agg(n::text, ',' ORDER BY n) FROM by_hand WHERE n > $n - 10"),
	join(',', $n - 9 .. $n), 'it goes on behind the gap, to the last message of every key');

# --- a restart, and a tombstone at the end ---

$node->stop('fast');
kafka_send($broker, 'stock', 0, [ '\N', 'i3' ]);
$node->start;
caught_up($node, $broker, 'stock', 'stock', 0);
caught_up($node, $broker, 'by_hand', 'stock', 0);
is($node->safe_psql('postgres', 'SELECT stream, code, kafka_offset FROM txpipe.dead_letter ORDER BY stream'),
	join("\n", map { "$_|tombstone|" . (end_offset($broker, 'stock', 0) - 1) } 'by_hand', 'stock'),
	'a tombstone without a row to delete is told, and nothing else is refused');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/);
stop_kafka($broker);
done_testing();
