/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client on the bare protocol.
 *
 * The library keeps its callers from all that a broker must survive: it maps read-only what it
 * need not write, checks its positions, never sends what it should not. So hostile tests stand on
 * ipc/ alone. What is honest here is as simple as it can be: one request at a time, waiting by
 * looking.
 */
#include "tests/support/raw-client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ipc/hash.h"

#define PATIENCE_MS 60000

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- plane and socket ------------------------------------------------------------------------- */

const struct abi_plane *raw_plane_open(const char *name, size_t *size)
{
	char object[64];
	struct stat st;
	void *map = MAP_FAILED;
	int fd;

	wire_object_name(name, WIRE_OBJECT_PLANE, object, sizeof(object));
	fd = shm_open(object, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && st.st_size >= (off_t)sizeof(struct abi_plane))
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return NULL;
	*size = (size_t)st.st_size;
	return map;
}

void raw_plane_close(const struct abi_plane *plane, size_t size)
{
	if (plane)
		munmap((void *)plane, size);
}

int raw_connect(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct abi_plane *plane;
	size_t size;
	int fd, r;

	plane = raw_plane_open(name, &size);
	if (!plane)
		return -ENOENT;
	memcpy(address.sun_path, plane->socket_path, sizeof(address.sun_path) - 1);
	raw_plane_close(plane, size);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

void raw_hello_init(struct wire_hello *hello, enum wire_role role)
{
	memset(hello, 0, sizeof(*hello));
	hello->magic = ABI_MAGIC;
	hello->fingerprint = abi_fingerprint();
	hello->version = ABI_VERSION;
	hello->role = role;
}

int raw_receive(int fd, union wire_message *message, int descriptors[WIRE_DESCRIPTORS_MAX],
	size_t *n)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	if (poll(&wait, 1, PATIENCE_MS) <= 0)
		return -ETIMEDOUT;
	return wire_receive(fd, message, descriptors, n);
}

int raw_wait_hangup(int fd)
{
	uint64_t deadline = now_ms() + PATIENCE_MS;
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char bytes[4096];
	ssize_t n;

	while (now_ms() < deadline) {
		if (poll(&wait, 1, 1000) <= 0)
			continue;
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return 0;
	}
	return -ETIMEDOUT;
}

/* --- attach ----------------------------------------------------------------------------------- */

static int map_all(struct raw_client *c)
{
	const struct wire_welcome *w = &c->welcome;
	int prot = PROT_READ | (w->role == WIRE_ROLE_WRITER ? PROT_WRITE : 0);
	void *map[RAW_DESCRIPTORS];
	int i;

	c->geometry.n_lanes = w->n_lanes;
	c->geometry.n_queue = w->n_queue;
	c->geometry.n_holds = w->n_holds;
	c->geometry.n_log = w->n_log;
	c->geometry.staging_size = w->staging_size;
	if (c->n_fds != RAW_DESCRIPTORS || abi_geometry_init(&c->geometry))
		return -EPROTO;
	c->request_size = (size_t)w->n_lanes * c->geometry.request_stride;
	c->response_size = (size_t)w->n_lanes * c->geometry.response_stride;
	map[RAW_INDEX] = mmap(NULL, w->index_size, PROT_READ, MAP_SHARED, c->fd[RAW_INDEX], 0);
	map[RAW_REQUEST] = mmap(NULL, c->request_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		c->fd[RAW_REQUEST], 0);
	map[RAW_RESPONSE] =
		mmap(NULL, c->response_size, PROT_READ, MAP_SHARED, c->fd[RAW_RESPONSE], 0);
	map[RAW_DRAM] = mmap(NULL, w->dram_size, prot, MAP_SHARED, c->fd[RAW_DRAM], 0);
	for (i = 0; i < RAW_DESCRIPTORS; i++)
		if (map[i] == MAP_FAILED)
			return -ENOMEM; /* a test ends then: what was mapped may stay */
	c->index = map[RAW_INDEX];
	c->request = map[RAW_REQUEST];
	c->response = map[RAW_RESPONSE];
	c->dram = map[RAW_DRAM];
	lookup_init(&c->lookup, c->index);
	c->lane = calloc(w->n_lanes, sizeof(*c->lane));
	return c->lane ? 0 : -ENOMEM;
}

int raw_attach(struct raw_client *c, const char *name, enum wire_role role)
{
	union wire_message message;
	struct wire_hello hello;
	int r;

	memset(c, 0, sizeof(*c));
	c->socket = raw_connect(name);
	if (c->socket < 0)
		return c->socket;
	raw_hello_init(&hello, role);
	r = wire_send(c->socket, WIRE_HELLO, &hello, sizeof(hello), NULL, 0);
	if (!r)
		r = raw_receive(c->socket, &message, c->fd, &c->n_fds);
	if (!r && message.head.type == WIRE_REFUSED)
		r = (int)message.refused.refusal;
	else if (!r && message.head.type != WIRE_WELCOME)
		r = -EPROTO;
	if (!r) {
		c->welcome = message.welcome;
		r = map_all(c);
	}
	c->plane = raw_plane_open(name, &c->plane_size);
	if (!r && !c->plane)
		r = -ENOENT;
	if (r)
		raw_detach(c);
	return r;
}

static void unmap(const void *map, size_t size)
{
	if (map)
		munmap((void *)map, size);
}

void raw_detach(struct raw_client *c)
{
	unsigned i;

	if (!c->plane && !c->n_fds && c->socket <= 0)
		return;
	for (i = 0; i < c->n_lanes; i++)
		close(c->lane[i].doorbell);
	while (c->n_fds)
		close(c->fd[--c->n_fds]);
	unmap(c->index, c->welcome.index_size);
	unmap(c->request, c->request_size);
	unmap(c->response, c->response_size);
	unmap(c->dram, c->welcome.dram_size);
	raw_plane_close(c->plane, c->plane_size);
	if (c->socket > 0)
		close(c->socket);
	free(c->lane);
	memset(c, 0, sizeof(*c));
}

int raw_lane_open(struct raw_client *c, struct raw_lane **out)
{
	int descriptors[WIRE_DESCRIPTORS_MAX], r;
	struct wire_lane_open ask = {0};
	union wire_message message;
	struct raw_lane *lane;
	uint8_t *request;
	size_t n;

	r = wire_send(c->socket, WIRE_LANE_OPEN, &ask, sizeof(ask), NULL, 0);
	if (!r)
		r = raw_receive(c->socket, &message, descriptors, &n);
	if (r)
		return r;
	if (message.head.type != WIRE_LANE)
		return -EPROTO;
	if (message.lane.status != ABI_STATUS_OK)
		return (int)message.lane.status;
	if (n != 1 || message.lane.lane >= c->geometry.n_lanes)
		return -EPROTO;
	lane = &c->lane[c->n_lanes++];
	lane->idx = message.lane.lane;
	lane->doorbell = descriptors[0];
	request = c->request + (size_t)lane->idx * c->geometry.request_stride;
	lane->request = (void *)request;
	lane->submission = (void *)(request + c->geometry.submission_off);
	lane->hold = (void *)(request + c->geometry.hold_off);
	lane->log = (void *)(request + c->geometry.log_off);
	lane->staging = request + c->geometry.staging_off;
	lane->response =
		(const void *)(c->response + (size_t)lane->idx * c->geometry.response_stride);
	lane->completion =
		(const void *)((const uint8_t *)lane->response + c->geometry.completion_off);
	*out = lane;
	return 0;
}

/* --- requests --------------------------------------------------------------------------------- */

void raw_stage(struct raw_lane *lane, struct submission *s, const void *key, size_t key_size,
	const void *value, size_t value_size)
{
	s->staging_off = 0;
	s->key_size = (uint16_t)key_size;
	s->value_size = (uint32_t)value_size;
	memcpy(lane->staging, key, key_size);
	if (value)
		memcpy(lane->staging + submission_value_off(s), value, value_size);
}

void raw_wake(struct raw_client *c, struct raw_lane *lane)
{
	uint32_t worker = shared_u32_load(&lane->response->worker);

	/* Keeps the submission's store before the load of need_wakeup. */
	shared_fence();
	if (shared_u32_load(&c->plane->worker[worker].need_wakeup))
		wire_ring(lane->doorbell);
}

void raw_submit(struct raw_client *c, struct raw_lane *lane, const struct submission *s)
{
	submission_publish(&lane->submission[lane->submitted & (c->geometry.n_queue - 1)],
		lane->submitted, s);
	lane->submitted++;
	shared_u64_store(&lane->request->submitted, lane->submitted);
	raw_wake(c, lane);
}

static int reap_one(struct raw_client *c, struct raw_lane *lane, struct completion *completion)
{
	const struct abi_completion *slot =
		&lane->completion[lane->reaped & (c->geometry.n_queue - 1)];

	if (!completion_take(slot, lane->reaped, completion))
		return 0;
	lane->reaped++;
	/* partner: the broker's acquire when its ring looks full */
	shared_u64_store_release(&lane->request->reaped, lane->reaped);
	return 1;
}

int raw_reap(struct raw_client *c, struct raw_lane *lane, struct completion *completion)
{
	struct pollfd wait = {.fd = c->socket};
	uint64_t deadline = now_ms() + PATIENCE_MS;
	struct timespec pause = {.tv_nsec = 20000};

	while (!reap_one(c, lane, completion)) {
		/* What was answered before the hang-up is there by now. */
		if (poll(&wait, 1, 0) > 0)
			return reap_one(c, lane, completion) ? 0 : -EPIPE;
		if (now_ms() > deadline)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int raw_call(struct raw_client *c, struct raw_lane *lane, const struct submission *s,
	struct completion *completion)
{
	struct completion own;
	int r;

	if (!completion)
		completion = &own;
	raw_submit(c, lane, s);
	r = raw_reap(c, lane, completion);
	return r ? r : (int)completion->status;
}

int raw_ping(struct raw_client *c, struct raw_lane *lane)
{
	struct submission s = {.operation = ABI_OP_PING};

	return raw_call(c, lane, &s, NULL);
}

int raw_put(struct raw_client *c, struct raw_lane *lane, const char *key, const void *value,
	size_t size)
{
	struct submission s = {.operation = ABI_OP_PUT};

	raw_stage(lane, &s, key, strlen(key), value, size);
	return raw_call(c, lane, &s, NULL);
}

int raw_delete(struct raw_client *c, struct raw_lane *lane, const char *key)
{
	struct submission s = {.operation = ABI_OP_DELETE};

	raw_stage(lane, &s, key, strlen(key), NULL, 0);
	return raw_call(c, lane, &s, NULL);
}

int raw_reserve(struct raw_client *c, struct raw_lane *lane, const char *key, size_t size,
	uint64_t *reservation, uint64_t *value_off)
{
	struct submission s = {.operation = ABI_OP_RESERVE};
	struct completion completion;
	int r;

	raw_stage(lane, &s, key, strlen(key), NULL, size);
	r = raw_call(c, lane, &s, &completion);
	if (!r) {
		*reservation = completion.result[0];
		*value_off = completion.result[1] & ((UINT64_C(1) << 56) - 1);
	}
	return r;
}

int raw_commit(struct raw_client *c, struct raw_lane *lane, uint64_t reservation)
{
	struct submission s = {.operation = ABI_OP_COMMIT, .argument = reservation};

	return raw_call(c, lane, &s, NULL);
}

/* --- looking ---------------------------------------------------------------------------------- */

const struct abi_record *raw_find(const struct raw_client *c, const char *key, uint64_t *word)
{
	uint64_t hash = hash_bytes(c->lookup.seed, key, strlen(key));
	const struct abi_bucket *b;
	const struct abi_record *r;
	int i;

	b = &c->lookup.bucket[lookup_bucket_idx(hash, lookup_n_buckets(&c->lookup))];
	for (; b; b = lookup_next(&c->lookup, b)) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			/* partner: the release in the broker's publish */
			*word = shared_u64_load_acquire(&b->slot[i]);
			if (!*word || abi_word_tag(*word) != hash >> 48)
				continue;
			r = &c->lookup.cell[abi_word_cell(*word)];
			if (lookup_record_matches(&c->lookup, r, key, strlen(key)))
				return r;
		}
	}
	return NULL;
}

bool raw_value_is(const struct raw_client *c, const char *key, const void *value, size_t size)
{
	uint64_t word;
	const struct abi_record *r = raw_find(c, key, &word);

	return r && r->value_size == size && !memcmp(c->dram + r->value_off, value, size);
}

uint64_t raw_counter(const struct raw_client *c, enum abi_counter counter)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < ABI_THREADS; i++)
		sum += shared_u64_load(&c->plane->worker[i].counter[counter]);
	return sum;
}

uint64_t raw_gauge(const struct raw_client *c, enum abi_gauge gauge)
{
	return shared_u64_load(&c->plane->gauge[gauge]);
}
