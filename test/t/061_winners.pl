# Which sale counts, and which version of a branch or agent it belongs to, follows from the files, not from the order
# they came in: what the warehouse holds is what a plain computation in Perl makes of the same files. With TXPIPE_CITUS the
# warehouse is on servers of Citus.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Path qw(make_path);
use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Test::More;

use lib dirname(__FILE__);
use TxpipeRetail;
use TxpipeTest qw(log_is_clean);

my $seed = $ENV{TXPIPE_TEST_SEED} // time % 100_000;
diag("seed $seed (TXPIPE_TEST_SEED)");
srand($seed);

my $node = retail_node('winners');
my %rate = (0 => 0, map { $_ => 5 * $_ } 1 .. 5);

# --- files ---

sub pick { return $_[ int rand @_ ] }

# A sale as a hash; the id says what it is, `variant` what differs from the first of its id.
sub a_sale
{
	my ($id, $variant) = @_;
	my $n = $id =~ s/\D//gr;
	my %s = (
		id => $id,
		date => sprintf('2023-%02d-%02d', 1 + $n % 3, 1 + $n % 28),
		customer => 100 + $n % 7,
		first => (qw(Ada Bob Cy))[ $n % 3 ],
		last => 'Doe',
		email => "a$n\@gmail.com",
		product => 1 + $n % 5,
		offer => $n % 6,
		units => 1 + $n % 9,
		price => 10 + $n % 4,
		online => $n % 5 == 0,
		agent => 1 + $n % 8,
		branch => 1 + $n % 5);

	$s{units} += 10 if $variant == 1;
	$s{date} =~ s/^2023/2024/ if $variant == 2;
	@s{qw(first email)} = ('Zed', 'zed@yahoo.com') if $variant == 3;
	@s{qw(agent branch)} = () if $s{online};
	return \%s;
}

my $sales_header = 'transaction_date,transaction_id,customer_id,customer_fname,customer_lname,customer_email,sales_agent_id,'
  . 'branch_id,product_id,product_name,product_category,offer_1,offer_2,offer_3,offer_4,offer_5,units,unit_price,is_online,'
  . 'payment_method,shipping_address';

sub sale_line
{
	my ($s) = @_;
	# Junk behind the address is cleaned away: still the same contents.
	return join ',', $s->{date}, $s->{id}, @$s{qw(customer first last)}, $s->{email} . pick('', '#4r', ';'), $s->{agent} // '',
	  $s->{branch} // '', $s->{product}, "P$s->{product}", 'All', map({ $s->{offer} == $_ ? 'True' : '' } 1 .. 5),
	  $s->{units}, $s->{price}, $s->{online} ? 'yes' : 'no', 'Cash', $s->{online} ? '1 Elm/Reno/NV/01234' : '';
}

sub write_file
{
	my ($path, @lines) = @_;
	make_path(dirname($path));
	append_to_file($path, join "\n", @lines, '');
	return;
}

# Groups as {key, order, branches => [[id, …]], agents => …, sales => […]}; key 2 comes before key 10.
sub generate
{
	my ($dir) = @_;
	my @groups;
	my @ids = map { sprintf 't%03d', $_ } 1 .. 120;

	foreach my $n (sort { $a <=> $b } (shuffle 1 .. 30)[ 0 .. 8 ])
	{
		my %g = (key => "group$n", hour => $n, dir => "$dir/group$n");
		# Few values, so that what was once comes back; ids that come twice; ids nobody delivers for long.
		$g{branches} = [ map { [ $_, 'Town' . pick(1, 2), '2011-02-03', pick('A', 'B') ] } grep { rand() < 0.7 } 1, 2, 3, 4, 2 ];
		$g{agents} = [ map { [ $_, "Agent $_" . pick('', ' Jr'), pick('2018-05-13', '2019-01-01') ] } grep { rand() < 0.7 } 1 .. 6, 3 ];
		$g{branches} = [ [ 1, 'Town1', '2011-02-03', 'A' ] ] unless @{ $g{branches} };
		$g{agents} = [ [ 1, 'Agent 1', '2018-05-13' ] ] unless @{ $g{agents} };
		# Files that say byte for byte what an earlier one said: it holds again.
		$g{$_} = pick(@groups)->{$_} foreach grep { @groups && rand() < 0.3 } qw(branches agents);
		$g{sales} = [ map { a_sale(pick(@ids), rand() < 0.7 ? 0 : 1 + int rand 3) } 1 .. 60 ];
		$g{lines} = [ map { sale_line($_) } @{ $g{sales} } ];
		@g{qw(sales lines)} = @{ pick(@groups) }{qw(sales lines)} if @groups && rand() < 0.15;
		write_file("$g{dir}/branches_SS_raw_$n.csv", 'branch_id,location,establish_date,class',
			map { join ',', @$_ } @{ $g{branches} });
		write_file("$g{dir}/sales_agents_SS_raw_$n.csv", 'sales_person_id,name,hire_date', map { join ',', @$_ } @{ $g{agents} });
		write_file("$g{dir}/sales_transactions_SS_raw_$n.csv", $sales_header, @{ $g{lines} });
		push @groups, \%g;
	}
	return @groups;
}

# --- the same in Perl ---

# Versions of one kind of member: id => [[hour or undef, values]…] and what became of each line.
sub versions
{
	my ($kind, $groups, $count) = @_;
	my (%versions, %last);

	foreach my $g (@$groups)
	{
		next if $g->{gone}{$kind};
		my %counts;
		my %line = map { $_->[0] => $_ } @{ $g->{$kind} };
		foreach my $row (@{ $g->{$kind} })
		{
			my ($id, @values) = @$row;
			my $said = join '|', @values;
			my $meant = join '|', @{ $line{$id} }[ 1 .. @values ];
			if ($row != $line{$id}) { $counts{ $said eq $meant ? 'duplicate' : 'superseded' }++ }
			elsif (defined $last{$id} && $last{$id} eq $said) { $counts{duplicate}++ }
			else
			{
				$counts{loaded}++;
					my $from = $versions{$id} ? $g->{hour} : undef;
				push @{ $versions{$id} }, [ $from, $said ];
				$last{$id} = $said;
			}
		}
		$count->{"$g->{key} $kind"} = \%counts;
	}
	return \%versions;
}

sub version_at
{
	my ($versions, $id, $hour) = @_;
	my $found;

	return $id unless $versions->{$id};
	foreach my $v (@{ $versions->{$id} })
	{
		$found = $v if !defined $v->[0] || $v->[0] <= $hour;
	}
	return "$id $found->[1]";
}

# Everything that can be compared, as lines; wins: first or last.
sub expected
{
	my ($groups, $wins) = @_;
	my (%count, %file, %places, @lines, %b2b, %product);
	my $branches = versions('branches', $groups, \%count);
	my $agents = versions('agents', $groups, \%count);

	foreach my $g (@$groups)
	{
		# The same file in a later group is a duplicate as a whole.
		next if $g->{gone}{sales} || $file{ $g->{lines} }++;
		$count{"$g->{key} sales"} = { map { $_ => 0 } qw(loaded duplicate superseded) };
		my $line = 1;
		push @{ $places{ $_->{id} } }, { %$_, line => ++$line, g => $g, content => join '|', map { $_ // '' } @$_{ sort keys %$_ } }
		  foreach @{ $g->{sales} };
	}
	foreach my $id (keys %places)
	{
		my $winner = $places{$id}[ $wins eq 'last' ? -1 : 0 ];
		$count{"$_->{g}{key} sales"}{ $_ == $winner ? 'loaded' : $_->{content} eq $winner->{content} ? 'duplicate' : 'superseded' }++
		  foreach @{ $places{$id} };
		my ($agent, $branch) = ('online', 'online');
		$agent = version_at($agents, $winner->{agent}, $winner->{g}{hour}) unless $winner->{online};
		$branch = version_at($branches, $winner->{branch}, $winner->{g}{hour}) unless $winner->{online};
		my $paid = $winner->{units} * $winner->{price} * (100 - $rate{ $winner->{offer} });
		push @lines, join "\t", 'fact', $id, $winner->{date}, $winner->{product},
		  "$winner->{customer} $winner->{first} $winner->{email}", $agent, $branch, $winner->{offer}, $winner->{units},
		  $winner->{price}, sprintf('%d.%02d', int($paid / 100), $paid % 100), "$winner->{g}{key}:$winner->{line}";
		push @lines, map { join "\t", 'lost', $id, "$_->{g}{key}:$_->{line}", $_->{content} eq $winner->{content} ? 'duplicate' : 'superseded' }
		  grep { $_ != $winner } @{ $places{$id} };
		$product{ $winner->{product} } += $winner->{units};
		my $name = $agent =~ /^\d+ (.*?)\|/ ? $1 : '(unknown)';
		$b2b{"$winner->{date}\t$name\tP$winner->{product}"} += $winner->{units} unless $winner->{online};
	}
	foreach my $file (keys %count)
	{
		my $c = $count{$file};
		push @lines, "count\t$file\t" . join ' ', map { $c->{$_} // 0 } qw(loaded duplicate superseded);
	}
	push @lines, map { "product\t$_\t$product{$_}" } keys %product;
	push @lines, map { "b2b\t$_\t$b2b{$_}" } keys %b2b;
	foreach my $kind ([ 'branch', $branches ], [ 'agent', $agents ])
	{
		foreach my $id (keys %{ $kind->[1] })
		{
			my @v = @{ $kind->[1]{$id} };
			push @lines, map { join "\t", $kind->[0], "$id $v[$_][1]", $v[$_][0] // '-', $_ < $#v ? $v[ $_ + 1 ][0] : '-' } 0 .. $#v;
		}
	}
	return join "\n", sort @lines;
}

# --- the same in the warehouse ---

my $version = q{CASE WHEN %1$s.%2$s_key = 0 THEN 'online' WHEN %1$s.is_inferred THEN %1$s.%2$s_id::text
                ELSE concat(%1$s.%2$s_id, ' ', concat_ws('|', %3$s)) END};
my %version = (
	agent => sprintf($version, 'a', 'sales_agent', 'a.name, a.hire_date'),
	branch => sprintf($version, 'b', 'branch', 'b.location, b.establish_date, b.class'));
my $place = q{s.group_key || ':' || x.line_no};

sub without { my ($what, $lines) = @_; return join "\n", grep { !/^(?:$what)\t/ } split /\n/, $lines }

sub hour
{
	my ($column) = @_;
	return qq{CASE WHEN isfinite($column) THEN (extract(epoch FROM $column) / 3600)::integer::text ELSE '-' END};
}

my @queries = (
	qq{SELECT 'fact', x.transaction_id, x.transaction_date, p.product_id,
	          concat_ws(' ', c.customer_id, c.first_name, c.email), $version{agent}, $version{branch}, o.offer_number, x.units,
	          trim_scale(x.unit_price), round(x.total_paid, 2), $place
	   FROM dwh.fact_sales x JOIN dwh.source_file s USING (file_id) JOIN dwh.dim_product p USING (product_key)
	   JOIN dwh.dim_customer c USING (customer_key) JOIN dwh.dim_sales_agent a USING (sales_agent_key)
	   JOIN dwh.dim_branch b USING (branch_key) JOIN dwh.dim_offer o USING (offer_key)
	   JOIN dwh.sale_key k USING (transaction_id, transaction_date, file_id, line_no)},
	qq{SELECT 'lost', x.transaction_id, $place, 'duplicate' FROM dwh.sale_duplicate x JOIN dwh.source_file s USING (file_id)},
	qq{SELECT 'lost', x.transaction_id, $place, 'superseded' FROM dwh.sale_conflict x JOIN dwh.source_file s USING (file_id)},
	q{SELECT 'count', group_key || ' ' || CASE feed WHEN 'sales_transactions' THEN 'sales' WHEN 'sales_agents' THEN 'agents' ELSE feed END,
	         concat_ws(' ', rows_loaded, rows_duplicate, rows_superseded) FROM txpipe.file WHERE state = 'loaded'},
	q{SELECT 'product', product_id, units FROM txpipe.top_products(top_n => NULL)},
	q{SELECT 'b2b', d.transaction_date, l.* FROM dwh.sales_day d, txpipe.b2b_sales(d.transaction_date) l},
	qq{SELECT 'agent', $version{agent}, } . hour('a.valid_from') . ', ' . hour('a.valid_to') . q{
	   FROM dwh.dim_sales_agent a WHERE sales_agent_id IS NOT NULL AND NOT is_inferred},
	qq{SELECT 'branch', $version{branch}, } . hour('b.valid_from') . ', ' . hour('b.valid_to') . q{
	   FROM dwh.dim_branch b WHERE branch_id IS NOT NULL AND NOT is_inferred});

sub warehouse
{
	return join "\n", sort split /\n/, $node->safe_psql('retail', join(";\n", @queries), extra_params => [ '-F', "\t" ]);
}

# Days whose daily file would be another one without their version saying so.
sub silent_days
{
	my ($before, $after, $versions) = @_;
	my %lines;

	foreach my $side (0, 1)
	{
		push @{ $lines{ (split /\t/)[1] }[$side] }, $_ foreach grep { /^b2b/ } split /\n/, $side ? $after : $before;
	}
	my @changed = grep { join("\n", @{ $lines{$_}[0] // [] }) ne join("\n", @{ $lines{$_}[1] // [] }) } keys %lines;
	my %now = map { split /\|/ } split /\n/, sql('SELECT transaction_date, version FROM dwh.sales_day');
	return join ' ', grep { $now{$_} <= ($versions->{$_} // 0) } sort @changed;
}

sub day_versions
{
	return { map { split /\|/ } split /\n/, sql('SELECT transaction_date, version FROM dwh.sales_day') };
}

sub deliver_all
{
	my ($groups, $several) = @_;

	foreach my $g (@$groups)
	{
		deliver($g->{dir}, $g->{key});
		run_hourly() unless $several && rand() < 0.5;
	}
	run_hourly();
	return;
}

my $source = $node->basedir . '/source';

sub try_orders
{
	my ($wins, $rounds) = @_;

	foreach my $round (1 .. $rounds)
	{
		my @groups = generate("$source/$wins$round");
		my $expected = expected(\@groups, $wins);
		foreach my $order (\@groups, [ reverse @groups ], [ shuffle @groups ])
		{
			fresh_database();
			sql("UPDATE dwh.setting SET value = '$wins' WHERE name = 'conflicts'");
			deliver_all($order, $order != \@groups);
			same_lines(warehouse(), $expected, "$wins wins, order " . join ' ', map { $_->{hour} } @$order);
		}
		take_back(\@groups, $wins, $expected);
	}
	return;
}

# Every file once: without it, and back again.
sub take_back
{
	my ($groups, $wins, $expected) = @_;
	my %feed = (branches => 'branches', agents => 'sales_agents', sales => 'sales_transactions');

	foreach my $g (shuffle @$groups)
	{
		foreach my $kind (sort keys %feed)
		{
			my $file = sql("SELECT file_id FROM txpipe.file WHERE group_key = '$g->{key}' AND feed = '$feed{$kind}'");
			next if sql("SELECT state FROM txpipe.file WHERE file_id = $file") eq 'duplicate';
			my $versions = day_versions();
			sql("SELECT txpipe.unload($file)");
			$g->{gone}{$kind} = 1;
			my $without = warehouse();
			same_lines($without, expected($groups, $wins), "$wins wins, without $kind of $g->{key}");
			is(silent_days($expected, $without, $versions), '', 'days say that they changed');
			sql("SELECT txpipe.reload($file)");
			delete $g->{gone}{$kind};
			same_lines(warehouse(), $expected, "$wins wins, with $kind of $g->{key} again");
		}
	}
	is(sql('SELECT count(*) FROM dwh.sale_key'), sql('SELECT count(*) FROM dwh.fact_sales'), 'a key for each sale');
	return;
}

try_orders('first', $ENV{TXPIPE_TEST_LONG} ? 10 : 1);
try_orders('last', $ENV{TXPIPE_TEST_LONG} ? 5 : 1);

# --- files of one group that disagree ---

# Branches and agents as lines, under one name each; the sales as hashes.
sub land_group
{
	my ($key, $branches, $agents, @sales) = @_;

	land("$key/branches_$_->[0].csv", "branch_id,location,establish_date,class\n$_->[1]\n") foreach @$branches;
	land("$key/sales_agents_$_->[0].csv", "sales_person_id,name,hire_date\n$_->[1]\n") foreach @$agents;
	land("$key/sales_transactions_1.csv", join "\n", $sales_header, map({ sale_line($_) } @sales), '') if @sales;
	return;
}

my @ties = map
{
	my @order = @$_;
	fresh_database();
	foreach my $name (@order)
	{
		land_group('group1', [ [ $name, "1,Town $name,2011-02-03,A" ] ], [ [ $name, "1,Agent $name,2018-05-13" ] ],
			$name eq $order[0] ? a_sale('t001', 0) : ());
		run_hourly();
	}
	without('count', warehouse());
} ([ 'a', 'b', 'c' ], [ 'c', 'b', 'a' ], [ 'b', 'c', 'a' ]);
same_lines($ties[1], $ties[0], 'files of one group that disagree on a line: the last to arrive does not count more');
same_lines($ties[2], $ties[0], '... nor the first');

# On Citus there are none from before, and its warnings are many.
if ($ENV{TXPIPE_CITUS})
{
	is(sql('SELECT string_agg(item, $$, $$) FROM txpipe.check_warehouse() WHERE NOT ok'), '', 'the warehouse on Citus is sound');
	$node->stop;
	done_testing();
	exit;
}

# --- the months a file is searched in ---

# Neither a repetition that counts later, nor what is changed by hand, is of the days that the file was loaded with.
fresh_database();
my @apart = map { { %{ a_sale("t00$_", 0) }, online => 0, agent => 1, branch => 1 } } 1 .. 3;
land_group('group1', [ [ 1, '1,Town A,2011-02-03,A' ] ], [ [ 1, '1,Agent A,2018-05-13' ] ], $apart[1]);
land_group('group2', [ [ 1, '1,Town A,2011-02-03,A' ] ], [ [ 1, '1,Agent A,2018-05-13' ] ], @apart);
run_hourly();
is(sql('SELECT string_agg(concat_ws($$ $$, first_date, last_date), $$, $$ ORDER BY file_id) FROM dwh.source_file'),
	"$apart[1]{date} $apart[1]{date}, " . join(' ', sort map { $_->{date} } @apart[ 0, 2 ]), 'a file has the days of the sales it brought first');
sql(q{SELECT txpipe.unload(file_id) FROM txpipe.file WHERE feed = 'sales_transactions' AND group_key = 'group1'});
sql(q{SELECT dwh.create_months('{2022-02-01}')});
sql(q{UPDATE dwh.fact_sales SET transaction_date = transaction_date - interval '1 year' WHERE transaction_id = 't001'});
is(sql('SELECT count(*) FROM dwh.fact_sales'), 3, 'the repetition takes the place of a sale that is gone');
is(sql(q{SELECT count(*) FROM dwh.fact_sales JOIN dwh.source_file USING (file_id) WHERE transaction_date BETWEEN first_date AND last_date}), 3,
	'and its file has its day, and that of a sale that was given another');
sql(q{SELECT txpipe.unload(file_id) FROM txpipe.file WHERE feed = 'sales_transactions' AND group_key = 'group2'});
is(sql('SELECT (SELECT count(*) FROM dwh.fact_sales), (SELECT count(*) FROM dwh.sale_key)'), '0|0', 'all sales of the file are found');

# A file that is replaced leaves a sale to one that is still being loaded, in the same transaction.
fresh_database();
sql(q{SELECT txpipe.alter_feed('sales_transactions', options => '{"on_change": "replace"}')});
sql(q{UPDATE dwh.setting SET value = 'last' WHERE name = 'conflicts'});
my @town = ([ [ 1, '1,Town A,2011-02-03,A' ] ], [ [ 1, '1,Agent A,2018-05-13' ] ]);
land_group('group5', @town, @apart[ 1, 2 ]);
run_hourly();
land_group('group3', @town, @apart[ 0, 1 ]);
land_group('group5', @town, $apart[2]);
run_hourly();
is(sql("SELECT string_agg(transaction_id || ' ' || group_key, ', ' ORDER BY transaction_id) FROM dwh.fact_sales JOIN dwh.source_file USING (file_id)"),
	't001 group3, t002 group3, t003 group5', 'a file that is replaced leaves its sale to one of the same run');
is(sql('SELECT string_agg(item, $$, $$) FROM txpipe.check_warehouse() WHERE NOT ok'), '', 'and the warehouse is sound');
sql(q{SELECT txpipe.unload(file_id) FROM txpipe.file WHERE feed = 'sales_transactions' AND group_key = 'group3'});
is(sql('SELECT string_agg(transaction_id, $$ $$) FROM dwh.fact_sales'), 't003', 'and can be taken back');
sql($_) foreach 'ALTER TABLE dwh.fact_sales DISABLE TRIGGER USER', 'UPDATE dwh.fact_sales SET transaction_date = transaction_date + 1',
  'ALTER TABLE dwh.fact_sales ENABLE TRIGGER USER', 'SELECT txpipe.repair_rollups()',
  q{SELECT txpipe.unload(file_id) FROM txpipe.file WHERE feed = 'sales_transactions' AND group_key = 'group5' AND state = 'loaded'};
is(sql('SELECT count(*) FROM dwh.fact_sales'), '0', 'what was moved behind the triggers is found once the rollups are repaired');

# --- warehouses that were there before ---

# The tables of version 0.1.0, with what they held.
sub make_old
{
	sql(q{DROP TABLE dwh.source_file, dwh.sale_duplicate, dwh.sale_conflict, dwh.branch_delivery, dwh.sales_agent_delivery CASCADE});
	sql(q{DROP TYPE dwh.sale_move CASCADE});
	sql(q{DROP INDEX dwh.fact_sales_file});
	sql(q{ALTER TABLE dwh.dim_offer DROP COLUMN valid_from CASCADE, DROP COLUMN valid_to, DROP COLUMN offer_number, ALTER offer_key DROP IDENTITY,
	      ADD UNIQUE (offer_code)});
	sql(q{DELETE FROM dwh.setting WHERE name = 'conflicts'});
	sql(q{UPDATE dwh.version SET version = '0.1.0'});
	return;
}

my @groups = generate("$source/older");
my ($late) = splice @groups, 4, 1;
fresh_database();
deliver_all(\@groups, 1);
my $before = warehouse();
make_old();
sql(q{SELECT txpipe.on_load('sales_transactions', 'file', NULL), txpipe.on_load('sales_transactions', 'duplicates', 'SELECT FROM batch', 20)});
sql(qq{SELECT txpipe.on_load('$_', 'log', NULL), txpipe.on_load('$_', 'unchanged', 'SELECT FROM batch', 50)}) foreach 'branches', 'sales_agents';
sql('SELECT txpipe.create_warehouse()');
same_lines(without('lost', warehouse()), without('lost', $before), 'an older warehouse keeps what it has');
is(sql('SELECT version FROM dwh.version'), '0.2.0', 'and has the present version');
deliver_all([$late], 0);
my $expected = expected([ sort { $a->{hour} <=> $b->{hour} } @groups, $late ], 'first');
same_lines(without('lost|count|agent|branch|b2b', warehouse()) =~ s/^(fact(?:\t[^\t]*){4})(?:\t[^\t]*){2}/$1/gmr,
	without('lost|count|agent|branch|b2b', $expected) =~ s/^(fact(?:\t[^\t]*){4})(?:\t[^\t]*){2}/$1/gmr,
	'a late group finds its place among the sales of before');

# The ledger is gone, the warehouse is not: the same files again give what they gave, and the log of versions.
sql('DROP EXTENSION txpipe');
sql('CREATE EXTENSION txpipe');
sql('SELECT txpipe.create_warehouse()');
deliver_all([ shuffle @groups, $late ], 1);
same_lines(without('lost|count', warehouse()), without('lost|count', $expected), 'a new installation keeps its files apart from those of before');

# Sales whose files nobody knows follow a version that is withdrawn: in it is what holds then.
fresh_database();
my @sales = map { { %{ a_sale("t00$_", 0) }, online => 0, agent => 1, branch => 1 } } 1 .. 4;
foreach my $n (1 .. 3)
{
	my $what = $n == 2 ? 'B' : 'A';
	land_group("group$n", [ [ 1, "1,Town $what,2011-02-03,A" ] ], [ [ 1, "1,Agent $what,2018-05-13" ] ], $sales[ $n - 1 ]);
	run_hourly();
}
make_old();
sql("SELECT txpipe.drop_feed('$_')") foreach qw(branches sales_agents sales_transactions);
sql('SELECT txpipe.create_warehouse()');
land_group('group2', [ [ 2, "1,Town A,2011-02-03,A" ] ], [ [ 2, "1,Agent A,2018-05-13" ] ], $sales[3]);
run_hourly();
is(sql('SELECT string_agg(DISTINCT concat_ws($$ $$, state, reason), $$ $$) FROM txpipe.file'), 'loaded', 'what says that there was one version is loaded');
is(sql("SELECT count(*), string_agg(DISTINCT location, ' '), string_agg(DISTINCT name, ' ') FROM dwh.fact_sales
        JOIN dwh.dim_branch USING (branch_key) JOIN dwh.dim_sales_agent USING (sales_agent_key)"), '4|Town A|Agent A', 'all sales are in it');
is(sql('SELECT string_agg(item, $$, $$) FROM txpipe.check_warehouse() WHERE NOT ok'), '', 'and the warehouse is sound');

log_is_clean($node);
$node->stop;
done_testing();
