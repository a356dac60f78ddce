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
 * after a u32 count. `place` is u32 topic, i32 partition: a stream may read several topics, which the child
 * numbers from 0 in the order it finds them and never renumbers within a channel.
 */
#ifndef TXP_FRAME_H
#define TXP_FRAME_H

#include <stdint.h>

#define TXP_PROTOCOL_VERSION 18
#define TXP_IO_SOCKET 3          /* the child's end of the socket pair */
#define TXP_FRAME_MAX (1u << 29) /* a larger size is a broken stream */
#define TXP_ABSENT 0xFFFFFFFFu
#define TXP_MAX_SUBJECT 900 /* bytes of a registry's subject, escaped as part of an address */

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
	 * Stream: [str property, str value] librdkafka properties; str topics (a name, a list "a,b", or a pattern
	 * "^…"); i32 start kind (see TxpStartAt); i64 start timestamp (Unix ms); u32 timeout_ms for the broker's
	 * first answer; schema; u32 batch_rows; u32 batch_bytes; u32 linger_ms from batch to batch; u32
	 * gather_ms from the first message; i64 rows_per_second; i64 bytes_per_second (0: no limit); u8
	 * stop_at_reject. Answer: PARTITIONS, or ERROR.
	 */
	TXP_STREAM_OPEN = 2,
	/*
	 * [place, i64 next_offset, i64 last_offset, i64 last_hash]: read these, too, and
	 * send BATCH. last_offset: the record read last (-1: none, or not to be compared); the child begins at
	 * it, compares, drops what lies before next_offset, and says VERIFIED before the first batch of the
	 * partition. After every PARTITIONS one such frame, which may name none.
	 */
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
	/* properties; encodings, one at most, which is the message's; str topic; i32 partition (-1: by key); opt key; opt
	 * value; [str name, opt value] headers; u32 timeout_ms. Answer: PRODUCED (after the broker's acknowledgement) or ERROR. */
	TXP_PRODUCE = 8,
	/* str top directory; str path below it. Answer: FILE_HASHED or ERROR. */
	TXP_FILE_HASH = 9,
	/* str top directory, str path of the source; str top directory, str directory below it (made where
	 * missing, mode 0700), str name of the copy; bytes sha256 expected; u8 compress (1: with zstd, unless the
	 * source is packed already; ".zst" is added to the name); opt keys of encryption (".pgp" is added). Writes directory/.copying-HASH, fsync, rename,
	 * fsync of the directory. A copy that is there is left alone. Answer: FILE_COPIED or ERROR. */
	TXP_FILE_COPY = 10,
	/* str top directory; str path below it; u8 landing: it is no copy of ours; str encoding; opt header (of a CSV file
	 * without one); schema; u32 batch_rows; u32 batch_bytes; [i64 line] lines to be read, ascending, none: all; opt record to be read
	 * in place of those. Answer: BATCH …, FILE_END, or ERROR. */
	TXP_FILE_OPEN = 11,
	/* schema; [str topic]; [u8 sealed: key, headers and payload are as BATCH sends them; place, i64 offset,
	 * i64 timestamp_ms, opt key, opt headers, opt payload].
	 * Answer: DECODED, or ERROR. */
	TXP_DECODE = 12,
	/* properties; encodings; str topic; [opt key; opt value; u32 its encoding, or TXP_ABSENT; [str name,
	 * opt value] headers]; u32 timeout_ms: sent in this order, each to the partition of its key. Answer: PRODUCED_ALL or ERROR. */
	TXP_PRODUCE_ALL = 13,
	/* On channel 0. Answer: PONG, at once, whatever the channels are at. */
	TXP_PING = 14,
	/* str top directory, str path of a copy below it; str directory below it, str name of the new copy, into which the
	 * first 8 digits of its hash go; bytes sha256 that the copy must have, as it is or of its content; str encoding; u8 csv, u8 delimiter, u8 quote; [i64 line] first lines of records,
	 * ascending, that become empty lines, as many as they had; u8 compress (also where the copy is packed); opt keys,
	 * which also read it. Verified, and named, as with FILE_COPY; the copy itself stays. Answer: FILE_REWRITTEN or ERROR. */
	TXP_FILE_REWRITE = 15,
	/* str endpoint, str bucket, str region, str key id, str secret key, opt certificates in PEM form, str name of the
	 * object; str top directory, str path of the file below it; opt sha256 that the file must have. Answer: OBJECT_STORED, when
	 * the store has said that it has this size and hash, or ERROR. */
	TXP_OBJECT_PUT = 16,
	/* The same up to the name of the object, which need not be there. Answer: OBJECT_DELETED or ERROR. */
	TXP_OBJECT_DELETE = 17,

	/* --- child to server --- */

	/*
	 * [str topic, opt id (16 bytes)]; [place, i64 low, i64 high, i64 start]: all topics known, the partitions not told before,
	 * their low and high watermark, and where `start kind` begins. Sent again when topics or partitions appear.
	 */
	TXP_PARTITIONS = 32,
	/*
	 * u32 rows; u32 rejects; u8 stopped; i64 bytes of keys and values; i64 gather_us, i64 decode_us, i64 sent
	 * (microseconds of CLOCK_MONOTONIC); [place, i64 from, i64 next, i64 end, i64 last_offset,
	 * i64 last_timestamp_ms, i64 last_hash, i64 bytes, u32 rows, u32 rejects] — half-open offsets covered, the
	 * partition's end as last heard, -1 where unknown, the last record (offset -1: none) (a file: one entry,
	 * partition 0, from/next are line numbers, end is the file's size and bytes how much of it is read, as
	 * stored); [str path, u32 JSON types (TxdJsonTypes), i64 count, place,
	 * i64 offset of the first, place, i64 offset of the last] fields seen; bytes row block (TxdForm of the
	 * schema); rejects times: place, i64 offset (file: line), i64 timestamp_ms, opt key, opt headers, opt
	 * payload (file: the record), str code, str message, opt column. When stopped, one more reject follows
	 * them: the message before which the batch ends; nothing is read after it. With keys of encryption in the schema
	 * the keys, headers and payloads of messages are sealed (batch.h) here, in BATCH_RAW and in DECODED.
	 */
	TXP_BATCH = 33,
	/* as BATCH, with for every row after the rejects: u32 length in the row block, place, i64 offset,
	 * i64 timestamp_ms, opt key, opt headers, opt payload */
	TXP_BATCH_RAW = 34,
	TXP_CLOSED = 35,
	/* [str topic, i32 partitions, i64 messages (sum of high - low)] */
	TXP_TOPIC_LIST = 36,
	/* i32 partition, i64 offset */
	TXP_PRODUCED = 37,
	/* i64 bytes, i64 mtime in Unix microseconds, bytes sha256 (32) */
	TXP_FILE_HASHED = 38,
	/* str name used */
	TXP_FILE_COPIED = 39,
	/* i64 records (header not counted), i64 rows, i64 rejects, i64 bytes, bytes sha256 of what was read, opt
	 * sha256 of what that was before it was packed; u32 columns, i64 each: values their conversions changed,
	 * -1: the header has no field for it */
	TXP_FILE_END = 40,
	/*
	 * u8 fatal; str sqlstate (5); str message; opt detail; opt hint. Fatal: the channel does nothing more
	 * until CLOSE. Not fatal: a state worth showing (broker down); work resumes by itself.
	 */
	TXP_ERROR = 41,
	/* i32 syslog level (librdkafka's); str text: for the server log. Never holds a secret. */
	TXP_LOG = 42,
	/* [place, i64 end]; u8 well: ends of partitions moved on without a batch, or a trouble is over; well: of all kinds */
	TXP_ENDS = 43,
	/* place, u8 TxpVerdict, i64 low, i64 high: what became of the comparison STREAM_START asked for */
	TXP_VERIFIED = 44,
	/*
	 * place, i64 offset, i64 low, i64 high: the partition does not hold the offset any more; sent when all
	 * batches with records before it are committed. The child reads no more of it until STREAM_START names
	 * it again.
	 */
	TXP_LOST = 45,
	/* for each message, in order: u32 length of its row in the block, or TXP_ABSENT, str code, str message, opt
	 * column; the count comes first; bytes row block */
	TXP_DECODED = 46,
	/* for each message, in order: u8 TxpDelivered, opt reason why not */
	TXP_PRODUCED_ALL = 47,
	/* on channel 0: the process lives */
	TXP_PONG = 48,
	/* str name used; u8 made (0: it was there); i64 bytes as stored; bytes sha256 of the content, neither packed nor encrypted */
	TXP_FILE_REWRITTEN = 49,
	/* i64 bytes, i64 time of the last change of the file's entry in Unix microseconds, bytes sha256 (32) */
	TXP_OBJECT_STORED = 50,
	TXP_OBJECT_DELETED = 51
} TxpFrameType;

typedef enum TxpDelivered
{
	TXP_DELIVERED = 0,
	TXP_REFUSED = 1, /* the message itself: another try would end the same way */
	TXP_NOT_NOW = 2
} TxpDelivered;

typedef enum TxpVerdict
{
	TXP_SAME = 0,  /* the record is the one that was read */
	TXP_OTHER = 1, /* it is not: the topic was created anew; the partition is not read on */
	TXP_GONE = 2   /* it is not there any more, so nobody can tell */
} TxpVerdict;

typedef enum TxpStartAt
{
	TXP_START_EARLIEST = 0,
	TXP_START_LATEST = 1,
	TXP_START_TIMESTAMP = 2
} TxpStartAt;

/*
 * schema: u8 TxdFormat; u8 TxdForm; u8 delimiter; u8 quote; u8 header; u8 ragged;
 *   u8 tombstones; u8 track_fields; u8 TxdEnvelope; opt rows; str null_text; opt key of pseudonyms; opt keys of encryption (one a line);
 *   opt schema of Avro; opt schema of Protobuf, opt name of the message; u8 TxdKeyFormat and those three for keys;
 *   opt address, opt user:password, opt certificates of a schema registry; i32 seconds a schema may be missing there;
 *   [str topic, u8 TxdFormat] whose format is not the first;
 *   [i64 at] and then count+1 i32 offset: the input time zone;
 *   [str name; u8 type; i32 length; i32 precision; i32 scale; u8 not_null; u8 source; u8 convert;
 *    [str path]; opt default_text; u8 or_key] columns
 *
 * encodings: opt address, opt user:password, opt certificates of a schema registry; i32 unused; [writing of values, writing of keys];
 * writing: u8 TxdFormat: avro, of what is given as JSON, json, sent as it is behind its schema's number, or text, as it is; opt schema,
 *   without it the subject's latest; opt subject, needed with a registry by avro and json; u8: register the schema there. What needs a
 *   registry and has none is refused message by message
 */

#endif
