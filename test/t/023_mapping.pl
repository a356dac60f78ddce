# Column mappings: fields of the key, headers, alternatives, defaults, and what is refused when the stream is created.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker(qw(keyed:1 headed:1));
my $node   = new_node('mapping');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $i = 0;
for my $message (
	[ '{"a": 1, "b": "x"}', '{"id": 7, "region": {"code": "eu", "a.b": "dot"}}' ],
	[ '{"second": "two", "first": "one"}', '{"id": "8"}' ],
	[ '{"second": "two", "$type": "t"}', '{"id": 9, "region": null}' ],
	[ '{"a": 4}', 'no json' ],
	[ '{"a": 5}', undef ],
	[ '{"a": 6}', '{"id": "x"}' ])
{
	my ($value, $key) = @$message;
	my $key_sql = defined $key ? "'$key'" : 'NULL';

	sql("SELECT txpipe.produce('shop', 'keyed', '$value', $key_sql)");
	$i++;
}

sql('CREATE TABLE keyed (id integer NOT NULL, region text, dotted text, a integer, picked text, kind text, key jsonb)');
sql(<<'SQL');
SELECT txpipe.create_stream('keyed', 'shop', 'keyed', 'keyed', columns => $$
	{"id": "$key.id", "region": {"path": "$key.region.code", "default": "none"}, "dotted": "$key.region.a\\.b",
	 "a": {"path": "a", "default": null}, "picked": {"path": ["first", "second"], "default": "-"}, "kind": "\\$type",
	 "key": "$key"}$$)
SQL
wait_for_offset($node, 'keyed', $i);
is( sql(q{SELECT string_agg(concat_ws(' ', id, region, coalesce(dotted, '.'), coalesce(a, 0), picked, coalesce(kind, '.'),
			key->>'id'), ', ' ORDER BY id) FROM keyed}),
	'7 eu dot 1 - . 7, 8 none . 0 one . 8, 9 none . 0 two t 9',
	'fields of the key and alternatives fill columns, the first alternative wins');
is( sql(q{SELECT string_agg(concat_ws(' ', kafka_offset, code, column_name), ', ' ORDER BY kafka_offset)
		FROM txpipe.dead_letter WHERE stream = 'keyed'}),
	'3 bad_json id, 4 missing_value id, 5 bad_value id', 'keys that are no JSON, missing or wrong name their column');
like(sql(q{SELECT message FROM txpipe.dead_letter WHERE stream = 'keyed' AND kafka_offset = 3}),
	qr/^message key: /, 'a bad key is said to be the key');

# Headers by name: the last of several, none, and bytes that are no text.
for my $message ([ 1, 'trace.id=one', 'trace.id=two', 'n=3' ], [ 2, 'other=x' ], [ 3, "trace.id=\xff" ])
{
	my ($value, @headers) = @$message;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/value';

	append_to_file($file, qq({"id": $value}));
	system_or_bail('kcat', '-P', '-b', $broker->{servers}, '-t', 'headed', '-p', 0, (map { ('-H', $_) } @headers), $file);
}
sql('CREATE TABLE headed (id integer, trace text, raw bytea, n integer)');
sql(q{SELECT txpipe.create_stream('headed', 'shop', 'headed', 'headed',
	columns => '{"id": "id", "trace": "$header.trace.id", "raw": "$header.trace.id", "n": {"path": ["$header.m", "$header.n"], "default": 0}}')});
wait_for_offset($node, 'headed', 3);
is(sql('SELECT * FROM headed ORDER BY id'), "1|two|\\x74776f|3\n2|||0", 'headers fill columns, the last of a name');
is( sql(q{SELECT string_agg(concat_ws(' ', kafka_offset, code, column_name), ', ' ORDER BY kafka_offset) FROM txpipe.dead_letter WHERE stream = 'headed'}),
	'2 bad_encoding trace',
	'one that is no UTF-8 makes a dead letter');
is(sql(q{SELECT replayed, failed FROM txpipe.replay_dead_letters('headed')}), '0|1', 'a replay sees the same');

# what, columns, SQLSTATE, words of the message
my @refused = (
	[ 'default beside its type', '{"id": {"path": "a", "default": "none"}}', qr/^22/, qr/integer.*none/ ],
	[ 'default out of range', '{"id": {"path": "a", "default": 3000000000}}', qr/^22/, qr/out of range/ ],
	[ 'alternatives of key and value', '{"id": {"path": ["$key.id", "id"]}}', qr/^22023$/, qr/id.*different places/ ],
	[ 'a whole beside a field', '{"region": {"path": ["$key", "id"]}}', qr/^22023$/, qr/region.*different places/ ],
	[ 'a key path without a field', '{"id": "$key."}', qr/^22023$/, qr/id.*path/ ],
	[ 'a header without a name', '{"region": "$header."}', qr/^22023$/, qr/region.*path/ ],
	[ 'alternatives of header and value', '{"region": {"path": ["$header.a", "id"]}}', qr/^22023$/, qr/region.*different places/ ],
	[ 'an unknown $ path', '{"id": "$keys"}', qr/^22023$/, qr/\$keys/ ],
	[ 'an empty part', '{"id": "$key.a..b"}', qr/^22/, qr/empty part/ ],
);
for my $case (@refused)
{
	my ($what, $columns, $state, $words) = @$case;
	my $error = error_of($node, "SELECT txpipe.create_stream('bad', 'shop', 'keyed', 'keyed', columns => '$columns')");

	ok($error, "$what: is refused") or next;
	like($error->{state}, $state, "$what: SQLSTATE") or diag($error->{text});
	like($error->{message}, $words, "$what: says what is wrong") or diag($error->{text});
}

log_is_clean($node, map { $_->[3] } @refused);
stop_broker($broker);
done_testing();
