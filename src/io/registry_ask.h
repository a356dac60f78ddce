/*
 * registry_ask.h — questions to a schema registry, and what its answers mean. Private to registry*.c.
 */
#ifndef TXP_REGISTRY_ASK_H
#define TXP_REGISTRY_ASK_H

#include <jansson.h>

#include "http.h"
#include "registry.h"

#define TXP_MAX_REFERENCES 200
#define TXP_MAX_PATH 1000 /* of an address */

typedef enum TxpAnswer
{
	TXP_ANSWER_YES,
	TXP_ANSWER_MISSING, /* it says that there is none */
	TXP_ANSWER_USELESS, /* what it has can be nobody's schema: why */
	TXP_ANSWER_NONE     /* why and sqlstate say why */
} TxpAnswer;

struct TxpRegistry
{
	const TxdRegistry *where;
	TxpChannel *channel;
	TxpHttp *http;
	const char *answered; /* the address that did so last, in where->url; NULL: none yet */
	TxdBuf body;
	char why[400];
	const char *sqlstate;
	int64_t due;
	int pause_ms;
	int64_t missing_since; /* schemas are waited for since then; 0: none is */
	int64_t trouble_since; /* no answers come; 0: they do */
	bool told;
	bool failed;
};

/* A schema and those it refers to, these first. */
typedef struct TxpTexts
{
	TxdFormat format;
	json_t *answers;                          /* by path; they hold what the texts are in */
	const char *name[TXP_MAX_REFERENCES + 1]; /* that it is referred to by */
	const char *text[TXP_MAX_REFERENCES + 1];
	int n;
	int64_t deadline;
} TxpTexts;

/* Whose answers the caller lets go of. */
extern TxpTexts txp_texts_new(TxdFormat format);

/*
 * Asks the addresses until one answers: GET, or POST of a body of JSON. The answer is an object, the caller's, with what is
 * `needed` in it.
 */
extern TxpAnswer txp_registry_ask(TxpRegistry *r, const char *path, const char *post,
								  const char *needed, json_t **object);

/* subjects/NAME and what follows it, the name's characters escaped as a path wants them. */
extern void txp_registry_path(char path[TXP_MAX_PATH], const char *subject, const char *behind);

/* Adds the schema at the path behind those it refers to, each once. */
extern TxpAnswer txp_registry_collect(TxpRegistry *r, const char *path, const char *name,
									  TxpTexts *texts);

#endif
