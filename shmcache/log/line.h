/* SPDX-License-Identifier: Apache-2.0 */
/* line.h - inside the log: one line while it is put together. */
#ifndef SHMCACHE_LOG_LINE_H
#define SHMCACHE_LOG_LINE_H

#include "shmcache/log/log.h"

struct line {
	char text[LOG_LINE_SIZE]; /* NUL-terminated at any time */
	size_t len;
	bool is_full; /* a field did not fit: nothing follows it */
};

/* Begins with level and event, and with <N> before them if the reader is a journal. */
void line_begin(struct line *line, bool prefixed, enum log_level level, const char *event);

void line_add(struct line *line, const struct log_field *field);

/* Ends the line with its newline, and with ... before that if a field did not fit. */
void line_end(struct line *line);

#endif
