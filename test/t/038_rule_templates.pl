# The templates of rules: alerts of planted patterns, look-alikes and noise, against what is computed here from all rows.
#
# The same rows come twice: in the order of their time, and shuffled, so that many are late. What looks at a window of time
# must raise the same alerts; what looks at neighbours may raise more, of rows that were neighbours for a while.
use strict;
use warnings;

use List::Util qw(max min shuffle uniq);
use Math::Trig qw(deg2rad asin);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeTest;

my $broker = start_broker('ordered:1', 'shuffled:1');
my $node   = new_node('templates');
start_node($node);
kafka_server($node, 'bank', $broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# --- messages: noise, and patterns just above and just below the limits ---

my $day = 86400;
my (@rows, %name);
srand 1038;

sub stamp
{
	my ($t) = @_;

	return sprintf '2024-03-%02d %02d:%02d:%02d+00', 1 + int($t / $day), $t / 3600 % 24, $t / 60 % 60, $t % 60;
}

# A row; the name is for what is planted.
sub row
{
	my ($at, %fields) = @_;
	my $row = { at => $at, account => 'n' . int rand 30, cents => 100 + int rand 4000, type => 'payment', status => 'ok', %fields };

	$row->{id} = sprintf 't%05d', scalar @rows;
	$name{ $row->{name} } = $row->{id} if $row->{name};
	push @rows, $row;
	return $row;
}

for (1 .. 1500)
{
	my %fields;

	$fields{type}   = (qw(payment withdrawal transfer cash_in))[ rand 4 ];
	$fields{status} = (qw(ok ok ok FAILED declined))[ rand 5 ];
	$fields{cents}  = int rand 150_000 if rand() < 0.1;
	@fields{qw(lat lon)} = (rand(0.6), rand(0.6) + (rand() < 0.05 ? 8 : 0)) if rand() < 0.3;
	$fields{device}   = 'd' . int rand 12 if rand() < 0.4;
	$fields{merchant} = 'm' . int rand 9;
	@fields{qw(old new)} = (int rand 100_000, int rand 100_000) if rand() < 0.2;
	row(int rand $day, %fields);
}
# Several rows of one account; each fields may say at which second from the beginning.
my $episodes = 0;

sub episode
{
	my ($name, @fields) = @_;
	my $begin   = 3600 + int rand 70000;
	my $account = 'planted' . ++$episodes;

	for my $i (0 .. $#fields)
	{
		my %fields = %{ $fields[$i] };

		row($begin + delete $fields{s}, account => $account, %fields, $i == $#fields ? (name => $name) : ());
	}
	return;
}

sub repeated { my ($fields, @s) = @_; return map { { %$fields, s => $_ } } @s; }

my %withdrawal = (type => 'withdrawal', cents => 40001);
episode('velocity +', repeated(\%withdrawal, 0, 20, 60));
episode('velocity -', repeated(\%withdrawal, 0, 20, 61));
episode('velocity - amount', repeated({ %withdrawal, cents => 40000 }, 0, 20, 60));
episode('velocity - type', repeated({ %withdrawal, type => 'payment' }, 0, 20, 60));
episode('failures +', repeated({ status => 'Declined' }, 0, 299, 600));
episode('failures -', repeated({ status => 'Declined' }, 0, 299, 601));
episode('failures - status', repeated({ status => 'ok' }, 0, 299, 600));
episode('travel +', { s => 0, lat => 0, lon => 10 }, { s => 3600, lat => 0, lon => 18.1 });
episode('travel -', { s => 0, lat => 0, lon => 10 }, { s => 3600, lat => 0, lon => 18.0 });
episode('travel + short', { s => 0, lat => 0, lon => 10 }, { s => 1, lat => 0, lon => 10.46 });
episode('travel - short', { s => 0, lat => 0, lon => 10 }, { s => 1, lat => 0, lon => 10.44 });
episode('travel - between', { s => 0, lat => 0, lon => 10 }, { s => 1800, lat => 0, lon => 14 }, { s => 3600, lat => 0, lon => 18 });
episode('travel - nowhere', { s => 0, lat => 0, lon => 10 }, { s => 1, lat => 0 });
for my $case ([ 'device +', 4, 3600 ], [ 'device - few', 3, 3600 ], [ 'device - long', 4, 3601 ])
{
	my ($name, $accounts, $last) = @$case;
	my $begin = 1000 + int rand 80000;

	row($begin + ($_ == $accounts ? $last : $_ * 10 - 10), device => $name, account => "$name$_", $_ == $accounts ? (name => $name) : ())
	  for 1 .. $accounts;
	row($begin + 15, device => $name, account => "${name}2");
}
for my $case ([ 'card +', 4, 1999, 180, 600, 10000 ], [ 'card - merchants', 3, 1999, 180, 600, 10000 ], [ 'card - small', 4, 2000, 180, 600, 10000 ],
	[ 'card - window', 4, 1999, 181, 600, 10000 ], [ 'card - within', 4, 1999, 180, 601, 10000 ], [ 'card - large', 4, 1999, 180, 600, 9999 ])
{
	my ($name, $merchants, $cents, $last, $after, $large) = @$case;
	my @at = (0, map({ $_ * 20 } 1 .. $merchants - 2), $last);

	episode($name, map({ { s => $at[$_], cents => $cents, merchant => "shop$_" } } 0 .. $merchants - 1),
		{ s => 0, cents => $cents, merchant => 'shop0' }, { s => $last + $after, cents => $large, merchant => 'big' });
}
episode('drained +', { s => 0, type => 'CASH_OUT', cents => 5000, old => 5000, new => 0 });
episode('drained - rest', { s => 0, type => 'transfer', cents => 4999, old => 5000, new => 1 });
episode('drained - type', { s => 0, type => 'payment', cents => 5000, old => 5000, new => 0 });
episode('drained - empty', { s => 0, type => 'transfer', cents => 5000, old => 0, new => 0 });
episode('unbalanced +', { s => 0, type => 'transfer', cents => 3000, old => 5000, new => 2002 });
episode('unbalanced -', { s => 0, type => 'transfer', cents => 3000, old => 5000, new => 2001 });
episode('unbalanced + in', { s => 0, type => 'cash_in', cents => 3000, old => 5000, new => 7998 });
episode('unbalanced - in', { s => 0, type => 'cash_in', cents => 3000, old => 5000, new => 8000 });
episode('over +', { s => 0, cents => 90001 });
episode('over -', { s => 0, cents => 90000 });
episode('dormant +', { s => 0 }, { s => 21601, cents => 50000 });
episode('dormant -', { s => 0 }, { s => 21600, cents => 50000 });
episode('dormant - small', { s => 0 }, { s => 21601, cents => 49999 });
# Ten amounts with mean 20 and standard deviation sqrt(1000/9): the limit is 51.6…
my @history = repeated({ cents => 1000 }, map { $_ * 60 } 0 .. 4);
push @history, repeated({ cents => 3000 }, map { $_ * 60 } 5 .. 9);
episode('outlier +', @history, { s => 700, cents => 5163 });
episode('outlier -', @history, { s => 700, cents => 5162 });
episode('outlier - few', @history[ 0 .. 8 ], { s => 700, cents => 9000 });

# Profiles: of accounts with limits of their own, old ones and new ones.
my %profile = map { ("n$_" => { limit => 50000 * (1 + $_ % 3), opened => $_ % 2 ? -$day : 3600 * (1 + $_ % 20) }) } 0 .. 14;
$profile{'over own'}      = { limit => 2000 };
$profile{'never seen'}    = { opened => -$day };
$profile{'new one'}       = { opened => 40000 };
row(50000,  account => 'over own',   cents => 2001,  name => 'over own +');
row(50010,  account => 'over own',   cents => 2000,  name => 'over own -');
row(50000,  account => 'never seen', cents => 50000, name => 'dormant + from the beginning');
row(43599,  account => 'new one',    cents => 50000, name => 'new +');
row(43600,  account => 'new one',    cents => 50000, name => 'new -');
row(86000,  account => 'stranger',   cents => 50000, name => 'unknown -');

# --- what must be raised ---

my @in_order = sort { $a->{at} <=> $b->{at} || $a->{id} cmp $b->{id} } @rows;
my (%of_account, %of_device);
push @{ $of_account{ $_->{account} } }, $_ for @in_order;
push @{ $of_device{ $_->{device} } },   $_ for grep { $_->{device} } @in_order;

sub within
{
	my ($rows, $row, $seconds) = @_;

	return grep { $_->{at} <= $row->{at} && $_->{at} >= $row->{at} - $seconds } @$rows;
}

sub many
{
	my ($condition, $count, $window) = @_;

	return sub {
		my ($row) = @_;
		return $condition->($row) && (grep { $condition->($_) } within($of_account{ $row->{account} }, $row, $window)) >= $count;
	};
}

sub kilometres
{
	my ($from, $to) = @_;
	my ($a, $b, $c, $d) = map { deg2rad($_) } $from->{lat}, $from->{lon}, $to->{lat}, $to->{lon};

	return 2 * 6371 * asin(sqrt(sin(($c - $a) / 2)**2 + cos($a) * cos($c) * sin(($d - $b) / 2)**2));
}

sub travels
{
	my ($row) = @_;
	my $before;

	return 0 unless defined $row->{lon};
	for my $other (@{ $of_account{ $row->{account} } })
	{
		last if $other == $row;
		$before = $other if defined $other->{lon};
	}
	return 0 if !$before || $before->{at} < $row->{at} - $day;
	my $km = kilometres($before, $row);
	return $km >= 50 && $km > 900 * ($row->{at} - $before->{at}) / 3600;
}

sub joins_device
{
	my ($row) = @_;

	return 0 unless $row->{device};
	my @near = within($of_device{ $row->{device} }, $row, 3600);
	return 0 if grep { $_->{account} eq $row->{account} && $_->{at} < $row->{at} } @near;
	return uniq(map { $_->{account} } @near) > 3;
}

sub tests_cards
{
	my ($row) = @_;
	my @small = grep { $_->{cents} < 2000 } @{ $of_account{ $row->{account} } };

	return 0 if $row->{cents} < 10000;
	return scalar grep { uniq(grep { defined } map { $_->{merchant} } within(\@small, $_, 180)) > 3 } within(\@small, $row, 600);
}

sub is_outlier
{
	my ($row) = @_;
	my ($n, $sum, $squares) = (0, 0, 0);

	for my $other (@{ $of_account{ $row->{account} } })
	{
		last if $other == $row;
		$n++;
		$sum     += $other->{cents} / 100;
		$squares += ($other->{cents} / 100)**2;
	}
	return 0 if $n < 10;
	return $row->{cents} / 100 > $sum / $n + 3 * sqrt(max(($squares - $sum**2 / $n) / ($n - 1), 0));
}

sub is_dormant
{
	my ($row) = @_;
	my $opened = ($profile{ $row->{account} } // {})->{opened};
	my @before = grep { $_->{at} < $row->{at} } @{ $of_account{ $row->{account} } };
	my $last   = @before ? $before[-1]{at} : $opened;

	return 0 if $row->{cents} < 50000;
	return defined $last && $last < $row->{at} - 21600 || defined $opened && $opened > $row->{at} - 3600;
}

sub unbalanced
{
	my ($row) = @_;
	my $sign = { transfer => -1, withdrawal => -1, payment => -1, cash_out => -1, cash_in => 1 }->{ lc $row->{type} };

	return defined $row->{old} && abs($row->{old} + $sign * $row->{cents} - $row->{new}) > 1;
}

my %rules = (
	amount_over_limit => {
		parameters => '"limit": 900, "profile": "public.profile"',
		oracle     => sub { $_[0]{cents} > (($profile{ $_[0]{account} } // {})->{limit} // 90000) } },
	velocity => {
		parameters => q{"table": "public.TABLE", "where": "type = 'withdrawal' AND amount > 400 -- dollars", "count": 3, "window": "1 min"},
		window     => 1,
		oracle     => many(sub { $_[0]{type} eq 'withdrawal' && $_[0]{cents} > 40000 }, 3, 60) },
	repeated_failures => {
		parameters => '"table": "public.TABLE", "statuses": ["Failed", "DECLINED"]',
		window     => 1,
		oracle     => many(sub { $_[0]{status} =~ /^(failed|declined)$/i }, 3, 600) },
	card_testing => {
		parameters => '"table": "public.TABLE"',
		window     => 1,
		oracle     => \&tests_cards },
	impossible_travel => { parameters => '"table": "public.TABLE"', oracle => \&travels },
	shared_device     => {
		parameters => '"table": "public.TABLE", "window": "1 hour"',
		subject    => 'device',
		oracle     => \&joins_device },
	drained_account => {
		parameters => '"account": "account_id", "old_balance": "before", "new_balance": "after"',
		oracle     => sub { $_[0]{type} =~ /^(cash_out|transfer)$/i && $_[0]{old} && $_[0]{new} == 0 && $_[0]{cents} >= $_[0]{old} } },
	unbalanced_transfer => {
		parameters => '"account": "account_id", "old_balance": "before", "new_balance": "after"',
		oracle     => \&unbalanced },
	dormant_account => {
		parameters => '"table": "public.TABLE", "large": 500, "dormant": "6 hours", "new_for": "1 hour", "profile": "public.profile"',
		oracle     => \&is_dormant },
	profile_outlier => { parameters => '"statistics": "public.statistics_TABLE"', oracle => \&is_outlier });

is(sql(q{SELECT string_agg(template, ' ' ORDER BY template) FROM txpipe.list_rule_templates()}), join(' ', sort keys %rules), 'all templates are tried here');
my %expected;
for my $rule (keys %rules)
{
	my $subject = $rules{$rule}{subject} // 'account';

	$expected{$rule} = [ sort map { "$_->{$subject}|" . stamp($_->{at}) . "|$_->{id}" } grep { $rules{$rule}{oracle}->($_) } @rows ];
}

# --- what is raised ---

sub message
{
	my ($row) = @_;
	my %fields = (
		transaction_id => qq{"$row->{id}"},
		account_id     => qq{"$row->{account}"},
		event_time     => '"' . stamp($row->{at}) . '"',
		amount         => sprintf('%.2f', $row->{cents} / 100),
		type           => qq{"$row->{type}"},
		status         => qq{"$row->{status}"});

	$fields{device_id} = qq{"$row->{device}"} if $row->{device};
	$fields{merchant}  = qq{"$row->{merchant}"} if $row->{merchant};
	$fields{latitude}  = $row->{lat} if defined $row->{lat};
	$fields{longitude} = $row->{lon} if defined $row->{lon};
	@fields{qw(before after)} = map { sprintf '%.2f', $_ / 100 } $row->{old}, $row->{new} if defined $row->{old};
	return '{' . join(', ', map { qq{"$_": $fields{$_}} } keys %fields) . '}';
}

sql('CREATE TABLE profile (customer_id text PRIMARY KEY, opened_at timestamptz, amount_limit numeric)');
for my $account (keys %profile)
{
	my ($opened, $limit) = @{ $profile{$account} }{qw(opened limit)};

	sql(sprintf q{INSERT INTO profile VALUES ('%s', %s, %s)}, $account,
		defined $opened ? $opened < 0 ? "timestamptz '2024-02-01 UTC'" : "'" . stamp($opened) . "'" : 'NULL', $limit ? $limit / 100 : 'NULL');
}
for my $table ('ordered', 'shuffled')
{
	my @messages = map { message($_) } $table eq 'ordered' ? @in_order : shuffle(@rows);

	sql(qq{CREATE TABLE $table (transaction_id text PRIMARY KEY, account_id text, device_id text, merchant text, event_time timestamptz,
			amount numeric(12,2), type text, status text, latitude float8, longitude float8, before numeric(12,2), after numeric(12,2),
			kafka_offset bigint);
		CREATE INDEX ON $table (account_id, event_time);
		CREATE INDEX ON $table (device_id, event_time);
		CREATE TABLE statistics_$table (account text PRIMARY KEY, n bigint NOT NULL, total numeric NOT NULL, squares numeric NOT NULL);
		SELECT txpipe.create_stream('$table', 'bank', '$table', '$table', paused => true)});
	for my $rule (sort keys %rules)
	{
		my $parameters = $rules{$rule}{parameters} =~ s/TABLE/$table/gr;

		sql(qq{SELECT txpipe.create_rule('${table}_$rule', '$table', txpipe.rule_query('$rule', \$\${$parameters}\$\$))});
	}
	produce_lines($broker, $table, 0, @messages);
	my $left = @messages;
	while ($left > 0)
	{
		my $n = 1 + int rand 300;

		sql("CALL txpipe.consume('$table', $n)");
		$left -= $n;
	}
	is(sql("SELECT count(*) FROM $table"), scalar @rows, "$table: all rows are there");
}

sub alerts_of
{
	my ($rule) = @_;

	return sort split /\n/, sql("SELECT concat_ws('|', subject, event_time, transaction_id) FROM txpipe.alert WHERE rule = '$rule'");
}

for my $rule (sort keys %rules)
{
	my @expected = @{ $expected{$rule} };

	cmp_ok(scalar @expected, '>', 0, "$rule: " . @expected . ' alerts are expected');
	cmp_ok(scalar @expected, '<', @rows / 2, '... and not for everything');
	is(join("\n", alerts_of("ordered_$rule")), join("\n", @expected), "$rule: the alerts");
	next if $rule eq 'profile_outlier' || $rule eq 'dormant_account';
	my @shuffled = alerts_of("shuffled_$rule");
	if ($rules{$rule}{window} || $rules{$rule}{parameters} !~ /TABLE/)
	{
		is(join("\n", @shuffled), join("\n", @expected), '... whatever the order');
		next;
	}
	my %there = map { ($_ => 1) } @shuffled;
	is(join("\n", grep { !$there{$_} } @expected), '', '... and in another order no fewer');
}
my %is_raised = map { ($_ => 1) } map { my $rule = $_; map { (split /\|/)[2] . $rule } alerts_of("ordered_$rule") } sort keys %rules;
my %planted_in = (
	velocity => 'velocity', failures => 'repeated_failures', travel => 'impossible_travel', device => 'shared_device', card => 'card_testing',
	drained => 'drained_account', unbalanced => 'unbalanced_transfer', over => 'amount_over_limit', dormant => 'dormant_account',
	new => 'dormant_account', unknown => 'dormant_account', outlier => 'profile_outlier');
for my $name (sort keys %name)
{
	my ($kind) = $name =~ /^(\w+)/;

	is($is_raised{"$name{$name}$planted_in{$kind}"} ? 'raised' : 'not', $name =~ /\+/ ? 'raised' : 'not', "planted: $name");
}
is(sql(q{SELECT count(*) FROM txpipe.alert a WHERE a.rule LIKE 'ordered%' AND ((a.kafka_topic, a.kafka_partition) IS DISTINCT FROM ('ordered', 0)
	OR a.kafka_offset <> (SELECT o.kafka_offset FROM ordered o WHERE o.transaction_id = a.transaction_id) OR a.reason IS NULL OR a.evidence IS NULL)}),
	0, 'in order of arrival alerts have the place of their message, all have a reason and evidence');

# --- the statistics a rule keeps ---

is(sql(q{SELECT count(*) FROM statistics_shuffled s FULL JOIN (SELECT account_id, count(*) AS n, sum(amount) AS total, sum(amount * amount) AS squares
	FROM shuffled GROUP BY 1) t ON t.account_id = s.account WHERE (s.n, s.total, s.squares) IS DISTINCT FROM (t.n, t.total, t.squares)}),
	0, 'profile_outlier keeps count, sum and squares');

# --- tried on history the same alerts come out, and nothing stays ---

my $before = sql(q{SELECT (SELECT count(*) FROM txpipe.alert) || ' ' || (SELECT sum(total) FROM statistics_ordered)});
for my $rule (sort keys %rules)
{
	my $parameters = $rules{$rule}{parameters} =~ s/statistics_TABLE/statistics_tried/gr =~ s/TABLE/ordered/gr;

	sql('DROP TABLE IF EXISTS statistics_tried; CREATE TABLE statistics_tried (LIKE statistics_ordered INCLUDING ALL)');
	is( join("\n", sort split /\n/, sql(qq{SELECT concat_ws('|', subject, event_time, transaction_id) FROM txpipe.test_rule('ordered',
			txpipe.rule_query('$rule', \$\${$parameters}\$\$), batch_rows => 170)})),
		join("\n", @{ $expected{$rule} }),
		"test_rule: $rule");
	is(sql('SELECT count(*) FROM statistics_tried'), 0, '... undone');
}
is(sql(q{SELECT (SELECT count(*) FROM txpipe.alert) || ' ' || (SELECT sum(total) FROM statistics_ordered)}), $before, 'nothing is kept');
my $from = stamp(30000);
my $to   = stamp(60000);
is( sql(qq{SELECT transaction_id FROM txpipe.test_rule('ordered', 'SELECT account_id AS subject, event_time, transaction_id FROM batch WHERE amount > 900',
		'$from', '$to', cooldown => '1 day') ORDER BY 1}),
	join("\n", sort map { $_->[0]{id} } grep { @$_ } map { [ grep { $_->{at} >= 30000 && $_->{at} < 60000 && $_->{cents} > 90000 } @$_ ] } values %of_account),
	'test_rule: from, to and cool-down');
is( sql(q{SELECT count(*) FROM txpipe.test_rule('ordered', 'SELECT account_id AS subject, event_time FROM batch', NULL, '2000-01-01 00:00:00+00')}),
	0, '... also to the first moment of 2000, which is before all of them');

# --- how good a rule is ---

sql(q{ALTER TABLE ordered ADD COLUMN is_fraud int; UPDATE ordered SET is_fraud = CASE WHEN amount > 1200 OR account_id = 'n1' THEN 1 ELSE 0 END});
my $limit = sub { ($profile{ $_[0]{account} } // {})->{limit} // 90000 };
my (%count, %by_account);
for my $row (@rows)
{
	my $fraud = $row->{cents} > 120000 || $row->{account} eq 'n1' ? 1 : 0;
	my $alert = $row->{cents} > $limit->($row) ? 1 : 0;

	$count{"$fraud$alert"}++;
	$by_account{ $row->{account} }[0] ||= $fraud;
	$by_account{ $row->{account} }[1] ||= $alert;
}
sub quality
{
	my ($events, $tp, $fp, $fn) = @_;

	return sprintf '%d|%d|%d|%d|%d|%d|%.4f|%.4f|%.4f', $events, $tp + $fn, $tp + $fp, $tp, $fp, $fn, $tp / ($tp + $fp), $tp / ($tp + $fn), $fp * 10000 / $events;
}
is(sql(q{SELECT * FROM txpipe.rule_quality('ordered_amount_over_limit', 'is_fraud')}),
	quality(scalar @rows, $count{11}, $count{'01'}, $count{10}), 'rule_quality by transaction');
my %accounts;
$accounts{ join '', map { $_ || 0 } @$_ }++ for values %by_account;
is(sql(q{SELECT * FROM txpipe.rule_quality('ordered_amount_over_limit', 'is_fraud', 'account_id', match_by => 'subject')}),
	quality(scalar @rows, $accounts{11}, $accounts{'01'} // 0, $accounts{10} // 0), '... and by subject');
is(sql(q{SELECT alerts, recall, precision FROM txpipe.rule_quality(NULL, 'is_fraud', stream => 'ordered',
	query => 'SELECT account_id AS subject, event_time, transaction_id FROM batch WHERE false')}), '0|0.0000|', 'a query that finds nothing');

# --- errors of parameters ---

for (
	[ '42704', q{'nonsense'},                                                     qr/velocity/ ],
	[ '22023', q{'velocity', '{"tabel": "public.ordered"}'},                      qr/table/ ],
	[ '22023', q{'velocity'},                                                     qr/rule_query/ ],
	[ '42P01', q{'velocity', '{"table": "ordered"}'},                             qr/schema/ ],
	[ '42703', q{'velocity', '{"table": "public.ordered", "account": "acount"}'}, qr/columns/ ],
	[ '22023', q{'velocity', '{"table": "public.ordered", "count": "many"}'},     qr/list_rule_templates/ ],
	[ '22023', q{'velocity', '{"table": "public.ordered", "window": "5 mints"}'}, qr/list_rule_templates/ ])
{
	my ($state, $arguments, $hint) = @$_;
	my $error = error_of($node, "SELECT txpipe.rule_query($arguments)");

	is($error && $error->{state}, $state, "refused: rule_query($arguments)");
	like($error && $error->{hint}, $hint, '... with a hint');
}
my $evil = q{amount"; DROP TABLE ordered; --};
like(sql(qq{SELECT txpipe.rule_query('amount_over_limit', jsonb_build_object('amount', '$evil'))}), qr/b\."amount""; DROP TABLE ordered; --" >/,
	'names are quoted');
$node->psql('postgres', q{CREATE TABLE bare (account_id text, event_time timestamptz, transaction_id text);
	SELECT txpipe.rule_query('velocity', '{"table": "public.bare"}')}, stderr => \my $notice);
like($notice, qr/no index begins with \(account_id, event_time\)\nHINT:  CREATE INDEX ON bare \(account_id, event_time\);|CREATE INDEX ON public\.bare/,
	'a NOTICE tells the index a rule needs');

log_is_clean($node, qr/038_rule_templates.*ERROR:  /);
done_testing();
