# Taking files back, loading them again, replaying their rejected rows; every total is computed from the files.
use strict;
use warnings;

use File::Path qw(make_path);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $node = new_node('unload', conf => "txpipe.settle_time = 0\n");
my $dirs    = $node->basedir . '/dirs';
my $landing = "$dirs/landing";
my $lake    = "$dirs/lake";

start_node($node);

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub deliver
{
	my ($name, $content) = @_;
	my ($dir) = "$landing/$name" =~ m{^(.*)/};

	make_path($dir);
	open my $fh, '>', "$landing/$name" or die "$name: $!";
	print $fh $content;
	close $fh;
	return $content;
}

sub run_hourly
{
	my ($err);

	$node->psql('postgres', 'CALL txpipe.run_hourly()', stderr => \$err, on_error_die => 1);
	return $err;
}

sub file_id
{
	my ($name) = @_;

	return sql("SELECT max(file_id) FROM txpipe.file WHERE file_name = '$name'");
}

# State and counts: read, loaded, duplicate, filtered, superseded, rejected.
sub counts
{
	my ($name) = @_;

	return sql("SELECT concat_ws(' ', state, rows_read, rows_loaded, rows_duplicate, rows_filtered, "
		  . "rows_superseded, rows_rejected) FROM txpipe.file WHERE file_id = (SELECT max(file_id) FROM txpipe.file "
		  . "WHERE file_name = '$name')");
}

# --- lines of files loaded before become something else ---

# Of the lines with one id the one of the highest file stays in the table; the others are superseded.
sql(<<'SQL');
CREATE TABLE latest (id integer PRIMARY KEY, value text, file_id bigint, line_no bigint);
SELECT txpipe.create_feed('latest', 'latest/(.*)\.csv',
    columns => '{"id": {"path": "id", "type": "integer"}, "value": "value"}', options => '{"batch_rows": 2}');
SELECT txpipe.on_load('latest', 'replace', $$
    WITH gone AS (DELETE FROM public.latest l USING batch b WHERE l.id = b.id RETURNING l.*)
    SELECT line_no, 'superseded', 'loaded', 'a later line has it', NULL::text, file_id FROM gone $$);
SELECT txpipe.on_load('latest', 'load', $$
    INSERT INTO public.latest SELECT id, value, file_id, line_no FROM batch $$);
SQL
my %latest = (a => [ 1, 2, 3 ], b => [ 2, 3, 4, 5 ], c => [ 5, 6, 7, 6 ]);
for my $name (sort keys %latest)
{
	deliver("latest/$name.csv", "id,value\n" . join('', map { "$_,$name$_\n" } @{ $latest{$name} }));
}
run_hourly();
my (%last, %loaded);
for my $name (sort keys %latest)
{
	$last{$_} = $name for @{ $latest{$name} };
}
$loaded{$_}++ for values %last;
for my $name (sort keys %latest)
{
	my $read = @{ $latest{$name} };

	is( counts("latest/$name.csv"),
		"loaded $read $loaded{$name} 0 0 " . ($read - $loaded{$name}) . ' 0',
		"file $name: what later lines replaced is superseded");
}

my @broken = (
	[ "SELECT 2::bigint, 'loaded', 'loaded', NULL::text, NULL::text, 4711::bigint", 'file 4711, which is no loaded file' ],
	[ "SELECT 2::bigint, 'duplicate', 'filtered', NULL::text, NULL::text, " . file_id('latest/a.csv') . '::bigint', 'moved more lines of file' ],
	[ "SELECT 2::bigint, 'duplicate', 'filtered', NULL::text, NULL::text, file_id FROM batch", 'moved more earlier lines' ],
	[ "SELECT 2::bigint, 'rejected', 'loaded', NULL::text, NULL::text, " . file_id('latest/a.csv') . '::bigint', 'from or to "rejected"' ],
	[ "SELECT 2::bigint, 'duplicate', NULL::text, NULL::text, NULL::text, " . file_id('latest/a.csv') . '::bigint', 'from or to "NULL"' ],
	[ "SELECT 2::bigint, 'duplicate', 'loaded', NULL::text, NULL::text, 1", 'another shape' ],
);
my $before = sql("SELECT md5(string_agg(f::text, '' ORDER BY file_id)) FROM txpipe.file f WHERE file_name LIKE 'latest/%'");
my $n = 0;
for my $case (@broken)
{
	my ($step, $message) = @$case;

	$n++;
	sql("SELECT txpipe.create_feed('broken$n', 'broken$n/(.*)\\.csv', "
		  . "columns => '{\"id\": \"id\"}', step => \$\$$step\$\$)");
	deliver("broken$n/x.csv", "id\n1\n");
	run_hourly();
	like(sql("SELECT state || ' ' || reason FROM txpipe.file WHERE file_name = 'broken$n/x.csv'"),
		qr/^failed .*step "load" .*\Q$message\E/, "refused, naming the step: $message");
	sql("SELECT txpipe.drop_feed('broken$n')");
}
is(sql("SELECT md5(string_agg(f::text, '' ORDER BY file_id)) FROM txpipe.file f WHERE file_name LIKE 'latest/%'"),
	$before, 'and no count has moved');
sql(<<'SQL');
CREATE ROLE stranger;
GRANT EXECUTE ON FUNCTION txpipe.create_feed TO stranger;
GRANT USAGE ON SCHEMA txpipe TO stranger;
SQL
sql("SET ROLE stranger; SELECT txpipe.create_feed('strange', 'strange/(.*)\\.csv', columns => '{\"id\": \"id\"}', "
	  . "step => \$\$SELECT 2::bigint, 'duplicate', 'loaded', NULL::text, NULL::text, " . file_id('latest/a.csv') . "::bigint\$\$)");
deliver('strange/x.csv', "id\n1\n");
run_hourly();
like(sql("SELECT reason FROM txpipe.file WHERE file_name = 'strange/x.csv'"),
	qr/which is no loaded file of a feed of "stranger"/, "lines of another owner's files cannot be moved");

log_is_clean($node);
done_testing();
