// SPDX-License-Identifier: Apache-2.0
/*
 * nodes.c - one node per id, and queues of them.
 *
 * Every policy here is a handful of queues and a few bits per entry, so they
 * share one layout.  An entry is in one queue at most, which is why the links
 * can live in the node, and why 4 bits tell where it is.  Links are ids and
 * not pointers: half the size, and the caller names entries that way anyway.
 *
 * The array spans all legal ids but is mapped without reservation: the kernel
 * gives a page when an id in it is first used.  An index sized for the worst
 * mix of sizes (all of them 64 B) costs address space and nothing else.
 *
 * A queue counts its bytes besides its entries.  Policies published for equal
 * sizes bound their queues by count; under sizes from 64 B to 1 GiB such a
 * bound means nothing, so all shares are taken of bytes.
 */
#include "shmcache/policy/nodes.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shmcache/policy/policy.h"

static_assert(sizeof(struct node) == 20, "the budget per entry is 22 bytes");

int nodes_map(void **out, size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return -ENOMEM;
	*out = map;
	return 0;
}

void nodes_unmap(void *map, size_t size)
{
	if (map)
		munmap(map, size);
}

uint64_t nodes_map_used(const void *map, size_t size)
{
	unsigned char in_core[1024];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t step = page * sizeof(in_core);
	uint64_t n_used = 0;

	if (!map)
		return 0;
	for (size_t off = 0; off < size; off += step) {
		size_t len = size - off < step ? size - off : step;

		if (mincore((char *)map + off, len, in_core))
			return size;
		for (size_t i = 0; i < (len + page - 1) / page; i++)
			n_used += in_core[i] & 1;
	}
	return n_used * page;
}

int nodes_init(struct nodes *n, uint32_t n_ids_max)
{
	void *node;
	int r;

	r = nodes_map(&node, (size_t)n_ids_max * sizeof(struct node));
	if (r)
		return r;
	*n = (struct nodes){.node = node, .n_ids_max = n_ids_max};
	return 0;
}

void nodes_deinit(struct nodes *n)
{
	nodes_unmap(n->node, (size_t)n->n_ids_max * sizeof(struct node));
	*n = (struct nodes){0};
}

/* The multiplier is 2^64 over the golden ratio: every bit reaches the top. */
uint32_t nodes_fold(uint64_t hash)
{
	uint32_t fold = (uint32_t)((hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32);

	return fold ? fold : 1;
}

uint32_t nodes_size(uint64_t size)
{
	return size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
}

void nodes_set(struct nodes *n, uint32_t id, const struct policy_entry *e)
{
	n->node[id] = (struct node){
		.hash = nodes_fold(e->hash),
		.size = nodes_size(e->size),
		.spare = e->priority < NODES_SPARE_MAX ? e->priority : NODES_SPARE_MAX,
	};
}

static void queue_join(struct nodes *n, struct queue *q, unsigned number, uint32_t id)
{
	assert(number >= 1 && number <= NODES_QUEUE_MAX && !nodes_queue(n, id));
	n->node[id].queue = number & NODES_QUEUE_MAX;
	q->n++;
	q->n_bytes += n->node[id].size;
}

void nodes_push_back(struct nodes *n, struct queue *q, unsigned number, uint32_t id)
{
	n->node[id].prev = q->back;
	n->node[id].next = 0;
	if (q->back)
		n->node[q->back].next = id;
	else
		q->front = id;
	q->back = id;
	queue_join(n, q, number, id);
}

void nodes_push_before(
	struct nodes *n, struct queue *q, unsigned number, uint32_t id, uint32_t at)
{
	struct node *x = &n->node[id];

	x->prev = n->node[at].prev;
	x->next = at;
	n->node[at].prev = id;
	if (x->prev)
		n->node[x->prev].next = id;
	else
		q->front = id;
	queue_join(n, q, number, id);
}

void nodes_take(struct nodes *n, struct queue *q, uint32_t id)
{
	struct node *x = &n->node[id];

	if (x->prev)
		n->node[x->prev].next = x->next;
	else
		q->front = x->next;
	if (x->next)
		n->node[x->next].prev = x->prev;
	else
		q->back = x->prev;
	q->n--;
	q->n_bytes -= x->size;
	x->queue = 0;
}

bool nodes_spare(struct nodes *n, uint32_t id, unsigned *budget)
{
	if (!n->node[id].spare)
		return false;
	if (!*budget) {
		n->node[id].spare = 0;
		return false;
	}
	(*budget)--;
	n->node[id].spare--;
	return true;
}

bool nodes_spare_freq(struct nodes *n, uint32_t id, unsigned *budget)
{
	if (!n->node[id].freq)
		return false;
	if (!*budget) {
		n->node[id].freq = 0;
		return false;
	}
	(*budget)--;
	n->node[id].freq--;
	return true;
}
