# Kafka transactions: committed messages arrive, each once; those of aborted and open transactions do not, and
# their offsets and the markers of transactions leave no lag behind.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeKafka;
use TxpipeTest;

need_kafka();
my $broker = start_kafka();
my $node   = new_node('transactions');

kafka_do($broker, [ 'create', 'sales', 2 ]);
start_node($node);
kafka_server($node, 'shop', $broker);
$node->safe_psql('postgres', <<"SQL");
CREATE SERVER all_of_it FOREIGN DATA WRAPPER txpipe_kafka
    OPTIONS (bootstrap_servers '$broker->{servers}', isolation_level 'read_uncommitted');
CREATE TABLE committed (id bigint PRIMARY KEY);
CREATE TABLE everything (id bigint PRIMARY KEY);
SELECT txpipe.create_stream('committed', 'shop', 'sales', 'committed');
SELECT txpipe.create_stream('everything', 'all_of_it', 'sales', 'everything');
SQL

my $id = 0;
my (@committed, @aborted);

# Commands that send that many messages in this transaction, to both partitions in turn.
sub messages
{
	my ($tx, $n, $kept) = @_;
	my @commands;

	for (1 .. $n)
	{
		$id++;
		push @$kept, $id;
		push @commands, [ 'send', $tx, 'sales', $id % 2, 0, '', "{\"id\": $id}" ];
	}
	return (@commands, [ 'flush', $tx ]);
}

sub log_end
{
	return end_offset($broker, 'sales', 0) + end_offset($broker, 'sales', 1);
}

sub same_rows
{
	my ($what) = @_;

	caught_up($node, $broker, 'committed', 'sales', 0, 1);
	caught_up($node, $broker, 'everything', 'sales', 0, 1);
	is($node->safe_psql('postgres', 'SELECT string_agg(id::text, \',\' ORDER BY id) FROM committed'),
		join(',', sort { $a <=> $b } @committed), "$what: exactly the committed messages arrived");
	is( $node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM everything'),
		@committed + @aborted . '|' . $id * ($id + 1) / 2,
		"$what: a server that reads uncommitted messages has all of them");
}

# --- two producers whose transactions overlap, one more without, over and over ---

my @commands;
for my $round (1 .. 20)
{
	my $good = $round % 2 ? 'left' : 'right';
	my $bad  = $round % 2 ? 'right' : 'left';

	push @commands, [ 'begin', $good ], [ 'begin', $bad ];
	push @commands, messages($good, 7, \@committed), messages($bad, 5, \@aborted), messages('-', 3, \@committed);
	push @commands, messages($good, 4, \@committed), messages($bad, 6, \@aborted);
	push @commands, $round % 3 ? ([ 'commit', $good ], [ 'abort', $bad ]) : ([ 'abort', $bad ], [ 'commit', $good ]);
}
kafka_do($broker, @commands);
same_rows('overlapping transactions');
cmp_ok(log_end(), '>', $id, 'the log has markers, too');

# --- the log ends with an aborted transaction: nothing to insert, and no lag ---

kafka_do($broker, [ 'begin', 'left' ], messages('left', 50, \@aborted), [ 'abort', 'left' ]);
same_rows('a log that ends with an abort');
$node->restart;
same_rows('after a restart at the end');

# --- an open transaction holds back what follows it, and is not lost when it commits ---

my $last = $id;
my $end  = log_end();
my $open = kafka_begin($broker, [ 'begin', 'left' ], messages('left', 10, \@committed));
wait_until('the open transaction is in the log', sub { log_end() == $end + 10 });
kafka_do($broker, messages('-', 10, \@committed));
wait_for($node, "SELECT max(id) = $id FROM everything", 'the open transaction is read where that is asked for');
is($node->safe_psql('postgres', "SELECT count(*) FROM committed WHERE id > $last"), '0',
	'no message of, or after, an open transaction is read');
is($node->safe_psql('postgres', q{SELECT state FROM txpipe.stream_status WHERE stream = 'committed'}),
	'running', 'the stream waits for it in peace');
kafka_end($open, [ 'commit', 'left' ]);
same_rows('after the commit of the open transaction');

# --- paused between aborted messages, then read by hand ---

$node->safe_psql('postgres', q{SELECT txpipe.pause_stream('committed')});
kafka_do($broker, [ 'begin', 'right' ], messages('right', 30, \@aborted), [ 'abort', 'right' ],
	messages('-', 30, \@committed), [ 'begin', 'right' ], messages('right', 30, \@aborted), [ 'abort', 'right' ]);
$node->safe_psql('postgres', q{CALL txpipe.consume('committed', 10)});
is($node->safe_psql('postgres', "SELECT count(*) FROM committed WHERE id > $last + 20"), '10',
	'a batch by hand steps over the aborted messages');
$node->safe_psql('postgres', q{SELECT txpipe.resume_stream('committed')});
same_rows('after a pause among aborted messages');

is($node->safe_psql('postgres', 'SELECT count(*) FROM txpipe.dead_letter'), '0', 'no message was refused');
$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/);
stop_kafka($broker);
done_testing();
