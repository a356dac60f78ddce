-- 28_encryption.sql: values that streams and feeds have encrypted, read by who was given the key's use.

CREATE FUNCTION txpipe.decrypt(value bytea, server text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_decrypt';
COMMENT ON FUNCTION txpipe.decrypt(bytea, text) IS
    'The text in a value that a mapping with "as": "encrypt" has encrypted. The keys are those of the caller''s own '
    'user mapping for the server, encryption_key_file or encryption_key: who has USAGE on the server, such a mapping and '
    'EXECUTE here can decrypt, and nobody else. Errors: 22023 not encrypted by txpipe, 22000 with another key, XX001 damaged';

CREATE FUNCTION txpipe.decrypt_bytes(value bytea, server text) RETURNS bytea
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_decrypt_bytes';
COMMENT ON FUNCTION txpipe.decrypt_bytes(bytea, text) IS
    'As decrypt(), for what need not be text, such as the payload of an encrypted dead letter';

CREATE FUNCTION txpipe.encrypt(value text, server text) RETURNS bytea
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE COST 1000 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'txpipe_encrypt';
COMMENT ON FUNCTION txpipe.encrypt(text, text) IS
    'Encrypts a text as streams and feeds do, with the first key of the caller''s own user mapping for the server: to correct '
    'a value, or to encrypt old ones anew after the key was changed';
