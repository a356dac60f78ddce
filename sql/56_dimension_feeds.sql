-- 56_dimension_feeds.sql: the feeds branches and sales_agents, both type 2 (57_dimension_versions.sql).

CREATE FUNCTION txpipe.warehouse_dimension_feeds()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    feed record;
    log CONSTANT text := $step$
        INSERT INTO dwh.{d}_delivery (file_id, line_no, {d}_id, delivered_at, group_order, {columns})
        SELECT b.file_id, b.line_no, b.{d}_id, g.at, g.place, {b.columns}
        FROM batch b
        CROSS JOIN (SELECT dwh.group_time(group_key) AS at, dwh.group_order(group_key) AS place
                    FROM (SELECT group_key FROM batch LIMIT 1) one) g
    $step$;
    -- Lines of files a former installation loaded are in no ledger.
    settle CONSTANT text := $step$
        SELECT s.* FROM (SELECT dwh.group_time(group_key) AS at, file_id FROM batch LIMIT 1) g
        CROSS JOIN LATERAL dwh.settle_{d}(ARRAY(SELECT DISTINCT {d}_id FROM batch), g.at, g.file_id) s
        WHERE s.file_id IS NULL OR (SELECT true FROM txpipe.file f WHERE f.file_id = s.file_id)
    $step$;
    unload CONSTANT text := $step$
        SELECT s.* FROM unloaded u CROSS JOIN LATERAL dwh.unload_{d}(u.file_id) s
        WHERE (SELECT true FROM txpipe.file f WHERE f.file_id = s.file_id)
    $step$;
BEGIN
    FOR feed IN SELECT * FROM (VALUES
        ('branches', 'branch', 10, '{
            "branch_id": {"path": "branch_id", "type": "integer", "as": "whole", "required": true},
            "location": {"path": "location", "type": "varchar(200)", "as": "trim"},
            "establish_date": {"path": "establish_date", "type": "date"},
            "class": {"path": "class", "type": "varchar(60)", "as": "trim"}
        }'::jsonb),
        ('sales_agents', 'sales_agent', 20, '{
            "sales_agent_id": {"path": ["sales_person_id", "sales_agent_id"], "type": "integer", "as": "whole",
                               "required": true},
            "name": {"path": "name", "type": "varchar(200)", "as": "trim"},
            "hire_date": {"path": "hire_date", "type": "date"}
        }')) AS f (name, dimension, ordinal, columns)
    LOOP
        BEGIN
            PERFORM txpipe.create_feed(feed.name, format('^(.+)/%s_[^/]*\.csv$', feed.name), NULL, 'csv', feed.columns,
                'retail', true, NULL, 'archive',
                jsonb_build_object('ragged', true, 'duplicates', 'load', 'ordinal', feed.ordinal));
        EXCEPTION WHEN duplicate_object THEN
            NULL;               -- the feed is there: its steps are brought up to date below
        END;
        -- What an earlier version did another way, at ordinals that are others' now.
        PERFORM txpipe.on_load(feed.name, old.step, NULL)
        FROM txpipe.feed_status s CROSS JOIN unnest(s.steps) AS old (step)
        WHERE s.feed = feed.name AND old.step IN ('unchanged', 'days');
        PERFORM txpipe.on_load(feed.name, 'log', txpipe.dimension_sql(log, feed.dimension), 50);
        PERFORM txpipe.on_load(feed.name, 'load', txpipe.dimension_sql(settle, feed.dimension), 100);
        PERFORM txpipe.on_unload(feed.name, 'unload', txpipe.dimension_sql(unload, feed.dimension), 10);
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_dimension_feeds() IS 'Part of create_warehouse(): the feeds branches and sales_agents';
