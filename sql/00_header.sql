-- 00_header.sql: everything below runs inside CREATE EXTENSION.
\echo Use "CREATE EXTENSION txpipe" to load this file. \quit

REVOKE ALL ON SCHEMA txpipe FROM PUBLIC;
GRANT USAGE ON SCHEMA txpipe TO PUBLIC;
COMMENT ON SCHEMA txpipe IS 'txpipe: Kafka streams and hourly files into tables, exactly once';

