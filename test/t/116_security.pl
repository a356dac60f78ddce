# Logging in to Kafka: SASL, TLS, client certificates, and what a user learns when one of them is wrong.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeKafka;
use TxpipeTest;

need_kafka();
my $broker = start_kafka(security => 1, conf => "auto.create.topics.enable=true\n");
my $node   = new_node('security');
my $at     = $broker->{at};
my %pem    = map { $_ => slurp_file("$broker->{dir}/$_") } qw(ca.pem stranger.pem client.pem client.key);

kafka_do($broker, [ 'create', 'orders', 2 ], [ 'create', 'unseen', 1 ], [ 'create', 'unread', 1 ],
	[ 'deny', 'ann', 'unseen', 'all' ], [ 'allow', 'ann', 'unread', 'all' ], [ 'deny', 'ann', 'unread', 'read' ]);
kafka_send($broker, 'orders', $_ % 2, ["{\"id\": $_}"]) for 1 .. 10;
kafka_send($broker, $_, 0, ['{"id": 1}']) for 'unseen', 'unread';
start_node($node);
$node->safe_psql('postgres', 'CREATE TABLE orders (id integer)');

# CREATE SERVER, and USER MAPPING where there are options for it.
sub server
{
	my ($name, $listener, $options, $mapping) = @_;
	my $list = sub {
		my ($o) = @_;
		return join ', ', map { "$_ '$o->{$_}'" } sort keys %$o;
	};

	$node->safe_psql('postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER txpipe_kafka OPTIONS ("
		  . $list->({ bootstrap_servers => $at->{$listener}, %$options }) . ')');
	$node->safe_psql('postgres', "CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS ("
		  . $list->($mapping) . ')')
	  if $mapping;
	return;
}

my $ann = { sasl_username => 'ann', sasl_password => 'hush' };
my %sasl = (security_protocol => 'sasl_plaintext');
my %tls  = (security_protocol => 'ssl', ssl_ca_pem => $pem{'ca.pem'});

sub sasl
{
	my ($mechanism) = @_;

	return { %sasl, sasl_mechanisms => $mechanism };
}

# --- what works: a stream over each of them reads everything ---

my @good = (
	[ 'plain',   'SASL',       sasl('PLAIN'),         $ann ],
	[ 'scram256', 'SASL',      sasl('SCRAM-SHA-256'), $ann ],
	[ 'scram512', 'SASL',      sasl('SCRAM-SHA-512'), $ann ],
	[ 'tls',     'SSL',        \%tls ],
	[ 'sasltls', 'SASLSSL',    { %tls, security_protocol => 'sasl_ssl', sasl_mechanisms => 'SCRAM-SHA-512' }, $ann ],
	[ 'cert',    'CLIENTCERT', \%tls,
		{ ssl_certificate_pem => $pem{'client.pem'}, ssl_key_pem => $pem{'client.key'} } ],
	[ 'anyname', 'OTHERNAME',  { %tls, ssl_endpoint_identification_algorithm => 'none' } ]);

for my $good (@good)
{
	my $name = $good->[0];

	server(@$good);
	$node->safe_psql('postgres', "CREATE TABLE $name (LIKE orders);
		SELECT txpipe.create_stream('$name', '$name', 'orders', '$name')");
	caught_up($node, $broker, $name, 'orders', 0, 1);
	is($node->safe_psql('postgres', "SELECT count(*), sum(id) FROM $name"), '10|55', "$name: all messages arrive");
	$node->safe_psql('postgres', "SELECT txpipe.drop_stream('$name')");
}

# --- what does not: SQLSTATE, sentence and hint, within seconds, for the one who creates a stream ---

my $wrong = { sasl_username => 'ann', sasl_password => 'wrong-hush' };
my @bad   = (
	[ [ 'badplain', 'SASL', sasl('PLAIN'), $wrong ], '28000', qr/authentication/, qr/Invalid username or password/ ],
	[ [ 'badscram', 'SASL', sasl('SCRAM-SHA-256'), $wrong ], '28000', qr/authentication/, qr/[Ii]nvalid credentials/ ],
	[ [ 'baduser', 'SASL', sasl('SCRAM-SHA-512'), { %$wrong, sasl_username => 'nobody' } ],
		'28000', qr/authentication/, qr/[Ii]nvalid credentials/ ],
	[ [ 'badtlspw', 'SASLSSL', { %tls, security_protocol => 'sasl_ssl', sasl_mechanisms => 'PLAIN' }, $wrong ],
		'28000', qr/authentication/, qr/Invalid username or password/ ],
	[ [ 'wrongca', 'SSL', { %tls, ssl_ca_pem => $pem{'stranger.pem'} } ],
		'08001', qr/secure connection/, qr/certificate verify failed|verif/ ],
	[ [ 'noca', 'SSL', { security_protocol => 'ssl' } ],
		'08001', qr/secure connection/, qr/certificate verify failed|verif/ ],
	[ [ 'othername', 'OTHERNAME', \%tls ], '08001', qr/secure connection/, qr/verif/ ],
	[ [ 'nocert', 'CLIENTCERT', \%tls ], '08001', qr/could not reach/, qr/certificate|alert/ ],
	[ [ 'notls', 'SSL', { security_protocol => 'plaintext' } ], '08001', qr/could not reach/, qr/./ ],
	# Newer librdkafka calls a connection that ends in the handshake one that could not be made.
	[ [ 'tlstoplain', 'PLAINTEXT', \%tls ], '08001', qr/secure connection|could not reach/, qr/./ ]);

for my $bad (@bad)
{
	my ($server, $state, $words, $detail) = @$bad;
	my $name = $server->[0];

	server(@$server);
	my $error = error_of($node, "SELECT txpipe.create_stream('$name', '$name', 'orders', 'orders')");
	ok($error, "$name: is an error") or next;
	is($error->{state}, $state, "$name: SQLSTATE");
	like($error->{message}, $words, "$name: says what is wrong");
	like($error->{detail} // '', $detail, "$name: in the brokers' words");
	unlike($error->{text}, qr/hush|PRIVATE KEY/, "$name: keeps the secret");
	like($error->{hint}, qr/security_protocol/, "$name: hints at the option");
}

# --- permissions ---

my $unseen = error_of($node, "SELECT txpipe.create_stream('unseen', 'scram256', 'unseen', 'orders')");
is($unseen->{state}, '42501', 'a topic that may not be seen: SQLSTATE');
like($unseen->{message}, qr/permit.*"unseen"/, 'it is named');
my $unread = error_of($node, "SELECT txpipe.create_stream('unread', 'scram256', 'unread', 'orders')");
is($unread->{state}, '42501', 'a topic that may be seen and not read: SQLSTATE');
$node->safe_psql('postgres', "SELECT txpipe.create_stream('unread', 'scram256', 'unread', 'orders', paused => true);
	SELECT txpipe.resume_stream('unread')");
wait_for($node, q{SELECT state = 'error' AND reason ~ '^42501.*not permit.*"unread"' FROM txpipe.stream_status},
	'a stream of it says so');
$node->safe_psql('postgres', "SELECT txpipe.drop_stream('unread')");
my $missing = error_of($node, "SELECT txpipe.create_stream('missing', 'scram256', 'missing', 'orders')");
is($missing->{state}, '42704', 'a topic that does not exist is told from one that is not permitted');
unlike(run_command([ 'kcat', '-L', '-b', $broker->{servers} ]), qr/"missing"/, 'and was not created by asking');

# --- a running stream whose password is wrong: says so, waits longer each time, and goes on when it is mended ---

$node->safe_psql('postgres', <<'SQL');
SELECT txpipe.create_stream('orders', 'scram256', 'orders', 'orders', paused => true);
ALTER USER MAPPING FOR CURRENT_USER SERVER scram256 OPTIONS (SET sasl_password 'wrong-hush');
SELECT txpipe.resume_stream('orders');
SQL
wait_for($node, q{SELECT state = 'error' AND reason ~* 'authentication.*invalid credentials' FROM txpipe.stream_status},
	'the stream says that it cannot log in');
my $worker = worker_pid($node);
unlike($node->safe_psql('postgres', 'SELECT reason, last_error FROM txpipe.stream_status'), qr/hush/, 'without the password');
wait_for($node, 'SELECT restarts >= 3 FROM txpipe.stream_status', 'it tries again');
is(worker_pid($node), $worker, 'by the same worker');
$node->safe_psql('postgres', q{ALTER USER MAPPING FOR CURRENT_USER SERVER scram256 OPTIONS (SET sasl_password 'hush')});
caught_up($node, $broker, 'orders', 'orders', 0, 1);
wait_for($node, q{SELECT state = 'running' FROM txpipe.stream_status}, 'it runs again');
is($node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM orders'), '10|55', 'with the right password all messages arrive');
unlike(slurp_file($node->logfile), qr/hush|PRIVATE KEY/, 'no secret is in the log of the server');

# --- rights that are taken from a running stream ---

kafka_do($broker, [ 'deny', 'ann', 'orders', 'read' ]);
kafka_send($broker, 'orders', 0, ['{"id": 11}']);
wait_for($node, q{SELECT state = 'error' AND reason ~ 'not permit.*"orders"' FROM txpipe.stream_status},
	'the stream says that it may not read any more');

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to administrator command/, qr/Kafka|topic/);
stop_kafka($broker);
done_testing();
