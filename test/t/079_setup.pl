# check_setup(): what it finds in definitions, each with a hint that mends it when it is pasted.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $node = new_node('setup', conf => $CRON_CONF);
start_node($node);

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# What is said of an item of the definitions; nothing when it is not mentioned.
sub finding
{
	my ($item) = @_;

	return sql("SELECT ok, detail FROM txpipe.check_definitions() WHERE item = '$item'");
}

# Pastes the hint of an item.
sub paste
{
	my ($item, $part) = @_;
	my $hint = sql('SELECT hint FROM txpipe.' . ($part // 'check_definitions') . "() WHERE item = '$item' AND NOT ok");

	my ($rc, $out, $err) = $node->psql('postgres', $hint);
	is($rc, 0, "$item: its hint can be pasted") or diag("$hint\n$err");
	return;
}

# --- pg_cron, the only thing that is missing ---

is(sql('SELECT item FROM txpipe.check_setup() WHERE NOT ok'), 'pg_cron', 'only pg_cron is missing');
paste('pg_cron', 'check_cron');
is(sql('SELECT item FROM txpipe.check_setup() WHERE NOT ok'), '', 'nothing is missing any more');

# --- feeds that nobody loads ---

sql(q{CREATE ROLE keeper; GRANT ALL ON SCHEMA public TO keeper;
	SELECT txpipe.create_warehouse()});
is(finding('schedule'), 'f|there are feeds, and nothing calls txpipe.run_hourly()', 'feeds that nobody loads');
paste('schedule');
like(finding('schedule'), qr/^t\|/, '... and somebody does');
sql('SELECT txpipe.unschedule()');
like(finding('schedule'), qr/^f\|/, '... and does not again');
sql(q{INSERT INTO txpipe.run (job) VALUES ('run_hourly'); UPDATE txpipe.run SET state = 'succeeded'});
like(finding('schedule'), qr/^t\|/, 'any other scheduler will do');

# --- a warehouse without its feeds ---

is(finding('warehouse'), 't|dwh has its tables and feeds', 'the warehouse is whole');
sql(q{SELECT txpipe.drop_feed('branches')});
is(finding('warehouse'), 'f|feeds of the warehouse are missing', 'a feed of the warehouse is missing');
paste('warehouse');
like(finding('warehouse'), qr/^t\|/, '... and is back');

# --- owners that are gone ---

sql(q{CREATE TABLE hours (a text); ALTER TABLE hours OWNER TO keeper; GRANT EXECUTE ON FUNCTION txpipe.create_feed TO keeper;
	SET ROLE keeper; SELECT txpipe.create_feed('hours', '^(h.*)\.csv$', 'hours')});
is(finding('owner of feed "hours"'), '', 'a feed has its owner');
sql('ALTER ROLE keeper RENAME TO "the keeper"');
is(finding('owner of feed "hours"'), 'f|its owner "keeper" does not exist any more; the role is called "the keeper" now', 'the owner is called otherwise');
paste('owner of feed "hours"');
is(finding('owner of feed "hours"'), '', '... and is not any more');
sql('ALTER TABLE hours OWNER TO CURRENT_USER; DROP OWNED BY keeper; DROP ROLE keeper');
is(finding('owner of feed "hours"'), 'f|its owner "keeper" does not exist any more', 'the owner is gone');
paste('owner of feed "hours"');
is(finding('owner of feed "hours"'), '', '... with the feed');

# --- a copy ---

sql(q{CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '127.0.0.1:1'); CREATE TABLE events (a text);
	SELECT txpipe.create_stream('events', 'shop', 't', 'events', paused => true)});
is(finding('copied database'), '', 'an original is no copy');
sql('UPDATE txpipe.installation SET database = 1');
is(finding('copied database'), 'f|1 streams are paused, because this database is a copy of another one', 'a copy is');
paste('copied database');
is(finding('copied database'), '', '... until its streams are resumed');

# --- all of it ---

sql(q{UPDATE txpipe.installation SET database = 1});
is(sql(q{SELECT string_agg(item || CASE WHEN coalesce(hint, '') = '' THEN ' without a hint' ELSE '' END, ', ') FROM txpipe.check_setup() WHERE NOT ok}),
	'brokers of server "shop", copied database', 'check_setup() has these findings among the others, each with a hint');

done_testing();
