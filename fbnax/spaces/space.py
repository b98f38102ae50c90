"""Search spaces: decisions, genotypes, and the table that decisions fill.

Symbols: `n` genotypes in a population, `D` decisions, `F` features.

A genotype is an `int32[D]` vector of value indices. A space is data: decisions
and an open `Architecture` (or `CellNetwork`) and `Recipe` whose fields follow
them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.spaces import checking, cutting, effect, tables
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.follow import Follow
from fbnax.spaces.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Decision:
  """A named choice between ordered values.

  Categorical decisions are encoded one-hot, ordinal ones by their value scaled
  to [0, 1].
  """

  name: str
  values: tuple[Any, ...]
  categorical: bool = False

  def __post_init__(self) -> None:
    """Refuses decisions that cannot be taken."""
    if not self.values:
      raise ValueError(f"decision {self.name!r} has no values")
    if len(set(self.values)) != len(self.values):
      raise ValueError(f"decision {self.name!r} repeats values: {self.values}")
    if not self.categorical and list(self.values) != sorted(self.values):
      raise ValueError(
        f"ordinal decision {self.name!r} must ascend: {self.values}"
      )


def follow(decision: Decision, values: tuple[Any, ...] | None = None) -> Any:
  """A field that follows `decision`, by default with its own values."""
  return Follow(decision.name, decision.values if values is None else values)


@dataclasses.dataclass(frozen=True)
class SearchSpace:
  """A space of architectures and training recipes.

  Attributes:
    name: what `fbnax.spaces.get` knows it by.
    decisions: all decisions, those of the architecture first.
    table: a network with open fields. A block whose presence is open has
      the width of the block before it, and the present blocks of a stage come
      first.
    recipe_table: a recipe with open fields.
    sgd_factor: the learning rate of a genotype that chooses SGD is multiplied
      by it.
  """

  name: str
  decisions: tuple[Decision, ...]
  table: Architecture | CellNetwork
  recipe_table: Recipe = dataclasses.field(default_factory=Recipe)
  sgd_factor: float = 4.0

  def __post_init__(self) -> None:
    """Checks that table and decisions fit each other."""
    names = [d.name for d in self.decisions]
    if len(set(names)) != len(names):
      raise ValueError(f"space {self.name!r} repeats decision names: {names}")
    known = {d.name: len(d.values) for d in self.decisions}
    for item in tables.open_fields(self.table) + tables.open_fields(
      self.recipe_table
    ):
      if known.get(item.decision) != len(item.values):
        raise ValueError(
          f"space {self.name!r}: a field follows {item.decision!r} with "
          f"{len(item.values)} values; the decisions are {known}"
        )
    try:
      checking.check(self.table)
    except ValueError as error:
      raise ValueError(f"space {self.name!r}: {error}") from None

  @property
  def size(self) -> int:
    """Number of genotypes, exact."""
    return math.prod(len(d.values) for d in self.decisions)

  @property
  def choices(self) -> tuple[int, ...]:
    """Number of choices of each decision, `[D]`."""
    return tuple(len(d.values) for d in self.decisions)

  def is_recipe(self, decision: Decision) -> bool:
    """Whether a decision belongs to the training recipe."""
    return any(
      f.decision == decision.name for f in tables.open_fields(self.recipe_table)
    )

  def sample(self, key: jax.Array, n: int) -> jax.Array:
    """`n` genotypes uniform over the choices of each decision, `i32[n, D]`."""
    counts = jnp.asarray(self.choices)
    shape = (n, len(self.decisions))
    return self.canonical(jax.random.randint(key, shape, 0, counts))

  def sobol(self, n: int, seed: int = 0) -> jax.Array:
    """`n` genotypes of a scrambled Sobol sequence, `i32[n, D]`."""
    from scipy.stats import qmc  # Slow to import, and only needed here.

    engine = qmc.Sobol(len(self.decisions), scramble=True, rng=seed)
    # The sequence is balanced over powers of two only.
    points = engine.random_base2(max(0, math.ceil(math.log2(max(n, 1)))))[:n]
    indices = np.floor(points * np.asarray(self.choices)).astype(np.int32)
    return self.canonical(
      jnp.asarray(np.minimum(indices, np.asarray(self.choices) - 1), jnp.int32)
    )

  def canonical(self, genotypes: jax.Array) -> jax.Array:
    """Sets decisions that change nothing to 0, `i32[n, D]` to `i32[n, D]`."""
    return jnp.where(self.active(genotypes), genotypes, 0).astype(jnp.int32)

  def active(self, genotypes: jax.Array) -> jax.Array:
    """Whether decisions change something, `i32[n, D]` to `bool[n, D]`.

    A decision changes nothing where every block that follows it is absent, or
    is a skip to which it means nothing.
    """
    found = effect.conditions(self.table, self.recipe_table)
    chosen = {d.name: genotypes[..., i] for i, d in enumerate(self.decisions)}

    def holds(condition: effect.Condition) -> jax.Array:
      reached = [jnp.asarray(f.values)[chosen[f.decision]] for f in condition]
      return functools.reduce(operator.and_, reached)

    columns = []
    for decision in self.decisions:
      shape = genotypes.shape[:-1]
      ways = found.get(decision.name, set())
      if () in ways:
        columns.append(jnp.ones(shape, bool))
      else:
        columns.append(
          functools.reduce(
            operator.or_, map(holds, ways), jnp.zeros(shape, bool)
          )
        )
    return jnp.stack(columns, axis=-1)

  @property
  def features(self) -> tuple[tuple[str, bool], ...]:
    """For each of the `F` features its decision and whether it is a recipe's.

    The architecture's features come first. A decision with a single value has
    no feature.
    """
    rows = []
    for decision in self.decisions:
      count = len(decision.values)
      width = 0 if count == 1 else count if decision.categorical else 1
      rows += [(decision.name, self.is_recipe(decision))] * width
    return tuple(rows)

  @property
  def num_architecture_features(self) -> int:
    """How many of the features describe the architecture."""
    return sum(not recipe for _, recipe in self.features)

  def encode(self, genotypes: jax.Array) -> jax.Array:
    """One-hot and min-max features, `i32[n, D]` to `f32[n, F]`."""
    features = [jnp.zeros((len(genotypes), 0))]
    for i, decision in enumerate(self.decisions):
      column = genotypes[:, i]
      if len(decision.values) == 1:
        continue
      if decision.categorical:
        features.append(jax.nn.one_hot(column, len(decision.values)))
      else:
        low, high = float(decision.values[0]), float(decision.values[-1])
        scaled = [(float(v) - low) / (high - low) for v in decision.values]
        features.append(jnp.asarray(scaled, jnp.float32)[column][:, None])
    return jnp.concatenate(features, axis=1)

  def architecture(self, genotype: Any) -> Any:
    """The network of one genotype `i32[D]`: what `table` is, filled."""
    filled = tables.fill(self.table, self._chosen(genotype))
    return tables.with_present_blocks(filled)

  def recipe(self, genotype: Any) -> Recipe:
    """The training recipe of one genotype `i32[D]`."""
    recipe = tables.fill(self.recipe_table, self._chosen(genotype))
    if self._scales_sgd and recipe.optimizer == "sgd":
      scaled = round(recipe.learning_rate * self.sgd_factor, 12)
      recipe = dataclasses.replace(recipe, learning_rate=scaled)
    return recipe

  def genotype(
    self,
    architecture: Architecture | CellNetwork,
    recipe: Recipe | None = None,
  ) -> jax.Array:
    """The canonical genotype of an architecture and a recipe, `i32[D]`.

    Args:
      architecture: one that the space contains.
      recipe: one that the space contains; None leaves its decisions at 0.

    Raises:
      ValueError: the space does not contain it; the field is named with its
        value and the legal ones.
    """
    sought = tables.match(self.table, architecture)
    if recipe is not None:
      if self._scales_sgd and recipe.optimizer == "sgd":
        recipe = dataclasses.replace(
          recipe,
          learning_rate=round(recipe.learning_rate / self.sgd_factor, 12),
        )
      sought += tables.match_recipe(self.recipe_table, recipe)
    legal = {d.name: set(range(len(d.values))) for d in self.decisions}
    for where, field, value in sought:
      values = field.values if isinstance(field, Follow) else (field,)
      if not isinstance(field, Follow):
        if field != value:
          raise ValueError(
            f"{where} is {value!r}; space {self.name!r} has {field!r} only"
          )
        continue
      legal[field.decision] &= {i for i, v in enumerate(values) if v == value}
      if not legal[field.decision]:
        raise ValueError(
          f"{where} is {value!r}; space {self.name!r} offers "
          f"{tuple(dict.fromkeys(values))} there, by decision "
          f"{field.decision!r}, and other fields follow it too"
        )
    return jnp.asarray([min(legal[d.name]) for d in self.decisions], jnp.int32)

  def fix(self, **decisions: Any) -> SearchSpace:
    """The space with decisions fixed to a value, or cut to a list of values.

    Names with dots are given as `space.fix(**{"stage3.kernel": 3})`.

    Raises:
      ValueError: no such decision, or no such value; the legal ones are named.
    """
    return cutting.fix(self, decisions)

  def with_architecture(
    self, architecture: Architecture | CellNetwork
  ) -> SearchSpace:
    """The space of recipes for one network; the recipe's decisions remain.

    The network need not be in the space.

    Raises:
      ValueError: the space has no decision about the recipe.
    """
    return cutting.with_architecture(self, architecture)

  def with_recipe(self, recipe: Recipe) -> SearchSpace:
    """The space of networks under one recipe; the recipe's decisions go.

    The recipe need not be in the space and is taken as it is: no factor of SGD
    is applied to its learning rate.

    Raises:
      ValueError: the space has no decision about the architecture, or no
        training can have the recipe.
    """
    return cutting.with_recipe(self, recipe)

  @property
  def _scales_sgd(self) -> bool:
    return isinstance(self.recipe_table.learning_rate, Follow)

  def _chosen(self, genotype: Any) -> dict[str, int]:
    indices = np.asarray(genotype)
    if indices.shape != (len(self.decisions),):
      raise ValueError(
        f"a genotype of space {self.name!r} has shape "
        f"({len(self.decisions)},), found {indices.shape}"
      )
    for decision, index in zip(self.decisions, indices, strict=True):
      if not 0 <= index < len(decision.values):
        raise ValueError(
          f"choice {index} of decision {decision.name!r} is out of range; "
          f"legal: 0 to {len(decision.values) - 1}"
        )
    return {
      d.name: int(i) for d, i in zip(self.decisions, indices, strict=True)
    }
