# Killing what loads files: however a run ends, and whenever, the warehouse is what the files say.
#
# TXPIPE_KILL_GROUPS: groups to load (25). TXPIPE_KILL_SEED: of the files and moments; printed. TXPIPE_KILL_SUMMARY:
# a file that gets the figures, too.

use strict;
use warnings;

use File::Basename qw(basename);
use File::Find qw(find);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use Time::HiRes qw(time);
use TxpipeTest qw(wait_until);

my $groups = $ENV{TXPIPE_KILL_GROUPS} // 25;
my $seed = $ENV{TXPIPE_KILL_SEED} // 231105;
my $node = retail_node('kill_files', conf => "restart_after_crash = on\nfsync = off\n");
my $base = $node->basedir;
my (%kills, $interrupted);
my $tries = 0;

# What a query yields; nothing while the server restarts, when psql may end before it has read its input.
sub ask
{
	my ($sql) = @_;
	my $out = '';

	eval { $node->psql('retail', $sql, stdout => \$out) };
	return $out;
}

# Pids of the backend that runs run_hourly, and of its child.
sub loaders
{
	my $out = ask(q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL txpipe.run_hourly%' AND state = 'active'});
	return unless $out =~ /^(\d+)$/;
	my ($child) = map { m{^/proc/(\d+)/} ? $1 : () } grep { is_child_of($_, $out) } glob '/proc/[0-9]*/stat';
	return ($out, $child);
}

sub is_child_of
{
	my ($stat, $parent) = @_;

	open my $fh, '<', $stat or return 0;
	my $line = <$fh> // '';
	return $line =~ /^\d+ \(txpipe_io\) \S (\d+)/ && $1 == $parent;
}

sub loaded
{
	my $out = ask(q{SELECT count(DISTINCT group_key) FROM txpipe.file WHERE loaded_at IS NOT NULL});

	return $out =~ /^\d+$/ ? $out : 0;
}

# The last event there is, and how many loads were begun behind an earlier one and not finished: those of a group that
# failed, and one that the run left behind as it was.
sub unfinished
{
	my ($since) = @_;

	return split /\|/, sql(qq{SELECT max(event_id), count(DISTINCT split_part(file_name, '/', 1)) FILTER (WHERE state = 'failed')
		+ ((array_agg(state ORDER BY event_id DESC))[1] = 'loading')::integer FROM txpipe.file_event WHERE event_id > $since});
}

sub is_running
{
	my ($run) = @_;

	$run->pump_nb if $run->pumpable;
	return $run->pumpable;
}

my @ways = (
	[ backend => sub { my ($backend) = @_; kill KILL => $backend } ],
	[ child => sub { my ($backend, $child) = @_; return defined $child && kill KILL => $child } ],
	[ terminate => sub { my ($backend) = @_; kill TERM => $backend } ],
	[ cancel => sub { my ($backend) = @_; kill INT => $backend } ],
	[ server => sub { $node->stop('immediate'); $node->start } ]);

# In the middle of a later group: some commits from here, then at whatever it is.
sub kill_within
{
	my ($run) = @_;
	my $groups = loaded() + 1 + int rand 2;
	my ($backend, $child);

	wait_until('the run is at work or over',
		sub { ($backend, $child) = loaders(); return !is_running($run) || ($backend && loaded() >= $groups) });
	return unless $backend && is_running($run);
	my ($way, $kill) = @{ $ways[ $tries++ % @ways ] };
	$kills{$way}++ if $kill->($backend, $child);
	return;
}

srand $seed;
note "seed $seed, $groups groups";
my @groups = make_groups($groups, '--rows', 1500, '--dirty', 15, '--seed', $seed % 1_000_000);
fresh_database();
deliver($_, basename($_)) foreach @groups;

my $limit = 10 * $groups;
my $started = time;
my $last_event = 0;
while (loaded() < $groups && $limit-- > 0)
{
	my $together = 1 + int rand 4;
	my $run = IPC::Run::start(
		[ 'psql', '-XqAt', '-d', $node->connstr('retail'), '-c', "SET txpipe.groups_per_transaction = $together",
			'-c', 'CALL txpipe.run_hourly()' ],
		'<', \undef, '>', \my $out, '2>', \my $err);
	# A run survives the end of its child, and goes on with the next group.
	kill_within($run) while is_running($run);
	$run->finish;
	wait_until('the server answers', sub { ask('SELECT 1') eq '1' });
	my ($event, $count) = unfinished($last_event);
	$last_event = $event if $event;
	$interrupted += $count if $count;
	# What failed with its child is tried again at once here.
	$node->safe_psql('retail', q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
}
my $n = 0;
$n += $_ foreach values %kills;
cmp_ok($n, '>=', $groups / 5, 'runs were killed');
is(scalar keys %kills, scalar @ways, 'in all ways');
cmp_ok($interrupted, '>', 0, 'in the middle of a load');
run_hourly();
my $seconds = time - $started;
my $totals = totals(@groups);
same_lines(facts(), $totals, "after $n kills the warehouse is what $groups groups say");
is(sql(q{SELECT count(*) FROM txpipe.file WHERE loaded_at IS NOT NULL
         AND rows_read <> rows_loaded + rows_duplicate + rows_filtered + rows_superseded + rows_rejected}),
	'0', 'every line of every file is accounted for');
is(join(' ', glob "$base/landing/group*/*.csv"), '', 'and the landing directory is empty');
my @stray;
find(sub { push @stray, $File::Find::name if -f && /(?:^\.|\.tmp)/ }, "$base/lake");
is("@stray", '', 'nothing half done is in the lake');

my %figure = $totals =~ /^total\t(\w+)\t(\S+)$/mg;
my @summary = (
	"seed:      $seed, $groups groups of 1500 sales",
	"kills:     $n (" . join(', ', map { "$kills{$_} $_" } sort keys %kills) . ')',
	"in a load: $interrupted loads were begun and not finished",
	'files say: ' . join(', ', map { "$figure{$_} $_" } qw(rows units gross paid redemptions duplicates superseded)),
	sprintf('seconds:   %d', $seconds));
diag($_) foreach @summary;
append_to_file($ENV{TXPIPE_KILL_SUMMARY}, join '', map { "$_\n" } @summary) if $ENV{TXPIPE_KILL_SUMMARY};
$node->stop;
done_testing();
