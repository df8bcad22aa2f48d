/* SPDX-License-Identifier: Apache-2.0 */
/* view.c: what text and JSON both need. */
#include "clients/inspect/view.h"

#include "clients/inspect/lane.h"

const struct image_session *view_session(const struct image *image, uint64_t id)
{
	uint64_t full = id >> 32 ? id : shared_u64_load(&image->plane->epoch) << 32 | id;
	unsigned i;

	for (i = 0; i < image->n_sessions; i++)
		if (image->session[i].id == id || image->session[i].id == full)
			return &image->session[i];
	return NULL;
}

static uint64_t lane_log_hits(
	const struct image_session *s, unsigned lane, uint32_t cell, uint64_t *n_logged)
{
	uint64_t n, i, hits = 0;
	struct lane_parts p;

	lane_parts_find(s, lane, &p);
	if (!p.request)
		return 0;
	/* Acquire; partner: the reader's release when it shows its entries. */
	n = image_least(shared_u64_load_acquire(&p.request->logged), s->geometry.n_log);
	for (i = 0; i < n; i++)
		hits += shared_u32_load(&p.log[i]) == cell;
	*n_logged += n;
	return hits;
}

uint64_t view_log_hits(const struct image *image, uint32_t cell, uint64_t *n_logged)
{
	unsigned i, lane, n;
	uint64_t hits = 0;

	*n_logged = 0;
	for (i = 0; i < image->n_sessions; i++) {
		n = lane_count(image, &image->session[i]);
		for (lane = 0; lane < n; lane++)
			hits += lane_log_hits(&image->session[i], lane, cell, n_logged);
	}
	return hits;
}

static bool newer(void *context, const struct entry *e, enum entry_flaw flaw,
	const struct entry_place *place)
{
	uint32_t *newest = context;

	(void)place;
	if (!flaw && e->generation > *newest)
		*newest = e->generation;
	return true;
}

uint32_t view_newest(const struct image *image)
{
	uint32_t newest = 0;

	entry_walk(image, newer, &newest);
	return newest;
}
