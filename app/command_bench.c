/* command_bench: how fast prompts are read and answers generated, and how near that is to what the machine can do.
 *
 * Decoding one token reads every active weight and the KV cache of the depth it stands at once; that many bytes a token,
 * times tokens a second, over the bandwidth that the same threads reach in the same run, is the share of a decode.  Reading
 * a prompt multiplies every active weight with every token; those multiplications over the most that the same threads do on
 * bytes in registers is the share of a prefill. */
#include <stdlib.h>
#include <unistd.h>

#include "app/bench.h"

static enum status measure(struct bench *bench, const struct bench_record *record, struct error *error)
{
    const struct settings *settings = bench->context->settings;
    enum status status = bench_plan(bench, record, error);
    if (status == STATUS_OK && record)
        bench_record_notice(bench, record);
    if (status == STATUS_OK && settings->peer)
        status = bench_peer_open(bench, settings->peer, &bench->peer, error);
    return status == STATUS_OK ? bench_measure(bench, error) : status;
}

static enum exit_status run(const struct command_context *context)
{
    const struct settings *settings = context->settings;
    struct bench bench = {.context = context};
    struct bench_record *record = NULL;
    struct error error;
    enum status status = STATUS_OK;
    if (settings->kv_cost)
        return bench_kv_cost(context);
    if (settings->compare)
        status = bench_record_read(context, settings->compare, &record, &error);
    if (status == STATUS_OK)
        status = settings_open_engine(settings, &bench.engine, &error);
    if (status == STATUS_OK)
        status = measure(&bench, record, &error);
    enum exit_status result = EXIT_DONE;
    if (status == STATUS_OK) {
        bench_print(&bench, record);
        result = record && bench_is_slower(&bench, record) ? EXIT_FOUND : EXIT_DONE;
    } else {
        result = command_fail(context, &error, NULL);
    }
    bench_peer_close(bench.peer);
    session_close(bench.session);
    engine_close(bench.engine);
    bench_record_free(record);
    free(bench.lines);
    free(bench.ids);
    free(bench.changed);
    if (bench.saved)
        unlink(bench.saved);
    free(bench.saved);
    return result;
}

static const enum option_id options[] = {OPTION_PREFILL, OPTION_DECODE, OPTION_DEPTH,   OPTION_FULL,
                                         OPTION_REPEAT,  OPTION_PEER,   OPTION_COMPARE, OPTION_TOLERANCE,
                                         OPTION_KV_COST, OPTION_FILE};

const struct command command_bench = {
    .name = "bench",
    .synopsis = "[--full] [--prefill N,...] [--decode N,...] [--depth N,...]",
    .summary = "measure prefill and decode speed",
    .help =
        "Prints tokens a second of reading prompts (prefill) and of generating (decode), and how near that is to what "
        "the same threads reach in the same run: for prefill the share of the multiplications of bytes that the "
        "processor can do, for decode the share of the memory's bandwidth. The first token is that of a question of 20 "
        "tokens behind a prompt that is in the cache already, beside the time that 20 tokens take with nothing before "
        "them; restore is the time until a saved prompt is there again. The defaults are a quick look; --full is a "
        "thorough one, as far as the model's context goes. Every "
        "length of --decode is measured at every --depth.\n"
        "\n"
        "--peer measures llama.cpp beside it on the same file with the same tokens, threads and cache, both in turn, "
        "with flash attention where that is faster; the ratio is our speed over its. It is run by its Python package "
        "(pip install llama-cpp-python).\n"
        "\n"
        "What --json writes is all that --compare needs: a later run then measures the same and prints old, new and "
        "the "
        "ratio of speeds; exit status 1 where something became slower by more than --tolerance.\n"
        "\n"
        "--kv-cost measures no speed but what each type of attention cache (--kv) costs: the perplexity of a text (-f, "
        "in chunks of -c tokens) with each of them beside the one with f16.\n"
        "\n"
        "  fathom bench\n"
        "  fathom bench --prefill 128,512 --decode 128 --depth 0,4096 --json > old.json\n"
        "  fathom bench --compare old.json\n"
        "  fathom bench --full --peer=$HOME/venv/bin/python\n"
        "  fathom bench --kv-cost -f README.md",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .run = run,
};
