-- One view of what was streamed and what was loaded, for any pair of tables.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE EXTENSION IF NOT EXISTS txpipe;
CREATE SCHEMA sensors;
SET search_path = sensors, public;

-- Sensors: what they send now, and the day's file; the columns both have, in the order of the file's table.
CREATE TABLE live_reading (kafka_offset bigint, at timestamptz, sensor_id text COLLATE "C", value numeric, status text,
    loaded_at timestamptz DEFAULT now(), PRIMARY KEY (sensor_id, at));
CREATE TABLE reading (sensor_id text, at timestamptz, value numeric(10,3), status text COLLATE "C", file_name text, dropped int,
    loaded_at timestamptz DEFAULT now(), UNIQUE (at, sensor_id));
ALTER TABLE reading DROP dropped;
COMMENT ON COLUMN reading.value IS 'Degrees';
SELECT txpipe.create_unified_view('readings', 'live_reading', 'reading', '{sensor_id,at}');
\d+ readings
INSERT INTO live_reading VALUES (1, '2024-05-01 10:00:00.000001', 's1', 20.5, 'OK'), (2, '2024-05-01 10:00', 's2', 99, 'ERROR');
INSERT INTO reading VALUES ('s2', '2024-05-01 10:00', 21.125, 'OK', 'day.csv'), ('s3', '2024-05-01 10:00', 7, 'OK', 'day.csv');
SELECT sensor_id, at, value, status, source FROM readings ORDER BY 1;
SELECT status, count(*) FROM readings GROUP BY status ORDER BY 1;
-- What is loaded replaces, what is deleted comes back.
DELETE FROM reading WHERE sensor_id = 's2';
INSERT INTO reading VALUES ('s1', '2024-05-01 10:00:00.000001', 20.5, 'OK', 'night.csv');
SELECT sensor_id, value, source FROM readings ORDER BY 1;
-- Streamed late, it is shown no more.
INSERT INTO live_reading VALUES (3, '2024-05-01 10:00', 's3', 8, 'WARNING');
SELECT sensor_id, value, source FROM readings ORDER BY 1;

-- A key with a NULL is the same as no other.
ALTER TABLE live_reading DROP CONSTRAINT live_reading_pkey, ADD UNIQUE (sensor_id, at), ALTER sensor_id DROP NOT NULL;
INSERT INTO live_reading VALUES (4, '2024-05-02', NULL, 1, 'OK');
INSERT INTO reading VALUES (NULL, '2024-05-02', 2, 'OK', 'day.csv');
SELECT value, source FROM readings WHERE sensor_id IS NULL ORDER BY 1;

-- The index decides what is the same key, whatever search_path is in force.
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE code (code text COLLATE nocase PRIMARY KEY, value int);
CREATE TABLE live_code (code text PRIMARY KEY, value int, note text);
INSERT INTO code VALUES ('AB', 1);
INSERT INTO live_code VALUES ('ab', 2), ('cd', 3);
SELECT txpipe.create_unified_view('"Codes of ""now"""', 'live_code', 'code', '{code}', source_column => 'Where; from');
TABLE "Codes of ""now""" ORDER BY value;

-- Views: the keys of what is loaded are in a table, those of what is streamed are their definer's concern.
CREATE VIEW code_view AS SELECT code, value, 'x' AS more FROM code;
CREATE VIEW live_code_view AS SELECT code, value + 0 AS value, 'y' AS more FROM live_code;
SELECT txpipe.create_unified_view('codes', 'live_code_view', 'code_view', '{code}', 'code', NULL);
TABLE codes ORDER BY value;

-- What is refused.
SELECT txpipe.create_unified_view('codes', 'live_code', 'code', '{code}');
SELECT txpipe.create_unified_view('codes', 'live_code_view', 'code_view', '{code}', 'code', NULL, replace => true);
SELECT txpipe.create_unified_view('x', 'live_code', 'code_view', '{code}');
SELECT txpipe.create_unified_view('x', 'live_code', 'code', '{value}');
CREATE UNIQUE INDEX ON code (value) WHERE value > 0;
SELECT txpipe.create_unified_view('x', 'live_code', 'code', '{value}');
CREATE UNIQUE INDEX ON code (value);
SELECT txpipe.create_unified_view('x', 'live_code', 'code', '{value}');
SELECT txpipe.create_unified_view('x', 'live_code', 'code', '{code,note}');
SELECT txpipe.create_unified_view('x', 'live_code', 'code', '{}');
SELECT txpipe.create_unified_view('x', 'live_code', 'code', NULL);
SELECT txpipe.create_unified_view('x', 'live_code', NULL, '{code}');
SELECT txpipe.create_unified_view('x', 'live_code', 'code', '{code}', source_column => 'value');
SELECT txpipe.create_unified_view('a.b.c', 'live_code', 'code', '{code}');
CREATE TABLE other (code int PRIMARY KEY, value text);
SELECT txpipe.create_unified_view('x', 'other', 'code', '{code}');
SET search_path = '';
SELECT txpipe.create_unified_view('x', 'sensors.live_code', 'sensors.code', '{code}');
SET search_path = sensors, public;

-- It is the caller's view, and takes the caller's rights.
CREATE ROLE txpipe_regress_unified;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA txpipe TO txpipe_regress_unified;
GRANT USAGE ON SCHEMA txpipe TO txpipe_regress_unified;
GRANT USAGE, CREATE ON SCHEMA sensors TO txpipe_regress_unified;
SET ROLE txpipe_regress_unified;
SELECT txpipe.create_unified_view('mine', 'live_code', 'code', '{code}');
SELECT * FROM mine;
RESET ROLE;
GRANT SELECT ON code, live_code TO txpipe_regress_unified;
SET ROLE txpipe_regress_unified;
SELECT * FROM mine ORDER BY value;
RESET ROLE;
DROP OWNED BY txpipe_regress_unified;
DROP ROLE txpipe_regress_unified;
DROP SCHEMA sensors CASCADE;
