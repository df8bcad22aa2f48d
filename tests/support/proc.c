/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child process that does not outlive the program that started it.
 *
 * Tests and benchmarks start brokers, rivals and readers, and end only what they started,
 * by pid. PR_SET_PDEATHSIG covers the one death that cleanup.c can't, SIGKILL: the kernel
 * then sends the child a SIGTERM. It is set between fork and exec, where posix_spawn has
 * no hook for it. A parent that died before the call is noticed by the changed parent
 * pid.
 *
 * Whether the exec worked comes back over a pipe that closes on exec: an errno in it
 * means that it did not, an end of file that it did.
 *
 * The usage is read per thread: /proc/PID/schedstat and the context switches in
 * /proc/PID/status are those of the main thread alone, and a broker works in others.
 */
#include "tests/support/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_PATIENCE_MS 10000

static int cpu_pin(pid_t tid, int cpu)
{
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	for (i = 0; i < CPU_SETSIZE; i++)
		if (cpu == PROC_CPU_ANY || cpu == i)
			CPU_SET(i, &set);
	return sched_setaffinity(tid, sizeof(set), &set) ? -errno : 0;
}

static int child_redirect(const struct proc_options *options)
{
	int in = options->stdin_fd;

	if (in < 0)
		in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (in < 0 || dup2(in, STDIN_FILENO) < 0)
		return -errno;
	if (options->stderr_fd >= 0 && dup2(options->stderr_fd, STDERR_FILENO) < 0)
		return -errno;
	if (dup2(options->stdout_fd >= 0 ? options->stdout_fd : STDERR_FILENO,
		    STDOUT_FILENO) < 0)
		return -errno;
	return 0;
}

/* Between fork and exec; async-signal-safe calls only, as the parent may have threads. */
static _Noreturn void child_main(
	const struct proc_options *options, pid_t parent, int error_fd)
{
	sigset_t none;
	int r;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	r = options->cpu == PROC_CPU_ANY ? 0 : cpu_pin(0, options->cpu);
	if (!r)
		r = child_redirect(options);
	if (!r) {
		execvp(options->argv[0], (char *const *)options->argv);
		r = -errno;
	}
	if (write(error_fd, &r, sizeof(r)) < 0)
		_exit(126);
	_exit(127);
}

static void proc_undo(struct cleanup *cleanup)
{
	struct proc *proc = (struct proc *)cleanup; /* its first member */
	struct timespec pause = {.tv_nsec = 1000000};
	int i;

	if (!proc->pid)
		return;
	kill(proc->pid, SIGTERM);
	for (i = 0; i < STOP_PATIENCE_MS; i++) {
		if (!proc_running(proc))
			return;
		nanosleep(&pause, NULL);
	}
	kill(proc->pid, SIGKILL);
}

int proc_start(struct proc *proc, const struct proc_options *options)
{
	pid_t parent = getpid();
	int fds[2], r = 0;
	ssize_t n;

	memset(proc, 0, sizeof(*proc));
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	proc->pid = fork();
	if (!proc->pid)
		child_main(options, parent, fds[1]);
	if (proc->pid < 0)
		r = -errno;
	close(fds[1]);
	if (!r) {
		do
			n = read(fds[0], &r, sizeof(r));
		while (n < 0 && errno == EINTR);
		if (n > 0)
			waitpid(proc->pid, NULL, 0);
	}
	close(fds[0]);
	if (r)
		proc->pid = 0;
	else
		cleanup_add(&proc->cleanup, proc_undo);
	return r;
}

bool proc_running(const struct proc *proc)
{
	siginfo_t info = {0};

	if (!proc->pid)
		return false;
	return !waitid(P_PID, proc->pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
	       !info.si_pid;
}

int proc_wait(struct proc *proc)
{
	int status;
	pid_t pid;

	do
		pid = waitpid(proc->pid, &status, 0);
	while (pid < 0 && errno == EINTR);
	cleanup_drop(&proc->cleanup);
	proc->pid = 0;
	return pid < 0 ? -errno : status;
}

int proc_stop(struct proc *proc)
{
	if (!proc->pid)
		return 0;
	proc_undo(&proc->cleanup);
	return proc_wait(proc);
}

/* Call @visit for each thread of @pid; ends at the first failure. */
static int threads_visit(
	pid_t pid, int (*visit)(pid_t pid, pid_t tid, void *context), void *context)
{
	struct dirent *entry;
	char path[64];
	int r = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!r && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			r = visit(pid, (pid_t)atoi(entry->d_name), context);
	closedir(dir);
	return r;
}

static int thread_pin(pid_t pid, pid_t tid, void *context)
{
	(void)pid;
	return cpu_pin(tid, *(int *)context);
}

int proc_pin(pid_t pid, int cpu)
{
	return threads_visit(pid, thread_pin, &cpu);
}

/* The number behind @field in a file of "field: number" lines, or 0. */
static uint64_t field_read(const char *path, const char *field)
{
	size_t size = strlen(field);
	uint64_t value = 0;
	char line[256];
	FILE *file;

	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, field, size))
			value = strtoull(line + size, NULL, 10);
	if (file)
		fclose(file);
	return value;
}

static int thread_usage(pid_t pid, pid_t tid, void *context)
{
	struct proc_usage *usage = context;
	char path[96];
	uint64_t ns;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? 0 : -errno; /* a thread may end meanwhile */
	if (fscanf(file, "%" SCNu64, &ns) == 1)
		usage->cpu_ns += ns;
	fclose(file);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	usage->n_sleeps += field_read(path, "voluntary_ctxt_switches:");
	return 0;
}

int proc_usage(pid_t pid, struct proc_usage *usage)
{
	struct proc_usage sum = {0};
	char path[64];
	int r;

	r = threads_visit(pid, thread_usage, &sum);
	if (r)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	sum.anon_size = field_read(path, "RssAnon:") * 1024;
	sum.shm_size = field_read(path, "RssShmem:") * 1024;
	*usage = sum;
	return 0;
}
