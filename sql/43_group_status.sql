-- 43_group_status.sql: what people read about the history of files, and about groups that are not complete.

CREATE VIEW txpipe.file_event WITH (security_barrier) AS
    SELECT e.file_id,
           f.feed,
           l.file_name,
           e.happened_at,
           e.state,
           CASE WHEN e.reason IS NOT NULL
                THEN txpipe.shown_reason(e.reason, f.owner_oid, f.owner_name, f.target_schema, f.target_table) END AS reason,
           e.event_id
      FROM txpipe.file_event_store e
      JOIN txpipe.file_ledger l USING (file_id)
      JOIN txpipe.feed f USING (feed_id)
     WHERE txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table);
GRANT SELECT ON txpipe.file_event TO PUBLIC;
COMMENT ON VIEW txpipe.file_event IS 'Every state each file of the feeds whose target you may read has had';
COMMENT ON COLUMN txpipe.file_event.file_id IS 'File, as in txpipe.file';
COMMENT ON COLUMN txpipe.file_event.feed IS 'Feed';
COMMENT ON COLUMN txpipe.file_event.file_name IS 'Path below the landing directory';
COMMENT ON COLUMN txpipe.file_event.happened_at IS 'When it came to this state';
COMMENT ON COLUMN txpipe.file_event.state IS 'The state, as in txpipe.file';
COMMENT ON COLUMN txpipe.file_event.reason IS 'Why';
COMMENT ON COLUMN txpipe.file_event.event_id IS 'Number of the event: events in their order';

CREATE FUNCTION txpipe.group_time(group_key text)
RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $$
DECLARE
    part text[] := regexp_match(group_key,
        '(?:^|\D)((?:19|20|21)\d\d)[-_./]?(0[1-9]|1[0-2])[-_./]?(0[1-9]|[12]\d|3[01])'
        '(?:[-_./T ]?([01]\d|2[0-3])(?:[-_.:]?([0-5]\d))?)?(?:\D|$)');
    hours numeric := coalesce((regexp_match(group_key, '(\d+)\D*$'))[1], '0')::numeric;
BEGIN
    IF part IS NOT NULL THEN
        BEGIN
            RETURN make_timestamp(part[1]::integer, part[2]::integer, part[3]::integer,
                                  coalesce(part[4], '0')::integer, coalesce(part[5], '0')::integer, 0)
                   AT TIME ZONE 'UTC';
        EXCEPTION WHEN datetime_field_overflow THEN
            NULL;           -- no such day (February 30): then it is a number like any other
        END;
    END IF;
    RETURN (timestamp 'epoch' + least(hours, 2000000000)::double precision * interval '1 hour')
           AT TIME ZONE 'UTC';
END
$$;
COMMENT ON FUNCTION txpipe.group_time(text) IS
'Time of a group of files, from its key. A key that holds YYYYMMDD[HH[MI]], with or without separators
(2023-11-05T13, 20231105_13, 2023/11/05/13), is that time in UTC. Otherwise the last number in the key counts hours
from 1970-01-01 00:00 UTC (group12 is 12:00), so that groups keep their order';

CREATE FUNCTION txpipe.file_order(group_key text, file_name text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws(e'\x01', txpipe.natural_key(group_key), group_key, txpipe.natural_key(file_name), file_name)
$$;
COMMENT ON FUNCTION txpipe.file_order(text, text) IS
'Part of the loading order of files: sort key of a feed''s files in the order in which they load: by group, then by name. Compare keys with COLLATE "C"';

CREATE FUNCTION txpipe.can_unload(feed_id integer)
RETURNS boolean
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM txpipe.feed_step s WHERE s.feed_id = can_unload.feed_id AND s.phase = 'unload')
        OR EXISTS (SELECT FROM txpipe.feed f JOIN pg_attribute a
                       ON a.attrelid = to_regclass(quote_ident(f.target_schema) || '.' || quote_ident(f.target_table))
                   WHERE f.feed_id = can_unload.feed_id AND a.attname = 'file_id' AND NOT a.attisdropped)
$$;
COMMENT ON FUNCTION txpipe.can_unload(integer) IS 'Part of the loading order of files: is there a way to take files of the feed back?';

CREATE FUNCTION txpipe.group_is_numbered(group_key text)
RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $$
    SELECT extract(epoch FROM txpipe.group_time(group_key)) =
           3600 * least(coalesce((regexp_match(group_key, '(\d+)\D*$'))[1], '0')::numeric, 2000000000)
$$;
COMMENT ON FUNCTION txpipe.group_is_numbered(text) IS 'Part of the view missing_group: is the time of a group key a mere number, and no date?';

-- A group is shown to who may see the files it has; feeds are named to who may see those feeds.
-- Begun groups first; then, of feeds with the option every, the steps no group came for. Numbered groups are
-- expected up to the last one seen, those with a date up to now.
CREATE VIEW txpipe.missing_group WITH (security_barrier) AS
    WITH feed AS MATERIALIZED (
        SELECT f.*,
               txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table) AS visible
          FROM txpipe.feed f
    ), delivery AS (
        SELECT f.group_name,
               min((f.options->>'every')::interval) AS every,
               pg_catalog.array_agg(f.feed_id) FILTER (WHERE f.required) AS required_ids,
               coalesce(pg_catalog.array_agg(f.feed ORDER BY f.ordinal, f.feed_id) FILTER (WHERE f.required AND f.visible),
                        '{}') AS required
          FROM feed f
         GROUP BY f.group_name
    ), seen AS (
        SELECT f.group_name, l.group_key, min(l.arrived_at) AS since, pg_catalog.array_agg(DISTINCT l.feed_id) AS feed_ids
          FROM txpipe.file_ledger l
          JOIN feed f USING (feed_id)
         WHERE l.state NOT IN ('settling', 'superseded')
         GROUP BY f.group_name, l.group_key
        HAVING pg_catalog.bool_or(f.visible)
    ), timed AS (
        SELECT s.group_name, d.every, d.required,
               txpipe.group_time(s.group_key) AT TIME ZONE 'UTC' AS at,
               NOT txpipe.group_is_numbered(s.group_key) AS dated
          FROM seen s
          JOIN delivery d USING (group_name)
         WHERE d.every IS NOT NULL
    ), expected AS (
        SELECT t.group_name, t.required,
               ARRAY(SELECT pg_catalog.generate_series(
                                coalesce(min(t.at) FILTER (WHERE t.dated), min(t.at)),
                                CASE WHEN pg_catalog.bool_or(t.dated) THEN clock_timestamp() AT TIME ZONE 'UTC'
                                     ELSE max(t.at) END,
                                t.every)) AS steps
          FROM timed t
         GROUP BY t.group_name, t.required, t.every
    ), come AS MATERIALIZED (
        SELECT t.group_name, pg_catalog.width_bucket(t.at, e.steps) AS number
          FROM timed t
          JOIN expected e USING (group_name)
    )
    SELECT s.group_name,
           s.group_key,
           CASE WHEN d.every IS NOT NULL THEN txpipe.group_time(s.group_key) END AS expected_at,
           m.missing,
           m.present,
           s.since
      FROM seen s
      JOIN delivery d USING (group_name)
      CROSS JOIN LATERAL (
           SELECT coalesce(pg_catalog.array_agg(f.feed ORDER BY f.ordinal, f.feed_id)
                      FILTER (WHERE f.required AND f.feed_id <> ALL (s.feed_ids)), '{}') AS missing,
                  coalesce(pg_catalog.array_agg(f.feed ORDER BY f.ordinal, f.feed_id)
                      FILTER (WHERE f.feed_id = ANY (s.feed_ids)), '{}') AS present
             FROM feed f
            WHERE f.group_name = s.group_name AND f.visible) m
     WHERE NOT d.required_ids <@ s.feed_ids
    UNION ALL
    SELECT e.group_name, NULL, step.at AT TIME ZONE 'UTC', e.required, '{}', step.at AT TIME ZONE 'UTC'
      FROM expected e
      CROSS JOIN LATERAL pg_catalog.unnest(e.steps) WITH ORDINALITY AS step (at, number)
     WHERE NOT EXISTS (SELECT FROM come c WHERE c.group_name = e.group_name AND c.number = step.number);
GRANT SELECT ON txpipe.missing_group TO PUBLIC;
COMMENT ON VIEW txpipe.missing_group IS 'Groups of files that are not complete, and groups that were expected (option every) and did not come';
COMMENT ON COLUMN txpipe.missing_group.group_name IS 'Group name of the feeds';
COMMENT ON COLUMN txpipe.missing_group.group_key IS 'Key of the group; NULL: nothing of it has come';
COMMENT ON COLUMN txpipe.missing_group.expected_at IS 'Its time, by the key or by the step of the option every; NULL without that option';
COMMENT ON COLUMN txpipe.missing_group.missing IS 'Required feeds without a file of this group, those you may see; none: others are missing';
COMMENT ON COLUMN txpipe.missing_group.present IS 'Feeds with a file of this group, those you may see';
COMMENT ON COLUMN txpipe.missing_group.since IS 'When its first file arrived; of a group without files, when it was expected';
