/* review_kept: what was found in hunks before, and which findings were dismissed, in a folder for each repository.
 *
 *   KEY.json     {"shown":N,"findings":[[confidence, {"severity":...,"line":...}], ...]}: as the model wrote them, but lines count
 *                from the hunk's first (0); KEY hashes the hunk's content and all that the answer depends on
 *   dismissed    ids, one a line
 *
 * Files are hostile: they are read within a limit, and what comes out passes the checks of what a model says.  Any of them may
 * be deleted; beyond KEPT_FILES the oldest go. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/json_read.h"
#include "app/review_private.h"
#include "app/store.h"

enum { KEPT_FILES = 4096, DISMISSED_MOST = 4 << 20 };

/* ---- folder ---- */

static enum status make_folder(const struct buffer *path, struct error *error)
{
    enum status status = buffer_status(path, error);
    if (!status && mkdir(path->data, 0700) != 0 && errno != EEXIST)
        status = error_set(error, STATUS_IO, "%s: %s", path->data, strerror(errno));
    return status;
}

enum status review_kept_folder(const char *root, struct buffer *out, struct error *error)
{
    char name[REVIEW_ID_SIZE + 1];
    enum status status = store_make_folder(out, error);
    if (status)
        return status;
    review_hash(&root, 1, name);
    buffer_append_text(out, "/review");
    status = make_folder(out, error);
    buffer_printf(out, "/%s", name);
    return status ? status : make_folder(out, error);
}

/* A regular file's bytes, at most most; false where it isn't there or is something else. */
static bool read_kept(const char *folder, const char *name, size_t most, struct buffer *out)
{
    struct buffer path = {0};
    struct stat about;
    buffer_printf(&path, "%s/%s", folder, name);
    int fd = path.failed ? -1 : open(path.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool is_read = fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) &&
                   input_read_all(fd, NULL, most, out, NULL) == STATUS_OK && !out->failed;
    if (fd >= 0)
        close(fd);
    buffer_deinit(&path);
    return is_read;
}

/* ---- answers ---- */

void review_kept_key(const struct review *review, size_t hunk, char out[REVIEW_ID_SIZE + 1])
{
    char version[16];
    snprintf(version, sizeof version, "%d", REVIEW_PROMPT_VERSION);
    review_hash((const char *const[]){version, review->key, review->diff->hunks[hunk].id}, 3, out);
}

static bool is_kept_finding(const cJSON *item)
{
    const cJSON *confidence = cJSON_IsArray(item) ? cJSON_GetArrayItem(item, 0) : NULL;
    return confidence && cJSON_GetArrayItem(item, 1) && cJSON_IsNumber(confidence) && confidence->valuedouble >= 0 &&
           confidence->valuedouble <= 1;
}

enum status review_kept_read(const char *text, size_t size, uint32_t *n_shown, review_kept_fn *each, void *context,
                             struct error *error)
{
    cJSON *object = NULL;
    const cJSON *list = NULL, *item;
    enum status status = json_read(text, size, &object, error);
    if (!status && !cJSON_IsObject(object))
        status = error_set(error, STATUS_FORMAT, "no object");
    if (!status)
        status = json_get_array(object, "findings", &list, error);
    if (!status && (!list || cJSON_GetArraySize(list) > REVIEW_FINDINGS_MOST))
        status = error_set(error, STATUS_FORMAT, "no list of findings");
    int64_t shown = 0;
    if (!status)
        status = json_get_integer(object, "shown", 1, UINT32_MAX, &shown, error);
    if (!status && !shown)
        status = error_set(error, STATUS_FORMAT, "nothing of the hunk was shown");
    cJSON_ArrayForEach(item, list) if (!status && !is_kept_finding(item)) status =
        error_set(error, STATUS_FORMAT, "a finding is a confidence and an object");
    *n_shown = (uint32_t)shown;
    cJSON_ArrayForEach(item, list)
    {
        if (status)
            break;
        char *printed = cJSON_PrintUnformatted(cJSON_GetArrayItem(item, 1));
        status = printed ? each(context, printed, strlen(printed), cJSON_GetArrayItem(item, 0)->valuedouble)
                         : error_set(error, STATUS_MEMORY, "out of memory");
        cJSON_free(printed);
    }
    cJSON_Delete(object);
    return status;
}

char *review_move_lines(const char *text, size_t size, int64_t offset)
{
    static const char *const keys[] = {"line", "end_line"};
    cJSON *object = NULL;
    char *out = NULL;
    bool is_right = json_read(text, size, &object, NULL) == STATUS_OK && cJSON_IsObject(object);
    for (int i = 0; is_right && i < 2; i++) {
        cJSON *number = cJSON_GetObjectItemCaseSensitive(object, keys[i]);
        if (!number)
            continue;
        is_right = cJSON_IsNumber(number) && fabs(number->valuedouble) < 1e10;
        if (is_right)
            cJSON_SetNumberValue(number, number->valuedouble + (double)offset);
    }
    if (is_right)
        out = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    return out;
}

struct taking {
    struct review *review;
    size_t hunk;
    uint32_t first;
};

static enum status take(void *context, const char *finding, size_t size, double confidence)
{
    struct taking *taking = context;
    char *moved = review_move_lines(finding, size, taking->first);
    enum status status =
        review_check(taking->review, taking->hunk, moved ? moved : finding, moved ? strlen(moved) : size, confidence);
    cJSON_free(moved);
    return status;
}

enum status review_kept_take(struct review *review, size_t hunk, bool *found)
{
    struct taking taking = {review, hunk, 0};
    struct buffer text = {0};
    char key[REVIEW_ID_SIZE + 1], name[REVIEW_ID_SIZE + 8];
    uint32_t last;
    enum status status = STATUS_OK;
    *found = false;
    if (!review->request->kept_folder)
        return status;
    review_kept_key(review, hunk, key);
    snprintf(name, sizeof name, "%s.json", key);
    review_hunk_range(&review->diff->hunks[hunk], &taking.first, &last);
    if (read_kept(review->request->kept_folder, name, REVIEW_KEPT_MOST, &text)) {
        status = review_kept_read(buffer_text(&text), text.size, &review->out->hunks[hunk].n_shown, take, &taking,
                                  review->error);
        *found = status == STATUS_OK;
        if (status == STATUS_FORMAT || status == STATUS_RANGE || status == STATUS_ARGUMENT)
            status = STATUS_OK; /* damaged: read anew */
    }
    buffer_deinit(&text);
    return status;
}

static int by_age(const void *a, const void *b)
{
    const struct timespec *x = a, *y = b;
    return x->tv_sec != y->tv_sec ? (x->tv_sec > y->tv_sec) - (x->tv_sec < y->tv_sec)
                                  : (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

void review_kept_make_room(const char *folder)
{
    DIR *open_folder = opendir(folder);
    struct timespec *times = calloc(2 * KEPT_FILES, sizeof *times);
    size_t n = 0;
    for (int round = 0; open_folder && times && round < 2; round++) {
        if (round == 1 && n <= KEPT_FILES)
            break;
        if (round == 1)
            qsort(times, n, sizeof *times, by_age);
        struct timespec middle = times[n / 2];
        rewinddir(open_folder);
        for (struct dirent *entry; (entry = readdir(open_folder)) != NULL;) {
            struct stat about;
            const char *point = strrchr(entry->d_name, '.');
            if (!point || strcmp(point, ".json") != 0 ||
                fstatat(dirfd(open_folder), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0)
                continue;
            if (round == 0 && n < 2 * KEPT_FILES)
                times[n++] = about.st_mtim;
            else if (round == 1 && by_age(&about.st_mtim, &middle) < 0)
                unlinkat(dirfd(open_folder), entry->d_name, 0);
        }
    }
    free(times);
    if (open_folder)
        closedir(open_folder);
}

static void write_kept(const char *folder, const char *key, const struct buffer *text)
{
    struct buffer path = {0}, part = {0};
    buffer_printf(&path, "%s/%s.json", folder, key);
    buffer_printf(&part, "%s/%s.%ld.tmp", folder, key, (long)getpid());
    int fd =
        path.failed || part.failed ? -1 : open(part.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        bool is_written = write(fd, buffer_text(text), text->size) == (ssize_t)text->size;
        if (close(fd) != 0 || !is_written || rename(part.data, path.data) != 0)
            unlink(part.data);
    }
    buffer_deinit(&path);
    buffer_deinit(&part);
}

void review_kept_put(const struct review *review, const struct review_answer *answer)
{
    char key[REVIEW_ID_SIZE + 1];
    struct buffer text = {0};
    uint32_t first, last;
    if (!review->request->kept_folder)
        return;
    review_hunk_range(&review->diff->hunks[answer->hunk], &first, &last);
    buffer_printf(&text, "{\"shown\":%u,\"findings\":[", review->out->hunks[answer->hunk].n_shown);
    for (size_t i = 0; i < answer->n_raw; i++) {
        const struct review_raw *raw = &answer->raw[i];
        char *moved = review_move_lines(buffer_text(&raw->text), raw->text.size, -(int64_t)first);
        buffer_printf(&text, "%s[%.6f,", i ? "," : "", raw->confidence);
        if (moved) /* what is no JSON stays so: it is counted again */
            buffer_append_text(&text, moved);
        else
            buffer_append_text(&text, "null");
        buffer_append_text(&text, "]");
        cJSON_free(moved);
    }
    buffer_append_text(&text, "]}\n");
    review_kept_key(review, answer->hunk, key);
    if (!text.failed)
        write_kept(review->request->kept_folder, key, &text);
    buffer_deinit(&text);
}

/* ---- what was dismissed ---- */

void review_kept_dismissed(struct review *review)
{
    if (!review->request->kept_folder ||
        !read_kept(review->request->kept_folder, "dismissed", DISMISSED_MOST, &review->dismissed))
        buffer_clear(&review->dismissed);
}

enum status review_dismiss(const char *kept_folder, const char *id, struct error *error)
{
    struct buffer path = {0};
    char line[REVIEW_ID_SIZE + 2];
    if (strlen(id) != REVIEW_ID_SIZE || strspn(id, "0123456789abcdef") != REVIEW_ID_SIZE)
        return error_set(error, STATUS_ARGUMENT, "--dismiss: '%.60s' is no finding's id (16 hexadecimal digits)", id);
    snprintf(line, sizeof line, "%s\n", id);
    buffer_printf(&path, "%s/dismissed", kept_folder);
    enum status status = buffer_status(&path, error);
    if (status)
        return status;
    int fd = open(path.data, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, line, sizeof line - 1) != (ssize_t)sizeof line - 1)
        status = error_set(error, STATUS_IO, "%s: %s", path.data, strerror(errno));
    if (fd >= 0 && close(fd) != 0 && !status)
        status = error_set(error, STATUS_IO, "%s: %s", path.data, strerror(errno));
    buffer_deinit(&path);
    return status;
}
