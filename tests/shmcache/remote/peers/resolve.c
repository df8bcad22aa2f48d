/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.c: peers that are known by name. The name server is this file: it knows the name, knows
 * another address for it later, does not know it, or says nothing for as long as the test likes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shmcache/remote/peers/resolve.h"
#include "shmcache/remote/peers/sum.h"
#include "tests/shmcache/remote/peers/pair.h"

/* --- the name server -------------------------------------------------------------------------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t answers;
	bool is_silent;
	const char *address; /* of "there.test"; NULL: nobody knows it */
	pthread_t loop;	     /* who must never be kept waiting */
	unsigned n_asked, n_waiting, n_answered, n_in_loop;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .answers = PTHREAD_COND_INITIALIZER};

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
	struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
	struct addrinfo **out);

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
	struct addrinfo **out)
{
	struct addrinfo numeric = *hints;
	char address[INET6_ADDRSTRLEN] = "";

	if (hints->ai_flags & AI_NUMERICHOST)
		return __real_getaddrinfo(host, port, hints, out);
	pthread_mutex_lock(&server.lock);
	server.n_asked++;
	/* To wait here would be to hang, which is no way for a test to fail. */
	if (pthread_equal(pthread_self(), server.loop))
		server.n_in_loop++;
	else {
		server.n_waiting++;
		while (server.is_silent)
			pthread_cond_wait(&server.answers, &server.lock);
		server.n_waiting--;
	}
	if (server.address && !strcmp(host, "there.test"))
		snprintf(address, sizeof(address), "%s", server.address);
	server.n_answered++;
	pthread_mutex_unlock(&server.lock);
	numeric.ai_flags |= AI_NUMERICHOST;
	return address[0] ? __real_getaddrinfo(address, port, &numeric, out) : EAI_NONAME;
}

static void serve(const char *address, bool is_silent)
{
	pthread_mutex_lock(&server.lock);
	server.address = address;
	server.is_silent = is_silent;
	pthread_cond_broadcast(&server.answers);
	pthread_mutex_unlock(&server.lock);
}

static unsigned look(const unsigned *n)
{
	unsigned is;

	pthread_mutex_lock(&server.lock);
	is = *n;
	pthread_mutex_unlock(&server.lock);
	return is;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static int setup(void **state)
{
	(void)state;
	server.loop = pthread_self();
	server.n_asked = server.n_answered = server.n_in_loop = 0;
	serve("127.0.0.1", false);
	return 0;
}

/* All threads are gone, and none of them was ours. */
static int teardown(void **state)
{
	unsigned i;

	(void)state;
	serve(NULL, false);
	for (i = 0; i < 6000 && look(&server.n_answered) != look(&server.n_asked); i++)
		pause_ms(10);
	assert_int_equal(look(&server.n_answered), look(&server.n_asked));
	assert_int_equal(look(&server.n_in_loop), 0);
	return 0;
}

/* --- a question ------------------------------------------------------------------------------- */

/* Its answer, asked for again and again; a minute at most. */
static int poll_for(struct resolve *r, union address *a)
{
	int i, e = -EAGAIN;

	for (i = 0; i < 6000 && e == -EAGAIN; i++) {
		e = resolve_poll(r, a);
		if (e == -EAGAIN)
			pause_ms(10);
	}
	return e;
}

static void test_known(void **state)
{
	struct resolve *r = resolve_start("there.test:7100");
	union address a;

	(void)state;
	assert_non_null(r);
	assert_int_equal(poll_for(r, &a), 0);
	assert_int_equal(a.in.sin_family, AF_INET);
	assert_int_equal(ntohl(a.in.sin_addr.s_addr), INADDR_LOOPBACK);
	assert_int_equal(ntohs(a.in.sin_port), 7100);
	resolve_free(r);
	serve("::1", false);
	r = resolve_start("there.test:7101");
	assert_int_equal(poll_for(r, &a), 0);
	assert_int_equal(a.any.sa_family, AF_INET6);
	assert_int_equal(ntohs(a.in6.sin6_port), 7101);
	assert_true(address_is_loopback(&a));
	resolve_free(r);
}

static void test_unknown(void **state)
{
	struct resolve *r = resolve_start("elsewhere.test:7100");
	union address a;

	(void)state;
	assert_int_equal(poll_for(r, &a), -ENOENT);
	resolve_free(r);
	/* What can't be a question is none. */
	assert_null(resolve_start("no port"));
	assert_null(resolve_start(":7100"));
	assert_null(resolve_start("name:"));
	assert_int_equal(look(&server.n_asked), 1);
}

/* Nobody waits for it: not who asks, and not who gives up asking. */
static void test_silent(void **state)
{
	struct resolve *r, *given_up;
	union address a;

	(void)state;
	serve("127.0.0.1", true);
	r = resolve_start("there.test:7100");
	given_up = resolve_start("there.test:7100");
	while (look(&server.n_waiting) < 2)
		pause_ms(1);
	assert_int_equal(resolve_poll(r, &a), -EAGAIN);
	resolve_free(given_up);
	serve("127.0.0.1", false);
	assert_int_equal(poll_for(r, &a), 0);
	resolve_free(r);
	resolve_free(NULL);
}

/* --- links ------------------------------------------------------------------------------------ */

static uint8_t value[70000], copy[70000];

static void assert_served(struct pair *p, struct link *link)
{
	struct pair_fetch f = {.to = copy, .room = sizeof(copy)};

	p->b.value = value;
	p->b.value_size = sizeof(value);
	p->b.sum = sum_of(value, sizeof(value));
	pair_fetch_from(p, link, &f, "key");
	assert_true(pair_run(p, &f.n_done, 1));
	assert_int_equal(f.result, LINK_OK);
}

/* A pair whose link is closed again: b is called by name. Returns b's "there.test:PORT". */
static const char *begin_by_name(struct pair *p, char where[32])
{
	pair_begin(p, LINK_NONE, true);
	assert_true(pair_run(p, &p->a.n_up, 1));
	link_close(p->a.link);
	p->a.link = NULL;
	assert_true(pair_run(p, &p->b.n_left, 1));
	snprintf(where, 32, "there.test:%u", link_net_port(p->b.net));
	return where;
}

static void test_link(void **state)
{
	struct pair p;
	char where[32];

	(void)state;
	assert_int_equal(pair_link(&p, &p.a.link, begin_by_name(&p, where)), 0);
	assert_true(pair_run(&p, &p.a.n_up, 2));
	assert_served(&p, p.a.link);
	pair_end(&p);
}

/* Nobody knows it, until somebody does. */
static void test_link_unknown(void **state)
{
	struct pair p;
	char where[32];

	(void)state;
	begin_by_name(&p, where);
	serve(NULL, false);
	assert_int_equal(pair_link(&p, &p.a.link, where), 0);
	assert_true(pair_run(&p, &p.a.n_down, 2));
	assert_string_equal(p.a.down, "nobody knows its address");
	serve("127.0.0.1", false);
	assert_true(pair_run(&p, &p.a.n_up, 2));
	pair_end(&p);
}

/* It moves to another address: who comes back is looked for anew. */
static void test_link_moves(void **state)
{
	struct link_settings s;
	unsigned port, pid = (unsigned)getpid();
	char where[32], host[16], address[32];
	struct pair p;

	(void)state;
	assert_int_equal(pair_link(&p, &p.a.link, begin_by_name(&p, where)), 0);
	assert_true(pair_run(&p, &p.a.n_up, 2));
	port = link_net_port(p.b.net);
	link_net_free(p.b.net);
	s = pair_settings("b", LINK_NONE, true);
	assert_int_equal(pair_end_begin(&p.b, p.epoll, &s), 0);
	/* All of 127.0.0.0/8 is this machine: one that no other test has. */
	snprintf(host, sizeof(host), "127.%u.%u.%u", 64 + (pid >> 16 & 63), pid >> 8 & 255, pid & 255);
	snprintf(address, sizeof(address), "%s:%u", host, port);
	assert_int_equal(link_net_listen(p.b.net, address, p.b.why), 0);
	serve(host, false);
	assert_true(pair_run(&p, &p.a.n_down, 1));
	assert_true(pair_run(&p, &p.a.n_up, 3));
	assert_served(&p, p.a.link);
	pair_end(&p);
}

/* Another peer's name is not told for as long as we look: this one's values come all the same. */
static void test_link_silent(void **state)
{
	struct link *link;
	struct pair p;
	char where[32];
	unsigned i;

	(void)state;
	pair_begin(&p, LINK_NONE, true);
	assert_true(pair_run(&p, &p.a.n_up, 1));
	snprintf(where, sizeof(where), "there.test:%u", link_net_port(p.b.net));
	serve("127.0.0.1", true);
	assert_int_equal(pair_link(&p, &link, where), 0);
	for (i = 0; i < 20; i++)
		assert_served(&p, p.a.link);
	/* It gives up, and tries again; the one question is enough, however often it does. */
	assert_true(pair_run(&p, &p.a.n_down, 1));
	assert_string_equal(p.a.down, "nobody tells its address in time");
	assert_true(pair_run(&p, &p.a.n_down, 2));
	assert_int_equal(look(&server.n_asked), 1);
	assert_served(&p, p.a.link);
	assert_int_equal(p.a.n_up, 1);
	/* In the end it is told. */
	serve("127.0.0.1", false);
	assert_true(pair_run(&p, &p.a.n_up, 2));
	assert_true(link_is_up(link));
	link_close(link);
	pair_end(&p);
}

/* Closed while it is asked for. */
static void test_link_closed(void **state)
{
	struct link *link;
	struct pair p;

	(void)state;
	pair_begin(&p, LINK_NONE, true);
	serve("127.0.0.1", true);
	assert_int_equal(pair_link(&p, &link, "there.test:1"), 0);
	while (!look(&server.n_waiting))
		pair_rest(&p, 1);
	link_close(link);
	pair_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_known, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_closed, setup, teardown),
	};

	memset(value, 'v', sizeof(value));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
