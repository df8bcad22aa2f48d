/* SPDX-License-Identifier: Apache-2.0 */
/* image.c: areas in pieces, and what is derived from plane and index whatever their source. */
#include "clients/inspect/image.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/metric.h"

/*
 * Bounds are taken once, from the size of what we have, and never from a number in it: a room is
 * how many items fit between where an array begins and where the piece ends. Numbers in the memory
 * can then only make less of it visible. The head of the index is copied first and looked at
 * afterwards, so that the offsets that were checked are those that are used.
 */
const void *area_at(const struct area *area, uint64_t off, uint64_t size)
{
	unsigned low = 0, high = area->n_pieces, mid;
	const struct piece *p;

	/* The last piece that begins at or before @off. */
	while (low < high) {
		mid = low + (high - low) / 2;
		if (area->piece[mid].off <= off)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	p = &area->piece[low - 1];
	off -= p->off;
	return off <= p->size && size <= p->size - off ? p->data + off : NULL;
}

int area_add(struct area *area, uint64_t off, uint64_t size, const uint8_t *data)
{
	unsigned n = area->n_pieces_max ? area->n_pieces_max * 2 : 4;
	const struct piece *last = area->n_pieces ? &area->piece[area->n_pieces - 1] : NULL;
	struct piece *more;

	if (off + size < off || (last && off < last->off + last->size) ||
		area->n_pieces == AREA_PIECES_MAX)
		return -EINVAL;
	if (area->n_pieces == area->n_pieces_max) {
		more = realloc(area->piece, n * sizeof(*more));
		if (!more)
			return -ENOMEM;
		area->piece = more;
		area->n_pieces_max = n;
	}
	area->piece[area->n_pieces++] = (struct piece){off, size, data};
	if (area->size < off + size)
		area->size = off + size;
	return 0;
}

void image_note(struct image *image, const char *fmt, ...)
{
	va_list ap;

	if (image->n_notes == IMAGE_NOTES_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(image->note[image->n_notes++], IMAGE_NOTE_SIZE, fmt, ap);
	va_end(ap);
}

int image_settle_plane(struct image *image, char *why, size_t why_size)
{
	const struct abi_plane *plane = area_at(&image->plane_area, 0, sizeof(*plane));
	uint64_t room;

	if (!plane) {
		snprintf(why, why_size, "the plane is too short to be one");
		return -EPROTONOSUPPORT;
	}
	if (plane->magic != ABI_MAGIC || plane->version != ABI_VERSION ||
		plane->fingerprint != abi_fingerprint()) {
		snprintf(why, why_size, "%s", plane->magic != ABI_MAGIC
				? "that is no plane of a cache"
				: "the plane was made by another build: use its inspector");
		return -EPROTONOSUPPORT;
	}
	room = (image->plane_area.piece[0].size - sizeof(*plane)) / sizeof(struct abi_session);
	image->plane = plane;
	image->n_lines = (uint32_t)image_least(
		image_least(plane->n_sessions_max, room), ABI_SESSIONS_MAX);
	return 0;
}

/* An array of up to @n_max items of a cell each; *room is how many there can be. */
static const void *array_at(const struct area *area, uint64_t off, uint64_t n_max, uint64_t *room)
{
	const struct piece *p;
	unsigned i;

	*room = 0;
	for (i = 0; i < area->n_pieces; i++) {
		p = &area->piece[i];
		if (off < p->off || off - p->off > p->size)
			continue;
		*room = image_least((p->size - (off - p->off)) / ABI_CELL, n_max);
		if (*room)
			return p->data + (off - p->off);
	}
	return NULL;
}

static void index_unseen(struct image *image, const char *why)
{
	image->has_index = false;
	snprintf(image->index_unseen, sizeof(image->index_unseen), "%s", why);
}

void image_settle_index(struct image *image)
{
	const struct abi_index *head = area_at(&image->index_area, 0, sizeof(*head));
	struct abi_index *copy = &image->head;
	struct lookup *l = &image->lookup;

	if (!head) {
		index_unseen(image, "the index is too short to be one");
		return;
	}
	memcpy(copy, head, sizeof(*copy));
	if (copy->magic != ABI_MAGIC || copy->fingerprint != abi_fingerprint()) {
		index_unseen(image, "the index is damaged, or was made by another build");
		return;
	}
	if (copy->bucket_off % ABI_CELL || copy->overflow_off % ABI_CELL ||
		copy->cell_off % ABI_CELL) {
		index_unseen(image, "the index is damaged: its arrays are not aligned");
		return;
	}
	l->head = head;
	l->seed = copy->hash_seed;
	l->bucket = array_at(&image->index_area, copy->bucket_off, copy->n_buckets_max,
		&image->bucket_room);
	l->overflow = array_at(&image->index_area, copy->overflow_off, copy->n_overflow_max,
		&image->overflow_room);
	l->cell = array_at(
		&image->index_area, copy->cell_off, copy->n_cells_max, &image->cell_room);
	if (!image->bucket_room) {
		index_unseen(image, "the index is damaged: it has no room for buckets");
		return;
	}
	image->has_index = true;
	image->index_unseen[0] = '\0';
}

uint64_t image_counter(const struct image *image, enum abi_counter counter)
{
	return metric_counter(image->plane, counter);
}

const char *image_id_text(const struct image *image, uint64_t id, char text[IMAGE_ID_SIZE])
{
	uint64_t epoch = shared_u64_load(&image->plane->epoch);

	if (!(id >> 32) || id >> 32 == epoch)
		snprintf(text, IMAGE_ID_SIZE, "%u", (unsigned)id);
	else
		snprintf(text, IMAGE_ID_SIZE, "%u:%u", (unsigned)(id >> 32), (unsigned)id);
	return text;
}

const char *image_session_state_name(unsigned state)
{
	static const char *const names[] = {"attached", "pending", "adopted", "lost"};

	return state <= ABI_SESSION_LOST ? names[state] : "?";
}

const char *image_tier_name(unsigned tier)
{
	return tier == ABI_TIER_DRAM ? "dram" : tier == ABI_TIER_CXL ? "cxl" : "?";
}

const char *image_role_name(unsigned role)
{
	static const char *const names[WIRE_N_ROLES] = {"none", "reader", "stager", "writer"};

	return role < WIRE_N_ROLES ? names[role] : "?";
}

const char *image_state_name(unsigned state)
{
	static const char *const names[] = {"not written", "starting", "serving", "stopped",
		"draining"};

	return state <= ABI_STATE_DRAINING ? names[state] : "?";
}
