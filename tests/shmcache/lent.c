/* SPDX-License-Identifier: Apache-2.0 */
/* lent.c: a whole broker in the test's process, and sessions without sockets. */
#include "tests/shmcache/lent.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <urcu.h>
#include <cmocka.h>

static struct config config;
static const struct settings no_settings;
static struct log out;

/* As on a machine with few CPUs: workers look at what follows from that when they begin. */
long __real_sysconf(int name);
long __wrap_sysconf(int name);
long __wrap_sysconf(int name)
{
	return name == _SC_NPROCESSORS_ONLN ? 2 : __real_sysconf(name);
}

void lent_broker_start(struct broker *b)
{
	char why[512];

	rcu_register_thread();
	config_init(&config);
	snprintf(config.cache.name, sizeof(config.cache.name), "shmc-unit-%d-lent", (int)getpid());
	config.cache.persist = false;
	config.broker.workers = 1;
	config.dram.size = 4 << 20;
	config.dram.reserve_threads = 1;
	config.session.lanes = 1;
	config.session.queue = 64;
	config.session.holds = 64;
	config.session.staging_size = 64 << 10;
	log_init(&out, open("/dev/null", O_WRONLY | O_CLOEXEC));
	if (broker_start(b, &config, &no_settings, &out, why, sizeof(why)))
		fail_msg("%s", why);
}

void lent_broker_stop(struct broker *b)
{
	broker_stop(b);
	close(out.fd);
	log_deinit(&out);
	rcu_unregister_thread();
}

static void enlist(struct broker *b, struct session *s)
{
	pthread_mutex_lock(&b->sessions_lock);
	s->directory = plane_session_slot(&b->plane);
	assert_non_null(s->directory);
	shared_u64_store_release(&s->directory->id, s->id);
	s->next = b->sessions;
	s->link = &b->sessions;
	if (s->next)
		s->next->link = &s->next;
	b->sessions = s;
	broker_count_sessions(b, 1);
	pthread_mutex_unlock(&b->sessions_lock);
}

static uint8_t *map(int fd, size_t size, int protection)
{
	void *at = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

void caller_open(struct caller *g, struct broker *b, struct worker *worker)
{
	struct session *s;

	*g = (struct caller){.bell = -1};
	assert_int_equal(session_new(&s, b->config, &g->fds), 0);
	s->id = ++b->next_session;
	s->pid = getpid();
	s->role = WIRE_ROLE_WRITER;
	s->worker = worker;
	s->desk = &b->desk;
	s->tray = &worker->tray;
	s->kept.request = fcntl(g->fds.request, F_DUPFD_CLOEXEC, 0);
	enlist(b, s);
	g->session = s;
	g->request_size = s->request_size;
	g->response_size = s->response_size;
	g->n_queue = s->geometry.n_queue;
	g->request = map(g->fds.request, s->request_size, PROT_READ | PROT_WRITE);
	g->response = map(g->fds.response, s->response_size, PROT_READ);
	g->submission = (void *)(g->request + s->geometry.submission_off);
	g->staging = g->request + s->geometry.staging_off;
	g->completion = (const void *)(g->response + s->geometry.completion_off);
	assert_int_equal(session_lane_open(s, &g->lane, &g->bell), 0);
	worker_add_lane(worker, g->lane);
}

void caller_close(struct caller *g)
{
	munmap(g->request, g->request_size);
	munmap(g->response, g->response_size);
	close(g->fds.request);
	close(g->fds.response);
	if (g->bell >= 0)
		close(g->bell);
	g->bell = -1;
}

/* Each place of the ring has its own of the staging area: key, then value. */
#define PLACE 64

void caller_send(struct caller *g, enum abi_operation operation, unsigned key)
{
	uint64_t at = g->n_sent & (g->n_queue - 1);
	struct submission sub = {.operation = (uint8_t)operation, .id = (uint32_t)g->n_sent,
		.staging_off = (uint32_t)at * PLACE, .key_size = sizeof(uint64_t),
		.value_size = operation == ABI_OP_PUT ? sizeof(uint64_t) : 0};
	uint64_t words[2] = {key, key};

	memcpy(g->staging + sub.staging_off, words, sizeof(words));
	submission_publish(&g->submission[at], g->n_sent, &sub);
	g->n_sent++;
}

bool caller_take(struct caller *g, struct completion *completion)
{
	struct abi_lane_request *request = (void *)g->request;

	if (!completion_take(&g->completion[g->n_taken & (g->n_queue - 1)], g->n_taken, completion))
		return false;
	g->n_taken++;
	/* partner: the worker's acquire, when its ring looks full */
	shared_u64_store_release(&request->reaped, g->n_taken);
	return true;
}
