"""Chromium, driven by the W3C WebDriver protocol (https://www.w3.org/TR/webdriver2/)."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.limits import HUNG

_OPTIONS = {
    "args": [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--window-size=1280,1000",
        "--force-prefers-reduced-motion",
    ]
}


class Browser:
    def __init__(self, url: str) -> None:
        self._url = url
        options = {"alwaysMatch": {"goog:chromeOptions": _OPTIONS}}
        self._url += f"/session/{self._send('POST', '/session', capabilities=options)['sessionId']}"

    def _send(self, method: str, path: str, **body: Any) -> Any:
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(self._url + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=HUNG) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, page: Path) -> None:
        self._send("POST", "/url", url=page.resolve().as_uri())

    def click(self, css: str) -> None:
        """Click an element, as soon as it is there."""
        self.texts(css)
        element = self._send("POST", "/element", using="css selector", value=css)
        self._send("POST", f"/element/{next(iter(element.values()))}/click")

    def run(self, script: str, *arguments: Any) -> Any:
        return self._send("POST", "/execute/sync", script=script, args=arguments)

    def choose(self, name: str, value: str) -> None:
        """Choose an option of a `select`, as soon as it is there."""
        self.texts(f"select[name={name}] option[value='{value}']")
        # At once, since the page makes its options anew whenever one is chosen.
        script = """
            const select = document.querySelector(`select[name=${arguments[0]}]`);
            select.value = arguments[1];
            select.dispatchEvent(new Event("change", { bubbles: true }));
        """
        self.run(script, name, value)

    def texts(self, css: str, count: int | None = None) -> list[str]:
        """The texts of elements, as soon as there are *count*, or any."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        for _ in range(200):
            found: list[str] = self.run(script, css)
            if len(found) == count or (count is None and found):
                return found
            time.sleep(0.05)
        raise AssertionError(f"{css}: {found}")

    def key(self, name: str) -> None:
        """Press a key, such as Tab, at the element that has the focus."""
        codes = {"Tab": (9, ""), "Enter": (13, "\r")}
        code, text = codes[name]
        event = {"key": name, "code": name, "windowsVirtualKeyCode": code, "text": text}
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self._send(
                "POST",
                "/goog/cdp/execute",
                cmd="Input.dispatchKeyEvent",
                params=event | {"type": kind},
            )

    def accessibility(self) -> list[dict[str, str]]:
        """The role and the name of each node that a screen reader finds, in their order."""
        answer = self._send(
            "POST", "/goog/cdp/execute", cmd="Accessibility.getFullAXTree", params={}
        )
        return [
            {name: str(node.get(name, {}).get("value", "")) for name in ("role", "name")}
            for node in answer["nodes"]
            if not node.get("ignored")
        ]

    def picture(self, width: int, height: int, *, dark: bool = False, at: str = "html") -> bytes:
        """A PNG of what such a screen shows of the page, from an element on."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        for command, settings in (
            ("Emulation.setDeviceMetricsOverride", size),
            ("Emulation.setEmulatedMedia", {"features": [scheme]}),
            ("Emulation.setScrollbarsHidden", {"hidden": True}),
        ):
            self._send("POST", "/goog/cdp/execute", cmd=command, params=settings)
        self.run("document.querySelector(arguments[0]).scrollIntoView()", at)
        time.sleep(1)  # plots are drawn anew
        return base64.b64decode(self._send("GET", "/screenshot"))

    def size(self, width: int, height: int) -> None:
        """Give the page the size of a screen."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._send(
            "POST", "/goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=size
        )

    def shown(self, *selectors: str) -> list[bool]:
        """Whether each element takes place on the page."""
        script = "return document.querySelector(arguments[0]).getBoundingClientRect().width > 0"
        return [self.run(script, css) for css in selectors]

    def accessible(self) -> list[dict[str, str]]:
        """The role, the name and the description of all that a screen reader reads."""
        for command in ("Accessibility.enable", "Accessibility.getFullAXTree"):
            found = self._send("POST", "/goog/cdp/execute", cmd=command, params={})
        return [
            {key: node.get(key, {}).get("value", "") for key in ("role", "name", "description")}
            for node in found["nodes"]
            if not node["ignored"]
        ]

    def close(self) -> None:
        self._send("DELETE", "")


@contextmanager
def browser() -> Iterator[Browser]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        found = _started(f"http://127.0.0.1:{port}")
        try:
            yield found
        finally:
            found.close()
    finally:
        driver.terminate()
        driver.wait(timeout=HUNG)


def _started(url: str) -> Browser:
    for _ in range(200):
        try:
            return Browser(url)
        except urllib.error.URLError:
            time.sleep(0.05)
    raise AssertionError("chromedriver does not answer")
