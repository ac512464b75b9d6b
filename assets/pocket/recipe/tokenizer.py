"""Trains the tokenizer on captions: a SentencePiece unigram model with T5's conventions (pad 0, end 1, unknown 2).

    python tokenizer.py --model DIR      # writes DIR/tokenizer

Letters are case-folded by the model's own normalisation. The vocabulary is closed by 100 <extra_id_n>, as T5's is.
"""
import argparse
import json
import random
import string
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from draw import draw_labels
from parts import TEXT_TOKENS
from phrase import caption

EXTRA_IDS = 100


def add_whole_words(path, words):
    """The trainer cuts so small a vocabulary of words into fragments; one piece a word reads better and is shorter."""
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    known = {p.piece for p in model.pieces}
    likeliest = max(p.score for p in model.pieces if p.type == p.NORMAL)
    for word in sorted(words):
        if "\u2581" + word not in known:
            model.pieces.add(piece="\u2581" + word, score=likeliest - 1)
    path.write_bytes(model.SerializeToString())


def train_tokenizer(folder, captions=20_000):
    folder = Path(folder) / "tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    labels, words = draw_labels(captions, "cpu"), random.Random(0)
    lines = [caption(labels.describe(i), words) for i in range(captions)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as text:
        text.write("\n".join(lines))
        text.flush()
        sentencepiece.SentencePieceTrainer.train(
            input=text.name, model_prefix=str(folder / "spiece"), model_type="unigram", vocab_size=120, hard_vocab_limit=False,
            pad_id=0, eos_id=1, unk_id=2, bos_id=-1, character_coverage=1.0, normalization_rule_name="nmt_nfkc_cf",
            required_chars=string.ascii_lowercase + string.digits + ".,;:!?'\"-()&/", minloglevel=2)
    add_whole_words(folder / "spiece.model", {w.strip(".,").lower() for line in lines for w in line.split()})
    (folder / "spiece.vocab").unlink()
    extra = [f"<extra_id_{i}>" for i in range(EXTRA_IDS)]
    special = dict(eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    config = dict(tokenizer_class="T5Tokenizer", model_max_length=TEXT_TOKENS, extra_ids=EXTRA_IDS, **special)
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(dict(special, additional_special_tokens=extra), indent=2) + "\n")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model")).vocab_size()
    (folder / "added_tokens.json").write_text(
        json.dumps({name: pieces + EXTRA_IDS - 1 - i for i, name in enumerate(extra)}, indent=2) + "\n")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    train_tokenizer(arguments.parse_args().model)
