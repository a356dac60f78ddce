# The archive of a stream as readers that are not ours see it: every message that was sent, value by value, by the directories alone and by the manifest.
use strict;
use warnings;

use List::Util qw(sum);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeReaders qw(need_reader read_parquet);
use TxpipeTest;

need_reader('parquet');

my $broker = start_broker('orders:3');
my $clock  = PostgreSQL::Test::Utils::tempdir() . '/clock';
my $node   = new_node('archive_readers');
my $export = $node->basedir . '/dirs/export';
my %sent;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub query { return join "\n", sort split /\n/, read_parquet('query', 'duckdb', $export, $_[0] =~ s{\bFILES\b}{read_parquet('$export/raw/**/*.parquet', hive_partitioning = true)}r); }
sub hex_of { return unpack 'H*', $_[0]; }

# A message, and what readers shall see of it: whole numbers, digits, microseconds and hexadecimal text.
my @reals = ('0.1', '-2.5', '1e+300', '5e-324', '123456789.123');
sub order
{
	my ($id) = @_;
	my $amount = sprintf '%s%d%018d.%010d', $id % 2 ? '-' : '', 10 + $id, $id * 7, $id * 31;
	my $text = ('', 'plain', "\xc3\xa4\xe2\x82\xac", 'a, b', '\\N')[ $id % 5 ];
	my ($us, $day) = ($id * 997 % 1000000, $id % 28 + 1);
	my $json = sprintf '{"id": %d, "flag": %s, "small": %d, "amount": %s, "price": %d.%02d, "ratio": %s, "at": "2026-02-%02dT03:04:05.%06d+01:00", "day": "1969-12-%02d", "text": "%s", '
	  . '"more": {"n": %d.50}, "free": %d.12345678901234567890, "code": "0f0e0d0c-0000-0000-0000-%012d"}',
	  $id, $id % 2 ? 'true' : 'false', $id - 200, $amount, $id, $id % 100, $reals[ $id % 5 ], $day, $us, $day, $text =~ s/\\/\\\\/r, $id, $id, $id;
	my $seconds = 1769911200 + ($day - 1) * 86400 + 245;    # 2026-02-01T02:00:00Z, and 4 min 5 s
	my @values = ($id, $id % 2 ? 'True' : 'False', $id - 200, $amount, sprintf('%d.%02d', $id, $id % 100), $reals[ $id % 5 ], $seconds . sprintf('%06d', $us), sprintf('1969-12-%02d', $day),
		hex_of($text), qq({"n": $id.50}), "$id.12345678901234567890", sprintf('0f0e0d0c-0000-0000-0000-%012d', $id));

	return ($json, join "\t", @values);
}

# All that is asked for of a row, in the order of order().
my $columns = q{id, flag, small, amount, price, ratio, epoch_us("at"), day, lower(hex(encode("text"))), more, free, code};

sub send_orders
{
	my ($from, $to) = @_;

	foreach my $partition (0 .. 2)
	{
		my @made = map { [ order($_) ] } grep { $_ % 3 == $partition } $from .. $to;
		my @lines = map { $_->[0] } @made;

		foreach my $i (0 .. $#made) { $sent{$partition}[ @{ $sent{$partition} // [] } ] = $made[$i][1]; }
		produce_lines($broker, 'orders', $partition, @lines, 'poison');
		push @{ $sent{$partition} }, undef;
	}
	return;
}

sub all_sent
{
	return join "\n", sort map { my $p = $_; map { defined $sent{$p}[$_] ? "$p\t$_\t$sent{$p}[$_]" : () } 0 .. $#{ $sent{$p} } } keys %sent;
}

my $ahead = 3600 - time() % 3600 + 600;
set_clock($clock, $ahead);
{
	local @ENV{qw(LD_PRELOAD TXPIPE_CLOCK)} = (preload_path('clock'), $clock);
	start_node($node);
}
kafka_server($node, 'shop', $broker);
sql(q{CREATE TABLE orders (id bigint PRIMARY KEY, flag boolean, small smallint, amount numeric(38,10), price numeric(9,2), ratio double precision, at timestamptz, day date, "text" text,
		more jsonb, free numeric, code uuid, loaded_at timestamptz DEFAULT now());
	SELECT txpipe.create_stream('orders', 'shop', 'orders', 'orders', options => '{"archive": true, "mode": "upsert", "batch_rows": 100}')});

foreach my $hour (1, 2)
{
	send_orders($hour * 100 - 99, $hour * 100);
	# A later message of the same key: its row is replaced, its archive has both.
	send_orders(5, 9) if $hour == 2;
	wait_for_offset($node, 'orders', sum(map { scalar @$_ } values %sent));
	set_clock($clock, $ahead + $hour * 3600);
	is(sql(q{SELECT count(*) FROM txpipe.export_archive()}), 1, "hour $hour is written");
}
is(sql('SELECT count(*) FROM orders'), 200, 'the table has each key once');
same_text(query("SELECT kafka_partition, kafka_offset, $columns FROM FILES"), all_sent(), 'DuckDB: each message that was sent and is no letter, once, digit by digit');
is(query(q{SELECT DISTINCT stream, kafka_topic, count(DISTINCT (date, hour)) FROM FILES GROUP BY 1, 2}), "orders\torders\t2", '... with stream, date and hour of the directories');
is(read_parquet('files', 'pyarrow', "$export/raw"), 205, 'pyarrow: the rows by the directories');
my ($first, $second) = sort glob "$export/raw/*/*/*";
is(join(' ', map { (split /\n/, read_parquet('totals', 'pyarrow', $_))[0] =~ /(\d+)/ } $first, $second), '100 105', '... and hour by hour by the manifests');
like(read_parquet('groups', 'pyarrow', $first), qr/"sorted": \["kafka_topic", "kafka_partition", "kafka_offset"\]/, '... which says how they are sorted');
is(query(q{SELECT count(*), sum(amount), sum(price), min(epoch_us("at")) FROM (SELECT DISTINCT ON (id) * FROM FILES ORDER BY id, hour DESC)}),
	sql(q{SELECT concat_ws(E'\t', count(*), sum(amount), sum(price), (min(extract(epoch FROM at)) * 1000000)::bigint) FROM orders}), 'DuckDB and SQL: the same totals of the last rows');
like(sql("SELECT txpipe.hive_ddl('" . substr($first, length "$export/") . "')"), qr/`amount` DECIMAL\(38,10\),.*`at` TIMESTAMP.*STORED AS PARQUET/s, 'hive_ddl() knows the columns');

# The rows that differ, not all of them.
sub same_text
{
	my ($got, $wanted, $name) = @_;
	my %wanted = map { $_ => 1 } split /\n/, $wanted;
	my @surplus = grep { !delete $wanted{$_} } split /\n/, $got;

	is(join("\n", (@surplus)[ 0 .. ($#surplus > 2 ? 2 : $#surplus) ]), join("\n", grep { defined } ((sort keys %wanted)[ 0 .. 2 ])), $name);
	return;
}

$node->stop;
stop_broker($broker);
done_testing();
