#!/usr/bin/env bash
# transformers 5.23.0: a CLIPTokenizer that was copied or pickled decodes with the marks of word ends in the text.
#
# `CLIPTokenizer` takes out "</w>" in Python, in a function that its `__init__` puts around the decoder of the
# `tokenizers` library. Copying and pickling rebuild the tokenizer from the library's part alone, without `__init__`,
# and the function is gone. Encoding stays right, so images are the same; but whatever shows words to people, counts
# them or compares them with a prompt gets "a</w>house</w>". It meets whoever deep-copies a Stable Diffusion pipeline
# to change the copy, or sends one to a worker process. Saving and loading again mends it. No exception, no warning.
#
# A good engineer's guess: a copy decodes as the original does.
#
# Seen, for the ids of "a house":
#     the original                  'a house'
#     copy.deepcopy                 'a</w>house</w>'
#     pickled and unpickled         'a</w>house</w>'
#     the copy, saved and loaded    'a house'
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3 \
    huggingface_hub==2.4.0 numpy==2.4.6
cd "$dir"
export HF_HUB_OFFLINE=1 HF_HOME="$dir/hf" TOKENIZERS_PARALLELISM=false PYTHONWARNINGS=ignore
"$dir/venv/bin/python" - <<'PYTHON' 2> errors.txt || { cat errors.txt >&2; exit 1; }
import copy
import pickle
import string

from transformers import CLIPTokenizer

letters = string.ascii_lowercase
tokens = [*letters, *[letter + "</w>" for letter in letters], "<|startoftext|>", "<|endoftext|>"]
tokenizer = CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[])
ids = tokenizer("a house").input_ids

copied = copy.deepcopy(tokenizer)
copied.save_pretrained("saved")
made = {
    "the original": tokenizer,
    "copy.deepcopy": copied,
    "pickled and unpickled": pickle.loads(pickle.dumps(tokenizer)),
    "the copy, saved and loaded": CLIPTokenizer.from_pretrained("saved"),
}
seen = {name: one.decode(ids, skip_special_tokens=True) for name, one in made.items()}
for name, text in seen.items():
    print(f"{name:<30}{text!r}")
assert all(one("a house").input_ids == ids for one in made.values())
assert list(seen.values()) == ["a house", "a</w>house</w>", "a</w>house</w>", "a house"], "the behaviour has changed"
PYTHON
