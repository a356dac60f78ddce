/*
 * json_facts.c — what the top-level fields of JSON messages hold.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "utils/datetime.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "compat.h"
#include "json_facts.h"

/* As deep as the decoders read. */
#define MAX_DEPTH 64
/* More names than this are data, not fields. */
#define MAX_FACTS 10000

enum
{
	KIND_BOOLEAN = 1 << 0,
	KIND_INTEGER = 1 << 1,
	KIND_NUMBER = 1 << 2,
	KIND_TIME = 1 << 3,
	KIND_TEXT = 1 << 4,
	KIND_JSON = 1 << 5
};

struct TxpJsonFacts
{
	HTAB *by_name;
	List *list;
	MemoryContext context;
};

typedef struct Entry
{
	const char *name; /* the key: what it points to */
	TxpJsonFact *fact;
} Entry;

typedef struct Walk
{
	JsonLexContext *lex;
	TxpJsonFacts *facts;
	bool is_object;
	TxpJsonFact *field; /* the top-level one whose value is read */
} Walk;

static uint32
hash_name(const void *key, Size size)
{
	const char *name = *(const char *const *) key;

	return hash_bytes((const unsigned char *) name, strlen(name));
}

static int
compare_names(const void *a, const void *b, Size size)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

TxpJsonFacts *
txp_json_facts_new(void)
{
	TxpJsonFacts *facts = palloc0(sizeof(TxpJsonFacts));
	HASHCTL control = {.keysize = sizeof(char *),
					   .entrysize = sizeof(Entry),
					   .hash = hash_name,
					   .match = compare_names,
					   .hcxt = CurrentMemoryContext};

	facts->context = CurrentMemoryContext;
	facts->by_name = hash_create("txpipe fields", 100, &control,
								 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	return facts;
}

List *
txp_json_facts_list(const TxpJsonFacts *facts)
{
	return facts->list;
}

TxpJsonFact *
txp_json_facts_of(TxpJsonFacts *facts, const char *name)
{
	Entry *entry = hash_search(facts->by_name, &name, HASH_FIND, NULL);
	MemoryContext old;
	TxpJsonFact *fact;

	if (entry != NULL)
		return entry->fact;
	if (list_length(facts->list) >= MAX_FACTS)
		return NULL;
	old = MemoryContextSwitchTo(facts->context);
	fact = palloc0(sizeof(TxpJsonFact));
	fact->name = pstrdup(name);
	fact->position = list_length(facts->list);
	facts->list = lappend(facts->list, fact);
	MemoryContextSwitchTo(old);
	entry = hash_search(facts->by_name, &fact->name, HASH_ENTER, NULL);
	entry->fact = fact;
	return fact;
}

/* What follows the pattern, of which 0 is a digit and anything else itself; NULL when the text has another shape. */
static const char *
skip_pattern(const char *text, const char *pattern)
{
	for (; text != NULL && *pattern != '\0'; pattern++, text++)
	{
		if (*pattern == '0' ? !isdigit((unsigned char) *text) : *text != *pattern)
			return NULL;
	}
	return text;
}

static int
two_digits(const char *p)
{
	return (p[0] - '0') * 10 + (p[1] - '0');
}

/* The ten characters of a day that exists. */
static bool
is_date(const char *text)
{
	int year;
	int month;

	if (skip_pattern(text, "0000-00-00") == NULL)
		return false;
	year = two_digits(text) * 100 + two_digits(text + 2);
	month = two_digits(text + 5);
	return year >= 1 && month >= 1 && month <= 12 && two_digits(text + 8) >= 1 &&
		   two_digits(text + 8) <= day_tab[isleap(year)][month - 1];
}

/* Z, or the offset from UTC: +hh:mm, +hhmm, +hh. */
static bool
is_zone(const char *p)
{
	const char *rest;

	if (*p == 'Z')
		return p[1] == '\0';
	if ((*p != '+' && *p != '-') || skip_pattern(p + 1, "00") == NULL || two_digits(p + 1) > 14)
		return false;
	rest = p + 3;
	if (*rest == ':')
		rest++;
	else if (*rest == '\0')
		return true;
	return skip_pattern(rest, "00") != NULL && rest[2] == '\0' && two_digits(rest) <= 59;
}

/* A moment, in ISO 8601: a date, T or a blank, hours and minutes, maybe seconds and a fraction, a zone. */
static bool
is_time(const char *text)
{
	const char *p = text + strlen("0000-00-00T");
	const char *seconds;
	size_t digits;

	if (!is_date(text) || (p[-1] != 'T' && p[-1] != ' ') || skip_pattern(p, "00:00") == NULL)
		return false;
	if (two_digits(p) > 23 || two_digits(p + 3) > 59)
		return false;
	p += strlen("00:00");
	seconds = skip_pattern(p, ":00");
	if (seconds == NULL)
		return is_zone(p);
	if (two_digits(p + 1) > 59)
		return false;
	p = seconds;
	if (*p == '.')
	{
		digits = strspn(p + 1, "0123456789");
		if (digits < 1 || digits > 9) /* as the decoders read */
			return false;
		p += 1 + digits;
	}
	return is_zone(p);
}

static uint32
kind_of_number(const char *text)
{
	char *end;

	errno = 0;
	(void) strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' ? KIND_INTEGER : KIND_NUMBER;
}

static TxpJsonResult
on_object(void *state)
{
	Walk *walk = state;

	if (walk->lex->lex_level == 0)
		walk->is_object = true;
	else if (walk->lex->lex_level == 1 && walk->field != NULL)
		walk->field->kinds |= KIND_JSON;
	return TXP_JSON_SUCCESS;
}

static TxpJsonResult
on_array(void *state)
{
	Walk *walk = state;

	if (walk->lex->lex_level == 1 && walk->field != NULL)
		walk->field->kinds |= KIND_JSON;
	return TXP_JSON_SUCCESS;
}

static TxpJsonResult
on_field(void *state, char *name, bool isnull)
{
	Walk *walk = state;

	if (walk->lex->lex_level != 1 || !walk->is_object)
		return TXP_JSON_SUCCESS;
	walk->field = txp_json_facts_of(walk->facts, name);
	if (walk->field != NULL)
		walk->field->count++;
	return TXP_JSON_SUCCESS;
}

static TxpJsonResult
on_scalar(void *state, char *token, JsonTokenType type)
{
	Walk *walk = state;

	if (walk->lex->lex_level != 1 || walk->field == NULL)
		return TXP_JSON_SUCCESS;
	if (type == JSON_TOKEN_STRING)
		walk->field->kinds |= is_time(token) ? KIND_TIME : KIND_TEXT;
	else if (type == JSON_TOKEN_NUMBER)
		walk->field->kinds |= kind_of_number(token);
	else if (type == JSON_TOKEN_TRUE || type == JSON_TOKEN_FALSE)
		walk->field->kinds |= KIND_BOOLEAN;
	return TXP_JSON_SUCCESS;
}

/* The parser recurses, and raises an error when that goes too deep: look before. */
static bool
is_too_deep(const char *json, uint32 len)
{
	int depth = 0;
	bool in_string = false;

	for (uint32 i = 0; i < len && depth <= MAX_DEPTH; i++)
	{
		if (in_string && json[i] == '\\')
			i++;
		else if (json[i] == '"')
			in_string = !in_string;
		else if (!in_string && (json[i] == '{' || json[i] == '['))
			depth++;
		else if (!in_string && (json[i] == '}' || json[i] == ']'))
			depth--;
	}
	return depth > MAX_DEPTH;
}

static bool
is_valid(const char *json, uint32 len)
{
	JsonLexContext *lex;

	if (!pg_verify_mbstr(PG_UTF8, json, len, true) || is_too_deep(json, len))
		return false;
	lex = makeJsonLexContextCstringLen(NULL, unconstify(char *, json), len, PG_UTF8, true);
	return pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS;
}

void
txp_json_facts_add(TxpJsonFacts *facts, const char *json, uint32 len)
{
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "txpipe JSON", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Walk walk = {.facts = facts};
	JsonSemAction actions = {.semstate = &walk,
							 .object_start = on_object,
							 .array_start = on_array,
							 .object_field_start = on_field,
							 .scalar = on_scalar};

	if (is_valid(json, len))
	{
		walk.lex = makeJsonLexContextCstringLen(NULL, unconstify(char *, json), len, PG_UTF8, true);
		(void) pg_parse_json(walk.lex, &actions);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

const char *
txp_json_fact_type(const TxpJsonFact *fact)
{
	if (fact->type != NULL)
		return fact->type;
	if (fact->kinds & KIND_JSON)
		return "pg_catalog.jsonb";
	switch (fact->kinds)
	{
		case KIND_BOOLEAN:
			return "pg_catalog.bool";
		case KIND_INTEGER:
			return "pg_catalog.int8";
		case KIND_NUMBER:
		case KIND_INTEGER | KIND_NUMBER:
			return "pg_catalog.numeric";
		case KIND_TIME:
			return "pg_catalog.timestamptz";
		default:
			return "pg_catalog.text";
	}
}
