# Sallyport.  `make run` is all a newcomer needs; `make help` lists the rest.

SHELL       := /bin/bash
objs        := objs
quickstart  := conf/quickstart
FUZZ_SECONDS ?= 60

help:
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1	\2/p' Makefile | expand -t 16

run: deps            ## everything on this machine, in the foreground
	@$(quickstart)/run

start: deps          ## the same, detached
	@$(quickstart)/start

stop:                ## stops what start has started
	@$(quickstart)/stop

status:              ## what runs, and where
	@$(quickstart)/status

token:               ## a fresh token of the demo user
	@$(quickstart)/token

deps:                ## the Debian packages for building and running
	@modules/install modules/packages

build: deps          ## the modules, into objs/
	@modules/step $(objs)/build.log "Building the modules" modules/build

test:                ## all tests, on the modules and under sanitizers
	@t/run

bench: build         ## load runs against a bare proxy_pass, as ratios
	@modules/install t/packages
	@t/bench/run
	@t/bench/recall
	@PATH="$$(t/npm):$$PATH" t/bench/mint

fuzz:                ## FUZZ_SECONDS=60 for each fuzz target
	@t/fuzz/run $(FUZZ_SECONDS)

faults:              ## the fault suite against URL=.. TOKEN=.. MODEL=..: docs/faults.md
	@PATH="$$(t/npm):$$PATH" node t/faults/main.mjs --url "$(URL)" --token "$(TOKEN)" \
	    --model "$(or $(MODEL),default)" --http2 "$(HTTP2)" --tls-model "$(TLS_MODEL)"

lint:                ## cppcheck, clang-tidy, builds with gcc and clang
	@t/lint

clean:               ## removes what was built; run/ stays
	rm -rf $(objs)

.PHONY: help run start stop status token deps build test bench fuzz faults lint clean
