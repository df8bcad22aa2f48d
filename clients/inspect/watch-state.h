/* SPDX-License-Identifier: Apache-2.0 */
/* watch-state.h: what the pages and the screen share. */
#ifndef CLIENTS_INSPECT_WATCH_STATE_H
#define CLIENTS_INSPECT_WATCH_STATE_H

#include "clients/inspect/rate.h"
#include "clients/inspect/summary.h"
#include "clients/inspect/view.h"
#include "clients/inspect/watch.h"

struct watch {
	struct image *image;
	const struct watch_options *options;
	unsigned n_looks;
	struct summary summary; /* of the last look */
	struct sample before, now;
	struct rates rates; /* between the last two */
	struct hold_ages ages;
};

/* Look once more. 0 or a negative errno, then all is as it was. */
int watch_look(struct watch *watch);

/* The screen, until the user ends it. 0 or a negative errno. */
int watch_screen(struct watch *watch);

#endif
