/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h: asynchronous requests on a lane of their own. */
#ifndef CLIENTS_LIB_QUEUE_H
#define CLIENTS_LIB_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "clients/lib/lane.h"
#include "clients/shmcache.h"

struct shmc_queue {
	struct shmc *cache;
	struct shmc_queue *next, **link; /* of the handle's queues */
	uint64_t owner;			 /* its number as an owner of lanes */
	struct lane *lane;		 /* NULL: the broker is gone, not attached anew */
	struct engine_list lost;	 /* finished by the broker's end */
	int epoll;			 /* doorbell, session socket, event */
	int event;			 /* an eventfd that counts while something is finished */
	bool is_event_set;
	bool is_refused; /* the last submit did not take all */
};

/* Free the memory and descriptors; the lane goes with the handle. */
void queue_free(struct shmc_queue *queue);

#endif
