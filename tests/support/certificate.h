/* SPDX-License-Identifier: Apache-2.0 */
/* certificate.h: certificates that `shmcache pki` would not make. */
#ifndef SUPPORT_CERTIFICATE_H
#define SUPPORT_CERTIFICATE_H

/*
 * A key and a certificate, DIRECTORY/NAME.key and NAME.pem, which are signed with ca.key there.
 * @alternatives: subject alternative names as openssl.cnf(5) has them, NULL: none. @common: a
 * common name, or NULL. @left_s: seconds that it is good for from now; negative: it was. 0 or -1.
 */
struct certificate_wish {
	const char *name, *alternatives, *common;
	long left_s;
};
int certificate_make(const char *directory, const struct certificate_wish *wish);

#endif
