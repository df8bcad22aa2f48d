/* SPDX-License-Identifier: Apache-2.0 */
/* text.h: keys as text: UTF-8, escapes, hexadecimal, and likeness. */
#ifndef CLIENTS_CLI_TEXT_H
#define CLIENTS_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* All of them may be called by any thread. */

/* Whether all of @data is well-formed UTF-8 (RFC 3629; a NUL is). */
bool text_is_utf8(const void *data, size_t size);

/*
 * Print @data so that it stays on one line and can't command a terminal: a backslash is
 * doubled, newline, return and tab are \n, \r and \t, other control characters and bytes
 * that are no UTF-8 are \xNN each. What comes out is unambiguous.
 */
void text_print_escaped(FILE *out, const void *data, size_t size);
void text_print_hex(FILE *out, const void *data, size_t size);

/*
 * Decode pairs of hexadecimal digits, @out has room for @max bytes. 0, -EINVAL (odd, or no
 * digits) or -ERANGE (more than @max).
 */
int text_hex_parse(const char *hex, void *out, size_t max, size_t *size);

/* Write the two digits of each byte and a NUL to @out, which has 2 * size + 1 bytes. */
void text_hex_format(const void *data, size_t size, char *out);

/*
 * How many letters must be put in, taken out, changed, or swapped with their neighbour to
 * make one word of the other. SIZE_MAX if one is longer than TEXT_WORD_MAX.
 */
#define TEXT_WORD_MAX 31
size_t text_distance(const char *a, const char *b);

#endif
