/*
 * reject_replay.h — rejected records of loaded files, used after all or given up.
 *
 * Both work in the caller's transaction, as the owner of the feed, who must be the current user.
 */
#ifndef TXP_REJECT_REPLAY_H
#define TXP_REJECT_REPLAY_H

#include "postgres.h"

typedef struct TxpReplayed
{
	int64 replayed;
	int64 failed;
	int64 left_open;
} TxpReplayed;

/*
 * Reads these open lines of a loaded file (bigint[]; 0: all) once more and loads them as the others were; with
 * `record` that instead of the one line named. Each line is taken once: those that are rejected again stay open.
 */
extern TxpReplayed txp_rejects_replay(int64 file_id, Datum lines, const char *record);

/* Gives open lines up; returns how many. */
extern int64 txp_rejects_dismiss(int64 file_id, Datum lines);

#endif
