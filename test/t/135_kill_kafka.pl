# The kill loop of 035_kill_loop on a real Kafka, whose process is killed as well: its messages are on its disk.
# The same parameters.
use strict;
use warnings;

use Test::More;
use TxpipeKafka;
use TxpipeKill;
use TxpipeTest;

need_kafka();

my %opt    = TxpipeKill::parameters(seed => 20231105, kills => $ENV{TXPIPE_TEST_LONG} ? 200 : 30);
my $node   = new_node('kill_kafka', conf => 'autovacuum_naptime = 5s');
my $broker = start_kafka();

kafka_do($broker, map { [ 'create', split /:/ ] } TxpipeKill->new(%opt)->topics);
$broker->{name}  = 'Apache Kafka';
$broker->{kill}  = sub { stop_kafka($broker) };
$broker->{start} = sub { restart_kafka($broker) };

my $loop = TxpipeKill->new(%opt, node => $node, broker => $broker);
$loop->set_up;
$loop->prove;
cmp_ok($loop->{count}{'broker KILL'}, '>=', 1, "$loop->{count}{'broker KILL'} of the broker");
stop_kafka($broker);
done_testing();
