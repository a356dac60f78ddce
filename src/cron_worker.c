/*
 * cron_worker.c — pg_cron from any database of the server.
 *
 * pg_cron's tables are in one database. Where that is another one, a background worker connects to it as the current
 * user, runs the operation, and its answer or error comes back through a queue in shared memory.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/shm_mq.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "args.h"
#include "compat.h"
#include "cron.h"

PG_FUNCTION_INFO_V1(txpipe_ask_cron);
PG_FUNCTION_INFO_V1(txpipe_cron_database);
PG_FUNCTION_INFO_V1(txpipe_cron_setting);

#define QUEUE_SIZE (64 * 1024)
/* Answers, beside the errors and notices of the protocol. */
#define ANSWER 'D'

/* In shared memory, the queue behind it. */
typedef struct Request
{
	Oid home;
	Oid role;
	char target[NAMEDATALEN];
	char operation[NAMEDATALEN];
	Size queue;
	char args[FLEXIBLE_ARRAY_MEMBER]; /* an array of texts */
} Request;

extern PGDLLEXPORT void txp_cron_worker_main(Datum arg);

/* --- the worker --- */

static void
send_answer(const char *text)
{
	StringInfoData message;
	char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);

	pq_beginmessage(&message, ANSWER);
	pq_sendbytes(&message, utf8, strlen(utf8) + 1);
	pq_endmessage(&message);
}

void
txp_cron_worker_main(Datum arg)
{
	dsm_segment *segment;
	Request *request;
	shm_mq *queue;
	MemoryContext context = CurrentMemoryContext;
	char *answer;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	CurrentResourceOwner = ResourceOwnerCreate(NULL, "txpipe cron");
	segment = dsm_attach(DatumGetUInt32(arg));
	/* Who asked has gone. */
	if (segment == NULL)
		proc_exit(0);
	dsm_pin_mapping(segment);
	request = dsm_segment_address(segment);
	queue = (shm_mq *) ((char *) request + request->queue);
	shm_mq_set_sender(queue, MyProc);
	/* From here on errors reach who asked, those of the connection included. */
	pq_redirect_to_shm_mq(segment, shm_mq_attach(queue, segment, NULL));

	BackgroundWorkerInitializeConnectionByOid(request->home, request->role, 0);
	SetClientEncoding(PG_UTF8);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_OVERRIDE);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "asking pg_cron");
	answer = MemoryContextStrdup(
		context, txp_cron_run(request->operation, (ArrayType *) request->args, request->target));
	PopActiveSnapshot();
	CommitTransactionCommand();
	send_answer(answer);
	proc_exit(0);
}

/* --- the session --- */

static void
check_role(Oid home, const char *home_name)
{
	char *role = GetUserNameFromId(GetUserId(), false);
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	bool may_log_in = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (!may_log_in)
		ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
						errmsg("role \"%s\" may not log in, as its jobs would have to", role),
						errhint("ALTER ROLE %s LOGIN; or SET ROLE to one that may.",
								quote_identifier(role))));
	if (object_aclcheck(DatabaseRelationId, home, GetUserId(), ACL_CONNECT) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("role \"%s\" may not connect to \"%s\", the database of pg_cron",
							   role, home_name),
						errhint("GRANT CONNECT ON DATABASE %s TO %s;", quote_identifier(home_name),
								quote_identifier(role))));
}

/* The request, and its queue with this session at the reading end. */
static dsm_segment *
make_request(Oid home, const char *operation, ArrayType *args)
{
	Size queue = MAXALIGN(offsetof(Request, args) + VARSIZE(args));
	dsm_segment *segment = dsm_create(queue + QUEUE_SIZE, 0);
	Request *request = dsm_segment_address(segment);

	request->home = home;
	request->role = GetUserId();
	request->queue = queue;
	strlcpy(request->target, get_database_name(MyDatabaseId), NAMEDATALEN);
	strlcpy(request->operation, operation, NAMEDATALEN);
	memcpy(request->args, args, VARSIZE(args));
	shm_mq_set_receiver(shm_mq_create((char *) request + queue, QUEUE_SIZE), MyProc);
	return segment;
}

static BackgroundWorkerHandle *
start_worker(dsm_segment *segment, const char *home_name)
{
	BackgroundWorker worker = {
		.bgw_name = "txpipe cron",
		.bgw_type = "txpipe cron",
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_ConsistentState,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_library_name = "txpipe",
		.bgw_function_name = "txp_cron_worker_main",
		.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment)),
		.bgw_notify_pid = MyProcPid,
	};
	BackgroundWorkerHandle *handle;

	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						errmsg("no background worker slot is free to reach pg_cron in database "
							   "\"%s\"",
							   home_name),
						errhint("Try again, or raise max_worker_processes and restart the "
								"server.")));
	return handle;
}

/* Until the worker has gone; its errors are raised here. NULL: it did not answer. */
static char *
receive_answer(shm_mq_handle *queue)
{
	char *answer = NULL;
	Size size;
	void *data;

	while (shm_mq_receive(queue, &size, &data, false) == SHM_MQ_SUCCESS)
	{
		StringInfoData message;
		ErrorData error;
		int type;

		initStringInfo(&message);
		appendBinaryStringInfo(&message, data, size);
		type = pq_getmsgbyte(&message);
		if (type == ANSWER)
			answer = pstrdup(pq_getmsgrawstring(&message));
		else if (type == 'E' || type == 'N')
		{
			pq_parse_errornotice(&message, &error);
			/* The worker's end is not ours. */
			error.elevel = Min(error.elevel, ERROR);
			ThrowErrorData(&error);
		}
	}
	return answer;
}

static char *
ask_worker(Oid home, const char *home_name, const char *operation, ArrayType *args)
{
	dsm_segment *segment;
	Request *request;
	BackgroundWorkerHandle *handle;
	char *answer = NULL;

	check_role(home, home_name);
	segment = make_request(home, operation, args);
	request = dsm_segment_address(segment);
	handle = start_worker(segment, home_name);
	PG_TRY();
	{
		answer = receive_answer(
			shm_mq_attach((shm_mq *) ((char *) request + request->queue), segment, handle));
	}
	PG_CATCH();
	{
		TerminateBackgroundWorker(handle);
		PG_RE_THROW();
	}
	PG_END_TRY();
	dsm_detach(segment);
	if (answer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the worker in database \"%s\" ended without an answer", home_name),
						errhint("The server log says why.")));
	return answer;
}

/* ask_cron(operation text, args text[]) RETURNS text: see txp_cron_run. */
Datum
txpipe_ask_cron(PG_FUNCTION_ARGS)
{
	char *operation = txp_arg_text(fcinfo, 0, "operation");
	ArrayType *args = PG_GETARG_ARRAYTYPE_P(1);
	const char *home_name = GetConfigOption("cron.database_name", true, false);
	Oid home;

	/* The worker would commit it whatever becomes of us. */
	if (strcmp(operation, "status") != 0)
		PreventCommandIfReadOnly("txpipe.ask_cron()");
	if (home_name == NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("pg_cron is not loaded"),
						errhint("SELECT txpipe.require_cron(); says how to load it.")));
	home = get_database_oid(home_name, true);
	if (!OidIsValid(home))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_DATABASE),
						errmsg("the database of pg_cron, \"%s\", does not exist", home_name),
						errhint("Create it, or set cron.database_name to another one and restart "
								"the server.")));
	if (home == MyDatabaseId)
		PG_RETURN_TEXT_P(
			cstring_to_text(txp_cron_run(operation, args, get_database_name(MyDatabaseId))));
	PG_RETURN_TEXT_P(cstring_to_text(ask_worker(home, home_name, operation, args)));
}

/* cron_database() RETURNS text: the database of pg_cron; NULL when it is not loaded. */
Datum
txpipe_cron_database(PG_FUNCTION_ARGS)
{
	const char *home = GetConfigOption("cron.database_name", true, false);

	if (home == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(home));
}

/*
 * cron_setting(setting text) RETURNS text: of pg_cron, which shows its settings to superusers only from 1.5 on. None of
 * these is a secret. NULL when there is no such setting.
 */
Datum
txpipe_cron_setting(PG_FUNCTION_ARGS)
{
	static const char *const shown[] = {"host", "max_running_jobs", "timezone",
										"use_background_workers"};
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *value = NULL;

	for (int i = 0; i < lengthof(shown); i++)
	{
		if (strcmp(name, shown[i]) == 0)
			value = GetConfigOption(psprintf("cron.%s", name), true, false);
	}
	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(value));
}
