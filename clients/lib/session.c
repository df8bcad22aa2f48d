/* SPDX-License-Identifier: Apache-2.0 */
/* session.c: the maps of a session, and when they may go. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/lib/session.h"
#include "clients/lib/thread.h"
#include "ipc/spin.h"

/*
 * A broker that is started again on the same memory knows nothing of the rings and holds of its
 * predecessor's clients, so a session is never repaired: the handle makes a new one, with new maps,
 * and the old one stays behind until nobody can touch its memory any more. Who can is known without
 * counting on the hit path: a view's cell names its record until it is released, and whoever is in
 * the middle of a call has marked himself, see thread.c.
 *
 * No map is inherited by a child (the guard's page is, wiped): its descriptors are all it has of
 * them, and it closes these. It must not unmap, since something of its own may be in their place.
 */
#define HUGE_PAGE (UINT64_C(2) << 20)

/*
 * Where the broker's memory is in huge pages, a process maps it in huge pages as well, and takes
 * one fault for 2 MiB instead of 512. The kernel does so only where address and offset agree in
 * their low bits, which mmap() does not see to: take more room than needed, and map over what is
 * aligned of it.
 */
static void *aligned_map(uint64_t size, int protection, int fd, uint64_t off, uint64_t align)
{
	uint64_t room = size + align;
	uint8_t *base, *start, *end;
	void *map;

	start = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return MAP_FAILED;
	base = start + (-(uintptr_t)start & (align - 1));
	end = base + ((size + 4095) & ~UINT64_C(4095));
	map = mmap(base, size, protection, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, (off_t)off);
	if (map == MAP_FAILED) {
		munmap(start, room);
		return MAP_FAILED;
	}
	if (base > start)
		munmap(start, (size_t)(base - start));
	if (start + room > end)
		munmap(end, (size_t)(start + room - end));
	return map;
}

static int area_map_at(struct session_area *area, int fd, uint64_t size, int protection, uint64_t off,
	uint64_t align)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st))
		return -errno;
	/* Devices have no size; beyond a file's end there would be a SIGBUS. */
	if (!size || size > SIZE_MAX / 2 ||
		(S_ISREG(st.st_mode) && (uint64_t)st.st_size < off + size))
		return -EPROTONOSUPPORT;
	map = aligned_map(size, protection, fd, off, align);
	if (map == MAP_FAILED)
		return -errno;
	(void)madvise(map, size, MADV_DONTFORK);
	area->data = map;
	area->size = size;
	return 0;
}

static int area_map(struct session_area *area, int fd, uint64_t size, int protection)
{
	return area_map_at(area, fd, size, protection, 0, HUGE_PAGE);
}

/*
 * On a device the tier lies behind a page of the broker's, and the broker knows how it can be
 * mapped.
 */
static int cxl_map(struct session_area *area, int fd, const struct wire_welcome *m, int protection)
{
	uint64_t align = m->cxl_align > HUGE_PAGE ? m->cxl_align : HUGE_PAGE;

	if (align & (align - 1) || align > SIZE_MAX / 4 || m->cxl_off % 4096 ||
		m->cxl_off > SIZE_MAX / 4)
		return -EPROTONOSUPPORT;
	return area_map_at(area, fd, m->cxl_size, protection, m->cxl_off, align);
}

static int index_check(const struct session_area *area)
{
	const struct abi_index *head = (const void *)area->data;

	if (area->size < sizeof(*head) || head->magic != ABI_MAGIC ||
		head->fingerprint != abi_fingerprint() || head->size > area->size)
		return -EPROTONOSUPPORT;
	return 0;
}

/* Descriptors: index, request, response, dram, [cxl]. */
static int maps_make(struct session *s, const struct connection_welcome *w)
{
	const struct wire_welcome *m = &w->message;
	const struct abi_geometry *g = &s->geometry;
	int value = m->role == WIRE_ROLE_WRITER ? PROT_READ | PROT_WRITE : PROT_READ;
	int r;

	if (w->n_fds < 4 || w->n_fds != m->n_descriptors || (w->n_fds == 5) != (m->cxl_size != 0))
		return -EPROTONOSUPPORT;
	r = area_map(&s->map[SESSION_MAP_INDEX], w->fd[0], m->index_size, PROT_READ);
	if (!r)
		r = index_check(&s->map[SESSION_MAP_INDEX]);
	if (!r)
		r = area_map(&s->map[SESSION_MAP_REQUEST], w->fd[1],
			(uint64_t)g->n_lanes * g->request_stride, PROT_READ | PROT_WRITE);
	if (!r)
		r = area_map(&s->map[SESSION_MAP_RESPONSE], w->fd[2],
			(uint64_t)g->n_lanes * g->response_stride, PROT_READ);
	if (!r)
		r = area_map(&s->map[SESSION_MAP_DRAM], w->fd[3], m->dram_size, value);
	if (!r && w->n_fds == 5)
		r = cxl_map(&s->map[SESSION_MAP_CXL], w->fd[4], m, value);
	return r;
}

static int session_fill(struct session *s, const struct connection_welcome *w, struct reason *why)
{
	const struct wire_welcome *m = &w->message;
	size_t size;
	int r;

	s->id = m->session;
	s->epoch = m->epoch;
	s->line = &s->plane->session[m->line];
	s->role = (enum wire_role)m->role;
	s->geometry = (struct abi_geometry){.n_lanes = m->n_lanes, .n_queue = m->n_queue,
		.n_holds = m->n_holds, .n_log = m->n_log, .staging_size = m->staging_size};
	if (m->role >= WIRE_N_ROLES || abi_geometry_init(&s->geometry) ||
		(uint64_t)(m->line + UINT64_C(1)) * sizeof(*s->line) + sizeof(*s->plane) >
			s->map[SESSION_MAP_PLANE].size)
		r = -EPROTONOSUPPORT;
	else if (shared_u64_load_acquire(&s->plane->epoch) != m->epoch)
		r = -ECONNREFUSED; /* one broker wrote the plane, another welcomed us */
	else
		r = maps_make(s, w);
	if (r == -EPROTONOSUPPORT)
		reason_set(why, "the broker's welcome does not fit its memory: restart it");
	if (r)
		return r;
	size = s->geometry.n_lanes * sizeof(*s->lane);
	s->lane = aligned_alloc(_Alignof(struct lane), size);
	if (!s->lane)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->geometry.n_lanes; i++)
		s->lane[i] = (struct lane){.session = s, .idx = i};
	return 0;
}

int session_new(struct session **session, struct connection *connection,
	struct connection_welcome *welcome, uint32_t spin_ns, struct reason *why)
{
	struct session *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (s) {
		s->serial = thread_number_draw();
		s->plane = connection->plane;
		s->map[SESSION_MAP_PLANE] = (struct session_area){
			(uint8_t *)connection->plane, connection->plane_size};
		s->socket = connection->socket;
		s->request_fd = -1;
		s->is_fenced = connection->is_fenced;
		s->spin_ns = spin_ns;
		s->spin_for_others_ns = spin_pays(true) ? spin_ns : 0;
		gate_init(&s->talk);
		*connection = (struct connection){.socket = -1};
		r = session_fill(s, welcome, why);
	}
	/* Its maps are made, and it has all that it needs but for this one. */
	if (!r) {
		s->request_fd = welcome->fd[1];
		welcome->fd[1] = welcome->fd[--welcome->n_fds];
	}
	while (welcome->n_fds)
		close(welcome->fd[--welcome->n_fds]);
	if (r && s)
		session_free(s, false);
	connection_end(connection);
	if (!r)
		*session = s;
	return r;
}

void session_free(struct session *session, bool is_child)
{
	uint32_t i;

	for (i = 0; session->lane && i < session->geometry.n_lanes; i++)
		lane_deinit(&session->lane[i]);
	free(session->lane);
	/*
	 * A child may have a copy of the descriptor: the broker is to hear of our end all the
	 * same.
	 */
	if (!is_child)
		(void)shutdown(session->socket, SHUT_RDWR);
	close(session->socket);
	if (session->request_fd >= 0)
		close(session->request_fd);
	for (i = 0; i < SESSION_MAPS; i++)
		if (session->map[i].data && !is_child)
			munmap(session->map[i].data, session->map[i].size);
	if (!is_child)
		gate_deinit(&session->talk);
	free(session);
}

bool session_is_idle(struct session *session)
{
	uint32_t i;

	/* Acquire: what the users did. Partner: the release where one leaves. */
	if (atomic_load_explicit(&session->n_users, memory_order_acquire))
		return false;
	/* Nobody is in a call, so the tables stand still but for cells being cleared. */
	for (i = 0; i < session->geometry.n_lanes; i++) {
		if (!atomic_load_explicit(&session->lane[i].is_open, memory_order_acquire))
			continue;
		if (!thread_marks_count() &&
			atomic_load_explicit(&session->lane[i].owner, memory_order_acquire))
			return false;
		if (!hold_table_is_empty(&session->lane[i].reader.holds))
			return false;
	}
	return true;
}

/*
 * A broker that has come back keeps our line as long as it honours our table; it says there that it
 * does not any more, or frees the line, before anything that we hold is written over.
 */
bool session_is_honoured(const struct session *s)
{
	const struct abi_lane_response *first = (const void *)s->map[SESSION_MAP_RESPONSE].data;

	if (shared_u32_load_acquire(&first->fault) != ABI_FAULT_NONE)
		return false;
	if (shared_u64_load_acquire(&s->plane->epoch) == s->epoch)
		return true;
	/*
	 * Partners of both: the releases in former.c. The state first: a free line keeps its own.
	 */
	return shared_u32_load_acquire(&s->line->state) != ABI_SESSION_LOST &&
		shared_u64_load_acquire(&s->line->id) == s->id;
}

void session_hand_over(const struct session *session, const struct session *former)
{
	struct wire_hand_over message = {.session = former->id};
	uint32_t state = shared_u32_load_acquire(&former->line->state);

	if (former->plane == session->plane ||
		shared_u64_load_acquire(&former->line->id) != former->id ||
		(state != ABI_SESSION_PENDING && state != ABI_SESSION_LOST))
		return;
	/* If it can't be sent, our views are lost when the broker's patience is. */
	(void)wire_send(session->socket, WIRE_HAND_OVER, &message, sizeof(message),
		&former->request_fd, 1);
}

bool session_is_current(const struct session *session)
{
	return shared_u64_load_acquire(&session->plane->epoch) == session->epoch &&
		shared_u32_load_acquire(&session->plane->state) == ABI_STATE_SERVING;
}

uint8_t *session_location(const struct session *session, uint64_t location)
{
	const struct session_area *area = &session->map[
		location >> 56 == ABI_TIER_CXL ? SESSION_MAP_CXL : SESSION_MAP_DRAM];

	return area->data + (location & ((UINT64_C(1) << 56) - 1));
}
