# Rows that PostgreSQL refuses, users' own SQL that misbehaves, and locks that others hold: the stream goes on,
# nothing is lost, and nobody gains rights or settings by it.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my @topics = qw(refused big evil next open pause latin);
my $broker = start_broker(map { "$_:1" } @topics);
my $node   = new_node('refused');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# --- a refused row while the next batch is under way already ---

sql(<<'SQL');
CREATE TABLE refused (id int PRIMARY KEY, v int CHECK (v < 100));
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM pg_catalog.count(*) FROM pg_catalog.generate_series(1, 30000); RETURN NEW; END$$;
CREATE TRIGGER slow BEFORE INSERT ON refused FOR EACH ROW EXECUTE FUNCTION slow();
SQL
produce_lines($broker, 'refused', 0,
	map { sprintf '{"id": %d, "v": %d}', $_, $_ % 7 == 0 ? 200 : 1 } 1 .. 200);
sql(q{SELECT txpipe.create_stream('refused', 'shop', 'refused', 'refused', options => '{"batch_rows": 10}')});
wait_for_offset($node, 'refused', 200);
is(sql('SELECT count(*), sum(id) FROM refused'), '172|17258', 'every good row is in the table');
is( sql(q{SELECT count(*), min(code), max(code), count(DISTINCT payload) FROM txpipe.dead_letter WHERE stream = 'refused'}),
	'28|23514|23514|28', 'every refused row is a dead letter');
is( sql(q{SELECT restarts FROM txpipe.stream_status WHERE stream = 'refused'}),
	'0', 'the stream was not opened anew for it');

# --- limits count as the row's fault; memory does not grow with the number of refusals ---

sql('CREATE TABLE big (id int, t text); CREATE INDEX ON big (t);');
produce_lines($broker, 'big', 0,
	'{"id": 1, "t": "' . join('', map { chr(97 + rand 26) } 1 .. 30000) . '"}',
	'{"id": 2, "t": "short"}');
sql(q{SELECT txpipe.create_stream('big', 'shop', 'big', 'big')});
wait_for_offset($node, 'big', 2);
is(sql('SELECT string_agg(id::text, $$ $$) FROM big'), '2', 'the other row is there');
is(sql(q{SELECT code FROM txpipe.dead_letter WHERE stream = 'big'}), '54000', 'too long for its index');

# --- deferred triggers of one owner change neither rights nor settings of others ---

sql(<<'SQL');
CREATE ROLE mallory LOGIN;
GRANT USAGE ON FOREIGN SERVER shop TO mallory;
GRANT CREATE ON SCHEMA public TO mallory;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO mallory;
SET SESSION AUTHORIZATION mallory;
CREATE TABLE evil (id int);
CREATE TABLE later (id int);
CREATE TABLE seen (who text, style text);
CREATE FUNCTION put_off() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    SET CONSTRAINTS ALL DEFERRED;
    INSERT INTO public.later VALUES (NEW.id);
    PERFORM pg_catalog.set_config('DateStyle', 'German', false);
    PERFORM pg_catalog.pg_advisory_lock(4711);
    IF NEW.id = 2 THEN
        CREATE TEMP TABLE left_behind (id int);
    END IF;
    RETURN NULL;
END$$;
CREATE FUNCTION attack() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    INSERT INTO public.seen VALUES (current_user, current_setting('DateStyle'));
    PERFORM pg_catalog.set_config('DateStyle', 'German', false);
    BEGIN
        ALTER ROLE mallory SUPERUSER;
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    RETURN NULL;
END$$;
CREATE CONSTRAINT TRIGGER put_off AFTER INSERT ON evil DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION put_off();
CREATE CONSTRAINT TRIGGER attack AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION attack();
SELECT txpipe.create_stream('evil', 'shop', 'evil', 'evil', paused => true);
SQL
produce_lines($broker, 'evil', 0, '{"id": 1}');
sql(q{CALL txpipe.consume('evil')});
is(sql('SELECT who FROM seen'), 'mallory', 'consumed by a superuser, what was put off ran as the owner');
is(sql(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'}), 'f', 'who is no superuser now');
my ($rc, $out, $err) =
  $node->psql('postgres', q{BEGIN; CALL txpipe.consume('evil', timeout => '0 s'); COMMIT;});
like($err, qr/only the owner of stream "evil" can consume it inside a transaction block/,
	'in a block it is refused to others');

sql(q{CREATE TABLE next (style text);
	CREATE FUNCTION style() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN NEW.style := pg_catalog.current_setting('DateStyle'); RETURN NEW; END$$;
	CREATE TRIGGER style BEFORE INSERT ON next FOR EACH ROW EXECUTE FUNCTION style();});
produce_lines($broker, 'evil', 0, '{"id": 2}');
($rc, $out, $err) = $node->psql('postgres', q{CALL txpipe.consume('evil')});
like($err, qr/triggers and steps of "mallory" use temporary objects in the session of/,
	'nothing is planted in the temporary schema of the caller');
sql(q{SELECT txpipe.resume_stream('evil')});
wait_for_offset($node, 'evil', 2);
sql(q{SELECT txpipe.create_stream('next', 'shop', 'next', 'next')});
produce_lines($broker, 'next', 0, '{"style": "x"}');
wait_for_offset($node, 'next', 1);
is(sql('SELECT style FROM next'), 'ISO, MDY', 'settings of one batch do not reach the next');
is(sql('SELECT count(*) FROM pg_locks WHERE locktype = $$advisory$$'), '0', 'nor do its locks stay');
wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_class WHERE relname = 'left_behind')},
	'nor its temporary tables');

# --- somebody's open transaction holds up one stream only, and no worker dies of it ---

sql('CREATE TABLE open (id int);');
sql(q{SELECT txpipe.create_stream('open', 'shop', 'open', 'open')});
wait_for_offset($node, 'open', 0);
my $workers = sql(q{SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type = 'txpipe worker'});
my $session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN; SELECT txpipe.drop_stream('open')});
produce_lines($broker, 'open', 0, '{"id": 1}');
produce_lines($broker, 'next', 0, map { '{"style": "x"}' } 1 .. 10);
wait_for_offset($node, 'next', 11);
$session->query_safe('ROLLBACK');
$session->quit;
wait_for_offset($node, 'open', 1);
# On a busy machine there may be one more.
is(sql("SELECT count(*) FROM unnest(string_to_array('$workers', ' ')::integer[]) AS pid WHERE pid NOT IN (SELECT pid FROM pg_stat_activity
	WHERE backend_type = 'txpipe worker')"), '0', 'the same workers serve on');

# --- a user's pause holds, whatever the worker has to say ---

sql(q{CREATE TABLE pause (id int);
	SELECT txpipe.create_stream('pause', 'shop', 'pause', 'pause', paused => true);
	ALTER TABLE pause RENAME TO elsewhere;
	SELECT txpipe.resume_stream('pause');});
produce_lines($broker, 'pause', 0, '{"id": 1}');
wait_for($node, q{SELECT state = 'error' AND last_error ~ 'does not exist' FROM txpipe.stream_status WHERE stream = 'pause'},
	'a target that is gone is an error with its reason');
sql(q{SELECT txpipe.pause_stream('pause'); ALTER TABLE elsewhere RENAME TO pause;});
sql(q{CALL txpipe.consume('pause')});
is(sql(q{SELECT state FROM txpipe.stream_status WHERE stream = 'pause'}), 'paused', 'it stays paused');
is(sql('SELECT count(*) FROM pause'), '1', 'a batch by hand comes through');
for my $round (1 .. 20)
{
	sql(q{SELECT txpipe.resume_stream('pause')});
	sql(q{SELECT txpipe.pause_stream('pause')});
}
sql(q{SELECT txpipe.resume_stream('pause')});
produce_lines($broker, 'pause', 0, '{"id": 2}');
wait_for_offset($node, 'pause', 2);

# --- an owner's new name does not make the stream undroppable ---

sql(q{ALTER ROLE mallory RENAME TO eve; SELECT txpipe.drop_stream('evil');});
is(sql(q{SELECT count(*) FROM txpipe.stream WHERE stream = 'evil'}), '0', 'a stream of a renamed owner can be dropped');

# --- what autovacuum looks at is told ---

wait_for($node, q{SELECT n_tup_ins >= 172 FROM pg_stat_user_tables WHERE relname = 'refused'}, 'statistics are sent');

# --- other encodings are refused, not garbled ---

sql('CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LOCALE $$C$$');
($rc, $out, $err) = $node->psql('latin', 'CREATE EXTENSION txpipe');
like($err, qr/txpipe needs a database whose encoding is UTF8, not LATIN1/, 'a LATIN1 database is refused');

log_is_clean($node, qr/txpipe needs a database|only the owner of stream "evil"|use temporary objects/);
stop_broker($broker);
done_testing();
