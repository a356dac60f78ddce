# Nothing stays behind: no process, socket, shared memory or temporary file after stops, kills and drops, however often, and
# nothing grows in the processes that live on.
#
#   TXPIPE_CYCLES=1000 test/run 124_leftover     so many of each cycle; otherwise a few
#   TXPIPE_CYCLES_SUMMARY=…                      a file that gets the figures
use strict;
use warnings;

# A session that lives through all cycles of a kind.
BEGIN { $ENV{PG_TEST_TIMEOUT_DEFAULT} //= 3600 }

use File::Find qw(find);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeFiles;
use TxpipeKill ();
use TxpipeTest;

my $cycles = $ENV{TXPIPE_CYCLES} // ($ENV{TXPIPE_TEST_LONG} ? 200 : 12);
my $broker = start_broker('t:2', 'other:1', 'nothing:1');
my $node   = files_node('leftover');
my $base   = $node->basedir;
my @summary;
my $sent = 0;

kafka_server($node, 'shop', $broker);
sql(<<'SQL');
CREATE TABLE t (n int);
SELECT txpipe.create_stream('t', 'shop', 't', 't', options => '{"batch_rows": 50}');
CREATE TABLE waits (n int);
SELECT txpipe.create_stream('waits', 'shop', 'nothing', 'waits', paused => true);
CREATE TABLE item (id int, name text);
SELECT txpipe.create_feed('item', 'item_([0-9]+)\.csv', 'item');
SQL

sub send_some
{
	produce_lines($broker, 't', $_, map { '{"n": ' . ++$sent . '}' } 1 .. 5) for 0, 1;
	return;
}

sub all_there
{
	my ($what) = @_;

	wait_for_offset($node, 't', $sent);
	is(sql('SELECT count(*), count(DISTINCT n) FROM t'), "$sent|$sent", "$what: each message is a row once");
	return;
}

# --- what there is ---

sub postmaster
{
	my ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;

	return $pid;
}

# All processes of the server, and what they started.
sub family
{
	return (postmaster(), TxpipeKill::family(postmaster()));
}

sub children
{
	return grep { (eval { slurp_file("/proc/$_/stat") } // '') =~ /^\d+ \(txpipe_io\) [^Z]/ } family();
}

# Shared memory that the server has: its segment, and files that its processes map.
sub shared_memory
{
	my ($id) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^\s*\d+\s+(\d+)\s*$/m;
	my %names = map { $_ => 1 } map { (eval { slurp_file("/proc/$_/maps") } // '') =~ m{(/dev/shm/\S+)}g } family();

	return { id => $id // 'unknown', names => [ sort keys %names ] };
}

sub remains_of
{
	my ($memory) = @_;
	my ($out) = run_command([ 'ipcs', '-m' ]);

	return join ' ', ($out =~ /^0x\w+\s+(\Q$memory->{id}\E)\s/m ? "segment $1" : ()), grep { -e } @{ $memory->{names} };
}

sub temporary_files
{
	my @found;

	for my $path ("$base/dirs", $node->data_dir)
	{
		find({ no_chdir => 1, wanted => sub {
			push @found, $_ if -f && (m{pgsql_tmp} || m{/dirs/.*(?:/\.|\.tmp|copying)} || m{/t\d+_\d+});
		} }, $path);
	}
	return join ' ', @found;
}

# Without files of the data directory, which PostgreSQL keeps open and closes as it needs them.
sub fds
{
	my ($pid) = @_;
	my $data = $node->data_dir;

	return scalar grep { (readlink($_) // '') !~ m{^\Q$data\E/} } glob "/proc/$pid/fd/*";
}

sub rss_kb
{
	my ($pid) = @_;
	# Shared memory that is touched is no growth.
	my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;

	return $kb;
}

# After the server has ended: nothing of it. What a postmaster that was killed leaves in the kernel, its next start removes.
sub nothing_left
{
	my ($what, $family, $memory) = @_;

	wait_until("$what: all processes have ended", sub { !grep { process_lives($_) } @$family });
	pass("$what: no process is left");
	is(temporary_files(), '', "$what: no temporary file");
	return if $what eq 'kill';
	is(remains_of($memory), '', "$what: no shared memory");
	is(join(' ', glob $node->host . '/.s.PGSQL.' . $node->port . '*'), '', "$what: no socket");
	return;
}

# A worker and a session are at work, each with its child.
sub busy
{
	send_some();
	all_there('busy');
	my $loader = start_sql(q{CALL txpipe.consume('waits', timeout => '60 s')});
	wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL txpipe.consume%' AND wait_event = 'Extension' AND pid <> pg_backend_pid()},
		'a session waits for the brokers');
	return $loader;
}

# --- ends of the server ---

for my $how ('fast', 'immediate', 'kill')
{
	my $loader = busy();
	my @family = family();
	my $memory = shared_memory();

	cmp_ok(scalar(() = children()), '>=', 2, "$how: there are children");
	if ($how eq 'kill')
	{
		$node->kill9;
		# A zombie would look like a server to the next one.
		wait_until('the postmaster is reaped', sub { !-e "/proc/$family[0]" });
	}
	else
	{
		$node->stop($how);
	}
	eval { $loader->{run}->finish };
	nothing_left($how, \@family, $memory);
	$node->start;
	is(temporary_files() . remains_of($memory), '', "$how: nor after the next start");
	all_there("after $how");
}

# --- ends of a worker, of a session, of a database, of the extension ---

sub only_wanted_children
{
	my ($what, $n) = @_;

	wait_until("$what: there are $n children", sub { $n == (() = children()) });
	pass("$what: no child is left over");
	is(temporary_files(), '', "$what: no temporary file");
	return;
}

my $loader = busy();
my $session = sql(q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL txpipe.consume%' AND pid <> pg_backend_pid()});
sql("SELECT pg_terminate_backend($session)");
eval { $loader->{run}->finish };
only_wanted_children('a session is ended', 1);
kill 'KILL', worker_pid($node);
wait_until('the server answers again', sub { $node->psql('postgres', 'SELECT 1') == 0 });
send_some();
all_there('after a worker was killed');
only_wanted_children('a worker is killed', 1);
for my $drop ([ 'DROP EXTENSION', 'second', 'DROP EXTENSION txpipe CASCADE' ], [ 'DROP DATABASE', 'postgres', 'DROP DATABASE second' ])
{
	my ($what, $db, $statement) = @$drop;

	$node->safe_psql('postgres', 'CREATE DATABASE second') unless sql(q{SELECT count(*) FROM pg_database WHERE datname = 'second'});
	$node->safe_psql('second', 'CREATE EXTENSION txpipe');
	kafka_server($node, 'shop', $broker, 'second');
	$node->safe_psql('second', q{CREATE TABLE IF NOT EXISTS other (n int); SELECT txpipe.create_stream('other', 'shop', 'other', 'other')});
	wait_for($node, 'SELECT workers = 1 FROM txpipe.stream_status', 'it is served', db => 'second');
	$node->safe_psql($db, $statement);
	only_wanted_children($what, 1);
}

# A file that is being copied into the lake when its session and child are killed: what is left goes with the next run.
deliver('item_1.csv', join '', "id,name\n", map { "$_," . 'x' x 200 . "\n" } 1 .. 20000);
my $run = start_sql('CALL txpipe.run_hourly()');
wait_until('a session has a child for files, or is done', sub {
	my ($pid) = sql(q{SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE query LIKE 'CALL txpipe.run_hourly%'});
	my $child = $pid ? child_pid($pid) : undef;
	kill 'KILL', $child if $child;
	return $child || sql('SELECT count(*) FROM item') > 0;
});
eval { $run->{run}->finish };
sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
run_hourly();
is(sql('SELECT count(*), count(DISTINCT id) FROM item'), '20000|20000', 'the file is loaded, once');
is(temporary_files(), '', 'a killed copy leaves nothing behind');

# --- cycles ---

# Runs so many, and compares what lives on before and after; the first few fill caches.
sub cycle
{
	my ($what, $n, $code) = @_;
	my $launcher = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'txpipe launcher'});
	my %pid = (postmaster => postmaster(), launcher => $launcher);
	my $worker = worker_pid($node);
	$pid{worker} = $worker if $worker;

	my $warm = $n > 100 ? 50 : 3;
	$code->($_) for 1 .. $warm;
	my %before = map { $_ => [ fds($pid{$_}), rss_kb($pid{$_}) ] } grep { process_lives($pid{$_}) } keys %pid;
	my $memory = shared_memory();
	my $begun = time();
	$code->($_) for 1 .. $n;
	my $took = time() - $begun;
	my @figures;
	for my $who (sort grep { process_lives($pid{$_}) } keys %before)
	{
		my ($fds, $kb) = (fds($pid{$who}), rss_kb($pid{$who}));

		is($fds - $before{$who}[0] > 2 ? "$fds, before $before{$who}[0]" : 0, 0, "$n times $what: no more descriptors in the $who");
		# A page now and then is no leak of each cycle.
		cmp_ok($kb - $before{$who}[1], '<=', 1024 + $n / 4, "$n times $what: no more memory in the $who");
		push @figures, sprintf '%s %d to %d descriptors, %d to %d kB', $who, $before{$who}[0], $fds, $before{$who}[1], $kb;
	}
	is("@{ shared_memory()->{names} }", "@{ $memory->{names} }", "$n times $what: no more shared memory");
	is(temporary_files(), '', "$n times $what: no temporary file");
	push @summary, sprintf '%-40s %5d in %4d s: %s', $what, $n, $took, join '; ', @figures;
	note $summary[-1];
	return;
}

my $control = $node->background_psql('postgres');

sub workers_of_t
{
	my ($n) = @_;

	wait_until("$n workers serve it", sub { $control->query(q{SELECT workers FROM txpipe.stream_status WHERE stream = 't'}) eq $n });
	return;
}

sub pause_and_resume
{
	$control->query_safe(q{SELECT txpipe.pause_stream('t')});
	workers_of_t(0);
	$control->query_safe(q{SELECT txpipe.resume_stream('t')});
	workers_of_t(1);
	return;
}

# Alone, its worker and child end with it, and others begin.
cycle('start and end of worker and child', $cycles, sub {
	my $pid = worker_pid($node);

	$control->query_safe(q{SELECT txpipe.pause_stream('t')});
	wait_until('its worker has ended', sub { !process_lives($pid) });
	$control->query_safe(q{SELECT txpipe.resume_stream('t')});
	workers_of_t(1);
});
send_some();
all_there('after starts and ends');
sql('ALTER SYSTEM SET txpipe.max_workers = 1');
$control->quit;
$node->restart;
$control = $node->background_psql('postgres');
sql(q{CREATE TABLE keeper (n int); SELECT txpipe.create_stream('keeper', 'shop', 'other', 'keeper')});
wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'}, 'one worker serves two streams');
cycle('pause and resume of a stream', $cycles, \&pause_and_resume);
send_some();
all_there('after pauses');
cycle('calls of one session, a child each', $cycles, sub { $control->query_safe(q{SELECT count(*) FROM txpipe.topics('shop')}) });
cycle('sessions, a child each', $cycles, sub { sql(q{SELECT count(*) FROM txpipe.peek('shop', 't', max_messages => 1)}) });
# One that dies young puts its streams off.
cycle('child killed', 3 + int($cycles / 50), sub {
	my $pid   = worker_pid($node);
	my $child = wait_until('the worker has a child', sub { child_pid($pid) });

	kill 'KILL', $child;
	wait_until('it is gone', sub { !process_lives($child) });
	send_some();
	wait_for_offset($node, 't', $sent);
});
all_there('after kills');
$control->quit;
wait_until('one child is left for each worker', sub {
	scalar(() = children()) == sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%'}) });
pass('one child is left for each worker');

# --- restarts ---

my $restarts = $cycles > 50 ? $cycles / 50 : 2;
my $begun    = time();
for (1 .. $restarts)
{
	my @family = family();
	my $memory = shared_memory();

	$node->stop($_ % 2 ? 'fast' : 'immediate');
	$node->start;
	wait_until('the processes before are gone', sub { !grep { process_lives($_) } @family });
	die "left after a restart: $memory->{id}" if remains_of($memory) ne '';
}
push @summary, sprintf '%-40s %5d in %4d s', 'restarts, fast and immediate', $restarts, time() - $begun;
send_some();
all_there('after restarts');
my @family = family();
my $memory = shared_memory();
$node->stop('fast');
nothing_left("$restarts restarts", \@family, $memory);

append_to_file($ENV{TXPIPE_CYCLES_SUMMARY}, join '', map { "$_\n" } @summary) if $ENV{TXPIPE_CYCLES_SUMMARY};
log_is_clean($node, qr/terminating .* due to/, qr/the database system is/, qr/connection to client lost/, qr/database "second" does not exist/,
	qr/txpipe_io was ended by signal 9/);
stop_broker($broker);
done_testing();
