"""Pure array functions."""

from fbnax.ops.masks import channel_mask

__all__ = ["channel_mask"]
