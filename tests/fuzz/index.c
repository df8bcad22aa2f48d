/* SPDX-License-Identifier: Apache-2.0 */
/* index.c: a warm start from an index with any of its bytes changed. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <urcu.h>

#include "shmcache/store.h"
#include "tests/fuzz/fuzz.h"

/*
 * A store is filled and closed once, and its index kept as an image: with blocks that are reserved,
 * and values that were replaced or removed and are not reclaimed yet, as a kill leaves them. Each
 * input is a list of changes to that image, within the pieces that were in use, followed by a start
 * on it. Whatever was changed: the start comes out warm or cold and not otherwise, the books
 * balance, each entry that is served lies within the tier and is found by its key, and the store
 * works.
 *
 * Found within 25 seconds when they were taken out by hand: the bound of a link, the mark that ends
 * a loop of links, the mark on a cell that is named twice. Of a record's key size and of its
 * value's end the checks that come behind say the same, so nothing was found there.
 */
#define INDEX_SIZE_MAX (512 << 10)
#define DRAM_SIZE (1 << 20)
#define PIECE 4096
#define IMAGE_PIECES 256
#define N_KEYS 300
#define N_CROWDED 150 /* of them, in a few buckets: chains of several */
#define CROWDED_BUCKETS 8
#define N_OPEN 20
#define N_REPLACED 20
#define N_REMOVED 20

static struct {
	uint8_t bytes[IMAGE_PIECES][PIECE];
	off_t off[IMAGE_PIECES];
	size_t n;
	off_t size;
} image;

static char index_name[64], dram_name[64];
static struct abi_worker counters;

static void nothing_held(void *context, struct index *ix, uint8_t round)
{
	(void)context;
	(void)ix;
	(void)round;
}

static void nothing_logged(void *context, struct abi_worker *w)
{
	(void)context;
	(void)w;
}

static void open_store(struct store *s, bool reuse, struct store_opened *opened)
{
	struct store_options options = {
		.index_name = index_name,
		.index_size_max = INDEX_SIZE_MAX,
		.tier[ABI_TIER_DRAM].region = {.name = dram_name, .size = DRAM_SIZE, .node = -1, .n_threads = 1},
		.batch = 4,
		.reuse = reuse,
	};
	char why[512];

	s->sessions.scan_holds = nothing_held;
	s->sessions.drain_logs = nothing_logged;
	FUZZ_CHECK(!store_open(s, &options, opened, why, sizeof(why)), "%s", why);
}

static unsigned key_number[2 * N_KEYS];

/* Keys of all lengths, with hints and times to live among them. */
static struct index_key make_key(struct store *s, unsigned i, char *text)
{
	int n = snprintf(text, 1100, "key %u ", i);
	size_t size = i % 7 == 0 ? 20 + i * 3 % 1004 : (size_t)n;

	memset(text + n, 'x', 1100 - (size_t)n);
	return index_key(&s->index, text, size < (size_t)n ? (size_t)n : size);
}

/* Which numbers make keys; the seed is the same in each run. */
static void choose_keys(struct store *s)
{
	uint64_t n_buckets = lookup_n_buckets(&s->index.lookup);
	unsigned i, number = 0;
	char text[1100];

	for (i = 0; i < 2 * N_KEYS; i++) {
		do
			number++;
		while (i < N_CROWDED && lookup_bucket_idx(make_key(s, number, text).hash,
						n_buckets) >= CROWDED_BUCKETS);
		key_number[i] = number;
	}
}

static enum abi_status put(struct store *s, unsigned i)
{
	struct store_put_options options = {.ttl_ms = i % 11 ? 0 : 100000000,
		.hints = {.group = i % 3, .position = i}};
	char text[1100], value[2000];
	struct index_key key = make_key(s, key_number[i], text);

	memset(value, (int)i, sizeof(value));
	return store_put(s, &counters, &key, &options, value, 1 + i * 37 % sizeof(value));
}

static void keep_image(void)
{
	int fd = shm_open(index_name, O_RDONLY, 0);
	static const uint8_t zeroes[PIECE];
	struct stat st;
	off_t off;

	FUZZ_CHECK(fd >= 0 && !fstat(fd, &st), "no index");
	image.size = st.st_size;
	for (off = 0; off < st.st_size; off += PIECE) {
		FUZZ_CHECK(image.n < IMAGE_PIECES, "the image is too large");
		FUZZ_CHECK(pread(fd, image.bytes[image.n], PIECE, off) > 0, "can't read");
		if (memcmp(image.bytes[image.n], zeroes, PIECE))
			image.off[image.n++] = off;
	}
	close(fd);
}

static void unlink_all(void)
{
	shm_unlink(index_name);
	shm_unlink(dram_name);
}

/* Nothing reclaims them before the end. */
static void leave_marks(struct store *s)
{
	const struct store_put_options options = {0};
	char text[1100];
	struct index_key key;
	uint32_t cell;
	unsigned i;

	for (i = 0; i < N_REPLACED; i++)
		FUZZ_CHECK(put(s, i * 3) == ABI_STATUS_OK, "can't replace %u", i);
	for (i = 0; i < N_REMOVED; i++) {
		key = make_key(s, key_number[N_KEYS - 1 - i], text);
		FUZZ_CHECK(store_delete(s, &counters, &key) == ABI_STATUS_OK, "can't delete");
	}
	for (i = 0; i < N_OPEN; i++) {
		key = make_key(s, key_number[N_KEYS + i], text);
		FUZZ_CHECK(store_reserve(s, &counters, &key, &options, 1 + i * 300, &cell) == ABI_STATUS_OK,
			"can't reserve");
	}
}

static void make_image(void)
{
	static struct store s;
	struct store_opened opened;
	unsigned i;

	rcu_register_thread();
	fuzz_name(index_name, sizeof(index_name), "/", "-index.index");
	fuzz_name(dram_name, sizeof(dram_name), "/", "-index.dram");
	atexit(unlink_all);
	open_store(&s, false, &opened);
	choose_keys(&s);
	for (i = 0; i < N_KEYS; i++)
		FUZZ_CHECK(put(&s, i) == ABI_STATUS_OK, "can't put %u", i);
	leave_marks(&s);
	store_close(&s, false);
	keep_image();
}

/* Lay the image down again, with the input's changes. */
static void restore_image(struct fuzz_input *in)
{
	int fd, dram;
	uint8_t *map;
	uint8_t bytes[8];
	uint32_t at;
	size_t i, n;

	unlink_all();
	fd = shm_open(index_name, O_RDWR | O_CREAT | O_EXCL, 0600);
	dram = shm_open(dram_name, O_RDWR | O_CREAT | O_EXCL, 0600);
	FUZZ_CHECK(fd >= 0 && dram >= 0 && !ftruncate(fd, image.size) &&
			!ftruncate(dram, DRAM_SIZE),
		"can't make the objects");
	map = mmap(NULL, (size_t)image.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	FUZZ_CHECK(map != MAP_FAILED, "can't map");
	for (i = 0; i < image.n; i++)
		memcpy(map + image.off[i], image.bytes[i], PIECE);
	while (in->left) {
		at = fuzz_u32(in) % (uint32_t)(image.n * PIECE);
		n = 1 + fuzz_u8(in) % 8;
		fuzz_take(in, bytes, n);
		if (at % PIECE + n > PIECE)
			n = PIECE - at % PIECE;
		memcpy(map + image.off[at / PIECE] + at % PIECE, bytes, n);
	}
	munmap(map, (size_t)image.size);
	close(fd);
	close(dram);
}

static void check_entries(struct store *s)
{
	char buffer[ABI_KEY_SIZE_MAX];
	const struct abi_record *r;
	uint32_t cell, found;
	uint64_t n = 0;

	for (cell = 1; cell < s->index.n_cells; cell++) {
		struct index_key key;

		if (s->index.meta[cell].state != INDEX_PUBLISHED)
			continue;
		n++;
		r = &s->index.cell[cell];
		key = index_key_of(&s->index, cell, buffer);
		FUZZ_CHECK(r->value_off + r->value_size <= DRAM_SIZE, "cell %u out of the tier",
			cell);
		FUZZ_CHECK(index_find(&s->index, &key, &found) && found == cell, "cell %u is lost",
			cell);
	}
	FUZZ_CHECK(n == s->index.n_entries, "%llu entries", (unsigned long long)n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static struct store s;
	struct store_opened opened;
	char text[1100], why[256];
	struct index_key key;
	unsigned i;

	if (!image.n)
		make_image();
	restore_image(&in);
	open_store(&s, true, &opened);
	FUZZ_CHECK(opened.warm || opened.cold_why[0], "cold, and no reason why");
	FUZZ_CHECK(size || (opened.warm && s.index.n_entries == N_KEYS - N_REMOVED &&
			s.limbo.n == N_OPEN + N_REPLACED + N_REMOVED),
		"the image alone: %s", opened.cold_why);
	FUZZ_CHECK(!store_check(&s, why, sizeof(why)), "%s", why);
	check_entries(&s);
	for (i = 0; i < 60; i++) {
		FUZZ_CHECK(put(&s, N_KEYS - 30 + i) == ABI_STATUS_OK, "can't put any more");
		key = make_key(&s, key_number[i * 5], text);
		store_delete(&s, &counters, &key);
	}
	store_reclaim(&s, &counters);
	FUZZ_CHECK(!s.limbo.n, "%llu stay retired", (unsigned long long)s.limbo.n);
	FUZZ_CHECK(!store_check(&s, why, sizeof(why)), "%s", why);
	check_entries(&s);
	store_close(&s, true);
	return 0;
}
