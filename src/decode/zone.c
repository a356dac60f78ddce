/*
 * zone.c — which UTC offset a zone had, at an instant and at a local time.
 */
#include "datetime.h"

#define DAY_SECONDS 86400

/* The calendar, and with it the rules of summer time, repeats every 400 years. */
#define CYCLE_SECONDS INT64_C(12622780800)
#define YEAR_2400 INT64_C(13569465600)

/* Moves a time behind the last change to where the table says what it is like, if the table repeats. */
static int64_t
within_table(const TxdZone *zone, int64_t t)
{
	int64_t last = zone->nchanges > 0 ? zone->at[zone->nchanges - 1] : 0;

	if (last < YEAR_2400 || t < last)
		return t;
	return t - ((t - last) / CYCLE_SECONDS + 1) * CYCLE_SECONDS;
}

/* Index of the first change after t; nchanges when there is none. */
static int
first_change_after(const TxdZone *zone, int64_t t)
{
	int low = 0;
	int high = zone->nchanges;

	while (low < high)
	{
		int mid = low + (high - low) / 2;

		if (zone->at[mid] > t)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

int32_t
txd_zone_at_instant(const TxdZone *zone, int64_t unix_seconds)
{
	if (zone == NULL || zone->offset == NULL)
		return 0;
	return zone->offset[first_change_after(zone, within_table(zone, unix_seconds))];
}

/*
 * local_seconds is the clock's reading taken as if it were UTC. A reading that a change skipped, or
 * showed twice, is what DetermineTimeZoneOffset makes of it: in a gap the offset before the change, in
 * an overlap the one after. As there, the change looked at is the first later than a day before.
 */
int32_t
txd_zone_at_local(const TxdZone *zone, int64_t local_seconds)
{
	int i;
	int64_t before;
	int64_t after;

	if (zone == NULL || zone->offset == NULL)
		return 0;
	/* Two days before the last change its overlap or gap is not in sight yet. */
	local_seconds = within_table(zone, local_seconds + 2 * DAY_SECONDS) - 2 * DAY_SECONDS;
	i = first_change_after(zone, local_seconds - DAY_SECONDS);
	if (i == zone->nchanges)
		return zone->offset[i];

	before = local_seconds - zone->offset[i];
	after = local_seconds - zone->offset[i + 1];
	if (before < zone->at[i] && after < zone->at[i])
		return zone->offset[i];
	if (before > zone->at[i] && after >= zone->at[i])
		return zone->offset[i + 1];
	return before > after ? zone->offset[i] : zone->offset[i + 1];
}
