"""A benchmark of one file: asks the questions of :mod:`snakeval.demo.items` and scores answers.

It requires only Python's standard library, and is an example of a user's own command::

    python -m snakeval.demo.quiz letters --url URL --model-id ID --results DIR
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from snakeval.demo.items import Item, benchmarks, generate

#: Seconds that an answer may take.
_TIMEOUT = 60


def ask(url: str, model_id: str, question: str) -> str:
    """Return the model's answer to a question at a chat route.

    Raises:
        OSError: there is no answer.
        LookupError, TypeError, ValueError: the answer is not one of OpenAI's API.
    """
    message = {"role": "user", "content": f"Question: {question}\nAnswer:"}
    body = {"model": model_id, "messages": [message], "temperature": 0, "max_tokens": 32}
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        text = json.load(response)["choices"][0]["message"]["content"]
    return str(text).strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask all questions, and write ``quiz.json`` and ``samples.jsonl`` into the results."""
    parser = argparse.ArgumentParser(prog="python -m snakeval.demo.quiz")
    parser.add_argument("benchmark", choices=benchmarks())
    parser.add_argument("--url", required=True, help="the whole route of chat completions")
    parser.add_argument("--model-id", required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="only the first so many questions")
    parser.add_argument("--parallelism", type=int, default=4)
    options = parser.parse_args(arguments)
    items = generate(options.benchmark)[: options.limit]

    def answer(item: Item) -> str:
        return ask(options.url, options.model_id, item.question)

    with ThreadPoolExecutor(options.parallelism) as threads:
        answers = list(threads.map(answer, items))
    samples = [
        {
            "id": i.id,
            "question": i.question,
            "answer": a,
            "reference": i.answer,
            "score": a == i.answer,
        }
        for i, a in zip(items, answers, strict=True)
    ]
    right = sum(bool(sample["score"]) for sample in samples)
    lines = "".join(f"{json.dumps(sample)}\n" for sample in samples)
    (options.results / "samples.jsonl").write_text(lines, encoding="utf-8")
    summary = {"accuracy": right / len(samples), "n": len(samples)}
    (options.results / "quiz.json").write_text(json.dumps(summary), encoding="utf-8")
    print(f"{right} of {len(samples)} answers are right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
