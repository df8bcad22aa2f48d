/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of shmcache/plane.c: one broker a name, and planes that were left. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "ipc/wire.h"
#include "shmcache/plane.h"
#include "tests/shmcache/rig.h"

static char name[64], object[64], lock[64], why[256];
static struct plane p, other;

static int setup(void **state)
{
	(void)state;
	rig_name(name, sizeof(name), "plane");
	memmove(name, name + 1, strlen(name)); /* a cache's name has no slash */
	wire_object_name(name, WIRE_OBJECT_PLANE, object, sizeof(object));
	wire_object_name(name, WIRE_OBJECT_LOCK, lock, sizeof(lock));
	memset(&p, 0, sizeof(p));
	memset(&other, 0, sizeof(other));
	p.lock_fd = other.lock_fd = -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	plane_close(&p, false);
	plane_close(&other, false);
	shm_unlink(object);
	shm_unlink(lock);
	return rig_leftovers() ? -1 : 0;
}

static bool exists(const char *shm)
{
	int fd = shm_open(shm, O_RDONLY, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void open_plane(struct plane *plane, unsigned n_sessions)
{
	if (plane_lock(plane, name, why, sizeof(why)) ||
		plane_open(plane, "/some/where.sock", n_sessions, 2, false, why, sizeof(why)))
		fail_msg("%s", why);
}

/* As a client has it. */
static const struct abi_plane *map_client(size_t size)
{
	int fd = shm_open(object, O_RDONLY, 0);
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	assert_true(fd >= 0 && map != MAP_FAILED);
	close(fd);
	return map;
}

static void test_new(void **state)
{
	struct stat st;
	mode_t mask = umask(077);
	int fd;

	(void)state;
	open_plane(&p, 100);
	umask(mask);
	fd = shm_open(object, O_RDONLY, 0);
	assert_true(fd >= 0 && !fstat(fd, &st));
	close(fd);
	/* Everybody may look, whatever the umask; nobody else may write. */
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(st.st_size, p.size);
	assert_true(p.size >= sizeof(struct abi_plane) + 100 * sizeof(struct abi_session));
	assert_int_equal(st.st_blocks * 512, st.st_size);
	fd = shm_open(lock, O_RDONLY, 0);
	assert_true(fd >= 0 && !fstat(fd, &st));
	close(fd);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(p.shared->magic, ABI_MAGIC);
	assert_int_equal(p.shared->version, ABI_VERSION);
	assert_int_equal(p.shared->fingerprint, abi_fingerprint());
	assert_int_equal(p.shared->size, p.size);
	assert_string_equal(p.shared->name, name);
	assert_string_equal(p.shared->socket_path, "/some/where.sock");
	assert_int_equal(p.shared->n_sessions_max, 100);
	assert_int_equal(shared_u64_load(&p.shared->epoch), 1);
	assert_int_equal(shared_u32_load(&p.shared->state), ABI_STATE_STARTING);
	assert_int_equal(shared_u32_load(&p.shared->broker_pid), getpid());
	assert_int_equal(shared_u32_load(&p.shared->n_workers), 2);
	assert_false(p.is_succession);
	plane_set_state(&p, ABI_STATE_SERVING);
	assert_int_equal(shared_u32_load(&p.shared->state), ABI_STATE_SERVING);
	plane_close(&p, true);
	assert_false(exists(object));
	assert_false(exists(lock));
	/* Twice is harmless. */
	plane_close(&p, true);
}

static void test_two_brokers(void **state)
{
	char pid[32];

	(void)state;
	open_plane(&p, 10);
	assert_int_equal(plane_lock(&other, name, why, sizeof(why)), -EBUSY);
	snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	assert_non_null(strstr(why, pid));
	assert_non_null(strstr(why, name));
	assert_int_equal(other.lock_fd, -1);
	/* One that lost must not remove what the other has. */
	plane_close(&other, true);
	assert_true(exists(object) && exists(lock));
	plane_close(&p, false);
	assert_int_equal(plane_lock(&other, name, why, sizeof(why)), 0);
}

/* The lock goes with its process, however that ends, and not before. */
static void test_two_processes(void **state)
{
	int ready[2], go[2], status;
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (!pid) {
		c = plane_lock(&other, name, why, sizeof(why)) ? 'n' : 'y';
		(void)!write(ready[1], &c, 1);
		(void)!read(go[0], &c, 1);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	assert_int_equal(plane_lock(&p, name, why, sizeof(why)), -EBUSY);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(plane_lock(&p, name, why, sizeof(why)), 0);
	close(ready[0]);
	close(ready[1]);
	close(go[0]);
	close(go[1]);
}

/* Four processes that all want the name, take it and unlink it: never two at once. */
static void test_race_for_the_lock(void **state)
{
	struct shared_u32 *inside =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid[4];
	int i, k, status;

	(void)state;
	for (i = 0; i < 4; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (k = 0; k < 2000; k++) {
			if (plane_lock(&other, name, why, sizeof(why)))
				continue;
			if (atomic_fetch_add(&inside->raw, 1))
				_exit(1);
			atomic_fetch_sub(&inside->raw, 1);
			plane_close(&other, k % 3 == 0);
		}
		_exit(0);
	}
	for (i = 0; i < 4; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	munmap(inside, 4096);
}

/* A broker that comes back on the same plane: who has it mapped sees the epoch change. */
static void test_epoch(void **state)
{
	const struct abi_plane *client;
	size_t size;
	uint64_t i;

	(void)state;
	open_plane(&p, 10);
	size = p.size;
	client = map_client(size);
	shared_u64_store(&p.shared->worker[0].counter[3], 17);
	shared_u64_store(&p.shared->gauge[2], 18);
	shared_u64_store(&p.shared->session[9].id, 19);
	for (i = 1; i < 5; i++) {
		assert_int_equal(shared_u64_load(&client->epoch), i);
		plane_set_state(&p, ABI_STATE_SERVING);
		assert_int_equal(shared_u32_load(&client->state), ABI_STATE_SERVING);
		plane_close(&p, false);
		open_plane(&p, 10);
		assert_true(p.is_succession);
		assert_int_equal(shared_u32_load(&client->state), ABI_STATE_STARTING);
		/* The last one's numbers are gone; who was attached is still told. */
		assert_true(p.has_lines);
		assert_int_equal(shared_u64_load(&client->worker[0].counter[3]), 0);
		assert_int_equal(shared_u64_load(&client->gauge[2]), 0);
		assert_int_equal(shared_u64_load(&client->session[9].id), 19);
	}
	munmap((void *)client, size);
}

/* A longer directory is made of the one that is there; a shorter one stays as it is. */
static void test_other_length(void **state)
{
	const struct abi_plane *client;
	size_t size;

	(void)state;
	open_plane(&p, 10);
	size = p.size;
	client = map_client(size);
	shared_u64_store(&p.shared->session[9].id, 19);
	plane_close(&p, false);
	open_plane(&p, 1000);
	assert_true(p.is_succession && p.has_lines && p.size > size);
	assert_int_equal(p.shared->n_sessions_max, 1000);
	assert_int_equal(shared_u64_load(&p.shared->session[9].id), 19);
	assert_int_equal(shared_u64_load(&p.shared->session[999].id), 0);
	shared_u64_store(&p.shared->session[999].id, 20);
	plane_close(&p, false);
	open_plane(&p, 10);
	assert_true(p.is_succession && p.has_lines);
	assert_int_equal(p.shared->n_sessions_max, 1000);
	assert_int_equal(shared_u64_load(&p.shared->session[999].id), 20);
	assert_int_equal(shared_u64_load(&client->epoch), 3);
	assert_int_equal(shared_u64_load(&client->session[9].id), 19);
	munmap((void *)client, size);
}

/* A plane of another layout is not written over: it is retired, and another takes its name. */
static void test_other_layout(void **state)
{
	const struct abi_plane *client;
	size_t size;
	int kind;

	(void)state;
	for (kind = 1; kind < 4; kind++) {
		open_plane(&p, 10);
		plane_set_state(&p, ABI_STATE_SERVING);
		size = p.size;
		client = map_client(size);
		if (kind == 1)
			p.shared->fingerprint++;
		if (kind == 2)
			p.shared->version++;
		if (kind == 3)
			p.shared->size += 4096;
		plane_close(&p, false);
		open_plane(&p, 10);
		assert_true(p.is_succession);
		assert_false(p.has_lines);
		assert_int_equal(shared_u64_load(&p.shared->epoch), 1);
		assert_int_equal(shared_u32_load(&client->state), ABI_STATE_STOPPED);
		assert_int_equal(shared_u64_load(&client->epoch), UINT64_MAX);
		assert_int_equal(client->n_sessions_max, 10);
		munmap((void *)client, size);
		plane_close(&p, true);
	}
}

/* What is no plane at all, or open to others, is replaced. */
static void test_no_plane(void **state)
{
	int kind, fd;

	(void)state;
	for (kind = 0; kind < 4; kind++) {
		fd = shm_open(object, O_RDWR | O_CREAT | O_EXCL, 0644);
		assert_true(fd >= 0);
		if (kind)
			assert_int_equal(ftruncate(fd, kind == 1 ? 100 : 1 << 20), 0);
		if (kind == 3)
			assert_int_equal(fchmod(fd, 0666), 0);
		close(fd);
		open_plane(&p, 10);
		assert_false(p.is_succession);
		assert_int_equal(shared_u64_load(&p.shared->epoch), 1);
		plane_close(&p, true);
	}
}

static void test_slots(void **state)
{
	struct abi_session *slot;
	unsigned i;

	(void)state;
	open_plane(&p, 3);
	for (i = 0; i < 3; i++) {
		slot = plane_session_slot(&p);
		assert_ptr_equal(slot, &p.shared->session[i]);
		shared_u64_store(&slot->id, i + 1);
	}
	assert_null(plane_session_slot(&p));
	shared_u64_store(&p.shared->session[1].id, 0);
	assert_ptr_equal(plane_session_slot(&p), &p.shared->session[1]);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_new),
		UNIT(test_two_brokers),
		UNIT(test_two_processes),
		UNIT(test_race_for_the_lock),
		UNIT(test_epoch),
		UNIT(test_other_length),
		UNIT(test_other_layout),
		UNIT(test_no_plane),
		UNIT(test_slots),
	};

	rig_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
