// What a program without a C library needs: system calls, threads, text.
#ifndef SYS_H
#define SYS_H

#include <asm/unistd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

#define CPUS 8

// The kernel's convention for arm64: number in x8, arguments in x0 to x5, -errno in x0.
static inline long syscall6(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 asm("x8") = number;
	register long x0 asm("x0") = a;
	register long x1 asm("x1") = b;
	register long x2 asm("x2") = c;
	register long x3 asm("x3") = d;
	register long x4 asm("x4") = e;
	register long x5 asm("x5") = f;

	asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

#define SYSCALL(name, a, b, c, d, ...) \
	syscall6(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), ##__VA_ARGS__)
#define sys_ioctl(fd, request, argument) SYSCALL(ioctl, fd, request, argument, 0, 0, 0)

void *memory(size_t size);			// zeroed, and there; the program ends if there is none
void pin(int cpu);
int process(void);				// as fork
int await(int process);				// its exit status, or minus the signal that ended it
void quit(int status) __attribute__((noreturn));

struct thread {
	void (*run)(void *);
	void *argument;
	u32 lives;				// until it has ended
};

void start(struct thread *thread);
void join(struct thread *thread);

// Text goes out a line at a time, so that lines of the kernel come between lines.
struct text {
	char at[256];
	size_t size;
};

void put(struct text *text, const char *words);
void put_number(struct text *text, long number);
void put_hex(struct text *text, u64 number);
void say(struct text *text);			// to the console, with an end of line
bool read_line(char *line, size_t size);	// false at the end of the input
bool word(char **line, const char *wanted);	// takes a word off if it is this one
bool number(char **line, u64 *value);		// takes a number off, decimal, negative or 0x...
void zero(void *at, size_t size);
void copy(void *to, const void *from, size_t size);

#endif
