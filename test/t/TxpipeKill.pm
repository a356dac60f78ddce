# TxpipeKill: the kill loop. While a producer keeps producing, processes are killed in an order that a seed
# decides; after every kill SQL compares what is stored with what was sent.
#
# The plan (which kill, which trouble around it, aimed at a batch in flight or not) is a function of the seed
# alone; the moments are not. See kill_loop.sql for the messages and the comparison.
package TxpipeKill;

use strict;
use warnings;

use POSIX      qw(:sys_wait_h);
use List::Util qw(min max sum0 shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeTest;

# Of 100 kills, so many are of this kind.
my %SHARES = (
	'child KILL'      => 38,
	'child SEGV'      => 20,
	'worker KILL'     => 16,
	'worker SEGV'     => 4,
	'postmaster KILL' => 14,
	'immediate stop'  => 8,);

# A broker that can be killed without losing its messages takes these of the child's.
my $BROKER_KILLS = 4;

# What happens around a kill; some of it lasts until after the kill.
my %TROUBLES = (
	'child STOP'   => { begin => \&hang_child, end => \&unhang_child },
	'broker down'  => { begin => \&broker_down, end => \&broker_up },
	'pause'        => { begin => \&pause,       end => \&resume },
	'alter'        => { begin => \&alter },
	'checkpoint'   => { begin => \&checkpoint },
	'DDL'          => { begin => \&change_table },
	'worker TERM'  => { begin => \&terminate_worker },
	'fast restart' => { begin => \&fast_restart });

my $LOOK = q{SELECT (state = 'active' AND xact_start IS NOT NULL AND query LIKE '%batch%')::int
	FROM pg_stat_activity WHERE pid = };

# node: not started; broker: {servers}, {name}, and what can be done to it: {down} and {up}, or {kill} and {start};
# kills, messages: how many at least, messages of the streams that append; seed; partitions: of each topic; backlog: the most messages of a partition
# that are produced and not consumed; shares and troubles: other ones than above; options: of the streams, besides; wrapper: runs the
# postmaster.
sub new
{
	my ($class, %opt) = @_;
	my $self = bless {
		partitions => 4,
		backlog    => 30000,
		chunk      => 2000,
		streams    => [qw(plain split keyed)],
		appending  => [qw(plain split)],
		count      => {},
		done       => 0,
		batch_rows => 200,
		options    => '{}',
		stretch    => 0.03,
		in_flight  => 0,
		wrong      => 0,
		lost       => 0,
		doubled    => 0,
		shares     => \%SHARES,
		troubles   => [ sort keys %TROUBLES ],
		met        => {},
		%opt }, $class;

	$self->{produced} = { map { $_ => 0 } @{ $self->{streams} } };
	$self->{next}     = { map { $_ => [ (0) x $self->{partitions} ] } @{ $self->{streams} } };
	$self->{verified} = { map { $_ => [ (0) x $self->{partitions} ] } @{ $self->{streams} } };
	return $self;
}

# seed, kills and messages as the environment has them, or these.
sub parameters
{
	my (%default) = @_;
	my $kills = $ENV{TXPIPE_KILLS} // $default{kills};

	# No core files of processes that are killed on purpose.
	system_or_bail('prlimit', '--core=0', '--pid', $$);
	return (
		seed     => $ENV{TXPIPE_KILL_SEED} // $default{seed},
		kills    => $kills,
		messages => $ENV{TXPIPE_KILL_MESSAGES} // $kills * 4000);
}

sub topics
{
	my ($self) = @_;

	return map { "$_:$self->{partitions}" } @{ $self->{streams} };
}

# --- the plan ---

sub steps
{
	my ($self) = @_;
	my $n = $self->{kills};
	my %shares = %{ $self->{shares} };
	my @kills;

	if ($self->{broker}{kill})
	{
		$shares{'child KILL'} -= $BROKER_KILLS;
		$shares{'broker KILL'} = $BROKER_KILLS;
	}
	for my $kind (sort keys %shares)
	{
		push @kills, ($kind) x POSIX::ceil($shares{$kind} * $n / 100);
	}
	srand($self->{seed});
	local $List::Util::RAND = sub { rand };
	@kills = shuffle(@kills);
	my @troubles = grep { $_ ne 'alter' || $self->{can_alter} } @{ $self->{troubles} };
	@troubles = grep { $_ ne 'broker down' || $self->{broker}{down} } @troubles;
	my @plan;
	for my $kill (@kills)
	{
		my $trouble = rand() < 0.3 ? $troubles[ int rand @troubles ] : undef;
		my $lasts   = defined $trouble && $TROUBLES{$trouble}{end} && rand() < 0.5;

		push @plan, { kill => $kill, trouble => $trouble, lasts => $lasts, aim => !$lasts && rand() < 0.75,
			stream => $self->{streams}[ int rand @{ $self->{streams} } ], dice => rand() };
	}
	return @plan;
}

# --- SQL ---

# The answer of one statement; undef when it fails or does not come in time.
sub ask
{
	my ($self, $sql, $timeout) = @_;
	my $end = time() + ($timeout // 60);
	my $out = '';
	my $pid = open(my $fh, '-|') // die "fork: $!";

	if ($pid == 0)
	{
		open STDERR, '>', '/dev/null';
		$ENV{PGCONNECT_TIMEOUT} = 10;
		exec 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $self->{connstr}, '-c', $sql or POSIX::_exit(127);
	}
	while (1)
	{
		my $set = '';
		vec($set, fileno($fh), 1) = 1;
		my $left = $end - time();
		if ($left <= 0 || select($set, undef, undef, $left) == 0)
		{
			kill 'KILL', $pid;
			close $fh;
			return undef;
		}
		last unless sysread $fh, $out, 65536, length $out;
	}
	close $fh or return undef;
	chomp $out;
	return $out;
}

# Until the code returns true; the producer goes on meanwhile.
sub await
{
	my ($self, $what, $code, $timeout) = @_;

	return wait_until($what, sub { $self->produce; $code->() }, $timeout);
}

# Until the statement succeeds; its answer.
sub answer
{
	my ($self, $sql, $timeout) = @_;
	my $out;

	$self->await("the server answers: $sql", sub { defined($out = $self->ask($sql, $timeout)) }, $timeout);
	return $out;
}

# --- messages ---

# See kill_loop.sent() in kill_loop.sql, which says the same in SQL.
sub message
{
	my ($self, $stream, $p, $o) = @_;
	my $id  = $self->{partitions} * $o + $p;
	my $key = $stream eq 'keyed' ? ',"k":' . $o % 100 : '';

	return qq({"id":$id$key,"v":\n)        if $o % 200 == 7;
	return qq({"id":"n$id"$key,"v":"x"}\n) if $o % 200 == 107;
	return qq({"id":$id$key,"v":""}\n)     if $o % 10000 < 500 && $o % 50 == 13;
	return qq({"id":$id$key,"v":"v$id"}\n);
}

# How many are produced to these streams.
sub produced
{
	my ($self, @streams) = @_;

	return $self->{partitions} * sum0(@{ $self->{produced} }{@streams});
}

# How many messages belong to so many kills.
sub pace
{
	my ($self, $kills) = @_;

	return $self->{messages} * min(1, $kills / $self->{kills});
}

# Produces what is due: never more than the backlog allows, beyond the pace only for a stream that has nothing
# to do. One chunk of one topic at a time, by a process of its own.
sub produce
{
	my ($self) = @_;

	if ($self->{producer})
	{
		my $done = waitpid $self->{producer}, WNOHANG;
		return if $done == 0;
		die 'the producer failed' unless $? == 0;
		$self->{produced}{ $self->{producing} } += $self->{chunk};
		$self->{producer} = undef;
	}
	return if $self->{quiet};
	my $all     = $self->produced(@{ $self->{appending} });
	my @streams = grep { $_ ne 'keyed' || 5 * $self->produced($_) <= $all } @{ $self->{streams} };
	my ($stream) = sort { $self->backlog($a) <=> $self->backlog($b) } @streams;
	return if $self->backlog($stream) > ($all < $self->pace($self->{done} + 5) ? $self->{backlog} : $self->{chunk});
	$self->start_chunk($stream);
	return;
}

sub start_chunk
{
	my ($self, $stream) = @_;
	my $from = $self->{produced}{$stream};
	my $pid  = fork() // die "fork: $!";

	if ($pid == 0)
	{
		my $failed = 0;
		my @kcats  = map { $self->start_kcat($stream, $_) } 0 .. $self->{partitions} - 1;

		for my $p (0 .. $self->{partitions} - 1)
		{
			print { $kcats[$p] } join '', map { $self->message($stream, $p, $_) } $from .. $from + $self->{chunk} - 1;
			$kcats[$p]->flush;
		}
		close $_ or $failed = 1 for @kcats;
		POSIX::_exit($failed);
	}
	$self->{producer}  = $pid;
	$self->{producing} = $stream;
	return;
}

# Every line written to it becomes a message of the partition.
sub start_kcat
{
	my ($self, $topic, $partition) = @_;

	open my $pipe, '|-', 'kcat', '-P', '-b', $self->{broker}{servers}, '-t', $topic, '-p', $partition,
	  @{ $self->{broker}{kcat} // [] }
	  or POSIX::_exit(1);
	return $pipe;
}

# Of the partition that is furthest behind, as last heard.
sub backlog
{
	my ($self, $stream) = @_;

	return $self->{produced}{$stream} - min(@{ $self->{next}{$stream} });
}

# Waits for the chunk under way; nothing is produced until loud().
sub quiet
{
	my ($self) = @_;

	$self->{quiet} = 1;
	$self->await('the producer has finished its chunk', sub { !$self->{producer} });
	return;
}

sub loud
{
	my ($self) = @_;

	$self->{quiet} = 0;
	return;
}

# One more than the messages consumed; 0 while the server is away.
sub consumed
{
	my ($self) = @_;
	my $out = $self->ask('SELECT stream, partition, next_offset FROM txpipe.stream_partition', 5);
	my $sum = 1;

	return 0 unless defined $out;
	for my $line (split /\n/, $out)
	{
		my ($stream, $partition, $next) = split /\|/, $line;
		$self->{next}{$stream}[$partition] = $next;
		$sum += $next;
	}
	return $sum;
}

# Of the streams that append, as last heard.
sub appended
{
	my ($self) = @_;

	return sum0(map { @$_ } @{ $self->{next} }{ @{ $self->{appending} } });
}

# --- processes ---

# All descendants of a process.
sub family
{
	my ($pid) = @_;
	my (%children, @all);

	for my $file (glob '/proc/[0-9]*/stat')
	{
		open my $fh, '<', $file or next;
		my $line = <$fh> // next;
		push @{ $children{$2} }, $1 if $line =~ /^(\d+) \(.*\) [^Z] (\d+) /;
	}
	my @look = ($pid);
	while (defined(my $parent = shift @look))
	{
		for my $child (@{ $children{$parent} // [] })
		{
			push @all,  $child;
			push @look, $child;
		}
	}
	return @all;
}

# A stopped worker, its child, and whether it has a batch in flight. With $aim, when there was progress since the
# last kill, and as much of the messages is consumed as of the kills is done, one in the middle of a batch; else
# whichever can be caught.
sub catch_worker
{
	my ($self, $aim, $dice) = @_;

	if ($aim)
	{
		my $before = $self->await('the server is up', sub { $self->consumed });
		$self->await('the streams make progress',
			sub { $self->consumed > $before && $self->appended >= $self->pace($self->{done}) });
	}
	my $tries = 0;
	return @{
		$self->await(
			'a worker ' . ($aim ? 'has a batch in flight' : 'has a child'),
			sub {
				my $out = $self->ask(
					q{SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'txpipe worker%' ORDER BY pid});
				my @workers = split /\n/, $out // '' or return 0;
				my $worker = $workers[ (int($dice * @workers) + $tries++) % @workers ];
				my $child  = child_pid($worker) or return 0;

				$self->{seen}{$child} = 1;
				$self->consumed; # lets the producer know
				kill 'STOP', $worker or return 0;
				# One that is stopped with a lock blocks the look at it.
				my $busy = $self->ask("$LOOK $worker", 0.3);
				return [ $worker, $child, $busy ] if defined $busy && $busy ne '' && (!$aim || $busy);
				kill 'CONT', $worker;
				return 0;
			}) };
}

# A child of ours, so that its end is known at once: a zombie would look like a server to the next one.
sub start_server
{
	my ($self) = @_;
	my $data = $self->{node}->data_dir;
	my $pid  = fork() // die "fork: $!";

	if ($pid == 0)
	{
		POSIX::setsid();
		open STDIN,  '<',  '/dev/null'             or POSIX::_exit(1);
		open STDOUT, '>>', $self->{node}->logfile or POSIX::_exit(1);
		open STDERR, '>&', \*STDOUT               or POSIX::_exit(1);
		exec @{ $self->{wrapper} // [] }, 'postgres', '-D', $data or POSIX::_exit(127);
	}
	$self->{postmaster} = $pid;
	$self->await('the server accepts connections', sub {
		die 'the server did not start' if waitpid($pid, WNOHANG) != 0;
		defined $self->ask('SELECT 1', 5);
	});
	$self->{node}->_update_pid(1);
	return;
}

# Until none of these runs. A child that is stopped cannot end, and holds nothing of the server.
sub wait_for_end
{
	my ($self, @pids) = @_;
	my @others = grep { $_ != ($self->{hung} // 0) } @pids;

	$self->await('the processes have ended', sub { !grep { process_lives($_) } @others });
	return;
}

sub wait_for_server_end
{
	my ($self, @family) = @_;

	$self->await('the postmaster has ended', sub { waitpid($self->{postmaster}, WNOHANG) != 0 });
	$self->wait_for_end(@family);
	return;
}

# Stops the server by pg_ctl while a worker is stopped in the middle of something.
sub stop_server
{
	my ($self, $mode, $worker) = @_;
	my @family = family($self->{postmaster});

	system_or_bail('pg_ctl', '-D', $self->{node}->data_dir, '-m', $mode, '-W', 'stop');
	kill 'CONT', $worker if $worker;
	$self->wait_for_server_end(@family);
	$self->{node}->_update_pid(0);
	return;
}

# --- kills ---

sub kill_child
{
	my ($self, $signal, $worker, $child) = @_;

	kill $signal, $child;
	kill 'CONT', $worker;
	return;
}

sub kill_worker
{
	my ($self, $signal, $worker, $child) = @_;

	kill $signal, $worker;
	kill 'CONT', $worker;
	$self->wait_for_end($worker, $child);
	return;
}

sub kill_postmaster
{
	my ($self, $signal, $worker, $child) = @_;
	my @family = family($self->{postmaster});

	$self->{node}->kill9;
	kill 'CONT', $worker;
	$self->wait_for_server_end(@family);
	$self->start_server;
	return;
}

sub stop_immediately
{
	my ($self, $signal, $worker, $child) = @_;

	$self->stop_server('immediate', $worker);
	$self->start_server;
	return;
}

# The broker's process; its messages are on its disk.
sub kill_broker
{
	my ($self, $signal, $worker, $child) = @_;

	$self->quiet;
	$self->{broker}{kill}->();
	kill 'CONT', $worker;
	$self->{broker}{start}->();
	$self->loud;
	return;
}

my %KILLS = (
	'child KILL'      => \&kill_child,
	'child SEGV'      => \&kill_child,
	'worker KILL'     => \&kill_worker,
	'worker SEGV'     => \&kill_worker,
	'postmaster KILL' => \&kill_postmaster,
	'immediate stop'  => \&stop_immediately,
	'broker KILL'     => \&kill_broker);

# --- troubles ---

sub hang_child
{
	my ($self, $step) = @_;
	my ($worker, $child) = $self->catch_worker(0, $step->{dice});

	kill 'STOP', $child;
	kill 'CONT', $worker;
	$self->{hung} = $child;
	return;
}

sub unhang_child
{
	my ($self) = @_;

	kill 'CONT', delete $self->{hung};
	return;
}

sub broker_down
{
	my ($self) = @_;

	$self->quiet;
	$self->{broker}{down}->();
	return;
}

sub broker_up
{
	my ($self) = @_;

	$self->{broker}{up}->();
	$self->loud;
	return;
}

sub pause
{
	my ($self, $step) = @_;

	$self->answer("SELECT txpipe.pause_stream('$step->{stream}')");
	return;
}

sub resume
{
	my ($self, $step) = @_;

	$self->answer("SELECT txpipe.resume_stream('$step->{stream}')");
	return;
}

sub alter
{
	my ($self, $step) = @_;
	my $rows = int($self->{batch_rows} * (0.5 + 2 * $step->{dice}));

	$self->answer(qq{SELECT txpipe.alter_stream('$step->{stream}', options => '{"batch_rows": $rows}')});
	return;
}

sub checkpoint
{
	my ($self) = @_;

	$self->answer('CHECKPOINT');
	return;
}

# A column more, or one less.
sub change_table
{
	my ($self, $step) = @_;

	$self->answer("ALTER TABLE $step->{stream} "
		  . ($step->{dice} < 0.5 ? 'ADD COLUMN IF NOT EXISTS extra integer' : 'DROP COLUMN IF EXISTS extra'));
	return;
}

# As pg_terminate_backend does.
sub terminate_worker
{
	my ($self, $step) = @_;
	my ($worker) = $self->catch_worker(0, $step->{dice});

	kill 'TERM', $worker;
	kill 'CONT', $worker;
	$self->await('the worker has ended', sub { !process_lives($worker) });
	return;
}

sub fast_restart
{
	my ($self, $step) = @_;
	my ($worker) = $self->catch_worker(0, $step->{dice});
	$self->stop_server('fast', $worker);
	$self->start_server;
	return;
}

# --- the loop ---

sub checkpointer
{
	my ($self) = @_;

	return $self->answer("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
}

# Compares what came since the last look; $whole: everything.
sub check
{
	my ($self, $whole) = @_;

	for my $stream (@{ $self->{streams} })
	{
		my $lo = $whole ? [ (0) x $self->{partitions} ] : $self->{verified}{$stream};
		my $out = $self->answer("SELECT array_to_string(hi, ','), lost, doubled, ahead, example "
			  . "FROM kill_loop.check_stream('$stream', '{" . join(',', @$lo) . "}')",
			$whole ? 3600 : undef);
		my ($hi, $lost, $doubled, $ahead, $example) = split /\|/, $out, 5;

		$self->{verified}{$stream} = $self->{next}{$stream} = [ split /,/, $hi ];
		$self->{lost}    += $lost;
		$self->{doubled} += $doubled + $ahead;
		next unless $lost + $doubled + $ahead;
		fail("after kill $self->{done}: lost $lost, doubled $doubled, beyond the offsets $ahead: $example");
		die 'too much is wrong' if ++$self->{wrong} > 10;
	}
	return;
}

sub do_step
{
	my ($self, $step) = @_;
	my $trouble = defined $step->{trouble} ? $TROUBLES{ $step->{trouble} } : {};
	my ($kind, $signal) = split / /, $step->{kill};
	my $before = $self->checkpointer;

	if ($trouble->{begin})
	{
		$trouble->{begin}->($self, $step);
		$self->{met}{ $step->{trouble} }++;
		$trouble->{end}->($self, $step) if $trouble->{end} && !$step->{lasts};
	}
	my ($worker, $child, $busy) = $self->catch_worker($step->{aim}, $step->{dice});
	$KILLS{ $step->{kill} }->($self, $signal, $worker, $child);
	$self->{done}++;
	$self->{count}{ $step->{kill} }++;
	$self->{in_flight} += $busy;
	$trouble->{end}->($self, $step) if $step->{lasts};
	$self->check;
	if ($kind =~ /child|broker/ && ($step->{trouble} // '') ne 'fast restart' && $self->checkpointer ne $before)
	{
		fail("kill $self->{done}: the server was restarted by a $step->{kill}");
	}
	my $note = sprintf '%.1f s, kill %d: %s', time() - $self->{started}, $self->{done}, $step->{kill};
	$note .= ", $step->{trouble} " . ($step->{lasts} ? 'meanwhile' : 'before') if defined $step->{trouble};
	note $note . ($busy ? ', batch in flight' : '') . ', verified ' . $self->verified;
	return;
}

# Those of the children met on the way that still live.
sub children_left
{
	my ($self) = @_;

	return grep { process_lives($_) && slurp_file("/proc/$_/stat") =~ /\(txpipe_io\)/ } keys %{ $self->{seen} };
}

sub verified
{
	my ($self) = @_;

	return sum0(map { @$_ } values %{ $self->{verified} });
}

# Starts the node; makes the server, tables and streams.
sub set_up
{
	my ($self) = @_;

	$self->{connstr} = $self->{node}->connstr('postgres');
	$self->start_server;
	$self->answer('CREATE EXTENSION txpipe');
	kafka_server($self->{node}, 'shop', $self->{broker});
	system_or_bail('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-v', "partitions=$self->{partitions}", '-v',
		"stretch=$self->{stretch}", '-d', $self->{connstr}, '-f', "$ENV{TXPIPE_TREE}/test/kill_loop.sql");
	for my $stream (@{ $self->{streams} })
	{
		my $mode = $stream eq 'keyed' ? 'upsert' : 'append';

		$self->answer(
			qq{SELECT txpipe.create_stream('$stream', 'shop', '$stream', '$stream',
			columns => '{"id": "id", "v": "v", "p": "kafka_partition", "o": "kafka_offset"}'::jsonb ||
				CASE WHEN '$mode' = 'upsert' THEN '{"k": "k"}' ELSE '{}' END::jsonb,
			options => '{"batch_rows": $self->{batch_rows}, "mode": "$mode"}'::jsonb || '$self->{options}')});
	}
	$self->{can_alter} = $self->answer(q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'txpipe'::regnamespace
		AND proname = 'alter_stream'});
	return;
}

sub run
{
	my ($self) = @_;

	$self->{started} = time();
	$self->do_step($_) for $self->steps;
	return;
}

# Consumes the rest, and compares everything once more.
sub finish
{
	my ($self) = @_;

	$self->await('all messages are produced',
		sub { $self->consumed; $self->produced(@{ $self->{appending} }) >= $self->{messages} }, 600);
	$self->quiet;
	my $total = $self->{total} = $self->produced(@{ $self->{streams} });
	$self->await('everything is consumed', sub { $self->consumed == 1 + $total }, 600);
	$self->check(1);
	$self->{seconds} = time() - $self->{started};
	return;
}

# The test points of a whole run; the node is stopped at its end. meanwhile: what is to be asked before that.
sub prove
{
	my ($self, $meanwhile) = @_;

	note "replay this plan with TXPIPE_KILL_SEED=$self->{seed}";
	$self->run;
	$self->finish;
	is($self->{lost},    0, "none of $self->{total} messages is lost");
	is($self->{doubled}, 0, 'none is doubled or made up');
	is($self->verified, $self->{total}, 'all of them were compared');
	cmp_ok($self->{done}, '>=', $self->{kills}, "$self->{done} kills");
	cmp_ok(2 * $self->{in_flight}, '>=', $self->{done}, "$self->{in_flight} with a batch in flight: at least half");
	is($self->answer('SELECT sum(rows_total + dead_letters_total) FROM txpipe.stream_status'),
		$self->{total}, 'the status counts what there is');
	wait_for($self->{node}, 'SELECT sum(lag_messages) = 0 FROM txpipe.stream_status', 'the lag is 0');
	$meanwhile->() if $meanwhile;
	$self->report;
	$self->{node}->stop('fast');
	is(join(' ', $self->children_left), '', 'no child outlives the server');
	log_is_clean(
		$self->{node},
		qr/terminating .* due to/,
		qr/the database system is/,
		qr/txpipe_io/, qr/connection to client lost/);
	return;
}

# The summary, to the log and to the file of TXPIPE_KILL_SUMMARY.
sub report
{
	my ($self) = @_;
	my @lines = $self->summary;

	note $_ for @lines;
	append_to_file($ENV{TXPIPE_KILL_SUMMARY}, join '', map { "$_\n" } @lines) if $ENV{TXPIPE_KILL_SUMMARY};
	return;
}

# Lines for people.
sub summary
{
	my ($self) = @_;
	my $list = sub {
		my ($of) = @_;
		return join ', ', map { "$of->{$_} $_" } sort { $of->{$b} <=> $of->{$a} || $a cmp $b } keys %$of;
	};
	my $dead = $self->answer('SELECT sum(dead_letters_total) FROM txpipe.stream_status');

	return (
		"seed:      $self->{seed}, broker: $self->{broker}{name}",
		"kills:     $self->{done} (" . $list->($self->{count}) . ')',
		"in flight: $self->{in_flight} of them had a batch in flight",
		'troubles:  ' . $list->($self->{met}),
		"messages:  $self->{total}, of which $dead became dead letters and "
		  . $self->produced('keyed') . ' went into a table by key',
		"lost:      $self->{lost}",
		"doubled:   $self->{doubled}",
		sprintf 'seconds:   %d', $self->{seconds});
}

1;
