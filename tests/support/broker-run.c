/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private broker for a test or a benchmark.
 *
 * Tests run side by side, on machines where a broker may be in use, so each starts its
 * own under a name made of its pid and a number. The broker is the real program with a
 * real configuration file, and it is ready when an attach succeeds: there is no other
 * sign that means as much.
 *
 * Unless asked to, it does not persist, so that its SIGTERM leaves nothing in /dev/shm.
 * What even a SIGKILL leaves is known by name and removed by broker_run_unlink().
 */
#include "tests/support/broker-run.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_TAIL_SIZE 4096

void broker_run_program(char path[PATH_MAX])
{
	char self[PATH_MAX] = "";
	const char *env = getenv("SHMCACHED");
	char *dir = self;

	if (env && env[0]) {
		snprintf(path, PATH_MAX, "%s", env);
		return;
	}
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		self[0] = '\0';
	while (self[0] && strlen(dir) > 1) {
		dir = dirname(dir);
		if (snprintf(path, PATH_MAX, "%s/shmcache/shmcached", dir) < PATH_MAX &&
			!access(path, X_OK))
			return;
	}
	snprintf(path, PATH_MAX, "shmcached");
}

int broker_run_program_share(const struct scratch *scratch)
{
	char from[PATH_MAX], to[PATH_MAX];
	ssize_t n = 0;
	struct stat st;
	int in, out, r = 0;

	broker_run_program(from);
	in = open(from, O_RDONLY | O_CLOEXEC);
	out = open(scratch_file(scratch, "shmcached", to), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	if (in < 0 || out < 0 || fstat(in, &st) || fchmod(out, 0755) ||
		chmod(scratch->path, 0755) || setenv("SHMCACHED", to, 1))
		r = -errno;
	while (!r && (n = sendfile(out, in, NULL, (size_t)st.st_size)) > 0)
		;
	if (n < 0)
		r = -errno;
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return r;
}

static int config_write(
	const struct broker_run *run, const struct broker_run_options *options)
{
	char path[PATH_MAX];
	FILE *file;
	int r;

	file = fopen(scratch_file(&run->scratch, "broker.conf", path), "we");
	if (!file)
		return -errno;
	r = fprintf(file, "[cache]\nname = %s\npersist = %s\n[dram]\nsize = %s\n%s\n",
		run->name, options->persist ? "on" : "off",
		options->dram_size ? options->dram_size : "64MiB",
		options->config ? options->config : "");
	return fclose(file) || r < 0 ? -EIO : 0;
}

static void log_print(const struct broker_run *run)
{
	char path[PATH_MAX], text[LOG_TAIL_SIZE];
	size_t size;
	FILE *file;

	file = fopen(scratch_file(&run->scratch, "broker.log", path), "re");
	if (!file)
		return;
	if (fseek(file, -LOG_TAIL_SIZE, SEEK_END))
		rewind(file);
	size = fread(text, 1, sizeof(text), file);
	fwrite(text, 1, size, stderr);
	fclose(file);
}

static int process_start(struct broker_run *run, int cpu)
{
	char config[PATH_MAX], log[PATH_MAX];
	const char *argv[] = {run->program, "-c", config, NULL};
	struct proc_options options = {argv, cpu, -1, -1, -1};
	int r;

	scratch_file(&run->scratch, "broker.conf", config);
	options.stderr_fd = open(scratch_file(&run->scratch, "broker.log", log),
		O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (options.stderr_fd < 0)
		return -errno;
	r = proc_start(&run->proc, &options);
	close(options.stderr_fd);
	if (r)
		fprintf(stderr, "can't start the broker %s: %s\n", run->program,
			strerror(-r));
	return r;
}

/* Attach, again and again until the broker is up, gone, or too slow. */
static int ready_wait(struct broker_run *run, struct shmc **cache,
	const struct shmc_attach_options *attach, int timeout_ms)
{
	struct shmc_attach_options options = {0};
	struct timespec pause = {.tv_nsec = 2000000};
	char why[256] = "";
	int waited, r = 0;

	if (attach)
		options = *attach;
	options.why = why;
	options.why_size = sizeof(why);
	for (waited = 0; waited < timeout_ms; waited += 2) {
		if (!proc_running(&run->proc)) {
			r = -ECHILD;
			break;
		}
		r = shmc_attach(cache, run->name, &options);
		if (!r)
			return 0;
		/* The last: a plane of another version, which the broker is about to replace. */
		if (r != -ENOENT && r != -ECONNREFUSED && r != -ETIMEDOUT &&
			r != -EPROTONOSUPPORT)
			break;
		nanosleep(&pause, NULL);
	}
	fprintf(stderr, "the broker %s did not come up: %s\n", run->name,
		r == -ECHILD ? "it ended"
		: why[0]     ? why
			     : shmc_strerror(r));
	log_print(run);
	return r ? r : -ETIMEDOUT;
}

int broker_run_start(struct broker_run *run, const struct broker_run_options *options,
	struct shmc **cache, const struct shmc_attach_options *attach)
{
	static unsigned n_started;
	struct shmc *own = NULL;
	int r;

	memset(run, 0, sizeof(*run));
	snprintf(run->name, sizeof(run->name), "test-%d-%u", getpid(),
		__atomic_add_fetch(&n_started, 1, __ATOMIC_RELAXED));
	if (options->program)
		snprintf(run->program, sizeof(run->program), "%s", options->program);
	else
		broker_run_program(run->program);
	r = scratch_make(&run->scratch, NULL);
	if (r)
		return r;
	r = config_write(run, options);
	if (!r)
		r = process_start(run, options->cpu);
	if (!r)
		r = ready_wait(run, &own, attach,
			options->timeout_ms ? options->timeout_ms : 30000);
	if (r) {
		broker_run_stop(run);
		return r;
	}
	if (cache)
		*cache = own;
	else
		shmc_detach(own);
	return 0;
}

int broker_run_launch(struct broker_run *run)
{
	return process_start(run, PROC_CPU_ANY);
}

int broker_run_again(struct broker_run *run)
{
	struct shmc *cache;
	int r;

	r = broker_run_launch(run);
	if (!r)
		r = ready_wait(run, &cache, NULL, 30000);
	if (!r)
		shmc_detach(cache);
	return r;
}

int broker_run_stop(struct broker_run *run)
{
	int r = proc_stop(&run->proc);

	scratch_remove(&run->scratch);
	return r;
}

int broker_run_unlink(const char *name)
{
	static const char *const suffixes[] = {"", ".index", ".dram", ".cxl", ".sock",
		".lock"};
	char path[80];
	size_t i;
	int n = 0;

	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(path, sizeof(path), "/%s%s", name, suffixes[i]);
		n += !shm_unlink(path);
	}
	return n;
}

uint64_t broker_run_stat(struct shmc *cache, const char *name)
{
	struct shmc_stat_value values[256];
	int i, n;

	n = shmc_stats(cache, values, 256);
	for (i = 0; i < n && i < 256; i++)
		if (!strcmp(values[i].name, name))
			return values[i].value;
	return UINT64_MAX;
}
