# fathom: how it is built, tried, tested and installed.  `make help` lists the targets.
#
# Everything built or downloaded lies under build/.  The other kinds of build (asan, tsan, debug, fuzz, valgrind) are this
# same file called again with a BUILD, CFLAGS and SANITIZE of their own, so that no object is ever shared between kinds.

BUILD    ?= build
PREFIX   ?= /usr/local
CFLAGS   ?= -O2 -g
CUDA     ?= auto
PYTHON   ?= $(firstword $(wildcard /usr/bin/python3) python3)
NVCC     ?= $(firstword $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc))
Q         = $(if $(V),,@)

LAYERS    = engine ui fim repo plugins app
LIBRARIES = libpcre2-8 libutf8proc md4c ncursesw libedit inih libcjson sqlite3 libgit2 tree-sitter libmicrohttpd
WARNINGS  = -Wall -Wextra -Wshadow -Wconversion
COMPILE   = $(CC) -std=c11 -D_GNU_SOURCE -I. $(WARNINGS) -ffp-contract=off -pthread $(CFLAGS) $(SANITIZE) $(CPPFLAGS)
LINK      = $(CC) -pthread $(CFLAGS) $(SANITIZE) $(LDFLAGS)
LIBS      = $(shell pkg-config --libs $(LIBRARIES)) -ldl -lm

SOURCES  := $(foreach layer,$(LAYERS),$(wildcard $(layer)/*.c))
OBJECTS  := $(patsubst %.c,$(BUILD)/%.o,$(filter-out app/main.c,$(SOURCES)))
PROGRAM  := $(patsubst app/main.c,$(BUILD)/fathom,$(wildcard app/main.c))
TESTS    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/test_*.c))
EMULATED := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/cpu_fixture.c tests/wide_*.c))
HELPERS  := $(filter-out $(EMULATED),$(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/test_% tests/fake_engine.c,$(wildcard tests/*.c))))
FUZZERS  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c)) $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/planted_%,$(wildcard tests/fuzz/fuzz_*.c))
VERSION  := $(shell sed -n 's/^.define FATHOM_VERSION "\(.*\)"/\1/p' engine/base.h)

# SIMD kernels are the files with the instruction set in their name; all other code runs on any machine of the
# architecture.  On other architectures these files compile to nothing.
ifneq ($(filter x86_64-%,$(shell $(CC) -dumpmachine 2>/dev/null)),)
ISA_avx2   = -mavx2 -mfma -mf16c
ISA_avx512 = $(ISA_avx2) -mavx512f -mavx512bw -mavx512vl -mavx512dq
ISA_vnni   = $(ISA_avx512) -mavx512vnni
ISA_amx    = $(ISA_vnni) -mamx-tile -mamx-int8 -mamx-bf16
endif
ISA = $(foreach word,$(subst _, ,$(notdir $*)),$(ISA_$(word)))

# What a fuzzer is to find its way through: not the code that makes its inputs.
GUIDE = $(if $(filter-out tests/fuzz/%,$(filter tests/%,$<)),,$(COVERAGE))

# CUDA is a shared object that the program opens when it runs: auto builds it where nvcc and its sources are.
KERNELS := $(wildcard engine/cuda_*.cu)
ifeq ($(CUDA),1)
$(if $(NVCC),,$(error CUDA=1, but there is no nvcc: install the CUDA toolkit, name it by NVCC=, or use CUDA=0))
$(if $(KERNELS),,$(error CUDA=1, but this tree has no CUDA sources (engine/cuda_*.cu): use CUDA=0))
endif
CUDA_OBJECT := $(if $(filter-out 0,$(CUDA)),$(if $(and $(KERNELS),$(NVCC)),$(BUILD)/fathom-cuda.so))

.PHONY: all tests fuzzers FORCE
.DELETE_ON_ERROR:
.SECONDARY:
all: $(PROGRAM) $(BUILD)/libfathom.a $(CUDA_OBJECT) # the program, and what it opens when it runs
tests: all $(TESTS) $(patsubst %,$(BUILD)/tests/tools/%,tags grammar diff stage surprise) $(BUILD)/fathom-scripted
fuzzers: $(FUZZERS)

$(BUILD)/fathom: $(BUILD)/app/main.o $(BUILD)/libfathom.a
	$(Q)$(LINK) -rdynamic -o $@ $^ $(LIBS)
$(TESTS): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/tests/emulated.a $(BUILD)/tests/helpers.a $(BUILD)/libfathom.a
	$(Q)$(LINK) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka $(LIBS)
# The tests of app/ run on a scripted engine, which takes the place of the archive's.
$(filter $(BUILD)/tests/test_app_%,$(TESTS)): $(BUILD)/tests/fake_engine.o
$(BUILD)/tests/tools/%: $(BUILD)/tests/tools/%_main.o $(BUILD)/tests/helpers.a $(BUILD)/libfathom.a
	$(Q)$(LINK) -o $@ $^ $(LIBS)
# The program itself on a scripted engine.
$(BUILD)/fathom-scripted: $(BUILD)/app/main.o $(BUILD)/tests/tools/scripted.o $(BUILD)/tests/fake_engine.o $(BUILD)/libfathom.a
	$(Q)$(LINK) -rdynamic -o $@ $^ $(LIBS)
$(BUILD)/tests/helpers.a: $(HELPERS)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
# Apart, as it takes a minute or two to compile, which the fuzzers needn't wait for.
$(BUILD)/tests/emulated.a: $(EMULATED)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(FUZZERS): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/tests/helpers.a $(BUILD)/libfathom.a
	$(Q)$(LINK) -fsanitize=fuzzer -o $@ $^ $(LIBS)
# The same with a bug in the target itself, which it has to find.
$(BUILD)/tests/fuzz/planted_%.o: tests/fuzz/%.c $(BUILD)/.compile
	$(Q)echo '  CC $@' >&2; mkdir -p $(@D) && $(COMPILE) $(COVERAGE) -DFATHOM_PLANT_BUG -MMD -MP -c -o $@ $<
$(BUILD)/libfathom.a: $(OBJECTS) $(BUILD)/.objects
	$(Q)rm -f $@ && $(AR) rcs $@ $(OBJECTS)
$(BUILD)/%.o: %.c $(BUILD)/.compile
	$(Q)$(if $(V),,echo '  CC $@' >&2;) mkdir -p $(@D) && $(COMPILE) $(GUIDE) $(ISA) -MMD -MP -c -o $@ $<
$(BUILD)/fathom-cuda.so: $(KERNELS) $(wildcard engine/*.cuh engine/*.h)
	$(Q)mkdir -p $(@D) && $(NVCC) -std=c++17 -O3 -I. -shared -Xcompiler -fPIC -o $@ $(KERNELS) -lcublas

# With another compiler, other flags or another list of files, what was made with the old ones is made again.
$(BUILD)/.compile: FORCE
	@pkg-config --exists $(LIBRARIES) 2>/dev/null || { echo 'fathom: libraries are missing (run `make deps`)' >&2; exit 1; }
	@mkdir -p $(@D); echo '$(COMPILE) $(COVERAGE)' | cmp -s - $@ || echo '$(COMPILE) $(COVERAGE)' > $@
$(BUILD)/.objects: FORCE
	@mkdir -p $(@D); echo '$(OBJECTS)' | cmp -s - $@ || echo '$(OBJECTS)' > $@

-include $(patsubst %.c,$(BUILD)/%.d,$(SOURCES) $(wildcard tests/*.c tests/fuzz/*.c tests/tools/*.c)) $(wildcard $(BUILD)/tests/fuzz/planted_*.d)

# ---- what a person calls ----

.PHONY: run model grammars deps deps-test test data synth bench bench-draft peer check-tags check-stage measure-index eval-search eval-fim eval-surprise soak check-openai check-schema debug asan tsan valgrind fuzz format lint check-layers install uninstall dist clean help
AGAIN   = @$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null || echo 2))
MODELS  = "$${XDG_DATA_HOME:-$$HOME/.local/share}/fathom/models"
DATA    = build/test-data
CHOSEN  = $(FATHOM_MODEL)$(filter -m% --model%,$(ARGS))

run: # install what is needed, build, fetch the default model, open the program (ARGS=... are its arguments)
	@tools/deps.sh build/stamps build
	$(AGAIN) all </dev/null >&2
	@$(if $(CHOSEN),,$(PYTHON) tools/fetch.py model $(MODELS) $(DATA)/models)
	@$(PYTHON) tools/fetch.py grammars build/lib again || true
	@tools/run.sh $(BUILD)/fathom $(ARGS)
model: # fetch the default model
	@tools/deps.sh build/stamps build
	@$(PYTHON) tools/fetch.py model $(MODELS) $(DATA)/models
grammars: # fetch the grammars that the repository's index reads code by
	@tools/deps.sh build/stamps build
	@$(PYTHON) tools/fetch.py grammars build/lib
deps: # install the packages that building needs (tools/packages.txt)
	@tools/deps.sh build/stamps build
deps-test: # install the packages that the tests and checks need, too
	@tools/deps.sh build/stamps build test check
data: # fetch what the tests need
	@tools/deps.sh build/stamps build test
	@$(PYTHON) tools/fetch.py model $(DATA)/models $(MODELS)
	@$(PYTHON) tools/fetch.py grammars build/lib
	@$(PYTHON) tools/fetch.py data $(DATA)
test: data check-layers # all that `make run` does, then the tests (ONLY="NAME ..." some of them); the last line counts
	$(AGAIN) tests </dev/null >&2
	@PYTHON=$(PYTHON) tests/run.sh $(BUILD)
synth: $(BUILD)/tests/tools/synth # write a model of random weights: SHAPE=coder-v2-lite OUT=FILE.gguf ARGS='n_layer=8 seed=2'
	@$< $(SHAPE) $(OUT) $(ARGS)
bench: model all # prefill and decode speed, and the share of the memory's bandwidth
	@$(BUILD)/fathom bench $(ARGS)
bench-draft: data $(BUILD)/tests/tools/edits # what drafts gain on code edits, and that they change nothing (ARGS='ROUNDS TEMPERATURE')
	@$(BUILD)/tests/tools/edits $(DATA)/models/SmolLM2-135M-Instruct.Q4_1.gguf tests/edits $(ARGS)
peer: $(PROGRAM) $(BUILD)/tests/tools/synth # hold it against llama.cpp on random models and files: PEER=a Python with numpy, gguf and llama-cpp-python
	@$(PEER) tests/check_llama_cpp.py families && $(PEER) tests/check_llama_cpp.py files
check-tags: data $(BUILD)/tests/tools/tags # hold the definitions found in C files against ctags, and those of Python's library against its ast: CODE=FOLDER (N=5000 files of it; V=1 shows differences)
	@$(PYTHON) tests/check_tags.py c '$(BUILD)/tests/tools/tags build/lib assets/tags' $(CODE) $(or $(N),5000) $(if $(V),-v)
	@$(PYTHON) tests/check_tags.py python '$(BUILD)/tests/tools/tags build/lib assets/tags' $$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') 0 $(if $(V),-v)
check-stage: $(BUILD)/tests/tools/stage # hold staging against git on N=1000 selections of files of every kind, changed at random
	@FATHOM_PROGRAM=$(BUILD)/fathom $(PYTHON) tests/test_stage.py $(or $(N),1000)
measure-index: data all $(BUILD)/tests/tools/ask # what the index of a large repository costs and how soon it answers, against the bounds: CODE=REPOSITORY (ARGS='cold ask map': some of it)
	@FATHOM_PROGRAM=$(BUILD)/fathom $(PYTHON) tests/measure_index.py $(CODE) $(ARGS)
eval-search: all # how often search finds what real changes needed, against BM25 alone and without nearness (ARGS=-v: each package)
	@tools/deps.sh build/stamps build
	@$(PYTHON) tools/fetch.py grammars build/lib
	@$(PYTHON) tools/fetch.py changes $(DATA)/changes
	@FATHOM_PROGRAM=$(BUILD)/fathom $(PYTHON) tests/eval_search.py $(DATA)/changes $(ARGS)
eval-fim: data all $(BUILD)/tests/tools/complete # how well holes in others' code are filled, and what each source of context is worth: MODEL=FILE.gguf|repeat (ARGS='--holes 60 --variants all,none')
	@$(PYTHON) tools/fetch.py changes $(DATA)/changes
	@$(if $(filter-out repeat,$(MODEL)),,$(PYTHON) tests/make_repeat_model.py $(DATA)/models/SmolLM2-135M-Instruct.Q4_1.gguf $(BUILD)/repeat.gguf)
	@$(PYTHON) tests/eval_fim.py '$(BUILD)/tests/tools/complete build/lib assets/tags' $(if $(filter-out repeat,$(MODEL)),$(MODEL),$(BUILD)/repeat.gguf) $(DATA)/changes $(BUILD)/eval-fim.json $(ARGS)
eval-surprise: data $(BUILD)/tests/tools/surprise # whether lines that others' fixes removed are unusual to the default model (ARGS='--fixes 40 -v')
	@$(PYTHON) tools/fetch.py fixes $(DATA)/fixes
	@$(PYTHON) tests/eval_surprise.py '$(BUILD)/tests/tools/surprise $(or $(MODEL),$(DATA)/models/SmolLM2-135M-Instruct.Q4_1.gguf)' $(DATA)/fixes $(ARGS)
soak: data all # 500 clients of the server, half of whom go away, and 100 who don't read
	@FATHOM_PROGRAM=$(BUILD)/fathom $(PYTHON) tests/test_serve.py soak
check-openai: data all $(BUILD)/tests/tools/synth # the server, asked by OpenAI's own Python client (ONLY=PART of a check's name)
	@$(PYTHON) tools/fetch.py clients build/clients
	@FATHOM_PROGRAM=$(BUILD)/fathom build/clients/bin/python tests/check_openai.py $(ONLY)
check-schema: data all # the server, held against its own /openapi.json by schemathesis (ARGS='--max-examples 20')
	@$(PYTHON) tools/fetch.py clients build/clients
	@FATHOM_PROGRAM=$(BUILD)/fathom build/clients/bin/python tests/check_schema.py $(ARGS)
debug: # an unoptimised build for a debugger, in build/debug
	$(AGAIN) BUILD=build/debug CFLAGS='-O0 -g3' all
asan tsan: data deps-test # the tests under AddressSanitizer and UBSan, or under ThreadSanitizer
	$(AGAIN) BUILD=build/$@ CC=clang CFLAGS='-O2 -g -fno-omit-frame-pointer' SANITIZE='$(SANITIZE_$@)' tests </dev/null >&2
	@PYTHON=$(PYTHON) tests/run.sh build/$@
valgrind: data # the unit tests under valgrind, without the SIMD kernels, which it doesn't all know
	$(AGAIN) tests </dev/null >&2
	@FATHOM_CPU=scalar PYTHON=$(PYTHON) tests/run.sh $(BUILD) valgrind
fuzz: deps-test # every fuzz target for FUZZ_SECONDS=60, each after the proof that it finds a planted bug (ONLY="model ...")
	@$(PYTHON) tools/fetch.py grammars build/lib
	@tools/fuzz.sh $(or $(FUZZ_SECONDS),60) $(ONLY)
format: # the sources by clang-format 14
	@find $(LAYERS) tests -name '*.[ch]' ! -path 'tests/golden/*' -exec clang-format-14 -i {} +
lint: # formatting, cppcheck, clang-tidy, lengths, names (LINT_SINCE=COMMIT: clang-tidy on what changed since)
	@tools/lint.sh $(LINT_SINCE)
check-layers: # that no folder includes what it must not know
	@tools/check-layers.sh
clean: # remove all that was built; downloads stay
	@find build -mindepth 1 -maxdepth 1 ! -name test-data ! -name stamps ! -name lib -exec rm -rf {} + 2>/dev/null || true
help: # this list
	@sed -n 's/^\([a-z][a-z -]*\):[^#=]* # /\1\t/p' Makefile | expand -t 16

SANITIZE_asan = -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_tsan = -fsanitize=thread

SHARE   = $(DESTDIR)$(PREFIX)/share
WRITTEN = man:man/man1/fathom.1 bash:bash-completion/completions/fathom zsh:zsh/site-functions/_fathom fish:fish/vendor_completions.d/fathom.fish

install: all # the program, what it needs, man page and completions, below $(DESTDIR)$(PREFIX)
	install -D -m 755 $(BUILD)/fathom $(DESTDIR)$(PREFIX)/bin/fathom
	install -d $(DESTDIR)$(PREFIX)/lib/fathom $(SHARE)/fathom
	$(if $(CUDA_OBJECT),install -m 644 $(CUDA_OBJECT) $(DESTDIR)$(PREFIX)/lib/fathom)
	$(if $(wildcard build/lib/*.so),install -m 644 $(wildcard build/lib/*.so) $(DESTDIR)$(PREFIX)/lib/fathom)
	$(if $(wildcard assets/*),cp -r assets/. $(SHARE)/fathom)
	@set -e; for each in $(WRITTEN); do mkdir -p "$(SHARE)/$$(dirname $${each#*:})"; \
	    $(BUILD)/fathom help --format $${each%%:*} > "$(SHARE)/$${each#*:}"; done
uninstall: # what install put there
	rm -rf $(DESTDIR)$(PREFIX)/bin/fathom $(DESTDIR)$(PREFIX)/lib/fathom $(SHARE)/fathom
	rm -f $(foreach each,$(WRITTEN),$(SHARE)/$(lastword $(subst :, ,$(each))))
dist: # a source archive of the last commit
	git archive --prefix=fathom-$(VERSION)/ -o build/fathom-$(VERSION).tar.gz HEAD
