# Files for others: the daily B2B files with their revisions and side files.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use File::Basename qw(basename);
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest qw(wait_for);

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

$node->stop;
done_testing();
