/*
 * sink.c — decoded rows into a table, through PostgreSQL's own COPY.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/copy.h"
#include "commands/copyfrom_internal.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "distributed.h"
#include "progress.h"
#include "sink.h"

/* COPY's binary file header: signature, no flags, no extension; and its trailer, a field count of -1. */
static const char binary_header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
#define BINARY_HEADER_SIZE 19
static const char binary_trailer[] = {'\377', '\377'};

/*
 * What the running COPY reads. COPY's callback has no argument, hence one static; a trigger that starts
 * another COPY through us is refused.
 */
static struct RowSource
{
	const char *part[3];
	size_t left[3];
	int current;
	bool busy;
	uint64 failed_row;
} source;

static int
copy_read(void *outbuf, int minread, int maxread)
{
	int done = 0;

	while (done < maxread && source.current < 3)
	{
		size_t n = Min(source.left[source.current], (size_t) (maxread - done));

		memcpy((char *) outbuf + done, source.part[source.current], n);
		source.part[source.current] += n;
		source.left[source.current] -= n;
		done += n;
		if (source.left[source.current] == 0)
			source.current++;
	}
	return done;
}

static void
set_source(const TxpRowPlan *plan, const char *rows, size_t len)
{
	bool binary = plan->form == TXD_BINARY;

	if (source.busy)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a txpipe batch cannot start inside another one"),
						errhint("Do not call txpipe from a trigger on a stream's target.")));
	source.part[0] = binary_header;
	source.left[0] = binary ? BINARY_HEADER_SIZE : 0;
	source.part[1] = rows;
	source.left[1] = len;
	source.part[2] = binary_trailer;
	source.left[2] = binary ? sizeof(binary_trailer) : 0;
	source.current = 0;
	source.failed_row = 0;
	source.busy = true;
}

static void
check_insert_privilege(Relation target, const TxpRowPlan *plan)
{
	Oid relid = RelationGetRelid(target);
	Oid user = GetUserId();
	ListCell *lc;

	if (pg_class_aclcheck(relid, user, ACL_INSERT) == ACLCHECK_OK)
		return;
	foreach (lc, plan->names)
	{
		AttrNumber attnum = get_attnum(relid, strVal(lfirst(lc)));

		if (pg_attribute_aclcheck(relid, attnum, user, ACL_INSERT) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(target->rd_rel->relkind),
						   RelationGetRelationName(target));
	}
}

void
txp_sink_check(Relation target, const TxpRowPlan *plan)
{
	char relkind = target->rd_rel->relkind;

	/* A foreign server commits on its own: rows and offsets would not be one transaction. */
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a table", RelationGetRelationName(target)),
						errhint("Rows are inserted into ordinary and partitioned tables.")));
	if (target->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a temporary table", RelationGetRelationName(target)),
				 errhint("Workers and later sessions cannot see it; use an ordinary table.")));
	/* After a crash it is empty, and the offsets or files are known as loaded. */
	if (target->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is an unlogged table, which a crash empties",
						RelationGetRelationName(target)),
				 errhint("ALTER TABLE … SET LOGGED, so that rows are kept as their offsets are.")));
	check_insert_privilege(target, plan);
	if (target->rd_rules != NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("table \"%s\" has rules, which COPY would ignore",
							   RelationGetRelationName(target)),
						errhint("Use triggers instead of rules.")));
	if (check_enable_rls(RelationGetRelid(target), InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" has row-level security, which COPY would bypass",
						RelationGetRelationName(target)),
				 errhint("Let the table's owner, to whom it does not apply, own the stream.")));
}

static List *
copy_options(const TxpRowPlan *plan)
{
	if (plan->form == TXD_BINARY)
		return list_make1(makeDefElem("format", (Node *) makeString("binary"), -1));
	return list_make1(makeDefElem("format", (Node *) makeString("text"), -1));
}

static uint64
copy_rows(Relation target, const TxpRowPlan *plan, const char *rows, size_t len)
{
	ParseState *pstate = make_parsestate(NULL);
	CopyFromState volatile copy = NULL;
	uint64 processed = 0;

	(void) addRangeTableEntryForRelation(pstate, target, RowExclusiveLock, NULL, false, false);
	set_source(plan, rows, len);
	PG_TRY();
	{
		copy = BeginCopyFrom(pstate, target, NULL, NULL, false, copy_read, plan->names,
							 copy_options(plan));
		txp_progress_show();
		processed = CopyFrom(copy);
		EndCopyFrom(copy);
		copy = NULL;
		txp_progress_show();
	}
	PG_FINALLY();
	{
		source.busy = false;
		if (copy)
			source.failed_row = copy->cur_lineno;
	}
	PG_END_TRY();
	free_parsestate(pstate);
	return processed;
}

uint64
txp_sink_copy(Relation target, const TxpRowPlan *plan, const char *rows, size_t len)
{
	if (txp_is_distributed(RelationGetRelid(target)))
		return txp_distributed_insert(target, plan, rows, len);
	return copy_rows(target, plan, rows, len);
}

uint64
txp_sink_failed_row(void)
{
	uint64 row = source.failed_row;

	source.failed_row = 0;
	return row;
}

static void
set_constraints(bool deferred)
{
	ConstraintsSetStmt all = {
		.type = T_ConstraintsSetStmt, .constraints = NIL, .deferred = deferred};

	AfterTriggerSetState(&all);
}

void
txp_sink_fire_deferred(void)
{
	set_constraints(false);
	CommandCounterIncrement();
}

void
txp_sink_defer(void)
{
	set_constraints(true);
}
