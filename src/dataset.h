/*
 * dataset.h — a directory of parts below txpipe.export_directory, of which a manifest says which are its content.
 *
 * Parts are written into a hidden directory of their own, named and flushed there, and moved to their places when all
 * are complete; then the manifest replaces the old one, and the parts of exports before are removed. Names of parts
 * are never used again: who reads by the manifest has all of one export. An error or a crash before the manifest leaves the
 * old export; what a crash leaves besides is removed by the next export. ROLLBACK undoes nothing of it.
 */
#ifndef TXP_DATASET_H
#define TXP_DATASET_H

#include "postgres.h"
#include "nodes/pg_list.h"

#include "manifest.h"

typedef struct TxpDataset TxpDataset;

/*
 * Begins an export; txp_dataset_publish or txp_dataset_abandon must end it. ERRORs as txp_outfile_open; `suffix` is of
 * the names of parts.
 */
extern TxpDataset *txp_dataset_begin(const char *name, const char *suffix);
/* The same for a set of data sets, one export at a time; NULL: another one is at work. */
extern TxpDataset *txp_dataset_begin_alone(const char *name, const char *suffix);
/*
 * The same for one in a directory below. The token, of 16 hexadecimal digits, is in the names of parts: one for the same content makes
 * an export that is repeated after a crash put the same files over those that are there.
 */
extern TxpDataset *txp_dataset_begin_below(const char *path, const char *suffix, const char *token);

/* What follows is of this data set of the set. */
extern void txp_dataset_enter(TxpDataset *dataset, const char *name);

/* A part in a directory of the data set ("": the data set itself); one at a time. */
extern void txp_dataset_begin_part(TxpDataset *dataset, const char *directory);
extern void txp_dataset_write(TxpDataset *dataset, const char *bytes, size_t len);
extern void txp_dataset_end_part(TxpDataset *dataset, int64 rows);

/* All parts so far, TxpPart. */
extern const List *txp_dataset_parts(const TxpDataset *dataset);
/* A part of an earlier export is content of this one, too. */
extern void txp_dataset_keep_part(TxpDataset *dataset, const TxpPart *part);
/* A file of an earlier export that is not there for the moment, but must not be removed. */
extern void txp_dataset_spare(TxpDataset *dataset, const char *file);
/* Removes the parts from number `first` on, which are of this export. */
extern void txp_dataset_take_back(TxpDataset *dataset, int first);

/* A manifest of the data set that was entered last, which follows that of the set. */
extern void txp_dataset_add_manifest(TxpDataset *dataset, const char *text);

/*
 * Replaces what was there; `text` is the manifest. NULL: nothing is new, only what is not content is removed. Returns the path
 * of the manifest.
 */
extern char *txp_dataset_publish(TxpDataset *dataset, const char *text);

/* Removes what is unfinished; never fails. */
extern void txp_dataset_abandon(TxpDataset *dataset);

#endif
