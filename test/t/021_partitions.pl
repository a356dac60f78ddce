# Partitions shared out over servers: by lists, by index of count, and by hand, released here and adopted there. Each message is in one
# place once, whatever ends between. (138_servers has the kill loop.)
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('thirds:7', 'short:1', 'moves:4', 'pairs:4', 'later:3');
my ($left, $right) = map {
	my $node = new_node($_, conf => "wal_level = replica\nmax_wal_senders = 4\nwal_writer_delay = 10s\n");

	$node->set_replication_conf if $_ eq 'left';
	start_node($node);
	kafka_server($node, 'shop', $broker);
	$node;
} 'left', 'right';

sub produce
{
	my ($topic, $partition, @ids) = @_;

	return produce_lines($broker, $topic, $partition, map { "{\"id\": $_}" } @ids);
}

my $columns = q{columns => '{"id": "id", "t": "kafka_topic", "p": "kafka_partition", "o": "kafka_offset"}'};

sub create
{
	my ($node, $name, $topic, $options, @more) = @_;

	$node->safe_psql('postgres', "CREATE TABLE $name (id bigint, t text, p integer, o bigint);"
		  . "SELECT txpipe.create_stream(" . join(', ', "'$name', 'shop', '$topic', '$name', $columns, options => '$options'", @more) . ')');
	return;
}

# Which partitions a table has rows of.
sub partitions
{
	my ($node, $table) = @_;

	return $node->safe_psql('postgres', "SELECT string_agg(DISTINCT t || p, ' ' ORDER BY t || p) FROM $table");
}

sub rows_are
{
	my ($node, $table, $count, $what) = @_;

	return wait_for($node, "SELECT count(*), count(DISTINCT (t, p, o)) FROM $table", $what, value => "$count|$count");
}

# --- an index of a count ---

produce('thirds', $_, 10 * $_ .. 10 * $_ + 9) for 0 .. 6;
produce('short', 0, 1 .. 5);
create($left, "third_$_", 'thirds,short', "{\"partitions\": \"index $_ of 3\"}") for 0 .. 2;
rows_are($left, 'third_0', 35, 'index 0 of 3, of two topics');
rows_are($left, 'third_1', 20, 'index 1 of 3');
rows_are($left, 'third_2', 20, 'index 2 of 3');
is(partitions($left, 'third_0'), 'short0 thirds0 thirds3 thirds6', 'partitions 0, 3 and 6 of 3 servers are of the first, of each topic');
is(partitions($left, 'third_1'), 'thirds1 thirds4',                '1 and 4 of the second');
is(partitions($left, 'third_2'), 'thirds2 thirds5',                '2 and 5 of the third');
create($left, 'pattern', '^grow', '{"partitions": "index 1 of 2"}');
topic_control($broker, 'topic grown 4');
produce('grown', $_, $_) for 0 .. 3;
rows_are($left, 'pattern', 2, 'partitions that appear later are shared out as well');
is(partitions($left, 'pattern'), 'grown1 grown3', 'by their numbers');

# Workers of a server take turns at what it has.
produce('pairs', $_, $_) for 0 .. 3;
create($left, 'pair', 'pairs', '{"partitions": "index 0 of 2", "workers": 2}');
rows_are($left, 'pair', 2, 'a stream of every second partition, with two workers');
is($left->safe_psql('postgres', q{SELECT count(DISTINCT part) FROM txpipe.batch_history WHERE stream = 'pair'}), '2', 'each of which has one');

my %bad = (
	'index 3 of 3'      => 'Of 3 the index is 0 to 2',
	'index 0 of 0'      => 'at least 1',
	'index -1 of 3'     => '',
	'index 1'           => '',
	'index 1 of'        => '',
	'index 1 of 3 '     => '',
	'index  1 of 3'     => '',
	'INDEX 1 OF 3'      => '',
	'index 1 of 100000' => '',
	'index 1 of 3,4'    => '',
	'1 of 3'            => '',
	'nothing'           => '',
	'none,1'            => '',);
for my $text (sort keys %bad)
{
	my $error = error_of($left, qq(SELECT txpipe.alter_stream('pair', options => '{"partitions": "$text"}')));

	is($error->{state}, '22023', "partitions \"$text\": SQLSTATE");
	like($error->{detail} // '', qr/$bad{$text}/, "partitions \"$text\": says why");
	like($error->{hint}, qr/index 0 of 3/, "partitions \"$text\": has a hint");
}

# --- a move ---

my @all = map { [ 0 .. 99 ] } 0 .. 3;
produce('moves', $_, @{ $all[$_] }) for 0 .. 3;
create($left,  'moved', 'moves', '{}');
create($right, 'moved', 'moves', '{"partitions": "none"}');
rows_are($left, 'moved', 400, 'the left server reads all');
wait_for($right, q{SELECT state || workers FROM txpipe.stream_status}, 'the right one runs', value => 'running1');
is($right->safe_psql('postgres', 'SELECT count(*) FROM txpipe.stream_partition'), '0', '... and reads none');

sub release
{
	my ($node, $partition) = @_;

	return $node->safe_psql('postgres', "SELECT txpipe.release_partition('moved', 'moves', $partition)");
}

sub adopt
{
	my ($node, $partition, $next) = @_;

	return $node->safe_psql('postgres', "SELECT txpipe.adopt_partition('moved', 'moves', $partition, $next)");
}

is(release($left, 1), '100', 'release_partition returns the next offset');
produce('moves', $_, 100 .. 109) for 0 .. 3;
rows_are($left, 'moved', 430, 'the others are read on');
is( $left->safe_psql('postgres', q{SELECT partition, next_offset, lag IS NULL, assignment FROM txpipe.stream_partition WHERE stream = 'moved' AND assignment IS NOT NULL}),
	'1|100|t|released', 'what is released waits where everybody sees it');
is($left->safe_psql('postgres', q{SELECT lag_messages FROM txpipe.stream_status WHERE stream = 'moved'}), '0', '... and is no lag of this server');
adopt($right, 1, 100);
rows_are($right, 'moved', 10, 'adopt_partition goes on there');
is($right->safe_psql('postgres', 'SELECT min(o), max(o) FROM moved'), '100|109', '... exactly');
is( $right->safe_psql('postgres', 'SELECT partition, next_offset, lag, assignment FROM txpipe.stream_partition'),
	'1|110|0|adopted', 'what is adopted says so');
my $events = q{SELECT string_agg(concat_ws(' ', event, topic, partition, from_offset, to_offset), ', ' ORDER BY stream_event_id)
	FROM txpipe.stream_event WHERE stream = 'moved' AND event IN ('released', 'adopted')};
is($left->safe_psql('postgres', $events),  'released moves 1 100', 'the log has the release');
is($right->safe_psql('postgres', $events), 'adopted moves 1 100',  'and the adoption');

# A seek moves what is read, the adopted included and the released not; the option does not decide about either.
$right->safe_psql('postgres', q{SELECT txpipe.seek_stream('moved', '{"1": 105}')});
wait_for($right, 'SELECT count(*) FROM moved', 'an adopted partition can be moved', value => 15);
$right->safe_psql('postgres', 'DELETE FROM moved WHERE ctid NOT IN (SELECT min(ctid) FROM moved GROUP BY p, o)');
fails_with($left, q{SELECT txpipe.seek_stream('moved', '{"1": 100}')}, '42704', 'has no partition "1" that the stream could read', 'a released one cannot');
$left->safe_psql('postgres', q{SELECT txpipe.seek_stream('moved', 'latest')});
$left->safe_psql('postgres', q{SELECT txpipe.alter_stream('moved', options => '{"partitions": "0-3"}')});
$right->safe_psql('postgres', q{SELECT txpipe.alter_stream('moved', options => '{"partitions": "7"}')});
produce('moves', $_, 110 .. 119) for 0 .. 3;
rows_are($left, 'moved', 460, 'the left server reads three partitions still');
rows_are($right, 'moved', 20, 'the right one has one');
is($left->safe_psql('postgres', q{SELECT next_offset FROM txpipe.stream_partition WHERE assignment = 'released'}), '100', 'nobody has moved what is released');

# --- what cannot be ---

my $call = "SELECT txpipe.adopt_partition('moved', 'moves', ";
fails_with($left,  q{SELECT txpipe.release_partition('moved', 'moves', 1)}, '55000', 'released already, at offset 100', 'a second release');
fails_with($right, q{SELECT txpipe.release_partition('moved', 'moves', 2)}, '42704', 'no place in partition 2', 'a release of what it never had');
fails_with($left, q{SELECT txpipe.release_partition('third_0', 'thirds', 1)}, '42704', 'no place', 'a release of what an index leaves out');
$left->safe_psql('postgres', q{SELECT txpipe.alter_stream('third_0', options => '{"partitions": "0"}')});
fails_with($left, q{SELECT txpipe.release_partition('third_0', 'thirds', 3)}, '55000', 'does not read partition 3', '... and of what its option leaves out now');
fails_with($right, "$call 1, 100)", '55000', 'reads partition 1 of topic "moves" already', 'a second adoption');
fails_with($left,  "$call 0, 120)", '55000', 'already', 'an adoption of what the option gives');
fails_with($right, "$call 9, 0)",   '42704', 'has no partition "9"', 'a partition that is not there');
fails_with($right, "$call -1, 0)",  '42704', 'has no partition "-1"', 'a negative one');
fails_with($right, "$call 2147483647, 0)", '42704', 'has no partition', 'a large one');
fails_with($right, "$call 2, 121)", '22003', 'offset 121 .* is not there.*before 120', 'an offset behind the end');
fails_with($right, "$call 2, -1)",  '22003', 'offset -1', 'a negative offset');
fails_with($right, "$call 2, 9223372036854775807)", '22003', 'is not there', 'a large offset');
fails_with($right, q{SELECT txpipe.adopt_partition('moved', 'thirds', 1, 0)}, '42704', 'thirds', 'a topic that the stream does not read');
fails_with($right, q{SELECT txpipe.adopt_partition('moved', E'mo\'ves";--', 1, 0)}, '42704', q{mo'ves";--}, 'a name that is none');
fails_with($right, q{SELECT txpipe.adopt_partition('nix', 'moves', 1, 0)}, '42704', 'nix', 'a stream that is not there');
fails_with($left, "SELECT txpipe.release_partition($_)", '22004', 'must not be null', "release_partition($_)")
  for q{NULL, 'moves', 1}, q{'moved', NULL, 1}, q{'moved', 'moves', NULL};
fails_with($right, "SELECT txpipe.adopt_partition($_)", '22004', 'must not be null', "adopt_partition($_)")
  for q{NULL, 'moves', 1, 0}, q{'moved', NULL, 1, 0}, q{'moved', 'moves', NULL, 0}, q{'moved', 'moves', 1, NULL};
$left->safe_psql('postgres', 'CREATE ROLE stranger; GRANT USAGE ON SCHEMA txpipe TO stranger');
fails_with($left, "SET ROLE stranger; SELECT txpipe.$_", '42501', 'permission denied', "everybody cannot call $_")
  for q{release_partition('moved', 'moves', 0)}, q{adopt_partition('moved', 'moves', 1, 100)};
$left->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION txpipe.release_partition, txpipe.adopt_partition, txpipe.operate TO stranger');
fails_with($left, "SET ROLE stranger; SELECT txpipe.$_", '42501', 'must be owner', "only the owner can call $_")
  for q{release_partition('moved', 'moves', 0)}, q{adopt_partition('moved', 'moves', 1, 100)};

# --- a batch at work ends first; letters stay ---

$left->safe_psql('postgres', q{SELECT txpipe.pause_stream('moved')});
produce_lines($broker, 'moves', 2, '{"id": 120}', '{"id": "none"}', '{"id": 122}');
my $consumer = $left->background_psql('postgres');
$consumer->query_safe('SET client_min_messages = error; BEGIN');
$consumer->query_safe("CALL txpipe.consume('moved')");
my $refused = error_of($left, q{SET lock_timeout = '200ms'; SELECT txpipe.release_partition('moved', 'moves', 2)});
is($refused->{state}, '55P03', 'a release does not wait for ever for a batch');
like($refused->{hint}, qr/must end first/, '... and says what it waits for');
my $waiting = $left->background_psql('postgres', on_error_stop => 0);
$waiting->query_until(qr/begun/, "\\echo begun\nSELECT txpipe.release_partition('moved', 'moves', 2);\n");
wait_for($left, q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%release_partition%' AND wait_event_type = 'Lock'}, 'a release waits', value => 1);
$consumer->query_safe('COMMIT');
$consumer->quit;
is($waiting->query('SELECT 1'), "123\n1", 'it returns what the batch has left');
$waiting->quit;
adopt($right, 2, 123);
produce('moves', $_, 200) for 0 .. 3;
rows_are($right, 'moved', 22, 'a partition goes on from a paused stream');
is($left->safe_psql('postgres', q{SELECT string_agg(concat_ws(':', kafka_partition, kafka_offset, code), ' ') FROM txpipe.dead_letter}),
	'2:121:bad_value', 'a dead letter stays where it is');
is($left->safe_psql('postgres', q{SELECT replayed FROM txpipe.replay_dead_letters('moved', payload => '{"id": 121}',
		ids => (SELECT array_agg(dead_letter_id) FROM txpipe.dead_letter))}), '1', '... and becomes a row there');
$left->safe_psql('postgres', q{SELECT txpipe.resume_stream('moved')});

# A transaction that is undone releases nothing.
$left->safe_psql('postgres', q{BEGIN; SELECT txpipe.release_partition('moved', 'moves', 3); ROLLBACK});
produce('moves', 3, 201);
rows_are($left, 'moved', 466, 'a release that is rolled back has not been');

# --- there and back, and after a crash that follows at once ---

$left->safe_psql('postgres', 'CHECKPOINT');
my $next = $left->safe_psql('postgres', q{SET synchronous_commit = off; SELECT txpipe.release_partition('moved', 'moves', 0)});
$left->stop('immediate');
adopt($right, 0, $next);
produce('moves', 0, 202);
$left->start;
rows_are($right, 'moved', 23, 'a server has what another released right before it crashed');
produce('moves', 3, 203);
rows_are($left, 'moved', 467, 'which reads what it has kept');
adopt($left, 1, release($right, 1));
produce('moves', $_, 204) for 0 .. 3;
rows_are($left,  'moved', 469, 'a partition that came back is read again');
rows_are($right, 'moved', 25,  'the others are not here');
is($left->safe_psql('postgres', q{SELECT string_agg(partition || coalesce(assignment, ''), ' ' ORDER BY partition) FROM txpipe.stream_partition WHERE stream = 'moved'}),
	'0released 1adopted 2released 3', 'each partition says who decided');

# --- not from within a batch ---

$right->safe_psql('postgres', <<'SQL');
CREATE TABLE selfish (id bigint);
CREATE FUNCTION let_go() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM txpipe.release_partition('selfish', 'pairs', 0); RETURN NULL; END $$;
CREATE TRIGGER let_go AFTER INSERT ON selfish EXECUTE FUNCTION let_go();
SELECT txpipe.create_stream('selfish', 'shop', 'pairs', 'selfish', options => '{"partitions": "0"}');
SQL
wait_for($right, q{SELECT reason LIKE '55006: %release_partition%' FROM txpipe.stream_status WHERE stream = 'selfish'}, 'a trigger cannot release what its batch has');
is($right->safe_psql('postgres', q{SELECT next_offset, assignment FROM txpipe.stream_partition WHERE stream = 'selfish'}), '0|', '... and nothing is released');
$right->safe_psql('postgres', q{SELECT txpipe.drop_stream('selfish')});

# --- a copy knows what its original had released ---

my $base = PostgreSQL::Test::Utils::tempdir();
$left->command_ok([ 'pg_dump', '-h', $left->host, '-p', $left->port, '-Fc', '-f', "$base/dump", 'postgres' ], 'pg_dump');
$left->safe_psql('postgres', 'CREATE DATABASE restored');
$left->command_ok([ 'pg_restore', '-h', $left->host, '-p', $left->port, '-d', 'restored', "$base/dump" ], 'pg_restore');
is( $left->safe_psql('restored', q{SELECT string_agg(partition || coalesce(assignment, ''), ' ' ORDER BY partition) FROM txpipe.stream_partition WHERE stream = 'moved'}),
	'0released 1adopted 2released 3', 'a dump has what was released and adopted');
$left->safe_psql('postgres', 'DROP DATABASE restored');

# --- adopting is no beginning ---

produce('later', $_, 0 .. 9) for 0 .. 2;
create($right, 'later', 'later', '{"partitions": "0"}', q{start_at => 'latest'}, 'paused => true');
$right->safe_psql('postgres', q{SELECT txpipe.adopt_partition('later', 'later', 2, 4)});
produce('later', $_, 10) for 0 .. 2;
$right->safe_psql('postgres', q{SELECT txpipe.resume_stream('later')});
rows_are($right, 'later', 8, 'a stream that adopts before it has run begins where it was told to');
is($right->safe_psql('postgres', q{SELECT string_agg(p || ':' || n, ' ' ORDER BY p) FROM (SELECT p, count(*) AS n FROM later GROUP BY p) AS c}),
	'0:1 2:7', '... by start_at, and by the adoption');

# --- a dead server's partitions wait for its standby ---

$left->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($left, 'base', has_streaming => 1);
$standby->start;
$left->safe_psql('postgres', q{ALTER SYSTEM SET synchronous_standby_names = 'standby'});
$left->reload;
wait_for($left, q{SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'}, 'the standby is synchronous', value => 1);
# The standby takes nothing for a while.
my $receiver = $standby->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver');
kill 'STOP', $receiver;
my $releasing = $left->background_psql('postgres', on_error_stop => 0);
$releasing->query_until(qr/begun/, "SET synchronous_commit = off;\n\\echo begun\nSELECT txpipe.release_partition('moved', 'moves', 1);\n");
ok(eval { wait_for($left, q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%release_partition%' AND wait_event = 'SyncRep'},
			'the release waits', value => 1, timeout => 20) }, 'a release waits for the standby, whatever synchronous_commit says');
kill 'CONT', $receiver;
$next = $releasing->query('SELECT 1') =~ s/\n.*//sr;
$releasing->quit;
adopt($right, 1, $next);
$left->stop('immediate');
produce('moves', $_, 300) for 0 .. 3;
rows_are($right, 'moved', 28, 'the other server reads on what it has');
is($standby->safe_psql('postgres', q{SELECT string_agg(partition || coalesce(assignment, ''), ' ' ORDER BY partition) FROM txpipe.stream_partition WHERE stream = 'moved'}),
	'0released 1released 2released 3', 'the standby shows what waits for it');
like($standby->safe_psql('postgres', q{SELECT reason FROM txpipe.stream_status WHERE stream = 'moved'}), qr/^waiting for a worker: .*standby/, '... and that it does');
$standby->promote;
rows_are($standby, 'moved', 470, 'promoted, it reads that and nothing else');
is( join(' ', map { $_->safe_psql('postgres', q{SELECT string_agg(DISTINCT p::text, ',' ORDER BY p::text) FROM moved WHERE id = 300}) } $standby, $right),
	'3 0,1,2', 'each partition is read by one server');

# Of each partition every offset once, in one of the two tables.
my %seen;
$seen{$_}++ for map { split /\n/, $_->safe_psql('postgres', q{SELECT p || ':' || o FROM moved}) } $standby, $right;
is(scalar(grep { $_ != 1 } values %seen), 0, 'nothing is double');
is( join(' ', map { my $p = $_; scalar grep { /^$p:/ } keys %seen } 0 .. 3),
	join(' ', map { $right->safe_psql('postgres', "SELECT coalesce((SELECT max(next_offset) FROM txpipe.stream_partition WHERE stream = 'moved' AND partition = $_), 0)") }
		  0 .. 2) . ' ' . $standby->safe_psql('postgres', q{SELECT next_offset FROM txpipe.stream_partition WHERE stream = 'moved' AND partition = 3}),
	'nothing is lost');

$_->stop('fast') for $right, $standby;
my @expected = map { qr/$_/ } 'option "partitions"', 'released already', 'no place in', 'does not read', 'already', 'has no partition', 'is not there', 'does not exist',
  'must not be null', 'permission denied', 'must be owner', 'lock timeout', 'administrator command', 'shutting down', 'WAL stream', 'connect to the primary';
log_is_clean($_, @expected) for $left, $right, $standby;
stop_broker($broker);
done_testing();
