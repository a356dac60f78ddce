# PeerBench: the same messages through Spark and through Kafka Connect, both tuned, into a table over JDBC.
#
# What a JVM needs to start and to warm up is not in their figures: they begin with the first rows that are there.
package PeerBench;

use strict;
use warnings;

use Exporter   'import';
use File::Path qw(make_path remove_tree);
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);
use TxpipeBench;

our @EXPORT = qw(jdbc_url run_spark spark_events connect_events);

# $b is what StreamBench has; each returns seconds, the rows of that time and CPU seconds.

# Servers are reached over TCP here: Java has no sockets of the file system.
sub jdbc_url
{
	my ($node, $sql) = @_;
	my ($user) = ask($sql, 'SELECT current_user');

	return 'jdbc:postgresql://127.0.0.1:' . $node->port . "/postgres?user=$user&reWriteBatchedInserts=true";
}

# The answer of a script, as a list of fields.
sub run_spark
{
	my ($dir, $script, @arguments) = @_;

	remove_tree("$dir/spark");
	make_path("$dir/spark");
	local $ENV{PYTHONPATH} = "$ENV{TXPIPE_SPARK}/python";
	local $ENV{SPARK_LOCAL_IP} = '127.0.0.1';
	my ($out, $err) = run_command([ '/usr/bin/python3', "$ENV{TXPIPE_TREE}/bench/peers/$script", "$ENV{TXPIPE_SPARK}/jars", @arguments,
			"$dir/spark" ]);
	my @fields = split ' ', $out;
	die "Spark: $err" if @fields < 2;
	return @fields;
}

sub spark_events
{
	my ($b, $case) = @_;

	ask($b->{sql}, "TRUNCATE $case->{into}");
	ask($b->{sql}, 'CHECKPOINT');
	my $before = $b->{look}->();
	my $begin  = time();
	my ($seconds, $own, $rows) = run_spark($b->{dir}, 'events_spark.py', $b->{broker}{servers}, $case->{topic}, $case->{rows},
		jdbc_url($b->{node}, $b->{sql}), $case->{into});
	my $all = time() - $begin;
	my %cpu = usage_between($before, $b->{look}->());

	# The server's were measured for all rows.
	$cpu{backend} = 0;
	$cpu{$_} *= $rows / $case->{rows} for qw(server broker);
	return { seconds => $seconds, rows => $rows, start => $all - $seconds, cpu => { %cpu, peer => $own } };
}

# Its standalone worker with Debezium's sink.
sub start_connect
{
	my ($b, $case, $file) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $url  = jdbc_url($b->{node}, $b->{sql});

	unlink glob "$file.*";
	append_to_file("$file.worker", <<"CONF");
bootstrap.servers=$b->{broker}{servers}
listeners=http://127.0.0.1:$port
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=true
offset.storage.file.filename=$file.offsets
offset.flush.interval.ms=5000
CONF
	append_to_file("$file.sink", <<"CONF");
name=sink_$$\_@{[ int(time() * 1000) ]}
connector.class=io.debezium.connector.jdbc.JdbcSinkConnector
topics=$case->{topic}
tasks.max=2
connection.url=$url
connection.username=@{[ $url =~ /user=(\w+)/ ]}
connection.password=none
insert.mode=insert
primary.key.mode=none
schema.evolution=none
collection.name.format=$case->{into}
batch.size=10000
consumer.override.auto.offset.reset=earliest
consumer.override.max.poll.records=10000
consumer.override.max.partition.fetch.bytes=8388608
consumer.override.fetch.max.bytes=67108864
CONF
	my $pid = fork() // die "fork: $!";
	return $pid if $pid;
	open STDOUT, '>', "$file.log" or POSIX::_exit(1);
	open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
	exec 'java', '-Xms1g', '-Xmx1g', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', "$ENV{TXPIPE_CONNECT}/jars/*",
	  'org.apache.kafka.connect.cli.ConnectStandalone', "$file.worker", "$file.sink" or POSIX::_exit(1);
}

sub cpu_of
{
	my ($pid) = @_;
	my %all = processes();

	return $all{$pid} ? $all{$pid}{own} : die "Kafka Connect has ended\n";
}

# From the first rows a reader sees to the last.
sub connect_events
{
	my ($b, $case) = @_;
	my $file = "$b->{dir}/connect";
	my $rows = sub { return (ask($b->{sql}, "SELECT count(*) FROM $case->{into}"))[0] };
	my $first;

	ask($b->{sql}, "TRUNCATE $case->{into}");
	ask($b->{sql}, 'CHECKPOINT');
	my $asked = time();
	my $pid = start_connect($b, $case, $file);
	until ($first = $rows->())
	{
		die "Kafka Connect brings nothing: " . slurp_file("$file.log") if time() > $asked + 120;
		sleep 0.05;
	}
	my ($begin, $before, $own) = (time(), $b->{look}->(), cpu_of($pid));
	while ((my $seen = $rows->()) < $case->{rows})
	{
		die "Kafka Connect stays at $seen rows: " . slurp_file("$file.log") if time() > $begin + 1200;
		sleep 0.1;
	}
	my $seconds = time() - $begin;
	my %cpu = usage_between($before, $b->{look}->());
	$own = cpu_of($pid) - $own;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	return { seconds => $seconds, rows => $case->{rows} - $first, start => $begin - $asked,
		cpu => { %cpu, backend => 0, peer => $own } };
}

1;
