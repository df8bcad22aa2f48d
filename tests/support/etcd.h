/* SPDX-License-Identifier: Apache-2.0 */
/* An etcd of a test's own. */
#ifndef SUPPORT_ETCD_H
#define SUPPORT_ETCD_H

#include "tests/support/proc.h"
#include "tests/support/scratch.h"

/* Files for https. Whoever asks it shows the same certificate. */
struct etcd_files {
	const char *ca, *certificate, *key;
};

/* Static in its program. */
struct etcd_server {
	struct scratch scratch; /* its data, and its log */
	struct proc proc;
	struct etcd_files files; /* NULLs: http */
	char url[64], peer_url[64];
	char answer[16384]; /* the last one's body */
};

/* From Debian's package etcd-server. If not, a test says so and exits with 77. */
bool etcd_is_installed(void);

/*
 * Ports that nobody has at @host, a numeric address of where the calling thread is. @files (NULL:
 * none) stay the caller's. 0 or a negative errno.
 */
int etcd_server_init(struct etcd_server *s, const char *host, const struct etcd_files *files);

/*
 * Start it on the data in that folder of its scratch directory, and wait until it answers. Users'
 * tokens live for 3 s after their last use. 0, or a negative errno: -ETIMEDOUT, -ECHILD (it ended).
 */
int etcd_server_start(struct etcd_server *s, const char *data);

/* As by kill -9. */
void etcd_server_kill(struct etcd_server *s);

/* Harmless where it was never started. */
void etcd_server_end(struct etcd_server *s);

/* POST to its gateway, with @token (NULL: none); the status of the answer, 0: none came. */
long etcd_server_ask(struct etcd_server *s, const char *path, const char *body, const char *token);

/* Write an entry; take it away (@value NULL). The status, as above. */
long etcd_server_put(struct etcd_server *s, const char *key, const char *value);

#endif
