# StreamBench: a backlog of messages into tables, by streams and by what one would use without them, in turns.
package StreamBench;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;
use List::Util qw(max min uniq);
use PeerBench;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);
use TxpipeBench;

our @EXPORT = qw(choose_stream_cases stream_topics measure_streams $event_mapping $event_columns);

# The names of the topic's fields do not match the columns of the objects inside.
my %mapping = (
	event_type => 'eventType', customer_id => 'customerId', product_id => 'productId', timestamp => 'timestamp',
	quantity => 'quantity', total_amount => 'totalAmount', payment_method => 'paymentMethod',
	category => 'metadata.category', source => 'metadata.source',
	recommended_product_id => 'recommendedProductId', algorithm => 'algorithm');
my @order = qw(event_type customer_id product_id timestamp quantity total_amount payment_method category source
	recommended_product_id algorithm);

our $event_mapping = encode_json(\%mapping);
my $keyed_mapping = encode_json({ %mapping, event_id => 'eventId' });
my $encrypted_mapping =
  encode_json({ %mapping, map { $_ => { path => $mapping{$_}, as => 'encrypt' } } qw(customer_id payment_method) });
my $csv_mapping = encode_json({ map { $order[ $_ - 1 ] => "$_" } 1 .. @order });

my $avro_schema = encode_json({ type => 'record', name => 'event', fields => [
	map { { name => $_->[0], type => $_->[1] } }
	  [ eventType => 'string' ], [ customerId => 'int' ], [ productId => 'string' ],
	  [ timestamp => { type => 'long', logicalType => 'local-timestamp-millis' } ], [ quantity => 'int' ],
	  [ totalAmount => { type => 'bytes', logicalType => 'decimal', precision => 10, scale => 2 } ], [ paymentMethod => 'string' ],
	  [ metadata => { type => 'record', name => 'metadata', fields => [ map { { name => $_, type => 'string' } } qw(category source) ] } ],
	  [ recommendedProductId => 'string' ], [ algorithm => 'string' ] ] });

my $protobuf_schema = <<'PROTO';
syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Event {
	string eventType = 1; int32 customerId = 2; string productId = 3; google.protobuf.Timestamp timestamp = 4; int32 quantity = 5;
	double totalAmount = 6; string paymentMethod = 7; Metadata metadata = 8; string recommendedProductId = 9; string algorithm = 10;
}
message Metadata { string category = 1; string source = 2; }
PROTO

our $event_columns = <<'SQL';
	event_type text, customer_id integer, product_id text, "timestamp" timestamp,
	quantity integer CHECK (quantity > 0), total_amount numeric(10,2), payment_method text,
	category text, source text, recommended_product_id text, algorithm text
SQL

# Two of the eleven, and what they were.
my $encrypted_columns = $event_columns =~ s/(customer_id|payment_method) \w+/$1 bytea/gr;
my %decrypted = (customer_id => "txpipe.decrypt(customer_id, 'bench')::integer", payment_method => "txpipe.decrypt(payment_method, 'bench')");

# What json_populate_record takes apart, and how its rows become ours.
my $event_types = <<'SQL';
CREATE TYPE event_metadata AS (category text, source text);
CREATE TYPE event AS ("eventType" text, "customerId" integer, "productId" text, "timestamp" timestamp, quantity integer,
	"totalAmount" numeric(10,2), "paymentMethod" text, metadata event_metadata, "recommendedProductId" text, algorithm text)
SQL

my $event_rows = <<'SQL';
INSERT INTO copied SELECT "eventType", "customerId", "productId", "timestamp", quantity, "totalAmount", "paymentMethod",
	(metadata).category, (metadata).source, "recommendedProductId", algorithm
FROM raw CROSS JOIN LATERAL json_populate_record(NULL::event, message::json)
SQL

# With keys that exist: every row has another quantity before.
my $older = 'INSERT INTO %s SELECT event_id, ' . join(', ', map { $_ eq 'quantity' ? 100 : "\"$_\"" } @order) . ' FROM source';
my $upsert = 'INSERT INTO copied_keyed SELECT * FROM source ON CONFLICT (event_id) DO UPDATE SET '
  . join(', ', map { "\"$_\" = excluded.\"$_\"" } @order);

my $step = <<'SQL';
INSERT INTO public.step_totals AS t SELECT event_type, count(*), sum(total_amount) FROM batch GROUP BY 1 ORDER BY 1
ON CONFLICT (event_type) DO UPDATE SET events = t.events + excluded.events, amount = t.amount + excluded.amount
SQL

my ($b, $sql, $messages);

# The names are those of the figures. topic and form: what is read; into: the table that is filled; read: what its columns are read by, where not by their names; part: slow ones get fewer
# messages; needs: a variable of the environment, without which the peer is left out; against: other cases, and how many times
# as fast we want to be.
my @cases = (
	{ name => 'copy_csv', text => 'COPY, CSV file', run => \&copy, into => 'copied', format => 'csv' },
	{ name => 'copy_csv_2', text => 'COPY, CSV file, by two sessions', run => \&copy_by_two, into => 'copied' },
	{ name => 'copy_binary', text => 'COPY, BINARY file', run => \&copy, into => 'copied', format => 'binary' },
	{ name => 'json_sql', text => 'json_populate_record, from a text table', run => \&json_in_sql, into => 'copied' },
	{ name => 'kcat_csv', text => 'kcat | psql, CSV messages', run => \&kcat_csv, into => 'copied', topic => 'csv' },
	{ name => 'kcat_json', text => 'kcat | psql, then json_populate_record', run => \&kcat_json, into => 'copied', topic => 'clean' },
	{ name => 'spark', text => 'Spark Structured Streaming to JDBC', run => sub { return spark_events($b, @_) }, into => 'copied',
		topic => 'spark', part => 0.25, needs => 'TXPIPE_SPARK' },
	{ name => 'debezium', text => 'Kafka Connect, Debezium JDBC sink', run => sub { return connect_events($b, @_) }, into => 'copied',
		topic => 'debezium', form => 'schema_json', part => 0.1, needs => 'TXPIPE_CONNECT' },
	{ name => 'drain', text => 'librdkafka alone, no database', run => \&drain, topic => 'clean' },
	{ name => 'clean', text => 'stream, JSON', run => \&stream, topic => 'clean', into => 'streamed',
		against => [ copy_csv => 1.3, json_sql => 4, kcat_json => 0, spark => 10, debezium => 10 ] },
	{ name => 'async', text => 'stream, JSON, synchronous_commit = off', run => \&stream, topic => 'clean', into => 'streamed',
		async => 1, against => [ copy_csv => 0, clean => 0 ] },
	{ name => 'encrypted', text => 'stream, JSON, 2 of 11 columns encrypted', run => \&stream, topic => 'clean', into => 'streamed_encrypted',
		columns => $encrypted_mapping, read => \%decrypted, against => [ clean => 0 ] },
	{ name => 'csv', text => 'stream, CSV messages', run => \&stream, topic => 'csv', form => 'csv', into => 'streamed',
		columns => $csv_mapping, against => [ copy_csv => 1.4, kcat_csv => 0 ] },
	{ name => 'avro', text => 'stream, Avro', run => \&stream, topic => 'avro', form => 'avro', into => 'streamed',
		against => [ copy_csv => 0, clean => 0.9 ] },
	{ name => 'protobuf', text => 'stream, Protobuf', run => \&stream, topic => 'protobuf', form => 'protobuf', into => 'streamed',
		against => [ copy_csv => 0, clean => 0.9 ] },
	{ name => 'step', text => 'stream, JSON, one aggregate step', run => \&stream, topic => 'clean', into => 'streamed',
		step => $step, against => [ copy_csv => 0.9 ] },
	{ name => 'poison_1', text => 'stream, 1 % poison', run => \&stream, topic => 'poison_1', into => 'streamed', poison => 1 },
	{ name => 'refused_1', text => 'stream, 1 % refused by a CHECK', run => \&stream, topic => 'refused_1', into => 'streamed',
		refused => 1 },
	{ name => 'poison_100', text => 'stream, 100 % poison', run => \&stream, topic => 'poison_100', into => 'streamed', poison => 100 },
	{ name => 'copy_keyed', text => 'COPY, CSV file, primary key', run => \&copy, into => 'copied_keyed', format => 'keyed_csv' },
	{ name => 'keyed', text => 'stream, JSON, primary key', run => \&stream, topic => 'keyed', form => 'keyed_json',
		into => 'streamed_keyed', columns => $keyed_mapping, against => [ copy_keyed => 1 ] },
	{ name => 'upsert_sql', text => 'INSERT ... ON CONFLICT, keys exist', run => \&upsert_in_sql, into => 'copied_keyed' },
	{ name => 'upsert', text => 'stream, JSON, upsert, keys exist', run => \&stream, topic => 'keyed', form => 'keyed_json',
		into => 'streamed_keyed', columns => $keyed_mapping, mode => 'upsert', against => [ upsert_sql => 1 ] });

# Those that are wanted, all when none is named, and that are here.
sub choose_stream_cases
{
	my (@names) = @_;
	my %wanted = map { $_ => 1 } @names;

	@cases = grep { (!@names || $wanted{ $_->{name} }) && (!$_->{needs} || $ENV{ $_->{needs} }) } @cases;
	return;
}

sub topics
{
	return uniq(grep { defined } map { $_->{topic} } @cases);
}

sub stream_topics
{
	my ($partitions) = @_;

	return map { "$_:$partitions" } topics();
}

# --- what is read ---

sub file_of
{
	my ($form) = @_;
	my $file = "$b->{dir}/rows.$form";

	system_or_bail('sh', '-c', "'$ENV{TXPIPE_TREE}/build/test/bench_messages' rows $messages $form >'$file'") unless -e $file;
	return $file;
}

sub fill_topic
{
	my ($topic) = @_;
	my @of = grep { ($_->{topic} // '') eq $topic } @cases;
	my ($form) = grep { defined } map { $_->{form} } @of;
	my $count = max(min($messages, 100000), int($messages * ($of[0]{part} // 1)));
	my ($sound, $poison, $refused) = tool('produce', $b->{broker}{servers}, $topic, $b->{opt}{partitions}, $count,
		'--form', $form // ($topic eq 'csv' ? 'csv' : 'json'), '--poison', $of[0]{poison} // 0, '--refused', $of[0]{refused} // 0);
	my ($held) = ask($sql, "SELECT messages FROM txpipe.topics('bench') WHERE topic = '$topic'");

	die "the broker holds $held messages of $count\n" if $held != $count;
	@$_{qw(rows dead)} = ($sound, $poison + $refused) for @of;
	return;
}

# The topics of the streams, and the same rows as files and tables.
sub prepare
{
	my %needed = map { $_->{name} => 1, $_->{into} // '' => 1 } @cases;

	fill_topic($_) for topics();
	ask($sql, "CREATE TABLE $_ ($event_columns)") for qw(copied streamed);
	ask($sql, "CREATE TABLE ${_}_keyed (event_id bigint PRIMARY KEY, $event_columns)") for qw(copied streamed);
	ask($sql, "CREATE TABLE streamed_encrypted ($encrypted_columns)");
	ask($sql, "CREATE USER MAPPING FOR CURRENT_USER SERVER bench OPTIONS (encryption_key '" . 'k' x 64 . "')") if $needed{encrypted};
	ask($sql, "CREATE TABLE source (event_id bigint, $event_columns)");
	ask($sql, 'CREATE TABLE raw (message text)');
	ask($sql, 'CREATE TABLE step_totals (event_type text PRIMARY KEY, events bigint, amount numeric)');
	ask($sql, $_) for split /;\n/, $event_types;
	ask($sql, "COPY copied FROM '" . file_of('csv') . "' (FORMAT csv)");
	ask($sql, "COPY copied TO '$b->{dir}/rows.binary' (FORMAT binary)");
	system_or_bail('split', '-n', 'l/2', '-d', file_of('csv'), "$b->{dir}/half.");
	ask($sql, "COPY raw FROM '" . file_of('json') . "'") if $needed{json_sql};
	ask($sql, "COPY source FROM '" . file_of('keyed_csv') . "' (FORMAT csv)") if grep { /keyed/ } keys %needed;
	ask($sql, 'VACUUM ANALYZE');
	return;
}

# --- the cases: each returns its seconds and the CPU that was used ---

sub timed
{
	my ($code) = @_;

	ask($sql, 'CHECKPOINT');
	my $before = $b->{look}->();
	my $begin  = time();
	my $peer   = $code->();
	my $seconds = time() - $begin;
	my %cpu     = usage_between($before, $b->{look}->());

	return { seconds => $seconds, cpu => { %cpu, peer => $peer } };
}

sub copy
{
	my ($case) = @_;
	my $file = $case->{format} eq 'binary' ? "$b->{dir}/rows.binary" : file_of($case->{format});
	my $format = $case->{format} eq 'binary' ? 'binary' : 'csv';

	ask($sql, "TRUNCATE $case->{into}");
	return timed(sub { ask($sql, "COPY $case->{into} FROM '$file' (FORMAT $format)"); return 0 });
}

sub copy_by_two
{
	my ($case) = @_;

	$b->{second} //= session($b->{node});
	ask($sql, 'TRUNCATE copied');
	return timed(
		sub {
			ask_later($sql, "COPY copied FROM '$b->{dir}/half.00' (FORMAT csv)");
			ask($b->{second}, "COPY copied FROM '$b->{dir}/half.01' (FORMAT csv)");
			answer($sql);
			return 0;
		});
}

sub json_in_sql
{
	ask($sql, 'TRUNCATE copied');
	return timed(sub { ask($sql, $event_rows); return 0 });
}

sub upsert_in_sql
{
	fill_older('copied_keyed');
	return timed(sub { ask($sql, $upsert); return 0 });
}

sub fill_older
{
	my ($table) = @_;

	ask($sql, "TRUNCATE $table");
	ask($sql, sprintf $older, $table);
	ask($sql, "VACUUM ANALYZE $table");
	return;
}

# kcat reads to the ends of the partitions; what it takes is not more than librdkafka needs.
sub kcat_into
{
	my ($topic, $copy) = @_;
	my $from = $b->{node}->connstr('postgres');

	return shell("kcat -C -e -q -b '$b->{broker}{servers}' -t $topic -o beginning -X queued.min.messages=1000000 "
		  . "-X queued.max.messages.kbytes=262144 -X fetch.message.max.bytes=8388608 "
		  . "| psql -Xq -v ON_ERROR_STOP=1 -d \"$from\" -c \"$copy\"");
}

sub kcat_csv
{
	ask($sql, 'TRUNCATE copied');
	return timed(sub { return kcat_into('csv', 'COPY copied FROM STDIN (FORMAT csv)') });
}

sub kcat_json
{
	ask($sql, 'CREATE TABLE held AS TABLE raw WITH NO DATA');
	ask($sql, 'TRUNCATE copied');
	my $result = timed(
		sub {
			my $cpu = kcat_into('clean', 'COPY held FROM STDIN');
			ask($sql, $event_rows =~ s/FROM raw/FROM held/r);
			return $cpu;
		});
	ask($sql, 'DROP TABLE held');
	return $result;
}

sub drain
{
	my ($case) = @_;
	my $before = $b->{look}->();
	my ($seconds, $own) = tool('drain', $b->{broker}{servers}, $case->{topic}, $b->{opt}{partitions}, $messages);
	my %cpu = usage_between($before, $b->{look}->());

	# The reader is a process of its own, in the place of txpipe_io.
	$cpu{child} = $own;
	return { seconds => $seconds, cpu => \%cpu };
}

sub create
{
	my ($case) = @_;
	my ($format) = ($case->{form} // 'json') =~ /(json|csv|avro|protobuf)$/;
	my $options = encode_json({ refused_budget => 0, refused_ratio => 0, ($case->{mode} ? (mode => $case->{mode}) : ()),
		($format eq 'avro' ? (avro_schema => $avro_schema) : ()),
		($format eq 'protobuf' ? (protobuf_schema => $protobuf_schema, protobuf_message => 'Event') : ()) });
	my $columns = $case->{columns} // $event_mapping;

	ask($sql, 'TRUNCATE txpipe.dead_letter_store, txpipe.batch_history_store, step_totals');
	$case->{mode} ? fill_older($case->{into}) : ask($sql, "TRUNCATE $case->{into}");
	ask($sql, "SELECT txpipe.create_stream('$case->{name}', 'bench', '$case->{topic}', '$case->{into}', format => '$format',
		columns => '$columns', paused => true, options => '$options'::jsonb || '$b->{opt}{options}')");
	ask($sql, "SELECT txpipe.on_batch('$case->{name}', 'totals', \$\$$case->{step}\$\$)") if $case->{step};
	ask($sql, 'CHECKPOINT');
	return;
}

# Whether commits of all sessions, the workers' too, return before they are on disk.
sub commit_later
{
	my ($later) = @_;

	ask($sql, 'ALTER SYSTEM ' . ($later ? 'SET synchronous_commit = off' : 'RESET synchronous_commit'));
	ask($sql, 'SELECT pg_reload_conf()');
	return;
}

# From the first message that was decoded to the commit of the last batch that a reader sees.
sub stream
{
	my ($case) = @_;
	my $name = $case->{name};

	create($case);
	commit_later(1) if $case->{async};
	my $before = $b->{look}->();
	my $asked  = time();
	ask($sql, "SELECT txpipe.resume_stream('$name')");
	my $end = $b->{await}->($name, $messages);
	my %cpu = usage_between($before, $b->{look}->());
	$cpu{backend} = 0;    # our own looks
	my ($begin, $batches, @stages) = split ' ', ask($sql, <<"SQL");
SELECT extract(epoch FROM min(finished_at - (gather_us + wait_us + write_us + store_us) / batches * interval '1 us')),
	sum(batches), sum(gather_us - decode_us) / 1e6, sum(decode_us) / 1e6, sum(wait_us) / 1e6, sum(write_us) / 1e6,
	sum(store_us) / 1e6, sum(coalesce(commit_us, 0)) / 1e6
FROM txpipe.batch_history WHERE stream = '$name'
SQL
	commit_later(0) if $case->{async};
	check_dead_letters($case);
	ask($sql, 'TRUNCATE txpipe.dead_letter_store');
	ask($sql, "SELECT txpipe.drop_stream('$name')");
	return { seconds => $end - $begin, cpu => \%cpu, start => $begin - $asked, batches => $batches, stages => \@stages };
}

# --- the rows ---

sub check_dead_letters
{
	my ($case) = @_;
	my ($dead) = ask($sql, 'SELECT count(*) FROM txpipe.dead_letter_store');
	my ($stepped) = ask($sql, 'SELECT coalesce(sum(events), 0) FROM step_totals');

	die "$case->{name}: $dead dead letters, not $case->{dead}\n" if $dead != $case->{dead};
	die "$case->{name}: the step saw $stepped rows of $messages\n" if $case->{step} && $stepped != $messages;
	return;
}

sub sum_of
{
	my ($from) = @_;

	return (ask($sql, "SELECT sum(hashtextextended(t::text, 0)) FROM $from AS t"))[0];
}

sub expected_sum
{
	my ($rows) = @_;

	ask($sql, 'CREATE TEMP TABLE expected (LIKE copied)');
	ask($sql, sprintf q{COPY expected FROM PROGRAM 'head -n %d "%s"' (FORMAT csv)}, $rows, file_of('csv'));
	my $sum = sum_of('expected');
	ask($sql, 'DROP TABLE expected');
	return $sum;
}

# Speed counts only when the rows are right: all of them, and once equal to what COPY makes of the same rows.
sub check_rows
{
	my ($case) = @_;
	my $wanted = $case->{rows} // $messages;

	return unless $case->{into};
	my ($rows) = ask($sql, "SELECT count(*) FROM $case->{into}");
	die "$case->{name}: $rows rows, not $wanted\n" if $rows != $wanted;
	return if $case->{checked}++ || $case->{dead};
	my $columns = join ', ', map { $case->{read}{$_} // "\"$_\"" } @order;
	$b->{sum}{$wanted} //= expected_sum($wanted);
	die "$case->{name}: the rows are not those that COPY loads\n"
	  if sum_of("(SELECT $columns FROM $case->{into})") ne $b->{sum}{$wanted};
	return;
}

# --- measuring ---

# Round 0 warms up. Each round begins with another case, so that none always runs after the same.
# c: node, sql, broker, dir, opt, say, figure, look, await and rounds of bench/measure.
sub measure_streams
{
	($b) = @_;
	($sql, $messages) = ($b->{sql}, $b->{opt}{messages});
	push @{ $b->{cases} }, map { [ $_->{name}, $_->{text} ] } @cases;

	$b->{say}->("\nproducing the backlogs");
	prepare();
	for my $round (0 .. $b->{opt}{rounds})
	{
		for my $i (0 .. $#cases)
		{
			my $case   = $cases[ ($i + $round) % @cases ];
			my $result = $case->{run}->($case);

			check_rows($case);
			$result = { section => 'streams', round => $round, case => $case->{name}, %$result,
				rate => ($result->{rows} // $messages) / $result->{seconds} };
			$b->{say}->(sprintf '  round %d  %-12s %10.0f messages/s, %.2f cores of others', $round, $case->{name},
				$result->{rate}, $result->{cpu}{others});
			next if $round == 0;
			push @{ $b->{rounds} }, $result;
			push @{ $case->{results} }, $result;
		}
	}
	report_rates();
	report_targets();
	report_cpu();
	report_stages();
	return;
}

sub case_of
{
	my ($name) = @_;

	return (grep { $_->{name} eq $name } @cases)[0];
}

# Of a figure with a value for each round.
sub middle
{
	my (undef, $median) = $b->{figure}->(@_);

	return $median;
}

# The ratios within each round: what slows a whole round down leaves them alone.
sub ratios
{
	my ($case, $name) = @_;
	my $other = case_of($name) or return;

	return map { $case->{results}[$_]{rate} / $other->{results}[$_]{rate} } 0 .. $#{ $case->{results} };
}

sub report_rates
{
	my @rows = ([ '', 'least', 'messages/s', 'most', 'of CSV: least', 'median', 'most', 'of CSV by two', 'of BINARY', 'others' ]);

	for my $case (@cases)
	{
		my ($name, @results) = ($case->{name}, @{ $case->{results} });
		my @of_csv = $b->{figure}->("$name.of_copy_csv", [ ratios($case, 'copy_csv') ], 'ratio');

		push @rows, [ $case->{text}, map({ sprintf '%.0f', $_ } $b->{figure}->("$name.rate", [ map { $_->{rate} } @results ], 'messages/s')),
			map({ defined ? sprintf '%.2f', $_ : '' } @of_csv[ 0 .. 2 ],
				map { middle("$name.of_$_", [ ratios($case, $_) ], 'ratio') } qw(copy_csv_2 copy_binary)),
			sprintf '%.2f', middle("$name.others", [ map { $_->{cpu}{others} } @results ], 'cores') ];
	}
	$b->{say}->("\nA backlog of $messages messages in $b->{opt}{partitions} partitions, least, median and most of $b->{opt}{rounds} rounds; "
		  . "ratios are taken\nwithin a round; others: cores busy with other processes\n\n" . table(@rows));
	return;
}

sub report_targets
{
	my @rows = ([ '', 'beside', 'least', 'median', 'most', 'wanted' ]);

	for my $case (grep { $_->{against} } @cases)
	{
		my @against = @{ $case->{against} };

		while (my ($name, $wanted) = splice @against, 0, 2)
		{
			my @of = $b->{figure}->("$case->{name}.of_$name", [ ratios($case, $name) ], 'ratio');

			push @rows, [ $case->{text}, case_of($name)->{text}, map({ sprintf '%.2f', $_ } @of), $wanted ? "$wanted" : '' ] if @of;
		}
	}
	$b->{say}->("\nHow many times as fast as its peer\n\n" . table(@rows)) if @rows > 1;
	return;
}

# All processes of a side but the broker; beside them what COPY makes of a CPU second.
sub report_cpu
{
	my @rows = ([ '', 'rows per CPU s', 'of CSV', 'of CSV by two', 'session or worker', 'child or peer', 'server', 'broker' ]);

	for my $case (@cases)
	{
		for my $result (@{ $case->{results} })
		{
			my $cpu = $result->{cpu};

			$result->{efficiency} = ($result->{rows} // $messages) / (($cpu->{worker} + $cpu->{backend} + $cpu->{child} + ($cpu->{peer} // 0) + $cpu->{server}) || 0.01);
		}
	}
	for my $case (@cases)
	{
		my ($name, @results) = ($case->{name}, @{ $case->{results} });
		my $of = sub {
			my $other = case_of($_[0]) or return '';
			return sprintf '%.2f', middle("$name.efficiency_of_$_[0]",
				[ map { $results[$_]{efficiency} / $other->{results}[$_]{efficiency} } 0 .. $#results ], 'ratio');
		};
		my $cpu = sub {
			my ($label, @of) = @_;
			return sprintf '%.2f', middle("$name.cpu_$label", [ map { sum_cpu($_->{cpu}, @of) / ($_->{rows} // $messages) * 1e6 } @results ],
				's per million messages');
		};

		push @rows, [ $case->{text},
			sprintf('%.0f', middle("$name.efficiency", [ map { $_->{efficiency} } @results ], 'rows per CPU second')),
			$of->('copy_csv'), $of->('copy_csv_2'), $cpu->('session', 'worker', 'backend'), $cpu->('child', 'child', 'peer'),
			$cpu->('server', 'server'), $cpu->('broker', 'broker') ];
	}
	$b->{say}->("\nRows per CPU second of all processes but the broker's, and CPU seconds per million messages\n\n" . table(@rows));
	return;
}

sub sum_cpu
{
	my ($cpu, @labels) = @_;
	my $sum = 0;

	$sum += $cpu->{$_} // 0 for @labels;
	return $sum;
}

sub report_stages
{
	my @stages = ([ '', 'batches', 'fetch', 'decode', 'wait', 'write', 'store', 'commit', 'start' ]);

	for my $case (grep { $_->{run} == \&stream } @cases)
	{
		my @results = @{ $case->{results} };
		my @sums = map { my $i = $_; median(map { $_->{stages}[$i] } @results) } 0 .. 5;

		push @stages, [ $case->{text}, median(map { $_->{batches} } @results), map({ sprintf '%.2f', $_ / $messages * 1e6 } @sums),
			sprintf('%.2f', median(map { $_->{start} } @results)) ];
	}
	$b->{say}->("\nWhere the time of a million messages went, seconds. Fetch and decode are the child's, the others the "
		  . "worker's:\nthey overlap. Start: from resume_stream to the first message, not part of the rates\n\n" . table(@stages))
	  if @stages > 1;
	return;
}

1;
