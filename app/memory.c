/* memory: see memory.h. */
#include "app/memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* The number in the first line of a file such as /sys/fs/cgroup/memory.max; "max" and a missing file give UINT64_MAX. */
static uint64_t read_limit(const char *path)
{
    unsigned long long value = 0;
    FILE *file = fopen(path, "re");
    bool is_read = file && fscanf(file, "%llu", &value) == 1;
    if (file)
        fclose(file);
    return is_read ? value : UINT64_MAX;
}

static uint64_t read_available(void)
{
    char line[256];
    unsigned long long kilobytes = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu kB", &kilobytes) == 1)
            break;
    if (file)
        fclose(file);
    return (uint64_t)kilobytes * 1024;
}

uint64_t memory_available(void)
{
    uint64_t available = read_available();
    uint64_t limit = read_limit("/sys/fs/cgroup/memory.max"), used = read_limit("/sys/fs/cgroup/memory.current");
    if (limit != UINT64_MAX && used != UINT64_MAX) {
        uint64_t left = limit > used ? limit - used : 0;
        if (available == 0 || left < available)
            available = left;
    }
    return available;
}

uint64_t memory_peak(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

void memory_format(uint64_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(out, size, "%.*f %s", digits, value, units[unit]);
}
