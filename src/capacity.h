/*
 * capacity.h — how much there is room for in shared memory.
 */
#ifndef TXP_CAPACITY_H
#define TXP_CAPACITY_H

#define TXP_MAX_WORKERS 64
#define TXP_MAX_DATABASES 256
#define TXP_MAX_CLAIMS 4096

#endif
