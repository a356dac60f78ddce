# TxpipeClients: clients of Kafka that are not ours, and a schema registry that is not: Confluent's for Python, and Apicurio.
#
# A test file that uses it is skipped, with the reason, where test/clients/get could not get them.
package TxpipeClients;

use strict;
use warnings;

use Exporter 'import';
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use TxpipeTest;

our @EXPORT = qw(need_clients start_apicurio run_client);

my $home = $ENV{TXPIPE_CLIENTS} // '';
my $tree = $ENV{TXPIPE_TREE}    // '.';

# Skips the whole file where they are not.
sub need_clients { return need_fetched('TXPIPE_CLIENTS', 'registry', 'clients'); }

# Its schemas are in memory. {url} is that of Confluent's interface.
sub start_apicurio
{
	my $dir  = PostgreSQL::Test::Utils::tempdir();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $pid  = fork() // die "fork: $!";
	my $out  = "$dir/out";

	if ($pid == 0)
	{
		open STDOUT, '>', $out       or die;
		open STDERR, '>&', \*STDOUT or die;
		chdir $dir or die;
		exec 'java', '-Xmx400m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', "-Djava.io.tmpdir=$dir", '-Dquarkus.http.host=127.0.0.1', "-Dquarkus.http.port=$port",
		  '-jar', glob("$home/registry/*-runner.jar")
		  or die "java: $!";
	}
	own_process($pid);
	wait_until(
		'the registry has started',
		sub {
			die slurp_file($out) if waitpid($pid, WNOHANG);
			return -e $out && slurp_file($out) =~ /Listening on:/;
		});
	return { pid => $pid, url => "http://127.0.0.1:$port/apis/ccompat/v7" };
}

# A program of test/clients; returns what it prints.
sub run_client
{
	my ($program, @args) = @_;
	my ($out, $errors);

	local $ENV{PYTHONPATH} = "$home/python";
	IPC::Run::run [ '/usr/bin/python3', "$tree/test/clients/$program", @args ], '>', \$out, '2>', \$errors
	  or die "$program @args: $errors";
	return $out;
}

1;
