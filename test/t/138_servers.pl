# The kill loop over three servers that share one topic of a real Kafka: workers, children and whole servers are killed while a producer writes,
# partitions move from server to server, and the topic grows. In the end what Kafka holds is in the three servers once.
#
# TXPIPE_KILLS and TXPIPE_KILL_SEED as in 035_kill_loop; TXPIPE_KILL_MESSAGES: so many.
use strict;
use warnings;

use File::Path qw(make_path);
use List::Util qw(sum0);
use POSIX      qw(:sys_wait_h);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeKafka;
use TxpipeKill;
use TxpipeTest;

need_kafka();

my $SERVERS = 3;
my $FIRST   = 7;    # partitions at the beginning,
my $LAST    = 10;   # and after half of the kills
my $CHUNK   = 200;
my %opt     = TxpipeKill::parameters(seed => 20261123, kills => $ENV{TXPIPE_TEST_LONG} ? 200 : 12);
my $broker  = start_kafka();
my $dir     = PostgreSQL::Test::Utils::tempdir();
my $started = time();
my $partitions = $FIRST;
my @produced   = (0) x $LAST;

kafka_do($broker, [ 'create', 'plain', $FIRST ]);

# A server of the loop; while it waits for something the one producer goes on.
package Server
{
	our @ISA = 'TxpipeKill';
	sub produce { return main::produce() }
}

my @servers = map {
	Server->new(
		%opt,
		node       => new_node("server_$_"),
		broker     => $broker,
		partitions => 100,    # more than there will be: each message has an id of its own
		streams    => ['plain'],
		stretch    => 0.1,
		appending  => ['plain'],
		options    => qq({"partitions": "index $_ of $SERVERS", "workers": ) . ($_ == 2 ? 2 : 1) . '}')
} 0 .. $SERVERS - 1;

# --- the producer ---

my ($producer, $done);

# The next chunk for each partition, by a process of its own, as long as the kills are not behind. What is sent is noted, offset by offset.
sub produce
{
	if ($producer)
	{
		return if waitpid($producer, WNOHANG) == 0;
		die 'the producer failed' unless $? == 0;
		$producer = undef;
		$produced[$_] += $CHUNK for 0 .. $partitions - 1;
	}
	return if !defined $done || sum0(@produced) > $opt{messages} * ($done + 2) / $opt{kills} || sum0(@produced) >= $opt{messages};
	$partitions = $LAST if -e "$dir/grown";
	$producer = fork() // die "fork: $!";
	return if $producer;
	my $failed = 0;
	for my $p (0 .. $partitions - 1)
	{
		my $pipe = $servers[0]->start_kcat('plain', $p);
		my @lines = map { $servers[0]->message('plain', $p, $_) } $produced[$p] .. $produced[$p] + $CHUNK - 1;
		print $pipe @lines;
		close $pipe or $failed = 1;
		append_to_file("$dir/sent", join '', map { "$p\t" . ($produced[$p] + $_) . "\t$lines[$_]" } 0 .. $#lines);
	}
	POSIX::_exit($failed);
}

# --- the mover ---

# Where the partition is, as that server says: undef when it is away.
sub assignment
{
	my ($server, $p) = @_;

	return $server->ask("SELECT coalesce(assignment, 'option'), next_offset FROM txpipe.stream_partition WHERE partition = $p", 10);
}

# Whoever is asked may be killed: then nobody knows whether it was done, until the server says so.
sub move
{
	my ($from, $to, $p) = @_;
	my $next;

	wait_until(
		"partition $p is released",
		sub {
			return 1 if defined($next = $from->ask("SELECT txpipe.release_partition('plain', 'plain', $p)", 20));
			(my $state, $next) = split /\|/, assignment($from, $p) // return 0;
			return $state eq 'released';
		});
	wait_until(
		"partition $p is adopted",
		sub {
			defined $to->ask("SELECT txpipe.adopt_partition('plain', 'plain', $p, $next)", 20)
			  || (assignment($to, $p) // '') =~ /^adopted/;
		});
	return;
}

# Moves one partition after the other until somebody says stop; then says how often.
sub start_mover
{
	my $pid = fork() // die "fork: $!";

	return own_process($pid) if $pid;
	my $moves = 0;
	my %owner = map { $_ => $_ % $SERVERS } 0 .. $LAST - 1;
	# Its waits leave the producer alone, and its dice are its own.
	no warnings 'redefine';
	local *main::produce = sub { };
	srand($opt{seed} + 1);
	my $ok = eval {
		until (-e "$dir/stop")
		{
			my $p  = int rand(-e "$dir/known" ? $LAST : $FIRST);
			my $to = ($owner{$p} + 1 + int rand($SERVERS - 1)) % $SERVERS;

			move($servers[ $owner{$p} ], $servers[$to], $p);
			$owner{$p} = $to;
			append_to_file("$dir/moves", "$p $to\n");
		}
		1;
	};
	print STDERR "# the mover: $@" unless $ok;
	POSIX::_exit($ok ? 0 : 1);
}

# --- the loop ---

my %KILLS = (
	'child KILL'      => 'kill_child',
	'child SEGV'      => 'kill_child',
	'worker KILL'     => 'kill_worker',
	'worker SEGV'     => 'kill_worker',
	'postmaster KILL' => 'kill_postmaster',
	'immediate stop'  => 'stop_immediately');
my @kinds = sort keys %KILLS;
my %count;
my $in_flight = 0;

# What all servers together have taken, as far as they answer.
sub taken
{
	return sum0(map {
			$_->ask(q{SELECT coalesce(sum(next_offset), 0) FROM txpipe.stream_partition WHERE assignment IS DISTINCT FROM 'released'}, 10) // 0
	} @servers);
}

# A stopped worker, better one with a batch in flight, and its child.
sub aim
{
	my ($server, $dice) = @_;

	for my $try (1 .. 20)
	{
		my ($worker, $child, $busy) = $server->catch_worker(0, $dice);

		return ($worker, $child, $busy) if $busy || $try == 20;
		kill 'CONT', $worker;
	}
}

$_->set_up for @servers;
$done = 0;
wait_until('all three servers read', sub { produce(); 3 == grep { $_->consumed > 1 } @servers });

my $mover = start_mover();
srand($opt{seed});
note "replay this plan with TXPIPE_KILL_SEED=$opt{seed}";
for my $n (1 .. $opt{kills})
{
	my $server = $servers[ int rand $SERVERS ];
	my $kind   = $n <= @kinds ? $kinds[ $n - 1 ] : $kinds[ int rand @kinds ];
	my $method = $KILLS{$kind};
	wait_until('the servers keep up', sub { produce(); taken() >= $opt{messages} * ($n - 2) / $opt{kills} });
	my ($worker, $child, $busy) = aim($server, rand);

	$server->$method($kind =~ / (KILL|SEGV)/ ? $1 : '', $worker, $child);
	$count{$kind}++;
	$in_flight += $busy;
	$done = $n;
	if ($n == int($opt{kills} / 2))
	{
		kafka_do($broker, [ 'partitions', 'plain', $LAST ]);
		append_to_file("$dir/grown", '');
	}
	# From here on the mover may take the new ones: each is where its number says.
	append_to_file("$dir/known", '')
	  if -e "$dir/grown" && !-e "$dir/known" && 3 == grep { ($_->ask("SELECT count(*) FROM txpipe.stream_partition WHERE partition >= $FIRST", 5) // 0) > 0 } @servers;
	note sprintf '%.1f s, kill %d: %s of %s%s, %d messages, %d moves', time() - $started, $n, $kind, $server->{node}->name, $busy ? ', batch in flight' : '',
	  sum0(@produced), -e "$dir/moves" ? scalar(() = slurp_file("$dir/moves") =~ /\n/g) : 0;
}

wait_until('all is produced', sub { produce(); !$producer && sum0(@produced) >= $opt{messages} && $produced[-1] > 0 }, 600);
append_to_file("$dir/stop", '');
wait_until('the mover has ended', sub { waitpid($mover, WNOHANG) != 0 }, 120);
is($?, 0, 'the mover has come to its end');

# --- what is where ---

my @ends = map { end_offset($broker, 'plain', $_) } 0 .. $LAST - 1;
is("@ends", "@produced", 'Kafka holds what was produced');

# The next offsets of those that read a partition.
sub places
{
	my %next;

	for my $server (@servers)
	{
		my $out = $server->ask(q{SELECT partition, next_offset FROM txpipe.stream_partition WHERE assignment IS DISTINCT FROM 'released'}, 10) // return '';
		push @{ $next{ (split /\|/)[0] } }, (split /\|/)[1] for split /\n/, $out;
	}
	return join ' ', map { join '+', @{ $next{$_} // ['nobody'] } } 0 .. $LAST - 1;
}
my $places;
eval { wait_until('everything is read', sub { ($places = places()) eq "@ends" }, 180) };
is($places, "@ends", 'each partition is read to its end by one server');

sub sort_file { system_or_bail('sh', '-c', "LC_ALL=C sort -o $_[0] $_[0]"); return }

# As Kafka has them, read by another program, and as the three servers have them.
system_or_bail('sh', '-c', "kcat -C -q -b $broker->{servers} -t plain -e -f '%p\\t%o\\t%s\\n' > $dir/kafka");
system_or_bail(
	'psql', '-XAtq', '-F', "\t", '-v', 'ON_ERROR_STOP=1', '-d', $servers[$_]{connstr}, '-o', "$dir/server_$_", '-c', q{
	SELECT p, o, format('{"id":%s,"v":"%s"}', id, v) FROM plain
	UNION ALL SELECT kafka_partition, kafka_offset, convert_from(payload, 'UTF8') FROM txpipe.dead_letter}) for 0 .. $SERVERS - 1;
system_or_bail('sh', '-c', "cat $dir/server_? > $dir/stored");
sort_file("$dir/$_") for qw(sent kafka stored);
is(system('cmp', '-s', "$dir/sent", "$dir/kafka"), 0, 'another reader finds in Kafka what was sent, offset by offset');
my ($sent, $lost, $doubled) = map { my ($out) = run_command([ 'sh', '-c', $_ ]); $out + 0 } "wc -l < $dir/kafka",
  "LC_ALL=C comm -23 $dir/kafka $dir/stored | wc -l", "LC_ALL=C comm -13 $dir/kafka $dir/stored | wc -l";
is($sent, sum0(@produced), "$sent messages were sent");
is($lost,    0, 'none of them is lost') or diag(`LC_ALL=C comm -23 $dir/kafka $dir/stored | head -5`);
is($doubled, 0, 'none is in two servers, or twice in one, or made up') or diag(`LC_ALL=C comm -13 $dir/kafka $dir/stored | head -5`);
my $moves = -e "$dir/moves" ? scalar(() = slurp_file("$dir/moves") =~ /\n/g) : 0;
cmp_ok($moves, '>=', $opt{kills} / 2, "$moves moves of partitions");
is(scalar(keys %count), scalar(@kinds), "$opt{kills} kills, of all kinds, $in_flight with a batch in flight");
is( sum0(map { $_->answer(q{SELECT count(*) FROM txpipe.stream_event WHERE event = 'adopted'}) } @servers),
	$moves, 'the logs have as many adoptions');

my @summary = (
	"seed:      $opt{seed}, broker: Apache Kafka, $SERVERS servers, $FIRST partitions, $LAST from the middle on",
	"kills:     $opt{kills} (" . join(', ', map { "$count{$_} $_" } @kinds) . "), $in_flight with a batch in flight",
	"moves:     $moves",
	"messages:  $sent, " . join(' + ', map { my ($n) = run_command([ 'sh', '-c', "wc -l < $dir/server_$_" ]); $n + 0 } 0 .. $SERVERS - 1),
	"lost:      $lost",
	"doubled:   $doubled",
	sprintf 'seconds:   %d', time() - $started);
note $_ for @summary;
append_to_file($ENV{TXPIPE_KILL_SUMMARY}, join '', map { "$_\n" } @summary) if $ENV{TXPIPE_KILL_SUMMARY};

for my $server (@servers)
{
	$server->{node}->stop('fast');
	is(join(' ', $server->children_left), '', 'no child outlives ' . $server->{node}->name);
	log_is_clean($server->{node}, qr/terminating .* due to/, qr/the database system is/, qr/txpipe_io/, qr/connection to client lost/,
		qr/released already|already$|canceling statement/);
}
stop_kafka($broker);
done_testing();
