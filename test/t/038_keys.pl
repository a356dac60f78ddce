# Keys of a format of their own: Avro, Protobuf and JSON, by a registry or by a schema of the stream; what becomes of them
# while the registry is away, and of keys that are none.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRegistry;
use TxpipeTest;

my $broker   = start_broker(qw(prices:1 late:1 missing:1 own:1 proto:1 json:1 joint:1 bad:1 numbers:1 codes:1 wrapped:1 parts:1 labels:1 bytes:1));
my $registry = start_registry();
my $node     = new_node('keys');
start_node($node);
kafka_server($node, 'bare', $broker);
registry_server($node, 'shop', $broker, $registry->{url});

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $key = '{"type": "record", "name": "Key", "fields": [{"name": "id", "type": "long"}, {"name": "city", "type": "string"}]}';

sub key { return avro_long($_[0]) . avro_text($_[1]); }

# --- Avro keys beside values of JSON ---

register_schema($registry, 1, $key);
sql('CREATE TABLE prices (id bigint, city text, price numeric, whole jsonb, raw bytea, PRIMARY KEY (id, city))');
produce_pairs($broker, 'prices', 0, [ wire(1, key(1, 'a')), '{"price": 1.5}' ], [ wire(1, key(2, 'b')), '{"price": 2}' ],
	[ wire(1, key(1, 'a')), '{"price": 3}' ], [ wire(1, key(2, 'b')), undef ]);
my $create = q{SELECT txpipe.create_stream('prices', 'shop', 'prices', 'prices',
	columns => '{"id": "$key.id", "city": "$key.city", "price": "price", "whole": "$key", "raw": "$key"}',
	options => '{"mode": "upsert_delete", "key_format": "avro"}')};
sql($create);
wait_for_offset($node, 'prices', 4);
is(sql('TABLE prices'), '1|a|3|{"id": 1, "city": "a"}|\x' . unpack('H*', wire(1, key(1, 'a'))), 'fields of the key, the key, its bytes; a tombstone deletes');
is(open_letters($node, 'prices'), '', 'nothing is refused');
is( sql(q{SELECT kafka_offset, decoded ->> 'id', decoded ->> 'city', code FROM txpipe.test_stream('shop', 'prices', 'prices'::regclass,
		columns => '{"id": "$key.id", "city": "$key.city", "price": "price"}', options => '{"key_format": "avro", "mode": "upsert_delete"}') ORDER BY 1}),
	"0|1|a|\n1|2|b|\n2|1|a|\n3|2|b|",
	'test_stream');
sql(q{SELECT txpipe.create_stream('inferred', 'shop', 'prices', key_columns => '{$key.id, $key.city}', options => '{"key_format": "avro"}')});
wait_for_offset($node, 'inferred', 4);
is(sql('SELECT id, city, price FROM inferred ORDER BY id'), "1|a|3\n2|b|2", 'a table that is inferred');
wait_for($node, q{SELECT path, occurrences FROM txpipe.stream_field WHERE stream = 'inferred'}, 'stream_field is about values', value => 'price|3');

# --- a table that is inferred has the key as its schema does ---

# The key's columns, and what is said of each.
sub key_columns
{
	my ($table) = @_;
	return sql("SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || ': ' || col_description(attrelid, attnum), E'\\n' ORDER BY a.attnum)
		FROM pg_attribute a JOIN pg_index i ON i.indrelid = attrelid AND attnum = ANY (indkey) WHERE attrelid = '$table'::regclass");
}

sub infer
{
	my ($topic, $server, $keys, $options, $format) = @_;
	sql("SELECT txpipe.create_stream('$topic', '$server', '$topic', format => '" . ($format // 'json') . "', key_columns => '{$keys}', options => '$options'::jsonb || '{\"mode\": \"upsert\"}')");
	wait_for_offset($node, $topic, sql("SELECT messages FROM txpipe.topics('$server') WHERE topic = '$topic'"));
	is(open_letters($node, $topic), '', "$topic: no key is refused");
	return;
}

is(key_columns('inferred'), "id bigint: Mapped from \$key.id\ncity text: Mapped from \$key.city", 'fields of the key have the types of its schema');
register_schema($registry, 40, '{"type": "long", "doc": "Number of the order"}');
produce_pairs($broker, 'numbers', 0, [ wire(40, avro_long(2**40)), '{"price": 1}' ], [ wire(40, avro_long(-5)), '{"price": 2}' ]);
infer('numbers', 'shop', '$key', '{"key_format": "avro"}');
is(key_columns('numbers'), 'kafka_key bigint: Number of the order (mapped from $key)', 'a number, with what the schema says of it');
is(sql('SELECT kafka_key, price FROM numbers ORDER BY price'), "1099511627776|1\n-5|2", '... and its rows');
register_schema($registry, 41, '{"type": "record", "name": "Key", "fields": [{"name": "sku", "type": "string", "doc": "Article"}, {"name": "day", "type": {"type": "int", "logicalType": "date"}}]}');
produce_pairs($broker, 'codes', 0, [ wire(41, avro_text('s1') . avro_long(1)), 'one' ]);
infer('codes', 'shop', '$key.sku,$key.day', '{"key_format": "avro"}', 'text');
is(key_columns('codes'), "sku text: Article (mapped from \$key.sku)\nday date: Mapped from \$key.day", '... of values without fields, too');
produce_pairs($broker, 'wrapped', 0, [ pb_number(1, 7), '{"price": 1}' ]);
infer('wrapped', 'bare', '$key', '{"key_format": "protobuf", "key_protobuf_message": "google.protobuf.UInt32Value", "key_protobuf_schema":
	"syntax = \\"proto3\\"; import \\"google/protobuf/wrappers.proto\\"; message M {}"}');
is(key_columns('wrapped') . sql('SELECT kafka_key FROM wrapped'), 'kafka_key bigint: Mapped from $key7', 'a value of Protobuf');
produce_pairs($broker, 'parts', 0, [ pb_number(1, 7) . pb_bytes(2, 'x'), '{"price": 1}' ]);
infer('parts', 'bare', '$key.id,$key.more', '{"key_format": "protobuf", "key_protobuf_schema": "syntax = \\"proto3\\"; message M {\\n// Number\\n uint64 id = 1; bytes more = 2; }"}');
is(key_columns('parts') . sql('SELECT id, more FROM parts'), "id numeric(20,0): Number (mapped from \$key.id)\nmore bytea: Mapped from \$key.more7|\\x78", '... and fields of it');
produce_pairs($broker, 'labels', 0, [ wire(1, '5'), '{"price": 1}' ], [ '-6', '{"price": 2}' ]);
infer('labels', 'bare', '$key', '{"key_format": "json"}');
is(key_columns('labels') . sql('SELECT sum(kafka_key) FROM labels'), 'kafka_key bigint: Mapped from $key-1', 'of JSON it is what the values are');
produce_pairs($broker, 'bytes', 0, [ avro_text("\xff"), '{"price": 1}' ]);
infer('bytes', 'bare', '$key', '{"key_format": "avro", "key_avro_schema": "\\"bytes\\""}');
is(key_columns('bytes') . sql('SELECT kafka_key FROM bytes'), 'kafka_key text: Mapped from $key\\xff', 'bytes are text, since a bytea has the whole key');
is(sql(q{SELECT decoded ->> 'kafka_key' FROM txpipe.test_stream('shop', 'numbers', options => '{"key_format": "avro"}') LIMIT 1}), '', 'which is no column where it is not asked for');

# --- a schema that comes later, and one that does not come ---

stop_registry($registry);
produce_pairs($broker, 'late', 0, [ wire(2, key(5, 'x')), '{"price": 5}' ]);
sql(q{CREATE TABLE late (id bigint, price int)});
sql(q{SELECT txpipe.create_stream('late', 'shop', 'late', 'late', columns => '{"id": "$key.id", "price": "price"}', paused => true,
	options => '{"key_format": "avro"}'); SELECT txpipe.resume_stream('late')});
wait_for($node, q{SELECT state = 'error' AND last_error ~ '^08006: the schema registry at ".*" does not give schema 2\.' AND since <= now()
	FROM txpipe.stream_status WHERE stream = 'late'}, 'the status says what is awaited');
is(open_letters($node, 'late') . sql('SELECT count(*) FROM late'), '0', 'nothing is refused or skipped meanwhile');
$registry = start_registry(%{$registry}{qw(dir port)});
register_schema($registry, 2, $key);
wait_for_offset($node, 'late', 1);
is(sql('TABLE late'), '5|5', 'it goes on by itself');

sql(q{CREATE TABLE missing (id bigint, price int)});
sql(q{SELECT txpipe.create_stream('missing', 'shop', 'missing', 'missing', columns => '{"id": "$key.id", "price": "price"}',
	options => '{"key_format": "avro", "schema_timeout": 3600}')});
produce_pairs($broker, 'missing', 0, [ wire(20, key(1, 'x')), '{"price": 1}' ], [ wire(1, key(2, 'x')), '{"price": 2}' ], [ "\0\0", '{"price": 3}' ]);
wait_for($node, q{SELECT last_error ~ '^42704: schema 20 is not in the registry at' FROM txpipe.stream_status WHERE stream = 'missing'},
	'a missing schema is waited for');
sql(q{SELECT txpipe.alter_stream('missing', options => '{"schema_timeout": 0}')});
wait_for_offset($node, 'missing', 3);
is( open_letters($node, 'missing'),
	"0 unknown_schema: message key: schema 20 is not in the registry\n"
	  . '2 bad_avro: message key: the message does not begin with byte 0 and the number of a schema',
	'or, when the time is over, not');
is( sql(q{SELECT encode(kafka_key, 'hex'), payload_text FROM txpipe.dead_letter WHERE stream = 'missing' ORDER BY kafka_offset LIMIT 1}),
	unpack('H*', wire(20, key(1, 'x'))) . '|{"price": 1}',
	'the dead letter has the key as it came');
register_schema($registry, 20, $key);
is(sql(q{SELECT replayed, failed FROM txpipe.replay_dead_letters('missing', codes => '{unknown_schema}')}), '1|0', 'a replay asks for its schema');
is(sql('SELECT * FROM missing ORDER BY id'), "1|1\n2|2", 'and has the row');

# --- keys and values of schemas, both by number ---

register_schema($registry, 21, '{"type": "record", "name": "V", "fields": [{"name": "price", "type": "int"}]}');
register_schema($registry, 22, 'syntax = "proto3"; message K { int64 id = 1; }', schemaType => 'PROTOBUF');
sql(q{CREATE TABLE joint (id bigint PRIMARY KEY, price int)});
sql(q{SELECT txpipe.create_stream('joint', 'shop', 'joint', 'joint', 'avro', columns => '{"id": "$key.id", "price": "price"}', paused => true,
	options => '{"key_format": "protobuf", "mode": "upsert_delete"}'); SELECT txpipe.resume_stream('joint')});
produce_pairs($broker, 'joint', 0, (map { [ wire(22, "\0" . pb_number(1, $_)), wire(21, avro_long(10 * $_)) ] } 1 .. 3), [ wire(22, "\0" . pb_number(1, 2)), undef ]);
wait_for_offset($node, 'joint', 4);
is(sql('SELECT * FROM joint ORDER BY id'), "1|10\n3|30", 'Protobuf keys of Avro values');

# --- schemas of their own ---

sql('CREATE TABLE own (id bigint, price int)');
produce_pairs($broker, 'own', 0, [ key(7, 'x'), '{"price": 7}' ]);
sql("SELECT txpipe.create_stream('own', 'bare', 'own', 'own', columns => '{\"id\": \"\$key.id\", \"price\": \"price\"}',
	options => jsonb_build_object('key_format', 'avro', 'key_avro_schema', '$key'))");
wait_for_offset($node, 'own', 1);
is(sql('TABLE own'), '7|7', 'Avro keys without a registry');

sql('CREATE TABLE proto (k text, price text)');
produce_pairs($broker, 'proto', 0, [ pb_number(1, 9), 'nine' ]);
sql(q{SELECT txpipe.create_stream('proto', 'bare', 'proto', 'proto', 'text', '{"k": "$key.id", "price": "$value"}',
	options => '{"key_format": "protobuf", "key_protobuf_schema": "syntax = \"proto3\"; message K { int64 id = 1; } message L {}", "key_protobuf_message": "K"}')});
wait_for_offset($node, 'proto', 1);
is(sql('TABLE proto'), '9|nine', 'Protobuf keys of texts');

sql('CREATE TABLE json (k text, price int)');
produce_pairs($broker, 'json', 0, [ wire(1, '"a"'), '{"price": 1}' ], [ '{"b": 2}', '{"price": 2}' ], [ 'c', '{"price": 3}' ]);
sql(q{SELECT txpipe.create_stream('json', 'bare', 'json', 'json', columns => '{"k": "$key", "price": "price"}', options => '{"key_format": "json"}')});
wait_for_offset($node, 'json', 3);
is(sql('SELECT * FROM json ORDER BY price'), "a|1\n{\"b\": 2}|2", 'JSON keys, with the number of a schema, too');
like(open_letters($node, 'json'), qr/^2 bad_json: message key: [^\n]*\z/, 'what is no JSON is refused');

# --- what does not go together ---

$create = q{SELECT txpipe.create_stream('x', 'bare', 'json', 'json', paused => true, columns => '{"k": "$key", "price": "price"}', options => };
fails_with($node, "$create '{\"key_format\": \"avro\"}')", '22023', 'no schema for keys of the format avro', 'neither registry nor schema');
fails_with($node, "$create '{\"key_format\": \"xml\"}')", '22023', 'invalid value for option "key_format"', 'a format that is none');
fails_with($node, "$create '{\"key_avro_schema\": \"{}\"}')", '22023', 'key_avro_schema needs key_format avro', 'a schema of another format');
fails_with($node, "$create '{\"key_format\": \"protobuf\", \"key_protobuf_message\": \"a\"}')", '22023', 'key_protobuf_message needs the option key_protobuf_schema',
	'a message without a schema');
fails_with($node, "$create '{\"key_format\": \"avro\", \"key_avro_schema\": \"{\"}')", '22023', 'message key: ', 'a schema that is none');

log_is_clean(
	$node,
	qr/terminating background worker "txpipe worker/,
	qr/ERROR:  (?:there is no schema for keys|invalid value for option "key_format"|option key_\w+ needs|message key: schema)/);
$node->stop;
stop_registry($registry);
stop_broker($broker);
done_testing();
