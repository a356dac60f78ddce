/*
 * consume.c — the loop of a stream: messages in, batches out, at most two of them unacknowledged.
 *
 * The thread sleeps in librdkafka's queue or, when it may take no message, on its mailbox; mail and news of
 * the scout interrupt both. A batch goes out when it is full or, when no other is unacknowledged, linger_ms after the
 * one before: so batches grow with the load, and a lone message does not wait.
 */
#include "headers.h"
#include "link.h"
#include "nudge.h"
#include "stream.h"

#define FETCH 1000     /* messages taken from librdkafka at once */
#define IDLE_MS 60000  /* there is nothing to do before somebody wakes us */
#define FIELDS_MS 1000 /* between counts of fields; news of them go out at once */
#define NAP_MS 10      /* while a batch grows beside an unacknowledged one */

typedef struct Loop
{
	TxpStream *s;
	rd_kafka_message_t *fetched[FETCH];
	size_t nfetched;
	size_t taken;
	TxpNudge nudge;
	int64_t batch_since; /* when the open batch was begun; 0: it is empty */
	int64_t sent_at;     /* the batch before */
	uint32_t last_topic; /* of the message taken last */
	int32_t last_partition;
	int64_t fields_at; /* fields were told last */
	bool fields_wait;  /* batches went out without theirs */
	bool retell;       /* a batch went out since troubles were told */
	TxpMail *starts;   /* STREAM_STARTs that wait for the end of the open batch */
	bool stopped;      /* a batch went out that ends before a reject: nothing is read any more */
} Loop;

static void
wake_queue(void *queue)
{
	rd_kafka_queue_yield(queue);
}

/* The partition's range in the open batch, made where missing. */
static TxpRange *
range_of(Loop *l, TxpPartition *p, uint32_t topic, int32_t partition)
{
	TxpBatch *batch = txp_window_open(&l->s->window);
	uint32_t seq = l->s->window.last_seq + 1;

	if (p->range_seq != seq)
	{
		p->range = txp_batch_range(batch, topic, partition, p->next);
		p->range_seq = seq;
	}
	if (l->batch_since == 0)
		l->batch_since = txp_now_ms();
	return &batch->range[p->range];
}

/* Takes one message over: a row, a reject, or what stops the stream. */
static void
take_message(Loop *l, TxpPartition *p, uint32_t topic, rd_kafka_message_t *m)
{
	TxpStream *s = l->s;
	TxdBuf headers = {0};
	TxdMessage message = txp_message_of(m, topic);
	TxpRange *range;
	bool is_row;

	message.topic = s->topic[topic].name;
	if (s->wants_headers && txp_headers_json(m, &headers))
	{
		message.headers = headers.data;
		message.headers_len = headers.len;
	}
	is_row = txp_batch_add(&s->window, s->decoder, &message, m);
	txd_buf_free(&headers);
	range = range_of(l, p, topic, m->partition);
	l->last_topic = topic;
	l->last_partition = m->partition;
	if (txp_window_open(&s->window)->stopped)
		range->next = m->offset;
	else
	{
		txp_range_count(range, m, is_row);
		txp_pace_spend(&s->pace, m->len + m->key_len);
	}
	p->next = range->next;
	if (!is_row)
		rd_kafka_message_destroy(m);
}

static void
take_error(Loop *l, const rd_kafka_message_t *m)
{
	TxpStream *s = l->s;
	uint32_t topic;
	TxpPartition *p = txp_places_of(s, m, &topic);

	switch (m->err)
	{
		case RD_KAFKA_RESP_ERR__PARTITION_EOF:
			if (p == NULL)
				break;
			txp_places_verify_end(s, topic, m->partition);
			/* The end lies beyond the last message where markers or compacted messages fill the gap. */
			if (m->offset > p->next)
				p->next = range_of(l, p, topic, m->partition)->next = m->offset;
			break;
		case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
		case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
			if (p != NULL)
				txp_places_out_of_range(s, topic, m->partition);
			break;
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
			/* The scout tells topics that vanish. */
			break;
		default:
			if (txp_kafka_is_lasting(m->err))
				txp_stream_fail(s, m->err,
								m->rkt == NULL ? s->topics : rd_kafka_topic_name(m->rkt));
			else
				txp_topics_sick(s, m);
	}
}

/* Takes one message over: it becomes part of a batch or is destroyed. */
static void
take(Loop *l, rd_kafka_message_t *m)
{
	TxpPartition *p;
	uint32_t topic;

	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		take_error(l, m);
	else if ((p = txp_places_of(l->s, m, &topic)) != NULL && txp_places_verify(l->s, topic, m))
	{
		take_message(l, p, topic, m);
		return;
	}
	rd_kafka_message_destroy(m);
}

static bool
has_fetched(const Loop *l)
{
	return l->taken < l->nfetched;
}

/* Are the schemas of the message known, and of its key, where they name some? Errors have none. */
static bool
has_schema(TxpStream *s, const rd_kafka_message_t *m)
{
	TxdMessage message = {
		.payload = m->payload, .payload_len = m->len, .key = m->key, .key_len = m->key_len};

	if (s->registry == NULL || m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return true;
	message.topic = rd_kafka_topic_name(m->rkt);
	if (txp_registry_serve(s->registry, s->decoder, &message))
		return true;
	s->failed |= txp_registry_failed(s->registry);
	return false;
}

/* The next message waits for its schema; when that is to be asked for again in `ms`. */
static bool
awaits_schema(const Loop *l, int *ms)
{
	int64_t due = txp_registry_due(l->s->registry);
	int64_t left = due - txp_now_ms();

	*ms = left > 0 ? (int) left : 0;
	return due != 0 && has_fetched(l) && left > 0;
}

/* Is what was fetched perhaps of another topic than it was asked of? Then it is kept until that is known. */
static bool
is_doubtful(const Loop *l)
{
	return has_fetched(l) && !txp_use_is_sure(l->s->use);
}

/* Takes what was fetched as far as batch, limits and schemas allow. One measurement for the whole run. */
static void
take_fetched(Loop *l)
{
	TxpStream *s = l->s;
	TxpBatch *batch = txp_window_open(&s->window);
	int64_t begun = txp_now_us();

	while (has_fetched(l) && !s->failed && !batch->stopped && !txp_window_full(&s->window) &&
		   txp_pace_allows(&s->pace) && has_schema(s, l->fetched[l->taken]))
		take(l, l->fetched[l->taken++]);
	batch->decode_us += txp_now_us() - begun;
}

/* Waits for messages, at most so long, and fetches what is there. */
static void
fetch(Loop *l, int wait_ms)
{
	ssize_t n;

	l->nfetched = l->taken = 0;
	if (l->batch_since == 0)
	{
		/* The first message after an idle time is taken at once. */
		rd_kafka_message_t *m = rd_kafka_consume_queue(l->s->queue, wait_ms);

		if (m == NULL)
			return;
		l->fetched[l->nfetched++] = m;
		wait_ms = 0;
	}
	n = rd_kafka_consume_batch_queue(l->s->queue, wait_ms, l->fetched + l->nfetched,
									 FETCH - l->nfetched);
	if (n > 0)
		l->nfetched += (size_t) n;
	if (l->nfetched > 0 && txp_nudge_due(&l->nudge, l->s->queue, l->fetched, l->nfetched))
		txp_places_nudge(l->s);
}

/* Behind the last of what was fetched, whose batches made the stream look well. */
static void
tell_again(Loop *l)
{
	if (!l->retell || l->batch_since != 0 || rd_kafka_queue_length(l->s->queue) > 0)
		return;
	l->retell = false;
	txp_topics_tell_again(l->s);
}

static void
keep_start(Loop *l, TxpMail *mail)
{
	TxpMail **at = &l->starts;

	while (*at != NULL)
		at = &(*at)->next;
	mail->next = NULL;
	*at = mail;
}

static void
take_mail(Loop *l, int wait_ms)
{
	TxpMail *mail;

	while (!l->s->failed && (mail = txp_channel_mail(l->s->channel, wait_ms)) != NULL)
	{
		wait_ms = 0;
		if (mail->header.type == TXP_STREAM_START)
		{
			keep_start(l, mail);
			continue;
		}
		l->s->failed = !txp_window_mail(&l->s->window, mail);
		txp_mail_free(mail);
	}
}

/* Between two batches, so that neither the open one nor what was fetched holds anything of before. */
static void
start_places(Loop *l)
{
	TxpStream *s = l->s;

	while (l->starts != NULL && !s->failed)
	{
		TxpMail *mail = l->starts;

		l->starts = mail->next;
		if (!txp_places_start(s, mail) && !s->failed)
		{
			txp_error(s->channel, (TxpError){.fatal = true, .sqlstate = "08P01"},
					  "a frame that starts partitions is broken");
			s->failed = true;
		}
		txp_mail_free(mail);
	}
}

/*
 * Before a message that stops the stream all are counted anew: nothing older may wait. Where batches are gathered
 * each is for itself.
 */
static bool
tells_fields(const Loop *l)
{
	const TxpStream *s = l->s;

	return s->window.stop_at_reject || s->gather_ms > 0 ||
		   txp_now_ms() >= l->fields_at + FIELDS_MS || txd_fields_news(s->decoder);
}

/* Do fields wait that no batch is there for, nor under way? */
static bool
fields_alone(const Loop *l)
{
	return l->fields_wait && l->batch_since == 0 && l->s->window.unacked == 0;
}

/* No batch came that could tell the fields that wait: one without messages does. */
static void
begin_for_fields(Loop *l)
{
	TxpPartition *p = txp_stream_place(l->s, l->last_topic, l->last_partition);

	if (!fields_alone(l) || txp_now_ms() < l->fields_at + FIELDS_MS)
		return;
	if (p != NULL && p->state == TXP_PLACE_READING)
		(void) range_of(l, p, l->last_topic, l->last_partition);
	else
		l->fields_at = txp_now_ms(); /* with what is read next, or later */
}

static void
emit(Loop *l)
{
	TxpStream *s = l->s;
	TxpBatch *batch = txp_window_open(&s->window);
	bool with_fields = tells_fields(l);

	for (uint32_t i = 0; i < batch->nranges; i++)
	{
		TxpRange *range = &batch->range[i];

		range->end = txp_topics_known_end(s, range->topic, range->partition);
		if (range->end >= 0 && range->end < range->next)
			range->end = range->next;
		txp_stream_place(s, range->topic, range->partition)->end_told = range->end;
	}
	txp_window_emit(&s->window, s->decoder, with_fields);
	l->fields_wait = !with_fields && s->schema->track_fields;
	if (with_fields)
		l->fields_at = txp_now_ms();
	l->retell = true;
	txp_registry_retell(s->registry);
	l->batch_since = 0;
	l->sent_at = txp_now_ms();
}

/* When the open batch has waited long enough for company. */
static int64_t
due_at(const Loop *l)
{
	int64_t lingered = l->sent_at + l->s->linger_ms;
	int64_t gathered = l->batch_since + l->s->gather_ms;

	return lingered > gathered ? lingered : gathered;
}

/* Is the open batch to be sent as soon as the window allows? What was fetched while it lingered goes with it. */
static bool
is_ripe(const Loop *l)
{
	const TxpStream *s = l->s;
	int ms;

	if (txp_window_open((TxpWindow *) &s->window)->stopped)
		return true;
	if (l->batch_since == 0)
		return false;
	return txp_window_full(&s->window) || s->unsettled > 0 ||
		   (l->starts != NULL && !has_fetched(l)) ||
		   (s->window.unacked == 0 && txp_now_ms() >= due_at(l) &&
			(!has_fetched(l) || !txp_pace_allows(&s->pace) || awaits_schema(l, &ms) ||
			 is_doubtful(l)));
}

static int
until(int64_t at, int at_most)
{
	int64_t left = at - txp_now_ms();

	return left <= 0 ? 0 : left < at_most ? (int) left : at_most;
}

/* How long there is nothing to do unless somebody wakes us. */
static int
patience(const Loop *l)
{
	const TxpStream *s = l->s;
	int64_t due = txp_topics_due(s);
	int wait = due != 0 ? until(due, IDLE_MS) : IDLE_MS;

	if (l->batch_since != 0 && s->window.unacked == 0)
		wait = until(due_at(l), wait);
	if (fields_alone(l))
		wait = until(l->fields_at + FIELDS_MS, wait);
	return wait;
}

/* May messages be taken now? Otherwise the thread waits for mail, at most so long. */
static bool
may_take(Loop *l, int *wait_ms)
{
	TxpStream *s = l->s;
	int pace_ms;
	int schema_ms;

	*wait_ms = patience(l);
	if (l->stopped || s->window.unacked == TXP_WINDOW || is_doubtful(l))
		return false;
	if (awaits_schema(l, &schema_ms))
	{
		*wait_ms = schema_ms < *wait_ms ? schema_ms : *wait_ms;
		return false;
	}
	txp_pace_fill(&s->pace, txp_now_us());
	pace_ms = txp_pace_wait_ms(&s->pace);
	if (pace_ms > 0 && pace_ms < *wait_ms)
		*wait_ms = pace_ms;
	return pace_ms == 0;
}

/* Mail and news. */
static void
hear(Loop *l)
{
	TxpStream *s = l->s;

	take_mail(l, 0);
	if (!s->failed)
		txp_topics_news(s);
	if (!s->failed && s->unsettled > 0)
		txp_places_tell(s);
}

static void
step(Loop *l)
{
	TxpStream *s = l->s;
	int wait_ms;
	bool may;

	begin_for_fields(l);
	may = may_take(l, &wait_ms);

	if (s->window.unacked < TXP_WINDOW && is_ripe(l))
	{
		l->stopped = txp_window_open(&s->window)->stopped;
		emit(l);
	}
	else if (l->starts != NULL && l->batch_since == 0 && !has_fetched(l) && !l->stopped)
		start_places(l);
	else if (!may)
		take_mail(l, wait_ms);
	else if (has_fetched(l))
		take_fetched(l);
	else if (l->starts == NULL)
	{
		tell_again(l);
		fetch(l, l->batch_since != 0 && s->window.unacked > 0 ? NAP_MS : wait_ms);
	}
}

void
txp_stream_consume(TxpStream *s)
{
	Loop l = {.s = s};

	txp_nudge_init(&l.nudge, s->kafka.rk);
	txp_channel_set_wake(s->channel, wake_queue, s->queue);
	/* In this order: what came before the queue could be woken must not wait. */
	while (!s->failed && !txp_channel_ended(s->channel))
	{
		hear(&l);
		if (!s->failed)
			step(&l);
	}
	txp_channel_set_wake(s->channel, NULL, NULL);
	txp_places_stop(s);
	while (has_fetched(&l))
		rd_kafka_message_destroy(l.fetched[l.taken++]);
	while (l.starts != NULL)
	{
		TxpMail *mail = l.starts;

		l.starts = mail->next;
		txp_mail_free(mail);
	}
}
