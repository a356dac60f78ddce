# Rules: rows of a query over every batch become alerts. What shall be raised is computed here from the messages.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('pay:2', 'cool:1', 'policy:1', 'altered:1', 'burst:1', 'kill:1');
my $node   = new_node('rules');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Seconds of the day as a time.
sub at { return sprintf '2024-03-01 %02d:%02d:%02d+00', $_[0] / 3600, $_[0] / 60 % 60, $_[0] % 60; }

# --- rows become alerts, with all that they say, in the commit of the batch ---

sql(<<'SQL');
CREATE TABLE pay (id text PRIMARY KEY, account text, at timestamptz, amount numeric(12,2));
SELECT txpipe.create_stream('pay', 'shop', 'pay', 'pay', paused => true);
SELECT txpipe.create_rule('large', 'pay', $$
    SELECT b.account AS subject, b.at AS event_time, b.id AS transaction_id, 'amount ' || b.amount AS reason,
           jsonb_build_object('amount', b.amount) AS evidence, b.kafka_topic, b.kafka_partition, b.kafka_offset,
           CASE WHEN b.amount > 900 THEN 'critical' END AS severity
    FROM batch b WHERE b.amount > 500 AND (SELECT count(*) FROM public.pay p WHERE p.id = b.id) = 1 $$, severity => 'high');
SQL
srand 38;
my (@expected, @lines0, @lines1);
for my $n (1 .. 400)
{
	my $cents = int rand 100000;
	my $line  = sprintf '{"id": "p%d", "account": "a%d", "at": "%s", "amount": %.2f}', $n, $n % 50, at($n), $cents / 100;
	my $lines = $n % 2 ? \@lines1 : \@lines0;

	push @expected, sprintf 'p%d|a%d|%s|%s|{"amount": %.2f}|amount %.2f|pay|%d|%d', $n, $n % 50, at($n),
	  $cents > 90000 ? 'critical' : 'high', $cents / 100, $cents / 100, $n % 2, scalar @$lines
	  if $cents > 50000;
	push @$lines, $line;
}
produce_lines($broker, 'pay', 0, @lines0);
produce_lines($broker, 'pay', 1, @lines1);
sql('CALL txpipe.consume($$pay$$, 100)');
is(sql('SELECT count(*) > 0 AND count(*) = (SELECT count(*) FROM pay WHERE amount > 500) FROM txpipe.alert'),
	't', 'consume() raises the alerts of its batch');
sql('SELECT txpipe.resume_stream($$pay$$)');
wait_for_offset($node, 'pay', 400);
is( join("\n", sort split /\n/, sql('SELECT transaction_id, subject, event_time, severity, evidence, reason, kafka_topic,
	kafka_partition, kafka_offset FROM txpipe.alert')),
	join("\n", sort @expected),
	'workers raise them, with subject, time, severity, evidence and place');
is(sql(q{SELECT DISTINCT stream, rule, state, settled_at IS NULL, raised_at <= clock_timestamp() FROM txpipe.alert}),
	'pay|large|open|t|t', 'they are open');
is(sql(q{SELECT kind, rows_total FROM txpipe.stream_step WHERE step = 'large'}), 'rule|' . @expected, 'stream_step counts them');

# --- acknowledged, closed, deleted ---

my $first = sql('SELECT min(alert_id) FROM txpipe.alert');
sql("SELECT txpipe.acknowledge_alert($first)");
is(sql("SELECT state, settled_by, settled_at IS NOT NULL FROM txpipe.alert WHERE alert_id = $first"),
	'acknowledged|postgres|t', 'an alert is acknowledged');
sql("SELECT txpipe.close_alert($first)");
is(sql("SELECT state FROM txpipe.alert WHERE alert_id = $first"), 'closed', 'and closed');
is(error_of($node, "SELECT txpipe.acknowledge_alert($first)")->{state}, '55000', 'what is closed is not acknowledged');
is(error_of($node, 'SELECT txpipe.close_alert(-1)')->{state}, '42704', 'there is no such alert');
is(sql(q{SELECT txpipe.delete_alerts('pay', '1 day')}), 0, 'alerts closed lately stay');
is(sql(q{SELECT txpipe.delete_alerts('pay')}), 1, 'closed ones can be deleted');
is(sql('SELECT count(*) FROM txpipe.alert'), @expected - 1, '... and no others');

# --- cool-down: greedy by event time within a batch, symmetric to what was raised before ---

sql(<<'SQL');
CREATE TABLE cool (id text, account text, at timestamptz);
SELECT txpipe.create_stream('cool', 'shop', 'cool', 'cool', paused => true);
SELECT txpipe.create_rule('cooled', 'cool',
    'SELECT account AS subject, at AS event_time, id AS transaction_id FROM batch', cooldown => '60 s');
SELECT txpipe.create_rule('each', 'cool',
    'SELECT account AS subject, at AS event_time, id AS transaction_id FROM batch');
SELECT txpipe.create_rule('anonymous', 'cool',
    'SELECT NULL AS subject FROM batch', cooldown => '1 day', severity => 'info');
SQL
my (@cooled, %raised, %seen, $serial);
for my $batch (1 .. 12)
{
	my (@lines, @rows);

	for (1 .. 40)
	{
		# Late ones, ties, and the same message again.
		my $row = $serial && rand() < 0.1 ? $rows[-1] : undef;
		$row //= { id => 't' . ++$serial, account => 'a' . int rand 4, at => 600 + $batch * 100 + int rand(500) };
		push @rows,  $row;
		push @lines, sprintf '{"id": "%s", "account": "%s", "at": "%s"}', $row->{id}, $row->{account}, at($row->{at});
	}
	produce_lines($broker, 'cool', 0, @lines);
	sql(q{CALL txpipe.consume('cool')});
	my $order = 0;
	$_ = { %$_, order => $order++ } for @rows;
	$seen{"$_->{account}|" . at($_->{at}) . "|$_->{id}"} = 1 for @rows;
	for my $row (sort { $a->{at} <=> $b->{at} || $a->{order} <=> $b->{order} } @rows)
	{
		next if grep { abs($_ - $row->{at}) < 60 } @{ $raised{ $row->{account} } };
		push @{ $raised{ $row->{account} } }, $row->{at};
		push @cooled, "$row->{account}|" . at($row->{at}) . "|$row->{id}";
	}
}
my $alerts = q{SELECT subject, event_time, transaction_id FROM txpipe.alert WHERE rule = '%s' ORDER BY 1, 2, 3};
is(sql(sprintf $alerts, 'cooled'), join("\n", sort @cooled), 'a cool-down holds within and across batches');
is(sql(sprintf $alerts, 'each'),   join("\n", sort keys %seen), 'without one each transaction raises an alert, once');
is(sql(q{SELECT subject = '', count(*), min(severity) FROM txpipe.alert WHERE rule = 'anonymous' GROUP BY 1}),
	't|1|info', 'nobody is a subject, too');

# --- NOTIFY names the alert; what it is about is read in the view ---

sql(<<'SQL');
CREATE TABLE burst (account text, at timestamptz);
SELECT txpipe.create_stream('burst', 'shop', 'burst', 'burst', paused => true);
SELECT txpipe.create_rule('notified', 'burst', 'SELECT account AS subject, at AS event_time FROM batch', severity => 'low');
SQL
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN txpipe_alert');
produce_lines($broker, 'burst', 0, map { sprintf '{"account": "secret%d", "at": "%s"}', $_, at($_) } 1 .. 70);
sql(q{CALL txpipe.consume('burst')});
my $told = '';
wait_until('the notifications arrive', sub {
	$told .= $listener->query('SELECT 1');
	$told =~ /more_alerts/;
});
my @told = $told =~ /Asynchronous notification "txpipe_alert" with payload "(\{.*?\})" received/g;
is(scalar @told, 51, '50 alerts are told one by one, the others together');
is( $told[0],
	sprintf('{"rule": "notified", "stream": "burst", "alert_id": %d, "severity": "low", "event_time": "%s"}',
		sql(q{SELECT min(alert_id) FROM txpipe.alert WHERE rule = 'notified'}), '2024-03-01T00:00:01+00:00'),
	'a payload names the alert');
is($told[50],
	sprintf('{"rule": "notified", "stream": "burst", "more_alerts": 20, "first_alert_id": %s}',
		sql(q{SELECT min(alert_id) + 50 || ', "last_alert_id": ' || max(alert_id) FROM txpipe.alert WHERE rule = 'notified'})),
	'the last one the others');
unlike($told, qr/secret/, 'and says nothing of people: everybody may listen');
$listener->quit;

# --- who may what ---

sql(<<'SQL');
CREATE ROLE owner_role LOGIN;
CREATE ROLE reader LOGIN;
CREATE ROLE stranger LOGIN;
GRANT CREATE, USAGE ON SCHEMA public TO owner_role, reader, stranger;
GRANT USAGE ON FOREIGN SERVER shop TO owner_role;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA txpipe TO owner_role, reader, stranger;
GRANT EXECUTE ON PROCEDURE txpipe.consume(text, integer, interval) TO owner_role;
CREATE TABLE hidden (account text);
INSERT INTO hidden VALUES ('h1');
SET ROLE owner_role;
CREATE TABLE policy (account text, n int);
GRANT SELECT ON policy TO reader;
SELECT txpipe.create_stream('policy', 'shop', 'policy', 'policy', paused => true);
SELECT txpipe.create_rule('who', 'policy', $$SELECT current_user AS subject, account AS transaction_id FROM batch$$);
SQL
is(error_of($node, q{SET ROLE owner_role; SELECT txpipe.create_rule('peek', 'policy', 'SELECT account AS subject FROM public.hidden')}),
	undef, 'privileges of tables are looked at when the query runs');
produce_lines($broker, 'policy', 0, '{"account": "x1", "n": 1}');
my $denied = error_of($node, q{CALL txpipe.consume('policy')});
is($denied->{state}, '42501', 'as the owner of the stream, whoever calls');
sql(q{SELECT txpipe.drop_rule('peek')});
sql(q{CALL txpipe.consume('policy')});
is(sql(q{SELECT subject, transaction_id FROM txpipe.alert WHERE rule = 'who'}), 'owner_role|x1', 'the query is the owner\'s');
for my $as ([ 'reader', 1 ], [ 'stranger', 0 ])
{
	my ($role, $sees) = @$as;
	my $id = sql(q{SELECT max(alert_id) FROM txpipe.alert WHERE rule = 'who'});

	is(sql("SET ROLE $role; SELECT count(*) FROM txpipe.alert"), $sees, "$role sees $sees alerts");
	is(sql("SET ROLE $role; SELECT count(*) FROM txpipe.alert_rule"), $sees, '... and rules');
	is(sql("SET ROLE $role; SELECT count(query) FROM txpipe.alert_rule"), 0, '... without their queries');
	is(error_of($node, "SET ROLE $role; INSERT INTO txpipe.alert_store (stream_id, rule, severity, subject, event_time)
		VALUES (1, 'forged', 'low', 'x', now())")->{state}, '42501', "$role forges none");
	is(error_of($node, "SET ROLE $role; UPDATE txpipe.alert SET state = 'closed'")->{state}, '55000', '... and changes none');
	my $error = error_of($node, "SET ROLE $role; SELECT txpipe.acknowledge_alert($id)");
	is($error && $error->{state}, $sees ? undef : '42704', $sees ? 'who sees an alert acknowledges it' : 'others cannot');
	is(error_of($node, "SET ROLE $role; SELECT txpipe.$_")->{state}, '42501', "$role: $_") for
		q{create_rule('mine', 'policy', 'SELECT account AS subject FROM batch')}, q{alter_rule('who', enabled => false)},
		q{drop_rule('who')}, q{delete_alerts('policy')}, q{test_rule('policy', 'SELECT account AS subject FROM batch')};
}

# --- errors of definitions ---

for (
	[ '22023', q{create_rule('e', 'pay', 'SELECT 1 AS subject; SELECT 2')},           'several statements' ],
	[ '22023', q{create_rule('e', 'pay', 'DELETE FROM batch')},                       'no SELECT' ],
	[ '42601', q{create_rule('e', 'pay', 'SELECT FROM WHERE')},                       'no SQL' ],
	[ '42703', q{create_rule('e', 'pay', 'SELECT account FROM batch')},               'no subject' ],
	[ '42703', q{create_rule('e', 'pay', 'SELECT nothing AS subject FROM batch')},    'no such column' ],
	[ '42804', q{create_rule('e', 'pay', 'SELECT account AS subject, 1 AS event_time FROM batch')}, 'a time that is none' ],
	[ '22023', q{create_rule('e', 'pay', 'SELECT account AS subject FROM batch', 'terrible')}, 'severity' ],
	[ '22023', q{create_rule('e', 'pay', 'SELECT account AS subject FROM batch', cooldown => '-1 s')}, 'cool-down' ],
	[ '22023', q{create_rule('e', 'pay', 'SELECT account AS subject FROM batch', on_error => 'pray')}, 'on_error' ],
	[ '22023', q{create_rule('target', 'pay', 'SELECT account AS subject FROM batch')}, 'the target\'s name' ],
	[ '42710', q{create_rule('large', 'pay', 'SELECT account AS subject FROM batch')}, 'a rule of that name' ],
	[ '42710', q{create_rule('large', 'cool', 'SELECT account AS subject FROM batch')}, 'of another stream' ],
	[ '42710', q{on_batch('pay', 'large', 'SELECT 1')},                               'a step of that name' ],
	[ '42704', q{create_rule('e', 'nowhere', 'SELECT 1 AS subject')},                 'no such stream' ],
	[ '42704', q{alter_rule('nothing', severity => 'low')},                           'no such rule' ],
	[ '42704', q{drop_rule('nothing')},                                               'no rule to drop' ])
{
	my ($state, $call, $what) = @$_;
	my $error = error_of($node, "SELECT txpipe.$call");

	is($error && $error->{state}, $state, "refused: $what");
	ok($error && $error->{hint}, '... with a hint') unless $state eq '42601' || $call =~ /nothing AS/;
}
is(sql('SELECT count(*) FROM txpipe.alert_rule'), 7 - 1, 'nothing is left of what was refused');

# --- a rule that fails follows its policy; changes count from the next batch ---

sql(q{SELECT txpipe.drop_rule('who')});
sql(q{SELECT txpipe.create_rule('ratio', 'policy', 'SELECT account AS subject, (10 / n)::text AS reason FROM batch', on_error => 'skip')});
produce_lines($broker, 'policy', 0, '{"account": "x2", "n": 0}', '{"account": "x3", "n": 5}');
sql(q{CALL txpipe.consume('policy')});
is(sql(q{SELECT (SELECT count(*) FROM policy), (SELECT count(*) FROM txpipe.alert WHERE rule = 'ratio'), errors_total, last_error
	FROM txpipe.stream_step WHERE step = 'ratio'}), '3|0|1|22012: division by zero', 'skip: the batch stays, without its alerts');
sql(q{SELECT txpipe.alter_rule('ratio', on_error => 'dead_letter', severity => 'low')});
produce_lines($broker, 'policy', 0, '{"account": "x4", "n": 0}', '{"account": "x5", "n": 5}');
sql(q{CALL txpipe.consume('policy')});
is(sql(q{SELECT (SELECT count(*) FROM policy), (SELECT string_agg(subject || reason || severity, ' ') FROM txpipe.alert WHERE rule = 'ratio'),
	(SELECT string_agg(code || ' ' || message || ' ' || payload_text, ',') FROM txpipe.dead_letter WHERE stream = 'policy')}),
	'4|x52low|22012 step "ratio": division by zero {"account": "x4", "n": 0}', 'dead_letter: the message is put aside');
sql(q{SELECT txpipe.alter_rule('ratio', on_error => 'stop', query => 'SELECT account AS subject, (20 / n)::text AS reason FROM batch')});
produce_lines($broker, 'policy', 0, '{"account": "x6", "n": 5}');
sql(q{CALL txpipe.consume('policy')});
is(sql(q{SELECT reason FROM txpipe.alert WHERE subject = 'x6'}), '4', 'a changed query counts');
sql(q{SELECT txpipe.alter_rule('ratio', enabled => false)});
produce_lines($broker, 'policy', 0, '{"account": "x7", "n": 0}');
sql(q{CALL txpipe.consume('policy')});
is(sql(q{SELECT count(*), (SELECT enabled FROM txpipe.alert_rule WHERE rule = 'ratio') FROM policy}), '6|f', 'what is switched off does not run');
sql(q{SELECT txpipe.alter_rule('ratio', enabled => true)});
sql(q{SELECT txpipe.resume_stream('policy')});
produce_lines($broker, 'policy', 0, '{"account": "x8", "n": 0}');
wait_for($node, q{SELECT state FROM txpipe.stream_status WHERE stream = 'policy'}, 'the stream is paused', value => 'paused');
is(sql(q{SELECT count(*) || ' ' || (SELECT reason FROM txpipe.stream_status WHERE stream = 'policy') FROM policy}),
	'6 step "ratio" failed, and its on_error is stop: 22012: division by zero', 'stop: the stream is paused, with the reason');
sql(q{SELECT txpipe.drop_rule('ratio')});

# --- the tables a rule reads change ---

sql(<<'SQL');
CREATE TABLE altered (account text, n int);
CREATE TABLE moment (at timestamptz);
INSERT INTO moment VALUES ('2024-03-01T00:00:00Z');
SELECT txpipe.create_stream('altered', 'shop', 'altered', 'altered');
SELECT txpipe.create_rule('moment', 'altered', 'SELECT b.account AS subject, m.at AS event_time FROM batch b, public.moment m');
SQL
produce_lines($broker, 'altered', 0, '{"account": "m1", "n": 1}');
wait_for($node, q{SELECT count(*) = 1 FROM txpipe.alert WHERE rule = 'moment'}, 'the rule raises an alert');
sql(q{ALTER TABLE moment ALTER at TYPE text});
produce_lines($broker, 'altered', 0, '{"account": "m2", "n": 2}');
wait_for($node, q{SELECT state FROM txpipe.stream_status WHERE stream = 'altered'}, 'the stream has an error', value => 'error');
like(sql(q{SELECT reason FROM txpipe.stream_status WHERE stream = 'altered'}), qr/^42804: step "moment": column "event_time" of rule "moment" is of type text/,
	'a column that has become of another type is an error of the rule');
sql(q{ALTER TABLE moment ALTER at TYPE timestamptz USING at::timestamptz});
wait_for($node, q{SELECT count(*) = 2 FROM txpipe.alert WHERE rule = 'moment'}, '... and once it is mended the alert comes');
is(sql('SELECT count(*) FROM altered'), 2, '... with its row, once');
sql(q{SELECT txpipe.drop_stream('altered')});

# --- alerts are there exactly once, with their rows, whoever dies ---

sql(<<'SQL');
CREATE TABLE killed (id int, at timestamptz);
SELECT txpipe.create_stream('kill', 'shop', 'kill', 'killed', options => '{"batch_rows": 50}');
SELECT txpipe.create_rule('killed', 'kill', $$
    SELECT (id % 10)::text AS subject, at AS event_time, id AS transaction_id FROM batch WHERE id % 7 = 0 $$);
SQL
my $id = 0;
for my $round (1 .. 6)
{
	my $before = sql('SELECT count(*) FROM killed');

	produce_lines($broker, 'kill', 0, map { $id++; sprintf '{"id": %d, "at": "%s"}', $id, at($id) } 1 .. 2000);
	wait_for($node, "SELECT count(*) > $before FROM killed", 'a batch is written');
	kill 'KILL', ($round % 2 ? worker_pid($node) : child_pid(worker_pid($node)) // ()) ;
	$node->poll_query_until('postgres', 'SELECT true');
	wait_for_offset($node, 'kill', $id);
}
is(sql('SELECT count(*), count(DISTINCT id) FROM killed'), "$id|$id", 'every row once');
is(sql(q{SELECT count(*), count(DISTINCT transaction_id), (SELECT count(*) FROM killed WHERE id % 7 = 0) FROM txpipe.alert WHERE rule = 'killed'}),
	join('|', (int($id / 7)) x 3), 'every alert once, with its row');

# --- a stream takes its rules and alerts with it ---

sql(q{SELECT txpipe.drop_stream('pay')});
is(sql(q{SELECT (SELECT count(*) FROM txpipe.alert WHERE rule = 'large') + (SELECT count(*) FROM txpipe.alert_rule WHERE rule = 'large')}),
	0, 'nothing is left of a dropped stream');

log_is_clean($node, qr/038_rules.*ERROR:  /, qr/FATAL:  (?!XX)/);
done_testing();
