# Kinds of files: packed, without header, in other encodings; the lake compressed and cleaned; paths that lead out.
use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use Encode      qw(encode);
use File::Path  qw(make_path);
use IO::Socket::UNIX;
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node    = files_node('file_kinds');
my $dirs    = $node->basedir . '/dirs';
my $landing = "$dirs/landing";
my $lake    = "$dirs/lake";

sub refusal
{
	my $error = error_of($node, $_[0]) or return 'none';

	return "$error->{state} $error->{message}";
}

sub file
{
	my ($name, $columns) = @_;

	return sql("SELECT concat_ws(' ', $columns) FROM txpipe.file WHERE file_name = '$name' ORDER BY file_id DESC LIMIT 1");
}

sub set
{
	my ($name, $value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET $name = '$value'");
	$node->reload;
	wait_for($node, "SELECT current_setting('$name') = '$value'", "$name is $value");
	return;
}

# --- packed files: CSV and JSON lines, in any number of pieces ---

sql(<<'SQL');
CREATE TABLE sale (id integer PRIMARY KEY, what text, amount numeric(10,2), file_id bigint);
SELECT txpipe.create_feed('sales', 'sales/(g[0-9]+)\.csv(?:\.gz|\.zst)?', 'sale');
CREATE TABLE event (id integer PRIMARY KEY, what text, file_id bigint);
SELECT txpipe.create_feed('events', 'events/(g[0-9]+)\.json(?:\.gz|\.zst)?', 'event', 'json');
SQL

my ($cents, $count, $id) = (0, 0, 0);

# So many records of CSV, counted apart from what the server makes of them.
sub sales
{
	my ($rows, $header) = @_;
	my $text = $header ? "id,what,amount\n" : '';

	for (1 .. $rows)
	{
		my $amount = (++$id * 37) % 100_000;

		$text .= sprintf("%d,\"thing, %d\",%d.%02d\n", $id, $id % 7, $amount / 100, $amount % 100);
		$cents += $amount;
		$count++;
	}
	return $text;
}

my %delivered;
$delivered{'sales/g1.csv'}     = deliver('sales/g1.csv',     sales(3_000, 1));
$delivered{'sales/g2.csv.gz'}  = deliver('sales/g2.csv.gz',  sales(30_000, 1), 'gzip', '-c');
$delivered{'sales/g3.csv.zst'} = deliver('sales/g3.csv.zst', sales(30_000, 1), 'zstd', '-qc');
my @pieces = map { my $out; my $text = sales(2_000, $_ == 1); IPC::Run::run([ 'gzip', '-c' ], '<', \$text, '>', \$out); $out } 1 .. 3;
$delivered{'sales/g4.csv.gz'} = deliver('sales/g4.csv.gz', join('', @pieces));
@pieces = map { my $out; my $text = sales(2_000, $_ == 1); IPC::Run::run([ 'zstd', '-qc' ], '<', \$text, '>', \$out); $out } 1 .. 3;
# Packed files need not be named so.
$delivered{'sales/g5.csv'} = deliver('sales/g5.csv', join('', @pieces));
deliver('events/g1.json.gz',  join('', map { "{\"id\": $_, \"what\": \"$_\"}\n" } 1 .. 2_000),       'gzip', '-c');
deliver('events/g2.json.zst', join('', map { "{\"id\": $_, \"what\": \"$_\"}\n" } 2_001 .. 5_000) . "{bad\n", 'zstd', '-qc');
run_hourly();

is(sql('SELECT count(*), sum(amount), max(id) FROM sale'),
	sprintf('%d|%d.%02d|%d', $count, $cents / 100, $cents % 100, $id), 'packed CSV: rows and sum are those that were written');
is(sql("SELECT count(DISTINCT file_id) FROM sale"), 5, 'of five files');
is(sql('SELECT count(*), sum(id), count(*) FILTER (WHERE id::text = what) FROM event'), '5000|' . (5_000 * 5_001 / 2) . '|5000',
	'packed JSON lines');
is(sql("SELECT line_no, code, line FROM txpipe.rejected_row JOIN txpipe.file USING (file_id) WHERE feed = 'events'"),
	'3001|bad_json|{bad', 'a rejected line has its place in the content');
for my $name (sort keys %delivered)
{
	is(file($name, 'sha256, bytes'), sha256_hex($delivered{$name}) . ' ' . length($delivered{$name}),
		"$name: hash and size are those of the bytes delivered");
	is(slurp_file("$lake/" . file($name, 'lake_path')), $delivered{$name}, '... which the lake has unchanged');
	ok(!-e "$landing/$name", '... and the landing directory no longer');
}

# --- damaged files load nothing, and say why ---

my $bytes = deliver('sales/g20.csv.gz', sales(5_000, 1), 'gzip', '-c');
deliver('sales/g20.csv.gz', substr($bytes, 0, length($bytes) / 2));
deliver('sales/g21.csv.zst', sales(5_000, 1), 'zstd', '-qc');
$bytes = slurp_file("$landing/sales/g21.csv.zst");
substr($bytes, length($bytes) / 2, 1) ^= "\xff";
deliver('sales/g21.csv.zst', $bytes);
deliver('sales/g22.csv.gz', '');
my $before = sql('SELECT count(*) FROM sale');
run_hourly();
is(sql('SELECT count(*) FROM sale'), $before, 'nothing of a damaged file is loaded');
is(file('sales/g20.csv.gz', 'state'),      'failed', 'it failed');
like(file('sales/g20.csv.gz', 'reason'),   qr/the gzip data is cut short in file.*\[22P04\]/, '... because it is cut short');
like(file('sales/g21.csv.zst', 'reason'),  qr/the zstd data is damaged in file.*\[22P04\]/,   '... or damaged');
like(file('sales/g22.csv.gz', 'reason'),   qr/the gzip data is cut short in file.*\[22P04\]/, '... or empty');
unlink map { "$landing/sales/$_" } qw(g21.csv.zst g22.csv.gz);
deliver('sales/g20.csv.gz', "id,what,amount\n800001,mended,1\n", 'gzip', '-c');
run_hourly();
is(file('sales/g20.csv.gz', 'state, rows_loaded'), 'loaded 1', 'a whole delivery takes its place');

# --- CSV without header, and other encodings ---

sql(<<'SQL');
CREATE TABLE person (id integer, name text, city text, line_no bigint, group_key text);
SELECT txpipe.create_feed('bare', 'people/(.*)\.bare', 'person', columns => '{"id": "nr", "name": "name", "city": "city"}',
    options => '{"header": false, "fields": "nr, name,city", "delimiter": ";"}');
SELECT txpipe.create_feed('windows', 'people/(.*)\.win', 'person', options => '{"header": "off", "fields": "id,name,city", "encoding": "CP1252"}');
SELECT txpipe.create_feed('wide', 'people/(.*)\.u16', 'person', options => '{"encoding": "utf-16"}');
SELECT txpipe.create_feed('packed_wide', 'people/(.*)\.u16\.gz', 'person', 'json', options => '{"encoding": "UTF-16LE"}');
SQL
deliver('people/a.bare', "1;Ann;\"Bonn; Rhein\"\n2;Bob;Ulm\nx;Eve;Kiel\n3;too;many;fields\n");
deliver('people/b.win', encode('cp1252', "4,J\x{fc}rgen,K\x{f6}ln\n5,Zo\x{eb},\x{20ac}-Stadt\n") . "6,\x81,Ulm\n7,plain,Ulm\n");
deliver('people/c.u16', encode('UTF-16', "id,name,city\r\n8,\x{141}ukasz,\x{141}\x{f3}d\x{17a}\r\n9,\x{5f20}\x{4f1f},\x{5317}\x{4eac}\r\n"));
deliver('people/d.u16.gz', encode('UTF-16LE', "{\"id\": 10, \"name\": \"\x{1f600}\", \"city\": \"Bern\"}\n"), 'gzip', '-c');
run_hourly();
is( sql('SELECT id, name, city, line_no FROM person ORDER BY id'),
	encode('UTF-8', join("\n",
		'1|Ann|Bonn; Rhein|1', '2|Bob|Ulm|2', "4|J\x{fc}rgen|K\x{f6}ln|1", "5|Zo\x{eb}|\x{20ac}-Stadt|2", '7|plain|Ulm|4',
		"8|\x{141}ukasz|\x{141}\x{f3}d\x{17a}|2", "9|\x{5f20}\x{4f1f}|\x{5317}\x{4eac}|3", "10|\x{1f600}|Bern|1")),
	'the first record without header is data; text is what it was in the other encoding');
is( sql('SELECT file_name, line_no, code FROM txpipe.rejected_row JOIN txpipe.file USING (file_id) '
		  . "WHERE file_name LIKE 'people/%' ORDER BY 1, 2"),
	"people/a.bare|3|bad_value\npeople/a.bare|4|extra_field\npeople/b.win|3|bad_encoding",
	'what is no text rejects its record alone');

for my $case (
	[ '{"encoding": "KLINGON"}',                       'encoding "KLINGON" is not known' ],
	[ '{"encoding": "LATIN1//IGNORE"}',                'encoding "LATIN1//IGNORE" is not known' ],
	[ '{"encoding": ""}',                              'encoding "" is not known' ],
	[ '{"header": false}',                             'the options header and fields do not fit together' ],
	[ '{"fields": "a,b"}',                             'the options header and fields do not fit together' ],
	[ '{"header": false, "fields": "id,name, id"}',    'field "id" of the option fields is empty or there twice' ],
	[ '{"header": false, "fields": "id,,name"}',       'field "" of the option fields is empty or there twice' ])
{
	my ($options, $message) = @$case;

	is(refusal("SELECT txpipe.create_feed('wrong', 'wrong/(.*)', 'person', options => '$options')"), "22023 $message",
		"$options is refused");
}
is(refusal(q{SELECT txpipe.create_feed('wrong', 'wrong/(.*)', 'person', 'json', options => '{"header": false, "fields": "a"}')}),
	'22023 the options header and fields do not fit together', 'JSON has no header');

# --- a compressed lake ---

set('txpipe.lake_compression', 'zstd');
my $plain  = deliver('sales/g30.csv',    sales(20_000, 1));
my $packed = deliver('sales/g31.csv.gz', sales(1_000, 1), 'gzip', '-c');
run_hourly();
is(file('sales/g30.csv', 'state, rows_loaded, bytes'), 'loaded 20000 ' . length $plain, 'a file is loaded from its compressed copy');
like(file('sales/g30.csv', 'lake_path'), qr{/g30\.csv\.zst$}, 'which is named so');
my $copy = "$lake/" . file('sales/g30.csv', 'lake_path');
my $content;
IPC::Run::run([ 'zstd', '-dqc', $copy ], '>', \$content);
is(sha256_hex($content), file('sales/g30.csv', 'sha256'), 'and holds the bytes delivered');
cmp_ok(-s $copy, '<', length($plain) / 2, 'in less space');
ok(!-e "$landing/sales/g30.csv", 'the landing file is gone');
is(slurp_file("$lake/" . file('sales/g31.csv.gz', 'lake_path')), $packed, 'a packed file is kept as it is');
is(sql('SELECT count(*) FROM sale WHERE file_id IN (SELECT file_id FROM txpipe.file WHERE file_name LIKE $$sales/g3_.%$$)'), 21_000, 'once');

set('txpipe.lake_compression', 'none');

# --- how long the lake keeps ---

sql(<<'SQL');
CREATE ROLE keeper LOGIN;
CREATE ROLE stranger LOGIN;
GRANT USAGE ON SCHEMA txpipe TO keeper, stranger;
GRANT EXECUTE ON FUNCTION txpipe.clean_lake(interval) TO keeper, stranger;
CREATE TABLE kept (id integer, file_id bigint);
ALTER TABLE kept OWNER TO keeper;
GRANT EXECUTE ON FUNCTION txpipe.create_feed TO keeper;
SET ROLE keeper;
SELECT txpipe.create_feed('kept', 'kept/(.*)\.csv', 'kept', after_load => 'keep');
SQL
deliver('kept/old.csv',   "id\n1\n");
deliver('kept/young.csv', "id\n2\n");
run_hourly();
deliver('kept/repeat.csv', "id\n1\n");
run_hourly();
is(file('kept/repeat.csv', 'state'), 'duplicate', 'a duplicate shares the copy');
sql("UPDATE txpipe.file_ledger SET loaded_at = now() - interval '100 days' WHERE file_name IN ('kept/old.csv', 'sales/g1.csv')");
my $old = "$lake/" . file('kept/old.csv', 'lake_path');
my $of_sales = "$lake/" . file('sales/g1.csv', 'lake_path');

for my $age ('NULL', "'-1 second'")
{
	is(refusal("SELECT txpipe.clean_lake($age)"), '22023 older_than must be an interval that is not negative', "no age: $age");
}
is($node->safe_psql('postgres', "SET ROLE stranger; SELECT txpipe.clean_lake('90 days')"), 0, 'strangers remove nothing');
sql("BEGIN; SELECT txpipe.clean_lake('90 days'); ROLLBACK");
sql("BEGIN; SAVEPOINT s; SELECT txpipe.clean_lake('90 days'); ROLLBACK TO s; COMMIT");
sql("DO \$\$ BEGIN BEGIN PERFORM txpipe.clean_lake('90 days'); RAISE EXCEPTION 'no'; EXCEPTION WHEN others THEN NULL; END; END \$\$");
is(refusal("BEGIN; SELECT txpipe.clean_lake('90 days'); PREPARE TRANSACTION 'p'"),
	'0A000 a transaction that has called clean_lake or erase_subject cannot be prepared', 'a prepared transaction could not remove them');
ok(-e $old && -e $of_sales, 'what was rolled back removes nothing');
is(sql("SELECT count(*) FROM txpipe.file WHERE file_name IN ('kept/old.csv', 'sales/g1.csv', 'kept/repeat.csv') AND lake_path IS NOT NULL"),
	3, '... and forgets nothing');
is($node->safe_psql('postgres', "SET ROLE keeper; BEGIN; SAVEPOINT s; SELECT txpipe.clean_lake('90 days'); RELEASE s; COMMIT"),
	1, 'the owner removes what is old');
ok(!-e $old, 'the copy is gone');
ok(-e $of_sales, '... not that of another owner');
is(file('kept/old.csv', 'state, lake_path IS NULL'), 'loaded t', 'the row has no copy any more');
like(file('kept/old.csv', 'reason'), qr/^its copy was removed from the lake on \d{4}-\d\d-\d\d$/, '... and says so');
is(file('kept/repeat.csv', 'state, lake_path IS NULL'), 'duplicate t', 'nor has its duplicate');
ok(-e "$lake/" . file('kept/young.csv', 'lake_path'), 'a younger copy stays');
is($node->safe_psql('postgres', "SET ROLE keeper; SELECT txpipe.clean_lake('90 days')"), 0, 'there is nothing more to do');
is(sql("SELECT count(*) FROM txpipe.file_ledger WHERE lake_path IS NULL AND state = 'loaded'"), 1, 'one file was given up');

# A copy that another file shares stays until nobody has it.
sql("UPDATE txpipe.file_ledger SET lake_path = (SELECT lake_path FROM txpipe.file_ledger WHERE file_name = 'sales/g1.csv') "
	  . "WHERE file_name = 'sales/g2.csv.gz'");
is(sql("SELECT txpipe.clean_lake('90 days')"), 0, 'a shared copy is not counted');
ok(-e $of_sales, '... and stays');
sql("UPDATE txpipe.file_ledger SET loaded_at = now() - interval '100 days' WHERE file_name = 'sales/g2.csv.gz'");
is(sql("SELECT txpipe.clean_lake('90 days')"), 1, 'with the last of them it goes');
ok(!-e $of_sales, '... indeed');

# The same content again: its duplicate leaves the landing directory although the lake has no copy.
deliver('sales/g40.csv', $delivered{'sales/g1.csv'});
is(run_hourly(), '', 'a duplicate of a file without copy is no trouble');
is(file('sales/g40.csv', 'state, landing_removed'), 'duplicate t', 'and leaves the landing directory');

# An earlier group that delivers it now takes its place, from the landing directory.
sql("UPDATE txpipe.file_ledger SET loaded_at = now() - interval '100 days' WHERE file_name = 'sales/g31.csv.gz'");
is(sql("SELECT txpipe.clean_lake('90 days')"), 1, 'one more is given up');
deliver('sales/g11.csv.gz', $packed);
run_hourly();
is(file('sales/g31.csv.gz', 'state'), 'duplicate', 'it is a duplicate of what comes before it');
is(file('sales/g11.csv.gz', 'state, rows_loaded, lake_path IS NOT NULL, landing_removed'), 'loaded 1000 t t', '... which is loaded');

# It can be loaded once more when it is delivered again.
deliver('sales/g2.csv.gz', $delivered{'sales/g2.csv.gz'});
sql("SELECT txpipe.reload(file_id) FROM txpipe.file WHERE file_name = 'sales/g2.csv.gz'");
is(file('sales/g2.csv.gz', 'state, rows_loaded, lake_path IS NOT NULL'), 'loaded 30000 t', 'a file without copy is reloaded from a delivery');
ok(-e "$lake/" . file('sales/g2.csv.gz', 'lake_path'), '... and has a copy again');

# A load that would find the copy waits until it has gone, and makes its own.
sql(q{SELECT txpipe.create_feed('again', 'again/(.*)/s\.csv', 'kept', options => '{"duplicates": "load"}')});
deliver('again/a/s.csv', "id\n7\n");
run_hourly();
my $path = file('again/a/s.csv', 'lake_path');
sql("UPDATE txpipe.file_ledger SET loaded_at = now() - interval '100 days' WHERE file_name = 'again/a/s.csv'");
my ($in, $out, $err) = ("BEGIN;\nSELECT 'removes ' || txpipe.clean_lake('90 days');\n", '', '');
my $cleaner = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err);
$cleaner->pump until $out =~ /removes 1/ || !$cleaner->pumpable;
deliver('again/b/s.csv', "id\n7\n");
my $session = start_sql('CALL txpipe.run_hourly()');
wait_for($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query = 'CALL txpipe.run_hourly()' AND wait_event_type = 'Lock'",
	'the load waits');
ok(-e "$lake/$path", 'the copy is there until the commit');
$in .= "COMMIT;\n\\q\n";
$cleaner->finish;
$session->{run}->finish;
is(file('again/b/s.csv', 'state, lake_path'), "loaded $path", 'the load goes on under the same name');
ok(-e "$lake/$path", '... with a copy of its own');
is(file('again/a/s.csv', 'lake_path IS NULL'), 't', 'the other one is given up');

# In one transaction a load cannot find the copy that goes with the commit.
sql("UPDATE txpipe.file_ledger SET loaded_at = now() - interval '100 days' WHERE file_name = 'again/b/s.csv'");
deliver('again/c/s.csv', "id\n7\n");
for my $call ('CALL txpipe.run_hourly()', q{SELECT txpipe.reload(file_id) FROM txpipe.file WHERE file_name = 'again/b/s.csv'},
	q{SELECT * FROM txpipe.validate_file('again/c/s.csv')})
{
	my $error = error_of($node, "BEGIN; SELECT txpipe.clean_lake('90 days'); $call; COMMIT") // {};

	is(($error->{state} // '') . ' ' . ($error->{message} // ''), '55000 files cannot be loaded after clean_lake or erase_subject in one transaction',
		"$call after clean_lake is refused");
}
ok(-e "$lake/$path", '... and the copy stays');
sql("BEGIN; SAVEPOINT s; SELECT txpipe.clean_lake('90 days'); ROLLBACK TO s; CALL txpipe.run_hourly(); COMMIT");
is(file('again/c/s.csv', 'state, lake_path'), "loaded $path", 'nothing is in the way when that was rolled back');
sql("BEGIN; SELECT txpipe.clean_lake('90 days'); COMMIT");
ok(-e "$lake/$path", 'a copy another file has found stays');

# Folders that nothing is in any more go with the last copy; and what cannot be done without it says so.
sql(q{CREATE TABLE brief (id integer, file_id bigint); SELECT txpipe.create_feed('brief', 'brief/(.*)\.csv', 'brief')});
deliver('brief/a.csv', "id\n1\nx\n");
deliver('brief/b.csv', "id\n2\n");
run_hourly();
my %brief = map { $_ => file("brief/$_.csv", 'file_id') } 'a', 'b';
my ($hour) = file('brief/a.csv', 'lake_path') =~ m{^(.*)/};
sql("UPDATE txpipe.file_ledger SET loaded_at = now() - interval '100 days' WHERE file_name = 'brief/a.csv'");
is(sql("SELECT txpipe.clean_lake('90 days')"), 1, 'one of two copies goes');
ok(-e "$lake/$hour", 'their folder stays');
sql("UPDATE txpipe.file_ledger SET loaded_at = now() - interval '100 days' WHERE file_name = 'brief/b.csv'");
is(sql("SELECT txpipe.clean_lake('90 days')"), 1, 'the other one follows');
ok(!-e "$lake/$hour" && !-e "$lake/raw/feed=brief", '... with the folders that were theirs alone');
ok(-d "$lake/raw/feed=again", '... and no others');

for my $case ([ "txpipe.reload($brief{a})", 'this again' ],
	[ "txpipe.replay_rejected_rows($brief{a})", "txpipe.reload($brief{a}), which copies it," ])
{
	my ($call, $remedy) = @$case;
	my $error = error_of($node, "SELECT $call") // {};

	is($error->{state}, '58P01', "$call has nothing to read");
	is($error->{message}, "the copy of file $brief{a}, \"brief/a.csv\", was removed from the lake by clean_lake() or erase_subject()", '... because of clean_lake');
	is($error->{hint}, "Deliver it again and call $remedy before the next run_hourly().", '... and says what helps');
}
deliver('brief/a.csv', "id\n1\nx\n");
sql("SELECT txpipe.reload($brief{a})");
is(file('brief/a.csv', 'state, rows_loaded, rows_rejected'), 'loaded_with_rejects 1 1', 'which it does');
is(sql("SELECT * FROM txpipe.replay_rejected_rows($brief{a}, ARRAY[3], '3')"), '1|0|0', '... and its lines can be replayed');

# --- one name, packed and plain ---

sql(q{CREATE TABLE twice (id integer, file_id bigint);
      SELECT txpipe.create_feed('twice', 'twice/(.*)\.csv', 'twice', options => '{"on_change": "replace"}')});
my $gz = deliver('twice/a.csv', "id\n1\n2\n", 'gzip', '-nc');
run_hourly();
my $of_gz = file('twice/a.csv', 'lake_path');
deliver('twice/a.csv', "id\n1\n2\n");
unlike(run_hourly(), qr/WARNING/, 'the same content, not packed, is no trouble');
is(file('twice/a.csv', 'state, rows_loaded, landing_removed'), 'loaded 2 t', '... and leaves the landing directory');
is(slurp_file("$lake/" . file('twice/a.csv', 'lake_path')), "id\n1\n2\n", '... with a copy of its own bytes');
is(slurp_file("$lake/$of_gz"), $gz, '... beside that of the packed one');

# --- paths that lead out ---

make_path("$dirs/outside", "$landing/swap");
my $secret = "id,what,amount\n900001,secret,1.00\n";
sql(q{SELECT txpipe.create_feed('swapped', 'swap/(g[0-9]+)/s\.csv', 'sale')});
set('txpipe.settle_time', '3s');
deliver('swap/g1/s.csv', "id,what,amount\n900001,public,1.00\n");
open my $fh, '>', "$dirs/outside/s.csv" or die;
print $fh $secret;
close $fh;
# The same size and time: nothing but the way there tells them apart.
my $now = time;
utime $now, $now, "$dirs/outside/s.csv", "$landing/swap/g1/s.csv";
$session = start_sql('CALL txpipe.run_hourly()');
wait_for($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query = 'CALL txpipe.run_hourly()' AND wait_event = 'Extension'",
	'the run waits for the file to settle');
rename "$landing/swap/g1", "$landing/swap/.g1" or die;
symlink "$dirs/outside", "$landing/swap/g1" or die;
$session->{run}->finish;
is(sql("SELECT count(*) FROM sale WHERE id = 900001"), 0, 'a folder swapped for a link is not followed');
run_hourly();
is(sql("SELECT count(*) FROM sale WHERE id = 900001"), 0, '... nor later');
ok(-e "$dirs/outside/s.csv", '... and nothing behind it is removed');
unlink "$landing/swap/g1";
rename "$landing/swap/.g1", "$landing/swap/g1" or die;
utime undef, undef, "$landing/swap/g1/s.csv";
set('txpipe.settle_time', '0');
run_hourly();
is(sql("SELECT what FROM sale WHERE id = 900001"), 'public', 'the folder itself is read again');

make_path("$landing/swap/g2", "$landing/swap/g3");
POSIX::mkfifo("$landing/swap/g2/s.csv", 0600) or die "mkfifo: $!";
symlink "$dirs/outside/s.csv", "$landing/swap/g3/s.csv" or die;
run_hourly();
is(sql("SELECT count(*) FROM txpipe.file WHERE file_name IN ('swap/g2/s.csv', 'swap/g3/s.csv')"), 0, 'FIFOs and links are no files');

# A socket and a device are none either; nobody waits for them. A hard link is the file, wherever its other name is.
make_path(map { "$landing/swap/g$_" } 4 .. 6);
my $listener = IO::Socket::UNIX->new(Local => 'socket', Listen => 1) or die "socket: $!";
rename 'socket', "$landing/swap/g4/s.csv" or die "rename: $!";
my $is_device = system("mknod '$landing/swap/g5/s.csv' c 1 5 2>/dev/null") == 0;
run_hourly();
is(sql("SELECT count(*) FROM txpipe.file WHERE file_name IN ('swap/g4/s.csv', 'swap/g5/s.csv')"), 0, 'sockets and devices are no files');
SKIP: { skip 'this user may not make devices', 1 unless $is_device; is(error_of($node, q{SELECT txpipe.validate_file('swap/g5/s.csv')})->{state}, '58P01', '... for validate_file, too') }
is(error_of($node, qq{SELECT txpipe.validate_file('swap/$_/s.csv')})->{state}, '58P01', "... nor can $_ be validated") foreach 'g2', 'g3', 'g4';
append_to_file("$dirs/outside/h.csv", my $linked = "id,what,amount\n900002,linked,1.00\n");
link "$dirs/outside/h.csv", "$landing/swap/g6/s.csv" or die "link: $!";
run_hourly();
is(sql(q{SELECT state, landing_removed FROM txpipe.file WHERE file_name = 'swap/g6/s.csv'}) . sql('SELECT what FROM sale WHERE file_id = (SELECT file_id FROM txpipe.file WHERE file_name = $$swap/g6/s.csv$$)'), 'loaded|tlinked',
	'a hard link is a file');
is(slurp_file("$dirs/outside/h.csv"), $linked, '... whose other name stays');

# A copy of the lake behind a link is neither read nor removed.
$path = file('kept/young.csv', 'lake_path');
my ($folder) = $path =~ m{^(.*)/[^/]*$};
sql("UPDATE txpipe.file_ledger SET loaded_at = now() - interval '100 days' WHERE file_name = 'kept/young.csv'");
rename "$lake/$folder", "$dirs/moved" or die;
symlink "$dirs/moved", "$lake/$folder" or die;
$node->psql('postgres', "SELECT txpipe.clean_lake('90 days')", stdout => \$out, stderr => \$err);
like($err, qr/WARNING:  could not remove ".*young\.csv" from the lake: Too many levels of symbolic links/, 'the reason is told');
ok(-e "$dirs/moved/young.csv", 'a copy behind a link stays');

log_is_clean($node, qr/after clean_lake or erase_subject in one transaction|removed from the lake by clean_lake|encoding "|the options header|field ".*" of the option|older_than must be|cannot be prepared|there is no file "swap/);
$node->stop;
done_testing();
