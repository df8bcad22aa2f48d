/* SPDX-License-Identifier: Apache-2.0 */
/* elsewhere.h: the remote thread of a fuzz target, which answers what the input says. */
#ifndef TESTS_FUZZ_ELSEWHERE_H
#define TESTS_FUZZ_ELSEWHERE_H

#include "shmcache/remote/desk.h"
#include "shmcache/store.h"
#include "tests/fuzz/fuzz.h"

#define ELSEWHERE_MAX 32 /* tickets that are out: of a ring of 16, and one that says who left */

struct elsewhere {
	struct store *store;
	struct abi_worker *counters;
	struct desk desk;
	/* Each FETCH is watched over from the time at which it was taken, as a flight would. */
	struct elsewhere_ticket {
		struct ticket *ticket; /* NULL: the place is free */
		bool is_landed;	       /* its value is in a block */
		struct store_fill fill;
	} out[ELSEWHERE_MAX];
};

void elsewhere_open(struct elsewhere *e, struct store *store, struct abi_worker *counters);

/* Take what is on the desk; with two bytes of @in go on with one of the tickets that are out. */
void elsewhere_go_on(struct elsewhere *e, struct fuzz_input *in);

/* Answer all: deliver what has come, to nobody if all have left. */
void elsewhere_end(struct elsewhere *e);

#endif
