/* SPDX-License-Identifier: Apache-2.0 */
/* guard.h: a word that tells a process from its child. */
#ifndef CLIENTS_LIB_GUARD_H
#define CLIENTS_LIB_GUARD_H

#include <stdatomic.h>
#include <stdint.h>

/* Make a word that reads 1 here and 0 in any child by fork. 0 or a negative errno. */
int guard_new(_Atomic uint32_t **word);
void guard_free(_Atomic uint32_t *word);

#endif
