"""AutoBuild: which building blocks matter, learned from labelled networks.

  python -m fbnax.main --config=configs/autobuild.py --workdir=runs/autobuild \
    --config.labels=ofa_mbv3.npz

`labels` is a CSV or JSON file of networks with numbers (`fbnax.search.labelled`
says how; then `space` names the space), or a published .npz of Once-for-All
networks. Each of `expressions` is a label that a graph predictor learns;
modules are ranked, networks put together, and reduced spaces searched. With
`region` an expression is chosen by itself for networks of that cost.

Method: Mills et al. 2024, "Building Optimal Neural Architectures using
Interpretable Knowledge".
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """The whole config."""
  return config_dict.ConfigDict(
    {
      "job": "autobuild",
      "seed": 0,
      "labels": "",
      "space": "",
      "fix": "",
      "accuracy": "acc_l1",
      "cost": "latency_gpu_l1",
      "expressions": (
        "acc_l1",
        "acc_l1 * 100 / latency_gpu_l1",
      ),
      "region": 0.0,
      "held_out": 0.1,
      "test_rows": "",
      "top": 3,
      "predictor": {
        "seeds": 3,
        "epochs": 100,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "weight_decay": 1e-5,
        "hidden": 32,
        "hops": 4,
      },
      "search": {
        "top": 15,
        "seeds": 10,
        "first": 50,
        "rounds": 4,
        "children": 50,
      },
    }
  )
