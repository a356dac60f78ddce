-- 57_dimension_versions.sql: the type 2 dimensions, branches and sales agents, from one template.
--
-- What was delivered is logged, and the versions follow from the log: a delivery whose values differ from
-- those delivered before it, in group time, begins a version. So the order of arrival does not matter, and
-- a delivery that is taken back leaves no trace. A change at one time moves at most the version of that
-- time and the next delivery's; only these are looked at, by index.

-- Placeholders of a template: {d} the dimension, {columns} its attributes, {x.columns} those of the alias x,
-- {last} the order that has the delivery l first that counts of those at one time, {shown} whether versions o and d look different
-- in the daily files.
CREATE FUNCTION txpipe.dimension_sql(template text, dimension text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    columns CONSTANT text[] := CASE dimension WHEN 'branch' THEN ARRAY['location', 'establish_date', 'class']
                                              ELSE ARRAY['name', 'hire_date'] END;
    shown CONSTANT text := CASE dimension WHEN 'branch' THEN 'false' ELSE 'd.name IS DISTINCT FROM o.name' END;
    alias text[];
BEGIN
    template := replace(replace(template, '{d}', dimension), '{shown}', shown);
    template := replace(template, '{last}', (
        SELECT format('l.group_order DESC, l.line_no DESC, %s, l.file_id DESC', string_agg(format('l.%I DESC NULLS LAST', c), ', '))
        FROM unnest(columns) AS c));
    FOR alias IN SELECT DISTINCT m FROM regexp_matches(template, '\{([^{} ]+\.)?columns\}', 'g') AS m LOOP
        template := replace(template, format('{%scolumns}', alias[1]),
                            (SELECT string_agg(coalesce(alias[1], '') || c, ', ') FROM unnest(columns) AS c));
    END LOOP;
    RETURN template;
END
$body$;
COMMENT ON FUNCTION txpipe.dimension_sql(text, text) IS
'Part of create_warehouse(): the SQL of one type 2 dimension, branch or sales_agent, from the text of both';

CREATE FUNCTION txpipe.warehouse_dimension_logs()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    dimension text;
    template CONSTANT text := $sql$
        CREATE TABLE dwh.{d}_delivery AS
            SELECT d.{d}_id, d.delivered_at, ''::text COLLATE "C" AS group_order, 0::bigint AS file_id,
                   d.{d}_key::bigint AS line_no, 'loaded'::text AS outcome, {d.columns}
            FROM dwh.dim_{d} d WHERE d.{d}_id IS NOT NULL AND NOT d.is_inferred;
        ALTER TABLE dwh.{d}_delivery
            ADD PRIMARY KEY (file_id, line_no),
            ALTER {d}_id SET NOT NULL, ALTER delivered_at SET NOT NULL, ALTER group_order SET NOT NULL;
        CREATE INDEX {d}_delivery_at ON dwh.{d}_delivery ({d}_id, delivered_at);
        COMMENT ON TABLE dwh.{d}_delivery IS 'Every line delivered for dwh.dim_{d}: its versions follow from these';
        COMMENT ON COLUMN dwh.{d}_delivery.{d}_id IS 'Id of the source';
        COMMENT ON COLUMN dwh.{d}_delivery.delivered_at IS 'Group time of the delivery (dwh.group_time)';
        COMMENT ON COLUMN dwh.{d}_delivery.group_order IS 'Sort key of the group; of one time the last group, and in it the last line, counts';
        COMMENT ON COLUMN dwh.{d}_delivery.file_id IS 'File it came with; 0: before deliveries were logged';
        COMMENT ON COLUMN dwh.{d}_delivery.line_no IS 'Line in that file';
        COMMENT ON COLUMN dwh.{d}_delivery.outcome IS 'loaded (begins a version), duplicate (says what held before) or superseded (another line of its time counts)'
    $sql$;
BEGIN
    FOREACH dimension IN ARRAY ARRAY['branch', 'sales_agent'] LOOP
        CONTINUE WHEN to_regclass(format('dwh.%I', dimension || '_delivery')) IS NOT NULL;
        EXECUTE txpipe.dimension_sql(template, dimension);
        -- The attributes are described as those of the dimension are.
        EXECUTE (SELECT string_agg(format('COMMENT ON COLUMN dwh.%I.%I IS %L', dimension || '_delivery', a.attname,
                                          col_description(d.attrelid, d.attnum)), '; ')
                 FROM pg_attribute a JOIN pg_attribute d USING (attname)
                 WHERE a.attrelid = format('dwh.%I', dimension || '_delivery')::regclass AND a.attnum > 6
                   AND d.attrelid = format('dwh.%I', 'dim_' || dimension)::regclass);
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_dimension_logs() IS
'Part of create_warehouse(): the logs of deliveries; those of a warehouse that had none begin with its versions';

CREATE FUNCTION txpipe.warehouse_dimension_functions()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    dimension text;
    -- The deliveries around one time: p before it, c at it, n after it; of several at one time the last. Of lines of one
    -- number in several files of a group the greatest counts, whichever came first. A plan is kept for the session, and may
    -- have been made for empty tables: it must stay with the index.
    near CONSTANT text := $sql$
        WITH near AS MATERIALIZED (
            SELECT i.id, p, c, n,
                   (c).file_id IS NOT NULL AND ((p).file_id IS NULL OR ({(c).columns}) IS DISTINCT FROM ({(p).columns})) AS c_new,
                   (n).file_id IS NOT NULL AND CASE WHEN (c).file_id IS NOT NULL
                       THEN ({(n).columns}) IS DISTINCT FROM ({(c).columns})
                       ELSE (p).file_id IS NULL OR ({(n).columns}) IS DISTINCT FROM ({(p).columns}) END AS n_new
            FROM unnest(ids) AS i (id)
            CROSS JOIN LATERAL (
                SELECT (SELECT max(l.delivered_at) FROM dwh.{d}_delivery l WHERE l.{d}_id = i.id AND l.delivered_at < at) AS before,
                       (SELECT min(l.delivered_at) FROM dwh.{d}_delivery l WHERE l.{d}_id = i.id AND l.delivered_at > at) AS after) t
            LEFT JOIN LATERAL (SELECT l AS p FROM dwh.{d}_delivery l WHERE l.{d}_id = i.id AND l.delivered_at = t.before
                               ORDER BY {last} LIMIT 1) before ON true
            LEFT JOIN LATERAL (SELECT l AS c FROM dwh.{d}_delivery l WHERE l.{d}_id = i.id AND l.delivered_at = at
                               ORDER BY {last} LIMIT 1) current ON true
            LEFT JOIN LATERAL (SELECT l AS n FROM dwh.{d}_delivery l WHERE l.{d}_id = i.id AND l.delivered_at = t.after
                               ORDER BY {last} LIMIT 1) after ON true
        )
    $sql$;
    template CONSTANT text := $sql$
        CREATE OR REPLACE FUNCTION dwh.{d}_version({d}_key integer, at timestamptz)
        RETURNS integer
        LANGUAGE plpgsql STABLE PARALLEL SAFE
        SET search_path = pg_catalog, pg_temp
        SET plan_cache_mode = {plan for all}
        AS $function$
        BEGIN
            RETURN coalesce((SELECT v.{d}_key FROM dwh.dim_{d} o JOIN dwh.dim_{d} v ON v.{d}_id = o.{d}_id
                                 AND at >= v.valid_from AND at < v.valid_to
                             WHERE o.{d}_key = {d}_version.{d}_key), {d}_key);
        END
        $function$;
        COMMENT ON FUNCTION dwh.{d}_version(integer, timestamptz) IS
        'Key of the version of the same member of dwh.dim_{d} that is valid at a group time';

        CREATE OR REPLACE FUNCTION dwh.settle_{d}(ids integer[], at timestamptz, cause bigint)
        RETURNS TABLE (line_no bigint, outcome text, code text, message text, column_name text, file_id bigint)
        LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
        SET search_path = pg_catalog, pg_temp
        SET enable_seqscan = off SET enable_bitmapscan = off
        SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
        AS $function$
        #variable_conflict use_column
        DECLARE
            before dwh.dim_{d}[] := ARRAY(SELECT d FROM dwh.dim_{d} d WHERE d.{d}_id = ANY (ids) AND d.valid_to > at);
            gone integer[];
            -- By name: the table may have further columns.
            kept jsonb;
            made jsonb;
        BEGIN
            RETURN QUERY
            {near}, settled AS (
                SELECT l.file_id, l.line_no, l.outcome AS before,
                       CASE WHEN l.delivered_at = at AND (l.file_id, l.line_no) <> ((c).file_id, (c).line_no)
                            THEN CASE WHEN ({l.columns}) IS NOT DISTINCT FROM ({(c).columns}) THEN 'duplicate' ELSE 'superseded' END
                            WHEN CASE WHEN l.delivered_at = at THEN c_new ELSE n_new END THEN 'loaded'
                            ELSE 'duplicate' END AS after
                FROM near CROSS JOIN LATERAL (
                    SELECT * FROM dwh.{d}_delivery l WHERE l.{d}_id = near.id AND l.delivered_at = at
                    UNION ALL
                    SELECT * FROM dwh.{d}_delivery l WHERE l.file_id = (n).file_id AND l.line_no = (n).line_no) l
            ), changed AS (
                UPDATE dwh.{d}_delivery l SET outcome = s.after FROM settled s
                WHERE l.file_id = s.file_id AND l.line_no = s.line_no AND s.before IS DISTINCT FROM s.after
                RETURNING l.file_id, l.line_no, s.before, s.after
            )
            SELECT h.line_no, h.after, h.before, NULL::text, NULL::text,
                   CASE WHEN h.before IS NOT NULL THEN h.file_id END
            FROM changed h WHERE (h.before IS NOT NULL OR h.after <> 'loaded') AND h.file_id <> 0;

            {near}, around AS (
                SELECT near.*, pv, nv, CASE WHEN c_new THEN ARRAY[c] END || CASE WHEN n_new THEN ARRAY[n] END AS begun
                FROM near
                LEFT JOIN LATERAL (SELECT d AS pv FROM dwh.dim_{d} d WHERE d.{d}_id = near.id AND NOT d.is_inferred
                                       AND d.delivered_at < at ORDER BY d.delivered_at DESC LIMIT 1) earlier ON true
                LEFT JOIN LATERAL (SELECT d AS nv FROM dwh.dim_{d} d WHERE d.{d}_id = near.id
                                       AND d.delivered_at > coalesce((n).delivered_at, at)
                                   ORDER BY d.delivered_at LIMIT 1) later ON true
            ), version AS (
                SELECT (pv).{d}_key AS key, id, (pv).delivered_at, {(pv).columns}, (pv).valid_from AS begins, NULL::timestamptz AS ends
                FROM around WHERE (pv).{d}_key IS NOT NULL
                UNION ALL
                -- A version that now begins with a neighbour that says the same keeps its key, and its sales.
                SELECT coalesce((SELECT d.{d}_key FROM dwh.dim_{d} d
                                 WHERE d.{d}_id = id AND (d.is_inferred OR d.delivered_at = b.delivered_at)),
                                (SELECT d.{d}_key FROM dwh.dim_{d} d
                                 WHERE d.{d}_id = id AND d.delivered_at = CASE WHEN b.delivered_at > at THEN CASE WHEN NOT c_new THEN at END
                                                                               WHEN NOT n_new THEN (n).delivered_at END)),
                       id, b.delivered_at, {b.columns}, NULL, NULL
                FROM around CROSS JOIN LATERAL unnest(begun) b
                UNION ALL
                SELECT (nv).{d}_key, id, (nv).delivered_at, {(nv).columns}, NULL, (nv).valid_to
                FROM around WHERE (nv).{d}_key IS NOT NULL
            ), placed AS (
                SELECT key, id, delivered_at, {columns}, false AS is_inferred, false AS is_gone,
                       CASE WHEN lag(id) OVER w IS NULL THEN coalesce(begins, '-infinity') ELSE delivered_at END AS valid_from,
                       coalesce(ends, lead(delivered_at) OVER w, 'infinity') AS valid_to
                FROM version WINDOW w AS (PARTITION BY id ORDER BY delivered_at)
                UNION ALL
                -- Versions nobody delivers any more; of the last one a sale may keep the key.
                SELECT d.{d}_key, id, '-infinity', {(NULL::dwh.dim_{d}).columns}, true, EXISTS (SELECT FROM version v WHERE v.id = around.id),
                       '-infinity', 'infinity'
                FROM around JOIN dwh.dim_{d} d ON d.{d}_id = id AND NOT d.is_inferred
                     AND (d.delivered_at = at AND NOT c_new OR d.delivered_at = (n).delivered_at AND NOT n_new)
                WHERE d.{d}_key NOT IN (SELECT v.key FROM version v WHERE v.key IS NOT NULL)
            )
            SELECT array_agg(v.key) FILTER (WHERE v.is_gone),
                   jsonb_agg(v.version) FILTER (WHERE v.key IS NOT NULL AND NOT v.is_gone),
                   jsonb_agg(v.version) FILTER (WHERE v.key IS NULL)
            INTO gone, kept, made
            FROM (SELECT p.key, p.is_gone, to_jsonb(r) AS version
                  FROM placed p CROSS JOIN LATERAL (SELECT p.key AS {d}_key, p.id AS {d}_id, {p.columns}, p.valid_from, p.valid_to,
                                                           p.delivered_at, p.is_inferred) r) v;

            -- In this order no two periods overlap meanwhile. Not MERGE, which Citus has not for reference tables.
            IF gone IS NOT NULL THEN
                DELETE FROM dwh.dim_{d} d WHERE d.{d}_key = ANY (gone);
            END IF;
            IF kept IS NOT NULL THEN
                UPDATE dwh.dim_{d} d SET ({columns}, valid_from, valid_to, delivered_at, is_inferred)
                    = ROW ({v.columns}, v.valid_from, v.valid_to, v.delivered_at, v.is_inferred)
                FROM jsonb_populate_recordset(NULL::dwh.dim_{d}, kept) v
                WHERE d.{d}_key = v.{d}_key AND (d.is_inferred, d.valid_from, d.valid_to, d.delivered_at, {d.columns})
                    IS DISTINCT FROM (v.is_inferred, v.valid_from, v.valid_to, v.delivered_at, {v.columns});
            END IF;
            IF made IS NOT NULL THEN
                INSERT INTO dwh.dim_{d} ({d}_id, {columns}, valid_from, valid_to, delivered_at)
                SELECT v.{d}_id, {v.columns}, v.valid_from, v.valid_to, v.delivered_at FROM jsonb_populate_recordset(NULL::dwh.dim_{d}, made) v;
            END IF;

            PERFORM dwh.follow_{d}(before, cause);
        END
        $function$;
        COMMENT ON FUNCTION dwh.settle_{d}(integer[], timestamptz, bigint) IS
        'Brings the versions of these members in line with dwh.{d}_delivery around one group time, and the sales with
        the versions. cause: the file this is about. Returns lines whose outcome is another now, in the shape a step has';

        -- It may move the sales of many files: each plan is for those.
        CREATE OR REPLACE FUNCTION dwh.follow_{d}(before dwh.dim_{d}[], cause bigint)
        RETURNS void
        LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
        SET search_path = pg_catalog, pg_temp
        SET plan_cache_mode = force_custom_plan SET jit = off
        SET enable_seqscan = on SET enable_bitmapscan = on SET enable_hashjoin = on SET enable_mergejoin = on
        AS $function$
        DECLARE
            files bigint[];
            from_keys integer[];
            to_keys integer[];
            renamed integer[];
            days date[];
            {if distributed}
            went dwh.sale_conflict[];
            {end}
        BEGIN
            SELECT array_agg(m.file_id), array_agg(m.from_key), array_agg(m.to_key),
                   array_agg(DISTINCT m.from_key) FILTER (WHERE m.is_shown)
            INTO files, from_keys, to_keys, renamed
            FROM (SELECT s.file_id, o.{d}_key AS from_key, d.{d}_key AS to_key, {shown} AS is_shown
                  FROM unnest(before) o
                  JOIN dwh.dim_{d} d ON d.{d}_id = o.{d}_id AND d.{d}_key <> o.{d}_key
                       AND d.valid_from < o.valid_to AND d.valid_to > o.valid_from
                  JOIN dwh.source_file s ON s.group_at >= greatest(d.valid_from, o.valid_from)
                       AND s.group_at < least(d.valid_to, o.valid_to)
                  UNION ALL
                  -- Files whose group nobody knows any more have sales of any version; of one that is gone they go to what
                  -- holds at its beginning.
                  SELECT s.file_id, o.{d}_key, d.{d}_key, {shown}
                  FROM unnest(before) o
                  JOIN dwh.dim_{d} d ON d.{d}_id = o.{d}_id AND o.valid_from >= d.valid_from AND o.valid_from < d.valid_to
                  JOIN dwh.source_file s ON s.group_at = '-infinity'
                  WHERE isfinite(o.valid_from)
                    AND NOT EXISTS (SELECT FROM dwh.dim_{d} g WHERE g.{d}_key = o.{d}_key)) m;
            IF files IS NOT NULL THEN
                {if distributed}
                went := ARRAY(
                    SELECT {r.row:r.content_hash}
                    FROM (SELECT 0::bigint AS content_hash, f.* FROM dwh.fact_sales f
                          JOIN unnest(files, from_keys) AS m (file_id, from_key)
                               ON f.file_id = m.file_id AND f.{d}_key = m.from_key OFFSET 0) r);
                PERFORM dwh.sales_moved(ARRAY(
                    SELECT jsonb_populate_record(w, jsonb_build_object('{d}_key', m.to_key))
                    FROM unnest(went) w
                    JOIN unnest(files, from_keys, to_keys) AS m (file_id, from_key, to_key)
                         ON w.file_id = m.file_id AND w.{d}_key = m.from_key), went);
                {end}
                WITH moved AS (
                    UPDATE dwh.fact_sales f SET {d}_key = m.to_key
                    FROM unnest(files, from_keys, to_keys) AS m (file_id, from_key, to_key)
                    WHERE f.file_id = m.file_id AND f.{d}_key = m.from_key
                    RETURNING f.transaction_date, m.from_key
                )
                SELECT array_agg(DISTINCT transaction_date) INTO days FROM moved WHERE from_key = ANY (renamed);
                UPDATE dwh.sale_conflict f SET {d}_key = m.to_key
                FROM unnest(files, from_keys, to_keys) AS m (file_id, from_key, to_key)
                WHERE f.file_id = m.file_id AND f.{d}_key = m.from_key;
            END IF;
            SELECT array_agg(d.{d}_key) INTO renamed
            FROM unnest(before) o JOIN dwh.dim_{d} d ON d.{d}_key = o.{d}_key WHERE {shown};
            IF renamed IS NOT NULL THEN
                days := days || ARRAY(SELECT DISTINCT f.transaction_date FROM dwh.fact_sales f WHERE f.{d}_key = ANY (renamed));
            END IF;
            PERFORM dwh.touch_days(days, cause);
        END
        $function$;
        COMMENT ON FUNCTION dwh.follow_{d}(dwh.dim_{d}[], bigint) IS
        'Points sales to the version valid in their own group where that is another one than before, and counts the
        days whose daily files change. before: the versions as they were; cause: the file this is about';

        CREATE OR REPLACE FUNCTION dwh.unload_{d}(unloaded bigint)
        RETURNS TABLE (line_no bigint, outcome text, code text, message text, column_name text, file_id bigint)
        LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
        SET search_path = pg_catalog, pg_temp
        AS $function$
        #variable_conflict use_column
        DECLARE
            ids integer[];
            at timestamptz;
        BEGIN
            WITH gone AS (DELETE FROM dwh.{d}_delivery l WHERE l.file_id = unloaded RETURNING l.{d}_id, l.delivered_at)
            SELECT array_agg(DISTINCT g.{d}_id), min(g.delivered_at) INTO ids, at FROM gone g;
            IF ids IS NOT NULL THEN
                RETURN QUERY SELECT * FROM dwh.settle_{d}(ids, at, unloaded);
            END IF;
        END
        $function$;
        COMMENT ON FUNCTION dwh.unload_{d}(bigint) IS
        'Takes back what a file delivered to dwh.dim_{d}: its versions go and their neighbours close the gap. A member
        nobody delivers any more is inferred again. Returns lines of other files whose outcome is another now'
    $sql$;
BEGIN
    FOREACH dimension IN ARRAY ARRAY['branch', 'sales_agent'] LOOP
        EXECUTE txpipe.sale_sql(txpipe.dimension_sql(replace(template, '{near}', near), dimension));
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_dimension_functions() IS
'Part of create_warehouse(): the functions of dwh that keep versions; replaces them when called again';
