"""Exercises of lesson 02: texts as numbers (CLIP, arXiv 2103.00020)."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from ...diffusion.seeds import randn
from ..exercises import Cases, Exercise, Mistakes


class Tokens(Exercise, name="clip.tokens"):
    """Known words and commas are one token each, unknown words are several, and begin and end take
    a place each. That leaves 75 of the 77 places for the prompt.
    """

    others = ("len(sd.tokenizer.tokenize(prompt)) + 2",)
    hints = (
        "Do not cut the prompt yourself: the tokenizer knows what a token is.",
        "sd.tokenizer(prompt).input_ids is the list of ids of one prompt, not filled up.",
        "Its length is the answer: the list begins with the begin mark and ends with the end mark.",
    )

    def cases(self) -> Cases:
        """A short prompt; one with a comma and a word that no small tokenizer knows."""
        return [("a red house",), ("a blue brontosaurus on the sand, at night",)]

    def answer(self, prompt: str, *, sd: Any) -> int:
        return len(sd.tokenizer(prompt).input_ids)

    def mistakes(self, prompt: str, *, sd: Any) -> Mistakes:
        yield len(prompt.split())
        yield "you counted words: commas, pieces of unknown words and the two marks are tokens too"
        yield len(prompt.split()) + 2
        yield "the marks are in, but you counted words: unknown ones are several tokens, commas one"
        yield len(prompt)
        yield "you counted letters: give the prompt to sd.tokenizer and count its ids"
        yield len(sd.tokenizer(prompt))
        yield "that counts what the tokenizer gives, ids and mask: count the ids, .input_ids"
        yield len(sd.tokenizer(prompt).input_ids) - 2
        yield "begin and end take a place each: leave them in"
        yield sd.tokenize(prompt).shape[1]
        yield "that is 77 for every prompt, for sd.tokenize fills up: count before it is filled up"
        yield int((sd.tokenize(prompt) != sd.tokenizer.eos_token_id).sum())
        yield "the padding is gone, but so is the end mark: it has the same id, and it counts"
        yield sd.tokenizer(prompt).input_ids
        yield "those are the ids: how many are there? len(...) counts them"


class End(Exercise, name="clip.end"):
    """The padding repeats the end mark, so all that is not the end mark stands before it. Counted
    from 0, their number is the place of the end mark. CLIP takes its vector there.
    """

    hints = (
        "The end mark and the padding have the same id. The first place that holds it is wanted.",
        "ids != end is True at begin and at the tokens of the prompt, and False from the end on.",
        "Add up the True ones of each row: (...).sum(dim=1).",
    )

    def cases(self) -> Cases:
        """Token ids of begin, words, end and padding; the last prompt fills its row."""
        begin, end = 706, 707
        small = torch.tensor([[begin, 8, end, end], [begin, 3, 5, end]])
        short = torch.tensor([[begin, 8, 5, end, end, end], [begin, 3, end, end, end, end]])
        full = torch.tensor([[begin, 9, 4, 2, end, end, end], [begin, 7, 7, 1, 6, 2, end]])
        return [(small, end), (short, end), (full, end)]

    def answer(self, ids: Tensor, end: int) -> Tensor:
        return (ids != end).sum(dim=1)

    def mistakes(self, ids: Tensor, end: int) -> Mistakes:
        yield ids.new_full((len(ids),), ids.shape[1] - 1)
        yield "that is the last place, which holds padding: the first end mark is wanted"
        yield (ids == end).sum(dim=1)
        yield "you counted the end marks, padding included: count what stands before the first"
        yield (ids != end).sum(dim=1) - 1
        yield "that is the last token of the prompt itself: the end mark comes one place later"
        yield (ids != end).sum(dim=1) + 1
        yield "one too far: places are counted from 0"
        yield (ids != end).sum()
        yield "you added up all prompts: one number for each of them, so along dim=1"
        yield (ids != end).sum(dim=0)
        yield "you added up columns: a prompt is a row, so along dim=1"
        yield (ids == end).nonzero()
        yield "those are all places with the end mark, padding included: each row's first is wanted"


class Cosine(Exercise, name="clip.cosine"):
    """Divided by their lengths, the vectors have length 1, and then the product of two of them is
    the cosine of the angle between them. The @ makes all products at once.
    """

    others = (
        "(texts / texts.norm(dim=1, keepdim=True))"
        " @ (pictures / pictures.norm(dim=1, keepdim=True)).T",
    )
    hints = (
        "Two steps: give every vector the length 1, then multiply each text with each picture.",
        "The lengths of the rows are texts.norm(dim=1, keepdim=True). Divide by them.",
        "All products of the rows of a with the rows of b are a @ b.T.",
    )

    def cases(self) -> Cases:
        """Fewer texts than images, and none of the vectors of length 1."""
        small = (torch.tensor([[3.0, 4.0]]), torch.tensor([[2.0, 0.0], [0.0, 5.0]]))
        return [small, *((randn((2, 5), [i])[0], 3 * randn((4, 5), [i + 10])[0]) for i in (0, 1))]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"cosine_similarity": cosine_similarity}

    def answer(self, texts: Tensor, pictures: Tensor) -> Tensor:
        texts = texts / texts.norm(dim=1, keepdim=True)
        pictures = pictures / pictures.norm(dim=1, keepdim=True)
        return texts @ pictures.T

    def mistakes(self, texts: Tensor, pictures: Tensor) -> Mistakes:
        yield texts @ pictures.T
        yield "you forgot to normalise: long vectors win whatever their direction"
        yield texts / texts.norm(dim=1, keepdim=True) @ pictures.T
        yield "the texts have length 1, the pictures do not yet"
        yield texts @ (pictures / pictures.norm(dim=1, keepdim=True)).T
        yield "the pictures have length 1, the texts do not yet"
        yield (texts / texts.norm(dim=0)) @ (pictures / pictures.norm(dim=0)).T
        yield "you normalised the columns: a vector is a row, so dim=1 with keepdim=True"
        yield (texts / texts.norm()) @ (pictures / pictures.norm()).T
        yield "norm() without dim is one length for the whole table: every row has its own"
        yield (texts @ pictures.T) / (texts**2).sum(dim=1)[:, None] / (pictures**2).sum(dim=1)
        yield "you divided by the squares of the lengths: take their roots, or norm"
        yield self.answer(pictures, texts)
        yield "the numbers are right, but texts are to be the rows and pictures the columns"


class Contrastive(Exercise, name="clip.contrastive"):
    """Each text must find its picture among all pictures (rows), and each picture its text among
    all texts (columns); the loss is the mean of both (CLIP, figure 3).
    """

    hints = (
        "Row i is a question with as many choices as there are pictures. The right one is i.",
        "cross_entropy(logits, torch.arange(len(logits))) asks that of all rows at once.",
        "Do the same with logits.T, where the rows are pictures, and take the mean of the two.",
    )

    def cases(self) -> Cases:
        small = (torch.tensor([[0.5, -0.5], [0.0, 1.0]]), 2.0)
        table = (randn((4, 4), [i])[0] / 3 for i in (0, 1))
        return [small, *zip(table, (10.0, 2.5), strict=True)]

    def answer(self, similarity: Tensor, scale: float) -> Tensor:
        import torch
        from torch.nn.functional import cross_entropy

        logits = scale * similarity
        right = torch.arange(len(similarity))
        by_text = cross_entropy(logits, right)
        by_picture = cross_entropy(logits.T, right)
        return (by_text + by_picture) / 2

    def mistakes(self, similarity: Tensor, scale: float) -> Mistakes:
        logits = scale * similarity
        right = torch.arange(len(similarity))
        yield cross_entropy(logits, right)
        yield "that is each text finding its picture: each picture must find its text as well"
        yield cross_entropy(logits.T, right)
        yield "that is each picture finding its text: each text must find its picture as well"
        yield cross_entropy(logits, right) + cross_entropy(logits.T, right)
        yield "both directions are there, but you added them up: their mean is wanted"
        yield self.answer(similarity, 1)
        yield "multiply the similarities by scale first: between -1 and 1 no answer can be sure"
        yield self.answer(similarity, 1 / scale)
        yield "scale is 1 / temperature already: multiply by it"
        yield self.answer(logits.softmax(dim=1), 1)
        yield "cross_entropy makes the softmax itself: give it the bare numbers"
        yield -logits.diagonal().mean()
        yield "you reward right pairs only: the wrong ones have to get less, so use cross_entropy"


EXERCISES = (Tokens(), End(), Cosine(), Contrastive())
