"""Checkpoints of a training that never was: ``python tiny_series.py DIR COUNT``.

``DIR/full/step-N`` are tiny Llamas with different weights, ``DIR/lora/step-N`` LoRA adapters of
``DIR/full/step-100`` in PEFT's format. Heads of 32 are the smallest that vLLM has on a CPU.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ("<|pad|>", "<|bos|>", "<|eos|>")
HIDDEN, RANK, LAYERS, CONTEXT = 64, 8, 2, 2048
PROJECTIONS = ("q_proj", "v_proj", "o_proj")


def tokenizer() -> PreTrainedTokenizerFast:
    """Each byte is a token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_ = Tokenizer(
        models.BPE(vocab={word: n for n, word in enumerate([*SPECIAL, *letters])}, merges=[])
    )
    bytes_.add_special_tokens(list(SPECIAL))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytes_.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=bytes_,
        pad_token=SPECIAL[0],
        bos_token=SPECIAL[1],
        eos_token=SPECIAL[2],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def full(path: Path, seed: int, words: PreTrainedTokenizerFast) -> None:
    """Write a model whose weights the seed determines."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=HIDDEN,
        intermediate_size=128,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
    words.save_pretrained(path)


def adapter(path: Path, seed: int, base: Path) -> None:
    """Write an adapter of *base* whose matrices the seed determines."""
    torch.manual_seed(1000 + seed)
    tensors = {}
    for layer in range(LAYERS):
        for projection in PROJECTIONS:
            at = f"base_model.model.model.layers.{layer}.self_attn.{projection}"
            tensors[f"{at}.lora_A.weight"] = torch.randn(RANK, HIDDEN) * 0.3
            tensors[f"{at}.lora_B.weight"] = torch.randn(HIDDEN, RANK) * 0.3
    path.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": RANK,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "target_modules": list(PROJECTIONS),
    }
    (path / "adapter_config.json").write_text(json.dumps(config, indent=1))


def main(directory: Path, count: int) -> None:
    words, base = tokenizer(), directory / "full/step-100"
    for number in range(1, count + 1):
        full(directory / f"full/step-{100 * number}", number, words)
        adapter(directory / f"lora/step-{100 * number}", number, base)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python tiny_series.py DIR COUNT")
    main(Path(sys.argv[1]), int(sys.argv[2]))
