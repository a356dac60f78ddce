# Data sets of Parquet: which files are there and when, what the manifest says, what is refused; 070_parquet_readers reads them.
use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use File::Find;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest qw(new_node start_node wait_until wait_for error_of);

my $node = new_node('parquet');
start_node($node);
my $dir = $node->safe_psql('postgres', 'SHOW txpipe.export_directory');

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub call
{
	my ($query, $name, @more) = @_;

	return "SELECT txpipe.export_parquet(\$q\$$query\$q\$, '$name'" . join('', map { ", $_" } @more) . ')';
}

# All that is in a data set, hidden or not, by name; directories end with a slash.
sub files
{
	my ($name) = @_;
	my @files;

	find({ no_chdir => 1, wanted => sub { push @files, substr($_, length("$dir/$name") + 1) . (-d ? '/' : '') if $_ ne "$dir/$name" } }, "$dir/$name");
	return sort @files;
}

sub manifest { return decode_json(slurp_file("$dir/$_[0]/_manifest.json")); }

# Names without the number of their export.
sub plain { return join ' ', map { s/-[0-9a-f]{16}//r } @_; }

# --- what an export leaves ---

is(sql(call('SELECT g AS id, g % 3 AS part FROM generate_series(1, 10) AS g', 'cut', q('{part}'))), "$dir/cut/_manifest.json", 'the path of the manifest');
is(plain(files('cut')), '_manifest.json part=0/ part=0/part-00000.parquet part=1/ part=1/part-00001.parquet part=2/ part=2/part-00002.parquet',
	'a directory and a file for each partition');
my $manifest = manifest('cut');
my @parts = @{ delete $manifest->{parts} };
like(delete $manifest->{written_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'when');
is_deeply([ map { [ plain($_->{file}), $_->{rows} ] } @parts ], [ [ 'part=0/part-00000.parquet', 3 ], [ 'part=1/part-00001.parquet', 4 ], [ 'part=2/part-00002.parquet', 3 ] ],
	'the manifest has each');
my $bytes = 0;
$bytes += -s "$dir/cut/$_->{file}" foreach @parts;
is_deeply($manifest, { dataset => 'cut', format => 'parquet', partition_by => ['part'], rows => 10, bytes => $bytes,
		columns => [ { name => 'id', type => 'int32' }, { name => 'part', type => 'int32' } ] }, 'and their sums');
is_deeply([ map { [ @$_{qw(bytes sha256)} ] } @parts ], [ map { my $content = slurp_file("$dir/cut/$_->{file}"); [ length $content, sha256_hex($content) ] } @parts ], 'sizes and hashes');
like(slurp_file("$dir/cut/$parts[0]{file}"), qr/\APAR1.*PAR1\z/s, 'a file of Parquet');
is(sprintf('%04o %04o', map { (stat $_)[2] & 07777 } "$dir/cut/part=0", "$dir/cut/$parts[0]{file}"), '0750 0640', 'the group may read');

# --- again: other rows replace them ---

append_to_file("$dir/cut/part=0/theirs.parquet", 'not ours');
append_to_file("$dir/cut/part=1/part-00001-0123456789abcdef.parquet", 'of an export that crashed');
mkdir "$dir/cut/.stage-0123456789abcdef" or die;
append_to_file("$dir/cut/.stage-0123456789abcdef/$_", 'half') foreach 'owner', 'part-00000-0123456789abcdef.parquet';
sql(call('SELECT 1 AS id, NULL::integer AS part', 'cut', q('{part}')));
is(plain(files('cut')), '_manifest.json part=0/ part=0/theirs.parquet part=__HIVE_DEFAULT_PARTITION__/ part=__HIVE_DEFAULT_PARTITION__/part-00000.parquet',
	'earlier parts, their directories and what a crash left are gone; what is not ours is not');
is_deeply([ map { -e "$dir/cut/$_->{file}" ? 1 : 0 } @{ manifest('cut')->{parts} } ], [1], 'the manifest has what is there');

sql(call('SELECT 1 AS a WHERE false', 'none'));
is(plain(files('none')), '_manifest.json part-00000.parquet', 'no rows are a file with the columns');
sql(call('SELECT 1 AS a, 2 AS b WHERE false', 'no_parts', q('{b}')));
is(plain(files('no_parts')), '_manifest.json', 'and no partition');
sql(call(q{SELECT 1 AS x, 'a/b=c%"' || chr(10) AS "k=ä", true AS yes}, 'escaped', q('{k=ä,yes}')));
like(plain(files('escaped')), qr{ k%3Dä/yes=true/|k%3D\xc3\xa4=a%2Fb%3Dc%25%22%0A/yes=true/part-00000.parquet}, 'names of directories are escaped as in Hive');

# --- what is refused ---

sub refused
{
	my ($query, %opt) = @_;
	my $error = error_of($node, ($opt{before} // '') . ($opt{call} // call($query, 'refused', @{ $opt{more} // [] }))) // return 'none';

	return "$error->{state} $error->{message} / " . ($error->{hint} // '');
}

like(refused('SELECT 1.5 AS price'), qr/^22023 column "price" is a numeric without precision and scale .*price::numeric\(18,2\)/, 'a numeric without precision');
like(refused('SELECT 1.5::numeric(39,2) AS price'), qr/^22023 column "price" is a numeric\(39,2\), which/, 'too many digits');
like(refused("SELECT 1::numeric($_) AS price"), qr/^22023 column "price" is a numeric\($_\)/, "numeric($_)") foreach '5,-2';
like(refused('SELECT 0.0012::numeric(2,4) AS price'), qr{^22023 column "price" is a numeric\(2,4\)}, 'more digits behind the point than there are');
like(refused("SELECT $_ AS odd"), qr/^0A000 column "odd" is of type .* \/ Cast it to text/, "a type that is not written: $_")
  foreach q{interval '1 day'}, q{ARRAY[1]}, q{'1.2.3.4'::inet}, q{gen_random_uuid()}, q{ROW(1, 2)}, q{time '10:00'}, q{now()::timestamp::time}, 'NULL::name';
like(refused("SELECT $_ AS odd"), qr/^22023 column "odd" has /, "what has no value in Parquet: $_")
  foreach q{'NaN'::numeric(5,2)}, q{'infinity'::date}, q{'-infinity'::timestamptz}, q{'infinity'::timestamp};
like(refused(q{SELECT '294276-12-31 23:59:59.999999'::timestamp AS late}), qr/^22008 column "late" has a time that is too late/, 'the last years of a timestamp');
like(refused('SELECT 1 AS a, 2 AS a'), qr/^42701 column "a" is there twice/, 'a column that is there twice');
like(refused('SELECT 1 AS a', more => [$_]), qr/^42703 the query has no column "b"/, "no such column: $_") foreach q('{b}'), q(NULL, '{b}');
like(refused('SELECT 1 AS a', more => [q('{a}')]), qr/^22023 every column is in partition_by/, 'nothing is left for the files');
like(refused('SELECT 1 AS a, 2 AS b', more => [q('{a}', '{a}')]), qr/^22023 column "a" is named twice/, 'a column in both');
like(refused('SELECT 1.5::float8 AS a, 2 AS b', more => [q('{a}')]), qr/^22023 there are no partitions by column "a", a double precision/, 'partitions by numbers that are not whole');
like(refused("SELECT '$_' AS a, 2 AS b", more => [q('{a}')]), qr/^22023 column "a" has the text "$_", which as a partition/, "a partition that would be NULL: '$_'") foreach '', '__HIVE_DEFAULT_PARTITION__';
like(refused("SELECT repeat('x', 254) AS a, 2 AS b", more => [q('{a}')]), qr/^22023 column "a" has a text that is too long for the name of a directory/, 'a name that is too long');
is(refused("SELECT repeat('x', 253) AS a, 2 AS b", more => [q('{a}')]), 'none', 'and one that is not');
sql(call('SELECT 1 AS a', 'refused'));
unlink glob "$dir/refused/*";
like(refused(q{SELECT '{}'::json AS a}, more => [q(NULL, '{a}')]), qr/^42883 column "a", a json, has no order/, 'json cannot be sorted');
like(refused('', call => call('SELECT 1 AS a', $_)), qr/^22023 "\Q$_\E" is not a plain file name/, "no name: $_") foreach '../x', '/tmp/x', '.x', 'a/b', '';
like(refused('', call => q{SELECT txpipe.export_parquet(NULL, 'x')}), qr/^22004/, 'NULL is no query');
like(refused('', call => "SELECT txpipe.export_parquet('SELECT 1 AS a', 'x', $_)"), qr/^22023 partition_by must be names of columns/, "no columns: $_")
  foreach 'ARRAY[NULL]', q('{}');
sql(q{CREATE TABLE written (x integer); CREATE ROLE reader; GRANT USAGE ON SCHEMA txpipe TO reader;
      CREATE FUNCTION writes() RETURNS integer LANGUAGE sql VOLATILE AS 'INSERT INTO public.written VALUES (1) RETURNING x'});
like(refused($_), qr/^22023 the query of an export must be one SELECT/, "refused: $_") foreach 'SELECT 1; SELECT 2', 'DELETE FROM written', 'SELECT 1 AS x INTO other';
like(refused('SELECT writes() AS x'), qr/^25006/, 'a query that writes');
like(refused('SELECT 1 AS x', before => 'SET default_transaction_read_only = on; '), qr/^25006/, 'a transaction that only reads');
like(refused('SELECT 1 AS x', before => 'SET ROLE reader; '), qr/^42501 permission denied for function export_parquet/, 'not everybody may write files');
sql('GRANT EXECUTE ON FUNCTION txpipe.export_parquet TO reader');
like(refused('TABLE written', before => 'SET ROLE reader; '), qr/^42501 permission denied for table written/, 'the query runs as the caller');
like(refused('SELECT 1/(5 - g) AS x FROM generate_series(1, 9) AS g'), qr/^22012/, 'what the query raises');
is(plain(files('refused')), '', 'failures leave nothing');

my $kept = join ' ', files('cut');
like(refused('', call => call('SELECT g AS id, g AS part, 1/(5 - g) AS x FROM generate_series(1, 9) AS g', 'cut', q('{part}'))), qr/^22012/, 'an error in the middle');
is(join(' ', files('cut')), $kept, 'leaves what was there');
chmod 0500, "$dir/cut/part=0" or die;
like(refused('', call => call('SELECT 1 AS id, generate_series(-1, 1) AS part', 'cut', q('{part}'))), qr/^42501 could not move to its place file/, 'a directory that cannot be written')
  if $> != 0;
is(join(' ', files('cut')), $kept, 'leaves what was there, although parts had come to their places');
chmod 0750, "$dir/cut/part=0" or die;
symlink '/tmp', "$dir/link" or die;
like(refused('', call => call('SELECT 1 AS x', 'link')), qr/^\w+ could not make the directory of/, 'a link is not followed');
append_to_file("$dir/file", 'x');
like(refused('', call => call('SELECT 1 AS x', 'file')), qr/^\w+ could not make the directory of/, 'a file is not replaced');

# --- tables of Hive ---

my $ddl_query = q{SELECT 1::smallint AS small, 2 AS int, 3::bigint AS big, true AS yes, 1.5::real AS real, 2.5::float8 AS double, 1.25::numeric(12,4) AS price,
	date '2023-05-20' AS day, now() AS at, localtimestamp AS local, 'x'::text AS t, 'y'::varchar(3) AS v, '{}'::jsonb AS j, '\x00'::bytea AS bytes,
	1 AS "odd `name`; DROP TABLE x -- 'ä""\\", 2023 AS year, 'a/b' AS "kind`"};
sql(call($ddl_query, 'all types', q('{year,kind`}')));
is(sql(q{SELECT txpipe.hive_ddl('all types')}), <<"SQL" =~ s/\n\z//r, 'an external table for a data set');
CREATE EXTERNAL TABLE `all types` (
    `small` INT,
    `int` INT,
    `big` BIGINT,
    `yes` BOOLEAN,
    `real` FLOAT,
    `double` DOUBLE,
    `price` DECIMAL(12,4),
    `day` DATE,
    `at` TIMESTAMP,
    `local` TIMESTAMP,
    `t` STRING,
    `v` STRING,
    `j` STRING,
    `bytes` BINARY,
    `odd ``name``; DROP TABLE x -- 'ä"\\` INT
)
PARTITIONED BY (`year` INT, `kind``` STRING)
STORED AS PARQUET
LOCATION 'file://$dir/all types';
MSCK REPAIR TABLE `all types` SYNC PARTITIONS;
SQL
sql(call('SELECT 1 AS x', 'plain'));
is(sql(q{SELECT txpipe.hive_ddl('plain', E'hdfs://h:1/it\'s\\\\here')}), "CREATE EXTERNAL TABLE `plain` (\n    `x` INT\n)\nSTORED AS PARQUET\nLOCATION 'hdfs://h:1/it\\'s\\\\here';",
	'without partitions, at a place of its own');
sql(call('SELECT 1 AS x, 2 AS "X"', 'cases'));
like(error_of($node, "SELECT txpipe.hive_ddl('$_->[0]')")->{text}, $_->[1], "no table for: $_->[0]")
  foreach [ 'cases', qr/42701.*differ in upper and lower case only.*They are: x, X/s ], [ 'nobody', qr/58P01.*there is no data set "nobody"/s ], [ '../cut', qr/22023.*not a plain file name/s ];
sql(q{GRANT EXECUTE ON FUNCTION txpipe.hive_ddl, txpipe.read_manifest, txpipe.parse_manifest, txpipe.hive_type, txpipe.hive_name, txpipe.hive_fault, txpipe.hive_columns TO reader});
like(sql(q{SET ROLE reader; SELECT txpipe.hive_ddl('plain')}), qr/^CREATE EXTERNAL/, 'for who may call it');
sub plant
{
	my ($name, $content) = @_;

	unlink "$dir/$name/_manifest.json";
	append_to_file("$dir/$name/_manifest.json", $content);
	return;
}

my $good = slurp_file("$dir/plain/_manifest.json");
plant('plain', $good =~ s/"columns": .*?\], //r);
like(error_of($node, q{SELECT txpipe.hive_ddl('plain')})->{text}, qr/55000.*does not say which columns it has/s, 'not for a manifest without columns');

# --- manifests that somebody else wrote ---

my $x = { name => 'x', type => 'int32' };

sub planted
{
	my ($what, $content, $detail) = @_;

	plant('plain', ref $content ? encode_json({ %{ decode_json($good) }, %$content }) : $content);
	my $error = error_of($node, q{SELECT txpipe.hive_ddl('plain')}) // { text => 'no error' };
	like($error->{text}, qr/XX001: .*(manifest of data set "plain" is damaged|plain\/_manifest\.json" is not text)/, "a planted manifest is refused: $what");
	like($error->{detail}, $detail, '... and what is wrong with it');
	like($error->{hint}, qr/export the data set again/, '... and what to do');
	return;
}

planted("the type $_", { columns => [ $x, { name => 'y', type => $_ } ] }, qr/^Column 2 has no name, or a type that is none of ours: \{/)
  foreach q{int) LOCATION 's3a://elsewhere'; DROP TABLE x; --}, 'int', 'INT32', 'decimal', 'decimal(1,2', 'decimal(100,2)', "decimal(5,2)\n", 'decimal(5,2) x', '', undef, 5, { a => 1 };
planted('a column ' . encode_json($_), { columns => [ $_, $x ] }, qr/^Column 1 has no name/)
  foreach {}, [], { name => 'x' }, { type => 'int32' }, { name => undef, type => 'int32' }, { name => '', type => 'int32' }, { name => 5, type => 'int32' };
planted("columns $_->[0]", { columns => $_->[1] }, qr/^columns is not an array of columns\./) foreach [ '[]', [] ], [ '{}', {} ], [ 'text', 'x' ], [ 'null', undef ];
planted("partition_by $_->[0]", { partition_by => $_->[1] }, qr/^partition_by is not an array of some of the columns\./)
  foreach [ 'text', 'x' ], [ 'null', undef ], [ 'of others', ['y'] ], [ 'of all', ['x'] ], [ 'of objects', [ {} ] ], [ 'of null', [undef] ];
planted('not JSON', "$good}", qr/^It is not JSON: .*\}/);
planted("JSON that is no object: $_", $_, qr/^It is not a JSON object/) foreach '[]', '1', 'null', '"x"';
planted('of an escaped zero', $good =~ s/"x"/"x\\u0000"/r, qr/^It is not JSON: /);
planted('a number of another world', $good =~ s/"rows": 1/"rows": 1e999999/r, qr/^It is not JSON: /);
planted('too deep', '[' x 100000, qr/^It is not JSON: /);
planted('empty', '', qr/^It is not JSON: /);
planted('a zero byte', "$good\0", qr/^It has a zero byte\./);
planted("invalid UTF-8: $_->[0]", $good =~ s/"x"/"x$_->[1]"/r, qr/^It has bytes that are not UTF-8\./) foreach [ 'a byte of LATIN1', "\xe4" ], [ 'half a character', "\xc3" ], [ 'a surrogate', "\xed\xa0\x80" ];
is(error_of($node, q{SELECT txpipe.read_manifest('plain')})->{state}, 'XX001', 'nor does read_manifest() return bytes as text');
sql(call('SELECT 1 AS x', 'plain'));
like(sql(q{SELECT txpipe.hive_ddl('plain')}), qr/^CREATE EXTERNAL/, 'another export puts its own in their place');

# --- broken off, and two at once ---

my $endless = 'SELECT md5(g::text || h) AS y FROM generate_series(1, 30000) AS g, generate_series(1, 30000) AS h';
like(refused('', before => q{SET statement_timeout = '300ms'; }, call => call($endless, 'cut')), qr/^57014/, 'an export is cancelled');
is(join(' ', files('cut')), $kept, 'and leaves what was there');
my ($out, $err) = ('', '');
my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', call($endless, 'cut') ], '<', \'', '>', \$out, '2>', \$err);
wait_until('the export writes', sub { my ($file) = glob "$dir/cut/.stage-*/.*.tmp"; $file && -s $file });
sql(call('SELECT 2 AS id', 'cut'));
is(manifest('cut')->{rows}, 1, 'another export goes on beside it');
ok(scalar(my @running = glob "$dir/cut/.stage-*/.*.tmp"), 'and does not remove what it writes');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%generate_series(1, 30000)%' AND pid <> pg_backend_pid()});
$session->finish;
sql(call('SELECT 3 AS id', 'cut'));
is(plain(files('cut')), '_manifest.json part-00000.parquet part=0/ part=0/theirs.parquet', 'what a terminated session left is removed by the next');

# --- sizes ---

my $large = q{SELECT g AS id, g % 2000 AS part, md5(g::text) AS text, repeat('x', 400) || g AS long FROM generate_series(1, 1000000) AS g};
my $peak = q{SELECT substring(pg_read_file('/proc/' || pg_backend_pid() || '/status') FROM 'VmHWM:\s+(\d+)')::integer AS peak};
foreach my $partitions ('NULL', q('{part}'))
{
	my $grown = $node->safe_psql('postgres', join ";\n", call("SELECT * FROM ($large) AS l LIMIT 1", 'small'), "$peak \\gset before_\n" . call($large, 'large', $partitions),
		"SELECT peak - :before_peak FROM ($peak) AS now");
	$grown = (split /\n/, $grown)[-1];
	is(manifest('large')->{rows}, 1000000, 'a million rows, 450 MB as text');
	cmp_ok($grown, '<', 120000, "take $grown kB of memory");
}
is(scalar @{ manifest('large')->{parts} }, 2000, 'in 2000 partitions');

$node->stop;
done_testing();
