/*
 * batch.h — batches of decoded rows and the window of those not yet committed.
 *
 * A batch under construction collects rows and rejects; when it is emitted it becomes a BATCH frame and is
 * kept, with its source messages, until the server acknowledges it. At most two are unacknowledged.
 */
#ifndef TXP_BATCH_H
#define TXP_BATCH_H

#include <librdkafka/rdkafka.h>

#include "../decode/decode.h"
#include "channel.h"

#define TXP_WINDOW 2

/* One accepted row and where it came from, for BATCH_RAW. */
typedef struct TxpRow
{
	uint32_t bytes;   /* in the row block */
	uint32_t raw_len; /* a file's record: in batch->raw */
	uint32_t topic;
	size_t raw_at;
	int64_t line;
	rd_kafka_message_t *source; /* a stream's message, owned; NULL: a file's record */
} TxpRow;

typedef struct TxpRange
{
	uint32_t topic;
	int32_t partition;
	uint32_t rows;
	uint32_t rejects;
	int64_t from;
	int64_t next;
	int64_t end;
	int64_t bytes;
	int64_t last_offset; /* -1: no record in it */
	int64_t last_timestamp_ms;
	int64_t last_hash;
	rd_kafka_message_t *last; /* a row's: hashed when the batch is sent */
} TxpRange;

typedef struct TxpBatch
{
	uint32_t seq;
	uint32_t nrows;
	uint32_t nrejects;
	uint32_t nranges;
	uint32_t rows_cap;
	uint32_t ranges_cap;
	bool stopped;        /* one more reject follows: the message before which it ends */
	size_t source_bytes; /* of the messages or records in it */
	size_t header_bytes; /* likewise, beside those */
	int64_t begun_us;    /* its first message was taken */
	int64_t decode_us;
	TxpRow *row;
	TxpRange *range;
	TxdBuf block;
	TxdBuf rejects; /* encoded as the frame has them */
	TxdBuf fields;  /* likewise, when it was sent */
	TxdBuf raw;
} TxpBatch;

typedef struct TxpWindow
{
	TxpChannel *channel;
	uint32_t batch_rows;
	uint32_t batch_bytes;
	bool stop_at_reject;
	TxdPgp *pgp; /* seals messages that leave, but for their rows; NULL: they leave as they are */
	uint32_t last_seq;
	int oldest;  /* slot of the oldest unacknowledged batch */
	int unacked; /* how many follow it; the next slot is under construction */
	TxpBatch slot[TXP_WINDOW + 1];
} TxpWindow;

extern void txp_window_init(TxpWindow *w, TxpChannel *channel, uint32_t batch_rows,
							uint32_t batch_bytes);
extern void txp_window_free(TxpWindow *w);

/* The batch under construction. */
extern TxpBatch *txp_window_open(TxpWindow *w);
extern bool txp_window_full(const TxpWindow *w);

/*
 * Decodes one message into the open batch: true for a row, then `source`, when given, is the batch's (a file's
 * record is copied). Else it is a reject, or with stop_at_reject the batch is `stopped` before it.
 */
extern bool txp_batch_add(TxpWindow *w, TxdDecoder *decoder, const TxdMessage *message,
						  rd_kafka_message_t *source);

/* Adds a range to the open batch and returns its index. */
extern uint32_t txp_batch_range(TxpBatch *batch, uint32_t topic, int32_t partition, int64_t from);

/* Counts a message that was added. */
extern void txp_range_count(TxpRange *range, rd_kafka_message_t *m, bool is_row);

/* A message without topic's name and headers. */
extern TxdMessage txp_message_of(const rd_kafka_message_t *m, uint32_t topic);

/* Tells records apart: FNV-1a over key, value and timestamp. */
extern int64_t txp_message_hash(const rd_kafka_message_t *m);

/*
 * place, offset, timestamp, key, headers, payload as frames have them. Sealed, key and payload are OpenPGP messages, and
 * the headers a JSON string with one in hexadecimal. Of the library's failures the child dies, as of memory's.
 */
extern void txp_put_message(TxdBuf *out, const TxdMessage *m, TxdPgp *pgp);
/* The payload of BATCH, or what BATCH_RAW begins with. */
extern void txp_put_batch(TxdBuf *out, const TxpBatch *batch);

/* Sends the open batch; `with_fields`: with those the decoder saw since it was last done. */
extern void txp_window_emit(TxpWindow *w, TxdDecoder *decoder, bool with_fields);

/* BATCH_DONE or BATCH_REPEAT; an unexpected one fails the channel and returns false. */
extern bool txp_window_mail(TxpWindow *w, const TxpMail *mail);

#endif
