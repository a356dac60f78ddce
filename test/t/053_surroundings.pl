# What stands around the tables: default privileges, row security, rights on types, and settings of caller, role and database.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeRetail ();
use TxpipeTest;

my $broker = start_broker('inferred:1', 'typed:1');
my $node   = files_node('surroundings');

sub retail { return TxpipeRetail::sql($_[0]) }

# Everything of PUBLIC that new tables, sequences, functions, types and schemas have in these schemas.
sub public_rights
{
	my ($schemas) = @_;

	return qq{SELECT string_agg(x.name || ' ' || a.privilege_type, ', ' ORDER BY x.name COLLATE "C", a.privilege_type COLLATE "C") FROM (
		SELECT n.nspname::text, n.nspacl FROM pg_namespace n WHERE n.nspname IN ($schemas)
		UNION ALL SELECT c.oid::regclass::text, c.relacl FROM pg_class c WHERE c.relnamespace::regnamespace::text IN ($schemas)
		UNION ALL SELECT p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc p WHERE p.pronamespace::regnamespace::text IN ($schemas)
	) AS x (name, acl), aclexplode(x.acl) a WHERE a.grantee = 0};
}

# --- default privileges that give everything to everybody open nothing of the extension and the warehouse ---

sql(q{CREATE DATABASE plain; CREATE DATABASE open});
foreach my $db ('plain', 'open')
{
	$node->safe_psql($db, join ';', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO PUBLIC" } qw(TABLES SEQUENCES FUNCTIONS SCHEMAS)) if $db eq 'open';
	$node->safe_psql($db, 'CREATE EXTENSION txpipe; SELECT txpipe.create_warehouse()');
}
is($node->safe_psql('open', public_rights("'txpipe', 'dwh'")), $node->safe_psql('plain', public_rights("'txpipe', 'dwh'")),
	'default privileges for PUBLIC change nothing of what it has in txpipe and dwh');

# --- the same load and the same reports under settings of database and role that change what SQL means ---

my $retail = TxpipeRetail::retail_node('settings', conf => "shared_preload_libraries = 'txpipe'\nmax_worker_processes = 24\n");
my @results;
foreach my $db ('usual', 'odd')
{
	$retail->safe_psql('postgres', "CREATE DATABASE $db");
	if ($db eq 'odd')
	{
		$retail->safe_psql('postgres', join ';', map { "ALTER DATABASE odd SET $_" } 'search_path = trap, pg_temp, pg_catalog',
			"DateStyle = 'SQL, DMY'", 'IntervalStyle = sql_standard', 'bytea_output = escape', 'extra_float_digits = -3', "TimeZone = 'Asia/Kathmandu'",
			'quote_all_identifiers = on', 'transform_null_equals = on', 'array_nulls = off', 'row_security = off', 'xmloption = document', 'client_encoding = latin1',
			"default_transaction_isolation = 'serializable'", 'default_text_search_config = simple', "lc_numeric = 'C'", 'escape_string_warning = off');
		$retail->safe_psql('postgres', q{ALTER ROLE postgres IN DATABASE odd SET statement_timeout = '10 min'; ALTER ROLE postgres IN DATABASE odd SET plpgsql.variable_conflict = use_column});
		$retail->safe_psql($db, q{CREATE SCHEMA trap; CREATE FUNCTION trap.lower(text) RETURNS text LANGUAGE sql AS 'SELECT 1/0::text';
			CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz'; CREATE TABLE trap.batch (id int); CREATE TABLE trap.fact_sales (id int)} =~ s{1/0::text}{NULL::text}r);
	}
	$retail->safe_psql('postgres', 'ALTER DATABASE odd SET standard_conforming_strings = off') if $db eq 'odd';
	$retail->safe_psql($db, 'CREATE EXTENSION txpipe; SELECT txpipe.create_warehouse()');
	TxpipeRetail::use_database($db);
	TxpipeRetail::land_sales("group1", map { "2024-01-0$_,T$_,$_,Ann,O'Neil\\n,ann\@x.com,1,1,3,La\\\\mp,Home,,yes,,,,2,10.50,yes,Card,1 Main Street/Boston/MA/02101" } 1 .. 9);
	TxpipeRetail::run_hourly();
	push @results, TxpipeRetail::facts() . retail(q{SET search_path = pg_catalog; SET DateStyle = ISO; SELECT string_agg(concat_ws(' ', f.transaction_id, f.transaction_date, p.product_name, c.last_name, f.total_paid), '; ' ORDER BY f.transaction_id)
		FROM dwh.fact_sales f JOIN dwh.dim_product p USING (product_key) JOIN dwh.dim_customer c USING (customer_key)})
	  . retail('SELECT count(*) FROM txpipe.check_warehouse() WHERE NOT ok') . retail('SELECT count(*) FROM txpipe.rejected_row')
	  . retail(q{SELECT sum(length(p.prosrc) - length(replace(p.prosrc, chr(92), ''))) FROM pg_proc p WHERE p.pronamespace = 'dwh'::regnamespace})
	  . retail(q{SELECT sum(length(description) - length(replace(description, chr(92), ''))) FROM pg_description WHERE objoid::regclass::text ~ 'txpipe'});
	isnt(retail('SELECT length(txpipe.dashboard())'), '0', "the dashboard in database $db");
	retail('SELECT txpipe.drop_feed(feed) FROM txpipe.feed_status');
}
isnt($results[0], '', 'there are results');
is($results[1], $results[0], 'settings of database and role change nothing');
is(retail(q{SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a WHERE relnamespace = 'dwh'::regnamespace AND a.grantee = 0}), '0', 'months are not open either');

# --- times without a zone are of the database's, not of the caller's, where the caller is not the owner ---

sql(q{CREATE ROLE clerk; CREATE ROLE runner; GRANT USAGE ON SCHEMA txpipe TO clerk, runner; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO clerk, runner;
	CREATE SCHEMA mine AUTHORIZATION clerk; SET ROLE clerk; CREATE TABLE mine.times (id int, at timestamptz); SELECT txpipe.create_feed('times', 'times_(.*)\.csv', 'mine.times')});
deliver('times_1.csv', "id,at\n1,2024-01-01 12:00\n");
$node->safe_psql('postgres', q{SET ROLE runner; SET txpipe.input_time_zone = 'Asia/Tokyo'; CALL txpipe.run_hourly()});
deliver('times_2.csv', "id,at\n2,2024-01-01 12:00\n");
$node->safe_psql('postgres', q{SET ROLE clerk; SET txpipe.input_time_zone = 'Asia/Tokyo'; CALL txpipe.run_hourly()});
sql(q{ALTER DATABASE postgres SET txpipe.input_time_zone = 'Europe/Berlin'; ALTER ROLE runner SET txpipe.input_time_zone = 'Asia/Tokyo'});
deliver('times_3.csv', "id,at\n3,2024-01-01 12:00\n");
$node->safe_psql('postgres', q{SET ROLE runner; SET txpipe.input_time_zone = 'Asia/Tokyo'; CALL txpipe.run_hourly()});
sql('ALTER DATABASE postgres RESET txpipe.input_time_zone');
is(sql(q{SELECT string_agg(id || ' ' || to_char(at, 'HH24'), ', ' ORDER BY id) FROM mine.times}), '1 12, 2 03, 3 11', 'an operator does not shift them, the owner may');

# What a session does not hear of because it has a value of its own, or only tried.
my $masked = $node->background_psql('postgres', extra_params => [ '-v', 'ON_ERROR_STOP=1' ], on_error_die => 1);
my $file   = 3;
$masked->query_safe(q{SET client_min_messages = warning; SET ROLE runner; SET txpipe.input_time_zone = 'Asia/Tokyo'});

sub hour_of
{
	deliver('times_' . ++$file . '.csv', "id,at\n$file,2024-01-01 12:00\n");
	$masked->query_safe('CALL txpipe.run_hourly()');
	return sql("SELECT to_char(at, 'HH24') FROM mine.times WHERE id = $file");
}

is(hour_of(), '12', 'a value of the database that is taken away counts no more in a session that lives on');
sql(q{ALTER SYSTEM SET txpipe.input_time_zone = 'America/New_York'});
$node->reload;
wait_until('the zone of the server counts', sub { my $hour = hour_of(); note "hour: $hour"; $hour eq '17' });
sql(q{ALTER ROLE ALL SET txpipe.input_time_zone = 'Asia/Kolkata'});
is(hour_of(), '06', '... of all roles');
sql(q{ALTER DATABASE postgres SET txpipe.input_time_zone = 'Europe/Berlin'});
is(hour_of(), '11', '... of the database before that');
sql('ALTER DATABASE postgres RESET ALL; ALTER ROLE ALL RESET ALL');
$masked->query_safe(q{RESET ROLE; ALTER SYSTEM SET txpipe.input_time_zone = 'Asia/Kathmandu'; SELECT count(*) FROM pg_file_settings});
$masked->query_safe('SET ROLE runner');
is(hour_of(), '17', 'a value that is only tried does not count');
sql('ALTER SYSTEM RESET txpipe.input_time_zone');
$node->reload;
wait_until('the zone of the server is gone', sub { my $hour = hour_of(); note "hour: $hour"; $hour eq '12' });
$masked->quit;
sql(q{DROP SCHEMA mine CASCADE; SELECT txpipe.drop_feed('times')});

# --- row security that applies to the owner: he loads nothing, rather than something else ---

sql('GRANT CREATE ON DATABASE postgres TO clerk');
sql(q{SET ROLE clerk; SET client_min_messages = error; SELECT txpipe.create_warehouse(); CREATE SCHEMA mine; CREATE TABLE mine.items (id int);
	ALTER TABLE mine.items ENABLE ROW LEVEL SECURITY; ALTER TABLE mine.items FORCE ROW LEVEL SECURITY; CREATE POLICY p ON mine.items USING (false) WITH CHECK (true)});
is(error_of($node, q{SET ROLE clerk; SELECT txpipe.create_feed('items', 'items_(.*)\.csv', 'mine.items')})->{state}, '0A000', 'a feed does not take such a target');
my $sale = "2024-01-01,T1,1,Ann,Lee,ann\@x.com,1,1,3,Lamp,Home,,,,,,2,10.50,yes,Card,1 Main Street/Boston/MA/02101";
my $head = 'transaction_date,transaction_id,customer_id,customer_fname,customer_lname,customer_email,sales_agent_id,branch_id,product_id,product_name,product_category,'
  . 'offer_1,offer_2,offer_3,offer_4,offer_5,units,unit_price,is_online,payment_method,shipping_address';
my $n = 0;
foreach my $table (qw(dim_product dim_customer dim_offer dim_location sale_key fact_sales dim_branch dim_sales_agent source_file rollup_delta))
{
	my $group = 'group' . ++$n;

	sql("ALTER TABLE dwh.$table ENABLE ROW LEVEL SECURITY; ALTER TABLE dwh.$table FORCE ROW LEVEL SECURITY; CREATE POLICY p ON dwh.$table USING (false) WITH CHECK (true)");
	deliver("$group/branches_1.csv", "branch_id,location,establish_date,class\n$n,Town,2001-01-01,A\n");
	deliver("$group/sales_agents_1.csv", "sales_person_id,name,hire_date\n$n,Agent $n,2001-01-01\n");
	deliver("$group/sales_transactions_1.csv", "$head\n" . $sale =~ s/T1/T$n/r . "\n");
	my $said = run_hourly();
	like($said, qr/group "$group" of "retail" was not loaded.*(?:would be affected by row-level security policy|violates row-level security policy).*\[42501\]/,
		"$table with row security: the load fails");
	is(sql("SELECT count(*) FROM dwh.fact_sales WHERE transaction_id = 'T$n'"), '0', '... as a whole');
	sql("ALTER TABLE dwh.$table NO FORCE ROW LEVEL SECURITY; ALTER TABLE dwh.$table DISABLE ROW LEVEL SECURITY; DROP POLICY p ON dwh.$table");
	sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
	run_hourly();
	is(sql("SELECT count(*) FROM dwh.fact_sales WHERE transaction_id = 'T$n'"), '1', '... and succeeds without');
	is(sql(q{SELECT string_agg(to_jsonb(c)::text, ',') FROM txpipe.check_warehouse() c WHERE NOT ok} =~ s/^/SET ROLE clerk; /r), '', '... and all agrees');
}

$node->stop;
$retail->stop;
stop_broker($broker);
done_testing();
