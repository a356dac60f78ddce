-- 69_fraud_reports.sql: figures about the transactions of a fraud monitor, and its report of a day.
--
-- They run as the caller, who needs SELECT on the table. Days are those of the session's time zone.

CREATE FUNCTION txpipe.fraud_source(transactions regclass, from_date date, to_date date)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    missing text;
BEGIN
    IF transactions IS NULL THEN
        RAISE EXCEPTION 'there is no table "transactions" in the search_path'
            USING ERRCODE = 'undefined_table',
                  HINT = 'Name the table of create_fraud_monitor(): transactions => ''public.payments''.';
    END IF;
    SELECT c INTO missing FROM unnest('{event_time,account_id,type,amount,channel,status,is_fraud,is_flagged_fraud}'::text[]) c
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = transactions AND a.attname = c AND NOT a.attisdropped);
    IF FOUND THEN
        RAISE EXCEPTION 'table % has no column "%"', transactions, missing
            USING ERRCODE = 'undefined_column', HINT = 'Name a table that create_fraud_monitor() has made.';
    END IF;
    RETURN format('(SELECT * FROM %s s WHERE (%L::date IS NULL OR s.event_time >= %2$L::date::timestamptz)'
                  ' AND (%3$L::date IS NULL OR s.event_time < (%3$L::date + 1)::timestamptz)) t',
                  transactions, from_date, to_date);
END
$body$;
COMMENT ON FUNCTION txpipe.fraud_source(regclass, date, date) IS
'Part of the fraud reports: the rows of these days as a piece of SQL. Errors: 42P01 no table, 42703 not one of a fraud monitor';

CREATE FUNCTION txpipe.fraud_by_type(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
    transactions regclass DEFAULT to_regclass('transactions'))
RETURNS TABLE (type text, transactions_total bigint, fraudulent bigint, fraud_rate numeric, amount numeric, fraud_amount numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RETURN QUERY EXECUTE
        'SELECT t.type, count(*), count(*) FILTER (WHERE t.is_fraud),
                round(count(*) FILTER (WHERE t.is_fraud)::numeric / nullif(count(t.is_fraud), 0), 6), sum(t.amount),
                coalesce(sum(t.amount) FILTER (WHERE t.is_fraud), 0)
         FROM ' || txpipe.fraud_source(transactions, from_date, to_date) || ' GROUP BY 1 ORDER BY 3 DESC, 2 DESC, 1';
END
$body$;
COMMENT ON FUNCTION txpipe.fraud_by_type(date, date, regclass) IS
'Fraud by type of transaction, the most fraudulent first; fraud_rate is the share of fraud among those that have a label. Dates are inclusive,
NULL is open. transactions: the table of a create_fraud_monitor(). Errors: 42P01 and 42703 not such a table';

CREATE FUNCTION txpipe.fraud_statistics(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
    transactions regclass DEFAULT to_regclass('transactions'),
    OUT transactions_total bigint, OUT labelled bigint, OUT fraudulent bigint, OUT fraud_rate numeric, OUT amount numeric,
    OUT fraud_amount numeric, OUT average_fraud_amount numeric, OUT highest_fraud_amount numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    EXECUTE
        'SELECT count(*), count(t.is_fraud), count(*) FILTER (WHERE t.is_fraud),
                round(count(*) FILTER (WHERE t.is_fraud)::numeric / nullif(count(t.is_fraud), 0), 6), coalesce(sum(t.amount), 0),
                coalesce(sum(t.amount) FILTER (WHERE t.is_fraud), 0), round(avg(t.amount) FILTER (WHERE t.is_fraud), 2),
                max(t.amount) FILTER (WHERE t.is_fraud)
         FROM ' || txpipe.fraud_source(transactions, from_date, to_date)
    INTO transactions_total, labelled, fraudulent, fraud_rate, amount, fraud_amount, average_fraud_amount, highest_fraud_amount;
END
$body$;
COMMENT ON FUNCTION txpipe.fraud_statistics(date, date, regclass) IS
'How much fraud there is: labelled transactions have is_fraud, fraud_rate is the share of fraud among them; averages and the highest amount are
NULL without fraud. Arguments and errors as in fraud_by_type()';

CREATE FUNCTION txpipe.flag_accuracy(from_date date DEFAULT NULL, to_date date DEFAULT NULL,
    transactions regclass DEFAULT to_regclass('transactions'),
    OUT labelled bigint, OUT flagged bigint, OUT true_positives bigint, OUT false_positives bigint, OUT false_negatives bigint,
    OUT true_negatives bigint, OUT accuracy numeric, OUT "precision" numeric, OUT recall numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    EXECUTE
        'SELECT count(*), count(*) FILTER (WHERE is_flagged_fraud), count(*) FILTER (WHERE is_flagged_fraud AND is_fraud),
                count(*) FILTER (WHERE is_flagged_fraud AND NOT is_fraud), count(*) FILTER (WHERE NOT is_flagged_fraud AND is_fraud),
                count(*) FILTER (WHERE NOT is_flagged_fraud AND NOT is_fraud)
         FROM ' || txpipe.fraud_source(transactions, from_date, to_date)
        || ' WHERE is_fraud IS NOT NULL AND is_flagged_fraud IS NOT NULL'
    INTO labelled, flagged, true_positives, false_positives, false_negatives, true_negatives;
    accuracy := round((true_positives + true_negatives)::numeric / nullif(labelled, 0), 6);
    "precision" := round(true_positives::numeric / nullif(flagged, 0), 6);
    recall := round(true_positives::numeric / nullif(true_positives + false_negatives, 0), 6);
END
$body$;
COMMENT ON FUNCTION txpipe.flag_accuracy(date, date, regclass) IS
'How good the source''s flag is_flagged_fraud is, by the label is_fraud; transactions that lack one of them do not count. accuracy: share of right
flags; precision: share of fraud among the flagged; recall: share of the fraud that is flagged; NULL where there is nothing to divide by. Arguments and
errors as in fraud_by_type(). rule_quality() says the same of rules';

-- --- The report of a day ---

CREATE FUNCTION txpipe.fraud_report(report_date date, transactions regclass DEFAULT to_regclass('transactions'),
    high_value numeric DEFAULT 10000, failures_over integer DEFAULT 3, top_n integer DEFAULT 10)
RETURNS TABLE (section text, rank bigint, subject text, channel text, transactions_total bigint, amount numeric, rate numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM txpipe.check_top_n(top_n);
    RETURN QUERY EXECUTE format($sql$
        WITH day AS MATERIALIZED (
            SELECT t.account_id, coalesce(t.channel, '(unknown)') AS channel, t.amount, t.event_time,
                   lower(t.status) IN ('failed', 'declined', 'error') AS failed
            FROM %s
        ), of_account AS MATERIALIZED (
            SELECT d.account_id, d.channel, count(*) AS n, sum(d.amount) AS amount, count(*) FILTER (WHERE d.failed) AS failures
            FROM day d GROUP BY 1, 2
        ), account AS MATERIALIZED (
            SELECT o.account_id, sum(o.n)::bigint AS n, sum(o.amount) AS amount, sum(o.failures)::bigint AS failures,
                   rank() OVER (ORDER BY sum(o.amount) DESC) AS place
            FROM of_account o GROUP BY 1
        ), section AS (
            SELECT 1 AS part, 'channel' AS section, NULL::text AS subject, d.channel, count(*) AS n, sum(d.amount) AS amount,
                   round(count(*) FILTER (WHERE NOT d.failed)::numeric / nullif(count(d.failed), 0), 6) AS rate,
                   rank() OVER (ORDER BY count(*) DESC) AS place
            FROM day d GROUP BY d.channel
            UNION ALL
            SELECT 2, 'hour', to_char(date_trunc('hour', d.event_time), 'HH24:00'), NULL, count(*), sum(d.amount), NULL,
                   rank() OVER (ORDER BY count(*) DESC)
            FROM day d GROUP BY date_trunc('hour', d.event_time)
            UNION ALL
            SELECT 3, 'high value', NULL, NULL, count(*), coalesce(sum(d.amount), 0), NULL, 1 FROM day d WHERE d.amount > $1
            UNION ALL
            SELECT 4, 'top customer', a.account_id, NULL, a.n, a.amount, NULL, a.place FROM account a WHERE $3 IS NULL OR a.place <= $3
            UNION ALL
            SELECT 5, 'volume', o.account_id, o.channel, o.n, o.amount, NULL, a.place
            FROM account a JOIN of_account o USING (account_id) WHERE $3 IS NULL OR a.place <= $3
            UNION ALL
            SELECT 6, 'failures', a.account_id, NULL, a.failures, NULL, round(a.failures::numeric / a.n, 6),
                   rank() OVER (ORDER BY a.failures DESC)
            FROM account a WHERE a.failures > $2
        )
        SELECT s.section, s.place, s.subject, s.channel, s.n, s.amount, s.rate
        FROM section s ORDER BY s.part, s.place, s.subject COLLATE "C", s.channel COLLATE "C"$sql$,
        txpipe.fraud_source(transactions, report_date, report_date))
    USING high_value, failures_over, top_n;
END
$body$;
COMMENT ON FUNCTION txpipe.fraud_report(date, regclass, numeric, integer, integer) IS
'Figures of one day. section: channel (transactions, amount, and as rate the share that did not fail, of those with a status; rank by number), hour (the first is
the peak), high value (amounts over high_value), top customer (the top_n by amount), volume (these, by channel), failures (customers
with more than failures_over of them; rate is their share). transactions: the table of a create_fraud_monitor(). Errors: as in
fraud_by_type(), 22023 for a bad top_n';

CREATE FUNCTION txpipe.fraud_report_table(transactions regclass)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT format('%I.%I', n.nspname, c.relname || '_report')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = transactions
$body$;
COMMENT ON FUNCTION txpipe.fraud_report_table(regclass) IS 'Part of take_fraud_report(): the table beside that of the transactions that keeps the reports';

CREATE FUNCTION txpipe.create_fraud_report(transactions regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    EXECUTE format($sql$
        CREATE TABLE %1$s (
            report_date date NOT NULL,
            section text NOT NULL,
            rank bigint NOT NULL,
            subject text,
            channel text,
            transactions_total bigint NOT NULL,
            amount numeric,
            rate numeric,
            taken_at timestamptz NOT NULL DEFAULT now()
        );
        CREATE INDEX ON %1$s (report_date, section, rank);
        COMMENT ON TABLE %1$s IS 'Reports of days, by txpipe.take_fraud_report()';
        COMMENT ON COLUMN %1$s.report_date IS 'Day the figures are of';
        COMMENT ON COLUMN %1$s.section IS 'channel, hour, high value, top customer, volume or failures, as in txpipe.fraud_report()';
        COMMENT ON COLUMN %1$s.rank IS 'Rank within the section; ties share one';
        COMMENT ON COLUMN %1$s.subject IS 'Customer, or hour';
        COMMENT ON COLUMN %1$s.channel IS 'Channel';
        COMMENT ON COLUMN %1$s.transactions_total IS 'Transactions; of the section failures, those that failed';
        COMMENT ON COLUMN %1$s.amount IS 'Sum of their amounts';
        COMMENT ON COLUMN %1$s.rate IS 'Share that did not fail; of the section failures, share that did';
        COMMENT ON COLUMN %1$s.taken_at IS 'When the figures were taken'$sql$, txpipe.fraud_report_table(transactions));
END
$body$;
COMMENT ON FUNCTION txpipe.create_fraud_report(regclass) IS 'Part of create_fraud_monitor(): the table of the reports';

CREATE FUNCTION txpipe.take_fraud_report(report_date date DEFAULT NULL,
    transactions regclass DEFAULT to_regclass('transactions'), high_value numeric DEFAULT 10000,
    failures_over integer DEFAULT 3, top_n integer DEFAULT 10)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    chosen date := report_date;
    kept CONSTANT text := txpipe.fraud_report_table(transactions);
    taken bigint;
BEGIN
    IF chosen IS NULL THEN
        EXECUTE 'SELECT max(event_time)::date FROM ' || txpipe.fraud_source(transactions, NULL, current_date - 1) INTO chosen;
        IF chosen IS NULL THEN
            RETURN 0;
        END IF;
    END IF;
    -- Two at a time would both keep theirs.
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', kept);
    EXECUTE format('DELETE FROM %s WHERE report_date = $1', kept) USING chosen;
    EXECUTE format('INSERT INTO %s (report_date, section, rank, subject, channel, transactions_total, amount, rate)'
                   ' SELECT $1, r.* FROM txpipe.fraud_report($1, $2, $3, $4, $5) r', kept)
    USING chosen, transactions, high_value, failures_over, top_n;
    GET DIAGNOSTICS taken = ROW_COUNT;
    RETURN taken;
END
$body$;
COMMENT ON FUNCTION txpipe.take_fraud_report(date, regclass, numeric, integer, integer) IS
'Keeps fraud_report() of a day in the table beside that of the transactions whose name ends in _report, in the place of an older one of
the day. report_date NULL: the last day before today that has transactions. Result: how many lines, 0 while there is none. Made for a nightly job. Errors: as fraud_report()';
