"""Who is looking at a notebook: a person who can click, or a program that only runs it?

Widgets are for persons. A program keeps what a cell shows, and of a widget it would keep a
reference to something that is gone; so there a text or a picture is shown instead.
"""

from __future__ import annotations

import os

__all__ = ["is_interactive"]


def is_interactive() -> bool:
    """Whether a person can use the widgets that the running cell shows.

    JupyterLab, Notebook, VS Code and Colab say in their requests that they could ask a person for
    input (`allow_stdin` of the Jupyter messaging protocol), nbconvert and nbval that they could
    not. So does Voilà, whose page is for persons all the same; it leaves its address in the
    environment. False outside of notebooks.
    """
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return False
    if "VOILA_BASE_URL" in os.environ:
        return True
    request = kernel.get_parent("shell") or {}
    return bool(request.get("content", {}).get("allow_stdin", True))
