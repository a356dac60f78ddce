# Taking files back, loading them again, replaying their rejected rows; every total is computed from the files.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node    = files_node('unload');
my $dirs    = $node->basedir . '/dirs';
my $lake    = "$dirs/lake";

sub file_id
{
	my ($name) = @_;

	return sql("SELECT max(file_id) FROM txpipe.file WHERE file_name = '$name'");
}

# State and counts: read, loaded, duplicate, filtered, superseded, rejected.
sub counts
{
	my ($name) = @_;

	return sql("SELECT concat_ws(' ', state, rows_read, rows_loaded, rows_duplicate, rows_filtered, "
		  . "rows_superseded, rows_rejected) FROM txpipe.file WHERE file_id = (SELECT max(file_id) FROM txpipe.file "
		  . "WHERE file_name = '$name')");
}

# --- lines of files loaded before become something else ---

# Of the lines with one id the one of the highest file stays in the table; the others are superseded.
sql(<<'SQL');
CREATE TABLE latest (id integer PRIMARY KEY, value text, file_id bigint, line_no bigint);
SELECT txpipe.create_feed('latest', 'latest/(.*)\.csv',
    columns => '{"id": {"path": "id", "type": "integer"}, "value": "value"}', options => '{"batch_rows": 2}');
SELECT txpipe.on_load('latest', 'replace', $$
    WITH gone AS (DELETE FROM public.latest l USING batch b WHERE l.id = b.id RETURNING l.*)
    SELECT line_no, 'superseded', 'loaded', 'a later line has it', NULL::text, file_id FROM gone $$);
SELECT txpipe.on_load('latest', 'load', $$
    INSERT INTO public.latest SELECT id, value, file_id, line_no FROM batch $$);
SQL
my %latest = (a => [ 1, 2, 3 ], b => [ 2, 3, 4, 5 ], c => [ 5, 6, 7, 6 ]);
for my $name (sort keys %latest)
{
	deliver("latest/$name.csv", "id,value\n" . join('', map { "$_,$name$_\n" } @{ $latest{$name} }));
}
run_hourly();
my (%last, %loaded);
for my $name (sort keys %latest)
{
	$last{$_} = $name for @{ $latest{$name} };
}
$loaded{$_}++ for values %last;
for my $name (sort keys %latest)
{
	my $read = @{ $latest{$name} };

	is( counts("latest/$name.csv"),
		"loaded $read $loaded{$name} 0 0 " . ($read - $loaded{$name}) . ' 0',
		"file $name: what later lines replaced is superseded");
}

my @broken = (
	[ "SELECT 2::bigint, 'loaded', 'loaded', NULL::text, NULL::text, 4711::bigint", 'file 4711, which is no loaded file' ],
	[ "SELECT 2::bigint, 'duplicate', 'filtered', NULL::text, NULL::text, " . file_id('latest/a.csv') . '::bigint', 'moved more lines of file' ],
	[ "SELECT 2::bigint, 'duplicate', 'filtered', NULL::text, NULL::text, file_id FROM batch", 'moved more earlier lines' ],
	[ "SELECT 2::bigint, 'rejected', 'loaded', NULL::text, NULL::text, " . file_id('latest/a.csv') . '::bigint', 'from or to "rejected"' ],
	[ "SELECT 2::bigint, 'duplicate', NULL::text, NULL::text, NULL::text, " . file_id('latest/a.csv') . '::bigint', 'from or to "NULL"' ],
	[ "SELECT 2::bigint, 'duplicate', 'loaded', NULL::text, NULL::text, 1", 'another shape' ],
);
my $before = sql("SELECT md5(string_agg(f::text, '' ORDER BY file_id)) FROM txpipe.file f WHERE file_name LIKE 'latest/%'");
my $n = 0;
for my $case (@broken)
{
	my ($step, $message) = @$case;

	$n++;
	sql("SELECT txpipe.create_feed('broken$n', 'broken$n/(.*)\\.csv', "
		  . "columns => '{\"id\": \"id\"}', step => \$\$$step\$\$)");
	deliver("broken$n/x.csv", "id\n1\n");
	run_hourly();
	like(sql("SELECT state || ' ' || reason FROM txpipe.file WHERE file_name = 'broken$n/x.csv'"),
		qr/^failed .*step "load" .*\Q$message\E/, "refused, naming the step: $message");
	sql("SELECT txpipe.drop_feed('broken$n')");
}
is(sql("SELECT md5(string_agg(f::text, '' ORDER BY file_id)) FROM txpipe.file f WHERE file_name LIKE 'latest/%'"),
	$before, 'and no count has moved');
sql(<<'SQL');
CREATE ROLE stranger;
GRANT EXECUTE ON FUNCTION txpipe.create_feed TO stranger;
GRANT USAGE ON SCHEMA txpipe TO stranger;
SQL
sql("SET ROLE stranger; SELECT txpipe.create_feed('strange', 'strange/(.*)\\.csv', columns => '{\"id\": \"id\"}', "
	  . "step => \$\$SELECT 2::bigint, 'duplicate', 'loaded', NULL::text, NULL::text, " . file_id('latest/a.csv') . "::bigint\$\$)");
deliver('strange/x.csv', "id\n1\n");
run_hourly();
like(sql("SELECT reason FROM txpipe.file WHERE file_name = 'strange/x.csv'"),
	qr/which is no loaded file of a feed of "stranger"/, "lines of another owner's files cannot be moved");

# --- unload and reload of a feed with a target ---

# Sum and number of the good lines of these files; each file has lines of its own.
my %content;

sub make_items
{
	my ($name, $rows, $bad) = @_;
	my @lines = map { sprintf '%d,%s,%d.%02d', $_, "item of $name", $_ % 97, $_ % 100 } 1 .. $rows;

	splice @lines, $_ * 3, 0, "x$_,bad,1" for 1 .. $bad;
	$content{$name} = join("\n", 'id,name,price', @lines) . "\n";
	return $content{$name};
}

sub totals_of
{
	my ($count, $cents) = (0, 0);

	for my $name (@_)
	{
		for my $line (split /\n/, $content{$name})
		{
			my ($id, $text, $price) = split /,/, $line;
			next unless $id =~ /^\d+$/;
			$count++;
			$cents += int($price * 100 + 0.5);
		}
	}
	return sprintf '%d|%d.%02d', $count, $cents / 100, $cents % 100;
}

sub totals { return sql('SELECT count(*), coalesce(sum(price), 0.00) FROM item') }

# Everything there is to see but times and what was said about it.
sub fingerprint
{
	return sql("SELECT md5(string_agg(i::text, '' ORDER BY file_id, line_no)) FROM item i") . ' '
	  . sql("SELECT md5(string_agg(r::text, '' ORDER BY file_id, line_no)) FROM "
		  . '(SELECT file_id, line_no, line, code, state FROM txpipe.rejected_row) r')
	  . ' '
	  . sql("SELECT string_agg(concat_ws(' ', file_name, state, duplicate_of, rows_read, rows_loaded, rows_rejected), ', ' "
		  . "ORDER BY file_id) FROM txpipe.file WHERE feed = 'items'");
}

sql(<<'SQL');
CREATE TABLE item (id integer, name text, price numeric(8,2), file_id bigint, line_no bigint);
SELECT txpipe.create_feed('items', 'items/(.*)/[^/]*\.csv', 'item', options => '{"batch_rows": 100}');
SQL
for my $key (1 .. 4)
{
	deliver("items/$key/a.csv", make_items("$key", 250 + $key, $key));
}
deliver('items/5/a.csv', $content{2});
deliver('items/10/a.csv', $content{2});
run_hourly();
is(totals(), totals_of(1 .. 4), 'all is loaded');
my $all = fingerprint();
my $second = file_id('items/2/a.csv');
my $third  = file_id('items/3/a.csv');
is(sql("SELECT count(*) FROM txpipe.rejected_row WHERE file_id = $third"), 3, 'with rejected rows');

sql("SELECT txpipe.unload($third)");
is(totals(), totals_of(1, 2, 4), 'a file is taken back');
is(counts('items/3/a.csv'), 'unloaded 0 0 0 0 0 0', 'its state says so, its counts are 0');
like(sql("SELECT reason FROM txpipe.file WHERE file_id = $third"), qr/^unloaded by "/, 'and by whom');
is(sql("SELECT count(*) FROM txpipe.rejected_row WHERE file_id = $third"), 0, 'without its rejected rows');
run_hourly();
deliver('items/3/a.csv', $content{3});
run_hourly();
is(totals(), totals_of(1, 2, 4), 'it is not loaded again, delivered again or not');
sql("SELECT txpipe.reload($third)");
is(totals(), totals_of(1 .. 4), 'before reload');
is(fingerprint(), $all, 'which makes everything as it was');
sql("SELECT txpipe.reload($third)");
is(fingerprint(), $all, 'a loaded file is loaded anew, once');

# A duplicate takes the place of a file taken back, the first in the order of groups.
sql("SELECT txpipe.unload($second)");
is(totals(), totals_of(1 .. 4), 'a duplicate takes the place of its original');
is(counts('items/5/a.csv'),  'loaded_with_rejects 254 252 0 0 0 2',    'the first by the order of groups');
is(counts('items/10/a.csv'), 'duplicate 0 0 0 0 0 0', 'the other is its duplicate');
is(sql("SELECT duplicate_of FROM txpipe.file WHERE file_name = 'items/10/a.csv'"), file_id('items/5/a.csv'), 'now');
is(sql("SELECT count(DISTINCT file_id) FROM item WHERE name = 'item of 2'"), 1, 'once');
sql("SELECT txpipe.reload($second)");
is(totals(), totals_of(1 .. 4), 'the original takes its place again');
is(fingerprint(), $all, 'as it was');
sql("SELECT txpipe.unload($second); SELECT txpipe.unload(" . file_id('items/5/a.csv') . ')');
is(counts('items/10/a.csv'), 'loaded_with_rejects 254 252 0 0 0 2', 'then the next one');
sql('SELECT txpipe.unload(' . file_id('items/10/a.csv') . ')');
is(totals(), totals_of(1, 3, 4), 'until there is none');
sql('SELECT txpipe.reload(' . file_id('items/10/a.csv') . ')');
is(totals(), totals_of(1 .. 4), 'any of them can come back');
sql('SELECT txpipe.reload(' . file_id('items/5/a.csv') . "); SELECT txpipe.reload($second)");
is(totals(), totals_of(1 .. 4), 'its content is there once');

# Of two that come before the file of their content that is loaded, the first takes its place, and the second would be next.
make_items('29', 20, 0);
foreach my $keys ([29], [ 27, 28 ])
{
	deliver("items/$_/a.csv", $content{29}) foreach @$keys;
	run_hourly();
}
foreach my $key (27, 28, 29)
{
	is(counts("items/$key/a.csv"), 'loaded 20 20 0 0 0 0', "the content of three files is loaded from group $key");
	is(totals(), totals_of(1 .. 4, 29), 'and once');
	sql('SELECT txpipe.unload(' . file_id("items/$key/a.csv") . ')');
}

# A file that changed is accepted, and can be taken back again.
my $changed = $content{1};
$content{'1b'} = make_items('1b', 40, 0);
deliver('items/1/a.csv', $content{'1b'});
run_hourly();
is(counts('items/1/a.csv'), 'changed 0 0 0 0 0 0', 'other content under a loaded name is kept back');
my $first   = sql("SELECT min(file_id) FROM txpipe.file WHERE file_name = 'items/1/a.csv'");
my $correct = file_id('items/1/a.csv');
sql("SELECT txpipe.reload($correct)");
is(totals(), totals_of('1b', 2 .. 4), 'reload loads it in the place of the other');
is(sql("SELECT state, reason FROM txpipe.file WHERE file_id = $first"), "superseded|replaced by file $correct", 'which is superseded');
is(error_of($node, "SELECT txpipe.reload($first)")->{state}, '55000', 'and cannot be reloaded');
deliver('items/11/a.csv', $changed);
run_hourly();
is(totals(), totals_of('1b', 1 .. 4), 'though its content can come under another name');
is( sql("SELECT string_agg(state || ':' || coalesce(reason, ''), ' ' ORDER BY event_id) FROM txpipe.file_event "
		  . "WHERE file_id = $correct AND state IN ('changed', 'waiting', 'loaded')") =~ s/by "[^"]*"/by somebody/gr,
	"changed:" . sql("SELECT reason FROM txpipe.file_event WHERE file_id = $correct AND state = 'changed'")
	  . ' waiting:reloaded by somebody loaded:reloaded by somebody', 'every state is on record');
sql("SELECT txpipe.unload($correct), txpipe.unload(" . file_id('items/11/a.csv') . ')');
is(totals(), totals_of(2 .. 4), 'several files in one statement');
sql("SELECT count(txpipe.reload(file_id)) FROM txpipe.file WHERE file_id IN ($correct, " . file_id('items/11/a.csv') . ')');
is(totals(), totals_of('1b', 1 .. 4), 'there and back');
sql('SELECT txpipe.unload(' . file_id('items/11/a.csv') . "), txpipe.unload($correct)");
deliver('items/12/a.csv', $content{1});
run_hourly();
is(totals(), totals_of(1 .. 4), 'the content of an unloaded file under another name is loaded');
is(counts('items/12/a.csv'), 'loaded_with_rejects 252 251 0 0 0 1', 'as a file of its own');

# --- the copy in the lake ---

my $fourth = file_id('items/4/a.csv');
my $copy   = "$lake/" . sql("SELECT lake_path FROM txpipe.file WHERE file_id = $fourth");
rename $copy, "$copy.away" or die "$copy: $!";
my $error = error_of($node, "SELECT txpipe.reload($fourth)");
is($error->{state}, '58P01', 'without a copy a file cannot be reloaded');
like($error->{hint}, qr/Deliver it again/, 'and the hint says what to do');
is(totals(), totals_of(1 .. 4), 'it stays loaded');
deliver('items/4/a.csv', $content{4});
sql("SELECT txpipe.reload($fourth)");
is(totals(), totals_of(1 .. 4), 'the landing file is used where there is no copy');
ok(-e $copy, 'and copied');
open my $fh, '+<', $copy or die;
seek $fh, -2, 2;
print $fh 'X';
close $fh;
is(error_of($node, "SELECT txpipe.reload($fourth)")->{state}, 'XX001', 'a copy with other content is refused');
rename "$copy.away", $copy or die;

sql(q{ALTER SYSTEM SET txpipe.lake_compression = 'zstd'});
$node->reload;
wait_for($node, "SELECT current_setting('txpipe.lake_compression') = 'zstd'", 'the setting is there');
make_items('packed', 50, 0);
deliver('items/13/a.csv', $content{packed});
run_hourly();
like(sql("SELECT lake_path FROM txpipe.file WHERE file_name = 'items/13/a.csv'"), qr/\.zst$/, 'a compressed copy');
sql('SELECT txpipe.reload(' . file_id('items/13/a.csv') . ')');
is(totals(), totals_of(1 .. 4, 'packed'), 'is read as well');
sql('SELECT txpipe.unload(' . file_id('items/13/a.csv') . ')');

# --- what cannot be taken back ---

sql(<<'SQL');
CREATE TABLE bare (id integer);
SELECT txpipe.create_feed('bare', 'bare/(.*)\.csv', 'bare');
CREATE TABLE sticky (id integer, file_id integer);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE DELETE ON sticky FOR EACH ROW EXECUTE FUNCTION keep();
SELECT txpipe.create_feed('sticky', 'sticky/(.*)\.csv', 'sticky');
CREATE TABLE called (id integer, file_id bigint);
SELECT txpipe.create_feed('called', 'called/(.*)\.csv', 'called');
SQL
deliver("$_/1.csv", "id\n1\n") for qw(bare sticky called);
run_hourly();
sub refusal
{
	my $error = error_of($node, $_[0]) // return 'no error';

	return join ' ', $error->{state}, $error->{message}, $error->{hint} // '';
}
like(refusal('SELECT txpipe.unload(' . file_id('bare/1.csv') . ')'), qr/^55000 .*cannot be unloaded.*file_id bigint/, 'no file_id');
like(refusal('SELECT txpipe.unload(' . file_id('latest/a.csv') . ')'), qr/^55000 .*cannot be unloaded.*on_unload/, 'no step');
like(refusal('SELECT txpipe.unload(' . file_id('sticky/1.csv') . ')'), qr/^55000 rows of file \d+ cannot be deleted/,
	'a trigger that keeps rows');
like(refusal('SELECT txpipe.unload(4711)'), qr/^42704 file 4711 does not exist/, 'no such file');
like(refusal('SELECT txpipe.unload(NULL)'), qr/^22004/, 'NULL');
sql('SELECT txpipe.unload(' . file_id('called/1.csv') . ')');
like(refusal('SELECT txpipe.unload(' . file_id('called/1.csv') . ')'), qr/^55000 file \d+ cannot be unloaded/, 'twice');
like(refusal('SELECT txpipe.unload(' . file_id('items/5/a.csv') . ')'), qr/^55000 file \d+ cannot be unloaded .*has its content/, 'a duplicate');
sql('SELECT txpipe.reload(' . file_id('called/1.csv') . '); TRUNCATE called');
$node->psql('postgres', 'SELECT txpipe.reload(' . file_id('called/1.csv') . ')', stderr => \my $warning, on_error_die => 1);
like($warning, qr/WARNING:.* had loaded 1 rows, but "public.called" had 0 of them/, 'rows that are gone are told');
is(sql('SELECT count(*) FROM called'), 1, 'and come back with reload');

# --- steps that take files back ---

sql(<<'SQL');
SELECT txpipe.on_unload('latest', 'unload', $$
    WITH gone AS (DELETE FROM public.latest l USING unloaded u WHERE l.file_id = u.file_id RETURNING l.id)
    SELECT 0::bigint, 'loaded', 'superseded', NULL::text, NULL::text, f.file_id
      FROM gone JOIN public.older f USING (id) $$, 10);
CREATE TABLE older (id integer, file_id bigint);
SQL
is(sql("SELECT unload_steps FROM txpipe.feed_status WHERE feed = 'latest'"), '{unload}', 'unload steps are listed apart');
sql('INSERT INTO older VALUES (5, ' . file_id('latest/b.csv') . ')');
my $b_before = counts('latest/b.csv');
sql('SELECT txpipe.unload(' . file_id('latest/c.csv') . ')');
is($b_before, 'loaded 4 3 0 0 1 0', 'a line was superseded');
is(counts('latest/b.csv'), 'loaded 4 4 0 0 0 0', 'and is loaded when what replaced it is taken back');
is(sql('SELECT string_agg(id::text, \',\' ORDER BY id) FROM latest'), '1,2,3,4', 'the step has done its work');
sql("SELECT txpipe.on_unload('latest', 'unload', 'SELECT 2::bigint, ''loaded'', ''superseded'', NULL::text, NULL::text')");
like(refusal('SELECT txpipe.unload(' . file_id('latest/b.csv') . ')'), qr/^42804 step "unload" returns rows of another shape/,
	'unload steps name files');
sql("SELECT txpipe.on_unload('latest', 'unload', 'SELECT 2::bigint, ''loaded'', ''superseded'', NULL::text, NULL::text, file_id FROM unloaded')");
like(refusal('SELECT txpipe.unload(' . file_id('latest/b.csv') . ')'), qr/^42P13 step "unload" returned a line of its own file/,
	'other ones');
sql("SELECT txpipe.on_unload('latest', 'unload', 'SELECT txpipe.reload(file_id) FROM unloaded')");
like(refusal('SELECT txpipe.unload(' . file_id('latest/b.csv') . ')'), qr/^55006 files are being loaded or unloaded/,
	'a step cannot start another');
is(counts('latest/b.csv'), 'loaded 4 4 0 0 0 0', 'nothing of it has happened');
sql("SELECT txpipe.on_unload('latest', 'unload', NULL)");

# --- rejected rows are used after all, once ---

# Bad records of the first file: too expensive for now, no number, and one that a mended line replaces.
my @fruit = map { $_ % 10 == 3 ? "$_,fruit $_,9000" : $_ % 50 == 7 ? "n$_,fruit $_,1" : "$_,fruit $_,$_.5" } 1 .. 300;
$fruit[20] = "21,\"apple\n and pear\",9000";
sql(<<'SQL');
CREATE TABLE fruit (id integer PRIMARY KEY, name text, price numeric(8,2) CHECK (price < 1000), file_id bigint, line_no bigint,
                    group_key text);
SELECT txpipe.create_feed('fruits', 'fruits/(.*)\.csv', 'fruit', options => '{"batch_rows": 40}');
SQL
deliver('fruits/1.csv', join("\n", 'id,name,price', @fruit) . "\n");
run_hourly();
my $fruits    = file_id('fruits/1.csv');
my @expensive = grep { $fruit[ $_ - 1 ] =~ /,9000$/ } 1 .. 300;
my @numberless = grep { $fruit[ $_ - 1 ] =~ /^n/ } 1 .. 300;
my $bad  = @expensive + @numberless;
my $good = 300 - $bad;
# The record with a line end within moves those behind it by a line.
sub line_of { return $_[0] + ($_[0] > 21 ? 2 : 1) }

sub replay { return sql("SELECT * FROM txpipe.replay_rejected_rows($fruits$_[0])") }
sub fruit_counts { return counts('fruits/1.csv') }

is(fruit_counts(), "loaded_with_rejects 300 $good 0 0 0 $bad", 'rows are rejected');
is(replay(''), "0|$bad|$bad", 'replayed while nothing has changed they are rejected again');
is(fruit_counts(), "loaded_with_rejects 300 $good 0 0 0 $bad", 'and counted as before');
sql('ALTER TABLE fruit DROP CONSTRAINT fruit_price_check');
is(replay(', ARRAY[' . line_of($expensive[0]) . ',' . line_of($expensive[-1]) . ']'), '2|0|' . ($bad - 2), 'those named');
is(sql('SELECT id, name, price, file_id, line_no, group_key FROM fruit WHERE price = 9000 ORDER BY id'),
	join("\n", map { "$_|fruit $_|9000.00|$fruits|" . line_of($_) . '|1' } @expensive[ 0, -1 ]), 'are rows with their line and group');
is(replay(''), (@expensive - 2) . '|' . @numberless . '|' . @numberless, 'then all that can be');
is(fruit_counts(), 'loaded_with_rejects 300 ' . ($good + @expensive) . ' 0 0 0 ' . @numberless, 'the counts have moved');
is(sql('SELECT count(*), sum(id) FROM fruit'),
	join('|', 300 - @numberless, eval join '+', grep { $fruit[ $_ - 1 ] !~ /^n/ } 1 .. 300), 'every row is there');
is(sql('SELECT name FROM fruit WHERE id = 21'), "apple\n and pear", 'also one of two lines');
is(replay(''), '0|' . @numberless . '|' . @numberless, 'no row is replayed twice');
my $mended = line_of($numberless[0]);
$node->psql('postgres', "SELECT * FROM txpipe.replay_rejected_rows($fruits, ARRAY[$mended], 'x7,still bad,1')",
	stderr => \my $notice, on_error_die => 1);
like($notice, qr/the line given cannot be used either\nDETAIL:  bad_value: /, 'a mended line that is bad is told');
is(replay(", ARRAY[$mended], '$numberless[0],mended,1.25'"), '1|0|' . (@numberless - 1), 'a mended line');
is(sql("SELECT name, price, line_no FROM fruit WHERE id = $numberless[0]"), "mended|1.25|$mended", 'is loaded in the place of the other');
is(replay(", ARRAY[$mended], '$numberless[0],mended,1.25'"), '0|0|' . (@numberless - 1), 'once');
is(sql("SELECT state, line, line_fixed, code FROM txpipe.rejected_row WHERE file_id = $fruits AND line_no = $mended"),
	"replayed|$fruit[$numberless[0] - 1]|$numberless[0],mended,1.25|bad_value", 'and stays beside the original');
is(sql("SELECT txpipe.dismiss_rejected_rows($fruits, ARRAY[" . line_of($numberless[1]) . '])'), 1, 'a row is given up');
is(sql("SELECT txpipe.dismiss_rejected_rows($fruits, ARRAY[" . line_of($numberless[1]) . '])'), 0, 'once');
is(replay(''), '0|' . (@numberless - 2) . '|' . (@numberless - 2), 'and not replayed any more');
is(sql("SELECT state, count(*) FROM txpipe.rejected_row WHERE file_id = $fruits GROUP BY 1 ORDER BY 1"),
	"dismissed|1\nopen|" . (@numberless - 2) . "\nreplayed|" . (@expensive + 1), 'the states say so');
like(refusal("SELECT txpipe.replay_rejected_rows($fruits, NULL, 'x')"), qr/^22023 a line fixes one rejected row/, 'a line fixes one row');
like(refusal("SELECT txpipe.replay_rejected_rows($fruits, ARRAY[" . line_of($numberless[2]) . "], '')"), qr/^22023 line must not be empty/,
	'an empty line fixes none');
sql("SELECT txpipe.unload($fruits)");
is(sql('SELECT count(*) FROM fruit'), 0, 'what was replayed is taken back with the file');
like(refusal("SELECT txpipe.replay_rejected_rows($fruits)"), qr/^55000 file \d+ is not loaded/, 'then there is nothing to replay');

# Over the limits of its feed a file is not reloaded, unless it was rejected before.
sql("SELECT txpipe.create_feed('limited', 'limited/(.*)\\.csv', 'called', options => '{\"reject_limit\": 1}')");
deliver('limited/1.csv', "id\n501\n502\nx\n");
deliver('limited/2.csv', "id\n601\ny\nx\n");
run_hourly();
my ($within, $over) = (file_id('limited/1.csv'), file_id('limited/2.csv'));
is(counts('limited/1.csv') . ', ' . counts('limited/2.csv'), 'loaded_with_rejects 3 2 0 0 0 1, rejected 3 0 0 0 0 2', 'limits');
sql("ALTER TABLE called ADD CONSTRAINT few CHECK (id <> 502)  NOT VALID");
like(refusal("SELECT txpipe.reload($within)"), qr/^22000 file $within is not reloaded: too much of it would be rejected/, 'a loaded file');
is(sql("SELECT string_agg(id::text, ',' ORDER BY id) FROM called WHERE file_id IN ($within, $over)"), '501,502', 'stays as it was');
sql("SELECT txpipe.reload($over)");
is(counts('limited/2.csv'), 'rejected 3 0 0 0 0 2', 'a rejected one stays rejected');
sql("UPDATE txpipe.feed SET options = '{\"reject_limit\": 2}' WHERE feed = 'limited'; SELECT txpipe.reload($over)");
is(counts('limited/2.csv'), 'loaded_with_rejects 3 1 0 0 0 2', 'until the limit allows it');

# Nor does it replace a loaded one; and one name has one content, whichever of its files is loaded again.
sql("SELECT txpipe.create_feed('exact', 'exact/(.*)\\.csv', 'called', options => '{\"reject_limit\": 0, \"on_change\": \"replace\"}')");
deliver('exact/1.csv', "id\n701\n");
run_hourly();
my $exact1 = file_id('exact/1.csv');
deliver('exact/1.csv', "id\n702\nx\n");
run_hourly();
my $exact2 = sql("SELECT max(file_id) FROM txpipe.file WHERE file_name = 'exact/1.csv'");
my $exact = "SELECT string_agg(id || ' ' || file_id, ',' ORDER BY id) FROM called WHERE file_id IN ($exact1, $exact2)";
is(sql("SELECT state, reason ~ 'would replace a file' FROM txpipe.file WHERE file_id = $exact2"), 'failed|t',
	'a replacement over the limits fails');
is(sql($exact), "701 $exact1", 'and leaves what it was to replace');
sql("UPDATE txpipe.feed SET options = options - 'reject_limit' WHERE feed = 'exact'; SELECT txpipe.reload($exact2)");
is(sql($exact), "702 $exact2", 'reload of a failed replacement replaces');
is(sql("SELECT state FROM txpipe.file WHERE file_id = $exact1"), 'superseded', 'the file of its name');
sql("SELECT txpipe.unload($exact2)");
deliver('exact/1.csv', "id\n703\n");
run_hourly();
my $exact3 = sql("SELECT max(file_id) FROM txpipe.file WHERE file_name = 'exact/1.csv'");
sql("SELECT txpipe.reload($exact2)");
is(sql("SELECT string_agg(id::text, ',') FROM called WHERE file_id IN ($exact2, $exact3)"), '702', 'so does reload of an unloaded one');

# With steps: what becomes of replayed lines is counted, and lines of the same file move.
deliver('latest/d.csv', "id,value\n8,d8\nx9,d9\n8x,again\n");
run_hourly();
my $latest_d = file_id('latest/d.csv');
is(counts('latest/d.csv'), 'loaded_with_rejects 3 1 0 0 0 2', 'a file of steps');
is(sql("SELECT * FROM txpipe.replay_rejected_rows($latest_d, ARRAY[4], '8,again')"), '1|0|1', 'a line is mended');
is(counts('latest/d.csv'), 'loaded_with_rejects 3 1 0 0 1 1', 'and supersedes one of its own file');
is(sql('SELECT value, line_no FROM latest WHERE id = 8'), 'again|4', 'as the step says');

# --- whose rights ---

sql(<<'SQL');
CREATE ROLE clerk;
CREATE ROLE colleague IN ROLE clerk;
GRANT USAGE ON SCHEMA txpipe TO clerk;
GRANT EXECUTE ON FUNCTION txpipe.create_feed, txpipe.unload, txpipe.reload, txpipe.replay_rejected_rows,
    txpipe.dismiss_rejected_rows TO clerk, stranger;
CREATE SCHEMA desk AUTHORIZATION clerk;
SET ROLE clerk;
CREATE TABLE desk.paper (id integer, file_id bigint);
CREATE TABLE desk.who (what text, name text);
CREATE FUNCTION desk.who() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO desk.who VALUES (TG_OP, current_user); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER who AFTER INSERT OR DELETE ON desk.paper DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION desk.who();
SELECT txpipe.create_feed('papers', 'papers/(.*)\.csv', 'desk.paper');
SQL
deliver('papers/1.csv', "id\n1\n");
run_hourly();
my $paper = file_id('papers/1.csv');
like(refusal("SELECT txpipe.unload($paper)"), qr/^42501 .*belongs to role "clerk" .*SET ROLE clerk/, 'not even a superuser may unload for another role');
like(refusal("SET ROLE stranger; SELECT txpipe.unload($paper)"), qr/^42501/, 'a stranger may not');
like(refusal("SET ROLE stranger; SELECT txpipe.reload($paper)"), qr/^42501/, 'nor reload');
like(refusal("SET ROLE stranger; SELECT txpipe.replay_rejected_rows($paper)"), qr/^42501/, 'nor replay');
like(refusal("SET ROLE stranger; SELECT txpipe.dismiss_rejected_rows($paper)"), qr/^42501/, 'nor dismiss');
like(refusal("SET ROLE colleague; SELECT txpipe.unload($paper)"), qr/^42501/, 'nor a member, whose commit it would be');
sql("TRUNCATE desk.who; SET ROLE clerk; BEGIN; SELECT txpipe.reload($paper); RESET ROLE; COMMIT");
is(sql('SELECT string_agg(what || \' \' || name, \',\' ORDER BY what) FROM desk.who'), 'DELETE clerk,INSERT clerk',
	'deferred triggers run as the owner, whoever commits');
sql('ALTER TABLE desk.paper OWNER TO CURRENT_USER; REVOKE ALL ON desk.paper FROM clerk; GRANT SELECT, INSERT ON desk.paper TO clerk');
like(refusal("SET ROLE clerk; SELECT txpipe.unload($paper)"), qr/^42501 permission denied for table paper/, 'the owner needs the right to delete');

# --- with runs and with one another ---

sub waiting_pid
{
	my ($like, $event) = @_;

	return wait_until("$like waits for $event",
		sub { sql("SELECT pid FROM pg_stat_activity WHERE query LIKE '$like' AND wait_event_type || ':' || wait_event ~ '$event' "
			  . "AND pid <> pg_backend_pid() LIMIT 1") });
}

sql(<<'SQL');
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(58); RETURN NEW; END $$;
CREATE TRIGGER gate BEFORE INSERT ON item FOR EACH ROW WHEN (NEW.id = 200) EXECUTE FUNCTION gate();
SQL

my $gate;

sub close_gate
{
	$gate = $node->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(58)');
}

sub open_gate { $gate->quit }

# A run waits for an unload, and an unload for a run.
make_items('5', 260, 0);
deliver('items/6/a.csv', $content{5});
close_gate();
my $reload = start_sql("SELECT txpipe.reload($third)");
waiting_pid('%reload%', 'Lock:advisory');
my $run = start_sql('CALL txpipe.run_hourly()');
waiting_pid('CALL txpipe.run_hourly()', 'Lock:(transactionid|tuple)');
my $again = start_sql("SELECT txpipe.reload($third)");
waiting_pid('%reload%', 'Lock:(transactionid|tuple)');
is(totals(), totals_of(1 .. 4), 'others see the file all the time');
open_gate();
$_->{run}->finish for $reload, $run, $again;
is("$reload->{err}$again->{err}", '', 'both reloads succeed');
# The run may have left the group to the second reload.
run_hourly();
is(totals(), totals_of(1 .. 5), 'a reload, another one and a run at the same time: every row once');
make_items('6', 210, 0);
deliver('items/7/a.csv', $content{6});
close_gate();
$run = start_sql('CALL txpipe.run_hourly()');
waiting_pid('CALL txpipe.run_hourly()', 'Lock:advisory');
my $unload = start_sql("SELECT txpipe.unload($third)");
waiting_pid('%unload%', 'Lock:(transactionid|tuple)');
open_gate();
$_->{run}->finish for $unload, $run;
is($unload->{err}, '', 'an unload waits for a run');
is(totals(), totals_of(1, 2, 4, 5, 6), 'and takes its file back');
sql("SELECT txpipe.reload($third)");

# --- what ends in the middle has not happened ---

$all = fingerprint();
sql("BEGIN; SELECT txpipe.unload($third); SELECT txpipe.reload($second); ROLLBACK");
is(fingerprint(), $all, 'a transaction that is rolled back changes nothing');
close_gate();
$reload = start_sql("SELECT txpipe.reload($third)");
my $pid = waiting_pid('%reload%', 'Lock:advisory');
sql("SELECT pg_cancel_backend($pid)");
$reload->{run}->finish;
open_gate();
like($reload->{err}, qr/canceling statement due to user request/, 'a reload can be cancelled');
is(fingerprint(), $all, 'and changes nothing');
close_gate();
$reload = start_sql("SELECT txpipe.reload($third)");
$pid    = waiting_pid('%reload%', 'Lock:advisory');
my $child = child_pid($pid);
ok($child, 'a child reads the file');
kill 'KILL', $pid;
wait_for($node, 'SELECT true', 'the server is back');
wait_until('the child is gone', sub { !process_lives($child) });
eval { $reload->{run}->finish };
is(fingerprint(), $all, 'a crash in the middle changes nothing');
sql("SELECT txpipe.reload($third)");
is(fingerprint(), $all, 'and it can be done again');

log_is_clean(
	$node,
	qr/cannot be (?:unloaded|reloaded|deleted)/,        qr/file 4711 does not exist/,
	qr/must not be (?:null|empty)/,            qr/belongs to role "clerk"/,
	qr/step "unload" return(?:ed|s)/,                qr/files are being loaded or unloaded/,
	qr/permission denied for (?:table paper|function)/, qr/canceling statement due to user request/,
	qr/there is no copy of file/,                 qr/has other content than the file that arrived/,
	qr/too much of it would be rejected/, qr/a line fixes one rejected row/,         qr/is not loaded/,
	qr/FATAL:  the database system/,           qr/terminating connection because of crash/);
done_testing();
