-- 55_sales_rules.sql: the cleaning rules of the feed sales_transactions.

-- Rules that are there stay as they are: their action, or all of them, may have been changed.
CREATE FUNCTION txpipe.warehouse_sales_rules()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    offers CONSTANT text := 'num_nonnulls(nullif(offer_1, false), nullif(offer_2, false), nullif(offer_3, false),
        nullif(offer_4, false), nullif(offer_5, false))';
    earliest CONSTANT text := '(SELECT value::date FROM dwh.setting WHERE name = ''earliest_date'')';
    latest CONSTANT text := '(SELECT (current_date + value::interval)::date FROM dwh.setting WHERE name = ''latest_ahead'')';
    the_rule record;
BEGIN
    -- Warehouses of version 0.1.0 checked in a step.
    IF EXISTS (SELECT FROM txpipe.feed_status WHERE feed = 'sales_transactions' AND 'check' = ANY (steps)) THEN
        PERFORM txpipe.on_load('sales_transactions', 'check', NULL);
    END IF;
    FOR the_rule IN
        SELECT r.*, 10 * row_number() OVER () AS ordinal
        FROM (VALUES
            ('bad_units', 'reject', 'units', 'units < 1', 'units must be at least 1, not {units}'),
            ('negative_price', 'reject', 'unit_price', 'unit_price < 0',
             'unit_price must not be negative, but is {unit_price}'),
            ('bad_price', 'reject', 'unit_price', 'unit_price = ''NaN''', 'unit_price must be a number, not {unit_price}'),
            ('several_offers', 'reject', 'offer_1',
             '(offer_1 AND (offer_2 OR offer_3 OR offer_4 OR offer_5) OR offer_2 AND (offer_3 OR offer_4 OR offer_5)
        OR offer_3 AND (offer_4 OR offer_5) OR offer_4 AND offer_5)
        AND coalesce((SELECT value FROM dwh.setting WHERE name = ''several_offers''), ''reject'') = ''reject''',
             format('a sale may redeem one offer, this one has {%s}', offers)),
            ('date_out_of_range', 'reject', 'transaction_date',
             format('transaction_date NOT BETWEEN %s AND %s', earliest, latest),
             format('transaction_date must be between {to_char(%s, ''YYYY-MM-DD'')} and {to_char(%s, ''YYYY-MM-DD'')}, '
                    'not {to_char(transaction_date, ''YYYY-MM-DD'')}', earliest, latest)),
            ('unknown_payment_method', 'warn', 'payment_method',
             'payment_method NOT IN (''Cash'', ''Credit Card'', ''Debit Card'', ''PayPal'', ''Stripe'')',
             'payment_method {payment_method} is none of the usual ones'),
            ('online_with_branch', 'warn', 'is_online',
             'is_online AND (sales_agent_id IS NOT NULL OR branch_id IS NOT NULL)',
             'an online sale has neither sales agent nor branch'),
            ('offline_without_branch', 'warn', 'branch_id',
             'is_online IS NOT TRUE AND (sales_agent_id IS NULL OR branch_id IS NULL)',
             'a branch sale has a sales agent and a branch'),
            ('offline_with_address', 'warn', 'street',
             'is_online IS NOT TRUE AND coalesce(street, city, state, postal_code) IS NOT NULL',
             'a branch sale has no shipping address'),
            ('absurd_units', 'warn', 'units', 'units > 10000', '{units} units in one sale'),
            ('absurd_price', 'warn', 'unit_price', 'unit_price > 100000', 'a unit price of {unit_price}')
        ) AS r (rule, action, column_name, expression, message)
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM txpipe.feed_rule f
                              WHERE f.feed = 'sales_transactions' AND f.rule = the_rule.rule AND f.kind = 'check');
        PERFORM txpipe.set_rule('sales_transactions', the_rule.rule, the_rule.expression, the_rule.action,
                                the_rule.column_name, the_rule.message,
                                CASE WHEN NOT EXISTS (SELECT FROM txpipe.feed_rule f WHERE f.feed = 'sales_transactions'
                                                      AND f.ordinal = the_rule.ordinal)
                                     THEN the_rule.ordinal::integer END);
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_sales_rules() IS
'Part of create_warehouse(): the cleaning rules of the feed sales_transactions that are missing';

