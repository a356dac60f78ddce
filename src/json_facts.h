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
	uint32 position;  /* in the order of appearance, from 0 */
	uint32 count;     /* of its values */
	uint32 kinds;     /* of its values; 0: they were all null */
	bool in_schema;   /* of messages, which says: */
	const char *type; /* as SQL writes it, schema-qualified; NULL: what holds the values */
	char *doc;        /* or NULL */
} TxpJsonFact;

typedef struct TxpJsonFacts TxpJsonFacts;

/* Lives in the current memory context. */
extern TxpJsonFacts *txp_json_facts_new(void);

/* Adds the fields of a message; one that is no JSON object adds nothing. */
extern void txp_json_facts_add(TxpJsonFacts *facts, const char *json, uint32 len);

/* The fact of a field, made where there is none; NULL when there are too many. */
extern TxpJsonFact *txp_json_facts_of(TxpJsonFacts *facts, const char *name);

/* TxpJsonFact in the order of appearance. */
extern List *txp_json_facts_list(const TxpJsonFacts *facts);

/* The SQL type, schema-qualified: the schema's, or one that holds the values, text for those of several kinds. */
extern const char *txp_json_fact_type(const TxpJsonFact *fact);

#endif
