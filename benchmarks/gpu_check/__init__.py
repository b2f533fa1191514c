"""The whole GPU pipeline tried on one NVIDIA card, which may be had for a quarter of an hour only.

    python -m benchmarks.gpu_check.pack FOLDER    what travels to a bare machine
    python -m benchmarks.gpu_check                all checks; on the CPU: --rehearse

checks      the table of checks, each of them a short function
bench       what they share: loaded pipelines, the card's memory, clocks
standin     a Stable Diffusion 1.5 of random weights, and a toy for rehearsals
cells       the cells of a lesson as a script
worker      the process that runs the checks, with a time limit for each
book        what was found: one JSON, written after each check, and a Markdown table of it
pack        a folder with the code and the wheels that a bare machine lacks

`__main__`, `worker`, `book` and `pack` need nothing but Python: they run before anything is
installed. Left out: training, several cards, and whether images are good (`sdlearn.evaluation`).
"""
