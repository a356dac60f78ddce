-- The streams of the kill loop, and the check of what they did: as sets, not as counts.
--
-- psql variables: partitions (of each topic), stretch (most seconds a batch is drawn out for).
-- What a message is, is said twice: in TxpipeKill.pm, which produces it, and in kill_loop.sent() here.

CREATE SCHEMA kill_loop;

-- None of these indexes is unique: a message that is stored twice must be seen, not refused.
CREATE TABLE plain (id bigint NOT NULL, v text CHECK (v <> ''), p integer, o bigint);
CREATE INDEX ON plain (p, o);

CREATE TABLE split (id bigint NOT NULL, v text CHECK (v <> ''), p integer, o bigint) PARTITION BY HASH (id);
CREATE TABLE split_0 PARTITION OF split FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE split_1 PARTITION OF split FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX ON split (p, o);

-- Mode upsert: of the messages with one key the last that is accepted stays.
CREATE TABLE keyed (id bigint NOT NULL, k integer, v text CHECK (v <> ''), p integer, o bigint, PRIMARY KEY (p, k));

-- Batches are drawn out, some more and some less, so that those who look for one in flight find it.
CREATE FUNCTION kill_loop.stretch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(random() * TG_ARGV[0]::float8); RETURN NULL; END $$; -- sleep-ok: waits for nothing
CREATE TRIGGER stretch AFTER INSERT ON plain FOR EACH STATEMENT EXECUTE FUNCTION kill_loop.stretch(:'stretch');
CREATE TRIGGER stretch AFTER INSERT ON keyed FOR EACH STATEMENT EXECUTE FUNCTION kill_loop.stretch(:'stretch');
CREATE TRIGGER stretch AFTER INSERT ON split FOR EACH STATEMENT EXECUTE FUNCTION kill_loop.stretch(:'stretch');

CREATE FUNCTION kill_loop.partitions() RETURNS integer LANGUAGE sql IMMUTABLE RETURN :partitions;

-- What must become of the messages lo … hi - 1 of a partition: a row with this id and value, or a dead letter with
-- this code and payload.
CREATE FUNCTION kill_loop.sent(stream text, p integer, lo bigint, hi bigint)
RETURNS TABLE (o bigint, fate text, what text)
LANGUAGE sql STABLE AS $body$
    SELECT o,
           CASE WHEN o % 200 = 7 THEN 'bad_json' WHEN o % 200 = 107 THEN 'bad_value'
                WHEN o % 10000 < 500 AND o % 50 = 13 THEN '23514' ELSE 'row' END,
           CASE WHEN o % 200 = 7 THEN format('{"id":%s%s,"v":', id, key)
                WHEN o % 200 = 107 THEN format('{"id":"n%s"%s,"v":"x"}', id, key)
                WHEN o % 10000 < 500 AND o % 50 = 13 THEN format('{"id":%s%s,"v":""}', id, key)
                ELSE id || ' v' || id END
      FROM (SELECT o, kill_loop.partitions() * o + p AS id,
                   CASE WHEN stream = 'keyed' THEN format(',"k":%s', o % 100) END AS key
              FROM generate_series(lo, hi - 1) AS o) AS m
$body$;

-- What table keyed must hold when hi is the next offset. No key is refused for longer than 600 messages.
CREATE FUNCTION kill_loop.last_of_keys(p integer, hi bigint)
RETURNS TABLE (o bigint, fate text, what text)
LANGUAGE sql STABLE AS $body$
    SELECT DISTINCT ON (o % 100) o, fate, what FROM kill_loop.sent('keyed', p, greatest(hi - 700, 0), hi)
    WHERE fate = 'row' ORDER BY o % 100, o DESC
$body$;

-- Compares what is stored of a stream, from lo[partition + 1] up to its next offsets, with what was sent, and
-- looks for anything beyond them. STABLE: every query sees the caller's snapshot.
CREATE FUNCTION kill_loop.check_stream(name text, lo bigint[], OUT hi bigint[], OUT lost bigint, OUT doubled bigint,
                                       OUT ahead bigint, OUT example text)
LANGUAGE plpgsql STABLE SET work_mem = '256MB' AS $body$
DECLARE
    until bigint;
    n record;
BEGIN
    lost := 0;
    doubled := 0;
    ahead := 0;
    FOR part IN 0 .. kill_loop.partitions() - 1 LOOP
        SELECT s.next_offset INTO until FROM txpipe.stream_partition s
            WHERE s.stream = name AND s.partition = part;
        until := coalesce(until, 0);
        hi[part + 1] := until;
        EXECUTE format($sql$
            WITH sent AS MATERIALIZED (
                SELECT * FROM kill_loop.sent(%1$L, $1, $2, $3) WHERE fate <> 'row' OR NOT $4
                UNION ALL
                SELECT * FROM kill_loop.last_of_keys($1, $3) WHERE $4),
            got AS MATERIALIZED (
                SELECT o, 'row' AS fate, id || ' ' || v AS what FROM %1$I
                WHERE p = $1 AND o >= CASE WHEN $4 THEN 0 ELSE $2 END AND o < $3
                UNION ALL
                SELECT kafka_offset, code, convert_from(payload, 'UTF8') FROM txpipe.dead_letter
                WHERE stream = %1$L AND kafka_topic = %1$L AND kafka_partition = $1
                    AND kafka_offset >= $2 AND kafka_offset < $3),
            -- Whether the table refuses it nobody asks of a message that is replaced in its own batch.
            lost AS (SELECT * FROM (SELECT * FROM sent EXCEPT ALL SELECT * FROM got) AS s
                     WHERE NOT ($4 AND fate = '23514' AND o - o %% 10000 + 500 + o %% 100 < $3)),
            doubled AS (SELECT * FROM got EXCEPT ALL SELECT * FROM sent)
            SELECT (SELECT count(*) FROM lost) AS lost, (SELECT count(*) FROM doubled) AS doubled,
                   (SELECT count(*) FROM %1$I WHERE p = $1 AND o >= $3) +
                   (SELECT count(*) FROM txpipe.dead_letter WHERE stream = %1$L AND kafka_topic = %1$L
                        AND kafka_partition = $1 AND kafka_offset >= $3) AS ahead,
                   (SELECT min('lost: ' || l::text) FROM lost l) AS lost_example,
                   (SELECT min('doubled: ' || d::text) FROM doubled d) AS doubled_example
            $sql$, name)
            INTO n USING part, coalesce(lo[part + 1], 0), until, name = 'keyed';
        lost := lost + n.lost;
        doubled := doubled + n.doubled;
        ahead := ahead + n.ahead;
        IF n.lost + n.doubled + n.ahead > 0 THEN
            example := concat_ws(', ', example, format('%s[%s] %s … %s:', name, part, coalesce(lo[part + 1], 0), until),
                                 n.lost_example, n.doubled_example);
        END IF;
    END LOOP;
END
$body$;
