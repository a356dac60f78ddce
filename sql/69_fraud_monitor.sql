-- 69_fraud_monitor.sql: transactions, the rules that watch them, and their files.
--
-- The table is the caller's. Names become pseudonyms where messages and files are decoded, so that neither the table nor
-- batches, alerts or statements ever have them.

CREATE FUNCTION txpipe.fraud_rules(transactions regclass, statistics regclass, profile regclass)
RETURNS TABLE (rule text, template text, severity text, cooldown interval, parameters jsonb)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT r.rule, r.template, r.severity, r.cooldown::interval,
       r.parameters::jsonb
       || CASE WHEN t.parameters ? 'table' THEN jsonb_build_object('table', transactions) ELSE '{}' END
       || CASE WHEN t.parameters ? 'statistics' THEN jsonb_build_object('statistics', statistics) ELSE '{}' END
       || CASE WHEN t.parameters ? 'profile' AND profile IS NOT NULL THEN jsonb_build_object('profile', profile) ELSE '{}' END
FROM (VALUES
    ('amount_over_limit', 'amount_over_limit', 'medium', '10 min', '{"limit": 10000}'),
    ('profile_outlier', 'profile_outlier', 'medium', '10 min', '{"sigmas": 3, "minimum_count": 10, "minimum": 1000}'),
    ('velocity', 'velocity', 'high', '10 min', '{"count": 5, "window": "300 s"}'),
    ('withdrawals', 'velocity', 'high', '10 min',
     '{"count": 3, "window": "1 min", "where": "lower(type) = ''withdrawal'' AND amount > 400"}'),
    ('impossible_travel', 'impossible_travel', 'high', '10 min', '{"speed": 900, "distance": 50, "lookback": "1 day"}'),
    ('shared_device', 'shared_device', 'high', '1 hour', '{"limit": 3, "window": "1 day"}'),
    ('card_testing', 'card_testing', 'critical', '10 min',
     '{"limit": 3, "small": 20, "large": 100, "window": "3 min", "within": "10 min"}'),
    ('drained_account', 'drained_account', 'critical', '0',
     '{"account": "account_id", "types": ["transfer", "cash_out"], "minimum": 1000}'),
    ('unbalanced_transfer', 'unbalanced_transfer', 'medium', '0', '{"account": "account_id", "tolerance": 0.01}'),
    ('repeated_failures', 'repeated_failures', 'medium', '10 min', '{"count": 3, "window": "10 min"}'),
    ('dormant_account', 'dormant_account', 'high', '1 day', '{"large": 1000, "dormant": "90 days", "new_for": "7 days"}')
) r(rule, template, severity, cooldown, parameters)
LEFT JOIN txpipe.rule_templates() t USING (template)
$body$;
COMMENT ON FUNCTION txpipe.fraud_rules(regclass, regclass, regclass) IS
'Part of create_fraud_monitor(): its rules with their defaults, each made from a template of list_rule_templates()';

CREATE FUNCTION txpipe.create_fraud_tables(name text, target_schema name)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    field record;
BEGIN
    EXECUTE format($sql$
        CREATE TABLE %1$I.%2$I (
            transaction_id text COLLATE "C" PRIMARY KEY,
            account_id text COLLATE "C" NOT NULL,
            event_time timestamptz NOT NULL,
            type text,
            amount numeric(18,2) NOT NULL,
            currency text,
            channel text,
            status text,
            merchant text,
            category text,
            location text,
            latitude double precision,
            longitude double precision,
            device_id text COLLATE "C",
            old_balance_orig numeric(20,2),
            new_balance_orig numeric(20,2),
            counterparty_id text COLLATE "C",
            old_balance_dest numeric(20,2),
            new_balance_dest numeric(20,2),
            is_fraud boolean,
            is_flagged_fraud boolean,
            loaded_at timestamptz NOT NULL DEFAULT now()
        );
        CREATE INDEX ON %1$I.%2$I (account_id, event_time);
        CREATE INDEX ON %1$I.%2$I (device_id, event_time) WHERE device_id IS NOT NULL;
        CREATE INDEX ON %1$I.%2$I (event_time);
        CREATE TABLE %1$I.%3$I (
            account text COLLATE "C" PRIMARY KEY,
            n bigint NOT NULL,
            total numeric NOT NULL,
            squares numeric NOT NULL
        ) WITH (fillfactor = 80);
        COMMENT ON TABLE %1$I.%2$I IS 'Transactions watched by txpipe.create_fraud_monitor(), one row each; a later message with the same id replaces it';
        COMMENT ON TABLE %1$I.%3$I IS 'What the rule profile_outlier knows of the amounts of each account; kept by the rule itself';
        COMMENT ON COLUMN %1$I.%3$I.account IS %4$L;
        COMMENT ON COLUMN %1$I.%3$I.n IS 'Number of its transactions';
        COMMENT ON COLUMN %1$I.%3$I.total IS 'Sum of their amounts';
        COMMENT ON COLUMN %1$I.%3$I.squares IS 'Sum of the squares of their amounts'$sql$,
        target_schema, name, name || '_statistics', format('Account, as in %I', name));
    FOR field IN SELECT * FROM (VALUES
        ('transaction_id', 'Id of the transaction'),
        ('account_id', 'Who pays (nameOrig): a pseudonym, unless the monitor was made with pseudonyms => false'),
        ('event_time', 'When it happened'),
        ('type', 'payment, transfer, cash_out, cash_in, debit, withdrawal, deposit …'),
        ('amount', 'Amount'),
        ('currency', 'Currency of the amount'),
        ('channel', 'Where it was made: ATM, online, branch …'),
        ('status', 'How it ended, such as completed, failed, declined'),
        ('merchant', 'Merchant that is paid'),
        ('category', 'Category of the merchant'),
        ('location', 'Name of the place'),
        ('latitude', 'Place, degrees north'),
        ('longitude', 'Place, degrees east'),
        ('device_id', 'Device that was used'),
        ('old_balance_orig', 'Balance of account_id before'),
        ('new_balance_orig', 'Balance of account_id after it'),
        ('counterparty_id', 'Who is paid (nameDest); a pseudonym as account_id is'),
        ('old_balance_dest', 'Balance of counterparty_id before'),
        ('new_balance_dest', 'Balance of counterparty_id after it'),
        ('is_fraud', 'Label: it was fraud; NULL: not known. No rule reads it'),
        ('is_flagged_fraud', 'The source''s own flag; NULL: it has none. No rule reads it'),
        ('loaded_at', 'When the transaction that stored it began')) f(column_name, description)
    LOOP
        EXECUTE format('COMMENT ON COLUMN %I.%I.%I IS %L', target_schema, name, field.column_name, field.description);
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.create_fraud_tables(text, name) IS
'Part of create_fraud_monitor(): the tables of transactions and of what is known of the accounts'' amounts';

CREATE FUNCTION txpipe.fraud_columns(pseudonyms boolean, with_types boolean)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT jsonb_object_agg(c.name, jsonb_strip_nulls(jsonb_build_object(
           'path', c.paths::jsonb, 'as', CASE WHEN c.is_name AND pseudonyms THEN 'pseudonym' END,
           'required', c.required, 'type', CASE WHEN with_types THEN c.type END)))
FROM (VALUES
    ('transaction_id', '["transaction_id", "transactionID", "transactionId"]', 'text', false, true),
    ('account_id', '["account_id", "nameOrig", "account", "customer_id", "accountId", "customerId"]', 'text', true, true),
    ('event_time', '["timestamp", "event_time", "transaction_time"]', 'timestamptz', false, true),
    ('type', '["type", "transaction_type"]', 'text', false, NULL),
    ('amount', '["amount"]', 'numeric(18,2)', false, true),
    ('currency', '["currency"]', 'text', false, NULL),
    ('channel', '["channel"]', 'text', false, NULL),
    ('status', '["status"]', 'text', false, NULL),
    ('merchant', '["merchant", "merchant_id"]', 'text', false, NULL),
    ('category', '["category", "merchant_category"]', 'text', false, NULL),
    ('location', '["location", "city"]', 'text', false, NULL),
    ('latitude', '["latitude", "lat"]', 'float8', false, NULL),
    ('longitude', '["longitude", "lon"]', 'float8', false, NULL),
    ('device_id', '["device_id", "device", "deviceId"]', 'text', false, NULL),
    ('old_balance_orig', '["oldbalanceOrg", "oldbalanceOrig", "old_balance_orig"]', 'numeric(20,2)', false, NULL),
    ('new_balance_orig', '["newbalanceOrig", "newbalanceOrg", "new_balance_orig"]', 'numeric(20,2)', false, NULL),
    ('counterparty_id', '["nameDest", "counterparty_id", "counterparty"]', 'text', true, NULL),
    ('old_balance_dest', '["oldbalanceDest", "old_balance_dest"]', 'numeric(20,2)', false, NULL),
    ('new_balance_dest', '["newbalanceDest", "new_balance_dest"]', 'numeric(20,2)', false, NULL),
    ('is_fraud', '["isFraud", "is_fraud"]', 'boolean', false, NULL),
    ('is_flagged_fraud', '["isFlaggedFraud", "is_flagged_fraud"]', 'boolean', false, NULL)
) c(name, paths, type, is_name, required)
$body$;
COMMENT ON FUNCTION txpipe.fraud_columns(boolean, boolean) IS
'Part of create_fraud_monitor(): the mapping from the fields of transactions, under their usual names, to the columns of the table';

CREATE FUNCTION txpipe.create_fraud_rules(transactions regclass, statistics regclass, profile regclass, stream text,
    prefix text, changes jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    chosen record;
    own jsonb;
    wrong text;
BEGIN
    SELECT k INTO wrong FROM jsonb_object_keys(changes) k
    WHERE k NOT IN (SELECT r.rule FROM txpipe.fraud_rules(NULL, NULL, NULL) r);
    IF FOUND THEN
        RAISE EXCEPTION 'the fraud monitor has no rule "%"', wrong
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('Rules: %s.', (SELECT string_agg(r.rule, ', ') FROM txpipe.fraud_rules(NULL, NULL, NULL) r));
    END IF;
    FOR chosen IN SELECT * FROM txpipe.fraud_rules(transactions, statistics, profile) LOOP
        own := coalesce(changes -> chosen.rule, '{}');
        CONTINUE WHEN own = 'null' OR own = 'false';
        PERFORM txpipe.create_rule(
            prefix || chosen.rule, stream,
            txpipe.rule_query(chosen.template, chosen.parameters || (own - '{severity,cooldown,topic,enabled}'::text[])),
            severity => coalesce(own ->> 'severity', chosen.severity),
            cooldown => coalesce((own ->> 'cooldown')::interval, chosen.cooldown),
            topic => own ->> 'topic', enabled => coalesce((own ->> 'enabled')::boolean, true));
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.create_fraud_rules(regclass, regclass, regclass, text, text, jsonb) IS
'Part of create_fraud_monitor(): creates its rules with the changes that were asked for. Errors: 22023 no such rule or parameter';

CREATE FUNCTION txpipe.create_fraud_monitor(
        server text, topic text, name text DEFAULT 'transactions', rules jsonb DEFAULT '{}', profile regclass DEFAULT NULL,
        pseudonyms boolean DEFAULT true, file_pattern text DEFAULT NULL, start_at text DEFAULT 'earliest',
        paused boolean DEFAULT false, options jsonb DEFAULT '{}', target_schema name DEFAULT current_schema())
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    transactions regclass;
    relation text;
BEGIN
    IF num_nulls(server, topic, name, pseudonyms, target_schema) > 0 OR length(name) > 40 THEN
        RAISE EXCEPTION 'server, topic, name, pseudonyms and target_schema are needed, and name has at most 40 characters'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'SELECT txpipe.create_fraud_monitor(''shop'', ''transactions'')';
    END IF;
    PERFORM txpipe.create_fraud_tables(name, target_schema);
    relation := format('%I.%I', target_schema, name);
    transactions := relation::regclass;
    PERFORM txpipe.create_stream(name, server, topic, transactions, columns => txpipe.fraud_columns(pseudonyms, false),
                                 key_columns => '{transaction_id}', start_at => start_at, paused => paused, options => options);
    PERFORM txpipe.create_fraud_rules(transactions, format('%I.%I', target_schema, name || '_statistics')::regclass, profile, name,
                                      CASE WHEN name = 'transactions' THEN '' ELSE name || '_' END, coalesce(rules, '{}'));
    IF file_pattern IS NOT NULL THEN
        PERFORM txpipe.create_feed(
            name, file_pattern, columns => txpipe.fraud_columns(pseudonyms, true),
            step => (SELECT format('INSERT INTO %s (%s) SELECT %2$s FROM batch ON CONFLICT (transaction_id) DO NOTHING', relation,
                                   string_agg(format('%I', c), ', '))
                     FROM jsonb_object_keys(txpipe.fraud_columns(false, false)) c),
            options => CASE WHEN pseudonyms THEN jsonb_build_object('pseudonym_server', server) ELSE '{}' END);
    END IF;
    PERFORM txpipe.create_fraud_report(transactions);
END
$body$;
COMMENT ON FUNCTION txpipe.create_fraud_monitor(text, text, text, jsonb, regclass, boolean, text, text, boolean, jsonb, name) IS
'Watches transactions for fraud: creates the table name in target_schema, a stream of that name (mode upsert by transaction_id) of JSON
events from the topic, and rules made from templates (list_rule_templates()) whose alerts are in txpipe.alert. Events have transaction_id,
account_id, timestamp, amount, and whatever they know of type, currency, channel, status, merchant, category, location, latitude, longitude,
device_id; or the fields of the public batch set (transactionID, nameOrig, oldbalanceOrg …). rules changes the rules of these names:
{"velocity": {"count": 6, "severity": "low", "cooldown": "1 hour"}, "shared_device": null}: parameters of the template, and severity, cooldown,
topic and enabled of create_rule(); null leaves a rule out. Of a monitor of another name than transactions the rules'' names begin with it and _. profile: a table with
customer_id, opened_at and amount_limit. pseudonyms: nameOrig (account_id) and nameDest are replaced by their HMAC-SHA256 in hexadecimal, as
encode(hmac(name, key, ''sha256''), ''hex'') of pgcrypto has it; the key is the option pseudonym_key or pseudonym_key_file of the caller''s user
mapping for the server. file_pattern: a feed of that name loads CSV files with the same fields into the table, too; they raise no
alerts, test_rule() tries rules on them. start_at, paused, options: as in create_stream(). For who has USAGE on the server and CREATE on the schema, and EXECUTE on
this function, the parts of it, create_stream, create_feed, create_rule, rule_query and what they call. Errors: 55000 there is no key, 42P07 there is such a table, 22023 no such rule or
parameter, and those of create_stream(), create_rule() and create_feed()';
