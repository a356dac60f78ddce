# What hive_ddl() says is what Spark takes: tables of a catalog of Hive over data sets of Parquet give the reports of SQL, and every type.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeReaders;
use TxpipeRetail;

need_reader('spark');

my $node = retail_node('hive');
my @groups = make_groups(2, '--rows', 200, '--seed', 31);

srand 31;
fresh_database();
deliver($groups[$_], 'group' . ($_ + 1)) foreach 0 .. $#groups;
run_hourly();
export_star();
my $written = make_table('all_types', 2000);
export('TABLE all_types', 'all_types');

my @tables = qw(fact_sales dim_product dim_location dim_offer all_types);
my @answers = ask_spark((map { [ 'define', '', sql("SELECT txpipe.hive_ddl('$_')") =~ s/;\s*\z//r ] } @tables),
	[ 'sales', '', 'defined' ], [ 'table', 'all_types' ]);
is(join('', splice @answers, 0, @tables), '', 'Spark takes the definitions');
same_lines(shift @answers, reports_of(totals(@groups)), 'the reports from its tables');
same_rows(shift @answers, $written, 'and every type');

$node->stop;
done_testing();
