/*
 * names.c — names of enum members as column mappings in SQL write them.
 *
 * Linked into the server's module and into the child, so it needs neither's environment.
 */
#include "decode.h"

#include <string.h>

int
txd_convert_by_name(const char *name)
{
	static const char *const names[] = {
		[TXD_AS_WHOLE] = "whole",           [TXD_AS_EMAIL] = "email",
		[TXD_AS_STREET] = "address_street", [TXD_AS_CITY] = "address_city",
		[TXD_AS_STATE] = "address_state",   [TXD_AS_POSTAL_CODE] = "address_postal_code",
		[TXD_AS_EPOCH_S] = "epoch_s",       [TXD_AS_EPOCH_MS] = "epoch_ms",
		[TXD_AS_EPOCH_US] = "epoch_us",     [TXD_AS_TRIM] = "trim",
		[TXD_AS_PSEUDONYM] = "pseudonym",   [TXD_AS_ENCRYPTED] = "encrypt",
	};
	int i;

	/* TXD_AS_IS has no name: a mapping says nothing then. */
	for (i = TXD_AS_IS + 1; i < (int) (sizeof(names) / sizeof(names[0])); i++)
	{
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return -1;
}

const char *
txd_field_type_name(TxdFieldType type)
{
	static const char *const names[] = {
		[TXD_FIELD_STRING] = "string",   [TXD_FIELD_NUMBER] = "number",
		[TXD_FIELD_BOOLEAN] = "boolean", [TXD_FIELD_NULL] = "null",
		[TXD_FIELD_OBJECT] = "object",   [TXD_FIELD_ARRAY] = "array",
	};

	return names[type];
}
