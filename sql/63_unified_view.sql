-- 63_unified_view.sql: create_unified_view(): one view of what was streamed and what was loaded.
--
-- A row of the batch table counts; a row of the speed table counts until the batch has its key. Both are looked at in one
-- statement, so under one snapshot: no reader sees a row twice or not at all, in whichever order the two are committed.

-- A unique index on exactly these columns decides what is one key: with its operators and collations, whatever schema
-- they are in and whatever the types' defaults are.
CREATE FUNCTION txpipe.unified_key(keys regclass, key text[])
RETURNS TABLE (column_name name, type_oid oid, operator text, collation_oid oid)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT a.attname, a.atttypid, format('OPERATOR(%I.%s)', n.nspname, o.oprname), k.collation_oid
    FROM (SELECT i.* FROM pg_index i
          WHERE i.indrelid = keys AND i.indisunique AND NOT i.indisexclusion AND i.indisvalid AND i.indimmediate
            AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = cardinality(key)
            AND NOT EXISTS (SELECT FROM unnest(key) AS name
                            WHERE NOT EXISTS (SELECT FROM pg_attribute a
                                              WHERE a.attrelid = i.indrelid AND a.attname = name
                                                AND a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1])))
          ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) i
    CROSS JOIN LATERAL unnest(i.indkey::smallint[], i.indclass::oid[], i.indcollation::oid[])
               WITH ORDINALITY AS k (attnum, opclass, collation_oid, n)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    JOIN pg_opclass c ON c.oid = k.opclass
    JOIN pg_amop m ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype
                  AND m.amopstrategy = 3
    JOIN pg_operator o ON o.oid = m.amopopr
    JOIN pg_namespace n ON n.oid = o.oprnamespace
    WHERE k.n <= i.indnkeyatts
    ORDER BY k.n
$body$;
COMMENT ON FUNCTION txpipe.unified_key(regclass, text[]) IS
'Part of create_unified_view(): the columns of the unique index on these columns, neither partial, deferrable nor WITHOUT OVERLAPS, with
what it compares them by; no rows where there is no such index';

CREATE FUNCTION txpipe.check_unified(speed regclass, batch regclass, batch_keys regclass, key text[], source_column name)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    relation regclass;
    names text;
    key_list CONSTANT text := (SELECT string_agg(quote_ident(k), ', ' ORDER BY n) FROM unnest(key) WITH ORDINALITY AS k (k, n));
BEGIN
    IF cardinality(key) IS NULL OR cardinality(key) = 0 OR array_position(key, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'the key of a unified view names no column'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'name the columns that say which rows are the same: key => ''{sensor_id,at}''';
    END IF;
    FOREACH relation IN ARRAY ARRAY[speed, batch, batch_keys] LOOP
        SELECT string_agg(quote_ident(k), ', ') INTO names FROM unnest(key) AS k
        WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = k AND a.attnum > 0);
        IF names IS NOT NULL THEN
            RAISE EXCEPTION 'relation % has no key column %', relation, names USING ERRCODE = 'undefined_column',
                HINT = 'the key has the same names in all of them; a view gives a table other names';
        END IF;
    END LOOP;
    SELECT string_agg(DISTINCT format('%I (%s and %s)', b.attname, format_type(s.atttypid, NULL), format_type(b.atttypid, NULL)), ', ')
    INTO names
    FROM pg_attribute b JOIN pg_attribute s USING (attname)
    WHERE s.attrelid = speed AND s.attnum > 0 AND s.atttypid <> b.atttypid
      AND (b.attrelid = batch AND b.attnum > 0 OR b.attrelid = batch_keys AND b.attname = ANY (key));
    IF names IS NOT NULL THEN
        RAISE EXCEPTION 'columns of % and % have different types', speed, batch
            USING ERRCODE = 'datatype_mismatch', DETAIL = format('Columns: %s.', names),
                  HINT = 'make a view that casts them, and name it instead of the table';
    END IF;
    IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = batch AND a.attname = source_column)
        AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = speed AND a.attname = source_column) THEN
        RAISE EXCEPTION 'both relations have a column "%"', source_column
            USING ERRCODE = 'duplicate_column', HINT = 'source_column => ''…'' gives the view''s own column another name, NULL leaves it out';
    END IF;
    -- A view has no index: of one that is streamed into, whoever made it vouches that its keys are unique.
    FOREACH relation IN ARRAY ARRAY[batch_keys, speed] LOOP
        CONTINUE WHEN relation = speed AND (SELECT c.relkind IN ('v', 'f') FROM pg_class c WHERE c.oid = relation)
                   OR EXISTS (SELECT FROM txpipe.unified_key(relation, key));
        RAISE EXCEPTION 'relation % has no unique index on (%)', relation, key_list
            USING ERRCODE = 'invalid_column_reference',
                  DETAIL = 'It decides which rows are the same, and finds them. It must be valid, and neither partial, deferrable, on expressions nor WITHOUT OVERLAPS.',
                  HINT = CASE (SELECT c.relkind FROM pg_class c WHERE c.oid = relation)
                         WHEN 'v' THEN 'batch_keys => ''…'' names a table that has the keys of this view'
                         ELSE format('CREATE UNIQUE INDEX ON %s (%s);', relation, key_list) END;
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.check_unified(regclass, regclass, regclass, text[], name) IS
'Part of create_unified_view(): raises what is wrong with its arguments';

CREATE FUNCTION txpipe.create_unified_view(
        view text, speed regclass, batch regclass, key text[], batch_keys regclass DEFAULT NULL,
        source_column name DEFAULT 'source', replace boolean DEFAULT false, target_schema name DEFAULT current_schema())
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    keys CONSTANT regclass := coalesce(batch_keys, batch);
    names text[] := parse_ident(view);
    field record;
    batch_fields text;
    speed_fields text;
BEGIN
    IF num_nulls(view, speed, batch) > 0 THEN
        RAISE EXCEPTION 'view, speed and batch must not be NULL' USING ERRCODE = 'null_value_not_allowed',
            HINT = 'SELECT txpipe.create_unified_view(''readings'', ''live_reading'', ''reading'', ''{sensor_id,at}'')';
    ELSIF cardinality(names) = 1 AND target_schema IS NOT NULL THEN
        names := ARRAY[target_schema::text, names[1]];
    ELSIF cardinality(names) <> 2 THEN
        RAISE EXCEPTION 'view % cannot be created', view
            USING ERRCODE = 'invalid_schema_name', HINT = 'name it as schema.view, or select a schema (search_path)';
    END IF;
    PERFORM txpipe.check_unified(speed, batch, keys, key, source_column);
    SELECT string_agg(format('b.%I', b.attname), ', ' ORDER BY b.attnum) || CASE WHEN source_column IS NULL THEN '' ELSE format(', ''batch''::text AS %I', source_column) END,
           string_agg(format('s.%I', s.attname) || CASE WHEN s.attcollation <> b.attcollation
                      THEN ' COLLATE ' || b.attcollation::regcollation ELSE '' END, ', ' ORDER BY b.attnum)
           || CASE WHEN source_column IS NULL THEN '' ELSE ', ''speed''::text' END
    INTO batch_fields, speed_fields
    FROM pg_attribute b JOIN pg_attribute s USING (attname)
    WHERE b.attrelid = batch AND s.attrelid = speed AND b.attnum > 0 AND s.attnum > 0 AND NOT b.attisdropped AND NOT s.attisdropped;
    EXECUTE format('CREATE %s VIEW %I.%I AS SELECT %s FROM %s b UNION ALL SELECT %s FROM %s s'
                   ' WHERE NOT EXISTS (SELECT FROM %s k WHERE %s)',
        CASE WHEN replace THEN 'OR REPLACE' END, names[1], names[2], batch_fields, batch, speed_fields, speed, keys,
        (SELECT string_agg(format('s.%1$I%3$s %2$s k.%1$I%4$s', u.column_name, u.operator,
                                  CASE WHEN s.attcollation <> u.collation_oid THEN ' COLLATE ' || u.collation_oid::regcollation END,
                                  CASE WHEN k.attcollation <> u.collation_oid THEN ' COLLATE ' || u.collation_oid::regcollation END), ' AND ')
         FROM txpipe.unified_key(keys, key) u
         JOIN pg_attribute s ON s.attrelid = speed AND s.attname = u.column_name
         JOIN pg_attribute k ON k.attrelid = keys AND k.attname = u.column_name));
    EXECUTE format('COMMENT ON VIEW %I.%I IS %L', names[1], names[2], format(
        'Rows of %s, and those of %s whose key (%s) it does not have yet', batch, speed, array_to_string(key, ', ')));
    FOR field IN
        SELECT b.attname, coalesce(col_description(batch, b.attnum), col_description(speed, s.attnum)) AS description
        FROM pg_attribute b JOIN pg_attribute s USING (attname)
        WHERE b.attrelid = batch AND s.attrelid = speed AND b.attnum > 0 AND s.attnum > 0 AND NOT b.attisdropped AND NOT s.attisdropped
        UNION ALL SELECT source_column, format('batch: from %s; speed: from %s', batch, speed) WHERE source_column IS NOT NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %I.%I.%I IS %L', names[1], names[2], field.attname, field.description);
    END LOOP;
END
$body$;
COMMENT ON FUNCTION txpipe.create_unified_view(text, regclass, regclass, text[], regclass, name, boolean, name) IS
'Creates a view, owned by the caller, of what was streamed and what was loaded: all rows of batch, and those of speed whose key
batch does not have. A row of speed is replaced in the very transaction that brings the row of batch with its key, whichever
is committed first, and comes back when that row is deleted; a reader, whose statement has one snapshot, sees no gap and no double. Its columns
are those that both have by name, in the order of batch, and source_column: batch or speed (NULL: without). The key has one name in
both; a unique index on exactly these columns of batch, and of speed unless that is a view, decides what is the same with its operators and
collations. A row with a NULL in its key is the same as no other: it is shown. batch_keys: where batch is a view, the table
that has a row with that key for each row of batch and no other, in the same transaction. replace: takes the place of such a view with the same columns, or fewer. target_schema: where
a view named without a schema is made. Needs SELECT on both and CREATE on the schema; readers need SELECT on the view. Errors:
42P10 no such index, 42703 no such key column, 42804 types differ, 42701 both have the source_column, 42P07 the view is there,
22023 no key, 22004 NULL.';
