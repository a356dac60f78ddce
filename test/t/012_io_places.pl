# Topics and partitions of the child's streams: lists and patterns, what appears later, the comparison of the
# record read last, offsets that are gone, and clients that streams share.
#
#   TXPIPE_IO=./txpipe_io TXPIPE_BUILD=build prove test/t/012_io_places.pl

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib $FindBin::RealBin;
use TxpipeIoTest;

start_io_broker('one:1', 'two:2', 'p_1:1', 'same:1', 'expired:2', 'held:1', 'busy:1', 'share_1:1', 'share_2:1');

sub start
{
	my ($c, $channel, @places) = @_;
	say_frame($c, 'STREAM_START', $channel, 0, start_at(@places));
}

# The next batch, acknowledged.
sub next_batch
{
	my ($c) = @_;
	my $f = hear_type($c, 'BATCH');
	say_frame($c, 'BATCH_DONE', $f->{channel}, $f->{seq}, '');
	return read_batch($f);
}

# Rows of batches on channel 1 until there are as many, sorted.
sub rows_of
{
	my ($c, $n) = @_;
	my @rows;
	push @rows, split(/\n/, next_batch($c)->{block}) while @rows < $n;
	return join(' ', sort @rows);
}

my @columns = ([ 'a', 1 ], [ 't', 7, 3 ]);

sub test_list
{
	my $c = start_child();
	feed('one', 0, '{"a": 1}');
	feed('two', 1, '{"a": 2}');
	is_deeply(
		open_stream($c, 1, 'two, one,two', columns => \@columns),
		{ topics => [ 'two', 'one' ], places => [ [ 0, 0, 0, 0, 0 ], [ 0, 1, 0, 1, 0 ], [ 1, 0, 0, 1, 0 ] ] },
		'a list: its topics in order, each once');
	start($c, 1, [ 0, 0 ], [ 1, 0 ], [ 0, 0, -1, 0, 1 ]);
	is(rows_of($c, 2), "1\tone 2\ttwo", '... all are read');
	is(end_child($c), 0, 'exit status 0');
}

sub test_pattern
{
	my $c = start_child();
	feed('p_1', 0, '{"a": 1}');
	is_deeply(
		open_stream($c, 1, '^p_[0-9]$', columns => \@columns, start => 1),
		{ topics => ['p_1'], places => [ [ 0, 0, 0, 1, 1 ] ] },
		'a pattern: the topics it fits');
	start($c, 1, [ 0, 1 ]);
	my $start = time;
	control('topic p_2 2');
	control('topic p_x 1');
	feed('p_2', 1, '{"a": 2}', '{"a": 3}');
	my $p = read_partitions(hear_type($c, 'PARTITIONS'));
	cmp_ok(time - $start, '<', 10, 'a new topic is found within 10 s');
	is_deeply($p->{topics}, [ 'p_1', 'p_2' ], '... the numbers of others stay, one it does not fit is none');
	is_deeply([ map { [ @$_[ 0, 1, 4 ] ] } @{ $p->{places} } ],
		[ [ 1, 0, 0 ], [ 1, 1, 0 ] ], '... and is to be read from its beginning, though the stream began at the end');
	start($c, 1, [ 0, 0, -1, 0, 1 ], [ 1, 0, -1, 0, 1 ]);
	feed('p_1', 0, '{"a": 4}');
	is(rows_of($c, 3), "2\tp_2 3\tp_2 4\tp_1", '... with what was in it, beside the old one');

	is_deeply(open_stream($c, 2, '^nothing_', start => 1), { topics => [], places => [] }, 'a pattern that fits nothing yet');
	start($c, 2);
	control('topic nothing_yet 1');
	feed('nothing_yet', 0, '{"a": 5}');
	$p = read_partitions(hear_type($c, 'PARTITIONS'));
	is("@{$p->{topics}} $p->{places}[0][4]", 'nothing_yet 0', '... until there is one, read from its beginning');
	is(end_child($c), 0, 'exit status 0');
}

sub test_verdicts
{
	my $c = start_child();
	feed('same', 0, '{"a": 1}', '{"a": 2}', '{"a": 3}');
	open_stream($c, 1, 'same', rows => 3, gather => 5000);
	start($c, 1, [ 0, 0 ]);
	my $range = next_batch($c)->{ranges}[0];
	is("$range->{next} $range->{last_offset}", '3 2', 'a batch tells the last record');
	my $hash = $range->{last_hash};

	my $reopen = sub {
		my ($offset, $last_hash) = @_;
		say_frame($c, 'CLOSE', 1, 0, '');
		hear_type($c, 'CLOSED');
		open_stream($c, 1, 'same');
		start($c, 1, [ 0, 3, $offset, $last_hash ]);
		return read_verdict(hear_type($c, 'VERIFIED'));
	};
	is_deeply([ @{ $reopen->(2, $hash) }[ 0 .. 2 ] ], [ 0, 0, 0 ], 'the record read last is there: same');
	feed('same', 0, '{"a": 4}');
	$range = next_batch($c)->{ranges}[0];
	is("$range->{from} $range->{next}", '3 4', '... and reading goes on behind it');
	isnt($range->{last_hash}, $hash, 'another record has another hash');

	is_deeply($reopen->(2, $hash + 1), [ 0, 0, 1, 0, 4 ], 'another record is there: other');
	is(hear($c, timeout => 0.5)->{type}, 'TIMEOUT', '... and nothing is read');
	start($c, 1, [ 0, 0 ]);
	is(next_batch($c)->{ranges}[0]{from}, 0, '... until the partition is started anew');
	is(end_child($c), 0, 'exit status 0');
}

# The mock keeps 5 MiB of a partition.
sub expire
{
	my ($topic, $partition) = @_;
	my $large = '{"a": 7, "b": "' . ('x' x 900_000) . '"}';
	feed($topic, $partition, $large) for 1 .. 8;
}

sub test_lost
{
	my $c = start_child();
	feed('expired', 0, map { qq({"a": $_}) } 1 .. 10);
	expire('expired', 0);
	my $p   = open_stream($c, 1, 'expired', rows => 1);
	my $low = $p->{places}[0][2];
	cmp_ok($low, '>', 10, 'messages have expired');
	start($c, 1, [ 0, $low, 9, 1 ]);
	is_deeply([ @{ read_verdict(hear_type($c, 'VERIFIED')) }[ 0 .. 2 ] ], [ 0, 0, 2 ], 'the record read last has expired: gone');
	is(next_batch($c)->{ranges}[0]{from}, $low, '... and reading goes on where it was to');
	say_frame($c, 'CLOSE', 1, 0, '');
	1 until hear($c)->{type} eq 'CLOSED';

	# At run time: told when what was read before is committed, and not before.
	open_stream($c, 1, 'expired,held');
	feed('held', 0, '{"a": 1}');
	start($c, 1, [ 0, 0, -1, 0, 1 ]);
	my $held = hear_type($c, 'BATCH');
	control('error 1 1 1');
	is(hear($c, timeout => 1.5)->{type}, 'TIMEOUT', 'a lost offset waits for the acknowledgement of its batches');
	say_frame($c, 'BATCH_DONE', 1, $held->{seq}, '');
	is_deeply(read_lost(hear_type($c, 'LOST')), [ 1, 0, 1, 0, 1 ], '... then it is told, with the watermarks');

	# Batches of others it need not wait for.
	start($c, 1, [ 0, 1, -1, 0, 1 ]);
	feed('held', 0, '{"a": 2}');
	$held = hear_type($c, 'BATCH');
	start($c, 1, [ 0, 3 ]);
	is_deeply(read_lost(hear_type($c, 'LOST')), [ 0, 0, 3, $low, 18 ], '... but not for those of others');
	say_frame($c, 'BATCH_DONE', 1, $held->{seq}, '');
	feed('held', 0, '{"a": 3}');
	is(next_batch($c)->{block}, "3\t2\n", 'other partitions are read on');
	start($c, 1, [ 0, $low ]);
	is(next_batch($c)->{ranges}[0]{from}, $low, 'the lost one from where the server says');
	is(end_child($c), 0, 'exit status 0');
}

# Beside a partition that never rests: at each moment one of its batches is unacknowledged.
sub test_lost_beside_load
{
	my $c = start_child();
	open_stream($c, 1, 'expired,busy', rows => 10);
	start($c, 1, [ 0, 0, -1, 0, 1 ]);
	my $feeder = fork() // die;
	if ($feeder == 0)
	{
		open(my $kcat, '|-', "exec kcat -P -b $brokers -t busy -p 0 -X linger.ms=1 2>/dev/null") or POSIX::_exit(1);
		$kcat->autoflush(1);
		local $SIG{PIPE} = 'IGNORE';
		1 while getppid() != 1 && print($kcat qq({"a": 1}\n)) && !select(undef, undef, undef, 0.002);
		POSIX::_exit(0);
	}
	my ($lost, @open);
	for my $batch (1 .. 300)
	{
		my $f = hear($c);
		$lost = $batch and last if $f->{type} eq 'LOST';
		push @open, $f->{seq};
		start($c, 1, [ 0, 3 ]) if $batch == 10;
		say_frame($c, 'BATCH_DONE', 1, shift @open, '') if @open > 1;
	}
	ok($lost, 'a lost offset is told beside a partition that never rests');
	kill 'KILL', $feeder;
	waitpid($feeder, 0);
	is(end_child($c), 0, 'exit status 0');
}

# Clients of librdkafka in a child: each has one main thread.
sub clients
{
	my ($c) = @_;
	my $n = 0;
	for my $task (glob "/proc/$c->{pid}/task/*/comm")
	{
		open(my $fh, '<', $task) or next;
		$n++ if (<$fh> // '') =~ /^rdk:main/;
	}
	return $n;
}

sub wait_clients
{
	my ($c, $n, $what) = @_;
	my $until = time + $patience;
	select(undef, undef, undef, 0.02) while clients($c) != $n && time < $until;
	is(clients($c), $n, $what);
}

sub test_sharing
{
	my $c = start_child();
	open_stream($c, 1, 'share_1');
	open_stream($c, 2, 'share_2');
	wait_clients($c, 1, 'streams with equal properties share a client');
	open_stream($c, 3, 'share_2');
	wait_clients($c, 2, '... unless they read one topic');
	open_stream($c, 4, 'one', properties => { 'client.id' => 'other' });
	wait_clients($c, 3, 'other properties, another client');
	start($c, 1, [ 0, 0 ]);
	start($c, 2, [ 0, 0 ]);
	feed('share_1', 0, '{"a": 1}');
	is(hear_type($c, 'BATCH')->{channel}, 1, 'messages come to the stream that reads the topic');
	feed('share_2', 0, '{"a": 1}');
	is(hear_type($c, 'BATCH')->{channel}, 2, '... each to its own');
	for my $channel (1 .. 4)
	{
		say_frame($c, 'CLOSE', $channel, 0, '');
		hear_type($c, 'CLOSED');
	}
	wait_clients($c, 0, 'a client ends with its last stream');
	is(end_child($c), 0, 'exit status 0');
}

# A fault of one stream is that stream's alone.
sub test_broken
{
	my $c = start_child();
	open_stream($c, 1, 'one');
	start($c, 1, [ 0, 1 ]);
	my $n = 1;
	for ([ 'a partition that is not there', start_at([ 7, 0 ]) ],
		[ 'a topic that is not there', start_at([ 0, 0, -1, 0, 5 ]) ],
		[ 'a negative offset',         start_at([ 0, -3 ]) ],
		[ 'a last record ahead',       start_at([ 0, 1, 1, 0 ]) ],
		[ 'less than it says',         pack('L', 5) ],
		[ 'more than it says',         start_at([ 0, 0 ]) . 'x' ])
	{
		my ($what, $payload) = @$_;
		open_stream($c, ++$n, 'two');
		say_frame($c, 'STREAM_START', $n, 0, $payload);
		my $e = read_error(hear_type($c, 'ERROR'));
		is("$e->{fatal} $e->{state}", '1 08P01', "STREAM_START names $what: the channel fails");
		say_frame($c, 'CLOSE', $n, 0, '');
		1 until hear($c)->{type} eq 'CLOSED';
	}
	my $open = stream_frame('two');
	for my $cut (0, 3, 40, length($open) - 1)
	{
		say_frame($c, 'STREAM_OPEN', ++$n, 0, substr($open, 0, $cut));
		my $e = read_error(hear_type($c, 'ERROR'));
		is("$e->{fatal} $e->{state}", '1 08P01', "STREAM_OPEN is cut after $cut bytes: the channel fails");
	}
	feed('one', 0, '{"a": 9}');
	is(next_batch($c)->{block}, "9\t1\n", 'another stream goes on');
	is(end_child($c), 0, 'exit status 0');
}

test_list();
test_pattern();
test_verdicts();
test_lost();
test_lost_beside_load();
test_sharing();
test_broken();
done_testing();
