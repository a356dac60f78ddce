# Dead letters are replayed once, mended, dismissed and deleted; too many of them pause a stream.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('sales:2', 'many:1', 'keyed:1', 'spent:1', 'refused:1', 'large:1');
my $node   = new_node('letters');
start_node($node);
kafka_server($node, 'shop', $broker);

sub scalar_of { return $node->safe_psql('postgres', $_[0]) }

sub replay
{
	my ($arguments) = @_;
	return scalar_of("SELECT * FROM txpipe.replay_dead_letters($arguments)");
}

# --- replay ---

# Bad: 2 broken JSON, 1 wrong type; refused: 3 by a CHECK, 1 by a deferred unique constraint.
produce_lines($broker, 'sales', 0,
	'{"id": 1, "units": 1}', '{"id": 2, "units": ', '{"id": 3, "units": "three"}', '{"id": 4, "units": 400}');
produce_lines($broker, 'sales', 1,
	'{"id": 5, "units": 5}', 'no JSON', '{"id": 7, "units": 700}', '{"id": 8, "units": 800}', '{"id": 5, "units": 9}');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE sales (id integer, units integer, kafka_partition integer, kafka_offset bigint,
    CONSTRAINT few CHECK (units < 100), CONSTRAINT one UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
SELECT txpipe.create_stream('sales', 'shop', 'sales', 'sales');
SQL
wait_for($node, 'SELECT sum(next_offset) FROM txpipe.stream_partition', 'all is read', value => 9);
is(scalar_of('SELECT count(*) FROM sales'), '2', 'two messages are rows');
is( scalar_of(q{SELECT string_agg(kafka_partition || ':' || kafka_offset || ' ' || code, ', '
		ORDER BY kafka_partition, kafka_offset) FROM txpipe.dead_letter WHERE state = 'open'}),
	'0:1 bad_json, 0:2 bad_value, 0:3 23514, 1:1 bad_json, 1:2 23514, 1:3 23514, 1:4 23505',
	'the others are dead letters with their reasons');

is(replay(q{'sales'}), '0|7|7', 'nothing can be replayed while nothing has changed');
is(scalar_of('SELECT min(attempts), max(attempts) FROM txpipe.dead_letter'), '1|1', 'the attempts are counted');
$node->safe_psql('postgres', 'ALTER TABLE sales DROP CONSTRAINT few');
is(replay(q{'sales', codes => '{23514}', dry_run => true}), '3|0|4', 'a dry run tells what would be');
is(scalar_of('SELECT count(*) FROM sales'), '2', 'and writes nothing');
is( scalar_of(q{SELECT count(*), max(attempts) FROM txpipe.dead_letter WHERE state = 'open'}),
	'7|1', 'nor touches the letters');
is( $node->safe_psql('postgres', q{BEGIN; SELECT replayed FROM txpipe.replay_dead_letters('sales', codes => '{23514}');
	SELECT count(*) FROM sales; ROLLBACK; SELECT count(*) FROM sales}),
	"3\n5\n2", 'a replay that is rolled back has not happened');
is(replay(q{'sales', codes => '{23514}'}), '3|0|4', 'refused rows are replayed when the constraint is gone');
is(replay(q{'sales', codes => '{23514}'}), '0|0|4', 'once');
is( scalar_of('SELECT string_agg(format(\'%s %s %s:%s\', id, units, kafka_partition, kafka_offset), \', \' ORDER BY id) FROM sales'),
	'1 1 0:0, 4 400 0:3, 5 5 1:0, 7 700 1:2, 8 800 1:3', 'rows have the place of their message');
is( scalar_of(q{SELECT count(*), bool_and(settled_at >= stored_at), count(payload_fixed)
		FROM txpipe.dead_letter WHERE state = 'replayed'}),
	'3|t|0', 'replayed letters are shown as such');

my $broken = scalar_of(q{SELECT dead_letter_id FROM txpipe.dead_letter WHERE kafka_partition = 0 AND kafka_offset = 1});
my ($result, $out, $notice) = $node->psql('postgres',
	"SELECT * FROM txpipe.replay_dead_letters('sales', ARRAY[$broken], payload => '{\"id\": 2, \"units\": []}')");
is($out, '0|1|4', 'a payload that is not right either');
like($notice, qr/the payload given cannot become a row.*wrong_type/s, 'it is said why');
is( scalar_of("SELECT code, attempts, payload_fixed IS NULL FROM txpipe.dead_letter WHERE dead_letter_id = $broken"),
	'bad_json|2|t', 'the letter keeps the reason of its own payload');
is(replay(qq('sales', ARRAY[$broken], payload => '{"id": 2, "units": 2}')), '1|0|3', 'a mended payload');
is( scalar_of("SELECT state, payload_text, convert_from(payload_fixed, 'UTF8') FROM txpipe.dead_letter WHERE dead_letter_id = $broken"),
	'replayed|{"id": 2, "units": |{"id": 2, "units": 2}', 'is kept beside the original');
is(scalar_of('SELECT units, kafka_offset FROM sales WHERE id = 2'), '2|1', 'and is a row in the place of the message');

is(scalar_of(q{SELECT txpipe.dismiss_dead_letters('sales', codes => '{bad_json}')}), '1', 'one is dismissed');
is(replay(q{'sales'}), '0|2|2', 'it is not replayed any more');
is(scalar_of(q{SELECT txpipe.delete_dead_letters('sales', '1 day')}), '0', 'settled letters of today stay');
is(scalar_of(q{SELECT txpipe.delete_dead_letters('sales')}), '5', 'all that are settled are deleted');
is(scalar_of(q{SELECT string_agg(code, ' ' ORDER BY code) FROM txpipe.dead_letter}), '23505 bad_value', 'open ones stay');

# Whoever replays holds the letters; the other finds none, and none is doubled.
$node->safe_psql('postgres', 'ALTER TABLE sales DROP CONSTRAINT one');
my $first = $node->background_psql('postgres');
$first->query_safe('BEGIN');
is($first->query_safe(q{SELECT * FROM txpipe.replay_dead_letters('sales', codes => '{23505}')}), '1|0|1', 'one session replays');
is(replay(q{'sales', codes => '{23505}'}), '0|0|2', 'another one leaves its letters alone');
$first->query_safe('COMMIT');
$first->quit;
is(replay(q{'sales', codes => '{23505}'}), '0|0|1', 'also afterwards');
is(scalar_of('SELECT count(*) FROM sales WHERE id = 5'), '2', 'it is one row');

$node->safe_psql('postgres', 'CREATE ROLE other; GRANT USAGE ON SCHEMA txpipe TO other;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA txpipe TO other');
for my $bad (
	[ '', q{replay_dead_letters('nix')}, '42704', qr/nix/ ],
	[ '', q{replay_dead_letters(NULL)}, '22004', qr/stream/ ],
	[ '', q{replay_dead_letters('sales', payload => 'x')}, '22023', qr/one dead letter/ ],
	[ '', q{replay_dead_letters('sales', '{1,2}', payload => 'x')}, '22023', qr/one dead letter/ ],
	[ '', q{delete_dead_letters('sales', NULL)}, '22004', qr/older_than/ ],
	[ 'SET ROLE other; ', q{replay_dead_letters('sales')}, '42501', qr/sales/ ],
	[ 'SET ROLE other; ', q{dismiss_dead_letters('sales')}, '42501', qr/sales/ ],
	[ 'SET ROLE other; ', q{delete_dead_letters('sales')}, '42501', qr/sales/ ])
{
	my ($as, $call, $state, $words) = @$bad;
	my $error = error_of($node, "${as}SELECT txpipe.$call");

	is($error->{state}, $state, "$as$call: SQLSTATE") or diag($error->{text});
	like($error->{message}, $words, "$as$call: says what is wrong");
	ok($error->{hint}, "$as$call: has a hint");
}

# --- more than fit in one go ---

produce_lines($broker, 'many', 0, map { "{\"id\": $_, \"ok\": " . ($_ % 3 ? '"yes"' : 'true') . '}' } 1 .. 12000);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE many (id integer, ok boolean);
SELECT txpipe.create_stream('many', 'shop', 'many', 'many', columns => '{"id": "id", "ok": "no.such"}');
SELECT txpipe.alter_stream('many', '{"id": "ok", "ok": "id"}');
SQL
wait_for($node, q{SELECT count(*) FROM txpipe.dead_letter WHERE stream = 'many'}, 'all are dead letters', value => 12000);
is(replay(q{'many', dry_run => true}), '0|12000|12000', 'the mapping is wrong');
$node->safe_psql('postgres', q{SELECT txpipe.alter_stream('many', 'null')});
is(replay(q{'many'}), '12000|0|0', 'with another one all can be replayed')
  or diag(scalar_of(q{SELECT code, message, count(*) FROM txpipe.dead_letter WHERE stream = 'many' AND state = 'open' GROUP BY 1, 2}));
is(scalar_of('SELECT count(*), sum(id), count(DISTINCT id), count(*) FILTER (WHERE ok) FROM many'),
	'12000|72006000|12000|12000', 'each once');

# --- by key ---

produce_lines($broker, 'keyed', 0, '{"id": 1, "v": "new"}', '{"id": 2, "v": "refused"}', '{"id": 2, "v": "refused too"}');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE keyed (id integer PRIMARY KEY, v text CONSTRAINT short CHECK (length(v) < 5));
SELECT txpipe.create_stream('keyed', 'shop', 'keyed', 'keyed', options => '{"mode": "upsert", "on_error": "dead_letter"}');
SQL
wait_for($node, q{SELECT count(*) FROM txpipe.dead_letter WHERE stream = 'keyed'}, 'two are refused', value => 2);
$node->safe_psql('postgres', 'ALTER TABLE keyed DROP CONSTRAINT short');
is(replay(q{'keyed'}), '2|0|0', 'letters of a table by key');
is(scalar_of(q{SELECT string_agg(id || v, ' ' ORDER BY id) FROM keyed}), '1new 2refused too', 'the last offset wins');

# --- budgets ---

sub poison { return map { "no JSON $_" } 1 .. $_[0] }
sub is_paused
{
	my ($stream, $reason, $what) = @_;

	wait_for($node, "SELECT state FROM txpipe.stream_status WHERE stream = '$stream'", $what, value => 'paused');
	like(scalar_of("SELECT reason FROM txpipe.stream_status WHERE stream = '$stream'"), $reason, "$what: the reason says so");
	is( scalar_of("SELECT count(*) FROM txpipe.stream_event WHERE stream = '$stream' AND event = 'paused'
			AND message = (SELECT reason FROM txpipe.stream_status WHERE stream = '$stream')"),
		'1', "$what: and is an event");
	return;
}

sub letters { return scalar_of("SELECT dead_letters_total FROM txpipe.stream_status WHERE stream = '$_[0]'") }

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE spent (id integer);
SELECT txpipe.create_stream('spent', 'shop', 'spent', 'spent', options => '{"error_budget": 20, "error_window": 3600}');
SQL
produce_lines($broker, 'spent', 0, poison(20));
wait_for($node, q{SELECT dead_letters_total FROM txpipe.stream_status WHERE stream = 'spent'}, 'the budget is used up', value => 20);
is(scalar_of(q{SELECT state FROM txpipe.stream_status WHERE stream = 'spent'}), 'running', 'as many as the budget allows');
produce_lines($broker, 'spent', 0, poison(1), '{"id": 1}');
is_paused('spent', qr/21 of 2[12] messages within 3600 s .* error_budget of 20.*bad_json/, 'one more than that');
is(letters('spent'), '21', 'the batch that went too far is kept');
$node->safe_psql('postgres', q{SELECT txpipe.resume_stream('spent')});
produce_lines($broker, 'spent', 0, poison(20), '{"id": 2}');
wait_for($node, 'SELECT count(*) FROM spent', 'a resumed stream has a new budget', value => 2);
is(scalar_of(q{SELECT state FROM txpipe.stream_status WHERE stream = 'spent'}), 'running', 'and runs');

$node->safe_psql('postgres', q{SELECT txpipe.alter_stream('spent', options => '{"error_budget": 0, "error_ratio": 50}')});
produce_lines($broker, 'spent', 0, (map { "{\"id\": $_}" } 3 .. 1000), poison(900));
wait_for($node, q{SELECT dead_letters_total FROM txpipe.stream_status WHERE stream = 'spent'}, 'less than half is bad', value => 941);
produce_lines($broker, 'spent', 0, poison(200));
is_paused('spent', qr/error_ratio of 50 %/, 'more than the ratio');

# Rows that PostgreSQL refuses have a budget of their own, which is on by default.
produce_lines($broker, 'refused', 0, map { "{\"id\": $_}" } 1 .. 1000);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE refused (id integer CHECK (id < 0));
SELECT txpipe.create_stream('refused', 'shop', 'refused', 'refused');
SQL
is_paused('refused', qr/refused_ratio of 90 %.*23514/, 'a table that refuses everything');
is(letters('refused'), '1000', 'nothing is lost');
$node->safe_psql('postgres', q{SELECT txpipe.alter_stream('refused', options => '{"refused_budget": 10}');
	SELECT txpipe.resume_stream('refused')});
produce_lines($broker, 'refused', 0, (map { "{\"id\": -$_}" } 1 .. 100), (map { "{\"id\": $_}" } 1 .. 11));
is_paused('refused', qr/11 of 111 .*, 11 of them refused .*refused_budget of 10 /, 'a few among many');
is(scalar_of('SELECT count(*) FROM refused'), '100', 'the rows beside them are there');

# --- size ---

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE large (id integer);
SELECT txpipe.create_stream('large', 'shop', 'large', 'large', options => '{"dead_letter_max_bytes": 5000}');
SQL
produce_lines($broker, 'large', 0, map { 'x' x 1000 } 1 .. 5);
wait_for($node, q{SELECT dead_letters_total FROM txpipe.stream_status WHERE stream = 'large'}, 'as much as may be', value => 5);
is(scalar_of(q{SELECT state FROM txpipe.stream_status WHERE stream = 'large'}), 'running', 'runs');
produce_lines($broker, 'large', 0, 'x');
is_paused('large', qr/5001 bytes.*dead_letter_max_bytes \(5000\)/, 'a byte more');
is(scalar_of(q{SELECT txpipe.dismiss_dead_letters('large')}), '6', 'dismissed');
is(scalar_of(q{SELECT txpipe.delete_dead_letters('large')}), '6', 'and deleted');
$node->safe_psql('postgres', q{SELECT txpipe.resume_stream('large')});
produce_lines($broker, 'large', 0, 'y', '{"id": 1}');
wait_for($node, 'SELECT count(*) FROM large', 'there is room again', value => 1);

# --- the end ---

$node->safe_psql('postgres', q{SELECT txpipe.drop_stream('refused')});
is( scalar_of(q{SELECT count(*) FILTER (WHERE stream_id NOT IN (SELECT stream_id FROM txpipe.stream)), count(*) > 0
		FROM txpipe.dead_letter_store}),
	'0|t', 'a stream that is dropped takes its letters along, and no others');

log_is_clean($node, qr/"nix"/, qr/must not be null/, qr/fixes one dead letter/, qr/must be owner/);
done_testing();
