/*
 * tzchanges.c — the UTC offset changes of txpipe.input_time_zone, for decoders that know no time zones.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgtime.h"
#include "utils/timestamp.h"

#include "io_client.h"
#include "rowplan.h"
#include "zone.h"

/* 1800 to 2401, as Unix time: past 2400 the decoder goes on in cycles of 400 years, as PostgreSQL does. */
#define FIRST_SECOND INT64CONST(-5364662400)
#define LAST_SECOND INT64CONST(13601088000)

void
txp_pack_zone(const TxpRowPlan *plan, StringInfo buf)
{
	bool is_own = !OidIsValid(plan->key_user) || plan->key_user == GetUserId();
	pg_tz *zone = is_own ? txp_input_zone() : txp_database_zone();
	StringInfoData offsets;
	pg_time_t t = FIRST_SECOND;
	pg_time_t boundary;
	long before;
	long after;
	int before_dst;
	int after_dst;
	int count_at = buf->len;
	uint32 n = 0;
	int rc;

	initStringInfo(&offsets);
	txp_put_u32(buf, 0);
	while ((rc = pg_next_dst_boundary(&t, &before, &before_dst, &boundary, &after, &after_dst,
									  zone)) > 0 &&
		   boundary < LAST_SECOND)
	{
		if (n == 0)
			txp_put_i32(&offsets, (int32) before);
		txp_put_i64(buf, boundary);
		txp_put_i32(&offsets, (int32) after);
		n++;
		t = boundary;
	}
	if (rc < 0)
		elog(ERROR, "could not read time zone \"%s\"", pg_get_timezone_name(zone));
	if (n == 0)
		txp_put_i32(&offsets, (int32) before);
	memcpy(buf->data + count_at, &n, sizeof(n));
	appendBinaryStringInfo(buf, offsets.data, offsets.len);
	pfree(offsets.data);
}
