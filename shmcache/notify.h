/* SPDX-License-Identifier: Apache-2.0 */
/* notify.h: telling a service manager how we are. */
#ifndef SHMCACHE_NOTIFY_H
#define SHMCACHE_NOTIFY_H

/*
 * Send @state ("READY=1", lines of the kind) to the socket that NOTIFY_SOCKET names, as
 * sd_notify(3) says. Nothing where no service manager asked; never blocks. By the control thread.
 */
void notify(const char *state);

#endif
