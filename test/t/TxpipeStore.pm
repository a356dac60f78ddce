# TxpipeStore: a real object store that verifies signatures, Versity's gateway to a directory, and a network before it that misbehaves.
#
# A test file is skipped, with the reason, where test/store/get could not get it. What a bucket has is read in the gateway's directory, which
# has each complete object as a file.
package TxpipeStore;

use strict;
use warnings;

use Digest::SHA;
use Exporter 'import';
use File::Find;
use File::Path qw(make_path);
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use TxpipeTest;

our @EXPORT = qw(need_store start_store restart_store stop_store make_bucket objects files_of object_path start_road road_is road_taken);

our ($KEY, $SECRET, $REGION) = qw(txpipe-test-key txpipe-test-secret eu-test-1);

my $home = $ENV{TXPIPE_STORE} // '';

sub need_store { return need_fetched('TXPIPE_STORE', 'versitygw', 'object store'); }

# {endpoint}, {dir}; with tls => 1 by HTTPS, with a certificate of its own, {ca}.
sub start_store
{
	my (%o) = @_;
	my $dir   = PostgreSQL::Test::Utils::tempdir();
	my $store = { dir => $dir, port => PostgreSQL::Test::Cluster::get_free_port() };

	make_path("$dir/buckets", "$dir/attributes", "$dir/keys");
	$store->{endpoint} = ($o{tls} ? 'https' : 'http') . "://127.0.0.1:$store->{port}";
	if ($o{tls})
	{
		system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1',
			'-keyout', "$dir/tls.key", '-out', "$dir/tls.crt");
		$store->{ca} = slurp_file("$dir/tls.crt");
	}
	restart_store($store);
	return $store;
}

sub restart_store
{
	my ($store) = @_;
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		open STDOUT, '>>', "$store->{dir}/log" or POSIX::_exit(1);
		open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
		local @ENV{qw(ROOT_ACCESS_KEY ROOT_SECRET_KEY)} = ($KEY, $SECRET);
		exec "$home/versitygw", '--port', "127.0.0.1:$store->{port}", '--region', $REGION, '--iam-dir', "$store->{dir}/keys",
		  ($store->{ca} ? ('--cert', "$store->{dir}/tls.crt", '--key', "$store->{dir}/tls.key") : ()), 'posix', '--sidecar',
		  "$store->{dir}/attributes", "$store->{dir}/buckets"
		  or POSIX::_exit(1);
	}
	$store->{pid} = own_process($pid);
	wait_until('the object store listens', sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$store->{port}") });
	return;
}

sub stop_store
{
	my ($store) = @_;

	end_process($store->{pid}, 'KILL');
	return;
}

sub make_bucket
{
	my ($store, $name) = @_;

	make_path("$store->{dir}/buckets/$name");
	return;
}

sub object_path { return "$_[0]{dir}/buckets/$_[1]"; }

# What is there, by path below the bucket or a prefix in it: SHA-256 of the content.
sub objects
{
	my ($store, $below) = @_;

	return files_of(object_path($store, $below));
}

# The same of any directory, but for hidden files.
sub files_of
{
	my ($top) = @_;
	my %sha;

	return {} unless -d $top;
	find({ no_chdir => 1, preprocess => sub { grep { !/^\.(?!\.?$)/ } @_ },
			wanted => sub { $sha{ substr $_, length("$top/") } = Digest::SHA->new(256)->addfile($_, 'b')->hexdigest if -f $_ } }, $top);
	return \%sha;
}

# --- the road to it ---

# A port of ours that leads to the store. {endpoint}.
sub start_road
{
	my ($store) = @_;
	my $listener = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1') // die "listen: $!";
	my $road = { dir => PostgreSQL::Test::Utils::tempdir(), endpoint => 'http://127.0.0.1:' . $listener->sockport };

	road_is($road, 'pass');
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		$SIG{PIPE} = 'IGNORE';
		$SIG{TERM} = 'DEFAULT';
		$SIG{CHLD} = 'IGNORE';
		eval { serve($listener, $road->{dir}, $store->{port}) };
		print STDERR "the road has ended: $@";
		POSIX::_exit(1);
	}
	$road->{pid} = own_process($pid);
	return $road;
}

# How the next connections are treated, so many of them, all when none is said; what follows passes: 'pass'; 'busy', answers 503; 'hang', nothing comes;
# 'truncate', half of the first answer and the end; 'slow', 100 kB a second.
sub road_is
{
	my ($road, $mode, $times) = @_;

	open my $fh, '>', "$road->{dir}/mode.new" or die $!;
	print $fh join ' ', $mode, $times // 1_000_000, ++$road->{round};
	close $fh;
	rename "$road->{dir}/mode.new", "$road->{dir}/mode" or die $!;
	return;
}

# How many connections were treated so since then.
sub road_taken
{
	my ($road) = @_;

	return -e "$road->{dir}/taken.$road->{round}" ? -s "$road->{dir}/taken.$road->{round}" : 0;
}

sub serve
{
	my ($listener, $dir, $port) = @_;

	while (my $client = $listener->accept)
	{
		my ($mode, $times, $round) = split / /, slurp_file("$dir/mode");
		my $taken = -e "$dir/taken.$round" ? -s "$dir/taken.$round" : 0;

		$mode = 'pass' if $taken >= $times;
		append_to_file("$dir/taken.$round", '.') if $mode ne 'pass';
		my $pid = fork() // die "fork: $!";
		if ($pid == 0)
		{
			close $listener;
			carry($client, $mode, $port);
			POSIX::_exit(0);
		}
		close $client;
	}
	return;
}

sub carry
{
	my ($client, $mode, $port) = @_;
	my $bytes;

	if ($mode eq 'busy')
	{
		sysread $client, $bytes, 1 << 16;
		syswrite $client, "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: 67\r\n\r\n"
		  . '<Error><Code>SlowDown</Code><Message>not so fast</Message></Error>' . ' ';
		shutdown $client, 1;
		1 while sysread $client, $bytes, 1 << 16;
		return;
	}
	if ($mode eq 'hang')
	{
		1 while sysread $client, $bytes, 1 << 16;
		return;
	}
	my $store = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") // return;
	my $both  = IO::Select->new($client, $store);
	while (my @ready = $both->can_read)
	{
		for my $from (@ready)
		{
			my $to = $from == $client ? $store : $client;

			return unless sysread $from, $bytes, $mode eq 'slow' ? 10_000 : 1 << 16;
			# A road of that width, which is no wait for a condition.
			select undef, undef, undef, 0.1 if $mode eq 'slow' && length $bytes > 1000;
			if ($mode eq 'truncate' && $from == $store)
			{
				syswrite $client, substr $bytes, 0, length($bytes) / 2;
				return;
			}
			while (length $bytes)
			{
				my $n = syswrite($to, $bytes) // return;
				substr($bytes, 0, $n) = '';
			}
		}
	}
	return;
}

1;
