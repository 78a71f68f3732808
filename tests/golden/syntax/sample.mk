include common.mk
CC ?= gcc
override FLAGS := -O2
define RULE
echo $(1)
endef
# Builds it.
all: prog.o $(OBJECTS)
	$(CC) $(FLAGS) -o $@ $^
%.o: %.c
	$(call RULE,x)
ifeq ($(X),1)
test check: all ; ./run
endif
.PHONY: all
