"""Hides the packages that ENCODER_PARITY_HIDDEN names, here and in worker processes: a plugin.

A name is that of a distribution and of its module.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import os
from typing import Any

HIDDEN = frozenset(filter(None, os.environ.get("ENCODER_PARITY_HIDDEN", "").split(",")))
_found, _named = importlib.machinery.PathFinder.find_spec, importlib.metadata.Distribution.from_name


def _find_spec(name: str, *rest: Any, **named: Any) -> Any:
    return None if name.partition(".")[0] in HIDDEN else _found(name, *rest, **named)


def _from_name(name: str) -> importlib.metadata.Distribution:
    if name in HIDDEN:
        raise importlib.metadata.PackageNotFoundError(name)
    return _named(name)


# Some packages call find_spec of an instance.
importlib.machinery.PathFinder.find_spec = staticmethod(_find_spec)  # type: ignore[method-assign,assignment]
importlib.metadata.Distribution.from_name = staticmethod(_from_name)  # type: ignore[method-assign]
