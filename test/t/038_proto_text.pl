# .proto files: the descriptor that the child makes of their text is the one that protoc makes, as protoc itself sees it once it has
# resolved the names of types. Of options protoc's own has more; what the child leaves out is taken out of both.
use strict;
use warnings;

use File::Spec;
use PostgreSQL::Test::Utils;
use Test::More;

my $tree  = $ENV{TXPIPE_TREE};
my $dir   = PostgreSQL::Test::Utils::tempdir();
my $known = '/usr/include';

plan skip_all => 'protoc is not installed' if !grep { -x "$_/protoc" } File::Spec->path;
plan skip_all => "$known has no google/protobuf/descriptor.proto" if !-e "$known/google/protobuf/descriptor.proto";

system_or_bail("cc -std=c11 -D_GNU_SOURCE -I'$tree/src' -o $dir/proto_cli $tree/test/decode/proto_cli.c "
	  . "$tree/src/decode/*.c -ljansson -lcrypto -lm");

sub path_of
{
	my ($name) = @_;
	my ($path) = grep { -e } "$tree/test/decode/proto/$name", "$known/$name";

	return $path // die "there is no $name";
}

# The file behind all it imports.
sub with_imports
{
	my ($name, $seen) = @_;
	my $text = slurp_file(path_of($name));

	return () if $seen->{$name}++;
	return ((map { with_imports($_, $seen) } $text =~ /^\s*import\s+(?:public\s+|weak\s+)?"([^"]+)"/mg), $name);
}

# A set's text without services, and of options but those that say how values are read.
sub shown
{
	my ($set) = @_;
	my (@kept, @open);

	for my $line (split /\n/, `protoc -I$known --decode=google.protobuf.FileDescriptorSet google/protobuf/descriptor.proto <$set`)
	{
		my $within = join ' ', @open;

		if ($line =~ /(\w+) \{$/)   { push @open, $1; $within = join ' ', @open; }
		elsif ($line =~ /^ *\}$/)   { pop @open; }
		next if $within =~ /\bservice\b/;
		next if $line =~ /^ *1000: /; # a comment, TXD_PROTO_DOC
		next if $within =~ /\boptions\b/ && $line !~ /^ *(?:packed|map_entry|allow_alias): /;
		push @kept, $line;
	}
	return join "\n", @kept, '';
}

my @samples = map { s{.*/}{}r } glob "$tree/test/decode/proto/*.proto";
my @google  = map { s{^\Q$known\E/}{}r } glob "$known/google/protobuf/*.proto";

for my $name (@samples, @google)
{
	my @files = with_imports($name, {});

	system_or_bail("protoc -I$tree/test/decode/proto -I$known --descriptor_set_out=$dir/protoc.set $name 2>/dev/null");
	system_or_bail("$dir/proto_cli " . join(' ', map { "$_=" . path_of($_) } @files) . " >$dir/text.set");
	system_or_bail("protoc --descriptor_set_in=$dir/text.set --descriptor_set_out=$dir/resolved.set $name");
	my $want = shown("$dir/protoc.set");

	cmp_ok(length $want, '>', 50, "protoc has a descriptor of $name");
	is(shown("$dir/resolved.set"), $want, "the descriptor of $name is protoc's");
}

done_testing();
