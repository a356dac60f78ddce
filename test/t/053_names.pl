# Names that are not harmless, through all that names go through: roles, schemas, tables, columns, streams, steps, rules, windows,
# feeds, groups that come from names of files, exports. Made, used, altered, shown and dropped: nothing of them
# is executed, what is shown is well-formed, and when all is dropped the catalogs have the rows that they had.
use strict;
use warnings;

use Encode qw(decode_utf8);
use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my @names = (
	q{a'; CREATE TABLE public.pwned (); --}, q{a"; CREATE TABLE public.pwned (); --}, q{a\\'; CREATE TABLE public.pwned (); --},
	q{$$; CREATE TABLE public.pwned (); $$}, q{%s %I %1$s %n {0} {table}}, "a\nb\t\r\\n", "\xE2\x80\xAEabc\xCC\x81\xF0\x9F\x98\x80", q{</td><script>alert(1)</script>&amp;},
	'=cmd|0', q{-- /* $1 :x @y}, 'y' x 46 . "\xC3\xA9");
my $broker = start_broker(map { "t$_:1" } 0 .. $#names);
my $node   = files_node('names');
my $id;

kafka_server($node, 'shop', $broker);
sql('GRANT USAGE ON FOREIGN SERVER shop TO PUBLIC; GRANT USAGE ON SCHEMA txpipe TO PUBLIC');

# Rows of all tables of the extension, and how many objects there are. Events, runs, totals and counters tell what has been.
sub census
{
	return sql(q{SET client_min_messages = error; SELECT string_agg(c.relname || ' ' || (xpath('//n/text()', query_to_xml('SELECT count(*) AS n FROM ' || c.oid::regclass, false, true, '')))[1], ', ' ORDER BY c.relname)
		|| (SELECT format(', %s relations, %s functions, %s types, %s roles', count(*), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_type), (SELECT count(*) FROM pg_roles)) FROM pg_class)
		FROM pg_class c WHERE c.relnamespace = 'txpipe'::regnamespace AND c.relkind = 'r'
			AND c.relname NOT IN ('run', 'total_store', 'export_log', 'file_event_store')});
}

# The statement with NAME, and as a role of that name: 'none', or SQLSTATE and message.
sub try_as
{
	my ($statement) = @_;
	my $error = error_of($node, "SET client_min_messages = error; SET ROLE $id; $statement");

	return $error ? "$error->{state} $error->{message}" : 'none';
}

my $label       = qr/[a-z_]+="(?:[^"\\\n]|\\["\\n])*"/;
my $metric_line = qr/^(?:# (?:HELP|TYPE) [a-z_]+ .*|[a-z_]+(?:\{$label(?:,$label)*\})? (?:[-+.0-9e]+|NaN))$/;
my $before = census();

foreach my $n (0 .. $#names)
{
	my $name    = $names[$n];
	my $literal = '$e$' . $name . '$e$';

	$id = sql("SELECT quote_ident($literal)");
	sql("CREATE ROLE $id; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO $id; REVOKE EXECUTE ON FUNCTION txpipe.operate() FROM $id; CREATE SCHEMA $id AUTHORIZATION $id");
	sql("SET ROLE $id; CREATE TABLE $id.$id (id bigint PRIMARY KEY, $id text, at timestamptz)");
	my $target = "(SELECT c.oid FROM pg_class c WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $literal) AND c.relkind = 'r' AND c.relname = $literal)::regclass";

	# A stream with steps, a rule and a window.
	is(try_as("SELECT txpipe.create_stream($literal, 'shop', 't$n', $target, paused => true)"), 'none', "name $n: a stream");
	is(try_as("SELECT txpipe.on_batch($literal, $literal, 'SELECT count(*) FROM batch'); SELECT txpipe.on_batch($literal, $literal || '2', format('SELECT max(%I) FROM batch', ${literal}::text))"), 'none', '... steps');
	is(try_as("SELECT txpipe.create_rule($literal || '!', $literal, format('SELECT %I AS subject, at AS event_time, %I AS reason FROM batch', ${literal}::text, ${literal}::text)); "
			  . "SELECT txpipe.alter_rule($literal || '!', query => format('SELECT %I AS subject, at AS event_time, %L AS reason FROM batch', ${literal}::text, ${literal}::text))"), 'none', '... a rule');
	my $window = try_as("SELECT txpipe.create_window($literal || 'w', $literal, 'at', '1 hour', group_by => ARRAY[$literal], aggregates => jsonb_build_object($literal || 'n', format('count(distinct %I)', ${literal}::text), 'm', 'count(*)'), "
		  . "emit => 'table,notify', on_late => 'aside', target_schema => $literal)");
	is($window, 'none', '... a window');
	my $json = sql("SELECT jsonb_build_object('id', 1, $literal, $literal, 'at', '2026-01-01 00:00Z')");
	produce_lines($broker, "t$n", 0, $json, $json =~ s/"id": 1/"id": "$n%s';--"/r);
	is(try_as("SELECT * FROM txpipe.test_stream('shop', 't$n', $target)"), 'none', '... is tried');
	is(try_as("CALL txpipe.consume($literal); CALL txpipe.consume($literal, timeout => '300 ms')"), 'none', '... is read');
	is(sql("SELECT id || ' ' || ($id = $literal) FROM $id.$id"), '1 true', '... as it is');
	is(sql(qq{SELECT sum(m) FROM $id.} . sql("SELECT quote_ident($literal || 'w')")), '1', '... counted by the window');
	is(sql("SELECT (SELECT count(*) FROM txpipe.dead_letter WHERE stream = $literal), (SELECT count(*) FROM txpipe.alert WHERE subject = $literal AND reason = $literal)"), '1|1', '... refused and alerted');
	is(try_as("SELECT count(*) FROM txpipe.test_rule($literal, format('SELECT %I AS subject FROM batch', ${literal}::text)); SELECT count(*) FROM txpipe.check_window($literal || 'w'); "
			  . "SELECT txpipe.rebuild_window($literal || 'w'); SELECT * FROM txpipe.replay_dead_letters($literal, dry_run => true); SELECT txpipe.alter_stream($literal, options => '{\"batch_rows\": 9}'); "
			  . "SELECT txpipe.seek_stream($literal, 'earliest')"), 'none', '... tried, checked, rebuilt, replayed, altered and sought');

	# A feed whose group, fields, rule and file have the name.
	my $feed = "feed_$n";
	is(try_as("SELECT txpipe.create_feed('$feed', '^${feed}_((?:.|\\n)*)\\.csv\$', $target); SELECT txpipe.set_rule('$feed', $literal, 'id > 1', message => replace(replace($literal, '{', '{{'), '}', '}}'))"), 'none', 'a feed')
	  or diag($name);
	(my $file = "${feed}_$name.csv") =~ tr{/}{:};
	(my $field = $name) =~ s/"/""/g;
	deliver($file, qq{id,"$field"\n2,x\n3,x\nzz,x\n});
	is(try_as("SELECT count(*) FROM txpipe.validate_file(\$f\$$file\$f\$)") =~ s/^(?:22P04).*/none/sr, 'none', '... and validates');
	my $said = run_hourly();
	my $state = sql("SELECT coalesce(string_agg(state, ','), 'none') FROM txpipe.file WHERE feed = '$feed'");
	# A header may not hold a carriage return.
	ok($state eq 'loaded_with_rejects' || $state eq 'loaded' || $name =~ /\r/ && $state eq 'failed', "... loads a file of that name, or says why not: $state") or diag($said);
	unlike($said, qr/^ERROR/m, '... and says so on lines of its own');
	is(try_as("SELECT txpipe.alter_feed('$feed', options => '{\"reject_limit\": 5}'); SELECT count(*) FROM txpipe.rejected_row; SELECT count(txpipe.replay_rejected_rows(file_id)) FROM txpipe.rejected_row GROUP BY file_id"), 'none', '... is altered, its rejected records replayed');

	# What shows it all.
	my $shown = $node->safe_psql('postgres', q{SET client_min_messages = error; SELECT txpipe.metrics()});
	is(join("\n", grep { !/$metric_line/ } split /\n/, $shown), '', '... metrics are well-formed');
	is(sql(q{SET client_min_messages = error; SELECT txpipe.dashboard()::xml IS DOCUMENT}), 't', '... so is the page');
	unlike(sql(q{SET client_min_messages = error; SELECT txpipe.dashboard()}), qr/<script>alert/, '... without markup of theirs');
	my $error = error_of($node, "SET client_min_messages = error; SELECT txpipe.pause_stream($literal || 'x')");
	like($error->{state}, qr/^42704$/, '... errors name it and are errors');
	is(sql("SET client_min_messages = error; COPY (SELECT * FROM txpipe.export_csv(format('SELECT %L AS %I', ${literal}::text, ${literal}::text), 'e$n.csv', 'spreadsheet')) TO STDOUT") =~ /e$n\.csv/ ? 1 : 0, 1, '... is exported');
	my $csv = decode_utf8(slurp_file($node->basedir . "/dirs/export/e$n.csv"));
	unlike($csv, qr/(?:^|\x{feff}|,|\n)"?[=+@\t\r-]/, '... not as a formula') if $name !~ /\n/;
	is(sql(q{SELECT count(*) FROM pg_class WHERE relname = 'pwned'}), '0', '... and nothing of it was executed');

	# And away.
	is(try_as("SELECT txpipe.drop_window($literal || 'w', drop_tables => true); SELECT txpipe.drop_step($literal, $literal); SELECT txpipe.drop_rule($literal || '!'); SELECT txpipe.drop_stream($literal); SELECT txpipe.drop_feed('$feed')"),
		'none', '... all is dropped');
	sql("SET client_min_messages = error; DROP SCHEMA $id CASCADE; DROP OWNED BY $id; DROP ROLE $id; CALL txpipe.run_hourly()");
	unlink glob(quotemeta($node->basedir) . '/dirs/landing/*');
}
is(census(), $before, 'the catalogs have the rows, and the database the objects, that they had');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|server process .* exited with|\bXX\d{3}\b/, 'no server process died');
stop_broker($broker);
done_testing();
