# Exports and the lake in a real object store that verifies signatures: what is in the bucket is what is in the directory, readers by the manifest find all of an
# export at any moment, and each fault of store, network and processes is told and made good by the next call.
use strict;
use warnings;

use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeReaders qw(has_reader);
use TxpipeRetail;
use TxpipeStore;
use TxpipeTest qw(preload_path install_with_preload error_of fails_with wait_until wait_for log_is_clean secret_file child_pid);

need_store();

my $clock = PostgreSQL::Test::Utils::tempdir() . '/clock';
set_clock(0);
my $node  = retail_node('mirror', conf => "log_statement = none\n", install_path => install_with_preload('clock', TXPIPE_CLOCK => $clock));
my $base  = $node->basedir;
my $store = start_store();
my $road  = start_road($store);

make_bucket($store, $_) foreach qw(shop cold);
use_database('postgres');
sql('CREATE EXTENSION txpipe; SELECT txpipe.create_warehouse()');

# The time of txpipe_io, in seconds beside the true one.
sub set_clock
{
	my ($seconds) = @_;

	open my $fh, -e $clock ? '+<' : '>', $clock or die "$clock: $!";
	print $fh pack 'q', $seconds;
	close $fh;
	return;
}

sub server
{
	my ($name, $url, %o) = @_;
	my $endpoint = $o{endpoint} // $store->{endpoint};
	my $region   = $o{region} // $TxpipeStore::REGION;

	sql("CREATE SERVER $name FOREIGN DATA WRAPPER txpipe_object OPTIONS (endpoint '$endpoint', url '$url', region '$region')");
	sql("CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS (access_key_id '" . ($o{key} // $TxpipeStore::KEY) . "', secret_access_key '"
		  . ($o{secret} // $TxpipeStore::SECRET) . "')");
	return;
}

# What a call says.
sub mirror
{
	my ($server, $directory) = @_;
	my $err;

	$node->psql('postgres', "CALL txpipe.mirror('$server', '" . ($directory // 'export') . "')", stderr => \$err, on_error_die => 1);
	return $err =~ s/^.*?NOTICE:  //sr =~ s/\n.*//sr;
}

# Fails with that SQLSTATE, and detail or message say so.
sub refuses
{
	my ($call, $state, $like, $name) = @_;

	return fails_with($node, "CALL txpipe.mirror($call)", $state, $like, $name);
}

sub ledger { return sql("SELECT string_agg(format('%s %s', path, state), ', ' ORDER BY path) FROM txpipe.mirrored_file WHERE server = '$_[0]' AND state <> 'stored'"); }

# Has the bucket what the directory has?
sub same
{
	my ($below, $directory, $name) = @_;

	return is_deeply(objects($store, $below), files_of("$base/$directory"), $name);
}

# Every file that a manifest in the bucket names is there, with its hash; returns how many.
sub complete
{
	my ($below, $dataset) = @_;
	my $sha = objects($store, $below);
	my $n = 0;

	return 0 unless $sha->{"$dataset/_manifest.json"};
	my $manifest = decode_json(slurp_file(object_path($store, "$below/$dataset/_manifest.json")));
	foreach my $set (@{ $manifest->{datasets} // [$manifest] })
	{
		my $dir = $manifest->{datasets} ? "$dataset/$set->{dataset}" : $dataset;
		foreach my $part (@{ $set->{parts} })
		{
			die "$dir/$part->{file} is not there, or another" unless ($sha->{"$dir/$part->{file}"} // '') eq $part->{sha256};
			$n++;
		}
	}
	return $n;
}

sub export { return sql("SELECT txpipe.export_parquet('SELECT g AS id, g % $_[1] AS part, repeat(md5(g::text), 3) AS text FROM generate_series(1, $_[2]) g', '$_[0]', '{part}')"); }

# --- keys ---

export('numbers', 3, 100);
server('bad_secret', 's3://shop/bad_secret', secret => 'wrong');
server('bad_key', 's3://shop/bad_key', key => 'nobody');
server('bad_region', 's3://shop/bad_region', region => 'elsewhere');
server('bad_bucket', 's3://nowhere/bad_bucket');
server('nobody_there', 's3://shop/nobody_there', endpoint => 'http://127.0.0.1:1');
refuses(q('bad_secret'), '28000', 'SignatureDoesNotMatch', 'another secret');
refuses(q('bad_key'), '28000', 'InvalidAccessKeyId', 'another key');
refuses(q('bad_region'), '08P01', 'AuthorizationHeaderMalformed', 'another region');
refuses(q('bad_bucket'), '42704', 'NoSuchBucket', 'no such bucket');
refuses(q('nobody_there'), '08006', 'Failed to connect|Couldn.t connect', 'nobody listens');
is_deeply(objects($store, 'shop'), {}, 'nothing is stored by any of them');
set_clock(-7200);
server('late', 's3://shop/late');
refuses(q('late'), '28000', 'RequestTimeTooSkewed|expired|difference', 'a clock that is two hours late');
set_clock(0);
is(sql(q{SELECT bool_and(attempts = 1 AND last_error ~ 'Signature') FROM txpipe.mirrored_file WHERE server = 'bad_secret' AND attempts > 0}), 't',
	'the ledger says why');
unlike(slurp_file($node->logfile), qr/$TxpipeStore::SECRET/, 'the secret is not in the log');

# --- exports ---

server('shop', 's3://shop/exports', endpoint => $road->{endpoint});
like(mirror('shop'), qr/^export: 4 objects stored \(\d+ bytes\), 0 removed, 0 wait/, 'three parts and a manifest');
same('shop/exports', 'export', 'the bucket has what the directory has');
is(complete('shop/exports', 'numbers'), 3, 'all of the manifest');
like(mirror('shop'), qr/: 0 objects stored \(0 bytes\), 0 removed/, 'called again it has nothing to do');
is(sql(q{SELECT count(*) FROM txpipe.mirrored_file WHERE server = 'shop' AND state = 'stored' AND length(sha256) = 32}), 4, 'the ledger has them');
sql(q{SELECT txpipe.export_csv('SELECT 1 AS a', 'one of a+b=c é.csv')});
like(mirror('shop'), qr/: 2 objects stored/, 'a CSV file and its side file, under names that have to be escaped');
export('numbers', 2, 200);
sql(q{SELECT txpipe.export_csv('SELECT 2 AS a', 'one of a+b=c é.csv')});
like(mirror('shop'), qr/: 5 objects stored \(\d+ bytes\), 3 removed, 0 wait/, 'another export replaces what was there');
same('shop/exports', 'export', 'the bucket has what the directory has now');

my @groups = make_groups(3, '--rows', 300, '--seed', 21);
deliver($groups[$_], 'group' . ($_ + 1)) foreach 0 .. 1;
run_hourly();
sql('SELECT txpipe.export_curated()');
mirror('shop');
cmp_ok(complete('shop/exports', 'curated'), '>', 10, 'the curated zone, with facts and dimensions');
deliver($groups[2], 'group3');
run_hourly();
sql('SELECT txpipe.export_curated()');
mirror('shop');
complete('shop/exports', 'curated');
same('shop/exports', 'export', 'the bucket has the zone as it is after another group');

SKIP:
{
	skip 'pyarrow is not there', 1 unless has_reader('parquet');
	my ($paid, $errors);
	local $ENV{PYTHONPATH} = "$ENV{TXPIPE_PARQUET}/python";
	local @ENV{qw(TXPIPE_KEY TXPIPE_SECRET TXPIPE_ENDPOINT)} = ($TxpipeStore::KEY, $TxpipeStore::SECRET, $store->{endpoint} =~ s{^http://}{}r);
	IPC::Run::run([ '/usr/bin/python3', '-' ], '<', \<<"PYTHON", '>', \$paid, '2>', \$errors) or die $errors;
import json, os
import pyarrow.compute, pyarrow.parquet
from pyarrow.fs import S3FileSystem
s3 = S3FileSystem(access_key=os.environ["TXPIPE_KEY"], secret_key=os.environ["TXPIPE_SECRET"], endpoint_override=os.environ["TXPIPE_ENDPOINT"],
                  scheme="http", region="$TxpipeStore::REGION")
root = "shop/exports/curated/fact_sales"
manifest = json.load(s3.open_input_stream(f"{root}/_manifest.json"))
parts = [pyarrow.parquet.read_table(f"{root}/{part['file']}", filesystem=s3, columns=["total_paid"], partitioning=None) for part in manifest["parts"]]
print(sum(pyarrow.compute.sum(part["total_paid"]).as_py() for part in parts))
PYTHON
	chomp $paid;
	my %wanted = map { (split /\t/)[1, 2] } grep { /^total/ } split /\n/, totals(@groups);
	is($paid, $wanted{paid}, "pyarrow reads the facts from the store: the total of the files, $wanted{paid}");
}

# --- by TLS ---

my $private = start_store(tls => 1);
make_bucket($private, 'safe');
server('private', 's3://safe/a/b/', endpoint => $private->{endpoint});
refuses(q('private'), '08006', 'certificate', 'a certificate that nobody vouches for');
sql("ALTER SERVER private OPTIONS (ADD ssl_ca_pem '$private->{ca}')");
mirror('private');
is_deeply(objects($private, 'safe/a/b'), files_of("$base/export"), 'by TLS, with the certificate in the server');
stop_store($private);

# --- what cannot be read waits, and what names it, and what would be removed ---

my $before = objects($store, 'shop/exports');
export('numbers', 4, 300);
my ($part) = glob "$base/export/numbers/part=3/*.parquet";
chmod 0, $part or die $!;
refuses(q('shop'), '42501', 'Permission denied', 'a file that cannot be read');
is(complete('shop/exports', 'numbers'), 2, 'the old manifest and its parts are there');
like(ledger('shop'), qr{numbers/_manifest.json waiting.*deleting}, 'the ledger has what waits');
like(sql(q{SELECT last_error FROM txpipe.mirrored_file WHERE path = 'numbers/_manifest.json' AND server = 'shop'}), qr{part=3/.*which it names, is not stored}, 'and for what');
chmod 0640, $part or die $!;
mirror('shop');
is(complete('shop/exports', 'numbers'), 4, 'the next call has them');
same('shop/exports', 'export', 'the bucket has what the directory has');

# --- the network ---

road_is($road, 'busy', 2);
export('numbers', 2, 400);
like(mirror('shop'), qr/: 3 objects stored/, '503, twice: it is tried again');
is(road_taken($road), 2, '... and both came');
road_is($road, 'truncate', 2);
export('numbers', 3, 400);
like(mirror('shop'), qr/: 4 objects stored/, 'answers that break off: it is tried again');
road_is($road, 'hang', 1);
export('numbers', 2, 500);
like(mirror('shop'), qr/: 3 objects stored/, 'no answer: it is tried again');
is(road_taken($road), 1, '... and one hung');
road_is($road, 'busy');
export('numbers', 5, 500);
refuses(q('shop'), '08006', 'SlowDown: not so fast \(status 503\)', 'a store that is always busy');
is(road_taken($road), 4, 'it was asked four times');
is(complete('shop/exports', 'numbers'), 2, 'the old export is there');
road_is($road, 'slow');
sql(q{SELECT txpipe.export_csv('SELECT md5(g::text) AS a FROM generate_series(1, 40000) g', 'slow.csv')});
like(mirror('shop'), qr/: 8 objects stored/, 'a slow network is waited for');
road_is($road, 'pass');
same('shop/exports', 'export', 'the bucket has what the directory has');

# --- large files; processes that are killed ---

sql(q{SELECT txpipe.export_csv('SELECT md5(g::text) || md5((-g)::text) AS a FROM generate_series(1, 600000) g', 'large.csv')});
cmp_ok(-s "$base/export/large.csv", '>', 32 << 20, 'a file that is sent in parts');
road_is($road, 'slow');

# Starts a call, and waits until it is at the store.
sub start_mirror
{
	my ($err, $out) = ('', '');
	my $run = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', q{CALL txpipe.mirror('shop')} ], '<', \'', '>', \$out, '2>', \$err);

	wait_until('the call is at the store', sub { road_taken($road) > 0 });
	return ($run, \$err);
}

my ($run, $err) = start_mirror();
my $backend = sql(q{SELECT pid FROM pg_stat_activity WHERE query ~ '^CALL txpipe.mirror' AND state = 'active'});
is(sql("SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE pid = $backend"), 't', 'no snapshot and no transaction number while it waits');
is(sql("SELECT count(*) FROM pg_locks WHERE pid = $backend AND locktype NOT IN ('virtualxid', 'object')"), 0, '... and no lock');
refuses(q('shop'), '55P03', 'another session', 'two calls at a time');
my ($child) = split ' ', `ps -o pid= --ppid $backend`;
kill 'KILL', $child or die "kill: $!";
$run->finish;
like($$err, qr/txpipe_io was ended by signal 9/, 'the child is killed');
ok(!objects($store, 'shop/exports')->{'large.csv'}, 'no part of the file is an object');
road_is($road, 'slow');
($run, $err) = start_mirror();
$backend = sql(q{SELECT pid FROM pg_stat_activity WHERE query ~ '^CALL txpipe.mirror' AND state = 'active'});
sql("SELECT pg_terminate_backend($backend)");
$run->finish;
road_is($road, 'slow');
($run, $err) = start_mirror();
stop_store($store);
$run->finish;
like($$err, qr/could not .*object/, 'the store is killed');
restart_store($store);
road_is($road, 'pass');
like(mirror('shop'), qr/: [12] objects stored/, 'the next call sends it');
same('shop/exports', 'export', 'the bucket has what the directory has');
my $sum = sql(q{SELECT encode(sha256, 'hex') FROM txpipe.mirrored_file WHERE server = 'shop' AND path = 'large.csv'});
is(objects($store, 'shop/exports')->{'large.csv'}, $sum, 'the ledger has its hash');

# --- exports and calls at the same time ---

my $rounds = join '; ', map { "SELECT txpipe.export_parquet('SELECT g AS id, g % 5 AS part FROM generate_series(1, $_) g', 'numbers', '{part}')" } 1 .. 200;
my ($out, $errors) = ('', '');
my $exports = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), map { ('-c', $_) } split /; /, $rounds ], '<', \'', '>', \$out, '2>', \$errors);
my $calls = 0;
while ($exports->pumpable)
{
	mirror('shop');
	complete('shop/exports', 'numbers');
	$calls++;
	$exports->pump_nb;
}
$exports->finish;
is($errors, '', 'two hundred exports while calls go on');
cmp_ok($calls, '>', 3, "after each of $calls calls the bucket had one export whole");
mirror('shop');
same('shop/exports', 'export', 'in the end it has the last one');

# --- the lake, and what goes ---

server('cold', 's3://cold');
mirror('cold', 'lake');
same('cold', 'lake', 'the lake, in a bucket without a prefix');
refuses(q('cold', 'export'), '55000', 'has files of the lake', 'a location is of one directory');
refuses(q('cold', 'landing'), '22023', 'landing', 'another directory');
rename "$base/export", "$base/export.away" or die $!;
refuses(q('shop'), '58P01', 'No such file', 'a directory that is not there');
mkdir "$base/export" or die $!;
refuses(q('shop'), '55000', 'is empty', 'a directory that is suddenly empty');
rmdir "$base/export" or die $!;
rename "$base/export.away", "$base/export" or die $!;
same('shop/exports', 'export', 'nothing was removed');

# --- what looks gone and is not ---

chmod 0640, "$base/export/numbers" or die $!;
refuses(q('shop'), '42501', 'could not stat', 'a directory whose files cannot be looked at');
chmod 0750, "$base/export/numbers" or die $!;
rename "$base/export/numbers", "$base/away" or die $!;
symlink "$base/away", "$base/export/numbers" or die $!;
refuses(q('shop'), '55000', 'is a link', 'a link in the place of a directory');
unlink "$base/export/numbers" or die $!;
rename "$base/away", "$base/export/numbers" or die $!;
rename "$base/export/curated", "$base/away" or die $!;
refuses(q('shop'), '55000', 'lacks \d+ of the \d+', 'most files are not there');
rename "$base/away", "$base/export/curated" or die $!;
like(mirror('shop'), qr/, 0 removed/, 'none of that removed an object');
same('shop/exports', 'export', 'the bucket has what the directory has');
rename "$base/export/curated", "$base/away" or die $!;
sql("CALL txpipe.mirror('shop', remove_many => true)");
same('shop/exports', 'export', 'when asked it removes them');
rename "$base/away", "$base/export/curated" or die $!;
mirror('shop');

# --- one object that the store refuses; names that were never sent ---

append_to_file(object_path($store, 'shop/exports/blocked'), 'not ours');
mkdir "$base/export/blocked" or die $!;
append_to_file("$base/export/$_", $_) foreach qw(blocked/one two);
refuses(q('shop'), '58030', 'Parent', 'an object that the store refuses');
ok(objects($store, 'shop/exports')->{two}, '... and the one behind it is stored');
unlink object_path($store, 'shop/exports/blocked');
unlink "$base/export/blocked/one", "$base/export/two";
rmdir "$base/export/blocked" or die $!;
sql(q{INSERT INTO txpipe.mirror_ledger (location, directory, path, bytes, changed_at) SELECT l.location, 'export', 'foreign', 1, now() FROM txpipe.mirror_ledger l WHERE l.path = 'large.csv' AND l.location LIKE '%/shop/exports/'});
append_to_file(object_path($store, 'shop/exports/foreign'), 'not ours');
like(mirror('shop'), qr/: 0 objects stored/, 'a name that was never sent is forgotten');
ok(-e object_path($store, 'shop/exports/foreign'), '... and its object stays');
unlink object_path($store, 'shop/exports/foreign');
same('shop/exports', 'export', 'the bucket has what the directory has');

# --- many files ---

sql(q{INSERT INTO txpipe.mirror_ledger (location, directory, path, bytes, changed_at, state)
  SELECT 'many/', 'export', format('d%s/%s', g / 100, CASE g % 100 WHEN 0 THEN '_manifest.json' ELSE g::text END), 1, now(), 'deleting' FROM generate_series(0, 5999) g});
is(sql(q{SET statement_timeout = '6s'; SELECT count(*) FROM txpipe.mirror_work('many/', 'gone index')}), 60, 'six thousand names: manifests in time');
is(sql(q{SET statement_timeout = '6s'; SELECT count(*) FROM txpipe.mirror_work('many/', 'gone file')}), 0, '... and files, which they hold');

# --- rights ---

fails_with($node, "BEGIN; CALL txpipe.mirror('shop'); COMMIT", '25001', 'transaction block', 'in a transaction block');
sql('CREATE ROLE clerk; GRANT USAGE ON SCHEMA txpipe TO clerk');
fails_with($node, "SET ROLE clerk; CALL txpipe.mirror('shop')", '42501', 'permission denied for procedure', 'without EXECUTE');
sql('GRANT EXECUTE ON PROCEDURE txpipe.mirror(text, text, boolean) TO clerk');
fails_with($node, "SET ROLE clerk; CALL txpipe.mirror('shop')", '42501', 'permission denied for foreign server', 'without USAGE on the server');
is(sql('SET ROLE clerk; SELECT count(*) FROM txpipe.mirrored_file'), 0, '... and without sight of its files');
sql('GRANT USAGE ON FOREIGN SERVER shop TO clerk');
fails_with($node, "SET ROLE clerk; CALL txpipe.mirror('shop')", '55000', 'no key', 'without a user mapping');
sql("CREATE USER MAPPING FOR clerk SERVER shop OPTIONS (access_key_id '$TxpipeStore::KEY', secret_access_key_file '" . secret_file("$base/key", "$TxpipeStore::SECRET\n") . "')");
sql("SET ROLE clerk; CALL txpipe.mirror('shop')");
ok(sql('SET ROLE clerk; SELECT count(*) > 5 FROM txpipe.mirrored_file') eq 't', 'with them, and the key in a file, it works');
foreach my $case (
	[ q{endpoint 'ftp://x', url 's3://abc'}, 'endpoint' ],
	[ q{endpoint 'http://user:pw@x', url 's3://abc'}, 'endpoint' ],
	[ q{endpoint 'http://x', url 'http://abc'}, 'url' ],
	[ q{endpoint 'http://x', url 's3://A'}, 'url' ],
	[ q{endpoint 'http://x', url 's3://abc/../d'}, 'url' ],
	[ q{endpoint 'http://x', url 's3://abc', region 'a/b'}, 'region' ])
{
	fails_with($node, "CREATE SERVER wrong FOREIGN DATA WRAPPER txpipe_object OPTIONS ($case->[0])", '22023', qq("$case->[1]"), "options: $case->[0]");
}
fails_with($node, q{CREATE SERVER wrong FOREIGN DATA WRAPPER txpipe_object OPTIONS (endpoint 'http://x', url 's3://abc', secret_access_key 'x')}, 'HV00D', 'secret_access_key', 'a secret in a server');

log_is_clean($node, qr/object|mirror|could not stat|lacks|is a link|cannot be|directory|permission denied|invalid value|unknown server option|could not read|terminating connection|there is no key|the location has/);
done_testing();
