# Metrics: what txpipe.metric counts, for whom and at what cost; the text of txpipe.metrics(), as promtool reads it.

use strict;
use warnings;

use HTTP::Tiny;
use IPC::Run;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest qw(error_of log_is_clean wait_until);

my $programs = $ENV{TXPIPE_PROMETHEUS} // '';
my $node = retail_node('metrics');
fresh_database();

# The samples of these names, in the order of their labels.
sub metric
{
	my ($where, %opt) = @_;

	return sql(($opt{as} ? "SET ROLE $opt{as}; " : '') . qq{SELECT name || CASE labels WHEN '{}' THEN '' ELSE ' ' || (SELECT string_agg(value, ' '
		ORDER BY key COLLATE "C") FROM jsonb_each_text(labels)) END || ' ' || value FROM txpipe.metric WHERE $where ORDER BY name COLLATE "C", labels::text COLLATE "C"});
}

# What promtool says to a text on its standard input; nothing when all is well.
sub promtool
{
	my ($input, @args) = @_;
	my $out = '';

	IPC::Run::run([ "$programs/promtool", @args ], '<', \$input, '>', \$out, '2>&1');
	return $out;
}

# --- files ---

sub sale
{
	my ($id, $units) = @_;

	return "2023-5-20,$id,1,A,B,a.b\@gmail.com,1,1,1,Laptop,Electronics,,,,,,$units,10.00,no,Cash,";
}

is(metric(q{name LIKE 'txpipe_feed_%' AND value <> 0}), '', 'a feed without files counts nothing');
is(sql('SELECT * FROM txpipe.health()'), 't|ok|all is well', 'and nothing is wrong');
land_sales(1, sale('t1', 1), sale('t2', 2), sale('t3', 'many'));
run_hourly();
land_sales(2, sale('t4', 1));
run_hourly();
is(metric(q{name ~ '^txpipe_feed_rows' AND labels->>'feed' = 'sales_transactions'}), join("\n",
	'txpipe_feed_rows_loaded_total sales_transactions 3', 'txpipe_feed_rows_read_total sales_transactions 4',
	'txpipe_feed_rows_rejected_total sales_transactions 1'), 'rows of a feed');
is(metric(q{name = 'txpipe_feed_files_total' AND value > 0}), join("\n", 'txpipe_feed_files_total branches loaded 2',
	'txpipe_feed_files_total sales_agents loaded 2', 'txpipe_feed_files_total sales_transactions loaded 2'), 'files by state');
is(metric(q{name = 'txpipe_runs_total'}), join("\n", 'txpipe_runs_total run_hourly failed 0', 'txpipe_runs_total run_hourly skipped 0',
	'txpipe_runs_total run_hourly succeeded 2'), 'runs');
is(sql(q{SELECT count(*), bool_and(to_timestamp(value) BETWEEN now() - interval '1 hour' AND now())
	FROM txpipe.metric WHERE name ~ '_timestamp_seconds$' AND name !~ 'export'}), '4|t', 'times are those of loads and runs');

sql(q{SELECT txpipe.unload(file_id) FROM txpipe.file WHERE feed = 'sales_transactions' AND group_key ~ '2'});
is(metric(q{name = 'txpipe_feed_rows_loaded_total' AND labels->>'feed' = 'sales_transactions'}),
	'txpipe_feed_rows_loaded_total sales_transactions 3', 'counters do not shrink when a file is taken back');

is(sql(q{BEGIN; UPDATE txpipe.file_ledger SET state = 'failed' WHERE file_id = 1; ROLLBACK;
	SELECT sum(value) FROM txpipe.metric WHERE name = 'txpipe_feed_files_total' AND labels->>'state' = 'failed'}), '0', 'what is rolled back is not counted');

# Two transactions that count the same do not wait for each other.
sql(q{CREATE FUNCTION pg_temp.x() RETURNS void LANGUAGE sql AS '';
	INSERT INTO txpipe.run (job) VALUES ('twice'), ('twice'), ('twice');});
my $other = $node->background_psql('retail');
$other->query_safe(q{UPDATE txpipe.run SET state = 'succeeded' WHERE run_id = (SELECT min(run_id) FROM txpipe.run WHERE job = 'twice')});
$other->query_safe(q{BEGIN; UPDATE txpipe.run SET state = 'succeeded' WHERE job = 'twice' AND run_id = (SELECT min(run_id) + 1 FROM txpipe.run WHERE job = 'twice')});
sql(q{SET lock_timeout = '10 s'; UPDATE txpipe.run SET state = 'succeeded' WHERE run_id = (SELECT max(run_id) FROM txpipe.run WHERE job = 'twice')});
$other->query_safe('COMMIT');
$other->quit;
is(metric(q{name = 'txpipe_runs_total' AND labels->>'job' = 'twice' AND labels->>'state' = 'succeeded'}), 'txpipe_runs_total twice succeeded 3',
	'transactions side by side are all counted, and do not wait');

# --- groups that are missing ---

is(metric(q{name ~ '_groups$'}), "txpipe_incomplete_groups retail 0\ntxpipe_missing_groups retail 0", 'no group is missing');
land('9/branches_SS_raw_9.csv', "branch_id,location,establish_date,class\n2,Boston,2017-01-15,A\n");
run_hourly();
is(metric(q{name ~ '_groups$'}), "txpipe_incomplete_groups retail 1\ntxpipe_missing_groups retail 0", 'a begun group is incomplete');
is(metric(q{name = 'txpipe_feed_open_files' AND value > 0}), 'txpipe_feed_open_files branches waiting 1', '... and its file waits');
sql(q{CREATE TABLE hours (a text); SELECT txpipe.create_feed('hours', '^hours/(.*)\.csv$', 'hours', options => '{"every": "1 hour"}')});
my @hours = map { sql("SELECT to_char(now() AT TIME ZONE 'UTC' - interval '$_ hours', 'YYYYMMDD\"T\"HH24')") } 2, 3, 5, 200, 201;
land("hours/$_.csv", "a\n$_\n") foreach @hours;
run_hourly();
# Hours -2, -3 and -5 are there: of the week, -4 and those from -167 to -6 are not; the last full hour, -1, is not there either.
is(metric(q{name = 'txpipe_missing_groups' AND labels->>'group_name' = 'hours'}),
	'txpipe_missing_groups hours ' . sql(q{SELECT count(*) FROM txpipe.missing_group WHERE group_name = 'hours'
		AND expected_at BETWEEN now() - interval '7 days 1 hour' AND now() - interval '1 hour'}), 'groups of the last week that did not come');
cmp_ok(sql(q{SELECT value FROM txpipe.metric WHERE name = 'txpipe_missing_groups' AND labels->>'group_name' = 'hours'}), '>=', 163, '... as many as hours');

# --- who sees what ---

sql('CREATE ROLE stranger; CREATE ROLE reader; GRANT USAGE ON SCHEMA txpipe TO reader, stranger; GRANT SELECT ON hours TO reader');
is(metric(q{name ~ 'feed|group|export'}, as => 'stranger'), '', 'a role sees nothing of feeds whose target it may not read');
is(sql(q{SET ROLE reader; SELECT DISTINCT coalesce(labels->>'feed', labels->>'group_name') FROM txpipe.metric WHERE name ~ 'feed|group'}), 'hours',
	'... and of those whose target it may');
is(sql(q{SET ROLE stranger; SELECT count(*) FROM txpipe.metric WHERE name IN ('txpipe_build_info', 'txpipe_workers', 'txpipe_scrape_duration_seconds')}),
	'3', '... and the installation');
is(error_of($node, 'SET ROLE stranger; TABLE txpipe.total_store', db => 'retail')->{state}, '42501', 'the totals themselves are closed');

# --- the text ---

my $evil = qq{a"b\\c\nd};
sql("CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '127.0.0.1:1'); CREATE TABLE events (a text);
	SELECT txpipe.create_stream(\$n\$$evil\$n\$, 'shop', 't', 'events', paused => true)");
is(metric(q{name = 'txpipe_stream_state' AND value = 1}), "txpipe_stream_state paused $evil 1", 'a stream is in one state');
my $text = sql('SELECT txpipe.metrics()');
like($text, qr/^txpipe_stream_rows_total\{stream="a\\"b\\\\c\\nd"\} 0$/m, 'quotes, backslashes and line ends are escaped');
my $server = sql('SHOW server_version');
like($text, qr/^txpipe_build_info\{server_version="\Q$server\E",version="[\d.]+"\} 1$/m, 'versions are labels');
my @names = $text =~ /^# TYPE (\S+)/mg;
is_deeply(\@names, [ sort @names ], 'names are sorted');
is_deeply(\@names, [ $text =~ /^# HELP (\S+) \S/mg ], '... each with one TYPE and one HELP');
is_deeply([ sort { $a cmp $b } @names ], [ split /\n/, sql('SELECT DISTINCT name COLLATE "C" FROM txpipe.metric ORDER BY 1') ], '... and all of the view');
my $steady = q{SELECT md5(regexp_replace(txpipe.metrics(), '(scrape_duration_seconds|_timestamp_seconds\S*) \S+', '', 'g'))};
is(sql($steady), sql("SET extra_float_digits = -5; SET DateStyle = 'German'; $steady"), 'the text is the same again, in any session');
is(sql(q{SELECT count(*) FROM txpipe.metric WHERE name !~ '^txpipe_[a-z0-9_]+$' OR (type = 'counter') <> (name ~ '_total$')
	OR type NOT IN ('counter', 'gauge') OR value IS NULL OR value = 'NaN'}), '0', 'names, types and values keep the rules');
is(sql(q{SELECT string_agg(DISTINCT k, ' ' ORDER BY k) FROM txpipe.metric, jsonb_object_keys(labels) AS k}),
	'feed group_name job server_version state stream version', 'labels are a bounded set');

# --- Prometheus and its exporter, of Debian ---

my $monitoring = "$TxpipeRetail::tree/docs/monitoring";

# Starts a program in the background; its output goes to a file.
my @started;
sub start_program
{
	my ($log, $env, @command) = @_;
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		@ENV{ keys %$env } = values %$env;
		open STDOUT, '>', $log or die "$log: $!";
		open STDERR, '>&', \*STDOUT or die;
		exec @command or die "$command[0]: $!";
	}
	push @started, $pid;
	return;
}

END
{
	my $status = $?;

	kill 'TERM', $_ and waitpid $_, 0 foreach @started;
	$? = $status;
}

# The body of an answer, undef when there is none.
sub get
{
	my ($port, $path) = @_;

	return HTTP::Tiny->new(timeout => 10)->get("http://127.0.0.1:$port$path")->{content};
}

# What Prometheus answers to an expression: a line for each sample, its value and labels.
sub ask_prometheus
{
	my ($port, $expression) = @_;
	my $content = get($port, '/api/v1/query?query=' . $expression =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger);
	my $answer = eval { decode_json($content) } or return '';

	return join "\n", sort map {
		my $sample = $_;
		join ' ', $sample->{value}[1], map { "$_=$sample->{metric}{$_}" } grep { !/^(__name__|instance)$/ } sort keys %{ $sample->{metric} };
	} @{ $answer->{data}{result} };
}

SKIP:
{
	skip 'Debian does not bring prometheus', 8 unless -x "$programs/promtool" && -x "$programs/prometheus-postgres-exporter";
	is(promtool($text, 'check', 'metrics'), '', 'promtool finds nothing in the text');
	like(promtool('', 'check', 'rules', "$monitoring/txpipe_rules.yml"), qr/SUCCESS: 10 rules/, 'it accepts the alert rules');
	like(promtool('', 'test', 'rules', "$monitoring/txpipe_rules_test.yml"), qr/^\s*SUCCESS$/m, 'each alert fires for what it is about');

	sql('CREATE ROLE monitor LOGIN; GRANT USAGE ON SCHEMA txpipe TO monitor; GRANT SELECT ON events, hours TO monitor');
	my ($exporter, $prometheus) = map { PostgreSQL::Test::Cluster::get_free_port() } 1, 2;
	my $dir = $node->basedir . '/prometheus';
	mkdir $dir or die "$dir: $!";
	my $config = slurp_file("$monitoring/prometheus.yml");
	ok($config =~ s/localhost:9187/127.0.0.1:$exporter/ && $config =~ s/(_interval): 30s/$1: 1s/g
		  && $config =~ s{txpipe_rules.yml}{$monitoring/txpipe_rules.yml}, 'the configuration has what the test changes');
	append_to_file("$dir/prometheus.yml", $config);
	like(promtool('', 'check', 'config', "$dir/prometheus.yml"), qr/is valid/, 'promtool accepts it');
	start_program("$dir/exporter.log", {
			DATA_SOURCE_NAME => 'host=' . $node->host . ' port=' . $node->port . ' user=monitor dbname=retail sslmode=disable',
			PG_EXPORTER_DISABLE_DEFAULT_METRICS => 'true', PG_EXPORTER_DISABLE_SETTINGS_METRICS => 'true' },
		"$programs/prometheus-postgres-exporter", "--extend.query-path=$monitoring/postgres_exporter.yml", "--web.listen-address=127.0.0.1:$exporter");
	start_program("$dir/prometheus.log", {}, "$programs/prometheus", "--config.file=$dir/prometheus.yml", "--storage.tsdb.path=$dir/data",
		"--web.listen-address=127.0.0.1:$prometheus");
	is(wait_until('Prometheus has scraped', sub { ask_prometheus($prometheus, 'txpipe_feed_rows_loaded_total') }),
		'5 feed=hours', 'Prometheus has scraped the rows of the feed the role may read, under the name of the metric');
	is(ask_prometheus($prometheus, 'txpipe_stream_state == 1'), "1 state=paused stream=$evil", '... a name with odd characters');
	is(ask_prometheus($prometheus, 'txpipe_runs_total{job="run_hourly",state="succeeded"}'),
		sql(q{SELECT value || ' job=run_hourly state=succeeded' FROM txpipe.metric WHERE name = 'txpipe_runs_total' AND labels @> '{"job": "run_hourly", "state": "succeeded"}'}),
		'... and the job of txpipe as the label job');
}

# --- Grafana ---

# Every panel's query, as Grafana sends it for the last six hours.
my $board = decode_json(slurp_file("$monitoring/grafana_dashboard.json"));
my @queries = map { my $panel = $_; map { [ $panel, $_->{rawSql} ] } @{ $panel->{targets} } } @{ $board->{panels} };
cmp_ok(scalar @queries, '>=', 10, 'the Grafana dashboard has panels');
foreach (@queries)
{
	my ($panel, $query) = @$_;
	$query =~ s/\$__timeFilter\((\w+)\)/$1 BETWEEN now() - interval '6 hours' AND now()/g;
	unlike($query, qr/\$/, "panel $panel->{title}: no macro is left");
	my ($rc, $out, $err) = $node->psql('retail', $query);
	is($rc, 0, '... and its query runs') or diag($err);
}
is(sql("SELECT status FROM txpipe.health()"), sql((map { $_->[1] } grep { $_->[0]{title} eq 'State' } @queries)[0]), 'the state is that of health()');

# --- health ---

my $groups = qr/\d+ groups of files that are not complete; \d+ groups of files that did not come/;
like(sql('SELECT * FROM txpipe.health()'), qr/^t\|degraded\|$groups$/, 'what is missing degrades the health');
sql(q{UPDATE txpipe.file_ledger SET state = 'failed' WHERE state = 'waiting'});
like(sql('SELECT * FROM txpipe.health()'), qr/^t\|degraded\|1 files that failed and are tried again; $groups$/, '... and so does a file that failed');
sql(q{UPDATE txpipe.file_ledger SET state = 'poison' WHERE state = 'failed'});
like(sql('SELECT * FROM txpipe.health()'), qr/^f\|failing\|1 files that failed too often; $groups$/, 'one that failed too often is a failure');
sql(q{UPDATE txpipe.file_ledger SET state = 'waiting' WHERE state = 'poison'});
sql(q{INSERT INTO txpipe.run (job) VALUES ('run_hourly'); UPDATE txpipe.run SET state = 'failed' WHERE state = 'running'});
like(sql('SELECT * FROM txpipe.health()'), qr/^f\|failing\|1 jobs whose last run failed; $groups$/, 'the last run failed');
my $sick = error_of($node, 'SELECT txpipe.health(fail => true)', db => 'retail');
like("$sick->{state} $sick->{message}", qr/^55000 txpipe is not well: 1 jobs whose last run failed/, 'a probe can have that as an error');
is($node->psql('retail', 'SELECT txpipe.health(fail => true)', on_error_stop => 0, extra_params => [ '-v', 'ON_ERROR_STOP=1' ]), 3, '... and as a status');
is(error_of($node, 'SET ROLE stranger; SELECT txpipe.health()', db => 'retail')->{state}, '42501', 'it is for those with EXECUTE');
sql('GRANT EXECUTE ON FUNCTION txpipe.health(boolean), txpipe.health_problems() TO stranger');
is(sql('SET ROLE stranger; SELECT status FROM txpipe.health()'), 'failing', '... whatever else they may read');
sql(q{INSERT INTO txpipe.run (job) VALUES ('run_hourly'); UPDATE txpipe.run SET state = 'succeeded' WHERE state = 'running'});
sql(q{UPDATE txpipe.stream SET state = 'error'});
like(sql('SELECT * FROM txpipe.health()'), qr/^f\|failing\|1 streams in error; /, 'a stream in error');
sql(q{UPDATE txpipe.stream SET state = 'paused', reason = 'on_error is stop'});
like(sql('SELECT * FROM txpipe.health()'), qr/^f\|failing\|1 streams paused by txpipe; /, 'a stream that paused itself');
sql(q{SELECT txpipe.pause_stream(stream) FROM txpipe.stream_status WHERE state <> 'paused'; UPDATE txpipe.stream SET state = 'running'});
sql(q{SELECT txpipe.pause_stream(stream) FROM txpipe.stream});
unlike(sql('SELECT * FROM txpipe.health()'), qr/paused by txpipe/, 'a stream that somebody paused is no fault');
sql(q{UPDATE txpipe.stream SET state = 'running', reason = NULL});
like(sql('SELECT * FROM txpipe.health()'), qr/^t\|degraded\|.*1 running streams, which nobody serves while txpipe is not in shared_preload_libraries/,
	'a stream that nobody serves');
sql(q{UPDATE txpipe.stream SET state = 'paused'});

# --- the cost ---

sub blocks
{
	my ($plan) = sql(q{EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON, TIMING OFF) TABLE txpipe.metric});
	my ($hit) = $plan =~ /"Shared Hit Blocks": (\d+)/;
	my ($read) = $plan =~ /"Shared Read Blocks": (\d+)/;

	return $hit + $read;
}

sub grow_ledger
{
	my ($from, $to) = @_;

	sql(qq{INSERT INTO txpipe.file_ledger (feed_id, group_key, file_name, sha256, bytes, modified_at, state, arrived_at, loaded_at)
		SELECT f.feed_id, 'x' || n, 'x' || n, sha256(('x' || n)::bytea), 1, now(), 'loaded', now() - interval '1 day', now()
		FROM txpipe.feed f, generate_series($from, $to) n WHERE f.feed = 'branches'});
	sql('VACUUM ANALYZE txpipe.file_ledger');
	blocks();
	return blocks();
}

my $few = grow_ledger(1, 10_000);
my $many = grow_ledger(10_001, 100_000);
cmp_ok($many, '<', 1.5 * $few, "it costs what the depth of an index does with a ledger ten times as long ($few and $many blocks)");

log_is_clean($node, qr/total_store|health|is not well/);
$node->stop;
done_testing();
