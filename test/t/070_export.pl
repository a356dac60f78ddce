# Files for others: the daily B2B files with their revisions and side files, and the rows of any query.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use File::Basename qw(basename);
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest qw(wait_until error_of);

my $node = retail_node('export');
my $dir = $node->basedir . '/export';

sub exported
{
	my ($day) = @_;

	return map { basename($_) } split /\n/, sql('SELECT txpipe.export_b2b(' . ($day // '') . ')');
}

# Name and content of everything there.
sub directory
{
	opendir my $handle, $dir or die "$dir: $!";
	return { map { $_ => slurp_file("$dir/$_") } grep { !/^\.\.?$/ } readdir $handle };
}

# What the file of each day must hold, from the files that were delivered.
sub expected
{
	my (@groups) = @_;
	my %expected;

	foreach (split /\n/, totals(@groups))
	{
		my ($kind, $day, @fields) = split /\t/;
		push @{ $expected{$day} }, join(',', @fields) if $kind eq 'b2b';
	}
	return { map { $_ => join('', map { "$_\r\n" } 'sales_agent_name,product_name,total_sold_units', sort @{ $expected{$_} }) } keys %expected };
}

# The side file says what is in its file.
sub side_is_right
{
	my ($file, $day, $revision, $name) = @_;
	my $bytes = slurp_file("$dir/$file");
	my (undef, @lines) = split /\r\n/, $bytes;
	my $sum = 0;
	my $side = decode_json(slurp_file("$dir/$file.json"));

	$sum += (split /,/)[-1] foreach @lines;
	like(delete $side->{written_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, "$name: when");
	return is_deeply(
		$side,
		{   file => $file, day => $day, revision => $revision, rows => scalar @lines, sum => $sum,
			bytes => length $bytes, sha256 => sha256_hex($bytes) }, $name);
}

my @groups = make_groups(2, '--rows', 150, '--dirty', 0, '--seed', 7);
fresh_database();
deliver($groups[0], 'group1');
run_hourly();

my $first = expected($groups[0]);
my @days = sort keys %$first;
my @with_sales = split /\n/, sql('SELECT transaction_date FROM dwh.sales_day ORDER BY 1');
is_deeply([ exported() ], [ map { "b2b_sales_$_.csv" } @with_sales ], 'a file for every day with sales');
my $before = directory();
is_deeply([ map { $before->{"b2b_sales_$_.csv"} } @days ], [ map { $first->{$_} } @days ], 'with the lines of its day');
is_deeply([ sort keys %$before ], [ sort map { ("b2b_sales_$_.csv", "b2b_sales_$_.csv.json") } @with_sales ],
	'a side file for each, and nothing else');
side_is_right("b2b_sales_$days[0].csv", $days[0], 1, 'the side file of a day');

# --- asked for again ---

is_deeply([ exported() ], [], 'no day is due');
is_deeply(directory(), $before, 'nothing is written');
is_deeply([ exported("'$days[0]'") ], ["b2b_sales_$days[0].csv"], 'a day that is asked for again has the same name');
is(slurp_file("$dir/b2b_sales_$days[0].csv"), $first->{ $days[0] }, 'and the same bytes');
is_deeply([ exported(q('1901-02-03')) ], ['b2b_sales_1901-02-03.csv'], 'an empty day that is asked for');
is(slurp_file("$dir/b2b_sales_1901-02-03.csv"), "sales_agent_name,product_name,total_sold_units\r\n", 'has the header only');
side_is_right('b2b_sales_1901-02-03.csv', '1901-02-03', 1, 'its side file');

# --- late rows ---

deliver($groups[1], 'group2');
run_hourly();
my $second = expected(@groups);
my @changed = grep { exists $first->{$_} && $first->{$_} ne $second->{$_} } sort keys %$second;
my $known = join ' ', @with_sales;
my @now = exported();
my @revised = grep { s/^b2b_sales_(.*)\.r2\.csv$/$1/ } @{ [@now] };
ok(@changed > 0, 'late rows change days that are out: ' . @changed);
is_deeply([ grep { exists $first->{$_} } @revised ], \@changed, 'each has a second revision');
my %is_changed = map { $_ => 1 } @changed;
is_deeply([ grep { /^b2b_sales_(\d{4}-\d\d-\d\d)\.csv$/ && $known =~ /$1/ } @now ], [], 'nothing is published twice');
my $after = directory();
is_deeply([ map { $after->{$_} } grep { /^b2b_sales_[-\d]{10}\.csv$/ } sort keys %$before ],
	[ map { $before->{$_} } grep { /^b2b_sales_[-\d]{10}\.csv$/ } sort keys %$before ], 'what was published stays as it is');
is_deeply([ map { $after->{"b2b_sales_$_.r2.csv"} } @changed ], [ map { $second->{$_} } @changed ], 'the revisions have the new lines');
side_is_right("b2b_sales_$changed[0].r2.csv", $changed[0], 2, 'the side file of a revision');
is(sql("SELECT string_agg(revision || ' ' || reason || ' ' || (sha256 = sha256(pg_read_binary_file(path))), ', ' ORDER BY export_id)
        FROM txpipe.export_log WHERE day = '$changed[0]'"), '1 first true'
	  . ($changed[0] eq $days[0] ? ', 1 repeated true' : '') . ', 2 revised true', 'both are in the log');

# Another change of a day: figures the file does not have leave it alone, others make the third revision.
my $day = $changed[0];
sql("UPDATE dwh.sales_day SET version = version + 1 WHERE transaction_date = '$day'");
is_deeply([ exported() ], [], 'a change of other figures writes nothing');
is(sql("SELECT reason, revision FROM txpipe.export_log WHERE day = '$day' ORDER BY export_id DESC LIMIT 1"), 'unchanged|2', 'but the log knows');
sql("UPDATE dwh.fact_sales SET units = units + 1 WHERE transaction_date = '$day' AND NOT is_online;
     UPDATE dwh.sales_day SET version = version + 1 WHERE transaction_date = '$day'");
# The commit is lost, the file is not: who has read it must not find another under its name.
$node->safe_psql('retail', 'BEGIN; SELECT txpipe.export_b2b(); ROLLBACK');
my $third = slurp_file("$dir/b2b_sales_$day.r3.csv");
is_deeply([ exported() ], ["b2b_sales_$day.r3.csv"], 'an export that was rolled back is made again');
is(slurp_file("$dir/b2b_sales_$day.r3.csv"), $third, 'with the same bytes');
sql("DELETE FROM txpipe.export_log WHERE day = '$day'");
is_deeply([ exported() ], ["b2b_sales_$day.r3.csv"], 'without its log a day gets the file that has its figures');
is(sql("SELECT reason FROM txpipe.export_log WHERE day = '$day'"), 'revised', 'which is a revision');

# --- two at once ---

my ($in, $out, $err) = ('', '', '');
my $other = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('retail') ], '<', \$in, '>', \$out, '2>', \$err);
$in = "BEGIN; SELECT 'held' FROM txpipe.export_b2b('1901-02-03');\n";
$other->pump until $out =~ /held/ || !$other->pumpable;
$node->psql('retail', 'SELECT txpipe.export_b2b()', stderr => \my $notice);
like($notice, qr/NOTICE:  another export is running/, 'a second export ends at once');
is(sql(q{SELECT state, message FROM txpipe.run ORDER BY run_id DESC LIMIT 1}), 'skipped|another export is running', 'which its run says');
$in = "COMMIT;\n\\q\n";
$other->finish;

# --- what a crash leaves ---

append_to_file("$dir/.b2b_sales_x.csv.0123abcd.tmp", 'half a li');
append_to_file("$dir/theirs.tmp", 'not ours');
exported(q('1901-02-03'));
is(join(' ', map { basename($_) } glob "$dir/.*.tmp $dir/*.tmp"), 'theirs.tmp', 'half a file of a crash is removed by the next export');

# --- any query ---

sub export_csv
{
	my ($query, $name, @profile) = @_;

	sql("SELECT txpipe.export_csv(\$q\$$query\$q\$, '$name'" . join('', map { ", '$_'" } @profile) . ')');
	return slurp_file("$dir/$name");
}

# The SQLSTATE and first line of what goes wrong.
sub refused
{
	my ($query, %opt) = @_;
	my $call = $opt{call} // "SELECT txpipe.export_csv(\$q\$$query\$q\$, 'refused.csv')";
	my $error = error_of($node, ($opt{before} // '') . $call, db => 'retail') // return 'none';

	return "$error->{state} $error->{message}";
}

sql(q{CREATE TABLE odd (n integer, "a ""text""" text, "=c" numeric, t timestamptz, b bytea);
      INSERT INTO odd VALUES
        (1, E'comma, quote " and\nnew line\r\nor two', -1.50, '2023-05-20 10:00+00', '\x00ff'),
        (2, '', 'NaN', NULL, NULL),
        (3, NULL, 0, NULL, NULL),
        (4, '=1+1', -7, NULL, NULL), (5, '+1', NULL, NULL, NULL), (6, '-1', NULL, NULL, NULL), (7, '@SUM(1)', NULL, NULL, NULL),
        (8, E'\tx', NULL, NULL, NULL), (9, E'\ry', NULL, NULL, NULL), (10, '=1,"2"', NULL, NULL, NULL), (11, ' ä=', NULL, NULL, NULL)});
my $odd = qq{n,"a ""text""",=c,t,b\r
1,"comma, quote "" and\nnew line\r\nor two",-1.50,2023-05-20 10:00:00+00,\\x00ff\r
2,"",NaN,,\r
3,,0,,\r
4,=1+1,-7,,\r
5,+1,,,\r
6,-1,,,\r
7,\@SUM(1),,,\r
8,\tx,,,\r
9,"\ry",,,\r
10,"=1,""2""",,,\r
11, \xc3\xa4=,,,\r
};
is(export_csv('SELECT * FROM odd ORDER BY n', 'odd.csv'), $odd, 'CSV as of RFC 4180');
my $side = decode_json(slurp_file("$dir/odd.csv.json"));
is_deeply([ @$side{qw(file rows bytes sha256)} ], [ 'odd.csv', 11, length $odd, sha256_hex($odd) ], 'its side file');
$node->safe_psql('retail', q{SET DateStyle = 'German'; SET extra_float_digits = 0; SET bytea_output = escape; SET client_encoding = latin1;
                             SELECT txpipe.export_csv('SELECT * FROM odd ORDER BY n', 'again.csv')});
is(slurp_file("$dir/again.csv"), $odd, 'the same bytes, whatever the session has set');
is(join(' ', map { decode_json(slurp_file("$dir/again.csv.json"))->{$_} } qw(file sha256)), 'again.csv ' . sha256_hex($odd), 'a side file of its own');
sql(qq{CREATE TABLE back (LIKE odd); COPY back FROM '$dir/odd.csv' CSV HEADER});
is(sql('SELECT count(*) FROM (TABLE odd EXCEPT TABLE back) AS lost'), '0', 'which COPY reads back, NULL and empty text apart');

my $defused = "\xEF\xBB\xBF" . $odd =~ s/^(n,.*),=c,/$1,'=c,/r =~ s/^(\d+,"?)([=+\@\t\r-])/$1'$2/mgr;
is(export_csv('SELECT * FROM odd ORDER BY n', 'odd.csv', 'spreadsheet'), $defused, 'for spreadsheets: a byte-order mark, and no formulas');
is(export_csv('SELECT n FROM odd WHERE n < 0', 'none.csv'), "n\r\n", 'no rows, and still a header');
is(export_csv('SELECT NULL AS x UNION ALL SELECT 1::text', 'one.csv'), qq{x\r\n""\r\n1\r\n}, 'no line is empty');
is($node->safe_psql('retail', q{CREATE SCHEMA s; CREATE TABLE s.mine AS SELECT 1 AS x; SET search_path = s;
                                SELECT regexp_replace(txpipe.export_csv('TABLE mine', 'mine.csv'), '.*/', '')}), 'mine.csv', 'names as the caller writes them');

# --- what it refuses ---

sql(q{CREATE TABLE written (x integer); CREATE SEQUENCE counted;
      CREATE FUNCTION writes() RETURNS integer LANGUAGE sql VOLATILE AS 'INSERT INTO public.written VALUES (1) RETURNING x';
      CREATE FUNCTION escapes() RETURNS integer LANGUAGE plpgsql VOLATILE AS $$BEGIN SET transaction_read_only = off; RETURN public.writes(); END$$;
      CREATE ROLE reader; GRANT EXECUTE ON FUNCTION txpipe.export_csv(text, text, text) TO reader; GRANT USAGE ON SCHEMA txpipe TO reader;
      CREATE ROLE nobody; GRANT USAGE ON SCHEMA txpipe TO nobody});
my $one = '22023 the query of an export must be one SELECT';
is(refused($_), $one, "refused: $_")
  foreach 'SELECT 1; SELECT 2', 'DELETE FROM written', 'INSERT INTO written VALUES (1) RETURNING x', 'SELECT 1 AS x INTO other', 'SELECT',
  'WITH w AS (DELETE FROM written RETURNING x) SELECT * FROM w', 'COPY written TO STDOUT', 'SELECT x FROM written FOR UPDATE', 'VACUUM', '', 'EXPLAIN SELECT 1', 'COMMIT';
like(refused($_), qr/^25(006|001) /, "refused: $_") foreach 'SELECT writes()', 'SELECT escapes()', "SELECT nextval('counted')";
is(sql(q{SELECT (SELECT count(*) FROM written), is_called FROM counted}), '0|f', 'and nothing is written');
is(sql(q{BEGIN; SELECT 1 FROM txpipe.export_csv('SELECT 1', 'x.csv'); INSERT INTO written VALUES (2) RETURNING x; COMMIT}), "1\n2", 'the transaction goes on as before');
is(refused('', call => "SELECT txpipe.export_csv('SELECT 1', '$_')") =~ s/ .*//r, '22023', "no name: $_") foreach '../x', '/tmp/x', '.x', '', 'a/b', 'x' x 201;
is(refused('', call => q{SELECT txpipe.export_csv('SELECT 1', 'x', 'excel')}), '22023 there is no profile "excel"', 'another profile');
is(refused('', call => q{SELECT txpipe.export_csv(NULL, 'x')}) =~ s/ .*//r, '22004', 'NULL is no query');
is(refused('SELECT 1/0') =~ s/ .*//r, '22012', 'what the query raises');
is(refused('TABLE odd', before => 'SET ROLE reader; '), '42501 permission denied for table odd', 'the query runs as the caller');
is(refused('SELECT 1', before => 'SET ROLE nobody; ') =~ s/ .*//r, '42501', 'not everybody may write files');
symlink '/etc/passwd', "$dir/link.csv" or die;
export_csv('SELECT 1 AS x', 'link.csv');
ok(!-l "$dir/link.csv", 'a link is replaced, not followed');
mkdir "$dir/folder" or die;
like(refused('', call => q{SELECT txpipe.export_csv('SELECT 1', 'folder')}), qr/could not give its name/, 'a folder is not replaced');
is(join(' ', map { basename($_) } glob "$dir/.*.tmp $dir/refused*"), '', 'failures leave nothing');

# --- large ones ---

my $large = "SELECT g, repeat('x', 1000) AS x FROM generate_series(1, 200000) AS g";
my $peak = q{SELECT substring(pg_read_file('/proc/' || pg_backend_pid() || '/status') FROM 'VmHWM:\s+(\d+)')::integer AS peak};
my $grown = $node->safe_psql('retail', qq{$peak \\gset before_
SELECT 1 FROM txpipe.export_csv(\$\$SELECT 1 AS x FROM ($large) l LIMIT 1\$\$, 'small.csv');
$peak \\gset before_
SELECT 1 FROM txpipe.export_csv(\$\$$large\$\$, 'large.csv');
SELECT peak - :before_peak FROM ($peak) AS now});
$grown = (split /\n/, $grown)[-1];
is(-s "$dir/large.csv", 5 + 200000 * 1003 + 1088895, 'a file of 200 MB');
cmp_ok($grown, '<', 20000, "takes $grown kB more memory");

# Its name is there when it is complete: the old file until then, nothing when it is broken off.
my $endless = "SELECT repeat('y', 1000) AS y FROM generate_series(1, 30000) AS g, generate_series(1, 30000) AS h";
is(refused('', before => q{SET statement_timeout = '300ms'; }, call => "SELECT txpipe.export_csv(\$\$$endless\$\$, 'large.csv')") =~ s/ .*//r, '57014', 'an export is cancelled');
is(-s "$dir/large.csv", 5 + 200000 * 1003 + 1088895, 'the file that was there is still there');
is(join(' ', map { basename($_) } glob "$dir/.*.tmp"), '', 'and nothing else');
my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('retail'), '-c', "SELECT txpipe.export_csv(\$\$$endless\$\$, 'broken.csv')" ],
	'<', \'', '>', \$out, '2>', \$err);
wait_until('the export writes', sub { my ($file) = glob "$dir/.broken.csv.*.tmp"; $file && -s $file });
exported(q('1901-02-03'));
ok(scalar(my @running = glob "$dir/.broken.csv.*.tmp"), 'what another session writes is not removed');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%broken.csv%' AND pid <> pg_backend_pid()});
$session->finish;
ok(!-e "$dir/broken.csv", 'half a file never has the name');
exported(q('1901-02-03'));
is(join(' ', map { basename($_) } glob "$dir/.*.tmp"), '', 'and is removed');

# Runs that another scheduler starts are in the status, too; this server has no pg_cron.
is(sql(q{SELECT role_name IS NULL, schedule IS NULL, last_state, problem FROM txpipe.job_status WHERE job = 'b2b'}),
	't|t|succeeded|pg_cron is not loaded', 'the status of jobs without pg_cron');
is(sql(q{SELECT sum(removed) FROM txpipe.housekeeping('1 day')}), '0', 'housekeeping without pg_cron');

$node->stop;
done_testing();
