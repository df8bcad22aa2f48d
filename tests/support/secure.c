/* SPDX-License-Identifier: Apache-2.0 */
/* secure.c: how brokers of a test's own are sure of each other. */
#include "tests/support/secure.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/broker-run.h"
#include "tests/support/proc.h"

int secure_parse(const char *text, enum secure_mode *mode)
{
	static const char *const names[] = {"none", "tls", "bound"};
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(text, names[i])) {
			*mode = (enum secure_mode)i;
			return 0;
		}
	return -EINVAL;
}

/* `shmcache pki --quiet --directory FILES` and @words. */
static int run(const struct scratch *files, const char *a, const char *b, const char *c, const char *d)
{
	char program[PATH_MAX], *dir;
	const char *argv[] = {program, "pki", "--quiet", "--directory", files->path, a, b, c, d, NULL};
	struct proc_options options = {argv, PROC_CPU_ANY, -1, -1, -1};
	static struct proc proc;
	int r;

	broker_run_program(program);
	dir = dirname(dirname(program));
	memmove(program, dir, strlen(dir) + 1);
	strncat(program, "/clients/cli/shmcache", sizeof(program) - strlen(program) - 1);
	r = proc_start(&proc, &options);
	if (!r)
		r = proc_wait(&proc);
	return r > 0 ? -EIO : r;
}

int secure_make(struct scratch *files, unsigned n)
{
	char name[16];
	unsigned i;
	int r = scratch_make(files, NULL);

	if (!r)
		r = run(files, "--cluster", "shmcache", "init-ca", NULL);
	for (i = 0; i < n && !r; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		r = secure_add(files, name);
	}
	return r;
}

int secure_add(const struct scratch *files, const char *name)
{
	return run(files, "member", name, NULL, NULL);
}

void secure_config(char text[SECURE_CONFIG_SIZE], enum secure_mode mode, const struct scratch *files,
	const char *name)
{
	if (mode == SECURE_NONE)
		snprintf(text, SECURE_CONFIG_SIZE, "security = none\ninsecure_network = on\n");
	else
		snprintf(text, SECURE_CONFIG_SIZE,
			"security = tls\ndata_tls = %s\nca = %s/ca.pem\ncertificate = %s/%s.pem\n"
			"key = %s/%s.key\n",
			mode == SECURE_TLS ? "on" : "off", files->path, files->path, name, files->path,
			name);
}
