/* SPDX-License-Identifier: Apache-2.0 */
/* attached.c: see attached.h. */
#include "tests/clients/attached.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct broker_run broker;

int attached_group_setup(void **state)
{
	(void)state;
	return broker_run_start(
		&broker, &(struct broker_run_options){.cpu = PROC_CPU_ANY}, NULL, NULL);
}

int attached_group_teardown(void **state)
{
	(void)state;
	return broker_run_stop(&broker);
}

const struct broker_run *attached_broker(void)
{
	return &broker;
}

struct shmc *attached_as(enum shmc_role role)
{
	struct shmc_attach_options options = {.role = role, .timeout_ms = WAIT};
	struct shmc *cache;

	assert_int_equal(shmc_attach(&cache, broker.name, &options), 0);
	assert_int_equal(shmc_role(cache), role);
	assert_string_equal(shmc_name(cache), broker.name);
	return cache;
}

static int setup_as(void **state, enum shmc_role role)
{
	struct shmc *cache = attached_as(role);

	assert_int_equal(shmc_flush(cache, NULL, 0, NULL, WAIT),
		role == SHMC_ROLE_READER ? -EACCES : 0);
	*state = cache;
	return 0;
}

int attached_setup_writer(void **state)
{
	return setup_as(state, SHMC_ROLE_WRITER);
}

int attached_setup_stager(void **state)
{
	return setup_as(state, SHMC_ROLE_STAGER);
}

int attached_setup_reader(void **state)
{
	return setup_as(state, SHMC_ROLE_READER);
}

int attached_teardown(void **state)
{
	shmc_detach(*state);
	return 0;
}

void attached_put(struct shmc *cache, const char *key, const char *value)
{
	assert_int_equal(
		shmc_put(cache, key, strlen(key), value, strlen(value), NULL, WAIT), 0);
}

void attached_assert_value(struct shmc *cache, const char *key, const void *value, size_t size)
{
	struct shmc_view view;

	assert_int_equal(shmc_get(cache, key, strlen(key), &view), 0);
	assert_int_equal(view.size, size);
	assert_memory_equal(view.data, value, size);
	assert_int_equal((uintptr_t)view.data % 64, 0);
	if (size >= 64 << 10)
		assert_int_equal((uintptr_t)view.data % 4096, 0);
	shmc_release(cache, &view);
}

uint8_t *attached_pattern(size_t size, unsigned seed)
{
	uint8_t *value = malloc(size);
	size_t i;

	assert_non_null(value);
	for (i = 0; i < size; i++)
		value[i] = (uint8_t)((i + seed) * 2654435761U >> 23);
	return value;
}
