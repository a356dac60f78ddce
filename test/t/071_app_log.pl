# create_app_log_analytics(): what is asked of an event log. What its views shall say is computed here, from the events that are
# sent: in any order, late, with new types and fields, damaged, before and after the analyses are created.
use strict;
use warnings;

use List::Util qw(shuffle sum0);
use POSIX      qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('app_logs:4', 'other_logs:1');
my $node   = new_node('app_log');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# --- events; a time is seconds since the beginning of 2026-03-07, UTC ---

my $midnight = 1772841600;
my @types    = (('productView') x 5, ('addToCart') x 3, ('purchase') x 2, 'recommendationClick');
our @events;
srand 71;

sub stamp { return strftime('%Y-%m-%dT%H:%M:%S', gmtime($midnight + $_[0])); }
sub shown { return strftime('%Y-%m-%d %H:%M:%S+00', gmtime($midnight + $_[0])); }
sub one_of { return $_[ rand @_ ]; }

sub random_event
{
	my ($at) = @_;
	my %e = (type => one_of(@types), at => $at, customer => sprintf('%05d', 10000 + int rand 90), product => sprintf('%04d', 1001 + int(rand(8) * rand(8))));

	@e{qw(category source)} = (one_of('Electronics', 'Home & Kitchen', 'Books'), one_of(qw(Search Direct))) if $e{type} eq 'productView';
	$e{quantity} = 1 + int rand 5 if $e{type} =~ /addToCart|purchase/;
	@e{qw(cents method)} = (1000 + int rand 49000, one_of('Credit Card', 'Debit Card', 'PayPal')) if $e{type} eq 'purchase';
	@e{qw(recommended algorithm)} = ('1001', one_of(qw(collaborative_filtering content_based content_based))) if $e{type} eq 'recommendationClick';
	return \%e;
}

sub message
{
	my ($e) = @_;
	my @fields = (qq("eventType": "$e->{type}"), sprintf '"timestamp": "%s"', stamp($e->{at}));

	push @fields, qq("customerId": "$e->{customer}") if defined $e->{customer};
	push @fields, qq("productId": "$e->{product}") if defined $e->{product};
	push @fields, qq("quantity": $e->{quantity}) if defined $e->{quantity};
	push @fields, sprintf '"totalAmount": %.2f, "paymentMethod": "%s"', $e->{cents} / 100, $e->{method} if defined $e->{cents};
	push @fields, qq("recommendedProductId": "$e->{recommended}", "algorithm": "$e->{algorithm}") if defined $e->{algorithm};
	push @fields, $e->{more} if defined $e->{more};
	return sprintf '{%s, "metadata": {%s}}', join(', ', @fields), defined $e->{category} ? qq("category": "$e->{category}", "source": "$e->{source}") : '';
}

# Sends events over the partitions, in this order.
sub send_events
{
	my @lines;

	push @events, grep { ref } @_;
	push @{ $lines[ int rand 4 ] }, ref $_ ? message($_) : $_ for @_;
	produce_lines($broker, 'app_logs', $_, @{ $lines[$_] // [] }) for 0 .. 3;
	return;
}

# --- what the views shall say ---

sub sorted { return join "\n", sort @_; }

# Counts, pieces and cents of the events of a type, by a key that the code makes of the event; undef leaves it out.
sub summed
{
	my ($type, $key_of) = @_;
	my %sums;

	for my $e (grep { $_->{type} =~ /^(?:$type)$/ } @events)
	{
		my $key = $key_of->($e) // next;
		$sums{$key}{n}++;
		$sums{$key}{units} += $e->{quantity} // 0;
		$sums{$key}{cents} += $e->{cents} // 0;
	}
	return \%sums;
}

sub share { return sprintf '%.2f', 100 * $_[0] / $_[1] + 1e-9; }
sub span { my ($e, $width) = @_; my $start = $e->{at} - $e->{at} % $width; return join '|', shown($start), shown($start + $width); }

sub expected_events_per_type
{
	my $sums = summed('.*', sub { span($_[0], 600) . "|$_[0]{type}" });

	return sorted(map { "$_|$sums->{$_}{n}" } keys %$sums);
}

sub expected_top_viewed
{
	my $sums = summed('productView', sub { defined $_[0]{product} ? span($_[0], 1800) . "|$_[0]{product}" : undef });
	my (%of_span, @lines);

	for (keys %$sums)
	{
		my ($span, $product) = /^(.*)\|(.*)$/;
		$of_span{$span}{$product} = $sums->{$_}{n};
	}
	for my $span (keys %of_span)
	{
		my $views = $of_span{$span};
		for my $product (keys %$views)
		{
			my $rank = 1 + grep { $_ > $views->{$product} } values %$views;
			push @lines, "$span|$rank|$product|$views->{$product}" if $rank <= 5;
		}
	}
	return sorted(@lines);
}

sub expected_hourly_sales
{
	my $sums = summed('purchase', sub { shown($_[0]{at} - $_[0]{at} % 3600) });

	return sorted(map { my $s = $sums->{$_}; sprintf '%s|%d|%d|%.2f|%.2f', $_, $s->{n}, $s->{units}, $s->{cents} / 100,
		int($s->{cents} / $s->{n} + 0.5) / 100 } keys %$sums);
}

sub expected_payment_methods
{
	my $sums = summed('purchase', sub { $_[0]{method} // '' });
	my $all  = sum0(map { $_->{cents} } values %$sums);

	return sorted(map { my $s = $sums->{$_}; sprintf '%s|%d|%d|%.2f|%s', $_, $s->{n}, $s->{units}, $s->{cents} / 100, share($s->{cents}, $all) } keys %$sums);
}

sub expected_cart_purchase
{
	my %of = map { $_ => summed($_, sub { $_[0]{product} }) } qw(addToCart purchase);
	my %products = map { $_ => 1 } map { keys %$_ } values %of;

	return sorted(map {
		my ($cart, $bought) = map { $_ // { n => 0, units => 0, cents => 0 } } $of{addToCart}{$_}, $of{purchase}{$_};
		sprintf '%s|%d|%d|%d|%d|%s|%s', $_, @$cart{qw(n units)}, @$bought{qw(n units)},
		  amount($bought->{cents}), $cart->{n} ? share($bought->{n}, $cart->{n}) : '' } keys %products);
}

sub expected_clicks
{
	my $sums = summed('recommendationClick', sub { $_[0]{algorithm} });
	my $all  = sum0(map { $_->{n} } values %$sums);

	return sorted(map { "$_|$sums->{$_}{n}|" . share($sums->{$_}{n}, $all) } keys %$sums);
}

sub customers
{
	my (%customers, @buyers);

	for my $e (grep { defined $_->{customer} } @events)
	{
		my $c = $customers{ $e->{customer} } //= { map({ $_ => 0 } qw(events productView addToCart purchase cents)), first => $e->{at}, last => $e->{at} };
		$c->{events}++;
		$c->{ $e->{type} }++;
		$c->{cents} += $e->{cents} // 0;
		$c->{first} = $e->{at} if $e->{at} < $c->{first};
		$c->{last}  = $e->{at} if $e->{at} > $c->{last};
	}
	@buyers = grep { $_->{purchase} > 0 } values %customers;
	for my $c (values %customers)
	{
		# More purchases than at least half of those who bought; fewer than a quarter paid more.
		my $frequent = 2 * (grep { $_->{purchase} < $c->{purchase} } @buyers) >= @buyers;
		my $top      = 4 * (grep { $_->{cents} > $c->{cents} } @buyers) < @buyers;
		$c->{segment} = !$c->{purchase} ? $c->{addToCart} ? 'cart_only' : 'visitor'
		  : $frequent ? $top ? 'champion' : 'loyal' : $top ? 'big_spender' : 'occasional';
	}
	return \%customers;
}

sub amount { return sprintf '%.2f', $_[0] / 100; }

sub expected_customers
{
	my $customers = customers();

	return sorted(map { my $c = $customers->{$_}; join '|', $_, @$c{qw(events productView addToCart purchase)}, amount($c->{cents}),
		shown($c->{first}), shown($c->{last}), $c->{segment} } keys %$customers);
}

sub expected_segments
{
	my %segments = map { $_ => { n => 0, purchase => 0, cents => 0 } } qw(visitor cart_only occasional big_spender loyal champion);

	for my $c (values %{ customers() })
	{
		my $s = $segments{ $c->{segment} };
		$s->{n}++;
		$s->{$_} += $c->{$_} for qw(purchase cents);
	}
	return sorted(map { my $s = $segments{$_}; join '|', $_, @$s{qw(n purchase)}, amount($s->{cents}) } keys %segments);
}

my %expected = (
	events_per_type => \&expected_events_per_type,
	top_viewed      => \&expected_top_viewed,
	hourly_sales    => \&expected_hourly_sales,
	payment_methods => \&expected_payment_methods,
	cart_purchase   => \&expected_cart_purchase,
	clicks          => \&expected_clicks,
	customers       => \&expected_customers,
	segments        => \&expected_segments);

sub all_is_right
{
	my ($when) = @_;

	is(sorted(split /\n/, sql("TABLE app_log_$_")), $expected{$_}->(), "$_, $when") for sort keys %expected;
	return;
}

# --- from nothing ---

send_events(map { random_event(36000 + $_ * 12) } 0 .. 599);
sql(q{SELECT txpipe.create_app_log_analytics('shop', 'app_logs', paused => true, options => '{"batch_rows": 50}')});
{
	local @main::events = ();
	all_is_right('before there is anything');
}
sql(q{CALL txpipe.consume('app_log', 600)}) for 1 .. 4;
wait_for_offset($node, 'app_log', 600);
all_is_right('of events in the order of their times');

# --- any order, late, of other days, new types and fields, what is damaged ---

my @odd = (
	{ type => 'login', at => 40000, customer => '10001', more => '"device": {"os": "linux"}, "remember": true' },
	{ type => 'purchase', at => 40010, customer => '77777', product => '1001' },
	{ type => 'productView', at => 40020, customer => '88888' },
	{ type => 'addToCart', at => 40030, product => '9999', quantity => 2 },
	{ type => 'addToCart', at => 40030, customer => '66666', product => '9998', quantity => 2 },
	{ type => 'productView', at => 40030 + 365 * 86400 * 20, customer => '66666', product => '9998' },
	'{"eventType": "productView", "timestamp": "2026-03-07T25:00:00"}', '{"eventType": "purchase"', '{"timestamp": "2026-03-07T10:00:00"}');
send_events(shuffle @odd, map({ random_event(int rand 86400) } 1 .. 1500), map({ random_event(-86400 * int(rand 40) + int rand 86400) } 1 .. 300));
sql(q{SELECT txpipe.resume_stream('app_log')});
wait_for_offset($node, 'app_log', 600 + 1800 + @odd);
all_is_right('of events in any order, also of weeks ago');
is(sql(q{SELECT count(*), string_agg(DISTINCT code, ' ' ORDER BY code) FROM txpipe.dead_letter}), '3|bad_json missing_value out_of_range', 'what is damaged is a dead letter');
is(sql(q{SELECT other FROM app_log WHERE event_type = 'login'}), '{"device": {"os": "linux"}, "remember": true}', 'fields without a column are kept');
is(sql(q{SELECT string_agg(path, ' ' ORDER BY path) FROM txpipe.stream_field WHERE stream = 'app_log'}) =~ s/\bmetadata\b ?//r,
	'algorithm customerId device device.os eventType metadata.category metadata.source paymentMethod productId quantity recommendedProductId remember timestamp totalAmount',
	'... and listed');
is(sql(q{SELECT count(*) FROM app_log}), scalar @events, 'each event is there once');
ok(sql(q{SELECT min(late_rows) FROM txpipe.window}) > 100, '... also those that were late');

# --- the same, of the raw rows alone ---

is(sql(q{SELECT w.name, count(c.*) FROM txpipe.window w LEFT JOIN LATERAL txpipe.check_window(w.name) c ON true GROUP BY 1 ORDER BY 1}),
	"app_log_10min|0\napp_log_customer_day|0\napp_log_product_30min|0", 'the windows are what the table of events gives');
sub differences
{
	my ($view, $query) = @_;

	is(sql("SELECT count(*) FROM ((TABLE app_log_$view EXCEPT ALL ($query)) UNION ALL (($query) EXCEPT ALL TABLE app_log_$view)) d"), 0, "$view is a query over the events");
	return;
}
differences('events_per_type', q{SELECT date_bin('10 min', event_time, '2000-01-01 00:00Z') AS w, date_bin('10 min', event_time, '2000-01-01 00:00Z') + '10 min', event_type, count(*)
	FROM app_log GROUP BY w, event_type});
differences('hourly_sales', q{SELECT date_trunc('hour', event_time), count(*), coalesce(sum(quantity), 0), coalesce(sum(total_amount), 0), round(sum(total_amount) / count(*), 2)
	FROM app_log WHERE event_type = 'purchase' GROUP BY 1});
differences('clicks', q{SELECT algorithm, count(*), round(100.0 * count(*) / sum(count(*)) OVER (), 2) FROM app_log WHERE event_type = 'recommendationClick' GROUP BY 1});

# --- a worker that is killed ---

kill 'KILL', child_pid(worker_pid($node));
send_events(map { random_event(int rand 172800) } 1 .. 800);
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE $$txpipe worker%$$');
wait_for_offset($node, 'app_log', 600 + 1800 + @odd + 800);
all_is_right('after a child and a worker were killed');

# --- who reads ---

sql('CREATE ROLE analyst; GRANT SELECT ON app_log_events_per_type TO analyst');
is(sql('SET ROLE analyst; SELECT sum(events) FROM app_log_events_per_type'), scalar @events, 'readers need SELECT on a view and nothing else');
is(error_of($node, 'SET ROLE analyst; SELECT FROM app_log')->{state}, '42501', '... which does not show the events');
is(error_of($node, q{SET ROLE analyst; SELECT txpipe.create_app_log_analytics('shop', 'other_logs', 'theirs')})->{state}, '42501', 'creating them takes rights');

# --- another log, beside; names that are taken, too long, none ---

sql(q{CREATE SCHEMA "the ""other"" {one}"; SELECT txpipe.create_app_log_analytics('shop', 'other_logs', 'a "log" of {them}', target_schema => 'the "other" {one}')});
produce_lines($broker, 'other_logs', 0, map { message($_) } @events[ 0 .. 99 ]);
wait_for($node, q{SELECT sum(events) FROM "the ""other"" {one}"."a ""log"" of {them}_events_per_type"}, 'the other log is read', value => 100);
is(sql('SELECT sum(events) FROM app_log_events_per_type'), scalar @events, '... and not mixed up with the first');
is(error_of($node, q{SELECT txpipe.create_app_log_analytics('shop', 'app_logs')})->{state}, '42P07', 'a name is taken');
is(error_of($node, q{SELECT txpipe.create_app_log_analytics('shop', 'app_logs', repeat('n', 33))})->{state}, '22023', '... or too long');
is(error_of($node, q{SELECT txpipe.create_app_log_analytics('shop', 'app_logs', '')})->{state}, '22023', '... or none');
is(error_of($node, q{SET search_path = ''; SELECT txpipe.create_app_log_analytics('shop', 'app_logs', 'third')})->{state}, '3F000', 'without a schema there is no place for it');
is(sql(q{SELECT count(*) FROM pg_class c, pg_attribute a WHERE c.relname LIKE 'app\_log%' AND c.relkind = 'v' AND a.attrelid = c.oid AND a.attnum > 0
	AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)}), 0, 'every view and column is described');

log_is_clean($node, qr/terminating background worker|relation .* already exists|permission denied|name of at most 32 bytes|no schema has been/);
$node->stop;
done_testing();
