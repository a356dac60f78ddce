# Protobuf: messages that name their .proto file in a registry, and such of a schema the stream has itself; what becomes of new
# schemas, and of bytes that are no message. Messages are written here byte by byte.
use strict;
use warnings;

use File::Spec;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRegistry;
use TxpipeTest;

my $broker   = start_broker(qw(orders:1 later:1 bad:1 own:1 parts:1 keyed:1 mixed:1 typed:1 typed_set:1));
my $registry = start_registry();
my $node     = new_node('protobuf');
start_node($node);
kafka_server($node, 'bare', $broker);
registry_server($node, 'shop', $broker, $registry->{url});

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Of proto3 and the package shop, behind what it imports.
sub register_file
{
	my ($path, $file, %more) = @_;

	register_schema($registry, $path, qq(syntax = "proto3";\npackage shop;\n$file), schemaType => 'PROTOBUF', %more);
	return;
}

# The first message of the file that the number means.
sub message { return wire($_[0], "\0$_[1]"); }

my $order = <<'PROTO';
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message Order {
	int64 id = 1;
	string name = 2;
	google.protobuf.Timestamp placedAt = 3;
	repeated string tags = 4;
	google.protobuf.StringValue note = 5;
	bytes raw = 6;
}
PROTO

sub order
{
	my ($id, $name, $seconds, $nanos, $tags, $note) = @_;

	return pb_number(1, $id) . pb_bytes(2, $name) . pb_bytes(3, pb_number(1, $seconds) . pb_number(2, $nanos))
	  . join('', map { pb_bytes(4, $_) } @$tags) . (defined $note ? pb_bytes(5, pb_bytes(1, $note)) : '');
}

# --- typed ---

register_file(7, "$order message Other { int64 id = 1; }");
my @orders = (
	order(1, 'tea', 1704164645, 678000000, [ 'a', 'b"c' ], undef), order(-2, "caf\xc3\xa9", 0, 0, [], 'n'),
	order(9223372036854775807, '', -1, 999000000, ['x'], ''));
produce_bytes($broker, 'orders', map { message(7, $_) } @orders);
sql(q{CREATE TABLE orders (id bigint PRIMARY KEY, name text NOT NULL, placed_at timestamptz, tags jsonb, note text, raw bytea, kafka_offset bigint, whole bytea)});
sql(q{SELECT txpipe.create_stream('orders', 'shop', 'orders', 'orders', 'protobuf',
	'{"id": "id", "name": "name", "placed_at": "placedAt", "tags": "tags", "note": "note", "raw": "raw", "kafka_offset": "kafka_offset", "whole": "$value"}')});
wait_for_offset($node, 'orders', 3);
is( sql('SELECT id, name, placed_at, tags, note, raw, kafka_offset FROM orders ORDER BY kafka_offset'),
	"1|tea|2024-01-02 03:04:05.678+00|[\"a\", \"b\\\"c\"]||\\x|0\n"
	  . "-2|caf\xc3\xa9|1970-01-01 00:00:00+00|[]|n|\\x|1\n"
	  . '9223372036854775807||1969-12-31 23:59:59.999+00|["x"]||\x|2',
	'values are what was written');
is(sql('SELECT note IS NULL FROM orders ORDER BY kafka_offset'), "t\nf\nf", 'what has presence and is not set is NULL, an empty string is not');
is(sql("SELECT encode(whole, 'hex') FROM orders WHERE id = 1"), unpack('H*', message(7, $orders[0])), '$value as bytea is the message as it came');
is(registry_log($registry), "schemas/ids/7\n" x 2, 'the schema was asked for twice: by create_stream, and by the stream');
is(open_letters($node, 'orders'), '', 'nothing was refused');

# --- looked at, and inferred ---

is( sql("SELECT kafka_offset, decoded ->> 'placed_at', code FROM txpipe.test_stream('shop', 'orders', 'orders'::regclass, 'protobuf',
		columns => '{\"placed_at\": \"placedAt\", \"id\": \"id\", \"name\": \"name\"}') ORDER BY 1") =~ s/T/ /gr,
	"0|2024-01-02 03:04:05.678+00:00|\n1|1970-01-01 00:00:00+00:00|\n2|1969-12-31 23:59:59.999+00:00|",
	'test_stream');
is(sql("SELECT encode(value, 'hex') FROM txpipe.peek('shop', 'orders', 1)"), unpack('H*', message(7, $orders[0])), 'peek');
sql(q{SELECT txpipe.create_stream('plain', 'shop', 'orders', format => 'protobuf')});
wait_for_offset($node, 'plain', 3);
is( sql(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = 'plain'::regclass AND attnum BETWEEN 1 AND 6}),
	'id bigint, name text, placed_at timestamp with time zone, tags jsonb, note text, raw bytea',
	'the table that is inferred');
is(sql('SELECT max(id), count(*) FROM plain'), '9223372036854775807|3', 'and what is in it');
is(sql(q{SELECT string_agg(path, ' ' ORDER BY path COLLATE "C") FROM txpipe.stream_field WHERE stream = 'plain'}), 'id name note placedAt raw tags',
	'stream_field');

# Types and comments are the schema's, also of fields that no message has had a value for.
my $typed = <<'PROTO';
syntax = "proto2"; // a comment behind
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
// Of the message.
message Typed {
	// What it is called,
	//   "as it's" said.
	optional string Name = 1; // not this
	optional int32 i32 = 2;
	/* Counted
	 * from 0. */
	optional uint32 u32 = 3;

	// Detached.

	optional int64 i64 = 4;
	optional uint64 u64 = 5; /** Unsigned. */ optional float f = 6;
	/// Of two parts.
	optional double d = 7 [deprecated = false];
	optional bool b = 8;
	optional bytes raw = 9;
	optional Kind kind = 10;
	optional google.protobuf.Timestamp at = 11;
	optional google.protobuf.Duration took = 12;
	optional google.protobuf.Int64Value wrapped = 13;
	optional google.protobuf.Struct any = 14;
	repeated int32 many = 15;
	// Of a map.
	map<string, int32> counts = 16;
	optional Inner inner = 17;
	oneof choice {
		// One of two.
		string one = 18;
	}
	enum Kind { A = 0; B = 1; }
	message Inner { /* Within. */ optional int32 x = 1; }
	optional fixed64 big = 19;
	optional google.protobuf.BytesValue wrapped_raw = 20;
}
PROTO
my $types = q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
	WHERE attrelid = '%1$s'::regclass AND attnum BETWEEN 1 AND 20};
my $comments = q{SELECT string_agg(attname || ': ' || regexp_replace(col_description(attrelid, attnum), ' \(mapped from \w+\)$', ''), '; ' ORDER BY attnum) FROM pg_attribute
	WHERE attrelid = '%1$s'::regclass AND attnum BETWEEN 1 AND 20 AND col_description(attrelid, attnum) !~ '^Mapped'};
my $of_types = 'name text, i32 integer, u32 bigint, i64 bigint, u64 numeric(20,0), f real, d double precision, b boolean, raw bytea, kind text, at timestamp with time zone, '
  . 'took interval, wrapped bigint, any jsonb, many jsonb, counts jsonb, inner jsonb, one text, big numeric(20,0), wrapped_raw bytea';
register_schema($registry, 60, $typed, schemaType => 'PROTOBUF');
my $typed_value = pb_bytes(1, 'n') . pb_number(2, -5) . pb_number(5, 7) . pb_bytes(11, pb_number(1, 60));
produce_bytes($broker, 'typed', message(60, $typed_value));
sql(q{SELECT txpipe.create_stream('typed', 'shop', 'typed', format => 'protobuf')});
is(sql(sprintf $types, 'typed'), $of_types, 'types are those of the schema');
is( sql(sprintf $comments, 'typed'),
	qq{name: What it is called,\n"as it's" said.; u32: Counted\nfrom 0.; d: Of two parts.; counts: Of a map.; one: One of two.},
	'comments are those before the fields');
wait_for_offset($node, 'typed', 1);
is(sql('SELECT name, i32, u64, at, kind FROM typed'), 'n|-5|7|1970-01-01 00:01:00+00|', 'and the row');
SKIP:
{
	skip 'protoc is not installed', 2 if !grep { -x "$_/protoc" } File::Spec->path;
	my $dir = PostgreSQL::Test::Utils::tempdir();

	append_to_file("$dir/typed.proto", $typed);
	system_or_bail("protoc -I$dir -I/usr/include --include_imports --include_source_info --descriptor_set_out=$dir/set typed.proto");
	produce_bytes($broker, 'typed_set', $typed_value);
	my $base64 = encode_base64(slurp_file("$dir/set"), '');
	sql("SELECT txpipe.create_stream('typed_set', 'bare', 'typed_set', format => 'protobuf', paused => true, options => jsonb_build_object('protobuf_schema', '$base64',
		'protobuf_message', 'shop.Typed'))");
	is(sql(sprintf $types, 'typed_set'), $of_types, 'those of a descriptor set, too');
	is(sql(sprintf $comments, 'typed_set'), sql(sprintf $comments, 'typed'), '... with the comments that protoc found');
}

# --- a later schema, while the registry is away: a field added, one gone, one renamed, one promoted ---

register_file(8, 'message Order { int32 id = 1; string title = 2; double weight = 9; }');
sql(q{CREATE TABLE later (id bigint, name text, placed_at timestamptz)});
sql(q{SELECT txpipe.create_stream('later', 'shop', 'later', 'later', 'protobuf', '{"id": "id", "name": {"path": ["name", "title"]}, "placed_at": "placedAt"}',
	paused => true, options => '{"on_new_field": "column"}')});
produce_bytes($broker, 'later', message(7, order(1, 'a', 0, 0, [], undef)));
sql("SELECT txpipe.resume_stream('later')");
wait_for_offset($node, 'later', 1);
stop_registry($registry);
produce_bytes($broker, 'later', message(8, pb_number(1, -2) . pb_bytes(2, 'b') . "\x49" . pack('d<', 2.5)), message(7, order(3, 'c', 0, 0, [], undef)));
wait_for(
	$node, q{SELECT state = 'error' AND last_error ~* '^08006: the schema registry at ".*" does not give schema 8\. .*connect'
		FROM txpipe.stream_status WHERE stream = 'later'}, 'the status says what is awaited');
is(open_letters($node, 'later') . sql('SELECT count(*) FROM later'), '1', 'nothing is refused or skipped meanwhile');
$registry = start_registry(%{$registry}{qw(dir port)});
wait_for_offset($node, 'later', 3);
is(sql('SELECT id, name, placed_at IS NULL, weight FROM later ORDER BY id'), "-2|b|t|2.5\n1|a|f|\n3|c|f|",
	'it goes on by itself; the new field has a column, one that is gone leaves NULL');
wait_for($node, q{SELECT state = 'running' FROM txpipe.stream_status WHERE stream = 'later'}, 'it runs');

# --- messages that are none ---

register_file(9, 'message { int64 id = 1; }');
register_schema($registry, 10, '"int"');
sql('CREATE TABLE bad (id bigint, name text)');
sql(q{SELECT txpipe.create_stream('bad', 'shop', 'bad', 'bad', 'protobuf', options => '{"schema_timeout": 0}')});
produce_bytes($broker, 'bad', '{"id": 1}', message(7, substr($orders[0], 0, 9)), wire(7, "\4\0\0"), message(7, pb_bytes(1, 'x')), message(9, ''), message(10, ''),
	message(11, ''), message(7, pb_bytes(2, "\xff")), wire(7, "\2\2" . pb_number(1, 5)));
wait_for_offset($node, 'bad', 9);
is( open_letters($node, 'bad'),
	"0 bad_protobuf: the message does not begin with byte 0 and the number of a schema\n"
	  . "1 bad_protobuf: a length beyond the message's end at byte 11\n"
	  . "2 bad_protobuf: a type of message that the schema does not have\n"
	  . "3 bad_protobuf: field \"id\" is not written as its type is at byte 3\n"
	  . "4 bad_schema: schema line 3: a name is expected, not: \"{\"\n"
	  . "5 bad_schema: schema 10: it is of AVRO, not of PROTOBUF\n"
	  . "6 unknown_schema: schema 11 is not in the registry\n"
	  . "7 bad_encoding: invalid UTF-8 at byte 17",
	'each says why');
is(sql('SELECT id FROM bad'), '5', 'the one behind them, of another type of the file, is a row');
register_file(11, $order);
is(sql(q{SELECT replayed, failed FROM txpipe.replay_dead_letters('bad', codes => '{unknown_schema}')}), '1|0', 'a replay asks again');

# --- types of other files ---

# The prices that money.proto imports are nearer by name, but not imported by who means common.Money.
register_file('subjects/prices/versions/1', 'message common { message Money { string text = 1; } }');
register_schema(
	$registry, 'subjects/common%2Fmoney.proto/versions/3',
	'syntax = "proto3"; package common; import "prices.proto"; message Money { int64 cents = 1; shop.common.Money text = 2; }',
	schemaType => 'PROTOBUF', references => [ { name => 'prices.proto', subject => 'prices', version => 1 } ]);
register_file(30, <<'PROTO', references => [ { name => 'common/money.proto', subject => 'common/money.proto', version => 3 } ]);
import "common/money.proto";
import "google/protobuf/wrappers.proto";
message Part {
	common.Money price = 1;
	repeated Kind kinds = 2;
	enum Kind { NEW = 0; OLD = 1; }
	map<string, google.protobuf.Int64Value> sizes = 3;
}
PROTO
sql('CREATE TABLE parts (cents bigint, kinds jsonb, x int)');
sql(q{SELECT txpipe.create_stream('parts', 'shop', 'parts', 'parts', 'protobuf', '{"cents": "price.cents", "kinds": "kinds", "x": "sizes.x"}')});
produce_bytes($broker, 'parts', message(30, pb_bytes(1, pb_number(1, 13)) . pb_bytes(2, "\1\0") . pb_bytes(3, pb_bytes(1, 'x') . pb_bytes(2, pb_number(1, 7)))));
wait_for_offset($node, 'parts', 1);
is(sql('SELECT * FROM parts'), '13|["OLD", "NEW"]|7', 'a schema that refers to another one');
like(registry_log($registry), qr{^subjects/common%2Fmoney\.proto/versions/3$}m, 'which is asked for, too');

# --- schemas of their own ---

# By protoc, of: syntax = "proto3"; package shop; message Own { int64 id = 1; string n = 2; }
my $set = 'Cj4KCW93bi5wcm90bxIEc2hvcCIjCgNPd24SDgoCaWQYASABKANSAmlkEgwKAW4YAiABKAlSAW5iBnByb3RvMw==';
sql('CREATE TABLE own (id bigint, n text, kafka_offset bigint)');
sql("SELECT txpipe.create_stream('own', 'bare', 'own', 'own', 'protobuf', options => jsonb_build_object('protobuf_schema', '$set'))");
produce_bytes($broker, 'own', pb_number(1, 5) . pb_bytes(2, 'v'), pb_number(1, 0), pb_number(1, 6) . 'x');
wait_for_offset($node, 'own', 3);
is(sql('SELECT id, n, kafka_offset FROM own ORDER BY 3'), "5|v|0\n0||1", 'messages, also one in which everything is zero');
is(open_letters($node, 'own'), '2 bad_protobuf: message ends too early at byte 4', 'and one that is none');
my $two = 'syntax = "proto3"; package shop; message A { int64 a = 1; } message Own { int64 id = 1; string n = 2; }';
is( sql("SELECT kafka_offset, decoded ->> 'n', code FROM txpipe.test_stream('shop', 'own', 'own'::regclass, 'protobuf',
		options => jsonb_build_object('protobuf_schema', '$two', 'protobuf_message', 'shop.Own')) ORDER BY 1"),
	"0|v|\n1||\n2||bad_protobuf",
	'a message by its name; with a schema of its own a stream asks no registry');

# --- definitions that cannot work ---

sql('CREATE TABLE other (id bigint)');
my $create = q{SELECT txpipe.create_stream('other', 'bare', 'own', 'other', };
fails_with($node, "$create 'protobuf')", '22023', 'no schema for messages of the format protobuf', 'no schema anywhere');
fails_with($node, "$create 'protobuf', options => jsonb_build_object('protobuf_schema', 'message {}'))", '22023', 'schema line 1: a name is expected', 'a schema that is none');
fails_with($node, "$create 'protobuf', options => jsonb_build_object('protobuf_schema', '$two'))", '22023', 'protobuf_message says which', 'which message');
fails_with($node, "$create 'json', options => jsonb_build_object('protobuf_schema', '$set'))", '22023', 'protobuf_schema needs the format protobuf',
	'a schema for another format');
fails_with($node, "$create 'protobuf', options => jsonb_build_object('protobuf_message', 'a'))", '22023', 'protobuf_message needs the option protobuf_schema',
	'a message of nothing');

log_is_clean($node, qr/ERROR:  the schema registry at/, qr/ERROR:  there is no schema for/, qr/ERROR:  schema[: ]/, qr/ERROR:  option protobuf_/);
stop_broker($broker);
done_testing();
