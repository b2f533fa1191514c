#!/usr/bin/env bash
# nbclient 0.11.0 with ipykernel 7.4.0: what an asyncio task does after its cell is lost to an executed notebook.
#
# A cell starts a background task and ends; the task goes on while later cells run. In a live notebook its output
# appears under the cell that started it. ipykernel 7 marks every message of a task with that cell; nbclient (and
# `jupyter nbconvert --execute`, which is built on it) reads only messages marked with the cell that runs just now and
# drops the others. So from a task everything is missing in the file: printed text, displayed images,
# updates of a display ("0 of 3" stays), the traceback, and also the state of widgets: the saved notebook shows
# the progress bar or image of the start, although in the kernel the value was 3. The run succeeds, with exit code 0.
# A *thread* that does the same loses nothing: its output goes under the cell that runs at the time.
# ipykernel brought the marking in with its pull request #1186; no report of the loss was found.
#
# A good engineer's guess: a task's output is under its own cell, as in JupyterLab, or, like a thread's, under the
# cell that runs; a widget's state, which belongs to no cell, is saved as it is in the kernel.
#
# Seen:
#     task    printed 0 of 3, displayed 0 of 3, display says "0 of 3", traceback False, widget 0, in the kernel 3
#     thread  printed 3 of 3, displayed 3 of 3, display says "3 of 3", traceback True, widget 3, in the kernel 3
# Way round: await the task in the cell that starts it, or use a thread.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check nbclient==0.11.0 nbformat==5.11.1 \
    ipykernel==7.4.0 ipywidgets==8.1.9
cd "$dir"
export PYTHONWARNINGS=ignore IPYTHONDIR="$dir/ipython" JUPYTER_DATA_DIR="$dir/jupyter" PATH="$dir/venv/bin:$PATH"
"$dir/venv/bin/python" - <<'PYTHON'
import nbclient
import nbformat

WORK = """
import asyncio, threading, time
import ipywidgets
from IPython.display import display

bar = ipywidgets.IntProgress(value=0)
handle = display("0 of 3", display_id="progress")

def show(i):
    print("printed", i)
    display(f"displayed {i}")
    handle.update(f"{i} of 3")
    bar.value = i

async def task():
    for i in (1, 2, 3):
        await asyncio.sleep(0.3)
        show(i)
    raise ValueError("the traceback")

def thread():
    for i in (1, 2, 3):
        time.sleep(0.3)
        show(i)
    raise ValueError("the traceback")
"""
STARTS = {
    "task": "job = asyncio.create_task(task())",
    "thread": "threading.Thread(target=thread).start()",
}
seen = {}
for kind, start in STARTS.items():
    cells = [WORK + start, "bar", "await asyncio.sleep(2)", "print('kernel', bar.value)"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    nbclient.NotebookClient(book, kernel_name="python3", store_widget_state=True).execute()
    outputs = [output for cell in book.cells for output in cell.outputs]
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    shown = [output.data["text/plain"].strip("'") for output in outputs if "data" in output]
    models = book.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    (widget,) = [m["state"]["value"] for m in models if m["model_name"] == "IntProgressModel"]
    seen[kind] = (
        text.count("printed"),
        sum(line.startswith("displayed") for line in shown),
        next(line for line in shown if line.endswith("of 3")),
        "ValueError: the traceback" in text,
        widget,
        int(text.split("kernel ")[1]),
    )
    print(
        "{:7} printed {} of 3, displayed {} of 3, display says \"{}\", traceback {}, widget {}, "
        "in the kernel {}".format(kind, *seen[kind])
    )
assert seen["thread"] == (3, 3, "3 of 3", True, 3, 3), seen["thread"]
assert seen["task"] == (0, 0, "0 of 3", False, 0, 3), "a task's output is kept now"
PYTHON
