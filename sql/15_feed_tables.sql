-- 15_feed_tables.sql: what a feed is, the ledger of its files, and the lines it could not use.

CREATE TABLE txpipe.feed (
    feed_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feed text NOT NULL UNIQUE CHECK (feed ~ '^[A-Za-z0-9_.-]+$'),
    owner_oid oid NOT NULL,
    owner_name name NOT NULL,
    file_pattern text NOT NULL,
    target_oid oid,
    target_schema name,
    target_table name,
    format text NOT NULL DEFAULT 'csv' CHECK (format IN ('csv', 'json')),
    columns jsonb CHECK (jsonb_typeof(columns) = 'object'),
    group_name text NOT NULL,
    required boolean NOT NULL DEFAULT true,
    ordinal integer NOT NULL DEFAULT 100,
    after_load text NOT NULL DEFAULT 'archive' CHECK (after_load IN ('archive', 'keep')),
    options jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now()
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.feed', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.feed_feed_id_seq', '');
REVOKE ALL ON txpipe.feed FROM PUBLIC;
COMMENT ON TABLE txpipe.feed IS 'Definitions of feeds: which files of the landing directory belong together and where they go';
COMMENT ON COLUMN txpipe.feed.feed_id IS 'Number of the feed';
COMMENT ON COLUMN txpipe.feed.feed IS 'Name of the feed, unique in the database; also its folder in the lake';
COMMENT ON COLUMN txpipe.feed.owner_oid IS 'Role that everything touching the target runs as';
COMMENT ON COLUMN txpipe.feed.owner_name IS 'Name of that role when the feed was created';
COMMENT ON COLUMN txpipe.feed.file_pattern IS 'Regular expression over the path below the landing directory; its first capture group is the group key';
COMMENT ON COLUMN txpipe.feed.target_oid IS 'Table that receives the rows; NULL: the steps say what happens';
COMMENT ON COLUMN txpipe.feed.target_schema IS 'Schema of that table when the feed was created';
COMMENT ON COLUMN txpipe.feed.target_table IS 'Name of that table when the feed was created';
COMMENT ON COLUMN txpipe.feed.format IS 'Format of the files: csv (with a header), or json (one object a line)';
COMMENT ON COLUMN txpipe.feed.columns IS 'Mapping of columns to fields; NULL: fields match the target''s columns by name';
COMMENT ON COLUMN txpipe.feed.group_name IS 'Feeds of one group name deliver groups of files that load together';
COMMENT ON COLUMN txpipe.feed.required IS 'A group is complete only when a file of this feed is there';
COMMENT ON COLUMN txpipe.feed.ordinal IS 'Order in which the feeds of a group load';
COMMENT ON COLUMN txpipe.feed.after_load IS 'archive: the file leaves the landing directory once its copy in the lake is loaded; keep: it stays';
COMMENT ON COLUMN txpipe.feed.options IS 'Options of the feed, listed in txpipe.option';
COMMENT ON COLUMN txpipe.feed.created_at IS 'When the feed was created';

CREATE TABLE txpipe.feed_step (
    feed_id integer NOT NULL REFERENCES txpipe.feed ON DELETE CASCADE,
    step text NOT NULL,
    ordinal integer NOT NULL,
    sql text NOT NULL,
    phase text NOT NULL DEFAULT 'load' CHECK (phase IN ('load', 'end', 'unload', 'run')),
    PRIMARY KEY (feed_id, phase, step),
    UNIQUE (feed_id, phase, ordinal)
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.feed_step', '');
REVOKE ALL ON txpipe.feed_step FROM PUBLIC;
COMMENT ON TABLE txpipe.feed_step IS 'SQL run as the feed''s owner, in order: over the relation batch for every batch of a file, or over unloaded when a file is taken back';
COMMENT ON COLUMN txpipe.feed_step.feed_id IS 'Feed';
COMMENT ON COLUMN txpipe.feed_step.step IS 'Name of the step';
COMMENT ON COLUMN txpipe.feed_step.ordinal IS 'Order of the steps';
COMMENT ON COLUMN txpipe.feed_step.sql IS 'One statement; rows it returns say what became of lines';
COMMENT ON COLUMN txpipe.feed_step.phase IS 'load: for every batch of a file; end: once behind its last batch; unload: once for a file that is unloaded; run: at the end of every run';

CREATE TABLE txpipe.file_ledger (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feed_id integer NOT NULL REFERENCES txpipe.feed ON DELETE CASCADE,
    group_key text NOT NULL,
    file_name text NOT NULL,
    sha256 bytea CHECK (length(sha256) = 32),
    bytes bigint NOT NULL,
    modified_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('settling', 'waiting', 'loading', 'loaded', 'duplicate', 'changed', 'failed',
                                         'poison', 'rejected', 'superseded', 'unloaded')),
    reason text,
    duplicate_of bigint,
    by_content boolean NOT NULL DEFAULT true,
    displaces bigint,
    rows_read bigint NOT NULL DEFAULT 0,
    rows_loaded bigint NOT NULL DEFAULT 0,
    rows_duplicate bigint NOT NULL DEFAULT 0,
    rows_filtered bigint NOT NULL DEFAULT 0,
    rows_superseded bigint NOT NULL DEFAULT 0,
    rows_rejected bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz,
    arrived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    loaded_at timestamptz,
    lake_path text,
    landing_removed boolean NOT NULL DEFAULT false,
    copy_sha256 bytea CHECK (length(copy_sha256) = 32),
    copy_bytes bigint,
    rows_erased bigint NOT NULL DEFAULT 0,
    matched_by bigint,
    CHECK (sha256 IS NOT NULL OR state IN ('settling', 'superseded')),
    CHECK (state <> 'loaded' OR rows_read =
           rows_loaded + rows_duplicate + rows_filtered + rows_superseded + rows_rejected)
);
-- Once by content within a feed.
CREATE UNIQUE INDEX file_ledger_content ON txpipe.file_ledger (feed_id, sha256)
    WHERE by_content AND state NOT IN ('settling', 'duplicate', 'changed', 'superseded', 'unloaded');
-- Two runs that see a new file enter it once.
CREATE UNIQUE INDEX file_ledger_settling ON txpipe.file_ledger (feed_id, file_name) WHERE state = 'settling';
CREATE INDEX file_ledger_name ON txpipe.file_ledger (feed_id, file_name);
CREATE INDEX file_ledger_group ON txpipe.file_ledger (feed_id, group_key);
-- Not by feed: without statistics it would be taken for the best way to one file or group of thousands that are open.
CREATE INDEX file_ledger_open ON txpipe.file_ledger (file_id)
    WHERE state IN ('settling', 'waiting', 'loading', 'failed', 'poison', 'changed');
CREATE INDEX file_ledger_displaces ON txpipe.file_ledger (feed_id) WHERE displaces IS NOT NULL;
CREATE INDEX file_ledger_original ON txpipe.file_ledger (duplicate_of) WHERE duplicate_of IS NOT NULL;
CREATE INDEX file_ledger_landing ON txpipe.file_ledger (feed_id, file_name) WHERE NOT landing_removed;
-- All that a tick compares with the landing directory.
CREATE INDEX file_ledger_matched ON txpipe.file_ledger (matched_by) INCLUDE (file_name, bytes, modified_at)
    WHERE matched_by IS NOT NULL AND NOT landing_removed AND state <> 'settling';
SELECT pg_catalog.pg_extension_config_dump('txpipe.file_ledger', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.file_ledger_file_id_seq', '');
REVOKE ALL ON txpipe.file_ledger FROM PUBLIC;
COMMENT ON TABLE txpipe.file_ledger IS 'Every file ever seen, with what became of it; read it in txpipe.file';
COMMENT ON COLUMN txpipe.file_ledger.file_id IS 'Number of the file; facts and rejected rows carry it';
COMMENT ON COLUMN txpipe.file_ledger.feed_id IS 'Feed';
COMMENT ON COLUMN txpipe.file_ledger.group_key IS 'Group the file was delivered with';
COMMENT ON COLUMN txpipe.file_ledger.file_name IS 'Path below the landing directory';
COMMENT ON COLUMN txpipe.file_ledger.sha256 IS 'SHA-256 of the file as it was delivered; NULL until the file has settled';
COMMENT ON COLUMN txpipe.file_ledger.bytes IS 'Size in bytes';
COMMENT ON COLUMN txpipe.file_ledger.modified_at IS 'Modification time when it was read';
COMMENT ON COLUMN txpipe.file_ledger.state IS 'settling (too young, or still changing), waiting (for its group), loading, loaded, duplicate (same content as another file of the feed; counts as present), changed (same name as a loaded file, other content), failed (tried again later), poison (failed too often), rejected (over the limits of its feed), superseded (overwritten or removed before it was loaded, or other content took its place), unloaded (taken back, and not loaded again before reload)';
COMMENT ON COLUMN txpipe.file_ledger.reason IS 'Why it is in this state';
COMMENT ON COLUMN txpipe.file_ledger.duplicate_of IS 'File of the same feed with the same content; no foreign key, which pg_dump would call circular';
COMMENT ON COLUMN txpipe.file_ledger.by_content IS 'Loaded once by content; false: its feed loads every file (option duplicates = load)';
COMMENT ON COLUMN txpipe.file_ledger.displaces IS 'Loaded file that is unloaded when the group of this one loads: the one it replaces, or the same content in a later group';
COMMENT ON COLUMN txpipe.file_ledger.rows_read IS 'Records in the file, the header not counted';
COMMENT ON COLUMN txpipe.file_ledger.rows_loaded IS 'Records that were loaded';
COMMENT ON COLUMN txpipe.file_ledger.rows_duplicate IS 'Records that were there already';
COMMENT ON COLUMN txpipe.file_ledger.rows_filtered IS 'Records a step left out on purpose';
COMMENT ON COLUMN txpipe.file_ledger.rows_superseded IS 'Records a later one of the same delivery replaced';
COMMENT ON COLUMN txpipe.file_ledger.rows_rejected IS 'Records in txpipe.rejected_row';
COMMENT ON COLUMN txpipe.file_ledger.attempts IS 'How often loading was tried';
COMMENT ON COLUMN txpipe.file_ledger.retry_at IS 'A failed file is not tried again before this time';
COMMENT ON COLUMN txpipe.file_ledger.arrived_at IS 'When it was first seen';
COMMENT ON COLUMN txpipe.file_ledger.loaded_at IS 'When it was loaded';
COMMENT ON COLUMN txpipe.file_ledger.lake_path IS 'Its copy, below the lake directory; NULL before it is loaded, and when clean_lake() has removed it';
COMMENT ON COLUMN txpipe.file_ledger.landing_removed IS 'It is not in the landing directory any more: removed after its load, taken back, or overwritten';
COMMENT ON COLUMN txpipe.file_ledger.copy_sha256 IS 'SHA-256 of what the copy holds since erase_subject() has rewritten it; NULL: the file as it was delivered';
COMMENT ON COLUMN txpipe.file_ledger.copy_bytes IS 'Size of such a copy as it is stored';
COMMENT ON COLUMN txpipe.file_ledger.rows_erased IS 'Records that such a copy lacks, which a reload does not read';
COMMENT ON COLUMN txpipe.file_ledger.matched_by IS 'Hash of the patterns of the feeds up to its own, by which a run has found its feed again: while they are the same, and so are size and time, later runs need not; NULL: not yet';

CREATE TABLE txpipe.lake_leftover (
    lake_path text PRIMARY KEY,
    feed_id integer NOT NULL REFERENCES txpipe.feed ON DELETE CASCADE
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.lake_leftover', '');
REVOKE ALL ON txpipe.lake_leftover FROM PUBLIC;
COMMENT ON TABLE txpipe.lake_leftover IS 'Copies that erase_subject() has given up; they go at its commit, and where a crash came between with the next call of erase_subject() or clean_lake(), or with the feed';
COMMENT ON COLUMN txpipe.lake_leftover.lake_path IS 'The copy, below the lake directory';
COMMENT ON COLUMN txpipe.lake_leftover.feed_id IS 'Feed';

CREATE TABLE txpipe.rejected_line (
    file_id bigint NOT NULL REFERENCES txpipe.file_ledger ON DELETE CASCADE,
    line_no bigint NOT NULL,
    line_bytes bytea NOT NULL,
    column_name text,
    code text NOT NULL,
    message text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'dismissed')),
    stored_at timestamptz NOT NULL DEFAULT now(),
    line_fixed text,
    encrypted boolean NOT NULL DEFAULT false,
    PRIMARY KEY (file_id, line_no)
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.rejected_line', '');
REVOKE ALL ON txpipe.rejected_line FROM PUBLIC;
COMMENT ON TABLE txpipe.rejected_line IS 'Records of files that could not be used, stored in the commit that loads the file; read them in txpipe.rejected_row';
COMMENT ON COLUMN txpipe.rejected_line.file_id IS 'File';
COMMENT ON COLUMN txpipe.rejected_line.line_no IS 'Line in the file, the first line being 1';
COMMENT ON COLUMN txpipe.rejected_line.line_bytes IS 'The record without its line end, in UTF-8 whatever the encoding of the file';
COMMENT ON COLUMN txpipe.rejected_line.column_name IS 'Column at fault, where there is one';
COMMENT ON COLUMN txpipe.rejected_line.code IS 'Why: a code of the decoder or of a step, or the SQLSTATE PostgreSQL refused the row with';
COMMENT ON COLUMN txpipe.rejected_line.message IS 'Why, as a sentence';
COMMENT ON COLUMN txpipe.rejected_line.state IS 'open, replayed or dismissed';
COMMENT ON COLUMN txpipe.rejected_line.stored_at IS 'When it was stored';
COMMENT ON COLUMN txpipe.rejected_line.line_fixed IS 'What was replayed in its place; NULL: the record itself, or nothing';
COMMENT ON COLUMN txpipe.rejected_line.encrypted IS 'line_bytes is an OpenPGP message, and line_fixed one in hexadecimal';

CREATE TABLE txpipe.run (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'succeeded', 'failed', 'skipped')),
    groups_loaded integer NOT NULL DEFAULT 0,
    groups_failed integer NOT NULL DEFAULT 0,
    rows_loaded bigint NOT NULL DEFAULT 0,
    message text,
    session_pid integer NOT NULL DEFAULT pg_catalog.pg_backend_pid(),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.run', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.run_run_id_seq', '');
REVOKE ALL ON txpipe.run FROM PUBLIC;
GRANT SELECT ON txpipe.run TO PUBLIC;
COMMENT ON TABLE txpipe.run IS 'Runs of run_hourly that found something to do, exports, mirrors and nightly reports';
COMMENT ON COLUMN txpipe.run.run_id IS 'Number of the run';
COMMENT ON COLUMN txpipe.run.job IS 'What ran: run_hourly, export_b2b, take_nightly_report, mirror or another job';
COMMENT ON COLUMN txpipe.run.state IS 'running, succeeded, failed, or skipped (another run was at it)';
COMMENT ON COLUMN txpipe.run.groups_loaded IS 'Groups of files loaded';
COMMENT ON COLUMN txpipe.run.groups_failed IS 'Groups that failed and will be tried again';
COMMENT ON COLUMN txpipe.run.rows_loaded IS 'Rows loaded';
COMMENT ON COLUMN txpipe.run.message IS 'What went wrong, or what was written';
COMMENT ON COLUMN txpipe.run.session_pid IS 'Process of the session that ran it';
COMMENT ON COLUMN txpipe.run.started_at IS 'When the run began';
COMMENT ON COLUMN txpipe.run.finished_at IS 'When it ended';

