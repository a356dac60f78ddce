# Rollups: what the reports say from them is what a plain scan of the facts says, whatever came, changed and went;
# check_warehouse() finds each fault that is planted; reports cost the same over ten times the facts.

use strict;
use warnings;

use Test::More;
use TxpipeRetail;
use TxpipeTest qw(error_of log_is_clean);

my $seed = $ENV{TXPIPE_TEST_SEED} || time() % 100000;
my $node = retail_node('rollups', conf => "autovacuum = off\n");

note("TXPIPE_TEST_SEED=$seed");
srand($seed);

# --- helpers ---

# The reports and the rollups as plain scans of the facts, in the schema plain.
my $plain = <<'SQL';
CREATE SCHEMA plain;
CREATE FUNCTION plain.top_products(date, date, integer) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT * FROM (SELECT rank() OVER (ORDER BY sum(f.units) DESC) AS rank, p.product_id, p.product_name,
	                      sum(f.units), sum(f.total_paid)
	               FROM dwh.fact_sales f JOIN dwh.dim_product p USING (product_key)
	               WHERE f.transaction_date >= coalesce($1, '-infinity') AND f.transaction_date <= coalesce($2, 'infinity')
	               GROUP BY 2, 3) r
	WHERE $3 IS NULL OR rank <= $3 ORDER BY rank, product_id, product_name COLLATE "C" $$;
CREATE FUNCTION plain.top_offers(date, date, integer) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT * FROM (SELECT rank() OVER (ORDER BY count(*) DESC) AS rank, o.offer_code, f.discount_pct, count(*)
	               FROM dwh.fact_sales f JOIN dwh.dim_offer o USING (offer_key)
	               WHERE f.transaction_date >= coalesce($1, '-infinity') AND f.transaction_date <= coalesce($2, 'infinity')
	                 AND f.discount_pct > 0
	               GROUP BY 2, 3) r
	WHERE $3 IS NULL OR rank <= $3 ORDER BY rank, offer_code COLLATE "C", discount_pct $$;
CREATE FUNCTION plain.top_offers_by_product(date, date, integer) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT * FROM (SELECT p.product_id, p.product_name,
	                      rank() OVER (PARTITION BY p.product_id, p.product_name ORDER BY count(*) DESC) AS rank,
	                      o.offer_code, count(*)
	               FROM dwh.fact_sales f JOIN dwh.dim_product p USING (product_key) JOIN dwh.dim_offer o USING (offer_key)
	               WHERE f.transaction_date >= coalesce($1, '-infinity') AND f.transaction_date <= coalesce($2, 'infinity')
	                 AND f.discount_pct > 0
	               GROUP BY 1, 2, 4) r
	WHERE $3 IS NULL OR rank <= $3 ORDER BY product_id, product_name COLLATE "C", rank, offer_code COLLATE "C" $$;
CREATE FUNCTION plain.lowest_online_cities(date, date, integer) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT * FROM (SELECT rank() OVER (ORDER BY sum(f.total_paid)) AS rank, l.city, l.state, count(*), sum(f.units),
	                      sum(f.total_paid)
	               FROM dwh.fact_sales f JOIN dwh.dim_location l USING (location_key)
	               WHERE f.transaction_date >= coalesce($1, '-infinity') AND f.transaction_date <= coalesce($2, 'infinity')
	                 AND f.is_online
	               GROUP BY 2, 3) r
	WHERE $3 IS NULL OR rank <= $3 ORDER BY rank, city COLLATE "C", state COLLATE "C" $$;
CREATE FUNCTION plain.b2b_sales(date) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT coalesce(a.name, '(unknown)'), p.product_name, sum(f.units)
	FROM dwh.fact_sales f JOIN dwh.dim_sales_agent a USING (sales_agent_key) JOIN dwh.dim_product p USING (product_key)
	WHERE f.transaction_date = $1 AND NOT f.is_online
	GROUP BY 1, 2 ORDER BY coalesce(a.name, '(unknown)') COLLATE "C", p.product_name COLLATE "C" $$;
SQL

my %keys = (
	rollup_total => '',
	rollup_product => 'product_key',
	rollup_product_offer => 'product_key, offer_key, discount_pct',
	rollup_online_city => 'location_key',
	rollup_agent_product => 'sales_agent_key, product_key',
	rollup_branch_channel_payment => 'branch_key, is_online, payment_method',
	rollup_customer => 'customer_key');

sub wrong_rollups
{
	my @wrong;
	foreach my $rollup (sort keys %keys)
	{
		my $keys = join '', map { "$_, " } split /, /, $keys{$rollup};
		my $where = { rollup_online_city => 'is_online', rollup_agent_product => 'NOT is_online' }->{$rollup} // 'true';
		my $grains = $rollup eq 'rollup_customer' ? "('day')" : "('day'), ('month'), ('year')";
		my $scan = "SELECT g, date_trunc(g, transaction_date::timestamp)::date AS period, ${keys}count(*) AS sales,
			sum(units)::bigint AS units, sum(gross_amount) AS gross, sum(total_paid) AS paid
			FROM dwh.fact_sales, (VALUES $grains) AS v (g) WHERE $where
			GROUP BY " . join ', ', 'g', 'period', split /, /, $keys{$rollup};
		my $kept = "SELECT grain, period, ${keys}sales, units, gross_amount, total_paid FROM dwh.$rollup";
		my $n = sql("SELECT count(*) FROM (($scan EXCEPT ALL $kept) UNION ALL ($kept EXCEPT ALL $scan)) d");
		push @wrong, "$rollup: $n" if $n ne '0';
	}
	return join ', ', @wrong;
}

# Ranges that begin and end anywhere, on borders, nowhere, or the wrong way round; NULL is open.
sub some_ranges
{
	my ($count) = @_;
	my @borders = ('NULL', "'2022-01-01'", "'2022-01-31'", "'2022-12-31'", "'2023-01-01'", "'2022-02-28'", "'2022-03-01'",
		"'infinity'", "'-infinity'", "'5000000-01-01'");
	my $day = sub { rand() < 0.3 ? $borders[ rand @borders ] : "(date '2021-11-20' + " . int(rand 500) . ')' };
	return join ', ', map { "($_, " . $day->() . '::date, ' . $day->() . '::date, ' . (rand() < 0.3 ? 'NULL' : 1 + int rand 4) . '::integer)' } 1 .. $count;
}

my %columns = (
	top_products => 'rank bigint, product_id bigint, product_name text, units bigint, total_paid numeric',
	top_offers => 'rank bigint, offer_code text, discount_pct integer, redemptions bigint',
	top_offers_by_product => 'product_id bigint, product_name text, rank bigint, offer_code text, redemptions bigint',
	lowest_online_cities => 'rank bigint, city text, state text, orders bigint, units bigint, total_paid numeric');

sub same_reports
{
	my ($name) = @_;
	my $ranges = some_ranges(60);
	foreach my $report (sort keys %columns)
	{
		my ($kept, $scan) = map { sql("SELECT r.n, t.* FROM (VALUES $ranges) AS r (n, f, t, top),
			LATERAL $_ AS t ORDER BY r.n") } "txpipe.$report(r.f, r.t, r.top) WITH ORDINALITY",
			"ROWS FROM (plain.$report(r.f, r.t, r.top) AS ($columns{$report})) WITH ORDINALITY";
		ok($kept eq $scan && $scan ne '', "$name: $report, 60 ranges")
		  or diag("seed $seed\nranges: $ranges\n", join "\n", grep { index($scan, $_) < 0 } split /\n/, $kept);
	}
	my $days = "generate_series('2021-12-25'::timestamp, '2023-02-10', '1 day') AS d";
	my ($kept, $scan) = map { sql("SELECT d, t.* FROM $days, LATERAL $_ AS t ORDER BY d") }
		'txpipe.b2b_sales(d::date) WITH ORDINALITY',
		'ROWS FROM (plain.b2b_sales(d::date) AS (a text, p text, n bigint)) WITH ORDINALITY';
	ok($kept eq $scan && $scan ne '', "$name: b2b_sales of every day") or diag("seed $seed");
	is(wrong_rollups(), '', "$name: every rollup") or diag("seed $seed");
	return;
}

sub insert_sales
{
	my ($count, $prefix, %opt) = @_;
	my $days = $opt{days} // 400;
	return "INSERT INTO dwh.fact_sales (transaction_id, transaction_date, product_key, customer_key, sales_agent_key,
			branch_key, location_key, offer_key, units, unit_price, discount_pct, is_online, payment_method, file_id, line_no)
		SELECT '$prefix' || n, date '2021-12-28' + floor(random() * $days)::integer, 1 + floor(random() * 6)::integer,
			1 + floor(random() * 30)::integer, CASE WHEN online THEN 0 ELSE floor(random() * 5)::integer - 1 END,
			CASE WHEN online THEN 0 ELSE 1 + floor(random() * 3)::integer END,
			CASE WHEN online THEN floor(random() * 5)::integer - 1 ELSE 0 END, offer,
			1 + floor(random() * 9)::integer, floor(random() * 10000)::integer * 0.01,
			offer * 5 + CASE WHEN offer = 2 THEN floor(random() * 2)::integer ELSE 0 END, online,
			(ARRAY['Cash', 'Card', 'cash'])[1 + floor(random() * 3)::integer], 1, n
		FROM (SELECT n, random() < 0.5 AS online, floor(random() * 4)::integer AS offer
		      FROM generate_series(1, $count) AS n OFFSET 0) s";
}

# Members whose names repeat: products by id and name, agents by name and version, cities by state.
sub make_members
{
	sql(<<'SQL');
INSERT INTO dwh.dim_product OVERRIDING SYSTEM VALUE VALUES (1, 9, 'Boots', 'Footwear'), (2, 18, 'Boots', 'Footwear'),
	(3, 9, 'Boots', 'Sale'), (4, 4, 'Phone', 'Electronics'), (5, 5, 'Äpfel', 'Food'), (6, NULL, 'Zebra', 'Toys');
INSERT INTO dwh.dim_sales_agent OVERRIDING SYSTEM VALUE VALUES
	(1, 1, 'Zoë Smith', NULL, '-infinity', '2023-01-01', '-infinity', false),
	(2, 1, 'Zoë Smith', '2021-01-01', '2023-01-01', 'infinity', '2023-01-01', false),
	(3, 2, NULL, NULL, '-infinity', 'infinity', '-infinity', true);
INSERT INTO dwh.dim_branch OVERRIDING SYSTEM VALUE
	SELECT n, n, 'Boston', NULL, NULL, '-infinity', 'infinity', '-infinity', false FROM generate_series(1, 3) AS n;
INSERT INTO dwh.dim_location OVERRIDING SYSTEM VALUE VALUES (1, 'Springfield', 'MA'), (2, 'Springfield', 'IL'), (3, 'Reno', 'NV');
SELECT dwh.create_months(ARRAY(SELECT generate_series('2021-12-01', '2023-02-01', interval '1 month')::date));
SQL
	return;
}

# --- what came, changed and went ---

fresh_database('moves');
make_members();
sql($plain);
sql("SELECT setseed(${\ ($seed / 100000)}); " . insert_sales(3000, 'a') . '; ' . insert_sales(1, 'b') . '; ' . insert_sales(700, 'c'));
same_reports('inserted');
sql("SELECT setseed(${\ ($seed / 100000)}); DELETE FROM dwh.fact_sales WHERE random() < 0.3");
same_reports('deleted');
sql("SELECT setseed(${\ ($seed / 100000)});
	UPDATE dwh.fact_sales SET units = units + 3 WHERE random() < 0.2;
	UPDATE dwh.fact_sales SET transaction_date = transaction_date - 25 WHERE transaction_date > '2022-02-01' AND random() < 0.3;
	UPDATE dwh.fact_sales SET sales_agent_key = 2 WHERE sales_agent_key = 1;
	UPDATE dwh.fact_sales SET is_online = true, location_key = 2, sales_agent_key = 0 WHERE NOT is_online AND random() < 0.1;
	UPDATE dwh.fact_sales SET file_id = 2 WHERE random() < 0.5;
	UPDATE dwh.fact_sales SET offer_key = 3, discount_pct = 15, payment_method = 'Card' WHERE random() < 0.3");
same_reports('updated');
# The displaced and the one that takes its place, in one statement.
sql('WITH gone AS (DELETE FROM dwh.fact_sales WHERE product_key = 1 RETURNING *) ' . insert_sales(500, 'd'));
same_reports('replaced');
sql("MERGE INTO dwh.fact_sales f USING (SELECT 'a' || n AS id, n FROM generate_series(1, 3000) AS n) s ON f.transaction_id = s.id
	WHEN MATCHED AND n % 3 = 0 THEN DELETE WHEN MATCHED AND n % 3 = 1 THEN UPDATE SET product_key = 4");
same_reports('merged');
sql('BEGIN; ' . insert_sales(100, 'r') . '; ROLLBACK');
is(wrong_rollups(), '', 'rolled back: every rollup');
is(sql("BEGIN; DELETE FROM dwh.fact_sales WHERE product_key = 2; SELECT count(*) FROM txpipe.top_products() WHERE product_id = 18; ROLLBACK"),
	'0', 'reports follow within the transaction');

my $day = sql('SELECT min(transaction_date) FROM dwh.fact_sales');
sql("DELETE FROM dwh.fact_sales WHERE transaction_date = '$day'");
is(sql("SELECT count(*) FROM dwh.rollup_total WHERE grain = 'day' AND period = '$day'"), '0', 'no rows without sales');
same_reports('a day gone');

# What the triggers cannot see is found and repaired.
sql("DELETE FROM dwh.fact_sales_2022_06 WHERE units > 5; UPDATE dwh.rollup_online_city_base SET units = units + 1 WHERE grain = 'year'");
like(wrong_rollups(), qr/rollup_total/, 'a statement on a partition passes the triggers by');
is(sql("SELECT count(*) FROM dwh.rollup_differences() WHERE rows_wrong > 0"), '5', 'which rollup_differences() finds');
is(sql('SELECT count(*) FROM txpipe.repair_rollups() WHERE rows_repaired > 0'), '5', 'and repair_rollups() repairs');
is(sql('SELECT sum(rows_repaired) FROM txpipe.repair_rollups()'), '0', 'once');
{
	local $ENV{PGOPTIONS} = '-c txpipe.progress_interval=1ms';
	$node->psql('moves', 'SELECT txpipe.repair_rollups()', stderr => \my $said);
	like($said, qr/NOTICE:  \d of \d rollups, 0 rows of rollup_\w+ repaired/, 'and says how far it is');
}
same_reports('repaired');

# --- few sales are noted, many are summed ---

is(sql('SELECT count(*) FROM dwh.rollup_delta'), '0', 'a repair leaves no changes to come');
my $noted = 'SELECT count(*), sum(sign) FROM dwh.rollup_delta';
sql(insert_sales(3000, 'few'));
is(sql($noted), '3000|3000', 'few sales are noted');
is(wrong_rollups(), '', 'and seen: every rollup');
sql("UPDATE dwh.fact_sales SET units = units + 1, payment_method = 'x' WHERE transaction_id LIKE 'few%' OR line_no % 10 > 0");
is(sql($noted), '0|', 'more than 5,000 are summed at once, with what was noted before');
is(wrong_rollups(), '', 'summed: every rollup');
sql(insert_sales(3000, 'more'));
{
	my $other = $node->background_psql('moves');

	$other->query_safe('BEGIN; ' . insert_sales(400, 'other'));
	is(sql('SELECT dwh.fold_rollups(6000), dwh.fold_rollups(1000)'), '0|3000', 'when there are more than about that they are folded');
	$other->query_safe('COMMIT');
	$other->quit;
	is(sql($noted), '400|400', 'what another noted meanwhile is left');
	is(wrong_rollups(), '', 'and seen: every rollup');
}
is(sql('SELECT dwh.fold_rollups()'), '400', 'and folded next');
is(wrong_rollups(), '', 'folded: every rollup');
is(sql("SELECT count(*) FROM dwh.rollup_product_offer_base WHERE (sales, units, gross_amount, total_paid) = (0, 0, 0, 0)"), '0', 'no sums of nothing are kept');

# --- a warehouse from before there were rollups ---

sql('DROP TABLE dwh.rollup_total_base, dwh.rollup_product_offer_base, dwh.rollup_online_city_base, dwh.rollup_agent_product_base,
	dwh.rollup_branch_channel_payment_base CASCADE;
	DROP FUNCTION dwh.sales_inserted, dwh.sales_updated, dwh.sales_deleted, dwh.sales_truncated CASCADE');
like(error_of($node, 'SELECT * FROM txpipe.top_offers()', db => 'moves')->{hint}, qr/create_warehouse/, 'without rollups the hint is to make them');
sql('SELECT txpipe.create_warehouse()');
same_reports('filled');
sql(insert_sales(200, 'e'));
is(wrong_rollups(), '', 'and kept from then on');
sql('DROP EXTENSION txpipe; ' . insert_sales(200, 'f'));
is(wrong_rollups(), '', 'without the extension, too');
sql('TRUNCATE dwh.fact_sales');
is(sql('SELECT (SELECT count(*) FROM dwh.rollup_total) + (SELECT count(*) FROM dwh.rollup_product_offer)
	+ (SELECT count(*) FROM dwh.rollup_agent_product)'), '0', 'emptied with the facts');

# --- files: loaded, audited, taken back ---

sub wrong_items
{
	my ($fault) = @_;
	return sql("BEGIN; $fault; SELECT item FROM txpipe.check_warehouse() WHERE NOT ok AND detail <> ''; ROLLBACK");
}

fresh_database('loaded');
my @groups = make_groups(4, '--rows', 500, '--dirty', 10, '--seed', $seed % 1000 + 1);
deliver($groups[ $_ - 1 ], "group$_") foreach 1, 2;
run_hourly();
sql($plain);
is(sql('SELECT count(*) > 900 FROM dwh.fact_sales'), 't', 'files are loaded');
same_reports('loaded');
is(wrong_items('SELECT'), '', 'a good warehouse');

my $sale = "(SELECT min(transaction_id) FROM dwh.fact_sales WHERE NOT is_online AND sales_agent_key > 0 AND branch_key > 0)";
sql('SELECT dwh.fold_rollups()');
my $month = sql(q{SELECT 'fact_sales_' || to_char(min(transaction_date), 'YYYY_MM') FROM dwh.fact_sales});
my $some = "(SELECT min(transaction_id) FROM dwh.$month)";
foreach my $fault (
	[ 'every line of the files is accounted for', q{DO $$ DECLARE c name; BEGIN
	   FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = 'txpipe.file_ledger'::regclass AND contype = 'c' LOOP
	       EXECUTE format('ALTER TABLE txpipe.file_ledger DROP CONSTRAINT %I', c); END LOOP; END $$;
	   UPDATE txpipe.file_ledger SET rows_read = rows_read + 1 WHERE rows_loaded > 0} ],
	[ 'sales = lines loaded', q{UPDATE txpipe.file_ledger SET rows_loaded = rows_loaded + 1, rows_read = rows_read + 1
	   WHERE file_id = (SELECT min(file_id) FROM txpipe.file WHERE rows_loaded > 0 AND feed = 'sales_transactions')} ],
	(map { [ "dwh.$_ = dwh.fact_sales", "UPDATE dwh.${_}_base SET units = units + 1 WHERE grain = 'month'" ],
	       [ "dwh.$_ = dwh.fact_sales", "DELETE FROM dwh.${_}_base WHERE grain = 'year'" ] }
	   grep { !/^rollup_(product|customer)$/ } sort keys %keys),
	[ 'triggers keep the rollups', 'ALTER TABLE dwh.fact_sales DISABLE TRIGGER rollups_update' ],
	[ 'total_paid = gross_amount − discount', "ALTER TABLE dwh.fact_sales ALTER total_paid DROP EXPRESSION;
	   UPDATE dwh.fact_sales SET total_paid = total_paid + 0.0001 WHERE transaction_id = $sale" ],
	[ 'dwh.sale_key = dwh.fact_sales', "DELETE FROM dwh.sale_key WHERE transaction_id = $sale" ],
	[ 'dwh.sale_key = dwh.fact_sales', "UPDATE dwh.sale_key SET line_no = line_no + 1 WHERE transaction_id = $sale" ],
	[ "every sale has its row in dwh.dim_customer", "DELETE FROM dwh.dim_customer WHERE customer_key =
	   (SELECT customer_key FROM dwh.fact_sales WHERE transaction_id = $sale)" ],
	(map { [ "every sale has its row in dwh.$_->[0]", "DELETE FROM dwh.$_->[0] WHERE $_->[1] =
	   (SELECT $_->[2] FROM dwh.fact_sales WHERE transaction_id = $sale)" ] }
	   [qw(dim_product product_key product_key)], [qw(dim_location location_key location_key)],
	   [qw(dim_offer offer_key offer_key)], [qw(dim_date date transaction_date)],
	   [qw(sales_day transaction_date transaction_date)], [qw(source_file file_id file_id)]),
	[ 'sales are of the days that their file has', "UPDATE dwh.source_file SET last_date = first_date - 1 WHERE file_id =
	   (SELECT file_id FROM dwh.fact_sales WHERE transaction_id = $sale)" ],
	[ 'what repeats a sale has its key, and its file', "INSERT INTO dwh.sale_duplicate (transaction_id, file_id, line_no)
	   SELECT 'none', file_id, 1 FROM dwh.source_file LIMIT 1" ],
	[ 'what repeats a sale has its key, and its file', "INSERT INTO dwh.sale_duplicate (transaction_id, file_id, line_no) SELECT $sale, -1, 1" ],
	[ "every sale has its row in dwh.dim_branch", "UPDATE dwh.fact_sales_x SET branch_key = 99999 WHERE transaction_id = $some" ],
	[ "every sale has its row in dwh.dim_sales_agent", "UPDATE dwh.fact_sales_x SET sales_agent_key = 99999 WHERE transaction_id = $some" ],
	[ 'versions in dwh.dim_branch follow each other', "UPDATE dwh.dim_branch SET valid_to = '2000-01-01' WHERE branch_id = 1 AND valid_to = 'infinity'" ],
	[ 'versions in dwh.dim_sales_agent follow each other', "UPDATE dwh.dim_sales_agent SET valid_from = '1900-01-01' WHERE sales_agent_id = 1 AND valid_from = '-infinity'" ])
{
	my ($item, $query) = @$fault;
	my @items = split /\n/, wrong_items($query =~ s/fact_sales_x/$month/r);
	ok(scalar(grep { $_ eq $item } @items), "found: $item") or diag("found only: @items");
}

# A load that touches what is wrong does not commit, and says why.
foreach my $fault ((map { "UPDATE dwh.${_}_base SET units = units + 1 WHERE grain = 'month'" } grep { !/^rollup_(product|customer)$/ } sort keys %keys),
	"DELETE FROM dwh.rollup_online_city_base WHERE grain = 'month'",
	map { "DELETE FROM dwh.dim_$_ WHERE ${_}_key > 0" } qw(product branch sales_agent location))
{
	my $error = error_of($node, "BEGIN; $fault; UPDATE dwh.fact_sales SET units = units + 1; SELECT dwh.fold_rollups()", db => 'loaded');
	is($error->{state}, 'XX001', "refused after: $fault");
}
sql("UPDATE dwh.rollup_product_offer_base SET total_paid = total_paid + 0.0001 WHERE grain = 'month'");
my $error = error_of($node, 'UPDATE dwh.fact_sales SET units = units + 1; SELECT dwh.fold_rollups()', db => 'loaded');
is($error->{state}, 'XX001', 'a change that touches a wrong rollup is refused');
like($error->{detail}, qr/rollup_product_offer/, 'with the rollup');
like($error->{hint}, qr/dwh\.repair_rollups/, 'and what to do');
my ($many) = make_groups(1, '--first', 4, '--rows', 7000);
deliver($many, 'group4');
run_hourly();
is(sql(q{SELECT state, reason ~ 'the rollups of the month of .* do not agree' FROM txpipe.file
         WHERE feed = 'sales_transactions' AND group_key = 'group4'}), 'failed|t', 'so is a load, which is tried again later');
sql('SELECT txpipe.repair_rollups(); UPDATE txpipe.file_ledger SET retry_at = now()');
run_hourly();
like(sql(q{SELECT state FROM txpipe.file WHERE feed = 'sales_transactions' AND group_key = 'group4'}), qr/^loaded/, 'after the repair');
same_reports('loaded more');
is(wrong_items('SELECT'), '', 'and a good warehouse again');

sql(q{SELECT txpipe.unload(file_id) FROM txpipe.file WHERE feed = 'sales_transactions' AND group_key = 'group1' AND rows_loaded > 0});
same_reports('unloaded');
is(wrong_items('SELECT'), '', 'and a good warehouse still');

# Files of several batches enter the rollups at their end; the first of them arrives last.
my @large = make_groups(2, '--first', 5, '--rows', 12000, '--dirty', 20, '--seed', $seed % 1000 + 1);
foreach my $group (6, 5)
{
	deliver($large[ $group - 5 ], "group$group");
	run_hourly();
}
is(sql(q{SELECT count(*) FROM txpipe.file WHERE rows_read > 11000 AND state LIKE 'loaded%'}), '2', 'large files are loaded');
same_reports('large files');
is(wrong_items('SELECT'), '', 'and a good warehouse with them');
sql(q{SELECT txpipe.reload(file_id) FROM txpipe.file WHERE group_key = 'group6' AND rows_read > 11000});
same_reports('large file loaded again');
sql(q{SELECT txpipe.unload(file_id) FROM txpipe.file WHERE group_key = 'group5' AND rows_read > 11000});
same_reports('large file unloaded');
is(wrong_items('SELECT'), '', 'and a good warehouse without it');

# Only its owner checks and repairs it.
sql('CREATE ROLE guest; GRANT USAGE ON SCHEMA txpipe, dwh TO guest;
	GRANT EXECUTE ON FUNCTION txpipe.check_warehouse(), txpipe.repair_rollups(), txpipe.require_warehouse_owner() TO guest');
foreach my $function ('check_warehouse', 'repair_rollups')
{
	is(error_of($node, "SET ROLE guest; SELECT * FROM txpipe.$function()", db => 'loaded')->{state}, '42501', "$function is the owner's");
}

# --- what a report costs does not depend on the number of facts, but on days and members ---

my $one_day = "top_products('2022-02-03', '2022-02-03')";

sub buffers_in
{
	my ($explain) = @_;

	my ($line) = $explain =~ /Function Scan.*\n\s+Buffers: (.*)/ or die $explain;
	my $buffers = 0;
	$buffers += $1 while $line =~ /(?:hit|read)=(\d+)/g;
	return $buffers;
}

sub buffers
{
	my %buffers;
	foreach my $report ('top_products()', "top_products('2022-01-05', '2022-02-20')", 'top_offers()',
		"top_offers_by_product('2022-02-02', '2022-02-20')", "lowest_online_cities('2022-01-01', NULL)", "b2b_sales('2022-02-03')",
		"sales_trend('2022-01-10', NULL)", "sales_trend(grain => 'month')", "sales_by_category('2022-01-05', '2022-02-20')",
		"sales_by_branch()", "sales_by_payment_method('2022-01-05', '2022-02-20')", "offer_discounts(NULL, '2022-02-03')", $one_day)
	{
		$buffers{$report} = buffers_in(sql("SELECT * FROM txpipe.$report; EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM txpipe.$report"));
	}
	return %buffers;
}

# --- who reads goes on while rollups are repaired ---

fresh_database('repaired');
foreach my $call ('repair_rollups()', 'create_warehouse()')
{
	sql('DROP TABLE dwh.rollup_online_city_base CASCADE');
	my $holder = $node->background_psql('repaired');
	my $repair = $node->background_psql('repaired');

	$holder->query_safe('BEGIN; LOCK TABLE dwh.fact_sales IN SHARE MODE');
	$repair->query_until(qr/begins/, "\\echo begins\nSELECT txpipe.$call;\n");
	$node->poll_query_until('repaired', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'dwh.fact_sales'::regclass")
	  or die "$call does not wait";
	foreach my $view ('rollup_product', 'rollup_customer')
	{
		is($node->psql('repaired', "SET lock_timeout = '1s'; SELECT count(*) FROM dwh.$view"), 0, "dwh.$view can be read while $call waits");
	}
	$holder->query_safe('COMMIT');
	$holder->quit;
	$repair->quit;
}

fresh_database('growing');
make_members();
sql('SELECT setseed(0.5); ' . join '; ', map { insert_sales(10000, "s${_}_", days => 60) } 1 .. 3);
sql('VACUUM');
my %before = buffers();
sql('SELECT setseed(0.7); ' . insert_sales(10000, "t${_}_", days => 60)) foreach 1 .. 27;
sql('VACUUM');
my %after = buffers();
is(wrong_rollups(), '', 'grown: every rollup');
foreach my $report (sort keys %after)
{
	cmp_ok($after{$report}, '<=', 1.1 * $before{$report}, "$report: buffers at 300,000 sales at most 1.1 times those at 30,000");
	note("$report: $before{$report} buffers, then $after{$report}");
}
my $pages = sql("SELECT relpages FROM pg_class WHERE oid = 'dwh.rollup_product_offer_base'::regclass");
cmp_ok($after{$one_day}, '<', $pages / 2, "a day's report reads its part of the rollup, not all of its $pages pages");

# --- of many pages of changes some are counted ---

sql('INSERT INTO dwh.rollup_delta SELECT sign, transaction_date, product_key, offer_key, discount_pct, location_key, sales_agent_key, branch_key,'
	  . ' is_online, payment_method, units, gross_amount, total_paid FROM (SELECT * FROM dwh.fact_sales LIMIT 15000) f, unnest(ARRAY[1, -1]) sign');
cmp_ok(sql(q{SELECT pg_relation_size('dwh.rollup_delta') / 8192}), '>', 250, 'many pages of changes');
is(sql('SELECT dwh.fold_rollups(60000), dwh.fold_rollups(15000)'), '0|30000', 'are folded when there are about so many');
is(wrong_rollups(), '', 'and taken back: every rollup');

# --- nor what a delivery of branches costs on those before it ---

sub settle_buffers
{
	my ($deliveries) = @_;

	my $call = 'SELECT * FROM dwh.settle_branch(ARRAY(SELECT generate_series(1, 12)),';
	# The plan that is kept is made while there are none.
	return buffers_in(sql('SET plan_cache_mode = force_generic_plan; TRUNCATE dwh.branch_delivery; BEGIN;' . " SET LOCAL timezone = 'UTC'; $call '2022-01-03 00:00Z', 7);"
		  . ' INSERT INTO dwh.branch_delivery (branch_id, delivered_at, group_order, file_id, line_no, outcome, location)'
		  . " SELECT b, timestamptz '2022-01-01 00:00Z' + n * interval '1 hour', n, n, b, 'duplicate', 'Cairo' FROM generate_series(1, 12) b,"
		  . " generate_series(1, $deliveries) n; EXPLAIN (ANALYZE, BUFFERS) $call '2022-01-05 00:00Z', 7); ROLLBACK"));
}
foreach my $deliveries (50, 2000)
{
	cmp_ok(settle_buffers($deliveries), '<', 12 * 60, "12 branches behind $deliveries other deliveries: less than 60 buffers each");
}

# --- nor what taking a file back costs on repetitions of other sales ---

# In a session that has not planned it before.
is(sql('BEGIN; ' . insert_sales(1000, 'u_') =~ s/, 1, n(?=\s)/, 9, n/r . "; ANALYZE dwh.fact_sales;
	INSERT INTO dwh.sale_duplicate SELECT 'other_' || n, 8, n FROM generate_series(1, 2000) n; ANALYZE dwh.sale_duplicate;
	SELECT count(*) FROM dwh.unload_sales(9);
	SELECT idx_tup_fetch, seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'dwh.sale_duplicate'::regclass; ROLLBACK"),
	"0\n0|0", 'of 2,000 repetitions of other sales none is read when a file is taken back');

log_is_clean($node, qr/the rollups of the (?:day|month|year) of|keys without a member/, qr/belongs to role/, qr/has no rollups yet/);
$node->stop;
done_testing();
