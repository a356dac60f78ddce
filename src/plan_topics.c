/*
 * plan_topics.c — topics whose messages have another format than the stream's.
 */
#include "postgres.h"

#include "args.h"
#include "rowplan.h"

/* Of a list, its names; a pattern may find any name. */
static bool
may_read(const char *topics, const char *topic)
{
	size_t len = strlen(topic);
	size_t all;

	if (*topics == '^')
		return true;
	for (const char *p = topics; *p != '\0'; p += all + (p[all] == ','))
	{
		p += strspn(p, " ");
		all = strcspn(p, ",");
		if (all >= len && strncmp(p, topic, len) == 0 && strspn(p + len, " ") == all - len)
			return true;
	}
	return false;
}

static TxdFormat
format_of(const char *topic, const JsonbValue *v)
{
	TxdFormat format;

	if (v->type != jbvString)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the format of topic \"%s\" is not a string", topic),
						errhint("For example {\"%s\": \"avro\"}.", topic)));
	format = txp_format_by_name(pnstrdup(v->val.string.val, v->val.string.len));
	return format;
}

static void
check_format(const char *whose, TxdFormat format)
{
	if (!txd_has_json_fields(format))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s has a format that cannot be mixed with others", whose),
						errhint("Topics of one stream may differ in the formats json, avro and "
								"protobuf; for others create a stream each.")));
}

void
txp_rowplan_set_topics(TxpRowPlan *plan, const char *topics, Jsonb *topic_formats)
{
	JsonbIterator *it;
	JsonbValue v;
	char *topic;

	plan->ntopics = 0;
	if (topic_formats == NULL || JsonContainerSize(&topic_formats->root) == 0)
		return;
	check_format("the stream", plan->format);
	plan->topics = palloc(sizeof(TxdTopicFormat) * JsonContainerSize(&topic_formats->root));
	it = JsonbIteratorInit(&topic_formats->root);
	while ((topic = txp_next_member(&it, &v)) != NULL)
	{
		TxdFormat format = format_of(topic, &v);

		if (!may_read(topics, topic))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option topic_formats has the topic \"%s\", which the stream "
								   "does not read",
								   topic),
							errhint("Its topics: %s.", topics)));
		check_format(psprintf("topic \"%s\"", topic), format);
		plan->topics[plan->ntopics++] = (TxdTopicFormat){topic, format};
	}
}
