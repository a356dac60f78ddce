/*
 * fieldname.h — names of fields against names of columns. Linked into the server's module and into the child.
 */
#ifndef TXD_FIELDNAME_H
#define TXD_FIELDNAME_H

#include <stdbool.h>
#include <stddef.h>

/* How well a field's name matches a column's; the lower, the better. */
typedef enum TxdNameMatch
{
	TXD_NAME_EXACT = 0,
	TXD_NAME_FOLDED = 1,
	TXD_NAME_SNAKE = 2,
	TXD_NAME_NONE = 3
} TxdNameMatch;

/*
 * How the field's name matches the column's. camelCase to snake_case: lower case, with an
 * underscore before a capital that follows a small letter or digit, and before the last capital of
 * a run that a small letter follows (customerId, CustomerID: customer_id; HTTPServer: http_server).
 */
extern TxdNameMatch txd_name_match(const char *field, size_t len, const char *column);

/* Does this character of a path, without a backslash before it, end a name before the path ends? */
static inline bool
txd_path_goes_on(char c)
{
	return c == '.' || c == '[';
}

/*
 * Writes the path in snake_case, its dots and brackets as underscores, to `out`, which holds at least twice the bytes of the
 * path and one more. txd_name_match finds the result for a path of one name.
 */
extern void txd_snake_case(const char *path, char *out);

/* Bytes of the path's first name; what joins it to the next part follows, or the end. */
extern size_t txd_first_name(const char *path);

/* One name, without a dot that joins two, or the number of an element? */
extern bool txd_path_is_name(const char *path);

#endif
