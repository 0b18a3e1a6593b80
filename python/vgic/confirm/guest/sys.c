#include "sys.h"

#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/signal.h>

#define STACK 0x10000

void quit(int status)
{
	for (;;)
		SYSCALL(exit_group, status, 0, 0, 0, 0, 0);
}

void *memory(size_t size)
{
	long at = SYSCALL(mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (at < 0)
		quit(12);
	return (void *)at;
}

void pin(int cpu)
{
	u64 mask = 1ul << cpu;

	SYSCALL(sched_setaffinity, 0, sizeof(mask), &mask, 0, 0, 0);
}

int process(void)
{
	return SYSCALL(clone, SIGCHLD, 0, 0, 0, 0, 0);
}

int await(int process)
{
	int status = 0;

	while (SYSCALL(wait4, process, &status, 0, 0, 0, 0) == -4)	// EINTR
		;
	return status & 0x7f ? -(status & 0x7f) : status >> 8 & 0xff;
}

// clone(flags, stack, NULL, NULL, lives): the new thread takes what to run off its stack, and ends after it.
long spawn(long flags, void *stack, u32 *lives);
asm(".text\n"
    ".global spawn\n"
    "spawn:\n"
    "	mov x4, x2\n"
    "	mov x2, #0\n"
    "	mov x3, #0\n"
    "	mov x8, #220\n"
    "	svc #0\n"
    "	cbz x0, 1f\n"
    "	ret\n"
    "1:	ldp x1, x0, [sp]\n"
    "	mov x29, #0\n"
    "	blr x1\n"
    "	mov x0, #0\n"
    "	mov x8, #93\n"
    "	svc #0\n");

void start(struct thread *thread)
{
	void **top = (void **)((char *)memory(STACK) + STACK) - 2;

	top[0] = (void *)thread->run;
	top[1] = thread->argument;
	thread->lives = 1;
	if (spawn(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
		  CLONE_CHILD_CLEARTID, top, &thread->lives) < 0)
		thread->lives = 0;
}

void join(struct thread *thread)
{
	while (__atomic_load_n(&thread->lives, __ATOMIC_ACQUIRE))
		SYSCALL(futex, &thread->lives, FUTEX_WAIT, 1, 0, 0, 0);
}

void put(struct text *text, const char *words)
{
	while (*words && text->size < sizeof(text->at) - 1)
		text->at[text->size++] = *words++;
}

static void put_digits(struct text *text, u64 value, unsigned int base)
{
	char digits[24];
	int at = sizeof(digits) - 1;

	digits[at] = 0;
	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	put(text, digits + at);
}

void put_number(struct text *text, long value)
{
	put(text, value < 0 ? "-" : "");
	put_digits(text, value < 0 ? -(u64)value : (u64)value, 10);
}

void put_hex(struct text *text, u64 value)
{
	put(text, "0x");
	put_digits(text, value, 16);
}

void say(struct text *text)
{
	size_t done = 0;

	text->at[text->size++] = '\n';
	while (done < text->size) {
		long wrote = SYSCALL(write, 1, text->at + done, text->size - done, 0, 0, 0);

		if (wrote > 0)
			done += wrote;
	}
	text->size = 0;
}

bool read_line(char *line, size_t size)
{
	static char buffer[4096];
	static long at, end;
	size_t length = 0;

	for (;;) {
		if (at == end) {
			at = 0;
			end = SYSCALL(read, 0, buffer, sizeof(buffer), 0, 0, 0);
			if (end <= 0) {
				end = 0;
				return false;
			}
		}
		char c = buffer[at++];

		if (c == '\n') {
			line[length] = 0;
			return true;
		}
		if (length < size - 1 && c != '\r')
			line[length++] = c;
	}
}

static char *skip(char *line)
{
	while (*line == ' ')
		line++;
	return line;
}

bool word(char **line, const char *wanted)
{
	char *at = skip(*line);

	while (*wanted)
		if (*at++ != *wanted++)
			return false;
	if (*at && *at != ' ')
		return false;
	*line = at;
	return true;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

bool number(char **line, u64 *value)
{
	char *at = skip(*line);
	bool negative = *at == '-';
	int base = 10;

	at += negative;
	if (at[0] == '0' && at[1] == 'x') {
		base = 16;
		at += 2;
	}
	if (digit(*at) >= base)
		return false;
	for (*value = 0; digit(*at) < base; at++)
		*value = *value * base + digit(*at);
	if (negative)
		*value = -*value;
	*line = at;
	return true;
}

void zero(void *at, size_t size)
{
	for (u8 *byte = at; size; size--)
		*byte++ = 0;
}

void copy(void *to, const void *from, size_t size)
{
	u8 *out = to;
	const u8 *in = from;

	while (size--)
		*out++ = *in++;
}

// The compiler may call these.
void *memset(void *at, int value, size_t size)
{
	for (u8 *byte = at; size; size--)
		*byte++ = value;
	return at;
}

void *memcpy(void *to, const void *from, size_t size)
{
	copy(to, from, size);
	return to;
}
