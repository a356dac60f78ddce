# Who may do what: every member of txpipe and dwh, as the catalogs list them, against a role that was granted nothing and one
# that may call every function but owns nothing; code that somebody plants on the way of another; and hostile names.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TxpipeFiles;
use TxpipeTest;

my $broker = start_broker('orders:1', 'other:1');
my $node   = files_node('privileges');

kafka_server($node, 'shop', $broker);

# A role's statement: its SQLSTATE and message, or 'none'.
sub refused
{
	my ($role, $query) = @_;
	my $error = error_of($node, "SET ROLE $role; $query") // return 'none';

	return "$error->{state} $error->{message}";
}

# --- objects of somebody else ---

sql(<<'SQL');
CREATE ROLE clerk; CREATE ROLE stranger; CREATE ROLE caller; CREATE ROLE mallory;
CREATE SCHEMA theirs AUTHORIZATION clerk;
GRANT USAGE ON SCHEMA txpipe TO clerk;
GRANT USAGE ON FOREIGN SERVER shop TO clerk;
CREATE USER MAPPING FOR clerk SERVER shop OPTIONS (sasl_username 'clerk', sasl_password 'hush', encryption_key '0123456789abcdef0123456789abcdef');
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO clerk;
SQL
deliver('orders_1.csv', "id,name\n1,Ada\nx,Alan\n");
sql(<<'SQL');
SET ROLE clerk;
CREATE TABLE theirs.events (id bigint PRIMARY KEY, at timestamptz, name text);
CREATE TABLE theirs.orders (id bigint, name text);
SELECT txpipe.create_stream('theirs', 'shop', 'orders', 'theirs.events', paused => true);
SELECT txpipe.on_batch('theirs', 'step', 'SELECT count(*) FROM batch');
SELECT txpipe.create_rule('rule', 'theirs', 'SELECT name AS subject FROM batch');
SELECT txpipe.create_window('win', 'theirs', 'at', '1 hour', aggregates => '{"n": "count(*)"}', target_schema => 'theirs');
SELECT txpipe.create_feed('files', 'orders_(.*)\.csv', 'theirs.orders');
SELECT txpipe.set_rule('files', 'positive', 'id > 0');
SELECT txpipe.enqueue('shop', 'other', 'payload', 'key');
SQL
run_hourly();
# Nothing else moves from here on.
wait_for($node, 'SELECT bool_and(delivered_at IS NOT NULL) FROM txpipe.outbox', 'what somebody put into the outbox is delivered');
sql(<<'SQL');
INSERT INTO txpipe.dead_letter_store (stream_id, kafka_topic, kafka_partition, kafka_offset, payload, code, message)
	SELECT stream_id, 'orders', 0, 0, 'private', 'bad_json', 'no' FROM txpipe.stream;
INSERT INTO txpipe.alert_store (stream_id, rule, severity, subject, event_time, reason)
	SELECT stream_id, 'rule', 'high', 'Ada', now(), 'private' FROM txpipe.stream;
SQL
is(sql(q{SELECT (SELECT count(*) FROM txpipe.dead_letter), (SELECT count(*) FROM txpipe.alert), (SELECT count(*) FROM txpipe.rejected_row),
	(SELECT count(*) FROM txpipe."window"), (SELECT count(*) FROM txpipe.outbox)}), '1|1|2|1|1', 'somebody has one of each');

# --- what PUBLIC has: functions and views that 90_grants.sql and catalog_habits list, and nothing of any other kind ---

my $acl = q{
	SELECT x.kind || ' ' || x.name || ' ' || a.privilege_type FROM (
		SELECT 'schema', n.nspname::text, coalesce(n.nspacl, acldefault('n', n.nspowner)) FROM pg_namespace n WHERE n.nspname IN ('txpipe', 'dwh')
		UNION ALL SELECT 'sequence', c.oid::regclass::text, coalesce(c.relacl, acldefault('s', c.relowner)) FROM pg_class c
			WHERE c.relkind = 'S' AND c.relnamespace::regnamespace::text IN ('txpipe', 'dwh')
		UNION ALL SELECT 'table', c.oid::regclass::text, coalesce(c.relacl, acldefault('r', c.relowner)) FROM pg_class c
			WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.relnamespace::regnamespace::text IN ('txpipe', 'dwh')
		UNION ALL SELECT 'view', c.oid::regclass::text, coalesce(c.relacl, acldefault('r', c.relowner)) FROM pg_class c
			WHERE c.relkind = 'v' AND c.relnamespace::regnamespace::text = 'dwh'
		UNION ALL SELECT 'column', c.oid::regclass || '.' || t.attname, t.attacl FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
			WHERE t.attacl IS NOT NULL AND c.relnamespace::regnamespace::text IN ('txpipe', 'dwh')
		UNION ALL SELECT 'wrapper', w.fdwname::text, coalesce(w.fdwacl, acldefault('F', w.fdwowner)) FROM pg_foreign_data_wrapper w
		UNION ALL SELECT 'server', s.srvname::text, coalesce(s.srvacl, acldefault('S', s.srvowner)) FROM pg_foreign_server s
	) AS x (kind, name, acl), aclexplode(x.acl) a WHERE a.grantee = 0 ORDER BY 1};

sql('SELECT txpipe.create_warehouse()');
# The views of the schema leave out what the reader may not see; runs and since when jobs are scheduled are nobody's secret.
is(sql($acl), "schema txpipe USAGE\ntable txpipe.run SELECT\ntable txpipe.scheduled_job SELECT",
	'PUBLIC has no right on tables, sequences, columns, dwh, wrapper and servers beyond these');
is(sql(q{SELECT count(*) FROM pg_default_acl}), '0', 'default privileges are nobody\'s but the administrator\'s');
is(sql(q{SELECT string_agg(p.oid::regprocedure::text, ' ') FROM pg_proc p WHERE p.pronamespace::regnamespace::text = 'dwh'
	AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
	AND NOT coalesce(p.proconfig::text LIKE '%search_path=%', false)}), '', 'functions in dwh that PUBLIC may name have a fixed search_path');
is(sql(q{SELECT string_agg(p.oid::regprocedure::text, ' ') FROM pg_proc p WHERE p.pronamespace::regnamespace::text IN ('txpipe', 'dwh')
	AND p.prosecdef AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0))}), '',
	'what runs with the rights of its owner is granted to nobody by default');
# option and job_status: no objects of roles are behind them (librdkafka's names; jobs of the caller).
is(sql(q{SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c WHERE c.relnamespace = 'txpipe'::regnamespace AND c.relkind = 'v'
	AND NOT coalesce(c.reloptions::text LIKE '%security_barrier=true%', false)}), 'job_status option',
	'a view that leaves out rows evaluates no function of the reader before it has');

# --- a role that was granted nothing ---

my $views = sql(q{SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'txpipe'::regnamespace AND c.relkind IN ('v', 'r', 'p', 'm')
	AND has_table_privilege('stranger', c.oid, 'SELECT') ORDER BY 1});
my %shown = map { my $n = sql("SET ROLE stranger; SELECT count(*) FROM $_"); $n > 0 ? ($_ => $n) : () } split /\n/, $views;
# Names of options; names of jobs; figures of the whole installation; runs, without their messages of others.
is(join(' ', sort keys %shown), 'txpipe.job_status txpipe.metric txpipe.option txpipe.run', 'what a role without grants is shown something by');
is(sql(q{SET ROLE stranger; SELECT count(*) FROM txpipe.metric m WHERE m.labels::text ~ 'theirs|files|rule|win'}), '0', '... which names no object of others');
# Those about a window ask for its stream's owner; the others read memory that changes.
is(sql(q{SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc p WHERE p.pronamespace = 'txpipe'::regnamespace
	AND has_function_privilege('stranger', p.oid, 'EXECUTE') AND p.provolatile = 'v'}), 'list_jobs lock_window note_window session_progress stream_hindrance stream_rates stream_workers',
	'he may call nothing that writes, but for what asks for the owner of a window');

# --- a role that may call everything, and owns nothing: it changes nothing of others ---

sql(q{GRANT USAGE ON SCHEMA txpipe, dwh, theirs TO caller; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA txpipe TO caller;
	REVOKE EXECUTE ON FUNCTION txpipe.operate() FROM caller});
# Arguments by name, then by type: as good as they get for somebody who knows the names of everything.
sql(<<'SQL');
CREATE TABLE public.argument (name text, type text, value text);
INSERT INTO argument VALUES ('stream', NULL, '''theirs'''), ('feed', NULL, '''files'''), ('server', NULL, '''shop'''), ('rule', NULL, '''rule'''),
	('step', NULL, '''step'''), ('topic', NULL, '''other'''), ('file_id', NULL, '1'), ('window_id', NULL, '1'), ('stream_id', NULL, '1'), ('alert_id', NULL, '1'),
	('run_id', NULL, '1'), ('role', 'regrole', '''caller'''), ('role', 'name', '''clerk'''), ('statement', NULL, '''SELECT 1'''),
	('query', NULL, '''SELECT name AS subject FROM batch'''), ('sql', NULL, '''SELECT 1'''), ('expression', NULL, '''true'''), ('file_name', NULL, '''orders_1.csv'''),
	('target', NULL, '''theirs.events'''), ('keep', NULL, '''0 s'''), ('older_than', NULL, '''0 s'''), ('action', NULL, '''off'''), ('options', NULL, '''{}'''),
	('path', NULL, '''orders_1.csv'''), ('state', NULL, '''close'''), ('position', NULL, '''latest'''), ('max_groups', NULL, '1'), ('profile', NULL, '''rfc4180'''),
	(NULL, 'text', '''win'''), (NULL, 'name', '''win'''), (NULL, 'regclass', '''theirs.events'''), (NULL, 'jsonb', '''{}'''), (NULL, 'json', '''{}'''),
	(NULL, 'interval', '''1 hour'''), (NULL, 'date', '''2024-01-01'''), (NULL, 'timestamp with time zone', '''2024-01-01'''), (NULL, 'text[]', '''{x}'''),
	(NULL, 'bytea', '''x'''), (NULL, 'boolean', 'true'), (NULL, 'integer', '1'), (NULL, 'bigint', '1'), (NULL, 'numeric', '1');
CREATE FUNCTION public.calls(OUT call regprocedure, OUT statement text) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT p.oid, format('SELECT * FROM txpipe.%I(%s)', p.proname, (SELECT string_agg(coalesce(v.value, 'NULL') || '::' || format_type(t.type, NULL), ', ' ORDER BY t.n)
		FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY t (type, n) LEFT JOIN LATERAL (
			SELECT a.value FROM public.argument a WHERE (a.name = p.proargnames[t.n] AND coalesce(a.type = format_type(t.type, NULL), true))
				OR (a.name IS NULL AND a.type = format_type(t.type, NULL)) ORDER BY a.name IS NULL LIMIT 1) v ON true))
	FROM pg_proc p WHERE p.pronamespace = 'txpipe'::regnamespace AND p.prokind = 'f' AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) $$;
-- All rows of txpipe, of the victim and of the warehouse, and who owns how many objects.
CREATE FUNCTION public.everything() RETURNS text LANGUAGE plpgsql AS $$
DECLARE item regclass; part text; whole text := '';
BEGIN
	FOR item IN SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text IN ('txpipe', 'theirs', 'dwh') ORDER BY c.oid LOOP
		EXECUTE format('SELECT md5(coalesce(string_agg(t::text, '','' ORDER BY t::text), '''')) FROM %s t', item) INTO part;
		whole := whole || item || '=' || part || ' ';
	END LOOP;
	RETURN whole || (SELECT count(*) FROM pg_class) || ' ' || (SELECT count(*) FROM pg_proc) || ' ' || (SELECT md5(string_agg(a.attacl::text, '')) FROM pg_attribute a)
		|| (SELECT md5(string_agg(proacl::text, '' ORDER BY oid)) FROM pg_proc);
END $$;
CREATE TABLE public.outcome (call regprocedure, state text, message text, changed boolean, changes text);
CREATE FUNCTION public.try_all() RETURNS void LANGUAGE plpgsql AS $$
DECLARE c record; before text := public.everything(); after text; code text; said text; done boolean;
BEGIN
	FOR c IN SELECT * FROM public.calls() LOOP
		code := NULL; said := NULL; after := NULL;
		BEGIN
			done := false;
			SET LOCAL ROLE caller;
			BEGIN
				EXECUTE c.statement;
			EXCEPTION WHEN OTHERS THEN code := SQLSTATE; said := SQLERRM;
			END;
			RESET ROLE;
			after := public.everything();
			RAISE SQLSTATE 'TX000';
		EXCEPTION WHEN SQLSTATE 'TX000' THEN NULL;
		END;
		INSERT INTO public.outcome VALUES (c.call, code, said, after <> before,
			(SELECT string_agg(split_part(n, '=', 1), ' ') FROM regexp_split_to_table(after, ' ') n WHERE n NOT IN (SELECT regexp_split_to_table(before, ' '))));
	END LOOP;
END $$;
SET client_min_messages = error;
SELECT public.try_all();
SQL
deliver('orders_2.csv', "id,name\n2,Grace\n");
my $tried = sql('SELECT count(*) FROM outcome');
is($tried, sql(q{SELECT count(*) FROM pg_proc p WHERE p.pronamespace = 'txpipe'::regnamespace AND p.prokind = 'f'
	AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)}), "each of $tried functions was called");
# Parts of exports, snapshots and housekeeping, which their callers are granted together with these: they note runs and since when
# a role's jobs are scheduled, and nothing else.
is(sql(q{SELECT call::regproc || ': ' || changes FROM outcome WHERE changed ORDER BY call::regproc::text COLLATE "C"}),
	"txpipe.begin_export: txpipe.run\ntxpipe.begin_nightly_report: txpipe.run\ntxpipe.housekeeping: txpipe.run txpipe.total_store\ntxpipe.log_curated: txpipe.run\n"
	  . "txpipe.log_housekeeping: txpipe.run txpipe.total_store\ntxpipe.note_erasure: txpipe.erasure_store\ntxpipe.note_schedule: txpipe.scheduled_job",
	'none changed a row of others, made an object or a grant, but for the logs of runs and erasures');
is(sql(q{SELECT string_agg(call::regproc::text, ' ') FROM outcome WHERE state = '42501' AND call::regproc::text ~ 'txpipe\.(alter|drop)_(stream|feed|step|rule)$'
	HAVING count(*) <> 8}), '', 'changes of streams and feeds of others are refused with 42501');
# XX001 is what a text gets that should have been a manifest.
is(sql(q{SELECT string_agg(call::regproc || ' ' || state, ', ') FROM outcome WHERE state ~ '^(XX|58030|57014)'}),
	'txpipe.parse_manifest XX001', 'no call met an internal error');
my $alert = sql('SELECT max(alert_id) FROM txpipe.alert');
like(refused('caller', $_), qr/^(?:42501|42704) /, "refused: $_") foreach q{CALL txpipe.consume('theirs')}, q{SELECT txpipe.validate_file('orders_2.csv')},
  "SELECT txpipe.acknowledge_alert($alert)", q{SELECT txpipe.drop_window('win')}, q{SELECT txpipe.replay_rejected_rows(1)};
my $before = sql('SELECT public.everything()');
$node->psql('postgres', "SET ROLE caller; $_") foreach 'CALL txpipe.run_hourly()', 'CALL txpipe.deliver_outbox()';
is(sql('SELECT public.everything()'), $before, 'neither run_hourly() nor deliver_outbox() does anything for him');
is(sql("SET ROLE caller; SELECT count(*) FROM $_"), '0', "he sees nothing in $_")
  foreach map { "txpipe.$_" } qw(stream_status stream_partition dead_letter stream_event batch_history stream_field stream_step feed_status file rejected_row
	file_event feed_rule file_rule "window" alert_rule alert outbox);

# --- a table put in the place of a target: its triggers would run as the owner of the stream, or of the feed ---

sql(q{GRANT CREATE, USAGE ON SCHEMA public TO clerk, mallory; CREATE TABLE public.loot (who text); GRANT INSERT ON loot TO PUBLIC;
	CREATE TABLE public.orders (id bigint); CREATE TABLE public.items (id bigint); ALTER TABLE orders OWNER TO clerk; ALTER TABLE items OWNER TO clerk});
kafka_server($node, 'plain', $broker);
sql(q{GRANT USAGE ON FOREIGN SERVER plain TO clerk; SET ROLE clerk; SELECT txpipe.create_stream('placed', 'plain', 'orders', 'public.orders');
	SELECT txpipe.create_feed('items', 'items_(.*)\.csv', 'public.items')});
produce_lines($broker, 'orders', 0, '{"id": 1}');
wait_for_offset($node, 'placed', 1);
sql('SET ROLE clerk; DROP TABLE public.orders, public.items');
sql(q{SET ROLE mallory;
	CREATE FUNCTION public.plunder() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.loot VALUES (current_user); RETURN NEW; END$$;
	CREATE TABLE public.orders (id bigint); CREATE TABLE public.items (id bigint); GRANT ALL ON orders, items TO clerk;
	CREATE TRIGGER plunder BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION plunder();
	CREATE TRIGGER plunder BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION plunder()});
produce_lines($broker, 'orders', 0, '{"id": 2}');
deliver('items_1.csv', "id\n1\n");
like(run_hourly(), qr/target "public.items" of feed "items" is not the table it was and belongs to "mallory" .* \[42501\]/, 'a feed does not load into it');
wait_for($node, q{SELECT reason LIKE '42501: target public.orders of stream "placed" is not the table it was and belongs to "mallory"%'
	FROM txpipe.stream_status WHERE stream = 'placed'}, 'a stream does not write into it');
is(sql('SELECT count(*) FROM loot'), '0', 'no trigger has run');
sql('DROP TRIGGER plunder ON orders; DROP TRIGGER plunder ON items; ALTER TABLE orders OWNER TO clerk; ALTER TABLE items OWNER TO clerk');
sql(q{UPDATE txpipe.file_ledger SET retry_at = now() WHERE state = 'failed'});
wait_for_offset($node, 'placed', 2);
run_hourly();
is(sql('SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM items)'), '1|1', 'when their owner has them both go on');

# --- objects planted where a search_path might find them ---

sql(q{SET ROLE mallory;
	CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.loot VALUES (current_user); RETURN $1; END$$;
	CREATE FUNCTION public.same(text, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.loot VALUES (current_user); RETURN $1::bytea = $2::bytea; END$$;
	CREATE OPERATOR public.= (FUNCTION = public.same, LEFTARG = text, RIGHTARG = text);
	CREATE FUNCTION public.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.loot VALUES (current_user); RETURN $1; END$$;
	CREATE VIEW public.batch AS SELECT 1 AS id; CREATE VIEW public.stream AS SELECT 'x'::text AS stream; CREATE VIEW public.pg_class AS SELECT 1 AS oid});
sql(q{SET search_path = public, pg_catalog; CREATE TEMP VIEW stream AS SELECT 1 AS stream_id; CREATE TEMP VIEW pg_proc AS SELECT 1 AS oid;
	CREATE TEMP TABLE batch (id bigint); SET client_min_messages = error;
	SELECT count(*) FROM txpipe.stream_status; SELECT count(*) FROM txpipe.job_status; SELECT count(*) FROM txpipe.metric; SELECT count(*) FROM txpipe.file;
	SELECT length(txpipe.dashboard()); SELECT count(*) FROM txpipe.check_setup(); SELECT txpipe.health(); SELECT txpipe.create_warehouse();
	SELECT txpipe.pause_stream('placed'); SELECT txpipe.resume_stream('placed'); SELECT txpipe.on_batch('placed', 'step', 'SELECT count(*) FROM batch');
	SELECT txpipe.grant_reader('stranger'); SELECT txpipe.revoke_access('stranger'); SELECT count(*) FROM txpipe.housekeeping()});
produce_lines($broker, 'orders', 0, '{"id": 3}');
wait_for_offset($node, 'placed', 3);
deliver('items_2.csv', "id\n2\n");
$node->safe_psql('postgres', 'SET search_path = public, pg_catalog; CALL txpipe.run_hourly()');
is(sql('SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM items), (SELECT count(*) FROM loot)'), '2|2|0', 'work goes on, and none of them was called');

# --- names that are not harmless, everywhere a name goes: what is kept is what was given, and nothing of it runs ---

my @evil = (q{a'; CREATE TABLE public.pwned (); --}, q{a"; CREATE TABLE public.pwned (); --}, q{a\\'; CREATE TABLE public.pwned (); --},
	q{$$; CREATE TABLE public.pwned (); $$}, q{%s %I %1$s %n}, "a\nb\t\r", "\xE2\x80\xAEabc\xCC\x81", '../../x', 'x' x 62 . "\xC3\xA9");
sql(q{REVOKE ALL ON SCHEMA public FROM mallory; DROP OWNED BY mallory});
foreach my $n (0 .. $#evil)
{
	my $name  = $evil[$n];
	my $ident = "\$e\$$name\$e\$";
	my $id    = sql("SELECT quote_ident($ident)");

	sql("SET client_min_messages = error; CREATE SCHEMA $id; CREATE TABLE $id.$id (id bigint PRIMARY KEY, $id text, at timestamptz)");
	my $error = error_of($node, qq{SET client_min_messages = error; SELECT txpipe.create_stream($ident, 'plain', 'other',
		(SELECT c.oid FROM pg_class c WHERE c.relname = ${ident}::name AND c.relkind = 'r')::regclass, paused => true);
		SELECT txpipe.on_batch($ident, $ident, 'SELECT count(*) FROM batch'); SELECT txpipe.create_rule($ident || '!', $ident, 'SELECT id AS subject FROM batch')});
	ok(!$error || $error->{state} =~ /^(?:22023|42602|42622|42P17|22P02)$/, "name $n: taken or refused clearly") or diag($error->{text});
	$error = error_of($node, qq{SET client_min_messages = error; SELECT txpipe.create_feed($ident, 'evil_(.*)\\.csv', (SELECT c.oid FROM pg_class c WHERE c.relname = ${ident}::name AND c.relkind = 'r')::regclass);
		SELECT txpipe.set_rule($ident, $ident, 'id > 0')});
	ok(!$error || $error->{state} =~ /^(?:22023|42602|42622|42710)$/, "name $n of a feed: taken or refused clearly") or diag($error->{text});
	is(sql(qq{SELECT count(*) FROM txpipe.feed WHERE feed = $ident}), $error ? '0' : '1', '... and kept as it was');
	is(sql(qq{SELECT count(*) FROM txpipe.stream WHERE stream = $ident}), sql(qq{SELECT count(*) FROM txpipe.stream_status WHERE stream = $ident}), '... as are streams');
	like(sql(q{SET client_min_messages = error; SELECT txpipe.dashboard()::xml IS DOCUMENT, count(*) > 0, (SELECT txpipe.metrics() <> '') FROM txpipe.check_setup()}),
		qr/^t\|t\|t$/, '... the page, metrics and checks bear it');
	sql(qq{SET client_min_messages = error; SELECT txpipe.drop_feed(feed) FROM txpipe.feed WHERE feed = $ident; SELECT txpipe.drop_stream(stream) FROM txpipe.stream WHERE stream = $ident});
}
foreach my $file ('../passwd', '/etc/passwd', 'a/../b', 'a//b', "a'; DROP TABLE x; --.csv", "a\nb")
{
	like(refused('postgres', qq{SELECT txpipe.write_export(\$f\$$file\$f\$, 'x')}), qr/^(?:22023|none)/, 'an export has a plain name');
	like(refused('postgres', qq{SELECT txpipe.validate_file(\$f\$$file\$f\$)}), qr/^(?:22023|58P01|42704|22000|55000)/, '... and a path stays in the landing directory');
}
is(sql(q{SELECT count(*) FROM pg_class WHERE relname = 'pwned'}), '0', 'nothing of it was executed');

$node->stop;
# Errors are what is looked for here; which they are is tested above.
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|server process .* exited with|\bXX\d{3}\b/, 'no server process died');
stop_broker($broker);
done_testing();
