# A txpipe_io that does not answer, or that gets no memory: it is replaced within txpipe.child_timeout, whoever started it,
# nothing is lost or double, and who waits for it can be interrupted. 034_faults has children that die or talk nonsense.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeFiles;
use TxpipeTest;

my $broker = start_broker('t:1', 'wide:1', 'out:1', 'heavy:1');
my $node   = files_node('child');
my $sent   = 0;

kafka_server($node, 'shop', $broker);

sub patience
{
	my ($ms) = @_;

	sql("ALTER SYSTEM SET txpipe.child_timeout = $ms");
	$node->reload;
	wait_for($node, "SELECT current_setting('txpipe.child_timeout')::interval = '$ms ms'::interval", "the time-out is $ms ms");
	return;
}

sub send_some
{
	produce_lines($broker, 't', 0, map { '{"n": ' . ++$sent . '}' } 1 .. 100);
	return;
}

sub all_there
{
	my ($what) = @_;

	wait_for($node, q{SELECT state = 'running' AND reason IS NULL AND lag_messages = 0 AND rows_total = } . $sent
		  . q{ FROM txpipe.stream_status WHERE stream = 't'}, "all is read: $what");
	is(sql('SELECT count(*), count(DISTINCT n), max(n) FROM t'), "$sent|$sent|$sent", "each message is a row once: $what");
	return;
}

# The child of the only worker.
sub streams_child
{
	return wait_until('the worker has a child', sub { my $w = worker_pid($node); $w && child_pid($w) });
}

# Stops it, and returns its id when it stands still.
sub hang
{
	my ($pid) = @_;

	kill 'STOP', $pid;
	wait_until("$pid stands still", sub { slurp_file("/proc/$pid/stat") =~ /\) T / });
	return $pid;
}

sub wait_for_session
{
	my ($like, $what) = @_;

	wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '$like' AND pid <> pg_backend_pid() AND state = 'active'", $what);
	my $pid = sql("SELECT pid FROM pg_stat_activity WHERE query LIKE '$like' AND pid <> pg_backend_pid() AND state = 'active'");
	return wait_until('it has a child', sub { child_pid($pid) });
}

patience(1500);
sql(<<'SQL');
ALTER SYSTEM SET txpipe.max_workers = 1;
SELECT pg_reload_conf();
CREATE TABLE t (n int);
SELECT txpipe.create_stream('t', 'shop', 't', 't', options => '{"batch_rows": 20}');
SQL
my $checkpointer = checkpointer_pid($node);
send_some();
all_there('at first');

# --- one that answers is left alone, however little there is to say ---

my $child = streams_child();
my $since = time();
wait_until('it has been quiet for a while', sub { time() - $since > 4 });
is(streams_child(), $child, 'an idle child stays');

# --- of a stream worker ---

my $worker = worker_pid($node);
hang($child);
send_some();
my $start = time();
wait_for($node, q{SELECT last_error ~ '^08006: txpipe_io did not answer within txpipe.child_timeout \(1500 ms\) and was ended' FROM txpipe.stream_status},
	'the status says that it did not answer');
cmp_ok(time() - $start, '<', 15, 'within seconds');
ok(!process_lives($child), 'it was ended');
all_there('after a child that hung');
is(worker_pid($node), $worker, 'the worker is the same');
is(sql(q{SELECT string_agg(event, ' ' ORDER BY stream_event_id) FROM txpipe.stream_event WHERE event IN ('error', 'recovered')}),
	'error recovered', 'both are events');

# --- one that does not even take what it is told: the worker waits to send, in a transaction ---

sql(<<'SQL');
CREATE TABLE wide (a text);
SELECT txpipe.create_stream('wide', 'shop', 'wide', 'wide', paused => true,
	columns => jsonb_build_object('a', jsonb_build_object('path', 'a', 'default', repeat('x', 600000))));
SQL
$child = hang(streams_child());
sql(q{SELECT txpipe.resume_stream('wide')});
produce_lines($broker, 'wide', 0, '{"b": 1}');
wait_for($node, 'SELECT count(*) = 1 AND min(length(a)) = 600000 FROM wide', 'a stream that was to be opened in it is read');
ok(!process_lives($child), '... by another one');
sql(q{SELECT txpipe.drop_stream('wide')});
send_some();
all_there('with another stream that waited to be opened');

# --- without a time-out: it is waited for, and who waits can be interrupted ---

patience(0);
$worker = worker_pid($node);
$child = hang(streams_child());
send_some();
$start = time();
sql(q{SELECT txpipe.pause_stream('t')});
wait_for($node, 'SELECT workers = 0 FROM txpipe.stream_status', 'a pause counts');
cmp_ok(time() - $start, '<', 15, '... at once');
wait_until('the worker, which has nothing to do, ends with its child', sub { !process_lives($worker) && !process_lives($child) });
sql(q{SELECT txpipe.resume_stream('t')});
all_there('after the pause');
$worker = worker_pid($node);
$child  = hang(streams_child());
sql("SELECT pg_terminate_backend($worker)");
wait_until('the worker ends when it is told so, with its child', sub { !process_lives($worker) && !process_lives($child) });
send_some();
all_there('after the end of the worker');

# --- of a session that loads files ---

my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(4711)');
sql(<<'SQL');
CREATE TABLE sales (id int, note text);
CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END';
CREATE TRIGGER gate AFTER INSERT ON sales FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate();
SELECT txpipe.create_feed('sales', 'sales_([0-9]+)\.csv', 'sales', options => '{"batch_rows": 100}');
SQL

sub lines
{
	my ($file) = @_;

	return join '', "id,note\n", map { sprintf "%d,%s\n", 10000 * $file + $_, 'x' x 100 } 1 .. 5000;
}

sub in_a_load
{
	my ($what) = @_;

	my $pid = wait_for_session('CALL txpipe.run_hourly%', "$what: run_hourly runs");
	wait_for($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted}, "$what: it is in a load");
	return hang($pid);
}

deliver('sales_1.csv', lines(1));
my $run = start_sql('CALL txpipe.run_hourly()');
$child = in_a_load('without a time-out');
$gate->query_safe('SELECT pg_advisory_unlock(4711)');
my $backend = sql(q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL txpipe.run_hourly%' AND state = 'active' AND pid <> pg_backend_pid()});
wait_for($node, "SELECT wait_event = 'Extension' FROM pg_stat_activity WHERE pid = $backend", 'it waits for the child that hangs');
sql("SELECT pg_cancel_backend($backend)");
$run->{run}->finish;
like($run->{err}, qr/canceling statement due to user request/, 'run_hourly can be cancelled');
ok(!process_lives($child), '... and its child ends');
is(sql('SELECT count(*) FROM sales'), 0, 'nothing of the file is there');

patience(1500);
$gate->query_safe('SELECT pg_advisory_lock(4711)');
$run = start_sql('CALL txpipe.run_hourly()');
$child = in_a_load('with a time-out');
$gate->query_safe('SELECT pg_advisory_unlock(4711)');
$run->{run}->finish;
ok(!process_lives($child), 'the child of run_hourly is ended');
is(sql('SELECT count(*) FROM sales'), 0, 'nothing of its file is there');
like(sql(q{SELECT state || ': ' || reason FROM txpipe.file}), qr/^failed: .*txpipe_io did not answer within/, 'the file failed, and says why');
sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
run_hourly();
is(sql('SELECT count(*), count(DISTINCT id), (SELECT string_agg(state, $$ $$) FROM txpipe.file) FROM sales'), '5000|5000|loaded', 'the next run loads it, once');
$gate->quit;

# --- of a session that asks the brokers ---

kill 'STOP', $broker->{pid};
$start = time();
$run = start_sql(q{SELECT * FROM txpipe.topics('shop')});
$child = hang(wait_for_session('SELECT * FROM txpipe.topics%', 'topics() waits for the brokers'));
$run->{run}->finish;
like($run->{err}, qr/ERROR:  txpipe_io did not answer within txpipe.child_timeout \(1500 ms\)/, 'topics() fails when its child hangs');
cmp_ok(time() - $start, '<', 8, '... in bounded time');
kill 'CONT', $broker->{pid};
like(sql(q{SELECT string_agg(topic, ' ') FROM txpipe.topics('shop')}), qr/\bt\b/, 'called again it answers');

# --- of an outbox delivery ---

patience(4000);
sql(q{SELECT txpipe.pause_stream('t')});
wait_for($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'}, 'no worker is left');
kill 'STOP', $broker->{pid};
sql(q{SELECT txpipe.enqueue('shop', 'out', 'm' || g) FROM generate_series(1, 50) g});
$child = hang(streams_child());
kill 'CONT', $broker->{pid};
wait_for($node, 'SELECT count(delivered_at) = 50 FROM txpipe.outbox', 'the messages of a delivery that hung are sent');
ok(!process_lives($child), '... by another child');
my ($out) = run_command([ 'kcat', '-C', '-q', '-e', '-b', $broker->{servers}, '-t', 'out', '-J' ]);
my %value_of;
for my $message (map { decode_json($_) } split /\n/, $out)
{
	my %headers = @{ $message->{headers} };

	$value_of{ $headers{'txpipe-id'} }{ $message->{payload} } = 1;
}
is(join(' ', map { join '/', keys %$_ } sort { (%$a)[0] cmp (%$b)[0] } values %value_of), join(' ', sort map { "m$_" } 1 .. 50),
	'each arrives; what arrives twice has one id');
sql(q{SELECT txpipe.resume_stream('t')});
send_some();
all_there('after the delivery');

# --- when the kernel has no memory left it ends the child, and no process of the server, which would restart all of them ---

sub oom
{
	my ($pid, $what) = @_;

	return slurp_file("/proc/$pid/oom_$what") + 0;
}

my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
my $given = oom($postmaster, 'score_adj');
$child = streams_child();
is(oom($child, 'score_adj'), $given > 500 ? $given : 500, 'the child offers itself to the OOM killer');
my @pids = ($postmaster, split /\n/, sql(q{SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()}));
is(scalar(grep { oom($_, 'score_adj') != $given } @pids), 0, scalar(@pids) . ' processes of the server do not');
my ($most) = sort { $b <=> $a } map { oom($_, 'score') } @pids;
cmp_ok(oom($child, 'score'), '>', $most, 'so the kernel would choose the child') if $given < 500;

# --- a child that gets no memory for what it fetches and decodes ---

sql(<<'SQL');
CREATE TABLE heavy (n int, filling text);
SELECT txpipe.create_stream('heavy', 'shop', 'heavy', 'heavy');
SQL
produce_lines($broker, 'heavy', 0, '{"n": 1, "filling": "x"}');
wait_for_offset($node, 'heavy', 1);
$worker = worker_pid($node);
$child  = streams_child();
my ($kb) = slurp_file("/proc/$child/status") =~ /VmSize:\s+(\d+) kB/;
system_or_bail('prlimit', '--pid', $child, '--as=' . 1024 * ($kb + 1024));
produce_lines($broker, 'heavy', 0, map { "{\"n\": $_, \"filling\": \"" . 'x' x 900_000 . '"}' } 2 .. 5);
wait_for_offset($node, 'heavy', 5);
is(sql(q{SELECT count(*), count(DISTINCT n), sum(length(filling)), (SELECT count(*) FROM txpipe.dead_letter) FROM heavy}),
	'5|5|3600001|0', 'each message is a row once');
ok(!process_lives($child), 'the child without memory has ended');
like(slurp_file($node->logfile), qr/txpipe_io was ended by signal 6: Aborted, as when memory runs out/, '... which the log tells');
is(worker_pid($node), $worker, 'the worker is the same');

# And one that the kernel itself ends, in a memory cgroup that TXPIPE_CGROUP names and that this user may use.
SKIP:
{
	my $cgroup = $ENV{TXPIPE_CGROUP} // '';
	my ($limit) = grep { -w } map { "$cgroup/memory.$_" } 'max', 'limit_in_bytes';
	skip 'TXPIPE_CGROUP names no memory cgroup of ours', 4 unless $limit;

	$child = streams_child();
	append_to_file("$cgroup/cgroup.procs", $child);
	append_to_file($limit, 1024 * 1024);
	produce_lines($broker, 'heavy', 0, map { "{\"n\": $_, \"filling\": \"" . 'x' x 900_000 . '"}' } 6 .. 9);
	wait_for_offset($node, 'heavy', 9);
	is(sql('SELECT count(*), count(DISTINCT n), sum(length(filling)) FROM heavy'), '9|9|7200001', 'the kernel ends a child: each message is a row once');
	like(join('', map { -r ? slurp_file($_) : '' } map { "$cgroup/memory.$_" } 'events', 'oom_control'), qr/^oom_kill 1$/m, '... it was the kernel');
	like(slurp_file($node->logfile), qr/txpipe_io was ended by signal 9: Killed, as when memory runs out/, '... which the log tells');
	is(worker_pid($node), $worker, '... and the worker is the same');
}
# As the kernel does when it needs memory.
kill 'KILL', streams_child();
send_some();
all_there('after a kill');

is(checkpointer_pid($node), $checkpointer, 'the server was never restarted');
$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/, qr/canceling statement due to user request/,
	qr/txpipe_io did not answer/);
stop_broker($broker);
done_testing();
