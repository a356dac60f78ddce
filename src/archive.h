/*
 * archive.h — the rows of a stream with the option archive, kept in their batch's transaction until they are in a file.
 *
 * A row is of the hour in which it is inserted. Who inserts holds a lock on that hour until the transaction ends: who gets
 * the same lock alone, when the hour is over, sees all of its rows.
 */
#ifndef TXP_ARCHIVE_H
#define TXP_ARCHIVE_H

#include "postgres.h"
#include "nodes/bitmapset.h"
#include "storage/lockdefs.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "rowplan.h"
#include "stream.h"

typedef struct TxpArchive TxpArchive;

/* Adds, hidden, what a row's place is told by and the plan does not have. */
extern void txp_archive_add_columns(TxpRowPlan *plan);

/* For the rows of a plan that is complete. ERRORs (22023) when the stream's name is too long for a directory. */
extern TxpArchive *txp_archive_new(const TxpStream *stream, const TxpRowPlan *plan);

/* Columns of the plan, from 0, that are kept; a new set. */
extern Bitmapset *txp_archive_needs(const TxpArchive *archive);

/* Keeps rows of the plan. As the stream's owner. */
extern void txp_archive_rows(TxpArchive *archive, Tuplestorestate *batch);

/* Locks an hour of the streams of that name until the transaction ends; false: it does not wait, and somebody has it. */
extern bool txp_archive_lock(const char *stream, TimestampTz hour, LOCKMODE mode, bool wait);

/* Has this transaction itself inserted in that hour? Its own lock would not keep it out. */
extern bool txp_archive_is_open(const char *stream, TimestampTz hour);

/* Where the files of an hour are, below the export directory. */
extern char *txp_archive_directory(const char *stream, TimestampTz hour);

#endif
