/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h: the live screen, and its plain pages where there is no terminal. */
#ifndef CLIENTS_INSPECT_WATCH_H
#define CLIENTS_INSPECT_WATCH_H

#include "clients/inspect/image.h"

struct watch_options {
	unsigned interval_ms;
	unsigned count; /* looks, 0: until it is ended */
	bool json;	/* an object a look, on a line, and no screen */
};

/* Returns when the user ends it, or after @count looks. 0 or a negative errno. */
int watch_run(struct image *image, const struct watch_options *options);

#endif
