/*
 * zone.c — which UTC offset a zone had, at an instant and at a local time.
 */
#include "datetime.h"

#define DAY_SECONDS 86400

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
	return zone->offset[first_change_after(zone, unix_seconds)];
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
