# A stand-in of a schema registry, strict about what it is asked: Confluent's REST interface as its answers were recorded,
# of schemas that a test writes into a directory. It is a process of its own, which ends with the test.
package TxpipeRegistry;

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use POSIX ();
use PostgreSQL::Test::Utils;
use TxpipeTest;

our @EXPORT = qw(start_registry stop_registry registry_server register_schema registered_schema registry_log produce_bytes produce_pairs avro_long avro_text wire single_object pb_number pb_bytes);

# {user_info}: user:password that is asked for. The same {port} again: it is back.
sub start_registry
{
	my (%o) = @_;
	my $dir    = $o{dir} // PostgreSQL::Test::Utils::tempdir();
	my $socket = IO::Socket::INET->new(Listen => 10, LocalAddr => '127.0.0.1', LocalPort => $o{port} // 0, ReuseAddr => 1)
	  or die "socket: $!";
	my $registry = { dir => $dir, port => $socket->sockport, url => 'http://127.0.0.1:' . $socket->sockport };
	my $pid      = fork() // die "fork: $!";

	if ($pid == 0)
	{
		$SIG{TERM} = 'DEFAULT';
		serve($socket, $dir, $o{user_info});
		POSIX::_exit(0);
	}
	close $socket;
	$registry->{pid} = own_process($pid);
	return $registry;
}

# A Kafka server whose registry has these addresses.
sub registry_server
{
	my ($node, $name, $broker, $urls) = @_;

	$node->safe_psql('postgres',
		"CREATE SERVER $name FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers '$broker->{servers}', schema_registry_url '$urls')");
	return;
}

sub stop_registry
{
	my ($registry) = @_;

	end_process($registry->{pid});
	return;
}

sub answer
{
	my ($client, $status, $body) = @_;
	my %reason = (200 => 'OK', 401 => 'Unauthorized', 404 => 'Not Found', 409 => 'Conflict');

	print $client "HTTP/1.1 $status $reason{$status}\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: "
	  . length($body)
	  . "\r\nConnection: close\r\n\r\n$body";
	return;
}

# A schema that is posted: registered under the subject, or looked for. What it says of itself tells that it is incompatible.
sub take_schema
{
	my ($client, $dir, $path, $body) = @_;
	my ($subject, $new) = $path =~ m{^subjects/([^/]+)(/versions)?$};
	my $schema = JSON::PP->new->decode($body)->{schema};
	my %of     = map { /ids (\d+)$/ => JSON::PP->new->decode(slurp_file($_))->{schema} } grep { / ids \d+$/ } glob(q{"} . $dir . q{/schemas ids *"});
	my ($id)   = grep { $of{$_} eq $schema } sort { $a <=> $b } keys %of;

	return answer($client, 409, '{"error_code":409,"message":"Schema being registered is incompatible with an earlier schema"}') if $schema =~ /"incompatible"/;
	$id = undef if !$new && !-e "$dir/subjects $subject versions latest";
	return answer($client, 404, '{"error_code":40403,"message":"Schema not found"}') if !$new && !defined $id;
	if ($new)
	{
		$id //= 1 + (sort { $b <=> $a } 100, keys %of)[0];
		register_schema({ dir => $dir }, $id, $schema);
		register_schema({ dir => $dir }, "subjects/$subject/versions/latest", $schema, subject => $subject, version => 1, id => $id);
	}
	return answer($client, 200, $new ? qq({"id":$id}) : JSON::PP->new->encode({ subject => $subject, version => 1, id => $id, schema => $schema }));
}

sub serve
{
	my ($socket, $dir, $user_info) = @_;

	while (getppid() != 1 && (my $client = $socket->accept))
	{
		my $request = '';

		while (defined(my $line = <$client>)) { $request .= $line; last if $line =~ /^\r?\n$/; }
		my ($path) = $request =~ m{^GET /(schemas/ids/[0-9]+|subjects/[^/ ]+/versions/(?:[0-9]+|latest)) HTTP/1\.[01]\r\n};
		my ($to)   = $request =~ m{^POST /(subjects/[^/ ]+(?:/versions)?) HTTP/1\.[01]\r\n};
		my $body   = '';

		$to = undef unless $request =~ m{^Content-Type: application/vnd\.schemaregistry\.v1\+json\r$}mi;
		read($client, $body, $1) if $request =~ /^Content-Length: (\d+)\r$/mi;
		my $file = $path && "$dir/" . ($path =~ s{/}{ }gr);
		my $want = defined $user_info ? encode_base64($user_info, '') : undef;

		append_to_file("$dir/log", ($path // ($to ? "POST $to" : 'nothing known')) . "\n");
		if (defined $want && $request !~ /^Authorization: Basic \Q$want\E\r$/mi)
		{
			answer($client, 401, '{"error_code":401,"message":"Unauthorized"}');
		}
		elsif ($to) { take_schema($client, $dir, $to, $body); }
		elsif (!$path) { answer($client, 404, '<html>no such page</html>'); }
		elsif (-e $file) { answer($client, 200, slurp_file($file)); }
		else { answer($client, 404, '{"error_code":40403,"message":"Schema not found"}'); }
		close $client;
	}
	return;
}

# As id, or under the name of a subject and its version. {references}: [{name, subject, version}], {schemaType}.
sub register_schema
{
	my ($registry, $path, $schema, %more) = @_;
	my $file = "$registry->{dir}/" . (($path =~ /^\d+$/ ? "schemas/ids/$path" : $path) =~ s{/}{ }gr);

	# Under its name at once: it may be asked for meanwhile.
	append_to_file("$file.new", JSON::PP->new->encode({ schema => $schema, %more }));
	rename "$file.new", $file or die "$file: $!";
	return;
}

# The text it has at that path, or undef.
sub registered_schema
{
	my ($registry, $path) = @_;
	my $file = "$registry->{dir}/" . ($path =~ s{/}{ }gr);

	return -e $file ? JSON::PP->new->decode(slurp_file($file))->{schema} : undef;
}

sub registry_log { return -e "$_[0]{dir}/log" ? slurp_file("$_[0]{dir}/log") : ''; }

# One message each, of any bytes.
sub produce_bytes
{
	my ($broker, $topic, @values) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();

	for my $value (@values)
	{
		open my $fh, '>:raw', "$dir/value" or die $!;
		print $fh $value;
		close $fh;
		system_or_bail('kcat', '-P', '-b', $broker->{servers}, '-t', $topic, '-p', 0, "$dir/value");
	}
	return;
}

# Pairs of key and value, of any bytes; a value that is undef is none. To partition 0, or each to that of its key.
sub produce_pairs
{
	my ($broker, $topic, $by_key, @pairs) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/pairs';

	open my $fh, '>:raw', $file or die $!;
	print $fh map { "$_->[0]<key ends>" . ($_->[1] // '') . '<message ends>' } @pairs;
	close $fh;
	system_or_bail('kcat', '-P', '-b', $broker->{servers}, '-t', $topic, ($by_key ? () : ('-p', 0)),
		'-K', '<key ends>', '-D', '<message ends>', '-Z', '-l', $file);
	return scalar @pairs;
}

# --- values in Avro's encoding ---

sub avro_long
{
	my ($v) = @_;
	my $raw = $v < 0 ? -2 * $v - 1 : 2 * $v;
	my $out = '';

	do
	{
		$out .= chr(($raw & 0x7f) | ($raw > 0x7f ? 0x80 : 0));
		$raw >>= 7;
	} while ($raw > 0);
	return $out;
}

sub avro_text { return avro_long(length $_[0]) . $_[0]; }

# --- and in Protobuf's ---

sub pb_varint
{
	my ($v) = @_;
	my $out = '';

	# Negative ones have 64 bits.
	use integer;
	for (1 .. 10)
	{
		my $rest = ($v >> 7) & ~(127 << 57);
		$out .= chr(($v & 0x7f) | ($rest ? 0x80 : 0));
		last unless $v = $rest;
	}
	return $out;
}

# Fields: a number, and bytes, a text or a message.
sub pb_number { return pb_varint($_[0] << 3) . pb_varint($_[1]); }
sub pb_bytes  { return pb_varint($_[0] << 3 | 2) . pb_varint(length $_[1]) . $_[1]; }

# A value with its schema's number, in the wire format.
sub wire { return pack('C N', 0, $_[0]) . $_[1]; }

# A value as single object; the fingerprint as its sixteen hexadecimal digits.
sub single_object { return "\xc3\x01" . reverse(pack('H16', $_[0])) . $_[1]; }

1;
