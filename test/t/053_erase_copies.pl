# A person is erased from the copies in the lake, whatever they are packed, encrypted and written in; the other records
# keep their lines, nothing is loaded twice, and what is cut off in the middle can be done again.
use strict;
use warnings;

use Encode;
use File::Find;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node = files_node('erase_copies');
my $lake = $node->basedir . '/dirs/lake';
my $key  = secret_file(PostgreSQL::Test::Utils::tempdir() . '/key', '0123456789abcdef' x 4);

# Files below the lake, sorted.
sub lake_files
{
	my @found;

	find(sub { push @found, $File::Find::name =~ s{^\Q$lake\E/}{}r if -f }, $lake);
	return join "\n", sort @found;
}

# The content of all of them, unpacked and decrypted by others than us, in UTF-8.
sub lake_text
{
	my $text = '';

	for my $path (map { "$lake/$_" } split /\n/, lake_files())
	{
		my $plain = $path =~ /\.pgp$/ ? "gpg --batch --quiet --pinentry-mode loopback --passphrase-file '$key' --decrypt '$path' |" : "cat '$path' |";

		$plain .= $path =~ /\.zst/ ? 'zstd -dcq' : $path =~ /\.gz/ ? 'gzip -dcq' : 'cat';
		my $content = `$plain`;
		$content = decode('UTF-16', $content) if $path =~ /feed=wide/;
		$text .= "-- $path\n$content";
	}
	return $text;
}

# What is in a table, and what the ledger has counted.
sub rows
{
	my ($table) = @_;

	return sql("SELECT string_agg(format('%s %s', id, note), ', ' ORDER BY id) FROM $table");
}

sub ledger
{
	my ($feed) = @_;

	return sql("SELECT string_agg(format('%s %s: %s = %s + %s + %s', file_name, state, rows_read, rows_loaded, rows_filtered, rows_rejected), ', ' ORDER BY file_name)
		FROM txpipe.file WHERE feed = '$feed'");
}

sub file_id
{
	return sql("SELECT file_id FROM txpipe.file WHERE file_name = '$_[0]' AND state <> 'duplicate'");
}

# --- files of every kind; the target of one does not say which file its rows are of ---

sql(qq{CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers 'localhost:1');
	CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (encryption_key_file '$key')});
my %feed = (
	plain  => q{'^plain/(.*)\.csv$', 'plain'},
	bare   => q{'^bare/(.*)\.txt$', 'bare', options => '{"header": false, "fields": "id,email,note", "delimiter": ";"}'},
	json   => q{'^json/(.*)\.json$', 'json', 'json'},
	packed => q{'^packed/(.*)\.csv\.gz$', 'packed'},
	wide   => q{'^wide/(.*)\.csv$', 'wide', options => '{"encoding": "UTF-16"}'},
	sealed => q{'^sealed/(.*)\.csv$', 'sealed', options => '{"encryption_server": "shop"}'});
for my $name (sort keys %feed)
{
	my $file = $name eq 'wide' ? '' : ', file_id bigint';

	sql("CREATE TABLE $name (id integer, email text, note text$file); SELECT txpipe.create_feed('$name', $feed{$name})");
}
sql(q{CREATE TABLE goods (id integer, title text); SELECT txpipe.create_feed('goods', '^goods/(.*)\.csv$', 'goods')});

my $csv = qq{id,email,note\n1,ann\@x.org,first\n2,joann\@x.org,"two\nlines, and ann\@x.org"\n3,"ann\@x.org","ends\n\nin line 6"\n}
  . qq{x,joann\@x.org,refused\nx,ann\@x.org,refused\n4,bob\@x.org,"she said ""no"""\n5,ann\@x.org,last};
my $others = qq{2 two\nlines, and ann\@x.org, 4 she said "no"};
my %content = (
	plain  => { 'plain/1.csv' => $csv, 'plain/2.csv' => "id,email,note\n6,bob\@x.org,nobody\n" },
	bare   => { 'bare/1.txt' => "\xef\xbb\xbf1;ann\@x.org;first\r\n2;bob\@x.org;two\r\n" },
	json   => { 'json/1.json' => qq({"id": 1, "email": "\\u0061nn\@x.org", "note": "first"}\n\n{"id": 2, "email": "bob\@x.org", "note": "two"}\n{"id": "x", "email": "\\u0061nn\@x.org"}\n) },
	packed => { 'packed/1.csv.gz' => $csv },
	wide   => { 'wide/1.csv' => encode('UTF-16', "id,email,note\n1,ann\@x.org,Gr\x{fc}\x{df}e\n2,bob\@x.org,\x{20ac} 5\n") },
	sealed => { 'sealed/1.csv' => $csv },
	goods  => { 'goods/1.csv' => "id,title\n1,ann\@x.org\n" });

sub deliver_all
{
	for my $feed (sort keys %content)
	{
		deliver($_, $content{$feed}{$_}, $feed eq 'packed' ? ('gzip', '-nc') : ()) foreach sort keys %{ $content{$feed} };
	}
	return;
}

deliver_all();
run_hourly();
my %loaded = map { $_ => ledger($_) } sort keys %feed;
is($loaded{plain}, 'plain/1.csv loaded_with_rejects: 7 = 5 + 0 + 2, plain/2.csv loaded: 1 = 1 + 0 + 0', 'the files are loaded');
is($loaded{json}, 'json/1.json loaded_with_rejects: 3 = 2 + 0 + 1', '... of JSON, too');

# --- a dry run and a rollback leave the lake as it was ---

my $before = lake_files();
my $report = erase(q{'{"email": "ann@x.org"}', server => 'shop'});
like($report, qr/^lake: copies rewritten 6$/m, 'a dry run counts copies');
like($report, qr/^lake: records removed 16$/m, '... and records');
like($report, qr/^lake, feed goods: not searched: it has not all of these columns 1$/m, '... and says what it has not searched');
is(lake_files(), $before, '... and leaves the lake alone');
sql(q{BEGIN; CALL txpipe.erase_subject('{"email": "ann@x.org"}', false, 'shop'); ROLLBACK});
is(lake_files(), $before, 'a rollback, too');
is(sql('SELECT count(*) FILTER (WHERE rows_erased > 0), count(*) FROM txpipe.file'), '0|8', '... and the ledger');

# --- killed in the middle: the new copy is made, the ledger not yet changed ---

my $one   = q{CALL txpipe.erase_subject('{"email": "ann@x.org"}', false, 'shop')};
my $block = $node->background_psql('postgres');
$block->query_safe('BEGIN; LOCK TABLE txpipe.file_ledger IN SHARE MODE');
for my $victim ('child', 'backend')
{
	my $session = start_sql($one);
	my $pid;

	wait_until('a new copy is made', sub { lake_files() ne $before });
	wait_until('it waits for the ledger', sub { $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL txpipe.erase%' AND wait_event_type = 'Lock'}) });
	kill KILL => $victim eq 'child' ? child_pid($pid) : $pid;
	$block->quit if $victim eq 'backend';
	$block->query_safe('COMMIT') if $victim eq 'child';
	eval { $session->{run}->finish };
	wait_for($node, 'SELECT true', 'the server answers');
	is(sql('SELECT max(rows_erased) FROM txpipe.file'), 0, "killed $victim: the ledger is unchanged");
	$block->query_safe('BEGIN; LOCK TABLE txpipe.file_ledger IN SHARE MODE') if $victim eq 'child';
	is(lake_files(), $before, '... and the lake') if $victim eq 'child';
}
isnt(lake_files(), $before, 'what a killed backend has made is left');

# --- it is done ---

like(erase(q{'{"email": "ann@x.org"}', false, 'shop'}), qr/^lake: copies rewritten 6\nlake: records removed 16$/m, 'done again it does the same');
my $after = lake_files();
is(scalar(split /\n/, $after), scalar(split /\n/, $before), 'one copy of each file, and nothing else');
my $text = lake_text();
unlike($text =~ s/lines, and ann\@x\.org|1,ann\@x\.org\n(?=\Z|--)//gr, qr/ann\@x\.org(?<!joann\@x\.org)|u0061nn/, 'nobody finds the person in the lake');
is(scalar(() = $text =~ /joann\@x\.org/g), 6, '... others stay');
like($after, qr{^raw/feed=plain/date=[^/]*/hour=\d\d/1-[0-9a-f]{8}\.csv$}m, 'a new copy is beside the old one, by its content');
like($after, qr{feed=packed/.*/1-[0-9a-f]{8}\.csv\.zst$}m, '... packed as that was');
like($after, qr{feed=sealed/.*/1-[0-9a-f]{8}\.csv\.pgp$}m, '... encrypted as that was');
my ($plain) = $text =~ m{^-- \S*feed=plain\S*/1-\S*\n(.*?)(?=^-- )}ms;
is($plain, qq{id,email,note\n\n2,joann\@x.org,"two\nlines, and ann\@x.org"\n\n\n\nx,joann\@x.org,refused\n\n4,bob\@x.org,"she said ""no"""\n},
	'records become empty lines, as many as they had');
is(sql(q{SELECT string_agg(file_name || ' ' || rows_erased, ', ' ORDER BY file_name) FROM txpipe.file WHERE rows_erased > 0}),
	'bare/1.txt 1, json/1.json 2, packed/1.csv.gz 4, plain/1.csv 4, sealed/1.csv 4, wide/1.csv 1', 'the ledger says how many');
like(sql(q{SELECT reason FROM txpipe.file WHERE file_name = 'plain/1.csv'}), qr/^4 records were erased from its copy on 20/, '... and when');
is(erase(q{'{"email": "ann@x.org"}', server => 'shop'}), 'lake, feed goods: not searched: it has not all of these columns 1', 'a second call finds nothing');

# --- loads, replays and the ledger go on ---

is(ledger($_), $loaded{$_}, "$_: what was counted stays") foreach sort keys %feed;
run_hourly();
deliver_all();
is(run_hourly() // '', '', 'files that come again, and their landing files, are no trouble');
is(sql(q{SELECT string_agg(DISTINCT state, ', ') FROM txpipe.file WHERE state NOT LIKE 'loaded%'}) || 'none', 'none', '... nor changed');
is(rows('plain'), $others . ', 6 nobody', '... nor loaded twice');
deliver('plain/3.csv', $csv);
run_hourly();
is(sql(q{SELECT state, lake_path = (SELECT lake_path FROM txpipe.file WHERE file_name = 'plain/1.csv') FROM txpipe.file WHERE file_name = 'plain/3.csv'}), 'duplicate|t',
	'under another name it is a duplicate');
is(rows('plain'), $others . ', 6 nobody', '... which is not loaded');
is(sql(q{SELECT string_agg(format('%s %s %s', r.line_no, r.state, r.line), ', ' ORDER BY r.line_no) FROM txpipe.rejected_row r JOIN txpipe.file USING (file_id) WHERE feed = 'plain'}),
	'8 open x,joann@x.org,refused, 9 dismissed ', 'rejected records keep their lines');
is(sql(qq{SELECT replayed, failed FROM txpipe.replay_rejected_rows(@{[ file_id('plain/1.csv') ]}, line_nos => ARRAY[8], line => '8,joann\@x.org,mended')}), '1|0', '... and are replayed');
is(rows('plain'), $others =~ s/$/, 6 nobody, 8 mended/r, '... from the new copy');

# A reload reads what is left; unload and reload leave no trace of the person.
my %left = (plain => $others, packed => $others, sealed => $others, bare => '2 two', json => '2 two');
for my $name (sort keys %left)
{
	my ($file) = grep { /1\./ } sort keys %{ $content{$name} };
	my $id = file_id($file);

	sql("SELECT txpipe.reload($id)");
	is(sql("SELECT string_agg(format('%s %s', id, note), ', ' ORDER BY id) FROM $name WHERE file_id = $id"), $left{$name}, "$name: reloaded from the new copy");
	my ($counts) = $loaded{$name} =~ /: (\d+) =/;
	is(sql("SELECT rows_read + rows_erased, rows_read = rows_loaded + rows_filtered + rows_rejected FROM txpipe.file WHERE file_id = $id"), "$counts|t",
		'... and all of its records are accounted for');
	sql("SELECT txpipe.unload($id)");
	is(sql("SELECT count(*) FROM $name WHERE file_id = $id"), 0, '... and unloaded');
}
is(rows('plain'), $others . ', 6 nobody', 'a duplicate that takes the place of one has the new copy, too');

# --- copies that cannot be read, or not be written anew ---

deliver('plain/bad.csv', "id,email,note\n10,carl\@x.org,one\n");
deliver('plain/gone.csv', "id,email,note\n11,carl\@x.org,one\n");
deliver('plain/quote.csv', qq{id,email,note\n12,"open,bob\n13,"dora\@x.org",one\n14,bob",two\n15,dora\@x.org,three\n});
deliver('sealed/2.csv', "id,email,note\n16,carl\@x.org,one\n");
run_hourly();
my %copy = map { split /\|/ } split /\n/, sql(q{SELECT file_name, lake_path FROM txpipe.file WHERE lake_path IS NOT NULL});
rename "$lake/$copy{'plain/bad.csv'}",  "$lake/bad"  or die $!;
rename "$lake/$copy{'plain/gone.csv'}", "$lake/gone" or die $!;
mkdir "$lake/$copy{'plain/bad.csv'}" or die $!;
my $sealed = slurp_file("$lake/$copy{'sealed/2.csv'}");
substr($sealed, -10, 1) ^= "\x01";
open my $fh, '>:raw', "$lake/$copy{'sealed/2.csv'}" or die $!;
print $fh $sealed;
close $fh or die $!;
$report = erase(q{'{"email": "carl@x.org"}', false, 'shop'});
like($report, qr/^lake, feed plain: not searched: (this is not a regular file|could not open file).* 2$/m, 'what cannot be read is reported');
like($report, qr/^lake, feed sealed: not searched: the encrypted data is damaged in file.* 1$/m, '... and what is damaged');
is(sql(q{SELECT count(*) FROM txpipe.file WHERE lake_path IS NULL}), 0, '... and stays');
rmdir "$lake/$copy{'plain/bad.csv'}";
rename "$lake/bad", "$lake/$copy{'plain/bad.csv'}" or die $!;
rename "$lake/gone", "$lake/$copy{'plain/gone.csv'}" or die $!;
like(erase(q{'{"email": "dora@x.org"}', false, 'shop'}), qr/^lake, feed plain: not searched: a broken record stands in the way of records behind it in file.* 1$/m,
	'a record behind which others would be read as its own stays, and is reported');
is(slurp_file("$lake/$copy{'plain/quote.csv'}") =~ /dora/ ? 1 : 0, 1, '... untouched');
sql(qq{INSERT INTO plain VALUES (15, 'dora\@x.org', 'three', @{[ file_id('plain/quote.csv') ]})});
like(erase(q{'{"email": "dora@x.org"}', false, 'shop', true}), qr/^lake: copies removed 1$/m, 'on request such a copy goes as a whole');
is(-e "$lake/$copy{'plain/quote.csv'}" ? 1 : 0, 0, '... now');
unlink "$lake/$copy{'sealed/2.csv'}";

# --- a crash behind the commit leaves the old copy, which goes with the next call ---

like(erase(q{'{"email": "carl@x.org"}', false, 'shop'}), qr/^lake: copies rewritten 2$/m, 'two copies are rewritten');
for my $call (q{CALL txpipe.erase_subject('{"email": "nobody@x.org"}')}, q{SELECT txpipe.clean_lake('90 days')})
{
	open $fh, '>', "$lake/$copy{'plain/bad.csv'}" or die $!;
	print $fh 'carl@x.org';
	close $fh or die $!;
	sql(qq{INSERT INTO txpipe.lake_leftover SELECT '$copy{'plain/bad.csv'}', feed_id FROM txpipe.feed WHERE feed = 'plain' ON CONFLICT DO NOTHING});
	sql($call);
	is(-e "$lake/$copy{'plain/bad.csv'}" ? 1 : 0, 0, "$call removes what was left");
}
is(sql('SELECT count(*) FROM txpipe.lake_leftover'), 0, '... and forgets it');

# What this transaction has given up is needed until its commit.
deliver('plain/twice.csv', "id,email,note\n20,eve\@x.org,one\n21,finn\@x.org,one\n");
run_hourly();
$before = lake_files();
sql(q{BEGIN; CALL txpipe.erase_subject('{"email": "eve@x.org"}', false); CALL txpipe.erase_subject('{"email": "finn@x.org"}', false); ROLLBACK});
is(lake_files(), $before, 'two erasures that are undone leave the lake as it was');
sql(q{BEGIN; CALL txpipe.erase_subject('{"email": "eve@x.org"}', false); CALL txpipe.erase_subject('{"email": "finn@x.org"}', false); COMMIT});
is(scalar(() = lake_files() =~ /twice/g), 1, '... and that are done one copy');
is(sql(q{SELECT rows_erased FROM txpipe.file WHERE file_name = 'plain/twice.csv'}), 2, '... without both');

# With compression a new copy is compressed. Another name does not let the file be taken for new.
$node->append_conf('postgresql.conf', "txpipe.lake_compression = 'zstd'");
$node->reload;
wait_for($node, 'SHOW txpipe.lake_compression', 'the setting is there', value => 'zstd');
deliver('json/2.json', join '', map { qq({"id": $_, "email": "p$_\@x.org", "note": "n"}\n) } 1 .. 30_000);
run_hourly();
like(erase(q{'{"email": ["p7@x.org", "p29999@x.org"]}', false, 'shop'}), qr/^lake: records removed 2$/m, 'in a file of several batches');
like(lake_files(), qr{feed=json/.*/2-[0-9a-f]{8}\.json\.zst$}m, '... that is compressed');
sql("SELECT txpipe.reload(@{[ file_id('json/2.json') ]})");
is(sql(q{SELECT count(*), count(*) FILTER (WHERE id IN (7, 29999)), sum(id) FROM json}), '29998|0|' . (30_000 * 30_001 / 2 - 7 - 29_999), '... all others are reloaded');

log_is_clean($node, qr/txpipe_io|terminating connection|was terminated|the database system is|053_erase_copies/);
done_testing();
