# Rows that replace one another by key. What a table shall hold is computed here, by replaying the messages in
# order, one after another; the stream sees them in batches, through kills and restarts.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my @topics = qw(few many pair fold ci citext nullkey email refused deferred stopped parts moved none one family);
my $broker = start_broker('replay:2', 'tomb:2', map { "$_:1" } @topics);
my $node   = new_node('upsert');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Messages are [key, value]; undef is none of it.
sub produce_keyed
{
	my ($topic, $partition, @messages) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/messages';

	open my $fh, '>', $file or die "$file: $!";
	print $fh map { ($_->[0] // '') . "\t" . ($_->[1] // '') . "\n" } @messages;
	close $fh;
	system_or_bail('kcat', '-P', '-Z', '-b', $broker->{servers}, '-t', $topic, '-p', $partition, '-K', "\t", '-l', $file);
	return;
}

sub letters
{
	my ($stream) = @_;

	return sql("SELECT string_agg(kafka_offset || ' ' || code || coalesce(' ' || column_name, ''), ', '
		ORDER BY kafka_partition, kafka_offset) FROM txpipe.dead_letter WHERE stream = '$stream'");
}

sub kill_child
{
	my $child = wait_until('a worker has a child', sub { my $w = worker_pid($node); $w && child_pid($w) });

	kill 'KILL', $child;
	return;
}

# --- many keys, many versions, kills and a restart; names that need quotes ---

sql(<<'SQL');
CREATE TABLE "Re ""play" ("The Key" text PRIMARY KEY, "Value" int, "it's" text,
    created timestamptz DEFAULT clock_timestamp(), doubled int GENERATED ALWAYS AS ("Value" * 2) STORED);
SELECT txpipe.create_stream('replay', 'shop', 'replay', '"Re ""play"', key_columns => '{"The Key"}',
    columns => '{"The Key": "k", "Value": "v", "it''s": "s"}', options => '{"batch_rows": 37}');
SQL
srand 4711;
my %wanted;
my $sent = 0;
for my $round (1 .. 6)
{
	my @messages = ([], []);

	for my $i (1 .. 400)
	{
		my $n   = int rand 60;
		my $key = "key'$n\\\\x";
		my $v   = int rand 100000;

		push @{ $messages[ $n % 2 ] }, qq({"k": "$key", "v": $v, "s": "r$round.$i"});
		$wanted{"key'$n\\x"} = "$v|r$round.$i|" . 2 * $v;
	}
	produce_lines($broker, 'replay', $_, @{ $messages[$_] }) for 0, 1;
	$sent += 400;
	kill_child() if $round % 2;
	$node->restart if $round == 4;
	wait_for_offset($node, 'replay', $sent) if $round % 3 == 0;
}
my %is = map { /^(.*?)\|(.*)$/ } split /\n/, sql(q{SELECT "The Key", "Value", "it's", doubled FROM "Re ""play"});
is_deeply(\%is, \%wanted, 'every key has its last version');
is(sql(q{SELECT rows_total, dead_letters_total FROM txpipe.stream_status WHERE stream = 'replay'}), "$sent|0",
	'every message counts as a row');
is(sql(q{SELECT options->>'mode', key_columns FROM txpipe.stream WHERE stream = 'replay'}), 'upsert|{"The Key"}',
	'key_columns alone mean mode upsert');

# --- deletes and rows that come back, by the key of the message, which is composite ---

sql(<<'SQL');
CREATE TABLE tomb (no int, "Region" text, v int NOT NULL, PRIMARY KEY ("Region", no));
SELECT txpipe.create_stream('tomb', 'shop', 'tomb', 'tomb', options => '{"mode": "upsert_delete", "batch_rows": 29}',
    columns => '{"no": "$key.id.no", "Region": "$key.region", "v": "v"}');
SQL
%wanted = ();
$sent   = 0;
for my $round (1 .. 4)
{
	my @messages = ([], []);

	for my $i (1 .. 300)
	{
		my $no     = int rand 20;
		my $region = (qw(north South))[ rand 2 ];
		my $v      = rand() < 0.4 ? undef : $round * 1000 + $i;

		push @{ $messages[ $no % 2 ] },
		  [ qq({"region": "$region", "id": {"no": $no}}), defined $v ? qq({"v": $v}) : undef ];
		if (defined $v) { $wanted{"$no|$region"} = $v }
		else            { delete $wanted{"$no|$region"} }
	}
	produce_keyed('tomb', $_, @{ $messages[$_] }) for 0, 1;
	$sent += 300;
	kill_child() if $round % 2;
	wait_for_offset($node, 'tomb', $sent) if $round > 1;
}
%is = map { /^(.*)\|(.*)$/ } split /\n/, sql('SELECT no, "Region", v FROM tomb');
ok(%wanted < 40, 'some keys are gone at the end');
is_deeply(\%is, \%wanted, 'tombstones delete, and rows come back');
is(letters('tomb'), '', 'without a dead letter');

# --- a table that is all key; a key of two columns out of the order of the index ---

sql(q{CREATE TABLE few (a int PRIMARY KEY);
	SELECT txpipe.create_stream('few', 'shop', 'few', 'few', options => '{"mode": "upsert"}');
	CREATE TABLE pair (a int, b text COLLATE "C", v int);
	CREATE UNIQUE INDEX ON pair (b DESC, a) INCLUDE (v);
	SELECT txpipe.create_stream('pair', 'shop', 'pair', 'pair', key_columns => '{a, b}');});
produce_lines($broker, 'few', 0, map { qq({"a": $_}) } 1, 2, 2, 3, 1);
produce_lines($broker, 'pair', 0, map { sprintf '{"a": %d, "b": "%s", "v": %d}', @$_ }
	  [ 1, 'x', 1 ], [ 1, 'y', 2 ], [ 1, 'x', 3 ], [ 2, 'x', 4 ]);
wait_for_offset($node, 'few',  5);
wait_for_offset($node, 'pair', 4);
is(sql('SELECT array_agg(a ORDER BY a) FROM few'), '{1,2,3}', 'rows that are all key are there once');
is(sql(q{SELECT string_agg(a || b || v, ' ' ORDER BY a, b) FROM pair}), '1x3 1y2 2x4', 'keys of two columns');

# --- keys are the same when the index says so ---

sql(<<'SQL');
CREATE SCHEMA ext;
CREATE EXTENSION citext SCHEMA ext;
CREATE TABLE citext (k ext.citext PRIMARY KEY, v int);
SELECT txpipe.create_stream('citext', 'shop', 'citext', 'citext', options => '{"mode": "upsert_delete"}',
    columns => '{"k": "$key", "v": "v"}');
CREATE COLLATION ext.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE ci (k text PRIMARY KEY, v int);
ALTER TABLE ci DROP CONSTRAINT ci_pkey;
CREATE UNIQUE INDEX ON ci (k);
CREATE UNIQUE INDEX folded ON ci (k COLLATE ext.ci);
DROP INDEX ci_k_idx;
SELECT txpipe.create_stream('ci', 'shop', 'ci', 'ci', key_columns => '{k}', options => '{"mode": "upsert_delete"}',
    columns => '{"k": "$key", "v": "v"}');
SQL
my @mixed = ([ 'a', '{"v": 1}' ], [ 'B', '{"v": 2}' ], [ 'A', '{"v": 3}' ], [ 'b', '{"v": 4}' ], [ 'c', '{"v": 5}' ], ['C']);
for my $topic (qw(citext ci))
{
	produce_keyed($topic, 0, @mixed);
	wait_for_offset($node, $topic, 6);
	is(sql("SELECT string_agg(lower(k) || v, ' ' ORDER BY v) FROM $topic"), 'a3 b4', "$topic: one row for both cases");
	produce_keyed($topic, 0, ['B'], [ 'A', '{"v": 9}' ]);
	wait_for_offset($node, $topic, 8);
	is(sql("SELECT string_agg(lower(k) || v, ' ') FROM $topic"), 'a9', "$topic: in later batches, too");
}

# --- no key, no row ---

sql(q{CREATE TABLE nullkey (k int UNIQUE, v int);
	SELECT txpipe.create_stream('nullkey', 'shop', 'nullkey', 'nullkey', key_columns => '{k}',
		columns => '{"k": "$key", "v": "v"}', options => '{"mode": "upsert_delete"}');});
produce_keyed('nullkey', 0, [ undef, '{"v": 1}' ], [ 7, '{"v": 2}' ], [ undef, undef ], [ 'x', undef ], [8], [ 9, '{"v": "y"}' ]);
wait_for_offset($node, 'nullkey', 6);
is(letters('nullkey'), '0 missing_value k, 2 missing_value k, 3 bad_value k, 5 bad_value v',
	'messages without a key are dead letters, and so are bad ones');
is(sql('SELECT k, v FROM nullkey'), '7|2', 'the others are rows');

# --- refused rows: the version before wins; later ones go on; tombstones can be refused, too ---

sql(<<'SQL');
CREATE TABLE refused (k int PRIMARY KEY, v int CHECK (v < 100));
CREATE TABLE refers (k int REFERENCES refused DEFERRABLE INITIALLY DEFERRED);
SELECT txpipe.create_stream('refused', 'shop', 'refused', 'refused', options => '{"mode": "upsert_delete"}',
    columns => '{"k": "$key", "v": "v"}', paused => true);
SQL
produce_keyed('refused', 0, map { [ $_->[0], defined $_->[1] ? qq({"v": $_->[1]}) : undef ] }
	  [ 1, 1 ], [ 2, 200 ], [ 3, 3 ], [ 1, 100 ], [ 2, 4 ], [ 3, undef ], [ 3, 300 ], [ 4, 5 ], [ 5, 500 ], [ 4, 6 ]);
sql(q{CALL txpipe.consume('refused')});
is(sql('SELECT string_agg(k::text || $$:$$ || v, $$ $$ ORDER BY k) FROM refused'), '1:1 2:4 4:6',
	'a refused last version leaves the one before');
is(letters('refused'), '1 23514, 3 23514, 6 23514, 8 23514', 'refused versions are dead letters');
sql('INSERT INTO refers VALUES (1), (2)');
produce_keyed('refused', 0, [1], [ 2, '{"v": 7}' ], [4], [ 6, '{"v": 8}' ]);
sql(q{SELECT txpipe.resume_stream('refused')});
wait_for_offset($node, 'refused', 14);
is(sql('SELECT string_agg(k::text || $$:$$ || v, $$ $$ ORDER BY k) FROM refused'), '1:1 2:7 6:8',
	'a row that others refer to is not deleted');
is(sql(q{SELECT kafka_offset, code, payload IS NULL, convert_from(kafka_key, 'UTF8') FROM txpipe.dead_letter
	WHERE stream = 'refused' AND kafka_offset > 9}), '10|23503|t|1', 'the tombstone is a dead letter');

sql(<<'SQL');
CREATE TABLE deferred (k int PRIMARY KEY, v int);
CREATE FUNCTION no_7() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN IF NEW.v = 7 THEN RAISE EXCEPTION 'no 7'; END IF; RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER no_7 AFTER INSERT OR UPDATE ON deferred DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION no_7();
SELECT txpipe.create_stream('deferred', 'shop', 'deferred', 'deferred', options => '{"mode": "upsert"}');
SQL
produce_lines($broker, 'deferred', 0, map { sprintf '{"k": %d, "v": %d}', $_ % 10, $_ % 8 } 1 .. 100);
wait_for_offset($node, 'deferred', 100);
%wanted = map { $_ % 10 => $_ % 8 } grep { $_ % 8 != 7 } 1 .. 100;
%is = map { split /\|/ } split /\n/, sql('SELECT k, v FROM deferred');
is_deeply(\%is, \%wanted, 'what deferred triggers refuse is left out');
is(sql(q{SELECT count(*), min(code) FROM txpipe.dead_letter WHERE stream = 'deferred'}), '12|P0001', 'and kept');

# --- on_error = stop: all before it, nothing of what follows ---

sql(q{CREATE TABLE stopped (k int PRIMARY KEY, v int CHECK (v < 100));
	SELECT txpipe.create_stream('stopped', 'shop', 'stopped', 'stopped', key_columns => '{k}', options => '{"on_error": "stop"}');});
produce_lines($broker, 'stopped', 0, map { sprintf '{"k": %d, "v": %d}', @$_ }
	  [ 1, 1 ], [ 2, 2 ], [ 1, 3 ], [ 2, 200 ], [ 1, 4 ], [ 3, 5 ]);
wait_for($node, q{SELECT state = 'paused' AND reason ~ 'offset 3 ' FROM txpipe.stream_status WHERE stream = 'stopped'},
	'the stream stops at the refused row');
is(sql('SELECT string_agg(k::text || v, $$ $$ ORDER BY k) FROM stopped'), '13 22', 'the rows before it are there');
is(sql(q{SELECT next_offset FROM txpipe.stream_partition WHERE stream = 'stopped'}), '3', 'and it comes next');
sql(q{ALTER TABLE stopped DROP CONSTRAINT stopped_v_check; SELECT txpipe.resume_stream('stopped')});
wait_for_offset($node, 'stopped', 6);
is(sql('SELECT string_agg(k::text || v, $$ $$ ORDER BY k) FROM stopped'), '14 2200 35', 'it goes on from there');

# --- rows of a batch that need one another: the whole fails, pieces in order do not ---

sql(q{CREATE TABLE email (k int PRIMARY KEY, address text UNIQUE);
	INSERT INTO email VALUES (1, 'y'), (2, 'x'), (3, 'z');
	SELECT txpipe.create_stream('email', 'shop', 'email', 'email', options => '{"mode": "upsert"}');});
produce_lines($broker, 'email', 0, map { sprintf '{"k": %d, "address": "%s"}', @$_ }
	  [ 2, 'free' ], [ 1, 'x' ], [ 2, 'y' ], [ 4, 'z' ], [ 5, 'w' ]);
wait_for_offset($node, 'email', 5);
is(sql('SELECT string_agg(k || address, $$ $$ ORDER BY k) FROM email'), '1x 2y 3z 5w', 'addresses change hands');
is(letters('email'), '3 23505', 'but one that is taken is refused');

# --- a trigger that makes keys the same ---

sql(<<'SQL');
CREATE TABLE fold (k text PRIMARY KEY, v int);
CREATE FUNCTION fold() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.k := lower(NEW.k); RETURN NEW; END$$;
CREATE TRIGGER fold BEFORE INSERT ON fold FOR EACH ROW EXECUTE FUNCTION fold();
SELECT txpipe.create_stream('fold', 'shop', 'fold', 'fold', options => '{"mode": "upsert"}');
SQL
produce_lines($broker, 'fold', 0, map { sprintf '{"k": "%s", "v": %d}', @$_ } [ 'b', 1 ], [ 'A', 2 ], [ 'B', 3 ], [ 'a', 4 ]);
wait_for_offset($node, 'fold', 4);
is(sql('SELECT string_agg(k || v, $$ $$ ORDER BY k) FROM fold'), 'a4 b3', 'a trigger may change keys');
is(letters('fold'), '', 'and nothing is refused for it');

# --- partitions, identities, defaults ---

sql(<<'SQL');
CREATE TABLE parts (day date, id bigint GENERATED ALWAYS AS IDENTITY, v int, kept text DEFAULT 'new',
    twice int GENERATED ALWAYS AS (v * 2) STORED, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_2023 PARTITION OF parts FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE parts_2024 (twice int GENERATED ALWAYS AS (v * 2) STORED, kept text DEFAULT 'new', v int, gone int,
    id bigint NOT NULL, day date NOT NULL);
ALTER TABLE parts_2024 DROP COLUMN gone;
ALTER TABLE parts ATTACH PARTITION parts_2024 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO parts (id, day, v, kept) OVERRIDING SYSTEM VALUE VALUES (1, '2024-05-05', 0, 'old');
SELECT txpipe.create_stream('parts', 'shop', 'parts', 'parts', options => '{"mode": "upsert_delete"}',
    columns => '{"day": "$key.day", "id": "$key.id", "v": "v"}');
SQL
produce_keyed('parts', 0, map { [ qq({"day": "$_->[0]", "id": $_->[1]}), $_->[2] ? qq({"v": $_->[2]}) : undef ] }
	  [ '2023-05-05', 1, 1 ], [ '2024-05-05', 1, 2 ], [ '2023-05-05', 2, 3 ], [ '2024-05-05', 2, 4 ],
	  [ '2023-05-05', 2 ], [ '2025-05-05', 1, 5 ]);
wait_for_offset($node, 'parts', 6);
is(sql('SELECT string_agg(concat_ws($$,$$, day, id, v, kept, twice), $$ $$ ORDER BY day, id) FROM parts'),
	'2023-05-05,1,1,new,2 2024-05-05,1,2,old,4 2024-05-05,2,4,new,8',
	'partitions get their rows, columns that are not mapped are left alone');
is(letters('parts'), '5 23514', 'a row without a partition is refused');

# --- rows of tables that inherit from the target are not its own ---

sql(q{CREATE TABLE family (k int PRIMARY KEY, v int);
	CREATE TABLE child () INHERITS (family);
	INSERT INTO child VALUES (1, 1), (2, 2);
	SELECT txpipe.create_stream('family', 'shop', 'family', 'family', options => '{"mode": "upsert_delete"}',
		columns => '{"k": "$key", "v": "v"}');});
produce_keyed('family', 0, [ 1, '{"v": 3}' ], [2], [ 4, '{"v": 4}' ]);
wait_for_offset($node, 'family', 3);
is(sql('SELECT string_agg(k::text || v, $$ $$ ORDER BY k, v) FROM family'), '11 13 22 44', 'heirs keep their rows');

# --- an index dropped under a stream at work ---

sql(q{CREATE TABLE moved (k int PRIMARY KEY, v int);
	SELECT txpipe.create_stream('moved', 'shop', 'moved', 'moved', options => '{"mode": "upsert"}');});
produce_lines($broker, 'moved', 0, '{"k": 1, "v": 1}');
wait_for_offset($node, 'moved', 1);
sql('ALTER TABLE moved DROP CONSTRAINT moved_pkey');
produce_lines($broker, 'moved', 0, '{"k": 1, "v": 2}');
wait_for($node, q{SELECT state = 'error' AND last_error ~ '^42P10.*no primary key.*key_columns' FROM txpipe.stream_status WHERE stream = 'moved'},
	'without its index the stream is in error and says what to do');
sql(q{ALTER TABLE moved ADD PRIMARY KEY (k); SELECT txpipe.resume_stream('moved')});
wait_for_offset($node, 'moved', 2);
is(sql('SELECT k, v FROM moved'), '1|2', 'with it again it goes on');

# --- what cannot work is told when the stream is created ---

sql(<<'SQL');
CREATE TABLE none (a int, b int DEFAULT 1, c int, d int GENERATED ALWAYS AS IDENTITY);
CREATE UNIQUE INDEX ON none (a) WHERE b > 0;
CREATE UNIQUE INDEX ON none ((a + 1));
ALTER TABLE none ADD UNIQUE (c) DEFERRABLE;
CREATE UNIQUE INDEX ON none (b);
CREATE UNIQUE INDEX ON none (a, c);
CREATE TABLE one (a int PRIMARY KEY, b int);
CREATE ROLE clerk;
GRANT USAGE ON FOREIGN SERVER shop TO clerk;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO clerk;
GRANT USAGE ON SCHEMA txpipe TO clerk;
GRANT INSERT ON one TO clerk;
SQL
for my $case (
	[ q{'none', 'none', options => '{"mode": "upsert"}'}, '42P10', qr/table "none" has no primary key/, qr/key_columns/ ],
	[ q{'none', 'none', key_columns => '{a}'}, '42P10', qr/no unique index on exactly the key columns \(a\)/, qr/^CREATE UNIQUE INDEX ON public."none" \(a\);$/ ],
	[ q{'none', 'none', key_columns => '{c}'}, '42P10', qr/no unique index/, qr/CREATE UNIQUE/ ],
	[ q{'none', 'none', key_columns => '{a, b}'}, '42P10', qr/no unique index/, qr/CREATE UNIQUE/ ],
	[ q{'none', 'none', key_columns => '{b}'}, '42P10', qr/key column "b" is not filled/, qr/Map it/ ],
	[ q{'none', 'none', key_columns => '{x}'}, '42703', qr/key column "x" .* does not exist/, qr/columns of the target/ ],
	[ q{'none', 'none', key_columns => '{a, a}'}, '42701', qr/named twice/, qr/once/ ],
	[ q{'none', 'none', key_columns => '{a, NULL}'}, '22023', qr/must be names/, qr/Leave it out/ ],
	[ q{'none', 'none', key_columns => '{}'}, '22023', qr/must be names/, qr/Leave it out/ ],
	[ q{'none', 'none', key_columns => '{a, c}', columns => '{"a": "a", "c": "c", "d": "d"}'}, '428C9', qr/"d" is GENERATED ALWAYS/, qr/Leave it out/ ],
	[ q{'none', 'none', key_columns => '{a, c}', options => '{"mode": "append"}'}, '22023', qr/no use in mode append/, qr/upsert/ ],
	[ q{'one', 'one', options => '{"mode": "upsert_delete"}'}, '42P10', qr/key column "a" is not filled from the message key/, qr/\$key/ ],
  )
{
	my ($arguments, $state, $message, $hint) = @$case;
	my $error = error_of($node, "SELECT txpipe.create_stream('bad', 'shop', $arguments)");

	is($error->{state}, $state, "$arguments: $state");
	like($error->{message}, $message, 'says what is wrong');
	like($error->{hint} // '', $hint, 'and what to do');
}
my $as_clerk = q{SET SESSION AUTHORIZATION clerk; SELECT txpipe.create_stream('clerk', 'shop', 'one', 'public.one', paused => true,
	columns => '{"a": "$key", "b": "b"}', options => '{"mode": "upsert_delete"}')};
for my $privilege ('SELECT', 'UPDATE', 'DELETE')
{
	my $error = error_of($node, $as_clerk);

	is($error->{state}, '42501', "without $privilege it is refused");
	like($error->{message}, qr/mode upsert_delete needs $privilege on/, 'and says so');
	is($error->{hint}, "GRANT $privilege ON public.one TO clerk;", 'with the statement that helps');
	sql('GRANT ' . { SELECT => 'SELECT (a, b)', UPDATE => 'UPDATE (b)', DELETE => 'DELETE' }->{$privilege} . ' ON one TO clerk');
}
sql($as_clerk);
produce_keyed('one', 0, [ 1, '{"b": 1}' ], [ 2, '{"b": 2}' ], [ 1, '{"b": 3}' ], [2]);
sql(q{CALL txpipe.consume('clerk', 2)});
sql(q{CALL txpipe.consume('clerk')});
is(sql('SELECT a, b FROM one'), '1|3', 'these privileges are enough');
sql('ALTER TABLE one ENABLE ROW LEVEL SECURITY; ALTER TABLE one FORCE ROW LEVEL SECURITY;');
produce_keyed('one', 0, [ 1, '{"b": 4}' ]);
like(error_of($node, q{CALL txpipe.consume('clerk')})->{message}, qr/row-level security/, 'row-level security is refused');

log_is_clean($node, qr/create_stream|mode upsert|key column|GENERATED ALWAYS|no primary key|row-level security|no unique|key_columns|administrator command/);
stop_broker($broker);
done_testing();
