# Cleaning rules: what they reject, warn about and fix, counted here from the lines themselves.
use strict;
use warnings;

use List::Util qw(sum0);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node    = files_node('rules');

sub last_file
{
	return sql("SELECT max(file_id) FROM txpipe.file WHERE file_name = '$_[0]'");
}

# What the ledger counts of a file: "rule action rows", in order of the names.
sub counted
{
	my ($name) = @_;

	return sql("SELECT concat_ws(' ', rule, action, rows) FROM txpipe.file_rule WHERE file_id = " . last_file($name)
		  . q( ORDER BY rule COLLATE "C", action));
}

sub set_rule
{
	my ($rest) = @_;

	sql("SELECT txpipe.set_rule('orders', $rest)");
	return;
}

sub refuses
{
	my ($statement, $wanted, $name) = @_;
	my ($out, $err);

	$node->psql('postgres', $statement, stdout => \$out, stderr => \$err,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($err, $wanted, $name);
	return;
}

sql(<<'SQL');
CREATE ROLE feeder;
GRANT USAGE, CREATE ON SCHEMA public TO feeder;
GRANT USAGE ON SCHEMA txpipe TO feeder;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO feeder;
SET ROLE feeder;
CREATE TABLE public.kind (kind text);
INSERT INTO public.kind VALUES ('a'), ('b'), ('c');
CREATE TABLE public.orders (id integer, qty integer, price numeric(10,2), kind text, note text, email text);
SELECT txpipe.create_feed('orders', '(g[^/]*)/orders[^/]*\.csv', 'public.orders', columns => '{"id": "id",
    "qty": {"path": "qty", "as": "whole"}, "price": "price", "kind": "kind", "note": {"path": "note", "as": "trim"},
    "email": {"path": "email", "as": "email"}}', options => '{"batch_rows": 700}');
SQL

# --- what is no rule ---

my @no_rules = (
	[ 'true) OR (true',                       '22023|42601', 'an expression that leaves its parentheses' ],
	[ 'true) FROM batch; DROP TABLE kind; --', '22023|42601', 'a second statement' ],
	[ 'true) FROM batch WHERE (true',         '22023|42601', 'a condition of its own' ],
	[ 'true) UNION SELECT (true',             '22023|42601', 'a union' ],
	[ 'true /*',                              '42601',       'a comment that does not end' ],
	[ '/* */',                                '22023|42601', 'nothing but a comment' ],
	[ '',                                     '22023|42601', 'nothing at all' ],
	[ 'true, false',                          '22023',       'two values' ],
	[ 'true AS x',                            '22023',       'a name' ],
	[ 'DISTINCT true',                        '22023|42601', 'DISTINCT' ],
	[ 'qty',                                  '42804',       'an integer' ],
	[ 'count(*) > 1',                         '42803',       'an aggregate' ],
	[ 'row_number() OVER () > 1',             '42P20',       'a window function' ],
	[ 'generate_series(1, qty) > 1',          '0A000|42804', 'a function that returns rows' ],
	[ 'quantity < 1',                         '42703',       'an unknown column' ],
	[ 'qty < $1',                             '42P02',       'a parameter' ],
	[ 'kind IN (SELECT kind FROM kind)',      '42P01',       'a table without its schema' ]);
foreach my $case (@no_rules)
{
	refuses("SELECT txpipe.set_rule('orders', 'x', \$\$$case->[0]\$\$)", qr/ERROR:  (?:$case->[1])/, "$case->[2] is no rule");
}
refuses("SELECT txpipe.set_rule('orders', 'x', 'quantity < 1')", qr/rule "x" cannot be checked: column "quantity"/,
	'the error names the rule');
refuses("SELECT txpipe.set_rule('orders', 'x', 'qty < 1', 'fix')",                      qr/22023/, 'an unknown action');
refuses("SELECT txpipe.set_rule('orders', 'x', 'qty < 1', column_name => 'quantity')",  qr/42703/, 'an unknown column to blame');
refuses("SELECT txpipe.set_rule('orders', 'x', 'qty < 1', message => 'is {qty')",       qr/22023/, 'a brace that does not close');
refuses("SELECT txpipe.set_rule('orders', 'x', 'qty < 1', message => '{qty), (price}')", qr/22023|42601/, 'two values in a message');
refuses("SELECT txpipe.set_rule('orders', 'x', 'qty < 1', message => '{count(*)}')",    qr/42803/, 'an aggregate in a message');
refuses("SELECT txpipe.set_rule('none', 'x', 'qty < 1')",                               qr/42704/, 'an unknown feed');
refuses("SELECT txpipe.set_rule_action('orders', 'x', 'off')",                          qr/42704/, 'the action of an unknown rule');
refuses("SELECT txpipe.drop_rule('orders', 'x')",                                       qr/42704/, 'an unknown rule cannot be dropped');
sql('CREATE ROLE stranger; GRANT USAGE ON SCHEMA txpipe TO stranger; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO stranger');
refuses("SET ROLE stranger; SELECT txpipe.set_rule('orders', 'x', 'qty < 1')", qr/42501/, 'somebody else\'s feed');
is(sql("SELECT count(*) FROM txpipe.feed_rule WHERE kind = 'check'"), '0', 'none of these became a rule');

# --- rules at work ---

set_rule(q('bad_qty', 'qty < 1 -- at least one', column_name => 'qty', message => 'qty is {qty}, {{not}} 100% of {1 + 1}'));
set_rule(q('no_kind', 'kind NOT IN (SELECT k.kind FROM public.kind k)', ordinal => 150));
set_rule(q('ratio', '1000 / (qty - 13) = 1000', ordinal => 120));
set_rule(q('dear', 'price > 100', 'warn'));
set_rule(q('many', 'qty > 50 /* or so */', 'warn'));
set_rule(q('who', 'current_user <> ''feeder''', 'reject', ordinal => 1));
set_rule(q('idle', 'true', 'off'));
refuses("SELECT txpipe.set_rule('orders', 'late', 'true', ordinal => 150)", qr/22023.*belongs to rule "no_kind"/s,
	'an ordinal belongs to one rule');
is(sql(q(SELECT string_agg(concat_ws(' ', rule, ordinal, kind, action), ', ' ORDER BY ordinal, rule)
         FROM txpipe.feed_rule WHERE feed = 'orders')),
	'who 1 check reject, bad_qty 100 check reject, ratio 120 check reject, no_kind 150 check reject, dear 250 check warn, '
	  . 'many 350 check warn, idle 450 check off, email conversion fix, note conversion fix, qty conversion fix',
	'rules are listed in order, conversions as fixes');

# Counts a line as the rules say, in Perl; returns the line.
srand(59);
my (%expected, %code, $loaded);

sub line
{
	my ($no, $id) = @_;
	my $qty   = int(rand(65)) - 3;
	my $price = rand() < 0.1 ? '' : sprintf('%.2f', rand(130));
	my $kind  = rand() < 0.05 ? '' : (qw(a b c d))[ int(rand(4)) ];
	my $note  = (' n', 'n ', 'n', '   ', '')[ int(rand(5)) ];
	my $email = 'ada@gmail.com' . ('', ';', 'm')[ int(rand(3)) ];
	my $shown = rand() < 0.2 ? "$qty.0" : $qty;

	$expected{'qty fix'}++   if $shown ne $qty;
	$expected{'note fix'}++  if $note =~ / /;
	$expected{'email fix'}++ if $email ne 'ada@gmail.com';
	$code{$no} =
	    $qty < 1      ? 'bad_qty'
	  : $qty == 13    ? '22012'
	  : $qty == 14    ? 'ratio'
	  : $kind eq 'd'  ? 'no_kind'
	  :                 undef;
	if (defined $code{$no})
	{
		$expected{"$code{$no} reject"}++ if $code{$no} ne '22012';
	}
	else
	{
		$loaded++;
		$expected{'dear warn'}++ if $price ne '' && $price > 100;
		$expected{'many warn'}++ if $qty > 50;
	}
	return "$id,$shown,$price,$kind,$note,$email\n";
}

my $header = "id,qty,price,kind,note,email\n";
deliver('g1/orders.csv', $header . join '', map { line($_ + 1, $_) } 1 .. 3000);
run_hourly();
is(counted('g1/orders.csv'), join("\n", map { "$_ $expected{$_}" } sort keys %expected),
	'rejects, warnings and fixes are counted by rule');
is(sql('SELECT count(*) FROM orders'), $loaded, 'the others are loaded, warnings or not');
is(sql("SELECT string_agg(concat_ws(' ', line_no, code), ',' ORDER BY line_no) FROM txpipe.rejected_row"),
	join(',', map { "$_ $code{$_}" } grep { defined $code{$_} } sort { $a <=> $b } keys %code),
	'each rejected line has the code of the first rule in order');
is(sql("SELECT DISTINCT message || column_name FROM txpipe.rejected_row WHERE code = 'bad_qty' AND line LIKE '%,-2,%'"),
	'qty is -2, {not} 100% of 2qty', 'values of the row are in the message');
is(sql("SELECT DISTINCT message FROM txpipe.rejected_row WHERE code = 'no_kind'"), 'violates rule "no_kind"',
	'a rule without message has one');
is(sql("SELECT DISTINCT message FROM txpipe.rejected_row WHERE code = '22012'"), 'division by zero',
	'an expression that fails rejects its row with the SQLSTATE');

# --- changing them ---

sql("SELECT txpipe.set_rule_action('orders', 'no_kind', 'warn'), txpipe.set_rule_action('orders', 'ratio', 'off'),
            txpipe.set_rule_action('orders', 'idle', 'warn'), txpipe.drop_rule('orders', 'dear')");
set_rule(q('many', 'qty > 60'));
deliver('g2/orders.csv', $header . "1,13,1,d,,\n2,61,1,,,\n3,0,1,d,,\n4,2.0,much,a,,\n");
run_hourly();
is(counted('g2/orders.csv'), "bad_qty reject 1\nidle warn 2\nmany warn 1\nno_kind warn 1",
	'actions change; NULL violates nothing; a rejected line has no warnings, an unreadable one no fixes; a replaced rule keeps its action');

# --- a rule that cannot run ---

sql('ALTER TABLE kind RENAME TO kinds');
deliver('g3/orders.csv', $header . "1,1,1,a,,\n");
like(run_hourly(), qr/group "g3".*rule "no_kind" cannot be checked: relation "public.kind" does not exist.*42P01/,
	'a rule whose table is gone fails the group, by name');
is(sql("SELECT state FROM txpipe.file WHERE file_name = 'g3/orders.csv'"), 'failed', 'and the file is tried again');
sql('ALTER TABLE kinds RENAME TO kind; ALTER TABLE kind OWNER TO stranger; UPDATE txpipe.file_ledger SET retry_at = now()');
like(run_hourly(), qr/rule "no_kind" cannot be checked: permission denied for table kind/, 'rights are the owner\'s');
sql('ALTER TABLE kind OWNER TO feeder; UPDATE txpipe.file_ledger SET retry_at = now()');
run_hourly();
is(counted('g3/orders.csv'), 'idle warn 1', 'repaired, it loads');
set_rule(q('broken', '1 / length(note) > 5'));
deliver('g4/orders.csv', $header . join '', map { "$_,1,1,a,x,\n" } 1 .. 3);
deliver('g4/orders2.csv', $header . join '', map { "$_,1,1,a,,\n" } 4 .. 6);
run_hourly();
is(sql("SELECT string_agg(concat_ws(' ', state, rows_loaded, rows_rejected), ', ' ORDER BY file_name) FROM txpipe.file
        WHERE group_key = 'g4'"), 'loaded 3 0, loaded 3 0', 'NULL in an expression is no error');
sql("SELECT txpipe.drop_rule('orders', 'broken')");

# --- warnings of steps ---

sql(<<'SQL');
SELECT txpipe.on_load('orders', 'look', $$ SELECT line_no, 'warning', 'odd', NULL::text, NULL::text FROM batch WHERE id % 2 = 1 $$);
SELECT txpipe.on_load('orders', 'look_again', $$ SELECT line_no, 'warning', NULL::text, NULL::text, NULL::text FROM batch $$);
SQL
deliver('g5/orders.csv', $header . join '', map { "$_,1,1,a,,\n" } 1 .. 5);
run_hourly();
is(counted('g5/orders.csv'), "idle warn 5\nlook_again warn 5\nodd warn 3", 'a step may warn: by code, else by its name');
is(sql('SELECT count(*) FROM orders WHERE id <= 5 AND price = 1 AND kind = \'a\' AND note IS NULL AND email IS NULL'), '8',
	'and the lines stay');
sql(q(SELECT txpipe.on_load('orders', 'look', $$ SELECT line_no, 'warning', id::text, NULL::text, NULL::text FROM batch $$)));
deliver('g6/orders.csv', $header . join '', map { "$_,1,1,a,,\n" } 1 .. 1500);
like(run_hourly(), qr/more than 1000 different codes of warnings/, 'a step that warns with a code a line is stopped');
sql("SELECT txpipe.on_load('orders', 'look', NULL), txpipe.on_load('orders', 'look_again', NULL)");
sql("UPDATE txpipe.file_ledger SET retry_at = now()");
run_hourly();
is(counted('g6/orders.csv'), 'idle warn 1500', 'without it the file loads');

# --- rules of the retail feed ---

sql('SELECT txpipe.create_warehouse()');
sql(q(SELECT txpipe.on_load('sales_transactions', 'check', 'SELECT FROM batch', 5)));
sql('SELECT txpipe.create_warehouse()');
is(sql(q(SELECT 'check' = ANY (steps) FROM txpipe.feed_status WHERE feed = 'sales_transactions')), 'f',
	'the step that checked sales before there were rules is gone');
is(sql(q(SELECT string_agg(rule, ' ' ORDER BY ordinal) FROM txpipe.feed_rule WHERE feed = 'sales_transactions' AND kind = 'check')),
	'bad_units negative_price bad_price several_offers date_out_of_range unknown_payment_method online_with_branch '
	  . 'offline_without_branch offline_with_address absurd_units absurd_price', 'the retail feed has its rules');
sub sale
{
	my ($id, %o) = @_;

	$o{online} //= 'no';
	my $on = $o{online} eq 'yes';
	return join(',', $o{date} // '2023-5-20', $id, 7, 'Ada', 'Byron', 'ada@gmail.com', $o{agent} // ($on ? '' : 1),
		$o{branch} // ($on ? '' : 1), 9, 'Boots', 'Footwear', $o{offers} // ',,,,', $o{units} // 2, $o{price} // 5,
		$o{online}, $o{payment} // 'Cash', $o{address} // ($on ? '1 Elm/Reno/NV/89500' : ())) . "\n";
}

sub deliver_sales
{
	my ($group, @sales) = @_;

	deliver("$group/branches_SS_raw_1.csv", "branch_id,location,establish_date,class\n1,Reno,2010-1-1,A\n");
	deliver("$group/sales_agents_SS_raw_1.csv", "sales_person_id,name,hire_date\n1,Jo Rye,2019-1-1\n");
	deliver("$group/sales_transactions_SS_raw_1.csv", 'transaction_date,transaction_id,customer_id,customer_fname,'
		  . 'customer_lname,customer_email,sales_agent_id,branch_id,product_id,product_name,product_category,offer_1,offer_2,'
		  . "offer_3,offer_4,offer_5,units,unit_price,is_online,payment_method,shipping_address\n" . join '', @sales);
	run_hourly();
	return;
}

deliver_sales('s1', sale('a1'), sale('a2', online => 'yes'), sale('a3', units => 0), sale('a4', price => -1, units => 0),
	sale('a5', price => '-0.01'), sale('a6', offers => 'yes,,,,True'), sale('a7', date => '1999-12-31'),
	sale('a8', payment => 'Barter'), sale('a9', payment => ''), sale('b1', online => 'yes', branch => 1),
	sale('b2', agent => ''), sale('b3', address => '1 Elm/Reno/NV/89500', payment => 'Shells'),
	sale('b4', units => 20000), sale('b5', price => 200000, units => 20001), sale('b6', units => 0, payment => 'Barter'),
	sale('b7', price => 'NaN'));
my $checked = counted('s1/sales_transactions_SS_raw_1.csv') =~ s/^\S+ fix \d+\n?//mgr;
is($checked, "absurd_price warn 1\nabsurd_units warn 2\nbad_price reject 1\nbad_units reject 3\ndate_out_of_range reject 1\n"
	  . "negative_price reject 1\noffline_with_address warn 1\noffline_without_branch warn 1\nonline_with_branch warn 1\n"
	  . "several_offers reject 1\nunknown_payment_method warn 2\n" =~ s/\n$//r, 'they reject and warn');
is(sql("SELECT string_agg(message, '; ' ORDER BY line_no) FROM txpipe.rejected_row JOIN txpipe.file USING (file_id)
        WHERE feed = 'sales_transactions' AND code <> 'date_out_of_range'"),
	'units must be at least 1, not 0; units must be at least 1, not 0; unit_price must not be negative, but is -0.01; '
	  . 'a sale may redeem one offer, this one has 2; units must be at least 1, not 0; '
	  . 'unit_price must be a number, not NaN', 'and say why');

# A file of which nothing was loaded can be taken back, too.
deliver_sales('s0', sale('d1', units => 0));
is(sql(q{SELECT txpipe.unload(file_id), txpipe.reload(file_id) FROM txpipe.file WHERE group_key = 's0' AND feed = 'sales_transactions'}), '|',
	'a file without a good line is unloaded and loaded again');
is(sql(q{SELECT state, rows_rejected FROM txpipe.file WHERE group_key = 's0' AND feed = 'sales_transactions'}), 'loaded_with_rejects|1',
	'with what it had');

sql(q(UPDATE dwh.setting SET value = 'first' WHERE name = 'several_offers';
      UPDATE dwh.setting SET value = '1990-01-01' WHERE name = 'earliest_date'));
sql("SELECT txpipe.set_rule_action('sales_transactions', 'unknown_payment_method', 'reject'),
            txpipe.set_rule('sales_transactions', 'absurd_units', 'units > 100')");
sql('SELECT txpipe.create_warehouse()');
deliver_sales('s2', sale('c1', offers => 'yes,,,,True'), sale('c2', date => '1999-12-31'), sale('c3', payment => 'Barter'),
	sale('c4', units => 101));
$checked = counted('s2/sales_transactions_SS_raw_1.csv') =~ s/^\S+ fix \d+\n?//mgr;
is($checked, "absurd_units warn 1\nunknown_payment_method reject 1",
	'settings count, and rules that were changed stay so when create_warehouse() is called again');

# --- limits ---

sub limited
{
	my ($feed, $options) = @_;

	sql(<<"SQL");
CREATE TABLE $feed (id integer CHECK (id <> 500), file_id bigint);
SELECT txpipe.create_feed('$feed', '(l[^/]*)/$feed.*\.csv', '$feed', columns => '{"id": "id"}', group_name => 'limited',
    options => '{"batch_rows": 100, $options}');
SELECT txpipe.set_rule('$feed', 'negative', 'id < 0');
SQL
	return;
}

sub states
{
	return sql("SELECT string_agg(concat_ws(' ', file_name, state, rows_read, rows_loaded, rows_rejected), E'\\n' ORDER BY file_name)
	            FROM txpipe.file WHERE file_name LIKE '$_[0]/%'");
}

# So many lines that cannot be read, break a rule or a constraint, and good ones behind them.
sub numbers
{
	my ($unreadable, $broken, $refused, $good) = @_;

	return "id\n" . ("x\n" x $unreadable) . ("-1\n" x $broken) . ("500\n" x $refused) . join '', map { "$_\n" } 1 .. $good;
}

sql(q(CREATE TABLE plain (id integer); SELECT txpipe.create_feed('plain', '(p)/.*', 'plain', columns => '{"id": "as"}')));
is(sql("SELECT count(*) FROM txpipe.feed_rule WHERE feed = 'plain'"), '0', 'a field named "as" is no conversion');
limited('few',  '"reject_limit": 10');
limited('part', '"reject_percent": 5');
limited('free',  '"ordinal": 5');
deliver('l1/few.csv',  numbers(4, 3, 3, 490));
deliver('l1/part.csv', numbers(5, 5, 5, 285));
deliver('l1/free.csv',  numbers(5, 5, 5, 10));
run_hourly();
is(states("l1"), "l1/few.csv loaded_with_rejects 500 490 10\nl1/free.csv loaded_with_rejects 25 10 15\nl1/part.csv loaded_with_rejects 300 285 15",
	'at their limits files are loaded');
deliver('l2/few.csv',  numbers(4, 3, 4, 489));
deliver('l2/part.csv', numbers(120, 80, 0, 100));
deliver('l2/free.csv',  numbers(0, 0, 0, 1));
my $warning = run_hourly();
like($warning, qr{WARNING:  file "l2/few.csv" is rejected: 11 of the first 100 records are rejected, reject_limit is 10},
	'over the limit a file is rejected at once');
like($warning, qr{WARNING:  file "l2/part.csv" is rejected: 200 of 300 records are rejected, reject_percent is 5},
	'and over a share at its end');
is(states('l2'), "l2/few.csv rejected 100 0 11\nl2/free.csv loaded 1 1 0\nl2/part.csv rejected 300 0 200",
	'the other files of the group go on');
is(sql('SELECT count(*) FROM few') . ' ' . sql('SELECT count(*) FROM part'), '490 285', 'nothing of them is loaded');
is(sql("SELECT string_agg(n::text, ' ' ORDER BY file_name) FROM (SELECT file_name, count(*) AS n FROM txpipe.rejected_row
        JOIN txpipe.file USING (file_id) WHERE group_key = 'l2' GROUP BY file_name) r"), '11 100', 'at most 100 lines of them are kept');
is(counted('l2/few.csv'), '', 'they count for no rule');
sql("SELECT txpipe.set_rule_action('few', 'negative', 'off')");
sql('SELECT txpipe.reload(' . last_file('l2/few.csv') . ')');
is(states('l2') =~ s/\n.*//sr, 'l2/few.csv loaded_with_rejects 500 492 8', 'with other rules it is reloaded');
is(sql('SELECT count(*), count(DISTINCT file_id) FROM few'), '982|2', 'its rows are there');
is(sql("SELECT count(*) FROM txpipe.rejected_row WHERE file_id = " . last_file('l2/few.csv')), '8', 'and its lines as now rejected');

# --- what a file would do ---

my $everything = 'SELECT (SELECT count(*) FROM few), (SELECT count(*) FROM free), (SELECT count(*) FROM txpipe.rejected_row),
    (SELECT count(*) FROM txpipe.file), (SELECT count(*) FROM txpipe.file_rule)';
sql(q(SELECT txpipe.on_load('free', 'steps', $$ SELECT line_no, CASE WHEN id = 7 THEN 'duplicate' WHEN id = 8 THEN 'superseded'
          ELSE 'warning' END, 'seen', NULL::text, NULL::text FROM batch WHERE id BETWEEN 7 AND 9 $$)));
my $before = sql($everything);
deliver('l3/free.csv', numbers(1, 1, 2, 120) . "caf\xe9\n");
my ($out, $err);
$node->psql('postgres', "SELECT line_no, outcome, code, column_name, line FROM txpipe.validate_file('l3/free.csv')",
	stdout => \$out, stderr => \$err);
is($out, join("\n", '2|rejected|bad_value|id|x', '3|rejected|negative||-1', '4|rejected|23514||500', '5|rejected|23514||500',
	'12|duplicate|||7', '13|superseded|||8', '126|rejected|bad_value|id|caf\351'),
	'validate_file lists the lines that would not be loaded');
like($err, qr/NOTICE:  of 125 records 118 would be loaded, 1 are duplicate, 0 filtered, 1 superseded, 5 rejected/, 'says what would happen');
like($err, qr/DETAIL:  reject negative: 1, warn seen: 1\./, 'and what the rules met');
is(sql($everything), $before, 'and leaves no trace');
is(sql("SELECT count(*) FROM txpipe.file WHERE file_name = 'l3/free.csv'"), '0', 'the ledger does not know the file');
deliver('l3/few.csv', numbers(2000, 0, 0, 5));
$node->psql('postgres', "SELECT count(*) FROM txpipe.validate_file('l3/few.csv')", stdout => \$out, stderr => \$err);
is($out, '1000', 'at most 1000 lines');
like($err, qr/2000 rejected.*nothing would be loaded: 2000 of 2005 records are rejected, reject_limit is 10/s, 'and what the limits say');
refuses("SELECT * FROM txpipe.validate_file('../landing/l3/free.csv')",  qr/58P01/, 'no path leads out of the landing directory');
refuses("SELECT * FROM txpipe.validate_file('l3')",                     qr/58P01/, 'a folder is no file');
deliver('l3/other.txt', 'x');
refuses("SELECT * FROM txpipe.validate_file('l3/other.txt')",           qr/42704/, 'a file of no feed');
refuses("SET ROLE stranger; SELECT * FROM txpipe.validate_file('l3/free.csv')", qr/42704/, 'a feed of somebody else');
deliver('l4/free.csv', "number\n1\n");
refuses("SELECT * FROM txpipe.validate_file('l4/free.csv')",             qr/22P04/, 'what would fail fails');
deliver('s3/sales_transactions_SS_raw_1.csv', 'transaction_date,transaction_id,customer_id,customer_fname,'
	  . 'customer_lname,customer_email,sales_agent_id,branch_id,product_id,product_name,product_category,offer_1,offer_2,'
	  . "offer_3,offer_4,offer_5,units,unit_price,is_online,payment_method,shipping_address\n"
	  . sale('a1') . sale('a1', units => 3) . sale('d1') . sale('d2', units => 0) . sale('d1', date => '2031-1-1'));
$before = sql('SELECT (SELECT count(*) FROM dwh.fact_sales), (SELECT count(*) FROM dwh.sale_key), (SELECT count(*) FROM dwh.dim_date)');
is(sql("SELECT string_agg(concat_ws(' ', line_no, outcome, code), ', ' ORDER BY line_no)
        FROM txpipe.validate_file('s3/sales_transactions_SS_raw_1.csv') WHERE line_no <> 3"), '2 duplicate, 5 rejected bad_units, '
	  . '6 rejected date_out_of_range', 'a retail file is compared with what is in the warehouse');
is(sql('SELECT (SELECT count(*) FROM dwh.fact_sales), (SELECT count(*) FROM dwh.sale_key), (SELECT count(*) FROM dwh.dim_date)'),
	$before, 'which stays as it is');

# The caller's own transaction: what it has deferred is checked before the file, and is deferred as before.
sql(<<'SQL');
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (id integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE fired (id integer);
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.fired VALUES (NEW.id); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON parent DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fire();
SQL
my $validate = q{SELECT count(*) FROM txpipe.validate_file('l3/free.csv')};
is($node->safe_psql('postgres', "BEGIN; INSERT INTO parent VALUES (1); $validate; SELECT count(*) FROM fired; INSERT INTO child VALUES (2);
	INSERT INTO parent VALUES (2); COMMIT; SELECT count(*), sum(id) FROM fired"), "7\n0\n2|3",
	'a transaction goes on behind validate_file as if it had not been called');
refuses("BEGIN; INSERT INTO child VALUES (3); $validate", qr/23503/, 'but what would not let it commit is found');

# --- rules are changed while groups load ---

# Loads lock the feeds of a group in the order of their numbers. This is one in the middle of that.
my $load = $node->background_psql('postgres');
foreach my $call (q{set_rule('free', 'late', 'id = 77')}, q{set_rule_action('free', 'late', 'warn')}, q{drop_rule('free', 'late')},
	q{on_load('free', 'steps', NULL)})
{
	$load->query_safe("BEGIN; SELECT feed FROM txpipe.feed WHERE feed = 'few' FOR NO KEY UPDATE");
	is(sql("SET lock_timeout = '60s'; SELECT txpipe.rule_statement('free') IS NOT NULL"), 't', 'rules can be read');
	my $session = start_sql("SELECT txpipe.$call");
	wait_for($node, "SELECT coalesce(bool_and(wait_event_type = 'Lock'), true) FROM pg_stat_activity WHERE query LIKE 'SELECT txpipe.%'
		AND state = 'active'", "$call waits for the load");
	$load->query_safe("SELECT feed FROM txpipe.feed WHERE feed = 'free' FOR NO KEY UPDATE");
	$load->query_safe('COMMIT');
	$session->{run}->finish;
	is($session->{err}, '', '... which it does not hinder');
}
$load->quit;

# --- who sees what was rejected ---

sql('CREATE ROLE narrow; GRANT USAGE ON SCHEMA txpipe TO narrow; GRANT SELECT ON orders TO narrow');
my $seen = 'SET ROLE narrow; SELECT count(*) > 0 FROM txpipe.rejected_row JOIN txpipe.file USING (file_id)';
is(sql($seen), 't', 'who may read the target sees what was rejected of it');
sql('ALTER TABLE orders ENABLE ROW LEVEL SECURITY');
is(sql($seen), 'f', 'but not who may read some of its rows only');

log_is_clean($node, qr/ERROR:/);
$node->stop;
done_testing();
