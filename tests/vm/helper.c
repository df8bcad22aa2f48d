/* SPDX-License-Identifier: Apache-2.0 */
/* helper.c: what the test in the virtual machine does that no tool does. */
#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <numaif.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocator/dax.h"
#include "clients/shmcache.h"

/*
 * Each command prints one line and ends with 0 when things are as its name says. The device's traps
 * are looked at here without our allocator, so that it is the kernel that is asked: should another
 * one behave otherwise, this says so first.
 */
#define PAGE 4096

static struct dax_device device;
static uint64_t *map;

static int device_map(const char *path, uint64_t size)
{
	int r = dax_find(path, &device), fd;

	if (r) {
		printf("no %s: %s\n", path, strerror(-r));
		return r;
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		printf("can't open %s: %s\n", path, strerror(errno));
		return -errno;
	}
	map = mmap(NULL, size ? size : device.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED) {
		printf("can't map %s: %s\n", path, strerror(errno));
		return -errno;
	}
	return 0;
}

static const char secret[] = "left by an earlier user";

/* fill DEVICE [FROM]: leave a secret on each page, from that offset on. */
static int fill(int argc, char **argv)
{
	uint64_t off = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;

	if (device_map(argv[0], 0))
		return 1;
	for (; off < device.size; off += PAGE)
		memcpy((char *)map + off, secret, sizeof(secret));
	printf("filled %s\n", argv[0]);
	return 0;
}

/* count DEVICE: on how many pages the secret is. */
static int count(int argc, char **argv)
{
	uint64_t off, n = 0;

	(void)argc;
	if (device_map(argv[0], 0))
		return 1;
	for (off = 0; off < device.size; off += PAGE)
		n += !memcmp((char *)map + off, secret, sizeof(secret));
	printf("secrets=%llu\n", (unsigned long long)n);
	return 0;
}

/* spoil DEVICE: invert the first page, where the broker keeps its header. */
static int spoil(int argc, char **argv)
{
	(void)argc;
	if (device_map(argv[0], 0))
		return 1;
	map[0] = ~map[0];
	printf("spoilt\n");
	return 0;
}

/* header DEVICE get|put FILE: take the first page to a file, or back. */
static int header(int argc, char **argv)
{
	bool put = argc > 2 && !strcmp(argv[1], "put");
	int fd, done;

	if (argc < 3 || device_map(argv[0], 0))
		return 1;
	fd = open(argv[2], put ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC, 0600);
	done = fd < 0 ? -1 : put ? (int)read(fd, map, PAGE) : (int)write(fd, map, PAGE);
	printf("%d bytes\n", done);
	return done != PAGE;
}

/* size-untold DEVICE: fstat() gives none, daxctl does. */
static int size_untold(int argc, char **argv)
{
	struct stat st;

	(void)argc;
	if (device_map(argv[0], 0) || stat(argv[0], &st))
		return 1;
	printf("stat=%lld daxctl=%llu\n", (long long)st.st_size, (unsigned long long)device.size);
	return st.st_size != 0 || device.size == 0;
}

/* beyond-kills DEVICE: a map that is too long succeeds, and kills who touches what is not there. */
static int beyond_kills(int argc, char **argv)
{
	int status = 0;
	pid_t pid;

	(void)argc;
	if (dax_find(argv[0], &device) || device_map(argv[0], device.size + device.align))
		return 1;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		((volatile char *)map)[device.size - 1] = 1;
		((volatile char *)map)[device.size] = 1;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("signal=%d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	return !WIFSIGNALED(status) || WTERMSIG(status) != SIGBUS;
}

/* node-misreported DEVICE: get_mempolicy() names a node that the memory is not on. */
static int node_misreported(int argc, char **argv)
{
	int node = -1;

	(void)argc;
	if (device_map(argv[0], 0))
		return 1;
	map[0] = map[0];
	if (get_mempolicy(&node, NULL, 0, map, MPOL_F_NODE | MPOL_F_ADDR))
		node = -errno;
	printf("get_mempolicy=%d target=%d\n", node, device.target_node);
	return node == device.target_node;
}

/* sparse: libnuma answers for a node that does not exist, as if it had every CPU. */
static int sparse(int argc, char **argv)
{
	struct bitmask *cpus = numa_allocate_cpumask();
	int node, n = 0;

	(void)argc;
	(void)argv;
	for (node = 0; node <= numa_max_node(); node++) {
		if (numa_node_size64(node, NULL) >= 0)
			continue;
		n++;
		printf("node %d: to_cpus=%d cpus=%u\n", node, numa_node_to_cpus(node, cpus),
			numa_bitmask_weight(cpus));
	}
	printf("absent=%d\n", n);
	return n == 0;
}

static struct shmc *attach(const char *name)
{
	struct shmc *cache = NULL;
	int r = shmc_attach(&cache, name, NULL);

	if (r)
		printf("attach: %s\n", shmc_strerror(r));
	return cache;
}

/* unfilled NAME SIZE: a block that is committed as it came holds zeroes. */
static int unfilled(int argc, char **argv)
{
	struct shmc_put_options options = {.tier = SHMC_TIER_CXL};
	size_t size = argc > 1 ? strtoull(argv[1], NULL, 0) : 0, i;
	struct shmc *cache = attach(argv[0]);
	struct shmc_reservation block;
	struct shmc_view view;
	int r;

	if (!cache)
		return 1;
	r = shmc_reserve(cache, "unfilled", 8, size, &options, &block, SHMC_TIMEOUT_DEFAULT);
	if (!r)
		r = shmc_commit(cache, &block, SHMC_TIMEOUT_DEFAULT);
	if (!r)
		r = shmc_get(cache, "unfilled", 8, &view);
	if (r) {
		printf("unfilled: %s\n", shmc_strerror(r));
		return 1;
	}
	for (i = 0; i < size && !((const char *)view.data)[i]; i++)
		;
	printf("zeroes=%zu\n", i);
	return i != size;
}

/* stay NAME KEY: hold a view, and wait for the end. */
static int stay(int argc, char **argv)
{
	struct shmc *cache = attach(argv[0]);
	struct shmc_view view;

	if (!cache || argc < 2 || shmc_get(cache, argv[1], strlen(argv[1]), &view))
		return 1;
	printf("holding %zu bytes\n", view.size);
	fflush(stdout);
	for (;;)
		pause();
}

/* reserve NAME: have a block open, and wait for the end. */
static int reserve(int argc, char **argv)
{
	struct shmc_put_options options = {.tier = SHMC_TIER_CXL};
	struct shmc *cache = attach(argv[0]);
	struct shmc_reservation block;

	(void)argc;
	if (!cache || shmc_reserve(cache, "never", 5, 1 << 20, &options, &block,
				      SHMC_TIMEOUT_DEFAULT))
		return 1;
	memset(block.data, 0xee, 1 << 20);
	printf("reserved\n");
	fflush(stdout);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
		int n_least;
	} commands[] = {
		{"fill", fill, 1},
		{"count", count, 1},
		{"spoil", spoil, 1},
		{"header", header, 3},
		{"size-untold", size_untold, 1},
		{"beyond-kills", beyond_kills, 1},
		{"node-misreported", node_misreported, 1},
		{"sparse", sparse, 0},
		{"unfilled", unfilled, 2},
		{"stay", stay, 2},
		{"reserve", reserve, 1},
	};
	size_t i;

	for (i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name) && argc - 2 >= commands[i].n_least)
			return commands[i].run(argc - 2, argv + 2);
	fprintf(stderr, "helper: no such command\n");
	return 2;
}
