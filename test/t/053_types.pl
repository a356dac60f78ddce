# Types without USAGE for the owner of a stream or feed: values may be used, as PostgreSQL lets every query, but no table may be
# made of them, also not by a window.
use strict;
use warnings;

use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $broker = start_broker('kinds:1');
my $node   = files_node('types');

kafka_server($node, 'shop', $broker);
sql(<<'SQL');
CREATE ROLE clerk; CREATE SCHEMA clerk AUTHORIZATION clerk; CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO clerk;
GRANT USAGE ON SCHEMA txpipe TO clerk; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO clerk; GRANT USAGE ON FOREIGN SERVER shop TO clerk;
CREATE TYPE app.kind AS ENUM ('red', 'blue'); CREATE DOMAIN app.price AS integer CHECK (VALUE > 0); CREATE TYPE app.span AS RANGE (subtype = app.price);
CREATE TABLE clerk.kinds (id integer, kind app.kind, price app.price, span app.span, at timestamptz);
ALTER TABLE clerk.kinds OWNER TO clerk;
CREATE TABLE clerk.files (kind app.kind, price app.price); ALTER TABLE clerk.files OWNER TO clerk;
CREATE TABLE clerk.seen (kinds text); ALTER TABLE clerk.seen OWNER TO clerk;
REVOKE USAGE ON TYPE app.kind, app.price, app.span FROM PUBLIC;
SQL

# What PostgreSQL says by itself is the measure.
my $insert = q{INSERT INTO clerk.kinds VALUES (0, 'red', 1, '[1,2)', '2026-01-01Z')};
is(error_of($node, "SET ROLE clerk; $insert"), undef, 'an INSERT needs no USAGE on types of the table');
is(error_of($node, "SET ROLE clerk; CREATE TABLE clerk.more (x app.$_)")->{state}, '42501', "a table of app.$_ does") foreach qw(kind price span);

sql(q{SET ROLE clerk; SELECT txpipe.create_stream('kinds', 'shop', 'kinds', 'clerk.kinds', paused => true);
	SELECT txpipe.on_batch('kinds', 'seen', $$INSERT INTO clerk.seen SELECT string_agg(kind::app.kind::text, ',') FROM batch WHERE price::app.price > 0$$)});
my %refused = (
	kind  => q{group_by => '{kind}'},
	price => q{aggregates => '{"most": "max(price)"}', group_by => '{price}'},
	span  => q{group_by => '{span}'});
for my $type (sort keys %refused)
{
	my $error = error_of($node, "SET ROLE clerk; SELECT txpipe.create_window('w_$type', 'kinds', 'at', '1 hour', $refused{$type})");

	is("$error->{state} $error->{message}", "42501 permission denied for type app.$type", "a window that would make a table of app.$type is refused");
}
is(sql(q{SELECT count(*) FROM pg_class WHERE relname ~ '^w_'}), '0', '... and leaves nothing');
sql(q{SET ROLE clerk; SELECT txpipe.resume_stream('kinds')});
produce_lines($broker, 'kinds', 0, '{"id": 1, "kind": "blue", "price": 3, "span": "[1,5)", "at": "2026-01-01T00:00:00Z"}', '{"id": 2, "kind": "blue", "price": 0}');
wait_for_offset($node, 'kinds', 2);
is(sql('SELECT string_agg(concat_ws($$ $$, id, kind, price, span), $$, $$ ORDER BY id) FROM clerk.kinds'), '0 red 1 [1,2), 1 blue 3 [1,5)', 'a stream fills the table as INSERT does');
is(sql('SELECT kinds FROM clerk.seen'), 'blue', '... its step uses values of the types');
is(sql(q{SELECT string_agg(code, ',') FROM txpipe.dead_letter}), '23514', '... and the domain is checked');

sql(q{SET ROLE clerk; SELECT txpipe.create_feed('files', 'files_(.*)\.csv', 'clerk.files')});
deliver('files_1.csv', "kind,price\nred,1\nred,0\n");
run_hourly();
is(sql('SELECT string_agg(concat_ws($$ $$, kind, price), $$, $$) FROM clerk.files'), 'red 1', 'so does a feed');

# What cannot be named cannot be used: that is the schema's privilege.
sql('REVOKE USAGE ON SCHEMA app FROM clerk');
is(error_of($node, q{SET ROLE clerk; SELECT 'red'::app.kind})->{state}, '42501', 'without USAGE on the schema a type cannot be named');
is(error_of($node, q{SET ROLE clerk; SELECT txpipe.on_batch('kinds', 'named', $$SELECT 'red'::app.kind$$)})->{state}, '42501', '... nor in a step');
produce_lines($broker, 'kinds', 0, '{"id": 3, "kind": "red"}');
wait_for($node, q{SELECT concat(reason, last_error) ~ 'permission denied for schema app' FROM txpipe.stream_status WHERE stream = 'kinds'}, 'a step that was there is refused, too');
sql('GRANT USAGE ON SCHEMA app TO clerk; SET ROLE clerk; SELECT txpipe.resume_stream($$kinds$$)');
wait_for_offset($node, 'kinds', 3);
is(sql('SELECT count(*) FROM clerk.kinds'), '3', '... and goes on when it may');

log_is_clean($node, qr/permission denied for (type|schema)/);
done_testing();
