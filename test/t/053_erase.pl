# A person is erased from everything that is kept of him, and of nobody else; the report says where.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeRetail ();
use TxpipeTest;

my $node   = files_node('erase');
my $broker = start_broker('people:1', 'sealed:1', 'out:1');
my $key    = secret_file(PostgreSQL::Test::Utils::tempdir() . '/key', '0123456789abcdef' x 4);
kafka_server($node, 'shop', $broker);

# --- a person in a stream, its window, rules, and the outbox; in a feed and its rejects; in what is encrypted ---

sql(qq{CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (encryption_key_file '$key');
	CREATE TABLE people (id integer, email text, at timestamptz, units integer);
	CREATE TABLE sealed (id integer, email bytea, units integer);
	CREATE TABLE guest (id integer, email text, units integer, file_id bigint);
	CREATE TABLE other (email text, note text);
	INSERT INTO other VALUES ('ann\@x.org', 'not a target')});
sql(q{SELECT txpipe.create_stream('people', 'shop', 'people', 'people', paused => true);
	SELECT txpipe.create_window('people_hour', 'people', 'at', '1 hour', group_by => '{email}', aggregates => '{"n": "count(*)"}');
	SELECT txpipe.create_rule('many', 'people', $$SELECT email AS subject, at AS event_time, format('%s bought %s', email, units) AS reason
		FROM batch WHERE units > 5$$, topic => 'out');
	SELECT txpipe.resume_stream('people');
	SELECT txpipe.create_stream('sealed', 'shop', 'sealed', 'sealed', columns =>
		'{"id": "id", "email": {"path": "email", "as": "encrypt"}, "units": "units"}')});
for my $topic ('people', 'sealed')
{
	produce_lines($broker, $topic, 0, map { my $who = $_; map { qq({"id": $_, "email": "$who", "at": "2024-01-01 10:00Z", "units": $_}) } 1, 9, '"x"' }
		'ann@x.org', 'joann@x.org', 'ann@x.organic');
	wait_for_offset($node, $topic, 9);
}
sql(q{SELECT txpipe.create_feed('guest', '^guest/(.*)\.csv$', 'guest')});
deliver('guest/1.csv', "id,email,units\n1,ann\@x.org,1\n2,joann\@x.org,2\n3,ann\@x.org,x\n4,joann\@x.org,x\n");
deliver('guest/2.csv', "id,email,units\n1,joann\@x.org,1\n");
run_hourly();
run_hourly();
is(sql('SELECT count(*) FROM guest'), 3, 'the files are loaded');

my $dry = erase(q{'{"email": "ann@x.org"}'});
like($dry, qr/^public\.guest: deleted 1$/m, 'a dry run tells of a feed');
like($dry, qr/^public\.people: deleted 2$/m, '... of a stream');
like($dry, qr/^public\.people_hour: deleted 1$/m, '... of its window');
like($dry, qr/^public\.sealed: not searched: encrypted, and no server is given $/m, '... of what it cannot look into');
like($dry, qr/^dead letters: deleted 1$/m, '... of dead letters');
like($dry, qr/^dead letters: not searched: encrypted, and no server is given 3$/m, '... that it cannot read, too');
like($dry, qr/^rejected records: blanked 1$/m, '... of rejected records');
like($dry, qr/^alerts: blanked 1$/m, '... of alerts');
like($dry, qr/^lake: copies rewritten 1\nlake: records removed 2$/m, '... and of copies');
is(sql('SELECT count(*) FROM people'), '6', '... and does nothing');
my $with_key = erase(q{'{"email": "ann@x.org"}', server => 'shop'});
like($with_key, qr/^public\.sealed: deleted 2$/m, 'with a key encrypted columns are searched');
like($with_key, qr/^dead letters: deleted 2$/m, '... and letters');
unlike($with_key, qr/not searched/, '... and nothing is left out');
is(erase(q{'{"email": "ann@x.org"}', false, 'shop', true}), $with_key,
	'erasing does what was told');
is(sql(q{SELECT count(*), bool_and(role = current_user AND login = session_user), bool_or(report::text ~ 'ann'), bool_or(report @> '[{"place": "dead letters", "count": 2}]') FROM txpipe.erasure_log}),
	'1|t|f|t', 'the erasure, and no dry run, is on record, without the person');
is(sql(q{SELECT (SELECT string_agg(DISTINCT email, ',') FROM people), (SELECT count(*) FROM sealed), (SELECT string_agg(email, ',') FROM guest)}),
	'ann@x.organic,joann@x.org|4|joann@x.org,joann@x.org', 'nobody else is touched');
is(sql(q{SELECT count(*) FROM people_hour}), '2', '... in windows');
is(sql(q{SELECT count(*), count(*) FILTER (WHERE subject = '(erased)'), string_agg(reason, ',' ORDER BY reason) FROM txpipe.alert}),
	'3|1|ann@x.organic bought 9,joann@x.org bought 9', '... in alerts');
is(sql(q{SELECT count(*) FROM txpipe.dead_letter}), '4', '... in dead letters');
is(sql(q{SELECT string_agg(format('%s %s %s', line, state, message), ', ' ORDER BY line_no) FROM txpipe.rejected_row}),
	' dismissed erased, 4,joann@x.org,x open invalid input for integer: "x"', '... in rejected records');
is(sql(q{SELECT string_agg(format('%s %s', rows_erased, reason ~ 'were erased from its copy'), ', ' ORDER BY file_name) FROM txpipe.file}),
	'2 t, 0 ', '... and in copies');
is(sql('SELECT count(*) FROM other'), '1', 'tables of others stay as they are');
is(erase(q{'{"email": "ann@x.org"}', server => 'shop'}), '', 'a second call finds nothing');
is(`cat \$(find @{[ $node->basedir ]}/dirs/lake -name '1*.csv')`, "id,email,units\n\n2,joann\@x.org,2\n\n4,joann\@x.org,x\n", 'the copy has the others, at their lines');
is(erase(q{'{"email": "joann@x.org", "id": [1, 77]}', false, 'shop'}) =~ /^public\.people: deleted 1$/m, 1, 'of several columns each must fit');

# --- who may, and what is refused ---

is(error_of($node, $_->[0])->{state}, $_->[1], "refused: $_->[0]")
  for [ q{CALL txpipe.erase_subject('{}')}, '22023' ], [ q{CALL txpipe.erase_subject('{"email": null}')}, '22023' ],
  [ q{CALL txpipe.erase_subject('[1]')}, '22023' ], [ q{CALL txpipe.erase_subject('{"email": []}')}, '22023' ];

sql(q{CREATE ROLE clerk; GRANT USAGE ON SCHEMA txpipe TO clerk});
is(error_of($node, q{SET ROLE clerk; CALL txpipe.erase_subject('{"email": "x"}')})->{state}, '42501', 'nobody may who was not granted it');
sql(q{GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO clerk});
my $letters = sql('SELECT count(*), min(dead_letter_id) FROM txpipe.dead_letter');
sql(q{SET ROLE clerk; CALL txpipe.erase_subject('{"email": "joann@x.org"}', false);
	SELECT txpipe.erase_kept('dead letters', ARRAY(SELECT generate_series(1, 1000)))});
is(sql('SELECT count(*), min(dead_letter_id) FROM txpipe.dead_letter'), $letters, 'what is of others nobody erases');

# --- the warehouse ---

my $retail = TxpipeRetail::retail_node('persons');
TxpipeRetail::fresh_database();
TxpipeRetail::land_sales('group1', map { "2024-01-1$_->[0],T$_->[0],$_->[1],1,1,3,Lamp,Home,,,,,,2,10.00,yes,Card,1 Main Street/Boston/MA/02101" }
	[ 1, '7,Ann,Lee,ann@x.com' ], [ 2, '7,Ann,Lee,ann@x.com' ], [ 3, '7,Bob,Ray,bob@x.com' ], [ 4, '8,Ann,Lee,ann@x.com' ]);
TxpipeRetail::run_hourly();
my $facts = TxpipeRetail::facts();
is(TxpipeRetail::sql(q{SELECT count(*), count(street) FROM dwh.fact_sales}), '4|4', 'the sales are there');
my $report = TxpipeRetail::sql(q{CALL txpipe.erase_subject('{"customer_id": 7, "email": "ann@x.com"}', false)});
like($report, qr/"place": "dwh.fact_sales", "action": "addresses blanked"\}|"count": 2, "place": "dwh.fact_sales"/, 'addresses of his sales are blanked');
is(TxpipeRetail::sql(q{SELECT string_agg(concat_ws(' ', f.transaction_id, c.customer_id, c.first_name, c.last_name, c.email, f.street), ', ' ORDER BY 1)
	FROM dwh.fact_sales f JOIN dwh.dim_customer c USING (customer_key)} =~ s/ORDER BY 1/ORDER BY f.transaction_id/r),
	'T1 (erased) (erased) (erased), T2 (erased) (erased) (erased), T3 7 Bob Ray bob@x.com 1 Main Street, T4 8 Ann Lee ann@x.com 1 Main Street',
	'... and the person, whose id another one has, too');
is(TxpipeRetail::facts(), $facts, 'facts and sums stay');
kafka_server($retail, 'shop', $broker, 'retail');
TxpipeRetail::sql(q{SELECT txpipe.create_stream('live', 'shop', 'people', 'dwh.live_sales', paused => true);
	INSERT INTO dwh.live_sales (transaction_id, transaction_date, customer_id, first_name, last_name, email, sales_agent_id, branch_id, product_id, product_name, product_category,
		units, unit_price, discount_pct, is_online, payment_method, street, city, state, postal_code)
	SELECT 'L' || n, '2024-01-20', 7, who, 'Lee', lower(who) || '@x.com', 1, 1, 3, 'Lamp', 'Home', n, 10, 0, true, 'Card', '1 Main Street', 'Boston', 'MA', '02101'
	FROM (VALUES (1, 'Ann'), (2, 'Bob')) v (n, who)});
my $live = TxpipeRetail::sql('SELECT sum(units), sum(total_paid), count(*) FROM dwh.live_sales');
like(TxpipeRetail::sql(q{CALL txpipe.erase_subject('{"customer_id": 7, "email": "ann@x.com"}', false)}), qr/"count": 1, "place": "dwh.live_sales", "action": "blanked"/, 'sales as they happen are blanked');
is(TxpipeRetail::sql(q{SELECT string_agg(concat_ws(' ', transaction_id, customer_id, first_name, last_name, email, street, city, postal_code), ', ' ORDER BY transaction_id) FROM dwh.live_sales}),
	'L1 0 Boston, L2 7 Bob Lee bob@x.com 1 Main Street Boston 02101', '... and nobody else');
is(TxpipeRetail::sql('SELECT sum(units), sum(total_paid), count(*) FROM dwh.live_sales'), $live, '... their sums stay');
TxpipeRetail::sql(q{SELECT txpipe.drop_stream('live')});
is(TxpipeRetail::sql('SELECT count(*) FROM txpipe.check_warehouse() WHERE NOT ok'), '0', '... and agree');

log_is_clean($node, qr/053_erase.pl.*ERROR:  /);
done_testing();
