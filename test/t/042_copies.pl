# Copies of a database do not read on by themselves, and go on exactly where they stand once somebody says so:
# pg_dump and pg_restore, and CREATE DATABASE … TEMPLATE, while messages keep coming.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('shop:2', 'other:1');
my $node   = new_node('copies');
start_node($node);

my $messages = 0;

# 50 messages to each partition; every 25th cannot become a row.
sub produce_some
{
	for my $partition (0, 1)
	{
		produce_lines($broker, 'shop', $partition,
			map { $_ % 25 == 0 ? "{\"id\": \"bad $_\"}" : "{\"id\": $_}" }
			  map { $messages + 2 * $_ + $partition } 1 .. 50);
	}
	$messages += 100;
	return;
}

# What a database holds of the topic: offsets that became rows, those that became dead letters, double ones.
my $holdings = <<'SQL';
SELECT count(*), (SELECT count(*) FROM txpipe.dead_letter), count(*) - count(DISTINCT (kafka_partition, kafka_offset)),
	(SELECT sum(next_offset) FROM txpipe.stream_partition WHERE stream = 'shop'),
	(SELECT sum(n) FROM counted)
FROM shop
SQL

# Everything produced is there once: of n messages each 25th is a dead letter.
sub holds_all
{
	my ($db) = @_;
	my $bad = $messages / 25;

	wait_for_offset($node, 'shop', $messages, db => $db);
	is( $node->safe_psql($db, $holdings),
		join('|', $messages - $bad, $bad, 0, $messages, $messages - $bad),
		"$db holds every message once");
	return;
}

# Rows, dead letters and offsets agree: it stands at one point of the stream.
sub stands_at_one_point
{
	my ($db) = @_;
	my ($rows, $dead, $double, $next, $counted) = split /\|/, $node->safe_psql($db, $holdings);

	is($rows + $dead, $next, "$db stands at one point: $rows rows, $dead dead letters");
	is($double,       0,     'with nothing double');
	is($counted,      $rows, 'and what the step has made of the rows');
	cmp_ok($next, '<', $messages, 'which is in the middle of the stream');
	return;
}

sub is_paused_copy
{
	my ($db) = @_;

	is($node->safe_psql($db, 'SELECT state, reason, workers FROM txpipe.stream_status'),
		'paused|copied|0', "$db is paused as a copy");
	my $refused = error_of($node, "CALL txpipe.consume('shop')", db => $db);
	is($refused->{state}, '55000', 'and reads nothing by hand either');
	like($refused->{hint}, qr/resume_stream/, 'with a hint');
	return;
}

$node->safe_psql('postgres', 'CREATE DATABASE original');
$node->safe_psql('original', 'CREATE EXTENSION txpipe');
kafka_server($node, 'broker', $broker, 'original');
$node->safe_psql('original', <<'SQL');
CREATE TABLE shop (id bigint, kafka_partition int, kafka_offset bigint);
SELECT txpipe.create_stream('shop', 'broker', 'shop', 'shop', options => '{"batch_rows": 20}',
	columns => '{"id": "id", "kafka_partition": "kafka_partition", "kafka_offset": "kafka_offset"}');
CREATE TABLE counted (n bigint);
SELECT txpipe.on_batch('shop', 'count', 'INSERT INTO public.counted SELECT count(*) FROM batch');
SQL
produce_some() for 1 .. 3;
wait_for($node, 'SELECT count(*) > 100 FROM shop', 'rows arrive', db => 'original');
my $token = $node->safe_psql('original', 'SELECT token FROM txpipe.installation');

# --- a dump taken while messages come, restored beside the original ---

my $dump = $node->basedir . '/dump';
produce_some() for 1 .. 3;
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-Fc', '-f', $dump, 'original' ], 'pg_dump');
produce_some();
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-h', $node->host, '-p', $node->port, '-e', '-d', 'restored', $dump ], 'pg_restore');
is_paused_copy('restored');
wait_for($node, q{SELECT state = 'paused' FROM txpipe.stream}, 'a worker has seen it', db => 'restored');
is($node->safe_psql('restored', 'SELECT home = token FROM txpipe.stream, txpipe.installation'),
	't', 'it belongs to the new installation');
stands_at_one_point('restored');
is( $node->safe_psql('restored', 'SELECT string_agg(stream, \',\') FROM txpipe.stream_event'),
	$node->safe_psql('original', 'SELECT string_agg(stream, \',\') FROM txpipe.stream_event'),
	'events are those of the dump');

$node->safe_psql('restored', q{SELECT txpipe.resume_stream('shop')});
produce_some();
holds_all($_) for 'restored', 'original';
is($node->safe_psql('restored', q{SELECT count(*) FROM txpipe.stream_event WHERE event = 'copied'}),
	'1', 'the log has that it was a copy');
is( $node->safe_psql('restored', 'SELECT count(*) = count(DISTINCT dead_letter_id) FROM txpipe.dead_letter'),
	't', 'new dead letters have new numbers');
$node->safe_psql('restored', <<'SQL');
CREATE TABLE other (id bigint);
SELECT txpipe.create_stream('other', 'broker', 'other', 'other');
SQL
is($node->safe_psql('restored', q{SELECT state FROM txpipe.stream_status WHERE stream = 'other'}),
	'running', 'a stream created in it is its own');

# --- restored piece by piece: the definitions first, the offsets when a worker has looked already ---

my $list = $node->basedir . '/list';
my ($listed) = run_command([ 'pg_restore', '-l', $dump ]);
my %piece = (first => [], rest => []);
for (split /\n/, $listed)
{
	next if /^;/;
	my $early = !/TABLE DATA|SEQUENCE SET/ || /TABLE DATA txpipe stream /;
	push @{ $piece{ $early ? 'first' : 'rest' } }, "$_\n";
}
cmp_ok(scalar(grep { /txpipe stream_offset/ } @{ $piece{rest} }), '==', 1, 'the dump has the offsets');
$node->safe_psql('postgres', 'CREATE DATABASE pieces');
for my $piece ('first', 'rest')
{
	open my $fh, '>', $list or die "$list: $!";
	print $fh @{ $piece{$piece} };
	close $fh;
	$node->command_ok([ 'pg_restore', '-h', $node->host, '-p', $node->port, '-e', '-L', $list, '-d', 'pieces', $dump ],
		"pg_restore, the $piece");
	wait_for($node, q{SELECT state = 'paused' AND reason = 'copied' FROM txpipe.stream},
		'a worker has paused the copy', db => 'pieces');
}
stands_at_one_point('pieces');
$node->safe_psql('pieces', q{SELECT txpipe.resume_stream('shop')});
holds_all('pieces');

# --- a copy by TEMPLATE while messages come ---

produce_some();
is($node->psql('postgres', 'CREATE DATABASE template_copy TEMPLATE original'), 0, 'CREATE DATABASE … TEMPLATE');
produce_some();
is_paused_copy('template_copy');
$node->reload;
wait_for($node, q{SELECT state = 'paused' FROM txpipe.stream}, 'a worker has seen it', db => 'template_copy');
isnt($node->safe_psql('template_copy', 'SELECT token FROM txpipe.installation'),
	$token, 'the copy is an installation of its own');
is($node->safe_psql('original', 'SELECT token, (SELECT state FROM txpipe.stream) FROM txpipe.installation'),
	"$token|running", 'the original is what it was');
holds_all('original');
$node->safe_psql('template_copy', q{SELECT txpipe.resume_stream('shop')});
holds_all('template_copy');
is($node->safe_psql('template_copy', q{SELECT count(*) FROM txpipe.stream_event WHERE event = 'copied'}),
	'1', 'its log has that it was a copy');

# --- a restart is no copy ---

$node->stop('immediate');
$node->start;
produce_some();
holds_all($_) for 'original', 'restored', 'pieces', 'template_copy';

$node->stop('fast');
log_is_clean($node, qr/stream "shop" is a copy/, qr/terminating .* due to/);
stop_broker($broker);
done_testing();
