
-- 58_sales_feed.sql: the feed sales_transactions and its steps, in order.
--
-- Lookups in sale_key and dim_customer are scalar subqueries on purpose: a load of many batches keeps
-- its plans while these tables grow, and a scalar subquery stays with the index whatever their size.

CREATE FUNCTION txpipe.warehouse_sales_feed()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    content CONSTANT text := $sql$hash_record_extended((transaction_date, customer_id, first_name, last_name, email,
        sales_agent_id, branch_id, product_id, product_name, product_category, coalesce(offer_1, false),
        coalesce(offer_2, false), coalesce(offer_3, false), coalesce(offer_4, false), coalesce(offer_5, false),
        units, unit_price, coalesce(is_online, false), payment_method, street, city, state, postal_code), 0)$sql$;
    load_sales CONSTANT text := $step$
        INSERT INTO dwh.fact_sales (transaction_id, transaction_date, product_key, customer_key,
            sales_agent_key, branch_key, location_key, offer_key, units, unit_price, discount_pct,
            is_online, payment_method, street, postal_code, file_id, line_no)
        SELECT b.transaction_id, b.transaction_date, p.product_key,
            (SELECT c.customer_key FROM dwh.dim_customer c
             WHERE c.customer_id = b.customer_id AND c.first_name = coalesce(b.first_name, '(unknown)')
               AND c.last_name = coalesce(b.last_name, '(unknown)') AND c.email = coalesce(b.email, '(unknown)')),
            coalesce(a.sales_agent_key, CASE WHEN b.is_online THEN 0 ELSE -1 END),
            coalesce(r.branch_key, CASE WHEN b.is_online THEN 0 ELSE -1 END),
            CASE WHEN b.state IS NOT NULL OR b.city IS NOT NULL
                 THEN (SELECT l.location_key FROM dwh.dim_location l
                       WHERE l.city = coalesce(b.city, '(unknown)') AND l.state = coalesce(b.state, '(unknown)'))
                 WHEN b.is_online THEN -1 ELSE 0 END,
            o.offer_key, b.units, b.unit_price, o.discount_pct,
            coalesce(b.is_online, false), coalesce(b.payment_method, '(unknown)'),
            b.street, b.postal_code, b.file_id, b.line_no
        FROM batch b
        CROSS JOIN (SELECT dwh.group_time(group_key) AS at FROM batch LIMIT 1) g
        CROSS JOIN (SELECT coalesce(max(value), 'reject') = 'highest' AS highest
                    FROM dwh.setting WHERE name = 'several_offers') s
        LEFT JOIN dwh.dim_product p ON p.product_id = b.product_id
             AND p.product_name = coalesce(b.product_name, '(unknown)')
             AND p.product_category = coalesce(b.product_category, '(unknown)')
        LEFT JOIN dwh.dim_sales_agent a ON a.sales_agent_id = b.sales_agent_id
             AND g.at >= a.valid_from AND g.at < a.valid_to
        LEFT JOIN dwh.dim_branch r ON r.branch_id = b.branch_id
             AND g.at >= r.valid_from AND g.at < r.valid_to
        LEFT JOIN dwh.dim_offer o ON o.offer_key =
             CASE WHEN s.highest AND b.offer_5 THEN 5 WHEN s.highest AND b.offer_4 THEN 4
                  WHEN s.highest AND b.offer_3 THEN 3 WHEN s.highest AND b.offer_2 THEN 2
                  WHEN b.offer_1 THEN 1 WHEN b.offer_2 THEN 2 WHEN b.offer_3 THEN 3
                  WHEN b.offer_4 THEN 4 WHEN b.offer_5 THEN 5 ELSE 0 END
    $step$;
BEGIN
    BEGIN
        PERFORM txpipe.create_feed('sales_transactions', '^(.+)/sales_transactions_[^/]*\.csv$', NULL, 'csv', $json${
            "transaction_date": {"path": "transaction_date", "type": "date", "required": true},
            "transaction_id": {"path": "transaction_id", "type": "varchar(100)", "as": "trim", "required": true},
            "customer_id": {"path": "customer_id", "type": "bigint", "as": "whole", "required": true},
            "first_name": {"path": ["customer_fname", "cusomter_fname"], "type": "varchar(100)", "as": "trim"},
            "last_name": {"path": ["customer_lname", "cusomter_lname"], "type": "varchar(100)", "as": "trim"},
            "email": {"path": ["customer_email", "cusomter_email"], "type": "varchar(254)", "as": "email"},
            "sales_agent_id": {"path": ["sales_agent_id", "sales_person_id"], "type": "integer", "as": "whole"},
            "branch_id": {"path": "branch_id", "type": "integer", "as": "whole"},
            "product_id": {"path": "product_id", "type": "bigint", "as": "whole", "required": true},
            "product_name": {"path": "product_name", "type": "varchar(200)", "as": "trim"},
            "product_category": {"path": "product_category", "type": "varchar(100)", "as": "trim"},
            "offer_1": {"path": "offer_1", "type": "boolean"},
            "offer_2": {"path": "offer_2", "type": "boolean"},
            "offer_3": {"path": "offer_3", "type": "boolean"},
            "offer_4": {"path": "offer_4", "type": "boolean"},
            "offer_5": {"path": "offer_5", "type": "boolean"},
            "units": {"path": "units", "type": "integer", "as": "whole", "required": true},
            "unit_price": {"path": "unit_price", "type": "numeric(12,2)", "required": true},
            "is_online": {"path": "is_online", "type": "boolean"},
            "payment_method": {"path": "payment_method", "type": "varchar(60)", "as": "trim"},
            "street": {"path": "shipping_address", "type": "varchar(300)", "as": "address_street"},
            "city": {"path": "shipping_address", "type": "varchar(100)", "as": "address_city"},
            "state": {"path": "shipping_address", "type": "varchar(60)", "as": "address_state"},
            "postal_code": {"path": "shipping_address", "type": "varchar(20)", "as": "address_postal_code"}
        }$json$, 'retail', true, load_sales, 'archive', '{"ragged": true, "ordinal": 30}');
    EXCEPTION WHEN duplicate_object THEN
        NULL;                   -- the feed is there: its steps are brought up to date below
    END;

    PERFORM txpipe.warehouse_sales_rules();
    -- The first line with an id counts. The hash covers the cleaned values, so junk around an e-mail
    -- address does not turn a repetition into a conflict.
    PERFORM txpipe.on_load('sales_transactions', 'duplicates', replace($step$
        SELECT line_no, CASE WHEN hash = first_hash THEN 'duplicate' ELSE 'rejected' END AS outcome,
               CASE WHEN hash <> first_hash THEN 'conflicting_duplicate' END AS code,
               CASE WHEN hash <> first_hash
                    THEN format('transaction %s was there before with other values', transaction_id) END AS message,
               CASE WHEN hash <> first_hash THEN 'transaction_id' END AS column_name
        FROM (
            SELECT line_no, transaction_id, hash, coalesce(known_hash, first_value(hash) OVER w) AS first_hash,
                   known_hash IS NOT NULL OR row_number() OVER w > 1 AS is_repeated
            FROM (
                SELECT b.line_no, b.transaction_id, {content} AS hash,
                       (SELECT k.content_hash FROM dwh.sale_key k
                        WHERE k.transaction_id = b.transaction_id) AS known_hash
                FROM batch b OFFSET 0
            ) b WINDOW w AS (PARTITION BY transaction_id COLLATE "C" ORDER BY line_no)
        ) l WHERE is_repeated
    $step$, '{content}', content), 20);
    PERFORM txpipe.on_load('sales_transactions', 'months', $step$
        SELECT * FROM dwh.create_months(ARRAY(
            SELECT DISTINCT date_trunc('month', transaction_date::timestamp)::date FROM batch))
    $step$, 30);
    PERFORM txpipe.on_load('sales_transactions', 'products', $step$
        INSERT INTO dwh.dim_product (product_id, product_name, product_category)
        SELECT product_id, product_name, product_category
        FROM (SELECT DISTINCT product_id, coalesce(product_name, '(unknown)') AS product_name,
                     coalesce(product_category, '(unknown)') AS product_category FROM batch) b
        WHERE NOT EXISTS (SELECT FROM dwh.dim_product d
                          WHERE (d.product_id, d.product_name, d.product_category)
                              = (b.product_id, b.product_name, b.product_category))
        ORDER BY product_id, product_name, product_category
    $step$, 40);
    PERFORM txpipe.on_load('sales_transactions', 'customers', $step$
        INSERT INTO dwh.dim_customer (customer_id, first_name, last_name, email)
        SELECT customer_id, first_name, last_name, email
        FROM (SELECT DISTINCT customer_id, coalesce(first_name, '(unknown)') AS first_name,
                     coalesce(last_name, '(unknown)') AS last_name, coalesce(email, '(unknown)') AS email FROM batch) b
        WHERE (SELECT d.customer_key FROM dwh.dim_customer d
               WHERE d.customer_id = b.customer_id AND d.first_name = b.first_name
                 AND d.last_name = b.last_name AND d.email = b.email) IS NULL
    $step$, 50);
    PERFORM txpipe.on_load('sales_transactions', 'locations', $step$
        INSERT INTO dwh.dim_location (city, state)
        SELECT city, state
        FROM (SELECT DISTINCT coalesce(city, '(unknown)') AS city, coalesce(state, '(unknown)') AS state
              FROM batch WHERE city IS NOT NULL OR state IS NOT NULL) b
        WHERE NOT EXISTS (SELECT FROM dwh.dim_location d WHERE (d.city, d.state) = (b.city, b.state))
        ORDER BY city, state
    $step$, 60);
    PERFORM txpipe.on_load('sales_transactions', 'unknown_agents', $step$
        INSERT INTO dwh.dim_sales_agent (sales_agent_id, valid_from, valid_to, delivered_at, is_inferred)
        SELECT sales_agent_id, '-infinity', 'infinity', '-infinity', true
        FROM (SELECT DISTINCT sales_agent_id FROM batch WHERE sales_agent_id IS NOT NULL) b
        WHERE NOT EXISTS (SELECT FROM dwh.dim_sales_agent d WHERE d.sales_agent_id = b.sales_agent_id)
        ORDER BY sales_agent_id
    $step$, 70);
    PERFORM txpipe.on_load('sales_transactions', 'unknown_branches', $step$
        INSERT INTO dwh.dim_branch (branch_id, valid_from, valid_to, delivered_at, is_inferred)
        SELECT branch_id, '-infinity', 'infinity', '-infinity', true
        FROM (SELECT DISTINCT branch_id FROM batch WHERE branch_id IS NOT NULL) b
        WHERE NOT EXISTS (SELECT FROM dwh.dim_branch d WHERE d.branch_id = b.branch_id)
        ORDER BY branch_id
    $step$, 80);
    PERFORM txpipe.on_load('sales_transactions', 'load', load_sales, 100);
    PERFORM txpipe.on_load('sales_transactions', 'keys', replace($step$
        INSERT INTO dwh.sale_key (transaction_id, transaction_date, file_id, line_no, content_hash)
        SELECT transaction_id, transaction_date, file_id, line_no, {content} FROM batch
    $step$, '{content}', content), 110);
    PERFORM txpipe.on_load('sales_transactions', 'days', $step$
        INSERT INTO dwh.sales_day AS s (transaction_date, version, file_id, changed_at)
        SELECT transaction_date, 1, file_id, now()
        FROM (SELECT DISTINCT transaction_date, file_id FROM batch) b
        WHERE NOT EXISTS (SELECT FROM dwh.sales_day d
                          WHERE d.transaction_date = b.transaction_date AND d.changed_at = now())
        ON CONFLICT (transaction_date) DO UPDATE
        SET version = s.version + 1, file_id = EXCLUDED.file_id, changed_at = EXCLUDED.changed_at
    $step$, 120);
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_sales_feed() IS 'Part of create_warehouse(): the feed sales_transactions';
