/* SPDX-License-Identifier: Apache-2.0 */
/* damages.c: one kind of damage each, and what is to be said of it. */
#include "tests/clients/inspect/damages.h"

#include <stdlib.h>
#include <string.h>

/*
 * Where one thing is wrong, what follows from it is said too: a record that does not count is
 * missing from the sums.
 */
static void nothing(struct made *m)
{
	(void)m;
}

/* --- the index -------------------------------------------------------------------------------- */

static void other_generation(struct made *m)
{
	made_record(m, "alpha")->generation++;
}

static void cell_out_of_range(struct made *m)
{
	shared_u64_store(made_slot(m, "alpha"), shared_u64_load(made_slot(m, "alpha")) | 0xff00);
}

static void key_too_long(struct made *m)
{
	made_record(m, "alpha")->key_size = 1025;
}

static void flags_unknown(struct made *m)
{
	made_record(m, "alpha")->flags = 0x40;
}

static void tier_unknown(struct made *m)
{
	made_record(m, "alpha")->tier = 3;
}

static void value_outside(struct made *m)
{
	made_record(m, "beta")->value_off = MADE_DRAM - 512;
}

static void value_not_aligned(struct made *m)
{
	made_record(m, "alpha")->value_off += 8;
}

static struct abi_record *long_record(struct made *m)
{
	char key[301];

	memset(key, 'k', 300);
	memcpy(key, "long", 4);
	key[300] = '\0';
	return made_record(m, key);
}

static void tail_out_of_range(struct made *m)
{
	((struct abi_tail *)&m->cell[long_record(m)->tail])->next = MADE_CELLS_MAX;
}

static void tail_missing(struct made *m)
{
	((struct abi_tail *)&m->cell[long_record(m)->tail])->next = 0;
}

static void tail_too_many(struct made *m)
{
	((struct abi_tail *)&m->cell[made_record(m, "gamma")->tail])->next = m->n_cells;
}

static void tail_unmarked(struct made *m)
{
	((struct abi_tail *)&m->cell[long_record(m)->tail])->mark = 0;
}

static void tail_of_another(struct made *m)
{
	static const struct abi_hints hints = {.group = 77, .position = 4};

	made_put(m, "delta", ABI_TIER_DRAM, 64, &hints, 0);
	made_record(m, "delta")->tail = made_record(m, "gamma")->tail;
}

static void word_tag(struct made *m)
{
	struct shared_u64 *slot = made_slot(m, "alpha");

	shared_u64_store(slot, shared_u64_load(slot) ^ UINT64_C(1) << 63);
}

/* To a bucket that no split leads from. */
static void word_elsewhere(struct made *m)
{
	struct shared_u64 *slot = made_slot(m, "alpha");
	uint64_t word = shared_u64_load(slot);

	shared_u64_store(slot, 0);
	shared_u64_store(&m->bucket[3].slot[6], word);
}

/* Bucket 1, where alpha is, goes on in overflow 0, which has room. */
static void word_twice(struct made *m)
{
	shared_u64_store(&m->overflow[0].slot[6], shared_u64_load(made_slot(m, "alpha")));
}

/* What a broker that is killed in the middle of a split leaves, and the next sorts out. */
static void split_cut_short(struct made *m)
{
	unsigned i;

	for (i = 0; i < ABI_BUCKET_SLOTS; i++)
		if (shared_u64_load(&m->bucket[4].slot[0])
			&& !shared_u64_load(&m->bucket[0].slot[i]))
			break;
	if (i == ABI_BUCKET_SLOTS)
		abort();
	shared_u64_store(&m->bucket[0].slot[i], shared_u64_load(&m->bucket[4].slot[0]));
}

static void blocks_overlap(struct made *m)
{
	made_record(m, "beta")->value_off = made_record(m, "alpha")->value_off;
}

static void block_of_the_held(struct made *m)
{
	/* The record that was deleted, and is held, is the last that was made. */
	made_record(m, "beta")->value_off = m->cell[m->n_cells - 1].value_off;
}

static void key_twice(struct made *m)
{
	struct abi_record *r = &m->cell[m->n_cells];
	uint64_t word = shared_u64_load(made_slot(m, "alpha"));

	*r = *made_record(m, "alpha");
	r->generation++;
	r->value_off = m->n_dram;
	shared_u64_store(&m->overflow[0].slot[6], abi_word(m->n_cells, r->generation, word));
}

static void link_out_of_range(struct made *m)
{
	shared_u64_store(&m->bucket[2].link, MADE_OVERFLOW_MAX + 1);
}

static void link_of_another(struct made *m)
{
	shared_u64_store(&m->bucket[2].link, shared_u64_load(&m->bucket[1].link));
}

static void link_in_circles(struct made *m)
{
	uint64_t link = shared_u64_load(&m->bucket[1].link);

	shared_u64_store(&m->overflow[link - 1].link, link);
}

static void too_many_buckets(struct made *m)
{
	shared_u64_store(&m->index->n_buckets, MADE_BUCKETS_MAX + 1);
}

static void too_many_cells(struct made *m)
{
	shared_u64_store(&m->index->n_cells_backed, MADE_CELLS_MAX + 1);
}

static void array_beyond(struct made *m)
{
	m->index->n_cells_max = MADE_CELLS_MAX + 64;
	shared_u64_store(&m->index->n_cells_backed, MADE_CELLS_MAX + 64);
}

static void index_magic(struct made *m)
{
	m->index->magic++;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void an_entry_too_many(struct made *m)
{
	shared_u64_add(&m->plane->gauge[ABI_GAUGE_ENTRIES], 1);
}

static void bytes_lost(struct made *m)
{
	shared_u64_add(&m->plane->gauge[ABI_GAUGE_DRAM_USED_BYTES], 4096);
}

static void free_and_used(struct made *m)
{
	shared_u64_add(&m->plane->gauge[ABI_GAUGE_DRAM_LARGEST_FREE_BYTES], 64);
}

static void put_not_counted(struct made *m)
{
	shared_u64_add(&m->plane->worker[0].counter[ABI_COUNTER_PUTS], (uint64_t)-1);
}

static void commit_of_nothing(struct made *m)
{
	shared_u64_store(&m->plane->worker[3].counter[ABI_COUNTER_COMMITS], 1);
}

static void state_unknown(struct made *m)
{
	shared_u32_store(&m->plane->state, 9);
}

static void no_workers(struct made *m)
{
	shared_u32_store(&m->plane->n_workers, 0);
}

static void role_unknown(struct made *m)
{
	shared_u32_store(&m->plane->session[1].role, 7);
}

/* --- rings ------------------------------------------------------------------------------------ */

static void sequence_of_another(struct made *m)
{
	shared_u64_store(&made_submission(m, 0, 5)->word[7], 100);
}

static void slot_skipped(struct made *m)
{
	shared_u64_store(&made_submission(m, 0, 7)->word[7], 0);
}

static void answer_skipped(struct made *m)
{
	struct completion c = {.status = ABI_STATUS_OK};

	completion_publish(made_completion(m, 0, 1), 17, &c);
}

static void reaped_ahead(struct made *m)
{
	shared_u64_store(&made_request(m, 0)->reaped, 17);
}

static void reaped_behind(struct made *m)
{
	shared_u64_store(&made_request(m, 0)->reaped, 1);
}

static void consumed_ahead(struct made *m)
{
	shared_u64_store(&made_response(m, 0)->consumed, 19);
}

static void answer_to_nothing(struct made *m)
{
	struct completion c = {.status = ABI_STATUS_OK};

	completion_publish(made_completion(m, 1, 0), 0, &c);
}

static void fault_of_one(struct made *m)
{
	shared_u32_store(&made_response(m, 1)->fault, ABI_FAULT_KEY);
}

static void hold_beyond(struct made *m)
{
	shared_u64_store(made_hold(m, 1, 9), shared_u64_load(made_slot(m, "alpha")));
}

static void hold_on_nothing(struct made *m)
{
	shared_u64_store(made_hold(m, 1, 1), 5000);
}

static void holds_used_too_many(struct made *m)
{
	shared_u64_store(&made_request(m, 1)->holds_used, MADE_HOLDS + 1);
}

/* --- elsewhere -------------------------------------------------------------------------------- */

static struct submission any_fetch(uint32_t id)
{
	return (struct submission){.operation = ABI_OP_FETCH, .id = id, .key_size = 8};
}

static void elsewhere_put(struct made *m)
{
	struct submission s = {.operation = ABI_OP_PUT, .id = 2, .key_size = 8, .value_size = 1};

	made_fetches(m);
	submission_show(made_elsewhere(m, 1, 1), 2, &s);
}

static void elsewhere_twice(struct made *m)
{
	struct submission s = any_fetch(2);

	made_fetches(m);
	submission_show(made_elsewhere(m, 1, 4), 2, &s);
}

static void elsewhere_ahead(struct made *m)
{
	struct submission s = any_fetch(2);

	made_fetches(m);
	submission_show(made_elsewhere(m, 1, 1), 20, &s);
}

/* Beside the two: @n of the others that have no answer, and of one that has. */
static void show_more(struct made *m, unsigned n)
{
	static const uint32_t positions[] = {17, 18, 19, 15};
	struct submission s;
	unsigned i;

	made_fetches(m);
	for (i = 0; i < n; i++) {
		s = any_fetch(positions[i]);
		submission_show(made_elsewhere(m, 1, 10 + i), positions[i], &s);
	}
}

/* 16 of 20 are answered; one of them was not hidden yet when its broker was stopped. */
static void elsewhere_and_answered(struct made *m)
{
	show_more(m, 3);
}

static void elsewhere_too_many(struct made *m)
{
	show_more(m, 4);
}

static void elsewhere_lost(struct made *m)
{
	made_fetches(m);
	submission_hide(made_elsewhere(m, 1, 1));
	submission_hide(made_elsewhere(m, 1, 4));
}

/* Nobody answers one who was cut off. */
static void elsewhere_cut_off(struct made *m)
{
	elsewhere_lost(m);
	shared_u32_store(&made_response(m, 0)->fault, ABI_FAULT_KEY);
	shared_u32_store(&made_response(m, 1)->fault, ABI_FAULT_KEY);
	shared_u32_store(&m->plane->session[1].broken, ABI_FAULT_KEY);
}

const struct damage damages[] = {
	{"nothing", nothing, ""},
	{"other generation", other_generation,
		"record: bucket 1, slot 0: cell 1: the record has another generation than "
		"the word\n"
		"counters: by the counters there are 14 entries, in the index 13\n"
		"gauges: shmcache_entries tells 14, seen were 13\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 74112\n"
		"gauges: shmcache_dram_entries tells 4, seen were 3\n"},
	{"cell out of range", cell_out_of_range,
		"record: bucket 1, slot 0: cell 65281: there is no such cell\n"
		"counters: by the counters there are 14 entries, in the index 13\n"
		"gauges: shmcache_entries tells 14, seen were 13\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 74112\n"
		"gauges: shmcache_dram_entries tells 4, seen were 3\n"},
	{"key too long", key_too_long,
		"record: bucket 1, slot 0: cell 1: the key has an impossible size\n"
		"counters: by the counters there are 14 entries, in the index 13\n"
		"gauges: shmcache_entries tells 14, seen were 13\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 74112\n"
		"gauges: shmcache_dram_entries tells 4, seen were 3\n"},
	{"flags unknown", flags_unknown,
		"record: bucket 1, slot 0: cell 1: the record has unknown flags\n"
		"counters: by the counters there are 14 entries, in the index 13\n"
		"gauges: shmcache_entries tells 14, seen were 13\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 74112\n"
		"gauges: shmcache_dram_entries tells 4, seen were 3\n"},
	{"tier unknown", tier_unknown,
		"value: cell 1: its value, 5 bytes at 0 of tier 3: there is no such tier\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 74112\n"
		"gauges: shmcache_dram_entries tells 4, seen were 3\n"},
	{"value outside", value_outside,
		"value: cell 2: its value, 1000 bytes at 1048064 of tier 1: the value is "
		"empty, not aligned, or outside its tier\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 73152\n"
		"gauges: shmcache_dram_entries tells 4, seen were 3\n"},
	{"value not aligned", value_not_aligned,
		"value: cell 1: its value, 5 bytes at 8 of tier 1: the value is empty, not "
		"aligned, or outside its tier\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 74112\n"
		"gauges: shmcache_dram_entries tells 4, seen were 3\n"},
	{"tail out of range", tail_out_of_range,
		"record: bucket 3, slot 1: cell 5: a tail is no cell\n"
		"counters: by the counters there are 14 entries, in the index 13\n"
		"gauges: shmcache_entries tells 14, seen were 13\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 4160\n"
		"gauges: shmcache_dram_entries tells 4, seen were 3\n"},
	{"tail missing", tail_missing,
		"record: bucket 3, slot 1: cell 5: there are more or less tails than the key "
		"needs\n"
		"counters: by the counters there are 14 entries, in the index 13\n"
		"gauges: shmcache_entries tells 14, seen were 13\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 4160\n"
		"gauges: shmcache_dram_entries tells 4, seen were 3\n"},
	{"tail too many", tail_too_many,
		"record: bucket 2, slot 0: cell 3: there are more or less tails than the key "
		"needs\n"
		"counters: by the counters there are 14 entries, in the index 13\n"
		"gauges: shmcache_entries tells 14, seen were 13\n"
		"gauges: shmcache_cxl_used_bytes tells 100608, seen were 576\n"
		"gauges: shmcache_cxl_entries tells 10, seen were 9\n"},
	{"tail unmarked", tail_unmarked,
		"record: bucket 3, slot 1: cell 5: a tail does not say that it is one\n"
		"counters: by the counters there are 14 entries, in the index 13\n"
		"gauges: shmcache_entries tells 14, seen were 13\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 4160\n"
		"gauges: shmcache_dram_entries tells 4, seen were 3\n"},
	{"tail of another", tail_of_another,
		"cell-twice: cell 4 belongs to the entries of cells 23 and 3\n"},
	{"word tag", word_tag,
		"word-tag: bucket 1, slot 0: the word of cell 1 has tag 4123, its key c123\n"},
	{"word elsewhere", word_elsewhere,
		"word-bucket: bucket 3, slot 6: the key of cell 1 belongs to bucket 1\n"
		"counters: by the counters there are 14 entries, in the index 13\n"
		"gauges: shmcache_entries tells 14, seen were 13\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 74112\n"
		"gauges: shmcache_dram_entries tells 4, seen were 3\n"},
	{"word twice", word_twice,
		"cell-twice: cell 1 belongs to the entries of cells 1 and 1\n"
		"counters: by the counters there are 14 entries, in the index 15\n"
		"gauges: shmcache_entries tells 14, seen were 15\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 74240\n"
		"gauges: shmcache_dram_entries tells 4, seen were 5\n"},
	{"split cut short", split_cut_short, ""},
	{"blocks overlap", blocks_overlap,
		"block-twice: cells 2 and 1 share bytes of dram: 1024 at 0, 64 at 0\n"},
	{"block of the held", block_of_the_held,
		"block-twice: cells 22 and 2 share bytes of dram: 3008 at 74176, 1024 at "
		"74176\n"},
	{"key twice", key_twice,
		"key-twice: cells 1 and 23 have the same key\n"
		"counters: by the counters there are 14 entries, in the index 15\n"
		"gauges: shmcache_entries tells 14, seen were 15\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 74240\n"
		"gauges: shmcache_dram_entries tells 4, seen were 5\n"
		"gauges: shmcache_dram_largest_free_bytes tells 971392, but records leave no "
		"more than 971328 between them\n"},
	{"link out of range", link_out_of_range,
		"chain: the chain of bucket 2 leads to overflow 8, which is not there\n"},
	{"link of another", link_of_another,
		"chain: overflow 0 is in the chains of buckets 1 and 2\n"
		"word-bucket: bucket 2, overflow 0, slot 0: the key of cell 19 belongs to "
		"bucket 1\n"
		"word-bucket: bucket 2, overflow 0, slot 1: the key of cell 20 belongs to "
		"bucket 1\n"
		"word-bucket: bucket 2, overflow 0, slot 2: the key of cell 21 belongs to "
		"bucket 1\n"},
	{"link in circles", link_in_circles,
		"chain: the chain of bucket 1 comes back to overflow 0\n"
		"counters: by the counters there are 14 entries, in the index 104\n"
		"gauges: shmcache_entries tells 14, seen were 104\n"
		"gauges: shmcache_cxl_used_bytes tells 100608, seen were 106368\n"
		"gauges: shmcache_cxl_entries tells 10, seen were 100\n"},
	{"too many buckets", too_many_buckets,
		"index-head: buckets: 17 in use, 16 with memory, 16 at most\n"
		"word-bucket: bucket 1, slot 1: the key of cell 13 belongs to bucket 9\n"
		"word-bucket: bucket 1, slot 3: the key of cell 15 belongs to bucket 9\n"
		"word-bucket: bucket 1, slot 4: the key of cell 16 belongs to bucket 9\n"
		"word-bucket: bucket 1, slot 5: the key of cell 17 belongs to bucket 13\n"
		"word-bucket: bucket 1, overflow 0, slot 0: the key of cell 19 belongs to "
		"bucket 5\n"
		"word-bucket: bucket 1, overflow 0, slot 1: the key of cell 20 belongs to "
		"bucket 9\n"
		"word-bucket: bucket 1, overflow 0, slot 2: the key of cell 21 belongs to "
		"bucket 9\n"
		"word-bucket: bucket 3, slot 0: the key of cell 2 belongs to bucket 11\n"
		"word-bucket: bucket 4, slot 0: the key of cell 12 belongs to bucket 12\n"
		"counters: by the counters there are 14 entries, in the index 5\n"
		"gauges: shmcache_entries tells 14, seen were 5\n"
		"gauges: shmcache_dram_used_bytes tells 74176, seen were 73088\n"
		"gauges: shmcache_dram_entries tells 4, seen were 2\n"
		"gauges: shmcache_cxl_used_bytes tells 100608, seen were 100160\n"
		"gauges: shmcache_cxl_entries tells 10, seen were 3\n"},
	{"too many cells", too_many_cells,
		"index-head: cells: 0 in use, 65 with memory, 64 at most\n"},
	{"array beyond", array_beyond,
		"index-head: cells: 128 with memory, and room for 64\n"
		"index-head: the arrays overlap, or do not fit into 9728 bytes\n"},
	{"index magic", index_magic,
		"index-head: the index is damaged, or was made by another build\n"},
	{"an entry too many", an_entry_too_many,
		"gauges: shmcache_entries tells 15, seen were 14\n"},
	{"bytes lost", bytes_lost,
		"gauges: shmcache_dram_used_bytes tells 78272, seen were 74176\n"},
	{"free and used", free_and_used,
		"gauges: shmcache_dram_largest_free_bytes tells 971456, but records leave no "
		"more than 971392 between them\n"},
	{"put not counted", put_not_counted,
		"counters: by the counters there are 13 entries, in the index 14\n"},
	{"commit of nothing", commit_of_nothing,
		"counters: reservations that ended: 1, more than reservations: 0\n"},
	{"state unknown", state_unknown,
		"plane: the state is 9, which there is not\n"},
	{"no workers", no_workers,
		"plane: there are 0 workers\n"
		"session: session 12: worker 0 of 0\n"},
	{"role unknown", role_unknown,
		"session: session 12: there is no role 7\n"},
	{"sequence of another", sequence_of_another,
		"ring: session 12, lane 0: slot 5 has sequence 100, which belongs to another\n"},
	{"slot skipped", slot_skipped,
		"ring: session 12, lane 0: slot 7 was skipped: sequence 0, while others are "
		"at 18\n"},
	{"answer skipped", answer_skipped,
		"ring: session 12, lane 0: completion 0 was skipped: sequence 1, while "
		"others are at 18\n"},
	{"reaped ahead", reaped_ahead,
		"ring: session 12, lane 0: 17 answers were taken, of 16\n"},
	{"reaped behind", reaped_behind,
		"ring: session 12, lane 0: 17 requests in flight, in a ring of 16\n"},
	{"consumed ahead", consumed_ahead,
		"ring: session 12, lane 0: the broker took 19 requests, of 18\n"
		"ring: session 12, lane 0: 19 requests were taken, 16 answered, and 0 are "
		"elsewhere\n"},
	{"answer to nothing", answer_to_nothing,
		"ring: session 12, lane 1: 1 answers, to 0 requests\n"},
	{"fault of one", fault_of_one,
		"ring: session 12, lane 1: its fault is \"key size out of range\", its "
		"session's \"none\"\n"},
	{"hold beyond", hold_beyond,
		"ring: session 12, lane 1: hold 9 is beyond the cells in use, and protects "
		"nothing\n"},
	{"hold on nothing", hold_on_nothing,
		"ring: session 12, lane 1: hold 1 is on cell 5000, which is none\n"},
	{"holds used too many", holds_used_too_many,
		"ring: session 12, lane 1: 65 hold cells in use, of 64\n"},
	{"fetches", made_fetches, ""},
	{"elsewhere: a put", elsewhere_put,
		"ring: session 12, lane 1: request 2 is elsewhere, a put, which can't be\n"},
	{"elsewhere: twice", elsewhere_twice,
		"ring: session 12, lane 1: request 2 is elsewhere twice\n"},
	{"elsewhere: ahead", elsewhere_ahead,
		"ring: session 12, lane 1: request 20 is elsewhere, of 20\n"},
	{"elsewhere: and answered", elsewhere_and_answered, ""},
	{"elsewhere: too many", elsewhere_too_many,
		"ring: session 12, lane 1: 6 requests are elsewhere, of 4 without an answer\n"},
	{"elsewhere: lost", elsewhere_lost,
		"ring: session 12, lane 1: 18 requests were taken, 16 answered, and 0 are "
		"elsewhere\n"},
	{"elsewhere: cut off", elsewhere_cut_off, ""},
	{0},
};
