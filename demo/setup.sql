-- Everything the demo creates, through public SQL. :broker is the address of the Kafka broker.

CREATE EXTENSION pg_cron;
CREATE EXTENSION txpipe;
CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers :'broker');

-- The event log of the web site becomes a table, with windows and views that are up to date with each commit.
SELECT txpipe.create_app_log_analytics('shop', 'app_logs');

-- A rule over every batch: its rows are alerts, in the same commit.
SELECT txpipe.create_rule('large_purchase', 'app_log', $$
    SELECT customer_id AS subject, event_time, format('%s paid by %s for product %s', total_amount, payment_method, product_id) AS reason,
           jsonb_build_object('amount', total_amount, 'quantity', quantity) AS evidence, kafka_topic, kafka_partition, kafka_offset
    FROM batch WHERE event_type = 'purchase' AND total_amount >= 490 $$, severity => 'low', cooldown => '10 min');

-- Transactions of accounts, watched for fraud by eleven rules. The accounts are invented, so their names may stay.
SELECT txpipe.create_fraud_monitor('shop', 'transactions', pseudonyms => false);

-- Hourly files become a warehouse; pg_cron does the rest, here every minute. A worker keeps the dashboard.
SELECT txpipe.create_warehouse();
SELECT txpipe.schedule(ingest => '* * * * *', b2b => '* * * * *', dashboard => NULL);

-- The same sales come as events first: dwh.sales has each once, the file's as soon as it is there.
SELECT txpipe.create_live_sales('shop', 'live_sales');
