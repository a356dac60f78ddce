-- 66_rule_templates.sql: queries for create_rule(), made from a template and the names and limits of one's own tables.
--
-- A template that looks back judges every row whose window holds a row of the batch, by event time: whatever order rows
-- come in, and however batches cut them, the same rows raise alerts. It reads one stretch of each subject's history by the
-- index on (subject, time): LATERAL subqueries, and EXISTS with an OFFSET, leave the planner no other way, also while the table
-- is still empty. EXISTS looks first whether there is enough to judge, which of most subjects there is not.

CREATE FUNCTION txpipe.rule_templates()
RETURNS TABLE (template text, description text, parameters jsonb, keys text[], query text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
-- Common to several: where the message of a row lies that was found in the table, and the start of the queries over windows.
WITH piece (place, place_join, subjects) AS (VALUES (
$$k.kafka_topic, k.kafka_partition, k.kafka_offset$$,
$$LEFT JOIN LATERAL (SELECT kb.kafka_topic, kb.kafka_partition, kb.kafka_offset FROM batch kb
                    WHERE {kb.transaction_id} = w.id LIMIT 1) k ON true$$,
$$(SELECT {b.account} AS account, min({b.time}) AS first, max({b.time}) AS last
        FROM batch b WHERE {b.account} IS NOT NULL AND {where} GROUP BY 1 ORDER BY 1) g$$))
SELECT r.template, r.description, r.parameters::jsonb, r.keys, r.query FROM piece p CROSS JOIN LATERAL (VALUES
('amount_over_limit',
 'amount > limit, or the amount_limit of the profile (see create_customer_profile)',
 '{"account": {"column": "account_id"}, "time": {"column": "event_time"}, "amount": {"column": "amount"},
   "transaction_id": {"id": "transaction_id"}, "limit": {"number": 10000}, "profile": {"profile": null}}',
 NULL::text[],
$$SELECT {b.account}::text AS subject, {b.time} AS event_time, {b.transaction_id} AS transaction_id,
       format('amount %s is over the limit of %s', {b.amount}, coalesce(p.amount_limit, {limit})) AS reason,
       jsonb_build_object('amount', {b.amount}, 'limit', coalesce(p.amount_limit, {limit})) AS evidence,
       b.kafka_topic, b.kafka_partition, b.kafka_offset
FROM batch b
LEFT JOIN LATERAL (SELECT c.amount_limit FROM {profile} c WHERE c.customer_id = {b.account}::text LIMIT 1) p ON true
WHERE {b.amount} > coalesce(p.amount_limit, {limit})$$),
('profile_outlier',
 'amount > mean + sigmas * standard deviation of the amounts of the account that came before, of which there are at least '
 'minimum_count, and amount > minimum. The rule itself keeps count, sum and sum of squares in the table statistics '
 '(account text PRIMARY KEY, n bigint, total numeric, squares numeric, all NOT NULL)',
 '{"account": {"column": "account_id"}, "time": {"column": "event_time"}, "amount": {"column": "amount"},
   "transaction_id": {"id": "transaction_id"}, "statistics": {"table": null}, "sigmas": {"number": 3},
   "minimum_count": {"integer": 10}, "minimum": {"number": 0}}',
 NULL,
$$WITH kept AS (
    INSERT INTO {statistics} AS s (account, n, total, squares)
    SELECT {b.account}::text, count(*), sum({b.amount}::numeric), sum({b.amount}::numeric * {b.amount}::numeric)
    FROM batch b WHERE {b.account} IS NOT NULL AND {b.amount} IS NOT NULL GROUP BY 1 ORDER BY 1
    ON CONFLICT (account) DO UPDATE
    SET n = s.n + EXCLUDED.n, total = s.total + EXCLUDED.total, squares = s.squares + EXCLUDED.squares)
SELECT w.account AS subject, w.at AS event_time, w.id AS transaction_id,
       format('amount %s is over %s, the mean of %s earlier ones and %s standard deviations', w.amount,
              round(w.total / w.n + {sigmas} * sqrt(v.variance), 2), w.n, {sigmas}) AS reason,
       jsonb_build_object('amount', w.amount, 'mean', round(w.total / w.n, 4), 'sigma', round(sqrt(v.variance), 4),
                          'count', w.n) AS evidence,
       w.kafka_topic, w.kafka_partition, w.kafka_offset
FROM (SELECT o.account, o.at, o.id, o.amount, o.kafka_topic, o.kafka_partition, o.kafka_offset,
             coalesce(s.n, 0) + o.n AS n, coalesce(s.total, 0) + coalesce(o.total, 0) AS total,
             coalesce(s.squares, 0) + coalesce(o.squares, 0) AS squares
      FROM (SELECT {b.account}::text AS account, {b.time} AS at, {b.transaction_id} AS id, {b.amount}::numeric AS amount,
                   b.kafka_topic, b.kafka_partition, b.kafka_offset, count(*) OVER earlier AS n,
                   sum({b.amount}::numeric) OVER earlier AS total,
                   sum({b.amount}::numeric * {b.amount}::numeric) OVER earlier AS squares
            FROM batch b WHERE {b.account} IS NOT NULL AND {b.amount} IS NOT NULL
            WINDOW earlier AS (PARTITION BY {b.account} ORDER BY {b.time}, b.kafka_partition, b.kafka_offset
                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) o
      LEFT JOIN LATERAL (SELECT a.n, a.total, a.squares FROM {statistics} a WHERE a.account = o.account LIMIT 1) s ON true) w
CROSS JOIN LATERAL (SELECT greatest((w.squares - w.total * w.total / nullif(w.n, 0)) / nullif(w.n - 1, 0), 0)) v(variance)
WHERE w.n >= greatest({minimum_count}, 2) AND w.amount > {minimum} AND w.amount > w.total / w.n
  AND (w.amount - w.total / w.n) * (w.amount - w.total / w.n) > {sigmas} * {sigmas} * v.variance$$),
('velocity',
 'at least count transactions of an account, of those for which the condition where is true, within window, both ends included',
 '{"table": {"table": null}, "account": {"column": "account_id"}, "time": {"column": "event_time"},
   "transaction_id": {"id": "transaction_id"}, "where": {"condition": "true"}, "count": {"integer": 5},
   "window": {"interval": "5 min"}}',
 '{account,time}',
$$SELECT g.account::text AS subject, w.at AS event_time, w.id AS transaction_id,
       format('%s transactions within %s', w.n, {window}) AS reason,
       jsonb_build_object('count', w.n, 'window', {window}, 'from', w.since, 'to', w.at) AS evidence,
       $$ || p.place || $$
FROM $$ || p.subjects || $$
CROSS JOIN LATERAL (
    SELECT {t.time} AS at, {t.transaction_id} AS id, count(*) OVER o AS n, min({t.time}) OVER o AS since
    FROM {table} t
    WHERE {t.account} = g.account AND {t.time} >= g.first - {window} AND {t.time} <= g.last + {window} AND {where}
    WINDOW o AS (ORDER BY {t.time} RANGE BETWEEN {window} PRECEDING AND CURRENT ROW)) w
$$ || p.place_join || $$
WHERE EXISTS (SELECT FROM {table} t
              WHERE {t.account} = g.account AND {t.time} >= g.first - {window} AND {t.time} <= g.last + {window} AND {where}
              OFFSET greatest({count} - 1, 0))
  AND w.at >= g.first AND w.n >= {count}$$),
('repeated_failures',
 'at least count transactions of an account within window whose status is one of statuses, whatever its case',
 '{"table": {"table": null}, "account": {"column": "account_id"}, "time": {"column": "event_time"},
   "transaction_id": {"id": "transaction_id"}, "status": {"column": "status"},
   "statuses": {"texts": ["failed", "declined", "error"]}, "count": {"integer": 3}, "window": {"interval": "10 min"}}',
 '{account,time}',
$$SELECT g.account::text AS subject, w.at AS event_time, w.id AS transaction_id,
       format('%s failures within %s', w.n, {window}) AS reason,
       jsonb_build_object('count', w.n, 'window', {window}, 'from', w.since, 'to', w.at) AS evidence,
       $$ || p.place || $$
FROM $$ || replace(p.subjects, '{where}', 'lower({b.status}) = ANY ({statuses})') || $$
CROSS JOIN LATERAL (
    SELECT {t.time} AS at, {t.transaction_id} AS id, count(*) OVER o AS n, min({t.time}) OVER o AS since
    FROM {table} t
    WHERE {t.account} = g.account AND {t.time} >= g.first - {window} AND {t.time} <= g.last + {window}
      AND lower({t.status}) = ANY ({statuses})
    WINDOW o AS (ORDER BY {t.time} RANGE BETWEEN {window} PRECEDING AND CURRENT ROW)) w
$$ || p.place_join || $$
WHERE w.at >= g.first AND w.n >= {count}$$),
('impossible_travel',
 'between consecutive places of an account, at most lookback apart in time, lie at least distance km, and more than '
 'speed km/h would have been needed; places without both coordinates do not count',
 '{"table": {"table": null}, "account": {"column": "account_id"}, "time": {"column": "event_time"},
   "transaction_id": {"id": "transaction_id"}, "latitude": {"column": "latitude"}, "longitude": {"column": "longitude"},
   "speed": {"number": 900}, "distance": {"number": 50}, "lookback": {"interval": "1 day"}}',
 '{account,time}',
$$SELECT g.account::text AS subject, w.at AS event_time, w.id AS transaction_id,
       format('%s km in %s', round(d.km::numeric), w.at - w.prev_at) AS reason,
       jsonb_build_object('km', round(d.km::numeric, 1), 'from', w.prev_at, 'to', w.at, 'place', jsonb_build_array(w.lat, w.lon),
                          'earlier_place', jsonb_build_array(w.prev_lat, w.prev_lon)) AS evidence,
       $$ || p.place || $$
FROM (SELECT {b.account} AS account, min({b.time}) AS first, max({b.time}) AS last, min({b.latitude}::float8) AS latitude,
             min({b.longitude}::float8) AS longitude
      FROM batch b WHERE {b.account} IS NOT NULL AND {b.latitude} IS NOT NULL AND {b.longitude} IS NOT NULL GROUP BY 1 ORDER BY 1) g
CROSS JOIN LATERAL (
    SELECT max({t.time}) AS before FROM {table} t WHERE {t.account} = g.account AND {t.time} < g.first
        AND {t.time} >= g.first - {lookback} AND {t.latitude} IS NOT NULL AND {t.longitude} IS NOT NULL) l
CROSS JOIN LATERAL (
    SELECT min({t.time}) AS after FROM {table} t WHERE {t.account} = g.account AND {t.time} > g.last
        AND {t.time} <= g.last + {lookback} AND {t.latitude} IS NOT NULL AND {t.longitude} IS NOT NULL) n
CROSS JOIN LATERAL (
    SELECT {t.time} AS at, {t.transaction_id} AS id, {t.latitude}::float8 AS lat, {t.longitude}::float8 AS lon,
           lag({t.time}) OVER o AS prev_at, lag({t.latitude}::float8) OVER o AS prev_lat,
           lag({t.longitude}::float8) OVER o AS prev_lon
    FROM {table} t
    WHERE {t.account} = g.account AND {t.time} >= coalesce(l.before, g.first) AND {t.time} <= coalesce(n.after, g.last)
      AND {t.latitude} IS NOT NULL AND {t.longitude} IS NOT NULL
    WINDOW o AS (ORDER BY {t.time}, {t.transaction_id})) w
CROSS JOIN LATERAL (
    SELECT 2 * 6371 * asin(least(1, sqrt(power(sind((w.lat - w.prev_lat) / 2), 2)
           + cosd(w.lat) * cosd(w.prev_lat) * power(sind((w.lon - w.prev_lon) / 2), 2))))) d(km)
$$ || p.place_join || $$
-- Of two places so far from each other one is half as far from any third; a degree is at most 111.2 km.
WHERE EXISTS (SELECT FROM {table} t
              WHERE {t.account} = g.account AND {t.time} >= g.first - {lookback} AND {t.time} <= g.last + {lookback}
                AND abs({t.latitude}::float8 - g.latitude) + abs({t.longitude}::float8 - g.longitude) >= {distance} / 2 / 111.2
              OFFSET 0)
  AND w.at >= g.first AND w.at <= w.prev_at + {lookback} AND d.km >= {distance}
  AND d.km > {speed} * extract(epoch FROM w.at - w.prev_at)::float8 / 3600$$),
('shared_device',
 'a device comes to be used by more than limit accounts within window, both ends included; the subject is the device, and '
 'an account that joins them raises the alert',
 '{"table": {"table": null}, "device": {"column": "device_id"}, "account": {"column": "account_id"},
   "time": {"column": "event_time"}, "transaction_id": {"id": "transaction_id"}, "limit": {"integer": 3},
   "window": {"interval": "1 day"}}',
 '{device,time}',
$$SELECT g.device::text AS subject, w.at AS event_time, w.id AS transaction_id,
       format('%s accounts used it within %s', w.n, {window}) AS reason,
       jsonb_build_object('accounts', w.n, 'window', {window}, 'account', w.account) AS evidence,
       $$ || p.place || $$
FROM (SELECT {b.device} AS device, min({b.account}::text) AS account, min({b.time}) AS first, max({b.time}) AS last
        FROM batch b WHERE {b.device} IS NOT NULL AND {b.account} IS NOT NULL GROUP BY 1 ORDER BY 1) g
CROSS JOIN LATERAL (
    -- An account counts from its first use until window after its last one.
    SELECT e.at, e.joins, u.id, u.account, sum(CASE WHEN e.joins THEN 1 ELSE -1 END) OVER (ORDER BY e.at, NOT e.joins) AS n
    FROM (SELECT {t.time} AS at, {t.transaction_id} AS id, {t.account}::text AS account,
                 lag({t.time}) OVER o AS prev_at, lead({t.time}) OVER o AS next_at
          FROM {table} t
          WHERE {t.device} = g.device AND {t.time} >= g.first - {window} AND {t.time} <= g.last + {window}
            AND {t.account} IS NOT NULL
          WINDOW o AS (PARTITION BY {t.account} ORDER BY {t.time})) u
    CROSS JOIN LATERAL (VALUES (u.at, true, u.prev_at IS NULL OR u.prev_at < u.at - {window}),
                               (u.at + {window}, false, u.next_at IS NULL OR u.next_at > u.at + {window})) e(at, joins, applies)
    WHERE e.applies) w
$$ || p.place_join || $$
WHERE ({limit} < 1
       OR EXISTS (SELECT FROM {table} t
                  WHERE {t.device} = g.device AND {t.time} >= g.first - {window} AND {t.time} <= g.last + {window}
                    AND {t.account}::text <> g.account
                  OFFSET 0))
  AND w.joins AND w.at >= g.first AND w.n > {limit}$$),
('card_testing',
 'more than limit merchants, each with an amount below small, within window, and at most within later an amount of at least large',
 '{"table": {"table": null}, "account": {"column": "account_id"}, "time": {"column": "event_time"},
   "amount": {"column": "amount"}, "merchant": {"column": "merchant"}, "transaction_id": {"id": "transaction_id"},
   "small": {"number": 20}, "large": {"number": 100}, "limit": {"integer": 3}, "window": {"interval": "3 min"},
   "within": {"interval": "10 min"}}',
 '{account,time}',
$$SELECT g.account::text AS subject, w.at AS event_time, w.id AS transaction_id,
       format('amount %s after %s merchants with less than %s each within %s', w.amount, c.merchants, {small}, {window}) AS reason,
       jsonb_build_object('amount', w.amount, 'merchants', c.merchants, 'window', {window}) AS evidence,
       $$ || p.place || $$
FROM $$ || replace(p.subjects, '{where}', '({b.amount} < {small} OR {b.amount} >= {large})') || $$
CROSS JOIN LATERAL (
    SELECT {t.time} AS at, {t.transaction_id} AS id, {t.amount} AS amount
    FROM {table} t
    WHERE {t.account} = g.account AND {t.time} >= g.first AND {t.time} <= g.last + {window} + {within}
      AND {t.amount} >= {large}
    -- A plain subquery would be joined, and read all of the table.
    OFFSET 0) w
CROSS JOIN LATERAL (
    SELECT max((SELECT count(DISTINCT {m.merchant}) FROM {table} m
                 WHERE {m.account} = g.account AND {m.time} >= {s.time} - {window} AND {m.time} <= {s.time}
                   AND {m.amount} < {small})) AS merchants
    FROM {table} s
    WHERE {s.account} = g.account AND {s.time} >= w.at - {within} AND {s.time} <= w.at AND {s.amount} < {small}) c
$$ || p.place_join || $$
WHERE EXISTS (SELECT FROM {table} t
              WHERE {t.account} = g.account AND {t.time} >= g.first - {within} - {window} AND {t.time} <= g.last + {window} + {within}
                AND {t.amount} < {small}
              OFFSET greatest({limit}, 0))
  AND c.merchants > {limit}$$),
('drained_account',
 'a transaction of one of types takes all of the origin''s balance, of which at least minimum was there, and leaves at most '
 'rest of it (0.01: one per cent)',
 '{"account": {"column": "name_orig"}, "time": {"column": "event_time"}, "transaction_id": {"id": "transaction_id"},
   "type": {"column": "type"}, "amount": {"column": "amount"}, "old_balance": {"column": "old_balance_orig"},
   "new_balance": {"column": "new_balance_orig"}, "types": {"texts": ["transfer", "cash_out"]}, "minimum": {"number": 0},
   "rest": {"number": 0}}',
 NULL,
$$SELECT {b.account}::text AS subject, {b.time} AS event_time, {b.transaction_id} AS transaction_id,
       format('%s of %s took a balance of %s down to %s', {b.type}, {b.amount}, {b.old_balance}, {b.new_balance}) AS reason,
       jsonb_build_object('type', {b.type}, 'amount', {b.amount}, 'old_balance', {b.old_balance}, 'new_balance', {b.new_balance})
           AS evidence,
       b.kafka_topic, b.kafka_partition, b.kafka_offset
FROM batch b
WHERE lower({b.type}) = ANY ({types}) AND {b.old_balance} > 0 AND {b.old_balance} >= {minimum}
  AND {b.new_balance} <= {b.old_balance} * {rest} AND {b.amount} >= {b.old_balance} * (1 - {rest})$$),
('unbalanced_transfer',
 'balance of the origin before, amount and balance after differ by more than tolerance: types take the amount from it, '
 'credit_types add it',
 '{"account": {"column": "name_orig"}, "time": {"column": "event_time"}, "transaction_id": {"id": "transaction_id"},
   "type": {"column": "type"}, "amount": {"column": "amount"}, "old_balance": {"column": "old_balance_orig"},
   "new_balance": {"column": "new_balance_orig"}, "types": {"texts": ["transfer", "cash_out", "payment", "debit", "withdrawal"]},
   "credit_types": {"texts": ["cash_in", "deposit"]}, "tolerance": {"number": 0.01}}',
 NULL,
$$SELECT {b.account}::text AS subject, {b.time} AS event_time, {b.transaction_id} AS transaction_id,
       format('%s of %s took a balance of %s to %s, not to %s', {b.type}, {b.amount}, {b.old_balance}, {b.new_balance}, e.balance)
           AS reason,
       jsonb_build_object('type', {b.type}, 'amount', {b.amount}, 'old_balance', {b.old_balance}, 'new_balance', {b.new_balance},
                          'difference', {b.new_balance} - e.balance) AS evidence,
       b.kafka_topic, b.kafka_partition, b.kafka_offset
FROM batch b
CROSS JOIN LATERAL (SELECT CASE WHEN lower({b.type}) = ANY ({types}) THEN {b.old_balance} - {b.amount}
                                WHEN lower({b.type}) = ANY ({credit_types}) THEN {b.old_balance} + {b.amount} END) e(balance)
WHERE abs({b.new_balance} - e.balance) > {tolerance}$$),
('dormant_account',
 'an amount of at least large of an account without a transaction for longer than dormant, or, by opened_at of the '
 'profile (see create_customer_profile), opened less than new_for before',
 '{"table": {"table": null}, "account": {"column": "account_id"}, "time": {"column": "event_time"},
   "amount": {"column": "amount"}, "transaction_id": {"id": "transaction_id"}, "large": {"number": 1000},
   "dormant": {"interval": "90 days"}, "new_for": {"interval": "7 days"}, "profile": {"profile": null}}',
 '{account,time}',
$$SELECT {b.account}::text AS subject, {b.time} AS event_time, {b.transaction_id} AS transaction_id,
       CASE WHEN p.opened_at > {b.time} - {new_for}
            THEN format('amount %s of an account opened at %s', {b.amount}, p.opened_at)
            ELSE format('amount %s of an account dormant since %s', {b.amount}, l.at) END AS reason,
       jsonb_build_object('amount', {b.amount}, 'last_at', l.at, 'opened_at', p.opened_at) AS evidence,
       b.kafka_topic, b.kafka_partition, b.kafka_offset
FROM batch b
LEFT JOIN LATERAL (SELECT c.opened_at FROM {profile} c WHERE c.customer_id = {b.account}::text LIMIT 1) p ON true
CROSS JOIN LATERAL (SELECT coalesce((SELECT max({t.time}) FROM {table} t
                                     WHERE {t.account} = {b.account} AND {t.time} < {b.time}), p.opened_at)) l(at)
WHERE {b.amount} >= {large} AND (l.at < {b.time} - {dormant} OR p.opened_at > {b.time} - {new_for})$$)
) r(template, description, parameters, keys, query)
$body$;
COMMENT ON FUNCTION txpipe.rule_templates() IS
'Part of rule_query(): the templates with their queries; keys are the parameters whose columns an index of the table should begin with';

CREATE FUNCTION txpipe.list_rule_templates()
RETURNS TABLE (template text, description text, parameters jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT r.template, r.description, jsonb_object_agg(p.key, d.value)
FROM txpipe.rule_templates() r CROSS JOIN LATERAL jsonb_each(r.parameters) p CROSS JOIN LATERAL jsonb_each(p.value) d
GROUP BY r.template, r.description ORDER BY r.template
$body$;
COMMENT ON FUNCTION txpipe.list_rule_templates() IS
'What rule_query() knows: description says when a rule made from the template raises an alert; parameters are those it takes,
with their defaults. null: table and statistics must be given, profile may';

CREATE FUNCTION txpipe.rule_table(parameter text, value jsonb)
RETURNS regclass
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    relation CONSTANT regclass := to_regclass(value #>> '{}');
BEGIN
    IF relation IS NULL THEN
        RAISE EXCEPTION 'parameter "%": there is no table %', parameter, coalesce(value #>> '{}', 'NULL')
            USING ERRCODE = 'undefined_table', HINT = 'Name it with its schema, as in public.transactions.';
    END IF;
    RETURN relation;
END
$body$;
COMMENT ON FUNCTION txpipe.rule_table(text, jsonb) IS 'Part of rule_query(): the table a parameter names. Errors: 42P01';

CREATE FUNCTION txpipe.rule_argument(parameter text, kind text, value jsonb, alias text)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    given CONSTANT text := value #>> '{}';
BEGIN
    IF kind IN ('table', 'profile') AND given IS NOT NULL THEN
        RETURN (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.oid = txpipe.rule_table(parameter, value));
    END IF;
    CASE kind
        WHEN 'profile' THEN
            RETURN '(SELECT NULL::text AS customer_id, NULL::timestamptz AS opened_at, NULL::numeric AS amount_limit WHERE false)';
        WHEN 'column' THEN RETURN format('%I.%I', alias, given);
        WHEN 'id' THEN RETURN coalesce(format('%I.%I::text', alias, given), 'NULL::text');
        WHEN 'number' THEN RETURN given::numeric;
        WHEN 'integer' THEN RETURN given::bigint;
        WHEN 'interval' THEN RETURN format('interval %L', given::interval);
        WHEN 'texts' THEN RETURN format('%L::text[]', ARRAY(SELECT lower(e) FROM jsonb_array_elements_text(value) e));
        -- The line break ends a comment.
        WHEN 'condition' THEN RETURN format(E'(%s\n)', given);
    END CASE;
EXCEPTION
    WHEN data_exception THEN
        RAISE EXCEPTION 'parameter "%" cannot be %', parameter, value
            USING ERRCODE = 'invalid_parameter_value', DETAIL = SQLERRM,
                  HINT = 'SELECT * FROM txpipe.list_rule_templates() shows the defaults.';
END
$body$;
COMMENT ON FUNCTION txpipe.rule_argument(text, text, jsonb, text) IS
'Part of rule_query(): a parameter as it stands in the query; columns are qualified with alias. Errors: 22023, 42P01';

CREATE FUNCTION txpipe.check_rule_table(relation regclass, key_names text[], column_names text[])
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    missing text;
BEGIN
    SELECT c.name INTO missing FROM unnest(column_names) c(name)
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = c.name AND a.attnum > 0
                      AND NOT a.attisdropped);
    IF FOUND THEN
        RAISE EXCEPTION 'table % has no column "%"', relation, missing
            USING ERRCODE = 'undefined_column', HINT = 'Name the table''s own columns in parameters.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_index i
                   WHERE i.indrelid = relation AND i.indisvalid
                     AND (SELECT array_agg(a.attname::text ORDER BY k.n)
                          FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
                          JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = k.attnum
                          WHERE k.n <= cardinality(key_names)) = key_names) THEN
        RAISE NOTICE 'the rule reads all of table % for each batch: no index begins with (%)', relation,
            array_to_string(key_names, ', ')
            USING HINT = format('CREATE INDEX ON %s (%s);', relation,
                                (SELECT string_agg(format('%I', k), ', ') FROM unnest(key_names) k));
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.check_rule_table(regclass, text[], text[]) IS
'Part of rule_query(): has the table these columns, and an index that begins with the key? NOTICE when it has none. Errors: 42703';

CREATE FUNCTION txpipe.rule_query(template text, parameters jsonb DEFAULT '{}')
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    chosen record;
    given jsonb;
    wrong text;
BEGIN
    SELECT r.* INTO chosen FROM txpipe.rule_templates() r WHERE r.template = rule_query.template;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no rule template "%"', template
            USING ERRCODE = 'undefined_object',
                  HINT = format('Templates: %s.', (SELECT string_agg(r.template, ', ' ORDER BY r.template)
                                                   FROM txpipe.rule_templates() r));
    END IF;
    SELECT k INTO wrong FROM jsonb_object_keys(coalesce(parameters, '{}')) k WHERE NOT chosen.parameters ? k;
    IF FOUND THEN
        RAISE EXCEPTION 'rule template "%" has no parameter "%"', template, wrong
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('Parameters: %s.', (SELECT string_agg(k, ', ' ORDER BY k)
                                                    FROM jsonb_object_keys(chosen.parameters) k));
    END IF;
    SELECT jsonb_object_agg(p.key, CASE WHEN coalesce(parameters, '{}') ? p.key THEN parameters -> p.key ELSE d.value END)
    INTO given
    FROM jsonb_each(chosen.parameters) p CROSS JOIN LATERAL jsonb_each(p.value) d;
    SELECT p.key INTO wrong
    FROM jsonb_each(chosen.parameters) p CROSS JOIN LATERAL jsonb_object_keys(p.value) kind
    WHERE given -> p.key = 'null' AND kind NOT IN ('id', 'profile');
    IF FOUND THEN
        RAISE EXCEPTION 'rule template "%" needs the parameter "%"', template, wrong
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('For example txpipe.rule_query(%L, ''{"%s": "…"}'').', template, wrong);
    END IF;
    IF chosen.keys IS NOT NULL THEN
        PERFORM txpipe.check_rule_table(
            txpipe.rule_table('table', given -> 'table'),
            ARRAY(SELECT given ->> k FROM unnest(chosen.keys) WITH ORDINALITY u(k, n) ORDER BY n),
            ARRAY(SELECT given ->> p.key FROM jsonb_each(chosen.parameters) p
                  WHERE p.value ?| '{column,id}' AND given ->> p.key IS NOT NULL ORDER BY p.key));
    END IF;
    RETURN (SELECT string_agg(m.part[1] || CASE WHEN k.kind IS NULL THEN ''
                                                ELSE txpipe.rule_argument(n.name, k.kind, given -> n.name, n.alias) END,
                              '' ORDER BY m.ordinality)
            FROM regexp_matches(chosen.query, '([^{}]*)(\{[a-z_.]+\})?', 'g') WITH ORDINALITY m(part, ordinality)
            CROSS JOIN LATERAL (SELECT substring(m.part[2] FROM '([a-z_]+)\}'), substring(m.part[2] FROM '\{([a-z]+)\.')) n(name, alias)
            LEFT JOIN LATERAL (SELECT jsonb_object_keys(chosen.parameters -> n.name)) k(kind) ON true);
END
$body$;
COMMENT ON FUNCTION txpipe.rule_query(text, jsonb) IS
'A query for create_rule(), from one of list_rule_templates(). parameters name the columns of the stream''s target, tables with their
schema (table is the stream''s target, which holds the batch already), and limits; what is left out has its default. Columns for time
are timestamptz, transaction_id may be null. A NOTICE names the index the rule needs, where there is none. The condition where is SQL
and is taken as it is. Errors: 42704 no such template, 22023 a parameter, 42P01 and 42703 no such table or column';
