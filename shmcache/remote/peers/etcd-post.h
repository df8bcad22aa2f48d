/* SPDX-License-Identifier: Apache-2.0 */
/* etcd-post.h: POSTs of JSON that nobody waits for, by libcurl. */
#ifndef SHMCACHE_REMOTE_PEERS_ETCD_POST_H
#define SHMCACHE_REMOTE_PEERS_ETCD_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#define POST_ANSWER_MAX (8U << 20) /* of an answer, or of a line of a stream */
#define POST_ERROR_SIZE (CURL_ERROR_SIZE + 80)

struct post;

/* The sockets of all requests, and a timer, behind one epoll descriptor. */
struct posts {
	CURLM *multi;
	struct post *stream; /* the one that runs, of which there is at most one */
	int epoll, timer;
	bool has_curl;
	uint64_t curl_ms, own_ms; /* when curl, and who uses us, want to be called; UINT64_MAX: not */
};

struct post_files {
	const char *ca, *certificate, *key; /* NULL or empty: none */
};

/* One at a time: to be used again when it is done. */
struct post {
	struct posts *posts;
	CURL *easy;
	struct curl_slist *headers;
	char *body; /* that was sent */
	char *data; /* that came */
	size_t n, n_max;
	bool is_running, is_stream;
	bool is_untrusted; /* what it ended with: there is no TLS between us, for want of certificates */
	char curl_error[CURL_ERROR_SIZE], error[POST_ERROR_SIZE];
	/* A stream: each line, NUL-terminated. May stop the request. */
	void (*line)(struct post *r, char *line);
	/* The end. @status is that of HTTP, 0 where there is none (@error tells why); @body is
	 * NUL-terminated. May start the request anew. */
	void (*done)(struct post *r, long status, const char *body);
	void *owner;
};

int posts_init(struct posts *h);
void posts_deinit(struct posts *h);

int post_init(struct post *r, struct posts *h, const struct post_files *files);
void post_deinit(struct post *r);

/*
 * POST @body to @url with @token (NULL: none) as authorization. @timeout_ms of 0: none, but for the
 * connection: a stream. 0, or -ENOMEM: then done() is not called.
 */
int post_send(struct post *r, const char *url, const char *body, const char *token,
	long timeout_ms);
/* No done() comes. No-op for one that does not run. */
void post_stop(struct post *r);

/* When to be woken besides, ms of CLOCK_MONOTONIC; UINT64_MAX: not. */
void posts_wake_at(struct posts *h, uint64_t ms);
/* Carry on; calls line() and done() of requests. */
void posts_run(struct posts *h);

uint64_t post_now_ms(void);

#endif
