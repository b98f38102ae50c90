"""Trains on from weights of another program: timm's, or the official models'.

    python -m fbnax.main --config=configs/finetune.py --workdir=runs/finetuned
      --config.weights=fbnetv3_b.safetensors --config.data.name=folder
      --config.data.path=photos

`weights` is a safetensors file of a state dict; `architecture` is the entry of
the zoo that it is of. The head is new where the number of classes is another.
Images are normalised by `mean` and `std`, as those that the weights have seen.
"""

from ml_collections import config_dict

from fbnax.jobs.configs import config
from fbnax.jobs.configs.train import FinetuneConfig


def get_config() -> config_dict.ConfigDict:
  """Timm's fbnetc_100 on images of one's own, averaged weights, no warm start.

  The learning rate is a tenth of what a training from scratch takes.
  """
  return config(FinetuneConfig())
