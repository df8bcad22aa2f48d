/* SPDX-License-Identifier: Apache-2.0 */
/* scene.c: what is there before a change, and again before the next broker tries it. */
#include "tests/step/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

/* Else each run would have its own, and be of another length. */
#define HASH_SEED 42

struct scene scene;

uint64_t scene_value_size(uint64_t key, unsigned version)
{
	return version == 3 ? 1900 : 40 + key * 7 % 200 + version * 30;
}

uint64_t scene_value_seed(uint64_t key, unsigned version)
{
	return key << 8 | version;
}

void scene_value_make(struct scene_value *value, uint64_t key, unsigned version)
{
	value->size = scene_value_size(key, version);
	value->seed = scene_value_seed(key, version);
	rig_fill(value->bytes, value->size, value->seed);
}

void scene_put(uint64_t key, unsigned version)
{
	assert_int_equal(rig_put(&scene.rig, key, scene_value_seed(key, version),
				 scene_value_size(key, version)),
		ABI_STATUS_OK);
}

void scene_put_all(unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		scene_put(i, 1);
	scene.n_keys = n;
}

void scene_put_full(void)
{
	unsigned i;

	for (i = 0; scene.rig.store.limbo.n == 0 && rig_count(&scene.rig, ABI_COUNTER_EVICTIONS) == 0;
		i++)
		scene_put(i, 1);
	rig_drain(&scene.rig);
	scene.n_keys = i;
}

void scene_view(uint64_t key)
{
	view_take(&scene.told->view, &scene.rig, key, scene_value_seed(key, 1),
		scene_value_size(key, 1));
}

/* --- there and back --------------------------------------------------------------------------- */

void scene_rig(struct rig *rig)
{
	rig_init(rig, scene.size.dram, scene.size.index);
	rig->options.batch = 1;
	if (scene.size.cxl)
		rig_add_cxl(rig, scene.size.cxl);
}

int scene_open(const struct scene_size *size, void (*enter)(void))
{
	memset(&scene, 0, sizeof(scene));
	scene.size = *size;
	scene.told = mmap(NULL, sizeof(*scene.told), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (scene.told == MAP_FAILED)
		return -1;
	scene_rig(&scene.rig);
	rig_open(&scene.rig, false);
	scene.rig.store.index.head->hash_seed = HASH_SEED;
	scene.rig.store.index.lookup.seed = HASH_SEED;
	enter();
	scene.told_first = scene.told_last = *scene.told;
	if (image_save(&scene.index, scene.rig.index_name) ||
		image_save(&scene.dram, scene.rig.dram_name))
		return -1;
	return size->cxl && image_save(&scene.cxl, scene.rig.cxl_name) ? -1 : 0;
}

int scene_close(void)
{
	image_forget(&scene.index);
	image_forget(&scene.dram);
	image_forget(&scene.cxl);
	munmap(scene.told, sizeof(*scene.told));
	rig_remove(&scene.rig);
	return rig_leftovers() ? -1 : 0;
}

void scene_restore(void)
{
	image_restore(&scene.index);
	image_restore(&scene.dram);
	if (scene.cxl.size)
		image_restore(&scene.cxl);
	*scene.told = scene.told_first;
}

bool scene_has_changed(void)
{
	bool index = image_has_changed(&scene.index), dram = image_has_changed(&scene.dram);
	bool cxl = scene.cxl.size && image_has_changed(&scene.cxl);
	bool told = memcmp(&scene.told_last, scene.told, sizeof(*scene.told)) != 0;

	scene.told_last = *scene.told;
	return index || dram || cxl || told;
}
