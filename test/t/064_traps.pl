# Every trap of the retail case: what goes wrong with its deliveries, in small files written here, against values
# written by hand or added up here.
#
# TXPIPE_TEST_SEED: of the orders of arrival; printed.

use strict;
use warnings;

use File::Path qw(make_path remove_tree);
use IPC::Run;
use List::Util qw(shuffle sum0);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeRetail;
use TxpipeTest qw(error_of log_is_clean wait_for wait_until);

my $node = retail_node('traps');
my $base = $node->basedir;
my $group = 0;

# --- files ---

my @columns = (
	qw(transaction_date transaction_id customer_id customer_fname cusomter_lname cusomter_email sales_agent_id branch_id),
	qw(product_id product_name product_category offer_1 offer_2 offer_3 offer_4 offer_5 units unit_price is_online),
	qw(payment_method shipping_address));
my @branches = ([ 1, 'Austin', '2010-1-5', 'A' ], [ 2, 'Boston', '2011-12-24', 'B' ]);
my @agents = ([ 1, 'Ann Lee', '2019-3-1' ], [ 2, 'Bob Ray', '2020-10-31' ]);

# A branch sale but for what differs; a reference is the field as it stands in the file.
sub sale
{
	my ($id, %differs) = @_;

	return {
		transaction_date => '2023-5-20', transaction_id => $id, customer_id => 85001, customer_fname => 'Emma',
		customer_lname => 'Brown', customer_email => 'emma.brown@gmail.com', sales_agent_id => 1, branch_id => 1,
		product_id => 1, product_name => 'Laptop', product_category => 'Electronics', units => 2, unit_price => '9.99',
		is_online => '', payment_method => 'Cash', shipping_address => '', %differs };
}

sub online
{
	my ($id, %differs) = @_;

	return sale($id, is_online => 'True', sales_agent_id => '', branch_id => '',
		shipping_address => '12 Elm Road/Salem/OR/97301', %differs);
}

sub field
{
	my ($value) = @_;

	return '' unless defined $value;
	return $$value if ref $value;
	return $value =~ /[",\r\n]/ ? '"' . $value =~ s/"/""/gr . '"' : $value;
}

# Lines of CSV, those that are texts as they are; the empty fields at the end of a line are left out.
sub csv
{
	my ($columns, $rows, %opt) = @_;
	my @lines = join ',', @$columns;

	foreach my $row (@$rows)
	{
		my @fields = ref $row eq 'ARRAY' ? map { field($_) } @$row
		  : ref $row ? map { field($row->{s/^cusomter/customer/r}) } @$columns : $row;
		pop @fields while @fields && $fields[-1] eq '';
		push @lines, join ',', @fields;
	}
	return ($opt{bom} ? "\xef\xbb\xbf" : '') . join $opt{eol} // "\n", @lines, $opt{cut} ? () : '';
}

sub sales_csv
{
	my ($sales, %opt) = @_;

	return csv($opt{columns} // \@columns, $sales, %opt);
}

# Lands the three files of the next group, as rows or as texts, but for those that are 0; returns its number.
sub land_group
{
	my ($sales, %files) = @_;
	my ($branches, $agents) = map { $files{$_} // ($_ eq 'branches' ? \@branches : \@agents) } qw(branches agents);
	my $n = $files{number} // ++$group;
	my %text = (
		branches => ref $branches ? csv([qw(branch_id location establish_date class)], $branches) : $branches,
		sales_agents => ref $agents ? csv([qw(sales_person_id name hire_date)], $agents) : $agents,
		sales_transactions => ref $sales ? sales_csv($sales) : $sales);

	foreach my $feed (sort keys %text)
	{
		land("group$n/${feed}_SS_raw_$n.csv", $text{$feed}) if $text{$feed};
	}
	return $n;
}

sub load
{
	my $n = land_group(@_);

	run_hourly();
	return $n;
}

# --- what became of them ---

# Every sale with what it is joined to: a join that multiplies or loses sales is seen.
my $view = <<'SQL';
CREATE VIEW public.sale AS
SELECT f.transaction_id AS id, f.transaction_date AS day, p.product_id, p.product_name, p.product_category,
       c.customer_id, c.first_name, c.last_name, c.email, a.sales_agent_id AS agent_id, a.name AS agent, a.hire_date,
       b.branch_id, b.location AS branch, b.class, f.street, l.city, l.state, f.postal_code, o.offer_code AS offer,
       f.discount_pct, f.units, f.unit_price, f.gross_amount, f.total_paid, f.is_online, f.payment_method,
       f.customer_key, f.sales_agent_key, f.branch_key, f.location_key, s.group_key, f.line_no
FROM dwh.fact_sales f JOIN dwh.dim_product p USING (product_key) JOIN dwh.dim_customer c USING (customer_key)
JOIN dwh.dim_sales_agent a USING (sales_agent_key) JOIN dwh.dim_branch b USING (branch_key)
JOIN dwh.dim_location l USING (location_key) JOIN dwh.dim_offer o USING (offer_key)
JOIN dwh.source_file s USING (file_id) JOIN dwh.sale_key k USING (transaction_id, transaction_date, file_id, line_no)
SQL

sub warehouse
{
	my ($name) = @_;

	remove_tree("$base/landing", { keep_root => 1 });
	fresh_database($name);
	sql($view);
	return;
}

# Rows of a query against lines written here.
sub rows_are
{
	my ($query, $lines, $name) = @_;

	is(sql($query), join("\n", @$lines), $name);
	return;
}

# Columns of the sales whose ids begin so, by id.
sub sales_are
{
	my ($ids, $columns, $lines, $name) = @_;

	rows_are("SELECT $columns FROM public.sale WHERE id LIKE '$ids%' ORDER BY id COLLATE \"C\"", $lines, $name);
	return;
}

# Rejected lines of a group's sales: number and code.
sub rejects_are
{
	my ($n, $lines, $name) = @_;

	rows_are(qq{SELECT r.line_no || ' ' || r.code FROM txpipe.rejected_row r JOIN txpipe.file f USING (file_id)
	            WHERE f.group_key = 'group$n' AND f.feed = 'sales_transactions' ORDER BY r.line_no}, $lines, $name);
	return;
}

# Counts of a group's file of sales: read, loaded, duplicate, superseded, rejected.
sub counts_are
{
	my ($n, $counts, $name) = @_;

	is(sql(qq{SELECT concat_ws(' ', rows_read, rows_loaded, rows_duplicate, rows_superseded, rows_rejected)
	          FROM txpipe.file WHERE group_key = 'group$n' AND feed = 'sales_transactions' ORDER BY file_id DESC LIMIT 1}), $counts, $name);
	return;
}

# feed:state of a group's files.
sub states
{
	my ($n) = @_;

	return sql(qq{SELECT string_agg(feed || ':' || state, ' ' ORDER BY feed, file_id) FROM txpipe.file WHERE group_key = 'group$n'});
}

# Warnings of a group's file of sales, rule and rows.
sub warnings_are
{
	my ($n, $text, $name) = @_;

	is(sql(qq{SELECT string_agg(r.rule || ':' || r.rows, ' ' ORDER BY r.rule COLLATE "C") FROM txpipe.file_rule r JOIN txpipe.file f USING (file_id)
	          WHERE f.group_key = 'group$n' AND f.feed = 'sales_transactions' AND r.action = 'warn'}), $text, $name);
	return;
}

warehouse('retail');

# --- the traps ---

subtest '1.1 ragged rows' => sub {
	my $text = sales_csv([ sale('a1'), online('a2'), sale('a3', units => 5), online('a4') ]);
	my $fields = join ' ', map { tr/,// + 1 } split /\n/, $text;

	is($fields, '21 20 21 20 21', 'branch sales have 20 fields of 21');
	append_to_file("$base/plain.csv", $text);
	sql('CREATE TABLE plain (' . join(', ', map { "$_ text" } @columns) . ')');
	my $error = error_of($node, "COPY plain FROM '$base/plain.csv' (FORMAT csv, HEADER)", db => 'retail');
	like($error->{text}, qr/missing data for column "shipping_address".*plain, line 2/s, 'COPY stops at line 2');

	my ($whole) = $text =~ /\n(.*a1.*)\n/;
	my $n = load($text . "$whole,\n" =~ s/a1/a5/r . "2023-5-20,a6,85001\n" . "$whole,,,\n" =~ s/a1/a7/r . "$whole\n" =~ s/a1/a8/r);
	sales_are('a', 'id, units, city, line_no', [ 'a1|2|(offline)|2', 'a2|2|Salem|3', 'a3|5|(offline)|4', 'a4|2|Salem|5',
			'a5|2|(offline)|6', 'a8|2|(offline)|9' ], 'all of them are loaded, with or without the last comma');
	rejects_are($n, [ '7 missing_value', '8 extra_field' ],
		'a row too short for a sale is rejected, and one with more fields than the header');
};

subtest '1.2 header spelling and column order' => sub {
	my @spelled = (
		[@columns],
		[ map { s/^cusomter/customer/r } @columns ],
		[ map { s/^customer_/cusomter_/r } grep { $_ ne 'customer_id' } @columns ],
		[ reverse @columns ],
		[ map { $_ eq 'sales_agent_id' ? 'sales_person_id' : $_ } @columns[ 20, 3 .. 12, 0 .. 2, 13 .. 19 ] ],
		[ map { qq("$_") } @columns ]);
	push @{ $spelled[2] }, 'customer_id';

	foreach my $i (0 .. $#spelled)
	{
		my %sale = %{ online("b$i", transaction_date => '2023-5-21', customer_id => 85002, offer_3 => 'True', units => 4,
			sales_agent_id => 2, branch_id => 1) };
		my @names = @{ $spelled[$i] };
		my @values = map { s/"//gr =~ s/^cusomter/customer/r =~ s/sales_person_id/sales_agent_id/r } @names;
		land_group(csv(\@names, [ [ @sale{@values} ] ]),
			branches => csv([qw(class establish_date branch_id location)], [ map { [ @$_[ 3, 2, 0, 1 ] ] } @branches ]),
			agents => csv([ $i % 2 ? qw(hire_date sales_agent_id name) : qw(hire_date sales_person_id name) ],
				[ map { [ @$_[ 2, 0, 1 ] ] } @agents ]));
	}
	run_hourly();
	sales_are('b', q{id, day, customer_id, first_name, last_name, email, agent_id, agent, branch_id, branch, product_id,
	                 product_name, product_category, offer, units, unit_price, is_online, payment_method, street, postal_code},
		[ map { "b$_|2023-05-21|85002|Emma|Brown|emma.brown\@gmail.com|2|Bob Ray|1|Austin|1|Laptop|Electronics|offer_3|4|9.99|t|Cash|12 Elm Road|97301" }
			0 .. $#spelled ], 'columns go by their names and aliases, not by their places');
	my $n = load(csv([ map { s/^cusomter_lname/customer_name/r } @columns ], [ map { sale($_) } 'n41', 'n42' ]));
	rows_are(qq{SELECT rule, rows FROM txpipe.file_rule JOIN txpipe.file USING (file_id)
	            WHERE group_key = 'group$n' AND feed = 'sales_transactions' AND action = 'absent'},
		['last_name|2'], 'a column that no name of the header fills is reported');

	my @landed = (land_group([ sale('n51') ]), land_group(csv([ grep { $_ ne 'units' } @columns ], [ sale('n52') ])), land_group([ sale('n53') ]));
	run_hourly();
	is(join(' ', map { states($_) =~ /sales_transactions:(\w+)/ } @landed), 'loaded failed loaded',
		'a header without a required column fails its group, and no other');
	like(sql(q{SELECT reason FROM txpipe.file WHERE feed = 'sales_transactions' AND state = 'failed'}), qr/header has no field "units"/,
		'and says why');
	unlink glob "$base/landing/group$landed[1]/*";
	run_hourly();
};

subtest '1.3 LF, CRLF and a byte-order mark' => sub {
	my @lines;

	foreach my $i (0 .. 7)
	{
		my %opt = (eol => $i & 1 ? "\r\n" : "\n", bom => $i & 2, cut => $i & 4);

		land_group(sales_csv([ online("c${i}1"), sale("c${i}2", sales_agent_id => 30 + $i, branch_id => 30 + $i) ], %opt),
			branches => csv([qw(branch_id location establish_date class)], [ [ 30 + $i, 'Reno', '2012-2-29', 'C' ] ], %opt),
			agents => csv([qw(sales_person_id name hire_date)], [ [ 30 + $i, 'Cy Poe', '2021-7-4' ] ], %opt));
		push @lines, "c${i}1|2023-05-20||||97301|Cash", "c${i}2|2023-05-20|2021-07-04|Reno|C||Cash";
	}
	run_hourly();
	sales_are('c', q{id, day, hire_date, nullif(branch, '(online)'), class, postal_code, payment_method}, \@lines,
		'the first and the last field of each line are what they are, with and without a last line end');
};

subtest '1.4 dates, ids and booleans' => sub {
	my @dates = ([ '2023-5-2', '2023-05-02' ], [ '2022-12-3', '2022-12-03' ], [ '2023-1-31', '2023-01-31' ],
		[ '2022-06-30', '2022-06-30' ]);
	my @flags = ([ 'True', 't' ], [ '', 'f' ], [ 'yes', 't' ], [ 'no', 'f' ], [ 'False', 'f' ], [ 'TRUE', 't' ]);
	my @sales = map { sale("d1$_", transaction_date => $dates[$_][0], customer_id => '85004.0', sales_agent_id => '2.0', branch_id => '1.0',
			product_id => '1.0', units => '3.0') } 0 .. $#dates;
	push @sales, map { sale("d2$_", is_online => $flags[$_][0], offer_2 => $flags[$_][0]) } 0 .. $#flags;
	push @sales, sale('d31', transaction_date => '2023-2-29'), sale('d32', transaction_date => '20-5-2023'),
		sale('d33', customer_id => '85004.5'),
	  sale('d34', units => 'two'), sale('d35', is_online => 'maybe'), sale('d36', offer_1 => '2');

	my $n = load(\@sales, branches => [ [ '1.0', 'Austin', '2010-01-5', 'A' ] ], agents => [ [ '2.0', 'Bob Ray', '2020-10-31' ] ]);
	sales_are('d1', 'id, day, customer_id, agent, branch, product_id, units',
		[ map { "d1$_|$dates[$_][1]|85004|Bob Ray|Austin|1|3" } 0 .. $#dates ], 'days and months need no zero, 2.0 is 2');
	sales_are('d2', 'id, is_online, offer', [ map { "d2$_|$flags[$_][1]|" . ($flags[$_][1] eq 't' ? 'offer_2' : 'none') } 0 .. $#flags ],
		'True or nothing, yes and no');
	is(sql('SELECT count(*) FROM dwh.dim_branch WHERE branch_id = 1') . sql('SELECT count(*) FROM dwh.dim_sales_agent WHERE sales_agent_id = 2'),
		'11', 'members said in another way are no new versions');
	rows_are(qq{SELECT line_no, column_name FROM txpipe.rejected_row JOIN txpipe.file USING (file_id) WHERE group_key = 'group$n' ORDER BY 1},
		[ '12|transaction_date', '13|transaction_date', '14|customer_id', '15|units', '16|is_online', '17|offer_1' ],
		'what is no date, number or boolean is rejected');
};

subtest '1.5 junk behind e-mail addresses' => sub {
	my @junk = ('', '#4r', ';', '\\', q{'}, '"', 'm', '|', '""', '.com', ' ');
	my (@sales, $i);

	foreach my $domain (qw(gmail yahoo outlook hotmail))
	{
		push @sales, map { sale(sprintf('e1%02d', ++$i), customer_id => 85005, customer_email => "ann.combs\@$domain.com$_") } @junk;
	}
	push @sales, sale('e21', customer_lname => \ 'Brown\\', payment_method => \ 'Ca\\sh'),
	  online('e22', shipping_address => '1 "Old" Road\\/Salem/OR/97301', product_category => \ '\\N'), '\\.',
		sale('e23', customer_lname => q{O'Neil});
	my $n = load(\@sales);
	is(sql(q{SELECT count(*) FROM public.sale WHERE id LIKE 'e1%'}), 44, 'no address is too dirty');
	rows_are('SELECT email, (SELECT count(*) FROM public.sale s WHERE s.customer_key = c.customer_key) FROM dwh.dim_customer c
	          WHERE customer_id = 85005 ORDER BY 1', [ map { "ann.combs\@$_.com|11" } sort qw(gmail yahoo outlook hotmail) ],
		'one person for each clean address');
	sales_are('e2', 'id, last_name, payment_method, street, product_category',
		[ 'e21|Brown\\|Ca\\sh||Electronics', 'e22|Brown|Cash|1 "Old" Road\\|\\N', q{e23|O'Neil|Cash||Electronics} ],
			'backslash and quote are data');
	rejects_are($n, ['48 missing_value'], 'and \\. does not end the data');
};

subtest '1.6 a group is sent again under a later number' => sub {
	my @sales = ([ map { sale("f1$_", units => $_) } 1 .. 4 ], [ map { sale("f2$_", units => $_) } 1 .. 3 ]);
	my ($first, $second, $third) = map { land_group($sales[$_]) } 0, 1, 0;

	run_hourly();
	is(states($second), 'branches:loaded sales_agents:loaded sales_transactions:loaded',
		'a group is complete with files that were there before');
	is(states($third), 'branches:loaded sales_agents:loaded sales_transactions:duplicate', 'the same sales are in the ledger');
	sales_are('f', 'id, units, group_key', [ (map { "f1$_|$_|group$first" } 1 .. 4), map { "f2$_|$_|group$second" } 1 .. 3 ],
		'and count once');
	is(sql(qq{SELECT sum(rows_loaded) FROM txpipe.file WHERE group_key IN ('group$second', 'group$third') AND feed <> 'sales_transactions'}),
		0, 'what is said again of branches and agents is no news');
};

subtest '1.7 customer ids are given again' => sub {
	my @people = ([qw(Emma Brown emma.brown@gmail.com)], [qw(Noah Moore noah.moore@yahoo.com)],
		[qw(Emma Brown emma.brown@yahoo.com)], [qw(Emma Brown emma.brown@gmail.comm)]);
	my @lines;

	foreach my $i (0 .. $#people)
	{
		my ($first, $last, $email) = @{ $people[$i] };
		land_group([ map { sale("g$i$_", customer_id => 85007, customer_fname => $first, customer_lname => $last,
			customer_email => $email) } 1, 2 ]);
		push @lines, map { "g$i$_|$first $last|" . $email =~ s/comm$/com/r } 1, 2;
	}
	run_hourly();
	sales_are('g', q{id, first_name || ' ' || last_name, email}, \@lines, 'each sale has its person, once');
	is(sql('SELECT count(*) FROM dwh.dim_customer WHERE customer_id = 85007'), 3, 'who is id, names and address together');
	is(sql(q{SELECT count(DISTINCT customer_key) FROM public.sale WHERE id LIKE 'g0%' OR id LIKE 'g3%'}), 1,
		'one who comes back is no new one');
};

subtest '1.8 addresses in one field' => sub {
	my @addresses = (
		[ '12 1/2 Elm Road/Salem/OR/97301',         '12 1/2 Elm Road|Salem|OR|97301' ],
		[ 'Unit 3/4/5/Salem/MA/01970',              'Unit 3/4/5|Salem|MA|01970' ],
		[ '9 Oak Street//MA/02134',                 '9 Oak Street|(unknown)|MA|02134' ],
		[ '1 Main Street/Springfield/IL/62701',     '1 Main Street|Springfield|IL|62701' ],
		[ '1 Main Street/Springfield/MA/01103',     '1 Main Street|Springfield|MA|01103' ],
		[ 'Suite 5, 9 Oak Street/Reno/NV/00501',    'Suite 5, 9 Oak Street|Reno|NV|00501' ],
		[ ' 7 Ash Lane / Reno / NV / 89501 ',       '7 Ash Lane|Reno|NV|89501' ]);
	# Each the double of the one before: 0.99, 1.98, 3.96 …
	my @sales = map { online("h1$_", transaction_date => '2022-8-8', units => 2**$_, unit_price => '0.99',
		shipping_address => $addresses[$_][0]) } 0 .. $#addresses;
	my $n = load([ @sales, online('h2', shipping_address => 'Springfield'), online('h3', shipping_address => 'Salem/OR/97301') ]);

	sales_are('h1', 'street, city, state, postal_code', [ map { $_->[1] } @addresses ],
		'the street may have slashes, the city may be missing, the postal code is text');
	rejects_are($n, [ '9 bad_value', '10 bad_value' ], 'what is no address is rejected');
	rows_are(q{SELECT rank, city, state, orders, units, total_paid FROM txpipe.lowest_online_cities('2022-08-08', '2022-08-08')},
		[ '1|Salem|OR|1|1|0.9900', '2|Salem|MA|1|2|1.9800', '3|(unknown)|MA|1|4|3.9600', '4|Springfield|IL|1|8|7.9200',
		  '5|Springfield|MA|1|16|15.8400', '6|Reno|NV|2|96|95.0400' ], 'cities are told apart by their states');
};

subtest '1.9 online and branch sales' => sub {
	my $n = load([ online('i1', transaction_date => '2022-8-9'), sale('i2', transaction_date => '2022-8-9'),
		online('i3', sales_agent_id => 1, branch_id => 2), sale('i4', shipping_address => '1 Main Street/Reno/NV/89501'),
			sale('i5', sales_agent_id => ''),
		sale('i6', payment_method => 'Barter') ]);

	sales_are('i', q{id, sales_agent_key = 0, branch_key = 0, agent, branch, location_key = 0, street, postal_code},
		[ 'i1|t|t|(online)|(online)|f|12 Elm Road|97301', 'i2|f|f|Ann Lee|Austin|t||', 'i3|f|f|Ann Lee|Boston|f|12 Elm Road|97301',
		  'i4|f|f|Ann Lee|Austin|f|1 Main Street|89501', 'i5|f|f|(unknown)|Austin|t||', 'i6|f|f|Ann Lee|Austin|t||' ],
			'what does not apply is told from what is unknown');
	warnings_are($n, 'offline_with_address:1 offline_without_branch:1 online_with_branch:1 unknown_payment_method:1',
		'what contradicts itself or the sets is loaded and counted');
	rows_are(q{SELECT * FROM txpipe.b2b_sales('2022-08-09')}, ['Ann Lee|Laptop|2'], 'branch sales alone are in the B2B file');
};

subtest '1.10 hire dates change, members come late' => sub {
	my @first = ([ 41, 'Dee Fox', '2018-5-13' ]);
	my $one = load([ sale('j1', sales_agent_id => 41, branch_id => 41), sale('j2', sales_agent_id => 42, branch_id => 42,
		transaction_date => '2022-8-10') ],
		branches => [ [ 41, 'Tampa', '2014-4-4', 'A' ] ], agents => \@first);

	sales_are('j2', 'id, agent_id, agent, branch_id, branch, units', ['j2|42||42||2'],
		'a sale by an unknown agent in an unknown branch is kept');
	rows_are(q{SELECT * FROM txpipe.b2b_sales('2022-08-10')}, ['(unknown)|Laptop|2'], 'and reported');
	my $keys = sql(q{SELECT sales_agent_key, branch_key FROM public.sale WHERE id = 'j2'});
	my $two = load([ sale('j3', sales_agent_id => 41, branch_id => 41), sale('j4', sales_agent_id => 43, branch_id => 43) ],
		branches => [ [ 41, 'Tampa', '2014-4-4', 'B' ], [ 43, 'Miami', '2015-5-5', 'C' ] ],
			agents => [ [ 41, 'Dee Fox', '2019-6-1' ], [ 43, 'Gil Hay', '2021-1-1' ] ]);
	my $three = load([ sale('j5', sales_agent_id => 41, branch_id => 41) ], branches => [ [ 42, 'Dallas', '2016-6-6', 'D' ] ],
		agents => [ [ 42, 'Flo Guy', '2017-7-7' ] ]);
	sales_are('j', 'id, agent, hire_date, branch, class', [ 'j1|Dee Fox|2018-05-13|Tampa|A', 'j2|Flo Guy|2017-07-07|Dallas|D',
			'j3|Dee Fox|2019-06-01|Tampa|B', 'j4|Gil Hay|2021-01-01|Miami|C', 'j5|Dee Fox|2019-06-01|Tampa|B' ],
		'each sale has the version of its own group; the late members are filled in');
	is(sql(q{SELECT sales_agent_key, branch_key FROM public.sale WHERE id = 'j2'}), $keys, 'in place');
	rows_are(q{SELECT * FROM txpipe.b2b_sales('2022-08-10')}, ['Flo Guy|Laptop|2'], 'the report has the name now');
	my $hours = q{CASE WHEN isfinite(%1$s) THEN (extract(epoch FROM %1$s) / 3600)::integer::text ELSE %1$s::text END};
	rows_are('SELECT hire_date, ' . sprintf($hours, 'valid_from') . ', ' . sprintf($hours, 'valid_to')
		  . ' FROM dwh.dim_sales_agent WHERE sales_agent_id = 41 ORDER BY valid_from',
		[ "2018-05-13|-infinity|$two", "2019-06-01|$two|infinity" ], 'versions follow each other');

	# Of three groups the second comes last: its sale is by agent 44 as he was then, and that of the third by the new 45.
	my ($before, $late, $after) = ($group + 1 .. $group + 3);
	$group += 3;
	load([ sale('j6', sales_agent_id => 44) ], number => $before, agents => [ [ 44, 'Hal Ivy', '2010-1-1' ],
		[ 45, 'Ida Joy', '2010-1-1' ] ]);
	load([ sale('j8', sales_agent_id => 44), sale('j9', sales_agent_id => 45) ], number => $after,
		agents => [ [ 44, 'Hal Ivy', '2020-2-2' ] ]);
	load([ sale('j7', sales_agent_id => 44) ], number => $late, agents => [ [ 45, 'Ida Joy', '2020-2-2' ] ]);
	rows_are(q{SELECT id, hire_date FROM public.sale WHERE id BETWEEN 'j6' AND 'j9' ORDER BY 1},
		[ 'j6|2010-01-01', 'j7|2010-01-01', 'j8|2020-02-02', 'j9|2020-02-02' ],
		'a late delivery counts from its own time on');
};

subtest '1.11 two more columns, and many rows' => sub {
	my @wide = (@columns, 'logs', 'source');
	my (@sales, %sum);

	foreach my $i (1 .. 12_000)
	{
		my ($units, $cents, $offer) = (1 + $i % 9, 1 + $i * 37 % 9999, $i % 6);
		my %differs = (units => $units, unit_price => sprintf('%d.%02d', $cents / 100, $cents % 100), logs => "ok, $i", source => 'web',
			$offer ? ("offer_$offer" => 'True') : ());
		push @sales, $i % 3 ? sale("k$i", %differs) : online("k$i", %differs);
		delete $sales[-1]{source} if $i % 5 == 0;
		$sum{units} += $units;
		$sum{gross} += $units * $cents;
		$sum{paid} += $units * $cents * (100 - 5 * $offer);
	}
	my $n = load(csv(\@wide, \@sales));
	counts_are($n, '12000 12000 0 0 0', 'columns nobody asked for are passed over');
	is(sql(q{SELECT count(*), sum(units), sum(gross_amount), sum(total_paid) FROM public.sale WHERE id LIKE 'k%'}),
		sprintf('12000|%d|%d.%02d|%d.%04d', $sum{units}, $sum{gross} / 100, $sum{gross} % 100, $sum{paid} / 10_000, $sum{paid} % 10_000),
		'every row has its values');
	load(csv([ 'logs', @columns[ 0 .. 4 ], 'source', @columns[ 5 .. 20 ] ], [ online('k0', logs => 'x', source => 'y', units => 7) ]));
	sales_are('k0', 'last_name, email, units, postal_code', ['Brown|emma.brown@gmail.com|7|97301'], 'wherever they stand');
};

# The days whose files are written now, and their contents by day.
my %b2b;

sub exported
{
	my ($day) = @_;
	my @paths = split /\n/, sql('SELECT txpipe.export_b2b(' . ($day ? "'$day'" : '') . ')');

	%b2b = map { m{/b2b_sales_(\d+-\d+-\d+)} ? ($1 => slurp_file($_)) : () } @paths;
	return join ' ', sort keys %b2b;
}

subtest '1.12 dates say nothing about what is new' => sub {
	exported();
	load([ sale('l1', transaction_date => '2022-1-3'), sale('l2', transaction_date => '2023-12-30'),
		sale('l3', transaction_date => '2022-9-1') ]);
	is(exported(), '2022-01-03 2022-09-01 2023-12-30', 'the days of a file are exported, two years in one file');
	load([ sale('l4', transaction_date => '2022-1-2'), sale('l5', transaction_date => '2022-9-1', units => 3),
		online('l6', transaction_date => '2022-9-2') ]);
	is(exported(), '2022-01-02 2022-09-01 2022-09-02', 'then those that changed, older and newer ones');
	my $header = "sales_agent_name,product_name,total_sold_units\r\n";
	is($b2b{'2022-09-01'}, "${header}Ann Lee,Laptop,5\r\n", 'whole days');
	is($b2b{'2022-09-02'}, $header, 'a day without branch sales has a header');
	is(exported(), '', 'none when nothing changed');
	is(exported('2001-1-1') . " $b2b{'2001-01-01'}", "2001-01-01 $header", 'or one day by choice; one without sales has a header, too');
};

subtest '1.13 two ids for one product name' => sub {
	my @products = ([ 9, 'Boots', 3 ], [ 18, 'Boots', 4 ], [ 10, 'Sandals', 5 ], [ 19, 'Sandals', 5 ]);

	load([ map { sale("m$_->[0]", transaction_date => '2022-8-13', product_id => $_->[0], product_name => $_->[1],
		units => $_->[2], unit_price => '1.50') } @products ]);
	rows_are(q{SELECT * FROM txpipe.top_products('2022-08-13', '2022-08-13')},
		[ '1|10|Sandals|5|7.5000', '1|19|Sandals|5|7.5000', '3|18|Boots|4|6.0000', '4|9|Boots|3|4.5000' ],
			'products are told apart by their ids; ties share a rank');
	rows_are(q{SELECT * FROM txpipe.b2b_sales('2022-08-13')}, [ 'Ann Lee|Boots|7', 'Ann Lee|Sandals|10' ], 'the B2B file has names');
};

subtest '1.14 two offers on a row' => sub {
	my @sets = ([ 1, 4 ], [ 2, 3, 5 ], [ 1 .. 5 ], [3]);
	my $sales = sub {
		my ($prefix) = @_;
		return [ map { my $i = $_; sale("$prefix$i", units => 3, unit_price => '19.99',
			map { ("offer_$_" => 'True') } @{ $sets[$i] }) } 0 .. $#sets ];
	};

	my $n = load($sales->('n1'));
	rejects_are($n, [ map { "$_ several_offers" } 2, 3, 4 ], 'are rejected by default');
	sales_are('n1', 'id, offer, discount_pct, total_paid', ['n13|offer_3|15|50.9745'], 'one is not');
	foreach my $policy (
		[ highest => 'n20|offer_4|20|47.9760', 'n21|offer_5|25|44.9775', 'n22|offer_5|25|44.9775', 'n23|offer_3|15|50.9745' ],
		[ first => 'n30|offer_1|5|56.9715', 'n31|offer_2|10|53.9730', 'n32|offer_1|5|56.9715', 'n33|offer_3|15|50.9745' ])
	{
		my ($value, @lines) = @$policy;
		my ($prefix) = $lines[0] =~ /^(..)/;
		sql("UPDATE dwh.setting SET value = '$value' WHERE name = 'several_offers'");
		load($sales->($prefix));
		sales_are($prefix, 'id, offer, discount_pct, total_paid', \@lines, "by choice the $value counts, never both");
	}
	sql(q{UPDATE dwh.setting SET value = 'reject' WHERE name = 'several_offers'});
};

subtest '1.14 one transaction_id, other content' => sub {
	my $one = load([ map { sale("o$_") } 1 .. 4 ]);
	my $two = load([ sale('o1', customer_email => 'emma.brown@gmail.com#4r'), sale('o2', units => 7),
		sale('o3', transaction_date => '2022-2-2'), sale('o4', unit_price => '10'),
		sale('o5'), sale('o5'), sale('o6'), sale('o6', units => 8), sale('o6'), sale('o7', units => 1),
			sale('o7', transaction_date => '2021-1-1') ]);

	rows_are(q{SELECT transaction_id, transaction_date, units, unit_price, line_no FROM dwh.fact_sales WHERE transaction_id LIKE 'o%' ORDER BY 1, 2},
		[ (map { "o$_|2023-05-20|2|9.99|" . ($_ + 1) } 1 .. 4), 'o5|2023-05-20|2|9.99|6', 'o6|2023-05-20|2|9.99|8',
			'o7|2023-05-20|1|9.99|11' ],
		'the first sale counts, on other dates, too');
	rows_are(q{SELECT transaction_id, line_no FROM dwh.sale_duplicate WHERE transaction_id LIKE 'o%' ORDER BY 1, 2},
		[ 'o1|2', 'o5|7', 'o6|10' ], 'the same content is a duplicate');
	rows_are(q{SELECT transaction_id, transaction_date, units, unit_price, line_no FROM dwh.sale_conflict WHERE transaction_id LIKE 'o%' ORDER BY 1, 2},
		[ 'o2|2023-05-20|7|9.99|3', 'o3|2022-02-02|2|9.99|4', 'o4|2023-05-20|2|10.00|5', 'o6|2023-05-20|8|9.99|9',
			'o7|2021-01-01|2|9.99|12' ], 'other content is kept aside');
	counts_are($two, '11 3 3 5 0', 'and counted');

	my ($early, $late) = ($group + 1, $group + 2);
	$group += 2;
	load([ sale('p1', transaction_date => '2022-3-3', units => 9), sale('p2') ], number => $late);
	load([ sale('p1', transaction_date => '2023-3-3'), sale('p2') ], number => $early);
	rows_are(q{SELECT id, day, units, group_key FROM public.sale WHERE id LIKE 'p%' ORDER BY 1},
		[ "p1|2023-03-03|2|group$early", "p2|2023-05-20|2|group$early" ],
		'the first is that of the first group, when it comes last, too');
	is(sql('SELECT count(*) FROM dwh.sale_duplicate WHERE transaction_id = $$p2$$') . sql('SELECT count(*) FROM dwh.sale_conflict WHERE transaction_id = $$p1$$'), '11', 'the others are kept');

	sql(q{UPDATE dwh.setting SET value = 'last' WHERE name = 'conflicts'});
	load([ sale('q1'), sale('q2') ]);
	my $last = load([ sale('q1', transaction_date => '2022-4-4'), sale('q2') ]);
	rows_are(q{SELECT id, day, group_key FROM public.sale WHERE id LIKE 'q%' ORDER BY 1},
		[ "q1|2022-04-04|group$last", "q2|2023-05-20|group$last" ], 'or the last, by choice');
	sql(q{UPDATE dwh.setting SET value = 'first' WHERE name = 'conflicts'});
};

subtest '1.14 negative and absurd units and prices' => sub {
	my @cases = (
		[ units => '0',           'bad_units' ],
		[ units => '-3',          'bad_units' ],
		[ units => '2147483648',  'out_of_range' ],
		[ units => '10000' ],
		[ units => '10001' ],
		[ unit_price => '-0.01',  'negative_price' ],
		[ unit_price => '0' ],
		[ unit_price => '1.005',  'excess_scale' ],
		[ unit_price => '12.5' ],
		[ unit_price => '100000.01' ],
		[ unit_price => '99999999999.99', 'out_of_range' ],
		[ unit_price => 'NaN',    'bad_price' ],
		[ units => '',            'missing_value' ],
		[ unit_price => '',       'missing_value' ],
		[ transaction_date => '1999-12-31', 'date_out_of_range' ],
		[ transaction_date => '2923-5-20',  'date_out_of_range' ],
		(map { [ $_ => '', 'missing_value' ] } qw(transaction_date transaction_id customer_id product_id)));
	my @sales = map { sale(sprintf('r%02d', $_), $cases[$_][0] => $cases[$_][1]) } 0 .. $#cases;
	my $n = load(\@sales);

	rejects_are($n, [ map { $cases[$_][2] ? $_ + 2 . " $cases[$_][2]" : () } 0 .. $#cases ], 'what cannot be is rejected');
	sales_are('r', 'id, units, unit_price, gross_amount, total_paid', [ 'r03|10000|9.99|99900.00|99900.0000',
		'r04|10001|9.99|99909.99|99909.9900', 'r06|2|0.00|0.00|0.0000',
			'r08|2|12.50|25.00|25.0000', 'r09|2|100000.01|200000.02|200000.0200' ], 'what can be is loaded');
	warnings_are($n, 'absurd_price:1 absurd_units:1', 'and counted where it is absurd');
	my @lines = split /\n/, sales_csv(\@sales);
	rows_are(qq{SELECT line FROM txpipe.rejected_row JOIN txpipe.file USING (file_id) WHERE group_key = 'group$n' ORDER BY line_no},
		[ map { $cases[$_][2] ? $lines[ $_ + 1 ] : () } 0 .. $#cases ], 'rejected lines are kept as they came');
	counts_are($n, scalar(@cases) . ' 5 0 0 ' . (@cases - 5), 'every line is accounted for');
};

subtest 'offers: rates, exact amounts, reports' => sub {
	# Of 3 and 7 pieces at 19.99 and 0.01, four decimals.
	load([ (map { sale("s1$_", transaction_date => '2022-8-14', units => 3, unit_price => '19.99',
		$_ ? ("offer_$_" => 'yes') : ()) } 0 .. 5),
		map { online("s2$_", transaction_date => '2022-8-14', units => 7, unit_price => '0.01', product_id => 2,
			product_name => 'Tablet', "offer_$_" => 'True') } 1, 5, 5 ]);
	sales_are('s', 'id, offer, discount_pct, gross_amount, total_paid', [ 's10|none|0|59.97|59.9700',
		's11|offer_1|5|59.97|56.9715', 's12|offer_2|10|59.97|53.9730',
			's13|offer_3|15|59.97|50.9745', 's14|offer_4|20|59.97|47.9760', 's15|offer_5|25|59.97|44.9775',
				's21|offer_1|5|0.07|0.0665', 's25|offer_5|25|0.07|0.0525' ],
		'total_paid has every digit');
	my $days = q{'2022-08-14', '2022-08-14'};
	rows_are("SELECT * FROM txpipe.top_offers($days)", [ '1|offer_1|5|2', '1|offer_5|25|2', '3|offer_2|10|1', '3|offer_3|15|1',
		'3|offer_4|20|1' ],
		'redemptions, without those of no offer, and without repeated sales');
	rows_are("SELECT * FROM txpipe.top_offers_by_product($days, 1)",
		[ (map { "1|Laptop|1|offer_$_|1" } 1 .. 5), map { "2|Tablet|1|offer_$_|1" } 1, 5 ], 'of each product, ties share the first rank');
	rows_are("SELECT * FROM txpipe.top_products($days, 1)", ['1|1|Laptop|18|314.8425'], 'top_n limits the rank');
	rows_are("SELECT * FROM txpipe.lowest_online_cities($days)", ['1|Salem|OR|2|14|0.1190'], 'online sales of cities');
	rows_are(q{SELECT * FROM txpipe.b2b_sales('2022-08-14')}, ['Ann Lee|Laptop|18'], 'branch sales of agents');
};

subtest 'the B2B file: names, not ids' => sub {
	load([ sale('t1', transaction_date => '2022-8-15', sales_agent_id => 51),
		sale('t2', transaction_date => '2022-8-15', sales_agent_id => 52, units => 5),
		sale('t3', transaction_date => '2022-8-15', sales_agent_id => 53, product_name => 'Desk, "L"') ],
		agents => [ [ 51, 'Kim Lux', '2020-1-1' ], [ 52, 'Kim Lux', '2021-1-1' ], [ 53, 'Mo, N', '2021-1-1' ] ]);
	exported();
	is($b2b{'2022-08-15'}, qq{sales_agent_name,product_name,total_sold_units\r\nKim Lux,Laptop,7\r\n"Mo, N","Desk, ""L""",2\r\n},
		'one line for each name and product name');
};

subtest 'other order, more columns, CRLF and a byte-order mark at once' => sub {
	my @names = map { s/^cusomter/customer/r } @columns;
	my @odd = ('source', reverse(@names[ 3 .. 20 ]), 'logs', @names[ 0 .. 2 ]);
	my $n = load(csv(\@odd, [ map { { %$_, logs => 'a "b", c', source => 'web' } } online('u1', offer_5 => 'True', units => '3.0',
		customer_email => 'ann@gmail.com"'),
				sale('u2', customer_lname => 'de la "X"'), online('u3', shipping_address => '1/2 Elm//MA/02134') ], eol => "\r\n",
					bom => 1));

	counts_are($n, '3 3 0 0 0', 'all of it is loaded');
	sales_are('u', 'id, day, customer_id, last_name, email, agent, city, postal_code, offer, units, total_paid, payment_method',
		[ 'u1|2023-05-20|85001|Brown|ann@gmail.com|(online)|Salem|97301|offer_5|3|22.4775|Cash',
			'u2|2023-05-20|85001|de la "X"|emma.brown@gmail.com|Ann Lee|(offline)||none|2|19.9800|Cash',
		  'u3|2023-05-20|85001|Brown|emma.brown@gmail.com|(online)|(unknown)|02134|none|2|19.9800|Cash' ], 'as it is meant');
};

is(sql('SELECT count(*) FROM public.sale'), sql('SELECT count(*) FROM dwh.fact_sales'),
	'every sale is joined to one member of each dimension');
rows_are('SELECT item, detail FROM txpipe.check_warehouse() WHERE NOT ok', [], 'check_warehouse() finds no fault');

# --- files that are not whole, groups that are not complete ---

sub settle_time
{
	my ($value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET txpipe.settle_time = '$value'");
	$node->reload;
	wait_for($node, "SELECT current_setting('txpipe.settle_time') = '$value'", "files settle for $value");
	return;
}

# A session of its own.
sub session
{
	my ($text) = @_;
	my $session = { in => $text, out => '', err => '' };

	$session->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('torn') ], '<', \$session->{in}, '>',
		\$session->{out}, '2>', \$session->{err});
	$session->{run}->pump_nb;
	return $session;
}

sub finish
{
	my ($session) = @_;

	$session->{in} .= "\\q\n";
	$session->{run}->finish;
	return $session->{err};
}

# What runs do while another session holds this lock; then both end.
sub while_locked
{
	my ($lock, $runs, $code) = @_;
	my $holder = session("BEGIN; $lock; SELECT 'held';\n");
	# One waits; others wait, or have left the groups to it.
	my $waiting = q{SELECT CASE WHEN bool_or(wait_event_type = 'Lock') THEN count(*) FILTER (WHERE wait_event_type = 'Lock' OR state = 'idle') END
		FROM pg_stat_activity WHERE query LIKE 'CALL txpipe.run_hourly%'};

	wait_until('the lock is held', sub { $holder->{run}->pump_nb; $holder->{out} =~ /held/ });
	my @sessions = map { session("CALL txpipe.run_hourly();\n") } 1 .. $runs;
	wait_until('the runs wait', sub { $_->{run}->pump_nb foreach @sessions; sql($waiting) eq $runs });
	$code->();
	finish($holder);
	return map { finish($_) } @sessions;
}

my $old = time - 86_400;

warehouse('torn');

subtest 'a file that still grows' => sub {
	my $text = sales_csv([ map { sale("v$_", units => $_) } 1 .. 9 ]);
	my $cut = index($text, 'v7') + 20;

	settle_time('1h');
	my $n = land_group(substr($text, 0, $cut));
	my @paths = glob "$base/landing/group$n/*.csv";
	my ($path) = grep { /transactions/ } @paths;
	utime $old, $old, grep { !/transactions/ } @paths;
	run_hourly();
	is(states($n), 'branches:waiting sales_agents:waiting sales_transactions:settling', 'a young file is not read, whatever it ends with');
	append_to_file($path, substr($text, $cut, 90));
	run_hourly();
	is(states($n), 'branches:waiting sales_agents:waiting sales_transactions:settling', 'nor while it grows');
	append_to_file($path, substr($text, $cut + 90));
	utime $old, $old, $path;
	run_hourly();
	is(states($n), 'branches:loaded sales_agents:loaded sales_transactions:loaded', 'but when it has been left alone');
	is(sql(q{SELECT count(*), sum(units) FROM public.sale WHERE id LIKE 'v%'}), '9|45', 'all of it, once');
	settle_time('0');
};

subtest 'a file that is replaced while it is read' => sub {
	my @texts = map { my $units = $_; sales_csv([ map { sale("w$_", units => $units) } 1 .. 3 ]) } 1, 2, 3;
	my $n = land_group($texts[0]);
	my $name = "group$n/sales_transactions_SS_raw_$n.csv";
	my $loaded = q{SELECT count(*), string_agg(DISTINCT units::text, ' ') FROM public.sale WHERE id LIKE 'w%'};

	# Its hash is known, the copy is not made yet.
	while_locked(q{SELECT FROM txpipe.feed WHERE feed = 'branches' FOR NO KEY UPDATE}, 1, sub { land($name, $texts[1]) });
	like(sql($loaded), qr/^(?:0\||3\|2)$/, 'replaced before it is copied: nothing of it is loaded, or all of the new one');
	run_hourly();
	is(sql($loaded), '3|2', 'then the new one is');
	is(states($n) =~ s/sales_transactions:superseded //r, 'branches:loaded sales_agents:loaded sales_transactions:loaded',
		'its group is complete');
	is(sql(qq{SELECT count(*) FROM txpipe.rejected_row}), 0, 'no line is torn');

	# The copy is being loaded.
	$n = land_group($texts[1] =~ s/w/x/gr);
	$name = "group$n/sales_transactions_SS_raw_$n.csv";
	$loaded =~ s/w%/x%/;
	while_locked('LOCK dwh.sale_key IN ACCESS EXCLUSIVE MODE', 1, sub { land($name, $texts[2] =~ s/w/x/gr) });
	is(sql($loaded), '3|2', 'replaced while it is loaded: the old one is, whole');
	is(slurp_file("$base/landing/$name"), $texts[2] =~ s/w/x/gr, 'the new one stays in the landing directory');
	run_hourly();
	is(states($n), 'branches:loaded sales_agents:loaded sales_transactions:loaded sales_transactions:changed', 'and is a change');
	sql(qq{SELECT txpipe.reload(file_id) FROM txpipe.file WHERE group_key = 'group$n' AND state = 'changed'});
	is(sql($loaded), '3|3', 'which is accepted or not');
};

subtest 'a file whose last line is cut' => sub {
	my $text = sales_csv([ map { sale("y$_", units => $_) } 1 .. 4 ]);
	my $n = load(substr($text, 0, index($text, 'Electronics', index($text, 'y4')) + 4));

	rejects_are($n, ['5 missing_value'], 'the cut line is rejected');
	is(sql(q{SELECT count(*), sum(units) FROM public.sale WHERE id LIKE 'y%'}), '3|6', 'the others are loaded');
	land("group$n/sales_transactions_SS_raw_$n.csv", $text);
	run_hourly();
	sql(qq{SELECT txpipe.reload(file_id) FROM txpipe.file WHERE group_key = 'group$n' AND state = 'changed'});
	is(sql(q{SELECT count(*), sum(units) FROM public.sale WHERE id LIKE 'y%'}), '4|10', 'the whole file takes its place');
	is(sql(qq{SELECT count(*) FROM txpipe.rejected_row JOIN txpipe.file USING (file_id) WHERE group_key = 'group$n'}), 0,
		'and nothing is left of the cut line');

	$text = sales_csv([ sale('z1'), sale('z2', customer_fname => "Emma, 2") ]);
	$n = load(substr($text, 0, index($text, 'Emma, 2') + 4));
	rejects_are($n, ['3 bad_csv'], 'a field whose quote does not close is rejected');
	is(sql(q{SELECT count(*) FROM public.sale WHERE id LIKE 'z%'}), 1, 'alone');
};

subtest 'two runs over one landing directory' => sub {
	my @numbers = map { my $i = $_; land_group([ map { sale("aa$i$_", units => $i) } 1 .. 3 ]) } 1 .. 5;
	my @said = while_locked('LOCK dwh.source_file IN ACCESS EXCLUSIVE MODE', 2, sub { });
	my @loaded = map { /loaded (\d+) groups/ ? $1 : 0 } @said;

	is(sum0(@loaded), 5, "share its groups: @loaded");
	is(sql(q{SELECT count(*), sum(units) FROM public.sale WHERE id LIKE 'aa%'}), '15|45', 'and load each once');
	is(join(' ', map { states($_) =~ tr/:// } @numbers), '3 3 3 3 3', 'each file is entered once');
};

subtest 'a missing member' => sub {
	my $missing = 'SELECT group_key, missing, present FROM txpipe.missing_group ORDER BY group_key';
	my $n = load([ sale('ba1', sales_agent_id => 61, transaction_date => '2022-8-16') ], agents => 0);

	is(states($n), 'branches:waiting sales_transactions:waiting', 'its group waits');
	rows_are($missing, ["group$n|{sales_agents}|{branches,sales_transactions}"], 'and is listed');
	is(sql(q{SELECT count(*) FROM public.sale WHERE id LIKE 'ba%'}), 0, 'nothing of it is loaded');
	sql(q{SELECT txpipe.alter_feed('branches', options => '{"group_timeout": "1 hour"}')});
	my $second = load(0, branches => [ [ 62, 'Reno', '2012-2-2', 'B' ] ]);
	is(states($second), 'branches:waiting sales_agents:waiting', 'before its timeout, too');
	sql(q{UPDATE txpipe.file_ledger SET arrived_at = arrived_at - interval '1 hour' WHERE state = 'waiting'});
	run_hourly();
	rows_are(q{SELECT feed, state, reason FROM txpipe.file WHERE state = 'loaded' AND reason LIKE 'late%' ORDER BY group_key, feed},
		[ 'branches|loaded|late: sales_agents missing', 'sales_transactions|loaded|late: sales_agents missing',
		  'branches|loaded|late: sales_transactions missing', 'sales_agents|loaded|late: sales_transactions missing' ],
			'then what is there is loaded, and marked');
	rows_are($missing, [ "group$n|{sales_agents}|{branches,sales_transactions}",
		"group$second|{sales_transactions}|{branches,sales_agents}" ], 'still they are not complete');
	rows_are(q{SELECT * FROM txpipe.b2b_sales('2022-08-16')}, ['(unknown)|Laptop|2'], 'a sale whose agent did not come is kept');
	land_group(0, number => $n, branches => 0, agents => [ [ 61, 'Pia Qi', '2020-2-20' ] ]);
	land_group([ sale('ba2', branch_id => 62) ], number => $second, branches => 0, agents => 0);
	run_hourly();
	sales_are('ba', 'id, agent, branch', [ 'ba1|Pia Qi|Austin', 'ba2|Ann Lee|Reno' ], 'the late members complete them');
	is(join(' ', map { states($_) } $n, $second), join(' ',
		('branches:loaded sales_agents:loaded sales_transactions:loaded') x 2), 'they are loaded');
	rows_are($missing, [], 'and nothing is missing any more');
};

rows_are('SELECT item, detail FROM txpipe.check_warehouse() WHERE NOT ok', [], 'check_warehouse() finds no fault');

# --- the order of arrival ---

my $seed = $ENV{TXPIPE_TEST_SEED} // 64;
srand $seed;

sub pick { return $_[ int rand @_ ] }

# What a sale's id says of it, but for one thing in some deliveries.
sub some_sale
{
	my ($i) = @_;
	my %s = (customer_id => 86000 + $i % 9, customer_fname => pick('Ava', 'Ava', 'Ava', 'Mia'),
		customer_email => 'a.b@yahoo.com' . pick('', ';', '#4r'),
		transaction_date => sprintf('%d-%d-%d', 2022 + $i % 2, 1 + $i % 12, 1 + $i % 28), product_id => 1 + $i % 4,
			product_name => 'P' . (1 + $i % 3),
		units => 1 + $i % 7 + pick(0, 0, 0, 10), unit_price => (1 + $i % 5) . '.' . (10 + $i % 90), sales_agent_id => 71 + $i % 7,
			branch_id => 81 + $i % 4,
		$i % 6 ? ('offer_' . $i % 6 => 'True') : ());

	$s{transaction_date} = '2023-7-7' if rand() < 0.1;
	$s{units} = 0 if rand() < 0.05;
	$s{offer_1} = $s{offer_2} = 'True' if rand() < 0.05;
	return $i % 3 ? sale("o$i", %s)
	  : online("o$i", %s, sales_agent_id => '', branch_id => '', shipping_address => '1/2 Elm/' . pick('Reno', 'Reno',
		'') . '/' . pick('NV', 'NV', 'MA') . '/01234');
}

# Groups by number: rows, and the files in a folder. One is another one again.
sub some_groups
{
	my %groups;

	foreach my $n (2, 3, 5, 9, 10, 11)
	{
		my $g = $groups{$n} = $n == 11 ? { %{ $groups{3} } } : {
			branches => [ map { [ $_, "Town $_", '2010-1-5', pick('A', 'B') ] } grep { rand() < 0.6 } 81 .. 83 ],
			agents => [ map { [ $_, "Agent $_", pick('2018-05-13', '2019-06-01') ] } grep { rand() < 0.6 } 71 .. 76 ],
			sales => [ map { some_sale(int rand 90) } 1 .. 40 ] };
		my $dir = "$base/source/order/group$n";
		make_path($dir);
		append_to_file("$dir/branches_SS_raw_$n.csv", csv([qw(branch_id location establish_date class)], $g->{branches}));
		append_to_file("$dir/sales_agents_SS_raw_$n.csv", csv([qw(sales_person_id name hire_date)], $g->{agents}));
		append_to_file("$dir/sales_transactions_SS_raw_$n.csv", sales_csv($g->{sales}));
	}
	return \%groups;
}

# What was said last of a member up to a group; before the first delivery the first one holds.
sub said_of
{
	my ($groups, $kind, $id, $until) = @_;
	my ($first, $last);

	foreach my $n (sort { $a <=> $b } keys %$groups)
	{
		my ($row) = grep { $_->[0] == $id } @{ $groups->{$n}{$kind} };
		next unless $row;
		$first //= $row;
		$last = $row if $n <= $until;
	}
	return $last // $first // [$id];
}

sub is_refused { my ($s) = @_; return $s->{units} < 1 || 1 < grep { $s->{"offer_$_"} } 1 .. 5 }

# Facts and current members as lines, from the groups in their order.
sub computed
{
	my ($groups) = @_;
	my (%seen, %fact, %member);

	foreach my $n (sort { $a <=> $b } keys %$groups)
	{
		next if $seen{ sales_csv($groups->{$n}{sales}) }++;
		my $line = 1;
		foreach my $s (@{ $groups->{$n}{sales} })
		{
			my ($y, $m, $d) = split /-/, $s->{transaction_date};
			my ($offer) = grep { $s->{"offer_$_"} } 1 .. 5;
			my ($city, $state) = $s->{is_online} ? map { $_ || '(unknown)' } (split m{/}, $s->{shipping_address})[ -3,
				-2 ] : ('(offline)') x 2;
			my $person = "$s->{customer_id}|$s->{customer_fname}|Brown|a.b\@yahoo.com";
			my $cents = $s->{unit_price} =~ tr/.//dr;
			my $paid = $s->{units} * $cents * (100 - 5 * ($offer // 0));
			my @agent = $s->{is_online} ? ('', '', '') : @{ said_of($groups, 'agents', $s->{sales_agent_id}, $n) };
			my @branch = $s->{is_online} ? ('') x 4 : @{ said_of($groups, 'branches', $s->{branch_id}, $n) };

			$line++;
			next if is_refused($s);
			$member{"customer|$person"} = $member{"product|$s->{product_id}|$s->{product_name}"} = 1;
			$member{"location|$city|$state"} = 1 if $s->{is_online};
			$member{ join '|', 'agent', map { $_ // '' } @{ said_of($groups, 'agents', $s->{sales_agent_id},
				99) }[ 0 .. 2 ] } = 1 unless $s->{is_online};
			$member{ join '|', 'branch', map { $_ // '' } @{ said_of($groups, 'branches', $s->{branch_id}, 99) }[ 0,
				3 ] } = 1 unless $s->{is_online};
			$fact{ $s->{transaction_id} } //= join '|', 'fact', $s->{transaction_id}, sprintf('%d-%02d-%02d', $y, $m, $d),
				"$s->{product_id}|$s->{product_name}", $person,
			  $agent[0], $agent[2] // '', $branch[0], $branch[3] // '', $city, $state, $offer ? "offer_$offer" : 'none',
				$s->{units}, $s->{unit_price},
			  sprintf('%d.%04d', $paid / 10_000, $paid % 10_000), "group$n:$line";
		}
	}
	foreach my $n (keys %$groups)
	{
		$member{ join '|', 'agent', @{ said_of($groups, 'agents', $_->[0], 99) } } = 1 foreach @{ $groups->{$n}{agents} };
		$member{ join '|', 'branch', @{ said_of($groups, 'branches', $_->[0], 99) }[ 0, 3 ] } = 1 foreach @{ $groups->{$n}{branches} };
	}
	return join "\n", sort values %fact, keys %member;
}

# The same in the warehouse.
sub held
{
	return join "\n", sort map { split /\n/, sql($_) }
	  q{SELECT 'fact', id, day, product_id, product_name, customer_id, first_name, last_name, email, agent_id, hire_date, branch_id, class,
	           city, state, offer, units, unit_price, total_paid, group_key || ':' || line_no FROM public.sale},
	  q{SELECT 'customer', customer_id, first_name, last_name, email FROM dwh.dim_customer WHERE customer_key > 0},
	  q{SELECT 'product', product_id, product_name FROM dwh.dim_product WHERE product_key > 0},
	  q{SELECT 'location', city, state FROM dwh.dim_location WHERE location_key > 0},
	  q{SELECT 'agent', sales_agent_id, name, hire_date FROM dwh.dim_sales_agent WHERE sales_agent_key > 0 AND valid_to = 'infinity'},
	  q{SELECT 'branch', branch_id, class FROM dwh.dim_branch WHERE branch_key > 0 AND valid_to = 'infinity'};
}

subtest 'the order of arrival and repeats change nothing' => sub {
	note "seed $seed (TXPIPE_TEST_SEED)";
	my $groups = some_groups();
	my @numbers = sort { $a <=> $b } keys %$groups;
	my %dir = map { $_ => "$base/source/order/group$_" } @numbers;
	my $computed = computed($groups);
	my $totals = totals(@dir{@numbers});

	foreach my $order (\@numbers, [ reverse @numbers ], map { [ shuffle @numbers ] } 1, 2)
	{
		my @delivered;
		warehouse('ordered');
		foreach my $n (@$order, pick(@numbers))
		{
			deliver($dir{$n}, "group$n");
			push @delivered, $n;
			deliver($dir{ $delivered[-2] }, "group$delivered[-2]") if @delivered > 1 && rand() < 0.4;
			run_hourly() if rand() < 0.6;
		}
		run_hourly();
		same_lines(held(), $computed, "facts and members, order @delivered");
		same_lines(facts(), $totals, 'reports');
	}
};

rows_are('SELECT item, detail FROM txpipe.check_warehouse() WHERE NOT ok', [], 'check_warehouse() finds no fault');
log_is_clean($node, qr/missing data for column "shipping_address"/);
$node->stop;
done_testing();
