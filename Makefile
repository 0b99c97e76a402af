# Through Time. `make help` lists the targets.
PYTHON ?= python3
ENV := .venv
BIN := $(ENV)/bin
RUN := $(BIN)/python
LESSON_TIMEOUT := 240

.DEFAULT_GOAL := help
.PHONY: help lab test check lint unit all-unit nbval notebooks studies bench browser-test progress lock clean assignment grade

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# --- environments -----------------------------------------------------------------------------
# One environment, two sizes: what learners get, and the same plus tests and grading.
# UV is the uv on PATH, or the one that pip brings into the environment.
$(ENV)/created: Makefile
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v[:2] < (3, 14) else \
	  "Python 3.11 to 3.13 is needed. Received: %d.%d. Name one: make lab PYTHON=python3.12" % v[:2])'
	@test -x $(RUN) || $(PYTHON) -m venv $(ENV)
	@command -v uv > /dev/null || test -x $(BIN)/uv || $(RUN) -m pip install --quiet --disable-pip-version-check uv
	@touch $@

INSTALL = UV=$$(command -v uv || echo $(BIN)/uv) && \
	"$$UV" pip install --quiet --python $(RUN) --require-hashes -r $(1) && \
	"$$UV" pip install --quiet --python $(RUN) --no-deps --editable .

$(ENV)/lab: $(ENV)/created requirements.lock pyproject.toml
	@echo "Installing the course's environment (about a minute, 2 GB) ..."
	@$(call INSTALL,requirements.lock)
	@touch $@

$(ENV)/dev: $(ENV)/created requirements-dev.lock pyproject.toml
	@echo "Installing the environment with tests and grading (about a minute, 2 GB) ..."
	@$(call INSTALL,requirements-dev.lock)
	@touch $@ $(ENV)/lab

# --- learners ---------------------------------------------------------------------------------
lab: $(ENV)/lab  ## open the course in JupyterLab (ARGS="--no-browser --port 8899" for servers)
	@$(RUN) -m course_utils lab $(ARGS)

progress: $(ENV)/lab  ## say which lessons and tasks are done
	@$(RUN) -m course_utils progress $(ARGS)

# --- instructors ------------------------------------------------------------------------------
LESSON_NAMED = @test -n "$(LESSON)" || { echo "Name a lesson: make $@ LESSON=06"; exit 2; }

assignment: $(ENV)/dev  ## make what students get of a lesson (LESSON=06)
	$(LESSON_NAMED)
	@$(RUN) -m grading assignment $(LESSON) $(ARGS)

grade: $(ENV)/dev  ## grade submissions in a sandbox (LESSON=06 SUBMISSIONS=folder)
	$(LESSON_NAMED)
	@test -n "$(SUBMISSIONS)" || { echo "Name a folder: make grade LESSON=06 SUBMISSIONS=folder"; exit 2; }
	@$(RUN) -m grading grade $(LESSON) "$(SUBMISSIONS)" $(ARGS)

# --- contributors -----------------------------------------------------------------------------
test: lint all-unit nbval  ## run everything: lint, unit tests, exercise checks, every notebook

check: lint unit  ## lint and unit tests, under two minutes

lint: $(ENV)/dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

unit: $(ENV)/dev
	@$(RUN) -m pytest -q -n 2 --dist loadfile -m "not slow"

all-unit: $(ENV)/dev
	@$(RUN) -m pytest -q -n 2 --dist loadfile

nbval: $(ENV)/dev
	@$(RUN) -m pytest -q -n 2 --dist loadfile --nbval --nbval-current-env \
	  --nbval-cell-timeout=$(LESSON_TIMEOUT) --nbval-sanitize-with=tests/nbval_sanitize.cfg notebooks

notebooks: $(ENV)/dev  ## re-execute and normalize the notebooks that changed
	@$(BIN)/ruff check --fix --quiet notebooks && $(BIN)/ruff format --quiet notebooks
	@$(RUN) tools/notebooks.py $(ARGS)

studies: $(ENV)/dev  ## rebuild the studies whose scripts changed (minutes to hours)
	@$(RUN) -m studies $(ARGS)

bench: $(ENV)/dev  ## measure the ratios that the course promises
	@$(RUN) benchmarks/ratios.py
	@$(RUN) -m benchmarks.grading

browser-test: $(ENV)/dev  ## run the notebooks in a real JupyterLab in headless Chromium
	@$(RUN) tests/browser.py $(ARGS)

lock:  ## refresh the lock files
	@test -x $(RUN) || $(MAKE) --no-print-directory $(ENV)/created
	@UV=$$(command -v uv || echo $(BIN)/uv) && for group in "" "--group dev"; do \
	  out=requirements$${group:+-dev}.lock; \
	  "$$UV" pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate \
	    --python-version 3.11 --custom-compile-command "make lock" $$group pyproject.toml \
	    $$(test "$$out" = requirements-dev.lock && echo "--constraints requirements.lock") \
	    --upgrade -o $$out || exit 1; done

clean:  ## remove the environment and what was built (never workspace/ and grades)
	rm -rf $(ENV) .pytest_cache .ruff_cache *.egg-info
	test ! -d build || find build -mindepth 1 -maxdepth 1 ! -name nbgrader ! -name grades -exec rm -rf {} +
