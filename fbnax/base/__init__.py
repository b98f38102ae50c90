"""What every room needs and no library has; it imports nothing of ours.

`files` are whole or absent; `json_values` writes and checks JSON; `text` reads
other people's text and shows their names; `arrays` opens `.npz` files without
trusting them; `ranks` are rank correlations; `flat` are the dotted keys of
nested configs; `names` says what a misspelt name may have meant; `limits` are
the largest sizes that anything may have.
"""
