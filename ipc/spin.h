/* SPDX-License-Identifier: Apache-2.0 */
/* spin.h: on how many CPUs it pays to wait awake. */
#ifndef IPC_SPIN_H
#define IPC_SPIN_H

#include <stdbool.h>
#include <unistd.h>

/*
 * Who spins takes a CPU away from somebody, and that must not be the one that he waits for. Between
 * a client and its broker these are two. An answer of another broker is brought by the network and
 * by the remote thread as well, and comes after a time in which a sleeper could have been woken
 * several times: waiting awake for it is for machines that have CPUs to spare.
 */
static inline bool spin_pays(bool for_others)
{
	return sysconf(_SC_NPROCESSORS_ONLN) > (for_others ? 3 : 1);
}

#endif
