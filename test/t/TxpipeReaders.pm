# TxpipeReaders: readers that are not ours, pyarrow, DuckDB and Spark, and tables of all types for them.
#
# A test file is skipped, with the reason, where test/readers/get could not get those it needs.
package TxpipeReaders;

use strict;
use warnings;

use Encode qw(encode_utf8);
use Exporter 'import';
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail qw(sql);
use TxpipeTest qw(need_fetched);

our @EXPORT = qw(need_reader has_reader read_parquet ask_reader ask_spark export export_star reports_of make_table same_rows);

my %home = (parquet => $ENV{TXPIPE_PARQUET} // '', spark => $ENV{TXPIPE_SPARK} // '');
my $tree = $ENV{TXPIPE_TREE} // '.';

# Skips the whole file where it is not: parquet (pyarrow and DuckDB) or spark.
sub need_reader { return need_fetched('TXPIPE_' . uc $_[0], 'python', $_[0]); }

sub has_reader { return -e "$home{ $_[0] }/python"; }

sub run_read
{
	my ($input, @args) = @_;
	my ($out, $errors);

	local $ENV{PYTHONPATH} = join ':', map { "$_/python" } values %home;
	local $ENV{SPARK_LOCAL_IP} = '127.0.0.1';
	local $ENV{SPARK_LOCAL_DIRS} = PostgreSQL::Test::Utils::tempdir();
	IPC::Run::run [ '/usr/bin/python3', "$tree/test/readers/read.py", @args ], '<', \$input, '>', \$out, '2>', \$errors
	  or die "read.py @args: $errors";
	return $out;
}

# What test/readers/read.py says, without the last line end: WHAT, ENGINE, DATASET, QUERY.
sub read_parquet
{
	my (@args) = @_;
	my $out = run_read('', @args);

	chomp $out;
	return $out;
}

# What one run of it says to several requests, each an array of its arguments.
sub ask_reader
{
	my (@requests) = @_;
	my $codec = JSON::PP->new->allow_nonref;

	return map { encode_utf8($codec->decode($_)) } split /\n/, run_read(join('', map { $codec->encode($_) . "\n" } @requests), '-');
}

# With Spark, which starts once for all: each request is an array of WHAT, DATASET, QUERY.
sub ask_spark { return ask_reader(map { my ($what, @more) = @$_; [ $what, 'spark', @more ] } @_); }

# As a data set of this name; more: partition_by and sort_by, in SQL.
sub export
{
	my ($query, $name, @more) = @_;

	return sql("SELECT txpipe.export_parquet(\$q\$$query\$q\$, '$name'" . join('', map { ", $_" } @more) . ')');
}

# What sales.py wants to read of a warehouse.
sub export_star
{
	export('SELECT f.*, extract(year FROM transaction_date)::integer AS year, extract(month FROM transaction_date)::integer AS month FROM dwh.fact_sales f',
		'fact_sales', q('{year,month}'), q('{transaction_date,transaction_id}'));
	export('SELECT product_key, product_id, product_name, product_category FROM dwh.dim_product', 'dim_product');
	export('SELECT location_key, city, state FROM dwh.dim_location', 'dim_location');
	export('SELECT offer_key, offer_code FROM dwh.dim_offer', 'dim_offer');
	return;
}

# What sales.py says, of what facts() or totals() of TxpipeRetail say.
sub reports_of { return join "\n", sort grep { /^(?:product|offer|product_offer|city)\t|^total\t(?:rows|units|gross|paid)\t/ } split /\n/, $_[0]; }

# Expressions of random values by type, and values at its limits.
my %types = (
	boolean            => [ q{random() < 0.5} ],
	smallint           => [ q{(random() * 65535 - 32768)::integer}, -32768, 32767 ],
	integer            => [ q{(random() * 4294967295 - 2147483648)::bigint}, -2147483648, 2147483647 ],
	bigint             => [ q{((random() - 0.5) * 1.8e19)::numeric(20)}, '-9223372036854775808', '9223372036854775807' ],
	real               => [ q{((random() - 0.5) * 1e30)}, q{'NaN'}, q{'-Infinity'}, q{'-0'}, q{'1e-45'}, q{'3.4028235e38'} ],
	'double precision' => [ q{((random() - 0.5) * 1e300)}, q{'NaN'}, q{'Infinity'}, q{'-0'}, q{'5e-324'}, q{'1.7976931348623157e308'} ],
	'numeric(1)'       => [ q{trunc(random() * 18 - 9)}, -9, 9 ],
	'numeric(9,2)'     => [ q{(random() - 0.5) * 1e7}, '-9999999.99', '9999999.99', '0.01' ],
	'numeric(10,10)'   => [ q{random() - 0.5}, '-0.9999999999', '0.9999999999' ],
	'numeric(18,4)'    => [ q{(random() - 0.5) * 1e14}, '-99999999999999.9999', '99999999999999.9999' ],
	'numeric(19,4)'    => [ q{(random() - 0.5) * 1e15}, '-999999999999999.9999', '999999999999999.9999' ],
	'numeric(38,10)'   => [ q{(random() - 0.5)::numeric * 1e27 + random()::numeric}, '-' . '9' x 28 . '.' . '9' x 10, '9' x 28 . '.' . '9' x 10, '-0.0000000001', '-1' ],
	'numeric(38)'      => [ q{(random() - 0.5)::numeric * 1e37}, '-' . '9' x 38, '9' x 38 ],
	date               => [ q{date '1970-01-01' + (random() * 100000 - 50000)::integer}, q{'4713-01-01 BC'}, q{'0001-01-01'}, q{'1969-12-31'}, q{'9999-12-31'} ],
	timestamptz        => [ q{timestamptz '1970-01-01 00:00Z' + (random() - 0.5) * interval '300 years'}, q{'4713-01-01 00:00Z BC'}, q{'1969-12-31 23:59:59.999999Z'}, q{'9999-12-31 23:59:59.999999Z'} ],
	timestamp          => [ q{timestamp '1970-01-01 00:00' + (random() - 0.5) * interval '300 years'}, q{'0001-01-01'}, q{'294246-12-31 23:59:59.999999'} ],
	text               => [ q{repeat(chr((random() * 500)::integer + 32), (random() * 20)::integer)}, q{''}, q{repeat('long ', 30000)}, qq{E'\\t\\n\\u20ac\\U0001f600'} ],
	'varchar(30)'      => [ q{md5(random()::text)}, q{''} ],
	'char(5)'          => [ q{(random() * 99)::integer}, q{''} ],
	jsonb              => [ q{jsonb_build_object('a', random(), 'b', 'x')}, q{'null'}, q{'[1, {"€": "\\u20ac"}]'} ],
	json               => [ q{json_build_object('a', random())}, q{' {"a":  1, "a": 2} '} ],
	bytea              => [ q{decode(md5(random()::text), 'hex')}, q{''}, q{'\x00ff00'} ]);

# The one spelling of test/readers/read.py.
sub spelled
{
	my ($type, $column) = @_;

	return "($column - '1970-01-01'::date)::text" if $type eq 'date';
	return "(extract(epoch FROM $column) * 1000000)::bigint::text" if $type =~ /^timestamp/;
	return "encode(float4send($column), 'hex')" if $type eq 'real';
	return "encode(float8send($column), 'hex')" if $type eq 'double precision';
	return "encode($column, 'hex')" if $type eq 'bytea';
	return "encode(convert_to(bpchar_as_text, 'UTF8'), 'hex')" =~ s/bpchar_as_text/concat($column)/r if $type =~ /char|text|json/;
	return "$column\::text";
}

# Makes a table of random columns: of some types several, of a value that is rarely, often or always NULL, or one of few. Returns its
# rows as read.py spells them.
sub make_table
{
	my ($name, $rows) = @_;
	my @names = sort keys %types;
	my @chosen = $name eq 'all_types' ? @names : map { $names[ rand @names ] } 1 .. 1 + int rand 12;
	my (@columns, @exprs, @spelled);

	sql("SELECT setseed(@{[ rand() ]})");
	foreach my $i (0 .. $#chosen)
	{
		my $type = $chosen[$i];
		my ($random, @limits) = @{ $types{$type} };
		my $column = sprintf 'c%02d', $i;
		my $nulls = (0, 0.01, 0.5, 0.99, 1)[ $name eq 'all_types' ? 1 : rand 5 ];
		my $few = 1 + int rand 300;

		push @columns, "$column $type";
		# The same few values again and again, else every row its own; at last the limits.
		$random = "(ARRAY(SELECT ($random)::$type FROM generate_series(1, $few) AS few))[1 + g % $few]" if rand() < 0.5;
		push @exprs, "CASE " . join('', map { 'WHEN g = ' . ($_ + 1) . " THEN ($limits[$_])::$type " } 0 .. $#limits)
		  . "WHEN random() < $nulls OR g = 99 THEN NULL ELSE ($random)::$type END";
		push @spelled, "CASE WHEN $column IS NULL THEN '\\N' ELSE " . spelled($type, $column) . ' END';
	}
	sql("CREATE TABLE $name (" . join(', ', @columns) . '); INSERT INTO ' . $name . ' SELECT ' . join(', ', @exprs) . " FROM generate_series(1, $rows) AS g");
	return sql("SET extra_float_digits = 1; SELECT concat_ws(E'\\t', " . join(', ', @spelled) . ") FROM $name");
}

# One test point: the same rows in whatever order; else the fields that differ between the first rows that do.
sub same_rows
{
	my ($read, $written, $name) = @_;
	my %read = map { $_ => 1 } split /\n/, $read;
	my %written = map { $_ => 1 } split /\n/, $written;
	my ($missing) = grep { !$read{$_} } sort keys %written;
	my ($surplus) = grep { !$written{$_} } sort keys %read;
	my @wanted = split /\t/, $missing // '';
	my @got = split /\t/, $surplus // '';

	ok(join("\n", sort split /\n/, $read) eq join("\n", sort split /\n/, $written), $name)
	  or diag(map { substr("field $_: written $wanted[$_]", 0, 300) . substr(", read $got[$_]", 0, 300) . "\n" }
		grep { $wanted[$_] ne ($got[$_] // '') } 0 .. $#wanted);
	return;
}

1;
