# The life of a stream: rows, offsets, dead letters, status, pause, one batch by hand, drop.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('orders:2', 'headed:1');
my $node   = new_node('stream');
start_node($node);
kafka_server($node, 'shop', $broker);

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    amount numeric(10,2) NOT NULL,
    placed_at timestamptz,
    note text,
    shipped boolean DEFAULT false,
    stored_at timestamptz DEFAULT clock_timestamp()
);
SELECT txpipe.create_stream('orders', 'shop', 'orders', 'orders',
    columns => '{"id": "id", "amount": "amount", "placed_at": "placedAt", "note": "meta.note"}');
SQL

sub order
{
	my ($id) = @_;

	return sprintf '{"id": %d, "amount": %d.25, "placedAt": "2024-02-29T12:00:00Z", "meta": {"note": "n\u00e4 %d"}}',
	  $id, $id, $id;
}

sub lag_is_zero
{
	wait_for(
		$node,
		q{SELECT state = 'running' AND lag_messages = 0 AND (SELECT sum(next_offset) FROM txpipe.stream_partition
			WHERE stream = 'orders') = } . $_[0] . q{ FROM txpipe.stream_status WHERE stream = 'orders'},
		"offsets add up to $_[0] and the lag is 0");
}

# --- messages become rows ---

produce_lines($broker, 'orders', 0, map { order($_) } 1 .. 600);
produce_lines($broker, 'orders', 1, map { order($_) } 601 .. 1000);
lag_is_zero(1000);
is( $node->safe_psql('postgres',
		'SELECT count(*), min(id), max(id), sum(amount), count(stored_at), count(shipped) FROM orders'),
	'1000|1|1000|500750.00|1000|1000',
	'every message is a row, defaults are filled');
is( $node->safe_psql('postgres', 'SELECT amount, placed_at, note FROM orders WHERE id = 7'),
	"7.25|2024-02-29 12:00:00+00|n\xc3\xa4 7",
	'values are what was sent');
is( $node->safe_psql('postgres',
		q{SELECT string_agg(format('%s:%s:%s:%s', partition, next_offset, end_offset, lag), ' ' ORDER BY partition)
		FROM txpipe.stream_partition WHERE stream = 'orders'}),
	'0:600:600:0 1:400:400:0',
	'stream_partition has the offsets');

# --- bad messages are kept, with their bytes and the reason; the pipe goes on ---

produce_lines($broker, 'orders', 0,
	'{"id": 2001, "amount": 1.25',
	'{"id": 2002, "amount": "much"}',
	'{"id": 2003}',
	'{"id": 2004, "amount": 1.005}',
	order(5),
	order(2006));
lag_is_zero(1006);
is( $node->safe_psql('postgres', <<'SQL'),
SELECT string_agg(format('%s %s %s', kafka_offset, code, coalesce(column_name, '-')), E'\n' ORDER BY kafka_offset)
FROM txpipe.dead_letter WHERE stream = 'orders' AND kafka_partition = 0
SQL
	"600 bad_json -\n601 bad_value amount\n602 missing_value amount\n603 excess_scale amount\n604 23505 -",
	'dead letters say where and why');
is( $node->safe_psql('postgres',
		'SELECT payload_text, convert_from(payload, \'UTF8\') = payload_text, message <> \'\', state FROM txpipe.dead_letter
		WHERE kafka_offset = 601'),
	'{"id": 2002, "amount": "much"}|t|t|open',
	'a dead letter keeps the bytes');
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders WHERE id = 2006'), '1', 'the good neighbour is a row');
is( $node->safe_psql('postgres',
		q{SELECT rows_total, dead_letters_total, workers >= 1, last_error IS NULL FROM txpipe.stream_status}),
	'1001|5|t|t',
	'stream_status counts rows and dead letters');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'txpipe launcher'}),
	'1', 'the launcher is there, by its name');

# --- the running stream refuses a batch by hand; the paused one takes it ---

my $refused = error_of($node, "CALL txpipe.consume('orders')");
ok($refused, 'consume is refused while the stream runs');
like($refused->{state}, qr/^55/, 'with an SQLSTATE of its own');
like($refused->{hint} // '', qr/pause_stream/, 'and a hint');

$node->safe_psql('postgres', "SELECT txpipe.pause_stream('orders')");
wait_for($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'},
	'no worker is left when no stream runs');
is($node->safe_psql('postgres', 'SELECT state FROM txpipe.stream_status'), 'paused', 'the state is paused');
produce_lines($broker, 'orders', 1, map { order($_) } 3001 .. 3050);
$node->safe_psql('postgres', "CALL txpipe.consume('orders', 20)");
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders WHERE id > 3000'), '20', 'consume takes one batch');
$node->safe_psql('postgres', "CALL txpipe.consume('orders')");
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders WHERE id > 3000'), '50', 'and the next one the rest');
produce_lines($broker, 'orders', 1, order(3051));
$node->safe_psql('postgres', "SELECT txpipe.resume_stream('orders')");
lag_is_zero(1057);
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id) FROM orders'), '1052|1052', 'no row is lost or double');

# --- a stream survives a restart of the server where it was ---

$node->restart;
produce_lines($broker, 'orders', 0, order(4001));
lag_is_zero(1058);
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders'), '1053', 'a restart repeats and loses nothing');

# --- dropping leaves the table ---

$node->safe_psql('postgres', "SELECT txpipe.drop_stream('orders')");
wait_for($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'},
	'the worker left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders'), '1053', 'the table stays');
is($node->safe_psql('postgres', 'SELECT count(*) FROM txpipe.stream_offset'), '0', 'the offsets are gone');

# --- headers count among the bytes of a batch: they are kept, and sent again, with it ---

my $many = PostgreSQL::Test::Utils::tempdir() . '/many';
append_to_file($many, join '', map { "{\"id\": $_}\n" } 1 .. 100);
system_or_bail('kcat', '-P', '-b', $broker->{servers}, '-t', 'headed', '-p', 0, '-H', 'h=' . 'x' x 10_000, '-l', $many);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE headed (id bigint);
SELECT txpipe.create_stream('headed', 'shop', 'headed', 'headed', options => '{"batch_bytes": 65536}');
SQL
wait_for_offset($node, 'headed', 100);
is($node->safe_psql('postgres', q{SELECT sum(messages), sum(batches) >= 14 FROM txpipe.batch_history WHERE stream = 'headed'}), '100|t', 'messages with large headers are in several batches');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id) FROM headed'), '100|100', 'each of them is a row');

$node->stop('fast');
log_is_clean($node, qr/stream "orders" is running/, qr/terminating .* due to administrator command/);
stop_broker($broker);
done_testing();
