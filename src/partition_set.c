/*
 * partition_set.c — the option `partitions`: numbers and ranges of them, "0-3,7", an index of a count,
 * "index 0 of 3", or "none".
 */
#include "postgres.h"

#include "partition_set.h"

/* Kafka clusters have at most some hundred thousand partitions in all topics together. */
#define MAX_PARTITION 99999

static void
refuse(const char *text, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"partitions\": \"%s\"", text),
			 detail ? errdetail("%s", detail) : 0,
			 errhint("Write numbers and ranges of partitions from 0 to %d, such as \"0-3,7\", "
					 "\"index 0 of 3\" for every third from 0, or \"none\".",
					 MAX_PARTITION)));
}

static int
read_number(const char **p, const char *text)
{
	int n = 0;

	if (**p < '0' || **p > '9')
		refuse(text, NULL);
	for (; **p >= '0' && **p <= '9'; (*p)++)
	{
		n = n * 10 + (**p - '0');
		if (n > MAX_PARTITION)
			refuse(text, NULL);
	}
	return n;
}

/* Is the word next? Then it is passed. */
static bool
pass(const char **p, const char *word)
{
	Size length = strlen(word);

	if (strncmp(*p, word, length) != 0)
		return false;
	*p += length;
	return true;
}

static TxpPartitionSet
read_index(const char *p, const char *text)
{
	TxpPartitionSet set = {.index = read_number(&p, text)};

	if (!pass(&p, " of "))
		refuse(text, NULL);
	set.count = read_number(&p, text);
	if (*p != '\0')
		refuse(text, NULL);
	if (set.count == 0)
		refuse(text, "The count is at least 1.");
	if (set.index >= set.count)
		refuse(text, psprintf("Of %d the index is 0 to %d.", set.count, set.count - 1));
	return set;
}

static Bitmapset *
read_list(const char *p, const char *text)
{
	Bitmapset *set = NULL;

	while (*p != '\0')
	{
		int first = read_number(&p, text);
		int last = first;

		if (pass(&p, "-"))
			last = read_number(&p, text);
		if (last < first)
			refuse(text, NULL);
		set = bms_add_range(set, first, last);
		if (*p == ',' && p[1] != '\0')
			p++;
		else if (*p != '\0')
			refuse(text, NULL);
	}
	return set;
}

TxpPartitionSet
txp_partition_set(const char *text)
{
	const char *p = text;

	if (*text == '\0')
		return (TxpPartitionSet){.all = true};
	if (strcmp(text, "none") == 0)
		return (TxpPartitionSet){0};
	if (pass(&p, "index "))
		return read_index(p, text);
	return (TxpPartitionSet){.listed = read_list(text, text)};
}
