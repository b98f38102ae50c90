"""What every room needs and no library has; it imports nothing of ours.

`files` are whole or absent; `records` of progress carry digests; `json_values`
writes and checks JSON; `text` reads other people's text; `arrays` opens `.npz`
files without trusting them; `ranks` are rank correlations; `flat` are the
dotted keys of nested configs; `names` are compared, shown, and guessed when
misspelt; `limits` are the largest sizes that anything may have.
"""
