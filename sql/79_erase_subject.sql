-- 79_erase_subject.sql: every copy of a person that txpipe knows of, deleted or blanked.
--
-- Everything is looked for as the caller, in what he owns; what is found in our own tables is erased by erase_kept(), which
-- touches nothing of others.

CREATE FUNCTION txpipe.erase_kept(what text, ids bigint[], line_nos bigint[] DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_erase_kept';
COMMENT ON FUNCTION txpipe.erase_kept(text, bigint[], bigint[]) IS
    'Part of erase_subject(): erases dead letters, rejected records (ids are files, with line_nos), alerts, messages of the outbox, rows of archives, or '
    'copies of files in the lake, of streams, feeds and routes that the caller owns. Result: how many';

CREATE FUNCTION txpipe.erase_copies(subject jsonb, server text, rejected bigint[], rejected_lines bigint[])
    RETURNS TABLE (feed text, hindrance text, copies bigint, records bigint, file_ids bigint[])
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_erase_copies';
COMMENT ON FUNCTION txpipe.erase_copies(jsonb, text, bigint[], bigint[]) IS
    'Part of erase_subject(): has the copies in the lake of the caller''s own feeds written anew without the person''s records, and those rejected ones (files, '
    'lines). Result: for each feed copies and records, and with a hindrance how many copies were not searched, of which files';

CREATE TABLE txpipe.erasure_store (
    erasure_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    role name NOT NULL,
    login name NOT NULL,
    report jsonb NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now()
);
SELECT pg_catalog.pg_extension_config_dump('txpipe.erasure_store', '');
SELECT pg_catalog.pg_extension_config_dump('txpipe.erasure_store_erasure_id_seq', '');
REVOKE ALL ON txpipe.erasure_store FROM PUBLIC;
COMMENT ON TABLE txpipe.erasure_store IS 'What erase_subject() has erased; read it in txpipe.erasure_log';
COMMENT ON COLUMN txpipe.erasure_store.erasure_id IS 'Number of the erasure';
COMMENT ON COLUMN txpipe.erasure_store.role IS 'Role whose data was erased, the one that called';
COMMENT ON COLUMN txpipe.erasure_store.login IS 'Role that had logged in';
COMMENT ON COLUMN txpipe.erasure_store.report IS 'Places, actions and counts, as the call returned them';
COMMENT ON COLUMN txpipe.erasure_store.erased_at IS 'When its transaction began';

CREATE VIEW txpipe.erasure_log WITH (security_barrier) AS
    SELECT e.erasure_id, e.erased_at, e.role, e.login, e.report
      FROM txpipe.erasure_store e
      LEFT JOIN pg_catalog.pg_roles r ON r.rolname OPERATOR(pg_catalog.=) e.role
     WHERE pg_catalog.pg_has_role(r.oid, 'USAGE')
        OR (SELECT s.rolsuper FROM pg_catalog.pg_roles s WHERE s.rolname OPERATOR(pg_catalog.=) CURRENT_USER);
GRANT SELECT ON txpipe.erasure_log TO PUBLIC;
COMMENT ON VIEW txpipe.erasure_log IS 'What members of your roles have erased of persons: when, who, where and how much, not whom';
COMMENT ON COLUMN txpipe.erasure_log.erasure_id IS 'Number of the erasure';
COMMENT ON COLUMN txpipe.erasure_log.erased_at IS 'When its transaction began';
COMMENT ON COLUMN txpipe.erasure_log.role IS 'Role whose data was erased, the one that called';
COMMENT ON COLUMN txpipe.erasure_log.login IS 'Role that had logged in';
COMMENT ON COLUMN txpipe.erasure_log.report IS 'Places, actions and counts, as the call returned them';

CREATE FUNCTION txpipe.note_erasure(report jsonb) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_note_erasure';
COMMENT ON FUNCTION txpipe.note_erasure(jsonb) IS 'Part of erase_subject(): its record in txpipe.erasure_log';

CREATE FUNCTION txpipe.mentions(subject jsonb, VARIADIC parts text[]) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
AS $$
DECLARE
    part text;
    forms text[] := '{}';
BEGIN
    FOREACH part IN ARRAY parts LOOP
        forms := forms || part || replace(part, '""', '"');         -- as CSV quotes
        CONTINUE WHEN part IS NULL OR position('\' IN part) = 0;
        BEGIN
            part := part::jsonb::text;          -- without \u
        EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
            NULL;                               -- it is no JSON, or broken
        END;
        forms := forms || regexp_replace(part, '\\(["\\/])', '\1', 'g');
    END LOOP;
    RETURN (SELECT coalesce(bool_and(EXISTS (
        SELECT FROM jsonb_array_elements_text(s.value) AS v (word), unnest(forms) AS f (form)
         WHERE f.form ~ ('(^|[^[:alnum:]])' || regexp_replace(v.word, '([^[:alnum:] ])', '\\\1', 'g') || '($|[^[:alnum:]])'))), false)
        FROM jsonb_each(subject) AS s);
END
$$;
COMMENT ON FUNCTION txpipe.mentions(jsonb, text[]) IS
    'Part of erase_subject(): whether a value of each member of the subject, whose members are arrays, is a word of a part of the record, escaped or not';

CREATE VIEW txpipe.subject_place WITH (security_barrier) AS
    SELECT p.target_schema, p.target_table,
           pg_catalog.array_agg(DISTINCT e.name) FILTER (WHERE e.name IS NOT NULL) AS encrypted,
           pg_catalog.bool_or(pg_catalog.pg_has_role(c.relowner, p.owner_oid, 'USAGE') OR c.oid OPERATOR(pg_catalog.=) p.target_oid) IS NOT TRUE AS is_planted
      FROM (SELECT owner_oid, owner_name, target_schema, target_table, target_oid, columns FROM txpipe.stream
            UNION ALL SELECT owner_oid, owner_name, target_schema, target_table, target_oid, columns FROM txpipe.feed
            UNION ALL SELECT s.owner_oid, s.owner_name, w.table_schema, w.name || x, NULL, NULL
                        FROM txpipe.window_store w JOIN txpipe.stream s USING (stream_id)
                       CROSS JOIN pg_catalog.unnest(ARRAY['', '_state', '_late', '_closed']) AS x) p
      LEFT JOIN LATERAL (SELECT c.key FROM pg_catalog.jsonb_each(p.columns) AS c WHERE c.value ->> 'as' = 'encrypt') AS e (name) ON true
      JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) p.target_schema      -- some feeds have steps only
      JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid AND c.relname OPERATOR(pg_catalog.=) p.target_table
     WHERE p.owner_name = CURRENT_USER AND txpipe.is_owner(p.owner_oid, p.owner_name)
     GROUP BY p.target_schema, p.target_table;
GRANT SELECT ON txpipe.subject_place TO PUBLIC;
COMMENT ON VIEW txpipe.subject_place IS 'Tables in which erase_subject() looks: targets of your own streams and feeds, and tables of their windows';
COMMENT ON COLUMN txpipe.subject_place.target_schema IS 'Schema of the table';
COMMENT ON COLUMN txpipe.subject_place.target_table IS 'Name of the table';
COMMENT ON COLUMN txpipe.subject_place.encrypted IS 'Its columns that a mapping encrypts; NULL: none';
COMMENT ON COLUMN txpipe.subject_place.is_planted IS 'Whether it only has the name of such a table and belongs to a role without your rights, whose triggers would run as you';

-- What is true of the rows of these columns that are the person's; NULL: not all of the subject's are there.
CREATE FUNCTION txpipe.subject_condition(columns text[], subject jsonb, encrypted text[], server text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN bool_and(s.key = ANY (columns)) THEN string_agg(
               CASE WHEN NOT s.key = ANY (coalesce(encrypted, '{}'))
                    THEN format('t.%I::text = ANY (%L)', s.key, ARRAY(SELECT jsonb_array_elements_text(s.value)))
                    ELSE format('txpipe.decrypt(t.%I, %L) = ANY (%L)', s.key, server, ARRAY(SELECT jsonb_array_elements_text(s.value)))
               END, ' AND ' ORDER BY s.key = ANY (coalesce(encrypted, '{}'))) END
      FROM jsonb_each(subject) AS s
$$;
COMMENT ON FUNCTION txpipe.subject_condition(text[], jsonb, text[], text) IS 'Part of erase_subject(): which rows t with these columns are the person''s';

-- As subject_condition() has it, of a row that is kept as texts: what a value is as text may depend on the session's settings.
CREATE FUNCTION txpipe.is_of_subject(subject jsonb, columns text[], types text[], cells text[], encrypted text[], server text) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN NOT bool_and(s.key = ANY (columns)) THEN false
                ELSE bool_and(CASE WHEN s.key = ANY (encrypted) IS NOT TRUE THEN coalesce(CASE s.type
                                        WHEN 'timestamp with time zone' THEN s.cell::timestamptz::text
                                        WHEN 'timestamp without time zone' THEN s.cell::timestamp::text
                                        WHEN 'date' THEN s.cell::date::text
                                        WHEN 'bytea' THEN s.cell::bytea::text
                                        WHEN 'real' THEN s.cell::real::text
                                        WHEN 'double precision' THEN s.cell::double precision::text
                                        ELSE s.cell END IN (SELECT jsonb_array_elements_text(s.value)), false)
                                   WHEN s.cell IS NULL THEN false
                                   WHEN server IS NOT NULL THEN txpipe.decrypt(s.cell::bytea, server) IN (SELECT jsonb_array_elements_text(s.value)) END) END
      FROM (SELECT e.key, e.value, cells[array_position(columns, e.key)] AS cell, types[array_position(columns, e.key)] AS type FROM jsonb_each(subject) AS e) s
$$;
COMMENT ON FUNCTION txpipe.is_of_subject(jsonb, text[], text[], text[], text[], text) IS
    'Part of erase_subject(): whether a row of an archive with these columns is the person''s; NULL: it is encrypted, and no server is given';

CREATE FUNCTION txpipe.columns_of(place regclass) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = place AND attnum > 0 AND NOT attisdropped
$$;
COMMENT ON FUNCTION txpipe.columns_of(regclass) IS 'Part of erase_subject(): names of a table''s columns';

CREATE FUNCTION txpipe.erasure(place text, action text, n bigint) RETURNS jsonb
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_array(jsonb_build_object('place', place, 'action', action, 'count', n))
$$;
COMMENT ON FUNCTION txpipe.erasure(text, text, bigint) IS 'Part of erase_subject(): one line of the report';

CREATE PROCEDURE txpipe.erase_subject(
        subject jsonb, dry_run boolean DEFAULT true, server text DEFAULT NULL, remove_copies boolean DEFAULT false,
        INOUT report jsonb DEFAULT NULL)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    person jsonb;
    place record;
    condition text;
    found bigint;
    unread bigint;
    ids bigint[];
    rejected bigint[];
    lines bigint[];
    more bigint[];
    unread_files bigint[] := '{}';
    rewritten bigint := 0;
    removed bigint := 0;
    files bigint[] := '{}';
    no_server CONSTANT text := 'not searched: encrypted, and no server is given';
BEGIN
    IF subject IS NULL OR jsonb_typeof(subject) <> 'object' OR subject = '{}' OR dry_run IS NULL OR remove_copies IS NULL
       OR jsonb_path_exists(subject, '$.* ? (@ == null || @ == "" || @.type() == "object")')
       OR jsonb_path_exists(subject, 'strict $.* ? (@.type() == "array" && @.size() == 0)') THEN
        RAISE EXCEPTION 'subject must be an object of columns and values, and dry_run and remove_copies not null'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For example ''{"email": ["ann@example.com", "ann@example.org"]}''.';
    END IF;
    SELECT jsonb_object_agg(key, CASE jsonb_typeof(value) WHEN 'array' THEN value ELSE jsonb_build_array(value) END)
      INTO person FROM jsonb_each(subject);
    report := '[]';

    SELECT array_agg(l.file_id) FILTER (WHERE l.his), array_agg(l.line_no) FILTER (WHERE l.his), count(*) FILTER (WHERE l.his IS NULL)
      INTO rejected, lines, unread
      FROM (SELECT r.file_id, r.line_no, CASE
                WHEN r.line IS NOT NULL THEN txpipe.mentions(person, r.line, r.line_fixed)
                WHEN server IS NOT NULL THEN txpipe.mentions(person, txpipe.decrypt(r.line_encrypted, server)) END AS his
              FROM txpipe.rejected_row r) l;
    files := files || rejected;

    -- First of all, as loads do: they lock feeds before they write.
    FOR place IN SELECT * FROM txpipe.erase_copies(person, server, rejected, lines) LOOP
        IF place.hindrance IS NULL THEN
            rewritten := rewritten + place.copies;
            removed := removed + place.records;
        ELSE
            report := report || txpipe.erasure('lake, feed ' || place.feed, 'not searched: ' || place.hindrance, place.copies);
            unread_files := unread_files || place.file_ids;
        END IF;
    END LOOP;
    report := report || txpipe.erasure('lake', 'copies rewritten', rewritten) || txpipe.erasure('lake', 'records removed', removed)
                     || txpipe.erasure('rejected records', 'blanked', txpipe.erase_kept('rejected records', rejected, lines));
    IF unread > 0 THEN
        report := report || txpipe.erasure('rejected records', no_server, unread);
    END IF;

    FOR place IN SELECT format('%I.%I', target_schema, target_table)::regclass AS name, encrypted, is_planted,
                        target_schema = 'dwh' AND target_table = 'live_sales' AS is_live
                   FROM txpipe.subject_place ORDER BY target_schema, target_table LOOP
        condition := txpipe.subject_condition(txpipe.columns_of(place.name), person, place.encrypted, server);
        CONTINUE WHEN NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = place.name AND attname IN (SELECT jsonb_object_keys(person)));
        IF place.is_planted THEN
            report := report || txpipe.erasure(place.name::text, 'not searched: it belongs to another role, and is not the table it was', NULL);
            CONTINUE;
        END IF;
        IF condition IS NULL OR server IS NULL AND place.encrypted && ARRAY(SELECT jsonb_object_keys(person)) THEN
            report := report || txpipe.erasure(place.name::text,
                CASE WHEN condition IS NULL THEN 'not searched: it has not all of these columns' ELSE no_server END, NULL);
            CONTINUE;
        END IF;
        IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = place.name AND attname = 'file_id' AND atttypid = 'bigint'::regtype) THEN
            EXECUTE format('SELECT array_agg(DISTINCT t.file_id) FROM %s AS t WHERE %s', place.name, condition) INTO more;
            files := files || more;
        END IF;
        EXECUTE format(CASE WHEN place.is_live
            THEN 'UPDATE %s AS t SET customer_id = 0, first_name = NULL, last_name = NULL, email = NULL, street = NULL, postal_code = NULL WHERE %s'
            ELSE 'DELETE FROM %s AS t WHERE %s' END, place.name, condition);
        GET DIAGNOSTICS found = ROW_COUNT;
        report := report || txpipe.erasure(place.name::text, CASE WHEN place.is_live THEN 'blanked' ELSE 'deleted' END, found);
    END LOOP;

    -- Facts and sums stay; who it was and where he lives go.
    IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('dwh.dim_customer') AND pg_get_userbyid(relowner) = CURRENT_USER) THEN
        condition := txpipe.subject_condition(txpipe.columns_of(to_regclass('dwh.dim_customer')), person, NULL, NULL);
    ELSE
        condition := NULL;
    END IF;
    IF condition IS NOT NULL THEN
        EXECUTE format('SELECT array_agg(t.customer_key) FROM dwh.dim_customer AS t WHERE t.customer_key > 0 AND %s', condition) INTO ids;
        SELECT array_agg(DISTINCT f.file_id) INTO more FROM dwh.fact_sales f WHERE f.customer_key = ANY (ids);
        files := files || more;
        IF txpipe.warehouse_is_distributed() THEN
            PERFORM dwh.note_months(ARRAY(SELECT DISTINCT f.transaction_date FROM dwh.fact_sales f WHERE f.customer_key = ANY (ids)));
        END IF;
        UPDATE dwh.fact_sales SET street = NULL, postal_code = NULL
         WHERE customer_key = ANY (ids) AND num_nonnulls(street, postal_code) > 0;
        GET DIAGNOSTICS found = ROW_COUNT;
        report := report || txpipe.erasure('dwh.fact_sales', 'addresses blanked', found);
        UPDATE dwh.dim_customer SET customer_id = NULL, first_name = '(erased)', last_name = '(erased)', email = '(erased)'
         WHERE customer_key = ANY (ids);
        GET DIAGNOSTICS found = ROW_COUNT;
        report := report || txpipe.erasure('dwh.dim_customer', 'blanked', found);
    END IF;

    SELECT array_agg(l.id) FILTER (WHERE l.his), count(*) FILTER (WHERE l.his IS NULL) INTO ids, unread
      FROM (SELECT d.dead_letter_id AS id, CASE
                WHEN NOT d.encrypted THEN txpipe.mentions(person, encode(d.kafka_key, 'escape'), txpipe.utf8(d.kafka_key),
                    d.kafka_headers::text, coalesce(d.payload_text, encode(d.payload, 'escape')), txpipe.utf8(d.payload_fixed))
                WHEN server IS NOT NULL THEN txpipe.mentions(person, txpipe.utf8(txpipe.decrypt_bytes(d.kafka_key, server)),
                    txpipe.utf8(txpipe.decrypt_bytes(decode(d.kafka_headers #>> '{}', 'hex'), server)),
                    txpipe.utf8(txpipe.decrypt_bytes(d.payload, server))) END AS his
              FROM txpipe.dead_letter d) l;
    report := report || txpipe.erasure('dead letters', 'deleted', txpipe.erase_kept('dead letters', ids));
    IF unread > 0 THEN
        report := report || txpipe.erasure('dead letters', no_server, unread);
    END IF;

    SELECT array_agg(a.alert_id) INTO ids FROM txpipe.alert a
     WHERE txpipe.mentions(person, a.subject, a.transaction_id, a.reason, a.evidence::text);
    report := report || txpipe.erasure('alerts', 'blanked', txpipe.erase_kept('alerts', ids));
    SELECT array_agg(o.outbox_id) INTO ids FROM txpipe.outbox o WHERE txpipe.mentions(person, o.key::text, o.value::text, o.headers::text);
    report := report || txpipe.erasure('outbox', 'deleted', txpipe.erase_kept('outbox', ids));

    SELECT array_agg(r.archive_row_id) FILTER (WHERE r.his), count(*) FILTER (WHERE r.his IS NULL) INTO ids, unread
      FROM (SELECT a.archive_row_id, txpipe.is_of_subject(person, a.columns, a.types, a.cells, a.encrypted, server) AS his FROM txpipe.archive_row a) r;
    report := report || txpipe.erasure('archives', 'deleted', txpipe.erase_kept('archive rows', ids));
    IF unread > 0 THEN
        report := report || txpipe.erasure('archives', no_server, unread);
    END IF;

    IF remove_copies THEN
        SELECT array_agg(f.file_id) INTO ids FROM txpipe.file f WHERE f.file_id = ANY (files) AND f.file_id = ANY (unread_files);
        report := report || txpipe.erasure('lake', 'copies removed', txpipe.erase_kept('copies', ids));
    END IF;
    report := report || txpipe.erasure('landing and export directories, Kafka, backups', 'out of reach', NULL);
    IF dry_run THEN
        RAISE SQLSTATE 'TXDRY' USING MESSAGE = 'dry run';
    END IF;
    PERFORM txpipe.note_erasure(report);
EXCEPTION WHEN SQLSTATE 'TXDRY' THEN
    NULL;       -- all was done, and is undone
END
$body$;
COMMENT ON PROCEDURE txpipe.erase_subject(jsonb, boolean, text, boolean, jsonb) IS
    'Erases a person from what the calling role owns, in the present transaction. subject: columns and the values that say who it is, for example '
    '{"customer_id": 17, "email": ["a@x.org", "a@y.org"]}; a row is the person''s where each column has one of its values. Rows of targets of streams and '
    'feeds and of their windows are deleted, where the table has all of these columns; persons of dwh.dim_customer, the addresses of their sales, and rows of dwh.live_sales are '
    'blanked, facts and sums stay; rows that wait for the archive of a stream are deleted as those of its target; dead letters and messages of the outbox in which a value of each is a word are deleted, rejected records and alerts blanked. '
    'copies of files in the lake are written anew without the person''s records, whose lines stay empty, and the old ones go when the transaction commits. '
    'server: whose user mapping of the caller has the key to look into encrypted columns and records; without it they are reported as not searched. remove_copies: '
    'copies that were not searched, of files in which something was found, are removed as a whole. dry_run, the default: does '
    'it all and undoes it. Feeds whose copies are searched load nothing until the transaction ends. report: [{"place", "action", "count"}], in the order of the work; txpipe.erasure_log keeps it, and not who the person was. Errors: 22023 the subject is none, 42501 no privilege on a target or on decrypt()';
