-- 00_header.sql: everything below runs inside CREATE EXTENSION.
\echo Use "CREATE EXTENSION txpipe" to load this file. \quit

DO $$
BEGIN
    IF pg_catalog.current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'txpipe needs a database whose encoding is UTF8, not %',
            pg_catalog.current_setting('server_encoding')
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'CREATE DATABASE … TEMPLATE template0 ENCODING ''UTF8''.';
    END IF;
END
$$;

REVOKE ALL ON SCHEMA txpipe FROM PUBLIC;
GRANT USAGE ON SCHEMA txpipe TO PUBLIC;
COMMENT ON SCHEMA txpipe IS 'txpipe: Kafka streams and hourly files into tables, exactly once';

