/* SPDX-License-Identifier: Apache-2.0 */
/* session.c: the regions of a session, and what it holds of the store. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shmcache/fetch.h"
#include "shmcache/session.h"
#include "shmcache/subscribe.h"

/*
 * Two regions, so that no mapping holds words of both sides. Both are sealed against shrinking and
 * growing: whatever the client does to the descriptor, our loads never run into its end. The
 * response region is sealed against writing as well, after we have mapped it: F_SEAL_FUTURE_WRITE
 * leaves our mapping alone and makes every later one read-only.
 *
 * That seal also forbids holes. A hole in the request region would do no harm by itself, as it
 * reads as zeroes. But each look at it takes a page fault, which waits while the next hole is made:
 * a client that punches on and on would have a worker do a fifth of its work. So the request region
 * gets the seal too, as soon as the client has its own mapping: before it gets its first lane.
 * Until then nobody looks.
 */
static int make_region(const char *name, size_t size, int seals, int prot, uint8_t **map, int *fd)
{
	int r;

	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return -errno;
	*map = MAP_FAILED;
	if (ftruncate(*fd, (off_t)size) == 0)
		*map = mmap(NULL, size, prot, MAP_SHARED, *fd, 0);
	if (*map != MAP_FAILED && fcntl(*fd, F_ADD_SEALS, seals) == 0)
		return 0;
	r = -errno;
	if (*map != MAP_FAILED)
		munmap(*map, size);
	close(*fd);
	*fd = -1;
	return r;
}

static void set_lane(struct session *s, unsigned i)
{
	const struct abi_geometry *g = &s->geometry;
	uint8_t *request = s->request + (size_t)i * g->request_stride;
	uint8_t *response = s->response + (size_t)i * g->response_stride;
	struct lane *lane = &s->lane[i];

	lane->session = s;
	lane->idx = i;
	lane->doorbell = -1;
	lane->request = (const void *)request;
	lane->submission = (const void *)(request + g->submission_off);
	lane->staging = request + g->staging_off;
	lane->response = (void *)response;
	lane->completion = (void *)(response + g->completion_off);
	lane->elsewhere = (void *)(response + g->elsewhere_off);
}

#define N_LOG 4096

int session_new(struct session **out, const struct config *config, struct session_descriptors *fds)
{
	struct session *s = calloc(1, sizeof(*s));
	unsigned i;
	int r;

	if (!s)
		return -ENOMEM;
	s->limits = config->session;
	s->socket.fd = s->death.fd = s->kept.request = s->kept.response = -1;
	s->geometry.n_lanes = config->session.lanes;
	s->geometry.n_queue = config->session.queue;
	s->geometry.n_holds = config->session.holds;
	s->geometry.n_log = N_LOG;
	s->geometry.staging_size = (uint32_t)config->session.staging_size;
	r = abi_geometry_init(&s->geometry);
	if (r)
		goto fail;
	r = -ENOMEM;
	s->lane = calloc(s->geometry.n_lanes, sizeof(*s->lane));
	s->reservation = calloc(config->session.reservations, sizeof(*s->reservation));
	if (!s->lane || !s->reservation)
		goto fail;
	s->request_size = (size_t)s->geometry.n_lanes * s->geometry.request_stride;
	s->response_size = (size_t)s->geometry.n_lanes * s->geometry.response_stride;
	r = make_region(SESSION_REQUEST_NAME, s->request_size, F_SEAL_SHRINK | F_SEAL_GROW, PROT_READ,
		&s->request, &fds->request);
	if (r) {
		s->request = NULL;
		goto fail;
	}
	r = make_region("shmcache-response", s->response_size,
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL,
		PROT_READ | PROT_WRITE, &s->response, &fds->response);
	if (r) {
		s->response = NULL;
		close(fds->request);
		goto fail;
	}
	for (i = 0; i < s->geometry.n_lanes; i++)
		set_lane(s, i);
	*out = s;
	return 0;
fail:
	session_free(s);
	return r;
}

void session_free(struct session *s)
{
	unsigned i;

	if (!s)
		return;
	for (i = 0; s->lane && i < s->geometry.n_lanes; i++) {
		if (s->lane[i].session && s->lane[i].doorbell >= 0)
			close(s->lane[i].doorbell);
		free(s->lane[i].flush);
		free(s->lane[i].spare);
	}
	if (s->request)
		munmap(s->request, s->request_size);
	if (s->response)
		munmap(s->response, s->response_size);
	if (s->kept.request >= 0)
		close(s->kept.request);
	if (s->kept.response >= 0)
		close(s->kept.response);
	if (s->socket.fd >= 0)
		close(s->socket.fd);
	if (s->death.fd >= 0)
		close(s->death.fd);
	holds_seen_free(&s->held);
	free(s->lane);
	free(s->reservation);
	free(s->pin);
	free(s->delivery);
	ticket_free(s->leave);
	free(s);
}

void session_tell_regions(const struct session *s)
{
	const struct abi_geometry *g = &s->geometry;
	struct abi_session *d = s->directory;
	struct stat request = {0}, response = {0};

	/* Memory of ours: neither can fail. Both are on the kernel's own tmpfs. */
	(void)fstat(s->kept.request, &request);
	(void)fstat(s->kept.response, &response);
	shared_u64_store(&d->region_dev, request.st_dev);
	shared_u64_store(&d->request_ino, request.st_ino);
	shared_u64_store(&d->response_ino, response.st_ino);
	shared_u32_store(&d->lanes_max, g->n_lanes);
	shared_u32_store(&d->n_queue, g->n_queue);
	shared_u32_store(&d->n_holds, g->n_holds);
	shared_u32_store(&d->n_log, g->n_log);
	shared_u32_store(&d->staging_size, g->staging_size);
}

/* From here on what the client has mapped is all that it can write by, and no page goes away. */
static int seal_request(const struct session *s)
{
	int fd = s->kept.request;

	if (!fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL))
		return 0;
	if (errno != EPERM)
		return -errno;
	/* Sealed for good already: by us, for a lane before this one, or by the client. */
	return fcntl(fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE ? 0 : -EBADMSG;
}

int session_lane_open(struct session *s, struct lane **out, int *client_end)
{
	unsigned n = atomic_load_explicit(&s->n_lanes, memory_order_relaxed);
	struct lane *lane;
	int pair[2], r;

	if (n == s->geometry.n_lanes)
		return -EUSERS;
	r = seal_request(s);
	if (r)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	/* Closing a descriptor that somebody sent along could block us: Linux 6.16 can say no. */
	(void)setsockopt(pair[0], SOL_SOCKET, SO_PASSRIGHTS, &(int){0}, sizeof(int));
	lane = &s->lane[n];
	lane->doorbell = pair[0];
	*client_end = pair[1];
	*out = lane;
	/* partner: the acquire in session_scan_holds(); counted before the client may hold by it */
	atomic_store_explicit(&s->n_lanes, n + 1, memory_order_release);
	shared_u32_store(&s->directory->n_lanes, n + 1);
	return 0;
}

/* --- what clients told ------------------------------------------------------------------------ */

static struct holds holds_of(const struct session *s)
{
	/* partner: the release in session_lane_open() */
	return (struct holds){s->request, &s->geometry,
		atomic_load_explicit(&s->n_lanes, memory_order_acquire)};
}

uint64_t session_n_held(const struct session *s)
{
	struct holds h = holds_of(s);

	return holds_count(&h);
}

uint64_t session_look_at_holds(struct session *s, uint64_t now_ms)
{
	struct holds h = holds_of(s);
	uint64_t since_ms, n = holds_look(&h, &s->held, now_ms, &since_ms);

	shared_u64_store(&s->directory->held_since_ms, since_ms);
	return n;
}

void session_scan_holds(const struct session *s, struct index *ix, uint8_t round)
{
	struct holds h = holds_of(s);

	holds_scan(&h, ix, round);
}

uint64_t session_held_size(const struct session *s, struct store *store, unsigned tier)
{
	struct holds h = holds_of(s);

	return holds_size(&h, store, tier);
}

/* Numbers that run backward are a lie: start over from where they are, count nothing. */
static uint64_t taken(uint64_t *last, const struct shared_u64 *word)
{
	uint64_t raw_now = shared_u64_load(word), n = raw_now - *last;

	*last = raw_now;
	return n < UINT64_C(1) << 62 ? n : 0;
}

static void drain_counters(struct lane *lane, struct abi_worker *w)
{
	uint64_t n_hits = taken(&lane->hits, &lane->request->hits);
	uint64_t n_cxl = taken(&lane->cxl_hits, &lane->request->cxl_hits);
	unsigned i;

	store_count(w, ABI_COUNTER_HITS, n_hits);
	store_count(w, ABI_COUNTER_CXL_HITS, n_cxl);
	/* One that came between the two looks is in the one and not the other. */
	store_count(w, ABI_COUNTER_DRAM_HITS, n_hits > n_cxl ? n_hits - n_cxl : 0);
	store_count(w, ABI_COUNTER_MISSES, taken(&lane->misses, &lane->request->misses));
	for (i = 0; i < ABI_N_MISSES; i++)
		shared_u64_add(&w->miss[i], taken(&lane->miss[i], &lane->request->miss[i]));
}

/* A client may tell what it likes of its waits; it spoils a number that says "as they tell". */
void session_drain_waits(struct session *s, struct abi_worker *w)
{
	unsigned n_lanes = atomic_load_explicit(&s->n_lanes, memory_order_acquire), i, j;
	struct abi_histogram *sum = &w->stage_time[ABI_STAGE_WAIT];
	const struct abi_histogram *raw;
	struct histogram *last;

	for (i = 0; i < n_lanes; i++) {
		raw = &s->lane[i].request->wait;
		last = &s->lane[i].wait;
		/* The least wait takes a nanosecond: where the sum stands still, there was none. */
		if (shared_u64_load(&raw->sum_ns) == last->sum_ns)
			continue;
		shared_u64_add(&sum->sum_ns, taken(&last->sum_ns, &raw->sum_ns));
		for (j = 0; j < ABI_HISTOGRAM_BUCKETS; j++)
			shared_u64_add(&sum->bucket[j], taken(&last->bucket[j], &raw->bucket[j]));
		last->max_ns = shared_u64_load(&raw->max_ns);
		if (last->max_ns > shared_u64_load(&sum->max_ns))
			shared_u64_store(&sum->max_ns, last->max_ns);
	}
}

/*
 * Take what is new in one lane's log, up to @budget entries; what was overwritten meanwhile is
 * lost, and counted. Returns how many were taken.
 */
static unsigned drain_lane(
	struct lane *lane, struct store *store, struct abi_worker *w, unsigned budget)
{
	const struct abi_geometry *g = &lane->session->geometry;
	const struct shared_u32 *log =
		(const void *)((const uint8_t *)lane->request + g->log_off);
	/* partner: the client's release of its log position */
	uint64_t raw_logged = shared_u64_load_acquire(&lane->request->logged);
	uint64_t n = raw_logged - lane->logged;
	unsigned i, n_taken = 0;
	uint32_t cells[256];

	drain_counters(lane, w);
	if (budget > g->n_log)
		budget = g->n_log;
	if (n > budget) {
		if (n < UINT64_C(1) << 62)
			store_count(w, ABI_COUNTER_LOG_LOST, n - budget);
		lane->logged = raw_logged - budget;
	}
	while (lane->logged != raw_logged) {
		for (i = 0; i < 256 && lane->logged != raw_logged; i++)
			cells[i] = shared_u32_load(&log[lane->logged++ & (g->n_log - 1)]);
		store_count(w, ABI_COUNTER_LOG_HITS, store_hits(store, w, cells, i));
		n_taken += i;
	}
	return n_taken;
}

/*
 * The policy learns from samples as well as from all, and a client can make its logs look full at
 * no cost: a session gets one log's length of our time, beginning with another lane each time.
 */
void session_drain_logs(struct session *s, struct store *store, struct abi_worker *w)
{
	unsigned n_lanes = atomic_load_explicit(&s->n_lanes, memory_order_acquire), i;
	unsigned budget = s->geometry.n_log, first = s->next_drain++;

	for (i = 0; i < n_lanes; i++)
		budget -= drain_lane(&s->lane[(first + i) % n_lanes], store, w, budget);
}

/* --- the end ---------------------------------------------------------------------------------- */

/*
 * Every lane is told, since each of the client's threads looks at its own. From then on the client
 * trusts none of its holds, as we would see no new ones once the session is gone; those that it has
 * are honoured until it hangs up, which its library does when its last view is released.
 */
bool session_cut_off(struct session *s, struct abi_worker *w, enum abi_fault fault)
{
	unsigned none = ABI_FAULT_NONE, i;

	/* partner: the acquire in the control thread, which shuts the connection */
	if (!atomic_compare_exchange_strong_explicit(
		    &s->fault, &none, fault, memory_order_release, memory_order_relaxed))
		return false;
	for (i = 0; i < s->geometry.n_lanes; i++)
		shared_u32_store_release(&s->lane[i].response->fault, fault);
	shared_u32_store(&s->directory->broken, fault);
	store_count(w, ABI_COUNTER_SESSIONS_BROKEN, 1);
	shared_u64_add(&w->fault[fault], 1);
	return true;
}

/* --- giving back ------------------------------------------------------------------------------ */

void session_give_back(struct session *s, struct store *store, struct abi_worker *w)
{
	unsigned i;

	fetch_leave(store, s);
	for (i = 0; i < s->limits.reservations; i++) {
		if (!s->reservation[i].id)
			continue;
		store_abort(store, (uint32_t)s->reservation[i].id);
		store_count(w, ABI_COUNTER_RESERVES_DEAD, 1);
		s->reservation[i].id = 0;
	}
	for (i = 0; i < s->n_pins; i++)
		store_unpin(store, s->pin[i].pin);
	subscribe_end(s, store);
	s->n_reservations = s->n_pins = 0;
	s->reserved_size = s->pinned_size = 0;
}

void session_expire_pins(struct session *s, struct store *store, uint64_t now_ms, bool gone)
{
	unsigned i = 0;

	while (i < s->n_pins) {
		if (s->pin[i].deadline_ms > now_ms &&
			!(gone && !store_pin_is_alive(store, s->pin[i].pin))) {
			i++;
			continue;
		}
		store_unpin(store, s->pin[i].pin);
		s->pinned_size -= s->pin[i].size;
		s->pin[i] = s->pin[--s->n_pins];
	}
}
