/* map_store: the graph of map_graph.h as a file beside the index's, so that another process has it at once.
 *
 * A head, then the arrays as they lie in memory: it is a cache for this machine.  It is read as a hostile file would be:
 * sizes and indices are checked before anything is believed. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/index_store.h"
#include "repo/map_graph.h"

static const char magic[16] = "fathom map 2\n";

struct head {
    char magic[16];
    uint64_t key[2];
    uint64_t n, n_edges, n_names;
    uint64_t sum; /* of all that follows */
};

struct part {
    const void *memory;
    size_t size;
};

enum { CONTENTS, PATH_HASHES, FIRST_EDGE, FIRST_NAME, EDGES, NAMES, RANK, N_PARTS };

static void parts_of(const struct map_graph *graph, uint64_t n_edges, uint64_t n_names, struct part parts[N_PARTS])
{
    size_t n = graph->n;
    parts[CONTENTS] = (struct part){graph->contents, n * sizeof *graph->contents};
    parts[PATH_HASHES] = (struct part){graph->path_hashes, n * sizeof *graph->path_hashes};
    parts[FIRST_EDGE] = (struct part){graph->first_edge, (n + 1) * sizeof *graph->first_edge};
    parts[FIRST_NAME] = (struct part){graph->first_name, (n + 1) * sizeof *graph->first_name};
    parts[EDGES] = (struct part){graph->edges, (size_t)n_edges * sizeof *graph->edges};
    parts[NAMES] = (struct part){graph->names, (size_t)n_names * sizeof *graph->names};
    parts[RANK] = (struct part){graph->rank, n * sizeof *graph->rank};
}

static uint64_t sum_of(uint64_t sum, const void *memory, size_t size)
{
    const char *at = memory;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 31;
    }
    uint64_t word = size;
    if (size) /* an empty part may have no memory */
        memcpy(&word, at, size);
    return (sum ^ word) * 0x9e3779b97f4a7c15u;
}

static bool read_all(int fd, void *memory, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, (char *)memory + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static bool write_all(int fd, const void *memory, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)memory + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static bool ascends(const uint32_t *first, uint32_t n, uint64_t end)
{
    if (first[0] != 0 || first[n] != end)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (first[i] > first[i + 1])
            return false;
    return true;
}

static bool is_sound(const struct map_graph *graph, uint64_t n_edges, uint64_t n_names)
{
    if (!ascends(graph->first_edge, graph->n, n_edges) || !ascends(graph->first_name, graph->n, n_names))
        return false;
    for (uint64_t i = 0; i < n_edges; i++)
        if (graph->edges[i].to >= graph->n || !(graph->edges[i].share >= 0 && graph->edges[i].share <= 1))
            return false;
    for (uint64_t i = 0; i < n_names; i++)
        if (!isfinite(graph->names[i].score))
            return false;
    for (uint32_t i = 0; i < graph->n; i++)
        if (!isfinite(graph->rank[i]))
            return false;
    return true;
}

static bool read_graph(int fd, struct map_graph *graph)
{
    struct head head;
    struct stat about;
    struct part parts[N_PARTS];
    uint64_t total = sizeof head, sum = 0;
    if (fstat(fd, &about) != 0 || !read_all(fd, &head, sizeof head) || memcmp(head.magic, magic, sizeof magic) != 0 ||
        head.n >= UINT32_MAX / MAP_SLOTS || head.n > (uint64_t)about.st_size || head.n_edges > head.n * MAP_EDGES ||
        head.n_names > head.n * MAP_NAMES || head.n_edges > UINT32_MAX || head.n_names > UINT32_MAX)
        return false;
    graph->n = (uint32_t)head.n;
    graph->key[0] = head.key[0];
    graph->key[1] = head.key[1];
    parts_of(graph, head.n_edges, head.n_names, parts);
    for (int i = 0; i < N_PARTS; i++)
        total += parts[i].size;
    if (total != (uint64_t)about.st_size)
        return false;
    void *memory[N_PARTS];
    bool ok = true;
    for (int i = 0; i < N_PARTS; i++) {
        memory[i] = malloc(parts[i].size + 1);
        ok = ok && memory[i] && read_all(fd, memory[i], parts[i].size);
        if (ok)
            sum = sum_of(sum, memory[i], parts[i].size);
    }
    graph->contents = memory[CONTENTS];
    graph->path_hashes = memory[PATH_HASHES];
    graph->first_edge = memory[FIRST_EDGE];
    graph->first_name = memory[FIRST_NAME];
    graph->edges = memory[EDGES];
    graph->names = memory[NAMES];
    graph->rank = memory[RANK];
    return ok && sum == head.sum && is_sound(graph, head.n_edges, head.n_names);
}

bool map_graph_load(struct index *index, struct map_graph *graph)
{
    struct buffer path = {0};
    *graph = (struct map_graph){0};
    buffer_printf(&path, "%s.map", buffer_text(&index->path));
    int fd = path.failed ? -1 : open(path.data, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    bool ok = fd >= 0 && read_graph(fd, graph);
    if (fd >= 0)
        close(fd);
    buffer_deinit(&path);
    if (!ok)
        map_graph_deinit(graph);
    return ok;
}

void map_graph_save(struct index *index, const struct map_graph *graph)
{
    struct buffer path = {0}, fresh = {0};
    struct part parts[N_PARTS];
    struct head head = {.key = {graph->key[0], graph->key[1]}, .n = graph->n};
    memcpy(head.magic, magic, sizeof magic);
    head.n_edges = graph->first_edge[graph->n];
    head.n_names = graph->first_name[graph->n];
    parts_of(graph, head.n_edges, head.n_names, parts);
    for (int i = 0; i < N_PARTS; i++)
        head.sum = sum_of(head.sum, parts[i].memory, parts[i].size);
    buffer_printf(&path, "%s.map", buffer_text(&index->path));
    /* Two processes at once may spoil it: then the sum is wrong, and it is made again. */
    buffer_printf(&fresh, "%s.map.new", buffer_text(&index->path));
    int fd = path.failed || fresh.failed ? -1 : open(fresh.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0) {
        bool ok = write_all(fd, &head, sizeof head);
        for (int i = 0; i < N_PARTS && ok; i++)
            ok = write_all(fd, parts[i].memory, parts[i].size);
        if (close(fd) != 0 || !ok || rename(fresh.data, path.data) != 0)
            unlink(fresh.data);
    }
    buffer_deinit(&path);
    buffer_deinit(&fresh);
}
