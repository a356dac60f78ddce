/*
 * object.c — OBJECT_PUT and OBJECT_DELETE: a file becomes an object of a store, or an object goes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "handlers.h"
#include "link.h"
#include "put.h"
#include "store.h"

/* Smaller files are one request. */
#define WHOLE_BYTES ((int64_t) 32 << 20)

static void
broken_frame(TxpChannel *channel)
{
	txp_error(channel, (TxpError){.fatal = true, .answer = true, .sqlstate = "08P01"},
			  "the frame of a request about an object is broken");
}

static bool
is_expected(TxpChannel *channel, const TxpSource *source, TxpSpan expected,
			const unsigned char sha256[TXP_SHA256])
{
	if (expected.data == NULL || memcmp(expected.data, sha256, TXP_SHA256) == 0)
		return true;
	txp_error(channel,
			  (TxpError){.fatal = true,
						 .answer = true,
						 .sqlstate = "55000",
						 .hint = "It is taken by the next call."},
			  "file \"%s\" was replaced meanwhile", source->path);
	return false;
}

static bool
send_content(TxpStore *store, const TxpSource *source, const char *line)
{
	if (source->bytes > WHOLE_BYTES)
		return txp_store_put_parts(store, source->fd, source->bytes, line);
	return txp_store_ask(store, &(TxpStoreCall){.method = "PUT",
												.doing = "upload",
												.line = line,
												.fd = source->fd,
												.len = source->bytes});
}

/* The store says what it has: the size, and the hash that came with the content. */
static bool
verify(TxpStore *store, const TxpSource *source, const char *hex)
{
	char text[2 * TXP_SHA256 + 1];

	if (!txp_store_ask(store, &(TxpStoreCall){.method = "HEAD", .doing = "look at", .fd = -1}))
		return false;
	if (txp_http_header(store->http, "content-length", text, sizeof(text)) &&
		atoll(text) == source->bytes &&
		txp_http_header(store->http, "x-amz-meta-sha256", text, sizeof(text)) &&
		strcmp(text, hex) == 0)
		return true;
	txp_store_fail(store, "58030", "Is something else writing to the same names in the bucket?",
				   "verify", "The store has another size or another hash than was sent.");
	return false;
}

static void
put(TxpStore *store, TxpSource *source, TxpSpan expected)
{
	unsigned char sha256[TXP_SHA256];
	char hex[2 * TXP_SHA256 + 1];
	char line[40 + 2 * TXP_SHA256];
	TxdBuf frame = {0};

	if (!txp_source_hash_all(source, sha256) ||
		!is_expected(store->channel, source, expected, sha256))
		return;
	txp_store_hex(sha256, hex);
	snprintf(line, sizeof(line), "x-amz-meta-sha256: %s", hex);
	if (!send_content(store, source, line) || !verify(store, source, hex))
		return;
	txp_put_i64(&frame, source->bytes);
	txp_put_i64(&frame,
				(int64_t) source->st.st_ctim.tv_sec * 1000000 + source->st.st_ctim.tv_nsec / 1000);
	txp_put_opt(&frame, sha256, sizeof(sha256));
	txp_answer(store->channel, TXP_OBJECT_STORED, &frame);
}

void
txp_object_put_main(TxpChannel *channel, TxpMail *opening)
{
	TxpReader r = txp_reader(opening->data, opening->header.size);
	TxpStore *store = txp_store_open(channel, &r);
	TxpSpan top = txp_read_span(&r);
	TxpSpan path = txp_read_span(&r);
	TxpSpan expected = txp_read_span(&r);
	TxpSource *source = NULL;

	if (store == NULL)
		return;
	if (r.bad || r.p != r.end || (expected.data != NULL && expected.len != TXP_SHA256))
		broken_frame(channel);
	else if ((source = txp_source_open(channel, true, top, path)) != NULL)
		put(store, source, expected);
	txp_source_close(source);
	txp_store_close(store);
}

void
txp_object_delete_main(TxpChannel *channel, TxpMail *opening)
{
	TxpReader r = txp_reader(opening->data, opening->header.size);
	TxpStore *store = txp_store_open(channel, &r);
	TxdBuf frame = {0};

	if (store == NULL)
		return;
	if (r.bad || r.p != r.end)
		broken_frame(channel);
	else if (txp_store_ask(store, &(TxpStoreCall){.method = "DELETE",
												  .doing = "delete",
												  .fd = -1,
												  .may_be_absent = true}))
		txp_answer(channel, TXP_OBJECT_DELETED, &frame);
	txp_store_close(store);
}
