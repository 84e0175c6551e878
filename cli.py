"""So that `python cli.py extract` works from a checkout without installing lymphofeat."""

from lymphofeat.cli import main

if __name__ == "__main__":  # worker processes import this file as well
    main()
