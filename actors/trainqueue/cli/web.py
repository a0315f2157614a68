"""`web`."""

from __future__ import annotations

from importlib.util import find_spec

import click

from trainqueue.cli.common import complain, show_json
from trainqueue.home import Home

NEEDED = ("starlette", "uvicorn", "prometheus_client")


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on (setting [web] address, 127.0.0.1).")
@click.option("--port", metavar="PORT", type=click.IntRange(0, 65535), help="Port; 0: any free one ([web] port, 8427).")
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser of this machine.")
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one JSON document.")
def web(host: str | None, port: int | None, opened: bool, as_json: bool) -> int:  # noqa: FBT001
    """Serve the page and the HTTP interface until interrupted. Any address but loopback needs a token."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        complain(f"the page needs {', '.join(missing)}: pip install 'trainqueue[web]' (or '.[web]' in a checkout)")
        return 1
    from trainqueue.settings import load
    from trainqueue.web import serve

    home = Home.find(click.get_current_context().find_root().obj)
    home.prepare()
    settings = load().web
    address = host or settings.address
    sock = serve.listening(address, settings.port if port is None else port)
    token = None if serve.is_loopback(sock) else serve.token_in(home.path / "web.token")
    place = sock.getsockname()[1]
    shown = f"[{address}]" if ":" in address else address
    url = f"http://{shown}:{place}/" + (f"?token={token}" if token else "")
    if as_json:
        show_json({"url": url, "host": address, "port": place, "token": token})
    else:
        say(url, place, token)
    if opened:
        click.launch(url)
    serve.serve(home, sock, serve.rules(sock, address, token, settings.allowed_hosts))
    return 0


def say(url: str, port: int, token: str | None) -> None:
    click.echo(f"trainq's page: {url}  (Ctrl-C ends it; the queue goes on)")
    if token is None:
        click.echo(f"from another machine: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE, then {url} there")
    else:
        click.echo("whoever has this address and its token may do all that you may; nothing is encrypted on its way")
