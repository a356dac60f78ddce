
-- 73_mirror.sql: object stores, and what they have of the export directory and the lake.

CREATE FUNCTION txpipe.object_validator(options text[], catalog oid) RETURNS void
    LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_object_validator';
COMMENT ON FUNCTION txpipe.object_validator(text[], oid) IS
    'Part of CREATE SERVER and CREATE USER MAPPING: checks the options of servers and user mappings of the wrapper txpipe_object';

CREATE FOREIGN DATA WRAPPER txpipe_object VALIDATOR txpipe.object_validator;
COMMENT ON FOREIGN DATA WRAPPER txpipe_object IS 'Object stores that speak S3; it has no foreign tables';

CREATE TABLE txpipe.mirror_ledger (
    location text NOT NULL,
    path text NOT NULL,
    directory text NOT NULL CHECK (directory IN ('export', 'lake')),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'stored', 'deleting')),
    bytes bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    is_sent boolean NOT NULL DEFAULT false,
    sha256 bytea,
    stored_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    PRIMARY KEY (location, path)
);
-- It is not dumped: a database that was restored elsewhere must not remove the objects of files it never had.
REVOKE ALL ON txpipe.mirror_ledger FROM PUBLIC;
COMMENT ON TABLE txpipe.mirror_ledger IS 'What object stores have of the export directory and the lake; read it in txpipe.mirrored_file';
COMMENT ON COLUMN txpipe.mirror_ledger.location IS 'Where the files of a directory go: endpoint/bucket/prefix/';
COMMENT ON COLUMN txpipe.mirror_ledger.path IS 'Path of the file below the directory, and of the object below the location';
COMMENT ON COLUMN txpipe.mirror_ledger.directory IS 'export or lake';
COMMENT ON COLUMN txpipe.mirror_ledger.state IS 'waiting (to be sent), stored (as the file is), deleting (the file is not there any more)';
COMMENT ON COLUMN txpipe.mirror_ledger.bytes IS 'Size of the file';
COMMENT ON COLUMN txpipe.mirror_ledger.changed_at IS 'When the file got its name or changed';
COMMENT ON COLUMN txpipe.mirror_ledger.is_sent IS 'The store may have an object of this name from here; only such objects are removed';
COMMENT ON COLUMN txpipe.mirror_ledger.sha256 IS 'SHA-256 of the object, which the store has confirmed; NULL: it has none yet';
COMMENT ON COLUMN txpipe.mirror_ledger.stored_at IS 'When the store confirmed it';
COMMENT ON COLUMN txpipe.mirror_ledger.attempts IS 'Calls that failed to send or remove it since then';
COMMENT ON COLUMN txpipe.mirror_ledger.last_error IS 'Why the last one did';

CREATE VIEW txpipe.mirrored_file WITH (security_barrier) AS
    SELECT s.srvname AS server, l.directory, l.path, l.state, l.bytes, l.changed_at, l.sha256, l.stored_at, l.attempts, l.last_error
      FROM txpipe.mirror_ledger l
      JOIN pg_foreign_server s ON l.location = (
           SELECT max(o.option_value) FILTER (WHERE o.option_name = 'endpoint') || '/'
                  || rtrim(substr(max(o.option_value) FILTER (WHERE o.option_name = 'url'), length('s3://') + 1), '/') || '/'
             FROM pg_options_to_table(s.srvoptions) o)
      JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'txpipe_object'
     WHERE has_server_privilege(s.oid, 'USAGE') AND has_function_privilege('txpipe.mirror(text,text,boolean)', 'EXECUTE');
GRANT SELECT ON txpipe.mirrored_file TO PUBLIC;
COMMENT ON VIEW txpipe.mirrored_file IS
'What object stores have of the export directory and the lake, for roles that may call txpipe.mirror() and use the server';
COMMENT ON COLUMN txpipe.mirrored_file.server IS 'Server of the wrapper txpipe_object';
COMMENT ON COLUMN txpipe.mirrored_file.directory IS 'export or lake';
COMMENT ON COLUMN txpipe.mirrored_file.path IS 'Path of the file below the directory, and of the object below the server''s url';
COMMENT ON COLUMN txpipe.mirrored_file.state IS 'waiting (to be sent), stored (as the file is), deleting (the file is not there any more)';
COMMENT ON COLUMN txpipe.mirrored_file.bytes IS 'Size of the file';
COMMENT ON COLUMN txpipe.mirrored_file.changed_at IS 'When the file got its name or changed';
COMMENT ON COLUMN txpipe.mirrored_file.sha256 IS 'SHA-256 of the object, which the store has confirmed; NULL: it has none yet';
COMMENT ON COLUMN txpipe.mirrored_file.stored_at IS 'When the store confirmed it';
COMMENT ON COLUMN txpipe.mirrored_file.attempts IS 'Calls that failed to send or remove it since then';
COMMENT ON COLUMN txpipe.mirrored_file.last_error IS 'Why the last one did, or what it waits for';

CREATE FUNCTION txpipe.mirror_note(location text, directory text, paths text[], bytes bigint[], changed_at timestamptz[],
                                   others text[], remove_many boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    other text;
    stored bigint;
    gone bigint;
BEGIN
    SELECT min(l.directory), count(*) FILTER (WHERE l.state <> 'deleting' AND l.is_sent),
           count(*) FILTER (WHERE l.state <> 'deleting' AND l.is_sent AND p.path IS NULL)
      INTO other, stored, gone
      FROM txpipe.mirror_ledger l LEFT JOIN unnest(mirror_note.paths) AS p (path) ON p.path = l.path
     WHERE l.location = mirror_note.location;
    IF other <> mirror_note.directory THEN
        RAISE EXCEPTION 'the location has files of the %', CASE other WHEN 'lake' THEN 'lake' ELSE 'export directory' END
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Give each directory a server of its own, whose url has another prefix.';
    ELSIF stored > 0 AND cardinality(paths) = 0 THEN
        RAISE EXCEPTION 'the % directory is empty, and the store has % of its files', mirror_note.directory, stored
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Is its file system mounted? Where it is meant to be empty, put a file into it: then the objects are removed.';
    ELSIF gone > 10 AND (gone = stored OR cardinality(paths) < stored / 2.0) AND NOT remove_many THEN
        -- Exports replace parts by others of another name, but keep the names of manifests.
        RAISE EXCEPTION 'the % directory lacks % of the % files that the store has of it', mirror_note.directory, gone, stored
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'So many objects are not removed unasked.',
                  HINT = 'Is its file system mounted, and is it the same directory? If they are meant to go, CALL txpipe.mirror(…, remove_many => true).';
    END IF;
    SELECT o.path INTO other
      FROM unnest(others) AS o (path)
     WHERE EXISTS (SELECT FROM txpipe.mirror_ledger l
                    WHERE l.location = mirror_note.location AND l.state <> 'deleting' AND (l.path = o.path OR starts_with(l.path, o.path || '/')))
     LIMIT 1;
    IF other IS NOT NULL THEN
        RAISE EXCEPTION '"%" of the % directory is a link or a device now, and the store has its files', other, mirror_note.directory
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Links are not followed.',
                  HINT = 'Put the file or directory back, or remove the link: then the objects are removed.';
    END IF;
    DELETE FROM txpipe.mirror_ledger l
     WHERE l.location = mirror_note.location AND NOT l.is_sent
       AND NOT EXISTS (SELECT FROM unnest(mirror_note.paths) AS p (path) WHERE p.path = l.path);
    UPDATE txpipe.mirror_ledger l SET state = 'deleting', attempts = 0, last_error = NULL
     WHERE l.location = mirror_note.location AND l.state <> 'deleting'
       AND NOT EXISTS (SELECT FROM unnest(mirror_note.paths) AS p (path) WHERE p.path = l.path);
    INSERT INTO txpipe.mirror_ledger AS l (location, directory, path, bytes, changed_at)
    SELECT mirror_note.location, mirror_note.directory, f.path, f.bytes, f.changed_at
      FROM unnest(mirror_note.paths, mirror_note.bytes, mirror_note.changed_at) AS f (path, bytes, changed_at)
        ON CONFLICT (location, path) DO UPDATE
       SET state = 'waiting', bytes = excluded.bytes, changed_at = excluded.changed_at, attempts = 0, last_error = NULL
     WHERE l.state = 'deleting' OR (l.bytes, l.changed_at) IS DISTINCT FROM (excluded.bytes, excluded.changed_at);
END
$body$;
COMMENT ON FUNCTION txpipe.mirror_note(text, text, text[], bigint[], timestamptz[], text[], boolean) IS
'Part of mirror(): enters what is in the directory, and what is not there any more. Errors: 55000 for a location that another directory
has, for a directory that is suddenly empty or lacks most of its files, and for a link in the place of files';

CREATE FUNCTION txpipe.is_index(directory text, location text, path text)
RETURNS boolean
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
    SELECT directory = 'export' AND (is_index.path ~ '(^|/)_manifest[.]json$' OR is_index.path ~ '[.]json$' AND EXISTS (
        SELECT FROM txpipe.mirror_ledger l WHERE l.location = is_index.location AND l.path = left(is_index.path, -length('.json'))))
$body$;
COMMENT ON FUNCTION txpipe.is_index(text, text, text) IS
'Part of mirror(): is a file of the export directory the manifest of a data set, or the side file of another file?';

CREATE FUNCTION txpipe.mirror_work(location text, kind text)
RETURNS TABLE (path text, has_side boolean)
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
    WITH held AS MATERIALIZED (
        SELECT left(m.path, -length('_manifest.json')) AS name FROM txpipe.mirror_ledger m
         WHERE mirror_work.kind = 'gone file' AND m.location = mirror_work.location AND m.state <> 'stored' AND m.path ~ '(^|/)_manifest[.]json$')
    SELECT l.path, EXISTS (SELECT FROM txpipe.mirror_ledger s
                            WHERE s.location = l.location AND s.path = l.path || '.json' AND s.directory = 'export' AND s.sha256 IS NOT NULL)
      FROM txpipe.mirror_ledger l
     WHERE l.location = mirror_work.location
       AND l.state = CASE WHEN mirror_work.kind IN ('file', 'index') THEN 'waiting' ELSE 'deleting' END
       AND txpipe.is_index(l.directory, l.location, l.path) = (mirror_work.kind IN ('index', 'gone index'))
       AND NOT EXISTS (SELECT FROM held h WHERE starts_with(l.path, h.name))
     ORDER BY l.path
$body$;
COMMENT ON FUNCTION txpipe.mirror_work(text, text) IS
'Part of mirror(): what is to be sent (kind file, then index: what names others) or removed (gone index, then gone file: not as long as the
store may have a manifest that names it). has_side: the store has the side file';

CREATE FUNCTION txpipe.files_named(path text, content jsonb)
RETURNS TABLE (file text, sha256 text)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
    SELECT left(files_named.path, -length('.json')), content ->> 'sha256'
     WHERE files_named.path !~ '(^|/)_manifest[.]json$' AND content ? 'sha256'
     UNION ALL
    SELECT left(files_named.path, -length('_manifest.json')) || (p ->> 'file'), p ->> 'sha256'
      FROM jsonb_path_query(content, 'lax $.parts[*]') AS p
     WHERE files_named.path ~ '(^|/)_manifest[.]json$'
     UNION ALL
    SELECT left(files_named.path, -length('_manifest.json')) || (d ->> 'dataset') || '/' || (p ->> 'file'), p ->> 'sha256'
      FROM jsonb_path_query(content, 'lax $.datasets[*]') AS d, jsonb_path_query(d, 'lax $.parts[*]') AS p
     WHERE files_named.path ~ '(^|/)_manifest[.]json$'
$body$;
COMMENT ON FUNCTION txpipe.files_named(text, jsonb) IS
'Part of mirror(): the files that a manifest or side file names, with their SHA-256 in hexadecimal';

CREATE FUNCTION txpipe.mirror_missing(location text, path text, content text)
RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    missing text;
BEGIN
    SELECT n.file INTO missing
      FROM txpipe.files_named(mirror_missing.path, mirror_missing.content::jsonb) n
     WHERE NOT EXISTS (
        SELECT FROM txpipe.mirror_ledger l
         WHERE l.location = mirror_missing.location AND l.path = n.file AND l.state = 'stored' AND encode(l.sha256, 'hex') = n.sha256)
     LIMIT 1;
    RETURN missing;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    -- It is none of ours, and names nothing.
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION txpipe.mirror_missing(text, text, text) IS
'Part of mirror(): a file that a manifest or side file names and that the store has not with this SHA-256; NULL: there is none';

CREATE PROCEDURE txpipe.mirror(server text, directory text DEFAULT 'export', remove_many boolean DEFAULT false)
LANGUAGE c
AS 'MODULE_PATHNAME', 'txpipe_mirror';
COMMENT ON PROCEDURE txpipe.mirror(text, text, boolean) IS
'Makes an object store have what a directory has: export (txpipe.export_directory) or lake (txpipe.lake_directory), hidden files excepted. server: one of
the wrapper txpipe_object, whose url says where; the caller needs USAGE on it and a user mapping with the key. New and changed files are
sent, those of more than 32 MB in parts; the store checks the SHA-256 of all it takes, and is then asked for size and hash of each object. Manifests and
side files come behind what they name, and objects whose files are gone are removed behind the manifests, so who reads by the manifest has all of
an export. What fails is tried again four times, then by the next call; txpipe.mirrored_file says what and why, txpipe.run has the runs. It commits object by
object and holds no snapshot while it waits for the store. ROLLBACK does not undo it. Errors: 25001 inside a transaction block, 25006 on a standby, 55P03 when another
session is at it, 22023 for another directory, 55000 without a key, for a directory that is not set, suddenly empty or without most of its files (remove_many => true
removes their objects), for a link in the place of files, and for a location that the other directory has; 42704 no such server, or
no such bucket; 28000 the store refuses the key, or the clock; 08006 it does not answer; 08P01 it answers what nobody expects; 58030 it refuses one object, or has something else than was sent.';
