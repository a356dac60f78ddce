# What people see of a stream while it works: how fast it is, and what went wrong, once each.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('fast:2', 'ill:1', 'slow:2');
my $node   = new_node('status');
start_node($node);
kafka_server($node, 'shop', $broker);

# --- rates, against what was sent ---

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE fast (n int);
SELECT txpipe.create_stream('fast', 'shop', 'fast', 'fast');
SQL
my @lines = map { "{\"n\": $_}" } 1 .. 500;
my $bytes = length join '', @lines;
produce_lines($broker, 'fast', 0, @lines[ 0 .. 299 ]);
produce_lines($broker, 'fast', 1, @lines[ 300 .. 499 ], '{"n": "many"}');
$bytes += length '{"n": "many"}';

my $rates = q{SELECT rows_per_second_10, bytes_per_second_10 FROM txpipe.stream_status WHERE stream = 'fast'};
wait_for($node, $rates, 'all of it was in the last ten seconds', value => sprintf('%.1f|%.1f', 50, $bytes / 10));
is( $node->safe_psql('postgres',
		q{SELECT bytes_total, rows_total, dead_letters_total, open_dead_letters FROM txpipe.stream_status WHERE stream = 'fast'}),
	"$bytes|500|1|1", 'totals are what was sent');
wait_for($node, $rates, 'and is over', value => '0.0|0.0');
$node->safe_psql('postgres', q{UPDATE txpipe.dead_letter_store SET state = 'dismissed'});
is($node->safe_psql('postgres', q{SELECT dead_letters_total, open_dead_letters FROM txpipe.stream_status}),
	'1|0', 'a dead letter that was dismissed is not open');

# --- a stream reads no faster than it may, however many workers share it ---

$node->safe_psql('postgres', 'CREATE TABLE slow (n int, at timestamptz DEFAULT clock_timestamp())');
for my $options ('{"rows_per_second": 100}', '{"rows_per_second": 100, "workers": 2}', '{"bytes_per_second": 1400, "workers": 2}')
{
	# Messages of 14 bytes: 400 of them, of which the first 100 may come at once.
	$node->safe_psql('postgres', qq{TRUNCATE slow;
		SELECT txpipe.create_stream('slow', 'shop', 'slow', 'slow', columns => '{"n": "n"}', start_at => 'latest', options => '$options')});
	wait_for($node, qq{SELECT workers = coalesce((o->>'workers')::int, 1) AND (SELECT count(*) = 2 FROM txpipe.stream_partition WHERE stream = 'slow')
		FROM txpipe.stream_status, (SELECT '$options'::jsonb AS o) o WHERE stream = 'slow'}, 'it is served');
	produce_lines($broker, 'slow', $_, map { sprintf '{"n": %7d}', $_ } 1 .. 200) for 0, 1;
	wait_for($node, 'SELECT count(*) = 400 FROM slow', 'all is read');
	my $seconds = $node->safe_psql('postgres', 'SELECT extract(epoch FROM max(at) - min(at)) FROM slow');
	cmp_ok($seconds, '>', 2.8, "$options: 300 messages take three seconds");
	cmp_ok($seconds, '<', 6,   'and not much more');
	$node->safe_psql('postgres', q{SELECT txpipe.drop_stream('slow')});
}

# --- an error is logged when it comes, when it changes, and when it is over ---

my $events = q{SELECT string_agg(event || ' ' || substr(message, 1, 5), ', ' ORDER BY stream_event_id)
	FROM txpipe.stream_event WHERE stream = 'ill' AND event IN ('error', 'recovered')};

sub events_are
{
	my ($like, $what) = @_;

	return ok(wait_for($node, "SELECT ($events) ~ '^$like\$'", $what), $what);
}

sub tries
{
	my ($more) = @_;
	my $now = $node->safe_psql('postgres', q{SELECT restarts FROM txpipe.stream_status WHERE stream = 'ill'});

	wait_for($node, "SELECT restarts >= $now + $more FROM txpipe.stream_status WHERE stream = 'ill'", "it tries $more times");
	return;
}

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE ill (n int);
SELECT txpipe.create_stream('ill', 'shop', 'ill', 'ill');
SQL
wait_for($node, q{SELECT workers = 1 FROM txpipe.stream_status WHERE stream = 'ill'}, 'it is served');
$node->safe_psql('postgres', 'ALTER TABLE ill DROP COLUMN n');
produce_lines($broker, 'ill', 0, '{"n": 1}');
tries(2);
like($node->safe_psql('postgres', $events), qr/^error \w{5}$/, 'an error is logged once, however often it is met');
$node->safe_psql('postgres', 'ALTER TABLE ill RENAME TO away');
events_are('error \w{5}, error 42P01', 'another error is logged');
$node->safe_psql('postgres', 'ALTER TABLE away ADD n int; ALTER TABLE away RENAME TO ill');
wait_for($node, q{SELECT count(*) = 1 FROM ill}, 'it goes on');
events_are('error \w+, error \w+, recovered runs ', 'and so is its end');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/);
stop_broker($broker);
done_testing();
