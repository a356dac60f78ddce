# SteadyBench: a backlog that takes long: is the rate at the end what it was, does a commit stall, does memory grow?
package SteadyBench;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(max min);
use POSIX ();
use StreamBench;
use Time::HiRes qw(time);
use TxpipeBench;

our @EXPORT = qw(measure_steady);

my $tenths = 10;

sub anonymous_mb
{
	my ($pid) = @_;

	open my $fh, '<', "/proc/$pid/status" or return 0;
	my ($kb) = join('', <$fh>) =~ /^RssAnon:\s+(\d+)/m;
	return ($kb // 0) / 1024;
}

# Worker and child of the only stream that runs; other workers' children hold next to nothing.
sub processes_of_stream
{
	my %all = processes();
	my ($child) = sort { anonymous_mb($b) <=> anonymous_mb($a) } grep { $all{$_}{name} eq 'txpipe_io' } keys %all;

	return $child ? ($all{$child}{parent}, $child) : ();
}

# Looks every 0.2 s until the stream is through; the samples are megabytes of worker and child.
sub watch
{
	my ($c, $name, $messages) = @_;
	my @samples;

	pipe my $result, my $tell or die "pipe: $!";
	my $watcher = fork // die "fork: $!";
	if ($watcher == 0)
	{
		local $SIG{TERM} = sub { POSIX::_exit(0) };
		$tell->autoflush(1);
		while (1)
		{
			my @pids = processes_of_stream();
			print $tell join(' ', map { anonymous_mb($_) } @pids), "\n" if @pids;
			select undef, undef, undef, 0.2;
		}
	}
	close $tell;
	my $end = $c->{await}->($name, $messages);
	kill 'TERM', $watcher;
	push @samples, [ split ' ' ] while <$result>;
	waitpid $watcher, 0;
	return ($end, @samples);
}

# Messages a second in each tenth of the time, and the longest time without a commit.
sub rates
{
	my ($sql, $name) = @_;
	my @batches = map { [ split ' ' ] } ask($sql, "SELECT extract(epoch FROM finished_at), messages FROM txpipe.batch_history
		WHERE stream = '$name' ORDER BY finished_at");
	my ($begin, $end) = ($batches[0][0], $batches[-1][0]);
	my ($stall, $before, @sum) = (0, $begin, (0) x $tenths);

	for my $batch (@batches)
	{
		$stall = max($stall, $batch->[0] - $before);
		$before = $batch->[0];
		$sum[ min($tenths - 1, int(($before - $begin) / ($end - $begin) * $tenths)) ] += $batch->[1];
	}
	return ($stall, map { $_ * $tenths / ($end - $begin) } @sum);
}

sub report
{
	my ($b, $stall, $samples, @rates) = @_;
	my $best = max(@rates);
	my $third = int(@$samples / 3);
	my @table = ([ '', 'at first', 'first third', 'last third', 'most' ]);

	for my $i (0, 1)
	{
		my @mb = map { $_->[$i] } @$samples;
		my $name = (qw(worker child))[$i];

		$b->{figure}->("steady.$name", max(@mb), 'MB');
		push @table, [ "$name, MB", map { sprintf '%.1f', $_ } $mb[0], median(@mb[ 0 .. $third ]), median(@mb[ -$third - 1 .. -1 ]), max(@mb) ];
	}
	$b->{say}->(sprintf "\nA backlog of %d messages: messages/s in each tenth of the time: %s;\nleast %.2f of the most (wanted 0.95), "
		  . "longest time without a commit %.2f s (wanted 1); RssAnon:\n\n%s", $b->{opt}{'steady-rows'}, join(' ', map { sprintf '%.0f', $_ } @rates),
		$b->{figure}->('steady.least_of_most', min(@rates) / $best, 'ratio'), $b->{figure}->('steady.stall', $stall, 's'), table(@table));
	return;
}

# c: sql, broker, opt, say, figure, look, await and rounds of bench/measure.
sub measure_steady
{
	my ($b) = @_;
	my ($sql, $rows) = ($b->{sql}, $b->{opt}{'steady-rows'});

	tool('produce', $b->{broker}{servers}, 'steady', $b->{opt}{partitions}, $rows);
	ask($sql, "CREATE TABLE steady ($event_columns)");
	ask($sql, "SELECT txpipe.create_stream('steady', 'bench', 'steady', 'steady', columns => '$event_mapping', paused => true,
		options => '$b->{opt}{options}')");
	ask($sql, 'CHECKPOINT');
	my $before = $b->{look}->();
	ask($sql, "SELECT txpipe.resume_stream('steady')");
	my ($end, @samples) = watch($b, 'steady', $rows);
	my %cpu = usage_between($before, $b->{look}->());
	my ($stall, @rates) = rates($sql, 'steady');
	my ($got) = ask($sql, 'SELECT count(*) FROM steady');
	die "steady: $got rows, not $rows\n" if $got != $rows;
	ask($sql, "SELECT txpipe.drop_stream('steady')");
	ask($sql, 'DROP TABLE steady');
	push @{ $b->{rounds} }, { section => 'steady', rates => \@rates, cpu => \%cpu };
	report($b, $stall, \@samples, @rates);
	$b->{say}->(sprintf '%.2f cores of others', $cpu{others});
	return;
}

1;
