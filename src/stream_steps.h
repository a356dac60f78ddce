/*
 * stream_steps.h — the SQL a stream runs on every batch, as the catalogs have it, and what it did.
 */
#ifndef TXP_STREAM_STEPS_H
#define TXP_STREAM_STEPS_H

#include "postgres.h"
#include "kept_plan.h"
#include "nodes/pg_list.h"

#include "alerts.h"
#include "stream.h"

/* The step that takes the place of the insert into the target. */
#define TXP_TARGET_STEP "target"

/* What errors that rows cause do. */
typedef enum TxpStepPolicy
{
	TXP_STEP_STOP,
	TXP_STEP_SKIP,
	TXP_STEP_DEAD_LETTER
} TxpStepPolicy;

/* Of one batch. */
typedef struct TxpStepCount
{
	int64 calls;
	int64 rows;
	int64 us;
	int64 errors;
	const char *error; /* the last one */
} TxpStepCount;

typedef struct TxpStreamStep
{
	char *name;
	char *sql;
	int32 ordinal; /* the insert into the target has 0 */
	TxpStepPolicy on_error;
	TxpAlertRule *rule; /* its rows become alerts; NULL: they are ignored */
	List *trusted;      /* whose code it may run, see trust.h */
	TxpKeptPlan kept;
	int generation; /* of its plan, when it was last looked at; -1: never */
	TxpStepCount count;
} TxpStreamStep;

/*
 * The stream's steps in the order they run, rules last, TxpStreamStep in the current memory context; their plans go with
 * it. They share `trusted`.
 */
extern List *txp_stream_steps_load(int32 stream_id, List *trusted);

/* What on_error says; ERRORs (22023) when it is none of them. */
extern TxpStepPolicy txp_step_policy(const char *on_error);

/*
 * Adds a step or replaces it; ordinal NULL: as it was, behind the others for a new one. ERRORs (22023, 42710)
 * where name, ordinal and policy do not go together. The caller has locked the stream.
 */
extern void txp_stream_step_set(int32 stream_id, const char *step, const char *sql,
								const int32 *ordinal, const char *on_error);

/* ERRORs (42704) when there is none. */
extern void txp_stream_step_remove(int32 stream_id, const char *step);

/* Adds the counts of a batch to the catalog; part: who read it, -1: a replay. */
extern void txp_stream_steps_count(int32 stream_id, int32 part, const List *steps);

#endif
