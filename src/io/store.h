/*
 * store.h — an object store that speaks S3: where it is, and one request to it.
 */
#ifndef TXP_STORE_H
#define TXP_STORE_H

#include "http.h"
#include "source.h"

#define TXP_MAX_KEY 1024 /* bytes of an object's name, as S3 has it */

typedef struct TxpStore
{
	TxpChannel *channel;
	TxpHttp *http;
	char *base;     /* endpoint/bucket, escaped */
	char *key;      /* the object's name */
	char *path;     /* the same as part of an address */
	TxdBuf body;    /* of the last answer */
	char why[300];  /* the last attempt failed */
	char code[100]; /* the store's own word for that; "": none */
	bool is_absent; /* the last answer was that there is no such object */
} TxpStore;

/* What is asked about the object. */
typedef struct TxpStoreCall
{
	const char *method;
	const char *doing; /* for messages */
	const char *query; /* behind "?", escaped, in the order of the names; NULL: none */
	const char *line;  /* one more of the header; NULL: none */
	const char *text;  /* the body; NULL: bytes of the file, or none where fd is -1 */
	int fd;
	int64_t offset;
	int64_t len;
	bool is_slow;       /* the store works long before it answers */
	bool may_be_absent; /* then that it is absent is an answer */
} TxpStoreCall;

/* str endpoint, str bucket, str region, str key id, str secret key (wiped), opt certificates, str name of the object; NULL after an ERROR. */
extern TxpStore *txp_store_open(TxpChannel *channel, TxpReader *r);
extern void txp_store_close(TxpStore *s);

/*
 * Asks until there is an answer that another try would not change, a few times, with growing pauses. False after an ERROR, or when the
 * channel has ended.
 */
extern bool txp_store_ask(TxpStore *s, const TxpStoreCall *call);

/* The ERROR for an answer that says it is one, or for what it lacks. */
extern void txp_store_fail(TxpStore *s, const char *sqlstate, const char *hint, const char *doing,
						   const char *why);

/* The text of an element of the last answer, which names it once; false: there is none, or it is longer. */
extern bool txp_store_element(const TxpStore *s, const char *name, char *text, size_t size);

/* Appends what an address may hold of a text; a slash stays where `keep` says so. */
extern void txp_store_escape(TxdBuf *to, const char *text, const char *keep);

extern void txp_store_hex(const unsigned char sha256[TXP_SHA256], char hex[2 * TXP_SHA256 + 1]);

/* Puts the file's bytes there in parts; false after an ERROR, or when the channel has ended. */
extern bool txp_store_put_parts(TxpStore *s, int fd, int64_t len, const char *line);

#endif
