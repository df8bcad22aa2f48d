/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of shmcache/session.c: sealed regions, lanes, holds, logs. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/shmcache/seat.h"

static struct seat d;

static void assert_size_is_fixed(int fd, size_t size)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, size);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, (off_t)size - 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, (off_t)size + 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fallocate(fd, 0, (off_t)size, 4096), -1);
	assert_int_equal(errno, EPERM);
	/* Nor can the seals be taken off or added to. */
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EPERM);
}

static void test_sealed(void **state)
{
	void *map;
	int fd;
	char path[64];

	(void)state;
	assert_size_is_fixed(d.fds.request, d.session->request_size);
	assert_size_is_fixed(d.fds.response, d.session->response_size);
	/* The response region is for reading. */
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, d.fds.response, 0);
	assert_ptr_equal(map, MAP_FAILED);
	assert_int_equal(errno, EPERM);
	assert_int_equal(pwrite(d.fds.response, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(
		fallocate(d.fds.response, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
		-1);
	assert_int_equal(errno, EPERM);
	map = mmap(NULL, d.session->response_size, PROT_READ, MAP_SHARED, d.fds.response, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map, 4096, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
	/* Opened anew for writing, it is no more writable. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", d.fds.response);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		assert_ptr_equal(
			mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
		close(fd);
	}
	/* What the broker writes is seen there. */
	completion_publish(d.lane->completion, 0,
		&(struct completion){.id = 5, .status = 3, .result = {1, 2}});
	struct completion got;
	assert_int_equal(
		completion_take((const void *)((char *)map + d.session->geometry.completion_off),
			0, &got),
		1);
	assert_int_equal(got.id, 5);
	assert_int_equal(got.status, 3);
	assert_int_equal(got.result[1], 2);
	munmap(map, d.session->response_size);
}

static bool can_punch(int fd, size_t size)
{
	return !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size);
}

/* A session that has no lane yet, and what its client has of it. */
static struct session *newcomer(struct session_descriptors *fds, void **map)
{
	struct session *s;

	assert_int_equal(session_new(&s, &d.config, fds), 0);
	s->kept = *fds;
	s->directory = &d.directory;
	*map = mmap(NULL, s->request_size, PROT_READ | PROT_WRITE, MAP_SHARED, fds->request, 0);
	assert_ptr_not_equal(*map, MAP_FAILED);
	return s;
}

/*
 * Holes can be punched as long as nobody looks. What was there before the first lane reads as
 * zeroes.
 */
static void test_punched(void **state)
{
	struct session_descriptors fds;
	struct submission copy;
	struct lane *lane;
	struct session *s;
	void *map;
	int end;

	(void)state;
	s = newcomer(&fds, &map);
	memset(map, 0xff, s->request_size);
	assert_true(can_punch(fds.request, s->request_size));
	assert_int_equal(session_lane_open(s, &lane, &end), 0);
	assert_false(submission_is_there(&lane->submission[0], 0));
	assert_int_equal(submission_snapshot(&lane->submission[0], &copy), ABI_FAULT_OPERATION);
	assert_false(can_punch(fds.request, s->request_size));
	assert_int_equal(errno, EPERM);
	assert_int_equal(madvise(map, s->request_size, MADV_REMOVE), -1);
	assert_int_equal(errno, EPERM);
	/* What it has mapped it can write on. */
	memset(map, 0xff, s->request_size);
	assert_int_equal(shared_u64_load(&lane->request->submitted), UINT64_MAX);
	assert_int_equal(pwrite(fds.request, "x", 1, 0), -1);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds.request, 0),
		MAP_FAILED);
	munmap(map, s->request_size);
	close(end);
	session_free(s);
}

/* Who seals the region himself, so that we can't, gets no lane; unless it was with our seal. */
static void test_sealed_by_its_client(void **state)
{
	struct session_descriptors fds;
	struct lane *lane;
	struct session *s;
	void *map;
	int end;

	(void)state;
	s = newcomer(&fds, &map);
	assert_int_equal(fcntl(fds.request, F_ADD_SEALS, F_SEAL_SEAL), 0);
	assert_int_equal(session_lane_open(s, &lane, &end), -EBADMSG);
	assert_int_equal(atomic_load(&s->n_lanes), 0);
	munmap(map, s->request_size);
	session_free(s);

	s = newcomer(&fds, &map);
	assert_int_equal(fcntl(fds.request, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL), 0);
	assert_int_equal(session_lane_open(s, &lane, &end), 0);
	assert_false(can_punch(fds.request, s->request_size));
	munmap(map, s->request_size);
	close(end);
	session_free(s);
}

static void test_lanes(void **state)
{
	struct lane *lane;
	int end[8];
	unsigned i;

	(void)state;
	for (i = 1; i < d.config.session.lanes; i++) {
		assert_int_equal(session_lane_open(d.session, &lane, &end[i]), 0);
		assert_int_equal(lane->idx, i);
		assert_ptr_equal(lane->session, d.session);
		wire_ring(end[i]);
		assert_true(wire_ring_drain(lane->doorbell));
	}
	assert_int_equal(session_lane_open(d.session, &lane, &end[0]), -EUSERS);
	assert_int_equal(shared_u32_load(&d.directory.n_lanes), d.config.session.lanes);
	for (i = 1; i < d.config.session.lanes; i++)
		close(end[i]);
}

static struct shared_u64 *hold_cell(unsigned i)
{
	return (struct shared_u64 *)((char *)d.request + d.session->geometry.hold_off) + i;
}

/* Holds count up to the number that the client tells, which can't be more than there are. */
static void test_holds(void **state)
{
	unsigned n = d.session->geometry.n_holds;
	struct submission sub = seat_make(&d, ABI_OP_PUT, "key", 1000, 1);
	struct index_key key = index_key(&d.rig.store.index, "key", 3);
	uint32_t cell;

	(void)state;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	assert_non_null(index_find(&d.rig.store.index, &key, &cell));
	shared_u64_store(hold_cell(n - 1), abi_word(cell, 0, 0));
	shared_u64_store(hold_cell(3), UINT64_MAX);
	shared_u64_store(&d.request->holds_used, n - 1);
	session_scan_holds(d.session, &d.rig.store.index, 7);
	assert_false(index_is_held(&d.rig.store.index, cell, 7));
	shared_u64_store(&d.request->holds_used, n);
	session_scan_holds(d.session, &d.rig.store.index, 7);
	assert_true(index_is_held(&d.rig.store.index, cell, 7));
	shared_u64_store(&d.request->holds_used, UINT64_MAX);
	session_scan_holds(d.session, &d.rig.store.index, 8);
	assert_true(index_is_held(&d.rig.store.index, cell, 8));
	/* Held by the session, a deleted entry keeps its bytes; then it goes. */
	sub = seat_make(&d, ABI_OP_DELETE, "key", 0, 0);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	rig_drain(&d.rig);
	assert_int_equal(d.rig.store.limbo.n, 1);
	assert_true(rig_is_filled(rig_value(&d.rig, cell), 1000, 1));
	seat_leave(&d);
	rig_drain(&d.rig);
	assert_int_equal(d.rig.store.limbo.n, 0);
	rig_check(&d.rig);
}

static void log_hits(uint64_t n, uint32_t cell)
{
	struct shared_u32 *log = (void *)((char *)d.request + d.session->geometry.log_off);
	uint64_t at = shared_u64_load(&d.request->logged), i;

	for (i = 0; i < n; i++)
		shared_u32_store(&log[(at + i) & (d.session->geometry.n_log - 1)], cell);
	shared_u64_store_release(&d.request->logged, at + n);
}

static void test_logs(void **state)
{
	struct submission sub = seat_make(&d, ABI_OP_PUT, "key", 1000, 1);
	struct index_key key = index_key(&d.rig.store.index, "key", 3);
	uint64_t n_log = d.session->geometry.n_log;
	uint32_t cell;

	(void)state;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	assert_non_null(index_find(&d.rig.store.index, &key, &cell));
	shared_u64_store(&d.request->hits, 100);
	shared_u64_store(&d.request->misses, 30);
	log_hits(10, cell);
	log_hits(5, UINT32_MAX);
	session_drain_logs(d.session, &d.rig.store, &d.rig.w);
	session_drain_logs(d.session, &d.rig.store, &d.rig.w);
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_HITS), 100);
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_MISSES), 30);
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_LOG_HITS), 10);
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_LOG_LOST), 0);
	/* Exactly full is read whole; more is lost, and counted. */
	log_hits(n_log, cell);
	session_drain_logs(d.session, &d.rig.store, &d.rig.w);
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_LOG_HITS), 10 + n_log);
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_LOG_LOST), 0);
	log_hits(n_log + 3, cell);
	session_drain_logs(d.session, &d.rig.store, &d.rig.w);
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_LOG_HITS), 10 + 2 * n_log);
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_LOG_LOST), 3);
	/* Lies: backward, and far ahead. Bounded time, and no number that makes no sense. */
	shared_u64_store(&d.request->logged, 1);
	shared_u64_store(&d.request->hits, 1);
	session_drain_logs(d.session, &d.rig.store, &d.rig.w);
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_HITS), 100);
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_LOG_LOST), 3);
	shared_u64_store(&d.request->logged, UINT64_MAX);
	shared_u64_store(&d.request->hits, 11);
	session_drain_logs(d.session, &d.rig.store, &d.rig.w);
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_HITS), 110);
	rig_check(&d.rig);
}

/* Misses are taken over by reason, waits bucket by bucket, each once. */
static void test_client_numbers(void **state)
{
	struct abi_histogram *sum = &d.rig.w.stage_time[ABI_STAGE_WAIT];
	unsigned i;

	(void)state;
	shared_u64_store(&d.request->miss[ABI_MISS_ABSENT], 20);
	shared_u64_store(&d.request->miss[ABI_MISS_EXPIRED], 10);
	shared_u64_store(&d.request->miss[ABI_MISS_HOLDS], 3);
	histogram_add(&d.request->wait, 1000, 31);
	histogram_add(&d.request->wait, 5000000, 1);
	for (i = 0; i < 2; i++) {
		session_drain_logs(d.session, &d.rig.store, &d.rig.w);
		session_drain_waits(d.session, &d.rig.w);
	}
	assert_int_equal(shared_u64_load(&d.rig.w.miss[ABI_MISS_ABSENT]), 20);
	assert_int_equal(shared_u64_load(&d.rig.w.miss[ABI_MISS_EXPIRED]), 10);
	assert_int_equal(shared_u64_load(&d.rig.w.miss[ABI_MISS_HOLDS]), 3);
	assert_int_equal(shared_u64_load(&sum->bucket[histogram_bucket(1000)]), 31);
	assert_int_equal(shared_u64_load(&sum->bucket[histogram_bucket(5000000)]), 1);
	assert_int_equal(shared_u64_load(&sum->sum_ns), 31 * 1000 + 5000000);
	assert_int_equal(shared_u64_load(&sum->max_ns), 5000000);
	/* Backward is a lie: nothing is counted, and it goes on from there. */
	shared_u64_store(&d.request->wait.bucket[histogram_bucket(1000)], 1);
	shared_u64_store(&d.request->wait.sum_ns, 1000);
	session_drain_waits(d.session, &d.rig.w);
	assert_int_equal(shared_u64_load(&sum->bucket[histogram_bucket(1000)]), 31);
	histogram_add(&d.request->wait, 1000, 1);
	session_drain_waits(d.session, &d.rig.w);
	assert_int_equal(shared_u64_load(&sum->bucket[histogram_bucket(1000)]), 32);
}

static void test_cut_off(void **state)
{
	unsigned i;

	(void)state;
	assert_true(session_cut_off(d.session, &d.rig.w, ABI_FAULT_RANGE));
	assert_false(session_cut_off(d.session, &d.rig.w, ABI_FAULT_KEY));
	/* Counted once, by its kind. */
	assert_int_equal(rig_count(&d.rig, ABI_COUNTER_SESSIONS_BROKEN), 1);
	assert_int_equal(shared_u64_load(&d.rig.w.fault[ABI_FAULT_RANGE]), 1);
	assert_int_equal(shared_u64_load(&d.rig.w.fault[ABI_FAULT_KEY]), 0);
	for (i = 0; i < d.config.session.lanes; i++)
		assert_int_equal(
			shared_u32_load(&d.session->lane[i].response->fault), ABI_FAULT_RANGE);
	assert_int_equal(shared_u32_load(&d.directory.broken), ABI_FAULT_RANGE);
}

static unsigned n_descriptors(void)
{
	unsigned n = 0;
	int fd;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_leaks_nothing(void **state)
{
	struct session_descriptors fds;
	struct session *s;
	struct config bad = d.config;
	unsigned n = n_descriptors(), i;
	struct lane *lane;
	int end;

	(void)state;
	for (i = 0; i < 100; i++) {
		assert_int_equal(session_new(&s, &d.config, &fds), 0);
		s->kept = fds;
		s->directory = &d.directory;
		assert_int_equal(session_lane_open(s, &lane, &end), 0);
		close(end);
		session_free(s);
	}
	session_free(NULL);
	bad.session.queue = 17;
	assert_int_equal(session_new(&s, &bad, &fds), -EINVAL);
	assert_int_equal(n_descriptors(), n);
}

/* A session that subscribed to events and ends: nothing is written for it any more. */
static void test_subscription_ends(void **state)
{
	struct store *s = &d.rig.store;
	const void *region;
	size_t size;
	int fd;

	(void)state;
	d.session->event_kinds = 1U << EVENT_STORED;
	assert_int_equal(store_subscribe(s, d.session->event_kinds, &fd, &region, &size), 0);
	assert_int_equal(s->events.kinds, 1U << EVENT_STORED);
	session_give_back(d.session, s, &d.rig.w);
	assert_int_equal(s->events.kinds, 0);
	assert_int_equal(d.session->event_kinds, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEAT_TEST(test_sealed),
		SEAT_TEST(test_punched),
		SEAT_TEST(test_sealed_by_its_client),
		SEAT_TEST(test_lanes),
		SEAT_TEST(test_holds),
		SEAT_TEST(test_logs),
		SEAT_TEST(test_client_numbers),
		SEAT_TEST(test_cut_off),
		SEAT_TEST(test_leaks_nothing),
		SEAT_TEST(test_subscription_ends),
	};

	return RIG_RUN(tests);
}
