# Personal columns are encrypted where messages and files are decoded: what the server keeps of them, who can read it, and
# that pgcrypto and gpg read it, too.
use strict;
use warnings;

use File::Copy qw(copy);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node   = files_node('encryption');
my $broker = start_broker('people:1', 'letters:1', 'noted:1', 'keyed:1', 'plain:1');
my $dir    = PostgreSQL::Test::Utils::tempdir();
my @key    = map { join '', map { ('a' .. 'f', 0 .. 9)[ rand 16 ] } 1 .. 64 } 1 .. 2;
kafka_server($node, 'shop', $broker);

# Is the text anywhere in what the database has of the streams and feeds? The places that have it.
sub places_of
{
	my ($text) = @_;
	my $dump   = $node->safe_psql('postgres', q{SELECT string_agg(format('SELECT %L WHERE EXISTS (SELECT FROM %s AS t WHERE
		t::text ~ %L OR t::text ~ %L)', oid::regclass, oid::regclass, '} . $text . q{', encode('} . $text . q{', 'hex')), ' UNION ALL ')
		FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('txpipe', 'public')});
	return join ',', split /\n/, $node->safe_psql('postgres', $dump);
}

# One test point: gpg decrypts the file to these bytes.
sub is_gpg
{
	my ($path, $want, $name) = @_;
	my $home = PostgreSQL::Test::Utils::tempdir_short();
	my $read = `gpg --homedir $home --batch --quiet --pinentry-mode loopback --passphrase $key[0] --decrypt $path 2>/dev/null`;

	ok($read eq $want, $name) or diag(length($read) . ' bytes, not ' . length $want);
	return;
}

# --- a stream ---

my $mapping = q{{"id": "id", "name": {"path": "name", "as": "encrypt"}, "units": "units"}};
sql(q{CREATE EXTENSION pgcrypto; CREATE TABLE people (id integer PRIMARY KEY, name bytea, units integer CHECK (units < 100))});
my $error = error_of($node, qq{SELECT txpipe.create_stream('people', 'shop', 'people', 'people', columns => '$mapping')});
is($error->{state}, '55000', 'without a key nothing is encrypted');
like($error->{hint}, qr/encryption_key_file/, '... and the hint says where it belongs');
my $key_file = secret_file("$dir/key", "$key[0]\n");
sql("CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (encryption_key_file '$key_file')");

is(error_of($node, q{SELECT txpipe.create_stream('people', 'shop', 'people', 'people',
	columns => '{"id": "id", "units": {"path": "name", "as": "encrypt"}}')})->{state}, '22023', 'an encrypted column is bytea');
sql(q{CREATE TABLE whole (id integer, name bytea, rest jsonb)});
$error = error_of($node, q{SELECT txpipe.create_stream('whole', 'shop', 'people', 'whole',
	columns => '{"id": "id", "name": {"path": "name", "as": "encrypt"}, "rest": "$rest"}')});
is($error->{state}, '22023', 'the rest of a message beside an encrypted field is encrypted, too');
like($error->{message}, qr/in clear/, '... says the error');
sql(q{CREATE TABLE named (name bytea PRIMARY KEY)});
is(error_of($node, q{SELECT txpipe.create_stream('named', 'shop', 'people', 'named',
	columns => '{"name": {"path": "name", "as": "encrypt"}}', options => '{"mode": "upsert"}')})->{state}, '22023',
	'an encrypted column is no key');

sql(qq{SELECT txpipe.create_stream('people', 'shop', 'people', 'people', columns => '$mapping')});
produce_lines($broker, 'people', 0,
	'{"id": 1, "name": "Ada Löwe", "units": 1}',
	'{"id": 2, "name": "Ada Löwe", "units": 2}',
	'{"id": 3, "name": null, "units": 3}',
	'{"id": 4, "name": {"first": "Ada Löwe"}, "units": 4}',
	'{"id": 5, "name": "Ada Löwe", "units": "Ada Löwe"}',
	'{"id": 6, "name": "Ada Löwe", "units": 600}',
	'{"id": 7, "name": "Ada Löwe", "units": ',
	'{"id": 1, "name": "Ada Löwe", "units": 1}');
wait_for_offset($node, 'people', 8);
is(sql(q{SELECT string_agg(id::text || ':' || coalesce(txpipe.decrypt(name, 'shop'), 'NULL'), ', ' ORDER BY id) FROM people}),
	'1:Ada Löwe, 2:Ada Löwe, 3:NULL, 4:{"first": "Ada Löwe"}', 'decrypt() gives the values');
is(sql(qq{SELECT string_agg(pgp_sym_decrypt(name, '$key[0]'), ', ' ORDER BY id) FROM people WHERE id < 3}), 'Ada Löwe, Ada Löwe',
	'pgcrypto reads them');
is(sql(q{SELECT count(DISTINCT name) FROM people}), '3', 'no two are equal');
is(places_of('Löwe'), '', 'the name is in no table in clear');
is(sql(q{SELECT string_agg(kafka_offset || ' ' || code || ' ' || message, '; ' ORDER BY kafka_offset) FROM txpipe.dead_letter}),
	'4 bad_value invalid input for integer; 5 23514 refused by the constraint "people_units_check"; '
	. '6 bad_json message ends too early at byte 41; 7 23505 refused by the constraint "people_pkey"', 'reasons show no values');
is(sql(q{SELECT convert_from(txpipe.decrypt_bytes(payload, 'shop'), 'UTF8') FROM txpipe.dead_letter WHERE kafka_offset = 6}),
	'{"id": 7, "name": "Ada Löwe", "units": ', 'the letter is there');
is(sql(qq{SELECT convert_from(pgp_sym_decrypt_bytea(payload, '$key[0]'), 'UTF8') FROM txpipe.dead_letter WHERE kafka_offset = 5}),
	'{"id": 6, "name": "Ada Löwe", "units": 600}', '... and that of a row PostgreSQL refused, for pgcrypto, too');

is_gpg(secret_file("$dir/value.pgp", pack 'H*', sql(q{SELECT encode(name, 'hex') FROM people WHERE id = 1})), 'Ada Löwe', 'gpg reads a value');

# --- replay ---

is(sql(q{SELECT * FROM txpipe.replay_dead_letters('people')}), '0|4|4', 'nothing can be replayed while nothing has changed');
is(places_of('Löwe'), '', '... and no value has come out');
sql(q{ALTER TABLE people DROP CONSTRAINT people_units_check});
is(sql(q{SELECT * FROM txpipe.replay_dead_letters('people', codes => '{23514}')}), '1|0|3', 'a letter is replayed');
is(sql(q{SELECT txpipe.decrypt(name, 'shop') FROM people WHERE id = 6}), 'Ada Löwe', '... and encrypted again');
my $id = sql(q{SELECT dead_letter_id FROM txpipe.dead_letter WHERE kafka_offset = 6});
is(sql(qq{SELECT * FROM txpipe.replay_dead_letters('people', ids => '{$id}',
	payload => convert_to('{"id": 7, "name": "Ada Löwe", "units": 7}', 'UTF8'))}), '1|0|2', 'a mended letter is replayed');
is(sql(qq{SELECT convert_from(txpipe.decrypt_bytes(payload_fixed, 'shop'), 'UTF8') FROM txpipe.dead_letter WHERE dead_letter_id = $id}),
	'{"id": 7, "name": "Ada Löwe", "units": 7}', '... and what mended it is kept');
is(places_of('Löwe'), '', '... encrypted');

# --- key and headers; the option alone; messages read again ---

sql(q{CREATE TABLE keyed (name bytea, kafka_headers bytea); CREATE TABLE seen (key bytea, headers jsonb);
	SELECT txpipe.create_stream('keyed', 'shop', 'keyed', 'keyed', paused => true,
		columns => '{"name": {"path": "$key.name", "as": "encrypt"}, "kafka_headers": {"path": "kafka_headers", "as": "encrypt"}}');
	SELECT txpipe.on_batch('keyed', 'see', 'INSERT INTO public.seen SELECT kafka_key, NULL FROM batch')});
sql(q{SELECT txpipe.produce('shop', 'keyed', '{}', key => '{"name": "Bert Uhu"}', headers => '{"who": "Bert Uhu"}');
	SELECT txpipe.produce('shop', 'keyed', 'no JSON', key => '{"name": "Bert Uhu"}', headers => '{"who": "Bert Uhu"}');
	SELECT txpipe.resume_stream('keyed')});
wait_for_offset($node, 'keyed', 2);
is(sql(q{SELECT txpipe.decrypt(name, 'shop'), txpipe.decrypt(kafka_headers, 'shop') FROM keyed}),
	'Bert Uhu|{"who": "Bert Uhu"}', 'a field of the key and headers are encrypted');
is(sql(q{SELECT convert_from(txpipe.decrypt_bytes(key, 'shop'), 'UTF8') FROM seen}), '{"name": "Bert Uhu"}', '... and what steps see of them');
is(sql(q{SELECT convert_from(txpipe.decrypt_bytes(kafka_key, 'shop'), 'UTF8'),
	convert_from(txpipe.decrypt_bytes(decode(kafka_headers #>> '{}', 'hex'), 'shop'), 'UTF8') FROM txpipe.dead_letter
	WHERE stream = 'keyed'}), '{"name": "Bert Uhu"}|{"who": "Bert Uhu"}', '... and the key and headers of a letter');
is(places_of('Bert Uhu'), '', '... everywhere');

sql(q{CREATE TABLE letters (id integer); SELECT txpipe.create_stream('letters', 'shop', 'letters', 'letters', options => '{"encrypt": true}')});
produce_lines($broker, 'letters', 0, '{"id": "Carl"}', '{"id": 1}');
wait_for_offset($node, 'letters', 2);
is(sql(q{SELECT encrypted, payload_text, message FROM txpipe.dead_letter WHERE stream = 'letters'}), 't||invalid input for integer',
	'with the option alone dead letters are encrypted');
sql(q{SELECT txpipe.pause_stream('letters'); SELECT txpipe.seek_stream('letters', 'earliest'); SELECT txpipe.resume_stream('letters')});
wait_for($node, 'SELECT count(*) FROM letters', 'the messages are read again', value => 2);
is(sql(q{SELECT count(*) FROM txpipe.dead_letter WHERE stream = 'letters'}), '1', 'a letter that is read again is no second one');
sql(q{SELECT txpipe.alter_stream('letters', options => '{"encrypt": false}')});
is(sql(q{SELECT * FROM txpipe.replay_dead_letters('letters')}), '0|1|1', 'without a key it cannot be replayed');
is(sql(q{SELECT code FROM txpipe.dead_letter WHERE stream = 'letters'}), 'sealed', '... and says so');

# --- a feed ---

sub lake_file { return $node->basedir . '/dirs/lake/' . sql("SELECT lake_path FROM txpipe.file WHERE file_name = '$_[0]'") }

sql(q{CREATE TABLE guest (id integer, name bytea, units integer CHECK (units < 100), file_id bigint)});
my $guests = q{{"id": "id", "name": {"path": "name", "as": "encrypt"}, "units": "units"}};
is(error_of($node, qq{SELECT txpipe.create_feed('guest', '^guest/(.*)\\.csv\$', 'guest', columns => '$guests')})->{state}, '22023',
	'a feed names the server with the key');
sql(qq{SELECT txpipe.create_feed('guest', '^guest/(.*)\\.csv\$', 'guest', columns => '$guests', options => '{"encryption_server": "shop"}')});
my $lines = join '', "id,name,units\n1,Dora Emu,1\n2,Dora Emu,Dora Emu\n3,Dora Emu,300\n4,\"Dora\nEmu\",4\n",
	map { "$_,Dora Emu,5\n" } 5 .. 40_000;
deliver('guest/01.csv', $lines);
my $told = sql(q{SELECT line IS NULL, message FROM txpipe.validate_file('guest/01.csv') WHERE outcome = 'rejected' ORDER BY line_no});
is($told, "t|invalid input for integer\nt|refused by the constraint \"guest_units_check\"", 'validate_file shows no values');
run_hourly();
is(sql(q{SELECT state, rows_read, rows_loaded, rows_rejected, landing_removed FROM txpipe.file WHERE file_name = 'guest/01.csv'}),
	'loaded_with_rejects|40000|39998|2|t', 'the file is loaded');
is(sql(q{SELECT count(*), min(txpipe.decrypt(name, 'shop')) FROM guest WHERE id > 4}), '39996|Dora Emu', '... its column encrypted');
is(sql(q{SELECT line IS NULL, txpipe.decrypt(line_encrypted, 'shop'), message FROM txpipe.rejected_row ORDER BY line_no}),
	"t|2,Dora Emu,Dora Emu|invalid input for integer\nt|3,Dora Emu,300|refused by the constraint \"guest_units_check\"",
	'... and the rejected records');
is(places_of('Dora Emu'), '', 'the name is in no table in clear');
like(lake_file('guest/01.csv'), qr/01\.csv\.pgp$/, 'its copy is named after that');
unlike(slurp_file(lake_file('guest/01.csv')), qr/Dora Emu/, '... and encrypted');
is_gpg(lake_file('guest/01.csv'), $lines, '... for gpg, too');
my $file = sql(q{SELECT file_id FROM txpipe.file WHERE file_name = 'guest/01.csv'});
sql("SELECT txpipe.reload($file)");
is(sql('SELECT count(*) FROM guest'), '39998', 'it is reloaded from there');
is(sql("SELECT * FROM txpipe.replay_rejected_rows($file, '{3}', '2,Dora Emu,2')"), '1|0|1', 'a mended record is replayed');
is(sql("SELECT txpipe.decrypt(decode(line_fixed, 'hex'), 'shop') FROM txpipe.rejected_line WHERE line_no = 3"), '2,Dora Emu,2', '... and kept');
is(places_of('Dora Emu'), '', '... encrypted');

sql(q{ALTER SYSTEM SET txpipe.lake_compression = 'zstd'; SELECT pg_reload_conf()});
wait_for($node, 'SHOW txpipe.lake_compression', 'the setting is read', value => 'zstd');
deliver('guest/02.csv', my $more = "id,name,units\n" . "50000,Dora Emu,1\n" x 20_000);
run_hourly();
like(lake_file('guest/02.csv'), qr/02\.csv\.zst\.pgp$/, 'a copy is compressed and then encrypted');
cmp_ok(-s lake_file('guest/02.csv'), '<', 20_000, '... in that order');
$file = sql(q{SELECT file_id FROM txpipe.file WHERE file_name = 'guest/02.csv'});
sql("SELECT txpipe.reload($file)");
is(sql('SELECT count(*) FROM guest WHERE id = 50000'), '20000', '... and reloaded');
deliver('guest/03.csv', '');
deliver('guest/04.csv', "id,name,units\n");
run_hourly();
is(sql(q{SELECT string_agg(state, ',' ORDER BY file_name) FROM txpipe.file WHERE file_name > 'guest/03'}), 'failed,loaded',
	'files of nothing and of a header are as without encryption');

# One that comes encrypted by the same key stays so: it may be anything, and its copy is encrypted once more.
copy(lake_file('guest/01.csv'), $node->basedir . '/dirs/landing/guest/05.csv') or die;
my $refused = error_of($node, q{SELECT txpipe.validate_file('guest/05.csv')});
run_hourly();
is($refused->{state}, '22P04', 'a file that comes encrypted is not decrypted');
is(sql(q{SELECT state, right(reason, 7) FROM txpipe.file WHERE file_name = 'guest/05.csv'}), 'failed|[22P04]',
	'... neither by validate_file nor by a load');

# --- what an error quotes that is no single row's ---

sql(q{CREATE TABLE plain (name text); CREATE TABLE summary (name text CONSTRAINT no_emil CHECK (name !~ 'Emil'));
	SELECT txpipe.create_feed('plain', '^plain/(.*)\.csv$', 'plain', options => '{"encryption_server": "shop"}');
	SELECT txpipe.on_file_end('plain', 'sum', 'INSERT INTO public.summary SELECT name FROM public.plain')});
deliver('plain/01.csv', "name\nEmil Emu\n");
run_hourly();
is(sql(q{SELECT state, reason FROM txpipe.file WHERE file_name = 'plain/01.csv'}),
	'failed|plain/01.csv: refused by the constraint "no_emil" [23514]', 'the reason why a group failed has no values');
sql(q{SELECT txpipe.drop_feed('plain')});
sql(q{CREATE TABLE noted (name text);
	SELECT txpipe.create_stream('noted', 'shop', 'noted', 'noted', options => '{"encrypt": true}');
	SELECT txpipe.on_batch('noted', 'sum', 'INSERT INTO public.summary SELECT name FROM batch', on_error => 'skip')});
produce_lines($broker, 'noted', 0, '{"name": "Emil Emu"}');
wait_for($node, q{SELECT last_error FROM txpipe.stream_step WHERE stream = 'noted' AND errors_total > 0}, 'the step fails',
	value => '23514: refused by the constraint "no_emil"');
unlike(slurp_file($node->logfile), qr/Emil Emu/, 'nor has the server log');
sql(q{SELECT txpipe.drop_stream('noted')});

sql(q{UPDATE txpipe.feed SET options = options - 'encryption_server', columns = columns - 'name' WHERE feed = 'guest'});
$error = error_of($node, "SELECT txpipe.reload($file)");
is($error->{state}, '55000', 'without the option a copy cannot be read');
like($error->{message}, qr/no key for the encrypted file/, '... says the error');
sql(q{SELECT txpipe.alter_feed('guest', options => '{"encryption_server": "shop"}')});
my $copy = slurp_file(lake_file('guest/02.csv'));
substr($copy, length($copy) / 2, 1) ^= "\x01";
append_to_file(lake_file('guest/02.csv') . '.new', $copy);
rename lake_file('guest/02.csv') . '.new', lake_file('guest/02.csv');
is(error_of($node, "SELECT txpipe.reload($file)")->{state}, '22P04', 'nor when it is damaged');

# --- who may decrypt ---

sql(q{CREATE ROLE analyst; GRANT USAGE ON SCHEMA txpipe TO analyst; GRANT SELECT ON people TO analyst});
my $read = q{SET ROLE analyst; SELECT txpipe.decrypt(name, 'shop') FROM people WHERE id = 1};
is(error_of($node, $read)->{state}, '42501', 'nobody decrypts who was not granted it');
sql(q{GRANT EXECUTE ON FUNCTION txpipe.decrypt(bytea, text) TO analyst});
is(error_of($node, $read)->{state}, '42501', '... nor without USAGE on the server');
sql(q{GRANT USAGE ON FOREIGN SERVER shop TO analyst});
is(error_of($node, $read)->{state}, '55000', '... nor without a mapping of his own');
sql("CREATE USER MAPPING FOR analyst SERVER shop OPTIONS (encryption_key_file '$key_file')");
is(sql($read), 'Ada Löwe', 'with the three he does');
unlike(sql(q{SET ROLE analyst; SELECT umoptions FROM pg_user_mappings WHERE usename = 'analyst'}), qr/$key[0]/, '... and does not see the key');

# --- errors, and another key ---

is(error_of($node, q{SELECT txpipe.decrypt('Ada Löwe'::text::bytea, 'shop')})->{state}, '22023', 'what is in clear is not decrypted');
is(error_of($node, q{SELECT txpipe.decrypt(set_byte(name, 60, get_byte(name, 60) # 1), 'shop') FROM people WHERE id = 1})->{state}, 'XX001',
	'nor what is damaged');
is(error_of($node, q{SELECT txpipe.decrypt(substring(name, 1, length(name) - 1), 'shop') FROM people WHERE id = 1})->{state}, 'XX001',
	'... or cut short');
secret_file("$dir/key", "$key[1]\n$key[0]\n");
is(sql(q{SELECT count(txpipe.decrypt(name, 'shop')) FROM people WHERE name IS NOT NULL}), '5', 'with a new key above the old one all is read');
sql(q{UPDATE people SET name = txpipe.encrypt(txpipe.decrypt(name, 'shop'), 'shop')});
secret_file("$dir/key", "$key[1]\n");
is(sql(q{SELECT count(txpipe.decrypt(name, 'shop')) FROM people WHERE name IS NOT NULL}), '5', '... and with that alone, once it is encrypted anew');
kafka_server($node, 'store', $broker);
sql("CREATE USER MAPPING FOR CURRENT_USER SERVER store OPTIONS (encryption_key_file '$key_file')");
is(sql(q{WITH read AS MATERIALIZED (SELECT count(txpipe.decrypt((SELECT name FROM people WHERE name IS NOT NULL LIMIT 1), CASE n % 2 WHEN 0 THEN 'shop' ELSE 'store' END)) AS n FROM generate_series(1, 1000) n)
	SELECT read.n, (SELECT count(*) <= 1 FROM pg_backend_memory_contexts c WHERE c.name = 'txpipe encryption keys' AND read.n > 0) FROM read}), '1000|t',
	'with another server in each row the keys of one are kept');
$error = error_of($node, q{SELECT txpipe.decrypt_bytes(payload, 'shop') FROM txpipe.dead_letter WHERE stream = 'people'});
is($error->{state}, '22000', 'what has the old key is told');
like($error->{message}, qr/another key/, '... as that');
secret_file("$dir/key", "too short\n");
is(error_of($node, q{SELECT txpipe.encrypt('x', 'shop')})->{state}, '22023', 'a short key is refused');

log_is_clean($node, qr/051_encryption.pl.*ERROR:  /);
done_testing();
