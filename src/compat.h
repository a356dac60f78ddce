/*
 * compat.h — every difference between server versions, and nothing else.
 */
#ifndef TXP_COMPAT_H
#define TXP_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "txpipe needs PostgreSQL 15 or later"
#endif

#endif
