/*
 * base64.h — bytes written as text.
 */
#ifndef TXD_BASE64_H
#define TXD_BASE64_H

#include <stdbool.h>

#include "buf.h"

/* Appends the bytes; white space and missing padding do not matter. False: it is something else. */
extern bool txd_base64(const char *text, TxdBuf *bytes);

#endif
