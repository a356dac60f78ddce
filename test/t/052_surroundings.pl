# What happens around a stream between two batches: its target goes away, a trigger leaves a cursor behind, and
# after a restore OIDs mean other roles and tables. And before the first: its target goes away while it is created.
use strict;
use warnings;

use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('gone:1', 'late:1', 'held:1', 'moved:1', 'prepared:1', 'seeker:1', 'strict:1');
my $node   = new_node('surroundings', conf => 'max_prepared_transactions = 1');

start_node($node);
kafka_server($node, 'shop', $broker);

sub query { return $node->safe_psql('postgres', $_[0]) }

# --- the table that shall get a column for a new field is dropped ---

query(q{CREATE TABLE gone (id bigint);
	SELECT txpipe.create_stream('gone', 'shop', 'gone', 'gone', options => '{"on_new_field": "column"}')});
produce_lines($broker, 'gone', 0, '{"id": 1}');
wait_for_offset($node, 'gone', 1);
query('DROP TABLE gone');
produce_lines($broker, 'gone', 0, '{"id": 2, "fresh": 1}');
wait_for($node, q{SELECT state FROM txpipe.stream_status WHERE stream = 'gone'}, 'gone is in error', value => 'error');
like(query(q{SELECT reason FROM txpipe.stream_status WHERE stream = 'gone'}),
	qr/^42P01: target public.gone of stream "gone" does not exist/, 'the reason says that its target is gone');
query('CREATE TABLE gone (id bigint)');
wait_for_offset($node, 'gone', 2);
is(query('SELECT id, fresh FROM gone'), '2|1', 'it goes on in a table of the name, with the column');

# --- a table is altered, and every message since is one that it did not take before ---

query(q{CREATE TABLE strict (id bigint, v int NOT NULL); SELECT txpipe.create_stream('strict', 'shop', 'strict', 'strict')});
produce_lines($broker, 'strict', 0, '{"id": 1, "v": "x"}', '{"id": 2}');
wait_for_offset($node, 'strict', 2);
query('ALTER TABLE strict ALTER v TYPE text, ALTER v DROP NOT NULL');
produce_lines($broker, 'strict', 0, '{"id": 3, "v": "x"}', '{"id": 4}');
wait_for_offset($node, 'strict', 4);
is(query(q{SELECT string_agg(id || coalesce(v, ''), ' ' ORDER BY id), (SELECT string_agg(code, ' ' ORDER BY kafka_offset) FROM txpipe.dead_letter)
	FROM strict}), '3x 4|bad_value missing_value', 'messages are judged by the table as it is, also when none of them was a row before');

# --- a table is dropped while create_stream waits for the brokers, holding no lock ---

query('CREATE TABLE late (id bigint)');
kill 'STOP', $broker->{pid};
my $creator = fork() // die "fork: $!";
if ($creator == 0)
{
	my $failed = error_of($node, q{SELECT txpipe.create_stream('late', 'shop', 'late', 'late')});

	POSIX::_exit(($failed->{state} // '') eq '42P01' ? 0 : 1);
}
wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT txpipe.create_stream%' AND wait_event = 'Extension'},
	'create_stream waits for the brokers');
query('DROP TABLE late');
kill 'CONT', $broker->{pid};
waitpid($creator, 0);
is($?, 0, 'create_stream says that the table does not exist any more');
is(query(q{SELECT count(*) FROM txpipe.stream WHERE stream = 'late'}), '0', 'and creates no stream');

# --- a trigger declares a cursor that outlives the transaction ---

query(<<'SQL');
CREATE TABLE held (id bigint);
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN EXECUTE 'DECLARE mine CURSOR WITH HOLD FOR SELECT 1'; RETURN NULL; END$$;
CREATE TRIGGER hold AFTER INSERT ON held FOR EACH STATEMENT EXECUTE FUNCTION hold();
SELECT txpipe.create_stream('held', 'shop', 'held', 'held');
SQL
produce_lines($broker, 'held', 0, '{"id": 1}');
wait_for_offset($node, 'held', 1);
produce_lines($broker, 'held', 0, '{"id": 2}');
wait_for_offset($node, 'held', 2);
is(query(q{SELECT state, restarts FROM txpipe.stream_status WHERE stream = 'held'}), 'running|0', 'no batch meets the cursor of another');

# --- a stream is altered by a prepared transaction, whose commit tells no worker ---

query(q{CREATE TABLE prepared (id bigint, twin bigint);
	SELECT txpipe.create_stream('prepared', 'shop', 'prepared', 'prepared', columns => '{"id": "id"}')});
produce_lines($broker, 'prepared', 0, '{"id": 1}');
wait_for_offset($node, 'prepared', 1);
query(q{BEGIN; SELECT txpipe.alter_stream('prepared', columns => '{"id": "id", "twin": "id"}'); PREPARE TRANSACTION 'alter'});
query(q{COMMIT PREPARED 'alter'});
produce_lines($broker, 'prepared', 0, '{"id": 2}');
wait_for_offset($node, 'prepared', 2);
is(query('SELECT id, twin FROM prepared ORDER BY id'), "1|\n2|2", 'the next batch has the new definition');

query(q{SELECT txpipe.pause_stream('prepared')});
produce_lines($broker, 'prepared', 0, '{"id": 3}');
query(q{BEGIN; SELECT txpipe.resume_stream('prepared'); PREPARE TRANSACTION 'resume'});
query(q{COMMIT PREPARED 'resume'});
$node->reload;
wait_for_offset($node, 'prepared', 3);
is(query(q{SELECT state FROM txpipe.stream_status WHERE stream = 'prepared'}), 'running', 'a look now and then finds that it runs again');

# --- a dump restored where OIDs mean others: what counts is the names ---

query(<<'SQL');
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
GRANT USAGE ON SCHEMA txpipe TO alice, bob;
GRANT EXECUTE ON FUNCTION txpipe.dismiss_dead_letters TO alice, bob;
GRANT USAGE ON FOREIGN SERVER shop TO alice;
CREATE TABLE moved (id bigint);
ALTER TABLE moved OWNER TO alice;
CREATE TABLE of_bob ();
ALTER TABLE of_bob OWNER TO bob;
GRANT EXECUTE ON FUNCTION txpipe.create_stream, txpipe.resume_stream TO alice;
SET ROLE alice;
SELECT txpipe.create_stream('moved', 'shop', 'moved', 'moved');
SQL
produce_lines($broker, 'moved', 0, '{"id": "a secret of alice"}');
wait_for_offset($node, 'moved', 1);
my $seen = <<'SQL';
SELECT (SELECT count(*) FROM txpipe.dead_letter), (SELECT count(*) FROM txpipe.stream_status),
	(SELECT count(*) FROM txpipe.stream_partition), (SELECT count(*) > 0 FROM txpipe.stream_event),
	(SELECT count(*) FROM txpipe.batch_history), (SELECT count(*) > 0 FROM txpipe.stream_field)
SQL
is(query("SET ROLE alice; $seen"), '1|1|1|t|1|t', 'alice sees her stream');
is(query("SET ROLE bob; $seen"), '0|0|0|f|0|f', 'bob does not');
query(q{UPDATE txpipe.stream SET owner_oid = 'bob'::regrole, target_oid = 'of_bob'::regclass WHERE stream = 'moved'});
is(query("SET ROLE bob; $seen"), '0|0|0|f|0|f', 'nor when his role and his table have the OIDs that hers had');
my $refused = error_of($node, q{SET ROLE bob; SELECT txpipe.dismiss_dead_letters('moved')});
is($refused->{state}, '42501', 'and he cannot change it') or diag($refused->{text});
is(query("SET ROLE alice; $seen"), '0|1|1|t|1|t', 'who may read the target, by its name, sees what is no message');
query(q{UPDATE txpipe.stream SET home = gen_random_uuid(), epoch = epoch + 1 WHERE stream = 'moved'});
wait_for($node, q{SELECT state FROM txpipe.stream WHERE stream = 'moved'}, 'a worker has paused the copy', value => 'paused');
is( query(q{SELECT owner_oid = 'alice'::regrole, target_oid = 'moved'::regclass FROM txpipe.stream WHERE stream = 'moved'}),
	't|t', 'a copy has the role and the table of its names');
query(q{SET ROLE alice; SELECT txpipe.resume_stream('moved')});
produce_lines($broker, 'moved', 0, '{"id": 3}');
wait_for_offset($node, 'moved', 2);
is(query('SELECT id FROM moved'), '3', 'and goes on as alice');

# --- a table that a crash empties, and a trigger that moves its own stream ---

query('CREATE UNLOGGED TABLE light (id bigint)');
my $light = error_of($node, q{SELECT txpipe.create_stream('light', 'shop', 'held', 'light')});
is($light->{state}, '42809', 'an unlogged table is refused');
like($light->{hint}, qr/SET LOGGED/, 'with what to do');
query(q{CREATE TABLE seeker (id bigint);
	CREATE FUNCTION seek() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN PERFORM txpipe.seek_stream('seeker', 'latest'); RETURN NULL; END$$;
	CREATE TRIGGER seek AFTER INSERT ON seeker FOR EACH STATEMENT WHEN (current_setting('application_name') LIKE 'txpipe%')
		EXECUTE FUNCTION seek();
	SELECT txpipe.create_stream('seeker', 'shop', 'seeker', 'seeker')});
produce_lines($broker, 'seeker', 0, '{"id": 1}');
wait_for($node, q{SELECT state FROM txpipe.stream_status WHERE stream = 'seeker'}, 'its stream is in error', value => 'error');
like(query(q{SELECT reason FROM txpipe.stream_status WHERE stream = 'seeker'}), qr/^55006: .*moved while/, 'the reason says why');
query('DROP TRIGGER seek ON seeker');
wait_for_offset($node, 'seeker', 1);
is(query('SELECT count(*) FROM seeker'), '1', 'without the trigger it goes on');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'no server process died');
log_is_clean($node, qr/terminating .* due to/, qr/unlogged table/, qr/must be owner of stream "moved"/,
	qr/target public.late of stream "late" does not exist any more/);
stop_broker($broker);
done_testing();
