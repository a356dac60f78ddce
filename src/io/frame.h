/*
 * frame.h — the protocol between a PostgreSQL process and its txpipe_io child.
 *
 * Both run the same build on the same machine: integers are in host order, and the versions must be
 * equal. A frame is a header and `size` bytes. Channels are chosen by the server side (from 1), one for
 * each stream, file or request; channel 0 is the process itself. Each channel is served by a thread of
 * its own in the child, so a slow broker delays nobody else.
 *
 * In the payload layouts below: u8 u32 i32 u64 i64 are fixed-width; str and bytes are a u32 length and
 * that many bytes (no terminator); opt is a bytes whose length 0xFFFFFFFF means absent; [n] repeats
 * after a u32 count.
 */
#ifndef TXP_FRAME_H
#define TXP_FRAME_H

#include <stdint.h>

#define TXP_PROTOCOL_VERSION 1
#define TXP_IO_SOCKET 3          /* the child's end of the socket pair */
#define TXP_FRAME_MAX (1u << 29) /* a larger size is a broken stream */
#define TXP_ABSENT 0xFFFFFFFFu

typedef struct TxpFrameHeader
{
	uint32_t size; /* of the payload */
	uint32_t type; /* TxpFrameType */
	uint32_t channel;
	uint32_t seq; /* batch number within the channel, from 1; else 0 */
} TxpFrameHeader;

typedef enum TxpFrameType
{
	/* --- server to child --- */

	/* u32 protocol version; first frame on channel 0 */
	TXP_HELLO = 1,

	/*
	 * Stream: [str property, str value] librdkafka properties; str topic; i32 start kind (see TxpStartAt);
	 * i64 start timestamp (Unix ms); u32 timeout_ms for the broker's first answer; schema; u32 batch_rows;
	 * u32 batch_bytes; u32 linger_ms. Answer: PARTITIONS, or ERROR.
	 */
	TXP_STREAM_OPEN = 2,
	/* [i32 partition, i64 next_offset]: assign exactly these and begin to send BATCH */
	TXP_STREAM_START = 3,
	/* seq: the batch is committed, the child may forget it. At most two are unacknowledged. */
	TXP_BATCH_DONE = 4,
	/* seq: send the batch again as BATCH_RAW */
	TXP_BATCH_REPEAT = 5,
	/* end of the channel; answer: CLOSED (also for a channel that failed or never was) */
	TXP_CLOSE = 6,
	/* properties as in STREAM_OPEN; opt topic (absent: all that are not internal); u32 timeout_ms.
	 * Answer: TOPIC_LIST or ERROR. */
	TXP_TOPICS = 7,
	/* properties; str topic; i32 partition (-1: by key); opt key; opt value; [str name, opt value]
	 * headers; u32 timeout_ms. Answer: PRODUCED (after the broker's acknowledgement) or ERROR. */
	TXP_PRODUCE = 8,
	/* str path. Answer: FILE_HASHED or ERROR. */
	TXP_FILE_HASH = 9,
	/* str source path; str directory (made where missing, mode 0700); str name; bytes sha256 expected.
	 * Writes directory/.name.tmp-pid, fsync, rename, fsync of the directory. A target that is there with
	 * the expected content is left alone. Answer: FILE_COPIED or ERROR. */
	TXP_FILE_COPY = 10,
	/* str path; schema; u32 batch_rows; u32 batch_bytes. Answer: BATCH …, FILE_END, or ERROR. */
	TXP_FILE_OPEN = 11,

	/* --- child to server --- */

	/* [i32 partition, i64 low, i64 high, i64 start]: low and high watermark, where `start kind` begins */
	TXP_PARTITIONS = 32,
	/*
	 * u32 rows; u32 rejects; [i32 partition, i64 from, i64 next, i64 end, i64 last_timestamp_ms, u32 rows,
	 * u32 rejects] — half-open offsets covered, the partition's end as last heard, -1 where unknown (a
	 * file: one entry, partition 0, from/next are line numbers); bytes row block (TxdForm of the schema);
	 * rejects times: i32 partition, i64 offset (file: line), i64 timestamp_ms, opt key, opt headers,
	 * opt payload (file: the record), str code, str message, opt column.
	 */
	TXP_BATCH = 33,
	/* as BATCH, with for every row after the rejects: u32 length in the row block, i32 partition,
	 * i64 offset, i64 timestamp_ms, opt key, opt headers, opt payload */
	TXP_BATCH_RAW = 34,
	TXP_CLOSED = 35,
	/* [str topic, i32 partitions, i64 messages (sum of high - low)] */
	TXP_TOPIC_LIST = 36,
	/* i32 partition, i64 offset */
	TXP_PRODUCED = 37,
	/* i64 bytes, i64 mtime in Unix microseconds, bytes sha256 (32) */
	TXP_FILE_HASHED = 38,
	TXP_FILE_COPIED = 39,
	/* i64 records (header not counted), i64 rows, i64 rejects, i64 bytes, bytes sha256 of what was read */
	TXP_FILE_END = 40,
	/*
	 * u8 fatal; str sqlstate (5); str message; opt detail; opt hint. Fatal: the channel does nothing more
	 * until CLOSE. Not fatal: a state worth showing (broker down); work resumes by itself.
	 */
	TXP_ERROR = 41,
	/* i32 syslog level (librdkafka's); str text: for the server log. Never holds a secret. */
	TXP_LOG = 42,
	/* [i32 partition, i64 end]: ends of partitions moved on without a batch, or a trouble is over */
	TXP_ENDS = 43
} TxpFrameType;

typedef enum TxpStartAt
{
	TXP_START_EARLIEST = 0,
	TXP_START_LATEST = 1,
	TXP_START_TIMESTAMP = 2
} TxpStartAt;

/*
 * schema: u8 TxdFormat; u8 TxdForm; u8 delimiter; u8 quote; u8 header; u8 ragged; str null_text;
 *   [i64 at] and then count+1 i32 offset: the input time zone;
 *   [str name; u8 type; i32 length; i32 precision; i32 scale; u8 not_null; u8 source; u8 convert;
 *    [str path]; opt default_text] columns
 */

#endif
