/*
 * trust.c — whose code a statement would run.
 *
 * Statements of steps, rules and windows find objects by name each time they are prepared. Who may create in a schema they
 * name could give a name that is free again, or a better fitting overload, to code that then runs as the owner. So do
 * functions that the rewriter puts into it for a view, and those that the planner evaluates for a table that is read. So the
 * analysed statement is looked at, not its text. What runs all the same is in docs/security.md.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/regproc.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "compat.h"
#include "trust.h"

static Oid
relation_owner(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

static List *
role_names(const char *names)
{
	List *parsed;

	if (!SplitIdentifierString(pstrdup(names), ',', &parsed))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("trusted_roles is no list of names: %s", names),
						errhint("For example \"etl, \\\"Night shift\\\"\".")));
	return parsed;
}

List *
txp_trust_roles(const char *names, Oid target)
{
	Oid holder = relation_owner(target);
	List *roles = OidIsValid(holder) ? list_make1_oid(holder) : NIL;
	ListCell *lc;

	foreach (lc, role_names(names))
	{
		Oid role = get_role_oid(lfirst(lc), true);

		if (OidIsValid(role))
			roles = lappend_oid(roles, role);
	}
	return roles;
}

void
txp_trust_check_roles(const char *names)
{
	ListCell *lc;

	foreach (lc, role_names(names))
	{
		const char *name = lfirst(lc);

		if (!OidIsValid(get_role_oid(name, true)))
			ereport(
				ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("role \"%s\" does not exist", name),
				 errdetail("The option trusted_roles names it."),
				 errhint("Names with capital letters or spaces are written in double quotes.")));
	}
}

bool
txp_trust_owns(Oid table, Oid owner)
{
	Oid holder = relation_owner(table);

	return OidIsValid(holder) && has_privs_of_role(holder, owner) &&
		   check_enable_rls(table, owner, true) != RLS_ENABLED;
}

static bool
is_trusted(Oid holder, const List *trusted)
{
	return has_privs_of_role(holder, GetUserId()) || list_member_oid(trusted, holder);
}

static void
check_holder(Oid holder, const List *trusted, const char *kind, const char *name)
{
	char *owner;

	if (is_trusted(holder, trusted))
		return;
	owner = GetUserNameFromId(GetUserId(), false);
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("%s %s belongs to \"%s\", not to \"%s\"", kind, name,
				GetUserNameFromId(holder, false), owner),
		 errdetail("Its code would run with the rights of \"%s\".", owner),
		 errhint("Let \"%s\" own it, or name the other role in the option trusted_roles.", owner)));
}

static void
check_table(Oid relation, const List *trusted)
{
	Oid holder = relation_owner(relation);

	if (OidIsValid(holder))
		check_holder(holder, trusted, "table",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
												get_rel_name(relation)));
}

static Oid
function_owner(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/* For check_functions_in_node: true would end the search. */
static bool
check_function(Oid function, void *trusted)
{
	Oid owner = function_owner(function);

	if (OidIsValid(owner))
		check_holder(owner, trusted, "function",
					 format_procedure_extended(function, FORMAT_PROC_FORCE_QUALIFY));
	return false;
}

/* Input and conversion check the constraints of domains, also of those in a composite type or a range. */
static void
check_type(Oid type, const List *trusted)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_type) GETSTRUCT(tuple);
	if (OidIsValid(form->typelem))
		check_type(form->typelem, trusted);
	else if (form->typtype != TYPTYPE_ENUM)
		check_holder(form->typowner, trusted, "type", format_type_be_qualified(type));
	ReleaseSysCache(tuple);
}

static void
check_types(const List *types, const List *trusted)
{
	ListCell *lc;

	foreach (lc, types)
		check_type(lfirst_oid(lc), trusted);
}

static bool look_at(Node *node, void *trusted);

/* Whatever else the planner evaluates the constant parts of. */
static const struct
{
	Oid catalog;
	Oid index;
	AttrNumber relation;
	AttrNumber expressions;
} definitions[] = {
	{IndexRelationId, IndexIndrelidIndexId, Anum_pg_index_indrelid, Anum_pg_index_indexprs},
	{IndexRelationId, IndexIndrelidIndexId, Anum_pg_index_indrelid, Anum_pg_index_indpred},
	{StatisticExtRelationId, StatisticExtRelidIndexId, Anum_pg_statistic_ext_stxrelid,
	 Anum_pg_statistic_ext_stxexprs},
	{ConstraintRelationId, ConstraintRelidTypidNameIndexId, Anum_pg_constraint_conrelid,
	 Anum_pg_constraint_conbin},
	{PartitionedRelationId, PartitionedRelidIndexId, Anum_pg_partitioned_table_partrelid,
	 Anum_pg_partitioned_table_partexprs},
};

static void
look_at_definitions(Oid relation, int which, const List *trusted)
{
	Relation catalog = table_open(definitions[which].catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, definitions[which].relation, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, definitions[which].index, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		Datum tree =
			heap_getattr(tuple, definitions[which].expressions, RelationGetDescr(catalog), &isnull);

		if (!isnull)
			(void) look_at(stringToNode(TextDatumGetCString(tree)), (void *) trusted);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* A plain table of another may be read unless what he defined on it is code. */
static void
check_read_one(Oid relation, const List *trusted)
{
	Oid holder = relation_owner(relation);

	if (!OidIsValid(holder) || is_trusted(holder, trusted))
		return;
	/* What comes from outside goes through the input functions of its types. */
	if (get_rel_relkind(relation) == RELKIND_FOREIGN_TABLE)
		check_table(relation, trusted);
	for (int i = 0; i < lengthof(definitions); i++)
		look_at_definitions(relation, i, trusted);
}

static void
check_read(const RangeTblEntry *rte, const List *trusted)
{
	ListCell *lc;

	if (rte->rtekind != RTE_RELATION)
		return;
	if (!rte->inh || !has_subclass(rte->relid))
	{
		check_read_one(rte->relid, trusted);
		return;
	}
	foreach (lc, find_all_inheritors(rte->relid, NoLock, NULL))
		check_read_one(lfirst_oid(lc), trusted);
}

static void
look_at_tables(const Query *query, const List *trusted)
{
	ListCell *lc;

	if (query->resultRelation != 0)
		check_table(rt_fetch(query->resultRelation, query->rtable)->relid, trusted);
	foreach (lc, query->rtable)
		check_read(lfirst(lc), trusted);
}

/* A function's result may be of a type that its argument has told, as that of jsonb_populate_record. */
static bool
makes_values(const Node *node)
{
	return IsA(node, CoerceToDomain) || IsA(node, CoerceViaIO) || IsA(node, Const) ||
		   IsA(node, ConvertRowtypeExpr) || IsA(node, FuncExpr) || TXP_IS_JSON_EXPR(node);
}

static bool
look_at(Node *node, void *trusted)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		look_at_tables(castNode(Query, node), trusted);
		return query_tree_walker(castNode(Query, node), look_at, trusted, 0);
	}
	if (IsA(node, RangeTblFunction))
		check_types(castNode(RangeTblFunction, node)->funccoltypes, trusted);
	else if (IsA(node, TableFunc))
		check_types(castNode(TableFunc, node)->coltypes, trusted);
	else if (makes_values(node))
		check_type(exprType(node), trusted);
	(void) check_functions_in_node(node, check_function, trusted);
	return expression_tree_walker(node, look_at, trusted);
}

void
txp_trust_check(SPIPlanPtr plan, const List *trusted)
{
	ListCell *lc;

	foreach (lc, SPI_plan_get_plan_sources(plan))
	{
		ListCell *query;

		foreach (query, ((CachedPlanSource *) lfirst(lc))->query_list)
		{
			if (castNode(Query, lfirst(query))->commandType != CMD_UTILITY)
				(void) look_at(lfirst(query), (void *) trusted);
		}
	}
}

bool
txp_trust_still(SPIPlanPtr plan)
{
	ListCell *lc;

	foreach (lc, SPI_plan_get_plan_sources(plan))
	{
		ListCell *relation;

		/* What is locked keeps its name, or the lock brings the news. */
		foreach (relation, ((CachedPlanSource *) lfirst(lc))->relationOids)
			LockRelationOid(lfirst_oid(relation), AccessShareLock);
	}
	return SPI_plan_is_valid(plan);
}

/* --- while it runs --- */

/* Statements at work, the innermost first. */
typedef struct Guarded
{
	SPIPlanPtr plan;
	const List *trusted;
	const struct Guarded *outer;
} Guarded;

static const Guarded *guarded = NULL;
static planner_hook_type prev_planner_hook = NULL;

/* Each statement of a plan has a copy of its text of its own, which tells it from statements of the functions it calls. */
static bool
is_source(const Guarded *statement, const char *query_string)
{
	ListCell *lc;

	foreach (lc, SPI_plan_get_plan_sources(statement->plan))
	{
		if (((const CachedPlanSource *) lfirst(lc))->query_string == query_string)
			return true;
	}
	return false;
}

/* The tree may be another than the one that was looked at, when what it uses has changed since. */
static PlannedStmt *
look_and_plan(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	for (const Guarded *statement = guarded; statement != NULL; statement = statement->outer)
	{
		if (is_source(statement, query_string))
			(void) look_at((Node *) parse, (void *) statement->trusted);
	}
	if (prev_planner_hook != NULL)
		return prev_planner_hook(parse, query_string, cursor_options, params);
	return standard_planner(parse, query_string, cursor_options, params);
}

/* --- while it is analysed --- */

/* Of the statement that is being analysed; what is not `analysing` may be run. */
static bool analysing = false;
static const List *trusted_meanwhile;
static object_access_hook_type prev_object_access_hook = NULL;

/*
 * Analysis makes values of constants, and so runs the checks of domains that are parts of their types. Such a check is code of
 * the domain's owner even where it calls functions of the system, of which those without effects may run.
 */
static void
refuse_evaluation(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (prev_object_access_hook != NULL)
		prev_object_access_hook(access, class_id, object_id, sub_id, arg);
	if (!analysing || access != OAT_FUNCTION_EXECUTE)
		return;
	(void) check_function(object_id, (void *) trusted_meanwhile);
	if (superuser_arg(function_owner(object_id)) && !superuser() &&
		func_volatile(object_id) == PROVOLATILE_VOLATILE)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("function %s would be called by a check of a constant's type",
							   format_procedure_extended(object_id, FORMAT_PROC_FORCE_QUALIFY)),
						errdetail("Constants are evaluated before it is known whose code that is."),
						errhint("Take the value from a column, or let the check call no volatile "
								"function.")));
}

static SPIPlanPtr
analyse(const char *sql, const List *trusted)
{
	bool saved = analysing;
	const List *saved_trusted = trusted_meanwhile;
	SPIPlanPtr volatile plan = NULL;

	analysing = true;
	trusted_meanwhile = trusted;
	PG_TRY();
	{
		plan = SPI_prepare(sql, 0, NULL);
	}
	PG_FINALLY();
	{
		analysing = saved;
		trusted_meanwhile = saved_trusted;
	}
	PG_END_TRY();
	return plan;
}

void
txp_trust_init(void)
{
	prev_planner_hook = planner_hook;
	planner_hook = look_and_plan;
	prev_object_access_hook = object_access_hook;
	object_access_hook = refuse_evaluation;
}

int
txp_trust_execute(SPIPlanPtr plan, const List *trusted, DestReceiver *dest)
{
	SPIExecuteOptions options = {.dest = dest};
	Guarded statement = {plan, trusted, guarded};
	volatile int code = 0;

	guarded = &statement;
	PG_TRY();
	{
		code = SPI_execute_plan_extended(plan, &options);
	}
	PG_FINALLY();
	{
		guarded = statement.outer;
	}
	PG_END_TRY();
	return code;
}

SPIPlanPtr
txp_trust_prepare(const char *sql, const List *trusted)
{
	SPIPlanPtr plan = analyse(sql, trusted);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
	txp_trust_check(plan, trusted);
	return plan;
}
