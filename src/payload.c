/*
 * payload.c — writing and reading what frames carry.
 */
#include "postgres.h"

#include "payload.h"

void
txp_put_u8(StringInfo buf, uint8 v)
{
	appendBinaryStringInfo(buf, (char *) &v, sizeof(v));
}

void
txp_put_u32(StringInfo buf, uint32 v)
{
	appendBinaryStringInfo(buf, (char *) &v, sizeof(v));
}

void
txp_put_i32(StringInfo buf, int32 v)
{
	appendBinaryStringInfo(buf, (char *) &v, sizeof(v));
}

void
txp_put_i64(StringInfo buf, int64 v)
{
	appendBinaryStringInfo(buf, (char *) &v, sizeof(v));
}

void
txp_put_bytes(StringInfo buf, const char *data, uint32 len)
{
	txp_put_u32(buf, len);
	appendBinaryStringInfo(buf, data, len);
}

void
txp_put_str(StringInfo buf, const char *s)
{
	if (s == NULL)
		txp_put_u32(buf, TXP_ABSENT);
	else
		txp_put_bytes(buf, s, strlen(s));
}

char *
txp_span_text(TxpSpan span)
{
	return span.data == NULL ? NULL : pnstrdup(span.data, span.len);
}

void
txp_reader_check(const TxpReader *r)
{
	if (r->bad)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("txpipe_io sent an incomplete frame")));
}

void
txp_put_headers(StringInfo buf, Jsonb *headers)
{
	JsonbIterator *it;
	JsonbValue v;
	JsonbIteratorToken token;

	txp_put_u32(buf, headers ? JB_ROOT_COUNT(headers) : 0);
	if (headers == NULL)
		return;
	it = JsonbIteratorInit(&headers->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			txp_put_bytes(buf, v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE && v.type == jbvString)
			txp_put_bytes(buf, v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE && v.type == jbvNull)
			txp_put_str(buf, NULL);
		else if (token == WJB_VALUE || token == WJB_ELEM)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("headers must be a JSON object of strings"),
							errhint("For example '{\"source\": \"txpipe\"}'.")));
	}
}
