# Streams and feeds into tables that Citus keeps on other servers, and the warehouse on them: one coordinator, two workers. What a table shall hold is
# computed here. Where the server has no Citus it is skipped; test/citus says how to have it tested.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeCitus;
use TxpipeRetail qw(use_node use_database make_groups deliver land_sales run_hourly facts totals same_lines);
use TxpipeTest;

plan skip_all => 'the server has no Citus' unless has_citus();

my $broker = start_broker('clicks:4', 'refused:1', 'known:1', 'last:2', 'spread:1', 'live:1');
my %node;
foreach my $name (qw(coordinator east west))
{
	$node{$name} = new_node($name, conf => "txpipe.settle_time = 0\n");
	start_with_citus($node{$name}, 'txpipe');
}
my $node = $node{coordinator};

sub sql { return $node->safe_psql('postgres', $_[0]); }

share_out('postgres', @node{qw(coordinator east west)});
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
CREATE TABLE seen (source text, at timestamptz, batch bigint, rows bigint);
CREATE PROCEDURE watch(source text, part text, total bigint) LANGUAGE plpgsql AS $$
DECLARE
	rows bigint := 0;
BEGIN
	WHILE rows < total LOOP
		EXECUTE format('INSERT INTO seen SELECT %1$L, clock_timestamp(), %2$I, count(*) FROM %1$s GROUP BY %2$I ORDER BY %2$I DESC LIMIT 3', source, part);
		COMMIT;
		EXECUTE format('SELECT count(*) FROM %s', source) INTO rows;
		COMMIT;
	END LOOP;
END $$;
SQL

# Reads until all rows are there, and says of how many parts only some rows were seen, and how long.
sub watch
{
	my ($source, $part, $total) = @_;

	$node->safe_psql('postgres', "CALL watch('$source', '$part', $total)", timeout => 120);
	sql("DROP TABLE IF EXISTS whole; CREATE TABLE whole AS SELECT $part AS batch, count(*) AS rows FROM $source GROUP BY 1");
	diag("$source: batches, reads, batches seen in part, for ms at most: " . sql(<<"SQL"));
SELECT count(*), (SELECT count(DISTINCT at) FROM seen WHERE source = '$source'), count(part), round(extract(epoch FROM max(whole - part)) * 1000, 1)
FROM (SELECT min(at) FILTER (WHERE s.rows < w.rows) AS part, min(at) FILTER (WHERE s.rows = w.rows) AS whole
      FROM whole w LEFT JOIN seen s ON s.batch = w.batch AND s.source = '$source' GROUP BY w.batch) b
SQL
	return;
}

produce_lines($broker, 'spread', 0, map { qq({"id": $_}) } 1 .. 30000);
sql(q{SELECT txpipe.create_stream('spread', 'shop', 'spread', 'spread', options => '{"batch_rows": 300}')});
watch('spread', 'batch', 30000);
is(sql('SELECT sum(rows), count(*) >= 100 FROM whole'), '30000|t', 'what is idle is whole');

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

# --- the warehouse: dimensions on every server, facts shared out ---

use_node($node);
use_database('postgres', $node->basedir . '/dirs');
sql('SET client_min_messages = error; SELECT txpipe.create_warehouse()');    # Citus warns of what it does not share out
is(sql(q{SELECT citus_table_type, string_agg(table_name::text, ' ' ORDER BY table_name::text) FROM citus_tables
	WHERE table_name::text LIKE 'dwh.%' AND table_name::text !~ '_\d+$' GROUP BY 1 ORDER BY 1}), <<'TABLES' =~ s/\n\z//r, 'what is where');
distributed|dwh.fact_sales
reference|dwh.dim_branch dwh.dim_customer dwh.dim_date dwh.dim_location dwh.dim_offer dwh.dim_product dwh.dim_sales_agent
TABLES

sub is_sound
{
	my ($when, @groups) = @_;

	same_lines(facts(), totals(@groups), "$when its reports are those of its files");
	is(sql('SELECT string_agg(concat_ws($$: $$, item, detail), $$, $$) FROM txpipe.check_warehouse() WHERE NOT ok'), '', '... and it is sound');
	return;
}

my @groups = make_groups(4, '--rows', 500, '--seed', 138, '--dirty', 10);
foreach my $group (1, 3, 4, 2)
{
	deliver($groups[ $group - 1 ], "group$group");
	run_hourly();
}
is_sound('loaded in another order', @groups);
like(rows_by_worker('dwh.fact_sales'), qr/^[1-9]\d* [1-9]\d*$/, 'the facts are on both workers');
is($node{east}->safe_psql('postgres', 'SELECT count(*) FROM dwh.dim_customer'), sql('SELECT count(*) FROM dwh.dim_customer'), 'the dimensions on each');
like(sql('EXPLAIN SELECT p.product_category, sum(f.total_paid) FROM dwh.fact_sales f JOIN dwh.dim_product p USING (product_key) GROUP BY 1'),
	qr/Task Count: 8(?!.*Distributed Subplan)/s, 'where they are joined');

my $files = q{SELECT file_id FROM txpipe.file WHERE state LIKE 'loaded%' AND group_key LIKE 'group%' ORDER BY group_key, feed DESC};
foreach my $file (split /\n/, sql($files))
{
	sql("SELECT txpipe.unload($file)");
	sql("SELECT txpipe.reload($file)");
}
is_sound('with each file taken back and loaded again', @groups);
my @gone;
while (my ($file) = split /\n/, sql($files))
{
	sql("SELECT txpipe.unload($file)");
	push @gone, $file;
}
is(sql('SELECT (SELECT count(*) FROM dwh.fact_sales), (SELECT count(*) FROM dwh.rollup_total), (SELECT count(*) FROM dwh.sale_key)'), '0|0|0',
	'without its files it is empty');
sql("SELECT txpipe.reload($_)") foreach @gone;
is_sound('with all of them back', @groups);

push @groups, make_groups(1, '--rows', 8000, '--seed', 138, '--first', 5);
deliver($groups[4], 'group5');
run_hourly();
is_sound('with a file of many sales', @groups);
sql('UPDATE dwh.rollup_total_base SET units = units + 1; DELETE FROM dwh.rollup_online_city_base; SELECT txpipe.repair_rollups()');
is_sound('repaired', @groups);

# How long readers see a part of a load. The reports read sums, which are whole at any time.
my $before = sql('SELECT count(*) FROM dwh.fact_sales');
my @many = make_groups(20, '--rows', 300, '--seed', 138, '--first', 10, '--dirty', 0);
deliver($many[$_], 'group' . (10 + $_)) foreach 0 .. $#many;
push @groups, @many;
my ($wanted) = totals(@groups) =~ /^total\trows\t(\d+)$/m;
my $run = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', 'SET txpipe.groups_per_transaction = 1', '-c', 'CALL txpipe.run_hourly()' ]);
watch('dwh.fact_sales', 'file_id', $wanted);
$run->finish;
is_sound('after loads that others looked at', @groups);

# Sales that are streamed, and then in a file: three, of which it brings two and another one.
my $money = q{SELECT source, count(*), sum(total_paid) FROM dwh.sales WHERE transaction_id LIKE 'live%' GROUP BY 1 ORDER BY 1};
sql(q{SELECT txpipe.create_live_sales('shop', 'live')});
produce_lines($broker, 'live', 0, map { sprintf '{"transaction_id": "live%d", "transaction_date": "2023-05-%02d", "customer_id": 7, "product_id": 3,'
	  . ' "units": %1$d, "unit_price": "9.99", "sales_agent_id": 1, "branch_id": 1}', $_, $_ } 1 .. 3);
wait_for_offset($node, 'live_sales', 3);
is(sql($money), 'speed|3|59.9400', 'streamed sales are in the view');
land_sales('group40', map { "2023-05-0$_,live$_,7,,,,1,1,3,,,,,,,,$_,9.99,no,," } 2 .. 4);
run_hourly();
is(sql($money), "batch|3|89.9100\nspeed|1|9.9900", 'those of a file take their place');

$node->stop;
$node{$_}->stop foreach qw(east west);
done_testing();
