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

# A worker and its child; the server may be restarting.
sub workers
{
	$node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%' ORDER BY random() LIMIT 1",
		stdout => \my $worker, stderr => \my $error);
	my $child = $worker ? child_pid($worker) : undef;
	return $child ? [ $worker, $child ] : 0;
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
	kill 'KILL', ${ +wait_until('a worker has a child', \&workers) }[ $round % 2 ];
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
wait_for_offset($node, 'busy', $sent);
check_windows('busy', 'when all was read twice');

# --- a rebuild gives the same, bit for bit ---

my @tables = split /\n/, sql(q{SELECT name FROM txpipe.window WHERE stream = 'busy' ORDER BY 1});
my %before = map { $_ => contents($_) } @tables;
sql("SELECT txpipe.rebuild_window('$_')") for @tables;
is(contents($_), $before{$_}, "$_ rebuilt") for @tables;
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
sql("SELECT txpipe.rebuild_window('$_')") for @tables;
check_windows('busy', 'a rebuild mends it');

log_is_clean($node, qr/small/, qr/terminating .* due to/, qr/the database system is/, qr/txpipe_io/, qr/connection to client lost/);
done_testing();
