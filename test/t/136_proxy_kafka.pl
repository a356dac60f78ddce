# All of 121_proxy in front of a real Kafka.
use strict;
use warnings;

use Cwd            qw(abs_path);
use File::Basename qw(dirname);
use Test::More;
use TxpipeKafka;

need_kafka();

our $real_broker = start_kafka();

kafka_do($real_broker, [ 'create', 't', 4 ]);
do(dirname(abs_path(__FILE__)) . '/121_proxy.pl') // die $@ || $!;
stop_kafka($real_broker);
