
-- 90_grants.sql: deny by default. The few things everybody may call run as the caller.

REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA txpipe FROM PUBLIC;
-- Default privileges of who creates the extension may give everybody more than the pieces grant; tables they have revoked.
REVOKE CREATE ON SCHEMA txpipe FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA txpipe FROM PUBLIC;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON ALL TABLES IN SCHEMA txpipe FROM PUBLIC;
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 170000 THEN
        REVOKE MAINTAIN ON ALL TABLES IN SCHEMA txpipe FROM PUBLIC;
    END IF;
END
$$;

-- Reports: the caller needs USAGE on dwh and SELECT on its tables.
GRANT EXECUTE ON FUNCTION
    txpipe.require_warehouse(),
    txpipe.warehouse_is_distributed(),
    txpipe.check_top_n(integer),
    txpipe.whole_periods(date, date),
    txpipe.unconfirmed_sales(text, date, date),
    txpipe.top_products(date, date, integer, text),
    txpipe.top_offers(date, date, integer, text),
    txpipe.top_offers_by_product(date, date, integer, text),
    txpipe.lowest_online_cities(date, date, integer, integer, boolean, text),
    txpipe.trend_periods(date, date, text),
    txpipe.sales_trend(date, date, text, text),
    txpipe.sales_by_category(date, date, text),
    txpipe.sales_by_branch(date, date, text),
    txpipe.sales_by_payment_method(date, date, text),
    txpipe.offer_discounts(date, date, text),
    txpipe.basket_value(date, date, text),
    txpipe.customer_totals(date, date),
    txpipe.top_customers(date, date, integer),
    txpipe.customer_segments(date, date),
    txpipe.b2b_lines(date[], text),
    txpipe.b2b_sales(date, text)
TO PUBLIC;

-- Reports on fraud: the caller needs SELECT on the table of the monitor.
GRANT EXECUTE ON FUNCTION
    txpipe.fraud_source(regclass, date, date),
    txpipe.fraud_by_type(date, date, regclass),
    txpipe.fraud_statistics(date, date, regclass),
    txpipe.flag_accuracy(date, date, regclass),
    txpipe.fraud_report(date, regclass, numeric, integer, integer)
TO PUBLIC;

-- What the views that everybody may read call.
GRANT EXECUTE ON FUNCTION
    txpipe.list_options(),
    txpipe.stream_workers(integer),
    txpipe.stream_rates(integer),
    txpipe.stream_hindrance(),
    txpipe.is_owner(oid, name),
    txpipe.list_jobs(),
    txpipe.known_jobs(),
    txpipe.cron_database(),
    txpipe.cron_setting(text),
    txpipe.cron_due(text, timestamptz, boolean),
    txpipe.cron_field(text, integer, integer, text[]),
    txpipe.may_read(name, name),
    txpipe.may_watch(oid, name, name, name),
    txpipe.shown_reason(text, oid, name, name, name),
    txpipe.utf8(bytea),
    txpipe.group_time(text),
    txpipe.group_is_numbered(text),
    txpipe.session_progress()
TO PUBLIC;

-- What steps of windows call, as the stream's owner: he need not have been granted more than create_window() once.
GRANT EXECUTE ON FUNCTION
    txpipe.count_open_windows(integer),
    txpipe.lock_window(integer),
    txpipe.note_window(integer, timestamptz, bigint),
    txpipe.join_arrays(anycompatiblearray)
TO PUBLIC;

-- The dashboard: it runs as the caller and leaves out what he may not read.
GRANT EXECUTE ON FUNCTION
    txpipe.html(text, integer),
    txpipe.html_name(text),
    txpipe.html_number(numeric, integer),
    txpipe.html_short(numeric),
    txpipe.html_duration(numeric),
    txpipe.html_age(timestamptz),
    txpipe.html_state(text),
    txpipe.html_change(numeric, numeric),
    txpipe.html_tile(text, text, text, text),
    txpipe.html_table(text, text[], text),
    txpipe.html_bar(numeric, numeric),
    txpipe.svg_spark(numeric[], text, boolean),
    txpipe.chart_step(numeric),
    txpipe.svg_columns(text, text, text, text[], text[], numeric[], numeric[], text),
    txpipe.dashboard_style(),
    txpipe.dashboard_troubles(txpipe.recent_files[]),
    txpipe.dashboard_verdict(txpipe.recent_files[]),
    txpipe.dashboard_minutes(),
    txpipe.dashboard_overview(txpipe.recent_files[]),
    txpipe.dashboard_stream_card(txpipe.stream_status, numeric[]),
    txpipe.dashboard_streams(),
    txpipe.dashboard_rejects(txpipe.recent_files[]),
    txpipe.dashboard_files(txpipe.recent_files[]),
    txpipe.dashboard_may_read_sales(),
    txpipe.dashboard_sums(date, date),
    txpipe.dashboard_sales_lists(date, date),
    txpipe.dashboard_sales(),
    txpipe.dashboard_alerts(),
    txpipe.window_events(integer, integer),
    txpipe.dashboard_window(integer, text),
    txpipe.dashboard_live(),
    txpipe.dashboard_start(),
    txpipe.dashboard_page(boolean),
    txpipe.dashboard()
TO PUBLIC;

-- What monitoring reads, as the caller.
GRANT EXECUTE ON FUNCTION
    txpipe.metrics()
TO PUBLIC;
