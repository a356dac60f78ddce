
-- 58_sales_feed.sql: the feed sales_transactions and its steps, in order.
--
-- Lookups in sale_key and dim_customer are scalar subqueries on purpose: a load of many batches keeps
-- its plans while these tables grow, and a scalar subquery stays with the index whatever their size. So is the
-- question whether a file is in the ledger: EXISTS reads all of the ledger when many files are expected. New members are found
-- so, too: EXISTS is not for Citus there.

CREATE FUNCTION txpipe.warehouse_sales_feed()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    content CONSTANT text := $sql$hash_record_extended((transaction_date, customer_id, first_name, last_name, email,
        sales_agent_id, branch_id, product_id, product_name, product_category, coalesce(offer_1, false),
        coalesce(offer_2, false), coalesce(offer_3, false), coalesce(offer_4, false), coalesce(offer_5, false),
        units, unit_price, coalesce(is_online, false), payment_method, street, city, state, postal_code), 0)$sql$;
    offer CONSTANT text := $sql$
             CASE WHEN s.highest AND b.offer_5 THEN 5 WHEN s.highest AND b.offer_4 THEN 4
                  WHEN s.highest AND b.offer_3 THEN 3 WHEN s.highest AND b.offer_2 THEN 2
                  WHEN b.offer_1 THEN 1 WHEN b.offer_2 THEN 2 WHEN b.offer_3 THEN 3
                  WHEN b.offer_4 THEN 4 WHEN b.offer_5 THEN 5 ELSE 0 END$sql$;
    offer_policy CONSTANT text := $sql$(SELECT coalesce(max(value), 'reject') = 'highest' AS highest
                    FROM dwh.setting WHERE name = 'several_offers')$sql$;
    sales CONSTANT text := replace(replace($sql$
        SELECT b.transaction_id, b.transaction_date, p.product_key,
            (SELECT c.customer_key FROM dwh.dim_customer c
             WHERE c.customer_id = b.customer_id AND c.first_name = coalesce(b.first_name, '(unknown)')
               AND c.last_name = coalesce(b.last_name, '(unknown)') AND c.email = coalesce(b.email, '(unknown)'))
                AS customer_key,
            coalesce(a.sales_agent_key, CASE WHEN b.is_online THEN 0 ELSE -1 END) AS sales_agent_key,
            coalesce(r.branch_key, CASE WHEN b.is_online THEN 0 ELSE -1 END) AS branch_key,
            CASE WHEN b.state IS NOT NULL OR b.city IS NOT NULL
                 THEN (SELECT l.location_key FROM dwh.dim_location l
                       WHERE l.city = coalesce(b.city, '(unknown)') AND l.state = coalesce(b.state, '(unknown)'))
                 WHEN b.is_online THEN -1 ELSE 0 END AS location_key,
            o.offer_key, b.units, b.unit_price, o.discount_pct, coalesce(b.is_online, false) AS is_online,
            coalesce(b.payment_method, '(unknown)') AS payment_method, b.street, b.postal_code, b.file_id, b.line_no{more}
        FROM batch b
        CROSS JOIN (SELECT dwh.group_time(group_key) AS at FROM batch LIMIT 1) g
        CROSS JOIN {offer_policy} s
        LEFT JOIN dwh.dim_product p ON p.product_id = b.product_id
             AND p.product_name = coalesce(b.product_name, '(unknown)')
             AND p.product_category = coalesce(b.product_category, '(unknown)')
        LEFT JOIN dwh.dim_sales_agent a ON a.sales_agent_id = b.sales_agent_id
             AND g.at >= a.valid_from AND g.at < a.valid_to
        LEFT JOIN dwh.dim_branch r ON r.branch_id = b.branch_id
             AND g.at >= r.valid_from AND g.at < r.valid_to
        LEFT JOIN dwh.dim_offer o ON o.offer_number = {offer}
             AND b.transaction_date >= o.valid_from AND b.transaction_date < o.valid_to
    $sql$, '{offer_policy}', offer_policy), '{offer}', offer);
    load_sales CONSTANT text := txpipe.sale_sql('INSERT INTO dwh.fact_sales ({columns})' || replace(sales, '{more}', ''));
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
    -- What an earlier version did another way, at ordinals that are others' now.
    PERFORM txpipe.on_load('sales_transactions', 'duplicates', NULL)
    WHERE EXISTS (SELECT FROM txpipe.feed_status WHERE feed = 'sales_transactions' AND 'duplicates' = ANY (steps));
    PERFORM txpipe.on_load('sales_transactions', 'offers', replace(replace($step$
        SELECT b.line_no, 'rejected' AS outcome, 'offer_not_valid' AS code,
               format('offer_%s is not valid on %s', b.number, to_char(b.transaction_date, 'YYYY-MM-DD')) AS message,
               'offer_' || b.number AS column_name
        FROM (SELECT b.line_no, b.transaction_date, {offer} AS number FROM batch b CROSS JOIN {offer_policy} s) b
        WHERE (SELECT count(*) FROM dwh.dim_offer WHERE valid_from = '-infinity' AND valid_to = 'infinity') < 6
          AND NOT EXISTS (SELECT FROM dwh.dim_offer o WHERE o.offer_number = b.number
                          AND b.transaction_date >= o.valid_from AND b.transaction_date < o.valid_to)
    $step$, '{offer_policy}', offer_policy), '{offer}', offer), 15);
    PERFORM txpipe.on_load('sales_transactions', 'file', $step$
        INSERT INTO dwh.source_file (file_id, group_key, group_order, group_at, rollups_pending, first_date, last_date)
        SELECT file_id, group_key, dwh.group_order(group_key), dwh.group_time(group_key), true, 'infinity', '-infinity'
        FROM (SELECT file_id, group_key FROM batch LIMIT 1) b
        ON CONFLICT DO NOTHING
    $step$, 20);
    PERFORM txpipe.on_load('sales_transactions', 'months', $step$
        SELECT * FROM dwh.create_months(ARRAY(
            SELECT DISTINCT date_trunc('month', transaction_date::timestamp)::date
            FROM (SELECT DISTINCT transaction_date FROM batch) d))
    $step$, 30);
    PERFORM txpipe.on_load('sales_transactions', 'products', $step$
        INSERT INTO dwh.dim_product (product_id, product_name, product_category)
        SELECT product_id, product_name, product_category
        FROM (SELECT DISTINCT product_id, coalesce(product_name, '(unknown)') AS product_name,
                     coalesce(product_category, '(unknown)') AS product_category FROM batch) b
        WHERE (SELECT d.product_key FROM dwh.dim_product d
               WHERE (d.product_id, d.product_name, d.product_category)
                   = (b.product_id, b.product_name, b.product_category)) IS NULL
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
        WHERE (SELECT d.location_key FROM dwh.dim_location d WHERE (d.city, d.state) = (b.city, b.state)) IS NULL
        ORDER BY city, state
    $step$, 60);
    PERFORM txpipe.on_load('sales_transactions', 'unknown_agents', $step$
        INSERT INTO dwh.dim_sales_agent (sales_agent_id, valid_from, valid_to, delivered_at, is_inferred)
        SELECT sales_agent_id, '-infinity', 'infinity', '-infinity', true
        FROM (SELECT DISTINCT sales_agent_id FROM batch WHERE sales_agent_id IS NOT NULL) b
        WHERE (SELECT true FROM dwh.dim_sales_agent d WHERE d.sales_agent_id = b.sales_agent_id LIMIT 1) IS NULL
        ORDER BY sales_agent_id
    $step$, 70);
    PERFORM txpipe.on_load('sales_transactions', 'unknown_branches', $step$
        INSERT INTO dwh.dim_branch (branch_id, valid_from, valid_to, delivered_at, is_inferred)
        SELECT branch_id, '-infinity', 'infinity', '-infinity', true
        FROM (SELECT DISTINCT branch_id FROM batch WHERE branch_id IS NOT NULL) b
        WHERE (SELECT true FROM dwh.dim_branch d WHERE d.branch_id = b.branch_id LIMIT 1) IS NULL
        ORDER BY branch_id
    $step$, 80);
    -- New ids get their keys here, at the cost of one look into the index, in its order: ids are random, and neighbours
    -- share their pages. Ids that were there, or are in the batch twice, are settled with all their sales. The hash covers the cleaned values, so junk around an e-mail address
    -- does not turn a repetition into a conflict. Lines of files a former installation loaded are in no ledger.
    PERFORM txpipe.on_load('sales_transactions', 'keys', replace(replace(txpipe.sale_sql($step$
        WITH fresh AS (
            INSERT INTO dwh.sale_key (transaction_id, transaction_date, file_id, line_no, content_hash)
            SELECT transaction_id, transaction_date, file_id, line_no, {content} FROM batch
            ORDER BY transaction_id COLLATE "C"
            ON CONFLICT DO NOTHING RETURNING line_no
        )
        SELECT s.* FROM dwh.settle_repeated(ARRAY(
            SELECT {r.row:r.content_hash} FROM ({sales}) r)) s
        WHERE s.file_id IS NULL OR (SELECT true FROM txpipe.file f WHERE f.file_id = s.file_id)
    $step$), '{sales}', replace(replace(sales, '{more}', ', b.content_hash'), 'FROM batch b', $sql$FROM (
            SELECT *, {content} AS content_hash FROM batch
            WHERE (SELECT count(*) FROM fresh) < (SELECT count(*) FROM batch) AND transaction_id IN (
                SELECT transaction_id FROM batch b WHERE NOT EXISTS (SELECT FROM fresh f WHERE f.line_no = b.line_no))) b$sql$)),
        '{content}', content), 90);
    PERFORM txpipe.on_load('sales_transactions', 'load', load_sales, 100);
    PERFORM txpipe.on_load('sales_transactions', 'days', $step$
        SELECT * FROM dwh.touch_days(ARRAY(SELECT DISTINCT transaction_date FROM batch),
                                     (SELECT file_id FROM batch LIMIT 1))
    $step$, 120);
    PERFORM txpipe.on_unload('sales_transactions', 'unload', $step$
        SELECT s.* FROM unloaded u CROSS JOIN dwh.unload_sales(u.file_id) s
        WHERE (SELECT true FROM txpipe.file f WHERE f.file_id = s.file_id)
    $step$, 10);
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_sales_feed() IS 'Part of create_warehouse(): the feed sales_transactions';
