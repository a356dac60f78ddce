# Formats and types: every type the decoder writes in binary form, the text form that one other type brings,
# and messages as CSV, text and bytea. What must be in the tables is written down here, not computed by txpipe.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker(qw(typed:1 csv:1 words:1 raw:1));
my $node   = new_node('formats');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $columns = <<'SQL';
    c_smallint smallint, c_integer integer, c_bigint bigint, c_real real, c_double double precision,
    c_numeric numeric, c_money numeric(10,2), c_boolean boolean, c_text text, c_varchar varchar(5), c_char char(5),
    c_date date, c_time time, c_timestamp timestamp, c_timestamptz timestamptz, c_uuid uuid, c_json json,
    c_jsonb jsonb, c_bytea bytea
SQL
sql("CREATE TYPE mood AS ENUM ('fine', 'so so');
	CREATE TABLE typed ($columns); CREATE TABLE typed_text ($columns, c_mood mood, c_inet inet);");
produce_lines(
	$broker, 'typed', 0,
	'{"c_smallint": -32768, "c_integer": 2147483647, "c_bigint": "-9223372036854775808", "c_real": 1.5, '
	  . '"c_double": -2.5e-300, "c_numeric": 123456789012345678901234567890.000100, "c_money": 99999999.99, '
	  . '"c_boolean": true, "c_text": "tab\\t nl\\n back\\\\ quote\\" \u00e9 \ud83d\ude00", "c_varchar": "\u00e9t\u00e9", '
	  . '"c_char": "ab", "c_date": "2024-02-29", "c_time": "23:59:59.999999", "c_timestamp": "2024-12-31T23:59:59.5", '
	  . '"c_timestamptz": "2024-07-01 12:00:00+02", "c_uuid": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", '
	  . '"c_json": {"b": 1, "a": [1, null]}, "c_jsonb": {"b": 1, "a": [1, null]}, "c_bytea": "\\\\x00ff5c", '
	  . '"c_mood": "so so", "c_inet": "10.1.2.3/8"}',
	'{"c_text": null, "c_mood": "fine"}',
	'{"c_varchar": "too long", "c_mood": "fine"}',
	'{"c_money": 1.005}',
	'{"c_mood": "furious"}');
sql("SELECT txpipe.create_stream('typed', 'shop', 'typed', 'typed');
	SELECT txpipe.create_stream('typed_text', 'shop', 'typed', 'typed_text');");
wait_for_offset($node, 'typed', 5);
wait_for_offset($node, 'typed_text', 5);

my $wanted = join '|', -32768, 2147483647, '-9223372036854775808', 1.5, '-2.5e-300',
  '123456789012345678901234567890.000100', '99999999.99', 't', "tab\t nl\n back\\ quote\" \xc3\xa9 \xf0\x9f\x98\x80",
  "\xc3\xa9t\xc3\xa9", 'ab   ', '2024-02-29', '23:59:59.999999', '2024-12-31 23:59:59.5', '2024-07-01 10:00:00+00',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": 1, "a": [1, null]}', '{"a": [1, null], "b": 1}', '\x00ff5c';
is(sql('SELECT * FROM typed WHERE c_smallint IS NOT NULL'), $wanted, 'binary form: every value is what was sent');
is(sql('SELECT * FROM typed_text WHERE c_smallint IS NOT NULL'),
	"$wanted|so so|10.1.2.3/8", 'text form: the same, and types the decoder does not know');
is(sql('SELECT count(*) FROM typed WHERE typed IS NULL'), '2', 'null and absent fields are NULL');
is( sql(q{SELECT string_agg(kafka_offset || ' ' || code || ' ' || coalesce(column_name, '-'), ', ' ORDER BY kafka_offset)
		FROM txpipe.dead_letter WHERE stream = 'typed'}),
	'2 too_long c_varchar, 3 excess_scale c_money', 'binary form: what does not fit exactly is refused');
is( sql(q{SELECT string_agg(kafka_offset || ' ' || code || ' ' || coalesce(column_name, '-'), ', ' ORDER BY kafka_offset)
		FROM txpipe.dead_letter WHERE stream = 'typed_text'}),
	'2 too_long c_varchar, 3 excess_scale c_money, 4 22P02 -', 'text form: likewise, and what PostgreSQL refuses');

# --- CSV: fields in the order of the columns, or by number ---

sql(q{CREATE TABLE csv (id integer, name text, amount numeric(6,2));
	CREATE TABLE numbered (name text, id integer);});
produce_lines($broker, 'csv', 0, '1,"Doe, Jane",12.50', '2,,', '3,x', '4,"open,1');
sql(q{SELECT txpipe.create_stream('csv', 'shop', 'csv', 'csv', format => 'csv');
	SELECT txpipe.create_stream('numbered', 'shop', 'csv', 'numbered', format => 'csv',
		columns => '{"id": "1", "name": "2"}');});
wait_for_offset($node, 'csv', 4);
wait_for_offset($node, 'numbered', 4);
is(sql(q{SELECT id, name, amount FROM csv ORDER BY id}), "1|Doe, Jane|12.50\n2||", 'CSV by position');
is(sql(q{SELECT string_agg(format('%s %s', id, name), '; ' ORDER BY id) FROM numbered}), '1 Doe, Jane; 2 ; 3 x', 'CSV by number');
is(sql(q{SELECT string_agg(code, ' ' ORDER BY kafka_offset) FROM txpipe.dead_letter WHERE stream = 'csv'}),
	'missing_field bad_csv', 'records that are none');

# --- text and bytea: the message is one value, metadata beside it ---

sql(q{CREATE TABLE words (word text, kafka_topic text, kafka_offset bigint, kafka_key bytea);
	CREATE TABLE raw (payload bytea, kafka_timestamp timestamptz);});
produce_lines($broker, 'words', 0, 'plain words', "not\xff text");
produce_lines($broker, 'raw', 0, "any\xff\x01 bytes");
sql(q{SELECT txpipe.create_stream('words', 'shop', 'words', 'words', format => 'text');
	SELECT txpipe.create_stream('raw', 'shop', 'raw', 'raw', format => 'bytea');});
wait_for_offset($node, 'words', 2);
wait_for_offset($node, 'raw', 1);
is(sql('SELECT word, kafka_topic, kafka_offset, kafka_key IS NULL FROM words'), 'plain words|words|0|t', 'text');
is(sql(q{SELECT code, payload, payload_text IS NULL FROM txpipe.dead_letter WHERE stream = 'words'}),
	'bad_encoding|\x6e6f74ff2074657874|t', 'bytes that are no text are kept as they came');
is(sql(q{SELECT payload, kafka_timestamp > now() - interval '1 hour' FROM raw}), '\x616e79ff01206279746573|t', 'bytea');

log_is_clean($node);
stop_broker($broker);
done_testing();
