# Producing by a schema: Avro behind its number in a registry, and by a schema that is given; what fits none is not sent, by
# produce() and by the outbox. What was sent is taken apart here byte by byte, and read by a stream.
use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRegistry;
use TxpipeTest;

my $broker   = start_broker(qw(orders:1 given:1 bare:1 documents:1 queue:1 login:1 none:1 pay:1 alerts:1 bare_alerts:1 dropped:1 slow:1 keyed:1 bare_keyed:1));
my $registry = start_registry();
my $node     = new_node('produce');
start_node($node);
kafka_server($node, 'bare', $broker);
registry_server($node, 'shop', $broker, "http://127.0.0.1:1, $registry->{url}/");

sub sql   { return $node->safe_psql('postgres', $_[0]); }
sub error { return error_of($node, $_[0]); }

# The values of a topic, in hexadecimal.
sub values_of { return sql("SELECT string_agg(coalesce(encode(value, 'hex'), 'NULL'), ' ' ORDER BY kafka_offset) FROM txpipe.peek('$_[1]', '$_[0]', 100)"); }

my $order = '{"type": "record", "name": "Order", "namespace": "shop", "fields": ['
  . '{"name": "id", "type": "long"}, {"name": "name", "type": "string"},'
  . '{"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},'
  . '{"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},'
  . '{"name": "tags", "type": {"type": "array", "items": "string"}, "default": []}, {"name": "note", "type": ["null", "string"], "default": null}]}';

# --- by the latest schema of the subject, from a row ---

is(error(q{SELECT txpipe.produce('shop', 'orders', '{"id": 1}', format => 'avro')})->{state}, '42704', 'a subject that is not there');
register_schema($registry, 'subjects/orders-value/versions/latest', $order, subject => 'orders-value', version => 3, id => 7);
register_schema($registry, 7, $order);
sql(q{CREATE TABLE orders (id bigint, name text, amount numeric(12,2), at timestamptz, tags text[], note text)});
sql(q{INSERT INTO orders VALUES (1, 'tea', 12.50, '2024-01-02 03:04:05.678901+00', ARRAY['a', 'b"c'], NULL), (-2, 'café', -0.07, '1969-12-31 23:59:59.999999+00', '{}', 'n')});
is( sql(q{SELECT p.* FROM (SELECT * FROM orders ORDER BY id DESC) o,
		txpipe.produce('shop', 'orders', to_jsonb(o), key => 'k' || id, headers => '{"source": "test", "none": null}', format => 'avro') p}),
	"0|0\n0|1",
	'two rows are sent');
my @bytes = (
	avro_long(1) . avro_text('tea') . avro_text(pack('n', 1250)) . avro_long(1704164645678901) . avro_long(2) . avro_text('a') . avro_text('b"c') . avro_long(0) . avro_long(0),
	avro_long(-2) . avro_text("caf\xc3\xa9") . avro_text(pack('c', -7)) . avro_long(-1) . avro_long(0) . avro_long(1) . avro_text('n'));
is(values_of('orders', 'shop'), join(' ', map { unpack('H*', wire(7, $_)) } @bytes), '... as Avro writes them, behind the number of their schema');
is(sql(q{SELECT key_text, headers FROM txpipe.peek('shop', 'orders') LIMIT 1}), 'k1|{"none": null, "source": "test"}', '... with key and headers');
sql(q{SELECT txpipe.produce('shop', 'orders', '{"id": 3, "name": "x", "amount": 5, "at": 0}', format => 'avro')});
sql(q{SELECT txpipe.produce('shop', 'orders', NULL::jsonb, 'k1', format => 'avro')});
sql(q{CREATE TABLE copy (LIKE orders)});
sql(q{ALTER TABLE copy ALTER tags TYPE jsonb USING NULL});
sql(q{SELECT txpipe.create_stream('copy', 'shop', 'orders', 'copy', 'avro')});
wait_for_offset($node, 'copy', 4);
is( sql('SELECT id, name, amount, at, tags, note FROM copy ORDER BY id'),
	sql(q{SELECT id, name, amount, at, to_jsonb(tags), note FROM orders ORDER BY id}) . "\n3|x|5.00|1970-01-01 00:00:00+00|[]|",
	'a stream has the rows, and defaults of fields that were missing');
like(open_letters($node, 'copy'), qr/^3 tombstone: [^\n]*$/, 'and a tombstone');

# --- what does not fit ---

sub unfit
{
	my ($value, $detail, $name) = @_;
	my $e = error("SELECT txpipe.produce('shop', 'orders', '$value', format => 'avro')");

	is("$e->{state} $e->{message}", '22023 the value does not fit its schema', $name);
	like($e->{detail}, $detail, '... and why');
	return;
}
my $end = sql(q{SELECT messages FROM txpipe.topics('shop') WHERE topic = 'orders'});
unfit('{"id": 1, "name": "x", "at": 0}', qr/^field "amount": it is missing, and the schema has no default for it$/, 'a field is missing');
unfit('{"id": 1, "name": "x", "at": 0, "amount": 1.005}', qr/^field "amount": more than the schema's 2 digits behind the point: "1.005"$/, 'a digit too many');
unfit('{"id": 1, "name": "x", "at": 0, "amount": 1, "tags": ["a", 7]}', qr/^field "tags\[1\]": not a string: "7"$/, 'in an array');
unfit('{"id": 1, "name": "x", "at": 0, "amount": 1, "color": "red"}', qr/^the schema has no field: "color"$/, 'a field that would be lost');
unfit('[]', qr/^not an object: "\[\]"$/, 'no record');
is(sql(q{SELECT messages FROM txpipe.topics('shop') WHERE topic = 'orders'}), $end, 'none of it was sent');

# --- by a schema that is given ---

sub given { return "SELECT txpipe.produce('$_[0]', '$_[1]', '$_[2]', format => 'avro', options => jsonb_build_object('avro_schema', '$_[3]'$_[4]))"; }
my $int = '{"type":"record","name":"n","fields":[{"name":"n","type":"int"}]}';
my $e   = error(given('shop', 'given', '{"n": 1}', $int, ''));
is($e->{state}, '42704', 'a schema that the registry does not have');
like($e->{hint}, qr/"register": true/, '... how it would be registered');
sql(given('shop', 'given', '{"n": 1}', $int, ", 'register', true"));
is(registered_schema($registry, 'subjects/given-value/versions/latest'), $int, 'it is registered where that is asked for');
sql(given('shop', 'given', '{"n": 2}', $int, ''));
sql(given('shop', 'given', '{"n": 3}', $int, ", 'register', true, 'subject', 'a/b c'"));
is(registered_schema($registry, 'subjects/a%2Fb%20c/versions/latest'), $int, '... under a subject of any name');
is(values_of('given', 'shop'), join(' ', map { unpack('H*', wire(101, avro_long($_))) } 1 .. 3), 'all have the number that the registry gave');
$e = error(given('shop', 'given', '{"n": 3}', $int =~ s/"n","type"/"n","doc":"incompatible","type"/r, ", 'register', true"));
is("$e->{state} $e->{detail}", '22023 Schema being registered is incompatible with an earlier schema', 'what the registry says of a schema it refuses');
is(error(given('shop', 'given', '{"n": 3}', '{"type": "nothing"}', ", 'register', true"))->{state}, '22023', 'what is no schema is not registered');
unlike(registry_log($registry), qr/nothing known/, 'what it was asked for is what registries know');
sql(given('bare', 'bare', '{"n": 64}', $int, ''));
is(values_of('bare', 'bare'), '8001', 'without a registry the bytes are bare');
sql(q{CREATE TABLE bare (n int)});
sql("SELECT txpipe.create_stream('bare', 'bare', 'bare', 'bare', 'avro', options => jsonb_build_object('avro_schema', '$int'))");
wait_for_offset($node, 'bare', 1);
is(sql('TABLE bare'), '64', '... which a stream of that schema reads');

# --- JSON ---

sql(q{SELECT txpipe.produce('bare', 'documents', '{"a": [1, 2.50]}'::jsonb)});
is(sql(q{SELECT value_text FROM txpipe.peek('bare', 'documents')}), '{"a": [1, 2.50]}', 'jsonb is sent as JSON');
register_schema($registry, 'subjects/documents-value/versions/latest', '{"type": "object"}', subject => 'documents-value', version => 1, id => 9, schemaType => 'JSON');
sql(q{SELECT txpipe.produce('shop', 'documents', '{"a": 1}'::jsonb, options => '{"subject": "documents-value"}')});
is(values_of('documents', 'shop') =~ s/^\S+ //r, unpack('H*', wire(9, '{"a": 1}')), '... behind the number of its schema where a subject is named');
sql(q{SELECT txpipe.create_stream('documents', 'shop', 'documents', paused => true)});
is(sql(q{SELECT count(*) FROM txpipe.test_stream('shop', 'documents', 'documents'::regclass) WHERE code IS NULL}), '2', '... and both are read');
is(error(q{SELECT txpipe.produce('shop', 'orders', '{}', options => '{"subject": "orders-value"}')})->{state}, '22023', 'a schema of another kind');

# --- keys ---

sub keys_of { return sql("SELECT string_agg(coalesce(encode(key, 'hex'), 'NULL'), ' ' ORDER BY kafka_offset) FROM txpipe.peek('$_[1]', '$_[0]', 100)"); }
sub keyed
{
	my ($server, $topic, $value, $key, $options) = @_;
	return "SELECT txpipe.produce('$server', '$topic', $value, key => $key, format => 'avro', options => '{\"key_format\": \"avro\"}'::jsonb || $options)";
}
my $stock_key = '{"type":"record","name":"k","fields":[{"name":"id","type":"long"},{"name":"city","type":"string"}]}';
is(error(keyed('shop', 'keyed', 'NULL::jsonb', q{'{"id": 1, "city": "a"}'}, q{'{}'}))->{message} =~ s/.*has //r, 'no schema of subject "keyed-key"',
	'keys are of the schema TOPIC-key');
register_schema($registry, 'subjects/keyed-key/versions/latest', $stock_key, subject => 'keyed-key', version => 1, id => 30);
register_schema($registry, 30, $stock_key);
my $units = $int =~ s/"int"/"long"/r;
register_schema($registry, 'subjects/keyed-value/versions/latest', $units, subject => 'keyed-value', version => 1, id => 31);
register_schema($registry, 31, $units);
sql(keyed('shop', 'keyed', q{'{"n": 1}'}, q{'{"id": 1, "city": "a"}'}, q{'{}'}));
sql(keyed('shop', 'keyed', q{'{"n": 2}'}, q{jsonb_build_object('id', -2, 'city', 'b')::text}, q{'{}'}));
sql(keyed('shop', 'keyed', 'NULL::jsonb', q{'{"id": 1, "city": "a"}'}, q{'{}'}));
my @keys = map { unpack('H*', wire(30, $_)) } avro_long(1) . avro_text('a'), avro_long(-2) . avro_text('b');
is(keys_of('keyed', 'shop'), "$keys[0] $keys[1] $keys[0]", '... behind the number of it, also of a tombstone');
is(values_of('keyed', 'shop'), join(' ', (map { unpack('H*', wire(31, avro_long($_))) } 1, 2), 'NULL'), '... beside their values');
sql(q{CREATE TABLE keyed (id bigint, city text, n int, PRIMARY KEY (id, city))});
sql(q{SELECT txpipe.create_stream('keyed', 'shop', 'keyed', 'keyed', 'avro', '{"id": "$key.id", "city": "$key.city", "n": "n"}', options => '{"mode": "upsert_delete", "key_format": "avro"}')});
wait_for_offset($node, 'keyed', 3);
is(sql('TABLE keyed'), '-2|b|2', 'a stream reads them back, and the tombstone deletes');
$e = error(keyed('shop', 'keyed', q{'{"n": 3}'}, q{'{"id": "x", "city": "a"}'}, q{'{}'}));
is("$e->{state} $e->{message}: $e->{detail}", '22023 the key does not fit its schema: field "id": not a number: "x"', 'a key that does not fit');
$e = error(keyed('shop', 'keyed', q{'{"n": 3}'}, q{'a'}, q{'{}'}));
is("$e->{state} $e->{hint}", '22P02 With key_format avro the key is JSON, as to_jsonb(...)::text writes it.', '... or is no JSON');
sql(keyed('shop', 'keyed', q{'{"n": 4}'}, 'NULL', q{'{}'}));
sql(q{SELECT txpipe.produce('shop', 'keyed', '5'::jsonb, key => to_jsonb(5)::text, format => 'avro', options =>
	'{"key_format": "avro", "key_avro_schema": "\"long\"", "key_subject": "numbers", "register": true, "avro_schema": "\"int\"", "subject": "units"}')});
is(registered_schema($registry, 'subjects/numbers/versions/latest'), '"long"', 'its schema is registered, under its subject');
sql(q{SELECT txpipe.produce('shop', 'keyed', '{"n": 6}'::jsonb, key => '{"id":6}', options => '{"key_format": "json", "key_subject": "documents-value"}')});
sql(q{SELECT txpipe.produce('shop', 'keyed', '{"n": 7}'::jsonb, key => ' "7"', options => '{"key_format": "json"}')});
is((keys_of('keyed', 'shop') =~ s/^(?:\S+ ){3}//r), join(' ', 'NULL', (map { unpack('H*', $_) } wire(103, avro_long(5)), wire(9, '{"id":6}'), ' "7"')),
	'none, a number, JSON behind its number, JSON');
is((split / /, values_of('keyed', 'shop'))[-1], unpack('H*', '{"n": 7}'), 'JSON beside a key of a format is as it is');
sql(q{SELECT txpipe.produce('bare', 'bare_keyed', '{"n": 1}'::jsonb, key => '"é"', options => '{"key_format": "avro", "key_avro_schema": "\"string\""}')});
is(keys_of('bare_keyed', 'bare'), unpack('H*', avro_text("\xc3\xa9")), 'without a registry the bytes are bare');

# --- options ---

for my $case ([ 'bare', q{format => 'avro'} ], [ 'bare', q{format => 'protobuf'} ], [ 'bare', q{options => '{"subject": "x"}'} ],
	[ 'shop', q{options => '{"avro_schema": "\"int\""}'} ], [ 'shop', q{format => 'avro', options => '{"register": true}'} ],
	[ 'shop', q{format => 'avro', options => '{"no": 1}'} ], [ 'bare', q{options => '{"key_format": "avro"}'} ],
	[ 'shop', q{options => '{"key_format": "protobuf"}'} ], [ 'shop', q{options => '{"key_avro_schema": "\"int\""}'} ],
	[ 'bare', q{options => '{"key_format": "json", "key_subject": "x"}'} ], [ 'shop', q{options => '{"key_subject": "x"}'} ],
	[ 'shop', q{options => '{"key_format": "avro", "register": true}'} ], [ 'shop', q{options => jsonb_build_object('subject', repeat('ü', 200))} ])
{
	my $said = error("SELECT txpipe.produce('$case->[0]', 'none', '{}'::jsonb, $case->[1])");

	is($said->{state}, '22023', "refused: $case->[0], $case->[1]");
	isnt($said->{hint} // '', '', '... with a hint');
}

# --- by the outbox ---

sub is_delivered
{
	my ($where, $name) = @_;

	wait_for($node, "SELECT count(*) = 0 FROM txpipe.outbox WHERE $where AND delivered_at IS NULL", $name);
	return;
}
register_schema($registry, 'subjects/queue-value/versions/latest', $int, subject => 'queue-value', version => 1, id => 11);
sql(<<"SQL");
BEGIN;
SELECT txpipe.enqueue('shop', 'queue', '{"n": 1}', 'a', '{"h": "v"}', 'avro');
SELECT txpipe.enqueue('shop', 'queue', '{"n": "two"}', 'b', format => 'avro');
SELECT txpipe.enqueue('shop', 'queue', '{"n": 3}'::jsonb);
SELECT txpipe.enqueue('shop', 'queue', 'as it is');
SELECT txpipe.enqueue('shop', 'queue', NULL::jsonb, 'a', format => 'avro');
SELECT txpipe.enqueue('shop', 'queue', '{"n": 6}', format => 'avro', options => jsonb_build_object('avro_schema', '$int', 'register', true, 'subject', 'other'));
SELECT txpipe.enqueue('shop', 'queue', '{"n": 7}', '{"id": 7, "city": ""}', format => 'avro', options => '{"key_format": "avro", "key_subject": "keyed-key"}');
SELECT txpipe.enqueue('shop', 'queue', '{"n": 8}'::jsonb, '7', options => '{"key_format": "avro", "key_subject": "keyed-key"}');
COMMIT;
SQL
is_delivered(q{topic = 'queue' AND key IS DISTINCT FROM 'b' AND key IS DISTINCT FROM '7'}, 'messages of several kinds are delivered');
is( values_of('queue', 'shop'),
	join(' ', unpack('H*', wire(11, avro_long(1))), unpack('H*', '{"n": 3}'), unpack('H*', 'as it is'), 'NULL', unpack('H*', wire(101, avro_long(6))), unpack('H*', wire(11, avro_long(7)))),
	'... each as it was to be, in order');
is((split / /, keys_of('queue', 'shop'))[-1], unpack('H*', wire(30, avro_long(7) . avro_text(''))), '... and the key of one');
is( sql(q{SELECT key_format, last_error FROM txpipe.outbox WHERE key = '7'}),
	'avro|the key does not fit its schema: not an object: "7"',
	'... but for one that does not fit');
is(error(q{SELECT txpipe.enqueue('shop', 'queue', '{}'::jsonb, 'x', options => '{"key_format": "json"}')})->{state}, '22P02', '... or is no JSON');
wait_for($node, q{SELECT last_error = 'the value does not fit its schema: field "n": not a number: "two"' AND attempts > 0 AND delivered_at IS NULL
	FROM txpipe.outbox WHERE key = 'b'}, 'one that does not fit stays, and says why');
is(sql(q{SELECT count(DISTINCT headers) FROM txpipe.peek('shop', 'queue', 100) WHERE headers ? 'txpipe-id'}), '6', 'each has its own id');
is(sql(q{SELECT format, value FROM txpipe.outbox WHERE key = 'b'}), 'avro|{"n": "two"}', 'what is kept can be read');
is(error(q{SELECT txpipe.enqueue('bare', 'queue', '{"n": 1}', format => 'avro')})->{state}, '22023', 'what could never be sent is refused');
sql(q{DELETE FROM txpipe.outbox_store WHERE key IN ('b', '7')});
stop_registry($registry);
sql(q{SELECT txpipe.enqueue('shop', 'queue', '{"n": 8}', format => 'avro'); SELECT txpipe.enqueue('bare', 'none', 'elsewhere')});
wait_for($node, q{SELECT last_error LIKE '08006: the schema registry at "%" does not give the schema of subject "queue-value"%' AND delivered_at IS NULL
	FROM txpipe.outbox WHERE value = '{"n": 8}'}, 'a registry that is away holds up its topic');
is_delivered(q{topic = 'none'}, '... and no other');
$e = error(q{SELECT txpipe.produce('shop', 'queue', '{"n": 9}', format => 'avro')});
is("$e->{state} $e->{hint}", '08006 Nothing was sent.', 'produce says so at once');
$registry = start_registry(%{$registry}{qw(dir port)});
is_delivered(q{topic = 'queue'}, 'it goes on by itself');
is((split / /, values_of('queue', 'shop'))[-1], unpack('H*', wire(11, avro_long(8))), '... with what waited');

# --- the registry is not named any more when they are sent ---

register_schema($registry, 'subjects/dropped-value/versions/latest', $int, subject => 'dropped-value', version => 1, id => 12);
registry_server($node, 'other', $broker, $registry->{url});
sql(<<"SQL");
BEGIN;
SELECT txpipe.enqueue('other', 'dropped', '{"n": 1}', 'a', format => 'avro');
SELECT txpipe.enqueue('other', 'dropped', '{"n": 2}'::jsonb, 'b', options => '{"subject": "documents-value"}');
SELECT txpipe.enqueue('other', 'dropped', '{"n": 3}', 'c', format => 'avro', options => jsonb_build_object('avro_schema', '$int', 'register', true, 'subject', 'dropped-value'));
SELECT txpipe.enqueue('other', 'dropped', '{"n": 4}', 'd', format => 'avro', options => jsonb_build_object('avro_schema', '$int', 'register', true));
SELECT txpipe.enqueue('other', 'dropped', 'as it is');
ALTER SERVER other OPTIONS (DROP schema_registry_url);
COMMIT;
SQL
is_delivered(q{topic = 'dropped' AND key IS NULL}, 'what needs no registry is delivered without one');
is( sql(q{SELECT string_agg(DISTINCT last_error, ' ') || count(*) FROM txpipe.outbox WHERE topic = 'dropped' AND delivered_at IS NULL}),
	'its format needs a schema registry, and the server names none: give the server the option schema_registry_url back4',
	'... what was to have a number stays, and says so');
is(error(q{SELECT txpipe.enqueue('other', 'dropped', '{"n": 5}', format => 'avro', options => '{"avro_schema": "\"int\"", "register": true}')})->{hint},
	'Give the server the option schema_registry_url, or leave register out: values are bare then.', '... and there is no more of it');
sql(qq{ALTER SERVER other OPTIONS (ADD schema_registry_url '$registry->{url}')});
sql('CALL txpipe.deliver_outbox()');
is(values_of('dropped', 'other'), join(' ', unpack('H*', 'as it is'), unpack('H*', wire(12, avro_long(1))), unpack('H*', wire(9, '{"n": 2}')), unpack('H*', wire(101, avro_long(3))), unpack('H*', wire(101, avro_long(4)))),
	'... and is delivered when there is one again');

# --- an address that does not answer ---

my $silent = IO::Socket::INET->new(Listen => 100, LocalAddr => '127.0.0.1') or die "socket: $!";
registry_server($node, 'slow', $broker, 'http://127.0.0.1:' . $silent->sockport . ", $registry->{url}");
sql(q{BEGIN; SELECT txpipe.enqueue('slow', 'slow', '{"n": 1}', format => 'avro', options => '{"subject": "queue-value"}');
	SELECT txpipe.enqueue('slow', 'slow', '{"n": 2}', format => 'avro', options => '{"subject": "given-value"}'); COMMIT});
is_delivered(q{topic = 'slow'}, 'what waited for an address that does not answer is delivered all the same');
sql(q{SELECT txpipe.produce('slow', 'slow', '{"n": 3}', format => 'avro', options => '{"subject": "queue-value"}')});
is(values_of('slow', 'slow'), join(' ', map { unpack('H*', wire(@{$_})) } [ 11, avro_long(1) ], [ 101, avro_long(2) ], [ 11, avro_long(3) ]), '... produce() waits for it, too');
close $silent;

# --- answers that are none ---

for my $id ('"id": "7"', '"version": 1')
{
	my $path = "$registry->{dir}/subjects wrong-value versions latest";

	unlink $path;
	append_to_file($path, '{"subject": "wrong-value", "schema": "\"int\"", ' . $id . '}');
	$e = error(q{SELECT txpipe.produce('shop', 'orders', '5', format => 'avro', options => '{"subject": "wrong-value"}')});
	is("$e->{state} $e->{detail}", '08006 its answer has no number', "an answer with $id");
}

# --- alerts ---

sql(<<'SQL');
CREATE TABLE pay (id int PRIMARY KEY, account text, amount numeric(12,2), at timestamptz);
SELECT txpipe.create_stream('pay', 'shop', 'pay', 'pay');
SELECT txpipe.create_rule('large', 'pay', $$SELECT account AS subject, at AS event_time, id AS transaction_id, 'too much' AS reason,
	jsonb_build_object('amount', amount) AS evidence, kafka_topic, kafka_partition, kafka_offset FROM batch WHERE amount >= 700$$,
	severity => 'high', topic => 'alerts', format => 'avro');
SQL
is(sql('SELECT format FROM txpipe.alert_rule'), 'avro', 'the format of a rule');
is(error(q{SELECT txpipe.alter_rule('large', format => 'xml')})->{state}, '22023', '... is json or avro');
produce_lines($broker, 'pay', 0, '{"id": 1, "account": "a1", "amount": 700.5, "at": "2024-03-01T00:00:00.123456Z"}', '{"id": 2, "account": "a2", "amount": 1}',
	'{"id": 3, "account": "a3", "amount": 900, "at": "infinity"}');
wait_for_offset($node, 'pay', 3);
is_delivered(q{topic = 'alerts'}, 'alerts are delivered');
is(registered_schema($registry, 'subjects/alerts-value/versions/latest'), sql('SELECT txpipe.alert_schema()'), 'their schema is registered');
sql(q{SELECT txpipe.create_stream('alerts', 'shop', 'alerts', format => 'avro')});
wait_for_offset($node, 'alerts', 2);
my $alerts = sql(q{SELECT alert_id, stream, rule, severity, subject, transaction_id, nullif(event_time, 'infinity') AS event_time, reason, evidence, kafka_topic,
	kafka_partition, kafka_offset, raised_at FROM txpipe.alert ORDER BY alert_id});
is( sql(q{SELECT alert_id, stream, rule, severity, subject, transaction_id, event_time, reason, evidence::jsonb, rest ->> 'kafka_topic', rest ->> 'kafka_partition',
		rest ->> 'kafka_offset', raised_at FROM alerts ORDER BY alert_id}),
	$alerts, 'a stream has them as they were raised');
is( sql(q{SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'alerts'::regclass AND attnum BETWEEN 1 AND 7}),
	'bigint, text, text, text, text, text, timestamp with time zone', '... with the types of their schema');
sql(q{SELECT txpipe.drop_stream('alerts')});
stop_registry($registry);
produce_lines($broker, 'pay', 0, '{"id": 4, "account": "a4", "amount": 800}');
wait_for($node, q{SELECT last_error LIKE '08006:%' FROM txpipe.outbox WHERE topic = 'alerts' AND key = 'a4'}, 'an alert that waits for the registry');
sql('ALTER SERVER shop OPTIONS (DROP schema_registry_url)');
sql('CALL txpipe.deliver_outbox()');
like(sql(q{SELECT last_error FROM txpipe.outbox WHERE topic = 'alerts' AND delivered_at IS NULL}), qr/^its format needs a schema registry/,
	'... is not sent without its number where none is named any more');
$registry = start_registry(%{$registry}{qw(dir port)});
sql(qq{ALTER SERVER shop OPTIONS (ADD schema_registry_url 'http://127.0.0.1:1, $registry->{url}/'); CALL txpipe.deliver_outbox()});
is_delivered(q{topic = 'alerts'}, '... but when there is one again');
sql(q{CREATE TABLE bare_pay (LIKE pay); SELECT txpipe.create_stream('bare_pay', 'bare', 'pay', 'bare_pay', start_at => 'latest')});
sql(q{SELECT txpipe.create_rule('bare', 'bare_pay', 'SELECT account AS subject FROM batch', topic => 'bare_alerts'); SELECT txpipe.alter_rule('bare', format => 'avro')});
produce_lines($broker, 'pay', 0, '{"id": 5, "account": "a5", "amount": 5}');
wait_for($node, 'SELECT count(*) FROM bare_pay', 'a row', value => 1);
is_delivered(q{topic = 'bare_alerts'}, 'without a registry they are delivered, too');
sql(q{CREATE TABLE bare_alerts (alert_id bigint, rule text, subject text, reason text)});
sql(q{SELECT txpipe.create_stream('bare_alerts', 'bare', 'bare_alerts', 'bare_alerts', 'avro', options => jsonb_build_object('avro_schema', txpipe.alert_schema()))});
wait_for_offset($node, 'bare_alerts', 1);
is(sql('TABLE bare_alerts'), sql(q{SELECT alert_id, rule, subject, reason FROM txpipe.alert WHERE rule = 'bare'}), '... and read by the schema');

# --- a registry that asks who it is ---

stop_registry($registry);
$registry = start_registry(%{$registry}{qw(dir port)}, user_info => 'me:secret');
is(error(q{SELECT txpipe.produce('shop', 'orders', '{}', format => 'avro')})->{state}, '28000', 'a registry that refuses user and password');
sql(q{CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (schema_registry_user_info 'me:secret')});
sql(q{SELECT txpipe.produce('shop', 'login', '{"n": 1}', format => 'avro', options => '{"subject": "queue-value"}')});
is(values_of('login', 'shop'), unpack('H*', wire(11, avro_long(1))), 'with them it is sent');

log_is_clean($node, qr/schema registry|fit its schema|schema of subject|schema is none of Avro|no schema for (?:messages|keys)|message option|option "?(?:key_|subject|avro_schema|register)|syntax for type json|in the format "/);
done_testing();
