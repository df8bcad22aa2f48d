/* SPDX-License-Identifier: Apache-2.0 */
/* broker.c: starting, running and stopping the parts in their order. */
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "ipc/spin.h"
#include "ipc/wire.h"
#include "shmcache/backend.h"
#include "shmcache/broker.h"
#include "shmcache/guard.h"
#include "shmcache/notify.h"
#include "shmcache/ration.h"

/*
 * The order of the start is the order of what others may see: the name is ours (lock), then the
 * plane says that a new epoch begins, and clients of a former broker stop trusting what they
 * mapped, before the index or a tier is touched; then the workers run; then the socket is there;
 * and at last the plane says SERVING. The stop is the same backwards.
 */

/* --- what wakes the control thread ------------------------------------------------------------ */

static void signals_ready(struct watch *watch, uint32_t events)
{
	struct broker *b = watch->owner;
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	log_info(b->log, "signal", LOG_STR("name", strsignal((int)info.ssi_signo)),
		LOG_I64("from", (int64_t)info.ssi_pid));
	if (info.ssi_signo == SIGHUP)
		control_reload(b, -1);
	else
		b->is_done = true;
}

static void timer_ready(struct watch *watch, uint32_t events)
{
	struct broker *b = watch->owner;
	uint64_t n;

	(void)events;
	(void)!read(watch->fd, &n, sizeof(n));
	attach_expire(b, store_now_ms());
	formers_upkeep(&b->formers, store_now_ms());
	/* Also when nobody is attached: the descriptor of a tier may outlive its session. */
	broker_mend(b, &b->plane.shared->worker[ABI_CONTROL]);
	log_flush(b->log);
	/* A service manager that asked for it ends us when this stays away. */
	if (broker_stuck_worker(b) < 0 && !remote_is_stuck(b->remote, BROKER_STUCK_MS))
		notify("WATCHDOG=1");
	broker_measure(b);
}

static void poke_ready(struct watch *watch, uint32_t events)
{
	uint64_t n;

	(void)events;
	(void)!read(watch->fd, &n, sizeof(n));
	attach_end_broken(watch->owner);
}

void broker_count_sessions(struct broker *b, int change)
{
	unsigned n = atomic_load_explicit(&b->n_sessions, memory_order_relaxed) + (unsigned)change;

	atomic_store_explicit(&b->n_sessions, n, memory_order_relaxed);
	shared_u64_store(&b->plane.shared->gauge[ABI_GAUGE_SESSIONS_NOW], n);
}

void broker_poke(struct broker *b)
{
	(void)!write(b->poke.fd, &(uint64_t){1}, 8);
}

static int open_watches(struct broker *b)
{
	struct itimerspec every = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	b->signals.ready = signals_ready;
	b->timer.ready = timer_ready;
	b->poke.ready = poke_ready;
	b->signals.owner = b->timer.owner = b->poke.owner = b;
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	b->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	b->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	b->poke.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->epoll < 0 || b->signals.fd < 0 || b->timer.fd < 0 || b->poke.fd < 0 ||
		timerfd_settime(b->timer.fd, 0, &every, NULL) < 0 ||
		watch_add(b->epoll, &b->signals, EPOLLIN) ||
		watch_add(b->epoll, &b->timer, EPOLLIN) || watch_add(b->epoll, &b->poke, EPOLLIN))
		return -errno;
	return 0;
}

static void close_watches(struct broker *b)
{
	watch_close(b->epoll, &b->signals);
	watch_close(b->epoll, &b->timer);
	watch_close(b->epoll, &b->poke);
	control_close(b);
	if (b->epoll >= 0)
		close(b->epoll);
}

/* --- start ------------------------------------------------------------------------------------ */

#define DRAM_SIZE_MIN (UINT64_C(1) << 20)

void broker_fill_in_sizes(struct config *c)
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
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void log_opened(struct broker *b, const struct store_opened *o)
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
}

static bool object_exists(const char *object)
{
	char path[96];

	snprintf(path, sizeof(path), "/dev/shm%s", object);
	return access(path, F_OK) == 0;
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

/* The epoch is told, and its membarrier done: see open_plane(). */
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

static int open_store(struct broker *b, char *why, size_t why_size)
{
	struct abi_worker *control = &b->plane.shared->worker[ABI_CONTROL];
	const struct config *c = b->config;
	const char *policy = c->eviction.policy[0] ? c->eviction.policy : NULL;
	char index[64], dram[64], cxl[64];
	struct store_options options = {
		.index_name = index,
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
			.policy = policy,
			.region = {
				.kind = REGION_SHM,
				.name = dram,
				.size = c->dram.size,
				.node = c->dram.node,
				.huge = c->dram.huge_pages == CONFIG_HUGE_PAGES_ADVISE,
				.n_threads = c->dram.reserve_threads,
			},
		},
	};
	struct store_opened opened;
	struct backend backend;
	bool is_left;
	int r;

	wire_object_name(c->cache.name, WIRE_OBJECT_INDEX, index, sizeof(index));
	wire_object_name(c->cache.name, WIRE_OBJECT_DRAM, dram, sizeof(dram));
	wire_object_name(c->cache.name, WIRE_OBJECT_CXL, cxl, sizeof(cxl));
	r = choose_backend(&backend, c, cxl);
	if (r) {
		snprintf(why, why_size, "no CXL tier: %s", backend.why);
		return r;
	}
	backend.region.is_told = b->plane.is_succession;
	options.tier[ABI_TIER_CXL] = (struct store_tier_options){
		.region = backend.region,
		.policy = c->cxl.policy[0] ? c->cxl.policy : policy,
	};
	/*
	 * Only if those who may still read there could be told that their broker is gone: else they
	 * would go on reading, by holds that nobody honours.
	 */
	is_left = c->cache.persist && (object_exists(index) || object_exists(dram));
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
	log_opened(b, &opened);
	log_info(b->log, "cxl", LOG_STR("backend", backend_name(backend.kind)),
		LOG_U64("size", b->store.tier[ABI_TIER_CXL].size), LOG_STR("why", backend.why));
	return 0;
}

static void stop_workers(struct broker *b)
{
	unsigned i;

	/* partner: the workers' acquire */
	atomic_store_explicit(&b->is_stopping, true, memory_order_release);
	for (i = 0; i < b->n_workers; i++)
		worker_ring(&b->worker[i]);
	for (i = 0; i < b->n_workers; i++)
		worker_join(&b->worker[i]);
	b->n_workers = 0;
}

static int start_workers(struct broker *b, char *why, size_t why_size)
{
	int r;

	for (b->n_workers = 0; b->n_workers < b->config->broker.workers; b->n_workers++) {
		r = worker_start(&b->worker[b->n_workers], b, b->n_workers);
		if (!r)
			continue;
		snprintf(why, why_size, "can't start worker %u: %s", b->n_workers, strerror(-r));
		stop_workers(b);
		return r;
	}
	return 0;
}

static int start_remote(struct broker *b, char *why, size_t why_size)
{
	const struct remote_options options = {
		.store = &b->store,
		.worker = &b->plane.shared->worker[ABI_REMOTE],
		.gauge = b->plane.shared->gauge,
		.log = b->log,
		.config = b->config,
		.desk = &b->desk,
	};

	return remote_start(&b->remote, &options, why, why_size);
}

static int open_plane(struct broker *b, const char *socket, char *why, size_t why_size)
{
	const struct config *c = b->config;
	bool fence_needed = !store_can_membarrier();
	int r;

	r = plane_open(&b->plane, socket, 2 * c->session.n_max, c->broker.workers, fence_needed, why,
		why_size);
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

static void tune_cpus(struct broker *b)
{
	const cpu_set_t *cpus = &b->config->broker.cpus;
	unsigned i;

	if (!CPU_COUNT(cpus))
		cpus = &b->cpus;
	for (i = 0; i < b->n_workers; i++)
		pthread_setaffinity_np(b->worker[i].thread, sizeof(*cpus), cpus);
}

void broker_tune(struct broker *b)
{
	struct broker_tuning *t = &b->tuning;
	const struct config *c = b->config;
	unsigned i;

	atomic_store_explicit(&t->round, c->broker.round, memory_order_relaxed);
	atomic_store_explicit(&t->poll, c->broker.poll, memory_order_relaxed);
	atomic_store_explicit(&t->spin_ns, c->broker.spin_ns, memory_order_relaxed);
	atomic_store_explicit(&t->held_percent, c->session.held_percent, memory_order_relaxed);
	tune_cpus(b);
	/* One that sleeps is to spin from now on, perhaps. */
	for (i = 0; i < b->n_workers; i++)
		worker_ring(&b->worker[i]);
}

int broker_start(struct broker *b, struct config *config, const struct settings *settings,
	struct log *log, char *why, size_t why_size)
{
	char socket[CONFIG_PATH_MAX + 1];
	bool keeps;
	int r;

	memset(b, 0, sizeof(*b));
	b->config = config;
	b->as_read = *config;
	b->settings = settings;
	b->log = log;
	b->signals.fd = b->timer.fd = b->poke.fd = b->attach.listener.fd = -1;
	b->attach.spare_fd = b->drain.timer.fd = b->drain.asker = -1;
	sched_getaffinity(0, sizeof(b->cpus), &b->cpus);
	b->can_spin = spin_pays(false);
	b->can_spin_for_others = spin_pays(true);
	pthread_mutex_init(&b->sessions_lock, NULL);
	desk_init(&b->desk);
	config_socket_path(config, socket);
	raise_descriptor_limit();
	broker_fill_in_sizes(config);
	broker_tune(b);
	guard_install();

	why[0] = '\0';
	r = plane_lock(&b->plane, config->cache.name, why, why_size);
	if (r)
		return r;
	r = open_watches(b);
	if (r) {
		snprintf(why, why_size, "can't set up signals and timers: %s", strerror(-r));
		goto fail_lock;
	}
	r = open_plane(b, socket, why, why_size);
	if (r)
		goto fail_lock;
	r = open_store(b, why, why_size);
	if (r)
		goto fail_plane;
	r = subscriptions_open(&b->subscriptions, &b->store, b->epoll);
	if (r)
		goto fail_store;
	r = start_workers(b, why, why_size);
	if (r)
		goto fail_subscriptions;
	r = mover_start(&b->mover, b);
	if (r) {
		snprintf(why, why_size, "can't start the mover: %s", strerror(-r));
		goto fail_workers;
	}
	r = start_remote(b, why, why_size);
	if (r)
		goto fail_mover;
	r = attach_open(b, socket, why, why_size);
	if (r)
		goto fail_remote;
	r = broker_listen(b, config->metrics.listen, why, why_size);
	if (r)
		goto fail_attach;
	plane_set_state(&b->plane, ABI_STATE_SERVING);
	log_info(log, "serving", LOG_STR("name", config->cache.name), LOG_STR("socket", socket),
		LOG_U64("dram", config->dram.size), LOG_U64("workers", b->n_workers),
		LOG_STR("policy", policy_name(b->store.tier[ABI_TIER_DRAM].policy)),
		LOG_U64("epoch", shared_u64_load(&b->plane.shared->epoch)));
	notify("READY=1");
	return 0;

fail_attach:
	attach_close(b, socket);
fail_remote:
	remote_stop(b->remote);
fail_mover:
	mover_stop(&b->mover, b);
fail_workers:
	stop_workers(b);
fail_subscriptions:
	subscriptions_close(&b->subscriptions, b->epoll);
fail_store:
	keeps = b->is_warm;
	formers_close(&b->formers);
	store_close(&b->store, !keeps);
fail_plane:
	plane_set_state(&b->plane, ABI_STATE_STOPPED);
fail_lock:
	if (!why[0])
		snprintf(why, why_size, "can't start: %s", strerror(-r));
	close_watches(b);
	/* A plane that we found is not ours to remove. */
	plane_close(&b->plane, b->plane.shared && !b->plane.is_succession);
	desk_deinit(&b->desk);
	pthread_mutex_destroy(&b->sessions_lock);
	return r;
}

void broker_run(struct broker *b)
{
	struct ration ration;

	ration_init(&ration);
	while (!b->is_done) {
		watch_wait(b->epoll, -1);
		ration_rest(&ration);
	}
}

/*
 * With @keeps everything is left as a kill would leave it: who is attached may go on reading what
 * he holds, and filling what he has reserved, and the next broker finds him by his line.
 */
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

void broker_stop(struct broker *b)
{
	char socket[CONFIG_PATH_MAX + 1];
	bool unlink = !b->config->cache.persist;

	config_socket_path(b->config, socket);
	notify("STOPPING=1");
	http_stop(b->http);
	attach_close(b, socket);
	/* What waits for others is answered, and the workers tell their clients. */
	remote_stop(b->remote);
	stop_workers(b);
	mover_stop(&b->mover, b);
	/* Nobody attaches from here on, and who is attached learns of it by the hang-up. */
	plane_set_state(&b->plane, ABI_STATE_STOPPED);
	subscriptions_close(&b->subscriptions, b->epoll);
	free_sessions(b, !unlink);
	formers_close(&b->formers);
	store_gauges(&b->store, b->plane.shared);
	log_info(b->log, "stopped", LOG_STR("name", b->config->cache.name),
		LOG_U64("entries", b->store.index.n_entries),
		LOG_STR("cache", unlink ? "removed" : "kept"));
	store_close(&b->store, unlink);
	close_watches(b);
	plane_close(&b->plane, unlink);
	desk_deinit(&b->desk);
	pthread_mutex_destroy(&b->sessions_lock);
}
