# SQL on every batch of a stream. What tables shall hold is computed here from the messages.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my @topics = qw(orders);
my $broker = start_broker(map { "$_:1" } @topics);
my $node   = new_node('steps');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# --- several steps, in order, with a look-up and a fan-out ---

sql(<<'SQL');
CREATE TABLE orders (id int PRIMARY KEY, customer int, amount numeric(10,2) CHECK (amount < 1000));
CREATE TABLE customers (customer int PRIMARY KEY, segment text);
INSERT INTO customers SELECT g, CASE WHEN g % 3 = 0 THEN 'gold' ELSE 'plain' END FROM generate_series(0, 9) g;
CREATE TABLE by_segment (segment text PRIMARY KEY, orders bigint, amount numeric);
CREATE TABLE trail (n bigserial, what text, kafka_partition int, kafka_offset bigint, topic text, at timestamptz, known bigint);
SELECT txpipe.create_stream('orders', 'shop', 'orders', 'orders', paused => true, options => '{"batch_rows": 100}');
SELECT txpipe.on_batch('orders', 'sums', $$
    INSERT INTO public.by_segment AS t
    SELECT c.segment, count(*), sum(b.amount) FROM batch b JOIN public.customers c USING (customer) GROUP BY 1
    ON CONFLICT (segment) DO UPDATE SET orders = t.orders + excluded.orders, amount = t.amount + excluded.amount $$);
SELECT txpipe.on_batch('orders', 'before', $$
    INSERT INTO public.trail (what, kafka_partition, kafka_offset, topic, at, known)
    SELECT 'before', kafka_partition, kafka_offset, kafka_topic, kafka_timestamp, (SELECT count(*) FROM public.orders o WHERE o.id = b.id) FROM batch b $$, -10);
SELECT txpipe.on_batch('orders', 'behind', $$
    INSERT INTO public.trail (what, kafka_partition, kafka_offset, topic, at, known)
    SELECT 'behind', kafka_partition, kafka_offset, kafka_topic, kafka_timestamp, (SELECT count(*) FROM public.orders o WHERE o.id = b.id) FROM batch b $$);
SQL
my (%orders, %amount);
my @messages;
srand 36;
for my $id (1 .. 1000)
{
	my $customer = int rand 10;
	my $cents    = int rand 90000;

	push @messages, sprintf '{"id": %d, "customer": %d, "amount": %.2f}', $id, $customer, $cents / 100;
	my $segment = $customer % 3 ? 'plain' : 'gold';
	$orders{$segment}++;
	$amount{$segment} += $cents;
}
produce_lines($broker, 'orders', 0, @messages);
sub by_segment
{
	return join "\n", map { sprintf '%s|%d|%.2f', $_, $orders{$_}, $amount{$_} / 100 } sort keys %orders;
}
sql(q{CALL txpipe.consume('orders', 7)});
is(sql('SELECT count(*) FROM orders'), 7, 'consume() writes a batch');
is(sql('SELECT sum(orders) FROM by_segment'), 7, '... and runs the steps');
sql(q{SELECT txpipe.resume_stream('orders')});
wait_for_offset($node, 'orders', 1000);
is(sql('SELECT * FROM by_segment ORDER BY 1'), by_segment(), 'sums by segment, over a join');
is(sql('SELECT what, known, count(*), min(kafka_offset), max(kafka_offset), count(DISTINCT kafka_offset), min(topic), count(at)
	FROM trail GROUP BY 1, 2 ORDER BY 1'),
	"before|0|1000|0|999|1000|orders|1000\nbehind|1|1000|0|999|1000|orders|1000",
	'steps with negative ordinals run before the insert, the others behind it');
is(sql("SELECT step, ordinal, on_error, calls_total > 10, rows_total, seconds_total > 0, last_ms > 0, errors_total, last_error, sql LIKE '%batch%'
	FROM txpipe.stream_step WHERE stream = 'orders' ORDER BY ordinal"),
	"before|-10|stop|t|1000|t|t|0||t\n" . "sums|100|stop|t|" . sql("SELECT rows_total FROM txpipe.stream_step WHERE step = 'sums'")
	. "|t|t|0||t\nbehind|200|stop|t|1000|t|t|0||t", 'stream_step counts');

log_is_clean($node);
done_testing();
