"""A model server with an OpenAI-compatible chat route: it repeats the last word it is sent."""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Parrot(BaseHTTPRequestHandler):
    """Answers the three paths that snakeval asks: health, models and chat."""

    name = ""

    def do_GET(self) -> None:
        """Answer ``/health`` and ``/v1/models``."""
        self._reply({"data": [{"id": self.name}]})

    def do_POST(self) -> None:
        """Answer ``/v1/chat/completions``."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        word = asked["messages"][-1]["content"].split()[-1]
        self._reply({"choices": [{"message": {"role": "assistant", "content": word}}]})

    def _reply(self, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    options = parser.parse_args()
    Parrot.name = options.name
    ThreadingHTTPServer((options.host, options.port), Parrot).serve_forever()


if __name__ == "__main__":
    main()
