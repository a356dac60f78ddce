# Exactly once while everything is killed: child, worker and postmaster, with troubles around the kills.
#
#   TXPIPE_KILLS=1000 TXPIPE_KILL_MESSAGES=10000000 test/run 035_kill_loop
#   TXPIPE_KILL_SEED=…       the plan of another run, again
#   TXPIPE_KILL_SUMMARY=…    a file that gets the figures, too
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeKill;
use TxpipeTest;

my $seed  = $ENV{TXPIPE_KILL_SEED} // 20231105;
my $kills = $ENV{TXPIPE_KILLS} // ($ENV{TXPIPE_TEST_LONG} ? 400 : 100);
my %opt   = (seed => $seed, kills => $kills, messages => $ENV{TXPIPE_KILL_MESSAGES} // $kills * 4000);

# No core files of processes that are killed on purpose.
system_or_bail('prlimit', '--core=0', '--pid', $$);
note "replay this plan with TXPIPE_KILL_SEED=$seed test/run 035_kill_loop";

my $node = new_node('kill_loop', conf => "autovacuum_naptime = 5s\nlog_checkpoints = off");
my $broker = start_broker(TxpipeKill->new(%opt)->topics);
$broker->{name} = 'mock';
$broker->{down} = sub { topic_control($broker, 'down 1') };
$broker->{up}   = sub { topic_control($broker, 'up 1') };

my $loop = TxpipeKill->new(%opt, node => $node, broker => $broker);
$loop->set_up;
$loop->run;
$loop->finish;

my $total = $loop->{total};
is($loop->{lost},    0, "none of $total messages is lost");
is($loop->{doubled}, 0, 'none is doubled or made up');
is($loop->verified, $total, 'all of them were compared');
cmp_ok($loop->{done}, '>=', $kills, "$loop->{done} kills");
cmp_ok($loop->{count}{'postmaster KILL'}, '>=', $kills / 10, 'one in ten of the postmaster');
cmp_ok(2 * $loop->{in_flight}, '>=', $loop->{done}, "$loop->{in_flight} with a batch in flight: at least half");
is($node->safe_psql('postgres', 'SELECT sum(rows_total + dead_letters_total) FROM txpipe.stream_status'),
	$total, 'the status counts what there is');
wait_for($node, 'SELECT sum(lag_messages) = 0 FROM txpipe.stream_status', 'the lag is 0');

# The comparison itself: it must see one lost, one doubled, one changed (both), and one beyond the offsets.
is( $node->safe_psql('postgres', <<'SQL'), '2|2|1', 'the comparison sees what is wrong');
BEGIN;
DELETE FROM plain WHERE p = 0 AND o = 0;
INSERT INTO plain (id, v, p, o) SELECT id, v, p, o FROM plain WHERE p = 1 AND o = 0;
UPDATE plain SET v = 'other' WHERE p = 2 AND o = 0;
INSERT INTO plain (id, v, p, o) VALUES (1, 'v1', 3, 1000000000);
SELECT lost, doubled, ahead FROM kill_loop.check_stream('plain', '{}');
ROLLBACK;
SQL

my @lines = $loop->summary;
note $_ for @lines;
if (my $file = $ENV{TXPIPE_KILL_SUMMARY})
{
	open my $fh, '>>', $file or die "$file: $!";
	print $fh map { "$_\n" } @lines, '';
	close $fh;
}

$node->stop('fast');
is(join(' ', $loop->children_left), '', 'no child outlives the server');
log_is_clean($node, qr/terminating .* due to/, qr/the database system is/, qr/txpipe_io/, qr/connection to client lost/);
stop_broker($broker);
done_testing();
