# docs/reference.md is what docs/make-reference writes about the extension as it is, and the links of all documents lead somewhere.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use lib 't';
use TxpipeTest;

my $tree   = $ENV{TXPIPE_TREE} // '.';
my $node   = new_node('docs');
my $output = PostgreSQL::Test::Utils::tempdir() . '/reference.md';

# --- The same from an empty database and from one in use ---

start_node($node);
$node->safe_psql('postgres', 'CREATE DATABASE used');
$node->safe_psql('used',     'CREATE EXTENSION txpipe; SELECT txpipe.create_warehouse()');
my $empty = reference('postgres');
is($node->safe_psql('postgres', "SELECT to_regnamespace('dwh') IS NULL"), 't', 'make-reference leaves the database as it was');
is(reference('used'), $empty, 'the reference depends on the extension alone');

# --- It is complete, by the catalog's own account ---

my @names = split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT quote_ident(p.proname) FROM pg_proc p WHERE p.pronamespace = 'txpipe'::regnamespace
UNION SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'txpipe'::regnamespace AND c.relkind IN ('r', 'v')
    AND has_table_privilege('public', c.oid, 'SELECT')
UNION SELECT name FROM pg_settings WHERE name LIKE 'txpipe.%'
UNION SELECT name FROM txpipe.option
SQL
cmp_ok(scalar @names, '>', 150, 'there are functions, views, settings and options');
my @missing = grep { $empty !~ /^(?:### |\| `)\Q$_\E(?:`|$)/m } @names;
is("@missing", '', 'each function, view, setting and option is in the reference');
unlike($empty, qr/^\| `[0-9A-Z]{5}` \|.*\|  \|$/m, 'each SQLSTATE has a meaning in docs/make-reference');

# --- The committed file ---

my $is_current = slurp_file("$tree/docs/reference.md") eq $empty;
ok($is_current, 'docs/reference.md is up to date');
if (!$is_current)
{
	# The directory of the test outlives a failed run.
	my $kept = ($ENV{TESTDIR} // '.') . '/reference.md';
	open my $fh, '>', $kept or die "$kept: $!";
	print $fh $empty;
	close $fh;
	diag("COMMENTs, settings, options or codes have changed. Renew the file and commit it:\n    cp $kept docs/reference.md\n"
		  . 'or, with a server that has this version: docs/make-reference >docs/reference.md');
}

# --- Links ---

my @broken = map { broken_links($_) } glob "$tree/*.md $tree/docs/*.md";
is(join("\n", @broken), '', 'links between the documents lead to a file and a heading');

log_is_clean($node);
done_testing();

# The relative links of a document without a target.
sub broken_links
{
	my ($path) = @_;
	my ($folder) = $path =~ m{^(.*)/};
	my $text = slurp_file($path) =~ s/^```.*?^```//gmsr =~ s/`[^`\n]*`//gr;
	my @result;

	while ($text =~ /\]\(([^)\s:#]*)(?:#([^)\s]*))?\)/g)
	{
		my ($name, $anchor) = ($1, $2);
		my $file = $name eq '' ? $path : "$folder/$name";
		push @result, "$path: $name" . ($anchor ? "#$anchor" : '')
		  unless -e $file && (!defined $anchor || grep { $_ eq $anchor } anchors($file));
	}
	return @result;
}

# The headings of a document as they are linked to.
sub anchors
{
	my ($path) = @_;
	my @headings = slurp_file($path) =~ /^#+ (.*)$/mg;

	return map { lc =~ s/[^\w -]//gr =~ s/ /-/gr } @headings;
}

sub reference
{
	my ($database) = @_;

	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	system("'$tree/docs/make-reference' $database >'$output'") == 0 or die 'make-reference failed';
	return slurp_file($output);
}
