# Chart: how many times as fast as COPY of a CSV file each way into a table was, as bars in a plain SVG.
package Chart;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(max);

our @EXPORT = qw(write_chart);

my ($label_width, $bar_width, $row, $top) = (330, 400, 26, 58);

sub escaped
{
	my ($text) = @_;
	my %entity = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;');

	return $text =~ s/([&<>])/$entity{$1}/gr;
}

# One bar, with a line from the least to the most.
sub bar
{
	my ($i, $scale, $entry) = @_;
	my ($text, $kind, $least, $median, $most) = @$entry;
	my $y = $top + $i * $row;
	my $x = sub { return sprintf '%.1f', $label_width + $scale * $_[0] };

	return sprintf('<text x="%d" y="%d" text-anchor="end">%s</text>', $label_width - 8, $y + 14, escaped($text))
	  . sprintf('<rect class="%s" x="%d" y="%d" width="%.1f" height="18"/>', $kind, $label_width, $y, max(1, $scale * $median))
	  . sprintf('<path d="M%s %dH%s"/>', $x->($least), $y + 9, $x->($most))
	  . sprintf("<text x=\"%.1f\" y=\"%d\">%.2f</text>\n", $label_width + $scale * $most + 6, $y + 14, $median);
}

# entries: [ text, 'txpipe' or 'peer', least, median, most ], drawn in their order.
sub write_chart
{
	my ($file, $title, $subtitle, @entries) = @_;
	my $scale = $bar_width / max(1, map { $_->[4] } @entries);
	my $width = $label_width + $bar_width + 60;
	my $height = $top + @entries * $row + 10;
	my $one = $label_width + $scale;

	open my $out, '>', $file or die "$file: $!";
	print $out <<"SVG";
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" width="$width" height="$height" role="img">
<title>@{[ escaped($title) ]}</title>
<style>text{font:13px sans-serif;fill:#333}.txpipe{fill:#2f6db5}.peer{fill:#b9bec5}path{stroke:#333;stroke-width:1.5}</style>
<rect width="$width" height="$height" fill="#fff"/>
<text x="12" y="22" style="font-size:15px;font-weight:bold">@{[ escaped($title) ]}</text>
<text x="12" y="42" style="fill:#666">@{[ escaped($subtitle) ]}</text>
<path d="M$one @{[ $top - 4 ]}V@{[ $height - 10 ]}" style="stroke:#999;stroke-width:1;stroke-dasharray:3 3"/>
SVG
	print $out map { bar($_, $scale, $entries[$_]) } 0 .. $#entries;
	print $out "</svg>\n";
	close $out or die "$file: $!";
	return;
}

1;
