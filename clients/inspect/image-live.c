/* SPDX-License-Identifier: Apache-2.0 */
/* image-live.c: the shared memory of a cache that is there, mapped for reading. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clients/inspect/image.h"

/*
 * Nothing is asked of anybody: plane and index are opened by name, the regions of a session
 * through the descriptors that the broker, or else its client, has of them. The directory in the
 * plane names each region by device and inode, so that the right one is found among those of
 * several sessions and caches. All maps are for reading. Whatever can't be had is noted and left
 * out.
 *
 * Pages that have no memory behind them would get some when they are looked at, so the arrays of
 * the index are only touched as far as its head says that they are backed (image.h).
 */
struct map {
	void *data;
	size_t size;
};

struct live_session {
	uint64_t id;
	struct map request, response;
};

struct image_live {
	struct map plane, index;
	struct live_session *session; /* as image->session */
	unsigned n_sessions;
};

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void unmap(struct map *map)
{
	if (map->data)
		munmap(map->data, map->size);
	*map = (struct map){0};
}

/* Map the whole of @fd, which is closed, and make it the one piece of @area. */
static int map_fd(int fd, struct map *map, struct area *area)
{
	struct stat st;
	int r = 0;

	*map = (struct map){0};
	area->n_pieces = 0;
	area->size = 0;
	if (fstat(fd, &st) || st.st_size <= 0)
		r = -ENODATA;
	if (!r) {
		map->size = (size_t)st.st_size;
		map->data = mmap(NULL, map->size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
		if (map->data == MAP_FAILED) {
			r = -errno;
			map->data = NULL;
		}
	}
	close(fd);
	if (!r)
		r = area_add(area, 0, map->size, map->data);
	if (r)
		unmap(map);
	return r;
}

static int open_object(const char *name, enum wire_object which, struct map *map, struct area *area)
{
	char object[64];
	int fd;

	wire_object_name(name, which, object, sizeof(object));
	fd = shm_open(object, O_RDONLY | O_CLOEXEC, 0);
	return fd < 0 ? -errno : map_fd(fd, map, area);
}

/* --- sessions --------------------------------------------------------------------------------- */

static const char *reason(int r)
{
	switch (r) {
	case -EACCES:
	case -EPERM:
		return "not permitted; run as its user, or as root";
	case -ESRCH:
		return "it is gone";
	case -ENOENT:
		return "it does not have it open";
	default:
		return strerror(-r);
	}
}

/* The region of that inode, from the broker or else from the client. */
static int map_region(const struct image *image, struct image_session *s, uint64_t dev,
	uint64_t ino,
	struct map *map, struct area *area)
{
	int by_broker = -ESRCH, by_client, fd;

	fd = process_is_there(&image->broker) ? process_open_file(image->broker.pid, dev, ino)
					      : by_broker;
	if (fd < 0) {
		by_broker = fd;
		by_client = process_is_there(&s->process)
			? process_open_file(s->process.pid, dev, ino) : -ESRCH;
		fd = by_client;
	}
	if (fd < 0) {
		snprintf(s->unseen, sizeof(s->unseen),
			"its regions: the broker, process %" PRIu32
				": %s; the client, process %" PRIu32
			": %s", image->broker.pid, reason(by_broker), s->process.pid,
			reason(by_client));
		return fd;
	}
	return map_fd(fd, map, area);
}

static void map_regions(struct image *image, struct image_session *s, struct live_session *own)
{
	const struct abi_session *line = image_line(image, s->line);
	uint64_t dev = shared_u64_load(&line->region_dev);

	s->geometry = (struct abi_geometry){
		.n_lanes = shared_u32_load(&line->lanes_max),
		.n_queue = shared_u32_load(&line->n_queue),
		.n_holds = shared_u32_load(&line->n_holds),
		.n_log = shared_u32_load(&line->n_log),
		.staging_size = shared_u32_load(&line->staging_size),
	};
	if (abi_geometry_init(&s->geometry)) {
		s->geometry = (struct abi_geometry){0};
		snprintf(s->unseen, sizeof(s->unseen), "its line tells of no geometry that can be");
		return;
	}
	if (map_region(image, s, dev, shared_u64_load(&line->request_ino), &own->request,
		    &s->request) ||
		map_region(image, s, dev, shared_u64_load(&line->response_ino), &own->response,
			&s->response))
		return;
	s->unseen[0] = '\0';
}

static void drop_session(struct image_session *s, struct live_session *own)
{
	unmap(&own->request);
	unmap(&own->response);
	free(s->request.piece);
	free(s->response.piece);
	memset(s, 0, sizeof(*s));
	memset(own, 0, sizeof(*own));
}

/* The session of @id that was there at the last look, moved to @s; or an empty one. */
static void take_over(struct image *image, uint64_t id, struct image_session *s,
	struct live_session *own)
{
	struct image_live *live = image->live;
	unsigned i;

	memset(s, 0, sizeof(*s));
	memset(own, 0, sizeof(*own));
	own->id = id;
	for (i = 0; i < image->n_sessions; i++) {
		if (live->session[i].id != id)
			continue;
		*s = image->session[i];
		*own = live->session[i];
		memset(&image->session[i], 0, sizeof(*s));
		memset(&live->session[i], 0, sizeof(*own));
		return;
	}
}

static void look_at_session(struct image *image, uint32_t line_idx, uint64_t id,
	struct image_session *s, struct live_session *own)
{
	const struct abi_session *line = image_line(image, line_idx);

	take_over(image, id, s, own);
	s->line = line_idx;
	s->id = id;
	process_look(&s->process, shared_u32_load(&line->pid),
		shared_u64_load(&line->pid_start_time), 0);
	if (image->broker.state == PROCESS_UNKNOWN && !process_is_there(&s->process))
		s->process.state = PROCESS_UNKNOWN;
	if (!s->request.n_pieces || !s->response.n_pieces) {
		unmap(&own->request);
		unmap(&own->response);
		s->request.n_pieces = s->response.n_pieces = 0;
		map_regions(image, s, own);
	}
}

static int look_at_sessions(struct image *image)
{
	struct image_live *live = image->live;
	struct image_session *session = calloc(image->n_lines + 1, sizeof(*session));
	struct live_session *own = calloc(image->n_lines + 1, sizeof(*own));
	unsigned n = 0, i;
	uint64_t id;

	if (!session || !own) {
		free(session);
		free(own);
		return -ENOMEM;
	}
	for (i = 0; i < image->n_lines; i++) {
		/* Acquire; partner: the release in the broker's directory_fill(). */
		id = shared_u64_load_acquire(&image_line(image, i)->id);
		if (!id)
			continue;
		look_at_session(image, i, id, &session[n], &own[n]);
		n++;
	}
	for (i = 0; i < image->n_sessions; i++)
		drop_session(&image->session[i], &live->session[i]);
	free(image->session);
	free(live->session);
	image->session = session;
	live->session = own;
	image->n_sessions = live->n_sessions = n;
	return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

static void open_index(struct image *image)
{
	int r = open_object(image->name, WIRE_OBJECT_INDEX, &image->live->index,
		&image->index_area);

	if (!r) {
		image_settle_index(image);
		return;
	}
	snprintf(image->index_unseen, sizeof(image->index_unseen), "the index: %s",
		r == -ENOENT ? "it is not there" : reason(r));
}

/* Does a broker have the name? It has a lock on it as long as it lives, in whatever namespace. */
static bool name_is_locked(const struct image *image)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	char object[64];
	bool is_locked;
	int fd;

	wire_object_name(image->name, WIRE_OBJECT_LOCK, object, sizeof(object));
	fd = shm_open(object, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	is_locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	close(fd);
	return is_locked;
}

/* No process of that number, and yet a broker: the number is of another PID namespace. */
static void look_elsewhere(struct image *image)
{
	image->n_notes = 0;
	if (process_is_there(&image->broker) || !name_is_locked(image))
		return;
	image->broker.state = PROCESS_UNKNOWN;
	image_note(image, "the broker's process: a broker has the name, but its number %" PRIu32
		" means nothing here; look from its own PID namespace", image->broker.pid);
}

int image_refresh(struct image *image)
{
	if (!image->is_live)
		return 0;
	image->now_ms = clock_ms(CLOCK_MONOTONIC);
	image->real_ms = clock_ms(CLOCK_REALTIME);
	process_look(&image->broker, shared_u32_load(&image->plane->broker_pid), 0,
		shared_u64_load(&image->plane->start_ms));
	look_elsewhere(image);
	return look_at_sessions(image);
}

int image_open_live(struct image *image, const char *name, char *why, size_t why_size)
{
	int r;

	memset(image, 0, sizeof(*image));
	if (!wire_name_is_valid(name)) {
		snprintf(why, why_size, "\"%s\" is no name that a cache may have", name);
		return -EINVAL;
	}
	image->is_live = true;
	snprintf(image->name, sizeof(image->name), "%s", name);
	image->live = calloc(1, sizeof(*image->live));
	if (!image->live)
		return -ENOMEM;
	r = open_object(name, WIRE_OBJECT_PLANE, &image->live->plane, &image->plane_area);
	if (r)
		snprintf(why, why_size, r == -ENOENT ? "there is no cache \"%s\""
			: "the plane of \"%s\": %s", name, reason(r));
	else
		r = image_settle_plane(image, why, why_size);
	if (!r) {
		open_index(image);
		r = image_refresh(image);
	}
	if (r)
		image_close(image);
	return r;
}

void image_close(struct image *image)
{
	struct image_live *live = image->live;
	unsigned i;

	for (i = 0; i < image->n_sessions; i++) {
		if (live) {
			drop_session(&image->session[i], &live->session[i]);
			continue;
		}
		free(image->session[i].request.piece);
		free(image->session[i].response.piece);
	}
	if (live) {
		unmap(&live->plane);
		unmap(&live->index);
		free(live->session);
		free(live);
	}
	free(image->plane_area.piece);
	free(image->index_area.piece);
	free(image->session);
	free(image->buffer);
	memset(image, 0, sizeof(*image));
}
