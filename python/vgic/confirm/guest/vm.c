#include "vm.h"

#include <linux/fcntl.h>
#include <linux/kvm.h>
#include <linux/mman.h>

#define DISTRIBUTOR 0x08000000ul
#define ITS(its) (0x08080000ul + (its) * 0x20000ul)
#define REDISTRIBUTOR 0x08100000ul
#define TRANSLATER 0x10040
#define CWRITER 0x88
#define QUEUE_SIZE 0x8000ul
#define CODE (RAM + RAM_SIZE - 0x1000)		// the last page of RAM
#define DOOR 0x0a000000ul			// nothing is there: a store leaves the guest
#define NONE (~0ul)

static int vm, gic, its_fd[ITSES], vcpu_fd[VCPUS];
static unsigned int vcpu_count, its_count;
static struct kvm_run *runs[VCPUS];
static u8 *guest;
static u64 queue_at[ITSES], queue_next[ITSES];

// What a vCPU may do, each followed by a store to DOOR, whose address is in x2. Interrupts stay masked.
#pragma GCC visibility push(hidden)
extern const u8 code_begin[], code_store32[], code_store64[], code_leave[], code_take[], code_end[];
#pragma GCC visibility pop
asm(".section .rodata\n"
    "	.balign 4\n"
    "	.global code_begin, code_store32, code_store64, code_leave, code_take, code_end\n"
    "code_begin:\n"
    "code_store32:\n"
    "	str	w0, [x1]\n"
    "	b	1f\n"
    "code_store64:\n"
    "	str	x0, [x1]\n"
    "	b	1f\n"
    "code_take:\n"
    "	mov	x0, #0xff\n"
    "	msr	S3_0_C4_C6_0, x0\n"		// ICC_PMR_EL1: every priority
    "	mov	x0, #1\n"
    "	msr	S3_0_C12_C12_7, x0\n"		// ICC_IGRPEN1_EL1
    "	isb\n"
    "	mrs	x0, S3_0_C12_C12_0\n"		// ICC_IAR1_EL1
    "	dsb	sy\n"
    "	cmp	w0, #1023\n"
    "	b.eq	1f\n"
    "	msr	S3_0_C12_C12_1, x0\n"		// ICC_EOIR1_EL1
    "	isb\n"
    "code_leave:\n"
    "1:	str	w0, [x2]\n"
    "	b	.\n"
    "code_end:\n"
    ".previous\n");

static long attribute(int fd, bool set, u32 group, u64 which, void *value)
{
	struct kvm_device_attr attr = { .group = group, .attr = which, .addr = (u64)value };

	return sys_ioctl(fd, set ? KVM_SET_DEVICE_ATTR : KVM_GET_DEVICE_ATTR, &attr);
}

static long create_device(u32 type)
{
	struct kvm_create_device device = { .type = type };
	long error = sys_ioctl(vm, KVM_CREATE_DEVICE, &device);

	return error ? error : (long)device.fd;
}

static long create_vcpu(unsigned int n, long run_size)
{
	struct kvm_vcpu_init init;
	long error;

	vcpu_fd[n] = sys_ioctl(vm, KVM_CREATE_VCPU, n);
	if (vcpu_fd[n] < 0)
		return vcpu_fd[n];
	zero(&init, sizeof(init));
	error = sys_ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init);
	if (error)
		return error;
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	error = sys_ioctl(vcpu_fd[n], KVM_ARM_VCPU_INIT, &init);
	if (error)
		return error;
	long at = SYSCALL(mmap, 0, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd[n], 0);

	runs[n] = (struct kvm_run *)at;
	return at < 0 && at > -4096 ? at : 0;
}

#define NEED(words, call) do { \
	long got = (call); \
	if (got < 0) { \
		*what = words; \
		return got; \
	} \
} while (0)

long create(unsigned int want_vcpus, unsigned int want_itses, const char **what)
{
	long kvm = SYSCALL(openat, AT_FDCWD, "/dev/kvm", O_RDWR, 0, 0, 0);
	long run_size;
	u64 value;

	*what = "a VM of so many vCPUs and ITSes";
	if (!want_vcpus || want_vcpus > VCPUS || want_itses > ITSES)
		return -22;
	vcpu_count = want_vcpus;
	its_count = want_itses;
	NEED("/dev/kvm", kvm);
	NEED("KVM_CREATE_VM", vm = sys_ioctl(kvm, KVM_CREATE_VM, 0));
	run_size = sys_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	guest = memory(RAM_SIZE);
	copy(guest + (CODE - RAM), code_begin, code_end - code_begin);

	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = RAM, .memory_size = RAM_SIZE, .userspace_addr = (u64)guest,
	};

	NEED("KVM_SET_USER_MEMORY_REGION", sys_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
	NEED("a GICv3", gic = create_device(KVM_DEV_TYPE_ARM_VGIC_V3));
	for (unsigned int n = 0; n < vcpu_count; n++)
		NEED("a vCPU", create_vcpu(n, run_size));
	u32 interrupts = 64;

	NEED("64 interrupts", attribute(gic, true, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts));
	value = DISTRIBUTOR;
	NEED("the distributor's place", attribute(gic, true, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &value));
	value = REDISTRIBUTOR;
	NEED("the redistributors' place",
	     attribute(gic, true, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &value));
	for (unsigned int n = 0; n < its_count; n++) {
		value = ITS(n);
		NEED("an ITS", its_fd[n] = create_device(KVM_DEV_TYPE_ARM_VGIC_ITS));
		NEED("an ITS's place",
		     attribute(its_fd[n], true, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &value));
	}
	NEED("the GICv3's start", attribute(gic, true, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL));
	for (unsigned int n = 0; n < its_count; n++)
		NEED("an ITS's start",
		     attribute(its_fd[n], true, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL));
	return 0;
}

unsigned int vcpus(void)
{
	return vcpu_count;
}

long its_write(u64 its, u64 offset, u64 value)
{
	if (its >= its_count)
		return -22;
	return attribute(its_fd[its], true, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, offset, &value);
}

long its_read(u64 its, u64 offset, u64 *value)
{
	if (its >= its_count)
		return -22;
	return attribute(its_fd[its], false, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, offset, value);
}

long redistributor_write(u64 vcpu, u64 offset, u64 value)
{
	u32 word = value;

	return attribute(gic, true, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, vcpu << 32 | offset, &word);
}

long redistributor_read(u64 vcpu, u64 offset, u64 *value)
{
	u32 word = 0;
	long error = attribute(gic, false, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, vcpu << 32 | offset, &word);

	*value = word;
	return error;
}

long distributor_write(u64 offset, u64 value)
{
	u32 word = value;

	return attribute(gic, true, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, offset, &word);
}

long distributor_read(u64 offset, u64 *value)
{
	u32 word = 0;
	long error = attribute(gic, false, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, offset, &word);

	*value = word;
	return error;
}

long msi(u64 its, u64 device, u64 event)
{
	struct kvm_msi message = {
		.address_lo = ITS(its) + TRANSLATER, .data = event, .devid = device, .flags = KVM_MSI_VALID_DEVID,
	};

	return sys_ioctl(vm, KVM_SIGNAL_MSI, &message);
}

long save_pending(void)
{
	return attribute(gic, true, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL);
}

static long set_register(u64 vcpu, u64 offset, u64 value)
{
	struct kvm_one_reg reg = {
		.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | offset / 4, .addr = (u64)&value,
	};

	return sys_ioctl(vcpu_fd[vcpu], KVM_SET_ONE_REG, &reg);
}

void warm(u64 vcpu)
{
	if (vcpu >= vcpu_count)
		return;
	runs[vcpu]->immediate_exit = 1;
	sys_ioctl(vcpu_fd[vcpu], KVM_RUN, 0);
	runs[vcpu]->immediate_exit = 0;
}

// Runs a piece of code with x0 and x1; what it stores to DOOR. -errno if KVM fails, -100 - the reason of another exit.
static long run(u64 vcpu, const u8 *code, u64 x0, u64 x1)
{
	struct kvm_run *exit;
	long error;

	if (vcpu >= vcpu_count)
		return -22;
	exit = runs[vcpu];
	set_register(vcpu, offsetof(struct kvm_regs, regs.pc), CODE + (code - code_begin));
	set_register(vcpu, offsetof(struct kvm_regs, regs.regs[0]), x0);
	set_register(vcpu, offsetof(struct kvm_regs, regs.regs[1]), x1);
	set_register(vcpu, offsetof(struct kvm_regs, regs.regs[2]), DOOR);
	do
		error = sys_ioctl(vcpu_fd[vcpu], KVM_RUN, 0);
	while (error == -4);			// EINTR
	if (error)
		return error;
	if (exit->exit_reason != KVM_EXIT_MMIO || exit->mmio.phys_addr != DOOR)
		return -100 - (long)exit->exit_reason;
	u32 value = exit->mmio.data[0] | exit->mmio.data[1] << 8 | exit->mmio.data[2] << 16 | (u32)exit->mmio.data[3] << 24;

	warm(vcpu);				// the store to DOOR ends with the next entry
	return value;
}

long store(u64 vcpu, u64 address, u64 size, u64 value)
{
	long got = run(vcpu, size == 8 ? code_store64 : code_store32, value, address);

	return got < 0 ? got : 0;
}

long take(u64 vcpu)
{
	return run(vcpu, code_take, 0, 0);
}

long enter(u64 vcpu)
{
	return run(vcpu, code_leave, 0, 0);
}

u64 leaves(void)
{
	return CODE + (code_leave - code_begin);
}

long queue(u64 its, u64 address)
{
	if (its >= its_count || !ram(address, QUEUE_SIZE))
		return -22;
	queue_at[its] = address;
	queue_next[its] = 0;
	return 0;
}

long command(u64 its, u64 vcpu, const u64 words[4])
{
	if (its >= its_count || !queue_at[its])
		return -22;
	copy(ram(queue_at[its] + queue_next[its], 32), words, 32);
	queue_next[its] = (queue_next[its] + 32) % QUEUE_SIZE;
	if (vcpu == NONE)
		return its_write(its, CWRITER, queue_next[its]);
	return store(vcpu, ITS(its) + CWRITER, 8, queue_next[its]);
}

void *ram(u64 address, u64 size)
{
	if (address < RAM || size > RAM_SIZE || address - RAM > RAM_SIZE - size)
		return NULL;
	return guest + (address - RAM);
}

long state(void)
{
	static char buffer[1 << 16];
	struct text path = { .size = 0 }, line = { .size = 0 };
	long fd, got, lines = 0;

	put(&path, "/sys/kernel/debug/kvm/");
	put_number(&path, SYSCALL(getpid, 0, 0, 0, 0, 0, 0));
	put(&path, "-");
	put_number(&path, vm);
	put(&path, "/vgic-state");
	path.at[path.size] = 0;
	fd = SYSCALL(openat, AT_FDCWD, path.at, O_RDONLY, 0, 0, 0);
	if (fd < 0)
		return fd;
	while ((got = SYSCALL(read, fd, buffer, sizeof(buffer), 0, 0, 0)) > 0)
		for (long at = 0; at < got; at++) {
			char c[2] = { buffer[at], 0 };

			if (c[0] != '\n') {
				put(&line, c);
				continue;
			}
			line.at[line.size] = 0;
			char *from = line.at;

			if (word(&from, "LPI")) {
				struct text told = { .size = 0 };

				put(&told, "|");
				put(&told, from);
				say(&told);
				lines++;
			}
			line.size = 0;
		}
	SYSCALL(close, fd, 0, 0, 0, 0, 0);
	return lines;
}
