-- Defining feeds and steps: what is stored, what is refused, and who may do it. Loading is tested in 055_feed.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS txpipe;
RESET client_min_messages;
\set VERBOSITY terse

CREATE SCHEMA feed_test;
SET search_path = feed_test;
CREATE TABLE item (id integer PRIMARY KEY, name text, price numeric(10,2), twice numeric GENERATED ALWAYS AS (price * 2) STORED);
CREATE VIEW item_view AS SELECT * FROM item;
CREATE FUNCTION failure(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE state text; message text; hint text;
BEGIN
    EXECUTE call;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN format('%s: %s%s', state, replace(message, format('"%s"', session_user), '"(superuser)"'), E'\n  ' || nullif(hint, ''));
END
$$;

-- Definitions

SELECT txpipe.create_feed('items', '(g[0-9]+)/items_.*\.csv', 'item');
SELECT txpipe.create_feed('prices', '(?:in/)?(g[0-9]+)/prices\.json', NULL, 'json',
    '{"id": {"path": "id", "type": "integer", "required": true}, "price": {"path": ["p", "price"], "type": "numeric(10,2)"}}',
    'shop', false, 'INSERT INTO feed_test.item (id, price) SELECT id, price FROM batch', 'keep',
    '{"ordinal": 5, "batch_rows": 100}');
SELECT txpipe.on_load('prices', 'checked', 'SELECT line_no, ''rejected'', ''cheap'', ''too cheap'', ''price'' FROM batch WHERE price < 1', 50);
SELECT txpipe.on_load('prices', 'last', 'UPDATE feed_test.item SET name = ''x'' FROM batch WHERE item.id = batch.id');
SELECT feed, file_pattern, target, format, group_name, required, ordinal, after_load, steps
  FROM txpipe.feed_status WHERE feed IN ('items', 'prices') ORDER BY feed;
SELECT s.step, s.ordinal, s.sql FROM txpipe.feed_step s JOIN txpipe.feed f USING (feed_id) WHERE f.feed = 'prices' ORDER BY s.ordinal;

-- A step is replaced and keeps its place, or gets another; NULL removes it.
SELECT txpipe.on_load('prices', 'last', 'SELECT 1');
SELECT txpipe.on_load('prices', 'checked', 'SELECT 2', 300);
SELECT txpipe.on_load('prices', 'load', NULL);
SELECT s.step, s.ordinal, s.sql FROM txpipe.feed_step s JOIN txpipe.feed f USING (feed_id) WHERE f.feed = 'prices' ORDER BY s.ordinal;

-- Refused definitions

SELECT failure(format('SELECT txpipe.create_feed(%s)', args)) FROM unnest(ARRAY[
    $$'items', '(a)', 'feed_test.item'$$,
    $$'a/b', '(a)', 'feed_test.item'$$,
    $$'x', '(a)'$$,
    $$'x', 'a', 'feed_test.item'$$,
    $$'x', '(a', 'feed_test.item'$$,
    $$'x', '/etc/(a)', 'feed_test.item'$$,
    $$'x', '../(a)', 'feed_test.item'$$,
    $$'x', '(a)', 'feed_test.item', 'text'$$,
    $$'x', '(a)', 'feed_test.item_view'$$,
    $$'x', '(a)', 'feed_test.item', columns => '{"nix": "a"}'$$,
    $$'x', '(a)', 'feed_test.item', columns => '{"twice": "a"}'$$,
    $$'x', '(a)', 'feed_test.item', columns => '[1]'$$,
    $$'x', '(a)', columns => '{"a": {"path": "a", "type": "nix"}}'$$,
    $$'x', '(a)', columns => '{"a": {"path": "a", "as": "nix"}}'$$,
    $$'x', '(a)', columns => '{"file_id": "a"}'$$,
    $$'x', '(a)', 'feed_test.item', after_load => 'delete'$$,
    $$'x', '(a)', 'feed_test.item', options => '{"nix": 1}'$$,
    $$'x', '(a)', 'feed_test.item', options => '{"batch_rows": 0}'$$,
    $$'x', '(a)', 'feed_test.item', options => '{"delimiter": "ab"}'$$,
    $$'x', '(a)', 'feed_test.item', step => 'SELECT 1; SELECT 2'$$,
    $$'x', '(a)', 'feed_test.item', step => ''$$,
    $$'x', '(a)', 'feed_test.item', step => 'SELEC 1'$$,
    $$'x', '(a)', 'feed_test.item', step => 'COMMIT'$$,
    $$'x', '(a)', 'feed_test.item', step => 'CREATE TABLE t ()'$$,
    $$'x', '(a)', 'feed_test.item', step => 'SELECT 1 INTO t'$$,
    $$NULL, '(a)', 'feed_test.item'$$,
    $$'x', NULL, 'feed_test.item'$$]) WITH ORDINALITY AS c (args, n) ORDER BY n;
SELECT failure(call) FROM unnest(ARRAY[
    $$SELECT txpipe.on_load('nix', 'a', 'SELECT 1')$$,
    $$SELECT txpipe.on_load('prices', 'a', 'SELECT 1', 300)$$,
    $$SELECT txpipe.on_load('prices', 'nix', NULL)$$,
    $$SELECT txpipe.on_load('prices', 'a', 'VACUUM')$$,
    $$SELECT txpipe.drop_feed('nix')$$,
    $$CALL txpipe.run_hourly(0)$$]) WITH ORDINALITY AS c (call, n) ORDER BY n;

-- Who may do it

CREATE ROLE feed_owner;
CREATE ROLE feed_reader;
GRANT USAGE ON SCHEMA feed_test TO feed_owner, feed_reader;
SET ROLE feed_owner;
SELECT failure($$SELECT txpipe.create_feed('x', '(a)', 'feed_test.item')$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION txpipe.create_feed, txpipe.on_load, txpipe.drop_feed TO feed_owner;
SET ROLE feed_owner;
SELECT failure($$SELECT txpipe.create_feed('x', '(a)', 'feed_test.item')$$);
RESET ROLE;
GRANT INSERT (id, name) ON item TO feed_owner;
SET ROLE feed_owner;
SELECT failure($$SELECT txpipe.create_feed('x', '(a)', 'feed_test.item')$$);
SELECT failure($$SELECT txpipe.create_feed('x', '(a)', 'feed_test.item', columns => '{"id": "i"}', group_name => 'shop')$$);
SELECT txpipe.create_feed('x', '(a)', 'feed_test.item', columns => '{"id": "i"}');
SELECT failure($$SELECT txpipe.on_load('items', 'a', 'SELECT 1')$$);
SELECT failure($$SELECT txpipe.drop_feed('items')$$);
SELECT feed, owner FROM txpipe.feed_status WHERE feed IN ('items', 'prices', 'x') ORDER BY feed;
SET ROLE feed_reader;
SELECT feed FROM txpipe.feed_status WHERE feed IN ('items', 'prices', 'x');
RESET ROLE;
GRANT SELECT ON item TO feed_reader;
SET ROLE feed_reader;
SELECT feed FROM txpipe.feed_status WHERE feed IN ('items', 'prices', 'x') ORDER BY feed;
SELECT failure('SELECT * FROM txpipe.feed');
SELECT failure('SELECT * FROM txpipe.file_ledger');
SELECT failure('SELECT * FROM txpipe.rejected_line');
RESET ROLE;

-- Order of group keys

SELECT key, txpipe.natural_key(key)
  FROM unnest(ARRAY['group10', 'group9', 'group009a', '2024-02-10', '2024-2-9', 'a', '', '10', '9', 'a1b20', 'a1b3']) AS key
 ORDER BY txpipe.natural_key(key) COLLATE "C", key COLLATE "C";

SELECT txpipe.drop_feed(feed) FROM (VALUES ('items'), ('prices'), ('x')) AS f (feed);
SELECT count(*) FROM txpipe.feed WHERE feed IN ('items', 'prices', 'x');
REVOKE EXECUTE ON FUNCTION txpipe.create_feed, txpipe.on_load, txpipe.drop_feed FROM feed_owner;
SET client_min_messages = warning;
DROP SCHEMA feed_test CASCADE;
DROP ROLE feed_owner;
DROP ROLE feed_reader;
