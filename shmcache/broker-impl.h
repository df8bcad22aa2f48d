/* SPDX-License-Identifier: Apache-2.0 */
/* broker-impl.h: the parts of a broker that are more than a call, for broker.c, which orders them. */
#ifndef SHMCACHE_BROKER_IMPL_H
#define SHMCACHE_BROKER_IMPL_H

#include "shmcache/broker.h"

/*
 * All by the control thread. Who opens returns 0, or -errno with nothing open and perhaps a
 * sentence in @why.
 */

/* A new epoch, told to all who read under a former one. */
int broker_open_plane(struct broker *b, char *why, size_t why_size);

/* What is there, if it may be used, and who of former brokers' clients may still read there. */
int broker_open_store(struct broker *b, char *why, size_t why_size);

/*
 * The end of all sessions, and of the store; the workers have ended. A cache that is kept stays as
 * a kill would leave it: who is attached may go on reading what he holds, and filling what he has
 * reserved, and the next broker finds him by his line.
 */
void broker_close_store(struct broker *b, bool keeps);

#endif
