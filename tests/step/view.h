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

/* The same of a record that was delivered as @word; a broker may be killed meanwhile. */
void view_take_word(
	struct view *view, struct rig *rig, uint64_t word, uint64_t seed, uint64_t size);

/* View it no more. */
void view_let_go(struct view *view, struct rig *rig);

/* A broker that was started anew asks who holds what; to be called before it reclaims. */
void view_resume(const struct view *view, struct rig *rig);

/* Fails the test, with @where, if the viewed record may be taken from under the viewer, or was. */
void view_check(const struct view *view, struct rig *rig, const char *where);

/* Other values come until some have to go, and the view must stay as it is. */
void view_press(const struct view *view, struct rig *rig, const char *where);

#endif
