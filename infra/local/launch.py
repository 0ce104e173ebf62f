"""Starts the local AWS, so that programs of this machine reach what it listens on, and
web pages do not: not by its socket, which has no port, and not by the ports at which it
hands events to the functions. Argument: the path of the socket."""

import http.server
import resource
import sys

PROGRAMS = ("127.0.0.1", "localhost")


def is_of_a_program(headers):
    """Whether no browser sent this: those say where a request comes from, or at least
    who they are, and a foreign name is one that was made to lead here."""
    name = headers.get("Host", "").rpartition(":")[0]
    told = ("Origin", "Sec-Fetch-Site", "Referer")
    is_a_browser = headers.get("User-Agent", "").startswith("Mozilla/")
    return name in PROGRAMS and not is_a_browser and not any(it in headers for it in told)


def parse_request(handler, parse=http.server.BaseHTTPRequestHandler.parse_request):
    if not parse(handler):
        return False
    if is_of_a_program(handler.headers):
        return True
    handler.send_error(403)
    return False


def main():
    http.server.BaseHTTPRequestHandler.parse_request = parse_request
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError):
        # Some systems name a limit that they do not grant.
        pass

    from hypercorn.__main__ import main as serve

    arguments = ["ministack.app:app", "--bind", f"unix:{sys.argv[1]}", "--keep-alive", "75"]
    # A worker would be another process, without what was set above. And a whole browser
    # full of requests may wait at once.
    sys.exit(serve([*arguments, "--workers", "0", "--backlog", "4096"]))


if __name__ == "__main__":
    main()
