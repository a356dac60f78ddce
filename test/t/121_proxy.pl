# A network that misbehaves between the server and its brokers: slow, late, silent, cut off, full of noise. Streams stay exact,
# say what is wrong, and go on by themselves; calls of sessions end in bounded time with an error that says so.
#
# 136_proxy_kafka runs this with a broker of its own.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeProxy;
use TxpipeTest;

our $real_broker;
my $broker = $real_broker // start_broker(2, 't:4');
my $proxy  = start_proxy($broker);
my $node   = new_node('proxy');
my $sent   = 0;

start_node($node);
sub sql { return $node->safe_psql('postgres', $_[0]); }

# What takes a minute by default takes seconds here.
sql("CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '$proxy->{servers}', socket_timeout_ms '3000',
	reconnect_backoff_max_ms '500', fetch_message_max_bytes '2000', queued_max_messages_kbytes '20')");
sql(<<'SQL');
CREATE TABLE t (id int, p int, o bigint, filling text);
SELECT txpipe.create_stream('t', 'shop', 't', 't', options => '{"batch_rows": 50}',
	columns => '{"id": "id", "p": "kafka_partition", "o": "kafka_offset", "filling": "filling"}');
SQL

# Sent to the broker itself, in sets of 20.
sub send_some
{
	my ($n) = @_;

	for my $partition (0 .. 3)
	{
		my $lines = join '', map { sprintf "{\"id\": %d, \"filling\": \"%s\"}\n", ++$sent, 'x' x 50 } 1 .. $n;

		IPC::Run::run([ 'kcat', '-P', '-b', $broker->{servers}, '-t', 't', '-p', $partition, '-X', 'batch.num.messages=20' ], '<', \$lines)
		  or die 'kcat failed';
	}
	return;
}

sub all_there
{
	my ($what) = @_;

	wait_for($node, "SELECT sum(next_offset) = $sent FROM txpipe.stream_partition", "$what: all $sent messages are read", timeout => 90);
	is(sql('SELECT count(*), count(DISTINCT id), count(DISTINCT (p, o)), max(id) FROM t'), "$sent|$sent|$sent|$sent", "$what: each message is a row once");
	is(sql(q{SELECT (SELECT count(*) FROM txpipe.dead_letter), (SELECT count(*) FROM txpipe.stream_event
		WHERE event IN ('lost_offset', 'recreated', 'unverifiable'))}), '0|0', "$what: none is a dead letter, and nothing is said to be lost");
	return;
}

sub is_well
{
	my ($what) = @_;

	misbehave($proxy, 'pass');
	all_there($what);
	wait_for($node, q{SELECT state = 'running' AND reason IS NULL AND lag_messages = 0 FROM txpipe.stream_status}, "$what: the stream runs when it is over");
	pass("$what: the stream runs when it is over");
	return;
}

send_some(100);
all_there('at first');

# --- with some of the responses: the stream makes its way ---

for my $case (
	[ 'slow 40000', 1,  'a few bytes at a time' ],
	[ 'delay 1',    4,  'one response in four a second late' ],
	[ 'truncate',   3,  'one response in three cut off' ],
	[ 'reset',      3,  'one response in three cut off by a reset' ],
	[ 'garbage',    3,  'noise in the place of one response in three' ])
{
	my ($mode, $every, $what) = @$case;

	misbehave($proxy, $mode, $every);
	send_some(100);
	all_there($what);
	cmp_ok(misbehaved($proxy), '>=', 2, "$what: " . misbehaved($proxy) . ' responses');
	is_well($what);
}

# --- with all of them: it says so; sessions do not wait for ever ---

my $streams = 0;

# Calls that ask the brokers, at the same time; each fails in bounded time with an error of a connection.
sub calls_fail
{
	my ($what) = @_;
	my $begun = time();
	my $name  = 'fails_' . ++$streams;
	my %calls = (
		'topics'        => q{SELECT * FROM txpipe.topics('shop')},
		'peek'          => q{SELECT * FROM txpipe.peek('shop', 't', timeout => '2 s')},
		'test_stream'   => q{SELECT * FROM txpipe.test_stream('shop', 't', 't')},
		'create_stream' => "SELECT txpipe.create_stream('$name', 'shop', 't', 't')",
		'produce'       => q{SELECT txpipe.produce('shop', 't', 'x')});
	my (%run, %err);

	for my $call (keys %calls)
	{
		$run{$call} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', $calls{$call} ],
			'<', \'', '>', \my $out, '2>', \$err{$call});
	}
	for my $call (sort keys %calls)
	{
		$run{$call}->finish;
		like($err{$call}, qr/^ERROR:  08\d{3}: .*brokers.*^HINT:/ms, "$what: $call says that the brokers cannot be reached");
	}
	cmp_ok(time() - $begun, '<', 30, sprintf '%s: all of them within %.1f s', $what, time() - $begun);
	return;
}

for my $case (
	[ 'hang',     1, 'nothing is answered' ],
	[ 'garbage',  1, 'all is noise' ],
	[ 'truncate', 0, 'all is cut off' ],
	[ 'reset',    0, 'all is reset' ])
{
	my ($mode, $calls, $what) = @$case;

	misbehave($proxy, $mode);
	send_some(20);
	wait_for($node, q{SELECT state = 'error' AND reason ~ '^08\d\d\d: .*brokers' FROM txpipe.stream_status}, "$what: the status says that the brokers cannot be reached",
		timeout => 90);
	note("$what: " . sql('SELECT reason FROM txpipe.stream_status'));
	calls_fail($what) if $calls;
	is_well($what);
}
is(sql('SELECT count(*) FROM txpipe.stream'), 1, 'no other stream was created');

# --- connections that go silent while messages are fetched ---

misbehave($proxy, 'drop', 4);
send_some(100);
wait_until('some responses are dropped', sub { misbehaved($proxy) >= 3 });
is_well('responses that never come');

my $lines = () = slurp_file($node->logfile) =~ /librdkafka PROTOUFLOW/g;
cmp_ok($lines, '<', 200, "the log has $lines lines of noise, not thousands");
$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/, qr/brokers/);
stop_proxy($proxy);
stop_broker($broker) unless $real_broker;
done_testing();
