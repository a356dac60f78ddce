# Shapes of messages: change events of Debezium that make a copy of a table, several rows in a message, elements of
# arrays by path, CloudEvents.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker(
	qw(changes:3 wrapped:1 shuffled:1 odd:1 orders:2 refused:1 pieces:1 lines:1 elements:1 events:1 stopping:1));
my $node   = new_node('shapes');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# --- a capture ---

# Lines of the query, key, tab and value, or no value, as messages; without a partition each goes to that of its key.
sub produce_keyed
{
	my ($topic, $lines) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/capture';

	open my $fh, '>', $file or die $!;
	print $fh "$lines\n";
	close $fh;
	system_or_bail('kcat', '-P', '-b', $broker->{servers}, '-t', $topic, '-K', "\t", '-Z', '-l', $file);
	return scalar(() = $lines =~ /^/mg);
}

$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql('source', <<'SQL');
CREATE TABLE customer (shop text, id int, name text, credit numeric(12, 2), note text, tags jsonb, changed_at timestamptz NOT NULL,
	PRIMARY KEY (shop, id));
CREATE TABLE capture (n bigserial PRIMARY KEY, key jsonb, value jsonb);
-- What Debezium makes of a change; a deleted row has a tombstone behind it, a changed key is a delete and an insert.
CREATE FUNCTION event(op text, before jsonb, after jsonb) RETURNS void LANGUAGE sql BEGIN ATOMIC
	INSERT INTO capture (key, value)
	SELECT jsonb_build_object('id', coalesce(after, before) -> 'id', 'shop', coalesce(after, before) -> 'shop'),
		jsonb_build_object('before', before, 'after', after, 'op', op, 'ts_ms', 1700000000000,
			'source', jsonb_build_object('db', 'source', 'table', 'customer', 'lsn', currval('capture_n_seq') + 1000));
	INSERT INTO capture (key)
	SELECT jsonb_build_object('id', before -> 'id', 'shop', before -> 'shop') WHERE op = 'd';
END;
CREATE FUNCTION capture() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		PERFORM event('c', NULL, to_jsonb(NEW));
	ELSIF TG_OP = 'DELETE' THEN
		PERFORM event('d', to_jsonb(OLD), NULL);
	ELSIF (OLD.shop, OLD.id) IS DISTINCT FROM (NEW.shop, NEW.id) THEN
		PERFORM event('d', to_jsonb(OLD), NULL);
		PERFORM event('c', NULL, to_jsonb(NEW));
	ELSE
		PERFORM event('u', to_jsonb(OLD), to_jsonb(NEW));
	END IF;
	RETURN NULL;
END $$;
-- A snapshot of what was there, then what happens.
INSERT INTO customer SELECT 's' || i % 3, i, 'name ' || i, i * 1.25, NULL, '[]', now() FROM generate_series(1, 300) i;
SELECT nextval('capture_n_seq');
SELECT count(event('r', NULL, to_jsonb(c))) FROM customer c;
CREATE TRIGGER capture AFTER INSERT OR UPDATE OR DELETE ON customer FOR EACH ROW EXECUTE FUNCTION capture();
SELECT setseed(0.5);
DO $$
DECLARE
	who int;
BEGIN
	FOR i IN 1 .. 3000 LOOP
		who := 1 + (random() * 500)::int;
		CASE (random() * 5)::int
			WHEN 0 THEN
				DELETE FROM customer WHERE id = who;
			WHEN 1, 2 THEN
				INSERT INTO customer VALUES ('s' || who % 3, who, E'new "ä" \\ ' || i, i / 7.0, 'note' || i, jsonb_build_array(i), now())
				ON CONFLICT (shop, id) DO NOTHING;
			WHEN 3 THEN
				UPDATE customer SET shop = CASE WHEN shop = 'moved' THEN 's' || who % 3 ELSE 'moved' END
				WHERE id = who AND NOT EXISTS (SELECT FROM customer c WHERE c.id = who AND c.shop <> customer.shop);
			ELSE
				UPDATE customer SET credit = -i / 3.0, note = nullif(i % 4, 0)::text, tags = tags || to_jsonb(i), changed_at = clock_timestamp()
				WHERE id = who;
		END CASE;
	END LOOP;
END $$;
SQL
my ($lsn, $ops) = split /\|/,
  $node->safe_psql('source', q{SELECT max((value #>> '{source,lsn}')::int), string_agg(DISTINCT value ->> 'op', '' ORDER BY value ->> 'op') FROM capture});
is($ops, 'cdru', 'the capture has every kind of change');
my $capture = $node->safe_psql('source', q{SELECT key::text || E'\t' || coalesce(value::text, '') FROM capture ORDER BY n});
my $wrapped = $node->safe_psql(
	'source', q{SELECT jsonb_build_object('schema', jsonb_build_object('type', 'struct', 'name', 'customer.Key'), 'payload', key)::text || E'\t'
		|| coalesce(jsonb_build_object('schema', jsonb_build_object('type', 'struct', 'fields', '[]'::jsonb), 'payload', value)::text, '')
	FROM capture ORDER BY n});

my $dump = PostgreSQL::Test::Utils::tempdir() . '/customer';
$node->safe_psql('source', "COPY customer TO '$dump'");
sql(<<'SQL');
CREATE TABLE truth (shop text, id int, name text, credit numeric(12, 2), note text, tags jsonb, changed_at timestamptz);
CREATE TABLE customer (LIKE truth, lsn bigint, op text, PRIMARY KEY (shop, id));
CREATE TABLE wrapped (LIKE truth, PRIMARY KEY (shop, id));
SQL
sql("COPY truth FROM '$dump'");
cmp_ok(sql('SELECT count(*) FROM truth'), '>', 100, 'rows are left at the end');

# What one has and the other has not, both ways; jsonb and numeric by their own equality.
sub difference
{
	my ($table) = @_;
	my $columns = 'shop, id, name, credit, note, tags, changed_at';

	return sql("SELECT (SELECT count(*) FROM (SELECT $columns FROM $table EXCEPT TABLE truth) a)
		|| ' ' || (SELECT count(*) FROM (TABLE truth EXCEPT SELECT $columns FROM $table) b)");
}

# --- Debezium ---

my $columns = join ', ', map { qq("$_": "$_") } qw(shop id name credit note tags changed_at);
sql(qq{SELECT txpipe.create_stream('changes', 'shop', 'changes', 'customer',
	columns => '{$columns, "lsn": "\$envelope.source.lsn", "op": "\$envelope.op"}',
	options => '{"mode": "upsert_delete", "envelope": "debezium", "batch_rows": "50"}')});
sql(q{SELECT txpipe.create_stream('wrapped', 'shop', 'wrapped', 'wrapped',
	options => '{"mode": "upsert_delete", "envelope": "debezium"}')});
my $sent = produce_keyed('changes', $capture);
cmp_ok($sent, '>', 2000, "$sent messages");
wait_for_offset($node, 'changes', $sent);
is(open_letters($node, 'changes'), '', 'no message is refused');
is(difference('customer'), '0 0', 'the table is equal to its source');
is(sql("SELECT max(lsn) FROM customer WHERE lsn > $lsn"), '', 'what is around the fields fills columns');
is(sql("SELECT count(*) FROM customer WHERE lsn IS NULL OR op NOT IN ('c', 'r', 'u')"), '0', '... of each row');

is(produce_keyed('wrapped', $wrapped), $sent, 'the same with schemas, of key and value');
wait_for_offset($node, 'wrapped', $sent);
is(open_letters($node, 'wrapped'), '', 'no message is refused');
is(difference('wrapped'), '0 0', 'the table is equal to its source');

# In no order at all: the log sequence number says which event is the later one, also of a delete.
sql('CREATE TABLE shuffled (LIKE truth, lsn bigint, PRIMARY KEY (shop, id))');
sql(qq{SELECT txpipe.create_stream('shuffled', 'shop', 'shuffled', 'shuffled', columns => '{$columns, "lsn": "\$envelope.source.lsn"}',
	options => '{"mode": "upsert_delete", "envelope": "debezium", "version_column": "lsn", "batch_rows": "100"}')});
my $shuffled = produce_keyed(
	'shuffled',
	$node->safe_psql('source', q{SELECT setseed(0.25); SELECT key::text || E'\t' || value::text FROM capture WHERE value IS NOT NULL ORDER BY random()})
	  =~ s/^\n//r);
wait_for_offset($node, 'shuffled', $shuffled);
is(open_letters($node, 'shuffled'), '', 'no message is refused');
is(difference('shuffled'), '0 0', 'the table is equal to its source, whatever the order of events');

# Once more from the beginning, and all of it twice, while processes are killed.
sql("SELECT txpipe.seek_stream('changes', 'earliest')");
my $kills = 0;
my $more  = 2 * $sent;
produce_keyed('changes', $capture);
for my $round (1 .. 6)
{
	my $read = $more * $round / 7;

	wait_for($node, "SELECT sum(next_offset) >= $read FROM txpipe.stream_partition WHERE stream = 'changes'", "$read messages are read");
	my $worker = worker_pid($node) || next;
	my $victim = $round % 3 ? child_pid($worker) : $worker;
	$kills += kill($round % 3 ? 'KILL' : 'TERM', $victim) if $victim;
}
cmp_ok($kills, '>=', 3, "$kills kills of child and worker");
wait_for_offset($node, 'changes', $more);
is(open_letters($node, 'changes'), '', 'no message is refused');
is(difference('customer'), '0 0', 'the table is equal to its source, after all was sent twice, and read thrice');

is( sql(q{SELECT string_agg(path, ' ' ORDER BY path COLLATE "C") FROM txpipe.stream_field WHERE stream = 'changes'}),
	'changed_at credit id name note shop tags',
	'stream_field has the fields of the row');

# --- what is no change of a row, and what a mode does not do ---

my @odd = (
	q({"id": 1}) . "\t" . q({"op": "t", "before": null, "after": null}),
	q({"id": 1}) . "\t" . q({"op": "m", "message": {"prefix": "p"}}),
	q({"id": 1}) . "\t" . q({"id": 1, "name": "flat"}),
	q({"id": 1}) . "\t" . q({"op": "u", "after": {"id": 1, "name": "__debezium_unavailable_value"}}),
	q({"id": 2}) . "\t" . q({"op": "c", "after": {"id": 2, "name": "b", "x": 1}}),
	q({"id": 2}) . "\t" . q({"op": "d", "before": {"id": 2, "name": "b"}, "after": null}),
	q({"id": 2}) . "\t");
produce_keyed('odd', join "\n", @odd);
sql('CREATE TABLE odd (id int PRIMARY KEY, name text)');
sql(q{SELECT txpipe.create_stream('odd', 'shop', 'odd', 'odd', options => '{"mode": "upsert", "envelope": "debezium"}')});
wait_for_offset($node, 'odd', 7);
is(open_letters($node, 'odd'), join("\n",
	'0 truncate: the source table was truncated, which deletes nothing here',
	'1 unknown_op: "op" is none of c, r, u, d: the event makes no row',
	'2 bad_envelope: no event of Debezium: it has no "op", nor "schema" and "payload"',
	'3 unavailable_value: the event lacks a large value that the update left alone; the source sends it with REPLICA IDENTITY FULL',
	'5 tombstone: the event deletes a row, which mode upsert_delete does',
	'6 tombstone: message has no payload'), 'each refusal says why');
is(sql('TABLE odd'), '2|b', 'the row of mode upsert stays');
sql(q{SELECT txpipe.alter_stream('odd', options => '{"mode": "upsert_delete"}')});
is(sql("SELECT txpipe.replay_dead_letters('odd', codes => '{tombstone}')"), '(2,0,4)', 'replayed in mode upsert_delete');
is(sql('SELECT count(*) FROM odd'), '0', '... they delete it');

is( sql(q{SELECT string_agg(coalesce(decoded::text, code), ' ' ORDER BY kafka_offset) FROM txpipe.test_stream('shop', 'odd', 'odd'::regclass,
		options => '{"mode": "upsert_delete", "envelope": "debezium"}')}),
	'truncate unknown_op bad_envelope unavailable_value {"id": 2, "name": "b", "kafka_tombstone": false} '
	  . '{"id": 2, "name": null, "kafka_tombstone": true} {"id": 2, "name": null, "kafka_tombstone": true}',
	'test_stream');
sql(q{SELECT txpipe.create_stream('inferred', 'shop', 'changes', key_columns => '{shop,id}',
	options => '{"mode": "upsert_delete", "envelope": "debezium"}')});
wait_for_offset($node, 'inferred', $more);
is( sql(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attname COLLATE "C") FROM pg_attribute
		WHERE attrelid = 'inferred'::regclass AND attnum > 0}),
	'changed_at timestamp with time zone, credit numeric, id bigint, kafka_offset bigint, kafka_partition integer, '
	  . 'kafka_timestamp timestamp with time zone, name text, note text, rest jsonb, shop text, tags jsonb',
	'a table is inferred from the rows');
is(open_letters($node, 'inferred'), '', 'which all fit');
is(difference('inferred'), '0 0', 'and it is equal to the source');
is(sql("SELECT count(*) FROM inferred WHERE rest <> '{}'"), '0', 'nothing is left over');

# --- several rows ---

produce_lines($broker, 'orders', 0,
	'{"orderId": 1, "customer": {"id": 7}, "items": [{"sku": "a", "n": 2}, {"sku": "b"}]}',
	'{"orderId": 2, "items": []}',
	'{"orderId": 3, "items": [{"sku": "c", "extra": true}]}');
produce_lines($broker, 'orders', 1,
	'{"orderId": 4, "items": [{"sku": "d"}, {"n": 1}]}',
	'{"orderId": 5}',
	'{"orderId": 6, "items": [{"sku": "e"}, {"sku": "f"}, {"sku": "g"}]}');
sql('CREATE TABLE item (order_id int, customer int, kafka_offset bigint, kafka_row int, sku text NOT NULL, n int DEFAULT 1, rest jsonb)');
sql(q{SELECT txpipe.create_stream('orders', 'shop', 'orders', 'item', paused => true, columns => '{"order_id": "$envelope.orderId",
	"customer": "$envelope.customer.id", "kafka_offset": "kafka_offset", "kafka_row": "kafka_row", "sku": "sku", "n": "n", "rest": "$rest"}',
	options => '{"rows": "items"}')});
sql('CREATE TABLE seen (kafka_offset bigint, kafka_row int, sku text)');
sql(q{SELECT txpipe.on_batch('orders', 'see', 'INSERT INTO public.seen SELECT kafka_offset, kafka_row, sku FROM batch')});
sql("SELECT txpipe.resume_stream('orders')");
wait_for_offset($node, 'orders', 6);
is(sql('SELECT order_id, customer, kafka_offset, kafka_row, sku, n, rest FROM item ORDER BY 1, 4'),
	"1|7|0|0|a|2|{}\n1|7|0|1|b||{}\n3||2|0|c||{\"extra\": true}\n6||2|0|e||{}\n6||2|1|f||{}\n6||2|2|g||{}", 'each element is a row');
is(sql('SELECT kafka_offset, kafka_row, sku FROM seen ORDER BY sku'), "0|0|a\n0|1|b\n2|0|c\n2|0|e\n2|1|f\n2|2|g", 'steps see them, with their numbers');
is(open_letters($node, 'orders'), "0 missing_value: row 1: no value for column \"sku\", which is NOT NULL\n1 missing_value: there is no array of rows at \"items\"",
	'a message is refused whole, and the row is named');
is(sql("SELECT rows_total, dead_letters_total FROM txpipe.stream_status WHERE stream = 'orders'"), '4|2', 'messages are counted, the empty one, too');
wait_for(
	$node, q{SELECT string_agg(path || ' ' || occurrences, ', ' ORDER BY path COLLATE "C") FROM txpipe.stream_field WHERE stream = 'orders'},
	'stream_field counts rows', value => 'extra 1, n 2, sku 7');
pass('stream_field counts rows');
is( sql(q{SELECT string_agg(kafka_partition || ' ' || coalesce(decoded ->> 'sku', code, message), ', ' ORDER BY kafka_partition, kafka_offset, decoded ->> 'kafka_row')
		FROM txpipe.test_stream('shop', 'orders', 'item'::regclass,
		columns => '{"sku": "sku", "kafka_row": "kafka_row"}', options => '{"rows": "items"}')}),
	'0 a, 0 b, 0 the message has no rows, 0 c, 1 missing_value, 1 missing_value, 1 e, 1 f, 1 g',
	'test_stream');

# What PostgreSQL refuses takes the other rows of its message along, and nothing else.
for my $mode (qw(append upsert steps))
{
	my $stream = "refused_$mode";
	my $rows   = 200;
	my @odd    = (17, 18, 101);
	my @messages;

	for my $m (0 .. $rows - 1)
	{
		my @skus = map { "$m-$_" } 0 .. $m % 4;

		splice @skus, $m % 2 ? 1 : 0, 0, 'bad' if grep { $_ == $m } @odd;
		push @messages, '[' . join(', ', map { qq({"sku": "$_"}) } @skus) . ']';
	}
	produce_lines($broker, 'refused', 0, @messages) if $mode eq 'append';
	sql("CREATE TABLE $stream (sku text PRIMARY KEY CHECK (sku <> 'bad'), kafka_row int)");
	sql(qq{SELECT txpipe.create_stream('$stream', 'shop', 'refused', '$stream', paused => true, options => '{"rows": "\$"}')});
	sql(qq{SELECT txpipe.alter_stream('$stream', options => '{"mode": "upsert"}')}) if $mode eq 'upsert';
	sql(qq{SELECT txpipe.on_batch('$stream', 'nothing', 'SELECT count(*) FROM batch')}) if $mode eq 'steps';
	sql("SELECT txpipe.resume_stream('$stream')");
	wait_for_offset($node, $stream, $rows);
	is( sql("SELECT string_agg(kafka_offset || ' ' || code || ' ' || coalesce(substring(message from '^row \\d+: '), ''), ', ' ORDER BY kafka_offset)
			FROM txpipe.dead_letter WHERE stream = '$stream'"),
		$mode eq 'upsert' ? '17 23514 , 18 23514 , 101 23514 ' : '17 23514 row 1: , 18 23514 row 0: , 101 23514 row 1: ',
		"$mode: the refused messages");
	my $left = 0;
	$left += 1 + $_ % 4 for grep { my $m = $_; !grep { $_ == $m } @odd } 0 .. $rows - 1;
	is(sql("SELECT count(*), count(*) FILTER (WHERE split_part(sku, '-', 2)::int = kafka_row) FROM $stream"), "$left|$left", "$mode: all rows of the others are there");
	is(sql("SELECT txpipe.replay_dead_letters('$stream')"), '(0,3,3)', "$mode: replayed in vain");
	sql("ALTER TABLE $stream DROP CONSTRAINT ${stream}_sku_check, DROP CONSTRAINT ${stream}_pkey, ADD n serial, ADD PRIMARY KEY (sku, kafka_row, n)") if $mode ne 'upsert';
	sql("ALTER TABLE $stream DROP CONSTRAINT ${stream}_sku_check") if $mode eq 'upsert';
	is(sql("SELECT txpipe.replay_dead_letters('$stream')"), '(3,0,0)', "$mode: replayed");
	is(sql("SELECT count(*) FROM $stream"), $left + 2 + 3 + 2 + ($mode eq 'upsert' ? 1 : 3), "$mode: with all their rows");
}

# Lines, and what is inferred.
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/lines", qq({"a": 1}\n{"a": 2, "b": "x"}\n\n{"a": 3}\n));
system_or_bail('kcat', '-P', '-b', $broker->{servers}, '-t', 'lines', '-p', 0, "$dir/lines");
sql(q{SELECT txpipe.create_stream('lines', 'shop', 'lines', options => '{"rows": "$lines"}')});
wait_for_offset($node, 'lines', 1);
is(sql('SELECT a, b, rest, kafka_offset, kafka_row FROM lines ORDER BY a'), "1||{}|0|0\n2|x|{}|0|1\n3||{}|0|2", 'JSON lines, into an inferred table');

produce_lines($broker, 'pieces', 0, '{"order": {"lines": [{"a": 1}]}}', '{"order": {"lines": [{"a": 2, "fresh": {"x": 1}}]}}');
sql('CREATE TABLE pieces (a int)');
sql(q{SELECT txpipe.create_stream('pieces', 'shop', 'pieces', 'pieces', options => '{"rows": "order.lines", "on_new_field": "column"}')});
wait_for_offset($node, 'pieces', 2);
is(sql('SELECT a, fresh FROM pieces ORDER BY a'), "1|\n2|{\"x\": 1}", 'a new field gets a column');

fails_with($node, q{SELECT txpipe.create_stream('x', 'shop', 'pieces', 'pieces', 'csv', options => '{"rows": "a"}')}, '22023', 'need messages with JSON fields', 'rows of a format without');
fails_with($node, q{SELECT txpipe.create_stream('x', 'shop', 'pieces', 'pieces', options => '{"rows": "a..b"}')}, '22023', 'has an empty part', 'a path that is none');
fails_with($node, q{SELECT txpipe.create_stream('x', 'shop', 'odd', 'odd', columns => '{"id": "$key.id"}', options => '{"rows": "a", "mode": "upsert_delete"}')},
	'22023', 'upsert_delete and the option rows', 'rows that a tombstone should delete');
fails_with($node, q{SELECT txpipe.create_stream('x', 'shop', 'pieces', 'pieces', columns => '{"a": "$envelope.a"}')}, '22023', 'nothing around', '$envelope without one');

# --- elements of arrays ---

produce_lines($broker, 'elements', 0, '{"items": [{"sku": "a"}, {"sku": "b"}], "m": [[1, 2], [3]], "x[0]": "literal", "y": 1}', '{"items": [], "m": 1}');
sql('CREATE TABLE elements (first text, second text, m int, x text, rest jsonb)');
sql(q{SELECT txpipe.create_stream('elements', 'shop', 'elements', 'elements', columns => '{"first": "items[0].sku", "second": "items[1].sku",
	"m": "m[0][1]", "x": "x\\\\[0]", "rest": "$rest"}')});
wait_for_offset($node, 'elements', 2);
is(sql('SELECT * FROM elements ORDER BY first'),
	"a|b|2|literal|{\"m\": [[1, 2], [3]], \"y\": 1, \"items\": [{\"sku\": \"a\"}, {\"sku\": \"b\"}]}\n||||{\"m\": 1, \"items\": []}",
	'elements by number; the rest has arrays whole');
fails_with($node, q{SELECT txpipe.create_stream('x', 'shop', 'elements', 'elements', columns => '{"first": "items[a]"}')}, '22023', 'without the number', 'an index that is none');

# --- CloudEvents ---

my $event = q({"specversion": "1.0", "id": "%d", "source": "/s", "type": "order.paid", "data": {"amount": %d, "items": [{"sku": "a"}, {"sku": "b"}]}});
my %header = (ce_specversion => '1.0', ce_id => '3', ce_source => '/s', ce_type => 'order.paid', 'content-type' => 'application/json');
my $header = '{' . join(', ', map { qq("$_": "$header{$_}") } sort keys %header) . '}';
produce_lines($broker, 'events', 0, sprintf($event, 1, 10), '{"amount": 7}');
sql(qq{SELECT txpipe.produce('shop', 'events', '{"amount": 30, "items": [{"sku": "c"}]}', headers => '$header')});
sql(q{SELECT txpipe.produce('shop', 'events', '} . sprintf($event, 4, 40) . q{', headers => '{"content-type": "application/cloudevents+json; charset=utf-8"}')});
sql('CREATE TABLE events (id text, type text, amount int)');
sql(q{SELECT txpipe.create_stream('events', 'shop', 'events', 'events', columns => '{"id": "$envelope.id", "type": "$envelope.type", "amount": "amount"}',
	options => '{"envelope": "cloudevents"}')});
wait_for_offset($node, 'events', 4);
is(sql('TABLE events ORDER BY id'), "1|order.paid|10\n3|order.paid|30\n4|order.paid|40", 'structured and binary CloudEvents');
is(open_letters($node, 'events'), '1 bad_envelope: no CloudEvent: it has no "specversion", nor a header ce_specversion', 'what is none is refused');
is(sql(qq{SELECT txpipe.replay_dead_letters('events', payload => convert_to('} . sprintf($event, 2, 20) . qq{', 'UTF8'),
	ids => (SELECT array_agg(dead_letter_id) FROM txpipe.dead_letter WHERE stream = 'events'))}), '(1,0,0)', '... until it is mended');
# Before a message that stops the stream fields are counted anew, of binary events, too.
my $amounts = PostgreSQL::Test::Utils::tempdir() . '/amounts';
append_to_file($amounts, qq({"amount": 1}\n) x 500);
system_or_bail('kcat', '-P', '-b', $broker->{servers}, '-t', 'stopping', '-p', 0, (map { ('-H', "$_=$header{$_}") } sort keys %header), '-l', $amounts);
produce_lines($broker, 'stopping', 0, '{"other": 1}');
sql(q{SELECT txpipe.create_stream('stopping', 'shop', 'stopping', 'events', columns => '{"id": "$envelope.id", "amount": "amount"}',
	options => '{"envelope": "cloudevents", "on_error": "stop"}')});
wait_for($node, q{SELECT state = 'paused' AND reason ~ 'offset 500 .*bad_envelope' FROM txpipe.stream_status WHERE stream = 'stopping'}, 'the stream stops');
is(sql(q{SELECT path, occurrences FROM txpipe.stream_field WHERE stream = 'stopping'}), 'amount|500', 'on_error stop: the fields before that');
sql('CREATE TABLE event_rows (id text, amount int, sku text)');
sql(q{SELECT txpipe.create_stream('event_rows', 'shop', 'events', 'event_rows', columns => '{"id": "$envelope.id", "amount": "$envelope.data.amount", "sku": "sku"}',
	options => '{"envelope": "cloudevents", "rows": "items"}')});
wait_for_offset($node, 'event_rows', 4);
is(sql('TABLE event_rows ORDER BY id, sku'), "1|10|a\n1|10|b\n3|30|c\n4|40|a\n4|40|b", 'several rows of an event');

log_is_clean(
	$node,
	qr/terminating background worker "txpipe worker/,
	qr/ERROR:  (?:options envelope and rows need|path "(?:a\.\.b|items\[a\])" has|mode upsert_delete and|there is nothing around)/);
$node->stop;
stop_broker($broker);
done_testing();
