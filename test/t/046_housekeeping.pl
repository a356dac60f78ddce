# What streams keep for a time only goes when the time is over, a little at a time; what was lost stays on record.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker(qw(keep:1 drop:1 idle:1));
my $node   = new_node('housekeeping');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

my %options = (
	keep => '{}',
	drop => '{"history_days": 2, "dead_letter_days": 3}',
	idle => '{"history_days": 2, "dead_letter_days": 3}');
for my $stream (sort keys %options)
{
	sql(qq{CREATE TABLE "$stream" (id int)});
	sql(qq{SELECT txpipe.create_stream('$stream', 'shop', '$stream', '"$stream"', options => '$options{$stream}')});
	produce_lines($broker, $stream, 0, '{"id": 1}', '{"id": "one"}');
	wait_for_offset($node, $stream, 2);
}
sql(q{SELECT txpipe.pause_stream(stream) FROM txpipe.stream_status});

# Of every age, and more of one than a round deletes at once.
sql(<<'SQL');
TRUNCATE txpipe.batch_history_store, txpipe.stream_event_store, txpipe.dead_letter_store;
CREATE TABLE age AS
	SELECT n, make_interval(hours => n) AS age FROM generate_series(1, 240, 12) n
	UNION ALL SELECT 1000, interval '99 days' FROM generate_series(1, 2500);
INSERT INTO txpipe.batch_history_store (stream_id, part, finished_at, messages, rows, dead_letters, refused, bytes,
		gather_us, decode_us, wait_us, write_us, store_us)
	SELECT stream_id, n, now() - age, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1 FROM age, txpipe.stream;
INSERT INTO txpipe.stream_event_store (stream_id, happened_at, event, message)
	SELECT stream_id, now() - age, event, n FROM age, txpipe.stream,
		unnest('{paused,error,lost_offset,recreated,unverifiable}'::text[]) event;
INSERT INTO txpipe.dead_letter_store (stream_id, kafka_topic, kafka_partition, kafka_offset, code, message, state, stored_at)
	SELECT stream_id, 'x', 0, n, 'bad_json', 'x', s, now() - age FROM age, txpipe.stream,
		unnest('{open,replayed,dismissed}'::text[]) s;
SQL

# What must be left, by the rules: hours of each age, and the 2500 old ones.
sub left
{
	my ($hours) = @_;
	my @ages = map { 1 + 12 * $_ } 0 .. 19;

	return scalar(grep { $_ < $hours } @ages) + ($hours > 99 * 24 ? 2500 : 0);
}

sub wanted
{
	my ($stream, $history, $letters) = @_;

	return join '|', $stream, left($history), 2 * left($history), 3 * left(9_999), 3 * left($letters);
}

my $counts = <<'SQL';
SELECT s.stream,
	(SELECT count(*) FROM txpipe.batch_history b WHERE b.stream = s.stream),
	(SELECT count(*) FROM txpipe.stream_event e WHERE e.stream = s.stream AND event IN ('paused', 'error')),
	(SELECT count(*) FROM txpipe.stream_event e WHERE e.stream = s.stream AND event IN ('lost_offset', 'recreated', 'unverifiable')),
	(SELECT count(*) FROM txpipe.dead_letter d WHERE d.stream = s.stream)
FROM txpipe.stream s ORDER BY 1
SQL

is(sql($counts), join("\n", map { wanted($_, 9_999, 9_999) } qw(drop idle keep)), 'nothing goes while nothing is due');

# The first look after a start is due; no stream runs.
$node->restart;
my $all_gone = join "\n", wanted('drop', 48, 72), wanted('idle', 48, 72), wanted('keep', 7 * 24, 9_999);
wait_for($node, $counts, 'what is too old is gone, the rest is there', value => $all_gone);
pass('history, events and dead letters are kept as long as their options say');

wait_for($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'},
	'a worker that came for this leaves');
sql(q{INSERT INTO txpipe.batch_history_store (stream_id, part, finished_at, messages, rows, dead_letters, refused, bytes,
		gather_us, decode_us, wait_us, write_us, store_us)
	SELECT stream_id, 0, now() - interval '99 days', 1, 1, 0, 0, 1, 1, 1, 1, 1, 1 FROM txpipe.stream WHERE stream = 'drop'});
sql(q{SELECT txpipe.resume_stream('keep')});
produce_lines($broker, 'keep', 0, '{"id": 2}');
wait_for($node, 'SELECT count(*) = 2 FROM keep', 'a stream goes on');
is(sql(q{SELECT count(*) FROM txpipe.batch_history WHERE stream = 'drop'}), left(48) + 1, 'the next round is an hour later');

# --- while a stream runs ---

sql(q{UPDATE txpipe.dead_letter_store SET stored_at = now() - interval '99 days' WHERE stream_id =
	(SELECT stream_id FROM txpipe.stream WHERE stream = 'drop') AND kafka_offset = 1});
$node->restart;
produce_lines($broker, 'keep', 0, map { "{\"id\": $_}" } 3 .. 1000);
wait_for($node, q{SELECT (SELECT count(*) = } . left(48) . q{ FROM txpipe.batch_history WHERE stream = 'drop')
	AND (SELECT count(*) = } . 3 * (left(72) - 1) . q{ FROM txpipe.dead_letter WHERE stream = 'drop')
	AND (SELECT count(*) = 1000 FROM keep)}, 'the round comes beside the batches');
pass('streams run meanwhile');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/);
stop_broker($broker);
done_testing();
