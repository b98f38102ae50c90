"""Keys of the job export."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section


@dataclasses.dataclass(frozen=True)
class ExportConfig:
  """A trained network as files for other programs."""

  job: str = key("export", sections.JOB)
  seed: int = key(0, "of the choice of calibration images")
  model: str = key("", sections.MODEL)
  normalize: bool = key(
    True,
    "pixels, `u8`, come in and are normalised inside; else normalised `f32`",
  )
  onnx: bool = key(
    False,
    "writes `model.onnx` too, and with `int8` `model_int8.onnx`; needs the"
    " extra `onnx`",
  )
  tflite: bool = key(
    False,
    "writes `model.tflite`, float32, for normalised images; needs the extra"
    " `tflite`",
  )
  int8: bool = key(
    False,
    "writes `model_int8.tflite`, of pixels, and C++ sources that hold and run"
    " it, calibrated and judged on `data`; needs the extra `tflite`, and the"
    " extra `tflm` for what a microcontroller gives",
  )
  calibration_images: int = key(
    128, "training images by which int8 scales are chosen", "images", least=1
  )
  max_drop: float = key(
    0.01,
    "of test accuracy that int8 may cost; where it costs more, that is said,"
    " and the file is written all the same",
    "share",
    least=0,
  )
  data: sections.DataKeys = section(sections.DataKeys)
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
