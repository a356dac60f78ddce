# Brokers that are away, topics that are missing or forbidden: each stream shows what is wrong in the brokers' words,
# tries again at growing intervals, goes on by itself when it is over, and disturbs nobody.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeTest;

my $broker = start_broker('well:1', 'forbidden:1');
my $other  = start_broker('other:1');
my $node   = new_node('troubles', conf => "txpipe.max_workers = 1\n");
start_node($node);
kafka_server($node, 'shop',  $broker);
kafka_server($node, 'other', $other);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub create
{
	my ($stream, $server, $topic) = @_;

	sql("CREATE TABLE $stream (n int)");
	# Created paused, nobody asks the brokers before it is resumed.
	sql("SELECT txpipe.create_stream('$stream', '$server', '$topic', '$stream', paused => true)");
	sql("SELECT txpipe.resume_stream('$stream')");
	return;
}

sub shows
{
	my ($stream, $reason) = @_;

	wait_for($node, "SELECT state = 'error' AND reason ~ '$reason' AND last_error = reason
		AND last_error_at > now() - interval '5 min' FROM txpipe.stream_status WHERE stream = '$stream'", "$stream shows: $reason");
	pass("$stream shows: $reason");
	return;
}

sub goes_on
{
	my ($stream, $rows) = @_;

	wait_for($node, "SELECT state = 'running' AND reason IS NULL AND (SELECT count(*) = $rows FROM $stream)
		FROM txpipe.stream_status WHERE stream = '$stream'", "$stream goes on");
	is(sql("SELECT count(*), count(DISTINCT n) FROM $stream"), "$rows|$rows", "$stream goes on by itself, nothing lost or double");
	return;
}

create('well',  'shop',  'well');
create('other', 'other', 'other');
produce_lines($broker, 'well',  0, '{"n": 1}');
produce_lines($other,  'other', 0, '{"n": 1}');
goes_on($_, 1) for 'well', 'other';
my $worker = worker_pid($node);
my $child  = child_pid($worker);

# --- a topic that is not there, and one that is not for us ---

create('missing', 'shop', 'missing');
shows('missing', '^42704: .*topic.*missing');
topic_control($broker, 'topic-error forbidden 29');
create('forbidden', 'shop', 'forbidden');
shows('forbidden', '^42501: .*forbidden');

# The first tries come after 1, 2 and 4 seconds.
my $tries = sql(q{SELECT restarts FROM txpipe.stream_status WHERE stream = 'missing'});
my $start = time();
wait_for($node, "SELECT restarts >= $tries + 2 FROM txpipe.stream_status WHERE stream = 'missing'", 'it is tried again');
cmp_ok(time() - $start, '>', 2, 'at growing intervals');
is( sql(q{SELECT string_agg(event, ' ') FROM txpipe.stream_event WHERE stream = 'missing' AND event <> 'resumed'}),
	'error', 'and logged once');

# --- meanwhile the brokers of two streams go away ---

topic_control($broker, 'down 1');
shows('well', '^08006: .*do not answer');
produce_lines($other, 'other', 0, '{"n": 2}');
goes_on('other', 2);

topic_control($broker, 'up 1');
produce_lines($broker, 'well', 0, '{"n": 2}', '{"n": 3}');
goes_on('well', 3);
topic_control($broker, 'topic missing 1');
topic_control($broker, 'topic-error forbidden 0');
produce_lines($broker, $_, 0, '{"n": 1}') for 'missing', 'forbidden';
goes_on($_, 1) for 'missing', 'forbidden';

# A stream that is resumed while it is put off tries at once.
topic_control($broker, 'down 1');
create('late', 'shop', 'well');
wait_for($node, q{SELECT restarts >= 2 FROM txpipe.stream_status WHERE stream = 'late'}, 'the next try is seconds away');
topic_control($broker, 'up 1');
sql(q{SELECT txpipe.resume_stream('late')});
goes_on('late', 3);

is(worker_pid($node), $worker, 'the same worker all the time');
is(child_pid($worker), $child, 'with the same child');
wait_for($node, q{SELECT string_agg(DISTINCT event, ' ') = 'recovered' FROM (SELECT DISTINCT ON (stream) event
		FROM txpipe.stream_event WHERE event IN ('error', 'recovered') AND stream <> 'late'
		ORDER BY stream, stream_event_id DESC) s},
	'the end of each trouble is logged');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/);
stop_broker($_) for $broker, $other;
done_testing();
