"""Policies against Pillow, against chance, and one form against the other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from fbnax.training import policies, policy_tables
from fbnax.training.policy_tables import Operation, Policy

NAMES = ("autoaugment_imagenet", "autoaugment_cifar10", "randaugment")
B, SIDE = 24, 32


def _affine(*matrix):
  return lambda image: image.transform(
    image.size, Image.Transform.AFFINE, matrix, fillcolor=_fill(image)
  )


def _fill(image):
  return (128,) * len(image.getbands()) if image.mode == "RGB" else 128


PILLOW = {
  "identity": lambda s: lambda i: i,
  "autocontrast": lambda s: ImageOps.autocontrast,
  "equalize": lambda s: ImageOps.equalize,
  "invert": lambda s: ImageOps.invert,
  "posterize": lambda s: lambda i: ImageOps.posterize(i, round(s)),
  "solarize": lambda s: lambda i: ImageOps.solarize(i, s),
  "color": lambda s: lambda i: ImageEnhance.Color(i).enhance(s),
  "contrast": lambda s: lambda i: ImageEnhance.Contrast(i).enhance(s),
  "brightness": lambda s: lambda i: ImageEnhance.Brightness(i).enhance(s),
  "sharpness": lambda s: lambda i: ImageEnhance.Sharpness(i).enhance(s),
  "rotate": lambda s: lambda i: i.rotate(s, fillcolor=_fill(i)),
  "shear_x": lambda s: _affine(1, s, 0, 0, 1, 0),
  "shear_y": lambda s: _affine(1, 0, 0, s, 1, 0),
  "translate_x": lambda s: _affine(1, 0, s * SIDE, 0, 1, 0),
  "translate_y": lambda s: _affine(1, 0, 0, 0, 1, s * SIDE),
}


@functools.cache
def _images(channels=3):
  """Parts of a photograph, all different."""
  china = load_sample_images().images[0]
  rng = np.random.default_rng(0)
  corners = rng.integers(0, (300, 500), (B, 2))
  parts = [china[y : y + SIDE, x : x + SIDE, :channels] for y, x in corners]
  return np.stack(parts)


@functools.cache
def _applied(name, side_by_side, seed=0, channels=3):
  policy = policies.get(name, 2, 9.0)
  program = jax.jit(
    lambda key, images: policies.apply(
      key, images, policy, side_by_side=side_by_side
    )
  )
  found = program(jax.random.key(seed), jnp.asarray(_images(channels)))
  assert found.shape == (B, SIDE, SIDE, channels)
  assert found.dtype == jnp.uint8
  return np.asarray(found)


def _outcomes(image, policy):
  """The bytes of all that a policy may make of an image, by Pillow."""
  gray = image.shape[-1] == 1
  reached = [Image.fromarray(image[..., 0] if gray else image)]
  for _ in range(policy.draws):
    after = []
    for sub_policy in policy.sub_policies:
      now = {i.tobytes(): i for i in reached}
      for name, probability, strengths in sub_policy:
        made = [] if probability == 1 else list(now.values())
        if probability > 0:
          for strength in set(strengths):
            made += [PILLOW[name](strength)(i) for i in now.values()]
        now = {i.tobytes(): i for i in made}
      after += now.values()
    reached = after
  return {i.tobytes() for i in reached}


@pytest.mark.parametrize(
  ("name", "channels"), [*((name, 3) for name in NAMES), ("randaugment", 1)]
)
def test_each_image_is_what_pillow_may_make_of_it(name, channels):
  found = _applied(name, False, channels=channels)
  policy = policies.get(name, 2, 9.0)
  changed = 0
  for before, after in zip(_images(channels), found, strict=True):
    assert after.tobytes() in _outcomes(before, policy)
    changed += before.tobytes() != after.tobytes()
  # Most images are changed by any of them.
  assert changed > B / 2


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_give_the_same_bits(name):
  np.testing.assert_array_equal(_applied(name, False), _applied(name, True))


def test_the_form_follows_from_the_backend(monkeypatch):
  seen = []
  lax_map = jax.lax.map
  monkeypatch.setattr(
    policies.jax.lax, "map", lambda *a: seen.append(1) or lax_map(*a)
  )
  policy = Policy(((Operation("invert"),),))
  images = jnp.zeros((2, 3, 3, 1), jnp.uint8)
  for backend, calls in (("cpu", 1), ("gpu", 1), ("tpu", 1), ("cpu", 2)):
    monkeypatch.setattr(policies.jax, "default_backend", lambda b=backend: b)
    jax.eval_shape(lambda k, i: policies.apply(k, i, policy), KEY, images)
    assert len(seen) == calls


KEY = jax.random.key(7)


def test_another_key_makes_something_else_of_most_images():
  same = _applied("randaugment", False) == _applied("randaugment", False, 1)
  assert same.all((1, 2, 3)).sum() < B / 4


def _histogram(policy, count=6000):
  """How often one gray pixel of 100 becomes which value."""
  images = jnp.full((count, 1, 1, 1), 100, jnp.uint8)
  found = jax.jit(lambda k, i: policies.apply(k, i, policy))(KEY, images)
  values, counts = np.unique(np.asarray(found), return_counts=True)
  return dict(zip(values.tolist(), (counts / count).tolist(), strict=True))


def test_sub_policies_probabilities_and_strengths_are_drawn_as_they_say():
  """Five standard deviations of 6,000 tosses are at most 0.033."""
  found = _histogram(
    Policy(
      (
        # Identity or doubled or halved: 1/4, 3/8, 3/8.
        (Operation("brightness", 0.75, (2.0, 0.5)),),
        # 100 -> 155 -> 77: the second is always done, the first in 0.2.
        (Operation("invert", 0.2), Operation("brightness", 1.0, (0.5, 0.5))),
        # Never; and 100 -> 130.
        (Operation("invert", 0.0), Operation("solarize_add", 1.0, (30, 30))),
      )
    )
  )
  expected = {100: 1 / 12, 200: 1 / 8, 50: 1 / 8 + 0.8 / 3, 77: 0.2 / 3}
  expected |= {130: 1 / 3}
  assert found.keys() == expected.keys()
  for value, share in expected.items():
    assert abs(found[value] - share) < 0.033, value


def test_draws_follow_each_other_and_are_independent():
  choices = ((Operation("invert"),), (Operation("brightness", 1, (0.5, 0.5)),))
  found = _histogram(Policy(choices, draws=2))
  # Twice inverted; inverted, halved; halved, inverted; twice halved.
  assert found.keys() == {100, 77, 205, 25}
  assert max(abs(share - 1 / 4) for share in found.values()) < 0.033


def test_autoaugment_is_as_published():
  """Cubuk et al. 2019: tables 7 and 9 have 25 sub-policies of two."""
  tables = policy_tables.AUTOAUGMENT_IMAGENET, policy_tables.AUTOAUGMENT_CIFAR10
  for policy in tables:
    assert len(policy.sub_policies) == 25 and policy.draws == 1
    assert {len(s) for s in policy.sub_policies} == {2}
  imagenet, cifar = (p.sub_policies for p in tables)
  # Posterize 0.4 at 8 of 9, rotate 0.6 at 9 of 9.
  assert imagenet[0] == (
    Operation("posterize", 0.4, (4, 4)),
    Operation("rotate", 0.6, (30.0, -30.0)),
  )
  assert imagenet[24] == (
    Operation("equalize", 0.8),
    Operation("equalize", 0.6),
  )
  assert [o.name for o in imagenet[18]] == ["shear_x", "equalize"]
  assert imagenet[18][0].strengths[0] == pytest.approx(0.3 * 5 / 9)
  assert imagenet[19][0] == Operation("color", 0.4, (0.1, 0.1))
  assert imagenet[14][1].strengths[0] == pytest.approx(1.7)
  assert imagenet[8][1].strengths[0] == pytest.approx(256 / 9)
  assert cifar[0][0] == Operation("invert", 0.1)
  assert cifar[21][0].name == cifar[21][1].name == "translate_y"
  # 150 pixels of 331.
  assert cifar[21][1].strengths[0] * 331 == pytest.approx(150)
  assert cifar[7][1].strengths == pytest.approx((1.9, 1.9))


def test_randaugment_has_the_papers_14_operations():
  for draws, magnitude in ((1, 0.0), (2, 9.0), (3, 10.0)):
    policy = policies.get("randaugment", draws, magnitude)
    assert policy.draws == draws
    names = [s[0].name for s in policy.sub_policies]
    assert len(names) == len(set(names)) == 14
    assert {s[0].probability for s in policy.sub_policies} == {1.0}
  strengths = {s[0].name: s[0].strengths for s in policy.sub_policies}
  assert strengths["rotate"] == (30.0, -30.0)
  assert strengths["posterize"] == (4.0, 4.0)
  assert strengths["solarize"] == (0.0, 0.0)
  assert strengths["color"] == pytest.approx((1.9, 0.1))
  assert strengths["shear_y"] == pytest.approx((0.3, -0.3))


def test_magnitude_0_does_nothing_but_autocontrast_and_equalize():
  policy = policies.get("randaugment", 1, 0.0)
  kept = [
    s
    for s in policy.sub_policies
    if s[0].name not in ("autocontrast", "equalize")
  ]
  images = jnp.asarray(_images())
  found = jax.jit(
    lambda k, i: policies.apply(k, i, Policy(tuple(kept), draws=3))
  )(KEY, images)
  np.testing.assert_array_equal(found, images)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: policies.get("mixup"), "policy is 'mixup'; legal: autoaugment_im"),
    (
      lambda: policies.get("randaugment", 0),
      "operations is 0; legal: at least",
    ),
    (
      lambda: policies.get("randaugment", 2, 30.0),
      "magnitude is 30.0; legal: from 0 to 10",
    ),
    (
      lambda: policies.apply(
        KEY,
        jnp.zeros((1, 2, 2, 3), jnp.uint8),
        Policy(((Operation("blur"),),)),
      ),
      "operation is 'blur'; legal: autocontrast, brightness",
    ),
  ],
)
def test_what_is_illegal_is_named(call, message):
  with pytest.raises(ValueError, match=message):
    call()
