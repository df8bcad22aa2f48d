/* SPDX-License-Identifier: Apache-2.0 */
/* support.h - configurations from strings, and what is said of them. */
#ifndef TESTS_SHMCACHE_CONFIG_SUPPORT_H
#define TESTS_SHMCACHE_CONFIG_SUPPORT_H

#include "shmcache/config/config.h"

#include <stddef.h>

/* Starts from the defaults and loads size bytes as the file "f.conf". As config_load_stream(). */
int load_bytes(struct config *c, const char *bytes, size_t size, struct config_errors *errs);

/* Loads a text that has to be right. */
void load_good(struct config *c, const char *text);

/* Loads a text and fails unless the complaints are exactly these lines. */
void load_bad(const char *text, const char *complaints);

/* Fails unless the complaints are exactly these lines. */
void expect_errors(const struct config_errors *errs, const char *complaints);

#endif
