# The child process on its own: its life, files, and requests to a mock Kafka cluster. No server needed.
#
#   TXPIPE_IO=./txpipe_io TXPIPE_BUILD=build prove test/t/010_io.pl

use strict;
use warnings;

use Digest::SHA qw(sha256);
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib $FindBin::RealBin;
use TxpipeIoTest;

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

	my $e = read_error(produce($c, 0, 'x' x 1_100_000));
	is($e->{state}, '54000', 'a message larger than message.max.bytes is refused');
	like($e->{hint}, qr/message_max_bytes/, '... with the option to raise');

	say_frame($c, 'TOPICS', 5, 0, properties('bootstrap.servers' => $brokers) . opt(undef) . pack('L', 20_000));
	$f = hear($c);
	is($f->{type}, 'TOPIC_LIST', 'topics');
	my ($n, @rest) = unpack('L (L/a l q)*', $f->{data});
	my %topics;
	while (my ($name, $partitions, $messages) = splice(@rest, 0, 3)) { $topics{$name} = "$partitions $messages" }
	is_deeply(\%topics, { t => '2 4', many => '3 0' }, '... partitions and messages');

	# The brokers answer, but Produce (0) is told to try again for want of replicas (19).
	control('error 0 19 100');
	$e = read_error(produce($c, 0, 'x', timeout => 1000));
	is($e->{state}, '08006', 'a message that is not acknowledged in time');
	like($e->{hint}, qr/may have been written/, '... may have been written: the hint says so');
	is(end_child($c), 0, 'exit status 0');
}

test_life();
test_hash_and_copy();
test_file_open();
test_gzip_and_lines();
start_io_broker('t:2', 'many:3');
test_produce_and_topics();
done_testing();
