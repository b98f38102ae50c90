"""Trains on from weights of another program: timm's, or the official models'.

    python -m fbnax.main --config=configs/finetune.py --workdir=runs/finetuned \
      --config.weights=fbnetc_100.safetensors --config.data.name=folder \
      --config.data.path=photos

`weights` is a safetensors file of a state dict; `architecture` is the entry of
the zoo that it is of. The head is new where the number of classes is another.
Images are normalised by `mean` and `std`, as those that the weights have seen.
A file of another network is answered with every missing, unused and misshapen
array; pickles are not read. Every key, its unit and default: add --explain to
the command.

Result, by `python -m pytest tests/models/weights_test.py` with the extras
`test` and `torch` (timm 1.0.31, PyTorch 2.13, random weights, two resolutions
each): logits of timm's `fbnetc_100`, `fbnetv3_b`, `fbnetv3_d` and `fbnetv3_g`
agree within 1e-4, with running statistics near those of the weights at hand;
weights come back bit for bit. With statistics drawn from anywhere PyTorch's
float32 is as far from its own float64.
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """Timm's fbnetc_100 on images of one's own, averaged weights, no warm start.

  The learning rate is a tenth of what a training from scratch takes.
  """
  return config_dict.create(
    job="train",
    seed=0,
    data=config_dict.create(
      name="digits",
      path="",
      tfds_name="",
      test_fraction=0.2,
      validation_fraction=0.25,
      max_images=0,
      decode_resolution=0,
      folds=0,
      fold=0,
    ),
    weights="",
    architecture="timm_fbnetc_100",
    resolution=0,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    recipe_file="",
    recipe=config_dict.create(
      optimizer="sgd",
      learning_rate=0.02,
      weight_decay=1e-5,
      ema=True,
      dropout=0.2,
      stochastic_depth=0.0,
      mixup=0.0,
    ),
    teacher="",
    mesh=config_dict.create(data=1),
    training=config_dict.create(
      batch_size=64,
      schedule="cosine",
      epochs=10,
      decay=0.963,
      warmup_epochs=1.0,
      ema_decay=0.99,
      label_smoothing=0.1,
      augment="none",
      randaugment_operations=2,
      randaugment_magnitude=9.0,
      erasing=0.0,
      clip_norm=0.0,
      accumulate=1,
      precision="auto",
      distillation=0.8,
      checkpoint_every=5,
    ),
  )
