# demo: from a fresh machine to a report.   test: from a fresh machine to a green suite.   whole: the long tests beside it.
# docs: the site, in site/.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TYPED  := $(addprefix tests/,functional objectives information evaluate diagnose) # run with types and shapes checked
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
TESTS  := $(ONE_THREAD) PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --quiet # what one process compiled, the others read

.PHONY: demo test typed untyped whole setup docs bench clean

setup: $(VENV)/.installed

$(VENV)/.alone: pyproject.toml constraints.txt # tuplet without extras
	$(PYTHON) -m venv $(VENV)
	@echo "Installing tuplet and its pinned dependencies (a few minutes, PyTorch is the bulk) ..."
	$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed: $(VENV)/.alone
	$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/.alone
	$(BIN)/tuplet demo

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) --jobs 2 typed untyped

typed: setup # one process: to check types, it compiles every function anew
	$(TESTS) -m "not (slow or whole)" --jaxtyping-packages=tuplet,beartype.beartype $(TYPED)

untyped: setup
	$(TESTS) --numprocesses 2 --dist worksteal -m "not whole" --done "$(TYPED)"

whole: setup # studies, killed commands, clusters and compilers as a whole: what make test leaves out
	$(TESTS) --numprocesses 2 --dist worksteal -m whole

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs
	$(ONE_THREAD) $(BIN)/python docs/figures.py --missing
	$(ONE_THREAD) $(BIN)/python docs/gallery.py --missing
	$(ONE_THREAD) $(BIN)/python docs/align.py --missing
	$(ONE_THREAD) $(BIN)/python docs/five.py --missing
	test -f docs/pictures/report.html || $(ONE_THREAD) $(BIN)/python benchmarks/generation.py --out docs/pictures
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict --quiet

bench: setup
	$(BIN)/python benchmarks/objectives.py

clean:
	rm -rf $(VENV) runs site
