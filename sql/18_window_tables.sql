-- 18_window_tables.sql: what a window is, and how far its events have come. Its rows are in users' tables.

CREATE TABLE txpipe.window_store (
    window_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name name NOT NULL UNIQUE,
    stream_id integer NOT NULL REFERENCES txpipe.stream ON DELETE CASCADE,
    table_schema name NOT NULL,
    kind text NOT NULL CHECK (kind IN ('tumbling', 'hopping', 'session')),
    time_column name NOT NULL,
    width interval,
    slide interval,
    gap interval,
    origin timestamptz,
    start_at timestamptz,
    group_by name[] NOT NULL,
    aggregates jsonb NOT NULL,
    lateness interval NOT NULL,
    on_late text NOT NULL CHECK (on_late IN ('merge', 'aside')),
    emit text[] NOT NULL,
    ahead interval NOT NULL,
    watermark timestamptz,
    late_rows bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (CASE kind WHEN 'session' THEN gap IS NOT NULL
                     ELSE width IS NOT NULL AND slide IS NOT NULL AND origin IS NOT NULL END)
) WITH (fillfactor = 50);
SELECT pg_catalog.pg_extension_config_dump('txpipe.window_store', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.window_store_window_id_seq', '');
REVOKE ALL ON txpipe.window_store FROM PUBLIC;
COMMENT ON TABLE txpipe.window_store IS 'Windows over the rows of streams; read them in txpipe.window';
COMMENT ON COLUMN txpipe.window_store.window_id IS 'Number of the window';
COMMENT ON COLUMN txpipe.window_store.name IS 'Name of the window, and of its table';
COMMENT ON COLUMN txpipe.window_store.stream_id IS 'Stream whose rows it sums up';
COMMENT ON COLUMN txpipe.window_store.table_schema IS 'Schema of its tables';
COMMENT ON COLUMN txpipe.window_store.kind IS 'tumbling, hopping or session';
COMMENT ON COLUMN txpipe.window_store.time_column IS 'Column with the time of an event';
COMMENT ON COLUMN txpipe.window_store.width IS 'How long a window is; NULL for sessions';
COMMENT ON COLUMN txpipe.window_store.slide IS 'How far windows begin apart; of tumbling ones, their width';
COMMENT ON COLUMN txpipe.window_store.gap IS 'How long a session lasts after its last event';
COMMENT ON COLUMN txpipe.window_store.origin IS 'A moment at which a window begins, earlier than any event';
COMMENT ON COLUMN txpipe.window_store.start_at IS 'Windows that begin earlier are not kept, of sessions: events; NULL: all are';
COMMENT ON COLUMN txpipe.window_store.group_by IS 'Columns that rows are grouped by';
COMMENT ON COLUMN txpipe.window_store.aggregates IS 'Columns of the table, and what they are computed by';
COMMENT ON COLUMN txpipe.window_store.lateness IS 'How far behind the watermark a window ends when it closes';
COMMENT ON COLUMN txpipe.window_store.on_late IS 'What becomes of rows of closed windows: merge or aside';
COMMENT ON COLUMN txpipe.window_store.emit IS 'Where closed windows are told: notify, table, topic:NAME';
COMMENT ON COLUMN txpipe.window_store.ahead IS 'Events further in the future do not move the watermark';
COMMENT ON COLUMN txpipe.window_store.watermark IS 'Latest time of an event; NULL: there was none yet';
COMMENT ON COLUMN txpipe.window_store.late_rows IS 'Rows that came late, since the window was created';
COMMENT ON COLUMN txpipe.window_store.created_at IS 'When it was created';
