/* SPDX-License-Identifier: Apache-2.0 */
/* rig.c: a session in private memory. */
#include "tests/clients/rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clients/lib/guard.h"
#include "clients/lib/thread.h"
#include "ipc/hash.h"

/*
 * With a real broker at the other end a test can't choose the moment at which a slot changes, nor
 * the order in which answers come. Here it can: all memory that the library takes for shared is
 * the test's own, and the library is handed a session as an attach would have made it.
 */
static void must(bool ok)
{
	if (!ok)
		abort();
}

static uint8_t *area(struct session *s, enum session_map map, size_t size)
{
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(data != MAP_FAILED);
	s->map[map] = (struct session_area){.data = data, .size = size};
	return data;
}

static void index_open(struct rig *rig)
{
	size_t bucket_off = sizeof(struct abi_index);
	size_t overflow_off = bucket_off + RIG_BUCKETS_MAX * sizeof(struct abi_bucket);
	size_t cell_off = overflow_off + RIG_OVERFLOW_MAX * sizeof(struct abi_bucket);
	size_t size = cell_off + RIG_CELLS_MAX * sizeof(struct abi_record);
	uint8_t *base = area(rig->session, SESSION_MAP_INDEX, size);

	rig->index = (void *)base;
	*rig->index = (struct abi_index){.magic = ABI_MAGIC, .fingerprint = abi_fingerprint(),
		.size = size, .hash_seed = 0x5eed, .bucket_off = bucket_off,
		.overflow_off = overflow_off, .cell_off = cell_off};
	shared_u64_store(&rig->index->n_buckets, 1);
	rig->bucket = (void *)(base + bucket_off);
	rig->overflow = (void *)(base + overflow_off);
	rig->cell = (void *)(base + cell_off);
	rig->n_cells = 1; /* 0 is no cell */
}

static void lanes_open(struct rig *rig)
{
	struct session *s = rig->session;
	int ends[2];
	uint32_t i;

	s->lane = aligned_alloc(_Alignof(struct lane), RIG_LANES * sizeof(*s->lane));
	must(s->lane != NULL);
	for (i = 0; i < RIG_LANES; i++) {
		s->lane[i] = (struct lane){.session = s, .idx = i};
		must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
		rig->doorbell[i] = ends[1];
		must(!lane_init(&s->lane[i], s, i, ends[0]));
	}
	s->n_lanes_open = RIG_LANES;
}

static void session_open(struct rig *rig, enum wire_role role)
{
	struct session *s = calloc(1, sizeof(*s));
	int ends[2];

	must(s != NULL);
	rig->session = s;
	s->serial = thread_number_draw();
	s->epoch = RIG_EPOCH;
	s->role = role;
	s->is_fenced = true;
	gate_init(&s->talk);
	s->geometry = (struct abi_geometry){.n_lanes = RIG_LANES, .n_queue = RIG_QUEUE,
		.n_holds = RIG_HOLDS, .n_log = RIG_LOG, .staging_size = RIG_STAGING};
	must(!abi_geometry_init(&s->geometry));
	rig->geometry = s->geometry;
	rig->plane = (void *)area(s, SESSION_MAP_PLANE, sizeof(struct abi_plane));
	s->plane = rig->plane;
	shared_u64_store(&rig->plane->epoch, RIG_EPOCH);
	shared_u32_store(&rig->plane->state, ABI_STATE_SERVING);
	index_open(rig);
	rig->request = area(s, SESSION_MAP_REQUEST,
		(size_t)RIG_LANES * s->geometry.request_stride);
	rig->response = area(s, SESSION_MAP_RESPONSE,
		(size_t)RIG_LANES * s->geometry.response_stride);
	rig->dram = area(s, SESSION_MAP_DRAM, RIG_DRAM);
	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	s->socket = ends[0];
	rig->socket = ends[1];
	lanes_open(rig);
}

void rig_open(struct rig *rig, enum wire_role role)
{
	struct shmc *c = aligned_alloc(_Alignof(struct shmc), sizeof(*c));

	must(c != NULL);
	memset(rig, 0, sizeof(*rig));
	session_open(rig, role);
	*c = (struct shmc){.connection.socket = -1, .timeout_ms = 10000, .name = "no-such-cache",
		.sessions = rig->session, .serial = rig->session->serial, .role = (int)role};
	pthread_mutex_init(&c->lock, NULL);
	gate_init(&c->attach_gate);
	must(!guard_new(&c->alive));
	must(!registry_add(c));
	rig->cache = c;
}

void rig_close(struct rig *rig)
{
	unsigned i;

	shmc_detach(rig->cache);
	for (i = 0; i < RIG_LANES; i++)
		if (rig->doorbell[i] >= 0)
			close(rig->doorbell[i]);
	if (rig->socket >= 0)
		close(rig->socket);
}

static uint8_t *request_base(const struct rig *rig, unsigned lane)
{
	return rig->request + (size_t)lane * rig->geometry.request_stride;
}

struct abi_lane_request *rig_request(const struct rig *rig, unsigned lane)
{
	return (void *)request_base(rig, lane);
}

struct abi_lane_response *rig_response(const struct rig *rig, unsigned lane)
{
	return (void *)(rig->response + (size_t)lane * rig->geometry.response_stride);
}

struct shared_u64 *rig_holds(const struct rig *rig, unsigned lane)
{
	return (void *)(request_base(rig, lane) + rig->geometry.hold_off);
}

uint8_t *rig_staging(const struct rig *rig, unsigned lane)
{
	return request_base(rig, lane) + rig->geometry.staging_off;
}

unsigned rig_n_sessions(struct rig *rig)
{
	const struct session *s;
	unsigned n = 0;

	pthread_mutex_lock(&rig->cache->lock);
	for (s = rig->cache->sessions; s; s = s->next)
		n++;
	pthread_mutex_unlock(&rig->cache->lock);
	return n;
}

unsigned rig_n_held(const struct rig *rig)
{
	unsigned lane, i, n = 0;

	for (lane = 0; lane < RIG_LANES; lane++)
		for (i = 0; i < RIG_HOLDS; i++)
			n += shared_u64_load(&rig_holds(rig, lane)[i]) != 0;
	return n;
}

/* --- the index -------------------------------------------------------------------------------- */

uint64_t rig_hash(const struct rig *rig, const void *key, size_t size)
{
	return hash_bytes(rig->index->hash_seed, key, size);
}

/* The hints and what of the key does not fit the record, in tail cells. */
static void write_tail(struct rig *rig, struct abi_record *record, const struct rig_entry *e)
{
	size_t inline_size = e->key_size < ABI_KEY_INLINE ? e->key_size : ABI_KEY_INLINE;
	uint8_t bytes[sizeof(struct abi_hints) + ABI_KEY_SIZE_MAX];
	uint32_t *link = &record->tail;
	struct abi_tail *tail;
	size_t size = 0, at, part;

	memcpy(record->key, e->key, inline_size);
	if (e->hints) {
		record->flags |= ABI_RECORD_HINTS;
		memcpy(bytes, e->hints, sizeof(*e->hints));
		size = sizeof(*e->hints);
	}
	memcpy(bytes + size, (const uint8_t *)e->key + inline_size, e->key_size - inline_size);
	size += e->key_size - inline_size;
	for (at = 0; at < size; at += part) {
		part = size - at < ABI_TAIL_BYTES ? size - at : ABI_TAIL_BYTES;
		must(rig->n_cells < RIG_CELLS_MAX);
		*link = rig->n_cells;
		tail = (struct abi_tail *)&rig->cell[rig->n_cells++];
		memcpy(tail->bytes, bytes + at, part);
		link = &tail->next;
	}
}

uint64_t rig_record(struct rig *rig, const struct rig_entry *e)
{
	uint32_t n = rig->n_cells++;
	struct abi_record *record = &rig->cell[n];

	must(n < RIG_CELLS_MAX && rig->n_dram + e->value_size <= RIG_DRAM);
	*record = (struct abi_record){.value_off = rig->n_dram,
		.value_size = (uint32_t)e->value_size, .key_size = (uint16_t)e->key_size,
		.tier = ABI_TIER_DRAM, .generation = 1};
	shared_u64_store(&record->expire_ms, e->expire_ms);
	memcpy(rig->dram + rig->n_dram, e->value, e->value_size);
	rig->n_dram += (e->value_size + 63) & ~(uint64_t)63;
	write_tail(rig, record, e);
	return abi_word(n, 1, rig_hash(rig, e->key, e->key_size));
}

struct shared_u64 *rig_publish(struct rig *rig, uint64_t word, uint64_t hash)
{
	struct abi_bucket *b =
		&rig->bucket[lookup_bucket_idx(hash, shared_u64_load(&rig->index->n_buckets))];
	uint64_t link;
	unsigned i;

	for (;;) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			if (!shared_u64_load(&b->slot[i])) {
				shared_u64_store_release(&b->slot[i], word);
				return &b->slot[i];
			}
		}
		link = shared_u64_load(&b->link);
		if (!link) {
			must(rig->n_overflow < RIG_OVERFLOW_MAX);
			link = ++rig->n_overflow;
			shared_u64_store_release(&b->link, link);
		}
		b = &rig->overflow[link - 1];
	}
}

struct shared_u64 *rig_store(struct rig *rig, const char *key, const char *value)
{
	struct rig_entry e = {.key = key, .key_size = strlen(key), .value = value,
		.value_size = strlen(value)};

	return rig_publish(rig, rig_record(rig, &e), rig_hash(rig, key, e.key_size));
}

/* Where a key's word is. Its hash can't be had from the word, so it is made anew. */
static uint64_t word_hash(const struct rig *rig, uint64_t word)
{
	const struct abi_record *record = &rig->cell[abi_word_cell(word)];
	struct lookup l;
	uint8_t key[ABI_KEY_SIZE_MAX];

	lookup_init(&l, rig->index);
	lookup_record_key(&l, record, key);
	return rig_hash(rig, key, record->key_size);
}

void rig_split(struct rig *rig)
{
	uint64_t n = shared_u64_load(&rig->index->n_buckets);
	uint64_t low = (UINT64_C(1) << (63 - __builtin_clzll(n))) - 1;
	struct abi_bucket *from = &rig->bucket[n & low], *to = &rig->bucket[n], *b;
	struct shared_u64 *moved[ABI_BUCKET_SLOTS * (RIG_OVERFLOW_MAX + 1)];
	unsigned i, n_moved = 0, n_to = 0;
	uint64_t word;

	must(n < RIG_BUCKETS_MAX);
	for (b = from; b; b = shared_u64_load(&b->link) ?
			&rig->overflow[shared_u64_load(&b->link) - 1] : NULL) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			word = shared_u64_load(&b->slot[i]);
			if (!word || lookup_bucket_idx(word_hash(rig, word), n + 1) != n)
				continue;
			moved[n_moved++] = &b->slot[i];
			if (n_to == ABI_BUCKET_SLOTS) {
				must(rig->n_overflow < RIG_OVERFLOW_MAX);
				shared_u64_store_release(&to->link, ++rig->n_overflow);
				to = &rig->overflow[rig->n_overflow - 1];
				n_to = 0;
			}
			shared_u64_store_release(&to->slot[n_to++], word);
		}
	}
	shared_u64_store_release(&rig->index->n_buckets, n + 1);
	for (i = 0; i < n_moved; i++)
		shared_u64_store_release(moved[i], 0);
}

/* --- the rings -------------------------------------------------------------------------------- */

bool rig_take(struct rig *rig, unsigned lane, struct submission *s)
{
	struct abi_submission *ring =
		(void *)(request_base(rig, lane) + rig->geometry.submission_off);
	struct abi_submission *slot = &ring[rig->consumed[lane] % RIG_QUEUE];

	if (!submission_is_there(slot, rig->consumed[lane]))
		return false;
	must(submission_snapshot(slot, s) == ABI_FAULT_NONE);
	rig->consumed[lane]++;
	return true;
}

void rig_answer(struct rig *rig, unsigned lane, uint32_t id, enum abi_status status,
	uint64_t result0, uint64_t result1)
{
	struct abi_completion *ring =
		(void *)((uint8_t *)rig_response(rig, lane) + rig->geometry.completion_off);
	struct completion c = {.id = id, .status = status, .result = {result0, result1}};

	must(rig->completed[lane] -
			shared_u64_load_acquire(&rig_request(rig, lane)->reaped) < RIG_QUEUE);
	completion_publish(&ring[rig->completed[lane] % RIG_QUEUE], rig->completed[lane], &c);
	rig->completed[lane]++;
	shared_fence();
	if (shared_u32_load(&rig_request(rig, lane)->need_wakeup))
		wire_ring(rig->doorbell[lane]);
}

unsigned rig_bell(struct rig *rig, unsigned lane)
{
	char bytes[256];
	ssize_t n = recv(rig->doorbell[lane], bytes, sizeof(bytes), MSG_DONTWAIT);

	return n > 0 ? (unsigned)n : 0;
}
