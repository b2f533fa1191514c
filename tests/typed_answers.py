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
CAR = 'token_positions(sd.tokenizer, prompt, "car")'
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


TYPED: dict[str, tuple[tuple[str, str], ...]] = {
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
}
