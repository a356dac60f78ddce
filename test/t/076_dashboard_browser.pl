# The dashboard as a headless Chromium shows it: nothing is loaded or complained about, nothing is wider than the page, light
# and dark, for fingers, keys and printers; and axe-core, where npm brought it (TXPIPE_AXE), finds nothing.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeBrowser;
use TxpipeFiles;
use TxpipeTest;

# A short path: the browser has sockets in it.
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $browser = start_browser($dir);
plan skip_all => 'there is no Chromium' unless defined $browser;

my $node = files_node('browser');
my $long = 'a_name_without_a_single_place_to_break_a_line_at_' . 'x' x 13;

# --- helpers ---

# A page of the present state, or a copy of one with some text replaced.
sub page_file
{
	my ($name, $html) = @_;

	open my $fh, '>:raw', "$dir/$name.html" or die "$dir/$name.html: $!";
	print $fh $html // sql('SELECT txpipe.dashboard()');
	close $fh or die "$dir/$name.html: $!";
	return "$dir/$name.html";
}

sub png_size
{
	return join 'x', unpack 'x16 NN', slurp_file($_[0]);
}

# What the test of a page is for every width and scheme.
sub looks_well
{
	my ($name, $file) = @_;
	my %pixels;

	for my $width (1280, 768, 360)
	{
		for my $scheme (qw(light dark))
		{
			show_page($browser, $file, width => $width, scheme => $scheme);
			is(join("\n", page_complaints($browser)), '', "$name, $width px, $scheme: no complaint, no request");
			is(evaluate($browser, 'document.documentElement.scrollWidth'), $width, '... nothing sticks out');
			take_screenshot($browser, "$dir/shot.png");
			is(png_size("$dir/shot.png"), join('x', $width, evaluate($browser, 'document.documentElement.scrollHeight')), '... it can be pictured');
			$pixels{$scheme} = slurp_file("$dir/shot.png");
		}
		isnt($pixels{light}, $pixels{dark}, '... dark is not light');
	}
	print_page($browser, "$dir/page.pdf");
	like(slurp_file("$dir/page.pdf"), qr/\A%PDF.{10000}/s, "$name can be printed");
	return;
}

sub is_accessible
{
	my ($name, $file) = @_;

  SKIP:
	{
		my $axe = $ENV{TXPIPE_AXE} // '';
		skip "axe-core on $name: npm did not bring it", 4 unless -e $axe;
		my $html = slurp_file($file);
		$html =~ s/<meta http-equiv="Content-Security-Policy"[^>]*>// or die 'the page has no policy';
		my $copy = page_file("$name-axe", $html);
		my $script = slurp_file($axe);
		for my $width (1280, 360)
		{
			for my $scheme (qw(light dark))
			{
				show_page($browser, $copy, width => $width, scheme => $scheme);
				evaluate($browser, "$script; 0");
				is(evaluate($browser, q{axe.run().then(r => r.passes.length < 20 ? 'axe did not run' :
					r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.target).join(', ')).join('\n'))}),
					'', "axe-core finds nothing on $name, $width px, $scheme");
			}
		}
	}
	return;
}

# --- an empty installation ---

my $file = page_file('empty');
looks_well('an empty installation', $file);
is_accessible('an empty installation', $file);

# --- the measures can fail ---

my $html = slurp_file($file);
show_page($browser, page_file('wide', $html =~ s/<h1>/<h1 style="white-space:nowrap">@{[ 'wide ' x 99 ]}/r), width => 360);
cmp_ok(evaluate($browser, 'document.documentElement.scrollWidth'), '>', 360, 'what sticks out is measured');
show_page($browser, page_file('script', $html =~ s{</h1>}{</h1><script>document.title = 'changed'</script><img src="x.png" alt="">}r));
like(join("\n", page_complaints($browser)), qr/Content Security Policy/, 'what is put into the page is refused, and that is seen');
unlike(evaluate($browser, 'document.title'), qr/changed/, '... a script does not run');

# --- a page that is full, of names as long as they can be ---

sql("CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '127.0.0.1:1')");
sql(join ';', map { ("CREATE TABLE target_$_ (a text, at timestamptz)", "SELECT txpipe.create_stream('${_}_$long', 'shop', 't', 'target_$_', paused => true)") } 10 .. 24);
sql('SELECT txpipe.create_warehouse()');
deliver("g1_$long/branches_SS_raw_1.csv", "branch_id,location,establish_date,class\n1,New York,2017-01-15,A\n");
deliver("g1_$long/sales_agents_SS_raw_1.csv", "sales_person_id,name,hire_date\n1,John Doe,2020-6-3\n");
deliver("g1_$long/sales_transactions_SS_raw_1.csv", join "\n",
	'transaction_date,transaction_id,customer_id,customer_fname,cusomter_lname,cusomter_email,sales_agent_id,branch_id,product_id,'
	  . 'product_name,product_category,offer_1,offer_2,offer_3,offer_4,offer_5,units,unit_price,is_online,payment_method,shipping_address',
	map({ "202@{[ 3 + $_ % 2 ]}-@{[ 1 + $_ % 12 ]}-3,t$_,1,A,B,a.b\@gmail.com,1,1,$_,p$_ $long $long,X,,,,,,@{[ $_ * 7 ]},9999999.99,no,Cash" } 1 .. 40),
	map({ "2024-5-3,o$_,2,A,B,a.c\@gmail.com,,,$_,p$_ $long $long,X,,True,,,,$_,12.50,yes,Cash,1 High St/c$_ $long/VT/05001" } 1 .. 12),
	'2024-1-1,t99,1,A,B,a.b@gmail.com,1,1,1,Socks,X,,,,,,minus,99.00,no,Cash', '');
run_hourly();
sql(qq{INSERT INTO txpipe.run (job, state, message, finished_at) VALUES ('run_hourly', 'failed', '$long $long <script>', now());
	INSERT INTO txpipe.batch_history_store (stream_id, part, finished_at, messages, rows, dead_letters, refused, bytes, gather_us, decode_us,
		wait_us, write_us, store_us)
	SELECT s.stream_id, 0, now() - g * interval '1 minute', 1000 * g, 1000 * g, 0, 0, 0, 0, 0, 0, 0, 0
	FROM txpipe.stream s, generate_series(1, 58) AS g;
	INSERT INTO txpipe.alert_store (stream_id, rule, severity, subject, event_time, reason)
	SELECT (SELECT min(stream_id) FROM txpipe.stream), 'rule_$long', 'high', 'subject $long', now(), 'reason $long' FROM generate_series(1, 20)});
sql(join ';', map { (qq{INSERT INTO target_$_ SELECT 'kind' || g % 12 || '_$long', now() FROM generate_series(1, 9999) AS g}, qq{SELECT txpipe.create_window('window_${_}_' || left('$long', 40), '${_}_$long', 'at', '1 min', group_by => '{a}')}) } 10 .. 15);
$file = page_file('full');
looks_well('a full page', $file);
is_accessible('a full page', $file);

# --- keys, readers, motion ---

show_page($browser, $file, width => 1280);
press_key($browser, 'Tab');
is(evaluate($browser, 'document.activeElement.className'), 'skip', 'the first key leads to the link that skips');
cmp_ok(evaluate($browser, 'document.activeElement.getBoundingClientRect().left'), '>=', 0, '... which appears then');
press_key($browser, 'Enter');
is(evaluate($browser, 'document.activeElement.id'), 'content', '... and leads to the content');
is(evaluate($browser, q{[...document.querySelectorAll('h1,h2,h3')].reduce((w, h) => { const n = +h.tagName[1];
	return { ok: w.ok && n <= w.last + 1, last: n } }, { ok: true, last: 0 }).ok}) ? 1 : 0, 1, 'no level of headings is left out');
is(evaluate($browser, q{[...document.querySelectorAll('svg:not([aria-hidden])')].every(s => s.getAttribute('role') == 'img'
	&& s.querySelector('title').textContent.length > 5) && document.querySelectorAll('svg[role=img]').length}),
	evaluate($browser, q{document.querySelectorAll('svg:not([aria-hidden])').length}), 'every chart has a text');
is(evaluate($browser, q{[...document.querySelectorAll('figure')].every(f => f.querySelectorAll('details tbody tr').length >=
	f.querySelectorAll('rect:not(.earlier)').length) && document.querySelectorAll('figure').length}), 6, '... and its numbers as a table');
is(evaluate($browser, q{[...document.querySelectorAll('table')].every(t => t.caption && [...t.querySelectorAll('th')].every(h => h.scope)) ? 1 : 0}),
	1, 'tables have captions, and their heads a scope');
is(evaluate($browser, q{matchMedia('(prefers-reduced-motion: reduce)').matches || getComputedStyle(document.documentElement).scrollBehavior}),
	'smooth', 'the page scrolls smoothly');
prefer($browser, 'prefers-reduced-motion', 'reduce');
is(evaluate($browser, 'getComputedStyle(document.documentElement).scrollBehavior'), 'auto', '... unless its reader prefers less motion');

stop_browser($browser);
log_is_clean($node);
$node->stop;
done_testing();
