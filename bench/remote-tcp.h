/* SPDX-License-Identifier: Apache-2.0 */
/* The least that TCP can do: bytes on request, over one connection, with nothing above it. */
#ifndef BENCH_REMOTE_TCP_H
#define BENCH_REMOTE_TCP_H

#include <stddef.h>
#include <stdint.h>

#include "tests/support/net.h"
#include "tests/support/proc.h"

/*
 * A server process on host 0 of @net and a connection to it from host 1. Where the bytes come from
 * and go to is shared memory of @area bytes, walked from end to end as a cache's values are: one
 * buffer over and over would stay in the processor's cache, which no cache of values does.
 */
struct remote_tcp {
	struct proc server;
	int fd;
	uint8_t *area;
	size_t area_size, at;
};

/*
 * 0 or a negative errno. @congestion: of the sockets at both ends; @cpu: where the server runs, or
 * PROC_CPU_ANY.
 */
int remote_tcp_start(struct remote_tcp *tcp, const struct net *net, size_t area,
	const char *congestion, int cpu);
void remote_tcp_stop(struct remote_tcp *tcp);

/*
 * Ask for @n times @size bytes, @depth requests at once; returns when all are there. 0 or -errno.
 */
int remote_tcp_fetch(struct remote_tcp *tcp, size_t size, unsigned n, unsigned depth);

/* The server's main, for the program to call when its first argument says "--tcp-server". */
int remote_tcp_server_main(char **argv);

#endif
