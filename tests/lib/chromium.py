"""What headless Chromium makes of audio files: a page on a server of our own decodes them and posts the result."""
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading

PAGE = """<!doctype html><meta charset=utf-8><script>
async function one(i) {
  const r = {};
  if (DECODE) try {
    const b = await (await fetch('/file/' + i)).arrayBuffer();
    const a = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(b);
    r.seconds = a.duration;
    r.channels = a.numberOfChannels;
  } catch (e) { r.error = e.name; }
  r.element_seconds = await new Promise(done => {
    const m = new Audio();
    m.preload = 'metadata';
    m.onloadedmetadata = () => done(m.duration);
    m.onerror = () => done(null);
    m.src = '/file/' + i;
  });
  return r;
}
(async () => {
  const out = [];
  for (let i = 0; i < COUNT; i++) out.push(await one(i));
  await fetch('/result', {method: 'POST', body: JSON.stringify(out)});
})();
</script>"""


def installed():
    return shutil.which("chromium") is not None


def open_all(files, deadline_s=120, decode=True):
    """files: [(path, mime type)]. For each a dict: seconds and channels as decoded (which takes the whole
    file into memory), or error; element_seconds as an <audio> element says (None: refused)."""
    result, done = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, body, kind):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def answer_file(self, path, kind):
            size, wanted = os.path.getsize(path), self.headers.get("Range", "")
            first, last = (wanted.removeprefix("bytes=") or "0-").split("-")
            first, last = int(first), int(last or size - 1)
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(last + 1 - first))
            self.end_headers()
            with open(path, "rb") as f:
                f.seek(first)
                while f.tell() <= last:
                    self.wfile.write(f.read(min(65536, last + 1 - f.tell())))

        def handle(self):
            try:
                super().handle()
            except ConnectionError:
                pass  # it has seen enough of the file

        def do_GET(self):
            if self.path.startswith("/file/"):
                self.answer_file(*files[int(self.path[6:])])
            else:
                page = PAGE.replace("COUNT", str(len(files))).replace("DECODE", str(decode).lower())
                self.answer(page.encode(), "text/html")

        def do_POST(self):
            result.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(b"", "text/plain")
            done.set()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = tempfile.mkdtemp(prefix="slr-chromium-")
    browser = subprocess.Popen(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         f"--user-data-dir={home}", "--remote-debugging-port=0",
         f"http://127.0.0.1:{server.server_address[1]}/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env=dict(os.environ, HOME=home))
    try:
        if not done.wait(deadline_s):
            raise AssertionError(f"Chromium did not answer within {deadline_s} s")
    finally:
        try:
            os.killpg(browser.pid, 9)
        except ProcessLookupError:
            pass
        browser.wait()
        server.shutdown()
        server.server_close()
        shutil.rmtree(home, ignore_errors=True)
    return result
