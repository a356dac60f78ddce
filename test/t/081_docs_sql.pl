# Every SQL statement of README.md and docs/*.md runs, in the order of its document, against what the document talks of.
#
# A statement is what begins with a keyword in a fenced block of SQL or an indented block, up to its semicolon; what the blocks
# show of its output is passed over. Each document has a database "shop" of its own; README, which is for newcomers, begins in
# an empty one. When a statement fails here, the document is wrong, or what it takes for granted is missing in @prepared.
use strict;
use warnings;

use File::Basename qw(basename);
use PostgreSQL::Test::Utils;
use Test::More;

use lib 't';
use TxpipeRegistry;
use TxpipeTest;

# --- what cannot run here, and why ---

my @left_out = (
	[ 'feeds.md', qr/FROM …/ => 'the end of a step, whose relation is the reader\'s' ],
	[ 'objects.md', qr/CALL txpipe.mirror/ => 'an object store' ],
	[ 'scaling.md', qr/'visits', 'shop'/ => 'a server with Citus' ],
);

# --- what documents take for granted ---

# Before the first statement of the document that matches: SQL, or code. An empty pattern: before its first.
my @prepared = (
	[ 'README.md', qr/CREATE TABLE app_log/ => sub { produce_events() } ],
	[ 'README.md', qr/run_hourly/ => sub { deliver_groups() } ],
	[ 'feeds.md', qr// => sub { orders_and_sales_feeds() } ],
	[ 'feeds.md', qr/create_feed\('stock'/ => 'CREATE TABLE stock_level (sku text, branch text, pieces integer)' ],
	[ 'live.md', qr// => sub { kafka_server($main::node, 'shop', $main::broker, 'shop') } ],
	[ 'live.md', qr/create_live_sales/ => sub { warehouse() } ],
	[ 'live.md', qr/create_window\('events_10_min'/ => "CREATE TABLE app_log (at timestamptz, event_type text, customer_id text, total_amount numeric(10,2));
		SELECT txpipe.create_stream('app_log', 'shop', 'app_logs', 'app_log', paused => true)" ],
	[ 'live.md', qr/create_app_log_analytics/ => "SELECT txpipe.drop_window('events_10_min', true), txpipe.drop_stream('app_log'); DROP TABLE app_log" ],
	[ 'live.md', qr/pseudonym_key_file/ => sub { append_to_file($main::key_file, '00112233'); chmod 0600, $main::key_file } ],
	[ 'live.md', qr/hmac\(/ => 'CREATE EXTENSION pgcrypto' ],
	[ 'operations.md', qr// => sub { kafka_server($main::node, 'shop', $main::broker, 'shop') } ],
	[ 'parquet.md', qr// => sub { warehouse() } ],
	[ 'parquet.md', qr/alter_stream\('orders'/ => sub { kafka_server($main::node, 'shop', $main::broker, 'shop');
		$main::node->safe_psql('shop', q{CREATE TABLE orders (id bigint); SELECT txpipe.create_stream('orders', 'shop', 'orders', 'orders', paused => true)}) } ],
	[ 'reports.md', qr// => sub { warehouse() } ],
	[ 'scaling.md', qr// => sub { clicks() } ],
	[ 'scaling.md', qr/release_partition/ => sub { wait_for_offset($main::node, 'clicks', 120, db => 'shop') } ],
	[ 'security.md', qr// => 'CREATE ROLE loader' ],
	[ 'security.md', qr/encryption_key_file/ => sub { append_to_file($main::key_file, '0123456789abcdef' x 4) ; chmod 0600, $main::key_file } ],
	[ 'serving.md', qr// => sub { warehouse() } ],
	[ 'serving.md', qr/grant_reader/ => 'CREATE ROLE analyst; CREATE ROLE crm; CREATE ROLE oncall' ],
	[ 'streams.md', qr// => sub { produce_orders() } ],
	[ 'streams.md', qr/create_stream\('orders', 'shop', 'orders'\)/ => 'DROP TABLE orders' ],
	[ 'streams.md', qr/create_stream\('payments'/ => sub { payments() } ],
	[ 'streams.md', qr/create_stream\('stock'/ => 'CREATE TABLE stock (sku text PRIMARY KEY, units integer)' ],
	[ 'streams.md', qr/'orders_avro'/ => sub { schema_of_orders() } ],
	[ 'streams.md', qr/create_stream\('accounts'/ => 'CREATE TABLE accounts (id bigint PRIMARY KEY, owner text, balance numeric, lsn bigint)' ],
	[ 'streams.md', qr/create_stream\('receipt_lines'/ => 'CREATE TABLE receipt_lines (receipt_id bigint, line integer, sku text, tag text)' ],
	[ 'streams.md', qr/create_stream\('paid'/ => 'CREATE TABLE paid (event_id text, order_id bigint, amount numeric)' ],
	[ 'streams.md', qr/create_stream\('parcels'/ => 'CREATE TABLE parcels (id bigint, sent_at timestamptz)' ],
	[ 'streams.md', qr/create_stream\('readings'/ => 'CREATE TABLE readings (sensor text, value double precision, unit text)' ],
	[ 'streams.md', qr/create_stream\('customers'/ => 'CREATE TABLE customers (customer_id bigint PRIMARY KEY, email text)' ],
	[ 'streams.md', qr/create_stream\('members'/ => 'CREATE TABLE members (member_id bigint PRIMARY KEY, name text, changed_at timestamptz)' ],
	[ 'streams.md', qr/create_stream\('prices'/ => 'CREATE TABLE prices (product_id text PRIMARY KEY, price numeric(10,2))' ],
	[ 'streams.md', qr/FROM txpipe.dead_letter/ => sub { dead_letters_of_sales() } ],
	[ 'warehouse.md', qr// => sub { warehouse() } ],
);

# --- what some of them show ---

my @shown = (
	[ 'feeds.md', qr/replay_rejected_rows\(42, ARRAY\[7\], 'T-17/ => qr/^1\|0\|1$/ ],
	[ 'feeds.md', qr/dismiss_rejected_rows/ => qr/^1$/ ],
	[ 'reports.md', qr/sales_trend/ => qr/^2023-01-01\|\d/ ],
	[ 'scaling.md', qr/release_partition/ => qr/^120$/ ],
	[ 'serving.md', qr/txpipe.metrics\(\)/ => qr/^# HELP txpipe_/ ],
	[ 'streams.md', qr/test_stream/ => qr/\|bad_value\|.*\n.*\|bad_json\|/ ],
	[ 'streams.md', qr/codes => '\{23514\}'\);/ => qr/^1\|0\|1$/ ],
	[ 'streams.md', qr/ids => '\{4711\}'/ => qr/^1\|0\|0$/ ],
	[ 'warehouse.md', qr/check_warehouse/ => qr/^$/ ],
);

my $keyword = qr/(?:SELECT|WITH|VALUES|TABLE|CALL|INSERT|UPDATE|DELETE|MERGE|CREATE|ALTER|DROP|GRANT|REVOKE|SET|RESET|COMMENT|BEGIN|COMMIT|ROLLBACK|TRUNCATE|REASSIGN|LOAD)\b/;
my $tree = $ENV{TXPIPE_TREE} // '.';

my $registry;
our $broker = start_broker(map { "$_:1" } qw(app_logs orders customers members prices sales live_sales readings transactions payments shipments orders_avro sensors alerts notes accounts receipts events parcels stock deliveries returns clicks));
our $key_file = PostgreSQL::Test::Utils::tempdir() . '/pseudonym.key';
our $node   = new_node('docs_sql', conf => "${CRON_CONF}txpipe.settle_time = 0\n");
$node->start;

my $statements = 0;
for my $path ("$tree/README.md", glob "$tree/docs/*.md")
{
	my @found = statements_of($path);

	$statements += @found;
	run_document(basename($path), @found) if @found;
}
cmp_ok($statements, '>=', 60, 'the documents have statements');

log_is_clean($node);
done_testing();

# --- documents ---

# The statements of a document: {line}, {text}.
sub statements_of
{
	my ($path) = @_;
	my ($fence, $before, @found) = ('', 'blank');
	my $line = 0;

	for (split /\n/, slurp_file($path))
	{
		$line++;
		if (/^\s*```(\w*)/)
		{
			$fence = $fence eq '' ? $1 || 'text' : '';
			next;
		}
		my $is_code = $fence eq 'sql' || $fence eq '' && /^ {4,}\S/ && $before ne 'prose';
		$before = /^\s*$/ ? 'blank' : $is_code ? 'code' : 'prose';
		next unless $is_code;
		push @found, { line => $line, text => '' } if (@found == 0 || $found[-1]{done}) && s/^\s*(?:\w+=[>#] )?(?=$keyword)//;
		next if @found == 0 || $found[-1]{done};
		$found[-1]{text} .= "$_\n";
		$found[-1]{done} = /;\s*(?:--.*)?$/;
	}
	return @found;
}

sub run_document
{
	my ($document, @found) = @_;
	my $database = $document eq 'README.md' ? 'postgres' : 'shop';
	my @to_come  = grep { $_->[0] eq $document } @prepared;

	$node->safe_psql('postgres', 'CREATE DATABASE shop');
	$node->safe_psql('shop', 'CREATE EXTENSION txpipe') if $database eq 'shop';
	for my $statement (@found)
	{
		my ($first) = $statement->{text} =~ /^(.*?)\s*(?:--.*)?$/m;
		my $name = "$document:$statement->{line}: " . substr($first, 0, 70);

		while (my ($i) = grep { $statement->{text} =~ $to_come[$_][1] } 0 .. $#to_come)
		{
			my ($step) = map { $_->[2] } splice @to_come, $i, 1;
			eval { ref $step ? $step->() : $node->safe_psql($database, $step); 1 } or ok(0, "$name is prepared") || diag($@);
		}
		run_statement($database, $document, $name, $statement);
	}
	is(join(' ', map { $_->[1] } @to_come), '', "$document has all that is prepared for it");
	check_readme() if $document eq 'README.md';
	# A job of this one would find the next one's database, without the extension at first.
	$node->safe_psql('postgres', q{SELECT cron.unschedule(jobid) FROM cron.job WHERE database = 'shop'})
	  if $node->safe_psql('postgres', q{SELECT to_regclass('cron.job') IS NOT NULL}) eq 't';
	$node->safe_psql('postgres', 'DROP DATABASE shop');
	return;
}

sub run_statement
{
	my ($database, $document, $name, $statement) = @_;
	my $sql = $statement->{text};
	my ($reason) = map { $_->[2] } grep { $_->[0] eq $document && $sql =~ $_->[1] } @left_out;
	my ($out, $err);

  SKIP:
	{
		skip "$name: $reason", 1 if defined $reason;
		ok(0, "$name has an end") or return unless $statement->{done};
		# The broker of the examples listens where this one does.
		$sql =~ s/localhost:9092/$broker->{servers}/g;
		$sql =~ s{/etc/txpipe/(?:pseudonym|encryption)\.key}{$key_file}g;
		my $status = $node->psql($database, $sql, stdout => \$out, stderr => \$err, on_error_stop => 1);
		is($status, 0, $name) or diag($err);
		like($out, $_->[2], "$name: what it shows") for grep { $_->[0] eq $document && $sql =~ $_->[1] } @shown;
	}
	return;
}

# The first pipeline of a newcomer has done what README says.
sub check_readme
{
	is($node->safe_psql('postgres', 'SELECT item FROM txpipe.check_setup() WHERE NOT ok'), '', 'README.md: nothing is missing');
	wait_for($node, 'SELECT count(*) FROM app_log', 'the topic is in the table', value => 20);
	is($node->safe_psql('postgres', 'SELECT count(*) >= 5 FROM txpipe.top_products(top_n => 5)'), 't', 'README.md: the files are in the warehouse');
	is($node->safe_psql('postgres', "SELECT count(*) FROM cron.job WHERE jobname LIKE 'txpipe%'"), 5, 'README.md: the jobs are there');
	return;
}

# --- what is prepared ---

sub schema_of_orders
{
	my $fields = join ', ', map { qq({"name": "$_", "type": ["null", "double"]}) } qw(order_id total);

	register_schema($registry, 'subjects/orders_avro-value/versions/latest', qq({"type": "record", "name": "orders", "fields": [$fields]}), id => 3);
	return;
}

# Messages of the formats avro and protobuf, and their schemas in a registry that asks for no log-in.
sub payments
{
	$registry = start_registry();

	register_schema($registry, 1, '{"type": "record", "name": "payment", "fields": [{"name": "id", "type": "long"}]}');
	register_schema($registry, 2, 'syntax = "proto3"; message Shipment { int64 id = 1; }', schemaType => 'PROTOBUF');
	produce_bytes($broker, 'payments', wire(1, avro_long(7)));
	produce_bytes($broker, 'returns', wire(1, avro_long(7)));
	produce_bytes($broker, 'shipments', wire(2, "\0" . pb_number(1, 7)));
	$node->safe_psql('shop', "ALTER SERVER shop OPTIONS (SET schema_registry_url '$registry->{url}'); DROP USER MAPPING FOR CURRENT_USER SERVER shop");
	return;
}

sub produce_events
{
	produce_lines($broker, 'app_logs', 0,
		map { qq({"eventType": "productView", "customerId": "1000$_", "productId": "20$_", "timestamp": "2026-01-31T12:00:00", "metadata": {}}) }
		  1 .. 20);
	return;
}

sub produce_orders
{
	kafka_server($node, 'shop', $broker, 'shop');
	produce_lines($broker, 'orders', 0,
		'{"orderId": 1, "customerId": 7, "total": 19.90, "at": "2026-01-31T12:00:00Z", "items": []}',
		'{"orderId": 2, "customerId": "guest", "total": 5.00, "at": "2026-01-31T12:00:01Z", "items": []}',
		'not JSON',
		'{"orderId": 3, "customerId": 9, "total": 7.50, "at": "2026-01-31T12:00:02Z", "items": [], "coupon": null}');
	return;
}

sub clicks
{
	kafka_server($node, 'shop', $broker, 'shop');
	produce_lines($broker, 'clicks', 0, map { "{\"id\": $_, \"at\": \"2026-01-31T12:00:00Z\"}" } 1 .. 120);
	return;
}

# Letters of the codes that are named; the first one, which is no JSON, is number 4711.
sub dead_letters_of_sales
{
	produce_lines($broker, 'sales', 0, '{"id": 2, "units"', '{"id": 1, "units": 0}');
	$node->safe_psql('shop', <<'SQL');
CREATE TABLE sales (id bigint PRIMARY KEY, units integer CHECK (units > 0));
ALTER SEQUENCE txpipe.dead_letter_store_dead_letter_id_seq RESTART 4711;
SELECT txpipe.create_stream('sales', 'shop', 'sales', 'sales');
SQL
	wait_for($node, q{SELECT string_agg(code, ' ' ORDER BY code) FROM txpipe.dead_letter WHERE stream = 'sales'}, 'both letters are there',
		db => 'shop', value => '23514 bad_json');
	$node->safe_psql('shop', 'ALTER TABLE sales DROP CONSTRAINT sales_units_check');
	return;
}

sub land
{
	my ($name, $content) = @_;
	my $path = $node->basedir . "/dirs/landing/$name";

	system_or_bail('mkdir', '-p', dirname_of($path));
	append_to_file($path, $content);
	return;
}

sub dirname_of
{
	return $_[0] =~ s{/[^/]*$}{}r;
}

# File 42 is group7/sales_7.csv, whose lines 7 and 9 cannot be used.
sub orders_and_sales_feeds
{
	land('group7/sales_7.csv', "transaction_id,day,units\n" . join '', map { "T-$_,2025-03-01," . ($_ == 6 || $_ == 8 ? "many\n" : "1\n") } 1 .. 9);
	$node->safe_psql('shop', <<'SQL');
CREATE TABLE orders (id bigint, units integer, branch_id bigint);
CREATE SCHEMA shop CREATE TABLE branch (branch_id bigint);
CREATE TABLE sales (transaction_id text, day date, units integer, file_id bigint);
ALTER SEQUENCE txpipe.file_ledger_file_id_seq RESTART 42;
SELECT txpipe.create_feed('orders', '(g[0-9]+)/orders\.csv', 'orders');
SELECT txpipe.create_feed('sales', '(group[0-9]+)/sales_[0-9]+\.csv', 'sales', after_load => 'keep');
CALL txpipe.run_hourly();
SQL
	is($node->safe_psql('shop', 'SELECT file_id, state, rows_loaded, rows_rejected FROM txpipe.file'), '42|loaded_with_rejects|7|2',
		'file 42 is there');
	return;
}

sub deliver_groups
{
	system_or_bail("$tree/demo/make-files", '--dir', $node->basedir . '/dirs/landing', '--groups', '3', '--rows', '300');
	return;
}

sub warehouse
{
	deliver_groups();
	$node->safe_psql('shop', 'SELECT txpipe.create_warehouse(); CALL txpipe.run_hourly(); SELECT txpipe.take_nightly_report()');
	return;
}
