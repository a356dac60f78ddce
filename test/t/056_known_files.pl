# Files that stay in the landing directory: known ones cost no look at patterns, and everything that makes one of them news is seen.
use strict;
use warnings;

use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node    = files_node('known_files');
my $landing = $node->basedir . '/dirs/landing';

# Which files a feed has loaded.
sub loaded
{
	my ($feed) = @_;

	return sql("SELECT coalesce(string_agg(file_name, ' ' ORDER BY file_name, file_id), '') FROM txpipe.file WHERE feed = '$feed' AND state = 'loaded'");
}

# The ledger's rows, and whether a look would be spared them.
sub marks
{
	my ($feed) = @_;

	return sql("SELECT count(*), count(matched_by), count(DISTINCT matched_by) FROM txpipe.file_ledger JOIN txpipe.feed USING (feed_id) WHERE feed = '$feed'");
}

sub versions
{
	return sql('SELECT string_agg(format(\'%s %s\', ctid, xmin), \' \' ORDER BY file_id) FROM txpipe.file_ledger');
}

sub run_twice
{
	run_hourly();
	run_hourly();
	return;
}

sql(<<'SQL');
CREATE TABLE item (id integer);
CREATE TABLE clerk_item (id integer);
SELECT txpipe.create_feed('wide', '(x/.*)\.csv', 'item', after_load => 'keep', options => '{"ordinal": 10}');
SELECT txpipe.create_feed('narrow', '(x/n.*)\.csv', 'item', after_load => 'keep', options => '{"ordinal": 20}');
SQL
deliver("x/$_.csv", "id\n" . ord($_) . length($_) . "\n") foreach qw(n nn w);

# --- a mark is made once ---

run_hourly();
is(loaded('wide'), 'x/n.csv x/nn.csv x/w.csv', 'files belong to the first feed');
is(marks('wide'), '3|0|0', '... and are not known to do so yet');
run_hourly();
is(marks('wide'), '3|3|1', 'who finds them known marks them');
my $before = versions();
run_hourly();
is(versions(), $before, 'and the next run writes nothing');

# --- what is news of a known file ---

deliver('x/w.csv', "id\n1000\n");
utime(1e9, 1e9, "$landing/x/n.csv") == 1 or die "utime: $!";
run_hourly();
is(sql(q{SELECT string_agg(file_name || ' ' || state, ', ' ORDER BY file_id) FROM txpipe.file}), 'x/n.csv loaded, x/nn.csv loaded, x/w.csv loaded, x/w.csv changed',
	'another size is seen');
is(sql(q{SELECT extract(epoch FROM modified_at)::integer FROM txpipe.file_ledger WHERE file_name = 'x/n.csv'}), 1e9, 'another time is seen');
run_hourly();
$before = versions();
run_hourly();
is(versions(), $before, '... once');

# --- feeds that change ---

sql(q{SELECT txpipe.alter_feed('narrow', options => '{"ordinal": 5}')});
run_twice();
is(loaded('narrow'), 'x/n.csv x/nn.csv', 'another order of feeds is seen');
is(sql(q{SELECT string_agg(concat_ws(' ', feed, file_name, matched_by IS NOT NULL), ', ' ORDER BY file_id) FROM txpipe.file_ledger JOIN txpipe.feed USING (feed_id)
		WHERE file_name LIKE 'x/n%'}), 'wide x/n.csv t, wide x/nn.csv t, narrow x/n.csv t, narrow x/nn.csv t', '... and marked; old marks hold nothing back');
sql(q{SELECT txpipe.alter_feed('narrow', file_pattern => '(x/nn.*)\.csv')});
run_twice();
is(loaded('wide') . '|' . loaded('narrow'), 'x/n.csv x/nn.csv x/w.csv|x/n.csv x/nn.csv', 'a file that falls back to its feed is known there');
sql(q{SELECT txpipe.create_feed('first', '(x/n)\.csv', 'item', after_load => 'keep', options => '{"ordinal": 1}')});
run_twice();
is(loaded('first'), 'x/n.csv', 'a feed that comes first is seen');
sql(q{SELECT txpipe.drop_feed('first')});
sql(q{SELECT txpipe.create_feed('first', '(x/n)\.csv', 'item', after_load => 'keep', options => '{"ordinal": 1}')});
run_twice();
is(loaded('first'), 'x/n.csv', 'one that was dropped and comes again has no ledger, and loads again');
$before = versions();
sql(q{SELECT txpipe.create_feed('last', '(x/.*)\.csv', 'item', after_load => 'keep')});
run_twice();
is(loaded('last'), '', 'one that comes last takes nothing');
is(versions(), $before, '... and changes no mark');
sql(q{SELECT txpipe.drop_feed('last')});
sql(q{UPDATE txpipe.feed SET file_pattern = '(y/.*)\.csv'});
run_twice();
sql(q{UPDATE txpipe.feed SET file_pattern = '(x/.*)\.csv' WHERE feed = 'narrow'});
run_twice();
is(loaded('narrow'), 'x/n.csv x/nn.csv x/w.csv', 'what nobody took for a while is seen by who takes it again');

# --- others' feeds ---

sql(<<'SQL');
SELECT txpipe.drop_feed(feed) FROM txpipe.feed_status;
CREATE ROLE clerk;
GRANT ALL ON clerk_item TO clerk;
GRANT USAGE ON SCHEMA txpipe TO clerk;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO clerk;
REVOKE EXECUTE ON FUNCTION txpipe.operate() FROM clerk;
SELECT txpipe.create_feed('ours', '(x/.*)\.csv', 'item', after_load => 'keep', options => '{"ordinal": 10}');
SET ROLE clerk;
SELECT txpipe.create_feed('clerk', '(x/.*)\.csv', 'clerk_item', after_load => 'keep', options => '{"ordinal": 20}');
SQL
my $all = 'x/n.csv x/nn.csv x/w.csv';
sql('SET ROLE clerk; CALL txpipe.run_hourly()') foreach 1 .. 2;
is(loaded('clerk') . '|' . loaded('ours'), "$all|", 'who may run one feed gives it what another would take');
is(marks('clerk'), '3|0|0', '... which proves nothing to who may run both');
run_twice();
is(loaded('ours'), $all, '... and loads the other, too');
sql(q{SELECT txpipe.alter_feed('ours', file_pattern => '(x/w)\.csv')});
run_twice();
is(marks('clerk') . ' ' . marks('ours'), '3|2|1 3|3|2', 'what is behind it is marked by who may run both');
$before = versions();
sql('SET ROLE clerk; CALL txpipe.run_hourly()');
is(versions(), $before, '... and known to who may not');
is(sql(q{SELECT count(*) FROM txpipe.file WHERE state <> 'loaded'}), 0, 'nothing came twice');

# --- beside other sessions ---

sql(q{SELECT txpipe.alter_feed('ours', file_pattern => '(x/[nw].*)\.csv')});
my $holder = $node->background_psql('postgres');
$holder->query_safe(q{BEGIN; SELECT file_id FROM txpipe.file_ledger JOIN txpipe.feed USING (feed_id)
	WHERE (feed, file_name) = ('ours', 'x/n.csv') FOR UPDATE OF file_ledger});
run_hourly();
is(marks('ours'), '3|3|2', 'a row that somebody has locked keeps its mark');
$holder->query_safe('COMMIT');
$holder->quit;
sql('BEGIN; CALL txpipe.run_hourly(); COMMIT');
is(marks('ours'), '3|3|2', 'in a block nothing is marked');
run_hourly();
is(marks('ours'), '3|3|1', 'the next run does it');

log_is_clean($node);
$node->stop;
done_testing();
