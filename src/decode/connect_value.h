/*
 * connect_value.h — values of Connect by their schemas. Private to connect*.c.
 */
#ifndef TXD_CONNECT_VALUE_H
#define TXD_CONNECT_VALUE_H

#include <stddef.h>

#include "connect.h"
#include "decode.h"

typedef enum ConnectKind
{
	CONNECT_VALUE,
	CONNECT_BYTES, /* in base64 */
	CONNECT_STRUCT,
	CONNECT_ARRAY,
	CONNECT_MAP /* whose keys are texts: an object */
} ConnectKind;

typedef struct ConnectNode ConnectNode;

typedef struct ConnectField
{
	const char *name;
	size_t len;
	const ConnectNode *node;
} ConnectField;

struct ConnectNode
{
	ConnectKind kind;
	TxdConnectMeaning meaning;
	int digits; /* of a second's fraction; scale of a decimal */
	const ConnectNode *of;
	int n;
	ConnectField *field;
};

typedef struct ConnectScratch
{
	TxdBuf text;
	TxdBuf bytes;
} ConnectScratch;

/* Appends the value, which is valid JSON; what is not as the node has it as it is. Refuses what grows beyond a row. */
extern bool txd_connect_put(ConnectScratch *scratch, const ConnectNode *node, const char *value,
							size_t len, TxdBuf *out, TxdError *err);

#endif
