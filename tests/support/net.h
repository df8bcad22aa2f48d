/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts of a test's own: network namespaces that a bridge joins. */
#ifndef SUPPORT_NET_H
#define SUPPORT_NET_H

#include <stdbool.h>
#include <stddef.h>

#define NET_HOSTS_MAX 4

/* Which end of a host's cable. */
enum net_end {
	NET_END_HOST,	/* its own interface goes down: it notices */
	NET_END_BRIDGE, /* nothing of what it sends arrives any more: it does not */
};

/*
 * The namespaces live as long as this process has their descriptors, and no name of theirs is
 * anywhere: nothing is left however it ends. Children don't inherit them, but stay in the one in
 * which they were started.
 */
struct net {
	int home, bridge; /* descriptors */
	int host[NET_HOSTS_MAX];
	unsigned n_hosts;
};

/* Printed into @address; host @i is the same address in every net. */
#define NET_ADDRESS_SIZE 16
char *net_address(unsigned i, char address[NET_ADDRESS_SIZE]);

/*
 * Make @n hosts that reach each other. The process must have no other thread yet: where it is not
 * privileged it enters a user namespace first. 0, or a negative errno and a sentence in @why: the
 * machine does not let us, or there is no ip(8). A test exits with 77 then.
 */
int net_open(struct net *net, unsigned n, char *why, size_t why_size);
void net_close(struct net *net);

/* The calling thread, and what it starts, is on that host, or where it was before net_open(). */
int net_enter(const struct net *net, unsigned host);
int net_leave(const struct net *net);

/* Cut the cable of a host, or mend it. 0 or a negative errno. */
int net_cable(const struct net *net, unsigned host, enum net_end end, bool is_up);

#endif
