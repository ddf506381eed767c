"""A visitor of a served page who speaks to it as a browser does, without one."""

import json
import uuid

import httpx


class Visitor:
    """One visit to one page.

    Args:
        address: of the page.
    """

    def __init__(self, address):
        self.address = address.rstrip("/")
        self.session = uuid.uuid4().hex[:12]
        self.http = httpx.Client(timeout=120)
        self.config = self.get("/config").json()
        self.parts = {part["id"]: part for part in self.config["components"]}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.http.close()

    def get(self, path):
        return self.http.get(self.address + path)

    def upload(self, name, content):
        """The answer to an upload; of one that is taken the JSON holds the path."""
        return self.http.post(f"{self.address}/gradio_api/upload", files={"files": (name, content)})

    def uploaded(self, name, content):
        """A value for a place that takes files."""
        (path,) = self.upload(name, content).raise_for_status().json()
        return file_at(path, name)

    def event(self, label):
        """The event that takes what stands in the component with this label."""
        return next(
            event
            for event in self.config["dependencies"]
            if event["backend_fn"] and label in [self.label(one) for one in event["inputs"]]
        )

    def label(self, part):
        props = self.parts[part].get("props", {})
        return props.get("label") or props.get("elem_id")

    def ask(self, label, values):
        """What the page answers: whether it succeeded, and the output of the message that ends it.

        Args:
            label: of a component that the event takes.
            values: by label; what is not given stays as the page begins.
        """
        event = self.event(label)
        data = [
            values.get(self.label(one), self.parts[one].get("props", {}).get("value"))
            if self.parts[one]["type"] != "state"
            else None
            for one in event["inputs"]
        ]
        body = {"data": data, "fn_index": event["id"], "session_hash": self.session, "trigger_id": None}
        return self.send(body)

    def send(self, body):
        joined = self.http.post(f"{self.address}/gradio_api/queue/join", json=body)
        joined.raise_for_status()
        parameters = {"session_hash": self.session}
        with self.http.stream("GET", f"{self.address}/gradio_api/queue/data", params=parameters) as answers:
            for line in answers.iter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if message["msg"] == "process_completed":
                    return message["success"], message["output"]
        raise AssertionError("the request was lost")


def file_at(path, name="file"):
    """A value for a place that takes files, which names a path on the server."""
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
