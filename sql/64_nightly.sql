-- 64_nightly.sql: txpipe.nightly_report, a dated snapshot of the warehouse: the last business day, and what has changed
-- since the snapshot before.
--
-- What came is the difference of two states, not what bears a time between them: a load that was at work while a snapshot
-- was taken is in the next one.

CREATE TABLE txpipe.nightly_report_store (
    report_date date PRIMARY KEY,
    taken_at timestamptz NOT NULL,
    previous_date date,
    business_day date,
    sales bigint NOT NULL,
    units bigint NOT NULL,
    gross_amount numeric NOT NULL,
    discount_given numeric NOT NULL,
    total_paid numeric NOT NULL,
    online_sales bigint NOT NULL,
    online_total_paid numeric NOT NULL,
    week_before_total_paid numeric,
    month_total_paid numeric NOT NULL,
    month_before_total_paid numeric,
    top_products jsonb NOT NULL,
    top_offers jsonb NOT NULL,
    lowest_online_cities jsonb NOT NULL,
    files_loaded bigint NOT NULL,
    rows_read bigint NOT NULL,
    rows_loaded bigint NOT NULL,
    rows_duplicate bigint NOT NULL,
    rows_rejected bigint NOT NULL,
    sales_added bigint NOT NULL,
    total_paid_added numeric NOT NULL,
    days_new bigint NOT NULL,
    days_revised bigint NOT NULL,
    files_waiting bigint NOT NULL,
    files_failed bigint NOT NULL,
    groups_missing bigint NOT NULL,
    all_files_loaded bigint NOT NULL,
    all_rows_read bigint NOT NULL,
    all_rows_loaded bigint NOT NULL,
    all_rows_duplicate bigint NOT NULL,
    all_rows_rejected bigint NOT NULL,
    all_sales bigint NOT NULL,
    all_total_paid numeric NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.nightly_report_store', '');
REVOKE ALL ON txpipe.nightly_report_store FROM PUBLIC;
COMMENT ON TABLE txpipe.nightly_report_store IS 'Dated snapshots of the warehouse; read them in txpipe.nightly_report';

CREATE TABLE txpipe.nightly_day_store (
    report_date date NOT NULL REFERENCES txpipe.nightly_report_store ON DELETE CASCADE,
    transaction_date date NOT NULL,
    sales_before bigint,
    sales bigint NOT NULL,
    units bigint NOT NULL,
    gross_amount numeric NOT NULL,
    total_paid_before numeric,
    total_paid numeric NOT NULL,
    PRIMARY KEY (report_date, transaction_date)
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.nightly_day_store', '');
REVOKE ALL ON txpipe.nightly_day_store FROM PUBLIC;
COMMENT ON TABLE txpipe.nightly_day_store IS 'Days of sale whose figures changed between two snapshots; read them in txpipe.nightly_report_day';

CREATE VIEW txpipe.nightly_report WITH (security_barrier) AS
    SELECT * FROM txpipe.nightly_report_store WHERE txpipe.may_read('dwh', 'rollup_total');
GRANT SELECT ON txpipe.nightly_report TO PUBLIC;
COMMENT ON VIEW txpipe.nightly_report IS
'Snapshots by take_nightly_report(), one a date, for those who may read dwh.rollup_total: a business day and what came since the
snapshot before. Money is exact';

CREATE VIEW txpipe.nightly_report_day WITH (security_barrier) AS
    SELECT * FROM txpipe.nightly_day_store WHERE txpipe.may_read('dwh', 'rollup_total');
GRANT SELECT ON txpipe.nightly_report_day TO PUBLIC;
COMMENT ON VIEW txpipe.nightly_report_day IS
'Days of sale whose figures changed since the snapshot before, for those who may read dwh.rollup_total';

-- Store and view have the same columns.
DO $do$
DECLARE
    field record;
BEGIN
    FOR field IN SELECT * FROM (VALUES
        ('report', 'report_date', 'Date of the snapshot'),
        ('report', 'taken_at', 'When it was taken'),
        ('report', 'previous_date', 'Date of the snapshot that changes are counted from; NULL: the first, which counts everything'),
        ('report', 'business_day', 'Last day with sales up to report_date; NULL: there is none'),
        ('report', 'sales', 'Sales of the business day'),
        ('report', 'units', 'Pieces sold on it'),
        ('report', 'gross_amount', 'Money before offers'),
        ('report', 'discount_given', 'gross_amount - total_paid'),
        ('report', 'total_paid', 'Money paid'),
        ('report', 'online_sales', 'Online sales among them'),
        ('report', 'online_total_paid', 'Money paid online'),
        ('report', 'week_before_total_paid', 'Money paid on the day a week before; NULL before the first sale of the warehouse'),
        ('report', 'month_total_paid', 'Money paid in the month up to the business day'),
        ('report', 'month_before_total_paid', 'Money paid on the same days of the month before; NULL as above'),
        ('report', 'top_products', 'txpipe.top_products() of the business day, an array of its rows'),
        ('report', 'top_offers', 'txpipe.top_offers() of the business day, likewise'),
        ('report', 'lowest_online_cities', 'txpipe.lowest_online_cities() of the business day, likewise'),
        ('report', 'files_loaded', 'Files of the warehouse''s three feeds loaded since the snapshot before, less those unloaded'),
        ('report', 'rows_read', 'Records in these files'),
        ('report', 'rows_loaded', 'Records loaded, of branches and agents, too'),
        ('report', 'rows_duplicate', 'Records that were there already'),
        ('report', 'rows_rejected', 'Records rejected, less those replayed'),
        ('report', 'sales_added', 'Sales that are in the warehouse now and were not, less those that went'),
        ('report', 'total_paid_added', 'Money paid in them'),
        ('report', 'days_new', 'Days of sale that had no sales at the snapshot before'),
        ('report', 'days_revised', 'Days of sale that had, and whose figures changed since: late data, corrections, unloads'),
        ('report', 'files_waiting', 'Files that settled or waited when the snapshot was taken'),
        ('report', 'files_failed', 'Files that had failed or were refused, then'),
        ('report', 'groups_missing', 'Groups of files that were incomplete or had not come, then (txpipe.missing_group)'),
        ('report', 'all_files_loaded', 'Files loaded in all'),
        ('report', 'all_rows_read', 'Records in them'),
        ('report', 'all_rows_loaded', 'Records loaded in all'),
        ('report', 'all_rows_duplicate', 'Records that were there already, in all'),
        ('report', 'all_rows_rejected', 'Records rejected in all'),
        ('report', 'all_sales', 'Sales in the warehouse'),
        ('report', 'all_total_paid', 'Money paid in them'),
        ('day', 'report_date', 'Date of the snapshot (txpipe.nightly_report)'),
        ('day', 'transaction_date', 'Day of sale'),
        ('day', 'sales_before', 'Its sales at the snapshot before; NULL: it was never in one'),
        ('day', 'sales', 'Its sales; 0: none is left'),
        ('day', 'units', 'Pieces sold'),
        ('day', 'gross_amount', 'Money before offers'),
        ('day', 'total_paid_before', 'Money paid at the snapshot before; NULL likewise'),
        ('day', 'total_paid', 'Money paid')) AS v (kind, name, description)
    LOOP
        EXECUTE pg_catalog.format('COMMENT ON COLUMN txpipe.nightly_%s_store.%I IS %L', field.kind, field.name, field.description);
        EXECUTE pg_catalog.format('COMMENT ON COLUMN txpipe.nightly_report%s.%I IS %L',
                                  CASE field.kind WHEN 'day' THEN '_day' ELSE '' END, field.name, field.description);
    END LOOP;
END
$do$;

-- The two writes below are all that a snapshot needs of our tables, so that it can itself run as the owner of dwh.
CREATE FUNCTION txpipe.begin_nightly_report(report_date date)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_variable
DECLARE
    newest date;
    this_run bigint;
BEGIN
    -- One at a time: each counts from the one before.
    LOCK TABLE txpipe.nightly_report_store IN SHARE ROW EXCLUSIVE MODE;
    SELECT max(s.report_date) INTO newest FROM txpipe.nightly_report_store s;
    IF report_date < newest THEN
        IF EXISTS (SELECT FROM txpipe.nightly_report_store s WHERE s.report_date = report_date) THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'there is a later report, of %', newest
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'A report counts what changed since the one before it, so they are taken in the order of their dates.',
                  HINT = format('SELECT txpipe.take_nightly_report(%L) takes the newest again.', newest);
    END IF;
    INSERT INTO txpipe.run (job) VALUES ('take_nightly_report') RETURNING run_id INTO this_run;
    RETURN this_run;
END
$body$;
COMMENT ON FUNCTION txpipe.begin_nightly_report(date) IS
'Part of take_nightly_report(): waits for others, returns the number of the run; NULL when the report of this date stays as it
is, because a later one counts from it';

CREATE FUNCTION txpipe.end_nightly_report(run_id bigint, report jsonb, days jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    this_report txpipe.nightly_report_store := jsonb_populate_record(NULL::txpipe.nightly_report_store, report);
BEGIN
    DELETE FROM txpipe.nightly_report_store s WHERE s.report_date = this_report.report_date;
    INSERT INTO txpipe.nightly_report_store SELECT this_report.*;
    INSERT INTO txpipe.nightly_day_store
    SELECT d.* FROM jsonb_populate_recordset(NULL::txpipe.nightly_day_store, days) d;
    UPDATE txpipe.run r SET state = 'succeeded', finished_at = clock_timestamp(),
           message = format('%s: %s files and %s sales %s, %s days new, %s revised', this_report.report_date,
                            this_report.files_loaded, this_report.sales_added,
                            coalesce('since ' || this_report.previous_date, 'in all'), this_report.days_new,
                            this_report.days_revised)
    WHERE r.run_id = end_nightly_report.run_id AND r.job = 'take_nightly_report';
END
$body$;
COMMENT ON FUNCTION txpipe.end_nightly_report(bigint, jsonb, jsonb) IS
'Part of take_nightly_report(): stores the snapshot in the place of one of the same date, and ends the run';

-- Everything is one statement, so that all figures are of one moment.
CREATE FUNCTION txpipe.nightly_figures(report_date date, OUT report jsonb, OUT days jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $body$
#variable_conflict use_column
BEGIN
    WITH previous AS MATERIALIZED (
        SELECT p.* FROM txpipe.nightly_report p WHERE p.report_date < nightly_figures.report_date
        ORDER BY p.report_date DESC LIMIT 1
    ), known AS MATERIALIZED (
        SELECT DISTINCT ON (d.transaction_date) d.*
        FROM txpipe.nightly_report_day d WHERE d.report_date < nightly_figures.report_date
        ORDER BY d.transaction_date, d.report_date DESC
    ), today AS MATERIALIZED (
        SELECT coalesce(k.transaction_date, t.period) AS transaction_date, k.sales AS sales_before, coalesce(t.sales, 0) AS sales,
               coalesce(t.units, 0) AS units, coalesce(t.gross_amount, 0) AS gross_amount, k.total_paid AS total_paid_before,
               coalesce(t.total_paid, 0) AS total_paid, k.units AS units_before, k.gross_amount AS gross_before
        FROM known k FULL JOIN (SELECT * FROM dwh.rollup_total WHERE grain = 'day') t ON t.period = k.transaction_date
    ), changed AS MATERIALIZED (
        SELECT nightly_figures.report_date AS report_date, t.* FROM today t
        WHERE (t.sales, t.units, t.gross_amount, t.total_paid)
              IS DISTINCT FROM (t.sales_before, t.units_before, t.gross_before, t.total_paid_before)
    ), business AS MATERIALIZED (
        SELECT max(t.transaction_date) AS day FROM today t
        WHERE t.sales > 0 AND t.transaction_date <= nightly_figures.report_date
    ), files AS MATERIALIZED (
        SELECT count(*) FILTER (WHERE f.state IN ('loaded', 'loaded_with_rejects')) AS loaded,
               count(*) FILTER (WHERE f.state IN ('settling', 'waiting', 'loading')) AS waiting,
               count(*) FILTER (WHERE f.state IN ('failed', 'poison', 'rejected')) AS failed,
               coalesce(sum(f.rows_read), 0) AS rows_read, coalesce(sum(f.rows_loaded), 0) AS rows_loaded,
               coalesce(sum(f.rows_duplicate), 0) AS rows_duplicate, coalesce(sum(f.rows_rejected), 0) AS rows_rejected
        FROM txpipe.file f WHERE f.feed IN ('branches', 'sales_agents', 'sales_transactions')
    ), sums AS MATERIALIZED (
        SELECT coalesce(sum(t.sales), 0) AS sales, coalesce(sum(t.total_paid), 0) AS total_paid FROM today t
    )
    SELECT to_jsonb(r), (SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') FROM changed c) INTO report, days
    FROM (
        SELECT nightly_figures.report_date AS report_date, now() AS taken_at, p.report_date AS previous_date, b.day AS business_day,
               coalesce(t.sales, 0) AS sales, coalesce(t.units, 0) AS units, coalesce(t.gross_amount, 0) AS gross_amount,
               coalesce(t.gross_amount - t.total_paid, 0) AS discount_given, coalesce(t.total_paid, 0) AS total_paid,
               o.sales AS online_sales, o.total_paid AS online_total_paid,
               (SELECT s.total_paid FROM txpipe.sales_trend(b.day - 7, b.day - 7) s
                WHERE b.day - 7 >= (SELECT min(k.transaction_date) FROM today k WHERE k.sales > 0)) AS week_before_total_paid,
               coalesce(m.total_paid, 0) AS month_total_paid, m.previous_total_paid AS month_before_total_paid,
               (SELECT coalesce(jsonb_agg(to_jsonb(l) - 'n' ORDER BY l.n), '[]')
                FROM txpipe.top_products(b.day, b.day) WITH ORDINALITY
                     AS l (rank, product_id, product_name, units, total_paid, n) WHERE b.day IS NOT NULL) AS top_products,
               (SELECT coalesce(jsonb_agg(to_jsonb(l) - 'n' ORDER BY l.n), '[]')
                FROM txpipe.top_offers(b.day, b.day) WITH ORDINALITY
                     AS l (rank, offer_code, discount_pct, redemptions, n) WHERE b.day IS NOT NULL) AS top_offers,
               (SELECT coalesce(jsonb_agg(to_jsonb(l) - 'n' ORDER BY l.n), '[]')
                FROM txpipe.lowest_online_cities(b.day, b.day) WITH ORDINALITY
                     AS l (rank, city, state, orders, units, total_paid, n) WHERE b.day IS NOT NULL) AS lowest_online_cities,
               f.loaded - coalesce(p.all_files_loaded, 0) AS files_loaded,
               f.rows_read - coalesce(p.all_rows_read, 0) AS rows_read,
               f.rows_loaded - coalesce(p.all_rows_loaded, 0) AS rows_loaded,
               f.rows_duplicate - coalesce(p.all_rows_duplicate, 0) AS rows_duplicate,
               f.rows_rejected - coalesce(p.all_rows_rejected, 0) AS rows_rejected,
               s.sales - coalesce(p.all_sales, 0) AS sales_added, s.total_paid - coalesce(p.all_total_paid, 0) AS total_paid_added,
               (SELECT count(*) FROM changed c WHERE coalesce(c.sales_before, 0) = 0) AS days_new,
               (SELECT count(*) FROM changed c WHERE c.sales_before > 0) AS days_revised,
               f.waiting AS files_waiting, f.failed AS files_failed,
               (SELECT count(*) FROM txpipe.missing_group g WHERE g.group_name = 'retail') AS groups_missing,
               f.loaded AS all_files_loaded, f.rows_read AS all_rows_read, f.rows_loaded AS all_rows_loaded,
               f.rows_duplicate AS all_rows_duplicate, f.rows_rejected AS all_rows_rejected,
               s.sales AS all_sales, s.total_paid AS all_total_paid
        FROM business b CROSS JOIN files f CROSS JOIN sums s LEFT JOIN previous p ON true
        LEFT JOIN today t ON t.transaction_date = b.day
        LEFT JOIN LATERAL (SELECT coalesce(sum(r.sales), 0) AS sales, coalesce(sum(r.total_paid), 0) AS total_paid
                           FROM dwh.rollup_online_city r WHERE r.grain = 'day' AND r.period = b.day) o ON true
        LEFT JOIN LATERAL txpipe.sales_trend(date_trunc('month', b.day::timestamp)::date, b.day, 'month') m ON b.day IS NOT NULL
    ) r;
END
$body$;
COMMENT ON FUNCTION txpipe.nightly_figures(date) IS
'Part of take_nightly_report(): a row of nightly_report and its rows of nightly_report_day, as they are now';

CREATE FUNCTION txpipe.take_nightly_report(day date DEFAULT NULL)
RETURNS date
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    this_date CONSTANT date := coalesce(day, current_date - 1);
    this_run bigint;
    figures record;
BEGIN
    PERFORM txpipe.require_warehouse_owner();
    IF this_date > current_date OR this_date < '0001-01-01' THEN
        RAISE EXCEPTION 'day must be a date of our era up to today, not %', this_date
            USING ERRCODE = 'invalid_parameter_value', HINT = 'NULL takes the report of yesterday.';
    END IF;
    this_run := txpipe.begin_nightly_report(this_date);
    IF this_run IS NULL THEN
        RAISE NOTICE 'the report of % stays as it was taken', this_date
            USING DETAIL = 'Later ones count from it.';
    ELSE
        figures := txpipe.nightly_figures(this_date);
        PERFORM txpipe.end_nightly_report(this_run, figures.report, figures.days);
    END IF;
    RETURN this_date;
END
$body$;
COMMENT ON FUNCTION txpipe.take_nightly_report(date) IS
'Writes a row of txpipe.nightly_report, and returns its date: day, or yesterday for NULL, what a schedule calls. It has the
figures of the last day with sales up to that date, and what changed since the report before. Called again for the newest date it
replaces that report by one of now; an older one stays, since later ones count from it (a NOTICE says so).
For the owner of dwh, who needs EXECUTE on it and on require_warehouse_owner, nightly_figures, begin_nightly_report and
end_nightly_report. Errors: 42P01 without a warehouse; 42501 for others; 22023 for a date that is none or lies ahead; 55000 for a
date that has no report and lies before the newest.';
