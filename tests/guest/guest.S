/*
 * A bare-metal guest that tests an ITS from inside, with two CPUs: what the ITS says of itself, LPIs by INT, their
 * migration by MOVI and MOVALL, and that of pending ones. It prints a line for each check, then powers off by PSCI.
 *
 * It runs on any machine that has what QEMU's "virt" has, where that has it: a GICv3 with an ITS, a PL011, and RAM from
 * 0x40200000 on, where it is loaded and begins. Section and register names are those of Arm IHI 0069.
 *
 * Make guest.bin (only branches and literals inside .text are used, so nothing has to be linked):
 *
 *     aarch64-linux-gnu-as -o guest.o guest.S
 *     aarch64-linux-gnu-objcopy -O binary -j .text guest.o guest.bin
 */

        .equ    GICD,           0x08000000
        .equ    GITS,           0x08080000
        .equ    GICR,           0x080a0000      // of CPU 0; that of CPU 1 follows
        .equ    GICR_STRIDE,    0x00020000
        .equ    UART,           0x09000000

/* RAM: code, counters, stacks, then the tables in pages of 64 KiB. */
        .equ    RAM,            0x40200000
        .equ    COUNTS,         RAM + 0x8000    // of each CPU 32 counters of 4 bytes: how often it took LPI 8192 + n
        .equ    STACKS,         RAM + 0x10000   // end of CPU 0's; that of CPU 1 is 0x4000 below
        .equ    CONFIG_TABLE,   RAM + 0x10000
        .equ    PENDING_TABLES, RAM + 0x20000
        .equ    QUEUE,          RAM + 0x40000
        .equ    DEVICE_TABLE,   RAM + 0x50000
        .equ    COLLECTIONS,    RAM + 0x60000
        .equ    ITTS,           RAM + 0x70000   // that of device 5; that of device 9 is 0x8000 behind

        .equ    GICD_CTLR,      0x0000
        .equ    GICR_CTLR,      0x0000
        .equ    GICR_TYPER,     0x0008
        .equ    GICR_WAKER,     0x0014
        .equ    GICR_PROPBASER, 0x0070
        .equ    GICR_PENDBASER, 0x0078
        .equ    GITS_CTLR,      0x0000
        .equ    GITS_TYPER,     0x0008
        .equ    GITS_CBASER,    0x0080
        .equ    GITS_CWRITER,   0x0088
        .equ    GITS_CREADR,    0x0090
        .equ    GITS_BASER,     0x0100

        .equ    VALID,          1 << 63
        .equ    PAGES_OF_64K,   2 << 8
        .equ    ID_BITS,        14
        .equ    FIRST_LPI,      8192
        .equ    PATIENCE,       1 << 16         // looks at a counter, or at GITS_CREADR, until it must have come
        .equ    MOMENT,         1 << 10         // looks after which nothing will come any more

/* x19: the ITS. x20: where the next command goes. x22, x23: checks that have passed, and failed. */

/* Append a command to the queue; the last of its four words is given for MOVALL only. Changes x0 to x2. */
        .macro  command opcode, word0=0, word1=0, word2=0, word3=0
        ldr     x0, =(\opcode | \word0)
        ldr     x1, =(\word1)
        stp     x0, x1, [x20], #16
        ldr     x0, =(\word2)
        ldr     x1, =(\word3)
        stp     x0, x1, [x20], #16
        .endm

        .macro  mapd device, itt
        command 0x08, word0=(\device << 32), word1=(5 - 1), word2=(VALID | \itt)
        .endm
        .macro  mapc collection, cpu
        command 0x09, word2=(VALID | \cpu << 16 | \collection)
        .endm
        .macro  mapti device, event, lpi, collection
        command 0x0a, word0=(\device << 32), word1=(\lpi << 32 | \event), word2=\collection
        .endm
        .macro  movi device, event, collection
        command 0x01, word0=(\device << 32), word1=\event, word2=\collection
        .endm
        .macro  int device, event
        command 0x03, word0=(\device << 32), word1=\event
        .endm
        .macro  inv device, event
        command 0x0c, word0=(\device << 32), word1=\event
        .endm
        .macro  discard device, event
        command 0x0f, word0=(\device << 32), word1=\event
        .endm
        .macro  movall from, to
        command 0x0e, word2=(\from << 16), word3=(\to << 16)
        .endm

/* SYNC both CPUs, and let the ITS execute what is in the queue. */
        .macro  execute
        command 0x05, word2=(0 << 16)
        command 0x05, word2=(1 << 16)
        bl      run_queue
        .endm

/* Check that a CPU has taken an LPI so often, altogether. */
        .macro  check_taken cpu, lpi, times, text
        ldr     x0, =(COUNTS + \cpu * 128 + (\lpi - FIRST_LPI) * 4)
        mov     w1, #\times
        bl      has_come
        adr     x1, 9f
        bl      check
        b       8f
9:      .asciz  "\text"
        .balign 4
8:
        .endm

/* Check that x0 is not 0. */
        .macro  check_true text
        adr     x1, 9f
        bl      check
        b       8f
9:      .asciz  "\text"
        .balign 4
8:
        .endm

        .text
start:
        ldr     x0, =STACKS
        mov     sp, x0
        ldr     x0, =COUNTS
        msr     TPIDR_EL1, x0
        mov     x22, #0
        mov     x23, #0
        ldr     x19, =GITS
        bl      cpu_interface

/* ---- Introspection: what the ITS and the redistributors say of themselves. */

        ldr     x24, [x19, #GITS_TYPER]
        and     x0, x24, #1
        check_true "introspection: GITS_TYPER.Physical"
        ubfx    x0, x24, #8, #5                 // ID_bits, one less
        cmp     x0, #4
        cset    x0, hs
        check_true "introspection: at least 5 EventID bits"
        ubfx    x0, x24, #13, #5                // Devbits, one less
        cmp     x0, #3
        cset    x0, hs
        check_true "introspection: at least 4 DeviceID bits"
        ubfx    x0, x24, #19, #1                // PTA
        cmp     x0, #0
        cset    x0, eq
        check_true "introspection: an RDbase is a processor number"
        ldr     w0, [x19, #GITS_CTLR]
        and     w0, w0, #1
        eor     x0, x0, #1
        check_true "introspection: the ITS is disabled"

        ldr     x1, =GICR
        ldr     x2, [x1, #GICR_TYPER]
        ldr     x3, =(GICR + GICR_STRIDE)
        ldr     x4, [x3, #GICR_TYPER]
        and     x0, x2, x4
        and     x0, x0, #1
        check_true "introspection: both redistributors have physical LPIs"
        ldr     x1, =GICR
        ldr     x2, [x1, #GICR_TYPER]
        ldr     x3, =(GICR + GICR_STRIDE)
        ldr     x4, [x3, #GICR_TYPER]
        ubfx    x2, x2, #8, #16
        ubfx    x4, x4, #8, #16
        cmp     x2, #0
        ccmp    x4, #1, #0, eq
        cset    x0, eq
        check_true "introspection: the processors have the numbers 0 and 1"

/* Give each table the ITS asks for its memory; x25: bit n is set for each type n that is there. */
        mov     x25, #0
        add     x3, x19, #GITS_BASER
        mov     x4, #8
1:      ldr     x0, [x3]
        ubfx    x0, x0, #56, #3                 // Type
        mov     x1, #1
        lsl     x1, x1, x0
        orr     x25, x25, x1
        ldr     x2, =(VALID | DEVICE_TABLE | PAGES_OF_64K)
        cmp     x0, #1
        b.eq    2f
        ldr     x2, =(VALID | COLLECTIONS | PAGES_OF_64K)
        cmp     x0, #4
        b.ne    3f
2:      str     x2, [x3]
3:      add     x3, x3, #8
        subs    x4, x4, #1
        b.ne    1b
        ubfx    x0, x25, #1, #1
        check_true "introspection: there is a device table"
        ubfx    x0, x25, #4, #1
        check_true "introspection: there is a collection table"

/* ---- Set up: all LPIs enabled but 8195; the queue; both redistributors; the other CPU. */

        ldr     x1, =GICD
        mov     w0, #(1 << 4 | 1 << 1)          // ARE, EnableGrp1
        str     w0, [x1, #GICD_CTLR]
        ldr     x0, =CONFIG_TABLE
        ldr     x1, =0xa1a1a1a1a1a1a1a1
        add     x2, x0, #((1 << ID_BITS) - FIRST_LPI)
1:      str     x1, [x0], #8
        cmp     x0, x2
        b.lo    1b
        ldr     x0, =(CONFIG_TABLE + 3)
        mov     w1, #0xa0
        strb    w1, [x0]
        dsb     sy

        ldr     x5, =GICR
        ldr     x6, =(PENDING_TABLES | 1 << 62) // PTZ
        mov     x7, #2
1:      str     wzr, [x5, #GICR_WAKER]
2:      ldr     w0, [x5, #GICR_WAKER]
        tbnz    w0, #2, 2b                      // ChildrenAsleep
        ldr     x0, =(CONFIG_TABLE | (ID_BITS - 1))
        str     x0, [x5, #GICR_PROPBASER]
        str     x6, [x5, #GICR_PENDBASER]
        mov     w0, #1                          // EnableLPIs
        str     w0, [x5, #GICR_CTLR]
        add     x5, x5, #GICR_STRIDE
        add     x6, x6, #0x10, lsl #12
        subs    x7, x7, #1
        b.ne    1b

        ldr     x0, =(VALID | QUEUE | 1)         // two pages of 4 KiB
        str     x0, [x19, #GITS_CBASER]
        str     xzr, [x19, #GITS_CWRITER]
        ldr     x0, [x19, #GITS_CREADR]
        cmp     x0, #0
        cset    x0, eq
        check_true "introspection: GITS_CREADR is 0 behind a write of GITS_CBASER"
        mov     w0, #1
        str     w0, [x19, #GITS_CTLR]
        ldr     x20, =QUEUE

        ldr     w0, =0xc4000003                 // PSCI CPU_ON
        mov     x1, #1
        adr     x2, second
        mov     x3, #0
        hvc     #0
        msr     daifclr, #2

/* ---- Trigger: INT makes LPIs pending, where their collections are. */

        mapd    5, ITTS
        mapd    9, (ITTS + 0x8000)
        mapc    2, 0
        mapc    3, 1
        mapti   5, 20, 8192, 2
        mapti   9, 7, 8193, 3
        mapti   5, 3, 8195, 3
        execute
        int     5, 20
        execute
        check_taken 0, 8192, 1, "trigger: CPU 0 takes the LPI of its collection"
        int     9, 7
        execute
        check_taken 1, 8193, 1, "trigger: CPU 1 takes that of its own"
        int     5, 3
        execute
        check_taken 1, 8195, 0, "trigger: an LPI that is disabled is not taken"
        ldr     x0, =(CONFIG_TABLE + 3)
        mov     w1, #0xa1
        strb    w1, [x0]
        dsb     sy
        inv     5, 3
        execute
        check_taken 1, 8195, 1, "trigger: it was pending, and is taken when it is enabled"
        int     5, 9
        execute
        check_taken 0, 8192, 1, "trigger: an event that is not mapped does nothing"

/* ---- Migration: an event goes to another CPU, and a whole collection does. */

        movi    5, 20, 3
        execute
        int     5, 20
        execute
        check_taken 1, 8192, 1, "migration: MOVI, and CPU 1 takes the LPI"
        check_taken 0, 8192, 1, "migration: and CPU 0 does not any more"
        movi    5, 20, 2
        execute
        int     5, 20
        execute
        check_taken 0, 8192, 2, "migration: MOVI back"
        mapc    3, 0
        execute
        movall  1, 0
        execute
        int     9, 7
        execute
        check_taken 0, 8193, 1, "migration: MAPC and MOVALL, and CPU 0 takes what was CPU 1's"
        check_taken 1, 8193, 1, "migration: and CPU 1 does not any more"
        mapc    3, 1
        execute
        movall  0, 1
        execute

/* ---- Migration of what is pending: CPU 0 takes no interrupts meanwhile. */

        msr     daifset, #2
        int     5, 20
        execute
        check_taken 0, 8192, 2, "pending: CPU 0 has masked its interrupts"
        movi    5, 20, 3
        execute
        check_taken 1, 8192, 2, "pending: MOVI, and CPU 1 takes what was pending"
        msr     daifclr, #2
        isb
        check_taken 0, 8192, 2, "pending: and CPU 0 does not"

        movi    5, 20, 2
        mapti   9, 8, 8196, 2
        execute
        msr     daifset, #2
        int     5, 20
        int     9, 8
        execute
        mapc    2, 1
        execute
        movall  0, 1
        execute
        check_taken 1, 8192, 3, "pending: MAPC and MOVALL, and CPU 1 takes the first LPI"
        check_taken 1, 8196, 1, "pending: and the second"
        msr     daifclr, #2
        isb
        check_taken 0, 8192, 2, "pending: CPU 0 has none of them"
        check_taken 0, 8196, 0, "pending: neither of them"

/* ---- What is taken away. */

        discard 9, 8
        execute
        int     9, 8
        execute
        check_taken 1, 8196, 1, "discard: the event is not mapped any more"

        adr     x0, passed
        bl      print_string
        mov     x0, x22
        bl      print_number
        adr     x0, failed
        bl      print_string
        mov     x0, x23
        bl      print_number
        ldr     w0, =0x84000008                 // PSCI SYSTEM_OFF
        hvc     #0
        b       .

/* CPU 1: wait for interrupts, for ever. */
second:
        ldr     x0, =(STACKS - 0x4000)
        mov     sp, x0
        ldr     x0, =(COUNTS + 128)
        msr     TPIDR_EL1, x0
        bl      cpu_interface
        msr     daifclr, #2
1:      wfi
        b       1b

/* System registers instead of MMIO, let every priority through, enable group 1. Changes x0. */
cpu_interface:
        adr     x0, vectors
        msr     VBAR_EL1, x0
        mov     x0, #1
        msr     ICC_SRE_EL1, x0
        isb
        mov     x0, #0xff
        msr     ICC_PMR_EL1, x0
        mov     x0, #1
        msr     ICC_IGRPEN1_EL1, x0
        isb
        ret

/* Tell the ITS of the commands, and wait until it has read them. The queue is long enough for all of this. */
run_queue:
        dsb     sy
        and     x0, x20, #0xffff
        str     x0, [x19, #GITS_CWRITER]
        ldr     x2, =PATIENCE
1:      ldr     x1, [x19, #GITS_CREADR]
        cmp     x1, x0
        b.eq    2f
        subs    x2, x2, #1
        b.ne    1b
        mov     x0, #0
        adr     x1, stuck
        b       check
2:      ret

/* Whether the counter at x0 becomes w1, and stays so: 1 or 0 in x0. Changes x1 to x3. */
has_come:
        ldr     x3, =PATIENCE
1:      ldr     w2, [x0]
        cmp     w2, w1
        b.eq    2f
        yield
        subs    x3, x3, #1
        b.ne    1b
2:      ldr     x3, =MOMENT
3:      yield
        subs    x3, x3, #1
        b.ne    3b
        ldr     w2, [x0]
        cmp     w2, w1
        cset    x0, eq
        ret

/* Print the line of a check; x0: whether it has passed, x1: its text. Changes x0 to x6. */
check:
        mov     x6, x30
        mov     x5, x1
        cbz     x0, 1f
        add     x22, x22, #1
        adr     x0, pass
        b       2f
1:      add     x23, x23, #1
        adr     x0, fail
2:      bl      print_string
        mov     x0, x5
        bl      print_string
        adr     x0, line
        bl      print_string
        ret     x6

/* An interrupt: count it. */
irq:    stp     x0, x1, [sp, #-32]!
        stp     x2, x3, [sp, #16]
        mrs     x0, ICC_IAR1_EL1
        mov     x2, #FIRST_LPI
        subs    x1, x0, x2
        b.lo    1f                              // 1023: there is none (any more)
        and     x1, x1, #31
        mrs     x2, TPIDR_EL1
        ldr     w3, [x2, x1, lsl #2]
        add     w3, w3, #1
        str     w3, [x2, x1, lsl #2]
        dsb     sy
        msr     ICC_EOIR1_EL1, x0
1:      ldp     x2, x3, [sp, #16]
        ldp     x0, x1, [sp], #32
        eret

/* Print the string at x0. Changes x0 to x2. */
print_string:
        ldr     x1, =UART
1:      ldrb    w2, [x0], #1
        cbz     w2, 2f
        str     w2, [x1]
        b       1b
2:      ret

/* Print the number in x0, below 100, and a new line. Changes x0 to x4. */
print_number:
        mov     x1, #10
        udiv    x2, x0, x1
        msub    x3, x2, x1, x0
        ldr     x4, =UART
        cbz     x2, 1f
        add     w2, w2, #'0'
        str     w2, [x4]
1:      add     w3, w3, #'0'
        str     w3, [x4]
        mov     w3, #'\n'
        str     w3, [x4]
        ret

pass:   .asciz  "PASS "
fail:   .asciz  "FAIL "
stuck:  .asciz  "GITS_CREADR does not become GITS_CWRITER"
line:   .asciz  "\n"
passed: .asciz  "passed: "
failed: .asciz  "failed: "
        .balign 4
        .ltorg

/* Exception vectors: 16 entries of 128 bytes. The only one used is IRQ from this EL with its own stack, at 0x280. */
        .balign 2048, 0
vectors:
        .rept   5
        b       .
        .balign 128, 0
        .endr
        b       irq
        .balign 128, 0
        .rept   10
        b       .
        .balign 128, 0
        .endr
