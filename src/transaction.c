/*
 * transaction.c — a worker's transactions.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/prepare.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "transaction.h"
#include "watch.h"

static MemoryContext scratch;

void
txp_transaction_init(MemoryContext context)
{
	scratch = context;
}

void
txp_transaction_begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
txp_transaction_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(scratch);
	(void) pgstat_report_stat(false);
}

void
txp_transaction_commit_as(Oid owner)
{
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	txp_transaction_commit();
	SetUserIdAndSecContext(user, context);
}

void
txp_transaction_abort(void)
{
	AbortCurrentTransaction();
	MemoryContextSwitchTo(scratch);
}

ErrorData *
txp_transaction_take_error(void)
{
	ErrorData *error;

	MemoryContextSwitchTo(scratch);
	error = CopyErrorData();
	HOLD_INTERRUPTS();
	FlushErrorState();
	txp_watch_unlimit();
	txp_transaction_abort();
	RESUME_INTERRUPTS();
	return error;
}

void
txp_session_discard(void)
{
	Oid temp_schema;
	Oid temp_toast_schema;

	PortalHashTableDeleteAll();
	ResetAllOptions();
	DropAllPreparedStatements();
	LockReleaseAll(USER_LOCKMETHOD, true);
	GetTempNamespaceState(&temp_schema, &temp_toast_schema);
	if (OidIsValid(temp_schema))
	{
		txp_transaction_begin();
		ResetTempTableNamespace();
		txp_transaction_commit();
	}
}

static ErrorData *
try(TxpWork work, void *arg, MemoryContext error_context, bool many)
{
	MemoryContext transaction = CurTransactionContext;
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	/* Its end sets this again, however it ends. What lives longer than it must is safe. */
	if (many)
		CurTransactionContext = transaction;
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		if (work(arg))
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(error_context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

ErrorData *
txp_subtransaction_try(TxpWork work, void *arg, MemoryContext error_context)
{
	return try(work, arg, error_context, false);
}

ErrorData *
txp_subtransaction_try_many(TxpWork work, void *arg, MemoryContext error_context)
{
	return try(work, arg, error_context, true);
}
