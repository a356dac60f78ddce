# Streams and feeds into tables that Citus keeps on other servers: one coordinator, two workers. What a table shall hold is
# computed here. Where the server has no Citus it is skipped; test/citus says how to have it tested.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail qw(use_node use_database make_groups deliver run_hourly facts totals same_lines);
use TxpipeTest;

my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
plan skip_all => 'the server has no Citus' unless -e "$sharedir/extension/citus.control";

my $broker = start_broker('clicks:4', 'refused:1', 'known:1', 'last:2', 'spread:1');
my %node;
foreach my $name (qw(coordinator east west))
{
	$node{$name} = new_node($name, conf => <<'CONF');
shared_preload_libraries = 'citus,txpipe'
max_prepared_transactions = 50
citus.enable_statistics_collection = off
citus.node_conninfo = 'sslmode=disable'
citus.shard_count = 8
txpipe.settle_time = 0
CONF
	$node{$name}->append_conf('postgresql.conf', "citus.local_hostname = '" . $node{$name}->host . "'\n");
	$node{$name}->start;
	$node{$name}->safe_psql('postgres', 'CREATE EXTENSION citus');
}
my $node = $node{coordinator};

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(sprintf q{SELECT citus_set_coordinator_host('%s', %d)}, $node->host, $node->port);
sql(sprintf q{SELECT citus_add_node('%s', %d)}, $node{$_}->host, $node{$_}->port) foreach qw(east west);
diag(sql('SELECT citus_version()'));
sql('CREATE EXTENSION txpipe');
kafka_server($node, 'shop', $broker);

# Rows of the table by the server that has them; rows in its local shell would be nobody's.
sub rows_by_worker
{
	my ($table) = @_;
	return sql(qq{SELECT string_agg(n::text, ' ' ORDER BY nodeport) FROM (
		SELECT nodeport, sum(result::bigint) AS n FROM run_command_on_shards('$table', 'SELECT count(*) FROM %s')
		JOIN citus_shards USING (shardid) GROUP BY nodeport) s});
}

# --- append, through ends of the child and of the coordinator ---

sql(<<'SQL');
CREATE TABLE clicks ("no" bigint, dropped int, "Shop" text NOT NULL, tags text[], price numeric(12,2), at timestamptz DEFAULT '2024-01-01',
    doubled numeric GENERATED ALWAYS AS (price * 2) STORED, data jsonb);
ALTER TABLE clicks DROP COLUMN dropped;
SELECT create_distributed_table('clicks', 'Shop');
SELECT txpipe.create_stream('clicks', 'shop', 'clicks', 'clicks', options => '{"batch_rows": 100}');
SQL
srand 138;
my ($sent, $cents) = (0, 0);
for my $round (1 .. 4)
{
	my @messages = ([], [], [], []);
	for (1 .. 2000)
	{
		my $price = int rand 100000;

		$cents += $price;
		push @{ $messages[ $sent % 4 ] }, sprintf '{"no": %d, "Shop": "s\'%d", "tags": "{\"a b\",%d}", "price": %.2f, "data": {"n": [%d]}}',
		  $sent, $sent % 50, $sent, $price / 100, $sent;
		$sent++;
	}
	produce_lines($broker, 'clicks', $_, @{ $messages[$_] }) for 0 .. 3;
	my $child = wait_until('a worker has a child', sub { my $w = worker_pid($node); $w && child_pid($w) });
	kill 'KILL', $child if $round == 2;
	$node->stop('immediate'), $node->start if $round == 3;
}
wait_for_offset($node, 'clicks', $sent);
sql('SELECT recover_prepared_transactions()');    # which Citus does by itself once a minute
is(sql(q{SELECT count(*), count(DISTINCT "no"), min("no"), max("no"), sum(price), sum(doubled), count(DISTINCT "Shop"), min(at) = '2024-01-01' FROM clicks}),
	sprintf('%d|%d|0|%d|%.2f|%.2f|50|t', $sent, $sent, $sent - 1, $cents / 100, $cents / 50), 'every message is there once');
is(sql(q{SELECT count(*) FROM clicks WHERE tags = ARRAY['a b', "no"::text] AND data = jsonb_build_object('n', ARRAY["no"]) AND "Shop" = 's''' || "no" % 50}),
	$sent, 'and what it says');
like(rows_by_worker('clicks'), qr/^[1-9]\d* [1-9]\d*$/, 'the rows are on both workers');
is(sql(q{SELECT rows_total, dead_letters_total FROM txpipe.stream_status WHERE stream = 'clicks'}), "$sent|0", 'and counted as rows');

# --- rows that the workers refuse ---

sql(<<'SQL');
CREATE TABLE refused (id int PRIMARY KEY, v int CHECK (v < 1000));
SELECT create_distributed_table('refused', 'id');
SELECT txpipe.create_stream('refused', 'shop', 'refused', 'refused');
SQL
produce_lines($broker, 'refused', 0, map { sprintf '{"id": %d, "v": %d}', $_ == 70 ? 7 : $_, $_ == 40 ? 5000 : $_ } 1 .. 100);
wait_for_offset($node, 'refused', 100);
is(sql('SELECT count(*), sum(v) FROM refused'), join('|', 98, 5050 - 70 - 40), 'their neighbours are there');
is(sql(q{SELECT string_agg(kafka_offset || ' ' || code, ', ' ORDER BY kafka_offset) FROM txpipe.dead_letter WHERE stream = 'refused'}),
	'39 23514, 69 23505', 'and they are dead letters');

# --- a reference table ---

sql(<<'SQL');
CREATE TABLE known (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
SELECT create_reference_table('known');
SELECT txpipe.create_stream('known', 'shop', 'known', 'known', columns => '{"id": "id", "name": "name"}');
SQL
produce_lines($broker, 'known', 0, map { sprintf '{"id": %d, "name": "n%d"}', $_, $_ } 1 .. 50);
wait_for_offset($node, 'known', 50);
is($node{$_}->safe_psql('postgres', 'SELECT count(*), sum(id) FROM known'), '50|1275', "a reference table has them, read in the $_") foreach sort keys %node;

# --- upsert ---

sql(<<'SQL');
CREATE TABLE last (shop int, "No" int, v int, seen text DEFAULT 'new', PRIMARY KEY ("No", shop));
SELECT create_distributed_table('last', 'shop');
SELECT txpipe.create_stream('last', 'shop', 'last', 'last', columns => '{"shop": "s", "No": "n", "v": "v"}',
    options => '{"mode": "upsert", "batch_rows": 50}');
SQL
my (%wanted, @messages);
for my $i (1 .. 1000)
{
	my ($s, $n) = (int rand 7, int rand 9);

	push @{ $messages[ $s % 2 ] }, qq({"s": $s, "n": $n, "v": $i});
	$wanted{"$s|$n"} = $i;
}
produce_lines($broker, 'last', $_, @{ $messages[$_] }) for 0, 1;
wait_for_offset($node, 'last', 1000);
is_deeply({ map { /^(.*)\|(.*)$/ } split /\n/, sql(q{SELECT shop, "No", v FROM last WHERE seen = 'new'}) }, \%wanted, 'every key has its last version');
fails_with($node, q{SELECT txpipe.create_stream('gone', 'shop', 'last', 'last', columns => '{"shop": "$key.s", "No": "$key.n", "v": "v"}',
	options => '{"mode": "upsert_delete"}')}, '0A000', 'table of Citus', 'upsert_delete is not for its tables');

# --- a worker that is away ---

$node{east}->stop('fast');
produce_lines($broker, 'clicks', 0, map { sprintf '{"no": %d, "Shop": "s%d", "price": 1}', $sent + $_, $_ % 50 } 0 .. 499);
wait_for($node, q{SELECT state <> 'running' AND last_error ~ 'connect' FROM txpipe.stream_status WHERE stream = 'clicks'},
	'the stream says why it stands still');
$node{east}->start;
wait_for_offset($node, 'clicks', $sent + 500);
is(sql(q{SELECT count(*), count(DISTINCT "no") FROM clicks}), join('|', ($sent + 500) x 2), 'when it is back nothing is lost or double');

# --- how long readers see a part of a batch: the workers commit one after the other ---

sql(<<'SQL');
CREATE TABLE spread (id int, batch bigint DEFAULT txid_current());
SELECT create_distributed_table('spread', 'id');
CREATE TABLE seen (at timestamptz, batch bigint, rows bigint);
CREATE PROCEDURE watch(total bigint) LANGUAGE plpgsql AS $$
BEGIN
	WHILE (SELECT count(*) FROM spread) < total LOOP
		INSERT INTO seen SELECT clock_timestamp(), batch, count(*) FROM spread GROUP BY batch ORDER BY batch DESC LIMIT 3;
		COMMIT;
	END LOOP;
END $$;
SQL
produce_lines($broker, 'spread', 0, map { qq({"id": $_}) } 1 .. 30000);
sql(q{SELECT txpipe.create_stream('spread', 'shop', 'spread', 'spread', options => '{"batch_rows": 300}')});
$node->safe_psql('postgres', 'CALL watch(30000)', timeout => 60);
sql('CREATE TABLE whole AS SELECT batch, count(*) AS rows FROM spread GROUP BY batch');
is(sql('SELECT sum(rows), count(*) >= 100 FROM whole'), '30000|t', 'what is idle is whole');
diag('batches, reads, batches seen in part, for ms at most: ' . sql(<<'SQL'));
SELECT count(*), (SELECT count(DISTINCT at) FROM seen), count(part), round(extract(epoch FROM max(whole - part)) * 1000, 1)
FROM (SELECT min(at) FILTER (WHERE s.rows < w.rows) AS part, min(at) FILTER (WHERE s.rows = w.rows) AS whole
      FROM whole w LEFT JOIN seen s USING (batch) GROUP BY batch) b
SQL

# --- files ---

sql(<<'SQL');
CREATE TABLE counts (shop int, n int, price numeric(12,2));
SELECT create_distributed_table('counts', 'shop');
SELECT txpipe.create_feed('counts', '^(.+)/counts\.csv$', 'counts');
SQL
my $landing = $node->basedir . '/dirs/landing/2024-01-01T00';
mkdir $landing or die "$landing: $!";
append_to_file("$landing/counts.csv", join '', "shop,n,price\n", map { sprintf "%d,%d,%d.25\n", $_ % 13, $_, $_ } 1 .. 3000);
sql('CALL txpipe.run_hourly()');
is(sql('SELECT count(*), sum(n), sum(price) FROM counts'), '3000|4501500|4502250.00', 'a file is loaded into a distributed table');

# --- the warehouse: its tables stay on the coordinator ---

use_node($node);
use_database('postgres', $node->basedir . '/dirs');
$node->psql('postgres', 'SELECT txpipe.create_warehouse()');    # Citus warns of what it does not distribute
my @groups = make_groups(3, '--rows', 500, '--seed', 138);
deliver($groups[$_], 'group' . ($_ + 1)) foreach 0 .. $#groups;
run_hourly();
same_lines(facts(), totals(@groups), 'its reports are those of its files');
is(sql('SELECT count(*) FROM txpipe.check_warehouse() WHERE NOT ok'), 0, 'and it is sound');
is(sql('SELECT sum(c.n), count(DISTINCT p.product_category) > 1 FROM counts c JOIN dwh.dim_product p ON p.product_key = c.shop'),
	sql('SELECT sum(n) FROM (SELECT * FROM counts OFFSET 0) c WHERE shop IN (SELECT product_key FROM (SELECT * FROM dwh.dim_product OFFSET 0) p)') . '|t',
	'its dimensions join distributed tables');

$node->stop;
$node{$_}->stop foreach qw(east west);
done_testing();
