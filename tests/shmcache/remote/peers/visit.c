/* SPDX-License-Identifier: Apache-2.0 */
/* visit.c: see visit.h. */
#include "tests/shmcache/remote/peers/visit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

int visit_setup(void **state)
{
	struct visit *v = *state;

	pair_begin(&v->p, LINK_NONE, true);
	v->port = link_net_port(v->p.b.net);
	return pair_run(&v->p, &v->p.a.n_up, 1) ? 0 : -1;
}

struct link_net_stats visit_stats(const struct visit *v)
{
	struct link_net_stats s;

	link_net_get_stats(v->p.b.net, &s);
	return s;
}

int visit_teardown(void **state)
{
	struct visit *v = *state;
	int i;

	for (i = 0; i < 400 && visit_stats(v).n_strangers; i++)
		pair_rest(&v->p, 10);
	assert_int_equal(visit_stats(v).n_strangers, 0);
	assert_int_equal(visit_stats(v).n_guests, 1);
	assert_int_equal(v->p.a.n_down, 0);
	assert_int_equal(v->p.a.n_up, 1);
	pair_end(&v->p);
	return 0;
}

void visit_refused(struct visit *v, struct raw *r, enum frame_refusal reason, const char *word)
{
	uint64_t n = visit_stats(v).n_refused[reason];
	const char *sentence = raw_refusal(r, &v->p);

	if (!strstr(sentence, word))
		fail_msg("'%s' is not in '%s'", word, sentence);
	assert_int_equal(r->head.flags, reason);
	assert_true(visit_stats(v).n_refused[reason] >= n);
	assert_true(visit_stats(v).n_refused[reason] > 0);
	raw_close(r);
}
