// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control socket: a line with a command, a line with the reply, which
 * begins with "ok" or "error". Several commands may follow on one connection.
 */
#define _GNU_SOURCE /* accept4() */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sim.h"

static const char help[] =
	"ok commands: stats | pause | resume | rate N|max (packets per second) | size N|MIN-MAX "
	"(bytes) | count N|max (that many more packets, then quiet) | stall (once) | "
	"stall-always on|off (again after each clear) | quit | help";

/* Whole number at the start of @arg; *@end is what follows it. */
static bool whole(const char *arg, char **end, uint64_t *value)
{
	if (*arg < '0' || *arg > '9')
		return false;
	errno = 0;
	*value = strtoull(arg, end, 0);
	return !errno;
}

const char *ctl_parse_size(const char *arg, uint32_t *min, uint32_t *max)
{
	uint64_t lo, hi;
	char *end;

	if (!whole(arg, &end, &lo))
		return "size: a number or MIN-MAX is needed, like 4096 or 64-4096";
	hi = lo;
	if (*end == '-' && !whole(end + 1, &end, &hi))
		return "size: a number or MIN-MAX is needed, like 4096 or 64-4096";
	if (*end)
		return "size: a number or MIN-MAX is needed, like 4096 or 64-4096";
	if (lo < SIM_HEADER)
		return "size: the smallest packet is its header of 24 bytes; for zero-length "
		       "packets use --zlp-every or --zlp-terminate";
	if (hi > SIM_MAX_PACKET)
		return "size: the largest packet is 1048576 bytes";
	if (lo > hi)
		return "size: MIN is above MAX";
	*min = lo;
	*max = hi;
	return NULL;
}

const char *ctl_parse_rate(const char *arg, double *rate)
{
	char *end;
	double value;

	if (!strcmp(arg, "max")) {
		*rate = 0;
		return NULL;
	}
	value = strtod(arg, &end);
	if (end == arg || *end || !(value >= 0.001) || value > 1e9)
		return "rate: packets per second (0.001 to 1e9) or max";
	*rate = value;
	return NULL;
}

const char *ctl_parse_count(const char *arg, uint64_t *count)
{
	uint64_t value;
	char *end;

	if (!strcmp(arg, "max")) {
		*count = SIM_UNLIMITED;
		return NULL;
	}
	if (!whole(arg, &end, &value) || *end)
		return "count: a number of packets or max";
	*count = value;
	return NULL;
}

static void put_stats(const struct sim *s, FILE *f)
{
	const struct sim_in *in = &s->in;
	const struct sim_out *out = &s->out;

	fprintf(f,
		"ok state=%s packets=%" PRIu64 " bytes=%" PRIu64 " zero_packets=%" PRIu64
		" next=%" PRIu64 " queued=%u halts=%" PRIu64 " resent=%" PRIu64 " enables=%" PRIu64
		" max_packet=%u",
		in_state(s), in->packets, in->bytes, in->zero_packets, in->counter, in->used,
		in->halts, in->resent, s->enables, in->max_packet);
	fprintf(f, " out_transfers=%" PRIu64 " out_bytes=%" PRIu64, out->transfers, out->bytes);
	if (out->verify)
		fprintf(f, " out_packets=%" PRIu64 " out_error=%s", out->v.packets,
			verify_kind_name(out->v.error));
	fprintf(f, " pid=%d", (int)getpid());
}

static const char *stall(struct sim *s, const char *word, const char *arg)
{
	if (!s->in.present)
		return "there is no bulk IN endpoint to stall";
	if (!strcmp(word, "stall")) {
		if (!s->enabled)
			return "stall: the device is not plugged in";
		s->in.stall_wanted = true;
		return NULL;
	}
	if (strcmp(arg, "on") && strcmp(arg, "off"))
		return "stall-always: on or off";
	s->in.stall_always = !strcmp(arg, "on");
	return NULL;
}

/* Carries out one command; NULL, or what is wrong. May print its own "ok". */
static const char *command(struct sim *s, const char *word, const char *arg, FILE *reply)
{
	const char *error;
	double rate;

	if (!strcmp(word, "size"))
		return ctl_parse_size(arg, &s->in.size_min, &s->in.size_max);
	if (!strcmp(word, "count"))
		return ctl_parse_count(arg, &s->in.left);
	if (!strcmp(word, "stall-always"))
		return stall(s, word, arg);
	if (!strcmp(word, "rate")) {
		error = ctl_parse_rate(arg, &rate);
		if (!error)
			in_set_rate(s, rate);
		return error;
	}
	if (*arg)
		return "this command takes no value, or does not exist; try help";
	if (!strcmp(word, "stats"))
		put_stats(s, reply);
	else if (!strcmp(word, "help"))
		fputs(help, reply);
	else if (!strcmp(word, "pause"))
		s->in.paused = true;
	else if (!strcmp(word, "resume"))
		s->in.paused = false;
	else if (!strcmp(word, "stall"))
		return stall(s, word, arg);
	else if (!strcmp(word, "quit"))
		s->quit = true;
	else
		return "unknown command; try help";
	return NULL;
}

static void answer(struct sim *s, int fd, char *line)
{
	char text[1024];
	FILE *reply = fmemopen(text, sizeof(text) - 1, "w");
	char *arg = line + strcspn(line, " ");
	const char *error;
	size_t len;

	if (!reply)
		return;
	if (*arg)
		*arg++ = 0;
	error = command(s, line, arg, reply);
	if (error)
		fprintf(reply, "error %s", error);
	else if (!ftell(reply))
		fputs("ok", reply);
	fputc('\n', reply);
	len = ftell(reply);
	fclose(reply);
	/* A client that went away without its reply is its own affair. */
	if (send(fd, text, len, MSG_NOSIGNAL) < 0)
		sim_log("control reply: %s", strerror(errno));
}

static void hang_up(struct sim *s, unsigned int i)
{
	close(s->ctl.client[i].fd);
	s->ctl.client[i].fd = -1;
}

void ctl_serve(struct sim *s, unsigned int i)
{
	typeof(s->ctl.client[i]) *c = &s->ctl.client[i];
	ssize_t n = read(c->fd, c->line + c->len, SIM_LINE - c->len);
	char *end;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		hang_up(s, i);
		return;
	}
	c->len += n;
	while ((end = memchr(c->line, '\n', c->len))) {
		*end++ = 0;
		answer(s, c->fd, c->line);
		c->len -= end - c->line;
		memmove(c->line, end, c->len);
	}
	if (c->len == SIM_LINE)
		hang_up(s, i);
}

void ctl_accept(struct sim *s)
{
	int fd = accept4(s->ctl.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct epoll_event ev = { .events = EPOLLIN };

	if (fd < 0)
		return;
	for (unsigned int i = 0; i < SIM_CLIENTS; i++) {
		if (s->ctl.client[i].fd >= 0)
			continue;
		ev.data.fd = fd;
		if (epoll_ctl(s->epfd, EPOLL_CTL_ADD, fd, &ev))
			break;
		s->ctl.client[i].fd = fd;
		s->ctl.client[i].len = 0;
		return;
	}
	close(fd);
}

static int unix_socket(const char *path, struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(addr->sun_path)) {
		sim_log("socket path too long (at most %zu bytes): %s", sizeof(addr->sun_path) - 1,
			path);
		return -1;
	}
	strcpy(addr->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

int ctl_listen(struct sim *s, const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, &addr);

	for (unsigned int i = 0; i < SIM_CLIENTS; i++)
		s->ctl.client[i].fd = -1;
	if (fd < 0)
		return -1;
	/* One left behind by a process that was killed is in the way. */
	unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, SIM_CLIENTS)) {
		sim_log("cannot listen on %s: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	s->ctl.listen_fd = fd;
	return 0;
}

int ctl_client(const char *path, int argc, char **argv)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, &addr);
	char line[1024] = "";
	FILE *f;

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		sim_log("no simulated device answers on %s: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	f = fdopen(fd, "r+");
	if (!f) {
		close(fd);
		return -1;
	}
	for (int i = 0; i < argc; i++)
		fprintf(f, "%s%s", argv[i], i + 1 < argc ? " " : "\n");
	fflush(f);
	if (!fgets(line, sizeof(line), f))
		sim_log("the simulated device on %s closed the connection", path);
	fclose(f);
	fputs(line, strncmp(line, "ok", 2) ? stderr : stdout);
	return strncmp(line, "ok", 2) ? -1 : 0;
}
