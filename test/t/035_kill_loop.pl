# Exactly once while everything is killed: child, worker and postmaster, with troubles around the kills.
#
#   TXPIPE_KILLS=800 TXPIPE_KILL_MESSAGES=8000000 test/run 035_kill_loop
#   TXPIPE_KILL_SEED=…       the plan of another run, again
#   TXPIPE_KILL_SUMMARY=…    a file that gets the figures, too
#
# test/kill_loop is the long run, with 135_kill_kafka.
use strict;
use warnings;

use Test::More;
use TxpipeKill;
use TxpipeTest;

my %opt    = TxpipeKill::parameters(seed => 20231105, kills => $ENV{TXPIPE_TEST_LONG} ? 400 : 100);
my $node   = new_node('kill_loop', conf => 'autovacuum_naptime = 5s');
my $broker = start_broker(TxpipeKill->new(%opt)->topics);

$broker->{name} = 'embedded';
$broker->{down} = sub { topic_control($broker, 'down 1') };
$broker->{up}   = sub { topic_control($broker, 'up 1') };

# The comparison itself: it must see one lost, one doubled, one changed (both), and one beyond the offsets.
sub comparison_sees
{
	is( $node->safe_psql('postgres', <<'SQL'), '2|2|1', 'the comparison sees what is wrong');
BEGIN;
DELETE FROM plain WHERE p = 0 AND o = 0;
INSERT INTO plain (id, v, p, o) SELECT id, v, p, o FROM plain WHERE p = 1 AND o = 0;
UPDATE plain SET v = 'other' WHERE p = 2 AND o = 0;
INSERT INTO plain (id, v, p, o) VALUES (1, 'v1', 3, 1000000000);
SELECT lost, doubled, ahead FROM kill_loop.check_stream('plain', '{}');
ROLLBACK;
SQL
	return;
}

my $loop = TxpipeKill->new(%opt, node => $node, broker => $broker);
$loop->set_up;
$loop->prove(\&comparison_sees);
cmp_ok($loop->{count}{'postmaster KILL'}, '>=', $opt{kills} / 10, 'one kill in ten is of the postmaster');
stop_broker($broker);
done_testing();
