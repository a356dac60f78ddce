-- 67_alerts.sql: what rules have raised.

CREATE TABLE txpipe.alert_store (
    alert_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id integer NOT NULL REFERENCES txpipe.stream ON DELETE CASCADE,
    rule text NOT NULL,
    severity text NOT NULL,
    subject text NOT NULL,
    transaction_id text,
    event_time timestamptz NOT NULL,
    reason text,
    evidence jsonb,
    kafka_topic text,
    kafka_partition integer,
    kafka_offset bigint,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'acknowledged', 'closed')),
    raised_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    settled_by name,
    CONSTRAINT severity_of_alert CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical'))
);
-- Cool-downs look for the neighbours of an alert here, for each batch that raises some.
CREATE INDEX alert_store_subject_idx ON txpipe.alert_store (stream_id, rule, subject, event_time);
SELECT pg_catalog.pg_extension_config_dump('txpipe.alert_store', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.alert_store_alert_id_seq', '');
REVOKE ALL ON txpipe.alert_store FROM PUBLIC;
COMMENT ON TABLE txpipe.alert_store IS 'Alerts, stored in the commit of the batch that raised them; read them in txpipe.alert';
COMMENT ON COLUMN txpipe.alert_store.alert_id IS 'Number of the alert';
COMMENT ON COLUMN txpipe.alert_store.stream_id IS 'Stream whose batch raised it';
COMMENT ON COLUMN txpipe.alert_store.rule IS 'Rule that raised it';
COMMENT ON COLUMN txpipe.alert_store.severity IS 'info, low, medium, high or critical';
COMMENT ON COLUMN txpipe.alert_store.subject IS 'Whom or what it is about, such as an account';
COMMENT ON COLUMN txpipe.alert_store.transaction_id IS 'Transaction it is about';
COMMENT ON COLUMN txpipe.alert_store.event_time IS 'When what it is about happened';
COMMENT ON COLUMN txpipe.alert_store.reason IS 'Why, in words';
COMMENT ON COLUMN txpipe.alert_store.evidence IS 'Figures behind the reason';
COMMENT ON COLUMN txpipe.alert_store.kafka_topic IS 'Topic of the message it is about';
COMMENT ON COLUMN txpipe.alert_store.kafka_partition IS 'Partition of that message';
COMMENT ON COLUMN txpipe.alert_store.kafka_offset IS 'Offset of that message';
COMMENT ON COLUMN txpipe.alert_store.state IS 'open, acknowledged or closed';
COMMENT ON COLUMN txpipe.alert_store.raised_at IS 'When it was raised';
COMMENT ON COLUMN txpipe.alert_store.settled_at IS 'When it was acknowledged or closed';
COMMENT ON COLUMN txpipe.alert_store.settled_by IS 'Who did that';

CREATE VIEW txpipe.alert WITH (security_barrier) AS
    SELECT a.alert_id, a.rule, a.severity, a.subject, a.transaction_id, a.event_time, a.reason, a.evidence, a.kafka_topic,
           a.kafka_partition, a.kafka_offset, a.state, a.raised_at, s.stream, a.settled_at, a.settled_by
      FROM txpipe.alert_store a
      JOIN txpipe.stream s USING (stream_id)
     WHERE txpipe.may_read(s.target_schema, s.target_table)
        OR txpipe.is_owner(s.owner_oid, s.owner_name);
GRANT SELECT ON txpipe.alert TO PUBLIC;
COMMENT ON VIEW txpipe.alert IS 'Alerts raised by the rules of the streams whose target you may read';
COMMENT ON COLUMN txpipe.alert.alert_id IS 'Number of the alert';
COMMENT ON COLUMN txpipe.alert.rule IS 'Rule that raised it';
COMMENT ON COLUMN txpipe.alert.severity IS 'info, low, medium, high or critical';
COMMENT ON COLUMN txpipe.alert.subject IS 'Whom or what it is about, such as an account';
COMMENT ON COLUMN txpipe.alert.transaction_id IS 'Transaction it is about';
COMMENT ON COLUMN txpipe.alert.event_time IS 'When what it is about happened';
COMMENT ON COLUMN txpipe.alert.reason IS 'Why, in words';
COMMENT ON COLUMN txpipe.alert.evidence IS 'Figures behind the reason';
COMMENT ON COLUMN txpipe.alert.kafka_topic IS 'Topic of the message it is about';
COMMENT ON COLUMN txpipe.alert.kafka_partition IS 'Partition of that message';
COMMENT ON COLUMN txpipe.alert.kafka_offset IS 'Offset of that message';
COMMENT ON COLUMN txpipe.alert.state IS 'open, acknowledged or closed';
COMMENT ON COLUMN txpipe.alert.raised_at IS 'When it was raised';
COMMENT ON COLUMN txpipe.alert.stream IS 'Stream whose batch raised it';
COMMENT ON COLUMN txpipe.alert.settled_at IS 'When it was acknowledged or closed';
COMMENT ON COLUMN txpipe.alert.settled_by IS 'Who did that';

CREATE FUNCTION txpipe.acknowledge_alert(alert_id bigint)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_acknowledge_alert';
COMMENT ON FUNCTION txpipe.acknowledge_alert(bigint) IS
'Marks an open alert as seen by the caller, who may see it in txpipe.alert and was granted EXECUTE on this function.
Errors: 42704 there is no such alert for him, 55000 it is closed';

CREATE FUNCTION txpipe.close_alert(alert_id bigint)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_close_alert';
COMMENT ON FUNCTION txpipe.close_alert(bigint) IS
'Marks an alert as done with by the caller, who may see it in txpipe.alert and was granted EXECUTE on this function. It stays, and still
counts for the cool-down. Errors: 42704 there is no such alert for him';

CREATE FUNCTION txpipe.delete_alerts(stream text, older_than interval DEFAULT '0')
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_delete_alerts';
COMMENT ON FUNCTION txpipe.delete_alerts(text, interval) IS
'Removes alerts of a stream for good that were closed at least older_than ago; others stay. Result: how many. For the owner of the stream';

CREATE FUNCTION txpipe.alert_schema()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '{"type": "record", "name": "Alert", "namespace": "txpipe", "fields": [
     {"name": "alert_id", "type": "long", "doc": "number of the alert"},
     {"name": "stream", "type": "string", "doc": "stream whose batch raised it"},
     {"name": "rule", "type": "string", "doc": "rule that raised it"},
     {"name": "severity", "type": "string", "doc": "info, low, medium, high or critical"},
     {"name": "subject", "type": "string", "doc": "whom or what it is about"},
     {"name": "transaction_id", "type": ["null", "string"], "default": null, "doc": "transaction it is about"},
     {"name": "event_time", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": null, "doc": "when what it is about happened; null: infinite"},
     {"name": "reason", "type": ["null", "string"], "default": null, "doc": "why, in words"},
     {"name": "evidence", "type": ["null", "string"], "default": null, "doc": "figures behind the reason, as JSON"},
     {"name": "kafka_topic", "type": ["null", "string"], "default": null, "doc": "topic of the message it is about"},
     {"name": "kafka_partition", "type": ["null", "int"], "default": null, "doc": "partition of that message"},
     {"name": "kafka_offset", "type": ["null", "long"], "default": null, "doc": "offset of that message"},
     {"name": "raised_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "when it was raised"}]}'
$$;
COMMENT ON FUNCTION txpipe.alert_schema() IS
'The Avro schema of alerts in a topic, where their rule has the format avro. For the option avro_schema of streams that read them without a registry';
