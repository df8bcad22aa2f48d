/* SPDX-License-Identifier: Apache-2.0 */
/* directory-table.c: the pairs of a shard, in chains that grow one by one. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "shmcache/remote/peers/directory-table.h"

/*
 * Linear hashing, as in the index: each new pair may split one chain, so that there is no moment at
 * which all of a large table is moved. Address space is reserved for as much as there may be, and
 * memory is touched as it comes into use.
 *
 * A holder that leaves takes nothing but a number with it: pairs carry the epoch in which their
 * holder told of them, and those of an older one are freed when somebody meets them, or by the
 * hand, which goes through all pairs in turn once the table is full. A number of 16 bits comes
 * round: then a hint is wrong, which it may be at any time.
 */
#define HEADS_MIN 64
#define SIZE_MIN (64U << 10)
#define SIZE_MAX_ALL (UINT64_C(128) << 30) /* node numbers are 32 bits */
#define PAIR_SIZE (sizeof(struct directory_node) + sizeof(uint32_t))

static void *reserve(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

int directory_table_init(struct directory_table *t, uint64_t size_max)
{
	memset(t, 0, sizeof(*t));
	if (size_max < SIZE_MIN || size_max > SIZE_MAX_ALL)
		return -EINVAL;
	t->n_nodes_max = (uint32_t)(size_max / PAIR_SIZE) - HEADS_MIN;
	t->n_nodes = 1;
	t->n_heads = HEADS_MIN;
	t->node_size = t->n_nodes_max * sizeof(*t->node);
	t->head_size = (t->n_nodes_max + HEADS_MIN) * sizeof(*t->head);
	t->node = reserve(t->node_size);
	t->head = reserve(t->head_size);
	if (t->node && t->head)
		return 0;
	directory_table_deinit(t);
	return -ENOMEM;
}

void directory_table_deinit(struct directory_table *t)
{
	if (t->node)
		munmap(t->node, t->node_size);
	if (t->head)
		munmap(t->head, t->head_size);
	t->node = NULL;
	t->head = NULL;
}

uint64_t directory_table_size(const struct directory_table *t)
{
	return t->n_nodes * sizeof(*t->node) + t->n_heads * sizeof(*t->head);
}

/* --- chains ----------------------------------------------------------------------------------- */

/* The largest power of two up to n_heads begins the present round of splits. */
static uint64_t chain_of(const struct directory_table *t, XXH128_hash_t name)
{
	uint64_t whole = UINT64_C(1) << (63 - __builtin_clzll(t->n_heads));
	uint64_t idx = name.low64 & (2 * whole - 1);

	return idx < t->n_heads ? idx : idx & (whole - 1);
}

static void split(struct directory_table *t)
{
	uint64_t whole = UINT64_C(1) << (63 - __builtin_clzll(t->n_heads));
	uint32_t *from = &t->head[t->n_heads - whole], *to = &t->head[t->n_heads];
	uint32_t *link = from, n;

	*to = 0;
	t->n_heads++;
	while ((n = *link)) {
		if (&t->head[chain_of(t, t->node[n].name)] == from) {
			link = &t->node[n].next;
			continue;
		}
		*link = t->node[n].next;
		/* At the end: the order in a chain says who was heard of last. */
		t->node[n].next = 0;
		*to = n;
		to = &t->node[n].next;
	}
}

/*
 * Where the pair is counted, or NULL where it is void. After as many epochs as there are, one that
 * is void looks new, and was not counted: then the count is a hint as the pair is, and ends at 0.
 */
static uint32_t *count_of(struct directory_table *t, const struct directory_node *node)
{
	uint16_t age = (uint16_t)(t->holder[node->holder].epoch - node->epoch);

	if (!age)
		return &t->holder[node->holder].n;
	return age == 1 ? &t->holder[node->holder].n_before : NULL;
}

static void uncount(struct directory_table *t, const struct directory_node *node)
{
	uint32_t *n = count_of(t, node);

	if (n && *n)
		--*n;
}

static void free_at(struct directory_table *t, uint32_t *link)
{
	uint32_t n = *link;

	uncount(t, &t->node[n]);

	*link = t->node[n].next;
	t->node[n].is_used = false;
	t->node[n].next = t->free_node;
	t->free_node = n;
	t->n_used--;
}

static bool is_void(const struct directory_table *t, const struct directory_node *node)
{
	uint16_t age = (uint16_t)(t->holder[node->holder].epoch - node->epoch);

	return age > (t->holder[node->holder].is_rebuilding ? 1 : 0);
}

static bool is_name(const struct directory_node *node, XXH128_hash_t name)
{
	return node->name.low64 == name.low64 && node->name.high64 == name.high64;
}

/* Where the pair hangs, or NULL. Frees what is void on the way. */
static uint32_t *find_pair(struct directory_table *t, XXH128_hash_t name, uint16_t holder)
{
	uint32_t *link = &t->head[chain_of(t, name)];

	while (*link) {
		struct directory_node *node = &t->node[*link];

		if (is_void(t, node)) {
			free_at(t, link);
			continue;
		}
		if (is_name(node, name) && node->holder == holder)
			return link;
		link = &node->next;
	}
	return NULL;
}

/* Full: whoever the hand is at has been there for a whole round. */
static void make_way(struct directory_table *t)
{
	uint32_t *link, n;

	do
		t->hand = t->hand + 1 < t->n_nodes ? t->hand + 1 : 1;
	while (!t->node[t->hand].is_used);
	n = t->hand;
	for (link = &t->head[chain_of(t, t->node[n].name)]; *link != n; link = &t->node[*link].next)
		;
	t->n_dropped += !is_void(t, &t->node[n]);
	free_at(t, link);
}

static uint32_t take_node(struct directory_table *t)
{
	uint32_t n;

	if (!t->free_node && t->n_nodes < t->n_nodes_max)
		return t->n_nodes++;
	if (!t->free_node)
		make_way(t);
	n = t->free_node;
	t->free_node = t->node[n].next;
	return n;
}

/* --- what is noted ---------------------------------------------------------------------------- */

void directory_table_note(
	struct directory_table *t, XXH128_hash_t name, uint16_t holder, uint32_t generation)
{
	uint32_t *link = find_pair(t, name, holder), n;

	if (link) {
		uncount(t, &t->node[*link]);
		t->holder[holder].n++;
		t->node[*link].generation = generation;
		t->node[*link].epoch = t->holder[holder].epoch;
		return;
	}
	n = take_node(t);
	link = &t->head[chain_of(t, name)];
	t->node[n] = (struct directory_node){.name = name, .generation = generation,
		.next = *link, .holder = holder, .epoch = t->holder[holder].epoch, .is_used = true};
	*link = n;
	t->n_used++;
	t->holder[holder].n++;
	if (t->n_used > t->n_heads && t->n_heads < t->n_nodes_max)
		split(t);
}

void directory_table_drop(
	struct directory_table *t, XXH128_hash_t name, uint16_t holder, uint32_t generation)
{
	uint32_t *link = find_pair(t, name, holder);

	/* Generations run freely. */
	if (link && (int32_t)(generation - t->node[*link].generation) >= 0)
		free_at(t, link);
}

unsigned directory_table_find(
	struct directory_table *t, XXH128_hash_t name, uint16_t *holders, unsigned max)
{
	uint32_t n = t->head[chain_of(t, name)];
	unsigned n_found = 0;

	for (; n && n_found < max; n = t->node[n].next)
		if (is_name(&t->node[n], name) && !is_void(t, &t->node[n]))
			holders[n_found++] = t->node[n].holder;
	return n_found;
}

void directory_table_void(struct directory_table *t, uint16_t holder)
{
	/* By two, since the one before may count still. */
	t->holder[holder].epoch = (uint16_t)(t->holder[holder].epoch + 2);
	t->holder[holder].is_rebuilding = false;
	t->holder[holder].n = t->holder[holder].n_before = 0;
}

/* A second one without a DONE between: what counts is what was noted since the first at least. */
void directory_table_again(struct directory_table *t, uint16_t holder)
{
	t->holder[holder].epoch++;
	t->holder[holder].is_rebuilding = true;
	t->holder[holder].n_before = t->holder[holder].n;
	t->holder[holder].n = 0;
}

void directory_table_done(struct directory_table *t, uint16_t holder)
{
	t->holder[holder].is_rebuilding = false;
	t->holder[holder].n_before = 0;
}

uint32_t directory_table_n_of(const struct directory_table *t, uint16_t holder)
{
	return t->holder[holder].n + t->holder[holder].n_before;
}
