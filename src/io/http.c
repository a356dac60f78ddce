/*
 * http.c — libcurl, loaded when it is first needed: it brings two dozen libraries, with which the start of each child would
 * take twice as long.
 *
 * No redirects, proxies or files: the address is the one that was given.
 */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "http.h"

#define LIBRARY "libcurl.so.4"
#define CONNECT_MS 5000L
#define ANSWER_MS 10000L
#define MAX_BODY (4 * 1024 * 1024)
#define MAX_HEADER (64 * 1024)
/* What is slower is no connection. */
#define LEAST_BYTES_A_SECOND 100L
#define SLOW_SECONDS 10L
/* For a store that puts thousands of parts together. */
#define LONG_ANSWER_MS 600000L

struct TxpHttp
{
	TxpChannel *channel;
	CURL *easy;
	struct curl_slist *lines; /* of a POST */
	TxdBuf *body;
	TxdBuf header; /* of the last answer */
	const TxpHttpCall *call;
	int64_t sent; /* of a body that comes from a file */
	bool too_long;
	char why[CURL_ERROR_SIZE];
};

static struct
{
	CURLcode (*global_init)(long flags);
	CURL *(*init)(void);
	CURLcode (*setopt)(CURL *easy, CURLoption option, ...);
	CURLcode (*perform)(CURL *easy);
	CURLcode (*getinfo)(CURL *easy, CURLINFO info, ...);
	const char *(*strerror)(CURLcode code);
	void (*cleanup)(CURL *easy);
	struct curl_slist *(*slist_append)(struct curl_slist *list, const char *line);
	void (*slist_free)(struct curl_slist *list);
	bool there;
	char why[CURL_ERROR_SIZE];
} curl;

static bool
find(void *library, const char *name, void *function)
{
	void *symbol = dlsym(library, name);

	/* A pointer to a function, as POSIX has dlsym store it. */
	memcpy(function, &symbol, sizeof(symbol));
	return symbol != NULL;
}

static void
load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	curl.there = library != NULL && find(library, "curl_global_init", &curl.global_init) &&
				 find(library, "curl_easy_init", &curl.init) &&
				 find(library, "curl_easy_setopt", &curl.setopt) &&
				 find(library, "curl_easy_perform", &curl.perform) &&
				 find(library, "curl_easy_getinfo", &curl.getinfo) &&
				 find(library, "curl_easy_strerror", &curl.strerror) &&
				 find(library, "curl_easy_cleanup", &curl.cleanup) &&
				 find(library, "curl_slist_append", &curl.slist_append) &&
				 find(library, "curl_slist_free_all", &curl.slist_free) &&
				 curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	if (!curl.there)
	{
		const char *why = dlerror();

		snprintf(curl.why, sizeof(curl.why), "%s", why != NULL ? why : LIBRARY " does not start");
	}
}

static size_t
take_body(char *data, size_t size, size_t n, void *arg)
{
	TxpHttp *h = arg;

	h->too_long = h->body->len + size * n > MAX_BODY;
	if (h->too_long)
		return 0;
	txd_buf_append(h->body, data, size * n);
	return size * n;
}

static int
look_whether_ended(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
				   curl_off_t up)
{
	TxpHttp *h = arg;

	(void) down_total, (void) down, (void) up_total, (void) up;
	return txp_channel_ended(h->channel);
}

/* False: whom to trust, or what not to do, could not be set. */
static bool
set_up(TxpHttp *h, const char *user_info, const char *ca_pem)
{
	curl.setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
	if (curl.setopt(h->easy, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK)
		return false;
	curl.setopt(h->easy, CURLOPT_PROXY, "");
	curl.setopt(h->easy, CURLOPT_USERAGENT, "txpipe");
	curl.setopt(h->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl.setopt(h->easy, CURLOPT_TIMEOUT_MS, ANSWER_MS);
	curl.setopt(h->easy, CURLOPT_ERRORBUFFER, h->why);
	curl.setopt(h->easy, CURLOPT_WRITEFUNCTION, take_body);
	curl.setopt(h->easy, CURLOPT_WRITEDATA, h);
	curl.setopt(h->easy, CURLOPT_XFERINFOFUNCTION, look_whether_ended);
	curl.setopt(h->easy, CURLOPT_XFERINFODATA, h);
	curl.setopt(h->easy, CURLOPT_NOPROGRESS, 0L);
	h->lines = curl.slist_append(NULL, "Content-Type: application/vnd.schemaregistry.v1+json");
	if (user_info != NULL)
	{
		curl.setopt(h->easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl.setopt(h->easy, CURLOPT_USERPWD, user_info);
	}
	if (ca_pem != NULL)
	{
		struct curl_blob ca = {(void *) ca_pem, strlen(ca_pem), CURL_BLOB_COPY};

		return curl.setopt(h->easy, CURLOPT_CAINFO_BLOB, &ca) == CURLE_OK;
	}
	return true;
}

TxpHttp *
txp_http_new(TxpChannel *channel, const char *user_info, const char *ca_pem)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	TxpHttp *h = txd_alloc(sizeof(*h));

	pthread_once(&once, load);
	*h = (TxpHttp){.channel = channel};
	if (curl.there && (h->easy = curl.init()) != NULL && !set_up(h, user_info, ca_pem))
	{
		curl.cleanup(h->easy);
		curl.slist_free(h->lines);
		h->easy = NULL;
		snprintf(h->why, sizeof(h->why), LIBRARY " does not take its settings");
	}
	return h;
}

void
txp_http_free(TxpHttp *h)
{
	if (h->easy != NULL)
	{
		curl.cleanup(h->easy);
		curl.slist_free(h->lines);
	}
	txd_buf_free(&h->header);
	free(h);
}

static void
set_method(TxpHttp *h, const char *post)
{
	if (post == NULL)
		curl.setopt(h->easy, CURLOPT_HTTPGET, 1L);
	else
		curl.setopt(h->easy, CURLOPT_POSTFIELDS, post);
	curl.setopt(h->easy, CURLOPT_HTTPHEADER, post != NULL ? h->lines : NULL);
}

/* The answer's status, as txp_http_ask has it. */
static long
perform(TxpHttp *h, const char *url, TxdBuf *body)
{
	long status = 0;
	CURLcode code;

	h->body = body;
	h->body->len = 0;
	h->why[0] = '\0';
	h->too_long = false;
	curl.setopt(h->easy, CURLOPT_URL, url);
	code = curl.perform(h->easy);
	if (h->too_long)
		return TXP_HTTP_TOO_LONG;
	if (code == CURLE_OK)
		curl.getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	else if (h->why[0] == '\0')
		snprintf(h->why, sizeof(h->why), "%s", curl.strerror(code));
	return status;
}

long
txp_http_ask(TxpHttp *h, const char *url, const char *post, TxdBuf *body)
{
	if (h->easy == NULL)
		return 0;
	set_method(h, post);
	return perform(h, url, body);
}

const char *
txp_http_why(const TxpHttp *h)
{
	return h->easy != NULL || h->why[0] != '\0' ? h->why : curl.why;
}

/* --- requests that are signed --- */

static size_t
take_header(char *data, size_t size, size_t n, void *arg)
{
	TxpHttp *h = arg;

	/* One of several, as behind "100 Continue": the last one counts. */
	if (size * n > 5 && strncmp(data, "HTTP/", 5) == 0)
		h->header.len = 0;
	if (h->header.len + size * n > MAX_HEADER)
		return 0;
	txd_buf_append(&h->header, data, size * n);
	return size * n;
}

/* The file's next bytes: no more than were announced, and fewer, when it has become shorter, end the request. */
static size_t
give_body(char *to, size_t size, size_t n, void *arg)
{
	TxpHttp *h = arg;
	int64_t left = h->call->len - h->sent;
	size_t wanted = size * n < (size_t) left ? size * n : (size_t) left;
	ssize_t got;

	if (wanted == 0)
		return 0;
	got = pread(h->call->fd, to, wanted, (off_t) (h->call->offset + h->sent));
	if (got <= 0)
		return CURL_READFUNC_ABORT;
	h->sent += got;
	return (size_t) got;
}

/* For a connection that was lost before its answer began. */
static int
seek_body(void *arg, curl_off_t offset, int origin)
{
	TxpHttp *h = arg;

	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	h->sent = offset;
	return CURL_SEEKFUNC_OK;
}

bool
txp_http_sign(TxpHttp *h, const char *how, const char *keys)
{
	if (h->easy == NULL)
		return true;
	/* Without it the library would send the secret. */
	if (curl.setopt(h->easy, CURLOPT_AWS_SIGV4, how) != CURLE_OK)
		return false;
	curl.setopt(h->easy, CURLOPT_USERPWD, keys);
	curl.setopt(h->easy, CURLOPT_PATH_AS_IS, 1L);
	curl.setopt(h->easy, CURLOPT_LOW_SPEED_LIMIT, LEAST_BYTES_A_SECOND);
	curl.setopt(h->easy, CURLOPT_HEADERFUNCTION, take_header);
	curl.setopt(h->easy, CURLOPT_HEADERDATA, h);
	curl.setopt(h->easy, CURLOPT_READFUNCTION, give_body);
	curl.setopt(h->easy, CURLOPT_READDATA, h);
	curl.setopt(h->easy, CURLOPT_SEEKFUNCTION, seek_body);
	curl.setopt(h->easy, CURLOPT_SEEKDATA, h);
	return true;
}

static void
set_call(TxpHttp *h, const TxpHttpCall *call)
{
	bool is_head = strcmp(call->method, "HEAD") == 0;

	curl.setopt(h->easy, CURLOPT_TIMEOUT_MS, call->is_slow ? LONG_ANSWER_MS : 0L);
	curl.setopt(h->easy, CURLOPT_LOW_SPEED_TIME, call->is_slow ? 0L : SLOW_SECONDS);
	curl.setopt(h->easy, CURLOPT_HTTPGET, 1L);
	if (call->text != NULL)
	{
		curl.setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) strlen(call->text));
		curl.setopt(h->easy, CURLOPT_POSTFIELDS, call->text);
	}
	else if (call->fd >= 0)
	{
		curl.setopt(h->easy, CURLOPT_UPLOAD, 1L);
		curl.setopt(h->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) call->len);
	}
	if (is_head)
		curl.setopt(h->easy, CURLOPT_NOBODY, 1L);
	curl.setopt(h->easy, CURLOPT_CUSTOMREQUEST, is_head ? NULL : call->method);
}

long
txp_http_call(TxpHttp *h, const TxpHttpCall *call, TxdBuf *body)
{
	struct curl_slist *lines = NULL;
	long status;

	if (h->easy == NULL)
		return 0;
	for (const char *const *line = call->lines; *line != NULL; line++)
		lines = curl.slist_append(lines, *line);
	h->call = call;
	h->sent = 0;
	h->header.len = 0;
	set_call(h, call);
	curl.setopt(h->easy, CURLOPT_HTTPHEADER, lines);
	status = perform(h, call->url, body);
	curl.setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
	curl.slist_free(lines);
	return status;
}

bool
txp_http_header(const TxpHttp *h, const char *name, char *value, size_t size)
{
	const char *p = h->header.data;
	const char *end = p + h->header.len;
	size_t len = strlen(name);

	while (h->header.len > 0 && p < end)
	{
		const char *stop = memchr(p, '\n', (size_t) (end - p));
		const char *next = stop != NULL ? stop + 1 : end;

		if ((size_t) (next - p) > len && p[len] == ':' && strncasecmp(p, name, len) == 0)
		{
			p += len + 1;
			while (p < next && (*p == ' ' || *p == '\t'))
				p++;
			while (next > p && (next[-1] == '\n' || next[-1] == '\r' || next[-1] == ' '))
				next--;
			return (size_t) snprintf(value, size, "%.*s", (int) (next - p), p) < size;
		}
		p = next;
	}
	return false;
}
