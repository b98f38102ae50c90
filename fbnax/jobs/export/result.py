"""What the job `export` leaves: `result.json`, version 1."""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import JobResult, left_out


@dataclasses.dataclass(frozen=True)
class ExportedProgram:
  """A program of the network.

  Attributes:
    file: its name in the work directory.
    bytes: its size.
    difference: largest, of its logits from the network's.
    largest_logit: of the network, on the images that were compared.
  """

  file: str = ""
  bytes: int = 0
  difference: float | None = None
  largest_logit: float | None = None


@dataclasses.dataclass(frozen=True)
class ExportLatency:
  """What the StableHLO program takes, ms, beside the budget of the config."""

  device: str = ""
  ms: float | None = None
  spread: float | None = None
  batch_size: int = 1
  budget_ms: float | None = None


@dataclasses.dataclass(frozen=True)
class DeviceChecks:
  """What the int8 file can, beside the network.

  Attributes:
    images: test images that both were judged by.
    float_accuracy: of the network.
    int8_accuracy: of the file, in LiteRT.
    same_class: share of the images of which both say the same.
    onnx_accuracy: of the int8 ONNX file, in onnxruntime; None without one.
    micro_step: largest difference of its logits between LiteRT and the
      microcontroller's interpreter under the same kernels, steps of int8; None
      where that is not installed.
    arena: memory that interpreter has taken, bytes; likewise.
    loading_arena: the smallest that it loads in, bytes; likewise.
    tensor_types: of all tensors of the file.
  """

  images: int = 0
  float_accuracy: float | None = None
  int8_accuracy: float | None = None
  same_class: float | None = None
  onnx_accuracy: float | None = left_out()
  micro_step: int | None = None
  arena: int | None = None
  loading_arena: int | None = None
  tensor_types: tuple[str, ...] = ()

  @property
  def drop(self) -> float:
    """The share of test accuracy that int8 costs; less than 0 for a gain."""
    return (self.float_accuracy or 0.0) - (self.int8_accuracy or 0.0)


@dataclasses.dataclass(frozen=True)
class ExportResult(JobResult):
  """The programs by kind, and how long one runs."""

  programs: dict[str, ExportedProgram] = dataclasses.field(default_factory=dict)
  latency: ExportLatency = dataclasses.field(default_factory=ExportLatency)
  device: DeviceChecks | None = left_out()
