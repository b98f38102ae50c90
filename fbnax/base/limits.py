"""How large what is asked for may be: far more than anyone means.

A typing error must not ask for terabytes. Sizes that cost memory or time before
anything else would speak of them are compared with these where they come in.
"""

RESOLUTION = 4_096  # Pixels along one side.
IMAGE_CHANNELS = 4_096
CHANNELS = 65_536  # Of a feature map, or units of a layer.
KERNEL = 255  # Pixels along one side; likewise of a padding.
EXPANSION = 256
BLOCKS = 1_000
CLASSES = 1_000_000
# Of a whole network, whose numbers may each be small enough.
PARAMETERS = 2**31
FEATURE_MAP = 2**30  # Numbers in one, of one image.
