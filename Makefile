# txpipe: the extension (PGXS), its child process txpipe_io, and the checks.

EXTENSION = txpipe
EXTVERSION = 0.1.0
MODULE_big = txpipe

# Read by the server: extension modules, and the files both sides need.
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c))) src/decode/names.o src/decode/fieldname.o src/decode/openpgp.o src/decode/openpgp_read.o \
	src/io/below.o $(patsubst %.c,%.o,$(sort $(wildcard src/parquet/*.c)))
SHLIB_LINK = -lcrypto -lzstd

# The child process: pure C11, no PostgreSQL header.
IO = txpipe_io
IO_SRC = $(sort $(wildcard src/decode/*.c src/io/*.c))
IO_OBJS = $(patsubst src/%.c,build/%.o,$(IO_SRC))
IO_CFLAGS = -std=c11 -D_GNU_SOURCE -O2 -g -fstack-protector-strong -pthread -Wall -Wextra \
	-Wshadow -Wstrict-prototypes $(IO_EXTRA_CFLAGS)
IO_LIBS = -lrdkafka $(DECODE_LIBS) -lz -lzstd -ldl -lpthread
# Of src/decode alone.
DECODE_LIBS = -ljansson -lcrypto -lm

SQL_PIECES = $(sort $(wildcard sql/[0-9]*.sql))
DATA = $(wildcard sql/upgrade/txpipe--*--*.sql)
DATA_built = txpipe--$(EXTVERSION).sql

# What needs nothing but a server with the extension; test/run has the suites that need a broker, too.
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test

PG_CPPFLAGS = -Isrc -DTXP_VERSION='"$(EXTVERSION)"'
EXTRA_CLEAN = $(DATA_built) $(IO) build/ results/ output_iso/ tmp_check/ regression.diffs regression.out

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
override with_llvm = no
include $(PGXS)

# -Wdeclaration-after-statement stays as the server has it; WERROR=1 is what the tests build with.
PG_CFLAGS_STRICT = -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	-Wno-cast-function-type
override CFLAGS += $(PG_CFLAGS_STRICT)
ifdef WERROR
override CFLAGS += -Werror
IO_CFLAGS += -Werror
endif

all: $(IO)

$(OBJS): $(wildcard src/*.h src/*/*.h)
src/version.o src/parquet_rows.o: Makefile

txpipe--$(EXTVERSION).sql: $(SQL_PIECES)
	cat $^ > $@

build/%.o: src/%.c $(wildcard src/*/*.h)
	@mkdir -p $(@D)
	$(CC) $(IO_CFLAGS) -c -o $@ $<

$(IO): $(IO_OBJS)
	$(CC) $(IO_CFLAGS) -o $@ $^ $(IO_LIBS)

install: install-io

.PHONY: install-io
install-io: $(IO)
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_PROGRAM) $(IO) '$(DESTDIR)$(pkglibdir)/$(IO)'

uninstall: uninstall-io

.PHONY: uninstall-io
uninstall-io:
	rm -f '$(DESTDIR)$(pkglibdir)/$(IO)'

# Programs of the tests, the demo and the benchmark: each NAME.c becomes build/test/NAME.
build/test/%: test/kafka/%.c
	@mkdir -p $(@D)
	$(CC) $(IO_CFLAGS) -o $@ $< -lrdkafka -lpthread

# What tests load into a server's processes by LD_PRELOAD.
build/test/%.so: test/preload/%.c
	@mkdir -p $(@D)
	$(CC) $(IO_CFLAGS) -fPIC -shared -o $@ $<

build/test/%: bench/%.c $(wildcard bench/*.h)
	@mkdir -p $(@D)
	$(CC) $(IO_CFLAGS) -o $@ $< -lrdkafka -lpthread

DECODE_TESTS = $(patsubst test/decode/%.c,build/test/%,$(sort $(wildcard test/decode/test_*.c)))
DECODE_OBJS = $(patsubst src/%.c,build/%.o,$(sort $(wildcard src/decode/*.c)))
# Parts of the child and of the server that are tested without them.
PURE_OBJS = build/io/below.o $(PARQUET_SRC:src/%.c=build/%.o)
PARQUET_SRC = $(sort $(wildcard src/parquet/*.c))

$(DECODE_TESTS): build/test/%: test/decode/%.c $(wildcard test/decode/*.h) $(DECODE_OBJS) $(PURE_OBJS)
	@mkdir -p $(@D)
	$(CC) $(IO_CFLAGS) -Isrc -o $@ $< $(DECODE_OBJS) $(PURE_OBJS) $(DECODE_LIBS) -lzstd

.PHONY: check-decode lint format
check-decode: $(DECODE_TESTS)
	@set -e; for t in $(DECODE_TESTS); do $$t; done

lint:
	test/lint

FORMATTED = $(sort $(wildcard src/*.[ch] src/*/*.[ch] test/decode/*.[ch] test/kafka/*.[ch] test/preload/*.c bench/*.[ch]))
format:
	clang-format-14 -i $(FORMATTED)

# Speed of the decoders, which is no test; fuzzing of them and of the child.
FUZZ_SECONDS ?= 60
FUZZ_KEPT ?= build/fuzz/kept
FUZZ_CLANG ?= clang-14

build/test/bench_decode: test/decode/bench_decode.c $(DECODE_OBJS)
	@mkdir -p $(@D)
	$(CC) $(IO_CFLAGS) -Isrc -o $@ $< $(DECODE_OBJS) $(DECODE_LIBS)

FUZZ_TARGETS = $(patsubst test/decode/fuzz_%.c,%,$(sort $(wildcard test/decode/fuzz_*.c)))
FUZZ_CC = $(FUZZ_CLANG) -std=c11 -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -Wall -Wextra -Isrc -pthread
FUZZ_DECODE = $(patsubst src/%.c,build/fuzz/%.o,$(sort $(wildcard src/decode/*.c)))
# Of the child, for frames: fuzz_frame.c has channel.c, link.c and main.c in itself.
FUZZ_IO = build/fuzz/fake_kafka.o build/fuzz/fake_registry.o build/fuzz/fake_http.o $(patsubst %,build/fuzz/io/%.o,batch charset copying decode_request encode file \
	kafka lake life object pace places records request rewrite schema seal source store store_parts stream unpack)

build/fuzz/%.o: src/%.c $(wildcard src/*/*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) -c -o $@ $<

build/fuzz/%.o: test/decode/%.c test/decode/fuzz.h $(wildcard src/*/*.[ch])
	@mkdir -p $(@D)
	$(FUZZ_CC) -c -o $@ $<

build/fuzz/%: build/fuzz/fuzz_%.o $(FUZZ_DECODE)
	$(FUZZ_CC) -fsanitize=fuzzer -o $@ $^ $(FUZZ_LIBS) $(DECODE_LIBS)

build/fuzz/parquet_writer: FUZZ_LIBS = -lzstd
build/fuzz/parquet_writer: $(PARQUET_SRC:src/%.c=build/fuzz/%.o)
build/fuzz/frame: FUZZ_LIBS = -lz -lzstd
build/fuzz/frame: $(FUZZ_IO)

.PHONY: bench bench-decode fuzz
bench:
	bench/run

bench-decode: build/test/bench_decode
	$<

.PHONY: fuzz-compiler
# Is it there, with its run-time libraries?
fuzz-compiler:
	@echo 'int main(void) { return 0; }' | $(FUZZ_CLANG) -fsanitize=address,undefined -x c -o /dev/null - 2>/dev/null

fuzz: $(addprefix build/fuzz/,$(FUZZ_TARGETS))
	test/decode/fuzz $(FUZZ_SECONDS) $(FUZZ_KEPT) $(FUZZ_TARGETS)
