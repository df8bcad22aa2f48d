/* SPDX-License-Identifier: Apache-2.0 */
/* visit.h: somebody at the door of a pair's holder, whose honest link must never notice. */
#ifndef TESTS_SHMCACHE_REMOTE_PEERS_VISIT_H
#define TESTS_SHMCACHE_REMOTE_PEERS_VISIT_H

#include "tests/shmcache/remote/peers/raw.h"

struct visit {
	struct pair p;
	uint16_t port; /* the holder's */
};

/* Of a test on the visit v. At its end nobody is left over, and the link was up all the time. */
int visit_setup(void **state);
int visit_teardown(void **state);
#define VISIT_TEST(name) \
	cmocka_unit_test_prestate_setup_teardown(name, visit_setup, visit_teardown, &v)

/* The holder's. */
struct link_net_stats visit_stats(const struct visit *v);
/* @r is refused and counted for @reason, in a sentence that has @word in it; and is closed. */
void visit_refused(struct visit *v, struct raw *r, enum frame_refusal reason, const char *word);

#endif
