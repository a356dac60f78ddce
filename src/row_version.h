/*
 * row_version.h — which of two events of a row is the newer one, where they may come out of order (option version_column).
 *
 * The column's value says it, not the order of arrival. A row that was deleted has none: its version is remembered in
 * txpipe.deleted_key for a time, so that an older event does not bring it back.
 */
#ifndef TXP_ROW_VERSION_H
#define TXP_ROW_VERSION_H

#include "postgres.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/relcache.h"

#include "rowkey.h"
#include "rowplan.h"
#include "stream.h"

typedef struct TxpRowVersion
{
	int column; /* in the plan */
	int32 stream_id;
	char *target;        /* SQL */
	int tombstone;       /* then the column of the plan that says so */
	char *number;        /* SQL: the version of row b as a number */
	char *target_number; /* of row t of the target */
	char *key;           /* SQL: a hash of row b's key */
} TxpRowVersion;

/* What the option asks for; NULL: nothing. Makes the column required. ERRORs where the column or the keys do not serve. */
extern TxpRowVersion *txp_row_version(const TxpStream *stream, Relation target, TxpRowPlan *plan,
									  const TxpKeyColumn *keys, int nkeys);

/* The deletions remembered of the keys in a batch, as a relation that statements see. */
typedef struct TxpRecalled
{
	const TxpRowVersion *version;
	EphemeralNamedRelationData gone;
	SPIPlanPtr keys;
	SPIPlanPtr
		deleted; /* keys and versions that the batch deletes, whether there is a row or not */
} TxpRecalled;

/*
 * Appends, instead of the batch itself, its events that do something, with the hash of their key (h), their version (version) and that
 * of the key's last deletion before the batch (gone). `batch` names the batch's columns, `keys` those that are the key, `same_key`
 * compares them, of row b, with those of row t of the target.
 */
extern void txp_row_version_put(const TxpRowVersion *version, StringInfo sql, const char *batch,
								const char *keys, const char *same_key);

/*
 * Inside of SPI, with the batch as a relation of the given names; `events` is what txp_row_version_put makes. Begin: no other
 * transaction writes rows of the stream by version until the end of this one. Then of each piece: fill, remember what it deletes,
 * delete, drop; fill anew, insert, drop.
 */
extern void txp_recalled_begin(TxpRecalled *recalled, const TxpRowVersion *version,
							   const char *batch, const char *events);
extern void txp_recalled_fill(TxpRecalled *recalled);
extern void txp_recalled_remember(TxpRecalled *recalled);
extern void txp_recalled_drop(TxpRecalled *recalled);

#endif
