-- 57_winners.sql: which of the sales with one transaction_id counts: the first by (group, line), whatever arrived first.
--
-- dwh.sale_key has the place of the one in the fact; dwh.sale_duplicate the places of its repetitions, and
-- dwh.sale_conflict the sales of the same id with other contents, in full. So each can take the place of
-- another, when a file comes late or is taken back. All of it is made by create_warehouse(), which also
-- brings a warehouse of version 0.1.0, which had none of it, to this shape without losing what it holds.

-- Placeholders of SQL about whole sales, so that the list of columns is the tables': {columns}; {r.row:x.content_hash}
-- the alias r, with that hash, as a row of dwh.sale_conflict; {d.row} the row f as the line m of the file s, with the
-- versions valid in its group; {r.columns} the columns of the alias r; {plan for all} the mode of
-- plans that are made once. What stands from {if distributed} to {end} is for facts that
-- Citus keeps, which have no triggers.
CREATE FUNCTION txpipe.sale_sql(template text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $$
    SELECT replace(replace(replace(replace(regexp_replace(regexp_replace(template, '\{if distributed\}(.*?)\{end\}',
            CASE WHEN txpipe.warehouse_is_distributed() THEN '\1' ELSE '' END, 'g'),
        '\{r\.row:(\w+)\.content_hash\}', format('ROW (%s, \1.content_hash)::dwh.sale_conflict',
            string_agg(CASE attgenerated WHEN '' THEN 'r.' || attname ELSE 'NULL' END, ', ' ORDER BY attnum)), 'g'),
        '{d.row}', format('ROW (%s, f.content_hash)::dwh.sale_conflict', string_agg(
            CASE WHEN attgenerated <> '' THEN 'NULL'
                 WHEN attname IN ('file_id', 'line_no') THEN 'm.' || attname
                 WHEN attname IN ('branch_key', 'sales_agent_key')
                 THEN format('dwh.%s(f.%s, s.group_at)', replace(attname, '_key', '_version'), attname)
                 ELSE 'f.' || attname END, ', ' ORDER BY attnum))),
        '{columns}', string_agg(attname, ', ' ORDER BY attnum) FILTER (WHERE attgenerated = '')),
        '{r.columns}', string_agg('r.' || attname, ', ' ORDER BY attnum) FILTER (WHERE attgenerated = '')),
        '{plan for all}', txpipe.rollup_plan_mode())
    FROM pg_attribute
    -- Of dwh.fact_sales these are the warehouse's own columns; there may be others.
    WHERE attrelid = to_regclass('dwh.sale_conflict') AND attname <> 'content_hash' AND attnum > 0 AND NOT attisdropped
$$;
COMMENT ON FUNCTION txpipe.sale_sql(text) IS 'Part of create_warehouse(): SQL about whole sales, with their columns put in';

CREATE FUNCTION txpipe.warehouse_winner_tables()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION dwh.group_order(key text) RETURNS text LANGUAGE sql IMMUTABLE STRICT '
                   'PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS %L',
                   (SELECT prosrc FROM pg_proc WHERE oid = 'txpipe.natural_key(text)'::regprocedure));
    COMMENT ON FUNCTION dwh.group_order(text) IS
    'Sort key of a group''s key, to be compared with COLLATE "C": digits count as numbers, group2 comes before group10';

    ALTER TABLE dwh.setting DROP CONSTRAINT setting_check;
    ALTER TABLE dwh.setting ADD CONSTRAINT setting_check
        CHECK (CASE name WHEN 'earliest_date' THEN value::date IS NOT NULL
                         WHEN 'latest_ahead' THEN value::interval >= interval '0'
                         WHEN 'several_offers' THEN value IN ('reject', 'first', 'highest')
                         WHEN 'conflicts' THEN value IN ('first', 'last')
                         WHEN 'keep_confirmed' THEN value::interval >= interval '0'
                         ELSE false END);
    INSERT INTO dwh.setting (name, value, description) VALUES
        ('conflicts', 'first', 'Of sales with one transaction_id the first or the last by (group, line) counts')
    ON CONFLICT DO NOTHING;

    CREATE INDEX IF NOT EXISTS fact_sales_file ON dwh.fact_sales (file_id, line_no);

    CREATE TABLE IF NOT EXISTS dwh.source_file (
        file_id bigint PRIMARY KEY,
        group_key text NOT NULL,
        group_order text COLLATE "C" NOT NULL,
        group_at timestamptz NOT NULL,
        rollups_pending boolean NOT NULL DEFAULT false
    );
    -- Of files that are there already it is not known.
    ALTER TABLE dwh.source_file ADD COLUMN IF NOT EXISTS first_date date NOT NULL DEFAULT '-infinity',
                                ADD COLUMN IF NOT EXISTS last_date date NOT NULL DEFAULT 'infinity';
    CREATE INDEX IF NOT EXISTS source_file_at ON dwh.source_file (group_at);
    CREATE INDEX IF NOT EXISTS source_file_pending ON dwh.source_file (file_id) WHERE rollups_pending;
    COMMENT ON TABLE dwh.source_file IS 'Files that sales were loaded from, with their place in time';
    COMMENT ON COLUMN dwh.source_file.file_id IS 'File (file_id in the view txpipe.file)';
    COMMENT ON COLUMN dwh.source_file.group_key IS 'Group it was delivered with';
    COMMENT ON COLUMN dwh.source_file.group_order IS 'Sort key of the group (dwh.group_order): the lowest (group, line) of repeated sales counts';
    COMMENT ON COLUMN dwh.source_file.rollups_pending IS 'Its sales are not in the rollups yet; true only within the transaction that loads it';
    COMMENT ON COLUMN dwh.source_file.first_date IS 'All its sales are of this day or later';
    COMMENT ON COLUMN dwh.source_file.last_date IS 'All its sales are of this day or earlier: only months between the two are searched for them';
    COMMENT ON COLUMN dwh.source_file.group_at IS 'Time of the group (dwh.group_time): its sales join the versions valid then';

    CREATE TABLE IF NOT EXISTS dwh.sale_duplicate (
        transaction_id text COLLATE "C" NOT NULL,
        file_id bigint NOT NULL,
        line_no bigint NOT NULL,
        PRIMARY KEY (file_id, line_no)
    );
    CREATE INDEX IF NOT EXISTS sale_duplicate_id ON dwh.sale_duplicate (transaction_id);
    COMMENT ON TABLE dwh.sale_duplicate IS 'Repetitions of sales in dwh.fact_sales with the same contents';
    COMMENT ON COLUMN dwh.sale_duplicate.transaction_id IS 'Id of the sale';
    COMMENT ON COLUMN dwh.sale_duplicate.file_id IS 'File of the repetition';
    COMMENT ON COLUMN dwh.sale_duplicate.line_no IS 'Line in that file';

    IF to_regclass('dwh.sale_conflict') IS NULL THEN
        CREATE TABLE dwh.sale_conflict (LIKE dwh.fact_sales INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING COMMENTS,
            content_hash bigint NOT NULL,
            PRIMARY KEY (file_id, line_no)
        );
        ALTER TABLE dwh.sale_conflict ALTER transaction_id TYPE text COLLATE "C";
        CREATE INDEX sale_conflict_id ON dwh.sale_conflict (transaction_id);
        COMMENT ON TABLE dwh.sale_conflict IS 'Sales whose transaction_id another one with other contents has, which counts (dwh.setting, conflicts); columns as in dwh.fact_sales';
        COMMENT ON COLUMN dwh.sale_conflict.transaction_id IS 'Id of the sale, also of one in dwh.fact_sales';
        COMMENT ON COLUMN dwh.sale_conflict.content_hash IS 'Hash of its cleaned values, as in dwh.sale_key';
    END IF;

    IF to_regtype('dwh.sale_move') IS NULL THEN
        CREATE TYPE dwh.sale_move AS (transaction_id text, transaction_date date, file_id bigint, line_no bigint,
                                      content_hash bigint, before text, after text);
        COMMENT ON TYPE dwh.sale_move IS 'What a line of a sales file was and is: loaded, duplicate, superseded; NULL: not there. Used by dwh.settle_sales';
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_winner_tables() IS
'Part of create_warehouse(): files, repetitions and conflicts of sales, where they are missing';

CREATE FUNCTION txpipe.warehouse_offer_periods()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'dwh.dim_offer'::regclass AND attname = 'valid_from') THEN
        RETURN;
    END IF;
    ALTER TABLE dwh.dim_offer
        DROP CONSTRAINT dim_offer_offer_code_key,
        ALTER offer_key ADD GENERATED BY DEFAULT AS IDENTITY (START WITH 101),
        ADD offer_number integer NOT NULL GENERATED ALWAYS AS
            (CASE offer_code WHEN 'none' THEN 0 ELSE substr(offer_code, 7)::integer END) STORED
            CHECK (offer_number BETWEEN 0 AND 5),
        ADD valid_from date NOT NULL DEFAULT '-infinity',
        ADD valid_to date NOT NULL DEFAULT 'infinity',
        ADD CHECK (valid_from < valid_to),
        ADD EXCLUDE USING gist (int8range(offer_number, offer_number, '[]') WITH &&,
                                daterange(valid_from, valid_to) WITH &&) DEFERRABLE;
    COMMENT ON TABLE dwh.dim_offer IS 'Offers a sale may redeem, at most one, a row for each period of a rate. A rate is changed by ending a row (valid_to) and adding another; a changed discount_pct applies to sales loaded from then on';
    COMMENT ON COLUMN dwh.dim_offer.offer_key IS 'Key; 0: no offer';
    COMMENT ON COLUMN dwh.dim_offer.offer_number IS 'Number of the offer, 1 to 5; 0: no offer';
    COMMENT ON COLUMN dwh.dim_offer.valid_from IS 'First day of sale the rate is valid on';
    COMMENT ON COLUMN dwh.dim_offer.valid_to IS 'Day of sale the rate ends, exclusive; infinity: open. A sale with an offer that is not valid on its day is rejected';
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_offer_periods() IS 'Part of create_warehouse(): the periods in which offers are valid, where they are missing';

-- File numbers of a ledger that was made anew must not be those of facts that were there before.
CREATE FUNCTION txpipe.skip_file_ids(taken bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF taken > 1000000000000000 THEN
        RAISE EXCEPTION 'file number % is not one the ledger gave', taken
            USING ERRCODE = 'invalid_parameter_value', HINT = 'look for it in dwh.sale_key';
    END IF;
    IF taken >= (SELECT last_value FROM txpipe.file_ledger_file_id_seq) THEN
        PERFORM setval('txpipe.file_ledger_file_id_seq', taken);
    END IF;
END
$body$;
COMMENT ON FUNCTION txpipe.skip_file_ids(bigint) IS
'Part of create_warehouse(): new files get numbers above this one. Errors: 22023 the number is absurd';

CREATE FUNCTION txpipe.warehouse_adopt()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF (SELECT version FROM dwh.version) = '0.1.0' THEN
        -- Files the ledger does not know any more come before all others.
        INSERT INTO dwh.source_file
            SELECT k.file_id, coalesce(f.group_key, ''), coalesce(dwh.group_order(f.group_key), ''),
                   coalesce(dwh.group_time(f.group_key), '-infinity')
            FROM (SELECT DISTINCT file_id FROM dwh.sale_key) k
            LEFT JOIN txpipe.file f ON f.file_id = k.file_id AND f.feed = 'sales_transactions'
                                    AND f.loaded_at IS NOT NULL
            ON CONFLICT DO NOTHING;
        UPDATE dwh.version SET version = '0.2.0';
    END IF;
    PERFORM txpipe.skip_file_ids(max(file_id))
    FROM (SELECT max(file_id) AS file_id FROM dwh.source_file
          UNION ALL SELECT max(file_id) FROM dwh.branch_delivery
          UNION ALL SELECT max(file_id) FROM dwh.sales_agent_delivery) taken;
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_adopt() IS
'Part of create_warehouse(): enters files loaded before they were kept, and keeps file numbers apart';

CREATE FUNCTION txpipe.warehouse_winner_functions()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    CREATE OR REPLACE FUNCTION dwh.touch_days(days date[], cause bigint)
    RETURNS TABLE (line_no bigint, outcome text, code text, message text, column_name text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $function$
    BEGIN
        -- Triggers of the facts have done so already, but tables of Citus have none.
        UPDATE dwh.source_file s SET first_date = least(s.first_date, d.low), last_date = greatest(s.last_date, d.high)
        FROM (SELECT min(day) AS low, max(day) AS high FROM unnest(days) AS day) d
        WHERE s.file_id = cause AND (d.low < s.first_date OR d.high > s.last_date);
        UPDATE dwh.sales_day s SET version = s.version + 1, file_id = cause, changed_at = now()
        WHERE s.transaction_date = ANY (days) AND s.changed_at <> now();
        INSERT INTO dwh.sales_day AS s (transaction_date, version, file_id, changed_at)
        SELECT DISTINCT day, 1, cause, now() FROM unnest(days) AS day
        WHERE NOT EXISTS (SELECT FROM dwh.sales_day d WHERE d.transaction_date = day)
        ON CONFLICT (transaction_date) DO UPDATE
        SET version = s.version + 1, file_id = EXCLUDED.file_id, changed_at = EXCLUDED.changed_at;
    END
    $function$;
    COMMENT ON FUNCTION dwh.touch_days(date[], bigint) IS
    'Counts in dwh.sales_day that the figures of these days change, once in a transaction, and notes in dwh.source_file that
    the file has sales of them. cause: the file that does it. Returns no rows, in the shape a step of a feed has.';

    -- enable_seqscan: a batch may settle a few of many millions of sales; each is found by its place. Plans for few are kept
    -- and look into indexes: making them takes longer than they run. Plans for many know how many.
    EXECUTE txpipe.sale_sql($sql$
    CREATE OR REPLACE FUNCTION dwh.settle_sales(ids text[], lines dwh.sale_conflict[], leaving bigint)
    RETURNS SETOF dwh.sale_move
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
    SET enable_seqscan = off SET enable_hashjoin = on SET enable_mergejoin = on SET jit = off
    AS $function$
    DECLARE
        moves dwh.sale_move[];
        out_of_fact dwh.sale_move[];
        out_of_conflict dwh.sale_move[];
        out_of_duplicate dwh.sale_move[];
        copied dwh.sale_move[];
        quarantined dwh.sale_move[];
        repeated dwh.sale_move[];
        winners dwh.sale_move[];
        gone dwh.sale_conflict[];
        to_fact dwh.sale_conflict[];
        to_conflict dwh.sale_conflict[];
    BEGIN
        IF cardinality(ids) <= 100 AND cardinality(lines) <= 100 THEN
            SET LOCAL plan_cache_mode = {plan for all};
            SET LOCAL enable_hashjoin = off;
            SET LOCAL enable_mergejoin = off;
        END IF;
        WITH id AS (
            SELECT DISTINCT transaction_id COLLATE "C" AS transaction_id FROM unnest(ids) AS transaction_id
        ), known AS (
            SELECT k.transaction_id, k.transaction_date, k.file_id, k.line_no, k.content_hash, 'loaded' AS before
            FROM id JOIN dwh.sale_key k USING (transaction_id)
            UNION ALL
            SELECT d.transaction_id, k.transaction_date, d.file_id, d.line_no, k.content_hash, 'duplicate'
            FROM id JOIN dwh.sale_duplicate d USING (transaction_id) JOIN dwh.sale_key k USING (transaction_id)
            UNION ALL
            SELECT c.transaction_id, c.transaction_date, c.file_id, c.line_no, c.content_hash, 'superseded'
            FROM id JOIN dwh.sale_conflict c USING (transaction_id)
        ), place AS (
            SELECT k.*, k.file_id IS NOT DISTINCT FROM leaving AS leaves
            FROM known k
            WHERE NOT EXISTS (SELECT FROM unnest(lines) l WHERE l.file_id = k.file_id AND l.line_no = k.line_no)
            UNION ALL
            SELECT l.transaction_id, l.transaction_date, l.file_id, l.line_no, l.content_hash, NULL, false
            FROM unnest(lines) l
        ), ranked AS (
            SELECT p.*, p.content_hash AS hash,
                   row_number() OVER (PARTITION BY p.transaction_id ORDER BY s.group_order, s.group_key COLLATE "C",
                                      p.line_no, p.content_hash, p.file_id) AS position,
                   count(*) OVER (PARTITION BY p.transaction_id) AS places
            FROM place p LEFT JOIN dwh.source_file s ON s.file_id = p.file_id WHERE NOT p.leaves
        ), judged AS (
            SELECT r.*, r.position = w.position AS wins,
                   max(r.hash) FILTER (WHERE r.position = w.position) OVER (PARTITION BY r.transaction_id) AS winner_hash
            FROM ranked r CROSS JOIN LATERAL (
                SELECT CASE WHEN (SELECT value FROM dwh.setting WHERE name = 'conflicts') = 'last'
                            THEN r.places ELSE 1 END AS position) w
        )
        SELECT array_agg(m.move),
               array_agg(m.move) FILTER (WHERE m.before = 'loaded'),
               array_agg(m.move) FILTER (WHERE m.before = 'superseded'),
               array_agg(m.move) FILTER (WHERE m.before = 'duplicate'),
               array_agg(m.move) FILTER (WHERE m.before = 'duplicate' AND m.after IN ('loaded', 'superseded')),
               array_agg(m.move) FILTER (WHERE m.before IS NULL AND m.after = 'superseded'),
               array_agg(m.move) FILTER (WHERE m.after = 'duplicate'),
               array_agg(m.move) FILTER (WHERE m.after = 'loaded')
        INTO moves, out_of_fact, out_of_conflict, out_of_duplicate, copied, quarantined, repeated, winners
        FROM (SELECT m.before, m.after, ROW (m.transaction_id, m.transaction_date, m.file_id, m.line_no, m.content_hash,
                                             m.before, m.after)::dwh.sale_move AS move
              FROM (SELECT j.*, CASE WHEN j.wins THEN 'loaded' WHEN j.hash = j.winner_hash THEN 'duplicate'
                                     ELSE 'superseded' END AS after FROM judged j
                    UNION ALL
                    SELECT p.*, NULL, NULL, NULL, NULL, NULL, NULL FROM place p WHERE p.leaves) m
              WHERE m.before IS DISTINCT FROM m.after) m;

        IF out_of_fact IS NOT NULL THEN
            WITH deleted AS (
                DELETE FROM dwh.fact_sales r USING (SELECT m.* FROM unnest(out_of_fact) m OFFSET 0) m
                WHERE r.transaction_date = m.transaction_date AND r.file_id = m.file_id AND r.line_no = m.line_no
                RETURNING m.after, m.content_hash, {r.columns}
            )
            SELECT array_agg(d.sale), array_agg(d.sale) FILTER (WHERE d.after = 'superseded') INTO gone, to_conflict
            FROM (SELECT r.after, {r.row:r.content_hash} AS sale FROM deleted r) d;
        END IF;
        IF out_of_conflict IS NOT NULL THEN
            WITH deleted AS (
                DELETE FROM dwh.sale_conflict r USING unnest(out_of_conflict) m
                WHERE r.file_id = m.file_id AND r.line_no = m.line_no
                RETURNING m.after, {r.row:r.content_hash} AS sale
            )
            SELECT array_agg(d.sale) INTO to_fact FROM deleted d WHERE d.after = 'loaded';
        END IF;
        IF out_of_duplicate IS NOT NULL THEN
            DELETE FROM dwh.sale_duplicate d USING unnest(out_of_duplicate) m
            WHERE d.file_id = m.file_id AND d.line_no = m.line_no;
        END IF;
        -- A repetition has the values of the sale that counted before, and the versions of its own group.
        IF copied IS NOT NULL THEN
            SELECT to_fact || array_agg(c.sale) FILTER (WHERE c.after = 'loaded'),
                   to_conflict || array_agg(c.sale) FILTER (WHERE c.after = 'superseded')
            INTO to_fact, to_conflict
            FROM (SELECT m.after, {d.row} AS sale
                  FROM unnest(copied) m JOIN unnest(gone) f ON f.transaction_id = m.transaction_id
                  JOIN dwh.source_file s ON s.file_id = m.file_id) c;
        END IF;
        IF quarantined IS NOT NULL THEN
            to_conflict := to_conflict || ARRAY(
                SELECT l FROM unnest(quarantined) m JOIN unnest(lines) l ON l.file_id = m.file_id AND l.line_no = m.line_no);
        END IF;
        IF to_fact IS NOT NULL THEN
            INSERT INTO dwh.fact_sales ({columns}) SELECT {columns} FROM unnest(to_fact) f;
        END IF;
        {if distributed}
        PERFORM dwh.sales_moved(to_fact, gone);
        {end}
        IF to_conflict IS NOT NULL THEN
            INSERT INTO dwh.sale_conflict ({columns}, content_hash) SELECT {columns}, content_hash FROM unnest(to_conflict) f;
        END IF;
        IF repeated IS NOT NULL THEN
            INSERT INTO dwh.sale_duplicate (transaction_id, file_id, line_no)
            SELECT m.transaction_id, m.file_id, m.line_no FROM unnest(repeated) m;
        END IF;
        IF winners IS NOT NULL THEN
            UPDATE dwh.sale_key k SET transaction_date = m.transaction_date, file_id = m.file_id, line_no = m.line_no,
                content_hash = m.content_hash
            FROM unnest(winners) m
            WHERE k.transaction_id = m.transaction_id AND (k.file_id, k.line_no) <> (m.file_id, m.line_no);
        END IF;
        IF out_of_fact IS NOT NULL THEN
            DELETE FROM dwh.sale_key k USING unnest(out_of_fact) m
            WHERE k.transaction_id = m.transaction_id AND k.file_id = m.file_id AND k.line_no = m.line_no;
            PERFORM dwh.touch_days(ARRAY(SELECT DISTINCT g.transaction_date FROM unnest(gone || to_fact) g),
                                   coalesce(leaving, (lines[1]).file_id));
        END IF;
        RETURN QUERY SELECT * FROM unnest(moves);
    END
    $function$
    $sql$);
    COMMENT ON FUNCTION dwh.settle_sales(text[], dwh.sale_conflict[], bigint) IS
    'Finds anew which of the sales of each id counts, and puts all of them where they belong. lines: sales about to be
    loaded; leaving: file taken back. Returns the lines that are something else now; those of lines that are loaded
    enter the fact by the caller.';

    CREATE OR REPLACE FUNCTION dwh.settle_repeated(lines dwh.sale_conflict[])
    RETURNS TABLE (line_no bigint, outcome text, code text, message text, column_name text, file_id bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $function$
    BEGIN
        IF cardinality(lines) > 0 THEN
            RETURN QUERY
            SELECT m.line_no, m.after, m.before, NULL::text, NULL::text, CASE WHEN m.before IS NOT NULL THEN m.file_id END
            FROM dwh.settle_sales(ARRAY(SELECT l.transaction_id FROM unnest(lines) l), lines, NULL) m
            WHERE m.before IS NOT NULL OR m.after <> 'loaded';
        END IF;
    END
    $function$;
    COMMENT ON FUNCTION dwh.settle_repeated(dwh.sale_conflict[]) IS
    'Settles the sales of a batch whose ids were there before, or are there twice. Returns what became of lines that
    are not loaded, and of lines of other files that are something else now (file_id), in the shape a step has';

    -- Most sales are in one place only: they are deleted as they are found. The others are settled. A plan is kept for the
    -- session, and may have been made for empty tables: it must stay with the index.
    EXECUTE txpipe.sale_sql($sql$
    CREATE OR REPLACE FUNCTION dwh.unload_sales(unloaded bigint)
    RETURNS TABLE (line_no bigint, outcome text, code text, message text, column_name text, file_id bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = auto
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
    AS $function$
    DECLARE
        lines_at_once CONSTANT bigint := 20000;
        first_line bigint := 0;
        next_line bigint;
        contested text[];
        days date[];
        low date;
        high date;
    BEGIN
        SELECT coalesce(min(s.first_date), '-infinity'), coalesce(max(s.last_date), 'infinity') INTO low, high
        FROM dwh.source_file s WHERE s.file_id = unloaded;
        -- A DELETE opens all months that its plan has. A plan for two of them is made sooner than hundreds are opened.
        IF high < low + 32 THEN
            SET LOCAL plan_cache_mode = force_custom_plan;
        END IF;
        LOOP
            next_line := first_line + lines_at_once;
            SELECT array_agg(p.transaction_id) INTO contested FROM (
                SELECT f.transaction_id
                FROM (SELECT f.transaction_id FROM dwh.fact_sales f
                      WHERE f.file_id = unloaded AND f.line_no >= first_line AND f.line_no < next_line
                        AND f.transaction_date BETWEEN low AND high OFFSET 0) f
                -- Not EXISTS, which may read the whole table for each month, to hash it.
                WHERE coalesce((SELECT true FROM dwh.sale_duplicate d WHERE d.transaction_id = f.transaction_id LIMIT 1),
                               (SELECT true FROM dwh.sale_conflict c WHERE c.transaction_id = f.transaction_id LIMIT 1), false)
                UNION ALL SELECT d.transaction_id FROM dwh.sale_duplicate d
                WHERE d.file_id = unloaded AND d.line_no >= first_line AND d.line_no < next_line
                UNION ALL SELECT c.transaction_id FROM dwh.sale_conflict c
                WHERE c.file_id = unloaded AND c.line_no >= first_line AND c.line_no < next_line) p;
            IF contested IS NOT NULL THEN
                RETURN QUERY
                SELECT m.line_no, m.after, m.before, NULL::text, NULL::text, m.file_id
                FROM dwh.settle_sales(contested, '{}', unloaded) m WHERE m.after IS NOT NULL;
            END IF;
            {if distributed}
            PERFORM dwh.sales_moved(NULL, ARRAY(
                SELECT {r.row:r.content_hash}
                FROM (SELECT 0::bigint AS content_hash, r.* FROM dwh.fact_sales r
                      WHERE r.file_id = unloaded AND r.line_no >= first_line AND r.line_no < next_line
                        AND r.transaction_date BETWEEN low AND high OFFSET 0) r));
            {end}
            WITH gone AS (
                DELETE FROM dwh.fact_sales f
                WHERE f.file_id = unloaded AND f.line_no >= first_line AND f.line_no < next_line
                  AND f.transaction_date BETWEEN low AND high
                RETURNING f.transaction_id, f.transaction_date
            ), forgotten AS (
                DELETE FROM dwh.sale_key k USING gone g WHERE k.transaction_id = g.transaction_id AND k.file_id = unloaded
            )
            SELECT array_agg(DISTINCT g.transaction_date) INTO days FROM gone g;
            PERFORM dwh.touch_days(days, unloaded);
            first_line := next_line;
            EXIT WHEN NOT EXISTS (SELECT f.line_no FROM dwh.fact_sales f WHERE f.file_id = unloaded AND f.line_no >= first_line
                                  AND f.transaction_date BETWEEN low AND high)
                AND NOT EXISTS (SELECT d.line_no FROM dwh.sale_duplicate d WHERE d.file_id = unloaded AND d.line_no >= first_line)
                AND NOT EXISTS (SELECT c.line_no FROM dwh.sale_conflict c WHERE c.file_id = unloaded AND c.line_no >= first_line);
        END LOOP;
        DELETE FROM dwh.source_file s WHERE s.file_id = unloaded;
    END
    $function$
    $sql$);
    COMMENT ON FUNCTION dwh.unload_sales(bigint) IS
    'Takes the sales of a file back: where another loaded file has one of them too, that one counts now. Returns the
    lines of other files that are something else now, in the shape a step has';
END
$body$;
COMMENT ON FUNCTION txpipe.warehouse_winner_functions() IS
'Part of create_warehouse(): the functions of dwh that decide which sale counts; replaces them when called again';
