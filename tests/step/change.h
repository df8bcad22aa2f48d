/* SPDX-License-Identifier: Apache-2.0 */
/* change.h: a change that a broker makes, killed after each of its instructions. */
#ifndef TESTS_STEP_CHANGE_H
#define TESTS_STEP_CHANGE_H

#include "tests/step/scene.h"

/* What a change is about; everything but the calls themselves is done before it begins. */
struct call {
	struct index_key key, other;
	struct store_put_options options;
	uint8_t bytes[2][ABI_KEY_SIZE_MAX];
	struct scene_value value[SCENE_VERSIONS + 1]; /* of key, by version */
	unsigned version;
};

struct change {
	const char *name;
	struct scene_size size;
	uint64_t key, other;
	unsigned version; /* that @key has afterwards; 0: it is not there */
	void (*enter)(void);
	/*
	 * By the child. True if it went as it was meant to; then its books are at rest, but for
	 * what a client views.
	 */
	bool (*run)(struct call *c);
};

#define SIZE_SMALL {128 * KIB, 1 * MIB, 0}
#define SIZE_TINY {16 * KIB, 1 * MIB, 0}
#define SIZE_TIERS {128 * KIB, 1 * MIB, 128 * KIB}

/* The child's. */
#define STORE (&scene.rig.store)
#define WORKER (&scene.rig.w)

/*
 * By run(), where it goes on after the call that made the change: who asked for it has been told.
 * Else that is when run() returns.
 */
void change_answered(void);

/* Several changes do it: put the version that @key is to have. */
bool change_put(struct call *c);

/* States that several set out from: 40 keys; and one of them viewed. */
void change_enter_some(void);
void change_enter_viewed(void);

/* All of main(): a test of each of the @n changes, or of those that argv[1] names. */
int change_main(int argc, char **argv, const char *group, const struct change *changes, size_t n);

#endif
