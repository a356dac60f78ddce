/*
 * seek.c — SQL functions that change a stream and keep it: seek_stream moves its place, release_partition and
 * adopt_partition move a partition to another server's stream, alter_stream changes mapping and options.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "args.h"
#include "event.h"
#include "io_client.h"
#include "link.h"
#include "offsets.h"
#include "options.h"
#include "sample.h"
#include "step_run.h"
#include "stream.h"

/* --- where to --- */

static void
hint_position(void *arg)
{
	errhint("position takes earliest, latest, a timestamp with time zone, or offsets: '{\"0\": "
			"120}', of "
			"several topics '{\"topic\": {\"0\": 120}}'.");
}

/* Asks the brokers what partitions there are, and where start_at of `stream` points in them. */
static void
ask_brokers(const TxpStream *stream, TxpPartitions *parts)
{
	TxpIo *io = txp_io_start(CurrentMemoryContext);
	uint32 channel = txp_link_send_open(io, stream, txp_sample_raw_plan(), TXP_OPEN_TIMEOUT_MS);
	TxpFrame frame;

	txp_io_expect(io, channel, TXP_PARTITIONS, TXP_OPEN_TIMEOUT_MS + 5000, &frame);
	txp_io_stop(io);
	txp_partitions_read(&frame, parts);
}

static void
bad_position(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", what)));
}

static TxpPlace *
find_place(TxpPartitions *parts, const char *topic, const char *partition)
{
	for (int i = 0; i < parts->n; i++)
	{
		TxpPlace *place = &parts->places[i];

		if (strcmp(parts->topics[place->topic], topic) == 0 &&
			strcmp(psprintf("%d", place->partition), partition) == 0)
			return place;
	}
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("topic \"%s\" has no partition \"%s\" that the stream could read", topic,
						   partition),
					errhint("txpipe.topics() lists topics with the number of their partitions.")));
}

/* An offset must lie in what the partition holds, or right behind it. */
static void
check_offset(const char *topic, const TxpPlace *place, int64 offset)
{
	if (offset < place->low || offset > place->high)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("offset " INT64_FORMAT " of partition %d of topic \"%s\" is not there",
						offset, place->partition, topic),
				 errdetail("The partition holds offsets from " INT64_FORMAT
						   " to before " INT64_FORMAT ".",
						   place->low, place->high),
				 errhint("Choose an offset within the range; its end means what comes next.")));
}

/* One "partition": offset. */
static void
choose_offset(TxpPartitions *parts, const char *topic, const char *partition, const JsonbValue *v)
{
	TxpPlace *place = find_place(parts, topic, partition);
	Datum offset;

	if (v->type != jbvNumeric)
		bad_position(psprintf("offset of partition %s is not a number", partition));
	offset = DirectFunctionCall1(numeric_int8, NumericGetDatum(v->val.numeric));
	check_offset(topic, place, DatumGetInt64(offset));
	place->start = DatumGetInt64(offset);
}

/* The members of one topic's object. */
static void
choose_offsets(TxpPartitions *parts, const char *topic, JsonbContainer *object)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbValue v;
	char *partition;

	while ((partition = txp_next_member(&it, &v)) != NULL)
		choose_offset(parts, topic, partition, &v);
}

/* Offsets as JSON: partitions that are not named stay where they are (start -1). */
static void
choose_by_json(TxpPartitions *parts, Jsonb *position)
{
	JsonbIterator *it = JsonbIteratorInit(&position->root);
	JsonbValue v;
	char *name;
	bool by_topic = false;

	for (int i = 0; i < parts->n; i++)
		parts->places[i].start = -1;
	while ((name = txp_next_member(&it, &v)) != NULL)
	{
		if (v.type == jbvBinary && JsonContainerIsObject(v.val.binary.data))
		{
			choose_offsets(parts, name, v.val.binary.data);
			by_topic = true;
		}
		else if (parts->ntopics != 1)
			bad_position("the stream reads several topics, so offsets need the name of one");
		else
			choose_offset(parts, parts->topics[0], name, &v);
	}
	if (by_topic && parts->ntopics == 0)
		bad_position("the stream reads no topic at present");
}

/* After this, every place's start is where the stream is to go; -1: it stays. */
static void
choose(const TxpStream *stream, const char *position, TxpPartitions *parts)
{
	ErrorContextCallback context = {error_context_stack, hint_position, NULL};
	TxpStream source = *stream;
	bool json = position[strspn(position, " \t\n\r")] == '{';
	Jsonb *offsets = NULL;
	int64 unix_ms;

	error_context_stack = &context;
	source.start_at = json ? pstrdup("earliest") : pstrdup(position);
	if (json)
		offsets = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(position)));
	else
		(void) txp_start_parse(position, &unix_ms);
	error_context_stack = context.previous;

	ask_brokers(&source, parts);
	txp_partitions_keep(parts, &stream->partitions, txp_offsets_read(stream->id, -1));
	if (offsets == NULL)
		return;
	error_context_stack = &context;
	choose_by_json(parts, offsets);
	error_context_stack = context.previous;
}

/* --- the change --- */

static void
refuse_vanished(const TxpStream *stream)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("stream \"%s\" has been dropped meanwhile", stream->name),
					errhint("txpipe.stream_status lists the streams you may see.")));
}

/* As a batch does: first the offsets, then the stream's row. Returns the stream as it is then. */
static TxpStream *
hold(const TxpStream *stream)
{
	txp_offsets_lock_all(stream->id);
	if (!txp_stream_grow_epoch(stream->id))
		refuse_vanished(stream);
	return txp_stream_load(NULL, stream->id);
}

static void
move(const TxpStream *stream, const TxpPartitions *parts)
{
	List *positions = txp_offsets_read(stream->id, -1);

	for (int i = 0; i < parts->n; i++)
	{
		const TxpPlace *place = &parts->places[i];
		TxpEventPlace event = {parts->topics[place->topic], place->partition, -1, place->start};
		const TxpPosition *old = txp_offsets_find(positions, event.topic, place->partition);

		if (place->start < 0)
			continue;
		if (old != NULL && old->assignment == TXP_RELEASED)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
							errmsg("partition %d of topic \"%s\" has been released meanwhile",
								   place->partition, event.topic),
							errhint("Call again.")));
		if (old != NULL)
			event.from = old->next;
		txp_offsets_set(stream->id, event.topic, &parts->topic_ids[place->topic], place->partition,
						place->start, place->high);
		txp_event_log(stream->id, "sought",
					  psprintf("moved to offset " INT64_FORMAT " by %s", place->start,
							   GetUserNameFromId(GetUserId(), false)),
					  &event);
	}
}

PG_FUNCTION_INFO_V1(txpipe_seek_stream);
Datum
txpipe_seek_stream(PG_FUNCTION_ARGS)
{
	TxpStream *stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));
	char *position = txp_arg_text(fcinfo, 1, "position");
	TxpPartitions parts;

	choose(stream, position, &parts);
	(void) hold(stream);
	move(stream, &parts);
	PG_RETURN_VOID();
}

/* --- partitions that go to another server --- */

static void
log_assignment(const TxpStream *stream, const char *event, const char *topic, int32 partition,
			   int64 next)
{
	txp_event_log(stream->id, event,
				  psprintf("partition %d of topic \"%s\" %s at offset " INT64_FORMAT " by %s",
						   partition, topic, event, next, GetUserNameFromId(GetUserId(), false)),
				  &(TxpEventPlace){topic, partition, next, -1});
}

/*
 * Another server acts on it: neither a crash of this one nor the promotion of its standby may take it back, whatever
 * synchronous_commit says.
 */
static void
commit_durably(void)
{
	if (synchronous_commit < SYNCHRONOUS_COMMIT_ON)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	ForceSyncCommit();
}

/* ERRORs unless the stream reads the partition. */
static void
check_release(const TxpStream *stream, const char *topic, int32 partition)
{
	TxpPosition *position = txp_offsets_find(txp_offsets_read(stream->id, -1), topic, partition);

	if (position == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("stream \"%s\" has no place in partition %d of topic \"%s\"",
							   stream->name, partition, topic),
						errhint("txpipe.stream_partition lists those it has; a stream that was "
								"created paused has some when it has run.")));
	if (position->assignment == TXP_RELEASED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("partition %d of topic \"%s\" is released already, at offset " INT64_FORMAT,
						partition, topic, position->next),
				 errhint("adopt_partition() takes it there, on one server.")));
	if (!txp_offsets_wanted(&stream->partitions, partition, position))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("stream \"%s\" does not read partition %d of topic \"%s\"",
							   stream->name, partition, topic),
						errhint("Its option partitions leaves it out.")));
}

/*
 * Batches at work end first, as hold() waits for them, and later ones find the partition released. Not only their epoch
 * is old: a batch that has looked at the stream's row before may lock its offsets after.
 */
PG_FUNCTION_INFO_V1(txpipe_release_partition);
Datum
txpipe_release_partition(PG_FUNCTION_ARGS)
{
	TxpStream *stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));
	char *topic = txp_arg_text(fcinfo, 1, "topic");
	int32 partition = txp_arg_int32(fcinfo, 2, "partition");
	int64 next;

	stream = hold(stream);
	check_release(stream, topic, partition);
	next = txp_offsets_assign(stream->id, topic, partition, TXP_RELEASED);
	log_assignment(stream, "released", topic, partition, next);
	commit_durably();
	PG_RETURN_INT64(next);
}

/*
 * The partition's position, or NULL; ERRORs unless it can be read from the offset, or on_lost_offset decides where
 * else.
 */
static TxpPosition *
check_adoption(const TxpStream *stream, const TxpPartitions *parts, const TxpPlace *place,
			   int64 next)
{
	const char *topic = parts->topics[place->topic];
	TxpPosition *position =
		txp_offsets_find(txp_offsets_read(stream->id, -1), topic, place->partition);

	if (txp_offsets_wanted(&stream->partitions, place->partition, position))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("stream \"%s\" reads partition %d of topic \"%s\" already",
							   stream->name, place->partition, topic),
						errhint("seek_stream() moves it; a stream whose option partitions is "
								"\"none\" reads what it has adopted.")));
	if (next < 0 || next >= place->low || strcmp(stream->on_lost_offset, "stop") == 0)
		check_offset(topic, place, next);
	return position;
}

PG_FUNCTION_INFO_V1(txpipe_adopt_partition);
Datum
txpipe_adopt_partition(PG_FUNCTION_ARGS)
{
	TxpStream *stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));
	char *topic = txp_arg_text(fcinfo, 1, "topic");
	int32 partition = txp_arg_int32(fcinfo, 2, "partition");
	int64 next = txp_arg_int64(fcinfo, 3, "next_offset");
	TxpPartitions parts;
	TxpPlace place;
	TxpPosition *old;

	ask_brokers(stream, &parts);
	place = *find_place(&parts, topic, psprintf("%d", partition));
	stream = hold(stream);
	old = check_adoption(stream, &parts, &place, next);
	/* A stream that has never run begins where start_at points now: adopting is no beginning. */
	txp_partitions_keep(&parts, &stream->partitions, txp_offsets_read(stream->id, -1));
	(void) txp_offsets_store(stream->id, &parts);
	/* Where nobody has read on, what was read last still tells a topic that was created anew. */
	if (old == NULL || old->next != next)
		txp_offsets_set(stream->id, topic, &parts.topic_ids[place.topic], partition, next,
						place.high);
	(void) txp_offsets_assign(stream->id, topic, partition, TXP_ADOPTED);
	log_assignment(stream, "adopted", topic, partition, next);
	commit_durably();
	PG_RETURN_VOID();
}

/* --- mapping and options --- */

PG_FUNCTION_INFO_V1(txpipe_alter_stream);
Datum
txpipe_alter_stream(PG_FUNCTION_ARGS)
{
	TxpStream *stream = txp_stream_of_user(txp_arg_text(fcinfo, 0, "stream"));
	Jsonb *columns = txp_arg_jsonb_or_null(fcinfo, 1);
	Jsonb *options = txp_arg_jsonb_or_null(fcinfo, 2);
	StringInfoData what;
	TxpLink *link;

	if (columns == NULL && options == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("neither columns nor options of stream \"%s\" are given", stream->name),
				 errhint("For example options => '{\"batch_rows\": 5000}'.")));
	if (!txp_stream_lock(stream->id))
		refuse_vanished(stream);
	stream = txp_stream_load(NULL, stream->id);
	initStringInfo(&what);
	appendStringInfo(&what, "altered by %s", GetUserNameFromId(GetUserId(), false));
	if (columns != NULL)
	{
		stream->columns = txp_stream_columns(columns);
		appendStringInfo(&what, "; columns: %s",
						 JsonbToCString(NULL, &columns->root, VARSIZE(columns)));
	}
	if (options != NULL)
	{
		stream->options = txp_options_merge(TXP_OPTION_STREAM, stream->options, options);
		appendStringInfo(&what, "; options: %s",
						 JsonbToCString(NULL, &options->root, VARSIZE(options)));
	}
	txp_stream_apply_options(stream);
	link = txp_link_plan(stream);
	txp_steps_check(link, NULL);
	txp_link_check_plan(link->plan);
	txp_stream_store_definition(stream);
	txp_event_log(stream->id, "altered", what.data, NULL);
	PG_RETURN_VOID();
}
