/* SPDX-License-Identifier: Apache-2.0 */
/* units.h: numbers, sizes and times as people write them. */
#ifndef CLIENTS_CLI_UNITS_H
#define CLIENTS_CLI_UNITS_H

#include <stdint.h>

/*
 * All parsers take the whole string: 0, -EINVAL (not of that form) or -ERANGE (does not
 * fit). No sign, no blanks, no fractions. Pure functions.
 */

/* Decimal, or hexadecimal after 0x; at most @max. */
int units_number_parse(const char *s, uint64_t max, uint64_t *number);

/* A number and ms, s, m, h or d; the 0 may go without. Milliseconds. */
int units_duration_parse(const char *s, uint64_t *ms);

/* A number and nothing, B, KiB, MiB, GiB or TiB. Bytes. */
int units_size_parse(const char *s, uint64_t *size);

#define UNITS_TEXT_SIZE 32

/* "512 B", "4.0 KiB", "1.5 GiB". Returns @text. */
const char *units_size_format(char text[UNITS_TEXT_SIZE], uint64_t size);

/* "250 ms", "12.3 s", "4m05s", "3h07m", "2d04h". Returns @text. */
const char *units_duration_format(char text[UNITS_TEXT_SIZE], uint64_t ms);

/* "123 ns", "4.5 us", "1.2 ms", "3.4 s". Returns @text. */
const char *units_ns_format(char text[UNITS_TEXT_SIZE], uint64_t ns);

#endif
