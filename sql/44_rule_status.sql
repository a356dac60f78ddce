-- 44_rule_status.sql: what people read about cleaning rules, with the visibility of txpipe.file.

CREATE VIEW txpipe.feed_rule WITH (security_barrier) AS
    SELECT f.feed,
           r.rule,
           r.ordinal,
           r.column_name,
           r.kind,
           r.expression,
           r.action,
           r.message
      FROM txpipe.feed f
      CROSS JOIN LATERAL (
           SELECT s.rule, s.ordinal, s.column_name, 'check' AS kind, s.expression, s.action, s.message
             FROM txpipe.feed_rule_store s
            WHERE s.feed_id = f.feed_id
           UNION ALL
           SELECT c.key, NULL, c.key, 'conversion', c.value ->> 'as', 'fix', NULL
             FROM pg_catalog.jsonb_each(f.columns) c
            WHERE pg_catalog.jsonb_typeof(c.value) = 'object' AND c.value ->> 'as' !~ '^epoch') r
     WHERE txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table);
GRANT SELECT ON txpipe.feed_rule TO PUBLIC;
COMMENT ON VIEW txpipe.feed_rule IS 'Cleaning rules of the feeds whose target you may read: checks, and the conversions of the mapping';
COMMENT ON COLUMN txpipe.feed_rule.feed IS 'Feed';
COMMENT ON COLUMN txpipe.feed_rule.rule IS 'Name of the rule; of a conversion, the column';
COMMENT ON COLUMN txpipe.feed_rule.ordinal IS 'Order of the checks; NULL for conversions, which come before them';
COMMENT ON COLUMN txpipe.feed_rule.column_name IS 'Column it is about, where it is one';
COMMENT ON COLUMN txpipe.feed_rule.kind IS 'check (changed by txpipe.set_rule) or conversion ("as" in the mapping of the feed)';
COMMENT ON COLUMN txpipe.feed_rule.expression IS 'Condition that is true for a row that violates the rule; of a conversion, its name';
COMMENT ON COLUMN txpipe.feed_rule.action IS 'What happens: reject, warn, off; a conversion is a fix';
COMMENT ON COLUMN txpipe.feed_rule.message IS 'Why a line is rejected; {expression} stands for a value of the row';

CREATE VIEW txpipe.file_rule WITH (security_barrier) AS
    SELECT r.file_id,
           r.rule,
           r.action,
           r.rows
      FROM txpipe.file_rule_store r
      JOIN txpipe.file_ledger l USING (file_id)
      JOIN txpipe.feed f USING (feed_id)
     WHERE txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table);
GRANT SELECT ON txpipe.file_rule TO PUBLIC;
COMMENT ON VIEW txpipe.file_rule IS 'How many rows of each loaded file met which cleaning rule';
COMMENT ON COLUMN txpipe.file_rule.file_id IS 'File, as in txpipe.file';
COMMENT ON COLUMN txpipe.file_rule.rule IS 'Rule, or the code of a step''s warnings, or the column a conversion changed or the file lacks';
COMMENT ON COLUMN txpipe.file_rule.action IS 'What happened to the rows: reject, warn or fix; absent: the header has no field for this column, which is NULL';
COMMENT ON COLUMN txpipe.file_rule.rows IS 'How many rows';

