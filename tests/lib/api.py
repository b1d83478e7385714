"""A small client of the core's HTTP API."""
import http.client
import json


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"HTTP {self.status} {self.body[:300]!r}"


class Api:
    def __init__(self, addr):
        self.addr = addr

    def request(self, method, path, body=None, headers=None, timeout_s=10):
        c = http.client.HTTPConnection(*self.addr, timeout=timeout_s)
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return Answer(r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read())
        except http.client.HTTPException as e:
            raise ConnectionError(repr(e)) from e
        finally:
            c.close()

    def get(self, path, status=200, **kw):
        a = self.request("GET", path, **kw)
        assert a.status == status, f"GET {path}: {a}"
        return a

    def post(self, path, status=200, **kw):
        a = self.request("POST", path, **kw)
        assert a.status == status, f"POST {path}: {a}"
        return a

    def delete(self, path, status=200, **kw):
        a = self.request("DELETE", path, **kw)
        assert a.status == status, f"DELETE {path}: {a}"
        return a

    def status(self):
        return self.get("/v1/status").json()

    def calls(self):
        return self.get("/v1/calls").json()["calls"]

    def recordings(self, query=""):
        """All pages."""
        out, path = [], "/v1/recordings" + query
        while True:
            page = self.get(path).json()
            out += page["recordings"]
            if not page["next"]:
                return out
            path = f"/v1/recordings{query}{'&' if query else '?'}cursor={page['next']}"

    def recording(self, rid):
        return self.get(f"/v1/recordings/{rid}").json()

    def media(self, rid):
        return self.get(f"/v1/recordings/{rid}/media", timeout_s=30).body

    def metrics(self):
        """{name{labels}: value} of the Prometheus text."""
        out = {}
        for line in self.get("/metrics").body.decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(None, 1)
                out[name] = float(value)
        return out
