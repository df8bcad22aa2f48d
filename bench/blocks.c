/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the block allocator costs: speed, overhead, fragmentation.
 *
 * Nothing here touches the memory that is given out, as the allocator does not
 * either; a region of any size can be had on any machine. What is measured is
 * one allocator under the broker's way of evicting (bench/blocks-store.c), at
 * three loads:
 *
 *	uniform		4 MiB, as KV-cache chunks of one model
 *	small		64 B to 4 KiB, lognormal around 400 B
 *	shift		from all small to all large (1 to 80 MiB, lognormal
 *			around 8 MiB): the share of large ones in the bytes
 *			rises from 0 to 1, so that for most of the run small
 *			values lie between large ones
 *
 * each with eviction in the order of the puts (fifo), and "shift" also in the
 * order of use, where half of the operations are hits on an entry at random
 * (lru): then age tells nothing about the place any more, which is the worst
 * for an allocator. At eight moments a value of a quarter of the tier is put.
 *
 * A failed put where nothing is held is a broken promise, and its goal is 0.
 * What room in pieces costs is told by what had to be evicted on top of what the
 * new value needs.
 */
#include "bench/blocks-store.h"
#include "bench/report.h"

#include <math.h>
#include <stdlib.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define LARGE (64 * KIB)	/* from here on values are aligned to a page */

struct random {
	uint64_t state;
};

/* xorshift64*: the same run everywhere. */
static uint64_t random_next(struct random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * UINT64_C(2685821657736338717);
}

/* In (0, 1). */
static double random_unit(struct random *r)
{
	return ((double)(random_next(r) >> 11) + 0.5) / 9007199254740992.0;
}

static uint64_t random_lognormal(struct random *r, double median, double sigma,
		uint64_t min, uint64_t max)
{
	double n = sqrt(-2 * log(random_unit(r))) * cos(6.283185307179586 * random_unit(r));
	double v = median * exp(sigma * n);

	if (v < (double)min)
		return min;
	return v > (double)max ? max : (uint64_t)v;
}

static uint64_t size_small(struct random *r)
{
	return random_lognormal(r, 400, 0.9, 64, 4 * KIB);
}

static uint64_t size_large(struct random *r)
{
	return random_lognormal(r, 8 * MIB, 0.9, MIB, 80 * MIB);
}

/* `at`, from 0 to 1, is how far the load has got. */
typedef uint64_t size_fn(struct random *r, double at);

static uint64_t size_at_uniform(struct random *r, double at)
{
	(void)r;
	(void)at;
	return 4 * MIB;
}

static uint64_t size_at_small(struct random *r, double at)
{
	(void)at;
	return size_small(r);
}

/* Means of the two, for turning a share of the bytes into one of the puts. */
#define MEAN_SMALL 570.0
#define MEAN_LARGE (11.5 * 1048576)

static uint64_t size_at_shift(struct random *r, double at)
{
	double share = at * 1.02 > 1 ? 1 : at * 1.02;
	double large = share * MEAN_SMALL / (share * MEAN_SMALL + (1 - share) * MEAN_LARGE);

	return random_unit(r) < large ? size_large(r) : size_small(r);
}

struct load {
	const char *name;
	size_fn *size;
	double fill;		/* at most so much of the region is in use */
	unsigned int hits;	/* of 100 operations */
	uint64_t n_puts;
	uint64_t n_puts_quick;
};

static const struct load loads[] = {
	{ "uniform-4M", size_at_uniform, 1.00, 0, 2000000, 200000 },
	{ "uniform-4M-lru", size_at_uniform, 1.00, 50, 2000000, 200000 },
	{ "small", size_at_small, 1.00, 0, 20000000, 1000000 },
	{ "small-lru", size_at_small, 1.00, 50, 20000000, 1000000 },
	{ "shift", size_at_shift, 0.95, 0, 10000000, 1000000 },
	{ "shift-lru", size_at_shift, 0.95, 50, 10000000, 1000000 },
	{ "shift-lru-100", size_at_shift, 1.00, 50, 10000000, 1000000 },
};

static void row(struct report *rep, const struct load *load, const char *what,
		struct report_row r)
{
	char name[64];

	snprintf(name, sizeof(name), "%s-%s", load->name, what);
	r.name = name;
	report_row(rep, &r);
}

/* What the counts of one load amount to. */
static void load_report(struct report *rep, const struct load *load,
		const struct store *s, double ns_per_put)
{
	const struct store_counts *c = store_counts(s);
	double n_windows = c->n_windows ? (double)c->n_windows : 1;

	row(rep, load, "failed-puts", (struct report_row){
		.ours = (double)c->n_failed, .theirs = NAN, .unit = "puts", .goal = 0,
		.bound = REPORT_AT_MOST, .note = "nothing is held" });
	row(rep, load, "rounding", (struct report_row){
		.ours = (double)c->block_size / (double)c->n_puts,
		.theirs = (double)c->put_size / (double)c->n_puts, .unit = "B",
		.goal = 1.1, .bound = REPORT_AT_MOST, .note = "block against value" });
	row(rep, load, "in-use", (struct report_row){
		.ours = c->used / (double)c->n_puts, .theirs = load->fill, .unit = "share",
		.note = "of the region, mean over puts, against the limit" });
	row(rep, load, "evicted-on-top", (struct report_row){
		.ours = (double)c->window_size / (double)c->put_size, .theirs = NAN,
		.unit = "share", .note = "of the bytes put, because room lay in pieces" });
	row(rep, load, "windows", (struct report_row){
		.ours = (double)c->n_windows / (double)c->n_puts, .theirs = NAN,
		.unit = "share", .note = "of the puts" });
	if (c->n_windows) {
		row(rep, load, "unusable-free", (struct report_row){
			.ours = c->scattered / n_windows, .theirs = NAN, .unit = "share",
			.note = "of the region, when no run fitted" });
		row(rep, load, "window-age", (struct report_row){
			.ours = c->window_size ? c->age / (double)c->window_size : NAN,
			.theirs = NAN, .unit = "age",
			.note = "of what windows evicted: 1 oldest, 0 newest" });
		row(rep, load, "window-search", (struct report_row){
			.ours = (double)c->window_ns / n_windows / 1000, .theirs = NAN,
			.unit = "us" });
		row(rep, load, "window-search-max", (struct report_row){
			.ours = (double)c->window_ns_max / 1000, .theirs = NAN,
			.unit = "us" });
	}
	row(rep, load, "put", (struct report_row){ .ours = ns_per_put, .theirs = NAN,
		.unit = "ns", .note = "books and order only, evictions included" });
}

/* The moment with the most blocks in use. */
static void books_look(struct block_stats *most, const struct store *s)
{
	struct block_stats st;

	block_stats_get(store_books(s), &st);
	if (st.n_used > most->n_used)
		*most = st;
}

static void books_report(struct report *rep, const struct load *load,
		const struct block_stats *most, const struct block_stats *end)
{
	row(rep, load, "books", (struct report_row){
		.ours = (double)most->books_size / (double)most->n_used, .theirs = NAN,
		.unit = "B", .note = "for each block in use, when they were the most" });
	row(rep, load, "books-share", (struct report_row){
		.ours = (double)end->books_size / (double)end->size, .theirs = NAN,
		.unit = "share", .note = "of the region's size, at the end" });
	row(rep, load, "free-runs", (struct report_row){
		.ours = (double)end->n_free / (double)end->n_used, .theirs = NAN,
		.unit = "share", .note = "of the blocks in use, at the end" });
}

/*
 * A put of a quarter of the tier, in the state that the load has brought it to.
 * It is deleted and the room filled again, and none of that is counted: the load
 * stays what it is. Returns whether it failed.
 */
static bool put_quarter(struct store *s, const struct load *load, struct random *r,
		double at)
{
	const struct store_counts before = *store_counts(s);
	struct block_stats st;
	uint64_t evicted_size;
	uint32_t id;

	block_stats_get(store_books(s), &st);
	id = store_put(s, st.size / 4, 4096);
	if (id)
		store_delete(s, id);
	evicted_size = store_counts(s)->evicted_size;
	while (store_counts(s)->evicted_size == evicted_size)
		store_put(s, load->size(r, at), 0);
	store_counts_set(s, &before);
	return !id;
}

static void books_check(const struct report *rep, const struct load *load,
		const struct store *s)
{
	char why[256] = "";

	if (block_check(store_books(s), why, sizeof(why)))
		report_fatal(rep, "%s: the books are wrong: %s", load->name, why);
}

/* Runs one load; filling the region is not counted. */
static void load_run(struct report *rep, const struct load *load)
{
	uint64_t n = rep->quick ? load->n_puts_quick : load->n_puts, i, size;
	uint64_t start, n_quarters_failed = 0;
	uint64_t region_size = rep->quick ? GIB : 4 * GIB;
	uint32_t n_entries = (uint32_t)(region_size / 256);
	struct random r = { 88172645463325252u };
	struct block_stats most = { 0 }, end;
	struct store *s;

	if (store_new(&s, region_size, load->fill, n_entries))
		report_fatal(rep, "%s: no memory for the books", load->name);
	/* Filled with what the load starts with, whatever that takes. */
	while (!store_counts(s)->evicted_size)
		store_put(s, load->size(&r, 0), 0);
	store_counts_set(s, &(struct store_counts){ 0 });
	start = report_now();
	for (i = 0; i < n; i++) {
		size = load->size(&r, (double)i / (double)n);
		store_put(s, size, size < LARGE ? 0 : 4096);
		if (random_next(&r) >> 32 < (UINT64_C(1) << 32) / 100 * load->hits)
			store_touch(s, 1 + (uint32_t)(random_next(&r) >> 33) % n_entries);
		if (i % (n / 8) == n / 16)
			n_quarters_failed += put_quarter(s, load, &r, (double)i / (double)n);
		if (i % 1024 == 0)
			books_look(&most, s);
	}
	start = report_now() - start;
	books_check(rep, load, s);
	load_report(rep, load, s, (double)start / (double)n);
	block_stats_get(store_books(s), &end);
	books_report(rep, load, &most, &end);
	row(rep, load, "failed-quarter-puts", (struct report_row){
		.ours = (double)n_quarters_failed, .theirs = NAN, .unit = "puts",
		.goal = 0, .bound = REPORT_AT_MOST,
		.note = "values of a quarter of the tier, at eight moments" });
	store_free(s);
}

#define LIVE 100000
#define ROUNDS 7

/* Blocks of the small load, replaced in random order: by us, then by malloc.
 * What each replaces, and by what size, is the same. */
struct replace {
	struct block_allocator *books;
	uint32_t blocks[LIVE];
	void *pointers[LIVE];
	uint16_t sizes[1 << 16];
	uint32_t victims[1 << 16];
};

static double replace_ours(const struct report *rep, struct replace *p, unsigned int n)
{
	uint64_t start = report_now();
	unsigned int i;

	for (i = 0; i < n; i++) {
		uint32_t *block = &p->blocks[p->victims[i % (1 << 16)]];

		block_free(p->books, *block);
		if (block_alloc(p->books, p->sizes[i % (1 << 16)], 0, 1, block))
			report_fatal(rep, "no room in a region that is mostly free");
	}
	return (double)(report_now() - start) / n;
}

static double replace_theirs(const struct report *rep, struct replace *p, unsigned int n)
{
	uint64_t start = report_now();
	unsigned int i;

	for (i = 0; i < n; i++) {
		void **pointer = &p->pointers[p->victims[i % (1 << 16)]];

		free(*pointer);
		*pointer = malloc(p->sizes[i % (1 << 16)]);
		if (!*pointer)
			report_fatal(rep, "malloc: no memory");
	}
	return (double)(report_now() - start) / n;
}

static void replace_fill(const struct report *rep, struct replace *p)
{
	struct random r = { 20240229 };
	size_t i;

	if (block_allocator_new(&p->books, 256 * MIB))
		report_fatal(rep, "no memory for the books");
	for (i = 0; i < 1 << 16; i++) {
		p->sizes[i] = (uint16_t)size_small(&r);
		p->victims[i] = (uint32_t)(random_next(&r) >> 33) % LIVE;
	}
	for (i = 0; i < LIVE; i++) {
		uint64_t size = size_small(&r);

		p->pointers[i] = malloc(size);
		if (!p->pointers[i] || block_alloc(p->books, size, 0, 1, &p->blocks[i]))
			report_fatal(rep, "no memory for %d small values", LIVE);
	}
}

static void speed_run(struct report *rep)
{
	unsigned int n = rep->quick ? 300000 : 2000000;
	struct replace *p = calloc(1, sizeof(*p));
	double ours[ROUNDS], theirs[ROUNDS];
	size_t i;

	if (!p)
		report_fatal(rep, "no memory");
	replace_fill(rep, p);
	for (i = 0; i < ROUNDS; i++) {
		ours[i] = replace_ours(rep, p, n);
		theirs[i] = replace_theirs(rep, p, n);
	}
	report_row(rep, &(struct report_row){
		.name = "alloc-free-small", .ours = report_median(ours, ROUNDS),
		.theirs = report_median(theirs, ROUNDS), .unit = "ns", .goal = 2,
		.bound = REPORT_AT_MOST,
		.note = "one free, one alloc among 100,000; theirs: malloc" });
	for (i = 0; i < LIVE; i++)
		free(p->pointers[i]);
	block_allocator_free(p->books);
	free(p);
}

int main(int argc, char **argv)
{
	struct report rep;
	size_t i;

	report_open(&rep, &argc, argv, "blocks", "");
	if (argc > 1)
		report_usage(&rep, "", argv[1]);
	speed_run(&rep);
	for (i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		load_run(&rep, &loads[i]);
	return report_close(&rep);
}
