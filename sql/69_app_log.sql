-- 69_app_log.sql: what people ask of the event log of a shop's web site, on windows that its stream keeps.

CREATE FUNCTION txpipe.app_log_table()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT $sql$
CREATE TABLE {log} (
    event_type text NOT NULL,
    event_time timestamptz NOT NULL,
    customer_id text,
    product_id text,
    category text,
    source text,
    quantity integer,
    total_amount numeric(12,2),
    payment_method text,
    recommended_product_id text,
    algorithm text,
    other jsonb,
    kafka_partition integer NOT NULL,
    kafka_offset bigint NOT NULL
);
CREATE INDEX ON {log} USING brin (event_time) WITH (autosummarize = on);
COMMENT ON TABLE {log} IS 'Events of the web site, one row each, as they came';
COMMENT ON COLUMN {log}.event_type IS 'productView, addToCart, purchase or recommendationClick';
COMMENT ON COLUMN {log}.event_time IS 'When it happened';
COMMENT ON COLUMN {log}.customer_id IS 'Customer';
COMMENT ON COLUMN {log}.product_id IS 'Product';
COMMENT ON COLUMN {log}.category IS 'Category of the product; views only';
COMMENT ON COLUMN {log}.source IS 'What led to the page: Advertisement, Search, Direct; views only';
COMMENT ON COLUMN {log}.quantity IS 'Pieces put into the cart or bought';
COMMENT ON COLUMN {log}.total_amount IS 'What a purchase cost';
COMMENT ON COLUMN {log}.payment_method IS 'How a purchase was paid';
COMMENT ON COLUMN {log}.recommended_product_id IS 'Product that was recommended and clicked';
COMMENT ON COLUMN {log}.algorithm IS 'What recommended it';
COMMENT ON COLUMN {log}.other IS 'Fields that have no column; txpipe.stream_field lists them';
COMMENT ON COLUMN {log}.kafka_partition IS 'Partition of the message';
COMMENT ON COLUMN {log}.kafka_offset IS 'Offset of the message; events have no other id'
$sql$
$body$;
COMMENT ON FUNCTION txpipe.app_log_table() IS 'Part of create_app_log_analytics(): makes the table of events, as a template';

-- A window by type, payment method and algorithm answers several questions: events of other types have neither.
CREATE FUNCTION txpipe.app_log_windows(name text)
RETURNS TABLE (window_name text, width interval, group_by text[], aggregates jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT name || w.suffix, w.width::interval, w.group_by::text[], w.aggregates::jsonb FROM (VALUES
        ('_10min', '10 min', '{event_type,payment_method,algorithm}',
         '{"events": "count(*)", "units": "sum(quantity)", "amount": "sum(total_amount)"}'),
        ('_product_30min', '30 min', '{event_type,product_id}',
         '{"events": "count(*)", "units": "sum(quantity)", "amount": "sum(total_amount)"}'),
        ('_customer_day', '1 day', '{event_type,customer_id}',
         '{"events": "count(*)", "amount": "sum(total_amount)", "first_at": "min(event_time)", "last_at": "max(event_time)"}')
    ) AS w (suffix, width, group_by, aggregates)
$body$;
COMMENT ON FUNCTION txpipe.app_log_windows(text) IS
'Part of create_app_log_analytics(): its windows; name is that of the log';

CREATE FUNCTION txpipe.app_log_views()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT $sql$
CREATE VIEW {events_per_type} AS
SELECT window_start, window_end, event_type, sum(events)::bigint AS events
FROM {10min}
GROUP BY window_start, window_end, event_type;
COMMENT ON VIEW {events_per_type} IS 'Events of each type in each 10 minutes';
COMMENT ON COLUMN {events_per_type}.window_start IS 'Beginning of the 10 minutes';
COMMENT ON COLUMN {events_per_type}.window_end IS 'End of the 10 minutes, exclusive';
COMMENT ON COLUMN {events_per_type}.event_type IS 'Type of the events';
COMMENT ON COLUMN {events_per_type}.events IS 'How many there were';

CREATE VIEW {top_viewed} AS
SELECT window_start, window_end, rank, product_id, views
FROM (SELECT window_start, window_end, rank() OVER (PARTITION BY window_start ORDER BY events DESC) AS rank, product_id, events AS views
      FROM {product_30min}
      WHERE event_type = 'productView' AND product_id IS NOT NULL) ranked
WHERE rank <= 5;
COMMENT ON VIEW {top_viewed} IS 'The 5 products with most views in each 30 minutes; ties share a rank';
COMMENT ON COLUMN {top_viewed}.window_start IS 'Beginning of the 30 minutes';
COMMENT ON COLUMN {top_viewed}.window_end IS 'End of the 30 minutes, exclusive';
COMMENT ON COLUMN {top_viewed}.rank IS 'Rank by views in these 30 minutes';
COMMENT ON COLUMN {top_viewed}.product_id IS 'Product';
COMMENT ON COLUMN {top_viewed}.views IS 'How often its page was seen';

CREATE VIEW {hourly_sales} AS
SELECT hour, sum(events)::bigint AS purchases, coalesce(sum(units), 0)::bigint AS units, coalesce(sum(amount), 0.00) AS amount,
       round(sum(amount) / sum(events), 2) AS average_amount
FROM (SELECT date_bin('1 hour', window_start, '2000-01-01 00:00:00+00') AS hour, events, units, amount
      FROM {10min}
      WHERE event_type = 'purchase') purchase
GROUP BY hour;
COMMENT ON VIEW {hourly_sales} IS 'Purchases of each hour';
COMMENT ON COLUMN {hourly_sales}.hour IS 'Beginning of the hour';
COMMENT ON COLUMN {hourly_sales}.purchases IS 'How many there were';
COMMENT ON COLUMN {hourly_sales}.units IS 'Pieces bought';
COMMENT ON COLUMN {hourly_sales}.amount IS 'Money paid, exact';
COMMENT ON COLUMN {hourly_sales}.average_amount IS 'Money paid for one purchase, rounded to cents';

CREATE VIEW {payment_methods} AS
SELECT payment_method, sum(events)::bigint AS purchases, coalesce(sum(units), 0)::bigint AS units, coalesce(sum(amount), 0.00) AS amount,
       round(100 * coalesce(sum(amount), 0) / nullif(sum(sum(amount)) OVER (), 0), 2) AS share_pct
FROM {10min}
WHERE event_type = 'purchase'
GROUP BY payment_method;
COMMENT ON VIEW {payment_methods} IS 'Purchases by payment method';
COMMENT ON COLUMN {payment_methods}.payment_method IS 'How they were paid; NULL: the event does not say';
COMMENT ON COLUMN {payment_methods}.purchases IS 'How many there were';
COMMENT ON COLUMN {payment_methods}.units IS 'Pieces bought';
COMMENT ON COLUMN {payment_methods}.amount IS 'Money paid, exact';
COMMENT ON COLUMN {payment_methods}.share_pct IS 'Share of all money paid, in per cent, rounded to 2 decimals';

CREATE VIEW {cart_purchase} AS
SELECT product_id, carts, cart_units, purchases, purchased_units, amount, round(100.0 * purchases / nullif(carts, 0), 2) AS purchase_pct
FROM (SELECT product_id,
             coalesce(sum(events) FILTER (WHERE event_type = 'addToCart'), 0)::bigint AS carts,
             coalesce(sum(units) FILTER (WHERE event_type = 'addToCart'), 0)::bigint AS cart_units,
             coalesce(sum(events) FILTER (WHERE event_type = 'purchase'), 0)::bigint AS purchases,
             coalesce(sum(units) FILTER (WHERE event_type = 'purchase'), 0)::bigint AS purchased_units,
             coalesce(sum(amount) FILTER (WHERE event_type = 'purchase'), 0.00) AS amount
      FROM {product_30min}
      WHERE event_type IN ('addToCart', 'purchase') AND product_id IS NOT NULL
      GROUP BY product_id) product;
COMMENT ON VIEW {cart_purchase} IS 'For each product, how often it was put into a cart, and how often it was bought';
COMMENT ON COLUMN {cart_purchase}.product_id IS 'Product';
COMMENT ON COLUMN {cart_purchase}.carts IS 'How often it was put into a cart';
COMMENT ON COLUMN {cart_purchase}.cart_units IS 'Pieces put into carts';
COMMENT ON COLUMN {cart_purchase}.purchases IS 'How often it was bought';
COMMENT ON COLUMN {cart_purchase}.purchased_units IS 'Pieces bought';
COMMENT ON COLUMN {cart_purchase}.amount IS 'Money paid for it, exact';
COMMENT ON COLUMN {cart_purchase}.purchase_pct IS 'Purchases for 100 carts, rounded to 2 decimals; NULL: it was never put into one';

CREATE VIEW {clicks} AS
SELECT algorithm, sum(events)::bigint AS clicks, round(100 * sum(events) / sum(sum(events)) OVER (), 2) AS share_pct
FROM {10min}
WHERE event_type = 'recommendationClick'
GROUP BY algorithm;
COMMENT ON VIEW {clicks} IS 'Clicks on recommendations by what recommended';
COMMENT ON COLUMN {clicks}.algorithm IS 'What recommended; NULL: the event does not say';
COMMENT ON COLUMN {clicks}.clicks IS 'How many clicks there were';
COMMENT ON COLUMN {clicks}.share_pct IS 'Share of all clicks, in per cent, rounded to 2 decimals';

CREATE VIEW {customers} AS
WITH customer AS (
    SELECT customer_id, sum(events)::bigint AS events,
           coalesce(sum(events) FILTER (WHERE event_type = 'productView'), 0)::bigint AS views,
           coalesce(sum(events) FILTER (WHERE event_type = 'addToCart'), 0)::bigint AS carts,
           coalesce(sum(events) FILTER (WHERE event_type = 'purchase'), 0)::bigint AS purchases,
           coalesce(sum(amount) FILTER (WHERE event_type = 'purchase'), 0.00) AS amount,
           min(first_at) AS first_at, max(last_at) AS last_at
    FROM {customer_day}
    WHERE customer_id IS NOT NULL
    GROUP BY customer_id),
ranked AS (
    SELECT customer.*, (rank() OVER (bought ORDER BY purchases) - 1) * 2 >= count(*) OVER bought AS is_frequent,
           (rank() OVER (bought ORDER BY amount DESC) - 1) * 4 < count(*) OVER bought AS is_top
    FROM customer
    WINDOW bought AS (PARTITION BY purchases > 0))
SELECT customer_id, events, views, carts, purchases, amount, first_at, last_at,
       CASE WHEN purchases = 0 AND carts = 0 THEN 'visitor'
            WHEN purchases = 0 THEN 'cart_only'
            WHEN is_frequent AND is_top THEN 'champion'
            WHEN is_frequent THEN 'loyal'
            WHEN is_top THEN 'big_spender'
            ELSE 'occasional' END AS segment
FROM ranked;
COMMENT ON VIEW {customers} IS 'Customers, with what they did and their segment';
COMMENT ON COLUMN {customers}.customer_id IS 'Customer';
COMMENT ON COLUMN {customers}.events IS 'Events of all types';
COMMENT ON COLUMN {customers}.views IS 'Pages of products seen';
COMMENT ON COLUMN {customers}.carts IS 'How often something was put into the cart';
COMMENT ON COLUMN {customers}.purchases IS 'Purchases';
COMMENT ON COLUMN {customers}.amount IS 'Money paid, exact';
COMMENT ON COLUMN {customers}.first_at IS 'First event';
COMMENT ON COLUMN {customers}.last_at IS 'Last event';
COMMENT ON COLUMN {customers}.segment IS 'visitor: neither cart nor purchase; cart_only: no purchase; of those who bought, champion: frequent and top, loyal: frequent, big_spender: top, occasional: neither. Frequent has more purchases than at least half of those who bought; fewer than a quarter of them paid more than one who is top';

CREATE VIEW {segments} AS
SELECT segment, count(customer_id) AS customers, coalesce(sum(purchases), 0)::bigint AS purchases, coalesce(sum(amount), 0.00) AS amount
FROM {customers}
RIGHT JOIN (VALUES ('visitor'), ('cart_only'), ('occasional'), ('big_spender'), ('loyal'), ('champion')) s (segment) USING (segment)
GROUP BY segment;
COMMENT ON VIEW {segments} IS 'Customers by segment, always six rows';
COMMENT ON COLUMN {segments}.segment IS 'Segment, as in the view of customers';
COMMENT ON COLUMN {segments}.customers IS 'How many customers are in it';
COMMENT ON COLUMN {segments}.purchases IS 'Their purchases';
COMMENT ON COLUMN {segments}.amount IS 'Money they paid, exact'
$sql$
$body$;
COMMENT ON FUNCTION txpipe.app_log_views() IS 'Part of create_app_log_analytics(): makes its views, as a template';

CREATE FUNCTION txpipe.create_app_log_analytics(
    server text, topic text, name text DEFAULT 'app_log', start_at text DEFAULT 'earliest', paused boolean DEFAULT false,
    options jsonb DEFAULT '{}', target_schema name DEFAULT current_schema())
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    words CONSTANT jsonb := (
        SELECT jsonb_object_agg(coalesce(s, 'log'), quote_ident(target_schema) || '.' || quote_ident(concat_ws('_', name, s)))
        FROM unnest('{NULL,10min,product_30min,customer_day,events_per_type,top_viewed,hourly_sales,payment_methods,cart_purchase,clicks,customers,segments}'::text[]) s);
BEGIN
    IF coalesce(name, '') = '' OR octet_length(name) > 32 THEN
        RAISE EXCEPTION 'the log needs a name of at most 32 bytes'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is the beginning of the names of its tables and views.';
    END IF;
    IF target_schema IS NULL THEN
        RAISE EXCEPTION 'no schema has been selected to create the log in'
            USING ERRCODE = 'invalid_schema_name', HINT = 'SET search_path, or give target_schema.';
    END IF;
    EXECUTE txpipe.fill_template(txpipe.app_log_table(), words);
    PERFORM txpipe.create_stream(name, server, topic, (words ->> 'log')::regclass, columns => $json${
            "event_type": "eventType",
            "event_time": "timestamp",
            "customer_id": "customerId",
            "product_id": "productId",
            "category": "metadata.category",
            "source": "metadata.source",
            "quantity": "quantity",
            "total_amount": "totalAmount",
            "payment_method": "paymentMethod",
            "recommended_product_id": "recommendedProductId",
            "algorithm": "algorithm",
            "other": "$rest",
            "kafka_partition": "kafka_partition",
            "kafka_offset": "kafka_offset"
        }$json$, start_at => start_at, paused => paused, options => options);
    PERFORM txpipe.create_window(w.window_name, name, 'event_time', width => w.width, group_by => w.group_by, aggregates => w.aggregates,
                                 target_schema => target_schema)
    FROM txpipe.app_log_windows(name) w;
    EXECUTE txpipe.fill_template(txpipe.app_log_views(), words);
END
$body$;
COMMENT ON FUNCTION txpipe.create_app_log_analytics(text, text, text, text, boolean, jsonb, name) IS
'Streams the event log of a shop''s web site into a table, and keeps what people ask of it. Events are JSON objects with eventType, timestamp,
customerId, productId, metadata.category, metadata.source, quantity, totalAmount, paymentMethod, recommendedProductId and algorithm; absent
ones are NULL, all others are kept in the column other. name: of the stream and the table, and the beginning of the others'' names, at most 32
bytes. Windows: …_10min (by type, payment method and algorithm), …_product_30min, …_customer_day. Views over them: …_events_per_type (10 minutes), …_top_viewed
(5 of each 30 minutes), …_hourly_sales, …_payment_methods, …_cart_purchase (by product), …_clicks (by algorithm), …_customers, …_segments. Events that come late or
in any order are counted where they belong. Days are those of UTC; times without a zone are of txpipe.input_time_zone. start_at, paused, options: as in
create_stream(). Everything belongs to the caller, who needs what create_stream() and create_window() need. Errors: 22023 no such name,
3F000 no schema, 42P07 a table of the name is there, and those of create_stream()';
