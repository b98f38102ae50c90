"""How good a classifier's probabilities are, where accuracy says too little.

Of classes of unequal size accuracy is mostly that of the largest. Pure NumPy
functions of logits and labels; a few thousand images are looked at at a time,
so that little memory is needed beside the logits.

A binary classifier's positive class is the rarer one by convention: the defect,
the disease. Its threshold belongs to calibrated probabilities (Guo et al. 2017,
On calibration of modern neural networks: temperature scaling).

Symbols: `N` images, `K` classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fbnax.base import ranks

# Where a temperature is sought. A bound is what few images without an error
# lead to; what lies beyond it would be the certainty of a guess.
TEMPERATURES = (0.1, 10.0)
_HALVINGS = 50
_ROWS = 4096


def confusion(labels: np.ndarray, predicted: np.ndarray, k: int) -> np.ndarray:
  """Images by class, `i64[K, K]`: a row for each true class.

  Args:
    labels: `i32[N]`.
    predicted: `i64[N]`.
    k: `K`.
  """
  places = np.asarray(labels, np.int64) * k + predicted
  return np.bincount(places, minlength=k * k).reshape(k, k)


def balanced_accuracy(counts: np.ndarray) -> float:
  """The mean over the classes of the share of their images that are right.

  Args:
    counts: as `confusion` gives them; classes without images do not count.
  """
  of_class = counts.sum(1)
  shown = of_class > 0
  return float(np.mean(np.diag(counts)[shown] / of_class[shown]))


def f1(counts: np.ndarray, positive: int | None = None) -> float:
  """Harmonic mean of precision and recall.

  Args:
    counts: as `confusion` gives them.
    positive: of this class; None for the mean over all classes that an image
      has or is taken for (macro).
  """
  both = counts.sum(0) + counts.sum(1)
  each = 2.0 * np.diag(counts) / np.maximum(both, 1)
  return float(each[both > 0].mean() if positive is None else each[positive])


def area_under_curve(logits: np.ndarray, labels: np.ndarray) -> float | None:
  """Area under the ROC curve; of more than two classes the mean over these.

  That is the probability that of an image of a class and another one the first
  has the larger probability of the class (one against the rest).

  Args:
    logits: `f32[N, K]`.
    labels: `i32[N]`.

  Returns:
    None where no class is there beside another.
  """
  lse = np.concatenate([_log_sums(rows) for rows in _parts(logits)])
  if logits.shape[1] == 2:
    # The other class's area is the same; logits tell more than probabilities.
    difference = logits[:, 1].astype(np.float64) - logits[:, 0]
    return ranks.area_under_curve(difference, labels == 1)
  areas = [
    ranks.area_under_curve(logits[:, k] - lse, labels == k)
    for k in range(logits.shape[1])
  ]
  found = [a for a in areas if a is not None]
  return float(np.mean(found)) if found else None


def log_loss(
  logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0
) -> float:
  """Mean negative logarithm of the true class's probability, nats.

  Args:
    logits: `f32[N, K]`.
    labels: `i32[N]`.
    temperature: that the logits are divided by.
  """
  total = 0.0
  for rows, of_rows in zip(_parts(logits), _parts(labels), strict=True):
    scaled = rows / temperature
    right = np.take_along_axis(scaled, of_rows[:, None], 1)[:, 0]
    total += float((_log_sums(scaled) - right).sum())
  return total / len(labels)


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
  """The temperature by which the log-loss is least, within `TEMPERATURES`.

  Args:
    logits: `f32[N, K]`, of images that were not trained on.
    labels: `i32[N]`.
  """

  # The log-loss is convex in one over the temperature, b: its slope is the mean
  # over the images of the expected logit less that of the label.
  def slope(b: float) -> float:
    total = 0.0
    for rows, of_rows in zip(_parts(logits), _parts(labels), strict=True):
      shares = _shares(rows * b)
      right = np.take_along_axis(rows, of_rows[:, None], 1)[:, 0]
      total += float(((shares * rows).sum(1) - right).sum())
    return total

  low, high = (float(np.log(1.0 / t)) for t in reversed(TEMPERATURES))
  for _ in range(_HALVINGS):
    middle = (low + high) / 2
    if slope(float(np.exp(middle))) < 0:
      low = middle
    else:
      high = middle
  return float(np.exp(-(low + high) / 2))


def probability_of(
  logits: np.ndarray, k: int, temperature: float = 1.0
) -> np.ndarray:
  """The probability of class `k`, `f64[N]`.

  Args:
    logits: `f32[N, K]`.
    k: the class.
    temperature: that the logits are divided by.
  """
  return np.concatenate(
    [_shares(rows / temperature)[:, k] for rows in _parts(logits)]
  )


def best_threshold(shares: np.ndarray, positive: np.ndarray) -> float | None:
  """The threshold from which on "positive" has the largest F1.

  It lies half-way between two of the shares; of several that are as good it is
  the one nearest to a half.

  Args:
    shares: the positive class's probability, `f64[N]`, of images that were not
      trained on.
    positive: whether an image is of that class, `bool[N]`.

  Returns:
    None where all are of one class.
  """
  if positive.all() or not positive.any():
    return None
  order = np.argsort(-shares, kind="stable")
  descending = shares[order]
  # After each image: what F1 is if it and all above are called positive.
  right = np.cumsum(positive[order])
  called = np.arange(1, len(order) + 1)
  values = 2.0 * right / (called + positive.sum())
  # Images of one share are on one side together.
  cuts = np.append(descending[:-1] > descending[1:], True)
  below = np.append(descending[1:], 0.0)
  best = np.flatnonzero(cuts & (values == values[cuts].max()))
  thresholds = (descending[best] + below[best]) / 2
  return float(thresholds[np.argmin(np.abs(thresholds - 0.5))])


def rarer(labels: np.ndarray) -> int:
  """The positive class of two: that of fewer images; the second of equals."""
  counts = np.bincount(labels, minlength=2)
  return int(counts[1] <= counts[0])


def _parts(array: np.ndarray) -> Iterator[np.ndarray]:
  """Some thousand rows at a time; logits in float64."""
  for start in range(0, len(array), _ROWS):
    part = array[start : start + _ROWS]
    yield part.astype(np.float64) if part.ndim == 2 else part


def _log_sums(rows: np.ndarray) -> np.ndarray:
  """Logarithms of the sums of the exponentials of each row."""
  largest = rows.max(1)
  sums = np.exp(rows - largest[:, None]).sum(1)
  return np.asarray(largest + np.log(sums))


def _shares(rows: np.ndarray) -> np.ndarray:
  """The softmax of each row."""
  return np.asarray(np.exp(rows - _log_sums(rows)[:, None]))
