/* SPDX-License-Identifier: Apache-2.0 */
/* guard.c: fork detection by a page that the kernel wipes. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clients/lib/guard.h"

/*
 * A child must not use its parent's rings: two producers on one of them would wedge it. getpid()
 * costs a system call at each hit; a page that the kernel hands to children full of zeroes costs
 * one load, and knows of clone() too, of which pthread_atfork() does not hear. Kernels before
 * 4.14 lack it: there the handler in thread.c, which runs in any case, is what clears the word.
 */
int guard_new(_Atomic uint32_t **word)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -errno;
	(void)madvise(page, size, MADV_WIPEONFORK);
	*word = page;
	atomic_store_explicit(*word, 1, memory_order_relaxed);
	return 0;
}

void guard_free(_Atomic uint32_t *word)
{
	if (word)
		munmap((void *)word, (size_t)sysconf(_SC_PAGESIZE));
}
