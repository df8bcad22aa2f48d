/* SPDX-License-Identifier: Apache-2.0 */
/* image-file.c: an image from a snapshot, which anybody may have written. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/inspect/snapshot.h"

/*
 * The file is read whole, so that it can't change or shrink while it is looked at. Every section
 * has to lie in it; what a section is said to be is only as large as that. Beyond this nothing is
 * checked here: the views take an image for as bad as it can be, whatever its source.
 */
struct load {
	struct image *image;
	const uint8_t *data;
	size_t size;
	struct snapshot_head head;
	const struct snapshot_section *section;
	uint64_t n_seen; /* bytes in sections so far */
};

static int fail(char *why, size_t why_size, const char *what)
{
	snprintf(why, why_size, "%s", what);
	return -EBADMSG;
}

/*
 * All of them together are no more than the file either: sections on the same bytes could make
 * work of any amount out of a small file.
 */
static bool is_in_file(struct load *l, uint64_t at, uint64_t size)
{
	if (at % SNAPSHOT_ALIGN || at > l->size || size > l->size - at ||
		size > l->size - l->n_seen)
		return false;
	l->n_seen += size;
	return true;
}

static int load_sessions(struct load *l, const struct snapshot_section *section)
{
	const struct snapshot_session *from = (const void *)(l->data + section->at);
	uint64_t n = section->size / sizeof(*from), i;
	struct image_session *s;

	if (l->image->session || n > ABI_SESSIONS_MAX)
		return -EBADMSG;
	l->image->session = calloc(n + 1, sizeof(*l->image->session));
	if (!l->image->session)
		return -ENOMEM;
	l->image->n_sessions = (unsigned)n;
	for (i = 0; i < n; i++) {
		s = &l->image->session[i];
		s->id = from[i].id;
		s->line = from[i].line;
		s->process = from[i].process;
		memcpy(s->unseen, from[i].unseen, sizeof(s->unseen));
		process_clean_text(s->unseen, sizeof(s->unseen));
		process_clean_text(s->process.command, sizeof(s->process.command));
		s->geometry = (struct abi_geometry){.n_lanes = from[i].n_lanes,
			.n_queue = from[i].n_queue, .n_holds = from[i].n_holds,
			.n_log = from[i].n_log, .staging_size = from[i].staging_size};
		if (abi_geometry_init(&s->geometry))
			s->geometry = (struct abi_geometry){0};
	}
	return 0;
}

static void load_notes(struct load *l, const struct snapshot_section *section)
{
	const char *from = (const char *)(l->data + section->at);
	uint64_t n = section->size / IMAGE_NOTE_SIZE, i;

	for (i = 0; i < n && l->image->n_notes < IMAGE_NOTES_MAX; i++) {
		image_note(l->image, "%.*s", IMAGE_NOTE_SIZE - 1, from + i * IMAGE_NOTE_SIZE);
		process_clean_text(l->image->note[i], IMAGE_NOTE_SIZE);
	}
}

static int load_section(struct load *l, const struct snapshot_section *section)
{
	const uint8_t *data = l->data + section->at;
	struct image *image = l->image;
	struct image_session *s;

	switch (section->kind) {
	case SNAPSHOT_PLANE:
		return area_add(&image->plane_area, section->off, section->size, data);
	case SNAPSHOT_INDEX:
		return area_add(&image->index_area, section->off, section->size, data);
	case SNAPSHOT_SESSIONS:
		return load_sessions(l, section);
	case SNAPSHOT_NOTES:
		load_notes(l, section);
		return 0;
	case SNAPSHOT_REQUEST:
	case SNAPSHOT_RESPONSE:
		if (section->session >= image->n_sessions)
			return -EBADMSG;
		s = &image->session[section->session];
		return area_add(section->kind == SNAPSHOT_REQUEST ? &s->request : &s->response,
			section->off, section->size, data);
	default:
		return -EBADMSG;
	}
}

/* Lines that the plane does not have can't be asked for. */
static int check_lines(const struct image *image)
{
	unsigned i;

	for (i = 0; i < image->n_sessions; i++)
		if (image->session[i].line >= image->n_lines)
			return -EBADMSG;
	return 0;
}

static int load(struct load *l, char *why, size_t why_size)
{
	struct image *image = l->image;
	uint32_t i;
	int r;

	if (l->size < sizeof(l->head))
		return fail(why, why_size, "the file is too short to be a snapshot");
	memcpy(&l->head, l->data, sizeof(l->head));
	if (l->head.magic != SNAPSHOT_MAGIC || l->head.version != SNAPSHOT_VERSION)
		return fail(why, why_size, "the file is no snapshot of this version");
	if (l->head.fingerprint != abi_fingerprint())
		return fail(why, why_size,
			"the snapshot was made by another build: use its inspector");
	if (l->head.n_sections > (l->size - sizeof(l->head)) / sizeof(*l->section))
		return fail(why, why_size, "the snapshot is cut short, or damaged");
	l->section = (const void *)(l->data + sizeof(l->head));
	process_clean_text(l->head.name, sizeof(image->name));
	process_clean_text(l->head.broker.command, sizeof(l->head.broker.command));
	process_clean_text(l->head.index_unseen, sizeof(l->head.index_unseen));
	memcpy(image->name, l->head.name, sizeof(image->name));
	image->now_ms = l->head.now_ms;
	image->real_ms = l->head.real_ms;
	image->broker = l->head.broker;
	image->is_unsteady = l->head.is_still != 1;
	for (i = 0; i < l->head.n_sections; i++) {
		r = is_in_file(l, l->section[i].at, l->section[i].size)
			? load_section(l, &l->section[i]) : -EBADMSG;
		if (r)
			return r == -ENOMEM ? r
				: fail(why, why_size, "the snapshot is cut short, or damaged");
	}
	r = image_settle_plane(image, why, why_size);
	if (r)
		return r;
	if (check_lines(image))
		return fail(why, why_size, "the snapshot has sessions that its plane has not");
	if (image->index_area.n_pieces)
		image_settle_index(image);
	else
		snprintf(image->index_unseen, sizeof(image->index_unseen), "%s",
			l->head.index_unseen[0] ? l->head.index_unseen : "the index was not saved");
	return 0;
}

/* Takes @data over, which was made by aligned_alloc(). */
static int open_data(
	struct image *image, uint8_t *data, size_t size, char *why, size_t why_size)
{
	struct load l = {.image = image, .data = data, .size = size};
	int r;

	memset(image, 0, sizeof(*image));
	image->buffer = data;
	r = load(&l, why, why_size);
	if (r == -ENOMEM)
		snprintf(why, why_size, "out of memory");
	if (r)
		image_close(image);
	return r;
}

static uint8_t *make_room(size_t size)
{
	return aligned_alloc(SNAPSHOT_ALIGN,
		(size + 1 + SNAPSHOT_ALIGN - 1) & ~(size_t)(SNAPSHOT_ALIGN - 1));
}

int image_open_buffer(
	struct image *image, const void *data, size_t size, char *why, size_t why_size)
{
	uint8_t *own = make_room(size);

	if (!own)
		return -ENOMEM;
	memcpy(own, data, size);
	return open_data(image, own, size, why, why_size);
}

static int read_all(int fd, uint8_t *data, size_t size, size_t *n_read)
{
	ssize_t n;

	for (*n_read = 0; *n_read < size; *n_read += (size_t)n) {
		n = read(fd, data + *n_read, size - *n_read);
		if (n < 0)
			return -errno;
		if (!n)
			break;
	}
	return 0;
}

int image_open_file(struct image *image, const char *path, char *why, size_t why_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
	uint8_t *data = NULL;
	struct stat st;
	size_t size = 0;

	memset(image, 0, sizeof(*image));
	if (fd < 0 || fstat(fd, &st))
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	if (!r) {
		data = make_room((size_t)st.st_size);
		r = data ? read_all(fd, data, (size_t)st.st_size, &size) : -ENOMEM;
	}
	if (fd >= 0)
		close(fd);
	if (r) {
		snprintf(why, why_size, "%s: %s", path,
			r == -EINVAL ? "not a regular file" : strerror(-r));
		free(data);
		return r;
	}
	return open_data(image, data, size, why, why_size);
}
