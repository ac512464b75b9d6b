"""Text: what the tiny SentencePiece model is trained on, and the prompts that the tokenizers are asked to split."""

import io
import itertools

import sentencepiece

COLOURS = "red orange yellow green blue purple white navy".split()
SHAPES = "circle square triangle star ring diamond".split()
MOTIONS = ["moves right", "moves left", "bounces up and down", "grows slowly", "shrinks", "spins", "stays still"]
SENTENCES = [
    "A panda, dressed in a small jacket and a tiny hat, sits on a wooden stool in a bamboo forest.",
    "The camera follows behind an old car as it speeds up a steep dirt road; dust kicks up from its tires!",
    "Isn't this a wonderful, (quiet) street with cherry blossoms? Yes: it is \"lovely\" at 5 in the morning.",
    "Blurry, low quality, distorted, watermark, 1234567890 text & noise - no.",
    "Children build sandcastles while waves roll gently towards them under an amber evening sky.",
    "Three wolves run through deep snow, breath rising white against the dark pine trees.",
    "An astronaut floats outside her station, turning above oceans, deserts and bright city lights.",
    "Old wooden boats drift past market stalls selling fruit, fish, flowers and steaming noodles.",
    "Close-up shot of coffee poured into glass; cinematic, realistic, highly detailed, 4k, slow motion.",
    "Caf\u00e9 na\u00efve \u00fcber fa\u00e7ade \u00e9t\u00e9.",
]


def train(pieces: int, normaliser: str) -> bytes:
    """A unigram model with T5's layout: <pad> 0, </s> 1, <unk> 2, no <s>."""
    corpus = [f"a {c} {s} {m} on a {b} background" for (c, s, m), b in
              zip(itertools.product(COLOURS, SHAPES, MOTIONS), itertools.cycle(COLOURS[::-1]))]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus + SENTENCES * 8), model_writer=model, model_type="unigram", vocab_size=pieces,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, character_coverage=1.0, num_threads=1,
        normalization_rule_name=normaliser, minloglevel=2)
    return model.getvalue()


LONG_PROMPT = {"repeat": "a red circle moves ", "times": 2500}  # 10,000 words

PROMPTS = [
    "",
    " ",
    "a",
    "A red circle moves right on a navy background.",
    "a red circle moves right on a navy background",
    "  two  spaces   and around  ",
    "line one\nline two\ttabbed\r\nthree",
    "RED CIRCLE, BLUE SQUARE!",
    "It's 12:30; isn't it (nice)? \"Yes\" - 100%...",
    "1234567890 3.14159",
    "caf\u00e9 na\u00efve \u00fcber fa\u00e7ade",
    "cafe\u0301 nai\u0308ve u\u0308ber",
    "\u4e00\u53ea\u718a\u732b\u5728\u5f39\u5409\u4ed6",
    "a \U0001f600 smiling \U0001f469\u200d\U0001f680 face",
    "\uff21\uff22\uff23 \uff11\uff12\uff13 \u2460 \ufb01ne \u00bd",
    "zero\u200bwidth non\u00a0breaking soft\u00adhyphen \ufeffbom",
    "a star </s> after the end",
    "a star</s>glued",
    "<pad> first <pad>",
    "a <extra_id_0> ring <extra_id_99>",
    "a<extra_id_1>ring <extra_id_100>",
    "<unk> unknown < unk >",
    "\u2581 lower \u2581\u2581block a\u2581b",
    "\u0416\u0443\u043a \u05d0\u05d1 \u0645\u0631\u062d\u0628\u0627",
    "supercalifragilisticexpialidocious",
    "a, b; c: d. e! f? g/h\\i [j] {k} @l #m $n ^o *p ~q `r |s",
    "\u2019quoted\u2019 \u201cdouble\u201d \u2014 dash \u2026",
    "\u3000ideographic\u3000space\u2003em\u2028line",
    "tab\tonly",
    "\x00null\x07bell\x7fdelete",
    "I\u0307stanbul \u017fharp \u212bngstr\u00f6m",
    LONG_PROMPT,
]


def prompt_text(prompt: str | dict) -> str:
    return prompt if isinstance(prompt, str) else (prompt["repeat"] * prompt["times"]).strip()
