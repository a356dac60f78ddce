-- Everything the demo creates, through public SQL. :broker is the address of the Kafka broker.

CREATE EXTENSION pg_cron;
CREATE EXTENSION txpipe;

-- A Kafka topic becomes a table.
CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers :'broker');

CREATE TABLE app_logs (
    event_type text NOT NULL,
    event_time timestamp NOT NULL,
    customer_id text NOT NULL,
    product_id text NOT NULL,
    category text,
    quantity integer,
    total_amount numeric(10,2),
    payment_method text,
    other jsonb
);

SELECT txpipe.create_stream('app_logs', 'shop', 'app_logs', 'app_logs', columns => '{
    "event_type": "eventType", "event_time": "timestamp", "customer_id": "customerId",
    "product_id": "productId", "category": "metadata.category", "quantity": "quantity",
    "total_amount": "totalAmount", "payment_method": "paymentMethod", "other": "$rest"}');

-- Reports over the stream are views.
CREATE VIEW events_per_10_minutes AS
SELECT date_bin('10 minutes', event_time, '2000-01-01') AS since,
       count(*) FILTER (WHERE event_type = 'productView') AS views,
       count(*) FILTER (WHERE event_type = 'addToCart') AS carts,
       count(*) FILTER (WHERE event_type = 'purchase') AS purchases,
       count(*) FILTER (WHERE event_type = 'recommendationClick') AS clicks
FROM app_logs
GROUP BY since;

CREATE VIEW hourly_purchases AS
SELECT date_trunc('hour', event_time) AS hour,
       count(*) AS purchases,
       sum(quantity) AS units,
       sum(total_amount) AS amount,
       count(DISTINCT customer_id) AS customers
FROM app_logs
WHERE event_type = 'purchase'
GROUP BY hour;

-- Hourly files become a warehouse; pg_cron does the rest, here every minute.
SELECT txpipe.create_warehouse();
SELECT txpipe.schedule(ingest => '* * * * *', b2b => '* * * * *');
