/* Semihosting, SysTick, vectors and start for QEMU's mps2-an386 (Cortex-M4) and mps2-an500 (Cortex-M7). */
#include "board.h"

#define SYSTICK ((volatile uint32_t *)0xE000E010u)

enum { CONTROL, RELOAD, CURRENT };
enum { ENABLE = 1, PROCESSOR_CLOCK = 4, WENT_ROUND = 1 << 16, TICKS = 0xFFFFFF, NS_PER_TICK = 40 };
enum { SYS_WRITE0 = 4, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

extern uint32_t stack_top[], bss_begin[], bss_end[];
int main(void);

static int32_t semihost(int32_t operation, const void *argument) {
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_write(const char *text) {
    semihost(SYS_WRITE0, text);
}

void board_write_number(int64_t number) {
    char text[24], *at = text + sizeof text - 1;
    uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
    *at = 0;
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (number < 0)
        *--at = '-';
    board_write(at);
}

void board_exit(int32_t code) {
    const uint32_t block[2] = {APPLICATION_EXIT, (uint32_t)code};
    semihost(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

static uint32_t began;

/* The counter stands near 0 until it is loaded; the flag is cleared by reading it. */
void board_clock_start(void) {
    SYSTICK[CONTROL] = 0;
    SYSTICK[RELOAD] = TICKS;
    SYSTICK[CURRENT] = 0;
    SYSTICK[CONTROL] = ENABLE | PROCESSOR_CLOCK;
    while (SYSTICK[CURRENT] < TICKS / 2) {
    }
    (void)SYSTICK[CONTROL];
    began = SYSTICK[CURRENT];
}

static int64_t elapsed_ticks(void) {
    const uint32_t now = SYSTICK[CURRENT];
    return SYSTICK[CONTROL] & WENT_ROUND ? -1 : (int64_t)((began - now) & TICKS);
}

int64_t board_clock_stop(void) {
    static int64_t of_itself = -1;
    const int64_t ticks = elapsed_ticks();
    if (of_itself < 0) {
        board_clock_start();
        of_itself = elapsed_ticks();
    }
    return ticks < of_itself ? -1 : ((ticks - of_itself) * NS_PER_TICK) >> INSTRUCTION_SHIFT;
}

static _Noreturn void fault(void) {
    board_write("fault\n");
    board_exit(70);
}

static _Noreturn void start(void) {
    for (uint32_t *at = bss_begin; at < bss_end; at++)
        *at = 0;
    board_exit(main());
}

/* The linker script places this at address 0: the first stack pointer, reset, and the faults. */
__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))(uintptr_t)stack_top, start, fault, fault, fault, fault, fault,
};
