"""How the package is built: with the configs, which a checkout has beside it.

setuptools runs this, by `pyproject.toml`; nothing else does.
"""

import pathlib
import shutil

from setuptools.command.build_py import build_py

_CONFIGS = "configs"


class BuildWithConfigs(build_py):
  """Puts `configs/` into the package, as `fbnax/configs/`."""

  def run(self) -> None:
    """As without it, and the configs; not where files stay in the checkout."""
    super().run()
    if getattr(self, "editable_mode", False):
      return
    target = pathlib.Path(self.build_lib) / "fbnax" / _CONFIGS
    target.mkdir(parents=True, exist_ok=True)
    (target / "__init__.py").write_text('"""Configs of the jobs."""\n')
    for file in _files():
      shutil.copyfile(file, target / pathlib.Path(file).name)

  def get_source_files(self) -> list[str]:
    """What a source archive holds, from which wheels are built, too."""
    return [*super().get_source_files(), *_files()]


def _files() -> list[str]:
  return sorted(str(file) for file in pathlib.Path(_CONFIGS).glob("*.py"))
