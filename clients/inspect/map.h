/* SPDX-License-Identifier: Apache-2.0 */
/* map.h: where a tier's bytes are, at a resolution that somebody wants. */
#ifndef CLIENTS_INSPECT_MAP_H
#define CLIENTS_INSPECT_MAP_H

#include <stdint.h>

#include "clients/inspect/image.h"

enum map_color {
	MAP_CLASS,   /* by size: one for each power of four from 64 B on */
	MAP_AGE,     /* by the order in which records were made: 0 the oldest */
	MAP_SESSION, /* by a session that holds it, numbered as in the image; or by none */
};

#define MAP_COLORS 16
#define MAP_NONE (MAP_COLORS - 1) /* of MAP_SESSION: held by nobody; the last colour else */

/* A stretch of the tier of the same length each. */
struct map_cell {
	uint8_t fill;  /* of it in use, 0 to 255 */
	uint8_t color; /* of what takes most of it */
	uint8_t is_unpublished; /* most of it belongs to what is open or retired */
};

/*
 * A tier in @n cells, in memory that the caller frees. 0; -ENOENT: no such tier, or no index in the
 * image; -ENOMEM.
 */
int map_make(const struct image *image, unsigned tier, enum map_color color, unsigned n,
	struct map_cell **cells);

#endif
