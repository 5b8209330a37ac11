// SPDX-License-Identifier: GPL-2.0-only
/*
 * A processor with AMX, as far as User Mode Linux sees it: a library that stands
 * before the C library's ptrace(). There the state of a process is longer, and
 * the host's kernel takes all of it or nothing.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

/* On Sapphire Rapids. */
#define STATE 11008

static long (*real_ptrace)(enum __ptrace_request request, pid_t pid, void *addr, void *data);

__attribute__((constructor)) static void begin(void)
{
	static const char text[] = "amx: this processor has AMX\n";

	real_ptrace = dlsym(RTLD_NEXT, "ptrace");
	if (!real_ptrace || write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		abort();
}

/* What this processor has, and behind it what it has not, in its first state. */
static long get(pid_t pid, void *addr, struct iovec *iov)
{
	size_t len = iov->iov_len < STATE ? iov->iov_len : STATE;
	long ret = real_ptrace(PTRACE_GETREGSET, pid, addr, iov);

	if (!ret && iov->iov_len < len) {
		memset((char *)iov->iov_base + iov->iov_len, 0, len - iov->iov_len);
		iov->iov_len = len;
	}
	return ret;
}

long ptrace(enum __ptrace_request request, ...)
{
	struct iovec *iov;
	void *addr, *data;
	va_list ap;
	pid_t pid;

	va_start(ap, request);
	pid = va_arg(ap, pid_t);
	addr = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);
	iov = data;
	if ((long)addr == NT_X86_XSTATE && request == PTRACE_GETREGSET)
		return get(pid, addr, iov);
	/* What is longer than its own, the host's kernel clips itself. */
	if ((long)addr == NT_X86_XSTATE && request == PTRACE_SETREGSET && iov->iov_len < STATE) {
		errno = EFAULT;
		return -1;
	}
	return real_ptrace(request, pid, addr, data);
}
