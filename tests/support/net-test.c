/* SPDX-License-Identifier: Apache-2.0 */
/* That hosts reach each other, that a cut cable is one, and that a thread comes home. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/net.h"

#define EXIT_SKIP 77
#define N_HOSTS 3
#define PORT 7000

static struct net net;

static struct sockaddr_in address_of(unsigned host)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	char text[NET_ADDRESS_SIZE];

	assert_int_equal(inet_pton(AF_INET, net_address(host, text), &a.sin_addr), 1);
	return a;
}

/* A bound datagram socket on that host. */
static int open_socket(unsigned host)
{
	struct sockaddr_in a = address_of(host);
	int fd;

	assert_int_equal(net_enter(&net, host), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(net_leave(&net), 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Does one of up to @n datagrams arrive? The first of a mended cable may be lost. */
static bool reaches(int from, int to, unsigned host, unsigned n)
{
	struct sockaddr_in a = address_of(host);
	struct pollfd p = {.fd = to, .events = POLLIN};
	char byte;

	while (n--) {
		(void)!sendto(from, "x", 1, 0, (struct sockaddr *)&a, sizeof(a));
		if (poll(&p, 1, 100) == 1)
			return recv(to, &byte, 1, 0) == 1;
	}
	return false;
}

static void test_reach(void **state)
{
	int fd[N_HOSTS];
	unsigned i;

	(void)state;
	for (i = 0; i < N_HOSTS; i++)
		fd[i] = open_socket(i);
	for (i = 0; i < N_HOSTS; i++)
		assert_true(reaches(fd[i], fd[(i + 1) % N_HOSTS], (i + 1) % N_HOSTS, 100));
	for (i = 0; i < N_HOSTS; i++)
		close(fd[i]);
}

static void test_cable(void **state)
{
	int a = open_socket(0), b = open_socket(1), end;

	(void)state;
	for (end = NET_END_HOST; end <= NET_END_BRIDGE; end++) {
		assert_true(reaches(a, b, 1, 100));
		assert_int_equal(net_cable(&net, 1, (enum net_end)end, false), 0);
		assert_false(reaches(a, b, 1, 5));
		assert_int_equal(net_cable(&net, 1, (enum net_end)end, true), 0);
		assert_true(reaches(a, b, 1, 100));
	}
	close(a);
	close(b);
}

static ino_t here(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	return st.st_ino;
}

static void test_home(void **state)
{
	ino_t home = here();

	(void)state;
	assert_int_equal(net_enter(&net, 1), 0);
	assert_int_not_equal(here(), home);
	assert_int_equal(net_leave(&net), 0);
	assert_int_equal(here(), home);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reach),
		cmocka_unit_test(test_cable),
		cmocka_unit_test(test_home),
	};
	char why[128];
	int r;

	if (net_open(&net, N_HOSTS, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return EXIT_SKIP;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	net_close(&net);
	return r;
}
