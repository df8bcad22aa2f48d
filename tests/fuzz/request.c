/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.c: a client whose whole request region is the fuzzer's, served by a worker's own rounds.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <urcu.h>

#include "shmcache/broker.h"
#include "tests/fuzz/elsewhere.h"

/*
 * The input is a program of steps: a submission, in the place and with the number that are next or
 * with any number, and a round of the worker behind it or not yet; bytes anywhere in the region
 * (head, rings, holds, access log and staging among it); an answer of another broker; or a piece of
 * the broker's upkeep. After each round what was answered must make sense, and no more answers
 * stand than there is room for. After each input the client is gone, and then the store must have
 * got everything back, and its books must balance. Canaries show a copy that goes beyond its block,
 * a page that nobody may touch one that begins in staging and goes on behind it.
 *
 * Found within 25 seconds when they were taken out by hand: the bounds of a put's value in staging,
 * of a key's size, of a write in its block, of the count of holds, of cell numbers in the access
 * log; the pins that a session gives back.
 */
#define N_STEPS_MAX 200
#define N_CANARIES 12
#define CANARY_SIZE 4096
#define ROOM_SIZE (80U << 10) /* between two canaries */
#define GUARD_SIZE (1U << 20)
#define N_QUEUE 16
#define N_ROUND 6

/* Bits of a step that is a submission. */
#define STEP_ANY_NUMBER 0x04 /* as it stands in the input */
#define STEP_LATER 0x08	     /* with what comes next */
#define STEP_UNTOLD 0x10     /* the client keeps to itself what it has taken */

/* One of the others. */
#define STEP_ELSEWHERE 0xf2

static struct broker broker;
static struct store *const store = &broker.store;
static struct worker *const worker = &broker.worker[0];
static struct log logger;
static struct abi_worker counters;
static struct abi_session directory;
static struct config config;
static struct elsewhere others;

static struct {
	struct session *session;
	struct lane *lane;
	uint8_t *region; /* as the client maps it */
	uint64_t submitted, taken;
	int bell;
} client;

/* Where the broker's view of the region goes, with a guard behind it. */
static uint8_t *place;

/* Open records, which no client sees and no eviction takes. */
static uint32_t canary[N_CANARIES];

/* --- the guard: linked with --wrap=mmap64,--wrap=munmap -------------------------------------- */

void *__real_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t off);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t off);
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);

/* Nothing but a request region is mapped shared and for reading alone. */
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t off)
{
	if (!(flags & MAP_SHARED) || protection != PROT_READ)
		return __real_mmap64(at, size, protection, flags, fd, off);
	if (!place)
		place = __real_mmap64(NULL, size + GUARD_SIZE, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return __real_mmap64(place, size, protection, flags | MAP_FIXED, fd, off);
}

/* The place is kept free for the next one. */
int __wrap_munmap(void *at, size_t size)
{
	if (!place || at != place)
		return __real_munmap(at, size);
	return __real_mmap64(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		       0) == at ? 0 : -1;
}

/* --- store and client ------------------------------------------------------------------------ */

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
		session_drain_logs(client.session, store, w);
}

static void open_store(void)
{
	char index[64], dram[64], why[256];
	struct store_options options = {
		.index_name = index,
		.index_size_max = 512 << 10,
		.tier[ABI_TIER_DRAM].region = {.name = dram, .size = 1 << 20, .node = -1, .n_threads = 1},
		.batch = 4,
	};
	struct store_opened opened;

	rcu_register_thread();
	log_init(&logger, -1);
	log_set_level(&logger, LOG_LEVEL_ERROR);
	broker.log = &logger;
	broker.config = &config;
	broker.poke.fd = -1;
	broker.tuning.round = N_ROUND;
	pthread_mutex_init(&broker.sessions_lock, NULL);
	worker->broker = &broker;
	worker->shared = &counters;
	fuzz_name(index, sizeof(index), "/", "-request.index");
	fuzz_name(dram, sizeof(dram), "/", "-request.dram");
	store->sessions.scan_holds = scan_holds;
	store->sessions.drain_logs = drain_logs;
	pthread_mutex_init(&worker->inbox_lock, NULL);
	worker->bell.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	tray_init(&worker->tray);
	tray_open(&worker->tray, worker->bell.fd);
	elsewhere_open(&others, store, &counters);
	FUZZ_CHECK(!store_open(store, &options, &opened, why, sizeof(why)), "%s", why);
	/* Mapped is enough: nothing stays behind, however the fuzzer ends. */
	shm_unlink(index);
	shm_unlink(dram);
	config_init(&config);
	config.session.lanes = 1;
	config.session.queue = N_QUEUE;
	config.session.holds = 64;
	config.session.staging_size = 64 << 10;
	config.session.reservations = 4;
}

static uint32_t reserve(const char *name, uint64_t size)
{
	const struct store_put_options options = {0};
	struct index_key key = index_key(&store->index, name, strlen(name));
	uint32_t cell;

	FUZZ_CHECK(store_reserve(store, &counters, &key, &options, size, &cell) ==
			ABI_STATUS_OK, "no room for a %s", name);
	return cell;
}

static char *canary_bytes(unsigned i)
{
	return store->tier[ABI_TIER_DRAM].base + store->index.cell[canary[i]].value_off;
}

static void open_canaries(void)
{
	uint32_t room[N_CANARIES];
	unsigned i;

	for (i = 0; i < N_CANARIES; i++) {
		room[i] = reserve("room", ROOM_SIZE);
		canary[i] = reserve("canary", CANARY_SIZE);
		memset(canary_bytes(i), 0xa5, CANARY_SIZE);
	}
	for (i = 0; i < N_CANARIES; i++)
		store_abort(store, room[i]);
}

static void close_canaries(void)
{
	unsigned i, j;

	for (i = 0; i < N_CANARIES; i++) {
		for (j = 0; j < CANARY_SIZE; j++)
			FUZZ_CHECK((uint8_t)canary_bytes(i)[j] == 0xa5, "written over");
		store_abort(store, canary[i]);
	}
}

static void open_client(void)
{
	struct session_descriptors fds;
	FUZZ_CHECK(!session_new(&client.session, &config, &fds), "no session");
	FUZZ_CHECK(client.session->request == place, "the region is not where it should be");
	client.session->role = WIRE_ROLE_WRITER;
	client.session->worker = worker;
	client.session->directory = &directory;
	client.session->desk = &others.desk;
	client.session->tray = &worker->tray;
	client.region = mmap(NULL, client.session->request_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		fds.request, 0);
	FUZZ_CHECK(client.region != MAP_FAILED, "no map");
	client.session->kept = fds;
	FUZZ_CHECK(!session_lane_open(client.session, &client.lane, &client.bell), "no lane");
	client.submitted = client.taken = 0;
}

static void close_client(void)
{
	session_give_back(client.session, store, &counters);
	elsewhere_end(&others);
	worker_read_mail(worker);
	munmap(client.region, client.session->request_size);
	close(client.bell);
	session_free(client.session);
	client.session = NULL;
}

static struct abi_lane_request *head(void)
{
	return (void *)client.region;
}

/* What was answered since the last look, by the ring that the client reads. */
static void take_answers(bool tells)
{
	struct completion completion;

	while (completion_take(&client.lane->completion[client.taken % N_QUEUE], client.taken,
		&completion)) {
		client.taken++;
		FUZZ_CHECK(completion.status < ABI_N_STATUSES, "status %u", completion.status);
	}
	FUZZ_CHECK(client.taken == client.lane->completed, "%llu answers of %llu are there",
		(unsigned long long)client.taken, (unsigned long long)client.lane->completed);
	if (tells)
		shared_u64_store_release(&head()->reaped, client.taken);
}

/* Returns whether the session goes on. */
static bool serve(bool tells)
{
	const struct lane *lane = client.lane;
	unsigned n = 0;

	/* A flush goes on over rounds. */
	do
		worker_serve(worker, client.lane);
	while (lane->flush && ++n < 10000);
	FUZZ_CHECK(!lane->flush, "a flush without end");
	FUZZ_CHECK(lane->completed <= lane->consumed, "more answers than requests");
	if (session_is_cut_off(client.session)) {
		FUZZ_CHECK(client.session->fault < ABI_N_FAULTS, "fault %u", client.session->fault);
		return false;
	}
	FUZZ_CHECK(lane->completed - lane->reaped <= N_QUEUE, "answers over answers");
	take_answers(tells);
	return true;
}

/* Returns whether the session goes on. */
static bool submit(struct fuzz_input *in, uint8_t step)
{
	struct abi_submission *slot =
		(void *)(client.region + client.session->geometry.submission_off);
	uint64_t raw[8];

	fuzz_take(in, raw, sizeof(raw));
	/* A reservation's number is no secret to its owner, but nothing that a fuzzer finds. */
	if (raw[3] >> 56 == 0xee)
		raw[3] = client.session->reservation[raw[3] & 3].id;
	if (raw[3] >> 56 == 0xed && client.session->n_deliveries)
		raw[3] = client.session->delivery[raw[3] % client.session->n_deliveries].id;
	if (!(step & STEP_ANY_NUMBER))
		raw[7] = client.submitted + 1;
	memcpy(&slot[client.submitted % N_QUEUE], raw, sizeof(raw));
	client.submitted++;
	return step & STEP_LATER || serve(!(step & STEP_UNTOLD));
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
	static uint64_t now_ms;

	session_drain_logs(client.session, store, &counters);
	if (kind & 1)
		store_reclaim(store, &counters);
	if (kind & 2)
		session_expire_pins(client.session, store, UINT64_MAX, true);
	if (kind & 4)
		store_sweep(store, &counters, 1000);
	if (kind & 8)
		(void)session_held_size(client.session, store, ABI_TIER_DRAM);
	if (kind & 16)
		session_drain_waits(client.session, &counters);
	if (kind & 32)
		(void)session_look_at_holds(client.session, ++now_ms);
}

/* Answers come at any time, and take no place from anybody. */
static void elsewhere(struct fuzz_input *in)
{
	elsewhere_go_on(&others, in);
	worker_read_mail(worker);
	take_answers(true);
}

static void check_rest(void)
{
	uint64_t bucket = 0;
	char why[256];

	FUZZ_CHECK(!store_check(store, why, sizeof(why)), "%s", why);
	/* Before the flush, which would take pins along. */
	FUZZ_CHECK(!store->reserved_size && !store->pinned_size, "%llu bytes reserved, %llu pinned",
		(unsigned long long)store->reserved_size, (unsigned long long)store->pinned_size);
	while (bucket != UINT64_MAX)
		store_flush(store, &counters, NULL, 0, &bucket, 1000);
	store_reclaim(store, &counters);
	FUZZ_CHECK(!store_check(store, why, sizeof(why)), "%s", why);
	FUZZ_CHECK(!store->index.n_entries && !store->limbo.n && !store->tier[ABI_TIER_DRAM].limbo_size &&
			!store->reserved_size && !store->pinned_size && !store->n_expiring &&
			!store->n_fills && !store->deliveries,
		"%llu entries, %llu in limbo, %llu bytes reserved, %llu pinned, %llu expire",
		(unsigned long long)store->index.n_entries, (unsigned long long)store->limbo.n,
		(unsigned long long)store->reserved_size, (unsigned long long)store->pinned_size,
		(unsigned long long)store->n_expiring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned n;
	uint8_t step;

	if (!store->index.head)
		open_store();
	open_canaries();
	open_client();
	for (n = 0; in.left && n < N_STEPS_MAX; n++) {
		step = fuzz_u8(&in);
		if (step % 4 < 2) {
			if (!submit(&in, step))
				break;
		} else if (step == STEP_ELSEWHERE) {
			elsewhere(&in);
		} else if (step % 4 == 2) {
			scribble(&in);
		} else {
			upkeep(step >> 2);
		}
	}
	close_client();
	close_canaries();
	check_rest();
	return 0;
}
