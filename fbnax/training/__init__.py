"""One training loop for every network: one module, or a population of them.

`loop` trains and measures by compiled `programs`, with checkpoints from which
it goes on bit for bit (`checkpoints`). A `step` is a pure function: images are
augmented on the device (`augment`, `policies`), the gradient of a batch may
come in parts (`gradients`), and the optimizer is a traced number
(`optimizers`), as all of a recipe is (`recipes`). So candidates of any
architecture and recipe share a program (`population`), which a `mesh` of
devices may share in turn. A network may be trained with all its smaller ones
inside (`shared`), in a few boxes of its space (`corners`); one that is cut out
has BN's statistics computed anew (`recalibration`). A trained network is a
directory (`model_files`).
"""
