# Reports: what each says is what a plain scan of dwh.fact_sales says, over invented sales, over the files of generated
# groups and over the real ones, for ranges that begin and end anywhere.
#
# TXPIPE_TEST_SEED: another seed; TXPIPE_TEST_SALES: so many invented sales (3000); test/run --all adds a million.

use strict;
use warnings;

use File::Basename qw(basename);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use Time::HiRes qw(time);
use TxpipeTest qw(error_of log_is_clean);

my $data = $ENV{TXPIPE_RETAIL_DATA} // "$TxpipeRetail::tree/../shared/data/retail";
my $seed = $ENV{TXPIPE_TEST_SEED} || int(time()) % 100000;
my $node = retail_node('reports', conf => "autovacuum = off\nmax_prepared_transactions = 1\n");

note("TXPIPE_TEST_SEED=$seed");
srand($seed);

# The reports as plain scans, in the schema plain: sale has what they are about, range() the days asked for.
my $plain = <<'SQL';
CREATE SCHEMA plain;
CREATE VIEW plain.sale AS
	SELECT f.*, p.product_id, p.product_name, p.product_category, l.city, l.state, o.offer_code
	FROM dwh.fact_sales f JOIN dwh.dim_product p USING (product_key) JOIN dwh.dim_location l USING (location_key)
	JOIN dwh.dim_offer o USING (offer_key);
CREATE FUNCTION plain.range(date, date) RETURNS SETOF plain.sale LANGUAGE sql STABLE AS $$
	SELECT * FROM plain.sale WHERE ($1 IS NULL OR transaction_date >= $1) AND ($2 IS NULL OR transaction_date <= $2) $$;

CREATE FUNCTION plain.top_products(date, date, integer) RETURNS SETOF record LANGUAGE sql AS $$
	WITH g AS (SELECT product_id, product_name, sum(units) AS units, sum(total_paid) AS paid FROM plain.range($1, $2) GROUP BY 1, 2)
	SELECT * FROM (SELECT 1 + (SELECT count(*) FROM g h WHERE h.units > g.units) AS rank, g.* FROM g) r
	WHERE $3 IS NULL OR rank <= $3 ORDER BY rank, product_id, product_name COLLATE "C" $$;
CREATE FUNCTION plain.top_offers(date, date, integer) RETURNS SETOF record LANGUAGE sql AS $$
	WITH g AS (SELECT offer_code, discount_pct, count(*) AS n FROM plain.range($1, $2) WHERE discount_pct > 0 GROUP BY 1, 2)
	SELECT * FROM (SELECT 1 + (SELECT count(*) FROM g h WHERE h.n > g.n) AS rank, g.* FROM g) r
	WHERE $3 IS NULL OR rank <= $3 ORDER BY rank, offer_code COLLATE "C", discount_pct $$;
CREATE FUNCTION plain.top_offers_by_product(date, date, integer) RETURNS SETOF record LANGUAGE sql AS $$
	WITH g AS (SELECT product_id, product_name, offer_code, count(*) AS n FROM plain.range($1, $2) WHERE discount_pct > 0
	           GROUP BY 1, 2, 3)
	SELECT product_id, product_name, rank, offer_code, n
	FROM (SELECT 1 + (SELECT count(*) FROM g h WHERE (h.product_id, h.product_name) IS NOT DISTINCT FROM
	                  (g.product_id, g.product_name) AND h.n > g.n) AS rank, g.* FROM g) r
	WHERE $3 IS NULL OR rank <= $3 ORDER BY product_id, product_name COLLATE "C", rank, offer_code COLLATE "C" $$;
CREATE FUNCTION plain.lowest_online_cities(date, date, integer, integer, boolean) RETURNS SETOF record LANGUAGE sql AS $$
	WITH g AS (SELECT city, state, count(*) AS n, sum(units) AS units, sum(total_paid) AS paid FROM plain.range($1, $2)
	           WHERE is_online GROUP BY 1, 2),
	     h AS (SELECT * FROM g WHERE ($4 IS NULL OR n >= $4) AND NOT (city = '(unknown)' AND $5 IS FALSE))
	SELECT * FROM (SELECT 1 + (SELECT count(*) FROM h i WHERE i.paid < h.paid) AS rank, h.* FROM h) r
	WHERE $3 IS NULL OR rank <= $3 ORDER BY rank, city COLLATE "C", state COLLATE "C" $$;

CREATE FUNCTION plain.days_in_month(day date) RETURNS numeric LANGUAGE sql AS $$
	SELECT extract(day FROM date_trunc('month', day::timestamp) + interval '1 month - 1 day') $$;
CREATE FUNCTION plain.sales_by_category(date, date) RETURNS SETOF record LANGUAGE sql AS $$
	WITH g AS (SELECT product_category, count(*), sum(units), sum(gross_amount), sum(total_paid) AS paid FROM plain.range($1, $2) GROUP BY 1)
	SELECT 1 + (SELECT count(*) FROM g h WHERE h.paid > g.paid), g.*,
	       CASE WHEN (SELECT sum(paid) FROM g) > 0 THEN round(paid * 100 / (SELECT sum(paid) FROM g), 2) END
	FROM g ORDER BY 1, product_category COLLATE "C" $$;
CREATE FUNCTION plain.sales_by_branch(date, date) RETURNS SETOF record LANGUAGE sql AS $$
	WITH g AS (SELECT branch_id, count(*), sum(units), sum(gross_amount), sum(total_paid) AS paid
	           FROM plain.range($1, $2) JOIN dwh.dim_branch USING (branch_key) WHERE NOT is_online GROUP BY 1)
	SELECT 1 + (SELECT count(*) FROM g h WHERE h.paid > g.paid), branch_id, coalesce(b.location, '(unknown)'), b.class, g.count, g.sum,
	       g.sum_1, g.paid, CASE WHEN (SELECT sum(paid) FROM g) > 0 THEN round(paid * 100 / (SELECT sum(paid) FROM g), 2) END
	FROM g AS g (branch_id, count, sum, sum_1, paid)
	LEFT JOIN (SELECT DISTINCT ON (branch_id) branch_id, location, class FROM dwh.dim_branch WHERE branch_id IS NOT NULL
	           ORDER BY branch_id, valid_from DESC) b USING (branch_id)
	ORDER BY 1, branch_id $$;
CREATE FUNCTION plain.sales_by_payment_method(date, date) RETURNS SETOF record LANGUAGE sql AS $$
	WITH g AS (SELECT payment_method, is_online, count(*), sum(units), sum(gross_amount), sum(total_paid) AS paid
	           FROM plain.range($1, $2) GROUP BY 1, 2)
	SELECT 1 + (SELECT count(*) FROM g h WHERE h.paid > g.paid), g.*,
	       CASE WHEN (SELECT sum(paid) FROM g) > 0 THEN round(paid * 100 / (SELECT sum(paid) FROM g), 2) END
	FROM g ORDER BY 1, payment_method COLLATE "C", is_online $$;
CREATE FUNCTION plain.offer_discounts(date, date) RETURNS SETOF record LANGUAGE sql AS $$
	WITH g AS (SELECT offer_code, discount_pct, count(*), sum(units), sum(units * unit_price) AS gross,
	                  sum(units * unit_price * (100 - discount_pct) / 100.0000)::numeric(30,4) AS paid,
	                  sum(units * unit_price * discount_pct / 100.0000)::numeric(30,4) AS given
	           FROM plain.range($1, $2) WHERE discount_pct > 0 GROUP BY 1, 2)
	SELECT 1 + (SELECT count(*) FROM g h WHERE h.given > g.given), g.*
	FROM g ORDER BY 1, offer_code COLLATE "C", discount_pct $$;
-- Every order has its number in its channel; the middle ones are counted out.
CREATE FUNCTION plain.basket_value(date, date) RETURNS SETOF record LANGUAGE sql AS $$
	WITH o AS (SELECT c, units, total_paid, row_number() OVER (PARTITION BY c ORDER BY total_paid) AS n, count(*) OVER (PARTITION BY c) AS of
	           FROM plain.range($1, $2), LATERAL (VALUES (CASE WHEN is_online THEN 2 ELSE 1 END), (3)) AS v (c))
	SELECT (ARRAY[false, true, NULL])[c], count(o), coalesce(sum(units), 0), coalesce(sum(total_paid), 0.0000),
	       round(avg(total_paid), 4), (avg(total_paid) FILTER (WHERE 2 * n BETWEEN of AND of + 2))::numeric(30,5), round(avg(units), 4)
	FROM generate_series(1, 3) AS c LEFT JOIN o USING (c) GROUP BY c ORDER BY c $$;
CREATE FUNCTION plain.person(date, date) RETURNS TABLE (rank bigint, customer_key bigint, n bigint, units bigint, paid numeric, segment text)
LANGUAGE sql AS $$
	WITH g AS (SELECT customer_key, count(*) AS n, sum(units) AS units, sum(total_paid) AS paid FROM plain.range($1, $2)
	           WHERE customer_key > 0 GROUP BY 1),
	     r AS (SELECT paid, sum(count(*)) OVER (ORDER BY paid DESC) - count(*) AS richer FROM g GROUP BY paid),
	     b AS (SELECT n, sum(count(*)) OVER (ORDER BY n) - count(*) AS rarer FROM g GROUP BY n),
	     a AS (SELECT count(*) AS persons FROM g)
	SELECT (richer + 1)::bigint, customer_key, n, units, paid,
	       split_part(CASE WHEN rarer >= persons / 2.0 THEN 'loyal,champion' ELSE 'occasional,big_spender' END, ',',
	                  CASE WHEN richer < persons / 4.0 THEN 2 ELSE 1 END)
	FROM g JOIN r USING (paid) JOIN b USING (n), a $$;
CREATE FUNCTION plain.top_customers(date, date, integer) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT rank, customer_key, customer_id, first_name, last_name, email, n, units, paid, segment
	FROM plain.person($1, $2) JOIN dwh.dim_customer USING (customer_key)
	WHERE $3 IS NULL OR rank <= $3 ORDER BY rank, customer_key $$;
CREATE FUNCTION plain.customer_segments(date, date) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT s, count(p), coalesce(sum(n), 0), coalesce(sum(units), 0), coalesce(sum(paid), 0.0000), round(avg(paid), 4),
	       round(coalesce(sum(paid), 0) * 100 / nullif((SELECT sum(paid) FROM plain.person($1, $2)), 0), 2)
	FROM unnest(ARRAY['champion', 'loyal', 'big_spender', 'occasional']) WITH ORDINALITY AS v (s, o)
	LEFT JOIN plain.person($1, $2) p ON p.segment = s GROUP BY s, o ORDER BY o $$;

-- Whether a day is one of the days that the part of a period from $2 to $3 is compared with, $4 of them before it.
CREATE FUNCTION plain.is_compared(day date, first date, last date, grain text, back text) RETURNS boolean LANGUAGE sql AS $$
	SELECT CASE
		WHEN grain = 'week' THEN day + CASE back WHEN 'year' THEN 52 * 7 ELSE 7 END BETWEEN first AND last
		WHEN grain = 'day' AND back = 'period' THEN day = first - 1
		WHEN grain = 'day' THEN extract(year FROM day) = extract(year FROM first) - 1 AND to_char(day, 'MMDD') =
			replace(to_char(first, 'MMDD'), '0229', '0228')
		WHEN grain = 'month' THEN
			date_trunc('month', day::timestamp) = date_trunc('month', first::timestamp)
				- CASE back WHEN 'year' THEN interval '1 year' ELSE interval '1 month' END
			AND extract(day FROM day) >= least(extract(day FROM first), plain.days_in_month(day))
			AND (extract(day FROM last) = plain.days_in_month(last) OR extract(day FROM day) <= extract(day FROM last))
		ELSE extract(year FROM day) = extract(year FROM first) - 1
			AND to_char(day, 'MMDD') BETWEEN replace(to_char(first, 'MMDD'), '0229', '0228')
			                             AND replace(to_char(last, 'MMDD'), '0229', '0228') END $$;
CREATE FUNCTION plain.sales_trend(date, date, text) RETURNS SETOF record LANGUAGE sql AS $$
	WITH asked AS MATERIALIZED (
		SELECT date_trunc($3, d)::date AS period, min(d)::date AS first, max(d)::date AS last
		FROM generate_series(coalesce(nullif($1, '-infinity'), (SELECT min(transaction_date) FROM dwh.fact_sales))::timestamp,
			coalesce(nullif($2, 'infinity'), (SELECT max(transaction_date) FROM dwh.fact_sales))::timestamp, '1 day') AS d
		GROUP BY 1
	), known AS MATERIALIZED (
		SELECT d::date AS day, count(f) AS sales, coalesce(sum(units), 0) AS units, coalesce(sum(gross_amount), 0.00) AS gross,
		       coalesce(sum(total_paid), 0.0000) AS paid
		FROM generate_series((SELECT min(transaction_date) FROM dwh.fact_sales)::timestamp, (SELECT max(last) FROM asked), '1 day') AS d
		LEFT JOIN dwh.fact_sales f ON transaction_date = d::date GROUP BY 1
	)
	SELECT a.period, n.sales, n.units, n.gross, n.paid, p.paid, CASE WHEN p.paid <> 0 THEN round((n.paid - p.paid) * 100 / p.paid, 2) END,
	       y.paid, CASE WHEN y.paid <> 0 THEN round((n.paid - y.paid) * 100 / y.paid, 2) END
	FROM asked a,
	     LATERAL (SELECT coalesce(sum(k.sales), 0) AS sales, coalesce(sum(k.units), 0) AS units, coalesce(sum(k.gross), 0.00) AS gross,
	                     coalesce(sum(k.paid), 0.0000) AS paid FROM known k WHERE k.day BETWEEN a.first AND a.last) n,
	     LATERAL (SELECT sum(k.paid) AS paid FROM known k WHERE k.day > a.first - 800
	              AND plain.is_compared(k.day, a.first, a.last, $3, 'period')) p,
	     LATERAL (SELECT sum(k.paid) AS paid FROM known k WHERE k.day > a.first - 800
	              AND plain.is_compared(k.day, a.first, a.last, $3, 'year')) y
	ORDER BY a.period $$;
SQL

# Each report: the columns it returns, and its arguments behind the two days, each a choice of values.
my %reports = (
	top_products => [ 'rank bigint, product_id bigint, product_name text, units bigint, total_paid numeric', [qw(NULL 1 2 3 10)] ],
	top_offers => [ 'rank bigint, offer_code text, discount_pct integer, redemptions bigint', [qw(NULL 1 2 3)] ],
	top_offers_by_product => [ 'product_id bigint, product_name text, rank bigint, offer_code text, redemptions bigint', [qw(NULL 1 2)] ],
	lowest_online_cities => [ 'rank bigint, city text, state text, orders bigint, units bigint, total_paid numeric',
		[qw(NULL 1 2 10)], [qw(NULL 1 2 3 20)], [qw(NULL true false)] ],
	sales_by_category => [ 'rank bigint, product_category text, sales bigint, units bigint, gross_amount numeric, total_paid numeric,
		share_pct numeric' ],
	sales_by_branch => [ 'rank bigint, branch_id integer, location text, class text, sales bigint, units bigint, gross_amount numeric,
		total_paid numeric, share_pct numeric' ],
	sales_by_payment_method => [ 'rank bigint, payment_method text, is_online boolean, sales bigint, units bigint, gross_amount numeric,
		total_paid numeric, share_pct numeric' ],
	offer_discounts => [ 'rank bigint, offer_code text, discount_pct integer, redemptions bigint, units bigint, gross_amount numeric,
		total_paid numeric, discount_given numeric' ],
	basket_value => [ 'is_online boolean, orders bigint, units bigint, total_paid numeric, average_paid numeric, median_paid numeric,
		average_units numeric' ],
	top_customers => [ 'rank bigint, customer_key bigint, customer_id bigint, first_name text, last_name text, email text,
		sales bigint, units bigint, total_paid numeric, segment text', [qw(NULL 1 2 10 100)] ],
	customer_segments => [ 'segment text, customers bigint, sales bigint, units bigint, total_paid numeric, average_paid numeric,
		share_pct numeric' ],
	sales_trend => [ 'period date, sales bigint, units bigint, gross_amount numeric, total_paid numeric, previous_total_paid numeric,
		change_pct numeric, last_year_total_paid numeric, last_year_change_pct numeric', [qw('day' 'week' 'month' 'year')] ]);

# Ranges of days: one day, whole months, years and leap days, open, empty, reversed, anything. As two SQL values.
sub some_range
{
	my ($first, $last) = @_;
	my $day = sub { "date '$first' - 40 + " . int(rand() * ($last + 80)) };
	my $border = sub
	{
		my @days = qw(2021-12-31 2022-01-01 2022-01-31 2022-02-28 2022-03-01 2022-12-31 2023-01-01 2023-02-28 2023-06-30
			2023-12-31 2024-01-01 2024-02-28 2024-02-29 2024-03-01 2024-03-31 2025-02-28);
		return "date '$days[ rand @days ]'";
	};
	my $kind = int rand 8;
	return ('NULL', 'NULL') if $kind == 0;
	return (('NULL', $day->())[ rand() < 0.5 ? (0, 1) : (1, 0) ]) if $kind == 1;
	return (($day->()) x 2) if $kind == 2;
	return ($border->(), $border->()) if $kind == 3;
	return ($day->(), $border->()) if $kind == 4;
	return ("date '-infinity'", rand() < 0.5 ? "date 'infinity'" : $border->()) if $kind == 5;
	return ($border->(), "date 'infinity'") if $kind == 6;
	return ($day->(), $day->());
}

# What each of these queries says, from one session.
sub answers
{
	my @queries = @_;
	my $all = sql(join "\n", map { "SELECT '= $_'; $queries[$_];" } 0 .. $#queries);
	my (undef, @answers) = split /^= \d+(?:\n|\z)/m, $all, -1;
	die 'an answer is missing' if @answers != @queries;
	return @answers;
}

sub same_reports
{
	my ($name, $count) = @_;
	my @days = split /\|/, sql('SELECT min(transaction_date), max(transaction_date) - min(transaction_date) FROM dwh.fact_sales');

	sql($plain) if sql("SELECT to_regnamespace('plain') IS NULL") eq 't';
	foreach my $report (sort keys %reports)
	{
		my ($columns, @choices) = @{ $reports{$report} };
		my @calls = map { "$report(" . join(', ', some_range(@days), map { $_->[ rand @$_ ] } @choices) . ')' } 1 .. $count;
		push @calls, map { "$report(date '$_->[0]', '$_->[1]'" . join('', map { ", $_->[0]" } @choices) . ')' }
			[qw(2024-02-29 2024-02-29)], [qw(2025-02-27 2025-03-01)], [qw(2023-06-02 2023-06-01)], [qw(1999-12-31 2000-01-02)];
		my $begin = time();
		my @got = answers(map { "SELECT * FROM txpipe.$_" } @calls);
		note(sprintf '%s: %s, %.1f ms each', $name, $report, (time() - $begin) * 1000 / @calls);
		my @wanted = answers(map { "SELECT * FROM plain.$_ AS ($columns)" } @calls);
		my @wrong = grep { $got[$_] ne $wanted[$_] } 0 .. $#calls;
		my %different = map { $_ => 1 } @wanted;
		ok(!@wrong && keys %different > 3, "$name: $report, $count ranges")
		  or diag("seed $seed\n", @wrong ? "$calls[$wrong[0]] of " . @wrong . "\n" . first_difference($got[ $wrong[0] ], $wanted[ $wrong[0] ]) : 'always the same');
	}
	return;
}

sub first_difference
{
	my ($got, $wanted) = map { [ split /\n/ ] } @_;
	my $n = 0;
	$n++ while $n < @$got && $n < @$wanted && $got->[$n] eq $wanted->[$n];
	return "line $n\n got:    " . ($got->[$n] // 'nothing') . "\n wanted: " . ($wanted->[$n] // 'nothing') . "\n";
}

# --- invented sales: names and cities repeat, ties are many, some days have none ---

sub make_members
{
	my ($persons, $cities) = @_;
	sql(<<"MEMBERS");
INSERT INTO dwh.dim_product OVERRIDING SYSTEM VALUE VALUES (1, 9, 'Boots', 'Footwear'), (2, 18, 'Boots', 'Footwear'),
	(3, 9, 'Boots', 'Sale'), (4, 4, 'Phone', 'Electronics'), (5, 5, 'Äpfel', 'Food'), (6, NULL, 'Zebra', 'Toys');
INSERT INTO dwh.dim_sales_agent OVERRIDING SYSTEM VALUE VALUES
	(1, 1, 'Zoë Smith', NULL, '-infinity', 'infinity', '-infinity', false), (2, 2, NULL, NULL, '-infinity', 'infinity', '-infinity', true);
INSERT INTO dwh.dim_branch OVERRIDING SYSTEM VALUE VALUES
	(1, 1, 'Boston', NULL, 'A', '-infinity', '2023-01-01', '-infinity', false),
	(2, 1, 'Salem', NULL, 'A', '2023-01-01', '2023-06-01', '2023-01-01', false),
	(3, 1, 'Boston', NULL, 'B', '2023-06-01', 'infinity', '2023-06-01', false),
	(4, 2, 'Boston', NULL, 'A', '-infinity', 'infinity', '-infinity', false),
	(5, 3, NULL, NULL, NULL, '-infinity', 'infinity', '-infinity', true);
INSERT INTO dwh.dim_location OVERRIDING SYSTEM VALUE VALUES (1, 'Springfield', 'MA'), (2, 'Springfield', 'IL'), (3, 'Reno', 'NV'),
	(4, '(unknown)', 'NV'), (5, 'Reno', '(unknown)');
INSERT INTO dwh.dim_customer OVERRIDING SYSTEM VALUE
	SELECT n, n / 2, 'First ' || n % 7, 'Last ' || n % 11, 'e' || n || '\@example.com' FROM generate_series(1, $persons) AS n;
INSERT INTO dwh.dim_location OVERRIDING SYSTEM VALUE SELECT n, 'City ' || n / 2, 'S' || n % 5 FROM generate_series(6, $cities) AS n;
SELECT dwh.create_months(ARRAY(SELECT generate_series('2021-12-01', '2024-05-01', interval '1 month')::date));
MEMBERS
	return;
}

sub insert_sales
{
	my ($count, $persons, $cities) = @_;
	return "SELECT setseed(${\ ($seed / 100000)});
		INSERT INTO dwh.fact_sales (transaction_id, transaction_date, product_key, customer_key, sales_agent_key,
			branch_key, location_key, offer_key, units, unit_price, discount_pct, is_online, payment_method, file_id, line_no)
		SELECT n, date '2021-12-28' + floor(random() * 870)::integer / 3 * 3 + 1, 1 + floor(random() * 6)::integer,
			CASE WHEN random() < 0.02 THEN -1 ELSE 1 + floor(random() * random() * $persons)::integer END,
			CASE WHEN online THEN 0 ELSE floor(random() * 3)::integer END - CASE WHEN random() < 0.02 THEN 1 ELSE 0 END,
			CASE WHEN online THEN 0 ELSE 1 + floor(random() * 5)::integer END,
			CASE WHEN online THEN 1 + floor(random() * $cities)::integer ELSE 0 END, offer,
			1 + floor(random() * 9)::integer, floor(random() * 10)::integer * 0.5,
			offer * 5 + CASE WHEN offer = 2 THEN floor(random() * 2)::integer ELSE 0 END, online,
			(ARRAY['Cash', 'Card', 'cash', '(unknown)'])[1 + floor(random() * 4)::integer], 1, n
		FROM (SELECT n, random() < 0.5 AS online, floor(random() * 4)::integer AS offer
		      FROM generate_series(1, $count) AS n OFFSET 0) s";
}

sub invented_sales
{
	my ($count, $ranges) = @_;
	my ($persons, $cities) = (int($count / 25), 5 + int($count / 2500));
	fresh_database();
	make_members($persons, $cities);
	sql(insert_sales($count, $persons, $cities));
	sql('ANALYZE dwh.fact_sales');
	same_reports("$count invented sales", $ranges);
	return;
}

invented_sales($ENV{TXPIPE_TEST_SALES} || 3000, 40);
invented_sales(1000000, 10) if $ENV{TXPIPE_TEST_LONG};

# --- the files of generated and of the real groups ---

my @groups = make_groups(4, '--rows', 600, '--dirty', 10, '--seed', $seed % 1000 + 1);
fresh_database();
deliver($_, basename($_)) foreach @groups;
run_hourly();
same_reports('generated', 15);

SKIP:
{
	skip "no folder $data", scalar keys %reports unless -d "$data/group1";
	fresh_database();
	deliver("$data/group$_", "group$_") foreach 1 .. 3;
	run_hourly();
	same_reports('real', 15);
}

# --- the nightly report: what there is and what came, from the facts and the ledger ---

# Days of sale as they are, kept in a table to compare with later.
sub keep_days
{
	my ($name) = @_;
	sql("DROP TABLE IF EXISTS plain.$name;
		CREATE TABLE plain.$name AS SELECT transaction_date AS day, count(*) AS sales, sum(units) AS units, sum(gross_amount) AS gross,
			sum(total_paid) AS paid FROM dwh.fact_sales GROUP BY 1");
	return;
}

my $ledger = q{(SELECT count(*) FILTER (WHERE state ~ '^loaded'), coalesce(sum(rows_read), 0), coalesce(sum(rows_loaded), 0),
	coalesce(sum(rows_duplicate), 0), coalesce(sum(rows_rejected), 0), count(*) FILTER (WHERE state = 'waiting'),
	count(*) FILTER (WHERE state IN ('failed', 'poison', 'rejected')) FROM txpipe.file)};
my @counted = (0) x 5;

# Takes a report and compares it with the facts, the ledger, and the days kept as plain.before.
sub same_nightly
{
	my ($date, $name, $before) = @_;
	my @ledger = split /\|/, sql("SELECT * FROM $ledger l");
	keep_days('now');

	is(sql("SELECT txpipe.take_nightly_report('$date')"), $date, "$name: taken");
	is(sql("SELECT files_loaded, rows_read, rows_loaded, rows_duplicate, rows_rejected, files_waiting, files_failed
		FROM txpipe.nightly_report WHERE report_date = '$date'"),
		join('|', map({ $ledger[$_] - $counted[$_] } 0 .. 4), @ledger[5, 6]), "$name: files and rows");
	is(sql("SELECT business_day, sales, units, gross_amount, total_paid, discount_given, online_sales, online_total_paid::numeric(30,4)
		FROM txpipe.nightly_report WHERE report_date = '$date'"),
		sql("SELECT max(day), sum(1), sum(units), sum(gross), sum(paid), sum(gross - paid), count(*) FILTER (WHERE is_online),
			coalesce(sum(paid) FILTER (WHERE is_online), 0.0000)
			FROM (SELECT transaction_date AS day, units, units * unit_price AS gross, total_paid AS paid, is_online FROM dwh.fact_sales
			      WHERE transaction_date = (SELECT max(transaction_date) FROM dwh.fact_sales WHERE transaction_date <= '$date')) s"),
		"$name: the business day");
	is(sql("SELECT sales_added, total_paid_added::numeric(30,4), days_new, days_revised, all_sales, all_total_paid
		FROM txpipe.nightly_report WHERE report_date = '$date'"),
		sql("SELECT coalesce(sum(n.sales), 0) - coalesce(sum(b.sales), 0), (coalesce(sum(n.paid), 0) - coalesce(sum(b.paid), 0))::numeric(30,4),
			count(*) FILTER (WHERE b.sales IS NULL),
			count(*) FILTER (WHERE b.sales > 0 AND n IS DISTINCT FROM b), sum(n.sales), sum(n.paid)
			FROM plain.now n FULL JOIN plain.$before b USING (day)"), "$name: what came");
	is(sql("SELECT transaction_date, sales_before, sales, units, gross_amount, total_paid_before, total_paid
		FROM txpipe.nightly_report_day WHERE report_date = '$date' ORDER BY 1"),
		sql("SELECT day, b.sales, coalesce(n.sales, 0), coalesce(n.units, 0), coalesce(n.gross, 0), b.paid, coalesce(n.paid, 0)
			FROM plain.now n FULL JOIN plain.$before b USING (day) WHERE n IS DISTINCT FROM b ORDER BY 1"), "$name: the days");
	foreach my $list (qw(top_products top_offers lowest_online_cities))
	{
		my ($columns, @more) = @{ $reports{$list} };
		my $more = join '', map { ", $_" } (10, 1, 'true')[ 0 .. $#more ];
		is(sql("SELECT l.* FROM txpipe.nightly_report r, ROWS FROM (jsonb_to_recordset(r.$list) AS ($columns)) WITH ORDINALITY AS l
			WHERE report_date = '$date'"),
			sql("SELECT l.* FROM (SELECT max(transaction_date) AS day FROM dwh.fact_sales WHERE transaction_date <= '$date') d,
				ROWS FROM (plain.$list(day, day$more) AS ($columns)) WITH ORDINALITY AS l"), "$name: $list");
	}
	@counted = @ledger[ 0 .. 4 ];
	return;
}

my @dates = map { sql("SELECT current_date - $_") } reverse 0 .. 9;
fresh_database();
sql($plain);
keep_days('none');
is(sql('SELECT txpipe.take_nightly_report() = current_date - 1'), 't', 'without a date it is about yesterday');
is(sql('SELECT business_day, sales, top_products, days_new, previous_date FROM txpipe.nightly_report'), '|0|[]|0|', 'and nothing without sales');
sql('DELETE FROM txpipe.nightly_report_store');
deliver($groups[0], 'group1');
run_hourly();
same_nightly($dates[0], 'first', 'none');
is(sql('SELECT week_before_total_paid, month_total_paid, month_before_total_paid FROM txpipe.nightly_report'),
	sql("WITH d AS (SELECT max(transaction_date) AS day FROM dwh.fact_sales)
		SELECT (SELECT coalesce(sum(total_paid), 0.0000) FROM dwh.fact_sales WHERE transaction_date = day - 7),
			(SELECT sum(total_paid) FROM dwh.fact_sales WHERE date_trunc('month', transaction_date::timestamp) = date_trunc('month', day::timestamp)),
			(SELECT coalesce(sum(total_paid), 0.0000) FROM dwh.fact_sales WHERE plain.is_compared(transaction_date, date_trunc('month', day::timestamp)::date, day, 'month', 'period'))
		FROM d"), 'first: the week and the month before');
keep_days('before');
deliver($groups[1], 'group2');
run_hourly();
same_nightly($dates[1], 'late data', 'before');
keep_days('before');
my @before = @counted;
same_nightly($dates[2], 'nothing came', 'before');
is(sql("SELECT count(*) FROM txpipe.nightly_report_day WHERE report_date = '$dates[2]'"), '0', 'and no day changed');

# The newest is taken again, from the same beginning; older ones stay.
my $kept = sql("SELECT * FROM txpipe.nightly_report WHERE report_date < '$dates[2]'");
sql(q{SELECT txpipe.unload(file_id) FROM txpipe.file WHERE feed = 'sales_transactions' AND group_key = 'group1'});
@counted = @before;
same_nightly($dates[2], 'unloaded', 'before');
@counted = @before;
same_nightly($dates[2], 'taken once more', 'before');
sql("SELECT txpipe.take_nightly_report('$dates[0]')");
is(sql("SELECT * FROM txpipe.nightly_report WHERE report_date < '$dates[2]'"), $kept, 'older reports stay');
sql("CREATE TABLE plain.gone AS SELECT * FROM plain.now");
# A sale of a later day is no business of this one.
sql('DELETE FROM dwh.fact_sales WHERE transaction_date = (SELECT max(transaction_date) FROM dwh.fact_sales)');
sql("SELECT dwh.create_months(ARRAY[date_trunc('month', current_date::timestamp)::date]);
	INSERT INTO dwh.fact_sales (transaction_id, transaction_date, product_key, customer_key, sales_agent_key, branch_key, location_key,
		offer_key, units, unit_price, discount_pct, is_online, payment_method, file_id, line_no)
	SELECT 'ahead', current_date, product_key, customer_key, sales_agent_key, branch_key, location_key, offer_key, units, unit_price,
		discount_pct, is_online, payment_method, file_id, -1 FROM dwh.fact_sales LIMIT 1");
same_nightly($dates[4], 'a day without sales any more', 'gone');
is(sql("SELECT previous_date FROM txpipe.nightly_report WHERE report_date = '$dates[4]'"), $dates[2], 'counted from the one before');
is(sql('SELECT sum(sales_added) FROM txpipe.nightly_report'), sql('SELECT count(*) FROM dwh.fact_sales'), 'what came adds up to what is there');
is(sql(q{SELECT string_agg(DISTINCT job || ' ' || state, ', ') FROM txpipe.run WHERE job ~ 'nightly'}), 'take_nightly_report succeeded', 'the runs are logged');

foreach my $case ([ "'$dates[3]'", '55000' ], [ 'current_date + 1', '22023' ], [ "'infinity'", '22023' ], [ "'0001-01-01 BC'", '22023' ])
{
	my $error = error_of($node, "SELECT txpipe.take_nightly_report($case->[0])", db => 'retail');
	is($error->{state}, $case->[1], "report of $case->[0]");
	ok($error->{hint}, 'with a hint');
}
sql('CREATE ROLE guest; GRANT USAGE ON SCHEMA dwh TO guest; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA txpipe TO guest');
is(error_of($node, 'SET ROLE guest; SELECT txpipe.take_nightly_report()', db => 'retail')->{state}, '42501', 'a report is for the owner to take');
is(sql('SET ROLE guest; SELECT (SELECT count(*) FROM txpipe.nightly_report) + (SELECT count(*) FROM txpipe.nightly_report_day)'), '0', 'and nothing for others to read');
is(sql('GRANT SELECT ON dwh.rollup_total TO guest; SET ROLE guest; SELECT count(*) FROM txpipe.nightly_report'), '4', 'but for those who may read the sums');
sql('DROP OWNED BY guest; DROP ROLE guest');

# A load that has begun before a report, and commits behind it, is in the next one.
keep_days('base');
sql("BEGIN; UPDATE dwh.fact_sales SET units = units + 1 WHERE transaction_id = (SELECT min(transaction_id) FROM dwh.fact_sales);
	PREPARE TRANSACTION 'load'");
same_nightly($dates[5], 'a load is at work', 'base');
sql("COMMIT PREPARED 'load'");
same_nightly($dates[6], 'it has committed', 'base');
is(sql("SELECT days_revised FROM txpipe.nightly_report WHERE report_date = '$dates[6]'"), '1', 'and its day counts as revised');

# Its owner needs no more rights than the COMMENT says.
sql('CREATE ROLE shopkeeper; ALTER SCHEMA dwh OWNER TO shopkeeper; GRANT SELECT ON ALL TABLES IN SCHEMA dwh TO shopkeeper;
	GRANT EXECUTE ON FUNCTION txpipe.take_nightly_report, txpipe.require_warehouse_owner, txpipe.nightly_figures,
	txpipe.begin_nightly_report, txpipe.end_nightly_report TO shopkeeper');
is(sql("SET ROLE shopkeeper; SELECT txpipe.take_nightly_report('$dates[7]')"), $dates[7], 'the owner of the warehouse takes it');

# --- what is refused ---

foreach my $call ("top_products(top_n => 0)", "top_customers(top_n => 0)", "lowest_online_cities(top_n => -1)", "lowest_online_cities(min_orders => 0)",
	"sales_trend(grain => 'hour')", "sales_trend(grain => NULL)")
{
	my $error = error_of($node, "SELECT * FROM txpipe.$call", db => 'retail');
	is($error->{state}, '22023', "$call is refused");
	ok($error->{hint}, 'with a hint');
}
is(error_of($node, "SELECT * FROM txpipe.sales_trend('0001-01-01', '9999-12-31')", db => 'retail')->{state}, '54000', 'too many rows are refused');

log_is_clean($node, qr/must be/, qr/more than 100000 periods/, qr/there is a later report/, qr/belongs to role/);
$node->stop;
done_testing();
