/* SPDX-License-Identifier: Apache-2.0 */
/* hold-age.h: for how long holds have been seen to stand. */
#ifndef CLIENTS_INSPECT_HOLD_AGE_H
#define CLIENTS_INSPECT_HOLD_AGE_H

#include <stddef.h>
#include <stdint.h>

#include "clients/inspect/image.h"

struct hold_age {
	uint64_t session, word, since_ms;
	uint32_t lane, at;
};

/* Zeroes are one that has seen nothing yet. */
struct hold_ages {
	struct hold_age *list; /* in the order of hold_walk() */
	size_t n, n_max;
	unsigned n_looks;
};

/* Look at all holds. 0 or -ENOMEM, then the looks so far are forgotten. */
int hold_ages_look(struct hold_ages *ages, const struct image *image);
void hold_ages_deinit(struct hold_ages *ages);

/*
 * Of one session: how many holds were there at an earlier look already, and since when the oldest
 * of them was seen (0: none).
 */
uint64_t hold_ages_standing(const struct hold_ages *ages, uint64_t session, uint64_t now_ms,
	uint64_t *n);

#endif
