# Changing a feed: it keeps its ledger, and what is loaded from then on follows the new definition.
use strict;
use warnings;

use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node    = files_node('alter_feed');
my $landing = $node->basedir . '/dirs/landing';

sub files
{
	my ($columns) = @_;

	return sql("SELECT file_name, group_key, $columns FROM txpipe.file ORDER BY file_id");
}

sub settle_time
{
	my ($value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET txpipe.settle_time = '$value'");
	$node->reload;
	wait_for($node, "SELECT current_setting('txpipe.settle_time') = '$value'", "settle_time is $value");
	return;
}

sql(<<'SQL');
CREATE ROLE seller;
CREATE ROLE stranger;
GRANT USAGE, CREATE ON SCHEMA public TO seller;
GRANT USAGE ON SCHEMA txpipe TO seller, stranger;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO seller, stranger;
SET ROLE seller;
CREATE TABLE goods (id integer, name text, price numeric(10,2), file_id bigint);
SELECT txpipe.create_feed('prices', '(g[0-9]+)/prices\.csv', 'goods', group_name => 'shop', required => false);
SELECT txpipe.create_feed('goods', '(g[0-9]+)/goods\.csv', 'goods', columns => '{"id": "id", "name": "name"}', group_name => 'shop',
    options => '{"batch_rows": 100, "ordinal": 7}', after_load => 'keep');
SELECT txpipe.set_rule('goods', 'no_name', 'name IS NULL');
SQL

# --- columns, options, and what is loaded already ---

deliver('g1/goods.csv', "id,name,price\n1,one,1.50\n");
run_hourly();
sql(q{SET ROLE seller; SELECT txpipe.alter_feed('goods', '{"id": "id", "name": "label", "price": "price"}',
	'{"batch_rows": null, "reject_limit": 5, "ordinal": 9}')});
is(sql(q{SELECT options, ordinal, after_load FROM txpipe.feed WHERE feed = 'goods'}), '{"ordinal": 9, "reject_limit": 5}|9|keep',
	'options are merged, null takes one away');
is(sql(q{SELECT string_agg(feed, ' ' ORDER BY ordinal, feed) FROM txpipe.feed_status}), 'goods prices', 'the order of feeds follows');
deliver('g2/goods.csv', "id,label,price\n2,two,2.50\n3,,3\n");
deliver('g3/goods.csv', "id,name,price\n1,one,1.50\n");
run_hourly();
is(files('state, rows_loaded'), "g1/goods.csv|g1|loaded|1\ng2/goods.csv|g2|loaded_with_rejects|1\ng3/goods.csv|g3|duplicate|0",
	'the ledger goes on: what was loaded is known');
is(sql('SELECT id, name, price FROM goods ORDER BY id'), "1|one|\n2|two|2.50", 'new files follow the new mapping');
is(sql('SELECT code, line FROM txpipe.rejected_row'), 'no_name|3,,3', 'and the rules');
sql(q{SET ROLE seller; SELECT txpipe.alter_feed('goods', columns => 'null')});
sql(q{SET ROLE seller; SELECT txpipe.reload(file_id) FROM txpipe.file WHERE file_name = 'g1/goods.csv'});
is(sql('SELECT id, name, price FROM goods WHERE id = 1'), '1|one|1.50', 'without a mapping fields match by name, in files loaded again, too');

# --- where files come from and go ---

ok(-e "$landing/g1/goods.csv", 'files were kept');
settle_time('1h');
deliver('g4/goods.csv', "id,name\n4,four\n");
run_hourly();
is(sql(q{SELECT state, group_key FROM txpipe.file WHERE file_name = 'g4/goods.csv'}), 'settling|g4', 'a file settles');
sql(q{SET ROLE seller; SELECT txpipe.alter_feed('goods', file_pattern => 'g([0-9]+)/(?:goods|more)\.csv', after_load => 'archive')});
settle_time('0');
deliver('g5/more.csv', "id,name\n5,five\n");
run_hourly();
is(files('state, landing_removed'), join("\n", 'g1/goods.csv|g1|loaded|t', 'g2/goods.csv|g2|loaded_with_rejects|t', 'g3/goods.csv|g3|duplicate|t',
	'g4/goods.csv|4|loaded|t', 'g5/more.csv|5|loaded|t'), 'the new pattern holds for what had not settled; nothing is kept any more');
is(join(' ', glob "$landing/g?/*.csv"), '', '... indeed');

# --- what is refused ---

my $as_it_is = q{SELECT * FROM txpipe.feed WHERE feed = 'goods'};
my $before   = sql($as_it_is);
foreach my $case (
	[ q{'goods'},                                                     '22023', qr/^nothing of feed "goods" is to be changed/ ],
	[ q{'none', options => '{}'},                                     '42704', qr/^feed "none" does not exist/ ],
	[ q{NULL, options => '{}'},                                       '22004', qr/feed/ ],
	[ q{'goods', '[]'},                                               '22023', qr/^columns must be a JSON object/ ],
	[ q{'goods', '{"no_such": "x"}'},                                 '42703', qr/no_such/ ],
	[ q{'goods', '{"id": "id"}, "file_id": 1'},                       '22P02', qr/json/ ],
	[ q{'goods', '{"id": "id", "file_id": "id"}'},                    '22023', qr/^column "file_id" cannot be mapped/ ],
	[ q{'goods', '{"id": "id"}'},                                     '42703', qr/^rule "no_name" cannot be checked: column "name"/ ],
	[ q{'goods', options => '[]'},                                    '22023', qr/object/ ],
	[ q{'goods', options => '{"reject_limit": -1}'},                  '22023', qr/reject_limit/ ],
	[ q{'goods', options => '{"colour": "red"}'},                     '22023', qr/colour/ ],
	[ q{'goods', options => '{"header": false}'},                     '22023', qr/^the options header and fields do not fit together/ ],
	[ q{'goods', options => '{"encoding": "KLINGON"}'},               '22023', qr/^encoding "KLINGON" is not known/ ],
	[ q{'goods', file_pattern => 'g.*'},                              '22023', qr/has no capture group/ ],
	[ q{'goods', file_pattern => '(g.*'},                             '2201B', qr/regular expression/ ],
	[ q{'goods', file_pattern => '../(.*)'},                          '22023', qr/leaves the landing directory/ ],
	[ q{'goods', after_load => 'burn'},                               '22023', qr/^after_load cannot be "burn"/ ])
{
	my ($arguments, $state, $words) = @$case;
	my $error = error_of($node, "SELECT txpipe.alter_feed($arguments)") // {};

	is($error->{state}, $state, "alter_feed($arguments): SQLSTATE") or diag(explain($error));
	like($error->{message}, $words, '... says what is wrong');
	ok($error->{hint} || $state =~ /^(?:22004|22P02|2201B|42703)$/, '... has a hint');
}
is(error_of($node, q{SET ROLE stranger; SELECT txpipe.alter_feed('goods', options => '{}')})->{state}, '42501', 'strangers change nothing');
sql('SET ROLE seller; REVOKE INSERT ON goods FROM seller');
is(error_of($node, q{SELECT txpipe.alter_feed('goods', options => '{}')})->{state}, '42501', 'the rights that count are the owner\'s');
sql('SET ROLE seller; GRANT INSERT ON goods TO seller');
sql(q{SET ROLE seller; SELECT txpipe.create_feed('plain', '(p.*)\.csv', columns => '{"id": {"path": "id", "type": "integer"}}')});
is(error_of($node, q{SELECT txpipe.alter_feed('plain', 'null')})->{message}, 'feed "plain" has neither a target nor columns', 'without a target columns stay');
is(sql($as_it_is), $before, 'nothing of it has changed the feed');

# --- the owner's SQL plants nothing in the session of whoever changes his feed ---

sql(<<'SQL');
SET ROLE seller;
CREATE FUNCTION plant(how text) RETURNS integer LANGUAGE plpgsql AS $$BEGIN EXECUTE how; RETURN 1; END$$;
CREATE FUNCTION trick(how text) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN public.plant(how); END$$;
CREATE TABLE later (id integer);
CREATE FUNCTION put_off() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER put_off AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION put_off();
SELECT txpipe.create_feed('trap', 'trap/(.*)\.csv', columns => '{"id": {"path": "id", "type": "integer"}}');
SQL
my %trick = (
	'a temporary table'    => 'CREATE TEMP TABLE audit_log (id integer)',
	'a temporary type'     => 'CREATE DOMAIN pg_temp.money_amount AS integer',
	'a prepared statement' => 'PREPARE balance AS SELECT 1',
	'a cursor'             => 'DECLARE balance CURSOR WITH HOLD FOR SELECT current_user',
	'a deferred trigger'   => 'INSERT INTO public.later VALUES (1)');
foreach my $what (sort keys %trick)
{
	sql("INSERT INTO txpipe.feed_rule_store (feed_id, rule, ordinal, expression, action)
		SELECT feed_id, 'trick', 1, format('public.trick(%L) = 2', '$trick{$what}'), 'reject' FROM txpipe.feed WHERE feed = 'trap'
		ON CONFLICT (feed_id, rule) DO UPDATE SET expression = EXCLUDED.expression");
	isnt(error_of($node, q{SELECT txpipe.alter_feed('trap', options => '{"reject_limit": 100}')}), undef, "alter_feed plants not $what");
	isnt(error_of($node, "SELECT txpipe.set_rule('trap', 'other', format('public.trick(%L) = 2', '$trick{$what}'))"), undef, "... nor does set_rule");
}
sql(q{SELECT txpipe.drop_rule('trap', 'trick')});
is(error_of($node, q{SELECT txpipe.set_rule('trap', 'other', 'public.trick($$CREATE TEMP TABLE t ()$$) = 2')})->{message},
	'rule "other" cannot be checked: cannot create temporary table within security-restricted operation', 'the error names the rule');
is(sql(<<'SQL'), "|\npostgres", 'what the caller has put off is his own, and runs at his commit');
CREATE TABLE put_off (id integer);
CREATE TABLE ran_as (who text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.ran_as VALUES (current_user); RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER note AFTER INSERT ON put_off DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
GRANT INSERT ON ran_as TO seller;
BEGIN;
INSERT INTO put_off VALUES (1);
SELECT txpipe.alter_feed('trap', options => '{"reject_limit": 100}'), txpipe.set_rule('trap', 'positive', 'id <= 0');
COMMIT;
SELECT who FROM ran_as;
SQL

# --- while a file settles ---

sql(q{SELECT txpipe.create_feed('alt', '(alt)/.*\.csv', 'goods', group_name => 'alt')});
deliver('alt/g7.csv', "id,name\n7,seven\n");
my $lock = $node->background_psql('postgres');
$lock->query_safe("BEGIN; SELECT feed FROM txpipe.feed WHERE feed = 'alt' FOR NO KEY UPDATE");
my $run = start_sql('CALL txpipe.run_hourly()');
wait_for($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'CALL txpipe.run_hourly%' AND wait_event_type = 'Lock'},
	'a run has a file that settled');
is(sql(q{SELECT state, group_key FROM txpipe.file WHERE file_name = 'alt/g7.csv'}), 'settling|alt', '... not yet in the ledger as such');
$lock->query_safe(q{SELECT txpipe.alter_feed('alt', file_pattern => 'alt/(g[0-9]+)\.csv'); COMMIT});
$lock->quit;
$run->{run}->finish;
unlike($run->{err}, qr/ERROR/, '... and goes on when the pattern is another');
run_hourly();
is(sql(q{SELECT state, group_key FROM txpipe.file WHERE file_name = 'alt/g7.csv'}), 'loaded|g7', 'the file is matched anew');

# --- while a group loads ---

my $load = $node->background_psql('postgres');
$load->query_safe("BEGIN; SELECT feed FROM txpipe.feed WHERE feed = 'prices' FOR NO KEY UPDATE");
my $session = start_sql(q{SELECT txpipe.alter_feed('goods', options => '{"batch_rows": 50}')});
wait_for($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'SELECT txpipe.alter_feed%' AND wait_event_type = 'Lock'},
	'it waits for a load of the group');
$load->query_safe("SELECT feed FROM txpipe.feed WHERE feed = 'goods' FOR NO KEY UPDATE");
$load->query_safe('COMMIT');
$load->quit;
$session->{run}->finish;
is($session->{err}, '', '... which it does not hinder');
is(sql(q{SELECT options->>'batch_rows' FROM txpipe.feed WHERE feed = 'goods'}), '50', '... and is done then');

log_is_clean($node, qr/ERROR:/);
$node->stop;
done_testing();
