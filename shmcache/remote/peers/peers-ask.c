/* SPDX-License-Identifier: Apache-2.0 */
/* peers-ask.c: the questions that are open at a peer. */
#include <stdlib.h>

#include "shmcache/remote/peers/peers-impl.h"

/*
 * Answers come in the order of the questions, on one lane: the one that is looked for is the first.
 */

struct ask *peers_ask_add(struct peer *peer)
{
	struct ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return NULL;
	ask->id = ++peer->peers->next_id & ~ASK_OF_DIRECTORY;
	*peer->asks_end = ask;
	peer->asks_end = &ask->next;
	return ask;
}

struct ask *peers_ask_take(struct peer *peer, uint64_t id)
{
	struct ask **link = &peer->asks, *ask;

	while (*link && (*link)->id != id)
		link = &(*link)->next;
	ask = *link;
	if (!ask)
		return NULL;
	*link = ask->next;
	if (!ask->next)
		peer->asks_end = link;
	return ask;
}

void peers_ask_drop_all(struct peer *peer)
{
	struct ask *ask = peer->asks, *next;

	/* What ends may ask anew. */
	peer->asks = NULL;
	peer->asks_end = &peer->asks;
	for (; ask; ask = next) {
		next = ask->next;
		if (ask->locate)
			peers_locate_answered(peer, ask, NULL);
		else
			peers_erase_answered(peer, ask, false);
	}
}
