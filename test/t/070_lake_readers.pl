# The lake as pyarrow, DuckDB and Spark see it: the files as they were delivered, plain and packed, and the warehouse as Parquet, with the
# reports that SQL gives and test/retail_totals computes, to the last digit; and in Spark every type.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeReaders;
use TxpipeRetail;

need_reader('parquet');

my $node = retail_node('lake_readers');
my $base = $node->basedir;
my $seed = $ENV{TXPIPE_TEST_SEED} // 20230520;
diag("seed $seed (TXPIPE_TEST_SEED)");
srand $seed;

# The ledger's rows by day and hour of arrival.
sub arrivals
{
	return sql(q{SELECT string_agg(concat_ws(E'\t', 'arrived', substring(lake_path FROM 'date=([^/]+)'), substring(lake_path FROM 'hour=([^/]+)'), rows_read), E'\n')
		FROM (SELECT regexp_replace(lake_path, '[^/]*$', '') AS lake_path, sum(rows_read) AS rows_read
		      FROM txpipe.file WHERE feed = 'sales_transactions' AND state LIKE 'loaded%' GROUP BY 1 ORDER BY 1) AS f});
}

# A warehouse of these groups, whose files lie in a lake of their own, the later ones packed, and whose facts are data sets of Parquet.
sub make_lake
{
	my ($name, @groups) = @_;

	fresh_database($name);
	mkdir "$base/$_/$name" or die "$base/$_/$name: $!" foreach qw(lake export);
	sql("ALTER DATABASE $name SET txpipe.${_}_directory = '$base/$_/$name'") foreach qw(lake export);
	deliver($groups[$_], "group$_") foreach 0 .. 2;
	run_hourly();
	sql("ALTER DATABASE $name SET txpipe.lake_compression = 'zstd'");
	deliver($groups[$_], "group$_") foreach 3 .. $#groups;
	run_hourly();
	export_star();
	return { lake => "$base/lake/$name", export => "$base/export/$name", sql => reports_of(facts()), files => reports_of(totals(@groups)), arrived => arrivals() };
}

# --- what there is ---

# Every record of the first is a sale; of the second a third is none, and some break the rules of CSV or of UTF-8.
my $clean = make_lake('clean', make_groups(7, '--rows', 200, '--seed', 21, '--dirty', 0));
is(sql(q{SELECT concat_ws(' ', count(*), count(DISTINCT lake_path), count(DISTINCT lake_path) FILTER (WHERE lake_path LIKE '%.zst'))
         FROM txpipe.file WHERE feed = 'sales_transactions'}), '7 6 4', 'a delivery that was there before has no copy of its own, and four of six copies are packed');
my $dirty = make_lake('dirty', make_groups(7, '--first', 101, '--rows', 200, '--seed', 22, '--dirty', 30));
cmp_ok(sql(q{SELECT count(DISTINCT code) FROM txpipe.rejected_row}), '>', 8, 'many kinds of records are refused');

my %written = map { my $name = $_; $name => make_table($name, { all_types => 5000, types1 => 9, types2 => 20001, types3 => 45000 }->{$name}) } qw(all_types types1 types2 types3);
export("TABLE $_", $_) foreach keys %written;
sql(q{CREATE TABLE cut AS SELECT * FROM (VALUES (1, 'plain', true), (2, NULL, false), (3, 'a/b=c%d', NULL), (4, ' ä €"''', true)) AS v (n, t, b)});
export('TABLE cut', 'cut', q('{t,b}'));

# --- what the readers say ---

my @sales = ([ $clean, 'lake' ], [ $clean, 'curated' ], [ $dirty, 'arrived' ], [ $dirty, 'curated' ]);
my @requests = map { [ 'sales', $_->[0]{ $_->[1] eq 'curated' ? 'export' : 'lake' }, $_->[1] ] } @sales;
my $partitions = 'SELECT n, md5(t), lower(CAST(b AS STRING)) FROM cut ORDER BY n';
my %answers;
foreach my $engine (qw(pyarrow duckdb))
{
	$answers{$engine} = [ map { my ($what, @more) = @$_; read_parquet($what, $engine, @more) } @requests ];
}
$answers{spark} = [ ask_spark(@requests, (map { [ 'rows', "$dirty->{export}/$_" ] } sort keys %written), [ 'query', $dirty->{export}, $partitions ]) ]
  if has_reader('spark');

is($_->{sql}, $_->{files}, 'the reports of SQL are those of the files') foreach $clean, $dirty;
foreach my $engine (sort keys %answers)
{
	my ($lake, $curated, $arrived, $cleaned) = @{ $answers{$engine} };

	same_lines(reports_of($lake), $clean->{sql}, "$engine: the reports from the files of the lake");
	is(join("\n", grep { /^arrived/ } split /\n/, $lake), $clean->{arrived}, "$engine: their records by the directories");
	same_lines($curated, $clean->{sql}, "$engine: the reports from Parquet");
	is($arrived, $dirty->{arrived}, "$engine: the records of files with faults");
	same_lines($cleaned, $dirty->{sql}, "$engine: the reports from Parquet of what was clean in them");
}
SKIP:
{
	skip 'no Spark', 10 unless has_reader('spark');
	my @spark = splice @{ $answers{spark} }, 4;
	same_rows(shift @spark, $written{$_}, "$_: Spark reads what is in the table") foreach sort keys %written;
	is(shift @spark, sql(q{SELECT concat_ws(E'\t', n, coalesce(md5(t), '\N'), coalesce(b::text, '\N')) FROM cut ORDER BY n}), 'Spark: partitions by text and boolean, NULL and what must be escaped');
}

$node->stop;
done_testing();
