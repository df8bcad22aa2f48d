/* SPDX-License-Identifier: Apache-2.0 */
/* http.h: the listener that serves metrics and the live page. */
#ifndef SHMCACHE_HTTP_HTTP_H
#define SHMCACHE_HTTP_HTTP_H

#include <stddef.h>
#include <stdio.h>

#include "ipc/abi.h"
#include "ipc/lookup.h"

struct http;

/* What it serves from. All must outlive it. */
struct http_source {
	const struct abi_plane *plane;
	const void *index; /* mapped */
	/* A sentence on what is wrong with the broker, or NULL. Called by the listener's thread. */
	const char *(*health)(void *context);
	/* More lines for /metrics, or NULL. By the listener's thread. */
	void (*write_more)(void *context, FILE *out);
	/* More members of /status.json, each behind a comma, or NULL. By the listener's thread. */
	void (*write_status)(void *context, FILE *out);
	void *context;
};

/*
 * Listen on @listen, as [metrics] listen has it, with a thread of its own. 0 and *@out, or -errno
 * and a sentence in @why. http_stop() ends the thread, and removes the socket file that it made;
 * NULL is ignored. By the control thread.
 */
int http_start(struct http **out, const char *listen, const struct http_source *source, char *why,
	size_t why_size);
void http_stop(struct http *http);

#endif
