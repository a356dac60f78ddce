
-- 62_check_warehouse.sql: the audit of the whole warehouse, and the repair of its rollups.

CREATE FUNCTION txpipe.require_warehouse_owner()
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    holder oid := (SELECT nspowner FROM pg_namespace WHERE nspname = 'dwh');
BEGIN
    PERFORM txpipe.require_warehouse();
    -- What stands in dwh is its owner's: calling it with other rights would lend him those.
    IF holder <> (SELECT oid FROM pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION 'the warehouse in schema "dwh" belongs to role "%"', pg_get_userbyid(holder)
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('call it as its owner: SET ROLE %I', pg_get_userbyid(holder));
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.require_warehouse_owner() IS
'Part of functions of the warehouse: raises 42P01 where the database has no warehouse, 42501 when it is another role''s';

CREATE FUNCTION txpipe.repair_rollups()
RETURNS TABLE (rollup text, rows_repaired bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM txpipe.require_warehouse_owner();
    PERFORM txpipe.warehouse_rollups();
    -- What stands in dwh knows nothing of txpipe.
    PERFORM set_config('dwh.progress_interval', current_setting('txpipe.progress_interval', true), true);
    RETURN QUERY SELECT r.rollup, r.rows_repaired FROM dwh.repair_rollups() r;
    PERFORM txpipe.warehouse_rollup_views();
END
$body$;
COMMENT ON FUNCTION txpipe.repair_rollups() IS
'Makes the rollups of the warehouse, and their triggers, what they should be: what dwh.fact_sales adds up to. Result: each
rollup and how many of its rows were changed, added or deleted; NOTICEs say how far it is (txpipe.progress_interval).
Readers go on, loads wait. For the owner of dwh, who
needs EXECUTE on it, require_warehouse_owner and create_warehouse''s parts. Errors: 42P01 without a warehouse, 42501 for others.';

CREATE FUNCTION txpipe.check_warehouse()
RETURNS TABLE (item text, ok boolean, detail text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    dimension record;
    wrong bigint;
BEGIN
    PERFORM txpipe.require_warehouse_owner();

    item := 'every line of the files is accounted for';
    SELECT count(*), string_agg(file_id::text, ', ' ORDER BY file_id) FILTER (WHERE n <= 5) INTO wrong, detail
    FROM (SELECT f.file_id, row_number() OVER (ORDER BY f.file_id) AS n
          FROM txpipe.file f
          WHERE f.rows_read <> f.rows_loaded + f.rows_duplicate + f.rows_filtered + f.rows_superseded + f.rows_rejected) l;
    ok := wrong = 0;
    detail := CASE WHEN wrong > 0 THEN format('%s files whose counts do not add up, e.g. %s', wrong, detail) END;
    RETURN NEXT;

    item := 'sales = lines loaded';
    SELECT count(*), string_agg(format('file %s: %s sales, %s lines loaded', file_id, sales, rows_loaded), '; '
                                ORDER BY file_id) FILTER (WHERE n <= 5) INTO wrong, detail
    FROM (SELECT l.file_id, coalesce(f.sales, 0) AS sales, l.rows_loaded, row_number() OVER (ORDER BY l.file_id) AS n
          FROM txpipe.file l
          LEFT JOIN (SELECT file_id, count(*) AS sales FROM dwh.fact_sales GROUP BY file_id) f ON f.file_id = l.file_id
          WHERE l.feed = 'sales_transactions' AND l.rows_loaded <> coalesce(f.sales, 0)) d;
    ok := wrong = 0;
    detail := CASE WHEN wrong > 0 THEN format('%s files: %s', wrong, detail) END;
    RETURN NEXT;

    FOR item, wrong IN SELECT 'dwh.' || d.rollup || ' = dwh.fact_sales', d.rows_wrong FROM dwh.rollup_differences() d LOOP
        ok := wrong = 0;
        detail := CASE WHEN wrong > 0 THEN format('%s rows differ; SELECT * FROM txpipe.repair_rollups()', wrong) END;
        RETURN NEXT;
    END LOOP;

    IF NOT txpipe.warehouse_is_distributed() THEN
        item := 'triggers keep the rollups';
        SELECT 4 - count(*) INTO wrong FROM pg_trigger
        WHERE tgrelid = 'dwh.fact_sales'::regclass AND tgenabled IN ('O', 'A')
          AND tgname IN ('rollups_insert', 'rollups_update', 'rollups_delete', 'rollups_truncate');
        ok := wrong = 0;
        detail := CASE WHEN wrong > 0 THEN format('%s of 4 triggers of dwh.fact_sales are missing or disabled', wrong) END;
        RETURN NEXT;
    END IF;

    item := 'total_paid = gross_amount − discount';
    SELECT count(*) INTO wrong FROM dwh.fact_sales f
    WHERE f.gross_amount IS DISTINCT FROM f.units * f.unit_price
       OR f.total_paid IS DISTINCT FROM f.gross_amount - f.gross_amount * f.discount_pct * 0.01;
    ok := wrong = 0;
    detail := CASE WHEN wrong > 0 THEN format('%s sales', wrong) END;
    RETURN NEXT;

    item := 'dwh.sale_key = dwh.fact_sales';
    SELECT count(*), string_agg(format('%L', transaction_id), ', ' ORDER BY transaction_id) FILTER (WHERE n <= 5)
    INTO wrong, detail
    FROM (SELECT transaction_id, row_number() OVER (ORDER BY transaction_id) AS n
          FROM (SELECT transaction_id COLLATE "C" AS transaction_id, transaction_date, file_id, line_no,
                       count(*) AS sales FROM dwh.fact_sales GROUP BY 1, 2, 3, 4) f
          FULL JOIN dwh.sale_key k USING (transaction_id, transaction_date, file_id, line_no)
          WHERE f.sales IS DISTINCT FROM 1 OR k.content_hash IS NULL) d;
    ok := wrong = 0;
    detail := CASE WHEN wrong > 0 THEN format('%s keys or sales without the other, or sales that are there twice, e.g. %s',
                                              wrong, detail) END;
    RETURN NEXT;

    item := 'what repeats a sale has its key, and its file';
    SELECT count(*), string_agg(format('%L', transaction_id), ', ' ORDER BY transaction_id) FILTER (WHERE n <= 5)
    INTO wrong, detail
    FROM (SELECT transaction_id, row_number() OVER (ORDER BY transaction_id) AS n
          FROM (SELECT transaction_id, file_id FROM dwh.sale_duplicate
                UNION ALL SELECT transaction_id, file_id FROM dwh.sale_conflict) r
          WHERE NOT EXISTS (SELECT FROM dwh.sale_key k WHERE k.transaction_id = r.transaction_id)
             OR NOT EXISTS (SELECT FROM dwh.source_file s WHERE s.file_id = r.file_id)) d;
    ok := wrong = 0;
    detail := CASE WHEN wrong > 0 THEN format('%s rows of dwh.sale_duplicate and dwh.sale_conflict, e.g. %s', wrong, detail) END;
    RETURN NEXT;

    item := 'sales are of the days that their file has';
    SELECT count(*) INTO wrong FROM dwh.fact_sales f JOIN dwh.source_file s USING (file_id)
    WHERE f.transaction_date NOT BETWEEN s.first_date AND s.last_date;
    ok := wrong = 0;
    detail := CASE WHEN wrong > 0 THEN format('%s sales, which unload() would not find; UPDATE dwh.source_file '
                                              'SET first_date = ''-infinity'', last_date = ''infinity''', wrong) END;
    RETURN NEXT;

    FOR dimension IN SELECT * FROM (VALUES
        ('dim_product', 'product_key', 'product_key'), ('dim_customer', 'customer_key', 'customer_key'),
        ('dim_sales_agent', 'sales_agent_key', 'sales_agent_key'), ('dim_branch', 'branch_key', 'branch_key'),
        ('dim_location', 'location_key', 'location_key'), ('dim_offer', 'offer_key', 'offer_key'),
        ('dim_date', 'date', 'transaction_date'), ('sales_day', 'transaction_date', 'transaction_date'),
        ('source_file', 'file_id', 'file_id')
    ) AS v (name, key, fact_key) LOOP
        item := format('every sale has its row in dwh.%s', dimension.name);
        EXECUTE format('SELECT count(*) FROM dwh.fact_sales f LEFT JOIN dwh.%I d ON d.%I = f.%I WHERE d.%2$I IS NULL',
                       dimension.name, dimension.key, dimension.fact_key) INTO wrong;
        ok := wrong = 0;
        detail := CASE WHEN wrong > 0 THEN format('%s sales without', wrong) END;
        RETURN NEXT;
    END LOOP;

    FOR dimension IN SELECT * FROM (VALUES ('dim_branch', 'branch_id'), ('dim_sales_agent', 'sales_agent_id'))
        AS v (name, id) LOOP
        item := format('versions in dwh.%s follow each other', dimension.name);
        EXECUTE format($sql$
            SELECT count(DISTINCT id), string_agg(DISTINCT id::text, ', ') FILTER (WHERE n <= 5)
            FROM (SELECT id, dense_rank() OVER (ORDER BY id) AS n
                  FROM (SELECT d.%I AS id, valid_from, valid_to, lag(valid_to) OVER w AS before,
                               lead(valid_from) OVER w AS after
                        FROM dwh.%I d WHERE d.%1$I IS NOT NULL
                        WINDOW w AS (PARTITION BY d.%1$I ORDER BY valid_from)) v
                  WHERE valid_from <> coalesce(before, '-infinity') OR valid_to <> coalesce(after, 'infinity')) v
            $sql$, dimension.id, dimension.name) INTO wrong, detail;
        ok := wrong = 0;
        detail := CASE WHEN wrong > 0 THEN format('gaps or overlaps of %s ids, e.g. %s', wrong, detail) END;
        RETURN NEXT;
    END LOOP;

    IF to_regclass('dwh.live_sales') IS NOT NULL THEN
        item := 'streamed sales are cleaned by the rules of the feed';
        SELECT count(*) INTO wrong FROM dwh.live_period p
        WHERE p.complete_since < 'infinity'
          AND (SELECT f.prosrc FROM pg_proc f JOIN pg_trigger t ON t.tgfoid = f.oid
               WHERE t.tgrelid = 'dwh.live_sales'::regclass AND t.tgname = 'clean' AND t.tgenabled IN ('O', 'A'))
              IS DISTINCT FROM txpipe.live_sale_cleaning();
        ok := wrong = 0;
        detail := CASE WHEN wrong > 0 THEN 'they have changed since: call txpipe.create_live_sales() again' END;
        RETURN NEXT;
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.check_warehouse() IS
'Checks all of the warehouse: counts of files, rollups, money, keys, dimensions, versions, the cleaning of streamed sales. Result: item (what should be),
ok, and detail (what is wrong). Reads everything: for the night, or for doubts. For the owner of dwh, who needs EXECUTE on
it, require_warehouse_owner, live_sale_cleaning and rule_statement. Errors: 42P01 without a warehouse, 42501 for others.';
