/*
 * nudge.c — when librdkafka's fetcher is to be woken.
 */
#include <stdlib.h>

#include "nudge.h"

#define SHARE 8 /* of the queue that has room again */
#define FIRST_WITH_PROPERTY 0x020200ff

bool
txp_nudge_has_property(void)
{
	return rd_kafka_version() >= FIRST_WITH_PROPERTY;
}

void
txp_nudge_init(TxpNudge *nudge, rd_kafka_t *rk)
{
	char kbytes[20];
	size_t size = sizeof(kbytes);

	*nudge = (TxpNudge){.most = SIZE_MAX};
	if (txp_nudge_has_property())
		return;
	if (rd_kafka_conf_get(rd_kafka_conf(rk), "queued.max.messages.kbytes", kbytes, &size) ==
		RD_KAFKA_CONF_OK)
		nudge->most = strtoul(kbytes, NULL, 10) * 1024 / SHARE;
}

bool
txp_nudge_due(TxpNudge *nudge, rd_kafka_queue_t *queue, rd_kafka_message_t *const *taken, size_t n)
{
	size_t left = rd_kafka_queue_length(queue);
	bool has_come = left + n > nudge->left;

	nudge->left = left;
	if (has_come)
	{
		nudge->bytes = 0;
		return false;
	}
	for (size_t i = 0; i < n; i++)
		nudge->bytes += taken[i]->len + taken[i]->key_len;
	if (nudge->bytes < nudge->most)
		return false;
	nudge->bytes = 0;
	return true;
}
