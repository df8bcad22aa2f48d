/* SPDX-License-Identifier: Apache-2.0 */
/* plane.c: making, reusing and leaving the plane. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ipc/wire.h"
#include "shmcache/plane.h"

/*
 * Two brokers under one name would hand out the same blocks twice. The lock that prevents it lies
 * on a file of its own, private to the broker's user, since anybody with a descriptor of the plane
 * or the index, even a read-only one, could take a lock there and keep a broker from starting. It
 * goes with the process, however that ends.
 *
 * The plane is kept, not replaced, when a broker comes back with the same layout: clients that are
 * still attached to its predecessor have it mapped, and learn from the epoch. A plane of another
 * layout is marked as stopped, for those who have it, before its name is given to a new one. The
 * session directory is kept with it: it says who may still hold what (former.c).
 */
static bool lock_is_named(int fd, const char *object)
{
	struct stat by_fd, by_name;
	int again = shm_open(object, O_RDWR | O_CLOEXEC, 0600);
	bool same;

	if (again < 0)
		return false;
	same = !fstat(fd, &by_fd) && !fstat(again, &by_name) && by_fd.st_ino == by_name.st_ino;
	close(again);
	return same;
}

static int lock_try(const char *object, int *fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int r;

	*fd = shm_open(object, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0)
		return -errno;
	if (fcntl(*fd, F_OFD_SETLK, &lock) == 0) {
		/* The holder before us may have unlinked it between our open and our lock. */
		if (lock_is_named(*fd, object))
			return 0;
		close(*fd);
		return -EINTR;
	}
	r = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	return r;
}

int plane_lock(struct plane *p, const char *name, char *why, size_t why_size)
{
	char object[64], pid[32] = "";
	int r, n;

	memset(p, 0, sizeof(*p));
	p->lock_fd = -1;
	snprintf(p->name, sizeof(p->name), "%s", name);
	wire_object_name(name, WIRE_OBJECT_LOCK, object, sizeof(object));
	do
		r = lock_try(object, &p->lock_fd);
	while (r == -EINTR);
	if (!r) {
		n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
		if (ftruncate(p->lock_fd, 0) < 0 || pwrite(p->lock_fd, pid, (size_t)n, 0) != n) {
			r = -errno;
			snprintf(why, why_size, "can't write to the lock of %s: %s", name,
				strerror(-r));
			plane_close(p, false);
		}
	} else if (r == -EBUSY) {
		n = (int)pread(p->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n - 1 : 0] = '\0';
		snprintf(why, why_size, "the name %s is served by another broker, process %s", name,
			*pid ? pid : "unknown");
	} else {
		snprintf(why, why_size, "can't lock the name %s: %s", name, strerror(-r));
	}
	if (r && p->lock_fd >= 0) {
		close(p->lock_fd);
		p->lock_fd = -1;
	}
	return r;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* What every version has at these places: enough to tell its clients that it is over. */
#define HEAD_SIZE (offsetof(struct abi_plane, state) + sizeof(struct shared_u32))

static struct abi_plane *map_as(int fd, size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

/* For those who still have a plane of another layout: nobody serves it any more. */
static int retire_old(int fd, bool *is_one)
{
	struct abi_plane *plane = map_as(fd, HEAD_SIZE);

	if (!plane)
		return -errno;
	*is_one = plane->magic == ABI_MAGIC;
	if (*is_one) {
		shared_u32_store_release(&plane->state, ABI_STATE_STOPPED);
		shared_u64_store_release(&plane->epoch, UINT64_MAX);
	}
	munmap(plane, HEAD_SIZE);
	return 0;
}

static size_t size_of(uint64_t n_sessions)
{
	size_t size = sizeof(struct abi_plane) + n_sessions * sizeof(struct abi_session);

	return (size + 4095) & ~(size_t)4095;
}

static bool is_ours(const struct abi_plane *plane, size_t size)
{
	return plane->magic == ABI_MAGIC && plane->version == ABI_VERSION &&
		plane->fingerprint == abi_fingerprint() && plane->size == size &&
		plane->n_sessions_max <= PLANE_SESSIONS_MAX &&
		size_of(plane->n_sessions_max) == size &&
		shared_u64_load(&plane->epoch) < UINT32_MAX;
}

/*
 * Make it longer for a longer directory. Who has mapped it sees his own line where it was, and must
 * not look beyond what he has mapped.
 */
static int lengthen(int fd, size_t size, struct abi_plane **plane, unsigned n_sessions_max)
{
	size_t more = size_of(n_sessions_max);
	int r;

	if (n_sessions_max <= (*plane)->n_sessions_max)
		return 0;
	r = -posix_fallocate(fd, 0, (off_t)more);
	munmap(*plane, size);
	*plane = r ? NULL : map_as(fd, more);
	if (!*plane)
		return r ? r : -ENOMEM;
	(*plane)->size = more;
	(*plane)->n_sessions_max = n_sessions_max;
	return 0;
}

static int map_found(int fd, unsigned n_sessions_max, struct abi_plane **plane, bool *is_succession)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 022) || st.st_size < (off_t)HEAD_SIZE)
		return 0;
	if ((size_t)st.st_size >= sizeof(**plane) && (size_t)st.st_size <= size_of(PLANE_SESSIONS_MAX)) {
		*plane = map_as(fd, (size_t)st.st_size);
		if (!*plane)
			return -errno;
		*is_succession = true;
		if (is_ours(*plane, (size_t)st.st_size))
			return lengthen(fd, (size_t)st.st_size, plane, n_sessions_max);
		munmap(*plane, (size_t)st.st_size);
		*plane = NULL;
	}
	return retire_old(fd, is_succession);
}

/*
 * Map the plane under @object if it is ours and of this layout; if it is another's, retire it. One
 * that is there and can't be opened or mapped now must stay: whoever reads by it would never be
 * told that the memory behind it is somebody else's.
 */
static int map_old(const char *object, unsigned n_sessions_max, struct abi_plane **plane,
	bool *is_succession)
{
	int fd = shm_open(object, O_RDWR | O_CLOEXEC, 0644), r;

	*is_succession = false;
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
	r = map_found(fd, n_sessions_max, plane, is_succession);
	close(fd);
	return r;
}

static int make_new(const char *object, size_t size, struct abi_plane **plane)
{
	void *map;
	int fd, r;

	shm_unlink(object);
	fd = shm_open(object, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	/* Whatever the umask: everybody may look at the plane. */
	r = fchmod(fd, 0644) < 0 ? -errno : -posix_fallocate(fd, 0, (off_t)size);
	if (!r) {
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			r = -ENOMEM;
		else
			*plane = map;
	}
	if (r)
		shm_unlink(object);
	close(fd);
	return r;
}

int plane_open(struct plane *p, const char *socket_path, unsigned n_sessions_max,
	unsigned n_workers, bool fence_needed, char *why, size_t why_size)
{
	struct abi_plane *plane = NULL;
	uint64_t epoch = 1;
	char object[64];
	int r;

	wire_object_name(p->name, WIRE_OBJECT_PLANE, object, sizeof(object));
	r = map_old(object, n_sessions_max, &plane, &p->is_succession);
	if (r) {
		snprintf(why, why_size, "can't open the plane %s that is there: %s", object,
			strerror(-r));
		return r;
	}
	if (plane) {
		epoch = shared_u64_load(&plane->epoch) + 1;
		/* Readers had no fence, and from us there would be no membarrier: see store.h. */
		p->has_lines = shared_u32_load(&plane->fence_needed) || !fence_needed;
	} else {
		r = make_new(object, size_of(n_sessions_max), &plane);
		if (r || !plane) {
			snprintf(why, why_size, "can't create the plane %s: %s", object, strerror(-r));
			return r;
		}
	}
	p->shared = plane;
	p->size = plane->n_sessions_max ? plane->size : size_of(n_sessions_max);
	/* STARTING before anything else changes: nobody attaches to a half-written plane. */
	shared_u32_store_release(&plane->state, ABI_STATE_STARTING);
	shared_u64_store_release(&plane->epoch, epoch);
	memset(plane->worker, 0, sizeof(plane->worker));
	memset(plane->gauge, 0, sizeof(plane->gauge));
	plane->magic = ABI_MAGIC;
	plane->version = ABI_VERSION;
	plane->fingerprint = abi_fingerprint();
	plane->size = p->size;
	if (!plane->n_sessions_max)
		plane->n_sessions_max = n_sessions_max;
	snprintf(plane->name, sizeof(plane->name), "%s", p->name);
	snprintf(plane->socket_path, sizeof(plane->socket_path), "%s", socket_path);
	shared_u32_store(&plane->broker_pid, (uint32_t)getpid());
	shared_u64_store(&plane->start_ms, now_ms());
	shared_u32_store(&plane->n_workers, n_workers);
	shared_u32_store(&plane->fence_needed, fence_needed);
	return 0;
}

void plane_set_state(struct plane *p, enum abi_state state)
{
	/* partner: the acquire in attach; what the plane says was written before */
	shared_u32_store_release(&p->shared->state, state);
}

struct abi_session *plane_session_slot(struct plane *p)
{
	uint32_t i;

	for (i = 0; i < p->shared->n_sessions_max; i++)
		if (!shared_u64_load(&p->shared->session[i].id))
			return &p->shared->session[i];
	return NULL;
}

/* Without a descriptor: they may be what ran out. */
static bool is_there_and_ours(const char *object)
{
	char path[96];
	struct stat st;

	snprintf(path, sizeof(path), "/dev/shm%s", object);
	return !lstat(path, &st) && st.st_uid == geteuid();
}

void plane_close(struct plane *p, bool unlink)
{
	char object[64];

	if (p->shared)
		munmap(p->shared, p->size);
	p->shared = NULL;
	if (p->lock_fd < 0)
		return;
	wire_object_name(p->name, WIRE_OBJECT_PLANE, object, sizeof(object));
	if (unlink)
		shm_unlink(object);
	/* The lock goes with the plane, also with one that could not be made. */
	if (!is_there_and_ours(object)) {
		wire_object_name(p->name, WIRE_OBJECT_LOCK, object, sizeof(object));
		shm_unlink(object);
	}
	close(p->lock_fd);
	p->lock_fd = -1;
}
