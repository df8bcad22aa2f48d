/* SPDX-License-Identifier: Apache-2.0 */
/* svg.h: a picture of each tier: what is where, and what is free. */
#ifndef CLIENTS_INSPECT_SVG_H
#define CLIENTS_INSPECT_SVG_H

#include "clients/inspect/map.h"

struct svg_options {
	enum map_color color;
};

/* "class", "age", "session". 0 or -EINVAL. */
int svg_color_parse(const char *text, enum map_color *color);

/*
 * Write it to @path, which is replaced. 0, or a negative errno and a sentence in @why. However
 * many blocks there are, the picture has a bounded number of shapes.
 */
int svg_write(const struct image *image, const struct svg_options *options, const char *path,
	char *why, size_t why_size);

#endif
