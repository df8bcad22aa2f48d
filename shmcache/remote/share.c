/* SPDX-License-Identifier: Apache-2.0 */
/* share.c: so many units, and who has them. */
#include <stdlib.h>

#include "shmcache/remote/share.h"

/* There are some hundred sessions at most; only who has something is here. */
static struct share *find(struct shares *shares, uint64_t session)
{
	struct share **bucket = &shares->bucket[session % SHARES_BUCKETS], *s = *bucket;

	while (s && s->session != session)
		s = s->next;
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->session = session;
	s->next = *bucket;
	s->link = bucket;
	if (s->next)
		s->next->link = &s->next;
	*bucket = s;
	return s;
}

static void release(struct share *s)
{
	if (s->n)
		return;
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	free(s);
}

struct share *shares_take(struct shares *shares, uint64_t session)
{
	struct share *s = find(shares, session);

	if (!s)
		return NULL;
	if (s->n + 1 > shares->n_max - shares->n) {
		release(s);
		return NULL;
	}
	s->n++;
	shares->n++;
	return s;
}

void shares_give(struct shares *shares, struct share *s)
{
	if (!s)
		return;
	s->n--;
	shares->n--;
	release(s);
}
