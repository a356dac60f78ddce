# Archives of streams: what arrives is in the rows that wait or in exactly one file, whatever breaks off, and an hour is written when it is over and
# nobody can add to it. What arrived is what is sent here; 070_archive_readers reads the files.
use strict;
use warnings;

use Digest::SHA;
use File::Find;
use IPC::Run;
use JSON::PP;
use List::Util qw(sum0);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('events:2', 'keyed:1', 'late:1', 'parts:1', 'people:1');
my $dir    = PostgreSQL::Test::Utils::tempdir();
my ($stop, $clock) = ("$dir/stop", "$dir/clock");
my $node = new_node('archive');
my $raw  = $node->basedir . '/dirs/export/raw';
my %sent;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# The server's clock, so many seconds ahead.
my $ahead = 3600 - time() % 3600 + 600;
sub next_hour { return set_clock($clock, $ahead += 3600); }

# JSON messages, lines as they are; the offsets of those that become rows are noted.
sub send_lines
{
	my ($topic, $partition, @lines) = @_;

	produce_lines($broker, $topic, $partition, @lines);
	push @{ $sent{$topic}{$partition} }, @lines;
	return;
}

sub count_sent { my ($topic) = @_; return sum0(map { scalar @$_ } values %{ $sent{$topic} }); }
sub good_of { my ($topic) = @_; return sum0(map { scalar grep { /^\{/ } @$_ } values %{ $sent{$topic} }); }
sub events { my ($from, $n) = @_; return map { sprintf '{"id": %d, "at": "2026-01-02T03:04:05.%06dZ", "amount": %d.%02d, "name": "n%d"}', $_, $_ % 1000000, $_, $_ % 100, $_ % 7 } $from .. $from + $n - 1; }
sub manifest { return decode_json(slurp_file("$_[0]/_manifest.json")); }
sub exported { return grep { $_ ne '' } split /\n/, sql('SELECT txpipe.export_archive(' . ($_[0] // '') . ')'); }

sub found
{
	my @found;

	find({ no_chdir => 1, wanted => sub { push @found, 'raw' . substr($_, length $raw) if /\.parquet$/ } }, $raw) if -d $raw;
	return join "\n", sort @found;
}

# Files and log agree, and with the rows that wait each message that was sent is there once.
sub complete
{
	my ($what, @streams) = @_;

	is(found(), join("\n", sort split /\n/, sql('SELECT path FROM txpipe.archive_file')), "$what: the files are those of the log");
	foreach (split /\n/, sql('SELECT path, bytes, sha256 FROM txpipe.archive_file'))
	{
		my ($path, $bytes, $sha256) = split /\|/;
		my $file = $node->basedir . "/dirs/export/$path";
		-s $file == $bytes && Digest::SHA->new(256)->addfile($file)->hexdigest eq $sha256 or fail("$what: $path is as it was noted");
	}
	foreach my $stream (@streams)
	{
		is(sql("SELECT (SELECT coalesce(sum(rows), 0) FROM txpipe.archive_file WHERE stream = '$stream') + (SELECT count(*) FROM txpipe.archive_row WHERE stream = '$stream')"),
			good_of($stream), "$what: each message of $stream once");
	}
	return;
}

# --- what is kept ---

set_clock($clock, $ahead);
{
	local @ENV{qw(LD_PRELOAD TXPIPE_STOP TXPIPE_CLOCK)} = (preload_path('rename') . ':' . preload_path('clock'), $stop, $clock);
	start_node($node);
}
kafka_server($node, 'shop', $broker);
sql(q{CREATE TABLE events (id bigint CHECK (id <> 77), at timestamptz, amount numeric(12,2), name text, loaded_at timestamptz DEFAULT now());
	SELECT txpipe.create_stream('events', 'shop', 'events', 'events', options => '{"archive": true, "batch_rows": 300}');
	CREATE TABLE keyed (id bigint PRIMARY KEY, name text);
	SELECT txpipe.create_stream('keyed', 'shop', 'keyed', 'keyed', options => '{"archive": true, "mode": "upsert_delete"}', columns => '{"id": "$key", "name": "name"}');
	CREATE TABLE late (id bigint, "date" date, hour text);
	SELECT txpipe.create_stream('late', 'shop', 'late', 'late', paused => true, options => '{"archive": true}')});
send_lines('events', 0, events(1000, 500), 'not JSON', events(1500, 500));
send_lines('events', 1, events(2000, 100), '[1]', events(2100, 900));
wait_for_offset($node, 'events', count_sent('events'));
is(sql('SELECT count(*) FROM events'), good_of('events'), 'the rows are there');
is(sql(q{SELECT count(*) FROM txpipe.dead_letter WHERE stream = 'events'}), 2, '... and the dead letters');
is(sql(q{SELECT count(*) FROM txpipe.archive_row r JOIN events e ON r.cells[1:4] = ARRAY[e.id::text, e.at::text, e.amount::text, e.name] WHERE r.columns = '{id,at,amount,name}'}),
	good_of('events'), 'the archive has the rows as they were decoded, without defaults');
is(sql(q{SELECT string_agg(DISTINCT concat_ws(':', kafka_partition, kafka_offset), ' ') FROM txpipe.archive_row WHERE (kafka_partition, kafka_offset) IN ((0, 500), (1, 100))}), '', '... without the letters');
is(sql(q{SELECT string_agg(concat_ws(' ', stream, is_over), ',') FROM txpipe.archive_hour}), 'events f', 'its hour is not over');
is_deeply([ exported() ], [], '... so nothing is written');

# --- a row that PostgreSQL refuses, and its replay ---

produce_lines($broker, 'events', 0, '{"id": 76, "name": "76"}', '{"id": 77, "name": "77"}', '{"id": 78, "name": "78"}');
push @{ $sent{events}{0} }, '{"id": 76}', '77 is refused', '{"id": 78}';
wait_for_offset($node, 'events', count_sent('events'));
is(sql(q{SELECT string_agg(cells[1], ',' ORDER BY kafka_offset) FROM txpipe.archive_row WHERE cells[1]::bigint < 100}), '76,78', 'what PostgreSQL refuses is not archived');
sql('ALTER TABLE events DROP CONSTRAINT events_id_check');
is(sql(q{SELECT replayed FROM txpipe.replay_dead_letters('events', codes => '{23514}')}), 1, 'a letter is replayed');
$sent{events}{0}[-2] = '{"id": 77}';
is(sql(q{SELECT string_agg(cells[1], ',' ORDER BY kafka_offset) FROM txpipe.archive_row WHERE cells[1]::bigint < 100}), '76,77,78', '... and archived then, at its place');

# --- an hour that is over, and a transaction that is open ---

send_lines('late', 0, map { qq({"id": $_, "date": "2026-01-0$_", "hour": "h$_"}) } 1 .. 5);
my $session = $node->background_psql('postgres');
$session->query('SET client_min_messages = error');
$session->query_safe(q{BEGIN; CALL txpipe.consume('late', 3)});
next_hour();
my ($path) = my @paths = exported();
is(scalar @paths, 1, 'the hour is over: one manifest');
like($path, qr{/raw/stream=events/date=\d{4}-\d\d-\d\d/hour=\d\d/_manifest\.json$}, '... in its place');
complete('the first hour', 'events');
my $first = manifest($path =~ s{/_manifest\.json$}{}r);
is($first->{rows}, good_of('events'), 'the manifest has the rows');
is(join(' ', map { "$_->{name}:$_->{type}" } @{ $first->{columns} }),
	'kafka_topic:string kafka_partition:int32 kafka_offset:int64 kafka_timestamp:timestamp id:int64 at:timestamp amount:decimal(12,2) name:string' =~ s/timestamp(?= |$)/$first->{columns}[3]{type}/gr,
	'... and the columns with their types');
is(sql(q{SELECT offsets FROM txpipe.archive_file WHERE stream = 'events'}),
	sprintf('{"events": {"0": [0, %d], "1": [0, %d]}}', map { $#{ $sent{events}{$_} } } 0, 1), 'the log has first and last offsets');
is(sql(q{SELECT message FROM txpipe.run WHERE job = 'export_archive' ORDER BY run_id DESC LIMIT 1}), good_of('events') . ' rows in 1 hours written', 'the run says so');
is(sql(q{SELECT count(*) FROM txpipe.archive_hour}), 0, 'nothing of the open transaction is seen');
$session->query_safe(q{INSERT INTO late VALUES (0)});
next_hour();
is_deeply([ exported() ], [], 'hours later it still is open');
is($session->query_safe('SELECT count(*) FROM txpipe.export_archive()'), 0, '... to itself, too');
$session->query_safe('COMMIT');
is(sql(q{SELECT concat_ws(' ', stream, is_over) FROM txpipe.archive_hour}), 'late t', 'then its hour is over');
is(scalar exported(q('late')), 1, '... and written');
is(sql(q{SELECT rows, offsets FROM txpipe.archive_file WHERE stream = 'late'}), '3|{"late": {"0": [0, 2]}}', '... with all it has');
is(join(' ', map { $_->{name} } @{ manifest(glob "$raw/stream=late/*/*")->{columns} }[ 4 .. 6 ]), 'id date_ hour_', 'names that the directories have are other ones');
like($node->basedir . sql(q{SELECT path FROM txpipe.archive_file WHERE stream = 'late'}), qr{hour=\Q@{[ sql(q{SELECT to_char(hour, 'HH24') FROM txpipe.archive_file WHERE stream = 'events'}) ]}\E/}, '... of the hour in which they were inserted');
# The rows of an hour that others hold are left, not waited for.
$session->query_safe(q{BEGIN; CALL txpipe.consume('late', 10)});
next_hour();
$session->query_safe('ROLLBACK');
is_deeply([ exported() ], [], 'what is rolled back leaves nothing');
sql(q{CALL txpipe.consume('late', 10)});
$session->query_safe(q{BEGIN; CALL txpipe.consume('late', 10, '0 s')});
send_lines('late', 0, '{"id": 6}');
$session->query_safe(q{CALL txpipe.consume('late', 10)});
next_hour();
is_deeply([ exported() ], [], 'rows of an hour that another transaction adds to wait for it');
like(sql(q{SELECT message FROM txpipe.run WHERE job = 'export_archive' ORDER BY run_id DESC LIMIT 1}), qr/^0 rows in 0 hours written, 1 left$/, '... as the run says');
$session->query_safe('COMMIT');
$session->quit;
is(scalar exported(), 1, 'and are written with its rows');
complete('later hours', 'events', 'late');

# --- what replaces and deletes ---

sub send_keyed
{
	my (@lines) = @_;

	secret_file("$dir/keyed", join '', map { "$_\n" } @lines);
	system_or_bail('kcat', '-P', '-b', $broker->{servers}, '-t', 'keyed', '-p', 0, '-K', "\t", '-Z', '-l', "$dir/keyed");
	push @{ $sent{keyed}{0} }, map { '{}' } @lines;
	wait_for_offset($node, 'keyed', count_sent('keyed'));
	return;
}

send_keyed(map { ($_ % 5) . "\t" . ($_ % 10 ? qq({"name": "v$_"}) : '') } 1 .. 30);
is(sql('SELECT count(*) FROM keyed'), 4, 'of five keys one is deleted');
is(sql(q{SELECT count(*), count(DISTINCT kafka_offset), count(*) FILTER (WHERE kafka_tombstone), count(DISTINCT cells) FILTER (WHERE NOT kafka_tombstone) FROM txpipe.archive_row WHERE stream = 'keyed'}),
	'30|30|3|27', 'the archive has each row that was replaced, and the deletions');

# --- ended at any moment ---

sub begin { my ($query) = @_; return IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $query ], '<', \'', '>', \my $out, '2>', \my $err); }

sub kill_export
{
	my ($session) = @_;

	kill KILL => sql(q{SELECT pid FROM pg_stat_activity WHERE query ~ 'export_archive' AND pid <> pg_backend_pid()});
	eval { $session->finish };
	wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
	return;
}

sub wait_archived
{
	wait_for_offset($node, 'events', count_sent('events'));
	wait_for($node, q{SELECT count(*) > 0 FROM txpipe.archive_row WHERE stream = 'events'}, 'rows are waiting');
	return;
}

my $id = 10000;
foreach my $pattern ('part-00000-*', '_manifest.json')
{
	send_lines('events', $_, events($id += 500, 400)) foreach 0, 1;
	wait_archived();
	next_hour();
	append_to_file($stop, $pattern);
	my $killed = begin(q{SELECT txpipe.export_archive('events')});
	wait_until("an export is about to name $pattern", sub { !-e $stop });
	kill_export($killed);
	my $before = found();
	is(scalar exported(q('events')), 1, "killed at $pattern: written by the next call");
	complete("killed at $pattern", 'events', 'keyed');
	like(found(), qr/\Q$before\E/, '... with the same names') if $pattern eq '_manifest.json';
}
send_lines('events', $_, events($id += 500, 400)) foreach 0, 1;
wait_archived();
next_hour();
# What comes between belongs to the next hour.
my $done = begin(q{BEGIN; SELECT txpipe.export_archive('events'); SELECT count(*) FROM generate_series(1, 1000000000000)});
wait_until('a call has done all but its commit', sub { sql(q{SELECT count(*) FROM pg_stat_activity WHERE query ~ 'export_archive' AND wait_event IS NULL AND pid <> pg_backend_pid()}) > 0
	&& scalar(my @files = split /\n/, found()) > sql('SELECT count(*) FROM txpipe.archive_file') && -e (glob "$raw/stream=events/*/*/_manifest.json")[-1] });
is_deeply([ exported(q('events')) ], [], 'another call meanwhile leaves the hour alone');
send_lines('events', 0, events($id += 500, 50));
wait_for_offset($node, 'events', count_sent('events'));
my %names = map { $_ => Digest::SHA->new(256)->addfile($node->basedir . "/dirs/export/$_")->hexdigest } split /\n/, found();
kill_export($done);
is(scalar exported(q('events')), 1, 'killed before its commit: written again');
is_deeply({ map { $_ => Digest::SHA->new(256)->addfile($node->basedir . "/dirs/export/$_")->hexdigest } split /\n/, found() }, \%names, '... the same bytes by the same names');
complete('killed before the commit', 'events', 'keyed');
next_hour();
sql('BEGIN; SELECT txpipe.export_archive(); ROLLBACK');
my $rolled_back = found();
exported();
is(found(), $rolled_back, 'rolled back: the same files');
complete('rolled back', 'events', 'keyed');

# --- workers that are killed while they write ---

for my $round (1 .. 5)
{
	send_lines('events', $_, events($id += 3000, 2500)) foreach 0, 1;
	wait_until('rows come', sub { sql('SELECT count(*) FROM events WHERE id >= ' . ($id - 3000)) > 0 });
	kill KILL => worker_pid($node);
	wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
	next_hour() if $round % 2;
}
wait_for_offset($node, 'events', count_sent('events'));
is(sql('SELECT count(*), count(DISTINCT id) FROM events'), join('|', (good_of('events')) x 2), 'each message is a row once');
exported();
complete('workers were killed', 'events', 'keyed');
is(sql(q{SELECT count(*) - count(DISTINCT (kafka_partition, kafka_offset)) FROM txpipe.archive_row WHERE stream = 'events'}), 0, 'no offset waits twice');

# --- other columns, steps, and the end of the stream ---

sql(q{SELECT txpipe.on_batch('events', 'total', 'SELECT count(*) FROM batch'); ALTER TABLE events ADD COLUMN more integer});
send_lines('events', 0, events($id += 3000, 10), '{"id": 5, "more": 6}');
wait_for_offset($node, 'events', count_sent('events'));
sql(q{SELECT txpipe.alter_stream('events', options => '{"archive": false}')});
produce_lines($broker, 'events', 0, '{"id": 6}');
wait_for_offset($node, 'events', count_sent('events') + 1);
sql(q{SELECT txpipe.drop_stream('events')});
next_hour();
is(scalar exported(), 1, 'what waited is written when the stream is gone');
complete('dropped', 'events');
is(sql(q{SELECT count(*) FROM txpipe.archive_shape WHERE stream = 'events'}), 0, '... its shapes go with its rows');
sql(q{SELECT txpipe.drop_stream('late')});
is(sql(q{SELECT count(*) FROM txpipe.archive_shape WHERE stream = 'late'}), 0, '... or with the stream, where no row waits');
like(join(' ', map { $_->{name} } @{ manifest((sort glob "$raw/stream=events/*/*")[-1])->{columns} }), qr/ more$/, '... with the column that came');

# --- what Parquet has no value for ---

send_keyed(qq(9\t{"name": "late"}), qq(8\t{"name": "early"}));
next_hour() for 1 .. 4;
like(sql('SELECT status, detail FROM txpipe.health()'), qr/^degraded\|.*1 hours of archives that wait to be written/, 'an hour that nobody writes is seen');
sql(q{UPDATE txpipe.archive_shape SET columns = '{a,b,c,d,e}', types = '{date,timestamp with time zone,timestamp without time zone,"numeric(9,2)",text}' WHERE stream = 'keyed';
	UPDATE txpipe.archive_row_store SET kafka_timestamp = CASE kafka_offset % 2 WHEN 0 THEN '294276-12-31' ELSE '-infinity' END::timestamptz, cells = '{infinity,-infinity,294276-12-31,NaN,Infinity}'});
is(scalar exported(q('keyed')), 1, 'values that Parquet has not do not hold an hour up');

# --- who may ---

sql(q{CREATE ROLE stranger; GRANT USAGE ON SCHEMA txpipe TO stranger; CREATE ROLE clerk; GRANT USAGE ON SCHEMA txpipe TO clerk; GRANT USAGE ON FOREIGN SERVER shop TO clerk;
	GRANT EXECUTE ON FUNCTION txpipe.create_stream, txpipe.pause_stream, txpipe.export_archive TO clerk; GRANT ALL ON SCHEMA public TO clerk});
sql(q{SET ROLE clerk; CREATE TABLE public.parts (id bigint); SELECT txpipe.create_stream('par/ts %é', 'shop', 'parts', 'parts', options => '{"archive": true}')});
send_lines('parts', 0, '{"id": 1}', '{"id": 2}');
wait_for_offset($node, 'par/ts %é', 2);
next_hour();
fails_with($node, 'SET ROLE stranger; SELECT txpipe.export_archive()', '42501', 'permission denied', 'nobody may without EXECUTE');
sql('GRANT EXECUTE ON FUNCTION txpipe.export_archive TO stranger');
is(sql('SET ROLE stranger; SELECT count(*) FROM txpipe.export_archive()'), 0, 'of others nothing is written');
is(sql("SET ROLE stranger; SELECT count(*) FROM txpipe.$_"), 0, "... and nothing seen in $_") foreach qw(archive_hour archive_row archive_file);
fails_with($node, q{SET ROLE stranger; SELECT txpipe.export_archive('par/ts %é')}, '42501', 'must be owner of stream', 'nor what is named');
fails_with($node, q{SELECT txpipe.export_archive('none')}, '42704', 'does not exist', 'a stream must be there');
fails_with($node, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txpipe.export_archive()', '25001', 'READ COMMITTED', 'not with an old snapshot');
fails_with($node, q{SELECT txpipe.export_parquet('SELECT 1 AS n', 'raw')}, '22023', 'kept by export_archive', 'export_parquet leaves the archives alone');
chmod 0500, $raw;
fails_with($node, 'SELECT txpipe.export_archive()', '42501', 'could not make the directory', 'a directory that nobody may write to is an error');
chmod 0750, $raw;
is(sql(q{SELECT count(*) FROM txpipe.archive_row}), 2, '... and the rows are still there');
like((split /\n/, sql('SET ROLE clerk; SELECT txpipe.export_archive()'))[0], qr{/raw/stream=par%2Fts %25é/date=}, 'its owner writes it, under a name that directories can have');
is(sql('SET ROLE clerk; SELECT count(*), sum(rows) FROM txpipe.archive_file'), '1|2', '... and sees his own files');

# --- a person that is erased ---

send_lines('parts', 0, '{"id": 3}', '{"id": 4}');
wait_for_offset($node, 'par/ts %é', 4);
sql(q{GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO clerk});
my $report = sql(q{SET ROLE clerk; CALL txpipe.erase_subject('{"id": 3}', dry_run => false)});
like($report, qr/"count": 1, "place": "archives", "action": "deleted"/, 'a row that waits is erased');
is(sql(q{SET ROLE clerk; SELECT string_agg(cells::text, ' ') FROM txpipe.archive_row}), '{4}', '... and no other');

# Keys are found by what the target's column is as text, in the session's zone.
sql(q{SET ROLE clerk; CREATE TABLE public.people (code char(10), ok boolean, at timestamptz, host inet); SELECT txpipe.create_stream('people', 'shop', 'people', 'people', options => '{"archive": true}')});
send_lines('people', 0, map { sprintf '{"code": "%s", "ok": %s, "at": "2026-01-02T03:04:0%dZ", "host": "10.0.0.%d"}', @$_ } [ 'ann', 'false', 1, 1 ], [ 'bob', 'true', 1, 1 ], [ 'cid', 'false', 2, 1 ], [ 'dan', 'false', 1, 2 ], [ 'eve', 'false', 1, 1 ]);
wait_for_offset($node, 'people', 5);
foreach my $key ('{"code": "ann"}', '{"ok": true}', '{"at": "2026-01-02 12:04:02+09"}', '{"host": "10.0.0.2/32"}')
{
	$report = sql(qq{SET ROLE clerk; SET TimeZone = 'Asia/Tokyo'; CALL txpipe.erase_subject('$key', dry_run => false)});
	like($report, qr/"count": 1, "place": "$_", "action": "deleted"/, "erased by $key: $_") foreach 'public.people', 'archives';
}
is(sql(q{SELECT string_agg(cells[1], ',') FROM txpipe.archive_row WHERE stream = 'people'}), 'eve', '... and no other');

# A call that is rolled back leaves its file to the next one, which must come, though nothing waits any more.
next_hour();
sql(q{BEGIN; SELECT txpipe.export_archive('people'); ROLLBACK});
like(found(), qr/stream=people/, 'a file of a call that was rolled back');
sql(q{SET ROLE clerk; CALL txpipe.erase_subject('{"code": "eve"}', dry_run => false)});
is(sql(q{SELECT count(*) FROM txpipe.archive_row WHERE stream = 'people'}), 0, '... whose only row is erased');
is(scalar exported(q('people')), 1, '... is written anew');
is(sql(q{SELECT sum(rows), string_agg(offsets::text, ' ') FROM txpipe.archive_file WHERE stream = 'people'}), '0|{}', '... without it');
complete('an erasure after a call that was rolled back');
is(sql(q{SELECT count(*) FROM txpipe.archive_hour WHERE stream = 'people'}), 0, '... and nothing is left to do');

# --- rows that another owner's stream of the name has left ---

sql(q{INSERT INTO txpipe.archive_shape (stream_id, stream, owner_oid, owner_name, columns, types, has_rows, has_tombstones)
		SELECT -1, 'par/ts %é', oid, rolname, '{id}', '{bigint}', false, false FROM pg_roles WHERE rolname = 'stranger';
	INSERT INTO txpipe.archive_row_store (shape_id, hour, kafka_topic, kafka_partition, kafka_offset, cells)
		SELECT shape_id, '2026-01-01 00:00Z', 'old', 0, 0, '{1}' FROM txpipe.archive_shape WHERE stream_id = -1});
is(sql(q{SET ROLE clerk; SELECT count(*) FROM txpipe.export_archive('par/ts %é')}), 1, 'rows that another has left under the name keep nobody out');
is(sql(q{SET ROLE stranger; SELECT count(*) FROM txpipe.export_archive('par/ts %é')}), 1, '... and are his to write');

# --- a clock that was ahead ---

send_lines('parts', 0, '{"id": 5}');
wait_for_offset($node, 'par/ts %é', 5);
set_clock($clock, $ahead - 5 * 3600);
is(sql(q{SELECT is_over FROM txpipe.archive_hour WHERE stream LIKE 'par%'}), 't', 'an hour to come is over');
is(scalar exported(q('par/ts %é')), 1, '... and written');
set_clock($clock, $ahead);

# --- a file that is noted is not removed ---

# So that rows come to the hour of files that are there.
sub send_again
{
	my ($offset) = @_;

	send_lines('parts', 0, qq({"id": $offset}));
	wait_for_offset($node, 'par/ts %é', $offset);
	sql(q{UPDATE txpipe.archive_row_store SET hour = (SELECT max(hour) FROM txpipe.archive_file WHERE stream LIKE 'par%')});
	return;
}

sub waits { return sql(q{SELECT count(*) FROM pg_stat_activity WHERE query ~ 'export_archive' AND wait_event_type = 'Lock'}); }

exported();
next_hour();
my $noted = sql(q{SELECT path FROM txpipe.archive_file WHERE stream LIKE 'par%' ORDER BY hour DESC LIMIT 1});
my $part  = $node->basedir . "/dirs/export/$noted";
my $mine  = $part =~ s{/[^/]*$}{}r;
send_again(6);
rename $part, "$dir/aside" or die $!;
$session = $node->background_psql('postgres');
$session->query_safe('BEGIN; LOCK TABLE txpipe.archive_file_store IN SHARE MODE');
my $slow = begin('SELECT txpipe.export_archive()');
wait_until('the files of before were looked at', sub { waits() });
rename "$dir/aside", $part or die $!;
$session->query_safe('COMMIT');
$session->quit;
$slow->finish;
complete('a file that comes back');

# --- a copy of the database with the same directory ---

# As CREATE DATABASE ... TEMPLATE makes it, before the original wrote the file; no worker sees it.
$report = sql(qq{BEGIN;
	UPDATE txpipe.installation SET database = 0;
	UPDATE txpipe.archive_shape SET owner_oid = 0;
	UPDATE txpipe.archive_file_store SET owner_oid = 0;
	INSERT INTO txpipe.archive_row_store (shape_id, hour, kafka_topic, kafka_partition, kafka_offset, cells)
		SELECT s.shape_id, f.hour, 'copied', 0, 0, '{7}' FROM txpipe.archive_file_store f JOIN txpipe.archive_shape s USING (stream_id) WHERE f.directory || '/' || f.file = '$noted';
	DELETE FROM txpipe.archive_file_store WHERE directory || '/' || file = '$noted';
	SELECT 'written: ' || count(*) FROM txpipe.export_archive();
	SELECT count(*) FROM (SELECT owner_oid FROM txpipe.archive_shape UNION ALL SELECT owner_oid FROM txpipe.archive_file_store) o WHERE owner_oid = 0; ROLLBACK});
is($report, "written: 0\n0", 'a copy writes nothing before it has a token of its own, and knows owners by their names');
complete('a copy');

# --- another database with the same directory ---

sql(q{WITH i AS (UPDATE txpipe.installation SET token = gen_random_uuid() RETURNING token) UPDATE txpipe.stream SET home = i.token FROM i});
send_again(7);
my $manifest = slurp_file("$mine/_manifest.json");
fails_with($node, 'SELECT txpipe.export_archive()', '55000', "not of this database's archive", 'what another database wrote');
send_lines('parts', 0, '{"id": 8}');
wait_for_offset($node, 'par/ts %é', 8);
next_hour();
is(scalar exported(), 1, '... and keeps no other hour out');
like(sql(q{SELECT state, message FROM txpipe.run WHERE job = 'export_archive' ORDER BY run_id DESC LIMIT 1}), qr/^failed\|1 rows in 1 hours written, 1 failed$/, '... as the run says');
is(slurp_file("$mine/_manifest.json"), $manifest, '... and is left as it is');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|\bXX\d{3}\b/, 'no internal error');
stop_broker($broker);
done_testing();
