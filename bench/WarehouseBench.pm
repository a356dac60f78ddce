# WarehouseBench: what the warehouse costs as it grows: large groups one after another, small ones, the reports, and a tick
# over thousands of files that are known; and a history of tens of millions of facts.
package WarehouseBench;

use strict;
use warnings;

use Exporter   'import';
use File::Copy qw(move);
use File::Path qw(make_path remove_tree);
use List::Util qw(max);
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);
use TxpipeBench;

our @EXPORT = qw(measure_warehouse measure_scale);

my $large      = 10;     # the number of the first large group; 15, 21 ... would repeat another
my $small      = 100;    # and of the first small one
my $small_rows = 1500;
my $warm       = 10;     # small groups that are not counted
my $calls      = 300;    # of each report
my $ticks      = 50;
my $history    = 1001;   # the number of the first group of the history
my $portion    = 60;     # numbers whose groups are loaded in one call
my $marks      = 10;     # lines of its table

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

# The sales that the ledger knows as loaded.
sub sales_loaded
{
	return (ask($sql, q{SELECT coalesce(sum(rows_loaded), 0) FROM txpipe.file WHERE feed = 'sales_transactions'}))[0];
}

# The seconds that run_hourly takes for this group; its files have long settled.
sub load_group
{
	my ($number, $rows) = @_;
	my $before = sales_loaded();

	move("$b->{dir}/groups/group$number", "$landing/group$number") or die "group$number: $!";
	utime 0, 0, glob "$landing/group$number/*.csv";
	my $start = time();
	ask($sql, 'CALL txpipe.run_hourly()');
	my $seconds = time() - $start;
	my $loaded = sales_loaded() - $before;
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

# --- a history ---

# Makes a portion of the groups meanwhile; its pid. Ids are random as a till's are: those of the generator begin with the group.
sub start_portion
{
	my ($first, $rows) = @_;
	my $into = "$b->{dir}/portion$first";
	my $pid  = fork() // die "fork: $!";

	return $pid if $pid;
	make_path($into);
	my $ok = system('bash', '-c', <<"SHELL") == 0;
set -euo pipefail
"$ENV{TXPIPE_TREE}/demo/make-files" --dir "$into" --first $first --groups $portion --rows $rows --dirty 0 >/dev/null
for n in \$(seq $first @{[ $first + $portion - 1 ]}); do
	if [ \$((n % 6)) = 3 ]; then rm -rf "$into/group\$n"; fi
done
sed -Ei 's/trx-([0-9]{5})([0-9]{7})/trx-\\2\\1/' "$into"/*/sales_transactions_*.csv
touch -d 2020-01-01 "$into"/*/*.csv
SHELL
	POSIX::_exit($ok ? 0 : 1);
}

sub totals
{
	my @value = split ' ', ask($sql, q{SELECT (SELECT sum(blks_hit + blks_read) FROM pg_stat_database),
		pg_current_wal_lsn() - '0/0', pg_database_size(current_database())});

	return { look => $b->{look}->(), blocks => $value[0], wal => $value[1], size => $value[2] };
}

# Loads what start_portion made; its seconds.
sub load_portion
{
	my ($pid, $first) = @_;

	waitpid($pid, 0) == $pid && $? == 0 or die "the groups from $first on could not be made\n";
	move($_, $landing . s{.*/}{/}r) or die "$_: $!" for glob "$b->{dir}/portion$first/*";
	rmdir "$b->{dir}/portion$first" or die "portion$first: $!";
	my $start = time();
	ask($sql, 'CALL txpipe.run_hourly()');
	return time() - $start;
}

# What a row cost between two looks.
sub cost_line
{
	my ($facts, $rows, $seconds, $before, $after) = @_;
	my %cpu = usage_between($before->{look}, $after->{look});
	my $us  = 1e6 * ($cpu{backend} + $cpu{child} + $cpu{server}) / $rows;

	$b->{figure}->("scale.$facts.rate",     $rows / $seconds, 'rows/s');
	$b->{figure}->("scale.$facts.cpu",      $us,              'CPU us per row');
	$b->{figure}->("scale.$facts.wal",      ($after->{wal} - $before->{wal}) / $rows, 'bytes of WAL per row');
	$b->{figure}->("scale.$facts.blocks",   ($after->{blocks} - $before->{blocks}) / $rows, 'buffers per row');
	push @{ $b->{rounds} }, { section => 'scale', facts => $facts, seconds => $seconds, cpu => \%cpu };
	return [ $facts, map({ sprintf '%.0f', $_ } $rows / $seconds), map({ sprintf '%.1f', $_ } $us), sprintf('%.0f', ($after->{wal} - $before->{wal}) / $rows),
		sprintf('%.1f', ($after->{blocks} - $before->{blocks}) / $rows), sprintf('%.2f', $after->{size} / 1e9), sprintf('%.2f', $cpu{others}) ];
}

# As a server of a warehouse is set up, with autovacuum, whose CPU counts.
sub set_up_history
{
	ask($sql, "ALTER SYSTEM SET $_") for q(shared_buffers = '4GB'), q(max_wal_size = '16GB'), q(autovacuum = on), q(txpipe.lake_compression = zstd);
	$b->{node}->restart;
	$sql = session($b->{node});
	start_anew();
	return;
}

# Milliseconds by call: the files of the small groups are taken back and loaded again, in a session that has done so before.
sub take_back
{
	my ($session) = @_;
	my %ms;

	for my $file (ask($session, "SELECT file_id FROM txpipe.file WHERE feed = 'sales_transactions' AND rows_loaded = $small_rows ORDER BY file_id"))
	{
		for my $call (qw(unload reload reload))
		{
			my $start = time();
			ask($session, "SELECT txpipe.$call($file)");
			push @{ $ms{$call} }, 1000 * (time() - $start);
		}
	}
	return map { $_ => [ splice @{ $ms{$_} }, $_ eq 'reload' ? 6 : 3 ] } keys %ms;
}

# Unload and reload of files of 1,500 sales among all others.
sub measure_take_back
{
	my %ms = take_back($sql);

	for my $call (qw(unload reload))
	{
		$b->{say}->(sprintf '%s of one of %d files of %d sales: p50 %.1f ms, p90 %.1f ms, most %.1f ms', $call, scalar @{ $ms{unload} }, $small_rows,
			map { $b->{figure}->("scale.$call.p$_", percentile($_, @{ $ms{$call} }), 'ms') } 50, 90, 100);
	}
	return;
}

# Bytes by table, per fact.
sub measure_sizes
{
	my @table = ([ 'bytes per fact', 'table', 'indexes' ]);

	for my $line (ask($sql, <<'SQL'))
WITH facts AS (SELECT count(*) AS n FROM dwh.fact_sales), part AS (
	SELECT CASE WHEN c.relispartition THEN 'facts' WHEN c.relname = 'sale_key' THEN 'keys' WHEN c.relname ~ '^rollup_' THEN 'rollups' ELSE 'others' END AS name,
		   sum(pg_table_size(c.oid)) AS heap, sum(pg_indexes_size(c.oid)) AS idx
	FROM pg_class c WHERE c.relnamespace = 'dwh'::regnamespace AND c.relkind = 'r' GROUP BY 1)
SELECT name, round(heap / n, 1), round(idx / n, 1) FROM part, facts ORDER BY name
SQL
	{
		my ($name, @bytes) = split ' ', $line;

		$b->{figure}->("scale.bytes.$name", $bytes[0] + $bytes[1], 'bytes per fact');
		push @table, [ $name, @bytes ];
	}
	my ($bytes, $lines) = split ' ', ask($sql, q{SELECT sum(bytes), sum(rows_read) FROM txpipe.file});
	my ($copies) = split ' ', `du -sb '@{[ ask($sql, 'SHOW txpipe.lake_directory') ]}'`;
	$b->{say}->("\n" . table(@table) . sprintf "  a line of the files %.1f bytes, in the lake %.1f\n", $bytes / $lines, $copies / $lines);
	return;
}

# What months cost that have no sales: of a longer history, or of one that is partitioned for years to come.
sub measure_months
{
	my @table = ([ 'months', map({ ("$_ p50 ms", 'p90') } qw(unload reload)), 'plan of a month ms', 'of all', 'memory of a session MB' ]);

	for my $since (undef, '2002-01-01', '1972-01-01')
	{
		ask($sql, "SELECT count(*) FROM dwh.create_months(ARRAY(SELECT m::date FROM generate_series('$since'::date, '2021-12-01', interval '1 month') m))") if $since;
		my ($months) = ask($sql, q{SELECT count(*) FROM pg_inherits WHERE inhparent = 'dwh.fact_sales'::regclass});
		my $fresh = session($b->{node});
		my %ms = take_back($fresh);
		my @plan = map { my $condition = $_; median(map {
					my $start = time(); ask($fresh, "EXPLAIN SELECT sum(total_paid) FROM dwh.fact_sales WHERE $condition"); 1000 * (time() - $start)
				} 1 .. 20) } q{transaction_date BETWEEN '2022-03-01' AND '2022-03-28'}, 'file_id = 1';
		my ($memory) = ask($fresh, 'SELECT sum(total_bytes) / 1e6 FROM pg_backend_memory_contexts');
		push @table, [ $months, map { sprintf '%.1f', $_ } map({ my $call = $_; map { percentile($_, @{ $ms{$call} }) } 50, 90 } qw(unload reload)), @plan, $memory ];
	}
	$b->{say}->("\nWith more months\n\n" . table(@table));
	return;
}

sub measure_history
{
	my $groups = int($b->{opt}{'scale-files'} / 3);
	my $rows   = int($b->{opt}{'scale-facts'} / $groups);
	my $step   = POSIX::ceil($groups / $marks / ($portion / 6 * 5)) * $portion;
	my ($number, $facts, $loaded, $seconds) = ($history, 0, 0, 0);
	my @table = ([ 'facts', 'rows/s', 'CPU us a row', 'WAL bytes a row', 'buffers a row', 'GB', 'others' ]);
	my @reports = ([ 'facts', map { $_, 'p99' } sort keys %reports ]);
	my $pid = start_portion($number, $rows);
	my $before = totals();

	while ($facts < $groups * $rows)
	{
		my $ready = $pid;

		$pid = start_portion($number + $portion, $rows);
		$seconds += load_portion($ready, $number);
		$number += $portion;
		$loaded = sales_loaded() - $facts;
		die "$loaded sales since the last line\n" if $loaded % $rows;
		next if ($number - $history) % $step && $facts + $loaded < $groups * $rows;
		my $after = totals();
		$facts += $loaded;
		push @table, cost_line($facts, $loaded, $seconds, $before, $after);
		push @reports, [ $facts, map({ map { sprintf '%.2f', $_ } @{ time_report($_) } } sort keys %reports) ];
		$b->{say}->(join ' ', @{ $table[-1] });
		($before, $seconds) = (totals(), 0);
	}
	waitpid $pid, 0;
	my ($counted) = ask($sql, 'SELECT count(*) FROM dwh.fact_sales');
	die "$counted facts, not $facts\n" if $counted != $facts;
	$b->{say}->("\nA history of $facts facts, groups of 3 files with $rows sales, in its parts\n\n" . table(@table));
	$b->{say}->("\nThe reports meanwhile, p50 and p99 in ms\n\n" . table(@reports));
	return;
}

# c: sql, dir, opt, say, figure, look, node and rounds of bench/measure.
sub measure_scale
{
	($b) = @_;
	$sql = $b->{sql};
	set_up_history();
	measure_history();
	measure_sizes();
	measure_small();
	measure_take_back();
	measure_ticks();
	my $start = time();
	my @faults = ask($sql, 'SELECT * FROM txpipe.check_warehouse() WHERE NOT ok');
	$b->{say}->(sprintf "\ncheck_warehouse(): %d faults, %.0f s", scalar @faults, time() - $start);
	measure_months();
	return;
}

# --- all ---

sub start_anew
{
	($landing) = ask($sql, 'SHOW txpipe.landing_directory');
	ask($sql, 'SET client_min_messages = warning');
	ask($sql, 'DROP SCHEMA IF EXISTS dwh CASCADE');
	ask($sql, 'SELECT count(txpipe.drop_feed(feed)) FROM txpipe.feed_status');
	ask($sql, 'SELECT txpipe.create_warehouse()');
	remove_tree($landing, { keep_root => 1 });
	return;
}

# c: sql, dir, opt, say, figure, look and rounds of bench/measure.
sub measure_warehouse
{
	($b) = @_;
	$sql = $b->{sql};
	start_anew();
	measure_backfill();
	measure_small();
	measure_reports();
	measure_ticks();
	return;
}

1;
