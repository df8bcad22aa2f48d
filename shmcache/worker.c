/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c: serving rings, and sleeping when there is nothing to serve. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <urcu.h>

#include "ipc/submission.h"
#include "shmcache/broker.h"
#include "shmcache/request.h"

/*
 * A worker goes round its lanes, takes up to `round` submissions of each, and answers. When a round
 * found nothing it spins for a while, then sleeps, after io_uring's manner:
 *
 *	client				worker
 *	C1  publish submission		W1  need_wakeup := 1
 *	    -- full fence --		    -- full fence --
 *	C2  load need_wakeup;		W2  look at all rings again;
 *	    if set, ring the doorbell	    if all are empty, sleep
 *
 * The fences keep C1 before C2 and W1 before W2, so that of C2 and W2 at least one sees the other
 * side's store, and nobody sleeps on a full ring (tests/model/sleep-wake.pml). The completion side
 * is the same with the roles swapped: here the fence stands in answer_all().
 *
 * Everything in a lane's request region is hostile. The cursor is private: a client's position is
 * never believed, a slot counts when it carries the sequence that the cursor expects. `reaped`, the
 * one number that is needed from the client, is loaded when the completion ring looks full, and
 * checked against what was completed. It is back-pressure: without room for the answer, the next
 * submission is not taken. What has been sent to other brokers (fetch.h) counts as answered here:
 * the place for its answer is kept.
 */
#define UPKEEP_MS 10	     /* while awake */
#define HOLDS_MS 250	     /* between two looks for hoarders */
#define UPKEEP_SLEEP_MS 500  /* while asleep, with somebody attached */
#define COMMIT_SPINS 40	     /* times as long: the client fills a block, and commits soon */
#define ROUNDS_PER_UPKEEP 64 /* rounds with work between two looks at the clock */
#define FINISH_NS 200000000  /* for what is in flight at a stop */
#define SWEEP_CELLS 16384    /* looked at for expiry in one upkeep */
#define WAITS_MS 500	     /* between two looks at what clients tell of their waits */
#define PER_SAMPLE 31	     /* requests of which one is timed */
#define TIMED_SIZE 4096	     /* a request for more bytes is timed anyway */

/* --- lanes ------------------------------------------------------------------------------------ */

void worker_cut_off(struct worker *worker, struct lane *lane, enum abi_fault fault)
{
	struct session *s = lane->session;

	if (!session_cut_off(s, worker->shared, fault))
		return;
	log_warning(worker->broker->log, "session-cut-off", LOG_U64("session", s->id),
		LOG_I64("pid", s->pid), LOG_U64("uid", s->uid), LOG_U64("lane", lane->idx),
		LOG_STR("why", abi_fault_name(fault)));
	broker_poke(worker->broker);
}

/* Is there room for one more answer, with all that are to come? */
static bool has_room(struct worker *worker, struct lane *lane)
{
	uint64_t n_queue = lane->session->geometry.n_queue, raw_reaped;

	if (lane->consumed - lane->reaped < n_queue)
		return true;
	/* partner: the client's release after it has copied the completions */
	raw_reaped = shared_u64_load_acquire(&lane->request->reaped);
	if (lane->completed - raw_reaped > n_queue) {
		worker_cut_off(worker, lane, ABI_FAULT_POSITION);
		return false;
	}
	lane->reaped = raw_reaped;
	return lane->consumed - lane->reaped < n_queue;
}

void worker_answer(struct lane *lane, const struct completion *completion)
{
	uint64_t at = lane->completed & (lane->session->geometry.n_queue - 1);

	completion_publish(&lane->completion[at], lane->completed, completion);
	lane->completed++;
}

void worker_answered(struct worker *worker, struct lane *lane)
{
	/* Behind what is shown in @elsewhere. Partner: an inspector's acquire, look_at_answers() */
	shared_u64_store_release(&lane->response->consumed, lane->consumed);
	/* Keeps the completions' stores before the load of need_wakeup. */
	shared_fence();
	if (!shared_u32_load(&lane->request->need_wakeup))
		return;
	/*
	 * Tried again by the next upkeep: who waits without a limit has nothing else to wake him.
	 */
	lane->owes_ring = !wire_ring(lane->doorbell);
	store_count(worker->shared, ABI_COUNTER_WAKES_SENT, 1);
}

/* The broker stops, and the time to carry out what was in flight is over. */
static enum request_outcome refuse(const struct submission *sub, struct completion *completion)
{
	*completion = (struct completion){.id = sub->id, .status = ABI_STATUS_STOPPING};
	return REQUEST_DONE;
}

/*
 * What the next submission, if it is there, will have us read: its bytes lie in the client's cache,
 * a good part of what a small put costs is fetching them, and this overlaps it with the one before.
 */
static void fetch_ahead(const struct lane *lane, uint64_t position)
{
	const struct abi_geometry *g = &lane->session->geometry;
	const struct abi_submission *slot = &lane->submission[position & (g->n_queue - 1)];
	uint32_t raw_off;

	if (!submission_is_there(slot, position))
		return;
	__builtin_prefetch(&lane->submission[(position + 1) & (g->n_queue - 1)]);
	raw_off = submission_staging_off(slot);
	/* An address beyond the area is nobody's fault yet: it is not read. */
	if (raw_off < g->staging_size) {
		__builtin_prefetch(lane->staging + raw_off);
		__builtin_prefetch(lane->staging + raw_off + ABI_CELL);
	}
}

/*
 * Reading the clock twice costs a quarter of a request that asks for nothing. So one of 31 is
 * timed, and stands for as many: a prime, so that no client's rhythm is in step with it. Those that
 * take longer than the clock does, since they are large or had to wake us, are timed each, and
 * stand for themselves. Returns what the time of this one stands for; 0: it is not taken.
 */
static unsigned sample_weight(struct worker *worker, const struct submission *sub)
{
	if (worker->has_slept || sub->value_size > TIMED_SIZE) {
		worker->has_slept = false;
		return 1;
	}
	if (++worker->n_untimed < PER_SAMPLE)
		return 0;
	worker->n_untimed = 0;
	return PER_SAMPLE;
}

/* Carry out @sub, count and perhaps time it. */
static enum request_outcome run(struct worker *worker, struct lane *lane,
	const struct submission *sub, struct completion *completion, enum abi_fault *fault)
{
	struct abi_worker *w = worker->shared;
	unsigned weight = sample_weight(worker, sub);
	uint64_t begin_ns = weight ? store_now_ns() : 0;
	enum request_outcome outcome;

	outcome = request_run(&worker->broker->store, w, lane, sub, completion, fault);
	shared_u64_add(&w->request[sub->operation], 1);
	if (outcome == REQUEST_DONE && completion->status != ABI_STATUS_OK)
		shared_u64_add(&w->answer[completion->status], 1);
	if (outcome == REQUEST_DONE && sub->operation == ABI_OP_FETCH &&
		completion->status == ABI_STATUS_MISS)
		shared_u64_add(&w->fetch_miss[completion->result[0]], 1);
	/* A flush has only begun: see request_flush_on(). */
	if (weight && outcome == REQUEST_DONE)
		histogram_add(&w->operation_time[sub->operation], store_now_ns() - begin_ns, weight);
	return outcome;
}

/* Take one submission. False when there is none, or none may be taken. */
static bool serve_one(struct worker *worker, struct lane *lane, unsigned *n_answers)
{
	struct store *store = &worker->broker->store;
	const struct abi_submission *slot;
	struct completion completion;
	enum request_outcome outcome;
	enum abi_fault fault;
	struct submission sub;

	if (lane->flush) {
		outcome = request_flush_on(store, worker->shared, lane, &completion);
	} else {
		slot = &lane->submission[lane->consumed & (lane->session->geometry.n_queue - 1)];
		if (!submission_is_there(slot, lane->consumed) || !has_room(worker, lane))
			return false;
		fetch_ahead(lane, lane->consumed);
		fault = submission_snapshot(slot, &sub);
		lane->consumed++;
		fetch_ahead(lane, lane->consumed);
		store_count(worker->shared, ABI_COUNTER_SUBMISSIONS, 1);
		if (fault)
			outcome = REQUEST_BROKEN;
		else if (worker->is_refusing)
			outcome = refuse(&sub, &completion);
		else
			outcome = run(worker, lane, &sub, &completion, &fault);
		worker->awaits_commit = sub.operation == ABI_OP_RESERVE;
		if (outcome == REQUEST_BROKEN) {
			worker_cut_off(worker, lane, fault);
			return false;
		}
	}
	if (outcome == REQUEST_GOES_ON)
		return false;
	if (outcome == REQUEST_ELSEWHERE) {
		worker->n_sent++;
		return true;
	}
	if (completion.status == ABI_STATUS_DAMAGED)
		broker_mend(worker->broker, worker->shared);
	worker_answer(lane, &completion);
	++*n_answers;
	return true;
}

unsigned worker_serve(struct worker *worker, struct lane *lane)
{
	unsigned n = atomic_load_explicit(&worker->broker->tuning.round, memory_order_relaxed);
	unsigned n_answers = 0, n_sent = worker->n_sent;
	bool flushes;

	if (session_is_cut_off(lane->session))
		return 0;
	while (n-- && serve_one(worker, lane, &n_answers))
		;
	flushes = lane->flush != NULL;
	if (n_answers)
		worker_answered(worker, lane);
	else if (worker->n_sent != n_sent)
		shared_u64_store_release(&lane->response->consumed, lane->consumed);
	if (worker->n_sent != n_sent)
		desk_look(&worker->broker->desk);
	return n_answers + (worker->n_sent - n_sent) + flushes;
}

unsigned worker_serve_all(struct worker *worker)
{
	unsigned i, n = 0;

	for (i = 0; i < worker->n_lanes; i++)
		n += worker_serve(worker, worker->lane[i]);
	return n;
}

/* --- upkeep ----------------------------------------------------------------------------------- */

static void drain_and_expire(struct worker *worker, uint64_t now_ms)
{
	struct store *store = &worker->broker->store;
	struct session *last = NULL;
	unsigned i;

	/* Lanes of one session mostly stand together; looking twice does no harm. */
	for (i = 0; i < worker->n_lanes; i++) {
		if (worker->lane[i]->owes_ring)
			worker_answered(worker, worker->lane[i]);
		worker->owes_upkeep |= worker->lane[i]->owes_ring;
		if (worker->lane[i]->session == last)
			continue;
		last = worker->lane[i]->session;
		session_drain_logs(last, store, worker->shared);
		if (now_ms - worker->waits_ms >= WAITS_MS)
			session_drain_waits(last, worker->shared);
		if (last->n_pins)
			session_expire_pins(last, store, now_ms, false);
	}
	if (now_ms - worker->waits_ms >= WAITS_MS)
		worker->waits_ms = now_ms;
}

/* What is done every now and then, and soon after the last work of a while; never more often. */
static void upkeep(struct worker *worker)
{
	struct broker *b = worker->broker;
	uint64_t now_ms = store_now_ms(), begin_ns;

	if (now_ms - worker->upkeep_ms < UPKEEP_MS)
		return;
	begin_ns = store_now_ns();
	worker->upkeep_ms = now_ms;
	atomic_store_explicit(&worker->beat_ms, now_ms, memory_order_relaxed);
	worker->owes_upkeep = false;
	drain_and_expire(worker, now_ms);
	/* The first worker does what concerns all. */
	if (worker->idx)
		goto out;
	broker_mend(b, worker->shared);
	store_sweep(&b->store, worker->shared, SWEEP_CELLS);
	if (store_has_limbo(&b->store)) {
		store_reclaim(&b->store, worker->shared);
		if (now_ms - worker->holds_ms >= HOLDS_MS) {
			worker->holds_ms = now_ms;
			broker_check_holds(b, worker->shared);
		}
	}
	store_gauges(&b->store, b->plane.shared);
out:
	store_time(worker->shared, ABI_STAGE_UPKEEP, begin_ns);
}

/* --- the loop --------------------------------------------------------------------------------- */

/* Gauges follow the work at once: who stored something and asks for the usage then, sees it. */
static void pay_gauges(struct worker *worker)
{
	if (!worker->owes_gauges)
		return;
	worker->owes_gauges = false;
	store_gauges(&worker->broker->store, worker->broker->plane.shared);
}

/*
 * How long to sleep at most, in ms. Nobody attached: for ever, once that is free which the last of
 * them held to his end.
 */
static int sleep_time(const struct worker *worker)
{
	const struct broker *b = worker->broker;
	bool is_needed = worker->idx ? worker->n_lanes != 0
				     : broker_has_sessions(b) || store_has_limbo(&b->store);

	if (worker->owes_upkeep)
		return UPKEEP_MS;
	return is_needed ? UPKEEP_SLEEP_MS : -1;
}

static void sleep_once(struct worker *worker)
{
	struct epoll_event event[16];
	int i, n = 0;

	pay_gauges(worker);
	upkeep(worker);
	shared_u32_store(&worker->shared->need_wakeup, 1);
	/* Keeps the store of need_wakeup before the loads of the rings. */
	shared_fence();
	if (worker_serve_all(worker) || worker_has_mail(worker)) {
		shared_u32_store(&worker->shared->need_wakeup, 0);
		return;
	}
	worker->is_lent = worker_may_lend(worker);
	if (!tray_asleep(&worker->tray))
		;
	else if (worker->is_lent)
		worker_wait_lent(worker);
	else
		n = epoll_wait(worker->epoll, event, 16, sleep_time(worker));
	tray_awake(&worker->tray);
	worker->is_lent = false;
	atomic_store_explicit(&worker->beat_ms, store_now_ms(), memory_order_relaxed);
	shared_u32_store(&worker->shared->need_wakeup, 0);
	for (i = 0; i < n; i++) {
		if (event[i].data.ptr == &worker->bell)
			(void)!read(worker->bell.fd, &(uint64_t){0}, 8);
		else
			worker_doorbell_ready(worker, event[i].data.ptr);
	}
	worker->has_slept = true;
	if (n > 0)
		store_count(worker->shared, ABI_COUNTER_WAKEUPS, 1);
}

/*
 * May the worker go on looking awake? The clock is read now and then only: between two looks at the
 * rings lies one pause, since that is what a waiting client sees of us.
 */
#define SPINS_PER_CLOCK 64

static bool may_spin(struct worker *worker)
{
	const struct broker_tuning *t = &worker->broker->tuning;
	uint64_t spin_ns;

	shared_relax();
	if (++worker->n_spins % SPINS_PER_CLOCK)
		return true;
	pay_gauges(worker);
	upkeep(worker);
	if (atomic_load_explicit(&t->poll, memory_order_relaxed) == CONFIG_POLL_BUSY)
		return true;
	spin_ns = atomic_load_explicit(&t->spin_ns, memory_order_relaxed);
	if (!worker->spin_until_ns)
		worker->spin_until_ns =
			store_now_ns() + spin_ns * (worker->awaits_commit ? COMMIT_SPINS : 1);
	return store_now_ns() < worker->spin_until_ns;
}

/* On too few CPUs a spinning worker only keeps from getting on who has work for it. */
static bool wants_spin(const struct worker *worker)
{
	const struct broker *b = worker->broker;
	unsigned poll = atomic_load_explicit(&b->tuning.poll, memory_order_relaxed);

	if (poll != CONFIG_POLL_ADAPTIVE)
		return poll == CONFIG_POLL_BUSY;
	return worker->n_sent == worker->n_landed ? b->can_spin : b->can_spin_for_others;
}

static bool is_stopping(const struct worker *worker)
{
	return atomic_load_explicit(&worker->broker->is_stopping, memory_order_acquire);
}

/*
 * The end. Who talks to other brokers has ended before, and has answered all that was out; what is
 * asked from here on finds nobody. Carry out what is there, but not for ever, since a client may
 * always have one more; what comes after is answered with STOPPING, for as long again, and the rest
 * sees the hang-up.
 */
static void finish(struct worker *worker)
{
	uint64_t until_ns = store_now_ns() + FINISH_NS;

	/* A lane may have been opened, and used, since we looked. */
	if (worker_has_mail(worker))
		worker_read_mail(worker);
	while (worker_serve_all(worker) && store_now_ns() < until_ns)
		;
	worker->is_refusing = true;
	until_ns = store_now_ns() + FINISH_NS;
	while (worker_serve_all(worker) && store_now_ns() < until_ns)
		;
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	unsigned found;

	rcu_register_thread();
	tray_awake(&worker->tray);
	while (!is_stopping(worker)) {
		found = worker_serve_all(worker);
		if (worker_has_mail(worker))
			worker_read_mail(worker);
		if (found) {
			worker->spin_until_ns = 0;
			worker->owes_upkeep = worker->owes_gauges = true;
			if (++worker->n_rounds % ROUNDS_PER_UPKEEP == 0)
				upkeep(worker);
			continue;
		}
		if (wants_spin(worker) && may_spin(worker))
			continue;
		sleep_once(worker);
		worker->spin_until_ns = 0;
	}
	finish(worker);
	(void)tray_asleep(&worker->tray);
	rcu_unregister_thread();
	return NULL;
}

int worker_start(struct worker *worker, struct broker *broker, unsigned idx)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &worker->bell};
	pthread_attr_t attr;
	char name[16];
	int r;

	worker->broker = broker;
	worker->idx = idx;
	atomic_store_explicit(&worker->beat_ms, store_now_ms(), memory_order_relaxed);
	worker->shared = &broker->plane.shared->worker[idx];
	pthread_mutex_init(&worker->inbox_lock, NULL);
	tray_init(&worker->tray);
	worker_lend_init(worker);
	worker->bell.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = -errno;
	if (worker->bell.fd < 0 || worker->epoll < 0 ||
		epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->bell.fd, &event) < 0)
		goto fail;
	tray_open_tended(&worker->tray, worker_tend, worker);
	pthread_attr_init(&attr);
	if (CPU_COUNT(&broker->config->broker.cpus))
		pthread_attr_setaffinity_np(&attr, sizeof(cpu_set_t), &broker->config->broker.cpus);
	r = -pthread_create(&worker->thread, &attr, worker_main, worker);
	pthread_attr_destroy(&attr);
	if (r)
		goto fail;
	snprintf(name, sizeof(name), "worker-%u", idx);
	pthread_setname_np(worker->thread, name);
	return 0;
fail:
	if (worker->bell.fd >= 0)
		close(worker->bell.fd);
	if (worker->epoll >= 0)
		close(worker->epoll);
	tray_deinit(&worker->tray);
	pthread_mutex_destroy(&worker->inbox_lock);
	return r;
}

void worker_join(struct worker *worker)
{
	pthread_join(worker->thread, NULL);
	worker_drop_tickets(worker);
	close(worker->bell.fd);
	close(worker->epoll);
	free(worker->lane);
	tray_deinit(&worker->tray);
	pthread_mutex_destroy(&worker->inbox_lock);
}
