/*
 * avro_read.h — a value of Avro that is being read. Private to avro*.c.
 */
#ifndef TXD_AVRO_READ_H
#define TXD_AVRO_READ_H

#include <string.h>

#include "avro_schema.h"
#include "bind.h"

/* Values that may take no bytes, as nulls and records of them do: more of them are no message but an attack. */
#define AVRO_MAX_EMPTY 65536

struct TxdAvro
{
	AvroArena arena;
	const AvroType *writer;
	const AvroStep *top;
	bool is_read_as;      /* another schema */
	uint64_t fingerprint; /* of the writer's schema */
	TxdBinding binding;
	bool bound; /* has been tried */
};

typedef struct AvroInput
{
	const unsigned char *start;
	const unsigned char *p;
	const unsigned char *end;
	TxdBuf *json; /* NULL: the value is stepped over */
	size_t before;
	TxdError *err;
	int depth;
	int64_t
		values; /* that may still come: a schema alone can make any number of them out of no bytes */
} AvroInput;

static inline AvroInput
txd_avro_input(const char *data, size_t len, TxdBuf *json, TxdError *err)
{
	const unsigned char *p = (const unsigned char *) data;

	return (AvroInput){.start = p,
					   .p = p,
					   .end = p + len,
					   .json = json,
					   .before = json->len,
					   .err = err,
					   .values = (int64_t) len * TXD_JSON_DEPTH + AVRO_MAX_EMPTY};
}

static inline bool
txd_avro_fail(AvroInput *in, const char *what)
{
	(void) txd_refuse(in->err, "bad_avro", NULL, "%s at byte %zu", what,
					  (size_t) (in->p - in->start) + 1);
	return false;
}

static inline bool
txd_avro_is_over(AvroInput *in)
{
	return in->p == in->end || txd_avro_fail(in, "bytes after the value");
}

/* A number of up to 64 bits: seven a byte, the lowest first, the sign in the lowest of all. */
static inline bool
txd_avro_long(AvroInput *in, int64_t *v)
{
	uint64_t raw = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		unsigned char c;

		if (in->p == in->end)
			return txd_avro_fail(in, "message ends too early");
		c = *in->p++;
		if (shift == 63 && c > 1)
			break;
		raw |= (uint64_t) (c & 0x7f) << shift;
		if (c < 0x80)
		{
			*v = (int64_t) (raw >> 1 ^ -(raw & 1));
			return true;
		}
	}
	return txd_avro_fail(in, "a number of more than 64 bits");
}

static inline bool
txd_avro_int(AvroInput *in, const AvroType *type, int64_t *v)
{
	if (!txd_avro_long(in, v))
		return false;
	if (type->kind == AVRO_INT && (*v < INT32_MIN || *v > INT32_MAX))
		return txd_avro_fail(in, "an int of more than 32 bits");
	return true;
}

/* A stretch of bytes, whose length comes first. */
static inline bool
txd_avro_bytes(AvroInput *in, const unsigned char **p, size_t *len)
{
	int64_t n = 0;

	if (!txd_avro_long(in, &n))
		return false;
	if (n < 0 || n > in->end - in->p)
		return txd_avro_fail(in, "a length beyond the message's end");
	*p = in->p;
	*len = (size_t) n;
	in->p += n;
	return true;
}

/* So many bytes. */
static inline bool
txd_avro_fixed(AvroInput *in, size_t size, const unsigned char **p)
{
	if ((size_t) (in->end - in->p) < size)
		return txd_avro_fail(in, "message ends too early");
	*p = in->p;
	in->p += size;
	return true;
}

static inline bool
txd_avro_real(AvroInput *in, bool is_float, double *v)
{
	const unsigned char *p;
	size_t size = is_float ? 4 : 8;
	uint64_t bits = 0;
	uint32_t low;
	float f;

	if (!txd_avro_fixed(in, size, &p))
		return false;
	for (size_t i = 0; i < size; i++)
		bits |= (uint64_t) p[i] << (8 * i);
	low = (uint32_t) bits;
	memcpy(&f, &low, sizeof(f));
	memcpy(v, &bits, sizeof(*v));
	if (is_float)
		*v = f;
	return true;
}

static inline bool
txd_avro_boolean(AvroInput *in, bool *v)
{
	if (in->p == in->end)
		return txd_avro_fail(in, "message ends too early");
	if (*in->p > 1)
		return txd_avro_fail(in, "a boolean that is neither 0 nor 1");
	*v = *in->p++ != 0;
	return true;
}

/* Which symbol or branch of the type comes. */
static inline bool
txd_avro_choice(AvroInput *in, const AvroType *type, int64_t *i)
{
	if (!txd_avro_long(in, i))
		return false;
	if (*i < 0 || *i >= type->n)
		return txd_avro_fail(in, type->kind == AVRO_ENUM ? "a symbol that the enum does not have"
														 : "a branch that the union does not have");
	return true;
}

/* Are the bytes of the step's strings, bytes and fixed written as bytes, and not as a text? */
static inline bool
txd_avro_is_bytes(const AvroStep *step)
{
	if (step->type->kind == AVRO_STRING)
		return step->as_bytes;
	return !step->as_text;
}

/* avro.c: writes a value as JSON, or steps over it. */
extern bool txd_avro_read(AvroInput *in, const AvroStep *step);

/* avro_bind.c */
extern bool txd_avro_read_bound(TxdAvro *avro, TxdBoundMessage *m);

#endif
