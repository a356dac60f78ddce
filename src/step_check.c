/*
 * step_check.c — what statement a step may be.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"

#include "step_check.h"

static bool
is_step_statement(Node *node)
{
	switch (nodeTag(node))
	{
		case T_SelectStmt:
		{
			SelectStmt *select = castNode(SelectStmt, node);

			/* INTO of a UNION is in its first branch. */
			while (select->larg != NULL)
				select = select->larg;
			return select->intoClause == NULL;
		}
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			return true;
		default:
			return false;
	}
}

void
txp_step_check(const char *step, const char *sql)
{
	List *statements = raw_parser(sql, RAW_PARSE_DEFAULT);

	if (list_length(statements) != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("step \"%s\" has %d statements instead of one", step,
							   list_length(statements)),
						errhint("Make each statement a step of its own, or join them with WITH.")));
	if (!is_step_statement(linitial_node(RawStmt, statements)->stmt))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("step \"%s\" is not a query", step),
						errhint("A step is one SELECT, INSERT, UPDATE, DELETE or MERGE.")));
}

void
txp_step_check_code(const char *step, int code)
{
	switch (code)
	{
		case SPI_OK_SELECT:
		case SPI_OK_INSERT:
		case SPI_OK_UPDATE:
		case SPI_OK_DELETE:
		case SPI_OK_MERGE:
		case SPI_OK_INSERT_RETURNING:
		case SPI_OK_UPDATE_RETURNING:
		case SPI_OK_DELETE_RETURNING:
		case SPI_OK_REWRITTEN:
			return;
		default:
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("step \"%s\" is not a query", step),
							errdetail("SPI says %s.", SPI_result_code_string(code)),
							errhint("A step is one SELECT, INSERT, UPDATE, DELETE or MERGE.")));
	}
}
