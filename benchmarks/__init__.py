"""How fast is it, and how do we know: scripts that measure, run from a checkout.

    python -m benchmarks              this pipeline beside diffusers' own on the same weights
    python -m benchmarks.lessons      seconds and memory of every lesson, beside their limits
    python -m benchmarks.make_random  a model of random weights in the shape of SD 1.5
    python -m benchmarks.class_server_memory    what a learner takes on a class server
    python -m benchmarks.gpu_check    the whole pipeline on one NVIDIA card

`README.md` in this folder holds what was measured, and where. Left out: the quality of images
(`sdlearn.evaluation`), and other programs.
"""
