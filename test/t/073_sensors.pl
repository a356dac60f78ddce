# The sensors of docs/live.md: its statements, and what tables and alerts shall say, computed here from the messages.
use strict;
use warnings;

use List::Util qw(max min shuffle sum);
use POSIX      qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('readings:1');
my $node   = new_node('sensors');
start_node($node);
kafka_server($node, 'shop', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

my ($section) = slurp_file(($ENV{TXPIPE_TREE} // '.') . '/docs/live.md') =~ /^## Sensors\n(.*?)^## /ms;
my @statements = $section =~ /^((?: {4}.*\n|\n(?= {4}))+)/mg;
is(scalar @statements, 1, 'the document has one block of SQL');
sql(join "\n", @statements);

# --- readings: seconds of 2026-03-07, with microseconds ---

my $midnight = 1772841600;
my (%minutes, @expected, %last);
srand 73;

sub stamp { return strftime('%Y-%m-%dT%H:%M:%S', gmtime($midnight + int $_[0])) . sprintf '.%06d', ($_[0] - int $_[0]) * 1e6 + 0.5; }
sub moment { return strftime('%Y-%m-%d %H:%M:%S+00', gmtime($midnight + $_[0])); }

sub reading
{
	my ($sensor, $at, $value, $status) = @_;

	push @{ $minutes{ int($at / 60) . "|$sensor" } }, $value;
	return sprintf '{"sensorId": "%s", "value": %s, "status": "%s", "timestamp": "%s"}', $sensor, $value, $status, stamp($at);
}

# Values in quarters, whose sums are exact. Each sensor measures every ten seconds; s-3 is too hot for two minutes.
my @messages;
for my $n (0 .. 1199)
{
	my ($sensor, $at) = ('s-' . $n % 4, 36000 + int($n / 4) * 10 + $n % 4 + 0.015625);
	my $is_hot = $sensor eq 's-3' && $at >= 36600 && $at < 36720;
	my $value  = ($is_hot ? 364 + int rand 16 : 80 + int rand 200) / 4;
	my $status = $n % 4 ? rand() < 0.03 ? 'ERROR' : rand() < 0.05 ? 'WARNING' : 'OK' : 'OK';

	push @messages, reading($sensor, $at, $value, $status);
	next if $status eq 'OK';
	# Closer than five minutes to the last alert of the rule and the sensor there is none.
	my $last = \$last{"$status $sensor"};
	next if defined $$last && $at - $$last < 300;
	$$last = $at;
	push @expected, join '|', 'sensor_' . lc $status, $status eq 'ERROR' ? 'critical' : 'medium', $sensor, stamp($at) =~ tr/T/ /r =~ s/0+$//r . '+00', lc($status) . " at $value";
}
produce_lines($broker, 'readings', 0, @messages);
wait_for_offset($node, 'sensor_reading', 1200);
is(sql('SELECT count(*) FROM sensor_reading'), 1200, 'all readings are there');

# Late ones, in any order: they belong to the minutes of before.
produce_lines($broker, 'readings', 0, shuffle map { reading('s-' . int rand 3, 36000 + int(rand 3000) + 0.5, (80 + int rand 200) / 4, 'OK') } 1 .. 300);
wait_for_offset($node, 'sensor_reading', 1500);

my @wanted = map {
	my ($minute, $sensor) = split /\|/;
	my @values = @{ $minutes{$_} };
	join '|', moment($minute * 60), $sensor, scalar @values, sprintf('%.9g', sum(@values) / @values), min(@values), max(@values)
} keys %minutes;
my @kept = map { my @f = split /\|/; $f[3] = sprintf '%.9g', $f[3]; join '|', @f }
  split /\n/, sql('SELECT window_start, sensor_id, readings, average, lowest, highest FROM sensor_minute');
is(join("\n", sort @kept), join("\n", sort @wanted), 'the means of minutes, of late readings, too');
is(sql(q{SELECT count(*) FROM txpipe.check_window('sensor_minute')}), 0, 'they are what the table of readings gives');
cmp_ok(scalar @expected, '>', 10, 'there are errors and warnings');
is(join("\n", sort split /\n/, sql(q{SELECT rule, severity, subject, event_time, reason FROM txpipe.alert WHERE rule <> 'sensor_too_hot'})),
	join("\n", sort @expected), 'errors and warnings are alerts, one for five minutes');
is(sql(q{SELECT subject, event_time, count(*), min(severity) FROM txpipe.alert WHERE rule = 'sensor_too_hot' GROUP BY 1, 2 ORDER BY 2}),
	's-3|' . moment(36600) . "|1|high\ns-3|" . moment(36660) . '|1|high', 'a sensor that is too hot on average raises one for each minute');

log_is_clean($node);
$node->stop;
done_testing();
