/*
 * outbox_sql.c — SQL functions enqueue and deliver_outbox.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "args.h"
#include "message_format.h"
#include "outbox.h"
#include "payload.h"
#include "properties.h"
#include "spi.h"
#include "transaction.h"

static void
warn(const char *why)
{
	ereport(WARNING, (errcode(ERRCODE_CONNECTION_FAILURE),
					  errmsg("not all messages were delivered: %s", why),
					  errhint("They are kept, and tried again.")));
}

static Datum
text_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? (Datum) 0 : PG_GETARG_DATUM(n);
}

/* What could never be sent is refused. */
static void
check_message(FunctionCallInfo fcinfo, const char *topic)
{
	StringInfoData ignored;

	if (topic[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("topic must not be empty"),
						errhint("Name the topic the message goes to.")));
	initStringInfo(&ignored);
	txp_put_headers(&ignored, txp_arg_jsonb_or_null(fcinfo, 4));
}

PG_FUNCTION_INFO_V1(txpipe_enqueue);
Datum
txpipe_enqueue(PG_FUNCTION_ARGS)
{
	char *server = txp_arg_text(fcinfo, 0, "server");
	char *topic = txp_arg_text(fcinfo, 1, "topic");

	(void) txp_server_by_name(server);
	check_message(fcinfo, topic);
	PG_RETURN_INT64(txp_outbox_add(server, topic, text_or_null(fcinfo, 3), text_or_null(fcinfo, 2),
								   text_or_null(fcinfo, 4), NULL));
}

PG_FUNCTION_INFO_V1(txpipe_enqueue_json);
Datum
txpipe_enqueue_json(PG_FUNCTION_ARGS)
{
	char *server = txp_arg_text(fcinfo, 0, "server");
	char *topic = txp_arg_text(fcinfo, 1, "topic");
	Jsonb *format =
		txp_message_format(txp_server_by_name(server), txp_arg_text(fcinfo, 5, "format"),
						   txp_arg_text_or_null(fcinfo, 3), txp_arg_jsonb_or_null(fcinfo, 6));
	Jsonb *value = txp_arg_jsonb_or_null(fcinfo, 2);
	Datum text = 0;

	check_message(fcinfo, topic);
	if (value != NULL)
		text = CStringGetTextDatum(JsonbToCString(NULL, &value->root, VARSIZE(value)));
	PG_RETURN_INT64(txp_outbox_add(server, topic, text_or_null(fcinfo, 3), text,
								   text_or_null(fcinfo, 4), format));
}

typedef struct Loading
{
	int32 route_id;
	TxpDelivery *delivery;
	bool there;
} Loading;

static bool
load_to_keep(void *arg)
{
	Loading *loading = arg;

	loading->there = txp_outbox_load(loading->route_id, true, loading->delivery);
	return true;
}

/* The messages of a route, and what its owner has; false, and noted, when they cannot be read, or there are none. */
static bool
load(int32 route_id, TxpDelivery *delivery)
{
	Loading loading = {route_id, delivery};
	ErrorData *error = txp_subtransaction_try(load_to_keep, &loading, CurrentMemoryContext);
	char *why;

	if (error == NULL)
		return loading.there;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	why = psprintf("%s: %s", unpack_sql_state(error->sqlerrcode), error->message);
	txp_outbox_failed(route_id, why);
	warn(why);
	return false;
}

static void
wait_for_answer(TxpIo *io, uint32 channel, TxpFrame *answer)
{
	do
	{
		if (!txp_io_receive(io, TXP_DELIVERY_TIMEOUT_MS + 5000, answer))
			ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
							errmsg("the brokers did not answer in time"),
							errhint("The messages are kept. Call again, or let a worker try.")));
	} while (answer->channel != channel);
}

/* The next messages of a route; false: it has no more, or they cannot be delivered now. */
static bool
deliver_some(TxpIo *io, int32 route_id, int64 *delivered)
{
	uint32 channel = txp_io_new_channel(io);
	TxpDelivery delivery;
	TxpFrame answer;
	char *why;

	CHECK_FOR_INTERRUPTS();
	if (!load(route_id, &delivery))
		return false;
	SPI_commit();
	txp_io_send(io, TXP_PRODUCE_ALL, channel, 0, &delivery.payload);
	explicit_bzero(delivery.payload.data, delivery.payload.len);
	wait_for_answer(io, channel, &answer);
	*delivered += txp_outbox_settle(&delivery, &answer, &why);
	txp_outbox_prune();
	SPI_commit();
	if (why != NULL)
		warn(psprintf("topic \"%s\": %s", delivery.topic, why));
	return why == NULL;
}

static pg_noinline int64
deliver_all(TxpIo *io)
{
	int64 delivered = 0;
	TimestampTz next;
	List *routes;
	ListCell *lc;

	(void) txp_outbox_lock(true);
	routes = txp_outbox_routes(true, &next);
	foreach (lc, routes)
	{
		while (deliver_some(io, lfirst_int(lc), &delivered))
			;
	}
	txp_outbox_prune();
	return delivered;
}

PG_FUNCTION_INFO_V1(txpipe_deliver_outbox);
Datum
txpipe_deliver_outbox(PG_FUNCTION_ARGS)
{
	bool nonatomic = fcinfo->context && IsA(fcinfo->context, CallContext) &&
					 !castNode(CallContext, fcinfo->context)->atomic;
	volatile int64 delivered = 0;
	TxpIo *io;

	PreventCommandDuringRecovery("CALL txpipe.deliver_outbox()");
	if (!nonatomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("deliver_outbox cannot run inside a transaction block"),
				 errhint("Call it on its own: it waits for the brokers between transactions.")));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	io = txp_io_start(CurrentMemoryContext);
	PG_TRY();
	{
		delivered = deliver_all(io);
	}
	PG_FINALLY();
	{
		txp_outbox_unlock();
	}
	PG_END_TRY();
	txp_io_stop(io);
	SPI_finish();
	ereport(NOTICE, (errmsg("messages delivered: " INT64_FORMAT, delivered)));
	PG_RETURN_VOID();
}
