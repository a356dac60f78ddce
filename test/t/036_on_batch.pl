# SQL on every batch of a stream. What tables shall hold is computed here from the messages.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my @topics = qw(orders clean policy mixed rights keyed texts twice grows looks children plain);
my $broker = start_broker('killed:2', map { "$_:1" } @topics);
my $node   = new_node('steps', conf => 'max_prepared_transactions = 2');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Lines are key, tab, value; an empty value is none.
sub produce_keyed
{
	my ($topic, @lines) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/keyed';

	open my $fh, '>', $file or die "$file: $!";
	print $fh map { "$_\n" } @lines;
	close $fh;
	system_or_bail('kcat', '-P', '-Z', '-b', $broker->{servers}, '-t', $topic, '-p', 0, '-K', "\t", '-l', $file);
	return;
}

# While the stream of the topic's name pauses: a running one could read the first message before the others are there, as a batch of its own.
sub produce_batch
{
	my ($topic, @lines) = @_;

	sql("SELECT txpipe.pause_stream('$topic')");
	produce_lines($broker, $topic, 0, @lines);
	sql("SELECT txpipe.resume_stream('$topic')");
	return;
}

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
SELECT txpipe.create_stream('clean', 'shop', 'clean', 'clean', paused => true,
    columns => '{"id": "id", "name": "n", "amount": "a", "country": "c", "score": {"path": "metadata.score", "type": "smallint", "default": 1}}');
SELECT txpipe.on_batch('clean', 'target', $$
    INSERT INTO public.clean (id, name, amount, country)
    SELECT id, upper(trim(name)), abs(amount), k.country FROM batch LEFT JOIN public.countries k ON k.code = batch.country
     WHERE amount <> 0 ORDER BY id $$, on_error => 'dead_letter');
CREATE TABLE dropped (id int, amount numeric);
SELECT txpipe.on_batch('clean', 'dropped', 'INSERT INTO public.dropped SELECT id, amount FROM batch WHERE amount = 0');
CREATE TABLE scores (id int, score smallint);
SELECT txpipe.on_batch('clean', 'scores', 'INSERT INTO public.scores SELECT id, score FROM batch');
SQL
produce_lines($broker, 'clean', 0, '{"id": 1, "n": " anna ", "a": 5, "c": "SE"}', '{"id": 2, "n": "bo", "a": 0, "c": "SE"}',
	'{"id": 3, "n": "cleo", "a": -7.5, "c": "EG", "metadata": {"score": 12}}', '{"id": 4, "n": "dan", "a": 1, "c": "XX"}');
sql(q{SELECT txpipe.resume_stream('clean')});
wait_for_offset($node, 'clean', 4);
is(sql('SELECT * FROM clean ORDER BY id'), "1|ANNA|5|Sweden\n3|CLEO|7.5|Egypt\n4|DAN|1|", 'the step target filters, transforms and enriches');
is(sql('SELECT * FROM dropped'), '2|0', '... and the others see all messages');
is(sql("SELECT step, ordinal, rows_total FROM txpipe.stream_step WHERE stream = 'clean' ORDER BY ordinal"), "target|0|3\ndropped|100|1\nscores|200|4",
	'it has the ordinal of the insert');

is(sql('SELECT * FROM scores ORDER BY id'), "1|1\n2|1\n3|12\n4|1", 'columns with a type of their own are for the steps');
sql("SELECT txpipe.drop_step('clean', 'target'), txpipe.drop_step('clean', 'dropped')");
produce_lines($broker, 'clean', 0, '{"id": 5, "n": "eve", "a": 3, "c": "SE", "metadata": {"score": 77}}');
wait_for_offset($node, 'clean', 5);
sql("SELECT txpipe.drop_step('clean', 'scores')");
produce_lines($broker, 'clean', 0, '{"id": 6, "n": "fay", "a": 3, "c": "SE", "metadata": {"score": "many"}}');
wait_for_offset($node, 'clean', 6);
is(sql('SELECT c.*, score FROM clean c LEFT JOIN scores USING (id) WHERE id > 4 ORDER BY id'), "5|eve|3|SE|77\n6|fay|3|SE|",
	'... beside the plain insert, and not looked at without them');
like(error_text($node, q(SELECT txpipe.alter_stream('clean', columns => '{"id": "id", "score": "metadata.score"}'))), qr/42703.*"score"/s,
	'... others must be the target\'s');
like(error_text($node, q(SELECT txpipe.alter_stream('clean', columns => '{"id": {"path": "id", "type": "int"}}'))), qr/unusable member "type"/,
	'... which have types already');
sql(q{SELECT txpipe.on_batch('clean', 'target', 'INSERT INTO public.clean SELECT id, name, amount, country FROM batch'),
	txpipe.on_batch('clean', 'dropped', 'SELECT 1')});

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
	join(', ', map { "step \"$_ by postgres" } 'target" set', 'dropped" set', 'scores" set', 'target" dropped', 'dropped" dropped', 'scores" dropped',
		'target" set', 'dropped" set'), 'changes are in the log');

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
produce_batch('policy', '{"id": 3, "v": 4}', '{"id": 4, "v": 0}', '{"id": 5, "v": 5}');
wait_for($node, "SELECT state = 'paused' AND reason LIKE 'step %' FROM txpipe.stream_status WHERE stream = 'policy'", 'the step stops the stream');
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

# A step that is skipped and one that refuses a message, in one batch; locks are nobody's fault.
sql(<<'SQL');
CREATE TABLE mixed (id int PRIMARY KEY, v int);
CREATE TABLE inverse (id int, v numeric);
SELECT txpipe.create_stream('mixed', 'shop', 'mixed', 'mixed', paused => true);
SELECT txpipe.on_batch('mixed', 'bad', 'INSERT INTO public.inverse SELECT id, 1 / (id - id) FROM batch', -1, 'skip');
SELECT txpipe.on_batch('mixed', 'refuse', 'INSERT INTO public.inverse SELECT id, 12 / v FROM batch', on_error => 'dead_letter');
SQL
produce_lines($broker, 'mixed', 0, map { sprintf '{"id": %d, "v": %d}', $_, $_ == 4 ? 0 : $_ } 1 .. 6);
sql(q{CALL txpipe.consume('mixed')});
is(sql('SELECT (SELECT string_agg(id::text, \',\' ORDER BY id) FROM mixed), (SELECT string_agg(v::text, \',\' ORDER BY id) FROM inverse)'),
	'1,2,3,5,6|12,6,4,2,2', 'a step is skipped in every part of a batch');
is(sql("SELECT step, errors_total BETWEEN 1 AND 6, rows_total, last_error FROM txpipe.stream_step WHERE stream = 'mixed' ORDER BY ordinal"),
	"bad|t|0|22012: division by zero\nrefuse|t|5|22012: division by zero", '... and both errors are told');
sql("SELECT txpipe.on_batch('mixed', 'bad', 'INSERT INTO public.inverse SELECT id, -1 FROM batch', on_error => 'skip'), txpipe.resume_stream('mixed')");
sql("BEGIN; LOCK TABLE inverse; PREPARE TRANSACTION 'lock'");
produce_lines($broker, 'mixed', 0, '{"id": 7, "v": 7}');
wait_for($node, "SELECT last_error LIKE '55P03: step \"bad\": %' FROM txpipe.stream_status WHERE stream = 'mixed'", 'the lock is told');
is(sql('SELECT count(*) FROM mixed'), 5, 'a step that does not get its lock is not skipped');
sql("COMMIT PREPARED 'lock'");
wait_for_offset($node, 'mixed', 7);
is(sql('SELECT string_agg(v::text, \',\') FROM inverse WHERE id = 7'), '-1,1', '... but tried again with its batch');

# --- whose rights, and what a step leaves behind ---

sql(<<'SQL');
CREATE ROLE clerk LOGIN;
CREATE ROLE reader LOGIN;
CREATE ROLE boss LOGIN SUPERUSER;
GRANT USAGE ON FOREIGN SERVER shop TO clerk;
GRANT USAGE ON SCHEMA txpipe TO clerk, reader;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO clerk;
CREATE SCHEMA clerk AUTHORIZATION clerk;
CREATE TABLE secret (v int);
SET ROLE clerk;
CREATE TABLE clerk.rights (id int);
GRANT USAGE ON SCHEMA clerk TO reader;
GRANT SELECT ON clerk.rights TO reader;
CREATE TABLE clerk.seen (who text, outer_role text, path text, zone text, work text);
CREATE FUNCTION clerk.look(id int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO clerk.seen VALUES (current_user, current_setting('role'), current_setting('search_path'), current_setting('timezone'), current_setting('work_mem'));
    PERFORM set_config('search_path', 'clerk', true), set_config('timezone', 'Asia/Tokyo', false);
    SET LOCAL work_mem = '77MB';
    -- A subtransaction of its own.
    BEGIN
        PERFORM 1 / 0;
    EXCEPTION WHEN division_by_zero THEN
        INSERT INTO clerk.seen VALUES ('caught', '', '', '', '');
    END;
END $$;
CREATE FUNCTION clerk.become_boss() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL ROLE boss;
END $$;
CREATE FUNCTION clerk.reset_role() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RESET ROLE;
END $$;
CREATE FUNCTION clerk.reset_session() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SET SESSION AUTHORIZATION boss;
END $$;
CREATE FUNCTION clerk.look_for_batch() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT count(*) FROM batch);
END $$;
CREATE FUNCTION clerk.commit_it() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    COMMIT;
END $$;
SELECT txpipe.create_stream('rights', 'shop', 'rights', 'clerk.rights', paused => true);
SELECT txpipe.on_batch('rights', 'look', 'SELECT clerk.look(id) FROM batch');
SELECT txpipe.on_batch('rights', 'look again', 'SELECT clerk.look(id) FROM batch');
SQL
produce_lines($broker, 'rights', 0, '{"id": 1}');
is($node->psql('postgres', "SET ROLE boss; CALL txpipe.consume('rights'); RESET ROLE", on_error_stop => 1), 0, 'a superuser may consume');
is(sql("SELECT DISTINCT who, outer_role, path, zone, work FROM clerk.seen WHERE who <> 'caught'"), 'clerk|boss|pg_catalog, pg_temp|UTC|4MB',
	'steps run as the owner, and settings that one has changed are not the next one\'s');
is(sql("SELECT count(*) FILTER (WHERE who = 'caught'), count(*) FROM clerk.seen"), '2|4', 'functions may catch errors');
for my $function (qw(become_boss reset_role reset_session))
{
	sql("SET ROLE clerk; SELECT txpipe.on_batch('rights', 'escape', 'SELECT clerk.$function() FROM batch')");
	produce_lines($broker, 'rights', 0, '{"id": 2}') if $function eq 'become_boss';
	like(error_text($node, "CALL txpipe.consume('rights')"), qr/42501: step "escape": cannot set parameter "(role|session_authorization)" within security-definer function/,
		"a step cannot become another role: $function");
}
sql("SET ROLE clerk; SELECT txpipe.on_batch('rights', 'escape', 'INSERT INTO clerk.seen (who) SELECT v FROM public.secret')");
like(error_text($node, "CALL txpipe.consume('rights')"), qr/42501: step "escape": permission denied for table secret/, '... nor read with the rights of who calls');
sql("SET ROLE clerk; SELECT txpipe.on_batch('rights', 'escape', 'SELECT clerk.commit_it() FROM batch')");
like(error_text($node, "CALL txpipe.consume('rights')"), qr/2D000: step "escape": invalid transaction termination/, '... nor commit');
sql("SET ROLE clerk; SELECT txpipe.on_batch('rights', 'escape', 'SELECT clerk.look_for_batch()')");
like(error_text($node, "CALL txpipe.consume('rights')"), qr/42P01: step "escape": relation "batch" does not exist.*HINT: .*array_agg/s,
	'a function that looks for batch is told how');
sql("SET ROLE clerk; SELECT txpipe.resume_stream('rights')");
wait_for($node, "SELECT state || ': ' || reason LIKE 'error: 42P01: step \"escape\": relation \"batch\" does not exist.%array_agg%'
	FROM txpipe.stream_status WHERE stream = 'rights'", 'the worker tells it, too');
sql("SET ROLE clerk; SELECT txpipe.drop_step('rights', 'escape')");
wait_for_offset($node, 'rights', 2);
is(sql('SELECT count(*) FROM clerk.rights'), 2, 'without the step the stream goes on by itself');
my %reader = (extra_params => [ '-U', 'reader' ]);
like(error_text($node, "SELECT txpipe.on_batch('rights', 'x', 'SELECT 1')", %reader), qr/42501/, 'steps are the owner\'s');
sql("GRANT EXECUTE ON FUNCTION txpipe.on_batch, txpipe.drop_step TO reader");
like(error_text($node, "SELECT txpipe.on_batch('rights', 'x', 'SELECT 1')", %reader), qr/42501.*must be owner of stream/s, '... also for who may call the function');
like(error_text($node, "SELECT txpipe.drop_step('rights', 'look')", %reader), qr/42501.*must be owner of stream/s, '... dropping them as well');
is($node->safe_psql('postgres', "SELECT stream, step, sql, calls_total > 0 FROM txpipe.stream_step ORDER BY 1, ordinal", %reader), "rights|look||t\nrights|look again||t",
	'who may read the target sees the steps without their SQL');

# --- other shapes of batches ---

sql(<<'SQL');
CREATE TABLE keyed (k text PRIMARY KEY, v int);
CREATE TABLE history (k text, v int, gone boolean, kafka_offset bigint);
SELECT txpipe.create_stream('keyed', 'shop', 'keyed', 'keyed', columns => '{"k": "$key", "v": "v"}', options => '{"mode": "upsert_delete"}', paused => true);
SELECT txpipe.on_batch('keyed', 'history', 'INSERT INTO public.history SELECT k, v, kafka_tombstone, kafka_offset FROM batch', on_error => 'dead_letter');
ALTER TABLE history ADD CHECK (v <> 4);
CREATE TABLE texts (id int, at inet, kafka_offset bigint, note text, extra int DEFAULT 5);
CREATE TABLE copies (LIKE texts);
ALTER TABLE copies ADD topic text, ADD key_text text, ADD headers jsonb;
SELECT txpipe.create_stream('texts', 'shop', 'texts', 'texts', paused => true);
SELECT txpipe.on_batch('texts', 'copies', $$INSERT INTO public.copies SELECT id, at, kafka_offset, note, -1, kafka_topic, convert_from(kafka_key, 'UTF8'), kafka_headers FROM batch$$);
SQL
produce_keyed('keyed', "a\t{\"v\": 1}", "b\t{\"v\": 2}", "a\t", "b\t{\"v\": 4}", "c\t{\"v\": 5}", "a\t{\"v\": 6}");
sql(q{CALL txpipe.consume('keyed')});
is(sql('SELECT k, v FROM keyed ORDER BY 1'), "a|6\nb|2\nc|5", 'in mode upsert_delete, too');
is(sql('SELECT * FROM history ORDER BY kafka_offset'), "a|1|f|0\nb|2|f|1\na||t|2\nc|5|f|4\na|6|f|5", '... steps see all versions and the tombstones');
is(sql("SELECT kafka_offset, code FROM txpipe.dead_letter WHERE stream = 'keyed'"), '3|23514', '... and refuse single ones');
produce_keyed('texts', "k1\t{\"id\": 1, \"at\": \"10.1.2.3\", \"note\": \"tab\\there\\\\n \\\"q\\\"\"}", "k2\t{\"id\": 2, \"note\": null}");
sql(q{CALL txpipe.consume('texts')});
my $note = "tab\there\\n \"q\"";
is(sql('SELECT * FROM texts ORDER BY id'), "1|10.1.2.3|0|$note|5\n2||1||5", 'rows in text form reach the target');
is(sql('SELECT * FROM copies ORDER BY id'), "1|10.1.2.3|0|$note|-1|texts|k1|\n2||1||-1|texts|k2|", '... and the steps');

# A key twice in one ON CONFLICT is an error of the batch, not of any row: it is written in pieces.
sql(<<'SQL');
CREATE TABLE twice (k int, v int);
CREATE TABLE last (k int PRIMARY KEY, v int);
SELECT txpipe.create_stream('twice', 'shop', 'twice', 'twice', paused => true);
SELECT txpipe.on_batch('twice', 'last', 'INSERT INTO public.last SELECT k, v FROM batch ON CONFLICT (k) DO UPDATE SET v = excluded.v', on_error => 'dead_letter');
SQL
produce_lines($broker, 'twice', 0, map { sprintf '{"k": %d, "v": %d}', $_ % 3, $_ } 1 .. 10);
sql(q{CALL txpipe.consume('twice')});
is(sql('SELECT (SELECT count(*) FROM twice), string_agg(v::text, \',\' ORDER BY k) FROM last'), '10|9,10,8', 'what fails only together is written in pieces');

# A new field becomes a column, and steps are planned anew; what their tables look like may change, too.
sql(<<'SQL');
CREATE TABLE grows (id int);
CREATE TABLE wide (id int, field text);
SELECT txpipe.create_stream('grows', 'shop', 'grows', 'grows', options => '{"on_new_field": "column"}');
SELECT txpipe.on_batch('grows', 'wide', $$INSERT INTO public.wide SELECT id, to_jsonb(batch) ->> 'colour' FROM batch$$);
SQL
produce_lines($broker, 'grows', 0, '{"id": 1}');
wait_for_offset($node, 'grows', 1);
sql('ALTER TABLE wide ADD at timestamptz DEFAULT now(), ALTER id TYPE bigint');
produce_lines($broker, 'grows', 0, '{"id": 2, "colour": "red"}');
wait_for_offset($node, 'grows', 2);
is(sql('SELECT id, field, at IS NOT NULL FROM wide ORDER BY id'), "1||t\n2|red|t", 'columns that come are in batch');
is(sql('SELECT id, colour FROM grows ORDER BY id'), "1|\n2|red", '... and in the target');

# What a step looks at is found out, also through joins, subqueries and whole rows, and when tables change.
sql(<<'SQL');
CREATE TABLE looks (id int, a int, b int);
CREATE TABLE seen (what text, v text);
CREATE TABLE look (id int, label text);
INSERT INTO look SELECT g, 'label ' || g FROM generate_series(1, 9) g;
SELECT txpipe.create_stream('looks', 'shop', 'looks', 'looks', options => '{"workers": 1}');
SELECT txpipe.on_batch('looks', 'whole', $$INSERT INTO public.seen SELECT 'whole', x.id || ' ' || (to_jsonb(x) ->> 'kafka_offset') FROM (SELECT * FROM batch) x$$, 10);
SQL
produce_lines($broker, 'looks', 0, '{"id": 1, "a": 10, "b": 100}');
wait_for_offset($node, 'looks', 1);
sql(<<'SQL');
SELECT txpipe.on_batch('looks', 'whole', $$INSERT INTO public.seen SELECT 'using', id || ' ' || label || ' ' || b
    FROM batch JOIN public.look USING (id) WHERE EXISTS (SELECT FROM public.look l WHERE l.id = batch.a / 10)$$);
SELECT txpipe.on_batch('looks', 'natural', $$WITH n AS (SELECT count(*) AS n FROM batch NATURAL JOIN public.look) INSERT INTO public.seen SELECT 'natural', n FROM n$$);
SQL
produce_batch('looks', '{"id": 2, "a": 20, "b": 200}', '{"id": 3, "a": 300, "b": 300}');
wait_for_offset($node, 'looks', 3);
sql('ALTER TABLE look ADD kafka_partition int, ADD b int; UPDATE look SET kafka_partition = CASE id WHEN 4 THEN 0 ELSE 7 END, b = 400');
produce_batch('looks', '{"id": 4, "a": 40, "b": 400}', '{"id": 5, "a": 40, "b": 400}');
# Every "b" is ambiguous in the first step now.
wait_for($node, "SELECT last_error LIKE '42702: step \"whole\": %' FROM txpipe.stream_status WHERE stream = 'looks'", 'the other step fails');
sql("SELECT txpipe.drop_step('looks', 'whole')");
wait_for_offset($node, 'looks', 5);
is(sql("SELECT what, string_agg(v, ', ' ORDER BY v) FROM seen GROUP BY 1 ORDER BY 1"), "natural|1, 2\nusing|2 label 2 200\nwhole|1 0", 'steps get the columns they look at');

# The same while the plan is kept.
sql('TRUNCATE look, seen; ALTER TABLE look DROP kafka_partition, DROP b; INSERT INTO look VALUES (1, 1), (2, 2), (3, 3)');
for my $id (6 .. 8)
{
	produce_lines($broker, 'looks', 0, "{\"id\": $id, \"a\": 0, \"b\": 0}");
	wait_for_offset($node, 'looks', $id);
}
sql('ALTER TABLE look ADD kafka_offset bigint; INSERT INTO look VALUES (9, 9, 8), (10, 10, 9999)');
for my $id (9, 10)
{
	produce_lines($broker, 'looks', 0, "{\"id\": $id, \"a\": 0, \"b\": 0}");
	wait_for_offset($node, 'looks', $id);
}
is(sql("SELECT string_agg(v, ' ') FROM seen"), '0 0 0 1 0', '... as soon as a table has a column more');

# Deferred constraints are checked behind the last step, so steps may need one another.
sql(<<'SQL');
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
SELECT txpipe.create_stream('children', 'shop', 'children', 'children', paused => true);
SELECT txpipe.on_batch('children', 'parents', 'INSERT INTO public.parents SELECT id FROM batch WHERE id <> 2');
SQL
produce_lines($broker, 'children', 0, map { "{\"id\": $_}" } 1 .. 3);
sql(q{CALL txpipe.consume('children')});
is(sql('SELECT (SELECT string_agg(id::text, \',\') FROM parents), (SELECT string_agg(id::text, \',\') FROM children)'), '1,3|1,3', 'deferred constraints');
is(sql("SELECT code FROM txpipe.dead_letter WHERE stream = 'children'"), '23503', '... and the message that breaks one');

# --- without steps nothing is different ---

sql(<<'SQL');
CREATE TABLE plain (id int);
SELECT txpipe.create_stream('plain', 'shop', 'plain', 'plain', paused => true);
SELECT txpipe.on_batch('plain', 'none', 'SELECT 1');
SELECT txpipe.on_batch('plain', 'none', NULL);
SQL
produce_lines($broker, 'plain', 0, '{"id": 1}', '{"id": 2}');
sql(q{CALL txpipe.consume('plain')});
is(sql("SELECT count(*) FROM plain p, txpipe.stream_offset o JOIN txpipe.stream s USING (stream_id) WHERE s.stream = 'plain' AND p.xmin = o.xmin"), 2,
	'a stream without steps writes rows and offsets in one transaction, without a subtransaction');
is(sql("SELECT count(*) FROM txpipe.stream_step WHERE stream = 'plain'"), 0, 'sql NULL removes a step');

# --- two parts of a stream, kills of worker and child while steps run: everything once ---

sql(<<'SQL');
CREATE TABLE killed (id int, v int);
CREATE TABLE totals (grp int PRIMARY KEY, n bigint, v bigint);
INSERT INTO totals SELECT g, 0, 0 FROM generate_series(0, 4) g;
CREATE TABLE numbers (n bigint);
SELECT txpipe.create_stream('killed', 'shop', 'killed', 'killed', options => '{"batch_rows": 50, "workers": 2}');
SELECT txpipe.on_batch('killed', 'totals', $$
    UPDATE public.totals t SET n = t.n + b.n, v = t.v + b.v
      FROM (SELECT id % 5 AS grp, count(*) AS n, sum(v) AS v FROM batch GROUP BY 1) b
      JOIN (SELECT grp FROM public.totals ORDER BY grp FOR UPDATE) o USING (grp) WHERE t.grp = b.grp $$, on_error => 'dead_letter');
SELECT txpipe.on_batch('killed', 'count', 'INSERT INTO public.numbers SELECT count(*) FROM batch', on_error => 'skip');
SQL
my ($sent, $sum) = (0, 0);
my $checkpointer = checkpointer_pid($node);
for my $round (1 .. 8)
{
	for my $partition (0, 1)
	{
		my @lines;
		for (1 .. 500)
		{
			my $v = int rand 1000;
			$sent++;
			$sum += $v;
			push @lines, "{\"id\": $sent, \"v\": $v}";
		}
		produce_lines($broker, 'killed', $partition, @lines);
	}
	wait_for($node, "SELECT count(*) > 0 FROM killed WHERE id > $sent - 1000", 'the stream is at it');
	my $worker = wait_until('a worker', sub { worker_pid($node) });
	my $victim = $round % 2 ? child_pid($worker) : $worker;
	kill 'KILL', $victim if $victim;
	wait_for($node, 'SELECT 1', 'the server is back', value => 1);
}
wait_for_offset($node, 'killed', $sent);
is(sql('SELECT count(*), count(DISTINCT id), sum(v) FROM killed'), "$sent|$sent|$sum", 'after kills all rows are there once');
is(sql('SELECT sum(n), sum(v) FROM totals'), "$sent|$sum", '... and so is what the steps made of them');
is(sql('SELECT sum(n) FROM numbers'), $sent, '... each of them');
is(sql("SELECT rows_total FROM txpipe.stream_step WHERE stream = 'killed' AND step = 'count'"), sql('SELECT count(*) FROM numbers'), '... as the counts say');

# --- they go with their stream ---

sql("SELECT txpipe.drop_stream(stream) FROM txpipe.stream_status");
is(sql('SELECT (SELECT count(*) FROM txpipe.stream_step_store), (SELECT count(*) FROM txpipe.stream_step_count)'), '0|0', 'drop_stream() drops the steps');

# What sessions were refused; what streams met is in their log.
log_is_clean($node, qr/036_on_batch.pl ERROR/, qr/FATAL:  the database system is/);
done_testing();
