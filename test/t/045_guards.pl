# Streams wait while a disk runs full or a standby falls behind: no batch is written, the status says why, and they
# go on by themselves.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker  = start_broker('shop:2');
my $primary = new_node('primary', conf => <<'CONF');
wal_level = replica
max_wal_senders = 4
max_replication_slots = 4
wal_sender_timeout = 0
CONF
$primary->set_replication_conf;
start_node($primary);
kafka_server($primary, 'broker', $broker);
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE shop (id bigint, offset_read bigint);
SELECT txpipe.create_stream('shop', 'broker', 'shop', 'shop', options => '{"batch_rows": 10}',
	columns => '{"id": "id", "offset_read": "kafka_offset"}');
CREATE TABLE noise (line text);
SQL

my $sent = 0;

sub produce_some
{
	for my $partition (0, 1)
	{
		produce_lines($broker, 'shop', $partition, map { '{"id": ' . ++$sent . '}' } 1 .. 50);
	}
	return;
}

sub setting
{
	my ($value) = @_;

	$primary->safe_psql('postgres', "ALTER SYSTEM SET $value");
	$primary->reload;
	return;
}

sub holds_all
{
	my ($when) = @_;

	wait_for($primary,
		"SELECT state = 'running' AND reason IS NULL AND lag_messages = 0 AND rows_total = $sent FROM txpipe.stream_status",
		"all is read $when");
	is($primary->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id), max(id) FROM shop'),
		"$sent|$sent|$sent", "every message is there once $when");
	return;
}

# Messages that come while it waits are seen, and not written.
sub waits
{
	my ($what, $reason) = @_;
	my $before = $sent;

	wait_for($primary, q{SELECT state = 'waiting' FROM txpipe.stream_status}, "the stream waits for $what");
	produce_some();
	wait_for($primary, 'SELECT lag_messages = ' . ($sent - $before) . ' FROM txpipe.stream_status', 'it sees the messages');
	like($primary->safe_psql('postgres', 'SELECT reason FROM txpipe.stream_status'), $reason, "the status says why: $what");
	is( $primary->safe_psql('postgres',
			'SELECT since > now() - interval \'10 min\', workers, restarts, (SELECT count(*) FROM shop), (SELECT state FROM txpipe.stream) FROM txpipe.stream_status'),
		"t|1|0|$before|running", "nothing is written meanwhile: $what");
	return;
}

sub make_noise
{
	$primary->safe_psql('postgres', q{INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 4000)});
	return;
}

produce_some();
holds_all('at first');

# --- a disk ---

setting(q{txpipe.min_free_space = '1000TB'});
waits('space', qr/^the file system of the data directory has \d+ MB free, less than txpipe\.min_free_space \(1048576000 MB\)$/);
# Others write to the file system meanwhile.
my $check = q{SELECT ok, regexp_replace(detail, '\d+ MB free', '') = regexp_replace(txpipe.guard_problem(), '\d+ MB free', ''), hint ~ '^ALTER SYSTEM .*min_free_space' FROM txpipe.check_setup() WHERE item = 'guards'};
is($primary->safe_psql('postgres', $check), 'f|t|t', 'check_setup says so, with a hint');
my $refused = error_of($primary, q{SELECT txpipe.pause_stream('shop'); CALL txpipe.consume('shop')});
is($refused->{state}, '53000', 'nothing is read by hand either');
like($refused->{message}, qr/min_free_space/, 'the error says why');
ok($refused->{hint}, 'with a hint');
$primary->safe_psql('postgres', q{SELECT txpipe.resume_stream('shop')});
wait_for($primary, q{SELECT state = 'waiting' AND workers = 1 AND lag_messages = 100 FROM txpipe.stream_status}, 'resumed, it waits');
setting(q{txpipe.min_free_space = '1MB'});
holds_all('when there is space');
is($primary->safe_psql('postgres', $check), 't||', 'check_setup is content');

# --- a replication slot nobody reads from ---

setting(q{txpipe.max_replication_lag = '1MB'});
$primary->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('forgotten', true)});
make_noise();
waits('a slot', qr/^replication slot "forgotten" is \d+ kB behind, more than txpipe\.max_replication_lag \(1024 kB\)$/);
$primary->safe_psql('postgres', q{SELECT pg_drop_replication_slot('forgotten')});
holds_all('when the slot is gone');

# --- a standby that does not keep up ---

setting(q{txpipe.max_replication_lag = 0});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
setting(q{txpipe.max_replication_lag = '1MB'});
produce_some();
holds_all('with a standby');
wait_for($standby, "SELECT count(*) = $sent FROM shop", 'the standby follows');
my $receiver = $standby->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver');
kill 'STOP', $receiver;
make_noise();
waits('a standby', qr/^a standby is \d+ kB behind, more than txpipe\.max_replication_lag \(1024 kB\)$/);
kill 'CONT', $receiver;
holds_all('when the standby has caught up');
wait_for($standby, "SELECT count(*) = $sent FROM shop", 'the standby has all, too');

# --- waiting keeps nobody ---

setting(q{txpipe.min_free_space = '1000TB'});
wait_for($primary, q{SELECT state = 'waiting' FROM txpipe.stream_status}, 'the stream waits again');
produce_some();
$primary->restart;
wait_for($primary, q{SELECT state = 'waiting' AND workers = 1 FROM txpipe.stream_status}, 'after a restart, too');
setting(q{txpipe.min_free_space = 0});
holds_all('after the restart');
is($primary->safe_psql('postgres', q{SELECT count(*) FROM txpipe.stream_event WHERE event IN ('error', 'recovered')}),
	'0', 'waiting is no error');

$standby->stop('fast');
$primary->stop('fast');
log_is_clean($primary, qr/terminating .* due to administrator command/, qr/min_free_space/, qr/the database system is shutting down/);
stop_broker($broker);
done_testing();
