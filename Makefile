# `make run` and `make test` do all the set-up themselves.

export HOST ?= 127.0.0.1
export PORT ?= 8000
export SIMULATIONS ?=

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
MANAGE := $(RUN) manage.py

.PHONY: run gallery cluster test matrix check format messages bench bench-engines bench-delivery bench-page bench-gallery bench-cluster bench-compute bench-hostile bench-frame-cost bench-costs bench-scale bench-streams clean help

help:
	@echo "make run      serve on http://$(HOST):$(PORT)/ (variables: HOST, PORT, SIMULATIONS=my_sim.py, ARGS=--reload)"
	@echo "make gallery  install what five more simulations of the gallery need (NumPy, scikit-learn, …)"
	@echo "make cluster  serve from two processes behind nginx, two compute machines, Redis and PostgreSQL"
	@echo "make test     run the tests; what needs a server or a browser that is missing is skipped"
	@echo "make matrix   run the fast tests on every Python and Django that there are here (ten minutes and more)"
	@echo "make check    ruff, mypy, templates, then the tests"
	@echo "make format   put the code into its form"
	@echo "make messages collect the words for translation, compile the catalogs (needs gettext)"
	@echo "make bench    measure against the question's own answers (a few minutes)"
	@echo "make bench-engines   measure both engines (twenty minutes)"
	@echo "make bench-delivery  measure memory, freshness and hundreds of viewers (eight minutes)"
	@echo "make bench-page      measure the page in Chromium (eight minutes)"
	@echo "make bench-cluster   measure two processes behind Redis and PostgreSQL (eight minutes)"
	@echo "make bench-compute   measure sessions on compute machines (four minutes)"
	@echo "make bench-hostile   attack a server and measure what others notice (five minutes)"
	@echo "make bench-frame-cost take one frame apart: system calls, instructions, allocations, functions (six minutes)"
	@echo "make bench-costs     measure what processes cost each other, Redis and PostgreSQL (a minute)"
	@echo "make bench-scale     compute 100 processes and 1,000,000 viewers of what was measured (a minute)"
	@echo "make bench-streams   measure what frames that remember the ones before save (five minutes)"
	@echo "make bench-gallery   measure the gallery's first frame, the pages' weight, and stops (two minutes)"
	@echo "make bench-pages     measure what a page takes of the processor (half a minute)"
	@echo "make clean    remove the virtual environment and what the site has written"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Livestep needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)

# It says what it installs, and how much of that is there. Python compiles what it imports, once;
# pip would compile all that there is, in 40 s.
INSTALL := $(RUN) -m pip install --disable-pip-version-check --no-compile
unexport PYTHONDONTWRITEBYTECODE

$(VENV)/installed: requirements.txt | $(VENV)/bin/python
	@echo "Installing what the site needs, once: requirements.txt"
	@$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/installed-gallery: requirements-gallery.txt $(VENV)/installed
	@echo "Installing what five more simulations of the gallery need, once: requirements-gallery.txt"
	@$(INSTALL) -r requirements-gallery.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed-gallery
	@echo "Installing what the tests need, once: requirements-dev.txt"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

$(VENV)/installed-lint: requirements-lint.txt $(VENV)/installed-dev
	@$(INSTALL) -r requirements-lint.txt
	@touch $@

$(VENV)/installed-bench: benchmarks/requirements.txt $(VENV)/installed-dev
	@$(INSTALL) -r benchmarks/requirements.txt
	@touch $@

run: $(VENV)/installed
	@STATIC_FILES=$${STATIC_FILES:-packaged} exec $(MANAGE) serve --migrate $(ARGS)

gallery: $(VENV)/installed-gallery

cluster: $(VENV)/installed-dev
	@exec $(RUN) -m development.cluster

test: $(VENV)/installed-dev
	@$(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

matrix: $(VENV)/bin/python
	@$(RUN) -m development.matrix $(MATRIX)

check: $(VENV)/installed-lint
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/djlint --lint --quiet templates streaming/templates
	$(VENV)/bin/djade --check --target-version 5.2 $$(git ls-files '*/templates/*.html' 'templates/*.html')
	$(MANAGE) makemigrations --check --dry-run
	$(MANAGE) check
	@$(MAKE) --no-print-directory test

format: $(VENV)/installed-lint
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .
	$(VENV)/bin/djade --target-version 5.2 $$(git ls-files '*/templates/*.html' 'templates/*.html')

MESSAGES := makemessages -l de --no-location --no-obsolete

messages: $(VENV)/installed-dev
	for folder in streaming gallery templates; do (cd $$folder && ../$(RUN) -m django $(MESSAGES)); done
	cd streaming && ../$(RUN) -m django $(MESSAGES) -d djangojs
	for catalog in $$(git ls-files '*.po'); do msgfmt --check -o $${catalog%.po}.mo $$catalog; done

bench: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.answers

bench-engines: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.engines

bench-delivery: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.delivery

bench-page: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.page

bench-cluster: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.cluster

bench-compute: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.compute

bench-hostile: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.hostile

bench-frame-cost: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.frame_cost

bench-costs: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.costs

bench-scale: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.scale

bench-streams: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.streams

bench-gallery: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.gallery

bench-pages: $(VENV)/installed-bench
	@$(RUN) -m benchmarks.pages

clean:
	rm -rf $(VENV) var
