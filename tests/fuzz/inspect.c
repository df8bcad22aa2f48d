/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.c: the inspector's views of a snapshot with any of its bytes changed. */
#include <sys/stat.h>
#include <unistd.h>

#include "clients/inspect/map.h"
#include "clients/inspect/view.h"
#include "tests/clients/inspect/made.h"
#include "tests/fuzz/fuzz.h"

/*
 * A small cache is made and saved once. Each input is a list of changes to the lines of that file
 * which are not 0, or to their neighbours; with its first byte odd, it is a file of its own.
 * Whatever comes of it: it is refused with a sentence, or all views can be made of it, which end,
 * and print nothing that would command a terminal.
 */
#define LINE 64

static struct {
	uint8_t *bytes;
	size_t size;
	uint32_t *line; /* offsets */
	size_t n_lines;
} snapshot;

static void find_lines(void)
{
	static const uint8_t zeroes[LINE];
	size_t at, last = 0;

	snapshot.line = malloc((snapshot.size / LINE + 1) * sizeof(*snapshot.line));
	FUZZ_CHECK(snapshot.line, "no memory");
	for (at = 0; at + LINE <= snapshot.size; at += LINE) {
		/* And one line behind what is used, for counts that say one more. */
		if (memcmp(snapshot.bytes + at, zeroes, LINE))
			last = at;
		else if (!at || at - last != LINE)
			continue;
		snapshot.line[snapshot.n_lines++] = (uint32_t)at;
	}
}

static void make_snapshot(void)
{
	char path[] = P_tmpdir "/shmcache-fuzz-XXXXXX", file[64], why[512] = "";
	static struct made m;
	struct stat st;
	FILE *f;

	made_open(&m);
	made_fetches(&m);
	FUZZ_CHECK(!made_look(&m, why, sizeof(why)), "%s", why);
	FUZZ_CHECK(mkdtemp(path), "no folder");
	snprintf(file, sizeof(file), "%s/s", path);
	FUZZ_CHECK(!image_save(&m.image, file, why, sizeof(why)), "%s", why);
	f = fopen(file, "r");
	FUZZ_CHECK(f && !fstat(fileno(f), &st), "no snapshot");
	snapshot.size = (size_t)st.st_size;
	snapshot.bytes = malloc(snapshot.size);
	FUZZ_CHECK(snapshot.bytes &&
			fread(snapshot.bytes, 1, snapshot.size, f) == snapshot.size, "can't read");
	fclose(f);
	unlink(file);
	rmdir(path);
	made_close(&m);
	find_lines();
}

static void change(uint8_t *bytes, struct fuzz_input *in)
{
	uint8_t patch[8];
	size_t at, n;

	while (in->left) {
		at = fuzz_u16(in) % snapshot.n_lines;
		at = snapshot.line[at] + fuzz_u8(in) % LINE;
		n = 1 + fuzz_u8(in) % 8;
		fuzz_take(in, patch, n);
		if (at + n <= snapshot.size)
			memcpy(bytes + at, patch, n);
	}
}

static void check_text(const char *text, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		FUZZ_CHECK((text[i] >= 0x20 && text[i] != 0x7f) || text[i] == '\n' || text[i] < 0,
			"byte %02x in what is printed", (unsigned char)text[i]);
}

static void drop(struct json_object *o)
{
	if (!o)
		return;
	FUZZ_CHECK(json_object_to_json_string(o), "no JSON");
	json_object_put(o);
}

static void look_at_key(struct image *image, const char *name, FILE *out)
{
	struct view_key key = {.data = name, .size = strlen(name)};

	if (!image->has_index)
		return;
	text_key(image, &key, out);
	drop(view_json_key(image, &key));
}

static void look_at_map(struct image *image)
{
	struct map_cell *cells;
	unsigned tier, color;

	for (tier = 0; tier <= ABI_TIERS; tier++)
		for (color = MAP_CLASS; color <= MAP_SESSION; color++)
			if (!map_make(image, tier, (enum map_color)color, 97, &cells))
				free(cells);
}

static void look(struct image *image, FILE *out)
{
	struct check_counts counts;
	struct findings f = {0};
	struct view_ring ring = {.lane = -1};
	struct summary s;
	unsigned i;

	FUZZ_CHECK(!summary_make(image, &s), "no summary");
	text_summary(image, &s, out);
	text_holders(image, &s, out);
	drop(view_json_summary(image, &s));
	drop(view_json_holders(image, &s));
	summary_deinit(&s);
	for (i = 0; i < image->n_sessions && i < 3; i++) {
		ring.session = image->session[i].id;
		text_ring(image, &ring, out);
		drop(view_json_ring(image, &ring));
	}
	look_at_key(image, "beta", out);
	look_at_key(image, "gamma", out);
	FUZZ_CHECK(!check_run(image, &f, &counts), "no check");
	text_check(image, &f, &counts, out);
	drop(view_json_check(image, &f, &counts));
	findings_deinit(&f);
	look_at_map(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct image image;
	char why[512] = "", *text = NULL;
	size_t text_size = 0;
	uint8_t *bytes;
	FILE *out;
	int r;

	if (!snapshot.bytes)
		make_snapshot();
	bytes = malloc(snapshot.size);
	FUZZ_CHECK(bytes, "no memory");
	memcpy(bytes, snapshot.bytes, snapshot.size);
	if (size && fuzz_u8(&in) % 2) {
		r = image_open_buffer(&image, in.at, in.left, why, sizeof(why));
	} else {
		change(bytes, &in);
		r = image_open_buffer(&image, bytes, snapshot.size, why, sizeof(why));
	}
	free(bytes);
	FUZZ_CHECK(size || !r, "the snapshot alone: %s", why);
	if (r) {
		FUZZ_CHECK(why[0], "refused, and no reason why");
		return 0;
	}
	out = open_memstream(&text, &text_size);
	FUZZ_CHECK(out, "no stream");
	look(&image, out);
	fclose(out);
	check_text(text, text_size);
	free(text);
	image_close(&image);
	return 0;
}
