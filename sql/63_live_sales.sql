-- 63_live_sales.sql: sales as they happen, beside those of the hourly files.
--
-- dwh.live_sales has what was streamed, one row a sale, cleaned as the files are: by the decoder's conversions, by the
-- rules of the feed, and with the rate of its day. dwh.sales is the unified view of both; the files are the truth.

CREATE FUNCTION txpipe.warehouse_live_tables()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'dwh.source_file'::regclass AND attname = 'loaded_at') THEN
        ALTER TABLE dwh.source_file ADD loaded_at timestamptz;
        UPDATE dwh.source_file s SET loaded_at = f.loaded_at FROM txpipe.file f
        WHERE f.file_id = s.file_id AND f.feed = 'sales_transactions';
        ALTER TABLE dwh.source_file ALTER loaded_at SET DEFAULT now();
        COMMENT ON COLUMN dwh.source_file.loaded_at IS 'When the transaction that loaded it began; NULL: a former installation did';
    END IF;

    INSERT INTO dwh.setting (name, value, description) VALUES
        ('keep_confirmed', '1 day', 'How long dwh.live_sales keeps a sale after a file has brought it')
    ON CONFLICT DO NOTHING;

    IF to_regclass('dwh.live_sales') IS NULL THEN
        CREATE TABLE dwh.live_sales (
            transaction_id varchar(100) COLLATE "C" PRIMARY KEY,
            transaction_date date NOT NULL,
            customer_id bigint NOT NULL,
            first_name varchar(100),
            last_name varchar(100),
            email varchar(254),
            sales_agent_id integer,
            branch_id integer,
            product_id bigint NOT NULL,
            product_name varchar(200),
            product_category varchar(100),
            offer_code varchar(20),
            units integer NOT NULL CHECK (units > 0),
            unit_price numeric(12,2) NOT NULL CHECK (unit_price >= 0 AND unit_price <> 'NaN'),
            gross_amount numeric(22,2) NOT NULL GENERATED ALWAYS AS (units * unit_price) STORED,
            discount_pct integer NOT NULL CHECK (discount_pct BETWEEN 0 AND 100),
            total_paid numeric(24,4) NOT NULL GENERATED ALWAYS AS (units * unit_price * (100 - discount_pct) * 0.01) STORED,
            is_online boolean,
            payment_method varchar(60),
            street varchar(300),
            city varchar(100),
            state varchar(60),
            postal_code varchar(20),
            loaded_at timestamptz NOT NULL DEFAULT now(),
            kafka_partition integer,
            kafka_offset bigint,
            kafka_timestamp timestamptz
        );
        COMMENT ON TABLE dwh.live_sales IS 'Sales as they were streamed (txpipe.create_live_sales), one row each; those that files have brought since stay for a time (dwh.setting, keep_confirmed)';
        COMMENT ON COLUMN dwh.live_sales.transaction_id IS 'Id of the sale; a later event with it replaces the row';
        COMMENT ON COLUMN dwh.live_sales.transaction_date IS 'Day of the sale';
        COMMENT ON COLUMN dwh.live_sales.customer_id IS 'Customer id of the source; not unique';
        COMMENT ON COLUMN dwh.live_sales.first_name IS 'First name';
        COMMENT ON COLUMN dwh.live_sales.last_name IS 'Last name';
        COMMENT ON COLUMN dwh.live_sales.email IS 'E-mail address, cleaned: cut after the first .com';
        COMMENT ON COLUMN dwh.live_sales.sales_agent_id IS 'Sales agent id of the source; NULL online';
        COMMENT ON COLUMN dwh.live_sales.branch_id IS 'Branch id of the source; NULL online';
        COMMENT ON COLUMN dwh.live_sales.product_id IS 'Product id of the source';
        COMMENT ON COLUMN dwh.live_sales.product_name IS 'Name; two ids may share one';
        COMMENT ON COLUMN dwh.live_sales.product_category IS 'Category';
        COMMENT ON COLUMN dwh.live_sales.offer_code IS 'Offer redeemed: offer_1 to offer_5; none';
        COMMENT ON COLUMN dwh.live_sales.units IS 'Pieces sold';
        COMMENT ON COLUMN dwh.live_sales.unit_price IS 'Price of one piece before the offer';
        COMMENT ON COLUMN dwh.live_sales.gross_amount IS 'units × unit_price';
        COMMENT ON COLUMN dwh.live_sales.discount_pct IS 'Rate of the offer on the day of the sale, when it was streamed, in per cent';
        COMMENT ON COLUMN dwh.live_sales.total_paid IS 'units × unit_price × (100 − discount_pct) / 100, exact';
        COMMENT ON COLUMN dwh.live_sales.is_online IS 'Sold by the web shop; false: in a branch';
        COMMENT ON COLUMN dwh.live_sales.payment_method IS 'How it was paid';
        COMMENT ON COLUMN dwh.live_sales.street IS 'Street of the shipping address; NULL offline';
        COMMENT ON COLUMN dwh.live_sales.city IS 'City it was shipped to, as in dwh.dim_location: (unknown), (offline)';
        COMMENT ON COLUMN dwh.live_sales.state IS 'State it was shipped to, likewise';
        COMMENT ON COLUMN dwh.live_sales.postal_code IS 'Postal code of the shipping address, leading zeros kept; NULL offline';
        COMMENT ON COLUMN dwh.live_sales.loaded_at IS 'When the transaction that first brought it began';
        COMMENT ON COLUMN dwh.live_sales.kafka_partition IS 'Partition of its last event';
        COMMENT ON COLUMN dwh.live_sales.kafka_offset IS 'Offset of its last event';
        COMMENT ON COLUMN dwh.live_sales.kafka_timestamp IS 'Timestamp of its last event';

        CREATE TABLE dwh.live_period (
            complete_since timestamptz NOT NULL
        );
        COMMENT ON TABLE dwh.live_period IS 'Since when dwh.live_sales has what was streamed; one row';
        COMMENT ON COLUMN dwh.live_period.complete_since IS 'Files loaded earlier say nothing of what was not streamed: sales were not streamed yet, or what files had brought is deleted; infinity: nothing is streamed';
        INSERT INTO dwh.live_period VALUES ('infinity');
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_live_tables() IS 'Part of create_warehouse(): what streamed sales need, where it is missing';

-- The body of the trigger that cleans what is streamed. It is made of the rules the feed has at the time, because nothing
-- in dwh refers to txpipe. An UPDATE is the second half of an upsert, whose row went through here as an INSERT before.
-- Most sales break no rule, and looking for that alone costs a fifth of finding the words.
CREATE FUNCTION txpipe.live_sale_cleaning()
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    batch CONSTANT text := (
        SELECT format('(SELECT %s, NULL::text AS group_key, NULL::bigint AS file_id, 0::bigint AS line_no)', string_agg(f.field, ', '))
        FROM (SELECT format('NEW.%I AS %1$I', attname) AS field FROM pg_attribute
              WHERE attrelid = 'dwh.live_sales'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
                AND attname NOT IN ('offer_code', 'discount_pct', 'loaded_at') AND attname NOT LIKE 'kafka\_%'
              UNION ALL
              SELECT format('CASE WHEN NEW.offer_code = %L THEN true END AS %1$I', 'offer_' || n) FROM generate_series(1, 5) AS n) f);
    broken CONSTANT text := (
        SELECT string_agg(format(E'(\n%s\n)', r.expression), ' OR ' ORDER BY r.ordinal) FROM txpipe.feed_rule r
        WHERE r.feed = 'sales_transactions' AND r.kind = 'check' AND r.action = 'reject');
BEGIN
    RETURN format($function$
    #variable_conflict use_column
    DECLARE
        broken record;
        rate integer;
    BEGIN
        IF TG_OP = 'INSERT' THEN
            NEW.offer_code := coalesce(NEW.offer_code, 'none');
            IF NEW.offer_code !~ '^(none|offer_[1-5])$' THEN
                RAISE EXCEPTION 'there is no offer %%', NEW.offer_code
                    USING ERRCODE = 'check_violation', COLUMN = 'offer_code', CONSTRAINT = 'unknown_offer',
                          HINT = 'Offers are offer_1 to offer_5; none, or no offer_code, is no offer.';
            END IF;
            %s
            NEW.is_online := coalesce(NEW.is_online, false);
            IF NEW.city IS NOT NULL OR NEW.state IS NOT NULL OR NEW.is_online THEN
                NEW.city := coalesce(NEW.city, '(unknown)');
                NEW.state := coalesce(NEW.state, '(unknown)');
            ELSE
                NEW.city := '(offline)';
                NEW.state := '(offline)';
            END IF;
            NEW.first_name := coalesce(NEW.first_name, '(unknown)');
            NEW.last_name := coalesce(NEW.last_name, '(unknown)');
            NEW.email := coalesce(NEW.email, '(unknown)');
            NEW.product_name := coalesce(NEW.product_name, '(unknown)');
            NEW.product_category := coalesce(NEW.product_category, '(unknown)');
            NEW.payment_method := coalesce(NEW.payment_method, '(unknown)');
        END IF;
        SELECT o.discount_pct INTO rate FROM dwh.dim_offer o
        WHERE o.offer_number = CASE NEW.offer_code WHEN 'none' THEN 0 ELSE substr(NEW.offer_code, 7)::integer END
          AND NEW.transaction_date >= o.valid_from AND NEW.transaction_date < o.valid_to;
        IF NOT FOUND THEN
            RAISE EXCEPTION '%% is not valid on %%', NEW.offer_code, to_char(NEW.transaction_date, 'YYYY-MM-DD')
                USING ERRCODE = 'check_violation', COLUMN = 'offer_code', CONSTRAINT = 'offer_not_valid';
        END IF;
        NEW.discount_pct := rate;
        RETURN NEW;
    END $function$,
        CASE WHEN broken IS NOT NULL THEN format($sql$
            PERFORM FROM %1$s batch WHERE %2$s;
            IF FOUND THEN
                WITH batch AS %1$s
                SELECT r.code, r.message, r.column_name INTO broken FROM (%3$s) r WHERE r.outcome = 'rejected' LIMIT 1;
                RAISE EXCEPTION '%%', broken.message
                    USING ERRCODE = 'check_violation', COLUMN = coalesce(broken.column_name, ''), CONSTRAINT = broken.code;
            END IF;$sql$, batch, broken, txpipe.rule_statement('sales_transactions')) END);
END
$body$;
COMMENT ON FUNCTION txpipe.live_sale_cleaning() IS
'Part of create_warehouse(), create_live_sales() and check_warehouse(): the body of the trigger dwh.clean_live_sale(), by the rules the feed
sales_transactions has now';

CREATE FUNCTION txpipe.warehouse_live_rules()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION dwh.clean_live_sale() RETURNS trigger LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE'
                   ' SET search_path = pg_catalog, pg_temp AS %L', txpipe.live_sale_cleaning());
    COMMENT ON FUNCTION dwh.clean_live_sale() IS
    'Trigger of dwh.live_sales: refuses what the rules of the feed sales_transactions reject, and puts in what a file''s sale gets, too. Made
    of the rules as they are when create_warehouse() or create_live_sales() is called';
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'dwh.live_sales'::regclass AND tgname = 'clean') THEN
        CREATE TRIGGER clean BEFORE INSERT OR UPDATE ON dwh.live_sales
            FOR EACH ROW EXECUTE FUNCTION dwh.clean_live_sale();
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_live_rules() IS
'Part of create_warehouse() and create_live_sales(): cleans streamed sales by the rules the feed sales_transactions has now';

CREATE FUNCTION txpipe.warehouse_live_views()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    compared CONSTANT text[] := '{transaction_date,customer_id,first_name,last_name,email,sales_agent_id,branch_id,product_id,product_name,product_category,offer_code,units,unit_price,discount_pct,is_online,payment_method,street,city,state,postal_code}';
BEGIN
    IF to_regclass('dwh.sales_reconciliation') IS NOT NULL THEN
        RETURN;
    END IF;
    -- Outer joins and subqueries, so that no sale is missed, and what a query does not ask for is not looked up.
    CREATE OR REPLACE VIEW dwh.batch_sales AS
    SELECT f.transaction_id, f.transaction_date, c.customer_id, c.first_name, c.last_name, c.email,
           a.sales_agent_id, a.name AS sales_agent_name, r.branch_id, r.location AS branch_location,
           p.product_id, p.product_name, p.product_category, o.offer_code, f.units, f.unit_price, f.gross_amount,
           f.discount_pct, f.total_paid, f.is_online, f.payment_method, f.street, l.city, l.state, f.postal_code,
           s.loaded_at, f.file_id, f.line_no
    FROM dwh.fact_sales f
    LEFT JOIN dwh.dim_product p ON p.product_key = f.product_key
    LEFT JOIN dwh.dim_customer c ON c.customer_key = f.customer_key
    LEFT JOIN dwh.dim_sales_agent a ON a.sales_agent_key = f.sales_agent_key
    LEFT JOIN dwh.dim_branch r ON r.branch_key = f.branch_key
    LEFT JOIN dwh.dim_location l ON l.location_key = f.location_key
    LEFT JOIN dwh.dim_offer o ON o.offer_key = f.offer_key
    LEFT JOIN dwh.source_file s ON s.file_id = f.file_id;

    CREATE OR REPLACE VIEW dwh.speed_sales AS
    SELECT l.transaction_id::text AS transaction_id, l.transaction_date, l.customer_id, l.first_name::text AS first_name,
           l.last_name::text AS last_name, l.email::text AS email, l.sales_agent_id,
           CASE WHEN l.sales_agent_id IS NOT NULL
                THEN (SELECT a.name FROM dwh.dim_sales_agent a
                      WHERE a.sales_agent_id = l.sales_agent_id AND a.valid_to = 'infinity' LIMIT 1)
                WHEN l.is_online THEN '(online)' ELSE '(unknown)' END AS sales_agent_name,
           l.branch_id,
           CASE WHEN l.branch_id IS NOT NULL
                THEN (SELECT r.location FROM dwh.dim_branch r
                      WHERE r.branch_id = l.branch_id AND r.valid_to = 'infinity' LIMIT 1)
                WHEN l.is_online THEN '(online)' ELSE '(unknown)' END AS branch_location,
           l.product_id, l.product_name::text AS product_name, l.product_category::text AS product_category,
           l.offer_code::text AS offer_code, l.units, l.unit_price, l.gross_amount, l.discount_pct, l.total_paid, l.is_online,
           l.payment_method::text AS payment_method, l.street::text AS street, l.city::text AS city, l.state::text AS state,
           l.postal_code::text AS postal_code, l.loaded_at, l.kafka_partition, l.kafka_offset, l.kafka_timestamp
    FROM dwh.live_sales l;

    PERFORM txpipe.comment_live_view('batch_sales', 'Sales that files brought, with the values of their dimensions');
    PERFORM txpipe.comment_live_view('speed_sales', 'Sales that were streamed, whether or not a file has brought them, with the agents and branches of now');
    PERFORM txpipe.create_unified_view('dwh.sales', 'dwh.speed_sales', 'dwh.batch_sales', '{transaction_id}', 'dwh.sale_key', replace => true);

    EXECUTE format($sql$
        CREATE VIEW dwh.sales_reconciliation AS
        SELECT s.transaction_id, 'unconfirmed'::text AS state, s.transaction_date, now() - s.loaded_at AS age,
               NULL::text[] AS differing_columns, s.total_paid AS speed_total_paid, NULL::numeric(24,4) AS batch_total_paid,
               s.loaded_at AS streamed_at, NULL::timestamptz AS loaded_at, NULL::bigint AS file_id, NULL::bigint AS line_no,
               s.kafka_partition, s.kafka_offset
        FROM dwh.speed_sales s
        WHERE NOT EXISTS (SELECT FROM dwh.sale_key k WHERE k.transaction_id = s.transaction_id COLLATE "C")
        UNION ALL
        SELECT b.transaction_id, 'unstreamed', b.transaction_date, now() - b.loaded_at, NULL, NULL, b.total_paid,
               NULL, b.loaded_at, b.file_id, b.line_no, NULL, NULL
        FROM (SELECT f.transaction_id, f.transaction_date, f.total_paid, s.loaded_at, f.file_id, f.line_no
              FROM dwh.source_file s JOIN dwh.fact_sales f ON f.file_id = s.file_id
              WHERE s.loaded_at >= (SELECT p.complete_since FROM dwh.live_period p)
                AND NOT EXISTS (SELECT FROM dwh.live_sales l WHERE l.transaction_id = f.transaction_id COLLATE "C")
              OFFSET 0) b
        WHERE NOT EXISTS (SELECT FROM dwh.sale_duplicate o JOIN dwh.source_file f ON f.file_id = o.file_id
                          WHERE o.transaction_id = b.transaction_id COLLATE "C"
                            AND f.loaded_at < (SELECT p.complete_since FROM dwh.live_period p))
          AND NOT EXISTS (SELECT FROM dwh.sale_conflict o JOIN dwh.source_file f ON f.file_id = o.file_id
                          WHERE o.transaction_id = b.transaction_id COLLATE "C"
                            AND f.loaded_at < (SELECT p.complete_since FROM dwh.live_period p))
        UNION ALL
        SELECT s.transaction_id, 'differing', b.transaction_date, now() - greatest(s.loaded_at, b.loaded_at), d.columns,
               s.total_paid, b.total_paid, s.loaded_at, b.loaded_at, b.file_id, b.line_no, s.kafka_partition, s.kafka_offset
        FROM dwh.speed_sales s
        JOIN dwh.sale_key k ON k.transaction_id = s.transaction_id COLLATE "C"
        JOIN dwh.batch_sales b ON b.transaction_date = k.transaction_date AND b.file_id = k.file_id AND b.line_no = k.line_no
        CROSS JOIN LATERAL (SELECT array_remove(ARRAY[%s], NULL) AS columns) d
        WHERE d.columns <> '{}'$sql$,
        (SELECT string_agg(format('CASE WHEN s.%1$I IS DISTINCT FROM b.%1$I THEN %1$L END', name), ', ' ORDER BY n)
         FROM unnest(compared) WITH ORDINALITY AS c (name, n)));
    PERFORM txpipe.comment_live_view('sales_reconciliation',
        'Sales on which what was streamed and what files brought do not agree, in one of three states');
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_live_views() IS 'Part of create_warehouse(): the views of streamed and loaded sales, where they are missing';

CREATE FUNCTION txpipe.comment_live_view(view text, description text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    about CONSTANT jsonb := '{
        "transaction_id": "Id of the sale",
        "discount_pct": "Rate of the offer when the sale was loaded or streamed, in per cent",
        "sales_agent_name": "Sales agent; (online): none; NULL while no delivery has named him",
        "branch_location": "City of the branch; (online): none; NULL while no delivery has named it",
        "loaded_at": "When the transaction that brought it began",
        "file_id": "File the sale came from (file_id in the view txpipe.file)",
        "line_no": "Line in that file",
        "state": "unconfirmed: streamed, in no file yet; unstreamed: in a file, never streamed; differing: in both, with other contents"}';
    of_reconciliation CONSTANT jsonb := '{
        "age": "How long it has been so",
        "differing_columns": "Columns that differ; NULL where there is nothing to compare",
        "speed_total_paid": "Money paid, as streamed",
        "batch_total_paid": "Money paid, as in the file",
        "streamed_at": "When it was first streamed",
        "loaded_at": "When the file was loaded"}';
    field record;
BEGIN
    EXECUTE format('COMMENT ON VIEW dwh.%I IS %L', view, description);
    FOR field IN
        SELECT a.attname, coalesce(CASE WHEN view = 'sales_reconciliation' THEN of_reconciliation ->> a.attname END,
                                   CASE WHEN view <> 'sales_reconciliation' AND a.attname = 'state' THEN NULL ELSE about ->> a.attname END,
                                   col_description('dwh.live_sales'::regclass, t.attnum)) AS description
        FROM pg_attribute a
        LEFT JOIN pg_attribute t ON t.attrelid = 'dwh.live_sales'::regclass AND t.attname = a.attname
        WHERE a.attrelid = format('dwh.%I', view)::regclass AND a.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON COLUMN dwh.%I.%I IS %L', view, field.attname, field.description);
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.comment_live_view(text, text) IS 'Part of create_warehouse(): describes a view of streamed sales and its columns';

CREATE FUNCTION txpipe.warehouse_live_functions()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    CREATE OR REPLACE FUNCTION dwh.prune_live_sales(keep interval DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $function$
    DECLARE
        before timestamptz := now() - coalesce(keep, (SELECT value::interval FROM dwh.setting WHERE name = 'keep_confirmed'));
        gone bigint;
    BEGIN
        DELETE FROM dwh.live_sales l USING dwh.sale_key k, dwh.source_file s
        WHERE k.transaction_id = l.transaction_id AND s.file_id = k.file_id
          AND l.loaded_at <= before AND coalesce(s.loaded_at, '-infinity') <= before;
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN
            UPDATE dwh.live_period SET complete_since = before WHERE complete_since <= before;
        END IF;
        RETURN gone;
    END
    $function$;
    COMMENT ON FUNCTION dwh.prune_live_sales(interval) IS
    'Deletes from dwh.live_sales what files have brought, when that and the stream''s row are both older than keep (NULL: dwh.setting,
    keep_confirmed); returns how many. What no file has brought stays. dwh.sales is the same before and after.';
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_live_functions() IS 'Part of create_warehouse(): the function of dwh that deletes what files have confirmed';

CREATE FUNCTION txpipe.prune_live_sales()
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    -- What stands in dwh is its owner's: calling it with other rights would lend him those.
    IF NOT EXISTS (SELECT FROM pg_namespace n JOIN pg_proc p ON p.pronamespace = n.oid
                   WHERE n.nspname = 'dwh' AND pg_get_userbyid(n.nspowner) = current_user AND p.proname = 'prune_live_sales') THEN
        RETURN 0;
    END IF;
    RETURN dwh.prune_live_sales();
END
$body$;
COMMENT ON FUNCTION txpipe.prune_live_sales() IS
'Part of housekeeping(): deletes the live sales that files have brought, where the warehouse is the caller''s; returns their number';

CREATE FUNCTION txpipe.create_live_sales(
        server text, topic text, start_at text DEFAULT 'earliest', paused boolean DEFAULT false, options jsonb DEFAULT '{}')
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM txpipe.require_warehouse_owner();
    IF to_regclass('dwh.live_sales') IS NULL THEN
        RAISE EXCEPTION 'the warehouse has no table of live sales yet'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'call txpipe.create_warehouse(), which adds it';
    END IF;
    PERFORM txpipe.warehouse_live_rules();
    PERFORM txpipe.create_stream('live_sales', server, topic, 'dwh.live_sales', columns => $json${
            "transaction_date": "transaction_date",
            "transaction_id": {"path": "transaction_id", "as": "trim"},
            "customer_id": {"path": "customer_id", "as": "whole"},
            "first_name": {"path": "customer_fname", "as": "trim"},
            "last_name": {"path": "customer_lname", "as": "trim"},
            "email": {"path": "customer_email", "as": "email"},
            "sales_agent_id": {"path": "sales_agent_id", "as": "whole"},
            "branch_id": {"path": "branch_id", "as": "whole"},
            "product_id": {"path": "product_id", "as": "whole"},
            "product_name": {"path": "product_name", "as": "trim"},
            "product_category": {"path": "product_category", "as": "trim"},
            "offer_code": {"path": "offer_code", "as": "trim"},
            "units": {"path": "units", "as": "whole"},
            "unit_price": "unit_price",
            "is_online": "is_online",
            "payment_method": {"path": "payment_method", "as": "trim"},
            "street": {"path": "shipping_address", "as": "address_street"},
            "city": {"path": "shipping_address", "as": "address_city"},
            "state": {"path": "shipping_address", "as": "address_state"},
            "postal_code": {"path": "shipping_address", "as": "address_postal_code"},
            "kafka_partition": "kafka_partition",
            "kafka_offset": "kafka_offset",
            "kafka_timestamp": "kafka_timestamp"
        }$json$, key_columns => '{transaction_id}', start_at => start_at, paused => paused, if_not_exists => true, options => options);
    UPDATE dwh.live_period SET complete_since = now() WHERE complete_since = 'infinity';
END
$body$;
COMMENT ON FUNCTION txpipe.create_live_sales(text, text, text, boolean, jsonb) IS
'Streams sales as they happen into dwh.live_sales: creates the stream "live_sales" (mode upsert by transaction_id) of JSON events with the
fields of the transactions file: transaction_date, transaction_id, customer_id, customer_fname, customer_lname, customer_email, sales_agent_id,
branch_id, product_id, product_name, product_category, offer_code (offer_1 to offer_5; none or absent: no offer), units, unit_price, is_online,
payment_method, shipping_address. They are cleaned as files are, by the rules that the feed sales_transactions has at the time of the call; what these
refuse is a dead letter. Called again it takes over the rules as they are then, and leaves the stream as it is. dwh.sales shows streamed and loaded sales together. start_at,
paused, options: as in create_stream(). For the owner of dwh, who needs EXECUTE on it, require_warehouse_owner,
warehouse_live_rules, live_sale_cleaning, rule_statement and create_stream. Errors: 42P01 without a warehouse, 55000 before create_warehouse() has added the tables, 42501 for others, and
those of create_stream().';
