# The dashboard: a page of well-formed markup that says what is there, to those who may see it, whatever the names.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $node = files_node('dashboard');

# What the nodes of the page say, joined; the page must be well-formed for it.
sub page_says
{
	my ($xpath, %who) = @_;
	my $query = sprintf q{SELECT coalesce(string_agg(x.v, '|' ORDER BY x.n), '') FROM XMLTABLE(%s
		PASSING XMLPARSE(DOCUMENT txpipe.dashboard()) COLUMNS n FOR ORDINALITY, v text PATH 'normalize-space(.)') AS x},
	  "\$x\$$xpath\$x\$";

	$query = "SET ROLE $who{as}; $query" if defined $who{as};
	return $node->safe_psql($who{db} // 'postgres', $query);
}

sub headings
{
	return page_says('//h2', @_);
}

# --- an installation without anything ---

is(headings(), 'Start here', 'an empty installation shows what to do first');
like(page_says('//code'), qr/check_setup\(\).*create_stream.*create_warehouse/, '... as statements');
my ($setup) = page_says('(//ol//code)[1]') =~ /(.*)/;
ok(sql($setup), '... of which the first works when pasted');

# --- a page on its own ---

my $page = sql('SELECT txpipe.dashboard()');
like($page, qr{\A<!DOCTYPE html><html lang="en">}, 'the page is HTML with its language');
is(page_says('//meta[@http-equiv = "Content-Security-Policy"]/@content'), q{default-src 'none'; style-src 'unsafe-inline'},
	'its policy lets nothing in but its own style');
is(page_says('//script | //link | //iframe | //img | //@src | //@onclick | //@onload | //form'), '', 'it has no script, and loads nothing');
unlike($page, qr{https?:|url\(|\@import}, '... nor does its style');
is(page_says('//meta[@name = "color-scheme"]/@content'), 'light dark', 'it follows the colours of its reader');
is(page_says('//a[@class = "skip"]/@href'), '#content', 'it can be skipped to the content');
is(page_says('//*[@id = "content"]/@tabindex'), '-1', '... which takes the focus');

# --- names that are not harmless ---

my $evil = q{</bdi><script>alert("1 & 'one'")</script>};
my $turn = "abc\x{202E}def";
utf8::encode($turn);
sql("CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '127.0.0.1:1')");
sql('CREATE TABLE events (a text); CREATE TABLE others (a text)');
sql("SELECT txpipe.create_stream(\$n\$$evil\$n\$, 'shop', 't', 'events', paused => true),"
	  . "txpipe.create_stream('$turn', 'shop', 't', 'others', paused => true)");
is(headings(), 'Health|Streams', 'with streams there is their section');
my @names = split /\|/, page_says('//section[h2/@id = "streams"]//h3/bdi');
is_deeply([ sort @names ], [ sort $evil, "abc\xEF\xBF\xBDdef" ], 'names appear as they are, but for what turns the text around');
is(page_says('//script'), '', '... and are no markup');
my ($advice) = grep { /script/ } split /\|/, page_says('//ul[@class = "todo"]//code');
is($advice, q{SELECT txpipe.resume_stream('</bdi><script>alert("1 & ''one''")</script>')}, 'the advice is the statement that resumes it');

# --- who may see what ---

sql('CREATE ROLE stranger; CREATE ROLE reader; GRANT SELECT ON others TO reader');
is(headings(as => 'stranger'), 'Start here', 'who may read no target sees no stream');
is(page_says('//section[h2/@id = "streams"]//h3', as => 'reader'), "abc\xEF\xBF\xBDdef", 'who may read one sees its stream');

# --- sales, added up by hand ---

my $head = 'transaction_date,transaction_id,customer_id,customer_fname,cusomter_lname,cusomter_email,sales_agent_id,branch_id,'
  . 'product_id,product_name,product_category,offer_1,offer_2,offer_3,offer_4,offer_5,units,unit_price,is_online,payment_method,shipping_address';
my $script = '<script>alert(1)</script>';
deliver('g1/branches_SS_raw_1.csv', "branch_id,location,establish_date,class\n1,New York,2017-01-15,A\n");
deliver('g1/sales_agents_SS_raw_1.csv', "sales_person_id,name,hire_date\n1,John Doe,2020-6-3\n");
deliver('g1/sales_transactions_SS_raw_1.csv', join "\n", $head,
	"2024-12-15,t1,1,A,B,a.b\@gmail.com,1,1,1,$script,X,,,,,,3,100.00,no,Cash",
	'2024-3-2,t2,2,A,B,a.c@gmail.com,,,2,"Boots & ""Bells""",X,,True,,,,10,1000.50,yes,Cash,1 High St/Z\'rich <i>/VT/05001',
	"2023-5-5,t3,1,A,B,a.b\@gmail.com,1,1,1,$script,X,,,,,,5,400.00,no,Cash",
	"2023-12-20,t4,1,A,B,a.b\@gmail.com,1,1,1,$script,X,,,,,,1,99.00,no,Cash",
	"2024-1-1,t5,1,A,B,a.b\@gmail.com,1,1,1,$script,X,,,,,,minus,99.00,no,Cash", '');
sql('SELECT txpipe.create_warehouse()');
like(page_says('//section[h2/@id = "sales"]'), qr/no sale is loaded yet/, 'an empty warehouse says how it is filled');
run_hourly();
is(headings(), 'Health|Streams|Files and runs|Sales 1 Jan 2024 to 15 Dec 2024', 'sales are of twelve months up to the last of them');

# 3 × 100 + 10 × 1,000.50 − 10 % = 9,304.50; the year before up to 15 December: 5 × 400 = 2,000.
is(page_says('//li[p = "Paid"]/p[position() > 1]'), '9,305|▲ 365.2 % on the year before', 'paid, and the change');
is(page_says('//li[p = "Sales"]/p[position() > 1]'), '2|▲ 100.0 % on the year before', 'sales');
is(page_says('//li[p = "Units"]/p[position() > 1]'), '13|▲ 160.0 % on the year before', 'units');
is(page_says('//li[p = "Average sale"]/p[position() > 1]'), '4,652.25|9.7 % discount on average', 'the average');
my $months = '//section[h2/@id = "sales"]//figure';
is(page_says("$months//tbody/tr[td[1] != '0' or th = 'May 2024']/*"), 'Mar 2024|9,005|–|May 2024|0|2,000|Dec 2024|300|99',
	'months, beside those of the year before');
is(page_says("$months//svg/title | $months//svg/desc"),
	'Paid by month|1 Jan 2024 to 15 Dec 2024, and the same months of the year before', 'the chart has a text');
is(page_says("$months//svg/rect[1]/title"), 'Jan 2024: 0', '... and so have its columns');
my $lists = '//section[h2/@id = "sales"]//div[h3 = "%s"]//tbody/tr/*';
is(page_says(sprintf $lists, 'Most selling products'), "1|Boots & \"Bells\"|10|9,005|2|$script|3|300", 'products');
is(page_says(sprintf $lists, 'Most redeemed offers'), '1|offer_2|10 %|1', 'offers');
is(page_says(sprintf $lists, 'Lowest cities in online sales'), q{1|Z'rich <i>, VT|1|9,005}, 'cities');
is(page_says('//script | //i'), '', 'whatever they are called, they are no markup');
is(page_says('//div[h3 = "Files by state"]//tbody/tr/*'), 'loaded|2|2|loaded with rejects|1|4', 'files by state');
is(page_says('//div[h3 = "What was refused, and why"]//tbody/tr/*'), 'bad_value|lines|1', 'what was refused');
like(page_says('//div[h3 = "Last runs"]//tbody/tr/*'), qr/^run_hourly\|succeeded\|.*\|1 groups, 6 rows$/, 'runs');

# Texts do not depend on settings of the session.
my $figures = '//section[h2/@id = "sales"]';
is($node->safe_psql('postgres', qq{SET datestyle = 'German, DMY'; SET intervalstyle = iso_8601; SET extra_float_digits = 3;
	SET bytea_output = escape; SET search_path = ''; SELECT (xpath('$figures', XMLPARSE(DOCUMENT txpipe.dashboard())))[1]}),
	sql(qq{SELECT (xpath('$figures', XMLPARSE(DOCUMENT txpipe.dashboard())))[1]}), 'figures are written alike in every session');

is(headings(as => 'reader'), 'Health|Streams', 'who may not read dwh sees no sales');
sql('GRANT USAGE ON SCHEMA dwh TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA dwh TO reader');
like(headings(as => 'reader'), qr/\|Sales 1 Jan 2024/, '... and does with SELECT on its tables');
sql('REVOKE SELECT ON dwh.dim_location FROM reader');
is(headings(as => 'reader'), 'Health|Streams|Files and runs', '... on all that it takes; with the days go the feeds of the warehouse');

# --- numbers ---

is(sql(q{SELECT string_agg(txpipe.html_number(v, 2), ' ') FROM unnest('{0,-0.001,1234567.895,-1000,123456789012345678.5,NaN}'::numeric[]) AS v}),
	'0.00 0.00 1,234,567.90 −1,000.00 123,456,789,012,345,678.50 n/a', 'numbers');
is(sql(q{SELECT string_agg(txpipe.html_short(v), ' ') FROM unnest('{0,9.96,9999.4,9999.5,1000000,1949999,999999999,1e15}'::numeric[]) AS v}),
	'0 10.0 9,999 10 k 1 M 1.9 M 1 G 1,000 T', 'short numbers');
is(sql(q{SELECT string_agg(txpipe.html_duration(v), ', ') FROM unnest('{-1,0.0123,1.25,60,150,7300,400000}'::numeric[]) AS v}),
	'0 ms, 12 ms, 1.3 s, 60 s, 2 min, 2 h, 4 days', 'durations');

# --- alerts, when there are some ---

unlike(headings(), qr/Alerts/, 'without rules there is no such section');
sql(q{CREATE TABLE watched (a text); SELECT txpipe.create_stream('watched', 'shop', 't', 'watched', paused => true),
	txpipe.create_rule('velocity', 'watched', 'SELECT a AS subject FROM batch')});
like(headings(), qr/Health\|Alerts\|/, 'with them there is');
sql(q{INSERT INTO txpipe.alert_store (stream_id, rule, severity, subject, event_time, reason)
	SELECT stream_id, 'velocity', 'high', '<b>4711</b>', now(), '6 in 300 s & more' FROM txpipe.stream WHERE stream = 'watched'});
is(page_says('//section[h2/@id = "alerts"]//li/span | //section[h2/@id = "alerts"]//li//p'),
	'high|velocity: <b>4711</b>|6 in 300 s & more, just now', '... with the alert');
unlike(headings(as => 'reader'), qr/Alerts/, '... for those who may read it');
sql(q{SELECT txpipe.drop_stream('watched')});

# --- live events, where there are windows ---

# 24 windows up to 12:10 are shown; what is a day in the future is none of them.
sql(q{CREATE TABLE visits (at timestamptz, kind text);
	INSERT INTO visits SELECT v.at::timestamptz, v.kind FROM (VALUES ('2026-01-31 12:10', '<i>a</i>'), ('2026-01-31 12:19:59', '<i>a</i>'),
		('2026-01-31 12:11', '<i>a</i>'), ('2026-01-31 12:15', 'b'), ('2026-01-31 08:20', 'b'), ('2026-01-31 08:29:59', 'b'),
		('2026-01-31 08:19:59', 'too old'), ('infinity', 'too new'), ('2099-01-01', 'too new')) AS v (at, kind);
	SELECT txpipe.create_stream('visits', 'shop', 't', 'visits', paused => true)});
unlike(headings(), qr/Live events/, 'without windows there is no section of live events');
sql(q{SELECT txpipe.create_window('daily', 'visits', 'at', '1 day', aggregates => '{"n": "count(*)"}');
	SELECT txpipe.create_window('visits <10>', 'visits', 'at', '10 min', group_by => '{kind}', aggregates => '{"n": "count(*)"}')});
my $live = '//section[h2/@id = "live"]';
like(headings(), qr/Health\|Live events\|/, 'with them there is');
is(page_says("$live//h3"), 'visits <10>|By kind', '... of the finest window of a stream');
is(page_says("$live//figure//tbody/tr[td != '0']/*"), '08:20|2|12:10|4', '... with all events as a chart');
is(page_says("$live//figure//tbody/tr/th") =~ tr/|//, 23, '... of 24 windows');
is(page_says("$live//div[h3 = 'By kind']//tbody/tr/*"), '<i>a</i>|<i>a</i>: 0 to 3|3|3|b|b: 0 to 2|1|3', '... and by what they are grouped by');
unlike(headings(as => 'reader'), qr/Live events/, '... for those who may read the window');
sql('GRANT SELECT ON "visits <10>" TO reader');
like(headings(as => 'reader'), qr/Live events/, '... who need no more');
sql(q{INSERT INTO visits SELECT '2026-01-31 12:12', 'k' || g FROM generate_series(1, 8) g; SELECT txpipe.rebuild_window('visits <10>')});
is(page_says("$live//div[h3 = 'By kind']//tbody/tr[position() > 7]/*"), 'k6|k6: 0 to 1|1|1|all others|all others: 0 to 2|2|2', 'of more than eight kinds the others are one');
sql('ALTER TABLE "visits <10>" RENAME n TO m');
is(page_says('//h2[@id = "health"]'), 'Health', 'a window whose table is no longer what it was spoils no page');
unlike(headings(), qr/Live events/, '... and is left out');
sql(q{ALTER TABLE "visits <10>" RENAME m TO n; SELECT txpipe.drop_stream('visits')});

# --- the file ---

my $file = sql('SELECT txpipe.export_dashboard()');
is($file, $node->basedir . '/dirs/export/dashboard.html', 'export_dashboard() writes dashboard.html');
my $written = slurp_file($file);
like($written, qr{\A<!DOCTYPE html>.*</html>\n\z}s, '... the whole page');
like($written, qr{\Q&lt;script&gt;alert(1)&lt;/script&gt;\E}, '... as its caller sees it');
sql('GRANT EXECUTE ON FUNCTION txpipe.export_dashboard(), txpipe.write_export(text, text) TO stranger');
my $error = error_of($node, 'SET ROLE stranger; SELECT txpipe.export_dashboard()');
is($error->{state}, '42501', 'it is for the owner of dwh');
like($error->{hint}, qr/SET ROLE/, '... and says so');
is(error_of($node, 'SET ROLE reader; SELECT txpipe.export_dashboard()')->{state}, '42501', 'without EXECUTE it is refused');
is(error_of($node, q{SET txpipe.export_directory = ''; SELECT txpipe.export_dashboard()})->{state}, '55000', 'without a directory, too');

log_is_clean($node, qr/export_dashboard|directory is not set/);
$node->stop;
done_testing();
