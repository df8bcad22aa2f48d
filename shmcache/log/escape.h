/* SPDX-License-Identifier: Apache-2.0 */
/* escape.h - bytes from anywhere, made harmless to print. */
#ifndef SHMCACHE_LOG_ESCAPE_H
#define SHMCACHE_LOG_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes len bytes as printable ASCII into out, NUL-terminated: newline and tab as \n and \t,
 * a double quote and a backslash behind a backslash, all else that is not printable as \xNN.
 * What does not fit size (at least 4) is cut at a whole character and ends in "...".
 * Returns the length of out.
 */
size_t escape_bytes(char *out, size_t size, const char *bytes, size_t len);

/* Whether the bytes need a quotation to stand as one value: so too an empty one. */
bool escape_needs_quotes(const char *bytes, size_t len);

#endif
