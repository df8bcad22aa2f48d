/* SPDX-License-Identifier: Apache-2.0 */
/* index.c: finding, publishing and freeing of records. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shmcache/index.h"

/*
 * The index is a table of buckets of one cache line: seven slot words and a link to an overflow
 * bucket. A slot word names a record by cell number. Cells are lines of their own, so a lookup
 * costs three cache misses at worst: bucket, record, value.
 *
 * Who may look while we write? Readers of other processes look at any time. Each change that they
 * can see is therefore one store of one word with release: a slot (publish, replace, remove), a
 * link (an overflow bucket joins its chain, filled), the number of buckets (see index-grow.c). What
 * a word leads to was written before it, and is not rewritten before reclaim.c has made sure that
 * no reader is left.
 *
 * An overflow bucket that has become empty is unlinked and may join another chain at once, while a
 * reader still walks through it. That is harmless: it stays a bucket for ever, so whatever word the
 * reader finds there names a record that is published, it holds that and compares the key. And it
 * can't miss its own key: words never move within a chain, so an overflow bucket with the key in it
 * is not empty, and a split is noticed by the number of buckets.
 */
static void map_arrays(struct index *ix)
{
	char *base = (char *)ix->head;

	ix->bucket = (void *)(base + ix->head->bucket_off);
	ix->overflow = (void *)(base + ix->head->overflow_off);
	ix->cell = (void *)(base + ix->head->cell_off);
	lookup_init(&ix->lookup, ix->head);
}

/* Private arrays as large as the shared ones may get; only touched pages cost memory. */
static int map_books(struct index *ix)
{
	size_t meta = ix->head->n_cells_max * sizeof(*ix->meta);
	size_t next = ix->head->n_overflow_max * sizeof(*ix->overflow_next);

	ix->meta = mmap(NULL, meta, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ix->overflow_next = mmap(NULL, next, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ix->meta == MAP_FAILED || ix->overflow_next == MAP_FAILED)
		return -ENOMEM;
	madvise(ix->meta, meta, MADV_HUGEPAGE);
	return 0;
}

/*
 * The geometry follows from the bound on memory: as many cells as that holds together with the
 * buckets that they need, so that cells alone can't use it up.
 */
static void set_geometry(struct abi_index *head, uint64_t size_max)
{
	uint64_t n_cells = size_max / (ABI_CELL + ABI_CELL / 4);

	if (n_cells > UINT32_MAX - 1)
		n_cells = UINT32_MAX - 1;
	if (n_cells < 4096)
		n_cells = 4096;
	n_cells &= ~UINT64_C(4095);
	head->n_cells_max = n_cells;
	head->n_buckets_max = n_cells / 4;
	head->n_overflow_max = n_cells / 8;
	head->bucket_off = 4096;
	head->overflow_off = head->bucket_off + head->n_buckets_max * ABI_CELL;
	head->cell_off = head->overflow_off + head->n_overflow_max * ABI_CELL;
	head->size = head->cell_off + head->n_cells_max * ABI_CELL;
}

static int open_read_only(struct index *ix, char *why, size_t why_size)
{
	int r;

	ix->read_fd = shm_open(ix->name, O_RDONLY | O_CLOEXEC, 0);
	if (ix->read_fd >= 0)
		return 0;
	r = -errno;
	snprintf(why, why_size, "can't open the index %s for reading: %s", ix->name, strerror(-r));
	return r;
}

static int map_head(struct index *ix, uint64_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, ix->fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	ix->head = map;
	return 0;
}

#define N_BUCKETS_AT_FIRST 1024

int index_create(struct index *ix, const char *name, uint64_t size_max, uint64_t dram_size,
	uint64_t cxl_size, char *why, size_t why_size)
{
	struct abi_index head = {
		.magic = ABI_MAGIC,
		.fingerprint = abi_fingerprint(),
		.dram_size = dram_size,
		.cxl_size = cxl_size,
	};
	int r;

	memset(ix, 0, sizeof(*ix));
	ix->fd = ix->read_fd = -1;
	ix->size_max = size_max;
	snprintf(ix->name, sizeof(ix->name), "%s", name);
	set_geometry(&head, size_max);
	if (getrandom(&head.hash_seed, sizeof(head.hash_seed), 0) != sizeof(head.hash_seed))
		return -EIO;

	ix->fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (ix->fd < 0 || ftruncate(ix->fd, (off_t)head.size) < 0) {
		r = -errno;
		snprintf(why, why_size, "can't create the index %s: %s", name, strerror(-r));
		goto fail;
	}
	r = -posix_fallocate(ix->fd, 0, 4096);
	if (!r)
		r = map_head(ix, head.size);
	if (r) {
		snprintf(why, why_size, "can't map the index %s: %s", name, strerror(-r));
		goto fail;
	}
	memcpy(ix->head, &head, sizeof(head));
	map_arrays(ix);
	ix->backed = 4096;
	ix->n_cells = 1; /* cell 0 is no cell: a word of 0 is an empty slot */
	r = map_books(ix);
	if (!r)
		r = index_back(ix, &ix->head->n_buckets_backed, head.bucket_off, ABI_CELL,
			N_BUCKETS_AT_FIRST, head.n_buckets_max);
	if (r) {
		r = r == INDEX_FULL ? -ENOSPC : r;
		snprintf(why, why_size, "no memory for the index %s: %s", name, strerror(-r));
		goto fail;
	}
	ix->n_buckets = N_BUCKETS_AT_FIRST;
	shared_u64_store_release(&ix->head->n_buckets, ix->n_buckets);
	r = open_read_only(ix, why, why_size);
	if (r)
		goto fail;
	return 0;
fail:
	index_close(ix, ix->fd >= 0);
	return r;
}

/* Is the head that someone left here one of ours, and within the file? */
static bool head_is_sane(const struct abi_index *head, uint64_t file_size, uint64_t size_max,
	uint64_t dram_size, uint64_t cxl_size)
{
	struct abi_index want = {0};
	uint64_t n = shared_u64_load(&head->n_buckets);

	set_geometry(&want, size_max);
	return head->magic == ABI_MAGIC && head->fingerprint == abi_fingerprint() &&
		head->size == want.size && file_size == want.size &&
		head->bucket_off == want.bucket_off && head->overflow_off == want.overflow_off &&
		head->cell_off == want.cell_off && head->n_buckets_max == want.n_buckets_max &&
		head->n_overflow_max == want.n_overflow_max &&
		head->n_cells_max == want.n_cells_max && head->dram_size == dram_size &&
		head->cxl_size == cxl_size && n >= N_BUCKETS_AT_FIRST &&
		n <= shared_u64_load(&head->n_buckets_backed) &&
		shared_u64_load(&head->n_buckets_backed) <= head->n_buckets_max &&
		shared_u64_load(&head->n_overflow_backed) <= head->n_overflow_max &&
		shared_u64_load(&head->n_cells_backed) <= head->n_cells_max;
}

int index_reuse(struct index *ix, const char *name, uint64_t size_max, uint64_t dram_size,
	uint64_t cxl_size, char *why, size_t why_size)
{
	struct stat st;
	int r;

	memset(ix, 0, sizeof(*ix));
	ix->fd = ix->read_fd = -1;
	ix->size_max = size_max;
	snprintf(ix->name, sizeof(ix->name), "%s", name);
	ix->fd = shm_open(name, O_RDWR | O_CLOEXEC, 0600);
	if (ix->fd < 0 || fstat(ix->fd, &st) < 0) {
		r = -errno;
		snprintf(why, why_size, "can't open the index %s: %s", name, strerror(-r));
		goto fail;
	}
	r = -EUCLEAN;
	if (st.st_uid != geteuid() || (st.st_mode & 077)) {
		snprintf(why, why_size, "the index %s belongs to another user or is open to others", name);
		goto fail;
	}
	if (st.st_size >= (off_t)sizeof(struct abi_index)) {
		r = map_head(ix, (uint64_t)st.st_size);
		if (r) {
			snprintf(why, why_size, "can't map the index %s: %s", name, strerror(-r));
			goto fail;
		}
		r = -EUCLEAN;
	}
	if (!ix->head || !head_is_sane(ix->head, (uint64_t)st.st_size, size_max, dram_size, cxl_size)) {
		snprintf(why, why_size,
			"the index %s was made by another build, for other sizes, or is damaged", name);
		if (ix->head)
			munmap(ix->head, (size_t)st.st_size);
		ix->head = NULL;
		goto fail;
	}
	map_arrays(ix);
	r = map_books(ix);
	if (!r)
		r = open_read_only(ix, why, why_size);
	if (r)
		goto fail;
	ix->n_buckets = shared_u64_load(&ix->head->n_buckets);
	ix->backed = 4096 + ABI_CELL * (shared_u64_load(&ix->head->n_buckets_backed) +
		shared_u64_load(&ix->head->n_overflow_backed) +
		shared_u64_load(&ix->head->n_cells_backed));
	return 0;
fail:
	index_close(ix, false);
	return r;
}

void index_close(struct index *ix, bool unlink)
{
	if (ix->meta && ix->meta != MAP_FAILED)
		munmap(ix->meta, ix->head->n_cells_max * sizeof(*ix->meta));
	if (ix->overflow_next && (void *)ix->overflow_next != MAP_FAILED)
		munmap(ix->overflow_next, ix->head->n_overflow_max * sizeof(*ix->overflow_next));
	if (ix->head)
		munmap(ix->head, ix->head->size);
	if (ix->fd >= 0)
		close(ix->fd);
	if (ix->read_fd >= 0)
		close(ix->read_fd);
	if (unlink)
		shm_unlink(ix->name);
	memset(ix, 0, sizeof(*ix));
	ix->fd = ix->read_fd = -1;
}

/* --- find ------------------------------------------------------------------------------------- */

struct shared_u64 *index_find(const struct index *ix, const struct index_key *key, uint32_t *cell)
{
	struct abi_bucket *b = &ix->bucket[lookup_bucket_idx(key->hash, ix->n_buckets)];
	uint64_t word, link;
	int i;

	for (;;) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			word = shared_u64_load_acquire(&b->slot[i]);
			if (!word || abi_word_tag(word) != key->hash >> 48)
				continue;
			*cell = abi_word_cell(word);
			if (lookup_record_matches(&ix->lookup, &ix->cell[*cell], key->data, key->size))
				return &b->slot[i];
		}
		link = shared_u64_load_acquire(&b->link);
		if (!link)
			return NULL;
		b = &ix->overflow[link - 1];
	}
}

struct index_key index_key_of(const struct index *ix, uint32_t cell, void *buffer)
{
	lookup_record_key(&ix->lookup, &ix->cell[cell], buffer);
	return index_key(ix, buffer, ix->cell[cell].key_size);
}

struct shared_u64 *index_slot_of(const struct index *ix, uint32_t cell)
{
	char buffer[ABI_KEY_SIZE_MAX];
	struct index_key key = index_key_of(ix, cell, buffer);
	uint64_t word = abi_word(cell, ix->cell[cell].generation, key.hash), link;
	struct abi_bucket *b = &ix->bucket[lookup_bucket_idx(key.hash, ix->n_buckets)];
	int i;

	for (;;) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++)
			if (shared_u64_load(&b->slot[i]) == word)
				return &b->slot[i];
		link = shared_u64_load(&b->link);
		if (!link)
			return NULL;
		b = &ix->overflow[link - 1];
	}
}

/* --- open and free ---------------------------------------------------------------------------- */

static void free_tails(struct index *ix, uint32_t tail)
{
	uint32_t next;

	for (; tail; tail = next) {
		next = ((struct abi_tail *)&ix->cell[tail])->next;
		index_cell_give(ix, tail);
	}
}

/* Lay hints and the rest of the key out in tails. */
static int make_tails(struct index *ix, struct abi_record *r, const struct abi_hints *hints,
	const uint8_t *rest, size_t size)
{
	struct abi_tail *tail;
	uint32_t *link = &r->tail;
	uint32_t cell;
	size_t off = 0, part;

	while (hints || size) {
		if (index_cell_take(ix, &cell)) {
			free_tails(ix, r->tail);
			return INDEX_FULL;
		}
		ix->meta[cell].state = INDEX_TAIL;
		tail = (struct abi_tail *)&ix->cell[cell];
		/* First: from here on nobody takes this cell for a record. */
		tail->mark = ABI_TAIL_MARK;
		shared_compiler_fence();
		tail->next = 0;
		memset(tail->bytes, 0, sizeof(tail->bytes));
		*link = cell;
		link = &tail->next;
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
	return 0;
}

int index_open(struct index *ix, const struct index_key *key, const struct abi_hints *hints,
	uint32_t *out)
{
	size_t inline_size = key->size < ABI_KEY_INLINE ? key->size : ABI_KEY_INLINE;
	struct abi_record *r;
	uint32_t cell;

	if (hints && !hints->group && !hints->position && !hints->priority)
		hints = NULL;
	if (index_cell_take(ix, &cell))
		return INDEX_FULL;
	r = &ix->cell[cell];
	/* First: the cell may have been a tail, with anything where a record has its marks. */
	shared_u64_store(&r->expire_ms, 0);
	shared_compiler_fence();
	r->generation = ++ix->generation;
	r->tail = 0;
	r->value_off = 0;
	r->value_size = 0;
	r->key_size = (uint16_t)key->size;
	r->tier = ABI_TIER_NONE;
	r->flags = hints ? ABI_RECORD_HINTS : 0;
	memset(r->key, 0, sizeof(r->key));
	memcpy(r->key, key->data, inline_size);
	if (make_tails(ix, r, hints, (const uint8_t *)key->data + inline_size,
		    key->size - inline_size)) {
		index_cell_give(ix, cell);
		return INDEX_FULL;
	}
	ix->meta[cell].state = INDEX_OPEN;
	index_set_block(ix, cell, 0);
	ix->meta[cell].n_pins = 0;
	atomic_store_explicit(&ix->meta[cell].held, 0, memory_order_relaxed);
	*out = cell;
	return 0;
}

void index_mark_open(struct index *ix, uint32_t cell, uint64_t expire_ms)
{
	/* Release: what the record says of its key, tails and value comes before the mark. */
	shared_u64_store_release(&ix->cell[cell].expire_ms, expire_ms | ABI_RECORD_OPEN);
}

static void mark_retired(struct index *ix, uint32_t cell)
{
	struct shared_u64 *expire = &ix->cell[cell].expire_ms;

	/* The caller's release of the slot comes after. */
	shared_u64_store(expire, shared_u64_load(expire) | ABI_RECORD_RETIRED);
}

void index_retire_open(struct index *ix, uint32_t cell)
{
	ix->meta[cell].state = INDEX_RETIRED;
	/* One store: it is marked all the time. That it was to expire is of no use to anybody. */
	shared_u64_store(&ix->cell[cell].expire_ms, ABI_RECORD_RETIRED);
}

void index_free(struct index *ix, uint32_t cell)
{
	/* Before cell, tails or block can be anything else. */
	shared_u64_store(&ix->cell[cell].expire_ms, 0);
	shared_compiler_fence();
	free_tails(ix, ix->cell[cell].tail);
	index_cell_give(ix, cell);
}

/* --- publish ---------------------------------------------------------------------------------- */

static void publish(struct index *ix, struct shared_u64 *slot, uint32_t cell, uint64_t hash)
{
	ix->meta[cell].state = INDEX_PUBLISHED;
	/*
	 * partner: the readers' acquire of the slot; the record and the value were written before
	 */
	shared_u64_store_release(slot, abi_word(cell, ix->cell[cell].generation, hash));
	/* A slot names it, so the mark is not needed any more; no sooner. */
	shared_compiler_fence();
	shared_u64_store(&ix->cell[cell].expire_ms, abi_record_expire_ms(&ix->cell[cell]));
}

/*
 * An empty slot in the chain of @hash, which gets one more bucket if need be. Chains of honest keys
 * have one or two buckets; who makes keys that collide (clients can read the seed) gets a bounded
 * chain, and evicts his own.
 */
#define CHAIN_MAX 32

static int free_slot(struct index *ix, uint64_t hash, struct shared_u64 **slot)
{
	struct abi_bucket *b = &ix->bucket[lookup_bucket_idx(hash, ix->n_buckets)];
	uint64_t link, idx;
	int i, n;

	for (n = 1;; n++) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			if (shared_u64_load(&b->slot[i]))
				continue;
			*slot = &b->slot[i];
			return 0;
		}
		link = shared_u64_load(&b->link);
		if (!link)
			break;
		b = &ix->overflow[link - 1];
	}
	if (n >= CHAIN_MAX || index_overflow_take(ix, &idx))
		return INDEX_FULL;
	*slot = &ix->overflow[idx].slot[0];
	/* partner: the acquire in lookup_next(); the bucket is empty, which is all it must be */
	shared_u64_store_release(&b->link, idx + 1);
	return 0;
}

int index_insert(struct index *ix, uint32_t cell, uint64_t hash)
{
	struct shared_u64 *slot;

	if (free_slot(ix, hash, &slot))
		return INDEX_FULL;
	publish(ix, slot, cell, hash);
	ix->n_entries++;
	index_grow(ix);
	return 0;
}

void index_replace(struct index *ix, struct shared_u64 *slot, uint32_t cell, uint64_t hash)
{
	uint32_t old = abi_word_cell(shared_u64_load(slot));

	ix->meta[old].state = INDEX_RETIRED;
	mark_retired(ix, old);
	publish(ix, slot, cell, hash);
}

void index_remove(struct index *ix, struct shared_u64 *slot)
{
	uint32_t cell = abi_word_cell(shared_u64_load(slot));

	ix->meta[cell].state = INDEX_RETIRED;
	mark_retired(ix, cell);
	shared_u64_store_release(slot, 0);
	ix->n_entries--;
	if ((const void *)slot >= (const void *)ix->overflow)
		index_trim(ix, cell);
}

uint32_t index_chain_cell(const struct index *ix, uint64_t hash)
{
	const struct abi_bucket *b = &ix->lookup.bucket[lookup_bucket_idx(hash, ix->n_buckets)];
	uint32_t cell;
	int i;

	for (; b; b = lookup_next(&ix->lookup, b)) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			cell = abi_word_cell(shared_u64_load(&b->slot[i]));
			if (cell && !ix->meta[cell].n_pins)
				return cell;
		}
	}
	return 0;
}

/* --- sizes ------------------------------------------------------------------------------------ */

uint64_t index_size(const struct index *ix)
{
	return ix->backed;
}

uint64_t index_books_size(const struct index *ix)
{
	return ix->n_cells * sizeof(*ix->meta) + ix->n_overflow * sizeof(*ix->overflow_next);
}
