/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each view says of the made cache, word for word, against the files in golden/; and that a
 * snapshot says the same. SHMCACHE_GOLDEN names that folder; with SHMCACHE_GOLDEN_WRITE set the
 * files are written anew, to be read before they are committed.
 */
#include <setjmp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "clients/inspect/map.h"
#include "clients/inspect/snapshot.h"
#include "clients/inspect/view.h"
#include "tests/clients/inspect/made.h"
#include "tests/support/scratch.h"

struct page {
	const char *file;
	void (*write)(struct image *image, FILE *out);
	void (*change)(struct made *m); /* of what is made before it is looked at, or NULL */
};

static void summary(struct image *image, FILE *out)
{
	struct summary s;

	assert_int_equal(summary_make(image, &s), 0);
	text_summary(image, &s, out);
	summary_deinit(&s);
}

static void holders(struct image *image, FILE *out)
{
	struct summary s;

	assert_int_equal(summary_make(image, &s), 0);
	text_holders(image, &s, out);
	summary_deinit(&s);
}

static const struct view_ring ring = {.session = 12, .lane = -1};

static void rings(struct image *image, FILE *out)
{
	assert_true(text_ring(image, &ring, out));
}

static void print(struct json_object *o, FILE *out);

/* Requests that are answered in any order. */
static void fetches(struct image *image, FILE *out)
{
	static const struct view_ring second = {.session = 12, .lane = 1};
	struct summary s;

	assert_int_equal(summary_make(image, &s), 0);
	assert_int_equal(s.session[0].n_elsewhere, 2);
	fprintf(out, "%s\n", s.alert[1]);
	summary_deinit(&s);
	assert_true(text_ring(image, &second, out));
	print(view_json_ring(image, &second), out);
}

static void keys(struct image *image, FILE *out)
{
	static const char *const names[] = {"alpha", "beta", "gamma", "\x01\xff\n", "crowd-1"};
	unsigned i;

	for (i = 0; i < 5; i++) {
		struct view_key key = {.data = names[i], .size = strlen(names[i])};

		if (!text_key(image, &key, out))
			fprintf(out, "no %s\n", names[i]);
		fputc('\n', out);
	}
}

static void check(struct image *image, FILE *out)
{
	struct check_counts counts;
	struct findings f = {0};

	assert_int_equal(check_run(image, &f, &counts), 0);
	text_check(image, &f, &counts, out);
	findings_deinit(&f);
}

static void print(struct json_object *o, FILE *out)
{
	assert_non_null(o);
	fprintf(out, "%s\n", json_object_to_json_string_ext(o,
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

/* All counters and gauges are there; which these are is not what is tested here. */
static struct json_object *without_numbers(struct json_object *o)
{
	struct json_object *numbers = json_object_object_get(o, "numbers");

	assert_int_equal(json_object_object_length(numbers), ABI_N_COUNTERS + ABI_N_GAUGES);
	json_object_object_del(o, "numbers");
	return o;
}

static void json(struct image *image, FILE *out)
{
	struct view_key key = {.data = "beta", .size = 4};
	struct check_counts counts;
	struct findings f = {0};
	struct summary s;

	assert_int_equal(summary_make(image, &s), 0);
	print(without_numbers(view_json_summary(image, &s)), out);
	print(view_json_holders(image, &s), out);
	summary_deinit(&s);
	print(view_json_ring(image, &ring), out);
	print(view_json_key(image, &key), out);
	assert_int_equal(check_run(image, &f, &counts), 0);
	print(view_json_check(image, &f, &counts), out);
	findings_deinit(&f);
}

static const struct page pages[] = {
	{"summary.txt", summary, NULL},
	{"holders.txt", holders, NULL},
	{"rings.txt", rings, NULL},
	{"fetches.txt", fetches, made_fetches},
	{"keys.txt", keys, NULL},
	{"check.txt", check, NULL},
	{"all.json", json, NULL},
};

static char *render(const struct page *page, struct image *image)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	page->write(image, out);
	fclose(out);
	return text;
}

static char *load(const char *folder, const char *file)
{
	char path[4096], *text = calloc(1, 65536);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	f = fopen(path, "r");
	assert_non_null(text);
	if (f) {
		(void)!fread(text, 1, 65535, f);
		fclose(f);
	}
	return text;
}

static void store(const char *folder, const char *file, const char *text)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void look(struct made *m, void (*change)(struct made *m))
{
	char why[256] = "";

	made_open(m);
	if (change)
		change(m);
	assert_int_equal(made_look(m, why, sizeof(why)), 0);
}

static void test_golden(void **state)
{
	const char *folder = getenv("SHMCACHE_GOLDEN");
	int n_wrong = 0;
	struct made m;
	unsigned i;

	(void)state;
	assert_non_null(folder);
	for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		char *text, *golden;

		look(&m, pages[i].change);
		text = render(&pages[i], &m.image);
		made_close(&m);
		if (getenv("SHMCACHE_GOLDEN_WRITE"))
			store(folder, pages[i].file, text);
		golden = load(folder, pages[i].file);
		if (strcmp(text, golden)) {
			fprintf(stderr, "%s: it says\n%s\nand should say\n%s\n", pages[i].file,
				text,
				golden);
			n_wrong++;
		}
		free(text);
		free(golden);
	}
	assert_int_equal(n_wrong, 0);
}

/*
 * Saved, and looked at elsewhere: all pages say the same; and so once more, saved from the
 * snapshot.
 */
static void compare_offline(void (*change)(struct made *m))
{
	struct scratch scratch;
	char path[PATH_MAX], again[PATH_MAX], why[512] = "";
	struct image offline, twice;
	struct made m;
	unsigned i;

	look(&m, change);
	assert_int_equal(scratch_make(&scratch, NULL), 0);
	scratch_file(&scratch, "snapshot", path);
	scratch_file(&scratch, "again", again);
	assert_int_equal(image_save(&m.image, path, why, sizeof(why)), 0);
	assert_int_equal(image_save(&m.image, path, why, sizeof(why)), -EEXIST);
	assert_int_equal(image_open_file(&offline, path, why, sizeof(why)), 0);
	assert_int_equal(image_save(&offline, again, why, sizeof(why)), 0);
	assert_int_equal(image_open_file(&twice, again, why, sizeof(why)), 0);
	for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		char *live, *text, *third;

		if (pages[i].change != change)
			continue;
		live = render(&pages[i], &m.image);
		text = render(&pages[i], &offline);
		third = render(&pages[i], &twice);
		assert_string_equal(text, live);
		assert_string_equal(third, live);
		free(live);
		free(text);
		free(third);
	}
	image_close(&offline);
	image_close(&twice);
	scratch_remove(&scratch);
	made_close(&m);
}

static void test_offline(void **state)
{
	(void)state;
	compare_offline(NULL);
	compare_offline(made_fetches);
}

/* The made cache, saved, in memory that the caller frees. */
static char *saved(struct made *m, size_t *size)
{
	char path[PATH_MAX], why[512] = "", *text = malloc(1 << 22);
	struct scratch scratch;
	FILE *f;

	assert_int_equal(scratch_make(&scratch, NULL), 0);
	assert_int_equal(image_save(&m->image, scratch_file(&scratch, "s", path), why, sizeof(why)),
		0);
	f = fopen(path, "r");
	assert_true(f && text);
	*size = fread(text, 1, 1 << 22, f);
	fclose(f);
	scratch_remove(&scratch);
	return text;
}

/* Values don't leave: of the staging area only keys are in a snapshot. */
static void test_no_values(void **state)
{
	static const char secret[] = "the bytes of a value in staging";
	struct made m;
	size_t n;
	char *text;

	(void)state;
	look(&m, NULL);
	memcpy((char *)made_request(&m, 0) + m.geometry.staging_off + 4096 + 16, secret,
		sizeof(secret));
	text = saved(&m, &n);
	assert_null(memmem(text, n, secret, sizeof(secret) - 1));
	assert_non_null(memmem(text, n, "stuck \x01 put", 11));
	free(text);
	made_close(&m);
}

/* Cut anywhere, a snapshot is refused with a sentence, or shows what is left. */
static void test_cut_short(void **state)
{
	char why[512], *text;
	struct image image;
	struct made m;
	size_t n, size;

	(void)state;
	look(&m, NULL);
	text = saved(&m, &n);
	for (size = 0; size < n; size += size < 2000 ? 7 : 4093) {
		why[0] = '\0';
		assert_int_not_equal(image_open_buffer(&image, text, size, why, sizeof(why)), 0);
		assert_true(strlen(why) > 10);
	}
	assert_int_equal(image_open_buffer(&image, text, n, why, sizeof(why)), 0);
	image_close(&image);
	free(text);
	made_close(&m);
}

/* Sections on the same bytes would make work of any amount out of a small file. */
static void test_shared_bytes(void **state)
{
	struct snapshot_section *section;
	struct snapshot_head *head;
	char why[512] = "", *text;
	struct image image;
	struct made m;
	size_t n;

	(void)state;
	look(&m, NULL);
	text = saved(&m, &n);
	head = (void *)text;
	section = (void *)(head + 1);
	/* The last two of them are responses of lanes: the one before becomes as the plane. */
	section[head->n_sections - 2].at = section[0].at;
	section[head->n_sections - 2].size = n - section[0].at;
	assert_int_equal(image_open_buffer(&image, text, n, why, sizeof(why)), -EBADMSG);
	free(text);
	made_close(&m);
}

/* A snapshot may say anything, and a process be called anything: no terminal is commanded by it. */
static void test_names_are_clean(void **state)
{
	char why[512] = "", *text, *said, *name;
	struct image image;
	struct made m;
	size_t n, i;

	(void)state;
	look(&m, NULL);
	text = saved(&m, &n);
	for (i = 0; i < 2; i++) {
		name = memmem(text, n, i ? "engine" : "shmcached", 6);
		assert_non_null(name);
		memcpy(name, "\x1b[2J\x9b\n", 6);
	}
	assert_int_equal(image_open_buffer(&image, text, n, why, sizeof(why)), 0);
	said = render(&pages[0], &image);
	assert_null(strchr(said, 0x1b));
	assert_null(strchr(said, '\x9b'));
	assert_non_null(strstr(said, "?[2J?"));
	free(said);
	image_close(&image);
	free(text);
	made_close(&m);
}

/* Each colour for each block: the map is as full as the tier is. */
static void test_map(void **state)
{
	struct map_cell *cells;
	unsigned color, i;
	uint64_t sum;
	struct made m;

	(void)state;
	look(&m, NULL);
	for (color = MAP_CLASS; color <= MAP_SESSION; color++) {
		/* A dot a grain: each is full or empty. */
		assert_int_equal(map_make(&m.image, ABI_TIER_DRAM, (enum map_color)color,
			MADE_DRAM / 64, &cells), 0);
		for (sum = 0, i = 0; i < MADE_DRAM / 64; i++) {
			assert_true(cells[i].fill == 0 || cells[i].fill == 255);
			sum += cells[i].fill == 255;
		}
		assert_int_equal(sum * 64,
			shared_u64_load(&m.plane->gauge[ABI_GAUGE_DRAM_USED_BYTES]));
		/* The last block is the one that is retired. */
		assert_true(cells[(m.n_dram - 64) / 64].is_unpublished);
		assert_false(cells[0].is_unpublished);
		free(cells);
	}
	/* One dot for all of it. */
	assert_int_equal(map_make(&m.image, ABI_TIER_CXL, MAP_CLASS, 1, &cells), 0);
	assert_in_range(cells[0].fill, 100608ULL * 255 / MADE_CXL - 1,
		100608ULL * 255 / MADE_CXL + 1);
	free(cells);
	assert_int_equal(map_make(&m.image, ABI_TIERS, MAP_CLASS, 10, &cells), -ENOENT);
	made_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_offline),
		cmocka_unit_test(test_no_values),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_shared_bytes),
		cmocka_unit_test(test_names_are_clean),
		cmocka_unit_test(test_map),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
