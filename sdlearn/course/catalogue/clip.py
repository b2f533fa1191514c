"""Exercises and questions of lesson 02: texts as numbers (CLIP, arXiv 2103.00020)."""

from __future__ import annotations

from typing import Any

from ..exercises import Exercise, Mistake
from ..quiz import Question

__all__ = ["EXERCISES", "QUESTIONS"]

COUNTING, ENDING, COMPARING = "prompt", "ids, end", "texts, pictures"


def _function(arguments: str, formula: str) -> str:
    """The source of an answer that returns `formula`."""
    return f"def answer({arguments}):\n    return {formula}\n"


def _mistakes(arguments: str, *told: str) -> tuple[Mistake, ...]:
    """Wrong formulas, each followed by what the learner is told of it."""
    pairs = zip(told[::2], told[1::2], strict=True)
    return tuple(Mistake(_function(arguments, formula), said) for formula, said in pairs)


def _prompt_cases() -> list[tuple[Any, ...]]:
    """A short prompt of known words; one with a comma and a word that falls into pieces."""
    return [("a red house",), ("a blue dragon on the sand, at night",)]


def _ids_cases() -> list[tuple[Any, ...]]:
    """Token ids of begin, words, end and padding; the last prompt fills its row."""
    import torch

    begin, end = 706, 707
    short = torch.tensor([[begin, 8, 5, end, end, end], [begin, 3, end, end, end, end]])
    full = torch.tensor([[begin, 9, 4, 2, end, end, end], [begin, 7, 7, 1, 6, 2, end]])
    return [(short, end), (full, end)]


def _vector_cases() -> list[tuple[Any, ...]]:
    """Fewer texts than pictures, and none of the vectors of length 1."""
    from ...diffusion.seeds import randn

    return [(randn((2, 5), [i])[0], 3 * randn((4, 5), [i + 10])[0]) for i in (0, 1)]


def _similarity_cases() -> list[tuple[Any, ...]]:
    from ...diffusion.seeds import randn

    return [(randn((4, 4), [i])[0] / 3, scale) for i, scale in enumerate((10.0, 2.5))]


def _loss(*lines: str) -> str:
    """The source of an answer that computes a loss in these lines."""
    body = "".join(f"    {line}\n" for line in lines)
    imports = "import torch\nfrom torch.nn.functional import cross_entropy\n\n\n"
    return f"{imports}def answer(similarity, scale):\n{body}"


LOGITS = "logits = scale * similarity"
RIGHT = "right = torch.arange(len(similarity))"
BY_TEXT = "by_text = cross_entropy(logits, right)"
BY_PICTURE = "by_picture = cross_entropy(logits.T, right)"
MEAN = "return (by_text + by_picture) / 2"

_TOKENS = Exercise(
    name="clip.tokens",
    solution=_function(COUNTING, "len(sd.tokenizer(prompt).input_ids)"),
    reason="Known words and commas are one token each, unknown words are several, and begin and "
    "end take a place each. That leaves 75 of the 77 places for the prompt.",
    cases=_prompt_cases,
    needs=("sd",),
    mistakes=_mistakes(
        COUNTING,
        "len(prompt.split())",
        "you counted words: commas and the pieces of unknown words are tokens too, and so are "
        "the two marks",
        "len(prompt.split()) + 2",
        "the marks are in, but you counted words: an unknown word is several tokens, a comma one",
        "len(sd.tokenizer(prompt).input_ids) - 2",
        "begin and end take a place each: leave them in",
        "sd.tokenize(prompt).shape[1]",
        "that is 77 for every prompt, for sd.tokenize fills up: count before it is filled up",
        "int((sd.tokenize(prompt) != sd.tokenizer.eos_token_id).sum())",
        "the padding is gone, but so is the end mark: it has the same id, and it counts",
    ),
    hints=(
        "Do not cut the prompt yourself: the tokenizer knows what a token is.",
        "sd.tokenizer(prompt).input_ids is the list of ids of one prompt, not filled up.",
        "Its length is the answer: the list begins with the begin mark and ends with the end mark.",
    ),
)

_END = Exercise(
    name="clip.end",
    solution=_function(ENDING, "(ids != end).sum(dim=1)"),
    reason="The padding repeats the end mark, so all that is not the end mark stands before it. "
    "Counted from 0, their number is the place of the end mark. CLIP takes its vector there.",
    cases=_ids_cases,
    mistakes=_mistakes(
        ENDING,
        "ids.new_full((len(ids),), ids.shape[1] - 1)",
        "that is the last place, which holds padding: the first end mark is wanted",
        "(ids == end).sum(dim=1)",
        "you counted the end marks, padding included: count what stands before the first of them",
        "(ids != end).sum(dim=1) - 1",
        "that is the last token of the prompt itself: the end mark comes one place later",
        "(ids != end).sum(dim=1) + 1",
        "one too far: places are counted from 0",
        "(ids != end).sum()",
        "you added up all prompts: one number for each of them, so along dim=1",
    ),
    hints=(
        "The end mark and the padding have the same id. The first place that holds it is wanted.",
        "ids != end is True at begin and at the tokens of the prompt, and False from the end on.",
        "Add up the True ones of each row: (...).sum(dim=1).",
    ),
)

_COSINE = Exercise(
    name="clip.cosine",
    solution="""\
def answer(texts, pictures):
    texts = texts / texts.norm(dim=1, keepdim=True)
    pictures = pictures / pictures.norm(dim=1, keepdim=True)
    return texts @ pictures.T
""",
    reason="Divided by their lengths, the vectors have length 1, and then the product of two of "
    "them is the cosine of the angle between them. The @ makes all products at once.",
    cases=_vector_cases,
    mistakes=_mistakes(
        COMPARING,
        "texts @ pictures.T",
        "you forgot to normalise: long vectors win whatever their direction",
        "texts / texts.norm(dim=1, keepdim=True) @ pictures.T",
        "the texts have length 1, the pictures do not yet",
        "texts @ (pictures / pictures.norm(dim=1, keepdim=True)).T",
        "the pictures have length 1, the texts do not yet",
        "(texts / texts.norm(dim=0)) @ (pictures / pictures.norm(dim=0)).T",
        "you normalised the columns: a vector is a row, so dim=1 with keepdim=True",
        "(texts / texts.norm()) @ (pictures / pictures.norm()).T",
        "norm() without dim is one length for the whole table: every row has its own",
        "(pictures / pictures.norm(dim=1, keepdim=True)) "
        "@ (texts / texts.norm(dim=1, keepdim=True)).T",
        "the numbers are right, but texts are to be the rows and pictures the columns",
    ),
    hints=(
        "Two steps: give every vector the length 1, then multiply each text with each picture.",
        "The lengths of the rows are texts.norm(dim=1, keepdim=True). Divide by them.",
        "All products of the rows of a with the rows of b are a @ b.T.",
    ),
)

_CONTRASTIVE = Exercise(
    name="clip.contrastive",
    solution=_loss(LOGITS, RIGHT, BY_TEXT, BY_PICTURE, MEAN),
    reason="Each text must find its picture among all pictures (rows), and each picture its text "
    "among all texts (columns); the loss is the mean of both (CLIP, figure 3).",
    cases=_similarity_cases,
    mistakes=(
        Mistake(
            _loss(LOGITS, RIGHT, "return cross_entropy(logits, right)"),
            "that is one direction: each text finds its picture. Each picture must find its text "
            "as well",
        ),
        Mistake(
            _loss(LOGITS, RIGHT, "return cross_entropy(logits.T, right)"),
            "that is one direction: each picture finds its text. Each text must find its picture "
            "as well",
        ),
        Mistake(
            _loss(LOGITS, RIGHT, BY_TEXT, BY_PICTURE, "return by_text + by_picture"),
            "both directions are there, but you added them up: their mean is wanted",
        ),
        Mistake(
            _loss("logits = similarity", RIGHT, BY_TEXT, BY_PICTURE, MEAN),
            "multiply the similarities by scale first: between -1 and 1 no answer can be sure",
        ),
        Mistake(
            _loss("logits = similarity / scale", RIGHT, BY_TEXT, BY_PICTURE, MEAN),
            "scale is 1 / temperature already: multiply by it",
        ),
        Mistake(
            _loss("logits = (scale * similarity).softmax(dim=1)", RIGHT, BY_TEXT, BY_PICTURE, MEAN),
            "cross_entropy makes the softmax itself: give it the bare numbers",
        ),
        Mistake(
            _loss(LOGITS, "return -logits.diagonal().mean()"),
            "you reward right pairs only: the wrong ones have to get less, so use cross_entropy",
        ),
    ),
    hints=(
        "Row i is a question with as many choices as there are pictures. The right one is i.",
        "cross_entropy(logits, torch.arange(len(logits))) asks that of all rows at once.",
        "Do the same with logits.T, where the rows are pictures, and take the mean of the two.",
    ),
)

EXERCISES = (_TOKENS, _END, _COSINE, _CONTRASTIVE)

QUESTIONS = (
    Question(
        text="What does the U-Net of Stable Diffusion get of your prompt?",
        choices=(
            (
                "one vector that sums it up",
                "no: CLIP compares with such a vector, but the U-Net does not get it, and drew "
                "worse when it did (section 9)",
            ),
            ("its token ids", "no: ids are row numbers of a table, they say nothing by themselves"),
            (
                "77 states, one for each place",
                "yes: padding included, 77 x 768 numbers in Stable Diffusion 1.5 (section 9)",
            ),
        ),
        right=2,
    ),
    Question(
        text='"a red house": which states can know that the red thing is a house?',
        choices=(
            ("that of the begin mark", "no: it is the same for every prompt (section 5)"),
            ('that of "red"', "no: the tower looks back only, and the house comes later"),
            (
                'that of "house" and all after it',
                "yes: they stand behind both words, and the tower looks back (section 5)",
            ),
        ),
        right=2,
    ),
    Question(
        text="What did CLIP learn from?",
        choices=(
            (
                "from lists of what can be seen in each picture",
                "no: nobody made such lists, captions as they are were enough",
            ),
            (
                "from pictures and texts, and from which belongs to which",
                "yes: in each batch a text has to find its picture among all others, and a "
                "picture its text (section 6)",
            ),
            (
                "from drawing pictures",
                "no: it was trained before, and Stable Diffusion left it as it was",
            ),
        ),
        right=1,
    ),
)
