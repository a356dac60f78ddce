/*
 * schema_facts.h — what the schemas of messages say of their top-level fields.
 */
#ifndef TXP_SCHEMA_FACTS_H
#define TXP_SCHEMA_FACTS_H

#include "postgres.h"

#include "json_facts.h"

/*
 * Adds to the facts what a schema says, as TXD_FROM_SCHEMA has it; fields that no message had yet get a fact of their own. Types of
 * several schemas become the one that holds both, or are left to the values.
 */
extern void txp_schema_facts_add(TxpJsonFacts *facts, const char *json, uint32 len);

#endif
