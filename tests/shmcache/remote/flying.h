/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flying.h: flights over a real store, with a kind that does what a test says, and a clock of its
 * own.
 */
#ifndef TESTS_SHMCACHE_REMOTE_FLYING_H
#define TESTS_SHMCACHE_REMOTE_FLYING_H

#include "shmcache/remote/flight.h"
#include "tests/shmcache/rig.h"

#define FLYING_KEYS 64
#define FLYING_OUT 512

/* A transfer that the kind was asked for. */
struct out_fetch {
	struct remote_fetch *fetch;
	unsigned holder, key;
	bool is_cancelled;
	uint64_t version; /* of the key when it was located */
	uint64_t size;
	uint8_t *to; /* what land() gave */
};

struct out_locate {
	struct remote_locate *locate;
	unsigned i, key;
};

/* A ticket that was answered, or not yet. */
struct asked {
	struct ticket *ticket;
	unsigned key;
	bool is_answered;
	uint64_t answered_ms;
	uint64_t version; /* of the key when it was asked for */
};

struct flying {
	struct rig rig;
	struct config config;
	struct remote_loop loop;
	struct flights *flights;
	struct remote_ear *ear; /* to whom the kind tells what it hears */
	bool is_slow_to_cancel; /* done() comes when the test says so */
	struct out_locate locate[FLYING_OUT];
	struct out_fetch fetch[FLYING_OUT];
	unsigned n_locates, n_fetches;	/* that are out */
	unsigned n_located, n_fetched;	/* ever */
	unsigned n_told, n_untold;	/* what erase() answers */
	uint64_t version[FLYING_KEYS];	/* counts what happened to a key here */
	uint64_t located[FLYING_KEYS];	/* the version when it was last located */
	struct asked *asked;
	unsigned n_asked, n_answered;
};

/* @dram bytes of memory. The options of the configuration may be changed before flying_begin(). */
void flying_init(struct flying *f, uint64_t dram);
void flying_begin(struct flying *f);
/* Nothing is left: no flight, no block, no delivery that was not ended; the store's books agree. */
void flying_end(struct flying *f);

/* Of a test whose state is a struct flying: 16 MiB, everything as configured by default. */
int flying_setup(void **state);
int flying_teardown(void **state);
#define FLYING_TEST(name) \
	cmocka_unit_test_prestate_setup_teardown(name, flying_setup, flying_teardown, &f)

/* A ticket for key @key. Its policy: enum abi_write_back, or -1: as configured. Not taken yet. */
struct ticket *flying_ticket(struct flying *f, unsigned key, int policy);
/* It is taken. Returns its number, an index into @asked. */
unsigned flying_take(struct flying *f, struct ticket *ticket);
/* Both, with a second of time. */
unsigned flying_ask(struct flying *f, unsigned key, int policy);

/* The clock goes on by @ms, and what is due is called. */
void flying_pass(struct flying *f, uint64_t ms);

/* Answer the question that is out for @key: @n holders, numbered from @first on. */
void flying_located(struct flying *f, unsigned key, unsigned first, unsigned n, bool is_complete);
void flying_answer_locate(struct flying *f, unsigned i, const uint16_t *holders, unsigned n,
	bool is_complete);

/* The transfer that is out for @key: its index, or -1; fails where there are two. */
int flying_out(struct flying *f, unsigned key);

/* Its holder tells the head. True: there is a block. */
bool flying_land(struct flying *f, unsigned i, uint64_t size);
/* The same, but where there is none the kind takes its time to say that it has let go. */
bool flying_offer(struct flying *f, unsigned i, uint64_t size);
/* Its bytes come, and it is done. */
void flying_finish(struct flying *f, unsigned i, enum remote_result result);
/* Located at one holder, landed, finished. */
void flying_bring(struct flying *f, unsigned key, uint64_t size);

/* The answer. */
bool flying_is_answered(const struct flying *f, unsigned n);
void flying_expect_here(struct flying *f, unsigned n);
void flying_expect_miss(struct flying *f, unsigned n, enum abi_fetch_miss why);
/* It was delivered, and is what it should be; the delivery is ended. */
void flying_expect_delivered(struct flying *f, unsigned n);

/* What is under a key in the store: 0 nothing, 1 what a client put, 2 what was fetched. */
int flying_stored(struct flying *f, unsigned key, uint64_t *version);

void flying_put(struct flying *f, unsigned key, uint64_t size);
void flying_delete(struct flying *f, unsigned key);
struct index_key flying_key(struct flying *f, unsigned key, uint8_t bytes[ABI_KEY_SIZE_MAX]);

#endif
