# make book   compute the embedded study, execute the chapters, build the site: book/_build/html/index.html
# make test   lint and tests
# Both first make .venv with the pinned dependencies. PYTHON=... names another interpreter, PROFILE=... another study.

PYTHON ?= python3
PROFILE ?= embedded
BIN := .venv/bin
READY := .venv/ready

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: book test site-test lint clean

book: $(READY)
	$(BIN)/tepones book --profile $(PROFILE)

# A file's tests run in one process: they share what is computed once for them.
test: $(READY) lint
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Needs Chromium and a site: make book first.
site-test: $(READY)
	$(BIN)/python -m pytest -m browser tests/companion/test_browser.py

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tepones needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[book,test]'
	touch $@

clean:
	rm -rf .venv build book/_build
