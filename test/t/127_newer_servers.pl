# What PostgreSQL 17 and 18 brought, where it meets a stream or feed: other generated columns, constraints, keys, collations,
# privileges and places of extensions. Each is as its older kin, or refused by name.
use strict;
use warnings;

use File::Copy qw(copy);
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $broker  = start_broker('stored:1', 'virtual:1', 'named:1', 'booking:1', 'code:1', 'kept:1', 'hasty:1', 'elsewhere:1');
my $node    = files_node('newer');
my $version = int(sql('SHOW server_version_num') / 10000);

kafka_server($node, 'shop', $broker);

sub letters
{
	my ($stream) = @_;

	return sql("SELECT string_agg(kafka_offset || ' ' || code, ', ' ORDER BY kafka_offset) FROM txpipe.dead_letter WHERE stream = '$stream'");
}

# --- 18: generated columns that are not stored ---

sub generated
{
	my ($kind) = @_;
	my $name = lc $kind;

	sql("CREATE TABLE $name (id int PRIMARY KEY, n int, twice int NOT NULL GENERATED ALWAYS AS (n * 2) $kind, CHECK (twice < 100))");
	is(error_of($node, "SELECT txpipe.create_stream('$name', 'shop', '$name', '$name', columns => '{\"id\": \"id\", \"twice\": \"n\"}')")->{text}
		  =~ /(428C9: column "twice" is generated and cannot be mapped)/ && $1,
		'428C9: column "twice" is generated and cannot be mapped', "$kind: it cannot be mapped");
	sql("SELECT txpipe.create_stream('$name', 'shop', '$name', '$name', key_columns => '{id}')");
	produce_lines($broker, $name, 0, '{"id": 1, "n": 1, "twice": 7}', '{"id": 2, "n": 60}', '{"id": 3}', '{"id": 1, "n": 3}');
	wait_for_offset($node, $name, 4);
	is(sql("SELECT id, n, twice FROM $name"), '1|3|6', "$kind: without a mapping it is left to the server");
	is(letters($name), '1 23514, 2 23502', "$kind: constraints on it hold");
	sql("SELECT txpipe.create_feed('$name', '$name\_([0-9]+)\\.csv', '$name')");
	deliver("$name\_1.csv", "id,n\n11,4\n12,60\n");
	run_hourly();
	is(sql("SELECT id, twice FROM $name WHERE id > 10"), '11|8', "$kind: so does a feed");
	is(sql("SELECT code FROM txpipe.rejected_row JOIN txpipe.file USING (file_id) WHERE feed = '$name'"), '23514', '... and its constraints');
	return;
}

generated('STORED');
SKIP:
{
	skip 'virtual generated columns: PostgreSQL 18', 5 if $version < 18;
	generated('VIRTUAL');
}

# --- 18: NOT NULL is a constraint with a name, which may be there for new rows only ---

SKIP:
{
	skip 'NOT NULL as constraints: PostgreSQL 18', 3 if $version < 18;
	sql(q{CREATE TABLE named (id int, v int);
		INSERT INTO named VALUES (0, NULL);
		ALTER TABLE named ADD CONSTRAINT v_is_there NOT NULL v NOT VALID;
		SELECT txpipe.create_stream('named', 'shop', 'named', 'named')});
	produce_lines($broker, 'named', 0, '{"id": 1}', '{"id": 2, "v": 2}');
	wait_for_offset($node, 'named', 2);
	is(letters('named'), '0 missing_value', 'NOT NULL that is not validated holds for what comes');
	sql('ALTER TABLE named DROP CONSTRAINT v_is_there');
	produce_lines($broker, 'named', 0, '{"id": 3}');
	wait_for_offset($node, 'named', 3);
	is(sql('SELECT id, v FROM named ORDER BY id'), "0|\n2|2\n3|", 'dropped by its name it does not');
	is(letters('named'), '0 missing_value', '... any more');
}

# --- 18: keys of times that do not overlap, which ON CONFLICT cannot go by ---

SKIP:
{
	skip 'temporal keys: PostgreSQL 18', 3 if $version < 18;
	sql('CREATE TABLE booking (room int4range, during daterange, guest text, PRIMARY KEY (room, during WITHOUT OVERLAPS))');
	for my $key ([ 'as the primary key', q{options => '{"mode": "upsert"}'} ], [ 'as columns', q{key_columns => '{room, during}'} ])
	{
		my ($what, $arguments) = @$key;

		like((error_of($node, "SELECT txpipe.create_stream('booking', 'shop', 'booking', 'booking', $arguments)") // {})->{text} // '',
			qr/42P10: .*"booking" has no .*WITHOUT OVERLAPS/s, "a temporal key is refused, $what");
	}
	sql('CREATE TABLE asked (LIKE booking); ALTER TABLE asked ADD UNIQUE (room, during)');
	is((error_of($node, q{SELECT txpipe.create_unified_view('bookings', 'asked', 'booking', '{room, during}')}) // {})->{state}, '42P10',
		'... nor does it tell what was loaded from what was streamed');
}

# --- 17: collations of the server itself ---

SKIP:
{
	skip 'the collation provider builtin: PostgreSQL 17', 1 if $version < 17;
	my $wide = $version < 18 ? 'pg_c_utf8' : 'pg_unicode_fast';

	sql(q{CREATE DATABASE builtin TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'});
	$node->safe_psql('builtin', 'CREATE EXTENSION txpipe');
	kafka_server($node, 'shop', $broker, 'builtin');
	$node->safe_psql('builtin', qq{CREATE TABLE code (a text, b text COLLATE $wide, n int, UNIQUE (a, b));
		SELECT txpipe.create_stream('code', 'shop', 'code', 'code', key_columns => '{a, b}')});
	produce_lines($broker, 'code', 0, map { "{\"a\": \"\x{c3}\x{84}$_\", \"b\": \"\x{c3}\x{9f}\", \"n\": $_$_}" } 1, 2, 1);
	wait_for_offset($node, 'code', 3, db => 'builtin');
	is($node->safe_psql('builtin', 'SELECT string_agg(lower(a) || lower(b) || n, $$ $$ ORDER BY a) FROM code'),
		"\x{c3}\x{a4}1\x{c3}\x{9f}11 \x{c3}\x{a4}2\x{c3}\x{9f}22", "keys are compared with the collations of provider builtin");
	$node->safe_psql('builtin', q{SELECT txpipe.drop_stream('code')});
}

# --- 17: who may maintain a table may neither fill it nor look into it ---

SKIP:
{
	skip 'the privilege MAINTAIN: PostgreSQL 17', 2 if $version < 17;
	sql(q{CREATE ROLE keeper;
		GRANT USAGE ON FOREIGN SERVER shop TO keeper;
		GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO keeper;
		CREATE TABLE kept (id int);
		GRANT MAINTAIN ON kept TO keeper;
		SELECT txpipe.create_stream('kept', 'shop', 'kept', 'kept')});
	is(error_of($node, q{SET ROLE keeper; SELECT txpipe.create_stream('mine', 'shop', 'kept', 'kept')})->{state}, '42501',
		'MAINTAIN is no INSERT');
	is(sql(q{SET ROLE keeper; SELECT count(*) FROM txpipe.stream_status}), '0', '... and shows no stream');
}

# --- 17: a trigger that limits the transaction it runs in would end the worker of all streams ---

SKIP:
{
	skip 'transaction_timeout: PostgreSQL 17', 2 if $version < 17;
	sql(q{CREATE TABLE hasty (n int);
		CREATE FUNCTION limits() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
			PERFORM set_config('transaction_timeout', '50ms', NEW.n = 1);
			PERFORM pg_sleep(0.2); -- sleep-ok: what a slow trigger is
			RETURN NEW;
		END$$;
		CREATE TRIGGER limits BEFORE INSERT ON hasty FOR EACH ROW EXECUTE FUNCTION limits();
		SELECT txpipe.create_stream('hasty', 'shop', 'hasty', 'hasty')});
	my $worker = worker_pid($node);
	for my $n (1, 2, 3)
	{
		produce_lines($broker, 'hasty', 0, "{\"n\": $n}");
		wait_for_offset($node, 'hasty', $n);
	}
	is(sql('SELECT count(*), (SELECT restarts FROM txpipe.stream_status WHERE stream = $$hasty$$) FROM hasty'), '3|0', 'its batches are written');
	is(worker_pid($node, "pid = $worker"), $worker, '... and the worker lives on');
}

# --- 18: an extension in a directory of its own, the program beside the library ---

SKIP:
{
	skip 'extension_control_path: PostgreSQL 18', 2 if $version < 18;
	my $away  = $node->basedir . '/away';
	my $share = `pg_config --sharedir` =~ s/\n//r;
	my $lib   = `pg_config --pkglibdir` =~ s/\n//r;

	make_path("$away/extension", "$away/lib");
	for my $file (glob "$share/extension/txpipe*")
	{
		copy($file, "$away/extension") or die "$file: $!";
	}
	copy("$lib/txpipe.so", "$away/lib") or die;
	append_to_file("$away/lib/txpipe_io", "#!/bin/sh\n: >'$away/used'\nexec '$lib/txpipe_io' \"\$@\"\n");
	chmod 0755, "$away/lib/txpipe_io";
	$node->append_conf('postgresql.conf', "extension_control_path = '$away:\$system'\ndynamic_library_path = '$away/lib:\$libdir'\n");
	$node->restart;
	sql('CREATE DATABASE elsewhere');
	$node->safe_psql('elsewhere', 'CREATE EXTENSION txpipe');
	kafka_server($node, 'shop', $broker, 'elsewhere');
	$node->safe_psql('elsewhere', q{CREATE TABLE t (n int); SELECT txpipe.create_stream('t', 'shop', 'elsewhere', 't')});
	produce_lines($broker, 'elsewhere', 0, '{"n": 1}');
	wait_for_offset($node, 't', 1, db => 'elsewhere');
	is($node->safe_psql('elsewhere', 'SELECT n FROM t'), '1', 'a stream runs from there');
	ok(-e "$away/used", '... with the program that is there');
}

$node->stop('fast');
log_is_clean($node, qr/terminating .* due to/, qr/is generated and cannot be mapped/, qr/booking"? has no/, qr/permission denied/);
stop_broker($broker);
done_testing();
