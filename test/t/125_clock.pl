# The clock of the server is set back, and forward, by hours while everything is at work: nothing stalls, nothing is lost or
# double, nothing is negative, and what is in the future is not deleted.
#
# The server's processes and txpipe_io see the time that test/preload/clock.c gives them. With TXPIPE_TEST_LONG=1 there are more steps.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeTest;

my $broker = start_broker('t:2', 'sent:1');
my $dir    = PostgreSQL::Test::Utils::tempdir();
my $clock  = "$dir/clock";
my $preload = preload_path('clock');
my $node   = new_node('clock', conf => "txpipe.settle_time = 300\nautovacuum = off\n",
	install_path => install_with_preload('clock', TXPIPE_CLOCK => $clock));
my $sent   = 0;
# What takes seconds must not take the hours of a step.
my $SOON = 30;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub send_some
{
	my ($what) = @_;

	for my $partition (0, 1)
	{
		produce_lines($broker, 't', $partition, map { '{"n": ' . ++$sent . '}' } 1 .. 200);
	}
	wait_for_offset($node, 't', $sent, timeout => $SOON);
	is(sql('SELECT count(*), count(DISTINCT n), max(n) FROM t'), "$sent|$sent|$sent", "$what: each message is a row once");
	return;
}

# All that is shown of time and rate is at least 0, while there is a lag.
sub nothing_is_negative
{
	my ($what) = @_;

	is(sql(q{SELECT count(*) FROM txpipe.stream_status WHERE lag_seconds < 0 OR lag_messages < 0 OR rows_per_second_1 < 0
		OR rows_per_second_10 < 0 OR bytes_per_second_1 < 0 OR bytes_per_second_10 < 0}), 0, "$what: no lag and no rate is negative");
	is(sql(q{SELECT count(*) FROM txpipe.metric WHERE value < 0 AND name !~ '_time(stamp)?_'}), 0, "$what: no metric is negative");
	return;
}

set_clock($clock, 0);
{
	local $ENV{LD_PRELOAD} = $preload;
	local $ENV{TXPIPE_CLOCK} = $clock;
	start_node($node);
}
my $started = sql(q{SELECT extract(epoch FROM clock_timestamp())});
cmp_ok(abs($started - time()), '<', 60, 'the server has the time of day');
kafka_server($node, 'shop', $broker);
sql(<<'SQL');
CREATE TABLE t (n int);
SELECT txpipe.create_stream('t', 'shop', 't', 't', options => '{"batch_rows": 50}');
CREATE TABLE item (id int, name text NOT NULL);
SELECT txpipe.create_feed('item', '(g[0-9]+)\.csv', 'item', options => '{"max_attempts": 20}');
SQL
send_some('at first');

sub deliver
{
	my ($name, $content) = @_;
	my $path = $node->basedir . "/dirs/landing/$name";

	open my $fh, '>', $path or die "$path: $!";
	print $fh $content;
	close $fh;
	return;
}

my @steps = ([ -3, 'three hours back' ], [ 2, 'five hours forward' ]);
push @steps, [ 0, 'back to the time of day' ], [ -12, 'half a day back' ], [ 12, 'a day forward' ] if $ENV{TXPIPE_TEST_LONG};
for my $step (@steps)
{
	my ($hours, $what) = @$step;
	my $group = 100 + $hours;

	# What has a time to wait for when the clock is set: a stream and a message without a topic, a group that failed.
	my $late = "late_$group";
	sql("CREATE TABLE $late (n int); SELECT txpipe.create_stream('$late', 'shop', '$late', '$late', paused => true); SELECT txpipe.resume_stream('$late')");
	wait_for($node, "SELECT state = 'error' AND restarts > 1 FROM txpipe.stream_status WHERE stream = '$late'", "$what: a stream has no topic");
	sql("SELECT txpipe.enqueue('shop', '$late', '{\"n\": 1}')");
	wait_for($node, 'SELECT count(*) > 0 FROM txpipe.outbox WHERE delivered_at IS NULL AND last_error IS NOT NULL', "$what: nor has a message");
	deliver("g$group.csv", "id,name\n$group,x\n");
	sql('ALTER TABLE item RENAME TO gone');
	$node->psql('postgres', 'CALL txpipe.run_hourly()');
	like(sql("SELECT state FROM txpipe.file WHERE group_key = 'g$group'"), qr/failed|waiting/, "$what: a group could not be loaded");
	sql('ALTER TABLE gone RENAME TO item');
	my $begun = time();
	my $peek = $node->background_psql('postgres', on_error_stop => 0);
	$peek->query_until(qr/begun/, "\\echo begun\nSELECT count(*) FROM txpipe.peek('shop', 't', start_at => 'latest', timeout => '2 s');\n\\echo ended\n");

	set_clock($clock, 3600 * $hours);
	my $now = sql(q{SELECT extract(epoch FROM clock_timestamp())});
	cmp_ok(abs($now - time() - 3600 * $hours), '<', 60, "$what: the server's clock was set");
	$peek->query_until(qr/ended/, "");
	$peek->quit;
	cmp_ok(time() - $begun, '<', $SOON, "$what: a call that waits ends in time");
	topic_control($broker, "topic $late 1");
	# Wakes nobody: what is put off comes by itself.
	wait_for($node, "SELECT count(*) = 1 FROM $late", "$what: the message is sent, and its stream goes on", timeout => $SOON);
	sql('CALL txpipe.run_hourly()');
	is(sql("SELECT count(*) FROM item WHERE id = $group"), 1, "$what: the group is loaded");
	$begun = time();
	deliver("g9$group.csv", "id,name\n9$group,x\n");
	sql('CALL txpipe.run_hourly()');
	is(sql("SELECT count(*) FROM item WHERE id = 9$group"), 1, "$what: a file that comes now is loaded");
	cmp_ok(time() - $begun, '<', $SOON, '... at once');
	send_some($what);
	nothing_is_negative($what);
	sql("SELECT txpipe.produce('shop', 'sent', '$what')");
	is(sql(q{SELECT value_text, abs(extract(epoch FROM kafka_timestamp - clock_timestamp())) < 60
		FROM txpipe.peek('shop', 'sent', 100) ORDER BY kafka_offset DESC LIMIT 1}), "$what|t", "$what: txpipe_io has that clock, too");

	# A batch under way, and its lag, in the hands of a new worker.
	my $worker = worker_pid($node);
	sql("SELECT pg_terminate_backend($worker)");
	wait_until('the worker has ended', sub { !process_lives($worker) });
	send_some("$what, with a new worker");
	my $kept = sql('SELECT count(*) FROM txpipe.batch_history');
	sql('SELECT txpipe.prune_streams()');
	is(sql("SELECT count(*) >= $kept FROM txpipe.batch_history"), 't', "$what: what was written in the future is kept");
	is(sql(q{SELECT ok FROM txpipe.check_setup() WHERE item = 'clock'}), $hours > 0 ? 't' : 'f',
		"$what: check_setup tells when there are times ahead of the clock");
	sql("SELECT txpipe.drop_stream('$late')");
}
my $files = 2 * @steps;
is(sql('SELECT count(*), count(DISTINCT id) FROM item'), "$files|$files", 'each file was loaded once');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/, qr/could not|relation "public.item"|target/);
stop_broker($broker);
done_testing();
