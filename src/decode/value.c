/*
 * value.c — one value to its COPY field: what each kind of value may become, and the row form.
 *
 * The types' own syntax is in scalar.c, numeric.c, real.c and datetime.c; JSON's in json.h.
 */
#include "field.h"
#include "datetime.h"
#include "json.h"

bool
txd_null(const TxdColumn *column, TxdForm form, TxdBuf *out, TxdError *err)
{
	if (column->not_null)
		return txd_refuse(err, "missing_value", column,
						  "no value for column \"%s\", which is NOT NULL", column->name);
	if (form == TXD_TEXT)
		txd_buf_append(out, "\\N", 2);
	else
	{
		txd_put32(txd_buf_reserve(out, 4), UINT32_MAX);
		out->len += 4;
	}
	return true;
}

/* Appends text with the escapes that COPY's text format undoes. */
static void
append_escaped(TxdBuf *out, const char *text, size_t len)
{
	char *p = txd_buf_reserve(out, 2 * len);
	char *start = p;

	for (size_t i = 0; i < len; i++)
	{
		char c = text[i];

		if (c == '\\' || c == '\t' || c == '\n' || c == '\r')
		{
			*p++ = '\\';
			c = c == '\\' ? '\\' : c == '\t' ? 't' : c == '\n' ? 'n' : 'r';
		}
		*p++ = c;
	}
	out->len += (size_t) (p - start);
}

/* Checks text to be something PostgreSQL takes as UTF-8. */
static bool
check_text(const TxdColumn *column, const char *text, size_t len, TxdError *err)
{
	size_t good = txd_utf8_prefix(text, len);

	if (good == len)
		return true;
	if (text[good] == '\0')
		return txd_refuse(err, "nul_byte", column, "byte %zu of the text is NUL", good + 1);
	return txd_refuse(err, "bad_encoding", column, "byte %zu of the text (0x%02x) is not UTF-8",
					  good + 1, (unsigned char) text[good]);
}

/* Applies the limit of varchar(n) and char(n): only blanks may exceed it, and are cut. */
static bool
fit_length(const TxdColumn *column, const char *text, size_t *len, TxdError *err)
{
	size_t limit = (size_t) column->length;
	size_t chars = 0;
	size_t i;

	if (column->length <= 0 || *len <= limit)
		return true;
	for (i = 0; i < *len; i++)
	{
		/* Every byte but a continuation starts a character. */
		if (((unsigned char) text[i] & 0xC0) != 0x80 && chars++ == limit)
			break;
	}
	for (size_t rest = i; rest < *len; rest++)
	{
		if (text[rest] != ' ')
			return txd_refuse_value(err, "too_long", column,
									column->type == TXD_CHAR
										? "value too long for character"
										: "value too long for character varying",
									text, *len);
	}
	*len = i;
	return true;
}

static bool
put_text(const TxdColumn *column, TxdForm form, const char *text, size_t len, bool checked,
		 TxdBuf *out, TxdError *err)
{
	if (!checked && !check_text(column, text, len, err))
		return false;
	if ((column->type == TXD_VARCHAR || column->type == TXD_CHAR) &&
		!fit_length(column, text, &len, err))
		return false;
	if (form == TXD_TEXT)
		append_escaped(out, text, len);
	else
		txd_field_bytes(out, text, len);
	return true;
}

static bool
put_json(const TxdColumn *column, TxdForm form, TxdKind kind, const char *text, size_t len,
		 bool checked, TxdBuf *out, TxdError *err)
{
	bool jsonb = column->type == TXD_JSONB;
	bool is_json = kind != TXD_KIND_TEXT && kind != TXD_KIND_BYTES;
	char *p;

	if (!checked && !check_text(column, text, len, err))
		return false;
	if ((jsonb || !is_json) && !txd_json_valid(text, len, jsonb, err))
	{
		err->column = column->name;
		return false;
	}
	if (jsonb && len > TXD_JSON_ALWAYS_FITS && !txd_json_fits(text, len))
		return txd_refuse(err, "too_long", column, "%zu bytes of JSON are more than jsonb can hold",
						  len);
	if (form == TXD_TEXT)
		append_escaped(out, text, len);
	else if (!jsonb)
		txd_field_bytes(out, text, len);
	else
	{
		p = txd_put32(txd_buf_reserve(out, 5 + len), (uint32_t) (1 + len));
		*p++ = 1;
		memcpy(p, text, len);
		out->len += 5 + len;
	}
	return true;
}

static bool
put_bytea(const TxdColumn *column, TxdForm form, TxdKind kind, const char *text, size_t len,
		  bool checked, TxdBuf *out, TxdError *err)
{
	static const char digits[] = "0123456789abcdef";
	size_t mark = out->len;
	char *p;

	if (kind == TXD_KIND_TEXT)
	{
		if (!checked && !check_text(column, text, len, err))
			return false;
		if (!txd_put_bytea(column, text, len, out, err))
			return false;
		if (form == TXD_TEXT)
		{
			out->len = mark;
			append_escaped(out, text, len);
		}
		return true;
	}
	if (form == TXD_BINARY)
	{
		txd_field_bytes(out, text, len);
		return true;
	}
	p = txd_buf_reserve(out, 3 + 2 * len);
	memcpy(p, "\\\\x", 3);
	p += 3;
	for (size_t i = 0; i < len; i++)
	{
		*p++ = digits[(unsigned char) text[i] >> 4];
		*p++ = digits[text[i] & 15];
	}
	out->len += 3 + 2 * len;
	return true;
}

/* What a kind of value is called, and whether a scalar type takes it. */
static const char *const kind_name[] = {
	[TXD_KIND_TEXT] = "a text",    [TXD_KIND_NUMBER] = "a number",
	[TXD_KIND_BOOL] = "a boolean", [TXD_KIND_JSON] = "an object or array",
	[TXD_KIND_BYTES] = "bytes",
};

static const char *const type_name[] = {
	[TXD_INT2] = "smallint",
	[TXD_INT4] = "integer",
	[TXD_INT8] = "bigint",
	[TXD_FLOAT4] = "real",
	[TXD_FLOAT8] = "double precision",
	[TXD_NUMERIC] = "numeric",
	[TXD_BOOL] = "boolean",
	[TXD_STRING] = "text",
	[TXD_VARCHAR] = "character varying",
	[TXD_CHAR] = "character",
	[TXD_DATE] = "date",
	[TXD_TIME] = "time",
	[TXD_TIMESTAMP] = "timestamp",
	[TXD_TIMESTAMPTZ] = "timestamp with time zone",
	[TXD_UUID] = "uuid",
	[TXD_JSONTEXT] = "json",
	[TXD_JSONB] = "jsonb",
	[TXD_BYTEA] = "bytea",
	[TXD_OTHER] = "a type without binary form",
};

static bool
refuse_kind(const TxdColumn *column, TxdKind kind, const char *text, size_t len, TxdError *err)
{
	char what[100];

	snprintf(what, sizeof(what), "%s cannot become %s", kind_name[kind], type_name[column->type]);
	return txd_refuse_value(err, "wrong_type", column, what, text, len);
}

static bool
is_datetime(TxdType type)
{
	return type >= TXD_DATE && type <= TXD_TIMESTAMPTZ;
}

static bool
takes_kind(TxdType type, TxdKind kind)
{
	switch (kind)
	{
		case TXD_KIND_TEXT:
		case TXD_KIND_BYTES:
			return true;
		case TXD_KIND_NUMBER:
			return type <= TXD_NUMERIC;
		case TXD_KIND_BOOL:
			return type == TXD_BOOL;
		case TXD_KIND_JSON:
			return false;
	}
	return false;
}

/* Numbers, booleans and uuid in binary form. */
static bool
put_scalar(const TxdColumn *column, const char *text, size_t len, TxdBuf *out, TxdError *err)
{
	if (column->type == TXD_UUID)
		return txd_put_uuid(column, text, len, out, err);
	txd_trim(&text, &len);
	switch (column->type)
	{
		case TXD_INT2:
		case TXD_INT4:
		case TXD_INT8:
			return txd_put_integer(column, text, len, out, err);
		case TXD_FLOAT4:
		case TXD_FLOAT8:
			return txd_put_real(column, text, len, out, err);
		case TXD_NUMERIC:
			return txd_put_numeric(column, text, len, out, err);
		default:
			return txd_put_bool(column, text, len, out, err);
	}
}

bool
txd_value(const TxdColumn *column, TxdForm form, const TxdZone *zone, TxdKind kind,
		  const char *text, size_t len, bool checked, TxdBuf *out, TxdError *err)
{
	size_t mark = out->len;

	switch (column->type)
	{
		case TXD_STRING:
		case TXD_VARCHAR:
		case TXD_CHAR:
			return put_text(column, form, text, len, checked, out, err);
		case TXD_OTHER:
			if (form == TXD_BINARY)
				return refuse_kind(column, kind, text, len, err);
			return put_text(column, form, text, len, checked, out, err);
		case TXD_JSONTEXT:
		case TXD_JSONB:
			return put_json(column, form, kind, text, len, checked, out, err);
		case TXD_BYTEA:
			if (kind != TXD_KIND_TEXT && kind != TXD_KIND_BYTES)
				return refuse_kind(column, kind, text, len, err);
			return put_bytea(column, form, kind, text, len, checked, out, err);
		default:
			break;
	}
	if (is_datetime(column->type))
	{
		if (column->convert >= TXD_AS_EPOCH_S && column->convert <= TXD_AS_EPOCH_US &&
			kind != TXD_KIND_BOOL && kind != TXD_KIND_JSON)
			return txd_put_epoch(column, form, zone, text, len, out, err);
		if (!takes_kind(column->type, kind))
			return refuse_kind(column, kind, text, len, err);
		return txd_put_datetime(column, form, zone, text, len, out, err);
	}
	if (!takes_kind(column->type, kind))
		return refuse_kind(column, kind, text, len, err);
	if (!put_scalar(column, text, len, out, err))
		return false;
	if (form == TXD_TEXT)
	{
		out->len = mark;
		append_escaped(out, text, len);
	}
	return true;
}

bool
txd_integer(const TxdColumn *column, TxdForm form, int64_t v, TxdBuf *out, TxdError *err)
{
	char digits[24];
	char *end = digits + sizeof(digits);
	char *p = end;
	uint64_t rest = v < 0 ? -(uint64_t) v : (uint64_t) v;

	do
		*--p = (char) ('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (v < 0)
		*--p = '-';
	return txd_value(column, form, NULL, TXD_KIND_NUMBER, p, (size_t) (end - p), true, out, err);
}

bool
txd_unix_us(const TxdColumn *column, TxdForm form, const TxdZone *zone, int64_t us, TxdBuf *out,
			TxdError *err)
{
	char text[TXD_DATETIME_TEXT];
	size_t len;

	if (is_datetime(column->type) && column->type != TXD_TIME)
		return txd_put_unix_us(column, form, zone, us, out, err);
	len = txd_unix_us_text(us, text);
	if (column->type == TXD_STRING || column->type == TXD_VARCHAR || column->type == TXD_CHAR ||
		column->type == TXD_OTHER)
		return txd_value(column, form, NULL, TXD_KIND_TEXT, text, len, true, out, err);
	return txd_refuse(err, "wrong_type", column, "a timestamp cannot become %s",
					  type_name[column->type]);
}
