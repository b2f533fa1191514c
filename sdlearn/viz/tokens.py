"""The pieces that a tokenizer makes of a text, as boxes."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .figure import FAINT, INK, PAGE_WIDTH, TEXT, Sheet

WORD_END, MARK_START = "</w>", "<|"
MARK_COLOUR, WORD_COLOURS = "#E4E4E4", ("#FBE3B5", "#CDE8F8")  # pale orange, pale sky blue
LETTER_WIDTH = 7.3  # pixels of a letter, all of one width
MARGIN, BOX_HEIGHT, BOX_PITCH, WORD_GAP = 4, 26, 54, 8


def tokens(pieces: Sequence[str], ids: Sequence[int], *, alt: str | None = None) -> Figure:
    """The pieces that a tokenizer made of a text, as boxes with their ids below.

    `pieces` are as `tokenizer.convert_ids_to_tokens` gives them. Pieces of one word touch and
    share a colour (the last of a word ends in `</w>`); marks (`<|...|>`) are grey.
    Raises `ValueError` when pieces and ids differ in number or there are none.
    """
    if not len(pieces) or len(pieces) != len(ids):
        raise ValueError(f"pieces and ids must be as many; got {len(pieces)} and {len(ids)}")
    boxes = list(_boxes(pieces, ids))
    alt = alt or f"tokens, each with its id: {', '.join(f'{text} {n}' for *_, text, n in boxes)}"
    right = max(left + width for left, _, width, *_ in boxes) + MARGIN
    bottom = boxes[-1][1] + BOX_PITCH
    sheet = Sheet(right, bottom, alt)
    ax = sheet.add_axes((0, 0, 1, 1), xlim=(0, right), ylim=(bottom, 0))  # pixels from the top left
    ax.set_axis_off()
    place: dict[str, Any] = TEXT | {"ha": "center", "va": "center"}
    for left, top, width, colour, text, number in boxes:
        middle, below = left + width / 2, top + BOX_HEIGHT + 11
        ax.add_patch(Rectangle((left, top), width, BOX_HEIGHT, facecolor=colour, edgecolor=INK))
        ax.text(middle, top + BOX_HEIGHT / 2, text, family="monospace", **place)
        ax.text(middle, below, str(number), **place | {"color": FAINT})
    return sheet


def ends_word(piece: str) -> bool:
    """Whether a piece is the last one of its word; so is a learnt token such as "<cat-toy>"."""
    is_learnt = piece.startswith("<") and piece.endswith(">") and any(map(str.isalnum, piece))
    return is_learnt or piece.endswith(WORD_END)


def _boxes(
    pieces: Sequence[str], ids: Sequence[int]
) -> Iterator[tuple[float, float, float, str, str, int]]:
    """Left, top, width, colour, text and number of each piece's box.

    The boxes go from left to right, and on to the next line where the page ends.
    """
    left, top, word = float(MARGIN), float(MARGIN), 0
    for piece, number in zip(pieces, ids, strict=True):
        mark = piece.startswith(MARK_START)
        text = piece.strip("<|>") if mark else piece.removesuffix(WORD_END)
        width = LETTER_WIDTH * max(len(text), len(str(number))) + 12
        if left + width > PAGE_WIDTH - MARGIN:
            left, top = float(MARGIN), top + BOX_PITCH
        colour = MARK_COLOUR if mark else WORD_COLOURS[word % 2]
        yield left, top, width, colour, text, int(number)
        ends = mark or ends_word(piece)
        left, word = left + width + (WORD_GAP if ends else 0), word + ends
