/*
 * http.h — GET and POST by HTTP and HTTPS, with libcurl.
 */
#ifndef TXP_HTTP_H
#define TXP_HTTP_H

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

#endif
