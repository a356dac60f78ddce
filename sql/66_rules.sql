-- 66_rules.sql: rules, queries over every batch whose rows become alerts.

CREATE TABLE txpipe.alert_rule_store (
    rule text PRIMARY KEY CHECK (rule <> ''),
    stream_id integer NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    cooldown interval NOT NULL CHECK (cooldown >= '0'),
    topic text CHECK (topic <> ''),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    format text NOT NULL DEFAULT 'json' CHECK (format IN ('json', 'avro')),
    UNIQUE (stream_id, rule),
    FOREIGN KEY (stream_id, rule) REFERENCES txpipe.stream_step_store (stream_id, step) ON DELETE CASCADE
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.alert_rule_store', '');
REVOKE ALL ON txpipe.alert_rule_store FROM PUBLIC;
COMMENT ON TABLE txpipe.alert_rule_store IS 'What makes a step of the kind rule a rule; read it in txpipe.alert_rule';
COMMENT ON COLUMN txpipe.alert_rule_store.rule IS 'Name of the rule and of its step';
COMMENT ON COLUMN txpipe.alert_rule_store.stream_id IS 'Stream whose batches it looks at';
COMMENT ON COLUMN txpipe.alert_rule_store.severity IS 'Severity of its alerts, unless the query has a column severity: info, low, medium, high or critical';
COMMENT ON COLUMN txpipe.alert_rule_store.cooldown IS
    'Closer than this in event time to an alert with the same subject none is raised; it has no months';
COMMENT ON COLUMN txpipe.alert_rule_store.topic IS 'Kafka topic, of the stream''s server, that gets the alerts, too; NULL: none';
COMMENT ON COLUMN txpipe.alert_rule_store.created_at IS 'When the rule was created';
COMMENT ON COLUMN txpipe.alert_rule_store.format IS 'How the alerts are written in that topic: json or avro';

CREATE FUNCTION txpipe.create_rule(rule text, stream text, query text, severity text DEFAULT 'medium',
    cooldown interval DEFAULT '0', topic text DEFAULT NULL, enabled boolean DEFAULT true, on_error text DEFAULT 'stop',
    format text DEFAULT 'json')
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_create_rule';
COMMENT ON FUNCTION txpipe.create_rule(text, text, text, text, interval, text, boolean, text, text) IS
'Adds a rule to a stream: for every batch the query, one SELECT over "batch" and whatever tables, runs in the batch''s transaction
behind all steps, as on_batch() runs them, and its rows become alerts (txpipe.alert) in the same commit. Its columns count by their names:
subject (needed: who or what it is about; NULL is stored as the empty text), event_time timestamptz (NULL: now), transaction_id,
reason, severity, kafka_topic (as text), evidence jsonb, kafka_partition integer, kafka_offset bigint. rule_query() makes queries
from templates, test_rule() tries one on history. severity: info, low, medium, high or critical. cooldown: closer than this in event
time to an alert of the rule with the same subject, before or after, none is raised; the same subject, event_time and
transaction_id raise one alert only, without a cooldown, too. Each alert is told to NOTIFY''s channel txpipe_alert. topic: it is also
delivered to this topic of the stream''s server, after the commit and at least once (txpipe.outbox). on_error: as in on_batch(). format: what
the alerts are in the topic, json, or avro of the schema alert_schema(), which is registered as TOPIC-value where the server has a registry.
Takes effect with the commit. Errors: 42601 and 22023 not one SELECT, 42703 no column subject, 42804 a column of another type, 42710 there is
such a rule or step, 42704 no such stream, 42501 not its owner';

CREATE FUNCTION txpipe.alter_rule(rule text, query text DEFAULT NULL, severity text DEFAULT NULL, cooldown interval DEFAULT NULL,
    topic text DEFAULT NULL, enabled boolean DEFAULT NULL, on_error text DEFAULT NULL,
    format text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_alter_rule';
COMMENT ON FUNCTION txpipe.alter_rule(text, text, text, interval, text, boolean, text, text) IS
'Changes a rule from the next batch on; NULL leaves a thing as it is, the empty topic takes the topic away. Alerts that were raised
stay as they are. Errors: 42704 no such rule, 42501 not its owner; and as create_rule()';

CREATE FUNCTION txpipe.drop_rule(rule text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_drop_alert_rule';
COMMENT ON FUNCTION txpipe.drop_rule(text) IS
'Removes a rule from its stream; its alerts stay. Errors: 42704 no such rule, 42501 not its owner';

CREATE VIEW txpipe.alert_rule WITH (security_barrier) AS
    SELECT r.rule, s.stream,
           CASE WHEN txpipe.is_owner(s.owner_oid, s.owner_name) THEN p.sql END AS query,
           r.severity, r.cooldown, r.topic, p.enabled, p.on_error, r.created_at, r.format
      FROM txpipe.alert_rule_store r
      JOIN txpipe.stream_step_store p ON p.stream_id = r.stream_id AND p.step = r.rule
      JOIN txpipe.stream s ON s.stream_id = r.stream_id
     WHERE txpipe.may_read(s.target_schema, s.target_table)
        OR txpipe.is_owner(s.owner_oid, s.owner_name);
GRANT SELECT ON txpipe.alert_rule TO PUBLIC;
COMMENT ON VIEW txpipe.alert_rule IS 'Rules of the streams whose target you may read; txpipe.stream_step has what they cost';
COMMENT ON COLUMN txpipe.alert_rule.rule IS 'Name of the rule';
COMMENT ON COLUMN txpipe.alert_rule.stream IS 'Stream whose batches it looks at';
COMMENT ON COLUMN txpipe.alert_rule.query IS 'Its query; NULL unless the stream is yours';
COMMENT ON COLUMN txpipe.alert_rule.severity IS 'Severity of its alerts, unless the query has a column severity';
COMMENT ON COLUMN txpipe.alert_rule.cooldown IS 'Closer than this in event time to an alert with the same subject none is raised';
COMMENT ON COLUMN txpipe.alert_rule.topic IS 'Kafka topic that gets the alerts, too; NULL: none';
COMMENT ON COLUMN txpipe.alert_rule.enabled IS 'Whether it is run';
COMMENT ON COLUMN txpipe.alert_rule.on_error IS 'What an error that rows cause does: stop, skip or dead_letter';
COMMENT ON COLUMN txpipe.alert_rule.created_at IS 'When it was created';
COMMENT ON COLUMN txpipe.alert_rule.format IS 'How the alerts are written in that topic: json or avro';
