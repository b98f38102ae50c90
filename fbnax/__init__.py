"""fbnax: efficient convolutional networks, designed and trained in JAX.

`fbnax.design` makes a family of networks from images and budgets; `open_run`
opens what a run left (`fbnax.family`).
"""

from typing import Any

__version__ = "0.1.0"
_TASK = {
  "Family": "Family",
  "Member": "RunMember",
  "design": "design",
  "open_run": "open_run",
}


def __getattr__(name: str) -> Any:
  # Imported when asked for: a command's help needs none of it.
  if name in _TASK:
    from fbnax import family

    return getattr(family, _TASK[name])
  raise AttributeError(f"module 'fbnax' has no attribute {name!r}")


def __dir__() -> list[str]:
  return sorted([*globals(), *_TASK])
