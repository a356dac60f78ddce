/*
 * http.h — requests by HTTP and HTTPS, with libcurl.
 */
#ifndef TXP_HTTP_H
#define TXP_HTTP_H

#include <stdbool.h>

#include "../decode/buf.h"
#include "channel.h"

typedef struct TxpHttp TxpHttp;

/* How to log in ("user:password") and whom to trust (certificates in PEM form); NULL: not, and whom the system trusts. */
extern TxpHttp *txp_http_new(TxpChannel *channel, const char *user_info, const char *ca_pem);
extern void txp_http_free(TxpHttp *h);

/*
 * GET, or POST of JSON. Fills body, of 4 MB at most, and returns the answer's status; 0: there is none, and txp_http_why says why. Waits 10 s at
 * most, and no longer when the channel ends.
 */
/* More than that: */
#define TXP_HTTP_TOO_LONG (-1L)
extern long txp_http_ask(TxpHttp *h, const char *url, const char *post, TxdBuf *body);
extern const char *txp_http_why(const TxpHttp *h);

/* A request of any method, with a body from memory or from a file. */
typedef struct TxpHttpCall
{
	const char *method;
	const char *url;
	const char *const *lines; /* of the header, ended by NULL */
	const char *text;         /* the body; NULL: it is `len` bytes of the file, from `offset` on */
	int fd;
	int64_t offset;
	int64_t len;
	bool is_slow; /* the answer may take minutes */
} TxpHttpCall;

/* Sign what is called with AWS' signature of version 4: "aws:amz:REGION:s3", "key id:secret key". False: the library cannot. */
extern bool txp_http_sign(TxpHttp *h, const char *how, const char *keys);

/* As txp_http_ask, but waits as long as bytes come or go: ends when there are almost none for 10 s. */
extern long txp_http_call(TxpHttp *h, const TxpHttpCall *call, TxdBuf *body);
/* A line of the last answer's header by its name in lower case; false: there is none, or it is too long. */
extern bool txp_http_header(const TxpHttp *h, const char *name, char *value, size_t size);

#endif
