/* SPDX-License-Identifier: Apache-2.0 */
/* ends.h: both ends of a lane of a rig, for tests of requests over the rings. */
#ifndef TESTS_CLIENTS_ENDS_H
#define TESTS_CLIENTS_ENDS_H

#include <string.h>

#include "tests/clients/rig.h"

struct ends {
	struct rig rig;
	struct lane *lane;
};

/* The state of a test is its struct ends; a stager's, or a writer's, who fills blocks. */
int ends_setup_stager(void **state);
int ends_setup_writer(void **state);
int ends_teardown(void **state);
#define ENDS_TEST(name, role) \
	cmocka_unit_test_setup_teardown(name, ends_setup_##role, ends_teardown)

/* --- the client ------------------------------------------------------------------------------- */

/* A request that goes on its way, or waits for another. */
void ends_begin(struct ends *f, struct shmc_request *request);
/* It is the next that is done, with @result. */
void ends_done(struct ends *f, struct shmc_request *request, int result);

static inline struct shmc_request ends_put_of(const char *key, const void *value, size_t size)
{
	return (struct shmc_request){.operation = SHMC_OP_PUT, .key = key,
		.key_size = strlen(key), .value = (void *)value, .value_size = size};
}

static inline struct shmc_request ends_on_key(enum shmc_operation operation, const char *key)
{
	return (struct shmc_request){
		.operation = operation, .key = key, .key_size = strlen(key)};
}

/* --- the broker ------------------------------------------------------------------------------- */

/* The next submission, which must be an @operation; or that there is none. */
struct submission ends_taken(struct ends *f, enum abi_operation operation);
void ends_none_taken(struct ends *f);
/* It is answered, and the client sees the answer; a reservation's with a block at @off of DRAM. */
void ends_answer(struct ends *f, const struct submission *s, enum abi_status status);
void ends_reserved(
	struct ends *f, const struct submission *s, uint64_t id, uint64_t off);

#endif
