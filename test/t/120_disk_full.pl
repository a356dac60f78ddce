# Disks that are really full: of the tablespace a stream writes to, of the lake, of exports, of the WAL. What stands still says
# why, nothing is lost or double, no half file stays, and all goes on when there is space, without a restart of the server.
#
# The file systems are small ones in memory, in a mount namespace of this test's own.
use strict;
use warnings;

# Before the modules below take the output over.
BEGIN
{
	if (!$ENV{TXPIPE_NAMESPACE})
	{
		my @enter = ('unshare', '--map-current-user', '--mount', '--keep-caps');

		$ENV{TXPIPE_NAMESPACE} = system("@enter mount -t tmpfs tmpfs /mnt 2>/dev/null") == 0 ? 'own' : 'none';
		exec @enter, $^X, $0 or die "unshare: $!" if $ENV{TXPIPE_NAMESPACE} eq 'own';
	}
}

use File::Find qw(find);
use File::Path qw(make_path);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

plan skip_all => 'this kernel lets nobody mount a file system of his own' if $ENV{TXPIPE_NAMESPACE} eq 'none';

my $broker = start_broker('t:2', 'w:1');
my $node   = files_node('disk_full');
my $base   = $node->basedir;
my $sent   = 0;

kafka_server($node, 'shop', $broker);
# The guards are for space that is needed; here nothing holds streams back.
sql('ALTER SYSTEM SET txpipe.min_free_space = 0');
$node->reload;

# A file system of that size there, or that size for the one that is there.
sub disk
{
	my ($path, $size) = @_;
	my $there = !system('mountpoint', '-q', $path);

	make_path($path);
	system_or_bail('mount', $there ? ('-o', "remount,size=$size", $path) : ('-t', 'tmpfs', '-o', "size=$size,mode=0700", 'tmpfs', $path));
	return;
}

# What is in the directory and should not be: files without their name yet.
sub half_files
{
	my ($path) = @_;
	my @found;

	find(sub { push @found, $File::Find::name if -f && /^\.|\.tmp|copying|part/ }, $path);
	return join ' ', @found;
}

sub send_some
{
	for my $partition (0, 1)
	{
		produce_lines($broker, 't', $partition, map { sprintf '{"id": %d, "filling": "%s"}', ++$sent, 'x' x 900 } 1 .. 1500);
	}
	return;
}

sub all_there
{
	my ($what) = @_;

	wait_for($node, "SELECT state = 'running' AND reason IS NULL AND lag_messages = 0 AND rows_total = $sent FROM txpipe.stream_status WHERE stream = 't'",
		"$what: all is read");
	is(sql('SELECT count(*), count(DISTINCT id), max(id) FROM t'), "$sent|$sent|$sent", "$what: each message is a row once");
	is(sql('SELECT count(*) FROM txpipe.dead_letter'), 0, "$what: none is a dead letter");
	return;
}

# --- the tablespace of a target ---

disk("$base/small", '2m');
sql("CREATE TABLESPACE small LOCATION '$base/small'");
sql(<<'SQL');
CREATE TABLE t (id int, filling text) TABLESPACE small;
SELECT txpipe.create_stream('t', 'shop', 't', 't', options => '{"batch_rows": 100}');
SQL
my $checkpointer = checkpointer_pid($node);
send_some();
wait_for($node, q{SELECT state = 'error' AND reason ~ '^53100: could not extend file .*No space left on device' FROM txpipe.stream_status WHERE stream = 't'},
	'a full tablespace: the status says so');
like(sql('SELECT reason FROM txpipe.stream_status'), qr/Check free disk space/, '... with a hint');
my ($rows, $read) = split /\|/, sql('SELECT (SELECT count(*) FROM t), sum(next_offset) FROM txpipe.stream_partition');
is($rows, $read, "... what it has read ($read) is what it has written");
cmp_ok($read, '<', $sent, '... and is not all');
disk("$base/small", '64m');
all_there('a full tablespace');

# --- the lake ---

sub run_again
{
	sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
	return run_hourly();
}

disk("$base/dirs/lake", '256k');
sql(<<'SQL');
CREATE TABLE item (id int, filling text);
SELECT txpipe.create_feed('item', 'item_([0-9]+)\.csv', 'item');
SQL
for my $file (1, 2)
{
	deliver("item_$file.csv", join '', "id,filling\n", map { sprintf "%d,%s\n", 1000 * $file + $_, 'x' x 500 } 1 .. 1000);
}
run_hourly();
is(sql(q{SELECT string_agg(DISTINCT state, ' ') FROM txpipe.file}), 'failed', 'a full lake: the files failed');
like(sql(q{SELECT DISTINCT reason FROM txpipe.file}), qr/No space left on device/, '... and say why');
like(sql('SELECT coalesce(message, state) FROM txpipe.run ORDER BY run_id DESC LIMIT 1'), qr/failed|No space/, '... so does the run');
is(half_files("$base/dirs/lake"), '', '... nothing half done is in the lake');
is(sql('SELECT count(*) FROM item'), 0, '... and nothing of them in the table');
is(join(' ', map { s{.*/}{}r } sort glob "$base/dirs/landing/*"), 'item_1.csv item_2.csv', '... they wait where they landed');
disk("$base/dirs/lake", '16m');
run_again();
is(sql(q{SELECT string_agg(DISTINCT state, ' '), sum(rows_loaded), (SELECT count(*) FROM item) FROM txpipe.file}), 'loaded|2000|2000',
	'a full lake: with space they are loaded, once');
is(join(' ', glob "$base/dirs/landing/*"), '', '... and leave the landing directory');

# --- exports ---

disk("$base/dirs/export", '300k');
my $before = sql(q{SELECT txpipe.export_csv('SELECT g FROM generate_series(1, 1000) g', 'numbers.csv')});
my $content = slurp_file("$base/dirs/export/numbers.csv");
my $failed = error_of($node, q{SELECT txpipe.export_csv($$SELECT repeat('x', 100) FROM generate_series(1, 10000)$$, 'numbers.csv')});
is($failed->{state}, '53100', 'a full export directory: the call fails') or diag($failed->{text});
like($failed->{text}, qr/No space left on device/, '... and says why');
is(half_files("$base/dirs/export"), '', '... leaves no half file');
is(slurp_file("$base/dirs/export/numbers.csv"), $content, '... and the file that was there as it was');
disk("$base/dirs/export", '16m');
is(error_of($node, q{SELECT txpipe.export_csv($$SELECT repeat('x', 100) FROM generate_series(1, 10000)$$, 'numbers.csv')}), undef, 'a full export directory: with space it works');
is(scalar(() = slurp_file("$base/dirs/export/numbers.csv") =~ /^"?x{100}"?\r?$/mg), 10000, '... and all is there');

# A data set of Parquet, whose parts are there when its directory is full.
disk("$base/dirs/export", '1m');
my $export = q{SELECT txpipe.export_parquet($$SELECT g AS id, md5(g::text || 'x') AS text, g % 3 AS part FROM generate_series(1, %s) AS g$$, 'numbers', '{part}')};
sub data_set { my @files; find(sub { push @files, $File::Find::name if !/^\.{1,2}$/ }, "$base/dirs/export/numbers"); return join ' ', sort @files; }
unlink "$base/dirs/export/numbers.csv";
sql(sprintf $export, 1000);
my $data_set = data_set();
$failed = error_of($node, sprintf $export, 200000);
is($failed->{state}, '53100', 'a data set that does not fit: the call fails') or diag($failed->{text});
like($failed->{text}, qr/could not write file "[^"]*numbers.*No space left on device.*with room for/s, '... and says of which file, and why');
is(data_set(), $data_set, '... the old one is there, and nothing else');
disk("$base/dirs/export", '64m');
is(error_of($node, sprintf $export, 200000), undef, '... with space it works');

# --- the WAL: the guard stops streams in time ---

disk("$base/dirs/lake", '256m');
$node->stop('fast');
rename $node->data_dir . '/pg_wal', "$base/wal.before" or die $!;
disk("$base/wal", '128m');
system_or_bail('cp', '-a', "$base/wal.before/.", "$base/wal");
symlink "$base/wal", $node->data_dir . '/pg_wal' or die $!;
$node->append_conf('postgresql.conf', "min_wal_size = 32MB\nmax_wal_size = 32MB\nwal_level = replica\nmax_replication_slots = 2\n");
$node->start;
sql(q{SELECT pg_create_physical_replication_slot('keeps', true)});
sql(q{ALTER SYSTEM SET txpipe.min_free_space = '60MB'});
$node->reload;
sql(<<'SQL');
CREATE TABLE w (id int, filling text);
SELECT txpipe.create_stream('w', 'shop', 'w', 'w', options => '{"batch_rows": 100, "rows_per_second": 500}');
CREATE FUNCTION much_wal() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN INSERT INTO public.noise SELECT repeat($r$x$r$, 1000) FROM generate_series(1, 20); RETURN NULL; END$$;
CREATE TABLE noise (line text);
CREATE TRIGGER much_wal AFTER INSERT ON w FOR EACH ROW EXECUTE FUNCTION much_wal();
SQL
produce_lines($broker, 'w', 0, map { qq({"id": $_, "filling": "x"}) } 1 .. 6000);
wait_for($node, q{SELECT bool_and(state = 'waiting' AND reason ~ '^the file system of pg_wal has \d+ MB free, less than txpipe.min_free_space \(60 MB\)$')
	FROM txpipe.stream_status}, 'the WAL fills its disk: streams wait');
($rows, $read) = split /\|/, sql(q{SELECT (SELECT count(*) FROM w), sum(next_offset) FROM txpipe.stream_partition WHERE stream = 'w'});
is($rows, $read, '... with what is read written');
cmp_ok($read, '<', 6000, "... before the end ($read)");
sql(q{SELECT pg_drop_replication_slot('keeps'); DROP TRIGGER much_wal ON w; TRUNCATE noise; CHECKPOINT; SELECT pg_switch_wal(); CHECKPOINT});
wait_for_offset($node, 'w', 6000);
wait_for($node, q{SELECT state = 'running' AND reason IS NULL AND lag_messages = 0 FROM txpipe.stream_status WHERE stream = 'w'}, '... with space they go on');
is(sql('SELECT count(*), count(DISTINCT id) FROM w'), '6000|6000', '... each message is a row once');

# --- and without a guard: PostgreSQL stops, and begins again when there is space ---

sql('ALTER SYSTEM SET txpipe.min_free_space = 0; SELECT pg_reload_conf()');
sql('CREATE TRIGGER much_wal AFTER INSERT ON w FOR EACH ROW EXECUTE FUNCTION much_wal()');
sql(q{SELECT pg_create_physical_replication_slot('keeps', true)});
my $filler = "$base/wal/filler";
IPC::Run::run([ 'dd', 'if=/dev/zero', "of=$filler", 'bs=1M' ], '>&', \my $dd);
produce_lines($broker, 'w', 0, map { qq({"id": $_, "filling": "x"}) } 6001 .. 9000);
wait_until('the server has met its full disk', sub { slurp_file($node->logfile) =~ /PANIC:  could not write to file "pg_wal.*No space left/ });
# It may have ended altogether, because it could not recover; or it tries for ever.
$node->stop('immediate', fail_ok => 1);
unlink $filler or die $!;
$node->_update_pid(0);
$node->start;
sql(q{SELECT pg_drop_replication_slot('keeps')});
# Before it is opened again the stream is as it was stored, perhaps before it saw the last messages.
wait_for_offset($node, 'w', 9000, timeout => 120);
wait_for($node, q{SELECT state = 'running' AND reason IS NULL AND lag_messages = 0 FROM txpipe.stream_status WHERE stream = 'w'}, 'a full WAL: it goes on after it');
is(sql('SELECT count(*), count(DISTINCT id) FROM w'), '9000|9000', 'a full WAL: each message is a row once');
send_some();
all_there('after all of it');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to/, qr/No space left on device/, qr/the database system is/, qr/was terminated by signal 6/,
	qr/connection to client lost/, qr/startup process/);
stop_broker($broker);
done_testing();
