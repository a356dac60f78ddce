# txpipe.dashboard_interval: a worker writes the page again and again, with the rights of the owner of dwh, read-only, and
# never for long; it stays for that where there is no stream, and leaves when it is told to.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $node = new_node('interval');
my $file = $node->basedir . '/dirs/export/dashboard.html';
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%' AND datname = 'pages'};

# --- helpers ---

sub sql
{
	return $node->safe_psql('pages', $_[0]);
}

# Until the page that is there matches; it must be whole whenever it is there.
sub wait_for_page
{
	my ($pattern, $what) = @_;
	my $torn = 0;

	wait_until($what, sub {
		return 0 unless -e $file;
		my $page = slurp_file($file);
		$torn++ unless $page =~ m{\A<!DOCTYPE html>.*</html>\n\z}s;
		return $page =~ $pattern;
	});
	is($torn, 0, $what);
	return;
}

sub wait_for_log
{
	my ($pattern, $what) = @_;

	wait_until($what, sub { slurp_file($node->logfile) =~ $pattern });
	pass($what);
	return;
}

sub count_in_log
{
	my ($pattern) = @_;

	return scalar(() = slurp_file($node->logfile) =~ /$pattern/g);
}

# --- a database without streams ---

start_node($node);
$node->safe_psql('postgres', q{CREATE DATABASE pages});
sql('CREATE EXTENSION txpipe');
$node->safe_psql('postgres', q{CREATE ROLE merchant; GRANT CREATE ON DATABASE pages TO merchant});
is(error_of($node, 'SET ROLE merchant; SET txpipe.dashboard_interval = 1000')->{state}, '42501', 'the setting is for superusers');
$node->safe_psql('postgres', q{ALTER DATABASE pages SET txpipe.dashboard_interval = '1s'; SELECT pg_reload_conf()});
wait_for_page(qr/Start here/, 'the page of an empty installation is written');
like(slurp_file($file), qr{<meta http-equiv="refresh" content="1"/>}, 'it reloads itself as often');
unlike($node->safe_psql('postgres', 'SELECT txpipe.dashboard()'), qr/http-equiv="refresh"/, '... where the setting is on');
is(sql($workers), '1', 'one worker is there for it');
sql(q{CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '127.0.0.1:1'); CREATE TABLE t (a text);
	SELECT txpipe.create_stream('orders', 'shop', 't', 't', paused => true)});
wait_for_page(qr{<bdi>orders</bdi>}, 'a change is on the page soon');

# --- whose rights ---

# All that the page reads of dwh comes from a function that its owner wrote.
$node->safe_psql('pages', <<'SQL');
SET ROLE merchant;
CREATE SCHEMA dwh;
CREATE FUNCTION dwh.spy() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RAISE LOG 'the page is read by %, path %', current_user, current_setting('search_path');
	BEGIN
		SET ROLE postgres;
		RAISE LOG 'escaped to %', current_user;
	EXCEPTION WHEN OTHERS THEN
		RAISE LOG 'role: %', SQLERRM;
	END;
	BEGIN
		CREATE TABLE dwh.loot (a integer);
		RAISE LOG 'escaped by writing';
	EXCEPTION WHEN OTHERS THEN
		RAISE LOG 'write: %', SQLERRM;
	END;
	PERFORM set_config('lock_timeout', '77', false), pg_advisory_lock(4711);
	RETURN true;
END $$;
CREATE VIEW dwh.fact_sales AS SELECT 1 AS a;
CREATE VIEW dwh.rollup_total AS SELECT 'day'::text AS grain, date '2024-05-05' AS period, 1::bigint AS sales, 2::bigint AS units,
	3.0 AS gross_amount, 3.0 AS total_paid WHERE dwh.spy();
CREATE VIEW dwh.rollup_product_offer AS SELECT 'day'::text AS grain, date '2024-05-05' AS period, 1 AS product_key, 1 AS offer_key,
	0 AS discount_pct, 1::bigint AS sales, 2::bigint AS units, 3.0 AS gross_amount, 3.0 AS total_paid;
CREATE VIEW dwh.rollup_online_city AS SELECT 'day'::text AS grain, date '2024-05-05' AS period, 1 AS location_key, 1::bigint AS sales,
	2::bigint AS units, 3.0 AS gross_amount, 3.0 AS total_paid;
CREATE VIEW dwh.dim_product AS SELECT 1 AS product_key, 1::bigint AS product_id, 'Socks'::text AS product_name;
CREATE VIEW dwh.dim_offer AS SELECT 1 AS offer_key, 'offer_1'::text AS offer_code;
CREATE VIEW dwh.dim_location AS SELECT 1 AS location_key, 'Rome'::text AS city, 'NY'::text AS state;
SQL
wait_for_page(qr{<bdi>Socks</bdi>}, 'with a warehouse sales are on the page');
unlike(slurp_file($file), qr{<bdi>orders</bdi>}, '... which shows no stream its owner may not see');
my $log = slurp_file($node->logfile);
like($log, qr/the page is read by merchant, path pg_catalog, pg_temp/, 'what stands in dwh runs as its owner');
unlike($log, qr/the page is read by (?!merchant)/, '... and as nobody else');
like($log, qr/role: .*security-definer/, '... who cannot become another');
like($log, qr/write: .*read-only transaction/, '... and can write nothing');
unlike($log, qr/escaped/, '... in no way');
is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()}), '0', 'what he leaves in the session is taken away');

# --- a page that takes too long ---

sql(q{CREATE OR REPLACE FUNCTION dwh.spy() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN LOOP NULL; END LOOP; END $$});
wait_for_log(qr/txpipe could not write the dashboard: canceling statement due to statement timeout/, 'a page that takes too long is given up');
wait_for($node, $workers, 'the worker lives on', value => 1);
my $before = slurp_file($file);
like($before, qr{<bdi>Socks</bdi>}, 'the last page stays');
is(count_in_log(qr/could not write the dashboard/), 1, 'that is logged once');

# --- the end of it ---

sql('DROP EXTENSION txpipe CASCADE');
wait_for($node, $workers, 'without the extension there is no worker', value => 0);
sql('DROP SCHEMA dwh CASCADE; CREATE EXTENSION txpipe');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
wait_for_page(qr/Start here/, 'with the extension there is a page again');
is($node->psql('postgres', 'ALTER DATABASE pages RENAME TO others'), 0, 'the database can be renamed meanwhile');
is($node->psql('postgres', 'ALTER DATABASE others RENAME TO pages'), 0, '... and back');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
wait_for($node, $workers, 'the worker comes back', value => 1);
$node->safe_psql('postgres', 'ALTER DATABASE pages RESET txpipe.dashboard_interval');
wait_for($node, $workers, 'without the setting it leaves', value => 0);
is($node->psql('postgres', 'DROP DATABASE pages'), 0, 'the database can be dropped');

log_is_clean($node, qr/permission denied to set parameter/);
$node->stop;
done_testing();
