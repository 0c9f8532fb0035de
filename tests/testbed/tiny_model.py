"""A tiny causal language model that needs no hub: `python tiny_model.py DIR`.

A real Llama with random weights and a byte-level tokenizer of its own, in the files that
any server of Hugging Face models loads. It answers nonsense, but always the same nonsense.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEED = 20240607
CONTEXT = 4096
PAD, BOS, EOS = SPECIAL = ("<|pad|>", "<|bos|>", "<|eos|>")

SENTENCES = (
    "Question: How many apples are left when three of the seven apples are eaten?",
    "Answer: There are four apples left, since seven minus three is four.",
    "The capital of France is Paris, and the capital of Japan is Tokyo.",
    "Which of the following is correct? A, B, C or D? The correct answer is B.",
    "def add(first, second):\n    return first + second\n",
    "0 1 2 3 4 5 6 7 8 9 10 11 12 100 1000",
)

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ message['role'] + ': ' + message['content'] + eos_token + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE: it encodes any text, and the sentences in fewer tokens than bytes."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def model(words: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The same random weights at each call."""
    torch.manual_seed(SEED)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            initializer_range=0.5,  # far from zero, so that the answer depends on the question
            pad_token_id=words.pad_token_id,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
        )
    )


def main(directory: Path) -> None:
    words = tokenizer()
    model(words).save_pretrained(directory)
    words.save_pretrained(directory)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tiny_model.py DIR")
    main(Path(sys.argv[1]))
