/* SPDX-License-Identifier: Apache-2.0 */
/* progress.h: how far a long transfer is, for a person at a terminal. */
#ifndef CLIENTS_CLI_PROGRESS_H
#define CLIENTS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what; /* "reading", "writing" */
	uint64_t done, total; /* bytes; total 0: not known */
	uint64_t begin_ns, shown_ns;
	bool enabled, shown;
};

/* @what is static. Shows something only where stderr is a terminal and @quiet is not set. */
void progress_begin(struct progress *p, const char *what, uint64_t total, bool quiet);
/* @size more bytes are through. */
void progress_advance(struct progress *p, uint64_t size);
/* Leave the last line standing, if one was shown. */
void progress_end(struct progress *p);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t progress_now(void);

#endif
