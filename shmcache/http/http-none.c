/* SPDX-License-Identifier: Apache-2.0 */
/* http-none.c: a broker that was built without libmicrohttpd. */
#include <errno.h>
#include <stdio.h>

#include "shmcache/http/http.h"

int http_start(struct http **out, const char *listen, const struct http_source *source, char *why,
	size_t why_size)
{
	(void)out;
	(void)source;
	snprintf(why, why_size, "can't serve metrics on %s: built without libmicrohttpd", listen);
	return -ENOSYS;
}

void http_stop(struct http *http)
{
	(void)http;
}
