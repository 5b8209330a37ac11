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
	"stall-always on|off (again after each clear) | echo on|off (messages of bulk OUT go back "
	"on bulk IN) | slow MS (take one request every MS milliseconds, answer that much later) | "
	"refuse (take nothing on bulk OUT; between messages: what a request has taken of one is "
	"lost) | refuse-next (queue no more requests, those queued are still filled) | accept | "
	"stall-out [N] (once; after N more bytes, given between messages) | stall-out-always on|off "
	"| verify-out off|stream|messages (and begin anew) | quit | help. Each is for alternate "
	"setting 0; behind the word alt1, for setting 1.";

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

const char *ctl_parse_verify(const char *arg, enum out_verify *verify)
{
	static const char *const names[] = { "off", "stream", "messages" };

	for (unsigned int i = 0; i < 3; i++) {
		if (!strcmp(arg, names[i])) {
			*verify = i;
			return NULL;
		}
	}
	return "verify-out: off, stream or messages";
}

static void put_out(const struct sim_alt *a, FILE *f)
{
	const struct sim_out *out = &a->out;
	const struct sim_echo *e = &a->echo;
	const struct verifier *v = &out->v;

	fprintf(f,
		" out_transfers=%" PRIu64 " out_bytes=%" PRIu64
		" out_state=%s out_messages=%" PRIu64 " out_zero_packets=%" PRIu64
		" out_queued=%u out_halts=%" PRIu64,
		out->transfers, out->bytes, out_state(a), out->messages, out->zero_packets,
		out->queued, out->halts);
	fprintf(f,
		" echo=%u echo_sent=%" PRIu64 " echo_bytes=%" PRIu64 " echo_queued=%u"
		" echo_dropped=%" PRIu64,
		e->on, e->sent, e->sent_bytes, e->used, e->dropped);
	if (out->verify == OUT_ANYTHING)
		return;
	fprintf(f, " out_packets=%" PRIu64 " out_error=%s", v->packets, verify_kind_name(v->error));
	if (out->verify == OUT_MESSAGES)
		fprintf(f, " out_writers=%u out_unended=%" PRIu64, v->writer_count, out->unended);
	if (!v->error)
		return;
	/* A value is one word. */
	fprintf(f, " out_error_offset=%" PRIu64 " out_error_text=", v->error_offset);
	for (const char *c = v->error_text; *c; c++)
		fputc(*c == ' ' ? '_' : *c, f);
}

static void put_stats(const struct sim_alt *a, FILE *f)
{
	const struct sim *s = a->sim;
	const struct sim_control *c = &s->control;
	const struct sim_in *in = &a->in;

	fprintf(f,
		"ok state=%s packets=%" PRIu64 " bytes=%" PRIu64 " zero_packets=%" PRIu64
		" next=%" PRIu64 " queued=%u halts=%" PRIu64 " resent=%" PRIu64 " enables=%" PRIu64
		" max_packet=%u",
		in_state(a), in->packets, in->bytes, in->zero_packets, in->counter, in->used,
		in->halts, in->resent, s->enables, in->max_packet);
	fprintf(f, " pid=%d alts=%u active=%u", (int)getpid(), s->alts, s->active);
	fprintf(f,
		" control=%" PRIu64 " control_bytes=%" PRIu64 " control_refused=%" PRIu64
		" control_cancelled=%" PRIu64 " control_hurried=%" PRIu64 " control_errors=%" PRIu64
		" mode=%u",
		c->requests, c->bytes, c->refused, c->cancelled, c->hurried, c->errors, c->mode);
	put_out(a, f);
}

static const char *do_stats(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)arg;
	put_stats(a, reply);
	return NULL;
}

static const char *do_help(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)a;
	(void)arg;
	fputs(help, reply);
	return NULL;
}

static const char *do_size(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)reply;
	return ctl_parse_size(arg, &a->in.size_min, &a->in.size_max);
}

static const char *do_count(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)reply;
	return ctl_parse_count(arg, &a->in.left);
}

static const char *do_rate(struct sim_alt *a, const char *arg, FILE *reply)
{
	double rate;
	const char *error = ctl_parse_rate(arg, &rate);

	(void)reply;
	if (!error)
		in_set_rate(&a->in, rate);
	return error;
}

static const char *do_pause(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)arg;
	(void)reply;
	a->in.paused = true;
	return NULL;
}

static const char *do_resume(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)arg;
	(void)reply;
	a->in.paused = false;
	return NULL;
}

static const char *parse_switch(const char *arg, bool *on)
{
	if (strcmp(arg, "on") && strcmp(arg, "off"))
		return "this command needs on or off";
	*on = !strcmp(arg, "on");
	return NULL;
}

static const char *do_stall(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)arg;
	(void)reply;
	if (!a->in.present)
		return "there is no bulk IN endpoint to stall";
	if (!a->sim->enabled)
		return "stall: the device is not plugged in";
	a->in.stall_wanted = true;
	return NULL;
}

static const char *do_stall_always(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)reply;
	if (!a->in.present)
		return "there is no bulk IN endpoint to stall";
	return parse_switch(arg, &a->in.stall_always);
}

static const char *do_stall_out(struct sim_alt *a, const char *arg, FILE *reply)
{
	uint64_t after = 0;
	char *end;

	(void)reply;
	if (*arg && (!whole(arg, &end, &after) || *end))
		return "stall-out: a number of bytes, or none";
	if (!a->out.present)
		return "there is no bulk OUT endpoint to stall";
	if (!a->sim->enabled)
		return "stall-out: the device is not plugged in";
	out_stall(a, after);
	return NULL;
}

static const char *do_stall_out_always(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)reply;
	if (!a->out.present)
		return "there is no bulk OUT endpoint to stall";
	return parse_switch(arg, &a->out.stall_always);
}

static const char *do_refuse(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)arg;
	(void)reply;
	out_refuse(a, true, true);
	return NULL;
}

static const char *do_refuse_next(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)arg;
	(void)reply;
	out_refuse(a, true, false);
	return NULL;
}

static const char *do_accept(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)arg;
	(void)reply;
	out_refuse(a, false, false);
	return NULL;
}

static const char *do_slow(struct sim_alt *a, const char *arg, FILE *reply)
{
	uint64_t ms;
	char *end;

	(void)reply;
	if (!whole(arg, &end, &ms) || *end || ms > 60000)
		return "slow: milliseconds, 0 to 60000";
	out_slow(a, ms);
	return NULL;
}

static const char *do_echo(struct sim_alt *a, const char *arg, FILE *reply)
{
	const char *error;
	bool on;

	(void)reply;
	if (!a->in.present || !a->out.present)
		return "echo: this needs both bulk endpoints";
	error = parse_switch(arg, &on);
	if (!error)
		echo_switch(a, on);
	return error;
}

static const char *do_verify_out(struct sim_alt *a, const char *arg, FILE *reply)
{
	enum out_verify what;
	const char *error = ctl_parse_verify(arg, &what);

	(void)reply;
	if (!error)
		out_verify(&a->out, what);
	return error;
}

static const char *do_quit(struct sim_alt *a, const char *arg, FILE *reply)
{
	(void)arg;
	(void)reply;
	a->sim->quit = true;
	return NULL;
}

enum value { NO_VALUE, MAY_VALUE, MUST_VALUE };

static const struct command {
	const char *word;
	enum value value;
	/* NULL, or what is wrong. May print its own "ok". */
	const char *(*fn)(struct sim_alt *a, const char *arg, FILE *reply);
} commands[] = {
	{ "stats", NO_VALUE, do_stats },
	{ "help", NO_VALUE, do_help },
	{ "size", MUST_VALUE, do_size },
	{ "count", MUST_VALUE, do_count },
	{ "rate", MUST_VALUE, do_rate },
	{ "pause", NO_VALUE, do_pause },
	{ "resume", NO_VALUE, do_resume },
	{ "stall", NO_VALUE, do_stall },
	{ "stall-always", MUST_VALUE, do_stall_always },
	{ "stall-out", MAY_VALUE, do_stall_out },
	{ "stall-out-always", MUST_VALUE, do_stall_out_always },
	{ "refuse", NO_VALUE, do_refuse },
	{ "refuse-next", NO_VALUE, do_refuse_next },
	{ "accept", NO_VALUE, do_accept },
	{ "slow", MUST_VALUE, do_slow },
	{ "echo", MUST_VALUE, do_echo },
	{ "verify-out", MUST_VALUE, do_verify_out },
	{ "quit", NO_VALUE, do_quit },
};

/* Cuts the first word off. */
static char *split(char *line)
{
	char *rest = line + strcspn(line, " ");

	if (*rest)
		*rest++ = 0;
	return rest;
}

static const char *command(struct sim *s, char *line, FILE *reply)
{
	struct sim_alt *a = &s->alt[0];
	char *arg = split(line);

	if (!strcmp(line, "alt0") || !strcmp(line, "alt1")) {
		a += line[3] - '0';
		if (a >= s->alt + s->alts)
			return "there is no alternate setting 1; see --alternate";
		line = arg;
		arg = split(line);
	}
	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *c = &commands[i];

		if (strcmp(line, c->word))
			continue;
		if (*arg && c->value == NO_VALUE)
			return "this command takes no value";
		if (!*arg && c->value == MUST_VALUE)
			return "this command needs a value; try help";
		return c->fn(a, arg, reply);
	}
	return "unknown command; try help";
}

static void answer(struct sim *s, int fd, char *line)
{
	char text[2048];
	FILE *reply = fmemopen(text, sizeof(text) - 1, "w");
	const char *error;
	size_t len;

	if (!reply)
		return;
	error = command(s, line, reply);
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
	char line[2048] = "";
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
