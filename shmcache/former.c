/* SPDX-License-Identifier: Apache-2.0 */
/* former.c: taking over the hold tables of a former broker's clients. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/wire.h"
#include "shmcache/former.h"
#include "shmcache/holds.h"
#include "shmcache/process.h"
#include "shmcache/watch.h"

/*
 * A broker that dies leaves clients with views of values, and writers in the middle of blocks.
 * Their maps stay, and what they hold they say in their request regions, which the kernel keeps for
 * them. The directory in the plane tells of each session whose it is and which region it has. So a
 * new broker finds the region among the descriptors of the process, maps it to read, and scans it
 * in each reclaim round like those of its own sessions: the table is adopted.
 *
 * Why an adopted table that was seen empty once may be dropped, though its process lives on: a
 * reader looks at the epoch after it has stored its hold.
 *
 *	reader at the former broker		new broker
 *	R1  hold := word			E1  epoch := mine
 *	    -- fence --				    -- membarrier --
 *	R2  slot still word? epoch mine?	E2  scan the table
 *
 * As in reclaim.c, of R2 and E2 at least one sees the other side's store. If E2 found the table
 * empty, a hold that appears later was stored by one whose R2 sees the new epoch, and gives up. E1
 * and the membarrier are in broker_start(), before anything here. The same with a writer, who holds
 * the record of its block, and looks at the epoch, before it writes (clients/lib/engine-flight.c).
 * A table that is not empty goes on as ever: R2 of the readers in it lies in the past, B1 of
 * reclaim.c ahead.
 *
 * Where we may not look into a process, for it is another user's or in another PID namespace, its
 * table is pending, and as long as any is, nothing that the former broker made is freed. Its
 * library hands the region over when it attaches again; who has not by the end of the grace is
 * lost: his views are void, which he sees in his line. A lost writer may go on writing, so what was
 * open when the former broker died is kept until he is dead, or has shown what he holds.
 *
 * What is in the lines a broker of ours wrote. They may be damaged, and the process may lie in what
 * it has in its region: both cost what a session's lies cost.
 */
struct former {
	struct watch death; /* of its process; none where it can't be watched */
	struct formers *all;
	struct abi_session *line;
	uint64_t id;
	pid_t pid;
	uid_t uid;
	bool is_writer;
	_Atomic bool is_lost; /* set by whoever has the lock, as what follows */
	_Atomic bool is_hoarder; /* its holds are not looked at any more */
	struct abi_geometry geometry;
	struct holds holds; /* .request NULL: not seen yet */
	struct holds_seen seen;
	size_t size;
	struct former *next;
};

static void set_state(struct former *p, enum abi_session_state state)
{
	/* partner: the acquire in the client's look at its line */
	shared_u32_store_release(&p->line->state, state);
}

static bool is_lost(const struct former *p)
{
	return atomic_load_explicit(&p->is_lost, memory_order_relaxed);
}

/* What must be kept on account of those whose tables we don't see. */
static void keep(struct formers *f)
{
	enum store_keep all = STORE_KEEP_NOTHING;
	struct former *p;

	for (p = f->first; p; p = p->next) {
		if (p->holds.request)
			continue;
		if (!is_lost(p))
			all = STORE_KEEP_ALL;
		else if (p->is_writer && all == STORE_KEEP_NOTHING)
			all = STORE_KEEP_OPEN;
	}
	store_keep(f->store, all);
}

static void free_former(struct former *p)
{
	watch_close(p->all->epoll, &p->death);
	if (p->holds.request)
		munmap((void *)p->holds.request, p->size);
	holds_seen_free(&p->seen);
	free(p);
}

/* Nothing is protected on its account any more; its line is free. */
static void drop(struct former *p)
{
	struct formers *f = p->all;
	struct former **link = &f->first;

	while (*link != p)
		link = &(*link)->next;
	pthread_mutex_lock(f->lock);
	*link = p->next;
	/* partner: as in set_state() */
	shared_u64_store_release(&p->line->id, 0);
	pthread_mutex_unlock(f->lock);
	/* The line comes before whatever is written in a block that it has protected. */
	shared_fence();
	free_former(p);
}

static void death_ready(struct watch *watch, uint32_t events)
{
	struct former *p = watch->owner;
	struct formers *f = p->all;

	(void)events;
	drop(p);
	keep(f);
}

/* --- taking over ------------------------------------------------------------------------------ */

/* Is @fd the region of the line, sealed as we seal it, and of the size that its geometry has? */
static bool is_region(const struct former *p, int fd)
{
	const int lanes = p->holds.n_lanes ? F_SEAL_FUTURE_WRITE : 0;
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | lanes;
	struct stat st;
	int raw_seals;

	/* Only the kernel's own memory has seals, so no file server is asked for what follows. */
	raw_seals = fcntl(fd, F_GET_SEALS);
	return raw_seals >= 0 && (raw_seals & seals) == seals && !fstat(fd, &st) &&
		S_ISREG(st.st_mode) && st.st_dev == shared_u64_load(&p->line->region_dev) &&
		st.st_ino == shared_u64_load(&p->line->request_ino) && p->size &&
		st.st_size == (off_t)p->size;
}

static bool take(struct former *p, int fd)
{
	void *map;

	if (!is_region(p, fd))
		return false;
	map = mmap(NULL, p->size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return false;
	/* The scan of another thread sees all of it, or nothing. */
	pthread_mutex_lock(p->all->lock);
	p->holds.request = map;
	if (!is_lost(p))
		set_state(p, ABI_SESSION_ADOPTED);
	pthread_mutex_unlock(p->all->lock);
	return true;
}

/* The line as it stands. The geometry of one that makes no sense fits no region. */
static void read_line(struct former *p)
{
	const struct abi_session *line = p->line;
	struct abi_geometry *g = &p->geometry;
	uint32_t raw_lanes = shared_u32_load(&line->n_lanes);

	p->id = shared_u64_load(&line->id);
	/*
	 * In a namespace that is not the former broker's, its pids are other processes', or
	 * nobody's.
	 */
	if (p->all->pid_ns && shared_u64_load(&line->pid_ns) == p->all->pid_ns)
		p->pid = (pid_t)shared_u32_load(&line->pid);
	p->uid = shared_u32_load(&line->uid);
	p->is_writer = shared_u32_load(&line->role) == WIRE_ROLE_WRITER;
	p->is_lost = shared_u32_load(&line->state) == ABI_SESSION_LOST;
	g->n_lanes = shared_u32_load(&line->lanes_max);
	g->n_queue = shared_u32_load(&line->n_queue);
	g->n_holds = shared_u32_load(&line->n_holds);
	g->n_log = shared_u32_load(&line->n_log);
	g->staging_size = shared_u32_load(&line->staging_size);
	if (!abi_geometry_init(g))
		p->size = (size_t)g->n_lanes * g->request_stride;
	p->holds.geometry = g;
	p->holds.n_lanes = raw_lanes < g->n_lanes ? raw_lanes : g->n_lanes;
}

/* Is the process that has the line's pid now another, or none? */
static bool is_dead(struct former *p)
{
	uint64_t start = shared_u64_load(&p->line->pid_start_time), now;

	/* Of another PID namespace: nothing is known. */
	if (p->pid <= 0)
		return false;
	p->death.fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->death.fd < 0)
		return errno == ESRCH;
	/* Behind the opening: from here on the pidfd is that of the process whose time this is. */
	now = process_start_time(p->pid);
	return start && now && start != now;
}

/* Returns whether it is to stay on the list. */
static bool look_for(struct former *p)
{
	int fd, r;

	if (is_dead(p))
		return false;
	p->death.ready = death_ready;
	p->death.owner = p;
	if (p->death.fd >= 0 && watch_add(p->all->epoll, &p->death, EPOLLIN)) {
		close(p->death.fd);
		p->death.fd = -1;
	}
	if (!is_lost(p))
		set_state(p, ABI_SESSION_PENDING);
	r = p->pid > 0 ? process_open_region(p->pid, shared_u64_load(&p->line->region_dev),
				 shared_u64_load(&p->line->request_ino), &p->all->budget, &fd)
		       : -ESRCH;
	/*
	 * All its descriptors were seen: it has let go of the session, whose library keeps this
	 * one.
	 */
	if (r == PROCESS_HAS_NONE)
		return false;
	if (r)
		return true;
	r = take(p, fd);
	close(fd);
	return !r || !holds_are_none(&p->holds);
}

static void adopt(struct formers *f, struct abi_session *line)
{
	struct former *p = calloc(1, sizeof(*p));

	/* Without memory for this much nothing would have started. */
	if (!p) {
		shared_u64_store_release(&line->id, 0);
		return;
	}
	p->all = f;
	p->line = line;
	p->death.fd = -1;
	read_line(p);
	p->next = f->first;
	f->first = p;
	if (!look_for(p))
		drop(p);
}

static void count(const struct formers *f, uint64_t *n_adopted, uint64_t *n_pending)
{
	const struct former *p;

	*n_adopted = *n_pending = 0;
	for (p = f->first; p; p = p->next) {
		*n_adopted += p->holds.request != NULL;
		*n_pending += !p->holds.request && !is_lost(p);
	}
}

/*
 * For the whole start, or a process with many descriptors in each of many sessions could delay it
 * by minutes. About two seconds; who is not found for it is waited for.
 */
#define LOOKS_MAX 65536

void formers_open(struct formers *f, uint64_t now_ms, uint64_t grace_ms)
{
	uint64_t n_adopted, n_pending;
	uint32_t i;

	f->pid_ns = process_pid_namespace();
	f->budget = LOOKS_MAX;
	for (i = 0; i < f->plane->shared->n_sessions_max; i++)
		if (shared_u64_load(&f->plane->shared->session[i].id))
			adopt(f, &f->plane->shared->session[i]);
	count(f, &n_adopted, &n_pending);
	f->deadline_ms = n_pending ? now_ms + grace_ms : 0;
	keep(f);
	if (n_adopted || n_pending)
		log_info(f->log, "former-sessions", LOG_U64("adopted", n_adopted),
			LOG_U64("pending", n_pending));
}

void formers_forget(struct formers *f)
{
	uint32_t i;

	for (i = 0; i < f->plane->shared->n_sessions_max; i++)
		shared_u64_store_release(&f->plane->shared->session[i].id, 0);
}

void formers_close(struct formers *f)
{
	struct former *p;

	while ((p = f->first)) {
		f->first = p->next;
		free_former(p);
	}
}

/* --- afterwards ------------------------------------------------------------------------------- */

static void log_lost(const struct former *p, const char *why)
{
	log_warning(p->all->log, "former-session-lost", LOG_U64("session", p->id),
		LOG_I64("pid", p->pid), LOG_U64("uid", p->uid), LOG_STR("why", why));
}

static void lose(struct former *p)
{
	log_lost(p, "it has not attached again within [broker] restart_grace: its views are void");
	/* Whose end nobody would tell us can't be waited for. */
	if (p->death.fd < 0) {
		drop(p);
		return;
	}
	pthread_mutex_lock(p->all->lock);
	p->is_lost = true;
	set_state(p, ABI_SESSION_LOST);
	pthread_mutex_unlock(p->all->lock);
	/* As in drop(). */
	shared_fence();
}

void formers_upkeep(struct formers *f, uint64_t now_ms)
{
	bool is_over = f->deadline_ms && now_ms >= f->deadline_ms;
	struct former *p, *next;

	if (!f->first)
		return;
	for (p = f->first; p; p = next) {
		next = p->next;
		if (p->holds.request && (p->is_hoarder || holds_are_none(&p->holds)))
			drop(p);
		else if (!p->holds.request && is_over && !is_lost(p))
			lose(p);
	}
	if (is_over)
		f->deadline_ms = 0;
	keep(f);
}

/*
 * A line stays as long as somebody holds by it, and a process may do so for each of its sessions
 * and at each restart. That must not keep the others out for ever.
 */
void formers_make_way(struct formers *f)
{
	struct former *p, *first = NULL;

	for (p = f->first; p; p = p->next)
		if (!first || p->is_writer < first->is_writer ||
			(p->is_writer == first->is_writer && p->id < first->id))
			first = p;
	if (!first)
		return;
	log_lost(first, "the session directory is full of sessions of former brokers: its views are "
			"void");
	drop(first);
	keep(f);
}

/* A pid of 0 is one that nobody here can know: then the user and the region itself have to do. */
static bool is_of(const struct former *p, pid_t pid, uid_t uid)
{
	return !p->holds.request && p->uid == uid && (p->pid <= 0 || p->pid == pid);
}

unsigned formers_awaited(const struct formers *f, pid_t pid, uid_t uid)
{
	const struct former *p;
	unsigned n = 0;

	for (p = f->first; p; p = p->next)
		n += is_of(p, pid, uid);
	return n;
}

bool formers_take(struct formers *f, pid_t pid, uid_t uid, uint64_t session, int fd)
{
	struct former *p;

	for (p = f->first; p; p = p->next)
		if (p->id == session && is_of(p, pid, uid))
			break;
	if (!p || !take(p, fd))
		return false;
	if (holds_are_none(&p->holds))
		drop(p);
	keep(f);
	return true;
}

uint64_t formers_look_at_holds(struct formers *f, uint64_t now_ms)
{
	uint64_t n = 0, since_ms;
	struct former *p;

	for (p = f->first; p; p = p->next) {
		if (!p->holds.request || p->is_hoarder)
			continue;
		n += holds_look(&p->holds, &p->seen, now_ms, &since_ms);
		shared_u64_store(&p->line->held_since_ms, since_ms);
	}
	return n;
}

void formers_scan(const struct formers *f, struct index *ix, uint8_t round)
{
	const struct former *p;

	for (p = f->first; p; p = p->next)
		if (p->holds.request && !p->is_hoarder)
			holds_scan(&p->holds, ix, round);
}

void formers_check_holds(struct formers *f, unsigned tier, uint64_t quota)
{
	struct former *p;

	for (p = f->first; p; p = p->next) {
		if (!p->holds.request || p->is_hoarder ||
			holds_size(&p->holds, f->store, tier) <= quota)
			continue;
		log_lost(p, abi_fault_name(ABI_FAULT_HOLDS));
		p->is_lost = p->is_hoarder = true;
		set_state(p, ABI_SESSION_LOST);
		/* As in drop(). */
		shared_fence();
	}
}
