/* SPDX-License-Identifier: Apache-2.0 */
/* install-user.c: a user of the installed library, with a few names that ours has too. */
#include <shmcache.h>

int ring_push(void);
int session_new(void);
int wire_send(void);
int reader_find(void);

int ring_push(void)
{
	return 1;
}

int session_new(void)
{
	return 2;
}

int wire_send(void)
{
	return 3;
}

int reader_find(void)
{
	return 4;
}

int main(void)
{
	struct shmc *cache;
	int r = shmc_attach(&cache, "no-such-cache-anywhere", 0);

	if (!r)
		shmc_detach(cache);
	return r < 0 && ring_push() + session_new() + wire_send() + reader_find() == 10 ? 0 : 1;
}
