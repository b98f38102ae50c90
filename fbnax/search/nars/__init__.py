"""Neural Architecture-Recipe Search (Wan 2022, chapter 4).

1. A pool of 20,000 Sobol points of the space. A two-headed MLP learns to
   predict their MACs and parameters, which cost nothing (`pretraining`), and
   scores of untrained networks beside them (`free_labels`).
2. Rounds. Within each bin of the MAC range the candidate with the best
   predicted accuracy is trained, plus half a deviation of the ensemble, so that
   what is little known is tried (the paper has no ensemble); a Gaussian process
   that knows how noisy measurements are may choose them (`posterior`).
   `trials.sqlite` records what comes of it, and both learn from it. After the
   first round the epoch is found from which on the ranking agrees with the
   final one (rank correlation 0.92); later candidates stop there. Architectures
   are choice weights over one supernet and recipes are numbers, so candidates
   share programs. Masks cost the space's largest network, though: on a CPU,
   where candidates are trained one after the other, those whose trainings take
   longer than a compilation get a program for their own part of the space
   (`evaluators.grouping`).
3. An adaptive genetic algorithm, one program for all budgets (`evolution`),
   finds the architecture and recipe with the best predicted accuracy under each
   budget (90 to 100% of it). It takes a deviation of the ensemble off, so that
   it does not climb where the predictor only guesses.
4. The members are trained on all training images, the largest first; it teaches
   the others (0.8 distillation, 0.2 cross entropy). The test images are used
   once, then.

Stages 1 and 2 are `search`; the job `nars` does all four. The validation images
of the search are held out of the training images; nothing uses the test images
before the end.
"""

from fbnax.search.nars.planning import NarsSizes
from fbnax.search.nars.rounds import NarsSearch, labels_at, search

__all__ = ["NarsSearch", "NarsSizes", "labels_at", "search"]
