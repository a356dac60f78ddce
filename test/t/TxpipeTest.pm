# TxpipeTest: what the process tests share: a server, a broker, messages, waiting, and the look at the log.
#
# Nothing here waits for a time: wait_for polls a condition and shows its last value when it gives up.
package TxpipeTest;

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(make_path);
use POSIX      qw(:sys_wait_h setsid);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(
  new_node start_node preload_path set_clock install_with_preload start_broker stop_broker produce_file produce_lines topic_control
  shortest wait_for wait_for_offset wait_until worker_pid child_pid checkpointer_pid error_of fails_with open_letters log_is_clean process_lives kafka_server secret_file own_process end_process
  need_fetched
  $CRON_CONF
);

our $TIMEOUT = $ENV{TXPIPE_TEST_TIMEOUT} // 60;

# Lines of postgresql.conf for pg_cron beside txpipe.
our $CRON_CONF = <<'CONF';
shared_preload_libraries = 'pg_cron,txpipe'
cron.database_name = 'postgres'
cron.use_background_workers = on
CONF

my $programs = ($ENV{TXPIPE_TREE} // '.') . '/build/test';

# --- processes beside the server ---

my %own;

# What the test has started, and what ends with it at the latest.
sub own_process
{
	my ($pid) = @_;

	$own{$pid} = 1;
	return $pid;
}

# Once; by SIGTERM when no signal is named.
sub end_process
{
	my ($pid, $signal) = @_;

	return unless delete $own{$pid};
	kill $signal // 'TERM', $pid;
	waitpid($pid, 0);
	return;
}

END
{
	my $status = $?;

	end_process($_, 'KILL') for keys %own;
	$? = $status;
}

# --- server ---

# A stopped server that has txpipe preloaded; conf: further lines of postgresql.conf; install_path: of another installation.
sub new_node
{
	my ($name, %opt) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, map { $_ => $opt{$_} } grep { $opt{$_} } 'install_path');

	$node->init(extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
	my $dirs = $node->basedir . '/dirs';
	make_path("$dirs/landing", "$dirs/lake", "$dirs/export");
	$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = 'txpipe'
max_worker_processes = 24
restart_after_crash = on
log_statement = none
timezone = 'UTC'
txpipe.landing_directory = '$dirs/landing'
txpipe.lake_directory = '$dirs/lake'
txpipe.export_directory = '$dirs/export'
CONF
	$node->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
	return $node;
}

# Starts it and creates the extension.
sub start_node
{
	my ($node) = @_;

	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION txpipe');
	return;
}

# What test/preload/NAME.c becomes.
sub preload_path
{
	my ($name) = @_;

	return "$programs/$name.so";
}

# An installation of its own, as it is but for txpipe_io: servers give that no environment, so it takes this one by itself, and
# loads what test/preload/NAME.c becomes.
sub install_with_preload
{
	my ($name, %environment) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my ($bindir)  = run_command([ 'pg_config', '--bindir' ]);
	my ($library) = run_command([ 'pg_config', '--pkglibdir' ]);
	my ($prefix, $path) = map { s{/bin$}{}r =~ m{^(.*)(/lib/postgresql/\d+)$} } $bindir;
	my $program = "$dir/server" . $library =~ s{^\Q$prefix\E}{}r . '/txpipe_io';
	my $exports = join ' ', map { "$_='$environment{$_}'" } sort keys %environment;

	system_or_bail('cp', '-a', $prefix, "$dir/server");
	rename $program, "$dir/txpipe_io" or die "$program: $!";
	open my $fh, '>', $program or die "$program: $!";
	print $fh "#!/bin/sh\nexport LD_PRELOAD='" . preload_path($name) . "' $exports\nexec '$dir/txpipe_io' \"\$@\"\n";
	close $fh;
	chmod 0755, $program;
	return "$dir/server$path";
}

# Moves the time of day of processes that have test/preload/clock.c, and the file's name in TXPIPE_CLOCK, by so many seconds.
sub set_clock
{
	my ($file, $seconds) = @_;

	open my $fh, -e $file ? '+<' : '>', $file or die "$file: $!";
	syswrite $fh, pack 'q', $seconds;
	close $fh;
	return;
}

# --- broker ---

# Topics are 'name:partitions'; a number before them: so many brokers. The result knows {servers}, host:port.
sub start_broker
{
	my (@topics) = @_;
	my $brokers = $topics[0] =~ /^\d+$/ ? shift @topics : 1;
	my $dir     = PostgreSQL::Test::Utils::tempdir();
	my $control = "$dir/control";
	my @command =
	  ("$programs/mock_broker", '--port-file', "$dir/port", '--control', $control, '--brokers', $brokers);

	push @command, map { ('--topic', $_) } @topics;
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		open STDOUT, '>', "$dir/out" or die;
		open STDERR, '>&', \*STDOUT  or die;
		exec @command or die "$command[0]: $!";
	}
	own_process($pid);
	wait_until('the broker announces its port', sub { -e "$dir/port" ? 1 : waitpid($pid, WNOHANG) ? die 'the broker ended' : 0 });
	my ($servers) = slurp_file("$dir/port") =~ /bootstrap\.servers=(\S+)/;
	return { pid => $pid, servers => $servers, control => $control, out => "$dir/out" };
}

sub stop_broker
{
	my ($broker) = @_;

	end_process($broker->{pid});
	return;
}

# Sends one line to the broker's control FIFO (see mock_broker.c) and waits for its answer.
sub topic_control
{
	my ($broker, $line) = @_;
	my $before = length slurp_file($broker->{out});
	my $answer;

	open my $fifo, '>', $broker->{control} or die "$broker->{control}: $!";
	print $fifo "$line\n";
	close $fifo;
	wait_until("the broker carries out: $line",
		sub { ($answer) = substr(slurp_file($broker->{out}), $before) =~ /^((?:ok|failed) \Q$line\E.*)\n/m });
	is($answer, "ok $line", "broker: $line");
	return;
}

# Every line of the file becomes a message of this partition.
sub produce_file
{
	my ($broker, $topic, $partition, $file) = @_;

	system_or_bail('kcat', '-P', '-b', $broker->{servers}, '-t', $topic, '-p', $partition, '-l', $file);
	return;
}

sub produce_lines
{
	my ($broker, $topic, $partition, @lines) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/messages';

	open my $fh, '>', $file or die "$file: $!";
	print $fh map { "$_\n" } @lines;
	close $fh;
	produce_file($broker, $topic, $partition, $file);
	return;
}

# CREATE SERVER for the broker.
sub kafka_server
{
	my ($node, $name, $broker, $db) = @_;

	$node->safe_psql($db // 'postgres',
		"CREATE SERVER $name FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '$broker->{servers}')"
	);
	return;
}

# A file as secrets have to be in, made anew; returns its path.
sub secret_file
{
	my ($path, $text, $mode) = @_;

	unlink $path;
	open my $fh, '>:raw', $path or die "$path: $!";
	print $fh $text;
	close $fh;
	chmod $mode // 0600, $path;
	return $path;
}

# --- waiting ---

# Until the code returns true; returns that. The test ends when it does not come.
sub wait_until
{
	my ($what, $code, $timeout) = @_;
	my $end = time() + ($timeout // $TIMEOUT);

	while (1)
	{
		my $value = $code->();
		return $value if $value;
		die "gave up waiting until $what" if time() > $end;
		select(undef, undef, undef, 0.02);
	}
}

# Until the query yields this text, 't' when not given; errors (a server that restarts) are tried again.
sub wait_for
{
	my ($node, $sql, $what, %opt) = @_;
	my $wanted = $opt{value} // 't';
	my $db     = $opt{db}    // 'postgres';
	my $end    = time() + ($opt{timeout} // $TIMEOUT);
	my ($out, $err) = ('', '');

	while (1)
	{
		# While the server restarts psql may end before it has read its input: a broken pipe is one more try.
		my $rc = eval { $node->psql($db, $sql, stdout => \$out, stderr => \$err) } // -1;
		return 1 if $rc == 0 && $out eq $wanted;
		last     if time() > $end;
		select(undef, undef, undef, 0.05);
	}
	my $streams = $node->psql($db, 'TABLE txpipe.stream_status; TABLE txpipe.stream_partition',
		stdout => \my $status);
	diag("gave up waiting until $what\nquery:  $sql\nlast:   $out $err\nwanted: $wanted\n"
		  . ($status // ''));
	die "gave up waiting until $what";
}

# Until the offsets of what the stream reads next add up to this.
sub wait_for_offset
{
	my ($node, $stream, $offset, %opt) = @_;

	return wait_for($node, "SELECT sum(next_offset) FROM txpipe.stream_partition WHERE stream = '$stream'",
		"stream $stream has read up to $offset", value => $offset, %opt);
}

# One test point: the shortest of a few tries takes less than so many seconds. A loaded machine delays some, a slow server all of them.
sub shortest
{
	my ($what, $seconds, $try) = @_;
	my $shortest;

	for my $i (1 .. 10)
	{
		my $start = time();
		$try->($i);
		my $took = time() - $start;
		$shortest = $took if !defined $shortest || $took < $shortest;
		last if $shortest < $seconds;
	}
	return cmp_ok($shortest, '<', $seconds, $what);
}

# --- what is an addition ---

# Skips the whole file, with the reason, where the directory that a variable names lacks what one of test/*/get was to bring.
sub need_fetched
{
	my ($variable, $part, $what) = @_;
	my $home = $ENV{$variable} // '';

	return if -e "$home/$part";
	my $reason = -e "$home/missing" ? slurp_file("$home/missing") : "$variable is not set";
	chomp $reason;
	plan skip_all => "no $what: $reason";
}

# --- processes ---

sub worker_pid
{
	my ($node, $like) = @_;

	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%' "
		  . ($like ? "AND $like " : '')
		  . 'ORDER BY backend_start LIMIT 1');
}

# The txpipe_io of this server process, or undef.
sub child_pid
{
	my ($parent) = @_;

	for my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $fh, '<', $stat or next;
		my $line = <$fh> // next;
		close $fh;
		return $1 if $line =~ /^(\d+) \(txpipe_io\) [^Z] $parent /;
	}
	return undef;
}

sub process_lives
{
	my ($pid) = @_;

	open my $fh, '<', "/proc/$pid/stat" or return 0;
	my $line = <$fh> // return 0;
	return $line !~ /^\d+ \(.*\) Z /;
}

sub checkpointer_pid
{
	my ($node) = @_;

	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
}

# --- errors ---

# What psql says of a failing statement: {state}, {message}, {detail}, {hint}; undef when it does not fail.
sub error_of
{
	my ($node, $sql, %opt) = @_;
	my $err;
	my $rc = $node->psql(
		$opt{db} // 'postgres', $sql,
		stderr        => \$err,
		on_error_stop => 1,
		extra_params  => [ '-v', 'VERBOSITY=verbose', @{ $opt{extra_params} // [] } ]);

	return undef if $rc == 0;
	my ($state, $message) = $err =~ /(?:ERROR|FATAL):  ([0-9A-Z]{5}): (.*)/;
	my ($detail) = $err =~ /^DETAIL:  (.*)/m;
	my ($hint)   = $err =~ /^HINT:  (.*)/m;
	return { state => $state, message => $message, detail => $detail, hint => $hint, text => $err };
}

# A statement fails with that SQLSTATE, and message or detail say so.
sub fails_with
{
	my ($node, $statement, $state, $like, $name) = @_;
	my $error = error_of($node, $statement);

	is($error->{state}, $state, "$name: its SQLSTATE");
	like($error->{message} . ($error->{detail} // ''), qr/$like/s, $name);
	return;
}

# The open dead letters of a stream, a line each: offset, code and why.
sub open_letters
{
	my ($node, $stream) = @_;

	return $node->safe_psql('postgres', "SELECT string_agg(kafka_offset || ' ' || code || ': ' || message, E'\\n' ORDER BY kafka_offset)
		FROM txpipe.dead_letter WHERE stream = '$stream' AND state = 'open'");
}

# One test point: no ERROR, FATAL or PANIC in the log but those that match one of the patterns.
sub log_is_clean
{
	my ($node, @allowed) = @_;
	my @bad;

	for my $line (split /\n/, slurp_file($node->logfile))
	{
		next unless $line =~ /^\d{4}-\d\d-\d\d [^\[]*\[\d+\].*\b(?:(?:ERROR|FATAL|PANIC):  |WARNING:  (?:you don't own|.*leak))/;
		# Who drops a database ends its autovacuum.
		next if $line =~ /terminating autovacuum process/;
		push @bad, $line unless grep { $line =~ $_ } @allowed;
	}
	is(scalar @bad, 0, 'no unexpected error in the server log of ' . $node->name)
	  or diag(join "\n", @bad > 20 ? @bad[ 0 .. 19 ] : @bad);
	return;
}

1;
