/*
 * erase.c — erase_kept(): what the extension's own tables and the lake keep of a person goes, or is blanked.
 *
 * erase_subject(), which runs as the caller, has found it in the views; here only what belongs to that role is
 * touched, whatever the numbers say.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "args.h"
#include "clean_lake.h"
#include "spi.h"

#define OWNED(alias)                                                                               \
	alias ".owner_oid = $1 AND " alias                                                             \
		  ".owner_name = (SELECT rolname FROM pg_roles WHERE oid = $1) "

typedef struct Kind
{
	const char *name;
	TxpStatement statement;
} Kind;

static Kind kinds[] = {
	{"dead letters",
	 {"DELETE FROM txpipe.dead_letter_store d USING txpipe.stream s WHERE d.stream_id = "
	  "s.stream_id "
	  "AND " OWNED("s") "AND d.dead_letter_id = ANY ($2) AND $3 IS NULL",
	  3,
	  {OIDOID, INT8ARRAYOID, INT8ARRAYOID}}},
	{"rejected records",
	 {"UPDATE txpipe.rejected_line r SET line_bytes = '', line_fixed = NULL, encrypted = false, "
	  "message = 'erased', state = CASE r.state WHEN 'open' THEN 'dismissed' ELSE r.state END "
	  "FROM unnest($2, $3) AS u (file_id, line_no), txpipe.file_ledger l, txpipe.feed f "
	  "WHERE r.file_id = u.file_id AND r.line_no = u.line_no AND l.file_id = r.file_id "
	  "AND f.feed_id = l.feed_id AND " OWNED("f"),
	  3,
	  {OIDOID, INT8ARRAYOID, INT8ARRAYOID}}},
	{"alerts",
	 {"UPDATE txpipe.alert_store a SET subject = '(erased)', transaction_id = NULL, reason = NULL, "
	  "evidence = NULL FROM txpipe.stream s WHERE a.stream_id = s.stream_id AND " OWNED(
		  "s") "AND a.alert_id = ANY ($2) AND $3 IS NULL",
	  3,
	  {OIDOID, INT8ARRAYOID, INT8ARRAYOID}}},
	{"archive rows",
	 /* Its hour stays due: a call that was rolled back may have left a file with it. */
	 {"UPDATE txpipe.archive_row_store r SET cells = NULL FROM txpipe.archive_shape a "
	  "LEFT JOIN txpipe.stream s "
	  "USING (stream_id) WHERE r.cells IS NOT NULL AND r.shape_id = a.shape_id AND "
	  "coalesce(s.owner_oid, a.owner_oid) = $1 "
	  "AND coalesce(s.owner_name, a.owner_name) = (SELECT rolname FROM pg_roles WHERE oid = $1) "
	  "AND r.archive_row_id = ANY ($2) AND $3 IS NULL",
	  3,
	  {OIDOID, INT8ARRAYOID, INT8ARRAYOID}}},
	{"outbox",
	 {"DELETE FROM txpipe.outbox_store o USING txpipe.outbox_route r WHERE o.route_id = r.route_id "
	  "AND " OWNED("r") "AND o.outbox_id = ANY ($2) AND $3 IS NULL",
	  3,
	  {OIDOID, INT8ARRAYOID, INT8ARRAYOID}}},
};

/* Who erased, where and how much: not whom. */
PG_FUNCTION_INFO_V1(txpipe_note_erasure);
Datum
txpipe_note_erasure(PG_FUNCTION_ARGS)
{
	static TxpStatement insert = {"INSERT INTO txpipe.erasure_store (role, login, report) "
								  "SELECT rolname, session_user, $2 FROM pg_roles WHERE oid = $1",
								  2,
								  {OIDOID, JSONBOID}};
	Datum values[2] = {ObjectIdGetDatum(GetUserId()),
					   PointerGetDatum(txp_arg_jsonb_or_null(fcinfo, 0))};

	(void) txp_spi_do(&insert, values, PG_ARGISNULL(0) ? " n" : NULL);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(txpipe_erase_kept);
Datum
txpipe_erase_kept(PG_FUNCTION_ARGS)
{
	char *what = txp_arg_text(fcinfo, 0, "what");
	Datum values[3] = {ObjectIdGetDatum(GetUserId()), PG_GETARG_DATUM(1),
					   PG_ARGISNULL(2) ? 0 : PG_GETARG_DATUM(2)};

	if (PG_ARGISNULL(1))
		PG_RETURN_INT64(0);
	if (strcmp(what, "copies") == 0)
		PG_RETURN_INT64(txp_clean_lake_files(values[1]));
	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		if (strcmp(what, kinds[i].name) == 0)
			PG_RETURN_INT64(
				(int64) txp_spi_do(&kinds[i].statement, values, PG_ARGISNULL(2) ? "  n" : NULL));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("nothing is kept as \"%s\"", what),
			 errhint("It is dead letters, rejected records, alerts, archive rows, outbox or "
					 "copies.")));
}
