-- Habits that the catalog shows: comments everywhere, a fixed search_path, few grants to PUBLIC.
CREATE EXTENSION IF NOT EXISTS txpipe;

CREATE TEMP VIEW member AS
SELECT classid, objid FROM pg_depend
WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'txpipe');

-- Functions, tables, views and their columns without a COMMENT: none.
SELECT oid::regprocedure::text COLLATE "C" AS function FROM pg_proc
WHERE oid IN (SELECT objid FROM member WHERE classid = 'pg_proc'::regclass)
  AND obj_description(oid, 'pg_proc') IS NULL
ORDER BY 1;

SELECT oid::regclass::text COLLATE "C" AS relation FROM pg_class
WHERE oid IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)
  AND relkind IN ('r', 'p', 'v', 'm')
  AND obj_description(oid, 'pg_class') IS NULL
ORDER BY 1;

SELECT attrelid::regclass::text COLLATE "C" AS relation, attname AS "column" FROM pg_attribute
JOIN pg_class ON pg_class.oid = attrelid
WHERE attrelid IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)
  AND relkind IN ('r', 'p', 'v', 'm') AND attnum > 0 AND NOT attisdropped
  AND col_description(attrelid, attnum) IS NULL
ORDER BY 1, attnum;

-- Functions without a fixed search_path: the procedures that commit, which can have none, and what runs the caller's own query.
SELECT oid::regprocedure::text COLLATE "C" AS function FROM pg_proc
WHERE oid IN (SELECT objid FROM member WHERE classid = 'pg_proc'::regclass) AND prokind <> 'a'
  AND NOT coalesce(proconfig::text LIKE '%search_path=%', false)
ORDER BY 1;

-- Those that may run with the extension owner's rights have pg_temp last.
SELECT oid::regprocedure::text COLLATE "C" AS function, proconfig FROM pg_proc
WHERE oid IN (SELECT objid FROM member WHERE classid = 'pg_proc'::regclass)
  AND prosecdef AND NOT coalesce(proconfig::text ~ 'search_path=[^"]*pg_temp"?', false)
ORDER BY 1;

-- What PUBLIC may call and read: a change here is a decision.
SELECT oid::regprocedure::text COLLATE "C" AS public_function FROM pg_proc
WHERE oid IN (SELECT objid FROM member WHERE classid = 'pg_proc'::regclass)
  AND EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0)
ORDER BY 1;

SELECT oid::regclass::text COLLATE "C" AS public_relation, string_agg(privilege_type, ', ' ORDER BY privilege_type) AS rights
FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
WHERE oid IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass) AND grantee = 0
GROUP BY oid
ORDER BY 1;

-- Configuration tables are dumped, their identity sequences too.
SELECT oid::regclass::text COLLATE "C" AS not_dumped FROM pg_class
WHERE oid IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)
  AND relkind IN ('r', 'p', 'S')
  AND NOT oid = ANY (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'txpipe')
ORDER BY 1;
