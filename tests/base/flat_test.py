from fbnax.base.flat import flat


def test_leaves_in_their_order():
  tree = {"b": {"x": 1, "a": {"y": (2,), "none": {}}}, "a": None}
  assert list(flat(tree).items()) == [
    ("b.x", 1),
    ("b.a.y", (2,)),
    ("b.a.none", {}),
    ("a", None),
  ]
  assert flat({}) == {}
