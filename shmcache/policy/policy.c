// SPDX-License-Identifier: Apache-2.0
/*
 * policy.c - the table of policies, and the checks that they share.
 *
 * The recency that reaches a policy is a lossy log: by the time the broker
 * drains it, an id may have been evicted, or reused for another key.  So each
 * call is checked here against what is resident, once for all policies, and
 * what does not fit is dropped: a hit too few costs a little precision, and a
 * hit on the wrong entry no more than that.  So is what every policy needs to
 * do with entries that are on probation (probation.c): they are none of its.
 */
#include "shmcache/policy/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/policy/impl.h"

/* The first is the default. */
static const struct policy_ops *const policies[] = {
	&policy_gittins_ops,
	&policy_lru_ops,
	&policy_clock_ops,
	&policy_s3fifo_ops,
	&policy_arc_ops,
};

enum { N_POLICIES = sizeof(policies) / sizeof(policies[0]) };

static const struct policy_ops *policy_find(const char *name)
{
	if (!name)
		return policies[0];
	for (size_t i = 0; i < N_POLICIES; i++) {
		if (!strcmp(policies[i]->name, name))
			return policies[i];
	}
	return NULL;
}

static int policy_make(struct policy **out, const char *name, struct policy *upper,
	uint64_t capacity, uint32_t n_ids_max)
{
	const struct policy_ops *ops = policy_find(name);
	struct policy *p;
	int r;

	if (!ops)
		return -ENOENT;
	if (!capacity || n_ids_max < 2)
		return -EINVAL;
	p = calloc(1, ops->struct_size);
	if (!p)
		return -ENOMEM;
	p->ops = ops;
	p->capacity = capacity;
	p->upper = upper && upper->ops == ops ? upper : NULL;
	probation_init(&p->probation, capacity);
	r = nodes_init(&p->nodes, n_ids_max);
	if (r)
		goto err_free;
	r = ops->init ? ops->init(p) : 0;
	if (r)
		goto err_nodes;
	/* It may be freed before us. */
	p->upper = NULL;
	*out = p;
	return 0;

err_nodes:
	nodes_deinit(&p->nodes);
err_free:
	free(p);
	return r;
}

int policy_new(
	struct policy **out, const char *name, uint64_t capacity, uint32_t n_ids_max)
{
	return policy_make(out, name, NULL, capacity, n_ids_max);
}

int policy_new_below(struct policy **out, const char *name, struct policy *upper,
	uint64_t capacity)
{
	return policy_make(out, name, upper, capacity, upper->nodes.n_ids_max);
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	if (p->ops->deinit)
		p->ops->deinit(p);
	probation_deinit(&p->probation, p->nodes.n_ids_max);
	nodes_deinit(&p->nodes);
	free(p);
}

const char *policy_name(const struct policy *p)
{
	return p->ops->name;
}

const char *policy_names(unsigned i)
{
	return i < N_POLICIES ? policies[i]->name : NULL;
}

bool policy_resident(const struct policy *p, uint32_t id)
{
	return id && id < p->nodes.n_ids_max && nodes_queue(&p->nodes, id);
}

void policy_insert(struct policy *p, uint32_t id, const struct policy_entry *e)
{
	if (!id || id >= p->nodes.n_ids_max)
		return;
	policy_remove(p, id);
	nodes_set(&p->nodes, id, e);
	if (!e->is_unproven || !probation_enter(&p->probation, &p->nodes, id, e))
		p->ops->insert(p, id, e);
}

void policy_hit(struct policy *p, uint32_t id)
{
	struct policy_entry e;

	if (!policy_resident(p, id))
		return;
	if (probation_has(&p->nodes, id)) {
		probation_pass(&p->probation, &p->nodes, id, &e);
		p->ops->insert(p, id, &e);
	}
	p->ops->hit(p, id);
}

void policy_remove(struct policy *p, uint32_t id)
{
	if (!policy_resident(p, id))
		return;
	if (probation_has(&p->nodes, id))
		probation_remove(&p->probation, &p->nodes, id);
	else
		p->ops->remove(p, id);
}

uint32_t policy_victim(struct policy *p, const struct policy_entry *incoming)
{
	uint32_t id = probation_victim(&p->probation);

	if (!id)
		id = p->ops->victim(p, incoming);
	return id ? id : p->probation.queue.front;
}

void policy_evict(struct policy *p, uint32_t id)
{
	if (!policy_resident(p, id))
		return;
	if (probation_has(&p->nodes, id))
		probation_evict(&p->probation, &p->nodes, id);
	else
		p->ops->evict(p, id);
}

void policy_take(struct policy *p, uint32_t id, struct policy_carried *out)
{
	const struct node *x;

	*out = (struct policy_carried){0};
	if (!policy_resident(p, id))
		return;
	x = &p->nodes.node[id];
	*out = (struct policy_carried){.ops = p->ops,
		.id = id,
		.stamp = x->stamp,
		.queue = x->queue,
		.freq = x->freq,
		.spare = x->spare};
	policy_remove(p, id);
}

void policy_give(struct policy *p, uint32_t id, const struct policy_entry *e,
	const struct policy_carried *carried)
{
	struct policy_entry unproven = *e;

	unproven.is_unproven = carried->ops && carried->queue == PROBATION_QUEUE;
	if (carried->ops != p->ops || unproven.is_unproven) {
		policy_insert(p, id, &unproven);
		return;
	}
	if (!id || id >= p->nodes.n_ids_max)
		return;
	policy_remove(p, id);
	nodes_set(&p->nodes, id, e);
	p->nodes.node[id].freq = carried->freq & NODES_FREQ_MAX;
	p->nodes.node[id].spare = carried->spare & NODES_SPARE_MAX;
	if (p->ops->give)
		p->ops->give(p, id, e, carried);
	else
		p->ops->insert(p, id, e);
}

bool policy_is_colder(
	const struct policy *p, uint32_t a, const struct policy *q, uint32_t b)
{
	if (p->ops != q->ops || !p->ops->worth || !policy_resident(p, a) ||
		!policy_resident(q, b) || probation_has(&p->nodes, a))
		return true;
	if (probation_has(&q->nodes, b))
		return false;
	return p->ops->worth(p, a) < q->ops->worth(q, b);
}

uint64_t policy_books_size(const struct policy *p)
{
	uint64_t size = p->ops->struct_size;

	size += nodes_map_used(
		p->nodes.node, (size_t)p->nodes.n_ids_max * sizeof(struct node));
	size += probation_books_size(&p->probation, p->nodes.n_ids_max);
	if (p->ops->books_size)
		size += p->ops->books_size(p);
	return size;
}
