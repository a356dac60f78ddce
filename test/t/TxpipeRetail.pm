# TxpipeRetail: what the tests of the retail case share: a server with its directories, delivering groups of files,
# and what the warehouse says beside what test/retail_totals computes from the same files.
package TxpipeRetail;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeCitus;

our @EXPORT = qw(retail_node stop_retail use_node use_database fresh_database sql run_hourly deliver land make_groups lines_of facts totals same_lines land_sales);

our $tree = $ENV{TXPIPE_TREE} // dirname(__FILE__) . '/../..';
my ($node, $base, @workers);
my $db = 'retail';

# A running server, with TXPIPE_CITUS and two workers on which its warehouses are shared out; conf: further lines of postgresql.conf, of theirs too; install_path: of another installation.
sub retail_node
{
	my ($name, %opt) = @_;

	$node = PostgreSQL::Test::Cluster->new($name, map { $_ => $opt{$_} } grep { $opt{$_} } 'install_path');
	$base = $node->basedir;
	$node->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
	make_path(map { "$base/$_" } qw(landing lake export source));
	$node->append_conf('postgresql.conf', <<"CONF");
txpipe.landing_directory = '$base/landing'
txpipe.lake_directory = '$base/lake'
txpipe.export_directory = '$base/export'
txpipe.settle_time = 0
timezone = 'UTC'
CONF
	$node->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
	if ($ENV{TXPIPE_CITUS})
	{
		@workers = map { PostgreSQL::Test::Cluster->new("$name$_") } 1, 2;
		foreach my $worker (@workers)
		{
			$worker->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
			$worker->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
		}
		start_with_citus($_, 'txpipe') foreach $node, @workers;
		return $node;
	}
	$node->start;
	return $node;
}

# With its workers.
sub stop_retail
{
	$_->stop foreach $node, @workers;
	return;
}

# Another server with the same directories: what follows is about it.
sub use_node
{
	($node) = @_;
	return;
}

# Another database, and where its files are delivered to when that is not the server's.
sub use_database
{
	$db = $_[0];
	$base = $_[1] if $_[1];
	return;
}

# An empty warehouse in a database of this name, which sql() and run_hourly() use from now on.
sub fresh_database
{
	$db = shift // 'retail';
	foreach my $server ($node, @workers)
	{
		$server->safe_psql('postgres', "DROP DATABASE IF EXISTS $db WITH (FORCE)");
		$server->safe_psql('postgres', "CREATE DATABASE $db");
	}
	share_out($db, $node, @workers) if @workers;
	sql('CREATE EXTENSION txpipe');
	# Citus warns of what it does not share out.
	sql('SET client_min_messages = error; SELECT txpipe.create_warehouse()');
	return;
}

sub sql
{
	my ($query) = @_;
	return $node->safe_psql($db, $query);
}

sub run_hourly
{
	sql('CALL txpipe.run_hourly()');
	return;
}

# Puts a file into the landing directory, under its name when it is complete; returns its path.
sub land
{
	my ($name, $content) = @_;
	my ($path, $part) = map { "$base/landing/$_" } $name, $name =~ s{([^/]+)\z}{.$1}r;

	make_path(dirname($path));
	open my $fh, '>:raw', $part or die "$part: $!";
	print $fh $content;
	close $fh or die "$part: $!";
	rename $part, $path or die "rename: $!";
	return $path;
}

# A group's files under the name and number of another one, each complete when it appears.
sub deliver
{
	my ($from, $to) = @_;
	my $number = $to =~ s/\D//gr;

	land("$to/" . basename($_) =~ s/_\d+\.csv$/_$number.csv/r, slurp_file($_)) foreach glob "$from/*.csv";
	return;
}

# Generates groups with demo/make-files, from --first on; returns their folders.
sub make_groups
{
	my ($groups, @args) = @_;
	my $source = $node->basedir . '/source';
	my ($first) = "@args" =~ /--first (\d+)/;

	$first //= 1;
	system_or_bail("$tree/demo/make-files", '--dir', $source, '--groups', $groups, @args);
	return map { "$source/group$_" } $first .. $first + $groups - 1;
}

my $head = 'transaction_date,transaction_id,customer_id,customer_fname,cusomter_lname,cusomter_email,sales_agent_id,branch_id,'
  . 'product_id,product_name,product_category,offer_1,offer_2,offer_3,offer_4,offer_5,units,unit_price,is_online,payment_method,shipping_address';

# A group with one branch, one agent and these sales, lines as the header above says.
sub land_sales
{
	my ($group, @lines) = @_;

	land("$group/branches_SS_raw_$group.csv", "branch_id,location,establish_date,class\n1,New York,2017-01-15,A\n");
	land("$group/sales_agents_SS_raw_$group.csv", "sales_person_id,name,hire_date\n1,John Doe,2020-6-3\n");
	land("$group/sales_transactions_SS_raw_$group.csv", join "\n", $head, @lines, '');
	return;
}

# The reports, and the totals that they add up to.
our @reports = (
	q{SELECT 'product', * FROM txpipe.top_products(top_n => NULL)},
	q{SELECT 'offer', * FROM txpipe.top_offers(top_n => NULL)},
	q{SELECT 'product_offer', * FROM txpipe.top_offers_by_product(top_n => NULL)},
	q{SELECT 'city', * FROM txpipe.lowest_online_cities(top_n => NULL)},
	q{SELECT 'total', 'rows', count(*) FROM dwh.fact_sales},
	q{SELECT 'total', 'units', sum(units) FROM dwh.fact_sales},
	q{SELECT 'total', 'gross', sum(gross_amount) FROM dwh.fact_sales},
	q{SELECT 'total', 'paid', sum(total_paid) FROM dwh.fact_sales});

# The lines of the answers of one session, their fields separated by tabs.
sub lines_of
{
	return split /\n/, $node->safe_psql($db, join(";\n", @_), extra_params => [ '-F', "\t" ]);
}

# Everything the reports say, as test/retail_totals prints it.
sub facts
{
	my @lines = lines_of(@reports,
		q{SELECT 'b2b', d.transaction_date, l.* FROM dwh.sales_day d, txpipe.b2b_sales(d.transaction_date) l},
		q{SELECT 'total', 'read', sum(rows_read) FROM txpipe.file WHERE feed = 'sales_transactions'},
		q{SELECT 'total', 'duplicates', sum(rows_duplicate) FROM txpipe.file WHERE feed = 'sales_transactions'},
		q{SELECT 'total', 'superseded', sum(rows_superseded) FROM txpipe.file WHERE feed = 'sales_transactions'},
		q{SELECT 'total', 'redemptions', count(*) FROM dwh.fact_sales WHERE discount_pct > 0},
		q{SELECT 'total', 'persons', count(DISTINCT customer_key) FROM dwh.fact_sales},
		q{SELECT 'rejected', CASE WHEN r.column_name = 'transaction_date' AND r.code IN ('bad_value', 'out_of_range')
		                          THEN 'bad_date' ELSE r.code END, count(*)
		  FROM txpipe.rejected_row r JOIN txpipe.file USING (file_id) WHERE feed = 'sales_transactions' GROUP BY 2});
	return join "\n", sort @lines;
}

# The same, computed from the files of the groups.
sub totals
{
	my ($stdout, $stderr) = run_command([ $^X, "$tree/test/retail_totals", @_ ]);
	die $stderr if $stderr ne '';
	return join "\n", sort split /\n/, $stdout;
}

# Two long texts, with only what differs in the diagnostics.
sub same_lines
{
	my ($got, $wanted, $name) = @_;
	my %got = map { $_ => 1 } split /\n/, $got;
	my %wanted = map { $_ => 1 } split /\n/, $wanted;
	my @missing = grep { !$got{$_} } sort keys %wanted;
	my @surplus = grep { !$wanted{$_} } sort keys %got;

	ok($got ne '' && $got eq $wanted, $name)
	  or diag("missing:\n", map({ "  $_\n" } splice @missing, 0, 10), "surplus:\n", map { "  $_\n" } splice @surplus, 0, 10);
	return;
}

1;
