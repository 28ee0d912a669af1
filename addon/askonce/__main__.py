"""`python -m askonce` is `askonce`."""

from askonce.cli import main

main()
