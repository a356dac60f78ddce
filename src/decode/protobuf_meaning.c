/*
 * protobuf_meaning.c — types that mean more than their fields: times, wrapped values, JSON within messages.
 */
#include <stdio.h>
#include <string.h>

#include "datetime.h"
#include "json_write.h"
#include "protobuf_read.h"
#include "value.h"

#define LONGEST_S INT64_C(315576000000) /* of a Duration */
#define SECOND_NS 1000000000
#define MAX_DECIMAL 4096 /* bytes: what writing one out costs grows with the square of it */
#define MAX_SCALE 16383  /* of numeric */

static bool
refuse(PbReader *r, const char *what)
{
	return txd_refuse(r->err, "bad_protobuf", NULL, "%s out of range", what);
}

/* A fraction of a second, without zeros behind it; `text` has room for ten. */
static int
put_fraction(char *text, int64_t nanos)
{
	int n = 0;

	for (text[0] = '.'; nanos > 0; nanos = nanos * 10 % SECOND_NS)
		text[++n] = (char) ('0' + nanos / (SECOND_NS / 10));
	return n > 0 ? n + 1 : 0;
}

static bool
put_timestamp(PbReader *r, int64_t seconds, int64_t nanos)
{
	char text[TXD_DATETIME_TEXT + 20];
	size_t n;

	if (seconds < PB_FIRST_S || seconds > PB_LAST_S || nanos < 0 || nanos >= SECOND_NS)
		return refuse(r, "a Timestamp");
	n = txd_unix_text(seconds, 0, "", text);
	n += (size_t) put_fraction(text + n, nanos);
	memcpy(text + n, "+00", 3);
	txd_write_text(r->json, text, n + 3);
	return true;
}

/* ISO 8601, whose sign stands before the number. */
static bool
put_duration(PbReader *r, int64_t seconds, int64_t nanos)
{
	bool negative = seconds < 0 || nanos < 0;
	char text[60];
	int n;

	if (seconds < -LONGEST_S || seconds > LONGEST_S || nanos <= -SECOND_NS || nanos >= SECOND_NS ||
		(seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0))
		return refuse(r, "a Duration");
	n = snprintf(text, sizeof(text), "PT%s%lld", negative ? "-" : "",
				 (long long) (negative ? -seconds : seconds));
	n += put_fraction(text + n, negative ? -nanos : nanos);
	text[n++] = 'S';
	txd_write_text(r->json, text, (size_t) n);
	return true;
}

/* A value, or the zero of its type. */
static bool
put_wrapped(PbReader *r, const PbType *type, PbSlot slot)
{
	if (slot.first != 0)
		return txd_pb_put_field(r, &type->field[0], slot);
	txd_buf_append(r->json, type->field[0].zero.data, type->field[0].zero.len);
	return true;
}

/* Which of the kinds that JSON has is set. */
static bool
put_any_value(PbReader *r, const PbType *type, size_t base)
{
	for (int i = 0; i < type->n; i++)
	{
		PbSlot slot = r->scratch->slots[base + (size_t) i];

		if (slot.first != 0)
			return txd_pb_put_field(r, &type->field[i], slot);
	}
	txd_buf_append(r->json, "null", 4);
	return true;
}

/* The paths with commas between them, as FieldMask's own JSON has them. */
static bool
put_mask(PbReader *r, uint32_t first)
{
	TxdBuf paths = {0};
	bool ok = true;

	for (uint32_t next = first; ok && next != 0;)
	{
		PbLink link = r->scratch->links[next - 1];
		PbInput in = {.p = r->start + link.at, .end = r->end};
		PbInput path = {0};

		ok = txd_pb_bytes(&in, &path);
		if (next != first)
			txd_buf_byte(&paths, ',');
		if (path.p < path.end)
			txd_buf_append(&paths, path.p, (size_t) (path.end - path.p));
		next = link.next;
	}
	txd_write_quoted(r->json, paths.data != NULL ? paths.data : "", paths.len);
	txd_buf_free(&paths);
	return ok;
}

/* A day that exists; of others, as of birthdays without a year, the fields. */
static bool
put_date(PbReader *r, const PbType *type, size_t base)
{
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t year = txd_pb_number(r, type, base, 0);
	int64_t month = txd_pb_number(r, type, base, 1);
	int64_t day = txd_pb_number(r, type, base, 2);
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	char text[20];

	if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > days[month - 1] ||
		(month == 2 && day == 29 && !leap))
		return txd_pb_put_object(r, type, base);
	snprintf(text, sizeof(text), "%04d-%02d-%02d", (int) year, (int) month, (int) day);
	txd_write_text(r->json, text, strlen(text));
	return true;
}

static bool
put_time_of_day(PbReader *r, const PbType *type, size_t base)
{
	int64_t hours = txd_pb_number(r, type, base, 0);
	int64_t minutes = txd_pb_number(r, type, base, 1);
	int64_t seconds = txd_pb_number(r, type, base, 2);
	int64_t nanos = txd_pb_number(r, type, base, 3);
	char text[40];
	int n;

	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 59 ||
		nanos < 0 || nanos >= SECOND_NS)
		return txd_pb_put_object(r, type, base);
	n = snprintf(text, sizeof(text), "%02d:%02d:%02d", (int) hours, (int) minutes, (int) seconds);
	n += put_fraction(text + n, nanos);
	txd_write_text(r->json, text, (size_t) n);
	return true;
}

static bool
put_decimal(PbReader *r, const PbType *type, size_t base)
{
	PbSlot slot = r->scratch->slots[base];
	int64_t scale = txd_pb_number(r, type, base, 2);
	PbValue value = {0};

	if (slot.first != 0)
		value = txd_pb_value(r, &type->field[0], slot);
	if (scale < 0 || scale > MAX_SCALE || value.len > MAX_DECIMAL)
		return refuse(r, "a Decimal");
	txd_write_decimal(r->json, value.text, value.len, (int) scale);
	return true;
}

bool
txd_pb_put_meaning(PbReader *r, const PbType *type, size_t base)
{
	PbSlot first = r->scratch->slots != NULL && type->n > 0 ? r->scratch->slots[base] : (PbSlot){0};

	switch (type->meaning)
	{
		case PB_TIMESTAMP:
			return put_timestamp(r, txd_pb_number(r, type, base, 0),
								 txd_pb_number(r, type, base, 1));
		case PB_DURATION:
			return put_duration(r, txd_pb_number(r, type, base, 0),
								txd_pb_number(r, type, base, 1));
		case PB_WRAPPER:
			return put_wrapped(r, type, first);
		case PB_STRUCT:
		case PB_LIST:
			return txd_pb_put_field(r, &type->field[0], first);
		case PB_VALUE:
			return put_any_value(r, type, base);
		case PB_FIELD_MASK:
			return put_mask(r, first.first);
		case PB_DATE:
			return put_date(r, type, base);
		case PB_TIME_OF_DAY:
			return put_time_of_day(r, type, base);
		case PB_DECIMAL:
			return put_decimal(r, type, base);
		default:
			return txd_pb_put_object(r, type, base);
	}
}
