/* SPDX-License-Identifier: Apache-2.0 */
/* broker.c: starting, running and stopping the parts in their order. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "ipc/spin.h"
#include "shmcache/broker-impl.h"
#include "shmcache/guard.h"
#include "shmcache/notify.h"
#include "shmcache/ration.h"

/*
 * The order of the start is the order of what others may see: the name is ours (lock), then the
 * plane says that a new epoch begins, and clients of a former broker stop trusting what they
 * mapped, before the index or a tier is touched; then the workers run; then the socket is there;
 * and at last the plane says SERVING. It is written once, in parts[]: the stop, and the end of a
 * start that fails, are the same backwards.
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

static void close_watches(struct broker *b)
{
	watch_close(b->epoll, &b->signals);
	watch_close(b->epoll, &b->timer);
	watch_close(b->epoll, &b->poke);
	control_close(b);
	if (b->epoll >= 0)
		close(b->epoll);
}

static int open_watches(struct broker *b, char *why, size_t why_size)
{
	struct itimerspec every = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
	sigset_t set;
	int r;

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
		watch_add(b->epoll, &b->timer, EPOLLIN) ||
		watch_add(b->epoll, &b->poke, EPOLLIN)) {
		r = -errno;
		snprintf(why, why_size, "can't set up signals and timers: %s", strerror(-r));
		close_watches(b);
		return r;
	}
	return 0;
}

/* --- the parts -------------------------------------------------------------------------------- */

static int lock_name(struct broker *b, char *why, size_t why_size)
{
	return plane_lock(&b->plane, b->config->cache.name, why, why_size);
}

/* What is left behind: until we serve, only what we found. */
static void leave_name(struct broker *b)
{
	bool keeps = b->is_serving ? b->config->cache.persist : b->plane.is_succession;

	plane_close(&b->plane, b->plane.shared && !keeps);
}

static void say_stopped(struct broker *b)
{
	plane_set_state(&b->plane, ABI_STATE_STOPPED);
}

static void close_store(struct broker *b)
{
	broker_close_store(b, b->is_serving ? b->config->cache.persist : b->is_warm);
}

static int open_subscriptions(struct broker *b, char *why, size_t why_size)
{
	(void)why;
	(void)why_size;
	return subscriptions_open(&b->subscriptions, &b->store, b->epoll);
}

static void close_subscriptions(struct broker *b)
{
	subscriptions_close(&b->subscriptions, b->epoll);
}

static int start_mover(struct broker *b, char *why, size_t why_size)
{
	int r = mover_start(&b->mover, b);

	if (r)
		snprintf(why, why_size, "can't start the mover: %s", strerror(-r));
	return r;
}

static void stop_mover(struct broker *b)
{
	mover_stop(&b->mover, b);
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

/* What waits for others is answered, and the workers tell their clients. */
static void stop_remote(struct broker *b)
{
	remote_stop(b->remote);
}

static int open_socket(struct broker *b, char *why, size_t why_size)
{
	return attach_open(b, b->socket, why, why_size);
}

static void close_socket(struct broker *b)
{
	attach_close(b, b->socket);
}

static int open_metrics(struct broker *b, char *why, size_t why_size)
{
	return broker_listen(b, b->config->metrics.listen, why, why_size);
}

static void close_metrics(struct broker *b)
{
	http_stop(b->http);
}

/* Who fails to open has nothing open. */
static const struct part {
	int (*open)(struct broker *b, char *why, size_t why_size);
	void (*close)(struct broker *b);
} parts[] = {
	{lock_name, leave_name},
	{open_watches, close_watches},
	{broker_open_plane, say_stopped},
	{broker_open_store, close_store},
	{open_subscriptions, close_subscriptions},
	/* Nobody attaches from there on, and who is attached learns of it by the hang-up. */
	{NULL, say_stopped},
	{start_mover, stop_mover},
	{start_workers, stop_workers},
	{start_remote, stop_remote},
	{open_socket, close_socket},
	{open_metrics, close_metrics},
};

static const size_t n_parts = sizeof(parts) / sizeof(parts[0]);

static void close_parts(struct broker *b, size_t n)
{
	while (n--)
		parts[n].close(b);
	desk_deinit(&b->desk);
	pthread_mutex_destroy(&b->sessions_lock);
}

static int open_parts(struct broker *b, char *why, size_t why_size)
{
	size_t i;
	int r;

	for (i = 0; i < n_parts; i++) {
		r = parts[i].open ? parts[i].open(b, why, why_size) : 0;
		if (!r)
			continue;
		if (!why[0])
			snprintf(why, why_size, "can't start: %s", strerror(-r));
		close_parts(b, i);
		return r;
	}
	return 0;
}

/* --- from the start to the stop --------------------------------------------------------------- */

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
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

static void init(struct broker *b, struct config *config, const struct settings *settings,
	struct log *log)
{
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
	config_socket_path(config, b->socket);
	broker_fill_in(config);
	broker_tune(b);
}

int broker_start(struct broker *b, struct config *config, const struct settings *settings,
	struct log *log, char *why, size_t why_size)
{
	int r;

	init(b, config, settings, log);
	raise_descriptor_limit();
	guard_install();
	why[0] = '\0';
	r = open_parts(b, why, why_size);
	if (r)
		return r;
	b->is_serving = true;
	plane_set_state(&b->plane, ABI_STATE_SERVING);
	log_info(log, "serving", LOG_STR("name", config->cache.name), LOG_STR("socket", b->socket),
		LOG_U64("dram", config->dram.size), LOG_U64("workers", b->n_workers),
		LOG_STR("policy", policy_name(b->store.tier[ABI_TIER_DRAM].policy)),
		LOG_U64("epoch", shared_u64_load(&b->plane.shared->epoch)));
	notify("READY=1");
	return 0;
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

void broker_stop(struct broker *b)
{
	notify("STOPPING=1");
	close_parts(b, n_parts);
}
