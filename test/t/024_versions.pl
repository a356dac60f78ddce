# Events of rows that come out of order, and several times: the version says which is the newest, also of deletions.
# What a table shall hold is computed here, from the event with the greatest version of each key.
use strict;
use warnings;

use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeKafka qw(kafka_do);
use TxpipeTest;

my $broker = start_broker(qw(mixed:2 changes:2 values:1 bare:1 kept:1 prune:1 folded:1));
my $node   = new_node('versions');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# [partition, Unix milliseconds, key, value or undef]
sub produce_events
{
	my ($topic, @events) = @_;

	kafka_do($broker, map { [ 'send', '-', $topic, $_->[0], $_->[1], $_->[2], $_->[3] // '\N' ] } @events);
	return;
}

# --- by the messages' time, deletions included, in any order, through kills, by two workers ---

sql(<<'SQL');
CREATE TABLE mixed (id text, n numeric, day date, what text, changed_at timestamptz, PRIMARY KEY (id, n, day));
SELECT txpipe.create_stream('mixed', 'shop', 'mixed', 'mixed',
    columns => '{"id": "$key.id", "n": "$key.n", "day": "$key.day", "what": "what", "changed_at": "kafka_timestamp"}',
    options => '{"mode": "upsert_delete", "version_column": "changed_at", "batch_rows": 41, "workers": 2}');
SQL
srand 20241122;
my @events;
my %newest;
for my $i (1 .. 1500)
{
	my $no    = int rand 40;
	my $key   = sprintf '{"id": "k\'%d", "n": %s, "day": "2024-02-%02d"}', $no % 7, $no % 2 ? '1.50' : '1.5', 1 + $no;
	my $place = sprintf "k'%d|1.5|2024-02-%02d", $no % 7, 1 + $no;
	my $time  = 1700000000000 + $i;
	my $event = [ int rand 2, $time, $key, rand() < 0.4 ? undef : qq({"what": "event $i"}) ];

	next if $no > 27;
	push @events, ($event) x (1 + int rand 3);
	$newest{$place} = defined $event->[3] ? "event $i" : undef;
}
@events = shuffle(@events);
my $sent   = @events;
my %wanted = map { $_ => $newest{$_} } grep { defined $newest{$_} } keys %newest;
while (my @some = splice @events, 0, 400)
{
	produce_events('mixed', @some);
	my $child = wait_until('a worker has a child', sub { my $w = worker_pid($node); $w && child_pid($w) });
	kill 'KILL', $child;
}
wait_for($node, qq{SELECT sum(next_offset) >= $sent FROM txpipe.stream_partition WHERE stream = 'mixed'},
	'all is read');
my %is = map { /^(.*)\|(.*)$/ } split /\n/, sql('SELECT id, trim_scale(n), day, what FROM mixed');
is_deeply(\%is, \%wanted, 'each key is as its newest event left it');
ok(%wanted > 5 && %wanted < %newest, 'some keys are gone at the end');
is(sql(q{SELECT count(*) FROM txpipe.dead_letter}), '0', 'nothing was refused');
is( sql('SELECT count(*) > 5 FROM txpipe.deleted_key'), 't', 'deletions are remembered');

# --- Debezium's events, by the log's sequence number, which deletes have in their envelope ---

sql(<<'SQL');
CREATE TABLE changes (id int PRIMARY KEY, what text, lsn bigint);
SELECT txpipe.create_stream('changes', 'shop', 'changes', 'changes', paused => true,
    columns => '{"id": "id", "what": "what", "lsn": "$envelope.source.lsn"}',
    options => '{"mode": "upsert_delete", "version_column": "lsn", "envelope": "debezium", "batch_rows": 23, "workers": 2}');
SQL
@events = ();
%newest = ();
for my $lsn (1 .. 600)
{
	my $id     = 1 + int rand 25;
	my $exists = defined $newest{$id};
	my $op     = !$exists ? 'c' : rand() < 0.4 ? 'd' : 'u';
	my $row    = qq({"id": $id, "what": "at $lsn"});
	my ($before, $after) = ($exists ? qq({"id": $id, "what": null}) : 'null', $op eq 'd' ? 'null' : $row);
	my $event = qq({"before": $before, "after": $after, "op": "$op", "ts_ms": 5, "source": {"lsn": $lsn}});

	$newest{$id} = $op eq 'd' ? undef : "at $lsn";
	push @events, ([ int rand 2, 0, qq({"id": $id}), $event ]) x (1 + int rand 2);
}
produce_events('changes', shuffle(@events));
sql(q{SELECT txpipe.resume_stream('changes')});
wait_for_offset($node, 'changes', scalar @events);
%wanted = map { $_ => $newest{$_} } grep { defined $newest{$_} } keys %newest;
%is     = map { /^(.*)\|(.*)$/ } split /\n/, sql('SELECT id, what FROM changes');
is_deeply(\%is, \%wanted, 'change events in any order end in the table they came from');
is(sql(q{SELECT count(*) FROM txpipe.dead_letter WHERE stream = 'changes'}), '0', 'none of them was refused');

# --- a number in the value, mode upsert; a message without it ---

sql(<<'SQL');
CREATE TABLE "Val ues" (id int PRIMARY KEY, "The Version" bigint, what text);
INSERT INTO "Val ues" VALUES (2, NULL, 'from before');
SELECT txpipe.create_stream('values', 'shop', 'values', '"Val ues"',
    columns => '{"id": "id", "The Version": "v", "what": "what"}', options => '{"mode": "upsert", "version_column": "The Version"}');
SQL
produce_lines($broker, 'values', 0, '{"id": 1, "v": 9, "what": "nine"}', '{"id": 1, "v": 7, "what": "seven"}', '{"id": 2, "v": 1, "what": "new"}',
	'{"id": 1, "what": "no version"}');
wait_for_offset($node, 'values', 4);
produce_lines($broker, 'values', 0, '{"id": 1, "v": 8, "what": "eight"}', '{"id": 2, "v": 1, "what": "the same"}');
wait_for_offset($node, 'values', 6);
is(sql('SELECT * FROM "Val ues" ORDER BY id'), "1|9|nine\n2|1|the same", 'the greater version stays, of equal ones the last to arrive');
is(sql(q{SELECT code, column_name FROM txpipe.dead_letter WHERE stream = 'values'}), 'missing_value|The Version', 'each message needs one');

# --- tombstones, which have no version: each is as the deletion before it, or else deletes what is there ---

# What single events in order make of a key, each version at most once in a column: [value or undef, version or undef].
sub sequentially
{
	my ($row, $gone);

	for my $event (@_)
	{
		my ($value, $v) = @$event;

		if (defined $value)
		{
			$row = [ $v, $value ] if (!$row || $v >= $row->[0]) && (!defined $gone || $v >= $gone);
			next;
		}
		$v //= defined $gone ? $gone : $row ? $row->[0] : next;
		$gone = $v if !defined $gone || $v > $gone;
		undef $row if $row && $row->[0] <= $v;
	}
	return $row ? "$row->[0]|$row->[1]" : '';
}

# Each key has its events, all of them in one batch, or each in its own.
my %sequence;
my @bare;
for my $id (1 .. 60)
{
	for my $i (1 .. 6)
	{
		my $v     = 1 + int rand 8;
		my $kind  = (qw(row row delete tombstone))[ rand 4 ];
		my $event = $kind eq 'row' ? [ "$id.$i", $v ] : [ undef, $kind eq 'delete' ? $v : undef ];
		my $value = $kind eq 'row' ? qq({"op": "u", "after": {"id": $id, "what": "$id.$i"}, "source": {"lsn": $v}})
		  : $kind eq 'delete'      ? qq({"op": "d", "after": null, "source": {"lsn": $v}})
		  :                          undef;

		push @{ $sequence{$id} }, $event;
		push @bare, [ 0, 0, qq({"id": $id}), $value ];
	}
}
%wanted = map { $_ => sequentially(@{ $sequence{$_} }) } keys %sequence;
produce_events('bare', @bare);
for my $rows (1, 7, 1000)
{
	sql(<<"SQL");
CREATE TABLE bare_$rows (id int PRIMARY KEY, what text, lsn bigint);
SELECT txpipe.create_stream('bare_$rows', 'shop', 'bare', 'bare_$rows', columns => '{"id": "id", "what": "what", "lsn": "\$envelope.source.lsn"}',
    options => '{"mode": "upsert_delete", "version_column": "lsn", "envelope": "debezium", "batch_rows": $rows}');
SQL
	wait_for_offset($node, "bare_$rows", scalar @bare);
	%is = map { $_ => '' } keys %sequence;
	%is = (%is, map { /^(\d+)\|(.*)$/ } split /\n/, sql("SELECT id, lsn, what FROM bare_$rows"));
	is_deeply(\%is, \%wanted, "in batches of $rows");
}

# --- a row that PostgreSQL refuses among them ---

sql(<<'SQL');
CREATE TABLE kept (id int PRIMARY KEY, at timestamptz, n int CHECK (n < 100));
SELECT txpipe.create_stream('kept', 'shop', 'kept', 'kept', paused => true, columns => '{"id": "$key.id", "at": "kafka_timestamp", "n": "n"}',
    options => '{"mode": "upsert_delete", "version_column": "at"}');
SQL
produce_events('kept', [ 0, 5000, '{"id": 1}', undef ], [ 0, 4000, '{"id": 1}', '{"n": 1}' ], [ 0, 6000, '{"id": 2}', '{"n": 200}' ],
	[ 0, 5000, '{"id": 2}', '{"n": 2}' ], [ 0, 3000, '{"id": 3}', '{"n": 3}' ]);
sql(q{SELECT txpipe.resume_stream('kept')});
wait_for_offset($node, 'kept', 5);
is(sql('SELECT id, n FROM kept ORDER BY id'), "2|2\n3|3", 'the others are written by their versions');
is(sql(q{SELECT kafka_offset, code FROM txpipe.dead_letter WHERE stream = 'kept'}), '2|23514', 'and it is a dead letter');

# --- a replay does not look with an older snapshot; other versions are none to compare with ---

fails_with($node, q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM txpipe.replay_dead_letters('kept')}, '25001', 'READ COMMITTED only', 'a replay');
sql(q{ALTER TABLE kept ADD v bigint});
is(sql(q{SELECT count(*) FROM txpipe.deleted_key JOIN txpipe.stream USING (stream_id) WHERE stream = 'kept'}), '1', 'a deletion is remembered');
sql(q{SELECT txpipe.alter_stream('kept', options => '{"mode": "upsert_delete", "version_column": "at", "batch_rows": 5}')});
is(sql(q{SELECT count(*) FROM txpipe.deleted_key JOIN txpipe.stream USING (stream_id) WHERE stream = 'kept'}), '1', 'and still is');
sql(q{SELECT txpipe.alter_stream('kept', '{"id": "$key.id", "at": "kafka_timestamp", "v": "kafka_offset", "n": "n"}',
	'{"mode": "upsert_delete", "version_column": "v"}')});
is(sql(q{SELECT count(*) FROM txpipe.deleted_key JOIN txpipe.stream USING (stream_id) WHERE stream = 'kept'}), '0', 'but not with another version');
is(sql(q{SELECT count(*) FROM txpipe.stream_event WHERE stream = 'changes' AND event = 'error'}), '0', 'workers that take turns are no error');

# --- how long, and what does not serve ---

is(sql('SELECT txpipe.prune_streams()'), '0', 'deletions are remembered for a time');
sql(q{UPDATE txpipe.deleted_key SET deleted_at = now() - interval '8 days'});
like(sql('SELECT txpipe.prune_streams()'), qr/^[1-9]/, 'which ends');
is(sql('SELECT count(*) FROM txpipe.deleted_key'), '0', 'all of them are gone');
sql(q{SELECT txpipe.drop_stream('mixed')});

sql(q{CREATE TABLE odd (id text COLLATE "C" PRIMARY KEY, f float8 UNIQUE, v text, n int)});
fails_with($node, q{SELECT txpipe.create_stream('odd', 'shop', 'prune', 'odd', options => '{"version_column": "n"}')}, '22023', 'needs the mode', 'not in mode append');
fails_with($node, q{SELECT txpipe.create_stream('odd', 'shop', 'prune', 'odd', options => '{"mode": "upsert", "version_column": "x"}')},
	'42P10', 'not filled', 'a column that is not there');
fails_with($node, q{SELECT txpipe.create_stream('odd', 'shop', 'prune', 'odd', options => '{"mode": "upsert", "version_column": "id"}')},
	'42P10', 'part of the key', 'one of the key');
fails_with($node, q{SELECT txpipe.create_stream('odd', 'shop', 'prune', 'odd', options => '{"mode": "upsert", "version_column": "v"}')},
	'42804', 'no type', 'a text, which has no order of numbers');
fails_with(
	$node, q{SELECT txpipe.create_stream('odd', 'shop', 'prune', 'odd', key_columns => '{f}', columns => '{"f": "$key.f", "n": "n"}',
	options => '{"mode": "upsert_delete", "version_column": "n"}')}, '42P10', 'deletions do not have', 'a version that only values have');
fails_with(
	$node, q{SELECT txpipe.create_stream('odd', 'shop', 'prune', 'odd', key_columns => '{f}', columns => '{"f": "$key.f", "n": "kafka_partition"}',
	options => '{"mode": "upsert_delete", "version_column": "n"}')}, '0A000', 'does not remember key column "f"', 'a key that has several texts');

# --- a key that may be written in several ways: the index says what is the same, and deletions are not remembered ---

sql(q{CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	CREATE TABLE folded (k text, n int, what text);
	CREATE UNIQUE INDEX ON folded (k COLLATE folded);
	CREATE TABLE folded_column (k text COLLATE folded PRIMARY KEY, n int, what text)});
produce_events('folded', [ 0, 999, 'x', '{"k": "A", "n": 0, "what": "oldest"}' ], [ 0, 999, 'x', '{"k": "B", "n": 5, "what": "newest b"}' ],
	[ 0, 999, 'x', '{"k": "b", "n": 4, "what": "old"}' ], [ 0, 999, 'x', '{"k": "a", "n": 3, "what": "newest a"}' ], [ 0, 999, 'x', '{"k": "A", "n": 2, "what": "old"}' ]);
for my $table ('folded', 'folded_column')
{
	for my $rows (1, 100)
	{
		sql(qq{TRUNCATE $table; SELECT txpipe.create_stream('folds', 'shop', 'folded', '$table', key_columns => '{k}', options => '{"mode": "upsert", "version_column": "n", "batch_rows": $rows}')});
		wait_for_offset($node, 'folds', 5);
		is(sql(qq{SELECT string_agg(lower(k) || n || ' ' || what, ', ' ORDER BY n) FROM $table}), 'a3 newest a, b5 newest b', "$table: one row for both cases, the newest, in batches of $rows");
		sql(q{SELECT txpipe.drop_stream('folds')});
	}
	fails_with($node, qq{SELECT txpipe.create_stream('folds', 'shop', 'folded', '$table', key_columns => '{k}',
		columns => '{"k": "\$key", "n": "kafka_offset", "what": "what"}', options => '{"mode": "upsert_delete", "version_column": "n"}')},
		'0A000', 'does not remember key column "k"', "$table: deletions of such keys");
}

is(sql(q{SELECT count(*) FROM txpipe.deleted_key WHERE stream_id NOT IN (SELECT stream_id FROM txpipe.stream)}), '0', 'a stream that is dropped leaves none');

log_is_clean($node, qr/version column|version_column/);
done_testing();
