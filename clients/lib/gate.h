/* SPDX-License-Identifier: Apache-2.0 */
/* gate.h: a lock that is held for long and waited for with a deadline. */
#ifndef CLIENTS_LIB_GATE_H
#define CLIENTS_LIB_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
	pthread_mutex_t lock; /* of is_taken, for moments only */
	pthread_cond_t is_free;
	bool is_taken;
};

void gate_init(struct gate *g);
/* Nobody may be inside or waiting. */
void gate_deinit(struct gate *g);

/* Wait to be let in until @deadline: 0 or -ETIMEDOUT. DEADLINE_NOW: don't wait. */
int gate_enter(struct gate *g, uint64_t deadline);
void gate_leave(struct gate *g);

#endif
