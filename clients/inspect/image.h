/* SPDX-License-Identifier: Apache-2.0 */
/* image.h: what the inspector looks at: the shared memory of one cache, live or from a file. */
#ifndef CLIENTS_INSPECT_IMAGE_H
#define CLIENTS_INSPECT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "clients/inspect/process.h"
#include "ipc/abi.h"
#include "ipc/lookup.h"
#include "ipc/wire.h"

/*
 * An image has the plane, the index and the regions of each session, as far as they could be
 * reached. All views read it through what is declared here. Nothing in it is believed: a live one
 * may change or be nonsense at any moment, and one from a file was written by anybody.
 *
 * Bytes are reached by offset. Live, an area is one piece, its map. In a file it is several, for
 * what was not worth keeping (the memory behind no cell, the values in staging) is left out.
 */
struct piece {
	uint64_t off, size; /* in the area */
	const uint8_t *data;
};

#define AREA_PIECES_MAX 65536

struct area {
	struct piece *piece; /* by offset, without overlap */
	unsigned n_pieces, n_pieces_max;
	uint64_t size; /* the whole, also where no piece is */
};

/* @size bytes at @off, or NULL where they are not all in one piece. */
const void *area_at(const struct area *area, uint64_t off, uint64_t size);

/* Add a piece behind the others. 0, -EINVAL when it is not behind them, -ENOMEM. */
int area_add(struct area *area, uint64_t off, uint64_t size, const uint8_t *data);

struct image_session {
	uint32_t line; /* of the directory */
	uint64_t id;   /* as it was when the regions were looked for */
	struct image_process process;
	struct abi_geometry geometry; /* n_lanes 0: not known */
	struct area request, response;
	char unseen[192]; /* why regions are missing; empty: they are there */
};

#define IMAGE_NOTES_MAX 16
#define IMAGE_NOTE_SIZE 256

struct image {
	char name[ABI_NAME_MAX + 1];
	bool is_live;
	bool is_unsteady; /* from a file, and things changed while it was written */
	uint64_t now_ms;  /* CLOCK_MONOTONIC of the look */
	uint64_t real_ms; /* CLOCK_REALTIME */

	struct area plane_area, index_area;
	const struct abi_plane *plane; /* whole, but for the session lines */
	uint32_t n_lines;	       /* session lines that are there */
	struct image_process broker;

	/* The index, or why not. The arrays have room for so many, whatever the head says. */
	bool has_index;
	char index_unseen[IMAGE_NOTE_SIZE];
	struct abi_index head; /* a copy of what does not change, made when it was opened */
	struct lookup lookup;
	uint64_t bucket_room, overflow_room, cell_room;

	struct image_session *session; /* by line */
	unsigned n_sessions;

	/* What else could not be seen, a sentence each. */
	char note[IMAGE_NOTES_MAX][IMAGE_NOTE_SIZE];
	unsigned n_notes;

	struct image_live *live; /* the source's own, or NULL */
	uint8_t *buffer;	 /* of a file, or NULL */
};

/* Sources. 0, or a negative errno and a sentence in @why. To be closed with image_close(). */
int image_open_live(struct image *image, const char *name, char *why, size_t why_size);
int image_open_file(struct image *image, const char *path, char *why, size_t why_size);
/* @data is copied. */
int image_open_buffer(
	struct image *image, const void *data, size_t size, char *why, size_t why_size);
void image_close(struct image *image);

/* Look again who is attached and alive. Nothing to do for a file. 0 or a negative errno. */
int image_refresh(struct image *image);

/* Write what @image shows to @path, which must not exist. 0 or a negative errno. */
int image_save(const struct image *image, const char *path, char *why, size_t why_size);

/* Set up what follows from the areas: plane, index. For the sources. */
int image_settle_plane(struct image *image, char *why, size_t why_size);
void image_settle_index(struct image *image);

__attribute__((format(printf, 2, 3))) void image_note(struct image *image, const char *fmt, ...);

/* --- reading it ------------------------------------------------------------------------------- */

static inline uint64_t image_least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* How many of each array there are to be looked at: with memory behind them, and in the image. */
static inline uint64_t image_n_buckets(const struct image *i)
{
	uint64_t n = lookup_n_buckets(&i->lookup);

	n = image_least(n, shared_u64_load(&i->lookup.head->n_buckets_backed));
	return image_least(n, i->bucket_room);
}

static inline uint64_t image_n_overflow(const struct image *i)
{
	return image_least(
		shared_u64_load(&i->lookup.head->n_overflow_backed), i->overflow_room);
}

static inline uint64_t image_n_cells(const struct image *i)
{
	return image_least(shared_u64_load(&i->lookup.head->n_cells_backed), i->cell_room);
}

/* Of a tier, as the index has it; 0: there is no such tier. */
static inline uint64_t image_tier_size(const struct image *i, unsigned tier)
{
	return tier == ABI_TIER_DRAM ? i->head.dram_size
		: tier == ABI_TIER_CXL ? i->head.cxl_size : 0;
}

/*
 * The number of a session as people say it: without the epoch in its upper half if that is the
 * broker's of now, else "EPOCH:NUMBER". Returns @text.
 */
#define IMAGE_ID_SIZE 24
const char *image_id_text(const struct image *image, uint64_t id, char text[IMAGE_ID_SIZE]);

/* Of the holds that a line of the directory stands for: "attached", "pending" and so on. */
const char *image_session_state_name(unsigned state);

/* "dram", "cxl" */
const char *image_tier_name(unsigned tier);
const char *image_role_name(unsigned role);
const char *image_state_name(unsigned state);

static inline const struct abi_session *image_line(const struct image *i, uint32_t line)
{
	return &i->plane->session[line];
}

/* The sum of a counter over all threads of the broker. */
uint64_t image_counter(const struct image *image, enum abi_counter counter);
static inline uint64_t image_gauge(const struct image *image, enum abi_gauge gauge)
{
	return shared_u64_load(&image->plane->gauge[gauge]);
}

/* Does a broker run on this memory now, so that it may change between two looks? */
static inline bool image_is_moving(const struct image *i)
{
	return i->is_live && process_runs(&i->broker);
}

#endif
