# pg_upgrade from an older major version that is installed beside this one, as test/matrix has it: streams go on exactly once, the
# warehouse and the ledger are what they were, and what was loaded before is still known.
use strict;
use warnings;

use File::Basename qw(basename dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest;

my ($bindir) = run_command([ 'pg_config', '--bindir' ]);
my $major = basename(dirname($bindir));
my ($old) = sort { $a <=> $b } grep { $_ < $major } map { m{/(\d+)/lib/pgxs$} ? $1 : () } glob '/usr/lib/postgresql/*/lib/pgxs';

plan skip_all => "no PostgreSQL older than $major is installed with its headers; test/matrix has one" unless $old;

my $tree = $TxpipeRetail::tree;
my $dir  = PostgreSQL::Test::Utils::tempdir();
my $conf = "shared_preload_libraries = 'txpipe'\nmax_worker_processes = 24\n";

# --- the older server, with an extension of its own build ---

system_or_bail('cp', '-a', $tree, "$dir/tree");
system_or_bail('bash', '-c', "source '$tree/test/private'; private_version=$old; private_server '$dir/old'");
# Its headers are older than C23, which compilers of today take for granted.
system_or_bail('bash', '-c', "cd '$dir/tree' && rm -f src/*.o src/*/*.o txpipe.so && make -s COPT=-std=gnu17 PG_CONFIG='$dir/old/lib/postgresql/$old/bin/pg_config' install");

my $broker = start_broker('orders:2');
my $source = retail_node('old', install_path => "$dir/old/lib/postgresql/$old", conf => $conf);
my @groups = make_groups(4, '--rows', 600, '--dirty', 10, '--seed', 21);
my $messages = 0;

sub produce_some
{
	produce_lines($broker, 'orders', $_, map { "{\"id\": $_}" } 1 .. 500) for 0, 1;
	$messages += 1000;
	return;
}

sub holds_all
{
	my ($node, $when) = @_;

	wait_for_offset($node, 'orders', $messages, db => 'retail');
	is($node->safe_psql('retail', 'SELECT count(*), count(DISTINCT (kafka_partition, kafka_offset)) FROM orders'),
		"$messages|$messages", "every message once $when");
	return;
}

sub sale
{
	my ($id, $units) = @_;
	return "2023-5-20,$id,85550,Alex,Brown,alex.brown\@gmail.com,1,1,9,Boots,Footwear,False,,,,,$units,87.58,no,Cash";
}

fresh_database();
kafka_server($source, 'shop', $broker, 'retail');
sql(q{CREATE TABLE orders (id bigint, kafka_partition int, kafka_offset bigint);
	SELECT txpipe.create_stream('orders', 'shop', 'orders', 'orders', options => '{"batch_rows": 20, "rows_per_second": 1000}',
		columns => '{"id": "id", "kafka_partition": "kafka_partition", "kafka_offset": "kafka_offset"}')});
deliver($_, basename($_)) for @groups[ 0 .. 2 ];
land_sales(50, sale('s-1', 2), sale('s-2', 3));
run_hourly();
produce_some();
holds_all($source, "under $old");
my $ledger = q{SELECT file_id, feed, group_key, file_name, sha256, state, rows_loaded, lake_path FROM txpipe.file ORDER BY file_id};
my $keys = q{SELECT transaction_id, file_id, line_no, content_hash FROM dwh.sale_key ORDER BY 1};
my ($facts, $files, $hashes) = (facts(), sql($ledger), sql($keys));
produce_some();
wait_for($source, "SELECT count(*) > $messages - 1000 FROM orders", 'the stream is in the middle of it', db => 'retail');
$source->stop('fast');

# --- the upgrade ---

my $node = PostgreSQL::Test::Cluster->new('new');
$node->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8', $major >= 18 ? '--no-data-checksums' : () ]);
my $base = $source->basedir;
$node->append_conf('postgresql.conf', join "\n", $conf, "timezone = 'UTC'", 'txpipe.settle_time = 0',
	map { "txpipe.${_}_directory = '$base/$_'" } qw(landing lake export));
chdir $dir or die "$dir: $!";
command_ok(
	[ 'pg_upgrade', '--no-sync', '-b', "$dir/old/lib/postgresql/$old/bin", '-B', $bindir, '-d', $source->data_dir, '-D', $node->data_dir,
		'-p', $source->port, '-P', $node->port, '-s', $source->host ],
	"pg_upgrade from $old to $major");
produce_some();
$node->start;
like($node->safe_psql('retail', 'SHOW server_version'), qr/^$major\b/, "the server is $major now");
is($node->safe_psql('retail', 'SELECT state, reason FROM txpipe.stream_status') =~ s/waiting for a worker.*//r, 'running|', 'the stream is no copy');
holds_all($node, 'after the upgrade');
produce_some();
holds_all($node, 'and beyond');
is($node->safe_psql('retail', 'SELECT restarts, dead_letters_total FROM txpipe.stream_status'), '0|0', 'nothing went wrong');

# --- the warehouse ---

use_node($node);
same_lines(sql($ledger), $files, 'the ledger is what it was');
same_lines(sql($keys), $hashes, 'and so are the hashes of sales');
same_lines(facts(), $facts, 'the reports say what they said');
is(sql('SELECT count(*) FROM txpipe.check_warehouse() WHERE NOT ok'), '0', 'the warehouse is whole');

# The same bytes are known by their SHA-256, the same sales in another file by the server's hash of their values.
deliver($groups[0], 'group60');
land_sales(61, sale('s-2', 3), sale('s-1', 2), sale('s-3', 1));
land_sales(62, sale('s-1', 4));
run_hourly();
is(sql(q{SELECT count(*) FROM txpipe.file WHERE group_key = 'group60' AND state = 'duplicate'}), '1', 'a file loaded before is a duplicate');
is(sql(q{SELECT rows_loaded, rows_duplicate, rows_superseded FROM txpipe.file WHERE feed = 'sales_transactions' AND group_key = '61'}), '1|2|0',
	'sales loaded before are repetitions, not conflicts');
is(sql(q{SELECT rows_loaded, rows_duplicate, rows_superseded FROM txpipe.file WHERE feed = 'sales_transactions' AND group_key = '62'}), '0|0|1',
	'and a conflict is one');
deliver($groups[3], basename($groups[3]));
sql(q{SELECT txpipe.unload(file_id) FROM txpipe.file WHERE group_key = 'group2' AND feed = 'sales_transactions'});
sql(q{SELECT txpipe.reload(file_id) FROM txpipe.file WHERE group_key = 'group2' AND feed = 'sales_transactions'});
run_hourly();
is(sql('SELECT count(*) FROM txpipe.check_warehouse() WHERE NOT ok'), '0', 'the warehouse is whole after loading, unloading and reloading');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to/);
stop_broker($broker);
done_testing();
