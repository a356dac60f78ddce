/*
 * io_client.h — the server's end of a txpipe_io child: frames, whether it lives, and its end.
 *
 * A child belongs to one process and lives as long as the memory context it was started in; it is killed
 * and reaped before this process exits, because an orphan that dies by a signal would make a postmaster
 * that reaps orphans restart the server.
 */
#ifndef TXP_IO_CLIENT_H
#define TXP_IO_CLIENT_H

#include "postgres.h"
#include "lib/stringinfo.h"

#include "compat.h"
#include "payload.h"

typedef struct TxpIo TxpIo;

typedef struct TxpFrame
{
	TxpFrameType type;
	uint32 channel;
	uint32 seq;
	char *data; /* palloc'd in the context that was current in txp_io_receive */
	uint32 size;
} TxpFrame;

/* Starts a child. ERRORs when that fails. */
extern TxpIo *txp_io_start(MemoryContext lifetime);
/* Ends it now; NULL is fine. */
extern void txp_io_stop(TxpIo *io);

/* Socket to wait on, and whether the child is known to be gone. */
extern pgsocket txp_io_socket(const TxpIo *io);
extern bool txp_io_gone(const TxpIo *io);
/* One that is gone: was it ended because it did not answer within txpipe.child_timeout? */
extern bool txp_io_hung(const TxpIo *io);
/* How one that is gone ended, palloc'd, and the same as an error. */
extern char *txp_io_end(const TxpIo *io);
pg_noreturn extern void txp_io_raise_gone(const TxpIo *io);

/* A channel number that was not used before with this child. */
extern uint32 txp_io_new_channel(TxpIo *io);

/* Sends one frame; waits while the socket is full, for txpipe.child_timeout. Returns false when the child is gone. */
extern bool txp_io_send(TxpIo *io, TxpFrameType type, uint32 channel, uint32 seq,
						const StringInfo payload);

/*
 * Next frame: at once, or within timeout_ms (-1: no limit). Handles interrupts while it waits. LOG frames
 * go to the server log and are not returned. Returns false on timeout and when the child is gone, as one is that
 * says nothing for txpipe.child_timeout.
 */
extern bool txp_io_receive(TxpIo *io, int timeout_ms, TxpFrame *frame);

/*
 * For callers with one channel: the next frame of the channel, which must be of the type asked for. An
 * ERROR frame that is fatal, a dead child and a timeout become errors.
 */
extern void txp_io_expect(TxpIo *io, uint32 channel, TxpFrameType type, int timeout_ms,
						  TxpFrame *frame);

/* An ERROR frame, taken apart. Strings are palloc'd; detail and hint may be NULL. */
typedef struct TxpIoError
{
	bool fatal;
	int sqlstate;
	char *message;
	char *detail;
	char *hint;
} TxpIoError;

extern void txp_io_read_error(const TxpFrame *frame, TxpIoError *error);
pg_noreturn extern void txp_io_raise(const TxpIoError *error);

#endif
