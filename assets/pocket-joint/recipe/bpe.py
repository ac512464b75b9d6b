"""Trains the two byte-pair vocabularies on captions, laid out as CLIP's and GPT-2's folders are.

    python bpe.py --model DIR      # writes DIR/clip_tokenizer and DIR/text_tokenizer

CLIP's ends words by "</w>" and folds case; GPT-2's starts them by a blank, and has "<|EOS|>", the end of a caption, added.
The world's words are few: each becomes one token. All bytes are there, so any prompt can be tokenized.
"""
import argparse
import json
import random
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer, GPT2Tokenizer

from stills import draw_still_labels, say

START, END, STOP = "<|startoftext|>", "<|endoftext|>", "<|EOS|>"
MERGES = 400


def learned_merges(lines, end_of_word):
    """Pairs in the order they are joined, none twice."""
    ending = dict(end_of_word_suffix=end_of_word) if end_of_word else {}
    tokenizer = Tokenizer(models.BPE(**ending))
    # Where the end of a word is marked, the blank before it is not.
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace() if ending else pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2 * len(alphabet) + MERGES, initial_alphabet=alphabet, show_progress=False,
                                  **ending)
    tokenizer.train_from_iterator(lines, trainer)
    return [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def write(folder, tokens, merges, config, special):
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary) + "\n")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(config, **special), indent=2) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    return vocabulary


def train(model, captions=20_000):
    model = Path(model)
    labels, words = draw_still_labels(captions, "cpu"), random.Random(0)
    lines = [say(labels.describe(i), words)["prompt"] for i in range(captions)]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = learned_merges([line.lower() for line in lines], "</w>")
    special = dict(bos_token=START, eos_token=END, unk_token=END, pad_token=END)
    write(model / "clip_tokenizer", [*alphabet, *(c + "</w>" for c in alphabet), *map("".join, merges), START, END], merges,
          dict(tokenizer_class="CLIPTokenizer", do_lower_case=True, errors="replace", model_max_length=77), special)

    merges = learned_merges(lines, "")
    special = dict(bos_token=END, eos_token=STOP, unk_token=END)
    vocabulary = write(model / "text_tokenizer", [*alphabet, *map("".join, merges), END], merges,
                       dict(tokenizer_class="GPT2Tokenizer", add_prefix_space=False, errors="replace", model_max_length=1024),
                       special)
    (model / "text_tokenizer" / "added_tokens.json").write_text(json.dumps({STOP: len(vocabulary)}) + "\n")


def load_clip_tokenizer(model):
    return CLIPTokenizer.from_pretrained(model, subfolder="clip_tokenizer")


def load_caption_tokenizer(model):
    return GPT2Tokenizer.from_pretrained(model, subfolder="text_tokenizer")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    folder = arguments.parse_args().model
    train(folder)
    example = "A small red circle in the top left corner, on grey."
    for tokenizer in (load_clip_tokenizer(folder), load_caption_tokenizer(folder)):
        ids = tokenizer(example).input_ids
        print(f"{len(tokenizer)} tokens; {example!r} is {len(ids)}: {tokenizer.convert_ids_to_tokens(ids)}")
