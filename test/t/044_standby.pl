# On a standby nothing runs. Promoted in the middle of the stream it goes on where the commits it has end: what
# the old primary committed and did not send is read again, nothing is double, nothing is lost.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $total = 40_000;

sub lines
{
	my ($partition, $from, $to) = @_;

	return map { "{\"id\": $_}" } grep { $_ % 2 == $partition } $from .. $to;
}

for my $commit ('on', 'off')
{
	my $broker  = start_broker('shop:2');
	my $primary = new_node("primary_$commit", conf => <<"CONF");
wal_level = replica
max_wal_senders = 4
synchronous_commit = $commit
CONF
	$primary->set_replication_conf;
	start_node($primary);
	kafka_server($primary, 'broker', $broker);
	$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE shop (id bigint);
SELECT txpipe.create_stream('shop', 'broker', 'shop', 'shop', options => '{"batch_rows": 10}');
SQL
	$primary->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new("standby_$commit");
	$standby->init_from_backup($primary, 'base', has_streaming => 1);
	$standby->start;

	# --- nothing runs on it ---

	produce_lines($broker, 'shop', $_, lines($_, 1, 1000)) for 0, 1;
	wait_for($standby, 'SELECT count(*) = 1000 FROM shop', 'the standby has the rows');
	is( $standby->safe_psql('postgres',
			q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'txpipe%' OR backend_type LIKE 'txpipe%'}),
		'0', 'no process of txpipe runs on a standby');
	is($standby->safe_psql('postgres', 'SELECT state, workers, rows_total FROM txpipe.stream_status'),
		'running|0|1000', 'its views can be read');
	my $refused = error_of($standby, q{CALL txpipe.consume('shop')});
	is($refused->{state}, '25006', 'and nothing is read by hand');
	for my $call (q{txpipe.produce('broker', 'shop', 'x')}, q{txpipe.write_export('x.csv', 'x')}, q{txpipe.export_csv('SELECT 1', 'y.csv')},
		q{txpipe.export_parquet('SELECT 1 AS x', 'y')})
	{
		my %refused = (
			'a standby'               => error_of($standby, "SELECT $call"),
			'a read-only transaction' => error_of($primary, "BEGIN READ ONLY; SELECT $call; COMMIT"));

		is($refused{$_} && $refused{$_}{state}, '25006', "$_ refuses $call") for sort keys %refused;
	}

	# --- promoted in the middle of the stream ---

	produce_lines($broker, 'shop', $_, lines($_, 1001, $total)) for 0, 1;
	wait_for($standby, 'SELECT count(*) > 2000 FROM shop', 'the standby is in the middle of the stream');
	$primary->stop('immediate');
	cmp_ok($standby->safe_psql('postgres', 'SELECT count(*) FROM shop'),
		'<', $total, 'the primary ended in the middle of the stream');
	$standby->promote;
	wait_for_offset($standby, 'shop', $total);
	is( $standby->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id), min(id), max(id) FROM shop'),
		"$total|$total|1|$total",
		"every message is there once, with synchronous_commit = $commit");
	is( $standby->safe_psql('postgres',
			'SELECT state, reason IS NULL, restarts, (SELECT count(*) FROM txpipe.stream_event WHERE event <> $$new_field$$) FROM txpipe.stream_status'),
		'running|t|0|0', 'it is no copy, and no error');

	$standby->stop('fast');
	log_is_clean($standby, qr/cannot execute (CALL )?[\w. ]+(\(\))? (during recovery|in a read-only transaction)/, qr/terminating .* due to/,
		qr/could not (connect to the primary server|(receive data from|send data to) WAL stream)/);
	stop_broker($broker);
}
done_testing();
