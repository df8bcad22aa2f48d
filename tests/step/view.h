/* SPDX-License-Identifier: Apache-2.0 */
/* view.h: a client that views a value while brokers are killed, and after. */
#ifndef TESTS_STEP_VIEW_H
#define TESTS_STEP_VIEW_H

#include <stdint.h>

#include "tests/shmcache/rig.h"

struct view {
	uint64_t word; /* as in a hold cell; 0: nothing is viewed */
	uint64_t seed, size, off;
	uint8_t tier;
};

/* View what @key has, @size bytes made of @seed, from here on. */
void view_take(struct view *view, struct rig *rig, uint64_t key, uint64_t seed, uint64_t size);

/* A broker that was started anew asks who holds what; to be called before it reclaims. */
void view_resume(const struct view *view, struct rig *rig);

/* Fails the test, with @where, if the viewed record may be taken from under the viewer, or was. */
void view_check(const struct view *view, struct rig *rig, const char *where);

/*
 * Other values come until some have to go, and the view must stay as it is; then it is released,
 * and everything that no entry has must be free.
 */
void view_release(const struct view *view, struct rig *rig, const char *where);

#endif
