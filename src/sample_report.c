/*
 * sample_report.c — what a sample says about a mapping.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"

#include "rowreader.h"
#include "sample_report.h"

static void
add_name(StringInfo names, const char *name)
{
	appendStringInfo(names, "%s\"%s\"", names->len ? ", " : "", name);
}

static void
warn_of_none(const char *topic, const TxpSample *sample)
{
	const TxpMessage *first = &sample->messages[0].m;
	char *column = txp_span_text(first->column);

	ereport(
		WARNING,
		(errcode(ERRCODE_WARNING),
		 errmsg("none of %u sampled messages of topic \"%s\" can become a row", sample->n, topic),
		 errdetail("The first one, offset " INT64_FORMAT " of partition %d: %s: %s%s%s%s",
				   first->offset, first->partition, txp_span_text(first->code),
				   txp_span_text(first->message), column ? " (column \"" : "", column ? column : "",
				   column ? "\")" : ""),
		 errhint(
			 "txpipe.test_stream shows what becomes of each; columns maps columns to fields.")));
}

void
txp_sample_report(const char *topic, const TxpRowPlan *plan, const TxpSample *sample)
{
	Bitmapset *filled = NULL;
	StringInfoData columns;
	StringInfoData fields;
	ListCell *lc;

	if (sample->n == 0)
		return;
	if (sample->nrows == 0)
	{
		warn_of_none(topic, sample);
		return;
	}
	for (uint32 i = 0; i < sample->n; i++)
	{
		const TxpSampled *message = &sample->messages[i];

		if (message->row != NULL)
			filled =
				bms_add_members(filled, txp_rows_filled(plan, message->row, message->m.row_length));
	}
	initStringInfo(&columns);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		TxdSource source = plan->columns[i].source;

		if ((source == TXD_FROM_FIELD || source == TXD_FROM_KEY_FIELD ||
			 source == TXD_FROM_HEADER) &&
			!bms_is_member(i, filled))
			add_name(&columns, plan->columns[i].name);
	}
	if (columns.len == 0)
		return;
	initStringInfo(&fields);
	foreach (lc, sample->fields)
		add_name(&fields, lfirst(lc));
	ereport(NOTICE, (errmsg("none of %u sampled messages of topic \"%s\" fills %s", sample->n,
							topic, columns.data),
					 fields.len ? errdetail("Fields seen: %s.", fields.data) : 0,
					 errhint("Map them, columns => '{\"column\": \"path\"}', unless such messages "
							 "are yet to come.")));
}
