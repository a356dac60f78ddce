# Secrets: who may write them, who gets them, and that they show nowhere else.
#
# The brokers are a listener of this file that asks for a log-in by SASL PLAIN, writes down who came with
# what, and refuses.
use strict;
use warnings;

use IO::Socket::INET;
use POSIX qw(mkfifo);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my %others;    # our processes, to be ended with the test
my $dir   = PostgreSQL::Test::Utils::tempdir();
my $login = start_login("$dir/logins");
my $token = join '', map { ('a' .. 'z', 0 .. 9)[ rand 36 ] } 1 .. 24;
my $hex   = unpack 'H*', $token;
my %secret = map { $_ => "$_$token" } qw(inline file rotated key failing);

my $node = new_node('secrets', conf => <<'CONF');
log_min_messages = debug5
log_min_error_statement = error
log_statement = all
log_duration = on
CONF
start_node($node);

# Statements that hold a secret in clear are the user's own choice; the log of those is switched off.
sub quietly { return $node->safe_psql('postgres', "SET log_statement = none; SET log_duration = off;\n$_[0]") }
sub sql     { return $node->safe_psql('postgres', $_[0]) }
sub as      { return $node->safe_psql('postgres', $_[1], extra_params => [ '-U', $_[0] ]) }
sub error_as { return error_of($node, $_[1], extra_params => [ '-U', $_[0] ]) // { state => 'none', text => '', message => '' } }

# --- a broker that asks who is there ---

sub start_login
{
	my ($logins) = @_;
	my $listen = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		$SIG{CHLD} = 'IGNORE';
		while (my $client = $listen->accept)
		{
			next if fork();
			serve_login($client, $logins);
			POSIX::_exit(0);
		}
		POSIX::_exit(0);
	}
	$others{$pid} = 1;
	return { servers => '127.0.0.1:' . $listen->sockport, logins => $logins };
}

sub take
{
	my ($client, $n) = @_;
	my $got = '';

	while (length $got < $n)
	{
		sysread($client, $got, $n - length $got, length $got) or return;
	}
	return $got;
}

sub serve_login
{
	my ($client, $logins) = @_;
	my $known = join '', map { pack 'n3', @$_ } [ 3, 0, 1 ], [ 17, 0, 1 ], [ 18, 0, 0 ], [ 36, 0, 0 ];

	while (defined(my $size = take($client, 4)))
	{
		my $request = take($client, unpack 'N', $size) // return;
		my ($key, $version, $id, $body) = unpack 'n n N n/a* X0 a*', $request;
		my $answer;

		if ($key == 18)
		{
			$answer = pack('n N', $version > 0 ? 35 : 0, 4) . $known;
		}
		elsif ($key == 17)
		{
			$answer = pack 'n N n/a*', 0, 1, 'PLAIN';
		}
		else
		{
			my ($client_id, $auth) = unpack 'x8 n/a* N/a*', $request;
			my (undef, $user, $password) = split /\0/, $auth, 3;
			open my $fh, '>>', $logins or return;
			syswrite $fh, "$user=$password\n";
			close $fh;
			$answer = pack 'n n/a* N', 58, 'not today', 0;
		}
		syswrite $client, pack('N N', 4 + length $answer, $id) . $answer;
	}
	return;
}

END
{
	my $status = $?;

	for my $pid (keys %others)
	{
		kill 'KILL', $pid;
		waitpid($pid, 0);
	}
	$? = $status;
}

sub logins { return -e $login->{logins} ? slurp_file($login->{logins}) : '' }

# What the last log-in of topics() as this role was.
sub login_of
{
	my ($role, $server) = @_;

	unlink $login->{logins};
	my $error = error_as($role, "SELECT * FROM txpipe.topics('$server')");
	my ($who) = logins() =~ /^(.+)$/m;
	return $who // "none: $error->{state}";
}

# --- the closed list of properties ---

# As options have them; each is tried with dots, as librdkafka has it, too.
my @forbidden = qw(plugin_library_paths sasl_kerberos_kinit_cmd sasl_kerberos_keytab sasl_kerberos_principal
  sasl_oauthbearer_config sasl_oauthbearer_token_endpoint_url enable_sasl_oauthbearer_unsecure_jwt
  ssl_engine_location ssl_engine_id ssl_providers ssl_ca_location ssl_crl_location ssl_key_location
  ssl_certificate_location ssl_keystore_location ssl_keystore_password debug log_level interceptors group_id
  enable_auto_commit auto_offset_reset offset_store_path metadata_broker_list statistics_interval_ms);
for my $plain (@forbidden)
{
	(my $property = $plain) =~ tr/_/./;
	for my $name ($property, $plain)
	{
		my $server = error_as('postgres', qq{CREATE SERVER bad FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'x:1', "$name" '/x')});
		my $mapping = error_as('postgres', qq{CREATE SERVER bad FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'x:1');
			CREATE USER MAPPING FOR PUBLIC SERVER bad OPTIONS ("$name" '/x')});
		is("$server->{state} $mapping->{state}", 'HV00D HV00D', "$name is refused");
		sql('DROP SERVER IF EXISTS bad CASCADE');
		last if $name eq $plain;
	}
}

# Without a mechanism librdkafka would run kinit.
is(error_as('postgres', "CREATE SERVER bad FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'x:1', security_protocol 'SASL_PLAINTEXT')")->{state},
	'HV00J', 'log-in needs a mechanism');
is(error_as('postgres', "CREATE SERVER bad FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'x:1', sasl_mechanism 'GSSAPI')")->{state},
	'22023', 'GSSAPI is not one');

# --- every option is librdkafka's, within its range ---

my $broker = start_broker('there:1');
kafka_server($node, 'shop', $broker);
for my $option (split /\n/, sql(q{SELECT name FROM txpipe.option WHERE applies_to = 'server' AND type = 'integer'}))
{
	my $error = error_as('postgres', "ALTER SERVER shop OPTIONS (ADD $option '-1')");
	my ($min, $max) = ($error->{hint} // '') =~ /from (\d+) to (\d+)/ or die "$option: no range";
	my @failed;

	# The longest pauses and waits are no error, nor is what librdkafka refuses together with its defaults.
	for my $value ($min, $max)
	{
		sql("ALTER SERVER shop OPTIONS (ADD $option ' 0$value')");
		my $refused = error_as('postgres', "SELECT * FROM txpipe.topics('shop')");
		push @failed, $refused->{text}
		  if $refused->{state} =~ /^(HV00D|22023)$/ && ($refused->{detail} // '') !~ /must be/;
		sql("ALTER SERVER shop OPTIONS (DROP $option)");
	}
	is("@failed", '', "$option from $min to $max");
}
for my $option (split /\n/, sql(q{SELECT name || ' ' || word FROM txpipe.option, regexp_split_to_table(CASE type WHEN 'boolean' THEN 'on no' ELSE upper(unit) END, ' ') AS word
		WHERE applies_to = 'server' AND (type = 'boolean' OR type = 'choice' AND name NOT LIKE 'sasl%' AND name <> 'security_protocol') AND word <> 'V6'}))
{
	my ($name, $word) = split / /, $option;
	sql("ALTER SERVER shop OPTIONS (ADD $name '$word')");
	is(sql("SELECT topic FROM txpipe.topics('shop')"), 'there', "$name $word");
	sql("ALTER SERVER shop OPTIONS (DROP $name)");
}

# --- whose mapping is used ---

sql(<<"SQL");
CREATE SERVER guarded FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '$login->{servers}',
    "security.protocol" 'SASL_PLAINTEXT', sasl_mechanism 'PLAIN');
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE reader LOGIN;
CREATE ROLE filer LOGIN IN ROLE pg_read_server_files;
CREATE ROLE keeper LOGIN;
GRANT USAGE ON SCHEMA txpipe TO PUBLIC;
GRANT EXECUTE ON FUNCTION txpipe.topics, txpipe.create_stream, txpipe.resume_stream TO PUBLIC;
GRANT USAGE ON FOREIGN SERVER guarded TO alice, bob, filer;
GRANT ALL ON SCHEMA public TO alice;
SQL
quietly(<<"SQL");
CREATE USER MAPPING FOR alice SERVER guarded OPTIONS (sasl_username 'alice', sasl_password '$secret{inline}');
CREATE USER MAPPING FOR postgres SERVER guarded OPTIONS (sasl_username 'boss', sasl_password '$secret{inline}');
SQL
for my $call ("* FROM txpipe.topics('guarded')", "txpipe.create_stream('r', 'guarded', 't', 'pg_class', paused => true)")
{
	like(error_as('reader', "SELECT $call")->{text}, qr/42501: permission denied for foreign server guarded/, 'without USAGE: refused');
}
is(login_of('alice', 'guarded'), "alice=$secret{inline}", 'a role logs in with its mapping');
is(login_of('bob', 'guarded'), 'none: 22023', 'another role does not, and has none');
sql("CREATE USER MAPPING FOR PUBLIC SERVER guarded OPTIONS (sasl_username 'everybody', sasl_password 'open')");
is(login_of('bob', 'guarded'), 'everybody=open', 'but has the one of PUBLIC');
is(login_of('alice', 'guarded'), "alice=$secret{inline}", 'which does not go before its own');

as('alice', <<'SQL');
CREATE TABLE orders (id bigint);
SELECT txpipe.create_stream('orders', 'guarded', 't', 'orders', paused => true);
SQL
unlink $login->{logins};
is(error_as('postgres', q{CALL txpipe.consume('orders', timeout => '3 s')})->{state}, '28000', 'a refused log-in has its SQLSTATE');
like(logins(), qr/^(alice=$secret{inline}\n)+$/, 'a stream logs in as its owner, whoever calls');

# --- who may name files ---

my $file    = secret_file("$dir/password", "$secret{file}\n");
my $by_file = "OPTIONS (sasl_username 'alice', sasl_password_file '$file')";
as('alice', 'DROP USER MAPPING FOR alice SERVER guarded');
is(error_as('alice', "CREATE USER MAPPING FOR alice SERVER guarded $by_file")->{state},
	'42501', 'a file cannot be named by just anybody');
sql("GRANT USAGE ON FOREIGN DATA WRAPPER txpipe_kafka TO alice, keeper");
is(error_as('alice', "CREATE SERVER mine FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'x:1', ssl_ca_file '$file')")->{state},
	'42501', '... nor for a server');
as('filer', "CREATE USER MAPPING FOR filer SERVER guarded OPTIONS (sasl_username 'filer', sasl_password_file '$file')");
is(login_of('filer', 'guarded'), "filer=$secret{file}", 'a reader of server files may; the password is what the file holds');
sql("CREATE USER MAPPING FOR alice SERVER guarded $by_file");
is(login_of('alice', 'guarded'), "alice=$secret{file}", 'a role uses what was written for it');
my $error = error_as('alice', q{ALTER USER MAPPING FOR alice SERVER guarded OPTIONS (SET sasl_username 'root')});
is($error->{state}, '42501', '... and does not change options beside it');
like($error->{hint}, qr/superuser.*drop/, '... and is told what to do');
is(error_as('alice', q{ALTER USER MAPPING FOR alice SERVER guarded OPTIONS (DROP sasl_password_file)})->{state},
	'none', '... but may drop it');
sql("ALTER USER MAPPING FOR alice SERVER guarded OPTIONS (ADD sasl_password_file '$file')");

# Who owns a server chooses the brokers: he would be sent what the file holds.
sql('ALTER SERVER guarded OWNER TO keeper');
is(login_of('alice', 'guarded'), 'none: 42501', 'a server of another owner does not get the file');
sql('ALTER SERVER guarded OWNER TO filer');
is(login_of('alice', 'guarded'), "alice=$secret{file}", '... unless he may read the files of the server');
sql('ALTER SERVER guarded OWNER TO postgres');

# --- what is no file of a secret ---

sub refused
{
	my ($what, $path, $state, $detail) = @_;

	sql("ALTER USER MAPPING FOR alice SERVER guarded OPTIONS (SET sasl_password_file '$path')");
	my $e = error_as('alice', "SELECT * FROM txpipe.topics('guarded')");
	is($e->{state}, $state, "$what: SQLSTATE") or diag($e->{text});
	like($e->{detail} // '', $detail, "$what: reason");
	like($e->{message}, qr/sasl_password_file/, "$what: option");
	unlike($e->{text}, qr/\Q$dir\E|$token/, "$what: neither path nor content");
	return;
}

symlink $file, "$dir/link";
mkfifo("$dir/fifo", 0600);
refused('missing file', "$dir/missing", '58P01', qr/No such file/);
refused('a file others may read', secret_file("$dir/open", "x$token", 0604), 'F0000', qr/permissions/);
refused('a file the group may write', secret_file("$dir/shared", "x$token", 0660), 'F0000', qr/permissions/);
refused('a symbolic link', "$dir/link", 'F0000', qr/symbolic link/);
refused('a FIFO', "$dir/fifo", 'F0000', qr/regular/);
refused('a directory', $dir, 'F0000', qr/regular/);
refused('an empty file', secret_file("$dir/empty", "\n"), 'F0000', qr/empty/);
refused('zero bytes', secret_file("$dir/zero", "x\0$token"), 'F0000', qr/zero/);
refused('a huge file', secret_file("$dir/huge", $token x 4000), 'F0000', qr/64 kB/);
sql("ALTER USER MAPPING FOR alice SERVER guarded OPTIONS (SET sasl_password_file '" . secret_file("$dir/group", "two\nlines\n", 0640) . "')");
unlink $login->{logins};
error_as('alice', "SELECT * FROM txpipe.topics('guarded')");
like(logins(), qr/^alice=two\nlines$/m, 'a file the group may read is one; the last newline is cut, no other');

for my $path ('password', 'dir/../password', '/etc/../etc/passwd', '/tmp/..', '~/x')
{
	is(error_as('postgres', "ALTER USER MAPPING FOR alice SERVER guarded OPTIONS (SET sasl_password_file '$path')")->{state},
		'22023', "no path: $path");
}
is(error_as('postgres', "ALTER USER MAPPING FOR alice SERVER guarded OPTIONS (SET sasl_password_file '/run/..data/x')")->{state},
	'none', 'two dots may begin a name');

# --- the log of statements that fail ---

sub fails
{
	my ($what, $options, $state) = @_;
	my $e = error_of($node, "SET log_statement = none; SET log_duration = off;
		ALTER USER MAPPING FOR alice SERVER guarded OPTIONS ($options)");
	is($e->{state}, $state, "$what: SQLSTATE");
	unlike($e->{text} =~ s/^LINE.*//mr, qr/$token/, "$what: the message keeps the secret");
	return;
}

fails('an unknown option', "DROP sasl_password_file, ADD sasl_password '$secret{failing}', ADD nonsense 'x'", 'HV00D');
fails('an unknown option first', "ADD nonsense 'x', ADD ssl_key_pem '$secret{failing}'", 'HV00D');
fails('a secret as the value of an unknown option', "ADD password '$secret{failing}'", 'HV00D');
fails('the password twice', "ADD sasl_password '$secret{failing}'", '22023');
fails('a password in two spellings', qq{DROP sasl_password_file, ADD sasl_password '$secret{failing}', ADD "sasl.password" 'x'}, '22023');
fails('a secret for a path', "SET sasl_password_file '$secret{failing}'", '22023');
is(error_as('alice', "SET log_statement = none; ALTER USER MAPPING FOR alice SERVER guarded OPTIONS (ADD ssl_key_pem '$secret{failing}')")->{state},
	'42501', 'a mapping with a file: SQLSTATE');

# Where a secret does not belong.
$error = error_of($node, "SET log_statement = none; SET log_duration = off;
	CREATE SERVER bad FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'x:1', sasl_password '$secret{failing}')");
like($error->{hint}, qr/user mapping/, 'a password for a server: told where it belongs');
is($error->{state}, 'HV00D', 'a password for a server: SQLSTATE');
like(error_as('postgres', q{ALTER USER MAPPING FOR alice SERVER guarded OPTIONS (ADD security_protocol 'ssl')})->{hint},
	qr/belongs to the server/, 'a protocol for a mapping: told where it belongs');

# --- streams at work, with secrets of each kind ---

sql(<<"SQL");
ALTER USER MAPPING FOR alice SERVER guarded OPTIONS (SET sasl_password_file '$file');
CREATE SERVER tls FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '$login->{servers}', security_protocol 'ssl');
CREATE SERVER tls_file FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '$login->{servers}', security_protocol 'ssl');
CREATE SERVER plain FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '$login->{servers}', security_protocol 'sasl_plaintext', sasl_mechanism 'plain');
CREATE SERVER lost FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '$login->{servers}', security_protocol 'sasl_plaintext', sasl_mechanism 'PLAIN');
GRANT USAGE ON FOREIGN SERVER tls, tls_file, plain, lost TO alice;
CREATE USER MAPPING FOR alice SERVER tls_file OPTIONS (ssl_key_file '${\ secret_file("$dir/key", "-----BEGIN PRIVATE KEY-----\n$secret{key}\n-----END PRIVATE KEY-----\n")}',
    ssl_certificate_file '${\ secret_file("$dir/certificate", "-----BEGIN CERTIFICATE-----\n$secret{key}\n-----END CERTIFICATE-----\n", 0644)}');
CREATE USER MAPPING FOR alice SERVER lost OPTIONS (sasl_username 'alice', sasl_password_file '$dir/lost');
SQL
quietly(<<"SQL");
CREATE USER MAPPING FOR alice SERVER tls OPTIONS (ssl_key_pem '$secret{key}', ssl_key_password '$secret{inline}');
CREATE USER MAPPING FOR alice SERVER plain OPTIONS (sasl_username 'plain', sasl_password '$secret{inline}');
SQL
my %stream = (orders => 'guarded', by_pem => 'tls', by_file => 'tls_file', inline => 'plain', lost => 'lost');
for my $name (sort keys %stream)
{
	as('alice', "SELECT txpipe.create_stream('$name', '$stream{$name}', 't', 'orders', paused => true)") if $name ne 'orders';
	as('alice', "SELECT txpipe.resume_stream('$name')");
	wait_for($node, "SELECT last_error <> '' FROM txpipe.stream_status WHERE stream = '$name'", "$name: the trouble is shown");
}
like(sql(q{SELECT last_error FROM txpipe.stream_status WHERE stream = 'orders'}), qr/^28000/, 'a refused log-in is the trouble');
like(sql(q{SELECT last_error FROM txpipe.stream_status WHERE stream = 'lost'}), qr/^58P01.*sasl_password_file.*No such file/, 'a missing file is, too');

# --- TLS from files: a broker that asks for a certificate, too ---

sub openssl { return system_or_bail('openssl', @_) }

# $name.key and $name.pem, signed by the authority (which signs itself).
sub certificate
{
	my ($name, @key) = @_;

	openssl('req', '-new', '-newkey', 'rsa:2048', @key, '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr",
		'-subj', "/CN=$name");
	openssl('x509', '-req', '-in', "$dir/$name.csr", '-out', "$dir/$name.pem", '-days', '2',
		'-CA', "$dir/authority.pem", '-CAkey', "$dir/authority.key", '-CAcreateserial');
	chmod 0600, "$dir/$name.key";
	return;
}

openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', "$dir/authority.key", '-out', "$dir/authority.pem",
	'-days', '2', '-subj', '/CN=authority');
certificate('localhost', '-nodes');
certificate('client', '-passout', "file:" . secret_file("$dir/key_password", "$secret{key}\n"));

my $tls_port = PostgreSQL::Test::Cluster::get_free_port();
pipe(my $stdin, my $keep) or die "pipe: $!";
my $tls = fork() // die "fork: $!";
if ($tls == 0)
{
	open STDIN,  '<&', $stdin          or die;
	open STDOUT, '>',  "$dir/tls.out" or die;
	open STDERR, '>&', \*STDOUT       or die;
	close $keep;
	exec 'openssl', 's_server', '-accept', "127.0.0.1:$tls_port", '-cert', "$dir/localhost.pem", '-key',
	  "$dir/localhost.key", '-CAfile', "$dir/authority.pem", '-Verify', '1', '-verify_return_error';
}
$others{$tls} = 1;
wait_until('the TLS server listens', sub { -e "$dir/tls.out" && slurp_file("$dir/tls.out") =~ /ACCEPT/ });
sql(<<"SQL");
CREATE SERVER mutual FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'localhost:$tls_port',
    security_protocol 'SSL', broker_address_family 'v4', ssl_cipher_suites 'HIGH', ssl_ca_file '$dir/authority.pem');
CREATE SERVER strange FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'localhost:$tls_port',
    security_protocol 'SSL', broker_address_family 'v4');
CREATE USER MAPPING FOR alice SERVER mutual OPTIONS (ssl_certificate_file '$dir/client.pem',
    ssl_key_file '$dir/client.key', ssl_key_password_file '$dir/key_password');
GRANT USAGE ON FOREIGN SERVER mutual, strange TO alice;
SQL
is(error_as('alice', "SELECT * FROM txpipe.topics('strange')")->{message},
	qq{no secure connection to the Kafka brokers at "localhost:$tls_port"}, 'brokers of an unknown authority are not trusted');
as('alice', q{SELECT txpipe.create_stream('mutual', 'mutual', 't', 'orders', paused => true); SELECT txpipe.resume_stream('mutual')});
wait_until('the stream shows its certificate', sub { slurp_file("$dir/tls.out") =~ /^subject=CN ?= ?client$/m });
pass('certificate, key and its password are read from files');

# --- a new secret needs no ALTER ---

secret_file("$dir/password", $secret{rotated});
unlink $login->{logins};
wait_until('the stream comes with the new password', sub { logins() =~ /^alice=$secret{rotated}$/m });
pass('a rotated password is read');

# --- nobody else sees any of it ---

my $worker = worker_pid($node);
my $child  = child_pid($worker);
ok($child, 'the child is there');

# Of a process and its descendants: what anybody on the machine may look at.
sub look_at
{
	my ($pid, $seen) = @_;

	for my $name ("/proc/$pid/cmdline", "/proc/$pid/environ")
	{
		open my $fh, '<', $name or next;
		local $/;
		$seen->{$name} = <$fh> // '';
		close $fh;
	}
	for my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $fh, '<', $stat or next;
		look_at($1, $seen) if (<$fh> // '') =~ /^(\d+) \(.*\) [^Z] $pid /;
		close $fh;
	}
	return $seen;
}

my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
my $seen = look_at($postmaster, {});
ok(exists $seen->{"/proc/$child/cmdline"}, 'the processes are seen, the child is one of them');
is(join(' ', grep { $seen->{$_} =~ /$token/ } sort keys %$seen), '', 'no process has a secret in its arguments or environment');
is(join(' ', grep { /^\Q$dir\E/ } map { readlink($_) // '' } glob "/proc/$child/fd/* /proc/$worker/fd/*"),
	'', 'no file with a secret stays open');

# Every relation of the extension and what PostgreSQL shows of servers, mappings and activity.
my @relations = split /\n/, sql(q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'txpipe'::regnamespace AND relkind IN ('r', 'v', 'm', 'p')});
cmp_ok(scalar @relations, '>', 10, 'there are relations to look at');
push @relations, qw(pg_stat_activity pg_foreign_server pg_foreign_data_wrapper pg_stats pg_settings pg_prepared_statements pg_locks);
for my $role ('postgres', 'reader', 'bob')
{
	my @shown;
	for my $relation (@relations, $role eq 'postgres' ? () : qw(pg_user_mappings pg_user_mapping information_schema.user_mapping_options))
	{
		$node->psql('postgres', "SELECT t::text FROM $relation t", stdout => \my $out, stderr => \my $err, extra_params => [ '-U', $role ]);
		push @shown, $relation if "$out$err" =~ /$token|$hex/;
		die "$relation: $err" if $role eq 'postgres' && $err;
	}
	is("@shown", '', "$role sees no secret in any relation");
}
unlike(sql('SELECT last_error, reason FROM txpipe.stream_status'), qr/\Q$dir\E/, 'no path in a last error');

# A dump has the paths; what was written in clear is in it in clear.
my ($dump) = run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]);
like($dump, qr/sasl_password_file '\Q$file\E'/, 'a dump has the path');
unlike($dump, qr/$secret{file}|$secret{rotated}/, '... not what the file holds');

$node->stop('fast');
my $log = slurp_file($node->logfile);
like($log, qr/DEBUG:  /, 'the log is of the finest level');
my @ignored = $log =~ /(.*will be ignored by.*)/g;
is("@ignored", '', 'options of writers are no news to readers');
my @lines = grep { /$token|$hex/ } split /\n/, $log;
is(scalar @lines, 0, 'the server log keeps the secrets') or diag(join "\n", @lines > 5 ? @lines[ 0 .. 4 ] : @lines);
stop_broker($broker);
done_testing();
