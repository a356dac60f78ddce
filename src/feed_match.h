/*
 * feed_match.h — which feed a file of the landing directory belongs to.
 */
#ifndef TXP_FEED_MATCH_H
#define TXP_FEED_MATCH_H

#include "postgres.h"

#include "nodes/pg_list.h"

typedef struct TxpFeedPattern
{
	int32 feed_id;
	char *group_name;
	text *regex;    /* over the whole path */
	bool usable;    /* by the user */
	bool asked_all; /* so are all before it */
	int64 mark;     /* hash of the patterns up to this one, whoever may use them */
} TxpFeedPattern;

/* The patterns of the feeds that `user` may run, or with `operates` operate, in the order in which they are asked. */
extern List *txp_feed_patterns(Oid user, bool operates);

/*
 * The first of them that takes the path, and the group key in it; NULL: none does. Without `group_key` it is a sixth of the
 * work, and a pattern also takes what it finds no key in.
 */
extern const TxpFeedPattern *txp_feed_match(const List *patterns, const char *path,
											char **group_key);

#endif
