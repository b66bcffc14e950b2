# GoChat. 'make run' starts everything on this machine; 'make test' proves it. 'make help' lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# A target's node is the one that GoChat runs on (the tools need it too).
NODE = PATH="$$(dirname "$$("$(CURDIR)/scripts/node.sh")"):$(CURDIR)/node_modules/.bin:$$PATH"

.PHONY: docs help all install build build-binary build-image docker-build docker-run migrate api vet proto run test test-coverage lint fmt typecheck verify verify-deploy verify-workflows mutants chaos pauses screenshots bench bench-placement bench-placement-real bench-ipconf bench-all fuzz clean compose-dev compose-prod compose-logs compose-ps

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/' | expand -t 24

all: install build ## Install and build everything

install: node_modules/.installed ## Install the dependencies

node_modules/.installed: package.json package-lock.json
# Not "npm ci": it refuses a lock file made where the packages for other platforms could not be looked up.
	npm install --no-save --loglevel=error
	@touch $@

build: install ## Compile to dist/
	@rm -rf dist
	@$(NODE) tsc -p tsconfig.build.json
	@cp -R state/store/migrations dist/state/store/migrations
	@cp -R proto/gochat dist/proto/gochat
	@$(NODE) node scripts/build-page.ts
	@$(NODE) node scripts/build-client.ts
	@scripts/node.sh >dist/node-path
	@scripts/build-native.sh

build-binary: all ## A folder that runs GoChat by itself, with its Node.js, in out/gochat (OUT=)
	@$(NODE) scripts/build-binary.sh $(or $(OUT),out/gochat)

build-image: ## The image gochat:latest (IMAGE=), by docker or buildah, whichever answers
	@scripts/build-image.sh $(or $(IMAGE),gochat:latest)

docker-build: build-image ## The same as build-image

docker-run: build-image ## Start the image at port 8080, on DATABASE_URL, REDIS_URL and JWT_SECRET
	docker run --rm -p 8080:8080 -e DATABASE_URL -e REDIS_URL -e JWT_SECRET $(or $(IMAGE),gochat:latest)

migrate: install ## Migrate the database of DATABASE_URL to this version; state nodes also do it when they start
	@$(NODE) node scripts/migrate.ts

docs: install ## Write the pages and pictures that are made from the code: errors, settings, metrics, diagrams
	@$(NODE) node scripts/docs/main.ts

proto: install ## Generate the gen folders from *.proto
	cd proto && $(NODE) buf lint && $(NODE) buf generate
	$(NODE) node scripts/json-shapes.ts
	cd crpc/etcd && $(NODE) buf generate
	cd crpc/testing && $(NODE) buf generate

api: proto ## The same as proto

run: all ## Start the whole system in one process, on loopback, with demo accounts
	@./bin/gochat up

test: all lint typecheck ## Install, build, lint, check types, and run the tests against real engines, within six minutes
	@$(NODE) vitest run

test-coverage: all ## Run every test and report coverage
	@$(NODE) vitest run --coverage

lint: install ## Check style, the rules between folders, and that generated pages and links are current
	@$(NODE) biome format .
	@$(NODE) oxlint --type-aware
	@$(NODE) node scripts/check-imports.ts
	@$(NODE) node scripts/docs/main.ts --check

fmt: install ## Format the code
	@$(NODE) biome format --write .

vet: typecheck ## The same as typecheck

typecheck: install ## Check types
	@$(NODE) tsc -p tsconfig.json
	@$(NODE) tsc -p client/web

verify: all ## What takes too long for 'make test': chaos, mutants, faults in real time, fuzzing, mixed versions
	@$(NODE) vitest run --config vitest.verify.config.ts --exclude 'test/deploy/**'
	@$(MAKE) chaos

compose-dev: ## Start docker-compose.yml with demo accounts, on loopback
	docker compose -f docker-compose.yml -f docker-compose.dev.yml up -d --build

compose-prod: ## Start docker-compose.yml for others: HOST_IP=ADDRESS, at which clients reach this machine
	@test -n "$(HOST_IP)" || { echo 'make compose-prod HOST_IP=ADDRESS: the address at which clients reach this machine' >&2; exit 2; }
	HOST_IP=$(HOST_IP) BIND_IP=$(or $(BIND_IP),0.0.0.0) docker compose up -d --build

compose-logs: ## Follow the logs of docker-compose.yml
	docker compose logs -f

compose-ps: ## List the containers of docker-compose.yml
	docker compose ps

verify-deploy: all ## As root, on Debian: build and start what people deploy: image, binary, systemd unit, compose, SSH, completion; installs the packages it needs
	@$(NODE) vitest run --config vitest.verify.config.ts test/deploy

verify-workflows: ## Check the GitHub workflows by actionlint (needs Go) and zizmor (needs Python)
	go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 .github/workflows/*.yml
	zizmor=$$(scripts/install-for-tests.sh --pip zizmor 1.32.0) && "$$zizmor" --offline .github/workflows

mutants: all ## Build fifteen deliberately broken variants of GoChat; the chaos checker must detect each; SEED=1
	@$(NODE) env GOCHAT_TEST_CHAOS_SEED=$(or $(SEED),1) vitest run --config vitest.verify.config.ts test/chaos/mutants

chaos: all ## Inject random faults for MINUTES=5 while clients chat, then check what they saw; SEED= repeats a plan
	@$(NODE) node test/chaos/main.ts

screenshots: all ## Take the pictures of the page for README.md and docs/guide.md
	@$(NODE) node scripts/screenshots.ts

pauses: all ## Measure how long senders wait while state nodes join, leave and die, and how soon a kick or logout takes effect
	@$(NODE) node test/chaos/pauses.ts

bench: all ## Measure against baselines and brokers, about 40 minutes; BENCH='room --repeats 3' picks (node bench/main.ts --help)
	@$(NODE) node bench/main.ts $(BENCH)

bench-all: all ## Measure everything there is, about an hour
	@$(NODE) node bench/main.ts --all

bench-placement: install ## Simulate placement; writes docs/lab/placement (half an hour of CPU)
	@$(NODE) node bench/placement/main.ts

bench-placement-real: all ## Placement on four real gateways with 12,000 clients, three minutes
	@$(NODE) node bench/placement/real.ts

bench-ipconf: all ## How fast ipconf is with 1,000 gateways, two minutes
	@$(NODE) node bench/ipconf.ts

fuzz: all ## Ten million mutated frames through parser, JSON codec and a worker (FRAMES=N SEED=N)
	@$(NODE) env GOCHAT_TEST_FUZZ_FRAMES=$(or $(FRAMES),10000000) GOCHAT_TEST_FUZZ_SEED=$(or $(SEED),1) vitest run --config vitest.verify.config.ts gateway/fuzz

clean: ## Remove what was built
	rm -rf dist out crpc/dist coverage
