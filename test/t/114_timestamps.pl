# start_at a point in time: the first message of each partition that is not older, whatever its place in the log.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeKafka;
use TxpipeTest;

need_kafka();
my $broker = start_kafka();
my $node   = new_node('timestamps');

kafka_do($broker, [ 'create', 'orders', 3, 'retention.ms=-1' ]);
start_node($node);
kafka_server($node, 'shop', $broker);
$node->safe_psql('postgres', "SET timezone = 'UTC'; ALTER DATABASE postgres SET timezone = 'UTC'");

# Partition 0 has a message a minute from 10:00 to 10:59 of 2024-02-29, partition 1 one every five minutes
# from 10:00, partition 2 nothing. The identifier tells partition and minute.
my $ten = 1709200800000;
kafka_send($broker, 'orders', 0, map { [ "{\"id\": $_}", '', $ten + 60000 * $_ ] } 0 .. 59);
kafka_send($broker, 'orders', 1, map { [ '{"id": ' . (100 + $_) . '}', '', $ten + 60000 * $_ ] } map { 5 * $_ } 0 .. 11);

my $streams = 0;

# The identifiers that a stream which starts there brings, and where each partition ends.
sub read_from
{
	my ($start_at, @new) = @_;
	my $stream = 'orders_' . ++$streams;

	$node->safe_psql('postgres', "CREATE TABLE $stream (id integer, kafka_timestamp timestamptz);
		SELECT txpipe.create_stream('$stream', 'shop', 'orders', '$stream', start_at => '$start_at',
			columns => '{\"id\": \"id\", \"kafka_timestamp\": \"kafka_timestamp\"}')");
	caught_up($node, $broker, $stream, 'orders', 0, 1, 2);
	return $node->safe_psql('postgres', "SELECT string_agg(id::text, ' ' ORDER BY id) FROM $stream");
}

my @all = (0 .. 59, map { 100 + 5 * $_ } 0 .. 11);

# Those of this minute and later.
sub since
{
	my ($minute) = @_;

	return join ' ', grep { $_ % 100 >= $minute } @all;
}

is(read_from('2024-02-29 10:00:00+00'),     since(0),  'the time of the first message takes all');
is(read_from('2000-01-01'),                 since(0),  'a time before all takes all');
is(read_from('2024-02-29 10:17:00+00'),     since(17), 'a time that messages have begins with them');
is(read_from('2024-02-29 10:17:00.001+00'), since(18), 'a millisecond later it begins behind them');
is(read_from('2024-02-29 12:20:30+02'),     since(21), 'an offset from UTC is counted');
is(read_from('2024-02-29 10:57'),           since(57), 'one partition may have none that is so young');
is($node->safe_psql('postgres', 'SELECT min(kafka_timestamp), max(kafka_timestamp) FROM orders_3'),
	'2024-02-29 10:17:00+00|2024-02-29 10:59:00+00', 'messages carry their times');

# --- after all: nothing of the past, everything that comes ---

is(read_from('2024-02-29 11:00:00+00'), '', 'a time after all takes none');
my $after = "orders_$streams";
is(read_from('2100-01-01'), '', 'nor does one that is still to come');
kafka_send($broker, 'orders', 2, [ '{"id": 259}', '', $ten + 60000 * 59 ]);
kafka_send($broker, 'orders', 0, [ '{"id": 60}',  '', $ten + 60000 * 60 ]);
caught_up($node, $broker, $after, 'orders', 0, 1, 2);
is($node->safe_psql('postgres', "SELECT string_agg(id::text, ' ' ORDER BY id) FROM $after"),
	'60 259', 'messages that come later are taken, however old they say they are');

# --- times out of order: the first message that is young enough counts ---

kafka_do($broker, [ 'create', 'mixed', 1, 'retention.ms=-1' ]);
kafka_send($broker, 'mixed', 0, map { [ "{\"id\": $_->[0]}", '', $ten + 60000 * $_->[1] ] }
	  [ 1, 5 ], [ 2, 1 ], [ 3, 30 ], [ 4, 2 ], [ 5, 40 ]);
$node->safe_psql('postgres', "CREATE TABLE mixed (id integer);
	SELECT txpipe.create_stream('mixed', 'shop', 'mixed', 'mixed', start_at => '2024-02-29 10:06:00+00')");
caught_up($node, $broker, 'mixed', 'mixed', 0);
is($node->safe_psql('postgres', "SELECT string_agg(id::text, ' ' ORDER BY id) FROM mixed"),
	'3 4 5', 'from there on all are taken, in the order of the log');

# --- a time that is none ---

my $error = error_of($node, "SELECT txpipe.create_stream('never', 'shop', 'mixed', 'mixed', start_at => 'yesterdai')");
is($error->{state}, '22007', 'a start that is no time is refused');
like($error->{message}, qr/yesterdai/, 'by its name');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/, qr/yesterdai/);
stop_kafka($broker);
done_testing();
