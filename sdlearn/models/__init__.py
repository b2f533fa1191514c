"""From a name to the parts of a model on a device.

loading, layout, hub   which folder it is, whether it is complete, and the parts read from it
clip, safety           models that stand beside the pipeline's own
device, memory         where the parts run, and what helps when memory is short
adapters               LoRA and learnt words
compiling, engine      faster calls
graphs, light          what ONNX Runtime runs, and a model that can only draw
"""

from .clip import CLIP, load_clip
from .device import pick_device, pick_dtype
from .loading import TINY, find_folder
from .memory import MemoryPlan, choose_plan

__all__ = [
    "CLIP",
    "TINY",
    "MemoryPlan",
    "choose_plan",
    "find_folder",
    "load_clip",
    "pick_device",
    "pick_dtype",
]
