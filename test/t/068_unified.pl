# One view of now: sales come as events and in hourly files. What dwh.sales shall hold is computed here, from the sales
# themselves; a reader looks on while both kinds arrive in random order.
use strict;
use warnings;

use IPC::Run;
use JSON::PP;
use List::Util qw(shuffle sum0);
use PostgreSQL::Test::Utils;
use Test::More;

use lib 't';
use TxpipeRetail;
use TxpipeTest;

my $seed = $ENV{TXPIPE_TEST_SEED} // time % 100_000;
diag("seed $seed (TXPIPE_TEST_SEED)");
srand($seed);

my $data   = $ENV{TXPIPE_RETAIL_DATA} // "$TxpipeRetail::tree/../shared/data/retail";
my $broker = start_broker('real:2', 'dirty:1', 'mixed:3', 'readings:1');
my $node   = retail_node('unified', conf => "shared_preload_libraries = 'txpipe'\nmax_worker_processes = 24\n");
my $json   = JSON::PP->new->canonical->ascii;
my $db;
my %produced;

sub start_warehouse
{
	($db) = @_;

	fresh_database($db);
	kafka_server($node, 'shop', $broker, $db);
	return;
}

# Sends events, hashes or texts, and counts them.
sub stream
{
	my ($topic, $partition, @events) = @_;

	produce_lines($broker, $topic, $partition, map { ref $_ ? $json->encode($_) : $_ } @events);
	$produced{$topic} += @events;
	return;
}

sub streamed
{
	my ($topic) = @_;
	return wait_for_offset($node, 'live_sales', $produced{$topic}, db => $db);
}

# --- a sale, as an event and as a line ---

my @rate = (0, 5, 10, 15, 20, 25);

sub a_sale
{
	my ($id) = @_;
	my $online = rand() < 0.4;
	my $offer  = int rand 6;
	my $units  = 1 + int rand 9;
	my $cents  = 1 + int rand 100_000;

	return {
		id     => $id,
		paid   => $units * $cents * (100 - $rate[$offer]),    # in units of 0.0001
		units  => $units,
		offer  => $offer,
		fields => {
			transaction_id => $id, transaction_date => sprintf('2023-%d-%d', 1 + rand 3, 1 + rand 28), customer_id => 1 + int rand 50,
			customer_fname => (qw(Ada Bob Cy))[ rand 3 ], customer_lname => 'Doe', customer_email => 'x' . int(rand 9) . '@gmail.com',
			product_id => 1 + int rand 8, product_name => 'P', product_category => 'All', units => $units,
			unit_price => sprintf('%d.%02d', $cents / 100, $cents % 100), payment_method => 'Cash',
			$online ? (is_online => 'yes', shipping_address => '1 Elm/' . (qw(Reno Elko))[ rand 2 ] . '/NV/01234')
			: (is_online => 'no', sales_agent_id => 1 + int rand 5, branch_id => 1 + int rand 3)
		}
	};
}

my @columns = qw(transaction_date transaction_id customer_id customer_fname customer_lname customer_email sales_agent_id branch_id
  product_id product_name product_category offer_1 offer_2 offer_3 offer_4 offer_5 units unit_price is_online payment_method shipping_address);

sub line_of
{
	my ($sale) = @_;
	my %field = (%{ $sale->{fields} }, $sale->{offer} ? ("offer_$sale->{offer}" => 'True') : ());

	return join ',', map { my $v = $field{$_} // ''; $v =~ /[",]/ ? '"' . $v =~ s/"/""/gr . '"' : $v } @columns;
}

sub event_of
{
	my ($sale) = @_;
	return { %{ $sale->{fields} }, $sale->{offer} ? (offer_code => "offer_$sale->{offer}") : () };
}

# A file's lines as sales, without the columns that are empty.
sub sales_of
{
	my ($file) = @_;
	my ($head, @lines) = split /\r?\n/, slurp_file($file);
	my @names = map { s/^cusomter/customer/r } split /,/, $head;
	my @sales;

	foreach my $line (@lines)
	{
		my %field;
		@field{@names} = map { defined $_ && s/^"(.*)"$/$1/s ? s/""/"/gr : $_ } $line =~ /(?:^|,)("(?:[^"]|"")*"|[^,]*)/g;
		my ($offer) = grep { delete $field{"offer_$_"} } 1 .. 5;
		push @sales, { offer => $offer // 0, fields => { map { $_ => $field{$_} } grep { ($field{$_} // '') ne '' } keys %field } };
	}
	return @sales;
}

# --- a real group, streamed and then loaded ---

SKIP:
{
	skip "there is no $data", 6 unless -d $data;
	start_warehouse('real');
	sql(q{SELECT txpipe.create_live_sales('shop', 'real')});
	my @sales = sales_of("$data/group1/sales_transactions_SS_raw_1.csv");
	stream('real', $_ % 2, event_of($sales[$_])) for 0;
	stream('real', 1, map { event_of($_) } @sales[ 1 .. $#sales ]);
	streamed('real');
	my $totals = 'SELECT count(*), sum(units), sum(gross_amount), sum(total_paid), count(*) FILTER (WHERE discount_pct > 0) FROM dwh.sales';
	is(sql("$totals WHERE source = 'speed'"), '1500|8134|1425378.66|1322366.4450|736', 'what was streamed adds up to the money of its group');
	is(sql(q{SELECT count(*) FROM txpipe.dead_letter}), '0', 'without a dead letter');
	my $values = q{SELECT transaction_id, transaction_date, customer_id, first_name, last_name, email, sales_agent_id, branch_id, product_id,
		product_name, product_category, offer_code, units, unit_price, gross_amount, discount_pct, total_paid, is_online, payment_method,
		street, city, state, postal_code FROM dwh.sales ORDER BY transaction_id};
	my $before = sql($values);
	deliver("$data/group1", 'group1');
	run_hourly();
	is(sql("$totals WHERE source = 'batch'"), '1500|8134|1425378.66|1322366.4450|736', 'what was loaded is the same');
	same_lines($before, sql($values), 'value by value');
	is(sql('SELECT count(*) FROM dwh.sales_reconciliation'), '0', 'there is nothing to reconcile');
	deliver("$data/group2", 'group2');
	run_hourly();
	is(sql('SELECT state, count(*), sum(batch_total_paid) FROM dwh.sales_reconciliation GROUP BY 1'), 'unstreamed|1500|1498708.3295',
		'a group that was never streamed is told');
}

# --- dirt: what a file may not bring an event may not, and what it gets an event gets ---

start_warehouse('dirty');
my $good = sub { { offer => 0, fields => { transaction_date => '2023-5-20', customer_id => '7', customer_fname => 'Ada', customer_lname => 'Doe',
	customer_email => 'ada@gmail.com', sales_agent_id => 1, branch_id => 1, product_id => '3', product_name => 'Tablet', product_category => 'All',
	units => 2, unit_price => '9.99', payment_method => 'Cash', is_online => 'no', @_ } } };
my %dirt = (
	plain => [], whole => [ customer_id => '7.0', units => '2.0', product_id => '3.' ], spaces => [ customer_fname => ' Ada ', payment_method => ' ' ],
	junk => [ customer_email => "ada\@gmail.com#4r\\'" ], longmail => [ customer_email => 'ada@gmail.comm' ], nameless => [ map { $_ => undef } qw(customer_fname customer_lname
		customer_email product_name product_category payment_method) ], agentless => [ sales_agent_id => undef, branch_id => undef ],
	online => [ is_online => 'True', sales_agent_id => undef, branch_id => undef, shipping_address => '7/9 Elm St/Reno/NV/01234' ],
	cityless => [ is_online => 'yes', sales_agent_id => undef, branch_id => undef, shipping_address => '9 Elm St//NV/01234' ],
	nowhere => [ is_online => 'yes', sales_agent_id => undef, branch_id => undef ], unsaid => [ is_online => undef ], stranger => [ sales_agent_id => 99, branch_id => 77 ],
	free => [ unit_price => 0 ], padded => [ transaction_date => '2023-05-20' ], many => [ units => 20000 ], odd => [ payment_method => 'Shells' ],
	quoted => [ product_name => 'A "b", c' ],
	# refused
	no_units => [ units => 0 ], negative => [ units => -1 ], half => [ units => '1.5' ], mills => [ unit_price => '9.999' ], below => [ unit_price => '-0.01' ],
	nan => [ unit_price => 'NaN' ], huge => [ unit_price => '99999999999' ], no_day => [ transaction_date => '2023-2-30' ], early => [ transaction_date => '1999-12-31' ],
	late => [ transaction_date => '2099-01-01' ], dayless => [ transaction_date => undef ], noone => [ customer_id => undef ], nothing => [ product_id => undef ],
	priceless => [ unit_price => undef ], unitless => [ units => undef ], text => [ customer_id => 'guest' ], long => [ customer_fname => 'x' x 101 ],
	address => [ shipping_address => 'somewhere' ], expired => [ transaction_date => '2022-01-01' ]);
my @refused = qw(no_units negative half mills below nan huge no_day early late dayless noone nothing priceless unitless text long address expired);
my @dirty = map { my $sale = $good->(transaction_id => $_, @{ $dirt{$_} }); $sale->{offer} = 3 if $_ eq 'plain'; $sale->{offer} = 5 if $_ eq 'expired'; $sale } sort keys %dirt;
sql(q{UPDATE dwh.dim_offer SET valid_from = '2023-01-01' WHERE offer_code = 'offer_5'});
# A rule of one's own; one that only warns; one that is off.
sql(q{SELECT txpipe.set_rule('sales_transactions', 'no_tablets', 'product_name = ''Phone''', 'reject', 'product_name', '{product_name} is not sold')});
sql(q{SELECT txpipe.set_rule_action('sales_transactions', 'negative_price', 'off')});
push @dirty, $good->(transaction_id => 'phone', product_name => 'Phone');
push @refused, 'phone';
land_sales('group1', map { line_of($_) } @dirty);
run_hourly();
my $values = q{SELECT transaction_id, transaction_date, customer_id, first_name, last_name, email, sales_agent_id, sales_agent_name, branch_id,
	branch_location, product_id, product_name, product_category, offer_code, units, unit_price, gross_amount, discount_pct, total_paid, is_online,
	payment_method, street, city, state, postal_code FROM dwh.sales ORDER BY transaction_id};
my $loaded = sql($values);
is(join(' ', map { /^(\w+)\|/ } split /\n/, $loaded), join(' ', sort grep { my $id = $_; !grep { $_ eq $id } @refused } keys %dirt), 'the file brings what is clean');
like($loaded, qr/^plain\|2023-05-20\|.*\|offer_3\|2\|9\.99\|19\.98\|15\|16\.9830\|f\|/m, 'with the offer of its day, exact');
start_warehouse('dirty');
sql(q{UPDATE dwh.dim_offer SET valid_from = '2023-01-01' WHERE offer_code = 'offer_5';
	SELECT txpipe.set_rule('sales_transactions', 'no_tablets', 'product_name = ''Phone''', 'reject', 'product_name', '{product_name} is not sold');
	SELECT txpipe.set_rule_action('sales_transactions', 'negative_price', 'off');
	SELECT txpipe.create_live_sales('shop', 'dirty')});
# So that agents and branches have the names the file's sales have.
land_sales('group1');
run_hourly();
stream('dirty', 0, map { event_of($_) } @dirty);
streamed('dirty');
same_lines(sql($values), $loaded, 'the stream brings the same');
is(sql(q{SELECT string_agg(payload_text::jsonb ->> 'transaction_id', ' ' ORDER BY payload_text::jsonb ->> 'transaction_id') FROM txpipe.dead_letter}),
	join(' ', sort @refused), 'and refuses the same');
is(sql(q{SELECT code, column_name, message FROM txpipe.dead_letter WHERE payload_text::jsonb ->> 'transaction_id' = 'no_units'}),
	'23514|units|units must be at least 1, not 0', 'a letter has the words of the rule');
is(sql(q{SELECT code, message FROM txpipe.dead_letter WHERE payload_text::jsonb ->> 'transaction_id' = 'phone'}),
	'23514|Phone is not sold', 'of one\'s own rule, too');
is(sql(q{SELECT message FROM txpipe.dead_letter WHERE payload_text::jsonb ->> 'transaction_id' = 'expired'}),
	'offer_5 is not valid on 2022-01-01', 'or of the offer');

# Events alone have a code for the offer. An offer that is none, and none in words; a correction; empty payment.
stream('dirty', 0, { %{ event_of($good->(transaction_id => 'o6')) }, offer_code => 'offer_6' },
	{ %{ event_of($good->(transaction_id => 'o0')) }, offer_code => 'none' }, { %{ event_of($good->(transaction_id => 'o1')) }, offer_code => ' offer_1 ' },
	{ %{ event_of($good->(transaction_id => 'o2')) }, offer_code => undef, payment_method => '' },
	{ %{ event_of($good->(transaction_id => 'plain')) }, offer_code => 'offer_2', units => 4, customer_fname => undef });
streamed('dirty');
is(sql(q{SELECT message, column_name FROM txpipe.dead_letter WHERE payload_text::jsonb ->> 'transaction_id' = 'o6'}),
	'there is no offer offer_6|offer_code', 'an unknown offer is refused');
is(sql(q{SELECT transaction_id, first_name, offer_code, units, discount_pct, total_paid, payment_method FROM dwh.sales
		 WHERE transaction_id IN ('o0', 'o1', 'o2', 'plain') ORDER BY 1}),
	"o0|Ada|none|2|0|19.9800|Cash\no1|Ada|offer_1|2|5|18.9810|Cash\no2|Ada|none|2|0|19.9800|(unknown)\nplain|(unknown)|offer_2|4|10|35.9640|Cash",
	'offers by their code; a later event replaces a sale');

# The mended message is replayed.
is(sql(q{SELECT replayed FROM txpipe.replay_dead_letters('live_sales', payload => convert_to((SELECT jsonb_set(payload_text::jsonb, '{offer_code}', '"offer_4"')::text
		 FROM txpipe.dead_letter WHERE message LIKE 'there is no offer%'), 'UTF8'),
		 ids => ARRAY(SELECT dead_letter_id FROM txpipe.dead_letter WHERE message LIKE 'there is no offer%'))}), '1', 'a mended letter is replayed');
is(sql(q{SELECT total_paid FROM dwh.sales WHERE transaction_id = 'o6'}), '15.9840', 'and is a sale');

# Rules changed later are taken over by the next call; the check says so.
my $check = q{SELECT ok FROM txpipe.check_warehouse() WHERE item LIKE 'streamed sales are cleaned%'};
is(sql($check), 't', 'streamed sales are cleaned by the rules of the feed');
sql(q{SELECT txpipe.drop_rule('sales_transactions', 'no_tablets')});
is(sql($check), 'f', 'until one is changed');
sql(q{SELECT txpipe.create_live_sales('shop', 'dirty')});
is(sql(q{SELECT replayed FROM txpipe.replay_dead_letters('live_sales', ids => ARRAY(SELECT dead_letter_id FROM txpipe.dead_letter WHERE message LIKE 'Phone %'))}),
	'1', 'a rule that was dropped refuses nothing any more');
is(sql('SELECT string_agg(item, $$, $$) FROM txpipe.check_warehouse() WHERE NOT ok'), '', 'the warehouse is sound');

# --- reconciliation ---

land_sales('group2', line_of($good->(transaction_id => 'plain', units => 4)), line_of($good->(transaction_id => 'o0', customer_email => 'ada@gmail.com;', unit_price => '9.98')),
	line_of($good->(transaction_id => 'o1')), line_of($good->(transaction_id => 'o2', payment_method => undef)), line_of($good->(transaction_id => 'filed')));
run_hourly();
is(sql(q{SELECT transaction_id, state, array_to_string(differing_columns, ' '), speed_total_paid, batch_total_paid FROM dwh.sales_reconciliation
		 WHERE state <> 'unconfirmed' ORDER BY 1}),
	"filed|unstreamed|||19.9800\no0|differing|unit_price|19.9800|19.9600\no1|differing|offer_code discount_pct|18.9810|19.9800\nplain|differing|first_name offer_code discount_pct|35.9640|39.9600",
	'what differs is told by column; junk that is cleaned is no difference');
is(sql(q{SELECT count(*), bool_and(age >= '0' AND streamed_at IS NOT NULL AND loaded_at IS NULL AND kafka_offset >= 0) FROM dwh.sales_reconciliation WHERE state = 'unconfirmed'}),
	sql(q{SELECT count(*) FROM dwh.sales WHERE source = 'speed'}) . '|t', 'what is not confirmed has an age and its place in the topic');
is(sql(q{SELECT total_paid, source FROM dwh.sales WHERE transaction_id = 'o1'}), '19.9800|batch', 'the file counts');

# --- what files have confirmed is deleted after a time, and nothing else ---

my $shown = sql(q{SELECT string_agg(transaction_id || ' ' || source, ',' ORDER BY transaction_id) FROM dwh.sales});
is(sql('SELECT dwh.prune_live_sales()'), '0', 'a day has not passed');
is(sql(q{UPDATE dwh.setting SET value = '0' WHERE name = 'keep_confirmed'; SELECT removed FROM txpipe.housekeeping() WHERE what = 'confirmed live sales'}), '4',
	'housekeeping deletes what was confirmed');
is(sql(q{SELECT string_agg(transaction_id || ' ' || source, ',' ORDER BY transaction_id) FROM dwh.sales}), $shown, 'nobody sees it');
is(sql(q{SELECT count(*) FILTER (WHERE state <> 'unconfirmed') FROM dwh.sales_reconciliation}), '0', 'what was deleted is not called unstreamed');
# Sales that come again in a late group, whose place they take, are not, either; those that are new are.
land_sales('group0', line_of($good->(transaction_id => 'o1')), line_of($good->(transaction_id => 'o2')), line_of($good->(transaction_id => 'new')));
run_hourly();
is(sql(q{SELECT transaction_id, state FROM dwh.sales_reconciliation WHERE state <> 'unconfirmed'}), 'new|unstreamed', 'nor when a late group has it, too');

# --- reports over both, each beside a plain query over the view ---

my $span = q{transaction_date BETWEEN coalesce($1, '-infinity') AND coalesce($2, 'infinity')};
my %plain = (
	top_products => qq{SELECT rank() OVER (ORDER BY sum(units) DESC), product_id, product_name, sum(units), sum(total_paid)
		FROM dwh.sales WHERE $span GROUP BY 2, 3},
	top_offers => qq{SELECT rank() OVER (ORDER BY count(*) DESC), offer_code, discount_pct, count(*)
		FROM dwh.sales WHERE $span AND discount_pct > 0 GROUP BY 2, 3},
	top_offers_by_product => qq{SELECT product_id, product_name, rank() OVER (PARTITION BY product_id, product_name ORDER BY count(*) DESC), offer_code, count(*)
		FROM dwh.sales WHERE $span AND discount_pct > 0 GROUP BY 1, 2, 4},
	lowest_online_cities => qq{SELECT rank() OVER (ORDER BY sum(total_paid)), city, state, count(*), sum(units), sum(total_paid)
		FROM dwh.sales WHERE $span AND is_online GROUP BY 2, 3},
	sales_by_category => qq{SELECT rank() OVER (ORDER BY sum(total_paid) DESC), product_category, count(*), sum(units), sum(gross_amount), sum(total_paid),
		round(100 * sum(total_paid) / sum(sum(total_paid)) OVER (), 2) FROM dwh.sales WHERE $span GROUP BY 2},
	sales_by_branch => qq{SELECT rank() OVER (ORDER BY sum(total_paid) DESC), s.branch_id, coalesce(b.location, '(unknown)'), b.class, count(*), sum(units),
		sum(gross_amount), sum(total_paid), round(100 * sum(total_paid) / sum(sum(total_paid)) OVER (), 2)
		FROM dwh.sales s LEFT JOIN dwh.dim_branch b ON b.branch_id = s.branch_id AND b.valid_to = 'infinity' WHERE $span AND NOT is_online GROUP BY 2, 3, 4},
	sales_by_payment_method => qq{SELECT rank() OVER (ORDER BY sum(total_paid) DESC), payment_method, is_online, count(*), sum(units), sum(gross_amount),
		sum(total_paid), round(100 * sum(total_paid) / sum(sum(total_paid)) OVER (), 2) FROM dwh.sales WHERE $span GROUP BY 2, 3},
	offer_discounts => qq{SELECT rank() OVER (ORDER BY sum(gross_amount - total_paid) DESC), offer_code, discount_pct, count(*), sum(units),
		sum(gross_amount), sum(total_paid), sum(gross_amount - total_paid) FROM dwh.sales WHERE $span AND discount_pct > 0 GROUP BY 2, 3},
	basket_value => qq{SELECT c.is_online, count(units), coalesce(sum(units), 0), coalesce(sum(total_paid), 0.0000), round(avg(total_paid), 4),
		(SELECT avg(p) FROM (SELECT total_paid AS p, row_number() OVER (ORDER BY total_paid) AS n, count(*) OVER () AS total FROM dwh.sales
			WHERE $span AND is_online = coalesce(c.is_online, is_online)) o WHERE n IN ((total + 1) / 2, total / 2 + 1)), round(avg(units), 4)
		FROM (VALUES (false), (true), (NULL)) AS c (is_online) LEFT JOIN dwh.sales s ON $span AND s.is_online = coalesce(c.is_online, s.is_online) GROUP BY 1},
	sales_trend => qq{SELECT d::date, count(units), coalesce(sum(units), 0), coalesce(sum(gross_amount), 0.00), coalesce(sum(total_paid), 0.0000)
		FROM (SELECT generate_series(coalesce(\$1, min(transaction_date)), coalesce(\$2, max(transaction_date)), '1 day') AS d FROM dwh.sales) g
		LEFT JOIN dwh.sales ON transaction_date = d GROUP BY 1},
	b2b_sales => q{SELECT coalesce(sales_agent_name, '(unknown)'), product_name, sum(units) FROM dwh.sales WHERE transaction_date = $1 AND NOT is_online GROUP BY 1, 2},
);

sub compare_reports
{
	my $state = sql('SELECT min(transaction_date) + 3, max(transaction_date) - 20 FROM dwh.sales');
	my ($low, $high) = map { "'$_'::date" } split /\|/, $state;
	my @wrong;

	foreach my $report (sort keys %plain)
	{
		foreach my $days ([ 'NULL::date', 'NULL::date' ], [ $low, $high ])
		{
			my ($from, $to) = $report eq 'b2b_sales' ? ($high, '') : @$days;
			my $plain = $plain{$report} =~ s/\\?\$1/$from/gr =~ s/\\?\$2/$to/gr;
			my $call  = $report eq 'b2b_sales' ? $from : "$from, $to" . ($report =~ /^(?:top|lowest)/ ? ', top_n => NULL' : '');
			my $columns = $report eq 'sales_trend' ? 'period, sales, units, gross_amount, total_paid' : '*';
			my $differ = sql("WITH r AS (SELECT $columns FROM txpipe.$report($call, source => 'unified')), p AS ($plain)
				SELECT count(*) FROM ((TABLE r EXCEPT ALL TABLE p) UNION ALL (TABLE p EXCEPT ALL TABLE r)) d");
			push @wrong, "$report($call): $differ rows" if $differ ne '0';
		}
	}
	return @wrong;
}

# --- any pair of tables: what sensors send, and the file of the day ---

$db = 'sensors';
$node->safe_psql('postgres', "CREATE DATABASE $db");
$node->safe_psql($db, 'CREATE EXTENSION txpipe');
kafka_server($node, 'shop', $broker, $db);
my $columns = 'sensor_id text, at timestamptz, value numeric(8,3), status text';
$node->safe_psql($db, qq{CREATE TABLE live_reading ($columns, PRIMARY KEY (sensor_id, at));
	CREATE TABLE reading ($columns, file_id bigint, PRIMARY KEY (sensor_id, at));
	SELECT txpipe.create_stream('live_reading', 'shop', 'readings', 'live_reading', options => '{"mode": "upsert"}');
	SELECT txpipe.create_feed('reading', '^readings/(.+)\\.csv\$', 'reading');
	SELECT txpipe.create_unified_view('readings', 'live_reading', 'reading', '{sensor_id,at}')});
my @readings = map { { sensorId => 's' . $_ % 3, at => sprintf('2024-05-01T10:%02d:00.%06dZ', $_, $_), value => "$_.125", status => (qw(OK WARNING ERROR))[ $_ % 3 ] } } 1 .. 30;
stream('readings', 0, @readings[ 0 .. 19 ], @readings[ 3 .. 5 ]);
wait_for_offset($node, 'live_reading', 23, db => $db);
my $sums = 'SELECT count(*), sum(value), count(*) FILTER (WHERE source = $$speed$$) FROM readings';
is($node->safe_psql($db, $sums), '20|212.500|20', 'events of sensors are readings');
land('readings/2024-05-01.csv', join "\n", 'sensor_id,at,value,status', (map { join ',', @$_{qw(sensorId at value status)} } @readings[ 10 .. 29 ]), '');
$node->safe_psql($db, 'CALL txpipe.run_hourly()');
is($node->safe_psql($db, $sums), '30|468.750|10', 'the file replaces those it has, and brings others');
$node->safe_psql($db, 'SELECT txpipe.unload(file_id) FROM txpipe.file');
is($node->safe_psql($db, $sums), '20|212.500|20', 'taken back it gives way to them');

# --- both kinds in random order, and a reader ---

start_warehouse('mixed');
sql(q{SELECT txpipe.create_live_sales('shop', 'mixed', options => '{"batch_rows": 40}')});
my $groups = $ENV{TXPIPE_TEST_LONG} ? 60 : 14;
my @sales  = map { a_sale("s$_") } 1 .. 45 * $groups;
my %sale   = map { $_->{id} => $_ } @sales;
# Each sale in a group of its own, some in a second one, too.
my @group;
push @{ $group[ rand $groups ] }, $_ foreach @sales, (shuffle @sales)[ 0 .. @sales / 8 ];
push @$_, $sales[ rand @sales ] foreach grep { !@$_ } map { $group[$_] //= [] } 0 .. $groups - 1;

# A statement that was planned before a month was there does not see its sales, whatever its snapshot.
sql(q{SELECT dwh.create_months('{2023-01-01,2023-02-01,2023-03-01}')});

my $query = q{SELECT count(*), count(DISTINCT transaction_id), sum(units), sum(total_paid), count(*) FILTER (WHERE source = 'speed'),
	(SELECT sum(r.units) || ' ' || sum(r.total_paid) FROM txpipe.top_products(top_n => NULL, source => 'unified') r), string_agg(transaction_id || '=' || total_paid, ' ') FROM dwh.sales};
my $base = PostgreSQL::Test::Utils::tempdir();
append_to_file("$base/watch.sql", $query =~ s/\n\s*/ /gr . " \\watch 0.02\n");
my $reader = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($db), '-f', "$base/watch.sql" ], '>', "$base/watch.out", '2>', "$base/watch.err");
wait_until('the reader reads', sub { -s "$base/watch.out" });

# Every sale is streamed, some more than once; groups are delivered; some are taken back once all their sales are streamed.
my @events = shuffle @sales, (shuffle @sales)[ 0 .. @sales / 5 ];
my @doings = map { [ load => $_ ] } 0 .. $groups - 1;
push @doings, [ stream => [ splice @events, 0, 10 + rand 40 ] ] while @events;
@doings = shuffle @doings;
splice @doings, @doings * (0.3 + rand 0.3), 0, [ 'take_back' ] foreach 1 .. 4;
splice @doings, @doings * (0.7 + rand 0.3), 0, [ 'prune' ] foreach 1 .. 4;
splice @doings, @doings * 0.5, 0, [ 'compare' ];
my (@there, %done, $pruned);
foreach my $doing (@doings)
{
	my ($what, $about) = @$doing;

	$done{$what}++;
	if ($what eq 'load')
	{
		land_sales("group$about", map { line_of($_) } shuffle @{ $group[$about] });
		run_hourly();
		push @there, $about;
	}
	elsif ($what eq 'stream')
	{
		stream('mixed', int rand 3, map { event_of($_) } @$about);
		streamed('mixed') if rand() < 0.3;
	}
	elsif ($what eq 'take_back' && @there && !$pruned)
	{
		my $group = $there[ rand @there ];
		my $file  = sql("SELECT file_id FROM txpipe.file WHERE feed = 'sales_transactions' AND group_key = 'group$group'");

		stream('mixed', int rand 3, map { event_of($_) } @{ $group[$group] });
		streamed('mixed');
		sql("SELECT txpipe.unload($file)");
		sql('SELECT count(*) FROM dwh.sales');
		sql("SELECT txpipe.reload($file)");
		$done{taken_back}++;
	}
	elsif ($what eq 'compare')
	{
		streamed('mixed');
		cmp_ok(sql(q{SELECT least(count(*) FILTER (WHERE source = 'speed'), count(*) FILTER (WHERE source = 'batch')) FROM dwh.sales}), '>', 0,
			'there are sales of both kinds');
		is(join("\n", compare_reports()), '', 'reports of the unified view are those of its sales');
		is(sql(q{SELECT sum(total_paid) FROM txpipe.top_products(top_n => NULL)}), sql('SELECT sum(total_paid) FROM dwh.fact_sales'),
			'unasked they are those of the files');
	}
	elsif ($what eq 'prune')
	{
		$done{pruned} += sql(q{SELECT dwh.prune_live_sales('0')});
		$pruned = 1;
	}
}
streamed('mixed');
my $last = sql($query);
is(sql(q{SELECT count(*) FROM txpipe.file WHERE state <> 'loaded' AND feed = 'sales_transactions'}), '0', 'all files are loaded');
is(sql('SELECT count(*) FROM dwh.sales_reconciliation'), '0', 'at the end nothing is left to reconcile');
$reader->signal('TERM');
$reader->finish;
cmp_ok($done{taken_back} // 0, '>', 0, 'files were taken back');
cmp_ok($done{pruned}, '>', 0, 'confirmed rows were deleted');

my @reads = grep { /^\d+\|/ } split /\n/, slurp_file("$base/watch.out");
pop @reads;    # it may have been cut off
push @reads, $last;
my (%seen, @wrong, $partial, $both);
foreach my $read (@reads)
{
	my ($count, $distinct, $units, $paid, $speed, $report, $list) = split /\|/, $read;
	my %now = map { split /=/ } split / /, $list // '';

	push @wrong, "$count rows of $distinct sales" if $count != $distinct;
	my @gone = grep { !exists $now{$_} } keys %seen;
	push @wrong, "gone: @gone[0 .. ($#gone > 4 ? 4 : $#gone)]" if @gone;
	push @wrong, map { "$_ paid $now{$_}" } grep { $now{$_} =~ s/\.//r != $sale{$_}{paid} || $now{$_} !~ /\.\d{4}$/ } keys %now;
	push @wrong, "report $report, not $units $paid" if $report ne ($count ? "$units $paid" : '');
	push @wrong, "sum $paid" if %now && $paid =~ s/\.//r != sum0 map { $sale{$_}{paid} } keys %now;
	push @wrong, "units $units" if %now && $units != sum0 map { $sale{$_}{units} } keys %now;
	$seen{$_} = 1 foreach keys %now;
	$partial++ if $count > 0 && $count < @sales;
	$both++ if $speed > 0 && $speed < $count;
}
is(scalar keys %seen, scalar @sales, 'in the end every sale is there');
is(scalar @wrong, 0, 'no reader saw a gap, a double or other money, in ' . @reads . ' reads') or diag(join "\n", @wrong > 9 ? @wrong[ 0 .. 9 ] : @wrong);
cmp_ok($partial, '>', 20, "$partial of them while sales arrived");
cmp_ok($both, '>', 10, "$both of them with sales of both kinds");

# --- who may ---

sql(q{CREATE ROLE analyst; SELECT txpipe.grant_reader('analyst'); CREATE ROLE other; GRANT USAGE ON SCHEMA txpipe TO other;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA txpipe TO other});
is(sql('SET ROLE analyst; SELECT count(*), sum(total_paid) = (SELECT sum(total_paid) FROM dwh.fact_sales) FROM dwh.sales'), scalar(@sales) . '|t',
	'a reader reads the unified view');
is(sql('SET ROLE analyst; SELECT count(*) FROM dwh.sales_reconciliation'), '0', 'and the reconciliation');
is(sql(q{SET ROLE analyst; SELECT sum(total_paid) = (SELECT sum(total_paid) FROM dwh.sales) FROM txpipe.top_products(top_n => NULL, source => 'unified')}), 't',
	'and reports over it');
is(error_of($node, "SELECT * FROM txpipe.top_products(source => 'speed')", db => $db)->{message}, q{source must be batch or unified, not 'speed'},
	'a report has two sources');
is(error_of($node, 'SET ROLE analyst; SELECT email FROM dwh.sales', db => $db)->{state}, '42501', 'but no names');
is(error_of($node, "SET ROLE other; SELECT txpipe.create_live_sales('shop', 'mixed')", db => $db)->{state}, '42501', 'live sales are for the owner of dwh');
is(sql('SET ROLE other; SELECT txpipe.prune_live_sales()'), '0', 'housekeeping of others leaves them alone');
$node->safe_psql('postgres', 'CREATE DATABASE empty');
$node->safe_psql('empty', 'CREATE EXTENSION txpipe');
is(error_of($node, "SELECT txpipe.create_live_sales('shop', 'mixed')", db => 'empty')->{state}, '42P01', 'there is no warehouse');

# What is streamed outlives the extension, as all of dwh.
sql(q{SELECT txpipe.drop_stream('live_sales'); DROP EXTENSION txpipe CASCADE});
is(sql('SELECT count(*) FROM dwh.sales'), scalar @sales, 'without the extension the view is there');

log_is_clean($node, qr/connection to client lost|relation "txpipe\.\w+" does not exist|source must be|permission denied|belongs to role|there is no warehouse|column "email"/);
done_testing();
