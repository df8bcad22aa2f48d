/* SPDX-License-Identifier: Apache-2.0 */
/* units.h - sizes, durations and shares as people write them: 8GiB, 50us, 25%. */
#ifndef SHMCACHE_CONFIG_UNITS_H
#define SHMCACHE_CONFIG_UNITS_H

#include <stddef.h>
#include <stdint.h>

/*
 *	size		bytes		123, 123B, KiB, MiB, GiB, TiB (powers of 1024)
 *	duration	nanoseconds	ns, us, ms, s, m, h; a bare number only if it is 0
 *	percent		whole percents	25%; a bare number only if it is 0
 *
 * Numbers are whole, decimal, unsigned, and stand before their unit with nothing between. What
 * is printed is exact and reads back as the same number.
 */

enum {
	UNITS_TEXT_SIZE = 32, /* room for any printed value */
	UNITS_WHY_SIZE = 160, /* room for any complaint */
};

/*
 * 0; or -EINVAL, and why says what is wrong with the text and, if what was meant can be guessed,
 * what to write instead. why never quotes the text but for units of letters.
 */
int units_size_parse(const char *text, uint64_t *r_size, char why[UNITS_WHY_SIZE]);
int units_duration_parse(const char *text, uint64_t *r_ns, char why[UNITS_WHY_SIZE]);
int units_percent_parse(const char *text, uint64_t *r_percent, char why[UNITS_WHY_SIZE]);

/* A number without a unit, by the same rules. */
int units_number_parse(const char *text, uint64_t *r_number, char why[UNITS_WHY_SIZE]);

/* In the largest unit that divides it; 0 without a unit. */
void units_size_print(char text[UNITS_TEXT_SIZE], uint64_t size);
void units_duration_print(char text[UNITS_TEXT_SIZE], uint64_t ns);
void units_percent_print(char text[UNITS_TEXT_SIZE], uint64_t percent);

#endif
