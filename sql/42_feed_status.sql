-- 42_feed_status.sql: what people read about feeds. Files are shown to those who may SELECT from the feed's
-- target, or from the warehouse for its feeds, which have none; rejected rows, which hold whole records, only to who may
-- read all of a target; and all of it to members of the feed's owner.

CREATE FUNCTION txpipe.may_watch(owner_oid oid, owner_name name, target_schema name, target_table name) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(txpipe.is_owner(owner_oid, owner_name), false)
        OR CASE WHEN target_table IS NOT NULL THEN coalesce(txpipe.may_read(target_schema, target_table), false)
                ELSE txpipe.may_read('dwh', 'sales_day')
                     AND EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = 'dwh' AND n.nspowner = may_watch.owner_oid) END
$$;
COMMENT ON FUNCTION txpipe.may_watch(oid, name, name, name) IS
    'Whether the caller sees the status of a feed: as its owner, or with SELECT on its target. A feed without one that belongs to the owner of the schema dwh, as those of the warehouse, is shown to who may SELECT from dwh.sales_day';

CREATE VIEW txpipe.feed_status WITH (security_barrier) AS
    SELECT f.feed,
           f.owner_name AS owner,
           f.file_pattern,
           CASE WHEN f.target_table IS NOT NULL
                THEN pg_catalog.format('%I.%I', f.target_schema, f.target_table) END AS target,
           f.format,
           f.group_name,
           f.required,
           f.ordinal,
           f.after_load,
           (SELECT pg_catalog.array_agg(s.step ORDER BY s.ordinal)
              FROM txpipe.feed_step s WHERE s.feed_id = f.feed_id AND s.phase = 'load') AS steps,
           l.files_waiting,
           l.files_failed,
           l.files_loaded,
           l.files_duplicate,
           l.rows_loaded,
           l.rows_rejected,
           l.last_loaded_at,
           (SELECT pg_catalog.array_agg(s.step ORDER BY s.ordinal)
              FROM txpipe.feed_step s WHERE s.feed_id = f.feed_id AND s.phase = 'unload') AS unload_steps,
           (SELECT pg_catalog.array_agg(s.step ORDER BY s.ordinal)
              FROM txpipe.feed_step s WHERE s.feed_id = f.feed_id AND s.phase = 'end') AS end_steps,
           (SELECT pg_catalog.array_agg(s.step ORDER BY s.ordinal)
              FROM txpipe.feed_step s WHERE s.feed_id = f.feed_id AND s.phase = 'run') AS run_end_steps
      FROM txpipe.feed f
      CROSS JOIN LATERAL (
           SELECT count(*) FILTER (WHERE state IN ('settling', 'waiting', 'loading')) AS files_waiting,
                  count(*) FILTER (WHERE state IN ('failed', 'poison')) AS files_failed,
                  count(*) FILTER (WHERE state = 'loaded') AS files_loaded,
                  count(*) FILTER (WHERE state = 'duplicate') AS files_duplicate,
                  coalesce(sum(rows_loaded), 0)::bigint AS rows_loaded,
                  coalesce(sum(rows_rejected), 0)::bigint AS rows_rejected,
                  max(loaded_at) AS last_loaded_at
             FROM txpipe.file_ledger WHERE feed_id = f.feed_id) l
     WHERE txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table);
GRANT SELECT ON txpipe.feed_status TO PUBLIC;
COMMENT ON VIEW txpipe.feed_status IS 'Definitions and totals of the feeds whose target you may read';
COMMENT ON COLUMN txpipe.feed_status.feed IS 'Name of the feed';
COMMENT ON COLUMN txpipe.feed_status.owner IS 'Role it runs as';
COMMENT ON COLUMN txpipe.feed_status.file_pattern IS 'Regular expression its files'' paths match';
COMMENT ON COLUMN txpipe.feed_status.target IS 'Table that receives the rows; NULL: the steps say what happens';
COMMENT ON COLUMN txpipe.feed_status.format IS 'Format of the files';
COMMENT ON COLUMN txpipe.feed_status.group_name IS 'Feeds of one group name deliver groups of files that load together';
COMMENT ON COLUMN txpipe.feed_status.required IS 'A group is complete only when a file of this feed is there';
COMMENT ON COLUMN txpipe.feed_status.ordinal IS 'Order in which the feeds of a group load';
COMMENT ON COLUMN txpipe.feed_status.after_load IS 'What happens to the landing file: archive or keep';
COMMENT ON COLUMN txpipe.feed_status.steps IS 'Names of the steps, in order';
COMMENT ON COLUMN txpipe.feed_status.unload_steps IS 'Names of the steps that take a loaded file back, in order';
COMMENT ON COLUMN txpipe.feed_status.end_steps IS 'Names of the steps run once for each file behind its last batch, in order';
COMMENT ON COLUMN txpipe.feed_status.run_end_steps IS 'Names of the steps run at the end of every run, in order';
COMMENT ON COLUMN txpipe.feed_status.files_waiting IS 'Files that settle, wait for the others of their group, or are loading';
COMMENT ON COLUMN txpipe.feed_status.files_failed IS 'Files whose group failed, whether it will be tried again or failed too often';
COMMENT ON COLUMN txpipe.feed_status.files_loaded IS 'Files loaded';
COMMENT ON COLUMN txpipe.feed_status.files_duplicate IS 'Files with the same content as an earlier one';
COMMENT ON COLUMN txpipe.feed_status.rows_loaded IS 'Rows loaded';
COMMENT ON COLUMN txpipe.feed_status.rows_rejected IS 'Records in txpipe.rejected_row';
COMMENT ON COLUMN txpipe.feed_status.last_loaded_at IS 'When a file was loaded last';

CREATE FUNCTION txpipe.shown_reason(reason text, owner_oid oid, owner_name name, target_schema name, target_table name)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $$
    SELECT CASE WHEN txpipe.is_owner(owner_oid, owner_name) OR txpipe.may_read(target_schema, target_table)
                     OR txpipe.may_read('dwh', 'dim_customer') AND txpipe.may_read('dwh', 'fact_sales')
                THEN reason ELSE regexp_replace(reason, '^.*\[([0-9A-Z]{5})\]$', 'SQLSTATE \1') END
$$;
COMMENT ON FUNCTION txpipe.shown_reason(text, oid, name, name, name) IS
'Part of views: why a file is in its state, to those who may read its rows; to others an error is its SQLSTATE, because it
may quote a row';

CREATE VIEW txpipe.file WITH (security_barrier) AS
    SELECT l.file_id,
           f.feed,
           l.group_key,
           l.file_name,
           pg_catalog.encode(l.sha256, 'hex') AS sha256,
           l.bytes,
           CASE WHEN l.state = 'loaded' AND l.rows_rejected > 0 THEN 'loaded_with_rejects' ELSE l.state END AS state,
           CASE WHEN l.reason IS NOT NULL
                THEN txpipe.shown_reason(l.reason, f.owner_oid, f.owner_name, f.target_schema, f.target_table) END AS reason,
           l.rows_read,
           l.rows_loaded,
           l.rows_duplicate,
           l.rows_rejected,
           l.arrived_at,
           l.loaded_at,
           l.lake_path,
           l.rows_filtered,
           l.rows_superseded,
           l.duplicate_of,
           l.modified_at,
           l.attempts,
           l.retry_at,
           l.landing_removed,
           l.rows_erased
      FROM txpipe.file_ledger l
      JOIN txpipe.feed f USING (feed_id)
     WHERE txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table);
GRANT SELECT ON txpipe.file TO PUBLIC;
COMMENT ON VIEW txpipe.file IS 'Every file seen of the feeds whose target you may read, and what became of it';
COMMENT ON COLUMN txpipe.file.file_id IS 'Number of the file';
COMMENT ON COLUMN txpipe.file.feed IS 'Feed it belongs to';
COMMENT ON COLUMN txpipe.file.group_key IS 'Group it was delivered with';
COMMENT ON COLUMN txpipe.file.file_name IS 'Path below txpipe.landing_directory';
COMMENT ON COLUMN txpipe.file.sha256 IS 'SHA-256 of the file as it was delivered, in hexadecimal';
COMMENT ON COLUMN txpipe.file.bytes IS 'Size in bytes';
COMMENT ON COLUMN txpipe.file.state IS 'settling, waiting, loading, loaded, loaded_with_rejects, duplicate, changed, failed, poison, rejected, superseded or unloaded';
COMMENT ON COLUMN txpipe.file.reason IS 'Why it is in this state';
COMMENT ON COLUMN txpipe.file.rows_read IS 'Records in the file: loaded + duplicate + filtered + superseded + rejected';
COMMENT ON COLUMN txpipe.file.rows_loaded IS 'Records loaded';
COMMENT ON COLUMN txpipe.file.rows_duplicate IS 'Records that were there already';
COMMENT ON COLUMN txpipe.file.rows_rejected IS 'Records in txpipe.rejected_row';
COMMENT ON COLUMN txpipe.file.arrived_at IS 'When it was first seen';
COMMENT ON COLUMN txpipe.file.loaded_at IS 'When it was loaded';
COMMENT ON COLUMN txpipe.file.lake_path IS 'Its copy, below txpipe.lake_directory; NULL before it is loaded, and when clean_lake() has removed it';
COMMENT ON COLUMN txpipe.file.rows_filtered IS 'Records left out on purpose, by a step or a BEFORE trigger';
COMMENT ON COLUMN txpipe.file.rows_superseded IS 'Records a later one of the same delivery replaced';
COMMENT ON COLUMN txpipe.file.duplicate_of IS 'File with the same content';
COMMENT ON COLUMN txpipe.file.modified_at IS 'Its modification time';
COMMENT ON COLUMN txpipe.file.attempts IS 'How often loading was tried';
COMMENT ON COLUMN txpipe.file.retry_at IS 'A failed file is not tried again before this time';
COMMENT ON COLUMN txpipe.file.landing_removed IS 'It has left the landing directory';
COMMENT ON COLUMN txpipe.file.rows_erased IS 'Records that its copy lacks since erase_subject(): a reload does not read them';

CREATE VIEW txpipe.rejected_row WITH (security_barrier) AS
    SELECT r.file_id,
           r.line_no,
           CASE WHEN NOT r.encrypted
                THEN coalesce(txpipe.utf8(r.line_bytes), pg_catalog.encode(r.line_bytes, 'escape')) END AS line,
           r.column_name,
           r.code,
           r.message,
           r.state,
           r.stored_at,
           r.line_fixed,
           CASE WHEN r.encrypted THEN r.line_bytes END AS line_encrypted
      FROM txpipe.rejected_line r
      JOIN txpipe.file_ledger l USING (file_id)
      JOIN txpipe.feed f USING (feed_id)
     WHERE txpipe.may_read(f.target_schema, f.target_table)
        OR txpipe.is_owner(f.owner_oid, f.owner_name);
GRANT SELECT ON txpipe.rejected_row TO PUBLIC;
COMMENT ON VIEW txpipe.rejected_row IS 'Records of files that could not be used, with the reason';
COMMENT ON COLUMN txpipe.rejected_row.file_id IS 'File, as in txpipe.file';
COMMENT ON COLUMN txpipe.rejected_row.line_no IS 'Line in the file, the first being 1';
COMMENT ON COLUMN txpipe.rejected_row.line IS 'The record; bytes that are not valid text are escaped as in bytea''s escape format; NULL where it is encrypted';
COMMENT ON COLUMN txpipe.rejected_row.column_name IS 'Column at fault, where there is one';
COMMENT ON COLUMN txpipe.rejected_row.code IS 'Why: a code of the decoder or of a step, or an SQLSTATE';
COMMENT ON COLUMN txpipe.rejected_row.message IS 'Why, as a sentence';
COMMENT ON COLUMN txpipe.rejected_row.state IS 'open, replayed or dismissed';
COMMENT ON COLUMN txpipe.rejected_row.stored_at IS 'When it was stored';
COMMENT ON COLUMN txpipe.rejected_row.line_fixed IS 'What was replayed in its place; NULL: the record itself, or nothing; of an encrypted record in hexadecimal';
COMMENT ON COLUMN txpipe.rejected_row.line_encrypted IS 'The record of a feed that encrypts, for txpipe.decrypt()';
