/*
 * rights.h — whose rights a piece of work has, and under which settings it runs.
 *
 * Work on users' tables runs as the stream's or feed's owner with SECURITY_LOCAL_USERID_CHANGE, a fixed
 * search_path and UTF-8 text, and settings changed meanwhile are undone. Work on our catalogs runs as the
 * bootstrap superuser. An error needs no clean-up: the abort of the (sub)transaction restores both.
 */
#ifndef TXP_RIGHTS_H
#define TXP_RIGHTS_H

#include "postgres.h"

typedef struct TxpRights
{
	Oid user;
	int sec_context;
	int guc_level;
} TxpRights;

/* Begin work as `owner`, or on our catalogs; txp_rights_restore ends it. They nest. */
extern void txp_rights_owner(Oid owner, TxpRights *saved);
/* The same where the commit is the caller's: nothing the owner's code puts off until then is left to another role. */
extern void txp_rights_owner_restricted(Oid owner, TxpRights *saved);
extern void txp_rights_catalog(TxpRights *saved);
extern void txp_rights_restore(const TxpRights *saved);

/*
 * ERRORs when work as another role has touched temporary objects: they stay in the caller's session, where
 * that role would have planted them.
 */
extern void txp_rights_refuse_temporary(Oid owner);

/*
 * The role a definition runs as: the OID when it still has the name that was stored with it. ERRORs
 * otherwise, because after a restore the OID may be somebody else's. `what` names the definition.
 */
extern Oid txp_rights_resolve(Oid oid, const char *name, const char *what);

/* May the current user do what this owner may? Superusers may, others only where OID and name agree. */
extern bool txp_rights_is_owner(Oid oid, const char *name);

/* May the current user run and pause what this owner has? Owners may, and who has EXECUTE on txpipe.operate(). */
extern bool txp_rights_may_operate(Oid oid, const char *name);

/*
 * ERRORs when a table that only has the name of a definition's target belongs to a role without the rights of the definition's
 * owner: its triggers, run as that owner, would give them to that role. `what` names the target and the definition.
 */
extern void txp_rights_check_replacement(Oid table, Oid owner, const char *what);

/* May the current user read all rows of the table of that name? */
extern bool txp_rights_may_read(const char *schema, const char *table);

#endif
