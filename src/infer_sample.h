/*
 * infer_sample.h — what the first messages of a topic hold, for the columns of a table.
 */
#ifndef TXP_INFER_SAMPLE_H
#define TXP_INFER_SAMPLE_H

#include "postgres.h"
#include "nodes/pg_list.h"

#include "io_client.h"
#include "json_facts.h"
#include "stream.h"

#define TXP_KEY_PATH "$key"

/* Lists of TxpJsonFact, in the order of appearance. */
typedef struct TxpInferSample
{
	List *fields;    /* of values */
	List *key;       /* of keys; of one that is no object a field without a name */
	uint32 messages; /* how many there were */
} TxpInferSample;

/*
 * Up to 1,000 messages from the beginning, and their schemas; key: of the keys, too. Of text and bytea nothing but these. ERRORs when there
 * is no message of a format with fields.
 */
extern void txp_infer_sample(TxpIo *io, const TxpStream *stream, bool key, TxpInferSample *sample);

#endif
