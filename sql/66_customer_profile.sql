-- 66_customer_profile.sql: what is known of customers, for rules to join: kept by a stream, by files, or by both.

CREATE FUNCTION txpipe.create_customer_profile(
        server text DEFAULT NULL, topic text DEFAULT NULL, file_pattern text DEFAULT NULL, name text DEFAULT 'customer_profile',
        target_schema name DEFAULT current_schema(), paused boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    profile CONSTANT text := format('%I.%I', target_schema, name);
    names CONSTANT text[] := '{opened_at,segment,home_city,home_latitude,home_longitude,amount_limit}';
    mapping CONSTANT jsonb := '{
        "customer_id": {"path": ["customer_id", "customerId"], "type": "text", "required": true},
        "opened_at": {"path": ["opened_at", "openedAt"], "type": "timestamptz"},
        "segment": {"path": "segment", "type": "text"},
        "home_city": {"path": ["home_city", "homeCity"], "type": "text"},
        "home_latitude": {"path": ["home_latitude", "homeLatitude"], "type": "double precision"},
        "home_longitude": {"path": ["home_longitude", "homeLongitude"], "type": "double precision"},
        "amount_limit": {"path": ["amount_limit", "amountLimit"], "type": "numeric(14,2)"}}';
BEGIN
    IF num_nulls(name, target_schema) > 0 OR (server IS NULL) <> (topic IS NULL) THEN
        RAISE EXCEPTION 'a profile needs a name and a schema, and a stream both server and topic'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'For example txpipe.create_customer_profile(''shop'', ''customers'').';
    END IF;
    EXECUTE format($sql$
        CREATE TABLE %s (
            customer_id text PRIMARY KEY,
            opened_at timestamptz,
            segment text,
            home_city text,
            home_latitude double precision CHECK (home_latitude BETWEEN -90 AND 90),
            home_longitude double precision CHECK (home_longitude BETWEEN -180 AND 180),
            amount_limit numeric(14,2) CHECK (amount_limit >= 0)
        )$sql$, profile);
    EXECUTE format($sql$
        COMMENT ON TABLE %1$s IS 'What is known of customers, for rules to join';
        COMMENT ON COLUMN %1$s.customer_id IS 'Customer or account, as transactions name it';
        COMMENT ON COLUMN %1$s.opened_at IS 'When the account was opened';
        COMMENT ON COLUMN %1$s.segment IS 'Group the customer belongs to';
        COMMENT ON COLUMN %1$s.home_city IS 'Where the customer lives';
        COMMENT ON COLUMN %1$s.home_latitude IS 'Latitude of that place in degrees';
        COMMENT ON COLUMN %1$s.home_longitude IS 'Longitude of that place in degrees';
        COMMENT ON COLUMN %1$s.amount_limit IS 'Amount beyond which a transaction of this customer is suspicious'$sql$, profile);
    IF topic IS NOT NULL THEN
        PERFORM txpipe.create_stream(name, server, topic, profile::regclass, columns => NULL, options => '{"mode": "upsert"}',
                                     paused => paused);
    END IF;
    IF file_pattern IS NOT NULL THEN
        -- Of several lines of one customer in a batch the last one with a value counts, as if they came one by one.
        PERFORM txpipe.create_feed(name, file_pattern, columns => mapping, step => (
            SELECT format($sql$
                INSERT INTO %1$s AS p (customer_id, %2$s)
                SELECT b.customer_id, %3$s FROM batch b GROUP BY b.customer_id ORDER BY b.customer_id
                ON CONFLICT (customer_id) DO UPDATE SET %4$s$sql$, profile,
                string_agg(c, ', ' ORDER BY n),
                string_agg(format('(array_agg(b.%1$s ORDER BY b.line_no DESC) FILTER (WHERE b.%1$s IS NOT NULL))[1]', c),
                           ', ' ORDER BY n),
                string_agg(format('%1$s = coalesce(EXCLUDED.%1$s, p.%1$s)', c), ', ' ORDER BY n))
            FROM unnest(names) WITH ORDINALITY AS u (c, n)));
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.create_customer_profile(text, text, text, text, name, boolean) IS
'Creates the table name in target_schema: customer_id, opened_at, segment, home_city, home_latitude, home_longitude, amount_limit, for rules
to join (parameter profile of rule_query() and create_fraud_monitor()). server and topic: a stream of the table''s name keeps it, from JSON messages
with fields of these names (or customerId …); a message replaces all that is known of its customer. file_pattern: a feed of that name loads CSV files with
columns of these names; an empty cell leaves what is there. paused: as in create_stream(). The table is the caller''s. For who has CREATE on the
schema, and EXECUTE on this function, create_stream and create_feed. Errors: 22023, 42P07 there is such a table, and those of create_stream() and
create_feed()';
