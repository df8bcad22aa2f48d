/* SPDX-License-Identifier: Apache-2.0 */
/* damages.h: ways to spoil a made cache, and the findings that each is to bring. */
#ifndef TESTS_CLIENTS_INSPECT_DAMAGES_H
#define TESTS_CLIENTS_INSPECT_DAMAGES_H

#include "tests/clients/inspect/made.h"

struct damage {
	const char *name;
	void (*spoil)(struct made *m);
	const char *findings; /* "code: text", a line each */
};

/* Ends with one that has no name. */
extern const struct damage damages[];

#endif
