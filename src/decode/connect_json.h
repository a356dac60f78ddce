/*
 * connect_json.h — the schemas that Connect's JsonConverter writes beside values, and values that mean by them what they
 * do not say themselves. Private to src/decode.
 */
#ifndef TXD_CONNECT_JSON_H
#define TXD_CONNECT_JSON_H

#include "decode.h"

typedef struct TxdConnectJson TxdConnectJson;

extern TxdConnectJson *txd_connect_json_new(void);
extern void txd_connect_json_free(TxdConnectJson *c);

/*
 * Lets *value, which is valid JSON, be the same with what it means in place of how it is written: dates, times, decimals and
 * bytes as texts and numbers that PostgreSQL's types read. It then lives in `out`. What is not as its schema has it stays as
 * it is. Refuses what would be too long (too_long).
 */
extern bool txd_connect_json(TxdConnectJson *c, const char *schema, size_t schema_len,
							 const char **value, size_t *len, TxdBuf *out, TxdError *err);

#endif
