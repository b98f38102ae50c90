import json

import numpy as np
import pytest

from fbnax.jobs.messages import explain


def _raised(function):
  with pytest.raises(Exception) as caught:
    function()
  return caught.value


def test_files_that_the_system_refuses_are_told(tmp_path):
  (tmp_path / "file").touch()
  for path, words in (
    (tmp_path / "absent", "No such file or directory"),
    (tmp_path / "file" / "below", "Not a directory"),
    (tmp_path / ("a" * 300), "File name too long"),
  ):
    assert explain(_raised(path.read_text)) == f"{path}: {words}"


def test_what_libraries_raise_of_their_own_accord_is_not():
  for function in (
    lambda: np.zeros(3).reshape(2, 2),
    lambda: {}["a"],
    lambda: json.loads("{"),
  ):
    assert explain(_raised(function)) is None
