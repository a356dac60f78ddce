
-- 59_rollup_steps.sql: what keeps, audits and repairs the rollups: functions in dwh, made from list_rollups().
--
-- Three triggers of dwh.fact_sales see what a statement moved, in its transition tables. A few sales go into
-- dwh.rollup_delta; many are added to the sums at once: summed by day, the days by month, the months by year. They see
-- statements addressed to dwh.fact_sales; one addressed to a partition passes them by.
--
-- A file of many batches, or many small files, would change most sums again and again. Until a file's load is done
-- (dwh.source_file.rollups_pending) the triggers leave its sales alone, whatever happens to them, and the step at its
-- end adds what is there of them.

-- One rollup's sums by year, of its sums by month in a relation.
CREATE FUNCTION txpipe.rollup_years(months text, keys text[])
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT format($sql$
        SELECT 'year' AS grain, date_trunc('year', period::timestamp)::date AS period, %1$s sum(sales)::bigint AS sales,
               sum(units)::bigint AS units, sum(gross_amount) AS gross_amount, sum(total_paid) AS total_paid
        FROM %3$s m GROUP BY 2, %2$s$sql$,
        array_to_string(keys || ''::text, ', '), '(' || array_to_string(keys, ', ') || ')', months)
$body$;
COMMENT ON FUNCTION txpipe.rollup_years(text, text[]) IS
'Part of create_warehouse(): the query of one rollup''s sums by year over its sums by month';

-- One rollup's sums of a relation with the columns of dwh.fact_sales, in all grains or without the years. Of relations
-- with a column sign, 1 for rows that came and -1 for rows that went, the sums that change.
CREATE FUNCTION txpipe.rollup_sums(relation text, keys text[], condition text, is_signed boolean DEFAULT false,
                                   with_years boolean DEFAULT true)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT format($sql$
        WITH by_day AS (
            SELECT transaction_date AS period, %1$s %3$s
            FROM %4$s s WHERE %5$s GROUP BY transaction_date, %2$s %6$s
        ), by_month AS (
            SELECT date_trunc('month', period::timestamp)::date AS period, %1$s sum(sales)::bigint AS sales,
                   sum(units)::bigint AS units, sum(gross_amount) AS gross_amount, sum(total_paid) AS total_paid
            FROM by_day GROUP BY 1, %2$s
        )
        SELECT 'day' AS grain, * FROM by_day
        UNION ALL SELECT 'month', * FROM by_month %7$s$sql$,
        array_to_string(keys || ''::text, ', '),
        '(' || array_to_string(keys, ', ') || ')',
        CASE WHEN is_signed
             THEN 'sum(sign) AS sales, sum(sign * units) AS units, sum(sign * gross_amount) AS gross_amount,'
                  ' sum(sign * total_paid) AS total_paid'
             ELSE 'count(*) AS sales, sum(units) AS units, sum(gross_amount) AS gross_amount,'
                  ' sum(total_paid) AS total_paid' END,
        relation, condition,
        CASE WHEN is_signed
             THEN 'HAVING (sum(sign), sum(sign * units), sum(sign * gross_amount), sum(sign * total_paid)) <> (0, 0, 0, 0)'
             ELSE '' END,
        CASE WHEN with_years THEN 'UNION ALL ' || txpipe.rollup_years('by_month', keys) ELSE '' END)
$body$;
COMMENT ON FUNCTION txpipe.rollup_sums(text, text[], text, boolean, boolean) IS
'Part of create_warehouse(): the query of one rollup''s sums over a relation like dwh.fact_sales';

-- Rows of a rollup as they should be, where they are not: sales is NULL for those that should not be there.
CREATE FUNCTION txpipe.rollup_difference(relation text, keys text[], condition text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT format('SELECT %1$s, s.sales, s.units, s.gross_amount, s.total_paid FROM (%2$s) s FULL JOIN dwh.%3$I r'
                  ' USING (%1$s) WHERE (s.sales, s.units, s.gross_amount, s.total_paid)'
                  ' IS DISTINCT FROM (r.sales, r.units, r.gross_amount, r.total_paid)',
                  array_to_string('{grain,period}' || keys, ', '),
                  txpipe.rollup_sums('dwh.fact_sales', keys, condition), relation)
$body$;
COMMENT ON FUNCTION txpipe.rollup_difference(text, text[], text) IS
'Part of create_warehouse(): the query of what a rollup, or the sums of one, has other than dwh.fact_sales';

-- A MERGE of the rows of a query, sums by period and keys, into a rollup's table. In the order of the keys: changes of one
-- page together.
CREATE FUNCTION txpipe.rollup_merge(rollup text, keys text[], query text, when_matched text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT format($sql$
        MERGE INTO dwh.%1$I r USING (SELECT * FROM (%2$s) s ORDER BY %3$s) d
        ON (%4$s) = (%5$s)
        %6$s
        WHEN NOT MATCHED THEN INSERT (%3$s, sales, units, gross_amount, total_paid)
            VALUES (%5$s, d.sales, d.units, d.gross_amount, d.total_paid);$sql$,
        rollup || '_base', query, array_to_string(k.names, ', '),
        'r.' || array_to_string(k.names, ', r.'), 'd.' || array_to_string(k.names, ', d.'), when_matched)
    FROM (SELECT '{grain,period}'::text[] || keys AS names) k
$body$;
COMMENT ON FUNCTION txpipe.rollup_merge(text, text[], text, text) IS
'Part of create_warehouse(): the statement that brings sums into one rollup';

CREATE FUNCTION txpipe.rollup_merges(relation text, is_signed boolean, with_years boolean DEFAULT true)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT string_agg(txpipe.rollup_merge(l.rollup, l.keys,
        txpipe.rollup_sums(relation, l.keys, l.condition, is_signed, with_years), $sql$
        WHEN MATCHED AND (r.sales + d.sales, r.units + d.units, r.gross_amount + d.gross_amount, r.total_paid + d.total_paid)
                         = (0, 0, 0, 0) THEN DELETE
        WHEN MATCHED THEN UPDATE SET sales = r.sales + d.sales, units = r.units + d.units,
            gross_amount = r.gross_amount + d.gross_amount, total_paid = r.total_paid + d.total_paid$sql$), E'\n')
    FROM txpipe.list_rollups() l
$body$;
COMMENT ON FUNCTION txpipe.rollup_merges(text, boolean, boolean) IS
'Part of create_warehouse(): the statements that add the sums of a relation to every rollup';

-- For the years from low to high, after sales were added to their months.
CREATE FUNCTION txpipe.rollup_year_merges()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT string_agg(txpipe.rollup_merge(l.rollup, l.keys, txpipe.rollup_years(
        format('(SELECT * FROM dwh.%I WHERE grain = ''month'' AND period BETWEEN low AND high)', l.rollup || '_base'), l.keys), $sql$
        WHEN MATCHED AND r.sales <> d.sales THEN UPDATE SET sales = d.sales, units = d.units,
            gross_amount = d.gross_amount, total_paid = d.total_paid$sql$), E'\n')
    FROM txpipe.list_rollups() l
$body$;
COMMENT ON FUNCTION txpipe.rollup_year_merges() IS
'Part of create_warehouse(): the statements that bring the sums by year up to date with those by month';

-- Up to so many sales are noted in dwh.rollup_delta; more are added to the sums at once.
CREATE FUNCTION txpipe.rollup_note_limit()
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'SELECT 5000';
COMMENT ON FUNCTION txpipe.rollup_note_limit() IS 'Part of create_warehouse(): how many sales a change of few has at most';

-- The statements that note the sales of a relation as changes to come. They look at nothing noted before: a correction costs
-- what it moves. Keys of sales that came must have a member, which a variable orphans says.
CREATE FUNCTION txpipe.rollup_note(relation text, is_signed boolean, only_leave boolean DEFAULT false)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT format(CASE WHEN only_leave THEN $sql$
            INSERT INTO dwh.rollup_delta (sign, %1$s)
            SELECT %2$s, %1$s FROM %3$s s;$sql$
        ELSE $sql$
            WITH noted AS (
                INSERT INTO dwh.rollup_delta (sign, %1$s)
                SELECT %2$s, %1$s FROM %3$s s
                RETURNING sign, product_key, offer_key, location_key, branch_key, sales_agent_key
            ), came (dimension, key) AS (
                SELECT CASE WHEN n.product_key IS NOT NULL THEN 'product' WHEN n.offer_key IS NOT NULL THEN 'offer'
                            WHEN n.location_key IS NOT NULL THEN 'location' WHEN n.branch_key IS NOT NULL THEN 'branch'
                            ELSE 'sales agent' END,
                       coalesce(n.product_key, n.offer_key, n.location_key, n.branch_key, n.sales_agent_key)
                FROM noted n WHERE n.sign > 0
                GROUP BY GROUPING SETS ((n.product_key), (n.offer_key), (n.location_key), (n.branch_key), (n.sales_agent_key))
            )
            SELECT string_agg(DISTINCT c.dimension, ', ') INTO orphans FROM came c
            WHERE NOT CASE c.dimension
                WHEN 'product' THEN EXISTS (SELECT FROM dwh.dim_product d WHERE d.product_key = c.key)
                WHEN 'offer' THEN EXISTS (SELECT FROM dwh.dim_offer d WHERE d.offer_key = c.key)
                WHEN 'location' THEN EXISTS (SELECT FROM dwh.dim_location d WHERE d.location_key = c.key)
                WHEN 'branch' THEN EXISTS (SELECT FROM dwh.dim_branch d WHERE d.branch_key = c.key)
                ELSE EXISTS (SELECT FROM dwh.dim_sales_agent d WHERE d.sales_agent_key = c.key) END;
            IF orphans IS NOT NULL THEN
                RAISE EXCEPTION 'sales have keys without a member of their dimension'
                    USING ERRCODE = 'data_corrupted', DETAIL = format('Without a member: %%s.', orphans),
                          HINT = 'Put the members back, or give the sales other keys.';
            END IF;$sql$ END || $sql$
            -- Folding is left to the end of runs, unless none comes.
            PERFORM dwh.fold_rollups(1000000);$sql$,
        'transaction_date, product_key, offer_key, discount_pct, location_key, sales_agent_key, branch_key, is_online,'
        ' payment_method, units, gross_amount, total_paid', CASE WHEN is_signed THEN 'sign' ELSE '1' END, relation)
$body$;
COMMENT ON FUNCTION txpipe.rollup_note(text, boolean, boolean) IS
'Part of create_warehouse(): the statements that note the sales of a relation in dwh.rollup_delta, and fold when very many wait there';

-- The body of a function that brings the rollups up to date with the sales of a relation.
CREATE FUNCTION txpipe.rollup_moves(relation text, came text, is_signed boolean, result text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    -- Writers of many wait for each other here, at one row, instead of at the first sums they share, or in a deadlock.
    SELECT format($function$
    DECLARE
        days date[];
        moved bigint;
        orphans text;
    BEGIN
        %6$s
        SELECT count(*) INTO moved FROM %1$s s;
        IF moved > 0 THEN
            SELECT array_agg(DISTINCT transaction_date) INTO days FROM %1$s s;
            PERFORM dwh.note_months(days);
        END IF;
        IF moved BETWEEN 1 AND %4$s THEN
            %3$s
        ELSIF moved > 0 THEN
            PERFORM FROM dwh.version FOR NO KEY UPDATE;
            PERFORM dwh.fold_rollups(0, false);
            %2$s
            PERFORM dwh.audit_rollups(days);
        END IF;
        RETURN %5$s;
    END $function$, relation, txpipe.rollup_merges(relation, is_signed), txpipe.rollup_note(relation, is_signed, came IS NULL),
        txpipe.rollup_note_limit(), result,
        CASE WHEN came IS NULL THEN '' ELSE format($widen$
        UPDATE dwh.source_file f SET first_date = least(f.first_date, d.low), last_date = greatest(f.last_date, d.high)
        FROM (SELECT s.file_id, min(s.transaction_date) AS low, max(s.transaction_date) AS high FROM %s s GROUP BY s.file_id) d
        WHERE f.file_id = d.file_id AND (d.low < f.first_date OR d.high > f.last_date);$widen$, came) END)
$body$;
COMMENT ON FUNCTION txpipe.rollup_moves(text, text, boolean, text) IS
'Part of create_warehouse(): the body of a function that adds the sales of a relation to the rollups, or takes them out, and notes in
dwh.source_file the days of those that came, which may be of files whose rollups are to come';

CREATE FUNCTION txpipe.warehouse_rollup_triggers()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    event record;
BEGIN
    FOR event IN
        SELECT * FROM (VALUES
            ('insert', 'sales_inserted', 'NEW TABLE AS new_sales', '(SELECT * FROM new_sales {others})', false),
            ('delete', 'sales_deleted', 'OLD TABLE AS old_sales', '(SELECT -1 AS sign, * FROM old_sales {others})', true),
            ('update', 'sales_updated', 'NEW TABLE AS new_sales OLD TABLE AS old_sales',
             '(SELECT 1 AS sign, * FROM new_sales {others} UNION ALL SELECT -1, * FROM old_sales {others})', true)
        ) AS v (kind, function, tables, relation, is_signed)
    LOOP
        event.relation := replace(event.relation, '{others}',
            'WHERE (file_id <> ALL (ARRAY(SELECT file_id FROM dwh.source_file WHERE rollups_pending))) IS NOT FALSE');
        -- A plan is kept for the session, and may have been made for empty tables: it must stay with the index.
        EXECUTE format($sql$
            CREATE OR REPLACE FUNCTION dwh.%I() RETURNS trigger
            LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
            SET search_path = pg_catalog, pg_temp
            SET enable_seqscan = off SET enable_bitmapscan = off
            SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
            AS %L$sql$, event.function,
            txpipe.rollup_moves(event.relation, CASE WHEN event.kind <> 'delete' THEN 'new_sales' END, event.is_signed, 'NULL'));
        EXECUTE format('COMMENT ON FUNCTION dwh.%I() IS %L', event.function, format(
            'Trigger of dwh.fact_sales: brings the rollups up to date after %s', upper(event.kind)));
        IF NOT EXISTS (SELECT FROM pg_trigger
                       WHERE tgrelid = 'dwh.fact_sales'::regclass AND tgname = 'rollups_' || event.kind) THEN
            EXECUTE format('CREATE TRIGGER rollups_%1$s AFTER %1$s ON dwh.fact_sales REFERENCING %2$s'
                           ' FOR EACH STATEMENT EXECUTE FUNCTION dwh.%3$I()', event.kind, event.tables, event.function);
        END IF;
    END LOOP;

    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION dwh.sales_truncated() RETURNS trigger
        LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
        SET search_path = pg_catalog, pg_temp
        AS %L$sql$, format($function$
    BEGIN
        TRUNCATE dwh.rollup_delta, %s;
        RETURN NULL;
    END $function$, (SELECT string_agg(format('dwh.%I', rollup || '_base'), ', ') FROM txpipe.list_rollups())));
    COMMENT ON FUNCTION dwh.sales_truncated() IS 'Trigger of dwh.fact_sales: empties the rollups with it';
    IF NOT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = 'dwh.fact_sales'::regclass AND tgname = 'rollups_truncate') THEN
        CREATE TRIGGER rollups_truncate AFTER TRUNCATE ON dwh.fact_sales
            FOR EACH STATEMENT EXECUTE FUNCTION dwh.sales_truncated();
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_rollup_triggers() IS 'Part of create_warehouse(): triggers of dwh.fact_sales';

CREATE FUNCTION txpipe.warehouse_rollup_steps()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    -- Joins that keep the order of the keys: what a report reads together lies together.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION dwh.add_pending_rollups(loaded bigint[])
        RETURNS TABLE (line_no bigint, outcome text, code text, message text, column_name text, file_id bigint)
        LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
        SET search_path = pg_catalog, pg_temp
        SET plan_cache_mode = force_custom_plan SET enable_seqscan = on
        SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
        AS %L$sql$, format($function$
    #variable_conflict use_column
    DECLARE
        days date[];
        moved bigint;
        orphans text;
        low date;
        high date;
    BEGIN
        UPDATE dwh.source_file s SET rollups_pending = false WHERE s.file_id = ANY (loaded) AND s.rollups_pending;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        -- Making a plan takes longer than noting few sales; one for many knows which files they are of.
        SET LOCAL plan_cache_mode = %5$s;
        SET LOCAL enable_seqscan = off;
        SELECT min(s.first_date), max(s.last_date) INTO low, high FROM dwh.source_file s WHERE s.file_id = ANY (loaded);
        SELECT count(*) INTO moved FROM (SELECT f.line_no FROM dwh.fact_sales f WHERE f.file_id = ANY (loaded)
                                         AND f.transaction_date BETWEEN low AND high LIMIT %3$s + 1) f;
        IF moved BETWEEN 1 AND %3$s THEN
            PERFORM dwh.note_months(ARRAY(SELECT DISTINCT f.transaction_date FROM dwh.fact_sales f
                                          WHERE f.file_id = ANY (loaded) AND f.transaction_date BETWEEN low AND high));
            %2$s
        ELSIF moved > 0 THEN
            SELECT array_agg(d.transaction_date), sum(d.sales) INTO days, moved
            FROM (SELECT f.transaction_date, count(*) AS sales FROM dwh.fact_sales f
                  WHERE f.file_id = ANY (loaded) AND f.transaction_date BETWEEN low AND high GROUP BY f.transaction_date) d;
            PERFORM dwh.note_months(days);
            SET LOCAL plan_cache_mode = force_custom_plan;
            SET LOCAL enable_seqscan = on;
            PERFORM FROM dwh.version FOR NO KEY UPDATE;
            PERFORM dwh.fold_rollups(0, false);
            -- Very many are added month by month: what is summed at a time fits in memory, and lies in one partition.
            -- The years follow once: a row that changed twelve times would leave as many versions of itself.
            FOR low, high IN
                SELECT min(d), max(d) FROM unnest(days) AS d
                GROUP BY date_trunc(CASE WHEN moved > 100000 THEN 'month' ELSE 'millennium' END, d::timestamp) ORDER BY 1
            LOOP
                %1$s
            END LOOP;
            FOR low, high IN
                SELECT y, (y + interval '1 year')::date - 1
                FROM (SELECT DISTINCT date_trunc('year', d::timestamp)::date AS y FROM unnest(days) AS d) s ORDER BY 1
            LOOP
                %4$s
            END LOOP;
            PERFORM dwh.audit_rollups(days);
        END IF;
    END $function$, txpipe.rollup_over('SELECT * FROM dwh.fact_sales WHERE file_id = ANY (loaded)'
                                       ' AND transaction_date BETWEEN low AND high', txpipe.rollup_merges('{rows}', false, false)),
                    txpipe.rollup_over('SELECT * FROM dwh.fact_sales WHERE file_id = ANY (loaded)'
                                       ' AND transaction_date BETWEEN low AND high',
                                       txpipe.rollup_note('{rows}', false)),
                    txpipe.rollup_note_limit(), txpipe.rollup_year_merges(), txpipe.rollup_plan_mode()));
    COMMENT ON FUNCTION dwh.add_pending_rollups(bigint[]) IS
    'Adds the sales of these files to the rollups, once all of them are there; few are noted, and folded with what was noted
    before when that is very much. Returns no rows, in the shape a step has.';
    PERFORM txpipe.on_file_end('sales_transactions', 'rollups',
        'SELECT * FROM dwh.add_pending_rollups(ARRAY(SELECT file_id FROM loaded))', 10);
    -- No load waits for the folding, nor does who takes one file back.
    PERFORM txpipe.on_run_end('sales_transactions', 'rollups', 'SELECT dwh.fold_rollups(10000)', 10);
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_rollup_steps() IS
'Part of create_warehouse(): what adds the sales of files to the rollups';

CREATE FUNCTION txpipe.warehouse_rollup_audit()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    -- What a few thousand sales of two years touch cannot all be added up in each load. A load of up to eight days is
    -- checked whole; of others eight days, a month and a year, others each time.
    CREATE OR REPLACE FUNCTION dwh.audit_rollups(days date[])
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
    AS $function$
    DECLARE
        wrong record;
    BEGIN
        SELECT a.grain, a.period, concat_ws(', ',
               CASE WHEN t.sums IS DISTINCT FROM f.sums THEN 'rollup_total and its parts' END,
               CASE WHEN t.sums IS DISTINCT FROM p.sums THEN 'rollup_product_offer' END,
               CASE WHEN t.sums IS DISTINCT FROM b.sums THEN 'rollup_branch_channel_payment' END,
               CASE WHEN t.sums IS DISTINCT FROM c.sums THEN 'rollup_online_city with rollup_agent_product' END,
               o.orphans) AS items
        INTO wrong
        FROM (
            (SELECT 'day' AS grain, d AS period, d + 1 AS next, 'day' AS part FROM unnest(days) AS d
             ORDER BY random() LIMIT 8)
            UNION ALL
            (SELECT 'month', m, (m + interval '1 month')::date, 'day'
             FROM (SELECT DISTINCT date_trunc('month', d::timestamp)::date AS m FROM unnest(days) AS d) s
             ORDER BY random() LIMIT CASE WHEN cardinality(days) > 8 THEN 1 ELSE 2 END)
            UNION ALL
            (SELECT 'year', y, (y + interval '1 year')::date, 'month'
             FROM (SELECT DISTINCT date_trunc('year', d::timestamp)::date AS y FROM unnest(days) AS d) s
             ORDER BY random() LIMIT CASE WHEN cardinality(days) > 8 THEN 1 ELSE 2 END)
        ) a
        CROSS JOIN LATERAL (
            SELECT (sum(sales), sum(units), sum(gross_amount), sum(total_paid)) AS sums
            FROM dwh.rollup_total_base r WHERE r.grain = a.grain AND r.period = a.period) t
        CROSS JOIN LATERAL (
            SELECT (sum(sales), sum(units), sum(gross_amount), sum(total_paid)) AS sums
            FROM dwh.rollup_total_base r WHERE r.grain = a.part AND r.period >= a.period AND r.period < a.next) f
        CROSS JOIN LATERAL (
            SELECT (sum(sales), sum(units), sum(gross_amount), sum(total_paid)) AS sums
            FROM dwh.rollup_product_offer_base r WHERE r.grain = a.grain AND r.period = a.period) p
        CROSS JOIN LATERAL (
            SELECT (sum(sales), sum(units), sum(gross_amount), sum(total_paid)) AS sums
            FROM dwh.rollup_branch_channel_payment_base r WHERE r.grain = a.grain AND r.period = a.period) b
        CROSS JOIN LATERAL (
            SELECT (sum(sales), sum(units), sum(gross_amount), sum(total_paid)) AS sums
            FROM (SELECT * FROM dwh.rollup_online_city_base r WHERE r.grain = a.grain AND r.period = a.period
                  UNION ALL
                  SELECT grain, period, product_key, sales, units, gross_amount, total_paid
                  FROM dwh.rollup_agent_product_base r WHERE r.grain = a.grain AND r.period = a.period) s) c
        CROSS JOIN LATERAL (
            SELECT string_agg(dimension, ', ') AS orphans
            FROM (SELECT 'keys without a product' AS dimension
                  FROM (SELECT DISTINCT product_key FROM dwh.rollup_product_offer r
                        WHERE r.grain = a.grain AND r.period = a.period) r
                  WHERE NOT EXISTS (SELECT FROM dwh.dim_product d WHERE d.product_key = r.product_key)
                  UNION ALL
                  SELECT 'keys without an offer'
                  FROM (SELECT DISTINCT offer_key FROM dwh.rollup_product_offer r
                        WHERE r.grain = a.grain AND r.period = a.period) r
                  WHERE NOT EXISTS (SELECT FROM dwh.dim_offer d WHERE d.offer_key = r.offer_key)
                  UNION ALL
                  SELECT 'keys without a branch'
                  FROM (SELECT DISTINCT branch_key FROM dwh.rollup_branch_channel_payment r
                        WHERE r.grain = a.grain AND r.period = a.period) r
                  WHERE NOT EXISTS (SELECT FROM dwh.dim_branch d WHERE d.branch_key = r.branch_key)
                  UNION ALL
                  SELECT 'keys without a location'
                  FROM (SELECT DISTINCT location_key FROM dwh.rollup_online_city r
                        WHERE r.grain = a.grain AND r.period = a.period) r
                  WHERE NOT EXISTS (SELECT FROM dwh.dim_location d WHERE d.location_key = r.location_key)
                  UNION ALL
                  SELECT 'keys without a sales agent'
                  FROM (SELECT DISTINCT sales_agent_key FROM dwh.rollup_agent_product r
                        WHERE r.grain = a.grain AND r.period = a.period) r
                  WHERE NOT EXISTS (SELECT FROM dwh.dim_sales_agent d WHERE d.sales_agent_key = r.sales_agent_key)) s) o
        WHERE t.sums IS DISTINCT FROM f.sums OR t.sums IS DISTINCT FROM p.sums OR t.sums IS DISTINCT FROM b.sums
           OR t.sums IS DISTINCT FROM c.sums OR o.orphans IS NOT NULL
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'the rollups of the % of % do not agree', wrong.grain, to_char(wrong.period, 'YYYY-MM-DD')
                USING ERRCODE = 'data_corrupted', DETAIL = format('At fault: %s.', wrong.items),
                      HINT = 'SELECT * FROM dwh.repair_rollups() computes them anew from dwh.fact_sales.';
        END IF;
    END
    $function$;
    COMMENT ON FUNCTION dwh.audit_rollups(date[]) IS
    'Raises XX001 when the rollups of these days, their months and years do not add up to the same totals, or have keys
    without a member; of many days it looks at some, chosen anew each time. Called wherever the sums change.';

    -- The rows are named by their place: what others note meanwhile is left for the next time.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION dwh.fold_rollups(more_than bigint DEFAULT 0, audited boolean DEFAULT true)
        RETURNS bigint
        LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
        SET search_path = pg_catalog, pg_temp
        SET enable_seqscan = off SET enable_bitmapscan = off
        SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
        AS %L$sql$, format($function$
    DECLARE
        pages CONSTANT bigint := pg_relation_size('dwh.rollup_delta') / current_setting('block_size')::bigint;
        part CONSTANT float8 := least(1, 200.0 / greatest(pages, 1));
        estimate float8;
        noted tid[];
        days date[];
    BEGIN
        -- A page has room for less than 100 of them. Of many pages 200 are counted.
        IF more_than > 0 THEN
            IF pages * 100 <= more_than THEN
                RETURN 0;
            END IF;
            SELECT count(*) / part INTO estimate FROM dwh.rollup_delta TABLESAMPLE SYSTEM (100 * part);
            IF estimate <= more_than THEN
                RETURN 0;
            END IF;
        END IF;
        PERFORM FROM dwh.version FOR NO KEY UPDATE;
        PERFORM dwh.fold_months();
        SELECT array_agg(d.ctid), array_agg(DISTINCT d.transaction_date) INTO noted, days FROM dwh.rollup_delta d;
        IF noted IS NULL THEN
            RETURN 0;
        END IF;
        %s
        DELETE FROM dwh.rollup_delta WHERE ctid = ANY (noted);
        IF audited THEN
            PERFORM dwh.audit_rollups(days);
        END IF;
        RETURN cardinality(noted);
    END $function$, txpipe.rollup_merges('(SELECT * FROM dwh.rollup_delta WHERE ctid = ANY (noted))', true)));
    COMMENT ON FUNCTION dwh.fold_rollups(bigint, boolean) IS
    'Adds the changes in dwh.rollup_delta to the sums, when there are more than about this, and says how many; a run does it
    at its end from 10,000 on, a change itself from 1,000,000. It changes no rollup, only what reading one costs.';

    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION dwh.rollup_differences()
        RETURNS TABLE (rollup text, rows_wrong bigint)
        LANGUAGE sql STABLE PARALLEL SAFE
        SET search_path = pg_catalog, pg_temp
        AS %L$sql$,
        (SELECT string_agg(format('SELECT %L::text, count(*) FROM (%s) d', rollup,
                                  txpipe.rollup_difference(rollup, keys, condition)), E'\nUNION ALL\n')
         FROM txpipe.list_rollups()));
    COMMENT ON FUNCTION dwh.rollup_differences() IS
    'How many rows of each rollup differ from what dwh.fact_sales adds up to, are missing or too many; reads all of it';

    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION dwh.repair_rollups()
        RETURNS TABLE (rollup text, rows_repaired bigint)
        LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
        SET search_path = pg_catalog, pg_temp
        AS %L$sql$, $sql$
DECLARE
    said_at timestamptz := clock_timestamp();
    pause interval := coalesce(nullif(current_setting('dwh.progress_interval', true), '')::interval, '10 s');
    files bigint[];
    lows date[];
    highs date[];
BEGIN
    LOCK TABLE dwh.fact_sales IN SHARE ROW EXCLUSIVE MODE;
    UPDATE dwh.source_file SET rollups_pending = false WHERE rollups_pending;
    PERFORM dwh.fold_rollups(0, false);
    PERFORM dwh.note_months(ARRAY(SELECT DISTINCT transaction_date FROM dwh.fact_sales));
    SELECT array_agg(f.file_id), array_agg(f.low), array_agg(f.high) INTO files, lows, highs
    FROM (SELECT file_id, min(transaction_date) AS low, max(transaction_date) AS high FROM dwh.fact_sales GROUP BY file_id) f;
    UPDATE dwh.source_file s SET first_date = f.low, last_date = f.high FROM unnest(files, lows, highs) AS f (file_id, low, high)
    WHERE s.file_id = f.file_id AND (s.first_date, s.last_date) <> (f.low, f.high);
$sql$ ||
        (SELECT string_agg(format($sql$
    %2$s
    rollup := %1$L;
    RETURN NEXT;
    IF pause > '0' AND clock_timestamp() >= said_at + pause THEN
        RAISE NOTICE '%3$s of %4$s rollups, %% rows of %% repaired', rows_repaired, rollup;
        said_at := clock_timestamp();
    END IF;$sql$, l.rollup, txpipe.rollup_over(txpipe.rollup_difference(l.rollup || '_base', l.keys, l.condition),
                                               txpipe.rollup_merge(l.rollup, l.keys, 'SELECT * FROM {rows} r', $merge$
    WHEN MATCHED AND d.sales IS NULL THEN DELETE
    WHEN MATCHED THEN UPDATE SET sales = d.sales, units = d.units, gross_amount = d.gross_amount, total_paid = d.total_paid$merge$)
        || E'\n    GET DIAGNOSTICS rows_repaired = ROW_COUNT;'),
                l.number, l.total), E'\n' ORDER BY l.number)
         FROM (SELECT *, row_number() OVER () AS number, count(*) OVER () AS total FROM txpipe.list_rollups()) l)
        || E'\nEND');
    COMMENT ON FUNCTION dwh.repair_rollups() IS
    'Makes the rollups what dwh.fact_sales adds up to, and the days of files in dwh.source_file those of their sales, and says how many rows of each rollup changed; while it runs in a
    NOTICE every 10 s (setting dwh.progress_interval; 0: never). Readers go on, loads wait.';
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_rollup_audit() IS 'Part of create_warehouse(): audit, comparison and repair of the rollups';
