// What every vCPU runs in QEMU so that its GIC CPU interface can be reached from outside: it waits for a request in its
// mailbox, does it, and writes the result. Interrupts stay masked (PSTATE.I is set at reset); the MMU is off.
//
// A mailbox has 64 bytes, the first one is 4096 bytes behind the start: request (0: none, or done), operand, result,
// and 1 when the vCPU is ready, each 8 bytes.
//
// The bytes are in agent.bin:
//   aarch64-linux-gnu-as -o agent.o agent.S && aarch64-linux-gnu-objcopy -O binary agent.o agent.bin

        .equ    VCPUS, 4
        .equ    MAILBOXES, 4096

start:
        adr     x20, start
        mrs     x19, mpidr_el1
        ands    x19, x19, #0xff
        b.ne    ready
        // vCPU 0 starts the others: PSCI CPU_ON(affinity, entry point, context).
        mov     x21, #1
1:      movz    x0, #0x0003
        movk    x0, #0xc400, lsl #16
        mov     x1, x21
        mov     x2, x20
        mov     x3, xzr
        hvc     #0
        add     x21, x21, #1
        cmp     x21, #VCPUS
        b.lo    1b

ready:
        add     x20, x20, #MAILBOXES
        add     x20, x20, x19, lsl #6
        mov     x0, #7
        msr     S3_0_C12_C12_5, x0      // ICC_SRE_EL1
        isb
        mov     x0, #0xff
        msr     S3_0_C4_C6_0, x0        // ICC_PMR_EL1: nothing is masked
        msr     S3_0_C12_C12_3, xzr     // ICC_BPR1_EL1: the least there is
        mov     x0, #1
        msr     S3_0_C12_C12_7, x0      // ICC_IGRPEN1_EL1
        isb
        str     x0, [x20, #24]

wait:
        yield
        ldar    x1, [x20]
        cbz     x1, wait
        ldr     x0, [x20, #8]
        cmp     x1, #1
        b.eq    iar
        cmp     x1, #2
        b.eq    eoir
        cmp     x1, #3
        b.eq    hppir
        mrs     x0, S3_0_C12_C11_3      // ICC_RPR_EL1
        b       done
iar:
        mrs     x0, S3_0_C12_C12_0      // ICC_IAR1_EL1
        b       done
eoir:
        msr     S3_0_C12_C12_1, x0      // ICC_EOIR1_EL1
        b       done
hppir:
        mrs     x0, S3_0_C12_C12_2      // ICC_HPPIR1_EL1
done:
        isb
        str     x0, [x20, #16]
        stlr    xzr, [x20]
        b       wait
