# FileBench: one hour of the retail case in a file, loaded by run_hourly and by its peers, and the memory it takes.
#
# The peers read a copy of the file whose records all have 21 fields: COPY stops at the first one that has fewer.
package FileBench;

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(make_path remove_tree);
use List::Util qw(max);
use PeerBench;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);
use TxpipeBench;

our @EXPORT = qw(measure_files);

# The classic way: everything as text, then SQL, into a star of the same shape without history, rejects and checks.
my @fields = qw(transaction_date transaction_id customer_id customer_fname customer_lname customer_email sales_agent_id
	branch_id product_id product_name product_category offer_1 offer_2 offer_3 offer_4 offer_5 units unit_price is_online
	payment_method shipping_address);

my $typed = <<'SQL';
	transaction_date date, transaction_id text, customer_id bigint, customer_fname text, customer_lname text,
	customer_email text, sales_agent_id numeric, branch_id numeric, product_id numeric, product_name text,
	product_category text, offer_1 boolean, offer_2 boolean, offer_3 boolean, offer_4 boolean, offer_5 boolean,
	units numeric, unit_price numeric(12,2), is_online text, payment_method text, shipping_address text
SQL

my $classic_tables = <<'SQL';
DROP SCHEMA IF EXISTS classic CASCADE;
CREATE SCHEMA classic;
CREATE TABLE classic.product (key int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id bigint, name text, category text, UNIQUE (id, name, category));
CREATE TABLE classic.customer (key int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id bigint, first text, last text, email text,
	UNIQUE (id, first, last, email));
CREATE TABLE classic.location (key int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, city text, state text, UNIQUE (city, state));
CREATE TABLE classic.sale (transaction_id text PRIMARY KEY, transaction_date date, product int, customer int, agent int, branch int,
	location int, offer int, units int, unit_price numeric(12,2), total_paid numeric(24,4), is_online boolean, payment text,
	street text, postal text)
SQL

my $classic_load = <<'SQL';
INSERT INTO classic.product (id, name, category) SELECT DISTINCT product_id::numeric::bigint, product_name, product_category FROM staging;
INSERT INTO classic.customer (id, first, last, email)
	SELECT DISTINCT customer_id::bigint, customer_fname, customer_lname, substring(customer_email FROM '^.*?\.com') FROM staging;
INSERT INTO classic.location (city, state)
	SELECT DISTINCT split_part(shipping_address, '/', -3), split_part(shipping_address, '/', -2) FROM staging WHERE shipping_address IS NOT NULL;
ANALYZE classic.customer;
INSERT INTO classic.sale
	SELECT transaction_id, transaction_date::date, p.key, c.key, sales_agent_id::numeric::int, branch_id::numeric::int, l.key, o.n,
		units::numeric::int, unit_price::numeric, units::numeric::int * unit_price::numeric * (100 - 5 * o.n) * 0.01,
		is_online IS NOT NULL AND is_online IN ('yes', 'True'), payment_method,
		regexp_replace(shipping_address, '(/[^/]*){3}$', ''), split_part(shipping_address, '/', -1)
	FROM staging s
	CROSS JOIN LATERAL (SELECT CASE WHEN s.offer_1 = 'True' THEN 1 WHEN s.offer_2 = 'True' THEN 2 WHEN s.offer_3 = 'True' THEN 3
		WHEN s.offer_4 = 'True' THEN 4 WHEN s.offer_5 = 'True' THEN 5 ELSE 0 END AS n) o
	JOIN classic.product p ON p.id = s.product_id::numeric::bigint AND p.name = s.product_name AND p.category = s.product_category
	JOIN classic.customer c ON c.id = s.customer_id::bigint AND c.first = s.customer_fname AND c.last = s.customer_lname
		AND c.email = substring(s.customer_email FROM '^.*?\.com')
	LEFT JOIN classic.location l ON l.city = split_part(shipping_address, '/', -3) AND l.state = split_part(shipping_address, '/', -2)
	ON CONFLICT (transaction_id) DO NOTHING
SQL

# --- one hour of files ---

# A group of `rows` sales, of which `dirty` per cent are not sound; group 1 spells nothing otherwise. With `even`
# also the copy for the peers. Returns their number of records.
sub make_hour
{
	my ($dir, $rows, $dirty) = @_;

	remove_tree("$dir/hour");
	make_path("$dir/hour");
	system_or_bail("$ENV{TXPIPE_TREE}/demo/make-files", '--dir', "$dir/hour", '--groups', 1, '--rows', $rows, '--dirty', $dirty);
	open my $in, '<', "$dir/hour/group1/sales_transactions_SS_raw_1.csv" or die "the generated file: $!";
	open my $out, '>', "$dir/hour/even.csv" or die "even.csv: $!";
	while (my $line = <$in>)
	{
		my $commas = () = $line =~ s/"[^"]*"//gr =~ /,/g;

		chomp $line;
		print $out $line, ',' x (20 - $commas), "\n";
	}
	close $out or die "even.csv: $!";
	return;
}

sub reset_warehouse
{
	my ($sql, $dir) = @_;

	ask($sql, 'DROP SCHEMA IF EXISTS dwh CASCADE');
	ask($sql, 'SELECT count(txpipe.drop_feed(feed)) FROM txpipe.feed_status');
	ask($sql, 'SELECT txpipe.create_warehouse()');
	ask($sql, 'CHECKPOINT');
	my ($landing) = ask($sql, 'SHOW txpipe.landing_directory');
	remove_tree("$landing/group1");
	system_or_bail('cp', '-r', "$dir/hour/group1", "$landing/group1");
	# Long settled: run_hourly does not wait for them.
	utime 0, 0, glob "$landing/group1/*.csv";
	return;
}

# --- memory ---

sub anonymous_kb
{
	my ($pid) = @_;

	open my $fh, '<', "/proc/$pid/status" or return 0;
	my ($kb) = join('', <$fh>) =~ /^RssAnon:\s+(\d+)/m;
	return $kb // 0;
}

sub child_of
{
	my ($pid) = @_;
	my %all = processes();

	return (grep { $all{$_}{parent} == $pid && $all{$_}{name} eq 'txpipe_io' } keys %all)[0];
}

# Watches a session and its child in a process of its own until told to stop; returns what to call for the peaks.
sub watch_memory
{
	my ($pid) = @_;

	pipe my $stopped, my $stop or die "pipe: $!";
	pipe my $result, my $tell or die "pipe: $!";
	my $watcher = fork // die "fork: $!";
	if ($watcher == 0)
	{
		close $stop;
		my ($child, $first, %peak) = (undef, undef, session => 0, child => 0);
		my $bits = '';

		vec($bits, fileno $stopped, 1) = 1;
		until (select my $ready = $bits, undef, undef, 0.02)
		{
			$child //= child_of($pid);
			$peak{session} = max($peak{session}, anonymous_kb($pid));
			next unless $child;
			$first //= anonymous_kb($child);
			$peak{child} = max($peak{child}, anonymous_kb($child));
		}
		syswrite $tell, "$peak{session} $peak{child} " . ($first // 0);
		POSIX::_exit(0);
	}
	my $start = anonymous_kb($pid);
	return sub {
		close $stop;
		close $tell;
		my ($session, $child, $first) = split ' ', <$result>;
		waitpid $watcher, 0;
		return { session_mb => ($session - $start) / 1024, child_mb => ($child - $first) / 1024 };
	};
}

# --- the cases: each returns seconds and what it loaded ---

sub timed
{
	my ($sql, @statements) = @_;
	my $start = time();

	ask($sql, $_) for @statements;
	return { seconds => time() - $start };
}

sub plain_copy
{
	my ($sql, $dir) = @_;

	ask($sql, 'DROP TABLE IF EXISTS plain');
	ask($sql, "CREATE TABLE plain ($typed)");
	ask($sql, 'CHECKPOINT');
	my $result = timed($sql, "COPY plain FROM '$dir/hour/even.csv' (FORMAT csv, HEADER)");
	($result->{rows}) = ask($sql, 'SELECT count(*) FROM plain');
	return $result;
}

sub classic
{
	my ($sql, $dir) = @_;

	ask($sql, $_) for split /;\n/, $classic_tables;
	ask($sql, 'DROP TABLE IF EXISTS staging');
	ask($sql, 'CREATE TABLE staging (' . join(', ', map { "$_ text" } @fields) . ')');
	ask($sql, 'CHECKPOINT');
	my $result = timed($sql, "COPY staging FROM '$dir/hour/even.csv' (FORMAT csv, HEADER)", 'ANALYZE staging', 'BEGIN',
		split(/;\n/, $classic_load), 'COMMIT');
	($result->{rows}) = ask($sql, 'SELECT count(*) FROM classic.sale');
	($result->{paid}) = ask($sql, 'SELECT sum(total_paid) FROM classic.sale');
	return $result;
}

# DuckDB by itself, into a file of its own: the same star. TXPIPE_PYTHON is a Python that has it.
sub duckdb
{
	my ($sql, $dir) = @_;

	unlink "$dir/star.duckdb", "$dir/star.duckdb.wal";
	my ($out, $err) = run_command([ $ENV{TXPIPE_PYTHON}, "$ENV{TXPIPE_TREE}/bench/star_duckdb.py", "$dir/hour/even.csv", "$dir/star.duckdb" ]);
	die "DuckDB: $err" if $err ne '';
	my ($seconds, $rows, $paid, @reports) = split ' ', $out;
	return { seconds => $seconds, rows => $rows, paid => $paid, reports => \@reports };
}

# Spark by itself, into Parquet files: the same star, without constraints.
sub spark
{
	my ($sql, $dir) = @_;
	my $start = time();
	my ($seconds, $rows, $paid) = run_spark($dir, 'hour_spark.py', "$dir/hour/even.csv");

	return { seconds => $seconds, with_start => time() - $start, rows => $rows, paid => $paid };
}

sub hourly
{
	my ($sql, $dir) = @_;

	reset_warehouse($sql, $dir);
	my $peaks  = watch_memory($sql->{pid});
	my $result = timed($sql, 'CALL txpipe.run_hourly()');
	%$result = (%$result, %{ $peaks->() });
	($result->{rows}) = ask($sql, 'SELECT count(*) FROM dwh.fact_sales');
	($result->{paid}) = ask($sql, 'SELECT sum(total_paid) FROM dwh.fact_sales');
	return $result;
}

sub file_cases
{
	return ({ name => 'file_copy', text => 'COPY into one typed table', run => \&plain_copy },
		{ name => 'file_classic', text => 'COPY to text, then SQL to a star', run => \&classic },
		($ENV{TXPIPE_PYTHON} ? { name => 'file_duckdb', text => 'DuckDB, one thread, to a star', run => \&duckdb } : ()),
		($ENV{TXPIPE_SPARK} ? { name => 'file_spark', text => 'Spark, to a star of Parquet files', run => \&spark } : ()),
		{ name => 'file_hourly', text => 'run_hourly: lake, clean, star', run => \&hourly });
}

# --- measuring ---

# c: sql, dir, opt, say, figure, look and rounds of bench/measure.
sub measure_files
{
	my ($c) = @_;
	my @cases = file_cases();
	my $rows = $c->{opt}{'file-rows'};
	push @{ $c->{cases} }, map { [ $_->{name}, $_->{text} ] } @cases;

	$c->{say}->("\nno DuckDB here: a Python that has it is named by TXPIPE_PYTHON") unless $ENV{TXPIPE_PYTHON};
	make_hour($c->{dir}, $rows, 0);
	for my $round (0 .. $c->{opt}{rounds})
	{
		for my $i (0 .. $#cases)
		{
			my $case = $cases[ ($i + $round) % @cases ];
			my $result = run_case($c, $case, $round);

			push @{ $case->{results} }, $result if $round > 0;
		}
	}
	check_sums(@cases);
	report_files($c, $rows, @cases);
	report_targets($c, @cases);
	measure_dirty($c, $cases[-1]);
	measure_larger($c, $cases[-1]) if $c->{opt}{'file-scale'} > 1;
	return;
}

sub run_case
{
	my ($c, $case, $round) = @_;
	my $before = $c->{look}->();
	my $result = $case->{run}->($c->{sql}, $c->{dir});
	my %cpu = usage_between($before, $c->{look}->());

	$result = { section => 'files', case => $case->{name}, round => $round, cpu => \%cpu, %$result,
		rate => $result->{rows} / $result->{seconds} };
	$c->{say}->(sprintf '  round %d  %-12s %10.0f rows/s, %.2f cores of others', $round, $case->{name}, $result->{rate}, $cpu{others});
	push @{ $c->{rounds} }, $result if $round > 0;
	return $result;
}

# Who is faster because sales are missing is none of the peers.
sub check_sums
{
	my (@cases) = @_;
	my %sums = map { my $r = $_->{results}[0]; $r->{paid} ? ("$r->{rows} " . $r->{paid} * 1 => $_->{name}) : () } @cases;

	die 'the stars differ: ' . join(', ', map { "$sums{$_}: $_" } sort keys %sums) . "\n" if keys %sums != 1;
	return;
}

sub of_case
{
	my ($case, $other) = @_;

	return median(map { $case->{results}[$_]{rate} / $other->{results}[$_]{rate} } 0 .. $#{ $case->{results} });
}

sub report_files
{
	my ($c, $rows, @cases) = @_;
	my @table = ([ '', 'rows/s', 'least', 'most', 'of COPY', 'of classic', 'session MB', 'child MB', 'others' ]);

	for my $case (@cases)
	{
		my @rates = map { $_->{rate} } @{ $case->{results} };
		my @memory = map { my $what = $_; max(map { $_->{$what} // 0 } @{ $case->{results} }) } qw(session_mb child_mb);

		push @table, [ $case->{text}, map({ sprintf '%.0f', $_ } ($c->{figure}->("$case->{name}.rate", \@rates, 'rows/s'))[ 1, 0, 2 ]),
			map({ sprintf '%.2f', of_case($case, $_) } @cases[ 0, 1 ]),
			map({ $_ ? sprintf '%.1f', $_ : '' } @memory),
			sprintf('%.2f', median(map { $_->{cpu}{others} } @{ $case->{results} })) ];
		$c->{figure}->("$case->{name}.$_->[0]", $_->[1], 'MB')
		  for grep { $_->[1] } ([ 'session', $memory[0] ], [ 'child', $memory[1] ]);
	}
	$c->{say}->("\nA file of $rows sales, medians of $c->{opt}{rounds} rounds; MB: RssAnon of the session and its child over their start, the "
		  . "most of all rounds\n\n" . table(@table));
	return;
}

# Beside its peers, and what a core makes of the source.
sub report_targets
{
	my ($c, @cases) = @_;
	my $hourly = $cases[-1];
	my @results = @{ $hourly->{results} };
	my $bytes = (-s glob "$c->{dir}/hour/group1/sales_transactions_*.csv") / 1e6;
	my @table = ([ 'run_hourly', 'least', 'median', 'most', 'wanted' ]);
	my $line = sub {
		my ($name, $text, $unit, $wanted, @values) = @_;
		push @table, [ $text, map({ sprintf '%.2f', $_ } $c->{figure}->("file_hourly.$name", \@values, $unit)), $wanted ];
	};

	for my $peer ([ file_duckdb => 1.5 ], [ file_classic => 4 ], [ file_spark => 3 ])
	{
		my ($case) = grep { $_->{name} eq $peer->[0] } @cases or next;
		$line->("of_$case->{name}", "times as fast as: $case->{text}", 'ratio', $peer->[1],
			map { $results[$_]{rate} / $case->{results}[$_]{rate} } 0 .. $#results);
		next unless $case->{results}[0]{with_start};
		$line->("of_$case->{name}_with_start", '  and with its start', 'ratio', 10,
			map { $case->{results}[$_]{with_start} / $results[$_]{seconds} } 0 .. $#results);
	}
	$line->('source', 'MB of source a second', 'MB/s', '', map { $bytes / $_->{seconds} } @results);
	$line->('source_per_core', 'MB of source a CPU second', 'MB per CPU second', 80,
		map { my $cpu = $_->{cpu}; $bytes / ($cpu->{backend} + $cpu->{child} + $cpu->{server}) } @results);
	$c->{say}->("\n" . table(@table));
	for my $case (grep { $_->{results}[0]{reports} } @cases)
	{
		my @ms = map { my $i = $_; median(map { $_->{reports}[$i] } @{ $case->{results} }) } 0 .. 4;
		$c->{say}->("\nthe five reports over the star of $case->{text}, medians in ms: " . join ' ', map { sprintf '%.1f', $_ } @ms);
		$c->{figure}->("$case->{name}.slowest_report", max(@ms), 'ms');
	}
	return;
}

sub measure_dirty
{
	my ($c, $case) = @_;
	my $clean = median(map { $_->{seconds} } @{ $case->{results} });

	make_hour($c->{dir}, $c->{opt}{'file-rows'}, 10);
	my $dirty = median(map { run_case($c, $case, $_)->{seconds} } 1 .. $c->{opt}{rounds});
	$c->{say}->(sprintf "\nwith 10 %% bad lines: %.2f times the time of a clean file\n",
		$c->{figure}->('file_hourly.dirty', $dirty / $clean, 'ratio'));
	return;
}

sub measure_larger
{
	my ($c, $case) = @_;
	my @before = map { my $what = $_; max(map { $_->{$what} } @{ $case->{results} }) } qw(session_mb child_mb);

	make_hour($c->{dir}, $c->{opt}{'file-rows'} * $c->{opt}{'file-scale'}, 0);
	my $large = run_case($c, $case, 1);
	$c->{say}->(sprintf "\n%d times the file: %.0f rows/s; session %.1f MB, %.2f of the smaller one's; child %.1f MB, %.2f\n",
		$c->{opt}{'file-scale'}, $large->{rate}, $large->{session_mb},
		$c->{figure}->('file_hourly.larger_session', $large->{session_mb} / $before[0], 'ratio'),
		$large->{child_mb}, $c->{figure}->('file_hourly.larger_child', $large->{child_mb} / $before[1], 'ratio'));
	return;
}

1;
