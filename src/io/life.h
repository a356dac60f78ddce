/*
 * life.h — whether librdkafka's own threads still serve a client that streams share.
 *
 * A client makes statistics every few seconds, whether brokers answer or not: its main thread makes them, under the locks of the
 * client, its brokers and partitions, and the client's scout takes them. None for a while means that one of them hangs. Nothing
 * can be done with such a client, not even ending it, and what it has done to memory nobody knows: so the process ends, and its
 * worker starts another.
 */
#ifndef TXP_LIFE_H
#define TXP_LIFE_H

#include <stdatomic.h>

#define TXP_LIFE_PROPERTY "statistics.interval.ms"
#define TXP_LIFE_MS "10000"

typedef struct TxpLife
{
	struct TxpLife *next;
	const char *servers; /* the client's, for the log */
	atomic_int left;     /* looks without a sign that it may still have */
} TxpLife;

/* From here on signs are expected. */
extern void txp_life_begin(TxpLife *life, const char *servers);

/* The statistics came. */
extern void txp_life_sign(TxpLife *life);

/* The client is being ended, without further signs: that takes as long as names of brokers are being looked up. */
extern void txp_life_closing(TxpLife *life);
extern void txp_life_end(TxpLife *life);

/* For the main thread, which waits for no client: looks when it is time to, and says in how many ms it is again. */
extern int txp_life_look(void);

#endif
