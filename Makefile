# make book   compute the embedded study, execute the chapters, build the site: book/_build/html/index.html
# make test   lint and tests
# Both first make .venv with the pinned dependencies. PYTHON=... names another interpreter, PROFILE=... another study.
# TORCH_INDEX=https://download.pytorch.org/whl/cpu takes the CPU build of torch where pip would choose that for CUDA.

PYTHON ?= python3
PROFILE ?= embedded
CONSTRAINTS ?= constraints.txt
INSTALL = $(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) $(TORCH_INDEX:%=--extra-index-url %)
BIN := .venv/bin
READY := .venv/ready

export PIP_DISABLE_PIP_VERSION_CHECK := 1

CHROMIUM = chromium

.PHONY: book test common-test fuzz lint site pdf site-test wheel-test whole-test clean

book: $(READY)
	$(BIN)/tepones book --profile $(PROFILE)

# The site of the committed chapters: nothing is computed.
site: $(READY)
	@test -L book/_config.yml -a -L book/_toc.yml || { echo "book/_config.yml and book/_toc.yml must be symbolic \
	links: git config core.symlinks true, then git checkout book/_config.yml book/_toc.yml" >&2; exit 2; }
	rm -f build/site.stamp
	$(BIN)/jupyter-book build book/ -W -n --keep-going

# The whole book as one file; needs Chromium. make site or make book, after it, puts it into the site.
pdf: $(READY)
	$(BIN)/jupyter-book build book/ --builder singlehtml -W -n --keep-going
	mkdir -p book/_build/pdf
	$(CHROMIUM) --headless --no-sandbox --disable-gpu --no-pdf-header-footer --disable-pdf-tagging --virtual-time-budget=60000 \
	--host-resolver-rules='MAP * ~NOTFOUND' --print-to-pdf=book/_build/pdf/tepones.pdf \
	"file://$(CURDIR)/book/_build/singlehtml/index.html"

# A file's tests run in one process: they share what is computed once for them.
PYTEST = $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

test: $(READY) lint
	$(PYTEST)

# What trains, with the instructions that every x86-64 processor of the last ten years has: libraries take other paths.
common-test: $(READY)
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(PYTEST) tests/pruning tests/backbones \
	tests/companion/study/test_cells.py tests/companion/study/test_zero_shot.py

# What is committed, made again: every chapter, and a record drawn at random; and a whole live book.
whole-test: $(READY)
	$(PYTEST) -m whole tests/companion/test_book.py tests/companion/claims/test_reproduction.py

# 10,000 damaged files, of which the tests read a sample; the counts are printed.
fuzz: $(READY)
	TEPONES_FUZZ=10000 $(BIN)/python -m pytest -s tests/ranking/test_fuzz.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Needs Chromium and a site: make book or make site first. The explorer is driven in JupyterLab.
site-test: $(READY)
	$(BIN)/python -m pytest -m browser tests/companion/test_browser.py tests/companion/test_explorer.py \
	tests/ranking/test_chart.py

# Every chapter in an empty folder, with nothing but the wheel.
wheel-test: $(READY)
	$(BIN)/python -m pytest -m wheel tests/test_wheel.py

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tepones needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(INSTALL) torch
	$(INSTALL) --editable '.[book,test]'
	touch $@

clean:
	rm -rf .venv build book/_build
