/*
 * life.c — the clients that are looked at, and the look.
 */
#include "clock.h"
#include "life.h"
#include "link.h"

#define LOOK_MS 5000
#define LOOKS 6           /* without a sign: it hangs */
#define CLOSING_LOOKS 120 /* while it is being ended */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static TxpLife *lives; /* under lock */

void
txp_life_begin(TxpLife *life, const char *servers)
{
	life->servers = servers;
	atomic_store(&life->left, LOOKS);
	pthread_mutex_lock(&lock);
	life->next = lives;
	lives = life;
	pthread_mutex_unlock(&lock);
}

void
txp_life_sign(TxpLife *life)
{
	atomic_store(&life->left, LOOKS);
}

void
txp_life_closing(TxpLife *life)
{
	atomic_store(&life->left, CLOSING_LOOKS);
}

void
txp_life_end(TxpLife *life)
{
	TxpLife **at = &lives;

	pthread_mutex_lock(&lock);
	while (*at != life)
		at = &(*at)->next;
	*at = life->next;
	pthread_mutex_unlock(&lock);
}

/* Looks are counted, not time: while the whole process was stopped nobody could give a sign. */
static void
look_at_all(void)
{
	pthread_mutex_lock(&lock);
	for (TxpLife *life = lives; life != NULL; life = life->next)
	{
		if (atomic_fetch_sub(&life->left, 1) <= 1)
			txp_give_up("the threads of librdkafka's client for \"%s\" hang", life->servers);
	}
	pthread_mutex_unlock(&lock);
}

int
txp_life_look(void)
{
	static int64_t due;
	int64_t now = txp_now_ms();

	if (now >= due)
	{
		look_at_all();
		due = now + LOOK_MS;
	}
	return (int) (due - now);
}
