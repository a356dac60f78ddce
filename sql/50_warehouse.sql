
-- 50_warehouse.sql: create_warehouse(), which makes the schema dwh and the three feeds that fill it.
--
-- The warehouse belongs to the role that calls this, not to the extension: nothing in dwh refers to an
-- object of txpipe, so DROP EXTENSION leaves it as it is and pg_dump dumps it. The parts:
-- 52 the tables, 53 and 59 the rollups, 54 the functions that live in dwh, 57 what decides which version and which
-- sale counts, 56 and 58 the feeds and their steps, 63 what is streamed beside them.

CREATE FUNCTION txpipe.create_warehouse()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    holder name := (SELECT rolname FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
                    WHERE nspname = 'dwh');
    known CONSTANT oid[] := ARRAY(SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace('dwh'));
    made record;
BEGIN
    IF holder IS NULL THEN
        CREATE SCHEMA dwh;
        REVOKE ALL ON SCHEMA dwh FROM PUBLIC;
        PERFORM txpipe.warehouse_dimensions();
        PERFORM txpipe.warehouse_facts();
    ELSIF to_regclass('dwh.version') IS NULL THEN
        RAISE EXCEPTION 'schema "dwh" exists and is not a txpipe warehouse'
            USING ERRCODE = 'duplicate_schema',
                  HINT = 'rename it (ALTER SCHEMA dwh RENAME TO dwh_old), then call txpipe.create_warehouse() again';
    ELSIF holder <> current_user THEN
        RAISE EXCEPTION 'the warehouse in schema "dwh" belongs to role "%"', holder
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('call it as its owner: SET ROLE %I', holder);
    END IF;
    -- Loads lock their feeds before they lock tables, and so does this.
    PERFORM txpipe.alter_feed(feed, options => '{}')
       FROM txpipe.feed_status WHERE feed IN ('branches', 'sales_agents', 'sales_transactions') ORDER BY feed LIMIT 1;
    PERFORM txpipe.warehouse_functions();
    PERFORM txpipe.warehouse_dimension_logs();
    PERFORM txpipe.warehouse_offer_periods();
    PERFORM txpipe.warehouse_winner_tables();
    IF holder IS NULL THEN
        PERFORM txpipe.warehouse_distribute();
    END IF;
    PERFORM txpipe.warehouse_dimension_functions();
    PERFORM txpipe.warehouse_winner_functions();
    PERFORM txpipe.warehouse_adopt();
    PERFORM txpipe.warehouse_rollups();
    PERFORM txpipe.warehouse_dimension_feeds();
    PERFORM txpipe.warehouse_sales_feed();
    PERFORM txpipe.warehouse_rollup_steps();
    PERFORM txpipe.warehouse_live_tables();
    PERFORM txpipe.warehouse_live_rules();
    PERFORM txpipe.warehouse_live_functions();
    PERFORM txpipe.warehouse_rollup_views();
    PERFORM txpipe.warehouse_live_views();
    -- Default privileges of the caller may give everybody what nobody has granted here.
    FOR made IN SELECT oid::regclass AS name, CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind FROM pg_class
                WHERE relnamespace = 'dwh'::regnamespace AND relkind IN ('r', 'p', 'v', 'S') AND oid <> ALL (known) LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM PUBLIC', made.kind, made.name);
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.create_warehouse() IS
'Makes the schema dwh (dimensions, facts, keys), owned by the caller, and the feeds branches, sales_agents and
sales_transactions of the group "retail". Called again it brings functions, steps and the tables of an older
version up to date and makes feeds and cleaning rules that are missing; data stay. Needs CREATE on the database and
EXECUTE on txpipe.create_feed, alter_feed, on_load, on_file_end, on_unload, on_run_end, set_rule, warehouse_*, rollup_*, list_rollups, dimension_sql, sale_sql,
skip_file_ids, comment_rollup, live_sale_cleaning, rule_statement, create_unified_view, check_unified, unified_key and comment_live_view. Errors: 42P06 when another schema dwh is there, 42501 when the
warehouse belongs to another role.';

-- Report functions call this first: an error that says what to do instead of a missing relation.
CREATE FUNCTION txpipe.require_warehouse()
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF to_regclass('dwh.fact_sales') IS NULL THEN
        RAISE EXCEPTION 'there is no warehouse in this database'
            USING ERRCODE = 'undefined_table',
                  HINT = 'call txpipe.create_warehouse()';
    ELSIF to_regclass('dwh.rollup_total') IS NULL THEN
        RAISE EXCEPTION 'the warehouse has no rollups yet'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'its owner calls txpipe.create_warehouse(), which adds and fills them';
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.require_warehouse() IS
'Part of reports: raises 42P01 with a hint where the database has no warehouse, 55000 where it has one without rollups';
