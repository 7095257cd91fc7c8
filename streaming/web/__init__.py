"""The edge: WebSockets, pages, and what is served over HTTP."""
