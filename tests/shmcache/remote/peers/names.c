/* SPDX-License-Identifier: Apache-2.0 */
/* names.c: addresses that are names, and a name server that does not answer. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#include "shmcache/remote/peers/etcd-post.h"
#include "shmcache/remote/peers/etcd.h"
#include "shmcache/remote/peers/link.h"
#include "shmcache/watch.h"

/*
 * The resolver is ours: who asks it waits until the test lets him go. One who was never let go
 * comes back after PATIENCE, so that a thread of ours that waits for him is seen to fail, and not
 * to hang.
 */
#define PATIENCE_MS 30000

static atomic_uint n_waiting, n_asked;
static atomic_bool is_open, has_lost_patience;

/* Found before libc's, by libraries too. */
__attribute__((visibility("default")))
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
	struct addrinfo **found)
{
	unsigned ms;

	(void)host;
	(void)port;
	(void)found;
	if (hints && hints->ai_flags & AI_NUMERICHOST)
		return EAI_NONAME;
	n_asked++;
	n_waiting++;
	for (ms = 0; !is_open && ms < PATIENCE_MS; ms += 10)
		usleep(10000);
	if (!is_open)
		has_lost_patience = true;
	n_waiting--;
	return EAI_NONAME;
}

static int begin(void **state)
{
	(void)state;
	is_open = has_lost_patience = false;
	n_asked = 0;
	return 0;
}

/* All are let go, and nobody had to wait for that. */
static int end(void **state)
{
	bool has_hung = has_lost_patience;
	unsigned ms;

	(void)state;
	is_open = true;
	for (ms = 0; n_waiting && ms < PATIENCE_MS; ms += 10)
		usleep(10000);
	/* What comes after, in the threads that waited. */
	usleep(50000);
	return has_hung || n_waiting ? -1 : 0;
}

/* --- peers ------------------------------------------------------------------------------------ */

static unsigned n_down;

static void down(void *owner, bool was_up, const char *why)
{
	(void)owner;
	(void)was_up;
	(void)why;
	n_down++;
}

static const struct link_events events = {.down = down};
static const struct link_guest_events guest_events;

/* However often it tries to connect, one thread asks for the address. */
static void test_link(void **state)
{
	const struct link_settings settings = {.cluster = "test", .name = "a", .incarnation = 1,
		.security = LINK_NONE, .n_lanes = 1, .n_guests_max = 1};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	char why[LINK_WHY_SIZE];
	struct link_net *net;
	uint64_t now_ms = 1000;
	struct link *link;
	struct log log;
	unsigned i;

	(void)state;
	n_down = 0;
	log_init(&log, STDERR_FILENO);
	assert_int_equal(link_net_new(&net, &settings, &guest_events, NULL, epoll, &log, why), 0);
	assert_int_equal(link_open(&link, net, "b", "b.example:7400", &events, NULL), 0);
	/* Ten minutes, of a clock that is ours as well. */
	for (i = 0; i < 6000; i++)
		link_net_tick(net, now_ms += 100);
	assert_true(n_down > 50);
	usleep(100000);
	assert_int_equal(n_asked, 1);
	/* He comes back without an address: then another one may ask. */
	is_open = true;
	while (n_waiting)
		usleep(1000);
	for (i = 0; i < 1000 && n_asked < 2; i++) {
		link_net_tick(net, now_ms += 100);
		usleep(1000);
	}
	assert_true(n_asked >= 2);
	link_close(link);
	link_net_free(net);
	log_deinit(&log);
	close(epoll);
}

/* --- etcd ------------------------------------------------------------------------------------- */

static void view(void *context, const struct member *members, unsigned n)
{
	(void)context;
	(void)members;
	(void)n;
}

static void test_etcd(void **state)
{
	const struct etcd_options options = {.endpoints = "http://etcd.example:2379",
		.prefix = "/shmcache", .cluster = "test", .self = "a", .view = view};
	struct pollfd fd = {.events = POLLIN};
	struct etcd_stats stats;
	struct etcd *e;
	char why[256];

	(void)state;
	assert_int_equal(etcd_open(&e, &options, why, sizeof(why)), 0);
	fd.fd = etcd_fd(e);
	do {
		(void)poll(&fd, 1, 100);
		etcd_run(e);
		etcd_stats(e, &stats);
	} while (!has_lost_patience && stats.n_failures < 2);
	/* It gave up twice, and so it does at the end, while who asks for the name still waits. */
	assert_true(n_asked >= 2);
	etcd_close(e);
	assert_false(has_lost_patience);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_link, begin, end),
		cmocka_unit_test_setup_teardown(test_etcd, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
