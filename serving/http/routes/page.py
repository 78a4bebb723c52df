"""``/``: what there is, for people as a page and for programs as JSON; nothing is fetched from elsewhere."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from serving.http.served import Served, served

router = APIRouter(tags=["Operation"])
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>fairmoe server</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { padding: .75rem; overflow-x: auto; background: #8881; border-radius: .25rem; }
td.name { white-space: nowrap; }
td:last-child { overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  thead { display: none; }
  tr { display: block; padding: .35rem 0; border-bottom: 1px solid #8884; }
  td { display: inline; padding: 0 .5rem 0 0; border: 0; }
  td:last-child { display: block; }
}
</style></head><body>
<h1>fairmoe server</h1>
<p>{{ about }} The schema is at <a href="/openapi.json">/openapi.json</a>,
numbers are at <a href="/metrics">/metrics</a>.</p>
<h2>Models</h2>
<table><thead><tr><th>name</th><th>kind</th><th>version</th><th>trust</th>
<th>where</th><th>what it is</th></tr></thead>
<tbody>{% for model in models %}<tr><td class="name"><code>{{ model.name }}</code></td><td>{{ model.kind }}</td>
<td>{{ model.version }}</td><td>{{ model.trust }}</td>
<td>{{ "pinned" if model.pinned else "in memory" if model.loaded else "on disk" }}</td>
<td>{{ model.description }}</td></tr>
{% endfor %}</tbody></table>
<p>A composition needs no entry: <code>a=0.7,b=0.3</code> is a model, too.</p>
<h2>Ask</h2>
<pre>curl {{ url }}/v1/chat/completions -H 'Content-Type: application/json' \\{% if key %}
  -H "Authorization: Bearer $KEY" \\{% endif %}
  -d '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'</pre>
<h2>Routes</h2>
<table><thead><tr><th>method</th><th>path</th><th>what it does</th></tr></thead>
<tbody>{% for route in routes %}<tr><td>{{ route.method }}</td><td class="name"><code>{{ route.path }}</code></td>
<td>{{ route.about }}</td></tr>
{% endfor %}</tbody></table>
</body></html>
"""


@router.get("/")
async def page(request: Request) -> Response:
    """What there is: a page in a browser, JSON otherwise."""
    here, routes = served(request), _routes(request.app.openapi())
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"routes": routes, "schema": "/openapi.json"})
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HTMLResponse(_html(here, routes), headers=headers)


def _routes(schema: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"method": method.upper(), "path": path, "about": one.get("description", "").partition("\n\n")[0]}
        for path, methods in schema["paths"].items()
        for method, one in methods.items()
    ]


def _html(here: Served, routes: list[dict[str, str]]) -> str:
    from jinja2 import Environment

    page = Environment(autoescape=True).from_string(PAGE)
    about = "Experts for prompts and rows behind OpenAI's API."
    return page.render(
        models=here.engine.models(), routes=routes, url=here.settings.url, key=bool(here.settings.keys), about=about
    )
