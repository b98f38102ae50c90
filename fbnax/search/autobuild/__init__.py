"""AutoBuild: what modules are worth, learned from labelled networks.

Networks with labels (`labelled`), a label that weighs accuracy against cost
(`label_expressions`, chosen by `label_choice`), and networks as chains of their
layers (`chains`) teach a graph predictor whose norms rank (`graph_fit`). A
stage's module is a chain too: its norm is its score (`modules`), and the best
modules of all stages are put together (`construction`). `additive` models are
what a predictor has to beat.

U-Nets have chains, modules and a construction of their own (`unet_chains`,
`unet_construction`); of their few labels an `ensemble` learns, and
`unet_ranking` is the program.
"""
