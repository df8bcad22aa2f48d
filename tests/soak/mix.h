/* SPDX-License-Identifier: Apache-2.0 */
/* mix.h: sizes as a cache has them, many small and a few large at once. */
#ifndef SOAK_MIX_H
#define SOAK_MIX_H

#include "tests/support/value.h"

#define MIX_SIZE_MIN 64
#define MIX_SIZE_MAX (4U << 20)

static inline unsigned mix_any(uint64_t *random, unsigned n)
{
	return (unsigned)(value_random(random) >> 33) % n;
}

/* Between @from and @from times 2 to the @octaves, each octave as likely as the next. */
static inline size_t mix_octaves(uint64_t *random, size_t from, unsigned octaves)
{
	size_t octave = from << mix_any(random, octaves);

	return octave + mix_any(random, (unsigned)octave);
}

/*
 * 64 B to 4 KiB, 4 to 64 KiB, 64 KiB to 1 MiB, 1 to 4 MiB: most values are small, most bytes large.
 */
static inline size_t mix_size(uint64_t *random)
{
	unsigned kind = mix_any(random, 1000);

	if (kind < 700)
		return mix_octaves(random, MIX_SIZE_MIN, 6);
	if (kind < 920)
		return mix_octaves(random, 4U << 10, 4);
	if (kind < 990)
		return mix_octaves(random, 64U << 10, 4);
	return mix_octaves(random, 1U << 20, 2);
}

#endif
