# What an erasure must not do: take a damaged copy for a good one, let the person come back, miss him behind escapes, or
# lose track of his old copy.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node = files_node('erase_faults');
my $lake = $node->basedir . '/dirs/lake';
my $ann  = q{CALL txpipe.erase_subject('{"email": "ann@x.org"}', false)};
my $csv  = "id,email,units\n1,ann\@x.org,1\n2,bob\@x.org,2\n";

sql(qq{CREATE TABLE $_ (id integer, email text, units integer, file_id bigint);
	SELECT txpipe.create_feed('$_', '^$_/(.*)/.*[.]csv\$', '$_', after_load => 'keep')}) foreach qw(torn late again);
sql(q{CREATE TABLE escaped (id integer, email text, file_id bigint);
	SELECT txpipe.create_feed('escaped', '^escaped/(.*)/.*[.]json$', 'escaped', 'json')});

sub rows
{
	return sql("SELECT string_agg(format('%s %s %s', id, email, units), ', ' ORDER BY id) FROM $_[0]");
}

# A column of the ledger.
sub of_file
{
	my ($name, $column) = @_;

	return sql("SELECT $column FROM txpipe.file WHERE file_name = '$name'");
}

sub copy_of
{
	return "$lake/" . of_file($_[0], 'lake_path');
}

sub write_file
{
	my ($path, $content) = @_;

	open my $fh, '>:raw', $path or die "$path: $!";
	print $fh $content;
	close $fh or die "$path: $!";
	return;
}

# What is said beside the result.
sub notices
{
	my $err;

	$node->psql('postgres', $_[0], stderr => \$err, on_error_die => 1);
	return $err // '';
}

# --- a copy that is not what arrived stays, is reported, and never becomes a good one ---

deliver('torn/1/a.csv', $csv);
run_hourly();
my $copy   = copy_of('torn/1/a.csv');
my $reload = 'SELECT txpipe.reload(' . of_file('torn/1/a.csv', 'file_id') . ')';
write_file($copy, $csv =~ s/bob\@x.org,2/bob\@x.org,7/r);
is(error_of($node, $reload)->{state}, 'XX001', 'a copy with a false digit is not loaded');
like(sql($ann), qr/"place": "lake, feed torn", "action": "not searched: the copy [^}]* has other content than the file that arrived/, 'an erasure reports it');
is(copy_of('torn/1/a.csv'), $copy, '... and leaves it');
is(of_file('torn/1/a.csv', 'rows_erased'), 0, '... and the ledger');
is(error_of($node, $reload)->{state}, 'XX001', '... so that it is not loaded behind it either');
write_file($copy, $csv);
like(sql($ann), qr/"count": 1, "place": "lake", "action": "copies rewritten"/, 'mended it is written anew');
like(notices($reload), qr/lacks records: they were erased/, 'a reload says that records are missing');
is(rows('torn'), '2 bob@x.org 2', '... and loads the others');
$copy = copy_of('torn/1/a.csv');
write_file($copy, slurp_file($copy) =~ s/bob\@x.org,2/bob\@x.org,7/r);
like(sql(q{CALL txpipe.erase_subject('{"email": "bob@x.org"}', false)}), qr/the copy [^}]* has other content than the file that arrived/, 'a new copy is checked as well');

# --- the same content in an earlier group takes the place of a file whose copy lacks the person; what was delivered is still there ---

deliver('late/02/a.csv', $csv);
run_hourly();
sql($ann);
deliver('late/01/a.csv', $csv);
run_hourly() for 1 .. 2;
is(sql(q{SELECT string_agg(format('%s %s %s', file_name, state, rows_erased), ', ' ORDER BY file_name) FROM txpipe.file WHERE feed = 'late'}),
	'late/01/a.csv loaded 1, late/02/a.csv duplicate 1', 'a file takes the place of one in a later group');
is(rows('late'), '2 bob@x.org 2', '... without the person');
is(copy_of('late/01/a.csv'), copy_of('late/02/a.csv'), '... from the same copy');
sql('SELECT txpipe.unload(' . of_file('late/01/a.csv', 'file_id') . ')');
run_hourly();
is(rows('late'), '2 bob@x.org 2', 'so does its heir');

# --- where the copy is gone the file as it was delivered is loaded whole, and nothing else is said ---

deliver('again/1/a.csv', $csv);
run_hourly();
sql($ann);
is(of_file('again/1/a.csv', 'rows_erased'), 1, 'a copy lacks a record');
sql(q{SELECT txpipe.clean_lake('0')});
is(of_file('again/1/a.csv', 'rows_erased'), 0, '... and when there is no copy, none');
unlike(notices('SELECT txpipe.reload(' . of_file('again/1/a.csv', 'file_id') . ')'), qr/lacks records/, 'a reload of the file as it came');
is(rows('again'), '1 ann@x.org 1, 2 bob@x.org 2', '... loads all of it');

# --- escapes ---

deliver('escaped/1/a.json', qq({"id": 1, "email": "bob\@x.org"}\n{"id": "x", "email": "\\u0061nn\@x.org"}\n{"id": "y", "email": "\\u0062ob\@x.org"}\n));
run_hourly();
sql(q{DELETE FROM txpipe.rejected_line});
like(sql($ann), qr/"count": 2, "place": "lake", "action": "records removed"/, 'a record that is no row is searched behind its escapes');
is(slurp_file(copy_of('escaped/1/a.json')), qq({"id": 1, "email": "bob\@x.org"}\n\n{"id": "y", "email": "\\u0062ob\@x.org"}\n), '... and goes, alone');
is(sql("SELECT txpipe.mentions(\$a\$$_->[0]\$a\$, VARIADIC ARRAY[$_->[1]])"), $_->[2], "$_->[0] in $_->[1]: $_->[2]")
  for [ '{"email": ["ann@x.org"]}', q{'7', '{"email": "\u0061nn@x.org"}'}, 't' ], [ '{"email": ["ann@x.org"]}', q{NULL, '{"email": "jo\u0061nn@x.org"}'}, 'f' ],
  [ '{"id": ["7"], "email": ["ann@x.org"]}', q{'7', '{"email": "ann@x.org"}'}, 't' ], [ '{"id": ["8"], "email": ["ann@x.org"]}', q{'7', '{"email": "ann@x.org"}'}, 'f' ],
  [ '{"name": ["O\"Brien"]}', q{'1,"O""Brien",x'}, 't' ], [ '{"name": ["O\"Brien"]}', q{'{"name": "O\"Brien"}'}, 't' ],
  [ '{"home": ["a/b"]}', q{'{"home": "a\/b"}'}, 't' ], [ '{"home": ["a\\\\b"]}', q{'{"home": "a\\\\b"}'}, 't' ],
  [ '{"home": ["a/b"]}', q{'"home": "a\/b", broken'}, 't' ], [ '{"email": ["ann@x.org"]}', 'NULL', 'f' ];

# --- the old copy is not lost sight of, nor one removed that is in use ---

deliver('again/2/a.csv', $csv =~ s/org,1/org,3/r);
run_hourly();
is(error_of($node, "BEGIN; $ann; $reload")->{message}, 'files cannot be loaded after clean_lake or erase_subject in one transaction', 'no load behind an erasure');
is(error_of($node, "BEGIN ISOLATION LEVEL $_->[0]; $_->[1]")->{state}, '25001', "$_->[0]: $_->[1] is refused")
  for [ 'REPEATABLE READ', $ann ], [ 'SERIALIZABLE', q{SELECT txpipe.clean_lake('0')} ];
my $left = "$lake/raw/feed=late/left.csv";
write_file($left, $csv);
sql(q{INSERT INTO txpipe.lake_leftover SELECT 'raw/feed=late/left.csv', feed_id FROM txpipe.feed WHERE feed = 'late'; SELECT txpipe.drop_feed('late')});
is(-e $left ? 1 : 0, 0, 'with a feed goes what a crash left of copies that were given up');

log_is_clean($node, qr/has other content than|after clean_lake or erase_subject in one transaction|read committed|READ COMMITTED|053_erase_faults/);
done_testing();
