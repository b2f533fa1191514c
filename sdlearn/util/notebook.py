"""Whether a person is looking at the notebook, or a program runs it.

Widgets are for persons. A program that runs a notebook stores outputs, and of a widget it would
store a reference to something that is gone; so there a text or an image is shown instead.
"""

from __future__ import annotations

import os


def is_interactive() -> bool:
    """Whether a person can use the widgets that the running cell shows.

    The requests of JupyterLab, Notebook, VS Code and Colab say that a person can be asked for
    input (`allow_stdin` of the Jupyter messaging protocol), those of nbconvert and nbval that
    nobody can. Those of Voilà say the same, although its page is for persons; Voilà is known by
    its address in the environment. False outside of notebooks.
    """
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return False
    if "VOILA_BASE_URL" in os.environ:
        return True
    request = kernel.get_parent("shell") or {}
    return bool(request.get("content", {}).get("allow_stdin", True))


def is_saved() -> bool:
    """Whether what a cell shows may be saved with its notebook. A page of Voilà saves nothing."""
    return "VOILA_BASE_URL" not in os.environ
