/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of peers-fetch.c: what a transfer adds to the link's, which is this file. */
#include "shmcache/remote/peers/peers-impl.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct remote_loop loop = {.later_end = &loop.later};
static struct peers peers = {.loop = &loop};
static struct peer peer = {
	.peers = &peers, .kick = {.call = peers_fetch_kick, .owner = &peer}};
static struct link_fetch *sent;
static uint8_t place;
static unsigned n_begun, n_landed, n_done, n_kicks;
static enum remote_result result;

/* --- the link --------------------------------------------------------------------------------- */

void link_fetch(struct link *link, struct link_fetch *fetch)
{
	(void)link;
	sent = fetch;
}

void link_kick(struct link *link)
{
	(void)link;
	n_kicks++;
}

void link_fetch_cancel(struct link_fetch *fetch)
{
	fetch->done(fetch, LINK_CANCELLED);
}

/* --- who asks --------------------------------------------------------------------------------- */

static uint8_t *land(struct remote_fetch *fetch, const struct remote_head *head)
{
	(void)fetch;
	(void)head;
	n_landed++;
	return &place;
}

static void done(struct remote_fetch *fetch, enum remote_result how)
{
	(void)fetch;
	n_done++;
	result = how;
}

static struct remote_fetch user = {.land = land, .done = done};

static int setup(void **state)
{
	(void)state;
	peers.peer[0] = &peer;
	n_landed = n_done = n_kicks = 0;
	n_begun = 1;
	user.deadline_ms = store_now_ms() + 60000;
	peers_fetch(&peers, 0, &user);
	return 0;
}

/* What was put off. */
static void go_on(void)
{
	struct remote_later *later;

	while ((later = loop.later)) {
		remote_loop_not_soon(&loop, later);
		later->call(later);
	}
}

static int teardown(void **state)
{
	(void)state;
	go_on();
	assert_int_equal(n_kicks, 1);
	assert_int_equal(n_done, n_begun);
	assert_null(peers.transfers);
	assert_int_equal(timers_next(&loop.timers), UINT64_MAX);
	return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void the_largest_value_is_landed(void **state)
{
	const struct frame_value value = {.size = ABI_VALUE_SIZE_MAX};

	(void)state;
	assert_ptr_equal(sent->land(sent, &value), &place);
	assert_int_equal(n_landed, 1);
	/* Who asks sees how far it is. */
	*sent->n_come += ABI_VALUE_SIZE_MAX - 1;
	assert_int_equal(user.n_bytes, ABI_VALUE_SIZE_MAX - 1);
	*sent->n_come += 1;
	sent->done(sent, LINK_OK);
	assert_int_equal(result, REMOTE_OK);
	assert_int_equal(user.n_bytes, ABI_VALUE_SIZE_MAX);
}

/* It is the holder who is to blame, and not that there is no room. */
static void what_is_larger_is_refused(void **state)
{
	const struct frame_value value = {.size = ABI_VALUE_SIZE_MAX + 1};

	(void)state;
	assert_null(sent->land(sent, &value));
	assert_int_equal(n_landed, 0);
	sent->done(sent, LINK_CANCELLED);
	assert_int_equal(result, REMOTE_REFUSED);
}

static void what_is_called_off_is_cancelled(void **state)
{
	(void)state;
	peers_cancel(&peers, &user);
	assert_int_equal(result, REMOTE_CANCELLED);
	/* And it is too late for another time. */
	peers_cancel(&peers, &user);
}

static void what_takes_too_long_is_late(void **state)
{
	(void)state;
	timers_run(&loop.timers, user.deadline_ms);
	assert_int_equal(result, REMOTE_TIMEOUT);
}

/* One kick for both, when both are asked for. */
static void what_begins_together_is_sent_together(void **state)
{
	struct remote_fetch second = {.land = land, .done = done, .deadline_ms = user.deadline_ms};

	(void)state;
	peers_fetch(&peers, 0, &second);
	n_begun++;
	assert_int_equal(n_kicks, 0);
	go_on();
	assert_int_equal(n_kicks, 1);
	peers_cancel(&peers, &second);
	peers_cancel(&peers, &user);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_largest_value_is_landed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_larger_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_called_off_is_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(what_takes_too_long_is_late, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_begins_together_is_sent_together, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
