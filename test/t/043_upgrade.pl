# ALTER EXTENSION txpipe UPDATE with a stream at work and a warehouse with data: the same catalog and results as a fresh install,
# from every earlier version that sql/upgrade leads from, and from one that is made up here, so that there always is one.
# A library and an extension of different versions do nothing together, and say what to do.
use strict;
use warnings;

use File::Basename qw(basename dirname);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest;

my $tree = $TxpipeRetail::tree;
my $dir  = PostgreSQL::Test::Utils::tempdir();
my ($now) = slurp_file("$tree/txpipe.control") =~ /^default_version = '(.*)'$/m;
my ($bindir) = run_command([ 'pg_config', '--bindir' ]);
my ($broker, $node);

sub write_file
{
	my ($path, $text) = @_;

	open my $fh, '>', $path or die "$path: $!";
	print $fh $text;
	close $fh or die "$path: $!";
	return;
}

# --- what an extension consists of ---

# Every member with all that is said of it, one fact a line; columns by their order, not their number.
my $members = <<'SQL';
WITH member AS (
	SELECT d.classid, d.objid, (pg_identify_object(d.classid, d.objid, 0)).type || ' ' || (pg_identify_object(d.classid, d.objid, 0)).identity AS name
	  FROM pg_depend d JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid
	 WHERE x.extname = 'txpipe' AND d.deptype = 'e'
), relation AS (
	SELECT m.name, c.* FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
), attribute AS (
	SELECT r.name, a.*, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS place
	  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
), fact (name, aspect, value) AS (
	SELECT name, 'comment', obj_description(objid, classid::regclass::name) FROM member
	UNION ALL SELECT m.name, 'function', pg_get_functiondef(p.oid) FROM member m
	  JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid AND p.prokind <> 'a'
	UNION ALL SELECT m.name, 'privileges', p.proacl::text FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
	UNION ALL SELECT m.name, 'privileges', n.nspacl::text FROM member m JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
	UNION ALL SELECT m.name, 'definition', concat_ws(' ', fdwhandler::regproc, fdwvalidator::regproc, fdwacl, fdwoptions) FROM member m
	  JOIN pg_foreign_data_wrapper w ON m.classid = 'pg_foreign_data_wrapper'::regclass AND w.oid = m.objid
	UNION ALL SELECT m.name, 'definition', concat_ws(' ', evtevent, evtfoid::regproc, evtenabled, evttags) FROM member m
	  JOIN pg_event_trigger e ON m.classid = 'pg_event_trigger'::regclass AND e.oid = m.objid
	UNION ALL SELECT name, 'relation', concat_ws(' ', relkind, relpersistence, reloptions, relrowsecurity, relreplident) FROM relation
	UNION ALL SELECT name, 'privileges', (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(relacl) a) FROM relation
	UNION ALL SELECT name, 'query', pg_get_viewdef(oid) FROM relation WHERE relkind = 'v'
	UNION ALL SELECT name, 'sequence', concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle)
	  FROM relation JOIN pg_sequence s ON s.seqrelid = relation.oid
	UNION ALL SELECT name, 'column ' || place, concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
	  attstorage, attcollation::regcollation, attacl, pg_get_expr(d.adbin, d.adrelid)) FROM attribute LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
	UNION ALL SELECT name, 'comment on column ' || attname, col_description(attrelid, attnum) FROM attribute
	UNION ALL SELECT name, 'constraint ' || conname, pg_get_constraintdef(k.oid) FROM relation JOIN pg_constraint k
	  ON k.conrelid = relation.oid AND k.contype <> 'n'
	UNION ALL SELECT name, 'index ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid) FROM relation JOIN pg_index i ON i.indrelid = relation.oid
	UNION ALL SELECT name, 'trigger ' || tgname, pg_get_triggerdef(t.oid) FROM relation JOIN pg_trigger t ON t.tgrelid = relation.oid AND NOT tgisinternal
	UNION ALL SELECT name, 'dumped', 'WHERE ' || c FROM relation, pg_extension x, unnest(extconfig, extcondition) AS u(r, c)
	  WHERE x.extname = 'txpipe' AND u.r = relation.oid
	UNION ALL SELECT m.name, 'initial privileges', (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(i.initprivs) a)
	  FROM member m JOIN pg_init_privs i USING (classid, objoid) WHERE i.objsubid = 0
)
SELECT name, aspect, regexp_replace(value, '\s+', ' ', 'g') FROM fact WHERE value IS NOT NULL
SQL
$members =~ s/USING \(classid, objoid\)/ON i.classoid = m.classid AND i.objoid = m.objid/;

sub catalog
{
	my ($db) = @_;
	return join "\n", sort split /\n/, $node->safe_psql($db, $members);
}

# What is not as in a fresh install: "member|aspect" of each.
sub differences
{
	my ($db, $fresh) = @_;
	my %side;

	$side{$_}++ for split(/\n/, catalog($db)), split /\n/, $fresh;
	my %place = map { join('|', (split /\|/)[ 0, 1 ]) => 1 } grep { $side{$_} == 1 } keys %side;
	return sort keys %place;
}

# --- versions ---

# An installation of its own, so that its files can be replaced; returns what install_path is.
sub install_server
{
	my ($version, $sources) = @_;
	my $major = basename(dirname($bindir));
	my $copy  = "$dir/server-$version";

	system_or_bail('cp', '-a', "$bindir/../../../..", $copy);
	unlink glob "$copy/share/postgresql/$major/extension/txpipe*";
	install("$copy/lib/postgresql/$major", $sources);
	return "$copy/lib/postgresql/$major";
}

# Installs these sources, and scripts of updates: name => text.
sub install
{
	my ($path, $sources, %scripts) = @_;
	my ($share) = run_command([ "$path/bin/pg_config", '--sharedir' ]);

	system_or_bail('make', '-s', '-C', $sources, "PG_CONFIG=$path/bin/pg_config", 'install');
	write_file("$share/extension/$_", $scripts{$_}) for keys %scripts;
	return;
}

# The sources of an earlier version that never was: these, with objects changed, of which the last is a script that changes them back.
sub make_up
{
	my ($version) = @_;
	my $sources = "$dir/sources-$version";
	my $script = qq{\\echo Use "ALTER EXTENSION txpipe UPDATE" to load this file. \\quit\n}
	  . "LOCK TABLE txpipe.stream_offset, txpipe.feed IN EXCLUSIVE MODE;\n";
	my $edit = sub {
		my ($file, $change, $back) = @_;

		$_ = slurp_file("$sources/$file");
		my $before = $_;
		my $found = $change->();
		die "$file is not what it was" if $_ eq $before;
		write_file("$sources/$file", $_);
		$script .= $back->($found) if $back;
	};

	system_or_bail('cp', '-a', $tree, $sources);
	unlink glob "$sources/txpipe--*.sql";
	$edit->('Makefile', sub { s/^EXTVERSION = .*/EXTVERSION = $version/m });
	$edit->('txpipe.control', sub { s/^default_version = .*/default_version = '$version'/m });
	# A column that is not needed any more, of a table that each batch changes.
	$edit->('sql/10_stream_tables.sql', sub { s/(CREATE TABLE txpipe\.stream_offset \(.*?)(\n    PRIMARY KEY)/$1\n    legacy integer NOT NULL DEFAULT 0,$2/s },
		sub { "ALTER TABLE txpipe.stream_offset DROP COLUMN legacy;\n" });
	# A view that is new.
	$edit->('sql/68_outbox.sql', sub { s/^CREATE VIEW txpipe\.outbox .*?(?=^CREATE )//ms ? $& : '' }, sub { $_[0] });
	# A function that does something else, a comment and a privilege.
	$edit->('sql/85_check_setup.sql', sub { my $new = /^(CREATE FUNCTION txpipe\.health\(.*?^\$body\$;\n)/ms ? $1 : ''; s{'all is well'}{'nothing is wrong'}; $new },
		sub { $_[0] =~ s/CREATE/CREATE OR REPLACE/r });
	$edit->('sql/40_stream_status.sql', sub { s/IS 'Messages in the topic that are not yet in the table'/IS 'Lag'/ },
		sub { "COMMENT ON COLUMN txpipe.stream_status.lag_messages IS 'Messages in the topic that are not yet in the table';\n" });
	$edit->('sql/90_grants.sql', sub { s/^    txpipe\.session_progress\(\)\n//m && s/(txpipe\.group_is_numbered\(text\)),/$1/ },
		sub { "GRANT EXECUTE ON FUNCTION txpipe.session_progress() TO PUBLIC;\n" });
	return ($sources, $script);
}
my @made_up = (
	'function txpipe.health(boolean)|function', 'function txpipe.session_progress()|initial privileges',
	'function txpipe.session_progress()|privileges',
	'table txpipe.stream_offset|column 15',
	'view txpipe.stream_status|comment on column lag_messages');

# --- a stream and a warehouse ---

my $messages = 0;

sub produce_some
{
	produce_lines($broker, 'orders', $_ % 2, map { "{\"id\": $_}" } map { $messages + 2 * $_ } 1 .. 100) for 0, 1;
	$messages += 200;
	return;
}

sub holds_all
{
	my ($db, $when) = @_;

	wait_for_offset($node, 'orders', $messages, db => $db);
	is($node->safe_psql($db, 'SELECT count(*), count(DISTINCT (kafka_partition, kafka_offset)) FROM orders'),
		"$messages|$messages", "$db holds every message once $when");
	return;
}

sub fill
{
	my ($db, @groups) = @_;

	fresh_database($db);
	kafka_server($node, 'shop', $broker, $db);
	$node->safe_psql($db, <<'SQL');
CREATE TABLE orders (id bigint, kafka_partition int, kafka_offset bigint);
SELECT txpipe.create_stream('orders', 'shop', 'orders', 'orders', options => '{"batch_rows": 20}',
	columns => '{"id": "id", "kafka_partition": "kafka_partition", "kafka_offset": "kafka_offset"}');
SQL
	deliver($_, basename($_)) for @groups;
	run_hourly();
	same_lines(facts(), totals(@groups), "$db: the warehouse of the earlier version");
	return;
}

# Everything that reads our catalogs refuses, with the hint, and the status says the same.
sub is_outdated
{
	my ($db, $library, $extension, $hint) = @_;

	wait_for($node, 'SELECT worker_shortage IS NOT NULL FROM txpipe.stream_hindrance()', 'the versions differ', db => $db);
	wait_for($node, q{SELECT workers FROM txpipe.stream_status}, 'the stream is let go', db => $db, value => 0);
	is($node->safe_psql($db, 'SELECT state, reason FROM txpipe.stream_status'),
		"running|waiting for a worker: the library of txpipe is of version $library, the extension in this database of $extension: $hint",
		"$db waits, and says for what");
	for my $sql (q{SELECT txpipe.pause_stream('orders')}, q{CALL txpipe.consume('orders')}, 'CALL txpipe.run_hourly()')
	{
		my $error = error_of($node, $sql, db => $db);

		is("$error->{state} $error->{message}", "55000 the library of txpipe is of version $library, the extension in this database of $extension",
			"$sql is refused");
		is($error->{hint}, ucfirst "$hint.", 'with a hint');
	}
	is($node->safe_psql($db, q{SELECT ok, hint IS NOT NULL FROM txpipe.check_setup() WHERE item = 'version'}), 'f|t', 'check_setup() says so')
	  if $node->safe_psql($db, q{SELECT to_regproc('txpipe.check_version') IS NOT NULL}) eq 't';
	return;
}

# The way of docs/operations.md, and an update before the restart.
sub upgrade_from
{
	my ($version, $sources, $differing, %scripts) = @_;
	my $path = install_server($version, $sources);

	$messages = 0;
	$broker = start_broker('orders:2');
	$node = retail_node("upgrade_$version", install_path => $path, conf => "shared_preload_libraries = 'txpipe'\nmax_worker_processes = 24\n");
	my @groups = make_groups(3, '--rows', 300, '--dirty', 5, '--seed', 8);
	produce_some();
	fill($_, @groups[ 0, 1 ]) for 'early', 'late';
	holds_all($_, "under $version") for 'early', 'late';
	my ($worker, $facts) = (worker_pid($node, q{datname = 'late'}), facts());

	# The new files are there; what runs is the old library.
	install($path, $tree, %scripts);
	produce_some();
	holds_all($_, 'when the files are replaced') for 'early', 'late';
	is(worker_pid($node, q{datname = 'late'}), $worker, 'by the worker that was there');

	# Updated too early: nothing is read before the restart.
	my $producer = fork() // die "fork: $!";
	if ($producer == 0)
	{
		produce_some();
		POSIX::_exit(0);
	}
	is($node->psql('early', 'ALTER EXTENSION txpipe UPDATE'), 0, "update from $version while the stream runs");
	waitpid($producer, 0);
	$messages += 200;
	is_outdated('early', $version, $now, 'restart the server, which has another library loaded than is installed');
	holds_all('late', 'when another database is updated');

	$node->restart;
	holds_all('early', 'after the restart');
	is_outdated('late', $now, $version, 'ALTER EXTENSION txpipe UPDATE');
	produce_some();
	holds_all('early', 'as long as it likes');
	$node->safe_psql('postgres', 'CREATE DATABASE fresh');
	$node->safe_psql('fresh', 'CREATE EXTENSION txpipe');
	my $fresh = catalog('fresh');
	is_deeply([ grep { !/outbox/ } differences('late', $fresh) ], $differing, 'what differs before the update is found') if $differing;
	is($node->psql('late', 'ALTER EXTENSION txpipe UPDATE'), 0, "update from $version after the restart");
	holds_all('late', 'without another restart');

	for my $db ('early', 'late')
	{
		is_deeply([ differences($db, $fresh) ], [], "$db: the catalog is that of a fresh install");
		is($node->safe_psql($db, q{SELECT ok FROM txpipe.check_setup() WHERE item = 'version'}), 't', 'versions agree');
		is($node->safe_psql($db, 'SELECT txpipe.create_warehouse(); SELECT count(*) FROM txpipe.check_warehouse() WHERE NOT ok') =~ s/^\n//r, '0',
			'the warehouse is whole');
	}
	# sql() means the database that was made last.
	same_lines(facts(), $facts, 'the reports say what they said');
	deliver($groups[2], basename($groups[2]));
	deliver($groups[1], 'group40');
	run_hourly();
	same_lines(facts(), totals(@groups, $groups[1]), 'and what another file, and one again, add to it');
	$node->safe_psql('early', 'DROP EXTENSION txpipe CASCADE');
	return;
}

# --- all of them ---

my ($sources, $script) = make_up('0.0.9');
upgrade_from('0.0.9', $sources, \@made_up, "txpipe--0.0.9--$now.sql" => $script);

# A script that forgets something is noticed.
my ($share) = run_command([ $node->install_path . '/bin/pg_config', '--sharedir' ]);
write_file("$share/extension/txpipe--0.0.8.sql", slurp_file("$share/extension/txpipe--0.0.9.sql"));
write_file("$share/extension/txpipe--0.0.8--$now.sql", $script =~ s/^GRANT EXECUTE.*\n//mr =~ s/^COMMENT ON COLUMN txpipe\.outbox\.\w+.*\n//mr);
$node->safe_psql('postgres', 'CREATE DATABASE forgetful');
$node->safe_psql('forgetful', "CREATE EXTENSION txpipe VERSION '0.0.8'; ALTER EXTENSION txpipe UPDATE");
my @forgotten = differences('forgetful', catalog('fresh'));
is(scalar(grep { /session_progress/ } @forgotten), 2, 'a privilege that a script forgets is noticed');
is(scalar(grep { /outbox\|comment on column/ } @forgotten), 1, '... and a comment');
is(scalar @forgotten, 3, '... and nothing else') or diag(join "\n", @forgotten);
$node->stop('fast');
log_is_clean($node, qr/of version .* the extension in this database/, qr/terminating .* due to/);
stop_broker($broker);

# Real ones: test/run brings their sources from the tags vX.Y.Z.
my %real = map { /txpipe--([\d.]+)--/ ? ($1 => 1) : () } glob "$tree/sql/upgrade/txpipe--*--*.sql";
for my $version (sort keys %real)
{
  SKIP:
	{
		my $earlier = "$tree/../earlier/$version";

		skip "the sources of version $version are not there (tag v$version)", 1 unless -d $earlier;
		upgrade_from($version, $earlier);
		$node->stop('fast');
		stop_broker($broker);
	}
}
done_testing();
