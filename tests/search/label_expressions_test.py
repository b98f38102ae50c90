import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fbnax.search.autobuild.label_expressions import evaluate, names_of, parse

COLUMNS = {
  "acc": np.asarray([0.7, 0.8, 0.75]),
  "latency_gpu": np.asarray([5.0, 10.0, 0.5]),
}


@pytest.mark.parametrize(
  "text, wanted",
  [
    (
      "acc * 100 / latency_gpu",
      COLUMNS["acc"] * 100 / COLUMNS["latency_gpu"],
    ),
    (
      "100 ** acc / (log10(latency_gpu + 1) + 1)",
      100 ** COLUMNS["acc"] / (np.log10(COLUMNS["latency_gpu"] + 1) + 1),
    ),
    ("-acc ** 2", -(COLUMNS["acc"] ** 2)),
    ("2 ** 3 ** 2 - 512", np.zeros(3)),
    ("max(acc, 0.75) - min(acc, 0.75)", np.abs(COLUMNS["acc"] - 0.75)),
    (" 1.5e0 ", np.full(3, 1.5)),
  ],
)
def test_values(text, wanted):
  np.testing.assert_allclose(evaluate(text, COLUMNS), wanted, atol=1e-12)


def test_names():
  assert names_of("log(acc) + 2 * latency_gpu") == {"acc", "latency_gpu"}


@pytest.mark.parametrize(
  "text, words",
  [
    (
      "acc / latency_cpu",
      "character 7: 'latency_cpu' is no column.*latency_gpu",
    ),
    ("__import__('os').system('true')", "calls"),
    ("open('x')", "calls 'open'"),
    ("acc.__class__", "Attribute"),
    ("acc[0]", "Subscript"),
    ("[acc for acc in acc]", "ListComp"),
    ("lambda: acc", "Lambda"),
    ("'acc' * 3", "'acc' is no number"),
    ("True + acc", "True is no number"),
    ("log", "function 'log' is not called"),
    ("log(acc, 2)", "log takes 1"),
    ("max(acc)", "max takes 2"),
    ("acc if acc else acc", "IfExp"),
    ("acc > 1", "Compare"),
    ("acc; acc", "cannot be read"),
    ("acc +", "cannot be read"),
    ("", "cannot be read"),
    ("(acc := 3)", "NamedExpr"),
    ("log(acc - 1)", "nan in row 0.*'acc': 0.7"),
    ("acc / (latency_gpu - 10)", "inf in row 1"),
    ("9 ** 9 ** 9", "inf in row 0"),
    ("+".join(["acc"] * 400), "characters"),
    ("1j * acc", "1j is no number"),
  ],
)
def test_what_is_no_expression(text, words):
  with pytest.raises(ValueError, match=words):
    evaluate(text, COLUMNS)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ac1+-*/()._[]'\" lognx,=:;{}@!\\\n", max_size=30))
def test_any_text_is_read_or_refused(text):
  with contextlib.suppress(ValueError):
    parse(text)
