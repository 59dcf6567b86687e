/* What a program on an emulated Cortex-M board needs of it: a way to speak, a way to end, a clock. */
#ifndef CI_EMBEDDED_BOARD_H
#define CI_EMBEDDED_BOARD_H

#include <stdint.h>

void board_write(const char *text);
void board_write_number(int64_t number);
_Noreturn void board_exit(int32_t code);

/* SysTick, 24 bits counting down. Under `-icount shift=INSTRUCTION_SHIFT` an instruction takes
 * 2^INSTRUCTION_SHIFT ns of virtual time and a tick of these boards 40 ns, so that differences are
 * instructions, exact to a tick and the same every time. */
void board_clock_start(void);

/* Instructions since the start, less those that reading the clock takes; -1 where the clock has gone round.
 */
int64_t board_clock_stop(void);

#endif
