# A dump of a database with everything in it, restored beside it: the restored one is equal, stands still until it is told to go
# on, and then takes nothing twice. 042_copies has streams while messages come, restores in pieces, and copies by TEMPLATE.
use strict;
use warnings;

use File::Basename qw(basename);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest;

my $broker = start_broker('events:2');
my $node = retail_node('restore', conf => "${CRON_CONF}max_worker_processes = 24\n");
my $base = $node->basedir;
my $sent = 0;

# 100 messages to each partition; every 20th cannot become a row, every 10th is an alert.
sub produce_some
{
	for my $partition (0, 1)
	{
		produce_lines($broker, 'events', $partition,
			map { sprintf '{"id": "%s", "at": "2026-01-01T00:%02d:00Z", "amount": %d}', $_ % 20 ? $_ : "bad $_", $_ % 60, $_ % 10 == 1 ? 5000 : 5 }
			  map { $sent + $_ } 1 .. 100);
		$sent += 100;
	}
	return;
}

sub query
{
	my ($db, $sql) = @_;
	return $node->safe_psql($db, $sql);
}

# What the stream has made of the messages: of n, every 20th is a letter, every 10th an alert.
sub is_exact
{
	my ($db, $when) = @_;

	wait_for_offset($node, 'events', $sent, db => $db);
	is(query($db, 'SELECT (SELECT count(*) FROM events), (SELECT count(DISTINCT id) FROM events), (SELECT count(*) FROM txpipe.dead_letter),
			(SELECT count(*) FROM txpipe.alert), (SELECT sum(n) FROM per_hour)'),
		join('|', (19 * $sent / 20) x 2, $sent / 20, $sent / 10, 19 * $sent / 20), "$db: rows, letters, alerts and windows $when");
	is(query($db, q{SELECT count(*) FROM txpipe.check_window('per_hour')}), '0', 'the window is what its rows say');
	return;
}

# The rows of every table and sequence that a dump has of the extension; OIDs and homes are the database's own.
sub contents
{
	my ($db) = @_;
	my @tables = split /\n/, query($db, q{SELECT r::regclass FROM pg_extension x, unnest(x.extconfig) r WHERE x.extname = 'txpipe' ORDER BY 1});
	my $own = q{'home', 'state', 'reason', 'since', 'epoch', 'owner_oid', 'target_oid'};

	return join "\n", map {
		my $table = $_;
		/_seq$/ ? "$table " . query($db, "SELECT last_value, is_called FROM $table")
		  : map { "$table $_" } split /\n/, query($db, "SELECT to_jsonb(t) - ARRAY[$own] FROM $table t ORDER BY 1")
	} @tables;
}

# What everything else is defined as: the dump without data, and without what changes from one to the next, as do from 18 on
# the names that the server gives to NOT NULL.
sub definitions
{
	my ($db) = @_;
	my ($dump) = run_command([ 'pg_dump', '-h', $node->host, '-p', $node->port, '--schema-only', $db ]);

	return $dump =~ s/^(?:--|\\restrict|\\unrestrict).*\n//mgr =~ s/ CONSTRAINT \w+_not_null\d*(?= NOT NULL)//gr;
}

fresh_database('source');
kafka_server($node, 'shop', $broker, 'source');
query('postgres', 'CREATE EXTENSION pg_cron; CREATE ROLE clerk');
query('source', <<'SQL');
CREATE TABLE events (id bigint, at timestamptz, amount integer);
SELECT txpipe.create_stream('events', 'shop', 'events', 'events', options => '{"batch_rows": 30}');
SELECT txpipe.create_window('per_hour', 'events', 'at', '1 hour', aggregates => '{"n": "count(*)", "total": "sum(amount)"}');
SELECT txpipe.create_rule('large', 'events', 'SELECT id::text AS subject, at AS event_time, id::text AS transaction_id FROM batch WHERE amount > 1000');
CREATE TABLE taken (line text);
SELECT txpipe.create_feed('taken', '^taken/(.*)\.csv$', 'taken');
SELECT txpipe.set_rule('taken', 'empty', 'line = ''''', 'reject', message => 'a line has text');
SELECT txpipe.schedule();
GRANT EXECUTE ON FUNCTION txpipe.health(boolean), txpipe.health_problems() TO clerk;
SQL
my @groups = make_groups(4, '--rows', 400, '--dirty', 15, '--seed', 77);
deliver($_, basename($_)) for @groups[ 0 .. 2 ];
land('taken/1.csv', "line\none\ntwo\n");
run_hourly();
query('source', q{SELECT txpipe.export_b2b(); SELECT txpipe.take_nightly_report()});
query('source', q{SELECT txpipe.unload(file_id) FROM txpipe.file WHERE group_key = 'group2' AND feed = 'sales_transactions'});
produce_some();
is_exact('source', 'before the dump');
query('source', q{SELECT txpipe.pause_stream('events')});
wait_for($node, 'SELECT workers = 0 FROM txpipe.stream_status', 'nobody writes between the dump and what it is compared with', db => 'source');
cmp_ok(query('source', 'SELECT count(*) FROM txpipe.rejected_row'), '>', 10, 'the dump has rejected lines');

# --- dump, restore, compare ---

$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-Fc', '-f', "$base/dump", 'source' ], 'pg_dump');
my ($contents, $definitions, $facts) = (contents('source'), definitions('source'), facts());
query('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-h', $node->host, '-p', $node->port, '-e', '-d', 'restored', "$base/dump" ], 'pg_restore');
same_lines(contents('restored'), $contents, 'what the extension keeps is equal');
same_lines(definitions('restored'), $definitions, 'definitions and privileges are equal');
use_database('restored');
same_lines(facts(), $facts, 'the reports say the same');
is(query('restored', 'SELECT count(*) FROM txpipe.check_warehouse() WHERE NOT ok'), '0', 'the warehouse is whole');
is(query('restored', 'SELECT state, reason FROM txpipe.stream_status'), 'paused|copied', 'the stream is a copy');
is(query('restored', q{SELECT DISTINCT problem FROM txpipe.job_status WHERE job NOT IN ('dashboard', 'curated', 'archive')}),
	'pg_cron does not have this job: SELECT txpipe.schedule() installs it', 'jobs are known, but not run');
is(query('restored', q{SELECT has_function_privilege('clerk', 'txpipe.health(boolean)', 'EXECUTE')}), 't', 'and so are grants on functions');

# --- both go on, each with its own directories ---

mkdir "$base/restored" or die;
for my $name (qw(landing lake export))
{
	system_or_bail('cp', '-a', "$base/$name", "$base/restored/$name");
	query('postgres', "ALTER DATABASE restored SET txpipe.${name}_directory = '$base/restored/$name'");
}
query($_, q{SELECT txpipe.resume_stream('events')}) for 'source', 'restored';
produce_some();
is_exact($_, 'after both went on') for 'source', 'restored';
for my $db ('source', 'restored')
{
	use_database($db, $db eq 'restored' ? "$base/restored" : $base);
	deliver($groups[3], basename($groups[3]));
	deliver($groups[0], 'group50');
	land('taken/2.csv', "line\none\ntwo\n");
	query($db, q{SELECT txpipe.reload(file_id) FROM txpipe.file WHERE group_key = 'group2' AND feed = 'sales_transactions'});
	run_hourly();
	same_lines(facts() =~ s/^total\t(?:read|duplicates).*\n//mgr, totals(@groups) =~ s/^total\t(?:read|duplicates).*\n//mgr,
		"$db: what was there, taken back and new, once");
	is(query($db, q{SELECT string_agg(state, ' ' ORDER BY file_id) FROM txpipe.file WHERE group_key IN ('group50', '2') AND feed IN ('sales_transactions', 'taken')}),
		'duplicate duplicate', 'what was loaded before the dump is known');
	is(query($db, 'SELECT count(*) FROM txpipe.check_warehouse() WHERE NOT ok'), '0', 'the warehouse is whole');
}
is(query('restored', 'SELECT count(*) = count(DISTINCT file_id) AND bool_and(file_id > 0) FROM txpipe.file'), 't', 'new files have new numbers');
$node->stop('fast');
log_is_clean($node, qr/stream "events" is a copy/, qr/terminating .* due to/);
stop_broker($broker);
done_testing();
