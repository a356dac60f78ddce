/*
 * arena.h — memory of many parts that is freed as a whole.
 */
#ifndef TXD_ARENA_H
#define TXD_ARENA_H

#include <stddef.h>

typedef struct TxdArena
{
	struct TxdArenaBlock *blocks;
	size_t size; /* of them all */
} TxdArena;

/* Zeroed. */
extern void *txd_arena_alloc(TxdArena *arena, size_t size);
/* With a NUL behind it. */
extern char *txd_arena_copy(TxdArena *arena, const void *bytes, size_t len);
extern void txd_arena_free(TxdArena *arena);

#endif
