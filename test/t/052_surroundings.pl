# What happens around a stream between two batches: its target goes away, a trigger leaves a cursor behind.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('gone:1', 'held:1');
my $node   = new_node('surroundings');

start_node($node);
kafka_server($node, 'shop', $broker);

sub query { return $node->safe_psql('postgres', $_[0]) }

sub consumed
{
	my ($stream, $offset) = @_;

	wait_for($node, "SELECT next_offset FROM txpipe.stream_partition WHERE stream = '$stream'",
		"$stream has read up to $offset", value => $offset);
	return;
}

# --- the table that shall get a column for a new field is dropped ---

query(q{CREATE TABLE gone (id bigint);
	SELECT txpipe.create_stream('gone', 'shop', 'gone', 'gone', options => '{"on_new_field": "column"}')});
produce_lines($broker, 'gone', 0, '{"id": 1}');
consumed('gone', 1);
query('DROP TABLE gone');
produce_lines($broker, 'gone', 0, '{"id": 2, "fresh": 1}');
wait_for($node, q{SELECT state FROM txpipe.stream_status WHERE stream = 'gone'}, 'gone is in error', value => 'error');
like(query(q{SELECT reason FROM txpipe.stream_status WHERE stream = 'gone'}),
	qr/^42P01: target public.gone of stream "gone" does not exist/, 'the reason says that its target is gone');
query('CREATE TABLE gone (id bigint)');
consumed('gone', 2);
is(query('SELECT id, fresh FROM gone'), '2|1', 'it goes on in a table of the name, with the column');

# --- a trigger declares a cursor that outlives the transaction ---

query(<<'SQL');
CREATE TABLE held (id bigint);
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN EXECUTE 'DECLARE mine CURSOR WITH HOLD FOR SELECT 1'; RETURN NULL; END$$;
CREATE TRIGGER hold AFTER INSERT ON held FOR EACH STATEMENT EXECUTE FUNCTION hold();
SELECT txpipe.create_stream('held', 'shop', 'held', 'held');
SQL
produce_lines($broker, 'held', 0, '{"id": 1}');
consumed('held', 1);
produce_lines($broker, 'held', 0, '{"id": 2}');
consumed('held', 2);
is(query(q{SELECT state, restarts FROM txpipe.stream_status WHERE stream = 'held'}), 'running|0', 'no batch meets the cursor of another');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'no server process died');
log_is_clean($node, qr/terminating .* due to/);
stop_broker($broker);
done_testing();
