"""A local web page to explore a release with: any expression, any bins, any cuts, at once.

The page is our own: some hundred lines of JavaScript that draw SVG, without a build step and without anything from
elsewhere. FastAPI and uvicorn serve it on 127.0.0.1. Panel, Dash and Streamlit keep a session for each browser, in a
process that must be there when the browser comes back; here, each request carries the whole question (expression, bins,
cut, switches), so that a reload, a second browser or a closed tab break nothing. Bands are switched and added up in the
browser, which has the uncertainty of every component: no request is made for that. A Content-Security-Policy without
inline code, and texts that are only ever set as text, keep what is in a release from becoming part of the page.

`questions` reads what is asked, `desk` measures it with the `theories` beside it, `answers` says it as JSON, `snippets`
as Python and as commands, `downloads` as files; none of these knows of the web, which `server` and `guard` do.
"""

from omnifold_pub.explorer.desk import Desk
from omnifold_pub.explorer.theories import Offered

__all__ = ["Desk", "Offered"]
