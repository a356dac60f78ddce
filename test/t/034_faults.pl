# A child that dies or talks nonsense: its streams show it and go on by themselves, and the server lives.
#
# The installation is private to the tests: its txpipe_io is replaced by a program that does what the file `mode`
# says, or becomes the true one.
use strict;
use warnings;

use File::Copy qw(copy);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('t:1');
my $node   = new_node('faults');
my $dir    = PostgreSQL::Test::Utils::tempdir();
my $true   = "$dir/txpipe_io";
my $program = $node->config_data('--pkglibdir') . '/txpipe_io';

sub set_mode
{
	my ($mode) = @_;

	open my $fh, '>', "$dir/mode.new" or die $!;
	print $fh $mode;
	close $fh;
	rename "$dir/mode.new", "$dir/mode" or die $!;
	return;
}

# HELLO and STREAM_OPEN are 1 and 2; each answer is sent for the channel of the STREAM_OPEN that was read.
sub install_fake
{
	copy($program, $true) or die "$program: $!";
	chmod 0755, $true;
	unlink $program;
	open my $fh, '>', $program or die "$program: $!";
	print $fh <<"FAKE";
#!/usr/bin/perl
use strict;
open my \$m, '<', '$dir/mode' or die;
my \$mode = <\$m>;
close \$m;
exec '$true', \@ARGV if \$mode eq 'true';
FAKE
	print $fh <<'FAKE';
exit 1 if $mode eq 'exit';
kill 'SEGV', $$ if $mode eq 'crash';
open my $sock, '+<&=', 3 or die;
my $in = '';
my $channel;
while (!defined $channel)
{
	sysread($sock, $in, 65536, length $in) or exit 0;
	while (length $in >= 16)
	{
		my ($size, $type, $c) = unpack 'L4', $in;
		last if length $in < 16 + $size;
		substr($in, 0, 16 + $size) = '';
		$channel = $c if $type == 2;
	}
}
my $place = pack 'L l q q', 4_000_000_000, -7, -1, -1;
my %nonsense = (
	oversize   => [ 33, undef ],
	type       => [ 999, 'x' ],
	partitions => [ 32, pack 'L L', 1, 4_000_000_000 ],
	places     => [ 32, pack('L', 0) . pack('L', 1) . pack('L l q q q', 5, 5, 0, 0, 0) ],
	early      => [ 33, pack('L2 C q4 L L L', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) ],
	batch      => [ 33, pack 'L*', map { 4_000_000_000 } 1 .. 40 ],
	raw        => [ 34, join '', map { chr($_ % 256) } 1 .. 999 ],
	empty      => [ 33, '' ],
	ends       => [ 43, pack('L', 1) . $place ],
	verified   => [ 44, pack('L l C q q', 4_000_000_000, -7, 9, 0, 0) ],
	lost       => [ 45, $place ],
	error      => [ 41, "\x01" ],
	state      => [ 41, pack 'C L/a L/a L L', 1, "'; --", "\xff\xfe", 0xFFFFFFFF, 0xFFFFFFFF ]);
my ($type, $payload) = @{ $nonsense{$mode} };
# PARTITIONS of a topic without partitions first, where the frame would come later in a stream.
syswrite $sock, pack('L4', 8, 32, $channel, 0) . pack('L L', 0, 0)
  if $mode =~ /^(early|batch|raw|empty|ends|verified|lost)$/;
syswrite $sock, pack('L4', defined $payload ? length $payload : 0xFFFFFFF0, $type, $channel, 1) . ($payload // '');
1 while sysread $sock, $in, 65536;
FAKE
	close $fh;
	chmod 0755, $program;
	return;
}

END
{
	if (-e $true)
	{
		my $status = $?;
		unlink $program;
		copy($true, $program) and chmod 0755, $program;
		$? = $status;
	}
}

install_fake();
set_mode('true');
start_node($node);
kafka_server($node, 'shop', $broker);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (n int);
SELECT txpipe.create_stream('t', 'shop', 't', 't');
SQL
my $checkpointer = checkpointer_pid($node);
my $sent         = 0;

sub one_more_row
{
	my ($what) = @_;

	$sent++;
	produce_lines($broker, 't', 0, "{\"n\": $sent}");
	wait_for($node, 'SELECT count(*), count(DISTINCT n) FROM t', $what, value => "$sent|$sent");
	pass($what);
	return;
}

# It may end while it is looked at.
sub is_fake
{
	my ($pid) = @_;

	return $pid && (eval { slurp_file("/proc/$pid/cmdline") } // '') =~ /perl/;
}

one_more_row('the stream works');

for ([ exit => 'ends at once', 'has ended with status 1' ],
	[ crash      => 'crashes at once',           'was ended by signal 11' ],
	[ oversize   => 'sends a frame too large',   undef ],
	[ type       => 'sends an unknown frame',    undef ],
	[ partitions => 'sends broken PARTITIONS',   '08P01' ],
	[ places     => 'names places of no topic',  '08P01' ],
	[ early      => 'sends a batch of nothing',  undef ],
	[ batch      => 'sends a broken batch',      '08P01' ],
	[ raw        => 'sends a broken BATCH_RAW',  '08P01' ],
	[ empty      => 'sends an empty batch',      '08P01' ],
	[ ends       => 'names ends of no place',    '08P01' ],
	[ verified   => 'compares no place',         '08P01' ],
	[ lost       => 'lost no place',             '08P01' ],
	[ error      => 'sends a broken ERROR',      '08P01' ],
	[ state      => 'sends an ERROR that is not text', undef ])
{
	my ($mode, $what, $shown) = @$_;
	my $since = $node->safe_psql('postgres', 'SELECT clock_timestamp()');

	set_mode($mode);
	kill 'KILL', wait_until('there is a child', sub { my $w = worker_pid($node); $w && child_pid($w) });
	if (defined $shown)
	{
		wait_for($node, "SELECT last_error_at > '$since' AND last_error ~ '$shown' FROM txpipe.stream_status",
			"a child that $what is shown");
		pass("a child that $what is shown");
	}
	else
	{
		# The fake one has been there, and said it.
		wait_until("a child that $what was there",
			sub { is_fake(child_pid(worker_pid($node))) });
		pass("a child that $what was there");
	}
	set_mode('true');
	my $fake = child_pid(worker_pid($node));
	kill 'KILL', $fake if is_fake($fake);
	one_more_row("... and the stream goes on");
}
is(checkpointer_pid($node), $checkpointer, 'the server was never restarted');
is(worker_pid($node) && $node->safe_psql('postgres', 'SELECT sum(n) FROM t'), $sent * ($sent + 1) / 2, 'every row once');
log_is_clean($node, qr/txpipe_io/);
done_testing();
