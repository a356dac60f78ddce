
-- 90_grants.sql: deny by default. The few things everybody may call run as the caller.

REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA txpipe FROM PUBLIC;

-- Reports: the caller needs USAGE on dwh and SELECT on its tables.
GRANT EXECUTE ON FUNCTION
    txpipe.require_warehouse(),
    txpipe.check_top_n(integer),
    txpipe.whole_periods(date, date),
    txpipe.top_products(date, date, integer),
    txpipe.top_offers(date, date, integer),
    txpipe.top_offers_by_product(date, date, integer),
    txpipe.lowest_online_cities(date, date, integer, integer, boolean),
    txpipe.trend_periods(date, date, text),
    txpipe.sales_trend(date, date, text),
    txpipe.b2b_lines(date[]),
    txpipe.b2b_sales(date)
TO PUBLIC;

-- What the views that everybody may read call.
GRANT EXECUTE ON FUNCTION
    txpipe.list_options(),
    txpipe.stream_workers(integer),
    txpipe.stream_rates(integer),
    txpipe.stream_hindrance(),
    txpipe.is_owner(oid, name),
    txpipe.may_read(name, name),
    txpipe.utf8(bytea),
    txpipe.group_time(text),
    txpipe.group_is_numbered(text)
TO PUBLIC;
