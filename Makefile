# Each target only calls scripts/dev.py, which works without make: `python3 scripts/dev.py demo`.
PYTHON ?= python3

.PHONY: demo test lint docs clean

demo:
	@$(PYTHON) scripts/dev.py demo

test:
	@$(PYTHON) scripts/dev.py test

lint:
	@$(PYTHON) scripts/dev.py lint

docs:
	@$(PYTHON) scripts/dev.py docs

clean:
	@$(PYTHON) scripts/dev.py clean
