# TxpipeKafka: a real Apache Kafka (KRaft, one node) for the tests of what the mock cluster cannot do:
# transactions, compaction, retention, time stamps, security.
#
# A test file that uses it is skipped, with the reason, where test/kafka/real could not get Kafka.
package TxpipeKafka;

use strict;
use warnings;

use Exporter   'import';
use File::Path qw(make_path);
use POSIX      qw(:sys_wait_h);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use TxpipeTest;

our @EXPORT = qw(need_kafka start_kafka stop_kafka restart_kafka kafka_do kafka_begin kafka_end kafka_send end_offset caught_up);

my $home = $ENV{TXPIPE_KAFKA} // '';
my $tool = ($ENV{TXPIPE_TREE} // '.') . '/build/test/kafka_tool';

# Small, quick to start, and impatient: what takes minutes in production takes a moment here.
my $common = <<'CONF';
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
auto.create.topics.enable=false
num.network.threads=1
num.io.threads=2
background.threads=2
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
log.initial.task.delay.ms=100
log.retention.check.interval.ms=300
log.cleaner.backoff.ms=100
log.cleaner.dedupe.buffer.size=4194304
log.segment.delete.delay.ms=100
CONF

# Users of the SASL listeners: ann, with the password hush; of the rules, nobody but ann.
my $security = <<'CONF';
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
CONF

my @mechanisms = ([ 'plain', 'plain.Plain', ' user_ann="hush"' ],
	[ 'scram-sha-256', 'scram.Scram', '' ], [ 'scram-sha-512', 'scram.Scram', '' ]);

# The listeners: name, protocol, certificate, further properties.
my @listeners = (
	[ 'PLAINTEXT',  'PLAINTEXT' ],
	[ 'CONTROLLER', 'PLAINTEXT' ],
	[ 'SASL',       'SASL_PLAINTEXT' ],
	[ 'SSL',        'SSL',      'broker' ],
	[ 'SASLSSL',    'SASL_SSL', 'broker' ],
	[ 'CLIENTCERT', 'SSL',      'broker', 'ssl.client.auth=required' ],
	[ 'OTHERNAME',  'SSL',      'other' ],);

# Skips the whole file where there is no Kafka.
sub need_kafka { return need_fetched('TXPIPE_KAFKA', 'java', 'Apache Kafka'); }

# --- certificates ---

sub openssl
{
	my ($dir, @args) = @_;

	IPC::Run::run [ 'openssl', @args ], '>', "$dir/openssl.log", '2>&1'
	  or die "openssl @args: " . slurp_file("$dir/openssl.log");
	return;
}

my @new_key = qw(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes);

sub make_authority
{
	my ($dir, $name) = @_;

	openssl($dir, 'req', '-x509', @new_key, '-days', 2, '-subj', "/CN=$name",
		'-keyout', "$dir/$name.key", '-out', "$dir/$name.pem");
	return;
}

# A key, its certificate for this host name, and both in one file.
sub make_certificate
{
	my ($dir, $name, $host) = @_;
	my $base = "$dir/$name";

	append_to_file("$base.ext", "subjectAltName=$host\n");
	openssl($dir, 'req', '-new', @new_key, '-subj', "/CN=$name", '-keyout', "$base.key", '-out', "$base.csr");
	openssl($dir, 'x509', '-req', '-in', "$base.csr", '-CA', "$dir/ca.pem", '-CAkey', "$dir/ca.key",
		'-CAcreateserial', '-days', 2, '-extfile', "$base.ext", '-out', "$base.pem");
	append_to_file("$base.both", slurp_file("$base.key") . slurp_file("$base.pem"));
	return;
}

# ca signs all of them, stranger signs none.
sub make_certificates
{
	my ($dir) = @_;

	make_authority($dir, $_) for 'ca', 'stranger';
	make_certificate($dir, 'broker', 'DNS:127.0.0.1,IP:127.0.0.1');
	make_certificate($dir, 'other',  'DNS:elsewhere.example');
	make_certificate($dir, 'client', 'DNS:client.example');
	return;
}

# --- the broker ---

sub listener_conf
{
	my ($dir, $listener) = @_;
	my ($name, $protocol, $certificate, $more) = @$listener;
	my $prefix = 'listener.name.' . lc $name;
	my $conf   = '';

	if ($protocol =~ /SASL/)
	{
		$conf .= "$prefix.$_->[0].sasl.jaas.config="
		  . "org.apache.kafka.common.security.$_->[1]LoginModule required$_->[2];\n"
		  for @mechanisms;
	}
	$conf .= <<"CONF" if $certificate;
$prefix.ssl.keystore.type=PEM
$prefix.ssl.keystore.location=$dir/$certificate.both
$prefix.ssl.truststore.type=PEM
$prefix.ssl.truststore.location=$dir/ca.pem
CONF
	$conf .= "$prefix.$more\n" if $more;
	return $conf;
}

# Writes server.properties; the result is the address of each listener.
sub write_conf
{
	my ($dir, %opt) = @_;
	my @used = $opt{security} ? @listeners : @listeners[ 0, 1 ];
	my %at   = map { $_->[0] => '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port() } @used;
	my $all  = join ',', map { "$_->[0]://$at{$_->[0]}" } @used;
	my $map  = join ',', map { "$_->[0]:$_->[1]" } @used;

	append_to_file("$dir/server.properties",
			$common
		  . ($opt{security} ? $security : '')
		  . join('', map { listener_conf($dir, $_) } @used)
		  . "listeners=$all\nlistener.security.protocol.map=$map\n"
		  . "controller.quorum.voters=1\@$at{CONTROLLER}\nlog.dirs=$dir/data\n"
		  . ($opt{conf} // ''));
	return %at;
}

sub java
{
	my ($dir, @command) = @_;

	return ("$home/java", '-Xmx512m', '-Xshare:auto', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
		'-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
		'-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info',
		'-cp', "$home/*", @command);
}

sub format_storage
{
	my ($dir, %opt) = @_;
	my @users = map { ('--add-scram', "$_=[name=ann,password=hush]") } 'SCRAM-SHA-256', 'SCRAM-SHA-512';

	IPC::Run::run [
		java($dir, 'kafka.tools.StorageTool', 'format', '-t', 'MkU3OEVBNTcwNTJENDM2Qk',
			'-c', "$dir/server.properties", $opt{security} ? @users : ()) ],
	  '>', "$dir/format.log", '2>&1'
	  or die slurp_file("$dir/format.log");
	return;
}

# A broker: {servers} for everyone; with security => 1 also {at}{LISTENER} and, in {dir}, ca.pem, stranger.pem,
# client.pem and client.key. conf: further lines of its configuration.
sub start_kafka
{
	my (%opt) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();

	make_certificates($dir) if $opt{security};
	my %at = write_conf($dir, %opt);
	format_storage($dir, %opt);
	my $broker = { servers => $at{PLAINTEXT}, at => \%at, dir => $dir, out => "$dir/out" };
	restart_kafka($broker);
	return $broker;
}

# Starts its process on the data it has; after stop_kafka, too.
sub restart_kafka
{
	my ($broker) = @_;

	unlink $broker->{out};
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		my @command = java($broker->{dir}, 'kafka.Kafka', "$broker->{dir}/server.properties");

		open STDOUT, '>', $broker->{out} or die;
		open STDERR, '>&', \*STDOUT     or die;
		exec @command or die "$command[0]: $!";
	}
	own_process($pid);
	$broker->{pid} = $pid;
	wait_until(
		'Kafka has started',
		sub {
			die slurp_file($broker->{out}) if waitpid($pid, WNOHANG);
			return -e $broker->{out} && slurp_file($broker->{out}) =~ /Kafka Server started/;
		});
	return;
}

# SIGKILL; what it has stored stays.
sub stop_kafka
{
	my ($broker) = @_;

	end_process($broker->{pid}, 'KILL');
	return;
}

# --- topics and messages ---

# Commands of kafka_tool, each an array of its fields, in one run: transactions of one call may overlap.
sub kafka_do
{
	my ($broker, @commands) = @_;
	my $input = join '', map { join("\t", @$_) . "\n" } @commands;

	my $out;

	IPC::Run::run [ $tool, $broker->{servers} ], '<', \$input, '>&', \$out or die "kafka_tool: $out";
	return;
}

# The same, but the producers stay: a transaction remains open until kafka_end gives the rest.
sub kafka_begin
{
	my ($broker, @commands) = @_;
	my $run = { in => join('', map { join("\t", @$_) . "\n" } @commands), out => '' };

	$run->{handle} = IPC::Run::start([ $tool, $broker->{servers} ], '<', \$run->{in}, '>&', \$run->{out});
	$run->{handle}->pump_nb while length $run->{in};
	return $run;
}

sub kafka_end
{
	my ($run, @commands) = @_;

	$run->{in} .= join '', map { join("\t", @$_) . "\n" } @commands;
	$run->{handle}->finish or die "kafka_tool: $run->{out}";
	return;
}

# Messages without transactions, each [ value, key, Unix milliseconds ]; key and time may be left out.
sub kafka_send
{
	my ($broker, $topic, $partition, @messages) = @_;

	kafka_do($broker,
		map { [ 'send', '-', $topic, $partition, $_->[2] // 0, $_->[1] // '', $_->[0] ] } @messages);
	return;
}

# Where the log ends, as the broker says: markers of transactions are counted.
sub end_offset
{
	my ($broker, $topic, $partition) = @_;
	my ($out) = run_command([ 'kcat', '-Q', '-X', 'isolation.level=read_uncommitted', '-b', $broker->{servers}, '-t', "$topic:$partition:-1" ]);

	return $out =~ /offset (\d+)/ ? $1 : die "kcat: $out";
}

# Waits until the stream has read each of the topic's partitions to the end the broker tells, without lag.
sub caught_up
{
	my ($node, $broker, $stream, $topic, @partitions) = @_;
	my $wanted = join ' ', map { my $end = end_offset($broker, $topic, $_); "$_:$end:$end:0" } @partitions;

	wait_for(
		$node,
		"SELECT string_agg(format('%s:%s:%s:%s', partition, next_offset, end_offset, lag), ' ' ORDER BY partition)
		FROM txpipe.stream_partition WHERE stream = '$stream'",
		"stream $stream has read topic $topic to its end",
		value => $wanted);
	return;
}

1;
