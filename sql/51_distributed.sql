
-- 51_distributed.sql: the warehouse on the servers of Citus.
--
-- The dimensions are reference tables, which each server has whole; the facts are shared out by transaction_id. All else stays
-- here: what decides which sale counts, and the rollups, which the reports read. A table that is shared out has no triggers, so
-- the functions that change facts tell the rollups (dwh.sales_moved).

CREATE FUNCTION txpipe.warehouse_is_distributed()
RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    answer boolean := false;
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass(''dwh.fact_sales''))' INTO answer;
    END IF;
    RETURN answer;
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_is_distributed() IS 'Part of the warehouse: are the facts shared out among servers by Citus?';

CREATE FUNCTION txpipe.warehouse_distribute()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    dimension text;
    has_workers boolean := false;
BEGIN
    IF to_regclass('pg_catalog.pg_dist_node') IS NOT NULL THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM citus_get_active_worker_nodes())' INTO has_workers;
    END IF;
    IF NOT has_workers THEN
        RETURN;
    END IF;
    FOREACH dimension IN ARRAY ARRAY['product', 'customer', 'branch', 'sales_agent', 'location', 'offer', 'date'] LOOP
        EXECUTE format('SELECT create_reference_table(%L)', 'dwh.dim_' || dimension);
    END LOOP;
    EXECUTE 'SELECT create_distributed_table(''dwh.fact_sales'', ''transaction_id'')';
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_distribute() IS
'Part of create_warehouse(): where Citus has workers, makes the dimensions of a new warehouse reference tables and the facts a distributed one';

-- MERGE finds no rows that other servers have: they come here first.
CREATE FUNCTION txpipe.rollup_over(query text, statements text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT CASE WHEN txpipe.warehouse_is_distributed()
           THEN format('CREATE TEMPORARY TABLE rollup_rows ON COMMIT DROP AS %s;%s DROP TABLE pg_temp.rollup_rows;',
                       query, replace(statements, '{rows}', 'pg_temp.rollup_rows'))
           ELSE replace(statements, '{rows}', '(' || query || ')') END
$body$;
COMMENT ON FUNCTION txpipe.rollup_over(text, text) IS
'Part of create_warehouse(): statements about {rows}, which are those of a query on the facts';

CREATE FUNCTION txpipe.rollup_plan_mode()
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$SELECT CASE WHEN txpipe.warehouse_is_distributed() THEN 'force_custom_plan' ELSE 'force_generic_plan' END$$;
COMMENT ON FUNCTION txpipe.rollup_plan_mode() IS
'Part of create_warehouse(): plan_cache_mode where one plan shall do for all values; Citus makes none without the values';

CREATE FUNCTION txpipe.warehouse_sales_moved()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION dwh.sales_moved(came dwh.sale_conflict[], went dwh.sale_conflict[]) RETURNS void
        LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
        SET search_path = pg_catalog, pg_temp
        SET enable_seqscan = off SET enable_bitmapscan = off
        SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
        AS %L$sql$, txpipe.rollup_moves($relation$(
            SELECT s.sign, s.transaction_date, s.product_key, s.offer_key, s.discount_pct, s.location_key, s.sales_agent_key,
                   s.branch_key, s.is_online, s.payment_method, s.units, s.units * s.unit_price AS gross_amount,
                   s.units * s.unit_price * (100 - s.discount_pct) * 0.01 AS total_paid
            FROM (SELECT 1 AS sign, c.* FROM unnest(came) c UNION ALL SELECT -1, w.* FROM unnest(went) w) s
            WHERE file_id <> ALL (ARRAY(SELECT file_id FROM dwh.source_file WHERE rollups_pending)))$relation$, 'unnest(came)', true, ''));
    COMMENT ON FUNCTION dwh.sales_moved(dwh.sale_conflict[], dwh.sale_conflict[]) IS
    'Brings the rollups up to date after these sales came to dwh.fact_sales, or went: what its triggers do where Citus does not keep it';
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_sales_moved() IS
'Part of create_warehouse(): what tells the rollups of a distributed warehouse which sales moved';
