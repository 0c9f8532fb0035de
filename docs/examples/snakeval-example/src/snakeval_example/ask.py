"""The program of the harness ``questions``; it needs no more than Python."""

import json
import sys
import time
import urllib.request
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
answers = []
for question, reference in job["questions"]:
    body = {"model": job["model"], "messages": [{"role": "user", "content": question}]}
    request = urllib.request.Request(
        job["url"], json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer = json.load(reply)["choices"][0]["message"]["content"]
    print(f"asked: {question}", flush=True)
    answers.append({"question": question, "answer": answer, "reference": reference})
while job["gate"] and not Path(job["gate"]).exists():
    time.sleep(0.1)
Path(sys.argv[2]).write_text(json.dumps(answers), encoding="utf-8")
