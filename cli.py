"""So that `python cli.py extract` works from a checkout without installing lymphofeat."""

from lymphofeat.cli import main

main()
