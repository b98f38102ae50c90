"""What a driver and the workers of its tasks tell each other: JSON.

A request says which candidates are to be trained, and for how long; the answer
holds their outcomes, or says why the worker could not begin, which is the fault
of no candidate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fbnax.search.evaluators import Candidate, Outcome
from fbnax.search.evaluators.grouping import ProgramGroup


def request(part: ProgramGroup, epochs: int, more: Mapping[str, Any]) -> str:
  """Asks for the outcomes of candidates.

  Args:
    part: of a group, those that one task trains.
    epochs: of training.
    more: what else the worker needs to know, of what JSON can say.
  """
  asked = [
    {
      "id": int(c.id),
      "genotype": [int(index) for index in c.genotype],
      "seed": int(c.seed),
    }
    for c in part.candidates
  ]
  program = {
    "resolution": part.resolution,
    "size": part.size,
    "holds": part.holds and [list(map(int, g)) for g in part.holds],
  }
  return json.dumps(
    {**more, "candidates": asked, "program": program, "epochs": epochs}
  )


def candidates(request: Mapping[str, Any]) -> list[Candidate]:
  """The candidates of a request."""
  return [
    Candidate(c["id"], tuple(c["genotype"]), c["seed"])
    for c in request["candidates"]
  ]


def group(request: Mapping[str, Any]) -> ProgramGroup:
  """The candidates of a request, and the program that they share."""
  program = request["program"]
  holds = program["holds"]
  return ProgramGroup(
    program["resolution"],
    tuple(candidates(request)),
    program["size"],
    holds and tuple(map(tuple, holds)),
  )


def answer(outcomes: Sequence[Outcome]) -> str:
  """Gives the outcomes; those of a training that diverged may hold NaN."""
  return json.dumps({"outcomes": [o._asdict() for o in outcomes]})


def refusal(reason: str) -> str:
  """Says why the worker could not begin."""
  return json.dumps({"refused": reason})


def read_answer(text: str) -> list[Outcome] | str:
  """The outcomes, or why there are none."""
  message = json.loads(text)
  if "refused" in message:
    return str(message["refused"])
  return [
    Outcome(**o)._replace(curve=tuple(o["curve"]), losses=tuple(o["losses"]))
    for o in message["outcomes"]
  ]
