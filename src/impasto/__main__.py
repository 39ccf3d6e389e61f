"""Run the command: `python -m impasto` is the same as `impasto`."""

from impasto.cli.main import main

main()
