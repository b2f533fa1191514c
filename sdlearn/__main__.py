"""`python -m sdlearn` is the same as `sdlearn`; `accelerate launch -m sdlearn` needs it."""

from .cli import entry

if __name__ == "__main__":
    entry()
