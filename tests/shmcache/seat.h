/* SPDX-License-Identifier: Apache-2.0 */
/* seat.h: a session without a socket, whose submissions a test feeds to request_run() itself. */
#ifndef TESTS_SHMCACHE_SEAT_H
#define TESTS_SHMCACHE_SEAT_H

#include "shmcache/request.h"
#include "tests/shmcache/rig.h"

struct seat {
	struct rig rig; /* its holds come from the session */
	struct config config;
	struct abi_session directory;
	struct session_descriptors fds;
	struct session *session;
	struct lane *lane;
	int client_end;			  /* of the lane's doorbell */
	struct abi_lane_request *request; /* as the client maps it */
	uint8_t *staging;
	size_t staging_size;
	struct completion completion;
	enum abi_fault fault;
};

/*
 * A store of @dram_size and a session of @role on it, with one lane open. The configuration is
 * the default but for what the caller has set since seat_init().
 */
void seat_init(struct seat *d, uint64_t dram_size);
void seat_open(struct seat *d, enum wire_role role);
/* The session's end as a worker makes it: all is given back. */
void seat_leave(struct seat *d);
/* The same, and the store is removed. */
void seat_close(struct seat *d);

/* Run one submission, flushes to their end. */
enum request_outcome seat_run(struct seat *d, const struct submission *sub);

/* Run it and expect it to be answered; returns the status. */
enum abi_status seat_ask(struct seat *d, const struct submission *sub);

/* Run it and expect the session to be cut off for it; returns the fault. */
enum abi_fault seat_break(struct seat *d, const struct submission *sub);

/* A submission of @operation with @key in the staging area at 0, and a value of @size behind it.
 */
struct submission seat_make(struct seat *d, enum abi_operation operation, const char *key,
	uint32_t size, uint64_t seed);
/* It is made and answered; returns the status. */
enum abi_status seat_ask_of(struct seat *d, enum abi_operation operation, const char *key,
	uint32_t size, uint64_t seed);

/* A reservation, which must be had; and its end, by ABI_OP_COMMIT or ABI_OP_ABORT. */
uint64_t seat_reserve(struct seat *d, const char *key, uint32_t size);
enum abi_status seat_finish(struct seat *d, enum abi_operation operation, uint64_t reservation);

/* The size of the entry of @key, 0 if there is none; its bytes must be made of @seed. */
uint64_t seat_get(struct seat *d, const char *key, uint64_t seed);

/* Of a test on the seat d: a writer on 16 MiB; nothing is left. */
int seat_setup(void **state);
int seat_teardown(void **state);
#define SEAT_TEST(name) cmocka_unit_test_prestate_setup_teardown(name, seat_setup, seat_teardown, &d)

#endif
