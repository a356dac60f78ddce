# Brokers that go away, hand partitions over, fail requests or are far away: every message becomes a row exactly
# once, the status says what is wrong, and the lag returns to 0.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeTest;

my $broker = start_broker(3, qw(down:6 gated:1 moved:2 failing:2 opened:2 slow:4));
my $node   = new_node('brokers');
my %sent;

start_node($node);
# Little is fetched at once, and little ahead: there are always fetches under way.
$node->safe_psql('postgres', "CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS
	(bootstrap_servers '$broker->{servers}', queued_max_messages_kbytes '4', fetch_message_max_bytes '2000')");

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub create
{
	my ($name, $more) = @_;

	sql("CREATE TABLE $name (id integer, p integer, o bigint); SELECT txpipe.create_stream('$name', 'shop', '$name', '$name',
		columns => '{\"id\": \"id\", \"p\": \"kafka_partition\", \"o\": \"kafka_offset\"}', options => '{\"batch_rows\": 50}' || jsonb '{" . ($more // '') . "}')");
	return;
}

# Sends the next ids, a number that counts on over all partitions of the topic, in sets of 20.
sub send_ids
{
	my ($topic, $partition, $n) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/messages';
	my $last = $sent{$topic}{last} // 0;

	open my $fh, '>', $file or die "$file: $!";
	print $fh map { "{\"id\": $_}\n" } $last + 1 .. $last + $n;
	close $fh;
	system_or_bail('kcat', '-P', '-b', $broker->{servers}, '-t', $topic, '-p', $partition, '-X', 'batch.num.messages=20',
		'-l', $file);
	$sent{$topic}{last} = $last + $n;
	$sent{$topic}{in}[$partition] += $n;
	return;
}

sub consumed
{
	my ($name) = @_;

	return sql("SELECT coalesce(sum(next_offset), 0) FROM txpipe.stream_partition WHERE stream = '$name'");
}

# Waits until the stream has made progress since it had consumed so many messages.
sub further
{
	my ($name, $than) = @_;

	wait_for($node, "SELECT sum(next_offset) > $than FROM txpipe.stream_partition WHERE stream = '$name'",
		"stream $name is further than $than messages");
	return;
}

# All that was sent is there, once.
sub all_there
{
	my ($name, $what) = @_;
	my $n  = $sent{$name}{last};
	my @in = map { $_ // 0 } @{ $sent{$name}{in} };

	wait_for(
		$node,
		"SELECT string_agg(format('%s:%s:%s', partition, next_offset, lag), ' ' ORDER BY partition)
		FROM txpipe.stream_partition WHERE stream = '$name'",
		"stream $name has read $n messages and has no lag",
		value => join(' ', map { "$_:$in[$_]:0" } 0 .. $#in));
	wait_for($node, "SELECT state = 'running' AND lag_messages = 0 FROM txpipe.stream_status WHERE stream = '$name'",
		"stream $name is running");
	is( sql("SELECT count(*), count(DISTINCT id), count(DISTINCT (p, o)), min(id), max(id) FROM $name"),
		"$n|$n|$n|1|$n", "$what: each of $n messages is a row once");
	is(sql("SELECT count(*) FROM txpipe.dead_letter WHERE stream = '$name'"), '0', '... and none a dead letter');
	is( sql("SELECT count(*) FROM txpipe.stream_event
			WHERE stream = '$name' AND event IN ('lost_offset', 'recreated', 'unverifiable')"),
		'0', '... and nothing is said to be lost');
	return;
}

sub finished
{
	my ($name) = @_;

	sql("SELECT txpipe.drop_stream('$name')");
	return;
}

# --- one of three brokers goes away in the middle, and comes back ---

topic_control($broker, "leader down $_ " . (1 + $_ % 3)) for 0 .. 5;
create('down');
send_ids('down', $_, 300) for 0 .. 5;
all_there('down', 'six partitions of three brokers');
my @away = (0, 3);
my @here = (1, 2, 4, 5);
send_ids('down', $_, 400) for @away;
topic_control($broker, 'down 1');
send_ids('down', $_, 200) for @here;
wait_for(
	$node,
	"SELECT bool_and(next_offset = 500) FROM txpipe.stream_partition WHERE stream = 'down' AND partition IN ("
	  . join(', ', @here) . ')',
	'what the other brokers have is read');
is(sql(q{SELECT state FROM txpipe.stream_status WHERE stream = 'down'}), 'running', 'the stream runs while one of three brokers is away');
topic_control($broker, 'up 1');
all_there('down', 'one broker was away');

# --- all of them ---

send_ids('down', $_, 400) for 0 .. 5;
topic_control($broker, "down $_") for 1 .. 3;
wait_for($node, q{SELECT state = 'error' AND reason ~ 'do not answer' AND reason ~ '^08' FROM txpipe.stream_status WHERE stream = 'down'},
	'the status says that no broker answers');
topic_control($broker, "up $_") for 1 .. 3;
all_there('down', 'all brokers were away');
finished('down');

# --- all of them, behind messages that were fetched before ---

my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(4711)');
sql(q{CREATE FUNCTION await_gate() RETURNS void LANGUAGE plpgsql SET lock_timeout = 0 AS
	'BEGIN PERFORM pg_advisory_xact_lock(4711); END'});
create('gated');
sql(q{SELECT txpipe.on_batch('gated', 'waits', 'SELECT public.await_gate()')});
send_ids('gated', 0, 120);
wait_for($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted}, 'the first of three batches waits');
topic_control($broker, "down $_") for 1 .. 3;
isnt($node->psql('postgres', q{SELECT * FROM txpipe.topics('shop')}), 0, 'no broker answers');
$gate->quit;
wait_for(
	$node,
	q{SELECT sum(next_offset) >= 40 AND bool_and(state = 'error' AND reason ~ 'do not answer')
	FROM txpipe.stream_partition JOIN txpipe.stream_status USING (stream) WHERE stream = 'gated'},
	'what was fetched before is a row, and the status says that no broker answers');
topic_control($broker, "up $_") for 1 .. 3;
all_there('gated', 'brokers were away behind what was fetched');
finished('gated');

# --- a stream is opened while they are away ---

create('opened');
sql(q{SELECT txpipe.pause_stream('opened')});
send_ids('opened', $_, 100) for 0 .. 1;
topic_control($broker, "down $_") for 1 .. 3;
sql(q{SELECT txpipe.resume_stream('opened')});
wait_for($node, q{SELECT state = 'error' AND reason ~ '^08' FROM txpipe.stream_status WHERE stream = 'opened'},
	'the status says that no broker can be reached');
topic_control($broker, "up $_") for 1 .. 3;
all_there('opened', 'opened without brokers');
finished('opened');

# --- partitions move from broker to broker while they are read ---

# So slowly that it is at it however slow the machine is: 4,000 messages would take 39 seconds.
create('moved', '"rows_per_second": 100');
my $moves = 0;
send_ids('moved', $_, 2000) for 0 .. 1;
for my $id (2, 3, 1, 3, 2, 1)
{
	my $before = consumed('moved');

	topic_control($broker, "leader moved $_ $id") for 0 .. 1;
	send_ids('moved', $_, 50) for 0 .. 1;
	$moves++ if $before < $sent{moved}{last} - 100;
	further('moved', $before);
}
cmp_ok($moves, '>=', 1, "$moves moves in the middle of reading");
sql(q{SELECT txpipe.alter_stream('moved', options => '{"rows_per_second": 0}')});
all_there('moved', 'leaders have moved');
finished('moved');

# --- requests that fail ---

create('failing');
for my $case (
	[ 1, 6,   'not the leader' ],
	[ 1, 5,   'leader not available' ],
	[ 1, 3,   'unknown topic or partition' ],
	[ 1, 7,   'request timed out' ],
	[ 1, -1,  'unknown server error' ],
	[ 1, 2,   'corrupt message' ],
	[ 1, 1,   'offset out of range, which it is not', 1 ],
	[ 1, 29,  'not authorised, for a moment' ],
	[ 3, -1,  'metadata refused' ])
{
	my ($api, $code, $what, $times) = (@$case, 3);

	send_ids('failing', $_, 200) for 0 .. 1;
	topic_control($broker, "error $api $code $times");
	send_ids('failing', $_, 100) for 0 .. 1;
	all_there('failing', $what);
}
finished('failing');

# --- round trips of 300 ms ---

topic_control($broker, "rtt $_ 300") for 1 .. 3;
my $start = time();
create('slow');
cmp_ok(time() - $start, '<', 10, 'a stream is created over slow connections');
send_ids('slow', $_, 400) for 0 .. 3;
all_there('slow', 'slow round trips');
$start = time();
send_ids('slow', 0, 1);
all_there('slow', 'one more message');
note sprintf 'it took %.1f s', time() - $start;

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command|could not reach the Kafka brokers/);
stop_broker($broker);
done_testing();
