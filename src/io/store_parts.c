/*
 * store_parts.c — a large file as an object: in parts, which become an object when all of them are there.
 *
 * What a killed process leaves of it is no object; stores have a rule that removes such parts (AbortIncompleteMultipartUpload).
 */
#include <stdio.h>
#include <stdlib.h>

#include "store.h"

#define PART_BYTES ((int64_t) 16 << 20)
#define MAX_PARTS 10000 /* S3's */
#define MAX_ID 1000

/* "uploadId=…", or with a part's number before it. */
static char *
query_of(const char *upload, int part)
{
	TxdBuf query = {0};
	char number[40];

	if (part > 0)
	{
		snprintf(number, sizeof(number), "partNumber=%d&", part);
		txd_buf_append(&query, number, strlen(number));
	}
	txd_buf_append(&query, "uploadId=", 9);
	txp_store_escape(&query, upload, "");
	txd_buf_byte(&query, '\0');
	return query.data;
}

static bool
begin(TxpStore *s, const char *line, char upload[MAX_ID])
{
	if (!txp_store_ask(s, &(TxpStoreCall){.method = "POST",
										  .doing = "begin to upload",
										  .query = "uploads=",
										  .line = line,
										  .text = ""}))
		return false;
	if (txp_store_element(s, "UploadId", upload, MAX_ID))
		return true;
	txp_store_fail(s, "08P01", "Check the option endpoint of the server.", "begin to upload",
				   "The answer names no upload.");
	return false;
}

/* Sends one part, and notes it in the list of all. */
static bool
put_part(TxpStore *s, const char *upload, int number, TxpStoreCall call, TxdBuf *list)
{
	char *query = query_of(upload, number);
	char etag[200];
	char entry[300];
	bool ok;

	call.query = query;
	ok = txp_store_ask(s, &call);
	free(query);
	if (!ok)
		return false;
	if (!txp_http_header(s->http, "etag", etag, sizeof(etag)) || strpbrk(etag, "<&") != NULL)
	{
		txp_store_fail(s, "08P01", "Check the option endpoint of the server.", call.doing,
					   "The answer has no ETag.");
		return false;
	}
	snprintf(entry, sizeof(entry), "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>",
			 number, etag);
	txd_buf_append(list, entry, strlen(entry));
	return true;
}

/* The answer may be an error whose status is that of success. */
static bool
complete(TxpStore *s, const char *upload, TxdBuf *list)
{
	static const char end[] = "</CompleteMultipartUpload>";
	char *query = query_of(upload, 0);
	char etag[200];
	bool ok;

	txd_buf_append(list, end, sizeof(end));
	ok = txp_store_ask(s, &(TxpStoreCall){.method = "POST",
										  .doing = "complete",
										  .query = query,
										  .line = "Content-Type: application/xml",
										  .text = list->data,
										  .is_slow = true});
	free(query);
	if (ok && !txp_store_element(s, "ETag", etag, sizeof(etag)))
	{
		txp_store_fail(s, "08006", "The next call tries again.", "complete",
					   "The store did not say that the object is complete.");
		return false;
	}
	return ok;
}

/* Its answer does not matter: the upload has failed. */
static void
give_up(TxpStore *s, const char *upload)
{
	static const char empty_sha256[] =
		"x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	const char *lines[] = {empty_sha256, NULL};
	char *query = query_of(upload, 0);
	size_t size = strlen(s->base) + strlen(s->path) + strlen(query) + 2;
	char *url = txd_alloc(size);

	snprintf(url, size, "%s%s?%s", s->base, s->path, query);
	(void) txp_http_call(s->http,
						 &(TxpHttpCall){.method = "DELETE", .url = url, .lines = lines, .fd = -1},
						 &s->body);
	free(url);
	free(query);
}

bool
txp_store_put_parts(TxpStore *s, int fd, int64_t len, const char *line)
{
	static const char start[] = "<CompleteMultipartUpload>";
	int64_t size = len / MAX_PARTS + 1 > PART_BYTES ? len / MAX_PARTS + 1 : PART_BYTES;
	char upload[MAX_ID];
	TxdBuf list = {0};
	bool ok = begin(s, line, upload);
	bool begun = ok;

	txd_buf_append(&list, start, sizeof(start) - 1);
	for (int64_t at = 0; ok && at < len; at += size)
		ok = put_part(s, upload, (int) (at / size) + 1,
					  (TxpStoreCall){.method = "PUT",
									 .doing = "upload a part of",
									 .fd = fd,
									 .offset = at,
									 .len = len - at < size ? len - at : size},
					  &list);
	if (ok)
		ok = complete(s, upload, &list);
	if (!ok && begun && !txp_channel_ended(s->channel))
		give_up(s, upload);
	txd_buf_free(&list);
	return ok;
}
