# A client of librdkafka whose own threads hang: the txpipe_io that has it ends and is replaced. One that has lost a topic: the stream
# gets another. Each message is a row once, and brokers that are stopped, away or silent are not taken for either.
use strict;
use warnings;

use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeTest;

# What is told of a client that hangs is told within this time of it, in seconds.
my $TOLD = 40;

my $dir    = PostgreSQL::Test::Utils::tempdir();
my %fault  = map { $_ => "$dir/$_" } 'hang', 'lose';
my $broker = start_broker(map { "$_:1" } 'a' .. 'd');
my $node   = new_node('client', conf => "txpipe.max_workers = 1\n", install_path => install_with_preload('librdkafka', TXPIPE_HANG => $fault{hang}));
my %sent;
my %node_of;

sub send_some
{
	my ($topic) = @_;

	produce_lines($broker, $topic, 0, map { '{"n": ' . ++$sent{$topic} . '}' } 1 .. 100);
	return;
}

# A stream of the topic's name, which reads some messages.
sub begin
{
	my ($on, $name) = @_;

	$node_of{$name} = $on;
	$on->safe_psql('postgres', "CREATE TABLE $name (n int); SELECT txpipe.create_stream('$name', 'shop', '$name', '$name')");
	send_some($name);
	all_there($name, 'at first');
	return;
}

sub open_anew
{
	my ($name) = @_;

	$node_of{$name}->safe_psql('postgres', "SELECT txpipe.pause_stream('$name')");
	$node_of{$name}->safe_psql('postgres', "SELECT txpipe.resume_stream('$name')");
	return;
}

sub all_there
{
	my ($name, $what) = @_;
	my $n  = $sent{$name};
	my $on = $node_of{$name};

	wait_for($on, "SELECT state = 'running' AND reason IS NULL AND lag_messages = 0 AND rows_total = $n FROM txpipe.stream_status WHERE stream = '$name'",
		"stream $name has read all: $what");
	is($on->safe_psql('postgres', "SELECT count(*), count(DISTINCT n), max(n) FROM $name"), "$n|$n|$n", "stream $name, $what: each message is a row once");
	return;
}

# --- meanwhile, of another server, brokers that give no answer ---

my $stopped = start_broker('t:1');
my $silent  = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "listen: $!";
my $closed  = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
my $patient = new_node('patient', conf => "txpipe.max_workers = 1\n", install_path => install_with_preload('librdkafka', TXPIPE_LOSE => $fault{lose}));
my %servers = (stopped => $stopped->{servers}, map { $_->[0] => '127.0.0.1:' . $_->[1]->sockport } [ silent => $silent ], [ closed => $closed ]);

close $closed;
start_node($patient);
kafka_server($patient, 'shop', $broker);
begin($patient, $_) for 'c', 'd';
for my $name (sort keys %servers)
{
	kafka_server($patient, $name, { servers => $servers{$name} });
	$patient->safe_psql('postgres', "CREATE TABLE $name (n int); SELECT txpipe.create_stream('$name', '$name', 't', '$name', paused => true);
		SELECT txpipe.resume_stream('$name')");
}
produce_lines($stopped, 't', 0, '{"n": 1}');
wait_for_offset($patient, 'stopped', 1);
wait_for($patient, q{SELECT count(*) = 2 FROM txpipe.stream_status WHERE state = 'error'}, 'two streams have no broker');
my $patient_child = wait_until('the worker has a child', sub { child_pid(worker_pid($patient)) });
kill 'STOP', $stopped->{pid};
my $since = time();

# --- a client hangs ---

start_node($node);
kafka_server($node, 'shop', $broker);
begin($node, $_) for 'a', 'b';
my $worker = worker_pid($node);
my $child  = child_pid($worker);
append_to_file($fault{hang}, '');
wait_until('a client hangs', sub { !-e $fault{hang} });
my $hung = time();
open_anew('a');
send_some($_) for 'a', 'b';
wait_until('txpipe_io says that a client hangs',
	sub { slurp_file($node->logfile) =~ /txpipe_io ends: the threads of librdkafka's client for "\Q$broker->{servers}\E" hang/ });
cmp_ok(time() - $hung, '<', $TOLD, '... in good time');
wait_until('it has ended', sub { !process_lives($child) });
all_there($_, 'after a client that hung') for 'a', 'b';
is(worker_pid($node), $worker, 'the worker is the same');

# --- the others ---

wait_until('brokers have been silent for longer', sub { time() - $since > $TOLD + 5 });
is(child_pid(worker_pid($patient)), $patient_child, 'without brokers a child stays');

# --- a client answers about topics, and no more about their partitions ---

append_to_file($fault{lose}, '');
open_anew('c');
wait_until('a client has lost its topics', sub { !-e $fault{lose} });
send_some($_) for 'c', 'd';
all_there($_, 'after a client that lost a topic') for 'd', 'c';
is($patient->safe_psql('postgres', q{SELECT string_agg(stream || ' ' || event, ', ' ORDER BY stream_event_id) FROM txpipe.stream_event
	WHERE stream IN ('c', 'd') AND event IN ('error', 'recovered')}), 'c error, c recovered', 'the other stream had no trouble');
is(child_pid(worker_pid($patient)), $patient_child, 'the child stays');

kill 'CONT', $stopped->{pid};
produce_lines($stopped, 't', 0, '{"n": 2}');
wait_for_offset($patient, 'stopped', 2);
my $log = slurp_file($patient->logfile);
unlike($log, qr/txpipe_io ends/, 'nor has it said that it ends');
is(join(' ', $log =~ /a client of librdkafka for "(.*?)" does not answer about partitions/g), $broker->{servers}, 'one client is given to no further stream');

$_->stop('fast') for $node, $patient;
log_is_clean($_, qr/terminating .* due to administrator command|could not reach the Kafka brokers/) for $node, $patient;
stop_broker($_) for $broker, $stopped;
done_testing();
