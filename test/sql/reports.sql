-- The reports over a small warehouse with ties, and the files of export_b2b().
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE EXTENSION IF NOT EXISTS txpipe;

SELECT * FROM txpipe.b2b_sales('2023-05-20');
SELECT * FROM txpipe.export_b2b();

SELECT txpipe.create_warehouse();
SELECT * FROM txpipe.top_products();
SELECT * FROM txpipe.export_b2b();

INSERT INTO dwh.dim_product OVERRIDING SYSTEM VALUE VALUES
    (1, 9, 'Boots', 'Footwear'), (2, 18, 'Boots', 'Footwear'), (3, 4, 'Phone, 5"', 'Electronics'), (4, 9, 'Boots', 'Sale');
INSERT INTO dwh.dim_sales_agent OVERRIDING SYSTEM VALUE VALUES
    (1, 1, 'Zoë Smith', '2020-01-01', '-infinity', '2023-01-01', '-infinity', false),
    (2, 1, 'Zoë Smith', '2021-01-01', '2023-01-01', 'infinity', '2023-01-01', false),
    (3, 2, NULL, NULL, '-infinity', 'infinity', '-infinity', true);
INSERT INTO dwh.dim_location OVERRIDING SYSTEM VALUE VALUES
    (1, 'Springfield', 'MA'), (2, 'Springfield', 'IL'), (3, '(unknown)', 'CA');
SELECT * FROM dwh.create_months(ARRAY['2023-05-20', '2023-06-01']::date[]);
INSERT INTO dwh.fact_sales (transaction_id, transaction_date, product_key, customer_key, sales_agent_key, branch_key,
    location_key, offer_key, units, unit_price, discount_pct, is_online, payment_method, file_id, line_no)
SELECT 't' || n, day, product, -1, agent, -1, location, offer, units, price, offer * 5, location > 0, 'Cash', 1, n
FROM (VALUES
    (1, date '2023-05-20', 1, 1, 0, 1, 5, 10.00),
    (2, '2023-05-20', 2, 2, 0, 2, 5, 10.00),
    (3, '2023-05-20', 3, 3, 0, 0, 3, 99.99),
    (4, '2023-05-20', 4, 1, 0, 2, 1, 1.00),
    (5, '2023-05-21', 3, 0, 1, 3, 2, 99.99),
    (6, '2023-05-21', 3, 0, 2, 3, 2, 99.99),
    (7, '2023-06-01', 2, 0, 3, 1, 1, 0.99),
    (8, '2023-06-01', 3, 0, 2, 4, 1, 0.01)
) AS v (n, day, product, agent, location, offer, units, price);
INSERT INTO dwh.sales_day SELECT DISTINCT transaction_date, 1, 1, now() FROM dwh.fact_sales;

-- Two product ids share a name; one product with two categories is one line; ties share a rank.
SELECT * FROM txpipe.top_products();
SELECT * FROM txpipe.top_products(top_n => 1);
SELECT * FROM txpipe.top_products('2023-05-21', '2023-05-31');
SELECT * FROM txpipe.top_products(to_date => '2023-05-20', top_n => 2);
SELECT * FROM txpipe.top_products(top_n => 0);
SELECT * FROM txpipe.top_offers();
SELECT * FROM txpipe.top_offers(from_date => '2023-05-21', top_n => 1);
SELECT * FROM txpipe.top_offers_by_product();
SELECT * FROM txpipe.top_offers_by_product(top_n => 1);
SELECT * FROM txpipe.lowest_online_cities();
SELECT * FROM txpipe.lowest_online_cities(from_date => '2023-05-21', to_date => '2023-05-21', top_n => 1);

-- Names, not ids and versions: the two Boots of one agent name are one line.
SELECT * FROM txpipe.b2b_sales('2023-05-20');
SELECT * FROM txpipe.b2b_sales('2023-05-21');
SELECT * FROM txpipe.b2b_sales(NULL);

-- Only the month asked for is read, also by a plan that was saved.
CREATE FUNCTION pg_temp.partitions(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
        IF line ~ 'fact_sales_\d' AND line !~ 'never executed' THEN
            RETURN NEXT substring(line FROM 'fact_sales_\d+_\d+');
        END IF;
    END LOOP;
END $$;
SET plan_cache_mode = force_generic_plan;
PREPARE spring(date, date) AS SELECT sum(units) FROM dwh.fact_sales
    WHERE transaction_date BETWEEN coalesce($1, '-infinity') AND coalesce($2, 'infinity');
SELECT * FROM pg_temp.partitions($$EXECUTE spring('2023-05-01', '2023-05-31')$$);
RESET plan_cache_mode;

-- A reader needs SELECT on dwh and nothing of txpipe.
CREATE ROLE txpipe_regress_reader;
SET ROLE txpipe_regress_reader;
SELECT * FROM txpipe.top_offers();
RESET ROLE;
GRANT USAGE ON SCHEMA dwh TO txpipe_regress_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA dwh TO txpipe_regress_reader;
SET ROLE txpipe_regress_reader;
SELECT * FROM txpipe.top_offers(top_n => 1);
SELECT txpipe.export_b2b();
SELECT txpipe.write_export('x', 'x');
RESET ROLE;

-- Files: all days once, then those that changed, then the day asked for; read back as they are.
SELECT regexp_replace(path, '.*/', '') AS file, pg_read_file(path) AS content FROM txpipe.export_b2b() AS path;
SELECT * FROM txpipe.export_b2b();
UPDATE dwh.fact_sales SET units = 7 WHERE transaction_id = 't1';
UPDATE dwh.sales_day SET version = 2 WHERE transaction_date = '2023-05-20';
SELECT regexp_replace(path, '.*/', '') AS file, pg_read_file(path) AS content FROM txpipe.export_b2b() AS path;
SELECT regexp_replace(path, '.*/', '') AS file, pg_read_file(path) AS content FROM txpipe.export_b2b('1901-02-03') AS path;
SELECT day, version, rows, sha256 = sha256(pg_read_binary_file(path)) AS same FROM txpipe.export_log ORDER BY export_id;
SELECT job, state, message FROM txpipe.run WHERE job = 'export_b2b' ORDER BY run_id;

SELECT txpipe.write_export('../x', 'x');
SELECT txpipe.write_export('.x', 'x');
SELECT txpipe.write_export('', 'x');
SET txpipe.export_directory = '';
SELECT txpipe.write_export('x', 'x');
SELECT * FROM txpipe.directory_problem('export_directory');
SET txpipe.export_directory = '/nonexistent/txpipe';
SELECT txpipe.write_export('x', 'x');
SELECT problem FROM txpipe.directory_problem('export_directory');
RESET txpipe.export_directory;
SELECT problem, hint FROM txpipe.directory_problem('export_directory');
SELECT * FROM txpipe.directory_problem('data_directory');

-- Whatever check_setup() finds wrong comes with a hint.
SELECT item, ok FROM txpipe.check_setup() WHERE item ~ 'directory|clock' ORDER BY item;
SELECT * FROM txpipe.check_setup() WHERE NOT ok AND coalesce(hint, '') = '';

DELETE FROM txpipe.export_log;
DELETE FROM txpipe.run WHERE job = 'export_b2b';
SELECT txpipe.drop_feed(feed) FROM unnest(ARRAY['branches', 'sales_agents', 'sales_transactions']) AS feed;
DROP SCHEMA dwh CASCADE;
DROP ROLE txpipe_regress_reader;
