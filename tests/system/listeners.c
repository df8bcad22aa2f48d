/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscribers of events on the bare protocol: what wakes them, and what they may not do. One that
 * asks to be woken all the time and never reads is woken no more, and nobody else notices.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/events.h"
#include "tests/system/common.h"

#define STORED (1U << EVENT_STORED)
#define DELETED (1U << EVENT_DELETED)
#define WAIT_MS 60000

static struct system_broker broker;
static struct shmc *cache;

struct listener {
	struct raw_client client;
	const struct events_head *head;
	size_t size;
};

static void put(void)
{
	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, WAIT_MS), 0);
}

static void listener_subscribe(struct listener *l, unsigned kinds)
{
	struct wire_subscribe message = {.kinds = kinds};
	int descriptors[WIRE_DESCRIPTORS_MAX];
	union wire_message answer;
	size_t n;

	assert_int_equal(wire_send(l->client.socket, WIRE_SUBSCRIBE, &message, sizeof(message), NULL, 0),
		0);
	do {
		assert_int_equal(raw_receive(l->client.socket, &answer, descriptors, &n), 0);
	} while (answer.head.type == WIRE_READY);
	assert_int_equal(answer.head.type, WIRE_EVENTS);
	assert_int_equal(n, kinds != 0);
	if (n && !l->head) {
		l->size = answer.events.size;
		l->head = mmap(NULL, l->size, PROT_READ, MAP_SHARED, descriptors[0], 0);
		assert_ptr_not_equal(l->head, MAP_FAILED);
	}
	while (n)
		close(descriptors[--n]);
}

static void listener_open(struct listener *l, unsigned kinds)
{
	memset(l, 0, sizeof(*l));
	assert_int_equal(raw_attach(&l->client, broker.run.name, WIRE_ROLE_READER), 0);
	if (kinds)
		listener_subscribe(l, kinds);
}

static void listener_close(struct listener *l)
{
	if (l->head)
		munmap((void *)(uintptr_t)l->head, l->size);
	raw_detach(&l->client);
}

static uint64_t end_of_ring(const struct listener *l)
{
	return shared_u64_load_acquire(&l->head->written);
}

static int wait_from(struct listener *l, uint64_t position)
{
	struct wire_wait message = {.position = position};

	return wire_send(l->client.socket, WIRE_WAIT, &message, sizeof(message), NULL, 0);
}

static bool is_woken(struct listener *l, int timeout_ms)
{
	struct pollfd fd = {.fd = l->client.socket, .events = POLLIN};

	return poll(&fd, 1, timeout_ms) == 1;
}

static void assert_ready(struct listener *l)
{
	int descriptors[WIRE_DESCRIPTORS_MAX];
	union wire_message message;
	size_t n;

	assert_int_equal(raw_receive(l->client.socket, &message, descriptors, &n), 0);
	assert_int_equal(message.head.type, WIRE_READY);
	assert_int_equal(n, 0);
}

/* Once for each WAIT; for what is there already, too; and never unasked. */
static void test_woken_once(void **state)
{
	struct listener stored, deleted;
	uint64_t before;

	(void)state;
	listener_open(&stored, STORED);
	listener_open(&deleted, DELETED);
	put();
	assert_int_equal(wait_from(&deleted, end_of_ring(&deleted)), 0);
	assert_int_equal(wait_from(&stored, end_of_ring(&stored)), 0);
	assert_false(is_woken(&stored, 20));
	before = end_of_ring(&stored);
	put();
	assert_ready(&stored);
	put();
	/* Of the other kind nothing came; and who was told is not told again. */
	assert_int_equal(wait_from(&stored, before), 0);
	assert_ready(&stored);
	assert_false(is_woken(&stored, 0));
	assert_false(is_woken(&deleted, 0));
	/* He wants others now: let him look. */
	listener_subscribe(&deleted, STORED | DELETED);
	assert_ready(&deleted);
	listener_close(&stored);
	listener_close(&deleted);
}

static bool is_cut_off(struct listener *l)
{
	return !raw_wait_hangup(l->client.socket);
}

static void test_nonsense(void **state)
{
	struct wire_subscribe subscribe = {.kinds = EVENTS_ALL + 1};
	struct listener l;

	(void)state;
	/* Who hears of nothing has nothing to wait for. */
	listener_open(&l, 0);
	assert_int_equal(wait_from(&l, 0), 0);
	assert_true(is_cut_off(&l));
	listener_close(&l);
	listener_open(&l, STORED);
	listener_subscribe(&l, 0);
	assert_int_equal(wait_from(&l, 0), 0);
	assert_true(is_cut_off(&l));
	listener_close(&l);
	listener_open(&l, 0);
	assert_int_equal(wire_send(l.client.socket, WIRE_SUBSCRIBE, &subscribe, sizeof(subscribe), NULL,
				 0), 0);
	assert_true(is_cut_off(&l));
	listener_close(&l);
	/* Cut off while it waits: what would have woken it finds nobody. */
	listener_open(&l, STORED);
	assert_int_equal(wait_from(&l, end_of_ring(&l)), 0);
	assert_int_equal(wire_send(l.client.socket, WIRE_READY, &(struct wire_ready){{0}},
				 sizeof(struct wire_ready), NULL, 0), 0);
	assert_true(is_cut_off(&l));
	put();
	system_assert_alive(&broker);
	listener_close(&l);
	put();
}

/*
 * It says that it has read up to anywhere, does so without end, and reads nothing of what it is
 * told, until its socket is full. Another one is told all the while.
 */
static void test_never_reads(void **state)
{
	static const uint64_t positions[] = {0, 1, UINT64_MAX, UINT64_MAX / 2, UINT64_MAX / 2 + 1};
	struct listener liar, honest;
	unsigned i, n_refused = 0;

	(void)state;
	listener_open(&liar, STORED);
	listener_open(&honest, STORED);
	for (i = 0; i < 600; i++) {
		n_refused += wait_from(&liar, positions[i % 5]) != 0;
		assert_int_equal(wait_from(&honest, end_of_ring(&honest)), 0);
		put();
		assert_ready(&honest);
	}
	print_message("%u of 600 were not taken\n", n_refused);
	/*
	 * It is there still, no fault is found with it, and what it can read is that it can read.
	 */
	assert_ready(&liar);
	assert_int_equal(shared_u32_load(&liar.client.plane->session[liar.client.welcome.line].broken),
		0);
	listener_close(&liar);
	listener_close(&honest);
	system_assert_alive(&broker);
}

/* One after another goes while it waits: by its socket, or as a process that is killed. */
static void test_gone_while_waiting(void **state)
{
	struct listener l[8];
	unsigned i;

	(void)state;
	for (i = 0; i < 8; i++) {
		listener_open(&l[i], STORED);
		assert_int_equal(wait_from(&l[i], end_of_ring(&l[i])), 0);
	}
	for (i = 0; i < 8; i += 2)
		listener_close(&l[i]);
	put();
	for (i = 1; i < 8; i += 2) {
		assert_ready(&l[i]);
		listener_close(&l[i]);
	}
	put();
	system_assert_alive(&broker);
}

static int setup(void **state)
{
	(void)state;
	system_start(&broker, "8MiB", false, "");
	return shmc_attach(&cache, broker.run.name, NULL);
}

static int teardown(void **state)
{
	(void)state;
	shmc_detach(cache);
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_woken_once),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_never_reads),
		cmocka_unit_test(test_gone_while_waiting),
	};

	return cmocka_run_group_tests_name("listeners", tests, setup, teardown);
}
