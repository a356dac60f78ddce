# Parquet as readers that are not ours see it: the warehouse with the totals of its files, tables of every type with random and extreme
# values to the last digit, and statistics by which they skip.
use strict;
use warnings;

use JSON::PP;
use List::Util qw(sum);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeReaders;
use TxpipeRetail;

need_reader('parquet');

my $node = retail_node('parquet_readers');
my $dir = $node->basedir . '/export';
my $seed = $ENV{TXPIPE_TEST_SEED} // 20230520;
diag("seed $seed (TXPIPE_TEST_SEED)");
srand $seed;

sub rows_of_groups { return map { decode_json($_) } split /\n/, read_parquet('groups', 'pyarrow', "$dir/$_[0]"); }

# --- the warehouse ---

my @groups = make_groups(3, '--rows', 400, '--seed', 11);
fresh_database();
deliver($groups[$_], 'group' . ($_ + 1)) foreach 0 .. $#groups;
run_hourly();
export('SELECT f.*, extract(year FROM transaction_date)::integer AS year, extract(month FROM transaction_date)::integer AS month FROM dwh.fact_sales f',
	'fact_sales', q('{year,month}'), q('{transaction_date,transaction_id}'));
export("TABLE dwh.dim_$_", "dim_$_") foreach qw(product location);

my %wanted = map { (split /\t/)[1, 2] } grep { /^total/ } split /\n/, totals(@groups);
my %arrow = map { split /\t/ } split /\n/, read_parquet('totals', 'pyarrow', "$dir/fact_sales");
is_deeply([ @arrow{qw(rows units gross_amount total_paid)} ], [ @wanted{qw(rows units gross paid)} ], "pyarrow: totals of the files: $wanted{paid}");
is(read_parquet('files', 'pyarrow', "$dir/fact_sales"), $wanted{rows}, 'pyarrow: the same rows by the directories');

my @products = grep { /^product\t/ } split /\n/, totals(@groups);
cmp_ok(scalar @products, '>', 5, 'there are products');
same_lines(join("\n", sort split /\n/, read_parquet('query', 'duckdb', $dir, <<'SQL')), join("\n", sort @products), 'DuckDB: products as in the files');
SELECT 'product', rank() OVER (ORDER BY sum(units) DESC), product_id, product_name, sum(units), sum(total_paid)
FROM fact_sales JOIN dim_product USING (product_key) GROUP BY product_id, product_name
SQL
same_lines(
	join("\n", sort split /\n/, read_parquet('query', 'duckdb', $dir, <<'SQL')),
SELECT 'city', rank() OVER (ORDER BY sum(total_paid)), city, state, count(*), sum(units), sum(total_paid)
FROM fact_sales JOIN dim_location USING (location_key) WHERE is_online GROUP BY city, state
SQL
	join("\n", grep { /^city\t/ } split /\n/, totals(@groups)), 'DuckDB: cities as in the files');
is(read_parquet('query', 'duckdb', $dir, 'SELECT count(*), count(DISTINCT (year, month)) FROM fact_sales WHERE year(transaction_date) = year AND month(transaction_date) = month'),
	sql(q{SELECT count(*) || E'\t' || count(DISTINCT date_trunc('month', transaction_date)) FROM dwh.fact_sales}), 'DuckDB: years and months of the directories');
is_deeply([ (rows_of_groups('fact_sales'))[0]{sorted} ], [ [ 'transaction_date', 'transaction_id' ] ], 'the files say how they are sorted');

# --- every type, random and extreme ---

my %rows = (all_types => 30000, map { ("random$_" => (0, 1, 7, 8, 9, 999, 20000, 20001, 45000)[ $_ % 9 ]) } 1 .. 12);
foreach my $name (sort keys %rows)
{
	my $written = make_table($name, $rows{$name});

	export("TABLE $name", $name);
	is(read_parquet('totals', 'pyarrow', "$dir/$name") =~ /^rows\t(\d+)/ ? $1 : '', $rows{$name}, "$name: rows");
	foreach my $engine (qw(pyarrow duckdb))
	{
		# DuckDB's days end before those of PostgreSQL, not before those here.
		same_rows(read_parquet('rows', $engine, "$dir/$name"), $written, "$name: $engine reads what is in the table");
	}
}

# --- what is in a row group ---

sql(q{CREATE TABLE facts AS SELECT g AS id, date '2020-01-01' + g / 2000 AS day, (g % 7)::text AS few, md5(g::text) AS many,
             repeat(md5(g::text), 5) AS long, CASE WHEN g % 10 > 0 THEN g - 500000 END::numeric(20,2) AS amount,
             CASE WHEN g = 5 THEN 'NaN' ELSE g::float8 END AS real, true AS yes,
             CASE WHEN g < 200000 THEN g % 1000 ELSE g END AS grows
      FROM generate_series(1, 700000) AS g});
export('TABLE facts', 'facts', 'NULL', q('{day,id}'));
my @row_groups = rows_of_groups('facts');
cmp_ok(scalar @row_groups, '>', 3, 'a large table has row groups: ' . @row_groups);
is(sum(map { $_->{rows} } @row_groups), 700000, 'with all of its rows');
my $first = $row_groups[0]{columns};
is_deeply($first->{few}{encodings}, [qw(PLAIN RLE RLE_DICTIONARY)], 'few values are a dictionary');
is_deeply($first->{many}{encodings}, [qw(PLAIN RLE)], 'values of their own are none');
is_deeply([ map { $_->{codec} } values %$first ], [ ('ZSTD') x keys %$first ], 'all is compressed with zstd');
is_deeply([ @{ $first->{few} }{qw(min max nulls)} ], [ 0, 6, 0 ], 'least, greatest and NULLs of a text');
is_deeply([ @{ $first->{amount} }{qw(min max)} ], [ '-499999.00', sql("SELECT max(amount) FROM facts WHERE id <= $row_groups[0]{rows}") ], 'of a decimal with negative numbers');
is($first->{amount}{nulls}, int($row_groups[0]{rows} / 10), 'NULLs of a column with some');
ok(!exists $first->{long}{min} && !exists $first->{real}{min}, 'none of long texts, and none with a NaN');
is($row_groups[1]{columns}{real}{min}, sprintf('%.1f', $row_groups[0]{rows} + 1), 'of reals without one');
my ($left, $total) = split /\t/, read_parquet('skipped', 'pyarrow', "$dir/facts", 'day=2020-03-01');
cmp_ok($left, '<=', 2, "a reader of one day looks into $left of $total row groups");
is(read_parquet('query', 'duckdb', $dir, q{SELECT count(*), sum(amount) FROM facts WHERE day = '2020-03-01'}),
	sql(q{SELECT count(*) || E'\t' || sum(amount) FROM facts WHERE day = '2020-03-01'}), 'and finds its rows');
is(read_parquet('query', 'duckdb', $dir, q{SELECT count(*), sum(grows), count(DISTINCT grows) FROM facts}),
	sql(q{SELECT concat_ws(E'\t', count(*), sum(grows), count(DISTINCT grows)) FROM facts}), 'a column whose dictionary becomes too large');

# --- partitions ---

sql(q{CREATE TABLE cut AS SELECT * FROM (VALUES (1, 'plain', true, date '2023-05-20'), (2, NULL, false, NULL), (3, 'a/b=c%d', NULL, '2023-05-20'),
      (4, ' ä €"''', true, 'infinity'), (5, '..', true, '0001-01-01 BC'), (6, 'a' || chr(10) || chr(127) || '\{\}[]^#*:?', false, '2023-05-21')) AS v (n, t, b, d)});
export(q{SELECT n, t, b FROM cut}, 'cut', q('{t,b}'));
is(read_parquet('query', 'duckdb', $dir, q{SELECT n, md5(t), lower(b::text) FROM cut ORDER BY n}), sql(q{SELECT concat_ws(E'\t', n, coalesce(md5(t), '\N'), coalesce(b::text, '\N')) FROM cut ORDER BY n}),
	'partitions by text and boolean, NULL and what must be escaped');
export(q{SELECT n, d FROM cut WHERE isfinite(d)}, 'cut_days', q('{d}'));
is(read_parquet('query', 'duckdb', $dir, q{SELECT n, d FROM cut_days WHERE d = '2023-05-20' ORDER BY n}), "1\t2023-05-20\n3\t2023-05-20", 'partitions by day');

$node->stop;
done_testing();
