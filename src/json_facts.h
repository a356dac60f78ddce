/*
 * json_facts.h — what the top-level fields of JSON messages hold, and the column type that holds all of it.
 */
#ifndef TXP_JSON_FACTS_H
#define TXP_JSON_FACTS_H

#include "postgres.h"
#include "nodes/pg_list.h"

typedef struct TxpJsonFact
{
	char *name;
	uint32 position; /* in the order of appearance, from 0 */
	uint32 count;    /* of its values */
	uint32 kinds;    /* of its values; 0: they were all null */
} TxpJsonFact;

typedef struct TxpJsonFacts TxpJsonFacts;

/* Lives in the current memory context. */
extern TxpJsonFacts *txp_json_facts_new(void);

/* Adds the fields of a message; one that is no JSON object adds nothing. */
extern void txp_json_facts_add(TxpJsonFacts *facts, const char *json, uint32 len);

/* TxpJsonFact in the order of appearance. */
extern List *txp_json_facts_list(const TxpJsonFacts *facts);

/* The SQL type, schema-qualified: text for fields of several kinds. */
extern const char *txp_json_fact_type(const TxpJsonFact *fact);

#endif
