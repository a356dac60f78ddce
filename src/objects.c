/*
 * objects.c — object stores as the server sees them: servers of the wrapper txpipe_object, and what the child is asked about objects.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "objects.h"
#include "options.h"
#include "payload.h"
#include "properties.h"
#include "unixtime.h"

#define WRAPPER "txpipe_object"
#define EXAMPLE "endpoint 'https://host', url 's3://bucket/prefix'"
#define SCHEME "s3://"
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789-"
#define MAX_REGION 63
#define MIN_BUCKET 3
#define MAX_BUCKET 63
#define MAX_PREFIX 500
#define MAX_KEY_NAME 128

/* --- options --- */

static void
refuse(const char *option, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errhidestmt(true),
					errmsg("invalid value for option \"%s\"", option), errhint("%s", hint)));
}

static const char *
required(List *defs, const char *option)
{
	const char *value = txp_option_given(TXP_OPTION_STORE, defs, option);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" is required", option), errhint("OPTIONS (" EXAMPLE ").")));
	return value;
}

/* Everybody can read it: no user and password. The store is at the root of its address. */
static void
check_endpoint(const char *value)
{
	size_t scheme = strncmp(value, "http://", 7) == 0    ? 7
					: strncmp(value, "https://", 8) == 0 ? 8
														 : 0;
	size_t len = strlen(value);

	if (scheme == 0 || len == scheme || strpbrk(value + scheme, "/@?# \\") != NULL)
		refuse("endpoint",
			   "https://host, https://host:port, or the same with http, without a path; the key "
			   "belongs to the user mapping.");
}

/* The bucket's name, of a url; *prefix is what is behind it. */
static char *
bucket_of(const char *url, const char **prefix)
{
	const char *bucket = url + strlen(SCHEME);
	size_t len = strcspn(bucket, "/");

	*prefix = bucket + len + (bucket[len] == '/');
	return pnstrdup(bucket, len);
}

static bool
is_prefix(const char *prefix)
{
	size_t len;

	for (const char *p = prefix; *p != '\0'; p += len + (p[len] == '/'))
	{
		len = strcspn(p, "/");
		if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && strncmp(p, "..", 2) == 0))
			return false;
	}
	return strlen(prefix) <= MAX_PREFIX;
}

static void
check_url(const char *url)
{
	const char *prefix = "";
	char *bucket = strncmp(url, SCHEME, strlen(SCHEME)) == 0 ? bucket_of(url, &prefix) : "";

	if (strlen(bucket) < MIN_BUCKET || strlen(bucket) > MAX_BUCKET ||
		strspn(bucket, NAME_CHARS ".") != strlen(bucket) || !is_prefix(prefix))
		refuse("url",
			   "s3://bucket or s3://bucket/prefix; buckets have 3 to 63 lower-case letters, "
			   "digits, hyphens and dots, prefixes no empty parts and neither \".\" nor \"..\".");
}

static void
check_store(List *defs)
{
	const char *region;

	txp_options_of_check(TXP_OPTION_STORE, defs);
	check_endpoint(required(defs, "endpoint"));
	check_url(required(defs, "url"));
	region = txp_option_given(TXP_OPTION_STORE, defs, "region");
	if (region != NULL && (region[0] == '\0' || strlen(region) > MAX_REGION ||
						   strspn(region, NAME_CHARS) != strlen(region)))
		refuse("region", "A name such as eu-central-1.");
}

static void
check_mapping(List *defs)
{
	const char *id;

	txp_options_of_check(TXP_OPTION_STORE_MAPPING, defs);
	id = txp_option_given(TXP_OPTION_STORE_MAPPING, defs, "access.key.id");
	/* The client takes both as "id:secret". */
	if (id != NULL && (id[0] == '\0' || strlen(id) > MAX_KEY_NAME || strchr(id, ':') != NULL))
		refuse("access_key_id", "The name that the store gave the key, without a colon.");
}

/* FDW validator. */
PG_FUNCTION_INFO_V1(txpipe_object_validator);
Datum
txpipe_object_validator(PG_FUNCTION_ARGS)
{
	List *defs = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);

	if (catalog == UserMappingRelationId)
	{
		check_mapping(defs);
		txp_options_check_files(TXP_OPTION_STORE_MAPPING, defs);
	}
	else if (catalog == ForeignServerRelationId)
	{
		check_store(defs);
		txp_options_check_files(TXP_OPTION_STORE, defs);
	}
	else if (defs != NIL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("options are given to servers and user mappings only"),
						errhint("CREATE SERVER … FOREIGN DATA WRAPPER " WRAPPER " OPTIONS (" EXAMPLE
								").")));
	PG_RETURN_VOID();
}

/* --- a store --- */

static void
check_key(const char *server, List *of_mapping)
{
	if (txp_option_given(TXP_OPTION_STORE_MAPPING, of_mapping, "access.key.id") != NULL &&
		txp_option_given(TXP_OPTION_STORE_MAPPING, of_mapping, "secret.access.key") != NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("there is no key for the object store \"%s\"", server),
			 errhint("CREATE USER MAPPING FOR CURRENT_USER SERVER %s OPTIONS (access_key_id '…', "
					 "secret_access_key_file '/path').",
					 quote_identifier(server))));
}

/* Options are checked once more: a wrapper altered to have no validator would let anything through. */
static void
open_store(TxpObjects *objects, const ForeignServer *server)
{
	List *of_mapping = txp_mapping_options(server->serverid, GetUserId());
	const char *region = txp_option_given(TXP_OPTION_STORE, server->options, "region");
	const char *endpoint;
	const char *prefix;
	char *bucket;

	check_store(server->options);
	check_mapping(of_mapping);
	check_key(server->servername, of_mapping);
	txp_server_check_owner(server, TXP_OPTION_STORE_MAPPING, of_mapping);
	endpoint = required(server->options, "endpoint");
	bucket = bucket_of(required(server->options, "url"), &prefix);
	objects->prefix = pstrdup(prefix);
	if (objects->prefix[0] != '\0' && objects->prefix[strlen(prefix) - 1] != '/')
		objects->prefix = psprintf("%s/", prefix);
	objects->location = psprintf("%s/%s/%s", endpoint, bucket, objects->prefix);
	initStringInfo(&objects->opening);
	txp_put_str(&objects->opening, endpoint);
	txp_put_str(&objects->opening, bucket);
	txp_put_str(&objects->opening, region != NULL ? region : "us-east-1");
	txp_option_put(&objects->opening, TXP_OPTION_STORE_MAPPING, of_mapping, "access.key.id");
	txp_option_put(&objects->opening, TXP_OPTION_STORE_MAPPING, of_mapping, "secret.access.key");
	txp_option_put(&objects->opening, TXP_OPTION_STORE, server->options, "ssl.ca.pem");
}

TxpObjects *
txp_objects_open(const char *name)
{
	Oid server = txp_server_of_wrapper(name, WRAPPER, EXAMPLE);
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe objects", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TxpObjects *objects = palloc0(sizeof(TxpObjects));

	objects->context = context;
	open_store(objects, GetForeignServer(server));
	MemoryContextSwitchTo(old);
	return objects;
}

void
txp_objects_close(TxpObjects *objects)
{
	explicit_bzero(objects->opening.data, objects->opening.len);
	MemoryContextDelete(objects->context);
}

/* --- requests --- */

static void
begin_request(TxpObjects *objects, const char *path, StringInfo request)
{
	initStringInfo(request);
	appendBinaryStringInfo(request, objects->opening.data, objects->opening.len);
	txp_put_str(request, psprintf("%s%s", objects->prefix, path));
}

/* A child that has died is a failure of the request, which the next one does not share. */
static bool
fail_gone(TxpObjects *objects, TxpIoError *error)
{
	*error = (TxpIoError){
		.fatal = true, .sqlstate = ERRCODE_CONNECTION_FAILURE, .message = txp_io_end(objects->io)};
	txp_io_stop(objects->io);
	objects->io = NULL;
	return false;
}

static bool
ask(TxpObjects *objects, TxpFrameType type, StringInfo request, TxpFrameType answer,
	TxpFrame *frame, TxpIoError *error)
{
	uint32 channel;

	if (objects->io == NULL)
		objects->io = txp_io_start(objects->context);
	channel = txp_io_new_channel(objects->io);
	(void) txp_io_send(objects->io, type, channel, 0, request);
	explicit_bzero(request->data, request->len);
	if (!txp_io_receive(objects->io, -1, frame))
		return fail_gone(objects, error);
	if (frame->type == answer && frame->channel == channel)
		return true;
	if (frame->type != TXP_ERROR)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("txpipe_io answered with a frame of type %d", (int) frame->type)));
	txp_io_read_error(frame, error);
	return false;
}

bool
txp_object_put(TxpObjects *objects, const char *top, const char *path, const uint8 *sha256,
			   TxpObject *object, TxpIoError *error)
{
	StringInfoData request;
	TxpFrame frame;
	TxpReader r;
	TxpSpan hash;

	begin_request(objects, path, &request);
	txp_put_str(&request, top);
	txp_put_str(&request, path);
	if (sha256 != NULL)
		txp_put_bytes(&request, (const char *) sha256, PG_SHA256_DIGEST_LENGTH);
	else
		txp_put_str(&request, NULL);
	if (!ask(objects, TXP_OBJECT_PUT, &request, TXP_OBJECT_STORED, &frame, error))
		return false;
	r = txp_reader(frame.data, frame.size);
	object->bytes = txp_read_i64(&r);
	object->changed_at = txp_read_i64(&r) - 1000 * TXP_UNIX_EPOCH_MS;
	hash = txp_read_span(&r);
	r.bad = r.bad || hash.len != PG_SHA256_DIGEST_LENGTH;
	txp_reader_check(&r);
	memcpy(object->sha256, hash.data, PG_SHA256_DIGEST_LENGTH);
	return true;
}

bool
txp_object_delete(TxpObjects *objects, const char *path, TxpIoError *error)
{
	StringInfoData request;
	TxpFrame frame;

	begin_request(objects, path, &request);
	return ask(objects, TXP_OBJECT_DELETE, &request, TXP_OBJECT_DELETED, &frame, error);
}
