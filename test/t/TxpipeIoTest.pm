# The child process without a server: starting it, frames and their payloads, and a mock Kafka cluster.
package TxpipeIoTest;

use strict;
use warnings;

use Exporter qw(import);
use Fcntl;
use File::Temp qw(tempdir);
use IO::Handle;
use IO::Select;
use POSIX ();
use Socket;
use Test::More ();
use Time::HiRes qw(time);

our @EXPORT = qw($program $dir $patience $brokers start_child say_frame hear hear_type wait_exit end_child str opt
  properties schema read_batch read_partitions read_verdict read_lost read_ends start_at read_error spew start_io_broker
  control stream_frame produce feed open_stream);

our $program = $ENV{TXPIPE_IO}    // './txpipe_io';
our $build   = $ENV{TXPIPE_BUILD} // 'build';
our $dir     = tempdir(CLEANUP => 1);
our $patience = 30;

my %TYPE = (
	HELLO => 1, STREAM_OPEN => 2, STREAM_START => 3, BATCH_DONE => 4, BATCH_REPEAT => 5, CLOSE => 6,
	TOPICS => 7, PRODUCE => 8, FILE_HASH => 9, FILE_COPY => 10, FILE_OPEN => 11, DECODE => 12, PING => 14, PARTITIONS => 32,
	BATCH => 33, BATCH_RAW => 34, CLOSED => 35, TOPIC_LIST => 36, PRODUCED => 37, FILE_HASHED => 38,
	FILE_COPIED => 39, FILE_END => 40, ERROR => 41, LOG => 42, ENDS => 43, VERIFIED => 44,
	LOST => 45, DECODED => 46, PRODUCED_ALL => 47, PONG => 48, FILE_REWRITE => 15, FILE_REWRITTEN => 49,
	OBJECT_PUT => 16, OBJECT_DELETE => 17, OBJECT_STORED => 50, OBJECT_DELETED => 51);
my %NAME = reverse %TYPE;

# --- the child ---

sub start_child
{
	my (%arg) = @_;
	socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!";
	my $parent = $arg{parent} // $$;
	my $pid    = fork() // die "fork: $!";
	if ($pid == 0)
	{
		POSIX::dup2(fileno($theirs), 3) unless fileno($theirs) == 3;
		open(my $kept, '>&=', 3) or POSIX::_exit(99);
		fcntl($kept, F_SETFD, 0);
		exec($program, $parent) or POSIX::_exit(99);
	}
	close $theirs;
	my $c = { pid => $pid, sock => $ours, in => '', logs => [], mail => [] };
	say_frame($c, 'HELLO', 0, 0, pack('L', $arg{version} // 18)) unless $arg{silent};
	return $c;
}

sub say_frame
{
	my ($c, $type, $channel, $seq, $payload) = @_;
	my $bytes = pack('L4', length($payload), $TYPE{$type} // $type, $channel, $seq) . $payload;
	# A child that is gone is an error to be told: the signal would end the test without its cleaning up.
	local $SIG{PIPE} = 'IGNORE';
	while (length $bytes)
	{
		my $n = syswrite($c->{sock}, $bytes) // die "write: $!";
		substr($bytes, 0, $n) = '';
	}
}

# Next frame that is neither LOG nor ENDS (those are kept aside); undef at end of file.
sub hear
{
	my ($c, %arg) = @_;
	my $until = time + ($arg{timeout} // $patience);
	while (1)
	{
		if (length $c->{in} >= 16)
		{
			my ($size, $type, $channel, $seq) = unpack('L4', $c->{in});
			if (length $c->{in} >= 16 + $size)
			{
				my $data = substr($c->{in}, 16, $size);
				substr($c->{in}, 0, 16 + $size) = '';
				my $f = { type => $NAME{$type}, channel => $channel, seq => $seq, data => $data };
				if ($f->{type} eq 'LOG')
				{
					push @{ $c->{logs} }, (unpack('l L/a', $data))[1];
					next;
				}
				next if $f->{type} eq 'ENDS' && !$arg{ends};
				return $f;
			}
		}
		my $left = $until - time;
		return { type => 'TIMEOUT' } if $left <= 0;
		next unless IO::Select->new($c->{sock})->can_read($left);
		my $n = sysread($c->{sock}, $c->{in}, 1 << 20, length $c->{in});
		return undef unless $n;
	}
}

# Next frame of a type, others (on the same channel where one is given) being a failure of the caller's.
sub hear_type
{
	my ($c, $type, %arg) = @_;
	my $f = hear($c, %arg) // { type => 'end of file' };
	return $f if $f->{type} eq $type;
	$f->{type} .= ': ' . read_error($f)->{message} if $f->{type} eq 'ERROR';
	Test::More::BAIL_OUT("expected $type, heard $f->{type}");
}

sub wait_exit
{
	my ($c) = @_;
	local $SIG{ALRM} = sub { die "child $c->{pid} did not end\n" };
	alarm $patience;
	waitpid($c->{pid}, 0);
	alarm 0;
	return $?;
}

sub end_child
{
	my ($c) = @_;
	close $c->{sock};
	return wait_exit($c);
}

# --- payloads ---

sub str { return pack('L/a', $_[0]) }
sub opt { return defined $_[0] ? str($_[0]) : pack('L', 0xFFFFFFFF) }

sub properties
{
	my %p = @_;
	return pack('L', scalar keys %p) . join('', map { str($_) . str($p{$_}) } sort keys %p);
}

# columns: [name, type, source, default]
sub schema
{
	my ($format, $form, @columns) = @_;
	my $s = pack('C8', $format, $form, ord(','), ord('"'), 1, 1, 0, $format == 0 ? 1 : 0) . pack('C', 0) . opt(undef) . str('') . opt(undef) x 5 . pack('C', 0) . opt(undef) x 6 . pack('l L L l', 0, 0, 0);
	$s .= pack('L', scalar @columns);
	for my $col (@columns)
	{
		my ($name, $type, $source, $default) = @$col;
		$s .= str($name) . pack('C l l l C C C L', $type, 0, $type >= 10 && $type <= 13 ? -1 : 0, 0, 0, $source // 0, 0, 0) . opt($default) . pack('C', 0);
	}
	return $s;
}

sub read_batch
{
	my ($f) = @_;
	die "a frame of type $f->{type} instead of a batch\n" unless $f->{type} =~ /^BATCH/;
	my $d = $f->{data};
	my $take = sub { my ($t, $n) = @_; my @v = unpack($t, $d); substr($d, 0, $n) = ''; return @v };
	my $take_opt = sub {
		my ($n) = $take->('L', 4);
		return undef if $n == 0xFFFFFFFF;
		return substr($d, 0, $n, '');
	};
	my ($rows, $rejects, $stopped, $bytes, $gather, $decode, $sent, $ranges) = $take->('L2 C q4 L', 45);
	my $b = { rows => $rows, seq => $f->{seq}, stopped => $stopped, bytes => $bytes };
	for (1 .. $ranges)
	{
		my %r;
		@r{qw(topic partition from next end last_offset last_ts last_hash bytes rows rejects)} =
		  $take->('L l q7 L2', 72);
		push @{ $b->{ranges} }, \%r;
	}
	my ($fields) = $take->('L', 4);
	for (1 .. $fields)
	{
		my %r = (path => $take_opt->());
		@r{qw(types count first_topic first_partition first_offset last_topic last_partition last_offset)} =
		  $take->('L q L l q L l q', 44);
		push @{ $b->{fields} }, \%r;
	}
	$b->{block} = $take_opt->();
	for (1 .. $rejects)
	{
		my %r;
		@r{qw(topic partition offset ts)} = $take->('L l q2', 24);
		$r{$_} = $take_opt->() for qw(key headers payload code message column);
		push @{ $b->{rejects} }, \%r;
	}
	for (1 .. ($f->{type} eq 'BATCH_RAW' ? $rows : 0))
	{
		my %r;
		@r{qw(bytes topic partition offset ts)} = $take->('L L l q2', 28);
		$r{$_} = $take_opt->() for qw(key headers payload);
		push @{ $b->{raw} }, \%r;
	}
	$b->{rest} = length $d;
	return $b;
}

# [topic, partition, low, high, start] each
sub read_partitions
{
	my ($f) = @_;
	my $d = $f->{data};
	my ($n, $rest) = unpack('L a*', $d);
	my @topics;
	for (1 .. $n)
	{
		(my $topic, my $id_bytes, $rest) = unpack('L/a L a*', $rest);
		substr($rest, 0, $id_bytes == 0xFFFFFFFF ? 0 : $id_bytes) = '';
		push @topics, $topic;
	}
	my ($count, @v) = unpack('L (L l q q q)*', $rest);
	return { topics => \@topics, places => [ map { [ splice @v, 0, 5 ] } 1 .. $count ] };
}

# [topic, partition, verdict, low, high]
sub read_verdict { return [ unpack('L l C q q', $_[0]{data}) ] }

# [topic, partition, offset, low, high]
sub read_lost { return [ unpack('L l q q q', $_[0]{data}) ] }

# STREAM_START for places: [partition, next, last offset, its hash, topic] each, of topic 0 where none is named
sub start_at
{
	return pack('L', scalar @_) . join('', map { pack('L l q q q', $_->[4] // 0, @$_[ 0, 1 ], $_->[2] // -1, $_->[3] // 0) } @_);
}

sub read_error
{
	my ($f) = @_;
	my ($fatal, $state, $rest) = unpack('C L/a a*', $f->{data});
	my ($message, $more) = unpack('L/a a*', $rest);
	my @texts;
	for (1 .. 2)
	{
		my $n = unpack('L', $more);
		push @texts, $n == 0xFFFFFFFF ? undef : substr($more, 4, $n);
		substr($more, 0, 4 + ($n == 0xFFFFFFFF ? 0 : $n)) = '';
	}
	return { fatal => $fatal, state => $state, message => $message, detail => $texts[0], hint => $texts[1] };
}

sub spew
{
	my ($path, $content) = @_;
	open(my $fh, '>:raw', $path) or die "$path: $!";
	print $fh $content;
	close $fh;
	return $path;
}

# --- Kafka ---

my $broker_pid;
our $brokers;

# Topics as NAME:PARTITIONS.
sub start_io_broker
{
	my (@topics) = @_;
	my $port_file = "$dir/port";
	$broker_pid = fork() // die;
	if ($broker_pid == 0)
	{
		open(STDIN,  '<', '/dev/null');
		open(STDOUT, '>', "$dir/broker.out");
		exec("$build/test/mock_broker", (map { ('--topic', $_) } @topics), '--port-file', $port_file,
			'--control', "$dir/control") or POSIX::_exit(99);
	}
	my $until = time + $patience;
	select(undef, undef, undef, 0.02) while !-e $port_file && time < $until;
	open(my $fh, '<', $port_file) or die "no broker: $!";
	($brokers) = <$fh> =~ /=(.*)/;
}

sub stream_frame
{
	my ($topic, %o) = @_;
	return properties('bootstrap.servers' => $o{brokers} // $brokers, %{ $o{properties} // {} })
	  . str($topic) . pack('l q L', $o{start} // 0, 0, $o{timeout} // 20_000)
	  . schema(0, 1, @{ $o{columns} // [ [ 'a', 1 ], [ 'o', 2, 5 ] ] })
	  . pack('L4 q2 C', $o{rows} // 1000, $o{bytes} // 1 << 20, $o{linger} // 0, $o{gather} // 20, $o{rps} // 0, $o{bps} // 0, $o{stop} // 0);
}

sub produce
{
	my ($c, $partition, $value, %o) = @_;
	my @h = @{ $o{headers} // [] };
	my @encodings = @{ $o{encodings} // [] }; # of [ format, schema, subject, whether to register ] of values; keys are as they are
	my $p = properties('bootstrap.servers' => $brokers) . opt(undef) x 3 . pack('l L', 0, scalar @encodings)
	  . join('', map { pack('C', $_->[0]) . opt($_->[1]) . opt($_->[2]) . pack('C', $_->[3] // 0) . pack('C', 2) . opt(undef) x 2 . pack('C', 0) } @encodings)
	  . str($o{topic} // 't') . pack('l', $partition)
	  . opt($o{key}) . opt($value) . pack('L', @h / 2);
	while (my ($n, $v) = splice(@h, 0, 2)) { $p .= str($n) . opt($v) }
	say_frame($c, 'PRODUCE', 90, 0, $p . pack('L', $o{timeout} // 20_000));
	return hear($c);
}

# Opens a stream on a channel: its PARTITIONS.
sub open_stream
{
	my ($c, $channel, $topic, %o) = @_;
	say_frame($c, 'STREAM_OPEN', $channel, 0, stream_frame($topic, %o));
	return read_partitions(hear_type($c, 'PARTITIONS'));
}

# Writes many messages at once.
sub feed
{
	my ($topic, $partition, @values) = @_;
	open(my $kcat, '|-', "kcat -P -b $brokers -t $topic -p $partition 2>/dev/null") or die;
	print $kcat "$_\n" for @values;
	close $kcat or die "kcat: $?";
}

sub control
{
	my ($line) = @_;
	open(my $fh, '>', "$dir/control") or die;
	print $fh "$line\n";
	close $fh;
}

END
{
	if ($broker_pid)
	{
		my $status = $?;
		kill 'TERM', $broker_pid;
		waitpid($broker_pid, 0);
		$? = $status;
	}
}

1;
