# TxpipeSoak: everything at the same time for a while: streams, files, rules, reports and exports, kills in the middle third, and
# looks at memory, files, tables and lag, which become a chart.
#
# Who loads and asks are processes of their own. What they produce has a known size, so the end can be compared with it.
package TxpipeSoak;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(basename);
use List::Util qw(max sum0);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TxpipeRetail;
use TxpipeTest;

our @EXPORT = qw(pause_between start_load stop_loads load_output load_errors look looks memory_grown open_files_grown write_looks);

my (%loads, @looks);
my $database = 'retail';

END
{
	my $status = $?;

	stop_loads();
	$? = $status;
}

# --- loads ---

# A rate, not a wait: what comes next comes later.
sub pause_between
{
	my ($seconds) = @_;

	select undef, undef, undef, $seconds if $seconds > 0;
	return;
}

# Calls the code every so many seconds until the end, in a process of its own; what it prints goes to a file.
sub start_load
{
	my ($name, $every, $end, $code) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$name";
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		open STDOUT, '>', $file      or POSIX::_exit(1);
		open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
		$SIG{TERM} = sub { POSIX::_exit(0) };
		STDOUT->autoflush(1);
		for (my $n = 0; time() < $end; $n++)
		{
			my $next = time() + $every;

			$code->($n);
			pause_between($next - time());
		}
		POSIX::_exit(0);
	}
	$loads{$name} = { pid => $pid, file => $file };
	return;
}

# Those of these names when their time is over, or all at once.
sub stop_loads
{
	my (@names) = @_;

	for my $name (@names ? @names : keys %loads)
	{
		kill 'TERM', $loads{$name}{pid} unless @names || $loads{$name}{ended};
		waitpid $loads{$name}{pid}, 0 unless $loads{$name}{ended}++;
	}
	return;
}

sub load_output
{
	my ($name) = @_;

	return slurp_file($loads{$name}{file});
}

# Lines with errors but those that match the pattern.
sub load_errors
{
	my ($allowed) = @_;

	return map { my $name = $_; map { "$name: $_" } grep { /ERROR:|FATAL:|PANIC:|died| at \S+ line \d/ && $_ !~ $allowed }
		  split /\n/, load_output($name) } sort keys %loads;
}

# --- looks ---

# Of the server's processes: [ kind, pid, private memory in kB, open files ].
sub server_processes
{
	my ($postmaster) = @_;
	my (%parent, %name, @found);

	for my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $fh, '<', $stat or next;
		my $line = <$fh> // next;
		my ($pid, $name, $parent) = $line =~ /^(\d+) \((.*)\) [^Z] (\d+) / or next;
		$parent{$pid} = $parent;
		$name{$pid} = $name;
	}
	for my $pid (grep { $_ == $postmaster || $parent{$_} == $postmaster || ($parent{ $parent{$_} } // 0) == $postmaster } keys %parent)
	{
		my $title = read_proc($pid, 'cmdline');
		my ($memory) = read_proc($pid, 'status') =~ /^RssAnon:\s+(\d+)/m;
		# Those of tables PostgreSQL keeps open as long as it likes.
		my @files = grep { (readlink // '') !~ m{/pgdata/} } glob "/proc/$pid/fd/*";
		my $kind = $pid == $postmaster ? 'postmaster' : $title =~ /txpipe (worker|launcher)/ ? $1
		  : $name{$pid} eq 'txpipe_io' && read_proc($parent{$pid}, 'cmdline') =~ /txpipe worker/ ? 'child' : next;

		push @found, [ $kind, $pid, $memory, scalar @files ] if defined $memory;
	}
	return @found;
}

sub read_proc
{
	my ($pid, $file) = @_;

	open my $fh, '<', "/proc/$pid/$file" or return '';
	local $/;
	return <$fh> // '';
}

# Tables of few rows are those that every batch or run changes.
my $question = <<'SQL';
SELECT coalesce((SELECT sum(lag_messages) FROM txpipe.stream_status), 0),
       (SELECT sum(pg_table_size(c.oid)) / 1024 FROM pg_class c WHERE relnamespace = 'txpipe'::regnamespace AND relkind = 'r'),
       (SELECT max(pg_relation_size(c.oid)) / 1024 FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
         WHERE relnamespace = 'txpipe'::regnamespace AND n_live_tup <= 100 AND n_tup_upd > 0),
       (SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE schemaname = 'txpipe'),
       (SELECT sum(rows_total) FROM txpipe.stream_status), (SELECT count(*) FROM txpipe.file WHERE state LIKE 'loaded%')
SQL
my @asked = qw(lag catalogs small dead rows files);

# What there is now, noted with the time; what SQL says is missing while the server is away.
sub look
{
	my ($node, $started, $note) = @_;
	my %look = (at => time() - $started, note => $note, processes => []);
	my $answer = '';

	if (open my $fh, '<', $node->data_dir . '/postmaster.pid')
	{
		my ($postmaster) = <$fh> =~ /(\d+)/;
		$look{processes} = [ server_processes($postmaster) ];
		$node->psql($database, $question, stdout => \$answer, stderr => \my $err, timeout => 30) if !defined $note;
	}
	@look{@asked} = split /\|/, $answer if $answer =~ /^[\d.|]+$/;
	push @looks, \%look;
	return;
}

sub looks { return @looks }

sub of_kind
{
	my ($look, $kind, $what) = @_;

	return max(map { $_->[$what] } grep { $_->[0] eq $kind } @{ $look->{processes} });
}

# Processes that lived from one time to another, and are larger or have more files at its end: the pages or files that grew.
sub grown
{
	my ($from, $to, $what, $allowed) = @_;
	my (%first, %last, @grown);

	for my $look (grep { $_->{at} >= $from && $_->{at} <= $to } @looks)
	{
		for my $process (@{ $look->{processes} })
		{
			my $id = "$process->[0] $process->[1]";

			$first{$id} //= $process->[$what];
			$last{$id} = [ $look->{at}, $process->[$what] ];
		}
	}
	for my $id (sort keys %last)
	{
		my ($at, $value) = @{ $last{$id} };

		push @grown, "$id: $first{$id}, then $value" if $at > $from + 0.9 * ($to - $from) && $value > $allowed->($first{$id});
	}
	return @grown;
}

sub memory_grown { return grown(@_, 2, sub { return 1.15 * $_[0] + 4096 }) }

sub open_files_grown { return grown(@_, 3, sub { return $_[0] + 4 }) }

# --- the chart ---

my ($left, $width, $height, $gap) = (90, 700, 90, 44);

# A panel: the title, then [ label, colour, values by look ] each.
sub panel
{
	my ($top, $title, $last, @lines) = @_;
	my $most = max(1, map { grep { defined } @{ $_->[2] } } @lines);
	my $x = sub { return sprintf '%.1f', $left + $width * $_[0] / $last };
	my $svg = sprintf qq{<text x="%d" y="%d" class="t">%s</text>\n}, $left, $top - 8, $title;
	my $key = $left + $width;

	$svg .= sprintf qq{<text x="%d" y="%d" text-anchor="end">%s</text><text x="%d" y="%d" text-anchor="end">0</text>\n}, $left - 6,
	  $top + 10, $most >= 10 ? sprintf('%.0f', $most) : sprintf('%.2g', $most), $left - 6, $top + $height;
	$svg .= sprintf qq{<path class="a" d="M%d %dV%dH%d"/>\n}, $left, $top, $top + $height, $left + $width;
	$svg .= sprintf qq{<path class="k" d="M%s %dV%d"/>\n}, $x->($_->{at}), $top, $top + $height foreach grep { defined $_->{note} } @looks;
	for my $line (reverse @lines)
	{
		my ($label, $colour, $values) = @$line;
		my @points = map { defined $values->[$_]
			  ? sprintf('%s,%.1f', $x->($looks[$_]{at}), $top + $height - $height * $values->[$_] / $most) : () } 0 .. $#looks;

		$svg .= qq{<polyline points="@points" style="stroke:$colour"/>\n};
		$svg .= sprintf qq{<text x="%d" y="%d" text-anchor="end" style="fill:%s">%s</text>\n}, $key, $top - 8, $colour, $label;
		$key -= 12 + 8 * length $label;
	}
	return $svg;
}

sub values_of
{
	my ($kind, $what, $unit) = @_;

	return [ map { my $value = of_kind($_, $kind, $what); defined $value ? $value / $unit : undef } @looks ];
}

sub asked
{
	my ($what, $unit) = @_;

	return [ map { defined $_->{$what} ? $_->{$what} / ($unit // 1) : undef } @looks ];
}

# The looks as CSV and as SVG.
sub write_looks
{
	my ($base, $subtitle) = @_;
	my %colour = (worker => '#2f6db5', child => '#d9822b', launcher => '#3a9a5b', postmaster => '#777');
	my @kinds = sort keys %colour;
	my $last = max(1, map { $_->{at} } @looks);
	my @panels = (
		[ 'private memory, MB, the largest of a kind', map { [ $_, $colour{$_}, values_of($_, 2, 1024) ] } @kinds ],
		[ 'open files, the most of a kind', map { [ $_, $colour{$_}, values_of($_, 3, 1) ] } @kinds ],
		[ 'messages not read yet', [ 'all streams', '#2f6db5', asked('lag') ] ],
		[ 'catalogs, MB', [ 'all tables of txpipe', '#2f6db5', asked('catalogs', 1024) ] ],
		[ 'the largest table of at most 100 rows, kB', [ 'table', '#d9822b', asked('small') ] ],
		[ 'dead tuples in the catalogs', [ 'tuples', '#2f6db5', asked('dead') ] ],
		[ 'rows stored, thousands', [ 'from streams', '#2f6db5', asked('rows', 1000) ] ]);
	my $all = 60 + @panels * ($height + $gap);

	open my $svg, '>', "$base.svg" or die "$base.svg: $!";
	print $svg qq{<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 $all" width="820" height="$all" role="img">
<title>Soak</title><style>text{font:12px sans-serif;fill:#333}.t{font-weight:bold}path,polyline{fill:none}.a{stroke:#999}.k{stroke:#e3b7b0}polyline{stroke-width:1.5}</style>
<rect width="820" height="$all" fill="#fff"/><text x="$left" y="24">$subtitle</text>\n};
	print $svg panel(70 + $_ * ($height + $gap), $panels[$_][0], $last, @{ $panels[$_] }[ 1 .. $#{ $panels[$_] } ]) foreach 0 .. $#panels;
	print $svg "</svg>\n";
	close $svg or die "$base.svg: $!";
	open my $csv, '>', "$base.csv" or die "$base.csv: $!";
	print $csv join(',', 'seconds', 'what', (map { ("${_}_kb", "${_}_files") } @kinds), @asked), "\n";
	for my $look (@looks)
	{
		print $csv join(',', sprintf('%.1f', $look->{at}), $look->{note} // '',
			map { $_ // '' } (map { my $kind = $_; map { of_kind($look, $kind, $_) } 2, 3 } @kinds), @$look{@asked}), "\n";
	}
	close $csv or die "$base.csv: $!";
	return;
}

1;
