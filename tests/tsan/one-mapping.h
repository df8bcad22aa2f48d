/* SPDX-License-Identifier: Apache-2.0 */
/* One address for each shared object, however often this process maps it. */
#ifndef TESTS_TSAN_ONE_MAPPING_H
#define TESTS_TSAN_ONE_MAPPING_H

/*
 * Linking one-mapping.c is all it takes: it has the mmap() and munmap() that the whole program
 * uses, shared libraries included.
 */

/* How often a map was asked for and the one that was there given. */
unsigned long one_mapping_n_shared(void);

/* How many shared objects are mapped now. */
unsigned one_mapping_n_mapped(void);

#endif
