# Change events as Debezium's connectors write them, with the types they mean: JSON with its schemas, Avro and Protobuf
# with a registry, keys included, each into a table that is equal to its source; CloudEvents whose data are Avro.
use strict;
use warnings;

use Encode ();
use JSON::PP ();
use MIME::Base64 ();
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRegistry;
use TxpipeTest;

my $broker   = start_broker(qw(json:1 avro:1 proto:1 events:1));
my $registry = start_registry();
my $node     = new_node('debezium');
start_node($node);
registry_server($node, 'shop', $broker, $registry->{url});

sub sql { return $node->safe_psql('postgres', $_[0]); }

# --- a capture ---

my $columns = 'shop text, id int, name text, born date, opens time, seen timestamp, at timestamptz, price numeric(12, 2), amount numeric, doc jsonb, raw bytea, uid uuid';

$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql('source', "CREATE TABLE customer ($columns, PRIMARY KEY (shop, id))");
$node->safe_psql('source', <<'SQL');
CREATE TABLE capture (n bigserial PRIMARY KEY, op text, key jsonb, before jsonb, after jsonb);
-- The row's values as numbers and texts that the connector writes, before a converter makes bytes of them.
CREATE FUNCTION wire(c customer) RETURNS jsonb LANGUAGE sql RETURN CASE WHEN c.id IS NOT NULL THEN jsonb_build_object(
	'shop', c.shop, 'id', c.id, 'name', c.name, 'born', c.born - date '1970-01-01', 'opens', (extract(epoch FROM c.opens) * 1000000)::bigint,
	'seen', (extract(epoch FROM c.seen) * 1000000)::bigint, 'at', to_char(c.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.USZ'),
	'price', (c.price * 100)::bigint, 'scale', scale(c.amount), 'amount', (c.amount * 10::numeric ^ scale(c.amount))::bigint,
	'doc', c.doc::text, 'raw', encode(c.raw, 'hex'), 'uid', c.uid) END;
CREATE FUNCTION event(op text, before customer, after customer) RETURNS void LANGUAGE sql BEGIN ATOMIC
	INSERT INTO capture (op, key, before, after) VALUES (event.op, jsonb_build_object('shop', coalesce((after).shop, (before).shop),
		'id', coalesce((after).id, (before).id)), wire(before), wire(after));
	INSERT INTO capture (key) SELECT jsonb_build_object('shop', (before).shop, 'id', (before).id) WHERE op = 'd';
END;
CREATE FUNCTION capture() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		PERFORM event('c', NULL, NEW);
	ELSIF TG_OP = 'DELETE' THEN
		PERFORM event('d', OLD, NULL);
	ELSE
		PERFORM event('u', OLD, NEW);
	END IF;
	RETURN NULL;
END $$;
CREATE FUNCTION fresh(i int) RETURNS customer LANGUAGE sql RETURN ('s' || i % 3, i, 'name "ä" ' || i, date '1960-02-28' + i * 37, time '00:00:00' + i * interval '77.000001 s',
	timestamp '1969-12-31 23:59:59.5' + i * interval '1 day 0.123457 s', timestamptz '2024-01-02 03:04:05+00' + i * interval '0.000011 s',
	(random() * 1e6 - 5e5)::numeric(12, 2), (i - 50) * 10.0 ^ -(i % 4), jsonb_build_object('i', i, 'list', jsonb_build_array(i, NULL, 'x')),
	decode(lpad(to_hex(i), 4, '0'), 'hex'), md5(i::text)::uuid);
SELECT setseed(0.5);
INSERT INTO customer SELECT f.* FROM generate_series(1, 100) i, fresh(i) f;
SELECT count(event('r', NULL, c)) FROM customer c;
CREATE TRIGGER capture AFTER INSERT OR UPDATE OR DELETE ON customer FOR EACH ROW EXECUTE FUNCTION capture();
DO $$
DECLARE
	who int;
BEGIN
	FOR i IN 1 .. 600 LOOP
		who := 1 + (random() * 150)::int;
		CASE (random() * 4)::int
			WHEN 0 THEN
				DELETE FROM customer WHERE id = who;
			WHEN 1, 2 THEN
				INSERT INTO customer SELECT * FROM fresh(who) ON CONFLICT DO NOTHING;
			WHEN 3 THEN
				UPDATE customer SET name = NULL, born = NULL, opens = NULL, seen = NULL, at = NULL, price = NULL, amount = NULL, doc = NULL, raw = NULL, uid = NULL
				WHERE id = who;
			ELSE
				UPDATE customer SET price = -i / 3.0, amount = i * 12345678.9, seen = timestamp '0001-01-01' + i * interval '1 year', doc = '[]', raw = '\x', born = '0044-03-15'
				WHERE id = who;
		END CASE;
	END LOOP;
END $$;
SQL
is($node->safe_psql('source', q{SELECT string_agg(DISTINCT op, '' ORDER BY op) FROM capture}), 'cdru', 'the capture has every kind of change');
my $json = JSON::PP->new->utf8->canonical;
my @capture =
  map { $json->decode($_) } split /\n/, $node->safe_psql('source', 'SELECT to_jsonb(c)::text FROM capture c ORDER BY n');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/customer';
$node->safe_psql('source', "COPY customer TO '$dump'");
sql("CREATE TABLE truth ($columns); COPY truth FROM '$dump'");
cmp_ok(sql('SELECT count(*) FROM truth'), '>', 50, 'rows are left at the end');

# What one has and the other has not, both ways.
sub difference
{
	my ($table, $list) = @_;

	return sql("SELECT (SELECT count(*) FROM (SELECT $list FROM $table EXCEPT SELECT $list FROM truth) a)
		|| ' ' || (SELECT count(*) FROM (SELECT $list FROM truth EXCEPT SELECT $list FROM $table) b)");
}

# --- JSON with schemas ---

my %decimal = (type => 'bytes', name => 'org.apache.kafka.connect.data.Decimal', version => 1, parameters => { scale => '2', 'connect.decimal.precision' => '12' });
my @value_fields = (
	{ field => 'shop', type => 'string' },
	{ field => 'id',   type => 'int32' },
	{ field => 'name', type => 'string' },
	{ field => 'born', type => 'int32', name => 'io.debezium.time.Date', version => 1 },
	{ field => 'opens', type => 'int64', name => 'io.debezium.time.MicroTime', version => 1 },
	{ field => 'seen', type => 'int64', name => 'io.debezium.time.MicroTimestamp', version => 1 },
	{ field => 'at', type => 'string', name => 'io.debezium.time.ZonedTimestamp', version => 1 },
	{ field => 'price', %decimal },
	{   field => 'amount', type => 'struct', name => 'io.debezium.data.VariableScaleDecimal', version => 1,
		fields => [ { field => 'scale', type => 'int32' }, { field => 'value', type => 'bytes' } ]
	},
	{ field => 'doc', type => 'string', name => 'io.debezium.data.Json', version => 1 },
	{ field => 'raw', type => 'bytes' },
	{ field => 'uid', type => 'string', name => 'io.debezium.data.Uuid', version => 1 });
my %envelope = (
	type   => 'struct',
	name   => 's.public.customer.Envelope',
	fields => [
		(map { { field => $_, type => 'struct', optional => JSON::PP::true, name => 's.public.customer.Value', fields => \@value_fields } } qw(before after)),
		{ field => 'source', type => 'struct', fields => [ { field => 'lsn', type => 'int64' } ] },
		{ field => 'op', type => 'string' } ]);
my %key_schema = (type => 'struct', name => 's.public.customer.Key', fields => [ @value_fields[ 0, 1 ] ]);

sub base64 { return MIME::Base64::encode_base64($_[0], ''); }

sub json_row
{
	my ($row) = @_;

	return undef unless $row;
	return {
		(map { ($_ => $row->{$_}) } qw(shop id name born opens seen at doc uid)),
		price  => defined $row->{price}  ? base64(pack('q>', $row->{price}))                                     : undef,
		amount => defined $row->{amount} ? { scale => $row->{scale}, value => base64(pack('q>', $row->{amount})) } : undef,
		raw    => defined $row->{raw}    ? base64(pack('H*', $row->{raw}))                                       : undef };
}

sub json_event
{
	my ($c) = @_;

	return [
		$json->encode({ schema => \%key_schema, payload => $c->{key} }),
		$c->{op} && $json->encode(
			{ schema => \%envelope, payload => { op => $c->{op}, before => json_row($c->{before}), after => json_row($c->{after}), source => { lsn => $c->{n} } } }) ];
}

my $all    = join ', ', map { (split)[0] } split /, /, $columns =~ s/\(12, 2\)//r;
my $mapped = join ', ', map { qq("$_": "$_") } split /, /, $all;
my $sent   = produce_pairs($broker, 'json', 0, map { json_event($_) } @capture);
sql("CREATE TABLE json ($columns, lsn bigint, PRIMARY KEY (shop, id))");
sql(qq{SELECT txpipe.create_stream('json', 'shop', 'json', 'json', columns => '{$mapped, "lsn": "\$envelope.source.lsn"}',
	options => '{"mode": "upsert_delete", "envelope": "debezium", "batch_rows": "50"}')});
wait_for_offset($node, 'json', $sent);
is(open_letters($node, 'json'), '', 'JSON with schemas: nothing is refused');
is(difference('json', $all), '0 0', 'JSON with schemas: the table is equal to its source');

# --- Avro ---

sub nullable { return qq({"name": "$_[0]", "type": ["null", $_[1]], "default": null}); }
sub connect_type { return qq({"type": "$_[0]", "connect.version": 1, "connect.name": "$_[1]"}); }

my $value_schema = '{"type": "record", "name": "Value", "fields": [{"name": "shop", "type": "string"}, {"name": "id", "type": "int"}, ' . join(
	', ',
	nullable('name', '"string"'), nullable('born', connect_type('int', 'io.debezium.time.Date')),
	nullable('opens', connect_type('long', 'io.debezium.time.MicroTime')),
	nullable('seen', connect_type('long', 'io.debezium.time.MicroTimestamp')), nullable('at', connect_type('string', 'io.debezium.time.ZonedTimestamp')),
	nullable(
		'price', '{"type": "bytes", "scale": 2, "precision": 12, "connect.version": 1, "connect.name": "org.apache.kafka.connect.data.Decimal", "logicalType": "decimal"}'
	),
	nullable(
		'amount', '{"type": "record", "name": "VariableScaleDecimal", "namespace": "io.debezium.data", "fields": [{"name": "scale", "type": "int"}, '
		  . '{"name": "value", "type": "bytes"}], "connect.version": 1, "connect.name": "io.debezium.data.VariableScaleDecimal"}'
	),
	nullable('doc', connect_type('string', 'io.debezium.data.Json')), nullable('raw', '"bytes"'),
	nullable('uid', connect_type('string', 'io.debezium.data.Uuid'))) . '], "connect.name": "s.public.customer.Value"}';
register_schema($registry, 1, '{"type": "record", "name": "Key", "namespace": "s.public.customer", "fields": [{"name": "shop", "type": "string"}, {"name": "id", "type": "int"}]}');
register_schema($registry, 2, qq({"type": "record", "name": "Envelope", "namespace": "s.public.customer", "fields": [
	{"name": "before", "type": ["null", $value_schema], "default": null}, {"name": "after", "type": ["null", "Value"], "default": null},
	{"name": "source", "type": {"type": "record", "name": "Source", "namespace": "io.debezium.connector.postgresql", "fields": [{"name": "lsn", "type": ["null", "long"]}]}},
	{"name": "op", "type": "string"}, {"name": "ts_ms", "type": ["null", "long"], "default": null}], "connect.name": "s.public.customer.Envelope"}));

sub avro_null { return defined $_[0] ? avro_long(1) . $_[1]->($_[0]) : avro_long(0); }

sub bytes_of { return Encode::encode('UTF-8', $_[0]); }

sub avro_row
{
	my ($row) = @_;
	my $text = sub { avro_text(bytes_of($_[0])) };

	return avro_text($row->{shop}) . avro_long($row->{id}) . join '', avro_null($row->{name}, $text), (map { avro_null($row->{$_}, \&avro_long) } qw(born opens seen)),
	  avro_null($row->{at}, $text), avro_null($row->{price}, sub { avro_text(pack('q>', $_[0])) }),
	  avro_null($row->{amount}, sub { avro_long($row->{scale}) . avro_text(pack('q>', $_[0])) }), avro_null($row->{doc}, $text),
	  avro_null($row->{raw}, sub { avro_text(pack('H*', $_[0])) }), avro_null($row->{uid}, $text);
}

sub avro_event
{
	my ($c) = @_;

	return [
		wire(1, avro_text($c->{key}{shop}) . avro_long($c->{key}{id})),
		$c->{op} && wire(2,
			avro_null($c->{before}, \&avro_row) . avro_null($c->{after}, \&avro_row) . avro_null($c->{n}, \&avro_long) . avro_text($c->{op}) . avro_long(0)) ];
}

$sent = produce_pairs($broker, 'avro', 0, map { avro_event($_) } @capture);
sql("CREATE TABLE avro ($columns, lsn bigint, PRIMARY KEY (shop, id))");
sql(qq{SELECT txpipe.create_stream('avro', 'shop', 'avro', 'avro', 'avro', columns => '{$mapped, "lsn": "\$envelope.source.lsn"}',
	options => '{"mode": "upsert_delete", "envelope": "debezium", "key_format": "avro", "batch_rows": "50"}')});
wait_for_offset($node, 'avro', $sent);
is(open_letters($node, 'avro'), '', 'Avro: nothing is refused');
is(difference('avro', $all), '0 0', 'Avro: the table is equal to its source');
is(sql('SELECT count(*) FROM avro a JOIN json j USING (shop, id) WHERE a.lsn IS DISTINCT FROM j.lsn'), '0', 'and fields of the envelope are the same');

# --- Protobuf ---

register_schema($registry, 3, 'syntax = "proto3"; message Key { string shop = 1; int32 id = 2; }', schemaType => 'PROTOBUF');
register_schema($registry, 4, <<'PROTO', schemaType => 'PROTOBUF');
syntax = "proto3";
message Value { string shop = 1; int32 id = 2; optional string name = 3; optional string at = 4; optional bytes raw = 5; optional string uid = 6; }
message Source { int64 lsn = 1; }
message Envelope { Value before = 1; Value after = 2; Source source = 3; string op = 4; }
PROTO

sub pb_row
{
	my ($row) = @_;

	return pb_bytes(1, $row->{shop}) . pb_number(2, $row->{id}) . join '', map { defined $_->[1] ? pb_bytes(@$_) : () }
	  [ 3, defined $row->{name} ? bytes_of($row->{name}) : undef ], [ 4, $row->{at} ], [ 5, defined $row->{raw} ? pack('H*', $row->{raw}) : undef ], [ 6, $row->{uid} ];
}

# The envelope is the third message of its file: one index, the number 2.
sub pb_event
{
	my ($c) = @_;

	return [
		wire(3, "\0" . pb_bytes(1, $c->{key}{shop}) . pb_number(2, $c->{key}{id})),
		$c->{op} && wire(4, avro_long(1) . avro_long(2) . join('', map { $_->[1] ? pb_bytes($_->[0], pb_row($_->[1])) : () } [ 1, $c->{before} ], [ 2, $c->{after} ])
			  . pb_bytes(3, pb_number(1, $c->{n})) . pb_bytes(4, $c->{op})) ];
}

$sent = produce_pairs($broker, 'proto', 0, map { pb_event($_) } @capture);
sql('CREATE TABLE proto (shop text, id int, name text, at timestamptz, raw bytea, uid uuid, lsn bigint, PRIMARY KEY (shop, id))');
sql(q{SELECT txpipe.create_stream('proto', 'shop', 'proto', 'proto', 'protobuf',
	columns => '{"shop": "shop", "id": "id", "name": "name", "at": "at", "raw": "raw", "uid": "uid", "lsn": "$envelope.source.lsn"}',
	options => '{"mode": "upsert_delete", "envelope": "debezium", "key_format": "protobuf", "batch_rows": "50"}')});
wait_for_offset($node, 'proto', $sent);
is(open_letters($node, 'proto'), '', 'Protobuf: nothing is refused');
is(difference('proto', 'shop, id, name, at, raw, uid'), '0 0', 'Protobuf: the table is equal to its source');

# --- CloudEvents whose data are Avro ---

register_schema($registry, 5, '{"type": "record", "name": "Paid", "fields": [{"name": "amount", "type": "long"}, {"name": "on", "type": '
	  . connect_type('int', 'io.debezium.time.Date') . '}]}');
my $file = PostgreSQL::Test::Utils::tempdir() . '/event';
open my $fh, '>:raw', $file or die $!;
print $fh wire(5, avro_long(30) . avro_long(19782));
close $fh;
system_or_bail('kcat', '-P', '-b', $broker->{servers}, '-t', 'events', '-p', 0, '-H', 'ce_specversion=1.0', '-H', 'ce_id=e1', '-H', 'ce_type=paid',
	'-H', 'content-type=application/avro', $file);
sql('CREATE TABLE events (id text, type text, amount bigint, "on" date)');
sql(q{SELECT txpipe.create_stream('events', 'shop', 'events', 'events', 'avro', columns => '{"id": "$envelope.id", "type": "$header.ce_type", "amount": "amount", "on": "on"}',
	options => '{"envelope": "cloudevents"}')});
wait_for_offset($node, 'events', 1);
is(sql('TABLE events'), 'e1|paid|30|2024-02-29', 'a binary CloudEvent of Avro');

log_is_clean($node, qr/terminating background worker "txpipe worker/);
$node->stop;
stop_registry($registry);
stop_broker($broker);
done_testing();
