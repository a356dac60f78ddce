-- 17_rule_tables.sql: the cleaning rules of feeds, and how many rows of each file they met.

CREATE TABLE txpipe.feed_rule_store (
    feed_id integer NOT NULL REFERENCES txpipe.feed ON DELETE CASCADE,
    rule text NOT NULL CHECK (rule <> ''),
    ordinal integer NOT NULL,
    column_name text,
    expression text NOT NULL,
    action text NOT NULL CHECK (action IN ('reject', 'warn', 'off')),
    message text,
    PRIMARY KEY (feed_id, rule),
    UNIQUE (feed_id, ordinal)
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.feed_rule_store', '');
REVOKE ALL ON txpipe.feed_rule_store FROM PUBLIC;
COMMENT ON TABLE txpipe.feed_rule_store IS 'Checks that the rows of a feed''s files undergo before its first step; read them in txpipe.feed_rule';
COMMENT ON COLUMN txpipe.feed_rule_store.feed_id IS 'Feed';
COMMENT ON COLUMN txpipe.feed_rule_store.rule IS 'Name of the rule; also the code of the lines it rejects';
COMMENT ON COLUMN txpipe.feed_rule_store.ordinal IS 'Order of the rules: the first that rejects a line gives its code';
COMMENT ON COLUMN txpipe.feed_rule_store.column_name IS 'Column the rule is about, where it is one';
COMMENT ON COLUMN txpipe.feed_rule_store.expression IS 'Condition over the columns of the batch; a row for which it is true violates the rule';
COMMENT ON COLUMN txpipe.feed_rule_store.action IS 'What happens to such a row: reject, warn (it is counted and loaded) or off (not looked at)';
COMMENT ON COLUMN txpipe.feed_rule_store.message IS 'Why such a line is rejected; {expression} stands for a value of the row';

CREATE TABLE txpipe.file_rule_store (
    file_id bigint NOT NULL REFERENCES txpipe.file_ledger ON DELETE CASCADE,
    rule text NOT NULL,
    action text NOT NULL CHECK (action IN ('reject', 'warn', 'fix', 'absent')),
    rows bigint NOT NULL,
    PRIMARY KEY (file_id, rule, action)
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.file_rule_store', '');
REVOKE ALL ON txpipe.file_rule_store FROM PUBLIC;
COMMENT ON TABLE txpipe.file_rule_store IS 'How many rows of a file met a rule, stored in the commit that loads the file; read it in txpipe.file_rule';
COMMENT ON COLUMN txpipe.file_rule_store.file_id IS 'File';
COMMENT ON COLUMN txpipe.file_rule_store.rule IS 'Rule, or the code of a step''s warnings, or the column a conversion changed or the file lacks';
COMMENT ON COLUMN txpipe.file_rule_store.action IS 'What happened to the rows: reject, warn or fix; absent: the header has no field for this column, which is NULL';
COMMENT ON COLUMN txpipe.file_rule_store.rows IS 'How many rows';

