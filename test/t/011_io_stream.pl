# Streams of the child process: batches, window, errors, a broker that goes away.
#
#   TXPIPE_IO=./txpipe_io TXPIPE_BUILD=build prove test/t/011_io_stream.pl

use strict;
use warnings;

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib $FindBin::RealBin;
use TxpipeIoTest;

start_io_broker('t:2', 'headers:1', 'broken:1', 'many:3');

sub test_stream
{
	my $c = start_child();
	produce($c, 1, '{"a": 1}', key => 'k', headers => [ h => "q\"\n", h => undef, bin => "\xff\x00" ]);
	produce($c, 1, '{"a": "no"}', key => 'k2', headers => [ src => 'x' ]);
	produce($c, 1, undef, key => 'gone');
	produce($c, 0, '{"a": 2}');
	my @columns = ([ 'a', 1 ], [ 'o', 2, 5 ], [ 'h', 7, 8 ], [ 'k', 7, 7 ]);
	say_frame($c, 'STREAM_OPEN', 1, 0, stream_frame('t', columns => \@columns, gather => 300));
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

	# The first message after an idle time comes at once (but for what gathers).
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
	feed('many', 2, map { qq({"a": $_}) } 1 .. 5000);
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

sub test_errors
{
	my $c = start_child();
	my $open = sub { say_frame($c, 'STREAM_OPEN', ++$c->{n}, 0, stream_frame(@_)); return read_error(hear_type($c, 'ERROR')) };
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

	$e = $open->('t,missing');
	like($e->{message}, qr/topic "missing" does not exist/, 'one of a list is missing');
	$e = $open->('^t(');
	is("$e->{fatal} $e->{state}", '1 2201B', 'a pattern that is none');
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

# A message with very many headers costs no more than its size.
sub test_headers
{
	my $c = start_child();
	produce($c, 0, '{"a": 1}', topic => 'headers', headers => [ map { ("n" . $_ % 20_000 => 'v') } 1 .. 40_000 ]);
	open_stream($c, 1, 'headers', columns => [ [ 'h', 7, 8 ] ]);
	say_frame($c, 'STREAM_START', 1, 0, start_at([ 0, 0 ]));
	my $f = hear($c, timeout => 10);
	is($f->{type}, 'BATCH', 'a message with 40,000 headers') or return;
	is(
		read_batch($f)->{block},
		'{' . join(', ', map { qq("n$_": ["v", "v"]) } 1 .. 19_999, 0) . "}\n",
		'... all of them, in the order of their first');
	is(end_child($c), 0, 'exit status 0');
}

# Writes one record batch that says it is gzip, and is not.
sub produce_broken
{
	my ($topic) = @_;
	my $records = 'no gzip at all';
	# length, leader epoch, magic, checksum; attributes, last offset delta, times, producer, records
	my $body  = pack('l> c N n N q>2 q> s> l> N', 0, 2, 0, 1, 0, 0, 0, -1, -1, -1, 1) . $records;
	my $batch = pack('q> N/a', 0, $body);
	# Produce, version 3: no transaction, acknowledged by all
	my $request = pack('n2 N n/a s>2 N N n/a N N N/a', 0, 3, 1, 'test', -1, -1, 5000, 1, $topic, 1, 0, $batch);
	my $broker = IO::Socket::INET->new(PeerAddr => $brokers) or die "$brokers: $!";
	print $broker pack('N/a', $request);
	$broker->flush;
	sysread($broker, my $answer, 1000) or die "no answer: $!";
}

# librdkafka asks for it again and again: people must see that the stream does not get on.
sub test_broken_messages
{
	my $c = start_child();
	feed('broken', 0, '{"a": 1}');
	produce_broken('broken');
	feed('broken', 0, '{"a": 3}');
	open_stream($c, 1, 'broken');
	say_frame($c, 'STREAM_START', 1, 0, start_at([ 0, 0 ]));
	is(read_batch(hear_type($c, 'BATCH'))->{block}, "1\t0\n", 'what is before a broken record batch');
	say_frame($c, 'BATCH_DONE', 1, 1, '');
	my $e = read_error(hear_type($c, 'ERROR'));
	is("$e->{fatal} $e->{message}", '0 partition 0 of topic "broken" cannot be read from offset 1', '... which is told');
	like($e->{detail}, qr/compress/, '... with the reason');
	say_frame($c, 'STREAM_START', 1, 0, start_at([ 0, 2 ]));
	is(read_batch(hear_type($c, 'BATCH'))->{ranges}[0]{from}, 2, '... and what is behind it can be read');
	is(end_child($c), 0, 'exit status 0');
}

test_stream();
test_headers();
test_broken_messages();
test_window();
test_errors();
test_broker_down();
done_testing();
