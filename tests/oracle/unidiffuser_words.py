"""Byte-pair vocabularies for the tiny UniDiffuser checkpoints, as CLIP's and GPT-2's folders lay them out, and prompts to split."""

import collections
import json
import re
from pathlib import Path

import words
from checkpoints import write_json

START, END, STOP = "<|startoftext|>", "<|endoftext|>", "<|EOS|>"


def byte_alphabet() -> list[str]:
    """GPT-2's printable character for every byte, in the order of CLIP's vocabulary: printable bytes first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    characters = dict(zip(printable, map(chr, printable))) | {b: chr(256 + i) for i, b in enumerate(rest)}
    return [characters[b] for b in [*printable, *rest]]


def learn_merges(pieces: collections.Counter, count: int) -> list[tuple[str, str]]:
    """Byte-pair encoding (Sennrich et al., arXiv 1508.07909): the most frequent pair is joined, ties by name."""
    merges = []
    for _ in range(count):
        pairs = collections.Counter()
        for piece, times in pieces.items():
            for pair in zip(piece, piece[1:]):
                pairs[pair] += times
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        joined = collections.Counter()
        for piece, times in pieces.items():
            parts, i = [], 0
            while i < len(piece):
                pair = piece[i:i + 2] == best
                parts.append("".join(best) if pair else piece[i])
                i += 2 if pair else 1
            joined[tuple(parts)] += times
        pieces = joined
    return merges


def corpus() -> list[str]:
    plain = [f"a {c} {s} {m} on a {b} background" for c in words.COLOURS for s in words.SHAPES
             for m, b in zip(words.MOTIONS, words.COLOURS[::-1])]
    return plain + [s for s in words.SENTENCES if s.isascii()] * 20


def clip_vocabulary(merges: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    pieces = collections.Counter()
    for sentence in corpus():
        for word in re.findall(r"'s|'t|[a-z]+|[0-9]|[^\sa-z0-9]+", sentence.lower()):
            pieces[(*word[:-1], word[-1] + "</w>")] += 1
    learned = learn_merges(pieces, merges)
    alphabet = byte_alphabet()
    tokens = [*alphabet, *(c + "</w>" for c in alphabet), *map("".join, learned), START, END]
    return {token: i for i, token in enumerate(tokens)}, learned


def gpt2_vocabulary(merges: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    pieces = collections.Counter()
    for sentence in corpus():
        for word in re.findall(r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+", sentence):
            pieces[tuple(word.replace(" ", "\u0120"))] += 1
    learned = learn_merges(pieces, merges)
    tokens = [*byte_alphabet(), *map("".join, learned), END]
    return {token: i for i, token in enumerate(tokens)}, learned


def write_bpe(folder: Path, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=True) + "\n")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))


def flagged(content: str) -> dict:
    return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}


def clip_tokenizer(folder: Path, merges: int, pad: str = END) -> None:
    """As transformers 4 saved it and the hub has it."""
    write_bpe(folder, *clip_vocabulary(merges))
    tokens = {"bos_token": flagged(START), "eos_token": flagged(END), "unk_token": flagged(END), "pad_token": pad}
    write_json(folder / "tokenizer_config.json", {
        "add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer", **tokens})
    write_json(folder / "special_tokens_map.json", {
        k: v if isinstance(v, str) else {n: f for n, f in v.items() if n != "__type"} for k, v in tokens.items()})


def caption_tokenizer(folder: Path, merges: int) -> int:
    """GPT-2's, with the end token that UniDiffuser adds: tokenizer_config.json says another. Returns its id."""
    vocabulary, learned = gpt2_vocabulary(merges)
    write_bpe(folder, vocabulary, learned)
    write_json(folder / "added_tokens.json", {STOP: len(vocabulary)})
    write_json(folder / "special_tokens_map.json", {"bos_token": END, "eos_token": STOP, "unk_token": END})
    write_json(folder / "tokenizer_config.json", {
        "add_prefix_space": False, "bos_token": END, "eos_token": END, "errors": "replace", "model_max_length": 1024,
        "tokenizer_class": "GPT2Tokenizer", "unk_token": END})
    return len(vocabulary)


PROMPTS = words.PROMPTS[:-1] + [
    "red<|endoftext|>glued", "<|ENDOFTEXT|> shouted", "<|startoftext|>twice <|startoftext|>", "<|endoftext|>!! and !!<|endoftext|>",
    "a!b ! !! c", "don't I'll we've they're he'd i'm it's 'quoted' '' '''s", "12345 1st 2nd x86", "\u0130stanbul \u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3",
    "\u1e9e\u00df \u01c5 \u01c4", "e\u0301\u0323 \uac00 \u1100\u1161 \u212b \u2126", "\u0661\u0662 \u2167 \u00bd \u00b2 \u4e00\u4e8c",
    "\u0901\u0915\u093e \u0e01\u0e34", "a\u0085b\u1680c\u2028d\u205fe\u180ef\u200bg", "_under_score_ --- ~~~ <<>> </w> a</w>b",
    "\U0001d400\U00010400 \U0001f1e9\U0001f1ea", "a " * 74 + "end", "a " * 75 + "end", "a " * 76 + "end", "red circle, " * 60]
