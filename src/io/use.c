/*
 * use.c — what a stream asked for, and what brokers show of it.
 */
#include <stdlib.h>

#include "link.h"
#include "use.h"

#define MISSES 3 /* in a row: the topic was deleted */

static TxpSight *
add_sight(TxpUse *use, const char *name, size_t len)
{
	TxpSight *sight;

	use->sight = txd_realloc(use->sight, ((size_t) use->nsights + 1) * sizeof(TxpSight));
	sight = &use->sight[use->nsights++];
	*sight = (TxpSight){.name = txd_alloc(len + 1), .end = -1};
	memcpy(sight->name, name, len);
	sight->name[len] = '\0';
	return sight;
}

static TxpSight *
find_sight(const TxpUse *use, const char *name)
{
	for (int i = 0; i < use->nsights; i++)
	{
		if (strcmp(use->sight[i].name, name) == 0)
			return &use->sight[i];
	}
	return NULL;
}

bool
txp_use_has(const TxpUse *use, const char *topic)
{
	return find_sight(use, topic) != NULL;
}

void
txp_use_free(TxpUse *use)
{
	for (int i = 0; i < use->nsights; i++)
	{
		if (use->sight[i].rkt != NULL)
			rd_kafka_topic_destroy(use->sight[i].rkt);
		free(use->sight[i].name);
	}
	free(use->sight);
	if (use->is_pattern)
		regfree(&use->pattern);
	free(use);
}

/* The names of a list; blanks around them are not theirs, and a name twice counts once. */
static void
read_list(TxpUse *use, const char *topics)
{
	for (const char *p = topics; *p != '\0';)
	{
		size_t len;
		size_t all;

		p += strspn(p, " ");
		len = all = strcspn(p, ",");
		while (len > 0 && p[len - 1] == ' ')
			len--;
		add_sight(use, p, len);
		if (find_sight(use, use->sight[use->nsights - 1].name) != &use->sight[use->nsights - 1])
			free(use->sight[--use->nsights].name);
		p += all + (p[all] == ',');
	}
}

TxpUse *
txp_use_make(TxpChannel *channel, const char *topics)
{
	TxpUse *use = txd_alloc(sizeof(*use));
	char reason[200];
	int err;

	*use = (TxpUse){.channel = channel};
	if (topics[0] != '^')
	{
		read_list(use, topics);
		return use;
	}
	err = regcomp(&use->pattern, topics, REG_EXTENDED | REG_NOSUB);
	if (err == 0)
	{
		use->is_pattern = true;
		return use;
	}
	regerror(err, &use->pattern, reason, sizeof(reason));
	txp_error(channel,
			  (TxpError){.fatal = true,
						 .sqlstate = "2201B",
						 .detail = reason,
						 .hint = "Patterns of topics are POSIX extended regular expressions."},
			  "\"%s\" is not a valid pattern of topics", topics);
	free(use);
	return NULL;
}

static bool
is_unknown(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
		   err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || err == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
}

/* Has the topic another id than it had? What is told of no id is taken for the same. */
static bool
is_other(TxpSight *sight, const TxpTopicId *id)
{
	if (!txp_topic_id_is_known(id))
		return false;
	if (txp_topic_id_is_known(&sight->id))
		return memcmp(&sight->id, id, sizeof(*id)) != 0;
	sight->id = *id;
	return false;
}

/* Takes in what is shown of a topic (t NULL: not listed); true when that is news. */
static bool
see(TxpSight *sight, const TxpShown *t)
{
	bool was_gone = sight->gone;

	sight->err = t == NULL ? RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART : t->err;
	if (sight->err == RD_KAFKA_RESP_ERR_NO_ERROR && t->partitions == 0)
		sight->err = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	if (sight->err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		sight->missed = is_unknown(sight->err) ? sight->missed + 1 : 0;
		sight->gone = was_gone || (sight->missed >= MISSES && sight->partitions > 0);
		return sight->gone != was_gone;
	}
	sight->missed = 0;
	sight->gone = false;
	if (was_gone || t->partitions < sight->partitions || is_other(sight, &t->id))
	{
		sight->anew = true;
		return true;
	}
	if (t->partitions == sight->partitions)
		return false;
	sight->partitions = t->partitions;
	return true;
}

static const TxpShown *
find_topic(const TxpShow *show, const char *name)
{
	for (int i = 0; i < show->n; i++)
	{
		if (strcmp(show->topic[i].name, name) == 0)
			return &show->topic[i];
	}
	return NULL;
}

static int
by_name(const void *a, const void *b)
{
	const TxpShown *const *x = a;
	const TxpShown *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* Topics the pattern fits and that were not seen before, by name. Topics of the brokers' own are none. */
static void
match_pattern(TxpUse *use, const TxpShow *show)
{
	const TxpShown **found = txd_alloc(((size_t) show->n + 1) * sizeof(*found));
	size_t n = 0;

	for (int i = 0; i < show->n; i++)
	{
		const TxpShown *t = &show->topic[i];

		if (t->partitions > 0 && strncmp(t->name, "__", 2) != 0 &&
			find_sight(use, t->name) == NULL && regexec(&use->pattern, t->name, 0, NULL, 0) == 0)
			found[n++] = t;
	}
	qsort(found, n, sizeof(*found), by_name);
	for (size_t i = 0; i < n; i++)
		add_sight(use, found[i]->name, strlen(found[i]->name));
	free(found);
}

/* Have the partitions' ends moved since the last look? */
static bool
ends_moved(rd_kafka_t *rk, TxpSight *sight)
{
	int64_t sum = 0;
	bool moved;

	for (int p = 0; p < sight->partitions; p++)
	{
		int64_t low;
		int64_t high = -1;

		if (!rd_kafka_get_watermark_offsets(rk, sight->name, p, &low, &high))
			sum += high;
	}
	moved = sum != sight->end;
	sight->end = sum;
	return moved;
}

bool
txp_use_show(TxpUse *use, rd_kafka_t *rk, const TxpShow *show)
{
	bool settled = show->with_ids || !txp_show_has_ids();
	bool news = false;

	if (use->is_pattern)
		match_pattern(use, show);
	for (int i = 0; i < use->nsights; i++)
	{
		TxpSight *sight = &use->sight[i];
		const TxpShown *t = find_topic(show, sight->name);

		if (t != NULL || show->all)
			news |= see(sight, t);
		if (sight->rkt == NULL && sight->partitions > 0)
			sight->rkt = rd_kafka_topic_new(rk, sight->name, NULL);
		settled &= sight->partitions > 0 || txp_kafka_is_lasting(sight->err);
		news |= ends_moved(rk, sight);
	}
	if (settled && !use->answered)
		use->answered = news = true;
	return news;
}
