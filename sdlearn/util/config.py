"""Configs of models and schedulers, in the form in which diffusers has them."""

from __future__ import annotations

from typing import Any

__all__ = ["Config"]


class Config(dict[str, Any]):
    """Fields by name, which can also be read as attributes.

    >>> Config(latent_channels=4).latent_channels
    4
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the config has no field {name!r}") from None
