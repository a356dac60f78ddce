/*
 * lost.c — offsets a topic does not hold any more.
 */
#include "postgres.h"

#include "event.h"
#include "lost.h"
#include "offsets.h"

static char *
describe(const TxpLoss *loss)
{
	char *what = psprintf("offset " INT64_FORMAT " of partition %d of topic \"%s\"", loss->next,
						  loss->partition, loss->topic);

	if (loss->kind == TXP_LOSS_EXPIRED)
		return psprintf("%s has expired: the partition begins at " INT64_FORMAT, what, loss->low);
	return psprintf(
		"%s belongs to a topic that was created anew: the partition holds offsets " INT64_FORMAT
		" to " INT64_FORMAT,
		what, loss->low, loss->high);
}

/* What was not read: up to where reading goes on, or, of a topic that is no more, to its last known end. */
static void
record(const TxpStream *stream, const TxpLoss *loss, int64 to, const char *message)
{
	TxpEventPlace place = {loss->topic, loss->partition, loss->next, to};

	if (loss->kind == TXP_LOSS_RECREATED)
		place.to = Max(loss->end, loss->next);
	txp_event_log(stream->id, loss->kind == TXP_LOSS_EXPIRED ? "lost_offset" : "recreated", message,
				  &place);
}

int64
txp_lost_decide(const TxpStream *stream, const TxpLoss *loss)
{
	char *message = describe(loss);
	int64 to = strcmp(stream->on_lost_offset, "latest") == 0 ? loss->high : loss->low;

	if (strcmp(stream->on_lost_offset, "stop") == 0)
	{
		txp_stream_pause_for(
			stream->id,
			psprintf("%s (on_lost_offset is stop; seek_stream says where to go on)", message));
		return -1;
	}
	if (loss->kind == TXP_LOSS_EXPIRED && to == loss->high)
		message = psprintf("%s; reading goes on at the end, " INT64_FORMAT, message, to);
	else
		message = psprintf("%s; reading goes on at " INT64_FORMAT, message, to);
	if (!txp_offsets_jump(stream->id, loss->topic, loss->topic_id, loss->partition, loss->next, to,
						  loss->high))
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg("the offsets of stream \"%s\" are being moved", stream->name),
						errhint("It is tried again.")));
	record(stream, loss, to, message);
	return to;
}

void
txp_lost_unverifiable(const TxpStream *stream, const char *topic, int32 partition, int64 last)
{
	txp_event_log(stream->id, "unverifiable",
				  psprintf("record " INT64_FORMAT " of partition %d of topic \"%s\", the last one "
						   "read, is not there any more: whether the topic was created anew "
						   "cannot be told",
						   last, partition, topic),
				  &(TxpEventPlace){topic, partition, last, last + 1});
	txp_offsets_forget_last(stream->id, topic, partition);
}
