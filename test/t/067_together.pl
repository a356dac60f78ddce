# Groups that are loaded in one transaction: what they share, and what a failure of one leaves of the others.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node = files_node('together');

sub transactions
{
	return sql('SELECT count(DISTINCT tx) FROM public.item');
}

# By group: how many rows there are.
sub items
{
	return sql("SELECT string_agg(grp || ':' || n, ' ' ORDER BY grp) FROM (SELECT grp, count(*) AS n FROM public.item GROUP BY 1) s");
}

sub states
{
	return sql("SELECT string_agg(group_key || ':' || state, ' ' ORDER BY group_key) FROM txpipe.file");
}

sub start_again
{
	sql('SELECT txpipe.drop_feed(feed) FROM txpipe.feed_status; TRUNCATE public.item, public.ended');
	sql(q{SELECT txpipe.create_feed('item', '^g(\d+)/item\.csv$', columns => '{"id": {"path": "id", "type": "integer"}}',
		      step => 'INSERT INTO public.item (n, file_id, grp) SELECT 10 / id, file_id, group_key FROM batch');
		  SELECT txpipe.on_unload('item', 'delete', 'DELETE FROM public.item i USING unloaded u WHERE i.file_id = u.file_id');
		  SELECT txpipe.on_file_end('item', 'end', 'INSERT INTO public.ended SELECT string_agg(group_key, '','' ORDER BY file_id),
		      bool_or(group_key = ''13''), 1 / (NOT bool_or(group_key = ''13''))::integer FROM loaded')});
	return;
}

sub deliver_group
{
	my ($key, @ids) = @_;

	deliver("g$key/item.csv", join "\n", 'id', @ids, '');
	return;
}

sql('CREATE TABLE public.item (n integer, file_id bigint, grp text, tx bigint DEFAULT pg_catalog.txid_current());
	 CREATE TABLE public.ended (groups text, guilty boolean, zero integer)');
start_again();
deliver_group($_, $_ + 1, $_ + 2) foreach 1 .. 5;
run_hourly();
is(items(), '1:2 2:2 3:2 4:2 5:2', 'all groups are loaded');
is(transactions(), '1', 'in one transaction');
is(sql('SELECT groups FROM public.ended'), '1,2,3,4,5', 'what is done at the end of a file was done once, for all');

start_again();
$node->append_conf('postgresql.conf', 'txpipe.groups_per_transaction = 2');
$node->reload;
deliver_group($_, $_ + 10) foreach 1 .. 5;
wait_until('the setting is read', sub { sql('SHOW txpipe.groups_per_transaction') eq '2' });
run_hourly();
is(sql(q{SELECT string_agg(groups, ' ' ORDER BY groups) FROM public.ended}), '1,2 3,4 5', 'as many as the setting says');
$node->append_conf('postgresql.conf', 'txpipe.groups_per_transaction = 20');
$node->reload;
wait_until('the setting is read', sub { sql('SHOW txpipe.groups_per_transaction') eq '20' });

start_again();
sql(q{CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
	  $$ BEGIN IF NEW.grp = '3' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'out_of_memory'; END IF; RETURN NEW; END $$;
	  CREATE TRIGGER refuse BEFORE INSERT ON public.item FOR EACH ROW EXECUTE FUNCTION public.refuse()});
deliver_group($_, $_ + 20) foreach 1 .. 5;
like(run_hourly(), qr/group "3" of "item" was not loaded: .*not this one/, 'a group that fails is named');
is(items(), '1:1 2:1 4:1 5:1', 'the others stay');
is(states(), '1:loaded 2:loaded 3:failed 4:loaded 5:loaded', 'so does the ledger say');
is(sql('SELECT groups FROM public.ended'), '1,2,4,5', 'it has no end');

sql('DROP TRIGGER refuse ON public.item');
unlink $node->basedir . '/dirs/landing/g3/item.csv';
start_again();
deliver_group($_, $_ + 30) foreach 11 .. 15;
my $said = run_hourly();
like($said, qr/group "13" of "item" was not loaded: .*division by zero/, 'a step at the end of files fails with its own group');
like($said, qr/loaded 4 groups: 4 files, 4 rows, 0 rejected; 1 groups failed/, 'each group is counted once');
is(items(), '11:1 12:1 14:1 15:1', 'the others are loaded, one by one');
is(sql(q{SELECT string_agg(groups, ' ' ORDER BY groups) FROM public.ended}), '11 12 14 15', 'each with its end');
is(transactions(), '4', 'in transactions of their own');
is(sql(q{SELECT count(*) FROM txpipe.run WHERE state = 'running'}), '0', 'no run is left open');

start_again();
deliver_group($_, $_ + 40) foreach 1 .. 4;
my ($out, $err);
$node->psql('postgres', 'BEGIN; CALL txpipe.run_hourly(); ROLLBACK', stdout => \$out, stderr => \$err, on_error_die => 1);
is(items(), '', 'in a block all of it can be rolled back');
run_hourly();
is(items(), '1:1 2:1 3:1 4:1', 'and is loaded by the next run');

# --- what keeps groups apart ---

# Deferred constraints are deferred for each group, and each batch of it.
start_again();
sql(q{CREATE TABLE public.parent (n integer PRIMARY KEY);
	  CREATE TABLE public.child (n integer REFERENCES public.parent DEFERRABLE INITIALLY DEFERRED);
	  SELECT txpipe.on_load('item', 'child', 'INSERT INTO public.child SELECT id FROM batch', 300);
	  SELECT txpipe.on_load('item', 'parent', 'INSERT INTO public.parent SELECT id FROM batch', 400)});
deliver_group($_, $_ + 50) foreach 1 .. 3;
run_hourly();
is(items(), '1:1 2:1 3:1', 'a child may come before its parent in every group');
sql('DROP TABLE public.child, public.parent');

# A group that was tried before is tried alone, and not with those that were not.
start_again();
deliver_group($_, $_ + 70) foreach 1 .. 4;
sql(q{CREATE FUNCTION public.refuse_once() RETURNS trigger LANGUAGE plpgsql AS
	  $$ BEGIN IF NEW.grp = '3' THEN RAISE EXCEPTION 'not now' USING ERRCODE = 'out_of_memory'; END IF; RETURN NEW; END $$;
	  CREATE TRIGGER refuse BEFORE INSERT ON public.item FOR EACH ROW EXECUTE FUNCTION public.refuse_once()});
run_hourly();
sql('DROP TRIGGER refuse ON public.item; UPDATE txpipe.file_ledger SET retry_at = now()');
deliver_group($_, $_ + 70) foreach 5, 6;
run_hourly();
is(items(), '1:1 2:1 3:1 4:1 5:1 6:1', 'all are loaded');
is(sql(q{SELECT count(DISTINCT tx) FROM public.item WHERE grp IN ('3', '5', '6')}), '2', 'the one that failed by itself');
is(sql(q{SELECT count(DISTINCT tx) FROM public.item WHERE grp IN ('5', '6')}), '1', 'the new ones together');

# Steps of another role that use temporary objects are refused, at the end of files, too.
sql(q{CREATE ROLE feeder; GRANT CREATE, USAGE ON SCHEMA public TO feeder; GRANT ALL ON public.item, public.ended TO feeder;
	  SELECT txpipe.drop_feed('item'); TRUNCATE public.item, public.ended});
sql(q{GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA txpipe TO feeder; SET SESSION AUTHORIZATION feeder;
	  SELECT txpipe.create_feed('item', '^g(\d+)/item\.csv$', columns => '{"id": {"path": "id", "type": "integer"}}',
	      step => 'INSERT INTO public.item (n, file_id, grp) SELECT id, file_id, group_key FROM batch');
	  CREATE FUNCTION public.trick() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE audit_log (x int); RETURN 1; END $$;
	  SELECT txpipe.on_file_end('item', 'trick', 'INSERT INTO public.ended (groups) SELECT public.trick()::text')});
deliver_group($_, $_ + 80) foreach 1 .. 3;
like(run_hourly(), qr/use temporary objects in the session/, 'a step at the end of files may not use temporary objects in another session');
is(items(), '', 'nothing of it stays');

$node->stop;
done_testing();
