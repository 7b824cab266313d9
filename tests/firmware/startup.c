/* Reset, newlib's system calls, and the two functions at which the harness stops. */
#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>

extern uint32_t _estack[], _data_start[], _data_end[], _data_load[], _bss_start[], _bss_end[];
extern uint32_t _itcm_start[], _itcm_end[], _itcm_load[];
extern char _heap_start[], _heap_end[];

extern char first_stack[]; /* of the program, if it has its own */

#ifndef INITIAL_SP
#define INITIAL_SP _estack
#endif

int main(void);
void reset_handler(void);

__attribute__((section(".isr_vector"), used)) static const uintptr_t vectors[2] = {
    (uintptr_t)(INITIAL_SP), (uintptr_t)reset_handler};

__attribute__((noinline, noreturn)) void _exit(int status)
{
    for (;;) __asm__ volatile("" ::"r"(status));
}

__attribute__((noinline)) void emu_yield(void) { __asm__ volatile(""); }

static void copy(uint32_t *to, const uint32_t *end, const uint32_t *from)
{
    while (to < end) *to++ = *from++;
}

void reset_handler(void)
{
    copy(_data_start, _data_end, _data_load);
    copy(_itcm_start, _itcm_end, _itcm_load);
    for (uint32_t *to = _bss_start; to < _bss_end; to++) *to = 0;
    _exit(main());
}

__attribute__((weak)) void *_sbrk(int bytes)
{
    static char *end = _heap_start;
    if (bytes > _heap_end - end) {
        errno = ENOMEM;
        return (void *)-1;
    }
    end += bytes;
    return end - bytes;
}

int _write(int file, const char *text, int length) { return (void)file, (void)text, length; }
int _read(int file, char *text, int length) { return (void)file, (void)text, (void)length, 0; }
int _close(int file) { return (void)file, -1; }
int _lseek(int file, int offset, int whence) { return (void)file, (void)offset, (void)whence, 0; }
int _isatty(int file) { return (void)file, 1; }
int _kill(int process, int signal) { return (void)process, (void)signal, -1; }
int _getpid(void) { return 1; }
int _fstat(int file, struct stat *status) { return (void)file, status->st_mode = S_IFCHR, 0; }
