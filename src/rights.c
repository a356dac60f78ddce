/*
 * rights.c — whose rights a piece of work has, and under which settings it runs.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "compat.h"
#include "rights.h"
#include "zone.h"

/* Searching pg_catalog first and the temporary schema last leaves no room for planted objects. */
#define TXP_SEARCH_PATH "pg_catalog, pg_temp"

static void
fix_setting(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

static void
switch_to(Oid user, int sec_context, TxpRights *saved)
{
	GetUserIdAndSecContext(&saved->user, &saved->sec_context);
	SetUserIdAndSecContext(user, sec_context);
	saved->guc_level = NewGUCNestLevel();
	fix_setting("search_path", TXP_SEARCH_PATH);
}

void
txp_rights_owner(Oid owner, TxpRights *saved)
{
	int user_context;
	Oid user;

	GetUserIdAndSecContext(&user, &user_context);
	switch_to(owner, user_context | SECURITY_LOCAL_USERID_CHANGE, saved);
	/* What a session has set must not change what values mean. */
	fix_setting("DateStyle", "ISO, MDY");
	fix_setting("IntervalStyle", "postgres");
	fix_setting("standard_conforming_strings", "on");
	/* Zone-less times of another's data are not the caller's to shift; workers have the database's setting, too. */
	if (user != owner)
		fix_setting("txpipe.input_time_zone", pg_get_timezone_name(txp_database_zone()));
	/* Rows that a policy hides would be missing without a word. */
	fix_setting("row_security", "off");
	/* A statement that is planned for each batch would be compiled for each. */
	fix_setting("jit", "off");
	/* text_recv converts from client_encoding; the decoders speak UTF-8. */
	if (pg_get_client_encoding() != PG_UTF8)
		fix_setting("client_encoding", "UTF8");
}

void
txp_rights_owner_restricted(Oid owner, TxpRights *saved)
{
	bool is_caller = GetUserId() == owner;
	int sec_context;
	Oid user;

	txp_rights_owner(owner, saved);
	GetUserIdAndSecContext(&user, &sec_context);
	/* Neither deferred triggers nor cursors WITH HOLD, which would run as the caller. */
	if (!is_caller)
		SetUserIdAndSecContext(user, sec_context | SECURITY_RESTRICTED_OPERATION);
}

void
txp_rights_catalog(TxpRights *saved)
{
	switch_to(BOOTSTRAP_SUPERUSERID, SECURITY_LOCAL_USERID_CHANGE, saved);
}

void
txp_rights_restore(const TxpRights *saved)
{
	/* "false" undoes SETs of user SQL too, not only our own settings. */
	AtEOXact_GUC(false, saved->guc_level);
	SetUserIdAndSecContext(saved->user, saved->sec_context);
}

void
txp_rights_refuse_temporary(Oid owner)
{
	if (owner != GetUserId() && (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("triggers and steps of \"%s\" use temporary objects in the session "
						"of \"%s\"",
						GetUserNameFromId(owner, false), GetUserNameFromId(GetUserId(), false)),
				 errhint("Use ordinary tables, or make the call as the owner.")));
}

bool
txp_rights_is_owner(Oid oid, const char *name)
{
	char *now = GetUserNameFromId(oid, true);

	return superuser() ||
		   (now != NULL && strcmp(now, name) == 0 && has_privs_of_role(GetUserId(), oid));
}

bool
txp_rights_may_operate(Oid oid, const char *name)
{
	Oid right;

	if (txp_rights_is_owner(oid, name))
		return true;
	right = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("operate"),
							PointerGetDatum(buildoidvector(NULL, 0)),
							ObjectIdGetDatum(get_namespace_oid("txpipe", false)));
	return OidIsValid(right) &&
		   object_aclcheck(ProcedureRelationId, right, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK;
}

/* By name: the OID of a target means another table once it was restored elsewhere. */
bool
txp_rights_may_read(const char *schema, const char *table)
{
	Oid namespace = get_namespace_oid(schema, true);
	Oid relid = OidIsValid(namespace) ? get_relname_relid(table, namespace) : InvalidOid;

	/* Whom row-level security limits may not see what was refused of other rows. */
	return OidIsValid(relid) && pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		   check_enable_rls(relid, InvalidOid, true) != RLS_ENABLED;
}

void
txp_rights_check_replacement(Oid table, Oid owner, const char *what)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid holder;

	if (!HeapTupleIsValid(tuple))
		return;
	holder = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	if (has_privs_of_role(holder, owner))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("%s is not the table it was and belongs to \"%s\"", what,
						   GetUserNameFromId(holder, false)),
					errdetail("Its triggers would run with the rights of \"%s\".",
							  GetUserNameFromId(owner, false)),
					errhint("Let \"%s\" own it, or give its name back to the table that had it.",
							GetUserNameFromId(owner, false))));
}

Oid
txp_rights_resolve(Oid oid, const char *name, const char *what)
{
	char *now = GetUserNameFromId(oid, true);

	if (now == NULL || strcmp(now, name) != 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("owner \"%s\" of %s does not exist any more", name, what),
						now ? errdetail("The role with its OID is now called \"%s\".", now)
							: errdetail("No role has its OID."),
						errhint("Drop it and create it again as the role it shall run as.")));
	return oid;
}
