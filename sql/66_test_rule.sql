-- 66_test_rule.sql: trying rules on history, and how good they are.

CREATE FUNCTION txpipe.test_rule(stream text, query text, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL,
    batch_rows integer DEFAULT 1000, time_column name DEFAULT NULL, cooldown interval DEFAULT '0')
RETURNS TABLE (severity text, subject text, transaction_id text, event_time timestamptz, reason text, evidence jsonb,
    kafka_topic text, kafka_partition integer, kafka_offset bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_test_rule';
COMMENT ON FUNCTION txpipe.test_rule(text, text, timestamptz, timestamptz, integer, name, interval) IS
'The alerts a rule with this query would raise on what the stream''s target holds, from from_time until before to_time (NULL: open), in
batches of batch_rows in the order of time_column (NULL: the target''s only column of type timestamptz). The query runs as the stream''s
owner; what it does, and the alerts, are undone, and nothing is told to txpipe_alert. It finds the whole target, also what is later than
its batch: a rule that shall be tried looks back by time, as those of rule_query() do. kafka_topic and the like are NULL in "batch" unless the
target keeps them. Errors: as create_rule(), 42703 no such column. For the owner of the stream';

CREATE FUNCTION txpipe.rule_target(stream text)
RETURNS text
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_rule_target';
COMMENT ON FUNCTION txpipe.rule_target(text) IS 'Part of rule_quality(): the target of a stream of the caller''s, quoted. Errors: 42704, 42501';

CREATE FUNCTION txpipe.rule_quality(rule text, label_column name, key_column name DEFAULT 'transaction_id',
    from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL, match_by text DEFAULT 'transaction',
    query text DEFAULT NULL, stream text DEFAULT NULL, time_column name DEFAULT NULL, batch_rows integer DEFAULT 1000,
    OUT events bigint, OUT positives bigint, OUT alerts bigint, OUT true_alerts bigint, OUT false_alerts bigint,
    OUT missed bigint, OUT "precision" numeric, OUT recall numeric, OUT false_per_10000 numeric)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_variable
DECLARE
    chosen_stream text := stream;
    chosen_query text := query;
    target text;
    chosen_time name := time_column;
BEGIN
    IF match_by NOT IN ('transaction', 'subject') THEN
        RAISE EXCEPTION 'match_by cannot be "%"', match_by
            USING ERRCODE = 'invalid_parameter_value', HINT = 'transaction or subject.';
    END IF;
    IF rule IS NOT NULL THEN
        SELECT r.stream, coalesce(chosen_query, r.query) INTO chosen_stream, chosen_query
        FROM txpipe.alert_rule r WHERE r.rule = rule_quality.rule;
    END IF;
    IF chosen_stream IS NULL OR chosen_query IS NULL THEN
        RAISE EXCEPTION 'there is no rule "%" of yours', rule
            USING ERRCODE = 'undefined_object', HINT = 'Name a rule, or NULL with query and stream.';
    END IF;
    target := txpipe.rule_target(chosen_stream);
    IF chosen_time IS NULL THEN
        SELECT min(a.attname) INTO chosen_time FROM pg_attribute a
        WHERE a.attrelid = target::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid = 'timestamptz'::regtype
        HAVING count(*) = 1;
        IF chosen_time IS NULL THEN
            RAISE EXCEPTION 'which column of % tells the time?', target
                USING ERRCODE = 'undefined_column', HINT = 'Name a column of type timestamptz in time_column.';
        END IF;
    END IF;
    EXECUTE format($sql$
        WITH label AS MATERIALIZED (
            SELECT t.%2$I::text AS key, bool_or(coalesce(t.%3$I::text::boolean, false)) AS positive, count(*) AS events
            FROM %1$s t
            WHERE ($3 IS NULL OR t.%4$I >= $3) AND ($4 IS NULL OR t.%4$I < $4) AND t.%2$I IS NOT NULL
            GROUP BY 1),
        alerted AS MATERIALIZED (
            SELECT DISTINCT CASE $5 WHEN 'subject' THEN a.subject ELSE a.transaction_id END AS key
            FROM txpipe.test_rule($1, $2, $3, $4, $6, %4$L) a)
        SELECT sum(l.events), count(*) FILTER (WHERE l.positive), count(a.key),
               count(a.key) FILTER (WHERE l.positive), count(a.key) FILTER (WHERE NOT l.positive),
               count(*) FILTER (WHERE l.positive AND a.key IS NULL)
        FROM label l LEFT JOIN alerted a ON a.key = l.key$sql$, target, key_column, label_column, chosen_time)
    INTO events, positives, alerts, true_alerts, false_alerts, missed
    USING chosen_stream, chosen_query, from_time, to_time, match_by, batch_rows;
    events := coalesce(events, 0);
    "precision" := round(true_alerts::numeric / nullif(alerts, 0), 4);
    recall := round(true_alerts::numeric / nullif(positives, 0), 4);
    false_per_10000 := round(false_alerts * 10000::numeric / nullif(events, 0), 4);
END
$body$;
COMMENT ON FUNCTION txpipe.rule_quality(text, name, name, timestamptz, timestamptz, text, text, text, name, integer) IS
'How good a rule is, tried on history by test_rule() without a cooldown and compared with label_column of the stream''s target, whose values
are boolean or read as one (1, 0): true for what should raise an alert. match_by: transaction compares the alerts'' transaction_id with
key_column, subject their subject with key_column, where a subject is positive when one of its rows is. query: tried in place of the rule''s; rule NULL:
query and stream say it all. events are rows; positives, alerts (true and false ones) and missed count different keys. precision is true_alerts / alerts,
recall true_alerts / positives, NULL where there are none; false_per_10000 are false_alerts in 10,000 events. For the owner of the stream';
