/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of peers.c: who comes too early, who goes with a question open, who is a member no more. */
#include "shmcache/remote/peers/peers-impl.h"
#include "tests/shmcache/remote/peers/cluster.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct cluster c;

/* --- before the first tick -------------------------------------------------------------------- */

/* Where member @i listens. */
static struct sockaddr_in address_of(unsigned i)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	char host[64];
	unsigned port;

	assert_int_equal(
		sscanf(c.node[i].config.remote.listen, "%63[0-9.]:%u", host, &port), 2);
	assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
	address.sin_port = htons((uint16_t)port);
	return address;
}

/* He has as long for his hello as who comes later. */
static void who_comes_before_the_first_tick_is_waited_for(void **state)
{
	struct sockaddr_in address;
	uint64_t first_ms;
	struct peers *p;
	char byte;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_true(fd >= 0);
	cluster_open(&c, 1, "ask");
	cluster_close_node(&c, 0);
	cluster_open_node(&c, 0, "ask");
	p = c.node[0].self;
	first_ms = p->tick.at_ms;
	address = address_of(0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CLUSTER_WAIT(&c, p->tick.at_ms != first_ms);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

/* --- with a question open --------------------------------------------------------------------- */

static unsigned n_located, n_complete;

static void located(struct remote_locate *locate, unsigned i, const uint16_t *holders, unsigned n,
	bool is_complete)
{
	(void)locate;
	(void)i;
	(void)holders;
	assert_int_equal(n, 0);
	n_located++;
	n_complete += is_complete;
}

/* Long before its time is over, and not as if he had said no. */
static void a_question_ends_with_who_was_asked(void **state)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct remote_key key = remote_key(bytes, rig_key(1, bytes));
	struct remote_locate locate = {.keys = &key, .n = 1, .done = located,
		.deadline_ms = store_now_ms() + 10 * CLUSTER_PATIENCE_MS};
	unsigned i;

	(void)state;
	n_located = n_complete = 0;
	cluster_open(&c, 3, "ask");
	c.node[2].is_stopped = true;
	peers_kind.locate(c.node[0].self, &locate);
	for (i = 0; i < 20; i++)
		cluster_turn(&c);
	assert_int_equal(n_located, 0);
	cluster_close_node(&c, 2);
	CLUSTER_WAIT(&c, n_located);
	assert_int_equal(n_located, 1);
	assert_int_equal(n_complete, 0);
}

/* --- no member any more ----------------------------------------------------------------------- */

/* His link to us ends, as ours to him does, and he does not get another. */
static void who_is_no_member_any_more_loses_his_link(void **state)
{
	char members[2 * CONFIG_PATH_MAX + 16];
	struct peers *p;

	(void)state;
	cluster_open(&c, 3, "ask");
	p = c.node[0].self;
	snprintf(members, sizeof(members), "n0=%s,n1=%s", c.node[0].config.remote.listen,
		c.node[1].config.remote.listen);
	membership_set_list(p->members, members);
	CLUSTER_WAIT(&c, cluster_n_up(&c, 2) == 1);
	assert_int_equal(cluster_n_up(&c, 0), 1);
	assert_int_equal(cluster_n_up(&c, 1), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_TEST(who_comes_before_the_first_tick_is_waited_for),
		CLUSTER_TEST(a_question_ends_with_who_was_asked),
		CLUSTER_TEST(who_is_no_member_any_more_loses_his_link),
	};

	return RIG_RUN(tests);
}
