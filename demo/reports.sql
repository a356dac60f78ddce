-- What the demo shows at its end.
\pset footer off
\pset null -

\echo
\echo == Live: events per type and 10 minutes (the last five)
SELECT * FROM events_per_10_minutes ORDER BY since DESC LIMIT 5;

\echo == Live: purchases per hour
SELECT * FROM hourly_purchases ORDER BY hour DESC LIMIT 7;

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

\echo == The stream
SELECT stream, state, workers, lag_messages AS lag, rows_total AS rows, dead_letters_total AS dead_letters, restarts,
       last_error
FROM txpipe.stream_status;

\echo == Messages that could not become rows: kept, with place and reason
SELECT code, column_name, count(*), min(format('%s/%s', kafka_partition, kafka_offset)) AS "first at", min(message) AS for_example
FROM txpipe.dead_letter
GROUP BY code, column_name
ORDER BY count DESC, code;
