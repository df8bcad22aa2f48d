/* SPDX-License-Identifier: Apache-2.0 */
/* double.c: a remote thread without a network. */
#include "tests/clients/double.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <urcu.h>

static void make_last(uint8_t *data, uint64_t size, const struct ticket *t)
{
	memset(data, t->key[t->key_size - 1], size);
}

/* A fill as a flight makes it. */
static enum abi_status fill(struct double_ *d, struct ticket *t, bool is_published)
{
	struct store *store = &d->broker->store;
	struct index_key key = index_key(&store->index, t->key, t->key_size);
	uint64_t size = atomic_load(&d->size);
	static const struct store_put_options plain;
	enum abi_status status;
	struct store_fill fill;
	uint8_t *data;

	store_fill_begin(store, &fill, &key);
	status = store_fill_reserve(store, d->w, &fill, &plain, size, false, &data);
	if (status == ABI_STATUS_OK) {
		d->make(data, size, t);
		status = is_published ? store_fill_publish(store, d->w, &fill)
			: store_fill_deliver(store, &fill, &t->result[1], &t->result[0]);
	}
	store_fill_end(store, &fill);
	if (is_published && status == ABI_STATUS_OK)
		store_count(d->w, ABI_COUNTER_FILLS_PUBLISHED, 1);
	t->size = size;
	return status;
}

static void bring(struct double_ *d, struct ticket *t, bool is_published)
{
	enum abi_status status = fill(d, t, is_published);

	t->status = ABI_STATUS_OK;
	if (status == ABI_STATUS_OK || status == ABI_STATUS_EXISTS)
		desk_answer(t);
	else
		desk_answer_miss(t, status == ABI_STATUS_GONE ? ABI_FETCH_CANCELLED
							      : ABI_FETCH_NOSPACE);
}

/* It comes, is published, and must go again before anybody can look. */
static void bring_in_vain(struct double_ *d, struct ticket *t)
{
	struct store *store = &d->broker->store;
	struct index_key key = index_key(&store->index, t->key, t->key_size);

	if (fill(d, t, true) == ABI_STATUS_OK)
		store_delete(store, d->w, &key);
	t->status = ABI_STATUS_OK;
	desk_answer(t);
}

static void keep(struct double_ *d, struct ticket *t)
{
	t->next = d->kept;
	d->kept = t;
	atomic_fetch_add(&d->n_kept, 1);
}

/* Answer what is kept: of @session (0: all), with values where it was released. */
static void let_go(struct double_ *d, uint64_t session, bool with_values)
{
	struct ticket **at = &d->kept, *t;

	while ((t = *at)) {
		if ((session && t->session != session) || (with_values && t->key[0] != 'l')) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		atomic_fetch_sub(&d->n_kept, 1);
		if (with_values)
			bring(d, t, false);
		else
			desk_answer_miss(t, ABI_FETCH_CANCELLED);
	}
}

static void serve(struct double_ *d, struct ticket *t)
{
	atomic_store(&d->batch, t->batch);
	atomic_store(&d->n_batch, t->n_batch);
	atomic_store(&d->position, t->position);
	atomic_store(&d->write_back, t->write_back);
	atomic_store(&d->deadline_ms, t->deadline_ms);
	if (!t->deadline_ms && atomic_load(&d->timeout_ms)) {
		t->deadline_ms = store_now_ms() + atomic_load(&d->timeout_ms);
		atomic_store(&d->first_deadline_ms, t->deadline_ms);
	}
	atomic_fetch_add(&d->n_taken, 1);
	switch (t->key[0]) {
	case 'p':
		bring(d, t, true);
		break;
	case 'd':
		if (t->is_prefetch)
			desk_answer_miss(t, ABI_FETCH_DECLINED);
		else
			bring(d, t, false);
		break;
	case 'v':
		if (t->write_back == ABI_WRITE_BACK_OFF + 1)
			bring(d, t, false);
		else
			bring_in_vain(d, t);
		break;
	case 'w':
		bring_in_vain(d, t);
		break;
	case 'r':
	case 'q':
		let_go(d, 0, t->key[0] == 'r');
		desk_answer_miss(t, ABI_FETCH_NOBODY);
		break;
	case 'l':
	case 'n':
		keep(d, t);
		break;
	default:
		desk_answer_miss(t, t->key[0] - '0');
		break;
	}
}

static void take(struct double_ *d, struct ticket *t)
{
	struct ticket *next;

	for (; t; t = next) {
		next = t->next;
		if (t->kind == TICKET_LEFT) {
			let_go(d, t->session, false);
			atomic_fetch_add(&d->n_left, 1);
			desk_answer(t);
		} else if (t->kind == TICKET_ERASE) {
			t->result[0] = 2;
			t->result[1] = 1;
			atomic_fetch_add(&d->n_erased, 1);
			desk_answer(t);
		} else {
			serve(d, t);
		}
	}
}

static void *double_main(void *argument)
{
	struct double_ *d = argument;
	struct pollfd fds[2] = {{.fd = d->bell, .events = POLLIN},
		{.fd = desk_fd(&d->broker->desk), .events = POLLIN}};

	rcu_register_thread();
	while (!atomic_load(&d->is_stopping)) {
		rcu_thread_offline();
		(void)poll(fds, 2, -1);
		rcu_thread_online();
		(void)!read(d->bell, &(uint64_t){0}, 8);
		take(d, desk_take(&d->broker->desk));
		if (atomic_exchange(&d->is_released, false))
			let_go(d, 0, true);
		desk_look_at_answers(&d->broker->desk);
	}
	take(d, desk_close(&d->broker->desk));
	let_go(d, 0, false);
	desk_look_at_answers(&d->broker->desk);
	rcu_unregister_thread();
	return NULL;
}

int double_start(struct double_ *d, struct broker *broker)
{
	int r;

	*d = (struct double_){.broker = broker,
		.w = &broker->plane.shared->worker[ABI_REMOTE], .make = d->make ? d->make : make_last, .size = 1000};
	d->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = d->bell < 0 ? -errno : desk_open(&broker->desk);
	return r ? r : -pthread_create(&d->thread, NULL, double_main, d);
}

static void ring(struct double_ *d)
{
	(void)!write(d->bell, &(uint64_t){1}, 8);
}

void double_release(struct double_ *d)
{
	atomic_store(&d->is_released, true);
	ring(d);
}

void double_stop(struct double_ *d)
{
	atomic_store(&d->is_stopping, true);
	ring(d);
	pthread_join(d->thread, NULL);
	close(d->bell);
}
