/*
 * compat.h — every difference between server versions, and nothing else.
 *
 * The sources are written for the newest server; here is what older ones call otherwise.
 */
#ifndef TXP_COMPAT_H
#define TXP_COMPAT_H

#include "access/htup_details.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "common/jsonapi.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#if PG_VERSION_NUM < 150000
#error "txpipe needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h" /* was part of postgres.h */
#endif

#if PG_VERSION_NUM < 160000
/* A function for each kind of object became one. */
static inline AclResult
object_aclcheck(Oid class, Oid object, Oid role, AclMode mode)
{
	if (class == DatabaseRelationId)
		return pg_database_aclcheck(object, role, mode);
	if (class == ForeignServerRelationId)
		return pg_foreign_server_aclcheck(object, role, mode);
	Assert(class == ProcedureRelationId);
	return pg_proc_aclcheck(object, role, mode);
}
#endif

/* Actions of the JSON parser return whether it goes on: return TXP_JSON_SUCCESS; */
#if PG_VERSION_NUM < 160000
typedef void TxpJsonResult;
#define TXP_JSON_SUCCESS
#else
typedef JsonParseErrorType TxpJsonResult;
#define TXP_JSON_SUCCESS JSON_SUCCESS
#endif

/* The lexer's memory may be the caller's; NULL has it allocated. */
#if PG_VERSION_NUM < 170000
#define makeJsonLexContextCstringLen(lex, json, len, encoding, need_escapes)                       \
	makeJsonLexContextCstringLen(json, len, encoding, need_escapes)
#endif

/* Room may be asked for in front of the tuple. */
#if PG_VERSION_NUM < 180000
#define heap_form_minimal_tuple(desc, values, nulls, extra)                                        \
	(AssertMacro((extra) == 0), heap_form_minimal_tuple(desc, values, nulls))
#endif

/* The number of this process's transaction has moved. */
#if PG_VERSION_NUM < 170000
#define TXP_MY_LXID (MyProc->lxid)
#else
#define TXP_MY_LXID (MyProc->vxid.lxid)
#endif

/* Whether this transaction has a lock, in that mode. */
#if PG_VERSION_NUM < 170000
#define TXP_LOCK_HELD_BY_ME(tag, mode) LockHeldByMe(tag, mode)
#else
#define TXP_LOCK_HELD_BY_ME(tag, mode) LockHeldByMe(tag, mode, false)
#endif

/* JSON_VALUE and its like have a node of their own. */
#if PG_VERSION_NUM < 170000
#define TXP_IS_JSON_EXPR(node) false
#else
#define TXP_IS_JSON_EXPR(node) IsA(node, JsonExpr)
#endif

/* What does not return says so before its declaration. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/*
 * Batches have a limit of their own, which is an error of their stream: this one would end the worker of all. Without its
 * hook it arms no timer when a trigger sets it, as that has no effect on statement_timeout's.
 */
static inline void
txp_no_transaction_timeout(void)
{
#if PG_VERSION_NUM >= 170000
	struct config_generic *setting = find_option("transaction_timeout", false, false, ERROR);

	SetConfigOption("transaction_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
	((struct config_int *) setting)->assign_hook = NULL;
#endif
}

#endif
