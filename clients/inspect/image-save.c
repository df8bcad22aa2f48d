/* SPDX-License-Identifier: Apache-2.0 */
/* image-save.c: writing what an image shows to a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/inspect/lane.h"
#include "clients/inspect/snapshot.h"

/*
 * What is kept is what the views need: the plane, the part of the index that has memory, and of
 * each lane all but its staging area, from which only the keys of what is in flight are taken.
 * Values are never in a snapshot; keys are, all of them.
 *
 * A broker that works goes on while the file is written. Whether it did is in the file, for then
 * parts of it are older than others.
 */
struct save {
	const struct image *image;
	int fd;
	struct snapshot_section *section;
	const uint8_t **data;
	uint32_t n, n_max;
	int error;
};

static void add(struct save *s, enum snapshot_kind kind, uint32_t session, uint64_t off,
	uint64_t size, const void *data)
{
	uint32_t n = s->n_max ? s->n_max * 2 : 256;
	void *more;

	if (s->error || !size || !data)
		return;
	if (s->n == s->n_max) {
		more = realloc(s->section, n * sizeof(*s->section));
		if (more)
			s->section = more;
		if (more)
			more = realloc(s->data, n * sizeof(*s->data));
		if (!more) {
			s->error = -ENOMEM;
			return;
		}
		s->data = more;
		s->n_max = n;
	}
	s->section[s->n] = (struct snapshot_section){kind, session, off, size, 0};
	s->data[s->n++] = data;
}

/* --- what goes into it ------------------------------------------------------------------------ */

static void add_index(struct save *s)
{
	const struct image *image = s->image;
	const struct abi_index *head = &image->head;

	if (!image->has_index)
		return;
	add(s, SNAPSHOT_INDEX, 0, 0, sizeof(*head), image->lookup.head);
	add(s, SNAPSHOT_INDEX, 0, head->bucket_off,
		image_least(shared_u64_load(&image->lookup.head->n_buckets_backed),
			image->bucket_room) * ABI_CELL, image->lookup.bucket);
	add(s, SNAPSHOT_INDEX, 0, head->overflow_off, image_n_overflow(image) * ABI_CELL,
		image->lookup.overflow);
	add(s, SNAPSHOT_INDEX, 0, head->cell_off, image_n_cells(image) * ABI_CELL,
		image->lookup.cell);
}

struct range {
	uint64_t off, size;
};

struct keys {
	struct range *range;
	size_t n, n_max;
	uint64_t base; /* of the staging area in the request region */
};

static void note_key(void *context, const struct lane_slot *slot)
{
	struct keys *k = context;

	if (slot->has_key && k->n < k->n_max)
		k->range[k->n++] = (struct range){k->base + slot->submission.staging_off,
			slot->submission.key_size};
}

static int by_off(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->off > y->off) - (x->off < y->off);
}

/* The keys of what is in flight, each byte once. */
static void add_keys(struct save *s, uint32_t number, unsigned lane)
{
	const struct image_session *session = &s->image->session[number];
	const struct abi_geometry *g = &session->geometry;
	struct keys k = {.n_max = 3 * (size_t)g->n_queue, /* of each state so many */
		.base = (uint64_t)lane * g->request_stride + g->staging_off};
	uint64_t end = 0;
	size_t i;
	int error;

	k.range = calloc(k.n_max, sizeof(*k.range));
	if (!k.range) {
		s->error = -ENOMEM;
		return;
	}
	error = lane_walk(s->image, session, lane, note_key, &k);
	if (!s->error)
		s->error = error;
	qsort(k.range, k.n, sizeof(*k.range), by_off);
	for (i = 0; i < k.n; i++) {
		struct range *r = &k.range[i];
		uint64_t past = r->off + r->size;

		if (past <= end)
			continue;
		if (r->off < end)
			r->off = end;
		end = past;
		add(s, SNAPSHOT_REQUEST, number, r->off, past - r->off,
			area_at(&session->request, r->off, past - r->off));
	}
	free(k.range);
}

static void add_regions(struct save *s, uint32_t number)
{
	const struct image_session *session = &s->image->session[number];
	const struct abi_geometry *g = &session->geometry;
	unsigned lane, n = lane_count(s->image, session);
	uint64_t off;

	for (lane = 0; lane < n; lane++) {
		off = (uint64_t)lane * g->request_stride;
		add(s, SNAPSHOT_REQUEST, number, off, g->staging_off,
			area_at(&session->request, off, g->staging_off));
		add_keys(s, number, lane);
		off = (uint64_t)lane * g->response_stride;
		add(s, SNAPSHOT_RESPONSE, number, off, g->response_stride,
			area_at(&session->response, off, g->response_stride));
	}
}

static struct snapshot_session *make_sessions(const struct image *image)
{
	struct snapshot_session *list = calloc(image->n_sessions + 1, sizeof(*list)), *to;
	const struct image_session *from;
	unsigned i;

	for (i = 0; list && i < image->n_sessions; i++) {
		from = &image->session[i];
		to = &list[i];
		to->id = from->id;
		to->line = from->line;
		to->process = from->process;
		to->n_lanes = from->geometry.n_lanes;
		to->n_queue = from->geometry.n_queue;
		to->n_holds = from->geometry.n_holds;
		to->n_log = from->geometry.n_log;
		to->staging_size = from->geometry.staging_size;
		memcpy(to->unseen, from->unseen, sizeof(to->unseen));
	}
	return list;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_at(struct save *s, const void *data, uint64_t size, uint64_t at)
{
	ssize_t n;

	while (size && !s->error) {
		n = pwrite(s->fd, data, size, (off_t)at);
		if (n <= 0) {
			s->error = n < 0 ? -errno : -EIO;
			return;
		}
		data = (const uint8_t *)data + n;
		size -= (uint64_t)n;
		at += (uint64_t)n;
	}
}

#define PIECE 65536

/*
 * In pieces, without those that are 0. They are copied first: live memory changes under write(2).
 */
static void write_sparse(struct save *s, const uint8_t *data, uint64_t size, uint64_t at)
{
	static const uint8_t zeroes[PIECE];
	uint8_t piece[PIECE];
	uint64_t n;

	for (; size && !s->error; size -= n, data += n, at += n) {
		n = size < PIECE ? size : PIECE;
		memcpy(piece, data, n);
		if (memcmp(piece, zeroes, n))
			write_at(s, piece, n, at);
	}
}

static uint64_t activity(const struct image *image)
{
	uint64_t sum = shared_u64_load(&image->plane->epoch);
	unsigned i;

	for (i = 0; i < ABI_N_COUNTERS; i++)
		sum += image_counter(image, (enum abi_counter)i);
	return sum;
}

static void write_all(struct save *s)
{
	struct snapshot_head head = {
		.magic = SNAPSHOT_MAGIC,
		.version = SNAPSHOT_VERSION,
		.n_sections = s->n,
		.fingerprint = abi_fingerprint(),
		.now_ms = s->image->now_ms,
		.real_ms = s->image->real_ms,
		.broker = s->image->broker,
	};
	uint64_t at = sizeof(head) + s->n * sizeof(*s->section), before = activity(s->image);
	uint32_t i;

	memcpy(head.name, s->image->name, sizeof(s->image->name));
	memcpy(head.index_unseen, s->image->index_unseen, sizeof(head.index_unseen));
	for (i = 0; i < s->n; i++) {
		at = (at + SNAPSHOT_ALIGN - 1) & ~(uint64_t)(SNAPSHOT_ALIGN - 1);
		s->section[i].at = at;
		write_sparse(s, s->data[i], s->section[i].size, at);
		at += s->section[i].size;
	}
	head.is_still = s->image->is_live ? activity(s->image) == before
					  : !s->image->is_unsteady;
	write_at(s, s->section, s->n * sizeof(*s->section), sizeof(head));
	/* What is 0 at the end counts too. The head comes last: without it this is no snapshot. */
	if (!s->error && ftruncate(s->fd, (off_t)at))
		s->error = -errno;
	write_at(s, &head, sizeof(head), 0);
}

int image_save(const struct image *image, const char *path, char *why, size_t why_size)
{
	struct snapshot_session *sessions = make_sessions(image);
	struct save s = {.image = image};
	unsigned i;

	/* Keys are in it: for the eyes of its owner. */
	s.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (s.fd < 0)
		s.error = -errno;
	else if (!sessions)
		s.error = -ENOMEM;
	for (i = 0; i < image->plane_area.n_pieces; i++)
		add(&s, SNAPSHOT_PLANE, 0, image->plane_area.piece[i].off,
			image->plane_area.piece[i].size, image->plane_area.piece[i].data);
	add_index(&s);
	add(&s, SNAPSHOT_SESSIONS, 0, 0, image->n_sessions * sizeof(*sessions), sessions);
	for (i = 0; i < image->n_sessions && !s.error; i++)
		add_regions(&s, i);
	add(&s, SNAPSHOT_NOTES, 0, 0, image->n_notes * IMAGE_NOTE_SIZE, image->note);
	if (!s.error)
		write_all(&s);
	if (s.fd >= 0 && close(s.fd) && !s.error)
		s.error = -errno;
	if (s.error) {
		snprintf(why, why_size, "%s: %s", path, strerror(-s.error));
		if (s.fd >= 0)
			unlink(path);
	}
	free(sessions);
	free(s.section);
	free(s.data);
	return s.error;
}
