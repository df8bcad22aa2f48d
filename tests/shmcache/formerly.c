/* SPDX-License-Identifier: Apache-2.0 */
/* formerly.c: a session directory as a killed broker leaves it. */
#include "tests/shmcache/formerly.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "ipc/wire.h"
#include "shmcache/process.h"
#include "shmcache/session.h"
#include "shmcache/watch.h"

#define N_LANES 3

static void scan(void *context, struct index *ix, uint8_t round)
{
	struct formerly *f = context;

	pthread_mutex_lock(&f->lock);
	formers_scan(&f->formers, ix, round);
	pthread_mutex_unlock(&f->lock);
}

static void no_logs(void *context, struct abi_worker *w)
{
	(void)context;
	(void)w;
}

void formerly_init(struct formerly *f)
{
	size_t size = sizeof(*f->plane.shared) + FORMERLY_LINES * sizeof(f->plane.shared->session[0]);

	memset(f, 0, sizeof(*f));
	f->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_true(f->null >= 0);
	log_init(&f->log, f->null);
	pthread_mutex_init(&f->lock, NULL);
	rig_init(&f->rig, 4 * MIB, 4 * MIB);
	f->rig.store.sessions = (struct store_sessions){scan, no_logs, f};
	rig_open(&f->rig, false);
	f->plane.shared = aligned_alloc(ABI_APART, size);
	assert_non_null(f->plane.shared);
	memset(f->plane.shared, 0, size);
	f->plane.shared->n_sessions_max = FORMERLY_LINES;
	f->geometry = (struct abi_geometry){.n_lanes = N_LANES, .n_queue = 16, .n_holds = 64,
		.n_log = 64, .staging_size = 64 * KIB};
	assert_int_equal(abi_geometry_init(&f->geometry), 0);
	f->request_size = N_LANES * (size_t)f->geometry.request_stride;
	f->formers = (struct formers){.plane = &f->plane, .store = &f->rig.store, .log = &f->log,
		.lock = &f->lock, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	assert_true(f->formers.epoll >= 0);
}

void formerly_deinit(struct formerly *f)
{
	formers_close(&f->formers);
	close(f->formers.epoll);
	free(f->plane.shared);
	log_deinit(&f->log);
	close(f->null);
	rig_remove(&f->rig);
	pthread_mutex_destroy(&f->lock);
}

uint32_t formerly_value(struct formerly *f)
{
	uint32_t cell;

	assert_int_equal(rig_put(&f->rig, 1, 1, FORMERLY_SIZE), ABI_STATUS_OK);
	cell = rig_cell(&f->rig, 1);
	rig_close(&f->rig);
	rig_open(&f->rig, true);
	assert_true(f->rig.opened.warm);
	return cell;
}

void formerly_delete(struct formerly *f)
{
	assert_int_equal(rig_delete(&f->rig, 1), ABI_STATUS_OK);
}

bool formerly_is_protected(struct formerly *f)
{
	store_reclaim(&f->rig.store, &f->rig.w);
	assert_true(f->rig.store.limbo.n <= 1);
	return f->rig.store.limbo.n == 1;
}

void formerly_open(struct formerly *f)
{
	formers_open(&f->formers, FORMERLY_NOW, FORMERLY_GRACE);
}

void formerly_come_and_go(struct formerly *f)
{
	formerly_open(f);
	formers_close(&f->formers);
}

/* --- clients ---------------------------------------------------------------------------------- */

static struct abi_lane_request *last_lane(const struct formerly *f, const struct client *c)
{
	return (void *)(c->request + (size_t)(N_LANES - 1) * f->geometry.request_stride);
}

/* As a broker and its client leave it. */
static void make_region(struct formerly *f, struct client *c, const char *call, int seals)
{
	struct stat st;

	c->fd = memfd_create(call, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(c->fd >= 0);
	assert_int_equal(ftruncate(c->fd, (off_t)c->size), 0);
	c->request = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	assert_ptr_not_equal(c->request, MAP_FAILED);
	if (seals)
		assert_int_equal(fcntl(c->fd, F_ADD_SEALS, seals), 0);
	assert_int_equal(fstat(c->fd, &st), 0);
	shared_u64_store(&c->line->region_dev, st.st_dev);
	shared_u64_store(&c->line->request_ino, st.st_ino);
	c->hold = (struct shared_u64 *)(void *)((uint8_t *)last_lane(f, c) + f->geometry.hold_off) +
		f->geometry.n_holds - 1;
}

static void fill_line(const struct formerly *f, struct abi_session *line, uint64_t id)
{
	shared_u32_store(&line->pid, (uint32_t)getpid());
	shared_u32_store(&line->uid, getuid());
	shared_u32_store(&line->role, WIRE_ROLE_READER);
	shared_u32_store(&line->n_lanes, N_LANES);
	shared_u64_store(&line->pid_start_time, process_start_time(getpid()));
	shared_u64_store(&line->pid_ns, process_pid_namespace());
	shared_u32_store(&line->lanes_max, N_LANES);
	shared_u32_store(&line->n_queue, f->geometry.n_queue);
	shared_u32_store(&line->n_holds, f->geometry.n_holds);
	shared_u32_store(&line->n_log, f->geometry.n_log);
	shared_u32_store(&line->staging_size, f->geometry.staging_size);
	shared_u32_store(&line->state, ABI_SESSION_ATTACHED);
	shared_u64_store_release(&line->id, id);
}

struct client client_with(struct formerly *f, unsigned line, const char *call, size_t size, int seals)
{
	struct client c = {.line = &f->plane.shared->session[line], .size = size};

	make_region(f, &c, call, seals);
	fill_line(f, c.line, 1000 + line);
	return c;
}

struct client client_new(struct formerly *f, unsigned line)
{
	return client_with(f, line, SESSION_REQUEST_NAME, f->request_size, FORMERLY_SEALS);
}

void client_free(struct client *c)
{
	munmap(c->request, c->size);
	close(c->fd);
}

void client_hold(struct formerly *f, const struct client *c, uint32_t cell)
{
	shared_u64_store(&last_lane(f, c)->holds_used, f->geometry.n_holds);
	shared_u64_store_release(c->hold, cell ? abi_word(cell, 0, 0) : 0);
}

void client_hide(const struct client *c)
{
	shared_u64_store(&c->line->pid_ns, process_pid_namespace() + 1);
}

pid_t client_child(const struct client *c)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* With them its end of the pipe, by which we hear of it. */
		close_range(0, ~0U, 0);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	shared_u32_store(&c->line->pid, (uint32_t)pid);
	shared_u64_store(&c->line->pid_start_time, process_start_time(pid));
	return pid;
}

void client_kill(struct formerly *f, pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	while (watch_wait(f->formers.epoll, 0))
		;
}

enum abi_session_state client_state(const struct client *c)
{
	return shared_u32_load(&c->line->state);
}

uint64_t client_id(const struct client *c)
{
	return shared_u64_load(&c->line->id);
}

void formerly_assert_dropped(const struct formerly *f, const struct client *c)
{
	assert_int_equal(client_id(c), 0);
	assert_int_equal(f->rig.store.keep, STORE_KEEP_NOTHING);
}

void formerly_assert_pending(const struct formerly *f, const struct client *c)
{
	assert_int_equal(client_state(c), ABI_SESSION_PENDING);
	assert_int_not_equal(client_id(c), 0);
	assert_int_equal(f->rig.store.keep, STORE_KEEP_ALL);
}
