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

#include "http.h"

#define LIBRARY "libcurl.so.4"
#define CONNECT_MS 5000L
#define ANSWER_MS 10000L
#define MAX_BODY (4 * 1024 * 1024)

struct TxpHttp
{
	TxpChannel *channel;
	CURL *easy;
	struct curl_slist *lines; /* of a POST */
	TxdBuf *body;
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

static void
set_up(TxpHttp *h, const char *user_info, const char *ca_pem)
{
	curl.setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
	curl.setopt(h->easy, CURLOPT_PROTOCOLS_STR, "http,https");
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

		curl.setopt(h->easy, CURLOPT_CAINFO_BLOB, &ca);
	}
}

TxpHttp *
txp_http_new(TxpChannel *channel, const char *user_info, const char *ca_pem)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	TxpHttp *h = txd_alloc(sizeof(*h));

	pthread_once(&once, load);
	*h = (TxpHttp){.channel = channel};
	if (curl.there && (h->easy = curl.init()) != NULL)
		set_up(h, user_info, ca_pem);
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

long
txp_http_ask(TxpHttp *h, const char *url, const char *post, TxdBuf *body)
{
	long status = 0;
	CURLcode code;

	if (h->easy == NULL)
		return 0;
	h->body = body;
	h->body->len = 0;
	h->why[0] = '\0';
	h->too_long = false;
	curl.setopt(h->easy, CURLOPT_URL, url);
	set_method(h, post);
	code = curl.perform(h->easy);
	if (h->too_long)
		return TXP_HTTP_TOO_LONG;
	if (code == CURLE_OK)
		curl.getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	else if (h->why[0] == '\0')
		snprintf(h->why, sizeof(h->why), "%s", curl.strerror(code));
	return status;
}

const char *
txp_http_why(const TxpHttp *h)
{
	return h->easy != NULL ? h->why : curl.why;
}
