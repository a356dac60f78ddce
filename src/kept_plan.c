/*
 * kept_plan.c — the plan of a statement over `batch`, kept as long as it is likely to fit.
 *
 * A plan is kept, but not for long: one that was made for tables that were still empty, or for a batch of another
 * size, can be thousands of times too slow.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "io/clock.h"
#include "kept_plan.h"
#include "trust.h"

/* A new plan is trusted for the shorter time, the next one for twice as long, and so on. */
#define FIRST_LIFE_US INT64CONST(100000)
#define MAX_LIFE_US INT64CONST(10000000)
/* A batch so many times as large, or as small, deserves a plan of its own. */
#define ROWS_FACTOR 4
#define MIN_ROWS 16

/* A few feeds with a dozen steps each. */
#define MAX_SESSION_PLANS 64

static bool
plan_fits(const TxpKeptPlan *kept, uint32 count, int64 now)
{
	return kept->plan != NULL && now - kept->made_us < kept->life_us &&
		   count <= (uint64) kept->rows * ROWS_FACTOR &&
		   kept->rows <= (uint64) txp_plan_rows(count) * ROWS_FACTOR;
}

uint32
txp_plan_rows(uint32 count)
{
	return Max(count, MIN_ROWS);
}

bool
txp_plan_keep(TxpKeptPlan *kept, const char *sql, const List *trusted, uint32 count)
{
	int64 now = txp_now_us();
	SPIPlanPtr plan;

	if (plan_fits(kept, count, now) && txp_trust_still(kept->plan))
		return false;
	plan = txp_trust_prepare(sql, trusted);
	txp_plan_free(kept);
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	kept->plan = plan;
	kept->rows = txp_plan_rows(count);
	kept->made_us = now;
	kept->life_us = Min(Max(kept->life_us * 2, FIRST_LIFE_US), MAX_LIFE_US);
	return true;
}

void
txp_plan_free(TxpKeptPlan *kept)
{
	if (kept->plan != NULL)
		SPI_freeplan(kept->plan);
	kept->plan = NULL;
}

/* --- those of a session --- */

typedef struct SessionPlan
{
	Oid user; /* whose rights it was planned with */
	uint32 hash;
	char *sql;
	List *trusted;
	char *relation;
	TupleDesc desc;
	TxpKeptPlan kept;
	int running; /* also within itself, by a function that loads a file */
	uint64 used;
} SessionPlan;

static List *session_plans = NIL;
static uint64 uses = 0;

static void
forget(SessionPlan *entry)
{
	session_plans = list_delete_ptr(session_plans, entry);
	txp_plan_free(&entry->kept);
	FreeTupleDesc(entry->desc);
	pfree(entry->relation);
	list_free(entry->trusted);
	pfree(entry->sql);
	pfree(entry);
}

static void
make_room(void)
{
	SessionPlan *oldest = NULL;
	ListCell *lc;

	if (list_length(session_plans) < MAX_SESSION_PLANS)
		return;
	foreach (lc, session_plans)
	{
		SessionPlan *entry = lfirst(lc);

		if (entry->running == 0 && (oldest == NULL || entry->used < oldest->used))
			oldest = entry;
	}
	if (oldest != NULL)
		forget(oldest);
}

static SessionPlan *
find_or_add(const char *sql, const List *trusted, const char *relation, TupleDesc desc)
{
	uint32 hash = hash_bytes((const unsigned char *) sql, strlen(sql));
	SessionPlan *entry;
	MemoryContext old;
	ListCell *lc;

	foreach (lc, session_plans)
	{
		entry = lfirst(lc);
		if (entry->hash == hash && entry->user == GetUserId() && strcmp(entry->sql, sql) == 0 &&
			equal(entry->trusted, trusted) && strcmp(entry->relation, relation) == 0 &&
			equalTupleDescs(entry->desc, desc))
			return entry;
	}
	make_room();
	old = MemoryContextSwitchTo(TopMemoryContext);
	entry = palloc0(sizeof(SessionPlan));
	entry->user = GetUserId();
	entry->hash = hash;
	entry->sql = pstrdup(sql);
	entry->trusted = list_copy(trusted);
	entry->relation = pstrdup(relation);
	entry->desc = CreateTupleDescCopy(desc);
	session_plans = lappend(session_plans, entry);
	MemoryContextSwitchTo(old);
	return entry;
}

static pg_noinline int
execute(SessionPlan *entry, uint32 count)
{
	volatile int code = 0;

	entry->running++;
	PG_TRY();
	{
		(void) txp_plan_keep(&entry->kept, entry->sql, entry->trusted, count);
		code = txp_trust_execute(entry->kept.plan, entry->trusted, NULL);
	}
	PG_FINALLY();
	{
		entry->running--;
	}
	PG_END_TRY();
	return code;
}

int
txp_plan_execute(const char *sql, const List *trusted, const char *relation, TupleDesc desc,
				 uint32 count)
{
	SessionPlan *entry = find_or_add(sql, trusted, relation, desc);

	entry->used = ++uses;
	if (entry->running > 0)
		return txp_trust_execute(txp_trust_prepare(sql, trusted), trusted, NULL);
	return execute(entry, count);
}
