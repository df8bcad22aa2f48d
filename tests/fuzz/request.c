/* SPDX-License-Identifier: Apache-2.0 */
/* request.c: a client whose whole request region, every submission included, is the fuzzer's. */
#include <sys/mman.h>
#include <unistd.h>

#include <urcu.h>

#include "shmcache/request.h"
#include "tests/fuzz/fuzz.h"

/*
 * The input is a program of steps: a submission, bytes anywhere in the region (head, holds, access
 * log and staging among it), or a piece of the broker's upkeep. What a worker does with a
 * submission is done here in the order in which it does it. After each input the client is gone,
 * and then the store must have got everything back, and its books must balance.
 */
#define N_STEPS_MAX 200

static struct store store;
static struct abi_worker counters;
static struct abi_session directory;
static struct config config;

static struct {
	struct session *session;
	struct lane *lane;
	uint8_t *region; /* as the client maps it */
	int bell;
} client;

static void scan_holds(void *context, struct index *ix, uint8_t round)
{
	(void)context;
	if (client.session)
		session_scan_holds(client.session, ix, round);
}

static void drain_logs(void *context, struct abi_worker *w)
{
	(void)context;
	if (client.session)
		session_drain_logs(client.session, &store, w);
}

static void open_store(void)
{
	char index[64], dram[64], why[256];
	struct store_options options = {.index_name = index, .dram_name = dram,
		.dram_size = 1 << 20, .index_size_max = 512 << 10, .batch = 4, .node = -1,
		.reserve_threads = 1};
	struct store_opened opened;

	rcu_register_thread();
	fuzz_name(index, sizeof(index), "/", "-request.index");
	fuzz_name(dram, sizeof(dram), "/", "-request.dram");
	store.sessions.scan_holds = scan_holds;
	store.sessions.drain_logs = drain_logs;
	FUZZ_CHECK(!store_open(&store, &options, &opened, why, sizeof(why)), "%s", why);
	/* Mapped is enough: nothing stays behind, however the fuzzer ends. */
	shm_unlink(index);
	shm_unlink(dram);
	config_init(&config);
	config.session.lanes = 1;
	config.session.queue = 16;
	config.session.holds = 64;
	config.session.staging_size = 64 << 10;
	config.session.reservations = 4;
}

static void open_client(void)
{
	struct session_descriptors fds;

	FUZZ_CHECK(!session_new(&client.session, &config, &fds), "no session");
	client.session->role = WIRE_ROLE_WRITER;
	client.session->directory = &directory;
	client.region = mmap(NULL, client.session->request_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		fds.request, 0);
	FUZZ_CHECK(client.region != MAP_FAILED, "no map");
	close(fds.request);
	close(fds.response);
	FUZZ_CHECK(!session_lane_open(client.session, &client.lane, &client.bell), "no lane");
}

static void close_client(void)
{
	session_give_back(client.session, &store, &counters);
	munmap(client.region, client.session->request_size);
	close(client.bell);
	session_free(client.session);
	client.session = NULL;
}

/* A flush goes on over rounds and answers by its lane. */
static void finish_flush(struct completion *completion)
{
	unsigned n = 0;

	while (client.lane->flush) {
		request_flush_on(&store, &counters, client.lane, completion);
		FUZZ_CHECK(++n < 10000, "a flush without end");
	}
}

/* Returns whether the session goes on. */
static bool submit(struct fuzz_input *in)
{
	struct abi_submission *slot =
		(void *)(client.region + client.session->geometry.submission_off);
	struct completion completion = {.status = ABI_N_STATUSES};
	enum request_outcome outcome;
	enum abi_fault fault;
	struct submission sub;
	uint64_t raw[8];

	fuzz_take(in, raw, sizeof(raw));
	/* A reservation's number is no secret to its owner, but nothing that a fuzzer finds. */
	if (raw[3] >> 56 == 0xee)
		raw[3] = client.session->reservation[raw[3] & 3].id;
	memcpy(slot, raw, sizeof(raw));
	fault = submission_snapshot(slot, &sub);
	if (fault)
		return false;
	outcome = request_run(&store, &counters, client.lane, &sub, &completion, &fault);
	if (outcome == REQUEST_BROKEN) {
		FUZZ_CHECK(fault > ABI_FAULT_NONE && fault < ABI_N_FAULTS, "fault %d", (int)fault);
		return false;
	}
	finish_flush(&completion);
	FUZZ_CHECK(completion.id == sub.id, "answered %u to %u", completion.id, sub.id);
	FUZZ_CHECK(completion.status < ABI_N_STATUSES, "status %u", completion.status);
	return true;
}

static void scribble(struct fuzz_input *in)
{
	size_t size = client.session->request_size, off = fuzz_u32(in) % size;
	size_t n = fuzz_u8(in), copies = 1 + fuzz_u8(in);
	uint8_t bytes[256];

	fuzz_take(in, bytes, n);
	for (; copies && off + n <= size; copies--, off += n)
		memcpy(client.region + off, bytes, n);
}

static void upkeep(uint8_t kind)
{
	session_drain_logs(client.session, &store, &counters);
	if (kind & 1)
		store_reclaim(&store, &counters);
	if (kind & 2)
		session_expire_pins(client.session, &store, UINT64_MAX, true);
	if (kind & 4)
		store_sweep(&store, &counters, 1000);
	if (kind & 8)
		(void)session_held_size(client.session, &store);
}

static void check_rest(void)
{
	uint64_t bucket = 0;
	char why[256];

	FUZZ_CHECK(!store_check(&store, why, sizeof(why)), "%s", why);
	while (bucket != UINT64_MAX)
		store_flush(&store, &counters, NULL, 0, &bucket, 1000);
	store_reclaim(&store, &counters);
	FUZZ_CHECK(!store_check(&store, why, sizeof(why)), "%s", why);
	FUZZ_CHECK(!store.index.n_entries && !store.limbo.n && !store.limbo.size &&
			!store.reserved_size && !store.pinned_size && !store.n_expiring,
		"%llu entries, %llu in limbo, %llu bytes reserved, %llu pinned, %llu expire",
		(unsigned long long)store.index.n_entries, (unsigned long long)store.limbo.n,
		(unsigned long long)store.reserved_size, (unsigned long long)store.pinned_size,
		(unsigned long long)store.n_expiring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned n;
	uint8_t step;

	if (!store.index.head)
		open_store();
	open_client();
	for (n = 0; in.left && n < N_STEPS_MAX; n++) {
		step = fuzz_u8(&in);
		if (step % 4 < 2) {
			if (!submit(&in))
				break;
		} else if (step % 4 == 2) {
			scribble(&in);
		} else {
			upkeep(step >> 2);
		}
	}
	close_client();
	check_rest();
	return 0;
}
