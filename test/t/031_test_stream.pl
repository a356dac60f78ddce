# Before a stream exists: what test_stream shows, the table create_stream infers from a topic, and what it says of a
# mapping that does not fit. Topics full of garbage included.
use strict;
use warnings;

use Test::More;
use TxpipeTest;

my @topics = qw(orders types names empty nulls words wide hostile mixed times texts bytes csvs keyed mapped exists);
my $broker = start_broker((map { "$_:1" } @topics), 'two:2', 'more:1');
my $node   = new_node('infer');

start_node($node);
kafka_server($node, 'shop', $broker);

sub query { return $node->safe_psql('postgres', $_[0]) }

sub lines { return join "\n", @_ }

# Output and notices of a statement that passes.
sub told
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 1);

	is($rc, 0, 'passes: ' . substr($sql, 0, 60)) or diag($err);
	return ($out, $err);
}

sub fails
{
	my ($sql, $state, $message, $what, %opt) = @_;
	my $error = error_of($node, $sql, %opt);

	like(($error->{state} // 'none') . ' ' . ($error->{message} // ''), qr/^$state .*$message/, $what);
	return;
}

sub columns_of
{
	my ($table) = @_;

	return query("SELECT attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
		FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum");
}

my @own = ('rest jsonb', 'kafka_partition integer', 'kafka_offset bigint',
	'kafka_timestamp timestamp with time zone');

# --- test_stream ---

produce_lines($broker, 'orders', 0,
	'{"id": 1, "customerId": 7, "total": 2.50, "mood": "good", "address": {"city": "Köln"}}',
	'{"id": 2, "customerId": "many", "total": 1, "mood": "good"}',
	'not json', '{"id": null, "customerId": 8}', '{"id": 5, "mood": "unheard of"}');
is(query(q{SELECT count(*) FROM generate_series(1, 20) i, txpipe.peek('shop', 'orders', 5 + 0 * i)}), '100',
	'every sample is whole');
query(q{CREATE TYPE mood AS ENUM ('good', 'bad');
	CREATE TABLE orders (id bigint NOT NULL, customer_id integer, total numeric, never text, kafka_offset bigint);
	CREATE TABLE moods (id bigint, mood mood)});
my ($out, $err) = told(q{SELECT kafka_topic, kafka_partition, kafka_offset, kafka_timestamp IS NOT NULL, decoded, code, column_name,
	message <> '', left(payload_text, 9) FROM txpipe.test_stream('shop', 'orders', 'orders')});
is($out,
	lines(
		'orders|0|0|t|{"id": 1, "never": null, "total": 2.50, "customer_id": 7, "kafka_offset": 0}||||{"id": 1,',
		'orders|0|1|t||bad_value|customer_id|t|{"id": 2,',
		'orders|0|2|t||bad_json||t|not json',
		'orders|0|3|t||missing_value|id|t|{"id": nu',
		'orders|0|4|t|{"id": 5, "never": null, "total": null, "customer_id": null, "kafka_offset": 4}||||{"id": 5,'),
	'each message with its row, or with the reason');
like($err, qr/NOTICE:  none of 5 sampled messages of topic "orders" fills "never"\n/, 'the column that stays empty');
like($err, qr/DETAIL:  Fields seen: "id", "customerId", "total", "mood", "address", "address\.city"\./, 'and the fields that were seen');
is(query(q{SELECT string_agg(coalesce(code, decoded->>'mood', 'null'), ',' ORDER BY kafka_offset)
	FROM txpipe.test_stream('shop', 'orders', 'moods')}),
	'good,good,bad_json,null,22P02', 'values that only PostgreSQL can judge are judged by it');
is(query(q{SELECT string_agg(decoded->>'city', ',') FROM txpipe.test_stream('shop', 'orders', columns => '{"city": "address.city"}')}),
	'Köln', 'a mapping without a table');
is(query(q{SELECT count(*) FROM txpipe.test_stream('shop', 'orders', 'orders', max_messages => 2)}), '2', 'as many as asked for');
is(query('SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM txpipe.stream), (SELECT count(*) FROM txpipe.stream_offset)'),
	'0|0|0', 'nothing is kept');
is(query(q{BEGIN READ ONLY; SELECT count(*) FROM txpipe.test_stream('shop', 'orders', 'orders'); COMMIT}), '5', 'not even an attempt');
produce_lines($broker, 'two', $_, map { qq({"n": $_}) } 1 .. 50) for 0, 1;
is(query(q{SELECT string_agg(kafka_partition || ':' || n, ' ' ORDER BY kafka_partition)
	FROM (SELECT kafka_partition, count(*) AS n FROM txpipe.test_stream('shop', 'two', columns => '{"n": "n"}', max_messages => 20) GROUP BY 1) p}),
	'0:10 1:10', 'messages are shared out over the partitions');
($out, $err) = told(q{SELECT kafka_offset, decoded->>'customer_id' FROM txpipe.test_stream('shop', 'orders', max_messages => 2)});
is($out, "0|7\n1|many", 'without a table, rows of the one that would be inferred');
like($err, qr/DETAIL:  id bigint, customer_id text, total numeric, mood text, address jsonb, rest jsonb, kafka_partition /,
	'whose columns are told');
is(query(q{SELECT to_regclass('public.orders') IS NOT NULL, count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace}),
	't|2', 'it is not made');
fails(q{SELECT * FROM txpipe.test_stream('shop', 'empty')}, '55000', 'holds no message to infer', 'nothing to infer from');
is(query(q{SELECT count(*) FROM txpipe.test_stream('shop', 'empty', 'orders')}), '0', 'an empty topic has nothing to show');
fails(q{SELECT * FROM txpipe.test_stream('shop', 'nowhere', 'orders')}, '42704', 'nowhere', 'no such topic');
fails(q{SELECT * FROM txpipe.test_stream('shop', 'orders', 'orders', columns => '{"nope": "id"}')}, '42703', 'nope', 'no such column');
fails(q{SELECT * FROM txpipe.test_stream('shop', 'orders', 'orders', columns => '{"id": {"path": "id", "default": "x"}}')},
	'22023', 'the default does not fit: invalid input for bigint: "x"', 'a default that does not fit');
fails(q{SELECT * FROM txpipe.test_stream('shop', 'orders', 'pg_stat_activity')}, '42809', 'not a table', 'a view');
fails(q{SELECT * FROM txpipe.test_stream('shop', 'orders', 'orders', max_messages => 0)}, '22023', 'max_messages', 'no messages');

# Rights are those of create_stream.
query(q{CREATE ROLE guest LOGIN; GRANT USAGE ON SCHEMA txpipe TO guest;
	CREATE SCHEMA guest_room; GRANT USAGE ON SCHEMA guest_room TO guest});
my @guest = (extra_params => [ '-U', 'guest' ]);
my $guest_test = q{SELECT count(*) FROM txpipe.test_stream('shop', 'orders', 'orders')};
fails($guest_test, '42501', 'test_stream', 'EXECUTE is granted to nobody', @guest);
query('GRANT EXECUTE ON FUNCTION txpipe.test_stream, txpipe.create_stream TO guest');
fails($guest_test, '42501', 'orders', 'INSERT on the table', @guest);
query('GRANT INSERT ON orders TO guest');
fails($guest_test, '42501', 'shop', 'USAGE on the server', @guest);
query('GRANT USAGE ON FOREIGN SERVER shop TO guest');
is(error_of($node, $guest_test, @guest), undef, 'that is all it takes');
fails(q{SELECT txpipe.create_stream('mine', 'shop', 'orders', target_schema => 'guest_room')}, '42501', 'guest_room',
	'CREATE on the schema of an inferred table', @guest);
query('GRANT CREATE ON SCHEMA guest_room TO guest');
is(error_of($node, q{SET search_path = guest_room; SELECT txpipe.create_stream('mine', 'shop', 'orders')}, @guest),
	undef, 'a table in the current schema');
is(query(q{SELECT relowner::regrole, relnamespace::regnamespace FROM pg_class WHERE relname = 'mine'}), 'guest|guest_room', 'it is the caller\'s');
wait_for_offset($node, 'mine', 5);
is(query('SELECT count(*) FROM guest_room.mine'), '4', 'and is filled');

# --- inferred tables ---

produce_lines($broker, 'types', 0,
	'{"orderId": 1, "price": 1, "paid": true, "at": "2024-02-29T10:00:00Z", "note": "a", "tags": [1, "x"], "meta": {"a": 1}, "big": 9223372036854775808}',
	'{"orderId": -9223372036854775808, "price": 1.25, "paid": null, "at": "2024-03-01 11:30:00.123456+05:30", "note": 5, "tags": null, "meta": 7, "big": 1}',
	'{"extra": null}');
query(q{SELECT txpipe.create_stream('types', 'shop', 'types')});
is(columns_of('types'),
	lines('order_id bigint', 'price numeric', 'paid boolean', 'at timestamp with time zone', 'note text', 'tags jsonb', 'meta jsonb', 'big numeric', @own),
	'types that hold what was seen, no column NOT NULL');
wait_for_offset($node, 'types', 3);
is(query('SELECT order_id, price, paid, at, note, tags, meta, big, rest, kafka_partition, kafka_offset FROM types ORDER BY kafka_offset'),
	lines(
		'1|1|t|2024-02-29 10:00:00+00|a|[1, "x"]|{"a": 1}|9223372036854775808|{}|0|0',
		'-9223372036854775808|1.25||2024-03-01 06:00:00.123456+00|5||7|1|{}|0|1',
		'||||||||{"extra": null}|0|2'),
	'every value, and every field');
is(query(q{SELECT columns->>'order_id', columns->>'rest', columns->>'kafka_offset', jsonb_typeof(columns) FROM txpipe.stream WHERE stream = 'types'}),
	'orderId|$rest|kafka_offset|object', 'the mapping is stored');
is(query(q{SELECT obj_description('types'::regclass), col_description('types'::regclass, 1)}),
	'Messages of the Kafka topic types, by the stream types|Mapped from orderId', 'comments say where it comes from');
produce_lines($broker, 'types', 0, '{"orderId": 2, "surprise": {"deep": [1]}}');
wait_for_offset($node, 'types', 4);
is(query('SELECT rest FROM types WHERE order_id = 2'), '{"surprise": {"deep": [1]}}', 'what comes later goes to the rest');

# Times are times only when all of them are, beyond doubt.
produce_lines($broker, 'times', 0,
	'{"zoned": "2024-01-01T00:00:00+01", "local": "2024-01-01T00:00:00", "day": "2024-01-01", "never": "2024-02-30T00:00:00Z", "us": "01/02/2024 10:00", "some": "2024-01-01T00:00Z", "late": "2024-01-01T24:00:00Z", "nano": "2024-01-01T00:00:00.123456789Z", "stamp": 1704067200}',
	'{"some": "soon", "zoned": "2024-01-01 00:00Z", "nano": "2024-12-31T23:59:59.9-0330"}');
query(q{SELECT txpipe.create_stream('times', 'shop', 'times')});
is(columns_of('times'),
	lines('zoned timestamp with time zone', 'local text', 'day text', 'never text', 'us text', 'some text', 'late text', 'nano timestamp with time zone', 'stamp bigint', @own),
	'a time has a date that exists and a zone');
wait_for_offset($node, 'times', 2);
is(query('SELECT local, zoned, nano FROM times ORDER BY kafka_offset'),
	lines('2024-01-01T00:00:00|2023-12-31 23:00:00+00|2024-01-01 00:00:00.123457+00', '|2024-01-01 00:00:00+00|2025-01-01 03:29:59.9+00'),
	'nothing of it is refused');

# Names.
produce_lines($broker, 'names', 0,
	q({"userId": 1, "user_id": 2, "USERID": 3, "user_id_2": 4, "select": 5, "xmin": 6, "ctid": 7, "tableoid": 8, "a.b": 9, "with \"quotes\"; DROP TABLE orders; --": 10, "größe": 11, "1st": 12, "$rest": 13, "back\\\\slash": 14, "kafkaOffset": 15, "rest": 16, "kafka_offset": 17, "": 18, "€": 19, "  ": 20, "HTTPServer": 21}),
	'{"' . 'x' x 70 . '": 1, "' . 'x' x 71 . '": 2}');
($out, $err) = told(q{SELECT txpipe.create_stream('names', 'shop', 'names')});
like($err, qr/NOTICE:  2 fields of topic "names" get no column, but go into "rest"\nDETAIL:  "kafka_offset", ""\./, 'names no mapping can reach');
is( columns_of('names'),
	lines(
		'user_id bigint', 'user_id_2 bigint', 'userid bigint', 'user_id_2_2 bigint', 'select bigint', 'xmin_2 bigint', 'ctid_2 bigint', 'tableoid_2 bigint',
		'a_b bigint', 'with__quotes___drop_table_orders____ bigint', 'größe bigint', '_1st bigint', '_rest bigint', 'back_slash bigint', 'kafka_offset_2 bigint',
		'rest_2 bigint', '€ bigint', '__ bigint', 'http_server bigint', 'x' x 63 . ' bigint', 'x' x 61 . '_2 bigint', @own),
	'snake_case, unique, no one in another one\'s place');
wait_for_offset($node, 'names', 2);
is(query(q{SELECT array_to_string(ARRAY[user_id, user_id_2, userid, user_id_2_2, "select", xmin_2, ctid_2, tableoid_2, a_b, with__quotes___drop_table_orders____, "größe",
	_1st, _rest, back_slash, kafka_offset_2, rest_2, "€", __, http_server], ','), rest FROM names WHERE kafka_offset = 0}),
	'1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,19,20,21|{"": 18, "kafka_offset": 17}', 'each column has its own field');
is(query('SELECT ' . 'x' x 63 . ', ' . 'x' x 61 . '_2 FROM names WHERE kafka_offset = 1'), '1|2', 'long names too');

# Names of streams are names of tables.
produce_lines($broker, 'words', 0, '{"a": 1}');
query(q{SELECT txpipe.create_stream('Odd "name"; DROP TABLE orders; --', 'shop', 'words')});
is(query(q{SELECT count(*) FROM pg_class WHERE relname = 'Odd "name"; DROP TABLE orders; --'}), '1', 'any name');
fails(q{SELECT txpipe.create_stream('orders', 'shop', 'words')}, '42P07', 'already exists', 'a table of that name is not taken');
fails(q{SELECT txpipe.create_stream(repeat('n', 64), 'shop', 'words')}, '42622', 'too long', 'a name that is too long');
fails(q{SET search_path = ''; SELECT txpipe.create_stream('nowhere', 'shop', 'words')}, '3F000', 'schema', 'no current schema');
is(query(q{SELECT count(*) FROM txpipe.stream WHERE stream = 'orders' OR stream LIKE 'n%e'}), '0', 'what failed left nothing');
is(query(q{SELECT count(*) FROM orders}), '0', 'orders is still there');

# --- garbage ---

fails(q{SELECT txpipe.create_stream('empty', 'shop', 'empty')}, '55000', 'holds no message', 'an empty topic');
is(query(q{SELECT to_regclass('empty') IS NULL, count(*) FROM txpipe.stream WHERE stream = 'empty'}), 't|0', 'leaves nothing');
produce_lines($broker, 'nulls', 0, '{"a": null, "b": null}', '{}', '[1]', '17', 'null', '{"a": 1, "a":', '');
fails(q{SELECT txpipe.create_stream('nulls', 'shop', 'nulls')}, '55000', 'is an object with a field that is not null', 'nothing but nulls');
produce_lines($broker, 'nulls', 0, '{"b": false}');
($out, $err) = told(q{SELECT txpipe.create_stream('nulls', 'shop', 'nulls', paused => true)});
like($err, qr/1 field of topic "nulls" gets no column, but goes into "rest"\nDETAIL:  "a"\./, 'a field that was always null');
is(columns_of('nulls'), lines('b boolean', @own), 'gets no column');

produce_lines($broker, 'hostile', 0, '[' x 100000, '{"a":' x 100000, '"' x 999, "{\"\xff\xfe\": 1}", '{"a\u0000b": 1}', '{"\ud800": 1}',
	'{"n": ' . '9' x 1000 . '}', '{"n": 1e5, "d": 1, "d": "x"}');
query(q{SELECT txpipe.create_stream('hostile', 'shop', 'hostile')});
is(columns_of('hostile'), lines('n numeric', 'd text', @own), 'what can be read is');
wait_for_offset($node, 'hostile', 8);
is(query(q{SELECT (SELECT count(*) FROM hostile), (SELECT count(*) FROM txpipe.dead_letter WHERE stream = 'hostile'), (SELECT max(length(n::text)) FROM hostile)}),
	'1|7|1000', 'the others are dead letters');

produce_lines($broker, 'mixed', 0, '{"v": 1, "w": true, "x": {"a": 1}, "y": 1.5}', '{"v": "a", "w": 1, "x": "s", "y": [2]}', '{"v": true, "w": null, "x": 3, "y": null}');
query(q{SELECT txpipe.create_stream('mixed', 'shop', 'mixed')});
is(columns_of('mixed'), lines('v text', 'w text', 'x jsonb', 'y jsonb', @own), 'mixed types');
wait_for_offset($node, 'mixed', 3);
is(query('SELECT v, w, x, y FROM mixed ORDER BY kafka_offset'), "1|true|{\"a\": 1}|1.5\na|1|\"s\"|[2]\ntrue||3|", 'hold every value');

# A thousand keys, three of them in every message.
produce_lines($broker, 'wide', 0,
	map { my $i = $_; '{' . join(', ', map({ sprintf '"k%d": "%s"', $i * 10 + $_, 'v' x 100 } 0 .. 9), '"last": 1, "two": 2, "three": 3') . '}' } 0 .. 99);
($out, $err) = told(q{SELECT txpipe.create_stream('wide', 'shop', 'wide')});
like($err, qr/753 fields of topic "wide" get no column/, 'a thousand keys');
is(query(q{SELECT count(*), count(*) FILTER (WHERE attname IN ('last', 'two', 'three')) FROM pg_attribute WHERE attrelid = 'wide'::regclass AND attnum > 0}),
	'254|3', 'the most frequent ones have columns');
wait_for_offset($node, 'wide', 100);
is(query(q{SELECT count(*), sum(last), count(*) FILTER (WHERE rest->>('k' || kafka_offset * 10) = repeat('v', 100)) FROM wide}),
	'100|100|75', 'the others are in the rest');

# --- other formats, keys, mappings ---

produce_lines($broker, 'texts', 0, 'a', 'b');
query(q{SELECT txpipe.create_stream('texts', 'shop', 'texts', format => 'text')});
is(columns_of('texts'), lines('value text', @own[ 1 .. 3 ]), 'text is one column');
wait_for_offset($node, 'texts', 2);
is(query(q{SELECT string_agg(value, ',' ORDER BY kafka_offset) FROM texts}), 'a,b', 'with the messages');
query(q{SELECT txpipe.create_stream('bytes', 'shop', 'texts', format => 'bytea', paused => true)});
is(columns_of('bytes'), lines('value bytea', @own[ 1 .. 3 ]), 'bytea too');
fails(q{SELECT txpipe.create_stream('csvs', 'shop', 'texts', format => 'csv')}, '0A000', 'csv', 'CSV has no names');
query(q{SELECT txpipe.create_stream('csvs', 'shop', 'csvs', format => 'csv', columns => '{"id": {"path": "1", "type": "bigint"}, "name": "2"}')});
produce_lines($broker, 'csvs', 0, '1,"a, b"');
is(query(q{SELECT string_agg(attname || ' ' || atttypid::regtype, ',' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'csvs'::regclass AND attnum > 0}),
	'id bigint,name text', 'but a mapping has, and types');
wait_for_offset($node, 'csvs', 1);
is(query('SELECT id, name FROM csvs'), '1|a, b', 'and works');
is(query(q{SELECT columns FROM txpipe.stream WHERE stream = 'csvs'}), '{"id": {"path": "1"}, "name": "2"}', 'types are the table\'s then');

produce_lines($broker, 'keyed', 0, '{"shopId": 1, "sku": "a", "n": 1}', '{"shopId": 1, "sku": "a", "n": 2}', '{"shopId": 1, "sku": "b", "n": 3}');
query(q{SELECT txpipe.create_stream('keyed', 'shop', 'keyed', key_columns => '{shopId,sku}')});
wait_for_offset($node, 'keyed', 3);
is(query(q{SELECT string_agg(shop_id || sku || n, ' ' ORDER BY sku) FROM keyed}), '1a2 1b3', 'key columns, by field, are the primary key');
is(query(q{SELECT key_columns FROM txpipe.stream WHERE stream = 'keyed'}), '{shop_id,sku}', 'stored as columns');
fails(q{SELECT txpipe.create_stream('k2', 'shop', 'keyed', key_columns => '{nope}')}, '42703', 'nope', 'an unknown key');
fails(q{SELECT txpipe.create_stream('k2', 'shop', 'keyed', options => '{"mode": "upsert"}')}, '22023', 'needs key_columns', 'no key');
query(q{SELECT txpipe.create_stream('all', 'shop', 'keyed,two', options => '{"mode": "append"}')});
is(columns_of('"all"'), lines('shop_id bigint', 'sku text', 'n bigint', 'rest jsonb', 'kafka_topic text', @own[ 1 .. 3 ]), 'several topics are told apart');
wait_for_offset($node, 'all', 103);
is(query(q{SELECT string_agg(kafka_topic || n, ' ' ORDER BY kafka_topic) FROM (SELECT kafka_topic, count(*) AS n FROM "all" GROUP BY 1) t}), 'keyed3 two100', 'in their rows');

# --- what create_stream says of a mapping ---

query('CREATE TABLE mapped (id bigint, customer_id bigint, extra text, loaded_at timestamptz DEFAULT now())');
produce_lines($broker, 'mapped', 0, '{"id": 1, "customer": {"id": 5}}');
($out, $err) = told(q{SELECT txpipe.create_stream('mapped', 'shop', 'mapped', 'mapped')});
like($err, qr/NOTICE:  none of 1 sampled messages of topic "mapped" fills "customer_id", "extra"\nDETAIL:  Fields seen: "id", "customer", "customer\.id"\.\nHINT:  /,
	'columns without a field');
($out, $err) = told(q{SELECT txpipe.create_stream('mapped2', 'shop', 'mapped', 'mapped', columns => '{"customer_id": "customer.id"}')});
unlike($err, qr/NOTICE|WARNING/, 'a mapping that fits');
($out, $err) = told(q{SELECT txpipe.create_stream('mapped3', 'shop', 'mapped', 'mapped', columns => '{"id": {"path": "nope", "required": true}}')});
like($err, qr/WARNING:  none of 1 sampled messages of topic "mapped" can become a row\nDETAIL:  .*missing_value/, 'one that does not at all');
for my $paused ('true', 'false')
{
	fails(qq{SELECT txpipe.create_stream('m4', 'shop', 'mapped', 'mapped', paused => $paused, columns => '{"id": {"path": "id", "default": "x"}}')},
		'22023', 'the default does not fit: invalid input for bigint: "x"', "a default that does not fit, paused $paused");
}
fails(q{SELECT txpipe.alter_stream('mapped', columns => '{"id": {"path": "id", "default": "x"}}')}, '22023', 'the default does not fit: invalid input for bigint: "x"', 'nor can it be altered in');

# if_not_exists
($out, $err) = told(q{SELECT txpipe.create_stream('mapped', 'shop', 'mapped', 'mapped', if_not_exists => true)});
like($err, qr/NOTICE:  stream "mapped" already exists, skipping$/m, 'there already');
unlike($err, qr/DETAIL/, 'and the same');
($out, $err) = told(q{SELECT txpipe.create_stream('mapped', 'shop', 'orders', if_not_exists => true)});
like($err, qr/skipping\nDETAIL:  It is another one: from topic "mapped" of server "shop", format json, into public\.mapped\./, 'another one');
is(query(q{SELECT topic FROM txpipe.stream WHERE stream = 'mapped'}), 'mapped', 'is left as it is');
fails(q{SELECT txpipe.create_stream('mapped', 'shop', 'mapped', 'mapped')}, '42710', 'already exists', 'without it, an error');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to|holds no message|to infer|already exists|too long|no schema|permission denied|does not exist|not a table|max_messages|the default does not fit|sampled messages|no table can be inferred|key column|needs key_columns/);
stop_broker($broker);
done_testing();
