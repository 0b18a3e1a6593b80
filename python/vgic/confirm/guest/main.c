// The first process of the machine that stories are played in. Commands come over the console, a line each, and each is
// answered by "= NUMBER", -errno if it failed:
//
//   functions                 the kernel's functions, as in /proc/kallsyms, at mark_text(address, size)
//   vm VCPUS ITSES            a new VM, in a process of its own, which answers until "end"
//   end                       the VM goes
//
// and of the VM:
//
//   its_w ITS OFFSET VALUE    rd_w VCPU OFFSET VALUE     dist_w OFFSET VALUE     registers, as a VMM does
//   its_r ITS OFFSET          rd_r VCPU OFFSET           dist_r OFFSET
//   mem_w ADDRESS SIZE VALUE  mem_r ADDRESS SIZE         guest memory, 1, 2, 4 or 8 bytes
//   fill ADDRESS SIZE BYTE
//   store VCPU ADDRESS SIZE VALUE     enter VCPU     ack VCPU      by the code of a vCPU
//   queue ITS ADDRESS         where the ITS's command queue is
//   cmd ITS VCPU A B C D      a command; VCPU -1: as a VMM does
//   msi ITS DEVICE EVENT      save_pending               state
//   thread T COMMAND          a command for thread T, 1 to 3, which has CPU T for itself
//   go                        runs the threads; "= T K NUMBER" for each command, then "= 0"
//
// Around each command of a thread stand mark_begin(thread, command) and mark_end(thread, command), where the driver
// picks the threads up. Their addresses are told at the beginning, and where a vCPU is about to leave the guest.

#include "vm.h"

#include <linux/fcntl.h>
#include <asm/ioctls.h>
#include <asm/termbits.h>

#define LINE 256
#define THREADS 3
#define COMMANDS 32
#define FUNCTIONS_SIZE (16ul << 20)

#define MARK(name) \
	__attribute__((noinline)) static void name(long x0, long x1) { asm volatile("" :: "r"(x0), "r"(x1) : "memory"); }
MARK(mark_begin)
MARK(mark_end)
MARK(mark_text)

static struct {
	char lines[COMMANDS][LINE];
	long answers[COMMANDS];
	long done;
	int count;
	struct thread thread;
} threads[THREADS + 1];
static int arrived, expected;

static void answer(long value)
{
	struct text text = { .size = 0 };

	put(&text, "= ");
	put_number(&text, value);
	say(&text);
}

static bool numbers(char *line, u64 *values, int count)
{
	for (int n = 0; n < count; n++)
		if (!number(&line, &values[n]))
			return false;
	while (*line == ' ')
		line++;
	return !*line;
}

static long access(u64 address, u64 size, bool write, u64 value)
{
	void *at = ram(address, size);

	if (!at || (size != 1 && size != 2 && size != 4 && size != 8) || address % size)
		return -22;
	if (write)
		copy(at, &value, size);
	else
		copy(&value, at, size);
	return write ? 0 : (long)value;
}

static long fill(u64 address, u64 size, u64 byte)
{
	u8 *at = ram(address, size);

	if (!at)
		return -22;
	while (size--)
		*at++ = byte;
	return 0;
}

static long value_or(long error, u64 value)
{
	return error ? error : (long)value;
}

// One command of the VM, by whichever thread.
static long obey(char *line)
{
	u64 a[6], value = 0;

#define IS(name, count) (word(&line, name) && numbers(line, a, count))
	if (IS("its_w", 3))
		return its_write(a[0], a[1], a[2]);
	if (IS("its_r", 2)) {
		long error = its_read(a[0], a[1], &value);

		return value_or(error, value);
	}
	if (IS("rd_w", 3))
		return redistributor_write(a[0], a[1], a[2]);
	if (IS("rd_r", 2)) {
		long error = redistributor_read(a[0], a[1], &value);

		return value_or(error, value);
	}
	if (IS("dist_w", 2))
		return distributor_write(a[0], a[1]);
	if (IS("dist_r", 1)) {
		long error = distributor_read(a[0], &value);

		return value_or(error, value);
	}
	if (IS("mem_w", 3))
		return access(a[0], a[1], true, a[2]);
	if (IS("mem_r", 2))
		return access(a[0], a[1], false, 0);
	if (IS("fill", 3))
		return fill(a[0], a[1], a[2]);
	if (IS("store", 4))
		return store(a[0], a[1], a[2], a[3]);
	if (IS("enter", 1))
		return enter(a[0]);
	if (IS("ack", 1))
		return take(a[0]);
	if (IS("queue", 2))
		return queue(a[0], a[1]);
	if (IS("cmd", 6))
		return command(a[0], a[1], a + 2);
	if (IS("msi", 3))
		return msi(a[0], a[1], a[2]);
	if (IS("save_pending", 0))
		return save_pending();
	if (IS("state", 0))
		return state();
	return -38;				// ENOSYS
}

// The vCPU that a command runs, or -1.
static long runs(char *line)
{
	u64 a[6];

	if (IS("store", 4) || IS("enter", 1) || IS("ack", 1))
		return a[0];
	if (IS("cmd", 6))
		return a[1];
	return -1;
}

static void body(void *argument)
{
	long t = (long)argument;

	pin(t);
	for (int n = 0; n < threads[t].count; n++)
		warm(runs(threads[t].lines[n]));
	__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < expected)
		SYSCALL(sched_yield, 0, 0, 0, 0, 0, 0);
	for (long n = 0; n < threads[t].count; n++) {
		mark_begin(t, n);
		threads[t].answers[n] = obey(threads[t].lines[n]);
		threads[t].done = n + 1;
		mark_end(t, n);
	}
}

static long add(char *line)
{
	u64 t;

	if (!number(&line, &t) || t < 1 || t > THREADS || threads[t].count == COMMANDS)
		return -22;
	copy(threads[t].lines[threads[t].count++], line, LINE - 32);
	return 0;
}

static long go(void)
{
	arrived = expected = 0;
	for (int t = 1; t <= THREADS; t++)
		expected += threads[t].count > 0;
	for (long t = 1; t <= THREADS; t++) {
		threads[t].thread.run = body;
		threads[t].thread.argument = (void *)t;
		threads[t].done = 0;
		if (threads[t].count)
			start(&threads[t].thread);
	}
	for (long t = 1; t <= THREADS; t++) {
		if (threads[t].count)
			join(&threads[t].thread);
		for (long n = 0; n < threads[t].done; n++) {
			struct text text = { .size = 0 };

			put(&text, "= ");
			put_number(&text, t);
			put(&text, " ");
			put_number(&text, n);
			put(&text, " ");
			put_number(&text, threads[t].answers[n]);
			say(&text);
		}
		threads[t].count = 0;
	}
	return 0;
}

// The process of a VM, until "end".
static void serve(u64 vcpus, u64 itses)
{
	static char line[LINE];
	const char *what = "";
	long error = create(vcpus, itses, &what);

	if (error) {
		struct text text = { .size = 0 };

		put(&text, "! ");
		put(&text, what);
		say(&text);
	}
	answer(error);
	if (error)
		quit(1);
	while (read_line(line, sizeof(line))) {
		char *at = line;

		if (word(&at, "end"))
			quit(0);
		if (word(&at, "thread"))
			answer(add(at));
		else if (word(&at, "go"))
			answer(go());
		else
			answer(obey(at));
	}
	quit(1);
}

// Lines of /proc/kallsyms whose type is t, T, w or W, at mark_text().
static long functions(void)
{
	static char buffer[1 << 16];
	long fd = SYSCALL(openat, AT_FDCWD, "/proc/kallsyms", O_RDONLY, 0, 0, 0);
	char *text, kind = 0;
	long got, size = 0, begin = 0, column = 0;

	if (fd < 0)
		return fd;
	text = memory(FUNCTIONS_SIZE);
	while ((got = SYSCALL(read, fd, buffer, sizeof(buffer), 0, 0, 0)) > 0)
		for (long at = 0; at < got && size < (long)FUNCTIONS_SIZE; at++) {
			text[size++] = buffer[at];
			if (column++ == 17)
				kind = buffer[at] | 0x20;
			if (buffer[at] != '\n')
				continue;
			if (kind != 't' && kind != 'w')
				size = begin;
			begin = size;
			column = 0;
		}
	SYSCALL(close, fd, 0, 0, 0, 0, 0);
	mark_text((long)text, size);
	SYSCALL(munmap, text, FUNCTIONS_SIZE, 0, 0, 0, 0);
	return size;
}

static void prepare(void)
{
	struct termios terminal;
	struct text text = { .size = 0 };

	SYSCALL(mount, "proc", "/proc", "proc", 0, 0, 0);
	SYSCALL(mount, "sys", "/sys", "sysfs", 0, 0, 0);
	SYSCALL(mount, "dev", "/dev", "devtmpfs", 0, 0, 0);
	SYSCALL(mount, "debug", "/sys/kernel/debug", "debugfs", 0, 0, 0);
	if (!sys_ioctl(0, TCGETS, &terminal)) {
		terminal.c_lflag &= ~(ECHO | ICANON | ISIG);
		terminal.c_iflag &= ~(IXON | ICRNL);
		terminal.c_oflag &= ~OPOST;
		sys_ioctl(0, TCSETS, &terminal);
	}
	pin(0);
	put(&text, "= up ");
	put_hex(&text, (u64)mark_begin);
	put(&text, " ");
	put_hex(&text, (u64)mark_end);
	put(&text, " ");
	put_hex(&text, (u64)mark_text);
	put(&text, " ");
	put_hex(&text, leaves());
	say(&text);
}

// The stack is aligned, and what is on it is of no interest.
void _start(void)
{
	static char line[LINE];

	prepare();
	while (read_line(line, sizeof(line))) {
		char *at = line;
		u64 a[2];

		if (word(&at, "functions")) {
			answer(functions());
		} else if (word(&at, "vm") && numbers(at, a, 2)) {
			int child = process();

			if (!child)
				serve(a[0], a[1]);
			answer(child < 0 ? child : await(child));
		} else {
			answer(-38);
		}
	}
	quit(0);
}
