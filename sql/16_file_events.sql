-- 16_file_events.sql: how every file came to its state.

CREATE TABLE txpipe.file_event_store (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_id bigint NOT NULL REFERENCES txpipe.file_ledger ON DELETE CASCADE,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state text NOT NULL,
    reason text
);
CREATE INDEX file_event_store_file ON txpipe.file_event_store (file_id);
SELECT pg_catalog.pg_extension_config_dump('txpipe.file_event_store', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.file_event_store_event_id_seq', '');
REVOKE ALL ON txpipe.file_event_store FROM PUBLIC;
COMMENT ON TABLE txpipe.file_event_store IS 'Every state each file has had; read it in txpipe.file_event';
COMMENT ON COLUMN txpipe.file_event_store.event_id IS 'Number of the event';
COMMENT ON COLUMN txpipe.file_event_store.file_id IS 'File';
COMMENT ON COLUMN txpipe.file_event_store.happened_at IS 'When it came to this state';
COMMENT ON COLUMN txpipe.file_event_store.state IS 'The state, as in txpipe.file';
COMMENT ON COLUMN txpipe.file_event_store.reason IS 'Why';

CREATE FUNCTION txpipe.keep_file_event()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO txpipe.file_event_store (file_id, state, reason)
    VALUES (NEW.file_id, CASE WHEN NEW.state = 'loaded' AND NEW.rows_rejected > 0
                              THEN 'loaded_with_rejects' ELSE NEW.state END, NEW.reason);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION txpipe.keep_file_event() IS 'Keeps the new state of a file in txpipe.file_event_store';

-- Rows that a restore brings arrived before; their events are restored, too.
CREATE TRIGGER keep_arrival AFTER INSERT ON txpipe.file_ledger
    FOR EACH ROW WHEN (NEW.arrived_at >= pg_catalog.transaction_timestamp())
    EXECUTE FUNCTION txpipe.keep_file_event();
CREATE TRIGGER keep_state AFTER UPDATE OF state ON txpipe.file_ledger
    FOR EACH ROW WHEN (NEW.state <> OLD.state)
    EXECUTE FUNCTION txpipe.keep_file_event();
