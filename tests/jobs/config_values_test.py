import pytest
from ml_collections import config_dict

from fbnax.jobs.runtime import config_values, configs
from tests.configs_test import FILES, load, variants


@pytest.mark.parametrize("file", FILES)
def test_every_config_is_legal(file):
  for config in variants(load(file)):
    config_values.check(config)


@pytest.mark.parametrize(
  "value, words",
  [
    (float("nan"), "config.a.b is nan; legal: numbers up to 1e"),
    (float("-inf"), "config.a.b is -inf"),
    (1e31, "config.a.b is 1e"),
    (2**31, "config.a.b is 2147483648; legal: whole numbers up to 2,147"),
    ("a\0b", "config.a.b is 'a.x00b'; legal: text"),
    ((1.0, float("nan")), r"config.a.b is \(1.0, nan\); legal: a list of"),
    ((1, "1"), r"config.a.b is \(1, '1'\)"),
    ((True,), r"config.a.b is \(True,\)"),
    ((None,), r"config.a.b is \(None,\)"),
    (((1,),), r"config.a.b is \(\(1,\),\)"),
  ],
)
def test_what_no_config_can_hold(value, words):
  config = config_dict.create(job="x", a=config_dict.create(b=value))
  with pytest.raises(ValueError, match=words):
    config_values.check(config)


def test_what_is_common_may_stay():
  config_values.check(
    config_dict.create(a=(), b=("x", ""), c=(1, 2.5), d=-1e30, e=None, f=True)
  )


def test_numbers_of_a_list():
  assert config_values.all_numbers("config.a", (1, 2.5)) == [1, 2.5]
  with pytest.raises(ValueError, match=r"config.a is \('x',\); legal: a list"):
    config_values.all_numbers("config.a", ("x",))


@pytest.mark.parametrize(
  ("key", "value", "words"),
  [
    ("pool", 2 * 10**9, "config.search.pool is 2000000000; .* to 10,000,000"),
    ("resolution", 100_000, "config.search.resolution is 100000; .* to 4,096"),
    ("decode_resolution", 4097, "is 4097; legal: whole numbers up to 4,096"),
    ("batch_size", 10**9, "legal: whole numbers up to 1,048,576"),
    ("memory_options", (1, 10**9), "is 1000000000; .* up to 1,000"),
    ("randaugment_operations", 10**5, "legal: whole numbers up to 100"),
  ],
)
def test_sizes_are_told_before_they_fill_the_memory(key, value, words):
  config = config_dict.create(search=config_dict.create(**{key: value}))
  with pytest.raises(ValueError, match=words):
    config_values.check(config)


@pytest.mark.parametrize("epochs", [0, -3])
@pytest.mark.parametrize("job", ["train", "nars", "nbdt"])
def test_what_is_divided_by_is_told_before_a_job_begins(job, epochs):
  config = load(f"{job}.py").get_config()
  config.training.checkpoint_every = epochs
  words = f"checkpoint_every is {epochs}; legal: at least 1"
  with pytest.raises(ValueError, match=words):
    configs.typed(config)
