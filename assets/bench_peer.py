"""llama.cpp beside fathom: what `fathom bench --peer` runs, and asks for one measurement at a time.

    bench_peer.py MODEL N_CTX N_THREADS KV

Every line of stdin asks for one, and is answered by one line on stdout:

    batch N DEPTH      evaluate N tokens at once behind DEPTH others, logits after the last alone
    single N DEPTH     evaluate N tokens one by one behind DEPTH others, logits after each

    ready VERSION MS   the first line: which llama_cpp it is, and how long loading took
    missing WHY        there is no llama_cpp to import
    time SECONDS FA    the seconds that llama_decode took (FA: with flash attention, "on" or "off")
    error WHY

Each measurement is made with and without flash attention the first time it is asked for, and with the faster of both from
then on.  The model is mapped, the tokens are those of fathom.
"""

import os
import sys
import time

KV_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}  # as ggml numbers them
N_BATCH = 2048


def tokens(n, n_vocab):
    """The linear congruential generator of fathom bench."""
    state, ids = 1, []
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        ids.append((state >> 33) % n_vocab)
    return ids


class Context:
    """One llama_context, and how many of the tokens stand in its memory."""

    def __init__(self, api, model, ids, n_threads, kv, flash):
        params = api.llama_context_default_params()
        params.n_ctx = len(ids)
        params.n_batch = N_BATCH
        params.n_threads = params.n_threads_batch = n_threads
        params.type_k = params.type_v = KV_TYPES[kv]
        params.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else api.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.offload_kqv = params.op_offload = False
        params.no_perf = True
        self.api, self.ids, self.n, self.flash = api, ids, 0, "on" if flash else "off"
        self.context = api.llama_init_from_model(model, params)
        self.batch = api.llama_batch_init(N_BATCH, 0, 1)

    def cut(self, n):
        """Leaves the first n tokens, evaluating what is missing."""
        memory = self.api.llama_get_memory(self.context)
        if self.n > n and not self.api.llama_memory_seq_rm(memory, 0, n, -1) or n == 0:
            self.api.llama_memory_clear(memory, True)
            self.n = 0
        self.n = min(self.n, n)
        if self.n < n:
            self.evaluate(n - self.n)

    def evaluate(self, n):
        """The next n tokens, in as few calls as the batch allows.  Gives the seconds that they took."""
        api, batch, seconds, end = self.api, self.batch, 0.0, self.n + n
        while self.n < end:
            batch.n_tokens = count = min(N_BATCH, end - self.n)
            for i in range(count):
                batch.token[i] = self.ids[self.n + i]
                batch.pos[i] = self.n + i
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = 0
                batch.logits[i] = self.n + i + 1 == end
            started = time.perf_counter()
            status = api.llama_decode(self.context, batch)
            api.llama_synchronize(self.context)
            seconds += time.perf_counter() - started
            if status:
                raise RuntimeError(f"llama_decode gave {status}")
            self.n += count
        return seconds

    def measure(self, kind, n, depth):
        self.cut(depth)
        return self.evaluate(n) if kind == "batch" else sum(self.evaluate(1) for _ in range(n))


def collect_errors(api):
    """The list that the library's complaints will be appended to, and what must be kept for that."""
    errors = []

    def take(level, text, _):
        if level == 4:
            errors.append(text.decode(errors="replace"))

    kept = api.llama_log_callback(take)
    api.llama_log_set(kept, None)
    return errors, kept


def open_contexts(api, path, n_ctx, n_threads, kv):
    errors, kept = collect_errors(api)
    api.llama_backend_init()
    params = api.llama_model_default_params()
    params.n_gpu_layers = 0
    params.use_mmap = True
    model = api.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise RuntimeError(errors[0] if errors else "it does not load this model")
    ids = tokens(n_ctx, api.llama_vocab_n_tokens(api.llama_model_get_vocab(model)))
    contexts = [Context(api, model, ids, n_threads, kv, flash) for flash in (True, False)]
    contexts = [context for context in contexts if context.context]  # a quantised cache needs flash attention
    if not contexts:
        raise RuntimeError(errors[0] if errors else "it makes no context of that size")
    return contexts, kept


def answer(contexts, chosen, line):
    kind, n, depth = line.split()
    ask = (kind, int(n), int(depth))
    if ask not in chosen:
        times = [(context.measure(*ask), i) for i, context in enumerate(contexts)]
        seconds, chosen[ask] = min(times)
    else:
        seconds = contexts[chosen[ask]].measure(*ask)
    return f"time {seconds:.9f} {contexts[chosen[ask]].flash}"


def main():
    out = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # whatever the library has to say
    os.dup2(nothing, 2)

    def say(text):
        out.write(" ".join(text.split()) + "\n")
        out.flush()

    try:
        import llama_cpp
    except Exception as why:
        say(f"missing {why}")
        return
    try:
        started = time.perf_counter()
        contexts, _kept = open_contexts(llama_cpp, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
        say(f"ready {llama_cpp.__version__} {(time.perf_counter() - started) * 1000:.2f}")
        chosen = {}
        for line in sys.stdin:
            say(answer(contexts, chosen, line))
    except Exception as why:
        say(f"error {why}")


if __name__ == "__main__":
    main()
