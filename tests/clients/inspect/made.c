/* SPDX-License-Identifier: Apache-2.0 */
/*
 * made.c: a small cache in private memory, the same each time, to be looked at and spoilt.
 *
 * Written by hand from abi.h, and not by the broker's code, so that what the inspector says of it
 * is held against the protocol and not against another reading of it.
 */
#include "tests/clients/inspect/made.h"

#include <stdlib.h>
#include <string.h>

#include "ipc/hash.h"

#define SEED 42

static void *zeroed(size_t size)
{
	void *p = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);

	if (!p)
		abort();
	return memset(p, 0, size);
}

/* --- the index -------------------------------------------------------------------------------- */

static void make_index(struct made *m)
{
	struct abi_index *h;
	uint64_t size = 4096 + ABI_CELL * (MADE_BUCKETS_MAX + MADE_OVERFLOW_MAX + MADE_CELLS_MAX);

	m->index = h = zeroed(size);
	m->index_size = size;
	h->magic = ABI_MAGIC;
	h->fingerprint = abi_fingerprint();
	h->size = size;
	h->hash_seed = SEED;
	h->bucket_off = 4096;
	h->overflow_off = h->bucket_off + MADE_BUCKETS_MAX * ABI_CELL;
	h->cell_off = h->overflow_off + MADE_OVERFLOW_MAX * ABI_CELL;
	h->n_buckets_max = MADE_BUCKETS_MAX;
	h->n_overflow_max = MADE_OVERFLOW_MAX;
	h->n_cells_max = MADE_CELLS_MAX;
	h->dram_size = MADE_DRAM;
	h->cxl_size = MADE_CXL;
	shared_u64_store(&h->n_buckets, MADE_BUCKETS);
	shared_u64_store(&h->n_buckets_backed, MADE_BUCKETS_MAX);
	shared_u64_store(&h->n_overflow_backed, MADE_OVERFLOW_MAX);
	shared_u64_store(&h->n_cells_backed, MADE_CELLS_MAX);
	m->bucket = (void *)((char *)h + h->bucket_off);
	m->overflow = (void *)((char *)h + h->overflow_off);
	m->cell = (void *)((char *)h + h->cell_off);
	m->n_cells = 1;
}

static uint64_t hash_of(const char *key)
{
	return hash_bytes(SEED, key, strlen(key));
}

static void write_tails(struct made *m, struct abi_record *r, const struct abi_hints *hints,
	const char *rest, size_t size)
{
	uint32_t *link = &r->tail;
	size_t off = 0, part;
	struct abi_tail *tail;

	while (hints || size) {
		*link = m->n_cells;
		tail = (struct abi_tail *)&m->cell[m->n_cells++];
		link = &tail->next;
		tail->mark = ABI_TAIL_MARK;
		if (hints) {
			memcpy(tail->bytes, hints, sizeof(*hints));
			off = sizeof(*hints);
			hints = NULL;
		}
		part = ABI_TAIL_BYTES - off < size ? ABI_TAIL_BYTES - off : size;
		memcpy(tail->bytes + off, rest, part);
		rest += part;
		size -= part;
		off = 0;
	}
}

static uint32_t write_record(struct made *m, const char *key, unsigned tier, uint32_t value_size,
	const struct abi_hints *hints, uint64_t expire_ms)
{
	uint64_t *end = tier == ABI_TIER_DRAM ? &m->n_dram : &m->n_cxl;
	size_t size = strlen(key), first = size < ABI_KEY_INLINE ? size : ABI_KEY_INLINE;
	uint32_t cell = m->n_cells++;
	struct abi_record *r = &m->cell[cell];

	if (value_size >= ABI_VALUE_LARGE)
		*end = (*end + 4095) & ~UINT64_C(4095);
	r->value_off = *end;
	r->value_size = value_size;
	r->key_size = (uint16_t)size;
	r->tier = (uint8_t)tier;
	r->flags = hints ? ABI_RECORD_HINTS : 0;
	r->generation = 1000 + cell;
	shared_u64_store(&r->expire_ms, expire_ms);
	memcpy(r->key, key, first);
	write_tails(m, r, hints, key + first, size - first);
	*end += (value_size + 63) & ~63U;
	return cell;
}

static struct shared_u64 *free_slot(struct made *m, uint64_t hash)
{
	struct abi_bucket *b = &m->bucket[lookup_bucket_idx(hash, MADE_BUCKETS)];
	unsigned i;

	for (;;) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++)
			if (!shared_u64_load(&b->slot[i]))
				return &b->slot[i];
		if (!shared_u64_load(&b->link))
			shared_u64_store(&b->link, ++m->n_overflow);
		b = &m->overflow[shared_u64_load(&b->link) - 1];
	}
}

static void add(struct shared_u64 *word, uint64_t n)
{
	shared_u64_add(word, n);
}

/* Gauges of a tier: used, largest free, entries. */
static void count_block(struct made *m, unsigned tier, uint64_t block, uint64_t n_entries)
{
	struct shared_u64 *g = &m->plane->gauge[
		tier == ABI_TIER_DRAM ? ABI_GAUGE_DRAM_BYTES : ABI_GAUGE_CXL_BYTES];

	add(&g[1], block);
	shared_u64_store(&g[2], tier == ABI_TIER_DRAM ? MADE_DRAM - m->n_dram
		: MADE_CXL - m->n_cxl);
	add(&g[3], n_entries);
}

struct shared_u64 *made_put(struct made *m, const char *key, unsigned tier, uint32_t value_size,
	const struct abi_hints *hints, uint64_t expire_ms)
{
	uint32_t cell = write_record(m, key, tier, value_size, hints, expire_ms);
	struct shared_u64 *slot = free_slot(m, hash_of(key));

	shared_u64_store(slot, abi_word(cell, m->cell[cell].generation, hash_of(key)));
	count_block(m, tier, (value_size + 63) & ~63U, 1);
	add(&m->plane->gauge[ABI_GAUGE_ENTRIES], 1);
	add(&m->plane->worker[0].counter[ABI_COUNTER_PUTS], 1);
	add(&m->plane->worker[0].counter[ABI_COUNTER_PUT_BYTES], value_size);
	return slot;
}

struct shared_u64 *made_slot(const struct made *m, const char *key)
{
	uint64_t hash = hash_of(key), word, link;
	struct abi_bucket *b = &m->bucket[lookup_bucket_idx(hash, MADE_BUCKETS)];
	unsigned i;

	for (;;) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			word = shared_u64_load(&b->slot[i]);
			if (word && m->cell[abi_word_cell(word)].key_size == strlen(key) &&
				!memcmp(m->cell[abi_word_cell(word)].key, key,
					strlen(key) < 32 ? strlen(key) : 32))
				return &b->slot[i];
		}
		link = shared_u64_load(&b->link);
		if (!link)
			abort();
		b = &m->overflow[link - 1];
	}
}

struct abi_record *made_record(const struct made *m, const char *key)
{
	return &m->cell[abi_word_cell(shared_u64_load(made_slot(m, key)))];
}

/* Deleted while it is held: no slot names it, its mark says that it has its block. */
static uint64_t make_retired(struct made *m)
{
	uint32_t cell = write_record(m, "gone but held", ABI_TIER_DRAM, 3000, NULL,
		ABI_RECORD_RETIRED);

	count_block(m, ABI_TIER_DRAM, (3000 + 63) & ~63U, 0);
	add(&m->plane->worker[0].counter[ABI_COUNTER_PUTS], 1);
	add(&m->plane->worker[0].counter[ABI_COUNTER_DELETES], 1);
	add(&m->plane->gauge[ABI_GAUGE_LIMBO_BYTES], (3000 + 63) & ~63U);
	return abi_word(cell, m->cell[cell].generation, hash_of("gone but held"));
}

static void make_entries(struct made *m)
{
	static const struct abi_hints hints = {.group = 77, .position = 3, .priority = 9};
	char key[400];
	unsigned i, n;

	made_put(m, "alpha", ABI_TIER_DRAM, 5, NULL, 0);
	made_put(m, "beta", ABI_TIER_DRAM, 1000, NULL, MADE_NOW + 3600000);
	made_put(m, "gamma", ABI_TIER_CXL, 100000, &hints, 0);
	memset(key, 'k', sizeof(key));
	memcpy(key, "long", 4);
	key[300] = '\0';
	made_put(m, key, ABI_TIER_DRAM, 70000, &hints, 0);
	made_put(m, "\x01\xff\n", ABI_TIER_DRAM, 64, NULL, 0);
	/* More than one bucket holds, in bucket 1. */
	for (i = 0, n = 0; n < 9; i++) {
		snprintf(key, sizeof(key), "crowd-%u", i);
		if (lookup_bucket_idx(hash_of(key), MADE_BUCKETS) != 1)
			continue;
		made_put(m, key, ABI_TIER_CXL, 10 + n, NULL, 0);
		n++;
	}
}

/* --- plane and session ------------------------------------------------------------------------ */

static void make_plane(struct made *m)
{
	struct abi_plane *p;

	m->plane_size = sizeof(*p) + MADE_LINES * sizeof(struct abi_session);
	m->plane_size = (m->plane_size + 4095) & ~(size_t)4095;
	m->plane = p = zeroed(m->plane_size);
	p->magic = ABI_MAGIC;
	p->version = ABI_VERSION;
	p->fingerprint = abi_fingerprint();
	p->size = m->plane_size;
	p->n_sessions_max = MADE_LINES;
	snprintf(p->name, sizeof(p->name), "made");
	snprintf(p->socket_path, sizeof(p->socket_path), "/dev/shm/made.sock");
	shared_u64_store(&p->epoch, 3);
	shared_u32_store(&p->state, ABI_STATE_SERVING);
	shared_u32_store(&p->broker_pid, MADE_PID);
	shared_u64_store(&p->start_ms, MADE_NOW - 65000);
	shared_u32_store(&p->n_workers, 1);
	shared_u32_store(&p->worker[0].need_wakeup, 1);
	shared_u32_store(&p->worker[ABI_MOVER].need_wakeup, 1);
	shared_u64_store(&p->gauge[ABI_GAUGE_DRAM_BYTES], MADE_DRAM);
	shared_u64_store(&p->gauge[ABI_GAUGE_CXL_BYTES], MADE_CXL);
	shared_u64_store(&p->gauge[ABI_GAUGE_INDEX_BYTES], 8192);
	shared_u64_store(&p->gauge[ABI_GAUGE_BOOKS_BYTES], 4096);
	shared_u64_store(&p->gauge[ABI_GAUGE_SESSIONS_NOW], 1);
}

struct abi_lane_request *made_request(const struct made *m, unsigned lane)
{
	return (void *)(m->request + (size_t)lane * m->geometry.request_stride);
}

struct abi_lane_response *made_response(const struct made *m, unsigned lane)
{
	return (void *)(m->response + (size_t)lane * m->geometry.response_stride);
}

struct abi_submission *made_submission(const struct made *m, unsigned lane, unsigned slot)
{
	return (struct abi_submission *)((char *)made_request(m, lane) +
			m->geometry.submission_off) + slot;
}

struct abi_completion *made_completion(const struct made *m, unsigned lane, unsigned slot)
{
	return (struct abi_completion *)((char *)made_response(m, lane) +
			m->geometry.completion_off) + slot;
}

struct abi_submission *made_elsewhere(const struct made *m, unsigned lane, unsigned place)
{
	return (struct abi_submission *)((char *)made_response(m, lane) +
			m->geometry.elsewhere_off) + place;
}

struct shared_u64 *made_hold(const struct made *m, unsigned lane, unsigned cell)
{
	return (struct shared_u64 *)((char *)made_request(m, lane) + m->geometry.hold_off) + cell;
}

static void submit(struct made *m, unsigned lane, uint64_t at, struct submission s, const char *key,
	uint32_t off)
{
	char *staging = (char *)made_request(m, lane) + m->geometry.staging_off;

	if (key) {
		s.key_size = (uint16_t)strlen(key);
		s.staging_off = off;
		memcpy(staging + off, key, s.key_size);
	}
	submission_publish(made_submission(m, lane, at % MADE_QUEUE), at, &s);
}

static void publish_answer(struct made *m, unsigned lane, uint64_t at, uint32_t id,
	enum abi_status status)
{
	struct completion c = {.id = id, .status = status};

	completion_publish(made_completion(m, lane, at % MADE_QUEUE), at, &c);
}

/* 18 requests on the first lane: 15 reaped, one answered, two without an answer. */
static void make_rings(struct made *m)
{
	struct abi_lane_request *q = made_request(m, 0);
	uint64_t i;

	for (i = 0; i < 15; i++)
		submit(m, 0, i, (struct submission){.operation = ABI_OP_PING, .since_ms = 500},
			NULL, 0);
	submit(m, 0, 15, (struct submission){.operation = ABI_OP_DELETE, .id = 1,
		.since_ms = 80000},
		"gone but held", 0);
	submit(m, 0, 16, (struct submission){.operation = ABI_OP_PUT, .id = 2, .value_size = 1234,
		.flags = SUBMISSION_IF_ABSENT, .argument = 5000, .since_ms = 87700},
			"stuck \x01 put",
		4096);
	submit(m, 0, 17, (struct submission){.operation = ABI_OP_WRITE, .id = 3, .value_size = 4096,
		.group = 8192, .argument = 0x500000007, .since_ms = 99000}, NULL, 0);
	for (i = 0; i < 16; i++)
		publish_answer(m, 0, i, i == 15, ABI_STATUS_OK);
	shared_u64_store(&q->reaped, 15);
	shared_u64_store(&q->submitted, 18);
	shared_u64_store(&made_response(m, 0)->consumed, 16);
	shared_u32_store(&q->need_wakeup, 1);
	shared_u64_store(&q->hits, 200);
	shared_u64_store(&q->misses, 7);
}

/*
 * Each request's number is its position, but for three that have the same one after the other: the
 * first was answered and reaped, the second answered, the third is elsewhere. So is another, whose
 * slot has another request since; and so has that of an answer that was not taken.
 */
void made_fetches(struct made *m)
{
	static const uint32_t id[20] = {
		0, 1, 2, 3, 4, 15, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15, 17, 18, 19};
	static const uint32_t order[16] = {0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, 15, 3};
	struct submission s = {.since_ms = 60000};
	struct abi_lane_request *q = made_request(m, 1);
	uint32_t i;

	for (i = 0; i < 20; i++, s.since_ms += 1000) {
		s.operation = i < 16 ? ABI_OP_FETCH : ABI_OP_DELETE;
		s.flags = i == 16 ? SUBMISSION_CLUSTER : 0;
		s.id = id[i];
		submit(m, 1, i, s, i < 16 ? "far away" : "old news", i < 16 ? 0 : 4096);
	}
	s = (struct submission){.operation = ABI_OP_FETCH, .id = 2, .key_size = 8,
		.since_ms = 70000, .argument = 60000, .group = 5, .flags = SUBMISSION_PREFETCH};
	submission_show(made_elsewhere(m, 1, 1), 2, &s);
	s = (struct submission){.operation = ABI_OP_DELETE, .id = 15, .key_size = 8,
		.since_ms = 98000, .staging_off = 4096, .flags = SUBMISSION_CLUSTER};
	submission_show(made_elsewhere(m, 1, 4), 16, &s);
	for (i = 0; i < 16; i++)
		publish_answer(m, 1, i, id[order[i]], i < 14 ? ABI_STATUS_OK : ABI_STATUS_MISS);
	shared_u64_store(&q->reaped, 14);
	shared_u64_store(&q->submitted, 20);
	shared_u64_store(&made_response(m, 1)->consumed, 18);
}

static void make_session(struct made *m, uint64_t retired)
{
	struct abi_session *line = &m->plane->session[1];
	struct shared_u32 *log;
	unsigned i;

	m->geometry = (struct abi_geometry){.n_lanes = MADE_LANES, .n_queue = MADE_QUEUE,
		.n_holds = MADE_HOLDS, .n_log = MADE_LOG, .staging_size = MADE_STAGING};
	if (abi_geometry_init(&m->geometry))
		abort();
	m->request = zeroed((size_t)MADE_LANES * m->geometry.request_stride);
	m->response = zeroed((size_t)MADE_LANES * m->geometry.response_stride);
	shared_u64_store(&line->id, 12);
	shared_u32_store(&line->pid, MADE_PID + 1);
	shared_u32_store(&line->uid, 1000);
	shared_u32_store(&line->role, WIRE_ROLE_WRITER);
	shared_u32_store(&line->n_lanes, MADE_LANES);
	shared_u64_store(&line->attached_ms, 1600000000000);
	shared_u64_store(&line->held_since_ms, 50000);
	make_rings(m);
	for (i = 0; i < MADE_LANES; i++)
		shared_u64_store(&made_request(m, i)->holds_used, 3);
	shared_u64_store(made_hold(m, 0, 0), retired);
	shared_u64_store(made_hold(m, 0, 2), shared_u64_load(made_slot(m, "beta")));
	shared_u64_store(made_hold(m, 1, 0), shared_u64_load(made_slot(m, "beta")));
	log = (void *)((char *)made_request(m, 0) + m->geometry.log_off);
	for (i = 0; i < 10; i++)
		shared_u32_store(&log[i], abi_word_cell(shared_u64_load(
			made_slot(m, i % 3 ? "alpha" : "beta"))));
	shared_u64_store(&made_request(m, 0)->logged, 10);
}

/* --- looking ---------------------------------------------------------------------------------- */

void made_open(struct made *m)
{
	uint64_t retired;

	memset(m, 0, sizeof(*m));
	make_plane(m);
	make_index(m);
	make_entries(m);
	retired = make_retired(m);
	make_session(m, retired);
}

int made_look(struct made *m, char *why, size_t why_size)
{
	struct image *image = &m->image;
	struct image_session *s;
	int r;

	image_close(image);
	snprintf(image->name, sizeof(image->name), "made");
	image->now_ms = MADE_NOW;
	image->real_ms = 1600000065000;
	image->broker = (struct image_process){MADE_PID, 'T', "shmcached"};
	s = image->session = calloc(1, sizeof(*s));
	if (!s || area_add(&image->plane_area, 0, m->plane_size, (void *)m->plane) ||
		area_add(&image->index_area, 0, m->index_size, (void *)m->index))
		abort();
	image->n_sessions = 1;
	*s = (struct image_session){.line = 1, .id = 12, .geometry = m->geometry,
		.process = {MADE_PID + 1, 'S', "engine"}};
	if (area_add(&s->request, 0, (uint64_t)MADE_LANES * m->geometry.request_stride,
		m->request) ||
		area_add(&s->response, 0, (uint64_t)MADE_LANES * m->geometry.response_stride,
			m->response))
		abort();
	r = image_settle_plane(image, why, why_size);
	if (!r)
		image_settle_index(image);
	return r;
}

void made_close(struct made *m)
{
	image_close(&m->image);
	free(m->plane);
	free(m->index);
	free(m->request);
	free(m->response);
}
