"""An int8 file as C++ source for a microcontroller, and what runs it there.

The program registers the operators of the file alone, and says in which bytes
an image and its classes come.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from fbnax.jobs.export import tflite_files

_IN_LINE = 12
_UNKNOWN_ARENA = 1 << 20

HEADER = """\
// {classes} classes: {names}
#ifndef MODEL_INT8_H_
#define MODEL_INT8_H_

extern const unsigned char kModel[];
extern const unsigned int kModelBytes;
// {measured}
constexpr unsigned int kArenaBytes = {arena};

#endif
"""
EXAMPLE = """\
// Runs model_int8.tflite by TensorFlow Lite for Microcontrollers.
#include "model_int8.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {{
alignas(16) unsigned char arena[kArenaBytes];
}}

// `pixels` are {height} x {width} x {channels}, row by row, from 0 to 255.
// Returns the likeliest class, or -1 where the model cannot be run.
int Classify(const unsigned char* pixels) {{
  static tflite::MicroMutableOpResolver<{count}> operators;
  static bool is_new = true;
  if (is_new) {{
{registered}
    is_new = false;
  }}
  static tflite::MicroInterpreter interpreter(
      tflite::GetModel(kModel), operators, arena, kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) return -1;
  signed char* image = interpreter.input(0)->data.int8;
  for (int i = 0; i < {size}; ++i) image[i] = pixels[i] - 128;
  if (interpreter.Invoke() != kTfLiteOk) return -1;
  const signed char* scores = interpreter.output(0)->data.int8;
  int best = 0;
  for (int i = 1; i < {classes}; ++i)
    if (scores[i] > scores[best]) best = i;
  return best;
}}
"""


def sources(
  content: bytes,
  shape: tuple[int, int, int],
  class_names: Sequence[str],
  arena: int | None,
) -> dict[str, str]:
  """Names and texts of the source files.

  Args:
    content: an int8 file.
    shape: of its images, `(H, W, C)`.
    class_names: in the order of its outputs.
    arena: bytes that the interpreter needs; None where they were not measured.
  """
  rows = (
    "  " + "".join(f"0x{byte:02x}, " for byte in content[i : i + _IN_LINE])
    for i in range(0, len(content), _IN_LINE)
  )
  array = "\n".join(row.rstrip() for row in rows)
  operators = tflite_files.operators(content)
  height, width, channels = shape
  return {
    "model_int8.h": HEADER.format(
      classes=len(class_names),
      names=", ".join(map(_comment, class_names[:20])),
      arena=_UNKNOWN_ARENA if arena is None else arena,
      measured=(
        "Not measured: AllocateTensors tells how many bytes are missing."
        if arena is None
        else "As measured with 64 bits and reference kernels."
      ),
    ),
    "model_int8.cc": (
      '#include "model_int8.h"\n\nalignas(16) const unsigned char kModel[] ='
      f" {{\n{array}\n}};\nconst unsigned int kModelBytes = {len(content)};\n"
    ),
    "example.cc": EXAMPLE.format(
      height=height,
      width=width,
      channels=channels,
      size=height * width * channels,
      classes=len(class_names),
      count=len(operators),
      registered="\n".join(
        f"    operators.Add{_camel(name)}();" for name in operators
      ),
    ),
  }


@functools.cache
def _camel(operator: str) -> str:
  """An operator's name in the resolver: CONV_2D is Conv2D."""
  return "".join(
    part if part[0].isdigit() else part.capitalize()
    for part in operator.split("_")
  ).replace("2d", "2D")


def _comment(name: str) -> str:
  """A class name that ends no comment."""
  return "".join(c if c.isprintable() and c != "\\" else "?" for c in name)
