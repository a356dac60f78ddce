# The outbox: messages are sent when, and only when, their transaction has committed, at least once, whoever dies.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('pay:1', 'alerts:3', 'plain:1', 'other:1');
my $node   = new_node('outbox');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# What the topic holds: {key, value, id} in the order of partition and offset.
sub messages_of
{
	my ($topic) = @_;
	my ($out) = run_command([ 'kcat', '-C', '-q', '-e', '-b', $broker->{servers}, '-t', $topic, '-J' ]);

	return map {
		my $m = decode_json($_);
		my %headers = @{ $m->{headers} // [] };
		{ key => $m->{key}, value => $m->{payload}, id => $headers{'txpipe-id'}, headers => \%headers }
	} split /\n/, $out;
}

sub delivered
{
	my ($what, $topic) = @_;

	wait_for($node, "SELECT count(*) = 0 FROM txpipe.outbox WHERE topic = '$topic' AND delivered_at IS NULL", $what);
	return;
}

# --- alerts reach a topic after their commit ---

sql(<<'SQL');
CREATE TABLE pay (id int PRIMARY KEY, account text, at timestamptz, amount numeric(12,2) CHECK (amount > 0));
SELECT txpipe.create_stream('pay', 'shop', 'pay', 'pay', options => '{"batch_rows": 50}');
SELECT txpipe.create_rule('large', 'pay', $$SELECT account AS subject, at AS event_time, id AS transaction_id, 'too much' AS reason,
	jsonb_build_object('amount', amount) AS evidence, kafka_topic, kafka_partition, kafka_offset FROM batch WHERE amount >= 700$$,
	severity => 'high', topic => 'alerts');
SQL
my $id = 0;

sub pay
{
	my ($n) = @_;

	return map { $id++; sprintf '{"id": %d, "account": "a%d", "at": "2024-03-01T00:00:00Z", "amount": %d}', $id, $id % 9, $id % 10 * 100 + 1 } 1 .. $n;
}
produce_lines($broker, 'pay', 0, pay(500));
wait_for_offset($node, 'pay', 500);
delivered('alerts are delivered', 'alerts');
my @got = messages_of('alerts');
is(scalar @got, 150, 'each alert is a message');
my %value = map { my $v = decode_json($_->{value}); ($v->{transaction_id} => { %$v, key => $_->{key} }) } @got;
is(join(' ', sort { $a <=> $b } keys %value), join(' ', grep { $_ % 10 >= 7 } 1 .. 500), '... once');
my $alert = $value{237};
is_deeply([ @$alert{qw(key subject rule stream severity reason kafka_topic kafka_partition kafka_offset)}, $alert->{evidence}{amount} + 0 ],
	[ 'a3', 'a3', 'large', 'pay', 'high', 'too much', 'pay', 0, 236, 701 ], 'it says what the alert says');
is(sql("SELECT count(*) FROM txpipe.alert WHERE alert_id = $alert->{alert_id} AND transaction_id = '237'"), 1, '... by its number');
my %ids = map { ($_->{id} // 'none' => 1) } @got;
is(scalar keys %ids, 150, 'each has a txpipe-id of its own');
is(sql(q{SELECT count(*), count(delivered_at), max(attempts), count(last_error) FROM txpipe.outbox}), '150|150|1|0', 'the outbox says that all are delivered');

# --- messages of one's own; nothing of what is rolled back ---

sql(q{BEGIN; SELECT txpipe.enqueue('shop', 'plain', 'never'); ROLLBACK;
	BEGIN; SAVEPOINT s; SELECT txpipe.enqueue('shop', 'plain', 'undone'); ROLLBACK TO s; SELECT txpipe.enqueue('shop', 'plain', 'v1', 'k1', '{"source": "test"}');
	COMMIT; SELECT txpipe.enqueue('shop', 'plain', NULL, 'k2')});
delivered('messages are delivered', 'plain');
is_deeply(
	[ map { [ $_->{key}, $_->{value}, $_->{headers}{source} ] } messages_of('plain') ],
	[ [ 'k1', 'v1', 'test' ], [ 'k2', undef, undef ] ],
	'what was committed is sent, with key and headers, in order; nothing else');
produce_lines($broker, 'pay', 0, '{"id": 1, "account": "twice", "at": "2024-03-01T00:00:00Z", "amount": 999}', pay(10));
wait_for_offset($node, 'pay', 511);
delivered('alerts are delivered', 'alerts');
is(scalar(grep { $_->{key} eq 'twice' } messages_of('alerts')), 0, 'a row that was refused has no alert, and sends none');
is(error_of($node, "SELECT txpipe.enqueue($_->[1])")->{state}, $_->[0], "refused: enqueue($_->[1])") for
	[ '42704', q{'nowhere', 'plain', 'x'} ], [ '22023', q{'shop', '', 'x'} ], [ '22023', q{'shop', 'plain', 'x', headers => '[1]'} ], [ '22023', q{'shop', 'plain', 'x', headers => '{"a": 1}'} ];

# --- who sees and sends what ---

sql(q{CREATE ROLE sender; CREATE ROLE stranger; GRANT USAGE ON FOREIGN SERVER shop TO sender;
	GRANT EXECUTE ON FUNCTION txpipe.enqueue(text, text, text, text, jsonb) TO sender, stranger});
sql(q{SET ROLE sender; SELECT txpipe.enqueue('shop', 'other', 'by sender')});
delivered('the message of another role is delivered', 'other');
is(sql(q{SET ROLE sender; SELECT string_agg(value, ' ') FROM txpipe.outbox}), 'by sender', 'one sees one\'s own messages');
is(sql(q{SET ROLE stranger; SELECT count(*) FROM txpipe.outbox}), 0, '... and no others');
is(error_of($node, q{SET ROLE stranger; SELECT txpipe.enqueue('shop', 'other', 'x')})->{state}, '42501', 'the server must be granted');
sql(q{GRANT USAGE ON FOREIGN SERVER shop TO sender; SET ROLE sender; BEGIN; SELECT txpipe.enqueue('shop', 'other', 'later'); RESET ROLE;
	REVOKE USAGE ON FOREIGN SERVER shop FROM sender; COMMIT});
wait_for($node, q{SELECT last_error LIKE '42501%' AND retry_at IS NOT NULL FROM txpipe.outbox WHERE value = 'later'}, 'a lost right is an error of its route');
sql(q{SELECT txpipe.enqueue('shop', 'plain', 'meanwhile')});
delivered('others are delivered meanwhile', 'plain');
sql(q{GRANT USAGE ON FOREIGN SERVER shop TO sender});
delivered('with the right it goes on', 'other');
is(join(' ', map { $_->{value} } messages_of('other')), 'by sender later', 'in order');

# --- a topic that is not there; a message that is too large ---

sql(q{SELECT txpipe.enqueue('shop', 'nosuch', 'lost?')});
wait_for($node, q{SELECT last_error LIKE '%nosuch%' FROM txpipe.outbox WHERE value = 'lost?'}, 'a missing topic is told');
topic_control($broker, 'topic nosuch 1');
delivered('once it is there the message arrives', 'nosuch');
is(join(' ', map { $_->{value} } messages_of('nosuch')), 'lost?', '... as it was');
sql(q{BEGIN; SELECT txpipe.enqueue('shop', 'plain', repeat('x', 1500000), 'huge'); SELECT txpipe.enqueue('shop', 'plain', 'behind'); COMMIT});
wait_for($node, q{SELECT bool_and(CASE value WHEN 'behind' THEN delivered_at IS NOT NULL ELSE last_error ~ 'size' AND delivered_at IS NULL END)
	FROM txpipe.outbox WHERE value = 'behind' OR key = 'huge'}, 'what the client refuses holds nothing up');
sql(q{DELETE FROM txpipe.outbox_store WHERE key = 'huge'});

# --- killed in between: each message arrives, perhaps twice, then with the same id ---

for my $round (1 .. 6)
{
	produce_lines($broker, 'pay', 0, pay(1000));
	wait_for($node, 'SELECT max(id) > ' . ($id - 1000) . ' FROM pay', 'a batch is written');
	kill 'KILL', ($round % 2 ? worker_pid($node) : child_pid(worker_pid($node)) // ());
	$node->poll_query_until('postgres', 'SELECT true');
	wait_for_offset($node, 'pay', $id + 1);
}
delivered('all alerts are delivered', 'alerts');
my (%count, %of_id, %id_of);
for my $m (messages_of('alerts'))
{
	my $transaction = decode_json($m->{value})->{transaction_id};

	$count{$transaction}++;
	$of_id{ $m->{id} }{$transaction} = 1;
	$id_of{$transaction}{ $m->{id} } = 1;
}
is(scalar keys %count, sql('SELECT count(*) FROM pay WHERE amount >= 700'), 'every alert arrives');
is(scalar(grep { keys %$_ != 1 } values %of_id, values %id_of), 0, 'what arrives twice has the same id');

# --- brokers that are away ---

topic_control($broker, 'down 1');
sql(q{SELECT txpipe.enqueue('shop', 'plain', 'while down ' || g) FROM generate_series(1, 3) g});
wait_for($node, q{SELECT count(*) = 3 FROM txpipe.outbox WHERE value LIKE 'while down%' AND last_error IS NOT NULL AND delivered_at IS NULL},
	'while the brokers are away the reason is shown');
topic_control($broker, 'up 1');
delivered('when they are back messages are delivered', 'plain');
is(join(' ', grep { /^while/ } map { $_->{value} // '' } messages_of('plain')), 'while down 1 while down 2 while down 3', '... in order');

# --- without workers: by hand ---

sql(q{SELECT txpipe.drop_stream('pay')});
wait_for($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'}, 'without streams and messages no worker stays');
sql(q{SELECT txpipe.enqueue('shop', 'plain', 'nobody here')});
delivered('a worker comes for a message', 'plain');
$node->append_conf('postgresql.conf', q{shared_preload_libraries = ''});
$node->restart;
sql(q{SELECT txpipe.enqueue('shop', 'plain', 'by hand ' || g) FROM generate_series(1, 1200) g});
is(error_of($node, 'BEGIN; CALL txpipe.deliver_outbox()')->{state}, '25001', 'deliver_outbox() wants no transaction block');
$node->psql('postgres', 'CALL txpipe.deliver_outbox()', stderr => \my $notice);
like($notice, qr/messages delivered: 1200/, 'deliver_outbox() delivers without workers');
my @by_hand = grep { ($_->{value} // '') =~ /^by hand/ } messages_of('plain');
is(join(' ', map { $_->{value} =~ /(\d+)/ } @by_hand), join(' ', 1 .. 1200), '... all, in order');
sql(q{SELECT txpipe.enqueue('shop', 'absent', 'x'); SELECT txpipe.enqueue('shop', 'plain', 'last')});
$node->psql('postgres', 'CALL txpipe.deliver_outbox()', stderr => \$notice);
like($notice, qr/WARNING:.*absent.*messages delivered: 1$/s, 'what fails is a warning');

# --- topics whose names are not harmless: they are refused one by one, and hold nothing up ---

my @odd = (q{a'; DROP TABLE txpipe.outbox_store; --}, q{a"; b}, q{$1 %s \\}, "\xC3\xA9\xE2\x80\xAE", '../x', "a\nb", 'x' x 300, '<script>alert(1)</script>', '^p.*', 'plain,other');
sql(join '; ', map { 'SELECT txpipe.enqueue($e$shop$e$, $e$' . $_ . '$e$, $e$' . $_ . '$e$, $e$' . $_ . '$e$)' } @odd);
sql(q{SELECT txpipe.enqueue('shop', 'plain', 'behind them')});
my @before = messages_of('other');
$node->psql('postgres', 'CALL txpipe.deliver_outbox()', stderr => \$notice);
like($notice, qr/messages delivered: 1$/, 'messages for odd topics hold none up');
is(sql(q{SELECT count(*), count(last_error), count(delivered_at) FROM txpipe.outbox WHERE topic = value}), @odd . '|' . @odd . '|0', '... and say why they are not delivered');
is_deeply([ messages_of('other') ], \@before, 'a list or a pattern of topics is a name like any other');
is(sql(q{SELECT count(*) FROM txpipe.metric WHERE value IS NULL}), '0', 'metrics go on');
sql(q{DELETE FROM txpipe.outbox_store WHERE delivered_at IS NULL});

# --- a copy sends nothing; delivered messages go after a day ---

sql('CREATE DATABASE copy TEMPLATE postgres');
$node->psql('postgres', 'DELETE FROM txpipe.outbox_store WHERE delivered_at IS NULL');
$node->psql('copy', 'CALL txpipe.deliver_outbox()', stderr => \$notice);
is($notice =~ s/.*NOTICE:  //sr, "messages delivered: 0", 'a copy of the database delivers nothing of it');
sql(q{UPDATE txpipe.outbox_store SET delivered_at = delivered_at - interval '25 hours' WHERE value = 'last'});
$node->psql('postgres', 'CALL txpipe.deliver_outbox()');
is(sql(q{SELECT count(*) FROM txpipe.outbox WHERE value IN ('last', 'by hand 1')}), 1, 'messages are kept for a day');
my $old = sql(q{WITH aged AS (UPDATE txpipe.outbox_store SET delivered_at = delivered_at - interval '25 hours' RETURNING 1) SELECT count(*) FROM aged});
cmp_ok($old, '>', 1200, "$old of them are old");
sql(q{SELECT txpipe.enqueue('shop', 'plain', 'again ' || g) FROM generate_series(1, 1200) g});
$node->psql('postgres', 'CALL txpipe.deliver_outbox()');
is(sql(q{SELECT count(*) FILTER (WHERE value NOT LIKE 'again %'), count(*) FROM txpipe.outbox}), '0|1200', '... each delivery removes more of them than it adds');

log_is_clean($node, qr/039_outbox.*(?:ERROR|FATAL):  /, qr/FATAL:  /);
done_testing();
