/* SPDX-License-Identifier: Apache-2.0 */
/* scene.h: a store in a state from which brokers set out, each to be killed further on. */
#ifndef TESTS_STEP_SCENE_H
#define TESTS_STEP_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/shmcache/rig.h"
#include "tests/step/image.h"
#include "tests/step/view.h"

#define SCENE_KEYS 8192 /* numbers of keys are less */
#define SCENE_VERSIONS 3 /* of the value of each, from 1; 0: it is not there */
#define SCENE_VALUE_MAX 2048

struct scene_size {
	uint64_t dram, index, cxl; /* cxl 0: one tier */
};

/* What is known outside the broker, and outlives it. */
struct scene_told {
	struct view view; /* a client's */
	bool is_answered; /* the change was acknowledged: from here on it may not be undone */
};

struct scene {
	struct rig rig; /* where each child begins */
	struct scene_size size;
	struct image index, dram, cxl;
	struct scene_told *told, told_first, told_last; /* the first is in shared memory */
	unsigned n_keys; /* those below were put, or may have been */
};

extern struct scene scene;

/* Open a store, and have @enter bring it into its state. For a test's setup and teardown. */
int scene_open(const struct scene_size *size, void (*enter)(void));
int scene_close(void);

/* Options of the same store, for who opens it again. */
void scene_rig(struct rig *rig);

/* Make all that outlives a broker what it was before the change. */
void scene_restore(void);

/* Is it other than at the last call, or than before the change? */
bool scene_has_changed(void);

/* --- keys and values -------------------------------------------------------------------------- */

/* Version 3 is as large as many others together. */
uint64_t scene_value_size(uint64_t key, unsigned version);
uint64_t scene_value_seed(uint64_t key, unsigned version);

struct scene_value {
	char bytes[SCENE_VALUE_MAX];
	uint64_t size, seed;
};

void scene_value_make(struct scene_value *value, uint64_t key, unsigned version);

/* --- for enter(): each fails the test where it can't be done ---------------------------------- */

void scene_put(uint64_t key, unsigned version);

/* Keys 0 to @n - 1 at version 1. */
void scene_put_all(unsigned n);

/* As many as there are, without one evicted. */
void scene_put_full(void);

/* From here on a client views version 1 of @key. */
void scene_view(uint64_t key);

#endif
