-- The warehouse: what create_warehouse() makes, and what the steps of its feeds do with a batch.
-- The steps run here over a temporary table; test/t/060_retail.pl runs them over files.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE EXTENSION IF NOT EXISTS txpipe;
CREATE ROLE txpipe_regress_owner SUPERUSER;
SET ROLE txpipe_regress_owner;

-- Another schema of that name is left alone.
CREATE SCHEMA dwh;
SELECT txpipe.create_warehouse();
DROP SCHEMA dwh;
SELECT rank FROM txpipe.top_products();

SELECT txpipe.create_warehouse();
SELECT txpipe.create_warehouse();
SELECT feed, group_name, required FROM txpipe.feed WHERE group_name = 'retail' ORDER BY feed;

-- Everything in dwh is described, and nothing in it depends on an object of the extension.
SELECT c.relname, a.attname
FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'dwh'::regnamespace AND c.relkind IN ('r', 'p')
  AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL);
SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relnamespace = 'dwh'::regnamespace
JOIN pg_depend e ON e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e'
WHERE e.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'txpipe');
SELECT proname FROM pg_proc WHERE pronamespace = 'dwh'::regnamespace AND prosrc ~ 'txpipe';

-- Another role cannot take it over.
CREATE ROLE txpipe_regress_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA txpipe TO txpipe_regress_other;
GRANT USAGE ON SCHEMA dwh TO txpipe_regress_other;
SET ROLE txpipe_regress_other;
SELECT txpipe.create_warehouse();
SET ROLE txpipe_regress_owner;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA txpipe FROM txpipe_regress_other;
REVOKE ALL ON SCHEMA dwh FROM txpipe_regress_other;

-- The time of a group key.
SELECT key, dwh.group_time(key)
FROM unnest(ARRAY['group2', 'group10', 'eu-7/group12', '2023/11/05/13', 'day=20231105_1330', '2023-11-05T07:45Z',
                  'x2023-02-30', 'latest', '99999999999999999999']) AS key;

-- Runs a feed's steps over one batch and shows what became of lines that were not loaded.
CREATE FUNCTION pg_temp.deliver(feed_name text, group_of_batch text, file bigint, VARIADIC lines jsonb[])
RETURNS TABLE (line_no bigint, outcome text, code text, column_name text, message text)
LANGUAGE plpgsql AS $$
DECLARE
    fields text;
    this_step record;
    gone bigint[];
BEGIN
    SELECT string_agg(format('%I %s', key, coalesce(value ->> 'type', 'text')), ', ') INTO fields
    FROM txpipe.feed f, jsonb_each(f.columns) WHERE f.feed = feed_name;
    EXECUTE format('CREATE TEMP TABLE batch (line_no bigint, file_id bigint, group_key text, %s)', fields);
    FOR n IN 1 .. cardinality(lines) LOOP
        INSERT INTO batch SELECT * FROM jsonb_populate_record(NULL::batch, lines[n]
            || jsonb_build_object('line_no', n + 1, 'file_id', file, 'group_key', group_of_batch));
    END LOOP;
    FOR this_step IN
        SELECT txpipe.rule_statement(feed_name) AS sql, -1 AS ordinal
        UNION ALL
        SELECT s.sql, s.ordinal FROM txpipe.feed_step s JOIN txpipe.feed f USING (feed_id)
        WHERE f.feed = feed_name AND s.phase = 'load' ORDER BY ordinal
    LOOP
        CONTINUE WHEN this_step.sql IS NULL;
        IF this_step.sql ~ '^\s*(SELECT|WITH)' THEN
            gone := '{}';
            FOR line_no, outcome, code, message, column_name IN EXECUTE this_step.sql LOOP
                message := regexp_replace(message, 'and \d{4}-\d\d-\d\d,', 'and two years ahead,');
                gone := gone || CASE WHEN outcome <> 'warning' THEN line_no END;
                RETURN NEXT;
            END LOOP;
            DELETE FROM batch b WHERE b.line_no = ANY (gone);
        ELSE
            EXECUTE this_step.sql;
        END IF;
    END LOOP;
    DROP TABLE batch;
    EXECUTE format('CREATE TEMP TABLE loaded AS SELECT %s::bigint AS file_id, %L::text AS group_key, ''run_hourly'' AS job', file, group_of_batch);
    FOR this_step IN
        SELECT s.sql FROM txpipe.feed_step s JOIN txpipe.feed f USING (feed_id)
        WHERE f.feed = feed_name AND s.phase = 'end' ORDER BY s.ordinal
    LOOP
        EXECUTE this_step.sql;
    END LOOP;
    DROP TABLE loaded;
END $$;

CREATE FUNCTION pg_temp.sale(id text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('transaction_id', id, 'transaction_date', '2023-05-20', 'customer_id', 7,
        'first_name', 'Ada', 'last_name', 'Byron', 'email', 'ada.byron@gmail.com', 'sales_agent_id', 1, 'branch_id', 1,
        'product_id', 9, 'product_name', 'Boots', 'product_category', 'Footwear', 'units', 2, 'unit_price', 9.99,
        'is_online', false, 'payment_method', 'Cash') || more
$$;

-- Type 2: first version from -infinity, unchanged lines are duplicates, the last of several lines counts.
SELECT * FROM pg_temp.deliver('branches', 'group1', 1,
    '{"branch_id": 1, "location": "Boston", "class": "A"}', '{"branch_id": 2, "location": "Reno", "class": "B"}') ORDER BY line_no;
SELECT * FROM pg_temp.deliver('branches', 'group5', 2,
    '{"branch_id": 1, "location": "Boston", "class": "C"}', '{"branch_id": 1, "location": "Boston", "class": "D"}',
    '{"branch_id": 1, "location": "Boston", "class": "D"}', '{"branch_id": 2, "location": "Reno", "class": "B"}') ORDER BY line_no;
-- Late groups find their place: between two versions, and before the first.
SELECT * FROM pg_temp.deliver('branches', 'group3', 3, '{"branch_id": 1, "location": "Boston", "class": "B"}') ORDER BY line_no;
SELECT * FROM pg_temp.deliver('branches', 'group0', 4, '{"branch_id": 1, "location": "Salem", "class": "A"}') ORDER BY line_no;
SELECT branch_id, location, class, valid_from, valid_to FROM dwh.dim_branch WHERE branch_id > 0
ORDER BY branch_id, valid_from;
-- The same group once more, with greater contents: its version is corrected in place.
SELECT * FROM pg_temp.deliver('branches', 'group3', 5, '{"branch_id": 1, "location": "Boston", "class": "E"}') ORDER BY line_no;
SELECT branch_id, class, valid_from FROM dwh.dim_branch WHERE branch_id = 1 ORDER BY valid_from;
-- A later group is compared with the version before it: back to what was once is news.
SELECT * FROM pg_temp.deliver('branches', 'group6', 6,
    '{"branch_id": 1, "location": "Boston", "class": "D"}', '{"branch_id": 2, "location": "Reno", "class": "B"}') ORDER BY line_no;
SELECT * FROM pg_temp.deliver('branches', 'group9', 7, '{"branch_id": 1, "location": "Boston", "class": "A"}') ORDER BY line_no;
SELECT branch_id, class, valid_from FROM dwh.dim_branch WHERE branch_id = 1 ORDER BY valid_from;
-- The periods of a branch cannot overlap.
INSERT INTO dwh.dim_branch (branch_id, location, valid_from, valid_to, delivered_at)
VALUES (1, 'Overlap', '1970-01-01 02:00', '1970-01-01 04:00', '1970-01-01 02:00');

-- A sale joins the version of its own group; agent 1 is not known yet and is kept.
SELECT * FROM pg_temp.deliver('sales_transactions', 'group2', 10, pg_temp.sale('t1')) ORDER BY line_no;
SELECT * FROM pg_temp.deliver('sales_transactions', 'group5', 11, pg_temp.sale('t2')) ORDER BY line_no;
SELECT f.transaction_id, b.class, a.sales_agent_id, a.name, a.is_inferred
FROM dwh.fact_sales f JOIN dwh.dim_branch b USING (branch_key) JOIN dwh.dim_sales_agent a USING (sales_agent_key)
ORDER BY 1;
SELECT sales_agent_name, total_sold_units FROM txpipe.b2b_sales('2023-05-20');
-- The agent's first delivery fills it in, in place, and the day counts as changed.
SELECT version FROM dwh.sales_day;
SELECT * FROM pg_temp.deliver('sales_agents', 'group6', 12,
    '{"sales_agent_id": 1, "name": "Jane Smith", "hire_date": "2018-05-13"}') ORDER BY line_no;
SELECT version FROM dwh.sales_day;
SELECT sales_agent_name, total_sold_units FROM txpipe.b2b_sales('2023-05-20');
SELECT sales_agent_id, name, valid_from, valid_to, is_inferred FROM dwh.dim_sales_agent WHERE sales_agent_id > 0;
-- A new hire date is a new version and changes no figure of sales before it.
SELECT * FROM pg_temp.deliver('sales_agents', 'group7', 13,
    '{"sales_agent_id": 1, "name": "Jane Smith", "hire_date": "2019-01-01"}') ORDER BY line_no;
SELECT version FROM dwh.sales_day;
SELECT * FROM pg_temp.deliver('sales_agents', 'group9', 20,
    '{"sales_agent_id": 1, "name": "Jane Smith", "hire_date": "2018-05-13"}') ORDER BY line_no;
-- A name corrected in place does.
SELECT * FROM pg_temp.deliver('sales_agents', 'group6', 21,
    '{"sales_agent_id": 1, "name": "Jane Smyth", "hire_date": "2018-05-13"}') ORDER BY line_no;
SELECT version FROM dwh.sales_day;
SELECT name, hire_date, valid_from, valid_to FROM dwh.dim_sales_agent WHERE sales_agent_id = 1 ORDER BY valid_from;

-- What is rejected, and why.
SELECT * FROM pg_temp.deliver('sales_transactions', 'group7', 14,
    pg_temp.sale('r1', '{"units": 0}'), pg_temp.sale('r2', '{"units": -3}'), pg_temp.sale('r3', '{"unit_price": -0.01}'),
    pg_temp.sale('r4', '{"offer_1": true, "offer_4": true}'), pg_temp.sale('r5', '{"transaction_date": "1999-12-31"}')) ORDER BY line_no;
-- One id: equal content is a duplicate, other content a conflict; within a batch and across batches.
SELECT * FROM pg_temp.deliver('sales_transactions', 'group7', 15,
    pg_temp.sale('d1'), pg_temp.sale('d1'), pg_temp.sale('d1', '{"units": 3}'), pg_temp.sale('t1'),
    pg_temp.sale('t1', '{"email": "ada@yahoo.com"}'), pg_temp.sale('d2', '{"offer_2": false}')) ORDER BY line_no;
-- A rejected line does not take the id away from a good one.
SELECT * FROM pg_temp.deliver('sales_transactions', 'group8', 16, pg_temp.sale('d3', '{"units": 0}'), pg_temp.sale('d3')) ORDER BY line_no;

-- Offers by choice, exact money, months, members -1 and 0, a person for each (id, name, e-mail).
UPDATE dwh.setting SET value = 'sometimes' WHERE name = 'several_offers';
UPDATE dwh.setting SET value = 'highest' WHERE name = 'several_offers';
SELECT * FROM pg_temp.deliver('sales_transactions', 'group8', 17,
    pg_temp.sale('o1', '{"offer_1": true, "offer_4": true, "unit_price": 0.01, "units": 1}')) ORDER BY line_no;
UPDATE dwh.setting SET value = 'first' WHERE name = 'several_offers';
SELECT * FROM pg_temp.deliver('sales_transactions', 'group8', 18,
    pg_temp.sale('o2', '{"offer_1": true, "offer_4": true, "unit_price": 0.01, "units": 1}'),
    pg_temp.sale('o3', '{"is_online": true, "sales_agent_id": null, "branch_id": null, "street": "1 Elm/2", "state": "CA",
                         "postal_code": "00501", "transaction_date": "2024-02-29", "first_name": "Bob"}'),
    pg_temp.sale('o4', '{"is_online": true, "sales_agent_id": null, "branch_id": null, "email": null}'),
    pg_temp.sale('o5', '{"sales_agent_id": null, "branch_id": null, "payment_method": null, "is_online": null}'),
    pg_temp.sale('o6', '{"unit_price": 9999999999.99, "units": 2147483647, "offer_5": true}')) ORDER BY line_no;
-- A rate that changes, by the day of sale; and none for a while.
UPDATE dwh.dim_offer SET valid_to = '2023-03-01' WHERE offer_code = 'offer_3';
INSERT INTO dwh.dim_offer (offer_code, discount_pct, description, valid_from) VALUES ('offer_3', 30, 'spring', '2023-03-02');
INSERT INTO dwh.dim_offer (offer_code, discount_pct, description, valid_from) VALUES ('offer_3', 40, 'too much', '2023-04-01');
SELECT * FROM pg_temp.deliver('sales_transactions', 'group8', 22,
    pg_temp.sale('o7', '{"transaction_date": "2023-02-28", "offer_3": true}'),
    pg_temp.sale('o8', '{"transaction_date": "2023-03-01", "offer_3": true}'),
    pg_temp.sale('o9', '{"transaction_date": "2023-03-02", "offer_3": true}')) ORDER BY line_no;
SELECT transaction_id, offer_code, f.discount_pct, gross_amount, total_paid, sales_agent_key IN (-1, 0) AS no_agent,
       CASE WHEN branch_key > 0 THEN 1 ELSE branch_key END AS branch, l.city, l.state, street, postal_code, payment_method
FROM dwh.fact_sales f JOIN dwh.dim_offer o USING (offer_key) JOIN dwh.dim_location l USING (location_key)
WHERE transaction_id LIKE 'o%' ORDER BY 1;
SELECT customer_id, first_name, last_name, email FROM dwh.dim_customer WHERE customer_key > 0 ORDER BY first_name, email;
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'dwh.fact_sales'::regclass ORDER BY 1;
SELECT min(date), max(date), count(*) FROM dwh.dim_date;
SELECT * FROM dwh.dim_date WHERE date = '2024-02-29';

-- Each sale has its key and each key its sale.
SELECT count(*), count(k.transaction_id), count(f.transaction_id)
FROM dwh.fact_sales f FULL JOIN dwh.sale_key k USING (transaction_id, transaction_date, file_id, line_no);
-- A day counts a file's changes once.
SELECT transaction_date, version, file_id FROM dwh.sales_day ORDER BY 1;

-- Without the extension's feeds the warehouse stays, and stays ours.
SELECT txpipe.drop_feed(feed) FROM unnest(ARRAY['branches', 'sales_agents', 'sales_transactions']) AS feed;
SELECT txpipe.create_warehouse();
SELECT count(*) FROM txpipe.feed WHERE group_name = 'retail';
SELECT count(*) FROM dwh.fact_sales;
SELECT txpipe.drop_feed(feed) FROM unnest(ARRAY['branches', 'sales_agents', 'sales_transactions']) AS feed;
DROP SCHEMA dwh CASCADE;
RESET ROLE;
DROP OWNED BY txpipe_regress_owner;
DROP ROLE txpipe_regress_other, txpipe_regress_owner;
