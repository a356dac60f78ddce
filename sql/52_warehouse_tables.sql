
-- 52_warehouse_tables.sql: the tables of schema dwh: dimensions, then facts.
--
-- Dimension keys: above 0 a member; -1 unknown; 0 not applicable (an online sale has no agent and no
-- branch, an offline sale no location, a sale at full price no offer). Missing texts read '(unknown)'.

CREATE FUNCTION txpipe.warehouse_dimensions()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    COMMENT ON SCHEMA dwh IS 'Warehouse of retail sales, made and filled by txpipe';

    CREATE TABLE dwh.version (
        version text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    );
    COMMENT ON TABLE dwh.version IS 'Marks this schema as a txpipe warehouse; one row';
    COMMENT ON COLUMN dwh.version.version IS 'Version of txpipe that shaped the tables';
    COMMENT ON COLUMN dwh.version.created_at IS 'When the warehouse was made';
    INSERT INTO dwh.version (version) VALUES ('0.1.0');

    CREATE TABLE dwh.setting (
        name text PRIMARY KEY,
        value text NOT NULL,
        description text NOT NULL,
        CHECK (CASE name WHEN 'earliest_date' THEN value::date IS NOT NULL
                         WHEN 'latest_ahead' THEN value::interval >= interval '0'
                         WHEN 'several_offers' THEN value IN ('reject', 'first', 'highest')
                         ELSE false END)
    );
    COMMENT ON TABLE dwh.setting IS 'Choices of the warehouse; UPDATE value, the next load follows it';
    COMMENT ON COLUMN dwh.setting.name IS 'Name of the choice';
    COMMENT ON COLUMN dwh.setting.value IS 'Its value';
    COMMENT ON COLUMN dwh.setting.description IS 'What it decides';
    INSERT INTO dwh.setting (name, value, description) VALUES
        ('earliest_date', '2000-01-01', 'A sale before this date is rejected'),
        ('latest_ahead', '2 years', 'A sale later than today plus this interval is rejected'),
        ('several_offers', 'reject',
         'A sale with more than one offer: reject, first (the lowest number counts) or highest (the best rate counts)');

    CREATE TABLE dwh.dim_product (
        product_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        product_id bigint,
        product_name text NOT NULL,
        product_category text NOT NULL,
        UNIQUE (product_id, product_name, product_category)
    );
    COMMENT ON TABLE dwh.dim_product IS 'Products; the same id with another name or category is another member';
    COMMENT ON COLUMN dwh.dim_product.product_key IS 'Surrogate key; -1: unknown';
    COMMENT ON COLUMN dwh.dim_product.product_id IS 'Product id of the source';
    COMMENT ON COLUMN dwh.dim_product.product_name IS 'Name; two ids may share one';
    COMMENT ON COLUMN dwh.dim_product.product_category IS 'Category';
    INSERT INTO dwh.dim_product OVERRIDING SYSTEM VALUE VALUES (-1, NULL, '(unknown)', '(unknown)');

    CREATE TABLE dwh.dim_customer (
        customer_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        customer_id bigint,
        first_name text NOT NULL,
        last_name text NOT NULL,
        email text NOT NULL,
        UNIQUE (customer_id, first_name, last_name, email)
    );
    COMMENT ON TABLE dwh.dim_customer IS 'Persons. Customer ids are given again to other persons, so a person is id, name and e-mail together';
    COMMENT ON COLUMN dwh.dim_customer.customer_key IS 'Surrogate key; -1: unknown';
    COMMENT ON COLUMN dwh.dim_customer.customer_id IS 'Customer id of the source; not unique';
    COMMENT ON COLUMN dwh.dim_customer.first_name IS 'First name';
    COMMENT ON COLUMN dwh.dim_customer.last_name IS 'Last name';
    COMMENT ON COLUMN dwh.dim_customer.email IS 'E-mail address, cleaned: cut after the first .com';
    INSERT INTO dwh.dim_customer OVERRIDING SYSTEM VALUE
        VALUES (-1, NULL, '(unknown)', '(unknown)', '(unknown)');

    -- Periods of one id never overlap. Checked at the end of a statement, which may shift several at once.
    CREATE TABLE dwh.dim_branch (
        branch_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        branch_id integer,
        location text,
        establish_date date,
        class text,
        valid_from timestamptz NOT NULL,
        valid_to timestamptz NOT NULL,
        delivered_at timestamptz NOT NULL,
        is_inferred boolean NOT NULL DEFAULT false,
        UNIQUE (branch_id, delivered_at),
        CHECK (valid_from < valid_to),
        EXCLUDE USING gist (int8range(branch_id, branch_id, '[]') WITH &&,
                            tstzrange(valid_from, valid_to) WITH &&)
            WHERE (branch_id IS NOT NULL) DEFERRABLE
    );
    COMMENT ON TABLE dwh.dim_branch IS 'Branches, one row for each version (type 2)';
    COMMENT ON COLUMN dwh.dim_branch.branch_key IS 'Surrogate key of the version; -1: unknown, 0: online, no branch';
    COMMENT ON COLUMN dwh.dim_branch.branch_id IS 'Branch id of the source';
    COMMENT ON COLUMN dwh.dim_branch.location IS 'City of the branch; NULL while inferred';
    COMMENT ON COLUMN dwh.dim_branch.establish_date IS 'When the branch was opened';
    COMMENT ON COLUMN dwh.dim_branch.class IS 'Class of the branch';
    COMMENT ON COLUMN dwh.dim_branch.valid_from IS 'Begin of the version in group time (dwh.group_time); -infinity for the first';
    COMMENT ON COLUMN dwh.dim_branch.valid_to IS 'End of the version, exclusive; infinity for the last';
    COMMENT ON COLUMN dwh.dim_branch.delivered_at IS 'Group time of the delivery that brought the version; -infinity while inferred';
    COMMENT ON COLUMN dwh.dim_branch.is_inferred IS 'A sale named this branch before any delivery did; the first delivery fills it in';
    INSERT INTO dwh.dim_branch OVERRIDING SYSTEM VALUE VALUES
        (-1, NULL, '(unknown)', NULL, NULL, '-infinity', 'infinity', '-infinity', false),
        (0, NULL, '(online)', NULL, NULL, '-infinity', 'infinity', '-infinity', false);

    CREATE TABLE dwh.dim_sales_agent (
        sales_agent_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        sales_agent_id integer,
        name text,
        hire_date date,
        valid_from timestamptz NOT NULL,
        valid_to timestamptz NOT NULL,
        delivered_at timestamptz NOT NULL,
        is_inferred boolean NOT NULL DEFAULT false,
        UNIQUE (sales_agent_id, delivered_at),
        CHECK (valid_from < valid_to),
        EXCLUDE USING gist (int8range(sales_agent_id, sales_agent_id, '[]') WITH &&,
                            tstzrange(valid_from, valid_to) WITH &&)
            WHERE (sales_agent_id IS NOT NULL) DEFERRABLE
    );
    COMMENT ON TABLE dwh.dim_sales_agent IS 'Sales agents, one row for each version (type 2)';
    COMMENT ON COLUMN dwh.dim_sales_agent.sales_agent_key IS 'Surrogate key of the version; -1: unknown, 0: online, no agent';
    COMMENT ON COLUMN dwh.dim_sales_agent.sales_agent_id IS 'Sales agent id of the source (sales_person_id there)';
    COMMENT ON COLUMN dwh.dim_sales_agent.name IS 'Name; NULL while inferred';
    COMMENT ON COLUMN dwh.dim_sales_agent.hire_date IS 'When the agent was hired, as last delivered';
    COMMENT ON COLUMN dwh.dim_sales_agent.valid_from IS 'Begin of the version in group time (dwh.group_time); -infinity for the first';
    COMMENT ON COLUMN dwh.dim_sales_agent.valid_to IS 'End of the version, exclusive; infinity for the last';
    COMMENT ON COLUMN dwh.dim_sales_agent.delivered_at IS 'Group time of the delivery that brought the version; -infinity while inferred';
    COMMENT ON COLUMN dwh.dim_sales_agent.is_inferred IS 'A sale named this agent before any delivery did; the first delivery fills it in';
    INSERT INTO dwh.dim_sales_agent OVERRIDING SYSTEM VALUE VALUES
        (-1, NULL, '(unknown)', NULL, '-infinity', 'infinity', '-infinity', false),
        (0, NULL, '(online)', NULL, '-infinity', 'infinity', '-infinity', false);

    CREATE TABLE dwh.dim_location (
        location_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        city text NOT NULL,
        state text NOT NULL,
        UNIQUE (city, state)
    );
    COMMENT ON TABLE dwh.dim_location IS 'Places online sales are shipped to; city names repeat across states';
    COMMENT ON COLUMN dwh.dim_location.location_key IS 'Surrogate key; -1: unknown, 0: offline, no address';
    COMMENT ON COLUMN dwh.dim_location.city IS 'City; (unknown) where the address has none';
    COMMENT ON COLUMN dwh.dim_location.state IS 'State; (unknown) where the address has none';
    INSERT INTO dwh.dim_location OVERRIDING SYSTEM VALUE VALUES
        (-1, '(unknown)', '(unknown)'), (0, '(offline)', '(offline)');

    CREATE TABLE dwh.dim_offer (
        offer_key integer PRIMARY KEY,
        offer_code text NOT NULL UNIQUE,
        discount_pct integer NOT NULL CHECK (discount_pct BETWEEN 0 AND 100),
        description text NOT NULL
    );
    COMMENT ON TABLE dwh.dim_offer IS 'Offers a sale may redeem, at most one; a changed rate applies to sales loaded from then on';
    COMMENT ON COLUMN dwh.dim_offer.offer_key IS 'Key: the number of the offer; 0: no offer';
    COMMENT ON COLUMN dwh.dim_offer.offer_code IS 'Column of the source: offer_1 to offer_5; none';
    COMMENT ON COLUMN dwh.dim_offer.discount_pct IS 'Rate in whole per cent of units × unit price';
    COMMENT ON COLUMN dwh.dim_offer.description IS 'The offer in words';
    INSERT INTO dwh.dim_offer VALUES (0, 'none', 0, 'no offer');
    INSERT INTO dwh.dim_offer
        SELECT n, 'offer_' || n, n * 5, (n * 5) || ' per cent off' FROM generate_series(1, 5) AS n;

    CREATE TABLE dwh.dim_date (
        date date PRIMARY KEY,
        year integer NOT NULL,
        quarter integer NOT NULL,
        month integer NOT NULL,
        month_name text NOT NULL,
        day integer NOT NULL,
        iso_year integer NOT NULL,
        iso_week integer NOT NULL,
        weekday integer NOT NULL,
        weekday_name text NOT NULL,
        is_weekend boolean NOT NULL
    );
    COMMENT ON TABLE dwh.dim_date IS 'Calendar of the months that have a partition of dwh.fact_sales';
    COMMENT ON COLUMN dwh.dim_date.date IS 'Day; dwh.fact_sales.transaction_date refers to it';
    COMMENT ON COLUMN dwh.dim_date.year IS 'Year';
    COMMENT ON COLUMN dwh.dim_date.quarter IS 'Quarter, 1 to 4';
    COMMENT ON COLUMN dwh.dim_date.month IS 'Month, 1 to 12';
    COMMENT ON COLUMN dwh.dim_date.month_name IS 'English name of the month';
    COMMENT ON COLUMN dwh.dim_date.day IS 'Day of the month';
    COMMENT ON COLUMN dwh.dim_date.iso_year IS 'Year the ISO week belongs to';
    COMMENT ON COLUMN dwh.dim_date.iso_week IS 'ISO 8601 week, 1 to 53';
    COMMENT ON COLUMN dwh.dim_date.weekday IS 'Day of the week, 1 (Monday) to 7 (Sunday)';
    COMMENT ON COLUMN dwh.dim_date.weekday_name IS 'English name of the day';
    COMMENT ON COLUMN dwh.dim_date.is_weekend IS 'Saturday or Sunday';
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_dimensions() IS 'Part of create_warehouse(): settings and dimensions';

-- No foreign keys and no unique index on the fact: keys come from the same statement that reads the
-- dimensions, sale_key keeps sales unique across partitions, and a load stays as fast as plain inserts.
CREATE FUNCTION txpipe.warehouse_facts()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    CREATE TABLE dwh.fact_sales (
        transaction_id text NOT NULL,
        transaction_date date NOT NULL,
        product_key integer NOT NULL,
        customer_key bigint NOT NULL,
        sales_agent_key integer NOT NULL,
        branch_key integer NOT NULL,
        location_key integer NOT NULL,
        offer_key integer NOT NULL,
        units integer NOT NULL CHECK (units > 0),
        unit_price numeric(12,2) NOT NULL CHECK (unit_price >= 0 AND unit_price <> 'NaN'),
        gross_amount numeric(22,2) NOT NULL GENERATED ALWAYS AS (units * unit_price) STORED,
        discount_pct integer NOT NULL CHECK (discount_pct BETWEEN 0 AND 100),
        total_paid numeric(24,4) NOT NULL
            GENERATED ALWAYS AS (units * unit_price * (100 - discount_pct) * 0.01) STORED,
        is_online boolean NOT NULL,
        payment_method text NOT NULL,
        street text,
        postal_code text,
        file_id bigint NOT NULL,
        line_no bigint NOT NULL
    ) PARTITION BY RANGE (transaction_date);
    COMMENT ON TABLE dwh.fact_sales IS 'Sales, one row each, in partitions by month of transaction_date';
    COMMENT ON COLUMN dwh.fact_sales.transaction_id IS 'Id of the sale; dwh.sale_key keeps it unique';
    COMMENT ON COLUMN dwh.fact_sales.transaction_date IS 'Day of the sale (dwh.dim_date)';
    COMMENT ON COLUMN dwh.fact_sales.product_key IS 'Product (dwh.dim_product)';
    COMMENT ON COLUMN dwh.fact_sales.customer_key IS 'Person (dwh.dim_customer)';
    COMMENT ON COLUMN dwh.fact_sales.sales_agent_key IS 'Version of the sales agent that was valid in the sale''s own group (dwh.dim_sales_agent)';
    COMMENT ON COLUMN dwh.fact_sales.branch_key IS 'Version of the branch that was valid in the sale''s own group (dwh.dim_branch)';
    COMMENT ON COLUMN dwh.fact_sales.location_key IS 'Where it was shipped to (dwh.dim_location)';
    COMMENT ON COLUMN dwh.fact_sales.offer_key IS 'Offer redeemed (dwh.dim_offer); 0: none';
    COMMENT ON COLUMN dwh.fact_sales.units IS 'Pieces sold';
    COMMENT ON COLUMN dwh.fact_sales.unit_price IS 'Price of one piece before the offer';
    COMMENT ON COLUMN dwh.fact_sales.gross_amount IS 'units × unit_price';
    COMMENT ON COLUMN dwh.fact_sales.discount_pct IS 'Rate of the offer when the sale was loaded, in per cent';
    COMMENT ON COLUMN dwh.fact_sales.total_paid IS 'units × unit_price × (100 − discount_pct) / 100, exact';
    COMMENT ON COLUMN dwh.fact_sales.is_online IS 'Sold by the web shop; false: in a branch';
    COMMENT ON COLUMN dwh.fact_sales.payment_method IS 'How it was paid';
    COMMENT ON COLUMN dwh.fact_sales.street IS 'Street of the shipping address; NULL offline';
    COMMENT ON COLUMN dwh.fact_sales.postal_code IS 'Postal code of the shipping address, leading zeros kept; NULL offline';
    COMMENT ON COLUMN dwh.fact_sales.file_id IS 'File the sale came from (file_id in the view txpipe.file)';
    COMMENT ON COLUMN dwh.fact_sales.line_no IS 'Line in that file';

    CREATE TABLE dwh.sale_key (
        transaction_id text COLLATE "C" PRIMARY KEY,
        transaction_date date NOT NULL,
        file_id bigint NOT NULL,
        line_no bigint NOT NULL,
        content_hash bigint NOT NULL
    );
    COMMENT ON TABLE dwh.sale_key IS 'One row for each sale in dwh.fact_sales: decides what is a duplicate';
    COMMENT ON COLUMN dwh.sale_key.transaction_id IS 'Id of the sale';
    COMMENT ON COLUMN dwh.sale_key.transaction_date IS 'Its day, and so its partition';
    COMMENT ON COLUMN dwh.sale_key.file_id IS 'File it came from';
    COMMENT ON COLUMN dwh.sale_key.line_no IS 'Line in that file';
    COMMENT ON COLUMN dwh.sale_key.content_hash IS 'Hash of its cleaned values: same id and hash is a repetition, another hash a conflict';

    CREATE TABLE dwh.sales_day (
        transaction_date date PRIMARY KEY,
        version bigint NOT NULL,
        file_id bigint,
        changed_at timestamptz NOT NULL
    ) WITH (fillfactor = 50);
    COMMENT ON TABLE dwh.sales_day IS 'Days with sales, and how often their figures changed: tells exports what to write again';
    COMMENT ON COLUMN dwh.sales_day.transaction_date IS 'Day';
    COMMENT ON COLUMN dwh.sales_day.version IS 'Number of changes, at most one for each file';
    COMMENT ON COLUMN dwh.sales_day.file_id IS 'File that changed it last';
    COMMENT ON COLUMN dwh.sales_day.changed_at IS 'When that change''s transaction began';
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_facts() IS 'Part of create_warehouse(): facts and their keys';
