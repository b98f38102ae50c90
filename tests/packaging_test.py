"""What an installed package holds."""

from pathlib import Path

import pytest

setuptools = pytest.importorskip("setuptools", reason="needs: setuptools")
ROOT = Path(__file__).parents[1]


def test_the_configs_are_built_in(tmp_path, monkeypatch):
  from fbnax.packaging import BuildWithConfigs

  monkeypatch.chdir(ROOT)
  build = BuildWithConfigs(
    setuptools.Distribution(
      {"packages": ["fbnax"], "package_dir": {"": "."}, "script_name": "x"}
    )
  )
  build.build_lib = str(tmp_path)
  build.ensure_finalized()
  assert "configs/nars.py" in build.get_source_files()
  build.run()
  configs = {path.name for path in (ROOT / "configs").glob("*.py")}
  inside = tmp_path / "fbnax" / "configs"
  assert {path.name for path in inside.iterdir()} == configs | {"__init__.py"}
  assert (inside / "nars.py").read_text() == Path("configs/nars.py").read_text()
