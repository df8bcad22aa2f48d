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
 * A value goes out from where it lies: what is copied is what the kernel copies. Its sum is made
 * while it is first sent, a frame ahead of the kernel, which then finds the bytes in the
 * processor's cache; it is kept beside the cell (number and generation), so that the next one who
 * asks costs no look at the bytes at all. A writer who scribbles over a published value thus sends
 * what its reader finds to be wrong, and does not publish.
 *
 * The books of sums are as long as there may be cells; memory comes to those that were served.
 *
 * What is lent can't be reused, whatever becomes of the entry, for as long as its requester takes.
 * So that those who take their time don't leave the clients here without room, all that is on its
 * way is bounded by a share of its tier; and so that one does not take all of that from the others,
 * a guest has at most as much as is left (A. K. Choudhury, E. L. Hahne, "Dynamic queue length
 * thresholds for shared-memory packet switches", IEEE/ACM Transactions on Networking 6, 1998).
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
	unsigned tier; /* where it is lent */
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
	uint64_t lent_size[ABI_TIERS];
	struct service_guest *starved, **starved_end; /* their next bodies wait for room */
	unsigned n_starved;
	bool is_feeding, has_room_again;
	struct kept_sum *sum;
	uint64_t n_sums;
};

int service_new(struct service **out, const struct service_options *options)
{
	struct service *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->options = *options;
	s->starved_end = &s->starved;
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

/* In their order. No-op where it is in the list. */
static void starved_add(struct service *s, struct service_guest *guest)
{
	if (guest->starved_link)
		return;
	guest->starved_next = NULL;
	guest->starved_link = s->starved_end;
	*s->starved_end = guest;
	s->starved_end = &guest->starved_next;
	s->n_starved++;
}

static void starved_remove(struct service *s, struct service_guest *guest)
{
	if (!guest->starved_link)
		return;
	*guest->starved_link = guest->starved_next;
	if (guest->starved_next)
		guest->starved_next->starved_link = guest->starved_link;
	else
		s->starved_end = guest->starved_link;
	guest->starved_link = NULL;
	s->n_starved--;
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

/* Room for one more, where nothing is lent in any case: else it would wait for ever. */
static bool may_lend(const struct service *s, const struct service_body *body)
{
	uint64_t max = s->options.store->tier[body->tier].size / 100 * s->options.lent_percent;
	uint64_t lent = s->lent_size[body->tier], own = body->guest->lent_size[body->tier];
	uint64_t size = body->loan.size;

	return !lent || (lent + size <= max && (!own || own + size <= max - lent));
}

static void next_in_turn(struct service *s, struct service_guest *guest);
static void feed_starved(struct service *s);

static void body_done(void *context, bool sent)
{
	struct service_body *body = context;
	struct service *s = body->service;
	struct service_guest *guest = body->guest;

	s->lent_size[body->tier] -= body->loan.size;
	guest->lent_size[body->tier] -= body->loan.size;
	store_loan_end(s->options.store, &body->loan);
	*body->link = body->next;
	if (body->next)
		body->next->link = body->link;
	s->n_bodies--;
	guest->n_bodies--;
	guest->n_served += sent;
	guest->n_broken += !sent;
	guest->sent_bytes += sent ? body->loan.size : 0;
	store_count(s->options.w, ABI_COUNTER_SERVED, sent);
	store_count(s->options.w, ABI_COUNTER_SERVED_BYTES, sent ? body->loan.size : 0);
	sum_free(body->sum);
	free(body);
	next_in_turn(s, guest);
	feed_starved(s);
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

/* 0: it is lent; -EAGAIN: there is no room; else the answer, enum frame_status. */
static int lend(struct service *s, struct service_body *body)
{
	const struct link_request *request = body->request;
	struct index_key key = index_key(&s->options.store->index, request->key, request->key_size);
	int r = 0;

	if (store_now_ms() >= body->deadline_ms)
		return FRAME_BUSY;
	/* Not the first time: a look costs a hit. */
	if (body->loan.size && !may_lend(s, body))
		return -EAGAIN;
	if (store_lend(s->options.store, s->options.w, &key, &body->loan) != ABI_STATUS_OK)
		return FRAME_MISS;
	body->tier = s->options.store->index.cell[body->loan.cell].tier;
	if (!may_lend(s, body))
		r = -EAGAIN;
	else if (!is_known(s, &body->loan) && !(body->sum = sum_new()))
		r = FRAME_BUSY;
	if (r)
		store_loan_end(s->options.store, &body->loan);
	return r;
}

/* Answer the one that waits longest; frees it in the end. False: it waits on. */
static bool start_first(struct service *s, struct service_guest *guest)
{
	struct service_body *body = guest->first;
	struct link_request *request = body->request;
	int r = lend(s, body);
	struct link_body b;

	if (r == -EAGAIN)
		return false;
	wait_remove(guest, body);
	if (r) {
		guest->n_missed += r == FRAME_MISS;
		store_count(s->options.w, ABI_COUNTER_SERVE_MISSES, r == FRAME_MISS);
		free(body);
		link_refuse(request, (enum frame_status)r);
		return true;
	}
	s->lent_size[body->tier] += body->loan.size;
	guest->lent_size[body->tier] += body->loan.size;
	body->next = s->bodies;
	body->link = &s->bodies;
	if (body->next)
		body->next->link = &body->next;
	s->bodies = body;
	s->n_bodies++;
	guest->n_bodies++;
	if (s->options.lent)
		s->options.lent(s->options.context, request->key, request->key_size);
	b = describe(body);
	/* May be done, and the body gone, before this returns. */
	link_push(request, &b);
	return true;
}

/*
 * A body may be done while it is pushed, and let the next begin: that one is begun here, not
 * deeper.
 */
static void next_in_turn(struct service *s, struct service_guest *guest)
{
	if (guest->is_starting)
		return;
	guest->is_starting = true;
	starved_remove(s, guest);
	while (guest->first && guest->n_bodies < s->options.n_bodies_max) {
		if (start_first(s, guest))
			continue;
		starved_add(s, guest);
		break;
	}
	guest->is_starting = false;
}

/* There is room again: whoever waits gets a turn, and another when one was done at once. */
static void feed_starved(struct service *s)
{
	unsigned n;

	s->has_room_again = true;
	if (s->is_feeding)
		return;
	s->is_feeding = true;
	while (s->has_room_again && s->n_starved) {
		s->has_room_again = false;
		for (n = s->n_starved; n && s->starved; n--)
			next_in_turn(s, s->starved);
	}
	s->is_feeding = false;
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
	struct service_guest *guest = body->guest;

	wait_remove(guest, body);
	free(body);
	if (!guest->first)
		starved_remove(s, guest);
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
