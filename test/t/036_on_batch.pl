# SQL on every batch of a stream. What tables shall hold is computed here from the messages.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my @topics = qw(orders clean policy);
my $broker = start_broker(map { "$_:1" } @topics);
my $node   = new_node('steps');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_text { return (error_of(@_) // { text => 'no error' })->{text}; }

# --- several steps, in order, with a look-up and a fan-out ---

sql(<<'SQL');
CREATE TABLE orders (id int PRIMARY KEY, customer int, amount numeric(10,2) CHECK (amount < 1000));
CREATE TABLE customers (customer int PRIMARY KEY, segment text);
INSERT INTO customers SELECT g, CASE WHEN g % 3 = 0 THEN 'gold' ELSE 'plain' END FROM generate_series(0, 9) g;
CREATE TABLE by_segment (segment text PRIMARY KEY, orders bigint, amount numeric);
CREATE TABLE trail (n bigserial, what text, kafka_partition int, kafka_offset bigint, topic text, at timestamptz, known bigint);
SELECT txpipe.create_stream('orders', 'shop', 'orders', 'orders', paused => true, options => '{"batch_rows": 100}');
SELECT txpipe.on_batch('orders', 'sums', $$
    INSERT INTO public.by_segment AS t
    SELECT c.segment, count(*), sum(b.amount) FROM batch b JOIN public.customers c USING (customer) GROUP BY 1
    ON CONFLICT (segment) DO UPDATE SET orders = t.orders + excluded.orders, amount = t.amount + excluded.amount $$);
SELECT txpipe.on_batch('orders', 'before', $$
    INSERT INTO public.trail (what, kafka_partition, kafka_offset, topic, at, known)
    SELECT 'before', kafka_partition, kafka_offset, kafka_topic, kafka_timestamp, (SELECT count(*) FROM public.orders o WHERE o.id = b.id) FROM batch b $$, -10);
SELECT txpipe.on_batch('orders', 'behind', $$
    INSERT INTO public.trail (what, kafka_partition, kafka_offset, topic, at, known)
    SELECT 'behind', kafka_partition, kafka_offset, kafka_topic, kafka_timestamp, (SELECT count(*) FROM public.orders o WHERE o.id = b.id) FROM batch b $$);
SQL
my (%orders, %amount);
my @messages;
srand 36;
for my $id (1 .. 1000)
{
	my $customer = int rand 10;
	my $cents    = int rand 90000;

	push @messages, sprintf '{"id": %d, "customer": %d, "amount": %.2f}', $id, $customer, $cents / 100;
	my $segment = $customer % 3 ? 'plain' : 'gold';
	$orders{$segment}++;
	$amount{$segment} += $cents;
}
produce_lines($broker, 'orders', 0, @messages);
sub by_segment
{
	return join "\n", map { sprintf '%s|%d|%.2f', $_, $orders{$_}, $amount{$_} / 100 } sort keys %orders;
}
sql(q{CALL txpipe.consume('orders', 7)});
is(sql('SELECT count(*) FROM orders'), 7, 'consume() writes a batch');
is(sql('SELECT sum(orders) FROM by_segment'), 7, '... and runs the steps');
sql(q{SELECT txpipe.resume_stream('orders')});
wait_for_offset($node, 'orders', 1000);
is(sql('SELECT * FROM by_segment ORDER BY 1'), by_segment(), 'sums by segment, over a join');
is(sql('SELECT what, known, count(*), min(kafka_offset), max(kafka_offset), count(DISTINCT kafka_offset), min(topic), count(at)
	FROM trail GROUP BY 1, 2 ORDER BY 1'),
	"before|0|1000|0|999|1000|orders|1000\nbehind|1|1000|0|999|1000|orders|1000",
	'steps with negative ordinals run before the insert, the others behind it');
is(sql("SELECT step, ordinal, on_error, calls_total > 10, rows_total, seconds_total > 0, last_ms > 0, errors_total, last_error, sql LIKE '%batch%'
	FROM txpipe.stream_step WHERE stream = 'orders' ORDER BY ordinal"),
	"before|-10|stop|t|1000|t|t|0||t\n" . "sums|100|stop|t|" . sql("SELECT rows_total FROM txpipe.stream_step WHERE step = 'sums'")
	. "|t|t|0||t\nbehind|200|stop|t|1000|t|t|0||t", 'stream_step counts');

# --- a transform in place of the insert ---

sql(<<'SQL');
CREATE TABLE clean (id int PRIMARY KEY, name text NOT NULL, amount numeric NOT NULL, country text);
CREATE TABLE countries (code text PRIMARY KEY, country text);
INSERT INTO countries VALUES ('EG', 'Egypt'), ('SE', 'Sweden');
SELECT txpipe.create_stream('clean', 'shop', 'clean', 'clean', columns => '{"id": "id", "name": "n", "amount": "a", "country": "c"}', paused => true);
SELECT txpipe.on_batch('clean', 'target', $$
    INSERT INTO public.clean (id, name, amount, country)
    SELECT id, upper(trim(name)), abs(amount), k.country FROM batch LEFT JOIN public.countries k ON k.code = batch.country
     WHERE amount <> 0 ORDER BY id $$, on_error => 'dead_letter');
CREATE TABLE dropped (id int, amount numeric);
SELECT txpipe.on_batch('clean', 'dropped', 'INSERT INTO public.dropped SELECT id, amount FROM batch WHERE amount = 0');
SQL
produce_lines($broker, 'clean', 0, '{"id": 1, "n": " anna ", "a": 5, "c": "SE"}', '{"id": 2, "n": "bo", "a": 0, "c": "SE"}',
	'{"id": 3, "n": "cleo", "a": -7.5, "c": "EG"}', '{"id": 4, "n": "dan", "a": 1, "c": "XX"}');
sql(q{SELECT txpipe.resume_stream('clean')});
wait_for_offset($node, 'clean', 4);
is(sql('SELECT * FROM clean ORDER BY id'), "1|ANNA|5|Sweden\n3|CLEO|7.5|Egypt\n4|DAN|1|", 'the step target filters, transforms and enriches');
is(sql('SELECT * FROM dropped'), '2|0', '... and the others see all messages');
is(sql("SELECT step, ordinal, rows_total FROM txpipe.stream_step WHERE stream = 'clean' ORDER BY ordinal"), "target|0|3\ndropped|100|1",
	'it has the ordinal of the insert');

# --- what a step may be ---

like(error_text($node, "SELECT txpipe.on_batch('clean', 'target', 'SELECT 1', on_error => 'skip')"), qr/22023.*cannot be skipped/s, 'the target is never skipped');
for my $case (
	[ 'SELECT INTO',      'SELECT * INTO public.taken FROM batch',                            qr/22023.*not a query/s ],
	[ 'INTO of a UNION',  'SELECT id INTO public.taken FROM batch UNION SELECT 1',            qr/22023.*not a query/s ],
	[ 'CREATE TABLE AS',  'CREATE TABLE public.taken AS SELECT * FROM batch',                 qr/22023.*not a query/s ],
	[ 'COPY',             'COPY public.dropped TO PROGRAM $x$true$x$',                        qr/22023.*not a query/s ],
	[ 'DDL',              'TRUNCATE public.dropped',                                          qr/22023.*not a query/s ],
	[ 'COMMIT',           'COMMIT',                                                           qr/22023.*not a query/s ],
	[ 'DO',               'DO $x$ BEGIN PERFORM 1; END $x$',                                  qr/22023.*not a query/s ],
	[ 'two statements',   'DELETE FROM public.dropped; DELETE FROM public.clean',             qr/22023.*2 statements/s ],
	[ 'nothing',          ' -- nothing',                                                      qr/22023.*0 statements/s ],
	[ 'bad syntax',       'SELEC 1',                                                          qr/42601/ ],
	[ 'no such column',   'SELECT nothing FROM batch',                                        qr/42703/ ],
	[ 'no such table',    'INSERT INTO public.nowhere SELECT id FROM batch',                  qr/42P01/ ],
	[ 'no schema',        'INSERT INTO dropped SELECT id FROM batch',                         qr/42P01/ ],
	[ 'a write to batch', 'DELETE FROM batch',                                                qr/0A000/ ],
	[ 'a parameter',      'SELECT $1 FROM batch',                                             qr/42P02/ ])
{
	my ($what, $step, $error) = @$case;

	$step =~ s/'/''/g;
	like(error_text($node, "SELECT txpipe.on_batch('clean', 'x', '$step')"), $error, "refused: $what");
}
like(error_text($node, "SELECT txpipe.on_batch('clean', 'x', 'SELECT 1', on_error => 'retry')"), qr/22023.*stop, skip or dead_letter/s, 'refused: another policy');
like(error_text($node, "SELECT txpipe.on_batch('clean', 'x', 'SELECT 1', 0)"),    qr/22023.*ordinal 0/s,           'refused: the place of the insert');
like(error_text($node, "SELECT txpipe.on_batch('clean', 'target', 'SELECT 1', 5)"), qr/22023.*ordinal 5/s,         'refused: another place for the target');
like(error_text($node, "SELECT txpipe.on_batch('clean', 'x', 'SELECT 1', 100)"),  qr/22023.*belongs to step "dropped"/s, 'refused: a place that is taken');
like(error_text($node, "SELECT txpipe.on_batch('clean', '', 'SELECT 1')"),        qr/22023.*must have a name/s,    'refused: no name');
like(error_text($node, "SELECT txpipe.on_batch('nowhere', 'x', 'SELECT 1')"),     qr/42704/,                      'refused: no such stream');
like(error_text($node, "SELECT txpipe.drop_step('clean', 'x')"),                  qr/42704.*no step "x"/s,         'refused: no such step to drop');
like(error_text($node, q(SELECT txpipe.alter_stream('clean', columns => '{"id": "id", "name": "n", "amount": "a"}'))), qr/42703.*step "target"/s,
	'a mapping must fit the steps');
is(sql("SELECT to_regclass('public.taken') IS NULL"), 't', 'nothing of it was run');
is(sql("SELECT string_agg(message, ', ' ORDER BY stream_event_id) FROM txpipe.stream_event WHERE stream = 'clean' AND event = 'altered'"),
	'step "target" set by postgres, step "dropped" set by postgres', 'changes are in the log');

# --- policies ---

sql(<<'SQL');
CREATE TABLE policy (id int PRIMARY KEY, v int);
CREATE TABLE halves (id int, half numeric CHECK (half <> 13));
CREATE TABLE sums (one bool PRIMARY KEY, n bigint, total bigint);
INSERT INTO sums VALUES (true, 0, 0);
SELECT txpipe.create_stream('policy', 'shop', 'policy', 'policy', paused => true);
SELECT txpipe.on_batch('policy', 'halves', 'INSERT INTO public.halves SELECT id, 100.0 / v FROM batch');
SELECT txpipe.on_batch('policy', 'sums', 'UPDATE public.sums s SET n = s.n + b.n, total = s.total + b.total
    FROM (SELECT count(*) AS n, sum(v) AS total FROM batch) b');
SQL
produce_lines($broker, 'policy', 0, '{"id": 1, "v": 1}', '{"id": 2, "v": 2}');
sql(q{SELECT txpipe.resume_stream('policy')});
wait_for_offset($node, 'policy', 2);
produce_lines($broker, 'policy', 0, '{"id": 3, "v": 4}', '{"id": 4, "v": 0}', '{"id": 5, "v": 5}');
wait_for($node, "SELECT state FROM txpipe.stream_status WHERE stream = 'policy'", 'the step stops the stream', value => 'paused');
is(sql("SELECT reason FROM txpipe.stream_status WHERE stream = 'policy'"), 'step "halves" failed, and its on_error is stop: 22012: division by zero',
	'stop: the reason names the step');
is(sql('SELECT (SELECT count(*) FROM policy), (SELECT count(*) FROM halves), n, total FROM sums'), '2|2|2|3', '... and the batch is undone');
is(sql("SELECT next_offset FROM txpipe.stream_partition WHERE stream = 'policy'"), 2, '... and comes again');
is(sql("SELECT step, errors_total, last_error, last_error_at IS NOT NULL FROM txpipe.stream_step WHERE stream = 'policy' ORDER BY ordinal"),
	"halves|1|22012: division by zero|t\nsums|0||f", '... and the error is the step\'s');
is($node->psql('postgres', "CALL txpipe.consume('policy')", stderr => \my $notice), 0, 'consume() is no way round it');
like($notice, qr/nothing was read/, '... and says so');
unlike($notice, qr/messages read/, '... once');
is(sql("SELECT next_offset, (SELECT count(*) FROM policy) FROM txpipe.stream_partition WHERE stream = 'policy'"), '2|2', '... and wrote nothing');

sql(<<'SQL');
SELECT txpipe.on_batch('policy', 'halves', 'INSERT INTO public.halves SELECT id, 100.0 / v FROM batch', on_error => 'skip');
SELECT txpipe.resume_stream('policy');
SQL
wait_for_offset($node, 'policy', 5);
is(sql('SELECT (SELECT count(*) FROM policy), (SELECT count(*) FROM halves), n, total FROM sums'), '5|2|5|12', 'skip: the step is left out, all else is written');
is(sql("SELECT ordinal, errors_total, last_error FROM txpipe.stream_step WHERE stream = 'policy' AND step = 'halves'"),
	'100|3|22012: division by zero', '... and the error counted; a step that is replaced keeps its place and counts');
sql('ALTER TABLE halves RENAME TO quarters');
produce_lines($broker, 'policy', 0, '{"id": 6, "v": 6}');
wait_for_offset($node, 'policy', 6);
like(sql("SELECT last_error FROM txpipe.stream_step WHERE stream = 'policy' AND step = 'halves'"), qr/^42P01: relation "public.halves" does not exist/,
	'... a step that lost its table is skipped, too');
sql('ALTER TABLE quarters RENAME TO halves');
produce_lines($broker, 'policy', 0, '{"id": 7, "v": 8}');
wait_for_offset($node, 'policy', 7);
is(sql('SELECT id, half::numeric(10,1) FROM halves ORDER BY id'), "1|100.0\n2|50.0\n7|12.5", '... until it is back');

# Two bad rows of a thousand, and one that a constraint of the step's table refuses.
sql(<<'SQL');
SELECT txpipe.pause_stream('policy');
SELECT txpipe.on_batch('policy', 'halves', 'INSERT INTO public.halves SELECT id, 1300.0 / v FROM batch', on_error => 'dead_letter');
SQL
my ($n, $total) = (7, 26);
produce_lines($broker, 'policy', 0, map {
	my $v = $_ == 300 || $_ == 777 ? 0 : $_ == 901 ? 100 : 1 + $_ % 50;
	if ($v > 0 && $v < 100) { $n++; $total += $v; }
	sprintf '{"id": %d, "v": %d}', 1000 + $_, $v } 1 .. 1000);
sql(q{CALL txpipe.consume('policy')});
is(sql('SELECT (SELECT count(*) FROM policy), (SELECT count(*) FROM halves), n, total FROM sums'), "1004|1000|$n|$total",
	'dead_letter: all but the messages at fault are written once');
is(sql("SELECT kafka_offset, code, message FROM txpipe.dead_letter WHERE stream = 'policy' ORDER BY 1"), <<"END" =~ s/\n$//r, '... which are dead letters, with the step');
306|22012|step "halves": division by zero
783|22012|step "halves": division by zero
907|23514|step "halves": new row for relation "halves" violates check constraint "halves_half_check": Failing row contains (1901, 13.0000000000000000).
END
is(sql("SELECT errors_total FROM txpipe.stream_step WHERE stream = 'policy' AND step = 'halves'"), 4 + 3, '... and counted');
is(sql("SELECT rows_total FROM txpipe.stream_step WHERE stream = 'policy' AND step = 'halves'"), 1000, '... rows of tries that failed are not');
is(sql("SELECT rows_total, dead_letters_total FROM txpipe.stream_status WHERE stream = 'policy'"), '1004|3', '... also in the status');

# A replay runs the steps; a letter that fails again stays one, whatever the policy.
is(sql("SELECT * FROM txpipe.replay_dead_letters('policy', dry_run => true)"), '0|3|3', 'a replay runs the steps');
is(sql("SELECT * FROM txpipe.replay_dead_letters('policy', (SELECT array_agg(dead_letter_id) FROM txpipe.dead_letter WHERE stream = 'policy' AND kafka_offset = 306), payload => '{\"id\": 1300, \"v\": 26}')"),
	'1|0|2', '... which see the mended message');
is(sql('SELECT half::int FROM halves WHERE id = 1300'), 50, '... as a row');
sql(q{SELECT txpipe.on_batch('policy', 'halves', 'INSERT INTO public.halves SELECT id, 1300.0 / v FROM batch', on_error => 'stop')});
is(sql("SELECT * FROM txpipe.replay_dead_letters('policy')"), '0|2|2', 'policy stop does not stop a replay');
is(sql('SELECT n, total FROM sums'), ($n + 1) . '|' . ($total + 26), 'other steps have counted the message once');

# What sessions were refused; what streams met is in their log.
log_is_clean($node, qr/036_on_batch.pl ERROR/);
done_testing();
