# AlertBench: what rules cost a stream of transactions, and how long after a transaction its alert can be read.
package AlertBench;

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use Time::HiRes qw(sleep time);
use TxpipeBench;

our @EXPORT = qw(alert_topics measure_alerts);

# Five of the monitor's eleven, and four of these look back into the table.
my @on  = qw(amount_over_limit velocity impossible_travel shared_device card_testing);
my @off = qw(profile_outlier withdrawals drained_account unbalanced_transfer repeated_failures dormant_account);
my $large = 10;    # of a thousand transactions, so many are over the limit

# The embedded broker keeps 5 MiB of a partition.
my $per_partition = 10000;

my @cases = (
	{ name => 'append', text => 'table with a primary key, no rules' },
	{ name => 'watched', text => 'table of the monitor (upsert, three more indexes), no rules' },
	{ name => 'rules', text => 'the same with five rules' });

sub partitions_of
{
	my ($messages, $kafka) = @_;

	return $kafka ? 4 : POSIX::ceil($messages / $per_partition);
}

sub alert_topics
{
	my ($opt, $kafka) = @_;

	return ('transactions:' . partitions_of($opt->{transactions}, $kafka),
		map { "alerts_$_:" . partitions_of($_ * $opt->{seconds}, $kafka) } split /,/, $opt->{'alert-rates'});
}

sub rules_json
{
	my ($with) = @_;

	return '{' . join(', ', '"amount_over_limit": ' . ($with ? '{"cooldown": "0"}' : 'null'),
		map({ "\"$_\": null" } @off, $with ? () : grep { $_ ne 'amount_over_limit' } @on)) . '}';
}

sub create
{
	my ($b, $name, $topic) = @_;

	if ($name eq 'append')
	{
		ask($b->{sql}, "CREATE TABLE append (transaction_id text COLLATE \"C\" PRIMARY KEY, account_id text, event_time timestamptz, type text,
			amount numeric(18,2), currency text, channel text, status text, merchant text, latitude float8, longitude float8, device_id text)");
		ask($b->{sql}, "SELECT txpipe.create_stream('append', 'bench', '$topic', 'append', paused => true,
			columns => (SELECT jsonb_object_agg(key, value) FROM jsonb_each(txpipe.fraud_columns(false, false))
				JOIN pg_attribute ON attrelid = 'append'::regclass AND attname = key),
			options => '{\"mode\": \"append\"}'::jsonb || '$b->{opt}{options}')");
		return;
	}
	ask($b->{sql}, "SELECT txpipe.create_fraud_monitor('bench', '$topic', '$name', pseudonyms => false, paused => true, rules => '"
		  . rules_json($name ne 'watched') . "', options => '$b->{opt}{options}')");
	return;
}

sub drop
{
	my ($b, $name) = @_;

	ask($b->{sql}, "SELECT txpipe.drop_stream('$name')");
	ask($b->{sql}, "DROP TABLE IF EXISTS $_") for $name, "${name}_statistics", "${name}_report";
	return;
}

# From the first message that was decoded to the commit of the last batch.
sub backlog
{
	my ($b, $case) = @_;
	my ($name, $messages) = ($case->{name}, $b->{opt}{transactions});

	ask($b->{sql}, 'SET client_min_messages = warning');
	create($b, $name, 'transactions');
	ask($b->{sql}, 'CHECKPOINT');
	my $before = $b->{look}->();
	ask($b->{sql}, "SELECT txpipe.resume_stream('$name')");
	my $end = $b->{await}->($name, $messages);
	my %cpu = usage_between($before, $b->{look}->());
	my ($begin) = ask($b->{sql}, "SELECT extract(epoch FROM min(finished_at - (gather_us + wait_us + write_us + store_us) / batches * interval '1 us'))
		FROM txpipe.batch_history WHERE stream = '$name'");
	my ($got) = ask($b->{sql}, "SELECT (SELECT count(*) FROM $name), (SELECT count(*) FROM txpipe.alert WHERE stream = '$name' AND rule LIKE '%amount_over_limit')");
	my $wanted = "$messages " . ($name eq 'rules' ? int($messages / 1000) * $large : 0);
	die "$name: rows and alerts are $got, not $wanted\n" if $got ne $wanted;
	drop($b, $name);
	return { section => 'alerts', case => $name, rate => $messages / ($end - $begin), cpu => \%cpu };
}

# A reader asks for alerts that it has not seen, again and again: how long ago were their transactions made?
sub read_alerts
{
	my ($b, $name, $wanted) = @_;
	my $end = time() + $b->{opt}{seconds} * 2 + 60;
	my ($seen, $amount, @ms) = (0, 0);

	while ($amount < $wanted)
	{
		for (ask($b->{sql}, "SELECT alert_id, rule LIKE '%amount_over_limit', extract(epoch FROM clock_timestamp() - event_time) * 1000
			FROM txpipe.alert_store WHERE alert_id > $seen ORDER BY 1"))
		{
			my ($id, $of_amount, $ms) = split ' ';
			$seen = $id;
			$amount++ if $of_amount eq 't';
			push @ms, $ms;
		}
		die "only $amount of $wanted alerts came\n" if time() > $end;
		sleep 0.002;
	}
	return @ms;
}

sub latency
{
	my ($b, $rate) = @_;
	my ($name, $count) = ("alerts_$rate", $rate * $b->{opt}{seconds});
	my $partitions = partitions_of($count, $b->{kafka});

	create($b, $name, $name);
	ask($b->{sql}, "SELECT txpipe.resume_stream('$name')");
	# One message first, so that the stream is under way.
	tool('produce', $b->{broker}{servers}, $name, $partitions, 1, '--transactions', $large);
	$b->{await}->($name, 1);
	my $before = $b->{look}->();
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		open STDOUT, '>', '/dev/null' or POSIX::_exit(1);
		exec "$ENV{TXPIPE_TREE}/build/test/bench_messages", 'produce', $b->{broker}{servers}, $name, $partitions, $count, '--rate', $rate,
		  '--transactions', $large or POSIX::_exit(1);
	}
	my @ms = read_alerts($b, $name, int($count / 1000) * $large);
	my %cpu = usage_between($before, $b->{look}->());
	waitpid $pid, 0;
	my ($batches) = ask($b->{sql}, "SELECT sum(batches) FROM txpipe.batch_history WHERE stream = '$name'");
	drop($b, $name);
	push @{ $b->{rounds} }, { section => 'alert latency', rate => $rate, cpu => \%cpu };
	return [ $rate, scalar @ms, map({ sprintf '%.1f', $b->{figure}->("$name.p$_", percentile($_, @ms), 'ms') } 50, 95, 99, 100), $batches,
		map({ sprintf '%.1f %%', 100 * $_ / $b->{opt}{seconds} } @cpu{qw(worker child)}), sprintf('%.2f', $cpu{others}) ];
}

sub report_backlog
{
	my ($b, $rounds) = @_;
	my @rows = ([ '', 'transactions/s', 'of the first', 'of the second' ]);

	for my $case (@cases)
	{
		my $name = $case->{name};

		push @rows, [ $case->{text}, sprintf('%.0f', $b->{figure}->("alerts.$name.rate", median(map { $_->{$name}{rate} } @$rounds), 'transactions/s')),
			map { my $other = $_; sprintf '%.2f', $b->{figure}->("alerts.$name.of_$other",
				median(map { $_->{$name}{rate} / $_->{$other}{rate} } @$rounds), 'ratio') } qw(append watched) ];
	}
	$b->{say}->("\nA backlog of $b->{opt}{transactions} transactions, medians of $b->{opt}{rounds} rounds, ratios within a round; of a thousand $large "
		  . "raise an alert\n\n" . table(@rows));
	return;
}

sub measure_alerts
{
	my ($b) = @_;
	my @rounds;

	tool('produce', $b->{broker}{servers}, 'transactions', partitions_of($b->{opt}{transactions}, $b->{kafka}), $b->{opt}{transactions},
		'--transactions', $large);
	for my $round (0 .. $b->{opt}{rounds})
	{
		my %result;

		for my $i (0 .. $#cases)
		{
			my $case = $cases[ ($i + $round) % @cases ];
			my $result = $result{ $case->{name} } = backlog($b, $case);

			$b->{say}->(sprintf '  round %d  %-12s %10.0f transactions/s, %.2f cores of others', $round, $case->{name}, $result->{rate},
				$result->{cpu}{others});
			push @{ $b->{rounds} }, { round => $round, %$result } if $round > 0;
		}
		push @rounds, \%result if $round > 0;
	}
	report_backlog($b, \@rounds);
	my @rows = map { latency($b, $_) } split /,/, $b->{opt}{'alert-rates'};
	$b->{say}->("\nFrom the making of a transaction to the moment a reader has its alert, five rules, $b->{opt}{seconds} s at each rate;\n"
		  . "CPU of worker and child, per cent of a core; cores busy with others\n\n"
		  . table([ 'transactions/s', 'alerts', 'p50 ms', 'p95 ms', 'p99 ms', 'most ms', 'batches', 'worker', 'child', 'others' ], @rows));
	return;
}

1;
