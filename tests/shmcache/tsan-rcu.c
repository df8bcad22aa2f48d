/* SPDX-License-Identifier: Apache-2.0 */
/* tsan-rcu.c: tells the thread sanitizer what liburcu orders. */
#include <sanitizer/tsan_interface.h>

/*
 * liburcu keeps its promise (what a read section did comes before the return of a
 * synchronize_rcu() that waited for it) by membarrier(2) and plain stores in a library that the
 * sanitizer does not instrument, so it can't see the order and would call every free after a grace
 * period a race. Here the two ends are put into its terms: a release at the end of a read section,
 * an acquire at the end of a grace period. Nothing is suppressed: an access outside a section, or a
 * free without a grace period, is reported as ever. The linker puts these in front (--wrap).
 */
void __real_urcu_memb_read_unlock(void);
void __wrap_urcu_memb_read_unlock(void);
void __real_urcu_memb_synchronize_rcu(void);
void __wrap_urcu_memb_synchronize_rcu(void);

static char grace;

void __wrap_urcu_memb_read_unlock(void)
{
	__tsan_release(&grace);
	__real_urcu_memb_read_unlock();
}

void __wrap_urcu_memb_synchronize_rcu(void)
{
	__real_urcu_memb_synchronize_rcu();
	__tsan_acquire(&grace);
}
