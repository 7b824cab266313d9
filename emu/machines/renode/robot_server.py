"""Renode's robot server: keywords over XML-RPC; each answers in time, or fails with the reason."""

import http.client
import re
import select
import time
import xmlrpc.client
from collections.abc import Callable
from typing import Any
from xml.parsers.expat import ExpatError

from emu.architectures.core import CoreError
from emu.machines.time_limit import TimeLimit

_POLL_SECONDS = 0.1
_TRANSFER_SECONDS = 10.0
"""How long a connection may take, and each part of an answer."""
_END_SECONDS = 1.0
_NAMED_ARGUMENT = re.compile(r"[a-zA-Z0-9_]+=.")

Watch = Callable[[], None]
"""Called again and again during the wait for an answer; raises RenodeError if no answer can come."""


class RenodeError(CoreError):
    """Renode has refused a request, is gone or does not answer; the text has the request and the answer."""


class RobotServer:
    """The server at a port of this host. A keyword blocks the whole server, so there is no second connection."""

    def __init__(self, port: int, watch: Watch, limit: Callable[[float], TimeLimit]):
        """``limit`` begins a limit of Renode's time."""
        self._url = f"http://127.0.0.1:{port}/"
        self._watch, self._limit = watch, limit
        self.is_asked = False
        """Whether Renode has not answered yet; it stays so if the answer did not come."""

    def command(self, text: str, seconds: float) -> str:
        """Let the Monitor run ``text``, commands separated by ``;``, and return its output.

        Raises RenodeError if a command fails, or has not answered after ``seconds``.
        """
        result = self.keyword("ExecuteCommand", [text], seconds)
        if not isinstance(result, str):
            raise RenodeError(f"the Monitor answers {text!r} with {result!r}, and not with text")
        return result

    def keyword(self, name: str, arguments: list[str], seconds: float) -> object:
        """Run a keyword and return its result (None if there is none); raises RenodeError if the keyword fails."""
        for argument in arguments:
            if _NAMED_ARGUMENT.match(argument):
                raise RenodeError(f"Renode would take {argument!r} for a named argument: put a space before the =")
        asked = f"{name}({', '.join(map(repr, arguments))})"
        transport = _Transport(self._watch, asked, self._limit(seconds))
        self.is_asked = True
        try:
            with xmlrpc.client.ServerProxy(self._url, transport=transport, use_builtin_types=True) as server:
                answer = server.run_keyword(name, arguments)
        except xmlrpc.client.Fault as fault:
            raise RenodeError(f"Renode refuses {asked}: fault {fault.faultCode}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException) as error:
            self._explain()
            raise RenodeError(f"Renode has not answered {asked}: {error!r}") from error
        except (xmlrpc.client.Error, ExpatError, ValueError) as error:
            raise RenodeError(f"Renode's answer to {asked} is not XML-RPC: {error!r}") from error
        self.is_asked = False
        return _result_of(answer, asked)

    def _explain(self) -> None:
        """Raise the reason for a broken connection; wait a little, as the end of a process is known later."""
        deadline = time.monotonic() + _END_SECONDS
        while time.monotonic() < deadline:
            self._watch()
            time.sleep(_POLL_SECONDS)


def _result_of(answer: object, asked: str) -> object:
    status = answer.get("status") if isinstance(answer, dict) else None
    if isinstance(answer, dict) and status == "PASS":
        return answer.get("return")
    if isinstance(answer, dict) and status == "FAIL":
        said = " ".join(str(answer.get("error", "without saying why")).split())
        raise RenodeError(f"Renode has failed at {asked}: {said}")
    raise RenodeError(f"Renode answers {asked} with {answer!r}, in which there is no status PASS or FAIL")


class _Transport(xmlrpc.client.Transport):
    """One request on its own connection, as the library would repeat a request after a broken connection."""

    def __init__(self, watch: Watch, asked: str, limit: TimeLimit):
        super().__init__(use_builtin_types=True)
        self._arguments = (watch, asked, limit)

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return _Connection(str(host), *self._arguments)

    def request(self, host: Any, handler: str, request_body: Any, verbose: bool = False) -> Any:
        return self.single_request(host, handler, request_body, verbose)


class _Connection(http.client.HTTPConnection):
    """Waits for an answer only while an answer can come."""

    def __init__(self, host: str, watch: Watch, asked: str, limit: TimeLimit):
        super().__init__(host, timeout=_TRANSFER_SECONDS)
        self._watch, self._asked, self._limit = watch, asked, limit

    def getresponse(self) -> http.client.HTTPResponse:
        while not select.select([self.sock], [], [], _POLL_SECONDS)[0]:
            self._watch()
            if self._limit.is_over:
                raise RenodeError(f"Renode has not answered {self._asked} in {self._limit.words}")
        return super().getresponse()
