# DDL on the tables of the warehouse while groups of files load into them and a report is asked for again and again: a load
# adapts to it, waits for it, or fails with a reason and goes on when it is repaired. At the end of each the warehouse is what
# the files say, and no report has ever shown something between two groups.
use strict;
use warnings;

use File::Basename qw(basename);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest qw(wait_for log_is_clean);

my $node = retail_node('ddl_warehouse', conf => "fsync = off\nautovacuum = off\n");
my @done;

fresh_database();

# A report and what it is about are asked for in one statement, so they are equal. What else is answered is kept.
sql(<<'SQL');
CREATE TABLE said (report text, state text, message text, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE stop_report (n int);
CREATE PROCEDURE report_on_and_on() LANGUAGE plpgsql AS $$
DECLARE
    good boolean;
    n bigint := 0;
BEGIN
    LOOP
        BEGIN
            SELECT coalesce(sum(units), 0) = (SELECT coalesce(sum(units), 0) FROM dwh.fact_sales) INTO good
            FROM txpipe.top_products(top_n => NULL);
            n := n + 1;
            IF NOT good THEN INSERT INTO said VALUES ('top_products', 'wrong', 'another sum'); END IF;
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO said VALUES ('top_products', SQLSTATE, SQLERRM);
        END;
        COMMIT;
        EXIT WHEN (SELECT count(*) FROM stop_report) > 0;
    END LOOP;
    INSERT INTO said VALUES ('top_products', 'count', n);
END $$;
SQL
my $reports = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('retail'), '-c', 'CALL report_on_and_on()' ],
	'<', \'', '>', \my $said, '2>', \my $report_err);

# Groups that are generated when they are wanted, and delivered.
sub deliver_groups
{
	my ($n) = @_;
	my @new = make_groups($n, '--rows', 200, '--dirty', 15, '--seed', 8, '--first', @done + 1);

	deliver($_, basename($_)) foreach @new;
	push @done, @new;
	return;
}

sub loaded
{
	return sql(q{SELECT count(DISTINCT group_key) FROM txpipe.file WHERE loaded_at IS NOT NULL});
}

sub start_run
{
	my $run = { err => '' };

	$run->{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('retail'), '-c', 'SET txpipe.groups_per_transaction = 1',
		'-c', 'CALL txpipe.run_hourly()' ], '<', \'', '>', \my $out, '2>', \$run->{err});
	return $run;
}

# Three groups are on their way, and one of them at least is loaded.
sub load_begins
{
	my ($what) = @_;
	my $before = loaded();

	deliver_groups(3);
	my $run = start_run();
	wait_for($node, "SELECT count(DISTINCT group_key) > $before FROM txpipe.file WHERE loaded_at IS NOT NULL", "$what: the load is under way", db => 'retail');
	return $run;
}

sub exact
{
	my ($what) = @_;

	sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
	run_hourly();
	is(sql(q{SELECT count(*) FROM txpipe.file WHERE loaded_at IS NULL AND state <> 'duplicate'}), 0, "$what: all files of " . @done . ' groups are loaded');
	same_lines(facts(), totals(@done), "$what: the warehouse is what the files say");
	is(sql('SELECT string_agg(item || $$: $$ || detail, $$; $$) FROM txpipe.check_warehouse() WHERE NOT ok'), '', "$what: and finds no fault in itself");
	return;
}

# A quarter of the user's own, in the place of three months.
sql(q{CREATE TABLE dwh.quarter PARTITION OF dwh.fact_sales FOR VALUES FROM ('2022-04-01') TO ('2022-07-01')});
deliver_groups(1);
run_hourly();
exact('with a partition that was there before');
is(sql('SELECT count(DISTINCT date_trunc($$month$$, transaction_date::timestamp)) FROM dwh.quarter'), 3, 'which holds the sales of three months');

# --- what a load adapts to ---

for my $case (
	[ 'a column of the facts is added', q{ALTER TABLE dwh.fact_sales ADD COLUMN note text DEFAULT 'x'}, undef, 'SELECT txpipe.create_warehouse()' ],
	[ 'one of a dimension is added', 'ALTER TABLE dwh.dim_customer ADD COLUMN segment int; ALTER TABLE dwh.dim_branch ADD COLUMN region text; ALTER TABLE dwh.dim_sales_agent ADD COLUMN grade date' ],
	[ 'the type of that of the facts is changed, which writes them anew', 'ALTER TABLE dwh.fact_sales ALTER note TYPE varchar(10)' ],
	[ 'a dimension is written anew', 'ALTER TABLE dwh.dim_customer ALTER segment TYPE bigint' ],
	[ 'the key of a dimension is dropped', 'ALTER TABLE dwh.dim_product DROP CONSTRAINT dim_product_product_id_product_name_product_category_key' ],
	[ '... and made again', 'ALTER TABLE dwh.dim_product ADD UNIQUE (product_id, product_name, product_category)' ],
	[ 'the sums are dropped, and made again', 'DROP TABLE dwh.rollup_total_base CASCADE', undef, 'SELECT txpipe.create_warehouse()' ],
	[ 'an index of the facts', 'CREATE INDEX by_customer ON dwh.fact_sales (customer_key)' ],
	[ 'an index of a dimension', 'CREATE INDEX CONCURRENTLY by_name ON dwh.dim_customer (last_name)' ],
	[ 'a constraint of the facts', 'ALTER TABLE dwh.fact_sales ADD CONSTRAINT placed CHECK (line_no > 0)' ],
	[ 'a partition that comes before the sales', q{CREATE TABLE dwh.far PARTITION OF dwh.fact_sales FOR VALUES FROM ('2031-01-01') TO ('2032-01-01')} ],
	[ 'the columns that were added are dropped', 'ALTER TABLE dwh.fact_sales DROP COLUMN note; ALTER TABLE dwh.dim_customer DROP COLUMN segment; ALTER TABLE dwh.dim_branch DROP COLUMN region; ALTER TABLE dwh.dim_sales_agent DROP COLUMN grade' ],
	[ 'the table of facts is locked for a while', undef, 'dwh.fact_sales' ],
	[ 'a dimension is locked for a while', undef, 'dwh.dim_product' ])
{
	my ($what, $ddl, $locked, $repair) = @$case;
	my $run = $locked ? undef : load_begins($what);

	if ($locked)
	{
		my $session = $node->background_psql('retail');

		# Before the load begins: on a fast machine three groups are loaded before somebody else has the lock.
		$session->query_safe("BEGIN; LOCK TABLE $locked IN ACCESS EXCLUSIVE MODE");
		deliver_groups(3);
		$run = start_run();
		wait_for($node, "SELECT count(*) > 0 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND query LIKE '%run_hourly%'",
			"$what: the load waits", db => 'retail');
		$session->query_safe('COMMIT');
		$session->quit;
	}
	else
	{
		sql($_) foreach split /; /, $ddl;
	}
	$run->{handle}->finish;
	like($run->{err}, qr/\b0 groups failed\n\z/, "$what: the run loads all");
	sql($repair) if $repair;
	exact($what);
	# To a report that began before, a table that was written anew is empty: PostgreSQL's, not ours.
	sql(q{DELETE FROM said WHERE state = 'wrong'}) if $what =~ /writ.* anew/;
}

# --- what fails with a reason, until it is repaired ---

for my $case (
	[ 'a dimension is renamed', 'ALTER TABLE dwh.dim_product RENAME TO gone', qr/dim_product/, 'ALTER TABLE dwh.gone RENAME TO dim_product' ],
	[ 'a column of a dimension is renamed', 'ALTER TABLE dwh.dim_customer RENAME email TO mail', qr/email/, 'ALTER TABLE dwh.dim_customer RENAME mail TO email' ],
	[ 'the table of facts is renamed', 'ALTER TABLE dwh.fact_sales RENAME TO gone', qr/fact_sales/, 'ALTER TABLE dwh.gone RENAME TO fact_sales' ])
{
	my ($what, $ddl, $reason, $repair) = @$case;
	my $run = load_begins($what);

	sql($ddl);
	$run->{handle}->finish;
	# One may repeat another, and then there is nothing to load.
	deliver_groups(2);
	$run = start_run();
	$run->{handle}->finish;
	like(sql(q{SELECT string_agg(DISTINCT reason, ' ') FROM txpipe.file WHERE state IN ('failed', 'poison')}), $reason, "$what: the files say why they are not loaded");
	sql($repair);
	exact($what);
}

# --- what some sales violate: those are rejected, with the reason, and come with a reload when it is gone ---

my $run = load_begins('a constraint');
sql('ALTER TABLE dwh.fact_sales ADD CONSTRAINT few CHECK (units < 3) NOT VALID');
$run->{handle}->finish;
deliver_groups(2);
run_hourly();
is(sql(q{SELECT count(*) > 0, bool_and(message ~ '"few"') FROM txpipe.rejected_row WHERE code = '23514'}), 't|t', 'a constraint: sales that violate it are rejected, and say so');
sql('ALTER TABLE dwh.fact_sales DROP CONSTRAINT few');
sql(q{SELECT txpipe.reload(file_id) FROM (SELECT DISTINCT file_id FROM txpipe.rejected_row WHERE code = '23514') f});
exact('a constraint');

# --- create_warehouse() while a load is at work: it waits for the group, and the next group waits for it ---

foreach my $table ('dwh.dim_product', 'dwh.fact_sales', 'dwh.rollup_delta')
{
	my $gate = $node->background_psql('retail');

	$gate->query_safe("BEGIN; LOCK TABLE $table IN ACCESS EXCLUSIVE MODE");
	deliver_groups(2);
	$run = start_run();
	wait_for($node, q{SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND query LIKE '%run_hourly%'},
		"a load waits for $table", db => 'retail', value => '1');
	my $creation = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('retail'), '-c', 'SELECT txpipe.create_warehouse()' ], '<', \'', '>', \my $created, '2>', \my $said);
	wait_for($node, q{SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND query ~ 'create_warehouse'},
		'create_warehouse() waits, too', db => 'retail', value => '1');
	$gate->query_safe('COMMIT');
	$gate->quit;
	$run->{handle}->finish;
	$creation->finish;
	like($run->{err}, qr/\b0 groups failed\n\z/, "create_warehouse() while a load waits for $table: the run loads all");
	unlike($said, qr/ERROR/, '... and the warehouse is brought up to date');
	exact("create_warehouse() while a load waits for $table");
}

sql('INSERT INTO stop_report VALUES (1)');
$reports->finish;
is($report_err, '', 'the reports went on to the end');
cmp_ok(sql(q{SELECT message FROM said WHERE state = 'count'}), '>', 100, 'there were many');
is(sql(q{SELECT count(*) FROM said WHERE state = 'wrong'}), 0, 'none showed something between two groups');
is(sql(q{SELECT string_agg(DISTINCT state, ' ') FROM said WHERE state NOT IN ('count', '42P01', '42703', '55000')}), '', 'those that failed say what is missing');
$node->stop('fast');
log_is_clean($node, qr/does not exist/, qr/terminating .* due to administrator command/);
done_testing();
