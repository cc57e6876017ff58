/*
 * init-reply.h - asking the kernel for what our libfuse has no word for.
 *
 * Before each write(2) the kernel asks for the attribute security.capability,
 * to take away from the file what would let it run as somebody else: a request
 * for each write.  It does not ask a file system that says it sees to that
 * itself, as ours may: there is nothing to be taken away from its files, which
 * have no such attribute, nor the modes.  (FUSE_HANDLE_KILLPRIV_V2, Linux 5.12;
 * older kernels take no notice.)
 */
#ifndef THINFS_INIT_REPLY_H
#define THINFS_INIT_REPLY_H

struct fuse_session;

/* After the session was mounted, before its first request.  0 or -1. */
int init_reply_complete(struct fuse_session *session);

#endif
