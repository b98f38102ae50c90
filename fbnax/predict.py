"""What a finished model sees: `python -m fbnax.predict MODEL IMAGE...`.

Prints the likeliest classes of each image with their probabilities (calibrated,
and with a decision, where the model's card has a temperature and a threshold)
and, where it has a hierarchy (`hierarchy.json`), the decisions on the path;
`--html=FILE` writes them beside the pictures. MODEL is a directory such as
`runs/digits/members/small-800k`, or a `model_int8.tflite` of the job export
(extra `tflite`). Images may be of any kind: EXIF, CMYK, 16 bits
and transparency are converted, and that is said. Wrong input is told in a line
(exit code 2).
"""

import sys

from fbnax.training import stopping


def main(argv: list[str]) -> int:
  """Predicts as the command line asks for; returns the exit code."""
  return stopping.run(lambda: _run(argv), "stopped")


def _run(argv: list[str]) -> int:
  import argparse

  parser = argparse.ArgumentParser(
    prog="python -m fbnax.predict",
    description="classes of images by a finished model",
  )
  parser.add_argument(
    "model", help="a model's directory, or an int8 file of it"
  )
  parser.add_argument("images", nargs="+", metavar="image")
  parser.add_argument("--top", type=int, default=5, help="classes to show")
  parser.add_argument("--html", metavar="FILE", help="write a page, too")
  given = parser.parse_args(argv[1:])
  from fbnax.base import files  # After the help: these are slow to import.
  from fbnax.jobs.runtime import predicting
  from fbnax.jobs.runtime.messages import explain

  stopping.answer()
  try:
    predict = predicting.predict
    if given.model.endswith(".tflite"):
      from fbnax.jobs.export.predicting_files import predict
    found = predict(given.model, given.images, given.top)
    for prediction in found:
      print(predicting.text(prediction))
    if given.html:
      files.write_atomically(given.html, predicting.page(found))
      print(f"page: {given.html}")
  except Exception as error:
    message = explain(error)
    if message is None:
      raise
    print(f"error: {message}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  stopping.leave(main(sys.argv))
