/* SPDX-License-Identifier: Apache-2.0 */
/* attached.h: a broker for a group of tests, and for each a handle on its cache, which is empty. */
#ifndef TESTS_CLIENTS_ATTACHED_H
#define TESTS_CLIENTS_ATTACHED_H

#include <stddef.h>
#include <stdint.h>

#include "tests/support/broker-run.h"

enum { WAIT = 20000, TIER = 64 << 20 };

int attached_group_setup(void **state);
int attached_group_teardown(void **state);
const struct broker_run *attached_broker(void);

/* The state of a test is its struct shmc, of the role that its setup says. */
int attached_setup_reader(void **state);
int attached_setup_stager(void **state);
int attached_setup_writer(void **state);
int attached_teardown(void **state);
#define ATTACHED_TEST(name, role) \
	cmocka_unit_test_setup_teardown(name, attached_setup_##role, attached_teardown)

/* Another handle. */
struct shmc *attached_as(enum shmc_role role);

/* Put a value that is a string; and find one, which lies as the library promises. */
void attached_put(struct shmc *cache, const char *key, const char *value);
void attached_assert_value(struct shmc *cache, const char *key, const void *value, size_t size);

/* Bytes that are not all the same, to be freed by the caller. */
uint8_t *attached_pattern(size_t size, unsigned seed);

#endif
