/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.h: addresses of peers, without waiting for anybody who knows them. */
#ifndef SHMCACHE_REMOTE_PEERS_RESOLVE_H
#define SHMCACHE_REMOTE_PEERS_RESOLVE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/*
 * "HOST:PORT" or "[ADDRESS]:PORT" whose host is an address. 0, or -EINVAL when it is a name, or
 * neither.
 */
int address_parse(const char *text, union address *out);
socklen_t address_size(const union address *a);
bool address_is_loopback(const union address *a);

/* A name on its way to be an address. The question is asked by a thread of its own. */
struct resolve;

/* NULL when there is no memory or no thread. */
struct resolve *resolve_start(const char *text);
/* 0, -EAGAIN while it is not known, or -ENOENT. */
int resolve_poll(struct resolve *r, union address *out);
/* At any time. NULL is ignored. */
void resolve_free(struct resolve *r);

#endif
