/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c: the corpus through a target, where there is no libFuzzer to do more. */
#include <dirent.h>
#include <stdio.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1U << 20)

static int replay_file(const char *directory, const char *file)
{
	static uint8_t input[INPUT_MAX];
	char path[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return -1;
	}
	n = fread(input, 1, sizeof(input), f);
	fclose(f);
	LLVMFuzzerTestOneInput(input, n);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	unsigned n = 0;
	DIR *d;

	if (argc != 2) {
		fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
		return 2;
	}
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	d = opendir(argv[1]);
	if (!d) {
		perror(argv[1]);
		return 2;
	}
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay_file(argv[1], entry->d_name))
			return 1;
		n++;
	}
	closedir(d);
	printf("%u inputs\n", n);
	/* A corpus that is not there tests nothing. */
	return n ? 0 : 1;
}
