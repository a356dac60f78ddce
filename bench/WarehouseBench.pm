# WarehouseBench: what the warehouse costs as it grows: large groups one after another, small ones, the reports, and a tick
# over thousands of files that are known.
package WarehouseBench;

use strict;
use warnings;

use Exporter   'import';
use File::Copy qw(move);
use File::Path qw(make_path remove_tree);
use List::Util qw(max);
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);
use TxpipeBench;

our @EXPORT = qw(measure_warehouse);

my $large      = 10;     # the number of the first large group; 15, 21 ... would repeat another
my $small      = 100;    # and of the first small one
my $small_rows = 1500;
my $warm       = 10;     # small groups that are not counted
my $calls      = 300;    # of each report
my $ticks      = 50;

# Over everything, as dashboards ask, and over a month by turns. b2b_sales wants a day.
my %reports = map { $_ => "SELECT count(*) FROM txpipe.$_(%s)" }
  qw(top_products top_offers top_offers_by_product lowest_online_cities b2b_sales);

my ($b, $sql, $landing);

# --- groups ---

sub make_groups
{
	my ($first, $count, $rows) = @_;

	make_path("$b->{dir}/groups");
	system_or_bail("$ENV{TXPIPE_TREE}/demo/make-files", '--dir', "$b->{dir}/groups", '--first', $first, '--groups', $count,
		'--rows', $rows, '--dirty', 0);
	# Every sixth repeats another one.
	return grep { $_ % 6 != 3 } $first .. $first + $count - 1;
}

# The seconds that run_hourly takes for this group; its files have long settled.
sub load_group
{
	my ($number, $rows) = @_;
	my $before = (ask($sql, 'SELECT count(*) FROM dwh.fact_sales'))[0];

	move("$b->{dir}/groups/group$number", "$landing/group$number") or die "group$number: $!";
	utime 0, 0, glob "$landing/group$number/*.csv";
	my $start = time();
	ask($sql, 'CALL txpipe.run_hourly()');
	my $seconds = time() - $start;
	my $loaded = (ask($sql, 'SELECT count(*) FROM dwh.fact_sales'))[0] - $before;
	die "group$number: $loaded sales, not $rows\n" if $loaded != $rows;
	return $seconds;
}

sub measure_backfill
{
	my $rows = $b->{opt}{'file-rows'};
	my @table = ([ 'facts after it', 'rows/s', 'MB/s of source', 'MB per CPU s', 'reports p99 ms', 'others' ]);
	my ($first, $facts) = (undef, 0);

	for my $number (make_groups($large, $b->{opt}{groups}, $rows))
	{
		my $bytes = 0;
		$bytes += -s for glob "$b->{dir}/groups/group$number/*.csv";
		ask($sql, 'CHECKPOINT');
		my $before = $b->{look}->();
		my $seconds = load_group($number, $rows);
		my %cpu = usage_between($before, $b->{look}->());
		my $core = $bytes / 1e6 / ($cpu{backend} + $cpu{child} + $cpu{server});
		my %report = map { $_ => time_report($_) } keys %reports;
		my $slowest = max(map { $_->[1] } values %report);

		$facts += $rows;
		$first //= { rate => $rows / $seconds, slowest => $slowest };
		$b->{figure}->("warehouse.$facts.rate", $rows / $seconds, 'rows/s');
		$b->{figure}->('backfill.source_per_core', $core, 'MB per CPU second');
		$b->{figure}->('backfill.rate_of_first', $rows / $seconds / $first->{rate}, 'ratio');
		$b->{figure}->('reports.time_of_first', $slowest / $first->{slowest}, 'ratio');
		push @{ $b->{rounds} }, { section => 'warehouse', facts => $facts, seconds => $seconds, cpu => \%cpu, reports => \%report };
		push @table, [ $facts, map({ sprintf '%.0f', $_ } $rows / $seconds), map({ sprintf '%.1f', $_ } $bytes / 1e6 / $seconds, $core,
				$slowest), sprintf('%.2f', $cpu{others}) ];
	}
	$b->{say}->("\nHours of $rows sales, one after another; the slowest report's p99\n\n" . table(@table));
	return;
}

sub measure_small
{
	my @numbers = make_groups($small, $b->{opt}{'small-groups'} + $warm, $small_rows);
	my $before = $b->{look}->();
	my @ms = map { 1000 * load_group($_, $small_rows) } @numbers;
	my %cpu = usage_between($before, $b->{look}->());

	splice @ms, 0, $warm;
	$b->{say}->(sprintf "\n%d groups of 3 files, %d sales, one call for each: p50 %.1f ms, p95 %.1f ms (wanted 50), most %.1f ms, %.2f cores of others",
		scalar @ms, $small_rows, map({ $b->{figure}->("small_group.p$_", percentile($_, @ms), 'ms') } 50, 95, 100), $cpu{others});
	return;
}

# --- reports ---

# p50 and p99 in milliseconds.
sub time_report
{
	my ($name) = @_;
	my @ms;

	for my $turn (1 .. $calls)
	{
		my $month = sprintf '2022-%02d', 1 + $turn % 12;
		my $arguments = $name eq 'b2b_sales' ? sprintf("'$month-%02d'", 1 + $turn % 28)
		  : $turn % 2 ? '' : "'$month-01', '$month-28'";
		my $start = time();

		ask($sql, sprintf $reports{$name}, $arguments);
		push @ms, 1000 * (time() - $start);
	}
	return [ percentile(50, @ms), percentile(99, @ms) ];
}

sub measure_reports
{
	my ($facts) = ask($sql, 'SELECT count(*) FROM dwh.fact_sales');
	my @table = ([ 'report', 'p50 ms', 'p99 ms' ]);
	my $slowest = 0;

	ask($sql, 'VACUUM ANALYZE');
	for my $name (sort keys %reports)
	{
		my ($p50, $p99) = @{ time_report($name) };

		$slowest = max($slowest, $p99);
		push @table, [ $name, map { sprintf '%.2f', $_ } $b->{figure}->("reports.$name.p50", $p50, 'ms'), $b->{figure}->("reports.$name.p99", $p99, 'ms') ];
	}
	$b->{figure}->('reports.slowest_p99', $slowest, 'ms');
	$b->{say}->("\nThe reports over $facts facts, $calls calls each, in a session that stays; wanted p99 5 ms\n\n" . table(@table));
	return;
}

# --- ticks ---

sub measure_ticks
{
	my $files = $b->{opt}{'known-files'};

	make_path("$landing/known");
	for my $n (1 .. $files)
	{
		append_to_file("$landing/known/$n.csv", "id\n$n\n");
	}
	utime 0, 0, glob "$landing/known/*.csv";
	ask($sql, 'CREATE TABLE known (id integer)');
	ask($sql, q{SELECT txpipe.create_feed('known', 'known/(.*)\.csv', 'known', after_load => 'keep')});
	my $start = time();
	ask($sql, 'CALL txpipe.run_hourly()');
	my $loading = time() - $start;
	my ($loaded) = ask($sql, 'SELECT count(*) FROM known');
	die "$loaded files of $files are known\n" if $loaded != $files;
	ask($sql, 'VACUUM ANALYZE');
	my $before = $b->{look}->();
	my @ms = map { my $begin = time(); ask($sql, 'CALL txpipe.run_hourly()'); 1000 * (time() - $begin) } 1 .. $ticks;
	my %cpu = usage_between($before, $b->{look}->());
	$b->{say}->(sprintf "\nrun_hourly over %d known files and nothing new: p50 %.1f ms (wanted 20), p95 %.1f ms, most %.1f ms, %.2f cores of others; "
		  . "loading them took %.1f s", $files, map({ $b->{figure}->("tick.p$_", percentile($_, @ms), 'ms') } 50, 95, 100), $cpu{others}, $loading);
	return;
}

# c: sql, dir, opt, say, figure, look and rounds of bench/measure.
sub measure_warehouse
{
	($b) = @_;
	$sql = $b->{sql};
	($landing) = ask($sql, 'SHOW txpipe.landing_directory');
	ask($sql, 'SET client_min_messages = warning');
	ask($sql, 'DROP SCHEMA IF EXISTS dwh CASCADE');
	ask($sql, 'SELECT count(txpipe.drop_feed(feed)) FROM txpipe.feed_status');
	ask($sql, 'SELECT txpipe.create_warehouse()');
	remove_tree($landing, { keep_root => 1 });
	measure_backfill();
	measure_small();
	measure_reports();
	measure_ticks();
	return;
}

1;
