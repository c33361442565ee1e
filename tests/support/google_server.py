"""A Google on loopback: its token endpoint, its consent page, and the sending of the Gmail API, with set answers."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def refused(status, *reasons, headers=()):
    """An answer of the Gmail API that refuses."""
    error = {"code": status, "message": "a name: ann@example.org", "errors": [{"reason": each} for each in reasons]}
    return status, {"error": error}, dict(headers)


class Google:
    """`answers` are given to sends in turn, the last one for good; each is (status, object, headers) or "cut".

    `token_answers` likewise; `sent` are the messages that were taken, `sends` counts all tries, `grants` the forms
    that asked for tokens; `ports` are where the tries came from.
    """

    def __init__(self):
        self.answers, self.token_answers = [(200, {"id": "1"}, {})], [(200, {"expires_in": 3600}, {})]
        self.sent, self.sends, self.grants, self.ports, self.consents = [], 0, [], [], []
        self.gate = None
        google = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
                google.consents.append(query)
                back = {"state": query["state"], "code": "the-code", "scope": query["scope"]}
                self.answer(302, {}, {"Location": f"{query['redirect_uri']}?{urlencode(back)}"})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/token":
                    google.grants.append({key: values[0] for key, values in parse_qs(body.decode()).items()})
                    status, value, headers = google.next(google.token_answers)
                    if status == 200:
                        value = {"access_token": f"token-{len(google.grants)}", "token_type": "Bearer", **value}
                    return self.answer(status, value, headers)
                assert self.path == "/gmail/v1/users/me/messages/send?alt=json", self.path
                google.sends += 1
                google.ports.append(self.client_address[1])
                if google.gate:
                    google.gate.wait(60)
                answer = google.next(google.answers)
                if answer == "cut":
                    self.close_connection = True
                    return self.connection.close()
                if answer[0] == 200:
                    raw = base64.urlsafe_b64decode(json.loads(body)["raw"])
                    google.sent.append((self.headers["Authorization"], raw))
                return self.answer(*answer)

            def answer(self, status, value, headers):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, text in headers.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(body)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a connection that the handler cut

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @staticmethod
    def next(answers):
        """The next answer; the last one stays."""
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def close(self):
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()

    def token_file(self, path, *, mode=0o600, **more):
        """A token file as google.oauth2.credentials.Credentials.to_json() writes it, without an access token."""
        scopes = ["https://www.googleapis.com/auth/gmail.send"]
        known = {"refresh_token": "refresh-secret", "client_id": "id", "client_secret": "client-secret"}
        path.write_text(json.dumps({**known, "token_uri": f"{self.url}/token", "scopes": scopes, **more}))
        path.chmod(mode)
        return path

    def service_account_file(self, path):
        """The key file of a service account; its public key is returned beside it."""
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        value = {
            "type": "service_account", "client_email": "robot@project.iam.gserviceaccount.com",
            "private_key_id": "1", "private_key": pem.decode(), "token_uri": f"{self.url}/token",
        }  # fmt: skip
        path.write_text(json.dumps(value))
        path.chmod(0o600)
        return path, key.public_key()
