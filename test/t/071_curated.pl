# The curated zone: which files an export writes after which changes, what readers by the manifest see when it is broken off at any moment, and
# what it says when it cannot go on. Totals are those of test/retail_totals; 070_parquet_readers reads the files.
use strict;
use warnings;

use File::Find;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest qw(preload_path wait_until error_of);

my $stop = PostgreSQL::Test::Utils::tempdir() . '/stop';
my $node;
{
	local @ENV{qw(LD_PRELOAD TXPIPE_STOP)} = (preload_path('rename'), $stop);
	$node = retail_node('curated', conf => "restart_after_crash = on\n");
}
my $zone = $node->basedir . '/export/curated';

sub manifest { return decode_json(slurp_file("$zone/$_[0]_manifest.json")); }

# What a reader by the manifest of all finds: each file's data set, with its hash; dies when one is not there.
sub content
{
	my %content;

	foreach my $dataset (@{ manifest('')->{datasets} })
	{
		foreach my $part (@{ $dataset->{parts} })
		{
			my $file = "$dataset->{dataset}/$part->{file}";
			-s "$zone/$file" == $part->{bytes} or die "$file is not there, or another";
			$content{$file} = $part->{rows};
		}
	}
	return \%content;
}

# All files that readers of directories would find.
sub found
{
	my @found;

	find({ no_chdir => 1, preprocess => sub { grep { !/^\.(?!\.?$)/ } @_ }, wanted => sub { push @found, substr($_, length("$zone/")) if /\.parquet$/ } }, $zone);
	return join ' ', sort @found;
}

sub export { return sql('SELECT txpipe.export_curated(' . ($_[0] // '') . ')'); }

# Exports, and says which months and dimensions other files have now, + those that are new, - those that are gone.
sub changes
{
	my $before = -e "$zone/_manifest.json" ? content() : {};
	export();
	my $after = content();
	my %all;

	is(found(), join(' ', sort keys %$after), 'the files that are there are those of the manifest');
	foreach my $file (sort keys %$before, keys %$after)
	{
		my $place = $file =~ s{/part-[^/]*$}{}r =~ s{^fact_sales/year=(\d+)/month=(\d+)}{sprintf '%d-%02d', $1, $2}er;
		$all{$place}{ exists $before->{$file} ? 'before' : 'after' } = 1 if !exists $before->{$file} || !exists $after->{$file};
	}
	return join ' ', map { ($all{$_}{before} && $all{$_}{after} ? '' : $all{$_}{after} ? '+' : '-') . $_ } sort keys %all;
}

sub months { return sql("SELECT string_agg(DISTINCT to_char(transaction_date, 'YYYY-MM'), ' ' ORDER BY to_char(transaction_date, 'YYYY-MM')) FROM dwh.fact_sales WHERE $_[0]"); }

# --- the first export ---

fresh_database();
my @groups = make_groups(4, '--rows', 300, '--seed', 5);
is(changes(), '+dim_branch +dim_customer +dim_date +dim_location +dim_offer +dim_product +dim_sales_agent', 'an empty warehouse has its dimensions');
is(scalar @{ manifest('fact_sales/')->{parts} }, 0, 'and a fact without files');
like(sql(q{SELECT txpipe.hive_ddl('curated/fact_sales')}), qr/`total_paid` DECIMAL\(24,4\),.*PARTITIONED BY \(`year` INT, `month` INT\)/s, 'whose columns are known');
deliver($groups[$_], 'group' . ($_ + 1)) foreach 0, 1;
run_hourly();
changes();
my %total = map { (split /\t/)[1, 2] } grep { /^total/ } split /\n/, totals(@groups[0, 1]);
my ($fact) = grep { $_->{dataset} eq 'fact_sales' } @{ manifest('')->{datasets} };
is($fact->{rows}, $total{rows}, "the sales of the files: $total{rows}");
is(join(' ', map { $_->{file} =~ m{^year=(\d+)/month=(\d+)/} or die; "$1-$2:$_->{rows}" } @{ $fact->{parts} }),
	sql(q{SELECT string_agg(m || ':' || n, ' ' ORDER BY y, mm) FROM (SELECT extract(year FROM transaction_date) AS y, extract(month FROM transaction_date) AS mm,
		extract(year FROM transaction_date) || '-' || extract(month FROM transaction_date) AS m, count(*) AS n FROM dwh.fact_sales GROUP BY 1, 2, 3) s}), 'month by month');
is_deeply(manifest("$_->{dataset}/"), $_, "$_->{dataset} has a manifest of its own") foreach @{ manifest('')->{datasets} };

# --- what changes, and what does not ---

my $before = slurp_file("$zone/_manifest.json");
is(changes(), '', 'nothing has changed');
is(slurp_file("$zone/_manifest.json"), $before, 'the manifest is as it was');
my ($one) = sql('SELECT transaction_id FROM dwh.fact_sales ORDER BY 1 LIMIT 1');
my ($other) = sql(q{SELECT transaction_id FROM dwh.fact_sales WHERE date_trunc('month', transaction_date) <> (SELECT date_trunc('month', transaction_date) FROM dwh.fact_sales ORDER BY transaction_id LIMIT 1) ORDER BY 1 LIMIT 1});
sql("UPDATE dwh.fact_sales SET street = 'elsewhere' WHERE transaction_id = '$one'");
is(changes(), months("transaction_id = '$one'"), 'a correction: its month');
sql("UPDATE dwh.fact_sales SET street = street WHERE transaction_id = '$one'");
is(changes(), '', 'a change that leaves all as it was: no file');
is(sql(q{SELECT message FROM txpipe.run WHERE job = 'export_curated' ORDER BY run_id DESC LIMIT 1}), '0 files written', 'as its run says');
sql('SELECT dwh.fold_months()');
is(changes(), '', 'marks that are folded');
is(sql('SELECT count(*) = count(DISTINCT month) FROM dwh.month_change'), 't', '... to one for each month');
sql("BEGIN; UPDATE dwh.fact_sales SET street = 'nowhere' WHERE transaction_id = '$other'; ROLLBACK");
is(changes(), '', 'what was rolled back');
sql(q{UPDATE dwh.dim_product SET product_category = 'other' WHERE product_key = (SELECT max(product_key) FROM dwh.dim_product)});
is(changes(), 'dim_product', 'a member: its dimension');

deliver($groups[$_], 'group' . ($_ + 1)) foreach 2, 3;
my $known = sql('SELECT max(file_id) FROM dwh.fact_sales');
run_hourly();
my $file = sql('SELECT max(file_id) FROM dwh.fact_sales');
cmp_ok($file, '>', $known, 'another file is loaded');
my $loaded = months("file_id > $known");
is(join(' ', grep { /^\d/ } split / /, changes() =~ s/\+//gr), $loaded, 'a load: the months of its sales');
$loaded = months("file_id = $file");
%total = map { (split /\t/)[1, 2] } grep { /^total/ } split /\n/, totals(@groups);
is((grep { $_->{dataset} eq 'fact_sales' } @{ manifest('')->{datasets} })[0]{rows}, $total{rows}, "... brings the sales of its files: $total{rows}");
sql("SELECT txpipe.unload($file)");
my $unloaded = join ' ', grep { /^-?\d/ } split / /, changes();
is($unloaded =~ s/-(?=\d{4})//gr, $loaded, 'an unload: the months of the file');
sql("SELECT txpipe.reload($file)");
is(join(' ', grep { /^\+?\d/ } split / /, changes() =~ s/\+//gr), $loaded, 'a reload: again');

my ($person, $key) = split /\|/, sql(q{SELECT jsonb_build_object('customer_id', c.customer_id, 'email', c.email, 'first_name', c.first_name), c.customer_key
	FROM dwh.dim_customer c JOIN dwh.fact_sales f USING (customer_key) WHERE f.street IS NOT NULL ORDER BY 2 LIMIT 1});
my $of_person = months("customer_key = $key AND street IS NOT NULL");
sql("CALL txpipe.erase_subject('$person', dry_run => false)");
is(changes(), "$of_person dim_customer", 'a person who is erased leaves the files');

my $last = sql(q{SELECT to_char(max(transaction_date), 'YYYY_MM') FROM dwh.fact_sales});
sql("ALTER TABLE dwh.fact_sales DETACH PARTITION dwh.fact_sales_$last");
is(changes(), '-' . $last =~ tr/_/-/r, 'a month that is detached is gone');
ok(!-e "$zone/fact_sales/" . sprintf('year=%d/month=%d', split /_/, $last), '... with its directory');
my ($from) = $last =~ s/_/-/r . '-01';
sql("UPDATE dwh.fact_sales_$last SET street = 'changed apart'; ALTER TABLE dwh.fact_sales ATTACH PARTITION dwh.fact_sales_$last FOR VALUES FROM ('$from') TO (date '$from' + interval '1 month')");
is(changes(), '+' . $last =~ tr/_/-/r, '... and is back when it is attached');
sql("ALTER TABLE dwh.fact_sales DETACH PARTITION dwh.fact_sales_$last; UPDATE dwh.fact_sales_$last SET street = 'changed between';
	ALTER TABLE dwh.fact_sales ATTACH PARTITION dwh.fact_sales_$last FOR VALUES FROM ('$from') TO (date '$from' + interval '1 month')");
is(changes(), $last =~ tr/_/-/r, 'a month that was detached, changed and attached between two exports is written again');
sql("CREATE TABLE dwh.fact_sales_1999_05 (LIKE dwh.fact_sales INCLUDING ALL);
	INSERT INTO dwh.fact_sales_1999_05 (transaction_id, transaction_date, product_key, customer_key, sales_agent_key, branch_key, location_key, offer_key, units, unit_price, discount_pct, is_online, payment_method, file_id, line_no)
	SELECT 'of old', '1999-05-20', product_key, customer_key, sales_agent_key, branch_key, location_key, offer_key, units, unit_price, discount_pct, is_online, payment_method, file_id, -1 FROM dwh.fact_sales LIMIT 1;
	ALTER TABLE dwh.fact_sales ATTACH PARTITION dwh.fact_sales_1999_05 FOR VALUES FROM ('1999-05-01') TO ('1999-06-01')");
is(changes(), '+1999-05', 'a month that no load knows is seen when it is attached');
sql('DROP TABLE dwh.fact_sales_1999_05');
is(changes(), '-1999-05', '... and gone when it is dropped');
sql("UPDATE dwh.fact_sales_$last SET street = 'addressed to the partition'; SELECT txpipe.repair_rollups()");
is(changes(), $last =~ tr/_/-/r, 'repair_rollups() tells of a statement that was addressed to a partition');
unlink glob "$zone/fact_sales/" . sprintf('year=%d/month=%d', split /_/, $last) . '/*' or die;
export();
ok(content(), 'a file that somebody removed is written again');
my $content = join ' ', sort keys %{ content() };
export('true');
is(join(' ', sort keys %{ content() }), $content, 'everything anew: the same bytes stay in their files');

# --- a manifest that somebody else wrote ---

sub plant
{
	my ($name, $content) = @_;

	unlink "$zone/$name" or die;
	append_to_file("$zone/$name", $content);
	return;
}

# What the manifests say of the parts, without the names of those that were written again.
sub said { return join ' ', map { my $d = $_->{dataset}; map { join ':', $d, $_->{file} =~ s/-[0-9a-f]{16}//r, @$_{qw(rows bytes sha256)} } @{ $_->{parts} } } @{ manifest('')->{datasets} }; }

my $kept = said() =~ s/part-\d+//gr;
my $secret = $node->basedir . '/export/secret.parquet';
append_to_file($secret, 'x' x 100);
my %member = (
	file => [ '../../secret.parquet', '../../../../secret.parquet', 'year=2023/month=1/../../../../secret.parquet', $secret, "/$secret", 'part-00000.parquet', '', 5, undef, ['x'], { a => 1 } ],
	rows => [ 'x', -1, 1.5, '1e3', '9' x 30, undef, [1] ],
	bytes => [ 'x', -1, '9' x 30, undef, {} ],
	sha256 => [ 'x', 'a' x 63, 'a' x 65, ('a' x 63) . '"', undef, 5 ]);
foreach my $member (sort keys %member)
{
	foreach my $value (@{ $member{$member} })
	{
		my $planted = manifest('');
		$_->{parts}[0]{$member} = $value foreach @{ $planted->{datasets} };
		plant('_manifest.json', encode_json($planted));
		my $error = error_of($node, 'SELECT txpipe.export_curated()', db => 'retail');
		my $name = "a manifest with the $member " . JSON::PP->new->allow_nonref->encode($value);
		is($error && $error->{text}, undef, "$name: all it is about is written anew");
		is(said() =~ s/part-\d+//gr, $kept, '... the same rows');
		ok(content() && found() eq join(' ', sort keys %{ content() }), '... the files are those of the manifest');
	}
}
is(slurp_file($secret), 'x' x 100, 'a file beside the zone is as it was');
unlink $secret or die;

# One data set twice, with another directory: its rows are there once.
my $planted = manifest('');
my ($offers) = grep { $_->{dataset} eq 'dim_offer' } @{ $planted->{datasets} };
push @{ $offers->{parts} }, { %{ $offers->{parts}[0] }, file => "year=1/month=1/$offers->{parts}[0]{file}" };
plant('_manifest.json', encode_json($planted));
export();
is(said() =~ s/part-\d+//gr, $kept, 'a dimension with a second directory is written once');

foreach ('{"datasets": 5}', '{"datasets": [5, {"parts": {}}, {"dataset": "dim_offer", "parts": [null]}]}')
{
	plant('_manifest.json', $_);
	export();
	is(said() =~ s/part-\d+//gr, $kept, "the manifest $_: all is written anew");
}
foreach my $damaged ('{', '[]', "{}\0", "\xff")
{
	my $good = slurp_file("$zone/_manifest.json");
	plant('_manifest.json', $damaged);
	my $error = error_of($node, 'SELECT txpipe.export_curated()', db => 'retail') // {};
	is($error->{state}, 'XX001', 'a damaged manifest is an error');
	like($error->{hint}, qr/remove the file, and export/, '... which says what to do');
	is(slurp_file("$zone/_manifest.json"), $damaged, '... and nothing is changed');
	plant('_manifest.json', $good);
}
my $offer = slurp_file("$zone/dim_offer/_manifest.json");
plant('dim_offer/_manifest.json', $offer =~ s/("written_at": ")[^"]*/$1\\/r);
export();
is_deeply(manifest('dim_offer/')->{parts}, (grep { $_->{dataset} eq 'dim_offer' } @{ manifest('')->{datasets} })[0]{parts}, 'a moment that is none goes into no manifest');
is(changes(), '', 'and then nothing has changed');

# --- one snapshot, one export at a time ---

like(error_of($node, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txpipe.export_curated()', db => "retail")->{text}, qr/25001.*in READ COMMITTED only/s, 'not with an old snapshot');
sql('CREATE ROLE stranger; GRANT USAGE ON SCHEMA txpipe TO stranger; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA txpipe TO stranger');
is(error_of($node, 'SET ROLE stranger; SELECT txpipe.export_curated()', db => "retail")->{state}, '42501', 'for the owner of the warehouse');
is(error_of($node, "SET ROLE stranger; SELECT txpipe.write_zone('z', '$_', '{}')", db => 'retail')->{state}, '22023', "no pieces: $_")
	foreach 'SELECT 1', 'SELECT ' . join(', ', (1) x 40), 'SELECT 42::bigint, NULL::text, NULL::text[], NULL::text[], NULL::text, true, NULL::text[]';
is(error_of($node, q{SET ROLE stranger; SELECT txpipe.write_zone('z', 'SELECT NULL::text, NULL::text, NULL::text[], NULL::text[], NULL::text, true, NULL::text[]', '{}')}, db => 'retail')->{state},
	'22004', 'a piece has a data set');
is(error_of($node, q{SET ROLE stranger; SELECT txpipe.write_zone('z', 'SELECT 1', '{dwh.dim_offer}')}, db => 'retail')->{state}, '42501', 'who may not read a table cannot hold it');
is(error_of($node, "SELECT txpipe.export_parquet('SELECT 1 AS n', '$_')", db => 'retail')->{state}, '22023', "export_parquet leaves $_ alone") foreach 'curated', 'curated/fact_sales';

# A session that goes on by itself; killing it is the caller's.
sub begin { my ($query) = @_; return IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('retail'), '-c', $query ], '<', \'', '>', \my $out, '2>', \my $err); }

sub process { return sql("SELECT pid FROM pg_stat_activity WHERE query ~ '$_[0]' AND pid <> pg_backend_pid()"); }

sql("UPDATE dwh.fact_sales SET street = 'waited for' WHERE transaction_id = '$one'");
my $holder = begin('BEGIN; LOCK TABLE dwh.dim_offer; SELECT count(g) FROM (SELECT generate_series(1, 100000000000) AS g) s');
wait_until('a table is locked', sub { sql(q{SELECT count(*) FROM pg_locks WHERE relation = 'dwh.dim_offer'::regclass AND granted}) > 0 });
my $waiting = begin('SELECT txpipe.export_curated()');
wait_until('an export waits for it', sub { sql(q{SELECT count(*) FROM pg_locks WHERE relation = 'dwh.dim_offer'::regclass AND NOT granted}) > 0 });
is(sql('SELECT txpipe.export_curated() IS NULL'), 't', 'another export does not begin beside it');
is(sql(q{SELECT state FROM txpipe.run WHERE job = 'export_curated' ORDER BY run_id DESC LIMIT 1}), 'skipped', '... as its run says');
sql('SELECT pg_terminate_backend(' . process('generate_series') . ')');
eval { $_->finish } foreach $holder, $waiting;
is(sql(q{SELECT concat_ws(': ', state, message) FROM txpipe.run WHERE job = 'export_curated' ORDER BY run_id DESC LIMIT 1}), 'succeeded: 1 files written', 'the one that waited has written what was due');
is(changes(), '', '... and all of it');

# --- ended at any moment ---

# Ends the backend of an export where it is about to give a name that has the pattern, with SIGKILL.
sub killed_at
{
	my ($pattern) = @_;
	append_to_file($stop, $pattern);
	my $session = begin('SELECT txpipe.export_curated()');
	wait_until("an export is about to name $pattern", sub { !-e $stop });
	kill KILL => process('export_curated');
	eval { $session->finish };
	wait_until('the server is back', sub { $node->psql('postgres', 'SELECT 1') == 0 });
	return;
}

sub lies { return scalar(() = found() =~ /\.parquet/g) - keys %{ content() }; }

my $old = content();
my $old_manifest = slurp_file("$zone/_manifest.json");
sql("UPDATE dwh.fact_sales SET street = 'killed once' WHERE transaction_id IN ('$one', '$other')");
foreach my $pattern ('part-00001-*', '_manifest.json')
{
	killed_at($pattern);
	is(slurp_file("$zone/_manifest.json"), $old_manifest, "killed at $pattern: the manifest is the old one");
	is_deeply(content(), $old, '... and all of its files are there');
	cmp_ok(lies(), '>', 0, '... with new ones beside them');
}
is(changes(), months("transaction_id IN ('$one', '$other')"), 'the next export writes the months');
is(scalar(my @stages = glob "$zone/.stage-*"), 0, '... and removes what the killed ones left');

# The manifest of all is there, those of the data sets are not yet.
sql("UPDATE dwh.fact_sales SET street = 'killed late' WHERE transaction_id = '$one'");
my $late = manifest('fact_sales/');
killed_at('manifest-*');
ok(content(), 'killed behind the manifest of all: its readers have all of the new export');
isnt(slurp_file("$zone/_manifest.json"), $old_manifest, '... which is another one');
is_deeply(manifest('fact_sales/'), $late, '... those of the data set the old one');
ok(!(grep { !-e "$zone/fact_sales/$_->{file}" } @{ $late->{parts} }), '... with its files');
is(changes(), '', 'the next export has nothing to write');
is_deeply(manifest("$_->{dataset}/"), $_, "... but the manifest of $_->{dataset}") foreach @{ manifest('')->{datasets} };

# Manifests that cannot be read, as they could not be replaced.
sql("UPDATE dwh.fact_sales SET street = 'killed twice' WHERE transaction_id IN ('$one', '$other')");
my $new = sql('SELECT count(*) FROM dwh.fact_sales');
{
	my $fact_manifest = slurp_file("$zone/fact_sales/_manifest.json");
	rename "$zone/fact_sales/_manifest.json", "$zone/fact_sales/kept" or die;
	mkdir "$zone/fact_sales/_manifest.json" or die;
	like(error_of($node, 'SELECT txpipe.export_curated()', db => "retail")->{text}, qr/could not .*file .*_manifest\.json/, 'a manifest of a data set that is a directory: the error names it');
	rmdir "$zone/fact_sales/_manifest.json" or die;
	rename "$zone/fact_sales/kept", "$zone/fact_sales/_manifest.json" or die;
	ok(content(), '... readers by the manifest have all of one export');
	is(slurp_file("$zone/fact_sales/_manifest.json"), $fact_manifest, '... those of the data set the old one');
	-s "$zone/fact_sales/$_->{file}" == $_->{bytes} or die foreach @{ decode_json($fact_manifest)->{parts} };
}
export();
is(manifest('fact_sales/')->{rows}, $new, '... and the next export puts it right');
is(lies(), 0, '... with the files');
is_deeply(manifest("$_->{dataset}/"), $_, "... $_->{dataset}") foreach @{ manifest('')->{datasets} };

# The manifest of all itself.
sql("UPDATE dwh.fact_sales SET street = 'in its place' WHERE transaction_id IN ('$one', '$other')");
$content = join ' ', sort keys %{ content() };
rename "$zone/_manifest.json", "$zone/kept" or die;
mkdir "$zone/_manifest.json" or die;
append_to_file("$zone/_manifest.json/x", 'x');
like(error_of($node, 'SELECT txpipe.export_curated()', db => "retail")->{text}, qr/could not .*_manifest\.json/, 'a directory in the place of the manifest: the error names it');
unlink "$zone/_manifest.json/x" or die;
rmdir "$zone/_manifest.json" or die;
rename "$zone/kept", "$zone/_manifest.json" or die;
is(found(), $content, '... and nothing is left behind');
is(changes(), months("transaction_id IN ('$one', '$other')"), '... the next export writes the months');

$node->stop;
done_testing();
