/* SPDX-License-Identifier: Apache-2.0 */
/* kill-batch.c: several requests under way at once when the end comes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/soak/kill-client.h"

/*
 * Each request of a batch that changes a key has taken it; keys that somebody else has are read.
 * The values lie side by side in the hand's buffer.
 */
#define BATCH 12
#define BATCH_VALUE_MAX 8192

struct batch {
	struct shmc_request request[BATCH];
	unsigned number[BATCH];
	struct ledger_look look[BATCH];
	char key[BATCH][VALUE_KEY_MAX];
	unsigned n;
};

static void add(struct kill_hand *h, struct batch *b)
{
	unsigned i = b->n, number = kill_any(h, h->ledger->n_keys), kind = kill_any(h, 10), j;
	struct shmc_request *q = &b->request[i];
	uint64_t version;

	/* Once a batch: what a second one finds depends on the first. */
	for (j = 0; j < i; j++)
		if (b->number[j] == number)
			return;
	memset(q, 0, sizeof(*q));
	q->key = b->key[i];
	q->key_size = value_key(LEDGER_PREFIX, number, b->key[i]);
	b->number[i] = number;
	b->n++;
	if (kind < 4 || !ledger_take(h->ledger, h->slot, h->thread, i, number)) {
		b->look[i] = ledger_look(h->ledger, number);
		q->operation = SHMC_OP_GET;
	} else if (kind < 9) {
		version = ledger_begin(h->ledger, number, LEDGER_PUT);
		q->operation = SHMC_OP_PUT;
		q->value = h->value + (size_t)i * BATCH_VALUE_MAX;
		q->value_size = MIX_SIZE_MIN + kill_any(h, BATCH_VALUE_MAX - MIX_SIZE_MIN);
		value_make(q->value, q->value_size, number, version);
	} else {
		ledger_begin(h->ledger, number, LEDGER_REMOVE);
		q->operation = SHMC_OP_DELETE;
	}
}

static void make(struct kill_hand *h, struct batch *b)
{
	unsigned i;

	b->n = 0;
	for (i = 0; i < BATCH; i++)
		add(h, b);
}

static void judge_get(struct kill_hand *h, struct batch *b, unsigned i)
{
	struct shmc_request *q = &b->request[i];
	uint64_t version = 0;

	kill_expect(h, "batched get", q->result, q->result == SHMC_MISS);
	if (!q->result)
		version = kill_view_version(h, &q->view, b->number[i]);
	if (version || q->result == SHMC_MISS)
		ledger_judge(h->ledger, b->number[i], &b->look[i], version);
	if (!q->result)
		shmc_release(h->cache, &q->view);
}

static void settle(struct kill_hand *h, struct batch *b, unsigned i)
{
	enum shmc_operation operation = b->request[i].operation;
	enum ledger_outcome outcome;
	int r = b->request[i].result;

	if (operation == SHMC_OP_GET) {
		judge_get(h, b, i);
		return;
	}
	kill_expect(h, "batched change", r, r == SHMC_MISS || r == SHMC_NOSPACE);
	if (kill_is_gone(h, r))
		outcome = LEDGER_UNKNOWN;
	else if (operation == SHMC_OP_DELETE)
		outcome = LEDGER_REMOVED;
	else
		outcome = r ? LEDGER_UNCHANGED : LEDGER_STORED;
	ledger_settle(h->ledger, b->number[i], outcome, 0);
	ledger_leave(h->ledger, h->slot, h->thread, i);
}

void kill_execute(struct kill_hand *h)
{
	struct batch b;
	unsigned i;
	int r;

	make(h, &b);
	r = shmc_execute(h->cache, b.request, b.n, KILL_TIMEOUT_MS);
	kill_expect(h, "execute", r, false);
	for (i = 0; i < b.n; i++)
		settle(h, &b, i);
}

/* Submit what goes, reap what comes, until all is done or there is no broker to wait for. */
static unsigned queue_run(struct kill_hand *h, struct shmc_queue *queue, struct batch *b)
{
	struct shmc_request *all[BATCH], *done[BATCH];
	unsigned i, n_submitted = 0, n_done = 0;
	int r;

	for (i = 0; i < b->n; i++) {
		all[i] = &b->request[i];
		b->request[i].result = -ENOTCONN;
	}
	while (n_done < b->n) {
		r = shmc_submit(queue, all + n_submitted, b->n - n_submitted);
		kill_expect(h, "submit", r, r >= 0);
		n_submitted += r > 0 ? (unsigned)r : 0;
		if (r < 0 && n_done == n_submitted)
			break;
		r = shmc_reap(queue, done, BATCH, KILL_TIMEOUT_MS);
		kill_expect(h, "reap", r, r > 0);
		if (r == 0)
			ledger_wrong(h->ledger, "reap: nothing came");
		if (r <= 0)
			break;
		n_done += (unsigned)r;
	}
	return n_submitted;
}

void kill_queue(struct kill_hand *h)
{
	struct shmc_queue *queue;
	struct batch b;
	unsigned i;
	int r = shmc_queue_open(&queue, h->cache);

	kill_expect(h, "queue", r, r == SHMC_QUOTA);
	if (r)
		return;
	make(h, &b);
	queue_run(h, queue, &b);
	for (i = 0; i < b.n; i++)
		settle(h, &b, i);
	shmc_queue_close(queue);
}
