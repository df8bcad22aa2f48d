/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.c: names are asked for by a thread, which may take as long as it likes. */
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/peers/resolve.h"

/*
 * A name server that does not answer keeps its caller for half a minute, and there is no way to
 * take the question back. So the thread is detached, and the one who lets go last frees what
 * both have.
 */
struct resolve {
	atomic_uint n_users;
	atomic_int result; /* 1: not yet; released by the thread, acquired by resolve_poll() */
	union address address;
	char host[256], port[8];
};

static bool split(const char *text, char *host, size_t host_size, char *port, size_t port_size)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;

	if (n >= 2 && text[0] == '[' && colon[-1] == ']') {
		text++;
		n -= 2;
	}
	if (!n || n >= host_size || !colon[1] || strlen(colon + 1) >= port_size)
		return false;
	memcpy(host, text, n);
	host[n] = 0;
	snprintf(port, port_size, "%s", colon + 1);
	return true;
}

static int ask(const char *host, const char *port, int flags, union address *out)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICSERV | flags, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found, *at;
	int r = -ENOENT;

	if (getaddrinfo(host, port, &hints, &found))
		return r;
	for (at = found; at && r; at = at->ai_next) {
		if ((at->ai_family != AF_INET && at->ai_family != AF_INET6) ||
			at->ai_addrlen > sizeof(*out))
			continue;
		memset(out, 0, sizeof(*out));
		memcpy(out, at->ai_addr, at->ai_addrlen);
		r = 0;
	}
	freeaddrinfo(found);
	return r;
}

int address_parse(const char *text, union address *out)
{
	char host[256], port[8];

	if (!split(text, host, sizeof(host), port, sizeof(port)) ||
		ask(host, port, AI_NUMERICHOST | AI_PASSIVE, out))
		return -EINVAL;
	return 0;
}

socklen_t address_size(const union address *a)
{
	return a->any.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

bool address_is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_INET)
		return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

/* --- the thread ------------------------------------------------------------------------------ */

static void *resolve_main(void *argument)
{
	struct resolve *r = argument;
	int result = ask(r->host, r->port, 0, &r->address);

	/* release: the address is there; acquired by resolve_poll() */
	atomic_store_explicit(&r->result, result, memory_order_release);
	resolve_free(r);
	return NULL;
}

static int start_thread(struct resolve *r)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int e;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	/* The control thread's signals are its own. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	e = pthread_create(&thread, &attributes, resolve_main, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -e;
}

struct resolve *resolve_start(const char *text)
{
	struct resolve *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	atomic_init(&r->n_users, 2);
	atomic_init(&r->result, 1);
	if (!split(text, r->host, sizeof(r->host), r->port, sizeof(r->port)) || start_thread(r)) {
		free(r);
		return NULL;
	}
	return r;
}

int resolve_poll(struct resolve *r, union address *out)
{
	/* acquire: the thread's release */
	int result = atomic_load_explicit(&r->result, memory_order_acquire);

	if (result == 1)
		return -EAGAIN;
	if (!result)
		*out = r->address;
	return result;
}

void resolve_free(struct resolve *r)
{
	/* acq_rel: what the other did with it comes before it is freed */
	if (r && atomic_fetch_sub_explicit(&r->n_users, 1, memory_order_acq_rel) == 1)
		free(r);
}
