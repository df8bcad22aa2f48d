/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the pages of a region are.
 *
 * Each page is asked, by move_pages() with nowhere to move to; a sample would miss the few that an
 * earlier broker, or the kernel under pressure, left on another node. get_mempolicy() is no help:
 * of a page that is not there it tells where the next one would go.
 *
 * Two answers are passing. -EBUSY: one page of a huge one while that is taken apart or moved, also
 * on a quiet machine. -ENOENT: the page is there and not mapped by this process, as after it was
 * moved out to swap; a look at it maps it. Both are asked again, some times, and what stays untold
 * is told as that. Asking takes about a tenth of a microsecond a page, hence the threads.
 */
#include "allocator/region-private.h"

#include <errno.h>
#include <numaif.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define BATCH 512u	/* pages a call */
#define TRIES 8u
#define PAUSE_US 500u	/* before what was busy is asked again, longer each time */

struct survey {
	int node;
	uint64_t page;
	atomic_uint_fast64_t n_on_node, n_elsewhere, n_untold;	/* relaxed: sums */
};

/* Asks for `n` pages, and keeps in `pages` those that gave a passing answer. */
static int pages_ask(struct survey *s, void **pages, unsigned int *n)
{
	unsigned int i, n_again = 0;
	int status[BATCH];

	if (move_pages(0, *n, pages, NULL, status, 0))
		return errno;
	for (i = 0; i < *n; i++) {
		if (status[i] == s->node)
			atomic_fetch_add_explicit(&s->n_on_node, 1, memory_order_relaxed);
		else if (status[i] >= 0)
			atomic_fetch_add_explicit(&s->n_elsewhere, 1, memory_order_relaxed);
		else if (status[i] == -EBUSY || status[i] == -ENOENT)
			pages[n_again++] = pages[i];
		else
			atomic_fetch_add_explicit(&s->n_untold, 1, memory_order_relaxed);
	}
	*n = n_again;
	return 0;
}

static int batch_survey(struct survey *s, char *base, unsigned int n)
{
	void *pages[BATCH];
	unsigned int i, try;
	int err;

	for (i = 0; i < n; i++)
		pages[i] = base + i * s->page;
	for (try = 0; n && try < TRIES; try++) {
		for (i = 0; try && i < n; i++)
			(void)*(const volatile char *)pages[i];
		if (try)
			usleep(PAUSE_US << try);
		err = pages_ask(s, pages, &n);
		if (err)
			return err;
	}
	atomic_fetch_add_explicit(&s->n_untold, n, memory_order_relaxed);
	return 0;
}

static int slice_survey(const struct region *r, uint64_t off, uint64_t size, void *arg)
{
	struct survey *s = arg;
	uint64_t n = size / s->page, done;
	unsigned int some;
	int err = 0;

	for (done = 0; done < n && !err; done += some) {
		some = n - done < BATCH ? (unsigned int)(n - done) : BATCH;
		err = batch_survey(s, (char *)r->base + off + done * s->page, some);
	}
	return err;
}

static void placement_tell(struct region *r, const struct region_why *why)
{
	const struct region_placement *p = &r->placement;

	if (p->elsewhere) {
		r->lacks |= REGION_ELSEWHERE;
		region_why_add(why, "%s is bound to NUMA node %d, but %s of %s is elsewhere", r->name,
			r->node, region_size_text(p->elsewhere).s, region_size_text(r->size).s);
	}
	if (p->untold) {
		r->lacks |= REGION_UNVERIFIED;
		region_why_add(why, "where %s of %s is was not told", region_size_text(p->untold).s,
			r->name);
	}
}

void region_bind_verify(struct region *r, unsigned int n_threads, const struct region_why *why)
{
	struct survey s = { .node = r->node, .page = (uint64_t)sysconf(_SC_PAGESIZE) };
	int err;

	if (r->node < 0)
		return;
	err = region_slices(r, n_threads, slice_survey, &s);
	r->placement = (struct region_placement){
		.on_node = s.n_on_node * s.page,
		.elsewhere = s.n_elsewhere * s.page,
		.untold = s.n_untold * s.page,
	};
	/* Those that were not come to: forbidden, as in a container. */
	if (err)
		r->placement.untold = r->size - r->placement.on_node - r->placement.elsewhere;
	placement_tell(r, why);
	if (err)
		region_why_add(why, "the kernel answered: %s", strerror(err));
}
