// A VM of KVM's with a GICv3, ITSes and vCPUs whose code does one thing at a time.
#ifndef VM_H
#define VM_H

#include "sys.h"

#define VCPUS 8
#define ITSES 2
#define RAM 0x40000000ul
#define RAM_SIZE 0x200000ul

long create(unsigned int vcpus, unsigned int itses, const char **what);	// 0, or what could not be had and -errno
unsigned int vcpus(void);

// Registers as a VMM reads and writes them (KVM_DEV_ARM_VGIC_GRP_*); offsets are the architecture's.
long its_write(u64 its, u64 offset, u64 value);
long its_read(u64 its, u64 offset, u64 *value);
long redistributor_write(u64 vcpu, u64 offset, u64 value);
long redistributor_read(u64 vcpu, u64 offset, u64 *value);
long distributor_write(u64 offset, u64 value);
long distributor_read(u64 offset, u64 *value);

long msi(u64 its, u64 device, u64 event);
long save_pending(void);

// By the code of a vCPU.
long store(u64 vcpu, u64 address, u64 size, u64 value);
long take(u64 vcpu);				// reads ICC_IAR1_EL1, ends what it got: its INTID, 1023 for none
long enter(u64 vcpu);				// in and out of the guest, which takes nothing
u64 leaves(void);				// where in its code a vCPU is about to leave the guest
void warm(u64 vcpu);				// a thread's first run of a vCPU waits for RCU

// A command goes into an ITS's queue; GITS_CWRITER is written by a vCPU, or as a VMM does for -1.
long queue(u64 its, u64 address);
long command(u64 its, u64 vcpu, const u64 words[4]);

void *ram(u64 address, u64 size);		// NULL if it is not all RAM
long state(void);				// tells the LPIs as the kernel does, in lines that begin with "| "

#endif
