-- 27_dead_letter.sql: what can be done with dead letters.

CREATE FUNCTION txpipe.replay_dead_letters(
        stream text, ids bigint[] DEFAULT NULL, codes text[] DEFAULT NULL, payload bytea DEFAULT NULL,
        dry_run boolean DEFAULT false,
        OUT replayed bigint, OUT failed bigint, OUT left_open bigint)
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_replay_dead_letters';
COMMENT ON FUNCTION txpipe.replay_dead_letters(text, bigint[], text[], bytea, boolean) IS
    'Decodes open dead letters again, with the stream''s present mapping and options, and inserts them once; in '
    'upsert modes a row replaces the one with its key, though that may be newer. ids: dead_letter_id of those '
    'wanted, codes: reasons wanted, NULL: all. payload: a mended message for the one letter in ids; it is kept '
    'beside the original. dry_run: tells the result and keeps nothing. replayed: letters that are rows now; '
    'failed: those that are not, with their reason and attempts updated; left_open: all open letters of the '
    'stream. Letters that another session is replaying are left out. The stream may run. For its owner';

CREATE FUNCTION txpipe.dismiss_dead_letters(
        stream text, ids bigint[] DEFAULT NULL, codes text[] DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_dismiss_dead_letters';
COMMENT ON FUNCTION txpipe.dismiss_dead_letters(text, bigint[], text[]) IS
    'Marks open dead letters as not wanted; they stay in the table, and are never replayed. ids, codes: as in '
    'replay_dead_letters. Result: how many. For the owner of the stream';

CREATE FUNCTION txpipe.delete_dead_letters(stream text, older_than interval DEFAULT '0') RETURNS bigint
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_delete_dead_letters';
COMMENT ON FUNCTION txpipe.delete_dead_letters(text, interval) IS
    'Removes dead letters for good that were replayed or dismissed at least older_than ago; open ones stay. See '
    'the option dead_letter_days for a stream that does so by itself. Result: how many. For the owner of the stream';
