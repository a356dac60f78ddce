# The customer profile: kept by a stream and by files, joined by rules.
use strict;
use warnings;

use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('customers:1', 'pay:1');
my $node   = new_node('profile', conf => "txpipe.settle_time = 0\n");
start_node($node);
kafka_server($node, 'bank', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub deliver
{
	my ($name, @lines) = @_;
	my $path = $node->basedir . "/dirs/landing/$name";

	open my $fh, '>', $path or die "$path: $!";
	print $fh map { "$_\n" } @lines;
	close $fh;
	sql('CALL txpipe.run_hourly()');
	return;
}

sub profile { return sql('SELECT customer_id, opened_at, segment, home_city, home_latitude, amount_limit FROM customer_profile ORDER BY 1'); }

sql(q{SELECT txpipe.create_customer_profile('bank', 'customers', '^profile_(.*)\.csv$', paused => true)});
sql(<<'SQL');
CREATE TABLE pay (transaction_id text PRIMARY KEY, account_id text, event_time timestamptz, amount numeric(12,2));
SELECT txpipe.create_stream('pay', 'bank', 'pay', 'pay', paused => true);
SELECT txpipe.create_rule('over', 'pay', txpipe.rule_query('amount_over_limit', '{"limit": 500, "profile": "public.customer_profile"}'));
SQL

produce_lines($broker, 'customers', 0,
	'{"customerId": "c1", "openedAt": "2020-01-01T00:00:00Z", "segment": "gold", "homeCity": "Oslo", "homeLatitude": 59.9, "amountLimit": 1000}',
	'{"customer_id": "c2", "amount_limit": 100}',
	'{"customer_id": "c2", "segment": "plain", "amount_limit": 200.5}');
sql(q{CALL txpipe.consume('customer_profile')});
is(profile(), "c1|2020-01-01 00:00:00+00|gold|Oslo|59.9|1000.00\nc2||plain|||200.50", 'a stream keeps it, the last message counts');

deliver('profile_1.csv', 'customer_id,amount_limit,segment', 'c2,300,', 'c3,50,new', 'c3,,newer', 'c1,,', ',7,nobody', 'c4,-1,refused');
is( profile(),
	"c1|2020-01-01 00:00:00+00|gold|Oslo|59.9|1000.00\nc2||plain|||300.00\nc3||newer|||50.00",
	'a file changes what it says, and nothing else');
is(sql(q{SELECT string_agg(line_no || ' ' || code, ', ' ORDER BY line_no) FROM txpipe.rejected_row}), '6 missing_value, 7 23514',
	'what is no profile is a rejected line');

my %limit  = (c1 => 1000, c2 => 300, c3 => 50, c5 => 500);
my $n      = 0;
my @pays   = map { my $c = $_; map { [ 'p' . ++$n, $c, $limit{$c} + $_ ] } 0, 0.01 } sort keys %limit;
my @expect = map { "$_->[1]|$_->[0]" } grep { $_->[2] > $limit{ $_->[1] } } @pays;
produce_lines($broker, 'pay', 0,
	map { sprintf '{"transaction_id": "%s", "account_id": "%s", "event_time": "2024-03-01T00:00:00Z", "amount": %.2f}', @$_ } @pays);
sql(q{CALL txpipe.consume('pay')});
is(sql('SELECT subject, transaction_id FROM txpipe.alert ORDER BY 1'), join("\n", @expect), 'rules judge each customer by his own limit');

is(error_of($node, q{SELECT txpipe.create_customer_profile()})->{state}, '42P07', 'there is one already');
is(error_of($node, q{SELECT txpipe.create_customer_profile('bank', name => 'p')})->{state}, '22023', 'a server without a topic');
sql(q{CREATE ROLE maker; GRANT CREATE ON SCHEMA public TO maker;
	GRANT EXECUTE ON FUNCTION txpipe.create_customer_profile(text, text, text, text, name, boolean) TO maker;
	SET ROLE maker; SELECT txpipe.create_customer_profile(name => 'of "maker"')});
is(sql(q{SELECT tableowner FROM pg_tables WHERE tablename = 'of "maker"'}), 'maker', 'the table is the caller\'s, whatever its name');

log_is_clean($node, qr/038_customer_profile.*ERROR:  /);
done_testing();
