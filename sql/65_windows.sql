-- 65_windows.sql: windows over the events of a stream, kept in the transactions that bring them.

CREATE FUNCTION txpipe.window_emit(emit text)
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT string_to_array(coalesce(replace(emit, ' ', ''), ''), ',')
$body$;
COMMENT ON FUNCTION txpipe.window_emit(text) IS 'Part of create_window(): the words of emit';

CREATE FUNCTION txpipe.check_window_arguments(
    name text, width interval, slide interval, gap interval, group_by text[], aggregates jsonb, lateness interval,
    on_late text, emit text, ahead interval)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    problem text;
    advice text;
BEGIN
    SELECT p.problem, p.advice INTO problem, advice FROM (VALUES
        (coalesce(name, '') = '' OR octet_length(name) > 50, 'a window needs a name of at most 50 bytes',
         'It becomes the name of its table; those of its state have longer ones.'),
        (name ~ ': (lock|close)$', 'the name of a window must not end as that of a step', '": lock" and ": close" are added to it.'),
        (num_nonnulls(width, gap) <> 1, 'a window has either a width or, as a session, a gap', 'Give one of the two.'),
        (slide IS NOT NULL AND width IS NULL, 'sessions do not slide', 'Leave slide out, or give a width.'),
        (EXISTS (SELECT FROM unnest(ARRAY[width, slide, gap, lateness]) i WHERE extract(year FROM i) <> 0 OR extract(month FROM i) <> 0),
         'months and years are not always equally long', 'Use days: windows begin at the same distance from one another.'),
        (least(width, slide, gap) <= interval '0', 'width, slide and gap must be more than 0', 'For instance 10 minutes.'),
        (greatest(width, gap, lateness, ahead) > interval '10000 days', 'width, gap, lateness and ahead are at most 10000 days',
         'Use a view over smaller windows.'),
        (slide > width, 'slide must not be more than width', 'Events between windows would be in none.'),
        (width / nullif(extract(epoch FROM slide), 0)::double precision > interval '1000 seconds',
         'each event would be in more than 1000 windows', 'Let slide be at least a thousandth of width.'),
        (lateness IS NULL OR lateness < interval '0', 'lateness must be 0 or more', 'It is how long a window waits for late rows.'),
        (ahead IS NULL OR ahead < interval '0', 'ahead must be 0 or more', 'It is how wrong a clock may be to move the watermark.'),
        (coalesce(on_late, '') NOT IN ('merge', 'aside'), 'on_late must be merge or aside',
         'merge: late rows change windows that are closed; aside: they go into a table of their own.'),
        (group_by IS NULL OR array_position(group_by, NULL) IS NOT NULL OR cardinality(group_by) > 20,
         'group_by must be names of columns, at most 20', 'Leave it out for one row for each window.'),
        (jsonb_typeof(aggregates) IS DISTINCT FROM 'object' OR aggregates = '{}',
         'aggregates must be an object', 'For instance {"events": "count(*)", "total": "sum(amount)"}.'),
        (EXISTS (SELECT FROM unnest(txpipe.window_emit(emit)) e WHERE e !~ '^(notify|table|topic:[A-Za-z0-9._-]{1,249})$'),
         format('closed windows cannot go to "%s"', emit), 'emit is notify, table, topic:NAME, several with commas between, or NULL.')
        ) AS p (is_wrong, problem, advice)
    WHERE p.is_wrong LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'invalid_parameter_value', HINT = advice;
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.check_window_arguments(text, interval, interval, interval, text[], jsonb, interval, text, text, interval) IS
'Part of create_window(): raises 22023 where an argument is wrong';

-- Of what is not the arguments' alone: the stream's table.
CREATE FUNCTION txpipe.check_window(w txpipe.window)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    missing text := (SELECT u FROM unnest(w.group_by) u WHERE NOT EXISTS (
                         SELECT FROM pg_attribute a WHERE a.attrelid = w.source::regclass AND a.attname = u
                         AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1);
    needs_hll boolean := EXISTS (SELECT FROM txpipe.window_calls(w.aggregates, w.source) WHERE call = 'hll');
    taken text;
BEGIN
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'table % has no column "%"', w.source, missing
            USING ERRCODE = 'undefined_column', HINT = 'Windows are grouped by columns of the stream''s table.';
    END IF;
    IF txpipe.window_time(w, 'x') IS NULL THEN
        RAISE EXCEPTION 'column "%" of table % is no time', w.time_column, w.source
            USING ERRCODE = 'datatype_mismatch', HINT = 'The time of an event is a timestamptz, timestamp or date; the last two are taken as UTC.';
    END IF;
    IF needs_hll AND txpipe.hll_schema() IS NULL THEN
        RAISE EXCEPTION 'the extension hll is not installed in this database'
            USING ERRCODE = 'undefined_object',
                  HINT = format('CREATE EXTENSION hll (Debian package postgresql-%s-hll), or use count(distinct x), which is exact.',
                                current_setting('server_version_num')::integer / 10000);
    END IF;
    SELECT t INTO taken FROM unnest(array[w.name::text, w.name || '_state', w.name || '_late', w.name || '_closed']) t
    WHERE to_regclass(format('%I.%I', w.table_schema, t)) IS NOT NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'relation "%" already exists', taken
            USING ERRCODE = 'duplicate_table', HINT = 'A window makes its tables itself: give it another name, or drop that one.';
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.check_window(txpipe.window) IS
'Part of create_window(): raises 42703 no such column, 42804 no time, 42704 no hll, 42P07 a table of the name is there';

-- Statements that make the tables; all are created empty, so types and collations are those of the stream's table.
CREATE FUNCTION txpipe.window_tables(w txpipe.window)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT 'CREATE TABLE {state} WITH (fillfactor = 70) AS
    SELECT window_start, window_end{g}{partials} FROM (
        SELECT now() AS window_start, now() AS window_end{groups as g}{arguments as a} FROM {raw}) e
    GROUP BY window_start, window_end{g} WITH NO DATA;
ALTER TABLE {state} ADD changed boolean NOT NULL DEFAULT true, ALTER window_start SET NOT NULL, ALTER window_end SET NOT NULL,
    REPLICA IDENTITY FULL;
CREATE INDEX ON {state} (window_end);
CREATE TABLE {table} WITH (fillfactor = 70) AS SELECT window_start, window_end{g as groups}{finals} FROM {state} WITH NO DATA;
ALTER TABLE {table} ALTER window_start SET NOT NULL, ALTER window_end SET NOT NULL,
    ADD UNIQUE NULLS NOT DISTINCT (window_start{groups}), REPLICA IDENTITY FULL;
COMMENT ON TABLE {state} IS ''What the window is kept by'';
COMMENT ON COLUMN {table}.window_start IS ''Beginning of the window'';
COMMENT ON COLUMN {table}.window_end IS ''End of the window, exclusive''; '
        || CASE w.kind WHEN 'session' THEN 'CREATE INDEX ON {state} ({g first}window_end);'
           ELSE 'CREATE UNIQUE INDEX ON {state} (window_start{g}) NULLS NOT DISTINCT;' END
        || CASE WHEN w.emit <> '{}' THEN 'CREATE INDEX ON {state} (window_end) WHERE changed;' ELSE '' END
        || CASE WHEN 'table' = ANY (w.emit) THEN 'CREATE TABLE {closed} AS SELECT now() AS closed_at, m.* FROM {table} m WITH NO DATA;
COMMENT ON TABLE {closed} IS ''Windows when they were closed; again, when late rows changed them''; ' ELSE '' END
        || CASE WHEN w.on_late = 'aside' THEN 'CREATE TABLE {late} AS
    SELECT now() AS window_start, now() AS window_end{late types}, now() AS noted_at FROM {raw} WITH NO DATA;
ALTER TABLE {late} ALTER noted_at SET DEFAULT now();
COMMENT ON TABLE {late} IS ''Rows that came when their window was closed''; ' ELSE '' END
        || coalesce(string_agg(format('CREATE TABLE {values %1$s} AS
    SELECT window_start{g}, %2$s AS value FROM (SELECT now() AS window_start{groups as g}{arguments as a} FROM {raw}) e WITH NO DATA;
ALTER TABLE {values %1$s} ADD UNIQUE NULLS NOT DISTINCT (window_start{g}, value), REPLICA IDENTITY FULL;
COMMENT ON TABLE {values %1$s} IS ''Distinct values in the windows''; ', v.n, v.alias), ''), '')
    FROM txpipe.window_value_tables(w) v
$body$;
COMMENT ON FUNCTION txpipe.window_tables(txpipe.window) IS 'Part of create_window(): makes its tables, as a template';

-- The steps of a stream that keep its window; batches of several workers are one after another from the first of them on.
CREATE FUNCTION txpipe.window_steps(w txpipe.window)
RETURNS TABLE (n integer, step text, template text)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    -- Sessions are read before they are written: only a statement that begins behind the lock sees all of them.
    SELECT 1, format('window %s: lock', w.name), 'SELECT txpipe.lock_window({id})' WHERE w.kind = 'session'
    UNION ALL
    SELECT 2, format('window %s', w.name),
           CASE w.kind WHEN 'session' THEN txpipe.window_sessions(w, true) ELSE txpipe.window_upsert(w, true) END
    UNION ALL
    SELECT 3, format('window %s: close', w.name), txpipe.window_emission(w) WHERE w.emit <> '{}'
$body$;
COMMENT ON FUNCTION txpipe.window_steps(txpipe.window) IS 'Part of create_window(): the steps of the stream, as templates';

CREATE FUNCTION txpipe.fill_window(w txpipe.window, since timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    words CONSTANT jsonb := txpipe.window_words(w);
    template CONSTANT text := CASE w.kind WHEN 'session' THEN txpipe.window_sessions(w, false)
                                          ELSE txpipe.window_upsert(w, false, since) END;
BEGIN
    PERFORM txpipe.as_stream_owner(w.stream, txpipe.fill_template(
        (SELECT string_agg(format('DELETE FROM %s%s; ', t, coalesce(' WHERE window_start >= ' || txpipe.utc_literal(since), '')), '')
         FROM (SELECT '{table}' AS t UNION ALL SELECT '{state}'
               UNION ALL SELECT format('{values %s}', n) FROM txpipe.window_value_tables(w)) x)
        || template || '; UPDATE {state} SET changed = false WHERE changed AND window_end <= (SELECT txpipe.lock_window({id})) - {lateness}',
        words));
END
$body$;
COMMENT ON FUNCTION txpipe.fill_window(txpipe.window, timestamptz) IS
'Part of create_window() and rebuild_window(): computes windows from the table of the stream';

CREATE FUNCTION txpipe.create_window(
    name text, source text, time_column text, width interval DEFAULT NULL, slide interval DEFAULT NULL,
    gap interval DEFAULT NULL, group_by text[] DEFAULT '{}', aggregates jsonb DEFAULT '{"events": "count(*)"}',
    lateness interval DEFAULT '10 min', on_late text DEFAULT 'merge', emit text DEFAULT NULL,
    on_error text DEFAULT 'dead_letter', origin timestamptz DEFAULT '0001-01-01 00:00:00+00', start_at timestamptz DEFAULT NULL, ahead interval DEFAULT '1 day',
    target_schema name DEFAULT current_schema())
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    -- A day is 24 hours, whatever the time zone of the session.
    second CONSTANT interval := '1 second';
    step CONSTANT interval := extract(epoch FROM coalesce(slide, width))::double precision * second;
    number integer;
    w txpipe.window;
BEGIN
    PERFORM txpipe.check_window_arguments(name, width, slide, gap, group_by, aggregates, lateness, on_late, emit, ahead);
    IF target_schema IS NULL OR time_column IS NULL OR origin IS NULL THEN
        RAISE EXCEPTION 'time_column, origin and target_schema must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'The schema is the current one where none is given: SET search_path.';
    END IF;
    number := txpipe.store_window(source, jsonb_build_object(
        'name', name, 'table_schema', target_schema,
        'kind', CASE WHEN gap IS NOT NULL THEN 'session' WHEN slide < width THEN 'hopping' ELSE 'tumbling' END,
        'time_column', time_column, 'width', extract(epoch FROM width)::double precision * second, 'slide', step,
        'gap', extract(epoch FROM gap)::double precision * second,
        'origin', date_bin(step, '0001-01-01 00:00:00+00', origin), 'start_at', start_at,
        'group_by', group_by, 'aggregates', aggregates, 'lateness', extract(epoch FROM lateness)::double precision * second,
        'on_late', on_late, 'emit', txpipe.window_emit(emit), 'ahead', ahead));
    SELECT * INTO w FROM txpipe.window v WHERE v.window_id = number;
    PERFORM txpipe.check_window(w);
    IF EXISTS (SELECT FROM txpipe.stream_step p JOIN txpipe.window_steps(w) s USING (step) WHERE p.stream = source) THEN
        RAISE EXCEPTION 'stream "%" has a step "window %" already', source, name
            USING ERRCODE = 'duplicate_object', HINT = 'Give the window another name, or drop the step.';
    END IF;
    PERFORM txpipe.as_stream_owner(source, txpipe.fill_template(txpipe.window_tables(w), txpipe.window_words(w)));
    PERFORM txpipe.fill_window(w);
    PERFORM txpipe.on_batch(source, s.step, txpipe.fill_template(s.template, txpipe.window_words(w)), on_error => on_error)
    FROM (SELECT * FROM txpipe.window_steps(w) ORDER BY n) s;
END
$body$;
COMMENT ON FUNCTION txpipe.create_window(text, text, text, interval, interval, interval, text[], jsonb, interval, text, text,
                                         text, timestamptz, timestamptz, interval, name) IS
'Keeps a table of windows over the events of a stream, in the transactions that bring them. The table has the name of the window and
columns window_start, window_end (exclusive), those of group_by, and one for each of aggregates. source: a stream in mode append. time_column: the
time of an event; rows without one are in no window. width: tumbling windows; with slide: hopping ones, a new one each slide; gap: sessions,
which end when a group has had no event for so long. Windows begin at origin (default: weeks on Monday, days at midnight UTC) and at
whole slides from it. aggregates: {"column": "call"}, call being count(*), count(x), count(distinct x), sum(x), avg(x), min(x), max(x) or
hll(x), where the extension hll is installed; x is a column. The watermark is the latest time seen, but for times more than ahead in the future;
a window is closed when it ends at least lateness before it, and rows that come then are late: counted, and merged into it, or put aside into the
table …_late. emit: closed windows are told by notify (channel txpipe_window), in the table …_closed
(table), by a message to a topic of the stream''s server through the outbox (topic:NAME), or several of these (''notify, table''). on_error: what becomes of rows
that cannot be added, such as values too long for an index, as in on_batch(). start_at:
windows that begin earlier are not kept. The table is filled with what the stream''s table holds; meanwhile the stream waits. For the stream''s owner, who needs CREATE on
target_schema. Errors: 22023 a wrong argument, 22004 NULL, 42703 no such column, 42804 not a time or number, 42704 no such stream or no hll,
42P07 the table exists, 42710 the window exists, 0A000 a stream in another mode, 42501 not the owner';

CREATE FUNCTION txpipe.window_of(name text)
RETURNS txpipe.window
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    w txpipe.window;
BEGIN
    SELECT * INTO w FROM txpipe.window v WHERE v.name = window_of.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no window "%"', name USING ERRCODE = 'undefined_object', HINT = 'txpipe.window lists them.';
    END IF;
    RETURN w;
END
$body$;
COMMENT ON FUNCTION txpipe.window_of(text) IS 'Part of functions about windows: the one of the name. Errors: 42704 there is none';

CREATE FUNCTION txpipe.check_since(w txpipe.window, since timestamptz)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF since IS NOT NULL AND w.kind = 'session' THEN
        RAISE EXCEPTION 'sessions cannot be told apart by when they begin'
            USING ERRCODE = 'feature_not_supported', HINT = 'Leave since out: an event before it may make a session begin earlier.';
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.check_since(txpipe.window, timestamptz) IS 'Part of rebuild_window() and check_window(): raises 0A000 for sessions';

CREATE FUNCTION txpipe.rebuild_window(name text, since timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    w CONSTANT txpipe.window := txpipe.window_of(name);
BEGIN
    PERFORM txpipe.check_since(w, since);
    PERFORM txpipe.lock_window(w.window_id);
    PERFORM txpipe.fill_window(w, since);
END
$body$;
COMMENT ON FUNCTION txpipe.rebuild_window(text, timestamptz) IS
'Computes a window anew from the rows of the stream''s table, less those that were put aside as late. since: only windows that begin then or
later, where earlier rows are deleted already. Batches of the stream wait; who reads the table sees the old rows until the commit. Closed windows
are not told again. For the stream''s owner. Errors: 42704 no such window, 0A000 since with sessions, 42501 not the owner';

CREATE FUNCTION txpipe.check_window(name text, since timestamptz DEFAULT NULL)
RETURNS TABLE (window_start timestamptz, kept jsonb, expected jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    w CONSTANT txpipe.window := txpipe.window_of(name);
BEGIN
    PERFORM txpipe.check_since(w, since);
    RETURN QUERY SELECT (d ->> 'window_start')::timestamptz, nullif(d -> 'kept', 'null'), nullif(d -> 'expected', 'null')
                 FROM txpipe.as_stream_owner(w.stream,
                     txpipe.fill_template(txpipe.window_expected(w, since), txpipe.window_words(w))) d;
END
$body$;
COMMENT ON FUNCTION txpipe.check_window(text, timestamptz) IS
'The rows of a window that are not what the rows of the stream''s table give, computed at once: none, unless somebody has changed one of the tables.
kept: the row of the window, NULL: there is none; expected: as it should be. since: only windows that begin then or later. Nothing waits for it: one
snapshot shows both. For the stream''s owner. Errors: 42704 no such window, 0A000 since with sessions, 42501 not the owner';

CREATE FUNCTION txpipe.drop_window(name text, drop_tables boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    w CONSTANT txpipe.window := txpipe.window_of(name);
    statements text;
BEGIN
    PERFORM txpipe.forget_window(name);
    -- By their names: the table of the stream may have changed, or be gone.
    PERFORM txpipe.drop_step(p.stream, p.step) FROM txpipe.stream_step p
    WHERE p.stream = w.stream AND p.kind = 'step'
      AND p.step IN (format('window %s', w.name), format('window %s: lock', w.name), format('window %s: close', w.name));
    -- Not what another role put in the place of one.
    SELECT string_agg(format('DROP TABLE %I.%I', w.table_schema, t #>> '{}'), '; ') INTO statements
    FROM txpipe.as_stream_owner(w.stream, format(
        'SELECT to_jsonb(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace '
        'WHERE n.nspname = %L AND c.relname = ANY (%L) AND pg_has_role(c.relowner, ''USAGE'')', w.table_schema,
        ARRAY(SELECT w.name || '_state'
              UNION ALL SELECT format('%s_values_%s', w.name, a.n) FROM jsonb_each_text(w.aggregates) WITH ORDINALITY AS a (name, call, n)
              WHERE w.kind <> 'session' AND a.call ~* '^\s*count\s*\(\s*distinct'
              UNION ALL SELECT unnest(ARRAY[w.name::text, w.name || '_late', w.name || '_closed']) WHERE drop_tables))) t;
    IF statements IS NOT NULL THEN
        PERFORM txpipe.as_stream_owner(w.stream, statements);
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.drop_window(text, boolean) IS
'Keeps a window no longer. Its table, and those of late rows and of closed windows, stay unless drop_tables. For the stream''s owner.
Errors: 42704 no such window, 42501 not the owner';
