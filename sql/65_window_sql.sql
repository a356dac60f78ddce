-- 65_window_sql.sql: the SQL that keeps windows: what 65_windows.sql stores as steps of the stream and runs to rebuild and check.
--
-- A window NAME has the table NAME, which people read, and NAME_state, which can be added to: a mean is a sum and a
-- number there. In the state, columns have our names: g1 … the groups, s1 … the aggregates; in statements a1 … are the
-- arguments of aggregates, t the time of the event. Sums of floating-point numbers are sums of numeric, so that they do not
-- depend on the order of rows.

CREATE FUNCTION txpipe.count_open_windows(window_id integer) RETURNS bigint
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_count_open_windows';
COMMENT ON FUNCTION txpipe.count_open_windows(integer) IS
    'Part of the view window: rows whose window is not closed; NULL where the caller may not read the table, or it is gone';

CREATE VIEW txpipe.window WITH (security_barrier) AS
    SELECT w.name,
           s.stream,
           s.server,
           w.kind,
           pg_catalog.format('%I.%I', w.table_schema, w.name) AS table_name,
           pg_catalog.format('%I.%I', s.target_schema, s.target_table) AS source,
           w.time_column,
           w.width,
           w.slide,
           w.gap,
           w.group_by,
           w.aggregates,
           w.lateness,
           w.on_late,
           w.emit,
           w.watermark,
           w.watermark - w.lateness AS closed_until,
           txpipe.count_open_windows(w.window_id) AS open_windows,
           w.late_rows,
           w.origin,
           w.start_at,
           w.ahead,
           w.created_at,
           w.window_id,
           w.table_schema
      FROM txpipe.window_store w
      JOIN txpipe.stream s USING (stream_id)
     WHERE txpipe.may_read(w.table_schema, w.name)
        OR txpipe.is_owner(s.owner_oid, s.owner_name);
GRANT SELECT ON txpipe.window TO PUBLIC;
COMMENT ON VIEW txpipe.window IS 'Windows over streams whose table you may read: definition, watermark, late rows';
COMMENT ON COLUMN txpipe.window.name IS 'Name of the window';
COMMENT ON COLUMN txpipe.window.stream IS 'Stream whose rows it sums up';
COMMENT ON COLUMN txpipe.window.server IS 'Server of the stream, and of topics that closed windows are sent to';
COMMENT ON COLUMN txpipe.window.kind IS 'tumbling, hopping or session';
COMMENT ON COLUMN txpipe.window.table_name IS 'Table to read';
COMMENT ON COLUMN txpipe.window.source IS 'Table the stream fills, which the window can be rebuilt from';
COMMENT ON COLUMN txpipe.window.time_column IS 'Column with the time of an event';
COMMENT ON COLUMN txpipe.window.width IS 'How long a window is; NULL for sessions';
COMMENT ON COLUMN txpipe.window.slide IS 'How far windows begin apart; of tumbling ones, their width';
COMMENT ON COLUMN txpipe.window.gap IS 'How long a session lasts after its last event';
COMMENT ON COLUMN txpipe.window.group_by IS 'Columns that rows are grouped by';
COMMENT ON COLUMN txpipe.window.aggregates IS 'Columns of the table, and what they are computed by';
COMMENT ON COLUMN txpipe.window.lateness IS 'How far behind the watermark a window ends when it closes';
COMMENT ON COLUMN txpipe.window.on_late IS 'What becomes of rows of closed windows: merge or aside';
COMMENT ON COLUMN txpipe.window.emit IS 'Where closed windows are told: notify, table, topic:NAME';
COMMENT ON COLUMN txpipe.window.watermark IS 'Latest time of an event; NULL: there was none yet';
COMMENT ON COLUMN txpipe.window.closed_until IS 'Windows that end until then are closed: watermark less lateness';
COMMENT ON COLUMN txpipe.window.open_windows IS 'Rows of the table whose window is not closed';
COMMENT ON COLUMN txpipe.window.late_rows IS 'Rows that came late for a window, since it was created';
COMMENT ON COLUMN txpipe.window.origin IS 'A moment at which a window begins';
COMMENT ON COLUMN txpipe.window.start_at IS 'Windows that begin earlier are not kept; NULL: all are';
COMMENT ON COLUMN txpipe.window.ahead IS 'Events further in the future do not move the watermark';
COMMENT ON COLUMN txpipe.window.created_at IS 'When it was created';
COMMENT ON COLUMN txpipe.window.window_id IS 'Number of the window';
COMMENT ON COLUMN txpipe.window.table_schema IS 'Schema of its tables';

CREATE FUNCTION txpipe.as_stream_owner(stream text, statement text) RETURNS SETOF jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_as_stream_owner';
COMMENT ON FUNCTION txpipe.as_stream_owner(text, text) IS
    'Part of create_window() and its like: runs a statement with the rights of the stream''s owner, for members of that role, as '
    'the stream''s steps run; names need their schema. Returns the first column of its result, which is jsonb. 42501 for others';

CREATE FUNCTION txpipe.store_window(stream text, definition jsonb) RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_store_window';
COMMENT ON FUNCTION txpipe.store_window(text, jsonb) IS
    'Part of create_window(): stores the definition, and holds the stream''s batches up until the transaction ends';

CREATE FUNCTION txpipe.forget_window(name text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_forget_window';
COMMENT ON FUNCTION txpipe.forget_window(text) IS 'Part of drop_window(): removes the definition';

CREATE FUNCTION txpipe.lock_window(window_id integer) RETURNS timestamptz
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_lock_window';
COMMENT ON FUNCTION txpipe.lock_window(integer) IS
    'Part of the steps of windows: lets no other transaction change the window until this one ends, and returns its watermark. '
    'For the owner of the stream';

CREATE FUNCTION txpipe.note_window(window_id integer, watermark timestamptz, late_rows bigint) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_note_window';
COMMENT ON FUNCTION txpipe.note_window(integer, timestamptz, bigint) IS
    'Part of the steps of windows: moves the watermark on and counts late rows. For the owner of the stream';

-- Of what arrays hold, all of it: array_agg() makes arrays of arrays.
CREATE AGGREGATE txpipe.join_arrays(anycompatiblearray) (
    SFUNC = pg_catalog.array_cat, STYPE = anycompatiblearray, PARALLEL = SAFE);
COMMENT ON AGGREGATE txpipe.join_arrays(anycompatiblearray) IS
    'Part of the steps of windows: the elements of all arrays, in one; distinct values of sessions that become one';

CREATE FUNCTION txpipe.window_calls(aggregates jsonb, source regclass)
RETURNS TABLE (n integer, name text, call text, argument name, alias text, type text, is_float boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    item record;
    part text[];
    arguments name[] := '{}';
    base oid;
BEGIN
    n := 0;
    FOR item IN SELECT a.key, a.value FROM jsonb_each(aggregates) a LOOP
        n := n + 1;
        name := item.key;
        part := regexp_match(item.value #>> '{}',
            '^\s*(count|sum|avg|min|max|hll)\s*\(\s*(distinct(?:\s+|(?=")))?(\*|"(?:[^"]|"")+"|[[:alpha:]_][[:alnum:]_$]*)\s*\)\s*$', 'i');
        call := lower(part[1]);
        IF jsonb_typeof(item.value) <> 'string' OR part IS NULL OR (part[2] IS NOT NULL AND call <> 'count')
            OR (part[3] = '*' AND (call <> 'count' OR part[2] IS NOT NULL)) THEN
            RAISE EXCEPTION 'a window cannot have the aggregate %', item.value
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'Aggregates: count(*), count(x), count(distinct x), sum(x), avg(x), min(x), max(x), hll(x), x being a column.';
        END IF;
        call := CASE WHEN part[3] = '*' THEN 'rows' WHEN part[2] IS NOT NULL THEN 'distinct' ELSE call END;
        argument := CASE WHEN part[3] = '*' THEN NULL
                         WHEN part[3] LIKE '"%' THEN replace(substr(part[3], 2, length(part[3]) - 2), '""', '"')
                         ELSE lower(part[3]) END;
        base := NULL;
        alias := NULL;
        IF argument IS NOT NULL THEN
            SELECT coalesce(nullif(t.typbasetype, 0), t.oid) INTO base FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            WHERE a.attrelid = source AND a.attname = argument AND a.attnum > 0 AND NOT a.attisdropped;
            IF base IS NULL THEN
                RAISE EXCEPTION 'table % has no column "%"', source, argument
                    USING ERRCODE = 'undefined_column', HINT = 'Aggregates are over columns of the stream''s table.';
            END IF;
            IF array_position(arguments, argument) IS NULL THEN
                arguments := arguments || argument;
            END IF;
            alias := 'a' || array_position(arguments, argument);
        END IF;
        type := format_type(base, NULL);
        is_float := coalesce(base IN ('real'::regtype, 'double precision'::regtype), false);
        IF call IN ('sum', 'avg') AND NOT is_float
            AND base NOT IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'numeric'::regtype) THEN
            RAISE EXCEPTION 'a window has no % of column "%", which is of type %', call, argument, type
                USING ERRCODE = 'datatype_mismatch', HINT = 'Sums and means are of numbers.';
        END IF;
        RETURN NEXT;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.window_calls(jsonb, regclass) IS
'Part of create_window(): the aggregates, with call (rows, count, distinct, sum, avg, min, max, hll), argument and its type.
Errors: 22023 no such aggregate, 42703 no such column, 42804 no number';

-- In steps, which may run under other settings than those they were made under.
CREATE FUNCTION txpipe.utc_literal(at timestamptz)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT quote_literal(to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US BC') || ' UTC') || '::timestamptz'
$body$;
COMMENT ON FUNCTION txpipe.utc_literal(timestamptz) IS 'Part of create_window(): a moment as it is written in SQL; NULL for NULL';

CREATE FUNCTION txpipe.hll_schema()
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RETURN (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'hll');
END
$body$;
COMMENT ON FUNCTION txpipe.hll_schema() IS 'Part of create_window(): where the extension hll is; NULL: it is not installed';

-- One row for each column of the state. partial: over rows; combine: over states; added: to the state w.
CREATE FUNCTION txpipe.window_states(aggregates jsonb, source regclass, is_session boolean)
RETURNS TABLE (n integer, state text, partial text, fresh text, combine text, added text)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT c.n, x.state, x.partial, coalesce(x.fresh, x.partial), x.combine, x.added
    FROM txpipe.window_calls(aggregates, source) c
    CROSS JOIN LATERAL (SELECT 's' || c.n AS s, CASE WHEN c.is_float THEN c.alias || '::double precision::numeric'
                                                     WHEN c.call = 'avg' THEN c.alias || '::numeric' ELSE c.alias END AS v) e
    CROSS JOIN LATERAL (
        SELECT s AS state, 'count(*)' AS partial, NULL AS fresh, format('sum(%s)::bigint', s) AS combine,
               format('w.%1$s + EXCLUDED.%1$s', s) AS added WHERE c.call = 'rows'
        UNION ALL
        SELECT s, format('count(%s)', c.alias), NULL, format('sum(%s)::bigint', s), format('w.%1$s + EXCLUDED.%1$s', s)
        WHERE c.call = 'count'
        UNION ALL
        SELECT s, format('sum(%s)', v), NULL,
               format(CASE WHEN c.type IN ('smallint', 'integer') THEN 'sum(%s)::bigint' ELSE 'sum(%s)' END, s),
               format('coalesce(w.%1$s + EXCLUDED.%1$s, w.%1$s, EXCLUDED.%1$s)', s)
        WHERE c.call IN ('sum', 'avg')
        UNION ALL
        SELECT s || '_count', format('count(%s)', c.alias), NULL, format('sum(%s_count)::bigint', s),
               format('w.%1$s_count + EXCLUDED.%1$s_count', s)
        WHERE c.call = 'avg'
        UNION ALL
        SELECT s, format('%s(%s)', c.call, c.alias), NULL, format('%s(%s)', c.call, s),
               format('%s(w.%2$s, EXCLUDED.%2$s)', CASE c.call WHEN 'min' THEN 'least' ELSE 'greatest' END, s)
        WHERE c.call IN ('min', 'max')
        UNION ALL
        SELECT s, '0::bigint', format('count(DISTINCT %s)', c.alias), format('sum(%s)::bigint', s), format('w.%1$s + EXCLUDED.%1$s', s)
        WHERE c.call = 'distinct' AND NOT is_session
        UNION ALL
        SELECT s, format('array_agg(DISTINCT %1$s) FILTER (WHERE %1$s IS NOT NULL)', c.alias), NULL,
               format('(SELECT array_agg(DISTINCT v) FROM unnest(txpipe.join_arrays(%s)) AS u (v))', s), NULL
        WHERE c.call = 'distinct' AND is_session
        UNION ALL
        SELECT s, format('%1$s.hll_add_agg(%1$s.hll_hash_any(%2$s))', txpipe.hll_schema(), c.alias), NULL,
               format('%s.hll_union_agg(%s)', txpipe.hll_schema(), s),
               format('%s.hll_union(w.%2$s, EXCLUDED.%2$s)', txpipe.hll_schema(), s)
        WHERE c.call = 'hll') x
$body$;
COMMENT ON FUNCTION txpipe.window_states(jsonb, regclass, boolean) IS
'Part of create_window(): the columns of a window''s state, and how they are computed and added';

-- What the column of the table is, of the state's columns.
CREATE FUNCTION txpipe.window_finals(aggregates jsonb, source regclass, is_session boolean)
RETURNS TABLE (n integer, name text, final text)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    -- Beyond what a double precision holds, and next to 0, the conversion would be an error of the row.
    SELECT c.n, c.name, format(
        CASE WHEN c.is_float AND c.call IN ('sum', 'avg')
             THEN 'CASE WHEN abs(%1$s) BETWEEN 1e-307 AND 1.7976931348623157e308 THEN %1$s::double precision '
                  'ELSE sign(%1$s)::double precision * CASE WHEN abs(%1$s) < 1 THEN 0 ELSE ''infinity''::double precision END END'
                  || CASE c.call WHEN 'avg' THEN ' / nullif(%1$s_count, 0)' ELSE '' END
             WHEN c.call = 'avg' THEN '%1$s / nullif(%1$s_count, 0)'
             WHEN c.call = 'distinct' AND is_session THEN 'coalesce(cardinality(%1$s), 0)::bigint'
             ELSE '%1$s' END, 's' || c.n)
    FROM txpipe.window_calls(aggregates, source) c
$body$;
COMMENT ON FUNCTION txpipe.window_finals(jsonb, regclass, boolean) IS
'Part of create_window(): the columns of a window''s table, as expressions over its state';

CREATE FUNCTION txpipe.window_time(w txpipe.window, alias text)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    type text := (SELECT format_type(a.atttypid, NULL) FROM pg_attribute a
                  WHERE a.attrelid = w.source::regclass AND a.attname = w.time_column AND a.attnum > 0 AND NOT a.attisdropped);
BEGIN
    IF type IS NULL THEN
        RAISE EXCEPTION 'table % has no column "%"', w.source, w.time_column
            USING ERRCODE = 'undefined_column', HINT = 'time_column is the column with the time of an event.';
    END IF;
    RETURN CASE type WHEN 'timestamp with time zone' THEN alias
                     WHEN 'timestamp without time zone' THEN format('(%s AT TIME ZONE ''UTC'')', alias)
                     WHEN 'date' THEN format('(%s::timestamp AT TIME ZONE ''UTC'')', alias) END;
END
$body$;
COMMENT ON FUNCTION txpipe.window_time(txpipe.window, text) IS
'Part of create_window(): the time of an event as timestamptz; NULL when the column is no time. Errors: 42703 no such column';

-- Distinct values of windows of fixed width are a table, since there may be many; of a session they are in its state.
CREATE FUNCTION txpipe.window_value_tables(w txpipe.window)
RETURNS TABLE (n integer, table_name name, alias text)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT c.n, format('%s_values_%s', w.name, c.n), c.alias FROM txpipe.window_calls(w.aggregates, w.source) c
    WHERE c.call = 'distinct' AND w.kind <> 'session'
$body$;
COMMENT ON FUNCTION txpipe.window_value_tables(txpipe.window) IS
'Part of create_window(): the tables of distinct values, one for each aggregate that counts them';

-- A late row that is put aside: what the window uses of it, and where it came from.
CREATE FUNCTION txpipe.window_late_columns(w txpipe.window)
RETURNS TABLE (n bigint, column_name name, type text, expression text)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT row_number() OVER (ORDER BY min(u.n)), u.name, u.type, (array_agg(u.expression ORDER BY u.n))[1]
    FROM (
        SELECT 0 AS n, w.time_column AS name, NULL::text AS type,
               CASE WHEN txpipe.window_time(w, 'x') = 'x' THEN 'p.t' ELSE 'p.t AT TIME ZONE ''UTC''' END AS expression
        UNION ALL SELECT g.n, g.name, NULL, 'p.g' || g.n FROM unnest(w.group_by) WITH ORDINALITY AS g (name, n)
        UNION ALL SELECT 1000 + c.n, c.argument, NULL, 'p.' || c.alias
                  FROM txpipe.window_calls(w.aggregates, w.source) c WHERE c.alias IS NOT NULL
        UNION ALL SELECT 10000 + k.n, k.name, k.type, 'p.k' || k.n
                  FROM unnest('{kafka_topic,kafka_partition,kafka_offset}'::name[], '{text,integer,bigint}'::text[])
                       WITH ORDINALITY AS k (name, type, n)) u
    GROUP BY u.name, u.type
    HAVING u.type IS NULL OR u.name <> ALL (array_prepend(w.time_column, w.group_by)
        || ARRAY(SELECT c.argument FROM txpipe.window_calls(w.aggregates, w.source) c WHERE c.alias IS NOT NULL))
$body$;
COMMENT ON FUNCTION txpipe.window_late_columns(txpipe.window) IS
'Part of create_window(): the columns of the table of late rows; a type is given where it is not that of the stream''s column';

-- The names and lists that the statements are filled with. Lists that may be empty begin with a comma.
CREATE FUNCTION txpipe.window_words(w txpipe.window)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    is_session CONSTANT boolean := w.kind = 'session';
    source CONSTANT regclass := w.source;
    words jsonb;
BEGIN
    SELECT jsonb_build_object(
        'state', format('%I.%I', w.table_schema, w.name || '_state'),
        'late', format('%I.%I', w.table_schema, w.name || '_late'),
        'closed', format('%I.%I', w.table_schema, w.name || '_closed'),
        'table', w.table_name,
        'raw', w.source,
        'id', w.window_id,
        'name', quote_literal(w.table_name),
        'server', quote_literal(w.server),
        'time', txpipe.window_time(w, quote_ident(w.time_column)),
        'width', format('%L::interval', w.width),
        'slide', format('%L::interval', w.slide),
        'gap', format('%L::interval', w.gap),
        'origin', txpipe.utc_literal(w.origin),
        'lateness', format('%L::interval', w.lateness),
        'ahead', format('%L::interval', w.ahead),
        'placed', CASE WHEN is_session THEN 'event' ELSE 'placed' END,
        'start', CASE WHEN is_session THEN '' ELSE 'window_start, ' END,
        'p start', CASE WHEN is_session THEN 'p.t' ELSE 'p.window_start' END,
        'p end', CASE WHEN is_session THEN format('p.t + %L::interval', w.gap) ELSE format('p.window_start + %L::interval', w.width) END)
    INTO words;
    SELECT words || coalesce(jsonb_object_agg('values ' || v.n, format('%I.%I', w.table_schema, v.table_name)), '{}')
    INTO words FROM txpipe.window_value_tables(w) v;
    SELECT words || jsonb_build_object(
        'late columns', string_agg(format(', %I', column_name), '' ORDER BY n),
        'late types', string_agg(CASE WHEN type IS NULL THEN format(', %I', column_name)
                                      ELSE format(', NULL::%s AS %I', type, column_name) END, '' ORDER BY n),
        'late values', string_agg(', ' || expression, '' ORDER BY n))
    INTO words FROM txpipe.window_late_columns(w);
    SELECT words || jsonb_build_object(
        'g', coalesce(string_agg(format(', g%s', n), '' ORDER BY n), ''),
        'g first', coalesce(string_agg(format('g%s, ', n), '' ORDER BY n), ''),
        'groups', coalesce(string_agg(format(', %I', name), '' ORDER BY n), ''),
        'groups as g', coalesce(string_agg(format(', %I AS g%s', name, n), '' ORDER BY n), ''),
        'g as groups', coalesce(string_agg(format(', g%s AS %I', n, name), '' ORDER BY n), ''),
        'partition', coalesce('PARTITION BY ' || string_agg(format('g%s', n), ', ' ORDER BY n), ''),
        'same g', coalesce(string_agg(format(' AND x.g%1$s = y.g%1$s', n), '' ORDER BY n), ''),
        'alike g', coalesce(string_agg(format(' AND x.g%1$s IS NOT DISTINCT FROM y.g%1$s', n), '' ORDER BY n), ''),
        'alike groups', coalesce(string_agg(format(' AND x.%2$I IS NOT DISTINCT FROM y.g%1$s', n, name), '' ORDER BY n), ''),
        'any g is null', coalesce(string_agg(format('y.g%s IS NULL', n), ' OR ' ORDER BY n), 'false'))
    INTO words FROM unnest(w.group_by) WITH ORDINALITY AS u (name, n);
    SELECT words || jsonb_build_object(
        'a', coalesce(string_agg(', ' || alias, '' ORDER BY alias), ''),
        'arguments', coalesce(string_agg(format(', %I', argument), '' ORDER BY alias), ''),
        'arguments as a', coalesce(string_agg(format(', %I AS %s', argument, alias), '' ORDER BY alias), ''))
    INTO words FROM (SELECT DISTINCT argument, alias FROM txpipe.window_calls(w.aggregates, source) WHERE alias IS NOT NULL) c;
    SELECT words || jsonb_build_object(
        's', string_agg(', ' || state, '' ORDER BY n, state),
        'partials', string_agg(format(', %s AS %s', partial, state), '' ORDER BY n, state),
        'fresh', string_agg(format(', %s AS %s', fresh, state), '' ORDER BY n, state),
        'combines', string_agg(format(', %s AS %s', combine, state), '' ORDER BY n, state),
        'added', string_agg(format('%s = %s', state, added), ', ' ORDER BY n, state))
    INTO words FROM txpipe.window_states(w.aggregates, source, is_session);
    SELECT words || jsonb_build_object(
        'names', string_agg(format(', %I', name), '' ORDER BY n),
        'finals', string_agg(format(', %s AS %I', final, name), '' ORDER BY n),
        'set', string_agg(format('%1$I = EXCLUDED.%1$I', name), ', ' ORDER BY n))
    INTO words FROM txpipe.window_finals(w.aggregates, source, is_session);
    RETURN words;
END
$body$;
COMMENT ON FUNCTION txpipe.window_words(txpipe.window) IS 'Part of create_window(): what its statements are filled with';

-- Names of users are in the words, not in templates, and are not looked into again.
CREATE FUNCTION txpipe.fill_template(template text, words jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT string_agg(CASE WHEN p.n % 2 = 1 THEN p.part ELSE words ->> p.part END, '' ORDER BY p.n)
    FROM regexp_split_to_table(template, '[{}]') WITH ORDINALITY AS p (part, n)
$body$;
COMMENT ON FUNCTION txpipe.fill_template(text, jsonb) IS
'Part of create_window(): puts words in the place of {word}; NULL ones leave nothing';

-- Rows of `batch` or of the whole table, as the CTEs event (t, g…, a…) and counted, which has a row for each window of the event,
-- and none for what is late and put aside.
CREATE FUNCTION txpipe.window_rows(w txpipe.window, of_batch boolean, since timestamptz DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT 'WITH control AS MATERIALIZED (SELECT '
        || CASE WHEN of_batch THEN 'txpipe.lock_window({id}) - {lateness}' ELSE 'NULL::timestamptz' END || ' AS closed_until),
event AS (
    SELECT {time} AS t{groups as g}{arguments as a}'
        || CASE WHEN of_batch AND w.on_late = 'aside'
                THEN ', kafka_topic AS k1, kafka_partition AS k2, kafka_offset AS k3' ELSE '' END || '
    FROM ' || CASE WHEN of_batch THEN 'batch' ELSE '{raw}' END || '
    WHERE {time} >= ''0001-01-01 00:00:00+00'' AND {time} < ''200000-01-01 00:00:00+00'''
        || coalesce(' AND {time} >= ' || txpipe.utc_literal(b.begins), '') || '),'
        || CASE WHEN w.kind <> 'session' THEN '
placed AS (
    SELECT o.window_start, e.* FROM event e CROSS JOIN LATERAL ('
        || CASE w.kind WHEN 'tumbling' THEN 'SELECT date_bin({slide}, e.t, {origin}) AS window_start'
           ELSE 'SELECT s AS window_start FROM generate_series(date_bin({slide}, e.t, {origin}), e.t - {width}, - {slide}) s '
                'WHERE s > e.t - {width}' END || ') o'
        || coalesce(' WHERE o.window_start >= ' || txpipe.utc_literal(b.begins), '') || '),'
           ELSE '' END
        || CASE WHEN w.on_late = 'merge' THEN '
counted AS (SELECT p.* FROM {placed} p CROSS JOIN control c),'
           WHEN NOT of_batch THEN '
counted AS (
    SELECT {start}t{g}{a} FROM {placed}
    EXCEPT ALL
    SELECT {start}{time}{groups}{arguments} FROM {late}' || coalesce(' WHERE window_start >= ' || txpipe.utc_literal(b.begins), '') || '),'
           ELSE '
counted AS (SELECT p.* FROM {placed} p CROSS JOIN control c WHERE c.closed_until IS NULL OR {p end} > c.closed_until),
aside AS (
    INSERT INTO {late} (window_start, window_end{late columns})
    SELECT {p start}, {p end}{late values} FROM {placed} p CROSS JOIN control c WHERE {p end} <= c.closed_until),' END
        || CASE WHEN w.kind = 'session' THEN '
marked AS (
    SELECT e.*, CASE WHEN t - lag(t) OVER ({partition} ORDER BY t) < {gap} THEN 0 ELSE 1 END AS is_first FROM counted e),
numbered AS (SELECT m.*, sum(is_first) OVER ({partition} ORDER BY t) AS n FROM marked m),' ELSE '' END
    FROM (SELECT nullif(greatest(coalesce(w.start_at, '-infinity'), coalesce(since, '-infinity')), '-infinity') AS begins) b
$body$;
COMMENT ON FUNCTION txpipe.window_rows(txpipe.window, boolean, timestamptz) IS
'Part of create_window(): the beginning of its statements, as a template';

-- Adds events to windows of fixed width.
CREATE FUNCTION txpipe.window_upsert(w txpipe.window, of_batch boolean, since timestamptz DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT txpipe.window_rows(w, of_batch, since)
        || coalesce(string_agg(format('
value_%1$s AS (
    INSERT INTO {values %1$s} (window_start{g}, value)
    SELECT DISTINCT window_start{g}, %2$s FROM counted WHERE %2$s IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING window_start{g}),', c.n, c.alias), '' ORDER BY c.n), '') || '
piece AS (
    SELECT window_start{g}{partials} FROM counted GROUP BY window_start{g}'
        || coalesce(string_agg(format('
    UNION ALL
    SELECT window_start{g}%s FROM value_%s GROUP BY window_start{g}',
               (SELECT string_agg(CASE WHEN s.n = c.n THEN ', count(*)' ELSE ', NULL' END, '' ORDER BY s.n, s.state)
                FROM txpipe.window_states(w.aggregates, w.source, false) s), c.n), '' ORDER BY c.n), '') || '),
change AS (SELECT window_start{g}{combines} FROM piece GROUP BY window_start{g}),
kept AS (
    INSERT INTO {state} AS w (window_start, window_end{g}{s})
    SELECT window_start, window_start + {width}{g}{s} FROM change ORDER BY window_start{g}
    ON CONFLICT (window_start{g}) DO UPDATE SET {added}, changed = true
    RETURNING w.*),
shown AS (
    INSERT INTO {table} (window_start, window_end{groups}{names})
    SELECT window_start, window_end{g}{finals} FROM kept
    ON CONFLICT (window_start{groups}) DO UPDATE SET {set})
SELECT txpipe.note_window({id}, max(t) FILTER (WHERE t <= now() + {ahead}),
    count(*) FILTER (WHERE date_bin({slide}, t - {width}, {origin}) + {slide} + {width} <= closed_until))
FROM event CROSS JOIN control'
    FROM txpipe.window_calls(w.aggregates, w.source) c WHERE c.call = 'distinct'
$body$;
COMMENT ON FUNCTION txpipe.window_upsert(txpipe.window, boolean, timestamptz) IS
'Part of create_window(): the statement that adds events to tumbling and hopping windows, as a template';

-- Sessions that new events touch are taken out and put back as what they have become. Overlapping is what makes two one:
-- a session is [first event, last event + gap).
CREATE FUNCTION txpipe.window_sessions(w txpipe.window, of_batch boolean)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT txpipe.window_rows(w, of_batch) || '
island AS (SELECT min(t) AS window_start, max(t) + {gap} AS window_end{g}{partials} FROM numbered GROUP BY n{g}),
touched AS (
    SELECT x.ctid AS place FROM island y
    JOIN {state} x ON x.window_start < y.window_end AND x.window_end > y.window_start{same g}
    UNION ALL
    SELECT x.ctid FROM island y
    JOIN {state} x ON x.window_start < y.window_end AND x.window_end > y.window_start{alike g}
    WHERE {any g is null}),
absorbed AS (DELETE FROM {state} x WHERE x.ctid = ANY (ARRAY(SELECT place FROM touched)) RETURNING x.*),
piece AS (
    SELECT window_start, window_end{g}{s} FROM island
    UNION ALL
    SELECT window_start, window_end{g}{s} FROM absorbed),
opened AS (
    SELECT p.*, CASE WHEN window_start < max(window_end) OVER ({partition} ORDER BY window_start, window_end
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) THEN 0 ELSE 1 END AS is_first
    FROM piece p),
joined AS (SELECT o.*, sum(is_first) OVER ({partition} ORDER BY window_start) AS n FROM opened o),
change AS (SELECT min(window_start) AS window_start, max(window_end) AS window_end{g}{combines} FROM joined GROUP BY n{g}),
kept AS (
    INSERT INTO {state} AS w (window_start, window_end{g}{s}) SELECT window_start, window_end{g}{s} FROM change
    RETURNING w.*),
gone AS (
    DELETE FROM {table} x USING absorbed y
    WHERE x.window_start = y.window_start{alike groups}
      AND NOT EXISTS (SELECT FROM change x WHERE x.window_start = y.window_start{alike g})),
shown AS (
    INSERT INTO {table} (window_start, window_end{groups}{names})
    SELECT window_start, window_end{g}{finals} FROM kept
    ON CONFLICT (window_start{groups}) DO UPDATE SET window_end = EXCLUDED.window_end, {set})
SELECT txpipe.note_window({id}, max(t) FILTER (WHERE t <= now() + {ahead}), count(*) FILTER (WHERE t + {gap} <= closed_until))
FROM event CROSS JOIN control'
$body$;
COMMENT ON FUNCTION txpipe.window_sessions(txpipe.window, boolean) IS
'Part of create_window(): the statement that adds events to sessions, as a template';

-- The windows as they should be, computed at once.
CREATE FUNCTION txpipe.window_expected(w txpipe.window, since timestamptz)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT txpipe.window_rows(w, false, since) || CASE w.kind WHEN 'session' THEN '
state AS (SELECT min(t) AS window_start, max(t) + {gap} AS window_end{g}{fresh} FROM numbered GROUP BY n{g}),' ELSE '
state AS (SELECT window_start, window_start + {width} AS window_end{g}{fresh} FROM counted GROUP BY window_start{g}),' END || '
expected AS (SELECT window_start, window_end{g as groups}{finals} FROM state),
compared AS (
    SELECT window_start{groups as g}, to_jsonb(m) AS kept, NULL::jsonb AS expected FROM {table} m'
        || coalesce(' WHERE window_start >= ' || txpipe.utc_literal(since), '') || '
    UNION ALL
    SELECT window_start{groups as g}, NULL, to_jsonb(e) FROM expected e),
pair AS (
    SELECT window_start{g}, (array_agg(kept) FILTER (WHERE kept IS NOT NULL))[1] AS kept,
           (array_agg(expected) FILTER (WHERE expected IS NOT NULL))[1] AS expected
    FROM compared GROUP BY window_start{g})
SELECT jsonb_build_object(''window_start'', window_start, ''kept'', kept, ''expected'', expected) FROM pair
WHERE kept IS DISTINCT FROM expected ORDER BY window_start'
$body$;
COMMENT ON FUNCTION txpipe.window_expected(txpipe.window, timestamptz) IS
'Part of check_window(): the statement that computes a window from its raw rows and compares, as a template';

-- Tells windows that are closed and were not told since they changed last.
CREATE FUNCTION txpipe.window_emission(w txpipe.window)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT 'WITH control AS MATERIALIZED (SELECT txpipe.lock_window({id}) - {lateness} AS closed_until),
closing AS (
    UPDATE {state} w SET changed = false FROM control c WHERE w.changed AND w.window_end <= c.closed_until RETURNING w.*)'
        || CASE WHEN 'table' = ANY (w.emit) THEN ',
logged AS (
    INSERT INTO {closed} (closed_at, window_start, window_end{groups}{names})
    SELECT clock_timestamp(), window_start, window_end{g}{finals} FROM closing ORDER BY window_end, window_start)' ELSE '' END
        || CASE WHEN 'notify' = ANY (w.emit) THEN ',
told AS (SELECT window_start, window_end, count(*) AS rows, count(*) OVER () AS n FROM closing GROUP BY window_start, window_end),
notified AS MATERIALIZED (
    SELECT pg_notify(''txpipe_window'', json_build_object(''window'', {name}, ''window_start'', min(window_start),
                     ''window_end'', max(window_end), ''rows'', sum(rows))::text)
    FROM told GROUP BY CASE WHEN n <= 50 THEN window_start END, CASE WHEN n <= 50 THEN window_end END)' ELSE '' END
        || coalesce(string_agg(format(',
sent_%1$s AS MATERIALIZED (
    SELECT txpipe.enqueue({server}, %2$L, v, k)
    FROM (SELECT jsonb_build_array(window_start{g})::text AS k,
                 (SELECT to_json(m)::text FROM (SELECT {name} AS "window", window_start, window_end{g as groups}{finals}) m) AS v
          FROM closing ORDER BY window_end, window_start) c)', t.n, substr(t.word, 7)), '' ORDER BY t.n), '') || '
SELECT (SELECT count(*) FROM closing)'
        || CASE WHEN 'notify' = ANY (w.emit) THEN ', (SELECT count(*) FROM notified)' ELSE '' END
        || coalesce(string_agg(format(', (SELECT count(*) FROM sent_%s)', t.n), '' ORDER BY t.n), '')
    FROM unnest(w.emit) WITH ORDINALITY AS t (word, n) WHERE t.word LIKE 'topic:%'
$body$;
COMMENT ON FUNCTION txpipe.window_emission(txpipe.window) IS
'Part of create_window(): the statement that tells closed windows, as a template';
