# fathom: how it is built, tried, tested and installed.  `make help` lists the targets.
#
# Everything built or downloaded lies under $(BUILD).  Other kinds of build (asan, tsan, debug, fuzz) are this same file
# called again with their own BUILD and SANITIZE, so that no object is ever shared between them.

BUILD    ?= build
PREFIX   ?= /usr/local
CFLAGS   ?= -O2 -g
CUDA     ?= auto
SANITIZE ?=
PYTHON   ?= $(firstword $(wildcard /usr/bin/python3) python3)
NVCC     ?= $(firstword $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc))

LAYERS    = engine ui fim repo plugins app
LIBRARIES = libpcre2-8 libutf8proc libedit inih libcjson sqlite3
WARNINGS  = -Wall -Wextra -Wshadow -Wconversion
COMPILE   = $(CC) -std=c11 -D_GNU_SOURCE -I. $(WARNINGS) -ffp-contract=off -pthread $(CFLAGS) $(SANITIZE) $(CPPFLAGS)
LIBS      = $(shell pkg-config --libs $(LIBRARIES)) -pthread -ldl -lm

SOURCES  := $(foreach layer,$(LAYERS),$(wildcard $(layer)/*.c))
OBJECTS  := $(patsubst %.c,$(BUILD)/%.o,$(filter-out app/main.c,$(SOURCES)))
TESTS    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/test_*.c))
HELPERS  := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/test_% tests/fake_%,$(wildcard tests/*.c)))
PROGRAM  := $(patsubst app/main.c,$(BUILD)/fathom,$(wildcard app/main.c))
JOBS      = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
AGAIN     = @$(MAKE) --no-print-directory $(JOBS)

# SIMD kernels are the files with the instruction set in their name; all other code runs on any machine of the
# architecture.  Elsewhere these files compile to nothing.
ifneq ($(filter x86_64-%,$(shell $(CC) -dumpmachine 2>/dev/null)),)
ISA_avx2   = -mavx2 -mfma -mf16c
ISA_avx512 = $(ISA_avx2) -mavx512f -mavx512bw -mavx512vl -mavx512dq
ISA_vnni   = $(ISA_avx512) -mavx512vnni
ISA_amx    = $(ISA_vnni) -mamx-tile -mamx-int8 -mamx-bf16
endif
ISA = $(foreach word,$(subst _, ,$(notdir $*)),$(ISA_$(word)))

# CUDA is a shared object that the program opens when it runs: auto builds it where nvcc and the sources are.
KERNELS := $(wildcard engine/cuda_*.cu)
ifeq ($(CUDA),1)
$(if $(NVCC),,$(error CUDA=1, but there is no nvcc: install the CUDA toolkit, name it by NVCC=, or use CUDA=0))
$(if $(KERNELS),,$(error CUDA=1, but there are no CUDA sources (engine/cuda_*.cu) in this tree: use CUDA=0))
endif
CUDA_OBJECT := $(if $(filter-out 0,$(CUDA)),$(if $(and $(KERNELS),$(NVCC)),$(BUILD)/fathom-cuda.so))

.PHONY: all tests FORCE
.DELETE_ON_ERROR:
all: $(PROGRAM) $(BUILD)/libfathom.a $(CUDA_OBJECT)
tests: $(TESTS)

$(BUILD)/fathom: $(BUILD)/app/main.o $(BUILD)/libfathom.a
	$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) -rdynamic -o $@ $^ $(LIBS)
$(TESTS): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(HELPERS) $(BUILD)/libfathom.a
	$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka $(LIBS)
# In the tests of the application a scripted model stands before the real engine.
$(filter $(BUILD)/tests/test_app_%,$(TESTS)): $(BUILD)/tests/fake_engine.o
$(BUILD)/libfathom.a: $(OBJECTS) $(BUILD)/.objects
	@rm -f $@ && $(AR) rcs $@ $(OBJECTS)
$(BUILD)/%.o: %.c $(BUILD)/.compile
	@mkdir -p $(@D)
	$(COMPILE) $(ISA) -MMD -MP -c -o $@ $<
$(BUILD)/fathom-cuda.so: $(KERNELS) $(wildcard engine/*.cuh engine/*.h)
	$(NVCC) -std=c++17 -O3 -I. -shared -Xcompiler -fPIC -o $@ $(KERNELS) -lcublas

# Another compiler, other flags or another list of files: what was made with the old ones is made again.
$(BUILD)/.compile: FORCE
	@pkg-config --exists $(LIBRARIES) || { echo 'fathom: libraries are missing: run `make deps`' >&2; exit 1; }
	@mkdir -p $(@D); echo '$(COMPILE)' | cmp -s - $@ || echo '$(COMPILE)' > $@
$(BUILD)/.objects: FORCE
	@mkdir -p $(@D); echo '$(OBJECTS)' | cmp -s - $@ || echo '$(OBJECTS)' > $@

-include $(patsubst %.c,$(BUILD)/%.d,$(SOURCES) $(wildcard tests/*.c))
.SECONDARY:

include tools/targets.mk
