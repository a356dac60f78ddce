# Windows equal what plain SQL, or Perl for sessions, computes from the rows in the table of the stream: after random order,
# duplicates, late rows, kills, dead letters that are replayed and offsets that are sought back. What is late is
# computed here, too, from the batches as they are read.
use strict;
use warnings;

use List::Util qw(max min shuffle uniq);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('busy:4', 'steady:1', 'more:1');
my $node   = new_node('windows');
start_node($node);
kafka_server($node, 'shop', $broker);
my $has_hll = $node->psql('postgres', 'CREATE EXTENSION hll') == 0;
my $seed    = $ENV{TXPIPE_WINDOW_SEED} // 37;
srand $seed;
note "seed $seed" . ($has_hll ? '' : ', the extension hll is not there');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Lines that only one side has; none when all is well.
sub is_same
{
	my ($table, $expected, $what) = @_;
	my $difference = sql("SELECT 'is', * FROM (SELECT * FROM ($table) t EXCEPT ALL SELECT * FROM ($expected) e) x
		UNION ALL SELECT 'should be', * FROM (SELECT * FROM ($expected) e EXCEPT ALL SELECT * FROM ($table) t) x LIMIT 6");

	return is($difference, '', $what);
}

sub contents
{
	my ($table) = @_;
	return sql("SELECT count(*), md5(string_agg(t::text, ';' ORDER BY t::text)) FROM $table t");
}

# --- the windows ---

my $hll = $has_hll ? ', "sketch": "hll(id)"' : '';
my $aggregates = qq({"events": "count(*)", "amounts": "count(amount)", "total": "sum(amount)", "mean": "avg(amount)",
	"units": "sum(units)", "mean_units": "avg(units)", "load": "sum(load)", "mean_load": "avg(load)", "heat": "sum(heat)",
	"least": "min(amount)", "Last \\"one\\"": "max(at)", "kinds": "count(distinct kind)", "ids": "count(DISTINCT id)"$hll});

sub make_windows
{
	my ($stream) = @_;

	sql(<<"SQL");
SELECT txpipe.create_window('${stream}_tumbling', '$stream', 'at', '10 min', group_by => '{kind,"The user"}', aggregates => '$aggregates');
SELECT txpipe.create_window('${stream}_hopping', '$stream', 'at', '15 min', '4 min', group_by => '{kind}', aggregates => '$aggregates');
SELECT txpipe.create_window('${stream}_all', '$stream', 'at', '1 hour', aggregates => '$aggregates');
SELECT txpipe.create_window('${stream}_session', '$stream', 'at', gap => '30 s', group_by => '{kind,"The user"}', aggregates => '$aggregates');
SELECT txpipe.create_window('${stream}_quiet', '$stream', 'at', gap => '2 s', aggregates => '{"events": "count(*)"}');
SQL
	return;
}

# What a window must hold, of rows of "raw" that have window_start and window_end, as SQL. Floating-point numbers are looked at apart.
sub exact
{
	my ($windows, @groups) = @_;
	my $by = join '', map { ", $_" } @groups;
	my $h = $has_hll ? ', hll_add_agg(hll_hash_any(id))::text' : '';

	return "SELECT window_start, window_end$by, count(*), count(amount), sum(amount), avg(amount), sum(units), avg(units), min(amount), max(at),
		count(DISTINCT kind), count(DISTINCT id)$h FROM ($windows) r GROUP BY window_start, window_end$by";
}

sub kept
{
	my ($table, @groups) = @_;

	return "SELECT window_start, window_end" . join('', map { ", $_" } @groups)
	  . ', events, amounts, total, mean, units, mean_units, least, "Last ""one""", kinds, ids' . ($has_hll ? ', sketch::text' : '') . " FROM $table";
}

# Windows by the arithmetic of seconds since 1970, for moments after it.
sub tumbling
{
	my ($table, $width) = @_;
	return "SELECT to_timestamp(s) AS window_start, to_timestamp(s + $width) AS window_end, r.* FROM $table r,
		floor(extract(epoch FROM at) / $width) n, LATERAL (SELECT (n * $width)::double precision AS s) x WHERE at IS NOT NULL";
}

# Hopping ones begin at 4 min from midnight of the 1st of January of the year 1.
sub hopping
{
	my ($table) = @_;
	return "SELECT s AS window_start, s + interval '15 min' AS window_end, r.* FROM $table r,
		generate_series('2024-02-28 23:36+00'::timestamptz, '2024-03-01 06:00+00', '4 min') s WHERE at >= s AND at < s + interval '15 min'";
}

# Sessions by walking through the events of each group, in Perl; a table of (group, start, end).
sub walk_sessions
{
	my ($table, $gap, $groups) = @_;
	my %last;

	sql("DROP TABLE IF EXISTS walked; CREATE TABLE walked (key text, window_start timestamptz, window_end timestamptz)");
	my @rows;
	for (split /\n/, sql("SELECT coalesce(row($groups)::text, ''), (extract(epoch FROM at) * 1000000)::bigint FROM $table WHERE at IS NOT NULL ORDER BY at"))
	{
		my ($key, $at) = /^(.*)\|(\d+)$/s or die;
		if ($last{$key} && $at - $last{$key}[1] < $gap * 1e6)
		{
			$last{$key}[1] = $at;
			next;
		}
		push @rows, $last{$key} = [ $at, $at, $key ];
	}
	my $file = PostgreSQL::Test::Utils::tempdir() . '/walked';
	open my $fh, '>', $file or die;
	printf $fh "INSERT INTO walked VALUES (%s, '1970-01-01 00:00+00'::timestamptz + %d * interval '1 microsecond', '1970-01-01 00:00+00'::timestamptz + %d * interval '1 microsecond');\n",
	  "\$\$$_->[2]\$\$", $_->[0], $_->[1] + $gap * 1e6
	  for @rows;
	close $fh;
	$node->command_ok([ 'psql', '-Xqb1', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $file ], scalar(@rows) . ' sessions are walked through');
	return "SELECT w.window_start, w.window_end, r.* FROM $table r JOIN walked w
		ON w.key = coalesce(row($groups)::text, '') AND at >= w.window_start AND at < w.window_end";
}

# Sums of floating-point numbers depend on the order of rows.
sub floats_are_near
{
	my ($table, $windows, $what, @groups) = @_;
	my $by = join '', map { ", $_" } @groups;
	my $same = join '', map { " AND e.$_ IS NOT DISTINCT FROM t.$_" } @groups;

	is( sql("SELECT count(*) > 0, count(*) FILTER (WHERE abs(t.load - e.l) > 1e-9 * greatest(abs(e.l), 1)
			OR abs(t.mean_load - e.m) > 1e-9 * greatest(abs(e.m), 1) OR abs(t.heat - e.h) > 1e-9 * greatest(abs(e.h), 1)
			OR (t.load IS NULL) <> (e.l IS NULL))
		FROM $table t JOIN (SELECT window_start, sum(load) AS l, avg(load) AS m, sum(heat::double precision) AS h$by
			FROM ($windows) w GROUP BY window_start$by) e ON e.window_start = t.window_start$same"),
		't|0', "$what: sums and means of floating-point numbers, within 1e-9");
	return;
}

sub check_windows
{
	my ($stream, $what) = @_;
	my @by_user = ('kind', '"The user"');
	my %windows = (
		"${stream}_tumbling" => [ tumbling("$stream", 600), @by_user ],
		"${stream}_hopping"  => [ hopping("$stream"),       'kind' ],
		"${stream}_all"      => [ tumbling("$stream", 3600) ]);

	for my $table (sort keys %windows)
	{
		my ($windows, @groups) = @{ $windows{$table} };
		is_same(kept($table, @groups), exact($windows, @groups), "$what: $table");
		floats_are_near($table, $windows, "$what: $table", @groups);
	}
	my $sessions = walk_sessions($stream, 30, join ', ', @by_user);
	is_same(kept("${stream}_session", @by_user), exact($sessions, @by_user), "$what: ${stream}_session");
	floats_are_near("${stream}_session", $sessions, "$what: ${stream}_session", @by_user);
	my $quiet = walk_sessions($stream, 2, '1');
	is_same("TABLE ${stream}_quiet", "SELECT window_start, window_end, count(*) FROM ($quiet) w GROUP BY 1, 2", "$what: ${stream}_quiet");
	is(sql("SELECT string_agg(name, ' ') FROM txpipe.window w WHERE EXISTS (SELECT FROM txpipe.check_window(name)) AND w.stream = '$stream'"),
		'', "$what: check_window() finds nothing");
	return;
}

# --- events of an hour and a half of which some are out of order, again, late, without a time or a kind ---

my $made = 0;
sub event
{
	my ($second) = @_;
	my $id = $made++;
	my @known = ([ 'view', 'cart', 'buy' ], [ 'ann', 'bob', "o'neil", "{x}" ]);
	my ($kind, $user) = map { rand() < 0.1 ? undef : $_->[ rand @$_ ] } @known;
	my %fields = (
		id         => $id % 300,
		at         => rand() < 0.01 ? undef : sprintf('2024-03-01T%02d:%02d:%09.6fZ', $second / 3600, $second / 60 % 60, $second - 60 * int($second / 60)),
		kind       => $kind,
		'The user' => $user,
		amount     => rand() < 0.1 ? undef : sprintf('%.2f', rand(1010)),
		units      => rand() < 0.1 ? undef : int rand 9,
		load       => rand() < 0.1 ? undef : (rand() - 0.5) * 10**int(rand 12),
		heat       => rand() < 0.5 ? undef : rand 40);
	return '{' . join(', ', map { my $v = $fields{$_}; qq("$_": ) . (!defined $v ? 'null' : $v =~ /^-?\d+(\.\d+)?(e[+-]?\d+)?$/ ? $v : qq("$v")) } sort keys %fields) . '}';
}

sub events
{
	my ($from, $to, $n) = @_;
	my @events = map { event(rand() < 0.05 ? rand $to : min(max($from + ($to - $from) * $_ / $n + 20 * (rand() - 0.5), 0), 9000)) } 1 .. $n;
	push @events, map { $events[ rand @events ] } 1 .. $n / 20;
	return @events;
}

my $columns = 'id int, at timestamptz, kind text, "The user" text, amount numeric(10,2) CONSTRAINT small CHECK (amount < 1000), units int,
	load double precision, heat real, kafka_partition int, kafka_offset bigint';

# '' while the server is restarting, when psql may end before it has read the query.
sub ask
{
	my ($query) = @_;
	my $out = '';
	return eval { $node->psql('postgres', $query, stdout => \$out, stderr => \my $error) == 0 } ? $out : '';
}

# A worker's child, or the worker itself, which restarts the server.
sub kill_one
{
	my ($what) = @_;
	my $checkpointer = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'};
	my $before = ask($checkpointer);
	my ($worker, $child) = @{ wait_until('a worker has a child', sub {
		my $pid = ask("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%' ORDER BY random() LIMIT 1");
		my $of_it = $pid ? child_pid($pid) : undef;
		return $of_it ? [ $pid, $of_it ] : 0;
	}) };

	kill 'KILL', $what eq 'child' ? $child : $worker;
	wait_until('the server has restarted', sub { my $now = ask($checkpointer); $now && $now ne $before }) if $what eq 'worker';
	return;
}

# --- four partitions, two workers, kills ---

sql(qq{CREATE TABLE busy ($columns); INSERT INTO busy (id, at, kind, amount) VALUES (1, '2024-03-01 00:00:07+00', 'view', 5), (2, NULL, 'view', 7)});
sql(q{SELECT txpipe.create_stream('busy', 'shop', 'busy', 'busy', options => '{"batch_rows": 150, "workers": 2, "linger_ms": 5}')});
make_windows('busy');
is(sql('SELECT sum(events) FROM busy_tumbling'), '1', 'a window has what was in the table before');
my $sent = 0;
for my $round (1 .. 10)
{
	for my $p (shuffle 0 .. 3)
	{
		my @events = events(500 * ($round - 1), 500 * $round, 200);
		produce_lines($broker, 'busy', $p, @events);
		$sent += @events;
	}
	kill_one($round % 2 ? 'child' : 'worker');
}
wait_for_offset($node, 'busy', $sent);
is(sql(q{SELECT count(*) > 10 FROM txpipe.dead_letter WHERE stream = 'busy'}), 't', 'some rows were refused');
is(sql('SELECT count(*) > 100 FROM busy b JOIN (SELECT kafka_partition, max(at) AS at FROM busy GROUP BY 1) m USING (kafka_partition)
	WHERE b.at < m.at - interval \'10 min\''), 't', 'some were late');
check_windows('busy', 'two workers and kills');
is(sql(q{SELECT watermark = (SELECT max(at) FROM busy), late_rows > 0, open_windows = (SELECT count(*) FROM busy_tumbling
	WHERE window_end > watermark - interval '10 min') FROM txpipe.window WHERE name = 'busy_tumbling'}), 't|t|t', 'watermark, late rows and open windows are shown');

# --- dead letters, then all of it again ---

sql('ALTER TABLE busy DROP CONSTRAINT small');
my ($replayed) = split /\|/, sql(q{SELECT * FROM txpipe.replay_dead_letters('busy')});
cmp_ok($replayed, '>', 10, 'dead letters are replayed');
check_windows('busy', 'with replayed dead letters');
sql(q{SELECT txpipe.pause_stream('busy'); SELECT txpipe.seek_stream('busy', 'earliest'); SELECT txpipe.resume_stream('busy')});
my @all = split /\n/, sql(q{SELECT name FROM txpipe.window WHERE stream = 'busy'});
my $rebuilds = 0;
while (sql(q{SELECT sum(next_offset) FROM txpipe.stream_partition WHERE stream = 'busy'}) < $sent)
{
	sql("SELECT txpipe.rebuild_window('$all[rand @all]')");
	$rebuilds++;
}
cmp_ok($rebuilds, '>', 0, "$rebuilds rebuilds while it is read");
check_windows('busy', 'when all was read twice');
is(sql('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), 0, 'without a deadlock');

# --- a rebuild gives the same, bit for bit ---

my %before = map { $_ => contents($_) } @all;
sql("SELECT txpipe.rebuild_window('$_')") for @all;
is(contents($_), $before{$_}, "$_ rebuilt") for @all;
sql(q{SELECT txpipe.rebuild_window('busy_tumbling', '2024-03-01 00:30+00'), txpipe.rebuild_window('busy_hopping', '2024-03-01 00:32+00')});
is(contents($_), $before{$_}, "$_ rebuilt in part") for 'busy_tumbling', 'busy_hopping';
produce_lines($broker, 'busy', 1, events(5000, 5200, 200));
wait_for_offset($node, 'busy', $sent += 210);
check_windows('busy', 'after the rebuild');

# What check_window() must see.
sql('UPDATE busy_tumbling SET total = total + 0.01 WHERE ctid = (SELECT min(ctid) FROM busy_tumbling);
	DELETE FROM busy_hopping WHERE ctid = (SELECT ctid FROM busy_hopping ORDER BY events DESC LIMIT 1);
	DELETE FROM busy WHERE ctid = (SELECT min(ctid) FROM busy WHERE at IS NOT NULL)');
is(sql(q{SELECT count(*), bool_or((kept ->> 'total')::numeric = (expected ->> 'total')::numeric + 0.01) FROM txpipe.check_window('busy_tumbling')}), '2|t',
	'check_window() shows a changed sum and a deleted row');
is(sql(q{SELECT count(*) FILTER (WHERE kept IS NULL) FROM txpipe.check_window('busy_hopping')}), '1', 'and a missing window');
sql("SELECT txpipe.rebuild_window('$_')") for @all;
check_windows('busy', 'a rebuild mends it');

# --- batch by batch: what is late, what is put aside, what closes; the session's settings do not matter ---

sql(q{CREATE TABLE steady (at timestamp, kind text, n int, kafka_offset bigint);
	SELECT txpipe.create_stream('steady', 'shop', 'steady', 'steady', paused => true);
	SELECT txpipe.create_window('aside', 'steady', 'at', '60 s', '25 s', group_by => '{kind}', lateness => '40 s', on_late => 'aside',
		emit => 'table', aggregates => '{"events": "count(*)", "total": "sum(n)", "different": "count(distinct n)"}');
	SELECT txpipe.create_window('merged', 'steady', 'at', '60 s', group_by => '{kind}', lateness => '40 s',
		emit => 'notify, table, topic:closed.windows', aggregates => '{"events": "count(*)", "total": "sum(n)"}');
	SELECT txpipe.create_window('visits', 'steady', 'at', gap => '7 s', group_by => '{kind}', lateness => '0', on_late => 'aside',
		emit => 'table', aggregates => '{"events": "count(*)", "different": "count(distinct n)"}')});
my @steady = map { my $t = $_ + (rand() < 0.1 ? -int rand 200 : int(rand 20) - 10);
	{ at => max($t, 0) + 3600, kind => rand() < 0.2 ? undef : rand() < 0.5 ? 'a' : 'b', n => int rand 9 } } 1 .. 900;
produce_lines($broker, 'steady', 0, map { sprintf '{"at": "2024-02-29T%02d:%02d:%02d", "kind": %s, "n": %d}',
	$_->{at} / 3600, $_->{at} / 60 % 60, $_->{at} % 60, defined $_->{kind} ? "\"$_->{kind}\"" : 'null', $_->{n} } @steady);

# Seconds of the day; windows of 25 s have begun at a multiple of it since the year 1.
my $phase = sql(q{SELECT extract(epoch FROM '2024-02-29'::timestamp - '0001-01-01')::bigint % 25});
my (%aside, %merged, @set_aside, @told, @merged_told, %visit_rows);
my ($watermark, $late_aside, $late_merged, $late_visits, $from, $notices) = (undef, 0, 0, 0, 0, 0);

sub put
{
	my ($windows, $start, $end, $e) = @_;
	my $w = $windows->{ $start . '|' . ($e->{kind} // '') } //= { start => $start, end => $end };
	$w->{events}++;
	$w->{total} += $e->{n};
	$w->{values}{ $e->{n} } = 1;
	$w->{changed} = 1;
	return;
}

while ($from < @steady)
{
	my $out = sql("SET timezone = 'America/New_York'; SET datestyle = 'German'; SET intervalstyle = 'sql_standard'; LISTEN txpipe_window;
		CALL txpipe.consume('steady', " . (10 + int rand 60) . ')');
	my $to = sql(q{SELECT next_offset FROM txpipe.stream_partition WHERE stream = 'steady'});
	my ($before, $told) = ($watermark // -1e9, 0);

	for my $e (@steady[ $from .. $to - 1 ])
	{
		my $first = $e->{at} - ($e->{at} + $phase) % 25;
		my @starts = grep { $_ > $e->{at} - 60 } map { $first - 25 * $_ } 0 .. 2;
		my $minute = $e->{at} - $e->{at} % 60;
		for my $start (@starts)
		{
			if ($start + 60 > $before - 40) { put(\%aside, $start, $start + 60, $e) }
			else { push @set_aside, "$start|$e->{at}" }
		}
		$late_aside++ if min(@starts) + 60 <= $before - 40;
		$late_merged++ if $minute + 60 <= $before - 40;
		put(\%merged, $minute, $minute + 60, $e);
		if ($e->{at} + 7 <= $before) { $late_visits++ }
		else { push @{ $visit_rows{ $e->{kind} // '' } }, $e }
		$watermark = max($watermark // 0, $e->{at});
	}
	for my $set ([ \%aside, \@told ], [ \%merged, \@merged_told ])
	{
		my %ends;
		for my $key (grep { $set->[0]{$_}{changed} && $set->[0]{$_}{end} <= $watermark - 40 } sort keys %{ $set->[0] })
		{
			my $w = $set->[0]{$key};
			$w->{changed} = 0;
			push @{ $set->[1] }, "$key|$w->{events}|$w->{total}";
			$ends{ $w->{end} }++;
		}
		$told = keys %ends;
	}
	$notices += $told;
	is(scalar(() = $out =~ /"txpipe_window" with payload "\{"window" : "public.merged", "window_start" : "2024-/g), $told, "$told windows are notified of up to $to") if $told || $out =~ /payload/;
	$from = $to;
}
my $as_second = 'extract(epoch FROM %s AT TIME ZONE \'UTC\' - timestamp \'2024-02-29\')::int';
sub seconds { return join ', ', map { sprintf $as_second, $_ } @_ }
sub lines_of { return join "\n", sort { $a cmp $b } @_ }
sub queried { return join "\n", sort { $a cmp $b } split /\n/, sql($_[0]) }

cmp_ok($late_aside, '>', 5, "$late_aside rows are late for hopping windows");
cmp_ok($notices,    '>', 5, "$notices notices");
is(queried('SELECT ' . seconds('window_start') . q{, coalesce(kind, ''), events, total, different FROM aside}),
	lines_of(map { "$_|$aside{$_}{events}|$aside{$_}{total}|" . keys %{ $aside{$_}{values} } } keys %aside), 'aside: windows without late rows');
is(queried('SELECT ' . seconds('window_start') . q{, extract(epoch FROM at - '2024-02-29')::int FROM aside_late}), lines_of(@set_aside), 'aside: the late rows');
is(sql('SELECT count(*) FROM aside_late l JOIN steady s USING (kafka_offset) WHERE l.at = s.at AND l.kind IS NOT DISTINCT FROM s.kind AND l.n = s.n
	AND l.kafka_topic = $$steady$$ AND l.kafka_partition = 0'), scalar(@set_aside), 'aside: late rows know where they came from');
is(queried('SELECT ' . seconds('window_start') . q{, coalesce(kind, ''), events, total FROM aside_closed}), lines_of(@told), 'aside: each window is told once');
is(scalar(@told), scalar(uniq(@told)), 'and once only');
is(queried('SELECT ' . seconds('window_start') . q{, coalesce(kind, ''), events, total FROM merged}),
	lines_of(map { "$_|$merged{$_}{events}|$merged{$_}{total}" } keys %merged), 'merged: windows with late rows');
is(queried('SELECT ' . seconds('window_start') . q{, coalesce(kind, ''), events, total FROM merged_closed}), lines_of(@merged_told), 'merged: windows are told again when late rows correct them');
is(queried(q{SELECT extract(epoch FROM (value::jsonb ->> 'window_start')::timestamptz - '2024-02-29 00:00+00')::int, coalesce(value::jsonb ->> 'kind', ''), value::jsonb ->> 'events',
	value::jsonb ->> 'total' FROM txpipe.outbox WHERE topic = 'closed.windows' AND server = 'shop' AND value::jsonb ->> 'window' = 'public.merged'
	AND key::jsonb = jsonb_build_array(value::jsonb -> 'window_start', value::jsonb -> 'kind')}), lines_of(@merged_told), 'merged: and messages are in the outbox');
my @visits;
for my $kind (keys %visit_rows)
{
	my @rows = sort { $a->{at} <=> $b->{at} } @{ $visit_rows{$kind} };
	while (my $e = shift @rows)
	{
		my @in = ($e);
		push @in, shift @rows while @rows && $rows[0]{at} - $in[-1]{at} < 7;
		push @visits, join '|', $e->{at}, $in[-1]{at} + 7, $kind, scalar(@in), scalar(uniq(map { $_->{n} } @in));
	}
}
is(queried('SELECT ' . seconds('window_start', 'window_end') . q{, coalesce(kind, ''), events, different FROM visits}), lines_of(@visits), 'sessions without late rows');
is(sql(q{SELECT count(*) FROM visits_late}), $late_visits, 'the late rows of sessions');
is(sql(q{SELECT count(*) > 50, count(*) FILTER (WHERE v IS DISTINCT FROM c) FROM visits v JOIN txpipe.window w ON w.name = 'visits' AND v.window_end <= w.closed_until
	LEFT JOIN LATERAL (SELECT window_start, window_end, kind, events, different FROM visits_closed c WHERE c.window_start = v.window_start
		AND c.kind IS NOT DISTINCT FROM v.kind ORDER BY closed_at DESC LIMIT 1) c ON true}), 't|0', 'each closed session was told as it is');
is(queried(q{SELECT name, late_rows FROM txpipe.window WHERE stream = 'steady'}), "aside|$late_aside\nmerged|$late_merged\nvisits|$late_visits", 'late rows are counted');
is(sql(sprintf "SELECT bool_and(%s = $watermark) FROM txpipe.window WHERE stream = 'steady'", sprintf $as_second, 'watermark'), 't', 'and the watermark is the latest time');

my @kept = qw(aside merged visits);
%before = map { $_ => contents($_) } @kept;
is(sql("SELECT count(*) FROM txpipe.check_window('$_')"), 0, "$_: check_window() knows what is aside") for @kept;
sql("SELECT txpipe.rebuild_window('$_')") for @kept;
is(contents($_), $before{$_}, "$_ rebuilt") for @kept;
my $closed = contents('merged_closed');
produce_lines($broker, 'steady', 0, '{"at": "2024-02-29T01:14:50", "kind": "a", "n": 1}');
sql(q{CALL txpipe.consume('steady')});
is(sql("SELECT count(*) FROM txpipe.check_window('$_')"), 0, "$_ goes on behind a rebuild") for @kept;
is(contents('merged_closed'), $closed, 'a rebuild tells no window again');

# --- odd names, odd values, rights ---

sql(<<'SQL');
CREATE ROLE loader LOGIN;
CREATE ROLE clerk LOGIN IN ROLE loader;
CREATE ROLE stranger LOGIN;
CREATE SCHEMA "l{i}v'e" AUTHORIZATION loader;
GRANT USAGE ON FOREIGN SERVER shop TO loader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA txpipe TO loader, stranger;
GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA txpipe TO loader;
SET ROLE loader;
CREATE TABLE "l{i}v'e"."m{raw}""e" ("d'{time}" date, "g1" text, "a{s}""1" text, f double precision, "a1" real, "s1" bigint);
SELECT txpipe.create_stream('more', 'shop', 'more', $$"l{i}v'e"."m{raw}""e"$$, paused => true);
SQL
my $odd = q("l{i}v'e"."W {table} "" 'x'");
sql(<<'SQL');
SET ROLE clerk;
SET search_path = "l{i}v'e";
SELECT txpipe.create_window('W {table} " ''x''', 'more', 'd''{time}', '7 days', group_by => '{g1,"a{s}\"1"}', emit => 'notify,table',
    on_late => 'aside', start_at => '2024-01-01 00:00+00', lateness => '14 days',
    aggregates => '{"s1": "sum(f)", "{state}": "avg(f)", "it''s": "sum(a1)", "t": "count(distinct \"a{s}\"\"1\")", "{n}": "sum(s1)"}');
SQL
my $long = join '', map { chr(ord('a') + int rand 26) } 1 .. 9000;
my @more = (
	q("d'{time}": "2024-01-01", "g1": "x", "f": 1e308, "a1": 1.5, "s1": 9223372036854775807),
	q("d'{time}": "2024-01-07", "g1": "x", "f": 1e308, "a1": 0.25, "s1": 9223372036854775807),
	q("d'{time}": "2023-12-31", "g1": "x", "f": 7),
	q("d'{time}": "2024-01-08", "f": 5e-324),
	q("d'{time}": "2024-01-09", "f": null),
	qq("d'{time}": "2024-01-08", "a{s}\\"1": "$long"),
	q("d'{time}": "4000-01-01", "f": 5),
	q("d'{time}": "0001-01-01", "f": 5),
	q("f": 9),
	q("d'{time}": "2024-03-04", "f": 1),
	q("d'{time}": "2024-01-08", "f": 3));
produce_lines($broker, 'more', 0, map { "{$_}" } @more);
sql(q{SET ROLE loader; CALL txpipe.consume('more', 10); CALL txpipe.consume('more')});
is( sql(qq{SELECT (window_start AT TIME ZONE 'UTC')::date, window_end - window_start, g1, "a{s}""1", s1, "{state}", "it's", t, "{n}" FROM $odd ORDER BY 1}),
	"2024-01-01|7 days|x||Infinity|Infinity|1.75|0|18446744073709551614\n"
	  . "2024-01-08|7 days|||0|0||0|\n2024-03-04|7 days|||1|1||0|\n3999-12-27|7 days|||5|5||0|",
	'a window of odd names holds odd values');
is(sql(q{SELECT watermark, late_rows, open_windows FROM txpipe.window WHERE stream = 'more'}), '2024-03-04 00:00:00+00|1|2',
	'a time in the far future does not move the watermark');
is(sql(qq{SELECT "d'{time}", g1, kafka_offset FROM "l{i}v'e"."W {table} "" 'x'_late"}), '2024-01-08||10', 'the late row is aside');
is(sql(q{SELECT kafka_offset, code FROM txpipe.dead_letter WHERE stream = 'more'}), '5|54000', 'a value too long for an index is a dead letter');
is(sql(q{SET ROLE clerk; SELECT count(*) FROM txpipe.check_window('W {table} " ''x''')}), 0, 'check_window() agrees');
%before = ($odd => contents($odd));
sql(q{SET ROLE clerk; SELECT txpipe.rebuild_window('W {table} " ''x'''), txpipe.rebuild_window('W {table} " ''x''', '2024-01-08 00:00+00')});
is(contents($odd), $before{$odd}, 'so does a rebuild');
is(sql(q{SELECT string_agg(DISTINCT tableowner, ' '), count(*) FROM pg_tables WHERE schemaname = 'l{i}v''e'}), 'loader|6',
	'all tables are the owner\'s, whoever of his members calls');

# What the owner's tables would do at the end of the transaction is not done by who calls.
sql(qq{SET ROLE loader; CREATE TABLE "l{i}v'e".seen (who name);
	CREATE FUNCTION "l{i}v'e".look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO "l{i}v''e".seen VALUES (current_user); RETURN NULL; END';
	CREATE CONSTRAINT TRIGGER look AFTER INSERT OR UPDATE ON $odd DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "l{i}v'e".look()});
is(error_of($node, q{SELECT txpipe.rebuild_window('W {table} " ''x''')})->{state}, '42501', 'a deferred trigger is not left to the caller');
sql(q{SET ROLE loader; SELECT txpipe.rebuild_window('W {table} " ''x''')});
is(sql(qq{SELECT string_agg(DISTINCT who::text, ' ') FROM "l{i}v'e".seen}), 'loader', '... the owner himself may have one');
sql(qq{DROP TRIGGER look ON $odd});
is(sql('SET ROLE stranger; SELECT count(*) FROM txpipe.window'), 0, 'a stranger sees no window');
sql(qq{GRANT USAGE ON SCHEMA "l{i}v'e" TO stranger; GRANT SELECT ON $odd TO stranger});
is(sql('SET ROLE stranger; SELECT name, open_windows FROM txpipe.window'), q(W {table} " 'x'|2), 'who may read the table sees it');

my $number = sql(q{SELECT window_id FROM txpipe.window WHERE stream = 'more'});
sql(<<'SQL');
CREATE TABLE keyed (id int PRIMARY KEY, at timestamptz, j jsonb);
SELECT txpipe.create_stream('keyed', 'shop', 'more', 'keyed', key_columns => '{id}', paused => true);
CREATE TABLE plain (id int, at timestamptz, j jsonb, t text);
SELECT txpipe.create_stream('plain', 'shop', 'more', 'plain', paused => true);
SQL
my $mine = q{'W {table} " ''x'''};
for my $bad (
	[ q{'10 min', gap => '1 min'}, '22023', qr/either a width or/ ],
	[ 'NULL', '22023', qr/either a width or/ ],
	[ q{'1 month'}, '22023', qr/months/ ],
	[ q{'0'}, '22023', qr/more than 0/ ],
	[ q{'10 min', '11 min'}, '22023', qr/slide must not/ ],
	[ q{'10 min', '1 ms'}, '22023', qr/more than 1000/ ],
	[ q{'10 min', lateness => '-1 s'}, '22023', qr/lateness/ ],
	[ q{'10 min', ahead => '20000 days'}, '22023', qr/ahead/ ],
	[ q{'10 min', on_late => 'drop'}, '22023', qr/on_late/ ],
	[ q{'10 min', emit => 'pigeon'}, '22023', qr/pigeon/ ],
	[ q{'10 min', aggregates => '{"x": "count(*) FILTER (WHERE true)"}'}, '22023', qr/FILTER/ ],
	[ q{'10 min', aggregates => '{"x": "sum(id); DROP TABLE plain"}'}, '22023', qr/DROP/ ],
	[ q{'10 min', aggregates => '{"x": "sum(distinct id)"}'}, '22023', qr/distinct/ ],
	[ q{'10 min', aggregates => '{}'}, '22023', qr/aggregates/ ],
	[ q{'10 min', aggregates => '{"x": "sum(nix)"}'}, '42703', qr/nix/ ],
	[ q{'10 min', aggregates => '{"x": "sum(at)"}'}, '42804', qr/no sum/ ],
	[ q{'10 min', group_by => '{nix}'}, '42703', qr/nix/ ],
	[ q{'10 min', target_schema => NULL}, '22004', qr/target_schema/ ],
	[ q{'10 min', on_error => 'cry'}, '22023', qr/cry/ ],
	[ q{SELECT txpipe.create_window('w', 'plain', 'nix', '10 min')}, '42703', qr/nix/ ],
	[ q{SELECT txpipe.create_window('w', 'plain', 't', '10 min')}, '42804', qr/no time/ ],
	[ q{SELECT txpipe.create_window('plain', 'plain', 'at', '10 min')}, '42P07', qr/plain/ ],
	[ q{SELECT txpipe.create_window('aside', 'plain', 'at', '10 min', target_schema => 'pg_catalog')}, '42710', qr/name/ ],
	[ q{SELECT txpipe.create_window('', 'plain', 'at', '10 min')}, '22023', qr/name/ ],
	[ q{SELECT txpipe.create_window('w', 'nix', 'at', '10 min')}, '42704', qr/nix/ ],
	[ q{SELECT txpipe.create_window('w', 'keyed', 'at', '10 min')}, '0A000', qr/mode upsert/ ],
	[ q{SELECT txpipe.rebuild_window('visits', now())}, '0A000', qr/sessions/ ],
	[ q{SELECT txpipe.check_window('nix')}, '42704', qr/nix/ ],
	[ q{SELECT txpipe.drop_window('nix')}, '42704', qr/nix/ ],
	[ q{SELECT txpipe.create_window('w: close', 'more', 'f', '10 min')}, '22023', qr/end as that of a step/ ],
	[ q{SELECT txpipe.store_window('more', NULL)}, '22004', qr/NULL/ ],
	[ q{SET ROLE stranger; SELECT txpipe.create_window('w', 'more', 'f', '10 min')}, '42501', qr/owner/ ],
	[ "SET ROLE stranger; SELECT txpipe.rebuild_window($mine)", '42501', qr/owner/ ],
	[ "SET ROLE stranger; SELECT txpipe.drop_window($mine)", '42501', qr/owner/ ],
	[ "SET ROLE stranger; SELECT txpipe.forget_window($mine)", '42501', qr/owner/ ],
	[ "SET ROLE stranger; SELECT txpipe.lock_window($number)", '42501', qr/owner/ ],
	[ "SET ROLE stranger; SELECT txpipe.note_window($number, now(), 1)", '42501', qr/owner/ ],
	[ q{SET ROLE stranger; SELECT txpipe.as_stream_owner('more', 'SELECT 1')}, '42501', qr/owner/ ])
{
	my ($call, $state, $words) = @$bad;
	$call = "SELECT txpipe.create_window('w', 'plain', 'at', $call)" unless $call =~ /SELECT /;
	my $error = error_of($node, $call);

	is($error->{state}, $state, "$call: SQLSTATE") or diag($error->{text});
	like($error->{message}, $words, "$call: says what is wrong");
	ok($error->{hint}, "$call: has a hint");
}
is(sql(q{SELECT count(*) FROM txpipe.window WHERE stream = 'plain'}), 0, 'what fails leaves nothing');

# --- a dump has definitions and watermarks; what is dropped ---

my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'the database is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE again');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('again'), '-f', $dump ], 'and restored');
sub again { return $node->safe_psql('again', $_[0]) }
my $windows = 'SELECT name, watermark, late_rows, aggregates FROM txpipe.window ORDER BY 1';
is(again($windows), sql($windows), 'windows are in the dump');
produce_lines($broker, 'steady', 0, '{"at": "2024-02-29T01:15:20", "kind": "a", "n": 1}');
for my $db (\&sql, \&again)
{
	$db->(q{SELECT txpipe.resume_stream('steady'), txpipe.pause_stream('steady')});
	$db->(q{CALL txpipe.consume('steady')});
}
is(again("SELECT count(*), sum(events) FROM $_"), sql("SELECT count(*), sum(events) FROM $_"), "$_ goes on behind a restore") for @kept;
is(again("SELECT count(*) FROM txpipe.check_window('$_')"), 0, "$_ is right there") for @kept;
again('DROP EXTENSION txpipe CASCADE');
is(again('SELECT sum(events) FROM merged'), sql('SELECT sum(events) FROM merged'), 'the tables need no extension');

sql(q{SELECT txpipe.drop_window('merged'), txpipe.drop_window('aside', true)});
is(sql(q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'r' AND relname ~ '^(merged|aside)'}),
	'merged merged_closed', 'drop_window() leaves what people read, unless told otherwise');
is(sql(q{SELECT string_agg(step, ', ' ORDER BY ordinal) FROM txpipe.stream_step WHERE stream = 'steady'}),
	'window visits: lock, window visits, window visits: close', 'its steps are gone');
sql(q{SELECT txpipe.drop_stream('steady')});
is(sql(q{SELECT count(*) FROM txpipe.window_store WHERE name = 'visits'}), 0, 'a window goes with its stream');

# Errors of our own sessions are those that were provoked; workers have none.
log_is_clean($node, qr/037_windows\.pl ERROR:  /, qr/terminating .* due to/, qr/the database system is/, qr/txpipe_io/, qr/connection to client lost/);
done_testing();
