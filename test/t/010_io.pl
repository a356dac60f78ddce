# The child process on its own: its life, its protocol, files, and a mock Kafka cluster. No server needed.
#
#   TXPIPE_IO=./txpipe_io TXPIPE_BUILD=build prove test/t/010_io.pl

use strict;
use warnings;

use Digest::SHA qw(sha256);
use Fcntl;
use File::Temp qw(tempdir);
use IO::Handle;
use IO::Select;
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(time);

my $program = $ENV{TXPIPE_IO}    // './txpipe_io';
my $build   = $ENV{TXPIPE_BUILD} // 'build';
my $dir     = tempdir(CLEANUP => 1);
my $patience = 30;

my %TYPE = (
	HELLO => 1, STREAM_OPEN => 2, STREAM_START => 3, BATCH_DONE => 4, BATCH_REPEAT => 5, CLOSE => 6,
	TOPICS => 7, PRODUCE => 8, FILE_HASH => 9, FILE_COPY => 10, FILE_OPEN => 11, PARTITIONS => 32,
	BATCH => 33, BATCH_RAW => 34, CLOSED => 35, TOPIC_LIST => 36, PRODUCED => 37, FILE_HASHED => 38,
	FILE_COPIED => 39, FILE_END => 40, ERROR => 41, LOG => 42, ENDS => 43);
my %NAME = reverse %TYPE;

# --- the child ---

sub start_child
{
	my (%arg) = @_;
	socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!";
	my $parent = $arg{parent} // $$;
	my $pid    = fork() // die "fork: $!";
	if ($pid == 0)
	{
		POSIX::dup2(fileno($theirs), 3) unless fileno($theirs) == 3;
		open(my $kept, '>&=', 3) or POSIX::_exit(99);
		fcntl($kept, F_SETFD, 0);
		exec($program, $parent) or POSIX::_exit(99);
	}
	close $theirs;
	my $c = { pid => $pid, sock => $ours, in => '', logs => [], mail => [] };
	say_frame($c, 'HELLO', 0, 0, pack('L', $arg{version} // 2)) unless $arg{silent};
	return $c;
}

sub say_frame
{
	my ($c, $type, $channel, $seq, $payload) = @_;
	my $bytes = pack('L4', length($payload), $TYPE{$type} // $type, $channel, $seq) . $payload;
	while (length $bytes)
	{
		my $n = syswrite($c->{sock}, $bytes) // die "write: $!";
		substr($bytes, 0, $n) = '';
	}
}

# Next frame that is neither LOG nor ENDS (those are kept aside); undef at end of file.
sub hear
{
	my ($c, %arg) = @_;
	my $until = time + ($arg{timeout} // $patience);
	while (1)
	{
		if (length $c->{in} >= 16)
		{
			my ($size, $type, $channel, $seq) = unpack('L4', $c->{in});
			if (length $c->{in} >= 16 + $size)
			{
				my $data = substr($c->{in}, 16, $size);
				substr($c->{in}, 0, 16 + $size) = '';
				my $f = { type => $NAME{$type}, channel => $channel, seq => $seq, data => $data };
				if ($f->{type} eq 'LOG')
				{
					push @{ $c->{logs} }, (unpack('l L/a', $data))[1];
					next;
				}
				next if $f->{type} eq 'ENDS' && !$arg{ends};
				return $f;
			}
		}
		my $left = $until - time;
		return { type => 'TIMEOUT' } if $left <= 0;
		next unless IO::Select->new($c->{sock})->can_read($left);
		my $n = sysread($c->{sock}, $c->{in}, 1 << 20, length $c->{in});
		return undef unless $n;
	}
}

sub wait_exit
{
	my ($c) = @_;
	local $SIG{ALRM} = sub { die "child $c->{pid} did not end\n" };
	alarm $patience;
	waitpid($c->{pid}, 0);
	alarm 0;
	return $?;
}

sub end_child
{
	my ($c) = @_;
	close $c->{sock};
	return wait_exit($c);
}

# --- payloads ---

sub str { return pack('L/a', $_[0]) }
sub opt { return defined $_[0] ? str($_[0]) : pack('L', 0xFFFFFFFF) }

sub properties
{
	my %p = @_;
	return pack('L', scalar keys %p) . join('', map { str($_) . str($p{$_}) } sort keys %p);
}

# columns: [name, type, source, default]
sub schema
{
	my ($format, $form, @columns) = @_;
	my $s = pack('C8', $format, $form, ord(','), ord('"'), 1, 1, 0, 0) . str('') . pack('L l', 0, 0);
	$s .= pack('L', scalar @columns);
	for my $col (@columns)
	{
		my ($name, $type, $source, $default) = @$col;
		$s .= str($name) . pack('C l l l C C C L', $type, 0, $type >= 10 && $type <= 13 ? -1 : 0, 0, 0, $source // 0, 0, 0) . opt($default);
	}
	return $s;
}

sub read_batch
{
	my ($f) = @_;
	die "a frame of type $f->{type} instead of a batch\n" unless $f->{type} =~ /^BATCH/;
	my $d = $f->{data};
	my $take = sub { my ($t, $n) = @_; my @v = unpack($t, $d); substr($d, 0, $n) = ''; return @v };
	my $take_opt = sub {
		my ($n) = $take->('L', 4);
		return undef if $n == 0xFFFFFFFF;
		return substr($d, 0, $n, '');
	};
	my ($rows, $rejects, $stopped, $bytes, $gather, $decode, $sent, $ranges) = $take->('L2 C q4 L', 45);
	my $b = { rows => $rows, seq => $f->{seq}, stopped => $stopped, bytes => $bytes };
	for (1 .. $ranges)
	{
		my %r;
		@r{qw(topic partition from next end last_offset last_ts last_hash bytes rows rejects)} =
		  $take->('L l q7 L2', 72);
		push @{ $b->{ranges} }, \%r;
	}
	my ($fields) = $take->('L', 4);
	for (1 .. $fields)
	{
		my %r = (path => $take_opt->());
		@r{qw(types count first_topic first_partition first_offset last_topic last_partition last_offset)} =
		  $take->('L q L l q L l q', 44);
		push @{ $b->{fields} }, \%r;
	}
	$b->{block} = $take_opt->();
	for (1 .. $rejects)
	{
		my %r;
		@r{qw(topic partition offset ts)} = $take->('L l q2', 24);
		$r{$_} = $take_opt->() for qw(key headers payload code message column);
		push @{ $b->{rejects} }, \%r;
	}
	for (1 .. ($f->{type} eq 'BATCH_RAW' ? $rows : 0))
	{
		my %r;
		@r{qw(bytes topic partition offset ts)} = $take->('L L l q2', 28);
		$r{$_} = $take_opt->() for qw(key headers payload);
		push @{ $b->{raw} }, \%r;
	}
	$b->{rest} = length $d;
	return $b;
}

# [topic, partition, low, high, start] each
sub read_partitions
{
	my ($f) = @_;
	my $d = $f->{data};
	my ($n, $rest) = unpack('L a*', $d);
	my @topics;
	for (1 .. $n)
	{
		(my $topic, $rest) = unpack('L/a a*', $rest);
		push @topics, $topic;
	}
	my ($count, @v) = unpack('L (L l q q q)*', $rest);
	return { topics => \@topics, places => [ map { [ splice @v, 0, 5 ] } 1 .. $count ] };
}

# STREAM_START for partitions of topic 0: [partition, next, last offset, its hash] each
sub start_at
{
	return pack('L', scalar @_) . join('', map { pack('L l q q q', 0, @$_[ 0, 1 ], $_->[2] // -1, $_->[3] // 0) } @_);
}

sub read_error
{
	my ($f) = @_;
	my ($fatal, $state, $rest) = unpack('C L/a a*', $f->{data});
	my ($message) = unpack('L/a', $rest);
	return { fatal => $fatal, state => $state, message => $message };
}

sub spew
{
	my ($path, $content) = @_;
	open(my $fh, '>:raw', $path) or die "$path: $!";
	print $fh $content;
	close $fh;
	return $path;
}

# --- life ---

sub test_life
{
	my $c = start_child();
	is(end_child($c), 0, 'end of file ends it with status 0');

	$c = start_child();
	say_frame($c, 'CLOSE', 7, 0, '');
	is(hear($c)->{type}, 'CLOSED', 'CLOSE of a channel that never was is answered');
	kill 'TERM', $c->{pid};
	is(wait_exit($c), 0, 'SIGTERM ends it with status 0');

	$c = start_child(version => 999);
	is(hear($c), undef, 'another protocol version: it ends');
	is(wait_exit($c) >> 8, 1, '... with status 1');
	like($c->{logs}[0], qr/protocol version 2, the server 999/, '... and says why');

	$c = start_child();
	say_frame($c, 77, 1, 0, 'x');
	is(hear($c), undef, 'an unknown frame: it ends');
	is(wait_exit($c) >> 8, 1, '... with status 1');

	$c = start_child(silent => 1);
	syswrite($c->{sock}, pack('L4', 0xF0000000, 1, 0, 0));
	is(hear($c), undef, 'an oversize frame: it ends');
	is(wait_exit($c) >> 8, 1, '... with status 1');

	$c = start_child(parent => 1, silent => 1);
	is(wait_exit($c), 0, 'not the child of the process named: it ends');

	my $by_hand = `$program 2>&1 3<&-`;
	is($? >> 8, 2, 'started by hand: status 2');
	like($by_hand, qr/not by hand/, '... and a sentence');
}

# --- files ---

sub test_hash_and_copy
{
	my $c    = start_child();
	my $file = spew("$dir/a.csv", "x,y\n1,2\n");
	my $sha  = sha256("x,y\n1,2\n");

	say_frame($c, 'FILE_HASH', 1, 0, str($file));
	my $f = hear($c);
	is($f->{type}, 'FILE_HASHED', 'hash');
	my ($bytes, $mtime, $got) = unpack('q q L/a', $f->{data});
	is($bytes, 8, '... size');
	is(int($mtime / 1e6), (stat $file)[9], '... modification time');
	is($got, $sha, '... SHA-256');

	symlink($file, "$dir/link");
	for (["$dir/none", '58P01'], ["$dir/link", '42809'], [$dir, '42809'])
	{
		say_frame($c, 'FILE_HASH', 1, 0, str($_->[0]));
		is(read_error(hear($c))->{state}, $_->[1], "hash of $_->[0] is refused");
	}

	my $copy = sub {
		my ($name, $sum) = @_;
		say_frame($c, 'FILE_COPY', 2, 0, str($file) . str("$dir/lake/raw/x") . str($name) . str($sum));
		return hear($c);
	};
	is($copy->('a.csv', $sha)->{type}, 'FILE_COPIED', 'copy into a directory that is made');
	is($copy->('a.csv', $sha)->{type}, 'FILE_COPIED', 'copy again: the same content is fine');
	spew("$dir/lake/raw/x/b.csv", 'other');
	is(read_error($copy->('b.csv', $sha))->{state}, '42710', 'other content is not replaced');
	is(read_error($copy->('c.csv', 'z' x 32))->{state}, '55000', 'a source that changed is refused');
	is(read_error($copy->('../c', $sha))->{state}, '08P01', 'a name with a slash is refused');
	opendir(my $d, "$dir/lake/raw/x");
	is(join(' ', sort grep { !/^\.\.?$/ } readdir $d), 'a.csv b.csv', 'no temporary file is left');
	is(end_child($c), 0, 'exit status 0');
}

sub test_file_open
{
	my $c = start_child();
	my @columns = (['a', 1], ['b', 7], ['n', 2, 9]);    # int4, text, line number as int8
	my $text = "\xEF\xBB\xBFa,b\r\n1,one\r\n\r\n2,\"two\r\nlines\"\r\nx,bad\r\n" . "4,four\n5,five\n6,six";
	my $file = spew("$dir/in.csv", $text);
	my $open = str($file) . schema(1, 1, @columns) . pack('L L', 2, 1 << 20);

	say_frame($c, 'FILE_OPEN', 3, 0, $open);
	my $b1 = read_batch(hear($c));
	is($b1->{block}, "1\tone\t2\n2\ttwo\\r\\nlines\t4\n", 'first batch');
	my $b2 = read_batch(hear($c));
	is($b2->{block}, "4\tfour\t7\n", 'second batch');
	is_deeply([ @{ $b2->{rejects}[0] }{qw(offset payload column)} ], [ 6, 'x,bad', 'a' ], 'reject, by line');
	is($b2->{ranges}[0]{next}, 8, 'lines covered');
	is(hear($c, timeout => 0.3)->{type}, 'TIMEOUT', 'no third batch before an acknowledgement');

	say_frame($c, 'BATCH_REPEAT', 3, 1, '');
	my $raw = read_batch(hear($c));
	is($raw->{block}, $b1->{block}, 'repeated: the same rows');
	is_deeply([ map { $_->{payload} } @{ $raw->{raw} } ], [ '1,one', "2,\"two\r\nlines\"" ], '... with records');
	is_deeply([ map { $_->{bytes} } @{ $raw->{raw} } ], [ 8, 17 ], '... and lengths of rows');
	is($raw->{rest}, 0, '... and nothing else');

	say_frame($c, 'BATCH_DONE', 3, 1, '');
	my $b3 = read_batch(hear($c));
	is($b3->{block}, "5\tfive\t8\n6\tsix\t9\n", 'third batch, the last line without its end');
	my $f = hear($c);
	is($f->{type}, 'FILE_END', 'end of the file');
	my ($records, $rows, $rejects, $bytes, $sha) = unpack('q4 L/a', $f->{data});
	is("$records $rows $rejects $bytes", '6 5 1 ' . length $text, '... totals');
	is($sha, sha256($text), '... SHA-256');
	say_frame($c, 'BATCH_REPEAT', 3, 3, '');
	is(hear($c)->{type}, 'BATCH_RAW', 'a batch can be repeated after the end');
	say_frame($c, 'CLOSE', 3, 0, '');
	is(hear($c)->{type}, 'CLOSED', 'closed');

	say_frame($c, 'BATCH_DONE', 3, 2, '');
	is(hear($c), undef, 'mail for a closed channel breaks the protocol');
	is(wait_exit($c) >> 8, 1, '... status 1');
}

sub test_gzip_and_lines
{
	my $c = start_child();
	my $file = spew("$dir/in.json", join('', map { "{\"a\": $_}\n" } 1 .. 50_000));
	system('gzip', '-kf', $file) == 0 or die 'gzip';
	for my $path ($file, "$file.gz")
	{
		say_frame($c, 'FILE_OPEN', 4, 0, str($path) . schema(0, 1, ['a', 1]) . pack('L L', 10_000, 1 << 24));
		my ($rows, $f) = ('');
		while (($f = hear($c))->{type} eq 'BATCH')
		{
			$rows .= read_batch($f)->{block};
			say_frame($c, 'BATCH_DONE', 4, $f->{seq}, '');
		}
		is($f->{type}, 'FILE_END', "$path: read to its end");
		ok($rows eq join('', map { "$_\n" } 1 .. 50_000), '... all rows in order');
		is((unpack('q4', $f->{data}))[3], -s $path, '... bytes as stored');
		say_frame($c, 'CLOSE', 4, 0, '');
		is(hear($c)->{type}, 'CLOSED', 'closed');
	}
	truncate("$file.gz", 1000);
	say_frame($c, 'FILE_OPEN', 4, 0, str("$file.gz") . schema(0, 1, ['a', 1]) . pack('L L', 1e6, 1 << 24));
	is(read_error(hear($c))->{state}, '22P04', 'gzip that is cut short is refused');
	is(end_child($c), 0, 'exit status 0');
}

# --- Kafka ---

my ($broker_pid, $brokers);

sub start_broker
{
	my $port_file = "$dir/port";
	$broker_pid = fork() // die;
	if ($broker_pid == 0)
	{
		open(STDIN,  '<', '/dev/null');
		open(STDOUT, '>', "$dir/broker.out");
		exec("$build/test/mock_broker", '--topic', 't:2', '--topic', 'many:3', '--port-file', $port_file,
			'--control', "$dir/control") or POSIX::_exit(99);
	}
	my $until = time + $patience;
	select(undef, undef, undef, 0.02) while !-e $port_file && time < $until;
	open(my $fh, '<', $port_file) or die "no broker: $!";
	($brokers) = <$fh> =~ /=(.*)/;
}

sub stream_frame
{
	my ($topic, %o) = @_;
	return properties('bootstrap.servers' => $o{brokers} // $brokers, %{ $o{properties} // {} })
	  . str($topic) . pack('l q L', $o{start} // 0, 0, $o{timeout} // 20_000)
	  . schema(0, 1, @{ $o{columns} // [ [ 'a', 1 ], [ 'o', 2, 5 ] ] })
	  . pack('L3 q2 C', $o{rows} // 1000, $o{bytes} // 1 << 20, $o{linger} // 20, 0, 0, 0);
}

sub produce
{
	my ($c, $partition, $value, %o) = @_;
	my @h = @{ $o{headers} // [] };
	my $p = properties('bootstrap.servers' => $brokers) . str($o{topic} // 't') . pack('l', $partition)
	  . opt($o{key}) . opt($value) . pack('L', @h / 2);
	while (my ($n, $v) = splice(@h, 0, 2)) { $p .= str($n) . opt($v) }
	say_frame($c, 'PRODUCE', 90, 0, $p . pack('L', 20_000));
	return hear($c);
}

sub test_produce_and_topics
{
	my $c = start_child();
	my $f = produce($c, 1, '{"a": 1}', key => 'k', headers => [ h => "q\"\n", h => undef, bin => "\xff\x00" ]);
	is($f->{type}, 'PRODUCED', 'produce');
	is_deeply([ unpack('l q', $f->{data}) ], [ 1, 0 ], '... partition and offset');
	produce($c, 1, '{"a": "no"}', key => 'k2', headers => [ src => 'x' ]);
	produce($c, 1, undef, key => 'gone');
	produce($c, 0, '{"a": 2}');
	is(read_error(produce($c, 0, 'x', topic => 'missing'))->{state}, '42704', 'produce to a missing topic');

	say_frame($c, 'TOPICS', 5, 0, properties('bootstrap.servers' => $brokers) . opt(undef) . pack('L', 20_000));
	$f = hear($c);
	is($f->{type}, 'TOPIC_LIST', 'topics');
	my ($n, @rest) = unpack('L (L/a l q)*', $f->{data});
	my %topics;
	while (my ($name, $partitions, $messages) = splice(@rest, 0, 3)) { $topics{$name} = "$partitions $messages" }
	is_deeply(\%topics, { t => '2 4', many => '3 0' }, '... partitions and messages');
	is(end_child($c), 0, 'exit status 0');
}

sub test_stream
{
	my $c = start_child();
	my @columns = ([ 'a', 1 ], [ 'o', 2, 5 ], [ 'h', 7, 8 ], [ 'k', 7, 7 ]);
	say_frame($c, 'STREAM_OPEN', 1, 0, stream_frame('t', columns => \@columns, linger => 300));
	my $f = hear($c);
	is($f->{type}, 'PARTITIONS', 'stream opened') or diag(explain(read_error($f)));
	is_deeply(read_partitions($f), { topics => ['t'], places => [ [ 0, 0, 0, 1, 0 ], [ 0, 1, 0, 3, 0 ] ] }, '... ends and start');
	say_frame($c, 'STREAM_START', 1, 0, start_at([ 0, 0 ], [ 1, 0 ]));
	my (%next, @rows, @rejects, $b);
	while (($next{0} // 0) < 1 || ($next{1} // 0) < 3)
	{
		$f = hear($c);
		is($f->{type}, 'BATCH', 'a batch') or last;
		$b = read_batch($f);
		push @rows, split(/(?<=\n)/, $b->{block});
		push @rejects, @{ $b->{rejects} // [] };
		for (@{ $b->{ranges} })
		{
			is($_->{from}, $next{ $_->{partition} } // 0, "partition $_->{partition} goes on where it was");
			$next{ $_->{partition} } = $_->{next};
		}
		say_frame($c, 'BATCH_REPEAT', 1, $f->{seq}, '') if $b->{rows};
		my $raw = $b->{rows} ? read_batch(hear($c)) : {};
		for (grep { $_->{partition} == 1 } @{ $raw->{raw} // [] })
		{
			is($_->{payload}, '{"a": 1}', 'raw payload');
			is($_->{key}, 'k', 'raw key');
			is($_->{headers}, '{"h": ["q\"\u000a", null], "bin": "\\\\xff00"}', 'raw headers');
		}
		say_frame($c, 'BATCH_DONE', 1, $f->{seq}, '');
	}
	is_deeply([ sort @rows ],
		[ "1\t0\t{\"h\": [\"q\\\\\"\\\\u000a\", null], \"bin\": \"\\\\\\\\xff00\"}\tk\n", "2\t0\t\\N\t\\N\n" ], 'rows');
	is_deeply([ map { "$_->{offset} $_->{code} $_->{key} " . ($_->{payload} // 'NULL') } @rejects ],
		[ '1 bad_value k2 {"a": "no"}', '2 tombstone gone NULL' ], 'rejects')
	  or diag(explain(\@rejects));
	is($rejects[0]{headers}, '{"src": "x"}', 'headers of a reject');

	# The first message after an idle time comes at once (linger apart).
	produce($c, 0, '{"a": 3}');
	my $start = time;
	$b = read_batch(hear($c));
	is($b->{block}, "3\t1\t\\N\t\\N\n", 'a message after an idle time');
	cmp_ok(time - $start, '<', 5, '... without long delay');
	is($b->{ranges}[0]{end}, 2, '... with the end of its partition');
	say_frame($c, 'CLOSE', 1, 0, '');
	is(hear($c)->{type}, 'CLOSED', 'closed');

	# The same channel number again, at offsets of our own.
	say_frame($c, 'STREAM_OPEN', 1, 0, stream_frame('t', start => 1));
	$f = hear($c);
	is_deeply(read_partitions($f)->{places}, [ [ 0, 0, 0, 2, 2 ], [ 0, 1, 0, 3, 3 ] ], 'start at latest');
	say_frame($c, 'STREAM_START', 1, 0, start_at([ 0, 1 ]));
	is(read_batch(hear($c))->{block}, "3\t1\n", 'exactly from the offset given');
	is(end_child($c), 0, 'exit status 0 in the middle of a stream');
}

sub test_window
{
	my $c = start_child();
	open(my $kcat, '|-', "kcat -P -b $brokers -t many -p 2 2>/dev/null") or die;
	print $kcat qq({"a": $_}\n) for 1 .. 5000;
	close $kcat;
	say_frame($c, 'STREAM_OPEN', 2, 0, stream_frame('many', rows => 700));
	is(hear($c)->{type}, 'PARTITIONS', 'stream opened');
	say_frame($c, 'STREAM_START', 2, 0, start_at([ 0, 0 ], [ 1, 0 ], [ 2, 0 ]));
	my ($rows, $next, @waiting) = ('', 0);
	while ($next < 5000)
	{
		my $f = hear($c, timeout => @waiting ? 0.3 : $patience);
		if ($f->{type} eq 'TIMEOUT')
		{
			pass('two batches are in flight and no more') if $next < 1500;
			say_frame($c, 'BATCH_DONE', 2, (shift @waiting)->{seq}, '') for 1 .. @waiting;
			next;
		}
		my $b = read_batch($f);
		push @waiting, $b;
		die 'three in flight' if @waiting > 2;
		cmp_ok($b->{rows}, '<=', 700, "batch of $b->{rows} rows");
		$rows .= $b->{block};
		for (@{ $b->{ranges} }) { $next = $_->{next} if $_->{partition} == 2 }
	}
	ok($rows eq join('', map { "$_\t" . ($_ - 1) . "\n" } 1 .. 5000), 'every row once, in order');
	say_frame($c, 'BATCH_DONE', 2, 12345, '');
	is(read_error(hear($c))->{state}, '08P01', 'an acknowledgement of no batch fails the channel');
	is(end_child($c), 0, 'exit status 0');
}

sub control
{
	my ($line) = @_;
	open(my $fh, '>', "$dir/control") or die;
	print $fh "$line\n";
	close $fh;
}

sub test_errors
{
	my $c = start_child();
	my $open = sub { say_frame($c, 'STREAM_OPEN', ++$c->{n}, 0, stream_frame(@_)); return read_error(hear($c)) };
	my $e = $open->('missing');
	is($e->{state}, '42704', 'missing topic');
	like($e->{message}, qr/topic "missing" does not exist/, '... by name');
	my $start = time;
	$e = $open->('t', brokers => '127.0.0.1:1', timeout => 1500);
	is($e->{state}, '08001', 'unreachable broker');
	like($e->{message}, qr/127\.0\.0\.1:1/, '... by address');
	cmp_ok(time - $start, '<', 10, '... in time');
	$e = $open->('t', properties => { 'no.such' => 'x' });
	is($e->{state}, 'HV00D', 'unknown property');
	$e = $open->('t', properties => { 'ssl.key.pem' => 'topsecret', 'security.protocol' => 'ssl' });
	unlike(join(' ', $e->{message}, @{ $c->{logs} }), qr/topsecret/, 'a secret is not repeated');

	say_frame($c, 'STREAM_OPEN', 50, 0, stream_frame('t'));
	is(hear($c)->{type}, 'PARTITIONS', 'opened');
	say_frame($c, 'STREAM_START', 50, 0, start_at([ 0, 500 ]));
	$e = read_error(hear($c));
	is("$e->{fatal} $e->{state}", '1 55000', 'an offset that is not there');
	like($e->{message}, qr/offset 500 of partition 0 of topic "t"/, '... by place');
	is(end_child($c), 0, 'exit status 0');
}

sub test_broker_down
{
	my $c = start_child();
	say_frame($c, 'STREAM_OPEN', 1, 0, stream_frame('t'));
	is(hear($c)->{type}, 'PARTITIONS', 'opened');
	say_frame($c, 'STREAM_START', 1, 0, start_at([ 0, 2 ]));
	control('down 1');
	my $e = read_error(hear($c));
	is("$e->{fatal} $e->{state}", '0 08006', 'the broker is down: told, not fatal');
	control('up 1');
	is(hear($c, ends => 1)->{type}, 'ENDS', 'it is back: the ends are told');
	produce($c, 0, '{"a": 9}');
	is(read_batch(hear($c))->{block}, "9\t2\n", '... and messages flow');
	is(end_child($c), 0, 'exit status 0');
}

test_life();
test_hash_and_copy();
test_file_open();
test_gzip_and_lines();
start_broker();
test_produce_and_topics();
test_stream();
test_window();
test_errors();
test_broker_down();
done_testing();

END
{
	if ($broker_pid)
	{
		my $status = $?;
		kill 'TERM', $broker_pid;
		waitpid($broker_pid, 0);
		$? = $status;
	}
}
