# Every bad call has an SQLSTATE of its own, says in one sentence what is wrong, and hints what to do.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('there:1');
my $node   = new_node('errors');
start_node($node);
kafka_server($node, 'shop', $broker);
$node->safe_psql('postgres', <<'SQL');
CREATE SERVER nobody FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE TABLE rows (id bigint, name text);
CREATE TABLE odd (id bigint, place point);
CREATE VIEW no_table AS SELECT 1 AS id;
CREATE ROLE reader;
SQL
produce_lines($broker, 'there', 0, '{"id": 1, "name": "one"}');

my $create = 'SELECT txpipe.create_stream(';

# what, SQL, SQLSTATE, words of the message
my @calls = (
	[ 'unknown server',     "${create}'a', 'nowhere', 'there', 'rows')",     qr/^42704$/, qr/nowhere/ ],
	[ 'unreachable broker', "SELECT * FROM txpipe.topics('nobody')",       qr/^08/,     qr/broker|connect|reach/ ],
	[ 'unreachable broker of a stream', "${create}'a', 'nobody', 'there', 'rows')", qr/^08/, qr/broker|connect|reach/ ],
	[ 'missing topic',      "${create}'a', 'shop', 'not-there', 'rows')", qr/^42704$/, qr/topic.*not-there/ ],
	[ 'unknown stream option', "${create}'a', 'shop', 'there', 'rows', options => '{\"batch_size\": 5}')", qr/^(22023|HV00D|42704)$/, qr/batch_size/ ],
	[ 'option out of range',   "${create}'a', 'shop', 'there', 'rows', options => '{\"batch_rows\": -5}')", qr/^22023$/, qr/batch_rows/ ],
	[ 'unknown server option', "CREATE SERVER s FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'x:1', bootstrap 'x')", qr/^HV00D$/, qr/bootstrap/ ],
	[ 'secret in a server option', "CREATE SERVER s FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'x:1', sasl_password 'hush')", qr/^HV00D$/, qr/sasl_password/ ],
	[ 'option that runs code', "CREATE SERVER s FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'x:1', plugin_library_paths '/x.so')", qr/^HV00D$/, qr/plugin/ ],
	[ 'unknown format',     "${create}'a', 'shop', 'there', 'rows', 'xml')", qr/^22023$/, qr/xml|format/ ],
	[ 'unknown column',     "${create}'a', 'shop', 'there', 'rows', columns => '{\"nix\": \"id\"}')", qr/^42703$/, qr/nix/ ],
	[ 'wrong column type',  "${create}'a', 'shop', 'there', 'rows', columns => '{\"id\": \"kafka_timestamp\"}')", qr/^42804$/, qr/id/ ],
	[ 'unknown target',     "${create}'a', 'shop', 'there', 'missing')",     qr/^42P01$/, qr/missing/, 'by PostgreSQL' ],
	[ 'a view as target',   "${create}'a', 'shop', 'there', 'no_table')",    qr/^42809$/, qr/no_table/ ],
	[ 'unknown stream',     "SELECT txpipe.pause_stream('nix')",           qr/^42704$/, qr/nix/ ],
	[ 'no pg_cron',         "SELECT txpipe.schedule()",                    qr/^(0A000|55000|58P01|42P01|42704)$/, qr/pg_cron/ ],
);

for my $call (@calls)
{
	my ($what, $sql, $state, $words, $by) = @$call;
	my $error = error_of($node, $sql);

	ok($error, "$what: is an error") or next;
	like($error->{state}, $state, "$what: SQLSTATE") or diag($error->{text});
	like($error->{message}, $words, "$what: says what is wrong");
	unlike($error->{message}, qr/\.$|\n|^[A-Z][a-z]/, "$what: one clause");
	# PostgreSQL's own error of a name that is no table comes without one.
	ok(defined $error->{hint}, "$what: has a hint") or diag($error->{text}) unless $by;
	unlike($error->{text}, qr/hush/, "$what: keeps the secret");
}

# Packages are those of the server that runs.
my $major = int($node->safe_psql('postgres', 'SHOW server_version_num') / 10000);
$node->safe_psql('postgres', "CREATE TABLE timed (id bigint, at timestamptz); ${create}'timed', 'shop', 'there', 'timed', paused => true)");
for my $call ([ 'SELECT txpipe.schedule()', 'cron' ],
	[ q{SELECT txpipe.create_window('w', 'timed', 'at', '1 hour', aggregates => '{"n": "hll(id)"}')}, 'hll' ])
{
	my ($sql, $package) = @$call;

	like(error_of($node, $sql)->{hint}, qr/\(Debian package postgresql-$major-$package\)/, "no $package: the hint has the server's package");
}
$node->safe_psql('postgres', q{SELECT txpipe.drop_stream('timed')});

# A missing directory: named, with what to set.
$node->append_conf('postgresql.conf', "txpipe.landing_directory = '/nonexistent/landing'");
$node->restart;
$node->safe_psql('postgres', 'SELECT txpipe.create_warehouse()');
my $error = error_of($node, 'CALL txpipe.run_hourly()');
ok($error, 'missing directory: is an error');
like($error->{message} // '', qr{/nonexistent/landing}, 'missing directory: is named');
like($error->{state} // '', qr/^58P01$/, 'missing directory: SQLSTATE');
ok(defined $error->{hint}, 'missing directory: has a hint');

# check_setup says the same without failing.
is( $node->safe_psql('postgres', q{SELECT count(*) FROM txpipe.check_setup() WHERE NOT ok AND hint IS NULL}),
	'0', 'whatever check_setup finds wrong has a hint');
is( $node->safe_psql('postgres', q{SELECT count(*) > 0 FROM txpipe.check_setup() WHERE NOT ok AND detail LIKE '%/nonexistent/landing%'}),
	't', 'check_setup names the missing directory');

# A stream whose brokers cannot be reached shows it.
$node->safe_psql('postgres', "${create}'later', 'nobody', 'there', 'rows', paused => true)");
$node->safe_psql('postgres', "SELECT txpipe.resume_stream('later')");
wait_for($node, q{SELECT last_error <> '' FROM txpipe.stream_status WHERE stream = 'later'}, 'the trouble is shown');

$node->stop('fast');
ok(!-e '/nonexistent', 'nothing was made on the way');
unlike(slurp_file($node->logfile), qr/DETAIL:.*hush/, 'no secret in a detail of the log');
stop_broker($broker);
done_testing();
