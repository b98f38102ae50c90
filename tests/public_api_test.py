"""The names that others build on: once public, a name stays (DESIGN, 3)."""

import importlib
import inspect

import pytest

# name: the parameters it is called by; more may be added, with defaults.
PUBLIC = {
  "fbnax.spaces.get": ("name",),
  "fbnax.spaces.names": (),
  "fbnax.spaces.Architecture": (),
  "fbnax.spaces.Recipe": (),
  "fbnax.spaces.Decision": ("name", "values"),
  "fbnax.spaces.SearchSpace": (),
  "fbnax.spaces.SearchSpace.sample": ("self", "key", "n"),
  "fbnax.spaces.SearchSpace.sobol": ("self", "n", "seed"),
  "fbnax.spaces.SearchSpace.encode": ("self", "genotypes"),
  "fbnax.spaces.SearchSpace.architecture": ("self", "genotype"),
  "fbnax.spaces.SearchSpace.recipe": ("self", "genotype"),
  "fbnax.spaces.SearchSpace.genotype": ("self", "architecture", "recipe"),
  "fbnax.spaces.SearchSpace.fix": ("self",),
  "fbnax.spaces.SearchSpace.with_architecture": ("self", "architecture"),
  "fbnax.spaces.SearchSpace.with_recipe": ("self", "recipe"),
  "fbnax.spaces.around": (
    "architecture",
    "resolutions",
    "widths",
    "expansions",
    "kernels",
    "depths",
  ),
  "fbnax.spaces.Surroundings": ("architecture",),
  "fbnax.spaces.Surroundings.space": ("self",),
  "fbnax.spaces.Surroundings.to_json": ("self",),
  "fbnax.spaces.Surroundings.from_json": ("text",),
  "fbnax.spaces.CellNetwork": ("ops",),
  "fbnax.spaces.from_json": ("text",),
  "fbnax.spaces.scale": ("architecture", "depth", "width", "resolution"),
  "fbnax.spaces.scaled_to": ("architecture", "limit", "cost"),
  "fbnax.spaces.zoo.get": ("name",),
  "fbnax.spaces.zoo.names": (),
  "fbnax.costs.count": ("architecture", "num_classes"),
  "fbnax.costs.layers": ("architecture", "num_classes"),
  "fbnax.costs.published": ("architecture",),
  "fbnax.costs.batch": ("space", "genotypes"),
  "fbnax.costs.expected": ("space", "weights"),
  "fbnax.costs.LatencyTable.load": ("path",),
  "fbnax.costs.LatencyTable.latency": ("self", "architecture"),
  "fbnax.costs.LatencyTable.expected": ("self", "space", "weights"),
  "fbnax.costs.fit_table": ("space", "genotypes", "latency"),
  "fbnax.costs.peak_memory": ("architecture",),
  "fbnax.costs.batch_peak_memory": ("space", "genotypes"),
  "fbnax.models.GraphPredictor": ("categories", "numbers"),
  "fbnax.models.Network": ("architecture", "num_classes"),
  "fbnax.models.Supernet": ("space", "num_classes"),
  "fbnax.models.load_weights": ("path", "architecture"),
  "fbnax.models.compare_weights": ("path", "architecture"),
  "fbnax.models.save_weights": ("path", "architecture", "variables"),
  "fbnax.ops.channel_mask": ("weights", "channels", "max_channels"),
  "fbnax.ops.gumbel_softmax": ("key", "logits", "temperature"),
  "fbnax.ops.soft_rank": ("values", "strength", "descending"),
  "fbnax.proxies.names": (),
  "fbnax.proxies.score": (
    "names",
    "module",
    "variables",
    "images",
    "labels",
    "key",
  ),
  "fbnax.nbdt.Hierarchy": (),
  "fbnax.nbdt.Hierarchy.from_children": ("children",),
  "fbnax.nbdt.Hierarchy.load": ("path", "wnids"),
  "fbnax.nbdt.Hierarchy.save": ("self", "path"),
  "fbnax.nbdt.induce": ("fc_weights", "linkage", "normalize"),
  "fbnax.nbdt.random_hierarchy": ("num_classes", "seed"),
  "fbnax.nbdt.information_gain": ("features", "labels", "num_classes"),
  "fbnax.nbdt.oblique": ("features", "labels", "num_classes", "seed"),
  "fbnax.nbdt.wordnet_hierarchy": ("classes", "path"),
  "fbnax.nbdt.find_wnids": ("classes", "path"),
  "fbnax.nbdt.name_nodes": ("hierarchy", "class_names", "path"),
  "fbnax.nbdt.explain": ("logits", "hierarchy", "names"),
  "fbnax.nbdt.describe": ("decisions",),
  "fbnax.nbdt.Samples": ("images", "logits", "labels"),
  "fbnax.nbdt.tree_page": ("hierarchy",),
  "fbnax.nbdt.tree_svg": ("hierarchy",),
  "fbnax.nbdt.save_picture": ("path", "hierarchy"),
  "fbnax.nbdt.path_log_probs": ("logits", "hierarchy"),
  "fbnax.nbdt.hard_predict": ("logits", "hierarchy"),
  "fbnax.nbdt.soft_predict": ("logits", "hierarchy"),
  "fbnax.nbdt.soft_tree_loss": ("logits", "labels", "hierarchy"),
  "fbnax.nbdt.hard_tree_loss": ("logits", "labels", "hierarchy"),
  "fbnax.nbdt.hard_tree_loss_per_node": ("logits", "labels", "hierarchy"),
  "fbnax.family.design": ("images", "labels"),
  "fbnax.family.open_run": ("path",),
  "fbnax.spaces.for_small_images": ("architecture",),
  "fbnax.search.choose_space": ("candidates", "budget"),
  "fbnax.search.cut_spaces": ("space", "cuts"),
  "fbnax.search.scaled_spaces": ("space", "widths", "resolutions"),
  "fbnax.search.evolve": ("key", "predict", "space", "budgets"),
  "fbnax.search.evolve_front": ("key", "objectives", "vary", "first"),
  "fbnax.search.hypervolume": ("objectives", "reference"),
  "fbnax.search.pareto_front": ("objectives",),
}


def find(name):
  """The object of that dotted name."""
  package, room, *rest = name.split(".")
  found = importlib.import_module(f"{package}.{room}")
  for part in rest:
    found = getattr(found, part)
  return found


@pytest.mark.parametrize("name", PUBLIC)
def test_public(name):
  found = find(name)
  assert inspect.getdoc(found), f"{name} has no docstring"
  parameters = inspect.signature(found).parameters
  wanted = PUBLIC[name]
  assert tuple(parameters)[: len(wanted)] == wanted
  is_method = name.count(".") == 3 and ".zoo." not in name
  if inspect.isfunction(found) and (wanted or is_method):
    added = list(parameters.values())[len(wanted) :]
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    for parameter in added:
      assert (
        parameter.default is not inspect.Parameter.empty
        or parameter.kind in variadic
      ), f"{name}: {parameter.name} was added without a default"


def test_a_search_space_says_what_it_is():
  space = find("fbnax.spaces.get")("small")
  assert space.decisions[0].name
  assert isinstance(space.size, int)
