"""Ends with an error where JAX's devices are not of a kind, gpu or tpu.

    python launch/devices.py gpu

JAX goes on with the CPU where it finds no other device, and warns at most.
"""

import sys

import jax

wanted = sys.argv[1]
devices = jax.devices()
print("devices:", *devices)
if devices[0].platform != wanted:
  sys.exit(f"error: JAX finds no {wanted} on this machine")
