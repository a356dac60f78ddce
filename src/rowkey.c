/*
 * rowkey.c — what makes two rows of a table the same one: the columns of a unique index and how it compares them.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "rowkey.h"

char *
txp_rowkey_table(Relation table)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table)),
									  RelationGetRelationName(table));
}

static int
plan_column(const TxpRowPlan *plan, const char *name)
{
	for (int i = 0; i < list_length(plan->names); i++)
	{
		if (strcmp(plan->columns[i].name, name) == 0)
			return i;
	}
	return -1;
}

/* Can ON CONFLICT rely on the index? */
static bool
is_arbiter(Form_pg_index index, HeapTuple tuple)
{
	return index->indisunique && !index->indisexclusion && index->indisvalid && index->indisready &&
		   index->indislive && index->indimmediate &&
		   heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
		   heap_attisnull(tuple, Anum_pg_index_indexprs, NULL);
}

static bool
has_key(Form_pg_index index, AttrNumber attnum)
{
	for (int i = 0; i < index->indnkeyatts; i++)
	{
		if (index->indkey.values[i] == attnum)
			return true;
	}
	return false;
}

/* Is the index the primary key, or, when columns are given, on exactly those? */
static bool
is_wanted(const TxpStream *stream, Form_pg_index index, const AttrNumber *attnums)
{
	if (stream->nkey_columns == 0)
		return index->indisprimary;
	if (index->indnkeyatts != stream->nkey_columns)
		return false;
	for (int i = 0; i < stream->nkey_columns; i++)
	{
		if (!has_key(index, attnums[i]))
			return false;
	}
	return true;
}

static AttrNumber *
key_attributes(const TxpStream *stream, Relation target)
{
	AttrNumber *attnums = palloc(sizeof(AttrNumber) * (stream->nkey_columns + 1));

	for (int i = 0; i < stream->nkey_columns; i++)
	{
		const char *name = stream->key_columns[i];

		attnums[i] = get_attnum(RelationGetRelid(target), name);
		if (attnums[i] <= 0)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("key column \"%s\" of relation \"%s\" does not exist", name,
								   RelationGetRelationName(target)),
							errhint("\"key_columns\" are columns of the target.")));
		for (int k = 0; k < i; k++)
		{
			if (attnums[k] == attnums[i])
				ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
								errmsg("key column \"%s\" is named twice", name),
								errhint("Name each column of the key once.")));
		}
	}
	return attnums;
}

static char *
column_list(char *const *names, int n)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", quote_identifier(names[i]));
	return list.data;
}

static void
no_index(const TxpStream *stream, Relation target)
{
	if (stream->nkey_columns == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("table \"%s\" has no primary key that mode %s could go by",
						RelationGetRelationName(target), stream->mode),
				 errhint("Give it one that is neither deferrable nor WITHOUT OVERLAPS, or name the "
						 "columns of a unique index as key_columns.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
			 errmsg("table \"%s\" has no unique index on exactly the key columns (%s)",
					RelationGetRelationName(target),
					column_list(stream->key_columns, stream->nkey_columns)),
			 errdetail("Partial, deferrable and invalid ones, those on expressions, and those "
					   "WITHOUT OVERLAPS, do not count."),
			 errhint("CREATE UNIQUE INDEX ON %s (%s);", txp_rowkey_table(target),
					 column_list(stream->key_columns, stream->nkey_columns))));
}

/* The index that decides what is the same key; of several, the oldest. */
static Oid
find_index(const TxpStream *stream, Relation target)
{
	AttrNumber *attnums = key_attributes(stream, target);
	Oid found = InvalidOid;
	ListCell *lc;

	foreach (lc, RelationGetIndexList(target))
	{
		Oid oid = lfirst_oid(lc);
		HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(oid));
		Form_pg_index index;

		if (!HeapTupleIsValid(tuple))
			continue;
		index = (Form_pg_index) GETSTRUCT(tuple);
		if (is_arbiter(index, tuple) && is_wanted(stream, index, attnums) &&
			(!OidIsValid(found) || oid < found))
			found = oid;
		ReleaseSysCache(tuple);
	}
	if (!OidIsValid(found))
		no_index(stream, target);
	return found;
}

static char *
operator_of(Oid family, Oid type, StrategyNumber strategy)
{
	Oid operator= get_opfamily_member(family, type, type, strategy);
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "operator %d of family %u is missing", strategy, family);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return name;
}

static char *
collate_clause(Oid collation)
{
	HeapTuple tuple;
	Form_pg_collation form;
	char *clause;

	if (!OidIsValid(collation))
		return pstrdup("");
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	clause =
		psprintf(" COLLATE %s", quote_qualified_identifier(get_namespace_name(form->collnamespace),
														   NameStr(form->collname)));
	ReleaseSysCache(tuple);
	return clause;
}

static char *
opclass_name(Relation index, int column)
{
	bool isnull;
	Datum vector =
		SysCacheGetAttr(INDEXRELID, index->rd_indextuple, Anum_pg_index_indclass, &isnull);
	Oid opclass = ((oidvector *) DatumGetPointer(vector))->values[column];
	HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Form_pg_opclass form;
	char *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	name =
		quote_qualified_identifier(get_namespace_name(form->opcnamespace), NameStr(form->opcname));
	ReleaseSysCache(tuple);
	return name;
}

static void
set_comparison(TxpKeyColumn *key, Relation index, int column)
{
	Oid family = index->rd_opfamily[column];
	Oid type = index->rd_opcintype[column];

	key->collation = index->rd_indcollation[column];
	key->collate = collate_clause(key->collation);
	key->opclass = opclass_name(index, column);
	key->less = operator_of(family, type, BTLessStrategyNumber);
	key->equal = operator_of(family, type, BTEqualStrategyNumber);
}

static void
check_key_source(const TxpStream *stream, const char *name, const TxpRowPlan *plan,
				 TxdColumn *column)
{
	if (column == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
						errmsg("key column \"%s\" is not filled from the messages", name),
						errhint("Map it: \"columns\" says which path fills which column. Without a "
								"mapping, columns with a default are left to it.")));
	/* Keys of change events have the fields of the row by the same names. */
	column->or_key = strcmp(stream->mode, "upsert_delete") == 0 && plan->envelope == TXD_DEBEZIUM &&
					 column->source == TXD_FROM_FIELD;
	if (strcmp(stream->mode, "upsert_delete") == 0 && !column->or_key &&
		txp_rowkey_goes_with_value(column))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("key column \"%s\" is not filled from the message key", name),
				 errdetail("A message that deletes a row has no value to take the key from."),
				 errhint("Map it to \"$key\", or to \"$key.field\" when keys have fields; "
						 "with the option envelope => debezium this is not needed.")));
}

int
txp_rowkey_find(const TxpStream *stream, Relation target, TxpRowPlan *plan, TxpKeyColumn **columns)
{
	Relation index = index_open(find_index(stream, target), AccessShareLock);
	int n = index->rd_index->indnkeyatts;
	TxpKeyColumn *keys = palloc0(sizeof(TxpKeyColumn) * n);

	for (int i = 0; i < n; i++)
	{
		AttrNumber attnum = index->rd_index->indkey.values[i];
		char *name = NameStr(TupleDescAttr(RelationGetDescr(target), attnum - 1)->attname);
		int column = plan_column(plan, name);

		check_key_source(stream, name, plan, column < 0 ? NULL : &plan->columns[column]);
		plan->columns[column].not_null = true;
		keys[i].column = column;
		set_comparison(&keys[i], index, i);
	}
	index_close(index, AccessShareLock);
	*columns = keys;
	return n;
}
