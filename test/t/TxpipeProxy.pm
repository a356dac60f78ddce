# TxpipeProxy: a network that misbehaves, between clients and the brokers of a test.
#
# Each broker gets a port of ours. In what a broker sends, its own address is replaced by that port, so that clients stay
# with the proxy after they have learned who leads what. Addresses have one length, and frames are passed whole.
package TxpipeProxy;

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use POSIX  qw(:sys_wait_h);
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);
use PostgreSQL::Test::Utils;
use TxpipeTest;

our @EXPORT = qw(start_proxy stop_proxy misbehave misbehaved);

# What is longer holds messages: the answers to other requests are short here.
my $WITH_MESSAGES = 1000;
# In front of a broker; the result knows {servers}, and can stand wherever a broker of TxpipeTest can.
sub start_proxy
{
	my ($broker) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my @brokers = split /,/, $broker->{servers};
	my @listeners = map { IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1') // die "listen: $!" } @brokers;
	my %port_of = map { $brokers[$_] =~ /:(\d+)$/ ? ($1 => $listeners[$_]->sockport) : () } 0 .. $#brokers;
	my $proxy = { %$broker, dir => $dir, servers => join ',', map { '127.0.0.1:' . $_->sockport } @listeners };

	set_mode($proxy, 'pass');
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		$SIG{PIPE} = 'IGNORE';
		$SIG{TERM} = 'DEFAULT';
		eval { serve($dir, \@listeners, \@brokers, \%port_of) };
		# Without the END blocks of the test.
		print STDERR "the proxy has ended: $@";
		POSIX::_exit(1);
	}
	$proxy->{proxy_pid} = own_process($pid);
	return $proxy;
}

sub stop_proxy
{
	my ($proxy) = @_;

	end_process($proxy->{proxy_pid}, 'KILL');
	return;
}

sub set_mode
{
	my ($proxy, $mode) = @_;

	open my $fh, '>', "$proxy->{dir}/mode.new" or die "$proxy->{dir}: $!";
	print $fh $mode;
	close $fh;
	rename "$proxy->{dir}/mode.new", "$proxy->{dir}/mode" or die $!;
	return;
}

# From now on all responses, or every N-th of those that hold messages, are treated so: 'pass'; 'slow BYTES' a second; 'delay SECONDS'; 'hang' and 'drop', nothing
# comes any more, of connections that are there ('drop') or of any ('hang'); 'truncate', half of it and the end of the
# connection; 'reset', half of it and a reset; 'garbage', other bytes of that length.
sub misbehave
{
	my ($proxy, $mode, $every) = @_;

	set_mode($proxy, "$mode/" . ($every // 1) . '/' . ++$proxy->{round});
	wait_until("the proxy takes its mode: $mode",
		sub { (-e "$proxy->{dir}/taken" ? slurp_file("$proxy->{dir}/taken") : '') =~ m{/$proxy->{round} } });
	return;
}

# How many responses it has treated so since then.
sub misbehaved
{
	my ($proxy) = @_;

	return (slurp_file("$proxy->{dir}/taken") =~ / (\d+)$/)[0];
}

# --- the process ---

my ($dir, %port_of, $select, %link_of, %mode, $responses, $treated);

sub serve
{
	my ($own_dir, $listeners, $brokers, $ports) = @_;
	my %upstream = map { $listeners->[$_]->fileno => $brokers->[$_] } 0 .. $#$listeners;

	$dir     = $own_dir;
	%port_of = %$ports;
	$select = IO::Select->new(@$listeners);
	read_mode();
	while (1)
	{
		my @ready = $select->can_read(0.05);

		read_mode();
		for my $socket (@ready)
		{
			my $fd = $socket->fileno // next;

			if ($upstream{$fd})
			{
				take_connection($socket, $upstream{$fd});
			}
			elsif ($link_of{$fd})
			{
				take_bytes($link_of{$fd}, $socket);
			}
		}
		my @links = values %link_of;
		release($_) for grep { !$_->{closed} } @links;
	}
	return;
}

sub read_mode
{
	my $text = slurp_file("$dir/mode");

	return if defined $mode{text} && $mode{text} eq $text;
	my ($what, $every) = split m{/}, $text;
	my ($name, $number) = split / /, $what;
	%mode = (text => $text, name => $name, number => $number, every => $every // 1);
	($responses, $treated) = (0, 0);
	# One that was silent has lost its place.
	my @lost = grep { $_->{lost} } values %link_of;
	if ($name !~ /^(hang|drop)$/)
	{
		close_link($_) for @lost;
	}
	write_taken();
	return;
}

sub write_taken
{
	open my $fh, '>', "$dir/taken.new" or return;
	print $fh "$mode{text} $treated";
	close $fh;
	rename "$dir/taken.new", "$dir/taken";
	return;
}

sub take_connection
{
	my ($listener, $address) = @_;
	my $client = $listener->accept or return;
	my $broker = IO::Socket::INET->new(PeerAddr => $address);

	if (!$broker)
	{
		close $client;
		return;
	}
	my $link = { client => $client, broker => $broker, in => '', out => [], due => 0 };
	$_->blocking(0) for $client, $broker;
	$link_of{ $_->fileno } = $link for $client, $broker;
	$select->add($client, $broker);
	return;
}

sub close_link
{
	my ($link, $reset) = @_;

	return if $link->{closed}++;
	for my $socket ($link->{client}, $link->{broker})
	{
		$select->remove($socket);
		delete $link_of{ $socket->fileno };
	}
	setsockopt $link->{client}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) if $reset;
	close $_ for $link->{client}, $link->{broker};
	return;
}

sub send_all
{
	my ($socket, $bytes) = @_;

	$socket->blocking(1);
	my $n = syswrite $socket, $bytes;
	$socket->blocking(0);
	return defined $n && $n == length $bytes;
}

sub take_bytes
{
	my ($link, $socket) = @_;
	my $n = sysread $socket, my $bytes, 1 << 18;

	return close_link($link) unless $n;
	if ($socket == $link->{client})
	{
		if ($mode{name} =~ /^(hang|drop)$/)
		{
			$link->{lost} = 1;
			count_one();
			return;
		}
		send_all($link->{broker}, $bytes) or close_link($link);
		return;
	}
	$link->{in} .= $bytes;
	while (length $link->{in} >= 4)
	{
		my $size = 4 + unpack 'N', $link->{in};

		last if length $link->{in} < $size;
		treat($link, substr $link->{in}, 0, $size, '');
		last if $link->{closed};
	}
	return;
}

sub count_one
{
	$treated++;
	write_taken();
	return;
}

# One whole response.
sub treat
{
	my ($link, $frame) = @_;

	for my $port (keys %port_of)
	{
		my ($from, $to) = map { '127.0.0.1' . pack 'N', $_ } $port, $port_of{$port};
		$frame =~ s/\Q$from\E/$to/g;
	}
	if ($mode{name} eq 'pass' || ($mode{every} > 1 && (length $frame < $WITH_MESSAGES || ++$responses % $mode{every} != 0)))
	{
		push @{ $link->{out} }, [ 0, $frame ];
		release($link);
		return;
	}
	count_one();
	if ($mode{name} =~ /^(truncate|reset)$/)
	{
		send_all($link->{client}, substr $frame, 0, length($frame) / 2);
		close_link($link, $mode{name} eq 'reset');
	}
	elsif ($mode{name} eq 'garbage')
	{
		# Length and correlation id are right; what is behind them is not.
		my $body = join '', map { chr int rand 256 } 1 .. length($frame) - 8;
		push @{ $link->{out} }, [ 0, substr($frame, 0, 8) . $body ];
	}
	elsif ($mode{name} eq 'delay')
	{
		push @{ $link->{out} }, [ time() + $mode{number}, $frame ];
	}
	elsif ($mode{name} eq 'slow')
	{
		push @{ $link->{out} }, map { [ 0, $_, length $_ ] } unpack '(a1000)*', $frame;
	}
	else
	{
		$link->{lost} = 1;
	}
	release($link) unless $link->{closed};
	return;
}

# Sends what is due, in order.
sub release
{
	my ($link) = @_;
	my $now = time();

	while (my $next = $link->{out}[0])
	{
		my ($due, $bytes, $paced) = @$next;
		last if $due > $now || ($paced && $link->{due} > $now);
		shift @{ $link->{out} };
		$link->{due} = ($link->{due} > $now - 1 ? $link->{due} : $now) + $paced / $mode{number}
		  if $paced && $mode{name} eq 'slow';
		return close_link($link) unless send_all($link->{client}, $bytes);
	}
	return;
}

1;
