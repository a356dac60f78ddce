# The child process on its own: its life, files, and requests to a mock Kafka cluster. No server needed.
#
#   TXPIPE_IO=./txpipe_io TXPIPE_BUILD=build prove test/t/010_io.pl

use strict;
use warnings;

use Digest::SHA qw(sha256 sha256_hex);
use Encode qw(encode);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib $FindBin::RealBin;
use TxpipeIoTest;

sub slurp
{
	my ($path) = @_;

	open(my $fh, '<:raw', $path) or die "$path: $!";
	local $/;
	return scalar <$fh>;
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
	like($c->{logs}[0], qr/protocol version 18, the server 999/, '... and says why');

	$c = start_child();
	say_frame($c, 'PING', 0, 0, '');
	is(hear($c)->{type}, 'PONG', 'asked whether it lives it answers');
	is(end_child($c), 0, '... and lives on');

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

	say_frame($c, 'FILE_HASH', 1, 0, str($dir) . str('a.csv'));
	my $f = hear($c);
	is($f->{type}, 'FILE_HASHED', 'hash');
	my ($bytes, $mtime, $got) = unpack('q q L/a', $f->{data});
	is($bytes, 8, '... size');
	is(int($mtime / 1e6), (stat $file)[9], '... modification time');
	is($got, $sha, '... SHA-256');

	symlink($file, "$dir/link");
	mkdir("$dir/real");
	spew("$dir/real/a.csv", 'x');
	symlink("$dir/real", "$dir/folder");
	POSIX::mkfifo("$dir/fifo", 0600) or die "mkfifo: $!";
	for (
		['none', '58P01'], ['link', '42809'], ['real', '42809'], ['folder/a.csv', '42809'], ['fifo', '42809'],
		['a.csv/b', '58P01'], ['../a.csv', '22023'], ['real/../a.csv', '22023'], ['real/./a.csv', '22023'],
		["$dir/a.csv", '22023'], ['real//a.csv', '22023'], ['', '22023'])
	{
		say_frame($c, 'FILE_HASH', 1, 0, str($dir) . str($_->[0]));
		is(read_error(hear($c))->{state}, $_->[1], "hash of $_->[0] is refused");
	}

	my $copy = sub {
		my ($name, $sum, %arg) = @_;
		say_frame($c, 'FILE_COPY', 2, 0,
			str($dir) . str($arg{source} // 'a.csv') . str("$dir/lake") . str($arg{directory} // 'raw/x') . str($name)
			  . str($sum) . pack('C', $arg{compress} // 0) . opt($arg{keys}));
		return hear($c);
	};
	mkdir("$dir/lake");
	is($copy->('a.csv', $sha)->{type}, 'FILE_COPIED', 'copy into a directory that is made');
	is($copy->('a.csv', $sha)->{type}, 'FILE_COPIED', 'copy again: the same content is fine');
	spew("$dir/lake/raw/x/b.csv", 'other');
	is(read_error($copy->('b.csv', $sha))->{state}, '42710', 'other content is not replaced');
	is(read_error($copy->('c.csv', 'z' x 32))->{state}, '55000', 'a source that changed is refused');
	is(read_error($copy->('../c', $sha))->{state}, '08P01', 'a name with a slash is refused');
	is(read_error($copy->('c', $sha, directory => '../raw'))->{state}, '22023', 'a directory outside is refused');
	symlink("$dir/real", "$dir/lake/linked");
	is(read_error($copy->('c', $sha, directory => 'linked/x'))->{state}, '42809', 'and one behind a link');

	# Compressed: the content is the same, and is found again whatever the setting is by then.
	$f = $copy->('z.csv', $sha, compress => 1);
	is($f->{type}, 'FILE_COPIED', 'a compressed copy');
	is(unpack('L/a', $f->{data}), 'z.csv.zst', '... is named so');
	is(`zstd -dcq $dir/lake/raw/x/z.csv.zst`, "x,y\n1,2\n", '... and holds the content');
	is(unpack('L/a', $copy->('z.csv', $sha)->{data}), 'z.csv.zst', 'it is found again without the setting');
	is(unpack('L/a', $copy->('a.csv', $sha, compress => 1)->{data}), 'a.csv', 'a plain copy with it');
	is(read_error($copy->('y.csv', 'z' x 32, compress => 1))->{state}, '55000', 'a source that changed is refused');
	system('gzip', '-k', $file) == 0 or die 'gzip';
	my $packed = slurp("$file.gz");
	$f = $copy->('p.csv.gz', sha256($packed), source => 'a.csv.gz', compress => 1);
	is(unpack('L/a', $f->{data}), 'p.csv.gz', 'a file that came packed keeps its name');
	is(slurp("$dir/lake/raw/x/p.csv.gz"), $packed, '... and its bytes');
	spew("$dir/lake/raw/x/d.csv.zst", substr(slurp("$dir/lake/raw/x/z.csv.zst"), 0, 12));
	is(read_error($copy->('d.csv', $sha, compress => 1))->{state}, '42710', 'a damaged file is other content');
	$packed = substr($packed, 0, 20);
	spew("$dir/cut.gz", $packed);
	for my $time ('', ' again')
	{
		is($copy->('cut.gz', sha256($packed), source => 'cut.gz')->{type}, 'FILE_COPIED', "a damaged file is kept as it came$time");
	}

	# Encrypted: what cannot be read is other content, too.
	my ($key, $other) = ('k' x 40, 'o' x 40);
	is($copy->('e.csv', $sha, keys => $key)->{type}, 'FILE_COPIED', 'an encrypted copy');
	is($copy->('e.csv', $sha, keys => "$other\n$key")->{type}, 'FILE_COPIED', '... is found again when the key has changed');
	my ($name) = map { s{.*/}{}r } glob "$dir/lake/raw/x/e.csv*";
	is(read_error($copy->('e.csv', $sha, keys => $other))->{state}, '42710', '... and is other content without the old one');
	spew("$dir/lake/raw/x/$name", substr(slurp("$dir/lake/raw/x/$name"), 0, 30));
	is(read_error($copy->('e.csv', $sha, keys => $key))->{state}, '42710', '... or when it is cut short');
	unlink "$dir/lake/raw/x/$name";

	# Once more, without some records: named by content, and found again.
	my $again = sub {
		my ($name, $lines, %arg) = @_;
		say_frame($c, 'FILE_REWRITE', 3, 0,
			str("$dir/lake") . str("raw/x/$name") . str($arg{directory} // 'raw/y') . str($arg{name} // $name)
			  . str($arg{sum} // sha256(-f "$dir/lake/raw/x/$name" ? slurp("$dir/lake/raw/x/$name") : '')) . str($arg{encoding} // 'UTF8')
			  . pack('CA1A1', 1, ',', '"') . pack('L', scalar @$lines) . pack('q*', @$lines) . pack('C', 0) . opt($arg{keys}));
		return hear($c);
	};
	spew("$dir/lake/raw/x/r.csv", qq{x,y\n1,"a\nb"\n2,c\n3,d});
	for my $made (1, 0)
	{
		$f = $again->('r.csv', [ 2, 5 ]);
		my ($used, $was_made, $bytes, $sum) = unpack 'L/a C q L/a', $f->{data};
		is("$used $was_made $bytes", 'r-' . unpack('H8', $sum) . ".csv $made 10", 'records are left out, ' . ($made ? 'in a new file' : 'which is found again'));
		is(slurp("$dir/lake/raw/y/$used"), "x,y\n\n\n2,c\n", '... their line ends stay');
		is($sum, sha256("x,y\n\n\n2,c\n"), '... and the hash is that of the content');
	}
	like(read_error($again->('r.csv', [2], sum => sha256('other')))->{message}, qr/other content than the file that arrived/, 'another content than the ledger has');
	like(read_error($again->('r.csv', [2], sum => 'short'))->{message}, qr/frame of a file request is broken/, '... or no hash of it');
	is(read_error($again->('r.csv', [3]))->{state}, 'XX001', 'a line at which no record begins');
	is(read_error($again->('r.csv', [ 4, 2 ]))->{state}, 'XX001', 'lines that do not ascend');
	is(read_error($again->('d.csv.zst', [2]))->{state}, '22P04', 'a damaged source');
	is(read_error($again->('none', [2]))->{state}, '58P01', 'one that is not there');
	is(read_error($again->('../x/../../../real/a.csv', [2], name => 'a'))->{state}, '22023', 'one outside');
	is(read_error($again->('r.csv', [2], name => '../r'))->{state}, '08P01', 'a name with a slash');
	is(read_error($again->('r.csv', [2], directory => 'linked/x'))->{state}, '42809', 'a directory behind a link');
	is(read_error($again->('r.csv', [2], encoding => 'nonsense'))->{state}, '22023', 'no encoding');
	is(read_error($again->('r.csv', [2], keys => 'short'))->{state}, '22023', 'no key');
	is(join(' ', map { s{.*/}{}r } sort glob("$dir/lake/raw/y/* $dir/lake/raw/y/.c*")), 'r-' . substr(sha256_hex("x,y\n\n\n2,c\n"), 0, 8) . '.csv', 'nothing else is left');
	unlink "$dir/lake/raw/x/r.csv";

	opendir(my $d, "$dir/lake/raw/x");
	is(join(' ', sort grep { !/^\.\.?$/ } readdir $d), 'a.csv b.csv cut.gz d.csv.zst p.csv.gz z.csv.zst', 'no temporary file is left');
	is(end_child($c), 0, 'exit status 0');
}

# What FILE_OPEN begins with.
sub opening
{
	my ($name, %arg) = @_;

	return str($dir) . str($name) . pack('C', $arg{landing} // 0) . str($arg{encoding} // 'UTF8') . opt($arg{header});
}

# Opens a file and reads it to its end: the rows, and the frame that ends them.
sub read_file
{
	my ($c, $opening, $format, @columns) = @_;
	my ($rows, $f) = ('');

	say_frame($c, 'FILE_OPEN', 4, 0, $opening . schema($format, 1, @columns) . pack('L4', 10_000, 1 << 24, 0, 0xFFFFFFFF));
	while (($f = hear($c))->{type} eq 'BATCH')
	{
		my $batch = read_batch($f);

		$rows .= $batch->{block} . join('', map { "reject $_->{offset} $_->{code}\n" } @{ $batch->{rejects} });
		say_frame($c, 'BATCH_DONE', 4, $f->{seq}, '');
	}
	say_frame($c, 'CLOSE', 4, 0, '');
	is(hear($c)->{type}, 'CLOSED', 'closed');
	return ($rows, $f);
}

# Found by fuzzing frames.
sub test_odd_openings
{
	my $c = start_child();
	my $file = spew("$dir/odd.csv", "1\n2\n");
	my $rest = schema(1, 1, ['a', 1]);

	say_frame($c, 'FILE_OPEN', 3, 0, opening('odd.csv', header => 'a') . $rest . pack('L4', 10, 0, 0, 0xFFFFFFFF));
	is(read_batch(hear($c))->{block}, "1\n", 'batches of no bytes: a row each');
	is(read_batch(hear_type($c, 'BATCH'))->{block}, "2\n", '... and the next');
	hear_type($c, 'FILE_END');
	say_frame($c, 'CLOSE', 3, 0, '');
	hear_type($c, 'CLOSED');

	say_frame($c, 'FILE_OPEN', 4, 0, opening('odd.csv', encoding => "UTF\xED") . $rest . pack('L4', 10, 100, 0, 0xFFFFFFFF));
	is(read_error(hear($c))->{detail}, 'UTF?', 'the detail of an error is UTF-8 whatever it quotes');
	is(end_child($c), 0, 'exit status 0');
}

sub test_file_open
{
	my $c = start_child();
	my @columns = (['a', 1], ['b', 7], ['n', 2, 9]);    # int4, text, line number as int8
	my $text = "\xEF\xBB\xBFa,b\r\n1,one\r\n\r\n2,\"two\r\nlines\"\r\nx,bad\r\n" . "4,four\n5,five\n6,six";
	my $file = spew("$dir/in.csv", $text);
	my $open = opening('in.csv') . schema(1, 1, @columns) . pack('L4', 2, 1 << 20, 0, 0xFFFFFFFF);

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
	my ($records, $rows, $rejects, $bytes, $sha, $content) = unpack('q4 L/a L', $f->{data});
	is("$records $rows $rejects $bytes", '6 5 1 ' . length $text, '... totals');
	is($sha, sha256($text), '... SHA-256');
	is($content, 0xFFFFFFFF, '... and none of unpacked content');
	say_frame($c, 'BATCH_REPEAT', 3, 3, '');
	is(hear($c)->{type}, 'BATCH_RAW', 'a batch can be repeated after the end');
	say_frame($c, 'CLOSE', 3, 0, '');
	is(hear($c)->{type}, 'CLOSED', 'closed');

	say_frame($c, 'BATCH_DONE', 3, 2, '');
	is(hear($c), undef, 'mail for a closed channel breaks the protocol');
	is(wait_exit($c) >> 8, 1, '... status 1');
}

sub test_packed
{
	my $c = start_child();
	my $lines = join('', map { "{\"a\": $_}\n" } 1 .. 50_000);
	my $half = length($lines) / 2;
	my $expected = join('', map { "$_\n" } 1 .. 50_000);

	spew("$dir/in.json", $lines);
	spew("$dir/half", substr($lines, 0, $half));
	spew("$dir/rest", substr($lines, $half));
	for (
		"gzip -c in.json > in.json.gz", "zstd -qc in.json > in.json.zst", "zstd -qc --no-check < in.json > nocheck",
		"(gzip -c half; gzip -c rest) > two.gz", "(zstd -qc half; zstd -qc rest) > two.zst",
		"(printf 'Q*M\\030\\003\\0\\0\\0abc'; zstd -qc in.json) > skip.zst")
	{
		system("cd $dir && $_") == 0 or die $_;
	}
	for my $name (qw(in.json in.json.gz in.json.zst nocheck two.gz two.zst skip.zst))
	{
		my ($rows, $f) = read_file($c, opening($name), 0, ['a', 1]);

		is($f->{type}, 'FILE_END', "$name: read to its end");
		ok($rows eq $expected, '... all rows in order');
		my ($records, undef, undef, $bytes, $stored, $content) = unpack('q4 L/a L/a', $f->{data} . pack('L', 0));
		is("$records $bytes", '50000 ' . -s "$dir/$name", '... bytes as stored');
		is($stored, sha256(slurp("$dir/$name")), '... and their SHA-256');
		is($content, sha256($lines), '... and that of the content') unless $name eq 'in.json';
	}

	# Damage of any kind is an error, wherever it is.
	for my $name (qw(in.json.gz in.json.zst two.gz two.zst))
	{
		my $bytes = slurp("$dir/$name");
		my ($kind) = $name =~ /(gz|zst)$/;

		for my $len (0, 2, 7, 1000, length($bytes) - 1)
		{
			spew("$dir/cut.$kind", substr($bytes, 0, $len));
			my ($rows, $f) = read_file($c, opening("cut.$kind"), 0, ['a', 1]);
			is($f->{type} eq 'ERROR' ? read_error($f)->{state} : $f->{type}, '22P04', "$name cut at $len is refused");
		}
		for my $at (20, length($bytes) / 2, length($bytes) - 3)
		{
			my $damaged = $bytes;

			substr($damaged, $at, 1) ^= "\xff";
			spew("$dir/damaged.$kind", $damaged);
			my ($rows, $f) = read_file($c, opening("damaged.$kind"), 0, ['a', 1]);
			my $error = $f->{type} eq 'ERROR' ? read_error($f) : { state => $f->{type} };
			is($error->{state}, '22P04', "$name with another byte at $at is refused");
			like($error->{message}, qr/^the (gzip|zstd) data is (damaged|cut short) in file: "/, '... and why');
		}
		spew("$dir/more.$kind", "$bytes garbage");
		my ($rows, $f) = read_file($c, opening("more.$kind"), 0, ['a', 1]);
		is($f->{type}, 'ERROR', "$name with garbage behind it is refused");
	}
	is(end_child($c), 0, 'exit status 0');
}

sub test_text
{
	my $c = start_child();
	my @columns = (['id', 1], ['name', 7], ['line', 2, 9]);
	my $text = "1,Z\x{fc}rich\r\n2,\x{20ac}\x{153}\r\n";
	my $expected = encode('UTF-8', "1\tZ\x{fc}rich\t1\n2\t\x{20ac}\x{153}\t2\n");

	for my $case ([ 'CP1252', 'cp1252' ], [ 'utf-8', 'UTF-8' ], [ 'UTF-16', 'UTF-16' ], [ 'UTF-16LE', 'UTF-16LE' ],
		[ 'UTF-16BE', 'UTF-16BE' ], [ 'UTF-32', 'UTF-32' ])
	{
		spew("$dir/text.csv", encode($case->[1], $text));
		my ($rows, $f) = read_file($c, opening('text.csv', encoding => $case->[0], header => '"id","name"'), 1, @columns);
		is($f->{type}, 'FILE_END', "$case->[0] without a header");
		is($rows, $expected, '... the text');
	}

	# A byte-order mark of a marked encoding, and characters at the edge of two chunks.
	my $long = 'x' . ("\x{20ac}" x 200_000);
	spew("$dir/text.csv", "\xff\xfe" . encode('UTF-16LE', "id,name\n1,$long\n"));
	my ($rows, $f) = read_file($c, opening('text.csv', encoding => 'UTF-16LE'), 1, @columns);
	ok($rows eq encode('UTF-8', "1\t$long\t2\n"), 'UTF-16LE with its mark, longer than a chunk');
	spew("$dir/text.csv", "id,name\n1," . ("\x82\xa0" x 300_000) . "\n");
	($rows, $f) = read_file($c, opening('text.csv', encoding => 'SHIFT_JIS'), 1, @columns);
	ok($rows eq encode('UTF-8', "1\t" . ("\x{3042}" x 300_000) . "\t2\n"), 'SHIFT_JIS, the same');

	# What is no character rejects its record and no other.
	for my $case (
		[ 'CP1252', "1,a\n2,\x81\n3,\xc3\x81\x81\n4,b\n",                                     '2 3' ],
		[ 'EUC-JP', "1,a\n2,\xa4\n3,\xff\xff\n4,b\n",                                          '2 3' ],
		[ 'UTF-16LE', encode('UTF-16LE', "1,a\n2,") . "\x0a\xd8" . encode('UTF-16LE', "\n3,\x00\n4,b\n"), '2 3' ],
		[ 'UTF-8', "1,a\n2,\x81\n3,\xc3(\n4,b\n",                                               '2 3' ])
	{
		spew("$dir/text.csv", $case->[1]);
		($rows, $f) = read_file($c, opening('text.csv', encoding => $case->[0], header => 'id,name'), 1, @columns);
		is(join(' ', $rows =~ /^reject (\d+) (?:bad_encoding|nul_byte)$/mg), $case->[2], "$case->[0]: records that are refused");
		like($rows, qr/^1\ta\t1\n4\tb\t4\n/, '... and the others');
	}
	spew("$dir/text.csv", encode('UTF-16LE', "1,a\n2,b") . 'c');
	($rows, $f) = read_file($c, opening('text.csv', encoding => 'UTF-16LE', header => 'id,name'), 1, @columns);
	is($rows, "1\ta\t1\nreject 2 bad_encoding\n", 'half a character at the end');
	(undef, $f) = read_file($c, opening('text.csv', encoding => 'KLINGON'), 1, @columns);
	is(read_error($f)->{state}, '22023', 'an unknown encoding is refused');
	(undef, $f) = read_file($c, opening('text.csv', header => 'a,b'), 1, @columns);
	is(read_error($f)->{state}, '22P04', 'names that no column has, too');
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

	is(read_error(produce($c, 0, '{}', encodings => [ [4] ]))->{state}, '22023', 'Avro without a schema, and no registry that may have one');
	is(read_error(produce($c, 0, '{}', encodings => [ [ 1, '"int"' ] ]))->{state}, '08P01', 'an encoding that is none');

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
test_odd_openings();
test_file_open();
test_packed();
test_text();
start_io_broker('t:2', 'many:3');
test_produce_and_topics();
done_testing();
