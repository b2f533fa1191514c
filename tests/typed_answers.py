"""What learners type into the exercises, and what the reply must hold.

An answer is written as `probe.cell_of` reads it: a formula, the lines of a function, or a whole
cell. Every sentence that the catalogue and `slips` have for a wrong answer stands here beside an
answer that earns it; `test_typed_answers.py` tries them all and looks that none is missing.
"""

RIGHT = "Right: "

# Pieces of answers.
PRED_X0 = "((x_t - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5)"
PIXELS = "sd.vae.decode(latents / sd.vae.config.scaling_factor).sample"
UNCOND = "sd.predict_noise(latents, t, sd.encode_text(''))"
COND = "sd.predict_noise(latents, t, sd.encode_text(prompt))"
AVOIDED = "sd.predict_noise(latents, t, sd.encode_text(negative))"
SEEDED = "torch.Generator().manual_seed(seed)"
CAR = 'token_positions(sd.tokenizer, prompt, "car")'
SHARE = "sum(all(seen[n] == w for n, w in asked.items()) for seen in readings) / len(readings)"
PREDICTED = (
    "empty = sd.predict_noise(latents, t, sd.encode_text(''))\n"
    "texts = [sd.predict_noise(latents, t, sd.encode_text(p)) for p in prompts]\n"
    "ways = [s * (text - empty) for s, text in zip(scales, texts)]\n"
)
LAST = "timesteps[-int(strength * len(timesteps)):]"
KEPT = "(alpha_bar**0.5 * latents + (1 - alpha_bar) ** 0.5 * noise)"
FLOW_X0 = "((z - s * eps) / (1 - s))"
ALONG = "(difference * towards).sum(dim=(1, 2, 3), keepdim=True)"
SQUARE = "(towards * towards).sum(dim=(1, 2, 3), keepdim=True)"
UNET, DECODER = 'large.parts["unet"].flops', 'large.parts["vae_decoder"].flops'


def loss(formula: str) -> str:
    return (
        "import torch\nfrom torch.nn.functional import cross_entropy\n"
        "logits, right = scale * similarity, torch.arange(len(similarity))\n"
        f"return {formula}"
    )


def skips(result: str, blocks: str = "[1]", t: int = 200, text: str = "cond") -> str:
    return (
        f"with without_skips(sd.unet, {blocks}):\n"
        f"    eps = sd.predict_noise(noised({t}), {t}, {text})\n"
        f"answer = {result}\n"
    )


def begun(left: str, t: str, end: str = "denoise(x_t, left)") -> str:
    """Image to image from these timesteps on, with the noise of `t`."""
    return (
        f"left = {left}\nalpha_bar = alphas_cumprod[{t}]\n"
        "x_t = alpha_bar**0.5 * latents + (1 - alpha_bar) ** 0.5 * noise\n"
        f"return {end}"
    )


def loss_of(formula: str) -> str:
    return f"x_t = alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise\nreturn {formula}"


def guess_of(formula: str) -> str:
    return f"far = ((x_t - alpha_bar**0.5 * points) ** 2).sum(dim=1)\nreturn {formula}"


def apart(formula: str) -> str:
    squares = "((drawn[:, None] - known) ** 2).mean(dim=(2, 3, 4))"
    return f"apart = {squares} ** 0.5\nreturn {formula}"


def loop(
    step: str = "diffusion.ddim_step(x_t, eps, alphas_cumprod[t], alphas_cumprod[t_prev])",
    pairs: str = "zip(timesteps, [*timesteps[1:], 0])",
    eps: str = "sd.predict_noise(x_t, t, cond)",
) -> str:
    return f"x_t = noise\nfor t, t_prev in {pairs}:\n    eps = {eps}\n    x_t = {step}\nreturn x_t"


def guided(eps: str) -> str:
    """The loop of two calls, whose answers `eps` puts together."""
    u, c = (f"sd.predict_noise(x_t, t, {states})" for states in ("uncond", "cond"))
    return loop(eps=f"(lambda u, c: {eps})({u}, {c})")


TYPED: dict[str, tuple[tuple[str, str], ...]] = {
    "tensors.crop": (
        ("picture[:, :, 64:]", RIGHT),
        ("picture[:, :, 64:128, :]", RIGHT),
        ("picture[..., -64:, :]", RIGHT),
        ("picture[:, :, :64]", "that is the upper half: rows are counted from the top"),
        ("picture[:, :, :, 64:]", "that is the right half: axis 3 counts the columns"),
        ("picture[:, :, 64:, 64:]", "that is a quarter of the picture: all columns are wanted"),
        ("picture[:, :, 64]", "that is row 64 alone: with a colon behind it, 64:, all rows"),
        ("picture[:, 64:]", "axis 1 counts the colours, and there are only three"),
        ("picture[64:]", "axis 0 counts the pictures, and there is only one"),
        ("picture[0, :, 64:]", "the 0 in front has taken away axis 0"),
        ("picture[:, :, 65:]", "the shape (1, 3, 64, 128) is expected, yours is (1, 3, 63, 128)"),
        ("picture[:, :, 32:96]", "the values are off by up to"),
        ("64", "a tensor is expected, yours is a number"),
    ),
    "tensors.mix": (
        ("(1 - share) * one + share * other", RIGHT),
        ("one + share * (other - one)", RIGHT),
        ("import torch\nreturn torch.lerp(one, other, share)", RIGHT),
        ("mixed = one * (1 - share) + other * share\nreturn mixed", RIGHT),
        ("share * one + (1 - share) * other", "with a share of 0 that gives all of `other`"),
        ("(one + other) / 2", "that is half of each, whatever `share` is"),
        ("one + other", "that is all of both: multiply each of them with its amount first"),
        ("one + share * other", "`one` is there in full"),
        ("(1 - share) * one + other", "`other` is there in full"),
        ("share * one + share * other", "you take the share of both"),
        ("1 - share * one + share * other", "brackets are missing around `1 - share`"),
        ("(1 - share) * one - share * other", "you subtract where you should add"),
        (
            "share * other",
            "with one = [0, 0.8], other = [1, 0.4] and share = 0.25 yours gives [0.25, 0.1], and "
            "[0.25, 0.7] is right",
        ),
        ("(1 - share) * one + share * others", "`others` is not known"),
        ("(1 - share) * one + share * other\n...", "write return in front of"),
    ),
    "tensors.colour": (
        ("batch.mean(dim=(0, 2, 3))", RIGHT),
        ("batch.mean((0, -2, -1))", RIGHT),
        ("batch.mean(dim=0).mean(dim=(1, 2))", RIGHT),
        ("[batch[:, i].mean() for i in range(3)]", RIGHT),
        ("batch.mean(dim=(1, 2, 3))", "that is one number for each picture: keep axis 1"),
        ("batch.mean(dim=1)", "what `dim` names is gone, and here the colours are"),
        ("batch.mean()", "that is one number for everything"),
        ("batch.mean(dim=0)", "that is the mean picture"),
        ("batch.mean(dim=(2, 3))", "that is a colour for each picture: axis 0 is to go as well"),
        ("batch.mean(dim=(0, 2, 3), keepdim=True)", "leave keepdim=True out"),
        ("batch.sum(dim=(0, 2, 3))", "take the mean in place of the sum"),
        ("batch.mean(dim=(0, 1, 2))", "the shape (3,) is expected, yours is (128,)"),
        ("[0.43, 0.45, 0.50]", "give at least 3 decimals"),
    ),
    "start.numbers": (
        ("6144", RIGHT),
        ("6144.0", RIGHT),
        ("48 * 32 * 4", RIGHT),
        ("sd.encode_image(viz.to_tensor(first[0].resize((384, 256)))).numel()", RIGHT),
        ("48 * 32 * 3", "that is 64 times fewer, with 3 channels as in a picture: a latent has 4"),
        ("48 * 32", "that is one channel; the latent has 4 of them"),
        ("384 * 256 * 3", "that is the picture itself"),
        ("48 * 256 * 4", "you made one side 8 times shorter: both are"),
        ("384 * 256 * 3 / 8", "both sides become 8 times shorter, not one of them"),
        ("16 * 16 * 4", "that is the latent of 128 by 128; this picture is larger"),
        (
            "(4, 32, 48)",
            "one number is expected, and yours are its factors: multiply them, 4 * 32 * 48",
        ),
        ("'6144'", "a number is expected, yours is a text: leave the quotes out"),
        ("6145", "6,145 is too large, by one"),
        (
            "5000",
            "the picture has 294,912, 59 times as many; of 128 by 128 it was 49,152 and 1,024",
        ),
        ("0", "0 is too small."),
    ),
    "noise.add_noise": (
        ("alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise", RIGHT),
        (
            "import torch\nreturn torch.sqrt(alpha_bar) * x0 + torch.sqrt(1 - alpha_bar) * noise",
            RIGHT,
        ),
        (
            "import math\nreturn math.sqrt(alpha_bar) * x0 + math.sqrt(1 - alpha_bar) * noise",
            RIGHT,
        ),
        ("return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise\n...", RIGHT),
        ("(alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise).round(decimals=3)", RIGHT),
        ("(alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise).tolist()", RIGHT),
        ("alpha_bar**0.5 * noise + (1 - alpha_bar) ** 0.5 * x0", "sqrt(alpha_bar) on the noise"),
        ("alpha_bar * x0 + (1 - alpha_bar) * noise", "are shares of variance: multiply with"),
        ("alpha_bar.sqrt() * x0 + (1 - alpha_bar.sqrt()) * noise", "not 1 minus the root"),
        ("x0 + (1 - alpha_bar).sqrt() * noise", "your picture stays at full strength"),
        ("alpha_bar.sqrt() * x0 + noise", "your noise always has full strength"),
        ("alpha_bar**1/2 * x0 + (1 - alpha_bar)**1/2 * noise", "you halve where a root is needed"),
        ("alpha_bar**0.5 * x0 + (1 - alpha_bar)**1/2 * noise", "you halve where a root is needed"),
        (
            "alpha_bar**2 * x0 + (1 - alpha_bar)**2 * noise",
            "you square `alpha_bar` and `(1 - alpha",
        ),
        (
            "alpha_bar**0.5 * x0 + (1 - alpha_bar)**2 * noise",
            "you square `(1 - alpha_bar)` where a",
        ),
        (
            "alpha_bar**0.5 * x0 + (1 - alpha_bar) * noise",
            "the root of `(1 - alpha_bar)` is missing",
        ),
        (
            "alpha_bar**0.5 * x0 + 1 - alpha_bar**0.5 * noise",
            "brackets are missing around `1 - alp",
        ),
        ("alpha_bar**0.5 * x0 - (1 - alpha_bar) ** 0.5 * noise", "you subtract where you should"),
        ("alpha_bar**0.5 * x0 + (1 + alpha_bar) ** 0.5 * noise", "you add where you should subtr"),
        ("(alpha_bar**0.5 * x0 + (1 - alpha_bar)**0.5 * noise).clamp(-1, 1)", "do not clamp"),
        ("(alpha_bar**0.5 * x0 + (1 - alpha_bar)**0.5 * noise).clamp(0, 1)", "do not clamp"),
        (
            "alpha_bar^0.5 * x0 + (1 - alpha_bar)^0.5 * noise",
            "`^` is not a power in Python, it comp",
        ),
        ("diffusion.add_noise(x0, noise, alpha_bar)", "right, but diffusion.add_noise made it"),
        ("alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise[None]", "there is an axis too many"),
        (
            "alpha_bar**0.5 * x0 + 2 * (1 - alpha_bar) ** 0.5 * noise",
            "with x0 = [2, -1], noise = [1, 0.5] and alpha_bar = 0.64 yours gives [2.8, -0.2], and "
            "[2.2, -0.5] is right",
        ),
        (
            "x_0 + noise",
            "at `return x_0 + noise`: `x_0` is not known: is it spelt right, did its cell run?",
        ),
        (
            "alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise[:1, :1]",
            "an index points beyond the end; x0 has the shape (2,) and noise has the shape (2,)",
        ),
        (
            "import torch\nreturn alpha_bar**0.5 * x0 + torch.randn(7)",
            "the shapes do not fit together; x0 has the shape (2,).",
        ),
        ("2(x0 + noise)", "a number cannot be called: is a `*` missing before `(`?"),
        ("x0.sqroot() + noise", "a tensor has no `.sqroot`"),
        ("x0 + 'noise'", "cannot be put together by `+`"),
        ("print(x0 + noise)", "your function prints, and what is printed is not given back: write"),
        ("x0 + noise\n...", "your function returns nothing: write return in front of `x0 + noise`"),
        ("y = x0 + noise\ny.sum()", "let it end with return and the result"),
        (
            "import torch\nfresh = torch.randn(x0.shape)\n"
            "return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * fresh",
            "another result at every call, as it draws new noise: use `noise`, which it is given",
        ),
        (
            "def answer(x0, noise):\n    return x0 + noise",
            "must take x0, noise and alpha_bar, in this",
        ),
    ),
    "noise.alpha_bar": (
        ("(1 - betas).cumprod(0)", RIGHT),
        ("import torch\nreturn torch.cumprod(1 - betas, dim=0)", RIGHT),
        ("(1 - betas).cumprod(dim=0).tolist()", RIGHT),
        ("list((1 - betas).cumprod(dim=0))", RIGHT),
        (
            "left, bars = 1.0, []\nfor beta in betas:\n    left = left * (1 - beta)\n"
            "    bars.append(left)\nreturn bars",
            RIGHT,
        ),
        ("[round(float(bar), 3) for bar in (1 - betas).cumprod(dim=0)]", RIGHT),
        ("(1 - betas).sqrt().cumprod(dim=0)", "that is the product of the roots"),
        ("1 - betas", "that is what one step alone leaves"),
        ("betas.cumprod(dim=0)", "you multiplied what each step adds"),
        ("1 - betas.cumsum(dim=0)", "you took the betas away one after the other"),
        ("1 - betas.cumprod(dim=0)", "first 1 - beta, then the product"),
        ("(1 - betas).prod()", "that is the last one only"),
        ("(1 - betas).cumsum(dim=0)", "you added up what the steps leave"),
        ("(1 - betas).cumprod()", "say along which axis the numbers are taken together: dim=..."),
        ("(1 + betas).cumprod(dim=0)", "a sign is the other way round: you add where you should"),
        (
            "diffusion.alphas_cumprod(betas)",
            "but diffusion.alphas_cumprod made it: write its lines",
        ),
        (
            "(1 - betas).cumprod(dim=0) ** 2",
            "with betas = [0.1, 0.2, 0.5] yours gives [0.81, 0.5184, 0.1296], and [0.9, "
            "0.72, 0.36]",
        ),
    ),
    "noise.even": (
        ("int((alphas_cumprod >= 0.5).sum())", RIGHT),
        ("(alphas_cumprod >= 0.5).sum()", RIGHT),
        ("float((alphas_cumprod >= 0.5).sum())", RIGHT),
        ("500", "half of the steps is not half of the noise"),
        ("(alphas_cumprod >= 0.5).sum() - 1", "there the picture is still the stronger one"),
        (
            "(alphas_cumprod.sqrt() >= 0.5).sum()",
            "you compared the root of alpha_bar with one half",
        ),
        ("0.5", "that is the alpha_bar at that place"),
        ("200", "200 is too small; there alpha_bar is 0.754, which gives an SNR of 3.06, above 1."),
        ("700", "which gives an SNR of 0.0899, below 1, and earlier ones do, too"),
        ("2000", "a t is a whole number from 0 to 999"),
        ("(alphas_cumprod >= 0.5)", "a number is expected, yours is a tensor"),
    ),
    "noise.copies": (
        ("213", RIGHT),
        ("214", RIGHT),
        ("212", RIGHT),  # of 0.0047, as the lesson prints alpha_bar
        ("215", RIGHT),  # of 0.068 squared
        ("1 / 0.068**2 - 1", "that is right, but copies come whole: round it"),
        ("900", RIGHT),  # with the variance of the 64 x 64 pixels
        ("854", RIGHT),  # with that of the 128 x 128 pixels, 0.25
        ("847", RIGHT),  # with the printed 0.0047 and 0.25
        ("848", RIGHT),  # four times 212
        ("round((1 - 0.0047) / (0.0047 * 0.25))", RIGHT),
        ("800", "0.001244 and the picture's part 0.00466: take fewer"),
        ("round(((1 - alphas_cumprod[-1]) / alphas_cumprod[-1]).item())", RIGHT),
        ("15", "weakens the noise by the root of N only: square your number"),
        ("199", "alpha_bar rounded to 0.005 is 7 % off: take alphas_cumprod[-1] itself"),
        (
            "50",
            "the noise that is left has the variance 0.01991 and the picture's part 0.00466: take",
        ),
        ("4096", "0.000243 and the picture's part 0.00466: take fewer"),
        ("0.0047", "0.0047 is no number of copies: at least one must be averaged"),
        ("[214]", "a number is expected, yours is a list"),
    ),
    "noise.recover": (
        ("(x_t - (1 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()", RIGHT),
        ("x_t - noise", "in x_t the noise has the strength sqrt(1 - alpha_bar)"),
        ("x_t - (1 - alpha_bar) ** 0.5 * noise", "the picture is still faded"),
        (
            "(x_t - (1 - alpha_bar) ** 0.5 * noise) * alpha_bar**0.5",
            "multiplied with sqrt(alpha_bar):",
        ),
        ("(x_t - noise) / alpha_bar**0.5", "the division is right; of the noise, subtract only"),
        ("(x_t - alpha_bar**0.5 * noise) / (1 - alpha_bar) ** 0.5", "you swapped the two roots"),
        ("(x_t - (1 - alpha_bar) * noise) / alpha_bar", "the roots are missing, on the noise and"),
        (
            "(x_t - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar",
            "nearly: the picture was multiplied",
        ),
        (
            "x_t - (1 - alpha_bar) ** 0.5 * noise / alpha_bar**0.5",
            "brackets are missing around `x_t",
        ),
        (
            "(x_t - (1 - alpha_bar)**1/2 * noise) / alpha_bar**1/2",
            "you halve where a root is needed",
        ),
        (
            "(x_t - (1 - alpha_bar) ** 2 * noise) / alpha_bar ** 2",
            "you square `(1 - alpha_bar)` and",
        ),
        (
            "(x_t + (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5",
            "you add where you should subt",
        ),
        ("diffusion.pred_x0(x_t, noise, alpha_bar)", "but diffusion.pred_x0 made it"),
    ),
    "clip.tokens": (
        ("len(sd.tokenizer(prompt)['input_ids'])", RIGHT),
        ("len(sd.tokenizer.encode(prompt))", RIGHT),
        ("len(prompt.split())", "you counted words: commas"),
        ("len(prompt.split()) + 2", "the marks are in, but you counted words"),
        ("len(prompt)", "you counted letters"),
        ("len(sd.tokenizer(prompt))", "that counts what the tokenizer gives, ids and mask"),
        ("len(sd.tokenizer.tokenize(prompt))", "begin and end take a place each"),
        ("sd.tokenize(prompt).shape[1]", "that is 77 for every prompt"),
        ("(sd.tokenize(prompt) != sd.tokenizer.eos_token_id).sum()", "so is the end mark: it has"),
        ("sd.tokenizer(prompt).input_ids", "those are the ids: how many are there?"),
        ("len(sd.tokenizer(prompt).input_ids) * 3", "with prompt = 'a red house' yours gives"),
    ),
    "clip.end": (
        ("(ids == end).int().argmax(dim=1)", RIGHT),
        ("[list(row).index(end) for row in ids.tolist()]", RIGHT),
        ("(ids != end).sum(dim=1).tolist()", RIGHT),
        ("0 * ids[:, 0] + ids.shape[1] - 1", "that is the last place, which holds padding"),
        ("(ids == end).sum(dim=1)", "you counted the end marks, padding included"),
        ("(ids != end).sum(dim=1) - 1", "that is the last token of the prompt itself"),
        ("(ids != end).sum(dim=1) + 1", "one too far: places are counted from 0"),
        ("(ids != end).sum()", "you added up all prompts"),
        ("(ids != end).sum(dim=0)", "you added up columns"),
        ("(ids == end).nonzero()", "those are all places with the end mark"),
        (
            "(ids != end).sum(dim=1) * 2",
            "706, 3, 5, 707]] and end = 707 yours gives [4, 6], and [2, 3]",
        ),
        ("(ids != end)", "the shape (2,) is expected, yours is (2, 4)"),
    ),
    "clip.cosine": (
        (
            "from torch.nn.functional import normalize\n"
            "return normalize(texts, dim=1) @ normalize(pictures, dim=1).T",
            RIGHT,
        ),
        (
            "return texts @ pictures.T / texts.norm(dim=1)[:, None] / pictures.norm(dim=1)",
            RIGHT,
        ),
        ("texts @ pictures.T", "you forgot to normalise"),
        (
            "texts / texts.norm(dim=1, keepdim=True) @ pictures.T",
            "the texts have length 1, the pict",
        ),
        (
            "texts @ (pictures / pictures.norm(dim=1, keepdim=True)).T",
            "the pictures have length 1,",
        ),
        (
            "(texts / texts.norm(dim=0)) @ (pictures / pictures.norm(dim=0)).T",
            "the columns: a vector",
        ),
        (
            "(texts / texts.norm()) @ (pictures / pictures.norm()).T",
            "norm() without dim is one len",
        ),
        (
            "texts = texts / (texts**2).sum(dim=1, keepdim=True)\n"
            "pictures = pictures / (pictures**2).sum(dim=1, keepdim=True)\n"
            "return texts @ pictures.T",
            "you divided by the squares of the lengths",
        ),
        (
            "texts = texts / texts.norm(dim=1, keepdim=True)\n"
            "pictures = pictures / pictures.norm(dim=1, keepdim=True)\n"
            "return pictures @ texts.T",
            "texts are to be the rows and pictures the columns",
        ),
        (
            "texts = texts / texts.norm(dim=1)\npictures = pictures / pictures.norm(dim=1)\n"
            "return texts @ pictures.T",
            "without keepdim=True the lengths lose their axis",
        ),
        (
            "texts = texts / texts.norm(dim=1, keepdim=True)\n"
            "pictures = pictures / pictures.norm(dim=1)\nreturn texts @ pictures.T",
            "without keepdim=True the lengths lose their axis",
        ),
        (
            "texts = texts / texts.norm(dim=1, keepdim=True)\n"
            "pictures = pictures / pictures.norm(dim=1, keepdim=True)\nreturn texts @ pictures",
            "a table has to be turned over, so that rows meet rows: a @ b.T",
        ),
        (
            "texts = texts / texts.norm(dim=1, keepdim=True)\n"
            "pictures = pictures / pictures.norm(dim=1, keepdim=True)\nreturn texts * pictures",
            "the shapes do not fit together; texts has the shape (2, 5) and pictures has the "
            "shape (4, 5).",
        ),
        (
            "import torch\nreturn torch.cosine_similarity(texts[:, None], pictures, dim=-1)",
            "but cosine_similarity made it",
        ),
        (
            "texts = texts / texts.norm(dim=1, keepdim=True)\n"
            "pictures = pictures / pictures.norm(dim=1, keepdim=True)\n"
            "return texts @ pictures.T / 2",
            "with texts = [[3, 4]] and pictures = [[2, 0], [0, 5]] yours gives [[0.3, 0.4]], and "
            "[[0.6, 0.8]] is right: the values are off by one factor: yours are 0.5 times",
        ),
    ),
    "clip.contrastive": (
        (
            "import torch\nfrom torch.nn.functional import cross_entropy\n"
            "logits, right = scale * similarity, torch.arange(len(similarity))\n"
            "return 0.5 * cross_entropy(logits, right) + 0.5 * cross_entropy(logits.T, right)",
            RIGHT,
        ),
        (loss("cross_entropy(logits, right)"), "that is each text finding its picture"),
        (loss("cross_entropy(logits.T, right)"), "that is each picture finding its text"),
        (
            loss("cross_entropy(logits, right) + cross_entropy(logits.T, right)"),
            "you added them up",
        ),
        (
            loss("(cross_entropy(similarity, right) + cross_entropy(similarity.T, right)) / 2"),
            "multiply the similarities by scale first",
        ),
        (
            loss(
                "(cross_entropy(similarity / scale, right)"
                " + cross_entropy(similarity.T / scale, right)) / 2"
            ),
            "scale is 1 / temperature already",
        ),
        (
            loss(
                "(cross_entropy(logits.softmax(dim=1), right)"
                " + cross_entropy(logits.softmax(dim=1).T, right)) / 2"
            ),
            "cross_entropy makes the softmax itself",
        ),
        (loss("-logits.diagonal().mean()"), "you reward right pairs only"),
        (
            loss("cross_entropy(logits, right) + cross_entropy(logits.T, right) / 2"),
            "brackets are missing around `by_text + by_picture`",
        ),
    ),
    "unet.error": (
        ("((noise - eps) ** 2).mean()", RIGHT),
        ("((noise - eps) ** 2).mean().item()", RIGHT),
        ("round(float(((noise - eps) ** 2).mean()), 3)", RIGHT),
        ("(eps - noise).square().mean()", RIGHT),
        ("(eps - noise).mean()", "differences above and below 0 cancel"),
        ("(eps - noise).abs().mean()", "that is the mean of the absolute differences"),
        ("((eps - noise) ** 2).sum()", "that is the sum of the squares"),
        ("((eps - noise) ** 2).mean() ** 0.5", "that is the root of the loss"),
        ("(eps - noise).mean() ** 2", "you squared the mean"),
        ("(eps - noise) ** 2", "the squares are right: now make one number of them"),
        ("(eps - noise).std()", "std measures from the mean difference"),
        ("((eps - noise) * 2).mean()", "you double `(eps - noise)` where a square is needed"),
        ("(eps - noise ** 2).mean()", "brackets are missing around `eps - noise`"),
        ("((eps + noise) ** 2).mean()", "a sign is the other way round: you add"),
        ("((eps - noise) ^ 2).mean()", "`^` is not a power in Python, it compares bits"),
        ("import torch\nreturn torch.nn.functional.mse_loss(eps, noise)", "but mse_loss made it"),
        (
            "((eps - noise) ** 4).mean()",
            "with noise = [1, -1] and eps = [0.5, -2] yours gives 0.5312, and 0.625 is right: too",
        ),
    ),
    "unet.picture_error": (
        ("eps_error * (1 - alpha_bar) / alpha_bar", RIGHT),
        ("eps_error * ((1 - alpha_bar).sqrt() / alpha_bar.sqrt()) ** 2", RIGHT),
        (
            "((1 - alpha_bar) / alpha_bar) ** 0.5 * eps_error",
            "so the roots of the formula are squar",
        ),
        ("((1 - alpha_bar) / alpha_bar) ** 2 * eps_error", "you squared too much"),
        ("alpha_bar / (1 - alpha_bar) * eps_error", "yours is upside down"),
        ("(1 - alpha_bar) * eps_error", "one step is missing: x0 is divided by sqrt(alpha_bar)"),
        ("eps_error / alpha_bar", "one factor is missing: the guess is multiplied"),
        ("eps_error", "the two errors are equal only where alpha_bar is 0.5"),
        ("1 - alpha_bar / alpha_bar * eps_error", "brackets are missing around `1 - alpha_bar`"),
        ("(1 + alpha_bar) / alpha_bar * eps_error", "a sign is the other way round: you add"),
        (
            "eps_error * 2",
            "with eps_error = 0.06 and alpha_bar = 0.75 yours gives 0.12, and 0.02 is right: "
            "too large",
        ),
    ),
    "vae.psnr": (
        ("import torch\nreturn 10 * torch.log10(1 / ((one - other) ** 2).mean())", RIGHT),
        ("import math\nreturn -10 * math.log10(((one - other) ** 2).mean())", RIGHT),
        ("import math\nreturn round(10 * math.log10(1 / ((one - other) ** 2).mean()), 1)", RIGHT),
        ("import math\nreturn round(10 * math.log10(1 / ((one - other) ** 2).mean()), 2)", RIGHT),
        ("10 * (1 / (one - other).abs().mean()).log10()", "you took the mean of the differences"),
        ("20 * (1 / ((one - other) ** 2).mean()).log10()", "with the mean of squares it is 10"),
        ("10 * ((one - other) ** 2).mean().log10()", "the better the picture, the higher the PSNR"),
        ("10 * (1 / ((one - other) ** 2).mean()).log()", "decibels count powers of ten"),
        ("(1 / ((one - other) ** 2).mean()).log10()", "that counts in bels"),
        ("10 * (1 / (one - other).mean()).log10()", "the square is missing, `** 2`"),
        ("((one - other) ** 2).mean()", "that is the error: PSNR is 10 times"),
        ("10 * (1 / (one - other) ** 2).log10().mean()", "one number first, then the logarithm"),
        ("10 * (1 / ((one - other) ^ 2).mean()).log10()", "`^` is not a power in Python"),
        ("10 * 1 / ((one - other) ** 2).mean().log10()", "brackets are missing around `1 / error`"),
        ("from sdlearn.evaluation import psnr\nreturn psnr(one, other)", "but psnr made it"),
    ),
    "vae.bytes": (
        ("24", RIGHT),
        ("24.0", RIGHT),
        ("786_432 / (16_384 * 2)", RIGHT),
        ("48", "48 compares numbers"),
        ("12", "that is single precision"),
        ("96", "larger numbers take more room, not less"),
        ("64", "64 is for the area alone"),
        ("64 * 64 * 4 * 2 / (512 * 512 * 3)", "upside down"),
        ("512 * 512 * 3 - 64 * 64 * 4 * 2", "how many *times* fewer is asked for"),
        ("512 * 512 * 3 / 64 * 64 * 4 * 2", "brackets are missing around `64 * 64 * 4 * 2`"),
        ("30", "30 times the latent's 32,768 bytes are 983,040, and the picture has 786,432"),
    ),
    "vae.stitch": (
        (
            "middle = left.shape[3] // 2\n"
            "return torch.cat((left[:, :, :, :middle], right[:, :, :, middle:]), 3)",
            RIGHT,
        ),
        (
            "new = right.clone()\nhalf = left.shape[-1] // 2\nnew[..., :half] = left[..., :half]\n"
            "return new",
            RIGHT,
        ),
        (
            "middle = left.shape[-1] // 2\n"
            "return torch.cat([right[..., :middle], left[..., middle:]], dim=-1)",
            "the halves have changed places",
        ),
        (
            "torch.cat([left[:, :, :, :8], right[:, :, :, 8:]], dim=3)",
            "8 is half of the lesson's 16",
        ),
        ("torch.cat([left, right], dim=-1)", "that is both latents whole, side by side"),
        (
            "middle = left.shape[2] // 2\n"
            "return torch.cat([left[:, :, :middle], right[:, :, middle:]], dim=2)",
            "that is the upper half of one over the lower half of the other",
        ),
        ("torch.cat([left[:, :2], right[:, 2:]], dim=1)", "you took two channels of each"),
        ("(left + right) / 2", "that is the mean of both everywhere"),
        ("left", "with left = [[[[0, 1, 2, 3]]]] and right = [[[[10, 11, 12, 13]]]] yours gives"),
        (
            "middle = left.shape[-1] / 2\n"
            "return torch.cat([left[..., :middle], right[..., middle:]], dim=-1)",
            "in line 3 of the cell",
        ),
    ),
    "vae.scaling": (
        ("1 / latents.numpy().std()", RIGHT),
        ("1 / latents.std(unbiased=False)", RIGHT),
        ("1 / latents.var() ** 0.5", RIGHT),
        ("round(float(1 / latents.std()), 3)", RIGHT),
        ("latents.std()", "that is the spread itself"),
        ("1 / latents.var()", "that is 1 over the variance"),
        ("1 / latents.std(dim=(0, 2, 3))", "that is one number for each channel"),
        ("latents / latents.std()", "those are the scaled latents"),
        ("1 / latents.square().mean().sqrt()", "that measures from 0"),
        ("0.18215", "that is the factor of Stable Diffusion"),
        ("2 / latents.std()", "and 0.2479 is right: too large, by a factor of 2"),
    ),
    "vae.cost": (
        (f"100 * {DECODER} / (40 * {UNET} + {DECODER})", RIGHT),
        ("7.3", RIGHT),
        ("7", RIGHT),
        ("7.26", RIGHT),
        (f"100 * {DECODER} / (20 * {UNET} + {DECODER})", "each step works through two latents"),
        ("14", "with guidance each step works through two latents"),
        (f"100 * {DECODER} / (40 * {UNET})", "the sum of both goes below the line"),
        (f"100 * {DECODER} / ({UNET} + {DECODER})", "that is one latent, once"),
        ("0.07295", "that is the share of the whole: times 100"),
        (
            f"loop, decoder = 40 * {UNET}, {DECODER}\nanswer = 100 * decoder / loop + decoder",
            "brackets are missing around `loop + decoder`",
        ),
        ("30", "30 is too large; then the loop would be 7.3 latents in the U-Net, and it is 40"),
        ("'7 %'", "a number is expected, yours is a text"),
    ),
    "pipeline.shape": (
        ("(1, 4, 16, 32)", RIGHT),
        ("[1, 4, 16, 32]", RIGHT),
        ("torch.zeros(1, 4, 16, 32).shape", RIGHT),
        ("torch.tensor([1, 4, 16, 32])", RIGHT),
        ("(1, 3, 16, 32)", "3 channels are red, green and blue"),
        ("(1, 4, 32, 16)", "rows come first"),
        ("(1, 4, 128, 256)", "an eighth of the height and width"),
        ("(1, 3, 128, 256)", "that is the picture: the loop runs on its latent"),
        ("(4, 16, 32)", "the number of pictures comes first, here 1"),
        ("1 * 4 * 16 * 32", "that is how many numbers the noise has: give its four sizes"),
        ("torch.randn(1, 4, 16, 32)", "your tensor has the right shape; the shape itself is asked"),
        (
            "torch.randn(1, 4, 16, 16)",
            "a list is expected, yours is a tensor of shape (1, 4, 16, 16)",
        ),
        (
            "(1, 4, 16, 16)",
            "item [3]: 16 is too small, by a factor of 2; decoded, it would be 128 pixel",
        ),
    ),
    "pipeline.grid": (
        ("list(range(999, 0, -(1000 // num_steps)))", RIGHT),
        ("range(999, 0, -(1000 // num_steps))", RIGHT),
        ("import torch\nreturn 999 - torch.arange(num_steps) * (1000 // num_steps)", RIGHT),
        ("[1000 - i * 1000 // num_steps for i in range(num_steps)]", "off by one: there are 1000"),
        ("[(i + 1) * 1000 // num_steps - 1 for i in range(num_steps)]", "their order is not"),
        (
            "[i * 1000 // num_steps for i in reversed(range(num_steps))]",
            'the grid called "leading"',
        ),
        (
            "import numpy\nreturn numpy.linspace(999, 0, num_steps).round().astype(int)",
            'that is "linspace", from 999 to 0',
        ),
        (
            "return [round(i * 999 / max(1, num_steps - 1)) for i in range(num_steps)]",
            "linspace from 0 up to 999 goes from clean to noisy",
        ),
        ("[999 - i * 1000 // num_steps for i in range(num_steps + 1)]", "that is one too many"),
        (
            "[999 - i for i in range(num_steps)]",
            "right in 1 of 3 cases, but with num_steps = 4 yours "
            "gives [999, 998, 997, 996], and [999, 749, 499, 249] is right: item [1]",
        ),
    ),
    "pipeline.ddim_step": (
        (
            "pred_x0 = (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()\n"
            "return alpha_bar_prev.sqrt() * pred_x0 + (1 - alpha_bar_prev).sqrt() * eps",
            RIGHT,
        ),
        (
            "import torch\n"
            "pred_x0 = (x_t - torch.sqrt(1 - alpha_bar) * eps) / torch.sqrt(alpha_bar)\n"
            "return torch.sqrt(alpha_bar_prev) * pred_x0 + torch.sqrt(1 - alpha_bar_prev) * eps",
            RIGHT,
        ),
        (
            f"pred_x0 = {PRED_X0}\nreturn alpha_bar_prev * pred_x0 + (1 - alpha_bar_prev) * eps",
            "the roots are missing where you mix",
        ),
        (
            "pred_x0 = (x_t - (1 - alpha_bar) * eps) / alpha_bar\n"
            "return alpha_bar_prev**0.5 * pred_x0 + (1 - alpha_bar_prev) ** 0.5 * eps",
            "the roots are missing in pred_x0",
        ),
        (
            f"pred_x0 = {PRED_X0}\nreturn alpha_bar**0.5 * pred_x0 + (1 - alpha_bar) ** 0.5 * eps",
            "with one alpha_bar for both you are back at x_t",
        ),
        (
            "pred_x0 = (x_t - (1 - alpha_bar_prev) ** 0.5 * eps) / alpha_bar_prev**0.5\n"
            "return alpha_bar**0.5 * pred_x0 + (1 - alpha_bar) ** 0.5 * eps",
            "you swapped the two",
        ),
        (f"{PRED_X0}", "that jumps to pred_x0, the end"),
        (
            f"alpha_bar_prev**0.5 * {PRED_X0}",
            "pred_x0 is faded as it should be, but its noise is missing",
        ),
        ("x_t - eps", "no scheduler subtracts the noise"),
        (
            "pred_x0 = (x_t - (1 - alpha_bar)**1/2 * eps) / alpha_bar**1/2\n"
            "return alpha_bar_prev**1/2 * pred_x0 + (1 - alpha_bar_prev)**1/2 * eps",
            "you halve where a root is needed",
        ),
        (
            "pred_x0 = x_t - (1 - alpha_bar) ** 0.5 * eps / alpha_bar**0.5\n"
            "return alpha_bar_prev**0.5 * pred_x0 + (1 - alpha_bar_prev) ** 0.5 * eps",
            "brackets are missing around `x_t - (1 - alpha_bar) ** 0.5 * eps`",
        ),
        (
            f"pred_x0 = {PRED_X0}\n"
            "return alpha_bar_prev**0.5 * pred_x0 + 1 - alpha_bar_prev**0.5 * eps",
            "brackets are missing around `1 - alpha_bar_prev`",
        ),
        (
            f"import torch\npred_x0 = {PRED_X0}\nfresh = torch.randn_like(eps)\n"
            "return alpha_bar_prev**0.5 * pred_x0 + (1 - alpha_bar_prev) ** 0.5 * fresh",
            "another result at every call, as it draws new noise: use `eps`, which it is given",
        ),
        (
            f"pred_x0 = {PRED_X0}\n"
            "return alpha_bar_prev**0.5 * pred_x0 - (1 - alpha_bar_prev)**0.5 * eps",
            "a sign is the other way round: you subtract where you should add",
        ),
        (
            "diffusion.ddim_step(x_t, eps, alpha_bar, alpha_bar_prev)",
            "but diffusion.ddim_step made it",
        ),
        (
            "step = diffusion.ddim_step\nreturn step(x_t, eps, alpha_bar, alpha_bar_prev)",
            "but diffusion.ddim_step made it",
        ),
        (
            "x_t + eps",
            "with x_t = [2, 1], eps = [1, -1], alpha_bar = 0.36 and alpha_bar_prev = 0.64 "
            "yours gives "
            "[3, 0], and [2.2, 1.8] is right",
        ),
    ),
    "pipeline.loop": (
        (loop(), RIGHT),
        (
            "timesteps = [*timesteps, 0]\nfor i in range(len(timesteps) - 1):\n"
            "    t, t_prev = timesteps[i], timesteps[i + 1]\n"
            "    eps = sd.predict_noise(noise, t, cond)\n"
            "    a, b = sd.scheduler.alphas_cumprod[t], sd.scheduler.alphas_cumprod[t_prev]\n"
            "    x0 = (noise - (1 - a) ** 0.5 * eps) / a ** 0.5\n"
            "    noise = b ** 0.5 * x0 + (1 - b) ** 0.5 * eps\nreturn noise",
            RIGHT,
        ),
        (loop(pairs="zip(timesteps, timesteps[1:])"), "the last step is missing"),
        (loop().replace("\nreturn", "\n    return"), "you return after the first step"),
        (loop(pairs="zip(timesteps, [*timesteps[1:], -1])"), "a step of yours leads to more noise"),
        (
            loop(pairs="((t, t - 1000 // len(timesteps)) for t in timesteps)"),
            "go down the list, and from its last timestep to 0",
        ),
        (
            loop(pairs="((t, max(0, t - 1000 // len(timesteps))) for t in timesteps)"),
            "not every list has strides of 1000 // its length",
        ),
        (
            "for t, t_prev in zip(timesteps, [*timesteps[1:], 0]):\n"
            "    eps = sd.predict_noise(noise, t, cond)\n"
            "    x_t = diffusion.ddim_step(noise, eps, alphas_cumprod[t], alphas_cumprod[t_prev])\n"
            "return x_t",
            "every step of yours begins at the noise again",
        ),
        (loop(pairs="zip(timesteps, timesteps)"), "you stay where you are"),
        (
            loop(pairs="zip(timesteps[::-1], [*timesteps[::-1][1:], 0])"),
            "a step of yours leads to more noise",
        ),
        (loop(step="x_t - eps"), "no scheduler subtracts the noise"),
        (loop().replace("return x_t", "return x_t.clamp(-1, 1)"), "do not clamp"),
    ),
    "pipeline.guided": (
        (guided("u + guidance_scale * (c - u)"), RIGHT),
        (guided("diffusion.apply_guidance(u, c, guidance_scale)"), RIGHT),
        (guided("(1 - guidance_scale) * u + guidance_scale * c"), RIGHT),
        (guided("c"), "that is the loop without guidance, as at scale 1"),
        (guided("u"), "the words have no say in yours"),
        (guided("c + guidance_scale * (u - c)"), "the two predictions are swapped"),
        (guided("u + guidance_scale * c"), "you add all of eps_cond"),
        (guided("c + guidance_scale * (c - u)"), "you start at eps_cond, which is one too many"),
        (guided("guidance_scale * (c - u)"), "the difference alone is not the noise"),
        (guided("guidance_scale * c"), "guidance does not multiply the whole prediction"),
        (guided("u - guidance_scale * (c - u)"), "you subtract where you should add"),
    ),
    "pipeline.noise": (
        (f"torch.cat([torch.randn(1, 4, 16, 16, generator={SEEDED}) for seed in seeds])", RIGHT),
        (f"torch.stack([torch.randn(4, 16, 16, generator={SEEDED}) for seed in seeds])", RIGHT),
        (
            "g = torch.Generator().manual_seed(seeds[0])\n"
            "return torch.randn(len(seeds), 4, 16, 16, generator=g)",
            "one generator goes on from picture to picture",
        ),
        (
            "seed = seeds[0]\n"
            f"return torch.cat([torch.randn(1, 4, 16, 16, generator={SEEDED}) for _ in seeds])",
            "all pictures have the noise of the first seed",
        ),
        (
            f"for seed in seeds:\n    noise = torch.randn(1, 4, 16, 16, generator={SEEDED})\n"
            "return noise",
            "only the last seed is left",
        ),
        (
            f"torch.stack([torch.randn(1, 4, 16, 16, generator={SEEDED}) for seed in seeds])",
            "torch.stack adds an axis",
        ),
        (
            f"torch.cat([torch.rand(1, 4, 16, 16, generator={SEEDED}) for seed in seeds])",
            "torch.rand draws evenly from 0 to 1",
        ),
        (
            "torch.randn(len(seeds), 4, 16, 16)",
            "your function gives another result at every call, as it draws new noise",
        ),
        ("sd.init_latents(seeds)", "and sd.init_latents made it: write its lines yourself"),
    ),
    "pipeline.decode": (
        (
            "pixels = sd.vae.decode(latents / sd.vae.config.scaling_factor, return_dict=False)[0]\n"
            "return (pixels + 1).div(2).clamp(0, 1)",
            RIGHT,
        ),
        (
            "pixels = sd.vae.decode(latents * sd.vae.config.scaling_factor).sample\n"
            "return (pixels / 2 + 0.5).clamp(0, 1)",
            "the encoder's latents were multiplied with the scaling factor",
        ),
        (
            "pixels = sd.vae.decode(latents).sample\nreturn (pixels / 2 + 0.5).clamp(0, 1)",
            "the decoder wants latents of full size",
        ),
        (
            "sd.decode(latents / sd.vae.config.scaling_factor)",
            "divides by the scaling factor itself",
        ),
        (f"{PIXELS}", "pixels go from -1 to 1: halve them, add 0.5 and clamp"),
        (f"{PIXELS} / 2 + 0.5", "some pixels are beyond black or white"),
        (f"{PIXELS}.clamp(0, 1)", "pixels go from -1 to 1: first halve them and add 0.5"),
        (f"({PIXELS} + 0.5).clamp(0, 1)", "half of the range is missing"),
        (f"({PIXELS} / 2).clamp(0, 1)", "halved, pixels go from -0.5 to 0.5"),
        (f"({PIXELS} / 2 + 0.5).clamp(-1, 1)", "black is 0: .clamp(0, 1)"),
        (
            "pixels = sd.vae.decode(latents / sd.vae.config.scaling_factor)\n"
            "return (pixels / 2 + 0.5).clamp(0, 1)",
            "take them out with .sample",
        ),
        ("sd.decode(latents)", "but sd.decode made it: write its lines yourself"),
        (f"({PIXELS} / 4 + 0.5).clamp(0, 1)", "is right"),
    ),
    "pipeline.calls": (
        ("590", RIGHT),
        ("5 * 2 * 59", RIGHT),
        ("5 * 2 * 30", "Heun calls the U-Net nearly twice a step"),
        ("5 * 2 * 2 * 30", "close: Heun's last step needs one call only"),
        ("59", "these are the calls: how many latents are in each?"),
        ("5 * 59", "you have counted only 5 latents a call"),
        ("2 * 59", "that is one picture, with and without words"),
        ("5 * 30", "that is one latent a picture and one call a step"),
        ("1000", "1,000 is too large; with 10 latents a call that would be 100 calls, in 30 steps"),
    ),
    "guidance.guide": (
        ("(1 - guidance_scale) * eps_uncond + guidance_scale * eps_cond", RIGHT),
        ("guidance_scale * (eps_cond - eps_uncond) + eps_uncond", RIGHT),
        ("eps_cond + guidance_scale * (eps_uncond - eps_cond)", "cond and uncond are swapped"),
        (
            "(1 + guidance_scale) * eps_cond - guidance_scale * eps_uncond",
            "as the paper does: its w",
        ),
        (
            "eps_uncond + (guidance_scale - 1) * (eps_cond - eps_uncond)",
            "that mixes two conventions",
        ),
        ("eps_uncond + guidance_scale * eps_cond", "you added all of eps_cond"),
        ("eps_uncond + guidance_scale * (eps_uncond - eps_cond)", "points away from the words"),
        ("guidance_scale * (eps_cond - eps_uncond)", "that is only the way"),
        (
            "eps_uncond + guidance_scale * eps_cond - eps_uncond",
            "that comes to guidance_scale * eps",
        ),
        ("guidance_scale * eps_cond", "that comes to guidance_scale * eps_cond"),
        (
            "1 - guidance_scale * eps_uncond + guidance_scale * eps_cond",
            "brackets are missing around",
        ),
        (
            "eps_uncond + guidance_scale * (eps_cond + eps_uncond)",
            "you add where you should subtract",
        ),
        (
            "diffusion.apply_guidance(eps_uncond, eps_cond, guidance_scale)",
            "diffusion.apply_guidance",
        ),
        (
            "eps_uncond + guidance_scale**2 * (eps_cond - eps_uncond)",
            "right in 1 of 4 cases, but with eps_uncond = [1, 2], eps_cond = [2, 0] and "
            "guidance_scale = 3 yours gives [10, -16], and [4, -4] is right",
        ),
    ),
    "guidance.weights": (
        ("[0, 1, 5]", RIGHT),
        ("(0, 1.0, 5)", RIGHT),
        ("torch.tensor([0, 1, 5])", RIGHT),
        ("[-1, 0, 4]", "these are the weights themselves"),
        ("[-2, -1, 3]", "the other way round: w is one less"),
        ("[0, 0, 4]", "at w = 0 eps_cond is left as it is"),
        ("[0, 1, 4]", "the first two are right"),
        ("[0, 1, 7]", "their line at w = 4 gives 6, and ours at scale 7 gives 8"),
        ("[0, 1]", "3 items are expected, yours are 2"),
    ),
    "guidance.rows": (
        ("[25, 100, 25, 200]", RIGHT),
        ("(25, 25 * 4, 25, 25 * 8)", RIGHT),
        ("[25, 100, 50, 200]", "both predictions come from one call on a batch twice as long"),
        ("[25, 25, 25, 50]", "the rows are those of one picture"),
        ("[100, 100, 100, 200]", "four pictures go through the U-Net in one call"),
        ("[25, 200, 25, 200]", "at guidance 1 the prediction without words has no say"),
        ("[25, 4, 25, 8]", "4 and 8 are the rows of one call: how many are they in all 25"),
        ("[25, 4, 50, 4]", "4 are the rows of one call, without guidance"),
        ("[100, 25, 200, 25]", "calls first, then rows"),
        (
            "[25, 100, 25, 400]",
            "that would be 4 rows a call at guidance 1 and 16 at 7.5, for four pict",
        ),
        ("[4, 100, 4, 200]", "there are 25 steps, and one call in each"),
    ),
    "guidance.negative": (
        (
            "avoided = sd.predict_noise(latents, t, sd.encode_text(negative))\n"
            "cond = sd.predict_noise(latents, t, sd.encode_text(prompt))\n"
            "return (1 - guidance_scale) * avoided + guidance_scale * cond",
            RIGHT,
        ),
        (f"{UNCOND} + guidance_scale * ({COND} - {UNCOND})", "your negative prompt has no say"),
        (
            f"{COND} + guidance_scale * ({AVOIDED} - {COND})",
            "you started at the prompt and went towards",
        ),
        (
            f"{COND} + guidance_scale * ({COND} - {AVOIDED})",
            "you started at the prompt: start at the neg",
        ),
        (
            "both = sd.predict_noise(latents, t, sd.encode_text(prompt + ', ' + negative))\n"
            f"return {UNCOND} + guidance_scale * (both - {UNCOND})",
            "so the model is asked for what it should avoid",
        ),
        (f"{UNCOND} + guidance_scale * ({COND} - {AVOIDED})", "you start at the empty text"),
        (f"{COND}", "that is the prediction for the prompt alone"),
        (f"{AVOIDED} + guidance_scale * {COND} - {AVOIDED}", "that comes to guidance_scale * cond"),
        (
            "text = sd.encode_text(prompt) - sd.encode_text(negative)\n"
            "return sd.predict_noise(latents, t, text)",
            "you subtract the texts",
        ),
        (
            "start, end = sd.encode_text(negative), sd.encode_text(prompt)\n"
            "return sd.predict_noise(latents, t, start + guidance_scale * (end - start))",
            "you subtract the texts",
        ),
        (
            "text = sd.encode_text(prompt) - sd.encode_text(negative)\n"
            "cond = sd.predict_noise(latents, t, text)\n"
            f"return {UNCOND} + guidance_scale * (cond - {UNCOND})",
            "you subtract the texts",
        ),
        (
            "text = sd.encode_text(prompt) - sd.encode_text(negative)\n"
            "text = sd.encode_text('') + guidance_scale * text\n"
            "return sd.predict_noise(latents, t, text)",
            "you subtract the texts",
        ),
        (
            "sd.predict_noise(latents, t, prompt - negative)",
            "a text and a text cannot be put together",
        ),
        (
            "cond = sd.predict_noise(latents, t, prompt)\n"
            "avoided = sd.predict_noise(latents, t, negative)\n"
            "return avoided + guidance_scale * (cond - avoided)",
            "the U-Net does not read text: turn it into states first, sd.encode_text(",
        ),
        (f"sd.predict_noise(latents, 600, {COND})", "in line 2 of the cell"),
        (
            f"{AVOIDED} - guidance_scale * ({COND} - {AVOIDED})",
            "a sign is the other way round: you subtract",
        ),
        (
            f"{AVOIDED} + guidance_scale * ({COND} + {AVOIDED})",
            "a sign is the other way round: you add",
        ),
        (f"{AVOIDED}", "is right"),
    ),
    "prompts.share": (
        (
            "right = [all(seen[n] == w for n, w in asked.items()) for seen in readings]\n"
            "return sum(right) / len(right)",
            RIGHT,
        ),
        (
            "from statistics import fmean\n"
            "return fmean(all(seen[n] == asked[n] for n in asked) for seen in readings)",
            RIGHT,
        ),
        ("sum(asked.items() <= seen.items() for seen in readings) / len(readings)", RIGHT),
        (
            "right = [seen[n] == w for seen in readings for n, w in asked.items()]\n"
            "return sum(right) / len(right)",
            "that is the share of attributes",
        ),
        (
            "right = [any(seen[n] == w for n, w in asked.items()) for seen in readings]\n"
            "return sum(right) / len(right)",
            "one right attribute is not enough",
        ),
        (
            "sum(all(seen[n] == w for n, w in asked.items()) for seen in readings)",
            "that is how many pictures are right",
        ),
        (f"100 * {SHARE}", "that is per cent"),
        (f"1 - {SHARE}", "that is the share of wrong pictures"),
        (
            "sum(seen == asked for seen in readings) / len(readings)",
            "a reading holds more than was asked for",
        ),
        (
            "sum(all(seen[n] == w for n, w in asked.items()) for seen in readings) / len(asked)",
            "divide by the number of pictures",
        ),
        (
            "for seen in readings:\n    print(all(seen[n] == w for n, w in asked.items()))",
            "your function prints",
        ),
    ),
    "prompts.known": (
        ('"a red house on the sand, at night"', RIGHT),
        ('"Red cottage. Beach. Night."', RIGHT),
        ('"a house, red, in the desert, in the dark"', RIGHT),
        (
            '"a scarlet dwelling among the dunes once the stars are out"',
            "no word in it is one that captions have for the subject, colour, ground and time.",
        ),
        (
            '"a crimson house on the sand, at night"',
            "no word in it is one that captions have for the colour.",
        ),
        (
            '"an orange house on the sand, at sunset"',
            "it says orange, but red is meant; it says sunset, but night is meant.",
        ),
        (
            '"a red house and a white cat on the sand, at night"',
            "it names two things, a house and a cat",
        ),
        ('["red", "house"]', "a sentence in quotes is expected, yours is a list"),
    ),
    "prompts.mix": (
        ("(1 - share) * sd.encode_text(one) + share * sd.encode_text(other)", RIGHT),
        ("diffusion.lerp(sd.encode_text(one), sd.encode_text(other), share)", RIGHT),
        (
            "first, second = sd.encode_text([one, other])\n"
            "return (first + share * (second - first))[None]",
            RIGHT,
        ),
        ("share * sd.encode_text(one) + (1 - share) * sd.encode_text(other)", "are swapped"),
        ("sd.encode_text(one) + share * sd.encode_text(other)", "all of the first text is still"),
        ("(sd.encode_text(one) + sd.encode_text(other)) / 2", "that is always halfway"),
        ("sd.encode_text(one) + sd.encode_text(other)", "a sum is twice as large"),
        ("sd.encode_text(one + ' and ' + other)", "you join the words to one prompt"),
        ("sd.encode_text(one + other)", "you join the words to one prompt"),
        ("sd.encode_text(one if share < 0.5 else other)", "you choose one of the two texts"),
        ("(1 - share) * one + share * other", "the U-Net does not read text"),
        (
            "1 - share * sd.encode_text(one) + share * sd.encode_text(other)",
            "brackets are missing around",
        ),
        (
            "first, second = sd.encode_text([one, other])\nreturn first + share * (second - first)",
            "there is an axis missing",
        ),
    ),
    "prompts.sum": (
        (
            "start = sd.predict_noise(latents, t, sd.encode_text(''))\n"
            "texts = [sd.predict_noise(latents, t, sd.encode_text(p)) for p in prompts]\n"
            "return start + sum(s * (text - start) for s, text in zip(scales, texts))",
            RIGHT,
        ),
        (f"{PREDICTED}return sum(ways)", "these are only the ways"),
        (
            f"{PREDICTED}return sum(empty + way for way in ways)",
            "every text brings its own start",
        ),
        (f"{PREDICTED}return empty + sum(ways) / len(ways)", "you take the mean of the ways"),
        (
            f"{PREDICTED}return sum(s * text for s, text in zip(scales, texts))",
            "you add whole predictions",
        ),
        (
            f"{PREDICTED}return empty + sum(s * text for s, text in zip(scales, texts))",
            "take the empty text's prediction away",
        ),
        (f"{PREDICTED}return empty - sum(ways)", "your differences point away"),
        (
            f"{PREDICTED}for way in ways:\n    eps = empty + way\nreturn eps",
            "only the last text has a say",
        ),
        (
            f"{PREDICTED}eps = empty\nfor way in ways:\n    eps = eps + way\n    return eps",
            "only the first text has a say",
        ),
        (
            f"{PREDICTED}text = sd.encode_text(', '.join(prompts))\n"
            "return empty + scales[0] * (sd.predict_noise(latents, t, text) - empty)",
            "you join the texts to one prompt",
        ),
        (
            "state = sd.encode_text('')\n"
            "texts = [sd.encode_text(p) for p in prompts]\n"
            "state = state + sum(s * (text - state) for s, text in zip(scales, texts))\n"
            "return sd.predict_noise(latents, t, state)",
            "you add the states of the texts",
        ),
        (
            "sum(sd.predict_noise(latents, t, p) for p in prompts)",
            "the U-Net does not read text",
        ),
    ),
    "unet.middle": (
        (skips("((eps - sd.init_latents([7])) ** 2).mean()"), RIGHT),
        (skips("error(eps)"), RIGHT),
        (skips("round(error(eps), 4)"), RIGHT),
        (skips("eps"), "that is the guess itself"),
        (skips("(eps - sd.init_latents([7])).abs().mean()"), "a mean of absolute differ"),
        (skips("error(eps)", blocks="[2]"), "you switched off 16 x 16, the finest level"),
        (skips("error(eps)", blocks="[0]"), "you switched off 4 x 4, the coarsest level"),
        (skips("error(eps)", blocks="None"), "you switched off all levels"),
        ("error(sd.predict_noise(noised(200), 200, cond))", "all skip connections were on"),
        (skips("error(eps)", t=300), "that is the error at t = 300"),
        (skips("error(eps)", text="uncond"), "that is without words"),
        ("0.987", "with all skip connections on the error at t = 200 is"),
    ),
    "unet.late_map": (
        (
            "late = [one for one in maps if one.call > 14]\n"
            'answer = word_maps(late, token_positions(sd.tokenizer, prompt, "car"))',
            RIGHT,
        ),
        ('word_maps(maps[-35:], token_positions(sd.tokenizer, prompt, "car"))', RIGHT),
        (f"word_maps(maps, {CAR})", "that is the mean of all 20 steps"),
        (
            f"word_maps([one for one in maps if one.call < 5], {CAR})",
            "those are the first five steps",
        ),
        (f"word_maps([one for one in maps if one.call > 15], {CAR})", "those are four steps"),
        (
            f"word_maps([one for one in maps if one.call >= 15], {CAR}, batch=0)",
            "without words: leave",
        ),
        (
            "word_maps([one for one in maps if one.call >= 15],"
            ' token_positions(sd.tokenizer, prompt, "cat"))',
            'that is the map of "cat"',
        ),
        (
            "word_maps([one for one in maps if one.call >= 15],"
            ' prompt.replace(",", "").split().index("car"))',
            "count tokens, not words",
        ),
        (f"word_maps(maps[:7], {CAR})", "yours is"),
    ),
    "editing.begin": (
        ("599", RIGHT),
        ("999 - 8 * 50", RIGHT),
        ("list(range(999, 0, -50))[8]", RIGHT),
        ("599.0", RIGHT),
        ("600", "0.6 of 1000 is near, but the grid has 999, 949 and so on"),
        ("399", "you left out 12 steps: strength is the share that is run"),
        ("400", "not the one that is left out; and 400 is no step"),
        ("999", "that is where strength 1 begins"),
        ("649", "that is the last step that is left out: one further"),
        ("549", "that is the second step that is run: one back"),
        ("12", "so many steps are run: at which timestep does the first of them begin?"),
        ("8", "so many steps are left out: at which timestep does the next one begin?"),
        ("799", "799 is too large; from there 16 of the 20 steps would be run"),
        ("'599'", "a number is expected, yours is a text: leave the quotes out"),
    ),
    "editing.image_to_image": (
        (begun(LAST, "left[0]"), RIGHT),
        (
            "skipped = len(timesteps) - int(strength * len(timesteps))\n"
            "left = timesteps[skipped:]\n"
            "x_t = diffusion.add_noise(latents, noise, alphas_cumprod[left[0]])\n"
            "return denoise(x_t, left)",
            RIGHT,
        ),
        (f"denoise(latents, {LAST})", "there is noise, and there is none: add that of left[0]"),
        (begun(LAST, "999"), "that is the noise of 999"),
        (begun(LAST, "left[-1]"), "that is the noise of the last step"),
        (begun("timesteps", "left[0]"), "so all steps are run: strength says which share of them"),
        (
            begun(LAST, "left[0]", "denoise(x_t, timesteps)"),
            "the noise is right, but the loop runs all steps",
        ),
        (
            begun("timesteps[:int(strength * len(timesteps))]", "left[0]"),
            "you kept the first steps, the noisy ones",
        ),
        (
            begun("timesteps[int(strength * len(timesteps)):]", "left[0]"),
            "strength is the share that is run: you left that share out",
        ),
        (
            "import math\n" + begun("timesteps[-math.ceil(strength * len(timesteps)):]", "left[0]"),
            "where the steps do not come out even they are rounded down",
        ),
        (
            f"left = {LAST}\nreturn denoise(strength * noise + (1 - strength) * latents, left)",
            "strength is no share of noise",
        ),
        (f"denoise(noise, {LAST})", "that is noise alone: nothing of the picture is in it"),
        (
            f"left = {LAST}\nalpha_bar = alphas_cumprod[left[0]]\n"
            "return denoise(alpha_bar**0.5 * noise + (1 - alpha_bar)**0.5 * latents, left)",
            "you swapped the roots: sqrt(alpha_bar) belongs to the picture",
        ),
        (
            f"left = {LAST}\nalpha_bar = alphas_cumprod[left[0]]\n"
            "return denoise(latents + (1 - alpha_bar)**0.5 * noise, left)",
            "the picture must fade as well",
        ),
        (f"denoise(latents + noise, {LAST})", "how much of picture and noise there is says alpha"),
        (begun(LAST, "left[0]", "x_t"), "that is where the loop begins: now run it"),
        (
            f"left = {LAST}\nalpha_bar = alphas_cumprod[left[0]]\n"
            "return denoise(alpha_bar * latents + (1 - alpha_bar) * noise, left)",
            "the root of `alpha_bar` and `(1 - alpha_bar)` is missing",
        ),
        (
            begun("timesteps[-strength * len(timesteps):]", "left[0]"),
            "places are whole numbers: divide with `//`",
        ),
        (begun("[t for t in timesteps if t < 1]", "left[0]"), "an index points beyond the end"),
    ),
    "editing.keep": (
        (f"mask * x_t + (1 - mask) * {KEPT}", RIGHT),
        ("import torch\nreturn torch.where(mask > 0, x_t, " + KEPT + ")", RIGHT),
        (
            "kept = diffusion.add_noise(latents, noise, alpha_bar)\n"
            "return kept + mask * (x_t - kept)",
            RIGHT,
        ),
        (f"mask * {KEPT} + (1 - mask) * x_t", "the mask is the wrong way round"),
        ("mask * x_t + (1 - mask) * latents", "what you put back is clean"),
        ("mask * x_t + (1 - mask) * noise", "outside of the mask you keep noise only"),
        ("mask * x_t", "outside of the mask nothing is left"),
        (f"(1 - mask) * {KEPT}", "that is the part that is kept: add what is made anew"),
        (KEPT, "so everything is the picture"),
        (f"x_t + (1 - mask) * {KEPT}", "you add the picture to what stands there"),
        (
            "diffusion.add_noise(mask * x_t + (1 - mask) * latents, noise, alpha_bar)",
            "x_t has its noise already: only the picture needs some",
        ),
        (
            "mask * x_t + (1 - mask) * (alpha_bar * latents + (1 - alpha_bar) * noise)",
            "the root of `alpha_bar` and `(1 - alpha_bar)` is missing",
        ),
        (f"mask * x_t + 1 - mask * {KEPT}", "brackets are missing around `1 - mask`"),
        (f"mask * x_t - (1 - mask) * {KEPT}", "you subtract where you should add"),
    ),
    "editing.push": (
        ("eps + scale * (1 - alpha_bar) ** 0.5 * gradient", RIGHT),
        ("eps + gradient * scale * (1 - alpha_bar).sqrt()", RIGHT),
        ("eps - scale * (1 - alpha_bar) ** 0.5 * gradient", "so the loss would grow"),
        ("scale * (1 - alpha_bar) ** 0.5 * gradient", "that is the push alone: add it to eps"),
        ("eps + scale * gradient", "the push must fade with the noise, as eps does"),
        ("eps - scale * gradient", "the sign is wrong, and sqrt(1 - alpha_bar) is missing"),
        ("eps + scale * alpha_bar**0.5 * gradient", "sqrt(alpha_bar) is the picture's share"),
        ("eps + (1 - alpha_bar) ** 0.5 * gradient", "your push is the same at every scale"),
        (
            "(1 - scale) * eps + scale * (1 - alpha_bar) ** 0.5 * gradient",
            "eps stays as it is: the push is added to all of it",
        ),
        ("eps + scale * (1 - alpha_bar) * gradient", "the root of `(1 - alpha_bar)` is missing"),
        ("eps + scale * 1 - alpha_bar ** 0.5 * gradient", "brackets are missing around"),
        (
            "eps + 3 * scale * (1 - alpha_bar) ** 0.5 * gradient",
            "with eps = [1, -1], gradient = [0.5, 1], alpha_bar = 0.64 and scale = 2 yours gives "
            "[2.8, 2.6], and [1.6, 0.2] is right",
        ),
    ),
    "editing.anagram": (
        ("(upright(x_t) + turn(upside_down(turn(x_t, 2)), 2)) / 2", RIGHT),
        ("(upright(x_t) + upside_down(x_t.flip(-1, -2)).flip(-1, -2)) / 2", RIGHT),
        (
            "import torch\nother = torch.rot90(upside_down(torch.rot90(x_t, 2, (-2, -1))), 2, "
            "(-2, -1))\nreturn 0.5 * upright(x_t) + 0.5 * other",
            RIGHT,
        ),
        ("(upright(x_t) + upside_down(turn(x_t, 2))) / 2", "lies upside down: turn it back"),
        ("(upright(x_t) + upside_down(x_t)) / 2", "both predictions see the picture upright"),
        (
            "(upright(x_t) + turn(upside_down(x_t), 2)) / 2",
            "you turned the answer, but not what it was asked about",
        ),
        ("upright(x_t) + turn(upside_down(turn(x_t, 2)), 2)", "that is twice as much noise"),
        (
            "upright(x_t) + turn(upside_down(turn(x_t, 2)), 2) / 2",
            "brackets are missing: the sum is divided",
        ),
        ("turn(upside_down(turn(x_t, 2)), 2)", "that follows the second prompt alone"),
        (
            "(upright(x_t) + upside_down(x_t.flip(-2)).flip(-2)) / 2",
            "you flip the rows only, which is a mirror image",
        ),
        (
            "(upright(x_t) + turn(upside_down(turn(x_t, 1)), 1)) / 2",
            "turn(x, 1) is a quarter turn: upside down is turn(x, 2)",
        ),
        (
            "(upright(x_t) + turn(upside_down(turn(x_t, 1)), 3)) / 2",
            "there and back is right, but that was a quarter turn",
        ),
        ("(upright + upside_down) / 2", "cannot be put together by `+`"),
    ),
    "train.step": (
        (
            "from sdlearn import diffusion\n"
            "x_t = diffusion.add_noise(x0, noise, alpha_bar[:, 0])\n"
            "return (noise - network(x_t, t)).square().mean()",
            RIGHT,
        ),
        (loss_of("((network(x_t, t) - noise) ** 2).mean()"), RIGHT),
        (loss_of("((network(x0, t) - noise) ** 2).mean()"), "was shown the clean points"),
        (loss_of("((network(noise, t) - noise) ** 2).mean()"), "was shown the noise alone"),
        (loss_of("((network(x_t, t) - x0) ** 2).mean()"), "you compared the guess with the points"),
        (loss_of("((network(x_t, t) - x_t) ** 2).mean()"), "you compared the guess with what went"),
        (loss_of("network(x_t, t)"), "that is the guess itself"),
        ("((network(x0 + noise, t) - noise) ** 2).mean()", "the two were added at full strength"),
        (
            "x_t = alpha_bar**0.5 * noise + (1 - alpha_bar) ** 0.5 * x0\n"
            "return ((network(x_t, t) - noise) ** 2).mean()",
            "points and noise are swapped in the mixture",
        ),
        (loss_of("(network(x_t, t) - noise).abs().mean()"), "the mean of the absolute differences"),
        (loss_of("((network(x_t, t) - noise) ** 2).sum()"), "the sum of the squares, which grows"),
        (loss_of("(network(x_t, t) - noise).mean()"), "differences above and below 0 cancel"),
    ),
    "train.best_guess": (
        (
            "import torch\nfar = ((x_t - alpha_bar**0.5 * points) ** 2).sum(dim=1)\n"
            "return torch.softmax(-far / (2 * (1 - alpha_bar)), 0) @ points",
            RIGHT,
        ),
        ("points.mean(dim=0)", "that is the mean of all points alike"),
        (guess_of("points[far.argmin()]"), "that is the likeliest point"),
        (
            "far = ((x_t - points) ** 2).sum(dim=1)\n"
            "return (-far / (2 * (1 - alpha_bar))).softmax(dim=0) @ points",
            "x_t lies around sqrt(alpha_bar) times its point",
        ),
        (guess_of("(-far / (1 - alpha_bar)).softmax(dim=0) @ points"), "it has a 2 below"),
        (guess_of("(-far).softmax(dim=0) @ points"), "how wide the bell curve is has no say yet"),
        (
            guess_of("(far / (2 * (1 - alpha_bar))).softmax(dim=0) @ points"),
            "the exponent needs a minus",
        ),
        (
            guess_of("(-(far**0.5) / (2 * (1 - alpha_bar))).softmax(dim=0) @ points"),
            "leave the root out",
        ),
        (
            guess_of("alpha_bar**0.5 * ((-far / (2 * (1 - alpha_bar))).softmax(dim=0) @ points)"),
            "that is the mean of the faded points",
        ),
        (guess_of("(-far / (2 * (1 - alpha_bar))).softmax(dim=0)"), "those are the shares"),
        (
            guess_of("(-far / (2 * (1 - alpha_bar))).exp() @ points"),
            "the shares must add up to 1",
        ),
        (
            "from sdlearn import diffusion\n"
            "return diffusion.ideal_x0(x_t[None], points, alpha_bar)[0]",
            "right, but diffusion.ideal_x0 made it",
        ),
    ),
    "train.low_rank": (
        ("weight + scale * up @ down", RIGHT),
        ("weight + up @ down", "scale has no say yet"),
        ("scale * up @ down", "that is what is added"),
        ("scale * (weight + up @ down)", "scale multiplies the old weight as well"),
        ("(1 - scale) * weight + scale * up @ down", "that fades the old weight out"),
        ("weight * (scale * up @ down)", "you multiplied the two"),
        ("weight - scale * up @ down", "you subtract where you should add"),
    ),
    "train.nearest": (
        (
            "import torch\nreturn torch.stack([((known - one) ** 2).mean(dim=(1, 2, 3)).min()"
            " for one in drawn]).sqrt()",
            RIGHT,
        ),
        (apart("apart"), "those are all distances"),
        (apart("apart.mean(dim=1)"), "that is the mean distance"),
        (apart("apart.max(dim=1).values"), "that is the farthest one"),
        (apart("apart.min(dim=0).values"), "that is one for each known image"),
        (apart("apart.argmin(dim=1)"), "those are the places of the nearest ones"),
        (apart("apart.min()"), "that is one number for all"),
        (
            "(drawn[:, None] - known).abs().mean(dim=(2, 3, 4)).min(dim=1).values",
            "that is a mean of absolute differences",
        ),
        (
            "((drawn[:, None] - known) ** 2).sum(dim=(2, 3, 4)).sqrt().min(dim=1).values",
            "you took the sum of the squares",
        ),
        (apart("(apart**2).min(dim=1).values"), "the root of `squares` is missing"),
    ),
    "train.skewed": (
        ("2 / 3", RIGHT),
        ("0.67", RIGHT),
        ("1.0", "all nights are snow, but not all snow is night"),
        ("1 / 3", "that is the share of nights among all icons"),
        ("0.5", "that is the share of snow among all icons"),
        ("0.25", "that is the share of snow by day"),
        ("1 / 12", "that is night and snow together in the fair world"),
        ("1 / 6", "that is the snow that is no night"),
        ("0.6", "six are on snow, and 3.6 of these would be nights"),
    ),
    "real.gigabytes": (
        ("[24, 12, 6]", RIGHT),
        ("(24.0, 12.0, 6.0)", RIGHT),
        ("[12 * b / 8 for b in (16, 8, 4)]", RIGHT),
        ("[192, 96, 48]", "these are billions of bits: 8 bits are a byte"),
        ("[48, 24, 12]", "that counts 16 bits as 4 bytes"),
        ("[24e9, 12e9, 6e9]", "these are bytes: a GB is 1,000,000,000 of them"),
        ("[2, 1, 0.5]", "these are the bytes of one parameter"),
        ("[24, 12, 12]", "the first two are right: 4 bits are half a byte"),
        ("[12e9 * b / 8 / 2**30 for b in (16, 8, 4)]", "these are GiB, 2**30 bytes each"),
        ("[24, 12, 3]", "that would be 16, 8, 2 bits for each of 12 billion parameters"),
        ("24", "a list is expected"),
    ),
    "real.flow_step": (
        ("x0 = (z - s * eps) / (1 - s)\nreturn z + (s_next - s) * (eps - x0)", RIGHT),
        (f"(1 - s_next) * {FLOW_X0} + s_next * eps", RIGHT),
        ("z + (s_next - s) * (eps - z) / (1 - s)", RIGHT),
        (f"z - (s_next - s) * (eps - {FLOW_X0})", "you walk towards the noise"),
        (f"z + (s_next - s) * ({FLOW_X0} - eps)", "you walk towards the noise"),
        (f"z + s_next * (eps - {FLOW_X0})", "the step is the way from s to s_next"),
        (FLOW_X0, "that goes to the picture at once"),
        ("z + (s_next - s) * eps", "you go along the noise alone"),
        ("z + (s_next - s) * (eps - z)", "you took z for the picture"),
        (f"eps - {FLOW_X0}", "that is the direction: go along it"),
        ("z + s_next - s * (eps - (z - s * eps) / (1 - s))", "brackets are missing around"),
    ),
    "real.velocity": (
        ("alpha_bar**0.5 * x_t - (1 - alpha_bar) ** 0.5 * v", RIGHT),
        ("alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * v", RIGHT),
        ("(x_t - (1 - alpha_bar) ** 0.5 * v) / alpha_bar**0.5", "the formula for predicted noise"),
        ("alpha_bar * x_t - (1 - alpha_bar) * v", "the roots are missing"),
        ("(1 - alpha_bar) ** 0.5 * x_t - alpha_bar**0.5 * v", "alpha and sigma are swapped"),
        ("alpha_bar**0.5 * v - (1 - alpha_bar) ** 0.5 * x_t", "x_t and v are swapped"),
        ("alpha_bar**0.5 * v + (1 - alpha_bar) ** 0.5 * x_t", "that is the noise"),
        ("x_t - v", "each has its share"),
        ("alpha_bar**0.5 * x_t + (1 - alpha_bar) ** 0.5 * v", "a sign is the other way round"),
        ("alpha_bar**1/2 * x_t - (1 - alpha_bar) ** 1/2 * v", "you halve where a root is needed"),
        ('diffusion.x0_of(v, x_t, alpha_bar, "v_prediction")', "but diffusion.x0_of made it"),
    ),
    "real.numbers": (
        ("[12, 4096]", RIGHT),
        ("(12, 64 * 64)", RIGHT),
        ("[48, 4096]", "48 is for 4 channels"),
        ("[64, 4096]", "64 is the ratio of the areas"),
        ("[12, 16384]", "A token is a patch of 2 by 2 places"),
        ("[12, 8192]", "A patch of 2 by 2 holds 4 places"),
        ("[12, 64]", "64 is one side"),
        ("[12, 262144]", "The patches are cut from the latent"),
        ("[1024 * 1024 * 3, 128 * 128 * 16]", "these are the numbers of picture and latent"),
        ("[12, 1000]", "1,000 tokens of 2 by 2 places would be a latent of 4,000 places"),
    ),
    "real.orthogonal": (
        (f"difference - {ALONG} / {SQUARE} * towards", RIGHT),
        (
            "flat = towards.flatten(1)\n"
            "share = (difference.flatten(1) * flat).sum(1) / (flat * flat).sum(1)\n"
            "return difference - share.view(-1, 1, 1, 1) * towards",
            RIGHT,
        ),
        (f"{ALONG} / {SQUARE} * towards", "that is the part along `towards`"),
        (f"difference - {ALONG} * towards", "`towards` has a length of its own"),
        (f"difference - {ALONG} / {SQUARE} ** 0.5 * towards", "divide by the square of the length"),
        (
            "difference - (difference * towards).sum() / (towards * towards).sum() * towards",
            "you add up over the whole batch",
        ),
        ("difference - towards", "take away as much of `towards` as there is"),
        (
            f"difference - {ALONG} / (difference * difference).sum(dim=(1, 2, 3), keepdim=True)"
            " * difference",
            "you project the wrong way round",
        ),
        (f"difference + {ALONG} / {SQUARE} * towards", "a sign is the other way round: you add"),
    ),
}
