/* SPDX-License-Identifier: Apache-2.0 */
/* broker-store.c: the plane and the store of a broker, as it finds them and as it leaves them. */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/wire.h"
#include "shmcache/backend.h"
#include "shmcache/broker-impl.h"

/* --- the plane -------------------------------------------------------------------------------- */

int broker_open_plane(struct broker *b, char *why, size_t why_size)
{
	const struct config *c = b->config;
	bool fence_needed = !store_can_membarrier();
	int r;

	r = plane_open(&b->plane, b->socket, 2 * c->session.n_max, c->broker.workers, fence_needed,
		why, why_size);
	if (r)
		return r;
	/*
	 * Readers that began under the former epoch see the new one before we write anything else.
	 */
	if (fence_needed) {
		shared_fence();
	} else if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0)) {
		r = -errno;
		snprintf(why, why_size, "the kernel's membarrier failed: %s", strerror(-r));
		plane_set_state(&b->plane, ABI_STATE_STOPPED);
		return r;
	}
	/* Of all brokers on this memory, so that no two sessions ever have one id. */
	b->next_session = shared_u64_load(&b->plane.shared->epoch) << 32;
	return 0;
}

/* --- what the store is to be ------------------------------------------------------------------ */

#define DRAM_SIZE_MIN (UINT64_C(1) << 20)
#define DEMOTE_PERCENT 5 /* from demote_at down to demote_to, where that is 0 */

void broker_fill_in(struct config *c)
{
	struct statvfs fs;

	if (!c->dram.size) {
		if (!statvfs("/dev/shm", &fs))
			c->dram.size = (uint64_t)fs.f_bavail * fs.f_frsize / 4;
		c->dram.size &= ~((UINT64_C(2) << 20) - 1);
		if (c->dram.size < DRAM_SIZE_MIN)
			c->dram.size = DRAM_SIZE_MIN;
		if (c->dram.size > BLOCK_REGION_MAX)
			c->dram.size = BLOCK_REGION_MAX;
	}
	if (!c->index.size_max)
		c->index.size_max = c->dram.size;
	/* Even the smallest tier needs an index to speak of. */
	if (c->index.size_max < DRAM_SIZE_MIN)
		c->index.size_max = DRAM_SIZE_MIN;
	if (!c->cxl.demote_to_percent)
		c->cxl.demote_to_percent = c->cxl.demote_at_percent > DEMOTE_PERCENT
			? c->cxl.demote_at_percent - DEMOTE_PERCENT
			: 1;
}

struct names {
	char index[64], dram[64], cxl[64];
};

static void names_make(struct names *n, const char *cache)
{
	wire_object_name(cache, WIRE_OBJECT_INDEX, n->index, sizeof(n->index));
	wire_object_name(cache, WIRE_OBJECT_DRAM, n->dram, sizeof(n->dram));
	wire_object_name(cache, WIRE_OBJECT_CXL, n->cxl, sizeof(n->cxl));
}

static const char *policy_of(const char *configured, const char *otherwise)
{
	return configured[0] ? configured : otherwise;
}

/* All but the CXL tier. @names stays the caller's. */
static struct store_options options_of(const struct config *c, const struct names *names)
{
	return (struct store_options){
		.index_name = names->index,
		.index_size_max = c->index.size_max,
		.batch = c->eviction.batch,
		.tiering = {
			.size_threshold = c->cxl.threshold,
			.demote_at = c->cxl.demote_at_percent,
			.demote_to = c->cxl.demote_to_percent,
			.promote_after = c->cxl.promote_after,
			.promote_rate = c->cxl.promote_rate,
		},
		.tier[ABI_TIER_DRAM] = {
			.policy = policy_of(c->eviction.policy, NULL),
			.region = {
				.kind = REGION_SHM,
				.name = names->dram,
				.size = c->dram.size,
				.node = c->dram.node,
				.huge = c->dram.huge_pages == CONFIG_HUGE_PAGES_ADVISE,
				.n_threads = c->dram.reserve_threads,
			},
		},
	};
}

static int choose_backend(struct backend *backend, const struct config *c, const char *name)
{
	struct machine m;
	int r;

	machine_look(&m);
	r = backend_choose(backend, c, &m, name);
	machine_free(&m);
	return r;
}

static bool object_exists(const char *object)
{
	char path[96];

	snprintf(path, sizeof(path), "/dev/shm%s", object);
	return access(path, F_OK) == 0;
}

/* --- the store -------------------------------------------------------------------------------- */

static void log_opened(
	struct broker *b, const struct store_opened *o, const struct backend *backend)
{
	if (o->lacks[ABI_TIER_DRAM][0])
		log_warning(b->log, "dram-lacks", LOG_STR("why", o->lacks[ABI_TIER_DRAM]));
	if (o->lacks[ABI_TIER_CXL][0])
		log_warning(b->log, "cxl-lacks", LOG_STR("why", o->lacks[ABI_TIER_CXL]));
	if (o->warm)
		log_info(b->log, "warm-start", LOG_U64("entries", o->recovery.n_found),
			LOG_U64("dropped", o->recovery.n_dropped),
			LOG_U64("retired", o->recovery.n_marked));
	else if (o->cold_why[0])
		log_warning(b->log, "cold-start", LOG_STR("why", o->cold_why));
	log_info(b->log, "cxl", LOG_STR("backend", backend_name(backend->kind)),
		LOG_U64("size", b->store.tier[ABI_TIER_CXL].size), LOG_STR("why", backend->why));
}

/* The epoch is told, and its membarrier done: see broker_open_plane(). */
static void open_formers(struct broker *b)
{
	struct formers *f = &b->formers;

	f->plane = &b->plane;
	f->store = &b->store;
	f->log = b->log;
	f->lock = &b->sessions_lock;
	f->epoll = b->epoll;
	/* Over new memory nobody holds anything; who maps the old keeps it as it is. */
	if (b->is_warm)
		formers_open(f, store_now_ms(), b->config->broker.restart_grace_ns / 1000000);
	else
		formers_forget(f);
}

int broker_open_store(struct broker *b, char *why, size_t why_size)
{
	struct abi_worker *control = &b->plane.shared->worker[ABI_CONTROL];
	const struct config *c = b->config;
	struct store_options options;
	struct store_opened opened;
	struct backend backend;
	struct names names;
	bool is_left;
	int r;

	names_make(&names, c->cache.name);
	options = options_of(c, &names);
	r = choose_backend(&backend, c, names.cxl);
	if (r) {
		snprintf(why, why_size, "no CXL tier: %s", backend.why);
		return r;
	}
	backend.region.is_told = b->plane.is_succession;
	options.tier[ABI_TIER_CXL].region = backend.region;
	options.tier[ABI_TIER_CXL].policy =
		policy_of(c->cxl.policy, options.tier[ABI_TIER_DRAM].policy);
	/*
	 * Only if those who may still read there could be told that their broker is gone: else they
	 * would go on reading, by holds that nobody honours.
	 */
	is_left = c->cache.persist && (object_exists(names.index) || object_exists(names.dram));
	options.reuse = is_left && b->plane.has_lines;
	b->store.sessions.scan_holds = broker_scan_holds;
	b->store.sessions.drain_logs = broker_drain_logs;
	b->store.sessions.context = b;
	r = store_open(&b->store, &options, &opened, why, why_size);
	if (r)
		return r;
	if (is_left && !options.reuse)
		snprintf(opened.cold_why, sizeof(opened.cold_why), "%s",
			"the plane of the broker that left it is gone or damaged: nobody who may "
			"still read there could be told");
	b->is_warm = opened.warm;
	open_formers(b);
	store_count(control, ABI_COUNTER_RECOVERED, opened.recovery.n_found);
	store_count(control, ABI_COUNTER_RECOVER_DROPPED, opened.recovery.n_dropped);
	store_gauges(&b->store, b->plane.shared);
	log_opened(b, &opened, &backend);
	return 0;
}

static void free_sessions(struct broker *b, bool keeps)
{
	struct abi_worker *control = &b->plane.shared->worker[ABI_CONTROL];
	struct session *s;

	/* The workers have ended: what they owned is ours. */
	while ((s = b->sessions)) {
		b->sessions = s->next;
		broker_count_sessions(b, -1);
		if (!keeps) {
			shared_u64_store_release(&s->directory->id, 0);
			session_give_back(s, &b->store, control);
		}
		watch_close(b->epoll, &s->socket);
		watch_close(b->epoll, &s->death);
		session_free(s);
	}
}

void broker_close_store(struct broker *b, bool keeps)
{
	free_sessions(b, keeps);
	formers_close(&b->formers);
	store_gauges(&b->store, b->plane.shared);
	if (b->is_serving)
		log_info(b->log, "stopped", LOG_STR("name", b->config->cache.name),
			LOG_U64("entries", b->store.index.n_entries),
			LOG_STR("cache", keeps ? "kept" : "removed"));
	store_close(&b->store, !keeps);
}
