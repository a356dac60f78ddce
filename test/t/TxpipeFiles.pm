# TxpipeFiles: what the tests of feeds share: a server, files that land in its directory, and runs that load them.
package TxpipeFiles;

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(make_path);
use IPC::Run;
use TxpipeTest;

our @EXPORT = qw(files_node sql deliver run_hourly start_sql erase);

my $node;

# A running server that does not wait for files to settle.
sub files_node
{
	my ($name) = @_;

	$node = new_node($name, conf => "txpipe.settle_time = 0\n");
	start_node($node);
	return $node;
}

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# The report of erase_subject(), a line for each place in which something was found, or was not searched.
sub erase
{
	my ($arguments) = @_;
	my $report = (split /\n/, sql("CALL txpipe.erase_subject($arguments)"))[0];

	return sql("SELECT string_agg(format('%s: %s %s', r->>'place', r->>'action', r->>'count'), E'\\n' ORDER BY n)
		FROM jsonb_array_elements(\$report\$$report\$report\$) WITH ORDINALITY AS r (r, n)
		WHERE r->>'count' > '0' OR r->>'action' ~ 'not searched'");
}

# Writes a landing file, through a command where one is given; what is written is returned.
sub deliver
{
	my ($name, $content, @command) = @_;
	my $path  = $node->basedir . "/dirs/landing/$name";
	my $bytes = $content;

	make_path($path =~ m{^(.*)/});
	IPC::Run::run([@command], '<', \$content, '>', \$bytes) or die "@command" if @command;
	open my $fh, '>:raw', $path or die "$path: $!";
	print $fh $bytes;
	close $fh or die "$path: $!";
	return $bytes;
}

# What the run said.
sub run_hourly
{
	my ($err);

	$node->psql('postgres', 'CALL txpipe.run_hourly()', stderr => \$err, on_error_die => 1);
	return $err;
}

# A statement in a session of its own.
sub start_sql
{
	my ($text) = @_;
	my $session = { out => '', err => '' };

	$session->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $text ],
		'<', \'', '>', \$session->{out}, '2>', \$session->{err});
	return $session;
}

1;
