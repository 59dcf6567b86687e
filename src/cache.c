/* How much of the caches is one core's: asked of the C library, then of the operating system, then known from
 * the core's name. The C library of Linux on Arm does not know; boards whose firmware does not tell the
 * kernel leave its folder empty, and containers may hide it. */
#include "conv_infer/cpu.h"

#include <stddef.h>

#include "arm_core.h"

#if defined(__linux__)
#    include <stdio.h>
#    include <unistd.h>
#elif defined(__APPLE__)
#    include <sys/sysctl.h>
#elif defined(_WIN32)
#    include "system_windows.h"
#endif

/* Of Arm's own cores, as the boards that have no more to say build them. */
ci_cache ci_cache_of_arm_core(uint64_t midr) {
    static const struct {
        unsigned part;
        int l1_kib, l2_kib;
    } cores[] = {
        {0xd03, 32, 512 / 4},  /* Cortex-A53: Raspberry Pi 3, Zero 2; four cores share the second level */
        {0xd04, 32, 512 / 4},  /* Cortex-A35 */
        {0xd05, 32, 256},      /* Cortex-A55 */
        {0xd07, 32, 1024 / 4}, /* Cortex-A57 */
        {0xd08, 32, 1024 / 4}, /* Cortex-A72: Raspberry Pi 4, four cores share it */
        {0xd0b, 64, 512},      /* Cortex-A76: Raspberry Pi 5, of each core */
        {0xd0c, 64, 1024},     /* Neoverse N1 */
    };
    ci_cache cache = {0, 0};
    for (size_t i = 0; midr >> 24 == 0x41 && i < sizeof cores / sizeof cores[0]; i++) {
        if ((midr >> 4 & 0xfff) == cores[i].part) {
            cache.l1_data_bytes = (int64_t)cores[i].l1_kib << 10;
            cache.l2_bytes = (int64_t)cores[i].l2_kib << 10;
        }
    }
    return cache;
}

#if defined(__linux__)
/* Opens folder/cache/index<index>/name. */
static FILE *open_in(const char *folder, int index, const char *name) {
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s/cache/index%d/%s", folder, index, name);
    return length < (int)sizeof path ? fopen(path, "r") : NULL;
}

/* A whole number at the start of a file, in the unit that follows it ("32K"); 0 where there is none. */
static int64_t number_in(const char *folder, int index, const char *name) {
    long long number = 0;
    char unit = 0;
    FILE *file = open_in(folder, index, name);
    if (!file)
        return 0;
    if (fscanf(file, "%lld%c", &number, &unit) < 1 || number < 0 || number > INT32_MAX)
        number = 0;
    fclose(file);
    return unit == 'K' ? (int64_t)number << 10 : unit == 'M' ? (int64_t)number << 20 : (int64_t)number;
}

/* 'D' for a data cache, 'U' for one that holds both, 'I' for instructions. */
static int type_of(const char *folder, int index) {
    FILE *file = open_in(folder, index, "type");
    if (!file)
        return 0;
    const int first = fgetc(file);
    fclose(file);
    return first;
}

/* How many logical processors share a cache, from a list such as "0-3,8"; 1 where none is told. */
static int64_t sharers_of(const char *folder, int index) {
    int64_t count = 0;
    FILE *file = open_in(folder, index, "shared_cpu_list");
    if (!file)
        return 1;
    long long first, last;
    while (fscanf(file, "%lld", &first) == 1) {
        int next = fgetc(file);
        last = first;
        if (next == '-') {
            if (fscanf(file, "%lld", &last) != 1)
                break;
            next = fgetc(file);
        }
        if (first < 0 || last < first || last > INT32_MAX)
            break;
        count += last - first + 1;
        if (next != ',')
            break;
    }
    fclose(file);
    return count > 0 && count <= INT32_MAX ? count : 1;
}

ci_cache ci_cache_told_in(const char *folder) {
    ci_cache cache = {0, 0};
    int64_t l1_sharers = 1, l2_sharers = 1;
    for (int index = 0; index < 8; index++) {
        const int64_t level = number_in(folder, index, "level"), size = number_in(folder, index, "size");
        if (size < 1 || type_of(folder, index) == 'I')
            continue;
        if (level == 1) {
            cache.l1_data_bytes = size;
            l1_sharers = sharers_of(folder, index);
        } else if (level == 2) {
            cache.l2_bytes = size;
            l2_sharers = sharers_of(folder, index);
        }
    }
    /* What shares the first level is one core's threads, which work on the same. */
    if (l2_sharers > l1_sharers)
        cache.l2_bytes /= l2_sharers / l1_sharers;
    return cache;
}

static ci_cache ask(void) {
    ci_cache cache = {0, 0};
#    if defined(_SC_LEVEL1_DCACHE_SIZE)
    const long l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE), l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
    cache.l1_data_bytes = l1 > 0 ? l1 : 0;
    cache.l2_bytes = l2 > 0 ? l2 : 0;
#    endif
    if (!cache.l1_data_bytes || !cache.l2_bytes)
        cache = ci_cache_told_in("/sys/devices/system/cpu/cpu0");
#    if defined(__aarch64__)
    if (!cache.l1_data_bytes || !cache.l2_bytes)
        cache = ci_cache_of_arm_core(ci_own_midr());
#    endif
    return cache;
}
#elif defined(_WIN32)
static int64_t processors_in(ULONG_PTR mask) {
    int64_t count = 0;
    for (; mask; mask &= mask - 1)
        count++;
    return count;
}

/* Of the first processor. */
static ci_cache ask(void) {
    ci_cache cache = {0, 0};
    int64_t l1_sharers = 1, l2_sharers = 1;
    size_t count;
    ci_processor_record *records = ci_processor_records(&count);
    for (size_t i = 0; i < count; i++) {
        const CACHE_DESCRIPTOR *found = &records[i].Cache;
        if (records[i].Relationship != RelationCache || !(records[i].ProcessorMask & 1) ||
            (found->Type != CacheData && found->Type != CacheUnified))
            continue;
        if (found->Level == 1) {
            cache.l1_data_bytes = found->Size;
            l1_sharers = processors_in(records[i].ProcessorMask);
        } else if (found->Level == 2) {
            cache.l2_bytes = found->Size;
            l2_sharers = processors_in(records[i].ProcessorMask);
        }
    }
    free(records);
    if (l2_sharers > l1_sharers) /* what shares the first level is one core's threads */
        cache.l2_bytes /= l2_sharers / l1_sharers;
    return cache;
}
#elif defined(__APPLE__)
static int64_t system_number(const char *name) {
    int64_t number = 0; /* some are of 32 bits, and fill the lower half */
    size_t size = sizeof number;
    return sysctlbyname(name, &number, &size, NULL, 0) == 0 && number > 0 ? number : 0;
}

static ci_cache ask(void) {
    /* Of the fast cores, where there are two kinds. */
    ci_cache cache = {system_number("hw.perflevel0.l1dcachesize"),
                      system_number("hw.perflevel0.l2cachesize")};
    if (!cache.l1_data_bytes)
        cache.l1_data_bytes = system_number("hw.l1dcachesize");
    if (!cache.l2_bytes)
        cache.l2_bytes = system_number("hw.l2cachesize");
    const int64_t sharers = system_number("hw.perflevel0.cpusperl2");
    if (sharers > 1)
        cache.l2_bytes /= sharers;
    return cache;
}
#endif

#if !defined(__linux__)
ci_cache ci_cache_told_in(const char *folder) {
    (void)folder;
    return (ci_cache){0, 0};
}
#endif

static const ci_cache common = {32 << 10, 512 << 10};

#if defined(__linux__) || defined(__APPLE__) || defined(_WIN32)
ci_cache ci_cache_sizes(void) {
    static ci_cache cached; /* a race writes the same values twice, each in one go */
    ci_cache cache = cached;
    if (!cache.l1_data_bytes || !cache.l2_bytes) {
        cache = ask();
        if (cache.l1_data_bytes < 1)
            cache.l1_data_bytes = common.l1_data_bytes;
        if (cache.l2_bytes < 1)
            cache.l2_bytes = common.l2_bytes;
        cached = cache;
    }
    return cache;
}
#else
ci_cache ci_cache_sizes(void) {
    return common;
}
#endif
