/*
 * option_table.h — the table of all options; options.h and properties.h are how to work with it.
 */
#ifndef TXP_OPTION_TABLE_H
#define TXP_OPTION_TABLE_H

#include "postgres.h"

typedef enum TxpOptionScope
{
	TXP_OPTION_SERVER,
	TXP_OPTION_MAPPING,
	TXP_OPTION_STREAM,
	TXP_OPTION_FEED,
	TXP_OPTION_MESSAGE, /* that is sent */
	TXP_OPTION_STORE,
	TXP_OPTION_STORE_MAPPING
} TxpOptionScope;

/* Statements that set such options may hold secrets. */
#define TXP_IS_MAPPING(scope) ((scope) == TXP_OPTION_MAPPING || (scope) == TXP_OPTION_STORE_MAPPING)

typedef enum TxpOptionType
{
	TXP_TYPE_TEXT,
	TXP_TYPE_SECRET,
	TXP_TYPE_INTEGER,
	TXP_TYPE_BOOLEAN,
	TXP_TYPE_CHARACTER,
	TXP_TYPE_CHOICE,      /* one of the words of `unit` */
	TXP_TYPE_INTERVAL,    /* as PostgreSQL writes them; min and max are seconds */
	TXP_TYPE_FILE,        /* a path on the server's machine; what it holds may be public */
	TXP_TYPE_SECRET_FILE, /* the same, but others must not be able to read it */
	TXP_TYPE_OBJECT       /* of JSON */
} TxpOptionType;

#define TXP_TYPE_IS_FILE(type) ((type) == TXP_TYPE_FILE || (type) == TXP_TYPE_SECRET_FILE)

typedef struct TxpOption
{
	TxpOptionScope scope;
	const char *name;
	TxpOptionType type;
	const char *default_value; /* NULL: none, or librdkafka's */
	int64 min;
	int64 max;
	const char *unit; /* of numbers; choices: the words allowed */
	const char *description;
	/* librdkafka's name, where it is not the option's with "." for "_". */
	const char *property;
} TxpOption;

extern const TxpOption txp_options[];
extern const int txp_n_options;

#endif
