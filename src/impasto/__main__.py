"""`python -m impasto` is the command `impasto`."""

from impasto.app.cli import main

main()
