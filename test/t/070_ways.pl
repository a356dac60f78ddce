# The same reports of the same files four ways: one server, Citus, and DuckDB and Spark over the curated zone. Each says what test/retail_totals
# computes from the files alone, to the last digit, each time it is asked. A table in the log says how long each takes; test/ways shows it.
#
# TXPIPE_WAYS_GROUPS groups of TXPIPE_WAYS_ROWS sales each. A way whose software is not here is skipped by its name.
use strict;
use warnings;

use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeCitus;
use TxpipeReaders;
use TxpipeRetail;

my ($groups, $rows) = ($ENV{TXPIPE_WAYS_GROUPS} // 4, $ENV{TXPIPE_WAYS_ROWS} // 300);
my $again = 5;
my @table = ('| way | loaded, s | reports first, ms | again, ms | equal |', '|---|---:|---:|---:|---|');
my @versions;
my ($day, $wanted);

# As a server has it that may not lose anything; those of tests do not wait for their disks. All of them have the same.
my $conf = <<'CONF';
shared_preload_libraries = 'txpipe'
fsync = on
wal_level = replica
log_statement = none
shared_buffers = '256MB'
max_wal_size = '8GB'
CONF

# --- what is to be said ---

# Of all that the files say; the day is the one with most lines of sales in branches.
sub choose_reports
{
	my $totals = totals(@_);
	my %lines;

	$lines{$_}++ foreach $totals =~ /^b2b\t(\S+)/mg;
	($day) = sort { $lines{$b} <=> $lines{$a} || $a cmp $b } keys %lines;
	$wanted = join "\n", sort(split(/\n/, reports_of($totals)), grep { /^b2b\t$day\t/ } split /\n/, $totals);
	return $totals =~ /^total\trows\t(\d+)$/m;
}

# The reports, and when they were there: one session or program answers all, so the first time has its start.
sub measure
{
	my ($way, $loaded, $ask) = @_;
	my $before = time();
	my @answers = $ask->();
	my @ms;

	is(scalar @answers, 1 + $again, "$way: the reports again and again");
	foreach my $answer (@answers)
	{
		push @ms, 1000 * ($answer->{at} - $before);
		$before = $answer->{at};
	}
	my @texts = map { join "\n", sort @{ $_->{lines} } } @answers;
	my $others = grep { $_ ne $wanted } @texts;
	same_lines($texts[0], $wanted, "$way: the reports are those of the files");
	is($others, 0, '... each time');
	my ($first, @rest) = @ms;
	push @table, sprintf '| %s | %s | %.0f | %.0f | %s |', $way, $loaded, $first, (sort { $a <=> $b } @rest)[ $#rest / 2 ], $others ? 'NO' : 'yes';
	return;
}

sub skip_way
{
	my ($way, $why) = @_;

	push @table, "| $way | skipped: $why | | | |";
	skip "$way: $why", 3;
}

# --- servers ---

# Loads the groups into the server that was just started; seconds.
sub load
{
	my (@folders) = @_;

	fresh_database();
	deliver($folders[$_], 'group' . ($_ + 1)) foreach 0 .. $#folders;
	my $start = time();
	run_hourly();
	return time() - $start;
}

sub ask_server
{
	my @answers = { lines => [] };

	foreach my $line (lines_of((@TxpipeRetail::reports, "SELECT 'b2b', date '$day', * FROM txpipe.b2b_sales('$day')",
				q{SELECT 'clock', extract(epoch FROM clock_timestamp())}) x (1 + $again)))
	{
		if ($line =~ /^clock\t(.*)/)
		{
			$answers[-1]{at} = $1;
			push @answers, { lines => [] };
			next;
		}
		push @{ $answers[-1]{lines} }, $line;
	}
	pop @answers;
	return @answers;
}

my $node;
{
	local $ENV{TXPIPE_CITUS} = 0;
	$node = retail_node('one_server', conf => $conf);
}
my @folders = make_groups($groups, '--rows', $rows, '--seed', 10, '--dirty', 5);
my ($sales) = choose_reports(@folders);
my $loaded = load(@folders);
my $start = time();
sql('SELECT txpipe.export_curated()');
my $exported = time() - $start;
my $zone = $node->basedir . '/export/curated';
sql('VACUUM ANALYZE');
push @versions, 'PostgreSQL ' . sql('SHOW server_version') =~ s/ .*//r;
measure('one server', sprintf('%.1f', $loaded), \&ask_server);
stop_retail();

SKIP:
{
	skip_way('Citus, two workers', 'the server has no Citus') unless has_citus();
	local $ENV{TXPIPE_CITUS} = 1;
	retail_node('citus', conf => $conf);
	my $shared_out = load(@folders);
	sql('VACUUM ANALYZE');
	push @versions, sql('SELECT citus_version()') =~ s/^(\S+ \S+).*/$1/r;
	measure('Citus, two workers', sprintf('%.1f', $shared_out), \&ask_server);
	stop_retail();
}

# --- readers ---

foreach my $reader ([ 'DuckDB', 'duckdb', 'parquet' ], [ 'Spark', 'spark', 'spark' ])
{
	my ($name, $engine, $home) = @$reader;
	my $way = "$name over the curated zone";

	SKIP:
	{
		skip_way($way, "there is no $name") unless has_reader($home);
		measure($way, sprintf('%.1f + %.1f', $loaded, $exported), sub {
			my @said = ask_reader((([ 'sales', $engine, $zone, 'curated', $day ], ['clock']) x (1 + $again)), [ 'query', $engine, $zone, 'SELECT version()' ]);

			push @versions, "$name " . pop(@said) =~ s/^v?(\S+).*/$1/sr;
			return map { { lines => [ split /\n/, $said[ 2 * $_ ] ], at => $said[ 2 * $_ + 1 ] } } 0 .. $again;
		});
	}
}

# --- the table ---

sub first_of
{
	my ($file, $pattern) = @_;
	return slurp_file($file) =~ $pattern ? $1 : 'unknown';
}

diag(join "\n", sprintf('measured %s: %s; %d sales of %d groups, %s; %d cores of %s, %d MB', strftime('%Y-%m-%d %H:%M UTC', gmtime), join(', ', @versions),
	$sales, $groups, "$rows records each", scalar(() = slurp_file('/proc/cpuinfo') =~ /^processor/mg), first_of('/proc/cpuinfo', qr/^model name\s*: (.*)/m),
	first_of('/proc/meminfo', qr/^MemTotal:\s+(\d+)/m) / 1024), @table);
done_testing();
