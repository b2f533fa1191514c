#!/usr/bin/env bash
# accelerate 1.15.0: a PartialState() made before the Accelerator turns a launch on CPUs into separate trainings, silently.
#
# `ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 train.py` is the way to start several processes
# on CPUs without MPI, and an `Accelerator()` made first finds both. `PartialState()` alone does not read ACCELERATE_USE_CPU:
# it sees no GPU, decides that it is alone, and keeps that for good. The Accelerator made afterwards takes the state over
# instead of looking again. So each process has num_processes 1 and is_main_process True: gradients are not averaged, each
# sees the whole data, and all write the same checkpoint. RANK and WORLD_SIZE are set, both processes run, no warning is
# printed; one only wonders why two cores are not faster than one.
#
# A good engineer's guess: `PartialState()` is the light part of the Accelerator, safe to ask early ("only the main process
# downloads, the others wait", as the documentation shows), and both read the launcher's settings alike.
#
# Seen (each line once from each of the two processes):
#     Accelerator first: num_processes 2, 4 of 8 rows seen
#     PartialState first: num_processes 1, 8 of 8 rows seen
# Way round: `PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))`, and compare num_processes with WORLD_SIZE.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 accelerate==1.15.0 \
    safetensors==0.8.0 huggingface_hub==2.4.0 numpy==2.4.6
cd "$dir"
export HF_HUB_OFFLINE=1 HF_HOME="$dir/hf" OMP_NUM_THREADS=1 ACCELERATE_USE_CPU=true
cat > train.py <<'PYTHON'
import os
import sys

import torch
from accelerate import Accelerator, PartialState
from torch.utils.data import DataLoader

if sys.argv[1] == "PartialState":
    with PartialState().main_process_first():
        pass  # a download, for example
accelerator = Accelerator()
rows = accelerator.prepare(DataLoader(torch.arange(8.0), batch_size=4))
seen = sum(len(batch) for batch in rows)
line = f"{sys.argv[1]} first: num_processes {accelerator.num_processes}, {seen} of 8 rows seen\n"
os.write(1, line.encode())  # in one piece, as both processes write
PYTHON
launch() {
    "$dir/venv/bin/accelerate" launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no \
        --dynamo_backend no --main_process_port 0 train.py "$1" 2>/dev/null | sort | tee -a seen.txt
}
launch Accelerator
launch PartialState
diff seen.txt - <<'EXPECTED'
Accelerator first: num_processes 2, 4 of 8 rows seen
Accelerator first: num_processes 2, 4 of 8 rows seen
PartialState first: num_processes 1, 8 of 8 rows seen
PartialState first: num_processes 1, 8 of 8 rows seen
EXPECTED
echo "as described"
