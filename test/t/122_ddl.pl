# DDL on targets while streams, feeds and the warehouse load into them: what can be adapted to is, otherwise they stop with a
# reason and go on when it is repaired. Whatever happens, each message or line is in the table or told as refused, once.
use strict;
use warnings;

use File::Basename qw(basename);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $broker = start_broker('t:2');
my $node   = files_node('ddl');
my $sent   = 0;

kafka_server($node, 'shop', $broker);
sql(<<'SQL');
CREATE TABLE t (id bigint, v int, w text);
SELECT txpipe.create_stream('t', 'shop', 't', 't', columns => '{"id": "id", "v": "v", "w": "w"}', options => '{"batch_rows": 50, "workers": 2}');
SQL

# A producer of 1,500 messages to each partition, some at a time; of ten one has no w, of seven v is 200. In the background.
sub start_load
{
	my $first = $sent;
	my $pid   = fork() // die "fork: $!";

	$sent += 3000;
	return $pid if $pid;
	for my $chunk (0 .. 14)
	{
		for my $partition (0, 1)
		{
			my $lines = '';
			for my $i (1 .. 100)
			{
				my $id = $first + 200 * $chunk + 100 * $partition + $i;
				$lines .= sprintf "{\"id\": %d, \"v\": %d%s}\n", $id, $id % 7 ? $id % 7 : 200, $id % 10 ? ", \"w\": \"w$id\"" : '';
			}
			IPC::Run::run([ 'kcat', '-P', '-b', $broker->{servers}, '-t', 't', '-p', $partition ], '<', \$lines) or POSIX::_exit(1);
		}
	}
	POSIX::_exit(0);
}

# In the middle of the load.
sub in_the_middle
{
	my ($before) = @_;

	wait_for($node, "SELECT coalesce(sum(next_offset), 0) > $before + 300 FROM txpipe.stream_partition", 'the load is under way');
	return;
}

sub finish_load
{
	my ($pid) = @_;

	waitpid($pid, 0);
	is($?, 0, '... all is produced');
	wait_for_offset($node, 't', $sent);
	wait_for($node, q{SELECT state = 'running' AND reason IS NULL AND lag_messages = 0 FROM txpipe.stream_status}, 'the stream runs');
	return;
}

# Rows, and ids of dead letters, since the last look: together each message once.
sub accounted
{
	my ($what, $letters) = @_;
	my $first = $sent - 3000;

	is(sql(qq{SELECT count(*), count(DISTINCT id), min(id), max(id) FROM (SELECT id FROM t WHERE id > $first
		UNION ALL SELECT (payload_text::jsonb->>'id')::bigint FROM txpipe.dead_letter WHERE state = 'open') s}),
		'3000|3000|' . ($first + 1) . "|$sent", "$what: each message is a row or a dead letter, once");
	my $wanted = ref $letters ? scalar(grep { $letters->($_) } $first + 1 .. $sent) : $letters;
	is(sql(q{SELECT count(*) FROM txpipe.dead_letter WHERE state = 'open'}), $wanted, "$what: $wanted dead letters") if defined $wanted;
	return;
}

sub forget_letters
{
	sql(q{SELECT txpipe.dismiss_dead_letters('t'); SELECT txpipe.delete_dead_letters('t')});
	return;
}

# --- what a stream adapts to ---

for my $case (
	[ 'a column is added'             => 'ALTER TABLE t ADD COLUMN added int DEFAULT 7' ],
	[ 'one that is not mapped is dropped' => 'ALTER TABLE t DROP COLUMN added' ],
	[ 'a type becomes wider'          => 'ALTER TABLE t ALTER v TYPE bigint' ],
	[ 'an index and a primary key'    => 'CREATE INDEX ON t (v); ALTER TABLE t ADD PRIMARY KEY (id)' ],
	[ 'the table is put into another schema and back' => 'CREATE SCHEMA s; ALTER TABLE t SET SCHEMA s; ALTER TABLE s.t SET SCHEMA public' ])
{
	my ($what, $ddl) = @$case;
	my $before = $sent;
	my $load   = start_load();

	in_the_middle($before);
	sql($ddl);
	finish_load($load);
	accounted($what, 0);
}

# --- constraints that some rows violate: from then on those are dead letters ---

my @refused = (
	[ 'NOT NULL', 'ALTER TABLE t ALTER w SET NOT NULL', 'ALTER TABLE t ALTER w DROP NOT NULL', sub { $_[0] % 10 == 0 }, '23502|missing_value' ],
	[ 'a CHECK', 'ALTER TABLE t ADD CONSTRAINT small CHECK (v < 100) NOT VALID', 'ALTER TABLE t DROP CONSTRAINT small', sub { $_[0] % 7 == 0 }, '23514' ]);
for my $case (@refused)
{
	my ($what, $ddl, $repair, $refuses, $codes) = @$case;
	my $before = $sent;
	my $load   = start_load();

	in_the_middle($before);
	# Before this statement all were rows, behind it none of these is.
	sql('UPDATE t SET w = $$none$$ WHERE w IS NULL') if $what eq 'NOT NULL';
	my $added = 0;
	for (1 .. 20)
	{
		last if ($added = $node->psql('postgres', "BEGIN; LOCK t; UPDATE t SET w = 'none' WHERE w IS NULL; $ddl; COMMIT", on_error_stop => 1) == 0);
	}
	ok($added, "$what is added under load");
	finish_load($load);
	accounted($what);
	my $wrong = sql(q{SELECT count(*) FROM txpipe.dead_letter WHERE state = 'open' AND code !~ '^(} . $codes . q{)$'});
	is($wrong, 0, "$what: the dead letters say why");
	my $letters = sql(q{SELECT count(*) FROM txpipe.dead_letter WHERE state = 'open'});
	my $most = grep { $refuses->($_) } $sent - 2999 .. $sent;
	cmp_ok($letters, '>', 0, "$what: $letters of at most $most");
	cmp_ok($letters, '<=', $most, '... and no more than violate it');
	sql($repair);
	is(sql(q{SELECT replayed, failed FROM txpipe.replay_dead_letters('t')}), "$letters|0", "$what: when it is gone they are replayed");
	accounted("$what, replayed", 0);
	forget_letters();
}

# --- what stops it, until it is repaired ---

for my $case (
	[ 'a mapped column is dropped', 'ALTER TABLE t DROP COLUMN w', qr/^42703: column "w" of relation "t" does not exist/, 'ALTER TABLE t ADD COLUMN w text' ],
	[ 'a mapped column is renamed', 'ALTER TABLE t RENAME w TO x', qr/^42703: column "w" of relation "t" does not exist/, 'ALTER TABLE t RENAME x TO w' ],
	[ 'the table is renamed', 'ALTER TABLE t RENAME TO elsewhere', qr/^42P01: target public\.t of stream "t" does not exist/, 'ALTER TABLE elsewhere RENAME TO t' ],
	[ 'row-level security is switched on', 'ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY', undef, 'ALTER TABLE t NO FORCE ROW LEVEL SECURITY; ALTER TABLE t DISABLE ROW LEVEL SECURITY' ],
	[ 'a trigger fails', 'CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM 1 FROM public.absent; RETURN NEW; END$$;
		CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no()', qr/^42P01: relation "public\.absent" does not exist/, 'DROP TRIGGER no ON t' ])
{
	my ($what, $ddl, $reason, $repair) = @$case;
	my $before = $sent;
	my $load   = start_load();

	in_the_middle($before);
	sql($ddl);
	if (defined $reason)
	{
		wait_for($node, q{SELECT state FROM txpipe.stream_status}, "$what: the stream is in error", value => 'error');
		like(sql('SELECT reason FROM txpipe.stream_status'), $reason, "$what: the reason says so");
	}
	sql($repair);
	finish_load($load);
	accounted($what, 0);
}

# Dropped: what it held is gone with it, what was not read yet arrives in the new one.
my $before = $sent;
my $load   = start_load();
in_the_middle($before);
sql('DROP TABLE t');
wait_for($node, q{SELECT state = 'error' AND reason ~ '^42P01: target public.t of stream "t" does not exist' FROM txpipe.stream_status}, 'the table is dropped: the reason says so');
my $gone = sql('SELECT sum(next_offset) FROM txpipe.stream_partition');
sql('CREATE TABLE t (id bigint PRIMARY KEY, v int, w text)');
finish_load($load);
is(sql('SELECT count(*), max(id) FROM t'), ($sent - $gone) . "|$sent", 'created anew it gets all that was not read before, once');
is(sql('SELECT count(*) FROM txpipe.dead_letter'), 0, 'nothing of it is a dead letter');

# A type that nothing fits into: dead letters, replayed when it is repaired.
sql('ALTER TABLE t ALTER w TYPE int USING 0');
$load = start_load();
finish_load($load);
is(sql(q{SELECT count(*), count(*) FILTER (WHERE code IN ('wrong_type', 'bad_value')) FROM txpipe.dead_letter}), '2700|2700', 'another type: what does not fit is a dead letter');
sql('ALTER TABLE t ALTER w TYPE text');
is(sql(q{SELECT replayed, failed FROM txpipe.replay_dead_letters('t')}), '2700|0', '... and is replayed when the type is back');
accounted('another type', 0);
sql(q{SELECT txpipe.drop_stream('t')});

# --- a feed: each group is loaded whole or not at all ---

sql(<<'SQL');
CREATE TABLE item (id int, name text);
SELECT txpipe.create_feed('item', 'item_([0-9]+)\.csv', 'item', columns => '{"id": "id", "name": "name"}', options => '{"max_attempts": 50}');
SQL
my $files = 0;

sub deliver_files
{
	my ($n) = @_;

	for (1 .. $n)
	{
		$files++;
		deliver("item_$files.csv", join '', "id,name\n", map { 1000 * $files + $_ . ",x$_\n" } 1 .. 200);
	}
	return;
}

sub all_loaded
{
	my ($what) = @_;

	for (1 .. 10)
	{
		sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
		run_hourly();
		last if sql(q{SELECT count(*) FROM txpipe.file WHERE state <> 'loaded'}) == 0;
	}
	is(sql('SELECT count(*), count(DISTINCT id), (SELECT sum(rows_loaded) FROM txpipe.file) FROM item'), join('|', (200 * $files) x 3), "$what: each line of $files files is a row once");
	return;
}

for my $case (
	[ 'a column is added', 'ALTER TABLE item ADD COLUMN added int', undef ],
	[ 'a column is dropped', 'ALTER TABLE item DROP COLUMN added', undef ],
	[ 'a type is changed', 'ALTER TABLE item ALTER id TYPE bigint', undef ],
	[ 'the table is renamed', 'ALTER TABLE item RENAME TO elsewhere', 'ALTER TABLE elsewhere RENAME TO item' ],
	[ 'a column is renamed', 'ALTER TABLE item RENAME name TO x', 'ALTER TABLE item RENAME x TO name' ])
{
	my ($what, $ddl, $repair) = @$case;

	deliver_files(8);
	my $run = start_sql('SET txpipe.groups_per_transaction = 1; CALL txpipe.run_hourly()');
	wait_for($node, q{SELECT count(*) > 0 FROM txpipe.file WHERE state = 'loading'} . " OR (SELECT count(*) FROM txpipe.file WHERE state = 'loaded') = $files",
		"$what: files are loading");
	sql($ddl);
	$run->{run}->finish;
	if ($repair)
	{
		# What is loaded while it is so fails, and says why.
		deliver_files(1);
		run_hourly();
		like(sql(q{SELECT DISTINCT state FROM txpipe.file WHERE state <> 'loaded'}), qr/^(failed|rejected)$/, "feed: $what: the file is not loaded");
		like(sql(q{SELECT reason FROM txpipe.file WHERE state <> 'loaded' LIMIT 1}), qr/does not exist|name/, "feed: $what: ... and says why");
		sql($repair);
		sql(q{SELECT txpipe.reload(file_id) FROM txpipe.file WHERE state = 'rejected'});
	}
	all_loaded("feed: $what");
}

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/, qr/canceling statement due to lock timeout/, qr/violates|contains null|deadlock/);
stop_broker($broker);
done_testing();
