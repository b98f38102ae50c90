"""Keys of the job export."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key


@dataclasses.dataclass(frozen=True)
class ExportConfig:
  """A trained network as files for other programs."""

  job: str = key("export", sections.JOB)
  model: str = key("", sections.MODEL)
  normalize: bool = key(
    True,
    "pixels, `u8`, come in and are normalised inside; else normalised `f32`",
  )
  onnx: bool = key(False, "writes `model.onnx` too; needs the extra `onnx`")
  platforms: tuple[str, ...] = key(
    ("cpu", "cuda", "tpu"), "that the StableHLO program runs on"
  )
  licence: str = key(
    "", "of the data, for the model card; none for what the source said"
  )
  budget_ms: float = key(
    0.0, "shown beside the measured latency; 0 for none", "ms", least=0
  )
  repeats: int = key(100, "measurements of the latency", least=1)
