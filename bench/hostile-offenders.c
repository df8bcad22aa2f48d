/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile-offenders.c: one kind of offence each, as fast as it goes.
 *
 * All stand on the bare protocol (tests/support/raw-client.h). Their role is stager: what a writer
 * can do to the bytes of values is told in docs/security.md and is no question of speed.
 */
#include "bench/hostile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/raw-client.h"

#define HOG_SIZE (4U << 20)
#define N_SILENT 32

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void turn(struct hostile_shared *shared)
{
	atomic_fetch_add_explicit(&shared->n_turns, 1, memory_order_relaxed);
}

/* In with @n lanes; others of this kind may be on their way out. */
static void enter(struct raw_client *c, const char *name, unsigned n)
{
	struct raw_lane *lane;
	unsigned i;

	while (raw_attach(c, name, WIRE_ROLE_STAGER))
		;
	for (i = 0; i < n; i++)
		if (raw_lane_open(c, &lane))
			break;
}

/* --- nobody's enemies ------------------------------------------------------------------------- */

static void scribble(uint64_t *words, size_t n, uint64_t *x)
{
	size_t at = next(x) % n, i;

	for (i = 0; i < 512; i++)
		words[(at + i) % n] = next(x) | UINT64_C(0x8080808080808080);
}

void hostile_hog_memory(const char *name, struct hostile_shared *shared)
{
	uint64_t *words = malloc(HOG_SIZE), x = 1;

	(void)name;
	if (!words)
		exit(1);
	for (;; turn(shared))
		scribble(words, HOG_SIZE / 8, &x);
}

void hostile_hog_calls(const char *name, struct hostile_shared *shared)
{
	char bytes[64];
	int fds[2];

	(void)name;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds))
		exit(1);
	for (;; turn(shared)) {
		(void)!send(fds[0], bytes, 1, MSG_DONTWAIT);
		(void)!recv(fds[1], bytes, sizeof(bytes), MSG_DONTWAIT);
	}
}

/* --- the region ------------------------------------------------------------------------------- */

void hostile_flipper(const char *name, struct hostile_shared *shared)
{
	struct raw_client c;
	uint64_t x = 2;

	enter(&c, name, 4);
	for (;; turn(shared))
		scribble((uint64_t *)(void *)c.request, HOG_SIZE / 8, &x);
}

void hostile_nonsense(const char *name, struct hostile_shared *shared)
{
	struct submission s = {.operation = 200};
	struct raw_client c;

	for (;; turn(shared)) {
		enter(&c, name, 1);
		if (c.n_lanes)
			raw_submit(&c, &c.lane[0], &s);
		raw_wait_hangup(c.socket);
		raw_detach(&c);
	}
}

void hostile_positions(const char *name, struct hostile_shared *shared)
{
	struct submission s = {.operation = ABI_OP_PING};
	struct raw_client c;
	struct raw_lane *lane;
	uint64_t x = 3;

	enter(&c, name, 1);
	lane = &c.lane[0];
	for (;; turn(shared)) {
		submission_publish(&lane->submission[next(&x) % c.geometry.n_queue],
			next(&x) >> (next(&x) & 63), &s);
		shared_u64_store(&lane->request->submitted, next(&x));
		shared_u64_store_release(&lane->request->reaped, next(&x) >> (next(&x) & 63));
		shared_u64_store(&lane->request->logged, next(&x));
		raw_wake(&c, lane);
	}
}

void hostile_puncher(const char *name, struct hostile_shared *shared)
{
	struct raw_client c;

	enter(&c, name, 4);
	for (;; turn(shared))
		(void)!fallocate(c.fd[RAW_REQUEST], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			(off_t)c.request_size);
}

/* --- storms ----------------------------------------------------------------------------------- */

void hostile_waker(const char *name, struct hostile_shared *shared)
{
	struct raw_client c;
	unsigned i;

	enter(&c, name, 4);
	for (;; turn(shared))
		for (i = 0; i < c.n_lanes; i++)
			(void)!send(c.lane[i].doorbell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void hostile_silent(const char *name, struct hostile_shared *shared)
{
	int fds[N_SILENT];
	unsigned i;

	memset(fds, -1, sizeof(fds));
	for (i = 0;; turn(shared), i = (i + 1) % N_SILENT) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = raw_connect(name);
	}
}

void hostile_deaf(const char *name, struct hostile_shared *shared)
{
	struct submission s = {.operation = ABI_OP_PING};
	struct raw_client c;
	unsigned i;

	enter(&c, name, 4);
	for (;; turn(shared)) {
		for (i = 0; i < c.n_lanes; i++) {
			submission_publish(
				&c.lane[i].submission[c.lane[i].submitted & (c.geometry.n_queue - 1)],
				c.lane[i].submitted, &s);
			if (shared_u64_load(&c.lane[i].response->consumed) > c.lane[i].submitted)
				c.lane[i].submitted++;
			raw_wake(&c, &c.lane[i]);
		}
	}
}

/* --- hoards ----------------------------------------------------------------------------------- */

/* Every cell of every lane says that it holds something, a different one each. */
void hostile_holder(const char *name, struct hostile_shared *shared)
{
	struct raw_client c;
	unsigned i, j, n = 0;
	uint64_t x = 4;

	enter(&c, name, UINT32_MAX);
	for (i = 0; i < c.n_lanes; i++) {
		shared_u64_store_release(&c.lane[i].request->holds_used, c.geometry.n_holds);
		for (j = 0; j < c.geometry.n_holds; j++)
			shared_u64_store(&c.lane[i].hold[j], abi_word(++n, 0, 0));
	}
	for (;; turn(shared)) {
		i = (unsigned)next(&x) % c.n_lanes;
		shared_u64_store(&c.lane[i].hold[next(&x) % c.geometry.n_holds],
			abi_word((uint32_t)(1 + next(&x) % n), 0, 0));
	}
}

void hostile_reserver(const char *name, struct hostile_shared *shared)
{
	uint64_t reservation, off;
	struct raw_client c;

	enter(&c, name, 1);
	for (;; turn(shared))
		if (raw_reserve(&c, &c.lane[0], "hoard", 4096, &reservation, &off) < 0)
			exit(1);
}

void hostile_logger(const char *name, struct hostile_shared *shared)
{
	struct raw_client c;
	uint64_t x = 5;
	unsigned i;

	enter(&c, name, 4);
	for (;; turn(shared)) {
		for (i = 0; i < c.n_lanes; i++) {
			shared_u32_store(&c.lane[i].log[next(&x) % c.geometry.n_log],
				(uint32_t)(1 + next(&x) % 20000));
			shared_u64_store_release(&c.lane[i].request->logged, next(&x) >> 8);
		}
	}
}
