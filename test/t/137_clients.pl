# Messages of Confluent's client with its serializers for Avro, Protobuf and JSON, and their schemas in Apicurio Registry: both as they are used elsewhere.
# What the tables should hold the client's own program says, from the values it was given.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeClients;
use TxpipeKafka;
use TxpipeTest;

need_kafka();
need_clients();

my $COLUMNS = 'id bigint, reference uuid, customer text, amount numeric(12,2), paid_at timestamptz, day date, method text,
	tags jsonb, city text, zip text, note text, rate double precision, channel text';
my $MAPPING = '{"id": "id", "reference": "reference", "customer": {"path": ["customer", "client"]}, "amount": "amount",
	"paid_at": "paid_at", "day": "day", "method": "method", "tags": "tags", "city": "address.city", "zip": "address.zip",
	"note": "note", "rate": "rate", "channel": "channel"}';

my $kafka    = start_kafka();
my $registry = start_apicurio();
my $node     = new_node('clients');

start_node($node);
kafka_do($kafka, map { [ 'create', $_, 1 ] } qw(payments documents messages));
$node->safe_psql('postgres', <<"SQL");
CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka
	OPTIONS (bootstrap_servers '$kafka->{servers}', schema_registry_url '$registry->{url}');
SQL

sub sql { return $node->safe_psql('postgres', $_[0]); }

# What the client wrote, in a table of that name beside the stream's.
sub produce
{
	my ($format, $topic, @args) = @_;
	my $lines = run_client('payments.py', $kafka->{servers}, $registry->{url}, $format, $topic, @args);
	my $file  = PostgreSQL::Test::Utils::tempdir() . '/lines.csv';

	append_to_file($file, $lines);
	sql("CREATE TABLE IF NOT EXISTS ${topic}_written ($COLUMNS)");
	sql("COPY ${topic}_written FROM '$file' (FORMAT csv)");
	return;
}

sub is_as_written
{
	my ($topic, $rows, $name) = @_;

	is( sql("SELECT (SELECT count(*) FROM $topic), (SELECT count(*) FROM ${topic}_written),
			(SELECT count(*) FROM (SELECT * FROM $topic EXCEPT SELECT * FROM ${topic}_written) AS more),
			(SELECT count(*) FROM (SELECT * FROM ${topic}_written EXCEPT SELECT * FROM $topic) AS less),
			(SELECT count(*) FROM txpipe.dead_letter WHERE stream = '$topic')"),
		"$rows|$rows|0|0|0",
		$name);
	return;
}

# --- Avro, while its schema goes on ---

produce('avro', 'payments', 1, 500);
sql("CREATE TABLE payments ($COLUMNS)");
sql("SELECT txpipe.create_stream('payments', 'shop', 'payments', 'payments', 'avro', '$MAPPING')");
wait_for_offset($node, 'payments', 500);
is_as_written('payments', 500, 'Avro: each value is what was written');
produce('avro', 'payments', 501, 200, 2);
wait_for_offset($node, 'payments', 700);
is_as_written('payments', 700, 'a further field');
is( sql(q{SELECT count(*) FROM txpipe.stream_event WHERE stream = 'payments' AND event = 'new_field' AND message ~ 'channel'}), '1',
	'is an event');
produce('avro', 'payments', 701, 200, 3);
wait_for_offset($node, 'payments', 900);
is_as_written('payments', 900, 'a field of another name, a number of another type');

sql(q{SELECT txpipe.create_stream('inferred', 'shop', 'payments', format => 'avro')});
wait_for_offset($node, 'inferred', 900);
is( sql('SELECT sum(amount), count(DISTINCT reference) FROM inferred'), sql('SELECT sum(amount), 900 FROM payments_written'),
	'a table that is inferred');

# --- Protobuf: the client registers descriptors in base64 ---

produce('protobuf', 'messages', 1, 500);
sql("CREATE TABLE messages ($COLUMNS)");
sql("SELECT txpipe.create_stream('messages', 'shop', 'messages', 'messages', 'protobuf', '$MAPPING')");
wait_for_offset($node, 'messages', 500);
is_as_written('messages', 500, 'Protobuf: each value is what was written');

# --- JSON ---

produce('json', 'documents', 1, 500);
sql("CREATE TABLE documents ($COLUMNS)");
sql("SELECT txpipe.create_stream('documents', 'shop', 'documents', 'documents', 'json', '$MAPPING')");
wait_for_offset($node, 'documents', 500);
is_as_written('documents', 500, "JSON behind its schema's number");
sql(q{SELECT txpipe.create_stream('inferred_documents', 'shop', 'documents')});
wait_for_offset($node, 'inferred_documents', 500);
is( sql('SELECT sum(id), sum(amount::numeric) FROM inferred_documents'), sql('SELECT sum(id), sum(amount) FROM documents_written'),
	'a table that is inferred');

# --- what we send, read by Confluent's client with its deserializer ---

sub consumed { return [ map { JSON::PP->new->utf8->allow_nonref->decode($_) } split /\n/, run_client('consume.py', $kafka->{servers}, $registry->{url}, @_) ]; }

kafka_do($kafka, map { [ 'create', $_, 1 ] } qw(echo notes alarms));
my $sent = q{SELECT id, reference, customer AS client, amount, paid_at, day, method, tags, jsonb_build_object('city', city, 'zip', zip) AS address, note, rate, channel
	FROM payments_written WHERE channel IS NOT NULL};
is( sql(qq{SELECT count(*) FROM ($sent ORDER BY id) p, txpipe.produce('shop', 'echo', to_jsonb(p), key => p.id::text, headers => '{"from": "txpipe"}', format => 'avro',
		options => '{"subject": "payments-value"}')}),
	'400', 'rows are sent by the schema that the client registered');
is_deeply(consumed('echo', 400), decode_json(sql("SELECT jsonb_agg(to_jsonb(p) || jsonb_build_object('amount', amount::text, 'id', id::text,
	'reference', reference::text, 'paid_at', to_char(paid_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')) ORDER BY id) FROM ($sent) p")), 'the client reads each value as it is in the row');
is(sql(q{SELECT txpipe.enqueue('shop', 'notes', '{"note": "ü"}', format => 'avro', options => jsonb_build_object('register', true,
	'avro_schema', '{"type": "record", "name": "note", "fields": [{"name": "note", "type": "string"}]}')) > 0}), 't', 'a message of the outbox');
is_deeply(consumed('notes', 1), [ { note => "\x{fc}" } ], '... by a schema that we registered');
sql(q{SELECT txpipe.produce('shop', 'notes', '{"note": "keyed"}'::jsonb, key => '{"day": "2024-02-29", "id": 7}', options => jsonb_build_object('key_format', 'avro', 'register', true,
	'key_avro_schema', '{"type": "record", "name": "key", "fields": [{"name": "id", "type": "long"}, {"name": "day", "type": {"type": "int", "logicalType": "date"}}]}'))});
is_deeply(consumed('notes', 2, 'key'), [ undef, { id => '7', day => '2024-02-29' } ], 'the client reads a key by its schema');
sql(q{SELECT txpipe.create_rule('large', 'payments', 'SELECT customer AS subject, paid_at AS event_time, id AS transaction_id, kafka_offset FROM batch WHERE amount > 200',
	topic => 'alarms', format => 'avro')});
produce('avro', 'payments', 901, 20, 3);
wait_for_offset($node, 'payments', 920);
my $alerts = decode_json(sql(q{SELECT jsonb_agg(jsonb_build_object('alert_id', alert_id::text, 'stream', stream, 'rule', rule, 'severity', severity, 'subject', subject,
	'transaction_id', transaction_id, 'event_time', to_char(event_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), 'reason', reason, 'evidence', evidence, 'kafka_topic', kafka_topic,
	'kafka_partition', kafka_partition, 'kafka_offset', kafka_offset::text, 'raised_at', to_char(raised_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')) ORDER BY alert_id) FROM txpipe.alert}));
is(scalar @$alerts, sql('SELECT count(*) FROM payments_written WHERE id > 900 AND amount > 200'), 'alerts are raised');
is_deeply(consumed('alarms', scalar @$alerts), $alerts, '... and the client reads them, by the schema that is registered');

log_is_clean($node);
done_testing();
