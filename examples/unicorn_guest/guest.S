/*
 * The guest of unicorn_its.py: it sets up a GICv3 ITS by its registers, asks a device for work, and takes the device's
 * MSIs as interrupts. It has no operating system, no MMU and no C; it runs at EL1 from the first byte.
 *
 * Make guest.bin (only branches and literals inside .text are used, so nothing has to be linked):
 *
 *     aarch64-linux-gnu-as -o guest.o guest.S
 *     aarch64-linux-gnu-objcopy -O binary -j .text guest.o guest.bin
 *
 * Section and register names are those of the Arm GICv3 and GICv4 specification, IHI 0069.
 */

/* Where the machine has what, as on QEMU's "virt" board; unicorn_its.py has the same numbers. */
        .equ    GICD,           0x08000000      // distributor
        .equ    GITS,           0x08080000      // ITS, control page
        .equ    GICR,           0x080a0000      // redistributor of this CPU
        .equ    UART,           0x09000000      // data register: a byte written here is printed
        .equ    DEVICE,         0x0a000000      // doorbell: write n, and the device does work and sends its event n

/* RAM: code and stack first, then the tables. Those of the ITS are in pages of 64 KiB. */
        .equ    STACK_TOP,      0x40010000
        .equ    CONFIG_TABLE,   0x40010000      // one byte for each LPI, for all CPUs
        .equ    PENDING_TABLE,  0x40020000      // one bit for each INTID, for this CPU
        .equ    QUEUE,          0x40030000      // commands for the ITS
        .equ    DEVICE_TABLE,   0x40040000      // the ITS's own: device -> its interrupt translation table
        .equ    COLLECTIONS,    0x40050000      // the ITS's own: collection -> CPU
        .equ    ITT,            0x40060000      // the ITS's own: event of the device -> LPI, collection

/* Registers, by their offsets. */
        .equ    GICD_CTLR,      0x0000
        .equ    GICR_CTLR,      0x0000
        .equ    GICR_PROPBASER, 0x0070
        .equ    GICR_PENDBASER, 0x0078
        .equ    GITS_CTLR,      0x0000
        .equ    GITS_CBASER,    0x0080
        .equ    GITS_CWRITER,   0x0088
        .equ    GITS_CREADR,    0x0090
        .equ    GITS_BASER0,    0x0100          // device table in this ITS; a driver would look at its Type field
        .equ    GITS_BASER1,    0x0108          // collection table, likewise

        .equ    VALID,          1 << 63
        .equ    PAGES_OF_64K,   2 << 8          // GITS_BASER.Page_Size; Size = 0 is one page
        .equ    ID_BITS,        14              // INTIDs 0 to 16383
        .equ    FIRST_LPI,      8192

        .equ    DEVICE_ID,      8               // who the device is to the ITS; its events 0 and 1 become 8192 and 8193
        .equ    COLLECTION,     0
        .equ    WANTED,         6               // interrupts to take

/* x19: the ITS. x20: where the next command goes. x21: interrupts taken; only the handler changes it. */

/* Append a command of four 64-bit words to the queue; the last word of these is 0. Changes x0 to x2. */
        .macro  command opcode, word0=0, word1=0, word2=0
        ldr     x0, =(\opcode | \word0)
        ldr     x1, =(\word1)
        ldr     x2, =(\word2)
        stp     x0, x1, [x20], #16
        stp     x2, xzr, [x20], #16
        .endm

        .macro  print text
        adr     x0, \text
        bl      print_string
        .endm

        .text
start:
        ldr     x0, =STACK_TOP
        mov     sp, x0
        adr     x0, vectors
        msr     VBAR_EL1, x0
        mov     x21, #0

/* 1. CPU interface: system registers instead of MMIO, let every priority through, enable group 1. */
        mov     x0, #1
        msr     ICC_SRE_EL1, x0
        isb
        mov     x0, #0xff
        msr     ICC_PMR_EL1, x0
        mov     x0, #1
        msr     ICC_IGRPEN1_EL1, x0
        isb

/* 2. Distributor: affinity routing, group 1. */
        ldr     x1, =GICD
        mov     w0, #(1 << 4 | 1 << 1)          // ARE, EnableGrp1
        str     w0, [x1, #GICD_CTLR]

/* 3. LPI configuration table: priority 0xa0 and enabled, for each LPI. */
        ldr     x0, =CONFIG_TABLE
        ldr     x1, =0xa1a1a1a1a1a1a1a1
        add     x2, x0, #((1 << ID_BITS) - FIRST_LPI)
1:      str     x1, [x0], #8
        cmp     x0, x2
        b.lo    1b
        dsb     sy                              // the GIC shall see the table before it is told of it

/* 4. Redistributor: where the two tables are, then enable LPIs. (Hardware is woken by GICR_WAKER before.) */
        ldr     x1, =GICR
        ldr     x0, =(CONFIG_TABLE | (ID_BITS - 1))
        str     x0, [x1, #GICR_PROPBASER]
        ldr     x0, =(PENDING_TABLE | 1 << 62)  // PTZ: the table is all zero
        str     x0, [x1, #GICR_PENDBASER]
        mov     w0, #1                          // EnableLPIs
        str     w0, [x1, #GICR_CTLR]

/* 5. ITS: memory for its tables and for the command queue (Size = 0: one page of 4 KiB), then enable it. */
        ldr     x19, =GITS
        ldr     x0, =(VALID | DEVICE_TABLE | PAGES_OF_64K)
        str     x0, [x19, #GITS_BASER0]
        ldr     x0, =(VALID | COLLECTIONS | PAGES_OF_64K)
        str     x0, [x19, #GITS_BASER1]
        ldr     x0, =(VALID | QUEUE)
        str     x0, [x19, #GITS_CBASER]          // CREADR is 0 now
        str     xzr, [x19, #GITS_CWRITER]
        mov     w0, #1                          // Enabled
        str     w0, [x19, #GITS_CTLR]

/* 6. Commands: collection 0 is this CPU; the device has 2 events; each becomes an LPI of the collection. */
        ldr     x20, =QUEUE
        command 0x09, word2=(VALID | 0 << 16 | COLLECTION)                              // MAPC: RDbase 0
        command 0x08, word0=(DEVICE_ID << 32), word1=(1 - 1), word2=(VALID | ITT)       // MAPD: Size is bits - 1
        command 0x0a, word0=(DEVICE_ID << 32), word1=(8192 << 32 | 0), word2=COLLECTION // MAPTI: event 0
        command 0x0a, word0=(DEVICE_ID << 32), word1=(8193 << 32 | 1), word2=COLLECTION // MAPTI: event 1
        command 0x0c, word0=(DEVICE_ID << 32), word1=0                                  // INV: its byte changed
        command 0x0c, word0=(DEVICE_ID << 32), word1=1
        command 0x05, word2=(0 << 16)                                                   // SYNC: RDbase 0
        dsb     sy                              // the commands are in memory before the ITS is told of them
        and     x0, x20, #0xfff                 // offset in the queue
        str     x0, [x19, #GITS_CWRITER]
2:      ldr     x2, [x19, #GITS_CREADR]          // wait until the ITS has read them all
        cmp     x2, x0
        b.ne    2b
        print   ready

/* 7. Ring the device's doorbell for the first time; the handler does it from then on. */
        ldr     x1, =DEVICE
        str     wzr, [x1]

/*
 * Wait. The look at x21 and the wfi are one step for interrupts: if they were not masked, the last one could be taken
 * between the two, and the wfi would never end. A wfi ends for a masked interrupt, too; it is taken at daifclr.
 */
wait:   msr     daifset, #2
        cmp     x21, #WANTED
        b.hs    done
        wfi
        msr     daifclr, #2
        isb
        b       wait

done:   print   bye
        ldr     w0, =0x84000008                 // PSCI SYSTEM_OFF
        hvc     #0
        b       .

/* An interrupt: take it, say so, end it, and ask the device for the next one. */
irq:    stp     x0, x1, [sp, #-64]!
        stp     x2, x3, [sp, #16]
        stp     x4, x5, [sp, #32]
        stp     x6, x30, [sp, #48]
        mrs     x6, ICC_IAR1_EL1                // acknowledge: it is active now, and its number is ours
        cmp     x6, #FIRST_LPI
        b.lo    1f                              // 1023: there is none (any more)
        print   lpi
        mov     x0, x6
        bl      print_number
        msr     ICC_EOIR1_EL1, x6               // priority drop; an LPI has no active state to be ended
        add     x21, x21, #1
        cmp     x21, #WANTED
        b.hs    1f
        and     w0, w21, #1                     // events 0, 1, 0, 1...
        ldr     x1, =DEVICE
        str     w0, [x1]
1:      ldp     x2, x3, [sp, #16]
        ldp     x4, x5, [sp, #32]
        ldp     x6, x30, [sp, #48]
        ldp     x0, x1, [sp], #64
        eret

/* Print the string at x0. Changes x0 to x2. */
print_string:
        ldr     x1, =UART
1:      ldrb    w2, [x0], #1
        cbz     w2, 2f
        str     w2, [x1]
        b       1b
2:      ret

/* Print the number in x0 and a new line: digits are made from the last to the first. Changes x0 to x5. */
print_number:
        mov     x5, x30
        mov     x1, #10
        sub     sp, sp, #32
        add     x4, sp, #30
        mov     w2, #'\n'
        strh    w2, [x4]                        // and a zero, the end of the string
1:      udiv    x2, x0, x1
        msub    x3, x2, x1, x0                  // the remainder
        add     w3, w3, #'0'
        strb    w3, [x4, #-1]!
        mov     x0, x2
        cbnz    x0, 1b
        mov     x0, x4
        bl      print_string
        add     sp, sp, #32
        ret     x5

ready:  .asciz  "guest: the ITS is ready\n"
lpi:    .asciz  "guest: took LPI "
bye:    .asciz  "guest: that was enough, power off\n"
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
