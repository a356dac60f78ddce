-- 78_access.sql: who may read, and who may run. Rights are PostgreSQL's own: what is granted here can be granted by hand,
-- and is dumped with the database.

-- The right itself, since PostgreSQL has none of this kind: src/rights.c and src/ledger_group.c ask for it.
CREATE FUNCTION txpipe.operate()
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'SELECT true';
COMMENT ON FUNCTION txpipe.operate() IS
'The right of operators, true for whoever may call it: a role with EXECUTE on it pauses and resumes streams of others, and loads
groups of files of others with run_hourly(); what is loaded still runs as the owner of the feed. txpipe.grant_operator() grants it';

CREATE FUNCTION txpipe.personal_columns(OUT column_name name, OUT description text)
RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    VALUES ('first_name'::name, 'first name of a customer'), ('last_name', 'last name of a customer'), ('email', 'e-mail address of a customer'),
           ('street', 'street a sale was shipped to'), ('postal_code', 'postal code a sale was shipped to')
$body$;
COMMENT ON FUNCTION txpipe.personal_columns() IS 'Columns of dwh that grant_reader() masks: in dim_customer, fact_sales, sales, batch_sales and speed_sales';

CREATE FUNCTION txpipe.check_access(role regrole)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    holder oid;
BEGIN
    IF role IS NULL OR NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = check_access.role) THEN
        RAISE EXCEPTION 'a role is needed' USING ERRCODE = 'undefined_object', HINT = 'CREATE ROLE makes one';
    END IF;
    FOR holder IN
        SELECT n.nspowner FROM pg_namespace n WHERE n.nspname IN ('txpipe', 'dwh')
        UNION SELECT p.proowner FROM pg_proc p WHERE p.oid = 'txpipe.operate()'::regprocedure
    LOOP
        IF NOT pg_has_role(holder, 'USAGE') THEN
            RAISE EXCEPTION 'only a member of role "%" can grant what it owns', pg_get_userbyid(holder)
                USING ERRCODE = 'insufficient_privilege', HINT = 'call it as a superuser';
        END IF;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.check_access(regrole) IS
'Part of grant_reader(), grant_operator() and revoke_access(): raises 42704 without a role, 42501 unless the caller is a member of the
owners of the extension and of dwh';

CREATE FUNCTION txpipe.grant_reader(role regrole, mask_personal boolean DEFAULT true)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    item record;
    open_column text;
BEGIN
    PERFORM txpipe.check_access(role);
    EXECUTE format('GRANT USAGE ON SCHEMA txpipe TO %s', role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION txpipe.health(boolean), txpipe.health_problems() TO %s', role);
    IF to_regclass('dwh.fact_sales') IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA dwh TO %s', role);
    FOR item IN
        SELECT c.oid::regclass AS name,
               bool_or(p.column_name IS NOT NULL) AND mask_personal IS NOT FALSE AS is_masked,
               string_agg(quote_ident(a.attname), ', ') FILTER (WHERE p.column_name IS NULL) AS columns
          FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN txpipe.personal_columns() p ON p.column_name = a.attname
         WHERE c.relnamespace = 'dwh'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
           AND (c.relname LIKE 'dim\_%' OR c.relname LIKE 'rollup\_%' OR c.relname IN ('fact_sales', 'sales_day', 'version', 'sales', 'batch_sales', 'speed_sales', 'sales_reconciliation'))
         GROUP BY c.oid
    LOOP
        IF item.is_masked THEN
            EXECUTE format('REVOKE SELECT ON %s FROM %s', item.name, role);
            EXECUTE format('GRANT SELECT (%s) ON %s TO %s', item.columns, item.name, role);
        ELSE
            EXECUTE format('GRANT SELECT ON %s TO %s', item.name, role);
        END IF;
    END LOOP;
    SELECT string_agg(format('%s.%I', t.name, a.attname), ', ' ORDER BY t.name::text, a.attname) INTO open_column
      FROM unnest(ARRAY['dwh.dim_customer', 'dwh.fact_sales', to_regclass('dwh.sales'), to_regclass('dwh.batch_sales'),
                        to_regclass('dwh.speed_sales')]::regclass[]) AS t(name)
      JOIN pg_attribute a ON a.attrelid = t.name AND NOT a.attisdropped
      JOIN txpipe.personal_columns() p ON p.column_name = a.attname
     WHERE has_column_privilege(role, t.name, a.attnum, 'SELECT');
    IF mask_personal IS NOT FALSE AND open_column IS NOT NULL THEN
        RAISE WARNING 'role % may still read personal columns', role
            USING DETAIL = open_column, HINT = 'It has the right through PUBLIC, as a member of another role, or as the owner or a superuser.';
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.grant_reader(regrole, boolean) IS
'Lets a role read reports and status, and nothing else: USAGE on txpipe and dwh, SELECT on the dimensions, rollups, facts, days and
unified sales of dwh, EXECUTE on health(). mask_personal: without the customers'' first_name, last_name and email and the street and postal_code of
sales (top_customers() gives NULL for them); false: with them. Called again it changes that, and adds what is new in dwh. A
stream or a feed with a target is shown to it with SELECT on that table, granted by hand. Rejected rows of the warehouse and dead letters
stay closed. Warns where the role may read personal columns another way. For members of the owners of the extension and of
dwh. Errors: 42704 no such role, 42501.';

CREATE FUNCTION txpipe.grant_operator(role regrole, mask_personal boolean DEFAULT true)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM txpipe.grant_reader(role, mask_personal);
    EXECUTE format('GRANT EXECUTE ON FUNCTION txpipe.operate(), txpipe.pause_stream(text), txpipe.resume_stream(text) TO %s', role);
    EXECUTE format('GRANT EXECUTE ON PROCEDURE txpipe.run_hourly(integer) TO %s', role);
END
$body$;
COMMENT ON FUNCTION txpipe.grant_operator(regrole, boolean) IS
'Lets a role read as grant_reader() does, run the load (run_hourly() of the feeds of all owners, as their owners) and pause and
resume all streams (EXECUTE on operate()). It owns nothing by that: it changes no stream or feed, and sees no dead letter, rejected
row of the warehouse, or secret. mask_personal and errors as in grant_reader(). Exports, snapshots and reload() are for the owner of dwh.';

CREATE FUNCTION txpipe.revoke_access(role regrole)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM txpipe.check_access(role);
    EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA txpipe FROM %s', role);
    EXECUTE format('REVOKE ALL ON SCHEMA txpipe FROM %s', role);
    IF to_regclass('dwh.fact_sales') IS NOT NULL THEN
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA dwh FROM %s', role);
        EXECUTE format('REVOKE ALL ON SCHEMA dwh FROM %s', role);
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.revoke_access(regrole) IS
'Takes from a role everything it was granted in the schemas txpipe and dwh, by grant_reader(), grant_operator() or by hand. What it has as a
member of other roles, or on tables elsewhere, stays. Errors: as grant_reader().';
