"""Who is looking at a notebook: a person who can click, or a program that only runs it?

Widgets are for persons. A program keeps what a cell shows, and of a widget it would keep a
reference to something that is gone; so there a text or a picture is shown instead.
"""

from __future__ import annotations

__all__ = ["someone_is_there"]


def someone_is_there() -> bool:
    """Whether the running cell was sent by a front end that could ask a person for input.

    JupyterLab, Notebook, VS Code and Colab say in their requests that they could (`allow_stdin`
    of the Jupyter messaging protocol), nbconvert and nbval that they could not. False outside of
    notebooks.
    """
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return False
    request = kernel.get_parent("shell") or {}
    return bool(request.get("content", {}).get("allow_stdin", True))
