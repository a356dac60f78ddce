/*
 * connect_json.h — the schemas that Connect's JsonConverter writes beside values, and values that mean by them what they
 * do not say themselves. Private to src/decode.
 */
#ifndef TXD_CONNECT_JSON_H
#define TXD_CONNECT_JSON_H

#include "buf.h"

typedef struct TxdConnectJson TxdConnectJson;

extern TxdConnectJson *txd_connect_json_new(void);
extern void txd_connect_json_free(TxdConnectJson *c);

/*
 * The value, which is valid JSON, with what it means in place of how it is written: dates, times, decimals and bytes as texts
 * and numbers that PostgreSQL's types read. NULL where it is that already. It lives in `out`. What is not as its schema
 * has it stays as it is.
 */
extern const TxdBuf *txd_connect_json(TxdConnectJson *c, const char *schema, size_t schema_len,
									  const char *value, size_t len, TxdBuf *out);

#endif
