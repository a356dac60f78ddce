# A stream is moved, altered, paused and resumed while it is there: what it reads, and what its log says.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('moves:2', 'halves:4', 'other:1', 'poison:1');
my $node   = new_node('alter');
start_node($node);
kafka_server($node, 'shop', $broker);

sub scalar_of { return $node->safe_psql('postgres', $_[0]) }

sub rows_are
{
	my ($table, $count, $what) = @_;

	wait_for($node, "SELECT count(*) FROM $table", $what, value => $count);
	is(scalar_of("SELECT count(*) FROM $table"), $count, $what);
	return;
}

produce_lines($broker, 'moves', 0, map { "{\"id\": $_, \"size\": \"s$_\"}" } 0 .. 99);
produce_lines($broker, 'moves', 1, map { "{\"id\": $_, \"size\": \"s$_\"}" } 100 .. 149);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE moved (id bigint, label text, part integer, at_offset bigint);
SELECT txpipe.create_stream('moved', 'shop', 'moves', 'moved',
    columns => '{"id": "id", "part": "kafka_partition", "at_offset": "kafka_offset"}');
SQL
rows_are('moved', 150, 'all messages are rows');

# --- seek, while it runs ---

my $sought = 0;
shortest(
	'seek takes effect within a second', 1,
	sub {
		$sought++;
		$node->safe_psql('postgres', q{SELECT txpipe.seek_stream('moved', '{"0": 95, "1": 40}')});
		wait_for($node, 'SELECT count(*) FROM moved', 'what lies behind the new place', value => 150 + 15 * $sought);
	});
is( scalar_of(q{SELECT string_agg(format('%s:%s', part, at_offset), ' ' ORDER BY part, at_offset)
		FROM (SELECT part, at_offset FROM moved GROUP BY 1, 2 HAVING count(*) = } . (1 + $sought) . ') t'),
	join(' ', (map { "0:$_" } 95 .. 99), (map { "1:$_" } 40 .. 49)),
	'exactly those are read again');
is( scalar_of(q{SELECT string_agg(format('%s %s %s %s', topic, partition, from_offset, to_offset), ', ' ORDER BY partition)
		FROM txpipe.stream_event WHERE stream = 'moved' AND event = 'sought'}),
	join(', ', ('moves 0 100 95') x $sought, ('moves 1 50 40') x $sought), 'its log says from where to where');
# As after one seek.
$node->safe_psql('postgres', 'DELETE FROM moved WHERE ctid NOT IN (SELECT unnest((array_agg(ctid))[1:2]) FROM moved GROUP BY part, at_offset)');
$node->safe_psql('postgres', q{SELECT txpipe.seek_stream('moved', '{"moves": {"1": 49}}')});
rows_are('moved', 166, 'offsets may be given by topic; partitions that are not named stay');
$node->safe_psql('postgres', q{SELECT txpipe.seek_stream('moved', 'earliest')});
rows_are('moved', 316, 'seek to the beginning');
$node->safe_psql('postgres', q{SELECT txpipe.pause_stream('moved')});
produce_lines($broker, 'moves', 0, '{"id": 1000}');
$node->safe_psql('postgres', q{SELECT txpipe.seek_stream('moved', 'latest')});
$node->safe_psql('postgres', q{SELECT txpipe.resume_stream('moved')});
produce_lines($broker, 'moves', 0, '{"id": 1001}');
rows_are('moved', 317, 'seek to the end of a paused stream skips what is there');
is(scalar_of('SELECT count(*) FROM moved WHERE id = 1000'), '0', 'the message before the end is not read');

# A batch at work ends first: here a consumer in a transaction block.
$node->safe_psql('postgres', q{SELECT txpipe.pause_stream('moved')});
produce_lines($broker, 'moves', 0, '{"id": 1002}');
my $consumer = $node->background_psql('postgres');
$consumer->query_safe("SET client_min_messages = error; BEGIN");
$consumer->query_safe("CALL txpipe.consume('moved')");
my $refused = error_of($node, q{SET lock_timeout = '200ms'; SELECT txpipe.seek_stream('moved', 'earliest')});
is($refused->{state}, '55P03', 'seek does not wait for ever for a batch');
ok($refused->{hint}, 'and says what it waits for') or diag($refused->{text});
$consumer->query_safe('COMMIT');
$consumer->quit;
is(scalar_of('SELECT count(*) FROM moved WHERE id = 1002'), '1', 'the batch is not lost');

for my $bad (
	[ '{"0": 5000}',           '22003', qr/offset 5000 of partition 0/ ],
	[ '{"7": 0}',              '42704', qr/no partition "7"/ ],
	[ '{"elsewhere": {"0": 0}}', '42704', qr/elsewhere/ ],
	[ '{"0": "ten"}',          '22023', qr/not a number/ ],
	[ 'noon',                  '22007', qr/noon/ ],
	[ '{"0": ',                '22P02', qr/json/ ])
{
	my ($position, $state, $words) = @$bad;
	my $error = error_of($node, "SELECT txpipe.seek_stream('moved', '$position')");

	is($error->{state}, $state, "position $position: SQLSTATE") or diag($error->{text});
	like($error->{message}, $words, "position $position: says what is wrong");
	ok($error->{hint}, "position $position: has a hint");
}

# --- alter ---

$node->safe_psql('postgres', q{SELECT txpipe.resume_stream('moved')});
$node->safe_psql('postgres', q{SELECT txpipe.alter_stream('moved', '{"id": "id", "label": "size"}', '{"batch_rows": 3}')});
produce_lines($broker, 'moves', 1, map { "{\"id\": $_, \"size\": \"s$_\"}" } 2000 .. 2009);
wait_for($node, 'SELECT count(*) FROM moved WHERE id >= 2000', 'the altered stream goes on', value => 10);
is( scalar_of('SELECT count(*), count(*) FILTER (WHERE label = \'s\' || id), count(part) FROM moved WHERE id >= 2000'),
	'10|10|0', 'with its new mapping, from where it was');
is( scalar_of(q{SELECT bool_and(messages <= 3 * batches) FROM txpipe.batch_history WHERE batch_id >
		(SELECT max(batch_id) FROM txpipe.batch_history) - 3}),
	't', 'and its new options');
is(scalar_of(q{SELECT options FROM txpipe.stream}), '{"batch_rows": 3}', 'options are stored');
$node->safe_psql('postgres', q{SELECT txpipe.alter_stream('moved', options => '{"batch_rows": null, "linger_ms": 1}')});
is(scalar_of(q{SELECT options FROM txpipe.stream}), '{"linger_ms": 1}', 'they are merged, null takes one away');
$node->safe_psql('postgres', q{SELECT txpipe.alter_stream('moved', 'null')});
is(scalar_of(q{SELECT columns IS NULL FROM txpipe.stream}), 't', 'a mapping can be taken away');
is( scalar_of(q{SELECT count(*) FROM txpipe.stream_event WHERE event = 'altered' AND message LIKE '%batch_rows%'}),
	'2', 'the log says what was altered');

for my $bad (
	[ q{'moved'},                                '22023', qr/neither/ ],
	[ q{'moved', '{"nix": "id"}'},               '42703', qr/nix/ ],
	[ q{'moved', '[1]'},                         '22023', qr/columns/ ],
	[ q{'moved', options => '{"batch_rows": 0}'}, '22023', qr/batch_rows/ ],
	[ q{'moved', options => '{"nix": 1}'},       '22023', qr/nix/ ],
	[ q{'moved', options => '[]'},               '22023', qr/options/ ],
	[ q{'moved', options => '{"mode": "upsert"}'}, '42P10', qr/key|unique/ ],
	[ q{'nix', options => '{"batch_rows": 1}'},  '42704', qr/nix/ ])
{
	my ($arguments, $state, $words) = @$bad;
	my $error = error_of($node, "SELECT txpipe.alter_stream($arguments)");

	is($error->{state}, $state, "alter_stream($arguments): SQLSTATE") or diag($error->{text});
	like($error->{message}, $words, "alter_stream($arguments): says what is wrong");
	ok($error->{hint}, "alter_stream($arguments): has a hint");
}
is(scalar_of('SELECT state, reason IS NULL FROM txpipe.stream_status'), 'running|t', 'a refused change changes nothing');

# Others may not.
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE stranger;
GRANT USAGE ON SCHEMA txpipe TO stranger;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA txpipe TO stranger;
SQL
for my $call (q{seek_stream('moved', 'earliest')}, q{alter_stream('moved', options => '{"batch_rows": 1}')})
{
	is(error_of($node, "SET ROLE stranger; SELECT txpipe.$call")->{state}, '42501', "only the owner may $call");
}

# --- pause and resume are in the log ---

is( scalar_of(q{SELECT string_agg(event, ' ' ORDER BY stream_event_id) FROM txpipe.stream_event
		WHERE event IN ('paused', 'resumed') AND message LIKE '% by postgres'}),
	'paused resumed paused resumed', 'the log tells who paused and resumed');
$node->safe_psql('postgres', q{SELECT txpipe.resume_stream('moved')});
is(scalar_of(q{SELECT count(*) FROM txpipe.stream_event WHERE event = 'resumed'}), '2', 'nothing when nothing changes');

# --- messages that are read again and are bad again are one dead letter ---

produce_lines($broker, 'poison', 0, '{"id": 1}', '{"id": "one"}', '{"id": 3}');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE poisoned (id bigint);
SELECT txpipe.create_stream('poisoned', 'shop', 'poison', 'poisoned');
SQL
rows_are('poisoned', 2, 'good messages are rows');
$node->safe_psql('postgres', q{SELECT txpipe.seek_stream('poisoned', 'earliest')});
rows_are('poisoned', 4, 'they are read again beside a bad one');
is(scalar_of(q{SELECT count(*), max(kafka_offset) FROM txpipe.dead_letter WHERE stream = 'poisoned'}),
	'1|1', 'which is one dead letter still');

$node->safe_psql('postgres', q{SELECT txpipe.drop_stream('moved'), txpipe.drop_stream('poisoned')});
is(scalar_of('SELECT count(*) FROM txpipe.stream_event'), '0', 'a dropped stream takes its log along');

# --- some partitions only ---

produce_lines($broker, 'halves', $_, map { "{\"id\": $_}" } 10 * $_ .. 10 * $_ + 9) for 0 .. 3;
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE half (id integer, kafka_partition integer);
CREATE TABLE other_half (LIKE half);
SELECT txpipe.create_stream('half', 'shop', 'halves', 'half', options => '{"partitions": "0,2-3"}');
SELECT txpipe.create_stream('other_half', 'shop', 'halves', 'other_half', options => '{"partitions": "1"}');
SQL
rows_are('half', 30, 'a stream of some partitions');
rows_are('other_half', 10, 'and another one of the others');
is(scalar_of('SELECT string_agg(DISTINCT kafka_partition::text, \',\') FROM half'), '0,2,3', 'reads those only');
is( scalar_of(q{SELECT string_agg(stream || ' ' || lag_messages, ', ' ORDER BY stream) FROM txpipe.stream_status WHERE stream LIKE '%half'}),
	'half 0, other_half 0', 'what it does not read is no lag');
$node->safe_psql('postgres', q{SELECT txpipe.alter_stream('other_half', options => '{"partitions": "1,3"}')});
rows_are('other_half', 20, 'one more is read from its beginning');
for my $bad ('x', '1-', '3-1', '0,', '100000', '-1', '1;2')
{
	my $error = error_of($node, qq(SELECT txpipe.alter_stream('half', options => '{"partitions": "$bad"}')));

	is($error->{state}, '22023', "partitions $bad: SQLSTATE") or diag($error->{text});
	like($error->{hint}, qr/0-3,7/, "partitions $bad: has a hint");
}

$node->stop('fast');
log_is_clean($node, map { qr/$_/ } 'lock timeout', 'offset 5000', 'has no partition', 'option "partitions"', 'not a number', 'noon',
	'input syntax for type json', 'neither columns', 'column "nix"', 'columns must be', 'batch_rows', '"nix"',
	'options must', 'must be owner', 'administrator command', 'unique', 'key');
stop_broker($broker);
done_testing();
