# make book   build the site            make lab    open the chapters for live coding
# make test   check everything          make store  run the notebooks and store their outputs
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SITE := _build/html/index.html

# The environment is keyed on what goes into it: the two files and the Python version.
# (The base interpreter: an activated .venv must not be asked to replace itself.)
BASE := $(shell $(PYTHON) -c 'import sys; print(sys._base_executable)')
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
KEY := $(shell cat requirements.txt pyproject.toml | cksum | cut -d' ' -f1)
READY := $(VENV)/ready-$(VERSION)-$(KEY)

# The notebooks run on this environment's Python, whatever kernels and settings the user has.
export JUPYTER_PREFER_ENV_PATH := 1
export JUPYTER_PATH := $(CURDIR)/$(VENV)/share/jupyter
export IPYTHONDIR := $(CURDIR)/$(VENV)/ipython
export PYTHONNOUSERSITE := 1
unexport MPLBACKEND

.PHONY: book test lab store clean

book: $(READY)
	rm -rf _build
	$(BIN)/jupyter-book build . -W --keep-going -n --quiet
	@echo "The book is built. Open $(CURDIR)/$(SITE)"

test: book
	$(BIN)/python -m pytest tests -n 2
	$(BIN)/python -m pytest --doctest-modules glmmlib
	$(BIN)/python -m book.store --check chapters/*.ipynb
	$(BIN)/python -m pytest -p book.notebook_times --nbval --nbval-current-env \
	    --nbval-sanitize-with tests/nbval_sanitize.cfg chapters -n 2 --dist loadfile

lab: $(READY)
	$(BIN)/jupyter lab chapters

store: $(READY)
	$(BIN)/python -m book.store chapters/*.ipynb

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	    || { echo "Python $(VERSION) found; the course needs 3.11, 3.12 or 3.13: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -e $(VENV)/python-$(VERSION) \
	    || { echo "Making the environment in $(VENV) (Python $(VERSION))"; $(BASE) -m venv --clear $(VENV); }
	@touch $(VENV)/python-$(VERSION)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@# the kernel warns on each start that its channel to this same machine is not encrypted
	@mkdir -p $(VENV)/etc/ipython && echo 'c.IPKernelApp.log_level = 40' > $(VENV)/etc/ipython/ipython_kernel_config.py
	@rm -f $(VENV)/ready-*
	@touch $@

clean:
	rm -rf _build $(VENV)
