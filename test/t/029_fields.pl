# The fields of messages: listed with types, counts and places; new ones by on_new_field; and on_error = stop, which
# stops at exactly the message.
use strict;
use warnings;

use Test::More;
use TxpipeTest;

my $broker = start_broker('f1:1', 'f2:1', 'f3:1', 'f4:1', 'f5:1');
my $node   = new_node('fields');

start_node($node);
kafka_server($node, 'shop', $broker);

sub query { return $node->safe_psql('postgres', $_[0]) }

# What was seen, counted here by hand.
produce_lines($broker, 'f1', 0,
	'{"id": 1, "meta": {"source": "a"}, "tags": [1, {"x": 2}]}',
	'{"id": "two", "meta": {"source": null, "deep": {"er": true}}}',
	'not json', '{"id": 3.5, "a.b": 1}');
query(q{CREATE TABLE f1 (id text); SELECT txpipe.create_stream('f1', 'shop', 'f1', 'f1')});
wait_for_offset($node, 'f1', 4);
# Those of a second batch are counted a second later.
wait_for(
	$node, q{SELECT path, array_to_string(json_types, '+'), occurrences, first_offset, last_offset
	FROM txpipe.stream_field WHERE stream = 'f1' ORDER BY path COLLATE "C"},
	'every path with types, count, first and last offset',
	value => join("\n",
		'a\.b|number|1|3|3',
		'id|number+string|3|0|3',
		'meta|object|2|0|1',
		'meta.deep|object|1|1|1',
		'meta.deep.er|boolean|1|1|1',
		'meta.source|null+string|2|0|1',
		'tags|array|1|0|0'));
produce_lines($broker, 'f1', 0, map { qq({"id": $_}) } 1 .. 50);
wait_for_offset($node, 'f1', 54);
wait_for($node, q{SELECT occurrences, last_offset FROM txpipe.stream_field WHERE stream = 'f1' AND path = 'id'},
	'counts go on', value => '53|53');
is(query(q{SELECT sum(messages) FROM txpipe.batch_history WHERE stream = 'f1'}), '54', 'what tells them late is no batch');
is(query(q{SELECT count(*) FROM txpipe.stream_event WHERE stream = 'f1' AND event = 'new_field'}),
	'7', 'each new field is one event');

# A column for each new field, from its first message on.
query(q{CREATE TABLE f2 (id bigint);
	SELECT txpipe.create_stream('f2', 'shop', 'f2', 'f2', options => '{"on_new_field": "column"}')});
produce_lines($broker, 'f2', 0, '{"id": 1}', '{"id": 2, "unitPrice": 2.50, "isGift": true, "note": null}',
	'{"id": 3, "meta": {"a": 1}, "note": "x"}');
wait_for_offset($node, 'f2', 3);
is(query('SELECT id, unit_price, is_gift, meta, note FROM f2 ORDER BY id'),
	"1||||\n2|2.50|t||\n3|||{\"a\": 1}|x", 'every value is in its new column');
is( query(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attname)
	FROM pg_attribute WHERE attrelid = 'f2'::regclass AND attnum > 0}),
	'id bigint, is_gift boolean, meta jsonb, note text, unit_price numeric', 'the columns have names and types');

# A mapping gets the path.
query(q{CREATE TABLE f3 (id bigint, category text);
	SELECT txpipe.create_stream('f3', 'shop', 'f3', 'f3', columns => '{"id": "id", "category": "metadata.category"}',
		options => '{"on_new_field": "column"}')});
produce_lines($broker, 'f3', 0, '{"id": 1, "metadata": {"category": "Books", "source": "Search"}}');
wait_for_offset($node, 'f3', 1);
is(query('SELECT id, category, metadata_source FROM f3'), '1|Books|Search', 'a field beside a mapped one');
is(query(q{SELECT columns->>'metadata_source' FROM txpipe.stream WHERE stream = 'f3'}),
	'metadata.source', 'the mapping names it');

# Stop at a new field, once.
query(q{CREATE TABLE f4 (id bigint);
	SELECT txpipe.create_stream('f4', 'shop', 'f4', 'f4', options => '{"on_new_field": "stop"}')});
produce_lines($broker, 'f4', 0, '{"id": 1}');
wait_for_offset($node, 'f4', 1);
produce_lines($broker, 'f4', 0, '{"id": 2, "surprise": 1}');
wait_for($node, q{SELECT state FROM txpipe.stream_status WHERE stream = 'f4'}, 'f4 is paused', value => 'paused');
like(query(q{SELECT reason FROM txpipe.stream_status WHERE stream = 'f4'}),
	qr/field "surprise" \(number\) is new: offset 1 of partition 0 of topic "f4"/, 'the reason names field and place');
is(query('SELECT count(*) FROM f4'), '1', 'nothing of it was written');
query(q{SELECT txpipe.resume_stream('f4')});
wait_for_offset($node, 'f4', 2);
is(query('SELECT count(*) FROM f4'), '2', 'resumed, it goes on');

# on_error = stop: what the decoder refuses, and what PostgreSQL refuses.
query(q{CREATE TABLE f5 (id bigint CHECK (id <> 7));
	SELECT txpipe.create_stream('f5', 'shop', 'f5', 'f5', paused => true, options => '{"on_error": "stop"}')});
produce_lines($broker, 'f5', 0, '{"id": 1}', '{"id": 2}', '{"id": oops}', '{"id": 4}', '{"id": 7}', '{"id": 8}');
query(q{SELECT txpipe.resume_stream('f5')});
wait_for($node, q{SELECT state FROM txpipe.stream_status WHERE stream = 'f5'}, 'f5 is paused', value => 'paused');
is(query(q{SELECT next_offset FROM txpipe.stream_partition WHERE stream = 'f5'}), '2', 'stopped at exactly the message');
is(query(q{SELECT string_agg(id::text, ',' ORDER BY id) FROM f5}), '1,2', 'what was before it is there');
like(query(q{SELECT reason FROM txpipe.stream_status WHERE stream = 'f5'}),
	qr/offset 2 of partition 0 of topic "f5": bad_json: /, 'the reason says why');
is(query(q{SELECT count(*) FROM txpipe.dead_letter WHERE stream = 'f5'}), '0', 'no dead letter');
query(q{UPDATE txpipe.stream_offset SET next_offset = 3 FROM txpipe.stream s WHERE s.stream = 'f5' AND s.stream_id = stream_offset.stream_id;
	SELECT txpipe.resume_stream('f5')});
wait_for($node, q{SELECT state || ' ' || (SELECT next_offset FROM txpipe.stream_partition WHERE stream = 'f5') FROM txpipe.stream_status WHERE stream = 'f5'},
	'f5 is paused at the refused row', value => 'paused 4');
is(query(q{SELECT string_agg(id::text, ',' ORDER BY id) FROM f5}), '1,2,4', 'the row before it is there');
like(query(q{SELECT reason FROM txpipe.stream_status WHERE stream = 'f5'}), qr/offset 4 .*23514/, 'the reason has the SQLSTATE');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to/);
stop_broker($broker);
done_testing();
