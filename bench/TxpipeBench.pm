# TxpipeBench: what the measurements share: a session, CPU seconds of processes, medians, tables.
package TxpipeBench;

use strict;
use warnings;

use Exporter 'import';
use IPC::Open2;
use POSIX      ();
use List::Util qw(max sum0);
use Time::HiRes qw(time);

our @EXPORT = qw(session ask ask_later answer shell processes usage usage_between median spread percentile table tool);

my $ticks = POSIX::sysconf(POSIX::_SC_CLK_TCK());
my $tools = "$ENV{TXPIPE_TREE}/build/test";

# What bench_messages prints, as a list of fields.
sub tool
{
	my (@arguments) = @_;

	open my $out, '-|', "$tools/bench_messages", @arguments or die "bench_messages: $!";
	my $line = <$out> // '';
	close $out or die "bench_messages @arguments failed";
	return split ' ', $line;
}

# Runs it, and returns the CPU seconds that it and its processes took.
sub shell
{
	my ($command) = @_;
	my @before = times;

	system('bash', '-c', "set -euo pipefail; $command") == 0 or die "failed: $command\n";
	my @after = times;
	return $after[2] + $after[3] - $before[2] - $before[3];
}

# --- a session ---

# One psql that stays; a benchmark that starts one for each question measures psql.
sub session
{
	my ($node) = @_;
	my $self = {};

	$self->{psql} = open2($self->{out}, $self->{in}, 'psql', '-XAtq', '-F', ' ', '-v', 'ON_ERROR_STOP=1',
		'-d', $node->connstr('postgres'));
	($self->{pid}) = ask($self, 'SELECT pg_backend_pid()');
	return $self;
}

# The lines of the answer.
sub ask
{
	my ($self, $sql) = @_;

	ask_later($self, $sql);
	return answer($self);
}

sub ask_later
{
	my ($self, $sql) = @_;

	$self->{last} = $sql;
	print { $self->{in} } "$sql;\n\\echo done\n";
	$self->{in}->flush;
	return;
}

sub answer
{
	my ($self) = @_;
	my @lines;

	while (defined(my $line = readline $self->{out}))
	{
		chomp $line;
		return wantarray ? @lines : $lines[0] if $line eq 'done';
		push @lines, $line;
	}
	die "the session ended at: $self->{last}\n";
}

# --- CPU ---

# All processes: pid => { name, parent, own, reaped }, the last two in CPU seconds.
sub processes
{
	my %all;

	for my $file (glob '/proc/[0-9]*/stat')
	{
		open my $fh, '<', $file or next;
		my $line = <$fh> // next;
		my ($pid, $name, $rest) = $line =~ /^(\d+) \((.*)\) (.*)/ or next;
		my @field = split ' ', $rest;

		$all{$pid} = {
			name   => $name,
			parent => $field[1],
			own    => ($field[11] + $field[12]) / $ticks,
			reaped => ($field[13] + $field[14]) / $ticks,
			born   => $field[19] };
	}
	return %all;
}

# Those processes that descend from one of the roots, the roots included.
sub processes_below
{
	my ($all, @roots) = @_;
	my %below = map { $_ => 1 } @roots;
	my $found = 1;

	while ($found)
	{
		$found = 0;
		for my $pid (keys %$all)
		{
			next if $below{$pid} || !$below{ $all->{$pid}{parent} };
			$below{$pid} = $found = 1;
		}
	}
	return grep { $all->{$_} } keys %below;
}

sub command_line
{
	my ($pid) = @_;

	open my $fh, '<', "/proc/$pid/cmdline" or return '';
	return <$fh> // '';
}

# Seconds all cores were busy since the machine started.
sub busy
{
	open my $fh, '<', '/proc/stat' or die "/proc/stat: $!";
	my (undef, $user, $nice, $system, undef, undef, $irq, $softirq, $steal) = split ' ', scalar <$fh>;

	return ($user + $nice + $system + $irq + $softirq + $steal) / $ticks;
}

# What has been used so far. roots: label => pid; processes below the postmaster get labels of their own:
# worker, child, backend, server.
sub usage
{
	my (%roots) = @_;
	my %all = processes();
	my %used;

	# We first: broker and readers are below us, and count as what they are.
	for my $label (sort { ($b eq 'bench') <=> ($a eq 'bench') } keys %roots)
	{
		for my $pid (processes_below(\%all, $roots{$label}))
		{
			my $p = $all{$pid};
			my $as = $label;

			if ($label eq 'server' && $pid != $roots{server})
			{
				my $title = command_line($pid);

				$as = $p->{name} eq 'txpipe_io' ? 'child' : $title =~ /txpipe worker/ ? 'worker'
				  : $title =~ /\[local\]/ ? 'backend' : 'server';
			}
			$used{"$pid $p->{born}"} = [ $as, $p->{own}, $p->{reaped} ];
		}
	}
	return { at => time(), busy => busy(), used => \%used };
}

# CPU seconds by label between two looks, what was reaped meanwhile included, and others: the cores that
# processes besides ours kept busy.
sub usage_between
{
	my ($before, $after) = @_;
	my %cpu   = map { $_ => 0 } qw(worker child backend server broker bench);
	my $wall  = $after->{at} - $before->{at};
	my $total = 0;

	for my $id (keys %{ $after->{used} })
	{
		my ($label, $own, $reaped) = @{ $after->{used}{$id} };
		my $old = $before->{used}{$id} // [ $label, 0, 0 ];

		$cpu{$label} += $own - $old->[1];
		$total += $own - $old->[1];
		# A child that ended in between had used something before, which is counted twice here.
		$cpu{server} += $reaped - $old->[2] if $label eq 'server';
		$total += $reaped - $old->[2];
	}
	$cpu{others} = $wall > 0 ? max(0, ($after->{busy} - $before->{busy} - $total) / $wall) : 0;
	return %cpu;
}

# --- figures ---

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	my $n = @sorted;

	return undef unless $n;
	return $n % 2 ? $sorted[ $n / 2 ] : ($sorted[ $n / 2 - 1 ] + $sorted[ $n / 2 ]) / 2;
}

# Least, median, most; of nothing, nothing.
sub spread
{
	my @sorted = sort { $a <=> $b } @_;

	return @sorted ? ($sorted[0], median(@sorted), $sorted[-1]) : ();
}

# The value that the given per cent of the values do not exceed (nearest rank).
sub percentile
{
	my ($percent, @values) = @_;
	my @sorted = sort { $a <=> $b } @values;

	return $sorted[ max(0, POSIX::ceil($percent * @sorted / 100) - 1) ];
}

# Lines of a table: the first row is the heading; columns but the first are aligned right.
sub table
{
	my (@rows) = @_;
	my @width;

	for my $row (@rows)
	{
		$width[$_] = max($width[$_] // 0, length($row->[$_] // '')) for 0 .. $#$row;
	}
	return join '', map { table_line(\@width, @$_) } @rows;
}

sub table_line
{
	my ($width, $first, @rest) = @_;
	my $line = sprintf '  %-*s', $width->[0], $first;

	$line .= sprintf '  %*s', $width->[ $_ + 1 ], $rest[$_] // '' for 0 .. $#rest;
	return "$line\n";
}

1;
