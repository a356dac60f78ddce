# Access: what readers and operators may see and do, and what they may not; masked columns; and that all of it can be taken back.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest qw(error_of log_is_clean);

my $node = retail_node('access');
fresh_database();

# What a role gets.
sub as
{
	my ($role, $query) = @_;

	return sql("SET ROLE $role; $query");
}

# The SQLSTATE and message a role gets instead.
sub refused
{
	my ($role, $query) = @_;
	my $error = error_of($node, "SET ROLE $role; $query", db => 'retail') // return 'none';

	return "$error->{state} $error->{message}";
}

sql('CREATE ROLE reader; CREATE ROLE operator; CREATE ROLE clerk; CREATE ROLE "odd ""role"; CREATE ROLE stranger');
land_sales(1, '2023-5-20,t1,7,Ada,Byron,ada.byron@gmail.com,1,1,1,Laptop,Electronics,,,,,,2,10.00,no,Cash,',
	'2023-5-20,t2,8,Alan,Turing,alan.turing@gmail.com,,,1,Laptop,Electronics,,True,,,,1,10.00,yes,Cash,1 High St/Boston/MA/02101',
	'2023-5-20,t3,9,Kurt,Goedel,kurt.goedel@gmail.com,1,1,1,Laptop,Electronics,,,,,,many,10.00,no,Cash,');
run_hourly();
sql('SELECT txpipe.take_nightly_report()');

# A stream of somebody else, with a dead letter and a secret.
sql(q{CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
	CREATE USER MAPPING FOR clerk SERVER shop OPTIONS (sasl_username 'clerk', sasl_password 'hush');
	CREATE TABLE events (a text); ALTER TABLE events OWNER TO clerk;
	GRANT USAGE ON SCHEMA txpipe TO clerk; GRANT USAGE ON FOREIGN SERVER shop TO clerk;
	GRANT EXECUTE ON FUNCTION txpipe.create_stream TO clerk});
as('clerk', q{SELECT txpipe.create_stream('events', 'shop', 't', 'events', paused => true)});
sql(q{INSERT INTO txpipe.dead_letter_store (stream_id, kafka_topic, kafka_partition, kafka_offset, payload, code, message)
	SELECT stream_id, 't', 0, 0, 'private', 'bad_json', 'no' FROM txpipe.stream});

# --- without a grant ---

like(refused('reader', 'SELECT * FROM txpipe.top_products()'), qr/^42501 permission denied for schema dwh/, 'a role without a grant reads nothing');

# --- readers ---

sql("SELECT txpipe.grant_reader('reader')");
my @reports = ('top_products()', 'top_offers()', 'top_offers_by_product()', 'lowest_online_cities()', q{b2b_sales('2023-05-20')}, 'sales_trend()',
	'sales_by_category()', 'sales_by_branch()', 'sales_by_payment_method()', 'offer_discounts()', 'basket_value()', 'customer_segments()');
foreach my $report (@reports)
{
	is(as('reader', "SELECT t::text FROM txpipe.$report t ORDER BY 1"), sql("SELECT t::text FROM txpipe.$report t ORDER BY 1"), "a reader gets $report");
}
is(as('reader', q{SELECT customer_id, first_name IS NULL AND last_name IS NULL AND email IS NULL, total_paid FROM txpipe.top_customers()}),
	"7|t|20.0000\n8|t|9.0000", 'top_customers() without names and addresses');
is(as('reader', 'SELECT count(*) FROM txpipe.nightly_report'), '1', 'the snapshots');
is(as('reader', q{SELECT string_agg(feed, ' ' ORDER BY feed) FROM txpipe.feed_status}), 'branches sales_agents sales_transactions', 'the status of feeds');
is(as('reader', 'SELECT count(*) FROM txpipe.file'), '3', '... of files');
is(as('reader', q{SELECT value FROM txpipe.metric WHERE name = 'txpipe_feed_rows_loaded_total' AND labels->>'feed' = 'sales_transactions'}), '2', '... metrics');
like(as('reader', 'SELECT txpipe.dashboard()'), qr/<h2 id="files".*<h2 id="sales"/s, '... the dashboard');
is(as('reader', 'SELECT ok FROM txpipe.health()'), 't', '... health');
is(as('reader', 'SELECT sum(f.total_paid), min(c.customer_id) FROM dwh.fact_sales f JOIN dwh.dim_customer c USING (customer_key)'), '29.0000|7',
	'facts and dimensions');

sub sees_nothing_else
{
	my ($role) = @_;
	my %closed = (
		'names' => 'SELECT first_name FROM dwh.dim_customer', 'last names' => 'SELECT last_name FROM dwh.dim_customer',
		'e-mail addresses' => 'SELECT email FROM dwh.dim_customer', 'streets' => 'SELECT street FROM dwh.fact_sales',
		'postal codes' => 'SELECT postal_code FROM dwh.fact_sales', 'a whole customer' => 'SELECT c FROM dwh.dim_customer c',
		'a partition' => 'SELECT * FROM dwh.' . sql(q{SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' LIMIT 1}),
		'conflicting sales' => 'SELECT * FROM dwh.sale_conflict', 'the ledger itself' => 'SELECT * FROM txpipe.file_ledger',
		'a change of the facts' => 'DELETE FROM dwh.fact_sales', 'a file taken back' => 'SELECT txpipe.unload(1)',
		'an export' => 'SELECT txpipe.export_b2b()', 'grants' => "SELECT txpipe.grant_reader('stranger')",
		'a change of the feed' => q{SELECT txpipe.alter_feed('branches', after_load => 'keep')},
		'a stream dropped' => q{SELECT txpipe.drop_stream('events')},
		'a message sent' => q{SELECT txpipe.produce('shop', 't', 'x')});

	like(refused($role, $closed{$_}), qr/^42501 /, "$role: no $_") foreach sort keys %closed;
	is(as($role, 'SELECT count(*) FROM txpipe.rejected_row'), '0', "$role: no rejected records, which hold names");
	is(as($role, 'SELECT count(*) FROM txpipe.dead_letter'), '0', "$role: no dead letters");
	is(as($role, 'SELECT count(*) FROM pg_user_mappings WHERE umoptions IS NOT NULL'), '0', "$role: no secrets");
	return;
}

sees_nothing_else('reader');
like(refused('reader', 'CALL txpipe.run_hourly()'), qr/^42501 permission denied for procedure/, 'a reader runs nothing');
like(refused('reader', q{SELECT txpipe.pause_stream('events')}), qr/^42501 permission denied for function/, '... and pauses nothing');
is(as('reader', 'SELECT count(*) FROM txpipe.stream_status'), '0', 'a stream is not shown without SELECT on its target');
sql('GRANT SELECT ON events TO reader');
is(as('reader', 'SELECT stream FROM txpipe.stream_status'), 'events', '... and is with it');
is(as('reader', 'SELECT count(*) FROM txpipe.dead_letter'), '0', '... but for its dead letters');

# --- masked or not ---

sql("SELECT txpipe.grant_reader('reader', mask_personal => false)");
is(as('reader', q{SELECT first_name, email FROM txpipe.top_customers() WHERE rank = 1}), 'Ada|ada.byron@gmail.com', 'without the mask names are shown');
is(as('reader', 'SELECT street FROM dwh.fact_sales WHERE street IS NOT NULL'), '1 High St', '... and streets');
sql("SELECT txpipe.grant_reader('reader')");
like(refused('reader', 'SELECT email FROM dwh.dim_customer'), qr/^42501/, 'the mask can be put on again');
my ($stdout, $stderr);
$node->psql('retail', q{GRANT SELECT (email) ON dwh.dim_customer TO PUBLIC; SELECT txpipe.grant_reader('reader')}, stderr => \$stderr);
like($stderr, qr/WARNING:  role reader may still read personal columns\nDETAIL:  dwh\.dim_customer\.email\n/, 'what the mask does not cover is said');
sql('REVOKE SELECT (email) ON dwh.dim_customer FROM PUBLIC');

# --- operators ---

sql("SELECT txpipe.grant_operator('operator')");
sees_nothing_else('operator');
land_sales(2, '2023-5-21,t4,7,Ada,Byron,ada.byron@gmail.com,1,1,1,Laptop,Electronics,,,,,,5,10.00,no,Cash,');
like(refused('operator', 'BEGIN; CALL txpipe.run_hourly()'), qr/^25001 only the owner of the feeds of "retail"/, 'an operator runs no load inside a transaction');
as('operator', 'CALL txpipe.run_hourly()');
is(sql('SELECT count(*), sum(units) FROM dwh.fact_sales'), '3|8', '... and outside of one the load, of feeds that are not his');
is(sql(q{SELECT DISTINCT pg_get_userbyid(relowner) = current_user FROM pg_class WHERE relnamespace = 'dwh'::regnamespace}), 't', '... as their owner');
as('operator', q{SELECT txpipe.resume_stream('events')});
is(sql('SELECT state FROM txpipe.stream'), 'running', 'an operator lets streams of others run');
as('operator', q{SELECT txpipe.pause_stream('events')});
is(sql('SELECT state FROM txpipe.stream'), 'paused', '... and pauses them');
sql('GRANT EXECUTE ON FUNCTION txpipe.alter_stream, txpipe.seek_stream, txpipe.drop_stream, txpipe.replay_dead_letters TO operator');
like(refused('operator', $_), qr/^42501 must be owner of stream "events"/, "... but is not their owner: $_")
  foreach q{SELECT txpipe.alter_stream('events', options => '{}')}, q{SELECT txpipe.seek_stream('events', 'earliest')}, q{SELECT txpipe.drop_stream('events')},
  q{SELECT txpipe.replay_dead_letters('events')};
sql('GRANT EXECUTE ON FUNCTION txpipe.pause_stream TO reader');
like(refused('reader', q{SELECT txpipe.pause_stream('events')}), qr/^42501 must be owner of stream/, 'EXECUTE alone makes no operator');

# --- names, grantors, dumps ---

sql(q{SELECT txpipe.grant_operator('"odd ""role"')});
is(as(q{"odd ""role"}, 'SELECT count(*) FROM txpipe.top_products()'), '1', 'any name of a role');
is(refused('postgres', 'SELECT txpipe.grant_reader(0)'), '42704 a role is needed', 'no role');
sql('GRANT USAGE ON SCHEMA txpipe TO stranger; GRANT EXECUTE ON FUNCTION txpipe.grant_reader, txpipe.check_access TO stranger');
like(refused('stranger', q{SELECT txpipe.grant_reader('stranger')}), qr/^42501 only a member of role "postgres" can grant what it owns/,
	'EXECUTE on grant_reader() gives nobody rights he has not');
my ($dump) = run_command([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-s', 'retail' ]);
like($dump, qr/^GRANT ALL ON FUNCTION txpipe\.operate\(\) TO operator;$/m, 'the right of operators is dumped');
like($dump, qr/^GRANT SELECT\(customer_id\) ON TABLE dwh\.dim_customer TO reader;$/m, '... and so are columns');

# --- why a group failed may quote a row ---

sql(q{SELECT txpipe.grant_reader('reader'); SELECT txpipe.grant_operator('operator');
	CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	RAISE EXCEPTION 'no room for %', NEW.last_name USING ERRCODE = 'out_of_memory', DETAIL = NEW.email,
		HINT = 'look for ' || NEW.last_name; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON dwh.dim_customer FOR EACH ROW EXECUTE FUNCTION public.refuse()});
land_sales(9, '2023-5-20,t9,99,Emmy,Noether,emmy.noether@gmail.com,1,1,1,Laptop,Electronics,,,,,,2,10.00,no,Cash,');
$node->psql('retail', 'SET SESSION AUTHORIZATION operator; CALL txpipe.run_hourly()', stderr => \$stderr);
like($stderr, qr/WARNING:  group "9" of "retail" was not loaded: 53200/, 'an operator is told the SQLSTATE');
unlike($stderr, qr/noether/i, '... and no name');
my $reasons = q{SELECT string_agg(DISTINCT reason, '|') FROM (SELECT reason FROM txpipe.file WHERE state = 'failed'
	UNION ALL SELECT reason FROM txpipe.file_event WHERE state = 'failed') r};
is(as('reader', $reasons), 'SQLSTATE 53200', 'so is a reader');
like(sql($reasons), qr/no room for Noether \(emmy\.noether\@gmail\.com\) \[53200\]/, 'the owner is told all of it');
sql('DROP TRIGGER refuse ON dwh.dim_customer');

# --- and back ---

sql("SELECT txpipe.revoke_access('operator'), txpipe.revoke_access('reader')");
foreach my $role (qw(operator reader))
{
	like(refused($role, 'SELECT txpipe.health()'), qr/^42501 permission denied for function health/, "$role: nothing is left");
	like(refused($role, 'SELECT customer_id FROM dwh.dim_customer'), qr/^42501 permission denied for schema dwh/, '... of the warehouse');
	is(sql("SELECT has_function_privilege('$role', 'txpipe.operate()', 'EXECUTE')"), 'f', '... of the rights to run');
}
sql('DROP ROLE operator');

# --- without a warehouse ---

$node->safe_psql('postgres', 'CREATE DATABASE plain');
$node->safe_psql('plain', q{CREATE EXTENSION txpipe; SELECT txpipe.grant_operator('reader'); SELECT txpipe.revoke_access('reader')});
pass('streams alone need no warehouse');

log_is_clean($node, qr/no room for|permission denied|must be|only (?:the owner|a member)|a role is needed|connect|Connection/i);
$node->stop;
done_testing();
