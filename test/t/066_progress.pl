# How far long calls are: the view txpipe.progress while they are held at a known place, and the NOTICEs of psql.
use strict;
use warnings;

use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node = files_node('progress');

# A session that keeps gate `number` closed; ending it opens the gate.
sub close_gate
{
	my ($number) = @_;
	my $gate = { in => "SELECT pg_advisory_lock($number);\n", out => '' };

	$gate->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$gate->{in}, '>', \$gate->{out});
	$gate->{run}->pump_nb;
	wait_until("gate $number is closed",
		sub { $gate->{run}->pump_nb; sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $number AND granted") });
	return $gate;
}

sub open_gate
{
	my ($gate) = @_;

	$gate->{in} .= "\\q\n";
	$gate->{run}->finish;
	return;
}

sub wait_at_gate
{
	my ($number) = @_;

	wait_until("a load is at gate $number",
		sub { sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $number AND NOT granted") });
	return;
}

# A step that waits at the gate when it meets this line of a group.
sub gated_step
{
	my ($number, $line, $key) = @_;

	return "SELECT line_no, 'filtered', NULL::text, NULL::text, NULL::text FROM batch "
	  . "WHERE CASE WHEN line_no = $line AND group_key = '$key' THEN pg_advisory_xact_lock_shared($number) IS NULL ELSE false END";
}

# The row of the view as a role sees it.
sub progress
{
	my ($columns, @as) = @_;

	return $node->safe_psql('postgres', "SELECT $columns FROM txpipe.progress", extra_params => \@as);
}

sub lines
{
	my ($from, $to) = @_;

	return "id,note\n" . join('', map { "$_," . ('x' x ($_ % 50)) . "\n" } $from .. $to);
}

sub finish
{
	my ($session) = @_;

	$session->{run}->finish;
	return $session->{err};
}

# --- several groups, with steps ---

sql('CREATE TABLE t (id integer, note text, file_id bigint)');
sql(q{SELECT txpipe.create_feed('rows', '(r[0-9]+)\.csv', 't', group_name => 'hour', options => '{"batch_rows": 100}')});
my $step = gated_step(81, 252, 'r2') =~ s/'/''/gr;
sql("SELECT txpipe.on_load('rows', 'gate', '$step')");
my %file = (r1 => lines(1, 300), r2 => lines(301, 1000), r3 => lines(1001, 1100));
deliver("$_.csv", $file{$_}) foreach keys %file;
# The gate is in the third batch of r2, whose lines have 301 to 500 behind them.
my $before = length($file{r1}) + length lines(301, 500);
my $total  = length join '', values %file;
my $gate   = close_gate(81);
my $run;
{
	local $ENV{PGOPTIONS} = '-c txpipe.progress_interval=1ms';
	$run = start_sql('CALL txpipe.run_hourly()');
}
wait_at_gate(81);
is(progress('job, state, unit, items_done, items_total, rows, rows_rejected'), 'run_hourly|loading|groups|1|3|500|0', 'a run shows what it has done');
is(progress('bytes_done, bytes_total, percent'), join('|', $before, $total, sprintf('%.1f', int($before * 1000 / $total) / 10)),
	'up to the last batch, with its share of all bytes');
is(progress('feed, group_name, group_key, file_name'), 'rows|hour|r2|r2.csv', 'and what it is at work on');
is(sql(q{SELECT rows_per_second > 0 AND bytes_per_second > rows_per_second AND time_left >= '0' AND elapsed > '0' AND started_at >= query_start
		FROM txpipe.progress JOIN pg_stat_activity USING (pid)}),
	't', 'how fast, since when and for how long');
is(sql(q{SELECT count(*) FROM pg_stat_progress_copy JOIN txpipe.progress USING (pid)}), 1, 'kept in the slot of COPY');

# --- who sees it ---

sql('CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE watcher LOGIN; GRANT SELECT ON t TO reader; GRANT pg_read_all_stats TO watcher');
is(progress('rows, feed, file_name', '-U', 'reader'), '500|rows|r2.csv', 'who may read the target sees it');
is(progress('count(*)', '-U', 'stranger'), 0, 'others do not');
is($node->safe_psql('postgres', 'SELECT count(*) FROM txpipe.session_progress()', extra_params => [ '-U', 'stranger' ]), 0, '... in no way');
is(progress('rows, feed, group_name, group_key, file_name', '-U', 'watcher'), '500||||', 'who may read all statistics sees the figures, and no names');
sql('CREATE DATABASE elsewhere');
is($node->safe_psql('elsewhere', 'CREATE EXTENSION txpipe; SELECT count(*) FROM txpipe.progress'), 0, 'it is of this database');

open_gate($gate);
my $said = finish($run);
is(progress('count(*)'), 0, 'behind the call there is nothing');
my @notices = $said =~ /^NOTICE:  (\d of 3 groups, .*)$/mg;
my ($mid) = grep { /^1 of 3 groups, 600 rows, / } @notices;
my $next = int(100 * ($before + length(lines(501, 600)) - length "id,note\n") / $total);
like($mid // '', qr{^1 of 3 groups, 600 rows, $next %, \d+ rows/s, \d+ s left$}, 'psql is told how far it is') or diag($said);
my @percent = map { /, (\d+) %/ } @notices;
is("@percent", join(' ', sort { $a <=> $b } @percent), 'the share only grows') or diag($said);

# --- all done: at the end of the last file ---

deliver('r4.csv', lines(1101, 1250));
sql('CREATE FUNCTION wait_82() RETURNS bigint LANGUAGE sql AS $$SELECT 1::bigint FROM (SELECT pg_advisory_xact_lock_shared(82)) l$$');
sql(q{SELECT txpipe.on_file_end('rows', 'gate', 'SELECT public.wait_82(), ''loaded'', ''loaded'', NULL::text, NULL::text, file_id FROM loaded WHERE public.wait_82() IS NULL')});
$gate = close_gate(82);
{
	local $ENV{PGOPTIONS} = '-c txpipe.progress_interval=0';
	$run = start_sql('CALL txpipe.run_hourly()');
}
wait_at_gate(82);
is(progress('items_done, items_total, rows, bytes_done = bytes_total, percent'), '0|1|150|t|100.0', 'behind the last byte it is 100 per cent');
open_gate($gate);
is(join('', finish($run) =~ /^NOTICE:  \d+ of \d+.*$/mg), '', 'with an interval of 0 psql is told nothing');

# --- a failed group counts as done, its rows do not ---

sql(q{SELECT txpipe.on_load('rows', 'gate', NULL)});
sql(q{SELECT txpipe.on_file_end('rows', 'gate', 'SELECT public.wait_82(), ''loaded'', ''loaded'', NULL::text, NULL::text, file_id FROM loaded WHERE CASE WHEN group_key = ''r5'' THEN 1 / (file_id - file_id) = 1 ELSE public.wait_82() IS NULL END')});
$file{r5} = lines(1251, 1450);
$file{r6} = lines(1451, 1500);
deliver("$_.csv", $file{$_}) foreach qw(r5 r6);
$gate = close_gate(82);
$run  = start_sql('CALL txpipe.run_hourly()');
wait_at_gate(82);
is(progress('items_done, items_total, rows, percent'), '1|2|50|100.0', 'a group that failed is done, without rows');
open_gate($gate);
like(finish($run), qr/1 groups failed/, 'and is told');

# --- COPY, packed files, a trigger that waits in the middle of a batch ---

sql(<<'SQL');
CREATE TABLE plain (id integer, note text, file_id bigint);
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN IF NEW.id = 250000 THEN PERFORM pg_advisory_xact_lock_shared(83); END IF; RETURN NEW; END$$;
CREATE TRIGGER gate BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION gate();
SELECT txpipe.create_feed('plain', '(p[0-9]+)\.csv.*', 'plain', options => '{"batch_rows": 10000}');
SQL
my $text   = "id,note\n" . join('', map { $_ . ',' . ($_ * 7919 % 1000003) . "\n" } 1 .. 300000);
my $packed = deliver('p1.csv.gz', $text, 'gzip', '-c');
for my $lake ('none', 'zstd')
{
	sql("ALTER SYSTEM SET txpipe.lake_compression = '$lake'");
	$node->reload;
	wait_for($node, "SELECT current_setting('txpipe.lake_compression') = '$lake'", 'the setting is there');
	my $bytes = $lake eq 'none' ? length $packed : length deliver('p2.csv', "$text\n");

	$gate = close_gate(83);
	$run  = start_sql('CALL txpipe.run_hourly()');
	wait_at_gate(83);
	is(progress('rows, bytes_total'), "240000|$bytes", "lake $lake: bytes are those of the file delivered");
	# 240,000 of 300,000 lines are read, those at the end a little longer; what is packed is read in pieces.
	is(progress('percent BETWEEN 70 AND 90 AND bytes_done < bytes_total'), 't', '... and the share is that of the file') or diag(progress('percent'));
	is(sql('SELECT relid::regclass, type FROM pg_stat_progress_copy'), 'plain|CALLBACK', '... while COPY says what it does');
	open_gate($gate);
	like(finish($run), qr/loaded 1 groups/, '... which then is loaded');
}

# --- rows PostgreSQL refuses undo the slot, which comes back ---

sql(q{CREATE TABLE keyed (id integer PRIMARY KEY CHECK (id <> 13), note text, file_id bigint)});
sql(q{SELECT txpipe.create_feed('keyed', '(k[0-9]+)\.csv', 'keyed', options => '{"batch_rows": 100}')});
$step = gated_step(84, 52, 'k1') =~ s/'/''/gr;
sql("SELECT txpipe.on_load('keyed', 'gate', '$step')");
deliver('k1.csv', lines(1, 100));
$gate = close_gate(84);
$run  = start_sql('CALL txpipe.run_hourly()');
wait_at_gate(84);
is(progress('rows'), 0, 'a first batch is under way');
open_gate($gate);
finish($run);
sql(q{SELECT txpipe.on_file_end('keyed', 'gate', 'SELECT public.wait_82(), ''loaded'', ''loaded'', NULL::text, NULL::text, file_id FROM loaded WHERE public.wait_82() IS NULL')});
deliver('k2.csv', lines(1, 200));
sql(q{SELECT txpipe.unload(file_id) FROM txpipe.file WHERE file_name = 'k1.csv'});
$gate = close_gate(82);
$run  = start_sql('CALL txpipe.run_hourly()');
wait_at_gate(82);
is(progress('rows, rows_rejected, percent'), '200|1|100.0', 'a batch that was taken apart is counted once');
open_gate($gate);
finish($run);

# --- other calls ---

my $k2 = sql(q{SELECT file_id FROM txpipe.file WHERE file_name = 'k2.csv'});
sub held
{
	my ($call, $columns, $number) = @_;
	my $closed  = close_gate($number);
	my $session = start_sql($call);
	my $row;

	wait_at_gate($number);
	$row = progress($columns);
	open_gate($closed);
	finish($session);
	return $row;
}
is(held("SELECT txpipe.reload($k2)", 'job, state, unit, items_done, items_total, rows, percent, file_name', 82),
	'reload|loading|files|0|1|200|100.0|k2.csv', 'reload');
sql('ALTER TABLE keyed DROP CONSTRAINT keyed_id_check');
is(held("SELECT txpipe.replay_rejected_rows($k2)", 'job, state, unit, items_done, items_total, rows, bytes_total, percent', 82),
	'replay_rejected_rows|replaying|rows|1|1|1|0|100.0', 'replay_rejected_rows');
sql('CREATE FUNCTION wait_85() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_xact_lock_shared(85); RETURN OLD; END$$');
sql('CREATE TRIGGER wait BEFORE DELETE ON keyed FOR EACH STATEMENT EXECUTE FUNCTION wait_85()');
is(held("SELECT txpipe.unload($k2)", 'job, state, unit, items_done, items_total, percent, time_left IS NULL, file_name', 85),
	'unload|unloading|files|0|1|0.0|t|k2.csv', 'unload');
deliver('k3.csv', lines(301, 320));
is(held("SELECT * FROM txpipe.validate_file('k3.csv')", 'job, state, unit, rows, percent, feed', 82),
	'validate_file|checking|files|20|100.0|keyed', 'validate_file');
unlink $node->basedir . '/dirs/landing/k3.csv';

# --- dead letters: the second of two chunks of 5,000 is at work ---

sql(<<'SQL');
CREATE TABLE letters (id integer, note text);
CREATE FUNCTION wait_86() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN IF NEW.id = 7000 THEN PERFORM pg_advisory_xact_lock_shared(86); END IF; RETURN NEW; END$$;
CREATE TRIGGER wait BEFORE INSERT ON letters FOR EACH ROW EXECUTE FUNCTION wait_86();
CREATE SERVER nowhere FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'localhost:1');
SELECT txpipe.create_stream('letters', 'nowhere', 'letters', 'letters', paused => true);
INSERT INTO txpipe.dead_letter_store (stream_id, kafka_topic, kafka_partition, kafka_offset, payload, code, message)
SELECT stream_id, 'letters', 0, n, convert_to(CASE n WHEN 3 THEN '{' ELSE format('{"id": %s}', n) END, 'UTF8'), '00000', 'once'
FROM txpipe.stream, generate_series(1, 8000) n WHERE stream = 'letters';
SQL
is( held(q{SELECT * FROM txpipe.replay_dead_letters('letters')}, 'job, state, unit, items_done, items_total, rows, rows_rejected, percent, stream, time_left > $$0$$', 86),
	'replay_dead_letters|replaying|dead letters|5000|8000|5000|1|62.5|letters|t', 'replay_dead_letters');

# --- a call inside another: in a step of a load, in COPY ---

sql(<<'SQL');
CREATE TABLE inner_letters (id integer);
SELECT txpipe.create_stream('inner', 'nowhere', 'inner_letters', 'inner_letters', paused => true);
INSERT INTO txpipe.dead_letter_store (stream_id, kafka_topic, kafka_partition, kafka_offset, payload, code, message)
SELECT stream_id, 'inner_letters', 0, n, convert_to(format('{"id": %s}', n), 'UTF8'), '00000', 'once'
FROM txpipe.stream, generate_series(1, 5) n WHERE stream = 'inner';
SELECT txpipe.create_feed('outer', '(o[0-9]+)\.csv', 't', options => '{"batch_rows": 100}');
SELECT txpipe.on_load('outer', 'replay', $$ SELECT line_no, 'filtered', NULL::text, NULL::text, NULL::text FROM batch
	WHERE (SELECT replayed + failed FROM txpipe.replay_dead_letters('inner')) IS NULL $$);
SQL
$step = gated_step(87, 52, 'o1') =~ s/'/''/gr;
sql("SELECT txpipe.on_load('outer', 'gate', '$step')");
deliver('o1.csv', lines(1501, 1650));
$gate = close_gate(87);
{
	local $ENV{PGOPTIONS} = '-c txpipe.progress_interval=1ms';
	$run = start_sql('CALL txpipe.run_hourly()');
}
wait_at_gate(87);
is(sql('SELECT count(*) FROM inner_letters'), 0, 'a step replays dead letters');
is(progress('job, state, unit, items_done, items_total, rows, feed, file_name, stream'), 'run_hourly|loading|groups|0|1|0|outer|o1.csv|',
	'and it is the load that is shown');
open_gate($gate);
like(finish($run), qr/^NOTICE:  1 of 1 groups, 150 rows, 100 %/m, '... to psql, too');
is(sql('SELECT count(*) FROM inner_letters'), 5, 'they are replayed');

my $o1 = sql(q{SELECT file_id FROM txpipe.file WHERE file_name = 'o1.csv'});
is( held("COPY (SELECT txpipe.unload($o1), pg_advisory_xact_lock_shared(87)) TO STDOUT",
		q{count(*), (SELECT string_agg(command || ' ' || type, ',') FROM pg_stat_progress_copy)}, 87),
	'0|COPY TO PIPE', 'a COPY goes on being shown behind a call of its query');

# --- new files that settle; a call that is cancelled ---

deliver('k4.csv', lines(401, 410));
{
	local $ENV{PGOPTIONS} = '-c txpipe.settle_time=50s';
	$run = start_sql('CALL txpipe.run_hourly()');
}
wait_for($node, q{SELECT state = 'settling' FROM txpipe.progress}, 'files settle');
is(progress('unit, items_done, items_total, rows, bytes_done, bytes_total, percent, time_left'),
	'files|0|1|0|0|' . length(lines(401, 410)) . '|0.0|', 'while files settle they are counted');
sql('SELECT pg_cancel_backend(pid) FROM txpipe.progress');
like(finish($run), qr/canceling statement/, 'a call that is cancelled ...');
is(progress('count(*)'), 0, '... is gone');

# An error ends it, in a session that goes on.
my $after = $node->psql('postgres', q{SELECT txpipe.reload(0); SELECT count(*) FROM txpipe.progress}, stdout => \my $left, on_error_stop => 0);
is($left, 0, 'after an error nothing is left');

# --- it needs no preloading ---

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
is(held("SELECT txpipe.reload($k2)", 'job, rows, percent', 82), 'reload|200|100.0', 'without shared_preload_libraries it is the same');

log_is_clean($node, qr/division by zero|file 0 does not exist|canceling statement|terminating background worker/);
done_testing();
