/*
 * store.c — an object store that speaks S3: requests that are signed, tried again, and understood.
 *
 * The signature covers the SHA-256 of each body, so a store takes no other bytes than those that were hashed here.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "link.h"
#include "store.h"

#define TRIES 4
#define FIRST_PAUSE_MS 500
#define NOT_FOUND 404
#define REQUEST_TIMEOUT 408
#define TOO_MANY 429

void
txp_store_hex(const unsigned char sha256[TXP_SHA256], char hex[2 * TXP_SHA256 + 1])
{
	for (int i = 0; i < TXP_SHA256; i++)
		sprintf(hex + 2 * i, "%02x", sha256[i]);
}

void
txp_store_escape(TxdBuf *to, const char *text, const char *keep)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
	char escaped[4];

	for (; *text != '\0'; text++)
	{
		if (strchr(plain, *text) != NULL || strchr(keep, *text) != NULL)
			txd_buf_byte(to, *text);
		else
		{
			snprintf(escaped, sizeof(escaped), "%%%02X", (unsigned char) *text);
			txd_buf_append(to, escaped, 3);
		}
	}
}

static char *
escaped(const char *before, const char *text)
{
	TxdBuf buf = {0};

	txd_buf_append(&buf, before, strlen(before));
	txd_buf_byte(&buf, '/');
	txp_store_escape(&buf, text, "/");
	txd_buf_byte(&buf, '\0');
	return buf.data;
}

/* NULL after an ERROR. */
static TxpStore *
open_store(TxpChannel *channel, char *const part[7])
{
	TxpStore *s = txd_alloc(sizeof(*s));
	char how[200];
	char keys[500];
	bool fits;
	bool is_signed;

	*s = (TxpStore){.channel = channel, .key = strdup(part[6])};
	s->base = escaped(part[0], part[1]);
	s->path = escaped("", part[6]);
	s->http = txp_http_new(channel, NULL, part[5]);
	fits = (size_t) snprintf(how, sizeof(how), "aws:amz:%s:s3", part[2]) < sizeof(how) &&
		   (size_t) snprintf(keys, sizeof(keys), "%s:%s", part[3], part[4]) < sizeof(keys);
	is_signed = s->key != NULL && fits && txp_http_sign(s->http, how, keys);
	explicit_bzero(keys, sizeof(keys));
	if (is_signed)
		return s;
	txp_error(channel,
			  (TxpError){.fatal = true, .answer = true, .sqlstate = fits ? "58000" : "22023"},
			  fits ? "the HTTP library cannot sign requests"
				   : "the region or the key of an object store is too long");
	txp_store_close(s);
	return NULL;
}

TxpStore *
txp_store_open(TxpChannel *channel, TxpReader *r)
{
	char *part[7]; /* endpoint, bucket, region, key id, secret key, certificates, name */
	TxpStore *s = NULL;

	for (int i = 0; i < 7; i++)
	{
		TxpSpan span = txp_read_span(r);

		part[i] = txp_span_dup(span);
		if (i == 4 && span.data != NULL)
			explicit_bzero((char *) span.data, span.len);
		r->bad = r->bad || (part[i] == NULL && i != 5);
	}
	if (r->bad || strlen(part[6]) > TXP_MAX_KEY)
		txp_error(channel,
				  (TxpError){.fatal = true,
							 .answer = true,
							 .sqlstate = r->bad ? "08P01" : "22023",
							 .hint = r->bad ? NULL : "A store takes 1024 bytes: shorten the path."},
				  r->bad ? "the frame of a request about an object is broken"
						 : "the name of an object is too long");
	else
		s = open_store(channel, part);
	for (int i = 0; i < 7; i++)
	{
		if (part[i] != NULL)
			explicit_bzero(part[i], strlen(part[i]));
		free(part[i]);
	}
	return s;
}

void
txp_store_close(TxpStore *s)
{
	if (s == NULL)
		return;
	txp_http_free(s->http);
	txd_buf_free(&s->body);
	free(s->base);
	free(s->path);
	free(s->key);
	free(s);
}

/* --- answers --- */

/* What others wrote goes into messages as far as it is plain text. */
static void
copy_plain(char *to, size_t size, const char *text, size_t len)
{
	size_t n = len < size - 1 ? len : size - 1;

	for (size_t i = 0; i < n; i++)
		to[i] = text[i];
	to[n] = '\0';
	for (char *c = to; *c != '\0'; c++)
	{
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

bool
txp_store_element(const TxpStore *s, const char *name, char *text, size_t size)
{
	char tag[40];
	const char *p;
	const char *end;

	if (s->body.len == 0)
		return false;
	snprintf(tag, sizeof(tag), "<%s>", name);
	p = memmem(s->body.data, s->body.len, tag, strlen(tag));
	if (p == NULL)
		return false;
	p += strlen(tag);
	end = memchr(p, '<', s->body.len - (size_t) (p - s->body.data));
	if (end == NULL || (size_t) (end - p) >= size)
		return false;
	copy_plain(text, size, p, (size_t) (end - p));
	return true;
}

static void
note_why(TxpStore *s, long status)
{
	char message[180] = "";

	if (status <= 0)
	{
		s->code[0] = '\0';
		snprintf(s->why, sizeof(s->why), "%s",
				 status == 0 ? txp_http_why(s->http) : "the answer is too long");
		return;
	}
	if (!txp_store_element(s, "Code", s->code, sizeof(s->code)))
		s->code[0] = '\0';
	(void) txp_store_element(s, "Message", message, sizeof(message));
	snprintf(s->why, sizeof(s->why), "%s%s%s (status %ld)", s->code,
			 s->code[0] != '\0' && message[0] != '\0' ? ": " : "", message, status);
}

void
txp_store_fail(TxpStore *s, const char *sqlstate, const char *hint, const char *doing,
			   const char *why)
{
	txp_error(s->channel,
			  (TxpError){
				  .fatal = true, .answer = true, .sqlstate = sqlstate, .detail = why, .hint = hint},
			  "could not %s object \"%s\"", doing, s->key);
}

/* Another object may fare better. Who is no store has no word for it; HEAD has no room for one. */
static bool
is_of_object(const TxpStore *s, const char *method, long status)
{
	if (s->code[0] == '\0' && strcmp(method, "HEAD") != 0)
		return false;
	return (status == 400 && strcmp(s->code, "AuthorizationHeaderMalformed") != 0) ||
		   status == NOT_FOUND || status == 405 || status == 409 ||
		   (status >= 411 && status <= 416);
}

/* For an answer that would be the same another time. */
static void
fail_refused(TxpStore *s, const TxpStoreCall *call, long status)
{
	const char *doing = call->doing;

	if (strcmp(s->code, "RequestTimeTooSkewed") == 0)
		txp_store_fail(s, "28000", "Set the clock of the database server's machine.", doing,
					   s->why);
	else if (status == 401 || status == 403)
		txp_store_fail(s, "28000",
					   "Check access_key_id and secret_access_key of the user mapping, and that "
					   "this key may read, write and delete in the bucket.",
					   doing, s->why);
	else if (strcmp(s->code, "NoSuchBucket") == 0)
		txp_store_fail(s, "42704", "Check the bucket in the option url of the server.", doing,
					   s->why);
	else if (is_of_object(s, call->method, status))
		txp_store_fail(s, "58030", "The store refuses this object; the others are not concerned.",
					   doing, s->why);
	else
		txp_store_fail(s, "08P01", "Check the options endpoint, url and region of the server.",
					   doing, s->why);
}

/* --- requests --- */

static bool
hash_body(const TxpStoreCall *call, char hex[2 * TXP_SHA256 + 1])
{
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	unsigned char sha256[TXP_SHA256];
	char *chunk = txd_alloc(TXP_CHUNK);
	int64_t done = 0;
	bool ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;

	if (ok && call->text != NULL)
		EVP_DigestUpdate(hash, call->text, strlen(call->text));
	while (ok && call->text == NULL && call->fd >= 0 && done < call->len)
	{
		size_t wanted = call->len - done < TXP_CHUNK ? (size_t) (call->len - done) : TXP_CHUNK;
		ssize_t got = pread(call->fd, chunk, wanted, (off_t) (call->offset + done));

		ok = got > 0 && EVP_DigestUpdate(hash, chunk, (size_t) got) == 1;
		done += got;
	}
	ok = ok && EVP_DigestFinal_ex(hash, sha256, NULL) == 1;
	if (ok)
		txp_store_hex(sha256, hex);
	free(chunk);
	EVP_MD_CTX_free(hash);
	return ok;
}

static long
try_once(TxpStore *s, const TxpStoreCall *call, const char *url, const char *hex)
{
	char hash[40 + 2 * TXP_SHA256];
	const char *lines[] = {hash, call->line, NULL};
	TxpHttpCall http = {.method = call->method,
						.url = url,
						.lines = lines,
						.text = call->text,
						.fd = call->fd,
						.offset = call->offset,
						.len = call->len,
						.is_slow = call->is_slow};
	long status;

	snprintf(hash, sizeof(hash), "x-amz-content-sha256: %s", hex);
	status = txp_http_call(s->http, &http, &s->body);
	if (status < 200 || status > 299)
		note_why(s, status);
	s->is_absent = status == NOT_FOUND && strcmp(s->code, "NoSuchKey") == 0;
	return status;
}

static bool
may_pass(long status)
{
	return status == 0 || status == REQUEST_TIMEOUT || status == TOO_MANY || status >= 500;
}

/* False when the channel has ended. */
static bool
pause_before(TxpStore *s, int attempt)
{
	txp_mail_free(txp_channel_mail(s->channel, FIRST_PAUSE_MS << (attempt - 1)));
	return !txp_channel_ended(s->channel);
}

static bool
ask(TxpStore *s, const TxpStoreCall *call, const char *url, const char *hex)
{
	for (int attempt = 1; attempt <= TRIES; attempt++)
	{
		long status;

		if (attempt > 1 && !pause_before(s, attempt - 1))
			return false;
		status = try_once(s, call, url, hex);
		if (txp_channel_ended(s->channel))
			return false;
		if ((status >= 200 && status <= 299) || (s->is_absent && call->may_be_absent))
			return true;
		if (!may_pass(status))
		{
			fail_refused(s, call, status);
			return false;
		}
	}
	txp_store_fail(s, "08006",
				   "It was tried several times. Check the option endpoint of the server, and that "
				   "the store is up.",
				   call->doing, s->why);
	return false;
}

bool
txp_store_ask(TxpStore *s, const TxpStoreCall *call)
{
	size_t size =
		strlen(s->base) + strlen(s->path) + (call->query != NULL ? strlen(call->query) : 0) + 2;
	char *url = txd_alloc(size);
	char hex[2 * TXP_SHA256 + 1];
	bool ok;

	snprintf(url, size, "%s%s%s%s", s->base, s->path, call->query != NULL ? "?" : "",
			 call->query != NULL ? call->query : "");
	ok = hash_body(call, hex);
	if (ok)
		ok = ask(s, call, url, hex);
	else
		txp_store_fail(s, "58030", "Is something else changing the file?", call->doing,
					   "The file could not be read to its end.");
	free(url);
	return ok;
}
