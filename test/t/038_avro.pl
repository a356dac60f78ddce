# Avro: messages that name their schema in a registry, and such of a schema the stream has itself; what becomes of new
# schemas, and of a registry that is away, refuses or lacks one. Values are written here byte by byte.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRegistry;
use TxpipeTest;

my $broker   = start_broker(qw(orders:1 typed:1 plain:1 later:1 bad:1 fields:1 own:1 renamed:1 missing:1 login:1 parts:1 tls:1 other:1));
my $registry = start_registry();
my $node     = new_node('avro');
start_node($node);
kafka_server($node, 'bare', $broker);
registry_server($node, 'shop', $broker, "http://127.0.0.1:1, $registry->{url}/");

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $order = '{"type": "record", "name": "Order", "namespace": "shop", "doc": "an order", "fields": ['
  . '{"name": "id", "type": "long"}, {"name": "name", "type": "string"},'
  . '{"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 16, "scale": 2}},'
  . '{"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},'
  . '{"name": "tags", "type": {"type": "array", "items": "string"}}, {"name": "note", "type": ["null", "string"]}]}';

# at: milliseconds since 1970
sub order
{
	my ($id, $name, $cents, $at, $tags, $note) = @_;

	return avro_long($id) . avro_text($name) . avro_text(pack('q>', $cents)) . avro_long($at)
	  . (@$tags ? avro_long(scalar @$tags) . join('', map { avro_text($_) } @$tags) : '') . avro_long(0)
	  . (defined $note ? avro_long(1) . avro_text($note) : avro_long(0));
}

# --- typed ---

register_schema($registry, 7, $order);
my @orders = (
	order(1, 'tea', 1250, 1704164645678, [ 'a', 'b"c' ], undef), order(-2, "caf\xc3\xa9", -7, 0, [], 'n'),
	order(9223372036854775807, '', 99999999999999, -1, ['x'], ''));
produce_bytes($broker, 'orders', map { wire(7, $_) } @orders);
sql(q{CREATE TABLE orders (id bigint PRIMARY KEY, name text NOT NULL, amount numeric, at timestamptz, tags jsonb, note text, kafka_offset bigint, raw bytea)});
sql(q{SELECT txpipe.create_stream('orders', 'shop', 'orders', 'orders', 'avro',
	'{"id": "id", "name": "name", "amount": "amount", "at": "at", "tags": "tags", "note": "note", "kafka_offset": "kafka_offset", "raw": "$value"}')});
wait_for_offset($node, 'orders', 3);
is( sql('SELECT id, name, amount, at, tags, note, kafka_offset FROM orders ORDER BY kafka_offset'),
	"1|tea|12.50|2024-01-02 03:04:05.678+00|[\"a\", \"b\\\"c\"]||0\n"
	  . "-2|caf\xc3\xa9|-0.07|1970-01-01 00:00:00+00|[]|n|1\n"
	  . '9223372036854775807||999999999999.99|1969-12-31 23:59:59.999+00|["x"]||2',
	'values are what was written');
is(sql('SELECT note IS NULL FROM orders ORDER BY kafka_offset'), "t\nf\nf", 'null is NULL, an empty string is not');
is(sql("SELECT encode(raw, 'hex') FROM orders WHERE id = 1"), unpack('H*', wire(7, $orders[0])), '$value as bytea is the message as it came');
is(registry_log($registry), "schemas/ids/7\n" x 2, 'the schema was asked for twice: by create_stream, and by the stream');
is(open_letters($node, 'orders'), '', 'nothing was refused');

# --- looked at, and inferred ---

is( sql("SELECT kafka_offset, decoded ->> 'amount', code FROM txpipe.test_stream('shop', 'orders', 'orders'::regclass, 'avro') ORDER BY 1"),
	"0|12.50|\n1|-0.07|\n2|999999999999.99|",
	'test_stream');
is(sql("SELECT count(*) FROM txpipe.peek('shop', 'orders')"), '3', 'peek');
sql(q{SELECT txpipe.create_stream('plain', 'shop', 'orders', format => 'avro')});
wait_for_offset($node, 'plain', 3);
is( sql(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = 'plain'::regclass AND attnum BETWEEN 1 AND 6}),
	'id bigint, name text, amount numeric(16,2), at timestamp with time zone, tags jsonb, note text',
	'the table that is inferred');
is(sql('SELECT sum(amount), count(*) FROM plain'), '1000000000012.42|3', 'and what is in it');
is(sql(q{SELECT string_agg(path, ' ' ORDER BY path COLLATE "C") FROM txpipe.stream_field WHERE stream = 'plain'}), 'amount at id name note tags',
	'stream_field');

# The types and docs are the schema's, also of fields that no message has had a value for.
my $typed = '{"type": "record", "name": "t", "fields": [{"name": "Small", "type": "int", "doc": "a \\"number\\" of it\'s"},'
  . '{"name": "f", "type": "float"}, {"name": "d", "type": ["null", "double"]}, {"name": "b", "type": "bytes"}, {"name": "e", "type": {"type": "enum", "name": "e", "symbols": ["A"]}},'
  . '{"name": "day", "type": {"type": "int", "logicalType": "date"}}, {"name": "t", "type": {"type": "int", "logicalType": "time-millis"}},'
  . '{"name": "l", "type": {"type": "long", "logicalType": "local-timestamp-micros"}}, {"name": "u", "type": ["null", {"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}], "doc": "never there"},'
  . '{"name": "many", "type": ["null", "int", "string"]}, {"name": "free", "type": {"type": "bytes", "logicalType": "decimal", "precision": 2000, "scale": 1}}]}';
my $typed_value = avro_long(7) . pack('f<', 0.5) . avro_long(0) . avro_text("\xff") . avro_long(0) . avro_long(1) . avro_long(1000) . avro_long(5) . avro_long(0) . avro_long(0)
  . avro_text("\x0f");
register_schema($registry, 40, $typed);
register_schema($registry, 41, $typed =~ s/"type": "int", "doc"/"type": "long", "doc"/r =~ s/"float"/"string"/r);
produce_bytes($broker, 'typed', wire(40, $typed_value), wire(41, $typed_value =~ s/\A.(....)/avro_long(5_000_000_000) . avro_text('text')/ser));
sql(q{SELECT txpipe.create_stream('typed', 'shop', 'typed', format => 'avro', paused => true)});
my $types = q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
	WHERE attrelid = 'typed'::regclass AND attnum BETWEEN 1 AND 11};
is( sql($types),
	'small bigint, f text, d double precision, b bytea, e text, day date, t time without time zone, l timestamp without time zone, u uuid, many jsonb, free numeric',
	'of two schemas a type that holds both, or what holds the values');
is( sql(q{SELECT string_agg(col_description('typed'::regclass, n), '; ' ORDER BY n) FROM unnest('{1,2,9}'::int[]) n}),
	q{a "number" of it's (mapped from Small); Mapped from f; never there (mapped from u)},
	'comments have their docs');
sql(q{SELECT txpipe.resume_stream('typed')});
wait_for_offset($node, 'typed', 2);
is( sql('SELECT small, f, d, b, e, day, t, l, u, many, free FROM typed ORDER BY small'),
	"7|0.5||\\xff|A|1970-01-02|00:00:01|1970-01-01 00:00:00.000005|||1.5\n"
	  . '5000000000|text||\xff|A|1970-01-02|00:00:01|1970-01-01 00:00:00.000005|||1.5',
	'and the rows');

# --- a later schema, while the registry is away ---

my $evolved = $order =~ s/\]\}$/, {"name": "weight", "type": "double", "default": 1.5}]}/r;
sql(q{CREATE TABLE later (id integer, name text)});
sql(q{SELECT txpipe.create_stream('later', 'shop', 'later', 'later', 'avro', paused => true, options => '{"on_new_field": "column"}')});
produce_bytes($broker, 'later', wire(7, order(1, 'a', 0, 0, [], undef)));
sql("SELECT txpipe.resume_stream('later')");
wait_for_offset($node, 'later', 1);
stop_registry($registry);
produce_bytes($broker, 'later', wire(8, order(2, 'b', 0, 0, [], undef) . pack('d<', 2.5)), wire(7, order(3, 'c', 0, 0, [], undef)));
wait_for(
	$node, q{SELECT state = 'error' AND last_error ~* '^08006: the schema registry at ".*" does not give schema 8\. .*connect'
		FROM txpipe.stream_status WHERE stream = 'later'}, 'the status says what is awaited');
is(open_letters($node, 'later') . sql('SELECT count(*) FROM later'), '1', 'nothing is refused or skipped meanwhile');
$registry = start_registry(%{$registry}{qw(dir port)});
register_schema($registry, 8, $evolved);
wait_for_offset($node, 'later', 3);
is(sql('SELECT id, name, weight FROM later ORDER BY id'), "1|a|\n2|b|2.5\n3|c|", 'it goes on by itself; the new field has a column');
wait_for($node, q{SELECT state = 'running' FROM txpipe.stream_status WHERE stream = 'later'}, 'it runs');

# --- messages that are none ---

sql('CREATE TABLE bad (id bigint, name text)');
sql(q{SELECT txpipe.create_stream('bad', 'shop', 'bad', 'bad', 'avro')});
produce_bytes($broker, 'bad', '{"id": 1}', wire(7, substr($orders[0], 0, 9)), wire(7, "$orders[0]x"), "\0\0\0", wire(7, $orders[1]));
wait_for_offset($node, 'bad', 5);
is( open_letters($node, 'bad'),
	"0 bad_avro: the message does not begin with byte 0 and the number of a schema\n"
	  . "1 bad_avro: a length beyond the message's end at byte 7\n"
	  . "2 bad_avro: bytes after the value at byte " . (length($orders[0]) + 1) . "\n"
	  . '3 bad_avro: the message does not begin with byte 0 and the number of a schema',
	'each says why');
is(sql('SELECT id FROM bad'), '-2', 'the one between them is a row');

# --- a schema that is missing, for a while or for good ---

sql('CREATE TABLE missing (id bigint)');
sql(q{SELECT txpipe.create_stream('missing', 'shop', 'missing', 'missing', 'avro', options => '{"schema_timeout": 3600}')});
produce_bytes($broker, 'missing', wire(20, avro_long(1)), wire(7, $orders[0]));
wait_for($node, q{SELECT last_error ~ '^42704: schema 20 is not in the registry at' FROM txpipe.stream_status WHERE stream = 'missing'},
	'a missing schema is waited for');
sql(q{SELECT txpipe.alter_stream('missing', options => '{"schema_timeout": 0}')});
wait_for_offset($node, 'missing', 2);
is(open_letters($node, 'missing'), '0 unknown_schema: schema 20 is not in the registry', 'or, when the time is over, not');
is(sql('SELECT id FROM missing'), '1', 'the stream is behind it');
register_schema($registry, 20, '{"type": "record", "name": "m", "fields": [{"name": "id", "type": "long"}]}');
is(sql(q{SELECT replayed, failed FROM txpipe.replay_dead_letters('missing')}), '1|0', 'a replay asks for it again');
is(sql('SELECT count(*) FROM missing'), '2', 'and has the row');

# --- schemas of their own ---

my $own = '{"type": "record", "name": "own", "fields": [{"name": "id", "type": "long"}, {"name": "n", "type": "string"}]}';
sql('CREATE TABLE own (id bigint, n text, kafka_offset bigint)');
sql("SELECT txpipe.create_stream('own', 'bare', 'own', 'own', 'avro', options => jsonb_build_object('avro_schema', '$own'))");
my $value = avro_long(5) . avro_text('v');
# The fingerprint was computed by Apache's avro for Python.
produce_bytes($broker, 'own', $value, single_object('098bc04ad09083fc', $value), single_object('0123456789abcdef', $value));
wait_for_offset($node, 'own', 3);
is(sql('SELECT id, n, kafka_offset FROM own ORDER BY 3'), "5|v|0\n5|v|1", 'values, and single objects of the schema');
is(open_letters($node, 'own'), '2 unknown_schema: written with the schema of fingerprint 0123456789abcdef, the stream\'s has 098bc04ad09083fc', 'not those of another');

is( sql("SELECT kafka_offset, decoded ->> 'n', code FROM txpipe.test_stream('bare', 'own', 'own'::regclass, 'avro',
		options => jsonb_build_object('avro_schema', '$own')) ORDER BY 1"),
	"0|v|\n1|v|\n2||unknown_schema",
	'test_stream takes the schema, too');

my $reader = '{"type": "record", "name": "Order", "fields": [{"name": "number", "type": "long", "aliases": ["id"]},'
  . '{"name": "name", "type": "string"}, {"name": "kind", "type": "string", "default": "order"}]}';
sql('CREATE TABLE renamed (number bigint, name text, kind text, amount text)');
sql("SELECT txpipe.create_stream('renamed', 'shop', 'orders', 'renamed', 'avro', options => jsonb_build_object('avro_schema', '$reader'))");
wait_for_offset($node, 'renamed', 3);
is( sql('SELECT * FROM renamed ORDER BY number'),
	"-2|caf\xc3\xa9|order|\n1|tea|order|\n9223372036854775807||order|",
	'with a registry it is what messages are read as: alias, default, a field left out');

# --- types of other subjects ---

register_schema($registry, 'subjects/common%2Fmoney/versions/3',
	'{"type": "record", "name": "Money", "namespace": "common", "fields": [{"name": "cents", "type": "long"}]}');
register_schema(
	$registry, 30,
	'{"type": "record", "name": "Part", "fields": [{"name": "price", "type": "common.Money"}]}',
	references => [ { name => 'common.Money', subject => 'common/money', version => 3 } ]);
register_schema($registry, 31, 'syntax = "proto3";', schemaType => 'PROTOBUF');
sql('CREATE TABLE parts (cents bigint)');
sql(q{SELECT txpipe.create_stream('parts', 'shop', 'parts', 'parts', 'avro', '{"cents": "price.cents"}')});
produce_bytes($broker, 'parts', wire(30, avro_long(12)), wire(31, 'x'));
wait_for_offset($node, 'parts', 2);
is(sql('SELECT cents FROM parts'), '12', 'a schema that refers to another one');
like(open_letters($node, 'parts'), qr/^1 bad_schema: schema 31: it is of PROTOBUF, not of AVRO/, 'one of another kind');

# --- log-in ---

my $guarded = start_registry(user_info => 'reader:s3cret:word');
register_schema($guarded, 7, $order);
registry_server($node, 'guarded', $broker, $guarded->{url});
sql('CREATE TABLE login (id bigint)');
fails_with($node, q{SELECT txpipe.create_stream('login', 'guarded', 'orders', 'login', 'avro')}, '28000', 'does not give schema 7.*user and password', 'without a password');
sql(q{SELECT txpipe.create_stream('login', 'guarded', 'orders', 'login', 'avro', paused => true)});
my $file = secret_file($node->basedir . '/user_info', "reader:s3cret:word\n");
sql("CREATE USER MAPPING FOR CURRENT_USER SERVER guarded OPTIONS (schema_registry_user_info_file '$file'); SELECT txpipe.resume_stream('login')");
wait_for_offset($node, 'login', 3);
is(sql('SELECT count(*) FROM login'), '3', 'with one, from a file');
unlike(slurp_file($node->logfile), qr/s3cret/, 'which is not in the log');

# While the stream waits at a message; the log-in is mended without touching the stream.
secret_file($file, 'reader:wrong');
sql(q{CREATE TABLE late (id bigint); SELECT txpipe.create_stream('late', 'guarded', 'orders', 'late', 'avro', paused => true); SELECT txpipe.resume_stream('late')});
wait_for($node, q{SELECT last_error ~ '^28000: .*user and password' FROM txpipe.stream_status WHERE stream = 'late'}, 'the log-in is refused');
secret_file($file, 'reader:s3cret:word');
wait_for_offset($node, 'late', 3);
is(sql('SELECT count(*) FROM late'), '3', 'a log-in that is mended is found');

# --- numbers that somebody invents ---

sql('CREATE TABLE invented (id bigint)');
sql(q{SELECT txpipe.create_stream('invented', 'shop', 'other', 'invented', 'avro', options => '{"schema_timeout": 5}')});
my $begin = time();
produce_bytes($broker, 'other', (map { wire(1000 + $_, 'x') } 1 .. 8), wire(7, $orders[0]));
wait_for_offset($node, 'invented', 9);
cmp_ok(time() - $begin, '<', 30, 'are waited for once, not one after the other');
is(sql(q{SELECT count(*) FROM txpipe.dead_letter WHERE stream = 'invented' AND code = 'unknown_schema'}), '8', 'and each is a dead letter');

# --- references without end ---

for my $level (1 .. 16)
{
	my $name = sub { my ($n) = @_; return { name => "T$n", subject => "t$n", version => 1 } };

	register_schema($registry, "subjects/t$level/versions/1", qq({"type": "record", "name": "T$level", "fields": [{"name": "a", "type": "long"}]}),
		$level > 1 ? (references => [ $name->($level - 1), $name->($level - 1) ]) : ());
	register_schema($registry, 40, '{"type": "record", "name": "top", "fields": [{"name": "id", "type": "T16"}]}', references => [ $name->(16), $name->(1) ]) if $level == 16;
}
my $asked = () = registry_log($registry) =~ /\n/g;
sql(q{CREATE TABLE many (id jsonb); SELECT txpipe.create_stream('many', 'shop', 'fields', 'many', 'avro')});
produce_bytes($broker, 'fields', wire(40, avro_long(3)));
wait_for_offset($node, 'many', 1);
is(sql('SELECT id FROM many'), '{"a": 3}', 'types that are referred to in many ways');
is(scalar(() = registry_log($registry) =~ /\n/g) - $asked, 17, 'are asked for once each');

# --- HTTPS ---

SKIP:
{
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $free = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport;

	mkdir "$dir/$_" or die $! for 'schemas', 'schemas/ids';
	append_to_file("$dir/schemas/ids/7", JSON::PP->new->encode({ schema => $order }));
	system_or_bail('openssl', qw(req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1),
		'-keyout', "$dir/key.pem", '-out', "$dir/cert.pem");
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		chdir $dir or die $!;
		open STDOUT, '>', 'out'      or die $!;
		open STDERR, '>&', \*STDOUT or die $!;
		open STDIN, '<', '/dev/null' or die $!;
		exec 'openssl', 's_server', '-WWW', '-accept', "127.0.0.1:$free", '-key', 'key.pem', '-cert', 'cert.pem' or die $!;
	}
	wait_until('the server listens', sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $free) });
	my $ca = slurp_file("$dir/cert.pem");
	sql("CREATE SERVER tls FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '$broker->{servers}', schema_registry_url 'https://127.0.0.1:$free');
		CREATE TABLE tls (id bigint)");
	fails_with($node, q{SELECT txpipe.create_stream('tls', 'tls', 'orders', 'tls', 'avro')}, '08006', 'certificate', 'a certificate nobody vouches for');
	sql("ALTER SERVER tls OPTIONS (ADD schema_registry_ca_pem '$ca'); SELECT txpipe.create_stream('tls', 'tls', 'orders', 'tls', 'avro')");
	wait_for_offset($node, 'tls', 3);
	is(sql('SELECT count(*) FROM tls'), '3', 'over HTTPS, with the authority of the server');
	kill 'TERM', $pid;
	waitpid($pid, 0);
}

# --- definitions that cannot work ---

sql('CREATE TABLE other (id bigint)');
fails_with($node, "ALTER SERVER shop OPTIONS (SET schema_registry_url '$_')", '22023', 'invalid value', "the address $_")
  for 'file:///etc/passwd', 'http://user:word\@127.0.0.1', 'http://', 'http://a, b';
fails_with($node, q{SELECT txpipe.create_stream('other', 'bare', 'own', 'other', 'avro')}, '22023', 'no schema for messages of the format avro', 'no schema anywhere');
fails_with($node, q{SELECT txpipe.create_stream('other', 'bare', 'own', 'other', 'avro', options => '{"avro_schema": "\"nothing\""}')},
	'22023', 'unknown type "nothing"', 'a schema that is none');
fails_with($node, q{SELECT txpipe.create_stream('other', 'bare', 'own', 'other', options => '{"avro_schema": "\"int\""}')},
	'22023', 'avro_schema needs the format avro', 'a schema for another format');

log_is_clean($node, qr/ERROR:  the schema registry at/, qr/ERROR:  there is no schema for/, qr/ERROR:  schema: unknown type/,
	qr/ERROR:  option avro_schema needs/, qr/ERROR:  invalid value for option "schema_registry_url"/);
stop_broker($broker);
done_testing();
