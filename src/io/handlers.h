/*
 * handlers.h — what a channel can do: one thread function for each opening frame.
 */
#ifndef TXP_HANDLERS_H
#define TXP_HANDLERS_H

#include "channel.h"

extern void txp_stream_main(TxpChannel *channel, TxpMail *opening);
extern void txp_file_main(TxpChannel *channel, TxpMail *opening);
extern void txp_topics_main(TxpChannel *channel, TxpMail *opening);
extern void txp_produce_main(TxpChannel *channel, TxpMail *opening);
extern void txp_produce_all_main(TxpChannel *channel, TxpMail *opening);
extern void txp_hash_main(TxpChannel *channel, TxpMail *opening);
extern void txp_decode_main(TxpChannel *channel, TxpMail *opening);
extern void txp_copy_main(TxpChannel *channel, TxpMail *opening);
extern void txp_rewrite_main(TxpChannel *channel, TxpMail *opening);
extern void txp_object_put_main(TxpChannel *channel, TxpMail *opening);
extern void txp_object_delete_main(TxpChannel *channel, TxpMail *opening);

#endif
