-- What the demo shows at its end.
\pset footer off
\pset null -

\echo
\echo == Live: events per type in each 10 minutes (the last 20 minutes)
SELECT * FROM app_log_events_per_type
WHERE window_start > (SELECT max(window_start) FROM app_log_events_per_type) - interval '20 min' ORDER BY window_start, event_type;

\echo == Live: products with most views in the last full half hour
SELECT rank, product_id, views FROM app_log_top_viewed WHERE window_end <= now() AND window_end > now() - interval '30 min' ORDER BY rank, product_id;

\echo == Live: purchases per hour
SELECT * FROM app_log_hourly_sales ORDER BY hour DESC LIMIT 4;

\echo == Live: segments of customers
SELECT * FROM app_log_segments ORDER BY amount DESC, customers DESC;

\echo == Alerts: by rule, and the newest
SELECT rule, severity, count(*) AS alerts, min(reason) AS for_example FROM txpipe.alert GROUP BY rule, severity ORDER BY alerts DESC, rule;
SELECT alert_id, rule, subject, reason FROM txpipe.alert ORDER BY alert_id DESC LIMIT 3;

\echo == One view of now: sales of files, and those streamed that no file has brought yet
SELECT source, count(*) AS sales, sum(total_paid) AS total_paid, max(loaded_at)::timestamp(0) AS newest FROM dwh.sales GROUP BY source;
SELECT state, count(*) AS sales FROM dwh.sales_reconciliation WHERE state <> 'unstreamed' GROUP BY state;

\echo == Warehouse: most selling products
SELECT * FROM txpipe.top_products(top_n => 5);

\echo == Warehouse: most redeemed offers
SELECT * FROM txpipe.top_offers();

\echo == Warehouse: most redeemed offer of each product (the first eight lines)
SELECT * FROM txpipe.top_offers_by_product(top_n => 1) LIMIT 8;

\echo == Warehouse: lowest cities in online sales
SELECT * FROM txpipe.lowest_online_cities(top_n => 5);

\echo == The files: a re-sent group is recognised, nothing is counted twice
SELECT group_key, file_name, state, rows_read AS read, rows_loaded AS loaded, rows_duplicate AS duplicate,
       rows_rejected AS rejected
FROM txpipe.file
ORDER BY file_id;

\echo == Rows that were rejected, and why
SELECT code, column_name, count(*), min(message) AS for_example
FROM txpipe.rejected_row
GROUP BY code, column_name
ORDER BY count DESC, code
LIMIT 6;

\echo == The streams
SELECT stream, state, workers, lag_messages AS lag, rows_total AS rows, dead_letters_total AS dead_letters, restarts,
       last_error
FROM txpipe.stream_status
ORDER BY stream;

\echo == Messages that could not become rows: kept, with place and reason
SELECT stream, code, column_name, count(*), min(format('%s/%s', kafka_partition, kafka_offset)) AS "first at", min(message) AS for_example
FROM txpipe.dead_letter
GROUP BY stream, code, column_name
ORDER BY count DESC, stream, code;

\echo == Is all well?
SELECT * FROM txpipe.health();
