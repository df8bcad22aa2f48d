// SPDX-License-Identifier: Apache-2.0
/*
 * reuse.c - when do entries of a class come back?
 *
 * An entry that has rested for some time has a chance to be read in the next
 * moment, and another one a while later.  Keeping it until some time T brings
 * P(read before T) hits and costs the space for E[min(time of the read, T)].
 * The best such ratio over all T,
 *
 *	worth(age) = max over T of  P(back by T | age) / E[time kept | age]
 *
 * is what a byte of cache earns by holding it, and the entry with the least is
 * the one to give up.  This is the index of J. C. Gittins, "Bandit Processes
 * and Dynamic Allocation Indices", 1979; its use for caches, with the
 * distribution learned per class of entries as they age, follows
 * N. Beckmann, D. Sanchez, "Maximizing Cache Performance Under Uncertainty",
 * HPCA 2017, and N. Beckmann, H. Chen, A. Cidon, "LHD", NSDI 2018.
 *
 * What differs is where the distribution comes from.  What is seen of the
 * resident entries alone is biased by the policy's own choices: what is always
 * evicted young is never seen to come back old.  So a sample of the keys is
 * watched whether they are resident or not (C. Waldspurger et al., "Efficient
 * MRC Construction with SHARDS", FAST 2015): those whose hash ends in `shift`
 * zeroes, as many as keep the watched keys below a fixed number while they
 * stand for REUSE_N_CACHES times as many keys as are resident.  The cost is
 * constant, 16 bytes for each of 32768 keys, whatever the cache's size.
 *
 * Each key watched is one life: it ends when the key is used again (`back`) or
 * when it is the longest unused of too many (`lost`: it lived so long at
 * least).  Those that still live count as lost at their present age whenever
 * the worth is worked out.  From the lives, by actuaries' rules, the chance to
 * come back in each age bucket given that it lived until then.
 *
 * Counts are shrunk towards a prior, so that a few lives do not make a rule: a
 * class with little data takes after the class below it, and the lowest after
 * a constant chance per octave of age, under which worth falls with age and
 * the policy is LRU.  That is also how it starts.
 */
#include "shmcache/policy/reuse.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "shmcache/policy/nodes.h"

static_assert(sizeof(struct reuse_slot) == 16, "the cost stated above");
static_assert(REUSE_N_SLOTS <= UINT16_MAX + 1, "slots are named by 16 bits");

enum {
	REUSE_N_WATCHED_MIN = 64,
	REUSE_PERIOD = 2048, /* events from one look at the counts to the next */
};

static const float REUSE_DECAY = 0.9f;	 /* of the counts, per period */
static const float REUSE_PRIOR = 16;	 /* lives that the prior counts for */
static const float REUSE_CHANCE = 0.06f; /* to come back, per octave of age */

static uint64_t age_bucket_start(unsigned b)
{
	unsigned octave = (b - 1) / 2 + REUSE_AGE_MIN_LOG2;

	return b ? (UINT64_C(2) + ((b - 1) & 1)) << (octave - 1) : 0;
}

/* An octave's first bucket, to 1.5 times its start, is 0.585 of it in log2. */
static float prior(unsigned b)
{
	if (!b)
		return REUSE_CHANCE * REUSE_AGE_MIN_LOG2;
	return REUSE_CHANCE * (b % 2 ? 0.585f : 0.415f);
}

/*
 * hazard[b]: the chance to come back in bucket b for who reached it.  Comes in
 * as the prior.  In the lowest class what is unknown is never held to be more
 * likely than what is known of the age before it: nobody has been seen at the
 * greatest ages, and hope there would keep dead entries for ever.
 */
static void hazard_update(
	float *hazard, const float *back, const float *lost, bool lowest)
{
	float alive = 0, exposed, guess;

	for (unsigned b = 0; b < REUSE_N_BUCKETS; b++)
		alive += back[b] + lost[b];
	for (unsigned b = 0; b < REUSE_N_BUCKETS; b++) {
		guess = hazard[b];
		if (lowest && b > 1 && guess > hazard[b - 1] / prior(b - 1) * prior(b))
			guess = hazard[b - 1] / prior(b - 1) * prior(b);
		/* who was lost in this bucket was in it for half of it */
		exposed = alive - lost[b] / 2;
		if (exposed < back[b]) /* sums are rounded */
			exposed = back[b];
		hazard[b] = (back[b] + REUSE_PRIOR * guess) / (exposed + REUSE_PRIOR);
		alive -= back[b] + lost[b];
	}
}

static void worth_update(float *worth, const float *hazard)
{
	for (unsigned from = 0; from < REUSE_N_BUCKETS; from++) {
		float alive = 1, gain = 0, cost = 0, best = 0;

		for (unsigned b = from; b < REUSE_N_BUCKETS; b++) {
			float width =
				(float)(age_bucket_start(b + 1) - age_bucket_start(b));

			gain += alive * hazard[b];
			cost += alive * (1 - hazard[b] / 2) * width;
			alive *= 1 - hazard[b];
			if (gain > best * cost)
				best = gain / cost;
		}
		worth[from] = best;
	}
}

static void learn(struct reuse *u, uint32_t now)
{
	float lost[REUSE_N_CLASSES][REUSE_N_BUCKETS];
	float hazard[REUSE_N_BUCKETS];

	memcpy(lost, u->lost, sizeof(lost));
	for (uint16_t i = u->oldest; i; i = u->slot[i].newer)
		lost[u->slot[i].class][reuse_age_bucket(now - u->slot[i].stamp)]++;
	for (unsigned b = 0; b < REUSE_N_BUCKETS; b++)
		hazard[b] = prior(b);
	for (unsigned c = 0; c < REUSE_N_CLASSES; c++) {
		hazard_update(hazard, u->back[c], lost[c], !c);
		worth_update(u->worth[c], hazard);
		for (unsigned b = 0; b < REUSE_N_BUCKETS; b++) {
			u->back[c][b] *= REUSE_DECAY;
			u->lost[c][b] *= REUSE_DECAY;
		}
	}
}

static size_t slots_size(void)
{
	return REUSE_N_SLOTS * sizeof(struct reuse_slot);
}

static size_t buckets_size(void)
{
	return REUSE_N_SLOTS * sizeof(uint16_t);
}

int reuse_init(struct reuse *u)
{
	void *slot, *bucket;
	int r;

	r = nodes_map(&slot, slots_size());
	if (r)
		return r;
	r = nodes_map(&bucket, buckets_size());
	if (r) {
		nodes_unmap(slot, slots_size());
		return r;
	}
	*u = (struct reuse){.slot = slot, .bucket = bucket, .n_fresh = 1};
	learn(u, 0);
	return 0;
}

void reuse_deinit(struct reuse *u)
{
	nodes_unmap(u->slot, slots_size());
	nodes_unmap(u->bucket, buckets_size());
	*u = (struct reuse){0};
}

uint64_t reuse_books_size(const struct reuse *u)
{
	return nodes_map_used(u->slot, slots_size()) +
	       nodes_map_used(u->bucket, buckets_size());
}

/* The low bits choose who is watched, so the bucket is taken from the high. */
static uint16_t *bucket_of(const struct reuse *u, uint32_t hash)
{
	return &u->bucket[((uint64_t)hash * REUSE_N_SLOTS) >> 32];
}

static bool watched(const struct reuse *u, uint32_t hash)
{
	return !(hash & ((UINT32_C(1) << u->shift) - 1));
}

static void age_push(struct reuse *u, uint16_t i)
{
	u->slot[i].older = u->newest;
	u->slot[i].newer = 0;
	if (u->newest)
		u->slot[u->newest].newer = i;
	else
		u->oldest = i;
	u->newest = i;
}

static void age_take(struct reuse *u, uint16_t i)
{
	const struct reuse_slot *x = &u->slot[i];

	if (x->older)
		u->slot[x->older].newer = x->newer;
	else
		u->oldest = x->newer;
	if (x->newer)
		u->slot[x->newer].older = x->older;
	else
		u->newest = x->older;
}

static void drop(struct reuse *u, uint16_t i)
{
	uint16_t *link = bucket_of(u, u->slot[i].hash);

	while (*link != i)
		link = &u->slot[*link].chain;
	*link = u->slot[i].chain;
	age_take(u, i);
	u->slot[i].chain = u->free;
	u->free = i;
	u->n--;
}

/* Watch half as many keys from now on. */
static void thin_out(struct reuse *u)
{
	uint16_t newer;

	u->shift++;
	for (uint16_t i = u->oldest; i; i = newer) {
		newer = u->slot[i].newer;
		if (!watched(u, u->slot[i].hash))
			drop(u, i);
	}
}

static void watch(struct reuse *u, uint32_t hash, unsigned class, uint32_t now)
{
	uint16_t *bucket = bucket_of(u, hash);
	uint16_t i = u->free;

	if (i)
		u->free = u->slot[i].chain;
	else
		i = u->n_fresh++;
	u->slot[i] = (struct reuse_slot){
		.hash = hash, .stamp = now, .class = (uint8_t) class, .chain = *bucket};
	*bucket = i;
	age_push(u, i);
	u->n++;
}

/* Hold the watched keys to REUSE_N_CACHES times the resident, and to the slots. */
static void fit(struct reuse *u, uint32_t now, uint32_t n_resident)
{
	uint64_t max = ((uint64_t)n_resident * REUSE_N_CACHES) >> u->shift;

	if (u->shift && max < REUSE_N_SLOTS / 8)
		u->shift--;
	if (max < REUSE_N_WATCHED_MIN)
		max = REUSE_N_WATCHED_MIN;
	while (u->n > max) {
		const struct reuse_slot *x = &u->slot[u->oldest];

		u->lost[x->class][reuse_age_bucket(now - x->stamp)]++;
		drop(u, u->oldest);
	}
	while (u->n >= REUSE_N_SLOTS - 1)
		thin_out(u);
}

void reuse_note(
	struct reuse *u, uint32_t hash, unsigned class, uint32_t now, uint32_t n_resident)
{
	uint16_t i;

	if (!watched(u, hash))
		return;
	i = *bucket_of(u, hash);
	while (i && u->slot[i].hash != hash)
		i = u->slot[i].chain;
	if (i) {
		struct reuse_slot *x = &u->slot[i];

		u->back[x->class][reuse_age_bucket(now - x->stamp)]++;
		x->class = (uint8_t) class;
		x->stamp = now;
		age_take(u, i);
		age_push(u, i);
	} else {
		watch(u, hash, class, now);
	}
	fit(u, now, n_resident);
	if (++u->n_events >= REUSE_PERIOD) {
		u->n_events = 0;
		learn(u, now);
	}
}
