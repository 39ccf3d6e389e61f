"""`python -m impasto` is the command `impasto`."""

from impasto.cli.main import main

main()
