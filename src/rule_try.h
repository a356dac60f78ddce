/*
 * rule_try.h — queries of rules before they are switched on.
 */
#ifndef TXP_RULE_TRY_H
#define TXP_RULE_TRY_H

#include "postgres.h"

#include "stream.h"

/* Can the query be a rule of the stream, as its owner? ERRORs unless; nothing is run. */
extern void txp_rule_try_check(TxpStream *stream, const char *rule, const char *query);

#endif
