# TxpipeBrowser: a headless Chromium for tests of pages, driven through its DevTools pipe; only files, no network.
#
# start_browser returns undef where there is no Chromium. Everything else dies when the browser does not answer.
package TxpipeBrowser;

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(make_path);
use IO::Handle;
use IO::Select;
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use POSIX        qw(dup2 setsid);
use Time::HiRes  qw(time);

our @EXPORT = qw(start_browser stop_browser show_page evaluate take_screenshot print_page page_complaints press_key prefer);

our $TIMEOUT = $ENV{TXPIPE_TEST_TIMEOUT} // 60;

my %running;

sub chromium
{
	for my $name (qw(chromium chromium-headless-shell chromium-browser google-chrome))
	{
		for my $directory (split /:/, $ENV{PATH})
		{
			return "$directory/$name" if -x "$directory/$name";
		}
	}
	return undef;
}

# A browser with one empty page; its profile, cache and HOME are in the directory.
sub start_browser
{
	my ($directory) = @_;
	my $program = chromium() // return undef;

	make_path("$directory/home");
	pipe my $commands_out, my $commands_in or die "pipe: $!";
	pipe my $answers_out,  my $answers_in  or die "pipe: $!";
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		setsid();
		open STDIN,  '<', '/dev/null'              or die;
		open STDOUT, '>', "$directory/browser.log" or die;
		open STDERR, '>&', \*STDOUT                or die;
		# Chromium reads from descriptor 3 and writes to 4, which may be ours: first to where they are not in the way.
		dup2(fileno $commands_out, 30);
		dup2(fileno $answers_in,   31);
		dup2(30, 3);
		dup2(31, 4);
		%ENV = (PATH => $ENV{PATH}, LANG => 'C.UTF-8', TZ => 'UTC', map { $_ => "$directory/home" } qw(HOME TMPDIR XDG_RUNTIME_DIR));
		exec $program, '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars',
		  '--no-first-run', '--disable-extensions', '--disable-background-networking', '--disable-component-update',
		  '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND', '--proxy-server=127.0.0.1:9', '--allow-file-access-from-files',
		  '--remote-debugging-pipe', "--user-data-dir=$directory/profile", 'about:blank'
		  or POSIX::_exit(127);
	}
	close $commands_out;
	close $answers_in;
	$running{$pid} = 1;
	my $browser = { pid => $pid, in => $commands_in, out => $answers_out, buffer => '', next => 1, log => [] };
	binmode $commands_in;
	binmode $answers_out;
	$commands_in->autoflush(1);
	my ($page) = grep { $_->{type} eq 'page' } @{ command($browser, 'Target.getTargets')->{targetInfos} };
	$browser->{session} = command($browser, 'Target.attachToTarget', { targetId => $page->{targetId}, flatten => JSON::PP::true })->{sessionId};
	command($browser, "$_.enable") for qw(Page Runtime Log Network);
	return $browser;
}

sub stop_browser
{
	my ($browser) = @_;

	return unless defined $browser && delete $running{ $browser->{pid} };
	kill 'KILL', -$browser->{pid};
	waitpid($browser->{pid}, 0);
	return;
}

END
{
	my $status = $?;

	for my $pid (keys %running)
	{
		kill 'KILL', -$pid;
		waitpid($pid, 0);
	}
	$? = $status;
}

# The next message of the browser.
sub receive
{
	my ($browser) = @_;
	my $end = time() + $TIMEOUT;
	my $length;

	while (($length = index $browser->{buffer}, "\0") < 0)
	{
		my $left = $end - time();
		die 'the browser does not answer' if $left <= 0 || !IO::Select->new($browser->{out})->can_read($left);
		sysread($browser->{out}, $browser->{buffer}, 1 << 20, length $browser->{buffer}) or die 'the browser ended';
	}
	my $message = substr $browser->{buffer}, 0, $length + 1, '';
	chop $message;
	return decode_json($message);
}

# Sends a command and returns its result; what happens meanwhile is kept.
sub command
{
	my ($browser, $method, $params) = @_;
	my $id = $browser->{next}++;

	print { $browser->{in} } encode_json({
		id => $id, method => $method, params => $params // {},
		defined $browser->{session} ? (sessionId => $browser->{session}) : () }) . "\0";
	while (1)
	{
		my $message = receive($browser);
		if (!defined $message->{id})
		{
			push @{ $browser->{log} }, $message;
			next;
		}
		next unless $message->{id} == $id;
		die "$method: $message->{error}{message}" if $message->{error};
		return $message->{result};
	}
}

# Loads a file at this width; scheme: light or dark.
sub show_page
{
	my ($browser, $file, %opt) = @_;

	command($browser, 'Emulation.setDeviceMetricsOverride', {
		width => 0 + ($opt{width} // 1280), height => 0 + ($opt{height} // 800), deviceScaleFactor => 0 + ($opt{scale} // 1),
		mobile => JSON::PP::false });
	prefer($browser, 'prefers-color-scheme', $opt{scheme} // 'light');
	$browser->{log} = [];
	command($browser, 'Page.navigate', { url => "file://$file" });
	until (grep { $_->{method} eq 'Page.loadEventFired' } @{ $browser->{log} })
	{
		push @{ $browser->{log} }, receive($browser);
	}
	return;
}

# What the expression, or the promise it is, yields in the page.
sub evaluate
{
	my ($browser, $expression) = @_;
	my $answer = command($browser, 'Runtime.evaluate', {
		expression => $expression, returnByValue => JSON::PP::true, awaitPromise => JSON::PP::true });

	die "evaluate: $answer->{exceptionDetails}{exception}{description}" if $answer->{exceptionDetails};
	return $answer->{result}{value};
}

# Presses and releases Tab or Enter.
sub press_key
{
	my ($browser, $key) = @_;
	my %code = (Tab => 9, Enter => 13);
	my %event = (key => $key, code => $key, windowsVirtualKeyCode => $code{$key});

	$event{text} = "\r" if $key eq 'Enter';
	command($browser, 'Input.dispatchKeyEvent', { type => $_, %event }) for qw(keyDown keyUp);
	return;
}

# The reader prefers this value of a media feature.
sub prefer
{
	my ($browser, $feature, $value) = @_;

	command($browser, 'Emulation.setEmulatedMedia', { features => [ { name => $feature, value => $value } ] });
	return;
}

sub write_file
{
	my ($file, $data) = @_;

	open my $fh, '>:raw', $file or die "$file: $!";
	print $fh decode_base64($data);
	close $fh or die "$file: $!";
	return;
}

# The whole page, as a PNG; full => 0: what is seen first.
sub take_screenshot
{
	my ($browser, $file, %opt) = @_;

	write_file($file, command($browser, 'Page.captureScreenshot', {
		format => 'png', captureBeyondViewport => ($opt{full} // 1) ? JSON::PP::true : JSON::PP::false })->{data});
	return;
}

sub print_page
{
	my ($browser, $file) = @_;

	write_file($file, command($browser, 'Page.printToPDF', { printBackground => JSON::PP::true, preferCSSPageSize => JSON::PP::true })->{data});
	return;
}

# What went wrong since the page was loaded: console messages, exceptions, requests for anything but the file.
sub page_complaints
{
	my ($browser) = @_;
	my @complaints;

	command($browser, 'Runtime.evaluate', { expression => '0' });
	for my $message (@{ $browser->{log} })
	{
		my ($method, $p) = @$message{qw(method params)};
		push @complaints, "$p->{entry}{level}: $p->{entry}{text}" if $method eq 'Log.entryAdded';
		push @complaints, "console: $p->{type}" if $method eq 'Runtime.consoleAPICalled';
		push @complaints, "exception: $p->{exceptionDetails}{text}" if $method eq 'Runtime.exceptionThrown';
		push @complaints, "request: $p->{request}{url}" if $method eq 'Network.requestWillBeSent' && $p->{type} ne 'Document';
	}
	return @complaints;
}

1;
