/*
 * fake_http.c — a network whose every answer is an empty success, for fuzz_frame.c.
 */
#include "io/http.h"

TxpHttp *
txp_http_new(TxpChannel *channel, const char *user_info, const char *ca_pem)
{
	(void) channel, (void) user_info, (void) ca_pem;
	return NULL;
}

void
txp_http_free(TxpHttp *h)
{
	(void) h;
}

bool
txp_http_sign(TxpHttp *h, const char *how, const char *keys)
{
	(void) h, (void) how, (void) keys;
	return true;
}

long
txp_http_call(TxpHttp *h, const TxpHttpCall *call, TxdBuf *body)
{
	(void) h, (void) call, (void) body;
	return 200;
}

bool
txp_http_header(const TxpHttp *h, const char *name, char *value, size_t size)
{
	(void) h, (void) name, (void) value, (void) size;
	return false;
}

const char *
txp_http_why(const TxpHttp *h)
{
	(void) h;
	return "";
}
