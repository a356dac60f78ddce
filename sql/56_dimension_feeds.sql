
-- 56_dimension_feeds.sql: the feeds branches and sales_agents.
--
-- Both are type 2: a delivery that differs from the version valid at its group's time begins a new
-- version. Periods follow from the order of the versions' group times, not of their arrival, so a group
-- that comes late finds its place between its neighbours.

CREATE FUNCTION txpipe.warehouse_dimension_feeds()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    load_branches CONSTANT text := $step$
        MERGE INTO dwh.dim_branch d
        USING (
            WITH incoming AS (
                SELECT b.branch_id, b.location, b.establish_date, b.class, g.at
                FROM batch b, (SELECT dwh.group_time(group_key) AS at FROM batch LIMIT 1) g
            ), version AS (
                SELECT d.branch_key, d.branch_id, d.location, d.establish_date, d.class, d.delivered_at
                FROM dwh.dim_branch d JOIN incoming i ON i.branch_id = d.branch_id
                WHERE NOT d.is_inferred AND d.delivered_at <> i.at
                UNION ALL
                SELECT d.branch_key, i.branch_id, i.location, i.establish_date, i.class, i.at
                FROM incoming i LEFT JOIN dwh.dim_branch d
                    ON d.branch_id = i.branch_id AND (d.is_inferred OR d.delivered_at = i.at)
            )
            SELECT *, CASE WHEN lag(delivered_at) OVER w IS NULL THEN '-infinity' ELSE delivered_at END AS valid_from,
                   coalesce(lead(delivered_at) OVER w, 'infinity') AS valid_to
            FROM version WINDOW w AS (PARTITION BY branch_id ORDER BY delivered_at)
        ) v ON d.branch_key = v.branch_key
        WHEN MATCHED AND (d.location, d.establish_date, d.class, d.valid_from, d.valid_to, d.delivered_at)
                IS DISTINCT FROM (v.location, v.establish_date, v.class, v.valid_from, v.valid_to, v.delivered_at) THEN
            UPDATE SET location = v.location, establish_date = v.establish_date, class = v.class,
                valid_from = v.valid_from, valid_to = v.valid_to, delivered_at = v.delivered_at, is_inferred = false
        WHEN NOT MATCHED THEN
            INSERT (branch_id, location, establish_date, class, valid_from, valid_to, delivered_at)
            VALUES (v.branch_id, v.location, v.establish_date, v.class, v.valid_from, v.valid_to, v.delivered_at)
    $step$;
    load_agents CONSTANT text := $step$
        MERGE INTO dwh.dim_sales_agent d
        USING (
            WITH incoming AS (
                SELECT b.sales_agent_id, b.name, b.hire_date, g.at
                FROM batch b, (SELECT dwh.group_time(group_key) AS at FROM batch LIMIT 1) g
            ), version AS (
                SELECT d.sales_agent_key, d.sales_agent_id, d.name, d.hire_date, d.delivered_at
                FROM dwh.dim_sales_agent d JOIN incoming i ON i.sales_agent_id = d.sales_agent_id
                WHERE NOT d.is_inferred AND d.delivered_at <> i.at
                UNION ALL
                SELECT d.sales_agent_key, i.sales_agent_id, i.name, i.hire_date, i.at
                FROM incoming i LEFT JOIN dwh.dim_sales_agent d
                    ON d.sales_agent_id = i.sales_agent_id AND (d.is_inferred OR d.delivered_at = i.at)
            )
            SELECT *, CASE WHEN lag(delivered_at) OVER w IS NULL THEN '-infinity' ELSE delivered_at END AS valid_from,
                   coalesce(lead(delivered_at) OVER w, 'infinity') AS valid_to
            FROM version WINDOW w AS (PARTITION BY sales_agent_id ORDER BY delivered_at)
        ) v ON d.sales_agent_key = v.sales_agent_key
        WHEN MATCHED AND (d.name, d.hire_date, d.valid_from, d.valid_to, d.delivered_at)
                IS DISTINCT FROM (v.name, v.hire_date, v.valid_from, v.valid_to, v.delivered_at) THEN
            UPDATE SET name = v.name, hire_date = v.hire_date,
                valid_from = v.valid_from, valid_to = v.valid_to, delivered_at = v.delivered_at, is_inferred = false
        WHEN NOT MATCHED THEN
            INSERT (sales_agent_id, name, hire_date, valid_from, valid_to, delivered_at)
            VALUES (v.sales_agent_id, v.name, v.hire_date, v.valid_from, v.valid_to, v.delivered_at)
    $step$;
BEGIN
    BEGIN
        PERFORM txpipe.create_feed('branches', '^(.+)/branches_[^/]*\.csv$', NULL, 'csv', $json${
            "branch_id": {"path": "branch_id", "type": "integer", "as": "whole", "required": true},
            "location": {"path": "location", "type": "varchar(200)", "as": "trim"},
            "establish_date": {"path": "establish_date", "type": "date"},
            "class": {"path": "class", "type": "varchar(60)", "as": "trim"}
        }$json$, 'retail', true, load_branches, 'archive', '{"ragged": true, "ordinal": 10}');
    EXCEPTION WHEN duplicate_object THEN
        NULL;                   -- the feed is there: its steps are brought up to date below
    END;
    -- Of several lines for one branch the last counts; what is equal to the version in force is no news.
    PERFORM txpipe.on_load('branches', 'unchanged', $step$
        SELECT line_no, CASE WHEN same THEN 'duplicate' ELSE 'superseded' END AS outcome,
               NULL::text AS code, NULL::text AS message, NULL::text AS column_name
        FROM (
            SELECT b.line_no, b.line_no < max(b.line_no) OVER w AS is_earlier,
                   CASE WHEN b.line_no < max(b.line_no) OVER w
                        THEN (b.location, b.establish_date, b.class) IS NOT DISTINCT FROM
                             (last_value(b.location) OVER w, last_value(b.establish_date) OVER w,
                              last_value(b.class) OVER w)
                        ELSE NOT v.is_inferred AND (b.location, b.establish_date, b.class)
                             IS NOT DISTINCT FROM (v.location, v.establish_date, v.class)
                   END AS same
            FROM batch b
            CROSS JOIN (SELECT dwh.group_time(group_key) AS at FROM batch LIMIT 1) g
            LEFT JOIN LATERAL (
                SELECT d.is_inferred, d.location, d.establish_date, d.class
                FROM dwh.dim_branch d
                WHERE d.branch_id = b.branch_id AND d.delivered_at <= g.at
                ORDER BY d.delivered_at DESC LIMIT 1
            ) v ON true
            WINDOW w AS (PARTITION BY b.branch_id ORDER BY b.line_no
                         ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
        ) l WHERE is_earlier OR same
    $step$, 50);
    PERFORM txpipe.on_load('branches', 'load', load_branches, 100);

    BEGIN
        PERFORM txpipe.create_feed('sales_agents', '^(.+)/sales_agents_[^/]*\.csv$', NULL, 'csv', $json${
            "sales_agent_id": {"path": ["sales_person_id", "sales_agent_id"], "type": "integer", "as": "whole",
                               "required": true},
            "name": {"path": "name", "type": "varchar(200)", "as": "trim"},
            "hire_date": {"path": "hire_date", "type": "date"}
        }$json$, 'retail', true, load_agents, 'archive', '{"ragged": true, "ordinal": 20}');
    EXCEPTION WHEN duplicate_object THEN
        NULL;
    END;
    PERFORM txpipe.on_load('sales_agents', 'unchanged', $step$
        SELECT line_no, CASE WHEN same THEN 'duplicate' ELSE 'superseded' END AS outcome,
               NULL::text AS code, NULL::text AS message, NULL::text AS column_name
        FROM (
            SELECT b.line_no, b.line_no < max(b.line_no) OVER w AS is_earlier,
                   CASE WHEN b.line_no < max(b.line_no) OVER w
                        THEN (b.name, b.hire_date) IS NOT DISTINCT FROM
                             (last_value(b.name) OVER w, last_value(b.hire_date) OVER w)
                        ELSE NOT v.is_inferred AND (b.name, b.hire_date)
                             IS NOT DISTINCT FROM (v.name, v.hire_date)
                   END AS same
            FROM batch b
            CROSS JOIN (SELECT dwh.group_time(group_key) AS at FROM batch LIMIT 1) g
            LEFT JOIN LATERAL (
                SELECT d.is_inferred, d.name, d.hire_date
                FROM dwh.dim_sales_agent d
                WHERE d.sales_agent_id = b.sales_agent_id AND d.delivered_at <= g.at
                ORDER BY d.delivered_at DESC LIMIT 1
            ) v ON true
            WINDOW w AS (PARTITION BY b.sales_agent_id ORDER BY b.line_no
                         ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
        ) l WHERE is_earlier OR same
    $step$, 50);
    -- A name filled in or corrected in place changes the daily files of the days that agent sold on.
    PERFORM txpipe.on_load('sales_agents', 'days', $step$
        UPDATE dwh.sales_day s
        SET version = s.version + 1, file_id = n.file_id, changed_at = now()
        FROM (SELECT DISTINCT f.transaction_date, b.file_id
              FROM (SELECT *, dwh.group_time(group_key) AS at FROM batch) b
              JOIN dwh.dim_sales_agent d ON d.sales_agent_id = b.sales_agent_id
                   AND (d.is_inferred OR d.delivered_at = b.at) AND d.name IS DISTINCT FROM b.name
              JOIN dwh.fact_sales f ON f.sales_agent_key = d.sales_agent_key) n
        WHERE s.transaction_date = n.transaction_date
    $step$, 60);
    PERFORM txpipe.on_load('sales_agents', 'load', load_agents, 100);
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_dimension_feeds() IS 'Part of create_warehouse(): the feeds branches and sales_agents';
