/* synth_main: the program behind `make synth`: writes a model of random weights.
 *
 *   synth SHAPE OUT [seed=N] [FIELD=N ...]      a field is a whole number of struct synth_shape, such as n_layer
 *   synth                                       lists the shapes */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/synth.h"

static bool apply(struct synth_shape *shape, struct synth_options *options, const char *argument)
{
    const char *equals = strchr(argument, '=');
    char field[64] = "", *end = NULL;
    if (!equals || (size_t)(equals - argument) >= sizeof field)
        return false;
    memcpy(field, argument, (size_t)(equals - argument));
    unsigned long long value = strtoull(equals + 1, &end, 10);
    if (end == equals + 1 || *end)
        return false;
    if (strcmp(field, "seed") == 0) {
        options->seed = value;
        return true;
    }
    return value <= INT32_MAX && synth_shape_set(shape, field, (int32_t)value);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        for (size_t i = 0; synth_shape_at(i); i++)
            printf("%s\n", synth_shape_at(i)->name);
        return argc == 1 ? 0 : 2;
    }
    const struct synth_shape *found = synth_shape_find(argv[1]);
    if (!found) {
        fprintf(stderr, "synth: no shape is called %s\n", argv[1]);
        return 2;
    }
    struct synth_shape shape = *found;
    struct synth_options options = {.seed = 1};
    for (int i = 3; i < argc; i++)
        if (!apply(&shape, &options, argv[i])) {
            fprintf(stderr, "synth: %s is no FIELD=NUMBER that a shape has\n", argv[i]);
            return 2;
        }
    struct error error;
    if (synth_save(argv[2], &shape, &options, &error)) {
        fprintf(stderr, "synth: %s\n", error.text);
        return 1;
    }
    return 0;
}
