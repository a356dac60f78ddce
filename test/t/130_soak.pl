# A mixed load for a while: four topics that are streamed, files, rules, windows, reports, exports and reloads at once; in the middle
# third processes are killed. What is stored in the end is what was sent; nothing has grown that should not.
#
#   TXPIPE_SOAK_MINUTES=120 test/run 130_soak     test/soak does that, and says what it measured
#   TXPIPE_SOAK_SEED=…       other kills and files
#   TXPIPE_SOAK_OUT=…        base name of files with the figures: .txt, .csv and .svg
use strict;
use warnings;

use File::Basename qw(basename);
use List::Util qw(max sum0);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeRetail;
use TxpipeSoak;
use TxpipeTest;

my $minutes = $ENV{TXPIPE_SOAK_MINUTES} // 1;
my $seed = $ENV{TXPIPE_SOAK_SEED} // 1;
my $seconds = int(60 * $minutes);
my ($group_rows, $group_every, $log_rate, $keys, $key_rate, $payments) = (300, 5, 200, 97, 100, 40);
my $node = retail_node('soak', conf => <<'CONF');
shared_preload_libraries = 'txpipe'
max_worker_processes = 24
restart_after_crash = on
autovacuum_naptime = 5s
txpipe.dashboard_interval = 2
CONF
my $broker = start_broker('app_logs:4', 'changes:1', 'transactions:1', 'live_sales:1');

# --- what runs ---

fresh_database();
kafka_server($node, 'shop', $broker, 'retail');
sql(<<'SQL');
SELECT txpipe.create_app_log_analytics('shop', 'app_logs');
SELECT txpipe.create_rule('large_purchase', 'app_log', $$
    SELECT customer_id AS subject, event_time, 'large' AS reason, kafka_topic, kafka_partition, kafka_offset
    FROM batch WHERE event_type = 'purchase' AND total_amount >= 450 $$, severity => 'low', cooldown => '1 min');
SELECT txpipe.create_fraud_monitor('shop', 'transactions', pseudonyms => false);
SELECT txpipe.create_live_sales('shop', 'live_sales');
CREATE TABLE latest (k integer PRIMARY KEY, v text);
SELECT txpipe.create_stream('latest', 'shop', 'changes', 'latest', columns => '{"k": "k", "v": "v"}', options => '{"mode": "upsert"}');
CREATE TABLE every (id bigint, v text);
SELECT txpipe.create_stream('every', 'shop', 'changes', 'every');
SQL
my @groups = make_groups(1 + int($seconds / $group_every), '--rows', $group_rows, '--dirty', 5, '--seed', $seed);
my $payments_file = $node->basedir . '/payments';
system_or_bail('bash', '-c', "$ENV{TXPIPE_TREE}/demo/make-transactions --events @{[ $payments * $seconds ]} --cases 5 --seed $seed >$payments_file");
my @payments = split /^/, slurp_file($payments_file);

# Says what went wrong, and does not end: the server may be away.
sub try_sql
{
	my ($query) = @_;

	eval { $node->psql('retail', $query, stdout => \my $out, stderr => \my $err); print "$err\n" if $err ne ''; 1 } or print "$@\n";
	return;
}

# Of 200 messages one is no JSON.
sub change
{
	my ($n) = @_;

	return $n % 200 == 7 ? '{' : sprintf '{"id": %d, "k": %d, "v": "v%d"}', $n, $n % $keys, $n;
}

my $started = time();
my $end = $started + $seconds;
my $log_messages = $log_rate * ($seconds - 5);
start_load('logs', 1, $end, sub {
	my ($n) = @_;
	system("$ENV{TXPIPE_TREE}/demo/produce", '--broker', $broker->{servers}, '--partitions', 4, '--rate', $log_rate, '--count',
		$log_messages, '--hours', 1, '--seed', $seed, '--broken', 2) if $n == 0;
});
start_load('changes', 1, $end, sub {
	my ($n) = @_;
	produce_lines($broker, 'changes', 0, map { change($_) } $n * $key_rate .. ($n + 1) * $key_rate - 1);
	print 'sent ', ($n + 1) * $key_rate, "\n";
});
start_load('payments', 1, $end, sub {
	my ($n) = @_;
	my @lines = map { s/\n\z//r } grep { defined } @payments[ $n * $payments .. ($n + 1) * $payments - 1 ];
	produce_lines($broker, 'transactions', 0, @lines) if @lines;
	print 'sent ', scalar @lines, "\n";
});
start_load('files', $group_every, $end, sub {
	my ($n) = @_;
	my ($sales) = glob "$groups[$n]/sales_transactions*.csv";
	system("$ENV{TXPIPE_TREE}/demo/produce-sales", '--file', $sales, '--broker', $broker->{servers});
	deliver($groups[$n], basename($groups[$n]));
	print "delivered $groups[$n]\n";
	try_sql('CALL txpipe.run_hourly()');
});
start_load('reloads', 7, $end, sub {
	try_sql(q{SELECT txpipe.reload(file_id) FROM txpipe.file WHERE state LIKE 'loaded%' AND feed = 'sales_transactions' ORDER BY random() LIMIT 1});
});
start_load('reports', 1, $end, sub {
	try_sql("SELECT count(*) FROM txpipe.$_") foreach qw(top_products() top_offers() top_offers_by_product() health() metrics() stream_status),
	  'lowest_online_cities()', 'sales_trend()';
	try_sql('SELECT count(*), sum(total_paid) FROM dwh.sales; SELECT length(txpipe.dashboard())');
});
start_load('exports', 10, $end, sub {
	try_sql('SELECT txpipe.export_b2b((SELECT transaction_date FROM dwh.sales_day ORDER BY random() LIMIT 1))');
});

# --- who is killed ---

sub pids
{
	my ($where) = @_;
	my $out = '';

	$node->psql('retail', "SELECT pid FROM pg_stat_activity WHERE $where", stdout => \$out, stderr => \my $err);
	return split /\n/, $out;
}

my $workers = q{application_name LIKE 'txpipe worker%'};
my $sessions = q{backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()};
my @ways = (
	([ 'child KILL', sub { grep { defined } map { child_pid($_) } pids($workers) }, 'KILL' ]) x 4,
	([ 'session TERM', sub { pids($sessions) }, 'TERM' ]) x 2,
	([ 'worker TERM', sub { pids($workers) }, 'TERM' ]) x 2,
	[ 'session KILL', sub { pids($sessions) }, 'KILL' ],
	[ 'worker KILL', sub { pids($workers) }, 'KILL' ],
	[ 'server', sub { return }, undef ]);
my %kills;

sub kill_one
{
	my ($name, $candidates, $signal) = @{ $ways[ int rand @ways ] };
	my @pids = $candidates->();

	if (!defined $signal)
	{
		$node->stop('immediate');
		$node->start;
	}
	else
	{
		return unless @pids && kill $signal, $pids[ int rand @pids ];
	}
	$kills{$name}++;
	look($node, $started, $name);
	return;
}

srand $seed;
my $look_every = max(1, $seconds / 600);
my $kill_every = max(2, $seconds / 240);
my ($next_kill, $last_kill) = ($started + $seconds / 3, $started + 2 * $seconds / 3);
while (time() < $end)
{
	my $now = time();

	look($node, $started);
	if ($now >= $next_kill && $now < $last_kill)
	{
		kill_one();
		$next_kill = $now + $kill_every * (0.5 + rand);
	}
	pause_between($now + $look_every - time());
}

# --- what is there in the end ---

stop_loads(qw(logs changes payments files reloads reports exports));
wait_until('the server answers', sub { $node->psql('retail', 'SELECT 1') == 0 });
my ($changes) = load_output('changes') =~ /sent (\d+)\n\z/;
my $sent_payments = sum0(load_output('payments') =~ /sent (\d+)/g);
my @delivered = load_output('files') =~ /^delivered (\S+)/mg;
my $sales = 0;
foreach my $group (@delivered)
{
	my ($lines) = run_command([ $^X, "$ENV{TXPIPE_TREE}/demo/produce-sales", '--file', glob "$group/sales_transactions*.csv" ]);
	$sales += $lines =~ tr/\n// + 1;
}
my %sent = (app_log => $log_messages, latest => $changes, every => $changes, transactions => $sent_payments, live_sales => $sales);
foreach my $stream (sort keys %sent)
{
	wait_for_offset($node, $stream, $sent{$stream}, db => 'retail', timeout => 180);
	is(sql("SELECT rows_total + dead_letters_total FROM txpipe.stream_status WHERE stream = '$stream'"), $sent{$stream},
		"$stream: each of $sent{$stream} messages is a row or a dead letter");
}
sql("UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'");
run_hourly();
look($node, $started);

my (%latest, $good, $sum);
foreach my $n (grep { $_ % 200 != 7 } 0 .. $changes - 1)
{
	$latest{ $n % $keys } = "v$n";
	$good++;
	$sum += $n;
}
is(sql('SELECT count(*), count(DISTINCT id), sum(id) FROM every'), "$good|$good|$sum", 'appended: each once');
is(sql('SELECT string_agg(k || v, $$ $$ ORDER BY k) FROM latest'), join(' ', map { "$_$latest{$_}" } sort { $a <=> $b } keys %latest), 'by key: the last');
is(sql('SELECT count(*) - count(DISTINCT (kafka_partition, kafka_offset)) FROM app_log'), '0', 'no event of the log is double');
same_lines(facts(), totals(@delivered), 'the warehouse is what ' . @delivered . ' groups say');
is(sql('SELECT string_agg(item || $$: $$ || detail, chr(10)) FROM txpipe.check_warehouse() WHERE NOT ok'), '', 'check_warehouse() finds nothing');
is(sql('SELECT count(*) - count(DISTINCT transaction_id) FROM dwh.sales'), '0', 'no sale is shown twice');
is(sql('SELECT string_agg(name, $$ $$) FROM txpipe.window WHERE EXISTS (SELECT FROM txpipe.check_window(name))'), '', 'check_window() finds nothing');

# --- what has grown ---

my $third = $seconds / 3;
SKIP:
{
	# Processes take some minutes until they have met all they will meet.
	skip 'memory and open files: a run of at least ten minutes tells', 2 if $minutes < 10;
	is(join("\n", memory_grown($third / 2, $third), memory_grown(2.5 * $third, $seconds)), '', 'no process holds more memory at the end of a third');
	is(join("\n", open_files_grown($third / 2, $third), open_files_grown(2.5 * $third, $seconds)), '', 'nor more open files');
}
my @swollen;
foreach my $table (split /\n/, sql(q{SELECT relname FROM pg_class WHERE relnamespace = 'txpipe'::regnamespace AND relkind = 'r' ORDER BY 1}))
{
	my ($rows, $pages) = split /\|/, sql("SELECT count(*), pg_relation_size('txpipe.$table') / 8192 FROM txpipe.$table");

	push @swollen, "$table: $rows rows, $pages pages" if $rows <= 100 && $pages > 64;
}
is(join(', ', @swollen), '', 'tables of few rows have few pages');
my ($updates, $hot) = split /\|/, sql(q{SELECT sum(n_tup_upd), round(100.0 * sum(n_tup_hot_upd) / sum(n_tup_upd), 1) FROM pg_stat_user_tables
	WHERE schemaname = 'txpipe' AND n_live_tup <= 100 AND n_tup_upd > 0});
cmp_ok($hot, '>', 80, "of $updates updates of small tables so many per cent left the indexes alone");

my $ended = qr/terminating connection|connection to server|server closed|the database system is|could not (?:send|receive) data|txpipe_io|Broken pipe/;
is(join("\n", load_errors($ended)), '', 'no session met another error than its end');
log_is_clean($node, qr/terminating|the database system is|txpipe_io|connection to client lost|could not (?:send|receive) data/);

my @summary = (
	sprintf('seconds:   %d, seed %s', $seconds, $seed),
	'messages:  ' . join(', ', map { "$sent{$_} $_" } sort keys %sent),
	'files:     ' . sql(q{SELECT count(*) FROM txpipe.file WHERE state LIKE 'loaded%'}) . ' of ' . @delivered . " groups of $group_rows sales",
	'kills:     ' . sum0(values %kills) . ' (' . join(', ', map { "$kills{$_} $_" } sort keys %kills) . ')',
	"updates:   $updates of small catalog tables since the last restart, $hot % HOT",
	'longest:   ' . max(map { $_->{lag} // 0 } looks()) . ' messages not read yet');
diag($_) foreach @summary;
if (defined(my $out = $ENV{TXPIPE_SOAK_OUT}))
{
	append_to_file("$out.txt", join '', map { "$_\n" } @summary);
	write_looks($out, sprintf '%s minutes: %s. Lines: kills.', $minutes, $summary[1] =~ s/^\w+:\s+//r);
}
$node->stop;
stop_broker($broker);
done_testing();
