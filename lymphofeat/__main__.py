"""`python -m lymphofeat`."""

from .cli import main

main()
