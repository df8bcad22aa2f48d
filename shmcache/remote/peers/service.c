/* SPDX-License-Identifier: Apache-2.0 */
/* service.c: lending values, summing them up, and pushing them. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <urcu.h>

#include "ipc/hash.h"
#include "shmcache/guard.h"
#include "shmcache/remote/peers/service.h"
#include "shmcache/remote/peers/sum.h"

/*
 * A value goes out from where it lies: what is copied is what the kernel copies. Its sum is made while
 * it is first sent, a frame ahead of the kernel, which then finds the bytes in the processor's cache; it
 * is kept beside the cell (number and generation), so that the next one who asks costs no look at the
 * bytes at all. A writer who scribbles over a published value thus sends what its reader finds to be
 * wrong, and does not publish.
 *
 * The books of sums are as long as there may be cells; memory comes to those that were served.
 */
struct kept_sum {
	uint64_t sum;
	uint32_t generation;
	uint32_t is_known;
};

struct service_body {
	struct service *service;
	struct service_guest *guest;
	struct link_request *request;
	struct store_loan loan;
	uint64_t deadline_ms;
	struct service_body *next, **link; /* of the service's list when it is on its way */
	struct service_body *after, *before; /* of the guest's when it waits */
	bool is_damaged;
	struct sum *sum; /* while it is made */
};

struct service {
	struct service_options options;
	struct service_body *bodies; /* on their way */
	unsigned n_bodies;
	struct kept_sum *sum;
	uint64_t n_sums;
};

int service_new(struct service **out, const struct service_options *options)
{
	struct service *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->options = *options;
	s->n_sums = options->store->index.head->n_cells_max;
	s->sum = mmap(NULL, s->n_sums * sizeof(*s->sum), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->sum == MAP_FAILED) {
		free(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

void service_free(struct service *s)
{
	if (!s)
		return;
	munmap(s->sum, s->n_sums * sizeof(*s->sum));
	free(s);
}

unsigned service_n_bodies(const struct service *s)
{
	return s->n_bodies;
}

/* --- what waits ------------------------------------------------------------------------------- */

static void wait_add(struct service_guest *guest, struct service_body *body)
{
	body->before = guest->last;
	body->after = NULL;
	if (guest->last)
		guest->last->after = body;
	else
		guest->first = body;
	guest->last = body;
}

static void wait_remove(struct service_guest *guest, struct service_body *body)
{
	if (body->before)
		body->before->after = body->after;
	else
		guest->first = body->after;
	if (body->after)
		body->after->before = body->before;
	else
		guest->last = body->before;
}

/* --- what is on its way ----------------------------------------------------------------------- */

struct stretch {
	struct sum *sum;
	const uint8_t *data;
	uint64_t size;
};

static void add_up(void *context)
{
	const struct stretch *s = context;

	sum_add(s->sum, s->data, s->size);
}

static void body_sending(void *context, uint64_t off, uint64_t size)
{
	struct service_body *body = context;
	struct stretch stretch = {body->sum, (const uint8_t *)body->loan.data + off, size};

	if (body->sum && !body->is_damaged && !guard_call(add_up, &stretch))
		body->is_damaged = true;
}

static uint64_t body_sum(void *context)
{
	struct service_body *body = context;
	struct kept_sum *kept = &body->service->sum[body->loan.cell];

	if (!body->sum)
		return kept->sum;
	/* What was lost on the way is to be told as wrong, whatever it sums up to. */
	if (body->is_damaged)
		return ~sum_get(body->sum);
	*kept = (struct kept_sum){sum_get(body->sum), body->loan.generation, true};
	return kept->sum;
}

static void next_in_turn(struct service *s, struct service_guest *guest);

static void body_done(void *context, bool sent)
{
	struct service_body *body = context;
	struct service *s = body->service;
	struct service_guest *guest = body->guest;

	store_loan_end(s->options.store, &body->loan);
	*body->link = body->next;
	if (body->next)
		body->next->link = body->link;
	s->n_bodies--;
	guest->n_bodies--;
	guest->n_served += sent;
	guest->n_broken += !sent;
	guest->sent_bytes += sent ? body->loan.size : 0;
	sum_free(body->sum);
	free(body);
	next_in_turn(s, guest);
}

static bool is_known(const struct service *s, const struct store_loan *loan)
{
	const struct kept_sum *kept = &s->sum[loan->cell];

	return kept->is_known && kept->generation == loan->generation;
}

static struct link_body describe(struct service_body *body)
{
	const struct store_loan *loan = &body->loan;
	struct link_body b = {
		.value = {.size = loan->size, .ttl_ms = loan->ttl_ms, .hints = loan->hints},
		.data = loan->data,
		.sending = body->sum ? body_sending : NULL,
		.sum = body_sum,
		.done = body_done,
		.context = body,
	};

	if (loan->hints.group || loan->hints.position || loan->hints.priority)
		b.value.flags = FRAME_WITH_HINTS;
	return b;
}

/* Answer one that is on no list; frees it in the end. */
static void start(struct service *s, struct service_body *body)
{
	struct link_request *request = body->request;
	struct index_key key = index_key(&s->options.store->index, request->key, request->key_size);
	enum frame_status status = FRAME_OK;
	struct link_body b;

	if (store_now_ms() >= body->deadline_ms)
		status = FRAME_BUSY;
	else if (store_lend(s->options.store, s->options.w, &key, &body->loan) != ABI_STATUS_OK)
		status = FRAME_MISS;
	if (status == FRAME_OK && !is_known(s, &body->loan) && !(body->sum = sum_new())) {
		store_loan_end(s->options.store, &body->loan);
		status = FRAME_BUSY;
	}
	if (status != FRAME_OK) {
		body->guest->n_missed += status == FRAME_MISS;
		free(body);
		link_refuse(request, status);
		return;
	}
	body->next = s->bodies;
	body->link = &s->bodies;
	if (body->next)
		body->next->link = &body->next;
	s->bodies = body;
	s->n_bodies++;
	body->guest->n_bodies++;
	if (s->options.lent)
		s->options.lent(s->options.context, request->key, request->key_size);
	b = describe(body);
	/* May be done, and the body gone, before this returns. */
	link_push(request, &b);
}

/* A body may be done while it is pushed, and let the next begin: that one is begun here, not deeper. */
static void next_in_turn(struct service *s, struct service_guest *guest)
{
	struct service_body *body;

	if (guest->is_starting)
		return;
	guest->is_starting = true;
	while (guest->first && guest->n_bodies < s->options.n_bodies_max) {
		body = guest->first;
		wait_remove(guest, body);
		start(s, body);
	}
	guest->is_starting = false;
}

/* --- what the link calls ---------------------------------------------------------------------- */

void service_fetch(struct service *s, struct service_guest *guest, struct link_request *request)
{
	uint32_t wait_ms = request->wait_ms;
	struct service_body *body = calloc(1, sizeof(*body));

	if (!body) {
		link_refuse(request, FRAME_BUSY);
		return;
	}
	if (!wait_ms || wait_ms > s->options.wait_ms_max)
		wait_ms = s->options.wait_ms_max;
	body->service = s;
	body->guest = guest;
	body->request = request;
	body->deadline_ms = store_now_ms() + wait_ms;
	request->owner = body;
	wait_add(guest, body);
	next_in_turn(s, guest);
}

void service_gone(struct service *s, struct link_request *request)
{
	struct service_body *body = request->owner;

	(void)s;
	wait_remove(body->guest, body);
	free(body);
}

void service_tick(struct service *s, uint64_t now_ms)
{
	struct service_body *body = s->bodies;

	while (body) {
		if (now_ms < body->deadline_ms) {
			body = body->next;
			continue;
		}
		link_push_abort(body->request);
		/* Others were begun, and done, meanwhile. */
		body = s->bodies;
	}
}

/* --- what is here ----------------------------------------------------------------------------- */

bool service_has(const struct service *s, const void *key, uint16_t key_size)
{
	const struct store *store = s->options.store;
	struct index_key k = index_key(&store->index, key, key_size);
	uint32_t cell;
	bool has;

	rcu_read_lock();
	has = index_find(&store->index, &k, &cell) && !store_is_expired(store, cell);
	/* partner: the one behind the grace period in reclaim.c */
	shared_happens_before(&store->limbo);
	rcu_read_unlock();
	return has;
}
