# Topics of one stream whose messages have different formats.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRegistry;
use TxpipeTest;

my $broker   = start_broker(qw(orders:1 payments:1 parcels:1 notes:1));
my $registry = start_registry();
my $node     = new_node('topic_formats');
start_node($node);
kafka_server($node, 'bare', $broker);
registry_server($node, 'shop', $broker, $registry->{url});

sub sql { return $node->safe_psql('postgres', $_[0]); }

register_schema($registry, 1, '{"type": "record", "name": "Payment", "fields": [{"name": "id", "type": "long"}, {"name": "what", "type": "string"}]}');
register_schema($registry, 2, 'syntax = "proto3"; message Parcel { int64 id = 1; string what = 2; }', schemaType => 'PROTOBUF');
produce_lines($broker, 'orders', 0, '{"id": 1, "what": "order", "more": true}');
produce_bytes($broker, 'payments', wire(1, avro_long(2) . avro_text('payment')), '{"id": 3}');
produce_bytes($broker, 'parcels', wire(2, "\0" . pb_number(1, 4) . pb_bytes(2, 'parcel')));

my $formats = '"topic_formats": {"payments": "avro", "parcels": "protobuf"}';
sql('CREATE TABLE one (id bigint, what text, kafka_topic text)');
sql("SELECT txpipe.create_stream('one', 'shop', 'orders, payments,parcels', 'one', options => '{$formats}')");
wait_for_offset($node, 'one', 4);
is(sql('SELECT * FROM one ORDER BY id'), "1|order|orders\n2|payment|payments\n4|parcel|parcels", 'each topic is read by its format');
is( sql("SELECT kafka_topic || ' ' || code FROM txpipe.dead_letter WHERE stream = 'one'"), 'payments bad_avro', 'and by no other');
is( sql("SELECT count(*), count(code) FROM txpipe.test_stream('shop', 'orders,payments,parcels', 'one'::regclass, options => '{$formats}')"), '4|1', 'test_stream');

# A pattern, a topic that comes later, and a table that is inferred: by the values of all.
sql("SELECT txpipe.create_stream('all_of_them', 'shop', '^(orders|pa)', format => 'json', options => '{$formats}')");
wait_for_offset($node, 'all_of_them', 4);
is( sql(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = 'all_of_them'::regclass AND attnum BETWEEN 1 AND 4}),
	'id bigint, what text, more boolean, rest jsonb',
	'the table that is inferred');
is(sql('SELECT kafka_topic, id, more FROM all_of_them ORDER BY id'), "orders|1|t\npayments|2|\nparcels|4|", 'and what is in it');

# Changed: the refused message is JSON.
sql("SELECT txpipe.pause_stream('one'), txpipe.alter_stream('one', options => '{\"topic_formats\": {\"parcels\": \"protobuf\"}}')");
is(sql(q{SELECT replayed, failed FROM txpipe.replay_dead_letters('one')}), '1|0', 'a replay goes by the formats as they are then');
is(sql('SELECT id, kafka_topic FROM one WHERE what IS NULL'), '3|payments', 'and the topic the message is of');

# The other way round: the stream's own format has the schema.
sql('CREATE TABLE own (id bigint, what text)');
sql(q{SELECT txpipe.create_stream('own', 'bare', 'notes,orders', 'own', 'avro', options => '{"topic_formats": {"orders": "json"},
	"avro_schema": "{\"type\": \"record\", \"name\": \"n\", \"fields\": [{\"name\": \"id\", \"type\": \"long\"}]}"}')});
produce_bytes($broker, 'notes', avro_long(9));
wait_for_offset($node, 'own', 2);
is(sql('SELECT * FROM own ORDER BY id'), "1|order\n9|", 'JSON beside Avro with a schema of its own');

my $create = q{SELECT txpipe.create_stream('x', 'shop', 'orders,payments', 'one', paused => true, };
fails_with($node, "$create options => '{\"topic_formats\": {\"payment\": \"avro\"}}')", '22023', 'topic "payment", which the stream does not read', 'a topic that is none of the list');
fails_with($node, "$create options => '{\"topic_formats\": {\"payments\": \"xml\"}}')", '22023', 'format "xml" is not known', 'a format that is none');
fails_with($node, "$create options => '{\"topic_formats\": {\"payments\": \"csv\"}}')", '22023', 'topic "payments" has a format that cannot be mixed', 'a format without fields');
fails_with($node, "$create format => 'csv', options => '{\"topic_formats\": {\"payments\": \"avro\"}}')", '22023', 'the stream has a format that cannot be mixed',
	'a stream of such a format');
fails_with($node, "$create options => '{\"topic_formats\": {\"payments\": 1}}')", '22023', 'is not a string', 'a format that is a number');
fails_with($node, "$create options => '{\"topic_formats\": \"avro\"}')", '22023', 'must be a JSON object', 'formats that are no object');
fails_with($node, "$create options => '{\"batch_rows\": {\"a\": 1}}')", '22023', 'must be a string, a number or a boolean', 'an object for a number');
fails_with($node, q{SELECT txpipe.create_stream('x', 'bare', 'orders,payments', 'one', paused => true, options => '{"topic_formats": {"payments": "avro"}}')},
	'22023', 'no schema for messages of the format avro', 'no registry');

log_is_clean($node, qr/terminating background worker "txpipe worker/,
	qr/ERROR:  (?:option "?topic_formats|option "batch_rows"|format "xml"|topic "payments" has|the stream has|the format of topic|there is no schema)/);
$node->stop;
stop_registry($registry);
stop_broker($broker);
done_testing();
