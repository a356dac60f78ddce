# The jobs of schedule() with a real pg_cron, from the database it lives in and from others.

use strict;
use warnings;

use File::Basename qw(basename);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest qw(wait_for error_of $CRON_CONF);

my $node = retail_node('schedule', conf => "${CRON_CONF}max_worker_processes = 24\n");

sub home
{
	return $node->safe_psql('postgres', $_[0]);
}

# SQLSTATE, message and hint of what goes wrong in the database of the warehouse.
sub refused
{
	my ($query, %opt) = @_;
	my $error = error_of($node, $query, db => 'retail', %opt) // return 'none';

	return "$error->{state} $error->{message}" . (defined $error->{hint} ? " | $error->{hint}" : '');
}

sub jobs
{
	my ($where) = @_;

	return home(q{SELECT jobname, schedule, database, username FROM cron.job } . ($where // '') . q{ ORDER BY jobname, username});
}

fresh_database();

# --- where pg_cron is not ---

is(refused('SELECT * FROM txpipe.schedule()'),
	q{55000 the extension pg_cron is not installed in database "postgres" | psql -d 'postgres' -c 'CREATE EXTENSION pg_cron'},
	'without the extension nothing is scheduled');
is(sql(q{SELECT job, schedule, problem FROM txpipe.job_status WHERE job = 'ingest'}),
	'ingest||the extension pg_cron is not installed in database "postgres"', 'and the status says why');
is(sql('SELECT count(*), bool_and(removed = 0) FROM txpipe.housekeeping()'), '4|t', 'housekeeping does without');
home('CREATE EXTENSION pg_cron');

# --- install, update, remove ---

home(q{SELECT cron.schedule('txpipe_ingest', '1 1 1 1 *', 'SELECT 1'); SELECT cron.schedule('theirs', '2 2 2 2 *', 'CALL txpipe.run_hourly()')});
is(sql(q{SELECT string_agg(job, ' ' ORDER BY job) FROM txpipe.schedule(b2b => '0 3 * * *', nightly => NULL, dashboard => NULL)}),
	'txpipe_b2b@retail txpipe_housekeeping@retail txpipe_ingest@retail', 'jobs of another database have its name');
my $foreign = "theirs|2 2 2 2 *|postgres|postgres\ntxpipe_ingest|1 1 1 1 *|postgres|postgres";
is(jobs(q{WHERE database <> 'retail'}), $foreign, 'jobs of the database of pg_cron are left alone');
is(jobs(q{WHERE database = 'retail'}), 'txpipe_b2b@retail|0 3 * * *|retail|postgres
txpipe_housekeeping@retail|15 2 * * *|retail|postgres
txpipe_ingest@retail|5 * * * *|retail|postgres', 'and these are for ours');
my $ids = home(q{SELECT jobid FROM cron.job WHERE database = 'retail' AND jobname ~ 'b2b'});
is(sql(q{SELECT string_agg(job, ' ' ORDER BY job) FROM txpipe.schedule(b2b => '0 4 * * *', ingest => NULL, nightly => NULL, dashboard => NULL, housekeeping => NULL)}),
	'txpipe_b2b@retail', 'again with other schedules');
is(home(q{SELECT jobid, schedule FROM cron.job WHERE database = 'retail'}), "$ids|0 4 * * *", 'a job is updated, the others are removed');
like(refused(q{SELECT txpipe.schedule(ingest => '* * * * *', b2b => 'never')}), qr/^22023 invalid schedule: never \| A schedule has five fields/, 'a bad schedule');
is(home(q{SELECT jobid, schedule FROM cron.job WHERE database = 'retail'}), "$ids|0 4 * * *", 'changes nothing');
my $answer = sql(q{BEGIN; SELECT count(*) FROM txpipe.unschedule(); ROLLBACK});
is($answer . jobs(q{WHERE database = 'retail'}), '1', 'ROLLBACK does not bring jobs of another database back');

# --- another role ---

home(q{CREATE ROLE alice; REVOKE CONNECT ON DATABASE postgres FROM PUBLIC; REVOKE USAGE ON SCHEMA cron FROM PUBLIC});
sql(q{SELECT txpipe.schedule(dashboard => NULL, nightly => NULL); GRANT USAGE ON SCHEMA txpipe TO alice});
my $as_alice = q{SET ROLE alice; SELECT string_agg(job, ' ') FROM txpipe.schedule(ingest => '7 * * * *', b2b => NULL, nightly => NULL, housekeeping => NULL, dashboard => NULL)};
like(refused($as_alice), qr/^42501 permission denied for function/, 'not everybody may schedule');
sql(q{GRANT EXECUTE ON FUNCTION txpipe.schedule, txpipe.unschedule, txpipe.change_jobs, txpipe.require_cron, txpipe.ask_cron, txpipe.note_schedule TO alice});
like(refused($as_alice), qr/^28000 role "alice" may not log in, .* \| ALTER ROLE alice LOGIN/, 'who cannot log in has no jobs');
home('ALTER ROLE alice LOGIN');
is(refused($as_alice), '42501 role "alice" may not connect to "postgres", the database of pg_cron | GRANT CONNECT ON DATABASE postgres TO alice;',
	'nor who may not connect to the database of pg_cron');
home('GRANT CONNECT ON DATABASE postgres TO alice');
is(refused($as_alice), '42501 role "alice" may not use pg_cron | In database "postgres": GRANT USAGE ON SCHEMA cron TO alice;', 'nor who may not use it');
home('GRANT USAGE ON SCHEMA cron TO alice');
is(refused($as_alice), '42501 role "alice" may not schedule jobs in other databases'
	  . ' | In database "postgres": GRANT EXECUTE ON FUNCTION cron.schedule_in_database TO alice;', 'nor in other databases');
home('GRANT EXECUTE ON FUNCTION cron.schedule_in_database TO alice');
is(sql($as_alice), 'txpipe_ingest@retail', 'with all that a role has jobs of its own');
is(sql(q{SET ROLE alice; SELECT role_name, schedule FROM txpipe.job_status WHERE job IN ('ingest', 'b2b') ORDER BY job}),
	"postgres|0 1 * * *\nalice|7 * * * *", 'it sees what is scheduled, and what pg_cron says of its own');
is(sql(q{SET ROLE alice; SELECT * FROM txpipe.unschedule()}), 'txpipe_ingest@retail', 'it removes its own');
is(jobs(q{WHERE database = 'retail' AND username = 'alice'}) . jobs(q{WHERE jobname = 'txpipe_ingest@retail'}), 'txpipe_ingest@retail|5 * * * *|retail|postgres',
	'and no other');
is(sql(q{SET ROLE pg_monitor; SELECT problem FROM txpipe.job_status WHERE job = 'b2b'}), 'what pg_cron knows is not for this role', 'others see what was scheduled');
is(home(q{CREATE EXTENSION txpipe; SELECT count(*) FROM cron.job}), '5', 'five jobs');
is(error_of($node, q{UPDATE cron.job SET database = 'template1' WHERE jobname = 'txpipe_ingest'; SELECT txpipe.schedule()})->{state}, '42710',
	'a name that another database has is not taken over');

# --- while another session loads ---

deliver($_, basename($_)) foreach make_groups(2, '--rows', 60, '--dirty', 0);
sql('CALL txpipe.run_hourly(1)');
my ($in, $out) = ("BEGIN; SELECT 'held' FROM txpipe.feed FOR NO KEY UPDATE;\n", '');
my $other = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('retail') ], '<', \$in, '>', \$out);
$other->pump until $out =~ /held/ || !$other->pumpable;
$node->psql('retail', 'CALL txpipe.run_hourly()', stderr => \my $notice);
is($notice =~ s/^psql:<stdin>:1: //r, 'NOTICE:  1 groups are left to another session, which is loading', 'a run does not wait for another one');
is(sql(q{SELECT last_state, last_message FROM txpipe.job_status WHERE job = 'ingest'}), 'skipped|another session is loading 1 groups', 'it says that it did nothing');
$in = "\\q\n";
$other->finish;

# --- they run ---

sql(q{SELECT txpipe.schedule(ingest => '* * * * *', b2b => '* * * * *', housekeeping => '* * * * *', nightly => '30 1 * * *', dashboard => NULL)});
wait_for($node, q{SELECT string_agg(last_state, ' ') FROM txpipe.job_status WHERE job IN ('ingest', 'b2b', 'housekeeping')}, 'the jobs have run',
	value => 'succeeded succeeded succeeded', db => 'retail', timeout => 180);
is(sql(q{SELECT count(*), bool_and(state IN ('loaded', 'duplicate')) FROM txpipe.file}), '6|t', 'pg_cron has loaded the files');
is(sql(q{SELECT string_agg(job, ' ') FROM txpipe.job_status WHERE missed}), '', 'no run was missed');

# Scheduled two days ago and not run since; run once, long ago.
sql(q{SELECT txpipe.schedule(ingest => '0 0 1 1 *', b2b => '0 0 1 1 *', nightly => '30 1 * * *', housekeeping => '0 0 1 1 *', dashboard => NULL);
      UPDATE txpipe.scheduled_job SET scheduled_at = now() - interval '2 days'});
is(sql(q{SELECT job, last_due_at > now() - interval '25 hours', next_due_at > now() FROM txpipe.job_status WHERE missed}), 'nightly|t|t', 'a run was missed');
home(q{SELECT cron.unschedule(jobid) FROM cron.job WHERE database = 'retail' AND jobname ~ 'nightly'});
is(sql(q{SELECT active IS NULL, problem FROM txpipe.job_status WHERE job = 'nightly'}), 't|pg_cron does not have this job: SELECT txpipe.schedule() installs it',
	'a job was removed behind our back');

# --- what goes with time ---

home(q{UPDATE cron.job_run_details SET end_time = now() - interval '40 days';
       INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, end_time)
       SELECT 99, nextval('cron.runid_seq'), d, u, c, 'succeeded', now() - interval '40 days'
       FROM (VALUES ('retail', 'alice', 'CALL txpipe.run_hourly()'), ('postgres', 'postgres', 'CALL txpipe.run_hourly()'),
                    ('retail', 'postgres', 'SELECT 1')) v(d, u, c)});
sql(q{DELETE FROM txpipe.run; INSERT INTO txpipe.run (job, state, started_at, finished_at)
      SELECT 'run_hourly', 'succeeded', now() - i * interval '10 days', now() - i * interval '10 days' FROM generate_series(5, 1, -1) i;
      INSERT INTO txpipe.run (job, state, started_at, finished_at) VALUES ('export_b2b', 'succeeded', now() - interval '1 year', now() - interval '1 year')});
my $ours = home(q{SELECT count(*) FROM cron.job_run_details WHERE jobid <> 99});
cmp_ok($ours, '>=', 3, 'pg_cron has records');
is(sql(q{SELECT what, removed FROM txpipe.housekeeping('25 days')}), "runs|3\nrecords of streams|0\nconfirmed live sales|0\nrecords of pg_cron|$ours", 'housekeeping removes old records');
is(home(q{SELECT count(*), count(*) FILTER (WHERE jobid = 99) FROM cron.job_run_details}), '3|3', 'of its own jobs only');
is(sql(q{SELECT job, state, message, count(*) FROM txpipe.run GROUP BY 1, 2, 3 ORDER BY 1}),
	"export_b2b|succeeded||1\nhousekeeping|succeeded|3 runs, 0 records of streams, 0 confirmed live sales, $ours records of pg_cron removed|1\nrun_hourly|succeeded||2",
	'and keeps the last run of each job');
like(refused(q{SELECT txpipe.housekeeping('-1 day')}), qr/^22023 /, 'not from the future');

# --- names of roles, databases and jobs that are not harmless ---

sql('SELECT txpipe.unschedule()');
home('DELETE FROM cron.job');
my $odd = qq{o"d'd; DROP TABLE loot; -- \xC3\xA9};
my $quoted = home("SELECT quote_ident(\$e\$$odd\$e\$)");
home("CREATE TABLE loot (); CREATE ROLE $quoted LOGIN");
home("CREATE DATABASE $quoted OWNER $quoted");
home("GRANT CONNECT ON DATABASE postgres TO $quoted; GRANT USAGE ON SCHEMA cron TO $quoted; GRANT EXECUTE ON FUNCTION cron.schedule_in_database TO $quoted");
$node->safe_psql($odd, "CREATE EXTENSION txpipe; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO $quoted");
is($node->safe_psql($odd, "SET ROLE $quoted; SELECT string_agg(job, ' ') FROM txpipe.schedule(b2b => NULL, nightly => NULL, dashboard => NULL, ingest => NULL)"),
	"txpipe_housekeeping\@$odd", 'a database and a role with an odd name');
is(jobs(), "txpipe_housekeeping\@$odd|15 2 * * *|$odd|$odd", '... are those of the job');
home("SELECT cron.schedule(\$e\$</td><b>$odd\$e\$, '1 1 1 1 *', 'CALL txpipe.run_hourly()')");
is(sql(q{SELECT count(*) FILTER (WHERE schedule IS NOT NULL) FROM txpipe.job_status}), '0', 'jobs of another database are not shown');
is($node->safe_psql($odd, 'SELECT job, role_name FROM txpipe.job_status WHERE schedule IS NOT NULL'), "housekeeping|$odd", '... ours are');
like($node->safe_psql($odd, 'SELECT txpipe.dashboard()'), qr/<\/html>/, '... and on the page');
is($node->safe_psql($odd, "SET ROLE $quoted; SELECT count(*) FROM txpipe.unschedule()"), '1', '... and removed');
is(home('SELECT count(*) FROM loot') . jobs(q{WHERE database <> 'postgres'}), '0', 'nothing of the names was executed');

# --- no worker is free ---

$node->append_conf('postgresql.conf', "max_worker_processes = 3\n");
$node->restart;
like(refused('SELECT txpipe.schedule()'), qr/^53400 no background worker slot is free to reach pg_cron in database "postgres" \| Try again, or raise max_worker_processes/,
	'without a background worker');

$node->stop;
done_testing();
