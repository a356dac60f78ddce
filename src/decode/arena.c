/*
 * arena.c — memory of many parts that is freed as a whole.
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "buf.h"

struct TxdArenaBlock
{
	struct TxdArenaBlock *next;
	max_align_t data[];
};

void *
txd_arena_alloc(TxdArena *arena, size_t size)
{
	struct TxdArenaBlock *block = txd_alloc(sizeof(*block) + size);

	memset(block, 0, sizeof(*block) + size);
	block->next = arena->blocks;
	arena->blocks = block;
	arena->size += sizeof(*block) + size;
	return block->data;
}

char *
txd_arena_copy(TxdArena *arena, const void *bytes, size_t len)
{
	return memcpy(txd_arena_alloc(arena, len + 1), bytes, len);
}

void
txd_arena_free(TxdArena *arena)
{
	while (arena->blocks != NULL)
	{
		struct TxdArenaBlock *block = arena->blocks;

		arena->blocks = block->next;
		free(block);
	}
	arena->size = 0;
}
