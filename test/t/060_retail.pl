# The retail case over files: what the warehouse holds is what test/retail_totals computes from the same files.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use File::Basename qw(basename);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest qw(log_is_clean);

my $data = $ENV{TXPIPE_RETAIL_DATA} // "$TxpipeRetail::tree/../shared/data/retail";
my $node = retail_node('retail');
my $base = $node->basedir;

sub ledger
{
	return sql(q{SELECT feed, group_key, state, rows_loaded FROM txpipe.file ORDER BY file_id});
}

# --- generated groups, against totals computed in another way ---

my $groups = $ENV{TXPIPE_TEST_LONG} ? 12 : 7;
my $rows = $ENV{TXPIPE_TEST_LONG} ? 30000 : 1200;
my @groups = make_groups($groups, '--rows', $rows, '--dirty', 15, '--seed', 42);
fresh_database();

deliver($_, basename($_)) foreach @groups;
run_hourly();
my $facts = facts();
same_lines($facts, totals(@groups), "$groups generated groups give the totals of their files");
is(sql(q{SELECT count(DISTINCT code) FROM txpipe.rejected_row}) > 8 ? 'many' : 'few', 'many', 'of many kinds of defects');
is(sql(q{SELECT count(*) FROM txpipe.file WHERE state LIKE 'loaded%'
         AND rows_read <> rows_loaded + rows_duplicate + rows_filtered + rows_superseded + rows_rejected}),
	'0', 'every line of every file is accounted for');
is(sql(q{SELECT string_agg(state, ' ' ORDER BY feed) FROM txpipe.file WHERE group_key = 'group3'}),
	'loaded loaded duplicate', 'a group sent again is in the ledger: no sale of it counts, but what it says of branches and agents');
is(sql(q{SELECT count(*) FROM dwh.fact_sales f FULL JOIN dwh.sale_key k USING (transaction_id, file_id, line_no)
         WHERE f.transaction_date IS DISTINCT FROM k.transaction_date}), '0', 'every sale has its key');
is(sql(q{SELECT count(*) FROM dwh.dim_sales_agent WHERE sales_agent_id > 0 AND name IS NULL AND NOT is_inferred}),
	'0', 'agents that were unknown at first are filled in');
ok(sql(q{SELECT max(n) FROM (SELECT count(*) AS n FROM dwh.dim_sales_agent GROUP BY sales_agent_id) s}) > 2,
	'agents have versions');

# Rejected lines are the bytes of the file.
my %lines;
my $wrong = 0;
foreach my $row (split /\n/, sql(q{SELECT f.file_name, l.line_no, encode(l.line_bytes, 'hex')
                                   FROM txpipe.rejected_line l JOIN txpipe.file f USING (file_id)}))
{
	my ($file, $line_no, $hex) = split /\|/, $row;
	$lines{$file} //= [ split /\r?\n/, slurp_file("$base/source/$file") ];
	$wrong++ if unpack('H*', $lines{$file}[ $line_no - 1 ]) ne $hex;
}
is($wrong, 0, 'rejected lines are stored as they are in the file');

# The lake has the same bytes, and the landing directory is empty.
$wrong = 0;
foreach my $row (split /\n/, sql(q{SELECT file_name, lake_path FROM txpipe.file WHERE state LIKE 'loaded%'}))
{
	my ($file, $lake) = split /\|/, $row;
	$wrong++ if sha256_hex(slurp_file("$base/source/$file")) ne sha256_hex(slurp_file("$base/lake/$lake"));
}
is($wrong, 0, 'the lake keeps the bytes');
is(join(' ', glob "$base/landing/group*/*.csv"), '', 'loaded files leave the landing directory');

# Again: nothing to do, then the same files under the same and under other names.
my $ledger = ledger();
run_hourly();
is(ledger(), $ledger, 'another run finds nothing');
deliver($groups[1], 'group2');
deliver($groups[3], 'group40');
run_hourly();
my $repeated = facts();
same_lines($repeated, $facts, 'groups delivered again change nothing');

# --- the daily files ---

sub exported
{
	return map { basename($_) } split /\n/, sql('SELECT txpipe.export_b2b()');
}

my @days = split /\n/, sql('SELECT transaction_date FROM dwh.sales_day ORDER BY 1');
is_deeply([ exported() ], [ map { "b2b_sales_$_.csv" } @days ], 'a file for every day with sales');
is_deeply([ exported() ], [], 'and no more until a day changes');
$wrong = 0;
foreach my $day (@days)
{
	my @want = grep { s/^b2b\t$day\t// } split /\n/, $facts;
	my @got = split /\r\n/, slurp_file("$base/export/b2b_sales_$day.csv");
	shift @got;
	$wrong++ if join("\n", @want) ne join("\n", map { tr/,/\t/r } @got);
}
is($wrong, 0, 'each file has the lines of its day');
is(sprintf('%04o', (stat "$base/export/b2b_sales_$days[0].csv")[2] & oct 7777), '0640', 'readable for the group');
is(join(' ', glob "$base/export/.*.tmp"), '', 'nothing temporary is left');

# Without a delivery of its own the extension goes, the warehouse stays.
my $count = sql('SELECT count(*), sum(total_paid) FROM dwh.fact_sales');
sql('DROP EXTENSION txpipe');
is(sql('SELECT count(*), sum(total_paid) FROM dwh.fact_sales'), $count, 'DROP EXTENSION leaves the warehouse');
sql('CREATE EXTENSION txpipe');
sql('SELECT txpipe.create_warehouse()');
deliver($groups[0], 'group1');
run_hourly();
is(sql('SELECT count(*), sum(total_paid) FROM dwh.fact_sales'), $count, 'a new installation adopts it and its keys');

# --- the real groups ---

SKIP:
{
	skip "no folder $data", 7 unless -d "$data/group1";

	my $figures = q{SELECT count(*), sum(units), sum(gross_amount), sum(total_paid),
	                       count(*) FILTER (WHERE discount_pct > 0) FROM dwh.fact_sales};
	fresh_database();
	deliver("$data/group1", 'group1');
	run_hourly();
	is(sql($figures), '1500|8134|1425378.66|1322366.4450|736', 'group 1 alone');
	deliver("$data/group$_", "group$_") foreach 2, 3;
	run_hourly();
	is(sql($figures), '3000|16521|3054994.79|2821074.7745|1488', 'groups 1 to 3');
	is(sql(q{SELECT string_agg(state, ' ' ORDER BY feed) FROM txpipe.file WHERE group_key = 'group3'}),
		'loaded loaded duplicate', 'the sales of group 3 are those of group 1');
	is(sql(q{SELECT string_agg(state, ' ' ORDER BY feed) FROM txpipe.file WHERE group_key = 'group2'}),
		'loaded loaded loaded', 'group 2 is complete with two files that say what group 1 said');
	is(sql(q{SELECT sum(rows_loaded), sum(rows_duplicate) > 0 FROM txpipe.file WHERE group_key IN ('group2', 'group3')
	         AND feed <> 'sales_transactions'}), '0|t', 'which is no news');
	same_lines(facts(), totals(map { "$data/group$_" } 1 .. 3), 'the reports of groups 1 to 3');
	deliver("$data/group$_", "group$_") foreach 1 .. 3;
	run_hourly();
	is(sql($figures), '3000|16521|3054994.79|2821074.7745|1488', 'once more changes nothing');
}

log_is_clean($node);
$node->stop;
done_testing();
