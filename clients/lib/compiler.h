/* SPDX-License-Identifier: Apache-2.0 */
/* compiler.h: hints to the compiler, for the few functions whose nanoseconds are counted. */
#ifndef CLIENTS_LIB_COMPILER_H
#define CLIENTS_LIB_COMPILER_H

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define hot_inline inline __attribute__((always_inline))
#define out_of_line __attribute__((noinline))

#endif
