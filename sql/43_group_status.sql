-- 43_group_status.sql: what people read about the history of files, and about groups that are not complete.

CREATE VIEW txpipe.file_event WITH (security_barrier) AS
    SELECT e.file_id,
           f.feed,
           l.file_name,
           e.happened_at,
           e.state,
           e.reason,
           e.event_id
      FROM txpipe.file_event_store e
      JOIN txpipe.file_ledger l USING (file_id)
      JOIN txpipe.feed f USING (feed_id)
     WHERE txpipe.may_read(f.target_schema, f.target_table)
        OR txpipe.is_owner(f.owner_oid, f.owner_name);
GRANT SELECT ON txpipe.file_event TO PUBLIC;
COMMENT ON VIEW txpipe.file_event IS 'Every state each file of the feeds whose target you may read has had';
COMMENT ON COLUMN txpipe.file_event.file_id IS 'File, as in txpipe.file';
COMMENT ON COLUMN txpipe.file_event.feed IS 'Feed';
COMMENT ON COLUMN txpipe.file_event.file_name IS 'Path below the landing directory';
COMMENT ON COLUMN txpipe.file_event.happened_at IS 'When it came to this state';
COMMENT ON COLUMN txpipe.file_event.state IS 'The state, as in txpipe.file';
COMMENT ON COLUMN txpipe.file_event.reason IS 'Why';
COMMENT ON COLUMN txpipe.file_event.event_id IS 'Number of the event: events in their order';

CREATE VIEW txpipe.missing_group WITH (security_barrier) AS
    SELECT g.group_name,
           g.group_key,
           pg_catalog.array_agg(r.feed ORDER BY r.ordinal, r.feed_id) AS missing_feeds,
           g.since
      FROM (SELECT f.group_name, l.group_key, min(l.arrived_at) AS since
              FROM txpipe.file_ledger l JOIN txpipe.feed f USING (feed_id)
             WHERE l.state NOT IN ('settling', 'superseded')
               AND (txpipe.may_read(f.target_schema, f.target_table)
                    OR txpipe.is_owner(f.owner_oid, f.owner_name))
             GROUP BY f.group_name, l.group_key) g
      JOIN txpipe.feed r ON r.group_name = g.group_name AND r.required
     WHERE NOT EXISTS (SELECT FROM txpipe.file_ledger p
                        WHERE p.feed_id = r.feed_id AND p.group_key = g.group_key
                          AND p.state NOT IN ('settling', 'superseded'))
     GROUP BY g.group_name, g.group_key, g.since;
GRANT SELECT ON txpipe.missing_group TO PUBLIC;
COMMENT ON VIEW txpipe.missing_group IS 'Groups of files that are not complete: they wait for files of the feeds named';
COMMENT ON COLUMN txpipe.missing_group.group_name IS 'Group name of the feeds';
COMMENT ON COLUMN txpipe.missing_group.group_key IS 'Key of the group';
COMMENT ON COLUMN txpipe.missing_group.missing_feeds IS 'Required feeds without a file of this group';
COMMENT ON COLUMN txpipe.missing_group.since IS 'When its first file arrived';
