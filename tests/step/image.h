/* SPDX-License-Identifier: Apache-2.0 */
/* image.h: what a broker leaves in shared memory, to be put back as it was. */
#ifndef TESTS_STEP_IMAGE_H
#define TESTS_STEP_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image {
	uint8_t *map;	/* the object itself */
	uint8_t *saved; /* as it was at image_save() */
	uint8_t *last;	/* as it was at image_has_changed() */
	size_t size;
};

/* Map the object @name and keep a copy. 0 or a negative errno. */
int image_save(struct image *image, const char *name);
void image_forget(struct image *image);

/* Make the object what it was. */
void image_restore(struct image *image);

/* Is it other than at the last call, or than what was saved? */
bool image_has_changed(struct image *image);

#endif
