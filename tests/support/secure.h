/* SPDX-License-Identifier: Apache-2.0 */
/* secure.h: how brokers of a test's own are sure of each other. */
#ifndef SUPPORT_SECURE_H
#define SUPPORT_SECURE_H

#include <stddef.h>

#include "tests/support/scratch.h"

enum secure_mode {
	SECURE_NONE,  /* security = none */
	SECURE_TLS,   /* mutual TLS on all lanes */
	SECURE_BOUND, /* data_tls = off: data lanes in the clear, bound to the TLS session by a token */
};

/* "none", "tls", "bound": 0 or -EINVAL. */
int secure_parse(const char *text, enum secure_mode *mode);

/*
 * A directory with an authority and certificates of brokers n0 to n<n - 1>, made as a user makes
 * them: by `shmcache pki`, which lies beside the broker's program. It goes as @files goes. 0 or a
 * negative errno. One more with secure_add().
 */
int secure_make(struct scratch *files, unsigned n);
int secure_add(const struct scratch *files, const char *name);

/* The lines of [remote] for the broker @name; @files is not looked at with SECURE_NONE. */
enum { SECURE_CONFIG_SIZE = 4 * PATH_MAX };
void secure_config(char text[SECURE_CONFIG_SIZE], enum secure_mode mode, const struct scratch *files,
	const char *name);

#endif
