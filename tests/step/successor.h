/* SPDX-License-Identifier: Apache-2.0 */
/* successor.h: a new broker, and what it finds of the scene. */
#ifndef TESTS_STEP_SUCCESSOR_H
#define TESTS_STEP_SUCCESSOR_H

#include "tests/step/scene.h"

/*
 * Open what is there, look at it, use it, and close it. Fails the test, with @where, unless the
 * start is warm, the books agree, each key that is there has a version's bytes, no two values
 * overlap, nothing is there besides the scene's keys and @key, and what a client views stays until
 * it is let go. @found gets the version of each key.
 */
void successor_look(const char *where, uint64_t key, uint8_t found[SCENE_KEYS]);

#endif
