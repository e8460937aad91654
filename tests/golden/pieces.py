"""A small SentencePiece vocabulary, the merges that transformers makes of it and ids of texts:
python3 tests/golden/pieces.py > tests/golden/pieces.json   (from the project's root; needs sentencepiece, transformers)"""
import io

import sentencepiece
from transformers.convert_slow_tokenizer import generate_merges

from golden import write

TEXTS = ["Mia went to see the cow.", "  two  spaces ", "", "héllo wörld", "日本 🙂", "tabs\tand\nnew lines\n\n",
         "The bear eats honey and fish. The bear told me so.", "xyzzy 12345", "▁ itself", "e\u0301 combined"]


def kind(model, i):
    """llama.cpp's types of tokens."""
    return 2 if model.is_unknown(i) else 3 if model.is_control(i) else 6 if model.is_byte(i) else 1


def main():
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        input="datasets/demo/stories.txt", model_writer=out, vocab_size=420, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2, num_threads=1)
    model = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
    n = model.get_piece_size()
    tokens, scores = [model.id_to_piece(i) for i in range(n)], [model.get_score(i) for i in range(n)]
    types = [kind(model, i) for i in range(n)]
    others = [t for t, k in zip(tokens, types) if k != 1]
    vocab = {t: i for i, t in enumerate(tokens)}
    merges = generate_merges(vocab, dict(zip(tokens, scores)), others)
    write({"vocabulary": [dict(tokens=tokens, scores=scores, types=types)],
           "merges": [dict(left=[vocab[a] for a, _ in merges], right=[vocab[b] for _, b in merges])],
           "texts": [dict(text=t, ids=model.encode(t), decoded=model.decode(model.encode(t))) for t in TEXTS]})


main()
